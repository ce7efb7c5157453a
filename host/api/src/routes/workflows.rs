//! Workflow instances as a resource: start, read, journal, signals, operator's acts.
//!
//! A shopper sees the instances that belong to them and sends what the definition lets shoppers send; a token
//! with the scope `operator` sees all of its merchant and sends as an operator. What belongs to somebody else
//! is not found. Checkouts have their own routes; here they are for operators only.

use std::sync::Arc;
use std::time::Duration;
use till_commerce::access::Wanted;

use axum::extract::State;
use axum::http::{HeaderMap, StatusCode, header};
use axum::response::Response;
use serde::Serialize;
use serde_json::{Value, json as value};
use till_commerce::CHECKOUT;
use till_commerce::fulfilment::FULFILMENT;
use till_engine::definition::Sender;
use till_engine::instance::{Instance, Status};
use till_engine::journal::Entry;
use till_engine::runner::{SignalAnswer, SignalRequest, StartRequest, request_hash};
use till_model::id::canonical_json;
use utoipa::ToSchema;
use uuid::Uuid;

use super::{json, last_of, tagged, with};
use crate::App;
use crate::auth::Caller;
use crate::problem::{Code, Problem};
use crate::read::{At, Fields, Json, Query, idempotency_key, prefer_wait};
use crate::wire::time;

/// Longest id, name or reason a client may choose.
const NAME_BYTES_MAX: usize = 200;

/// A start.
#[derive(ToSchema)]
pub(crate) struct StartIn {
    /// Each listed in the definition's `inputs`.
    #[schema(value_type = Option<Object>)]
    inputs: Value,
}

impl StartIn {
    pub(crate) fn read(fields: &mut Fields<'_>) -> StartIn {
        let inputs = fields.value("inputs").unwrap_or_else(|| value!({}));
        if !inputs.is_object() {
            fields.wrong("inputs", "an object is needed: `{…}`");
        }
        StartIn { inputs }
    }
}

/// An operator's act on a parked instance.
#[derive(ToSchema)]
pub(crate) struct OperateIn {
    /// `retry` or `skip`.
    act: String,
    /// For the journal.
    why: String,
}

impl OperateIn {
    pub(crate) fn read(fields: &mut Fields<'_>) -> OperateIn {
        let act = fields.text("act");
        let act = fields.need("act", act);
        if !act.is_empty() && act != "retry" && act != "skip" {
            fields.wrong("act", "`retry` or `skip` is needed");
        }
        let why = fields.text("why").filter(|why| !why.trim().is_empty());
        let why = fields.need("why", why);
        if why.len() > NAME_BYTES_MAX {
            fields.wrong("why", format!("at most {NAME_BYTES_MAX} bytes"));
        }
        OperateIn { act, why }
    }
}

/// An instance.
#[derive(Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub(crate) struct InstanceOut {
    id: String,
    workflow: String,
    uid: String,
    /// Whom it belongs to; empty for nobody.
    subject: String,
    /// `running`, `waiting`, `compensating`, `parked` or `completed`.
    status: &'static str,
    /// State of the definition.
    state: String,
    version: i64,
    /// Digest of the definition it keeps for life.
    definition: String,
    /// Why a person must look.
    #[serde(skip_serializing_if = "Option::is_none")]
    attention: Option<String>,
    /// Inputs and results. Not in lists.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(value_type = Option<Object>)]
    context: Option<Value>,
    created_at: String,
    updated_at: String,
}

impl InstanceOut {
    fn brief(instance: &Instance) -> InstanceOut {
        InstanceOut {
            id: instance.id.clone(),
            workflow: instance.workflow.clone(),
            uid: instance.uid.to_string(),
            subject: instance.subject.clone(),
            status: instance.status.as_str(),
            state: instance.state.clone(),
            version: instance.version,
            definition: instance.definition.clone(),
            attention: instance.control.attention.clone(),
            context: None,
            created_at: time(instance.created_us),
            updated_at: time(instance.updated_us),
        }
    }

    fn full(instance: &Instance) -> InstanceOut {
        InstanceOut { context: Some(instance.context.as_ref().clone()), ..InstanceOut::brief(instance) }
    }
}

/// A list of instances.
#[derive(Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub(crate) struct InstancesOut {
    /// Newest first.
    instances: Vec<InstanceOut>,
    #[serde(skip_serializing_if = "Option::is_none")]
    next_cursor: Option<String>,
}

/// A journal entry.
#[derive(Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub(crate) struct EntryOut {
    seq: i64,
    #[schema(value_type = String)]
    kind: till_engine::journal::Kind,
    state: String,
    #[serde(skip_serializing_if = "String::is_empty")]
    step: String,
    attempt: u32,
    /// Idempotency key of an external effect.
    #[serde(skip_serializing_if = "Option::is_none")]
    key: Option<String>,
    #[schema(value_type = Object)]
    body: Value,
    at: String,
}

/// A part of a journal.
#[derive(Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub(crate) struct JournalOut {
    entries: Vec<EntryOut>,
    /// Give it as `after` to read on; absent at the end.
    #[serde(skip_serializing_if = "Option::is_none")]
    next_after: Option<i64>,
}

/// Shoppers reach checkouts through their own routes.
fn allowed(caller: &Caller, workflow: &str) -> Result<(), Problem> {
    if workflow != CHECKOUT || caller.has(Wanted::Operate) {
        return Ok(());
    }
    let detail = "checkouts are under /api/v1/checkout; here they need the scope `operator`";
    Err(Problem::new(Code::Forbidden, detail))
}

/// The instance, if the caller may see it.
async fn own(app: &App, caller: &Caller, workflow: &str, id: &str) -> Result<Instance, Problem> {
    allowed(caller, workflow)?;
    let found = app.runner.find(&caller.merchant, workflow, id).await?;
    let found = found.filter(|l| caller.has(Wanted::Operate) || l.instance.subject == caller.sub);
    found.map(|l| l.instance).ok_or_else(|| Problem::not_found("instance", id))
}

/// The instance after at most `wait`.
async fn after(app: &App, caller: &Caller, uid: Uuid, wait: Duration) -> Result<Arc<Instance>, Problem> {
    let seen = app.runner.wait(&caller.merchant, uid, wait, Instance::rests).await?;
    seen.ok_or_else(|| Problem::internal(format!("instance {uid} vanished")))
}

fn answer(status: StatusCode, instance: &Instance) -> Result<Response, Problem> {
    Ok(tagged(json(status, &InstanceOut::full(instance))?, instance.version))
}

/// Starts an instance under an id of the client's, or attaches to the one of the same id and content.
#[utoipa::path(put, path = "/api/v1/workflows/{name}/instances/{id}", tag = "workflows", security(("bearer" = [])),
    params(("name" = String, Path), ("id" = String, Path, description = "chosen by the client"),
        ("Prefer" = Option<String>, Header, description = "`wait=N`: answer when it rests, after at most N seconds")),
    request_body = StartIn,
    responses((status = 201, body = InstanceOut, description = "started"),
        (status = 200, body = InstanceOut, description = "it was there")))]
pub(crate) async fn start(
    State(app): State<App>,
    caller: Caller,
    At((workflow, id)): At<(String, String)>,
    headers: HeaderMap,
    body: Json,
) -> Result<Response, Problem> {
    allowed(&caller, &workflow)?;
    if workflow == FULFILMENT {
        return Err(Problem::new(
            Code::Forbidden,
            "parcels are begun by the host, when their order is being prepared",
        ));
    }
    if id.is_empty() || id.len() > NAME_BYTES_MAX || id.chars().any(char::is_control) {
        return Err(Problem::field("id", format!("1 to {NAME_BYTES_MAX} visible bytes are needed")));
    }
    let mut fields = body.fields_or_none()?;
    let StartIn { inputs } = StartIn::read(&mut fields);
    fields.finish()?;
    let hash = request_hash(&["start", &workflow, &caller.sub, &canonical_json(&inputs)]);
    let request = StartRequest {
        merchant: caller.merchant.clone(),
        workflow: workflow.clone(),
        id: id.clone(),
        subject: caller.sub.clone(),
        inputs,
        context: Value::Null,
        pins: app.registry.pins(&caller.merchant, &id).await?,
        hash,
    };
    let started = app.runner.start(request).await?;
    let wait = prefer_wait(&headers, 0);
    let begun = tokio::time::Instant::now();
    // Most come to rest in this process: what its drive says needs no look at the store.
    let rested = started.watch.rested(wait).await;
    let instance = match started.watch.last() {
        Some(seen) if rested || wait.is_zero() => seen,
        Some(seen) => after(&app, &caller, seen.uid, wait.saturating_sub(begun.elapsed())).await?,
        None => Arc::new(own(&app, &caller, &workflow, &id).await?),
    };
    let status = if started.created { StatusCode::CREATED } else { StatusCode::OK };
    let url = format!("/api/v1/workflows/{workflow}/instances/{id}");
    Ok(with(answer(status, &instance)?, header::LOCATION, &url))
}

/// Reads an instance.
#[utoipa::path(get, path = "/api/v1/workflows/{name}/instances/{id}", tag = "workflows", security(("bearer" = [])),
    params(("name" = String, Path), ("id" = String, Path),
        ("Prefer" = Option<String>, Header, description = "`wait=N`: answer when it rests, after at most N seconds")),
    responses((status = 200, body = InstanceOut)))]
pub(crate) async fn read(
    State(app): State<App>,
    caller: Caller,
    At((workflow, id)): At<(String, String)>,
    headers: HeaderMap,
) -> Result<Response, Problem> {
    let mut instance = Arc::new(own(&app, &caller, &workflow, &id).await?);
    let wait = prefer_wait(&headers, 0);
    if !wait.is_zero() {
        instance = after(&app, &caller, instance.uid, wait).await?;
    }
    answer(StatusCode::OK, &instance)
}

/// Reads what happened to an instance, in order.
#[utoipa::path(get, path = "/api/v1/workflows/{name}/instances/{id}/journal", tag = "workflows",
    security(("bearer" = [])),
    params(("name" = String, Path), ("id" = String, Path),
        ("after" = Option<i64>, Query, description = "`nextAfter` of the part before"),
        ("limit" = Option<i64>, Query, description = "1 to 500; 100 by default")),
    responses((status = 200, body = JournalOut)))]
pub(crate) async fn journal(
    State(app): State<App>,
    caller: Caller,
    At((workflow, id)): At<(String, String)>,
    mut query: Query,
) -> Result<Response, Problem> {
    let limit = query.limit(100, 500)?;
    let after = match query.text("after") {
        Some(text) => text.parse().map_err(|_| Problem::field("after", "a whole number is needed"))?,
        None => 0,
    };
    query.finish()?;
    let instance = own(&app, &caller, &workflow, &id).await?;
    let entries = app.runner.store().journal(&caller.merchant, instance.uid, after, limit).await?;
    let next_after = last_of(&entries, limit).map(|entry| entry.seq);
    let entries = entries.into_iter().map(|Entry { seq, kind, state, step, attempt, key, body, at_us }| {
        EntryOut { seq, kind, state, step, attempt, key, body, at: time(at_us) }
    });
    json(StatusCode::OK, &JournalOut { entries: entries.collect(), next_after })
}

/// Lists instances, newest first.
#[utoipa::path(get, path = "/api/v1/workflows/instances", tag = "workflows", security(("bearer" = [])),
    params(("workflow" = Option<String>, Query), ("status" = Option<String>, Query, description = "`running`, `waiting`, `compensating`, `parked` or `completed`"),
        ("limit" = Option<i64>, Query, description = "1 to 200; 50 by default"),
        ("cursor" = Option<String>, Query, description = "`nextCursor` of the page before")),
    responses((status = 200, body = InstancesOut)))]
pub(crate) async fn list(
    State(app): State<App>,
    caller: Caller,
    mut query: Query,
) -> Result<Response, Problem> {
    let limit = query.limit(50, 200)?;
    let workflow = query.text("workflow").unwrap_or_default().to_owned();
    let all = [Status::Running, Status::Waiting, Status::Compensating, Status::Parked, Status::Completed];
    let status = match query.text("status") {
        None => None,
        Some(text) => Some(all.into_iter().find(|s| s.as_str() == text).ok_or_else(|| {
            Problem::field(
                "status",
                "`running`, `waiting`, `compensating`, `parked` or `completed` is needed",
            )
        })?),
    };
    let before = match query.text("cursor") {
        None => Uuid::max(),
        Some(text) => {
            text.parse().map_err(|_| Problem::field("cursor", "`nextCursor` of a page is needed"))?
        }
    };
    query.finish()?;
    let subject = if caller.has(Wanted::Operate) { "" } else { caller.sub.as_str() };
    let found =
        app.runner.store().instances(&caller.merchant, &workflow, subject, status, before, limit).await?;
    let next_cursor = last_of(&found, limit).map(|instance| instance.uid.to_string());
    let instances = found.iter().map(InstanceOut::brief).collect();
    json(StatusCode::OK, &InstancesOut { instances, next_cursor })
}

/// Sends a signal. With an `Idempotency-Key` it is taken once. It waits durably while the instance is busy.
#[utoipa::path(post, path = "/api/v1/workflows/{name}/instances/{id}/signals/{signal}", tag = "workflows",
    security(("bearer" = [])),
    params(("name" = String, Path), ("id" = String, Path), ("signal" = String, Path),
        ("Idempotency-Key" = Option<String>, Header),
        ("Prefer" = Option<String>, Header, description = "`wait=N`: answer when it rests, after at most N seconds")),
    request_body = Object,
    responses((status = 200, body = InstanceOut, description = "it took effect"),
        (status = 202, body = InstanceOut, description = "it is kept until the instance rests")))]
pub(crate) async fn signal(
    State(app): State<App>,
    caller: Caller,
    At((workflow, id, name)): At<(String, String, String)>,
    headers: HeaderMap,
    body: Json,
) -> Result<Response, Problem> {
    let value: Value = if body.0.is_empty() { value!({}) } else { body.document()? };
    if !value.is_object() {
        return Err(Problem::field("$", "an object is needed: `{…}`"));
    }
    send(&app, &caller, &workflow, &id, &name, value, &headers).await
}

/// Asks an instance to end: the signal `cancel` of its definition.
#[utoipa::path(post, path = "/api/v1/workflows/{name}/instances/{id}/cancel", tag = "workflows",
    security(("bearer" = [])), params(("name" = String, Path), ("id" = String, Path)),
    responses((status = 200, body = InstanceOut), (status = 202, body = InstanceOut)))]
pub(crate) async fn cancel(
    State(app): State<App>,
    caller: Caller,
    At((workflow, id)): At<(String, String)>,
    headers: HeaderMap,
    body: Json,
) -> Result<Response, Problem> {
    body.fields_or_none()?.finish()?;
    send(&app, &caller, &workflow, &id, "cancel", value!({}), &headers).await
}

async fn send(
    app: &App,
    caller: &Caller,
    workflow: &str,
    id: &str,
    name: &str,
    body: Value,
    headers: &HeaderMap,
) -> Result<Response, Problem> {
    let instance = own(app, caller, workflow, id).await?;
    if name.starts_with("till.") {
        return Err(Problem::new(Code::Forbidden, "use …/operate for an operator's act"));
    }
    let (sender, source) = match caller.has(Wanted::Operate) {
        true => (Sender::Operator, "operator"),
        false => (Sender::Shopper, "api"),
    };
    let key = idempotency_key(headers)?.unwrap_or_else(|| Uuid::now_v7().to_string());
    let answer = app.runner.signal(SignalRequest {
        merchant: caller.merchant.clone(),
        uid: instance.uid,
        name: name.to_owned(),
        sender,
        source: source.to_owned(),
        dedup: format!("{}:signal:{}:{key}", instance.uid, caller.sub),
        hash: request_hash(&["signal", name, &canonical_json(&body)]),
        body,
        keep: true,
    });
    became(app, caller, instance.uid, answer.await?, headers).await
}

async fn became(
    app: &App,
    caller: &Caller,
    uid: Uuid,
    answered: SignalAnswer,
    headers: &HeaderMap,
) -> Result<Response, Problem> {
    let status = match answered {
        SignalAnswer::Taken(_) | SignalAnswer::Repeated(_) => StatusCode::OK,
        SignalAnswer::Queued(_) => StatusCode::ACCEPTED,
        SignalAnswer::Busy(_) => return Err(Problem::new(Code::Busy, "the instance is being worked on")),
        SignalAnswer::OtherRequest => {
            return Err(Problem::new(Code::KeyReused, "the key was used for another signal or body"));
        }
        SignalAnswer::NotExpected(why) | SignalAnswer::Refused(why) => {
            return Err(Problem::new(Code::NotExpected, why));
        }
        SignalAnswer::Forbidden(why) => return Err(Problem::new(Code::Forbidden, why)),
    };
    answer(status, &*after(app, caller, uid, prefer_wait(headers, 0)).await?)
}

/// Lets a parked instance go on. Needs the scope `operator`; who and why are journalled.
#[utoipa::path(post, path = "/api/v1/workflows/{name}/instances/{id}/operate", tag = "workflows",
    security(("bearer" = [])), params(("name" = String, Path), ("id" = String, Path)),
    request_body = OperateIn, responses((status = 200, body = InstanceOut)))]
pub(crate) async fn operate(
    State(app): State<App>,
    caller: Caller,
    At((workflow, id)): At<(String, String)>,
    headers: HeaderMap,
    body: Json,
) -> Result<Response, Problem> {
    caller.needs(Wanted::Operate)?;
    let mut fields = body.fields()?;
    let OperateIn { act, why } = OperateIn::read(&mut fields);
    fields.finish()?;
    let instance = own(&app, &caller, &workflow, &id).await?;
    let answered = app.runner.operate(&caller.merchant, instance.uid, &act, &caller.sub, &why).await?;
    became(&app, &caller, instance.uid, answered, &headers).await
}
