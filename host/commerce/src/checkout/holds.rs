//! Holds of a checkout: all in one transaction, all or none, every short line named.

use serde_json::json;
use till_engine::step::{StepCall, StepFault, StepResult, TookEffect};
use till_store::Tx;
use till_store::tables::hold::{End, Held, HoldKind, NewHold};
use uuid::Uuid;

use super::context::{Submit, maybe, part};
use super::pricing::database;
use super::steps::CheckoutSteps;
use crate::quote::{DiscountKind, Inputs, Quote};
use crate::settings::Settings;

pub(super) fn uid(call: &StepCall) -> Result<Uuid, StepFault> {
    Uuid::parse_str(&call.uid).map_err(|e| StepFault::new("uid", e.to_string()))
}

/// Leads the ids of the holds made by the latest entry of the state `hold`.
fn prefix(uid: &str, entry: u32) -> String {
    format!("{uid}:{entry}:")
}

impl CheckoutSteps {
    /// Holds stock, promotion uses, points and money of gift cards. A refusal rolls all of them back and names every line short.
    pub(super) async fn hold(tx: &mut Tx, call: &StepCall) -> Result<StepResult, StepFault> {
        let inputs: Inputs = part(call, "snapshot")?;
        let quote: Quote = part(call, "quote")?;
        let settings: Settings = part(call, "settings")?;
        let submit: Submit = maybe(call, "submit")?.unwrap_or_default();
        let uid = uid(call)?;
        let prefix = prefix(&call.uid, call.entry);
        let expires_us = call.now_us.saturating_add(i64::from(settings.hold_ttl_s) * 1_000_000);
        let customer = inputs.customer.as_ref().map_or("", |c| c.id.as_str());
        let new = |kind: HoldKind, id: &str, what: &str, place: &str, quantity: i64, limits| NewHold {
            id: format!("{prefix}{}:{id}", kind.as_str()),
            kind,
            what: what.to_owned(),
            place: place.to_owned(),
            quantity,
            limits,
            uid,
            expires_us,
        };
        // One lock order for all transactions: kind, place, id.
        let mut wanted: Vec<(NewHold, Option<String>)> = Vec::new();
        for line in inputs.lines.iter().filter(|l| l.stock.is_some()) {
            for (n, (place, units)) in line.places().into_iter().enumerate() {
                let id = if n == 0 { line.id.clone() } else { format!("{}:{n}", line.id) };
                let place = place.unwrap_or("");
                let hold = new(HoldKind::Stock, &id, &line.sku, place, i64::from(units), (None, None));
                wanted.push((hold, Some(line.id.clone())));
            }
        }
        let limit = |n: Option<u64>| n.map(|n| i64::try_from(n).unwrap_or(i64::MAX));
        for discount in quote.discounts.iter().filter(|d| d.kind == DiscountKind::Promotion && d.uses > 0) {
            let limits = (limit(discount.uses_limit), limit(discount.customer_limit));
            let uses = i64::from(discount.uses);
            wanted.push((
                new(HoldKind::Promotion, &discount.id, &discount.promotion, customer, uses, limits),
                None,
            ));
        }
        let given = quote.discounts.iter().filter(|d| d.kind == DiscountKind::Promotion);
        for campaign in &inputs.campaigns {
            let of = given.clone().filter(|off| campaign.promotions.contains(&off.promotion));
            let amount = of.map(|off| off.amount).fold(0, i64::saturating_add);
            if amount > 0 {
                // Minor units of another currency are no part of what it has spent; the order is counted.
                let amount = if campaign.foreign { 0 } else { amount };
                wanted.push((
                    new(HoldKind::Budget, &campaign.id, &campaign.id, "", amount, (None, None)),
                    None,
                ));
            }
        }
        for code in
            inputs.codes.iter().filter(|code| given.clone().any(|off| off.code.as_ref() == Some(&code.code)))
        {
            if let Some(typed) = &code.typed {
                wanted.push((new(HoldKind::Code, typed, typed, "", 1, (None, None)), None));
            }
        }
        for part in &quote.gift_cards {
            wanted
                .push((new(HoldKind::GiftCard, &part.card, &part.card, "", part.amount, (None, None)), None));
        }
        let points = quote.totals.map_or(0, |t| i64::try_from(t.points_used).unwrap_or(i64::MAX));
        if points > 0 {
            wanted.push((new(HoldKind::Points, customer, customer, customer, points, (None, None)), None));
        }
        wanted.sort_by(|(a, _), (b, _)| {
            (a.kind, &a.place, &a.what, &a.id).cmp(&(b.kind, &b.place, &b.what, &b.id))
        });
        let mut short_lines = Vec::new();
        let mut other = None;
        for (hold, line) in &wanted {
            let Held::Short(left) = tx.hold(&call.merchant, hold).await.map_err(database)? else { continue };
            match hold.kind {
                HoldKind::Stock => short_lines.push(json!({
                    "line": line, "sku": hold.what, "wanted": hold.quantity, "available": left.max(0),
                    "warehouseId": hold.place,
                })),
                HoldKind::Budget => {
                    other = Some(("code-used-up", json!({ "campaign": hold.what, "left": left })));
                }
                HoldKind::Code => {
                    other = Some(("code-used-up", json!({ "promotionCode": hold.what, "left": 0 })));
                }
                HoldKind::Promotion => {
                    other = Some(("code-used-up", json!({ "promotion": hold.what, "left": left })))
                }
                HoldKind::GiftCard => {
                    let part = quote.gift_cards.iter().find(|part| part.card == hold.what);
                    let last4 = part.map(|part| part.last4.as_str());
                    other = Some(("gift-card-short", json!({ "last4": last4 })));
                }
                HoldKind::Points => {
                    other = Some(("points-short", json!({ "wanted": hold.quantity, "available": left })))
                }
            }
        }
        let mut problem = match (short_lines.is_empty(), other) {
            (false, _) => json!({ "code": "stock-short", "lines": short_lines }),
            (true, Some((code, mut what))) => {
                what["code"] = json!(code);
                what
            }
            (true, None) => return Ok(StepResult::outcome("held").effect(TookEffect::Yes)),
        };
        problem["hash"] = json!(submit.hash);
        Ok(StepResult::outcome("short").patch(json!({ "problem": problem, "submit": null })).refuse())
    }

    /// Undo of [`CheckoutSteps::hold`].
    pub(super) async fn release(tx: &mut Tx, call: &StepCall) -> Result<StepResult, StepFault> {
        let prefix = prefix(&call.uid, call.entry);
        let ended = tx
            .settle_holds(&call.merchant, uid(call)?, &prefix, End::Release, call.now_us)
            .await
            .map_err(database)?;
        Ok(StepResult::outcome("done").patch(json!({ "submit": null })).note(json!({ "released": ended.0 })))
    }
}
