//! PostgreSQL: a pool; each transaction has a connection of its own and is run again when it lost.

use std::str::FromStr as _;
use std::sync::Arc;
use std::sync::atomic::Ordering;

use futures::FutureExt as _;
use sqlx::ConnectOptions as _;
use sqlx::postgres::{PgConnectOptions, PgPool, PgPoolOptions};
use till_engine::ports::{StoreError, TxJob};

use crate::tx::{Conn, Tx};
use crate::{Counts, OUTGROWN, Options, schema, unavailable};

/// Runs of one transaction before its loss is told to the caller.
const RUNS_MAX: u32 = 10;

pub(crate) struct Postgres {
    pool: PgPool,
    counts: Arc<Counts>,
}

impl Postgres {
    pub(crate) async fn open(options: &Options, counts: Arc<Counts>) -> Result<Postgres, StoreError> {
        let connect = PgConnectOptions::from_str(&options.url)
            .map_err(unavailable)?
            .application_name("till")
            .disable_statement_logging();
        let pool = PgPoolOptions::new()
            .max_connections(options.connections.max(2))
            .connect_with(connect)
            .await
            .map_err(unavailable)?;
        let mut tx = Tx::new(Conn::Postgres(pool.acquire().await.map_err(unavailable)?));
        // Two hosts may start at once: the schema is made by one of them at a time.
        tx.plain("SELECT pg_advisory_lock(84154145)").await?;
        tx.plain("SET client_min_messages = warning").await?;
        for (once, now) in OUTGROWN {
            if tx.plain(once).await.is_ok() {
                tx.plain(now).await?;
            }
        }
        for statement in schema("BIGINT", "BYTEA", "", "") {
            tx.plain(Box::leak(statement.into_boxed_str())).await?;
        }
        tx.plain("ALTER TABLE wf_ready SET (fillfactor = 70, autovacuum_vacuum_scale_factor = 0.02)").await?;
        tx.plain("SELECT pg_advisory_unlock(84154145)").await?;
        drop(tx);
        Ok(Postgres { pool, counts })
    }

    pub(crate) async fn transact(&self, run: TxJob<Tx>) -> Result<(), StoreError> {
        let (pool, counts) = (self.pool.clone(), self.counts.clone());
        // In a task of its own: a caller that goes away must not leave a transaction open on a pooled
        // connection.
        let done = tokio::spawn(async move {
            for _ in 1..RUNS_MAX {
                match once(&pool, &counts, &run).await {
                    Err(StoreError::Again(_)) => {}
                    other => return other,
                }
            }
            once(&pool, &counts, &run).await
        });
        done.await.unwrap_or_else(|error| Err(StoreError::Unavailable(error.to_string())))
    }

    pub(crate) async fn reader(&self) -> Result<Tx, StoreError> {
        Ok(Tx::new(Conn::Postgres(self.pool.acquire().await.map_err(unavailable)?)))
    }

    pub(crate) async fn close(&self) {
        self.pool.close().await;
    }
}

async fn once(pool: &PgPool, counts: &Counts, run: &TxJob<Tx>) -> Result<(), StoreError> {
    let mut tx = Tx::new(Conn::Postgres(pool.acquire().await.map_err(unavailable)?));
    tx.plain("BEGIN").await?;
    let ran = std::panic::AssertUnwindSafe(run(&mut tx)).catch_unwind().await;
    match ran.unwrap_or_else(|_| Err(StoreError::Corrupt("a transaction panicked".to_owned()))) {
        Ok(()) => {
            // A connection lost during COMMIT leaves the outcome open: the caller reads again and finds
            // by version and fence what became of it.
            tx.plain("COMMIT").await?;
            counts.commits.fetch_add(1, Ordering::Relaxed);
            counts.transactions.fetch_add(1, Ordering::Relaxed);
            Ok(())
        }
        Err(error) => {
            let again = tx.again;
            tx.plain("ROLLBACK").await?;
            if again { Err(StoreError::Again(error.to_string())) } else { Err(error) }
        }
    }
}
