//! A provider of the other kind, as Razorpay speaks: orders without idempotency keys, payments that shoppers make
//! with them, captures by the shop, and signatures that the shopper's client brings back.

use crate::behaviour::{Behaviour, NextBehaviour, Script};
use crate::http::{answer, deliver, failed, lose, now_ms};
use crate::ledger::{Ledger, Reply};
use crate::webhook::{Mode, Target};
use anyhow::Context as _;
use axum::body::{Body, Bytes};
use axum::extract::{Path, Query, State};
use axum::http::{HeaderMap, Response, StatusCode, header};
use axum::routing::{get, post};
use axum::{Json, Router};
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use hmac::{Hmac, Mac as _};
use rusqlite::{Connection, OptionalExtension as _, params};
use serde::Deserialize;
use serde_json::{Value, json};
use sha2::{Digest as _, Sha256};
use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

/// The account: both halves of its API key.
const KEY_ID: &str = "rzp_test_sim";
const KEY_SECRET: &str = "rzp_secret_sim";

const SCHEMA: &str = "
create table if not exists rzp_orders (seq integer primary key, id text not null unique, body text not null) strict;
create table if not exists rzp_payments (
    seq integer primary key, id text not null unique, order_id text not null, body text not null) strict;
create table if not exists rzp_refunds (key text primary key, payment text not null, body text not null) strict;
";

/// What a request does.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Deserialize)]
#[serde(rename_all = "snake_case")]
enum Operation {
    /// Makes an order.
    Order,
    /// Lists orders, or payments of an order.
    List,
    /// Reads a payment.
    Payment,
    Capture,
    Refund,
}

#[derive(Clone)]
struct Provider(Arc<Inner>);

struct Inner {
    ledger: Ledger,
    client: reqwest::Client,
    script: Mutex<Script<Operation>>,
    webhook: Mutex<Option<Target>>,
}

pub fn router(ledger: Ledger) -> anyhow::Result<Router> {
    ledger.connection().execute_batch(SCHEMA)?;
    let client = reqwest::Client::builder().no_proxy().build()?;
    let inner = Inner { ledger, client, script: Mutex::default(), webhook: Mutex::default() };
    Ok(Router::new()
        .route("/v1/orders", post(order).get(orders))
        .route("/v1/orders/{id}/payments", get(payments))
        .route("/v1/payments/{id}", get(payment))
        .route("/v1/payments/{id}/capture", post(capture))
        .route("/v1/payments/{id}/refund", post(refund))
        .route("/admin/razorpay/orders", get(all))
        .route("/admin/razorpay/pay", post(pay))
        .route("/admin/razorpay/behaviour", post(set_behaviour))
        .route("/admin/razorpay/webhook", post(set_webhook))
        .with_state(Provider(Arc::new(inner))))
}

/// A refusal as this provider writes it.
fn error(status: u16, reason: &str) -> Reply {
    let body = json!({ "error": { "code": "BAD_REQUEST_ERROR", "description": reason, "reason": reason } });
    Reply { status, body, fresh: false }
}

fn done(body: Value) -> Reply {
    Reply { status: 200, body, fresh: true }
}

impl Provider {
    /// Carries a request out, as it is to go; in a task of its own, so that it does not stop because the caller hung up.
    async fn serve(
        &self,
        operation: Operation,
        headers: &HeaderMap,
        work: impl FnOnce(&Connection) -> anyhow::Result<Reply> + Send + 'static,
    ) -> Response<Body> {
        let basic = format!("Basic {}", STANDARD.encode(format!("{KEY_ID}:{KEY_SECRET}")));
        if headers.get(header::AUTHORIZATION).is_none_or(|value| value.as_bytes() != basic.as_bytes()) {
            return answer(error(401, "authentication_failed"));
        }
        let behaviour: Behaviour = {
            let mut script = self.0.script.lock().unwrap_or_else(PoisonError::into_inner);
            script.next(&operation).unwrap_or_default()
        };
        let provider = self.clone();
        let working = tokio::spawn(async move {
            if let Some(lost) = lose(behaviour).await {
                return lost;
            }
            let made = provider.change(work);
            match made {
                Ok((reply, told)) => {
                    provider.tell(told).await;
                    deliver(behaviour, reply).await
                }
                Err(broken) => failed(&broken),
            }
        });
        working.await.unwrap_or_else(|panic| failed(&panic.into()))
    }

    /// One transaction. Also gives the payment whose capture is to be told.
    fn change(
        &self,
        work: impl FnOnce(&Connection) -> anyhow::Result<Reply>,
    ) -> anyhow::Result<(Reply, Option<Value>)> {
        let mut connection = self.0.ledger.connection();
        let tx = connection.transaction()?;
        let reply = work(&tx)?;
        let told = (reply.fresh && reply.body["entity"] == "payment" && reply.body["status"] == "captured")
            .then(|| reply.body.clone());
        tx.commit()?;
        Ok((reply, told))
    }

    /// Sends `payment.<status>` of a payment as the webhook's mode wants it.
    async fn tell(&self, payment: Option<Value>) {
        let target = self.0.webhook.lock().unwrap_or_else(PoisonError::into_inner).clone();
        let (Some(target), Some(payment)) = (target, payment) else { return };
        let body = json!({
            "entity": "event", "account_id": "acc_sim", "contains": ["payment"],
            "event": format!("payment.{}", payment["status"].as_str().unwrap_or_default()),
            "payload": { "payment": { "entity": payment } },
            "created_at": now_ms() / 1_000,
        })
        .to_string();
        let client = self.0.client.clone();
        // A test has to know when a webhook that must do nothing has been there.
        let before_reply = matches!(target.mode, Mode::BeforeReply | Mode::WrongSignature);
        let sending = async move {
            let times = match target.mode {
                Mode::Never => 0,
                Mode::Twice => 2,
                Mode::Once | Mode::BeforeReply | Mode::WrongSignature => 1,
            };
            let secret = if target.mode == Mode::WrongSignature { "another" } else { &target.secret };
            let signature = sign(secret, &body);
            for _ in 0..times {
                let request = client.post(&target.url).header("content-type", "application/json");
                let request = request.header("x-razorpay-signature", &signature).body(body.clone());
                if let Err(error) = request.timeout(Duration::from_secs(10)).send().await {
                    eprintln!("webhook to {}: {error:#}", target.url);
                }
            }
        };
        if before_reply {
            sending.await;
        } else {
            tokio::spawn(sending);
        }
    }
}

/// Hex of HMAC-SHA256.
fn sign(secret: &str, text: &str) -> String {
    let mut mac = Hmac::<Sha256>::new_from_slice(secret.as_bytes()).expect("HMAC takes keys of any length");
    mac.update(text.as_bytes());
    hex::encode(mac.finalize().into_bytes())
}

/// An id that was not given before.
fn id(connection: &Connection, prefix: &str) -> anyhow::Result<String> {
    let made: i64 = connection.query_row(
        "select (select count(*) from rzp_orders) + (select count(*) from rzp_payments)",
        [],
        |row| row.get(0),
    )?;
    Ok(format!("{prefix}_{}", hex::encode(&Sha256::digest(format!("{prefix} {made}"))[..7])))
}

fn read(connection: &Connection, sql: &str, by: &str) -> anyhow::Result<Vec<Value>> {
    let mut statement = connection.prepare_cached(sql)?;
    let rows = statement.query_map([by], |row| row.get::<_, String>(0))?;
    rows.map(|row| Ok(serde_json::from_str(&row?)?)).collect()
}

fn payment_of(connection: &Connection, id: &str) -> anyhow::Result<Option<Value>> {
    Ok(read(connection, "select body from rzp_payments where id = ?1", id)?.pop())
}

fn list(items: Vec<Value>) -> Reply {
    Reply { fresh: false, ..done(json!({ "entity": "collection", "count": items.len(), "items": items })) }
}

fn moved(connection: &Connection, operation: &str, payment: &Value, amount: i64) -> anyhow::Result<()> {
    connection.execute(
        "insert into movements (operation, intent, key, amount, currency, at_ms) values (?1, ?2, ?2, ?3, ?4, ?5)",
        params![operation, payment["id"].as_str(), amount, payment["currency"].as_str(), i64::try_from(now_ms())?],
    )?;
    Ok(())
}

fn save_payment(connection: &Connection, payment: &Value) -> anyhow::Result<()> {
    connection.execute(
        "insert into rzp_payments (id, order_id, body) values (?1, ?2, ?3) on conflict (id) do update set body = excluded.body",
        params![payment["id"].as_str(), payment["order_id"].as_str(), payment.to_string()],
    )?;
    Ok(())
}

fn set_order(connection: &Connection, id: &str, status: &str) -> anyhow::Result<()> {
    connection
        .execute("update rzp_orders set body = json_set(body, '$.status', ?2) where id = ?1", [id, status])?;
    Ok(())
}

/// Makes an order, whether there is one of this receipt or not: the provider knows no idempotency here.
async fn order(State(provider): State<Provider>, headers: HeaderMap, body: Bytes) -> Response<Body> {
    let work = move |connection: &Connection| {
        let Ok(body) = serde_json::from_slice::<Value>(&body) else {
            return Ok(error(400, "input_validation_failed"));
        };
        let amount = body["amount"].as_i64().filter(|amount| *amount >= 100);
        let manual = body["payment"]["capture"] == "manual";
        let (Some(amount), Some(currency), true) = (amount, body["currency"].as_str(), manual) else {
            return Ok(error(400, "input_validation_failed"));
        };
        let id = id(connection, "order")?;
        let order = json!({
            "id": id, "entity": "order", "amount": amount, "amount_paid": 0, "amount_due": amount,
            "currency": currency, "receipt": body["receipt"], "status": "created", "attempts": 0,
            "notes": body["notes"], "created_at": now_ms() / 1_000,
        });
        connection
            .execute("insert into rzp_orders (id, body) values (?1, ?2)", params![id, order.to_string()])?;
        Ok(done(order))
    };
    provider.serve(Operation::Order, &headers, work).await
}

async fn orders(
    State(provider): State<Provider>,
    Query(query): Query<HashMap<String, String>>,
    headers: HeaderMap,
) -> Response<Body> {
    let work = move |connection: &Connection| {
        let receipt = query.get("receipt").map(String::as_str).unwrap_or_default();
        let sql = "select body from rzp_orders where body ->> 'receipt' = ?1 order by seq desc";
        Ok(list(read(connection, sql, receipt)?))
    };
    provider.serve(Operation::List, &headers, work).await
}

async fn payments(
    State(provider): State<Provider>,
    Path(order): Path<String>,
    headers: HeaderMap,
) -> Response<Body> {
    let work = move |connection: &Connection| {
        if read(connection, "select body from rzp_orders where id = ?1", &order)?.is_empty() {
            return Ok(error(400, "input_validation_failed"));
        }
        let sql = "select body from rzp_payments where order_id = ?1 order by seq desc";
        Ok(list(read(connection, sql, &order)?))
    };
    provider.serve(Operation::List, &headers, work).await
}

async fn payment(
    State(provider): State<Provider>,
    Path(id): Path<String>,
    headers: HeaderMap,
) -> Response<Body> {
    let work = move |connection: &Connection| {
        Ok(match payment_of(connection, &id)? {
            Some(payment) => Reply { fresh: false, ..done(payment) },
            None => error(400, "input_validation_failed"),
        })
    };
    provider.serve(Operation::Payment, &headers, work).await
}

/// Takes all of an authorized payment, once, and only one payment of an order.
async fn capture(
    State(provider): State<Provider>,
    Path(id): Path<String>,
    headers: HeaderMap,
    body: Bytes,
) -> Response<Body> {
    let work = move |connection: &Connection| {
        let body: Value = serde_json::from_slice(&body).unwrap_or_default();
        let Some(mut payment) = payment_of(connection, &id)? else {
            return Ok(error(400, "input_validation_failed"));
        };
        let order = payment["order_id"].as_str().context("it has an order")?.to_owned();
        let paid = read(connection, "select body from rzp_orders where id = ?1", &order)?;
        let amount = payment["amount"].as_i64().context("it has an amount")?;
        if payment["status"] != "authorized" || paid.iter().any(|order| order["status"] == "paid") {
            return Ok(error(400, "payment_already_captured"));
        }
        if body["amount"] != payment["amount"] || body["currency"] != payment["currency"] {
            return Ok(error(400, "capture_amount_mismatch"));
        }
        payment["status"] = json!("captured");
        payment["captured"] = json!(true);
        save_payment(connection, &payment)?;
        set_order(connection, &order, "paid")?;
        moved(connection, "capture", &payment, amount)?;
        Ok(done(payment))
    };
    provider.serve(Operation::Capture, &headers, work).await
}

/// Gives back, once for each key.
async fn refund(
    State(provider): State<Provider>,
    Path(id): Path<String>,
    headers: HeaderMap,
    body: Bytes,
) -> Response<Body> {
    let key = headers.get("x-refund-idempotency").and_then(|key| key.to_str().ok()).map(str::to_owned);
    let work = move |connection: &Connection| {
        let Some(key) = key else { return Ok(error(400, "a test wants a key here")) };
        let known: Option<String> = connection
            .query_row("select body from rzp_refunds where key = ?1", [&key], |row| row.get(0))
            .optional()?;
        if let Some(known) = known {
            return Ok(Reply { fresh: false, ..done(serde_json::from_str(&known)?) });
        }
        let body: Value = serde_json::from_slice(&body).unwrap_or_default();
        let Some(mut payment) = payment_of(connection, &id)? else {
            return Ok(error(400, "input_validation_failed"));
        };
        let number = |value: &Value| value.as_i64().unwrap_or_default();
        let (amount, back) = (number(&body["amount"]), number(&payment["amount_refunded"]));
        if payment["captured"] != true || amount <= 0 || amount + back > number(&payment["amount"]) {
            return Ok(error(400, "payment_fully_refunded"));
        }
        payment["amount_refunded"] = json!(amount + back);
        if amount + back == number(&payment["amount"]) {
            payment["status"] = json!("refunded");
        }
        save_payment(connection, &payment)?;
        moved(connection, "refund", &payment, amount)?;
        let refund = json!({
            "id": format!("rfnd_{}", hex::encode(&Sha256::digest(&key)[..7])), "entity": "refund",
            "amount": amount, "currency": payment["currency"], "payment_id": id, "status": "processed",
        });
        connection.execute(
            "insert into rzp_refunds (key, payment, body) values (?1, ?2, ?3)",
            params![key, id, refund.to_string()],
        )?;
        Ok(done(refund))
    };
    provider.serve(Operation::Refund, &headers, work).await
}

/// What the shopper does on the provider's page.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Paying {
    order: String,
    /// Why the payment fails. None: it works.
    #[serde(default)]
    fails: Option<String>,
    /// Another amount than the order's.
    #[serde(default)]
    amount: Option<i64>,
    /// The account takes money by itself, whatever the order says.
    #[serde(default)]
    captured: bool,
}

/// The shopper pays. Answers what the provider's script gives to the shopper's client.
async fn pay(State(provider): State<Provider>, Json(paying): Json<Paying>) -> Response<Body> {
    let made = provider.change(|connection| {
        let order = read(connection, "select body from rzp_orders where id = ?1", &paying.order)?.pop();
        let Some(order) = order else { return Ok(error(404, "there is no such order")) };
        let amount = paying.amount.or(order["amount"].as_i64()).context("an order has an amount")?;
        let status = match (&paying.fails, paying.captured) {
            (Some(_), _) => "failed",
            (None, true) => "captured",
            (None, false) => "authorized",
        };
        let payment = json!({
            "id": id(connection, "pay")?, "entity": "payment", "amount": amount, "currency": order["currency"],
            "status": status, "order_id": paying.order, "method": "upi", "captured": status == "captured",
            "amount_refunded": 0, "refund_status": null, "email": "shopper@example.com",
            "error_code": paying.fails.as_ref().map(|_| "BAD_REQUEST_ERROR"), "error_reason": paying.fails,
            "notes": [], "created_at": now_ms() / 1_000,
        });
        save_payment(connection, &payment)?;
        set_order(connection, &paying.order, if status == "captured" { "paid" } else { "attempted" })?;
        for (operation, happens) in [("authorize", status != "failed"), ("capture", status == "captured")] {
            if happens {
                moved(connection, operation, &payment, amount)?;
            }
        }
        Ok(done(payment))
    });
    match made {
        Ok((Reply { status: 200, body: payment, .. }, _)) => {
            let id = payment["id"].as_str().unwrap_or_default().to_owned();
            let signature = sign(KEY_SECRET, &format!("{}|{id}", paying.order));
            provider.tell(Some(payment)).await;
            answer(done(json!({
                "razorpay_order_id": paying.order, "razorpay_payment_id": id, "razorpay_signature": signature,
            })))
        }
        Ok((refused, _)) => answer(refused),
        Err(broken) => failed(&broken),
    }
}

/// All orders, each with its payments.
async fn all(State(provider): State<Provider>) -> Response<Body> {
    let made = provider.change(|connection| {
        let mut orders = read(connection, "select body from rzp_orders where ?1 = '' order by seq", "")?;
        for order in &mut orders {
            let sql = "select body from rzp_payments where order_id = ?1 order by seq";
            order["payments"] = json!(read(connection, sql, order["id"].as_str().unwrap_or_default())?);
        }
        Ok(list(orders))
    });
    made.map_or_else(|broken| failed(&broken), |(reply, _)| answer(reply))
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
