//! [`Tx`]: a connection of either engine, inside or outside a transaction.

use rusqlite::types::{ToSqlOutput, ValueRef};
use sqlx::pool::PoolConnection;
use sqlx::postgres::PgRow;
use sqlx::{Executor as _, Row as _};
use till_engine::ports::StoreError;

use crate::sqlite::Lent;

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
    /// Savepoints are set. Without, whoever needs one is run again with them.
    pub(crate) savepoints: bool,
}

pub(crate) enum Conn {
    /// The writer's. Its calls do not wait for anything but the disk.
    Sqlite(rusqlite::Connection),
    /// A reader's.
    SqliteLent(Lent),
    Postgres(PoolConnection<sqlx::Postgres>),
}

/// A row of either engine.
pub enum Row {
    /// From SQLite.
    Sqlite(Vec<Cell>),
    /// From PostgreSQL.
    Postgres(PgRow),
}

/// A column of a row from SQLite, copied out of the statement.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Cell {
    /// NULL.
    Null,
    /// An integer.
    Int(i64),
    /// Text.
    Text(String),
    /// Bytes.
    Bytes(Vec<u8>),
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
    Sqlite(&'a rusqlite::Connection),
    Postgres(&'a mut sqlx::PgConnection),
}

impl Tx {
    pub(crate) fn new(conn: Conn) -> Tx {
        Tx { conn, again: false, savepoints: true }
    }

    fn either(&mut self) -> Either<'_> {
        match &mut self.conn {
            Conn::Sqlite(conn) => Either::Sqlite(conn),
            Conn::SqliteLent(lent) => Either::Sqlite(lent.connection()),
            Conn::Postgres(conn) => Either::Postgres(conn),
        }
    }

    fn failed(&mut self, sql: &str, error: &sqlx::Error) -> StoreError {
        let code = error.as_database_error().and_then(|e| e.code().map(|c| c.into_owned()));
        match code.as_deref() {
            Some("40001" | "40P01") => {
                self.again = true;
                StoreError::Again(error.to_string())
            }
            // Data that does not fit, or is too much (classes 22 and 54): the same statement would fail again.
            Some(code) if code.starts_with("22") || code.starts_with("54") => {
                StoreError::Corrupt(told(sql, error))
            }
            _ => StoreError::Unavailable(told(sql, error)),
        }
    }

    /// Runs a statement; gives the number of rows it touched.
    pub(crate) async fn exec(&mut self, sql: &'static str, params: &[P<'_>]) -> Result<u64, StoreError> {
        match self.either() {
            Either::Sqlite(conn) => {
                let done = prepared(conn, sql, params).and_then(|mut s| s.raw_execute());
                done.map(|touched| touched as u64).map_err(|error| broken(sql, &error))
            }
            Either::Postgres(conn) => {
                let done = bind!(sqlx::query(sql), params).execute(conn).await;
                done.map(|d| d.rows_affected()).map_err(|error| self.failed(sql, &error))
            }
        }
    }

    /// Runs a statement without parameters (BEGIN, SAVEPOINT, a part of the schema).
    pub(crate) async fn plain(&mut self, sql: &'static str) -> Result<(), StoreError> {
        match self.either() {
            Either::Sqlite(conn) => plain(conn, sql),
            Either::Postgres(conn) => {
                let done = conn.execute(sql).await;
                done.map(|_| ()).map_err(|error| self.failed(sql, &error))
            }
        }
    }

    /// All rows.
    pub(crate) async fn rows(&mut self, sql: &'static str, params: &[P<'_>]) -> Result<Vec<Row>, StoreError> {
        match self.either() {
            Either::Sqlite(conn) => fetch(conn, sql, params, usize::MAX).map_err(|error| broken(sql, &error)),
            Either::Postgres(conn) => match bind!(sqlx::query(sql), params).fetch_all(conn).await {
                Ok(rows) => Ok(rows.into_iter().map(Row::Postgres).collect()),
                Err(error) => Err(self.failed(sql, &error)),
            },
        }
    }

    /// The first row, if there is one.
    pub(crate) async fn row(
        &mut self,
        sql: &'static str,
        params: &[P<'_>],
    ) -> Result<Option<Row>, StoreError> {
        match self.either() {
            Either::Sqlite(conn) => {
                fetch(conn, sql, params, 1).map(|mut rows| rows.pop()).map_err(|error| broken(sql, &error))
            }
            Either::Postgres(conn) => match bind!(sqlx::query(sql), params).fetch_optional(conn).await {
                Ok(row) => Ok(row.map(Row::Postgres)),
                Err(error) => Err(self.failed(sql, &error)),
            },
        }
    }

    /// Whether this is PostgreSQL.
    pub(crate) fn is_postgres(&self) -> bool {
        matches!(self.conn, Conn::Postgres(_))
    }
}

/// `INSERT INTO wf_inbox …: disk I/O error`: the head of the statement and what the driver says.
fn told(sql: &str, error: &dyn std::fmt::Display) -> String {
    let head: String = sql.split_whitespace().take(4).collect::<Vec<_>>().join(" ");
    format!("{head}: {error}")
}

/// What SQLite says. Data that does not fit fails again with the same statement.
fn broken(sql: &str, error: &rusqlite::Error) -> StoreError {
    use rusqlite::ErrorCode::{TooBig, TypeMismatch};
    use rusqlite::ffi::SQLITE_CONSTRAINT_DATATYPE;
    let inner = error.sqlite_error();
    let unfit = inner.is_some_and(|e| {
        matches!(e.code, TooBig | TypeMismatch) || e.extended_code == SQLITE_CONSTRAINT_DATATYPE
    });
    if unfit { StoreError::Corrupt(told(sql, error)) } else { StoreError::Unavailable(told(sql, error)) }
}

/// A statement of the connection's cache with its parameters bound. SQLite numbers `$2` by its first
/// appearance, not by its name, so parameters are bound by name.
fn prepared<'c>(
    conn: &'c rusqlite::Connection,
    sql: &str,
    params: &[P<'_>],
) -> rusqlite::Result<rusqlite::CachedStatement<'c>> {
    let mut statement = conn.prepare_cached(sql)?;
    for index in 1..=statement.parameter_count() {
        let param = statement
            .parameter_name(index)
            .and_then(|name| name.get(1..)?.parse::<usize>().ok())
            .and_then(|n| params.get(n.checked_sub(1)?))
            .ok_or(rusqlite::Error::InvalidParameterCount(params.len(), index))?;
        statement.raw_bind_parameter(index, param)?;
    }
    Ok(statement)
}

impl rusqlite::ToSql for P<'_> {
    fn to_sql(&self) -> rusqlite::Result<ToSqlOutput<'_>> {
        let int = |v: i64| ToSqlOutput::Borrowed(ValueRef::Integer(v));
        let null = ToSqlOutput::Borrowed(ValueRef::Null);
        Ok(match *self {
            P::I(v) => int(v),
            P::OI(v) => v.map_or(null, int),
            P::T(v) => ToSqlOutput::Borrowed(ValueRef::Text(v.as_bytes())),
            P::OT(v) => v.map_or(null, |v| ToSqlOutput::Borrowed(ValueRef::Text(v.as_bytes()))),
            P::B(v) => ToSqlOutput::Borrowed(ValueRef::Blob(v)),
        })
    }
}

/// Runs a statement without parameters to its end.
pub(crate) fn plain(conn: &rusqlite::Connection, sql: &str) -> Result<(), StoreError> {
    fetch(conn, sql, &[], 0).map(|_| ()).map_err(|error| broken(sql, &error))
}

/// Up to `most` rows; with 0 the statement is run to its end and its rows are dropped.
fn fetch(
    conn: &rusqlite::Connection,
    sql: &str,
    params: &[P<'_>],
    most: usize,
) -> rusqlite::Result<Vec<Row>> {
    let mut statement = prepared(conn, sql, params)?;
    let columns = statement.column_count();
    let mut rows = statement.raw_query();
    let mut found = Vec::new();
    while let Some(row) = rows.next()? {
        if most == 0 {
            continue;
        }
        let cells = (0..columns).map(|index| cell(row.get_ref(index)?, index)).collect::<Result<_, _>>()?;
        found.push(Row::Sqlite(cells));
        if found.len() == most {
            break;
        }
    }
    Ok(found)
}

fn cell(value: ValueRef<'_>, index: usize) -> rusqlite::Result<Cell> {
    Ok(match value {
        ValueRef::Null => Cell::Null,
        ValueRef::Integer(v) => Cell::Int(v),
        ValueRef::Text(v) => Cell::Text(
            std::str::from_utf8(v).map_err(|error| rusqlite::Error::Utf8Error(index, error))?.to_owned(),
        ),
        ValueRef::Blob(v) => Cell::Bytes(v.to_vec()),
        ValueRef::Real(_) => {
            return Err(rusqlite::Error::InvalidColumnType(
                index,
                "a column of a type we do not store".to_owned(),
                rusqlite::types::Type::Real,
            ));
        }
    })
}

/// A typed column of either engine.
macro_rules! get {
    ($row:expr, $index:expr, $type:ty, $($cell:pat => $value:expr),+) => {
        match $row {
            Row::Sqlite(cells) => match cells.get($index) {
                $(Some($cell) => Ok($value),)+
                other => Err(StoreError::Corrupt(format!(
                    "column {}: {other:?} is no {}", $index, stringify!($type)
                ))),
            },
            Row::Postgres(row) => row
                .try_get::<$type, _>($index)
                .map_err(|error| StoreError::Corrupt(format!("column {}: {error}", $index))),
        }
    };
}

impl Row {
    /// An integer column.
    pub(crate) fn int(&self, index: usize) -> Result<i64, StoreError> {
        get!(self, index, i64, Cell::Int(v) => *v)
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
        get!(self, index, Option<i64>, Cell::Int(v) => Some(*v), Cell::Null => None)
    }

    /// A text column.
    pub(crate) fn text(&self, index: usize) -> Result<String, StoreError> {
        get!(self, index, String, Cell::Text(v) => v.clone())
    }

    /// A text column that may be NULL.
    pub(crate) fn maybe_text(&self, index: usize) -> Result<Option<String>, StoreError> {
        get!(self, index, Option<String>, Cell::Text(v) => Some(v.clone()), Cell::Null => None)
    }

    /// A column of bytes.
    pub(crate) fn bytes(&self, index: usize) -> Result<Vec<u8>, StoreError> {
        get!(self, index, Vec<u8>, Cell::Bytes(v) => v.clone())
    }

    /// A column of 16 bytes.
    pub(crate) fn uid(&self, index: usize) -> Result<uuid::Uuid, StoreError> {
        uuid::Uuid::from_slice(&self.bytes(index)?).map_err(|error| StoreError::Corrupt(error.to_string()))
    }

    /// A JSON column.
    pub(crate) fn json<T: serde::de::DeserializeOwned>(&self, index: usize) -> Result<T, StoreError> {
        let text = match self {
            Row::Sqlite(cells) => match cells.get(index) {
                Some(Cell::Text(text)) => text,
                _ => &self.text(index)?,
            },
            Row::Postgres(_) => &self.text(index)?,
        };
        serde_json::from_str(text).map_err(|error| StoreError::Corrupt(format!("column {index}: {error}")))
    }
}
