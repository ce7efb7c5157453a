//! Components: upload, use, try out, go back, revoke; what is taken out of live checkouts for backtests and fixtures.
//! Their tables and secrets are beside this. Reading needs the scope `components:read`, changing `components`; `admin` has both.

use std::collections::BTreeMap;
use std::str::FromStr as _;
use till_commerce::access::{Area, Wanted};

use axum::body::Body;
use axum::extract::{Request, State};
use axum::http::{StatusCode, header};
use axum::response::Response;
use data_encoding::BASE64;
use serde::Serialize;
use serde_json::value::RawValue;
use serde_json::{Value, json as value};
use till_registry::{
    Activation, Change, Difference, DifferencePlace, FailurePolicy, Guard, Known, LifeStep, OwnLimits, Push,
    Pushed, Source, Stage, TableFormat, Trial, TrialReport, Turn,
};
use till_sandbox::Slot;
use utoipa::ToSchema;
use uuid::Uuid;

use super::{json, last_of, no_content};
use crate::App;
use crate::auth::Caller;
use crate::problem::Problem;
use crate::read::{At, Fields, Json, PUSH_BYTES_MAX, Query};
use crate::upload::UPLOADS;
use crate::wire::time;

/// Largest component: gateways with a TLS-free HTTP stack have 2 MB, interpreters 30.
const WASM_BYTES_MAX: usize = 32 << 20;

/// A component for a slot.
#[derive(ToSchema)]
#[schema(rename_all = "camelCase")]
#[expect(dead_code, reason = "describes the body in OpenAPI; it is read field by field")]
pub(crate) struct PushIn {
    /// `pricing`, `promotion`, `tax`, `shipping` or `payment-gateway`.
    slot: String,
    /// Position in an ordered slot (`10`, `20`), or the payment method; `default` without.
    name: Option<String>,
    /// The binary, in base64; at most 32 MiB decoded. Or `component`.
    wasm_base64: Option<String>,
    /// Digest of a component that was uploaded before. Or `wasmBase64`.
    component: Option<String>,
    /// For the component, by its schema.
    config: Option<Value>,
    /// Where a gateway may send requests: `https://api.example.com`.
    origins: Option<Vec<String>>,
    allow_private_addresses: Option<bool>,
    /// What happens when it cannot answer: `refuse` (default), `fallback` or `omit`. A canary without one falls back
    /// on what is active.
    policy: Option<String>,
    /// With `fallback`: digest of the binding that answers instead.
    fallback: Option<String>,
    /// Wall time of the network in one call, milliseconds: 100 to 30,000.
    network_ms: Option<u64>,
    /// Limits below the host's: `fuel`, `memoryBytes`, `inputBytes`, `outputBytes`.
    #[schema(value_type = Option<Object>)]
    limits: Option<OwnLimits>,
    /// By name: the digest of an uploaded table, or a small one itself. A value that is no text is kept as it is
    /// written.
    #[schema(value_type = Option<Object>)]
    tables: Option<BTreeMap<String, Value>>,
    /// Names of secrets that may be used for it.
    secrets: Option<Vec<String>>,
    /// `active` (default), `canary`, `shadow`, or `ready`: checked and kept only.
    stage: Option<String>,
    /// Canary: share of the checkouts, parts per million. 50,000 (5 %) without.
    share_ppm: Option<u64>,
    /// Canary: when it goes back by itself: `callsMin`, `failuresMaxPpm`, `timeMaxMs`, `slowMaxPpm`.
    #[schema(value_type = Option<Object>)]
    guard: Option<Guard>,
    /// Use it although it fails conformance checks; `why` is needed then.
    skip_conformance: Option<bool>,
    /// Reason, for the history; at most 500 bytes.
    why: Option<String>,
}

/// A binding to change.
#[derive(ToSchema)]
#[schema(rename_all = "camelCase")]
#[expect(dead_code, reason = "describes the body in OpenAPI; it is read field by field")]
pub(crate) struct TurnIn {
    /// `pricing`, `promotion`, `tax`, `shipping` or `payment-gateway`.
    slot: String,
    /// `default` without.
    name: Option<String>,
    /// Reason, for the history; at most 500 bytes.
    why: Option<String>,
    /// Rollback only: the revision to use again; without, the one before what is used now.
    revision: Option<i64>,
    /// Canary only: its new share, parts per million.
    share_ppm: Option<u64>,
}

/// Which component to revoke.
#[derive(ToSchema)]
#[expect(dead_code, reason = "describes the body in OpenAPI; it is read field by field")]
pub(crate) struct RevokeIn {
    /// Digest of the component.
    component: String,
    /// Reason; it is told to whoever meets the component.
    why: String,
}

fn slot_of(fields: &mut Fields<'_>) -> Slot {
    let slot = fields.text("slot");
    let slot = fields.need("slot", slot);
    Slot::from_str(&slot).unwrap_or_else(|error| {
        if !slot.is_empty() {
            fields.wrong("slot", error.to_string());
        }
        Slot::Pricing
    })
}

fn turn_in(fields: &mut Fields<'_>, who: &str) -> Turn {
    Turn {
        slot: slot_of(fields),
        name: fields.text("name").unwrap_or_else(|| "default".to_owned()),
        who: who.to_owned(),
        why: fields.text("why").unwrap_or_default(),
    }
}

/// Reads a push; its tables are given as they were sent.
pub(crate) fn push_in(fields: &mut Fields<'_>, who: &str) -> (Push, BTreeMap<String, Box<RawValue>>) {
    let slot = slot_of(fields);
    let name = fields.text("name").unwrap_or_else(|| "default".to_owned());
    let (text, digest) = (fields.text("wasmBase64"), fields.text("component"));
    let source = match (text, digest) {
        (Some(text), None) => {
            let wasm = BASE64.decode(text.as_bytes()).unwrap_or_else(|error| {
                fields.wrong("wasmBase64", format!("padded base64 without line breaks is needed: {error}"));
                vec![]
            });
            if wasm.len() > WASM_BYTES_MAX {
                fields.wrong("wasmBase64", format!("{} bytes; at most {WASM_BYTES_MAX}", wasm.len()));
            }
            Source::Bytes(wasm)
        }
        (None, Some(digest)) => Source::Digest(digest),
        (given, _) => {
            let why = if given.is_some() {
                "give this or `component`, not both"
            } else {
                "it is needed, or `component`"
            };
            fields.wrong("wasmBase64", why);
            Source::Bytes(vec![])
        }
    };
    let mut guard = value!(Guard::of(slot));
    if let Some(given) = fields.value("guard") {
        till_engine::instance::merge(&mut guard, &given);
    }
    let guard = serde_json::from_value::<Guard>(guard).unwrap_or_else(|error| {
        fields.wrong("guard", error.to_string());
        Guard::of(slot)
    });
    let share_ppm = fields.typed::<u32>("sharePpm").unwrap_or(50_000);
    let stage = match fields.text("stage").as_deref() {
        None | Some("active") => Stage::Active,
        Some("canary") => Stage::Canary { share_ppm, guard },
        Some("shadow") => Stage::Shadow,
        Some("ready") => Stage::Ready,
        Some(_) => {
            fields.wrong("stage", "`active`, `canary`, `shadow` or `ready` is needed");
            Stage::Ready
        }
    };
    let push = Push {
        slot,
        name,
        source,
        config: fields.value("config").unwrap_or_else(|| value!({})),
        origins: fields.texts("origins").value().unwrap_or_default(),
        allow_private_addresses: fields.flag("allowPrivateAddresses").unwrap_or(false),
        policy: fields.typed::<FailurePolicy>("policy"),
        fallback: fields.text("fallback"),
        network_ms: fields.typed("networkMs"),
        limits: fields.typed("limits").unwrap_or_default(),
        tables: BTreeMap::new(),
        secrets: fields.texts("secrets").value().unwrap_or_default(),
        stage,
        skip_conformance: fields.flag("skipConformance").unwrap_or(false),
        who: who.to_owned(),
        why: fields.text("why").unwrap_or_default(),
    };
    (push, fields.typed("tables").unwrap_or_default())
}

/// A component on trial.
#[derive(Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub(crate) struct TrialOut {
    /// `shadow` or `canary`.
    #[schema(value_type = String)]
    kind: till_registry::TrialKind,
    /// Digest of its binding.
    digest: String,
    /// Share of the checkouts, parts per million.
    share_ppm: u32,
    /// When it goes back by itself.
    #[schema(value_type = Object)]
    guard: Guard,
    /// What the component says of itself.
    #[schema(value_type = Object)]
    info: Value,
}

/// A component in use.
#[derive(Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub(crate) struct ActivationOut {
    slot: String,
    name: String,
    revision: i64,
    /// Digest of component, configuration and policy; checkouts pin it. Empty: only a shadow or canary runs.
    digest: String,
    /// Digest of the component.
    component: String,
    /// What the component says of itself.
    #[schema(value_type = Object)]
    info: Value,
    /// What runs beside it.
    #[serde(skip_serializing_if = "Option::is_none")]
    trial: Option<TrialOut>,
    created_at: String,
    created_by: String,
}

impl From<Activation> for ActivationOut {
    fn from(activation: Activation) -> ActivationOut {
        let info = activation.trial_info;
        let out =
            |Trial { kind, digest, share_ppm, guard, .. }| TrialOut { kind, digest, share_ppm, guard, info };
        ActivationOut {
            slot: activation.slot,
            name: activation.name,
            revision: activation.revision,
            digest: activation.digest,
            component: activation.component,
            info: activation.info,
            trial: activation.trial.map(out),
            created_at: time(activation.created_us),
            created_by: activation.created_by,
        }
    }
}

/// The components in use.
#[derive(Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub(crate) struct ActivationsOut {
    /// By slot and name.
    components: Vec<ActivationOut>,
    /// Give it as `after` to read on; absent at the end.
    #[serde(skip_serializing_if = "Option::is_none")]
    next_after: Option<String>,
}

/// Checks a component with its configuration and uses it from the next checkout on, tries it out, or keeps it.
#[utoipa::path(post, path = "/api/v1/admin/components", tag = "components", security(("bearer" = [])),
    request_body = PushIn, responses((status = 201, body = ActivationOut)))]
pub(crate) async fn push(
    State(app): State<App>,
    caller: Caller,
    request: Request,
) -> Result<Response, Problem> {
    caller.needs(Wanted::Change(Area::Components))?;
    let mut place = UPLOADS.enter(&caller.merchant).await?;
    let body = Json::<PUSH_BYTES_MAX>::arrive(request, Some(&mut place)).await?;
    let mut at_work = place.work(body.0.len()).await?;
    let mut fields = body.fields()?;
    let (mut push, tables) = push_in(&mut fields, &caller.sub);
    fields.finish()?;
    drop(body);
    let now_us = app.runner.clock().now_us();
    for (name, table) in tables {
        let digest = match serde_json::from_str(table.get()) {
            Ok(digest) => digest,
            Err(_) => {
                let table = till_registry::read_table(TableFormat::Json, table.get().as_bytes())?;
                app.registry.put_table(&caller.merchant, table, &caller.sub, now_us).await?.digest
            }
        };
        push.tables.insert(name, digest);
    }
    // What follows takes time: it is compiled and tried.
    at_work.keeps(if let Source::Bytes(wasm) = &push.source { wasm.len() } else { WASM_BYTES_MAX });
    match app.registry.push(&caller.merchant, push, now_us).await? {
        Pushed::Bound(activation) => json(StatusCode::CREATED, &ActivationOut::from(*activation)),
        Pushed::Ready { component, info } => {
            json(StatusCode::CREATED, &value!({ "component": component, "state": "ready", "info": info }))
        }
    }
}

/// Lists the components in use.
#[utoipa::path(get, path = "/api/v1/admin/components", tag = "components", security(("bearer" = [])),
    params(("after" = Option<String>, Query, description = "`nextAfter` of the part before"),
        ("limit" = Option<i64>, Query, description = "1 to 200; 200 by default")),
    responses((status = 200, body = ActivationsOut)))]
pub(crate) async fn components(
    State(app): State<App>,
    caller: Caller,
    mut query: Query,
) -> Result<Response, Problem> {
    caller.needs(Wanted::Read(Area::Components))?;
    let limit = query.limit(200, 200)?;
    let after = match query.text("after") {
        Some(text) => text.split_once('/').ok_or_else(|| not_a_place("after", "nextAfter"))?,
        None => ("", ""),
    };
    let (slot, name) = (after.0.to_owned(), after.1.to_owned());
    query.finish()?;
    let all = app.registry.activations(&caller.merchant, (&slot, &name), limit).await?;
    let next_after = last_of(&all, limit).map(|last| format!("{}/{}", last.slot, last.name));
    let components = all.into_iter().map(ActivationOut::from).collect();
    json(StatusCode::OK, &ActivationsOut { components, next_after })
}

/// A parameter that is not what the part before gave.
fn not_a_place(field: &str, given: &str) -> Problem {
    Problem::field(field, format!("`{given}` of the part before is needed"))
}

/// An uploaded component.
#[derive(Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub(crate) struct KnownOut {
    /// SHA-256 of its bytes.
    component: String,
    slot: String,
    /// `uploaded`, `validated`, `compiled`, `ready`, `refused`, `revoked` or `collected`.
    state: String,
    /// What it says of itself, with the version of the contract it was built from.
    #[schema(value_type = Object)]
    info: Value,
    created_at: String,
    created_by: String,
    /// How it came to its state, oldest first; only where one component is asked for.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    life: Vec<LifeStepOut>,
}

/// A step of a component's life.
#[derive(Serialize, ToSchema)]
pub(crate) struct LifeStepOut {
    state: String,
    /// Reason or findings.
    why: String,
    at: String,
    by: String,
}

impl KnownOut {
    fn of(known: Known, life: Vec<LifeStep>) -> KnownOut {
        let step = |step: LifeStep| LifeStepOut {
            state: step.state,
            why: step.why,
            at: time(step.at_us),
            by: step.who,
        };
        KnownOut {
            component: known.digest,
            slot: known.slot,
            state: known.state,
            info: known.info,
            created_at: time(known.created_us),
            created_by: known.created_by,
            life: life.into_iter().map(step).collect(),
        }
    }
}

/// Uploaded components.
#[derive(Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub(crate) struct KnownsOut {
    /// Newest first.
    components: Vec<KnownOut>,
    /// Give it as `before` to read on; absent at the end.
    #[serde(skip_serializing_if = "Option::is_none")]
    next_before: Option<String>,
    /// One component: give it as `after` to read on in its life; absent at the end.
    #[serde(skip_serializing_if = "Option::is_none")]
    next_after: Option<i64>,
}

/// The time and the ids that `before` names, as `time.id.id`. Times may be the same for many; ids are not.
pub(super) fn before<const IDS: usize>(query: &mut Query) -> Result<Option<(i64, [String; IDS])>, Problem> {
    let Some(text) = query.text("before") else { return Ok(None) };
    let read = || {
        let (time, ids) = text.split_once('.')?;
        let ids: Vec<String> = ids.split('.').map(str::to_owned).collect();
        Some((time.parse().ok()?, ids.try_into().ok()?))
    };
    read().map(Some).ok_or_else(|| not_a_place("before", "nextBefore"))
}

/// Lists all uploaded components, in use or not.
#[utoipa::path(get, path = "/api/v1/admin/components/uploaded", tag = "components", security(("bearer" = [])),
    params(("before" = Option<String>, Query, description = "`nextBefore` of the part before"),
        ("limit" = Option<i64>, Query, description = "1 to 200; 50 by default")),
    responses((status = 200, body = KnownsOut)))]
pub(crate) async fn uploaded(
    State(app): State<App>,
    caller: Caller,
    mut query: Query,
) -> Result<Response, Problem> {
    caller.needs(Wanted::Read(Area::Components))?;
    let limit = query.limit(50, 200)?;
    let before = before::<2>(&mut query)?;
    query.finish()?;
    let (at_us, [digest, slot]) = before.unwrap_or((i64::MAX, Default::default()));
    let found = app.registry.components(&caller.merchant, (at_us, &digest, &slot), limit).await?;
    let next_before =
        last_of(&found, limit).map(|known| format!("{}.{}.{}", known.created_us, known.digest, known.slot));
    let components = found.into_iter().map(|known| KnownOut::of(known, vec![])).collect();
    json(StatusCode::OK, &KnownsOut { components, next_before, next_after: None })
}

/// Reads the life of a component, under each slot it was uploaded for.
#[utoipa::path(get, path = "/api/v1/admin/components/{digest}", tag = "components", security(("bearer" = [])),
    params(("digest" = String, Path), ("after" = Option<i64>, Query, description = "`nextAfter` of the part before"),
        ("limit" = Option<i64>, Query, description = "steps for each slot, 1 to 200; 200 by default")),
    responses((status = 200, body = KnownsOut)))]
pub(crate) async fn component(
    State(app): State<App>,
    caller: Caller,
    At(digest): At<String>,
    mut query: Query,
) -> Result<Response, Problem> {
    caller.needs(Wanted::Read(Area::Components))?;
    let limit = query.limit(200, 200)?;
    let after = match query.text("after") {
        Some(text) => text.parse().map_err(|_| not_a_place("after", "nextAfter"))?,
        None => 0,
    };
    query.finish()?;
    let found = app.registry.component(&caller.merchant, &digest, after, limit).await?;
    // Steps are counted from 1 in each slot: full parts end at the same one.
    let next_after = found.iter().filter_map(|(_, life)| Some(last_of(life, limit)?.seq)).max();
    let components = found.into_iter().map(|(known, life)| KnownOut::of(known, life)).collect();
    json(StatusCode::OK, &KnownsOut { components, next_before: None, next_after })
}

/// Reads the bytes of a component.
#[utoipa::path(get, path = "/api/v1/admin/components/{digest}/binary", tag = "components", security(("bearer" = [])),
    params(("digest" = String, Path)), responses((status = 200, content_type = "application/wasm")))]
pub(crate) async fn binary(
    State(app): State<App>,
    caller: Caller,
    At(digest): At<String>,
) -> Result<Response, Problem> {
    caller.needs(Wanted::Read(Area::Components))?;
    let wasm = app.registry.binary(&caller.merchant, &digest).await?;
    let response = Response::new(Body::from(wasm));
    Ok(super::with(response, header::CONTENT_TYPE, "application/wasm"))
}

/// Takes the bytes of a component away that nothing uses; 409 tells where it is in use.
#[utoipa::path(delete, path = "/api/v1/admin/components/{digest}", tag = "components", security(("bearer" = [])),
    params(("digest" = String, Path)), responses((status = 204)))]
pub(crate) async fn delete(
    State(app): State<App>,
    caller: Caller,
    At(digest): At<String>,
) -> Result<Response, Problem> {
    caller.needs(Wanted::Change(Area::Components))?;
    let now_us = app.runner.clock().now_us();
    app.registry.delete(&caller.merchant, &digest, &caller.sub, now_us).await?;
    Ok(no_content())
}

/// What a revocation did.
#[derive(Serialize, ToSchema)]
pub(crate) struct RevokedOut {
    component: String,
    /// Bindings that use something else from now on.
    changed: Vec<TurnedOut>,
    /// Bindings that have nothing to go back to: checkouts are refused there until another component is pushed.
    left: Vec<String>,
}

/// What was done to a binding.
#[derive(Serialize, ToSchema)]
pub(crate) struct TurnedOut {
    slot: String,
    name: String,
    revision: i64,
    /// `rollback`, `retire` or `withdraw`.
    act: String,
}

/// Stops a component at once: no new call of it. Editable checkouts are priced with what stands in for it; those with
/// money in the air go on with a gateway that adopts it, or wait for one.
#[utoipa::path(post, path = "/api/v1/admin/components/revoke", tag = "components", security(("bearer" = [])),
    request_body = RevokeIn, responses((status = 200, body = RevokedOut)))]
pub(crate) async fn revoke(State(app): State<App>, caller: Caller, body: Json) -> Result<Response, Problem> {
    caller.needs(Wanted::Change(Area::Components))?;
    let mut fields = body.fields()?;
    let (component, why) = (fields.text("component"), fields.text("why"));
    let component = fields.need("component", component);
    let why = fields.need("why", why);
    fields.finish()?;
    let now_us = app.runner.clock().now_us();
    let done = app.registry.revoke(&caller.merchant, &component, &caller.sub, &why, now_us).await?;
    let changed = done.changed.into_iter().map(|row| TurnedOut {
        slot: row.slot,
        name: row.name,
        revision: row.revision,
        act: row.act,
    });
    json(StatusCode::OK, &RevokedOut { component, changed: changed.collect(), left: done.left })
}

/// Uses an earlier revision of a binding from the next checkout on; those under way keep what they have. A shadow or
/// canary is ended instead, if one runs and no revision is named.
#[utoipa::path(post, path = "/api/v1/admin/components/rollback", tag = "components", security(("bearer" = [])),
    request_body = TurnIn, responses((status = 200, body = ActivationOut)))]
pub(crate) async fn roll_back(
    State(app): State<App>,
    caller: Caller,
    body: Json,
) -> Result<Response, Problem> {
    caller.needs(Wanted::Change(Area::Components))?;
    let mut fields = body.fields()?;
    let turn = turn_in(&mut fields, &caller.sub);
    let revision = fields.integer("revision");
    fields.finish()?;
    let now_us = app.runner.clock().now_us();
    let activation = app.registry.roll_back(&caller.merchant, turn, revision, now_us).await?;
    json(StatusCode::OK, &ActivationOut::from(activation))
}

/// Takes a binding out of use from the next checkout on. A rollback brings it back.
#[utoipa::path(post, path = "/api/v1/admin/components/retire", tag = "components", security(("bearer" = [])),
    request_body = TurnIn, responses((status = 200, body = ChangeOut)))]
pub(crate) async fn retire(State(app): State<App>, caller: Caller, body: Json) -> Result<Response, Problem> {
    caller.needs(Wanted::Change(Area::Components))?;
    let mut fields = body.fields()?;
    let turn = turn_in(&mut fields, &caller.sub);
    fields.finish()?;
    let now_us = app.runner.clock().now_us();
    let change = app.registry.retire(&caller.merchant, turn, now_us).await?;
    json(StatusCode::OK, &ChangeOut::from(change))
}

/// Changes the share of a canary, from the next checkout on. Its counts begin anew.
#[utoipa::path(post, path = "/api/v1/admin/components/canary", tag = "components", security(("bearer" = [])),
    request_body = TurnIn, responses((status = 200, body = ActivationOut)))]
pub(crate) async fn canary(State(app): State<App>, caller: Caller, body: Json) -> Result<Response, Problem> {
    caller.needs(Wanted::Change(Area::Components))?;
    let mut fields = body.fields()?;
    let turn = turn_in(&mut fields, &caller.sub);
    let share = fields.typed::<u32>("sharePpm");
    let share = fields.need("sharePpm", share);
    fields.finish()?;
    let now_us = app.runner.clock().now_us();
    let activation = app.registry.step_canary(&caller.merchant, turn, share, now_us).await?;
    json(StatusCode::OK, &ActivationOut::from(activation))
}

/// Makes the shadow or canary the active one, from the next checkout on.
#[utoipa::path(post, path = "/api/v1/admin/components/promote", tag = "components", security(("bearer" = [])),
    request_body = TurnIn, responses((status = 200, body = ActivationOut)))]
pub(crate) async fn promote(State(app): State<App>, caller: Caller, body: Json) -> Result<Response, Problem> {
    caller.needs(Wanted::Change(Area::Components))?;
    let mut fields = body.fields()?;
    let turn = turn_in(&mut fields, &caller.sub);
    fields.finish()?;
    let now_us = app.runner.clock().now_us();
    let activation = app.registry.promote(&caller.merchant, turn, now_us).await?;
    json(StatusCode::OK, &ActivationOut::from(activation))
}

/// Ends a shadow or canary; the active one stays.
#[utoipa::path(post, path = "/api/v1/admin/components/withdraw", tag = "components", security(("bearer" = [])),
    request_body = TurnIn, responses((status = 200, body = ActivationOut)))]
pub(crate) async fn withdraw(
    State(app): State<App>,
    caller: Caller,
    body: Json,
) -> Result<Response, Problem> {
    caller.needs(Wanted::Change(Area::Components))?;
    let mut fields = body.fields()?;
    let turn = turn_in(&mut fields, &caller.sub);
    fields.finish()?;
    let now_us = app.runner.clock().now_us();
    let activation = app.registry.withdraw(&caller.merchant, turn, now_us).await?;
    json(StatusCode::OK, &ActivationOut::from(activation))
}

/// A change of a binding.
#[derive(Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub(crate) struct ChangeOut {
    revision: i64,
    /// `activate`, `rollback`, `retire`, `shadow`, `canary`, `promote`, `withdraw` or `return` (by the host).
    act: String,
    /// Revision its active content was first used with.
    origin: i64,
    /// Digest of component, configuration and policy; empty when retired.
    digest: String,
    /// Digest of the component; empty when retired.
    component: String,
    /// What runs beside it from then on.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(value_type = Option<Object>)]
    trial: Option<Trial>,
    why: String,
    created_at: String,
    created_by: String,
}

impl From<Change> for ChangeOut {
    fn from(change: Change) -> ChangeOut {
        ChangeOut {
            revision: change.revision,
            act: change.act,
            origin: change.origin,
            digest: change.digest,
            component: change.component,
            trial: change.trial,
            why: change.why,
            created_at: time(change.created_us),
            created_by: change.created_by,
        }
    }
}

/// The changes of a binding.
#[derive(Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub(crate) struct HistoryOut {
    /// Newest first.
    changes: Vec<ChangeOut>,
    /// Give it as `before` to read on; absent at the end.
    #[serde(skip_serializing_if = "Option::is_none")]
    next_before: Option<i64>,
}

fn place(query: &mut Query) -> Result<(Slot, String), Problem> {
    let slot = query.text("slot").ok_or_else(|| Problem::field("slot", "it is needed"))?;
    let slot = Slot::from_str(slot).map_err(|error| Problem::field("slot", error.to_string()))?;
    Ok((slot, query.text("name").unwrap_or("default").to_owned()))
}

/// Reads who changed a binding, when, to what and why.
#[utoipa::path(get, path = "/api/v1/admin/components/history", tag = "components", security(("bearer" = [])),
    params(("slot" = String, Query), ("name" = Option<String>, Query, description = "`default` without"),
        ("before" = Option<i64>, Query, description = "`nextBefore` of the part before"),
        ("limit" = Option<i64>, Query, description = "1 to 200; 50 by default")),
    responses((status = 200, body = HistoryOut)))]
pub(crate) async fn history(
    State(app): State<App>,
    caller: Caller,
    mut query: Query,
) -> Result<Response, Problem> {
    caller.needs(Wanted::Read(Area::Components))?;
    let limit = query.limit(50, 200)?;
    let (slot, name) = place(&mut query)?;
    let before = match query.text("before") {
        Some(text) => text.parse().map_err(|_| not_a_place("before", "nextBefore"))?,
        None => i64::MAX,
    };
    query.finish()?;
    let changes = app.registry.history(&caller.merchant, slot, &name, before, limit).await?;
    let next_before = last_of(&changes, limit).map(|change| change.revision);
    let changes = changes.into_iter().map(ChangeOut::from).collect();
    json(StatusCode::OK, &HistoryOut { changes, next_before })
}

/// A shadow or canary with what it did.
#[derive(Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub(crate) struct TrialReportOut {
    /// Revision of the binding it began with.
    revision: i64,
    #[schema(value_type = Object)]
    trial: Trial,
    calls: i64,
    failed: i64,
    /// Calls that took longer than its guard allows.
    slow: i64,
    /// Mean wall time of a call, microseconds.
    mean_us: i64,
    /// Quotes compared with those of the active one.
    compared: i64,
    /// Of these, how many differ.
    differing: i64,
    /// Sums of the differences of totals, one for each currency in which there are some.
    deltas: Vec<DeltaOut>,
    /// Comparisons of this merchant that this host left out because too many waited, since it started.
    left_out: u64,
}

/// Money in minor units.
#[derive(Serialize, ToSchema)]
pub(crate) struct DeltaOut {
    minor: i64,
    currency: String,
}

/// Reads what the shadow or canary of a binding did: the one under way, or the last one.
#[utoipa::path(get, path = "/api/v1/admin/components/trial", tag = "components", security(("bearer" = [])),
    params(("slot" = String, Query), ("name" = Option<String>, Query, description = "`default` without")),
    responses((status = 200, body = TrialReportOut)))]
pub(crate) async fn trial(
    State(app): State<App>,
    caller: Caller,
    mut query: Query,
) -> Result<Response, Problem> {
    caller.needs(Wanted::Read(Area::Components))?;
    let (slot, name) = place(&mut query)?;
    query.finish()?;
    let TrialReport { trial, revision, count } = app.registry.trial(&caller.merchant, slot, &name).await?;
    let report = TrialReportOut {
        revision,
        trial,
        calls: count.calls,
        failed: count.failed,
        slow: count.slow,
        mean_us: count.elapsed_us.checked_div(count.calls).unwrap_or(0),
        compared: count.compared,
        differing: count.differing,
        deltas: count.deltas.into_iter().map(|(currency, minor)| DeltaOut { minor, currency }).collect(),
        left_out: app.registry.left_out(&caller.merchant),
    };
    json(StatusCode::OK, &report)
}

/// What a shadow would have made differently.
#[derive(Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub(crate) struct DifferencesOut {
    /// Newest first. Amounts are minor units.
    differences: Vec<DifferenceOut>,
    /// Give it as `before` to read on; absent at the end.
    #[serde(skip_serializing_if = "Option::is_none")]
    next_before: Option<String>,
}

/// One checkout that a shadow would have priced differently.
#[derive(Serialize, ToSchema)]
pub(crate) struct DifferenceOut {
    /// Uid of the checkout's instance.
    instance: String,
    at: String,
    /// Totals, rules and reasons on both sides.
    #[schema(value_type = Object)]
    difference: Value,
}

/// Lists what the shadow of a binding would have made differently.
#[utoipa::path(get, path = "/api/v1/admin/components/differences", tag = "components", security(("bearer" = [])),
    params(("slot" = String, Query), ("name" = Option<String>, Query, description = "`default` without"),
        ("before" = Option<String>, Query, description = "`nextBefore` of the part before"),
        ("limit" = Option<i64>, Query, description = "1 to 200; 50 by default")),
    responses((status = 200, body = DifferencesOut)))]
pub(crate) async fn differences(
    State(app): State<App>,
    caller: Caller,
    mut query: Query,
) -> Result<Response, Problem> {
    caller.needs(Wanted::Read(Area::Components))?;
    let limit = query.limit(50, 200)?;
    let (slot, name) = place(&mut query)?;
    let after = match before::<2>(&mut query)? {
        None => None,
        Some((at_us, [uid, revision])) => {
            let place = || {
                let (revision, uid) = (revision.parse().ok()?, uid.parse().ok()?);
                Some(DifferencePlace { revision, at_us, uid })
            };
            Some(place().ok_or_else(|| not_a_place("before", "nextBefore"))?)
        }
    };
    query.finish()?;
    let (revision, found) = app.registry.differences(&caller.merchant, slot, &name, after, limit).await?;
    let next_before = last_of(&found, limit).map(|row| format!("{}.{}.{revision}", row.at_us, row.uid));
    let differences = found.into_iter().map(|Difference { uid, at_us, body }| DifferenceOut {
        instance: uid.to_string(),
        at: time(at_us),
        difference: body,
    });
    json(StatusCode::OK, &DifferencesOut { differences: differences.collect(), next_before })
}

/// Reads what a component is asked for a session and what it answers now, as fixtures are made of it. Personal data is
/// blanked before.
#[utoipa::path(get, path = "/api/v1/admin/components/record", tag = "components", security(("bearer" = [])),
    params(("session" = String, Query), ("slot" = String, Query),
        ("name" = Option<String>, Query, description = "`default` without")),
    responses((status = 200, body = Object)))]
pub(crate) async fn record(
    State(app): State<App>,
    caller: Caller,
    mut query: Query,
) -> Result<Response, Problem> {
    caller.needs(Wanted::Read(Area::Components))?;
    let session = query.text("session").ok_or_else(|| Problem::field("session", "it is needed"))?.to_owned();
    let (slot, name) = place(&mut query)?;
    query.finish()?;
    let asked = app.shop.questions(&caller.merchant, &session, slot, &name).await?;
    json(StatusCode::OK, &value!({ "questions": asked }))
}

/// Reads confirmed checkouts for backtests, newest first, one JSON document in each line; `Till-Next-Before` names where
/// to read on. Personal data is blanked.
#[utoipa::path(get, path = "/api/v1/admin/checkouts/recorded", tag = "components", security(("bearer" = [])),
    params(("before" = Option<String>, Query, description = "`Till-Next-Before` of the part before"),
        ("limit" = Option<i64>, Query, description = "1 to 500; 200 by default")),
    responses((status = 200, content_type = "application/x-ndjson")))]
pub(crate) async fn recorded(
    State(app): State<App>,
    caller: Caller,
    mut query: Query,
) -> Result<Response, Problem> {
    caller.needs(Wanted::Read(Area::Components))?;
    let limit = query.limit(200, 500)?;
    let before = match query.text("before") {
        Some(text) => text.parse().map_err(|_| Problem::field("before", "`Till-Next-Before` is needed"))?,
        None => Uuid::max(),
    };
    query.finish()?;
    let (records, next) = app.shop.recorded(&caller.merchant, before, limit).await?;
    let mut text = Vec::new();
    for record in records {
        serde_json::to_writer(&mut text, &record).map_err(Problem::internal)?;
        text.push(b'\n');
    }
    let response = super::with(Response::new(Body::from(text)), header::CONTENT_TYPE, "application/x-ndjson");
    Ok(match next {
        Some(next) => super::with(response, NEXT_BEFORE, &next.to_string()),
        None => response,
    })
}

const NEXT_BEFORE: header::HeaderName = header::HeaderName::from_static("till-next-before");

/// Reads the content of a binding as it was pushed: configuration, policy, limits, digests of component and tables,
/// names of secrets.
#[utoipa::path(get, path = "/api/v1/admin/bindings/{digest}", tag = "components", security(("bearer" = [])),
    params(("digest" = String, Path)), responses((status = 200, body = Object)))]
pub(crate) async fn binding(
    State(app): State<App>,
    caller: Caller,
    At(digest): At<String>,
) -> Result<Response, Problem> {
    caller.needs(Wanted::Read(Area::Components))?;
    let (slot, name, body) = app.registry.content(&caller.merchant, &digest).await?;
    json(StatusCode::OK, &value!({ "slot": slot, "name": name, "digest": digest, "body": body }))
}
