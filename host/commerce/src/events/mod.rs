//! Events: what happened in the shop becomes a log, and the log is told to everybody who wants to know.
//!
//! Steps write facts into the outbox in the commit that makes them true. [`Events::relay`] moves facts into the log and
//! in the same transaction does what follows from them in our own database: what a customer has bought, metrics, what a
//! customer reads in the app, PROCESSING. So each of these is done once for each fact, whenever the host dies. Those
//! outside are told by *deliveries* (`deliver.rs`), at least once and under the event's id: endpoints of merchants
//! (`webhook.rs`), customers by mail and text message (`notify`).

mod deliver;
mod metrics;
mod nats;
pub mod notify;
mod project;
mod webhook;
mod wire;

use std::collections::HashMap;
use std::collections::hash_map::Entry;
use std::sync::Arc;

use serde_json::Value;
use till_engine::ports::Clock;
use till_registry::Registry;
use till_sandbox::Courier;
use till_store::tables::event::{EventRow, OutboxRow};
use till_store::{Error as StoreError, Store, Tx};
use tokio::sync::watch;

use crate::checkout::{Order, order_from_row};
use crate::settings::Settings;
use crate::shop::LeftCart;
use crate::{catalog, checkout, inventory};

pub use metrics::{METRIC_ROWS_MAX, METRICS, NO_PROMOTION, STAGES};
pub use till_store::tables::audience::MetricRow as Metric;
pub use till_store::tables::event::EventRow as Event;
pub use webhook::{FAMILIES, NewWebhook, Replay, Webhook, WebhookBody, WebhookError};
pub use wire::time;

/// Facts moved in one transaction: on SQLite others wait for it.
const RELAYED_AT_ONCE: i64 = 32;

/// Tells what happened.
pub struct Events {
    store: Arc<Store>,
    registry: Arc<Registry>,
    clock: Arc<dyn Clock>,
    courier: Courier,
    mailer: Option<notify::Mailer>,
    nats: Option<nats::Nats>,
    turns: watch::Sender<Turn>,
    /// Whoever counts the metrics again holds it.
    counting: tokio::sync::Mutex<()>,
}

/// Changes whenever there may be something new in the log.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Turn {
    /// Turns of this host's relay that moved something.
    pub count: u64,
    /// The host stops: whoever follows the log goes.
    pub stopping: bool,
}

impl Events {
    /// Events of all merchants of this host.
    ///
    /// # Errors
    /// The system gives no TLS.
    pub fn new(
        store: Arc<Store>,
        registry: Arc<Registry>,
        clock: Arc<dyn Clock>,
    ) -> Result<Events, till_sandbox::Error> {
        let (courier, turns) = (Courier::new()?, watch::Sender::default());
        Ok(Events {
            store,
            registry,
            clock,
            courier,
            mailer: None,
            nats: None,
            turns,
            counting: tokio::sync::Mutex::default(),
        })
    }

    /// With a server that takes mail. Without one, mail waits for a host that has one.
    ///
    /// # Errors
    /// Which of its settings cannot be used, for people.
    pub fn with_mail(self, smtp: notify::Smtp) -> Result<Events, String> {
        Ok(Events { mailer: Some(notify::Mailer::new(smtp)?), ..self })
    }

    /// Moves facts of the outbox into the log, with what follows from them. Gives how many; with as many as fit into
    /// one turn there may be more.
    ///
    /// # Errors
    /// The store's. Nothing of the turn is done then.
    pub async fn relay(&self) -> Result<usize, StoreError> {
        if !self.store.read().await?.outbox_waits().await? {
            return Ok(0);
        }
        let moved = match self.turn(RELAYED_AT_ONCE, Follows::All).await {
            Err(error @ StoreError::Corrupt(_)) => self.oldest(error).await?,
            moved => moved?,
        };
        if moved > 0 {
            self.turns.send_modify(|turn| turn.count += 1);
        }
        Ok(moved)
    }

    async fn turn(&self, limit: i64, follows: Follows) -> Result<usize, StoreError> {
        let now_us = self.clock.now_us();
        self.store.transact(move |tx| Box::pin(relay(tx, limit, follows, now_us))).await
    }

    /// After a turn that cannot be made as it is: the oldest fact alone, in the end with less and less of what follows from
    /// it. One odd fact of one merchant must not stop the log for all. A store that fails is no fault of a fact: that turn is
    /// made again as it is.
    async fn oldest(&self, mut why: StoreError) -> Result<usize, StoreError> {
        for follows in [Follows::All, Follows::NotCounted, Follows::Nothing] {
            match self.turn(1, follows).await {
                Ok(moved) => {
                    if follows != Follows::All {
                        tracing::error!(%why, ?follows, "a fact is in the log without all that follows from it");
                    }
                    return Ok(moved);
                }
                Err(error @ StoreError::Corrupt(_)) => why = error,
                Err(error) => return Err(error),
            }
        }
        Err(why)
    }

    /// Tells whoever waits that this host's relay has moved something. Other hosts move things too: look from time to
    /// time.
    pub fn turns(&self) -> watch::Receiver<Turn> {
        self.turns.subscribe()
    }

    /// Sends home whoever follows the log.
    pub fn stop(&self) {
        self.turns.send_modify(|turn| turn.stopping = true);
    }

    /// Events about an order after a position, oldest first.
    ///
    /// # Errors
    /// The store's.
    pub async fn about(
        &self,
        merchant: &str,
        order: &str,
        after: i64,
        limit: i64,
    ) -> Result<Vec<EventRow>, StoreError> {
        self.store.read().await?.events_after(merchant, Some(order), after, limit).await
    }

    /// Events of a merchant after a position, oldest first, as they are sent; with their positions.
    ///
    /// # Errors
    /// The store's.
    pub async fn log(
        &self,
        merchant: &str,
        subject: Option<&str>,
        after: i64,
        limit: i64,
    ) -> Result<Vec<(i64, String)>, StoreError> {
        let rows = self.store.read().await?.events_after(merchant, subject, after, limit).await?;
        rows.iter().map(|row| Ok((row.position, sent(merchant, row)?))).collect()
    }
}

/// An event as it is sent.
fn sent(merchant: &str, event: &EventRow) -> Result<String, StoreError> {
    wire::cloud_event(merchant, event).map_err(|error| StoreError::Corrupt(error.to_string()))
}

/// A merchant's name as it may stand between dots: one that has other characters stands there in hexadecimal.
fn plain(name: &str) -> String {
    let fits = |byte: u8| byte.is_ascii_alphanumeric() || byte == b'-' || byte == b'_';
    if name.bytes().all(fits) { name.to_owned() } else { hex::encode(name) }
}

/// How much follows from a fact beside its place in the log and whoever is to be told of it outside.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Follows {
    /// What the customer is told, what becomes of the order, and metrics.
    All,
    /// No metrics.
    NotCounted,
    /// Not even the order is looked at.
    Nothing,
}

/// One turn of the relay.
async fn relay(tx: &mut Tx, limit: i64, follows: Follows, now_us: i64) -> Result<usize, StoreError> {
    let (facts, first) = tx.relay(limit).await?;
    let mut shops = HashMap::new();
    for (position, fact) in (first..).zip(&facts) {
        let looks = follows != Follows::Nothing;
        let about = if looks { About::read(tx, fact).await? } else { None };
        let left = LeftCart::of(&fact.topic, &fact.body).filter(|_| looks);
        let body = match (&about, &left) {
            (Some(about), _) => about.told(fact),
            (None, Some(left)) => wire::cart_data(left),
            (None, None) => Ok(fact.body.clone()),
        };
        let body = body.map_err(|error| StoreError::Corrupt(error.to_string()))?;
        let subject = match (&about, &left) {
            (Some(about), _) => about.order.id.clone(),
            (None, Some(left)) => left.cart.id.clone(),
            (None, None) => inventory::subject(&fact.topic, &fact.body).unwrap_or_default(),
        };
        tx.log_event(fact, position, &subject, &body).await?;
        let audience = match shops.entry(fact.merchant.clone()) {
            Entry::Occupied(known) => known.into_mut(),
            Entry::Vacant(new) => new.insert(Audience::of(tx, &fact.merchant).await?),
        };
        if let Some(about) = &about {
            project::project(tx, fact, about, &audience.settings, &mut audience.counted, now_us).await?;
            notify::tell(tx, fact, about, &audience.settings, position, now_us).await?;
        }
        if follows == Follows::All {
            let ended = metrics::of_end(tx, &fact.merchant, &fact.topic, &body, fact.at_us).await?;
            audience.counted.add(ended);
        }
        if audience.settings.events.nats {
            tx.put_delivery(&fact.merchant, nats::NATS, position, now_us).await?;
        }
        for webhook in &audience.webhooks {
            if webhook.wants(&fact.topic) {
                tx.put_delivery(&fact.merchant, &webhook::target(&webhook.id), position, now_us).await?;
            }
        }
    }
    for (merchant, audience) in shops.iter().filter(|_| follows == Follows::All) {
        for row in audience.counted.rows() {
            tx.add_metric(merchant, &row).await?;
        }
    }
    till_engine::crash::point("relay.in-tx");
    Ok(facts.len())
}

/// Whom a merchant's events are told, and how the merchant wants it.
struct Audience {
    settings: Settings,
    webhooks: Vec<Webhook>,
    /// What this turn has counted.
    counted: metrics::Sums,
}

impl Audience {
    async fn of(tx: &mut Tx, merchant: &str) -> Result<Audience, StoreError> {
        let settings = Audience::settings_of(tx, merchant).await?;
        let rows = tx.webhooks(merchant).await?;
        let webhooks = rows.iter().map(Webhook::read).collect::<Result<Vec<_>, _>>()?;
        Ok(Audience { settings, webhooks, counted: metrics::Sums::default() })
    }

    async fn settings_of(tx: &mut Tx, merchant: &str) -> Result<Settings, StoreError> {
        let settings = tx.setting(merchant).await?;
        settings.map_or_else(|| Ok(Settings::default()), |body| catalog::parse(&body))
    }
}

/// The order that a fact is about, as it is now, and its buyer.
pub(crate) struct About {
    pub(crate) order: Order,
    pub(crate) customer: catalog::Customer,
    /// The fact's own words.
    pub(crate) fact: Value,
}

impl About {
    async fn read(tx: &mut Tx, fact: &OutboxRow) -> Result<Option<About>, StoreError> {
        let Ok(document) = serde_json::from_str::<Value>(&fact.body) else { return Ok(None) };
        let Some(id) = document.get("orderId").and_then(Value::as_str) else { return Ok(None) };
        let id = id.to_owned();
        About::of(tx, &fact.merchant, &id, document).await
    }

    async fn of(tx: &mut Tx, merchant: &str, id: &str, fact: Value) -> Result<Option<About>, StoreError> {
        let Some(row) = tx.order(merchant, id).await? else { return Ok(None) };
        let order = order_from_row(&row)?;
        let customer = catalog::customer(tx, merchant, &order.customer).await?.0;
        Ok(Some(About { order, customer, fact }))
    }

    /// The event's data.
    fn told(&self, fact: &OutboxRow) -> Result<String, serde_json::Error> {
        match fact.topic.as_str() {
            checkout::ORDER_CREATED | checkout::ORDER_PROCESSING => {
                // As it was when it happened: others may have moved it since.
                let status = match fact.topic.as_str() {
                    checkout::ORDER_CREATED => checkout::CONFIRMED,
                    _ => checkout::PROCESSING,
                };
                let order = Order { status: status.to_owned(), ..self.order.clone() };
                wire::order_data(&order, &self.customer)
            }
            checkout::PAYMENT_COMPLETED => wire::payment_data(&self.order),
            _ => Ok(wire::fact_data(&self.order, &self.fact)),
        }
    }
}
