//! The merchants' door: bytes become a checked, digested component that a slot of a merchant uses.
//!
//! Owns components and bindings: upload, inspection, activation, trials, pinning, secrets, tables, loading by
//! digest. Must not know workflows or what a checkout does with an answer. Read first: [`Registry::push`],
//! [`Registry::pins`] and [`Registry::bound`].
//!
//! A *binding* is a component with its configuration, tables, origins, limits and failure policy. Its content is
//! immutable and named by its digest; a checkout pins the digests that were active when it started and keeps them
//! for life. A binding has *revisions*: each says as a whole what the slot uses from then on, and what is on trial
//! beside it. Secrets are in no digest: they are looked up at each call.

mod body;
mod change;
mod component;
mod error;
mod tables;
#[cfg(test)]
mod tests;
mod trial;
mod vault;

use std::collections::{BTreeMap, HashMap, HashSet};
use std::str::FromStr as _;
use std::sync::{Arc, Mutex, RwLock, Weak};
use std::time::{Duration, Instant};

use serde_json::{Value, json};
use till_sandbox::{Component, Origin, Sandbox, Secret, Slot, Table};
use till_store::Store;
use till_store::tables::trial::TrialKey;

pub use body::{BindingBody, Bound, CONFIG_BYTES_MAX, FailurePolicy, OwnLimits, check_config};
pub use change::{Activation, Change, Turn, WHY_BYTES_MAX};
pub use component::{Collected, Conformance, KEPT_REVISIONS, Known, Revocation, State, UNUSED_KEPT_US};
pub use error::Error;
pub use tables::{TableFormat, UPLOAD_KEPT_US, read_table};
pub use till_store::tables::component::ComponentChangeRow as LifeStep;
pub use till_store::tables::lookup::LookupRow as TableInfo;
pub use till_store::tables::trial::{DifferenceRow as Difference, TrialCount, TrialKey as TrialPlace};
pub use trial::{
    DIFFERENCES_KEPT, DIFFERENCES_KEPT_US, DifferencePlace, Ended, Guard, PPM, Trial, TrialKind, TrialReport,
};
pub use vault::{SECRET_BYTES_MAX, SecretInfo, Vault};

use body::check_name;
use change::{Ready, check_why, read_trial, slot_of};
use component::Hand;
use trial::{Tallies, check_share};

/// Where the bytes of a push come from.
#[derive(Debug, Clone)]
pub enum Source {
    /// They are sent.
    Bytes(Vec<u8>),
    /// They were uploaded before: their digest.
    Digest(String),
}

/// What a pushed component is used for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Stage {
    /// Nothing yet: it is checked and kept.
    Ready,
    /// It runs beside the active one, without effect.
    Shadow,
    /// A share of the checkouts uses it.
    Canary {
        /// Parts per million.
        share_ppm: u32,
        /// When it goes back by itself.
        guard: Guard,
    },
    /// All checkouts from the next one on use it.
    Active,
}

/// A component pushed to a slot.
pub struct Push {
    /// Slot.
    pub slot: Slot,
    /// Position in an ordered slot (`10`, `20`), or the payment method; `default` else.
    pub name: String,
    /// The binary.
    pub source: Source,
    /// Configuration.
    pub config: Value,
    /// Allowed origins.
    pub origins: Vec<String>,
    /// Names may lead to private addresses.
    pub allow_private_addresses: bool,
    /// What happens when it cannot answer. None: `refuse`; a canary falls back on the active one.
    pub policy: Option<FailurePolicy>,
    /// Digest of the binding that answers instead, with the policy `fallback`.
    pub fallback: Option<String>,
    /// Wall time of the network in one call, milliseconds: 100 to 30,000. None: 10 s.
    pub network_ms: Option<u64>,
    /// Limits below the host's.
    pub limits: OwnLimits,
    /// Digests of uploaded tables, by the name the component uses.
    pub tables: BTreeMap<String, String>,
    /// Names of the merchant's secrets that may be used for it.
    pub secrets: Vec<String>,
    /// What it is used for.
    pub stage: Stage,
    /// It may be used although it fails the conformance suite; needs a reason.
    pub skip_conformance: bool,
    /// Who pushes.
    pub who: String,
    /// Reason, for the history; may be empty.
    pub why: String,
}

impl Push {
    /// Bytes for a place, used by all checkouts, with nothing beside them.
    pub fn of(slot: Slot, name: &str, wasm: Vec<u8>, config: Value, who: &str) -> Push {
        Push {
            slot,
            name: name.to_owned(),
            source: Source::Bytes(wasm),
            config,
            origins: vec![],
            allow_private_addresses: false,
            policy: None,
            fallback: None,
            network_ms: None,
            limits: OwnLimits::default(),
            tables: BTreeMap::new(),
            secrets: vec![],
            stage: Stage::Active,
            skip_conformance: false,
            who: who.to_owned(),
            why: String::new(),
        }
    }
}

/// What a push came to.
#[derive(Debug, Clone)]
pub enum Pushed {
    /// It is kept.
    Ready {
        /// Digest of the component.
        component: String,
        /// What it says of itself.
        info: Value,
    },
    /// It is used.
    Bound(Box<Activation>),
}

/// A binding as it stands, in memory.
#[derive(Debug, Clone)]
struct Standing {
    slot: Slot,
    name: String,
    revision: i64,
    digest: String,
    trial: Option<Trial>,
}

/// What a merchant has in use, as read from the store.
#[derive(Default)]
struct InUse {
    bindings: Vec<Standing>,
    /// Digests of components.
    revoked: HashSet<String>,
    secrets: HashMap<String, Secret>,
}

impl InUse {
    fn binding(&self, slot: Slot, name: &str) -> Option<&Standing> {
        self.bindings.iter().find(|binding| binding.slot == slot && binding.name == name)
    }

    /// The trial whose binding has this digest.
    fn trial_of(&self, slot: Slot, name: &str, digest: &str) -> Option<(TrialKey, &Trial)> {
        let binding = self.binding(slot, name)?;
        let trial = binding.trial.as_ref().filter(|trial| trial.digest == digest)?;
        let key = TrialKey { slot: slot.to_string(), name: name.to_owned(), revision: binding.revision };
        Some((key, trial))
    }

    /// The trial that began there, if it is still under way.
    fn trial_at(&self, key: &TrialKey) -> Option<(Slot, &Trial)> {
        let binding = self.bindings.iter().find(|binding| {
            binding.slot.as_str() == key.slot && binding.name == key.name && binding.revision == key.revision
        })?;
        Some((binding.slot, binding.trial.as_ref()?))
    }
}

/// The binding without what it would fall back on, where that is revoked.
fn without_revoked(state: &InUse, bound: Arc<Bound>) -> Arc<Bound> {
    let revoked = |other: &Arc<Bound>| state.revoked.contains(&other.component.digest.to_string());
    if !state.revoked.is_empty() && bound.fallback.as_ref().is_some_and(revoked) {
        return Arc::new(Bound { fallback: None, ..(*bound).clone() });
    }
    bound
}

/// How long a change made through another host may go unseen by this one.
const SEEN_FOR: Duration = Duration::from_millis(500);

struct Seen {
    state: Arc<InUse>,
    /// The version in the store that the state has at least.
    version: i64,
    at: Instant,
}

/// Components and bindings of all merchants.
pub struct Registry {
    store: Arc<Store>,
    sandbox: Arc<Sandbox>,
    vault: Vault,
    conformance: Option<Arc<dyn Conformance>>,
    bound: Mutex<HashMap<(String, String), Arc<Bound>>>,
    loaded_tables: Mutex<HashMap<(String, String), Weak<Table>>>,
    seen: RwLock<HashMap<String, Seen>>,
    tallies: Tallies,
    left_out: Mutex<HashMap<String, u64>>,
}

impl Registry {
    /// A registry whose secrets this vault opens.
    pub fn new(store: Arc<Store>, sandbox: Arc<Sandbox>, vault: Vault) -> Registry {
        Registry {
            store,
            sandbox,
            vault,
            conformance: None,
            bound: Mutex::default(),
            loaded_tables: Mutex::default(),
            seen: RwLock::default(),
            tallies: Tallies::default(),
            left_out: Mutex::default(),
        }
    }

    /// With a suite that every component must pass before it may be used.
    pub fn with_conformance(self, conformance: Arc<dyn Conformance>) -> Registry {
        Registry { conformance: Some(conformance), ..self }
    }

    /// The sandbox that runs the components.
    pub fn sandbox(&self) -> &Arc<Sandbox> {
        &self.sandbox
    }

    /// Checks a component and its configuration and uses it as the push says. Checkouts under way keep what they
    /// have pinned.
    pub async fn push(&self, merchant: &str, push: Push, now_us: i64) -> Result<Pushed, Error> {
        check_name("name", &push.name)?;
        check_why(&push.why)?;
        if push.skip_conformance && push.why.trim().is_empty() {
            return Err(Error::field("why", "say why the conformance checks are skipped"));
        }
        if let Stage::Canary { share_ppm, .. } = push.stage {
            check_share(share_ppm)?;
        }
        if !push.slot.is_of_quote() && push.stage == Stage::Shadow {
            let why =
                format!("only what makes up a quote can run as a shadow; use a canary for {}", push.slot);
            return Err(Error::field("stage", why));
        }
        let mut body = self.body(merchant, &push).await?;
        let mut fallback_implied = false;
        if let Stage::Canary { .. } = push.stage
            && push.policy.is_none()
            && push.slot.is_pure()
        {
            let active = self.in_use(merchant).await?;
            let active = active.binding(push.slot, &push.name).filter(|binding| !binding.digest.is_empty());
            (body.policy, body.fallback) = match active {
                Some(active) => (FailurePolicy::Fallback, Some(active.digest.clone())),
                // Nothing is there for the other checkouts either.
                None => (FailurePolicy::Omit, None),
            };
            fallback_implied = true;
        }
        body.check(push.slot)?;
        if let Some(fallback) = &body.fallback {
            self.check_fallback(merchant, push.slot, fallback).await?;
        }
        let hand = Hand { merchant, who: &push.who, why: &push.why, now_us };
        let wasm = match push.source {
            Source::Bytes(wasm) => wasm,
            Source::Digest(digest) => self.binary(merchant, &digest).await?,
        };
        let component = self.upload(push.slot, wasm, hand).await?;
        body.component = component.digest.to_string();
        check_config(&component.info.config_schema, &body.config)?;
        let tables = self.tables_of(merchant, &body).await?;
        let ready = Ready::new(push.slot, &push.name, body)?;
        let bound =
            Bound::assemble(&ready.digest, &push.name, ready.body.clone(), component.clone(), tables, None);
        let passed = self.conforms(&bound, push.skip_conformance).await?;
        self.is_ready(push.slot, &ready.body.component, Hand { why: &passed, ..hand }).await?;
        let turn = Turn { slot: push.slot, name: push.name, who: push.who, why: push.why };
        let trial = |kind, share_ppm, guard| Trial {
            kind,
            digest: ready.digest.clone(),
            share_ppm,
            guard,
            fallback_implied,
        };
        let row = match push.stage {
            Stage::Ready => {
                let info = json!({ "name": component.info.name, "version": component.info.version, "contract": component.contract_version });
                return Ok(Pushed::Ready { component: ready.body.component, info });
            }
            Stage::Active => self.activate(merchant, &turn, &ready, now_us).await?,
            Stage::Shadow => {
                let trial = trial(TrialKind::Shadow, 0, Guard::default());
                self.try_out(merchant, &turn, &ready, &trial, now_us).await?
            }
            Stage::Canary { share_ppm, guard } => {
                let trial = trial(TrialKind::Canary, share_ppm, guard);
                self.try_out(merchant, &turn, &ready, &trial, now_us).await?
            }
        };
        Ok(Pushed::Bound(Box::new(self.activation(merchant, row).await?)))
    }

    async fn body(&self, merchant: &str, push: &Push) -> Result<BindingBody, Error> {
        let origins = push
            .origins
            .iter()
            .map(|o| Origin::from_str(o).map_err(|e| Error::field("origins", e.to_string())))
            .collect::<Result<Vec<_>, _>>()?;
        let known = self.store.read().await?.secrets(merchant).await?;
        if let Some(unknown) = push.secrets.iter().find(|name| known.iter().all(|row| row.name != **name)) {
            let why =
                format!("there is no secret `{unknown}`; set it with PUT /api/v1/admin/secrets/{unknown}");
            return Err(Error::field("secrets", why));
        }
        Ok(BindingBody {
            component: String::new(),
            config: push.config.clone(),
            origins,
            allow_private_addresses: push.allow_private_addresses,
            policy: push.policy.unwrap_or_default(),
            fallback: push.fallback.clone(),
            network_ms: push.network_ms,
            limits: push.limits,
            tables: push.tables.clone(),
            secrets: push.secrets.clone(),
        })
    }

    async fn check_fallback(&self, merchant: &str, slot: Slot, digest: &str) -> Result<(), Error> {
        let row = self.store.read().await?.body(merchant, digest).await?;
        match row {
            Some(row) if row.slot == slot.as_str() => Ok(()),
            _ => Err(Error::field("fallback", format!("there is no binding {digest} of the slot {slot}"))),
        }
    }

    /// What the suite says, for the component's history.
    async fn conforms(&self, bound: &Bound, skip: bool) -> Result<String, Error> {
        let Some(suite) = &self.conformance else { return Ok(String::new()) };
        if skip {
            return Ok("the conformance checks were skipped".to_owned());
        }
        let findings = suite.run(&self.sandbox, &bound.component, &bound.config, &bound.binding).await;
        if findings.is_empty() {
            return Ok("it passed the conformance checks".to_owned());
        }
        Err(Error::Conformance { findings })
    }

    async fn tables_of(
        &self,
        merchant: &str,
        body: &BindingBody,
    ) -> Result<BTreeMap<String, Arc<Table>>, Error> {
        let mut tables = BTreeMap::new();
        for (name, digest) in &body.tables {
            let table = self.table(merchant, digest).await.map_err(|error| match error {
                Error::NotFound { id, .. } => {
                    Error::field("tables", format!("table {id} of `{name}` is not there; upload it first"))
                }
                error => error,
            })?;
            tables.insert(name.clone(), table);
        }
        Ok(tables)
    }

    /// The digests a checkout that starts now pins: `{slot: {name: binding digest}}`. `session` decides whether it
    /// is one of those that use a canary.
    pub async fn pins(&self, merchant: &str, session: &str) -> Result<Value, Error> {
        let state = self.in_use(merchant).await?;
        let mut pins = serde_json::Map::new();
        for binding in &state.bindings {
            let canary = binding.trial.as_ref().filter(|t| t.takes(binding.slot, &binding.name, session));
            let digest = canary.map_or(&binding.digest, |trial| &trial.digest);
            if !digest.is_empty() {
                let slot = pins.entry(binding.slot.to_string()).or_insert_with(|| json!({}));
                slot[&binding.name] = json!(digest);
            }
        }
        Ok(Value::Object(pins))
    }

    /// The shadows of a merchant: where each runs, and the binding.
    pub async fn shadows(&self, merchant: &str) -> Result<Vec<(TrialKey, Slot, String)>, Error> {
        let state = self.in_use(merchant).await?;
        let shadow = |binding: &Standing| {
            let trial = binding.trial.as_ref().filter(|trial| trial.kind == TrialKind::Shadow)?;
            let key = TrialKey {
                slot: binding.slot.to_string(),
                name: binding.name.clone(),
                revision: binding.revision,
            };
            Some((key, binding.slot, trial.digest.clone()))
        };
        Ok(state.bindings.iter().filter_map(shadow).collect())
    }

    /// The active binding of a slot by its name; for a gateway the payment method, `default` serves all others.
    pub async fn active(&self, merchant: &str, slot: Slot, name: &str) -> Result<Option<Arc<Bound>>, Error> {
        let state = self.in_use(merchant).await?;
        match state.binding(slot, name).filter(|binding| !binding.digest.is_empty()) {
            Some(binding) => Ok(Some(self.bound(merchant, &binding.digest).await?)),
            None => Ok(None),
        }
    }

    /// The content of a binding as it was pushed.
    pub async fn content(&self, merchant: &str, digest: &str) -> Result<(Slot, String, BindingBody), Error> {
        let row = self.store.read().await?.body(merchant, digest).await?;
        let row = row.ok_or_else(|| Error::NotFound { what: "binding", id: digest.to_owned() })?;
        let slot = Slot::from_str(&row.slot).map_err(Error::corrupt)?;
        Ok((slot, row.name, BindingBody::read(&row.body)?))
    }

    /// A binding by its digest, loaded and ready; from memory after the first time.
    ///
    /// # Errors
    /// [`Error::Revoked`] when its component was revoked.
    pub async fn bound(&self, merchant: &str, digest: &str) -> Result<Arc<Bound>, Error> {
        let key = (merchant.to_owned(), digest.to_owned());
        let held = self.bound.lock().expect("no holder panics").get(&key).cloned();
        let state = self.in_use(merchant).await?;
        if let Some(bound) = held {
            self.check_revoked(&state, || bound.component.digest.to_string())?;
            return Ok(without_revoked(&state, bound));
        }
        let (slot, name, body) = self.content(merchant, digest).await?;
        self.check_revoked(&state, || body.component.clone())?;
        let fallback = match &body.fallback {
            // A fallback has no fallback of its own: one step aside is enough, and it cannot go round.
            Some(fallback) => {
                let (_, name, body) = self.content(merchant, fallback).await?;
                Some(Arc::new(self.assemble(merchant, slot, &name, fallback, body, None).await?))
            }
            None => None,
        };
        let bound = Arc::new(self.assemble(merchant, slot, &name, digest, body, fallback).await?);
        self.bound.lock().expect("no holder panics").insert(key, bound.clone());
        Ok(without_revoked(&state, bound))
    }

    fn check_revoked(&self, state: &InUse, component: impl Fn() -> String) -> Result<(), Error> {
        if state.revoked.is_empty() {
            return Ok(());
        }
        let component = component();
        if state.revoked.contains(&component) { Err(Error::Revoked { component }) } else { Ok(()) }
    }

    async fn assemble(
        &self,
        merchant: &str,
        slot: Slot,
        name: &str,
        digest: &str,
        body: BindingBody,
        fallback: Option<Arc<Bound>>,
    ) -> Result<Bound, Error> {
        let wasm = {
            let mut tx = self.store.read().await?;
            tx.component_wasm(merchant, &body.component, slot.as_str()).await?
        };
        let wasm = wasm.ok_or_else(|| Error::NotFound { what: "component", id: body.component.clone() })?;
        let component = self.load(merchant, slot, wasm).await?;
        let tables = self.tables_of(merchant, &body).await?;
        Ok(Bound::assemble(digest, name, body, component, tables, fallback))
    }

    /// What stands in for a binding whose component was revoked: what its place uses now. With `adopting`, only a
    /// component that can go on with what the revoked one began: one of the same name, or one whose
    /// capabilities say `adopts:<name>`.
    pub async fn stand_in(
        &self,
        merchant: &str,
        digest: &str,
        adopting: bool,
    ) -> Result<Option<Arc<Bound>>, Error> {
        let (slot, name, body) = self.content(merchant, digest).await?;
        let bound = match self.active(merchant, slot, &name).await {
            // What its place uses is revoked too, and not yet replaced.
            Ok(None) | Err(Error::Revoked { .. }) => return Ok(None),
            Ok(Some(bound)) => bound,
            Err(error) => return Err(error),
        };
        if !adopting {
            return Ok(Some(bound));
        }
        let row = self.store.read().await?.component(merchant, &body.component, slot.as_str()).await?;
        let info: Value = row.and_then(|row| serde_json::from_str(&row.info).ok()).unwrap_or(Value::Null);
        let Some(before) = info["name"].as_str() else { return Ok(None) };
        let now = &bound.component.info;
        let adopts = format!("adopts:{before}");
        let fits = now.name == before || now.capabilities.contains(&adopts);
        Ok(fits.then_some(bound))
    }

    /// What a call of this binding may see and reach, with its secrets as they are now.
    pub async fn reach(&self, merchant: &str, bound: &Bound) -> Result<Arc<till_sandbox::Binding>, Error> {
        if bound.secrets.is_empty() {
            return Ok(bound.binding.clone());
        }
        let state = self.in_use(merchant).await?;
        let own = |name: &String| Some((name.clone(), state.secrets.get(name)?.clone()));
        let secrets = bound.secrets.iter().filter_map(own).collect();
        Ok(Arc::new(till_sandbox::Binding { secrets, ..(*bound.binding).clone() }))
    }

    /// Lets go of what is in memory and no slot uses now. A checkout that still pins it loads it again.
    pub fn trim(&self) {
        let mut used = HashSet::new();
        for (merchant, seen) in self.seen.read().expect("no holder panics").iter() {
            for binding in &seen.state.bindings {
                used.insert((merchant.clone(), binding.digest.clone()));
                used.extend(binding.trial.iter().map(|trial| (merchant.clone(), trial.digest.clone())));
            }
        }
        self.bound.lock().expect("no holder panics").retain(|key, _| used.contains(key));
        self.sandbox.trim();
    }

    pub(crate) async fn load(
        &self,
        merchant: &str,
        slot: Slot,
        wasm: Vec<u8>,
    ) -> Result<Arc<Component>, Error> {
        let (sandbox, merchant) = (self.sandbox.clone(), merchant.to_owned());
        // Compiling takes a core for a while; it must not sit on a thread that serves requests.
        let loaded = tokio::task::spawn_blocking(move || sandbox.load_for(&merchant, slot, &wasm)).await;
        Ok(loaded.map_err(|e| till_store::Error::Unavailable(e.to_string()))??)
    }

    async fn in_use(&self, merchant: &str) -> Result<Arc<InUse>, Error> {
        if let Some(seen) = self.seen.read().expect("no holder panics").get(merchant)
            && seen.at.elapsed() < SEEN_FOR
        {
            return Ok(seen.state.clone());
        }
        self.refresh(merchant).await
    }

    /// Looks whether anything changed since it was last seen, and reads all of it only then.
    async fn refresh(&self, merchant: &str) -> Result<Arc<InUse>, Error> {
        // Before the read: what is written while it runs is looked for again in time.
        let at = Instant::now();
        let version = self.store.read().await?.in_use_version(merchant).await?;
        if let Some(seen) = self.seen.write().expect("no holder panics").get_mut(merchant)
            && seen.version == version
        {
            seen.at = seen.at.max(at);
            return Ok(seen.state.clone());
        }
        let (rows, revoked, secrets) = {
            let mut tx = self.store.read().await?;
            (tx.bindings(merchant).await?, tx.revoked(merchant).await?, tx.secrets(merchant).await?)
        };
        let mut bindings = Vec::with_capacity(rows.len());
        for row in rows {
            bindings.push(Standing {
                slot: slot_of(&row)?,
                trial: read_trial(&row.trial)?,
                name: row.name,
                revision: row.revision,
                digest: row.digest,
            });
        }
        let secrets = self.vault.open_all(merchant, &secrets);
        let state = Arc::new(InUse { bindings, revoked: revoked.into_iter().collect(), secrets });
        let mut all = self.seen.write().expect("no holder panics");
        if all.get(merchant).is_none_or(|seen| seen.version < version) {
            all.insert(merchant.to_owned(), Seen { state: state.clone(), version, at });
        }
        Ok(state)
    }
}
