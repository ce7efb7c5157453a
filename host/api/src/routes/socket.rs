//! Following orders over a WebSocket: a client joins the room of each order it wants to see.
//!
//! A room is told the log of its order, as `follow.rs` tells it to one stream. A client that is slow keeps its own rooms
//! waiting and nobody else; one that is silent, floods, or sends what is no message is sent home.

use std::collections::HashMap;
use std::time::{Duration, Instant};

use axum::extract::State;
use axum::extract::ws::rejection::WebSocketUpgradeRejection;
use axum::extract::ws::{CloseFrame, Message, WebSocket, WebSocketUpgrade, close_code};
use axum::response::Response;
use serde::{Deserialize, Serialize};
use serde_json::value::RawValue;
use till_commerce::events::{Event, Turn};
use tokio::sync::{mpsc, watch};
use tokio::task::AbortHandle;

use super::follow::{FOLLOWED_FOR, Follower, name};
use crate::App;
use crate::auth::Caller;
use crate::edge::RequestId;
use crate::problem::{Code, Problem};
use crate::seats::{Seat, Seats};

/// The subprotocol of the messages here.
const PROTOCOL: &str = "till.v1";
/// Begins the name of an order's room.
const ROOM: &str = "order_";
/// Sockets at the same time, and of one caller: some devices with some pages. Each has a connection and some kB.
static SOCKETS: Seats = Seats::new(2_000, 20);
/// Rooms of one socket.
const ROOMS_MAX: usize = 20;
/// Largest message of a client.
const MESSAGE_BYTES_MAX: usize = 4 * 1024;
/// Messages of a client in a minute; more is a flood.
const MESSAGES_A_MINUTE: u32 = 120;
/// A client is asked this often whether it is there.
const PING_EVERY: Duration = Duration::from_secs(25);
/// One that has not answered for this long is gone.
const SILENT_FOR: Duration = Duration::from_secs(60);
/// A message that a client does not take in this time is its last.
const SEND_TIME: Duration = Duration::from_secs(10);
/// Events of all rooms that wait for the client; each room waits when they are full.
const WAITING: usize = 64;

/// What a client says.
#[derive(Deserialize)]
#[serde(tag = "type", rename_all = "snake_case", rename_all_fields = "camelCase", deny_unknown_fields)]
enum Said {
    /// It wants to be told of an order, behind the last event it has seen.
    Join {
        room: String,
        #[serde(default)]
        last_event_id: Option<String>,
    },
    /// No longer.
    Leave { room: String },
}

/// What a client is told.
#[derive(Serialize)]
#[serde(tag = "type", rename_all = "snake_case", rename_all_fields = "camelCase")]
enum Told<'t> {
    Joined {
        room: &'t str,
    },
    Left {
        room: &'t str,
    },
    /// Something happened.
    Event {
        room: &'t str,
        event: String,
        id: String,
        data: &'t RawValue,
    },
    /// What was said cannot be done; the socket stays.
    Error {
        room: Option<&'t str>,
        problem: Box<RawValue>,
    },
}

/// Follows orders over a WebSocket.
///
/// Send `{"type":"join","room":"order_<id or number>","lastEventId":"…"}`; `lastEventId` is the `id` of the last event
/// seen, and without it all that happened so far comes first. `{"type":"leave","room":"…"}` ends it. Told are `joined`,
/// `left`, `event` (`room`, `event`: `order_status_updated`, `delivery_location_updated`, …, `id`, `data`) and `error`
/// (`room`, `problem`). The subprotocol is `till.v1`; where no header `Authorization` can be sent, offer
/// `bearer.<token>` as a second one. After 15 minutes, and when the host stops, the socket is closed with 1001: come again
/// with `lastEventId`.
#[utoipa::path(get, path = "/api/v1/tracking/socket", tag = "orders", security(("bearer" = [])),
    responses((status = 101, description = "the WebSocket is open")))]
pub(crate) async fn open(
    State(app): State<App>,
    caller: Caller,
    id: axum::Extension<RequestId>,
    upgrade: Result<WebSocketUpgrade, WebSocketUpgradeRejection>,
) -> Result<Response, Problem> {
    let upgrade = upgrade.map_err(|why| {
        Problem::new(Code::BadRequest, format!("open a WebSocket (RFC 6455) here: {}", why.body_text()))
    })?;
    let seat = SOCKETS.take(&caller, "open sockets")?;
    let upgrade = upgrade.protocols([PROTOCOL]).max_message_size(MESSAGE_BYTES_MAX);
    let trace = id.0.0;
    Ok(upgrade.on_upgrade(move |socket| async move {
        let (events, waiting) = mpsc::channel(WAITING);
        let client = Client { app, caller, trace, rooms: HashMap::new(), events, _seat: seat };
        client.serve(socket, waiting).await;
    }))
}

/// A room of a socket; left when it is dropped.
struct Room(AbortHandle);

impl Drop for Room {
    fn drop(&mut self) {
        self.0.abort();
    }
}

/// One client.
struct Client {
    app: App,
    caller: Caller,
    trace: String,
    rooms: HashMap<String, Room>,
    events: mpsc::Sender<(String, Event)>,
    _seat: Seat,
}

/// Why a socket is closed.
struct Bye(u16, &'static str);

impl Client {
    async fn serve(mut self, mut socket: WebSocket, mut waiting: mpsc::Receiver<(String, Event)>) {
        let Err(Bye(code, why)) = self.talk(&mut socket, &mut waiting).await;
        let close = Message::Close(Some(CloseFrame { code, reason: why.into() }));
        let _ = tokio::time::timeout(SEND_TIME, socket.send(close)).await;
    }

    /// Until there is a reason to end.
    async fn talk(
        &mut self,
        socket: &mut WebSocket,
        waiting: &mut mpsc::Receiver<(String, Event)>,
    ) -> Result<std::convert::Infallible, Bye> {
        let again = Bye(close_code::AWAY, "come again with lastEventId");
        let mut turns = self.app.events.turns();
        let until = tokio::time::Instant::now() + FOLLOWED_FOR;
        let mut ping = tokio::time::interval(PING_EVERY);
        let (mut heard, mut minute, mut messages) = (Instant::now(), Instant::now(), 0);
        loop {
            tokio::select! {
                () = stopping(&mut turns) => return Err(again),
                () = tokio::time::sleep_until(until) => return Err(again),
                _ = ping.tick() => {
                    if heard.elapsed() > SILENT_FOR {
                        return Err(Bye(close_code::POLICY, "silent for too long"));
                    }
                    send(socket, Message::Ping(bytes::Bytes::new())).await?;
                }
                Some((room, event)) = waiting.recv() => {
                    // An event of a room that was left meanwhile is nobody's.
                    if self.rooms.contains_key(&room) {
                        tell(socket, &event_of(&room, &event)?).await?;
                    }
                }
                said = socket.recv() => {
                    heard = Instant::now();
                    if minute.elapsed() > Duration::from_secs(60) {
                        (minute, messages) = (Instant::now(), 0);
                    }
                    messages += 1;
                    if messages > MESSAGES_A_MINUTE {
                        return Err(Bye(close_code::POLICY, "too many messages"));
                    }
                    match said {
                        Some(Ok(Message::Text(text))) => self.said(socket, &text).await?,
                        Some(Ok(Message::Binary(_))) => {
                            return Err(Bye(close_code::UNSUPPORTED, "messages are JSON text"));
                        }
                        Some(Ok(Message::Ping(_) | Message::Pong(_))) => {}
                        Some(Ok(Message::Close(_))) | None => return Err(Bye(close_code::NORMAL, "")),
                        Some(Err(_)) => return Err(Bye(close_code::PROTOCOL, "no message")),
                    }
                }
            }
        }
    }

    async fn said(&mut self, socket: &mut WebSocket, text: &str) -> Result<(), Bye> {
        match serde_json::from_str(text) {
            Ok(Said::Join { room, last_event_id }) => match self.join(&room, last_event_id).await {
                Ok(follower) => {
                    // Before the first event of it.
                    tell(socket, &Told::Joined { room: &room }).await?;
                    let (events, named) = (self.events.clone(), room.clone());
                    let followed = tokio::spawn(pass_on(follower, named, events));
                    self.rooms.insert(room, Room(followed.abort_handle()));
                    Ok(())
                }
                Err(problem) => self.refuse(socket, Some(&room), &problem).await,
            },
            Ok(Said::Leave { room }) => {
                self.rooms.remove(&room);
                tell(socket, &Told::Left { room: &room }).await
            }
            Err(why) => {
                let problem =
                    Problem::new(Code::BadRequest, format!("`join` or `leave` is understood: {why}"));
                self.refuse(socket, None, &problem).await
            }
        }
    }

    /// Whoever may read the order may follow it.
    async fn join(&self, room: &str, last_event_id: Option<String>) -> Result<Follower, Problem> {
        let Some(order) = room.strip_prefix(ROOM) else {
            return Err(Problem::field("room", "`order_` and the id or number of an order is needed"));
        };
        let after = match last_event_id.as_deref() {
            None | Some("") => 0,
            Some(id) => {
                id.parse().map_err(|_| Problem::field("lastEventId", "the `id` of an event is needed"))?
            }
        };
        if self.rooms.len() >= ROOMS_MAX && !self.rooms.contains_key(room) {
            let why = format!("a socket has at most {ROOMS_MAX} rooms; leave one, or open another socket");
            return Err(Problem::field("room", why));
        }
        let order = self.app.shop.order(&self.caller.merchant, &self.caller.sub, order).await?;
        Follower::new(&self.app, &self.caller, &order.id, after).await
    }

    async fn refuse(&self, socket: &mut WebSocket, room: Option<&str>, problem: &Problem) -> Result<(), Bye> {
        let body = String::from_utf8(problem.body(&self.trace)).unwrap_or_default();
        let problem = RawValue::from_string(body).map_err(|_| Bye(close_code::ERROR, "no words"))?;
        tell(socket, &Told::Error { room, problem }).await
    }
}

/// Until the host stops.
async fn stopping(turns: &mut watch::Receiver<Turn>) {
    let _ = turns.wait_for(|turn| turn.stopping).await;
}

/// Hands the events of a room on, as fast as the client takes them.
async fn pass_on(mut follower: Follower, room: String, events: mpsc::Sender<(String, Event)>) {
    while let Some(event) = follower.next().await {
        if events.send((room.clone(), event)).await.is_err() {
            return;
        }
    }
}

fn event_of<'t>(room: &'t str, event: &'t Event) -> Result<Told<'t>, Bye> {
    let data =
        serde_json::from_str(&event.body).map_err(|_| Bye(close_code::ERROR, "an event is no JSON"))?;
    Ok(Told::Event { room, event: name(event), id: event.position.to_string(), data })
}

async fn tell(socket: &mut WebSocket, told: &Told<'_>) -> Result<(), Bye> {
    let text = serde_json::to_string(told).map_err(|_| Bye(close_code::ERROR, "no words"))?;
    send(socket, Message::Text(text.into())).await
}

async fn send(socket: &mut WebSocket, message: Message) -> Result<(), Bye> {
    match tokio::time::timeout(SEND_TIME, socket.send(message)).await {
        Ok(Ok(())) => Ok(()),
        Ok(Err(_)) => Err(Bye(close_code::AWAY, "")),
        Err(_) => Err(Bye(close_code::POLICY, "too slow")),
    }
}
