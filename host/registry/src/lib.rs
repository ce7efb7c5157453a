//! The merchants' door: bytes become a checked, digested component that a slot of a merchant uses.
//!
//! Owns components and bindings: upload, inspection, activation, pinning, loading by digest. Must not
//! know workflows or what a checkout does with an answer. Read first: [`Registry::push`],
//! [`Registry::pins`] and [`Registry::bound`].
//!
//! A *binding* is a component with its configuration, the origins it may reach and its failure policy.
//! It is immutable and named by its digest; a checkout pins the digests that were active when it started
//! and keeps them for life.

use std::collections::{BTreeMap, HashMap};
use std::str::FromStr as _;
use std::sync::{Arc, Mutex, RwLock};

use serde::{Deserialize, Serialize};
use serde_json::{Value, json};
use sha2::{Digest as _, Sha256};
use till_sandbox::{Component, LoadError, Origin, Sandbox, Secret, Slot};
use till_store::Store;
use till_store::tables::component::{BindingRow, ComponentRow};

/// Largest configuration of a binding. Larger data belongs into a table.
pub const CONFIG_BYTES_MAX: usize = 256 * 1024;
/// Network time that a binding may ask for: shorter than 100 ms no provider answers, and after 30 s the
/// shopper is gone.
const NETWORK_MS: std::ops::RangeInclusive<u64> = 100..=30_000;
/// Revisions written at the same time for one binding before the caller is told.
const RACES_MAX: u32 = 8;

/// What went wrong, by what the caller does next.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The bytes are no component for the slot.
    #[error(transparent)]
    Component(#[from] LoadError),
    /// The configuration does not match the component's schema.
    #[error("accept the configuration: {}", .findings.join("; "))]
    Config {
        /// What does not match, each with its path.
        findings: Vec<String>,
    },
    /// A field of the request is wrong.
    #[error("accept `{field}`: {why}")]
    Field {
        /// Name of the field.
        field: &'static str,
        /// What is wrong and what is allowed.
        why: String,
    },
    /// Nothing of that digest.
    #[error("find binding {digest}")]
    NotFound {
        /// The digest.
        digest: String,
    },
    /// The store failed.
    #[error(transparent)]
    Store(#[from] till_store::Error),
}

/// What happens when a component cannot answer.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum FailurePolicy {
    /// The step fails and the shopper is told.
    #[default]
    Refuse,
    /// The checkout goes on without it; shown as a warning, journalled and counted.
    Omit,
}

/// The immutable part of a binding: its digest names it.
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
    /// Wall time of the network in one call, milliseconds. None: 10 s.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub network_ms: Option<u64>,
    /// Uploaded tables by name.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub tables: BTreeMap<String, BTreeMap<String, String>>,
}

/// A component pushed to a slot.
pub struct Push {
    /// Slot.
    pub slot: Slot,
    /// Position in an ordered slot (`10`, `20`), or the payment method; `default` else.
    pub name: String,
    /// The binary.
    pub wasm: Vec<u8>,
    /// Configuration.
    pub config: Value,
    /// Allowed origins.
    pub origins: Vec<String>,
    /// Names may lead to private addresses.
    pub allow_private_addresses: bool,
    /// What happens when it cannot answer.
    pub policy: FailurePolicy,
    /// Wall time of the network in one call, milliseconds: 100 to 30,000. None: 10 s.
    pub network_ms: Option<u64>,
    /// Tables.
    pub tables: BTreeMap<String, BTreeMap<String, String>>,
    /// Who pushes.
    pub who: String,
}

/// A binding in effect.
#[derive(Debug, Clone, Serialize)]
pub struct Activation {
    /// Slot.
    pub slot: String,
    /// Name within the slot.
    pub name: String,
    /// Grows with each change.
    pub revision: i64,
    /// Digest of the binding.
    pub digest: String,
    /// Digest of the component.
    pub component: String,
    /// What the component says of itself.
    pub info: Value,
    /// Epoch microseconds.
    pub created_us: i64,
    /// Who activated it.
    pub created_by: String,
}

/// A binding that can be called.
#[derive(Debug)]
pub struct Bound {
    /// Digest of the binding.
    pub digest: String,
    /// Name within the slot.
    pub name: String,
    /// The loaded component.
    pub component: Arc<Component>,
    /// What it may see and reach.
    pub binding: Arc<till_sandbox::Binding>,
    /// Configuration as JSON text.
    pub config: String,
    /// What happens when it cannot answer.
    pub policy: FailurePolicy,
    /// Wall time of the network in one call, milliseconds.
    pub network_ms: u64,
}

type Active = BTreeMap<(String, String), String>;

/// Components and bindings of all merchants.
pub struct Registry {
    store: Arc<Store>,
    sandbox: Arc<Sandbox>,
    /// Secrets of this host by name; merchants' bindings name them, components never see them.
    secrets: HashMap<String, Secret>,
    bound: Mutex<HashMap<(String, String), Arc<Bound>>>,
    active: RwLock<HashMap<String, Arc<Active>>>,
}

impl Registry {
    /// A registry. `secrets` are this host's, by name.
    pub fn new(store: Arc<Store>, sandbox: Arc<Sandbox>, secrets: HashMap<String, Secret>) -> Registry {
        Registry { store, sandbox, secrets, bound: Mutex::default(), active: RwLock::default() }
    }

    /// The sandbox that runs the components.
    pub fn sandbox(&self) -> &Arc<Sandbox> {
        &self.sandbox
    }

    /// Checks a component and its configuration and binds it to a slot. The next checkout uses it; those
    /// under way keep what they have pinned.
    pub async fn push(&self, merchant: &str, push: Push, now_us: i64) -> Result<Activation, Error> {
        check_name(&push.name)?;
        if let Some(ms) = push.network_ms.filter(|ms| !NETWORK_MS.contains(ms)) {
            let why = format!("{ms} ms is not between {} and {}", NETWORK_MS.start(), NETWORK_MS.end());
            return Err(Error::Field { field: "networkMs", why });
        }
        let origins = push
            .origins
            .iter()
            .map(|o| Origin::from_str(o).map_err(|e| Error::Field { field: "origins", why: e.to_string() }))
            .collect::<Result<Vec<_>, _>>()?;
        let config_text = push.config.to_string();
        if config_text.len() > CONFIG_BYTES_MAX {
            let why = format!(
                "{} bytes; at most {CONFIG_BYTES_MAX}, larger data belongs into a table",
                config_text.len()
            );
            return Err(Error::Field { field: "config", why });
        }
        let component = self.load(push.slot, push.wasm.clone()).await?;
        check_config(&component.info.config_schema, &push.config)?;
        let body = BindingBody {
            component: component.digest.to_string(),
            config: push.config,
            origins,
            allow_private_addresses: push.allow_private_addresses,
            policy: push.policy,
            network_ms: push.network_ms,
            tables: push.tables,
        };
        let text = serde_json::to_string(&body).map_err(|e| till_store::Error::Corrupt(e.to_string()))?;
        let info = json!({
            "name": component.info.name,
            "version": component.info.version,
            "contract": component.contract_version,
            "capabilities": component.info.capabilities,
            "bytes": component.size,
        });
        let slot = push.slot.to_string();
        let digest = binding_digest(&slot, &push.name, &text);
        let row = ComponentRow {
            digest: body.component.clone(),
            slot: slot.clone(),
            info: info.to_string(),
            created_us: now_us,
            created_by: push.who.clone(),
        };
        let wasm = Arc::new(push.wasm);
        for _ in 0..RACES_MAX {
            let now = self.active_rows(merchant).await?;
            let revision =
                now.iter().find(|r| r.slot == slot && r.name == push.name).map_or(0, |r| r.revision) + 1;
            let binding = BindingRow {
                slot: slot.clone(),
                name: push.name.clone(),
                revision,
                digest: digest.clone(),
                body: text.clone(),
                created_us: now_us,
                created_by: push.who.clone(),
            };
            let (owner, kept, wasm, written) =
                (merchant.to_owned(), row.clone(), wasm.clone(), binding.clone());
            let done = self
                .store
                .transact(move |tx| {
                    let (owner, kept, wasm, written) =
                        (owner.clone(), kept.clone(), wasm.clone(), written.clone());
                    Box::pin(async move {
                        tx.put_component(&owner, &kept, &wasm).await?;
                        if tx.put_binding(&owner, &written).await? {
                            Ok(())
                        } else {
                            Err(till_store::Error::Conflict)
                        }
                    })
                })
                .await;
            match done {
                Ok(()) => {
                    self.refresh(merchant).await?;
                    return Ok(Activation {
                        slot,
                        name: push.name,
                        revision,
                        digest,
                        component: body.component.clone(),
                        info,
                        created_us: now_us,
                        created_by: push.who,
                    });
                }
                Err(till_store::Error::Conflict) => {}
                Err(error) => return Err(error.into()),
            }
        }
        Err(till_store::Error::Conflict.into())
    }

    /// What the slots of a merchant use now.
    pub async fn activations(&self, merchant: &str) -> Result<Vec<Activation>, Error> {
        let components = self.store.read().await?.components(merchant, 10_000).await?;
        let rows = self.active_rows(merchant).await?;
        Ok(rows
            .into_iter()
            .map(|row| {
                let component =
                    serde_json::from_str::<BindingBody>(&row.body).map(|b| b.component).unwrap_or_default();
                let info = components.iter().find(|c| c.digest == component && c.slot == row.slot);
                Activation {
                    info: info.and_then(|c| serde_json::from_str(&c.info).ok()).unwrap_or(Value::Null),
                    component,
                    slot: row.slot,
                    name: row.name,
                    revision: row.revision,
                    digest: row.digest,
                    created_us: row.created_us,
                    created_by: row.created_by,
                }
            })
            .collect())
    }

    /// The digests a checkout that starts now pins: `{slot: {name: binding digest}}`.
    pub async fn pins(&self, merchant: &str) -> Result<Value, Error> {
        let mut pins = serde_json::Map::new();
        for ((slot, name), digest) in self.active(merchant).await?.iter() {
            let slot = pins.entry(slot.clone()).or_insert_with(|| json!({}));
            slot[name] = json!(digest);
        }
        Ok(Value::Object(pins))
    }

    /// The active binding of a gateway, by payment method; `default` serves all others.
    pub async fn gateway(&self, merchant: &str, name: &str) -> Result<Option<Arc<Bound>>, Error> {
        let active = self.active(merchant).await?;
        let slot = Slot::PaymentGateway.to_string();
        let digest = active.get(&(slot, name.to_owned())).cloned();
        match digest {
            Some(digest) => Ok(Some(self.bound(merchant, &digest).await?)),
            None => Ok(None),
        }
    }

    /// A binding by its digest, loaded and ready; from memory after the first time.
    pub async fn bound(&self, merchant: &str, digest: &str) -> Result<Arc<Bound>, Error> {
        let key = (merchant.to_owned(), digest.to_owned());
        if let Some(bound) = self.bound.lock().expect("no holder panics").get(&key) {
            return Ok(bound.clone());
        }
        let missing = || Error::NotFound { digest: digest.to_owned() };
        let (row, wasm, slot, body) = {
            let mut tx = self.store.read().await?;
            let row = tx.binding_of(merchant, digest).await?.ok_or_else(missing)?;
            let body: BindingBody =
                serde_json::from_str(&row.body).map_err(|e| till_store::Error::Corrupt(e.to_string()))?;
            let slot = Slot::from_str(&row.slot).map_err(|e| till_store::Error::Corrupt(e.to_string()))?;
            let wasm = tx.component_wasm(merchant, &body.component, &row.slot).await?.ok_or_else(missing)?;
            (row, wasm, slot, body)
        };
        let component = self.load(slot, wasm).await?;
        let tables = body
            .tables
            .into_iter()
            .map(|(name, rows)| (name, Arc::new(rows.into_iter().collect())))
            .collect();
        let bound = Arc::new(Bound {
            digest: digest.to_owned(),
            name: row.name,
            component,
            binding: Arc::new(till_sandbox::Binding {
                tables,
                secrets: self.secrets.clone(),
                allowed_origins: body.origins,
                allow_private_addresses: body.allow_private_addresses,
            }),
            config: body.config.to_string(),
            policy: body.policy,
            network_ms: body.network_ms.unwrap_or_else(|| till_sandbox::Limits::default().network_ms),
        });
        self.bound.lock().expect("no holder panics").insert(key, bound.clone());
        Ok(bound)
    }

    async fn load(&self, slot: Slot, wasm: Vec<u8>) -> Result<Arc<Component>, Error> {
        let sandbox = self.sandbox.clone();
        // Compiling takes a core for a while; it must not sit on a thread that serves requests.
        let loaded = tokio::task::spawn_blocking(move || sandbox.load(slot, &wasm)).await;
        Ok(loaded.map_err(|e| till_store::Error::Unavailable(e.to_string()))??)
    }

    async fn active(&self, merchant: &str) -> Result<Arc<Active>, Error> {
        if let Some(active) = self.active.read().expect("no holder panics").get(merchant) {
            return Ok(active.clone());
        }
        self.refresh(merchant).await
    }

    async fn refresh(&self, merchant: &str) -> Result<Arc<Active>, Error> {
        let rows = self.active_rows(merchant).await?;
        let active: Arc<Active> = Arc::new(rows.into_iter().map(|r| ((r.slot, r.name), r.digest)).collect());
        self.active.write().expect("no holder panics").insert(merchant.to_owned(), active.clone());
        Ok(active)
    }

    async fn active_rows(&self, merchant: &str) -> Result<Vec<BindingRow>, Error> {
        Ok(self.store.read().await?.bindings(merchant).await?)
    }
}

fn check_name(name: &str) -> Result<(), Error> {
    let fine = (1..=64).contains(&name.len())
        && name.bytes().all(|b| b.is_ascii_lowercase() || b.is_ascii_digit() || matches!(b, b'-' | b'_'));
    if fine {
        return Ok(());
    }
    let why = format!("`{name}` must be 1 to 64 of a-z, 0-9, `-`, `_`");
    Err(Error::Field { field: "name", why })
}

fn check_config(schema: &str, config: &Value) -> Result<(), Error> {
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

fn binding_digest(slot: &str, name: &str, body: &str) -> String {
    let mut hash = Sha256::new();
    for part in [slot, name, body] {
        hash.update((part.len() as u64).to_be_bytes());
        hash.update(part);
    }
    hex::encode(hash.finalize())
}
