//! Payments by the ids that providers give them.

use till_engine::ports::StoreError;
use uuid::Uuid;

use crate::tx::{P, Tx};

impl Tx {
    /// Notes that a provider's id belongs to a payment of this checkout. The first checkout keeps it: an id is given
    /// once, and who names it again is not believed.
    pub async fn note_payment_reference(
        &mut self,
        merchant: &str,
        kind: &str,
        value: &str,
        uid: Uuid,
    ) -> Result<(), StoreError> {
        let sql = "INSERT INTO payment_reference (merchant, kind, value, uid) VALUES ($1, $2, $3, $4) ON CONFLICT DO NOTHING";
        self.exec(sql, &[P::T(merchant), P::T(kind), P::T(value), P::B(uid.as_bytes())]).await?;
        Ok(())
    }

    /// The checkout whose payment has this id at its provider.
    pub async fn checkout_of_reference(
        &mut self,
        merchant: &str,
        kind: &str,
        value: &str,
    ) -> Result<Option<Uuid>, StoreError> {
        let sql = "SELECT uid FROM payment_reference WHERE merchant = $1 AND kind = $2 AND value = $3";
        let row = self.row(sql, &[P::T(merchant), P::T(kind), P::T(value)]).await?;
        row.map(|row| row.uid(0)).transpose()
    }
}
