//! The carrier: parcels are booked once for each key, scanned when a test says so, and told of by signed webhooks.

use crate::behaviour::{Behaviour, NextBehaviour, Script};
use crate::http::{answer, deliver, failed, knows, lose, now_ms, unauthorized};
use crate::ledger::{Reply, error};
use crate::webhook::{self, Target};
use axum::body::{Body, Bytes};
use axum::extract::{Path, State};
use axum::http::{HeaderMap, Response, StatusCode, header};
use axum::routing::{get, post};
use axum::{Json, Router};
use rusqlite::{Connection, OptionalExtension as _, params};
use serde::Deserialize;
use serde_json::{Value, json};
use sha2::{Digest as _, Sha256};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

/// A day.
const DAY_MS: u64 = 24 * 60 * 60 * 1_000;
/// Countries that it brings nothing to.
const REFUSED: [&str; 1] = ["AQ"];

const SCHEMA: &str = "
create table if not exists parcels (id text primary key, body text not null, scans text not null) strict;
create table if not exists parcel_keys (key text primary key, parcel text not null) strict;
";

/// What a request does.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Deserialize)]
#[serde(rename_all = "snake_case")]
enum Operation {
    Book,
    Cancel,
    Track,
}

#[derive(Clone)]
struct Carrier(Arc<Inner>);

struct Inner {
    connection: Mutex<Connection>,
    api_key: String,
    client: reqwest::Client,
    script: Mutex<Script<Operation>>,
    webhook: Mutex<Option<Target>>,
}

pub fn router(memory: &std::path::Path, api_key: String) -> anyhow::Result<Router> {
    let connection = Connection::open(memory)?;
    connection.pragma_update(None, "journal_mode", "WAL")?;
    connection.pragma_update(None, "synchronous", "FULL")?;
    connection.execute_batch(SCHEMA)?;
    let carrier = Carrier(Arc::new(Inner {
        connection: Mutex::new(connection),
        api_key,
        client: reqwest::Client::builder().no_proxy().build()?,
        script: Mutex::default(),
        webhook: Mutex::default(),
    }));
    Ok(Router::new()
        .route("/carrier/v1/parcels", post(book))
        .route("/carrier/v1/parcels/{id}", get(story))
        .route("/carrier/v1/parcels/{id}/cancel", post(cancel))
        .route("/carrier/v1/parcels/{id}/label", get(label))
        .route("/carrier/v1/keys/{key}", get(by_key))
        .route("/admin/parcels", get(parcels))
        .route("/admin/parcels/{reference}/scans", post(scan))
        .route("/admin/carrier/behaviour", post(set_behaviour))
        .route("/admin/carrier/webhook", post(set_webhook))
        .with_state(carrier))
}

/// A parcel and what happened to it.
struct Kept {
    parcel: Value,
    scans: Vec<Value>,
}

impl Carrier {
    fn connection(&self) -> MutexGuard<'_, Connection> {
        self.0.connection.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The parcel with this id, or booked for this reference.
    fn load(&self, id: &str) -> anyhow::Result<Option<Kept>> {
        let row: Option<(String, String)> = self
            .connection()
            .prepare_cached("select body, scans from parcels where id = ?1 or body ->> 'reference' = ?1")?
            .query_row([id], |row| Ok((row.get(0)?, row.get(1)?)))
            .optional()?;
        row.map(|(parcel, scans)| {
            Ok(Kept { parcel: serde_json::from_str(&parcel)?, scans: serde_json::from_str(&scans)? })
        })
        .transpose()
    }

    fn save(&self, kept: &Kept) -> anyhow::Result<()> {
        self.connection()
            .prepare_cached("insert into parcels (id, body, scans) values (?1, ?2, ?3) on conflict (id) do update set body = excluded.body, scans = excluded.scans")?
            .execute(params![kept.parcel["id"].as_str(), kept.parcel.to_string(), json!(kept.scans).to_string()])?;
        Ok(())
    }

    fn behaviour(&self, operation: Operation) -> Behaviour {
        let mut script = self.0.script.lock().unwrap_or_else(PoisonError::into_inner);
        script.next(&operation).unwrap_or_default()
    }

    /// Books a parcel, or gives the one that this key has booked.
    fn take(&self, key: &str, body: &Value) -> anyhow::Result<Reply> {
        let known: Option<String> = self
            .connection()
            .prepare_cached("select parcel from parcel_keys where key = ?1")?
            .query_row([key], |row| row.get(0))
            .optional()?;
        if let Some(kept) = known.map(|id| self.load(&id)).transpose()?.flatten() {
            return Ok(Reply { status: 200, body: kept.parcel, fresh: false });
        }
        if body["to"]["country"].as_str().is_some_and(|country| REFUSED.contains(&country)) {
            return Ok(error(400, "no_service", "nothing is brought to this country"));
        }
        let digest = hex::encode(&Sha256::digest(key)[..6]);
        let parcel = json!({
            "id": format!("prc_{digest}"),
            "reference": body["reference"],
            "status": "booked",
            "tracking_number": format!("SP{}", digest.to_uppercase()),
            "tracking_url": format!("https://parcels.example/{digest}"),
            "service": body["service"],
            "eta_ms": now_ms() + 3 * DAY_MS,
            "partner": null,
            "to": body["to"],
            "contents": body["contents"],
        });
        self.connection()
            .prepare_cached("insert into parcel_keys (key, parcel) values (?1, ?2)")?
            .execute(params![key, parcel["id"].as_str()])?;
        self.save(&Kept { parcel: parcel.clone(), scans: vec![] })?;
        Ok(Reply { status: 201, body: parcel, fresh: true })
    }
}

async fn book(State(carrier): State<Carrier>, headers: HeaderMap, body: Bytes) -> Response<Body> {
    if !knows(&carrier.0.api_key, &headers) {
        return answer(unauthorized());
    }
    let Some(key) = headers.get("idempotency-key").and_then(|key| key.to_str().ok()) else {
        return answer(error(400, "bad_request", "an Idempotency-Key is needed"));
    };
    let Ok(body) = serde_json::from_slice::<Value>(&body) else {
        return answer(error(400, "bad_request", "the body is not JSON"));
    };
    let behaviour = carrier.behaviour(Operation::Book);
    let key = key.to_owned();
    // A task of its own: what is booked does not stop because the caller hung up.
    let work = tokio::spawn(async move {
        if let Some(lost) = lose(behaviour).await {
            return lost;
        }
        match carrier.take(&key, &body) {
            Ok(reply) if reply.fresh => deliver(behaviour, reply).await,
            Ok(reply) => answer(reply),
            Err(broken) => failed(&broken),
        }
    });
    work.await.unwrap_or_else(|panic| failed(&panic.into()))
}

async fn cancel(
    State(carrier): State<Carrier>,
    Path(id): Path<String>,
    headers: HeaderMap,
) -> Response<Body> {
    if !knows(&carrier.0.api_key, &headers) {
        return answer(unauthorized());
    }
    let behaviour = carrier.behaviour(Operation::Cancel);
    if let Some(lost) = lose(behaviour).await {
        return lost;
    }
    let done = || -> anyhow::Result<Reply> {
        let Some(mut kept) = carrier.load(&id)? else {
            return Ok(error(404, "no_such_parcel", "there is no such parcel"));
        };
        match kept.parcel["status"].as_str() {
            Some("booked" | "cancelled") => {}
            _ => return Ok(error(409, "wrong_state", "the parcel is on its way")),
        }
        kept.parcel["status"] = json!("cancelled");
        carrier.save(&kept)?;
        Ok(Reply { status: 200, body: kept.parcel, fresh: true })
    };
    match done() {
        Ok(reply) => deliver(behaviour, reply).await,
        Err(broken) => failed(&broken),
    }
}

async fn story(State(carrier): State<Carrier>, Path(id): Path<String>, headers: HeaderMap) -> Response<Body> {
    if !knows(&carrier.0.api_key, &headers) {
        return answer(unauthorized());
    }
    let behaviour = carrier.behaviour(Operation::Track);
    if let Some(lost) = lose(behaviour).await {
        return lost;
    }
    match carrier.load(&id) {
        Ok(Some(kept)) => {
            let body = json!({ "parcel": kept.parcel, "scans": kept.scans });
            deliver(behaviour, Reply { status: 200, body, fresh: false }).await
        }
        Ok(None) => answer(error(404, "no_such_parcel", "there is no such parcel")),
        Err(broken) => failed(&broken),
    }
}

async fn by_key(
    State(carrier): State<Carrier>,
    Path(key): Path<String>,
    headers: HeaderMap,
) -> Response<Body> {
    if !knows(&carrier.0.api_key, &headers) {
        return answer(unauthorized());
    }
    let found = || -> anyhow::Result<Option<Kept>> {
        let id: Option<String> = carrier
            .connection()
            .prepare_cached("select parcel from parcel_keys where key = ?1")?
            .query_row([&key], |row| row.get(0))
            .optional()?;
        id.map(|id| carrier.load(&id)).transpose().map(Option::flatten)
    };
    match found() {
        Ok(Some(kept)) => answer(Reply { status: 200, body: json!({ "parcel": kept.parcel }), fresh: false }),
        Ok(None) => answer(error(404, "no_such_key", "no request with this key was carried out")),
        Err(broken) => failed(&broken),
    }
}

/// The label, in the language of label printers.
async fn label(State(carrier): State<Carrier>, Path(id): Path<String>, headers: HeaderMap) -> Response<Body> {
    if !knows(&carrier.0.api_key, &headers) {
        return answer(unauthorized());
    }
    let kept = match carrier.load(&id) {
        Ok(Some(kept)) => kept,
        Ok(None) => return answer(error(404, "no_such_parcel", "there is no such parcel")),
        Err(broken) => return failed(&broken),
    };
    let to = |field: &str| kept.parcel["to"][field].as_str().unwrap_or_default().to_owned();
    let number = kept.parcel["tracking_number"].as_str().unwrap_or_default();
    let text = format!(
        "^XA\n^FO50,50^FD{}^FS\n^FO50,90^FD{} {}^FS\n^FO50,150^BC^FD{number}^FS\n^XZ\n",
        to("name"),
        to("postal_code"),
        to("city")
    );
    let mut response = Response::new(Body::from(text));
    response.headers_mut().insert(header::CONTENT_TYPE, header::HeaderValue::from_static("application/zpl"));
    response
}

/// All parcels, with what happened to them. For tests.
async fn parcels(State(carrier): State<Carrier>) -> Response<Body> {
    let all = || -> anyhow::Result<Vec<Value>> {
        let connection = carrier.connection();
        let mut rows = connection.prepare_cached("select body, scans from parcels order by id")?;
        let rows = rows.query_map([], |row| Ok((row.get::<_, String>(0)?, row.get::<_, String>(1)?)))?;
        rows.map(|row| {
            let (parcel, scans) = row?;
            let mut parcel: Value = serde_json::from_str(&parcel)?;
            parcel["scans"] = serde_json::from_str(&scans)?;
            Ok(parcel)
        })
        .collect()
    };
    match all() {
        Ok(all) => answer(Reply { status: 200, body: json!({ "parcels": all }), fresh: false }),
        Err(broken) => failed(&broken),
    }
}

/// What the driver's scanner says.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Scan {
    /// `picked_up`, `in_transit`, `out_for_delivery`, `delivered`, `delivery_failed`, `returned`, `location`
    kind: String,
    #[serde(default)]
    text: String,
    #[serde(default)]
    place: Option<String>,
    /// Millionths of a degree: north, east.
    #[serde(default)]
    position: Option<(i32, i32)>,
    /// Who brings it: name, phone, rating in tenths.
    #[serde(default)]
    partner: Option<Value>,
    /// Minutes until it should arrive.
    #[serde(default)]
    eta_minutes: Option<u64>,
    /// When it happened, epoch milliseconds. Now, if it is not said.
    #[serde(default)]
    at_ms: Option<u64>,
    /// The carrier keeps it to itself: it is found by asking only.
    #[serde(default)]
    untold: bool,
}

/// Scans the parcel that was booked for a reference. The receiver is told before this answers.
async fn scan(
    State(carrier): State<Carrier>,
    Path(reference): Path<String>,
    Json(scan): Json<Scan>,
) -> Response<Body> {
    let now = now_ms();
    let scanned = || -> anyhow::Result<Option<Value>> {
        let Some(mut kept) = carrier.load(&reference)? else { return Ok(None) };
        let status = match scan.kind.as_str() {
            "delivered" => "delivered",
            "returned" => "returned",
            "location" => kept.parcel["status"].as_str().unwrap_or("moving"),
            _ => "moving",
        };
        kept.parcel["status"] = json!(status.to_owned());
        let told = json!({
            "id": format!("scn_{}_{}", kept.parcel["id"].as_str().unwrap_or_default(), kept.scans.len() + 1),
            "kind": scan.kind,
            "reference": kept.parcel["reference"],
            "tracking_number": kept.parcel["tracking_number"],
            "at_ms": scan.at_ms.unwrap_or(now),
            "text": scan.text,
            "place": scan.place,
            "position": scan.position,
            "eta_ms": scan.eta_minutes.map(|minutes| now + minutes * 60_000),
            "partner": scan.partner,
        });
        kept.scans.push(told.clone());
        carrier.save(&kept)?;
        Ok(Some(told))
    };
    let told = match scanned() {
        Ok(Some(told)) => told,
        Ok(None) => return answer(error(404, "no_such_parcel", "no parcel was booked for this reference")),
        Err(broken) => return failed(&broken),
    };
    let target = carrier.0.webhook.lock().unwrap_or_else(PoisonError::into_inner).clone();
    if let Some(target) = target.filter(|_| !scan.untold) {
        webhook::send(carrier.0.client.clone(), target, told.clone(), now).await;
    }
    answer(Reply { status: 200, body: told, fresh: true })
}

async fn set_behaviour(
    State(carrier): State<Carrier>,
    Json(next): Json<NextBehaviour<Operation>>,
) -> StatusCode {
    let mut script = carrier.0.script.lock().unwrap_or_else(PoisonError::into_inner);
    script.set(next.operation, next.behaviour, next.times);
    StatusCode::NO_CONTENT
}

async fn set_webhook(State(carrier): State<Carrier>, Json(target): Json<Target>) -> StatusCode {
    *carrier.0.webhook.lock().unwrap_or_else(PoisonError::into_inner) = Some(target);
    StatusCode::NO_CONTENT
}
