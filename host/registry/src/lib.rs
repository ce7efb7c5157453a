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
use std::time::{Duration, Instant};

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
    /// There is nothing to change.
    #[error("{why}")]
    Nothing {
        /// What there is instead.
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
    /// Reason, for the history; may be empty.
    pub why: String,
}

/// Longest reason of a change, bytes.
pub const WHY_BYTES_MAX: usize = 500;

/// A binding to change back or to take out of use.
#[derive(Debug, Clone)]
pub struct Turn {
    /// Slot.
    pub slot: Slot,
    /// Name within the slot.
    pub name: String,
    /// Who does it.
    pub who: String,
    /// Reason, for the history; may be empty.
    pub why: String,
}

/// What was done to a binding.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Act {
    /// A component was uploaded and used.
    Push,
    /// An earlier revision was used again.
    Rollback,
    /// The slot is not in use any more.
    Retire,
}

impl Act {
    /// As it is stored and shown.
    fn as_str(self) -> &'static str {
        match self {
            Act::Push => "push",
            Act::Rollback => "rollback",
            Act::Retire => "retire",
        }
    }
}

/// A change of a binding, as it was made.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Change {
    /// Grows with each change of the binding.
    pub revision: i64,
    /// What was done: `push`, `rollback` or `retire`.
    pub act: String,
    /// Revision its content was pushed with.
    pub origin: i64,
    /// Digest of the binding; empty when retired.
    pub digest: String,
    /// Digest of the component; empty when retired.
    pub component: String,
    /// Reason.
    pub why: String,
    /// Epoch microseconds.
    pub created_us: i64,
    /// Who did it.
    pub created_by: String,
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

/// How long a change made through another host may go unseen by this one.
const SEEN_FOR: Duration = Duration::from_millis(500);

/// What the slots of a merchant use, as read from the store.
struct Seen {
    active: Arc<Active>,
    at: Instant,
}

/// Components and bindings of all merchants.
pub struct Registry {
    store: Arc<Store>,
    sandbox: Arc<Sandbox>,
    /// Secrets of this host by name; merchants' bindings name them, components never see them.
    secrets: HashMap<String, Secret>,
    bound: Mutex<HashMap<(String, String), Arc<Bound>>>,
    active: RwLock<HashMap<String, Seen>>,
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
        let (owner, kept) = (merchant.to_owned(), row);
        self.store
            .transact(move |tx| {
                let (owner, kept, wasm) = (owner.clone(), kept.clone(), wasm.clone());
                Box::pin(async move { tx.put_component(&owner, &kept, &wasm).await.map(|_| ()) })
            })
            .await?;
        let turn = Turn { slot: push.slot, name: push.name, who: push.who, why: push.why };
        let written = self
            .change(merchant, &turn, now_us, |history| {
                Ok(BindingRow {
                    act: Act::Push.as_str().to_owned(),
                    origin: history.first().map_or(0, |newest| newest.revision) + 1,
                    digest: digest.clone(),
                    body: text.clone(),
                    ..blank(&turn)
                })
            })
            .await?;
        Ok(activation(written, body.component, info))
    }

    /// Uses an earlier revision again: `to`, or the one before what is used now. Rolling back twice goes back
    /// twice. Checkouts under way keep what they have.
    pub async fn roll_back(
        &self,
        merchant: &str,
        turn: Turn,
        to: Option<i64>,
        now_us: i64,
    ) -> Result<Activation, Error> {
        let written = self
            .change(merchant, &turn, now_us, |history| {
                let target = earlier(history, to)?;
                Ok(BindingRow {
                    act: Act::Rollback.as_str().to_owned(),
                    origin: target.origin,
                    digest: target.digest.clone(),
                    body: target.body.clone(),
                    ..blank(&turn)
                })
            })
            .await?;
        let component = component_of(&written.body);
        let info = self.info(merchant, &component, &written.slot).await?;
        Ok(activation(written, component, info))
    }

    /// Takes a binding out of use; the next checkout goes without it. Rolling back brings it back.
    pub async fn retire(&self, merchant: &str, turn: Turn, now_us: i64) -> Result<Change, Error> {
        let written = self
            .change(merchant, &turn, now_us, |history| {
                let newest = history.first().filter(|newest| !newest.digest.is_empty());
                let newest = newest.ok_or_else(|| unused(&turn))?;
                Ok(BindingRow {
                    act: Act::Retire.as_str().to_owned(),
                    origin: newest.revision + 1,
                    ..blank(&turn)
                })
            })
            .await?;
        Ok(change(written))
    }

    /// Changes of a binding before the revision `before`, newest first.
    pub async fn history(
        &self,
        merchant: &str,
        slot: Slot,
        name: &str,
        before: i64,
        limit: i64,
    ) -> Result<Vec<Change>, Error> {
        let mut tx = self.store.read().await?;
        let rows = tx.binding_history(merchant, &slot.to_string(), name, before, limit).await?;
        Ok(rows.into_iter().map(change).collect())
    }

    /// Writes the next revision of a binding, decided from those before it, newest first.
    async fn change(
        &self,
        merchant: &str,
        turn: &Turn,
        now_us: i64,
        next: impl Fn(&[BindingRow]) -> Result<BindingRow, Error>,
    ) -> Result<BindingRow, Error> {
        if turn.why.len() > WHY_BYTES_MAX {
            let why = format!("{} bytes; at most {WHY_BYTES_MAX}", turn.why.len());
            return Err(Error::Field { field: "why", why });
        }
        let slot = turn.slot.to_string();
        for _ in 0..RACES_MAX {
            let history = {
                let mut tx = self.store.read().await?;
                tx.binding_history(merchant, &slot, &turn.name, i64::MAX, HISTORY_MAX).await?
            };
            let revision = history.first().map_or(0, |newest| newest.revision) + 1;
            let row = BindingRow { revision, created_us: now_us, ..next(&history)? };
            let (owner, written) = (merchant.to_owned(), row.clone());
            let done = self.store.transact(move |tx| {
                let (owner, written) = (owner.clone(), written.clone());
                Box::pin(async move { tx.put_binding(&owner, &written).await })
            });
            if done.await? {
                self.refresh(merchant).await?;
                return Ok(row);
            }
        }
        Err(till_store::Error::Conflict.into())
    }

    async fn info(&self, merchant: &str, component: &str, slot: &str) -> Result<Value, Error> {
        let components = self.store.read().await?.components(merchant, 10_000).await?;
        let found = components.iter().find(|c| c.digest == component && c.slot == slot);
        Ok(found.and_then(|c| serde_json::from_str(&c.info).ok()).unwrap_or(Value::Null))
    }

    /// What the slots of a merchant use now.
    pub async fn activations(&self, merchant: &str) -> Result<Vec<Activation>, Error> {
        let components = self.store.read().await?.components(merchant, 10_000).await?;
        let rows = self.active_rows(merchant).await?;
        Ok(rows
            .into_iter()
            .map(|row| {
                let component = component_of(&row.body);
                let info = components.iter().find(|c| c.digest == component && c.slot == row.slot);
                let info = info.and_then(|c| serde_json::from_str(&c.info).ok()).unwrap_or(Value::Null);
                activation(row, component, info)
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
        if let Some(seen) = self.active.read().expect("no holder panics").get(merchant)
            && seen.at.elapsed() < SEEN_FOR
        {
            return Ok(seen.active.clone());
        }
        self.refresh(merchant).await
    }

    async fn refresh(&self, merchant: &str) -> Result<Arc<Active>, Error> {
        // Before the read: what is written while it runs is looked for again in time.
        let at = Instant::now();
        let rows = self.active_rows(merchant).await?;
        let active: Arc<Active> = Arc::new(rows.into_iter().map(|r| ((r.slot, r.name), r.digest)).collect());
        let mut all = self.active.write().expect("no holder panics");
        if all.get(merchant).is_none_or(|seen| seen.at <= at) {
            all.insert(merchant.to_owned(), Seen { active: active.clone(), at });
        }
        Ok(active)
    }

    async fn active_rows(&self, merchant: &str) -> Result<Vec<BindingRow>, Error> {
        let mut rows = self.store.read().await?.bindings(merchant).await?;
        rows.retain(|row| !row.digest.is_empty());
        Ok(rows)
    }
}

/// Revisions looked at for a change. Whoever goes back further names the revision.
const HISTORY_MAX: i64 = 1_000;

/// The revision to use again.
fn earlier(history: &[BindingRow], to: Option<i64>) -> Result<&BindingRow, Error> {
    let nothing = |why: String| Error::Nothing { why };
    let used = |row: &&BindingRow| !row.digest.is_empty();
    let Some(newest) = history.first() else {
        return Err(nothing("nothing was ever bound under this name".to_owned()));
    };
    match to {
        Some(to) => history.iter().find(|row| row.revision == to).filter(used).ok_or_else(|| {
            let why =
                format!("there is no revision {to} that used a component; the newest is {}", newest.revision);
            Error::Field { field: "revision", why }
        }),
        // Before the revision its content came from: so two rollbacks do not end where they began.
        None => history
            .iter()
            .filter(used)
            .find(|row| row.revision < newest.origin && row.digest != newest.digest)
            .ok_or_else(|| nothing("there is no earlier revision to go back to".to_owned())),
    }
}

fn unused(turn: &Turn) -> Error {
    Error::Nothing { why: format!("{}/{} is not in use", turn.slot, turn.name) }
}

/// A row with what every change has; the rest is filled in by who makes it.
fn blank(turn: &Turn) -> BindingRow {
    BindingRow {
        slot: turn.slot.to_string(),
        name: turn.name.clone(),
        revision: 0,
        act: String::new(),
        origin: 0,
        digest: String::new(),
        body: String::new(),
        why: turn.why.clone(),
        created_us: 0,
        created_by: turn.who.clone(),
    }
}

fn component_of(body: &str) -> String {
    serde_json::from_str::<BindingBody>(body).map(|b| b.component).unwrap_or_default()
}

fn activation(row: BindingRow, component: String, info: Value) -> Activation {
    Activation {
        slot: row.slot,
        name: row.name,
        revision: row.revision,
        digest: row.digest,
        component,
        info,
        created_us: row.created_us,
        created_by: row.created_by,
    }
}

fn change(row: BindingRow) -> Change {
    Change {
        component: component_of(&row.body),
        revision: row.revision,
        act: row.act,
        origin: row.origin,
        digest: row.digest,
        why: row.why,
        created_us: row.created_us,
        created_by: row.created_by,
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
