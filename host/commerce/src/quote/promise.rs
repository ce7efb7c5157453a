//! The invariants that the host checks in every answer of a component, by name.

use std::fmt;

use till_model::money::MoneyError;

/// Most items in one list of an answer: lines, candidates, options, tax entries.
pub const ITEMS_MAX: usize = 10_000;

/// An invariant of the contract. Its [`code`](Rule::code) is stable.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Rule {
    /// An id was not in the request.
    UnknownId,
    /// Each line of the request has one answer.
    LineAnsweredOnce,
    /// No price and no line is below zero.
    NegativeAmount,
    /// A discount is not above what it is taken from.
    DiscountAboveBase,
    /// A rate is within 0 and 1,000,000 parts per million.
    RateOutOfRange,
    /// `included` of a tax says the same as the price it is on.
    IncludedFlag,
    /// At most 10,000 items.
    TooManyItems,
    /// Option ids are unique within their group, and neither empty nor too long.
    OptionId,
    /// What is taxed is within 0 and the net amount.
    TaxableAboveNet,
    /// A tax amount fits its taxable amount and its rate.
    TaxAmount,
    /// A tax has a rate or an amount.
    RateOrAmount,
    /// Units of a line are within 1 and its quantity, each line once.
    Units,
    /// Everything fits 64-bit minor units.
    Overflow,
    /// `subtotal − discounts + shipping + tax = total`, per line and in sum. Ours to keep.
    SumsAddUp,
}

impl Rule {
    /// Stable name, lowercase with hyphens.
    #[must_use]
    pub fn code(self) -> &'static str {
        match self {
            Rule::UnknownId => "unknown-id",
            Rule::LineAnsweredOnce => "line-answered-once",
            Rule::NegativeAmount => "negative-amount",
            Rule::DiscountAboveBase => "discount-above-base",
            Rule::RateOutOfRange => "rate-out-of-range",
            Rule::IncludedFlag => "included-flag",
            Rule::TooManyItems => "too-many-items",
            Rule::OptionId => "option-id",
            Rule::TaxableAboveNet => "taxable-above-net",
            Rule::TaxAmount => "tax-amount",
            Rule::RateOrAmount => "rate-or-amount",
            Rule::Units => "units",
            Rule::Overflow => "overflow",
            Rule::SumsAddUp => "sums-add-up",
        }
    }
}

impl fmt::Display for Rule {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.code())
    }
}

/// An answer broke an invariant. The caller follows the failure policy of the binding.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("keep the promise `{rule}`: {detail}")]
pub struct BrokenPromise {
    /// Which one.
    pub rule: Rule,
    /// Where, with the values found.
    pub detail: String,
}

impl From<MoneyError> for BrokenPromise {
    fn from(error: MoneyError) -> BrokenPromise {
        BrokenPromise { rule: Rule::Overflow, detail: error.to_string() }
    }
}

/// Refuses unless `holds`.
pub(super) fn promise(rule: Rule, holds: bool, detail: impl FnOnce() -> String) -> Result<(), BrokenPromise> {
    if holds { Ok(()) } else { Err(BrokenPromise { rule, detail: detail() }) }
}

pub(super) fn at_most_items(what: &str, found: usize) -> Result<(), BrokenPromise> {
    promise(Rule::TooManyItems, found <= ITEMS_MAX, || format!("{found} {what}, at most {ITEMS_MAX}"))
}

pub(super) fn not_negative(what: impl FnOnce() -> String, amount: i64) -> Result<(), BrokenPromise> {
    promise(Rule::NegativeAmount, amount >= 0, || format!("{} is {amount}", what()))
}

pub(super) fn rate_in_range(what: impl FnOnce() -> String, ppm: u32) -> Result<(), BrokenPromise> {
    promise(Rule::RateOutOfRange, ppm <= 1_000_000, || format!("{} is {ppm} ppm", what()))
}

/// The sum, or the rule `overflow`.
pub(super) fn sum(parts: impl IntoIterator<Item = i64>) -> Result<i64, BrokenPromise> {
    let sum = parts.into_iter().map(i128::from).sum::<i128>();
    i64::try_from(sum)
        .map_err(|_| BrokenPromise { rule: Rule::Overflow, detail: format!("a sum of {sum} minor units") })
}
