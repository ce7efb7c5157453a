//! Webhooks of the provider: signed, and sent as often and as early as the test wants.

use crate::behaviour::Operation;
use anyhow::Context;
use hmac::{Hmac, Mac};
use serde::Deserialize;
use serde_json::{Value, json};
use sha2::{Digest, Sha256};
use std::time::Duration;

/// Where webhooks go and how they misbehave.
#[derive(Clone, Debug, Deserialize)]
pub struct Target {
    pub url: String,
    pub secret: String,
    #[serde(default)]
    pub mode: Mode,
}

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Mode {
    #[default]
    Once,
    Never,
    Twice,
    /// Sent, and answered by the receiver, before the request that caused it gets its reply.
    BeforeReply,
    WrongSignature,
}

/// What happened, as the receiver is told.
pub fn event(operation: Operation, key: &str, intent: &Value, now_ms: u64) -> Value {
    let kind = match (operation, intent["status"].as_str().unwrap_or_default()) {
        (_, "declined") => "declined",
        (_, "action_required") => "action_required",
        (Operation::Authorize | Operation::Confirm, "captured") | (Operation::Capture, _) => "captured",
        (Operation::Authorize | Operation::Confirm, _) => "authorized",
        (Operation::Void, _) => "voided",
        (Operation::Refund, _) => "refunded",
        (Operation::Prepare, _) => "created",
    };
    // The same fact always has the same id: a receiver can tell a repetition.
    let id = hex::encode(&Sha256::digest(format!("{key} {kind}"))[..12]);
    json!({ "id": format!("evt_{id}"), "type": format!("payment.{kind}"), "created_ms": now_ms, "key": key, "intent": intent })
}

/// Sends an event as often as the mode says. A receiver that does not answer is not asked again.
pub async fn send(client: reqwest::Client, target: Target, event: Value, now_ms: u64) {
    let times = match target.mode {
        Mode::Never => 0,
        Mode::Twice => 2,
        Mode::Once | Mode::BeforeReply | Mode::WrongSignature => 1,
    };
    for _ in 0..times {
        if let Err(error) = post(&client, &target, &event, now_ms).await {
            eprintln!("webhook to {}: {error:#}", target.url);
        }
    }
}

async fn post(client: &reqwest::Client, target: &Target, event: &Value, now_ms: u64) -> anyhow::Result<()> {
    let body = event.to_string();
    let mut signature = sign(target.secret.as_bytes(), now_ms, &body)?;
    if target.mode == Mode::WrongSignature {
        signature = sign(b"another secret", now_ms, &body)?;
    }
    client
        .post(&target.url)
        .header("content-type", "application/json")
        .header("sim-signature", format!("t={now_ms},v1={signature}"))
        .timeout(Duration::from_secs(10))
        .body(body)
        .send()
        .await
        .context("not delivered")?;
    Ok(())
}

/// Hex of HMAC-SHA256 over `<milliseconds>.<body>`.
fn sign(secret: &[u8], now_ms: u64, body: &str) -> anyhow::Result<String> {
    let mut mac = Hmac::<Sha256>::new_from_slice(secret)?;
    mac.update(format!("{now_ms}.{body}").as_bytes());
    Ok(hex::encode(mac.finalize().into_bytes()))
}
