//! Runs instances: load, decide, commit, act.
//!
//! An instance is driven by one task at a time in this process (the *seat*), and by one host at a time
//! through the fence in the store. There is no claim commit: the first commit of a turn claims, on the
//! condition that the fence is as it was read, so a host that lost the race has sent nothing.
//! Start reading at [`Runner::start`] and `drive.rs`.

mod drive;
mod inbox;
mod poll;
mod watch;

use std::collections::HashMap;
use std::sync::{Arc, Mutex, RwLock};

use serde_json::{Value, json};
use sha2::{Digest as _, Sha256};
use tokio::sync::{Notify, Semaphore};
use uuid::Uuid;

use crate::definition::{Definition, Finding, Sender, check};
use crate::instance::{Control, Instance, Status};
use crate::ports::{Clock, Loaded, Steps, Store, StoreError};
pub use inbox::{SignalAnswer, SignalRequest};
pub use watch::Watch;

/// How long a host holds an instance without a commit before another may take it, microseconds.
pub const LEASE_US: i64 = 60_000_000;
/// Instances driven at the same time by one host. Each holds a few kB; more would only queue at the store.
const DRIVEN_MAX: usize = 1024;

/// What went wrong, by what the caller does next.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// No such workflow, instance or definition.
    #[error("find {what} `{name}`")]
    NotFound {
        /// Kind of thing.
        what: &'static str,
        /// Its name.
        name: String,
    },
    /// The id is in use by another request.
    #[error("start `{id}`: an instance of that id was started with another request")]
    OtherRequest {
        /// The client's id.
        id: String,
    },
    /// Inputs the workflow does not take.
    #[error("start: input `{input}` is not among the inputs of `{workflow}`")]
    UnknownInput {
        /// Name of the input.
        input: String,
        /// Name of the workflow.
        workflow: String,
    },
    /// The definition has faults.
    #[error("accept the definition: {} findings", .0.len())]
    Definition(Vec<Finding>),
    /// The store failed.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// The host is stopping.
    #[error("start work: the host is stopping")]
    Stopping,
}

/// What is needed to start an instance.
#[derive(Debug, Clone)]
pub struct StartRequest {
    /// Owner.
    pub merchant: String,
    /// Name of the workflow.
    pub workflow: String,
    /// Chosen by the client.
    pub id: String,
    /// The shopper it belongs to; empty for none.
    pub subject: String,
    /// Client inputs, each listed in the file's `inputs`.
    pub inputs: Value,
    /// What the host itself puts into the first context (settings, snapshots); merged beside `inputs`.
    pub context: Value,
    /// Digests pinned for life.
    pub pins: Value,
    /// Hash of what the client sent; a repeated start must have the same.
    pub hash: String,
}

/// A started or existing instance.
pub struct Started {
    /// It was made by this call.
    pub created: bool,
    /// Follows it.
    pub watch: Watch,
}

/// Runs instances. Cheap to clone through `Arc`.
pub struct Runner<S: Store> {
    store: Arc<S>,
    steps: Arc<dyn Steps<S::Tx>>,
    clock: Arc<dyn Clock>,
    host: String,
    definitions: RwLock<Definitions>,
    seats: Mutex<HashMap<Uuid, watch::Seat>>,
    followers: Mutex<HashMap<Uuid, Arc<Notify>>>,
    nudge: Notify,
    stopping: std::sync::atomic::AtomicBool,
    places: Arc<Semaphore>,
}

#[derive(Default)]
struct Definitions {
    by_digest: HashMap<String, Arc<Definition>>,
    /// (merchant or `*`, workflow) → digest for new instances.
    active: HashMap<(String, String), String>,
}

impl<S: Store> Runner<S> {
    /// A runner of this host. `host` names it in leases and must differ between processes.
    pub fn new(
        store: Arc<S>,
        steps: Arc<dyn Steps<S::Tx>>,
        clock: Arc<dyn Clock>,
        host: &str,
    ) -> Arc<Runner<S>> {
        Arc::new(Runner {
            store,
            steps,
            clock,
            host: host.to_owned(),
            definitions: RwLock::default(),
            seats: Mutex::default(),
            followers: Mutex::default(),
            nudge: Notify::new(),
            stopping: false.into(),
            places: Arc::new(Semaphore::new(DRIVEN_MAX)),
        })
    }

    /// Parses and checks a definition against the registered steps.
    pub fn check(&self, source: &str) -> Result<Definition, Vec<Finding>> {
        let definition = Definition::parse(source)?;
        let findings = check(&definition, &|step| self.steps.interface(step));
        if findings.is_empty() { Ok(definition) } else { Err(findings) }
    }

    /// Checks a definition, keeps it under its digest, and uses it for new instances of `merchant`
    /// (`*`: all merchants).
    pub async fn publish(&self, merchant: &str, source: &str) -> Result<Arc<Definition>, Error> {
        let definition = Arc::new(self.check(source).map_err(Error::Definition)?);
        let name = definition.file.id.clone();
        self.store.put_definition(&definition.digest, &name, source, self.clock.now_us()).await?;
        let mut all = self.definitions.write().expect("no holder panics");
        all.by_digest.insert(definition.digest.clone(), definition.clone());
        all.active.insert((merchant.to_owned(), name), definition.digest.clone());
        Ok(definition)
    }

    /// The definition that a new instance of this workflow would use.
    pub fn active(&self, merchant: &str, workflow: &str) -> Option<Arc<Definition>> {
        let all = self.definitions.read().expect("no holder panics");
        let digest = all
            .active
            .get(&(merchant.to_owned(), workflow.to_owned()))
            .or_else(|| all.active.get(&("*".to_owned(), workflow.to_owned())))?;
        all.by_digest.get(digest).cloned()
    }

    pub(crate) async fn pinned(&self, digest: &str) -> Result<Arc<Definition>, Error> {
        if let Some(found) = self.definitions.read().expect("no holder panics").by_digest.get(digest) {
            return Ok(found.clone());
        }
        let missing = || Error::NotFound { what: "definition", name: digest.to_owned() };
        let source = self.store.definition(digest).await?.ok_or_else(missing)?;
        let definition = Arc::new(Definition::parse(&source).map_err(Error::Definition)?);
        let mut all = self.definitions.write().expect("no holder panics");
        all.by_digest.insert(digest.to_owned(), definition.clone());
        Ok(definition)
    }

    /// Starts an instance, or attaches to the one of the same id and request. Returns when the start is
    /// durable; the watch follows the rest.
    pub async fn start(self: &Arc<Self>, request: StartRequest) -> Result<Started, Error> {
        let definition = self
            .active(&request.merchant, &request.workflow)
            .ok_or_else(|| Error::NotFound { what: "workflow", name: request.workflow.clone() })?;
        if let Some(inputs) = request.inputs.as_object()
            && let Some(input) = inputs.keys().find(|k| !definition.file.inputs.contains(k))
        {
            return Err(Error::UnknownInput { input: input.clone(), workflow: request.workflow });
        }
        let now_us = self.clock.now_us();
        let mut context = request.context;
        if context.is_null() {
            context = json!({});
        }
        context["inputs"] = if request.inputs.is_null() { json!({}) } else { request.inputs };
        let mut instance = Instance {
            merchant: request.merchant,
            uid: Uuid::now_v7(),
            workflow: request.workflow,
            id: request.id,
            start_hash: request.hash,
            subject: request.subject,
            definition: definition.digest.clone(),
            pins: request.pins,
            state: String::new(),
            status: Status::Running,
            version: 0,
            context: Arc::new(context),
            control: Control::default(),
            created_us: now_us,
            updated_us: now_us,
        };
        let mut log = crate::decide::Log::default();
        crate::decide::start(&definition, &mut instance, now_us, &mut log);
        let (merchant, workflow, id, hash) = (
            instance.merchant.clone(),
            instance.workflow.clone(),
            instance.id.clone(),
            instance.start_hash.clone(),
        );
        let watch = self.drive_new(definition, instance, log)?;
        match watch.committed().await {
            Ok(()) => Ok(Started { created: true, watch }),
            Err(StoreError::Exists) => {
                let found = self
                    .store
                    .find(&merchant, &workflow, &id)
                    .await?
                    .ok_or(StoreError::Unavailable("the instance vanished".to_owned()))?;
                if found.instance.start_hash != hash {
                    return Err(Error::OtherRequest { id });
                }
                Ok(Started { created: false, watch: self.watch(found) })
            }
            Err(error) => Err(error.into()),
        }
    }

    /// Reads an instance as last committed.
    pub async fn read(&self, merchant: &str, uid: Uuid) -> Result<Option<Loaded>, Error> {
        Ok(self.store.load(merchant, uid).await?)
    }

    /// Reads an instance by the client's id.
    pub async fn find(&self, merchant: &str, workflow: &str, id: &str) -> Result<Option<Loaded>, Error> {
        Ok(self.store.find(merchant, workflow, id).await?)
    }

    /// An operator's act on a parked instance (`retry`, `skip`), with who and why.
    pub async fn operate(
        self: &Arc<Self>,
        merchant: &str,
        uid: Uuid,
        act: &str,
        who: &str,
        why: &str,
    ) -> Result<SignalAnswer, Error> {
        let dedup = format!("{uid}:{act}:{}", self.clock.now_us());
        self.signal(SignalRequest {
            merchant: merchant.to_owned(),
            uid,
            name: format!("till.{act}"),
            sender: Sender::Operator,
            source: "operator".to_owned(),
            dedup,
            hash: String::new(),
            body: json!({ "who": who, "why": why }),
            keep: false,
        })
        .await
    }

    /// The clock of this runner.
    pub fn clock(&self) -> &Arc<dyn Clock> {
        &self.clock
    }

    /// The register of steps.
    pub fn steps(&self) -> &Arc<dyn Steps<S::Tx>> {
        &self.steps
    }

    /// The store.
    pub fn store(&self) -> &Arc<S> {
        &self.store
    }
}

/// SHA-256 in hex over parts, each with its length, so that parts cannot run into each other.
pub fn request_hash(parts: &[&str]) -> String {
    let mut hash = Sha256::new();
    for part in parts {
        hash.update((part.len() as u64).to_be_bytes());
        hash.update(part.as_bytes());
    }
    hex::encode(hash.finalize())
}
