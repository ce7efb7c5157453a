//! Following an order: its events as they happen, as server-sent events here and over a WebSocket in `socket.rs`.
//!
//! What is told is the log, so a client that comes again goes on behind the last event it has seen, on whatever host.

use std::collections::VecDeque;
use std::convert::Infallible;
use std::sync::Arc;
use std::time::{Duration, Instant};

use axum::extract::State;
use axum::http::{HeaderMap, HeaderValue, header};
use axum::response::{IntoResponse as _, Response, sse};
use serde::Deserialize;
use serde_json::Value;
use till_commerce::events::notify::StatusWords;
use till_commerce::events::{Event as EventRow, Events, Turn};
use tokio::sync::watch;

use crate::App;
use crate::auth::Caller;
use crate::problem::Problem;
use crate::read::At;
use crate::seats::{Seat, Seats};

/// Orders that are followed at the same time, and by one caller: two sockets full of rooms and some pages. Each takes a
/// look at the log every second.
static FOLLOWERS: Seats = Seats::new(2_000, 50);
/// A stream ends after this; the client comes again and goes on where it was.
pub(super) const FOLLOWED_FOR: Duration = Duration::from_secs(15 * 60);
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
    let follower = Follower::new(&app, &caller, &order, after).await?;
    let stream = futures::stream::unfold(follower, |mut follower| async move {
        let event = follower.next().await?;
        let told = sse::Event::default();
        let told = told.id(event.position.to_string()).event(name(&event)).data(event.body);
        Some((Ok::<_, Infallible>(told), follower))
    });
    let mut response = sse::Sse::new(stream).keep_alive(sse::KeepAlive::default()).into_response();
    response.headers_mut().insert(header::CACHE_CONTROL, HeaderValue::from_static("no-store"));
    Ok(response)
}

/// What an event is called here: `order.status.updated` is `order_status_updated`.
pub(super) fn name(event: &EventRow) -> String {
    event.topic.replace('.', "_")
}

/// Adds to a status what the shop calls it: `statusText`. The rest stays to the letter, amounts with all their digits.
fn call_status(event: &mut EventRow, words: &StatusWords) {
    #[derive(Deserialize)]
    struct Told {
        status: String,
    }
    let Ok(Told { status }) = serde_json::from_str(&event.body) else { return };
    if let Some(head) = event.body.trim_end().strip_suffix('}') {
        event.body = format!("{head},\"statusText\":{}}}", Value::String(words.of(&status)));
    }
}

/// One client's place in the log of one order.
pub(super) struct Follower {
    events: Arc<Events>,
    turns: watch::Receiver<Turn>,
    merchant: String,
    words: StatusWords,
    order: String,
    after: i64,
    found: VecDeque<EventRow>,
    until: Instant,
    _seat: Seat,
}

impl Follower {
    /// Follows an order behind a position of the log. Whether the caller may see it is checked by whoever asks.
    pub(super) async fn new(
        app: &App,
        caller: &Caller,
        order: &str,
        after: i64,
    ) -> Result<Follower, Problem> {
        let seat = FOLLOWERS.take(caller, "orders that are followed")?;
        Ok(Follower {
            turns: app.events.turns(),
            events: app.events.clone(),
            merchant: caller.merchant.clone(),
            words: app.events.status_words(&caller.merchant, &caller.sub).await?,
            order: order.to_owned(),
            after,
            found: VecDeque::new(),
            until: Instant::now() + FOLLOWED_FOR,
            _seat: seat,
        })
    }

    /// The next event, as soon as there is one. None: the stream ends.
    pub(super) async fn next(&mut self) -> Option<EventRow> {
        loop {
            if let Some(mut event) = self.found.pop_front() {
                self.after = event.position;
                call_status(&mut event, &self.words);
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
