//! What clients read: the seeds' shapes, made from the shop's records.
//!
//! Amounts are JSON numbers with exactly the currency's digits, written from integers ([`Amount`]); times are
//! RFC 3339. Nothing here decides anything.

use serde::Serialize;
use serde_json::Value;
use serde_json::value::RawValue;
use till_commerce::cart::Cart;
use till_commerce::catalog::{Availability, Customer, Product};
use till_commerce::checkout::{Order, TimelineEntry};
use till_commerce::quote::{
    Address, DiscountKind, Entry, Message, Missing, Quote, Reason, Requirement, ShippingGroup, Stage,
    TaxedItem, What,
};
use till_commerce::{Phase, SessionView};
use till_model::money::{Currency, Money};
use utoipa::openapi::RefOr;
use utoipa::openapi::schema::{ObjectBuilder, Schema, Type};
use utoipa::{PartialSchema, ToSchema};

/// An exact decimal amount as a JSON number: `75.00`.
#[derive(Debug, Clone, Serialize)]
#[serde(transparent)]
pub(crate) struct Amount(Box<RawValue>);

impl Amount {
    /// An amount in minor units.
    pub(crate) fn of(minor: i64, currency: Currency) -> Amount {
        Amount::text(Money::from_minor(minor, currency).to_decimal_string())
    }

    /// A share in parts per million, as per cent: `5` or `8.381`.
    fn percent(ppm: u32) -> Amount {
        let (whole, rest) = (ppm / 10_000, ppm % 10_000);
        let text = match rest {
            0 => whole.to_string(),
            rest => format!("{whole}.{rest:04}").trim_end_matches('0').to_owned(),
        };
        Amount::text(text)
    }

    fn text(text: String) -> Amount {
        Amount(RawValue::from_string(text).expect("digits with a point are a JSON number"))
    }
}

impl PartialSchema for Amount {
    fn schema() -> RefOr<Schema> {
        let text =
            "Exact decimal in major units with the currency's digits; read it as a decimal, not as a float.";
        ObjectBuilder::new().schema_type(Type::Number).description(Some(text)).into()
    }
}

impl ToSchema for Amount {}

/// Epoch microseconds as RFC 3339, to the millisecond.
pub(crate) fn time(us: i64) -> String {
    let ms = us.div_euclid(1000);
    jiff::Timestamp::from_millisecond(ms)
        .map_or_else(|_| "0000-01-01T00:00:00Z".to_owned(), |t| t.to_string())
}

/// Epoch milliseconds as RFC 3339.
fn time_ms(ms: u64) -> String {
    time(i64::try_from(ms).unwrap_or(i64::MAX).saturating_mul(1000))
}

/// The day of a time, in UTC.
fn day(ms: u64) -> String {
    time_ms(ms).split('T').next().unwrap_or_default().to_owned()
}

/// A page of a list.
#[derive(Debug, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub(crate) struct ProductsOut {
    /// Products in the order of their ids.
    products: Vec<ProductOut>,
    /// Give it as `cursor` to read on; absent on the last page.
    #[serde(skip_serializing_if = "Option::is_none")]
    next_cursor: Option<String>,
}

impl ProductsOut {
    pub(crate) fn new(products: &[(Product, Vec<Availability>)], limit: i64) -> ProductsOut {
        let full = i64::try_from(products.len()).is_ok_and(|n| n >= limit);
        let next_cursor = products.last().filter(|_| full).map(|(product, _)| product.id.clone());
        let products =
            products.iter().filter(|(p, _)| p.active).map(|(p, s)| ProductOut::new(p, s)).collect();
        ProductsOut { products, next_cursor }
    }
}

/// A product with its price and stock.
#[derive(Debug, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub(crate) struct ProductOut {
    id: String,
    sku: String,
    name: String,
    description: String,
    images: Vec<String>,
    price: Amount,
    #[serde(skip_serializing_if = "Option::is_none")]
    compare_at_price: Option<Amount>,
    currency: String,
    categories: Vec<String>,
    tags: Vec<String>,
    active: bool,
    /// `available`, `out_of_stock` or `not_counted`.
    stock_status: &'static str,
    stock: Vec<StockOut>,
}

/// Units of a warehouse that can be sold.
#[derive(Debug, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
struct StockOut {
    warehouse_id: String,
    available: i64,
}

impl ProductOut {
    pub(crate) fn new(product: &Product, stock: &[Availability]) -> ProductOut {
        let stock_status = match (product.stocked, stock.iter().any(|s| s.available > 0)) {
            (false, _) => "not_counted",
            (true, true) => "available",
            (true, false) => "out_of_stock",
        };
        ProductOut {
            id: product.id.clone(),
            sku: product.sku.clone(),
            name: product.name.clone(),
            description: product.description.clone(),
            images: product.images.clone(),
            price: Amount::of(product.price, product.currency),
            compare_at_price: product.compare_at.map(|price| Amount::of(price, product.currency)),
            currency: product.currency.code().to_owned(),
            categories: product.categories.clone(),
            tags: product.tags.clone(),
            active: product.active,
            stock_status,
            stock: stock
                .iter()
                .map(|s| StockOut { warehouse_id: s.warehouse.clone(), available: s.available.max(0) })
                .collect(),
        }
    }
}

/// The answer to everything about a cart.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct CartAnswer {
    success: bool,
    cart: CartOut,
}

/// A cart.
#[derive(Debug, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
struct CartOut {
    /// Empty while nothing was put in.
    id: String,
    customer_id: String,
    items: Vec<CartItemOut>,
    totals: CartTotalsOut,
    #[serde(skip_serializing_if = "Option::is_none")]
    updated_at: Option<String>,
}

/// A line of a cart.
#[derive(Debug, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
struct CartItemOut {
    id: String,
    product_id: String,
    sku: String,
    name: String,
    quantity: u32,
    unit_price: Amount,
    total_price: Amount,
    warehouse: Option<String>,
    added_at: String,
}

/// Sums of a cart.
#[derive(Debug, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
struct CartTotalsOut {
    subtotal: Amount,
    /// Units in sum.
    item_count: u64,
    currency: String,
}

impl CartAnswer {
    pub(crate) fn new(cart: &Cart) -> CartAnswer {
        let line_total = |units: u32, price: i64| price.saturating_mul(i64::from(units));
        let subtotal =
            cart.items.iter().map(|i| line_total(i.quantity, i.unit_price)).fold(0, i64::saturating_add);
        let items = cart.items.iter().map(|item| CartItemOut {
            id: item.id.clone(),
            product_id: item.product.clone(),
            sku: item.sku.clone(),
            name: item.name.clone(),
            quantity: item.quantity,
            unit_price: Amount::of(item.unit_price, cart.currency),
            total_price: Amount::of(line_total(item.quantity, item.unit_price), cart.currency),
            warehouse: item.warehouse.clone(),
            added_at: time(item.added_us),
        });
        CartAnswer {
            success: true,
            cart: CartOut {
                id: cart.id.clone(),
                customer_id: cart.customer.clone(),
                items: items.collect(),
                totals: CartTotalsOut {
                    subtotal: Amount::of(subtotal, cart.currency),
                    item_count: cart.items.iter().map(|i| u64::from(i.quantity)).sum(),
                    currency: cart.currency.code().to_owned(),
                },
                updated_at: (cart.updated_us != 0).then(|| time(cart.updated_us)),
            },
        }
    }
}

/// A checkout session.
#[derive(Debug, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub(crate) struct SessionOut {
    checkout_session_id: String,
    /// `editable`, `processing`, `action_required`, `payment_unknown`, `needs_attention`, `confirmed`,
    /// `cancelled` or `failed`. One that has expired is answered 410.
    status: &'static str,
    cart: SessionCartOut,
    customer: CustomerOut,
    promotions: Vec<PromotionOut>,
    loyalty: LoyaltyOut,
    /// What the shopper chose so far, saved defaults included.
    selection: SelectionOut,
    /// The price; absent until it could be computed.
    #[serde(skip_serializing_if = "Option::is_none")]
    quote: Option<QuoteOut>,
    /// What is missing before it can be submitted. Empty: it can be.
    requirements: Vec<RequirementOut>,
    /// Why it is editable again after a submit.
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

/// The buyer.
#[derive(Debug, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
struct CustomerOut {
    addresses: Vec<SavedAddressOut>,
    payment_methods: Vec<MethodOut>,
}

/// A saved address.
#[derive(Debug, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
struct SavedAddressOut {
    id: String,
    /// `shipping` or `billing`.
    #[serde(rename = "type")]
    kind: String,
    street: String,
    city: String,
    state: String,
    zip_code: String,
    country: String,
    is_default: bool,
}

/// A saved means of payment, without its token.
#[derive(Debug, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
struct MethodOut {
    id: String,
    #[serde(rename = "type")]
    kind: String,
    last4: String,
    brand: String,
    is_default: bool,
}

/// An address.
#[derive(Debug, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
struct AddressOut {
    #[serde(skip_serializing_if = "String::is_empty")]
    name: String,
    #[serde(skip_serializing_if = "String::is_empty")]
    company: String,
    /// Lines between line breaks.
    street: String,
    city: String,
    state: String,
    zip_code: String,
    country: String,
    #[serde(skip_serializing_if = "String::is_empty")]
    phone: String,
}

impl AddressOut {
    fn new(address: &Address) -> AddressOut {
        AddressOut {
            name: address.name.clone(),
            company: address.company.clone(),
            street: address.street.join("\n"),
            city: address.city.clone(),
            state: address.region.clone(),
            zip_code: address.postal_code.clone(),
            country: address.country.clone(),
            phone: address.phone.clone(),
        }
    }
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
    /// Id of the means of payment.
    #[serde(skip_serializing_if = "Option::is_none")]
    payment_method: Option<String>,
    notes: String,
}

/// A promotion that applies, or was refused.
#[derive(Debug, Serialize, ToSchema)]
struct PromotionOut {
    /// Absent for a promotion without a code.
    #[serde(skip_serializing_if = "Option::is_none")]
    code: Option<String>,
    description: String,
    discount: Amount,
    applicable: bool,
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
struct TierOut {
    free_shipping: bool,
    discount_percentage: Amount,
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
struct RequirementOut {
    code: String,
    /// JSON path of what it is about.
    path: String,
    /// `client`, `buyer` or `merchant`.
    #[schema(value_type = String)]
    who: till_commerce::quote::Who,
}

impl RequirementOut {
    fn new(requirement: &Requirement) -> RequirementOut {
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
        let subtotal = match &view.quote {
            Some(quote) => quote.lines.iter().map(|l| l.total).fold(0, i64::saturating_add),
            None => 0,
        };
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
            customer: CustomerOut::new(&view.customer),
            promotions: view.quote.as_ref().map(|quote| promotions(view, quote)).unwrap_or_default(),
            loyalty: LoyaltyOut {
                available_points: view.points_balance,
                points_value: Amount::of(points_value, currency),
                tier_benefits: tier.map(|tier| TierOut {
                    free_shipping: tier.free_shipping,
                    discount_percentage: Amount::percent(tier.discount_ppm),
                }),
            },
            selection: SelectionOut {
                shipping_address: inputs.shipping_address.as_ref().map(AddressOut::new),
                billing_address: inputs.billing_address.as_ref().map(AddressOut::new),
                shipping_method: inputs.shipping_option.clone(),
                promotion_codes: inputs.codes.iter().map(|c| c.code.clone()).collect(),
                loyalty_points_to_use: inputs.points_to_use,
                payment_method: inputs.payment_method.as_ref().map(|m| m.id.clone()),
                notes: inputs.notes.clone(),
            },
            quote: QuoteOut::of(view),
            requirements: view.requirements.iter().map(RequirementOut::new).collect(),
            problem: view.problem.as_ref().map(shown_problem),
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
            total_price: Amount::of(
                made.map_or_else(
                    || line.catalog_price.saturating_mul(i64::from(line.quantity)),
                    |made| made.total,
                ),
                currency,
            ),
            stock_status,
            message,
            available_quantity: line.stock.filter(|units| *units < line.quantity),
        }
    });
    items.collect()
}

impl CustomerOut {
    fn new(customer: &Customer) -> CustomerOut {
        CustomerOut {
            addresses: customer
                .addresses
                .iter()
                .map(|saved| SavedAddressOut {
                    id: saved.id.clone(),
                    kind: saved.kind.clone(),
                    street: saved.address.street.join("\n"),
                    city: saved.address.city.clone(),
                    state: saved.address.region.clone(),
                    zip_code: saved.address.postal_code.clone(),
                    country: saved.address.country.clone(),
                    is_default: saved.default,
                })
                .collect(),
            payment_methods: customer
                .payment_methods
                .iter()
                .map(|saved| MethodOut {
                    id: saved.id.clone(),
                    kind: saved.kind.clone(),
                    last4: saved.last4.clone(),
                    brand: saved.brand.clone(),
                    is_default: saved.default,
                })
                .collect(),
        }
    }
}

/// Every promotion that takes something off, then every code that does not, with the reason.
fn promotions(view: &SessionView, quote: &Quote) -> Vec<PromotionOut> {
    let given = quote.discounts.iter().filter(|off| off.kind == DiscountKind::Promotion);
    let mut all: Vec<PromotionOut> = Vec::new();
    for off in given {
        let same = all.iter().position(|p| off.code.is_some() && p.code == off.code);
        match same {
            // One code may take off goods and shipping.
            Some(at) => {
                let sum = quote.discounts.iter().filter(|d| d.code == off.code).map(|d| d.amount);
                all[at].discount = Amount::of(sum.fold(0, i64::saturating_add), quote.currency);
            }
            None => all.push(PromotionOut {
                code: off.code.clone(),
                description: off.title.clone(),
                discount: Amount::of(off.amount, quote.currency),
                applicable: true,
            }),
        }
    }
    for typed in &view.inputs.codes {
        if all.iter().any(|p| p.code.as_ref().is_some_and(|code| code.eq_ignore_ascii_case(&typed.code))) {
            continue;
        }
        let about = quote.trace.iter().rev().find(|entry| {
            matches!(entry.what, What::Refused | What::NotApplied)
                && entry.subject.as_ref().is_some_and(|s| s.eq_ignore_ascii_case(&typed.code))
        });
        let text = about.and_then(|entry| {
            let missing = entry.missing.first().map(|m| m.text.clone());
            missing.or_else(|| entry.reasons.first().map(|r| r.text.clone()))
        });
        all.push(PromotionOut {
            code: Some(typed.code.clone()),
            description: text.unwrap_or_else(|| "This code does not apply".to_owned()),
            discount: Amount::of(0, quote.currency),
            applicable: false,
        });
    }
    all
}

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
struct TraceOut {
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
struct MissingOut {
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
                    code: off.code.clone(),
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

fn trace(entries: &[till_commerce::quote::TraceEntry], currency: Currency) -> Vec<TraceOut> {
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

fn missing(missing: &Missing) -> MissingOut {
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

/// A list of orders.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct OrdersOut {
    /// Newest first.
    orders: Vec<OrderOut>,
}

impl OrdersOut {
    pub(crate) fn new(orders: &[Order]) -> OrdersOut {
        OrdersOut { orders: orders.iter().map(OrderOut::with_timeline).collect() }
    }
}

/// An order.
#[derive(Debug, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub(crate) struct OrderOut {
    order_id: String,
    order_number: String,
    status: String,
    customer_id: String,
    items: Vec<OrderItemOut>,
    pricing: PricingOut,
    payment: OrderPaymentOut,
    shipping: OrderShippingOut,
    loyalty: OrderLoyaltyOut,
    timestamps: TimestampsOut,
    /// Where the goods go. Not in the answer to a submit.
    #[serde(skip_serializing_if = "Option::is_none")]
    shipping_address: Option<AddressOut>,
    /// What became of it. Not in the answer to a submit.
    #[serde(skip_serializing_if = "Option::is_none")]
    timeline: Option<Vec<TimelineOut>>,
    /// Why each amount is what it is. Not in the answer to a submit.
    #[serde(skip_serializing_if = "Option::is_none")]
    trace: Option<Vec<TraceOut>>,
}

/// A line of an order.
#[derive(Debug, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
struct OrderItemOut {
    product_id: String,
    sku: String,
    name: String,
    quantity: u32,
    unit_price: Amount,
    total_price: Amount,
    warehouse: Option<String>,
}

/// Sums of an order.
#[derive(Debug, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
struct PricingOut {
    subtotal: Amount,
    discounts: Vec<OrderDiscountOut>,
    total_discounts: Amount,
    shipping: Amount,
    tax: Amount,
    /// Contained in the prices; only where there is some.
    #[serde(skip_serializing_if = "Option::is_none")]
    tax_included: Option<Amount>,
    total: Amount,
    currency: String,
}

/// Something taken off.
#[derive(Debug, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
struct OrderDiscountOut {
    /// `promotion`, `tier_benefit` or `loyalty_points`.
    #[serde(rename = "type")]
    #[schema(value_type = String)]
    kind: DiscountKind,
    #[serde(skip_serializing_if = "Option::is_none")]
    code: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    points_used: Option<u64>,
    amount: Amount,
}

/// How it was paid.
#[derive(Debug, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
struct OrderPaymentOut {
    /// The gateway's id; null until it is known.
    transaction_id: Option<String>,
    method: String,
    /// `PENDING`, `COMPLETED`, `FAILED` or `NONE`.
    status: String,
    last4: String,
}

/// How it is shipped.
#[derive(Debug, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
struct OrderShippingOut {
    method: Option<String>,
    cost: Amount,
    estimated_delivery: Option<String>,
    tracking_number: Option<String>,
    warehouse: Option<String>,
}

/// Points.
#[derive(Debug, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
struct OrderLoyaltyOut {
    points_earned: u64,
    points_used: u64,
    /// Null until the order is confirmed.
    new_balance: Option<i64>,
}

/// When.
#[derive(Debug, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
struct TimestampsOut {
    created_at: String,
    confirmed_at: Option<String>,
}

/// One fact of an order's life.
#[derive(Debug, Serialize, ToSchema)]
struct TimelineOut {
    status: String,
    timestamp: String,
    note: String,
}

impl OrderOut {
    /// In the seed's exact shape.
    pub(crate) fn new(order: &Order) -> OrderOut {
        let receipt = &order.receipt;
        let money = |minor: i64| Amount::of(minor, order.currency);
        let filled = |text: &String| Some(text.clone()).filter(|t| !t.is_empty());
        let first = receipt.shipping.first();
        let cost = receipt.shipping.iter().map(|s| s.cost).fold(0, i64::saturating_add);
        let warehouse = first.and_then(|s| s.warehouse.clone());
        OrderOut {
            order_id: order.id.clone(),
            order_number: order.number.clone(),
            status: order.status.clone(),
            customer_id: order.customer.clone(),
            items: receipt
                .items
                .iter()
                .map(|item| OrderItemOut {
                    product_id: item.product.clone(),
                    sku: item.sku.clone(),
                    name: item.name.clone(),
                    quantity: item.quantity,
                    unit_price: money(item.unit_price),
                    total_price: money(item.total),
                    warehouse: item.warehouse.clone(),
                })
                .collect(),
            pricing: PricingOut {
                subtotal: money(receipt.totals.subtotal),
                discounts: receipt
                    .discounts
                    .iter()
                    .map(|off| OrderDiscountOut {
                        kind: off.kind,
                        code: off.code.clone(),
                        points_used: (off.kind == DiscountKind::LoyaltyPoints).then_some(off.points),
                        amount: money(off.amount),
                    })
                    .collect(),
                total_discounts: money(receipt.totals.discounts),
                shipping: money(receipt.totals.shipping),
                tax: money(receipt.totals.tax),
                tax_included: Some(receipt.totals.tax_included).filter(|tax| *tax != 0).map(money),
                total: money(receipt.totals.total),
                currency: order.currency.code().to_owned(),
            },
            payment: OrderPaymentOut {
                transaction_id: filled(&receipt.payment.reference),
                method: receipt.payment.method.clone(),
                status: receipt.payment.status.clone(),
                last4: receipt.payment.last4.clone(),
            },
            shipping: OrderShippingOut {
                method: first.map(|s| s.method.clone()),
                cost: money(cost),
                estimated_delivery: receipt.shipping.iter().filter_map(|s| s.latest_ms).max().map(day),
                tracking_number: None,
                warehouse: warehouse.or_else(|| receipt.items.first().and_then(|i| i.warehouse.clone())),
            },
            loyalty: OrderLoyaltyOut {
                points_earned: receipt.totals.points_earned,
                points_used: receipt.totals.points_used,
                new_balance: receipt.points_balance,
            },
            timestamps: TimestampsOut {
                created_at: time(order.created_us),
                confirmed_at: order.confirmed_us.map(time),
            },
            shipping_address: None,
            timeline: None,
            trace: None,
        }
    }

    /// With address, timeline and trace.
    pub(crate) fn with_timeline(order: &Order) -> OrderOut {
        let timeline = order.timeline.iter().map(|TimelineEntry { status, at_us, note }| TimelineOut {
            status: status.clone(),
            timestamp: time(*at_us),
            note: note.clone(),
        });
        OrderOut {
            shipping_address: order.receipt.shipping_address.as_ref().map(AddressOut::new),
            timeline: Some(timeline.collect()),
            trace: Some(trace(&order.receipt.trace, order.currency)),
            ..OrderOut::new(order)
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn text(minor: i64, code: &str) -> String {
        serde_json::to_string(&Amount::of(minor, Currency::from_code(code).unwrap())).unwrap()
    }

    #[test]
    fn amounts_are_numbers_with_the_currencys_digits() {
        assert_eq!(text(7500, "USD"), "75.00");
        assert_eq!(text(-7, "USD"), "-0.07");
        assert_eq!(text(500, "JPY"), "500");
        assert_eq!(text(250, "KWD"), "0.250");
        assert_eq!(text(9_007_199_254_740_993, "USD"), "90071992547409.93");
        assert_eq!(text(i64::MIN, "USD"), "-92233720368547758.08");
    }

    #[test]
    fn amounts_come_back_as_they_went_out() {
        let usd = Currency::from_code("USD").unwrap();
        for minor in [0, 1, -1, 47_117, i64::MAX, i64::MIN] {
            let out = serde_json::to_string(&Amount::of(minor, usd)).unwrap();
            assert_eq!(Money::parse_decimal(&out, usd).unwrap().minor(), minor);
        }
    }

    #[test]
    fn shares_are_told_in_per_cent() {
        let text = |ppm| serde_json::to_string(&Amount::percent(ppm)).unwrap();
        assert_eq!(text(50_000), "5");
        assert_eq!(text(83_810), "8.381");
        assert_eq!(text(1), "0.0001");
        assert_eq!(text(1_000_000), "100");
    }

    #[test]
    fn times_are_rfc_3339_to_the_millisecond() {
        assert_eq!(time(1_723_300_200_000_000), "2024-08-10T14:30:00Z");
        assert_eq!(time(1_723_300_200_123_456), "2024-08-10T14:30:00.123Z");
        assert_eq!(day(1_723_680_000_000), "2024-08-15");
    }
}
