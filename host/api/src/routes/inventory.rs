//! Stock: what a shopper may know of it, and how a merchant changes it and reads its ledger.

use axum::body::Body;
use axum::extract::State;
use axum::http::{HeaderMap, HeaderValue, StatusCode, header};
use axum::response::Response;
use data_encoding::BASE64URL_NOPAD;
use serde::Serialize;
use till_commerce::StockChange;
use till_commerce::access::Area;
use till_commerce::access::Wanted::{Change, Read};
use till_store::tables::inventory::{Movement, MovementFilter, StockFilter, StockRow};
use utoipa::ToSchema;

use super::admin::{DoneOut, check_id, done, fits_path};
use super::catalog::flag;
use super::{json, last_of};
use crate::App;
use crate::auth::Caller;
use crate::problem::Problem;
use crate::read::{At, Fields, Given, Json, Query, idempotency_key};
use crate::wire::time;

/// Reasons that a person gives, and whether units come (1), go (-1) or either (0).
const REASONS: [(&str, i64); 6] =
    [("receipt", 1), ("return", 1), ("damage", -1), ("loss", -1), ("count", 0), ("correction", 0)];
/// Longest reference: an order number, an invoice, a delivery note.
const REFERENCE_CHARS_MAX: usize = 128;
/// Longest note: some sentences.
const NOTE_CHARS_MAX: usize = 500;
/// Movements of an export that are read at a time.
const EXPORT_PAGE: i64 = 500;

/// What can be bought of a SKU.
#[derive(Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub(crate) struct AvailabilityOut {
    sku: String,
    /// Stock is counted; without, as much as you like can be bought.
    stocked: bool,
    /// In all warehouses together.
    available: i64,
    warehouses: Vec<PlaceOut>,
}

/// What can be bought from a warehouse.
#[derive(Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub(crate) struct PlaceOut {
    warehouse_id: String,
    available: i64,
}

/// Reads what can be bought of a SKU now, by warehouse and in all.
#[utoipa::path(get, path = "/api/v1/inventory/{sku}", tag = "inventory", security(("bearer" = [])),
    params(("sku" = String, Path)), responses((status = 200, body = AvailabilityOut)))]
pub(crate) async fn availability(
    State(app): State<App>,
    caller: Caller,
    At(sku): At<String>,
) -> Result<Response, Problem> {
    let stock = app.shop.availability(&caller.merchant, &sku).await?;
    let (stocked, stock) = (stock.is_some(), stock.unwrap_or_default());
    let warehouses: Vec<PlaceOut> = stock
        .into_iter()
        .map(|place| PlaceOut { warehouse_id: place.warehouse, available: place.available.max(0) })
        .collect();
    let available = warehouses.iter().map(|place| place.available).fold(0, i64::saturating_add);
    json(StatusCode::OK, &AvailabilityOut { sku, stocked, available, warehouses })
}

/// Stock of a SKU in a warehouse.
#[derive(Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub(crate) struct StockRowOut {
    sku: String,
    warehouse_id: String,
    /// Units there.
    on_hand: i64,
    /// Units of those promised to checkouts and reservations.
    held: i64,
    /// Units that can be sold.
    available: i64,
    /// At so many units on hand or fewer it is low.
    low_at: i64,
    low: bool,
}

/// A page of stock.
#[derive(Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub(crate) struct StockOut {
    stock: Vec<StockRowOut>,
    #[serde(skip_serializing_if = "Option::is_none")]
    next_cursor: Option<String>,
}

fn shown(row: StockRow, low_at: i64) -> StockRowOut {
    let low_at = row.low_at.unwrap_or(low_at);
    StockRowOut {
        available: row.on_hand - row.held,
        low: row.on_hand <= low_at,
        sku: row.sku,
        warehouse_id: row.warehouse,
        on_hand: row.on_hand,
        held: row.held,
        low_at,
    }
}

fn cursor<T: Serialize>(place: &T) -> Result<String, Problem> {
    Ok(BASE64URL_NOPAD.encode(&serde_json::to_vec(place).map_err(Problem::internal)?))
}

fn place<T: serde::de::DeserializeOwned>(query: &mut Query) -> Result<Option<T>, Problem> {
    let Some(text) = query.text("cursor") else { return Ok(None) };
    let read = BASE64URL_NOPAD.decode(text.as_bytes()).ok();
    let read = read.and_then(|text| serde_json::from_slice(&text).ok());
    read.map(Some).ok_or_else(|| Problem::field("cursor", "`nextCursor` of a page is needed"))
}

/// Lists stock in the order of SKU and warehouse.
#[utoipa::path(get, path = "/api/v1/admin/inventory", tag = "inventory", security(("bearer" = [])),
    params(("sku" = Option<String>, Query), ("warehouse" = Option<String>, Query),
        ("low" = Option<bool>, Query, description = "`true`: only what is low"),
        ("cursor" = Option<String>, Query, description = "`nextCursor` of the page before"),
        ("limit" = Option<i64>, Query, description = "1 to 200; 50 by default")),
    responses((status = 200, body = StockOut)))]
pub(crate) async fn list(
    State(app): State<App>,
    caller: Caller,
    mut query: Query,
) -> Result<Response, Problem> {
    caller.needs(Read(Area::Inventory))?;
    let limit = query.limit(50, 200)?;
    let low_only = flag(&mut query, "low")?.unwrap_or(false);
    let text = |query: &mut Query, name| query.text(name).unwrap_or_default().to_owned();
    let (sku, warehouse) = (text(&mut query, "sku"), text(&mut query, "warehouse"));
    let after: Option<(String, String)> = place(&mut query)?;
    query.finish()?;
    let (after_sku, after_place) = after.unwrap_or_default();
    if after_sku.contains('\0') || after_place.contains('\0') {
        return Err(Problem::field("cursor", "`nextCursor` of a page is needed"));
    }
    let low_at = i64::from(app.shop.settings(&caller.merchant).await?.inventory.low_at);
    let filter = StockFilter { sku, warehouse, low: low_only.then_some(low_at) };
    let rows = app.shop.stock(&caller.merchant, &filter, (&after_sku, &after_place), limit).await?;
    let next = last_of(&rows, limit).map(|last| cursor(&(&last.sku, &last.warehouse))).transpose()?;
    let stock = rows.into_iter().map(|row| shown(row, low_at)).collect();
    json(StatusCode::OK, &StockOut { stock, next_cursor: next })
}

/// A change of stock.
#[derive(ToSchema)]
#[schema(rename_all = "camelCase")]
#[expect(dead_code, reason = "describes the body in OpenAPI; it is read field by field")]
pub(crate) struct AdjustIn {
    sku: String,
    warehouse: String,
    /// Units that come, or go (below zero). Either this or `onHand`.
    delta: Option<i64>,
    /// Units that are there, those that are promised included.
    on_hand: Option<i64>,
    /// With `delta`: `receipt` or `return` (units come), `damage` or `loss` (they go), `count` or `correction`.
    reason: Option<String>,
    /// Order, invoice, delivery note; at most 128 characters.
    reference: Option<String>,
    /// At most 500 characters.
    note: Option<String>,
}

/// A row of the ledger.
#[derive(Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub(crate) struct MovementOut {
    id: String,
    at: String,
    sku: String,
    warehouse_id: String,
    /// Units that came, or went (below zero).
    delta: i64,
    /// Units after it.
    on_hand: i64,
    /// `sale`, `set`, `transfer`, `receipt`, `return`, `damage`, `loss`, `count` or `correction`.
    reason: String,
    /// Order, reservation or transfer, or what was given.
    reference: String,
    note: String,
    who: String,
}

impl From<Movement> for MovementOut {
    fn from(row: Movement) -> MovementOut {
        MovementOut {
            id: row.id,
            at: time(row.at_us),
            sku: row.sku,
            warehouse_id: row.warehouse,
            delta: row.delta,
            on_hand: row.on_hand,
            reason: row.reason,
            reference: row.reference,
            note: row.note,
            who: row.who,
        }
    }
}

/// Movements that were made.
#[derive(Serialize, ToSchema)]
pub(crate) struct MadeOut {
    /// None where the units were so many already.
    movements: Vec<MovementOut>,
}

fn id_of(fields: &mut Fields<'_>, name: &'static str) -> String {
    let given = fields.text(name);
    let there = given.is_some();
    let id = fields.need(name, given);
    if there && !fits_path(&id) {
        fields.wrong(name, "1 to 128 visible bytes are needed");
    }
    id
}

/// A short text of people; control characters would come back in lists and files.
pub(super) fn words(fields: &mut Fields<'_>, name: &'static str, max: usize) -> String {
    let text = fields.text(name).unwrap_or_default();
    if text.chars().count() > max || text.chars().any(char::is_control) {
        fields.wrong(name, format!("at most {max} characters, none of them a control character"));
    }
    text
}

fn made(movements: Vec<Movement>) -> Result<Response, Problem> {
    json(StatusCode::OK, &MadeOut { movements: movements.into_iter().map(MovementOut::from).collect() })
}

/// Adds units, takes some, or sets how many there are. With an `Idempotency-Key` it is done once, and repeated within a
/// day it tells the same.
#[utoipa::path(post, path = "/api/v1/admin/inventory/adjustments", tag = "inventory", security(("bearer" = [])),
    params(("Idempotency-Key" = Option<String>, Header)),
    request_body = AdjustIn, responses((status = 200, body = MadeOut)))]
pub(crate) async fn adjust(
    State(app): State<App>,
    caller: Caller,
    headers: HeaderMap,
    body: Json,
) -> Result<Response, Problem> {
    caller.needs(Change(Area::Inventory))?;
    let key = idempotency_key(&headers)?;
    let mut fields = body.fields()?;
    let (sku, warehouse) = (id_of(&mut fields, "sku"), id_of(&mut fields, "warehouse"));
    let (delta, on_hand) = (fields.integer("delta"), fields.integer("onHand"));
    let reason = fields.text("reason");
    let reference = words(&mut fields, "reference", REFERENCE_CHARS_MAX);
    let note = words(&mut fields, "note", NOTE_CHARS_MAX);
    let change = match (delta, on_hand) {
        (Some(delta), None) => {
            let sign =
                REASONS.iter().find(|(name, _)| Some(*name) == reason.as_deref()).map(|(_, sign)| *sign);
            match sign {
                None => fields.wrong(
                    "reason",
                    format!("one of `{}` is needed", REASONS.map(|(name, _)| name).join("`, `")),
                ),
                Some(sign) if sign * delta.signum() < 0 => {
                    let way = if sign > 0 { "above" } else { "below" };
                    fields.wrong("delta", format!("with this reason it is {way} 0"));
                }
                Some(_) => {}
            }
            StockChange::By { sku, warehouse, delta }
        }
        (None, Some(on_hand)) => {
            if reason.as_deref().is_some_and(|reason| reason != "count") {
                fields.wrong("reason", "with `onHand` it is `count`, or nothing");
            }
            StockChange::To { sku, warehouse, on_hand }
        }
        _ => {
            fields.wrong("delta", "either `delta` or `onHand` is needed");
            StockChange::By { sku, warehouse, delta: 0 }
        }
    };
    fields.finish()?;
    let reason = reason.unwrap_or_else(|| "set".to_owned());
    let because = (reason.as_str(), reference.as_str(), note.as_str());
    made(app.shop.change_stock(&caller.merchant, &caller.sub, change, because, key.as_deref()).await?)
}

/// Units on their way from one warehouse to another.
#[derive(ToSchema)]
#[schema(rename_all = "camelCase")]
#[expect(dead_code, reason = "describes the body in OpenAPI; it is read field by field")]
pub(crate) struct TransferIn {
    sku: String,
    from: String,
    to: String,
    /// At least 1; units that are promised stay.
    quantity: i64,
    /// At most 128 characters; without, the transfer's own id.
    reference: Option<String>,
    /// At most 500 characters.
    note: Option<String>,
}

/// Brings units from one warehouse to another: two movements, both or none. Idempotent as adjustments are.
#[utoipa::path(post, path = "/api/v1/admin/inventory/transfers", tag = "inventory", security(("bearer" = [])),
    params(("Idempotency-Key" = Option<String>, Header)),
    request_body = TransferIn, responses((status = 200, body = MadeOut)))]
pub(crate) async fn transfer(
    State(app): State<App>,
    caller: Caller,
    headers: HeaderMap,
    body: Json,
) -> Result<Response, Problem> {
    caller.needs(Change(Area::Inventory))?;
    let key = idempotency_key(&headers)?;
    let mut fields = body.fields()?;
    let sku = id_of(&mut fields, "sku");
    let (from, to) = (id_of(&mut fields, "from"), id_of(&mut fields, "to"));
    let quantity = fields.integer("quantity");
    let quantity = fields.need("quantity", quantity);
    let reference = words(&mut fields, "reference", REFERENCE_CHARS_MAX);
    let note = words(&mut fields, "note", NOTE_CHARS_MAX);
    fields.finish()?;
    let change = StockChange::Transfer { sku, from, to, quantity };
    let because = ("transfer", reference.as_str(), note.as_str());
    made(app.shop.change_stock(&caller.merchant, &caller.sub, change, because, key.as_deref()).await?)
}

/// A page of the ledger.
#[derive(Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub(crate) struct MovementsOut {
    /// Newest first.
    movements: Vec<MovementOut>,
    #[serde(skip_serializing_if = "Option::is_none")]
    next_cursor: Option<String>,
}

/// Lists movements, newest first. As CSV all of them from the cursor on, without pages.
#[utoipa::path(get, path = "/api/v1/admin/inventory/movements", tag = "inventory", security(("bearer" = [])),
    params(("sku" = Option<String>, Query), ("warehouse" = Option<String>, Query),
        ("reference" = Option<String>, Query, description = "an order, a reservation, a transfer"),
        ("cursor" = Option<String>, Query, description = "`nextCursor` of the page before"),
        ("limit" = Option<i64>, Query, description = "1 to 200; 50 by default; not with `csv`"),
        ("format" = Option<String>, Query, description = "`json` (default) or `csv`")),
    responses((status = 200, content((MovementsOut = "application/json"), (String = "text/csv")))))]
pub(crate) async fn movements(
    State(app): State<App>,
    caller: Caller,
    mut query: Query,
) -> Result<Response, Problem> {
    caller.needs(Read(Area::Inventory))?;
    let limit = query.limit(50, 200)?;
    let csv = match query.text("format") {
        None | Some("json") => false,
        Some("csv") => true,
        Some(_) => return Err(Problem::field("format", "`json` or `csv` is needed")),
    };
    let before: Option<(i64, String)> = place(&mut query)?;
    let text = |query: &mut Query, name| query.text(name).unwrap_or_default().to_owned();
    let filter = MovementFilter {
        sku: text(&mut query, "sku"),
        warehouse: text(&mut query, "warehouse"),
        reference: text(&mut query, "reference"),
    };
    query.finish()?;
    let before = before.unwrap_or((i64::MAX, String::new()));
    if before.1.contains('\0') {
        return Err(Problem::field("cursor", "`nextCursor` of a page is needed"));
    }
    if csv {
        return Ok(ledger(app, caller.merchant, filter, before));
    }
    let rows = app.shop.movements(&caller.merchant, &filter, (before.0, &before.1), limit).await?;
    let next = last_of(&rows, limit).map(|last| cursor(&(last.at_us, &last.id))).transpose()?;
    let movements = rows.into_iter().map(MovementOut::from).collect();
    json(StatusCode::OK, &MovementsOut { movements, next_cursor: next })
}

/// The ledger as CSV, one page at a time, as fast as the client takes them.
fn ledger(app: App, merchant: String, filter: MovementFilter, start: (i64, String)) -> Response {
    let pages = futures::stream::try_unfold(Some((start, true)), move |turn| {
        let (app, merchant, filter) = (app.clone(), merchant.clone(), filter.clone());
        async move {
            let Some((before, first)) = turn else { return Ok::<_, std::io::Error>(None) };
            let page = app.shop.movements(&merchant, &filter, (before.0, &before.1), EXPORT_PAGE).await;
            let page = page.map_err(std::io::Error::other)?;
            let next = last_of(&page, EXPORT_PAGE).map(|last| ((last.at_us, last.id.clone()), false));
            let mut writer = csv::WriterBuilder::new().has_headers(false).from_writer(Vec::new());
            if first {
                writer.write_record(COLUMNS)?;
            }
            for row in page.into_iter().map(MovementOut::from) {
                let (delta, on_hand) = (row.delta.to_string(), row.on_hand.to_string());
                writer.write_record([
                    &row.id,
                    &row.at,
                    &row.sku,
                    &row.warehouse_id,
                    &delta,
                    &on_hand,
                    &row.reason,
                    &row.reference,
                    &row.note,
                    &row.who,
                ])?;
            }
            let text = writer.into_inner().map_err(|error| std::io::Error::other(error.to_string()))?;
            Ok(Some((text, next)))
        }
    });
    let mut response = Response::new(Body::from_stream(pages));
    let headers = response.headers_mut();
    headers.insert(header::CONTENT_TYPE, HeaderValue::from_static("text/csv; charset=utf-8"));
    headers.insert(header::CACHE_CONTROL, HeaderValue::from_static("no-store"));
    response
}

const COLUMNS: [&str; 10] =
    ["id", "at", "sku", "warehouseId", "delta", "onHand", "reason", "reference", "note", "who"];

/// A threshold.
#[derive(ToSchema)]
#[schema(rename_all = "camelCase")]
#[expect(dead_code, reason = "describes the body in OpenAPI; it is read field by field")]
pub(crate) struct ThresholdIn {
    /// Units on hand in a warehouse; 0 tells of the last unit alone; `null`: as the settings say.
    low_at: Option<i64>,
}

/// Sets at how many units a SKU is low, in each warehouse.
#[utoipa::path(put, path = "/api/v1/admin/inventory/thresholds/{sku}", tag = "inventory", security(("bearer" = [])),
    params(("sku" = String, Path)), request_body = ThresholdIn, responses((status = 200, body = DoneOut)))]
pub(crate) async fn put_threshold(
    State(app): State<App>,
    caller: Caller,
    At(sku): At<String>,
    body: Json,
) -> Result<Response, Problem> {
    caller.needs(Change(Area::Inventory))?;
    check_id(&sku)?;
    let mut fields = body.fields()?;
    let low_at = match fields.given_integer("lowAt") {
        Given::Null => None,
        Given::Value(units) => Some(units),
        Given::Nothing => Some(fields.need("lowAt", None)),
    };
    fields.finish()?;
    app.shop.put_threshold(&caller.merchant, &sku, low_at).await?;
    done(&sku)
}
