//! What was sold, by day, and what can be read out of it. Needs a scope of the area `analytics`.

use axum::extract::State;
use axum::http::{HeaderValue, StatusCode, header};
use axum::response::Response;
use indexmap::IndexMap;
use serde::Serialize;
use serde_json::value::RawValue;
use till_commerce::access::Area;
use till_commerce::access::Wanted::{Change, Read};
use till_commerce::events::{METRIC_ROWS_MAX, METRICS, Metric, STAGES};
use till_model::money::Currency;
use utoipa::ToSchema;

use super::json;
use crate::App;
use crate::auth::Caller;
use crate::problem::Problem;
use crate::read::{A_DAY, At, Query};
use crate::wire::Amount;

/// A day of a metric.
#[derive(Serialize, ToSchema)]
struct MetricOut {
    /// `2024-08-10`, UTC.
    day: String,
    /// Product or promotion; absent for all.
    #[serde(skip_serializing_if = "String::is_empty")]
    label: String,
    count: i64,
    amount: Amount,
    currency: String,
}

/// A metric.
#[derive(Serialize, ToSchema)]
pub(crate) struct MetricsOut {
    metric: String,
    from: String,
    to: String,
    /// By day, label and currency.
    rows: Vec<MetricOut>,
}

/// Reads a metric from one day to another.
#[utoipa::path(get, path = "/api/v1/admin/analytics/{metric}", tag = "analytics", security(("bearer" = [])),
    params(("metric" = String, Path, description = "`orders`, `discounts`, `shipping`, `tax`, `product`, `promotion`, `promotion-orders`, `promotion-customers`, `funnel`, `lost`, `abandoned-carts`, `customers`, `basket` or `payment-method`"),
        ("from" = String, Query, description = "first day, `2024-08-01`"),
        ("to" = String, Query, description = "last day"),
        ("format" = Option<String>, Query, description = "`json` (default) or `csv`")),
    responses((status = 200, body = MetricsOut)))]
pub(crate) async fn metric(
    State(app): State<App>,
    caller: Caller,
    At(metric): At<String>,
    query: Query,
) -> Result<Response, Problem> {
    caller.needs(Read(Area::Analytics))?;
    if !METRICS.contains(&metric.as_str()) {
        return Err(Problem::not_found("metric", &metric));
    }
    let Asked { from, to, csv } = Asked::read(query)?;
    let rows = app.events.metric(&caller.merchant, &metric, (&from, &to)).await?;
    if i64::try_from(rows.len()).is_ok_and(|n| n >= METRIC_ROWS_MAX) {
        let why = format!("there are {METRIC_ROWS_MAX} rows or more; ask for fewer days");
        return Err(Problem::field("to", why));
    }
    let rows = rows.into_iter().map(shown).collect::<Result<Vec<_>, Problem>>()?;
    if csv {
        return as_csv(rows.iter().map(|row| MetricLine {
            day: &row.day,
            label: &row.label,
            count: row.count,
            amount: &row.amount,
            currency: &row.currency,
        }));
    }
    json(StatusCode::OK, &MetricsOut { metric, from, to, rows })
}

fn shown(row: Metric) -> Result<MetricOut, Problem> {
    let currency = Currency::from_code(&row.currency).map_err(Problem::internal)?;
    let Metric { day, label, count, amount, .. } = row;
    Ok(MetricOut { day, label, count, amount: Amount::of(amount, currency), currency: row.currency })
}

/// Rows as CSV (RFC 4180), with the names and the exact numbers that they have in JSON.
fn as_csv<T: Serialize>(rows: impl IntoIterator<Item = T>) -> Result<Response, Problem> {
    let mut writer = csv::Writer::from_writer(vec![]);
    for (at, row) in rows.into_iter().enumerate() {
        let row = serde_json::to_string(&row).map_err(Problem::internal)?;
        let cells: IndexMap<String, &RawValue> = serde_json::from_str(&row).map_err(Problem::internal)?;
        if at == 0 {
            writer.write_record(cells.keys()).map_err(Problem::internal)?;
        }
        let text = |raw: &&RawValue| match raw.get() {
            "null" => String::new(),
            raw => serde_json::from_str::<String>(raw).unwrap_or_else(|_| raw.to_owned()),
        };
        writer.write_record(cells.values().map(text)).map_err(Problem::internal)?;
    }
    let mut response = Response::new(writer.into_inner().map_err(Problem::internal)?.into());
    response.headers_mut().insert(header::CONTENT_TYPE, HeaderValue::from_static("text/csv; charset=utf-8"));
    Ok(response)
}

/// A row of a metric as it stands in a CSV.
#[derive(Serialize)]
struct MetricLine<'r> {
    day: &'r str,
    label: &'r str,
    count: i64,
    amount: &'r Amount,
    currency: &'r str,
}

/// Which days, and how they are wanted.
struct Asked {
    from: String,
    to: String,
    csv: bool,
}

impl Asked {
    fn read(mut query: Query) -> Result<Asked, Problem> {
        let (from, to) = (day(&mut query, "from")?, day(&mut query, "to")?);
        let csv = match query.text("format") {
            None | Some("json") => false,
            Some("csv") => true,
            Some(_) => return Err(Problem::field("format", "`json` or `csv` is needed")),
        };
        query.finish()?;
        if from > to {
            return Err(Problem::field("to", "it is before `from`"));
        }
        Ok(Asked { from, to, csv })
    }
}

fn day(query: &mut Query, name: &'static str) -> Result<String, Problem> {
    let day = query.day(name)?.ok_or_else(|| Problem::field(name, A_DAY))?;
    Ok(day.to_string())
}

/// A stage of the funnel.
#[derive(Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub(crate) struct StageOut {
    currency: String,
    /// `started`, `payment` (it was tried), `confirmed`, `delivered`; then how checkouts were lost: `cancelled`,
    /// `expired`, `failed`.
    stage: String,
    /// Checkouts that came so far.
    checkouts: i64,
    /// Their totals.
    amount: Amount,
    /// Part of those that started; `null`: none did.
    of_started: Option<Amount>,
}

/// What a promotion did.
#[derive(Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub(crate) struct EffectOut {
    currency: String,
    /// Its code, or its title where it has none; `none`: orders without any.
    promotion: String,
    uses: i64,
    amount_off: Amount,
    /// Orders it was in.
    orders: i64,
    /// Their totals.
    revenue: Amount,
    /// Their average, rounded half up.
    average_order: Option<Amount>,
    /// Of these orders, first ones of their customers.
    new_customers: i64,
}

/// What customers of a kind did.
#[derive(Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub(crate) struct BehaviourOut {
    currency: String,
    /// `customers`, `basket` or `payment-method`.
    by: String,
    /// `new`, `returning`, `guest`; units in the order: `1`, `2-3`, `4-9`, `10+`; a method of payment.
    label: String,
    orders: i64,
    /// Their totals; by method of payment what was paid with it.
    revenue: Amount,
    /// Rounded half up.
    average_order: Option<Amount>,
    /// Part of all orders.
    of_orders: Option<Amount>,
}

/// A report.
#[derive(Serialize, ToSchema)]
pub(crate) struct ReportOut<T> {
    report: String,
    from: String,
    to: String,
    rows: Vec<T>,
}

impl Amount {
    /// An average, rounded half up to the minor unit.
    fn average(sum: i64, count: i64, currency: Currency) -> Option<Amount> {
        (count > 0).then(|| {
            let (sum, count) = (i128::from(sum), i128::from(count));
            let average = (sum * 2 + count).div_euclid(count * 2);
            Amount::of(i64::try_from(average).unwrap_or(i64::MAX), currency)
        })
    }
}

/// Sums over the days that were asked for.
struct Sums<'a> {
    app: &'a App,
    merchant: &'a str,
    days: (&'a str, &'a str),
}

impl Sums<'_> {
    /// By currency and label.
    async fn of(&self, metric: &str) -> Result<Vec<(Currency, Metric)>, Problem> {
        let rows = self.app.events.metric_sums(self.merchant, metric, self.days).await?;
        if i64::try_from(rows.len()).is_ok_and(|n| n >= METRIC_ROWS_MAX) {
            let why = format!("there are {METRIC_ROWS_MAX} rows or more; ask for fewer days");
            return Err(Problem::field("to", why));
        }
        let with = |row: Metric| Ok((Currency::from_code(&row.currency).map_err(Problem::internal)?, row));
        rows.into_iter().map(with).collect()
    }

    async fn funnel(&self) -> Result<Vec<StageOut>, Problem> {
        let stages = self.of("funnel").await?;
        let started = |currency: &str| {
            let first = |row: &&(Currency, Metric)| row.1.currency == currency && row.1.label == STAGES[0];
            stages.iter().find(first).map_or(0, |(_, row)| row.count)
        };
        let place =
            |row: &Metric| STAGES.iter().position(|stage| *stage == row.label).unwrap_or(STAGES.len());
        let mut all: Vec<&(Currency, Metric)> = stages.iter().collect();
        let lost = self.of("lost").await?;
        all.extend(&lost);
        all.sort_by_key(|(_, row)| (row.currency.clone(), place(row), row.label.clone()));
        let out = |(currency, row): &(Currency, Metric)| StageOut {
            currency: row.currency.clone(),
            stage: row.label.clone(),
            checkouts: row.count,
            amount: Amount::of(row.amount, *currency),
            of_started: Amount::ratio(row.count, started(&row.currency)),
        };
        Ok(all.into_iter().map(out).collect())
    }

    async fn promotions(&self) -> Result<Vec<EffectOut>, Problem> {
        let (uses, firsts) = (self.of("promotion").await?, self.of("promotion-customers").await?);
        let of = |rows: &[(Currency, Metric)], one: &Metric| {
            let same = |row: &&(Currency, Metric)| row.1.label == one.label && row.1.currency == one.currency;
            rows.iter().find(same).map_or((0, 0), |(_, row)| (row.count, row.amount))
        };
        let orders = self.of("promotion-orders").await?;
        let out = |(currency, row): (Currency, Metric)| {
            let (used, off) = of(&uses, &row);
            EffectOut {
                uses: used,
                amount_off: Amount::of(off, currency),
                orders: row.count,
                revenue: Amount::of(row.amount, currency),
                average_order: Amount::average(row.amount, row.count, currency),
                new_customers: of(&firsts, &row).0,
                currency: row.currency,
                promotion: row.label,
            }
        };
        Ok(orders.into_iter().map(out).collect())
    }

    async fn customers(&self) -> Result<Vec<BehaviourOut>, Problem> {
        let mut out = vec![];
        for by in ["customers", "basket", "payment-method"] {
            let rows = self.of(by).await?;
            for (currency, row) in &rows {
                let same = rows.iter().filter(|(_, other)| other.currency == row.currency);
                out.push(BehaviourOut {
                    currency: row.currency.clone(),
                    by: by.to_owned(),
                    label: row.label.clone(),
                    orders: row.count,
                    revenue: Amount::of(row.amount, *currency),
                    average_order: Amount::average(row.amount, row.count, *currency),
                    of_orders: Amount::ratio(row.count, same.map(|(_, other)| other.count).sum()),
                });
            }
        }
        Ok(out)
    }
}

/// Reads a report over days.
///
/// `funnel`: how far checkouts came that ended on these days, and how they were lost. `promotions`: orders with and
/// without each promotion. `customers`: who bought, how much at a time, and how they paid.
#[utoipa::path(get, path = "/api/v1/admin/analytics/reports/{report}", tag = "analytics", security(("bearer" = [])),
    params(("report" = String, Path, description = "`funnel`, `promotions` or `customers`"),
        ("from" = String, Query, description = "first day, `2024-08-01`"),
        ("to" = String, Query, description = "last day"),
        ("format" = Option<String>, Query, description = "`json` (default) or `csv`")),
    responses((status = 200, body = ReportOut<StageOut>)))]
pub(crate) async fn report(
    State(app): State<App>,
    caller: Caller,
    At(report): At<String>,
    query: Query,
) -> Result<Response, Problem> {
    caller.needs(Read(Area::Analytics))?;
    if !["funnel", "promotions", "customers"].contains(&report.as_str()) {
        return Err(Problem::not_found("report", &report));
    }
    let asked = Asked::read(query)?;
    let sums = Sums { app: &app, merchant: &caller.merchant, days: (&asked.from, &asked.to) };
    match report.as_str() {
        "funnel" => told(&report, &asked, sums.funnel().await?),
        "promotions" => told(&report, &asked, sums.promotions().await?),
        _ => told(&report, &asked, sums.customers().await?),
    }
}

fn told<T: Serialize>(report: &str, asked: &Asked, rows: Vec<T>) -> Result<Response, Problem> {
    if asked.csv {
        return as_csv(rows);
    }
    let (from, to) = (asked.from.clone(), asked.to.clone());
    json(StatusCode::OK, &ReportOut { report: report.to_owned(), from, to, rows })
}

/// What was counted.
#[derive(Serialize, ToSchema)]
pub(crate) struct CountedOut {
    /// Orders in the log.
    orders: u64,
}

/// Counts all metrics again from the log of events.
#[utoipa::path(post, path = "/api/v1/admin/analytics/rebuild", tag = "analytics", security(("bearer" = [])),
    responses((status = 200, body = CountedOut)))]
pub(crate) async fn rebuild(State(app): State<App>, caller: Caller) -> Result<Response, Problem> {
    caller.needs(Change(Area::Analytics))?;
    json(StatusCode::OK, &CountedOut { orders: app.events.count_again(&caller.merchant).await? })
}
