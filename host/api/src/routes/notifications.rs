//! What a shopper is told in the app.

use axum::extract::State;
use axum::http::StatusCode;
use axum::response::Response;
use serde::Serialize;
use serde_json::value::RawValue;
use utoipa::ToSchema;

use super::{json, last_of};
use crate::App;
use crate::auth::Caller;
use crate::problem::Problem;
use crate::read::{At, Query};
use crate::wire::time;

/// Something told.
#[derive(Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
struct NotificationOut {
    id: String,
    /// `order_confirmation`, `payment_failed`, …
    #[serde(rename = "type")]
    kind: String,
    /// `title`, `message` and `data`.
    #[schema(value_type = Object)]
    content: Box<RawValue>,
    created_at: String,
    read: bool,
}

/// A page of the list.
#[derive(Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub(crate) struct NotificationsOut {
    /// Newest first.
    notifications: Vec<NotificationOut>,
    /// How many are unread in all.
    unread: i64,
    #[serde(skip_serializing_if = "Option::is_none")]
    next_cursor: Option<String>,
}

/// Lists the shopper's notifications, newest first.
#[utoipa::path(get, path = "/api/v1/notifications", tag = "notifications", security(("bearer" = [])),
    params(("unread" = Option<bool>, Query, description = "`true`: only those"),
        ("cursor" = Option<String>, Query, description = "`nextCursor` of the page before"),
        ("limit" = Option<i64>, Query, description = "1 to 100; 20 by default")),
    responses((status = 200, body = NotificationsOut)))]
pub(crate) async fn list(
    State(app): State<App>,
    caller: Caller,
    mut query: Query,
) -> Result<Response, Problem> {
    let limit = query.limit(20, 100)?;
    let unread_only = match query.text("unread") {
        None | Some("false") => false,
        Some("true") => true,
        Some(_) => return Err(Problem::field("unread", "`true` or `false` is needed")),
    };
    let before = query.before()?;
    query.finish()?;
    let before = (before.0, before.1.as_str());
    let (rows, unread) =
        app.shop.notifications(&caller.merchant, &caller.sub, unread_only, before, limit).await?;
    let next_cursor = last_of(&rows, limit).map(|last| format!("{}.{}", last.at_us, last.id));
    let mut notifications = Vec::new();
    for row in rows {
        notifications.push(NotificationOut {
            id: row.id,
            kind: row.kind,
            content: RawValue::from_string(row.body).map_err(Problem::internal)?,
            created_at: time(row.at_us),
            read: row.read_us.is_some(),
        });
    }
    json(StatusCode::OK, &NotificationsOut { notifications, unread, next_cursor })
}

/// How many were unread before.
#[derive(Serialize, ToSchema)]
pub(crate) struct ReadOut {
    read: u64,
}

/// Marks one notification as read. Again is harmless.
#[utoipa::path(post, path = "/api/v1/notifications/{id}/read", tag = "notifications", security(("bearer" = [])),
    params(("id" = String, Path)), responses((status = 200, body = ReadOut)))]
pub(crate) async fn read(
    State(app): State<App>,
    caller: Caller,
    At(id): At<String>,
) -> Result<Response, Problem> {
    let read = app.shop.read_notification(&caller.merchant, &caller.sub, Some(&id)).await?;
    json(StatusCode::OK, &ReadOut { read })
}

/// Marks all notifications as read.
#[utoipa::path(post, path = "/api/v1/notifications/read", tag = "notifications", security(("bearer" = [])),
    responses((status = 200, body = ReadOut)))]
pub(crate) async fn read_all(State(app): State<App>, caller: Caller) -> Result<Response, Problem> {
    let read = app.shop.read_notification(&caller.merchant, &caller.sub, None).await?;
    json(StatusCode::OK, &ReadOut { read })
}
