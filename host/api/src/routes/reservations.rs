//! Stock held for channels that have no checkout here: a till in a shop, a marketplace.

use axum::extract::State;
use axum::http::{HeaderMap, StatusCode, header};
use axum::response::Response;
use serde::Serialize;
use till_commerce::access::Area;
use till_commerce::access::Wanted::{Change, Read};
use till_commerce::{ItemWanted, Reservation};
use utoipa::ToSchema;

use super::inventory::words;
use super::{json, with};
use crate::App;
use crate::auth::Caller;
use crate::problem::Problem;
use crate::read::{At, Fields, Json, idempotency_key};
use crate::wire::time;

/// How long a reservation holds where nothing is said: as long as a checkout's payment may take.
const TTL_S: i64 = 900;
/// Longest reservation: a day. What is meant for longer is another stock, and is transferred.
const TTL_S_MAX: i64 = 86_400;
/// Most items: one transaction holds all of them.
const ITEMS_MAX: usize = 200;
/// Most units of an item.
const QUANTITY_MAX: i64 = 1_000_000;
/// Longest reference: an order number of the other channel.
const REFERENCE_CHARS_MAX: usize = 128;

/// What is wanted.
#[derive(ToSchema)]
#[schema(rename_all = "camelCase")]
#[expect(dead_code, reason = "describes the body in OpenAPI; it is read field by field")]
struct ItemIn {
    sku: String,
    /// 1 to 1,000,000.
    quantity: u32,
    /// Without, as `inventory.policy` of the settings says.
    warehouse: Option<String>,
}

/// Units to hold, all or none.
#[derive(ToSchema)]
#[schema(rename_all = "camelCase")]
#[expect(dead_code, reason = "describes the body in OpenAPI; it is read field by field")]
pub(crate) struct ReservationIn {
    /// 1 to 200.
    #[schema(inline)]
    items: Vec<ItemIn>,
    /// Seconds; 1 to 86,400, 900 without.
    ttl: Option<i64>,
    /// What the other channel calls it; at most 128 characters. The ledger has it.
    reference: Option<String>,
}

/// Units of a reservation.
#[derive(Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
struct ReservedOut {
    sku: String,
    warehouse_id: String,
    quantity: i64,
}

/// A reservation.
#[derive(Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub(crate) struct ReservationOut {
    reservation_id: String,
    /// `held`, `confirmed`, `released` or `expired`.
    status: String,
    reference: String,
    /// An item that comes from several warehouses is there for each.
    items: Vec<ReservedOut>,
    created_at: String,
    expires_at: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    ended_at: Option<String>,
}

impl From<Reservation> for ReservationOut {
    fn from(Reservation { row, items }: Reservation) -> ReservationOut {
        ReservationOut {
            reservation_id: row.id,
            status: row.state,
            reference: row.reference,
            items: items
                .into_iter()
                .map(|item| ReservedOut {
                    sku: item.sku,
                    warehouse_id: item.warehouse,
                    quantity: item.quantity,
                })
                .collect(),
            created_at: time(row.created_us),
            expires_at: time(row.expires_us),
            ended_at: row.ended_us.map(time),
        }
    }
}

fn item(fields: &mut Fields<'_>) -> ItemWanted {
    let (sku, quantity, warehouse) =
        (fields.text("sku"), fields.integer("quantity"), fields.text("warehouse"));
    let quantity = fields.need("quantity", quantity);
    let sku = fields.need("sku", sku);
    if !(1..=QUANTITY_MAX).contains(&quantity) {
        fields.wrong("quantity", format!("1 to {QUANTITY_MAX} units"));
    }
    ItemWanted { sku, quantity: u32::try_from(quantity).unwrap_or(0), warehouse }
}

/// Holds stock for another channel, all or none; what is short is told line by line. It is given back when its time runs
/// out. With an `Idempotency-Key` it is made once, and repeated within a day it tells how that one stands.
#[utoipa::path(post, path = "/api/v1/admin/inventory/reservations", tag = "inventory", security(("bearer" = [])),
    params(("Idempotency-Key" = Option<String>, Header)),
    request_body = ReservationIn, responses((status = 201, body = ReservationOut)))]
pub(crate) async fn reserve(
    State(app): State<App>,
    caller: Caller,
    headers: HeaderMap,
    body: Json,
) -> Result<Response, Problem> {
    caller.needs(Change(Area::Inventory))?;
    let key = idempotency_key(&headers)?;
    let mut fields = body.fields()?;
    let items = fields.list("items", item);
    if !(1..=ITEMS_MAX).contains(&items.len()) {
        fields.wrong("items", format!("1 to {ITEMS_MAX} items"));
    }
    let ttl_s = fields.integer("ttl").unwrap_or(TTL_S);
    if !(1..=TTL_S_MAX).contains(&ttl_s) {
        fields.wrong("ttl", format!("1 to {TTL_S_MAX} seconds"));
    }
    let reference = words(&mut fields, "reference", REFERENCE_CHARS_MAX);
    fields.finish()?;
    let asked = (ttl_s, reference.as_str());
    let made = app.shop.reserve(&caller.merchant, &caller.sub, items, asked, key.as_deref()).await?;
    let place = format!("/api/v1/admin/inventory/reservations/{}", made.row.id);
    let answer = json(StatusCode::CREATED, &ReservationOut::from(made))?;
    Ok(with(answer, header::LOCATION, &place))
}

/// Reads a reservation.
#[utoipa::path(get, path = "/api/v1/admin/inventory/reservations/{reservation}", tag = "inventory", security(("bearer" = [])),
    params(("reservation" = String, Path)), responses((status = 200, body = ReservationOut)))]
pub(crate) async fn read(
    State(app): State<App>,
    caller: Caller,
    At(id): At<String>,
) -> Result<Response, Problem> {
    caller.needs(Read(Area::Inventory))?;
    json(StatusCode::OK, &ReservationOut::from(app.shop.reservation(&caller.merchant, &id).await?))
}

/// Takes what a reservation holds: it is sold. Again is harmless.
#[utoipa::path(post, path = "/api/v1/admin/inventory/reservations/{reservation}/confirm", tag = "inventory",
    security(("bearer" = [])), params(("reservation" = String, Path)),
    responses((status = 200, body = ReservationOut)))]
pub(crate) async fn confirm(app: State<App>, caller: Caller, id: At<String>) -> Result<Response, Problem> {
    end(app, caller, id, "confirmed").await
}

/// Gives back what a reservation holds. Again is harmless.
#[utoipa::path(post, path = "/api/v1/admin/inventory/reservations/{reservation}/release", tag = "inventory",
    security(("bearer" = [])), params(("reservation" = String, Path)),
    responses((status = 200, body = ReservationOut)))]
pub(crate) async fn release(app: State<App>, caller: Caller, id: At<String>) -> Result<Response, Problem> {
    end(app, caller, id, "released").await
}

async fn end(
    State(app): State<App>,
    caller: Caller,
    At(id): At<String>,
    state: &'static str,
) -> Result<Response, Problem> {
    caller.needs(Change(Area::Inventory))?;
    let ended = app.shop.end_reservation(&caller.merchant, &caller.sub, &id, state).await?;
    json(StatusCode::OK, &ReservationOut::from(ended))
}
