//! What is missing before a checkout can be submitted: a projection, never a stored state.

use serde::Serialize;

use super::inputs::line_path;
use super::{Address, HOST, Inputs, MessageKind, Quote, Severity};
use crate::address;
use crate::catalog::is_past;

/// Who can mend it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Who {
    /// The client, without asking anybody.
    Client,
    /// The buyer.
    Buyer,
    /// The merchant.
    Merchant,
}

/// Something that is missing.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Requirement {
    /// Stable, lowercase with hyphens.
    pub code: String,
    /// JSON path into the inputs.
    pub path: String,
    /// Who can mend it.
    pub who: Who,
}

/// What is missing where a component of the merchant did not answer: a price.
#[must_use]
pub fn unpriced() -> Requirement {
    Requirement { code: "price".to_owned(), path: "$".to_owned(), who: Who::Merchant }
}

/// What is missing, in the order a shopper would mend it. Empty: the checkout can be submitted.
#[must_use]
pub fn requirements(inputs: &Inputs, quote: &Quote) -> Vec<Requirement> {
    let mut all = Vec::new();
    let mut need = |code: &str, path: String, who: Who| {
        let new = Requirement { code: code.to_owned(), path, who };
        if !all.contains(&new) {
            all.push(new);
        }
    };
    if inputs.lines.is_empty() {
        need("cart-empty", "$.lines".to_owned(), Who::Buyer);
    }
    for line in &inputs.lines {
        let unavailable = quote.line(&line.id).is_some_and(|made| made.unavailable.is_some());
        if line.withdrawn || unavailable {
            need("line-unavailable", line_path(&line.id), Who::Buyer);
        } else if line.stock.is_some_and(|stock| stock < line.quantity) {
            need("stock-short", line_path(&line.id) + ".quantity", Who::Buyer);
        }
    }
    if !quote.shipping.is_empty() {
        address(inputs.shipping_address.as_ref(), true, "shipping-address", "$.shipping_address", &mut need);
    }
    if inputs.shipping_address.is_some() {
        for group in quote.shipping.iter().filter(|group| group.selected.is_none()) {
            if group.options.is_empty() {
                need("shipping-unavailable", "$.shipping_address".to_owned(), Who::Buyer);
            } else {
                need("shipping-option", format!("$.shipping_options['{}']", group.id), Who::Buyer);
            }
        }
    }
    address(inputs.billing_address.as_ref(), false, "billing-address", "$.billing_address", &mut need);
    match quote.due() {
        None => need("quote-incomplete", "$".to_owned(), Who::Client),
        Some(due) if !due.is_zero() && inputs.payment_method.is_none() => {
            need("payment-method", "$.payment_method".to_owned(), Who::Buyer);
        }
        Some(due) if !due.is_zero() && has_expired(inputs) => {
            need("payment-method-expired", "$.payment_method".to_owned(), Who::Buyer);
        }
        Some(_) => {}
    }
    // What the shopper meant to pay by card must not be asked of another means of payment.
    for (at, card) in inputs.gift_cards.iter().enumerate() {
        if let Some(code) = &card.refused {
            need(code, format!("$.gift_cards[{at}]"), Who::Buyer);
        }
    }
    let errors = quote.messages.iter().filter(|message| message.kind == MessageKind::Error);
    for message in errors.filter(|message| message.by != HOST) {
        let who = match message.severity {
            Severity::Recoverable => Who::Client,
            Severity::NeedsBuyerInput | Severity::NeedsBuyerReview => Who::Buyer,
            Severity::Final => Who::Merchant,
        };
        need(&message.code, message.path.clone().unwrap_or_else(|| "$".to_owned()), who);
    }
    all
}

/// The means of payment that was chosen can be used no more.
fn has_expired(inputs: &Inputs) -> bool {
    let now_us = i64::try_from(inputs.now_ms).unwrap_or(i64::MAX / 1_000).saturating_mul(1_000);
    let expires = inputs.payment_method.as_ref().and_then(|method| method.expires.as_deref());
    expires.is_some_and(|expires| is_past(expires, now_us))
}

fn address(
    given: Option<&Address>,
    needed: bool,
    code: &str,
    path: &str,
    need: &mut impl FnMut(&str, String, Who),
) {
    match given {
        None if needed => need(code, path.to_owned(), Who::Buyer),
        None => {}
        Some(address) => {
            for fault in address::faults(address) {
                let code = if fault.missing { "address-incomplete" } else { "address-invalid" };
                need(code, format!("{path}.{}", fault.part), Who::Buyer);
            }
        }
    }
}
