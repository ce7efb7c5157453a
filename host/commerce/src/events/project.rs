//! What follows from an event in our own database, in the transaction that puts it into the log. What customers are
//! told is in `notify`.

use serde_json::json;
use till_engine::step::Event;
use till_store::tables::event::OutboxRow;
use till_store::{Error as StoreError, Tx};
use uuid::Uuid;

use super::metrics::{Buyer, Sums};
use super::{About, metrics};
use crate::checkout::{self, order};
use crate::fulfilment;
use crate::settings::Settings;
use crate::shop::is_guest;

/// Does what follows. Runs once for each event. What is counted goes into `counted`, to be written once for many events.
pub(super) async fn project(
    tx: &mut Tx,
    fact: &OutboxRow,
    about: &About,
    settings: &Settings,
    counted: &mut Sums,
    now_us: i64,
) -> Result<(), StoreError> {
    match fact.topic.as_str() {
        checkout::ORDER_CREATED => {
            let order = &about.order;
            let mut buyer = Buyer::Guest;
            if !order.customer.is_empty() {
                if !is_guest(&order.customer) {
                    let before = tx.customer_value(&fact.merchant, &order.customer).await?;
                    buyer = if before.is_empty() { Buyer::New } else { Buyer::Returning };
                }
                let (currency, spent) = (order.currency.code(), order.receipt.totals.total);
                tx.add_customer_value(&fact.merchant, &order.customer, currency, spent, fact.at_us).await?;
            }
            counted.add(metrics::of_order(&about.order, fact.at_us, buyer));
            if settings.orders.process_at_once {
                process(tx, fact, about, now_us).await?;
            }
            Ok(())
        }
        topic if metrics::arrived(topic, &about.fact) => {
            counted.add(metrics::of_delivery(&about.order));
            Ok(())
        }
        checkout::ORDER_PROCESSING => fulfilment::begin(tx, &fact.merchant, &about.order, now_us).await,
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
