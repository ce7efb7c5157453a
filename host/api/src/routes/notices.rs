//! Notifications as a merchant sees them: words of its own, and what became of deliveries.

use axum::extract::State;
use axum::http::StatusCode;
use axum::response::Response;
use serde::Serialize;
use till_commerce::access::Area;
use till_commerce::access::Wanted::{Change, Read};
use till_commerce::events::Replay;
use till_commerce::events::notify::{DeliverySought, Draft, Rendered, Shown, Source};
use utoipa::ToSchema;

use super::{json, last_of};
use crate::App;
use crate::auth::Caller;
use crate::problem::Problem;
use crate::read::{At, Fields, Json, Query};
use crate::wire::time;

/// Longest body: four parts of 64 KiB, as JSON writes them.
const BODY_BYTES_MAX: usize = 512 << 10;

/// Words as they are wanted.
#[derive(ToSchema)]
#[expect(dead_code, reason = "describes the body in OpenAPI; it is read field by field")]
pub(crate) struct TemplateIn {
    /// Subject of the mail; the one built in for the language without. So for all.
    subject: Option<String>,
    /// The mail as text.
    text: Option<String>,
    /// The mail as HTML; what is filled in is escaped.
    html: Option<String>,
    /// The text message.
    sms: Option<String>,
}

fn draft(fields: &mut Fields<'_>) -> Draft {
    Draft {
        subject: fields.text("subject"),
        text: fields.text("text"),
        html: fields.text("html"),
        sms: fields.text("sms"),
    }
}

/// Words as they are used.
#[derive(Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub(crate) struct TemplateOut {
    kind: String,
    locale: String,
    subject: String,
    text: String,
    html: String,
    sms: String,
    /// They are not the merchant's own.
    built_in: bool,
    #[serde(skip_serializing_if = "Option::is_none")]
    updated_at: Option<String>,
}

fn template_out(kind: String, locale: String, shown: Shown) -> Result<Response, Problem> {
    let Source { subject, text, html, sms } = shown.source;
    let (built_in, updated_at) = (shown.updated_us.is_none(), shown.updated_us.map(time));
    json(StatusCode::OK, &TemplateOut { kind, locale, subject, text, html, sms, built_in, updated_at })
}

/// Words of a merchant's own, by name.
#[derive(Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
struct OwnTemplateOut {
    kind: String,
    locale: String,
    updated_at: String,
}

/// Words of a merchant's own.
#[derive(Serialize, ToSchema)]
pub(crate) struct TemplatesOut {
    /// By kind and locale.
    templates: Vec<OwnTemplateOut>,
}

/// Lists words of the merchant's own: at most fifty languages of each kind.
#[utoipa::path(get, path = "/api/v1/admin/notifications/templates", tag = "notifications",
    security(("bearer" = [])), responses((status = 200, body = TemplatesOut)))]
pub(crate) async fn templates(State(app): State<App>, caller: Caller) -> Result<Response, Problem> {
    caller.needs(Read(Area::Notifications))?;
    let own = app.events.own_templates(&caller.merchant).await?;
    let own = own.into_iter().map(|own| OwnTemplateOut {
        kind: own.kind,
        locale: own.locale,
        updated_at: time(own.updated_us),
    });
    json(StatusCode::OK, &TemplatesOut { templates: own.collect() })
}

/// Reads the words of a kind in a language: the merchant's own, else those built in.
#[utoipa::path(get, path = "/api/v1/admin/notifications/templates/{kind}/{locale}", tag = "notifications",
    security(("bearer" = [])), params(("kind" = String, Path), ("locale" = String, Path)),
    responses((status = 200, body = TemplateOut)))]
pub(crate) async fn template(
    State(app): State<App>,
    caller: Caller,
    At((kind, locale)): At<(String, String)>,
) -> Result<Response, Problem> {
    caller.needs(Read(Area::Notifications))?;
    let shown = app.events.template(&caller.merchant, &kind, &locale).await?;
    template_out(kind, locale, shown)
}

/// Replaces the words of a kind in a language, after filling them once. A part that cannot be used is refused with its
/// line.
#[utoipa::path(put, path = "/api/v1/admin/notifications/templates/{kind}/{locale}", tag = "notifications",
    security(("bearer" = [])), params(("kind" = String, Path), ("locale" = String, Path)),
    request_body = TemplateIn, responses((status = 200, body = TemplateOut)))]
pub(crate) async fn put(
    State(app): State<App>,
    caller: Caller,
    At((kind, locale)): At<(String, String)>,
    body: Json<BODY_BYTES_MAX>,
) -> Result<Response, Problem> {
    caller.needs(Change(Area::Notifications))?;
    let mut fields = body.fields()?;
    let draft = draft(&mut fields);
    fields.finish()?;
    let shown = app.events.put_template(&caller.merchant, &kind, &locale, draft).await?;
    template_out(kind, locale, shown)
}

/// Takes the merchant's own words away: those built in are used from then on.
#[utoipa::path(delete, path = "/api/v1/admin/notifications/templates/{kind}/{locale}", tag = "notifications",
    security(("bearer" = [])), params(("kind" = String, Path), ("locale" = String, Path)),
    responses((status = 204)))]
pub(crate) async fn drop(
    State(app): State<App>,
    caller: Caller,
    At((kind, locale)): At<(String, String)>,
) -> Result<StatusCode, Problem> {
    caller.needs(Change(Area::Notifications))?;
    app.events.drop_template(&caller.merchant, &kind, &locale).await?;
    Ok(StatusCode::NO_CONTENT)
}

/// What is filled.
#[derive(ToSchema)]
#[schema(rename_all = "camelCase")]
#[expect(dead_code, reason = "describes the body in OpenAPI; it is read field by field")]
pub(crate) struct PreviewIn {
    /// Id or number of an order; a sample without.
    order_id: Option<String>,
    /// Words to try in place of those in use. So for all.
    subject: Option<String>,
    text: Option<String>,
    html: Option<String>,
    sms: Option<String>,
}

/// What would be sent.
#[derive(Serialize, ToSchema)]
pub(crate) struct PreviewOut {
    subject: String,
    text: String,
    html: String,
    sms: String,
}

/// Fills words for an order or a sample, and sends nothing.
#[utoipa::path(post, path = "/api/v1/admin/notifications/templates/{kind}/{locale}/preview", tag = "notifications",
    security(("bearer" = [])), params(("kind" = String, Path), ("locale" = String, Path)),
    request_body = PreviewIn, responses((status = 200, body = PreviewOut)))]
pub(crate) async fn preview(
    State(app): State<App>,
    caller: Caller,
    At((kind, locale)): At<(String, String)>,
    body: Json<BODY_BYTES_MAX>,
) -> Result<Response, Problem> {
    caller.needs(Read(Area::Notifications))?;
    let mut fields = body.fields_or_none()?;
    let (order, draft) = (fields.text("orderId"), draft(&mut fields));
    fields.finish()?;
    let filled = app.events.preview(&caller.merchant, &kind, &locale, draft, order.as_deref()).await?;
    let Rendered { subject, text, html, sms } = filled;
    json(StatusCode::OK, &PreviewOut { subject, text, html, sms })
}

/// What became of a notification.
#[derive(Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
struct NoticeOut {
    /// Id of the event; a part of `Message-ID`, and the provider's `Idempotency-Key`.
    event_id: String,
    event_type: String,
    order_id: String,
    /// `email`, `sms` or `nats`.
    channel: String,
    /// Of the event; a replay may begin here.
    position: i64,
    /// `waiting`, `delivered` or `dead`.
    state: &'static str,
    attempts: i64,
    /// Where it waits.
    #[serde(skip_serializing_if = "Option::is_none")]
    next_attempt_at: Option<String>,
    /// What the other side said last, or why it did not.
    answer: String,
    updated_at: String,
}

/// A page of deliveries.
#[derive(Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub(crate) struct NoticesOut {
    /// Newest event first.
    deliveries: Vec<NoticeOut>,
    #[serde(skip_serializing_if = "Option::is_none")]
    next_cursor: Option<String>,
}

/// Lists what customers were told outside the app, newest first.
#[utoipa::path(get, path = "/api/v1/admin/notifications/deliveries", tag = "notifications", security(("bearer" = [])),
    params(("order" = Option<String>, Query, description = "id or number of an order"),
        ("channel" = Option<String>, Query, description = "`email`, `sms` or `nats`"),
        ("state" = Option<String>, Query, description = "`waiting`, `delivered` or `dead`"),
        ("cursor" = Option<String>, Query, description = "`nextCursor` of the page before"),
        ("limit" = Option<i64>, Query, description = "1 to 200; 50 by default")),
    responses((status = 200, body = NoticesOut)))]
pub(crate) async fn deliveries(
    State(app): State<App>,
    caller: Caller,
    mut query: Query,
) -> Result<Response, Problem> {
    caller.needs(Read(Area::Notifications))?;
    let limit = query.limit(50, 200)?;
    let mut text = |name| query.text(name).map(str::to_owned);
    let sought = DeliverySought { order: text("order"), channel: text("channel"), state: text("state") };
    let before = query.before()?;
    query.finish()?;
    let before = (before.0, before.1.as_str());
    let found = app.events.notification_deliveries(&caller.merchant, &sought, before, limit).await?;
    let next_cursor = last_of(&found, limit).map(|last| format!("{}.{}", last.position, last.target));
    let deliveries = found.into_iter().map(|row| NoticeOut {
        event_id: row.event,
        event_type: row.topic,
        order_id: row.subject,
        channel: row.target,
        position: row.position,
        state: row.state,
        attempts: row.attempts,
        next_attempt_at: (row.state == "waiting").then(|| time(row.due_us)),
        answer: row.told,
        updated_at: time(row.updated_us),
    });
    json(StatusCode::OK, &NoticesOut { deliveries: deliveries.collect(), next_cursor })
}

/// What is sent again.
#[derive(ToSchema)]
#[schema(rename_all = "camelCase")]
#[expect(dead_code, reason = "describes the body in OpenAPI; it is read field by field")]
pub(crate) struct ResendIn {
    /// `email`, `sms` or `nats`.
    channel: String,
    /// Id or number of an order; all without.
    order_id: Option<String>,
    /// From this event on; from the first one without.
    from_position: Option<i64>,
    /// What was delivered too; only what is dead without.
    delivered_too: Option<bool>,
}

/// How much is sent again.
#[derive(Serialize, ToSchema)]
pub(crate) struct ResendOut {
    replayed: u64,
}

/// Sends dead notifications of a channel again, or all from an event on. The keys stay the same.
#[utoipa::path(post, path = "/api/v1/admin/notifications/replay", tag = "notifications", security(("bearer" = [])),
    request_body = ResendIn, responses((status = 200, body = ResendOut)))]
pub(crate) async fn replay(State(app): State<App>, caller: Caller, body: Json) -> Result<Response, Problem> {
    caller.needs(Change(Area::Notifications))?;
    let mut fields = body.fields()?;
    let channel = fields.text("channel");
    let channel = fields.need("channel", channel);
    let order = fields.text("orderId");
    let what = Replay {
        from: fields.integer("fromPosition").unwrap_or(0),
        dead_only: !fields.flag("deliveredToo").unwrap_or(false),
    };
    fields.finish()?;
    let replayed =
        app.events.replay_notifications(&caller.merchant, &channel, order.as_deref(), what).await?;
    json(StatusCode::OK, &ResendOut { replayed })
}
