//! The only room with SQL: every table and every statement, for SQLite and PostgreSQL in one text.
//!
//! Owns connections, transactions, group commit, the schema, and typed functions over each table. Must
//! not know HTTP, WASM or what a checkout means. Read first: [`Store`] (open, transact, read), [`Tx`] (the
//! handle through which transactional steps write), and `sqlite.rs` (one writer, many instances in one
//! fsync).
//!
//! One text for both engines: `$n` markers, epoch integers, `ON CONFLICT`, `RETURNING`. No `Any` driver, no
//! ORM: [`Tx`] binds and reads the four types we store through rusqlite or sqlx. SQLite is called on the
//! thread that asks: an indexed read costs less than handing it to another thread and back.

mod engine_port;
mod postgres;
mod sqlite;
pub mod tables;
mod tx;

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use till_engine::ports::{StoreError, TxJob};

pub use till_engine::ports::StoreError as Error;
pub use tx::{P, Row, Tx};

/// How the store is opened.
#[derive(Debug, Clone)]
pub struct Options {
    /// `sqlite:path`, a plain path, or `postgres://…`.
    pub url: String,
    /// Read connections of SQLite, all connections of PostgreSQL.
    pub connections: u32,
}

impl Options {
    /// Defaults for a URL.
    pub fn new(url: &str) -> Options {
        Options { url: url.to_owned(), connections: 8 }
    }
}

/// Counts since the store was opened.
#[derive(Debug, Default)]
pub struct Counts {
    /// Durable commits: on SQLite each is one fsync and may carry many transactions.
    pub commits: AtomicU64,
    /// Transactions committed.
    pub transactions: AtomicU64,
}

/// A database, either engine.
pub struct Store {
    inner: Inner,
    counts: Arc<Counts>,
}

enum Inner {
    Sqlite(sqlite::Sqlite),
    Postgres(postgres::Postgres),
}

impl Store {
    /// Opens the database and brings its schema up to date.
    pub async fn open(options: &Options) -> Result<Store, StoreError> {
        let counts = Arc::new(Counts::default());
        let postgres = options.url.starts_with("postgres://") || options.url.starts_with("postgresql://");
        let inner = if postgres {
            Inner::Postgres(postgres::Postgres::open(options, counts.clone()).await?)
        } else {
            Inner::Sqlite(sqlite::Sqlite::open(options, counts.clone()).await?)
        };
        Ok(Store { inner, counts })
    }

    /// `sqlite` or `postgres`.
    pub fn engine(&self) -> &'static str {
        match self.inner {
            Inner::Sqlite(_) => "sqlite",
            Inner::Postgres(_) => "postgres",
        }
    }

    /// Runs a job in one durable transaction and returns after the commit. The job may run more than once.
    pub async fn transact_job(&self, job: TxJob<Tx>) -> Result<(), StoreError> {
        match &self.inner {
            Inner::Sqlite(sqlite) => sqlite.transact(job).await,
            Inner::Postgres(postgres) => postgres.transact(job).await,
        }
    }

    /// As [`Store::transact_job`], with a value back.
    pub async fn transact<T, F>(&self, job: F) -> Result<T, StoreError>
    where
        T: Send + 'static,
        F: for<'a> Fn(&'a mut Tx) -> futures::future::BoxFuture<'a, Result<T, StoreError>>
            + Send
            + Sync
            + 'static,
    {
        let out: Arc<std::sync::Mutex<Option<T>>> = Arc::default();
        let (slot, job) = (out.clone(), Arc::new(job));
        self.transact_job(Box::new(move |tx| {
            let (slot, job) = (slot.clone(), job.clone());
            Box::pin(async move {
                let value = job(tx).await?;
                *slot.lock().expect("no holder panics") = Some(value);
                Ok(())
            })
        }))
        .await?;
        let value = out.lock().expect("no holder panics").take();
        value.ok_or_else(|| StoreError::Unavailable("the transaction left no result".to_owned()))
    }

    /// A connection for reads outside any transaction.
    pub async fn read(&self) -> Result<Tx, StoreError> {
        match &self.inner {
            Inner::Sqlite(sqlite) => sqlite.reader().await,
            Inner::Postgres(postgres) => postgres.reader().await,
        }
    }

    /// A read that may look at many rows: on SQLite away from the threads that answer everybody.
    ///
    /// # Errors
    /// Those of `read`, or the store's.
    pub async fn read_aside<T, F>(&self, read: F) -> Result<T, StoreError>
    where
        T: Send + 'static,
        F: for<'a> FnOnce(&'a mut Tx) -> futures::future::BoxFuture<'a, Result<T, StoreError>>
            + Send
            + 'static,
    {
        let mut tx = self.read().await?;
        if tx.is_postgres() {
            return read(&mut tx).await;
        }
        let done = tokio::task::spawn_blocking(move || futures::executor::block_on(read(&mut tx)));
        done.await.unwrap_or_else(|error| Err(unavailable(error)))
    }

    /// Durable commits and transactions so far.
    pub fn counts(&self) -> (u64, u64) {
        (self.counts.commits.load(Ordering::Relaxed), self.counts.transactions.load(Ordering::Relaxed))
    }

    /// Makes a database beside this one (PostgreSQL). For tests and for setting up.
    pub async fn create_database(&self, name: &str) -> Result<(), StoreError> {
        if name.is_empty() || !name.bytes().all(|b| b.is_ascii_lowercase() || b.is_ascii_digit()) {
            return Err(StoreError::Corrupt(format!("`{name}` is no name for a database")));
        }
        let text = format!("CREATE DATABASE {name}");
        self.read().await?.plain(Box::leak(text.into_boxed_str())).await
    }

    /// Finishes what is queued and closes the database.
    pub async fn close(&self) {
        match &self.inner {
            Inner::Sqlite(sqlite) => sqlite.close().await,
            Inner::Postgres(postgres) => postgres.close().await,
        }
    }
}

fn unavailable(error: impl std::fmt::Display) -> StoreError {
    StoreError::Unavailable(error.to_string())
}

/// Tables as they were once: where the first statement can be read, the others bring them to what the schema expects. What
/// is lost is made again from what is kept (`products_without_index`).
const OUTGROWN: [(&str, &str); 2] = [
    ("SELECT price FROM product_index LIMIT 1", "DROP TABLE product_index"),
    ("SELECT delta FROM trial_count LIMIT 1", "ALTER TABLE trial_count DROP COLUMN delta"),
];

/// The schema's statements for one engine.
fn schema(int: &str, blob: &str, small: &str, big: &str) -> Vec<String> {
    include_str!("../migrations/0001_init.sql")
        .lines()
        .map(|line| line.split("--").next().unwrap_or_default())
        .collect::<Vec<_>>()
        .join("\n")
        .replace("{INT}", int)
        .replace("{BLOB}", blob)
        .replace("{SMALL}", small)
        .replace("{BIG}", big)
        .split(';')
        .map(str::trim)
        .filter(|s| !s.is_empty())
        .map(str::to_owned)
        .collect()
}
