//! What shadows and canaries did.

use std::collections::BTreeMap;

use till_engine::ports::StoreError;
use uuid::Uuid;

use crate::tx::{P, Tx};

/// Which trial: of a binding, from the revision on with which it began.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct TrialKey {
    /// Slot.
    pub slot: String,
    /// Name within the slot.
    pub name: String,
    /// Revision of the binding.
    pub revision: i64,
}

/// Counts of a trial.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct TrialCount {
    /// Calls of the component.
    pub calls: i64,
    /// Of these, how many failed: trap, limit, its own error, a broken promise.
    pub failed: i64,
    /// Of these, how many answered, but later than the trial allows.
    pub slow: i64,
    /// Wall time of all calls, microseconds.
    pub elapsed_us: i64,
    /// Quotes of a shadow beside those of the active component.
    pub compared: i64,
    /// Of these, how many differ in money or reasons.
    pub differing: i64,
    /// Sums of the totals' differences by currency, minor units.
    pub deltas: BTreeMap<String, i64>,
}

/// A quote that a shadow would have made differently.
#[derive(Debug, Clone, PartialEq)]
pub struct DifferenceRow {
    /// Checkout.
    pub uid: Uuid,
    /// Epoch microseconds.
    pub at_us: i64,
    /// JSON: what differs.
    pub body: serde_json::Value,
}

impl Tx {
    /// Adds to the counts of a trial.
    pub async fn add_trial(
        &mut self,
        merchant: &str,
        key: &TrialKey,
        more: &TrialCount,
    ) -> Result<(), StoreError> {
        let sql = "INSERT INTO trial_count (merchant, slot, name, revision, calls, failed, slow, elapsed_us, compared, differing) VALUES ($1,$2,$3,$4,$5,$6,$7,$8,$9,$10) ON CONFLICT (merchant, slot, name, revision) DO UPDATE SET calls = trial_count.calls + excluded.calls, failed = trial_count.failed + excluded.failed, slow = trial_count.slow + excluded.slow, elapsed_us = trial_count.elapsed_us + excluded.elapsed_us, compared = trial_count.compared + excluded.compared, differing = trial_count.differing + excluded.differing";
        let params = [
            P::T(merchant),
            P::T(&key.slot),
            P::T(&key.name),
            P::I(key.revision),
            P::I(more.calls),
            P::I(more.failed),
            P::I(more.slow),
            P::I(more.elapsed_us),
            P::I(more.compared),
            P::I(more.differing),
        ];
        self.exec(sql, &params).await?;
        for (currency, delta) in &more.deltas {
            let sql = "INSERT INTO trial_delta (merchant, slot, name, revision, currency, delta) VALUES ($1,$2,$3,$4,$5,$6) ON CONFLICT (merchant, slot, name, revision, currency) DO UPDATE SET delta = trial_delta.delta + excluded.delta";
            let [merchant, slot, name, revision, ..] = params;
            self.exec(sql, &[merchant, slot, name, revision, P::T(currency), P::I(*delta)]).await?;
        }
        Ok(())
    }

    /// The counts of a trial.
    pub async fn trial(&mut self, merchant: &str, key: &TrialKey) -> Result<TrialCount, StoreError> {
        let sql = "SELECT calls, failed, slow, elapsed_us, compared, differing FROM trial_count WHERE merchant = $1 AND slot = $2 AND name = $3 AND revision = $4";
        let params = [P::T(merchant), P::T(&key.slot), P::T(&key.name), P::I(key.revision)];
        let Some(row) = self.row(sql, &params).await? else { return Ok(TrialCount::default()) };
        let sql = "SELECT currency, delta FROM trial_delta WHERE merchant = $1 AND slot = $2 AND name = $3 AND revision = $4";
        let deltas = self.rows(sql, &params).await?;
        Ok(TrialCount {
            calls: row.int(0)?,
            failed: row.int(1)?,
            slow: row.int(2)?,
            elapsed_us: row.int(3)?,
            compared: row.int(4)?,
            differing: row.int(5)?,
            deltas: deltas
                .iter()
                .map(|row| Ok((row.text(0)?, row.int(1)?)))
                .collect::<Result<_, StoreError>>()?,
        })
    }

    /// Keeps what a shadow would have made differently.
    pub async fn put_difference(
        &mut self,
        merchant: &str,
        key: &TrialKey,
        row: &DifferenceRow,
    ) -> Result<(), StoreError> {
        let sql = "INSERT INTO shadow_difference (merchant, slot, name, revision, uid, at_us, body) VALUES ($1,$2,$3,$4,$5,$6,$7) ON CONFLICT DO NOTHING";
        let body = row.body.to_string();
        let params = [
            P::T(merchant),
            P::T(&key.slot),
            P::T(&key.name),
            P::I(key.revision),
            P::B(row.uid.as_bytes()),
            P::I(row.at_us),
            P::T(&body),
        ];
        self.exec(sql, &params).await.map(|_| ())
    }

    /// Differences of a trial before a time and checkout, newest first.
    pub async fn differences(
        &mut self,
        merchant: &str,
        key: &TrialKey,
        (at_us, uid): (i64, Uuid),
        limit: i64,
    ) -> Result<Vec<DifferenceRow>, StoreError> {
        let sql = "SELECT uid, at_us, body FROM shadow_difference WHERE merchant = $1 AND slot = $2 AND name = $3 AND revision = $4 AND (at_us, uid) < ($5, $6) ORDER BY at_us DESC, uid DESC LIMIT $7";
        let params = [
            P::T(merchant),
            P::T(&key.slot),
            P::T(&key.name),
            P::I(key.revision),
            P::I(at_us),
            P::B(uid.as_bytes()),
            P::I(limit),
        ];
        let rows = self.rows(sql, &params).await?;
        rows.iter()
            .map(|row| Ok(DifferenceRow { uid: row.uid(0)?, at_us: row.int(1)?, body: row.json(2)? }))
            .collect()
    }

    /// Time and checkout of the newest difference of a trial that has so many newer ones.
    pub async fn difference_past(
        &mut self,
        merchant: &str,
        key: &TrialKey,
        newer: i64,
    ) -> Result<Option<(i64, Uuid)>, StoreError> {
        let sql = "SELECT at_us, uid FROM shadow_difference WHERE merchant = $1 AND slot = $2 AND name = $3 AND revision = $4 ORDER BY at_us DESC, uid DESC LIMIT 1 OFFSET $5";
        let params = [P::T(merchant), P::T(&key.slot), P::T(&key.name), P::I(key.revision), P::I(newer)];
        self.row(sql, &params).await?.map(|row| Ok((row.int(0)?, row.uid(1)?))).transpose()
    }

    /// Takes some of a trial's differences away, the oldest first, up to a time and checkout. Gives how many.
    pub async fn drop_differences(
        &mut self,
        merchant: &str,
        key: &TrialKey,
        (at_us, uid): (i64, Uuid),
        limit: i64,
    ) -> Result<u64, StoreError> {
        let sql = "DELETE FROM shadow_difference WHERE merchant = $1 AND slot = $2 AND name = $3 AND revision = $4 AND (at_us, uid) IN (SELECT at_us, uid FROM shadow_difference WHERE merchant = $1 AND slot = $2 AND name = $3 AND revision = $4 AND (at_us, uid) <= ($5, $6) ORDER BY at_us, uid LIMIT $7)";
        let params = [
            P::T(merchant),
            P::T(&key.slot),
            P::T(&key.name),
            P::I(key.revision),
            P::I(at_us),
            P::B(uid.as_bytes()),
            P::I(limit),
        ];
        self.exec(sql, &params).await
    }

    /// The next trial that has differences, with its merchant, after the one given. None: that was the last.
    pub async fn next_that_differs(
        &mut self,
        (merchant, key): &(String, TrialKey),
    ) -> Result<Option<(String, TrialKey)>, StoreError> {
        let sql = "SELECT merchant, slot, name, revision FROM shadow_difference WHERE (merchant, slot, name, revision) > ($1, $2, $3, $4) ORDER BY merchant, slot, name, revision LIMIT 1";
        let params = [P::T(merchant), P::T(&key.slot), P::T(&key.name), P::I(key.revision)];
        let Some(row) = self.row(sql, &params).await? else { return Ok(None) };
        let key = TrialKey { slot: row.text(1)?, name: row.text(2)?, revision: row.int(3)? };
        Ok(Some((row.text(0)?, key)))
    }
}
