//! Loyalty: tiers, points that expire, and what a refund takes back; in process.

use std::time::Duration;

use serde_json::json;
use till_commerce::settings::{PointsSettings, Settings, TierLevel};
use till_commerce::{Phase, ShopError};
use till_tests::{CUSTOMER, MERCHANT, TestTill, expect_phase, paying_with};

const DAY: Duration = Duration::from_secs(24 * 3600);

fn settings() -> Settings {
    let level = |name: &str, from| TierLevel { name: name.to_owned(), from };
    let tiers = vec![level("bronze", 0), level("silver", 1_500), level("platinum", 10_000)];
    let points = PointsSettings { tiers, expire_after_days: Some(100), ..PointsSettings::default() };
    Settings { points, ..Settings::default() }
}

/// A confirmed order of the worked example: 500 points used, 471 earned.
async fn order(till: &TestTill) -> String {
    let session = till.worked_example().await;
    let done = till.submit(&session.id, json!({})).await;
    expect_phase(till, &done, Phase::Confirmed).await;
    till.orders(CUSTOMER).await.last().expect("an order").id.clone()
}

#[tokio::test(flavor = "multi_thread")]
async fn points_that_are_earned_lead_to_the_next_tier() {
    let till = TestTill::with(&settings()).await;
    let has = till.shop.loyalty(MERCHANT, CUSTOMER).await.expect("points");
    assert_eq!((has.available, has.lifetime), (1_250, 1_250));
    assert_eq!((has.tier.as_deref(), has.next), (Some("bronze"), Some(("silver".to_owned(), 1_500))));
    order(&till).await;
    let has = till.shop.loyalty(MERCHANT, CUSTOMER).await.expect("points");
    assert_eq!((has.available, has.lifetime), (1_221, 1_721), "points that were used still count");
    assert_eq!(has.tier.as_deref(), Some("silver"));
    let view = till.session(CUSTOMER, 1).await;
    assert_eq!(view.inputs.customer.expect("the customer").tier.as_deref(), Some("silver"));
    assert_eq!(view.customer.tier.as_deref(), Some("silver"));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_refund_takes_back_what_was_earned_and_gives_back_what_was_used_once() {
    let till = TestTill::with(&settings()).await;
    let order = order(&till).await;
    let made = till.shop.reverse_points(MERCHANT, "ops", &order).await.expect("a reversal");
    assert_eq!(made.iter().map(|entry| entry.delta).collect::<Vec<_>>(), [500, -471]);
    assert_eq!(till.shop.reverse_points(MERCHANT, "ops", &order).await.expect("the same"), made);
    assert_eq!(till.points(CUSTOMER).await, (1_250, 0));
    assert_eq!(till.shop.loyalty(MERCHANT, CUSTOMER).await.expect("points").lifetime, 1_250);
    let none = till.shop.reverse_points(MERCHANT, "ops", "ord_none").await;
    assert!(matches!(none, Err(ShopError::NotFound { .. })), "{none:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_refund_takes_points_down_to_none_and_not_below() {
    let till = TestTill::with(&settings()).await;
    let order = order(&till).await;
    till.shop.adjust_points(MERCHANT, "ops", (CUSTOMER, -1_221, "gone"), None).await.expect("all of them");
    assert!(till.shop.adjust_points(MERCHANT, "ops", (CUSTOMER, -1, "more"), None).await.is_err());
    let made = till.shop.reverse_points(MERCHANT, "ops", &order).await.expect("a reversal");
    assert_eq!(made.iter().map(|entry| entry.delta).collect::<Vec<_>>(), [500, -471]);
    till.shop.adjust_points(MERCHANT, "ops", (CUSTOMER, -29, "gone"), None).await.expect("the rest");
    assert_eq!(till.points(CUSTOMER).await, (0, 0));
    let second = {
        let session = till.session(CUSTOMER, 1).await;
        till.edit(&session.id, json!({ "shipping_method": "standard" })).await;
        let done = till.submit(&session.id, json!({})).await;
        expect_phase(&till, &done, Phase::Confirmed).await;
        done.order.expect("an order").id
    };
    let earned = till.points(CUSTOMER).await.0;
    assert!(earned > 200, "{earned}");
    till.shop.adjust_points(MERCHANT, "ops", (CUSTOMER, 10 - earned, "gone"), None).await.expect("but ten");
    let made = till.shop.reverse_points(MERCHANT, "ops", &second).await.expect("a reversal");
    assert_eq!(made.iter().map(|entry| entry.delta).collect::<Vec<_>>(), [-10]);
    assert_eq!(till.points(CUSTOMER).await, (0, 0));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_refund_that_finds_no_points_was_one_all_the_same() {
    let till = TestTill::with(&settings()).await;
    till.shop.adjust_points(MERCHANT, "ops", (CUSTOMER, -1_250, "gone"), None).await.expect("all of them");
    let order = async || {
        let session = till.session(CUSTOMER, 1).await;
        till.edit(&session.id, json!({ "shipping_method": "standard" })).await;
        let done = till.submit(&session.id, json!({})).await;
        expect_phase(&till, &done, Phase::Confirmed).await;
        done.order.expect("an order").id
    };
    let first = order().await;
    let (earned, _) = till.points(CUSTOMER).await;
    till.shop.adjust_points(MERCHANT, "ops", (CUSTOMER, -earned, "used"), None).await.expect("all of them");
    let before = till.shop.loyalty(MERCHANT, CUSTOMER).await.expect("points").lifetime;
    let made = till.shop.reverse_points(MERCHANT, "ops", &first).await.expect("a reversal");
    assert_eq!(made.iter().map(|entry| entry.delta).collect::<Vec<_>>(), [0]);
    let after = till.shop.loyalty(MERCHANT, CUSTOMER).await.expect("points").lifetime;
    assert_eq!(after, before - earned, "the tier goes with what was earned");
    order().await;
    assert_eq!(till.shop.reverse_points(MERCHANT, "ops", &first).await.expect("the same"), made);
    assert_eq!(till.points(CUSTOMER).await, (earned, 0), "what came later is not touched");
}

#[tokio::test(flavor = "multi_thread")]
async fn points_that_a_checkout_holds_are_the_oldest_and_the_newer_ones_stay() {
    let till = TestTill::with(&settings()).await;
    till.advance(DAY * 60).await;
    till.shop.adjust_points(MERCHANT, "ops", (CUSTOMER, 500, "newer"), None).await.expect("points");
    let minute = Duration::from_secs(60);
    till.advance(DAY * 40 - minute * 5).await;
    // While the payment waits for the buyer, with 500 points held, those from the start become too old.
    let session = till.worked_example().await;
    let waiting = till.submit(&session.id, paying_with("PM-3ds")).await;
    expect_phase(&till, &waiting, Phase::ActionRequired).await;
    assert_eq!(till.points(CUSTOMER).await, (1_750, 500));
    till.advance(minute * 8).await;
    assert_eq!(till.shop.expire_points().await.expect("a sweep"), 1);
    assert_eq!(till.points(CUSTOMER).await, (1_000, 500), "750 of the old ones; 500 of them are held");
}

#[tokio::test(flavor = "multi_thread")]
async fn points_expire_oldest_first_and_once_a_day() {
    let till = TestTill::with(&settings()).await;
    order(&till).await;
    let key = Some("k");
    let made =
        till.shop.adjust_points(MERCHANT, "ops", (CUSTOMER, 79, "a present"), key).await.expect("points");
    let again =
        till.shop.adjust_points(MERCHANT, "ops", (CUSTOMER, 79, "a present"), key).await.expect("the same");
    assert_eq!(again, made);
    assert_eq!(till.points(CUSTOMER).await, (1_300, 0));
    till.advance(DAY * 80).await;
    till.shop.adjust_points(MERCHANT, "ops", (CUSTOMER, 100, "later"), None).await.expect("points");
    assert_eq!(
        till.shop.loyalty(MERCHANT, CUSTOMER).await.expect("points").expiring,
        Some(1_300),
        "1,250 from the start, 471 and 79, less the 500 that were used"
    );
    assert_eq!(till.shop.expire_points().await.expect("a sweep"), 0, "none is old enough");
    till.advance(DAY * 21).await;
    assert_eq!(till.shop.expire_points().await.expect("a sweep"), 1);
    assert_eq!(till.points(CUSTOMER).await, (100, 0), "those are younger");
    assert_eq!(till.shop.expire_points().await.expect("again"), 0);
    till.advance(DAY).await;
    assert_eq!(till.shop.expire_points().await.expect("another day"), 0);
    let ledger = till.shop.points_entries(MERCHANT, CUSTOMER, (i64::MAX, ""), 10).await.expect("the ledger");
    assert_eq!((ledger[0].reason.as_str(), ledger[0].delta), ("expired", -1_300));
    let page = till
        .shop
        .points_entries(MERCHANT, CUSTOMER, (ledger[0].at_us, &ledger[0].id), 2)
        .await
        .expect("a page");
    assert_eq!(page, ledger[1..3]);
}
