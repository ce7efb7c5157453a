//! The configuration, as the merchant writes it.

use crate::bindings::till::checkout::types::{CallContext, ComponentError, ErrorDetail};
use serde::Deserialize;

/// Where the simulator is and by which names the binding knows its secrets.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Config {
    /// Origin of the simulator, for example `http://127.0.0.1:7070`.
    pub base_url: String,
    /// Secret with the API key.
    #[serde(default = "api_key")]
    pub api_key_secret: String,
    /// Secret that webhooks are signed with.
    #[serde(default = "webhook")]
    pub webhook_secret: String,
    /// Longest time after which a request sent may still be carried out, milliseconds.
    #[serde(default = "request_time_max_ms")]
    pub request_time_max_ms: u64,
}

fn request_time_max_ms() -> u64 {
    30_000
}

fn api_key() -> String {
    "api_key".to_owned()
}

fn webhook() -> String {
    "webhook".to_owned()
}

impl Config {
    /// Reads it from the context of a call.
    pub fn read(ctx: &CallContext) -> Result<Config, ComponentError> {
        serde_json::from_str(&ctx.config).map_err(|error| {
            ComponentError::InvalidConfig(detail("config-unreadable", error.to_string(), None))
        })
    }

    /// Value of the header `authorization`; the host puts the secret in.
    pub fn authorization(&self) -> String {
        format!("Bearer {{secret:{}}}", self.api_key_secret)
    }

    /// Header in which the key of a request to `_path` goes.
    pub fn key_header(&self, _path: &str) -> &'static str {
        "idempotency-key"
    }
}

/// The details of an error.
pub fn detail(code: &str, text: String, retry_after_ms: Option<u64>) -> ErrorDetail {
    ErrorDetail { code: code.to_owned(), path: None, text, retry_after_ms, attributes: Vec::new() }
}
