//! The shopper's cart. Every answer carries its version as `ETag`; `If-Match` guards a change.

use axum::extract::State;
use axum::http::{HeaderMap, StatusCode};
use axum::response::Response;
use till_commerce::cart::{Cart, NewItem};
use utoipa::ToSchema;

use super::{json, tagged};
use crate::App;
use crate::auth::Caller;
use crate::problem::Problem;
use crate::read::{At, Fields, Json, idempotency_key, if_match};
use crate::wire::CartAnswer;

/// What is put into a cart.
#[derive(ToSchema)]
#[schema(rename_all = "camelCase")]
pub(crate) struct AddItem {
    /// Product.
    product_id: String,
    /// The product's SKU; may be left out.
    sku: Option<String>,
    /// Units, at least 1.
    quantity: i64,
    /// Where it should be taken from; without, the warehouse that has most.
    warehouse_id: Option<String>,
}

impl AddItem {
    pub(crate) fn read(fields: &mut Fields<'_>) -> AddItem {
        let (product, quantity) = (fields.text("productId"), fields.integer("quantity"));
        AddItem {
            product_id: fields.need("productId", product),
            sku: fields.text("sku"),
            quantity: fields.need("quantity", quantity),
            warehouse_id: fields.text("warehouseId"),
        }
    }
}

/// New units of a line.
#[derive(ToSchema)]
pub(crate) struct SetItem {
    /// Units, at least 1.
    quantity: i64,
}

impl SetItem {
    pub(crate) fn read(fields: &mut Fields<'_>) -> SetItem {
        let quantity = fields.integer("quantity");
        SetItem { quantity: fields.need("quantity", quantity) }
    }
}

fn answer(cart: &Cart) -> Result<Response, Problem> {
    Ok(tagged(json(StatusCode::OK, &CartAnswer::new(cart))?, cart.version))
}

/// Reads the cart with the prices of now.
#[utoipa::path(get, path = "/api/v1/cart", tag = "cart", security(("bearer" = [])),
    responses((status = 200, body = CartAnswer, headers(("ETag" = String)))))]
pub(crate) async fn read(State(app): State<App>, caller: Caller) -> Result<Response, Problem> {
    answer(&app.shop.cart(&caller.merchant, &caller.sub).await?)
}

/// Puts units of a product in; the same product from the same warehouse adds up.
#[utoipa::path(post, path = "/api/v1/cart/items", tag = "cart", security(("bearer" = [])),
    params(("Idempotency-Key" = Option<String>, Header,
            description = "repeated with the same body within 24 hours it is put in once and answers the cart of now; with another body it is refused"),
        ("If-Match" = Option<String>, Header, description = "`ETag` of the cart as last read")),
    request_body = AddItem, responses((status = 200, body = CartAnswer, headers(("ETag" = String)))))]
pub(crate) async fn add(
    State(app): State<App>,
    caller: Caller,
    headers: HeaderMap,
    body: Json,
) -> Result<Response, Problem> {
    let mut fields = body.fields()?;
    let AddItem { product_id, sku, quantity, warehouse_id } = AddItem::read(&mut fields);
    fields.finish()?;
    let item = NewItem { product: product_id, sku, quantity, warehouse: warehouse_id };
    let (expected, key) = (if_match(&headers)?, idempotency_key(&headers)?);
    answer(&app.shop.add_to_cart(&caller.merchant, &caller.sub, item, expected, key.as_deref()).await?)
}

/// Sets the units of a line.
#[utoipa::path(put, path = "/api/v1/cart/items/{itemId}", tag = "cart", security(("bearer" = [])),
    params(("itemId" = String, Path),
        ("If-Match" = Option<String>, Header, description = "`ETag` of the cart as last read")),
    request_body = SetItem, responses((status = 200, body = CartAnswer, headers(("ETag" = String)))))]
pub(crate) async fn set(
    State(app): State<App>,
    caller: Caller,
    At(item): At<String>,
    headers: HeaderMap,
    body: Json,
) -> Result<Response, Problem> {
    let mut fields = body.fields()?;
    let SetItem { quantity } = SetItem::read(&mut fields);
    fields.finish()?;
    let expected = if_match(&headers)?;
    answer(&app.shop.set_quantity(&caller.merchant, &caller.sub, &item, quantity, expected).await?)
}

/// Takes a line out.
#[utoipa::path(delete, path = "/api/v1/cart/items/{itemId}", tag = "cart", security(("bearer" = [])),
    params(("itemId" = String, Path),
        ("If-Match" = Option<String>, Header, description = "`ETag` of the cart as last read")),
    responses((status = 200, body = CartAnswer, headers(("ETag" = String)))))]
pub(crate) async fn remove(
    State(app): State<App>,
    caller: Caller,
    At(item): At<String>,
    headers: HeaderMap,
) -> Result<Response, Problem> {
    answer(&app.shop.remove_item(&caller.merchant, &caller.sub, &item, if_match(&headers)?).await?)
}
