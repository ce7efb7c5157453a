//! HTTP of the host's own: merchants are told of events at addresses they name. The rules about inner addresses are
//! those of gateways.

use super::http::{Clients, private_literal};
use crate::Error;
use bytes::Bytes;
use reqwest::Url;
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

    /// Posts a document once and reads the start of the answer. Redirects are answers.
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
    ) -> Result<Answered, String> {
        let url = Url::parse(url).map_err(|error| format!("{url}: {error}"))?;
        if !private_allowed && private_literal(&url) {
            return Err(format!("{url} is a private address"));
        }
        let client = if private_allowed { &self.clients.any } else { &self.clients.public };
        let mut request = client.post(url).timeout(time).body(Bytes::from(body));
        for (name, value) in headers {
            request = request.header(*name, *value);
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
        Ok(Answered { status, retry_after_s, body: String::from_utf8_lossy(&read).into_owned() })
    }
}
