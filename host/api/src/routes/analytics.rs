//! What was sold, by day. Needs the scope `admin`.

use axum::extract::State;
use axum::http::{HeaderValue, StatusCode, header};
use axum::response::Response;
use serde::Serialize;
use till_commerce::access::Area;
use till_commerce::access::Wanted::{Change, Read};
use till_commerce::events::{METRIC_ROWS_MAX, METRICS, Metric};
use till_model::money::Currency;
use utoipa::ToSchema;

use super::json;
use crate::App;
use crate::auth::Caller;
use crate::problem::Problem;
use crate::read::{At, Query};
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
    params(("metric" = String, Path, description = "`orders`, `discounts`, `shipping`, `tax`, `product` or `promotion`"),
        ("from" = String, Query, description = "first day, `2024-08-01`"),
        ("to" = String, Query, description = "last day"),
        ("format" = Option<String>, Query, description = "`json` (default) or `csv`")),
    responses((status = 200, body = MetricsOut)))]
pub(crate) async fn metric(
    State(app): State<App>,
    caller: Caller,
    At(metric): At<String>,
    mut query: Query,
) -> Result<Response, Problem> {
    caller.needs(Read(Area::Analytics))?;
    if !METRICS.contains(&metric.as_str()) {
        return Err(Problem::not_found("metric", &metric));
    }
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
    let rows = app.events.metric(&caller.merchant, &metric, (&from, &to)).await?;
    if i64::try_from(rows.len()).is_ok_and(|n| n >= METRIC_ROWS_MAX) {
        let why = format!("there are {METRIC_ROWS_MAX} rows or more; ask for fewer days");
        return Err(Problem::field("to", why));
    }
    let rows = rows.into_iter().map(shown).collect::<Result<Vec<_>, Problem>>()?;
    if csv {
        return as_csv(&rows);
    }
    json(StatusCode::OK, &MetricsOut { metric, from, to, rows })
}

fn shown(row: Metric) -> Result<MetricOut, Problem> {
    let currency = Currency::from_code(&row.currency).map_err(Problem::internal)?;
    let Metric { day, label, count, amount, .. } = row;
    Ok(MetricOut { day, label, count, amount: Amount::of(amount, currency), currency: row.currency })
}

fn as_csv(rows: &[MetricOut]) -> Result<Response, Problem> {
    let mut text = "day,label,count,amount,currency\n".to_owned();
    for row in rows {
        let amount = serde_json::to_string(&row.amount).map_err(Problem::internal)?;
        let label = row.label.replace('"', "\"\"");
        text.push_str(&format!("{},\"{label}\",{},{amount},{}\n", row.day, row.count, row.currency));
    }
    let mut response = Response::new(text.into());
    response.headers_mut().insert(header::CONTENT_TYPE, HeaderValue::from_static("text/csv; charset=utf-8"));
    Ok(response)
}

fn day(query: &mut Query, name: &'static str) -> Result<String, Problem> {
    let text = query.text(name).unwrap_or_default();
    let day: Result<jiff::civil::Date, _> = text.parse();
    day.map(|day| day.to_string()).map_err(|_| Problem::field(name, "a day is needed: `2024-08-01`"))
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
