//! Payments through Razorpay and the real binary: an order in rupees, a shopper who pays it on the provider's page,
//! and what their client brings back, genuine, forged, late or never.

use std::time::Duration;

use serde_json::{Value, json};
use till_commerce::Phase;
use till_registry::Push;
use till_sandbox::Slot;
use till_tests::host::Host;
use till_tests::{
    CUSTOMER, Door, How, MERCHANT, RAZORPAY_SECRETS, Simulator, TestTill, demo_config, expect_phase,
    worked_inputs,
};

use crate::http::{Shop, problem};
use crate::payments::minor;

/// Two at 1,234.56, 18 % tax on them, 49.50 to bring them: in paise.
const TOTAL: i64 = 2 * 123_456 + 44_444 + 4_950;
const HOOK: &str = "/webhooks/demo/razorpay";

async fn open(capture: &str) -> Shop {
    let simulator = Simulator::start();
    let folder = tempfile::tempdir().expect("a temporary folder");
    till_tests::rupee_template(folder.path(), &simulator.url, capture).await;
    Shop { host: Host::start(folder.path(), None), simulator, folder }
}

impl Shop {
    async fn pays_with(&self, session: &str, method: &str) -> (u16, Value) {
        let body = json!({
            "checkoutSessionId": session, "shippingMethod": "standard", "paymentMethod": { "id": method },
        });
        self.call("POST", "/api/v1/checkout/submit", Some(&body)).await
    }

    /// Submits; gives the provider's order that the shopper is to pay.
    async fn ordered(&self, session: &str) -> String {
        let (status, body) = self.pays_with(session, "PM-RZP").await;
        assert_eq!((status, &body["status"]), (202, &json!("action_required")), "{body}");
        self.to_pay(&body)
    }

    /// What the client hands to the provider's script.
    fn to_pay(&self, body: &Value) -> String {
        assert_eq!(body["action"]["kind"], "client_secret", "{body}");
        let options = body["action"]["value"].as_str().expect("a text");
        let options: Value = serde_json::from_str(options).expect("options of the provider's script");
        assert_eq!(
            (&options["key"], &options["amount"], &options["currency"]),
            (&json!("rzp_test_sim"), &json!(TOTAL), &json!("INR"))
        );
        options["order_id"].as_str().expect("an order").to_owned()
    }

    async fn back(&self, session: &str, brought: &Value) -> (u16, Value) {
        self.call("POST", &format!("/api/v1/checkout/{session}/returned"), Some(brought)).await
    }

    /// One confirmed order over the total, one capture of it, nothing given back.
    async fn paid_to_the_paisa(&self) {
        let (_, body) = self.call("GET", "/api/v1/orders", None).await;
        let paid = |order: &&Value| order["status"] == "CONFIRMED" || order["status"] == "PROCESSING";
        let orders: Vec<&Value> = body["orders"].as_array().expect("orders").iter().filter(paid).collect();
        assert_eq!(orders.len(), 1, "{body}");
        assert_eq!(minor(&orders[0]["pricing"]["total"].to_string()), TOTAL.to_string(), "{body}");
        let moved = self.simulator.charges().await;
        let taken: Vec<&String> = moved.iter().filter(|c| !c.starts_with("authorize")).collect();
        assert_eq!(taken, [&format!("capture {TOTAL}")], "{moved:?}");
    }

    async fn refused(&self, session: &str, brought: &Value, reason: &str) {
        let answer = self.back(session, brought).await;
        problem(&answer, 400, "return-refused");
        assert_eq!(answer.1["reason"], reason, "{}", answer.1);
        self.to_pay(&answer.1);
        assert_eq!(self.state(session).await["status"], "action_required", "{reason}");
        assert_eq!(self.simulator.count("capture").await, 0, "{reason}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn an_order_in_rupees_is_paid_to_the_paisa_by_what_the_shopper_brings_back() {
    for capture in ["separate", "one-step"] {
        let shop = open(capture).await;
        let session = shop.session().await;
        let order = shop.ordered(&session).await;
        let brought = shop.simulator.razorpay_pays(&order, json!({})).await;
        assert_eq!(shop.simulator.count("capture").await, 0, "nothing is taken before we ask");

        let (status, body) = shop.back(&session, &brought).await;
        assert_eq!((status, &body["status"]), (201, &json!("CONFIRMED")), "{capture}: {body}");
        let (status, again) = shop.back(&session, &brought).await;
        assert_eq!((status, &again["orderId"]), (201, &body["orderId"]), "coming back twice: {again}");
        shop.paid_to_the_paisa().await;

        let journal = json!(shop.journal(&session).await).to_string();
        let signature = brought["razorpay_signature"].as_str().expect("a signature");
        assert_eq!(journal.matches(signature).count(), 1, "the signal has it, and nothing else");
        for (_, secret) in RAZORPAY_SECRETS {
            assert!(!journal.contains(secret), "a secret is told");
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn what_proves_nothing_is_refused_and_the_payment_waits_as_before() {
    let shop = open("separate").await;
    let session = shop.session().await;
    let order = shop.ordered(&session).await;
    let forged = json!({
        "razorpay_order_id": order, "razorpay_payment_id": "pay_1", "razorpay_signature": "00".repeat(32),
    });
    shop.refused(&session, &forged, "signature-mismatch").await;
    shop.refused(&session, &json!({ "razorpay_payment_id": "pay_1/../x" }), "payment-missing").await;

    // A genuine payment of another order, for as much.
    let other = shop.simulator.razorpay_order(TOTAL).await;
    let elsewhere = shop.simulator.razorpay_pays(&other, json!({})).await;
    shop.refused(&session, &elsewhere, "another-order").await;
    let mut disguised = elsewhere.clone();
    disguised["razorpay_order_id"] = json!(order);
    shop.refused(&session, &disguised, "signature-mismatch").await;
    disguised.as_object_mut().expect("an object").remove("razorpay_signature");
    shop.refused(&session, &disguised, "signature-missing").await;

    let less = shop.simulator.razorpay_pays(&order, json!({ "amount": 100 })).await;
    shop.refused(&session, &less, "another-amount").await;
    let failed = shop.simulator.razorpay_pays(&other, json!({ "fails": "insufficient_funds" })).await;
    let unsigned = json!({ "razorpay_payment_id": failed["razorpay_payment_id"] });
    shop.refused(&session, &unsigned, "signature-missing").await;

    let (status, body) = shop.call("POST", &format!("/api/v1/checkout/{session}/returned"), None).await;
    assert_eq!((status, &body["status"]), (202, &json!("action_required")), "asking finds nothing: {body}");
    let genuine = shop.simulator.razorpay_pays(&order, json!({})).await;
    let (status, body) = shop.back(&session, &genuine).await;
    assert_eq!(status, 201, "{body}");
    shop.paid_to_the_paisa().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_shopper_who_pays_and_never_comes_back_has_an_order_by_the_webhook_alone() {
    for mode in ["once", "twice", "before_reply"] {
        let shop = open("separate").await;
        let hook = format!("{}{HOOK}", shop.host.url);
        shop.simulator.razorpay_webhooks_to(&hook, "rzp_whsec", mode).await;
        let session = shop.session().await;
        let order = shop.ordered(&session).await;
        shop.simulator.razorpay_pays(&order, json!({})).await;
        shop.comes_to(&session, "confirmed").await;
        assert_eq!(shop.signals(&session, "payment.authorized").await, 1, "{mode}");
        assert_eq!(shop.signals(&session, "brought").await, 0, "{mode}");
        shop.paid_to_the_paisa().await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_forged_webhook_moves_nothing_and_a_failed_payment_ends_nothing() {
    let shop = open("separate").await;
    let hook = format!("{}{HOOK}", shop.host.url);
    shop.simulator.razorpay_webhooks_to(&hook, "rzp_whsec", "wrong_signature").await;
    let session = shop.session().await;
    let order = shop.ordered(&session).await;
    let journal = shop.journal(&session).await;
    let brought = shop.simulator.razorpay_pays(&order, json!({ "fails": "incorrect_otp" })).await;
    let (status, body) = shop.host.hook(HOOK, "", "{}").await;
    problem(&(status, body), 401, "forged-webhook");
    assert_eq!(shop.journal(&session).await, journal, "{brought}");

    // The shopper may pay the same order another way.
    shop.simulator.razorpay_webhooks_to(&hook, "rzp_whsec", "before_reply").await;
    shop.simulator.razorpay_pays(&order, json!({ "fails": "incorrect_otp" })).await;
    shop.comes_to(&session, "action_required").await;
    assert_eq!(shop.signals(&session, "payment.declined").await, 1);
    shop.simulator.razorpay_pays(&order, json!({})).await;
    shop.comes_to(&session, "confirmed").await;
    shop.paid_to_the_paisa().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn an_order_whose_answer_is_lost_is_made_once_and_paid_once() {
    for (capture, behaviour) in [
        ("separate", "timeout_after"),
        ("separate", "500_after"),
        ("separate", "garbage_after"),
        ("separate", "cut_after"),
        ("separate", "timeout_before"),
        ("separate", "500_before"),
        ("one-step", "timeout_after"),
        ("one-step", "timeout_before"),
    ] {
        let shop = open(capture).await;
        shop.simulator.razorpay_behaves("order", behaviour).await;
        let session = shop.session().await;
        let (status, body) = shop.pays_with(&session, "PM-RZP").await;
        assert_eq!((status, &body["status"]), (202, &json!("payment_unknown")), "{behaviour}: {body}");
        shop.comes_to(&session, "action_required").await;
        let orders = shop.simulator.razorpay_orders().await;
        assert_eq!(orders.len(), 1, "{behaviour}: {orders:?}");
        let again = shop.pays_with(&session, "PM-RZP").await.1;
        let order = shop.to_pay(&again);
        assert_eq!(orders[0]["id"], json!(order), "{behaviour}");
        let brought = shop.simulator.razorpay_pays(&order, json!({})).await;
        let (status, body) = shop.back(&session, &brought).await;
        assert_eq!(status, 201, "{behaviour}: {body}");
        shop.paid_to_the_paisa().await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn answers_lost_after_the_shopper_is_back_are_asked_for_and_the_money_is_taken_once() {
    for capture in ["separate", "one-step"] {
        for (operation, behaviour) in [
            ("payment", "timeout_after"),
            ("payment", "500_before"),
            ("capture", "timeout_after"),
            ("capture", "cut_after"),
            ("capture", "timeout_before"),
        ] {
            let what = format!("{capture}: {operation} {behaviour}");
            let shop = open(capture).await;
            let session = shop.session().await;
            let order = shop.ordered(&session).await;
            let brought = shop.simulator.razorpay_pays(&order, json!({})).await;
            shop.simulator.razorpay_behaves(operation, behaviour).await;
            let (status, body) = shop.back(&session, &brought).await;
            assert!(matches!(status, 201 | 202), "{what}: {body}");
            shop.comes_to(&session, "confirmed").await;
            shop.paid_to_the_paisa().await;
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn killed_anywhere_around_the_return_it_is_paid_exactly_once() {
    // Where the return was not durable yet the client sends it again; from its commit on nobody has to.
    for (point, durable) in [
        ("commit.in-tx:1", false),
        ("intent.before-commit:1", false),
        ("intent.committed:1", true),
        ("commit.after:1", true),
        ("intent.after-commit.before-call:1", true),
        ("call.request-sent.before-response:1", true),
        ("call.response.before-outcome-commit:1", true),
        ("commit.in-tx:2", true),
        ("intent.committed:2", true),
        ("call.request-sent.before-response:2", true),
        ("call.response.before-outcome-commit:2", true),
        ("commit.in-tx:3", true),
        ("commit.after:3", true),
    ] {
        let mut shop = open("separate").await;
        let session = shop.session().await;
        let order = shop.ordered(&session).await;
        let brought = shop.simulator.razorpay_pays(&order, json!({})).await;
        shop.restart_until(point);
        let path = format!("/api/v1/checkout/{session}/returned");
        let answer = shop.host.call("POST", &path, "", Some(&brought)).await;
        assert!(answer.is_none() && shop.host.is_gone(), "{point} is not passed: {answer:?}");
        shop.restart();
        if !durable {
            assert_eq!(shop.state(&session).await["status"], "action_required", "{point}");
            let (status, body) = shop.back(&session, &brought).await;
            assert_eq!(status, 201, "{point}: {body}");
        }
        shop.comes_to(&session, "confirmed").await;
        shop.paid_to_the_paisa().await;
        assert_eq!(shop.simulator.count("authorize").await, 1, "{point}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_payment_that_failed_is_a_decline_and_the_shopper_chooses_again() {
    let shop = open("one-step").await;
    let session = shop.session().await;
    let order = shop.ordered(&session).await;
    let mut brought = shop.simulator.razorpay_pays(&order, json!({ "fails": "insufficient_funds" })).await;
    // The provider signs successes only.
    brought.as_object_mut().expect("an object").remove("razorpay_signature");
    let declined = shop.back(&session, &brought).await;
    problem(&declined, 400, "payment-declined");
    assert_eq!(declined.1["decline"]["code"], "insufficient_funds", "{}", declined.1);
    let (_, orders) = shop.call("GET", "/api/v1/orders", None).await;
    assert_eq!(orders["orders"][0]["status"], "PAYMENT_FAILED", "{orders}");
    shop.comes_to(&session, "editable").await;

    let again = shop.ordered(&session).await;
    assert_ne!(again, order);
    let brought = shop.simulator.razorpay_pays(&again, json!({})).await;
    let (status, body) = shop.back(&session, &brought).await;
    assert_eq!(status, 201, "{body}");
    shop.paid_to_the_paisa().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_return_is_a_small_flat_object_of_texts_and_all_that_is_wrong_is_told_at_once() {
    let shop = open("separate").await;
    let session = shop.session().await;
    shop.ordered(&session).await;
    let long = "x".repeat(4_001);
    let name = "n".repeat(65);
    let wrong =
        json!({ "a": 1, "b": { "c": "d" }, "e": null, "f": long, "g": "a\0b", name.as_str(): "", "": "" });
    let answer = shop.back(&session, &wrong).await;
    problem(&answer, 422, "invalid-fields");
    let told = answer.1["errors"].as_array().expect("errors").len();
    assert_eq!(told, 7, "{}", answer.1);
    let many: serde_json::Map<String, Value> = (0..21).map(|n| (format!("f{n}"), json!("x"))).collect();
    problem(&shop.back(&session, &Value::Object(many)).await, 422, "at most 20 fields");
    let large: serde_json::Map<String, Value> =
        (0..5).map(|n| (format!("f{n}"), json!("x".repeat(3_500)))).collect();
    problem(&shop.back(&session, &Value::Object(large)).await, 422, "at most 16000 bytes");
    problem(&shop.back(&session, &json!(["a"])).await, 422, "an object is needed");
    let (status, body) = shop.back(&session, &json!({})).await;
    assert_eq!((status, &body["status"]), (202, &json!("action_required")), "as without a body: {body}");
    problem(&shop.back("chk_nobody", &json!({ "a": "b" })).await, 404, "chk_nobody");
}

#[tokio::test(flavor = "multi_thread")]
async fn what_the_bank_s_page_sends_back_goes_to_whatever_gateway_asked_for_it() {
    for (capture, result, wanted) in
        [("separate", "ok", 201), ("separate", "no", 400), ("one-step", "ok", 201), ("one-step", "no", 400)]
    {
        let shop = open(capture).await;
        let session = shop.session().await;
        let (status, body) = shop.pays_with(&session, "PM-004").await;
        assert_eq!((status, &body["action"]["kind"]), (202, &json!("redirect")), "{body}");
        let (status, body) = shop.back(&session, &json!({ "result": result })).await;
        assert_eq!(status, wanted, "{body}");
        assert_eq!(shop.simulator.count("capture").await, usize::from(wanted == 201));
    }
}

/// A shop with a clock in hand whose default gateway is Razorpay, in dollars.
async fn with_clock() -> (TestTill, Door, String) {
    let till = TestTill::start().await;
    for (name, value) in RAZORPAY_SECRETS {
        till.registry.put_secret(MERCHANT, name, value.as_bytes(), "tests", 0).await.expect("a secret");
    }
    let mut config = demo_config("razorpay-gateway");
    config["base_url"] = json!(till.simulator.url);
    config["key_id"] = json!("rzp_test_sim");
    let push = till.pushed(Slot::PaymentGateway, "default", "razorpay-gateway", config);
    let secrets = RAZORPAY_SECRETS.iter().map(|(name, _)| (*name).to_owned()).collect();
    till.take(Push { secrets, ..push }).await;
    let door = Door::open(&till).await;
    let session = till.worked_example().await.id;
    (till, door, session)
}

async fn latest(till: &TestTill) -> String {
    let orders = till.simulator.razorpay_orders().await;
    orders.last().expect("an order")["id"].as_str().expect("an id").to_owned()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_shopper_who_pays_too_late_loses_nothing_and_the_goods_are_free_again() {
    let (till, door, session) = with_clock().await;
    let view = till.submit(&session, worked_inputs()).await;
    expect_phase(&till, &view, Phase::ActionRequired).await;
    assert_eq!(till.stock().await, (10, 2), "held for whoever pays");
    let forgotten = latest(&till).await;
    till.advance(Duration::from_secs(16 * 60)).await;
    let view = till.heal(&session).await;
    expect_phase(&till, &view, Phase::Editable).await;
    assert_eq!(till.stock().await, (10, 0));

    let late = till.simulator.razorpay_pays(&forgotten, json!({})).await;
    let path = format!("/api/v1/checkout/{session}/returned");
    let (_, body) = door.call(CUSTOMER, "POST", &path, Some(&late)).await;
    assert_ne!(body["status"], "CONFIRMED", "{body}");
    assert_eq!(till.simulator.taken().await, 0, "it lapses");

    let view = till.submit(&session, worked_inputs()).await;
    expect_phase(&till, &view, Phase::ActionRequired).await;
    let (status, body) = door.call(CUSTOMER, "POST", &path, Some(&late)).await;
    assert_eq!((status, &body["code"]), (400, &json!("return-refused")), "of the order before: {body}");
    let brought = till.simulator.razorpay_pays(&latest(&till).await, json!({})).await;
    let (status, body) = door.call(CUSTOMER, "POST", &path, Some(&brought)).await;
    assert_eq!(status, 201, "{body}");
    assert_eq!(till.simulator.count("capture").await, 1);
    till.balanced().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn however_the_step_that_goes_on_with_a_payment_fails_it_is_paid_once() {
    for how in [How::Fails, How::NotSent, How::Repeats, How::AnswerLost, How::RequestLost] {
        let (till, door, session) = with_clock().await;
        till.submit(&session, worked_inputs()).await;
        let brought = till.simulator.razorpay_pays(&latest(&till).await, json!({})).await;
        till.faults.plan("payment.proceed", &[how]);
        let path = format!("/api/v1/checkout/{session}/returned");
        let calling = door.call(CUSTOMER, "POST", &path, Some(&brought));
        let (_, view) = tokio::join!(calling, async {
            tokio::time::sleep(Duration::from_millis(100)).await;
            till.heal(&session).await
        });
        expect_phase(&till, &view, Phase::Confirmed).await;
        assert_eq!(till.simulator.count("capture").await, 1, "{how:?}");
        till.sound(&till.instance(&session).await).await;
        till.balanced().await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn an_order_that_cannot_be_confirmed_after_it_was_paid_is_given_back_in_full() {
    for behaviour in ["ok", "timeout_after"] {
        let (till, door, session) = with_clock().await;
        till.faults.plan("order.confirm", &[How::Refuses("lost")]);
        till.submit(&session, worked_inputs()).await;
        let brought = till.simulator.razorpay_pays(&latest(&till).await, json!({})).await;
        till.simulator.razorpay_behaves("refund", behaviour).await;
        let path = format!("/api/v1/checkout/{session}/returned");
        door.call(CUSTOMER, "POST", &path, Some(&brought)).await;
        let view = till.heal(&session).await;
        expect_phase(&till, &view, Phase::Editable).await;
        assert_eq!(
            (till.simulator.count("capture").await, till.simulator.taken().await),
            (1, 0),
            "{behaviour}"
        );
        assert_eq!(till.simulator.count("refund").await, 1, "{behaviour}");
        assert_eq!(till.stock().await, (10, 0), "{behaviour}");
    }
}

/// Fraud checks count declines of a checkout; this provider leaves each attempt open, so each is undone.
#[tokio::test(flavor = "multi_thread")]
async fn a_payment_that_was_declined_is_still_one_when_nothing_of_it_stands_any_more() {
    let (till, door, session) = with_clock().await;
    till.submit(&session, worked_inputs()).await;
    let brought =
        till.simulator.razorpay_pays(&latest(&till).await, json!({ "fails": "incorrect_otp" })).await;
    door.call(CUSTOMER, "POST", &format!("/api/v1/checkout/{session}/returned"), Some(&brought)).await;
    let view = till.heal(&session).await;
    expect_phase(&till, &view, Phase::Editable).await;
    let instance = till.instance(&session).await;
    let attempts = instance.context["payment"]["attempts"].as_object().expect("attempts");
    let states: Vec<&Value> = attempts.values().map(|attempt| &attempt["state"]).collect();
    assert_eq!(states, ["declined"], "{attempts:?}");
}
