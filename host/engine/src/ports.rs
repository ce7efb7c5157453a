//! What the engine needs from others: a store, a register of steps, a clock.

use async_trait::async_trait;
use futures::future::BoxFuture;
use serde_json::Value;
use uuid::Uuid;

use crate::instance::Instance;
use crate::journal::Entry;
use crate::step::{Event, StepCall, StepFault, StepInterface, StepResult};

/// Time, handed in so that tests can turn it.
pub trait Clock: Send + Sync + 'static {
    /// Now, epoch microseconds.
    fn now_us(&self) -> i64;
}

/// Why a write did not happen, grouped by what the caller does next.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum StoreError {
    /// Reload and decide again: somebody else moved the instance, or holds it.
    #[error("write the instance: it was moved or is held by another host")]
    Conflict,
    /// An instance of that client id exists; read it.
    #[error("start the instance: its id is taken")]
    Exists,
    /// A signal of that deduplication id exists; read it.
    #[error("take the signal: it was taken before")]
    Duplicate,
    /// The transaction lost against another one; it is run again.
    #[error("run the transaction again: {0}")]
    Again(String),
    /// Try again later.
    #[error("reach the database: {0}")]
    Unavailable(String),
    /// Stored data cannot be read: a bug or a broken file.
    #[error("read stored data: {0}")]
    Corrupt(String),
    /// The host has refused: a limit.
    #[error("store: {what} has {size} bytes, at most {max}")]
    TooLarge {
        /// What is too large.
        what: &'static str,
        /// Its size in bytes.
        size: usize,
        /// The limit in bytes.
        max: usize,
    },
}

/// A job inside one durable transaction. It may be run again from the start, so it changes nothing outside.
pub type TxJob<Tx> = Box<dyn for<'a> Fn(&'a mut Tx) -> BoxFuture<'a, Result<(), StoreError>> + Send + Sync>;

/// An instance as stored, with the fence of its claim row.
#[derive(Debug, Clone)]
pub struct Loaded {
    /// The instance.
    pub instance: Instance,
    /// Grows with every claim.
    pub fence: i64,
    /// Host that holds it; empty for none.
    pub owner: String,
    /// When somebody has to look at it: for a held instance the end of the lease. Epoch microseconds.
    pub wake_us: i64,
    /// A signal came while it was held.
    pub poked: bool,
}

/// A signal as stored.
#[derive(Debug, Clone, PartialEq)]
pub struct Inbound {
    /// Who it came from: `api`, `gateway:<name>`, `operator`.
    pub source: String,
    /// The sender's id of it; unique per merchant and source.
    pub dedup: String,
    /// SHA-256 of the request, to tell a repetition from another request under the same id.
    pub hash: String,
    /// Instance it is for.
    pub uid: Uuid,
    /// Name of the signal.
    pub name: String,
    /// Body.
    pub body: Value,
    /// Epoch microseconds.
    pub received_us: i64,
    /// Journal row it took effect with; 0: it was taken without effect; none: it waits.
    pub consumed_seq: Option<i64>,
}

/// All that one commit of an instance writes.
#[derive(Debug, Clone)]
pub struct Write<'a> {
    /// The instance as it will be.
    pub instance: &'a Instance,
    /// It is new.
    pub insert: bool,
    /// Version it must have now.
    pub expect_version: i64,
    /// Fence it must have now. The write sets the next one when it claims.
    pub expect_fence: i64,
    /// The writer did not hold it before: the fence grows.
    pub claims: bool,
    /// Who holds it afterwards; none: free.
    pub owner: Option<&'a str>,
    /// When somebody has to look at it, epoch microseconds. None: the claim row stays as it is, its fence is
    /// checked all the same.
    pub wake_us: Option<i64>,
    /// Journal rows.
    pub entries: &'a [Entry],
    /// Outbox rows.
    pub events: &'a [Event],
    /// Stored signals that took effect, with the journal row: `(source, dedup, seq)`.
    pub consumed: &'a [(String, String, i64)],
    /// A signal that takes effect in this commit and was not stored before.
    pub signal: Option<&'a Inbound>,
    /// Now, epoch microseconds.
    pub now_us: i64,
}

/// Where instances live.
#[async_trait]
pub trait Store: Send + Sync + 'static {
    /// Handle through which transactional steps write inside the commit.
    type Tx: Send + 'static;

    /// Runs a job in one durable transaction and returns after the commit.
    async fn transact(&self, job: TxJob<Self::Tx>) -> Result<(), StoreError>;
    /// Marks a place to roll back to.
    async fn savepoint(&self, tx: &mut Self::Tx) -> Result<(), StoreError>;
    /// Undoes everything since the savepoint.
    async fn rollback_to(&self, tx: &mut Self::Tx) -> Result<(), StoreError>;
    /// Writes one turn of an instance. True: a signal came while it was held; look at the inbox.
    async fn write(&self, tx: &mut Self::Tx, write: Write<'_>) -> Result<bool, StoreError>;

    /// Reads an instance by our id.
    async fn load(&self, merchant: &str, uid: Uuid) -> Result<Option<Loaded>, StoreError>;
    /// Reads an instance by the client's id.
    async fn find(&self, merchant: &str, workflow: &str, id: &str) -> Result<Option<Loaded>, StoreError>;
    /// Instances somebody has to look at, most urgent first, and when the next one will be due.
    async fn due(&self, now_us: i64, limit: i64) -> Result<(Vec<(String, Uuid)>, i64), StoreError>;
    /// Signals that wait for an instance, oldest first.
    async fn pending(&self, merchant: &str, uid: Uuid) -> Result<Vec<Inbound>, StoreError>;
    /// A signal by its deduplication id.
    async fn inbound(&self, merchant: &str, source: &str, dedup: &str)
    -> Result<Option<Inbound>, StoreError>;
    /// Stores a signal durably and makes its instance due. False: it was there already.
    async fn put_signal(&self, merchant: &str, signal: &Inbound) -> Result<bool, StoreError>;
    /// Keeps a definition under its digest.
    async fn put_definition(
        &self,
        digest: &str,
        name: &str,
        source: &str,
        now_us: i64,
    ) -> Result<(), StoreError>;
    /// Reads a definition.
    async fn definition(&self, digest: &str) -> Result<Option<String>, StoreError>;
}

/// The register of steps.
#[async_trait]
pub trait Steps<Tx: Send>: Send + Sync + 'static {
    /// Interface of a step, or none.
    fn interface(&self, step: &str) -> Option<StepInterface>;
    /// Runs a step of any class but transactional. No transaction is open.
    async fn run(&self, call: StepCall) -> Result<StepResult, StepFault>;
    /// Runs a transactional step inside the commit.
    async fn run_in(&self, tx: &mut Tx, call: StepCall) -> Result<StepResult, StepFault>;
}
