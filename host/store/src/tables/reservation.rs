//! Reservations: stock held for a channel that has no checkout here. Their lines are holds under their uid.
//!
//! A reservation ends once, by a transition; its time running out is one that a host makes.

use till_engine::ports::StoreError;
use uuid::Uuid;

use crate::tx::{P, Row, Tx};

/// A reservation.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ReservationRow {
    /// Id.
    pub id: String,
    /// Its holds have it.
    pub uid: Uuid,
    /// What the other channel calls it.
    pub reference: String,
    /// `held`, `confirmed`, `released` or `expired`.
    pub state: String,
    /// Who made it.
    pub who: String,
    /// Epoch microseconds.
    pub created_us: i64,
    /// Epoch microseconds.
    pub expires_us: i64,
    /// Epoch microseconds; none while it holds.
    pub ended_us: Option<i64>,
}

/// Units of a reservation.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ReservedRow {
    /// SKU.
    pub sku: String,
    /// Warehouse.
    pub warehouse: String,
    /// Units.
    pub quantity: i64,
}

fn reservation(row: &Row) -> Result<ReservationRow, StoreError> {
    Ok(ReservationRow {
        id: row.text(0)?,
        uid: row.uid(1)?,
        reference: row.text(2)?,
        state: row.text(3)?,
        who: row.text(4)?,
        created_us: row.int(5)?,
        expires_us: row.int(6)?,
        ended_us: row.maybe_int(7)?,
    })
}

impl Tx {
    /// Notes a reservation that holds.
    pub async fn insert_reservation(
        &mut self,
        merchant: &str,
        row: &ReservationRow,
    ) -> Result<(), StoreError> {
        let sql = "INSERT INTO reservation (merchant, id, uid, reference, state, who, created_us, expires_us) VALUES ($1,$2,$3,$4,$5,$6,$7,$8)";
        let params = [
            P::T(merchant),
            P::T(&row.id),
            P::B(row.uid.as_bytes()),
            P::T(&row.reference),
            P::T(&row.state),
            P::T(&row.who),
            P::I(row.created_us),
            P::I(row.expires_us),
        ];
        self.exec(sql, &params).await.map(|_| ())
    }

    /// One reservation.
    pub async fn reservation(
        &mut self,
        merchant: &str,
        id: &str,
    ) -> Result<Option<ReservationRow>, StoreError> {
        let sql = "SELECT id, uid, reference, state, who, created_us, expires_us, ended_us FROM reservation WHERE merchant = $1 AND id = $2";
        self.row(sql, &[P::T(merchant), P::T(id)]).await?.as_ref().map(reservation).transpose()
    }

    /// What a reservation is about, in the order of its lines.
    pub async fn reserved(&mut self, merchant: &str, uid: Uuid) -> Result<Vec<ReservedRow>, StoreError> {
        let sql = "SELECT what, place, quantity FROM hold WHERE merchant = $1 AND uid = $2 ORDER BY id";
        let rows = self.rows(sql, &[P::T(merchant), P::B(uid.as_bytes())]).await?;
        rows.iter()
            .map(|row| Ok(ReservedRow { sku: row.text(0)?, warehouse: row.text(1)?, quantity: row.int(2)? }))
            .collect()
    }

    /// Ends a reservation that holds; its holds are for the caller to settle. False: it has ended.
    pub async fn end_reservation(
        &mut self,
        merchant: &str,
        id: &str,
        state: &str,
        now_us: i64,
    ) -> Result<bool, StoreError> {
        let sql = "UPDATE reservation SET state = $3, ended_us = $4 WHERE merchant = $1 AND id = $2 AND state = 'held'";
        Ok(self.exec(sql, &[P::T(merchant), P::T(id), P::T(state), P::I(now_us)]).await? == 1)
    }

    /// Reservations of all merchants whose time has run out, the oldest first: `(merchant, id)`.
    pub async fn due_reservations(
        &mut self,
        now_us: i64,
        limit: i64,
    ) -> Result<Vec<(String, String)>, StoreError> {
        let sql = "SELECT merchant, id FROM reservation WHERE state = 'held' AND expires_us <= $1 ORDER BY expires_us LIMIT $2";
        let rows = self.rows(sql, &[P::I(now_us), P::I(limit)]).await?;
        rows.iter().map(|row| Ok((row.text(0)?, row.text(1)?))).collect()
    }
}
