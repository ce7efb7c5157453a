//! Settings, customers, carts. Bodies are JSON of the room that owns their meaning.

use till_engine::ports::StoreError;

use crate::tx::{P, Tx};

/// A customer row.
#[derive(Debug, Clone)]
pub struct CustomerRow {
    /// JSON.
    pub body: String,
    /// Confirmed orders.
    pub orders: i64,
    /// Points balance.
    pub points: i64,
    /// Points held for checkouts under way.
    pub points_held: i64,
    /// Points earned in all.
    pub lifetime: i64,
}

/// A cart row.
#[derive(Debug, Clone)]
pub struct CartRow {
    /// Id.
    pub id: String,
    /// Owner.
    pub customer: String,
    /// Grows with each change.
    pub version: i64,
    /// It is the customer's cart of now.
    pub active: bool,
    /// JSON.
    pub body: String,
    /// Epoch microseconds.
    pub updated_us: i64,
}

impl Tx {
    /// Settings of a merchant.
    pub async fn setting(&mut self, merchant: &str) -> Result<Option<String>, StoreError> {
        let row = self.row("SELECT body FROM setting WHERE merchant = $1", &[P::T(merchant)]).await?;
        row.map(|r| r.text(0)).transpose()
    }

    /// Replaces the settings of a merchant.
    pub async fn put_setting(&mut self, merchant: &str, body: &str, now_us: i64) -> Result<(), StoreError> {
        let sql = "INSERT INTO setting (merchant, body, updated_us) VALUES ($1,$2,$3) ON CONFLICT (merchant) DO UPDATE SET body = excluded.body, updated_us = excluded.updated_us";
        self.exec(sql, &[P::T(merchant), P::T(body), P::I(now_us)]).await.map(|_| ())
    }

    /// All merchants with settings.
    pub async fn merchants(&mut self) -> Result<Vec<String>, StoreError> {
        let rows = self.rows("SELECT merchant FROM setting ORDER BY merchant", &[]).await?;
        rows.iter().map(|r| r.text(0)).collect()
    }

    /// Merchants whose settings say anything of a name.
    pub async fn merchants_saying(&mut self, name: &str) -> Result<Vec<String>, StoreError> {
        let sql = "SELECT merchant FROM setting WHERE body LIKE $1 ORDER BY merchant";
        let said = format!("%\"{name}\":%");
        self.rows(sql, &[P::T(&said)]).await?.iter().map(|row| row.text(0)).collect()
    }

    /// Makes a customer, or replaces the body of one; points and orders of an existing one stay. Points that a new one
    /// begins with are the first entry of the ledger.
    pub async fn put_customer(
        &mut self,
        merchant: &str,
        id: &str,
        body: &str,
        points: i64,
        now_us: i64,
    ) -> Result<(), StoreError> {
        let sql = "INSERT INTO customer (merchant, id, body, orders, points, points_held, lifetime) VALUES ($1,$2,$3,0,$4,0,$4) ON CONFLICT DO NOTHING";
        if self.exec(sql, &[P::T(merchant), P::T(id), P::T(body), P::I(points)]).await? == 0 {
            let sql = "UPDATE customer SET body = $1 WHERE merchant = $2 AND id = $3";
            return self.exec(sql, &[P::T(body), P::T(merchant), P::T(id)]).await.map(|_| ());
        }
        if points == 0 {
            return Ok(());
        }
        let sql = "INSERT INTO points_entry (merchant, id, customer, delta, reason, at_us) VALUES ($1,$2,$3,$4,'opening',$5) ON CONFLICT DO NOTHING";
        let entry = format!("opening:{id}");
        let params = [P::T(merchant), P::T(&entry), P::T(id), P::I(points), P::I(now_us)];
        self.exec(sql, &params).await.map(|_| ())
    }

    /// A customer.
    pub async fn customer(&mut self, merchant: &str, id: &str) -> Result<Option<CustomerRow>, StoreError> {
        let sql = "SELECT body, orders, points, points_held, lifetime FROM customer WHERE merchant = $1 AND id = $2";
        let Some(row) = self.row(sql, &[P::T(merchant), P::T(id)]).await? else { return Ok(None) };
        Ok(Some(CustomerRow {
            body: row.text(0)?,
            orders: row.int(1)?,
            points: row.int(2)?,
            points_held: row.int(3)?,
            lifetime: row.int(4)?,
        }))
    }

    /// Books points once under `id`, and counts a confirmed order with them. False: booked before.
    pub async fn earn_points(
        &mut self,
        merchant: &str,
        customer: &str,
        id: &str,
        points: i64,
        now_us: i64,
    ) -> Result<bool, StoreError> {
        let sql = "INSERT INTO points_entry (merchant, id, customer, delta, reason, at_us) VALUES ($1,$2,$3,$4,'earned',$5) ON CONFLICT DO NOTHING";
        let params = [P::T(merchant), P::T(id), P::T(customer), P::I(points), P::I(now_us)];
        if self.exec(sql, &params).await? == 0 {
            return Ok(false);
        }
        // Somebody the shop knows by the token alone has a row from the first order on. The money is taken: no number of
        // points may keep the order from being confirmed.
        let body = serde_json::json!({ "id": customer }).to_string();
        let sql = concat!(
            "INSERT INTO customer (merchant, id, body, orders, points, points_held, lifetime) VALUES ($1,$2,$3,1,$4,0,$4) ON CONFLICT (merchant, id) DO UPDATE SET points = ",
            saturating_sum!("customer.points", "$4"),
            ", lifetime = ",
            saturating_sum!("customer.lifetime", "$4"),
            ", orders = customer.orders + 1"
        );
        self.exec(sql, &[P::T(merchant), P::T(customer), P::T(&body), P::I(points)]).await?;
        Ok(true)
    }

    /// The customer's cart of now.
    pub async fn active_cart(
        &mut self,
        merchant: &str,
        customer: &str,
    ) -> Result<Option<CartRow>, StoreError> {
        let sql = "SELECT id, customer, version, active, body, updated_us FROM cart WHERE merchant = $1 AND customer = $2 AND active = 1";
        let row = self.row(sql, &[P::T(merchant), P::T(customer)]).await?;
        row.as_ref().map(cart).transpose()
    }

    /// Id and version of the customer's cart of now.
    pub async fn cart_version(
        &mut self,
        merchant: &str,
        customer: &str,
    ) -> Result<Option<(String, i64)>, StoreError> {
        let sql = "SELECT id, version FROM cart WHERE merchant = $1 AND customer = $2 AND active = 1";
        let row = self.row(sql, &[P::T(merchant), P::T(customer)]).await?;
        row.map(|row| Ok((row.text(0)?, row.int(1)?))).transpose()
    }

    /// A cart by its id.
    pub async fn cart(&mut self, merchant: &str, id: &str) -> Result<Option<CartRow>, StoreError> {
        let sql = "SELECT id, customer, version, active, body, updated_us FROM cart WHERE merchant = $1 AND id = $2";
        let row = self.row(sql, &[P::T(merchant), P::T(id)]).await?;
        row.as_ref().map(cart).transpose()
    }

    /// Makes the customer's cart. False: there is one already.
    pub async fn insert_cart(
        &mut self,
        merchant: &str,
        id: &str,
        customer: &str,
        body: &str,
        now_us: i64,
    ) -> Result<bool, StoreError> {
        let sql = "INSERT INTO cart (merchant, id, customer, version, active, body, updated_us) VALUES ($1,$2,$3,1,1,$4,$5) ON CONFLICT DO NOTHING";
        let params = [P::T(merchant), P::T(id), P::T(customer), P::T(body), P::I(now_us)];
        Ok(self.exec(sql, &params).await? == 1)
    }

    /// Replaces a cart of version `version`. False: it has another version by now, or is archived.
    pub async fn update_cart(
        &mut self,
        merchant: &str,
        id: &str,
        version: i64,
        body: &str,
        now_us: i64,
    ) -> Result<bool, StoreError> {
        let sql = "UPDATE cart SET body = $1, version = version + 1, updated_us = $2 WHERE merchant = $3 AND id = $4 AND version = $5 AND active = 1";
        let params = [P::T(body), P::I(now_us), P::T(merchant), P::T(id), P::I(version)];
        Ok(self.exec(sql, &params).await? == 1)
    }

    /// Archives a cart whose order is confirmed or that was merged into another one, if it still is of that version.
    /// What the shopper put in since stays in a cart that goes on.
    pub async fn archive_cart(
        &mut self,
        merchant: &str,
        id: &str,
        version: i64,
        now_us: i64,
    ) -> Result<bool, StoreError> {
        let sql = "UPDATE cart SET active = 0, version = version + 1, updated_us = $1 WHERE merchant = $2 AND id = $3 AND version = $4 AND active = 1";
        let params = [P::I(now_us), P::T(merchant), P::T(id), P::I(version)];
        Ok(self.exec(sql, &params).await? == 1)
    }
}

fn cart(row: &crate::tx::Row) -> Result<CartRow, StoreError> {
    Ok(CartRow {
        id: row.text(0)?,
        customer: row.text(1)?,
        version: row.int(2)?,
        active: row.int(3)? == 1,
        body: row.text(4)?,
        updated_us: row.int(5)?,
    })
}
