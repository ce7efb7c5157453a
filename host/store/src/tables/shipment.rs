//! Shipments: the parcels of orders, what carriers told of them, and what shoppers thought of it all.

use till_engine::ports::StoreError;
use uuid::Uuid;

use crate::tx::{P, Row, Tx};

/// A parcel.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ShipmentRow {
    /// Id.
    pub id: String,
    /// Order.
    pub order: String,
    /// `NEW`: nobody works on it yet.
    pub status: String,
    /// Empty before it is booked.
    pub tracking: String,
    /// JSON.
    pub body: String,
    /// Epoch microseconds.
    pub created_us: i64,
    /// Epoch microseconds.
    pub updated_us: i64,
}

/// What a carrier, or the merchant, told of a parcel.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ScanRow {
    /// The teller's own id of it.
    pub id: String,
    /// When it happened, epoch microseconds.
    pub at_us: i64,
    /// JSON.
    pub body: String,
}

/// What a shopper thought of an order.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct FeedbackRow {
    /// Order.
    pub order: String,
    /// Buyer.
    pub customer: String,
    /// 1 to 5.
    pub rating: i64,
    /// JSON.
    pub body: String,
    /// Epoch microseconds.
    pub at_us: i64,
}

/// A shopper's word on a product.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ReviewRow {
    /// Product.
    pub product: String,
    /// Order it was bought with.
    pub order: String,
    /// 1 to 5.
    pub rating: i64,
    /// JSON.
    pub body: String,
    /// Epoch microseconds.
    pub at_us: i64,
}

fn shipment(row: &Row) -> Result<ShipmentRow, StoreError> {
    Ok(ShipmentRow {
        id: row.text(0)?,
        order: row.text(1)?,
        status: row.text(2)?,
        tracking: row.text(3)?,
        body: row.text(4)?,
        created_us: row.int(5)?,
        updated_us: row.int(6)?,
    })
}

fn review(row: &Row) -> Result<ReviewRow, StoreError> {
    Ok(ReviewRow {
        product: row.text(0)?,
        order: row.text(1)?,
        rating: row.int(2)?,
        body: row.text(3)?,
        at_us: row.int(4)?,
    })
}

impl Tx {
    /// Makes a shipment. False: there is one of that id.
    pub async fn insert_shipment(&mut self, merchant: &str, row: &ShipmentRow) -> Result<bool, StoreError> {
        let sql = "INSERT INTO shipment (merchant, id, purchase, status, tracking, body, created_us, updated_us) VALUES ($1,$2,$3,$4,$5,$6,$7,$7) ON CONFLICT DO NOTHING";
        let params = [
            P::T(merchant),
            P::T(&row.id),
            P::T(&row.order),
            P::T(&row.status),
            P::T(&row.tracking),
            P::T(&row.body),
            P::I(row.created_us),
        ];
        Ok(self.exec(sql, &params).await? == 1)
    }

    /// A shipment, held for this transaction.
    pub async fn hold_shipment(
        &mut self,
        merchant: &str,
        id: &str,
    ) -> Result<Option<ShipmentRow>, StoreError> {
        let sql = "UPDATE shipment SET updated_us = updated_us WHERE merchant = $1 AND id = $2 RETURNING id, purchase, status, tracking, body, created_us, updated_us";
        let row = self.row(sql, &[P::T(merchant), P::T(id)]).await?;
        row.as_ref().map(shipment).transpose()
    }

    /// Writes a shipment that [`Tx::hold_shipment`] holds.
    pub async fn put_shipment(&mut self, merchant: &str, row: &ShipmentRow) -> Result<(), StoreError> {
        let sql = "UPDATE shipment SET status = $1, tracking = $2, body = $3, updated_us = $4 WHERE merchant = $5 AND id = $6";
        let params = [
            P::T(&row.status),
            P::T(&row.tracking),
            P::T(&row.body),
            P::I(row.updated_us),
            P::T(merchant),
            P::T(&row.id),
        ];
        self.exec(sql, &params).await?;
        Ok(())
    }

    /// A shipment by its id.
    pub async fn shipment(&mut self, merchant: &str, id: &str) -> Result<Option<ShipmentRow>, StoreError> {
        let sql = "SELECT id, purchase, status, tracking, body, created_us, updated_us FROM shipment WHERE merchant = $1 AND id = $2";
        let row = self.row(sql, &[P::T(merchant), P::T(id)]).await?;
        row.as_ref().map(shipment).transpose()
    }

    /// A shipment by its tracking number.
    pub async fn shipment_tracked(
        &mut self,
        merchant: &str,
        tracking: &str,
    ) -> Result<Option<ShipmentRow>, StoreError> {
        let sql = "SELECT id, purchase, status, tracking, body, created_us, updated_us FROM shipment WHERE merchant = $1 AND tracking = $2 AND tracking <> '' ORDER BY created_us DESC LIMIT 1";
        let row = self.row(sql, &[P::T(merchant), P::T(tracking)]).await?;
        row.as_ref().map(shipment).transpose()
    }

    /// Shipments of an order.
    pub async fn shipments_of(
        &mut self,
        merchant: &str,
        order: &str,
    ) -> Result<Vec<ShipmentRow>, StoreError> {
        let sql = "SELECT id, purchase, status, tracking, body, created_us, updated_us FROM shipment WHERE merchant = $1 AND purchase = $2 ORDER BY id LIMIT 1000";
        let rows = self.rows(sql, &[P::T(merchant), P::T(order)]).await?;
        rows.iter().map(shipment).collect()
    }

    /// Shipments of a merchant before a place in the list, newest first; of one status, if it is named.
    pub async fn shipments(
        &mut self,
        merchant: &str,
        status: Option<&str>,
        before: (i64, &str),
        limit: i64,
    ) -> Result<Vec<ShipmentRow>, StoreError> {
        let sql = "SELECT id, purchase, status, tracking, body, created_us, updated_us FROM shipment WHERE merchant = $1 AND ($2 = '' OR status = $2) AND (created_us < $3 OR (created_us = $3 AND id < $4)) ORDER BY created_us DESC, id DESC LIMIT $5";
        let params =
            [P::T(merchant), P::T(status.unwrap_or("")), P::I(before.0), P::T(before.1), P::I(limit)];
        let rows = self.rows(sql, &params).await?;
        rows.iter().map(shipment).collect()
    }

    /// Shipments that nobody works on yet, with their merchants, oldest first.
    pub async fn new_shipments(&mut self, limit: i64) -> Result<Vec<(String, ShipmentRow)>, StoreError> {
        let sql = "SELECT id, purchase, status, tracking, body, created_us, updated_us, merchant FROM shipment WHERE status = 'NEW' ORDER BY created_us LIMIT $1";
        let rows = self.rows(sql, &[P::I(limit)]).await?;
        rows.iter().map(|row| Ok((row.text(7)?, shipment(row)?))).collect()
    }

    /// Keeps what was told of a shipment. False: it was told before.
    pub async fn insert_scan(
        &mut self,
        merchant: &str,
        shipment: &str,
        scan: &ScanRow,
    ) -> Result<bool, StoreError> {
        let sql = "INSERT INTO shipment_scan (merchant, shipment, id, at_us, body) VALUES ($1,$2,$3,$4,$5) ON CONFLICT DO NOTHING";
        let params = [P::T(merchant), P::T(shipment), P::T(&scan.id), P::I(scan.at_us), P::T(&scan.body)];
        Ok(self.exec(sql, &params).await? == 1)
    }

    /// What was told of a shipment, newest first.
    pub async fn scans(
        &mut self,
        merchant: &str,
        shipment: &str,
        limit: i64,
    ) -> Result<Vec<ScanRow>, StoreError> {
        let sql = "SELECT id, at_us, body FROM shipment_scan WHERE merchant = $1 AND shipment = $2 ORDER BY at_us DESC, id DESC LIMIT $3";
        let rows = self.rows(sql, &[P::T(merchant), P::T(shipment), P::I(limit)]).await?;
        rows.iter()
            .map(|row| Ok(ScanRow { id: row.text(0)?, at_us: row.int(1)?, body: row.text(2)? }))
            .collect()
    }

    /// Keeps what a shopper thought of an order. A later word replaces the one before.
    pub async fn put_feedback(&mut self, merchant: &str, row: &FeedbackRow) -> Result<(), StoreError> {
        let sql = "INSERT INTO feedback (merchant, purchase, customer, rating, body, at_us) VALUES ($1,$2,$3,$4,$5,$6) ON CONFLICT (merchant, purchase) DO UPDATE SET rating = excluded.rating, body = excluded.body, at_us = excluded.at_us";
        let params = [
            P::T(merchant),
            P::T(&row.order),
            P::T(&row.customer),
            P::I(row.rating),
            P::T(&row.body),
            P::I(row.at_us),
        ];
        self.exec(sql, &params).await?;
        Ok(())
    }

    /// What the shopper thought of an order.
    pub async fn feedback(&mut self, merchant: &str, order: &str) -> Result<Option<FeedbackRow>, StoreError> {
        let sql = "SELECT purchase, customer, rating, body, at_us FROM feedback WHERE merchant = $1 AND purchase = $2";
        let row = self.row(sql, &[P::T(merchant), P::T(order)]).await?;
        row.map(|row| {
            Ok(FeedbackRow {
                order: row.text(0)?,
                customer: row.text(1)?,
                rating: row.int(2)?,
                body: row.text(3)?,
                at_us: row.int(4)?,
            })
        })
        .transpose()
    }

    /// Keeps a shopper's word on a product of an order. A later word replaces the one before.
    pub async fn put_review(&mut self, merchant: &str, row: &ReviewRow) -> Result<(), StoreError> {
        let sql = "INSERT INTO review (merchant, product, purchase, rating, body, at_us) VALUES ($1,$2,$3,$4,$5,$6) ON CONFLICT (merchant, product, purchase) DO UPDATE SET rating = excluded.rating, body = excluded.body, at_us = excluded.at_us";
        let params = [
            P::T(merchant),
            P::T(&row.product),
            P::T(&row.order),
            P::I(row.rating),
            P::T(&row.body),
            P::I(row.at_us),
        ];
        self.exec(sql, &params).await?;
        Ok(())
    }

    /// Reviews of a product before a place in the list, newest first.
    pub async fn reviews(
        &mut self,
        merchant: &str,
        product: &str,
        before: (i64, &str),
        limit: i64,
    ) -> Result<Vec<ReviewRow>, StoreError> {
        let sql = "SELECT product, purchase, rating, body, at_us FROM review WHERE merchant = $1 AND product = $2 AND (at_us < $3 OR (at_us = $3 AND purchase < $4)) ORDER BY at_us DESC, purchase DESC LIMIT $5";
        let params = [P::T(merchant), P::T(product), P::I(before.0), P::T(before.1), P::I(limit)];
        let rows = self.rows(sql, &params).await?;
        rows.iter().map(review).collect()
    }

    /// How many reviews a product has, and the sum of their ratings.
    pub async fn rating(&mut self, merchant: &str, product: &str) -> Result<(i64, i64), StoreError> {
        let sql = "SELECT COUNT(*), CAST(COALESCE(SUM(rating), 0) AS BIGINT) FROM review WHERE merchant = $1 AND product = $2";
        let row = self.row(sql, &[P::T(merchant), P::T(product)]).await?;
        row.map_or(Ok((0, 0)), |row| Ok((row.int(0)?, row.int(1)?)))
    }

    /// The instance of a workflow by its client's id.
    pub async fn instance_uid(
        &mut self,
        merchant: &str,
        workflow: &str,
        id: &str,
    ) -> Result<Option<Uuid>, StoreError> {
        let sql = "SELECT uid FROM wf_instance WHERE merchant = $1 AND workflow = $2 AND id = $3";
        let row = self.row(sql, &[P::T(merchant), P::T(workflow), P::T(id)]).await?;
        row.map(|row| row.uid(0)).transpose()
    }
}
