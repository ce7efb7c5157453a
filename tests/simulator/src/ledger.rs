//! What happened to the money: one SQLite file, synced with every change.
//!
//! A change and the answer stored under its idempotency key are one transaction, so that a repeated
//! request can never move money twice, whatever became of its answer.

use crate::behaviour::{Behaviour, Operation};
use rusqlite::{Connection, OptionalExtension as _, TransactionBehavior, params};
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};
use sha2::{Digest, Sha256};
use std::path::Path;
use std::sync::{Arc, Mutex, MutexGuard};

/// The provider's own payment, as it is stored and answered.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Intent {
    pub id: String,
    pub order: String,
    /// created, action_required, authorized, captured, voided, refunded, declined
    pub status: String,
    pub amount: i64,
    pub currency: String,
    pub authorized: i64,
    pub captured: i64,
    pub refunded: i64,
    pub capture_at_once: bool,
    pub decline_code: Option<String>,
    pub redirect_url: Option<String>,
}

/// One request that may change something.
pub struct Change {
    pub operation: Operation,
    pub key: String,
    /// Of the intent. None where it is made by this request.
    pub intent: Option<String>,
    pub body: Value,
    pub now_ms: u64,
}

/// Status and body of an answer.
#[derive(Clone, Debug)]
pub struct Reply {
    pub status: u16,
    pub body: Value,
    /// The request did this now, and not at an earlier time.
    pub fresh: bool,
}

/// One connection: changes are made one after the other.
#[derive(Clone)]
pub struct Ledger {
    connection: Arc<Mutex<Connection>>,
}

const SCHEMA: &str = "
create table if not exists intents (id text primary key, body text not null) strict;
create table if not exists keys (
    key text primary key, operation text not null, intent text not null, hash blob not null,
    status integer not null, body text not null) strict;
create table if not exists movements (
    seq integer primary key, operation text not null, intent text not null, key text not null,
    amount integer not null, currency text not null, at_ms integer not null) strict;
";

impl Ledger {
    pub fn open(path: &Path) -> anyhow::Result<Ledger> {
        let connection = Connection::open(path)?;
        connection.pragma_update(None, "journal_mode", "WAL")?;
        connection.pragma_update(None, "synchronous", "FULL")?;
        connection.execute_batch(SCHEMA)?;
        Ok(Ledger { connection: Arc::new(Mutex::new(connection)) })
    }

    pub fn connection(&self) -> MutexGuard<'_, Connection> {
        // A panic inside a change has rolled it back.
        self.connection.lock().unwrap_or_else(std::sync::PoisonError::into_inner)
    }

    /// Carries a change out, or gives the answer it had before.
    pub fn change(&self, change: &Change, behaviour: Behaviour) -> anyhow::Result<Reply> {
        let mut connection = self.connection();
        let tx = connection.transaction_with_behavior(TransactionBehavior::Immediate)?;
        let hash =
            Sha256::digest(serde_json::to_vec(&json!([change.operation, change.intent, change.body]))?)
                .to_vec();
        let known: Option<(Vec<u8>, u16, String)> = tx
            .prepare_cached("select hash, status, body from keys where key = ?1")?
            .query_row([&change.key], |row| Ok((row.get(0)?, row.get(1)?, row.get(2)?)))
            .optional()?;
        if let Some((known, status, body)) = known {
            if known != hash {
                return Ok(error(422, "key_reused", "this key came before with another request"));
            }
            return Ok(Reply { status, body: serde_json::from_str(&body)?, fresh: false });
        }
        let before = match &change.intent {
            Some(id) => match load(&tx, id)? {
                Some(intent) => Some(intent),
                None => return Ok(error(404, "no_such_intent", "there is no such payment")),
            },
            None => None,
        };
        let (intent, moved) = match decide(before, change, behaviour) {
            Ok(done) => done,
            // A refused request changes nothing and its key stays free.
            Err(refused) => return Ok(refused),
        };
        tx.prepare_cached(
            "insert into intents (id, body) values (?1, ?2) on conflict (id) do update set body = excluded.body",
        )?
        .execute([&intent.id, &serde_json::to_string(&intent)?])?;
        for (operation, amount) in moved {
            tx.prepare_cached(
                "insert into movements (operation, intent, key, amount, currency, at_ms) values (?1, ?2, ?3, ?4, ?5, ?6)",
            )?
            .execute(params![
                operation.as_str(),
                intent.id,
                change.key,
                amount,
                intent.currency,
                i64::try_from(change.now_ms)?
            ])?;
        }
        let body = serde_json::to_value(&intent)?;
        tx.prepare_cached(
            "insert into keys (key, operation, intent, hash, status, body) values (?1, ?2, ?3, ?4, 200, ?5)",
        )?
        .execute(params![
            change.key,
            change.operation.as_str(),
            intent.id,
            hash,
            body.to_string()
        ])?;
        tx.commit()?;
        Ok(Reply { status: 200, body, fresh: true })
    }

    /// The payment as it is now.
    pub fn intent(&self, id: &str) -> anyhow::Result<Option<Intent>> {
        load(&self.connection(), id)
    }

    /// What a key did, and the payment as it is now.
    pub fn by_key(&self, key: &str) -> anyhow::Result<Option<Value>> {
        let connection = self.connection();
        let row: Option<(String, String, String)> = connection
            .prepare_cached("select operation, intent, body from keys where key = ?1")?
            .query_row([key], |row| Ok((row.get(0)?, row.get(1)?, row.get(2)?)))
            .optional()?;
        let Some((operation, intent, answered)) = row else { return Ok(None) };
        Ok(Some(json!({
            "key": key,
            "operation": operation,
            "answered": serde_json::from_str::<Value>(&answered)?,
            "intent": load(&connection, &intent)?,
        })))
    }

    /// All movements of money, in order.
    pub fn movements(&self) -> anyhow::Result<Value> {
        let connection = self.connection();
        let mut statement = connection.prepare_cached(
            "select operation, intent, key, amount, currency, at_ms from movements order by seq",
        )?;
        let charges: Vec<Value> = statement
            .query_map([], |row| {
                Ok(json!({
                    "operation": row.get::<_, String>(0)?,
                    "intent": row.get::<_, String>(1)?,
                    "key": row.get::<_, String>(2)?,
                    "amount": row.get::<_, i64>(3)?,
                    "currency": row.get::<_, String>(4)?,
                    "at_ms": row.get::<_, i64>(5)?,
                }))
            })?
            .collect::<rusqlite::Result<_>>()?;
        Ok(json!({ "charges": charges }))
    }
}

fn load(connection: &Connection, id: &str) -> anyhow::Result<Option<Intent>> {
    let body: Option<String> = connection
        .prepare_cached("select body from intents where id = ?1")?
        .query_row([id], |row| row.get(0))
        .optional()?;
    Ok(body.map(|body| serde_json::from_str(&body)).transpose()?)
}

pub fn error(status: u16, code: &str, text: &str) -> Reply {
    Reply {
        status,
        body: json!({ "status": "error", "error": { "code": code, "text": text } }),
        fresh: false,
    }
}

type Moved = Vec<(Operation, i64)>;

/// What a request does to a payment. Err: it is refused and nothing changes.
fn decide(before: Option<Intent>, change: &Change, behaviour: Behaviour) -> Result<(Intent, Moved), Reply> {
    let refused = |text: &str| error(409, "wrong_state", text);
    let amount = |name: &str| change.body[name].as_i64().filter(|amount| *amount > 0);
    let no_amount = || error(400, "bad_request", "`amount` must be a positive integer");
    let text = |name: &str| change.body[name].as_str().unwrap_or_default().to_owned();

    let mut intent = match before {
        Some(intent) => intent,
        None => Intent {
            // The id follows from the key: the same request makes the same payment.
            id: format!("pi_{}", hex::encode(&Sha256::digest(&change.key)[..12])),
            order: text("order"),
            status: "created".to_owned(),
            amount: amount("amount").ok_or_else(no_amount)?,
            currency: text("currency"),
            authorized: 0,
            captured: 0,
            refunded: 0,
            capture_at_once: false,
            decline_code: None,
            redirect_url: None,
        },
    };
    match change.operation {
        Operation::Prepare if change.intent.is_none() => Ok((intent, Vec::new())),
        Operation::Prepare => Err(error(400, "bad_request", "a payment is made without an id")),
        Operation::Authorize => {
            if intent.status != "created" && intent.status != "declined" {
                return Err(refused("it has been authorized before"));
            }
            intent.capture_at_once = change.body["capture"].as_bool().unwrap_or(false);
            let decline = match behaviour {
                Behaviour::Declined => Some("card_declined"),
                Behaviour::Insufficient => Some("insufficient_funds"),
                Behaviour::Fraud => Some("suspected_fraud"),
                _ => None,
            };
            if let Some(code) = decline {
                intent.status = "declined".to_owned();
                intent.decline_code = Some(code.to_owned());
                return Ok((intent, Vec::new()));
            }
            intent.decline_code = None;
            if behaviour == Behaviour::ThreeDs {
                intent.status = "action_required".to_owned();
                intent.redirect_url = Some(format!("https://bank.example/3ds/{}", intent.id));
                return Ok((intent, Vec::new()));
            }
            Ok(authorize(intent))
        }
        Operation::Confirm => {
            if intent.status != "action_required" {
                return Err(refused("there is nothing to confirm"));
            }
            intent.redirect_url = None;
            if change.body["result"].as_str() == Some("ok") {
                return Ok(authorize(intent));
            }
            intent.status = "declined".to_owned();
            intent.decline_code = Some("authentication_failed".to_owned());
            Ok((intent, Vec::new()))
        }
        Operation::Capture => {
            let amount = amount("amount").ok_or_else(no_amount)?;
            if intent.status != "authorized" || intent.captured + amount > intent.authorized {
                return Err(refused("so much is not authorized"));
            }
            intent.captured += amount;
            if change.body["final"].as_bool() == Some(true) || intent.captured == intent.authorized {
                intent.status = "captured".to_owned();
            }
            Ok((intent, vec![(Operation::Capture, amount)]))
        }
        Operation::Void => {
            if !matches!(intent.status.as_str(), "created" | "action_required" | "authorized" | "declined")
                || intent.captured > 0
            {
                return Err(refused("money has been taken: refund it"));
            }
            let dropped = intent.authorized;
            intent.status = "voided".to_owned();
            intent.redirect_url = None;
            Ok((intent, vec![(Operation::Void, dropped)]))
        }
        Operation::Refund => {
            let amount = amount("amount").ok_or_else(no_amount)?;
            if intent.refunded + amount > intent.captured {
                return Err(refused("so much was not taken"));
            }
            intent.refunded += amount;
            if intent.refunded == intent.captured {
                intent.status = "refunded".to_owned();
            }
            Ok((intent, vec![(Operation::Refund, amount)]))
        }
    }
}

fn authorize(mut intent: Intent) -> (Intent, Moved) {
    intent.authorized = intent.amount;
    let mut moved = vec![(Operation::Authorize, intent.amount)];
    intent.status = "authorized".to_owned();
    if intent.capture_at_once {
        intent.captured = intent.amount;
        intent.status = "captured".to_owned();
        moved.push((Operation::Capture, intent.amount));
    }
    (intent, moved)
}
