//! Campaigns and codes that work a set number of times: what a promotion may still give away.

use till_engine::ports::StoreError;

use crate::tx::{P, Row, Tx};

/// A campaign: promotions with dates and a budget. Amounts are minor units of `currency`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct CampaignRow {
    /// Id.
    pub id: String,
    /// For people.
    pub name: String,
    /// Its promotions are given only while it is true.
    pub active: bool,
    /// From then on, epoch microseconds.
    pub starts_us: Option<i64>,
    /// Until then, epoch microseconds.
    pub ends_us: Option<i64>,
    /// ISO 4217.
    pub currency: String,
    /// Most it takes off over all orders.
    pub budget: Option<i64>,
    /// Most orders it takes something off.
    pub orders_max: Option<i64>,
    /// Ids of the promotions it covers, as a JSON list.
    pub promotions: String,
    /// Taken off confirmed orders.
    pub spent: i64,
    /// Promised to checkouts.
    pub held: i64,
    /// Confirmed orders.
    pub orders: i64,
    /// Checkouts it is promised to.
    pub orders_held: i64,
}

/// A code that works a set number of times.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PromotionCodeRow {
    /// The code.
    pub code: String,
    /// Promotion it belongs to, for the merchant.
    pub promotion: String,
    /// Code by which the component knows the promotion.
    pub stands_for: String,
    /// How often it works.
    pub uses: i64,
    /// How often it has, checkouts under way included.
    pub used: i64,
    /// The command that made it.
    pub batch: String,
}

macro_rules! campaigns {
    ($rest:literal) => {
        concat!(
            "SELECT id, name, active, starts_us, ends_us, currency, budget, orders_max, promotions, spent, held, orders, orders_held FROM campaign ",
            $rest
        )
    };
}

fn campaign(row: &Row) -> Result<CampaignRow, StoreError> {
    Ok(CampaignRow {
        id: row.text(0)?,
        name: row.text(1)?,
        active: row.int(2)? == 1,
        starts_us: row.maybe_int(3)?,
        ends_us: row.maybe_int(4)?,
        currency: row.text(5)?,
        budget: row.maybe_int(6)?,
        orders_max: row.maybe_int(7)?,
        promotions: row.text(8)?,
        spent: row.int(9)?,
        held: row.int(10)?,
        orders: row.int(11)?,
        orders_held: row.int(12)?,
    })
}

fn code(row: &Row) -> Result<PromotionCodeRow, StoreError> {
    Ok(PromotionCodeRow {
        code: row.text(0)?,
        promotion: row.text(1)?,
        stands_for: row.text(2)?,
        uses: row.int(3)?,
        used: row.int(4)?,
        batch: row.text(5)?,
    })
}

/// Names the row that changes of campaigns and codes take turns by.
const TURN: &str = "promotions";

impl Tx {
    /// Takes the turn of changing a merchant's campaigns and making codes: nobody else does until this transaction ends.
    pub async fn hold_promotions(&mut self, merchant: &str) -> Result<(), StoreError> {
        self.take_numbers(merchant, TURN, 0).await.map(|_| ())
    }

    /// Makes a campaign or replaces what is said of it; what it spent stays.
    pub async fn put_campaign(&mut self, merchant: &str, row: &CampaignRow) -> Result<(), StoreError> {
        let sql = "INSERT INTO campaign (merchant, id, name, active, starts_us, ends_us, currency, budget, orders_max, promotions, spent, held, orders, orders_held) VALUES ($1,$2,$3,$4,$5,$6,$7,$8,$9,$10,0,0,0,0) ON CONFLICT (merchant, id) DO UPDATE SET name = excluded.name, active = excluded.active, starts_us = excluded.starts_us, ends_us = excluded.ends_us, currency = excluded.currency, budget = excluded.budget, orders_max = excluded.orders_max, promotions = excluded.promotions";
        let params = [
            P::T(merchant),
            P::T(&row.id),
            P::T(&row.name),
            P::I(i64::from(row.active)),
            P::OI(row.starts_us),
            P::OI(row.ends_us),
            P::T(&row.currency),
            P::OI(row.budget),
            P::OI(row.orders_max),
            P::T(&row.promotions),
        ];
        self.exec(sql, &params).await.map(|_| ())
    }

    /// A campaign.
    pub async fn campaign(&mut self, merchant: &str, id: &str) -> Result<Option<CampaignRow>, StoreError> {
        let row =
            self.row(campaigns!("WHERE merchant = $1 AND id = $2"), &[P::T(merchant), P::T(id)]).await?;
        row.as_ref().map(campaign).transpose()
    }

    /// Campaigns after an id, in the order of ids.
    pub async fn campaigns(
        &mut self,
        merchant: &str,
        after: &str,
        limit: i64,
    ) -> Result<Vec<CampaignRow>, StoreError> {
        let sql = campaigns!("WHERE merchant = $1 AND id > $2 ORDER BY id LIMIT $3");
        let rows = self.rows(sql, &[P::T(merchant), P::T(after), P::I(limit)]).await?;
        rows.iter().map(campaign).collect()
    }

    /// Takes a campaign away that no checkout holds of. False: there is none such.
    pub async fn delete_campaign(&mut self, merchant: &str, id: &str) -> Result<bool, StoreError> {
        let sql = "DELETE FROM campaign WHERE merchant = $1 AND id = $2 AND orders_held = 0";
        Ok(self.exec(sql, &[P::T(merchant), P::T(id)]).await? == 1)
    }

    /// Makes a code. False: there is one of that text.
    pub async fn put_promotion_code(
        &mut self,
        merchant: &str,
        row: &PromotionCodeRow,
    ) -> Result<bool, StoreError> {
        let sql = "INSERT INTO promotion_code (merchant, code, promotion, stands_for, uses, used, batch) VALUES ($1,$2,$3,$4,$5,0,$6) ON CONFLICT DO NOTHING";
        let params = [
            P::T(merchant),
            P::T(&row.code),
            P::T(&row.promotion),
            P::T(&row.stands_for),
            P::I(row.uses),
            P::T(&row.batch),
        ];
        Ok(self.exec(sql, &params).await? == 1)
    }

    /// A code.
    pub async fn promotion_code(
        &mut self,
        merchant: &str,
        text: &str,
    ) -> Result<Option<PromotionCodeRow>, StoreError> {
        let sql = "SELECT code, promotion, stands_for, uses, used, batch FROM promotion_code WHERE merchant = $1 AND code = $2";
        self.row(sql, &[P::T(merchant), P::T(text)]).await?.as_ref().map(code).transpose()
    }

    /// Codes of a promotion after one, in their order; of one batch, if it is named.
    pub async fn promotion_codes(
        &mut self,
        merchant: &str,
        promotion: &str,
        batch: &str,
        after: &str,
        limit: i64,
    ) -> Result<Vec<PromotionCodeRow>, StoreError> {
        let sql = "SELECT code, promotion, stands_for, uses, used, batch FROM promotion_code WHERE merchant = $1 AND promotion = $2 AND ($3 = '' OR batch = $3) AND code > $4 ORDER BY code LIMIT $5";
        let params = [P::T(merchant), P::T(promotion), P::T(batch), P::T(after), P::I(limit)];
        self.rows(sql, &params).await?.iter().map(code).collect()
    }

    /// How many codes a batch has.
    pub async fn count_promotion_codes(&mut self, merchant: &str, batch: &str) -> Result<i64, StoreError> {
        let sql = "SELECT COUNT(*) FROM promotion_code WHERE merchant = $1 AND batch = $2";
        self.row(sql, &[P::T(merchant), P::T(batch)]).await?.map_or(Ok(0), |row| row.int(0))
    }

    /// Whether codes that work a set number of times stand for this one: then nobody may type it.
    pub async fn is_stood_for(&mut self, merchant: &str, text: &str) -> Result<bool, StoreError> {
        let sql =
            "SELECT 1 FROM promotion_code WHERE merchant = $1 AND LOWER(stands_for) = LOWER($2) LIMIT 1";
        Ok(self.row(sql, &[P::T(merchant), P::T(text)]).await?.is_some())
    }

    /// Uses so far by promotion: over all customers, and by one. At most `limit` promotions.
    pub async fn all_uses(
        &mut self,
        merchant: &str,
        customer: &str,
        limit: i64,
    ) -> Result<Vec<(String, i64, i64)>, StoreError> {
        let sql = "SELECT a.promotion, a.used, COALESCE(c.used, 0) FROM promotion_use a LEFT JOIN promotion_use c ON c.merchant = a.merchant AND c.customer = $2 AND c.promotion = a.promotion WHERE a.merchant = $1 AND a.customer = '' AND a.used > 0 ORDER BY a.promotion LIMIT $3";
        let rows = self.rows(sql, &[P::T(merchant), P::T(customer), P::I(limit)]).await?;
        rows.iter().map(|row| Ok((row.text(0)?, row.int(1)?, row.int(2)?))).collect()
    }
}
