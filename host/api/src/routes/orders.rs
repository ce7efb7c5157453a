//! The shopper's orders.

use std::collections::VecDeque;
use std::convert::Infallible;
use std::sync::Arc;
use std::time::{Duration, Instant};

use axum::extract::State;
use axum::http::{HeaderMap, HeaderValue, StatusCode, header};
use axum::response::{IntoResponse as _, Response, sse};
use till_commerce::events::{Event as EventRow, Events, Turn};
use till_store::tables::purchase::OrderFilter;
use tokio::sync::{Semaphore, SemaphorePermit, watch};

use super::{json, last_of};
use crate::App;
use crate::auth::Caller;
use crate::problem::{Code, Problem};
use crate::read::{At, Query};
use crate::wire::{OrderOut, OrdersOut};

/// Lists the shopper's orders, newest first.
#[utoipa::path(get, path = "/api/v1/orders", tag = "orders", security(("bearer" = [])),
    params(("status" = Option<String>, Query, description = "`CONFIRMED`, `SHIPPED`, …"),
        ("from" = Option<String>, Query, description = "made on that day (UTC, `2024-08-10`) or later"),
        ("to" = Option<String>, Query, description = "made on that day (UTC) or before"),
        ("limit" = Option<i64>, Query, description = "1 to 100; 20 by default"),
        ("cursor" = Option<String>, Query, description = "`nextCursor` of the page before")),
    responses((status = 200, body = OrdersOut)))]
pub(crate) async fn list(
    State(app): State<App>,
    caller: Caller,
    mut query: Query,
) -> Result<Response, Problem> {
    let limit = query.limit(20, 100)?;
    let before = query.before()?;
    let filter = filter(&mut query)?;
    query.finish()?;
    let (at, id) = (before.0, before.1.as_str());
    let orders = app.shop.orders_before(&caller.merchant, &caller.sub, &filter, (at, id), limit).await?;
    let next = last_of(&orders, limit).map(|last| format!("{}.{}", last.created_us, last.id));
    json(StatusCode::OK, &OrdersOut::new(&orders, next))
}

fn filter(query: &mut Query) -> Result<OrderFilter, Problem> {
    let status = query.text("status").unwrap_or_default().to_owned();
    if status.len() > 64 || !status.bytes().all(|byte| byte.is_ascii_uppercase() || byte == b'_') {
        return Err(Problem::field(
            "status",
            "a status as orders tell it is needed, for example `CONFIRMED`",
        ));
    }
    let day_us = |query: &mut Query, name, days_on: i64| {
        let Some(text) = query.text(name) else { return Ok(None) };
        let day = text.parse::<jiff::civil::Date>().ok();
        let day = day.and_then(|day| day.checked_add(jiff::Span::new().days(days_on)).ok());
        let begins = day.and_then(|day| day.to_zoned(jiff::tz::TimeZone::UTC).ok());
        let begins = begins.map(|begins| begins.timestamp().as_microsecond());
        begins.map(Some).ok_or_else(|| Problem::field(name, "a day is needed: `2024-08-10`"))
    };
    let all = OrderFilter::default();
    let from_us = day_us(query, "from", 0)?.unwrap_or(all.from_us);
    // The day itself is in.
    let to_us = day_us(query, "to", 1)?.unwrap_or(all.to_us);
    Ok(OrderFilter { status, from_us, to_us })
}

/// Streams that follow an order at the same time. Each takes a connection and a look at the log every second.
static FOLLOWERS: Semaphore = Semaphore::const_new(2_000);
/// A stream ends after this; the client comes again and goes on where it was.
const FOLLOWED_FOR: Duration = Duration::from_secs(15 * 60);
/// How often the log is looked at for what other hosts have put into it.
const LOOK_EVERY: Duration = Duration::from_secs(1);
/// Events taken from the log at once.
const AT_ONCE: i64 = 100;

/// Follows an order: each event about it as it happens, those that have happened first.
///
/// Server-sent events: `event` is the topic (`order_status_updated`, `payment_completed`, …), `data` its JSON, `id` a
/// place to go on from.
#[utoipa::path(get, path = "/api/v1/orders/{id}/events", tag = "orders", security(("bearer" = [])),
    params(("id" = String, Path, description = "id or number"),
        ("Last-Event-ID" = Option<String>, Header, description = "`id` of the last event seen: those after it follow")),
    responses((status = 200, content_type = "text/event-stream", body = String)))]
pub(crate) async fn follow(
    State(app): State<App>,
    caller: Caller,
    At(id): At<String>,
    headers: HeaderMap,
) -> Result<Response, Problem> {
    let order = app.shop.order(&caller.merchant, &caller.sub, &id).await?.id;
    let after = match headers.get("last-event-id").map(|value| value.to_str().unwrap_or_default()) {
        None | Some("") => 0,
        Some(text) => {
            text.parse().map_err(|_| Problem::field("Last-Event-ID", "the `id` of an event is needed"))?
        }
    };
    let Ok(place) = FOLLOWERS.try_acquire() else {
        let told = "too many orders are followed on this host at the moment; come again, or read the order";
        return Err(Problem::new(Code::Unavailable, told).header(header::RETRY_AFTER, "5"));
    };
    let follower = Follower {
        turns: app.events.turns(),
        events: app.events,
        merchant: caller.merchant,
        order,
        after,
        found: VecDeque::new(),
        until: Instant::now() + FOLLOWED_FOR,
        _place: place,
    };
    let stream = futures::stream::unfold(follower, |mut follower| async move {
        let event = follower.next().await?;
        let name = event.topic.replace('.', "_");
        let told = sse::Event::default().id(event.position.to_string()).event(name).data(event.body);
        Some((Ok::<_, Infallible>(told), follower))
    });
    let mut response = sse::Sse::new(stream).keep_alive(sse::KeepAlive::default()).into_response();
    response.headers_mut().insert(header::CACHE_CONTROL, HeaderValue::from_static("no-store"));
    Ok(response)
}

/// One client's place in the log.
struct Follower {
    events: Arc<Events>,
    turns: watch::Receiver<Turn>,
    merchant: String,
    order: String,
    after: i64,
    found: VecDeque<EventRow>,
    until: Instant,
    _place: SemaphorePermit<'static>,
}

impl Follower {
    /// The next event, as soon as there is one. None: the stream ends.
    async fn next(&mut self) -> Option<EventRow> {
        loop {
            if let Some(event) = self.found.pop_front() {
                self.after = event.position;
                return Some(event);
            }
            if self.turns.borrow_and_update().stopping || Instant::now() >= self.until {
                return None;
            }
            match self.events.about(&self.merchant, &self.order, self.after, AT_ONCE).await {
                Ok(found) if !found.is_empty() => self.found = found.into(),
                // The client comes again and goes on where it was.
                Err(error) => {
                    tracing::warn!(%error, "follow an order");
                    return None;
                }
                Ok(_) => {
                    let _ = tokio::time::timeout(LOOK_EVERY, self.turns.changed()).await;
                }
            }
        }
    }
}

/// Reads an order by its id or number, with its timeline.
#[utoipa::path(get, path = "/api/v1/orders/{id}", tag = "orders", security(("bearer" = [])),
    params(("id" = String, Path, description = "id or number")),
    responses((status = 200, body = OrderOut)))]
pub(crate) async fn read(
    State(app): State<App>,
    caller: Caller,
    At(id): At<String>,
) -> Result<Response, Problem> {
    let order = app.shop.order(&caller.merchant, &caller.sub, &id).await?;
    json(StatusCode::OK, &OrderOut::with_timeline(&order))
}
