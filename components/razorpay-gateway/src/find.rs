//! What became of an attempt: its order, and the payments that shoppers made for it.

use crate::api::{List, Order, Payment, Trouble, ask};
use crate::bindings::exports::till::checkout::payment_gateway_api::{
    Absence, Attempt, FindOutcome, FindRequest, FindResult, Operation, PaymentState, Snapshot,
};
use crate::bindings::till::checkout::types::Money;
use crate::config::Config;
use crate::exchange::{Request, Send};
use crate::gateway::{self, ORDER, PAYMENT};

/// Asks what became of an attempt.
pub fn find(request: &FindRequest, config: &Config, now_ms: u64, send: Send<'_>) -> FindResult {
    let attempt = &request.attempt;
    let outcome = match look(attempt, config, now_ms, send) {
        Ok(outcome) => outcome,
        Err(trouble) => FindOutcome::Unknown(trouble.words()),
    };
    FindResult { outcome, messages: Vec::new(), attributes: Vec::new() }
}

fn look(attempt: &Attempt, config: &Config, now_ms: u64, send: Send<'_>) -> Result<FindOutcome, Trouble> {
    let order = match gateway::reference_of(attempt, ORDER) {
        Some(id) => id.to_owned(),
        None => match by_receipt(attempt, send)? {
            Some(order) if order.is_for(&attempt.key, &attempt.amount) => order.id,
            Some(order) => {
                let text = format!("order {} asks for {} {}", order.id, order.amount, order.currency);
                return Ok(FindOutcome::Unknown(text));
            }
            None => {
                // A request may still be on its way until the longest time has passed. Without an order nobody can pay.
                let settled = config.is_settled(attempt.first_sent_ms, now_ms);
                let absence = if settled { Absence::Certain } else { Absence::NotVisibleYet };
                return Ok(FindOutcome::NeverHappened(absence));
            }
        },
    };
    let found = snapshot(attempt, config, &order, &payments(&order, None, send)?);
    let reserved =
        matches!(&found, FindOutcome::Found(snapshot) if snapshot.state == PaymentState::Authorized);
    if attempt.operation == Operation::Capture
        && reserved
        && !config.is_settled(attempt.first_sent_ms, now_ms)
    {
        // Sent again while the first request is being carried out it would be refused.
        let text = "the payment is authorized; the capture may still be under way";
        return Ok(FindOutcome::Unknown(text.to_owned()));
    }
    Ok(found)
}

/// The order that was made under the attempt's key. Where an answer was lost and the order made twice, the first one:
/// nobody was told of either.
pub fn by_receipt(attempt: &Attempt, send: Send<'_>) -> Result<Option<Order>, Trouble> {
    let list: List<Order> = ask(Request::get(format!("/v1/orders?receipt={}", attempt.key)), send)?;
    let ours = list.items.into_iter().filter(|order| order.receipt.as_deref() == Some(attempt.key.as_str()));
    Ok(ours.min_by(|a, b| (a.created_at, &a.id).cmp(&(b.created_at, &b.id))))
}

/// Payments of an order, in the order in which they were begun.
pub fn payments(order: &str, key: Option<&str>, send: Send<'_>) -> Result<Vec<Payment>, Trouble> {
    let request =
        Request { body: None, path: format!("/v1/orders/{order}/payments"), key: key.map(str::to_owned) };
    let mut list: List<Payment> = ask(request, send)?;
    if let Some(other) = list.items.iter().find(|payment| payment.order_id.as_deref() != Some(order)) {
        return Err(Trouble::Unclear(format!("payment {} is not of order {order}", other.id)));
    }
    list.items.sort_by(|a, b| (a.created_at, &a.id).cmp(&(b.created_at, &b.id)));
    Ok(list.items)
}

/// The payment whose money is reserved for this attempt: the one that is known already, else the first.
pub fn reserved<'p>(attempt: &Attempt, payments: &'p [Payment]) -> Option<&'p Payment> {
    let known = gateway::reference_of(attempt, PAYMENT);
    let fits = |payment: &&Payment| payment.status == "authorized" && payment.is_of(&attempt.amount);
    payments
        .iter()
        .filter(fits)
        .find(|payment| Some(payment.id.as_str()) == known)
        .or_else(|| payments.iter().find(fits))
}

fn snapshot(attempt: &Attempt, config: &Config, order: &str, payments: &[Payment]) -> FindOutcome {
    let taken: Vec<&Payment> = payments.iter().filter(|payment| payment.was_captured()).collect();
    if let Some(foreign) = taken.iter().find(|payment| payment.currency != attempt.amount.currency) {
        return FindOutcome::Unknown(format!("payment {} is in {}", foreign.id, foreign.currency));
    }
    let captured: i64 = taken.iter().map(|payment| payment.amount).sum();
    let refunded: i64 = taken.iter().filter_map(|payment| payment.amount_refunded).sum();
    let reserved = reserved(attempt, payments);
    let lapsed = payments.iter().any(|payment| payment.status == "refunded" && !payment.was_captured());
    let state = match (captured, reserved) {
        (1.., _) if refunded >= captured => PaymentState::Refunded,
        (1.., _) => PaymentState::Captured,
        (_, Some(_)) => PaymentState::Authorized,
        (_, None) if lapsed => PaymentState::Voided,
        // A payment that failed ends nothing: the shopper may pay the order another way.
        (_, None) => PaymentState::ActionRequired,
    };
    let money = |minor| Money { minor, currency: attempt.amount.currency.clone() };
    let mut references = vec![gateway::reference(ORDER, order)];
    let moved = taken.first().copied().or(reserved);
    references.extend(moved.map(|payment| gateway::reference(PAYMENT, &payment.id)));
    FindOutcome::Found(Snapshot {
        state,
        authorized: money(reserved.map_or(0, |payment| payment.amount)),
        captured: money(captured),
        refunded: money(refunded),
        voided: state == PaymentState::Voided,
        decline: None,
        action: (state == PaymentState::ActionRequired)
            .then(|| gateway::action(config, order, &attempt.amount)),
        expires_ms: None,
        references,
        gateway_state: None,
        attributes: Vec::new(),
    })
}
