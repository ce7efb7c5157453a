//! The configuration, as the merchant writes it.

use crate::bindings::till::checkout::types::{CallContext, ComponentError, ErrorDetail};
use serde::Deserialize;

/// The account, and by which names the binding knows its secrets.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Config {
    /// Origin of the API.
    #[serde(default = "base_url")]
    pub base_url: String,
    /// The public half of the API key.
    pub key_id: String,
    /// Secret with `key_id:key_secret` in base64.
    #[serde(default = "basic")]
    pub basic_secret: String,
    /// Secret with the key secret.
    #[serde(default = "key")]
    pub key_secret: String,
    /// Secret that webhooks are signed with.
    #[serde(default = "webhook")]
    pub webhook_secret: String,
    /// ISO 4217.
    #[serde(default = "currencies")]
    pub currencies: Vec<String>,
    /// What is authorized and not captured in that time goes back.
    #[serde(default = "authorization_minutes")]
    pub authorization_minutes: u32,
    /// Longest time after which a request sent may still be carried out, milliseconds.
    #[serde(default = "request_time_max_ms")]
    pub request_time_max_ms: u64,
}

fn base_url() -> String {
    "https://api.razorpay.com".to_owned()
}

fn basic() -> String {
    "razorpay_basic".to_owned()
}

fn key() -> String {
    "razorpay_key".to_owned()
}

fn webhook() -> String {
    "razorpay_webhook".to_owned()
}

fn currencies() -> Vec<String> {
    vec!["INR".to_owned()]
}

fn authorization_minutes() -> u32 {
    3 * 24 * 60
}

fn request_time_max_ms() -> u64 {
    30_000
}

impl Config {
    /// Requests that were begun at a time, if it is known, have arrived by now or never will.
    pub fn is_settled(&self, first_sent_ms: Option<u64>, now_ms: u64) -> bool {
        first_sent_ms.is_none_or(|sent| now_ms > sent.saturating_add(self.request_time_max_ms))
    }

    /// Reads it from the context of a call.
    pub fn read(ctx: &CallContext) -> Result<Config, ComponentError> {
        serde_json::from_str(&ctx.config).map_err(|error| {
            ComponentError::InvalidConfig(detail("config-unreadable", error.to_string(), None))
        })
    }

    /// Value of the header `authorization`; the host puts the secret in.
    pub fn authorization(&self) -> String {
        format!("Basic {{secret:{}}}", self.basic_secret)
    }

    /// Header in which a key goes. Only refunds know one; for the others it is a trace in the provider's logs.
    pub fn key_header(&self, path: &str) -> &'static str {
        if path.ends_with("/refund") { "x-refund-idempotency" } else { "idempotency-key" }
    }
}

/// The details of an error.
pub fn detail(code: &str, text: String, retry_after_ms: Option<u64>) -> ErrorDetail {
    ErrorDetail { code: code.to_owned(), path: None, text, retry_after_ms, attributes: Vec::new() }
}
