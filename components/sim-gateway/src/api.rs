//! The provider's API as records: what is sent, and what may come back.

use serde::Deserialize;
use serde_json::Value;

/// A request to the provider.
#[derive(Debug, Clone, PartialEq)]
pub struct Request {
    /// `POST` with a body, else `GET`.
    pub body: Option<Value>,
    /// Below the base URL.
    pub path: String,
    /// Idempotency key, for requests that change something.
    pub key: Option<String>,
}

impl Request {
    /// Asks, changes nothing.
    pub fn get(path: String) -> Self {
        Request { body: None, path, key: None }
    }

    /// Changes something, once for each key.
    pub fn post(path: String, key: &str, body: Value) -> Self {
        Request { body: Some(body), path, key: Some(key.to_owned()) }
    }
}

/// A complete answer.
#[derive(Debug, Clone)]
pub struct Response {
    /// HTTP status.
    pub status: u16,
    /// The whole body.
    pub body: Vec<u8>,
}

/// No complete answer.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Lost {
    /// The request did not leave: nothing happened.
    NotSent(String),
    /// It may have arrived.
    Unknown(String),
}

/// Sends a request; given by the guest, or by a test.
pub type Send<'a> = &'a dyn Fn(Request) -> Result<Response, Lost>;

/// The provider's payment.
#[derive(Debug, Clone, Deserialize)]
pub struct Intent {
    /// `pi_…`
    pub id: String,
    /// created, action_required, authorized, captured, voided, refunded, declined
    pub status: String,
    /// ISO 4217.
    pub currency: String,
    /// Reserved.
    pub authorized: i64,
    /// Taken.
    pub captured: i64,
    /// Given back.
    pub refunded: i64,
    /// Why it was declined.
    pub decline_code: Option<String>,
    /// Where the shopper has to go.
    pub redirect_url: Option<String>,
}

/// What a key did.
#[derive(Debug, Clone, Deserialize)]
pub struct ByKey {
    /// The payment as it is now.
    pub intent: Intent,
}

/// The body of a refusal.
#[derive(Debug, Clone, Deserialize)]
pub struct Refusal {
    /// Why.
    pub error: RefusalReason,
}

/// Why a request was refused.
#[derive(Debug, Clone, Deserialize)]
pub struct RefusalReason {
    /// For machines.
    pub code: String,
    /// For people.
    pub text: String,
}
