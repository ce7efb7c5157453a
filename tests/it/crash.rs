//! The real binary is ended at every named write point of a checkout, started again, and must end where
//! it would have ended: one capture for each confirmed order, none otherwise, and nothing held.

use std::path::Path;
use std::time::{Duration, Instant};

use serde_json::{Value, json};
use till_store::{Options, Store};
use till_tests::Simulator;
use till_tests::host::{Host, submit_body};

/// Points with how often each is passed on the way of one checkout: start, submit, authorize, capture.
const POINTS: &[&str] = &[
    "start.before-commit:1",
    "commit.in-tx:1",
    "commit.after:1",
    "commit.in-tx:2",
    "intent.before-commit:1",
    "intent.committed:1",
    "intent.after-commit.before-call:1",
    "call.request-sent.before-response:1",
    "call.response.before-outcome-commit:1",
    "commit.in-tx:3",
    "intent.committed:2",
    "intent.after-commit.before-call:2",
    "call.request-sent.before-response:2",
    "call.response.before-outcome-commit:2",
    "commit.in-tx:4",
    "commit.after:4",
];

/// Points that a checkout with a silent gateway passes before and after its first time-out.
const SILENT: &[&str] = &[
    "intent.committed:1",
    "intent.after-commit.before-call:1",
    "call.request-sent.before-response:1",
    "call.response.before-outcome-commit:1",
    "commit.in-tx:3",
];

/// Longest time to the end of one case: the asks come after 0.5, 2, 5 and 15 s.
const PATIENCE: Duration = Duration::from_secs(60);

#[tokio::test(flavor = "multi_thread")]
async fn killed_anywhere_a_good_card_pays_exactly_once() {
    matrix(POINTS, "PM-001", "", "confirmed").await;
}

#[tokio::test(flavor = "multi_thread")]
async fn killed_anywhere_a_declined_card_pays_nothing() {
    matrix(&POINTS[..11], "PM-002", "", "editable").await;
}

#[tokio::test(flavor = "multi_thread")]
async fn killed_anywhere_a_gateway_that_charges_and_never_answers_is_asked() {
    matrix(SILENT, "PM-001", "timeout_after", "confirmed").await;
}

#[tokio::test(flavor = "multi_thread")]
async fn killed_anywhere_a_gateway_that_never_heard_of_it_is_asked_and_then_pays_once() {
    matrix(SILENT, "PM-001", "timeout_before", "confirmed").await;
}

/// `behaviour`: how the next authorization goes at the gateway; empty for a good one.
async fn matrix(points: &[&str], method: &str, behaviour: &str, end: &str) {
    let simulator = Simulator::start();
    let template = tempfile::tempdir().expect("a temporary folder");
    till_tests::template(template.path(), &simulator.url).await;
    let mut ended = 0;
    for point in points {
        let folder = tempfile::tempdir().expect("a temporary folder");
        std::fs::copy(template.path().join("till.db"), folder.path().join("till.db"))
            .expect("copy the database");
        if !behaviour.is_empty() {
            simulator.behave("authorize", behaviour).await;
        }
        ended += u32::from(case(folder.path(), &simulator, point, method, end).await);
    }
    assert!(ended >= points.len() as u32 * 2 / 3, "only {ended} of {} points ended the host", points.len());
}

/// Plays one checkout through an end of the host at `point`. Gives whether it was ended.
async fn case(folder: &Path, simulator: &Simulator, point: &str, method: &str, end: &str) -> bool {
    let before = simulator.count("capture").await;
    let mut host = Host::start(folder, Some(point));
    let mut gone = false;
    // Every request is sent again, as a client would, under its own key.
    let mut session = String::new();
    let item = json!({ "productId": "PROD-12345", "quantity": 2, "warehouseId": "US-WEST-01" });
    let (status, body) =
        host.call("POST", "/api/v1/cart/items", "", Some(&item)).await.expect("the cart answers");
    assert_eq!(status, 200, "{point}: {body}");
    for _ in 0..3 {
        if session.is_empty() {
            match host.call("POST", "/api/v1/checkout/initiate", "start", None).await {
                Some((201, body)) => session = body["checkoutSessionId"].as_str().expect("an id").to_owned(),
                Some((status, body)) => panic!("{point}: initiate answered {status}: {body}"),
                None => {
                    assert!(host.is_gone(), "{point}: no answer, but the host is there");
                    gone = true;
                    host = Host::start(folder, None);
                    continue;
                }
            }
        }
        let body = submit_body(&session, method);
        match host.call("POST", "/api/v1/checkout/submit", "submit", Some(&body)).await {
            Some((status, body)) => {
                assert!(matches!(status, 201 | 202 | 400), "{point}: submit answered {status}: {body}");
                break;
            }
            None => {
                assert!(host.is_gone(), "{point}: no answer, but the host is there");
                gone = true;
                host = Host::start(folder, None);
            }
        }
    }
    if host.is_gone() {
        gone = true;
        host = Host::start(folder, None);
    }
    let until = Instant::now() + PATIENCE;
    let path = format!("/api/v1/checkout/{session}");
    let mut last = Value::Null;
    while Instant::now() < until {
        match host.call("GET", &path, "", None).await {
            Some((200, body)) => {
                last = body;
                if last["status"] == end {
                    break;
                }
            }
            Some((status, body)) => panic!("{point}: {status}: {body}"),
            None => {
                gone = true;
                host = Host::start(folder, None);
            }
        }
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
    assert_eq!(last["status"], end, "{point} with {method}: {last}");
    let (_, orders) = host.call("GET", "/api/v1/orders", "", None).await.expect("the host answers");
    let confirmed = orders["orders"]
        .as_array()
        .unwrap_or_else(|| panic!("no orders in {orders}"))
        .iter()
        .filter(|o| o["status"] == "CONFIRMED" || o["status"] == "PROCESSING")
        .count();
    assert_eq!(confirmed, usize::from(end == "confirmed"), "{point} with {method}: {orders}");
    assert_eq!(simulator.count("capture").await - before, confirmed, "{point} with {method}: captures");
    host.kill();
    let store =
        Store::open(&Options::new(folder.join("till.db").to_str().expect("utf-8"))).await.expect("open");
    let mut tx = store.read().await.expect("read");
    assert_eq!(tx.held_sums("demo").await.expect("holds"), [], "{point} with {method}: something is held");
    let stock = tx.stock("demo", "SKU-ABC-001").await.expect("stock");
    assert_eq!(
        (stock[0].on_hand, stock[0].held),
        (if confirmed == 1 { 998 } else { 1_000 }, 0),
        "{point} with {method}"
    );
    gone
}
