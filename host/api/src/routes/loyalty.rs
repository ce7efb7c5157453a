//! Loyalty: a shopper's points, tier and benefits; what their merchant changes.

use axum::extract::State;
use axum::http::{HeaderMap, StatusCode};
use axum::response::Response;
use serde::Serialize;
use till_commerce::access::Area;
use till_commerce::access::Wanted::Change;
use till_store::tables::loyalty::PointsEntry;
use utoipa::ToSchema;

use super::{json, last_of};
use crate::App;
use crate::auth::Caller;
use crate::problem::Problem;
use crate::read::{At, Json, Query, idempotency_key};
use crate::wire::{Amount, TierOut, time};

/// Longest reason: some sentences.
const REASON_CHARS_MAX: usize = 500;

/// The tier after the one that is reached.
#[derive(Serialize, ToSchema)]
struct NextTierOut {
    name: String,
    /// Points earned in all from which it is reached.
    from: i64,
    /// How many of them are missing.
    missing: i64,
}

/// Points and tier.
#[derive(Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub(crate) struct PointsOut {
    available_points: i64,
    /// Promised to checkouts under way.
    held_points: i64,
    /// What the available points are worth.
    points_value: Amount,
    /// Earned in all: what tiers go by.
    lifetime_points: i64,
    #[serde(skip_serializing_if = "Option::is_none")]
    tier: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    next_tier: Option<NextTierOut>,
    /// Points that expire within 30 days; absent where points do not expire.
    #[serde(skip_serializing_if = "Option::is_none")]
    expiring_soon: Option<i64>,
}

/// Reads the caller's points and tier.
#[utoipa::path(get, path = "/api/v1/loyalty", tag = "loyalty", security(("bearer" = [])),
    responses((status = 200, body = PointsOut)))]
pub(crate) async fn read(State(app): State<App>, caller: Caller) -> Result<Response, Problem> {
    let has = app.shop.loyalty(&caller.merchant, &caller.sub).await?;
    let worth = has.available.saturating_mul(i64::from(has.settings.points.minor_per_point));
    json(
        StatusCode::OK,
        &PointsOut {
            available_points: has.available,
            held_points: has.held,
            points_value: Amount::of(worth, has.settings.currency),
            lifetime_points: has.lifetime,
            tier: has.tier,
            next_tier: has.next.map(|(name, from)| NextTierOut { name, from, missing: from - has.lifetime }),
            expiring_soon: has.expiring,
        },
    )
}

/// What loyalty gives at a checkout.
#[derive(Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub(crate) struct BenefitsOut {
    available_points: i64,
    points_value: Amount,
    #[serde(skip_serializing_if = "Option::is_none")]
    tier: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    tier_benefits: Option<TierOut>,
    redemption: RedemptionOut,
}

/// How points pay.
#[derive(Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
struct RedemptionOut {
    enabled: bool,
    /// Worth of one point.
    value_per_point: Amount,
    /// Most that can be used now.
    max_points: i64,
}

/// Reads what the caller's points and tier give at a checkout.
#[utoipa::path(get, path = "/api/v1/loyalty/benefits", tag = "loyalty", security(("bearer" = [])),
    responses((status = 200, body = BenefitsOut)))]
pub(crate) async fn benefits(State(app): State<App>, caller: Caller) -> Result<Response, Problem> {
    let has = app.shop.loyalty(&caller.merchant, &caller.sub).await?;
    let (points, currency) = (&has.settings.points, has.settings.currency);
    let each = i64::from(points.minor_per_point);
    let tiers = &has.settings.tier_benefits;
    let gives = has.tier.as_ref().filter(|_| tiers.shown).and_then(|tier| tiers.tiers.get(tier));
    json(
        StatusCode::OK,
        &BenefitsOut {
            available_points: has.available,
            points_value: Amount::of(has.available.saturating_mul(each), currency),
            tier_benefits: gives.map(TierOut::new),
            tier: has.tier,
            redemption: RedemptionOut {
                enabled: points.enabled,
                value_per_point: Amount::of(each, currency),
                max_points: if points.enabled { has.available } else { 0 },
            },
        },
    )
}

/// A change of points.
#[derive(Serialize, ToSchema)]
pub(crate) struct PointsEntryOut {
    id: String,
    points: i64,
    /// `earned`, `redeemed`, `adjusted`, `expired`, `returned` or `reversed`.
    reason: String,
    note: String,
    at: String,
}

impl From<PointsEntry> for PointsEntryOut {
    fn from(row: PointsEntry) -> PointsEntryOut {
        PointsEntryOut {
            id: row.id,
            points: row.delta,
            reason: row.reason,
            note: row.note,
            at: time(row.at_us),
        }
    }
}

/// A page of the ledger.
#[derive(Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub(crate) struct PointsEntriesOut {
    /// Newest first.
    entries: Vec<PointsEntryOut>,
    #[serde(skip_serializing_if = "Option::is_none")]
    next_cursor: Option<String>,
}

/// Reads the ledger of the caller's points, newest first.
#[utoipa::path(get, path = "/api/v1/loyalty/entries", tag = "loyalty", security(("bearer" = [])),
    params(("cursor" = Option<String>, Query, description = "`nextCursor` of the page before"),
        ("limit" = Option<i64>, Query, description = "1 to 100; 20 by default")),
    responses((status = 200, body = PointsEntriesOut)))]
pub(crate) async fn entries(
    State(app): State<App>,
    caller: Caller,
    mut query: Query,
) -> Result<Response, Problem> {
    let limit = query.limit(20, 100)?;
    let before = query.before()?;
    query.finish()?;
    let before = (before.0, before.1.as_str());
    let rows = app.shop.points_entries(&caller.merchant, &caller.sub, before, limit).await?;
    let next_cursor = last_of(&rows, limit).map(|last| format!("{}.{}", last.at_us, last.id));
    let entries = rows.into_iter().map(PointsEntryOut::from).collect();
    json(StatusCode::OK, &PointsEntriesOut { entries, next_cursor })
}

/// Points to give or take.
#[derive(ToSchema)]
#[expect(dead_code, reason = "describes the body in OpenAPI; it is read field by field")]
pub(crate) struct PointsIn {
    /// Not 0; below 0 takes points, at most those that checkouts do not hold.
    delta: i64,
    /// Why; at most 500 characters.
    reason: String,
}

/// Gives a customer points or takes some, with a reason. With an `Idempotency-Key` it is done once.
#[utoipa::path(post, path = "/api/v1/admin/customers/{customer}/points", tag = "loyalty", security(("bearer" = [])),
    params(("customer" = String, Path), ("Idempotency-Key" = Option<String>, Header)),
    request_body = PointsIn, responses((status = 200, body = PointsEntryOut)))]
pub(crate) async fn adjust(
    State(app): State<App>,
    caller: Caller,
    At(customer): At<String>,
    headers: HeaderMap,
    body: Json,
) -> Result<Response, Problem> {
    caller.needs(Change(Area::Customers))?;
    let key = idempotency_key(&headers)?;
    let mut fields = body.fields()?;
    let delta = fields.integer("delta");
    let delta = fields.need("delta", delta);
    let reason = fields.text("reason");
    let reason = fields.need("reason", reason);
    if reason.chars().count() > REASON_CHARS_MAX || reason.chars().any(char::is_control) {
        let why = format!("at most {REASON_CHARS_MAX} characters, none of them a control character");
        fields.wrong("reason", why);
    }
    fields.finish()?;
    let change = (customer.as_str(), delta, reason.as_str());
    let entry = app.shop.adjust_points(&caller.merchant, &caller.sub, change, key.as_deref()).await?;
    json(StatusCode::OK, &PointsEntryOut::from(entry))
}

/// An order is refunded: points it used come back, points it earned are taken back, down to none. Repeated, it tells what
/// was booked.
#[utoipa::path(post, path = "/api/v1/admin/orders/{order}/points-reversal", tag = "loyalty", security(("bearer" = [])),
    params(("order" = String, Path)), responses((status = 200, body = PointsEntriesOut)))]
pub(crate) async fn reverse(
    State(app): State<App>,
    caller: Caller,
    At(order): At<String>,
    body: Json,
) -> Result<Response, Problem> {
    caller.needs(Change(Area::Orders))?;
    body.fields_or_none()?.finish()?;
    let made = app.shop.reverse_points(&caller.merchant, &caller.sub, &order).await?;
    let entries = made.into_iter().map(PointsEntryOut::from).collect();
    json(StatusCode::OK, &PointsEntriesOut { entries, next_cursor: None })
}
