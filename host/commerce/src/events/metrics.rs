//! What is counted of orders, by day. Counted as orders are confirmed, and again from the log whenever somebody asks.

use std::collections::BTreeMap;

use till_store::tables::audience::MetricRow;
use till_store::{Error as StoreError, Tx};

use super::{Events, wire};
use crate::checkout::{self, Order, order_from_row};
use crate::quote::DiscountKind;

/// What there is. Amounts: totals of orders; what was taken off; shipping; tax; goods before discounts by product; what a
/// promotion took off. Counts: orders, units of a product, uses of a promotion.
pub const METRICS: [&str; 6] = ["orders", "discounts", "shipping", "tax", "product", "promotion"];
/// Rows of one answer.
pub const METRIC_ROWS_MAX: i64 = 10_000;
/// Events read at once when all is counted again.
const READ_AT_ONCE: i64 = 500;

/// What an order adds.
pub(super) fn of_order(order: &Order, at_us: i64) -> Vec<MetricRow> {
    let receipt = &order.receipt;
    let day = wire::time(at_us).split('T').next().unwrap_or_default().to_owned();
    let metric = |name: &str, label: &str, count: i64, amount: i64| MetricRow {
        day: day.clone(),
        name: name.to_owned(),
        label: label.to_owned(),
        currency: order.currency.code().to_owned(),
        count,
        amount,
    };
    let mut rows = vec![
        metric("orders", "", 1, receipt.totals.total),
        metric("discounts", "", 1, receipt.totals.discounts),
        metric("shipping", "", 1, receipt.totals.shipping),
        metric("tax", "", 1, receipt.totals.tax),
    ];
    let items = receipt.items.iter();
    rows.extend(items.map(|item| metric("product", &item.product, i64::from(item.quantity), item.total)));
    let promotions = receipt.discounts.iter().filter(|off| off.kind == DiscountKind::Promotion);
    rows.extend(promotions.map(|off| {
        metric("promotion", off.code.as_deref().filter(|_| !off.unique).unwrap_or(&off.title), 1, off.amount)
    }));
    rows
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

    /// Counts all metrics of a merchant again from the log. Gives the number of orders.
    ///
    /// # Errors
    /// The store's. The metrics are as they were then.
    pub async fn count_again(&self, merchant: &str) -> Result<u64, StoreError> {
        // Most of the log is read outside; what came meanwhile, and nothing after it, inside.
        let mut counted = Counted::default();
        loop {
            let mut tx = self.store.read().await?;
            if !counted.more(&mut tx, merchant).await? {
                break;
            }
        }
        let owner = merchant.to_owned();
        let done = self.store.transact(move |tx| {
            let (owner, mut counted) = (owner.clone(), counted.clone());
            Box::pin(async move {
                tx.hold_relay().await?;
                while counted.more(tx, &owner).await? {}
                tx.drop_metrics(&owner).await?;
                for row in counted.rows() {
                    tx.add_metric(&owner, &row).await?;
                }
                Ok(counted.orders)
            })
        });
        done.await
    }
}

/// Metrics so far, and up to where the log has been read.
#[derive(Clone, Default)]
struct Counted {
    after: i64,
    orders: u64,
    sums: BTreeMap<(String, String, String, String), (i64, i64)>,
}

impl Counted {
    /// Reads on. False: there was nothing more.
    async fn more(&mut self, tx: &mut Tx, merchant: &str) -> Result<bool, StoreError> {
        let events = tx.events_after(merchant, None, self.after, READ_AT_ONCE).await?;
        let Some(last) = events.last() else { return Ok(false) };
        self.after = last.position;
        for event in events.iter().filter(|event| event.topic == checkout::ORDER_CREATED) {
            let Some(row) = tx.order(merchant, &event.subject).await? else { continue };
            self.orders += 1;
            for row in of_order(&order_from_row(&row)?, event.at_us) {
                let sum = self.sums.entry((row.name, row.day, row.label, row.currency)).or_default();
                *sum = (sum.0.saturating_add(row.count), sum.1.saturating_add(row.amount));
            }
        }
        Ok(true)
    }

    fn rows(&self) -> impl Iterator<Item = MetricRow> {
        self.sums.iter().map(|((name, day, label, currency), (count, amount))| MetricRow {
            day: day.clone(),
            name: name.clone(),
            label: label.clone(),
            currency: currency.clone(),
            count: *count,
            amount: *amount,
        })
    }
}
