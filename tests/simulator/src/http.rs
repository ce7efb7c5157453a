//! The provider's API, and the admin's side of it.

use crate::behaviour::{Behaviour, NextBehaviour, Operation, Script};
use crate::ledger::{Change, Ledger, Reply, error};
use crate::webhook::{self, Mode, Target};
use axum::body::{Body, Bytes};
use axum::extract::{Path, State};
use axum::http::{HeaderMap, Response, StatusCode, header};
use axum::routing::{get, post};
use axum::{Json, Router};
use serde_json::{Value, json};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, UNIX_EPOCH};

/// Longer than any caller waits.
const NEVER: Duration = Duration::from_secs(600);
const SLOW: Duration = Duration::from_secs(2);

#[derive(Clone)]
struct Provider(Arc<Inner>);

struct Inner {
    ledger: Ledger,
    api_key: String,
    client: reqwest::Client,
    script: Mutex<Script<Operation>>,
    webhook: Mutex<Option<Target>>,
}

pub fn router(ledger: Ledger, api_key: String) -> anyhow::Result<Router> {
    let client = reqwest::Client::builder().no_proxy().build()?;
    let provider = Provider(Arc::new(Inner {
        ledger,
        api_key,
        client,
        script: Mutex::default(),
        webhook: Mutex::default(),
    }));
    Ok(Router::new()
        .route("/v1/payments", post(pay))
        .route("/v1/intents", post(prepare))
        .route("/v1/intents/{id}", get(intent))
        .route("/v1/intents/{id}/{operation}", post(operate))
        .route("/v1/keys/{key}", get(by_key))
        .route("/admin/charges", get(charges))
        .route("/admin/behaviour", post(set_behaviour))
        .route("/admin/webhook", post(set_webhook))
        .with_state(provider))
}

async fn prepare(State(provider): State<Provider>, headers: HeaderMap, body: Bytes) -> Response<Body> {
    provider.change(Operation::Prepare, None, headers, body).await
}

async fn pay(State(provider): State<Provider>, headers: HeaderMap, body: Bytes) -> Response<Body> {
    provider.change(Operation::Authorize, None, headers, body).await
}

async fn operate(
    State(provider): State<Provider>,
    Path((id, operation)): Path<(String, String)>,
    headers: HeaderMap,
    body: Bytes,
) -> Response<Body> {
    let operation = match operation.as_str() {
        "authorize" => Operation::Authorize,
        "confirm" => Operation::Confirm,
        "capture" => Operation::Capture,
        "void" => Operation::Void,
        "refund" => Operation::Refund,
        _ => return answer(error(404, "no_such_operation", "there is no such operation")),
    };
    provider.change(operation, Some(id), headers, body).await
}

async fn intent(
    State(provider): State<Provider>,
    Path(id): Path<String>,
    headers: HeaderMap,
) -> Response<Body> {
    if !provider.knows(&headers) {
        return answer(unauthorized());
    }
    match provider.0.ledger.intent(&id) {
        Ok(Some(intent)) => answer(Reply { status: 200, body: json!(intent), fresh: false }),
        Ok(None) => answer(error(404, "no_such_intent", "there is no such payment")),
        Err(broken) => failed(&broken),
    }
}

async fn by_key(
    State(provider): State<Provider>,
    Path(key): Path<String>,
    headers: HeaderMap,
) -> Response<Body> {
    if !provider.knows(&headers) {
        return answer(unauthorized());
    }
    match provider.0.ledger.by_key(&key) {
        Ok(Some(body)) => answer(Reply { status: 200, body, fresh: false }),
        Ok(None) => answer(error(404, "no_such_key", "no request with this key was carried out")),
        Err(broken) => failed(&broken),
    }
}

async fn charges(State(provider): State<Provider>) -> Response<Body> {
    match provider.0.ledger.movements() {
        Ok(body) => answer(Reply { status: 200, body, fresh: false }),
        Err(broken) => failed(&broken),
    }
}

async fn set_behaviour(
    State(provider): State<Provider>,
    Json(next): Json<NextBehaviour<Operation>>,
) -> StatusCode {
    let mut script = provider.0.script.lock().unwrap_or_else(PoisonError::into_inner);
    script.set(next.operation, next.behaviour, next.times);
    StatusCode::NO_CONTENT
}

async fn set_webhook(State(provider): State<Provider>, Json(target): Json<Target>) -> StatusCode {
    *provider.0.webhook.lock().unwrap_or_else(PoisonError::into_inner) = Some(target);
    StatusCode::NO_CONTENT
}

impl Provider {
    fn knows(&self, headers: &HeaderMap) -> bool {
        knows(&self.0.api_key, headers)
    }

    async fn change(
        self,
        operation: Operation,
        intent: Option<String>,
        headers: HeaderMap,
        body: Bytes,
    ) -> Response<Body> {
        if !self.knows(&headers) {
            return answer(unauthorized());
        }
        let Some(key) = headers.get("idempotency-key").and_then(|key| key.to_str().ok()) else {
            return answer(error(400, "bad_request", "an Idempotency-Key is needed"));
        };
        let Ok(body) = serde_json::from_slice::<Value>(&body) else {
            return answer(error(400, "bad_request", "the body is not JSON"));
        };
        let scripted = self.0.script.lock().unwrap_or_else(PoisonError::into_inner).next(&operation);
        let behaviour = scripted.unwrap_or_else(|| match operation {
            Operation::Authorize => Behaviour::of_token(body["token"].as_str().unwrap_or_default()),
            _ => Behaviour::Ok,
        });
        let change = Change { operation, key: key.to_owned(), intent, body, now_ms: now_ms() };
        // A task of its own: what is carried out does not stop because the caller hung up.
        match tokio::spawn(self.carry_out(change, behaviour)).await {
            Ok(response) => response,
            Err(panic) => failed(&panic.into()),
        }
    }

    async fn carry_out(self, change: Change, behaviour: Behaviour) -> Response<Body> {
        if let Some(lost) = lose(behaviour).await {
            return lost;
        }
        let reply = match self.0.ledger.change(&change, behaviour) {
            Ok(reply) => reply,
            Err(broken) => return failed(&broken),
        };
        if reply.fresh && change.operation != Operation::Prepare {
            self.tell(&change, &reply.body).await;
        }
        // Only the first answer gets lost: a request repeated under its key hears what became of it.
        if !reply.fresh {
            return answer(reply);
        }
        deliver(behaviour, reply).await
    }

    async fn tell(&self, change: &Change, intent: &Value) {
        let target = self.0.webhook.lock().unwrap_or_else(PoisonError::into_inner).clone();
        let Some(target) = target else { return };
        let event = webhook::event(change.operation, &change.key, intent, change.now_ms);
        let before_reply = target.mode == Mode::BeforeReply;
        let sending = webhook::send(self.0.client.clone(), target, event, change.now_ms);
        if before_reply {
            sending.await;
        } else {
            tokio::spawn(sending);
        }
    }
}

/// The caller has the key.
pub fn knows(api_key: &str, headers: &HeaderMap) -> bool {
    headers
        .get(header::AUTHORIZATION)
        .is_some_and(|value| value.as_bytes() == format!("Bearer {api_key}").as_bytes())
}

/// What comes before anything is done. Some: it is not done at all.
pub async fn lose(behaviour: Behaviour) -> Option<Response<Body>> {
    if behaviour.loses_request() {
        if behaviour == Behaviour::TimeoutBefore {
            tokio::time::sleep(NEVER).await;
        }
        return Some(answer(error(500, "internal", "something broke")));
    }
    if behaviour == Behaviour::Slow {
        tokio::time::sleep(SLOW).await;
    }
    None
}

/// The answer to what was done, or what becomes of it.
pub async fn deliver(behaviour: Behaviour, reply: Reply) -> Response<Body> {
    match behaviour {
        Behaviour::TimeoutAfter => {
            tokio::time::sleep(NEVER).await;
            answer(reply)
        }
        Behaviour::Error500After => answer(error(500, "internal", "something broke")),
        Behaviour::GarbageAfter => raw(Body::from("<html>Bad gateway?</html>"), None),
        Behaviour::CutAfter => {
            let text = reply.body.to_string();
            let length = text.len() + 100;
            raw(Body::from_stream(cut(text)), Some(length))
        }
        _ => answer(reply),
    }
}

/// A body that breaks off.
fn cut(text: String) -> impl futures::Stream<Item = Result<Bytes, std::io::Error>> {
    let broken = std::io::Error::other("cut off on purpose");
    futures::stream::iter([Ok(Bytes::from(text)), Err(broken)])
}

pub fn answer(reply: Reply) -> Response<Body> {
    let mut response = Response::new(Body::from(reply.body.to_string()));
    *response.status_mut() = StatusCode::from_u16(reply.status).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR);
    response.headers_mut().insert(header::CONTENT_TYPE, header::HeaderValue::from_static("application/json"));
    response
}

fn raw(body: Body, length: Option<usize>) -> Response<Body> {
    let mut response = Response::new(body);
    if let Some(length) = length {
        response.headers_mut().insert(header::CONTENT_LENGTH, header::HeaderValue::from(length));
    }
    response
}

pub fn failed(broken: &anyhow::Error) -> Response<Body> {
    eprintln!("simulator: {broken:#}");
    answer(error(500, "simulator_broken", "the simulator itself failed"))
}

pub fn unauthorized() -> Reply {
    error(401, "unauthorized", "the key is wrong")
}

#[expect(clippy::disallowed_methods, reason = "the provider is another machine, with a clock of its own")]
pub fn now_ms() -> u64 {
    let now = std::time::SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    u64::try_from(now.as_millis()).unwrap_or(u64::MAX)
}
