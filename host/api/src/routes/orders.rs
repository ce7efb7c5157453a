//! The shopper's orders.

use axum::extract::State;
use axum::http::StatusCode;
use axum::response::Response;
use till_store::tables::purchase::OrderFilter;

use super::{json, last_of};
use crate::App;
use crate::auth::Caller;
use crate::problem::Problem;
use crate::read::{At, Query};
use crate::wire::{OrderOut, OrdersOut};

/// Lists the shopper's orders, newest first.
#[utoipa::path(get, path = "/api/v1/orders", tag = "orders", security(("bearer" = [])),
    params(("status" = Option<String>, Query, description = "`CONFIRMED`, `SHIPPED`, …"),
        ("from" = Option<String>, Query, description = "made on that day (UTC, `2024-08-10`) or later"),
        ("to" = Option<String>, Query, description = "made on that day (UTC) or before"),
        ("limit" = Option<i64>, Query, description = "1 to 100; 20 by default"),
        ("cursor" = Option<String>, Query, description = "`nextCursor` of the page before")),
    responses((status = 200, body = OrdersOut)))]
pub(crate) async fn list(
    State(app): State<App>,
    caller: Caller,
    mut query: Query,
) -> Result<Response, Problem> {
    let limit = query.limit(20, 100)?;
    let before = query.before()?;
    let filter = filter(&mut query)?;
    query.finish()?;
    let (at, id) = (before.0, before.1.as_str());
    let orders = app.shop.orders_before(&caller.merchant, &caller.sub, &filter, (at, id), limit).await?;
    let next = last_of(&orders, limit).map(|last| format!("{}.{}", last.created_us, last.id));
    let words = app.events.status_words(&caller.merchant, &caller.sub).await?;
    json(StatusCode::OK, &OrdersOut::new(&orders, &words, next))
}

fn filter(query: &mut Query) -> Result<OrderFilter, Problem> {
    let status = query.text("status").unwrap_or_default().to_owned();
    if status.len() > 64 || !status.bytes().all(|byte| byte.is_ascii_uppercase() || byte == b'_') {
        return Err(Problem::field(
            "status",
            "a status as orders tell it is needed, for example `CONFIRMED`",
        ));
    }
    let day_us = |query: &mut Query, name, days_on: i64| {
        let Some(day) = query.day(name)? else { return Ok(None) };
        let day = day.checked_add(jiff::Span::new().days(days_on)).ok();
        let begins = day.and_then(|day| day.to_zoned(jiff::tz::TimeZone::UTC).ok());
        let begins = begins.map(|begins| begins.timestamp().as_microsecond());
        begins.map(Some).ok_or_else(|| Problem::field(name, "a day that a calendar has is needed"))
    };
    let all = OrderFilter::default();
    let from_us = day_us(query, "from", 0)?.unwrap_or(all.from_us);
    // The day itself is in.
    let to_us = day_us(query, "to", 1)?.unwrap_or(all.to_us);
    Ok(OrderFilter { status, from_us, to_us })
}

/// Reads an order by its id or number, with its timeline.
#[utoipa::path(get, path = "/api/v1/orders/{id}", tag = "orders", security(("bearer" = [])),
    params(("id" = String, Path, description = "id or number")),
    responses((status = 200, body = OrderOut)))]
pub(crate) async fn read(
    State(app): State<App>,
    caller: Caller,
    At(id): At<String>,
) -> Result<Response, Problem> {
    let order = app.shop.order(&caller.merchant, &caller.sub, &id).await?;
    let words = app.events.status_words(&caller.merchant, &caller.sub).await?;
    json(StatusCode::OK, &OrderOut::with_timeline(&order, &words))
}
