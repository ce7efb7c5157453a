//! What stands between a submit and its money: fraud checks, methods that do not work, providers that are away.

use std::time::Duration;

use serde_json::{Value, json};
use till_tests::CUSTOMER;
use till_tests::host::{submit_body, token};
use tokio::net::{TcpListener, TcpSocket, TcpStream};
use tokio::sync::watch;

use super::{DAY_S, Outside, text};

const SUBMIT: &str = "/api/v1/checkout/submit";

#[tokio::test(flavor = "multi_thread")]
async fn a_payment_that_looks_like_fraud_waits_for_a_person_who_denies_or_approves_it() {
    let mut out = Outside::open().await;
    let rules = |then: &str| json!({ "config": { "first_order": { "currency": "USD", "max": 1_000, "then": then } } });
    out.bind("risk", "default", "basic-risk", rules("deny")).await;
    let (status, told) = out.submit(json!({})).await;
    assert_eq!((status, &told["code"]), (400, &json!("payment-denied")), "{told}");
    assert!(!told.to_string().contains("first"), "only the merchant learns why: {told}");

    out.bind("risk", "default", "basic-risk", rules("review")).await;
    let session = out.shop.session().await;
    let path = format!("/api/v1/checkout/{session}");
    let review = format!("/api/v1/admin/checkouts/{session}/review");
    let body = submit_body(&session, "PM-001");
    for decision in ["deny", "nobody", "approve"] {
        let (status, told) = out.shop.call("POST", SUBMIT, Some(&body)).await;
        assert_eq!((status, &told["status"]), (202, &json!("under_review")), "{told}");
        let stock = out.read("/api/v1/admin/inventory?sku=SKU-ABC-001").await;
        assert_eq!(stock["stock"][0]["held"], 0, "nothing is held: {stock}");
        assert!(out.shop.simulator.charges().await.is_empty(), "nobody was asked for money");
        let said = json!({ "decision": decision, "why": "called the shopper" });
        let merely_admin = token("bob", "admin");
        assert_eq!(out.shop.as_other(&merely_admin, "POST", &review, Some(&said)).await.0, 403);
        match decision {
            "nobody" => out.shop.restart_ahead(DAY_S + 60),
            _ => drop(out.done("POST", &review, said).await),
        }
        if decision != "approve" {
            let seen = out
                .until(&path, |seen| {
                    seen["problem"]["code"] == "payment-denied" && seen["status"] != "under_review"
                })
                .await;
            assert!(!seen.to_string().contains("first"), "{seen}");
            assert_eq!(out.look("/api/v1/orders").await["orders"], json!([]));
        }
    }
    let seen = out.until("/api/v1/orders", |all| all["orders"][0]["status"] != Value::Null).await;
    out.until(&path, |seen| seen["status"] == "confirmed").await;
    assert_eq!(seen["orders"].as_array().map(Vec::len), Some(1), "{seen}");
    let journal = out.shop.journal(&session).await;
    let notes: Vec<&Value> = journal.iter().filter(|e| e["step"] == "risk.assess").collect();
    assert!(notes[0].to_string().contains("first-order"), "the journal says why: {notes:?}");
    assert_eq!(out.shop.simulator.count("capture").await, 1);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_saved_method_is_looked_at_before_it_pays_and_a_card_that_has_expired_does_not() {
    let mut out = Outside::open().await;
    let card = json!({ "type": "credit_card", "token": "tok_visa_2", "last4": "1881", "brand": "visa",
        "expires": &super::from_now(40 * DAY_S)[..7] });
    let card = text(&out.send("POST", "/api/v1/customers/me/payment-methods", card).await["id"]);
    let ask = async |out: &Outside, who: &str, id: &str| {
        let body = json!({ "paymentMethod": { "id": id } });
        let path = "/api/v1/payments/validate";
        let (status, told) = out.shop.as_other(&token(who, ""), "POST", path, Some(&body)).await;
        assert_eq!(status, 200, "{told}");
        (told["valid"].clone(), told["reasons"][0]["code"].clone())
    };
    let fine = (json!(true), Value::Null);
    let not = |code: &str| (json!(false), json!(code));
    assert_eq!(ask(&out, CUSTOMER, "PM-001").await, fine);
    assert_eq!(ask(&out, CUSTOMER, &card).await, fine);
    assert_eq!(ask(&out, CUSTOMER, "none").await, not("unknown-method"));
    assert_eq!(ask(&out, "CUST-OTHER", "PM-001").await, not("unknown-method"));

    out.shop.restart_ahead(80 * DAY_S);
    assert_eq!(ask(&out, CUSTOMER, &card).await, not("expired"));
    let (status, told) = out.submit(json!({ "paymentMethod": { "id": card } })).await;
    assert_eq!(status, 422, "{told}");
    assert!(told.to_string().contains("payment-method-expired"), "{told}");
    assert_eq!(out.shop.simulator.taken().await, 0);
    out.buy(json!({})).await;
}

/// A provider's address behind which nobody listens at first, and then the simulator, as slowly as it is let.
pub(super) struct Gate {
    pub(super) origin: String,
    socket: TcpSocket,
    open: watch::Sender<bool>,
}

impl Gate {
    pub(super) fn shut() -> Gate {
        let socket = TcpSocket::new_v4().expect("a socket");
        socket.bind("127.0.0.1:0".parse().expect("an address")).expect("a free port");
        let origin = format!("http://{}", socket.local_addr().expect("its address"));
        Gate { origin, socket, open: watch::channel(false).0 }
    }

    /// Takes connections from now on, and hands on what comes once it is opened.
    pub(super) fn listen(self, to: &str) -> watch::Sender<bool> {
        let listener = self.socket.listen(64).expect("nobody else has the port");
        tokio::spawn(Gate::serve(
            listener,
            to.trim_start_matches("http://").to_owned(),
            self.open.subscribe(),
        ));
        self.open
    }

    async fn serve(listener: TcpListener, to: String, open: watch::Receiver<bool>) {
        while let Ok((mut near, _)) = listener.accept().await {
            let (to, mut open) = (to.clone(), open.clone());
            tokio::spawn(async move {
                if open.wait_for(|open| *open).await.is_ok()
                    && let Ok(mut far) = TcpStream::connect(to).await
                {
                    let _ = tokio::io::copy_bidirectional(&mut near, &mut far).await;
                }
            });
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_breaker_opens_lets_one_request_look_and_closes_when_the_provider_is_back() {
    let out = Outside::open().await;
    let gate = Gate::shut();
    out.set("breaker", json!({ "threshold": 1, "cool_down_s": 600 })).await;
    // It has all the time of this test to answer the one that looks.
    let gateway = json!({
        "config": { "base_url": gate.origin, "request_time_max_ms": 30_000 }, "networkMs": 30_000,
        "origins": [gate.origin], "allowPrivateAddresses": true, "secrets": ["api_key", "webhook"],
    });
    out.bind("payment-gateway", "default", "sim-gateway", gateway).await;
    let breaker = async || {
        let seen = out.read("/api/v1/admin/breakers").await;
        text(&seen["breakers"][0]["state"])
    };
    let (status, told) = out.submit(json!({})).await;
    assert!(status >= 400, "{told}");
    assert_eq!(breaker().await, "OPEN");
    let (status, told) = out.submit(json!({})).await;
    assert_eq!((status, &told["fault"]), (502, &json!("circuit-open")), "{told}");
    assert!(text(&told["detail"]).contains("nothing was charged"), "{told}");

    let opened = gate.listen(&out.shop.simulator.url);
    out.set("breaker", json!({ "threshold": 1, "cool_down_s": 1 })).await;
    // A session of its own for each try: one takes ten payments that fail.
    let tries = async || {
        let (status, fresh) = out.shop.call("POST", "/api/v1/checkout/initiate", None).await;
        assert_eq!(status, 201, "{fresh}");
        let body = submit_body(&text(&fresh["checkoutSessionId"]), "PM-001");
        out.shop.call("POST", SUBMIT, Some(&body)).await
    };
    let looks = async {
        loop {
            match tries().await {
                (_, told) if told["fault"] == "circuit-open" => {
                    tokio::time::sleep(Duration::from_millis(50)).await;
                }
                answer => return answer,
            }
        }
    };
    let meanwhile = async {
        while breaker().await != "HALF_OPEN" {
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
        let (status, told) = tries().await;
        assert_eq!((status, &told["fault"]), (502, &json!("circuit-open")), "one looks, nobody else: {told}");
        opened.send(true).expect("the gate is there");
    };
    let both = async { tokio::join!(looks, meanwhile) };
    let ((status, order), ()) = tokio::time::timeout(till_tests::PATIENCE, both).await.expect("in time");
    assert_eq!((status, &order["status"]), (201, &json!("CONFIRMED")), "{order}");
    assert_eq!(breaker().await, "CLOSED");
    assert_eq!(out.shop.simulator.count("capture").await, 1);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_provider_that_is_away_trips_the_breaker_and_nothing_is_charged() {
    let mut out = Outside::open().await;
    out.set("breaker", json!({ "threshold": 1, "cool_down_s": 600 })).await;
    out.shop.simulator.stop();
    let (status, told) = out.submit(json!({})).await;
    assert!(status >= 400, "{told}");
    let seen = out.read("/api/v1/admin/breakers").await;
    assert_eq!(seen["breakers"][0]["state"], "OPEN", "{seen}");
    let stock = out.read("/api/v1/admin/inventory?sku=SKU-ABC-001").await;
    assert_eq!(stock["stock"][0]["held"], 0, "nothing is held: {stock}");
    assert_eq!(out.look("/api/v1/cart").await["cart"]["items"][0]["quantity"], 2, "the cart is kept");
}
