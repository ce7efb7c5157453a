//! Webhooks: the signature, and what the event says.

use crate::api::Intent;
use crate::bindings::exports::till::checkout::payment_gateway_api::{
    Event, EventKind, Reference, WebhookRequest, WebhookResult,
};
use crate::bindings::till::checkout::types::{ComponentError, Money};
use crate::config::detail;
use crate::gateway::INTENT;
use serde::Deserialize;

/// The provider's event.
#[derive(Debug, Deserialize)]
struct Wire {
    id: String,
    r#type: String,
    created_ms: u64,
    key: String,
    intent: Intent,
}

/// Checks and reads a webhook. `verify` compares a signature of some bytes in constant time.
pub fn read(
    request: &WebhookRequest,
    verify: impl FnOnce(&[u8], &[u8]) -> Result<bool, ComponentError>,
) -> Result<WebhookResult, ComponentError> {
    let verified = match signature(request) {
        Some((time, signature)) => {
            let mut signed = format!("{time}.").into_bytes();
            signed.extend_from_slice(&request.body);
            verify(&signed, &signature)?
        }
        None => false,
    };
    if !verified {
        return Ok(WebhookResult { verified: false, events: Vec::new(), messages: Vec::new() });
    }
    let wire: Wire = serde_json::from_slice(&request.body)
        .map_err(|error| ComponentError::InvalidInput(detail("event-unreadable", error.to_string(), None)))?;
    Ok(WebhookResult { verified: true, events: vec![event(wire)], messages: Vec::new() })
}

/// Time and signature of `Sim-Signature: t=<ms>,v1=<hex>`.
fn signature(request: &WebhookRequest) -> Option<(String, Vec<u8>)> {
    let (_, value) = request.headers.iter().find(|(name, _)| name == "sim-signature")?;
    let text = str::from_utf8(value).ok()?;
    let part = |name: &str| text.split(',').find_map(|part| part.trim().strip_prefix(name));
    Some((part("t=")?.to_owned(), hex::decode(part("v1=")?).ok()?))
}

fn event(wire: Wire) -> Event {
    let Intent { id, currency, authorized, captured, refunded, .. } = wire.intent;
    let (kind, minor) = match wire.r#type.as_str() {
        "payment.authorized" => (EventKind::Authorized, Some(authorized)),
        "payment.captured" => (EventKind::Captured, Some(captured)),
        "payment.voided" => (EventKind::Voided, None),
        "payment.refunded" => (EventKind::Refunded, Some(refunded)),
        "payment.declined" => (EventKind::Declined, None),
        "payment.action_required" => (EventKind::ActionRequired, None),
        _ => (EventKind::Other, None),
    };
    // Confirming is part of the attempt that wanted it.
    let key = wire.key.strip_suffix(".confirm").unwrap_or(&wire.key).to_owned();
    Event {
        dedup_id: wire.id,
        kind,
        attempt_key: Some(key),
        reference: Some(Reference { kind: INTENT.to_owned(), value: id }),
        money: minor.map(|minor| Money { minor, currency }),
        provider_time_ms: wire.created_ms,
        attributes: Vec::new(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn webhook(header: &str) -> WebhookRequest {
        let body = r#"{"id":"evt_1","type":"payment.captured","created_ms":7,"key":"k.confirm",
            "intent":{"id":"pi_1","status":"captured","currency":"USD","authorized":5,"captured":5,"refunded":0}}"#;
        WebhookRequest { headers: vec![("sim-signature".into(), header.into())], body: body.into() }
    }

    #[test]
    fn a_verified_event_names_the_attempt() {
        let request = webhook("t=7,v1=00ff");
        let result = read(&request, |signed, signature| {
            assert!(signed.starts_with(b"7.{") && signature == [0, 0xff]);
            Ok(true)
        });
        let event = result.unwrap().events.remove(0);
        assert_eq!((event.dedup_id.as_str(), event.attempt_key.as_deref()), ("evt_1", Some("k")));
        assert_eq!((event.kind, event.money.unwrap().minor), (EventKind::Captured, 5));
    }

    #[test]
    fn nothing_is_read_without_a_good_signature() {
        for header in ["", "t=7", "v1=00", "t=7,v1=zz"] {
            let result = read(&webhook(header), |_, _| unreachable!("there is nothing to verify")).unwrap();
            assert!(!result.verified && result.events.is_empty(), "{header}");
        }
        assert!(!read(&webhook("t=7,v1=00"), |_, _| Ok(false)).unwrap().verified);
    }
}
