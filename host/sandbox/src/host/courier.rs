//! HTTP of the host's own: merchants are told of events at addresses they name, and text messages go through providers
//! that they name. The rules about inner addresses and secrets are those of gateways.

use super::http::{Clients, fill, private_literal};
use crate::Error;
use crate::binding::Secret;
use bytes::Bytes;
use reqwest::Url;
use std::collections::HashMap;
use std::time::Duration;

/// Of an answer so much is read: its status is what counts.
const ANSWER_BYTES_MAX: usize = 4 << 10;

/// Sends documents to addresses that merchants name.
pub struct Courier {
    clients: Clients,
}

/// What came of sending.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Answered {
    /// HTTP status.
    pub status: u16,
    /// `Retry-After` in seconds, where the answer has one.
    pub retry_after_s: Option<u64>,
    /// The start of its body.
    pub body: String,
}

impl Courier {
    /// A courier with connections of its own.
    ///
    /// # Errors
    /// The system gives no TLS.
    pub fn new() -> Result<Courier, Error> {
        Ok(Courier { clients: Clients::new()? })
    }

    /// Posts a document once and reads the start of the answer. Redirects are answers. Each `{secret:NAME}` of a header
    /// value is replaced on the way out, and shown so again where the answer repeats the secret.
    ///
    /// # Errors
    /// Why there is no answer, for people.
    pub async fn post(
        &self,
        url: &str,
        headers: &[(&str, &str)],
        body: String,
        private_allowed: bool,
        time: Duration,
        secrets: &HashMap<String, Secret>,
    ) -> Result<Answered, String> {
        let url = Url::parse(url).map_err(|error| format!("{url}: {error}"))?;
        if !private_allowed && private_literal(&url) {
            return Err(format!("{url} is a private address"));
        }
        let client = if private_allowed { &self.clients.any } else { &self.clients.public };
        let mut request = client.post(url).timeout(time).body(Bytes::from(body));
        for (name, value) in headers {
            let mut value = fill(value.as_bytes(), secrets).map_err(|lost| lost.to_string())?;
            value.set_sensitive(true);
            request = request.header(*name, value);
        }
        let mut response = request.send().await.map_err(|error| super::http::chain(&error))?;
        let status = response.status().as_u16();
        let header = response.headers().get(hyper::header::RETRY_AFTER);
        let retry_after_s = header.and_then(|value| value.to_str().ok()?.trim().parse().ok());
        let mut read = Vec::new();
        while read.len() < ANSWER_BYTES_MAX {
            match response.chunk().await {
                Ok(Some(chunk)) => read.extend_from_slice(&chunk),
                // The status is here; what is missing of the words does not change it.
                Ok(None) | Err(_) => break,
            }
        }
        read.truncate(ANSWER_BYTES_MAX);
        let mut body = String::from_utf8_lossy(&read).into_owned();
        for (name, secret) in secrets {
            if let Ok(secret) = str::from_utf8(secret.expose())
                && !secret.is_empty()
            {
                body = body.replace(secret, &format!("{{secret:{name}}}"));
            }
        }
        Ok(Answered { status, retry_after_s, body })
    }
}
