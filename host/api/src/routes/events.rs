//! Events: the merchant's log and the endpoints that are told of it.

use axum::extract::State;
use axum::http::StatusCode;
use axum::response::Response;
use serde::Serialize;
use serde_json::value::RawValue;
use till_commerce::access::Area;
use till_commerce::access::Wanted::{Change, Read};
use till_commerce::events::{Replay, Webhook, WebhookBody};
use utoipa::ToSchema;

use super::{json, last_of};
use crate::App;
use crate::auth::Caller;
use crate::problem::Problem;
use crate::read::{At, Fields, Json, Query};
use crate::wire::time;

/// A part of the log.
#[derive(Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub(crate) struct LogOut {
    /// CloudEvents 1.0, oldest first.
    #[schema(value_type = Vec<Object>)]
    events: Vec<Box<RawValue>>,
    /// `cursor` of the part after this one; it may be empty now.
    next_cursor: String,
}

/// Reads the merchant's events, oldest first: those after `cursor`, or all that are kept.
#[utoipa::path(get, path = "/api/v1/admin/events", tag = "events", security(("bearer" = [])),
    params(("cursor" = Option<String>, Query, description = "`nextCursor` of the part before"),
        ("limit" = Option<i64>, Query, description = "1 to 200; 50 by default")),
    responses((status = 200, body = LogOut)))]
pub(crate) async fn log(
    State(app): State<App>,
    caller: Caller,
    mut query: Query,
) -> Result<Response, Problem> {
    caller.needs(Read(Area::Events))?;
    let limit = query.limit(50, 200)?;
    let after = position(&mut query, 0)?;
    query.finish()?;
    let found = app.events.log(&caller.merchant, None, after, limit).await?;
    let next = found.last().map_or(after, |(position, _)| *position);
    let events = found.into_iter().map(|(_, text)| RawValue::from_string(text));
    let events = events.collect::<Result<_, _>>().map_err(Problem::internal)?;
    json(StatusCode::OK, &LogOut { events, next_cursor: next.to_string() })
}

fn position(query: &mut Query, without: i64) -> Result<i64, Problem> {
    match query.text("cursor") {
        None => Ok(without),
        Some(text) => text.parse().map_err(|_| Problem::field("cursor", "`nextCursor` of a page is needed")),
    }
}

/// An endpoint as it is wanted.
#[derive(ToSchema)]
#[schema(rename_all = "camelCase")]
#[expect(dead_code, reason = "describes the body in OpenAPI; it is read field by field")]
pub(crate) struct WebhookIn {
    /// `https://…`
    url: String,
    /// `order.created`, `order.*`, `*`.
    topics: Vec<String>,
    description: Option<String>,
    /// `true` without.
    active: Option<bool>,
    /// The address may be http and lead to a private one; `false` without.
    allow_private_addresses: Option<bool>,
}

fn webhook_in(fields: &mut Fields<'_>) -> WebhookBody {
    let (url, topics) = (fields.text("url"), fields.texts("topics").value());
    WebhookBody {
        url: fields.need("url", url),
        topics: fields.need("topics", topics),
        description: fields.text("description").unwrap_or_default(),
        active: fields.flag("active").unwrap_or(true),
        private_addresses: fields.flag("allowPrivateAddresses").unwrap_or(false),
    }
}

/// An endpoint.
#[derive(Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub(crate) struct WebhookOut {
    id: String,
    url: String,
    topics: Vec<String>,
    description: String,
    active: bool,
    allow_private_addresses: bool,
    created_at: String,
    /// Signs what is posted, as Standard Webhooks 1.0 says. Shown when it is made, and never again.
    #[serde(skip_serializing_if = "Option::is_none")]
    secret: Option<String>,
}

impl WebhookOut {
    fn new(webhook: Webhook, secret: Option<String>) -> WebhookOut {
        let Webhook { id, body, created_us } = webhook;
        WebhookOut {
            id,
            url: body.url,
            topics: body.topics,
            description: body.description,
            active: body.active,
            allow_private_addresses: body.private_addresses,
            created_at: time(created_us),
            secret,
        }
    }
}

/// Endpoints.
#[derive(Serialize, ToSchema)]
pub(crate) struct WebhooksOut {
    webhooks: Vec<WebhookOut>,
}

/// Makes an endpoint that is told of events from now on, at least once each, signed as Standard Webhooks.
#[utoipa::path(post, path = "/api/v1/admin/webhooks", tag = "events", security(("bearer" = [])),
    request_body = WebhookIn, responses((status = 201, body = WebhookOut)))]
pub(crate) async fn add(State(app): State<App>, caller: Caller, body: Json) -> Result<Response, Problem> {
    caller.needs(Change(Area::Events))?;
    let mut fields = body.fields()?;
    let wanted = webhook_in(&mut fields);
    fields.finish()?;
    let made = app.events.add_webhook(&caller.merchant, wanted).await?;
    json(StatusCode::CREATED, &WebhookOut::new(made.webhook, Some(made.secret)))
}

/// Lists the endpoints: twenty at most.
#[utoipa::path(get, path = "/api/v1/admin/webhooks", tag = "events", security(("bearer" = [])),
    responses((status = 200, body = WebhooksOut)))]
pub(crate) async fn list(State(app): State<App>, caller: Caller) -> Result<Response, Problem> {
    caller.needs(Read(Area::Events))?;
    let webhooks = app.events.webhooks(&caller.merchant).await?;
    let webhooks = webhooks.into_iter().map(|webhook| WebhookOut::new(webhook, None)).collect();
    json(StatusCode::OK, &WebhooksOut { webhooks })
}

/// Replaces an endpoint; its key stays.
#[utoipa::path(put, path = "/api/v1/admin/webhooks/{id}", tag = "events", security(("bearer" = [])),
    params(("id" = String, Path)), request_body = WebhookIn, responses((status = 200, body = WebhookOut)))]
pub(crate) async fn set(
    State(app): State<App>,
    caller: Caller,
    At(id): At<String>,
    body: Json,
) -> Result<Response, Problem> {
    caller.needs(Change(Area::Events))?;
    let mut fields = body.fields()?;
    let wanted = webhook_in(&mut fields);
    fields.finish()?;
    let webhook = app.events.set_webhook(&caller.merchant, &id, wanted).await?;
    json(StatusCode::OK, &WebhookOut::new(webhook, None))
}

/// Takes an endpoint away, with what was on its way.
#[utoipa::path(delete, path = "/api/v1/admin/webhooks/{id}", tag = "events", security(("bearer" = [])),
    params(("id" = String, Path)), responses((status = 204)))]
pub(crate) async fn drop(
    State(app): State<App>,
    caller: Caller,
    At(id): At<String>,
) -> Result<StatusCode, Problem> {
    caller.needs(Change(Area::Events))?;
    app.events.drop_webhook(&caller.merchant, &id).await?;
    Ok(StatusCode::NO_CONTENT)
}

/// What became of an event at an endpoint.
#[derive(Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
struct DeliveryOut {
    /// Id of the event, and `webhook-id` of each try.
    event_id: String,
    event_type: String,
    /// Of the event; a replay may begin here.
    position: i64,
    /// `waiting`, `delivered` or `dead`.
    state: &'static str,
    attempts: i64,
    /// Where it waits.
    #[serde(skip_serializing_if = "Option::is_none")]
    next_attempt_at: Option<String>,
    /// What the endpoint said last, or why it did not.
    answer: String,
    updated_at: String,
}

/// A page of deliveries.
#[derive(Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub(crate) struct DeliveriesOut {
    /// Newest event first.
    deliveries: Vec<DeliveryOut>,
    #[serde(skip_serializing_if = "Option::is_none")]
    next_cursor: Option<String>,
}

/// Lists what an endpoint was told, newest first.
#[utoipa::path(get, path = "/api/v1/admin/webhooks/{id}/deliveries", tag = "events", security(("bearer" = [])),
    params(("id" = String, Path),
        ("cursor" = Option<String>, Query, description = "`nextCursor` of the page before"),
        ("limit" = Option<i64>, Query, description = "1 to 200; 50 by default")),
    responses((status = 200, body = DeliveriesOut)))]
pub(crate) async fn deliveries(
    State(app): State<App>,
    caller: Caller,
    At(id): At<String>,
    mut query: Query,
) -> Result<Response, Problem> {
    caller.needs(Read(Area::Events))?;
    let limit = query.limit(50, 200)?;
    let before = position(&mut query, i64::MAX)?;
    query.finish()?;
    let found = app.events.deliveries(&caller.merchant, &id, before, limit).await?;
    let next_cursor = last_of(&found, limit).map(|last| last.position.to_string());
    let deliveries = found.into_iter().map(|row| DeliveryOut {
        event_id: row.event,
        event_type: row.topic,
        position: row.position,
        state: row.state,
        attempts: row.attempts,
        next_attempt_at: (row.state == "waiting").then(|| time(row.due_us)),
        answer: row.told,
        updated_at: time(row.updated_us),
    });
    json(StatusCode::OK, &DeliveriesOut { deliveries: deliveries.collect(), next_cursor })
}

/// What is sent again.
#[derive(ToSchema)]
#[schema(rename_all = "camelCase")]
#[expect(dead_code, reason = "describes the body in OpenAPI; it is read field by field")]
pub(crate) struct ReplayIn {
    /// From this event on; from the first one without.
    from_position: Option<i64>,
    /// Delivered events too; only dead ones without.
    delivered_too: Option<bool>,
}

/// How much is sent again.
#[derive(Serialize, ToSchema)]
pub(crate) struct ReplayOut {
    /// Events.
    replayed: u64,
}

/// Sends dead deliveries again, or all from an event on.
#[utoipa::path(post, path = "/api/v1/admin/webhooks/{id}/replay", tag = "events", security(("bearer" = [])),
    params(("id" = String, Path)), request_body = ReplayIn, responses((status = 200, body = ReplayOut)))]
pub(crate) async fn replay(
    State(app): State<App>,
    caller: Caller,
    At(id): At<String>,
    body: Json,
) -> Result<Response, Problem> {
    caller.needs(Change(Area::Events))?;
    let mut fields = body.fields_or_none()?;
    let what = Replay {
        from: fields.integer("fromPosition").unwrap_or(0),
        dead_only: !fields.flag("deliveredToo").unwrap_or(false),
    };
    fields.finish()?;
    let replayed = app.events.replay(&caller.merchant, &id, what).await?;
    json(StatusCode::OK, &ReplayOut { replayed })
}
