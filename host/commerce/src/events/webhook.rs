//! A merchant's endpoints: what they are told is signed as Standard Webhooks 1.0.

use std::collections::HashMap;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use rand::RngCore as _;
use serde::{Deserialize, Serialize};
use till_sandbox::Secret;
use till_store::Error as StoreError;
use till_store::tables::audience::WebhookRow;
use till_store::tables::event::{DeliveryRow, DeliveryState, EventRow};
use uuid::Uuid;

use super::deliver::{ANSWER_TIME, Came, cut};
use super::{Events, sent};
use crate::catalog::parse;

/// First words of all topics. An endpoint names topics as `order.created`, `order.*` or `*`.
pub const FAMILIES: [&str; 9] =
    ["cart", "checkout", "order", "payment", "feedback", "inventory", "component", "binding", "table"];
/// Endpoints of one merchant.
const WEBHOOKS_MAX: usize = 20;
/// Longest address.
const URL_BYTES_MAX: usize = 2_048;

/// An endpoint.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Webhook {
    /// Id, `wh_…`.
    pub id: String,
    /// What the merchant says of it.
    pub body: WebhookBody,
    /// Epoch microseconds.
    pub created_us: i64,
}

/// What a merchant says of an endpoint.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct WebhookBody {
    /// Where events are posted.
    pub url: String,
    /// `order.created`, `order.*` or `*`.
    pub topics: Vec<String>,
    /// For people.
    #[serde(default)]
    pub description: String,
    /// It is told of what happens from now on.
    pub active: bool,
    /// The address may lead to a private one.
    #[serde(default)]
    pub private_addresses: bool,
}

/// A new endpoint with the key of its signatures, which is shown this once.
#[derive(Debug, Clone)]
pub struct NewWebhook {
    /// The endpoint.
    pub webhook: Webhook,
    /// `whsec_…`
    pub secret: String,
}

/// What is sent again.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Replay {
    /// From this position on.
    pub from: i64,
    /// Only what was given up.
    pub dead_only: bool,
}

/// Why an endpoint is not made or changed.
#[derive(Debug, thiserror::Error)]
pub enum WebhookError {
    /// There is none.
    #[error("find webhook `{0}`")]
    NotFound(String),
    /// A field is wrong.
    #[error("accept `{field}`: {why}")]
    Field {
        /// Its name.
        field: &'static str,
        /// The limit and what to do.
        why: String,
    },
    /// The host has no key to seal with.
    #[error(transparent)]
    Registry(#[from] till_registry::Error),
    /// The store failed.
    #[error(transparent)]
    Store(#[from] StoreError),
}

/// Where deliveries to an endpoint are kept.
pub(super) fn target(id: &str) -> String {
    format!("{TARGET}{id}")
}

/// Begins each of those.
pub(super) const TARGET: &str = "webhook:";

impl Webhook {
    pub(super) fn read(row: &WebhookRow) -> Result<Webhook, StoreError> {
        Ok(Webhook { id: row.id.clone(), body: parse(&row.body)?, created_us: row.created_us })
    }

    /// Whether it is told of a topic.
    pub(super) fn wants(&self, topic: &str) -> bool {
        self.body.active && self.body.topics.iter().any(|wanted| covers(wanted, topic))
    }
}

fn covers(wanted: &str, topic: &str) -> bool {
    match wanted.strip_suffix('*') {
        Some(start) => topic.starts_with(start),
        None => wanted == topic,
    }
}

impl WebhookBody {
    fn check(&self) -> Result<(), WebhookError> {
        let field = |field, why: String| Err(WebhookError::Field { field, why });
        let https = self.url.starts_with("https://");
        let plain = self.url.starts_with("http://") && self.private_addresses;
        if self.url.len() > URL_BYTES_MAX || !(https || plain) {
            let why = format!(
                "an https address of at most {URL_BYTES_MAX} bytes is needed; http only with private addresses allowed"
            );
            return field("url", why);
        }
        if self.topics.is_empty() {
            return field("topics", "name at least one, or `*`".to_owned());
        }
        let known = |topic: &&String| {
            let (family, rest) = topic.split_once('.').unwrap_or((topic, ""));
            topic.as_str() == "*" || (FAMILIES.contains(&family) && !rest.is_empty() && topic.len() <= 64)
        };
        match self.topics.iter().find(|topic| !known(topic)) {
            Some(wrong) => {
                let families = FAMILIES.join(".*`, `");
                field("topics", format!("`{wrong}` is no topic; there are those of `{families}.*`, and `*`"))
            }
            None => Ok(()),
        }
    }
}

/// `v1,<base64>` over id, time and body.
fn signature(key: &Secret, id: &str, timestamp_s: i64, body: &str) -> String {
    format!("v1,{}", STANDARD.encode(key.hmac_sha256(format!("{id}.{timestamp_s}.{body}").as_bytes())))
}

impl Events {
    /// Makes an endpoint.
    ///
    /// # Errors
    /// A field is wrong, there are too many, or the host cannot keep its key.
    pub async fn add_webhook(&self, merchant: &str, body: WebhookBody) -> Result<NewWebhook, WebhookError> {
        body.check()?;
        if self.store.read().await?.webhooks(merchant).await?.len() >= WEBHOOKS_MAX {
            let why = format!("there are {WEBHOOKS_MAX} endpoints; take one away first");
            return Err(WebhookError::Field { field: "url", why });
        }
        let id = format!("wh_{}", Uuid::now_v7().simple());
        let mut key = [0; 32];
        rand::rng().fill_bytes(&mut key);
        let text = serde_json::to_string(&body).map_err(|e| StoreError::Corrupt(e.to_string()))?;
        let created_us = self.clock.now_us();
        let sealed = self.registry.seal(merchant, &target(&id), &key)?;
        let row = WebhookRow { id: id.clone(), body: text, sealed, created_us };
        self.put(merchant, row).await?;
        let secret = format!("whsec_{}", STANDARD.encode(key));
        Ok(NewWebhook { webhook: Webhook { id, body, created_us }, secret })
    }

    /// Replaces what a merchant says of an endpoint; its key stays.
    ///
    /// # Errors
    /// A field is wrong, or there is none.
    pub async fn set_webhook(
        &self,
        merchant: &str,
        id: &str,
        body: WebhookBody,
    ) -> Result<Webhook, WebhookError> {
        body.check()?;
        let row = self.store.read().await?.webhook(merchant, id).await?;
        let row = row.ok_or_else(|| WebhookError::NotFound(id.to_owned()))?;
        let text = serde_json::to_string(&body).map_err(|e| StoreError::Corrupt(e.to_string()))?;
        let created_us = row.created_us;
        self.put(merchant, WebhookRow { body: text, ..row }).await?;
        Ok(Webhook { id: id.to_owned(), body, created_us })
    }

    async fn put(&self, merchant: &str, row: WebhookRow) -> Result<(), StoreError> {
        let owner = merchant.to_owned();
        let put = self.store.transact(move |tx| {
            let (owner, row) = (owner.clone(), row.clone());
            Box::pin(async move { tx.put_webhook(&owner, &row).await })
        });
        put.await
    }

    /// Endpoints of a merchant.
    ///
    /// # Errors
    /// The store's.
    pub async fn webhooks(&self, merchant: &str) -> Result<Vec<Webhook>, StoreError> {
        self.store.read().await?.webhooks(merchant).await?.iter().map(Webhook::read).collect()
    }

    /// Takes an endpoint away, with what was on its way.
    ///
    /// # Errors
    /// There is none.
    pub async fn drop_webhook(&self, merchant: &str, id: &str) -> Result<(), WebhookError> {
        let (owner, name) = (merchant.to_owned(), id.to_owned());
        let dropped = self.store.transact(move |tx| {
            let (owner, name) = (owner.clone(), name.clone());
            Box::pin(async move { tx.drop_webhook(&owner, &name, &target(&name)).await })
        });
        if dropped.await? { Ok(()) } else { Err(WebhookError::NotFound(id.to_owned())) }
    }

    /// Deliveries to an endpoint, newest event first.
    ///
    /// # Errors
    /// There is no such endpoint.
    pub async fn deliveries(
        &self,
        merchant: &str,
        id: &str,
        before: i64,
        limit: i64,
    ) -> Result<Vec<DeliveryState>, WebhookError> {
        let mut tx = self.store.read().await?;
        if tx.webhook(merchant, id).await?.is_none() {
            return Err(WebhookError::NotFound(id.to_owned()));
        }
        Ok(tx.deliveries(merchant, &target(id), before, limit).await?)
    }

    /// Sends again what an endpoint was told. Gives how many events.
    ///
    /// # Errors
    /// There is no such endpoint.
    pub async fn replay(&self, merchant: &str, id: &str, what: Replay) -> Result<u64, WebhookError> {
        if self.store.read().await?.webhook(merchant, id).await?.is_none() {
            return Err(WebhookError::NotFound(id.to_owned()));
        }
        let (owner, target, now_us) = (merchant.to_owned(), target(id), self.clock.now_us());
        let again = self.store.transact(move |tx| {
            let (owner, target) = (owner.clone(), target.clone());
            Box::pin(async move { tx.replay(&owner, &target, "", what.from, what.dead_only, now_us).await })
        });
        Ok(again.await?)
    }

    /// Posts one event once.
    pub(super) async fn post(
        &self,
        row: &DeliveryRow,
        id: &str,
        event: &EventRow,
    ) -> Result<Came, StoreError> {
        let endpoint = self.store.read().await?.webhook(&row.merchant, id).await?;
        let Some(endpoint) = endpoint else { return Ok(Came::Never("it is gone".to_owned())) };
        let Some(key) = self.registry.open_sealed(&row.merchant, &row.target, &endpoint.sealed) else {
            return Ok(Came::Later("its key cannot be opened on this host".to_owned(), None));
        };
        let told = Webhook::read(&endpoint)?.body;
        let body = sent(&row.merchant, event)?;
        let timestamp_s = self.clock.now_us() / 1_000_000;
        let (timestamp, signed) = (timestamp_s.to_string(), signature(&key, &event.id, timestamp_s, &body));
        let headers = [
            ("content-type", "application/cloudevents+json"),
            ("webhook-id", event.id.as_str()),
            ("webhook-timestamp", timestamp.as_str()),
            ("webhook-signature", signed.as_str()),
            ("user-agent", "Till"),
        ];
        let private = told.private_addresses;
        let answer =
            self.courier.post(&told.url, &headers, body, private, ANSWER_TIME, &HashMap::new()).await;
        Ok(match answer {
            Ok(answer) => {
                let words = cut(&format!("{} {}", answer.status, answer.body.trim()));
                match answer.status {
                    200..=299 => Came::Taken(words),
                    // The specification: the endpoint is gone for good.
                    410 => Came::Never(words),
                    _ => Came::Later(words, answer.retry_after_s),
                }
            }
            Err(why) => Came::Later(cut(&why), None),
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_signature_is_that_of_the_specification() {
        // The example of standardwebhooks' own test vectors.
        let key = Secret::new(STANDARD.decode("MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw").unwrap());
        let signed =
            signature(&key, "msg_p5jXN8AQM9LWM0D4loKWxJek", 1_614_265_330, r#"{"test": 2432232314}"#);
        assert_eq!(signed, "v1,g0hM9SsE+OTPJTGt/tmIKtSyZlE3uFJELVlNIOLJ1OE=");
    }

    #[test]
    fn topics_are_named_or_begun() {
        let mut body = WebhookBody {
            url: "https://shop.example/hooks".to_owned(),
            topics: vec!["order.*".to_owned(), "payment.completed".to_owned()],
            description: String::new(),
            active: true,
            private_addresses: false,
        };
        body.check().unwrap();
        let hook = Webhook { id: "wh".to_owned(), body: body.clone(), created_us: 0 };
        assert!(hook.wants("order.created") && hook.wants("payment.completed"));
        assert!(!hook.wants("payment.failed"));
        for wrong in ["orders.*", "order", "order.", "ord*", ""] {
            body.topics = vec![wrong.to_owned()];
            assert!(body.check().unwrap_err().to_string().contains("is no topic"), "{wrong}");
        }
        body = WebhookBody { url: "http://shop.example".to_owned(), topics: vec!["*".to_owned()], ..body };
        assert!(body.check().unwrap_err().to_string().contains("https"));
    }
}
