//! Who is told of events and what was made of them: webhooks of merchants, notifications of customers, what customers
//! have bought, metrics by day.

use till_engine::ports::StoreError;

use crate::tx::{P, Row, Tx};

/// An endpoint of a merchant.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct WebhookRow {
    /// Id.
    pub id: String,
    /// JSON.
    pub body: String,
    /// The key of its signatures, sealed.
    pub sealed: Vec<u8>,
    /// Epoch microseconds.
    pub created_us: i64,
}

/// What a customer is told in the app.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct NotificationRow {
    /// Id: that of the event and what is told of it.
    pub id: String,
    /// Whom it is for.
    pub customer: String,
    /// `order_confirmation`
    pub kind: String,
    /// JSON.
    pub body: String,
    /// Epoch microseconds.
    pub at_us: i64,
    /// Epoch microseconds; none while it is unread.
    pub read_us: Option<i64>,
}

/// What a customer has bought in a currency.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct CustomerValueRow {
    /// ISO 4217.
    pub currency: String,
    /// Confirmed orders.
    pub orders: i64,
    /// Their totals, minor units.
    pub spent: i64,
    /// First order, epoch microseconds.
    pub first_us: i64,
    /// Latest order, epoch microseconds.
    pub last_us: i64,
}

/// A count of one day.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct MetricRow {
    /// `2024-08-10`, UTC.
    pub day: String,
    /// `orders`
    pub name: String,
    /// Product, promotion or customer; empty for all.
    pub label: String,
    /// ISO 4217; empty where there is no amount.
    pub currency: String,
    /// How often.
    pub count: i64,
    /// Minor units.
    pub amount: i64,
}

fn webhook(row: &Row) -> Result<WebhookRow, StoreError> {
    Ok(WebhookRow { id: row.text(0)?, body: row.text(1)?, sealed: row.bytes(2)?, created_us: row.int(3)? })
}

fn notification(row: &Row) -> Result<NotificationRow, StoreError> {
    Ok(NotificationRow {
        id: row.text(0)?,
        customer: row.text(1)?,
        kind: row.text(2)?,
        body: row.text(3)?,
        at_us: row.int(4)?,
        read_us: row.maybe_int(5)?,
    })
}

fn metric(row: &Row) -> Result<MetricRow, StoreError> {
    Ok(MetricRow {
        day: row.text(0)?,
        name: row.text(1)?,
        label: row.text(2)?,
        currency: row.text(3)?,
        count: row.int(4)?,
        amount: row.int(5)?,
    })
}

impl Tx {
    /// Makes an endpoint or replaces its body; the key of one that is there stays.
    pub async fn put_webhook(&mut self, merchant: &str, row: &WebhookRow) -> Result<(), StoreError> {
        let sql = "INSERT INTO webhook (merchant, id, body, sealed, created_us) VALUES ($1,$2,$3,$4,$5) ON CONFLICT (merchant, id) DO UPDATE SET body = excluded.body";
        let params =
            [P::T(merchant), P::T(&row.id), P::T(&row.body), P::B(&row.sealed), P::I(row.created_us)];
        self.exec(sql, &params).await.map(|_| ())
    }

    /// Endpoints of a merchant, by id.
    pub async fn webhooks(&mut self, merchant: &str) -> Result<Vec<WebhookRow>, StoreError> {
        let sql = "SELECT id, body, sealed, created_us FROM webhook WHERE merchant = $1 ORDER BY id";
        self.rows(sql, &[P::T(merchant)]).await?.iter().map(webhook).collect()
    }

    /// An endpoint.
    pub async fn webhook(&mut self, merchant: &str, id: &str) -> Result<Option<WebhookRow>, StoreError> {
        let sql = "SELECT id, body, sealed, created_us FROM webhook WHERE merchant = $1 AND id = $2";
        self.row(sql, &[P::T(merchant), P::T(id)]).await?.as_ref().map(webhook).transpose()
    }

    /// Takes an endpoint away, with what was on its way. False: there is none.
    pub async fn drop_webhook(&mut self, merchant: &str, id: &str, target: &str) -> Result<bool, StoreError> {
        let sql = "DELETE FROM delivery WHERE merchant = $1 AND target = $2";
        self.exec(sql, &[P::T(merchant), P::T(target)]).await?;
        let sql = "DELETE FROM webhook WHERE merchant = $1 AND id = $2";
        Ok(self.exec(sql, &[P::T(merchant), P::T(id)]).await? == 1)
    }

    /// Tells a customer something once: the same id has no effect.
    pub async fn put_notification(
        &mut self,
        merchant: &str,
        row: &NotificationRow,
    ) -> Result<(), StoreError> {
        let sql = "INSERT INTO notification (merchant, id, customer, kind, body, at_us, read_us) VALUES ($1,$2,$3,$4,$5,$6,NULL) ON CONFLICT DO NOTHING";
        let params = [
            P::T(merchant),
            P::T(&row.id),
            P::T(&row.customer),
            P::T(&row.kind),
            P::T(&row.body),
            P::I(row.at_us),
        ];
        self.exec(sql, &params).await.map(|_| ())
    }

    /// Notifications of a customer before a place in the list, newest first.
    pub async fn notifications(
        &mut self,
        merchant: &str,
        customer: &str,
        unread_only: bool,
        (before_us, before_id): (i64, &str),
        limit: i64,
    ) -> Result<Vec<NotificationRow>, StoreError> {
        let sql = "SELECT id, customer, kind, body, at_us, read_us FROM notification WHERE merchant = $1 AND customer = $2 AND (at_us < $3 OR (at_us = $3 AND id < $4)) AND ($5 = 0 OR read_us IS NULL) ORDER BY at_us DESC, id DESC LIMIT $6";
        let params = [
            P::T(merchant),
            P::T(customer),
            P::I(before_us),
            P::T(before_id),
            P::I(i64::from(unread_only)),
            P::I(limit),
        ];
        self.rows(sql, &params).await?.iter().map(notification).collect()
    }

    /// How many notifications a customer has not read.
    pub async fn unread(&mut self, merchant: &str, customer: &str) -> Result<i64, StoreError> {
        let sql =
            "SELECT COUNT(*) FROM notification WHERE merchant = $1 AND customer = $2 AND read_us IS NULL";
        let row = self.row(sql, &[P::T(merchant), P::T(customer)]).await?;
        row.map_or(Ok(0), |row| row.int(0))
    }

    /// A customer has read one notification, or all (`id` none). Gives how many were unread; none: there is no such.
    pub async fn read_notification(
        &mut self,
        merchant: &str,
        customer: &str,
        id: Option<&str>,
        now_us: i64,
    ) -> Result<Option<u64>, StoreError> {
        let Some(id) = id else {
            let sql = "UPDATE notification SET read_us = $1 WHERE merchant = $2 AND customer = $3 AND read_us IS NULL";
            let read = self.exec(sql, &[P::I(now_us), P::T(merchant), P::T(customer)]).await?;
            return Ok(Some(read));
        };
        let sql = "UPDATE notification SET read_us = $1 WHERE merchant = $2 AND customer = $3 AND id = $4 AND read_us IS NULL";
        let params = [P::I(now_us), P::T(merchant), P::T(customer), P::T(id)];
        if self.exec(sql, &params).await? == 1 {
            return Ok(Some(1));
        }
        let sql = "SELECT id FROM notification WHERE merchant = $1 AND customer = $2 AND id = $3";
        let there = self.row(sql, &[P::T(merchant), P::T(customer), P::T(id)]).await?;
        Ok(there.map(|_| 0))
    }

    /// Counts an order into what its customer has bought.
    pub async fn add_customer_value(
        &mut self,
        merchant: &str,
        customer: &str,
        currency: &str,
        spent: i64,
        at_us: i64,
    ) -> Result<(), StoreError> {
        let sql = concat!(
            "INSERT INTO customer_value (merchant, customer, currency, orders, spent, first_us, last_us) VALUES ($1,$2,$3,1,$4,$5,$5) ON CONFLICT (merchant, customer, currency) DO UPDATE SET orders = customer_value.orders + 1, last_us = $5, spent = ",
            saturating_sum!("customer_value.spent", "$4")
        );
        let params = [P::T(merchant), P::T(customer), P::T(currency), P::I(spent), P::I(at_us)];
        self.exec(sql, &params).await.map(|_| ())
    }

    /// What a customer has bought, by currency.
    pub async fn customer_value(
        &mut self,
        merchant: &str,
        customer: &str,
    ) -> Result<Vec<CustomerValueRow>, StoreError> {
        let sql = "SELECT currency, orders, spent, first_us, last_us FROM customer_value WHERE merchant = $1 AND customer = $2 ORDER BY currency";
        let rows = self.rows(sql, &[P::T(merchant), P::T(customer)]).await?;
        rows.iter()
            .map(|row| {
                Ok(CustomerValueRow {
                    currency: row.text(0)?,
                    orders: row.int(1)?,
                    spent: row.int(2)?,
                    first_us: row.int(3)?,
                    last_us: row.int(4)?,
                })
            })
            .collect()
    }

    /// Adds to a metric.
    pub async fn add_metric(&mut self, merchant: &str, row: &MetricRow) -> Result<(), StoreError> {
        let sql = concat!(
            "INSERT INTO metric (merchant, day, name, label, currency, count, amount) VALUES ($1,$2,$3,$4,$5,$6,$7) ON CONFLICT (merchant, name, day, label, currency) DO UPDATE SET count = metric.count + $6, amount = ",
            saturating_sum!("metric.amount", "$7")
        );
        let params = [
            P::T(merchant),
            P::T(&row.day),
            P::T(&row.name),
            P::T(&row.label),
            P::T(&row.currency),
            P::I(row.count),
            P::I(row.amount),
        ];
        self.exec(sql, &params).await.map(|_| ())
    }

    /// A metric from one day to another, both included.
    pub async fn metrics(
        &mut self,
        merchant: &str,
        name: &str,
        (from, to): (&str, &str),
        limit: i64,
    ) -> Result<Vec<MetricRow>, StoreError> {
        let sql = "SELECT day, name, label, currency, count, amount FROM metric WHERE merchant = $1 AND name = $2 AND day >= $3 AND day <= $4 ORDER BY day, label, currency LIMIT $5";
        let params = [P::T(merchant), P::T(name), P::T(from), P::T(to), P::I(limit)];
        self.rows(sql, &params).await?.iter().map(metric).collect()
    }

    /// A metric over days, both included: a sum for each label and currency. The day is empty.
    pub async fn metric_sums(
        &mut self,
        merchant: &str,
        name: &str,
        (from, to): (&str, &str),
        limit: i64,
    ) -> Result<Vec<MetricRow>, StoreError> {
        let sql = "SELECT '', name, label, currency, CAST(SUM(count) AS BIGINT), CAST(SUM(amount) AS BIGINT) FROM metric WHERE merchant = $1 AND name = $2 AND day >= $3 AND day <= $4 GROUP BY name, label, currency ORDER BY currency, label LIMIT $5";
        let params = [P::T(merchant), P::T(name), P::T(from), P::T(to), P::I(limit)];
        self.rows(sql, &params).await?.iter().map(metric).collect()
    }

    /// Takes all metrics of a merchant away, before they are counted again.
    pub async fn drop_metrics(&mut self, merchant: &str) -> Result<(), StoreError> {
        let sql = "DELETE FROM metric WHERE merchant = $1";
        self.exec(sql, &[P::T(merchant)]).await.map(|_| ())
    }
}
