//! Webhooks: the signature over the raw body, and what the event says.

use crate::api::{Order, Payment};
use crate::bindings::exports::till::checkout::payment_gateway_api::{
    Event, EventKind, WebhookRequest, WebhookResult,
};
use crate::bindings::till::checkout::types::ComponentError;
use crate::config::detail;
use crate::gateway::{ORDER, reference};
use serde::Deserialize;

/// The provider's event.
#[derive(Deserialize)]
struct Wire {
    event: String,
    /// Seconds.
    created_at: u64,
    payload: Payload,
}

#[derive(Deserialize)]
struct Payload {
    payment: Option<Entity<Payment>>,
    order: Option<Entity<Order>>,
}

#[derive(Deserialize)]
struct Entity<T> {
    entity: T,
}

/// Checks and reads a webhook. `verify` compares a signature of some bytes in constant time.
pub fn read(
    request: &WebhookRequest,
    verify: impl FnOnce(&[u8], &[u8]) -> Result<bool, ComponentError>,
) -> Result<WebhookResult, ComponentError> {
    let header = request.headers.iter().find(|(name, _)| name == "x-razorpay-signature");
    let signature = header.and_then(|(_, value)| hex::decode(value).ok());
    let verified = match &signature {
        Some(signature) => verify(&request.body, signature)?,
        None => false,
    };
    let (true, Some(signature)) = (verified, signature) else {
        return Ok(WebhookResult { verified: false, events: Vec::new(), messages: Vec::new() });
    };
    let wire: Wire = serde_json::from_slice(&request.body)
        .map_err(|error| ComponentError::InvalidInput(detail("event-unreadable", error.to_string(), None)))?;
    // The provider's header with an event id is not signed; the signature itself names what was told.
    let dedup_id = hex::encode(signature);
    Ok(WebhookResult { verified: true, events: vec![event(wire, dedup_id)], messages: Vec::new() })
}

fn event(wire: Wire, dedup_id: String) -> Event {
    let payment = wire.payload.payment.map(|payment| payment.entity);
    let order = wire.payload.order.map(|order| order.entity);
    let kind = match wire.event.as_str() {
        "payment.authorized" => EventKind::Authorized,
        "payment.captured" | "order.paid" => EventKind::Captured,
        "payment.failed" => EventKind::Declined,
        "refund.processed" => EventKind::Refunded,
        _ => EventKind::Other,
    };
    let of = payment.as_ref().and_then(|payment| payment.order_id.clone());
    let of = of.or_else(|| order.as_ref().map(|order| order.id.clone()));
    Event {
        dedup_id,
        kind,
        attempt_key: order.and_then(|order| order.receipt),
        reference: of.map(|id| reference(ORDER, &id)),
        money: payment.map(|payment| payment.money()),
        provider_time_ms: wire.created_at.saturating_mul(1_000),
        attributes: Vec::new(),
    }
}
