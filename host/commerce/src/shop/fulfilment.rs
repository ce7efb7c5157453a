//! Parcels: started by the host, moved by carriers and merchants, watched by shoppers; and what shoppers say afterwards.

use serde::{Deserialize, Serialize};
use serde_json::{Value, json};
use till_engine::definition::Sender;
use till_engine::runner::{SignalAnswer, SignalRequest, StartRequest, request_hash};
use till_engine::step::Event;
use till_registry::Bound;
use till_sandbox::wit::carrier as wit;
use till_sandbox::wit::types::CallContext;
use till_sandbox::{Answer, Call, Slot};
use till_store::tables::shipment::{FeedbackRow, ReviewRow};
use till_store::{Error as StoreError, Tx};
use uuid::Uuid;

use super::{Shop, ShopError};
use crate::ask;
use crate::catalog::parse;
use crate::checkout::{Order, order_from_row, words};
use crate::fulfilment::steps::{SCANS_MAX, consignment, hold, load, scan_of, take, with_references};
use crate::fulfilment::{FEEDBACK_RECEIVED, FULFILMENT, Scan, ScanKind, Shipment, status};
use crate::settings::Settings;

/// Shipments that one turn starts.
const STARTED_AT_ONCE: i64 = 100;
/// Characters of a shopper's words.
pub const FEEDBACK_CHARS_MAX: usize = 2_000;

/// An order and its parcels, as whoever waits for them sees it.
#[derive(Debug, Clone)]
pub struct Tracking {
    /// The order.
    pub order: Order,
    /// Its parcels.
    pub shipments: Vec<Shipment>,
}

/// What a shopper says of an order.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Feedback {
    /// 1 to 5.
    pub rating: i64,
    /// Of whoever brought it, 1 to 5.
    #[serde(default)]
    pub delivery_rating: Option<i64>,
    /// In the shopper's words.
    #[serde(default)]
    pub comment: String,
    /// Of single products.
    #[serde(default)]
    pub products: Vec<ProductFeedback>,
}

/// What a shopper says of a product.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ProductFeedback {
    /// SKU as it was ordered.
    pub sku: String,
    /// 1 to 5.
    pub rating: i64,
    /// In the shopper's words.
    #[serde(default)]
    pub comment: String,
}

/// A shopper's word on a product, as everybody may read it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Review {
    /// Names it in lists.
    pub order: String,
    /// 1 to 5.
    pub rating: i64,
    /// In the shopper's words.
    pub comment: String,
    /// Epoch microseconds.
    pub at_us: i64,
}

/// What the merchant tells a parcel's workflow.
#[derive(Debug, Clone)]
pub enum ParcelCommand {
    /// Something happened to it.
    Told(Box<Scan>),
    /// Ask the carrier again.
    Book,
    /// It is not sent; why.
    Cancel(String),
}

impl Shop {
    /// Starts the workflows of shipments that nobody works on yet. Gives how many were started.
    ///
    /// # Errors
    /// The store's. A shipment that cannot be started is told in the log and tried again.
    pub async fn start_shipments(&self) -> Result<usize, ShopError> {
        let new = self.store.read().await?.new_shipments(STARTED_AT_ONCE).await?;
        let mut started = 0;
        for (merchant, row) in new {
            let pins = match self.registry.pins(&merchant, &row.id).await {
                Ok(pins) => pins,
                Err(error) => {
                    tracing::warn!(merchant, shipment = row.id, %error, "start a shipment");
                    continue;
                }
            };
            let request = StartRequest {
                merchant: merchant.clone(),
                workflow: FULFILMENT.to_owned(),
                id: row.id.clone(),
                subject: String::new(),
                inputs: json!({}),
                context: json!({ "shipment": row.id }),
                pins,
                hash: request_hash(&[FULFILMENT, &row.id]),
            };
            // Two hosts may try; the second attaches to what the first has started.
            match self.runner.start(request).await {
                Ok(made) => started += usize::from(made.created),
                Err(error) => tracing::warn!(merchant, shipment = row.id, %error, "start a shipment"),
            }
        }
        Ok(started)
    }

    /// Takes a carrier's webhook: verified over its raw bytes by the component, each scan kept once. Gives how many scans
    /// were about parcels of this merchant.
    pub async fn carrier_webhook(
        &self,
        merchant: &str,
        carrier: &str,
        headers: Vec<(String, Vec<u8>)>,
        body: Vec<u8>,
    ) -> Result<usize, ShopError> {
        let missing = || ShopError::NotFound { what: "carrier", id: carrier.to_owned() };
        let bound = self.registry.active(merchant, Slot::Carrier, carrier).await?.ok_or_else(missing)?;
        let settings = self.settings(merchant).await?;
        let call = self.carrier_call(merchant, &bound, "webhook", &settings).await?;
        let answer = self.registry.sandbox().verify_scan(call, wit::WebhookRequest { headers, body }).await;
        let result = match answer {
            Ok(Answer { value: Ok(result), .. }) if result.verified => result,
            other => {
                tracing::warn!(merchant, carrier, answer = ?other.map(|a| a.value.map(|r| r.verified)), "a carrier's webhook is refused");
                return Err(ShopError::Forged);
            }
        };
        let mut taken = 0;
        for told in result.scans.iter().take(SCANS_MAX) {
            let Some(shipment) = self.scanned(merchant, told).await? else {
                // The carrier was quicker than our own books: it shall tell again.
                return Err(ShopError::NotFound {
                    what: "shipment",
                    id: told.shipment.clone().unwrap_or_default(),
                });
            };
            let scan = scan_of(told);
            if scan.kind == ScanKind::Location {
                self.locate(merchant, &shipment, scan).await?;
            } else {
                let dedup = format!("{shipment}:{}", scan.id);
                let source = format!("carrier:{carrier}");
                let signal = (Sender::Gateway, "scan", json!(scan), dedup, true);
                self.tell_shipment(merchant, &shipment, &source, signal).await?;
            }
            taken += 1;
        }
        Ok(taken)
    }

    /// The shipment that a carrier speaks of.
    async fn scanned(&self, merchant: &str, told: &wit::Scan) -> Result<Option<String>, ShopError> {
        let mut tx = self.store.read().await?;
        if let Some(id) = &told.shipment
            && let Some(row) = tx.shipment(merchant, id).await?
        {
            return Ok(Some(row.id));
        }
        match &told.tracking_number {
            Some(number) => Ok(tx.shipment_tracked(merchant, number).await?.map(|row| row.id)),
            None => Ok(None),
        }
    }

    /// Where a parcel is changes nothing of its state: it is written down beside the workflow.
    async fn locate(&self, merchant: &str, shipment: &str, scan: Scan) -> Result<(), ShopError> {
        let (owner, id) = (merchant.to_owned(), shipment.to_owned());
        let now_us = self.now_us();
        self.store
            .transact(move |tx| {
                let (owner, id, scan) = (owner.clone(), id.clone(), scan.clone());
                Box::pin(async move {
                    let Some(mut shipment) = hold(tx, &owner, &id).await? else { return Ok(()) };
                    for (topic, body) in take(tx, &owner, &mut shipment, &scan, now_us).await? {
                        put(tx, &owner, topic, body, now_us).await?;
                    }
                    Ok(())
                })
            })
            .await?;
        Ok(())
    }

    async fn tell_shipment(
        &self,
        merchant: &str,
        shipment: &str,
        source: &str,
        (sender, name, body, dedup, keep): (Sender, &str, Value, String, bool),
    ) -> Result<(), ShopError> {
        let uid = self.store.read().await?.instance_uid(merchant, FULFILMENT, shipment).await?;
        let uid = uid.ok_or_else(|| ShopError::Busy { id: shipment.to_owned() })?;
        let hash = request_hash(&[name, &body.to_string()]);
        let request = SignalRequest {
            merchant: merchant.to_owned(),
            uid,
            name: name.to_owned(),
            sender,
            source: source.to_owned(),
            dedup,
            hash: if keep { String::new() } else { hash },
            body,
            keep,
        };
        match self.runner.signal(request).await? {
            SignalAnswer::Taken(_) | SignalAnswer::Queued(_) | SignalAnswer::Repeated(_) => Ok(()),
            SignalAnswer::Busy(_) => Err(ShopError::Busy { id: shipment.to_owned() }),
            SignalAnswer::OtherRequest => Err(ShopError::OtherSubmit { id: shipment.to_owned() }),
            SignalAnswer::NotExpected(why) | SignalAnswer::Refused(why) | SignalAnswer::Forbidden(why) => {
                Err(ShopError::Refused { why })
            }
        }
    }

    /// A merchant's word on a parcel. `key` names the command: sent twice it has effect once.
    pub async fn command_shipment(
        &self,
        merchant: &str,
        shipment: &str,
        who: &str,
        key: &str,
        command: ParcelCommand,
    ) -> Result<Shipment, ShopError> {
        let before = self.shipment(merchant, shipment).await?;
        if before.ended() {
            let why = format!("the parcel is {}: nothing changes that", before.status);
            return Err(ShopError::Refused { why });
        }
        let (name, body) = match &command {
            ParcelCommand::Told(scan) => ("update", json!(scan)),
            ParcelCommand::Book => ("book", json!({ "who": who })),
            ParcelCommand::Cancel(why) => ("cancel", json!({ "who": who, "why": why })),
        };
        let dedup = format!("{shipment}:{name}:{key}");
        let signal = (Sender::Operator, name, body, dedup, false);
        self.tell_shipment(merchant, shipment, "operator", signal).await?;
        self.shipment(merchant, shipment).await
    }

    /// A parcel by its id.
    pub async fn shipment(&self, merchant: &str, id: &str) -> Result<Shipment, ShopError> {
        let row = self.store.read().await?.shipment(merchant, id).await?;
        let row = row.ok_or_else(|| ShopError::NotFound { what: "shipment", id: id.to_owned() })?;
        Ok(Shipment::read(&row)?)
    }

    /// Parcels of a merchant before a place in the list, newest first.
    pub async fn shipments(
        &self,
        merchant: &str,
        status: Option<&str>,
        before: (i64, &str),
        limit: i64,
    ) -> Result<Vec<Shipment>, ShopError> {
        if let Some(wrong) = status.filter(|status| !status::ALL.contains(status)) {
            let why = format!("`{wrong}` is no status; there are {}", status::ALL.join(", "));
            return Err(ShopError::Field { field: "status".to_owned(), why });
        }
        let rows = self.store.read().await?.shipments(merchant, status, before, limit).await?;
        Ok(rows.iter().map(Shipment::read).collect::<Result<_, _>>()?)
    }

    /// Parcels of an order.
    pub async fn shipments_of(&self, merchant: &str, order: &str) -> Result<Vec<Shipment>, ShopError> {
        let rows = self.store.read().await?.shipments_of(merchant, order).await?;
        Ok(rows.iter().map(Shipment::read).collect::<Result<_, _>>()?)
    }

    /// What is stuck on a parcel: media type and content, fetched from the carrier each time.
    pub async fn label(&self, merchant: &str, id: &str) -> Result<(String, Vec<u8>), ShopError> {
        let shipment = self.shipment(merchant, id).await?;
        let refused = |why: &str| ShopError::Refused { why: why.to_owned() };
        let booking = shipment.parcel.booking.clone().filter(|booking| !booking.key.is_empty());
        let booking = booking.ok_or_else(|| refused("no carrier's component has booked this parcel"))?;
        let instance = self.runner.find(merchant, FULFILMENT, id).await?;
        let instance = instance.ok_or_else(|| refused("nobody works on this parcel yet"))?.instance;
        let pin = instance.context.get("carrier").and_then(Value::as_str).map(str::to_owned);
        let pin = pin.ok_or_else(|| refused("no carrier's component has booked this parcel"))?;
        let unavailable = |why: String| ShopError::Unavailable { why };
        let load =
            load(&self.store, merchant, id).await.map_err(|fault| unavailable(fault.parts().1.to_owned()))?;
        let parcel = consignment(&load, &booking.key, None)
            .map_err(|fault| unavailable(fault.parts().1.to_owned()))?;
        let bound = self.registry.bound(merchant, &pin).await?;
        let call = self.carrier_call(merchant, &bound, "label", &load.settings).await?;
        let sandbox = self.registry.sandbox();
        match sandbox.fetch_label(call, with_references(parcel, Some(&booking))).await {
            Ok(Answer { value: Ok(label), .. }) => Ok((label.media_type, label.content)),
            Ok(Answer { value: Err(error), .. }) => Err(unavailable(words(&error))),
            Err(failure) => Err(unavailable(failure.to_string())),
        }
    }

    async fn carrier_call(
        &self,
        merchant: &str,
        bound: &Bound,
        step: &str,
        settings: &Settings,
    ) -> Result<Call, ShopError> {
        let now_ms = u64::try_from(self.now_us() / 1000).unwrap_or(0);
        Ok(Call {
            component: bound.component.clone(),
            ctx: CallContext {
                step: step.to_owned(),
                config: bound.config.clone(),
                ..ask::context(merchant, "", settings, now_ms)
            },
            binding: self.registry.reach(merchant, bound).await?,
            limits: bound.limits,
            background: false,
            breaker: Some(settings.breaker.rule()),
        })
    }

    /// An order of this customer, with its parcels.
    pub async fn tracking(&self, merchant: &str, customer: &str, order: &str) -> Result<Tracking, ShopError> {
        let order = self.order(merchant, customer, order).await?;
        let shipments = self.shipments_of(merchant, &order.id).await?;
        Ok(Tracking { order, shipments })
    }

    /// Keeps what a shopper says of an order that was delivered. A later word replaces the one before.
    pub async fn put_feedback(
        &self,
        merchant: &str,
        customer: &str,
        order: &str,
        feedback: &Feedback,
    ) -> Result<(), ShopError> {
        let order = self.order(merchant, customer, order).await?;
        if order.status != status::DELIVERED {
            let why = format!("the order is {}: feedback is for orders that were delivered", order.status);
            return Err(ShopError::Refused { why });
        }
        let mut reviews = Vec::new();
        let now_us = self.now_us();
        for (n, product) in feedback.products.iter().enumerate() {
            let item = order.receipt.items.iter().find(|item| item.sku == product.sku);
            let item = item.ok_or_else(|| ShopError::Field {
                field: format!("products[{n}].sku"),
                why: "it is not in this order".to_owned(),
            })?;
            reviews.push(ReviewRow {
                product: item.product.clone(),
                order: order.id.clone(),
                rating: product.rating,
                body: json!({ "comment": product.comment, "sku": product.sku }).to_string(),
                at_us: now_us,
            });
        }
        let row = FeedbackRow {
            order: order.id.clone(),
            customer: customer.to_owned(),
            rating: feedback.rating,
            body: serde_json::to_string(feedback).map_err(|e| StoreError::Corrupt(e.to_string()))?,
            at_us: now_us,
        };
        let fact = json!({
            "orderId": order.id,
            "rating": feedback.rating,
            "deliveryRating": feedback.delivery_rating,
            "comment": feedback.comment,
        });
        self.write(merchant, move |tx, owner| {
            let (row, reviews, fact) = (row.clone(), reviews.clone(), fact.clone());
            Box::pin(async move {
                tx.put_feedback(&owner, &row).await?;
                for review in &reviews {
                    tx.put_review(&owner, review).await?;
                }
                put(tx, &owner, FEEDBACK_RECEIVED, fact, now_us).await
            })
        })
        .await
    }

    /// What the shopper said of an order, and when. None: nothing yet.
    pub async fn feedback(
        &self,
        merchant: &str,
        customer: &str,
        order: &str,
    ) -> Result<Option<(Feedback, i64)>, ShopError> {
        let order = self.order(merchant, customer, order).await?;
        let row = self.store.read().await?.feedback(merchant, &order.id).await?;
        row.map(|row| Ok((parse(&row.body)?, row.at_us))).transpose()
    }

    /// Reviews of a product before a place in the list, newest first; how many there are, and the sum of their ratings.
    pub async fn reviews(
        &self,
        merchant: &str,
        product: &str,
        before: (i64, &str),
        limit: i64,
    ) -> Result<(Vec<Review>, (i64, i64)), ShopError> {
        let mut tx = self.store.read().await?;
        let rows = tx.reviews(merchant, product, before, limit).await?;
        let rating = tx.rating(merchant, product).await?;
        let read = |row: ReviewRow| -> Result<Review, StoreError> {
            let body: Value = parse(&row.body)?;
            let comment = body.get("comment").and_then(Value::as_str).unwrap_or_default().to_owned();
            Ok(Review { order: row.order, rating: row.rating, comment, at_us: row.at_us })
        };
        Ok((rows.into_iter().map(read).collect::<Result<_, _>>()?, rating))
    }

    /// An order by its id or number, whoever bought it. For the merchant.
    pub async fn any_order(&self, merchant: &str, id: &str) -> Result<Order, ShopError> {
        let mut tx = self.store.read().await?;
        let row = match tx.order(merchant, id).await? {
            Some(row) => Some(row),
            None => tx.order_by_number(merchant, id).await?,
        };
        let row = row.ok_or_else(|| ShopError::NotFound { what: "order", id: id.to_owned() })?;
        Ok(order_from_row(&row)?)
    }
}

async fn put(tx: &mut Tx, merchant: &str, topic: &str, body: Value, now_us: i64) -> Result<(), StoreError> {
    let event = Event { topic: topic.to_owned(), body };
    tx.put_event(merchant, Uuid::now_v7(), &event, now_us).await
}
