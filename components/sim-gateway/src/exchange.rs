//! What is sent to the other side, and whether an answer came.

use serde_json::Value;

/// A request to the provider.
#[derive(Debug, Clone, PartialEq)]
pub struct Request {
    /// `POST` with a body, else `GET`.
    pub body: Option<Value>,
    /// Below the base URL.
    pub path: String,
    /// Idempotency key, for requests that change something or stand for such a request.
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
