//! A customer's own record: written under a hold, found by its merchant, and carts that were left.

use till_engine::ports::StoreError;

use crate::tx::{P, Tx};

/// A customer as a merchant's list shows it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct CustomerFound {
    /// Id.
    pub id: String,
    /// JSON.
    pub body: String,
    /// Confirmed orders.
    pub orders: i64,
    /// Points balance.
    pub points: i64,
}

/// A cart that nobody has touched for a while.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct CartLeft {
    /// Id.
    pub id: String,
    /// Owner.
    pub customer: String,
    /// Version that is told; another one is another cart.
    pub version: i64,
    /// JSON.
    pub body: String,
    /// Last change, epoch microseconds.
    pub updated_us: i64,
}

impl Tx {
    /// Holds a customer for this transaction, so that the record is read and written by one at a time; one that nobody
    /// knows yet gets the body `new`. Gives the body.
    pub async fn hold_customer(&mut self, merchant: &str, id: &str, new: &str) -> Result<String, StoreError> {
        let sql = "INSERT INTO customer (merchant, id, body, orders, points, points_held, lifetime) VALUES ($1,$2,$3,0,0,0,0) ON CONFLICT (merchant, id) DO UPDATE SET body = customer.body RETURNING body";
        let row = self.row(sql, &[P::T(merchant), P::T(id), P::T(new)]).await?;
        row.map_or(Err(StoreError::Conflict), |row| row.text(0))
    }

    /// Replaces the body of a customer, and the mail address by which a merchant finds them, lower case.
    pub async fn set_customer(
        &mut self,
        merchant: &str,
        id: &str,
        body: &str,
        email: &str,
    ) -> Result<(), StoreError> {
        let sql = "UPDATE customer SET body = $1, email = $2 WHERE merchant = $3 AND id = $4";
        self.exec(sql, &[P::T(body), P::T(email), P::T(merchant), P::T(id)]).await.map(|_| ())
    }

    /// Customers after an id, by id, whose id or mail address begins so; all of them where it is empty. Mail addresses
    /// are kept in lower case, ids as they are.
    pub async fn customers(
        &mut self,
        merchant: &str,
        (id_start, email_start): (&str, &str),
        after: &str,
        limit: i64,
    ) -> Result<Vec<CustomerFound>, StoreError> {
        let sql = "SELECT id, body, orders, points FROM customer WHERE merchant = $1 AND id IN (SELECT id FROM customer WHERE merchant = $1 AND id > $2 AND ($3 = '' OR substr(id, 1, length($3)) = $3 OR substr(email, 1, length($4)) = $4) ORDER BY id LIMIT $5) ORDER BY id";
        let params = [P::T(merchant), P::T(after), P::T(id_start), P::T(email_start), P::I(limit)];
        let rows = self.rows(sql, &params).await?;
        rows.iter()
            .map(|row| {
                Ok(CustomerFound {
                    id: row.text(0)?,
                    body: row.text(1)?,
                    orders: row.int(2)?,
                    points: row.int(3)?,
                })
            })
            .collect()
    }

    /// Carts of customers that were changed last before a time and are not told yet, after a place, oldest first.
    pub async fn carts_left(
        &mut self,
        merchant: &str,
        before_us: i64,
        (after_us, after_id): (i64, &str),
        limit: i64,
    ) -> Result<Vec<CartLeft>, StoreError> {
        let sql = "SELECT id, customer, version, body, updated_us FROM cart WHERE merchant = $1 AND active = 1 AND left_ver < version AND updated_us < $2 AND updated_us >= $3 AND (updated_us > $3 OR id > $4) ORDER BY updated_us, id LIMIT $5";
        let params = [P::T(merchant), P::I(before_us), P::I(after_us), P::T(after_id), P::I(limit)];
        let rows = self.rows(sql, &params).await?;
        rows.iter()
            .map(|row| {
                Ok(CartLeft {
                    id: row.text(0)?,
                    customer: row.text(1)?,
                    version: row.int(2)?,
                    body: row.text(3)?,
                    updated_us: row.int(4)?,
                })
            })
            .collect()
    }

    /// Notes that a cart of this version was told as left. Its version stays: nobody has changed it. False: it has been
    /// told, was changed, or is no cart of now any more.
    pub async fn leave_cart(&mut self, merchant: &str, id: &str, version: i64) -> Result<bool, StoreError> {
        let sql = "UPDATE cart SET left_ver = version WHERE merchant = $1 AND id = $2 AND version = $3 AND active = 1 AND left_ver < version";
        Ok(self.exec(sql, &[P::T(merchant), P::T(id), P::I(version)]).await? == 1)
    }

    /// Whether a customer has an instance of a workflow under way that is in another state than `rests`, or was changed
    /// since a time.
    pub async fn under_way(
        &mut self,
        merchant: &str,
        customer: &str,
        (workflow, rests): (&str, &str),
        since_us: i64,
    ) -> Result<bool, StoreError> {
        let sql = "SELECT i.uid FROM wf_instance i JOIN wf_ready r ON r.merchant = i.merchant AND r.uid = i.uid WHERE i.merchant = $1 AND i.subject = $2 AND i.subject <> '' AND i.workflow = $3 AND (i.state <> $4 OR i.updated_us >= $5) LIMIT 1";
        let params = [P::T(merchant), P::T(customer), P::T(workflow), P::T(rests), P::I(since_us)];
        Ok(self.row(sql, &params).await?.is_some())
    }
}
