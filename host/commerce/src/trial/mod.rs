//! Components on trial, off the shopper's path: shadows beside live checkouts, backtests over recorded ones, and
//! what a component was asked, for fixtures.
//!
//! All three price through [`crate::ask`], as a checkout does. Read first: [`compare`], then [`shadow`] and
//! [`backtest`].

pub mod backtest;
mod compare;
mod recorded;
pub mod shadow;

use std::sync::Arc;

use serde_json::Value;
use till_registry::{Bound, Error, Registry};
use till_sandbox::Slot;

use crate::ask::Lineup;
use crate::quote::Stage;

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
        Slot::PaymentGateway => None,
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

/// The bindings that pins name; for one that was revoked, what its place uses now.
pub(crate) async fn lineup(registry: &Registry, merchant: &str, pins: &Value) -> Result<Lineup, Error> {
    let mut lineup = Lineup::new();
    for (slot, _, digest) in pinned(pins) {
        match registry.bound(merchant, &digest).await {
            Ok(bound) => seat(&mut lineup, slot, bound),
            Err(Error::Revoked { .. }) => {
                if let Some(bound) = registry.stand_in(merchant, &digest, false).await? {
                    seat(&mut lineup, slot, bound);
                }
            }
            Err(error) => return Err(error),
        }
    }
    Ok(lineup)
}

/// Puts a binding at its place, instead of what is there under its name.
pub fn seat(lineup: &mut Lineup, slot: Slot, bound: Arc<Bound>) {
    let places = lineup.entry(slot).or_default();
    places.retain(|other| other.name != bound.name);
    let at = places.partition_point(|other| other.name < bound.name);
    places.insert(at, bound);
}
