//! The catalog, for shoppers.

use axum::extract::State;
use axum::http::StatusCode;
use axum::response::Response;

use super::json;
use crate::App;
use crate::auth::Caller;
use crate::problem::Problem;
use crate::read::{At, Query};
use crate::wire::{ProductOut, ProductsOut};

/// Lists products in the order of their ids.
#[utoipa::path(get, path = "/api/v1/products", tag = "catalog", security(("bearer" = [])),
    params(("limit" = Option<i64>, Query, description = "1 to 200; 50 by default"),
        ("cursor" = Option<String>, Query, description = "`nextCursor` of the page before")),
    responses((status = 200, body = ProductsOut)))]
pub(crate) async fn list(
    State(app): State<App>,
    caller: Caller,
    mut query: Query,
) -> Result<Response, Problem> {
    let limit = query.limit(50, 200)?;
    let after = query.text("cursor").unwrap_or_default().to_owned();
    query.finish()?;
    let products = app.shop.products(&caller.merchant, &after, limit).await?;
    json(StatusCode::OK, &ProductsOut::new(&products, limit))
}

/// Reads a product with its price and stock.
#[utoipa::path(get, path = "/api/v1/products/{id}", tag = "catalog", security(("bearer" = [])),
    params(("id" = String, Path)), responses((status = 200, body = ProductOut)))]
pub(crate) async fn read(
    State(app): State<App>,
    caller: Caller,
    At(id): At<String>,
) -> Result<Response, Problem> {
    let (product, stock) = app.shop.product(&caller.merchant, &id).await?;
    json(StatusCode::OK, &ProductOut::new(&product, &stock))
}
