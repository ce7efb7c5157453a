//! Parcels: shoppers watch them, merchants and carriers move them. And what shoppers say afterwards.

use axum::extract::State;
use axum::http::{HeaderMap, HeaderValue, StatusCode, header};
use axum::response::Response;
use till_commerce::access::Area;
use till_commerce::access::Wanted::{Change, Read};
use till_commerce::fulfilment::{Booking, Partner, Scan, ScanKind, millionths};
use till_commerce::{FEEDBACK_CHARS_MAX, Feedback, ParcelCommand, ProductFeedback};
use utoipa::ToSchema;
use uuid::Uuid;

use super::{json, last_of, webhooks};
use crate::App;
use crate::auth::Caller;
use crate::problem::Problem;
use crate::read::{At, BODY_BYTES_MAX, Fields, Given, Json, Query, Raw, idempotency_key};
use crate::wire::{FeedbackOut, ReviewsOut, SaidOut, ShipmentOut, ShipmentsOut, TrackingOut};

/// Bytes of a name, a number, a place.
const WORD_BYTES_MAX: usize = 200;
/// Bytes of an address of the web.
const URL_BYTES_MAX: usize = 2_000;

/// Where an order is, and each of its parcels.
#[utoipa::path(get, path = "/api/v1/orders/{id}/tracking", tag = "orders", security(("bearer" = [])),
    params(("id" = String, Path, description = "id or number")),
    responses((status = 200, body = TrackingOut)))]
pub(crate) async fn tracking(
    State(app): State<App>,
    caller: Caller,
    At(id): At<String>,
) -> Result<Response, Problem> {
    let tracking = app.shop.tracking(&caller.merchant, &caller.sub, &id).await?;
    let words = app.events.status_words(&caller.merchant, &caller.sub).await?;
    json(StatusCode::OK, &TrackingOut::new(&tracking, &words))
}

/// What a shopper says of an order.
#[derive(ToSchema)]
#[schema(rename_all = "camelCase")]
#[expect(dead_code, reason = "describes the body in OpenAPI; it is read field by field")]
pub(crate) struct FeedbackIn {
    /// 1 to 5.
    rating: i64,
    /// Of whoever brought it, 1 to 5.
    delivery_rating: Option<i64>,
    /// At most 2,000 characters.
    comment: Option<String>,
    /// Of what was ordered.
    products: Option<Vec<ProductFeedbackIn>>,
}

/// What a shopper says of a product.
#[derive(ToSchema)]
#[expect(dead_code, reason = "describes the body in OpenAPI; it is read field by field")]
pub(crate) struct ProductFeedbackIn {
    /// As it was ordered.
    sku: String,
    /// 1 to 5.
    rating: i64,
    /// At most 2,000 characters.
    comment: Option<String>,
}

fn rating(fields: &mut Fields<'_>, name: &'static str) -> Option<i64> {
    let rating = fields.integer(name);
    if rating.is_some_and(|rating| !(1..=5).contains(&rating)) {
        fields.wrong(name, "1 to 5 is needed");
    }
    rating
}

fn comment(fields: &mut Fields<'_>) -> String {
    let text = fields.text("comment").unwrap_or_default();
    if text.chars().count() > FEEDBACK_CHARS_MAX {
        fields.wrong("comment", format!("at most {FEEDBACK_CHARS_MAX} characters"));
    }
    text
}

/// Says what the shopper thinks of an order that was delivered. A later word replaces the one before.
#[utoipa::path(put, path = "/api/v1/orders/{id}/feedback", tag = "orders", security(("bearer" = [])),
    params(("id" = String, Path, description = "id or number")), request_body = FeedbackIn,
    responses((status = 200, body = SaidOut)))]
pub(crate) async fn put_feedback(
    State(app): State<App>,
    caller: Caller,
    At(id): At<String>,
    body: Json,
) -> Result<Response, Problem> {
    let mut fields = body.fields()?;
    let overall = rating(&mut fields, "rating");
    let feedback = Feedback {
        rating: fields.need("rating", overall),
        delivery_rating: rating(&mut fields, "deliveryRating"),
        comment: comment(&mut fields),
        products: fields.list("products", |product| {
            let (sku, stars) = (product.text("sku"), rating(product, "rating"));
            ProductFeedback {
                sku: product.need("sku", sku),
                rating: product.need("rating", stars),
                comment: comment(product),
            }
        }),
    };
    fields.finish()?;
    app.shop.put_feedback(&caller.merchant, &caller.sub, &id, &feedback).await?;
    feedback_of(&app, &caller, &id).await
}

/// What the shopper said of an order.
#[utoipa::path(get, path = "/api/v1/orders/{id}/feedback", tag = "orders", security(("bearer" = [])),
    params(("id" = String, Path, description = "id or number")),
    responses((status = 200, body = SaidOut)))]
pub(crate) async fn feedback(
    State(app): State<App>,
    caller: Caller,
    At(id): At<String>,
) -> Result<Response, Problem> {
    feedback_of(&app, &caller, &id).await
}

async fn feedback_of(app: &App, caller: &Caller, id: &str) -> Result<Response, Problem> {
    let said = app.shop.feedback(&caller.merchant, &caller.sub, id).await?;
    json(
        StatusCode::OK,
        &SaidOut { feedback: said.map(|(feedback, at_us)| FeedbackOut::new(feedback, at_us)) },
    )
}

/// Lists what shoppers who bought a product say of it, newest first.
#[utoipa::path(get, path = "/api/v1/catalog/products/{id}/reviews", tag = "catalog", security(("bearer" = [])),
    params(("id" = String, Path), ("cursor" = Option<String>, Query, description = "`nextCursor` of the page before"),
        ("limit" = Option<i64>, Query, description = "1 to 100; 20 by default")),
    responses((status = 200, body = ReviewsOut)))]
pub(crate) async fn reviews(
    State(app): State<App>,
    caller: Caller,
    At(id): At<String>,
    mut query: Query,
) -> Result<Response, Problem> {
    let limit = query.limit(20, 100)?;
    let before = query.before()?;
    query.finish()?;
    let before = (before.0, before.1.as_str());
    let (reviews, sums) = app.shop.reviews(&caller.merchant, &id, before, limit).await?;
    let next = last_of(&reviews, limit).map(|last| format!("{}.{}", last.at_us, last.order));
    json(StatusCode::OK, &ReviewsOut::new(reviews, sums, next))
}

/// Lists the merchant's parcels, newest first.
#[utoipa::path(get, path = "/api/v1/admin/shipments", tag = "fulfilment", security(("bearer" = [])),
    params(("status" = Option<String>, Query, description = "only those: `PENDING`, `READY`, `SHIPPED`, …"),
        ("orderId" = Option<String>, Query, description = "only those of this order; not with others"),
        ("cursor" = Option<String>, Query, description = "`nextCursor` of the page before"),
        ("limit" = Option<i64>, Query, description = "1 to 100; 20 by default")),
    responses((status = 200, body = ShipmentsOut)))]
pub(crate) async fn list(
    State(app): State<App>,
    caller: Caller,
    mut query: Query,
) -> Result<Response, Problem> {
    caller.needs(Read(Area::Orders))?;
    let limit = query.limit(20, 100)?;
    let before = query.before()?;
    let status = query.text("status").map(str::to_owned);
    let order = query.text("orderId").map(str::to_owned);
    query.finish()?;
    let merchant = caller.merchant.as_str();
    let (found, next_cursor) = match order {
        Some(order) => {
            let order = app.shop.any_order(merchant, &order).await?;
            (app.shop.shipments_of(merchant, &order.id).await?, None)
        }
        None => {
            let before = (before.0, before.1.as_str());
            let found = app.shop.shipments(merchant, status.as_deref(), before, limit).await?;
            let next = last_of(&found, limit).map(|last| format!("{}.{}", last.created_us, last.id));
            (found, next)
        }
    };
    let shipments = found.iter().map(ShipmentOut::new).collect();
    json(StatusCode::OK, &ShipmentsOut { shipments, next_cursor })
}

/// Reads a parcel.
#[utoipa::path(get, path = "/api/v1/admin/shipments/{id}", tag = "fulfilment", security(("bearer" = [])),
    params(("id" = String, Path)), responses((status = 200, body = ShipmentOut)))]
pub(crate) async fn read(
    State(app): State<App>,
    caller: Caller,
    At(id): At<String>,
) -> Result<Response, Problem> {
    caller.needs(Read(Area::Orders))?;
    json(StatusCode::OK, &ShipmentOut::new(&app.shop.shipment(&caller.merchant, &id).await?))
}

/// What happened to a parcel, in the merchant's words.
#[derive(ToSchema)]
#[schema(rename_all = "camelCase")]
#[expect(dead_code, reason = "describes the body in OpenAPI; it is read field by field")]
pub(crate) struct ScanIn {
    /// `picked_up`, `in_transit`, `out_for_delivery`, `delivery_failed`, `delivered`, `returned`, `location`, `other`.
    r#type: String,
    /// For the shopper.
    note: Option<String>,
    /// RFC 3339; now without.
    at: Option<String>,
    place: Option<String>,
    /// Decimal degrees as text: `37.7749`.
    latitude: Option<String>,
    longitude: Option<String>,
    /// RFC 3339.
    estimated_delivery_time: Option<String>,
    delivery_partner: Option<PartnerIn>,
    /// With `trackingNumber`: who has the parcel, where no carrier's component booked it.
    carrier: Option<String>,
    tracking_number: Option<String>,
    tracking_url: Option<String>,
}

/// Who brings it.
#[derive(ToSchema)]
#[expect(dead_code, reason = "describes the body in OpenAPI; it is read field by field")]
pub(crate) struct PartnerIn {
    name: String,
    phone: Option<String>,
    /// `4.8` of 5, at most one digit after the point.
    rating: Option<String>,
}

fn word(fields: &mut Fields<'_>, name: &'static str, max: usize) -> Option<String> {
    let text = fields.text(name)?;
    if text.trim().is_empty() || text.len() > max || text.chars().any(char::is_control) {
        fields.wrong(name, format!("1 to {max} visible bytes are needed"));
    }
    Some(text)
}

fn degrees(fields: &mut Fields<'_>, name: &'static str, limit: u32) -> Option<i32> {
    let text = fields.text(name)?;
    let read = millionths(&text, limit);
    if read.is_none() {
        fields.wrong(
            name,
            format!("decimal degrees as text are needed, -{limit} to {limit}, at most 6 digits: `37.7749`"),
        );
    }
    read
}

fn partner(fields: &mut Fields<'_>) -> Partner {
    let name = word(fields, "name", WORD_BYTES_MAX);
    let rating = fields.text("rating").and_then(|text| {
        let tenths = text.split_once('.').map_or_else(
            || text.parse::<u32>().ok().map(|n| n * 10),
            |(whole, part)| (part.len() == 1).then(|| format!("{whole}{part}").parse().ok()).flatten(),
        );
        if tenths.is_none_or(|tenths| tenths > 50) {
            fields.wrong("rating", "`0` to `5.0` with at most one digit after the point");
        }
        tenths
    });
    Partner {
        name: fields.need("name", name),
        phone: word(fields, "phone", WORD_BYTES_MAX).unwrap_or_default(),
        rating_tenths: rating,
    }
}

fn scan(fields: &mut Fields<'_>, id: &str, now_us: i64) -> Scan {
    let kind = fields.typed("type").map(Some);
    let kind = fields.need("type", kind).unwrap_or(ScanKind::Other);
    let (north, east) = (degrees(fields, "latitude", 90), degrees(fields, "longitude", 180));
    if north.is_some() != east.is_some() {
        fields.wrong("latitude", "latitude and longitude come together");
    }
    let at_us = fields.time("at").unwrap_or(now_us);
    if at_us > now_us {
        fields.wrong("at", "this is in the future");
    }
    let carrier = word(fields, "carrier", WORD_BYTES_MAX);
    let number = word(fields, "trackingNumber", WORD_BYTES_MAX);
    let url = word(fields, "trackingUrl", URL_BYTES_MAX);
    if url.as_ref().is_some_and(|url| !url.starts_with("https://")) {
        fields.wrong("trackingUrl", "an address that begins with https:// is needed");
    }
    if number.is_none() && (carrier.is_some() || url.is_some()) {
        fields.wrong("trackingNumber", "is needed with a carrier or an address");
    }
    Scan {
        id: id.to_owned(),
        kind,
        at_us,
        text: word(fields, "note", FEEDBACK_CHARS_MAX).unwrap_or_default(),
        place: word(fields, "place", WORD_BYTES_MAX),
        position: north.zip(east),
        eta_us: fields.time("estimatedDeliveryTime"),
        partner: match fields.object("deliveryPartner", partner) {
            Given::Value(partner) => Some(partner),
            Given::Null | Given::Nothing => None,
        },
        booking: number.map(|tracking_number| Booking {
            carrier: carrier.unwrap_or_default(),
            tracking_number,
            tracking_url: url,
            ..Booking::default()
        }),
    }
}

/// Tells what happened to a parcel, where no carrier does. Told twice under one `Idempotency-Key` it has effect once.
#[utoipa::path(post, path = "/api/v1/admin/shipments/{id}/scans", tag = "fulfilment", security(("bearer" = [])),
    params(("id" = String, Path), ("Idempotency-Key" = Option<String>, Header)), request_body = ScanIn,
    responses((status = 200, body = ShipmentOut)))]
pub(crate) async fn tell(
    State(app): State<App>,
    caller: Caller,
    At(id): At<String>,
    headers: HeaderMap,
    body: Json,
) -> Result<Response, Problem> {
    caller.needs(Change(Area::Orders))?;
    let key = key(&headers)?;
    let mut fields = body.fields()?;
    let scan = scan(&mut fields, &format!("merchant:{key}"), app.runner.clock().now_us());
    fields.finish()?;
    command(&app, &caller, &id, &key, ParcelCommand::Told(Box::new(scan))).await
}

/// Asks the carrier once more to book a parcel that it has refused.
#[utoipa::path(post, path = "/api/v1/admin/shipments/{id}/book", tag = "fulfilment", security(("bearer" = [])),
    params(("id" = String, Path), ("Idempotency-Key" = Option<String>, Header)),
    responses((status = 200, body = ShipmentOut)))]
pub(crate) async fn book(
    State(app): State<App>,
    caller: Caller,
    At(id): At<String>,
    headers: HeaderMap,
    body: Json,
) -> Result<Response, Problem> {
    caller.needs(Change(Area::Orders))?;
    body.fields_or_none()?.finish()?;
    let key = key(&headers)?;
    command(&app, &caller, &id, &key, ParcelCommand::Book).await
}

/// Why a parcel is not sent.
#[derive(ToSchema)]
#[expect(dead_code, reason = "describes the body in OpenAPI; it is read field by field")]
pub(crate) struct CancelIn {
    reason: Option<String>,
}

/// Takes a parcel back before it is sent, and its booking at the carrier.
#[utoipa::path(post, path = "/api/v1/admin/shipments/{id}/cancel", tag = "fulfilment", security(("bearer" = [])),
    params(("id" = String, Path), ("Idempotency-Key" = Option<String>, Header)), request_body = Option<CancelIn>,
    responses((status = 200, body = ShipmentOut)))]
pub(crate) async fn cancel(
    State(app): State<App>,
    caller: Caller,
    At(id): At<String>,
    headers: HeaderMap,
    body: Json,
) -> Result<Response, Problem> {
    caller.needs(Change(Area::Orders))?;
    let key = key(&headers)?;
    let mut fields = body.fields_or_none()?;
    let reason = word(&mut fields, "reason", WORD_BYTES_MAX).unwrap_or_default();
    fields.finish()?;
    command(&app, &caller, &id, &key, ParcelCommand::Cancel(reason)).await
}

fn key(headers: &HeaderMap) -> Result<String, Problem> {
    Ok(idempotency_key(headers)?.unwrap_or_else(|| Uuid::now_v7().to_string()))
}

async fn command(
    app: &App,
    caller: &Caller,
    id: &str,
    key: &str,
    command: ParcelCommand,
) -> Result<Response, Problem> {
    let shipment = app.shop.command_shipment(&caller.merchant, id, &caller.sub, key, command).await?;
    json(StatusCode::OK, &ShipmentOut::new(&shipment))
}

/// Fetches what is stuck on a parcel, from the carrier.
#[utoipa::path(get, path = "/api/v1/admin/shipments/{id}/label", tag = "fulfilment", security(("bearer" = [])),
    params(("id" = String, Path)),
    responses((status = 200, content_type = "application/octet-stream", description = "as the carrier makes it", body = Vec<u8>)))]
pub(crate) async fn label(
    State(app): State<App>,
    caller: Caller,
    At(id): At<String>,
) -> Result<Response, Problem> {
    caller.needs(Read(Area::Orders))?;
    let (media, content) = app.shop.label(&caller.merchant, &id).await?;
    let mut response = Response::new(axum::body::Body::from(content));
    let media = HeaderValue::from_str(&media).unwrap_or(HeaderValue::from_static("application/octet-stream"));
    let headers = response.headers_mut();
    headers.insert(header::CONTENT_TYPE, media);
    // A label comes from the merchant's component: no browser shall take it for a page.
    headers.insert(header::CONTENT_DISPOSITION, HeaderValue::from_static("attachment"));
    headers.insert(header::X_CONTENT_TYPE_OPTIONS, HeaderValue::from_static("nosniff"));
    headers.insert(header::CACHE_CONTROL, HeaderValue::from_static("no-store"));
    Ok(response)
}

/// Takes a carrier's webhook: verified by the carrier's component over its raw bytes. Sent twice it has effect once.
#[utoipa::path(post, path = "/webhooks/{merchant}/carriers/{carrier}", tag = "webhooks",
    params(("merchant" = String, Path), ("carrier" = String, Path, description = "name of the carrier's binding")),
    request_body(content = String, content_type = "*/*", description = "as the carrier sends it; at most 1 MiB"),
    responses((status = 200, body = webhooks::TakenOut)))]
pub(crate) async fn take(
    State(app): State<App>,
    At((merchant, carrier)): At<(String, String)>,
    headers: HeaderMap,
    Raw(body): Raw<BODY_BYTES_MAX>,
) -> Result<Response, Problem> {
    let headers = webhooks::raw(&headers);
    let received = app.shop.carrier_webhook(&merchant, &carrier, headers, body.to_vec()).await?;
    json(StatusCode::OK, &webhooks::TakenOut::new(received))
}
