//! [`Tx`]: a connection of either engine, inside or outside a transaction.

use sqlx::pool::PoolConnection;
use sqlx::postgres::PgRow;
use sqlx::sqlite::SqliteRow;
use sqlx::{Executor as _, PgConnection, Row as _, SqliteConnection};
use till_engine::ports::StoreError;

/// A parameter: the four types we store.
#[derive(Debug, Clone, Copy)]
pub enum P<'a> {
    /// An integer.
    I(i64),
    /// An integer or NULL.
    OI(Option<i64>),
    /// Text.
    T(&'a str),
    /// Text or NULL.
    OT(Option<&'a str>),
    /// Bytes.
    B(&'a [u8]),
}

/// A connection of either engine. Transactional steps get one that is inside the commit.
pub struct Tx {
    pub(crate) conn: Conn,
    /// The transaction lost against another one and should run again (PostgreSQL 40001, 40P01).
    pub(crate) again: bool,
}

pub(crate) enum Conn {
    Sqlite(Box<SqliteConnection>),
    SqlitePooled(PoolConnection<sqlx::Sqlite>),
    Postgres(PoolConnection<sqlx::Postgres>),
}

/// A row of either engine.
pub enum Row {
    /// From SQLite.
    Sqlite(SqliteRow),
    /// From PostgreSQL.
    Postgres(PgRow),
}

macro_rules! bind {
    ($query:expr, $params:expr) => {{
        let mut query = $query;
        for param in $params {
            query = match *param {
                P::I(v) => query.bind(v),
                P::OI(v) => query.bind(v),
                P::T(v) => query.bind(v.to_owned()),
                P::OT(v) => query.bind(v.map(str::to_owned)),
                P::B(v) => query.bind(v.to_vec()),
            };
        }
        query
    }};
}

enum Either<'a> {
    Sqlite(&'a mut SqliteConnection),
    Postgres(&'a mut PgConnection),
}

impl Tx {
    pub(crate) fn new(conn: Conn) -> Tx {
        Tx { conn, again: false }
    }

    fn either(&mut self) -> Either<'_> {
        match &mut self.conn {
            Conn::Sqlite(conn) => Either::Sqlite(conn),
            Conn::SqlitePooled(conn) => Either::Sqlite(conn),
            Conn::Postgres(conn) => Either::Postgres(conn),
        }
    }

    fn failed(&mut self, sql: &str, error: &sqlx::Error) -> StoreError {
        let code = error.as_database_error().and_then(|e| e.code().map(|c| c.into_owned()));
        if matches!(code.as_deref(), Some("40001" | "40P01")) {
            self.again = true;
            return StoreError::Again(error.to_string());
        }
        let head: String = sql.split_whitespace().take(4).collect::<Vec<_>>().join(" ");
        StoreError::Unavailable(format!("{head}: {error}"))
    }

    /// Runs a statement; gives the number of rows it touched.
    pub(crate) async fn exec(&mut self, sql: &'static str, params: &[P<'_>]) -> Result<u64, StoreError> {
        let done = match self.either() {
            Either::Sqlite(conn) => {
                bind!(sqlx::query(sql), params).execute(conn).await.map(|d| d.rows_affected())
            }
            Either::Postgres(conn) => {
                bind!(sqlx::query(sql), params).execute(conn).await.map(|d| d.rows_affected())
            }
        };
        done.map_err(|error| self.failed(sql, &error))
    }

    /// Runs a statement without parameters and without preparing it (BEGIN, SAVEPOINT).
    pub(crate) async fn plain(&mut self, sql: &'static str) -> Result<(), StoreError> {
        let done = match self.either() {
            Either::Sqlite(conn) => conn.execute(sql).await.map(|_| ()),
            Either::Postgres(conn) => conn.execute(sql).await.map(|_| ()),
        };
        done.map_err(|error| self.failed(sql, &error))
    }

    /// All rows.
    pub(crate) async fn rows(&mut self, sql: &'static str, params: &[P<'_>]) -> Result<Vec<Row>, StoreError> {
        let rows = match self.either() {
            Either::Sqlite(conn) => bind!(sqlx::query(sql), params)
                .fetch_all(conn)
                .await
                .map(|rows| rows.into_iter().map(Row::Sqlite).collect::<Vec<_>>()),
            Either::Postgres(conn) => bind!(sqlx::query(sql), params)
                .fetch_all(conn)
                .await
                .map(|rows| rows.into_iter().map(Row::Postgres).collect()),
        };
        rows.map_err(|error| self.failed(sql, &error))
    }

    /// The first row, if there is one.
    pub(crate) async fn row(
        &mut self,
        sql: &'static str,
        params: &[P<'_>],
    ) -> Result<Option<Row>, StoreError> {
        let row = match self.either() {
            Either::Sqlite(conn) => {
                bind!(sqlx::query(sql), params).fetch_optional(conn).await.map(|row| row.map(Row::Sqlite))
            }
            Either::Postgres(conn) => {
                bind!(sqlx::query(sql), params).fetch_optional(conn).await.map(|row| row.map(Row::Postgres))
            }
        };
        row.map_err(|error| self.failed(sql, &error))
    }

    /// Whether this is PostgreSQL.
    pub(crate) fn is_postgres(&self) -> bool {
        matches!(self.conn, Conn::Postgres(_))
    }
}

macro_rules! get {
    ($row:expr, $index:expr, $type:ty) => {
        match $row {
            Row::Sqlite(row) => row.try_get::<$type, _>($index),
            Row::Postgres(row) => row.try_get::<$type, _>($index),
        }
        .map_err(|error| StoreError::Corrupt(format!("column {}: {error}", $index)))
    };
}

impl Row {
    /// An integer column.
    pub(crate) fn int(&self, index: usize) -> Result<i64, StoreError> {
        get!(self, index, i64)
    }

    /// A computed 0 or 1: PostgreSQL gives its literals as a shorter integer.
    pub(crate) fn flag(&self, index: usize) -> Result<bool, StoreError> {
        if let Row::Postgres(row) = self
            && let Ok(short) = row.try_get::<i32, _>(index)
        {
            return Ok(short == 1);
        }
        Ok(self.int(index)? == 1)
    }

    /// An integer column that may be NULL.
    pub(crate) fn maybe_int(&self, index: usize) -> Result<Option<i64>, StoreError> {
        get!(self, index, Option<i64>)
    }

    /// A text column.
    pub(crate) fn text(&self, index: usize) -> Result<String, StoreError> {
        get!(self, index, String)
    }

    /// A text column that may be NULL.
    pub(crate) fn maybe_text(&self, index: usize) -> Result<Option<String>, StoreError> {
        get!(self, index, Option<String>)
    }

    /// A column of bytes.
    pub(crate) fn bytes(&self, index: usize) -> Result<Vec<u8>, StoreError> {
        get!(self, index, Vec<u8>)
    }

    /// A column of 16 bytes.
    pub(crate) fn uid(&self, index: usize) -> Result<uuid::Uuid, StoreError> {
        uuid::Uuid::from_slice(&self.bytes(index)?).map_err(|error| StoreError::Corrupt(error.to_string()))
    }

    /// A JSON column.
    pub(crate) fn json<T: serde::de::DeserializeOwned>(&self, index: usize) -> Result<T, StoreError> {
        serde_json::from_str(&self.text(index)?)
            .map_err(|error| StoreError::Corrupt(format!("column {index}: {error}")))
    }
}
