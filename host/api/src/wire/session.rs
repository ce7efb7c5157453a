//! Checkout sessions.

use serde::Serialize;
use serde_json::{Value, json};
use till_commerce::quote::{DiscountKind, Inputs, LineInput, Quote, Requirement, TraceEntry, What};
use till_commerce::settings::TierBenefit;
use till_commerce::{PartWarning, Phase, SessionView};
use utoipa::ToSchema;

use super::quote::{MissingOut, QuoteOut, missing};
use super::{AddressOut, Amount, BookOut};

/// A checkout session.
#[derive(Debug, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub(crate) struct SessionOut {
    checkout_session_id: String,
    /// `editable`, `processing`, `action_required`, `payment_unknown`, `needs_attention`, `confirmed`,
    /// `cancelled` or `failed`. One that has expired is answered 410.
    status: &'static str,
    cart: SessionCartOut,
    customer: BookOut,
    promotions: Vec<PromotionOut>,
    loyalty: LoyaltyOut,
    /// What the shopper chose so far, saved defaults included.
    selection: SelectionOut,
    /// The price; absent until it could be computed.
    #[serde(skip_serializing_if = "Option::is_none")]
    quote: Option<QuoteOut>,
    /// What is missing before it can be submitted. Empty: it can be.
    requirements: Vec<RequirementOut>,
    /// Parts of this answer that could not be told and are empty; the checkout goes on without them.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    warnings: Vec<WarningOut>,
    /// Why it is editable again after a submit, or why it has no price: `component-failed`.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(value_type = Option<Object>)]
    problem: Option<Value>,
    /// What the buyer has to do at the gateway.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(value_type = Option<Object>)]
    action: Option<Value>,
    #[serde(skip_serializing_if = "Option::is_none")]
    order: Option<OrderRefOut>,
}

/// The cart of a session.
#[derive(Debug, Serialize, ToSchema)]
struct SessionCartOut {
    items: Vec<SessionItemOut>,
    totals: SubtotalOut,
}

/// A line of a session.
#[derive(Debug, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
struct SessionItemOut {
    id: String,
    product_id: String,
    sku: String,
    name: String,
    quantity: u32,
    unit_price: Amount,
    total_price: Amount,
    /// `available`, `insufficient`, `out_of_stock` or `unavailable`.
    stock_status: &'static str,
    /// For the shopper, where something is wrong.
    #[serde(skip_serializing_if = "Option::is_none")]
    message: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    available_quantity: Option<u32>,
}

/// Goods before discounts.
#[derive(Debug, Serialize, ToSchema)]
struct SubtotalOut {
    subtotal: Amount,
    currency: String,
}

/// What was chosen so far.
#[derive(Debug, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
struct SelectionOut {
    #[serde(skip_serializing_if = "Option::is_none")]
    shipping_address: Option<AddressOut>,
    #[serde(skip_serializing_if = "Option::is_none")]
    billing_address: Option<AddressOut>,
    #[serde(skip_serializing_if = "Option::is_none")]
    shipping_method: Option<String>,
    promotion_codes: Vec<String>,
    loyalty_points_to_use: u64,
    /// Gift cards that were given.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    gift_cards: Vec<GivenCardOut>,
    /// Id of the means of payment.
    #[serde(skip_serializing_if = "Option::is_none")]
    payment_method: Option<String>,
    notes: String,
}

/// A gift card that was given.
#[derive(Debug, Serialize, ToSchema)]
struct GivenCardOut {
    last4: String,
    /// What it can pay.
    available: Amount,
}

/// A promotion that applies, or was refused.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct PromotionOut {
    /// Absent for a promotion without a code.
    #[serde(skip_serializing_if = "Option::is_none")]
    code: Option<String>,
    description: String,
    discount: Amount,
    applicable: bool,
    /// What is missing for it to apply.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    missing: Vec<MissingOut>,
}

/// Points and tier.
#[derive(Debug, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
struct LoyaltyOut {
    available_points: i64,
    /// What they are worth.
    points_value: Amount,
    /// Absent where the merchant shows none.
    #[serde(skip_serializing_if = "Option::is_none")]
    tier_benefits: Option<TierOut>,
}

/// What the buyer's tier gives.
#[derive(Debug, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub(crate) struct TierOut {
    free_shipping: bool,
    discount_percentage: Amount,
}

impl TierOut {
    pub(crate) fn new(benefit: &TierBenefit) -> TierOut {
        TierOut {
            free_shipping: benefit.free_shipping,
            discount_percentage: Amount::percent(benefit.discount_ppm),
        }
    }
}

/// A part that could not be told.
#[derive(Debug, Serialize, ToSchema)]
struct WarningOut {
    /// `part-failed`, `part-slow` or `component-omitted`.
    code: &'static str,
    /// `customer`, `loyalty`, `preferences`; of a component `pricing`, `promotions`, `shipping`, `tax`.
    part: &'static str,
    /// For people.
    detail: String,
}

impl WarningOut {
    fn new(warning: &PartWarning) -> WarningOut {
        WarningOut { code: warning.code, part: warning.part, detail: warning.detail.clone() }
    }
}

/// The order a session led to.
#[derive(Debug, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
struct OrderRefOut {
    order_id: String,
    order_number: String,
    status: String,
}

/// Something that is missing.
#[derive(Debug, Serialize, ToSchema)]
pub(super) struct RequirementOut {
    code: String,
    /// JSON path of what it is about.
    path: String,
    /// `client`, `buyer` or `merchant`.
    #[schema(value_type = String)]
    who: till_commerce::quote::Who,
}

impl RequirementOut {
    pub(super) fn new(requirement: &Requirement) -> RequirementOut {
        RequirementOut {
            code: requirement.code.clone(),
            path: requirement.path.clone(),
            who: requirement.who,
        }
    }
}

/// As a client reads where a session stands.
pub(crate) fn status(phase: Phase) -> &'static str {
    match phase {
        Phase::Editable => "editable",
        Phase::Busy => "processing",
        Phase::ActionRequired => "action_required",
        Phase::UnderReview => "under_review",
        Phase::PaymentUnknown => "payment_unknown",
        Phase::Parked => "needs_attention",
        Phase::Confirmed => "confirmed",
        Phase::Cancelled => "cancelled",
        Phase::Expired => "expired",
        Phase::Failed => "failed",
    }
}

impl SessionOut {
    pub(crate) fn new(view: &SessionView) -> SessionOut {
        let SessionView { inputs, settings, .. } = view;
        let currency = inputs.currency;
        let subtotal = inputs.lines.iter().map(|line| goods_total(view, line)).fold(0, i64::saturating_add);
        let points_value = view.points_balance.saturating_mul(i64::from(settings.points.minor_per_point));
        let tier = view.customer.tier.as_ref().filter(|_| settings.tier_benefits.shown);
        let tier = tier.and_then(|tier| settings.tier_benefits.tiers.get(tier));
        SessionOut {
            checkout_session_id: view.id.clone(),
            status: status(view.phase),
            cart: SessionCartOut {
                items: session_items(view),
                totals: SubtotalOut {
                    subtotal: Amount::of(subtotal, currency),
                    currency: currency.code().to_owned(),
                },
            },
            customer: BookOut::of_session(view),
            promotions: view.quote.as_ref().map(|quote| promotions(inputs, quote)).unwrap_or_default(),
            loyalty: LoyaltyOut {
                available_points: view.points_balance,
                points_value: Amount::of(points_value, currency),
                tier_benefits: tier.map(TierOut::new),
            },
            selection: SelectionOut {
                shipping_address: inputs.shipping_address.as_ref().map(AddressOut::new),
                billing_address: inputs.billing_address.as_ref().map(AddressOut::new),
                shipping_method: inputs.shipping_option.clone(),
                promotion_codes: inputs.codes.iter().map(|c| c.typed().to_owned()).collect(),
                loyalty_points_to_use: inputs.points_to_use,
                gift_cards: inputs
                    .gift_cards
                    .iter()
                    .map(|card| GivenCardOut {
                        last4: card.last4.clone(),
                        available: Amount::of(card.available, currency),
                    })
                    .collect(),
                payment_method: inputs.payment_method.as_ref().map(|m| m.id.clone()),
                notes: inputs.notes.clone(),
            },
            quote: QuoteOut::of(view),
            requirements: view.requirements.iter().map(RequirementOut::new).collect(),
            warnings: view.warnings.iter().map(WarningOut::new).collect(),
            problem: view.problem.as_ref().map(shown_problem).or_else(|| component_failed(view)),
            action: view.action.clone(),
            order: view.order.as_ref().map(|order| OrderRefOut {
                order_id: order.id.clone(),
                order_number: order.number.clone(),
                status: order.status.clone(),
            }),
        }
    }
}

/// A session's problem without what is ours: the hash of the request, and an amount in minor units.
fn shown_problem(problem: &Value) -> Value {
    let mut shown = problem.clone();
    if let Some(shown) = shown.as_object_mut() {
        shown.remove("hash");
        shown.remove("total");
    }
    shown
}

/// A line before discounts; without a quote at the catalog's price.
fn goods_total(view: &SessionView, line: &LineInput) -> i64 {
    let made = view.quote.as_ref().and_then(|quote| quote.line(&line.id));
    made.map_or_else(|| line.catalog_price.saturating_mul(i64::from(line.quantity)), |made| made.total)
}

/// A component that did not answer, as a problem of a session that waits for the shopper.
fn component_failed(view: &SessionView) -> Option<Value> {
    let fault = view.fault.as_ref().filter(|_| view.phase == Phase::Editable)?;
    Some(json!({ "code": "component-failed", "fault": fault["code"], "text": fault["text"] }))
}

fn session_items(view: &SessionView) -> Vec<SessionItemOut> {
    let currency = view.inputs.currency;
    let items = view.inputs.lines.iter().map(|line| {
        let made = view.quote.as_ref().and_then(|quote| quote.line(&line.id));
        let unavailable = made.and_then(|made| made.unavailable.as_ref());
        let (stock_status, message) = match (line.stock, unavailable) {
            _ if line.withdrawn => ("unavailable", Some("Product no longer available".to_owned())),
            (_, Some(reason)) => ("unavailable", Some(reason.text.clone())),
            (Some(0), _) => ("out_of_stock", Some("Product out of stock".to_owned())),
            (Some(units), _) if units < line.quantity => {
                ("insufficient", Some(format!("Only {units} items available")))
            }
            _ => ("available", None),
        };
        SessionItemOut {
            id: line.id.clone(),
            product_id: line.product.clone(),
            sku: line.sku.clone(),
            name: line.title.clone(),
            quantity: line.quantity,
            unit_price: Amount::of(made.map_or(line.catalog_price, |made| made.unit_price), currency),
            total_price: Amount::of(goods_total(view, line), currency),
            stock_status,
            message,
            available_quantity: line.stock.filter(|units| *units < line.quantity),
        }
    });
    items.collect()
}

/// Every promotion that takes something off, then every code and every promotion without one that does not, with what
/// is missing.
pub(crate) fn promotions(inputs: &Inputs, quote: &Quote) -> Vec<PromotionOut> {
    let typed = |code: &String| {
        let known = inputs.codes.iter().find(|input| input.code.eq_ignore_ascii_case(code));
        known.map_or_else(|| code.clone(), |input| input.typed().to_owned())
    };
    let given = quote.discounts.iter().filter(|off| off.kind == DiscountKind::Promotion);
    let mut all: Vec<PromotionOut> = Vec::new();
    for off in given {
        let code = off.code.as_ref().map(typed);
        let same = all.iter().position(|p| code.is_some() && p.code == code);
        match same {
            // One code may take off goods and shipping.
            Some(at) => {
                let sum = quote.discounts.iter().filter(|d| d.code == off.code).map(|d| d.amount);
                all[at].discount = Amount::of(sum.fold(0, i64::saturating_add), quote.currency);
            }
            None => all.push(PromotionOut {
                code,
                description: off.title.clone(),
                discount: Amount::of(off.amount, quote.currency),
                applicable: true,
                missing: vec![],
            }),
        }
    }
    let refused =
        || quote.trace.iter().filter(|entry| matches!(entry.what, What::Refused | What::NotApplied));
    let not = |code: Option<String>, about: Option<&TraceEntry>, host: Option<&str>| {
        let missing = about.map(|entry| entry.missing.iter().map(missing).collect()).unwrap_or_default();
        let text = about.and_then(|entry| {
            let missing = entry.missing.first().map(|m| m.text.clone());
            missing.or_else(|| entry.reasons.first().map(|r| r.text.clone()))
        });
        let text = host.map(str::to_owned).or(text);
        PromotionOut {
            code,
            description: text.unwrap_or_else(|| "This code does not apply".to_owned()),
            discount: Amount::of(0, quote.currency),
            applicable: false,
            missing,
        }
    };
    for input in &inputs.codes {
        if all.iter().any(|p| p.code.as_ref().is_some_and(|code| code.eq_ignore_ascii_case(input.typed()))) {
            continue;
        }
        let of = |name: &String| name.eq_ignore_ascii_case(&input.code);
        let about = refused().rfind(|entry| entry.subject.as_ref().is_some_and(of));
        let offered = quote.messages.iter().find(|message| {
            let at = inputs.codes.iter().position(|other| other == input);
            message.path.as_ref().zip(at).is_some_and(|(path, at)| *path == format!("$.codes[{at}]"))
        });
        let host = offered.filter(|_| about.is_none()).map(|message| message.text.as_str());
        all.push(not(Some(input.typed().to_owned()), about, host));
    }
    for entry in refused().filter(|entry| entry.what == What::Refused && !entry.missing.is_empty()) {
        let code = inputs
            .codes
            .iter()
            .any(|input| entry.subject.as_ref().is_some_and(|name| name.eq_ignore_ascii_case(&input.code)));
        if !code {
            all.push(not(None, Some(entry), None));
        }
    }
    all
}
