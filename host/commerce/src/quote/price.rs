//! Stage one: what each line costs, before promotions and tax.

use std::collections::HashMap;

use till_sandbox::wit::pricing::{LinePrice, PriceRequest, PriceResult};

use super::inputs::line_path;
use super::promise::{at_most_items, not_negative, promise, sum};
use super::trace::reasons;
use super::{
    BrokenPromise, Component, HOST, Inputs, Message, MessageKind, Quote, QuoteLine, Reason, Rule, Severity,
    Stage, TraceEntry, What,
};

/// What the pricing component is asked.
#[must_use]
pub fn build_request(inputs: &Inputs, _quote: &Quote) -> PriceRequest {
    PriceRequest { cart: inputs.to_wit(None), attributes: Vec::new() }
}

/// Takes the component's prices.
///
/// # Errors
/// A line unknown, missing or answered twice, an amount below zero, too many items, or a subtotal that
/// overflows.
pub fn apply_result(
    inputs: &Inputs,
    mut quote: Quote,
    by: &Component,
    result: &PriceResult,
) -> Result<Quote, BrokenPromise> {
    at_most_items("lines", result.lines.len())?;
    at_most_items("messages", result.messages.len())?;
    let mut answers = HashMap::with_capacity(result.lines.len());
    for answer in &result.lines {
        let line = match answer {
            LinePrice::Priced(priced) => &priced.line,
            LinePrice::Unavailable(unavailable) => &unavailable.line,
        };
        let twice = answers.insert(line.as_str(), answer).is_some();
        promise(Rule::LineAnsweredOnce, !twice, || format!("line {line} is answered twice"))?;
    }
    quote.reset_from(Stage::Price);
    quote.took_part(Stage::Price, by);
    quote.say_all(Stage::Price, &by.name, &result.messages);
    for line in &inputs.lines {
        let answer = answers.remove(line.id.as_str()).ok_or_else(|| BrokenPromise {
            rule: Rule::LineAnsweredOnce,
            detail: format!("line {} is not answered", line.id),
        })?;
        let mut made = unpriced(&line.id, line.quantity);
        let entry = match answer {
            LinePrice::Priced(priced) => {
                not_negative(|| format!("unit-price of line {}", line.id), priced.unit_price)?;
                not_negative(|| format!("line-total of line {}", line.id), priced.line_total)?;
                not_negative(|| format!("compare-at of line {}", line.id), priced.compare_at.unwrap_or(0))?;
                made.unit_price = priced.unit_price;
                made.total = priced.line_total;
                made.includes_tax = priced.includes_tax;
                made.compare_at = priced.compare_at;
                made.price_list.clone_from(&priced.price_list);
                made.tier.clone_from(&priced.tier);
                let entry = TraceEntry::new(Stage::Price, &by.name, What::Priced).amount(priced.line_total);
                entry.because(reasons(&priced.reasons))
            }
            LinePrice::Unavailable(answer) => {
                let reason = Reason::from_wit(&answer.reason);
                made.unavailable = Some(reason.clone());
                TraceEntry::new(Stage::Price, &by.name, What::Unavailable).because(vec![reason])
            }
        };
        quote.note(entry.of(&line.id));
        quote.lines.push(made);
    }
    if let Some(line) = answers.keys().next() {
        let detail = format!("line {line} was not asked");
        return Err(BrokenPromise { rule: Rule::UnknownId, detail });
    }
    finish(inputs, quote)
}

/// Takes the catalog's prices: for merchants without a pricing component.
///
/// # Errors
/// A price that overflows.
pub fn catalog(inputs: &Inputs, mut quote: Quote) -> Result<Quote, BrokenPromise> {
    quote.reset_from(Stage::Price);
    for line in &inputs.lines {
        let total = quote.money(line.catalog_price).checked_mul_qty(line.quantity)?.minor();
        quote.lines.push(QuoteLine {
            unit_price: line.catalog_price,
            total,
            includes_tax: line.includes_tax,
            compare_at: line.compare_at,
            ..unpriced(&line.id, line.quantity)
        });
        quote.note(TraceEntry::new(Stage::Price, HOST, What::Priced).of(&line.id).amount(total));
    }
    finish(inputs, quote)
}

fn unpriced(id: &str, quantity: u32) -> QuoteLine {
    QuoteLine {
        id: id.to_owned(),
        quantity,
        unit_price: 0,
        total: 0,
        includes_tax: false,
        discount: 0,
        points: 0,
        tax: 0,
        tax_included: 0,
        compare_at: None,
        price_list: None,
        tier: None,
        unavailable: None,
    }
}

/// What the host itself knows of a line goes before any price.
fn finish(inputs: &Inputs, mut quote: Quote) -> Result<Quote, BrokenPromise> {
    for (index, line) in inputs.lines.iter().enumerate() {
        if line.withdrawn && quote.lines[index].unavailable.is_none() {
            let made = &mut quote.lines[index];
            (made.unit_price, made.total) = (0, 0);
            made.unavailable = Some(Reason::new("withdrawn", "Not for sale any more."));
        }
        if let Some(reason) = quote.lines[index].unavailable.clone() {
            let message = Message::new(
                HOST,
                MessageKind::Error,
                Severity::NeedsBuyerInput,
                "line-unavailable",
                &reason.text,
            );
            quote.say(Stage::Price, message.about(line_path(&line.id)));
        }
    }
    sum(quote.lines.iter().map(|line| line.total))?;
    Ok(quote)
}
