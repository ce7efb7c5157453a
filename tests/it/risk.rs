//! Payments that look like fraud are stopped before anything is held, or looked at by a person.

use std::collections::BTreeMap;
use std::time::Duration;

use serde_json::{Value, json};
use till_commerce::Phase;
use till_commerce::catalog::SavedMethod;
use till_registry::{FailurePolicy, OwnLimits, Push};
use till_sandbox::Slot;
use till_tests::host::submit_body;
use till_tests::{CUSTOMER, Door, MERCHANT, TestTill, customer, demo_config, paying_with, worked_inputs};

const SUBMIT: &str = "/api/v1/checkout/submit";

async fn with_rules(config: Value) -> TestTill {
    let till = TestTill::start().await;
    till.push(Slot::Risk, "default", "basic-risk", config, FailurePolicy::Refuse).await;
    till
}

/// Notes of the judgements of a session, oldest first.
async fn judged(till: &TestTill, id: &str) -> Vec<Value> {
    let instance = till.instance(id).await;
    let entries = till.store.journal(MERCHANT, instance.uid, 0, 1_000).await.expect("a journal");
    entries.into_iter().filter(|e| e.step == "risk.assess").map(|e| e.body["note"]["risk"].clone()).collect()
}

async fn nothing_happened(till: &TestTill) {
    assert_eq!(till.stock().await, (10, 0), "nothing is held");
    assert!(till.simulator.charges().await.is_empty(), "the provider was not asked");
    assert!(till.orders(CUSTOMER).await.is_empty(), "there is no order");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_payment_that_is_approved_goes_on_as_without_a_check() {
    let till = with_rules(json!({ "first_order": { "currency": "USD", "max": 1_000_000 } })).await;
    let session = till.worked_example().await.id;
    let view = till.submit(&session, worked_inputs()).await;
    assert_eq!(view.phase, Phase::Confirmed, "{:?}", view.fault);
    let notes = judged(&till, &session).await;
    assert_eq!(notes[0][0]["decision"], "approve", "{notes:?}");
    till.balanced().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_payment_that_is_denied_takes_nothing_and_only_the_merchant_learns_why() {
    let till =
        with_rules(json!({ "first_order": { "currency": "USD", "max": 1_000, "then": "deny" } })).await;
    let door = Door::open(&till).await;
    let session = till.worked_example().await.id;
    let (status, told) = door.call(CUSTOMER, "POST", SUBMIT, Some(&submit_body(&session, "PM-001"))).await;
    assert_eq!((status, &told["code"]), (400, &json!("payment-denied")), "{told}");
    assert!(!told.to_string().contains("first"), "{told}");
    let path = format!("/api/v1/checkout/{session}");
    let (_, seen) = door.call(CUSTOMER, "GET", &path, None).await;
    assert!(!seen.to_string().contains("first order"), "{seen}");
    nothing_happened(&till).await;
    let notes = judged(&till, &session).await;
    assert_eq!(notes[0][0]["reasons"][0]["code"], "first-order", "{notes:?}");

    // The answer is not one for ever, and an edit alone buys nothing.
    let view = till.edit(&session, paying_with("PM-001")).await;
    assert_eq!((view.phase, view.problem), (Phase::Editable, None));
    nothing_happened(&till).await;
    till.balanced().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_person_approves_and_the_order_is_made_or_denies_and_it_is_not() {
    for approve in [true, false] {
        let till = with_rules(json!({ "first_order": { "currency": "USD", "max": 1_000 } })).await;
        let door = Door::open(&till).await;
        let session = till.worked_example().await.id;
        let body = submit_body(&session, "PM-001");
        let (status, told) = door.call(CUSTOMER, "POST", SUBMIT, Some(&body)).await;
        assert_eq!((status, &told["status"]), (202, &json!("under_review")), "{told}");
        let (status, again) = door.call(CUSTOMER, "POST", SUBMIT, Some(&body)).await;
        assert_eq!((status, &again["status"]), (202, &json!("under_review")), "it attaches: {again}");
        nothing_happened(&till).await;

        let path = format!("/api/v1/admin/checkouts/{session}/review");
        let decision =
            json!({ "decision": if approve { "approve" } else { "deny" }, "why": "called the shopper" });
        assert_eq!(
            door.call(CUSTOMER, "POST", &path, Some(&decision)).await.0,
            403,
            "a shopper does not decide"
        );
        let (status, done) = door.call_as("operator", "POST", &path, Some(&decision)).await;
        assert_eq!(status, 200, "{done}");
        till.still(CUSTOMER, &session).await;
        let view = till.shop.session(MERCHANT, CUSTOMER, &session).await.unwrap();
        if approve {
            assert_eq!(view.phase, Phase::Confirmed, "{:?}", view.fault);
        } else {
            assert_eq!(
                (view.phase, &view.problem.unwrap()["code"]),
                (Phase::Editable, &json!("payment-denied"))
            );
            nothing_happened(&till).await;
        }
        let instance = till.instance(&session).await;
        assert_eq!(instance.context["verdict"]["who"], "operator");
        assert_eq!(instance.context["verdict"]["why"], "called the shopper");
        let (status, late) = door.call_as("operator", "POST", &path, Some(&decision)).await;
        assert!(status == 409 || status == 200, "{status} {late}");
        till.balanced().await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_review_that_nobody_makes_denies_after_a_day_and_a_shopper_may_leave_before() {
    let till = with_rules(json!({ "first_order": { "currency": "USD", "max": 1_000 } })).await;
    let session = till.worked_example().await.id;
    assert_eq!(till.submit(&session, worked_inputs()).await.phase, Phase::UnderReview);
    till.advance(Duration::from_secs(24 * 3_600 - 1)).await;
    assert_eq!(till.shop.session(MERCHANT, CUSTOMER, &session).await.unwrap().phase, Phase::UnderReview);
    till.advance(Duration::from_secs(1)).await;
    let view = till.shop.session(MERCHANT, CUSTOMER, &session).await.unwrap();
    assert_eq!((view.phase, &view.problem.unwrap()["code"]), (Phase::Editable, &json!("payment-denied")));

    assert_eq!(till.submit(&session, worked_inputs()).await.phase, Phase::UnderReview);
    let left = till.shop.cancel(MERCHANT, CUSTOMER, &session).await.unwrap();
    assert_eq!(left.phase, Phase::Cancelled);
    nothing_happened(&till).await;
    till.balanced().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn what_the_shopper_did_lately_is_counted_by_the_host() {
    let till = with_rules(json!({ "declines": { "max": 1 } })).await;
    let session = till.worked_example().await.id;
    let declined = json!({ "payment_method": "PM-declined" });
    for _ in 0..2 {
        let view = till.submit(&session, declined.clone()).await;
        assert_eq!(view.problem.unwrap()["code"], "payment-declined");
    }
    let view = till.submit(&session, worked_inputs()).await;
    assert_eq!(view.problem.unwrap()["code"], "payment-denied", "two were declined here");
    let before = till.instance(&session).await.context["risk"]["before"].clone();
    let wanted =
        json!({ "declined_here": 2, "declined_24h": 2, "orders_1h": 2, "orders_24h": 2, "orders": 0 });
    for (name, count) in wanted.as_object().unwrap() {
        assert_eq!(&before[name], count, "{name}: {before}");
    }
    till.advance(Duration::from_secs(2 * 3_600)).await;
    till.submit(&session, worked_inputs()).await;
    let before = till.instance(&session).await.context["risk"]["before"].clone();
    assert_eq!((&before["orders_1h"], &before["orders_24h"]), (&json!(0), &json!(2)), "{before}");

    // Another session, a day later: nothing is held against the shopper any more, and what was bought is known.
    till.advance(Duration::from_secs(24 * 3_600)).await;
    let other = till.worked_example().await.id;
    let bought = till.submit(&other, worked_inputs()).await;
    assert_eq!(bought.phase, Phase::Confirmed, "{:?}", bought.problem);
    let spent = bought.quote.unwrap().total().unwrap().minor();
    till.follow().await;
    let third = till.session(CUSTOMER, 1).await.id;
    till.submit(&third, json!({ "shipping_method": "standard" })).await;
    let before = till.instance(&third).await.context["risk"]["before"].clone();
    assert_eq!((&before["orders"], &before["spent"]), (&json!(1), &json!(spent)), "{before}");
    assert!(before["first_order_ms"].is_u64(), "{before}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_check_that_fails_is_treated_by_its_failure_policy() {
    for (policy, phase) in [(FailurePolicy::Refuse, Phase::Editable), (FailurePolicy::Omit, Phase::Confirmed)]
    {
        let till = TestTill::start().await;
        let pushed = till.pushed(Slot::Risk, "default", "basic-risk", demo_config("basic-risk"));
        let limits = OwnLimits { fuel: Some(1_000), ..OwnLimits::default() }; // Too little to begin with.
        till.take(Push { policy: Some(policy), limits, ..pushed }).await;
        let session = till.worked_example().await.id;
        let view = till.submit(&session, worked_inputs()).await;
        assert_eq!(view.phase, phase, "{policy:?}: {:?}", view.fault);
        if policy == FailurePolicy::Refuse {
            assert_eq!(view.fault.unwrap()["step"], "risk.assess");
            nothing_happened(&till).await;
            let view = till.edit(&session, paying_with("PM-001")).await;
            assert_eq!(view.phase, Phase::Editable, "an edit alone buys nothing");
            nothing_happened(&till).await;
        }
        till.balanced().await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_blocked_mail_domain_is_found_in_the_merchants_table() {
    let till = TestTill::start().await;
    let rows = till_sandbox::Table::new([("example.com".to_owned(), "1".to_owned())]).unwrap();
    let table = till.registry.put_table(MERCHANT, rows, "tests", till.clock_us()).await.unwrap();
    let pushed = till.pushed(Slot::Risk, "default", "basic-risk", json!({ "emails": {} }));
    let tables = BTreeMap::from([("blocked-domains".to_owned(), table.digest)]);
    till.take(Push { tables, ..pushed }).await;
    let session = till.worked_example().await.id;
    let view = till.submit(&session, worked_inputs()).await;
    assert_eq!(view.problem.unwrap()["code"], "payment-denied");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_saved_method_is_looked_at_before_it_is_used() {
    let till = TestTill::start().await;
    let door = Door::open(&till).await;
    let mut jane = customer(CUSTOMER);
    let base = jane.payment_methods[0].clone();
    let with = |id: &str, expires: &str| SavedMethod {
        id: id.to_owned(),
        expires: Some(expires.to_owned()),
        default: false,
        ..base.clone()
    };
    jane.payment_methods.extend([with("old", "2024-06"), with("last", "2024-07")]);
    till.shop.put_customer(MERCHANT, &jane, 0).await.unwrap();
    let ask = async |who: &str, id: &str| {
        let body = json!({ "paymentMethod": { "id": id } });
        let (status, body) = door.call(who, "POST", "/api/v1/payments/validate", Some(&body)).await;
        assert_eq!(status, 200, "{body}");
        let codes =
            body["reasons"].as_array().unwrap().iter().map(|why| why["code"].as_str().unwrap().to_owned());
        (body["valid"].as_bool().unwrap(), codes.collect::<Vec<_>>())
    };
    let fine = (true, vec![]);
    let not = |code: &str| (false, vec![code.to_owned()]);
    assert_eq!(ask(CUSTOMER, "PM-001").await, fine);
    assert_eq!(ask(CUSTOMER, "last").await, fine, "it can be used to the end of its month");
    assert_eq!(ask(CUSTOMER, "old").await, not("expired"));
    assert_eq!(ask(CUSTOMER, "none").await, not("unknown-method"));
    assert_eq!(ask("somebody-else", "PM-001").await, not("unknown-method"));
    let (status, _) = door.call(CUSTOMER, "POST", "/api/v1/payments/validate", Some(&json!({}))).await;
    assert_eq!(status, 422);
}
