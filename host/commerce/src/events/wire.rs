//! Events as they are told outside: CloudEvents 1.0 in JSON, with data in the shop's words and exact amounts.

use serde::Serialize;
use serde_json::value::RawValue;
use serde_json::{Value, json};
use till_model::money::Money;
use till_store::tables::event::EventRow;

use crate::cart::CartItem;
use crate::catalog::Customer;
use crate::checkout::Order;
use crate::quote::{Address, DiscountKind};
use crate::shop::LeftCart;

/// An exact decimal amount as a JSON number: `75.00`.
type Amount = Box<RawValue>;

/// Where an event comes from.
fn source(merchant: &str) -> String {
    format!("/merchants/{merchant}/order-service")
}

/// The envelope. `data` is the event's own document.
#[derive(Serialize)]
struct CloudEvent<'a> {
    specversion: &'static str,
    id: &'a str,
    source: String,
    r#type: &'a str,
    #[serde(skip_serializing_if = "str::is_empty")]
    subject: &'a str,
    time: String,
    datacontenttype: &'static str,
    data: &'a RawValue,
}

/// An event of the log as it is sent: the same bytes each time.
pub(crate) fn cloud_event(merchant: &str, event: &EventRow) -> Result<String, serde_json::Error> {
    let data: &RawValue = serde_json::from_str(&event.body)?;
    serde_json::to_string(&CloudEvent {
        specversion: "1.0",
        id: &event.id,
        source: source(merchant),
        r#type: &event.topic,
        subject: &event.subject,
        time: time(event.at_us),
        datacontenttype: "application/json",
        data,
    })
}

/// Epoch microseconds as RFC 3339, to the millisecond.
pub fn time(us: i64) -> String {
    jiff::Timestamp::from_millisecond(us.div_euclid(1000))
        .map_or_else(|_| "0000-01-01T00:00:00Z".to_owned(), |time| time.to_string())
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct OrderData<'a> {
    order_id: &'a str,
    order_number: &'a str,
    customer_id: &'a str,
    status: &'a str,
    items: Vec<Item<'a>>,
    totals: Totals,
    promotions: Vec<Promotion<'a>>,
    customer: Buyer<'a>,
    addresses: Addresses<'a>,
    payment: Payment<'a>,
    loyalty: Loyalty,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Item<'a> {
    product_id: &'a str,
    sku: &'a str,
    name: &'a str,
    quantity: u32,
    unit_price: Amount,
    total_price: Amount,
}

#[derive(Serialize)]
struct Totals {
    subtotal: Amount,
    discounts: Amount,
    shipping: Amount,
    tax: Amount,
    total: Amount,
    currency: String,
}

#[derive(Serialize)]
struct Promotion<'a> {
    code: &'a str,
    amount: Amount,
}

#[derive(Serialize)]
struct Buyer<'a> {
    id: &'a str,
    email: &'a str,
    tier: Option<&'a str>,
}

#[derive(Serialize)]
struct Addresses<'a> {
    #[serde(skip_serializing_if = "Option::is_none")]
    shipping: Option<Place<'a>>,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Place<'a> {
    street: String,
    city: &'a str,
    state: &'a str,
    zip_code: &'a str,
    country: &'a str,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Payment<'a> {
    method: &'a str,
    transaction_id: &'a str,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Loyalty {
    points_earned: u64,
    points_used: u64,
}

fn place(address: &Address) -> Place<'_> {
    Place {
        street: address.street.join("\n"),
        city: &address.city,
        state: &address.region,
        zip_code: &address.postal_code,
        country: &address.country,
    }
}

/// What `order.created` and `order.processing` say: the whole order.
pub(crate) fn order_data(order: &Order, customer: &Customer) -> Result<String, serde_json::Error> {
    let receipt = &order.receipt;
    let money = |minor: i64| Money::from_minor(minor, order.currency).to_json_number();
    let totals = &receipt.totals;
    let with_code = receipt.discounts.iter().filter(|off| off.kind == DiscountKind::Promotion);
    serde_json::to_string(&OrderData {
        order_id: &order.id,
        order_number: &order.number,
        customer_id: &order.customer,
        status: &order.status,
        items: receipt
            .items
            .iter()
            .map(|item| Item {
                product_id: &item.product,
                sku: &item.sku,
                name: &item.name,
                quantity: item.quantity,
                unit_price: money(item.unit_price),
                total_price: money(item.total),
            })
            .collect(),
        totals: Totals {
            subtotal: money(totals.subtotal),
            discounts: money(totals.discounts),
            shipping: money(totals.shipping),
            tax: money(totals.tax),
            total: money(totals.total),
            currency: order.currency.code().to_owned(),
        },
        promotions: with_code
            .map(|off| Promotion {
                code: off.code.as_deref().unwrap_or(&off.title),
                amount: money(off.amount),
            })
            .collect(),
        customer: Buyer { id: &order.customer, email: &customer.email, tier: customer.tier.as_deref() },
        addresses: Addresses { shipping: receipt.shipping_address.as_ref().map(place) },
        payment: Payment { method: &receipt.payment.method, transaction_id: &receipt.payment.reference },
        loyalty: Loyalty { points_earned: totals.points_earned, points_used: totals.points_used },
    })
}

/// What `payment.completed` says.
pub(crate) fn payment_data(order: &Order) -> Result<String, serde_json::Error> {
    #[derive(Serialize)]
    #[serde(rename_all = "camelCase")]
    struct Data<'a> {
        order_id: &'a str,
        order_number: &'a str,
        customer_id: &'a str,
        amount: Amount,
        currency: &'a str,
        payment_id: &'a str,
        method: &'a str,
    }
    serde_json::to_string(&Data {
        order_id: &order.id,
        order_number: &order.number,
        customer_id: &order.customer,
        amount: Money::from_minor(order.receipt.totals.total, order.currency).to_json_number(),
        currency: order.currency.code(),
        payment_id: &order.receipt.payment.reference,
        method: &order.receipt.payment.method,
    })
}

/// What `cart.abandoned` says: the cart as it was left.
pub(crate) fn cart_data(left: &LeftCart) -> Result<String, serde_json::Error> {
    #[derive(Serialize)]
    #[serde(rename_all = "camelCase")]
    struct Data<'a> {
        cart_id: &'a str,
        customer_id: &'a str,
        customer: Contact<'a>,
        items: Vec<Item<'a>>,
        totals: Sum,
        updated_at: String,
    }
    #[derive(Serialize)]
    struct Contact<'a> {
        id: &'a str,
        email: &'a str,
    }
    #[derive(Serialize)]
    #[serde(rename_all = "camelCase")]
    struct Sum {
        subtotal: Amount,
        item_count: u64,
        currency: String,
    }
    let LeftCart { cart, email, updated_us } = left;
    let money = |minor: i64| Money::from_minor(minor, cart.currency).to_json_number();
    let total = |item: &CartItem| item.unit_price.saturating_mul(i64::from(item.quantity));
    let items = cart.items.iter().map(|item| Item {
        product_id: &item.product,
        sku: &item.sku,
        name: &item.name,
        quantity: item.quantity,
        unit_price: money(item.unit_price),
        total_price: money(total(item)),
    });
    serde_json::to_string(&Data {
        cart_id: &cart.id,
        customer_id: &cart.customer,
        customer: Contact { id: &cart.customer, email },
        items: items.collect(),
        totals: Sum {
            subtotal: money(cart.items.iter().map(total).fold(0, i64::saturating_add)),
            item_count: cart.items.iter().map(|item| u64::from(item.quantity)).sum(),
            currency: cart.currency.code().to_owned(),
        },
        updated_at: time(*updated_us),
    })
}

/// What all other facts about an order say: their own words, and whose order it is.
pub(crate) fn fact_data(order: &Order, fact: &Value) -> String {
    let mut told = fact.clone();
    told["orderId"] = json!(order.id);
    told["orderNumber"] = json!(order.number);
    told["customerId"] = json!(order.customer);
    told.to_string()
}
