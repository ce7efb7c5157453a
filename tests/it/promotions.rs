//! What the host knows of promotions: uses, campaigns, codes that work a set number of times; in process.

use serde_json::{Value, json};
use till_commerce::{CodesWanted, Phase, SessionView};
use till_registry::FailurePolicy;
use till_sandbox::Slot;
use till_store::tables::campaign::CampaignRow;
use till_tests::{CUSTOMER, MERCHANT, TestTill, demo_config, expect_phase, worked_inputs};

/// What the demo promotion takes off the worked example, cents.
const OFF: i64 = 7_500;

fn campaign(budget: Option<i64>) -> CampaignRow {
    CampaignRow {
        id: "summer".to_owned(),
        name: "Summer".to_owned(),
        active: true,
        starts_us: None,
        ends_us: None,
        currency: "USD".to_owned(),
        budget,
        orders_max: None,
        promotions: r#"["summer-2024"]"#.to_owned(),
        spent: 0,
        held: 0,
        orders: 0,
        orders_held: 0,
    }
}

fn off(view: &SessionView) -> i64 {
    let quote = view.quote.as_ref().expect("a quote");
    quote.discounts.iter().filter(|off| off.promotion == "summer-2024").map(|off| off.amount).sum()
}

fn told(view: &SessionView, code: &str) -> bool {
    view.quote.as_ref().expect("a quote").messages.iter().any(|message| message.code == code)
}

/// The demo promotion with another limit.
async fn promotion_is(till: &TestTill, change: Value) {
    let mut config = demo_config("promotions");
    for (name, value) in till_tests::object(change) {
        config["promotions"][0][name.as_str()] = value;
    }
    till.push(Slot::Promotion, "10", "promotions", config, FailurePolicy::Refuse).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_code_that_a_customer_has_used_up_is_refused_at_the_quote() {
    let till = TestTill::start().await;
    promotion_is(&till, json!({ "customer_limit": 1 })).await;
    let first = till.worked_example().await;
    let done = till.submit(&first.id, json!({})).await;
    expect_phase(&till, &done, Phase::Confirmed).await;
    let second = till.session(CUSTOMER, 2).await;
    let view = till.edit(&second.id, worked_inputs()).await;
    assert_eq!(off(&view), 0);
    assert!(told(&view, "used-by-customer"), "{:?}", view.quote.expect("a quote").messages);
    let back = till.submit(&second.id, json!({})).await;
    expect_phase(&till, &back, Phase::Editable).await;
    assert_eq!(back.problem.expect("a reason")["code"], "code-used-up");
    let done = till.submit(&second.id, json!({ "codes": [] })).await;
    expect_phase(&till, &done, Phase::Confirmed).await;
    till.balanced().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_campaign_gives_only_while_it_runs_and_while_its_budget_lasts() {
    let till = TestTill::start().await;
    let later = CampaignRow { starts_us: Some(till.clock_us() + 3_600_000_000), ..campaign(Some(10_000)) };
    till.shop.put_campaign(MERCHANT, later).await.expect("a campaign");
    let session = till.session(CUSTOMER, 2).await;
    let view = till.edit(&session.id, worked_inputs()).await;
    assert_eq!(off(&view), 0);
    assert!(told(&view, "campaign-not-started"));
    till.shop.put_campaign(MERCHANT, campaign(Some(10_000))).await.expect("it runs");
    let view = till.edit(&session.id, worked_inputs()).await;
    assert_eq!(off(&view), OFF, "{:?}", view.quote.expect("a quote").trace);
    let done = till.submit(&session.id, json!({})).await;
    expect_phase(&till, &done, Phase::Confirmed).await;
    let row = till.shop.campaign(MERCHANT, "summer").await.expect("the campaign");
    assert_eq!((row.spent, row.held, row.orders), (OFF, 0, 1));
    let second = till.session(CUSTOMER, 2).await;
    let view = till.edit(&second.id, worked_inputs()).await;
    assert_eq!(off(&view), 0, "25.00 are left, and 75.00 would be taken");
    assert!(told(&view, "campaign-used-up"));
    let trace = view.quote.expect("a quote").trace;
    assert!(trace.iter().any(|entry| entry.reasons.iter().any(|reason| reason.code == "campaign-used-up")));
    till.balanced().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_declined_payment_gives_the_budget_and_the_code_back() {
    let till = TestTill::start().await;
    till.shop.put_campaign(MERCHANT, campaign(Some(OFF))).await.expect("a campaign");
    let code = code(&till).await;
    let session = till.session(CUSTOMER, 2).await;
    till.edit(&session.id, json!({ "codes": [code], "shipping_method": "standard" })).await;
    let back = till.submit(&session.id, json!({ "payment_method": "PM-declined" })).await;
    expect_phase(&till, &back, Phase::Editable).await;
    till.balanced().await;
    let row = till.shop.campaign(MERCHANT, "summer").await.expect("the campaign");
    assert_eq!((row.spent, row.held, row.orders), (0, 0, 0));
    let done = till.submit(&session.id, json!({ "payment_method": "PM-001" })).await;
    expect_phase(&till, &done, Phase::Confirmed).await;
    let row = till.shop.campaign(MERCHANT, "summer").await.expect("the campaign");
    assert_eq!((row.spent, row.held, row.orders), (OFF, 0, 1));
    till.balanced().await;
}

/// A code that works once and stands for the demo promotion's own.
async fn code(till: &TestTill) -> String {
    let wanted = CodesWanted {
        promotion: "summer-2024".to_owned(),
        stands_for: "SUMMER2024".to_owned(),
        prefix: "SUN-".to_owned(),
        count: 3,
        uses: 1,
    };
    let batch = till.shop.make_codes(MERCHANT, "tests", wanted.clone(), Some("k")).await.expect("codes");
    let again = till.shop.make_codes(MERCHANT, "tests", wanted, Some("k")).await.expect("the same");
    assert_eq!(again, batch);
    let codes = till.shop.promotion_codes(MERCHANT, "summer-2024", &batch, "", 10).await.expect("codes");
    assert_eq!(codes.len(), 3, "none is made twice");
    assert!(codes.iter().all(|code| code.code.starts_with("SUN-") && code.code.len() == 16));
    codes[0].code.clone()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_unique_code_works_once_and_the_code_it_stands_for_cannot_be_typed() {
    let till = TestTill::start().await;
    let code = code(&till).await;
    let first = till.session(CUSTOMER, 2).await;
    let chosen = |code: &str| json!({ "codes": [code], "shipping_method": "standard" });
    assert_eq!(off(&till.edit(&first.id, chosen("Summer2024")).await), 0, "only unique codes bring it now");
    assert_eq!(off(&till.edit(&first.id, chosen(&code.to_lowercase())).await), OFF);
    let done = till.submit(&first.id, json!({})).await;
    expect_phase(&till, &done, Phase::Confirmed).await;
    assert_eq!(till.orders(CUSTOMER).await[0].receipt.discounts[0].code.as_ref(), Some(&code));
    let second = till.session(CUSTOMER, 2).await;
    let view = till.edit(&second.id, chosen(&code)).await;
    assert_eq!(off(&view), 0);
    assert!(told(&view, "code-used"));
    till.balanced().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn the_cart_is_told_what_applies_and_what_is_missing() {
    let till = TestTill::start().await;
    promotion_is(&till, json!({ "conditions": { "min_subtotal": 100_000 } })).await;
    assert!(till.shop.applicable(MERCHANT, CUSTOMER, vec![]).await.expect("an answer").is_none(), "no cart");
    till.session(CUSTOMER, 2).await;
    let codes = vec!["SUMMER2024".to_owned()];
    let (_, quote) =
        till.shop.applicable(MERCHANT, CUSTOMER, codes.clone()).await.expect("an answer").expect("a cart");
    assert!(quote.discounts.iter().all(|off| off.promotion != "summer-2024"));
    assert!(quote.trace.iter().any(|entry| !entry.missing.is_empty()), "{:?}", quote.trace);
    promotion_is(&till, json!({})).await;
    let (_, quote) =
        till.shop.applicable(MERCHANT, CUSTOMER, codes).await.expect("an answer").expect("a cart");
    let given: i64 =
        quote.discounts.iter().filter(|off| off.promotion == "summer-2024").map(|off| off.amount).sum();
    assert_eq!(given, OFF);
}
