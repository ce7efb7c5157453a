//! Merchants' components in a checkout: pinned for the life of a session, and what happens when they fail.

use std::time::Duration;

use serde_json::json;
use till_commerce::Phase;
use till_registry::FailurePolicy;
use till_sandbox::Slot;
use till_tests::{CUSTOMER, MERCHANT, PATIENCE, TestTill, expect_phase, object, worked_inputs};

fn discount(ppm: u64) -> serde_json::Value {
    json!({ "promotions": [{
        "id": "all", "title": "For all", "codes": ["SUMMER2024"], "discount": { "kind": "rate", "ppm": ppm } }] })
}

#[tokio::test(flavor = "multi_thread")]
async fn a_session_keeps_the_component_it_started_with_and_the_next_one_uses_the_new_one() {
    let till = TestTill::start().await;
    let running = till.worked_example().await;
    let before = till.registry.pins(MERCHANT, "chk_1").await.unwrap();
    till.push(Slot::Promotion, "10", "promotions", discount(500_000), FailurePolicy::Refuse).await;
    let after = till.registry.pins(MERCHANT, "chk_1").await.unwrap();
    assert_ne!(before["promotion"], after["promotion"]);
    assert_eq!(before["tax"], after["tax"]);

    let next = till.shop.initiate(MERCHANT, CUSTOMER, None).await.unwrap();
    let next = till.shop.edit(MERCHANT, CUSTOMER, &next.id, object(worked_inputs()), None).await.unwrap();
    assert_eq!(next.quote.unwrap().discounts[0].amount, 24_999);
    till.shop.cancel(MERCHANT, CUSTOMER, &next.id).await.unwrap();

    let view = till.submit(&running.id, json!({})).await;
    expect_phase(&till, &view, Phase::Confirmed).await;
    assert_eq!(view.order.unwrap().receipt.totals.total, 47_117, "15 %, as when it started");
    assert_eq!(till.instance(&running.id).await.pins, before);
    till.balanced().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_pushed_through_one_host_is_used_by_the_others_within_a_second() {
    let till = TestTill::start().await;
    let other = till.another_host();
    let before = other.pins(MERCHANT, "chk_1").await.unwrap();
    till.push(Slot::Promotion, "10", "promotions", discount(500_000), FailurePolicy::Refuse).await;
    let now = till.registry.pins(MERCHANT, "chk_1").await.unwrap();
    assert_ne!(before, now);
    let seen = async {
        while other.pins(MERCHANT, "chk_1").await.unwrap() != now {
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
    };
    tokio::time::timeout(PATIENCE, seen).await.expect("the other host looks again by itself");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_component_that_fails_leaves_an_editable_session_that_names_the_limit() {
    let till = TestTill::start().await;
    for (attack, named) in [("loop", "fuel"), ("memory", "memory"), ("panic", "the tier table is empty")] {
        till.push(Slot::Pricing, "default", "hostile", json!(attack), FailurePolicy::Refuse).await;
        let view = till.session(CUSTOMER, 1).await;
        expect_phase(&till, &view, Phase::Editable).await;
        let fault = view.fault.expect("a fault");
        assert_eq!(fault["step"], "pricing.quote");
        assert!(fault["text"].as_str().unwrap().contains(named), "{attack}: {fault}");
        let view = till.submit(&view.id, json!({})).await;
        expect_phase(&till, &view, Phase::Editable).await;
        assert!(view.fault.is_some());
        till.shop.cancel(MERCHANT, CUSTOMER, &view.id).await.unwrap();
    }
    assert!(till.orders(CUSTOMER).await.is_empty());
    till.balanced().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_promotion_that_lies_is_refused_or_left_out_with_a_warning() {
    let till = TestTill::start().await;
    till.push(Slot::Promotion, "20", "hostile", json!({}), FailurePolicy::Refuse).await;
    let view = till.session(CUSTOMER, 2).await;
    let steals = view.quote.as_ref().map_or(0, |q| q.discounts.iter().map(|d| d.amount).sum::<i64>());
    assert!(steals <= 49_998, "never more than there is: {:?}", view.quote);
    till.shop.cancel(MERCHANT, CUSTOMER, &view.id).await.unwrap();

    for policy in [FailurePolicy::Refuse, FailurePolicy::Omit] {
        till.push(Slot::Promotion, "20", "hostile", json!("loop"), policy).await;
        let session = till.session(CUSTOMER, 1).await;
        let view = till.edit(&session.id, worked_inputs()).await;
        if policy == FailurePolicy::Refuse {
            let fault = view.fault.expect("a fault");
            assert_eq!(fault["step"], "promotion.apply");
            assert!(fault["text"].as_str().unwrap().contains("fuel"), "{fault}");
        } else {
            let quote = view.quote.expect("a quote");
            let warning = quote.messages.iter().find(|m| m.code == "component-omitted").expect("a warning");
            assert!(warning.text.contains("Hostile") && warning.text.contains("fuel"), "{}", warning.text);
            assert_eq!(view.fault, None);
            let view = till.submit(&view.id, json!({})).await;
            expect_phase(&till, &view, Phase::Confirmed).await;
            till.balanced().await;
            return;
        }
        till.shop.cancel(MERCHANT, CUSTOMER, &view.id).await.unwrap();
    }
}
