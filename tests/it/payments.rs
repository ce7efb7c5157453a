//! Payments through the real binary that end by the buyer's hand or by the provider's word.

use std::time::{Duration, Instant};

use serde_json::{Value, json};
use till_tests::host::{submit_body, token};
use till_tests::{Mailbox, PATIENCE};

use crate::http::{Shop, open, problem};

/// The secret of the host's configuration.
const SECRET: &str = "whsec";
const HOOK: &str = "/webhooks/demo/default";

impl Shop {
    async fn hooks(&self, mode: &str) {
        self.simulator.webhooks_to(&format!("{}{HOOK}", self.host.url), SECRET, mode).await;
    }

    async fn submit(&self, session: &str, method: &str) -> (u16, Value) {
        self.call("POST", "/api/v1/checkout/submit", Some(&submit_body(session, method))).await
    }

    /// Submits with a card of 3-D Secure; gives the payment's id at the provider and the attempt's key.
    async fn challenged(&self, session: &str) -> (String, String) {
        let (status, body) = self.submit(session, "PM-004").await;
        assert_eq!((status, &body["status"]), (202, &json!("action_required")), "{body}");
        assert_eq!(body["action"]["kind"], "redirect", "{body}");
        let page = body["action"]["value"].as_str().expect("a page of the bank");
        let intent = page.rsplit('/').next().expect("an id").to_owned();
        let journal = self.journal(session).await;
        let sent = journal.iter().find(|e| e["step"] == "payment.authorize").expect("an intent");
        (intent, sent["key"].as_str().expect("a key").to_owned())
    }

    pub(crate) async fn journal(&self, session: &str) -> Vec<Value> {
        let path = format!("/api/v1/workflows/checkout/instances/{session}/journal?limit=500");
        let operator = token("operator", "operator");
        let (status, body) = self.as_other(&operator, "GET", &path, None).await;
        assert_eq!(status, 200, "{body}");
        body["entries"].as_array().expect("entries").clone()
    }

    /// How often the session was moved by such a signal.
    pub(crate) async fn signals(&self, session: &str, name: &str) -> usize {
        let journal = self.journal(session).await;
        journal.iter().filter(|e| e["kind"] == "signal" && e["step"] == name).count()
    }

    pub(crate) async fn state(&self, session: &str) -> Value {
        let (status, body) = self.call("GET", &format!("/api/v1/checkout/{session}"), None).await;
        assert_eq!(status, 200, "{body}");
        body
    }

    /// Waits until a session is in that status.
    pub(crate) async fn comes_to(&self, session: &str, wanted: &str) {
        let started = Instant::now();
        loop {
            let body = self.state(session).await;
            if body["status"] == wanted {
                return;
            }
            let journal = self.journal(session).await;
            assert!(started.elapsed() < PATIENCE, "{} and not {wanted}: {journal:#?}", body["status"]);
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
    }

    /// One order, confirmed, and exactly its total was taken.
    async fn paid_once(&self) {
        let (_, body) = self.call("GET", "/api/v1/orders", None).await;
        let orders = body["orders"].as_array().expect("orders");
        assert_eq!(orders.len(), 1, "{body}");
        let status = &orders[0]["status"];
        assert!(status == "CONFIRMED" || status == "PROCESSING", "{body}");
        let kinds: Vec<String> = self.simulator.charges().await;
        let amounts: Vec<&str> = kinds.iter().filter_map(|c| c.strip_prefix("capture ")).collect();
        assert_eq!(amounts.len(), 1, "{kinds:?}");
        let total = orders[0]["pricing"]["total"].to_string();
        assert_eq!(amounts[0], minor(&total), "{kinds:?}");
    }
}

/// `476.7` of dollars as cents.
pub(crate) fn minor(total: &str) -> String {
    let (whole, part) = total.split_once('.').unwrap_or((total, ""));
    format!("{whole}{part:0<2}")
}

#[tokio::test(flavor = "multi_thread")]
async fn a_charge_that_is_never_answered_is_told_as_unknown_and_then_found() {
    let shop = open().await;
    let session = shop.session().await;
    let (status, body) = shop.submit(&session, "PM-003").await;
    assert_eq!((status, &body["status"]), (202, &json!("payment_unknown")), "{body}");
    shop.comes_to(&session, "confirmed").await;
    shop.paid_once().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_buyer_who_confirms_at_the_bank_and_comes_back_has_an_order() {
    let shop = open().await;
    let session = shop.session().await;
    let (intent, attempt) = shop.challenged(&session).await;
    assert_eq!(shop.state(&session).await["status"], "action_required");
    let early = shop.call("POST", &format!("/api/v1/checkout/{session}/returned"), None).await;
    assert_eq!((early.0, &early.1["status"]), (202, &json!("action_required")), "{}", early.1);

    shop.simulator.confirm(&intent, &attempt).await;
    let (status, order) = shop.call("POST", &format!("/api/v1/checkout/{session}/returned"), None).await;
    assert_eq!((status, &order["status"]), (201, &json!("CONFIRMED")), "{order}");
    let (status, again) = shop.call("POST", &format!("/api/v1/checkout/{session}/returned"), None).await;
    assert_eq!((status, &again["orderId"]), (201, &order["orderId"]), "coming back twice: {again}");
    shop.paid_once().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_buyer_who_confirms_and_never_comes_back_has_an_order_by_the_webhook_alone() {
    let shop = open().await;
    shop.hooks("once").await;
    let session = shop.session().await;
    let (intent, attempt) = shop.challenged(&session).await;
    shop.simulator.confirm(&intent, &attempt).await;
    shop.comes_to(&session, "confirmed").await;
    assert_eq!(shop.signals(&session, "payment.authorized").await, 1);
    assert_eq!(shop.signals(&session, "returned").await, 0);
    shop.paid_once().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn an_order_is_paid_once_however_webhooks_come() {
    for mode in ["never", "twice", "before_reply"] {
        let shop = open().await;
        shop.hooks(mode).await;
        let session = shop.session().await;
        let (status, order) = shop.submit(&session, "PM-001").await;
        if status != 201 {
            assert_eq!(status, 202, "{mode}: {order}");
        }
        shop.comes_to(&session, "confirmed").await;
        shop.paid_once().await;

        let shop = open().await;
        shop.hooks(mode).await;
        let session = shop.session().await;
        let (intent, attempt) = shop.challenged(&session).await;
        shop.simulator.confirm(&intent, &attempt).await;
        if mode == "never" {
            let back = shop.call("POST", &format!("/api/v1/checkout/{session}/returned"), None).await;
            assert_eq!(back.0, 201, "{}", back.1);
        }
        shop.comes_to(&session, "confirmed").await;
        shop.paid_once().await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_webhook_counts_once_and_only_with_its_signature() {
    let shop = open().await;
    let mut mailbox = Mailbox::open().await;
    shop.simulator.webhooks_to(&mailbox.url, "another secret", "once").await;
    let session = shop.session().await;
    let (intent, attempt) = shop.challenged(&session).await;
    // The event of the challenge itself, under the wrong secret.
    let forged = mailbox.next().await;
    let journal = shop.journal(&session).await;
    problem(&shop.host.hook(HOOK, &forged.signature, &forged.body).await, 401, "forged-webhook");
    assert_eq!(shop.journal(&session).await, journal, "a forged webhook changes nothing");

    shop.simulator.webhooks_to(&mailbox.url, SECRET, "once").await;
    shop.simulator.confirm(&intent, &attempt).await;
    let genuine = mailbox.next().await;
    let cases = [
        (genuine.signature.clone(), genuine.body.replace("authorized", "captured")),
        (genuine.signature.replace("t=", "t=1"), genuine.body.clone()),
        (forged.signature.clone(), genuine.body.clone()),
        (String::new(), genuine.body.clone()),
    ];
    for (signature, body) in &cases {
        problem(&shop.host.hook(HOOK, signature, body).await, 401, "forged-webhook");
    }
    problem(&shop.host.hook("/webhooks/demo/nobody", &genuine.signature, &genuine.body).await, 404, "nobody");
    problem(
        &shop.host.hook("/webhooks/other/default", &genuine.signature, &genuine.body).await,
        404,
        "default",
    );
    assert_eq!(shop.journal(&session).await, journal, "none of them changes anything");
    assert_eq!(shop.state(&session).await["status"], "action_required");

    for _ in 0..3 {
        let (status, body) = shop.host.hook(HOOK, &genuine.signature, &genuine.body).await;
        assert_eq!((status, &body["received"]), (200, &json!(1)), "{body}");
    }
    shop.comes_to(&session, "confirmed").await;
    assert_eq!(shop.signals(&session, "payment.authorized").await, 1, "it came three times");
    let (status, _) = shop.host.hook(HOOK, &genuine.signature, &genuine.body).await;
    assert_eq!(status, 200, "a late repetition is no error");
    shop.paid_once().await;
}
