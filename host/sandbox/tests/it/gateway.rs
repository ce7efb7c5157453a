//! The gateway component against the simulator, and what the host sees of a gateway that misbehaves.

use crate::common::{NOW_MS, SANDBOX, call, context, load};
use crate::simulator::Simulator;
use std::collections::HashMap;
use std::io::{Read, Write};
use std::net::TcpListener;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};
use till_sandbox::wit::gateway::{
    Absence, ActionKind, Attempt, CaptureRequest, EventKind, FindOutcome, FindRequest, Instrument, Operation,
    PaymentRequest, PaymentResult, PaymentState, PaymentStatus, ProceedRequest, Reference, RefundRequest,
    Shopper, TookEffect, VoidRequest, WebhookRequest,
};
use till_sandbox::wit::types::{ComponentError, Money};
use till_sandbox::{
    Answer, Asked, Binding, Call, FailureKind, Limits, Reply, Report, Scripted, Secret, Slot,
};

fn usd(minor: i64) -> Money {
    Money { minor, currency: "USD".into() }
}

pub fn attempt(key: &str, operation: Operation, references: &[Reference]) -> Attempt {
    Attempt {
        key: key.into(),
        operation,
        first_sent_ms: Some(NOW_MS),
        amount: usd(47_117),
        references: references.to_vec(),
        gateway_state: None,
        order: "ord_1".into(),
        order_number: "ORD-2024-000001".into(),
        attributes: vec![],
    }
}

pub fn payment(key: &str, token: &str, references: &[Reference]) -> PaymentRequest {
    PaymentRequest {
        attempt: attempt(key, Operation::Authorize, references),
        instrument: Instrument {
            id: "pm_1".into(),
            kind: "credit_card".into(),
            token: token.into(),
            last4: "4242".into(),
            brand: "visa".into(),
            off_session: false,
        },
        shopper: Shopper {
            id: "c1".into(),
            email: "a@example.com".into(),
            ip: "203.0.113.1".into(),
            user_agent: "test".into(),
            return_url: "https://shop.example/return".into(),
            billing: None,
            shipping: None,
        },
        lines: vec![],
        capture: true,
    }
}

pub fn binding(origin: &str) -> Arc<Binding> {
    Arc::new(Binding {
        secrets: HashMap::from([
            ("api_key".into(), Secret::new("sk_sim")),
            ("webhook".into(), Secret::new("whsec_1")),
        ]),
        allowed_origins: vec![origin.parse().unwrap()],
        allow_private_addresses: true,
        ..Binding::default()
    })
}

fn sim(simulator: &Simulator) -> Call {
    let config = format!(r#"{{"base_url":"{}"}}"#, simulator.url);
    Call { binding: binding(&simulator.url), ..call(load(Slot::PaymentGateway, "sim-gateway"), &config) }
}

/// Prepares and authorizes, as the host does.
async fn pay(simulator: &Simulator, key: &str, token: &str) -> (Answer<PaymentResult>, Vec<Reference>) {
    let limits = Limits { network_ms: 1_000, ..Limits::default() };
    let prepared = SANDBOX.prepare(sim(simulator), payment(key, token, &[])).await.unwrap();
    let references = prepared.value.unwrap().references;
    let call = Call { limits, ..sim(simulator) };
    (SANDBOX.authorize(call, payment(key, token, &references)).await.unwrap(), references)
}

async fn find(simulator: &Simulator, key: &str, references: &[Reference]) -> FindOutcome {
    let request = FindRequest { attempt: attempt(key, Operation::Authorize, references) };
    SANDBOX.find(sim(simulator), request).await.unwrap().value.unwrap().outcome
}

fn state(outcome: FindOutcome) -> PaymentState {
    match outcome {
        FindOutcome::Found(snapshot) => snapshot.state,
        other => panic!("{other:?}"),
    }
}

#[tokio::test]
async fn a_payment_is_taken_and_given_back_and_nothing_secret_is_recorded() {
    let simulator = Simulator::start();
    let capabilities = SANDBOX.capabilities(sim(&simulator)).await.unwrap();
    assert!(capabilities.value.unwrap().prepares && !capabilities.report.sent);

    let (answer, references) = pay(&simulator, "k1", "tok_visa").await;
    let result = answer.value.unwrap();
    assert_eq!((result.status, result.took_effect), (PaymentStatus::Succeeded, TookEffect::Yes));
    assert_eq!(result.confirmed, Some(usd(47_117)));
    assert_eq!(state(find(&simulator, "k1", &references).await), PaymentState::Captured);

    let report: &Report = &answer.report;
    assert!(report.sent && report.complete_response);
    let exchange = &report.exchanges[0];
    assert_eq!((exchange.method.as_str(), exchange.status, exchange.complete), ("POST", Some(200), true));
    assert!(exchange.request_body.contains("tok_visa") && exchange.response_body.contains("captured"));
    let recorded = serde_json::to_string(report).unwrap();
    assert!(recorded.contains("Bearer {secret:api_key}") && !recorded.contains("sk_sim"), "{recorded}");

    let refund = RefundRequest {
        attempt: attempt("k2", Operation::Refund, &references),
        refund_id: "r1".into(),
        amount: usd(117),
        reason: "broken".into(),
    };
    let result = SANDBOX.refund(sim(&simulator), refund).await.unwrap().value.unwrap();
    assert_eq!((result.status, result.confirmed), (PaymentStatus::Succeeded, Some(usd(117))));
    assert_eq!(simulator.charges().await, ["authorize 47117", "capture 47117", "refund 117"]);
}

#[tokio::test]
async fn money_is_reserved_and_then_taken_or_dropped() {
    let simulator = Simulator::start();
    for (key, capture) in [("a", true), ("b", false)] {
        let mut request = payment(key, "tok_visa", &[]);
        request.capture = false;
        let prepared = SANDBOX.prepare(sim(&simulator), request.clone()).await.unwrap();
        request.attempt.references = prepared.value.unwrap().references;
        let references = request.attempt.references.clone();
        SANDBOX.authorize(sim(&simulator), request).await.unwrap().value.unwrap();
        assert_eq!(state(find(&simulator, key, &references).await), PaymentState::Authorized);
        let result = if capture {
            let attempt = attempt("a2", Operation::Capture, &references);
            let request = CaptureRequest { attempt, amount: usd(40_000), final_capture: true };
            SANDBOX.capture(sim(&simulator), request).await
        } else {
            let request = VoidRequest { attempt: attempt("b2", Operation::Void, &references) };
            SANDBOX.void(sim(&simulator), request).await
        };
        assert_eq!(result.unwrap().value.unwrap().status, PaymentStatus::Succeeded);
    }
    let charges = simulator.charges().await;
    assert_eq!(charges, ["authorize 47117", "capture 40000", "authorize 47117", "void 47117"]);
}

#[tokio::test]
async fn a_payment_that_was_not_prepared_is_made_in_one_request_and_found_by_its_key() {
    let simulator = Simulator::start();
    let request = payment("k1", "tok_timeout_after", &[]);
    let limits = Limits { network_ms: 500, ..Limits::default() };
    let lost = SANDBOX.authorize(Call { limits, ..sim(&simulator) }, request.clone()).await.unwrap();
    assert!(matches!(lost.value.unwrap().status, PaymentStatus::Unknown(_)) && lost.report.sent);
    assert_eq!(state(find(&simulator, "k1", &[]).await), PaymentState::Captured);
    let again = SANDBOX.authorize(sim(&simulator), request).await.unwrap().value.unwrap();
    assert_eq!(again.status, PaymentStatus::Succeeded);
    assert_eq!(again.references.len(), 1);
    assert_eq!(simulator.charges().await, ["authorize 47117", "capture 47117"]);
}

#[tokio::test]
async fn a_decline_is_definite_and_takes_nothing() {
    let simulator = Simulator::start();
    for (token, code) in [("tok_declined", "card_declined"), ("tok_insufficient", "insufficient_funds")] {
        let (answer, _) = pay(&simulator, token, token).await;
        let result = answer.value.unwrap();
        assert!(matches!(&result.status, PaymentStatus::Declined(decline) if decline.code == code));
        assert_eq!(result.took_effect, TookEffect::No);
        assert!(answer.report.complete_response);
    }
    assert!(simulator.charges().await.is_empty());
}

#[tokio::test]
async fn three_d_secure_is_open_until_the_shopper_confirms() {
    let simulator = Simulator::start();
    let (answer, references) = pay(&simulator, "k1", "tok_3ds").await;
    let result = answer.value.unwrap();
    assert!(matches!(&result.status, PaymentStatus::Pending(a) if matches!(a.kind, ActionKind::Redirect(_))));
    assert_eq!(result.took_effect, TookEffect::Open);
    let request = ProceedRequest {
        attempt: attempt("k1", Operation::Authorize, &references),
        return_data: vec![("result".into(), "ok".into())],
    };
    let result = SANDBOX.proceed(sim(&simulator), request).await.unwrap().value.unwrap();
    assert_eq!(result.status, PaymentStatus::Succeeded);
    assert_eq!(state(find(&simulator, "k1", &references).await), PaymentState::Captured);
}

#[tokio::test]
async fn every_lost_answer_is_unknown_and_found_and_charged_once() {
    let simulator = Simulator::start();
    for token in ["tok_timeout_after", "tok_500_after", "tok_garbage_after", "tok_cut_after", "tok_slow"] {
        let before = simulator.charges().await.len();
        let (answer, references) = pay(&simulator, token, token).await;
        let result = answer.value.unwrap();
        assert!(matches!(result.status, PaymentStatus::Unknown(_)), "{token}: {result:?}");
        assert_eq!(result.took_effect, TookEffect::Unknown, "{token}");
        assert!(answer.report.sent, "{token}");
        let complete = matches!(token, "tok_500_after" | "tok_garbage_after");
        assert_eq!(answer.report.complete_response, complete, "{token}: {:?}", answer.report.exchanges);
        if token == "tok_slow" {
            assert!(matches!(
                find(&simulator, token, &references).await,
                FindOutcome::NeverHappened(Absence::NotVisibleYet)
            ));
            tokio::time::sleep(Duration::from_secs(2)).await;
        }
        assert_eq!(state(find(&simulator, token, &references).await), PaymentState::Captured, "{token}");
        let again = SANDBOX.authorize(sim(&simulator), payment(token, token, &references)).await.unwrap();
        assert_eq!(again.value.unwrap().status, PaymentStatus::Succeeded, "{token}");
        assert_eq!(simulator.charges().await.len(), before + 2, "{token}: one authorization, one capture");
    }
}

#[tokio::test]
async fn a_request_that_was_lost_before_it_was_carried_out_never_happened() {
    let simulator = Simulator::start();
    for token in ["tok_timeout_before", "tok_500_before"] {
        let (answer, references) = pay(&simulator, token, token).await;
        assert!(matches!(answer.value.unwrap().status, PaymentStatus::Unknown(_)));
        let outcome = find(&simulator, token, &references).await;
        assert!(matches!(outcome, FindOutcome::NeverHappened(_)), "{outcome:?}");
    }
    assert!(simulator.charges().await.is_empty());
}

#[tokio::test]
async fn the_admin_sets_how_the_next_request_goes() {
    let simulator = Simulator::start();
    simulator.behave("authorize", "declined").await;
    let (answer, _) = pay(&simulator, "k1", "tok_visa").await;
    assert!(matches!(answer.value.unwrap().status, PaymentStatus::Declined(_)));
    let (answer, _) = pay(&simulator, "k2", "tok_visa").await;
    assert_eq!(answer.value.unwrap().status, PaymentStatus::Succeeded);
}

#[tokio::test]
async fn a_webhook_is_verified_over_its_raw_bytes() {
    let simulator = Simulator::start();
    for (mode, good) in [("once", true), ("wrong_signature", false)] {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let url = format!("http://{}/hook", listener.local_addr().unwrap());
        simulator.webhooks_to(&url, "whsec_1", mode).await;
        let received = tokio::task::spawn_blocking(move || receive(&listener));
        pay(&simulator, mode, "tok_visa").await;
        let request = received.await.unwrap();

        let answer = SANDBOX.verify_event(sim(&simulator), request.clone()).await.unwrap();
        let result = answer.value.unwrap();
        assert_eq!(result.verified, good, "{mode}");
        assert!(!answer.report.sent);
        if good {
            let event = &result.events[0];
            assert_eq!((event.kind, event.attempt_key.as_deref()), (EventKind::Captured, Some(mode)));
            assert_eq!(event.money, Some(usd(47_117)));
            let mut forged = request;
            forged.body.push(b' ');
            let result = SANDBOX.verify_event(sim(&simulator), forged).await.unwrap().value.unwrap();
            assert!(!result.verified && result.events.is_empty());
        }
    }
}

/// Takes in one HTTP request and answers 200.
fn receive(listener: &TcpListener) -> WebhookRequest {
    let (mut stream, _) = listener.accept().unwrap();
    let mut bytes = Vec::new();
    let mut piece = [0; 4096];
    loop {
        let read = stream.read(&mut piece).unwrap();
        bytes.extend_from_slice(&piece[..read]);
        let Some(end) = bytes.windows(4).position(|w| w == b"\r\n\r\n") else { continue };
        let head = String::from_utf8(bytes[..end].to_vec()).unwrap();
        let headers: Vec<(String, Vec<u8>)> = head
            .lines()
            .skip(1)
            .filter_map(|line| line.split_once(": "))
            .map(|(name, value)| (name.to_lowercase(), value.into()))
            .collect();
        let length = headers.iter().find(|(name, _)| name == "content-length").unwrap();
        let length: usize = str::from_utf8(&length.1).unwrap().parse().unwrap();
        if bytes.len() >= end + 4 + length {
            stream.write_all(b"HTTP/1.1 200 OK\r\ncontent-length: 0\r\n\r\n").unwrap();
            return WebhookRequest { headers, body: bytes[end + 4..].to_vec() };
        }
    }
}

#[tokio::test]
async fn a_provider_that_cannot_be_reached_was_sent_nothing() {
    let port = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port();
    let origin = format!("http://127.0.0.1:{port}");
    let config = format!(r#"{{"base_url":"{origin}"}}"#);
    let call = Call { binding: binding(&origin), ..call(load(Slot::PaymentGateway, "sim-gateway"), &config) };
    let reference = Reference { kind: "payment-intent".into(), value: "pi_1".into() };
    let answer = SANDBOX.authorize(call, payment("k", "tok_visa", &[reference])).await.unwrap();
    assert!(matches!(answer.value, Err(ComponentError::Unavailable(_))), "{answer:?}");
    assert!(!answer.report.sent && !answer.report.complete_response);
    assert!(answer.report.exchanges[0].error.as_ref().unwrap().starts_with("no connection"));
}

fn hostile(attack: &str, origin: &str) -> Call {
    let component = load(Slot::PaymentGateway, "hostile-gateway");
    let ctx = context(&format!("{attack} {origin}"));
    let limits = Limits { network_ms: 500, ..Limits::default() };
    Call { component, ctx, binding: binding(origin), limits, background: false, breaker: None }
}

#[tokio::test]
async fn a_crash_after_sending_is_told_apart_from_a_crash_before() {
    let simulator = Simulator::start();
    for (attack, kind) in [("panic-after-send", "crashed"), ("loop-after-send", "fuel")] {
        let request = payment("k", "tok_visa", &[]);
        let failure = SANDBOX.authorize(hostile(attack, &simulator.url), request).await.unwrap_err();
        assert!(failure.to_string().contains(kind), "{failure}");
        assert!(failure.report.sent, "{attack}");
    }
}

#[tokio::test]
async fn waiting_for_the_network_ends_the_request_and_not_the_guest() {
    // Takes the connection and says nothing.
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let origin = format!("http://{}", listener.local_addr().unwrap());
    let started = Instant::now();
    let answer = SANDBOX.authorize(hostile("hang", &origin), payment("k", "t", &[])).await.unwrap();
    assert!(started.elapsed() >= Duration::from_millis(450) && started.elapsed() < Duration::from_secs(5));
    let fetched = &answer.value.unwrap().attributes[0].1;
    assert!(fetched.contains("HttpResponseTimeout"), "{fetched}");
    assert!(answer.report.sent && !answer.report.complete_response);
}

#[tokio::test]
async fn an_answer_that_is_not_surely_whole_is_not_handed_over() {
    let large = format!("HTTP/1.1 200 OK\r\ncontent-length: 2000000\r\n\r\n{}", "x".repeat(2_000_000));
    for (answer, told, complete) in [
        ("HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\nok", "200", true),
        ("HTTP/1.1 302 Found\r\nlocation: http://127.0.0.1:1/\r\ncontent-length: 0\r\n\r\n", "302", true),
        ("HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n2\r\nok\r\n0\r\n\r\n", "200", true),
        ("HTTP/1.1 200 OK\r\ncontent-length: 20\r\n\r\nok", "HttpResponseIncomplete", false),
        ("HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n2\r\nok\r\n", "HttpResponseIncomplete", false),
        ("HTTP/1.1 200 OK\r\nconnection: close\r\n\r\nok", "HttpResponseIncomplete", false),
        ("SSH-2.0-OpenSSH\r\n", "HttpResponseIncomplete", false),
        ("", "HttpResponseIncomplete", false),
        (&large, "HttpResponseBodySize", false),
    ] {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let origin = format!("http://{}", listener.local_addr().unwrap());
        let bytes = answer.to_owned();
        let served = tokio::task::spawn_blocking(move || {
            let (mut stream, _) = listener.accept().unwrap();
            let mut request = [0; 4096];
            let read = stream.read(&mut request).unwrap();
            // The caller may hang up on a large answer.
            let _ = stream.write_all(bytes.as_bytes());
            String::from_utf8_lossy(&request[..read]).into_owned()
        });
        let answer = SANDBOX.authorize(hostile("fetch", &origin), payment("k", "t", &[])).await.unwrap();
        let fetched = &answer.value.unwrap().attributes[0].1;
        assert!(fetched.contains(told), "{told}: {fetched}");
        assert!(answer.report.sent);
        assert_eq!(answer.report.complete_response, complete, "{told}");
        let request = served.await.unwrap();
        let host = origin.trim_start_matches("http://");
        assert!(request.to_lowercase().contains(&format!("host: {host}\r\n")), "{request}");
    }
}

#[tokio::test]
async fn a_gateway_that_sleeps_is_stopped_by_the_clock() {
    let simulator = Simulator::start();
    let failure =
        SANDBOX.authorize(hostile("sleep", &simulator.url), payment("k", "t", &[])).await.unwrap_err();
    assert_eq!(failure.kind, FailureKind::TooSlow { limit_ms: 2_500 });
    assert!(failure.report.sent);
}

#[tokio::test]
async fn what_the_binding_does_not_allow_does_not_leave() {
    let simulator = Simulator::start();
    let fetched = async |call: Call| {
        let answer = SANDBOX.authorize(call, payment("k", "t", &[])).await.unwrap();
        (answer.value.unwrap().attributes.remove(0).1, answer.report)
    };
    let mut elsewhere = hostile("fetch", &simulator.url);
    elsewhere.binding = binding("https://api.example.com");
    let (told, report) = fetched(elsewhere).await;
    assert!(told.contains("HttpRequestDenied") && !report.sent, "{told}");
    assert!(report.exchanges[0].error.as_ref().unwrap().contains("does not allow"));

    let mut private = hostile("fetch", &simulator.url);
    private.binding = Arc::new(Binding { allow_private_addresses: false, ..(*private.binding).clone() });
    let (told, report) = fetched(private).await;
    assert!(told.contains("HttpRequestDenied") && !report.sent, "{told}");

    // A name is judged by the address it leads to.
    let by_name = simulator.url.replace("127.0.0.1", "localhost");
    let mut named = hostile("fetch", &by_name);
    named.binding = Arc::new(Binding { allow_private_addresses: false, ..(*named.binding).clone() });
    let (told, report) = fetched(named).await;
    assert!(told.contains("HttpRequestDenied") && !report.sent, "{told} {report:?}");

    // Asking what a gateway can do has no network, whatever the binding allows.
    let answer = SANDBOX.capabilities(hostile("fetch", &simulator.url)).await.unwrap();
    assert!(answer.value.unwrap().attributes[0].1.contains("HttpRequestDenied"));
    assert!(!answer.report.sent);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_gateway_call_can_run_on_any_thread() {
    let simulator = Simulator::start();
    let call = hostile("fetch", &simulator.url);
    let answer = tokio::spawn(async { SANDBOX.authorize(call, payment("k", "t", &[])).await }).await;
    assert_eq!(answer.unwrap().unwrap().value.unwrap().attributes[0].1, "401");
}

/// What a gateway hears from a script, and what it was asked.
async fn scripted(answer: Scripted, origins: &[&str]) -> (Answer<PaymentResult>, Vec<Asked>) {
    let config = r#"{"base_url":"https://provider.example"}"#;
    let mut binding = (*binding("https://provider.example")).clone();
    binding.allowed_origins = origins.iter().map(|origin| origin.parse().unwrap()).collect();
    let call = Call { binding: Arc::new(binding), ..call(load(Slot::PaymentGateway, "sim-gateway"), config) };
    let asked = Arc::new(Mutex::new(Vec::new()));
    let heard = asked.clone();
    let script = move |asked: &Asked| {
        heard.lock().unwrap().push(asked.clone());
        answer.clone()
    };
    let answer =
        SANDBOX.scripted(Arc::new(script)).authorize(call, payment("k1", "tok_visa", &[])).await.unwrap();
    let asked = asked.lock().unwrap().clone();
    (answer, asked)
}

fn captured() -> Reply {
    let body = r#"{"id":"pi_1","status":"captured","currency":"USD","authorized":47117,"captured":47117,"refunded":0}"#;
    Reply {
        status: 200,
        headers: vec![("content-type".into(), "application/json".into())],
        body: body.into(),
    }
}

#[tokio::test]
async fn a_script_answers_in_place_of_the_network_and_is_recorded_like_it() {
    let (answer, asked) = scripted(Scripted::Whole(captured()), &["https://provider.example"]).await;
    assert_eq!(answer.value.unwrap().status, PaymentStatus::Succeeded);
    assert!(answer.report.sent && answer.report.complete_response);
    let (asked, exchange) = (&asked[0], &answer.report.exchanges[0]);
    assert_eq!((asked.method.as_str(), asked.uri.as_str()), ("POST", "https://provider.example/v1/payments"));
    let key = asked.headers.iter().find(|(name, _)| name == "idempotency-key").unwrap();
    assert_eq!(key.1, "k1");
    // Nobody sees a secret: neither the script nor the record.
    assert!(asked.headers.contains(&("authorization".into(), "Bearer {secret:api_key}".into())));
    assert_eq!(exchange.status, Some(200));
    assert_eq!(exchange.request_body.as_bytes(), asked.body);
    assert!(exchange.sent && exchange.complete && exchange.response_body.contains("captured"));
}

#[tokio::test]
async fn what_a_script_withholds_is_recorded_as_on_the_wire() {
    let allowed = ["https://provider.example"];
    for (reply, sent, error) in [
        (Scripted::TimedOut, true, "no complete answer in time"),
        (Scripted::CutOff(captured()), true, "the answer is not complete: it breaks off"),
        (Scripted::Refused("nobody there".into()), false, "no connection: nobody there"),
    ] {
        let (answer, asked) = scripted(reply, &allowed).await;
        let report = answer.report;
        assert_eq!((report.sent, report.complete_response, asked.len()), (sent, false, 1), "{error}");
        assert_eq!(report.exchanges[0].error.as_deref(), Some(error));
        if sent {
            assert!(matches!(answer.value.unwrap().status, PaymentStatus::Unknown(_)), "{error}");
        } else {
            assert!(matches!(answer.value, Err(ComponentError::Unavailable(_))), "{error}");
        }
    }
}

#[tokio::test]
async fn a_script_hears_nothing_that_the_binding_does_not_allow() {
    let (answer, asked) = scripted(Scripted::Whole(captured()), &["https://other.example"]).await;
    assert!(answer.value.is_err() && asked.is_empty() && !answer.report.sent, "{answer:?} {asked:?}");
    let error = answer.report.exchanges[0].error.clone().unwrap();
    assert!(error.contains("does not allow https://provider.example"), "{error}");
}

/// Answers every request with these bytes, and counts them. `Err`: one byte at a time, without an end.
async fn provider(answer: Result<Vec<u8>, u8>) -> (String, Arc<AtomicUsize>) {
    use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let origin = format!("http://{}", listener.local_addr().unwrap());
    let asked = Arc::new(AtomicUsize::new(0));
    let counted = asked.clone();
    tokio::spawn(async move {
        while let Ok((mut stream, _)) = listener.accept().await {
            let (answer, counted) = (answer.clone(), counted.clone());
            tokio::spawn(async move {
                let mut seen = Vec::new();
                while stream.read_buf(&mut seen).await.is_ok_and(|read| read > 0) {
                    let Some(end) = seen.windows(4).position(|w| w == b"\r\n\r\n") else { continue };
                    let head = String::from_utf8_lossy(&seen[..end]).to_lowercase();
                    let length = head.lines().find_map(|line| line.strip_prefix("content-length: "));
                    let whole = end + 4 + length.map_or(0, |length| length.trim().parse::<usize>().unwrap());
                    if seen.len() < whole {
                        continue;
                    }
                    seen.drain(..whole);
                    counted.fetch_add(1, Ordering::Relaxed);
                    match &answer {
                        Ok(bytes) if stream.write_all(bytes).await.is_ok() => {}
                        Ok(_) => return,
                        Err(byte) => {
                            let head = b"HTTP/1.1 200 OK\r\ncontent-length: 1000000\r\n\r\n";
                            let mut open = stream.write_all(head).await.is_ok();
                            while open {
                                tokio::time::sleep(Duration::from_millis(20)).await;
                                open = stream.write_all(&[*byte]).await.is_ok();
                            }
                            return;
                        }
                    }
                }
            });
        }
    });
    (origin, asked)
}

fn with_body(head: &str, body: &[u8]) -> Vec<u8> {
    let mut answer = format!("HTTP/1.1 200 OK\r\n{head}content-length: {}\r\n\r\n", body.len()).into_bytes();
    answer.extend_from_slice(body);
    answer
}

/// What the guest was told, and the report.
async fn told(call: Call) -> (String, Report) {
    let answer = SANDBOX.authorize(call, payment("k", "t", &[])).await.unwrap();
    (answer.value.unwrap().attributes.remove(0).1, answer.report)
}

fn hostile_with(attack: &str, origin: &str, more: &str) -> Call {
    let mut call = hostile(attack, origin);
    call.ctx.config = format!("{attack} {origin} {more}");
    call.limits = Limits::default();
    call
}

#[tokio::test]
async fn thousands_of_tiny_requests_stop_at_the_thirty_second() {
    let (origin, asked) = provider(Ok(with_body("", b"ok"))).await;
    let (said, report) = told(hostile_with("requests", &origin, "32")).await;
    assert_eq!((said.as_str(), report.exchanges.len()), ("200 x32", 32));
    let (said, report) = told(hostile_with("requests", &origin, "3000")).await;
    assert!(said.starts_with("200 x32, ") && said.contains("HttpRequestDenied"), "{said}");
    assert!(said.ends_with("x2968") && report.exchanges.len() == 32, "{said}");
    assert_eq!(asked.load(Ordering::Relaxed), 64, "the others never left");
}

#[tokio::test]
async fn a_body_of_a_mebibyte_goes_through_and_a_byte_more_does_not_leave() {
    let (origin, asked) = provider(Ok(with_body("", b"ok"))).await;
    let (said, report) = told(hostile_with("upload", &origin, "1048576")).await;
    assert_eq!((said.as_str(), report.complete_response), ("200", true));
    let (said, report) = told(hostile_with("upload", &origin, "1048577")).await;
    assert!(said.contains("HttpRequestBodySize(Some(1048576))"), "{said}");
    assert!(!report.sent && report.exchanges[0].error.as_ref().unwrap().contains("1048576 bytes"));
    assert_eq!(asked.load(Ordering::Relaxed), 1);

    for (bytes, whole) in [(1 << 20, true), ((1 << 20) + 1, false)] {
        let (origin, _) = provider(Ok(with_body("", &vec![b'd'; bytes]))).await;
        let (said, report) = told(hostile_with("fetch", &origin, "/")).await;
        let expected = if whole { "200" } else { "HttpResponseBodySize(Some(1048576))" };
        assert!(said.contains(expected), "{said}");
        assert_eq!((report.sent, report.complete_response), (true, whole));
    }
}

#[tokio::test]
async fn a_decompression_bomb_stays_folded() {
    // What these would become does not matter: nobody in the host unfolds them.
    for encoding in ["gzip", "deflate", "br", "zstd"] {
        let bomb = vec![0x1f; 100_000];
        let head = format!("content-encoding: {encoding}\r\n");
        let (origin, _) = provider(Ok(with_body(&head, &bomb))).await;
        let (said, report) = told(hostile_with("fetch", &origin, "/")).await;
        assert_eq!((said.as_str(), report.complete_response), ("200", true), "{encoding}");
        let headers = &report.exchanges[0].response_headers;
        assert!(headers.contains(&("content-encoding".into(), encoding.into())), "{headers:?}");
        assert!(report.exchanges[0].response_body.starts_with("\x1f\x1f\x1f"));
    }
    let (origin, _) = provider(Ok(with_body("content-encoding: gzip\r\n", &vec![0; (1 << 20) + 1]))).await;
    let (said, _) = told(hostile_with("fetch", &origin, "/")).await;
    assert!(said.contains("HttpResponseBodySize"), "{said}");
}

#[tokio::test]
async fn redirects_to_the_inside_arrive_as_such_and_are_not_followed() {
    let (inside, asked) = provider(Ok(with_body("", b"credentials"))).await;
    for target in [inside.as_str(), "http://169.254.169.254/latest/meta-data/", "http://[::1]/"] {
        for status in ["301 Moved", "302 Found", "307 Again", "308 Moved"] {
            let answer = format!("HTTP/1.1 {status}\r\nlocation: {target}\r\ncontent-length: 0\r\n\r\n");
            let (origin, _) = provider(Ok(answer.into_bytes())).await;
            let (said, report) = told(hostile_with("fetch", &origin, "/")).await;
            assert_eq!(said, status[..3]);
            assert_eq!(report.exchanges.len(), 1);
        }
    }
    assert_eq!(asked.load(Ordering::Relaxed), 0, "nobody went there");
}

#[tokio::test]
async fn an_answer_that_drips_ends_with_the_network_time() {
    let (origin, _) = provider(Err(b'.')).await;
    let mut call = hostile_with("fetch", &origin, "/");
    call.limits.network_ms = 300;
    let (said, report) = told(call).await;
    assert!(said.contains("HttpResponseTimeout"), "{said}");
    assert!(report.sent && !report.complete_response);
    assert_eq!(report.exchanges[0].error.as_deref(), Some("no complete answer in time"));
}

#[tokio::test]
async fn no_spelling_of_an_inner_address_is_reached_without_leave() {
    let (origin, asked) = provider(Ok(with_body("", b"credentials"))).await;
    let port = origin.rsplit(':').next().unwrap();
    for host in [
        "127.0.0.1",
        "localhost",
        "localhost.",
        "[::1]",
        "[::ffff:127.0.0.1]",
        "[::ffff:7f00:1]",
        "2130706433",
        "0x7f000001",
        "0x7f.1",
        "0177.0.0.1",
        "127.1",
        "0.0.0.0",
        "0",
        "[::]",
        "169.254.169.254",
        "2852039166",
        "0xa9fea9fe",
        "[fd00:ec2::254]",
        "[fe80::1]",
        "10.0.0.1",
        "192.168.0.1",
        "172.16.0.1",
        "100.64.0.1",
        "[64:ff9b::7f00:1]",
        "[2002:7f00:1::]",
    ] {
        let origin = format!("http://{host}:{port}");
        let mut call = hostile_with("fetch", &origin, "/");
        call.binding = Arc::new(Binding { allow_private_addresses: false, ..(*binding(&origin)).clone() });
        let (said, report) = told(call).await;
        // Some systems do not know this name at all.
        let unknown = host == "localhost." && said.contains("ConnectionRefused");
        assert!(said.contains("Denied") || said == "no address" || unknown, "{host}: {said} {report:?}");
        assert!(!report.sent, "{host}: {report:?}");
    }
    assert_eq!(asked.load(Ordering::Relaxed), 0, "nobody came through");
}
