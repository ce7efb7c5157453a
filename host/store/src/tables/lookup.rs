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
    /// Begins an upload: what is there of the table is not swept away for a time. Gives the table if it is whole.
    pub async fn begin_lookup(
        &mut self,
        merchant: &str,
        digest: &str,
        now_us: i64,
    ) -> Result<Option<LookupRow>, StoreError> {
        let sql = "INSERT INTO lookup_upload (merchant, digest, at_us) VALUES ($1,$2,$3) ON CONFLICT (merchant, digest) DO UPDATE SET at_us = CASE WHEN excluded.at_us > lookup_upload.at_us THEN excluded.at_us ELSE lookup_upload.at_us END";
        self.exec(sql, &[P::T(merchant), P::T(digest), P::I(now_us)]).await?;
        self.lookup(merchant, digest).await
    }

    /// Keeps a part of a table. The table is there when [`Tx::put_lookup`] says so.
    pub async fn put_lookup_part(
        &mut self,
        merchant: &str,
        digest: &str,
        (part, content): (i64, &[u8]),
        now_us: i64,
    ) -> Result<(), StoreError> {
        // The row of the upload first: whoever takes parts away holds it.
        self.begin_lookup(merchant, digest, now_us).await?;
        let sql = "INSERT INTO lookup_table_part (merchant, digest, part, content) VALUES ($1,$2,$3,$4) ON CONFLICT DO NOTHING";
        self.exec(sql, &[P::T(merchant), P::T(digest), P::I(part), P::B(content)]).await.map(|_| ())
    }

    /// Makes a table of its parts, if all are there. False: some were taken away meanwhile.
    pub async fn put_lookup(&mut self, merchant: &str, row: &LookupRow) -> Result<bool, StoreError> {
        let sql = "UPDATE lookup_upload SET at_us = at_us WHERE merchant = $1 AND digest = $2";
        if self.exec(sql, &[P::T(merchant), P::T(&row.digest)]).await? == 0 {
            return Ok(false);
        }
        let sql = "INSERT INTO lookup_table (merchant, digest, rows_count, bytes, parts, created_us, created_by) SELECT $1,$2,$3,$4,$5,$6,$7 WHERE (SELECT COUNT(*) FROM lookup_table_part WHERE merchant = $1 AND digest = $2) = $5 ON CONFLICT DO NOTHING";
        let params = [
            P::T(merchant),
            P::T(&row.digest),
            P::I(row.rows),
            P::I(row.bytes),
            P::I(row.parts),
            P::I(row.created_us),
            P::T(&row.created_by),
        ];
        Ok(self.exec(sql, &params).await? == 1 || self.lookup(merchant, &row.digest).await?.is_some())
    }

    /// Keeps a table from being taken away until this transaction ends. False: there is none.
    pub async fn hold_lookup(&mut self, merchant: &str, digest: &str) -> Result<bool, StoreError> {
        let sql = "UPDATE lookup_table SET parts = parts WHERE merchant = $1 AND digest = $2";
        Ok(self.exec(sql, &[P::T(merchant), P::T(digest)]).await? == 1)
    }

    /// Takes a table away; its parts are left to [`Tx::drop_lookup_parts`].
    pub async fn drop_lookup(&mut self, merchant: &str, digest: &str) -> Result<(), StoreError> {
        let sql = "DELETE FROM lookup_table WHERE merchant = $1 AND digest = $2";
        self.exec(sql, &[P::T(merchant), P::T(digest)]).await?;
        let sql = "INSERT INTO lookup_upload (merchant, digest, at_us) VALUES ($1,$2,0) ON CONFLICT (merchant, digest) DO UPDATE SET at_us = 0";
        self.exec(sql, &[P::T(merchant), P::T(digest)]).await.map(|_| ())
    }

    /// Takes some parts away that belong to no table, if nobody uploaded any since a time. True: that was not all.
    pub async fn drop_lookup_parts(
        &mut self,
        merchant: &str,
        digest: &str,
        before_us: i64,
        limit: i64,
    ) -> Result<bool, StoreError> {
        let sql = "UPDATE lookup_upload SET at_us = at_us WHERE merchant = $1 AND digest = $2 AND at_us < $3";
        let idle = self.exec(sql, &[P::T(merchant), P::T(digest), P::I(before_us)]).await? == 1;
        if !idle || self.lookup(merchant, digest).await?.is_some() {
            return Ok(false);
        }
        let sql = "DELETE FROM lookup_table_part WHERE merchant = $1 AND digest = $2 AND part IN (SELECT part FROM lookup_table_part WHERE merchant = $1 AND digest = $2 ORDER BY part LIMIT $3)";
        let gone = self.exec(sql, &[P::T(merchant), P::T(digest), P::I(limit)]).await?;
        if i64::try_from(gone).is_ok_and(|gone| gone >= limit) {
            return Ok(true);
        }
        let sql = "DELETE FROM lookup_upload WHERE merchant = $1 AND digest = $2";
        self.exec(sql, &[P::T(merchant), P::T(digest)]).await.map(|_| false)
    }

    /// Tables that nobody uploaded since a time, as `(merchant, digest)` in that order, after the one given.
    pub async fn old_lookups(
        &mut self,
        before_us: i64,
        (merchant, digest): &(String, String),
        limit: i64,
    ) -> Result<Vec<(String, String)>, StoreError> {
        let sql = "SELECT t.merchant, t.digest FROM lookup_table t LEFT JOIN lookup_upload u ON u.merchant = t.merchant AND u.digest = t.digest WHERE t.created_us < $1 AND COALESCE(u.at_us, 0) < $1 AND (t.merchant, t.digest) > ($2, $3) ORDER BY t.merchant, t.digest LIMIT $4";
        let params = [P::I(before_us), P::T(merchant), P::T(digest), P::I(limit)];
        self.rows(sql, &params).await?.iter().map(|row| Ok((row.text(0)?, row.text(1)?))).collect()
    }

    /// Uploads that came to no table and went no further since a time, as `(merchant, digest)` in that order, after
    /// the one given.
    pub async fn old_uploads(
        &mut self,
        before_us: i64,
        (merchant, digest): &(String, String),
        limit: i64,
    ) -> Result<Vec<(String, String)>, StoreError> {
        let sql = "SELECT u.merchant, u.digest FROM lookup_upload u WHERE u.at_us < $1 AND (u.merchant, u.digest) > ($2, $3) AND NOT EXISTS (SELECT 1 FROM lookup_table t WHERE t.merchant = u.merchant AND t.digest = u.digest) ORDER BY u.merchant, u.digest LIMIT $4";
        let params = [P::I(before_us), P::T(merchant), P::T(digest), P::I(limit)];
        self.rows(sql, &params).await?.iter().map(|row| Ok((row.text(0)?, row.text(1)?))).collect()
    }

    /// A table, without its content.
    pub async fn lookup(&mut self, merchant: &str, digest: &str) -> Result<Option<LookupRow>, StoreError> {
        let sql = "SELECT digest, rows_count, bytes, parts, created_us, created_by FROM lookup_table WHERE merchant = $1 AND digest = $2";
        let row = self.row(sql, &[P::T(merchant), P::T(digest)]).await?;
        row.as_ref().map(lookup).transpose()
    }

    /// Tables of a merchant before a time and digest, newest first.
    pub async fn lookups(
        &mut self,
        merchant: &str,
        (at_us, digest): (i64, &str),
        limit: i64,
    ) -> Result<Vec<LookupRow>, StoreError> {
        let sql = "SELECT digest, rows_count, bytes, parts, created_us, created_by FROM lookup_table WHERE merchant = $1 AND (created_us, digest) < ($2, $3) ORDER BY created_us DESC, digest DESC LIMIT $4";
        let params = [P::T(merchant), P::I(at_us), P::T(digest), P::I(limit)];
        self.rows(sql, &params).await?.iter().map(lookup).collect()
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
