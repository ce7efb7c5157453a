//! How often somebody has called: one row each, for hosts that share a database.

use till_engine::ports::StoreError;

use crate::tx::{P, Tx};

impl Tx {
    /// Counts `n` calls of somebody into the window under way, or into a new one that begins now. Gives when the window
    /// began and how many calls it has, these included.
    pub async fn count_calls(
        &mut self,
        merchant: &str,
        who: &str,
        now_us: i64,
        window_us: i64,
        n: i64,
    ) -> Result<(i64, i64), StoreError> {
        let sql = "INSERT INTO rate_window (merchant, who, began_us, used) VALUES ($1,$2,$3,$4) ON CONFLICT (merchant, who) DO UPDATE SET used = CASE WHEN rate_window.began_us + $5 > $3 THEN rate_window.used + $4 ELSE $4 END, began_us = CASE WHEN rate_window.began_us + $5 > $3 THEN rate_window.began_us ELSE $3 END RETURNING began_us, used";
        let params = [P::T(merchant), P::T(who), P::I(now_us), P::I(n), P::I(window_us)];
        let row = self.row(sql, &params).await?;
        row.map_or(Err(StoreError::Conflict), |row| Ok((row.int(0)?, row.int(1)?)))
    }

    /// Forgets windows that began before a time.
    pub async fn forget_calls(&mut self, before_us: i64) -> Result<u64, StoreError> {
        self.exec("DELETE FROM rate_window WHERE began_us < $1", &[P::I(before_us)]).await
    }
}
