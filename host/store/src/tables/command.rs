//! Idempotency of HTTP commands: principal, operation and key point at what the command reached.

use till_engine::ports::StoreError;

use crate::tx::{P, Tx};

/// A command as it was first sent.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct CommandRow {
    /// Hash of the request; another body under the same key is refused.
    pub hash: String,
    /// What it reached, for example an instance id.
    pub pointer: String,
}

impl Tx {
    /// Remembers a command. None: it is new; else what is remembered under its key.
    pub async fn remember(
        &mut self,
        merchant: &str,
        principal: &str,
        operation: &str,
        key: &str,
        row: &CommandRow,
        now_us: i64,
    ) -> Result<Option<CommandRow>, StoreError> {
        let sql = "INSERT INTO command (merchant, principal, operation, idem_key, hash, pointer, created_us) VALUES ($1,$2,$3,$4,$5,$6,$7) ON CONFLICT DO NOTHING";
        let params = [
            P::T(merchant),
            P::T(principal),
            P::T(operation),
            P::T(key),
            P::T(&row.hash),
            P::T(&row.pointer),
            P::I(now_us),
        ];
        if self.exec(sql, &params).await? == 1 {
            return Ok(None);
        }
        self.command(merchant, principal, operation, key).await
    }

    /// What is remembered under a key.
    pub async fn command(
        &mut self,
        merchant: &str,
        principal: &str,
        operation: &str,
        key: &str,
    ) -> Result<Option<CommandRow>, StoreError> {
        let sql = "SELECT hash, pointer FROM command WHERE merchant = $1 AND principal = $2 AND operation = $3 AND idem_key = $4";
        let row = self.row(sql, &[P::T(merchant), P::T(principal), P::T(operation), P::T(key)]).await?;
        row.map(|r| Ok(CommandRow { hash: r.text(0)?, pointer: r.text(1)? })).transpose()
    }

    /// Forgets commands made before `before_us`.
    pub async fn forget_commands(&mut self, before_us: i64) -> Result<u64, StoreError> {
        self.exec("DELETE FROM command WHERE created_us < $1", &[P::I(before_us)]).await
    }
}
