//! Totals as ordered, typed, signed entries: per line, per shipping option and per checkout.
//!
//! The last entry of each list is the sum of those before it.

use serde::Serialize;

use super::{DiscountKind, Quote, ShippingGroup};

/// What an entry is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum EntryKind {
    /// Goods before discounts.
    Subtotal,
    /// Taken off goods by a promotion. Negative.
    Discount,
    /// Taken off by points. Negative.
    LoyaltyPoints,
    /// Gross shipping.
    Shipping,
    /// Taken off shipping. Negative.
    ShippingDiscount,
    /// Added tax.
    Tax,
    /// The sum.
    Total,
}

/// A signed amount with its meaning.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Entry {
    /// What it is.
    pub kind: EntryKind,
    /// Id of the discount, group or tax it comes from; empty for sums.
    pub source: String,
    /// For people; empty where the kind says all.
    pub title: String,
    /// Minor units, signed.
    pub amount: i64,
}

fn entry(kind: EntryKind, source: &str, title: &str, amount: i64) -> Entry {
    Entry { kind, source: source.to_owned(), title: title.to_owned(), amount }
}

fn closed(mut entries: Vec<Entry>) -> Vec<Entry> {
    let total = entries.iter().map(|entry| entry.amount).fold(0_i64, i64::saturating_add);
    entries.push(entry(EntryKind::Total, "", "", total));
    entries
}

impl Quote {
    /// Entries of one line; empty when it is unknown.
    #[must_use]
    pub fn line_entries(&self, id: &str) -> Vec<Entry> {
        let Some(line) = self.line(id) else { return Vec::new() };
        let mut entries = vec![entry(EntryKind::Subtotal, "", "", line.total)];
        for off in &self.discounts {
            let kind = match off.kind {
                DiscountKind::LoyaltyPoints => EntryKind::LoyaltyPoints,
                DiscountKind::Promotion | DiscountKind::TierBenefit => EntryKind::Discount,
            };
            let shares = off.lines.iter().filter(|share| share.of == id);
            entries.extend(shares.map(|share| entry(kind, &off.id, &off.title, -share.amount)));
        }
        if line.tax != 0 {
            entries.push(entry(EntryKind::Tax, "", "", line.tax));
        }
        closed(entries)
    }

    /// Entries of a shipping option, before tax: gross price and what promotions take off when it is
    /// chosen. Empty when it is unknown.
    #[must_use]
    pub fn option_entries(&self, group: &str, option: &str) -> Vec<Entry> {
        let groups = self.shipping.iter().filter(|known| known.id == group);
        let Some(option) = groups.flat_map(|known| &known.options).find(|known| known.id == option) else {
            return Vec::new();
        };
        let mut entries = vec![entry(EntryKind::Shipping, group, &option.title, option.price)];
        if option.discount != 0 {
            entries.push(entry(EntryKind::ShippingDiscount, group, "", -option.discount));
        }
        closed(entries)
    }

    /// Entries of the whole checkout.
    #[must_use]
    pub fn entries(&self) -> Vec<Entry> {
        let subtotal = self.lines.iter().map(|line| line.total).fold(0_i64, i64::saturating_add);
        let mut entries = vec![entry(EntryKind::Subtotal, "", "", subtotal)];
        for off in &self.discounts {
            let kind = match off.kind {
                DiscountKind::LoyaltyPoints => EntryKind::LoyaltyPoints,
                _ if !off.shipping.is_empty() => EntryKind::ShippingDiscount,
                DiscountKind::Promotion | DiscountKind::TierBenefit => EntryKind::Discount,
            };
            entries.push(entry(kind, &off.id, &off.title, -off.amount));
        }
        // Gross shipping stands before what is taken off it.
        let at = entries.iter().position(|entry| entry.kind == EntryKind::ShippingDiscount);
        let chosen = |group: &ShippingGroup| {
            let option = group.selected_option()?;
            Some(entry(EntryKind::Shipping, &group.id, &option.title, option.price))
        };
        let shipping = self.shipping.iter().filter_map(chosen).collect::<Vec<_>>();
        let at = at.unwrap_or(entries.len());
        entries.splice(at..at, shipping);
        let mut taxes: Vec<Entry> = Vec::new();
        for tax in self.taxes.iter().filter(|tax| !tax.included) {
            match taxes.iter_mut().find(|entry| entry.source == tax.jurisdiction && entry.title == tax.name) {
                Some(known) => known.amount = known.amount.saturating_add(tax.amount),
                None => taxes.push(entry(EntryKind::Tax, &tax.jurisdiction, &tax.name, tax.amount)),
            }
        }
        entries.extend(taxes);
        closed(entries)
    }
}
