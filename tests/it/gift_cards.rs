//! Gift cards as a means of payment, in process: partly, wholly, declined, raced for, refunded.

use serde_json::{Value, json};
use till_commerce::gift_card::given;
use till_commerce::{Phase, ShopError};
use till_model::money::{Currency, Money};
use till_tests::{CUSTOMER, Door, MERCHANT, TestTill, customer, expect_phase, paying_with, worked_inputs};

/// What the worked example costs, cents.
const TOTAL: i64 = 47_117;

fn cards(codes: &[&str]) -> Value {
    json!({ "gift_cards": codes.iter().map(|code| given(code)).collect::<Vec<_>>() })
}

fn usd(cents: i64) -> Money {
    Money::from_minor(cents, Currency::from_code("USD").expect("USD"))
}

#[tokio::test(flavor = "multi_thread")]
async fn a_card_pays_first_and_the_gateway_is_asked_for_the_rest() {
    let till = TestTill::start().await;
    let ((first, code), (second, other)) = (till.gift_card(10_000).await, till.gift_card(5_000).await);
    let session = till.worked_example().await;
    let view = till.edit(&session.id, cards(&[&code, &other])).await;
    let quote = view.quote.as_ref().expect("a quote");
    assert_eq!(quote.totals.expect("totals").total, TOTAL, "a payment changes no amount");
    assert_eq!(quote.due().expect("a total").minor(), TOTAL - 15_000);
    let done = till.submit(&session.id, json!({})).await;
    expect_phase(&till, &done, Phase::Confirmed).await;
    assert_eq!(till.simulator.taken().await, TOTAL - 15_000);
    assert_eq!((till.card(&first).await, till.card(&second).await), ((0, 0), (0, 0)));
    let order = &till.orders(CUSTOMER).await[0];
    assert_eq!((order.receipt.due(), order.receipt.totals.total), (TOTAL - 15_000, TOTAL));
    assert_eq!(order.receipt.gift_cards[0].last4, code[15..]);
    till.balanced().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn an_order_that_cards_pay_wholly_asks_no_gateway() {
    let till = TestTill::start().await;
    let (card, code) = till.gift_card(100_000).await;
    let session = till.worked_example().await;
    till.edit(&session.id, cards(&[&code])).await;
    let done = till.submit(&session.id, json!({ "payment_method": null })).await;
    expect_phase(&till, &done, Phase::Confirmed).await;
    assert!(till.simulator.charges().await.is_empty(), "nobody was charged");
    assert_eq!(till.card(&card).await, (100_000 - TOTAL, 0));
    let order = &till.orders(CUSTOMER).await[0];
    assert_eq!(
        (order.receipt.payment.method.as_str(), order.receipt.payment.status.as_str()),
        ("gift_card", "COMPLETED")
    );
    till.balanced().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_declined_payment_gives_the_card_back() {
    let till = TestTill::start().await;
    let (card, code) = till.gift_card(10_000).await;
    let session = till.worked_example().await;
    till.edit(&session.id, cards(&[&code])).await;
    let back = till.submit(&session.id, paying_with("PM-declined")).await;
    expect_phase(&till, &back, Phase::Editable).await;
    assert_eq!(till.card(&card).await, (10_000, 0));
    till.balanced().await;
    let done = till.submit(&session.id, paying_with("PM-001")).await;
    expect_phase(&till, &done, Phase::Confirmed).await;
    assert_eq!(till.card(&card).await, (0, 0));
    till.balanced().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn two_checkouts_race_for_one_card_and_it_pays_once() {
    let till = TestTill::start().await;
    till.shop.put_customer(MERCHANT, &customer("CUST-2"), 0).await.expect("a customer");
    let (card, code) = till.gift_card(20_000).await;
    let one = till.worked_example().await;
    till.edit(&one.id, cards(&[&code])).await;
    let two = till.session("CUST-2", 1).await;
    let mut inputs = till_tests::object(cards(&[&code]));
    inputs.insert("shipping_method".to_owned(), json!("standard"));
    till.shop.edit(MERCHANT, "CUST-2", &two.id, inputs, None).await.expect("it can be edited");
    let (first, second) =
        tokio::join!(till.submit(&one.id, json!({})), till.submit_as("CUST-2", &two.id, json!({})));
    let second = second.expect("it can be submitted");
    let phases = [first.phase, second.phase];
    let confirmed = phases.iter().filter(|phase| **phase == Phase::Confirmed).count();
    assert_eq!(confirmed, 1, "{phases:?}: {:?} {:?}", first.problem, second.problem);
    let lost = if first.phase == Phase::Confirmed { &second } else { &first };
    assert_eq!(lost.phase, Phase::Editable);
    let why = lost.problem.as_ref().expect("a reason")["code"].clone();
    assert!(["gift-card-short", "incomplete", "quote-changed"].iter().any(|code| why == *code), "{why}");
    assert_eq!(till.card(&card).await, (0, 0));
    till.balanced().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_code_nobody_has_is_told_and_never_charged_to_the_other_means_of_payment() {
    let till = TestTill::start().await;
    let session = till.worked_example().await;
    let back = till.submit(&session.id, cards(&["AAAA-BBBB-CCCC-DDDD"])).await;
    expect_phase(&till, &back, Phase::Editable).await;
    assert_eq!(back.problem.as_ref().expect("a reason")["code"], "incomplete");
    assert_eq!(back.requirements[0].code, "gift-card-unknown");
    assert!(till.simulator.charges().await.is_empty());
    for n in 0..19 {
        let code = format!("AAAA-BBBB-CCCC-DD{n:02}");
        let told = till.shop.gift_card_balance(MERCHANT, CUSTOMER, &code).await;
        assert!(matches!(told, Err(ShopError::UnknownGiftCard)), "{n}: {told:?}");
    }
    let told = till.shop.gift_card_balance(MERCHANT, CUSTOMER, "AAAA-BBBB-CCCC-DDDD").await;
    assert!(matches!(told, Err(ShopError::TooOften { .. })), "{told:?}");
    let (_, code) = till.gift_card(100).await;
    assert!(till.shop.gift_card_balance(MERCHANT, "CUST-2", &code).await.is_ok(), "others may ask");
    till.advance(std::time::Duration::from_secs(3601)).await;
    assert_eq!(till.shop.gift_card_balance(MERCHANT, CUSTOMER, &code).await.expect("a card").balance, 100);
}

#[tokio::test(flavor = "multi_thread")]
async fn what_a_card_paid_is_given_back_to_it_once_and_no_more() {
    let till = TestTill::start().await;
    let (card, code) = till.gift_card(10_000).await;
    let session = till.worked_example().await;
    till.edit(&session.id, cards(&[&code])).await;
    till.submit(&session.id, json!({})).await;
    let order = till.orders(CUSTOMER).await[0].id.clone();
    let back = |cents: i64, key: &'static str| {
        till.shop.refund_to_gift_card(MERCHANT, "ops", (order.as_str(), None, usd(cents)), "", Some(key))
    };
    let made = back(4_000, "a").await.expect("a refund");
    assert_eq!(back(4_000, "a").await.expect("the same"), made);
    assert_eq!(till.card(&card).await, (4_000, 0));
    assert!(matches!(back(6_001, "b").await, Err(ShopError::Field { .. })), "more than it paid");
    back(6_000, "c").await.expect("the rest");
    assert!(back(1, "d").await.is_err());
    assert_eq!(till.card(&card).await, (10_000, 0));
    till.balanced().await;
    till.shop.void_gift_card(MERCHANT, "ops", &card, "lost").await.expect("void");
    assert_eq!(till.card(&card).await, (0, 0));
    let told = till.shop.gift_card_balance(MERCHANT, CUSTOMER, &code).await;
    assert!(matches!(told, Err(ShopError::UnknownGiftCard)), "{told:?}");
    till.cards_match().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_card_that_pays_less_than_was_shown_is_a_conflict() {
    let till = TestTill::start().await;
    let (card, code) = till.gift_card(10_000).await;
    let session = till.worked_example().await;
    till.edit(&session.id, cards(&[&code])).await;
    till.shop
        .adjust_gift_card(MERCHANT, "ops", (&card, -6_000, "sold in the shop"), None)
        .await
        .expect("less");
    let back = till.submit(&session.id, worked_inputs()).await;
    expect_phase(&till, &back, Phase::Editable).await;
    assert_eq!(back.problem.as_ref().expect("a reason")["code"], "quote-changed");
    let done = till.submit(&session.id, json!({ "notes": "as it is now" })).await;
    expect_phase(&till, &done, Phase::Confirmed).await;
    assert_eq!(till.simulator.taken().await, TOTAL - 4_000);
    till.balanced().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn over_http_a_card_is_shown_by_its_last_characters_and_the_rest_is_due() {
    let till = TestTill::start().await;
    let door = Door::open(&till).await;
    let (_, code) = till.gift_card(10_000).await;
    let id = till.worked_example().await.id;
    let path = format!("/api/v1/checkout/{id}");
    let edit = json!({ "giftCards": [code.to_lowercase()] });
    let (status, session) = door.call(CUSTOMER, "PUT", &path, Some(&edit)).await;
    assert_eq!(status, 200, "{session}");
    assert_eq!(session["selection"]["giftCards"][0]["last4"], code[15..]);
    assert_eq!(session["quote"]["amountDue"].to_string(), "371.17");
    assert!(!session.to_string().contains(&code), "the code itself is nowhere");
    let submit = json!({ "checkoutSessionId": id, "expectedTotal": 471.17 });
    let (status, order) = door.call(CUSTOMER, "POST", "/api/v1/checkout/submit", Some(&submit)).await;
    assert_eq!(status, 201, "{order}");
    assert_eq!(
        (order["amountDue"].to_string(), order["pricing"]["total"].to_string()),
        ("371.17".to_owned(), "471.17".to_owned())
    );
    assert_eq!(order["giftCards"][0]["amount"], json!(100.0));
    let body = json!({ "code": code });
    let (status, left) = door.call(CUSTOMER, "POST", "/api/v1/gift-cards/balance", Some(&body)).await;
    assert_eq!((status, &left["available"]), (200, &json!(0.0)), "{left}");
    let body = json!({ "code": "AAAA-AAAA-AAAA-AAAA" });
    let (status, told) = door.call(CUSTOMER, "POST", "/api/v1/gift-cards/balance", Some(&body)).await;
    assert_eq!((status, &told["code"]), (404, &json!("gift-card-unknown")));
    let many: Vec<String> = (0..11).map(|n| format!("AAAA-AAAA-AAAA-AA{n:02}")).collect();
    let fresh = till.session(CUSTOMER, 1).await.id;
    let edit = json!({ "giftCards": many });
    let (status, told) = door.call(CUSTOMER, "PUT", &format!("/api/v1/checkout/{fresh}"), Some(&edit)).await;
    assert_eq!((status, &told["errors"][0]["field"]), (422, &json!("giftCards")), "{told}");
    let (status, has) = door.call(CUSTOMER, "GET", "/api/v1/loyalty", None).await;
    assert_eq!((status, &has["availablePoints"]), (200, &json!(1221)), "{has}");
    let (status, list) =
        door.call(CUSTOMER, "GET", "/api/v1/promotions/applicable?codes=SUMMER2024,NONE", None).await;
    assert_eq!(status, 200, "{list}");
    assert_eq!(
        (&list["promotions"][0]["code"], &list["promotions"][0]["applicable"]),
        (&json!("SUMMER2024"), &json!(true))
    );
    assert_eq!(
        (&list["promotions"][1]["code"], &list["promotions"][1]["applicable"]),
        (&json!("NONE"), &json!(false))
    );
}
