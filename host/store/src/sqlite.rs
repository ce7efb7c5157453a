//! SQLite: one writer that commits many transactions in one fsync, and a small pool of readers.
//!
//! Group commit without a waiting window: a batch is what queued while the last sync ran; answers are
//! given after the commit returned. A batch runs first without savepoints, for SQLite then copies every page it
//! touches aside. If a transaction is refused, or rolls back to a savepoint of its own, the batch is rolled
//! back and run again with them, so that one refusal spoils nothing. Any other error ends the batch:
//! everything is rolled back and each transaction is run again alone.

use std::path::PathBuf;
use std::sync::atomic::Ordering;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use futures::FutureExt as _;
use rusqlite::{Connection, OpenFlags};
use till_engine::crash;
use till_engine::ports::{StoreError, TxJob};
use tokio::sync::{OwnedSemaphorePermit, Semaphore, mpsc, oneshot};

use crate::tx::{self, Conn, Tx};
use crate::{Counts, OUTGROWN, Options, schema, unavailable};

/// Most transactions in one commit. Past 32 the cost of each statement limits, not the sync; more would
/// only make the first ones wait.
const BATCH_MAX: usize = 128;
/// Transactions that may queue before writers are made to wait.
const QUEUE_MAX: usize = 4096;
/// The WAL is cut back to this after a checkpoint, so that a burst does not keep the disk.
const JOURNAL_BYTES_MAX: u32 = 64 * 1024 * 1024;
/// Pages in the WAL before a checkpoint: a page that is written often is then copied back once.
const CHECKPOINT_PAGES: u32 = 4000;
/// Prepared statements kept by a connection: all of ours.
const STATEMENTS_MAX: usize = 256;
/// Only a checkpoint by another program could make us wait.
const BUSY: Duration = Duration::from_secs(10);

pub(crate) struct Sqlite {
    jobs: mpsc::Sender<Work>,
    readers: Arc<Readers>,
    /// Held for the life of the store: the operating system frees it however the process ends.
    _lock: std::fs::File,
}

enum Work {
    Run(Job),
    /// Nothing comes after it: the log is folded into the file, and the connection is closed.
    End(oneshot::Sender<()>),
}

struct Job {
    run: TxJob<Tx>,
    reply: oneshot::Sender<Result<(), StoreError>>,
}

impl Sqlite {
    pub(crate) async fn open(options: &Options, counts: Arc<Counts>) -> Result<Sqlite, StoreError> {
        let path = options.url.strip_prefix("sqlite://").or_else(|| options.url.strip_prefix("sqlite:"));
        let path = PathBuf::from(path.unwrap_or(&options.url));
        let lock = lock(&path)?;
        let writer = connect(&path, OpenFlags::default())?;
        for (once, now) in OUTGROWN {
            if tx::plain(&writer, once).is_ok() {
                tx::plain(&writer, now)?;
            }
        }
        for statement in schema("INTEGER", "BLOB", " STRICT, WITHOUT ROWID", " STRICT") {
            tx::plain(&writer, &statement)?;
        }
        // The file's lock is ours, so whoever held an instance is gone: its work goes on at once.
        tx::plain(
            &writer,
            "UPDATE wf_ready SET owner = '', wake_us = 0, fence = fence + 1 WHERE owner <> ''",
        )?;
        let most = options.connections.max(1) as usize;
        let readers = Arc::new(Readers {
            path,
            idle: Mutex::new(vec![]),
            places: Arc::new(Semaphore::new(most)),
            most,
        });
        let (jobs, queue) = mpsc::channel(QUEUE_MAX);
        // A thread of its own: a commit waits for the disk, and nothing else may wait with it.
        std::thread::Builder::new()
            .name("till-writer".to_owned())
            .spawn(move || write(Tx::new(Conn::Sqlite(writer)), queue, &counts))
            .map_err(unavailable)?;
        Ok(Sqlite { jobs, readers, _lock: lock })
    }

    pub(crate) async fn transact(&self, run: TxJob<Tx>) -> Result<(), StoreError> {
        let (reply, answer) = oneshot::channel();
        let gone = || StoreError::Unavailable("the writer has stopped".to_owned());
        self.jobs.send(Work::Run(Job { run, reply })).await.map_err(|_| gone())?;
        answer.await.map_err(|_| gone())?
    }

    pub(crate) async fn reader(&self) -> Result<Tx, StoreError> {
        Ok(Tx::new(Conn::SqliteLent(Readers::lend(&self.readers).await?)))
    }

    pub(crate) async fn close(&self) {
        self.readers.close().await;
        // Queued work is finished first: the writer ends with the last job in the queue.
        let (reply, ended) = oneshot::channel();
        if self.jobs.send(Work::End(reply)).await.is_ok() {
            let _ = ended.await;
        }
    }
}

/// Connections for reading. They are opened as they are needed and kept.
struct Readers {
    path: PathBuf,
    idle: Mutex<Vec<Connection>>,
    places: Arc<Semaphore>,
    most: usize,
}

/// A connection for reading, given back when dropped.
pub(crate) struct Lent {
    connection: Option<Connection>,
    home: Arc<Readers>,
    _place: OwnedSemaphorePermit,
}

impl Readers {
    async fn lend(self: &Arc<Readers>) -> Result<Lent, StoreError> {
        let place = self.places.clone().acquire_owned().await.map_err(unavailable)?;
        let idle = self.idle.lock().expect("no holder panics").pop();
        let connection = match idle {
            Some(connection) => connection,
            None => connect(&self.path, OpenFlags::SQLITE_OPEN_READ_ONLY | OpenFlags::SQLITE_OPEN_NO_MUTEX)?,
        };
        Ok(Lent { connection: Some(connection), home: self.clone(), _place: place })
    }

    /// Waits for those lent, then closes all.
    async fn close(&self) {
        let all = u32::try_from(self.most).unwrap_or(u32::MAX);
        let places = self.places.acquire_many(all).await;
        self.idle.lock().expect("no holder panics").clear();
        self.places.close();
        drop(places);
    }
}

impl Lent {
    pub(crate) fn connection(&self) -> &Connection {
        self.connection.as_ref().expect("it is taken out by drop alone")
    }
}

impl Drop for Lent {
    fn drop(&mut self) {
        if let Some(connection) = self.connection.take() {
            self.home.idle.lock().expect("no holder panics").push(connection);
        }
    }
}

fn connect(path: &std::path::Path, flags: OpenFlags) -> Result<Connection, StoreError> {
    let open = || {
        let connection = Connection::open_with_flags(path, flags)?;
        connection.busy_timeout(BUSY)?;
        connection.set_prepared_statement_cache_capacity(STATEMENTS_MAX);
        if !flags.contains(OpenFlags::SQLITE_OPEN_READ_ONLY) {
            connection.pragma_update(None, "page_size", 8192)?;
            connection.pragma_update(None, "journal_mode", "WAL")?;
            connection.pragma_update(None, "journal_size_limit", JOURNAL_BYTES_MAX)?;
            connection.pragma_update(None, "wal_autocheckpoint", CHECKPOINT_PAGES)?;
            // Pages kept for a savepoint stay in memory; without it past 64 kB they go to a file.
            connection.pragma_update(None, "temp_store", "MEMORY")?;
        }
        // Plans do not depend on the values bound: without it, statements over partial indexes are
        // prepared again whenever one is bound.
        connection.set_db_config(rusqlite::config::DbConfig::SQLITE_DBCONFIG_ENABLE_QPSG, true)?;
        connection.pragma_update(None, "synchronous", "FULL")?;
        connection.pragma_update(None, "foreign_keys", false)?;
        connection.pragma_update(None, "cache_size", -16_000)?;
        Ok(connection)
    };
    open().map_err(|error: rusqlite::Error| {
        StoreError::Unavailable(format!("open {}: {error}", path.display()))
    })
}

/// A second process on the same file would break the one-writer rule; the lock of the operating system
/// ends with the process, also by SIGKILL.
fn lock(path: &std::path::Path) -> Result<std::fs::File, StoreError> {
    let mut name = path.as_os_str().to_owned();
    name.push(".lock");
    let file = std::fs::File::create(&name)
        .map_err(|error| StoreError::Unavailable(format!("open {}: {error}", path.display())))?;
    file.try_lock().map_err(|_| {
        StoreError::Unavailable(format!(
            "open {}: another till process has it open; stop it, or use PostgreSQL for several hosts",
            path.display()
        ))
    })?;
    Ok(file)
}

/// The writer's thread. Jobs are futures for PostgreSQL's sake; here none of their statements waits.
fn write(mut tx: Tx, mut queue: mpsc::Receiver<Work>, counts: &Counts) {
    let mut end = None;
    let mut batch: Vec<Job> = Vec::with_capacity(BATCH_MAX);
    while end.is_none() {
        match queue.blocking_recv() {
            Some(Work::Run(first)) => batch.push(first),
            Some(Work::End(reply)) => {
                end = Some(reply);
                break;
            }
            None => break,
        }
        while batch.len() < BATCH_MAX && end.is_none() {
            match queue.try_recv() {
                Ok(Work::Run(job)) => batch.push(job),
                Ok(Work::End(reply)) => end = Some(reply),
                Err(_) => break,
            }
        }
        let answers = run(&mut tx, &batch, counts);
        for (job, answer) in batch.drain(..).zip(answers) {
            let _ = job.reply.send(answer);
        }
    }
    if let Err(error) = plain(&tx, "PRAGMA wal_checkpoint(TRUNCATE)") {
        tracing::warn!(%error, "fold the log into the file; the next start does it");
    }
    drop(tx);
    if let Some(end) = end {
        let _ = end.send(());
    }
}

fn plain(tx: &Tx, sql: &str) -> Result<(), StoreError> {
    match &tx.conn {
        Conn::Sqlite(connection) => tx::plain(connection, sql),
        _ => Err(StoreError::Corrupt("the writer has a connection of its own".to_owned())),
    }
}

/// Runs a batch and gives each job its answer.
fn run(tx: &mut Tx, batch: &[Job], counts: &Counts) -> Vec<Result<(), StoreError>> {
    let error = match together(tx, batch, false, counts) {
        Ok(answers) => return answers,
        Err(Ended::Refused) => match together(tx, batch, true, counts) {
            Ok(answers) => return answers,
            Err(ended) => ended.into_error(),
        },
        Err(Ended::Failed(error)) => error,
    };
    if batch.len() == 1 {
        return vec![Err(error)];
    }
    tracing::warn!(%error, transactions = batch.len(), "a batch failed; each runs alone");
    let alone = |job| match together(tx, std::slice::from_ref(job), true, counts) {
        Ok(mut answers) => answers.pop().unwrap_or(Ok(())),
        Err(ended) => Err(ended.into_error()),
    };
    batch.iter().map(alone).collect()
}

/// Why nothing of a batch is durable. It has been rolled back.
enum Ended {
    /// Something has to be undone that has no savepoint.
    Refused,
    Failed(StoreError),
}

impl Ended {
    fn into_error(self) -> StoreError {
        match self {
            Ended::Refused => StoreError::Corrupt("a refusal had no savepoint".to_owned()),
            Ended::Failed(error) => error,
        }
    }
}

/// Runs a batch in one transaction, with or without savepoints around each and where they ask for one.
fn together(
    tx: &mut Tx,
    batch: &[Job],
    savepoints: bool,
    counts: &Counts,
) -> Result<Vec<Result<(), StoreError>>, Ended> {
    tx.savepoints = savepoints;
    let done = in_one(tx, batch, counts);
    if done.is_err() {
        // SQLite may have ended the transaction by itself (a full disk); then this says so and is ignored.
        if let Err(error) = plain(tx, "ROLLBACK") {
            tracing::debug!(%error, "roll back: nothing was open");
        }
    }
    done
}

fn in_one(tx: &mut Tx, batch: &[Job], counts: &Counts) -> Result<Vec<Result<(), StoreError>>, Ended> {
    let now = |tx: &Tx, sql| plain(tx, sql).map_err(Ended::Failed);
    now(tx, "BEGIN IMMEDIATE")?;
    let mut answers = Vec::with_capacity(batch.len());
    let mut kept = 0;
    for (at, job) in batch.iter().enumerate() {
        if tx.savepoints {
            now(tx, "SAVEPOINT job")?;
        }
        let ran = std::panic::AssertUnwindSafe((job.run)(tx)).catch_unwind();
        let answer = futures::executor::block_on(ran)
            .unwrap_or_else(|_| Err(StoreError::Corrupt("a transaction panicked".to_owned())));
        match &answer {
            Ok(()) => {
                kept += 1;
                if tx.savepoints {
                    now(tx, "RELEASE job")?;
                }
            }
            Err(error) if tx.savepoints && refusal(error) => {
                now(tx, "ROLLBACK TO job")?;
                now(tx, "RELEASE job")?;
            }
            // Alone, it is undone by rolling everything back below.
            Err(error) if batch.len() == 1 && refusal(error) => {}
            Err(error) if refusal(error) || matches!(error, StoreError::Again(_)) => {
                return Err(Ended::Refused);
            }
            Err(error) => return Err(Ended::Failed(error.clone())),
        }
        answers.push(answer);
        if at == 0 && batch.len() > 1 {
            crash::point("group-commit.mid-batch");
        }
    }
    if kept == 0 {
        // Nothing was written: no commit, no sync.
        now(tx, "ROLLBACK")?;
        return Ok(answers);
    }
    now(tx, "COMMIT")?;
    counts.commits.fetch_add(1, Ordering::Relaxed);
    counts.transactions.fetch_add(kept, Ordering::Relaxed);
    Ok(answers)
}

/// A refusal is an answer of one transaction; the batch goes on without it.
fn refusal(error: &StoreError) -> bool {
    matches!(
        error,
        StoreError::Conflict | StoreError::Exists | StoreError::Duplicate | StoreError::TooLarge { .. }
    )
}
