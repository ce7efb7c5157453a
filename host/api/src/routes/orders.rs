//! The shopper's orders.

use axum::extract::State;
use axum::http::StatusCode;
use axum::response::Response;

use super::json;
use crate::App;
use crate::auth::Caller;
use crate::problem::Problem;
use crate::read::{At, Query};
use crate::wire::{OrderOut, OrdersOut};

/// Lists orders, newest first.
#[utoipa::path(get, path = "/api/v1/orders", tag = "orders", security(("bearer" = [])),
    params(("limit" = Option<i64>, Query, description = "1 to 100; 20 by default")),
    responses((status = 200, body = OrdersOut)))]
pub(crate) async fn list(
    State(app): State<App>,
    caller: Caller,
    mut query: Query,
) -> Result<Response, Problem> {
    let limit = query.limit(20, 100)?;
    query.finish()?;
    let orders = app.shop.orders(&caller.merchant, &caller.sub, limit).await?;
    json(StatusCode::OK, &OrdersOut::new(&orders))
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
    json(StatusCode::OK, &OrderOut::with_timeline(&order))
}
