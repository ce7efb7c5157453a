//! Orders.

use serde::Serialize;
use till_commerce::checkout::{CONFIRMED, Order, TimelineEntry};
use till_commerce::events::notify::StatusWords;
use till_commerce::quote::DiscountKind;
use utoipa::ToSchema;

use super::quote::{GiftCardOut, TraceOut, trace};
use super::{AddressOut, Amount, day, time};

/// A list of orders.
#[derive(Debug, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub(crate) struct OrdersOut {
    /// Newest first.
    orders: Vec<OrderOut>,
    /// Where the next page begins; absent at the end.
    #[serde(skip_serializing_if = "Option::is_none")]
    next_cursor: Option<String>,
}

impl OrdersOut {
    pub(crate) fn new(orders: &[Order], words: &StatusWords, next_cursor: Option<String>) -> OrdersOut {
        OrdersOut {
            orders: orders.iter().map(|one| OrderOut::with_timeline(one, words)).collect(),
            next_cursor,
        }
    }
}

/// An order.
#[derive(Debug, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub(crate) struct OrderOut {
    order_id: String,
    order_number: String,
    status: String,
    /// What the shop calls it, in the customer's language. Not in the answer to a submit.
    #[serde(skip_serializing_if = "Option::is_none")]
    status_text: Option<String>,
    customer_id: String,
    items: Vec<OrderItemOut>,
    pricing: PricingOut,
    /// What gift cards paid of the total.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    gift_cards: Vec<GiftCardOut>,
    /// What the payment method was asked for; only where gift cards paid.
    #[serde(skip_serializing_if = "Option::is_none")]
    amount_due: Option<Amount>,
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
    /// Where its units come from; only where that is more than one warehouse.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    warehouses: Vec<PartOut>,
}

/// Units of a line that come from one warehouse.
#[derive(Debug, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
struct PartOut {
    warehouse_id: String,
    quantity: u32,
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
#[serde(rename_all = "camelCase")]
struct TimelineOut {
    status: String,
    /// What the shop calls it, in the customer's language.
    status_text: String,
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
            status_text: None,
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
                    warehouses: item
                        .parts
                        .iter()
                        .map(|part| PartOut { warehouse_id: part.warehouse.clone(), quantity: part.units })
                        .collect(),
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
            gift_cards: GiftCardOut::all(&receipt.gift_cards, order.currency),
            amount_due: (!receipt.gift_cards.is_empty()).then(|| money(receipt.due())),
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

    /// What a submit came to, whatever became of the order since.
    pub(crate) fn confirmed(order: &Order) -> OrderOut {
        OrderOut { status: CONFIRMED.to_owned(), ..OrderOut::new(order) }
    }

    /// With address, timeline and trace.
    pub(crate) fn with_timeline(order: &Order, words: &StatusWords) -> OrderOut {
        let timeline = order.timeline.iter().map(|TimelineEntry { status, at_us, note }| TimelineOut {
            status: status.clone(),
            status_text: words.of(status),
            timestamp: time(*at_us),
            note: note.clone(),
        });
        OrderOut {
            status_text: Some(words.of(&order.status)),
            shipping_address: order.receipt.shipping_address.as_ref().map(AddressOut::new),
            timeline: Some(timeline.collect()),
            trace: Some(trace(&order.receipt.trace, order.currency)),
            ..OrderOut::new(order)
        }
    }
}
