//! Uploaded tables, in parts: a million rows are tens of megabytes, too many for one statement.

use till_engine::ports::StoreError;

use crate::tx::{P, Row, Tx};

/// A table as listed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LookupRow {
    /// SHA-256 of its content, hex.
    pub digest: String,
    /// Rows.
    pub rows: i64,
    /// Size of its content.
    pub bytes: i64,
    /// Parts it is kept in.
    pub parts: i64,
    /// Epoch microseconds.
    pub created_us: i64,
    /// Who uploaded it.
    pub created_by: String,
}

fn lookup(row: &Row) -> Result<LookupRow, StoreError> {
    Ok(LookupRow {
        digest: row.text(0)?,
        rows: row.int(1)?,
        bytes: row.int(2)?,
        parts: row.int(3)?,
        created_us: row.int(4)?,
        created_by: row.text(5)?,
    })
}

impl Tx {
    /// Keeps a part of a table. The table is there when [`Tx::put_lookup`] says so.
    pub async fn put_lookup_part(
        &mut self,
        merchant: &str,
        digest: &str,
        part: i64,
        content: &[u8],
    ) -> Result<(), StoreError> {
        let sql = "INSERT INTO lookup_table_part (merchant, digest, part, content) VALUES ($1,$2,$3,$4) ON CONFLICT DO NOTHING";
        self.exec(sql, &[P::T(merchant), P::T(digest), P::I(part), P::B(content)]).await.map(|_| ())
    }

    /// Says that all parts of a table are there.
    pub async fn put_lookup(&mut self, merchant: &str, row: &LookupRow) -> Result<(), StoreError> {
        let sql = "INSERT INTO lookup_table (merchant, digest, rows_count, bytes, parts, created_us, created_by) VALUES ($1,$2,$3,$4,$5,$6,$7) ON CONFLICT DO NOTHING";
        let params = [
            P::T(merchant),
            P::T(&row.digest),
            P::I(row.rows),
            P::I(row.bytes),
            P::I(row.parts),
            P::I(row.created_us),
            P::T(&row.created_by),
        ];
        self.exec(sql, &params).await.map(|_| ())
    }

    /// A table, without its content.
    pub async fn lookup(&mut self, merchant: &str, digest: &str) -> Result<Option<LookupRow>, StoreError> {
        let sql = "SELECT digest, rows_count, bytes, parts, created_us, created_by FROM lookup_table WHERE merchant = $1 AND digest = $2";
        let row = self.row(sql, &[P::T(merchant), P::T(digest)]).await?;
        row.as_ref().map(lookup).transpose()
    }

    /// Tables of a merchant, newest first.
    pub async fn lookups(&mut self, merchant: &str, limit: i64) -> Result<Vec<LookupRow>, StoreError> {
        let sql = "SELECT digest, rows_count, bytes, parts, created_us, created_by FROM lookup_table WHERE merchant = $1 ORDER BY created_us DESC, digest LIMIT $2";
        self.rows(sql, &[P::T(merchant), P::I(limit)]).await?.iter().map(lookup).collect()
    }

    /// A part of a table.
    pub async fn lookup_part(
        &mut self,
        merchant: &str,
        digest: &str,
        part: i64,
    ) -> Result<Option<Vec<u8>>, StoreError> {
        let sql = "SELECT content FROM lookup_table_part WHERE merchant = $1 AND digest = $2 AND part = $3";
        let row = self.row(sql, &[P::T(merchant), P::T(digest), P::I(part)]).await?;
        row.map(|row| row.bytes(0)).transpose()
    }
}
