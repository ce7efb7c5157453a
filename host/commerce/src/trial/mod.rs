//! Components on trial, off the shopper's path: shadows beside live checkouts, backtests over recorded ones, and
//! what a component was asked, for fixtures.
//!
//! All three price through [`crate::ask`], as a checkout does. Read first: [`compare`], then [`shadow`] and
//! [`backtest`].

pub mod backtest;
mod compare;
mod recorded;
pub mod shadow;

use std::collections::{BTreeSet, HashMap, HashSet};
use std::sync::Arc;

use serde_json::Value;
use till_registry::{Bound, Error, Registry};
use till_sandbox::Slot;

use crate::ask::Lineup;
use crate::quote::{Quote, Stage, TraceEntry, What};

pub use compare::{Difference, RuleChange, RuleKind, compare};
pub use recorded::{Recorded, blank};

/// The slots that price, in the order in which a checkout asks them.
pub const PRICING_SLOTS: [Slot; 4] = [Slot::Pricing, Slot::Promotion, Slot::Shipping, Slot::Tax];

/// The stage that asks a slot. None: a gateway, which prices nothing.
pub fn stage_of(slot: Slot) -> Option<Stage> {
    match slot {
        Slot::Pricing => Some(Stage::Price),
        Slot::Promotion => Some(Stage::Promotions),
        Slot::Shipping => Some(Stage::Shipping),
        Slot::Tax => Some(Stage::Tax),
        Slot::PaymentGateway | Slot::Risk | Slot::Carrier => None,
    }
}

/// Digests that pins name for the slots that price, as `(slot, name, digest)`.
pub fn pinned(pins: &Value) -> Vec<(Slot, String, String)> {
    let of = |slot: Slot| {
        let names = pins.get(slot.as_str()).and_then(Value::as_object).into_iter().flatten();
        names.filter_map(move |(name, digest)| Some((slot, name.clone(), digest.as_str()?.to_owned())))
    };
    PRICING_SLOTS.into_iter().flat_map(of).collect()
}

/// Digests of the bindings that price a checkout as it was priced: those it pins, and those that answered.
pub fn needed(pins: &Value, quote: &Quote) -> BTreeSet<String> {
    let pinned = pinned(pins).into_iter().map(|(_, _, digest)| digest);
    pinned.chain(quote.priced_by.iter().map(|by| by.digest.clone())).collect()
}

/// The bindings that price a checkout as it was priced: those it pins, with what stood in for one that was revoked at
/// its place. Also gives what is needed for that and not among the `known`; not what was at the place `replaced`.
pub(crate) fn lineup_of(
    pins: &Value,
    quote: &Quote,
    known: &HashMap<String, Arc<Bound>>,
    replaced: Option<(Slot, &str)>,
) -> (Lineup, Vec<String>) {
    let answered: HashSet<&str> = quote.priced_by.iter().map(|by| by.digest.as_str()).collect();
    let pinned = pinned(pins);
    let (mut lineup, mut gone) = (Lineup::new(), Vec::new());
    // Those that answered and are explained by the pins.
    let mut own: HashSet<&str> = pinned.iter().map(|(_, _, digest)| digest.as_str()).collect();
    for (slot, name, digest) in &pinned {
        let Some(bound) = known.get(digest) else {
            gone.push((*slot, name.as_str(), digest.as_str()));
            continue;
        };
        let fallback = bound.fallback.as_ref().map(|other| other.digest.as_str());
        own.extend(fallback);
        let left_out =
            |entry: &TraceEntry| entry.what == What::Omitted && entry.by == bound.component.info.name;
        let asked = answered.contains(digest.as_str())
            || fallback.is_some_and(|other| answered.contains(other))
            || quote.trace.iter().any(left_out);
        // A promotion that was revoked, with nothing in its place, was not asked at all.
        if asked || *slot != Slot::Promotion {
            seat(&mut lineup, *slot, bound.clone());
        }
    }
    for by in quote.priced_by.iter().filter(|by| !own.contains(by.digest.as_str())) {
        let slot = PRICING_SLOTS.into_iter().find(|slot| stage_of(*slot) == Some(by.stage));
        match (slot, known.get(&by.digest)) {
            (Some(slot), Some(bound)) => seat(&mut lineup, slot, bound.clone()),
            // Of a place that only the binding itself could tell.
            (Some(slot), None) => gone.push((slot, "", &by.digest)),
            (None, _) => {}
        }
    }
    let stood_in = |slot: &Slot, name: &str| {
        lineup.get(slot).is_some_and(|places| places.iter().any(|bound| bound.name == name))
    };
    gone.retain(|(slot, name, digest)| {
        replaced != Some((*slot, *name)) && (answered.contains(digest) || !stood_in(slot, name))
    });
    // Those first that surely had a part in it.
    gone.sort_by_key(|(_, _, digest)| !answered.contains(digest));
    let told = |(slot, name, digest): (Slot, &str, &str)| {
        let place = if name.is_empty() { slot.to_string() } else { format!("{slot}/{name}") };
        format!("{place} with the binding {} is not kept any more", digest.get(..12).unwrap_or(digest))
    };
    let gone = gone.into_iter().map(told).collect();
    (lineup, gone)
}

/// The bindings that priced a checkout; for one that was revoked since, what its place uses now.
pub(crate) async fn lineup(
    registry: &Registry,
    merchant: &str,
    pins: &Value,
    quote: &Quote,
) -> Result<Lineup, Error> {
    let mut known = HashMap::new();
    for digest in needed(pins, quote) {
        let bound = match registry.bound(merchant, &digest).await {
            Err(Error::Revoked { .. }) => registry.stand_in(merchant, &digest, false).await?,
            bound => Some(bound?),
        };
        known.extend(bound.map(|bound| (digest, bound)));
    }
    // One that was revoked with nothing in its place is left out here as at the shop.
    Ok(lineup_of(pins, quote, &known, None).0)
}

/// Puts a binding at its place, instead of what is there under its name.
pub fn seat(lineup: &mut Lineup, slot: Slot, bound: Arc<Bound>) {
    let places = lineup.entry(slot).or_default();
    places.retain(|other| other.name != bound.name);
    let at = places.partition_point(|other| other.name < bound.name);
    places.insert(at, bound);
}
