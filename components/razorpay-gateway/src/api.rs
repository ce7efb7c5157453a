//! The provider's API as records: what may come back, and how much of an answer can be relied on.

use crate::bindings::till::checkout::types::{ComponentError, Money};
use crate::config::detail;
use crate::exchange::{Lost, Request, Response, Send};
use serde::Deserialize;
use serde::de::DeserializeOwned;

/// A moment for a provider that could not be reached.
const RETRY_AFTER_MS: u64 = 1_000;

/// What a shopper is to pay.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
pub struct Order {
    /// `order_…`
    pub id: String,
    /// Minor units.
    pub amount: i64,
    /// ISO 4217.
    pub currency: String,
    /// Ours: the key of the attempt.
    pub receipt: Option<String>,
    /// created, attempted, paid
    pub status: String,
    /// Seconds.
    #[serde(default)]
    pub created_at: u64,
}

impl Order {
    /// It asks for exactly this.
    pub fn is_for(&self, key: &str, amount: &Money) -> bool {
        self.receipt.as_deref() == Some(key)
            && self.amount == amount.minor
            && self.currency == amount.currency
    }
}

/// A shopper's payment of an order.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
pub struct Payment {
    /// `pay_…`
    pub id: String,
    /// Minor units.
    pub amount: i64,
    /// ISO 4217.
    pub currency: String,
    /// created, authorized, captured, refunded, failed
    pub status: String,
    /// The order that it pays.
    pub order_id: Option<String>,
    /// Money was taken, whatever became of it.
    #[serde(default)]
    pub captured: Option<bool>,
    /// Minor units.
    #[serde(default)]
    pub amount_refunded: Option<i64>,
    /// `BAD_REQUEST_ERROR`.
    #[serde(default)]
    pub error_code: Option<String>,
    /// `insufficient_funds`.
    #[serde(default)]
    pub error_reason: Option<String>,
    /// Seconds.
    #[serde(default)]
    pub created_at: u64,
}

impl Payment {
    /// Its amount.
    pub fn money(&self) -> Money {
        Money { minor: self.amount, currency: self.currency.clone() }
    }

    /// It is of exactly this amount.
    pub fn is_of(&self, amount: &Money) -> bool {
        self.amount == amount.minor && self.currency == amount.currency
    }

    /// Money was taken; all of it may be back by now.
    pub fn was_captured(&self) -> bool {
        self.status == "captured" || self.captured == Some(true)
    }
}

/// Money on its way back.
#[derive(Debug, Clone, Deserialize)]
pub struct Refund {
    /// `rfnd_…`
    pub id: String,
    /// Minor units.
    pub amount: i64,
    /// ISO 4217.
    pub currency: String,
    /// pending, processed, failed
    pub status: String,
}

/// Many of something.
#[derive(Debug, Deserialize)]
pub struct List<T> {
    /// All of them: what we ask for never fills a page.
    pub items: Vec<T>,
}

/// The body of a refusal.
#[derive(Deserialize)]
struct Refusal {
    error: Reason,
}

#[derive(Deserialize)]
struct Reason {
    code: String,
    #[serde(default)]
    reason: Option<String>,
}

/// Why there is no answer.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Trouble {
    /// The request did not leave.
    NotSent(String),
    /// The provider did not do it, and says why.
    Refused(String),
    /// It cannot be known what became of the request.
    Unclear(String),
}

impl Trouble {
    /// As an error, where nothing can have happened.
    pub fn unavailable(why: String) -> ComponentError {
        ComponentError::Unavailable(detail("provider-unreachable", why, Some(RETRY_AFTER_MS)))
    }

    /// In words.
    pub fn words(self) -> String {
        match self {
            Trouble::NotSent(why) | Trouble::Unclear(why) => why,
            Trouble::Refused(code) => format!("the provider refused: {code}"),
        }
    }
}

/// Sends a request and reads what came back.
pub fn ask<T: DeserializeOwned>(request: Request, send: Send<'_>) -> Result<T, Trouble> {
    let Response { status, body } = send(request).map_err(|lost| match lost {
        Lost::NotSent(why) => Trouble::NotSent(why),
        Lost::Unknown(why) => Trouble::Unclear(why),
    })?;
    match status {
        200 => serde_json::from_slice(&body)
            .map_err(|error| Trouble::Unclear(format!("the answer cannot be read: {error}"))),
        // 408, 409 and 429 say that it is not known or not over. A page of a proxy has no code.
        400 | 401 | 403 | 404 | 422 => match serde_json::from_slice::<Refusal>(&body) {
            Ok(Refusal { error }) => {
                let reason = error.reason.filter(|reason| !reason.is_empty() && reason != "NA");
                Err(Trouble::Refused(reason.unwrap_or(error.code)))
            }
            Err(error) => Err(Trouble::Unclear(format!("the refusal cannot be read: {error}"))),
        },
        status => Err(Trouble::Unclear(format!("the provider answered {status}"))),
    }
}
