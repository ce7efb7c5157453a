//! The shopper's cart. Every answer carries its version as `ETag`; `If-Match` guards a change.

use axum::extract::State;
use axum::http::{HeaderMap, StatusCode};
use axum::response::Response;
use till_commerce::cart::{Cart, NewItem};
use till_commerce::is_guest;
use till_model::money::Currency;
use utoipa::ToSchema;

use super::{json, tagged};
use crate::App;
use crate::auth::Caller;
use crate::problem::{Code, Problem};
use crate::read::{At, Fields, Json, idempotency_key, if_match};
use crate::wire::{CartAnswer, MergedOut, ValidationOut};

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
    /// ISO 4217. An empty cart is in it from then on; one with lines must be.
    #[schema(value_type = Option<String>)]
    currency: Option<Currency>,
}

impl AddItem {
    pub(crate) fn read(fields: &mut Fields<'_>) -> AddItem {
        let (product, quantity) = (fields.text("productId"), fields.integer("quantity"));
        AddItem {
            product_id: fields.need("productId", product),
            sku: fields.text("sku"),
            quantity: fields.need("quantity", quantity),
            warehouse_id: fields.text("warehouseId"),
            currency: fields.currency("currency"),
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

/// Whose cart comes in.
#[derive(ToSchema)]
#[schema(rename_all = "camelCase")]
pub(crate) struct MergeIn {
    /// The guest's token, still valid: who has it may dispose of the guest's cart.
    guest_token: String,
}

impl MergeIn {
    pub(crate) fn read(fields: &mut Fields<'_>) -> MergeIn {
        let token = fields.text("guestToken");
        MergeIn { guest_token: fields.need("guestToken", token) }
    }
}

fn answer(cart: &Cart) -> Result<Response, Problem> {
    Ok(tagged(json(StatusCode::OK, &CartAnswer::new(cart))?, cart.version))
}

/// Reads the cart. A price that was changed through another host may be five minutes old.
#[utoipa::path(get, path = "/api/v1/cart", tag = "cart", security(("bearer" = [])),
    responses((status = 200, body = CartAnswer, headers(("ETag" = String)))))]
pub(crate) async fn read(State(app): State<App>, caller: Caller) -> Result<Response, Problem> {
    let cart = app.shop.cart(&caller.merchant, &caller.sub).await?;
    answer(&cart)
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
    let AddItem { product_id, sku, quantity, warehouse_id, currency } = AddItem::read(&mut fields);
    fields.finish()?;
    let item = NewItem { product: product_id, sku, quantity, warehouse: warehouse_id, currency };
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

/// The currency of a cart.
#[derive(ToSchema)]
#[expect(dead_code, reason = "describes the body in OpenAPI; it is read field by field")]
pub(crate) struct CurrencyIn {
    /// ISO 4217: one of those that the shop sells in.
    currency: String,
}

/// Puts the cart into another currency, each line at its price there. Nothing is converted: a line without a price keeps
/// the cart as it is. Checkouts that were begun stay in theirs.
#[utoipa::path(put, path = "/api/v1/cart/currency", tag = "cart", security(("bearer" = [])),
    params(("If-Match" = Option<String>, Header, description = "`ETag` of the cart as last read")),
    request_body = CurrencyIn, responses((status = 200, body = CartAnswer, headers(("ETag" = String)))))]
pub(crate) async fn set_currency(
    State(app): State<App>,
    caller: Caller,
    headers: HeaderMap,
    body: Json,
) -> Result<Response, Problem> {
    let mut fields = body.fields()?;
    let currency = fields.needed_currency("currency");
    fields.finish()?;
    let Some(currency) = currency else { return Err(Problem::field("currency", "missing")) };
    answer(&app.shop.set_currency(&caller.merchant, &caller.sub, currency, if_match(&headers)?).await?)
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

/// Takes all lines out.
#[utoipa::path(delete, path = "/api/v1/cart", tag = "cart", security(("bearer" = [])),
    params(("If-Match" = Option<String>, Header, description = "`ETag` of the cart as last read")),
    responses((status = 200, body = CartAnswer, headers(("ETag" = String)))))]
pub(crate) async fn clear(
    State(app): State<App>,
    caller: Caller,
    headers: HeaderMap,
) -> Result<Response, Problem> {
    answer(&app.shop.clear_cart(&caller.merchant, &caller.sub, if_match(&headers)?).await?)
}

/// Looks through the cart. Prices and units that are no longer true are told and brought up to date.
#[utoipa::path(post, path = "/api/v1/cart/validate", tag = "cart", security(("bearer" = [])),
    params(("If-Match" = Option<String>, Header, description = "`ETag` of the cart as last read")),
    responses((status = 200, body = ValidationOut, headers(("ETag" = String)))))]
pub(crate) async fn validate(
    State(app): State<App>,
    caller: Caller,
    headers: HeaderMap,
) -> Result<Response, Problem> {
    let checked = app.shop.validate_cart(&caller.merchant, &caller.sub, if_match(&headers)?).await?;
    Ok(tagged(json(StatusCode::OK, &ValidationOut::new(&checked))?, checked.cart.version))
}

/// Moves a guest's cart into the caller's, once; the same product from the same warehouse adds up.
#[utoipa::path(post, path = "/api/v1/cart/merge", tag = "cart", security(("bearer" = [])),
    request_body = MergeIn, responses((status = 200, body = MergedOut, headers(("ETag" = String)))))]
pub(crate) async fn merge(State(app): State<App>, caller: Caller, body: Json) -> Result<Response, Problem> {
    if is_guest(&caller.sub) {
        let detail = "a guest's cart takes in no other; send the customer's own token";
        return Err(Problem::new(Code::Forbidden, detail));
    }
    let mut fields = body.fields()?;
    let MergeIn { guest_token } = MergeIn::read(&mut fields);
    fields.finish()?;
    let guest = app.auth.check(&guest_token, app.runner.clock().now_us());
    let guest = guest.map_err(|why| Problem::field("guestToken", why))?;
    if guest.merchant != caller.merchant || !is_guest(&guest.sub) {
        return Err(Problem::field(
            "guestToken",
            "the token of a guest of this merchant is needed: `sub` begins with `guest_`",
        ));
    }
    let checked = app.shop.merge_cart(&caller.merchant, &caller.sub, &guest.sub).await?;
    Ok(tagged(json(StatusCode::OK, &MergedOut::new(&checked))?, checked.cart.version))
}
