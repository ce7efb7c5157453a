//! Checkouts from the cart to the order, and every way in which a payment can go wrong.

use std::time::Duration;

use serde_json::json;
use till_commerce::settings::{CaptureMode, Settings};
use till_commerce::{Phase, ShopError, SubmitRequest};
use till_tests::{
    CUSTOMER, How, MERCHANT, SKU, TestTill, customer, expect_phase, object, paying_with, worked_inputs,
};

fn one_step() -> Settings {
    Settings { capture: CaptureMode::OneStep, ..Settings::default() }
}

#[tokio::test(flavor = "multi_thread")]
async fn the_worked_example_comes_out_to_the_cent() {
    let till = TestTill::start().await;
    let quoted = till.worked_example().await;
    let view = till.submit(&quoted.id, json!({})).await;
    expect_phase(&till, &view, Phase::Confirmed).await;

    let order = view.order.expect("an order");
    let totals = order.receipt.totals;
    assert_eq!((totals.subtotal, totals.discounts, totals.shipping), (49_998, 8_000, 1_599));
    assert_eq!((totals.tax, totals.total), (3_520, 47_117));
    assert_eq!((totals.points_used, totals.points_earned), (500, 471));
    assert_eq!(order.status, "CONFIRMED");
    assert_eq!(order.receipt.points_balance, Some(1221));
    assert_eq!(order.receipt.payment.status, "COMPLETED");
    assert!(order.receipt.payment.reference.starts_with("pi_"), "{:?}", order.receipt.payment);
    let (prefix, digits) = order.number.split_at("ORD-2024-".len());
    assert_eq!(prefix, "ORD-2024-");
    assert!(digits.len() == 6 && digits.bytes().all(|b| b.is_ascii_digit()), "{}", order.number);
    let stages: Vec<String> = order.receipt.trace.iter().map(|t| format!("{:?}", t.stage)).collect();
    for stage in ["Price", "Promotions", "Points", "Shipping", "Tax"] {
        assert!(stages.iter().any(|s| s == stage), "no decision of {stage} in {stages:?}");
    }

    assert_eq!(till.stock().await, (8, 0));
    assert_eq!(till.points(CUSTOMER).await, (1221, 0));
    assert_eq!(till.simulator.charges().await, ["authorize 47117", "capture 47117"]);
    assert!(till.shop.cart(MERCHANT, CUSTOMER).await.unwrap().items.is_empty(), "the cart is archived");
    till.balanced().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn an_order_takes_three_commits_and_two_when_the_money_is_taken_at_once() {
    for (settings, at_most) in [(Settings::default(), 3), (one_step(), 2)] {
        let till = TestTill::with(&settings).await;
        // The first order reserves a block of numbers.
        let first = till.session(CUSTOMER, 1).await;
        let first = till.submit(&first.id, json!({ "shipping_method": "standard" })).await;
        expect_phase(&till, &first, Phase::Confirmed).await;
        let quoted = till.worked_example().await;
        let (before, _) = till.store.counts();
        let view = till.submit(&quoted.id, json!({})).await;
        let (after, _) = till.store.counts();
        expect_phase(&till, &view, Phase::Confirmed).await;
        assert!(
            after - before <= at_most,
            "{} commits, not {at_most}: {}",
            after - before,
            till.history(&view.id).await
        );
        assert_eq!(till.simulator.count("capture").await, 2);
        till.balanced().await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_declined_card_gives_everything_back_and_a_good_one_is_taken_then() {
    let till = TestTill::start().await;
    let quoted = till.worked_example().await;
    let view = till.submit(&quoted.id, paying_with("PM-declined")).await;
    expect_phase(&till, &view, Phase::Editable).await;
    let problem = view.problem.expect("a reason");
    assert_eq!(problem["code"], "payment-declined");
    assert_eq!(problem["decline"]["code"], "card_declined");
    assert_eq!(till.stock().await, (10, 0));
    assert_eq!(till.points(CUSTOMER).await, (1250, 0));
    assert_eq!(till.orders(CUSTOMER).await[0].status, "PAYMENT_FAILED");
    till.balanced().await;

    let view = till.submit(&quoted.id, paying_with("PM-001")).await;
    expect_phase(&till, &view, Phase::Confirmed).await;
    let orders = till.orders(CUSTOMER).await;
    assert_eq!(orders.iter().map(|o| o.status.as_str()).collect::<Vec<_>>(), ["PAYMENT_FAILED", "CONFIRMED"]);
    assert_ne!(orders[0].number, orders[1].number);
    assert_eq!(view.problem, None);
    assert_eq!(till.stock().await, (8, 0));
    till.balanced().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_charge_that_is_never_answered_is_found_and_not_made_twice() {
    for settings in [Settings::default(), one_step()] {
        let till = TestTill::with(&settings).await;
        let quoted = till.worked_example().await;
        let view = till.submit(&quoted.id, paying_with("PM-timeout_after")).await;
        expect_phase(&till, &view, Phase::PaymentUnknown).await;
        assert_eq!(till.stock().await, (10, 2), "the units stay promised while nobody knows");
        assert_eq!(till.orders(CUSTOMER).await[0].status, "PENDING_PAYMENT");
        till.advance(Duration::from_secs(1)).await;
        let view = till.heal(&quoted.id).await;
        expect_phase(&till, &view, Phase::Confirmed).await;
        assert_eq!(till.simulator.charges().await, ["authorize 47117", "capture 47117"]);
        till.balanced().await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_request_that_never_arrived_is_sent_again_under_the_same_key_and_charged_once() {
    for settings in [Settings::default(), one_step()] {
        let till = TestTill::with(&settings).await;
        let quoted = till.worked_example().await;
        till.simulator.behave("authorize", "timeout_before").await;
        let view = till.submit(&quoted.id, json!({})).await;
        expect_phase(&till, &view, Phase::PaymentUnknown).await;
        assert_eq!(till.simulator.charges().await, Vec::<String>::new());
        let view = till.heal(&quoted.id).await;
        expect_phase(&till, &view, Phase::Confirmed).await;
        assert_eq!(till.simulator.charges().await, ["authorize 47117", "capture 47117"]);
        till.balanced().await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn every_lost_answer_to_every_request_ends_in_one_charge() {
    for (operation, behaviour) in [
        ("authorize", "500_before"),
        ("authorize", "500_after"),
        ("authorize", "garbage_after"),
        ("authorize", "cut_after"),
        ("capture", "500_before"),
        ("capture", "500_after"),
        ("capture", "garbage_after"),
        ("capture", "cut_after"),
    ] {
        let till = TestTill::start().await;
        till.simulator.behave(operation, behaviour).await;
        let quoted = till.worked_example().await;
        let view = till.submit(&quoted.id, json!({})).await;
        expect_phase(&till, &view, Phase::PaymentUnknown).await;
        let view = till.heal(&quoted.id).await;
        expect_phase(&till, &view, Phase::Confirmed).await;
        let charges = till.simulator.charges().await;
        assert_eq!(charges, ["authorize 47117", "capture 47117"], "{operation} {behaviour}");
        till.balanced().await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_gateway_that_cannot_be_reached_gives_everything_back() {
    for settings in [Settings::default(), one_step()] {
        let mut till = TestTill::with(&settings).await;
        let quoted = till.worked_example().await;
        till.simulator.stop();
        till.submit(&quoted.id, json!({})).await;
        let view = till.heal(&quoted.id).await;
        expect_phase(&till, &view, Phase::Editable).await;
        assert_eq!(view.fault.expect("a reason")["code"], "gateway");
        assert_eq!(till.stock().await, (10, 0));
        assert_eq!(till.points(CUSTOMER).await, (1250, 0));
        assert_eq!(till.orders(CUSTOMER).await[0].status, "PAYMENT_FAILED");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_shopper_who_leaves_the_banks_page_pays_nothing() {
    let till = TestTill::start().await;
    let quoted = till.worked_example().await;
    let view = till.submit(&quoted.id, paying_with("PM-3ds")).await;
    expect_phase(&till, &view, Phase::ActionRequired).await;
    assert_eq!(view.action.expect("what to do")["kind"], "redirect");
    assert_eq!(till.stock().await, (10, 2));
    till.advance(Duration::from_secs(15 * 60)).await;
    let view = till.heal(&quoted.id).await;
    expect_phase(&till, &view, Phase::Editable).await;
    assert_eq!(till.simulator.charges().await, ["void 0"], "the open payment is voided");
    assert_eq!(till.stock().await, (10, 0));
    assert_eq!(till.orders(CUSTOMER).await[0].status, "PAYMENT_FAILED");
    till.balanced().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn of_sixty_four_shoppers_who_want_ten_units_exactly_ten_get_one() {
    let till = TestTill::start().await;
    let shoppers: Vec<String> = (0..64).map(|n| format!("CUST-{n:03}")).collect();
    let mut sessions = Vec::new();
    for shopper in &shoppers {
        till.shop.put_customer(MERCHANT, &customer(shopper), 0).await.unwrap();
        sessions.push(till.session(shopper, 1).await);
    }
    let submits = shoppers.iter().zip(&sessions).map(|(shopper, session)| {
        till.submit_as(shopper, &session.id, json!({ "shipping_method": "standard" }))
    });
    let views = futures::future::join_all(submits).await;
    let mut confirmed = 0;
    for (view, session) in views.into_iter().zip(&sessions) {
        let view = view.expect("an answer");
        if view.phase == Phase::Confirmed {
            confirmed += 1;
            continue;
        }
        expect_phase(&till, &view, Phase::Editable).await;
        let problem = view.problem.expect("a reason");
        assert_eq!(problem["code"], "stock-short");
        assert_eq!(problem["lines"][0]["line"], json!(session.inputs.lines[0].id), "it names the line");
        assert_eq!(problem["lines"][0]["sku"], SKU);
        assert_eq!(problem["lines"][0]["available"], 0);
    }
    assert_eq!(confirmed, 10);
    assert_eq!(till.simulator.count("capture").await, 10);
    assert_eq!(till.simulator.count("authorize").await, 10);
    assert_eq!(till.stock().await, (0, 0));
    till.balanced().await;
}

fn submit(hash: &str) -> SubmitRequest {
    SubmitRequest {
        inputs: object(json!({})),
        expected_total: None,
        quote: None,
        hash: hash.to_owned(),
        key: None,
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn the_same_submit_attaches_and_another_one_is_refused() {
    let till = TestTill::start().await;
    let quoted = till.worked_example().await;
    till.simulator.behave("authorize", "slow").await;
    let wait = Duration::from_secs(20);
    let first = till.shop.submit(MERCHANT, CUSTOMER, &quoted.id, submit("a"), wait);
    let second = till.shop.submit(MERCHANT, CUSTOMER, &quoted.id, submit("a"), wait);
    let other = async {
        while till.orders(CUSTOMER).await.is_empty() {
            tokio::time::sleep(Duration::from_millis(2)).await;
        }
        till.shop.submit(MERCHANT, CUSTOMER, &quoted.id, submit("b"), wait).await
    };
    let (first, second, other) = tokio::join!(first, second, other);
    for view in [first.unwrap(), second.unwrap()] {
        expect_phase(&till, &view, Phase::Confirmed).await;
    }
    assert!(matches!(other, Err(ShopError::OtherSubmit { .. })), "{other:?}");
    let late = till.shop.submit(MERCHANT, CUSTOMER, &quoted.id, submit("a"), wait).await.unwrap();
    expect_phase(&till, &late, Phase::Confirmed).await;
    let late = till.shop.submit(MERCHANT, CUSTOMER, &quoted.id, submit("b"), wait).await;
    assert!(matches!(late, Err(ShopError::OtherSubmit { .. })), "{late:?}");
    assert_eq!(till.simulator.count("capture").await, 1);
    assert_eq!(till.orders(CUSTOMER).await.len(), 1);
    till.balanced().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_price_that_is_not_the_one_the_shopper_saw_is_not_charged() {
    let till = TestTill::start().await;
    let quoted = till.worked_example().await;
    let token = quoted.quote_token.clone();
    let mut product = till_tests::headphones();
    product.price += 100;
    till.shop.put_product(MERCHANT, &product).await.unwrap();
    for expected in [
        SubmitRequest { expected_total: Some(47_117), ..submit("a") },
        SubmitRequest { quote: token, ..submit("b") },
    ] {
        let view = till
            .shop
            .submit(MERCHANT, CUSTOMER, &quoted.id, expected, Duration::from_secs(20))
            .await
            .unwrap();
        expect_phase(&till, &view, Phase::Editable).await;
        let problem = view.problem.expect("a reason");
        assert_eq!(problem["code"], "quote-changed");
        assert_ne!(problem["total"], 47_117);
        assert_eq!(problem["quote"], json!(view.quote_token));
        assert_eq!(view.submitted, None);
    }
    assert_eq!(till.orders(CUSTOMER).await.len(), 0);
    till.balanced().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_product_that_goes_to_another_currency_meanwhile_is_not_sold_at_the_same_digits() {
    let till = TestTill::start().await;
    let quoted = till.worked_example().await;
    let mut product = till_tests::headphones();
    product.currency = till_model::money::Currency::from_code("EUR").expect("a currency");
    till.shop.put_product(MERCHANT, &product).await.unwrap();
    let view = till.submit(&quoted.id, json!({})).await;
    expect_phase(&till, &view, Phase::Editable).await;
    assert!(!view.requirements.is_empty(), "the line is named: {:?}", view.problem);
    assert_eq!(till.orders(CUSTOMER).await.len(), 0);
    assert_eq!(till.simulator.taken().await, 0);
    till.balanced().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn an_order_that_costs_nothing_is_confirmed_without_a_payment() {
    let till = TestTill::start().await;
    till.shop.put_customer(MERCHANT, &customer("CUST-RICH"), 1_000_000).await.unwrap();
    let session = till.session("CUST-RICH", 1).await;
    let mut inputs = worked_inputs();
    inputs["points"] = json!(100_000);
    inputs["codes"] = json!([]);
    let view = till.shop.edit(MERCHANT, "CUST-RICH", &session.id, object(inputs), None).await.unwrap();
    let total = view.quote.as_ref().and_then(|q| q.totals).expect("totals").total;
    // Points pay goods; shipping is what is left, unless the merchant gives it away.
    if total > 0 {
        let free = json!({ "zones": [{ "name": "all", "countries": ["US"], "methods": [
            { "id": "standard", "carrier": "Post", "service": "ground", "title": "Free", "bands": [{ "price": 0 }] }] }] });
        till.push(
            till_sandbox::Slot::Shipping,
            "default",
            "zone-shipping",
            free,
            till_registry::FailurePolicy::Refuse,
        )
        .await;
        till.shop.cancel(MERCHANT, "CUST-RICH", &session.id).await.unwrap();
    }
    let session = till.shop.initiate(MERCHANT, "CUST-RICH", None).await.unwrap();
    let inputs = object(json!({ "points": 100_000, "shipping_method": "standard" }));
    let view = till.shop.edit(MERCHANT, "CUST-RICH", &session.id, inputs, None).await.unwrap();
    assert_eq!(view.quote.as_ref().and_then(|q| q.totals).expect("totals").total, 0, "{:?}", view.quote);
    let view = till.submit_as("CUST-RICH", &session.id, json!({})).await.unwrap();
    expect_phase(&till, &view, Phase::Confirmed).await;
    let order = view.order.expect("an order");
    assert_eq!((order.receipt.payment.status.as_str(), order.receipt.totals.total), ("NONE", 0));
    assert!(till.simulator.charges().await.is_empty());
    assert_eq!(till.stock().await, (9, 0));
    assert_eq!(till.points("CUST-RICH").await.1, 0);
    till.balanced().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn an_edit_after_a_submit_that_could_not_be_priced_buys_nothing() {
    let till = TestTill::start().await;
    let session = till.worked_example().await.id;
    till.faults.plan("tax.quote", &[How::Fails]);
    let view = till.submit(&session, worked_inputs()).await;
    assert!(view.phase == Phase::Editable && view.fault.is_some(), "{:?}", view.fault);
    let view = till.edit(&session, worked_inputs()).await;
    assert_eq!((view.phase, view.fault), (Phase::Editable, None));
    assert!(till.simulator.charges().await.is_empty(), "nobody has asked for an order");
    till.balanced().await;
}
