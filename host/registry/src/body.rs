//! The content of a binding: a component with everything it may see and reach. Immutable, named by its digest.

use std::collections::BTreeMap;
use std::ops::RangeInclusive;
use std::sync::Arc;

use serde::{Deserialize, Serialize};
use serde_json::Value;
use sha2::{Digest as _, Sha256};
use till_sandbox::{Component, Limits, Origin, Slot};

use crate::Error;

/// Largest configuration of a binding. Larger data belongs into a table.
pub const CONFIG_BYTES_MAX: usize = 256 * 1024;
/// Tables and secrets that one binding may name.
const NAMED_MAX: usize = 64;
/// Network time that a binding may ask for: shorter than 100 ms no provider answers, and after 30 s the
/// shopper is gone.
const NETWORK_MS: RangeInclusive<u64> = 100..=30_000;

/// What happens when a component cannot answer.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum FailurePolicy {
    /// The step fails and the shopper is told.
    #[default]
    Refuse,
    /// Another binding of the slot answers; journalled and counted.
    Fallback,
    /// The checkout goes on without it; shown as a warning, journalled and counted.
    Omit,
}

/// Limits of one binding where they differ from the host's. A binding may have less, never more.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields, default)]
pub struct OwnLimits {
    /// Units of fuel in one call.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub fuel: Option<u64>,
    /// Linear memory in one call.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub memory_bytes: Option<u64>,
    /// Size of the request as JSON.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub input_bytes: Option<u64>,
    /// Bytes that go from the guest to the host in one go.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub output_bytes: Option<u64>,
}

impl OwnLimits {
    fn check(&self) -> Result<(), Error> {
        let host = Limits::default();
        let fields = [
            ("limits.fuel", self.fuel, host.fuel),
            ("limits.memoryBytes", self.memory_bytes, host.memory_bytes),
            ("limits.inputBytes", self.input_bytes, host.input_bytes),
            ("limits.outputBytes", self.output_bytes, host.output_bytes),
        ];
        for (field, own, most) in fields {
            if let Some(own) = own.filter(|own| !(1..=most).contains(own)) {
                return Err(Error::field(field, format!("{own} is not between 1 and this host's {most}")));
            }
        }
        Ok(())
    }
}

/// The content of a binding.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct BindingBody {
    /// SHA-256 of the component, hex.
    pub component: String,
    /// Configuration for the component.
    pub config: Value,
    /// Where a gateway may send requests.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub origins: Vec<Origin>,
    /// Names may lead to private addresses.
    #[serde(default)]
    pub allow_private_addresses: bool,
    /// What happens when it cannot answer.
    #[serde(default)]
    pub policy: FailurePolicy,
    /// Digest of the binding that answers instead, with the policy `fallback`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub fallback: Option<String>,
    /// Wall time of the network in one call, milliseconds. None: 10 s.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub network_ms: Option<u64>,
    /// Limits below the host's.
    #[serde(default)]
    pub limits: OwnLimits,
    /// Digests of uploaded tables, by the name the component uses.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub tables: BTreeMap<String, String>,
    /// Names of the merchant's secrets that it may have used for it.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub secrets: Vec<String>,
}

impl BindingBody {
    /// What a binding of this slot must keep to, but for its component.
    pub(crate) fn check(&self, slot: Slot) -> Result<(), Error> {
        if let Some(ms) = self.network_ms.filter(|ms| !NETWORK_MS.contains(ms)) {
            let why = format!("{ms} ms is not between {} and {}", NETWORK_MS.start(), NETWORK_MS.end());
            return Err(Error::field("networkMs", why));
        }
        let bytes = self.config.to_string().len();
        if bytes > CONFIG_BYTES_MAX {
            let why = format!("{bytes} bytes; at most {CONFIG_BYTES_MAX}, larger data belongs into a table");
            return Err(Error::field("config", why));
        }
        for (field, count) in [("tables", self.tables.len()), ("secrets", self.secrets.len())] {
            if count > NAMED_MAX {
                return Err(Error::field(field, format!("{count}; at most {NAMED_MAX}")));
            }
        }
        if slot.is_pure() && !(self.secrets.is_empty() && self.origins.is_empty()) {
            let field = if self.secrets.is_empty() { "origins" } else { "secrets" };
            return Err(Error::field(
                field,
                format!("a component for {slot} has no network and no signatures"),
            ));
        }
        if !slot.is_pure() && self.policy != FailurePolicy::Refuse {
            let why = format!("a {slot} that fails has only `refuse`: what it did is asked, never guessed");
            return Err(Error::field("policy", why));
        }
        match (self.policy, &self.fallback) {
            (FailurePolicy::Fallback, None) => Err(Error::field(
                "fallback",
                "the policy `fallback` needs the digest of another binding of the slot",
            )),
            (FailurePolicy::Refuse | FailurePolicy::Omit, Some(_)) => {
                Err(Error::field("fallback", "it is used with the policy `fallback` only"))
            }
            _ => self.limits.check(),
        }
    }

    pub(crate) fn text(&self) -> Result<String, Error> {
        serde_json::to_string(self).map_err(Error::corrupt)
    }

    pub(crate) fn read(text: &str) -> Result<BindingBody, Error> {
        serde_json::from_str(text).map_err(Error::corrupt)
    }
}

/// A binding that can be called.
#[derive(Debug, Clone)]
pub struct Bound {
    /// Digest of the binding.
    pub digest: String,
    /// Name within the slot.
    pub name: String,
    /// The loaded component.
    pub component: Arc<Component>,
    /// What it may see and reach, without its secrets.
    pub binding: Arc<till_sandbox::Binding>,
    /// Names of the secrets it may have used for it.
    pub secrets: Vec<String>,
    /// Configuration as JSON text.
    pub config: String,
    /// What happens when it cannot answer.
    pub policy: FailurePolicy,
    /// Who answers instead, with the policy `fallback`.
    pub fallback: Option<Arc<Bound>>,
    /// What it may use in one call.
    pub limits: Limits,
}

impl Bound {
    /// A binding of a loaded component and its loaded tables.
    pub fn assemble(
        digest: &str,
        name: &str,
        body: BindingBody,
        component: Arc<Component>,
        tables: BTreeMap<String, Arc<till_sandbox::Table>>,
        fallback: Option<Arc<Bound>>,
    ) -> Bound {
        let host = Limits::default();
        Bound {
            digest: digest.to_owned(),
            name: name.to_owned(),
            component,
            binding: Arc::new(till_sandbox::Binding {
                tables: tables.into_iter().collect(),
                secrets: std::collections::HashMap::new(),
                allowed_origins: body.origins,
                allow_private_addresses: body.allow_private_addresses,
            }),
            secrets: body.secrets,
            config: body.config.to_string(),
            policy: body.policy,
            fallback,
            limits: Limits {
                fuel: body.limits.fuel.unwrap_or(host.fuel),
                memory_bytes: body.limits.memory_bytes.unwrap_or(host.memory_bytes),
                input_bytes: body.limits.input_bytes.unwrap_or(host.input_bytes),
                output_bytes: body.limits.output_bytes.unwrap_or(host.output_bytes),
                network_ms: body.network_ms.unwrap_or(host.network_ms),
            },
        }
    }
}

pub(crate) fn check_name(field: &'static str, name: &str) -> Result<(), Error> {
    let fine = (1..=64).contains(&name.len())
        && name.bytes().all(|b| b.is_ascii_lowercase() || b.is_ascii_digit() || matches!(b, b'-' | b'_'));
    if fine {
        return Ok(());
    }
    Err(Error::field(field, format!("`{name}` must be 1 to 64 of a-z, 0-9, `-`, `_`")))
}

/// The configuration against the schema that the component gives.
pub fn check_config(schema: &str, config: &Value) -> Result<(), Error> {
    let broken = |why: String| Error::Config { findings: vec![why] };
    let schema: Value = serde_json::from_str(schema)
        .map_err(|e| broken(format!("the component's own schema is no JSON: {e}")))?;
    let validator = jsonschema::validator_for(&schema)
        .map_err(|e| broken(format!("the component's own schema is invalid: {e}")))?;
    let findings: Vec<String> = validator
        .iter_errors(config)
        .take(20)
        .map(|e| format!("$config{}: {e}", e.instance_path()))
        .collect();
    if findings.is_empty() { Ok(()) } else { Err(Error::Config { findings }) }
}

/// Names the content of a binding in its place.
pub(crate) fn binding_digest(slot: Slot, name: &str, body: &str) -> String {
    let mut hash = Sha256::new();
    for part in [slot.as_str(), name, body] {
        hash.update((part.len() as u64).to_be_bytes());
        hash.update(part);
    }
    hex::encode(hash.finalize())
}
