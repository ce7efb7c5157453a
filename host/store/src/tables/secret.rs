//! Merchants' secrets, sealed. What is in them the store does not know.

use till_engine::ports::StoreError;

use crate::tx::{P, Tx};

/// A sealed secret.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SecretRow {
    /// Name that bindings use.
    pub name: String,
    /// Grows with each rotation.
    pub version: i64,
    /// Ciphertext.
    pub sealed: Vec<u8>,
    /// Epoch microseconds.
    pub updated_us: i64,
    /// Who set it.
    pub updated_by: String,
}

impl Tx {
    /// Sets or replaces a secret. `row.version` must be one above that which is there. False: it is not.
    pub async fn put_secret(&mut self, merchant: &str, row: &SecretRow) -> Result<bool, StoreError> {
        let sql = "INSERT INTO secret (merchant, name, version, sealed, updated_us, updated_by) VALUES ($1,$2,$3,$4,$5,$6) ON CONFLICT (merchant, name) DO UPDATE SET version = excluded.version, sealed = excluded.sealed, updated_us = excluded.updated_us, updated_by = excluded.updated_by WHERE secret.version = excluded.version - 1";
        let params = [
            P::T(merchant),
            P::T(&row.name),
            P::I(row.version),
            P::B(&row.sealed),
            P::I(row.updated_us),
            P::T(&row.updated_by),
        ];
        let written = self.exec(sql, &params).await? == 1;
        if written {
            self.in_use_changed(merchant).await?;
        }
        Ok(written)
    }

    /// All secrets of a merchant, by name.
    pub async fn secrets(&mut self, merchant: &str) -> Result<Vec<SecretRow>, StoreError> {
        let sql = "SELECT name, version, sealed, updated_us, updated_by FROM secret WHERE merchant = $1 ORDER BY name";
        let rows = self.rows(sql, &[P::T(merchant)]).await?;
        rows.iter()
            .map(|row| {
                Ok(SecretRow {
                    name: row.text(0)?,
                    version: row.int(1)?,
                    sealed: row.bytes(2)?,
                    updated_us: row.int(3)?,
                    updated_by: row.text(4)?,
                })
            })
            .collect()
    }

    /// Takes a secret away. False: there is none.
    pub async fn drop_secret(&mut self, merchant: &str, name: &str) -> Result<bool, StoreError> {
        let sql = "DELETE FROM secret WHERE merchant = $1 AND name = $2";
        let dropped = self.exec(sql, &[P::T(merchant), P::T(name)]).await? == 1;
        if dropped {
            self.in_use_changed(merchant).await?;
        }
        Ok(dropped)
    }
}
