//! What a merchant hands to a component beside its configuration: tables, secrets, reachable origins.

use serde::{Deserialize, Serialize};
use std::collections::HashMap;
use std::fmt;
use std::str::FromStr;
use std::sync::Arc;

use crate::Table;

/// What one binding lets its component see and reach.
#[derive(Clone, Debug, Default)]
pub struct Binding {
    /// Uploaded tables by name.
    pub tables: HashMap<String, Arc<Table>>,
    /// Secrets by name. They never enter the sandbox.
    pub secrets: HashMap<String, Secret>,
    /// Where a gateway may send requests.
    pub allowed_origins: Vec<Origin>,
    /// Whether names may lead to loopback, private and link-local addresses. For tests and for gateways
    /// inside the operator's own network.
    pub allow_private_addresses: bool,
}

impl Binding {
    /// A binding with nothing in it.
    pub fn empty() -> Arc<Binding> {
        Arc::new(Binding::default())
    }
}

/// Bytes that are never shown.
#[derive(Clone, PartialEq, Eq)]
pub struct Secret(Vec<u8>);

impl Secret {
    /// Takes the secret in.
    pub fn new(bytes: impl Into<Vec<u8>>) -> Self {
        Secret(bytes.into())
    }

    /// Signs with the secret as its key.
    pub fn hmac_sha256(&self, data: &[u8]) -> Vec<u8> {
        crate::host::signing::sign::<hmac::Hmac<sha2::Sha256>>(&self.0, data)
    }

    pub(crate) fn expose(&self) -> &[u8] {
        &self.0
    }
}

impl fmt::Debug for Secret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Secret(blanked)")
    }
}

/// Scheme, host and port, as in `https://api.example.com`.
#[derive(Clone, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(into = "String", try_from = "String")]
pub struct Origin {
    scheme: String,
    host: String,
    port: u16,
}

/// The text is no origin.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("`{text}` is not an origin: {why}")]
pub struct OriginError {
    /// The text.
    pub text: String,
    /// What is wrong with it.
    pub why: &'static str,
}

impl Origin {
    /// The origin a URL belongs to. None where it has no host.
    pub(crate) fn of(url: &reqwest::Url) -> Option<Origin> {
        Some(Origin {
            scheme: url.scheme().to_owned(),
            host: url.host_str()?.to_owned(),
            port: url.port_or_known_default()?,
        })
    }
}

impl FromStr for Origin {
    type Err = OriginError;

    fn from_str(text: &str) -> Result<Self, OriginError> {
        let error = |why| OriginError { text: text.to_owned(), why };
        let url = reqwest::Url::parse(text).map_err(|_| error("it is no URL"))?;
        if !matches!(url.scheme(), "http" | "https") {
            return Err(error("the scheme must be http or https"));
        }
        if url.path() != "/" || url.query().is_some() || url.fragment().is_some() {
            return Err(error("it must end after host and port"));
        }
        if !url.username().is_empty() || url.password().is_some() {
            return Err(error("it must not name a user"));
        }
        Origin::of(&url).ok_or_else(|| error("it has no host"))
    }
}

impl TryFrom<String> for Origin {
    type Error = OriginError;

    fn try_from(text: String) -> Result<Self, OriginError> {
        text.parse()
    }
}

impl From<Origin> for String {
    fn from(origin: Origin) -> String {
        origin.to_string()
    }
}

impl fmt::Display for Origin {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let default = if self.scheme == "https" { 443 } else { 80 };
        write!(f, "{}://{}", self.scheme, self.host)?;
        if self.port == default { Ok(()) } else { write!(f, ":{}", self.port) }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_origin_is_scheme_host_and_port_and_nothing_else() {
        let origin: Origin = "https://API.example.com:443".parse().unwrap();
        assert_eq!(origin.to_string(), "https://api.example.com");
        assert_eq!("http://127.0.0.1:9".parse::<Origin>().unwrap().to_string(), "http://127.0.0.1:9");
        for bad in ["api.example.com", "https://a/b", "https://a?x", "ftp://a", "https://me@a", "https://"] {
            assert!(bad.parse::<Origin>().is_err(), "{bad}");
        }
    }

    #[test]
    fn a_secret_does_not_print() {
        assert_eq!(format!("{:?}", Secret::new("sk_live")), "Secret(blanked)");
    }
}
