//! What customers want to be told, and merchants' own words for it.

use till_engine::ports::StoreError;

use crate::tx::{P, Row, Tx};

/// A merchant's own words for a kind of notification.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TemplateRow {
    /// `order_confirmation`
    pub kind: String,
    /// `de`, `de-AT`
    pub locale: String,
    /// JSON.
    pub body: String,
    /// Epoch microseconds.
    pub updated_us: i64,
}

fn template(row: &Row) -> Result<TemplateRow, StoreError> {
    Ok(TemplateRow { kind: row.text(0)?, locale: row.text(1)?, body: row.text(2)?, updated_us: row.int(3)? })
}

impl Tx {
    /// What a customer wants, JSON. None: never said.
    pub async fn preference(&mut self, merchant: &str, customer: &str) -> Result<Option<String>, StoreError> {
        let sql = "SELECT body FROM customer_preference WHERE merchant = $1 AND customer = $2";
        self.row(sql, &[P::T(merchant), P::T(customer)]).await?.map(|row| row.text(0)).transpose()
    }

    /// Keeps what a customer wants.
    pub async fn put_preference(
        &mut self,
        merchant: &str,
        customer: &str,
        body: &str,
        now_us: i64,
    ) -> Result<(), StoreError> {
        let sql = "INSERT INTO customer_preference (merchant, customer, body, updated_us) VALUES ($1,$2,$3,$4) ON CONFLICT (merchant, customer) DO UPDATE SET body = excluded.body, updated_us = excluded.updated_us";
        let params = [P::T(merchant), P::T(customer), P::T(body), P::I(now_us)];
        self.exec(sql, &params).await.map(|_| ())
    }

    /// A merchant's own words for a kind, in all languages there are, by locale; of all kinds where it is empty.
    pub async fn templates(&mut self, merchant: &str, kind: &str) -> Result<Vec<TemplateRow>, StoreError> {
        let sql = "SELECT kind, locale, body, updated_us FROM notification_template WHERE merchant = $1 AND ($2 = '' OR kind = $2) ORDER BY kind, locale";
        self.rows(sql, &[P::T(merchant), P::T(kind)]).await?.iter().map(template).collect()
    }

    /// Keeps a merchant's own words. False: the kind has `limit` languages already, and this is not one of them.
    pub async fn put_template(
        &mut self,
        merchant: &str,
        row: &TemplateRow,
        limit: i64,
    ) -> Result<bool, StoreError> {
        let sql = "INSERT INTO notification_template (merchant, kind, locale, body, updated_us) SELECT $1,$2,$3,$4,$5 WHERE (SELECT COUNT(*) FROM notification_template WHERE merchant = $1 AND kind = $2 AND locale <> $3) < $6 ON CONFLICT (merchant, kind, locale) DO UPDATE SET body = excluded.body, updated_us = excluded.updated_us";
        let params = [
            P::T(merchant),
            P::T(&row.kind),
            P::T(&row.locale),
            P::T(&row.body),
            P::I(row.updated_us),
            P::I(limit),
        ];
        Ok(self.exec(sql, &params).await? == 1)
    }

    /// Takes a merchant's own words away. False: there are none.
    pub async fn drop_template(
        &mut self,
        merchant: &str,
        kind: &str,
        locale: &str,
    ) -> Result<bool, StoreError> {
        let sql = "DELETE FROM notification_template WHERE merchant = $1 AND kind = $2 AND locale = $3";
        Ok(self.exec(sql, &[P::T(merchant), P::T(kind), P::T(locale)]).await? == 1)
    }
}
