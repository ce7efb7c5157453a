//! What the gateway is asked: one payment of 47.11, its attempts and its refunds.

use super::super::inputs;
use till_sandbox::wit::gateway::{Attempt, Instrument, Operation, PaymentRequest, Reference, Shopper};
use till_sandbox::wit::types::Money;

/// Two idempotency keys as the host makes them.
pub(super) const KEYS: [&str; 2] = ["conformanceconformanceconformana", "conformanceconformanceconformanb"];
/// Kinds of references that gateways are known to look for in an attempt.
pub(super) const REFERENCES: [&str; 8] =
    ["payment-intent", "payment", "charge", "order", "transaction", "authorization", "capture", "intent"];
pub(super) fn usd(minor: i64) -> Money {
    Money { minor, currency: "USD".to_owned() }
}

pub(super) fn references() -> Vec<Reference> {
    let reference = |kind: &&str| Reference { kind: (*kind).to_owned(), value: "ref_conformance".to_owned() };
    REFERENCES.iter().map(reference).collect()
}

pub(super) fn attempt(key: &str, operation: Operation) -> Attempt {
    Attempt {
        key: key.to_owned(),
        operation,
        first_sent_ms: Some(inputs::NOW_MS),
        amount: usd(4_711),
        references: references(),
        gateway_state: None,
        order: "ord_conformance".to_owned(),
        order_number: "ORD-1".to_owned(),
        attributes: Vec::new(),
    }
}

pub(super) fn payment(attempt: Attempt) -> PaymentRequest {
    PaymentRequest {
        attempt,
        instrument: Instrument {
            id: "pm_conformance".to_owned(),
            kind: "credit_card".to_owned(),
            token: "tok_conformance".to_owned(),
            last4: "4242".to_owned(),
            brand: "visa".to_owned(),
            off_session: false,
        },
        shopper: Shopper {
            id: "customer_conformance".to_owned(),
            email: "shopper@example.com".to_owned(),
            ip: "203.0.113.1".to_owned(),
            user_agent: "till-kit".to_owned(),
            return_url: "https://shop.example/return".to_owned(),
            billing: None,
            shipping: None,
        },
        lines: Vec::new(),
        capture: true,
    }
}
