//! From what a host says a component was asked, to a fixture of the kit.

use serde_json::{Value, json};

/// A fixture: what the component was asked, and its answer as what is expected.
pub fn fixture(asked: &Value) -> Value {
    let context = &asked["context"];
    let now_ms = context["now_ms"].as_i64().unwrap_or(0);
    let now = jiff::Timestamp::from_millisecond(now_ms).map(|now| now.to_string()).unwrap_or_default();
    let mut told = json!({});
    for (theirs, ours) in [
        ("merchant", "merchant"),
        ("channel", "channel"),
        ("locale", "locale"),
        ("currency", "currency"),
        ("instance", "instance"),
        ("step", "step"),
        ("entry", "entry"),
        ("attempt", "attempt"),
        ("test_mode", "testMode"),
    ] {
        told[ours] = context[theirs].clone();
    }
    json!({
        "now": now,
        "context": told,
        "config": asked["config"],
        "request": asked["request"],
        "expected": asked["answer"],
    })
}
