//! Warehouses as their merchant describes them. Stock may lie in one that is not described: it is open, and last in line.

use till_engine::ports::StoreError;

use crate::tx::{P, Tx};

impl Tx {
    /// Makes or replaces a warehouse.
    pub async fn put_warehouse(
        &mut self,
        merchant: &str,
        id: &str,
        active: bool,
        body: &str,
        now_us: i64,
    ) -> Result<(), StoreError> {
        let sql = "INSERT INTO warehouse (merchant, id, active, body, updated_us) VALUES ($1,$2,$3,$4,$5) ON CONFLICT (merchant, id) DO UPDATE SET active = excluded.active, body = excluded.body, updated_us = excluded.updated_us";
        let params = [P::T(merchant), P::T(id), P::I(i64::from(active)), P::T(body), P::I(now_us)];
        self.exec(sql, &params).await.map(|_| ())
    }

    /// Bodies of warehouses after an id, in the order of ids.
    pub async fn warehouses(
        &mut self,
        merchant: &str,
        after: &str,
        limit: i64,
    ) -> Result<Vec<String>, StoreError> {
        let sql = "SELECT body FROM warehouse WHERE merchant = $1 AND id > $2 ORDER BY id LIMIT $3";
        let rows = self.rows(sql, &[P::T(merchant), P::T(after), P::I(limit)]).await?;
        rows.iter().map(|row| row.text(0)).collect()
    }

    /// How many warehouses are described.
    pub async fn count_warehouses(&mut self, merchant: &str) -> Result<i64, StoreError> {
        let sql = "SELECT COUNT(*) FROM warehouse WHERE merchant = $1";
        self.row(sql, &[P::T(merchant)]).await?.map_or(Ok(0), |row| row.int(0))
    }

    /// Body of a warehouse.
    pub async fn warehouse(&mut self, merchant: &str, id: &str) -> Result<Option<String>, StoreError> {
        let sql = "SELECT body FROM warehouse WHERE merchant = $1 AND id = $2";
        self.row(sql, &[P::T(merchant), P::T(id)]).await?.map(|row| row.text(0)).transpose()
    }

    /// Takes the description of a warehouse away, if no units are there. False: there is none, or there are units.
    pub async fn delete_warehouse(&mut self, merchant: &str, id: &str) -> Result<bool, StoreError> {
        let sql = "DELETE FROM warehouse WHERE merchant = $1 AND id = $2 AND NOT EXISTS (SELECT 1 FROM stock s WHERE s.merchant = $1 AND s.warehouse = $2 AND s.on_hand > 0)";
        Ok(self.exec(sql, &[P::T(merchant), P::T(id)]).await? == 1)
    }
}
