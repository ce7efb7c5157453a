//! What differs between two quotes of one cart: in money, by rule, and in reasons.

use std::collections::{BTreeMap, BTreeSet};

use serde::{Deserialize, Serialize};

use crate::quote::{Quote, TaxedItem, TraceEntry};

/// Reasons told for each side of a difference.
const REASONS_MAX: usize = 20;

/// What a rule does.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum RuleKind {
    /// The price of a line, by its id.
    Price,
    /// A promotion or points, by its id. Negative.
    Discount,
    /// The chosen shipping, by its option.
    Shipping,
    /// A tax, by jurisdiction and name.
    Tax,
    /// A tax contained in the prices, by jurisdiction and name. The total does not change with it.
    TaxIncluded,
}

/// A rule with its amounts on both sides, minor units. None: it did not apply.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct RuleChange {
    /// What it does.
    pub kind: RuleKind,
    /// Its id.
    pub rule: String,
    /// With the active component.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub before: Option<i64>,
    /// With the one on trial.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub after: Option<i64>,
}

impl RuleChange {
    /// What it changes, minor units.
    pub fn delta(&self) -> i64 {
        self.after.unwrap_or(0).saturating_sub(self.before.unwrap_or(0))
    }
}

/// What differs between two quotes.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Difference {
    /// ISO 4217.
    pub currency: String,
    /// Total with the active component, minor units.
    pub before: i64,
    /// Total with the one on trial, minor units. None: it failed.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub after: Option<i64>,
    /// Rules whose amounts differ.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub rules: Vec<RuleChange>,
    /// Reasons given before only.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub reasons_before: Vec<String>,
    /// Reasons given after only.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub reasons_after: Vec<String>,
    /// Why the one on trial could not answer.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub failure: Option<String>,
}

impl Difference {
    /// What the total changes, minor units.
    pub fn delta(&self) -> i64 {
        self.after.map_or(0, |after| after.saturating_sub(self.before))
    }

    /// The one on trial could not answer.
    pub(crate) fn failed(before: &Quote, why: String) -> Difference {
        Difference {
            currency: before.currency.code().to_owned(),
            before: total(before),
            after: None,
            rules: vec![],
            reasons_before: vec![],
            reasons_after: vec![],
            failure: Some(why),
        }
    }
}

fn total(quote: &Quote) -> i64 {
    quote.totals.map_or(0, |totals| totals.total)
}

/// Amounts of a quote by rule, minor units; what is taken off is negative.
fn rules(quote: &Quote) -> BTreeMap<(RuleKind, String), i64> {
    let mut rules = BTreeMap::new();
    let mut add = |kind, rule: String, amount: i64| {
        let sum = rules.entry((kind, rule)).or_insert(0_i64);
        *sum = sum.saturating_add(amount);
    };
    for line in &quote.lines {
        add(RuleKind::Price, line.id.clone(), line.total);
    }
    for off in &quote.discounts {
        add(RuleKind::Discount, off.promotion.clone(), -off.amount);
    }
    for group in &quote.shipping {
        if let Some(option) = group.selected_option() {
            add(RuleKind::Shipping, format!("{}/{}", group.id, option.id), option.price);
        }
    }
    for tax in &quote.taxes {
        let of = if matches!(tax.on, TaxedItem::Shipping(_)) { " on shipping" } else { "" };
        let kind = if tax.included { RuleKind::TaxIncluded } else { RuleKind::Tax };
        add(kind, format!("{} {}{of}", tax.jurisdiction, tax.name), tax.amount);
    }
    rules
}

/// Reasons of a quote, without amounts: those are compared by rule.
fn reasons(quote: &Quote) -> BTreeSet<String> {
    let told = |entry: &TraceEntry| {
        let subject = entry.subject.clone().unwrap_or_default();
        let what = serde_json::to_value(entry.what).unwrap_or_default();
        let head = format!("{} {subject}", what.as_str().unwrap_or_default());
        if entry.reasons.is_empty() {
            return vec![head];
        }
        entry.reasons.iter().map(|reason| format!("{head}: {} ({})", reason.text, reason.code)).collect()
    };
    quote.trace.iter().flat_map(told).collect()
}

/// What differs. None: neither an amount nor a reason.
pub fn compare(before: &Quote, after: &Quote) -> Option<Difference> {
    let (was, is) = (rules(before), rules(after));
    let keys: BTreeSet<&(RuleKind, String)> = was.keys().chain(is.keys()).collect();
    let changed = |key: &&(RuleKind, String)| was.get(*key) != is.get(*key);
    let rules: Vec<RuleChange> = keys
        .into_iter()
        .filter(changed)
        .map(|key| RuleChange {
            kind: key.0,
            rule: key.1.clone(),
            before: was.get(key).copied(),
            after: is.get(key).copied(),
        })
        .collect();
    let (was, is) = (reasons(before), reasons(after));
    let only = |one: &BTreeSet<String>, other: &BTreeSet<String>| -> Vec<String> {
        one.difference(other).take(REASONS_MAX).cloned().collect()
    };
    let difference = Difference {
        currency: before.currency.code().to_owned(),
        before: total(before),
        after: Some(total(after)),
        rules,
        reasons_before: only(&was, &is),
        reasons_after: only(&is, &was),
        failure: None,
    };
    let same = difference.rules.is_empty()
        && difference.delta() == 0
        && difference.reasons_before.is_empty()
        && difference.reasons_after.is_empty();
    (!same).then_some(difference)
}
