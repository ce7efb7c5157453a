//! What follows from an event in our own database, in the transaction that puts it into the log.

use serde_json::json;
use till_engine::step::Event;
use till_store::tables::audience::NotificationRow;
use till_store::tables::event::OutboxRow;
use till_store::{Error as StoreError, Tx};
use uuid::Uuid;

use super::{About, metrics};
use crate::checkout::{self, order};
use crate::fulfilment;
use crate::settings::Settings;

/// Does what follows. Runs once for each event.
pub(super) async fn project(
    tx: &mut Tx,
    fact: &OutboxRow,
    about: &About,
    settings: &Settings,
    now_us: i64,
) -> Result<(), StoreError> {
    match fact.topic.as_str() {
        checkout::ORDER_CREATED => {
            let order = &about.order;
            if !order.customer.is_empty() {
                let (currency, spent) = (order.currency.code(), order.receipt.totals.total);
                tx.add_customer_value(&fact.merchant, &order.customer, currency, spent, fact.at_us).await?;
            }
            for row in metrics::of_order(&about.order, fact.at_us) {
                tx.add_metric(&fact.merchant, &row).await?;
            }
            let message =
                format!("Your order {} has been confirmed and will be delivered soon.", order.number);
            notify(tx, fact, about, "order_confirmation", "Order Confirmed", &message).await?;
            if settings.orders.process_at_once {
                process(tx, fact, about, now_us).await?;
            }
            Ok(())
        }
        checkout::ORDER_PROCESSING => fulfilment::begin(tx, &fact.merchant, &about.order, now_us).await,
        checkout::PAYMENT_FAILED_EVENT => {
            let message =
                format!("The payment for order {} failed; nothing was charged.", about.order.number);
            notify(tx, fact, about, "payment_failed", "Payment Failed", &message).await
        }
        _ => Ok(()),
    }
}

/// The consumers have done their part: the order is being processed.
async fn process(tx: &mut Tx, fact: &OutboxRow, about: &About, now_us: i64) -> Result<(), StoreError> {
    let merchant = fact.merchant.as_str();
    let (from, to) = (checkout::CONFIRMED, checkout::PROCESSING);
    let note = "The order is being prepared";
    let moved = order::move_on(tx, merchant, &about.order.id, from, to, note, now_us, |_| {}).await?;
    if moved.is_none() {
        return Ok(()); // It has gone on already, or back.
    }
    let body = json!({ "orderId": about.order.id, "status": to, "note": note });
    for topic in [checkout::ORDER_PROCESSING, checkout::ORDER_STATUS_UPDATED] {
        let event = Event { topic: topic.to_owned(), body: body.clone() };
        tx.put_event(merchant, Uuid::now_v7(), &event, now_us).await?;
    }
    Ok(())
}

async fn notify(
    tx: &mut Tx,
    fact: &OutboxRow,
    about: &About,
    kind: &str,
    title: &str,
    message: &str,
) -> Result<(), StoreError> {
    if about.order.customer.is_empty() {
        return Ok(());
    }
    let body = json!({
        "title": title,
        "message": message,
        "data": { "orderId": about.order.id, "orderNumber": about.order.number },
    });
    let row = NotificationRow {
        id: fact.id(),
        customer: about.order.customer.clone(),
        kind: kind.to_owned(),
        body: body.to_string(),
        at_us: fact.at_us,
        read_us: None,
    };
    tx.put_notification(&fact.merchant, &row).await
}
