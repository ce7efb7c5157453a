//! Stage five: taxes. A component says which apply; where it gives no amount, the host computes and
//! rounds by the merchant's policy.
//!
//! A tax that is added is `taxable × rate`. A tax that is contained in a price is
//! `taxable × rate / (1 + sum of the contained rates on that price)`, so that all contained taxes and
//! the rest make the price again.

use std::collections::HashMap;

use till_model::money::{Exact, Money, Rounding, TaxRounding, allocate};
use till_sandbox::wit::tax::{AppliesTo, TaxEntry, TaxRequest, TaxResult, TaxableLine, TaxableShipping};

use super::promise::{at_most_items, not_negative, promise, rate_in_range, sum};
use super::trace::{cut, reasons};
use super::{
    Address, BrokenPromise, Component, CustomerInput, Inputs, Quote, QuoteLine, Rule, Stage, Tax, TaxedItem,
    TraceEntry, What,
};

/// Parts per million in one.
const PPM: i64 = 1_000_000;

/// What is taxed of a line: after discounts, and after points where they lower the tax.
fn taxed_net(quote: &Quote, line: &QuoteLine) -> i64 {
    if quote.policies.points_reduce_tax { line.net() } else { line.total - line.discount }
}

/// What the tax component is asked.
#[must_use]
pub fn build_request(inputs: &Inputs, quote: &Quote) -> TaxRequest {
    let from = |warehouse: Option<&String>| warehouse.and_then(|from| inputs.warehouses.get(from));
    let sold = inputs.lines.iter().zip(&quote.lines).filter(|(_, made)| made.unavailable.is_none());
    let shipping = quote.shipping.iter().filter(|_| quote.policies.tax_on_shipping);
    TaxRequest {
        ship_from: inputs.lines.iter().find_map(|line| from(line.warehouse.as_ref())).map(Address::to_wit),
        ship_to: inputs.shipping_address.as_ref().map(Address::to_wit),
        bill_to: inputs.billing_address.as_ref().map(Address::to_wit),
        customer: inputs.customer.as_ref().map(CustomerInput::to_wit),
        lines: sold
            .map(|(line, made)| TaxableLine {
                line: line.id.clone(),
                product: line.product.clone(),
                sku: line.sku.clone(),
                kind: line.kind.to_wit(),
                tax_class: line.tax_class.clone(),
                quantity: line.quantity,
                net: taxed_net(quote, made),
                includes_tax: made.includes_tax,
                ship_from: from(line.warehouse.as_ref()).map(Address::to_wit),
            })
            .collect(),
        shipping: shipping
            .filter_map(|group| {
                let option = group.selected_option()?;
                Some(TaxableShipping {
                    group: group.id.clone(),
                    option_id: option.id.clone(),
                    tax_class: option.tax_class.clone(),
                    net: option.price - option.discount,
                    includes_tax: quote.policies.shipping_includes_tax,
                })
            })
            .collect(),
        attributes: Vec::new(),
    }
}

/// No tax component is bound, or it was left out: no taxes.
#[must_use]
pub fn skip(mut quote: Quote) -> Quote {
    quote.reset_from(Stage::Tax);
    quote
}

/// A line or a group's shipping as it was asked about.
struct Item {
    on: Place,
    net: i64,
    includes_tax: bool,
    quantity: i64,
    /// Sum of the contained rates, parts per million.
    contained: i64,
    /// What contained taxes may still take of the net amount.
    room: i64,
}

/// Index in the quote.
#[derive(Clone, Copy)]
enum Place {
    Line(usize),
    Group(usize),
}

/// Takes the taxes.
///
/// # Errors
/// A line or group unknown or not asked about, a flag that contradicts the price, a rate out of range,
/// neither rate nor amount, a taxable amount above net, an amount that fits neither its rate nor its
/// bounds, too many items, or sums that overflow.
pub fn apply_result(
    _inputs: &Inputs,
    mut quote: Quote,
    by: &Component,
    result: &TaxResult,
) -> Result<Quote, BrokenPromise> {
    at_most_items("entries", result.entries.len())?;
    at_most_items("messages", result.messages.len())?;
    quote.reset_from(Stage::Tax);
    let (mut items, index) = items(&quote);
    let mut placed = Vec::with_capacity(result.entries.len());
    for entry in &result.entries {
        let (kind, id) = match &entry.applies_to {
            AppliesTo::Line(id) => ("line", id),
            AppliesTo::Shipping(id) => ("shipping", id),
        };
        let at = *index.get(&(kind, id.clone())).ok_or_else(|| BrokenPromise {
            rule: Rule::UnknownId,
            detail: format!("tax {} on {kind} {}", cut(&entry.name), cut(id)),
        })?;
        check(&quote, entry, &items[at])?;
        items[at].contained += if entry.included { i64::from(entry.rate.unwrap_or(0)) } else { 0 };
        placed.push(at);
    }
    let amounts = amounts(&quote, &result.entries, &placed, &items)?;
    quote.took_part(Stage::Tax, by);
    quote.say_all(Stage::Tax, &by.name, &result.messages);
    let mut noted: HashMap<(&str, &str, Option<u32>), usize> = HashMap::new();
    for ((entry, at), wanted) in result.entries.iter().zip(&placed).zip(amounts) {
        let item = &mut items[*at];
        let amount = if entry.included {
            let given = entry.amount.is_some();
            promise(Rule::TaxAmount, !given || wanted <= item.room, || {
                format!("contained taxes of {} are above its net {}", cut(&entry.name), item.net)
            })?;
            let amount = wanted.min(item.room);
            item.room -= amount;
            amount
        } else {
            wanted
        };
        let on = match item.on {
            Place::Line(line) => {
                let made = &mut quote.lines[line];
                let slot = if entry.included { &mut made.tax_included } else { &mut made.tax };
                *slot = sum([*slot, amount])?;
                TaxedItem::Line(made.id.clone())
            }
            Place::Group(group) => {
                let made = &mut quote.shipping[group];
                let slot = if entry.included { &mut made.tax_included } else { &mut made.tax };
                *slot = sum([*slot, amount])?;
                TaxedItem::Shipping(made.id.clone())
            }
        };
        // One trace entry for each tax; its amounts by line are in `taxes`.
        let key = (entry.jurisdiction.as_str(), entry.name.as_str(), entry.rate);
        if let Some(&noted) = noted.get(&key) {
            let known = &mut quote.trace[noted];
            known.amount = Some(sum([known.amount.unwrap_or(0), amount])?);
        } else {
            let before = quote.trace.len();
            let subject = format!("{} {}", entry.jurisdiction, entry.name);
            let told = TraceEntry::new(Stage::Tax, &by.name, What::Taxed).of(&subject).amount(amount);
            quote.note(told.because(reasons(&entry.reasons)));
            if quote.trace.get(before).is_some_and(|entry| entry.what == What::Taxed) {
                noted.insert(key, before);
            }
        }
        quote.taxes.push(Tax {
            on,
            jurisdiction: cut(&entry.jurisdiction),
            name: cut(&entry.name),
            kind: cut(&entry.kind),
            taxable: entry.taxable,
            rate: entry.rate,
            amount,
            included: entry.included,
        });
    }
    Ok(quote)
}

type Index = HashMap<(&'static str, String), usize>;

/// What [`build_request`] asked about, by kind and id.
fn items(quote: &Quote) -> (Vec<Item>, Index) {
    let mut items = Vec::with_capacity(quote.lines.len() + quote.shipping.len());
    let mut index = HashMap::with_capacity(items.capacity());
    let mut add = |kind, id: &String, on, net, includes_tax, quantity| {
        index.insert((kind, id.clone()), items.len());
        items.push(Item { on, net, includes_tax, quantity, contained: 0, room: net });
    };
    for (at, line) in quote.lines.iter().enumerate().filter(|(_, line)| line.unavailable.is_none()) {
        let quantity = i64::from(line.quantity.max(1));
        add("line", &line.id, Place::Line(at), taxed_net(quote, line), line.includes_tax, quantity);
    }
    for (at, group) in quote.shipping.iter().enumerate().filter(|_| quote.policies.tax_on_shipping) {
        if let Some(option) = group.selected_option() {
            let net = option.price - option.discount;
            add("shipping", &group.id, Place::Group(at), net, quote.policies.shipping_includes_tax, 1);
        }
    }
    (items, index)
}

fn check(quote: &Quote, entry: &TaxEntry, item: &Item) -> Result<(), BrokenPromise> {
    let name = || cut(&entry.name);
    promise(Rule::IncludedFlag, entry.included == item.includes_tax, || {
        format!("tax {} says included {}, the price says {}", name(), entry.included, item.includes_tax)
    })?;
    promise(Rule::TaxableAboveNet, (0..=item.net).contains(&entry.taxable), || {
        format!("taxable {} of tax {}, net is {}", entry.taxable, name(), item.net)
    })?;
    rate_in_range(|| format!("tax {}", name()), entry.rate.unwrap_or(0))?;
    let Some(amount) = entry.amount else {
        return promise(Rule::RateOrAmount, entry.rate.is_some(), || format!("tax {} has neither", name()));
    };
    not_negative(|| format!("amount of tax {}", name()), amount)?;
    // A service may round differently, by one minor unit, or by half of one for each unit of the line.
    let slack = (item.quantity / 2).max(1);
    let most = entry.taxable.saturating_add(if entry.included { 0 } else { slack });
    promise(Rule::TaxAmount, amount <= most, || {
        format!("tax {} is {amount} on a taxable amount of {}", name(), entry.taxable)
    })?;
    if let Some(rate) = entry.rate.filter(|_| !entry.included) {
        let exact = Exact::of(quote.money(entry.taxable)).checked_ratio(i64::from(rate), PPM)?;
        let expected = exact.round(Rounding::HalfUp)?.minor();
        promise(Rule::TaxAmount, amount.abs_diff(expected) <= slack.unsigned_abs(), || {
            format!("tax {} is {amount}, its rate of {rate} ppm gives {expected}", name())
        })?;
    }
    Ok(())
}

/// One amount for each entry, rounded by the policy where the component gave none.
fn amounts(
    quote: &Quote,
    entries: &[TaxEntry],
    placed: &[usize],
    items: &[Item],
) -> Result<Vec<i64>, BrokenPromise> {
    let rounding = quote.policies.rounding;
    let exact = |entry: &TaxEntry, item: &Item, units: i64| -> Result<Exact, BrokenPromise> {
        let rate = i64::from(entry.rate.unwrap_or(0));
        let whole = PPM + if entry.included { item.contained } else { 0 };
        Ok(Exact::of(quote.money(entry.taxable)).checked_ratio(rate, whole)?.checked_ratio(1, units)?)
    };
    let mut amounts = entries.iter().map(|entry| entry.amount.unwrap_or(0)).collect::<Vec<_>>();
    let open = || entries.iter().enumerate().filter(|(_, entry)| entry.amount.is_none());
    match quote.policies.tax_rounding {
        TaxRounding::Line => {
            for (at, entry) in open() {
                amounts[at] = exact(entry, &items[placed[at]], 1)?.round(rounding)?.minor();
            }
        }
        TaxRounding::Unit => {
            for (at, entry) in open() {
                let item = &items[placed[at]];
                let unit = exact(entry, item, item.quantity)?.round(rounding)?.minor();
                amounts[at] = unit.saturating_mul(item.quantity).min(entry.taxable);
            }
        }
        TaxRounding::SumPerRate => {
            let mut sums: Vec<(Exact, Vec<usize>)> = Vec::new();
            let mut known = HashMap::new();
            for (at, entry) in open() {
                let item = &items[placed[at]];
                let part = exact(entry, item, 1)?;
                let contained = if entry.included { Some(item.contained) } else { None };
                let key = (&entry.jurisdiction, &entry.name, &entry.kind, entry.rate, contained);
                let group = *known.entry(key).or_insert(sums.len());
                match sums.get_mut(group) {
                    Some((sum, members)) => {
                        *sum = sum.checked_add(part)?;
                        members.push(at);
                    }
                    None => sums.push((part, vec![at])),
                }
            }
            for (exact, members) in sums {
                let weights = members.iter().map(|at| entries[*at].taxable).collect::<Vec<_>>();
                let parts: Vec<Money> =
                    allocate(exact.round(rounding)?, &weights, quote.policies.allocation)?;
                members.iter().zip(parts).for_each(|(at, part)| amounts[*at] = part.minor());
            }
        }
    }
    Ok(amounts)
}
