//! The ledger of points: what is earned, used, adjusted, expired and taken back.
//!
//! Points are earned in `catalog.rs` and used in `hold.rs`; here is everything else that changes them, and what is read.

use till_engine::ports::StoreError;

use crate::tx::{P, Row, Tx};

/// A change of a customer's points.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PointsEntry {
    /// Names the change.
    pub id: String,
    /// Points; below 0 where some were taken.
    pub delta: i64,
    /// `earned`, `redeemed`, `adjusted`, `expired`, `returned` or `reversed`.
    pub reason: String,
    /// In a person's words.
    pub note: String,
    /// Epoch microseconds.
    pub at_us: i64,
}

/// Why points change.
#[derive(Debug, Clone, Copy)]
pub struct PointsChange<'a> {
    /// Names the change: it is made once.
    pub id: &'a str,
    /// Whose points.
    pub customer: &'a str,
    /// Points, not 0.
    pub delta: i64,
    /// Change of what the customer earned in all.
    pub lifetime: i64,
    /// As in [`PointsEntry::reason`].
    pub reason: &'a str,
    /// In a person's words.
    pub note: &'a str,
    /// Epoch microseconds.
    pub at_us: i64,
}

/// Sums over a ledger.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct PointsSums {
    /// Points that came before a time, without those that have expired.
    pub old: i64,
    /// Points that went otherwise, ever. Not negative.
    pub gone: i64,
    /// All changes together.
    pub all: i64,
}

fn entry(row: &Row) -> Result<PointsEntry, StoreError> {
    Ok(PointsEntry {
        id: row.text(0)?,
        delta: row.int(1)?,
        reason: row.text(2)?,
        note: row.text(3)?,
        at_us: row.int(4)?,
    })
}

impl Tx {
    /// Changes points once under the change's id. False: nothing was done, because it was done before, or fewer points are
    /// free than it takes, or there is no such customer.
    pub async fn change_points(
        &mut self,
        merchant: &str,
        change: &PointsChange<'_>,
    ) -> Result<bool, StoreError> {
        if self.points_entry(merchant, change.id).await?.is_some() {
            return Ok(false);
        }
        let sql = "UPDATE customer SET points = points + $1, lifetime = CASE WHEN lifetime + $2 < 0 THEN 0 ELSE lifetime + $2 END WHERE merchant = $3 AND id = $4 AND points - points_held + $1 >= 0";
        let params = [P::I(change.delta), P::I(change.lifetime), P::T(merchant), P::T(change.customer)];
        if self.exec(sql, &params).await? == 0 {
            return Ok(false);
        }
        let sql = "INSERT INTO points_entry (merchant, id, customer, delta, reason, note, at_us) VALUES ($1,$2,$3,$4,$5,$6,$7) ON CONFLICT DO NOTHING";
        let params = [
            P::T(merchant),
            P::T(change.id),
            P::T(change.customer),
            P::I(change.delta),
            P::T(change.reason),
            P::T(change.note),
            P::I(change.at_us),
        ];
        if self.exec(sql, &params).await? == 0 {
            // The same change at the same time: from the start, and it is seen.
            return Err(StoreError::Conflict);
        }
        Ok(true)
    }

    /// A change by its id.
    pub async fn points_entry(
        &mut self,
        merchant: &str,
        id: &str,
    ) -> Result<Option<PointsEntry>, StoreError> {
        let sql = "SELECT id, delta, reason, note, at_us FROM points_entry WHERE merchant = $1 AND id = $2";
        self.row(sql, &[P::T(merchant), P::T(id)]).await?.as_ref().map(entry).transpose()
    }

    /// The ledger of a customer before a place in the order of time and id, newest first.
    pub async fn points_entries(
        &mut self,
        merchant: &str,
        customer: &str,
        before: (i64, &str),
        limit: i64,
    ) -> Result<Vec<PointsEntry>, StoreError> {
        let sql = "SELECT id, delta, reason, note, at_us FROM points_entry WHERE merchant = $1 AND customer = $2 AND (at_us < $3 OR (at_us = $3 AND id < $4)) ORDER BY at_us DESC, id DESC LIMIT $5";
        let params = [P::T(merchant), P::T(customer), P::I(before.0), P::T(before.1), P::I(limit)];
        self.rows(sql, &params).await?.iter().map(entry).collect()
    }

    /// Sums over the ledger of a customer.
    pub async fn points_sums(
        &mut self,
        merchant: &str,
        customer: &str,
        before_us: i64,
    ) -> Result<PointsSums, StoreError> {
        let sql = "SELECT CAST(COALESCE(SUM(CASE WHEN (delta > 0 AND at_us < $3) OR reason = 'expired' THEN delta ELSE 0 END), 0) AS BIGINT), CAST(COALESCE(SUM(CASE WHEN delta < 0 AND reason <> 'expired' THEN -delta ELSE 0 END), 0) AS BIGINT), CAST(COALESCE(SUM(delta), 0) AS BIGINT) FROM points_entry WHERE merchant = $1 AND customer = $2";
        let row = self.row(sql, &[P::T(merchant), P::T(customer), P::I(before_us)]).await?;
        row.map_or(Ok(PointsSums::default()), |row| {
            Ok(PointsSums { old: row.int(0)?, gone: row.int(1)?, all: row.int(2)? })
        })
    }

    /// Customers after one, in their order, who got points before a time and have some left.
    pub async fn customers_with_old_points(
        &mut self,
        merchant: &str,
        before_us: i64,
        after: &str,
        limit: i64,
    ) -> Result<Vec<String>, StoreError> {
        let sql = "SELECT c.id FROM customer c WHERE c.merchant = $1 AND c.id > $2 AND c.points > c.points_held AND EXISTS (SELECT 1 FROM points_entry e WHERE e.merchant = c.merchant AND e.customer = c.id AND e.at_us < $3 AND e.delta > 0) ORDER BY c.id LIMIT $4";
        let params = [P::T(merchant), P::T(after), P::I(before_us), P::I(limit)];
        self.rows(sql, &params).await?.iter().map(|row| row.text(0)).collect()
    }
}
