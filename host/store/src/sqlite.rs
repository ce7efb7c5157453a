//! SQLite: one writer that commits many transactions in one fsync, and a small pool of readers.
//!
//! Group commit without a waiting window: a batch is what queued while the last sync ran. Each
//! transaction has a savepoint, so one that is refused does not spoil the batch; answers are given after
//! the commit returned. Any other error ends the batch: everything is rolled back and each transaction is
//! run again alone.

use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

use futures::FutureExt as _;
use sqlx::ConnectOptions as _;
use sqlx::sqlite::{
    SqliteConnectOptions, SqliteJournalMode, SqlitePool, SqlitePoolOptions, SqliteSynchronous,
};
use till_engine::crash;
use till_engine::ports::{StoreError, TxJob};
use tokio::sync::{mpsc, oneshot};

use crate::tx::{Conn, Tx};
use crate::{Counts, Options, schema};

/// Most transactions in one commit. Past 32 the cost of each statement limits, not the sync; more would
/// only make the first ones wait.
const BATCH_MAX: usize = 128;
/// Transactions that may queue before writers are made to wait.
const QUEUE_MAX: usize = 4096;
/// The WAL is cut back to this after a checkpoint, so that a burst does not keep the disk.
const JOURNAL_BYTES_MAX: u32 = 64 * 1024 * 1024;

pub(crate) struct Sqlite {
    jobs: mpsc::Sender<Work>,
    readers: SqlitePool,
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
        let base = SqliteConnectOptions::new()
            .filename(&path)
            .create_if_missing(true)
            .journal_mode(SqliteJournalMode::Wal)
            .synchronous(SqliteSynchronous::Full)
            .foreign_keys(false)
            .busy_timeout(Duration::from_secs(10))
            .statement_cache_capacity(256)
            .pragma("journal_size_limit", JOURNAL_BYTES_MAX.to_string())
            .pragma("cache_size", "-16000")
            .page_size(8192)
            .disable_statement_logging();
        let writer = base.connect().await.map_err(unavailable)?;
        let mut tx = Tx::new(Conn::Sqlite(Box::new(writer)));
        for statement in schema("INTEGER", "BLOB", " STRICT, WITHOUT ROWID", " STRICT") {
            // Static for the life of the process: the schema is made once.
            tx.plain(Box::leak(statement.into_boxed_str())).await?;
        }
        // The file's lock is ours, so whoever held an instance is gone: its work goes on at once.
        tx.plain("UPDATE wf_ready SET owner = '', wake_us = 0, fence = fence + 1 WHERE owner <> ''").await?;
        let readers = SqlitePoolOptions::new()
            .max_connections(options.connections.max(1))
            .connect_with(base.read_only(true))
            .await
            .map_err(unavailable)?;
        let (jobs, queue) = mpsc::channel(QUEUE_MAX);
        tokio::spawn(write(tx, queue, counts));
        Ok(Sqlite { jobs, readers, _lock: lock })
    }

    pub(crate) async fn transact(&self, run: TxJob<Tx>) -> Result<(), StoreError> {
        let (reply, answer) = oneshot::channel();
        let gone = || StoreError::Unavailable("the writer has stopped".to_owned());
        self.jobs.send(Work::Run(Job { run, reply })).await.map_err(|_| gone())?;
        answer.await.map_err(|_| gone())?
    }

    pub(crate) async fn reader(&self) -> Result<Tx, StoreError> {
        Ok(Tx::new(Conn::SqlitePooled(self.readers.acquire().await.map_err(unavailable)?)))
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

async fn write(mut tx: Tx, mut queue: mpsc::Receiver<Work>, counts: Arc<Counts>) {
    let mut end = None;
    let mut batch: Vec<Job> = Vec::with_capacity(BATCH_MAX);
    while end.is_none() {
        match queue.recv().await {
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
        match together(&mut tx, &batch, &counts).await {
            Ok(answers) => {
                for (job, answer) in batch.drain(..).zip(answers) {
                    let _ = job.reply.send(answer);
                }
            }
            Err(error) if batch.len() == 1 => {
                rollback(&mut tx).await;
                for job in batch.drain(..) {
                    let _ = job.reply.send(Err(error.clone()));
                }
            }
            Err(error) => {
                tracing::warn!(%error, transactions = batch.len(), "a batch failed; each runs alone");
                rollback(&mut tx).await;
                for job in batch.drain(..) {
                    let answer = match together(&mut tx, std::slice::from_ref(&job), &counts).await {
                        Ok(mut answers) => answers.pop().unwrap_or(Ok(())),
                        Err(error) => {
                            rollback(&mut tx).await;
                            Err(error)
                        }
                    };
                    let _ = job.reply.send(answer);
                }
            }
        }
    }
    if let Err(error) = tx.plain("PRAGMA wal_checkpoint(TRUNCATE)").await {
        tracing::warn!(%error, "fold the log into the file; the next start does it");
    }
    drop(tx);
    if let Some(end) = end {
        let _ = end.send(());
    }
}

/// Runs a batch in one transaction. An error means that nothing of it is durable.
async fn together(
    tx: &mut Tx,
    batch: &[Job],
    counts: &Counts,
) -> Result<Vec<Result<(), StoreError>>, StoreError> {
    tx.plain("BEGIN IMMEDIATE").await?;
    let mut answers = Vec::with_capacity(batch.len());
    let several = batch.len() > 1;
    let mut kept = 0;
    for (at, job) in batch.iter().enumerate() {
        if several {
            tx.plain("SAVEPOINT job").await?;
        }
        let ran = std::panic::AssertUnwindSafe((job.run)(tx)).catch_unwind().await;
        let answer = ran.unwrap_or_else(|_| Err(StoreError::Corrupt("a transaction panicked".to_owned())));
        match &answer {
            Ok(()) => {
                kept += 1;
                if several {
                    tx.plain("RELEASE job").await?;
                }
            }
            Err(error) if refusal(error) => {
                if several {
                    tx.plain("ROLLBACK TO job").await?;
                    tx.plain("RELEASE job").await?;
                } else {
                    tx.plain("ROLLBACK").await?;
                    return Ok(vec![answer]);
                }
            }
            Err(error) => return Err(error.clone()),
        }
        answers.push(answer);
        if at == 0 && several {
            crash::point("group-commit.mid-batch");
        }
    }
    tx.plain("COMMIT").await?;
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

async fn rollback(tx: &mut Tx) {
    // SQLite may have ended the transaction by itself (a full disk); then this says so and is ignored.
    if let Err(error) = tx.plain("ROLLBACK").await {
        tracing::debug!(%error, "roll back: nothing was open");
    }
}

pub(crate) fn unavailable(error: sqlx::Error) -> StoreError {
    StoreError::Unavailable(error.to_string())
}
