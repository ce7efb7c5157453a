//! Orders, and blocks of their numbers.

use till_engine::ports::StoreError;
use uuid::Uuid;

use crate::tx::{P, Row, Tx};

/// An order row.
#[derive(Debug, Clone)]
pub struct OrderRow {
    /// Id.
    pub id: String,
    /// Number shown to people.
    pub number: String,
    /// Buyer.
    pub customer: String,
    /// Checkout that made it.
    pub uid: Uuid,
    /// `PENDING_PAYMENT`, `CONFIRMED`, …
    pub status: String,
    /// Grows with each change.
    pub version: i64,
    /// JSON.
    pub body: String,
    /// Epoch microseconds.
    pub created_us: i64,
    /// Epoch microseconds.
    pub updated_us: i64,
}

fn order(row: &Row) -> Result<OrderRow, StoreError> {
    Ok(OrderRow {
        id: row.text(0)?,
        number: row.text(1)?,
        customer: row.text(2)?,
        uid: row.uid(3)?,
        status: row.text(4)?,
        version: row.int(5)?,
        body: row.text(6)?,
        created_us: row.int(7)?,
        updated_us: row.int(8)?,
    })
}

/// Which orders of a customer are listed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct OrderFilter {
    /// `CONFIRMED`; empty for any.
    pub status: String,
    /// Made at that time or later, epoch microseconds.
    pub from_us: i64,
    /// Made before that time, epoch microseconds.
    pub to_us: i64,
}

impl Default for OrderFilter {
    /// All of them.
    fn default() -> OrderFilter {
        OrderFilter { status: String::new(), from_us: i64::MIN, to_us: i64::MAX }
    }
}

/// Orders that a customer has begun in a time.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct BegunOrders {
    /// All of them.
    pub begun: i64,
    /// Those whose payment did not come about.
    pub failed: i64,
}

impl Tx {
    /// Makes an order. False: there is one of that id.
    pub async fn insert_order(&mut self, merchant: &str, order: &OrderRow) -> Result<bool, StoreError> {
        let sql = "INSERT INTO purchase (merchant, id, number, customer, uid, status, version, body, created_us, updated_us) VALUES ($1,$2,$3,$4,$5,$6,1,$7,$8,$8) ON CONFLICT DO NOTHING";
        let params = [
            P::T(merchant),
            P::T(&order.id),
            P::T(&order.number),
            P::T(&order.customer),
            P::B(order.uid.as_bytes()),
            P::T(&order.status),
            P::T(&order.body),
            P::I(order.created_us),
        ];
        Ok(self.exec(sql, &params).await? == 1)
    }

    /// Moves an order from status `from` to `to` with a new body. False: it is not in `from`.
    pub async fn move_order(
        &mut self,
        merchant: &str,
        id: &str,
        from: &str,
        to: &str,
        body: &str,
        now_us: i64,
    ) -> Result<bool, StoreError> {
        let sql = "UPDATE purchase SET status = $1, body = $2, version = version + 1, updated_us = $3 WHERE merchant = $4 AND id = $5 AND status = $6";
        let params = [P::T(to), P::T(body), P::I(now_us), P::T(merchant), P::T(id), P::T(from)];
        Ok(self.exec(sql, &params).await? == 1)
    }

    /// An order by its id.
    pub async fn order(&mut self, merchant: &str, id: &str) -> Result<Option<OrderRow>, StoreError> {
        let sql = "SELECT id, number, customer, uid, status, version, body, created_us, updated_us FROM purchase WHERE merchant = $1 AND id = $2";
        let row = self.row(sql, &[P::T(merchant), P::T(id)]).await?;
        row.as_ref().map(order).transpose()
    }

    /// Holds an order for this transaction: what belongs to it is written by one at a time.
    pub async fn hold_order(&mut self, merchant: &str, id: &str) -> Result<(), StoreError> {
        let sql = "UPDATE purchase SET version = version WHERE merchant = $1 AND id = $2";
        self.exec(sql, &[P::T(merchant), P::T(id)]).await?;
        Ok(())
    }

    /// An order by its number.
    pub async fn order_by_number(
        &mut self,
        merchant: &str,
        number: &str,
    ) -> Result<Option<OrderRow>, StoreError> {
        let sql = "SELECT id, number, customer, uid, status, version, body, created_us, updated_us FROM purchase WHERE merchant = $1 AND number = $2";
        let row = self.row(sql, &[P::T(merchant), P::T(number)]).await?;
        row.as_ref().map(order).transpose()
    }

    /// Orders of a customer before a place in the list, newest first.
    pub async fn orders(
        &mut self,
        merchant: &str,
        customer: &str,
        filter: &OrderFilter,
        (before_us, before_id): (i64, &str),
        limit: i64,
    ) -> Result<Vec<OrderRow>, StoreError> {
        let sql = "SELECT id, number, customer, uid, status, version, body, created_us, updated_us FROM purchase WHERE merchant = $1 AND customer = $2 AND created_us <= $3 AND (created_us < $3 OR id < $4) AND created_us >= $5 AND created_us < $6 AND ($7 = '' OR status = $7) ORDER BY created_us DESC, id DESC LIMIT $8";
        let params = [
            P::T(merchant),
            P::T(customer),
            P::I(before_us),
            P::T(before_id),
            P::I(filter.from_us),
            P::I(filter.to_us),
            P::T(&filter.status),
            P::I(limit),
        ];
        self.rows(sql, &params).await?.iter().map(order).collect()
    }

    /// Counts the orders that a customer has begun since a time.
    pub async fn begun_orders(
        &mut self,
        merchant: &str,
        customer: &str,
        since_us: i64,
    ) -> Result<BegunOrders, StoreError> {
        let sql = "SELECT COUNT(*), COUNT(CASE WHEN status = 'PAYMENT_FAILED' THEN 1 END) FROM purchase WHERE merchant = $1 AND customer = $2 AND created_us >= $3";
        let row = self.row(sql, &[P::T(merchant), P::T(customer), P::I(since_us)]).await?;
        let row = row.ok_or(StoreError::Conflict)?;
        Ok(BegunOrders { begun: row.int(0)?, failed: row.int(1)? })
    }

    /// Orders of a checkout, oldest first.
    pub async fn orders_of(&mut self, merchant: &str, uid: Uuid) -> Result<Vec<OrderRow>, StoreError> {
        let sql = "SELECT id, number, customer, uid, status, version, body, created_us, updated_us FROM purchase WHERE merchant = $1 AND uid = $2 ORDER BY created_us, id LIMIT 1000";
        let rows = self.rows(sql, &[P::T(merchant), P::B(uid.as_bytes())]).await?;
        rows.iter().map(order).collect()
    }

    /// Reserves `size` numbers of a series; gives the first. Numbers that are never used leave a gap.
    pub async fn take_numbers(&mut self, merchant: &str, series: &str, size: i64) -> Result<i64, StoreError> {
        let sql = "INSERT INTO number_block (merchant, series, next) VALUES ($1,$2,1 + $3) ON CONFLICT (merchant, series) DO UPDATE SET next = number_block.next + $3 RETURNING next";
        let row = self.row(sql, &[P::T(merchant), P::T(series), P::I(size)]).await?;
        row.map_or(Err(StoreError::Conflict), |r| Ok(r.int(0)? - size))
    }
}
