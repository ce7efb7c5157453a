//! The priced cart of a session, and why each amount is what it is.

use serde::Serialize;
use till_commerce::SessionView;
use till_commerce::gift_card::GiftCardPart;
use till_commerce::quote::{
    DiscountKind, Entry, Message, Missing, Reason, ShippingGroup, Stage, TaxedItem, What,
};
use till_model::money::Currency;
use utoipa::ToSchema;

use super::session::RequirementOut;
use super::{Amount, day};

/// A priced cart.
#[derive(Debug, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub(crate) struct QuoteOut {
    /// Names this price; a submit may carry it as `quote`.
    token: String,
    currency: String,
    /// Absent until everything could be added up.
    #[serde(skip_serializing_if = "Option::is_none")]
    totals: Option<TotalsOut>,
    /// What gift cards pay of the total.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    gift_cards: Vec<GiftCardOut>,
    /// What is left of the total for the payment method; only where gift cards pay.
    #[serde(skip_serializing_if = "Option::is_none")]
    amount_due: Option<Amount>,
    /// The same as ordered, signed entries; the last is the sum.
    entries: Vec<EntryOut>,
    lines: Vec<QuoteLineOut>,
    discounts: Vec<QuoteDiscountOut>,
    shipping_options: Vec<OptionOut>,
    taxes: Vec<TaxOut>,
    messages: Vec<MessageOut>,
    /// Why the amounts are what they are.
    trace: Vec<TraceOut>,
    requirements: Vec<RequirementOut>,
}

/// What a gift card pays.
#[derive(Debug, Serialize, ToSchema)]
pub(super) struct GiftCardOut {
    last4: String,
    amount: Amount,
}

impl GiftCardOut {
    pub(super) fn all(parts: &[GiftCardPart], currency: Currency) -> Vec<GiftCardOut> {
        let one = |part: &GiftCardPart| GiftCardOut {
            last4: part.last4.clone(),
            amount: Amount::of(part.amount, currency),
        };
        parts.iter().map(one).collect()
    }
}

/// Sums: `subtotal - discounts + shipping + tax = total`.
#[derive(Debug, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
struct TotalsOut {
    subtotal: Amount,
    discounts: Amount,
    shipping: Amount,
    tax: Amount,
    /// Contained in the prices, not added.
    tax_included: Amount,
    total: Amount,
    points_used: u64,
    points_earned: u64,
}

/// A signed amount with its meaning.
#[derive(Debug, Serialize, ToSchema)]
struct EntryOut {
    #[serde(rename = "type")]
    #[schema(value_type = String)]
    kind: till_commerce::quote::EntryKind,
    #[serde(skip_serializing_if = "String::is_empty")]
    source: String,
    #[serde(skip_serializing_if = "String::is_empty")]
    title: String,
    amount: Amount,
}

/// A priced line.
#[derive(Debug, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
struct QuoteLineOut {
    id: String,
    quantity: u32,
    unit_price: Amount,
    total_price: Amount,
    discount: Amount,
    points: Amount,
    tax: Amount,
    #[serde(skip_serializing_if = "Option::is_none")]
    compare_at_price: Option<Amount>,
    #[serde(skip_serializing_if = "Option::is_none")]
    unavailable: Option<ReasonOut>,
}

/// Why, in one line.
#[derive(Debug, Serialize, ToSchema)]
struct ReasonOut {
    code: String,
    text: String,
}

/// Something taken off.
#[derive(Debug, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
struct QuoteDiscountOut {
    id: String,
    /// `promotion`, `tier_benefit` or `loyalty_points`.
    #[serde(rename = "type")]
    #[schema(value_type = String)]
    kind: DiscountKind,
    #[serde(skip_serializing_if = "Option::is_none")]
    code: Option<String>,
    description: String,
    automatic: bool,
    amount: Amount,
    #[serde(skip_serializing_if = "Option::is_none")]
    points_used: Option<u64>,
    allocations: Vec<ShareOut>,
}

/// A part of a discount.
#[derive(Debug, Serialize, ToSchema)]
struct ShareOut {
    /// Id of the line or of the shipping group.
    of: String,
    amount: Amount,
}

/// A way to ship a group.
#[derive(Debug, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
struct OptionOut {
    group: String,
    /// Give it as `shippingMethod`.
    id: String,
    title: String,
    carrier: String,
    service: String,
    cost: Amount,
    /// What promotions take off when it is chosen.
    discount: Amount,
    #[serde(skip_serializing_if = "Option::is_none")]
    earliest_delivery: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    estimated_delivery: Option<String>,
    selected: bool,
}

/// A tax on a line or on shipping.
#[derive(Debug, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
struct TaxOut {
    /// Id of the line or group.
    on: String,
    jurisdiction: String,
    name: String,
    taxable: Amount,
    #[serde(skip_serializing_if = "Option::is_none")]
    rate_percentage: Option<Amount>,
    amount: Amount,
    included: bool,
}

/// A message beside the result.
#[derive(Debug, Serialize, ToSchema)]
struct MessageOut {
    /// `error`, `warning` or `info`.
    #[serde(rename = "type")]
    #[schema(value_type = String)]
    kind: till_commerce::quote::MessageKind,
    #[schema(value_type = String)]
    severity: till_commerce::quote::Severity,
    by: String,
    code: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    path: Option<String>,
    text: String,
}

/// One line of the decision trace.
#[derive(Debug, Serialize, ToSchema)]
pub(super) struct TraceOut {
    #[schema(value_type = String)]
    stage: Stage,
    by: String,
    #[schema(value_type = String)]
    what: What,
    #[serde(skip_serializing_if = "Option::is_none")]
    subject: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    amount: Option<Amount>,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    reasons: Vec<ReasonOut>,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    missing: Vec<MissingOut>,
}

/// What is missing for a promotion to apply.
#[derive(Debug, Serialize, ToSchema)]
pub(super) struct MissingOut {
    code: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    quantity: Option<i64>,
    text: String,
}

impl QuoteOut {
    /// The quote of a session, if it has one.
    pub(crate) fn of(view: &SessionView) -> Option<QuoteOut> {
        let quote = view.quote.as_ref()?;
        let money = |minor: i64| Amount::of(minor, quote.currency);
        Some(QuoteOut {
            token: view.quote_token.clone().unwrap_or_default(),
            currency: quote.currency.code().to_owned(),
            totals: quote.totals.map(|totals| TotalsOut {
                subtotal: money(totals.subtotal),
                discounts: money(totals.discounts),
                shipping: money(totals.shipping),
                tax: money(totals.tax),
                tax_included: money(totals.tax_included),
                total: money(totals.total),
                points_used: totals.points_used,
                points_earned: totals.points_earned,
            }),
            gift_cards: GiftCardOut::all(&quote.gift_cards, quote.currency),
            amount_due: quote.due().filter(|_| !quote.gift_cards.is_empty()).map(|due| money(due.minor())),
            entries: quote
                .entries()
                .into_iter()
                .map(|Entry { kind, source, title, amount }| EntryOut {
                    kind,
                    source,
                    title,
                    amount: money(amount),
                })
                .collect(),
            lines: quote
                .lines
                .iter()
                .map(|line| QuoteLineOut {
                    id: line.id.clone(),
                    quantity: line.quantity,
                    unit_price: money(line.unit_price),
                    total_price: money(line.total),
                    discount: money(line.discount),
                    points: money(line.points),
                    tax: money(line.tax),
                    compare_at_price: line.compare_at.map(money),
                    unavailable: line.unavailable.as_ref().map(reason),
                })
                .collect(),
            discounts: quote
                .discounts
                .iter()
                .map(|off| QuoteDiscountOut {
                    id: off.id.clone(),
                    kind: off.kind,
                    code: off.code.as_ref().map(|code| view.inputs.typed(code).to_owned()),
                    description: off.title.clone(),
                    automatic: off.automatic,
                    amount: money(off.amount),
                    points_used: (off.kind == DiscountKind::LoyaltyPoints).then_some(off.points),
                    allocations: off
                        .lines
                        .iter()
                        .chain(&off.shipping)
                        .map(|share| ShareOut { of: share.of.clone(), amount: money(share.amount) })
                        .collect(),
                })
                .collect(),
            shipping_options: quote
                .shipping
                .iter()
                .flat_map(|group| options(group, quote.currency))
                .collect(),
            taxes: quote
                .taxes
                .iter()
                .map(|tax| TaxOut {
                    on: match &tax.on {
                        TaxedItem::Line(id) | TaxedItem::Shipping(id) => id.clone(),
                    },
                    jurisdiction: tax.jurisdiction.clone(),
                    name: tax.name.clone(),
                    taxable: money(tax.taxable),
                    rate_percentage: tax.rate.map(Amount::percent),
                    amount: money(tax.amount),
                    included: tax.included,
                })
                .collect(),
            messages: quote.messages.iter().map(message).collect(),
            trace: trace(&quote.trace, quote.currency),
            requirements: view.requirements.iter().map(RequirementOut::new).collect(),
        })
    }
}

pub(super) fn trace(entries: &[till_commerce::quote::TraceEntry], currency: Currency) -> Vec<TraceOut> {
    let one = |entry: &till_commerce::quote::TraceEntry| TraceOut {
        stage: entry.stage,
        by: entry.by.clone(),
        what: entry.what,
        subject: entry.subject.clone(),
        amount: entry.amount.map(|minor| Amount::of(minor, currency)),
        reasons: entry.reasons.iter().map(reason).collect(),
        missing: entry.missing.iter().map(missing).collect(),
    };
    entries.iter().map(one).collect()
}

fn reason(reason: &Reason) -> ReasonOut {
    ReasonOut { code: reason.code.clone(), text: reason.text.clone() }
}

pub(super) fn missing(missing: &Missing) -> MissingOut {
    MissingOut { code: missing.code.clone(), quantity: missing.quantity, text: missing.text.clone() }
}

fn message(message: &Message) -> MessageOut {
    MessageOut {
        kind: message.kind,
        severity: message.severity,
        by: message.by.clone(),
        code: message.code.clone(),
        path: message.path.clone(),
        text: message.text.clone(),
    }
}

fn options(group: &ShippingGroup, currency: Currency) -> Vec<OptionOut> {
    let made = group.options.iter().map(|option| OptionOut {
        group: group.id.clone(),
        id: option.id.clone(),
        title: option.title.clone(),
        carrier: option.carrier.clone(),
        service: option.service.clone(),
        cost: Amount::of(option.price, currency),
        discount: Amount::of(option.discount, currency),
        earliest_delivery: option.earliest_ms.map(day),
        estimated_delivery: option.latest_ms.map(day),
        selected: group.selected.as_ref() == Some(&option.id),
    });
    made.collect()
}
