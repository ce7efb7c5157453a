//! Stock and its ledger: units of a SKU in a warehouse, and a row for every change of them.
//!
//! `on_hand` changes in this file and where a hold of stock is committed, nowhere else, and both write the movement in
//! the same transaction; so the sum of a place's movements is what is there. A change is one conditional statement: it
//! takes no units that are promised, and never leads below zero.

use till_engine::ports::StoreError;

use crate::tx::{P, Row, Tx};

/// Most units of a SKU in one warehouse. No warehouse has more, and sums over all of them are far from the end of 64 bits.
pub const UNITS_MAX: i64 = 1_000_000_000;

/// Stock of a SKU in one warehouse.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct StockRow {
    /// SKU.
    pub sku: String,
    /// Warehouse.
    pub warehouse: String,
    /// Units there.
    pub on_hand: i64,
    /// Units of those promised.
    pub held: i64,
    /// At so many units or fewer it is low; none: as the settings say.
    pub low_at: Option<i64>,
}

/// Why stock changes, and who says so.
#[derive(Debug, Clone, Copy)]
pub struct Because<'a> {
    /// `sale`, `receipt`, `return`, `transfer`, …
    pub reason: &'a str,
    /// Order, reservation or transfer, or what the merchant says. May be empty.
    pub reference: &'a str,
    /// For people. May be empty.
    pub note: &'a str,
    /// Customer, person of the merchant, or a part of the host.
    pub who: &'a str,
    /// Epoch microseconds.
    pub at_us: i64,
}

/// One change of the units on hand, a row of the ledger.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Movement {
    /// Names it; unique per merchant.
    pub id: String,
    /// SKU.
    pub sku: String,
    /// Warehouse.
    pub warehouse: String,
    /// Units that came; below zero, that went.
    pub delta: i64,
    /// Units after it.
    pub on_hand: i64,
    /// The SKU's own threshold, as it was known at the change; none in rows that are read.
    pub low_at: Option<i64>,
    /// See [`Because`].
    pub reason: String,
    /// See [`Because`].
    pub reference: String,
    /// See [`Because`].
    pub note: String,
    /// See [`Because`].
    pub who: String,
    /// Epoch microseconds.
    pub at_us: i64,
}

impl Movement {
    pub(crate) fn new(
        id: &str,
        (sku, warehouse): (&str, &str),
        delta: i64,
        (on_hand, low_at): (i64, Option<i64>),
        because: &Because<'_>,
    ) -> Movement {
        Movement {
            id: id.to_owned(),
            sku: sku.to_owned(),
            warehouse: warehouse.to_owned(),
            delta,
            on_hand,
            low_at,
            reason: because.reason.to_owned(),
            reference: because.reference.to_owned(),
            note: because.note.to_owned(),
            who: because.who.to_owned(),
            at_us: because.at_us,
        }
    }
}

/// How a change of stock went.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Change {
    /// It is made, by this call.
    Made(Movement),
    /// It was made before under this id.
    Known(Movement),
    /// Nothing changed: there is no such change to make, the units are those already there.
    Nothing,
    /// Nothing changed: too few units are there that nobody is promised; so many can go. Or more than [`UNITS_MAX`] would
    /// be there.
    Refused {
        /// Units that are not promised.
        free: i64,
    },
}

/// Which movements are asked for. An empty text asks for all.
#[derive(Debug, Clone, Default)]
pub struct MovementFilter {
    /// Of this SKU.
    pub sku: String,
    /// In this warehouse.
    pub warehouse: String,
    /// With this reference.
    pub reference: String,
}

/// Which stock is asked for. An empty text asks for all.
#[derive(Debug, Clone, Default)]
pub struct StockFilter {
    /// Of this SKU.
    pub sku: String,
    /// In this warehouse.
    pub warehouse: String,
    /// Only what is at its threshold or below; the threshold of SKUs without one of their own.
    pub low: Option<i64>,
}

fn stock(row: &Row) -> Result<StockRow, StoreError> {
    Ok(StockRow {
        sku: row.text(0)?,
        warehouse: row.text(1)?,
        on_hand: row.int(2)?,
        held: row.int(3)?,
        low_at: row.maybe_int(4)?,
    })
}

fn movement(row: &Row) -> Result<Movement, StoreError> {
    Ok(Movement {
        id: row.text(0)?,
        sku: row.text(1)?,
        warehouse: row.text(2)?,
        delta: row.int(3)?,
        on_hand: row.int(4)?,
        low_at: None,
        reason: row.text(5)?,
        reference: row.text(6)?,
        note: row.text(7)?,
        who: row.text(8)?,
        at_us: row.int(9)?,
    })
}

impl Tx {
    /// Stock of a SKU in all warehouses.
    pub async fn stock(&mut self, merchant: &str, sku: &str) -> Result<Vec<StockRow>, StoreError> {
        let sql = "SELECT sku, warehouse, on_hand, held, low_at FROM stock WHERE merchant = $1 AND sku = $2 ORDER BY warehouse";
        self.rows(sql, &[P::T(merchant), P::T(sku)]).await?.iter().map(stock).collect()
    }

    /// Stock of a SKU in warehouses that are not closed.
    pub async fn open_stock(&mut self, merchant: &str, sku: &str) -> Result<Vec<StockRow>, StoreError> {
        let sql = "SELECT s.sku, s.warehouse, s.on_hand, s.held, s.low_at FROM stock s WHERE s.merchant = $1 AND s.sku = $2 AND NOT EXISTS (SELECT 1 FROM warehouse w WHERE w.merchant = s.merchant AND w.id = s.warehouse AND w.active = 0) ORDER BY s.warehouse";
        self.rows(sql, &[P::T(merchant), P::T(sku)]).await?.iter().map(stock).collect()
    }

    /// Stock after a place in the order of SKU and warehouse.
    pub async fn list_stock(
        &mut self,
        merchant: &str,
        filter: &StockFilter,
        after: (&str, &str),
        limit: i64,
    ) -> Result<Vec<StockRow>, StoreError> {
        let sql = "SELECT sku, warehouse, on_hand, held, low_at FROM stock WHERE merchant = $1 AND ($2 = '' OR sku = $2) AND ($3 = '' OR warehouse = $3) AND ($4 < 0 OR on_hand <= COALESCE(low_at, $4)) AND (sku > $5 OR (sku = $5 AND warehouse > $6)) ORDER BY sku, warehouse LIMIT $7";
        let params = [
            P::T(merchant),
            P::T(&filter.sku),
            P::T(&filter.warehouse),
            P::I(filter.low.unwrap_or(-1)),
            P::T(after.0),
            P::T(after.1),
            P::I(limit),
        ];
        self.rows(sql, &params).await?.iter().map(stock).collect()
    }

    /// Adds units, or with a `delta` below zero takes some that are not promised, under the movement's `id`.
    pub async fn move_stock(
        &mut self,
        merchant: &str,
        id: &str,
        place: (&str, &str),
        delta: i64,
        because: &Because<'_>,
    ) -> Result<Change, StoreError> {
        if let Some(known) = self.movement(merchant, id).await? {
            return Ok(Change::Known(known));
        }
        let key = [P::T(merchant), P::T(place.0), P::T(place.1)];
        let bound = delta.clamp(-UNITS_MAX - 1, UNITS_MAX + 1);
        let sql = "UPDATE stock SET on_hand = on_hand + $4 WHERE merchant = $1 AND sku = $2 AND warehouse = $3 AND on_hand + $4 >= held AND (on_hand + $4 <= $5 OR $4 < 0) RETURNING on_hand, low_at";
        let params = [key[0], key[1], key[2], P::I(bound), P::I(UNITS_MAX)];
        let mut changed = self.row(sql, &params).await?;
        if changed.is_none() && (1..=UNITS_MAX).contains(&delta) {
            let sql = "INSERT INTO stock (merchant, sku, warehouse, on_hand, held, low_at) VALUES ($1,$2,$3,$4,0,(SELECT low_at FROM stock_threshold WHERE merchant = $1 AND sku = $2)) ON CONFLICT (merchant, sku, warehouse) DO UPDATE SET on_hand = stock.on_hand + excluded.on_hand WHERE stock.on_hand + excluded.on_hand <= $5 RETURNING on_hand, low_at";
            changed = self.row(sql, &params).await?;
        }
        let Some(row) = changed else {
            let sql = "SELECT on_hand - held FROM stock WHERE merchant = $1 AND sku = $2 AND warehouse = $3";
            let free = self.row(sql, &key).await?.map_or(Ok(0), |row| row.int(0))?;
            return Ok(Change::Refused { free });
        };
        let left = (row.int(0)?, row.maybe_int(1)?);
        let movement = Movement::new(id, place, delta, left, because);
        match self.log_movement(merchant, &movement).await? {
            true => Ok(Change::Made(movement)),
            // Somebody made it meanwhile: from the start, and it is known.
            false => Err(StoreError::Conflict),
        }
    }

    /// Sets the units on hand. Refused where more are promised.
    pub async fn put_stock(
        &mut self,
        merchant: &str,
        id: &str,
        place: (&str, &str),
        on_hand: i64,
        because: &Because<'_>,
    ) -> Result<Change, StoreError> {
        if let Some(known) = self.movement(merchant, id).await? {
            return Ok(Change::Known(known));
        }
        // Nobody else changes the row from here on.
        let sql = "INSERT INTO stock (merchant, sku, warehouse, on_hand, held, low_at) VALUES ($1,$2,$3,0,0,(SELECT low_at FROM stock_threshold WHERE merchant = $1 AND sku = $2)) ON CONFLICT (merchant, sku, warehouse) DO UPDATE SET on_hand = stock.on_hand RETURNING on_hand, held";
        let row = self.row(sql, &[P::T(merchant), P::T(place.0), P::T(place.1)]).await?;
        let row = row.ok_or_else(|| StoreError::Corrupt("stock that was written is not there".to_owned()))?;
        let (before, held) = (row.int(0)?, row.int(1)?);
        if !(held..=UNITS_MAX).contains(&on_hand) {
            return Ok(Change::Refused { free: before - held });
        }
        match on_hand - before {
            0 => Ok(Change::Nothing),
            delta => self.move_stock(merchant, id, place, delta, because).await,
        }
    }

    /// Writes a row of the ledger. False: there is one of its id.
    pub(crate) async fn log_movement(
        &mut self,
        merchant: &str,
        movement: &Movement,
    ) -> Result<bool, StoreError> {
        let sql = "INSERT INTO stock_movement (merchant, id, sku, warehouse, delta, on_hand, reason, reference, note, who, at_us) VALUES ($1,$2,$3,$4,$5,$6,$7,$8,$9,$10,$11) ON CONFLICT DO NOTHING";
        let params = [
            P::T(merchant),
            P::T(&movement.id),
            P::T(&movement.sku),
            P::T(&movement.warehouse),
            P::I(movement.delta),
            P::I(movement.on_hand),
            P::T(&movement.reason),
            P::T(&movement.reference),
            P::T(&movement.note),
            P::T(&movement.who),
            P::I(movement.at_us),
        ];
        Ok(self.exec(sql, &params).await? == 1)
    }

    /// One movement.
    pub async fn movement(&mut self, merchant: &str, id: &str) -> Result<Option<Movement>, StoreError> {
        let sql = "SELECT id, sku, warehouse, delta, on_hand, reason, reference, note, who, at_us FROM stock_movement WHERE merchant = $1 AND id = $2";
        self.row(sql, &[P::T(merchant), P::T(id)]).await?.as_ref().map(movement).transpose()
    }

    /// Movements before a place in the order of time and id, newest first.
    pub async fn movements(
        &mut self,
        merchant: &str,
        filter: &MovementFilter,
        before: (i64, &str),
        limit: i64,
    ) -> Result<Vec<Movement>, StoreError> {
        macro_rules! select {
            ($of:literal) => {
                concat!(
                    "SELECT id, sku, warehouse, delta, on_hand, reason, reference, note, who, at_us FROM stock_movement WHERE merchant = $1",
                    $of,
                    " AND ($3 = '' OR warehouse = $3) AND ($4 = '' OR reference = $4) AND (at_us < $5 OR (at_us = $5 AND id < $6)) ORDER BY at_us DESC, id DESC LIMIT $7"
                )
            };
        }
        // Each has an index of its own.
        let sql = match filter.sku.is_empty() {
            true => select!(" AND $2 = ''"),
            false => select!(" AND sku = $2"),
        };
        let params = [
            P::T(merchant),
            P::T(&filter.sku),
            P::T(&filter.warehouse),
            P::T(&filter.reference),
            P::I(before.0),
            P::T(before.1),
            P::I(limit),
        ];
        self.rows(sql, &params).await?.iter().map(movement).collect()
    }

    /// Places whose ledger does not sum up to what is there: `(sku, warehouse, on hand, sum)`. There are none. For audits.
    pub async fn ledger_gaps(
        &mut self,
        merchant: &str,
    ) -> Result<Vec<(String, String, i64, i64)>, StoreError> {
        let sql = "SELECT s.sku, s.warehouse, s.on_hand, CAST(COALESCE(SUM(m.delta), 0) AS BIGINT) FROM stock s LEFT JOIN stock_movement m ON m.merchant = s.merchant AND m.sku = s.sku AND m.warehouse = s.warehouse WHERE s.merchant = $1 GROUP BY s.sku, s.warehouse, s.on_hand HAVING s.on_hand <> COALESCE(SUM(m.delta), 0) ORDER BY s.sku, s.warehouse";
        let rows = self.rows(sql, &[P::T(merchant)]).await?;
        rows.iter().map(|r| Ok((r.text(0)?, r.text(1)?, r.int(2)?, r.int(3)?))).collect()
    }

    /// Sets the threshold of a SKU, in warehouses that get some later too; none: as the settings say.
    pub async fn put_threshold(
        &mut self,
        merchant: &str,
        sku: &str,
        low_at: Option<i64>,
    ) -> Result<(), StoreError> {
        let key = [P::T(merchant), P::T(sku)];
        match low_at {
            Some(units) => {
                let sql = "INSERT INTO stock_threshold (merchant, sku, low_at) VALUES ($1,$2,$3) ON CONFLICT (merchant, sku) DO UPDATE SET low_at = excluded.low_at";
                self.exec(sql, &[key[0], key[1], P::I(units)]).await?;
            }
            None => {
                self.exec("DELETE FROM stock_threshold WHERE merchant = $1 AND sku = $2", &key).await?;
            }
        }
        let sql = "UPDATE stock SET low_at = $3 WHERE merchant = $1 AND sku = $2";
        self.exec(sql, &[key[0], key[1], P::OI(low_at)]).await.map(|_| ())
    }
}
