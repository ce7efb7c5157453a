//! Warehouses as their merchant describes them.

use axum::extract::State;
use axum::http::StatusCode;
use axum::response::Response;
use serde::Serialize;
use till_commerce::access::Area;
use till_commerce::access::Wanted::{Change, Read};
use till_commerce::inventory::near::Point;
use till_commerce::inventory::{PRIORITY, Warehouse};
use utoipa::ToSchema;

use super::admin::check_id;
use super::checkout::{AddressIn, address};
use super::inventory::words;
use super::{json, last_of, no_content};
use crate::App;
use crate::auth::Caller;
use crate::problem::Problem;
use crate::read::{At, Fields, Json, Query};
use crate::wire::AddressOut;

/// Longest name.
const NAME_CHARS_MAX: usize = 200;

/// A warehouse.
#[derive(ToSchema)]
#[schema(rename_all = "camelCase")]
#[expect(dead_code, reason = "describes the body in OpenAPI; it is read field by field")]
pub(crate) struct WarehouseIn {
    name: Option<String>,
    /// Where goods leave: told to components for shipping and taxes, and how near it is to a shopper.
    address: Option<AddressIn>,
    /// Degrees north, a decimal as text with at most six digits after the point: `"37.774900"`. With `longitude`.
    latitude: Option<String>,
    /// Degrees east.
    longitude: Option<String>,
    /// 0 to 1,000,000, 100 without; lower numbers go first where nothing else decides.
    priority: Option<u32>,
    /// Goods are sold from it; `true` without.
    active: Option<bool>,
}

/// A warehouse.
#[derive(Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub(crate) struct WarehouseOut {
    id: String,
    name: String,
    address: AddressOut,
    #[serde(skip_serializing_if = "Option::is_none")]
    latitude: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    longitude: Option<String>,
    priority: u32,
    active: bool,
}

impl From<&Warehouse> for WarehouseOut {
    fn from(one: &Warehouse) -> WarehouseOut {
        WarehouseOut {
            id: one.id.clone(),
            name: one.name.clone(),
            address: AddressOut::new(&one.address),
            latitude: one.at.map(|at| degrees(at.lat_e6)),
            longitude: one.at.map(|at| degrees(at.lon_e6)),
            priority: one.priority,
            active: one.active,
        }
    }
}

/// A page of warehouses.
#[derive(Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub(crate) struct WarehousesOut {
    warehouses: Vec<WarehouseOut>,
    #[serde(skip_serializing_if = "Option::is_none")]
    next_cursor: Option<String>,
}

/// Millionths of a degree as a decimal: `-122.419400`.
fn degrees(e6: i32) -> String {
    let sign = if e6 < 0 { "-" } else { "" };
    let e6 = e6.unsigned_abs();
    format!("{sign}{}.{:06}", e6 / 1_000_000, e6 % 1_000_000)
}

/// A decimal as millionths of a degree: at most three digits before the point and six after it.
fn millionths(text: &str) -> Option<i32> {
    let (negative, text) = text.strip_prefix('-').map_or((false, text), |rest| (true, rest));
    let (whole, part) = text.split_once('.').unwrap_or((text, "0"));
    let digits =
        |text: &str, max: usize| (1..=max).contains(&text.len()) && text.bytes().all(|b| b.is_ascii_digit());
    if !digits(whole, 3) || !digits(part, 6) {
        return None;
    }
    let e6: i32 = format!("{whole}{part:0<6}").parse().ok()?;
    Some(if negative { -e6 } else { e6 })
}

fn coordinate(fields: &mut Fields<'_>, name: &'static str) -> Option<i32> {
    let text = fields.text(name)?;
    let e6 = millionths(&text);
    if e6.is_none() {
        fields.wrong(name, "a decimal of degrees as text is needed, for example `\"-122.4194\"`");
    }
    e6
}

fn warehouse_in(fields: &mut Fields<'_>, id: &str) -> Warehouse {
    let name = words(fields, "name", NAME_CHARS_MAX);
    let address = fields.object("address", address).value().unwrap_or_default();
    let at = match (coordinate(fields, "latitude"), coordinate(fields, "longitude")) {
        (Some(lat_e6), Some(lon_e6)) => Some(Point { lat_e6, lon_e6 }),
        (None, None) => None,
        (lat, _) => {
            let missing = if lat.is_none() { "latitude" } else { "longitude" };
            fields.need::<i32>(missing, None);
            None
        }
    };
    let priority = fields.integer("priority").unwrap_or_else(|| i64::from(PRIORITY));
    let priority = u32::try_from(priority).ok().filter(|n| *n <= 1_000_000).unwrap_or_else(|| {
        fields.wrong("priority", "0 to 1000000");
        PRIORITY
    });
    let active = fields.flag("active").unwrap_or(true);
    Warehouse { id: id.to_owned(), name, address, at, priority, active }
}

/// Lists warehouses in the order of ids.
#[utoipa::path(get, path = "/api/v1/admin/inventory/warehouses", tag = "inventory", security(("bearer" = [])),
    params(("cursor" = Option<String>, Query, description = "`nextCursor` of the page before"),
        ("limit" = Option<i64>, Query, description = "1 to 200; 50 by default")),
    responses((status = 200, body = WarehousesOut)))]
pub(crate) async fn list(
    State(app): State<App>,
    caller: Caller,
    mut query: Query,
) -> Result<Response, Problem> {
    caller.needs(Read(Area::Inventory))?;
    let limit = query.limit(50, 200)?;
    let after = query.text("cursor").unwrap_or_default().to_owned();
    query.finish()?;
    let all = app.shop.warehouses(&caller.merchant, &after, limit).await?;
    let next_cursor = last_of(&all, limit).map(|last| last.id.clone());
    json(
        StatusCode::OK,
        &WarehousesOut { warehouses: all.iter().map(WarehouseOut::from).collect(), next_cursor },
    )
}

/// Reads a warehouse.
#[utoipa::path(get, path = "/api/v1/admin/inventory/warehouses/{warehouse}", tag = "inventory", security(("bearer" = [])),
    params(("warehouse" = String, Path)), responses((status = 200, body = WarehouseOut)))]
pub(crate) async fn read(
    State(app): State<App>,
    caller: Caller,
    At(id): At<String>,
) -> Result<Response, Problem> {
    caller.needs(Read(Area::Inventory))?;
    json(StatusCode::OK, &WarehouseOut::from(&app.shop.warehouse(&caller.merchant, &id).await?))
}

/// Makes or replaces a warehouse; what is left out has its default.
#[utoipa::path(put, path = "/api/v1/admin/inventory/warehouses/{warehouse}", tag = "inventory", security(("bearer" = [])),
    params(("warehouse" = String, Path)), request_body = WarehouseIn, responses((status = 200, body = WarehouseOut)))]
pub(crate) async fn put(
    State(app): State<App>,
    caller: Caller,
    At(id): At<String>,
    body: Json,
) -> Result<Response, Problem> {
    caller.needs(Change(Area::Inventory))?;
    check_id(&id)?;
    let mut fields = body.fields()?;
    let warehouse = warehouse_in(&mut fields, &id);
    fields.finish()?;
    app.shop.put_warehouse(&caller.merchant, &warehouse).await?;
    json(StatusCode::OK, &WarehouseOut::from(&warehouse))
}

/// Takes a warehouse away that has no units.
#[utoipa::path(delete, path = "/api/v1/admin/inventory/warehouses/{warehouse}", tag = "inventory", security(("bearer" = [])),
    params(("warehouse" = String, Path)), responses((status = 204)))]
pub(crate) async fn delete(
    State(app): State<App>,
    caller: Caller,
    At(id): At<String>,
) -> Result<Response, Problem> {
    caller.needs(Change(Area::Inventory))?;
    app.shop.delete_warehouse(&caller.merchant, &id).await?;
    Ok(no_content())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn degrees_are_decimals_and_stay_exact() {
        for (text, e6) in
            [("-122.4194", -122_419_400), ("0", 0), ("37.774900", 37_774_900), ("-0.000001", -1)]
        {
            assert_eq!(millionths(text), Some(e6), "{text}");
            assert_eq!(millionths(&degrees(e6)), Some(e6));
        }
        for text in ["", "-", "1.", ".5", "1.2345678", "1234", "1e2", "+1", "١", "1.2.3"] {
            assert_eq!(millionths(text), None, "{text}");
        }
    }
}
