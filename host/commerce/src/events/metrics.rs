//! What is counted of orders and of checkouts that became none, by day. Counted as it happens, and again from the log
//! whenever somebody asks.
//!
//! A checkout is counted when it ends, so every stage of the funnel is of the same checkouts. What is delivered is
//! counted on the day of its order's confirmation, for the same reason.

use std::collections::{BTreeMap, BTreeSet};

use serde::Deserialize;
use serde_json::value::RawValue;
use till_engine::instance::Instance;
use till_model::money::{Currency, Money};
use till_store::tables::audience::MetricRow;
use till_store::tables::event::EventRow;
use till_store::{Error as StoreError, Tx};

use super::{Events, wire};
use crate::checkout::{self, Order, order_from_row};
use crate::quote::{DiscountKind, Quote};
use crate::settings::Settings;
use crate::shop::{CART_ABANDONED, CHECKOUT, is_guest};

/// What there is. Amounts: totals of orders; what was taken off; shipping; tax; goods before discounts by product; what a
/// promotion took off; totals of the orders a promotion (or `none`) was in; totals by stage of the funnel, by how a
/// checkout was lost, by who bought, by units in the order, by method of payment. Counts: orders, units of a product, uses
/// of a promotion, checkouts.
pub const METRICS: [&str; 14] = [
    "orders",
    "discounts",
    "shipping",
    "tax",
    "product",
    "promotion",
    "promotion-orders",
    "promotion-customers",
    "funnel",
    "lost",
    "abandoned-carts",
    "customers",
    "basket",
    "payment-method",
];
/// Rows of one answer.
pub const METRIC_ROWS_MAX: i64 = 10_000;
/// Events read at once when all is counted again.
const READ_AT_ONCE: i64 = 500;

/// Stages of the funnel, in their order: a checkout began; its payment was tried; it became an order; that arrived.
pub const STAGES: [&str; 4] = ["started", "payment", "confirmed", "delivered"];
/// How a checkout ends that becomes no order: topics of its last event, and the word for it.
const LOST: [(&str, &str); 3] =
    [("checkout.cancelled", "cancelled"), ("checkout.expired", "expired"), ("checkout.failed", "failed")];
/// Units in an order: label and the most it has. An order of more is `10+`.
const BASKETS: [(&str, u64); 3] = [("1", 1), ("2-3", 3), ("4-9", 9)];
/// Label of orders without any promotion.
pub const NO_PROMOTION: &str = "none";

/// Who bought.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Buyer {
    Guest,
    /// The first order.
    New,
    Returning,
}

impl Buyer {
    fn label(self) -> &'static str {
        match self {
            Buyer::Guest => "guest",
            Buyer::New => "new",
            Buyer::Returning => "returning",
        }
    }
}

fn day(at_us: i64) -> String {
    wire::time(at_us).split('T').next().unwrap_or_default().to_owned()
}

/// Titles of promotions are components' words, and of any length: a label is part of a key.
const LABEL_CHARS_MAX: usize = 200;

/// Makes rows of one day and currency.
struct Rows {
    day: String,
    currency: String,
    rows: Vec<MetricRow>,
}

impl Rows {
    fn of(at_us: i64, currency: &str) -> Rows {
        Rows { day: day(at_us), currency: currency.to_owned(), rows: vec![] }
    }

    fn add(&mut self, name: &str, label: &str, count: i64, amount: i64) {
        self.rows.push(MetricRow {
            day: self.day.clone(),
            name: name.to_owned(),
            label: label.chars().filter(|c| !c.is_control()).take(LABEL_CHARS_MAX).collect(),
            currency: self.currency.clone(),
            count,
            amount,
        });
    }
}

/// What a confirmed order adds.
pub(super) fn of_order(order: &Order, at_us: i64, buyer: Buyer) -> Vec<MetricRow> {
    let receipt = &order.receipt;
    let total = receipt.totals.total;
    let mut rows = Rows::of(at_us, order.currency.code());
    rows.add("orders", "", 1, total);
    rows.add("discounts", "", 1, receipt.totals.discounts);
    rows.add("shipping", "", 1, receipt.totals.shipping);
    rows.add("tax", "", 1, receipt.totals.tax);
    for item in &receipt.items {
        rows.add("product", &item.product, i64::from(item.quantity), item.total);
    }
    let mut promotions = BTreeSet::new();
    for off in receipt.discounts.iter().filter(|off| off.kind == DiscountKind::Promotion) {
        let label = off.code.as_deref().filter(|_| !off.unique).unwrap_or(&off.title);
        rows.add("promotion", label, 1, off.amount);
        promotions.insert(label);
    }
    if promotions.is_empty() {
        rows.add("promotion-orders", NO_PROMOTION, 1, total);
    }
    for label in promotions {
        rows.add("promotion-orders", label, 1, total);
        if buyer == Buyer::New {
            rows.add("promotion-customers", label, 1, total);
        }
    }
    for stage in &STAGES[..3] {
        rows.add("funnel", stage, 1, total);
    }
    rows.add("customers", buyer.label(), 1, total);
    let units: u64 = receipt.items.iter().map(|item| u64::from(item.quantity)).sum();
    let basket = BASKETS.iter().find(|(_, most)| units <= *most).map_or("10+", |(label, _)| label);
    rows.add("basket", basket, 1, total);
    let method = receipt.payment.method.as_str();
    rows.add("payment-method", if method.is_empty() { "none" } else { method }, 1, receipt.due());
    rows.rows
}

/// What an order adds when it arrives.
pub(super) fn of_delivery(order: &Order) -> Vec<MetricRow> {
    let mut rows = Rows::of(order.confirmed_us.unwrap_or(order.created_us), order.currency.code());
    rows.add("funnel", "delivered", 1, order.receipt.totals.total);
    rows.rows
}

/// How a topic says that a checkout was lost.
pub(super) fn lost(topic: &str) -> Option<&'static str> {
    LOST.iter().find(|(known, _)| *known == topic).map(|(_, word)| *word)
}

/// What a checkout adds that ended without an order.
fn of_lost(checkout: &Instance, how: &str, at_us: i64) -> Vec<MetricRow> {
    let part = |name: &str| checkout.context.get(name).cloned();
    let quote: Option<Quote> = part("quote").and_then(|quote| serde_json::from_value(quote).ok());
    let settings: Option<Settings> = part("settings").and_then(|known| serde_json::from_value(known).ok());
    let currency = match (&quote, settings) {
        (Some(quote), _) => quote.currency,
        (None, settings) => settings.unwrap_or_default().currency,
    };
    let total = quote.and_then(|quote| quote.totals).map_or(0, |totals| totals.total);
    let mut rows = Rows::of(at_us, currency.code());
    rows.add("funnel", "started", 1, total);
    if part("order").is_some_and(|order| !order.is_null()) {
        rows.add("funnel", "payment", 1, total);
    }
    rows.add("lost", how, 1, total);
    rows.rows
}

/// What a cart adds that was left, as its event tells it.
fn of_left_cart(body: &str, at_us: i64) -> Option<Vec<MetricRow>> {
    #[derive(Deserialize)]
    struct Left<'b> {
        #[serde(borrow)]
        totals: Sum<'b>,
    }
    #[derive(Deserialize)]
    struct Sum<'b> {
        #[serde(borrow)]
        subtotal: &'b RawValue,
        currency: Currency,
    }
    let Left { totals } = serde_json::from_str(body).ok()?;
    let value = Money::parse_decimal(totals.subtotal.get(), totals.currency).ok()?;
    let mut rows = Rows::of(at_us, totals.currency.code());
    rows.add("abandoned-carts", "", 1, value.minor());
    Some(rows.rows)
}

/// What an event adds that says how a cart or a checkout was lost; nothing for another one. `body`: as it is told.
pub(super) async fn of_end(
    tx: &mut Tx,
    merchant: &str,
    topic: &str,
    body: &str,
    at_us: i64,
) -> Result<Vec<MetricRow>, StoreError> {
    if topic == CART_ABANDONED {
        return of_left_cart(body, at_us)
            .ok_or_else(|| StoreError::Corrupt("a cart that was left".to_owned()));
    }
    let Some(how) = lost(topic) else { return Ok(vec![]) };
    let body: serde_json::Value =
        serde_json::from_str(body).map_err(|error| StoreError::Corrupt(error.to_string()))?;
    let id = body.get("id").and_then(serde_json::Value::as_str).unwrap_or_default();
    let found = tx.instance(merchant, CHECKOUT, id).await?;
    Ok(found.map(|checkout| of_lost(&checkout, how, at_us)).unwrap_or_default())
}

/// Whether an event says that its order has arrived.
pub(super) fn arrived(topic: &str, body: &serde_json::Value) -> bool {
    topic == checkout::ORDER_STATUS_UPDATED
        && body.get("status").and_then(serde_json::Value::as_str)
            == Some(crate::fulfilment::status::DELIVERED)
}

impl Events {
    /// A metric from one day to another, both included: at most [`METRIC_ROWS_MAX`] rows.
    ///
    /// # Errors
    /// The store's.
    pub async fn metric(
        &self,
        merchant: &str,
        name: &str,
        days: (&str, &str),
    ) -> Result<Vec<MetricRow>, StoreError> {
        self.store.read().await?.metrics(merchant, name, days, METRIC_ROWS_MAX).await
    }

    /// A metric over days, both included: a sum for each label and currency, at most [`METRIC_ROWS_MAX`] rows.
    ///
    /// # Errors
    /// The store's.
    pub async fn metric_sums(
        &self,
        merchant: &str,
        name: &str,
        days: (&str, &str),
    ) -> Result<Vec<MetricRow>, StoreError> {
        self.store.read().await?.metric_sums(merchant, name, days, METRIC_ROWS_MAX).await
    }

    /// Counts all metrics of a merchant again from the log. Gives the number of orders.
    ///
    /// # Errors
    /// The store's. The metrics are as they were then.
    pub async fn count_again(&self, merchant: &str) -> Result<u64, StoreError> {
        // It reads the whole log: one at a time.
        let _turn = self.counting.lock().await;
        // Most of the log is read outside; what came meanwhile, and nothing after it, inside.
        let owner = merchant.to_owned();
        let counted = self.store.read_aside(move |tx| {
            Box::pin(async move {
                let mut counted = Counted::default();
                while counted.more(tx, &owner).await? {}
                Ok(counted)
            })
        });
        let counted = counted.await?;
        let owner = merchant.to_owned();
        let done = self.store.transact(move |tx| {
            let (owner, mut counted) = (owner.clone(), counted.clone());
            Box::pin(async move {
                tx.hold_relay().await?;
                while counted.more(tx, &owner).await? {}
                tx.drop_metrics(&owner).await?;
                for row in counted.sums.rows() {
                    tx.add_metric(&owner, &row).await?;
                }
                Ok(counted.orders)
            })
        });
        done.await
    }
}

/// Rows that are added up before they are written: count and amount by name, day, label and currency.
#[derive(Clone, Default)]
pub(super) struct Sums(BTreeMap<(String, String, String, String), (i64, i64)>);

impl Sums {
    pub(super) fn add(&mut self, rows: Vec<MetricRow>) {
        for row in rows {
            let sum = self.0.entry((row.name, row.day, row.label, row.currency)).or_default();
            *sum = (sum.0.saturating_add(row.count), sum.1.saturating_add(row.amount));
        }
    }

    pub(super) fn rows(&self) -> impl Iterator<Item = MetricRow> {
        self.0.iter().map(|((name, day, label, currency), (count, amount))| MetricRow {
            day: day.clone(),
            name: name.clone(),
            label: label.clone(),
            currency: currency.clone(),
            count: *count,
            amount: *amount,
        })
    }
}

/// Metrics so far, and up to where the log has been read.
#[derive(Clone, Default)]
struct Counted {
    after: i64,
    orders: u64,
    /// Customers who have an order.
    bought: BTreeSet<String>,
    sums: Sums,
}

impl Counted {
    /// Reads on. False: there was nothing more.
    async fn more(&mut self, tx: &mut Tx, merchant: &str) -> Result<bool, StoreError> {
        let events = tx.events_after(merchant, None, self.after, READ_AT_ONCE).await?;
        let Some(last) = events.last() else { return Ok(false) };
        self.after = last.position;
        for event in &events {
            let rows = self.of_event(tx, merchant, event).await?;
            self.sums.add(rows);
        }
        Ok(true)
    }

    async fn of_event(
        &mut self,
        tx: &mut Tx,
        merchant: &str,
        event: &EventRow,
    ) -> Result<Vec<MetricRow>, StoreError> {
        let is_order = event.topic == checkout::ORDER_CREATED;
        let body: serde_json::Value = match event.topic == checkout::ORDER_STATUS_UPDATED {
            true => serde_json::from_str(&event.body).map_err(|e| StoreError::Corrupt(e.to_string()))?,
            false => serde_json::Value::Null,
        };
        if !is_order && !arrived(&event.topic, &body) {
            return of_end(tx, merchant, &event.topic, &event.body, event.at_us).await;
        }
        let Some(row) = tx.order(merchant, &event.subject).await? else { return Ok(vec![]) };
        let order = order_from_row(&row)?;
        if !is_order {
            return Ok(of_delivery(&order));
        }
        self.orders += 1;
        let buyer = match order.customer.as_str() {
            guest if guest.is_empty() || is_guest(guest) => Buyer::Guest,
            customer if self.bought.insert(customer.to_owned()) => Buyer::New,
            _ => Buyer::Returning,
        };
        Ok(of_order(&order, event.at_us, buyer))
    }
}
