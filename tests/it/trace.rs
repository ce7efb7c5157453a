//! What the host says of itself: a log of JSON, and traces from the request through the workflow to the component's call.

use std::collections::HashMap;
use std::time::{Duration, Instant};

use serde_json::Value;
use till_tests::endpoint::Endpoint;
use till_tests::host::{Host, LOG, MORE, submit_body, token};
use till_tests::{PATIENCE, Simulator};

/// All spans that a collector took, by id.
fn spans(collector: &Endpoint) -> HashMap<String, Value> {
    let text = |value: &Value| value.as_str().unwrap_or_default().to_owned();
    let mut all = HashMap::new();
    for posted in collector.posted() {
        let batch: Value = serde_json::from_str(&posted.body).expect("OTLP as JSON");
        for resource in batch["resourceSpans"].as_array().expect("resources") {
            for scope in resource["scopeSpans"].as_array().expect("scopes") {
                for span in scope["spans"].as_array().expect("spans") {
                    all.insert(text(&span["spanId"]), span.clone());
                }
            }
        }
    }
    all
}

#[tokio::test(flavor = "multi_thread")]
async fn a_submit_is_traced_from_the_request_to_the_call_of_the_gateway() {
    let collector = Endpoint::open().await;
    collector.says("{}");
    let simulator = Simulator::start();
    let folder = tempfile::tempdir().expect("a temporary folder");
    till_tests::template(folder.path(), &simulator.url).await;
    let more = format!("log_format = \"json\"\n[traces]\nendpoint = {:?}\n", collector.url);
    std::fs::write(folder.path().join(MORE), more).expect("write the configuration");
    let host = Host::start(folder.path(), None);
    let item = serde_json::json!({ "productId": "PROD-12345", "quantity": 2 });
    host.call("POST", "/api/v1/cart/items", "", Some(&item)).await.expect("an answer");
    let session = host.call("POST", "/api/v1/checkout/initiate", "", None).await.expect("an answer").1;
    let session = session["checkoutSessionId"].as_str().expect("an id").to_owned();

    // The shop's page has begun the trace.
    let trace = "4bf92f3577b34da6a3ce929d0e0e4736";
    let client = reqwest::Client::builder().no_proxy().build().expect("a client");
    let request =
        client.post(format!("{}/api/v1/checkout/submit", host.url)).bearer_auth(token("CUST-12345", ""));
    let request = request.header("traceparent", format!("00-{trace}-00f067aa0ba902b7-01"));
    let answer = request.json(&submit_body(&session, "PM-001")).send().await.expect("an answer");
    assert_eq!(answer.status(), 201);

    let name = |span: &Value| span["name"].as_str().unwrap_or_default().to_owned();
    // Names from a span up to the request's.
    let way = |all: &HashMap<String, Value>, span: &Value| -> Vec<String> {
        let above = |span: &&Value| span["parentSpanId"].as_str().and_then(|parent| all.get(parent));
        std::iter::successors(Some(span), above).map(name).skip(1).collect()
    };
    let expected = [
        "component payment-gateway",
        "step payment.authorize",
        "workflow checkout",
        "POST /api/v1/checkout/submit",
    ];
    let until = Instant::now() + PATIENCE;
    let all = loop {
        let all = spans(&collector);
        let sent = |span: &&Value| name(span).starts_with("POST 127.0.0.1") && span["traceId"] == trace;
        if all.values().filter(sent).any(|span| way(&all, span) == expected) {
            break all;
        }
        assert!(Instant::now() < until, "the collector is told of the request to the provider: {all:?}");
        tokio::time::sleep(Duration::from_millis(100)).await;
    };
    let root = all.values().find(|span| name(span) == "POST /api/v1/checkout/submit").expect("the request");
    assert_eq!(root["parentSpanId"], "00f067aa0ba902b7", "the client's span is above it");
    let text = Value::from_iter(all.values().cloned()).to_string();
    for told in ["till.component", "till.slot", "quote.check", "component pricing", "\"commit\""] {
        assert!(text.contains(told), "no `{told}` in {text}");
    }
    for secret in ["CUST-12345", "tok_visa", "Bearer"] {
        assert!(!text.contains(secret), "`{secret}` is in a trace");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn the_log_is_a_json_object_a_line_and_has_no_secret_in_it() {
    let simulator = Simulator::start();
    let folder = tempfile::tempdir().expect("a temporary folder");
    till_tests::template(folder.path(), &simulator.url).await;
    std::fs::write(folder.path().join(MORE), "log_format = \"json\"\n").expect("write the configuration");
    let host = Host::start_telling(folder.path());
    let shopper = token("CUST-12345", "");
    let item = serde_json::json!({ "productId": "PROD-12345", "quantity": 2 });
    host.call_as(&shopper, "POST", "/api/v1/cart/items", "", Some(&item)).await.expect("an answer");
    let session = host.call("POST", "/api/v1/checkout/initiate", "", None).await.expect("an answer").1;
    let submit = submit_body(session["checkoutSessionId"].as_str().expect("an id"), "PM-001");
    let answer = host.call("POST", "/api/v1/checkout/submit", "", Some(&submit)).await.expect("an answer");
    assert_eq!(answer.0, 201, "{}", answer.1);
    host.ask_to_stop();
    assert!(host.ended().await, "all of it is written");

    let text = std::fs::read_to_string(folder.path().join(LOG)).expect("the log");
    let lines: Vec<Value> =
        text.lines().map(|line| serde_json::from_str(line).unwrap_or_else(|_| panic!("{line}"))).collect();
    for line in &lines {
        assert!(line["timestamp"].is_string() && line["level"].is_string(), "{line}");
        assert!(line["fields"]["message"].is_string() && line["target"].is_string(), "{line}");
    }
    let said = |message: &str| lines.iter().any(|line| line["fields"]["message"] == message);
    assert!(said("publish") && said("stop: no new work is taken"), "{text}");
    for secret in [shopper.as_str(), "tok_visa", till_tests::host::JWT_SECRET, "sk_sim"] {
        assert!(!text.contains(secret), "`{secret}` is in the log");
    }
}
