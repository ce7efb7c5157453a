//! Stage two: promotions. Components propose, the host arbitrates.
//!
//! Several components may be bound: the caller runs [`begin`] once, then for each component
//! [`build_request`], the call, and [`apply_result`]. After each answer all candidates seen so far are
//! arbitrated again, so the next component sees what earlier ones took, and the result does not depend
//! on who was asked first except where priorities are equal.

use std::collections::HashSet;

use till_sandbox::wit::promotion::{
    Candidate, EarlierAdjustment, LineState, PromotionRequest, PromotionResult, ShippingState, Target, Value,
};

use super::promise::{at_most_items, not_negative, promise, rate_in_range, sum};
use super::trace::{Missing, reasons};
use super::{
    BrokenPromise, Component, Inputs, Offer, Quote, QuoteLine, Reason, Rule, Stage, TraceEntry, What,
    arbitrate,
};

/// Longest promotion id, in bytes: uses are counted and held under it.
const PROMOTION_ID_BYTES_MAX: usize = 128;

/// Starts the stage: nothing is taken off yet, but for benefits of the buyer's tier.
///
/// # Errors
/// The rule `overflow`.
pub fn begin(inputs: &Inputs, mut quote: Quote) -> Result<Quote, BrokenPromise> {
    quote.reset_from(Stage::Promotions);
    quote.offers = arbitrate::tier_offers(inputs, &quote);
    arbitrate::goods(inputs, quote)
}

/// What a promotion component is asked.
///
/// # Errors
/// The rule `overflow`.
pub fn build_request(inputs: &Inputs, quote: &Quote) -> Result<PromotionRequest, BrokenPromise> {
    let sold = || quote.lines.iter().filter(|line| line.unavailable.is_none());
    let state = |line: &QuoteLine| LineState {
        line: line.id.clone(),
        unit_price: line.unit_price,
        original: line.total,
        remaining: line.total - line.discount,
    };
    let mut earlier = Vec::new();
    for off in &quote.discounts {
        let one = |line: Option<String>, amount: i64| EarlierAdjustment {
            promotion: off.promotion.clone(),
            title: off.title.clone(),
            line,
            amount,
        };
        earlier.extend(off.lines.iter().map(|share| one(Some(share.of.clone()), share.amount)));
        earlier.extend(off.shipping.iter().map(|share| one(None, share.amount)));
    }
    let shipping = quote.shipping.iter().filter_map(|group| {
        let option = group.selected_option()?;
        let (group, option_id) = (group.id.clone(), option.id.clone());
        Some(ShippingState { group, option_id, price: option.price })
    });
    Ok(PromotionRequest {
        cart: inputs.to_wit(Some(quote)),
        lines: sold().map(state).collect(),
        subtotal: sum(sold().map(|line| line.total))?,
        earlier,
        shipping: shipping.collect(),
        attributes: Vec::new(),
    })
}

/// Takes the candidates and refusals of one component and arbitrates.
///
/// # Errors
/// A line or code unknown, units out of range, an amount or rate out of range, an amount above its
/// base, or too many items.
pub fn apply_result(
    inputs: &Inputs,
    mut quote: Quote,
    by: &Component,
    result: &PromotionResult,
) -> Result<Quote, BrokenPromise> {
    at_most_items("candidates", result.candidates.len())?;
    at_most_items("refusals", result.refusals.len())?;
    at_most_items("messages", result.messages.len())?;
    let codes = inputs.codes.iter().map(|code| code.code.as_str()).collect::<HashSet<_>>();
    let known = |code: Option<&String>| {
        let holds = code.is_none_or(|code| codes.contains(code.as_str()));
        promise(Rule::UnknownId, holds, || {
            format!("code {} is not in the cart", code.map_or("", String::as_str))
        })
    };
    for candidate in &result.candidates {
        known(candidate.code.as_ref())?;
        check(&quote, candidate)?;
    }
    for refusal in &result.refusals {
        known(refusal.code.as_ref())?;
    }
    quote.reset_from(Stage::Points);
    quote.took_part(Stage::Promotions, by);
    quote.say_all(Stage::Promotions, &by.name, &result.messages);
    for refusal in &result.refusals {
        let subject = refusal.code.as_deref().or(refusal.promotion.as_deref()).unwrap_or_default();
        let entry = TraceEntry::new(Stage::Promotions, &by.name, What::Refused).of(subject);
        let missing = refusal.missing.iter().take(8).map(Missing::from_wit).collect();
        quote.note(entry.because(vec![Reason::from_wit(&refusal.reason)]).missing(missing));
    }
    let offer =
        |candidate: &Candidate| Offer { by: by.name.clone(), accepted: false, candidate: candidate.clone() };
    quote.offers.extend(result.candidates.iter().map(offer));
    arbitrate::goods(inputs, quote)
}

fn check(quote: &Quote, candidate: &Candidate) -> Result<(), BrokenPromise> {
    let id = &candidate.promotion;
    let of = |what: &str| format!("{what} of promotion {id}");
    promise(Rule::UnknownId, !id.is_empty() && id.len() <= PROMOTION_ID_BYTES_MAX, || {
        format!("a promotion id of {} bytes, expected 1 to {PROMOTION_ID_BYTES_MAX}", id.len())
    })?;
    not_negative(|| of("cap"), candidate.cap.unwrap_or(0))?;
    not_negative(|| of("floor-unit-price"), candidate.floor_unit_price.unwrap_or(0))?;
    let base = match &candidate.target {
        Target::Order => Some(sum(quote.lines.iter().map(|line| line.total))?),
        Target::Lines(targets) => {
            let mut seen = HashSet::new();
            let mut base = Vec::new();
            for target in targets {
                let line = quote.line(&target.line).ok_or_else(|| BrokenPromise {
                    rule: Rule::UnknownId,
                    detail: format!("line {} in the {}", target.line, of("target")),
                })?;
                let holds = seen.insert(&target.line) && (1..=line.quantity).contains(&target.units);
                promise(Rule::Units, holds, || {
                    format!(
                        "{} of {} units of line {} in the {}",
                        target.units,
                        line.quantity,
                        line.id,
                        of("target")
                    )
                })?;
                base.push(arbitrate::part_of(line.total, target.units, line.quantity));
            }
            Some(sum(base)?)
        }
        Target::Shipping(_) => None, // Groups and prices are known at the stage shipping.
    };
    match candidate.value {
        Value::Amount(amount) => {
            not_negative(|| of("amount"), amount)?;
            promise(Rule::DiscountAboveBase, base.is_none_or(|base| amount <= base), || {
                format!("{} is {amount}, its base is {}", of("amount"), base.unwrap_or(0))
            })
        }
        Value::Rate(ppm) => rate_in_range(|| of("rate"), ppm),
        Value::UnitPrice(price) => not_negative(|| of("unit-price"), price),
    }
}

/// What is kept in the trace of a candidate's reasons.
pub(super) fn because(candidate: &Candidate) -> Vec<Reason> {
    reasons(&candidate.reasons)
}
