//! Carts that shoppers leave are told once, whoever looks and whatever dies.

use std::time::{Duration, Instant};

use serde_json::{Value, json};
use till_commerce::settings::{CartSettings, Settings};
use till_commerce::{CART_ABANDONED, Phase};
use till_store::{Options, Store};
use till_tests::host::{Host, token};
use till_tests::{CUSTOMER, MERCHANT, PATIENCE, Simulator, TestTill, expect_phase};

use crate::http::Shop;

const MINUTE: Duration = Duration::from_secs(60);

fn settings(seconds: Option<u32>) -> Settings {
    Settings { carts: CartSettings { abandoned_after_s: seconds }, ..Settings::default() }
}

/// Carts told so far.
async fn told(till: &TestTill) -> Vec<Value> {
    till.told(CART_ABANDONED).await
}

#[tokio::test(flavor = "multi_thread")]
async fn a_cart_that_is_left_is_told_once_with_what_is_in_it_and_again_after_a_change() {
    let till = TestTill::with(&settings(Some(600))).await;
    till.session(CUSTOMER, 2).await;
    assert_eq!(till.shop.tell_abandoned().await.expect("a sweep"), 0, "the shopper is there");
    till.advance(11 * MINUTE).await;
    let other = till.another_shop();
    let (one, two) = tokio::join!(till.shop.tell_abandoned(), other.tell_abandoned());
    assert_eq!(one.expect("a sweep") + two.expect("a sweep"), 1, "two hosts tell it once");
    assert_eq!(till.shop.tell_abandoned().await.expect("a sweep"), 0);
    let events = told(&till).await;
    let cart = till.shop.cart(MERCHANT, CUSTOMER).await.expect("a cart");
    assert_eq!(cart.version, 1, "being told is no change of the cart");
    assert_eq!(events.len(), 1);
    assert_eq!(
        (&events[0]["cartId"], &events[0]["customerId"], &events[0]["customer"]["email"]),
        (&json!(cart.id), &json!(CUSTOMER), &json!("jane@example.com"))
    );
    assert_eq!(events[0]["items"][0]["sku"], "SKU-ABC-001");
    assert_eq!(events[0]["totals"], json!({ "subtotal": 499.98, "itemCount": 2, "currency": "USD" }));
    let log = till.events.log(MERCHANT, Some(&cart.id), 0, 10).await.expect("the log");
    assert!(log[0].1.contains(r#""subtotal":499.98"#), "the event is about the cart: {log:?}");

    till.shop.set_quantity(MERCHANT, CUSTOMER, &cart.items[0].id, 3, None).await.expect("a change");
    assert_eq!(till.shop.tell_abandoned().await.expect("a sweep"), 0, "the shopper is back");
    till.advance(11 * MINUTE).await;
    assert_eq!(till.shop.tell_abandoned().await.expect("a sweep"), 1, "and gone again");
    assert_eq!(told(&till).await.len(), 2);
    let metric = async || {
        let days = ("2000-01-01", "2999-12-31");
        let rows = till.events.metric(MERCHANT, "abandoned-carts", days).await.expect("a metric");
        (rows.iter().map(|row| row.count).sum::<i64>(), rows.iter().map(|row| row.amount).sum::<i64>())
    };
    assert_eq!(metric().await, (2, 49_998 + 74_997));
    till.events.count_again(MERCHANT).await.expect("the log");
    assert_eq!(metric().await, (2, 49_998 + 74_997), "counted again it is the same");
    till.shop.clear_cart(MERCHANT, CUSTOMER, None).await.expect("it is emptied");
    till.advance(11 * MINUTE).await;
    assert_eq!(till.shop.tell_abandoned().await.expect("a sweep"), 0, "nothing is left in it");
    assert_eq!(told(&till).await.len(), 2);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_cart_that_is_being_paid_or_was_bought_is_not_left() {
    let till = TestTill::with(&settings(Some(600))).await;
    let session = till.session(CUSTOMER, 1).await;
    till.advance(8 * MINUTE).await;
    till.edit(&session.id, json!({ "notes": "ring twice" })).await;
    till.advance(4 * MINUTE).await;
    assert_eq!(till.shop.tell_abandoned().await.expect("a sweep"), 0, "the shopper is at the checkout");
    let paying = json!({ "shipping_method": "standard", "payment_method": "PM-3ds" });
    let view = till.submit(&session.id, paying).await;
    expect_phase(&till, &view, Phase::ActionRequired).await;
    till.advance(12 * MINUTE).await;
    assert_eq!(till.shop.tell_abandoned().await.expect("a sweep"), 0, "the shopper is at the bank");
    till.advance(4 * MINUTE).await;
    let view = till.heal(&session.id).await;
    expect_phase(&till, &view, Phase::Editable).await;
    assert_eq!(till.shop.tell_abandoned().await.expect("a sweep"), 0, "that has just come to nothing");
    till.advance(11 * MINUTE).await;
    assert_eq!(till.shop.tell_abandoned().await.expect("a sweep"), 1, "now it is left");
    let done = till.submit(&session.id, json!({ "payment_method": "PM-001" })).await;
    expect_phase(&till, &done, Phase::Confirmed).await;
    till.advance(60 * MINUTE).await;
    assert_eq!(till.shop.tell_abandoned().await.expect("a sweep"), 0, "it was bought");
    till.balanced().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn nobody_is_told_of_carts_unless_the_merchant_wants_it() {
    let till = TestTill::start().await;
    till.session(CUSTOMER, 1).await;
    till.advance(10_000 * MINUTE).await;
    assert_eq!(till.shop.tell_abandoned().await.expect("a sweep"), 0);
    let refused = till.shop.put_settings(MERCHANT, &settings(Some(5))).await;
    assert!(refused.is_err_and(|error| error.to_string().contains("abandoned_after_s")));
}

async fn events(shop: &Shop) -> Vec<Value> {
    let admin = token("ana", "admin");
    let (status, log) = shop.as_other(&admin, "GET", "/api/v1/admin/events?limit=200", None).await;
    assert_eq!(status, 200, "{log}");
    let all = log["events"].as_array().expect("a list").clone();
    all.into_iter().filter(|event| event["type"] == CART_ABANDONED).collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn killed_while_a_cart_is_told_the_host_tells_it_once() {
    let simulator = Simulator::start();
    let folder = tempfile::tempdir().expect("a temporary folder");
    till_tests::template(folder.path(), &simulator.url).await;
    let path = folder.path().join("till.db");
    let store = Store::open(&Options::new(path.to_str().expect("utf-8"))).await.expect("open");
    let item = json!({
        "id": "CART_ITEM-1", "product": "PROD-12345", "sku": "SKU-ABC-001", "name": "Headphones", "quantity": 2,
        "unit_price": 24_999, "warehouse": null, "added_us": 1,
    });
    let cart =
        json!({ "id": "CART-1", "customer": CUSTOMER, "currency": "USD", "items": [item] }).to_string();
    let body = serde_json::to_string(&settings(Some(3_600))).expect("JSON");
    let planted = store.transact(move |tx| {
        let (cart, body) = (cart.clone(), body.clone());
        Box::pin(async move {
            tx.put_setting(MERCHANT, &body, 1).await?;
            tx.insert_cart(MERCHANT, "CART-1", CUSTOMER, &cart, 1_719_835_200_000_000).await.map(|_| ())
        })
    });
    planted.await.expect("an old cart");
    store.close().await;
    drop(store); // The file is the host's now.

    let mut dying = Host::start(folder.path(), Some("cart.abandoned.in-tx"));
    let begun = Instant::now();
    while !dying.is_gone() {
        assert!(begun.elapsed() < PATIENCE, "the sweep runs when the host starts");
    }
    let mut shop = Shop { host: Host::start(folder.path(), None), simulator, folder };
    let begun = Instant::now();
    while events(&shop).await.is_empty() {
        assert!(begun.elapsed() < PATIENCE, "what was rolled back is told");
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
    shop.restart();
    // The sweep of the new host is done before the next event is in the log.
    let session = shop.session().await;
    assert!(!session.is_empty());
    let found = events(&shop).await;
    assert_eq!(found.len(), 1, "{found:?}");
    assert_eq!(
        (&found[0]["subject"], &found[0]["data"]["totals"]["itemCount"]),
        (&json!("CART-1"), &json!(2))
    );
    let admin = token("ana", "admin");
    let hook = json!({ "url": "https://hooks.example.com/a", "topics": ["cart.abandoned"] });
    let (status, told) = shop.as_other(&admin, "POST", "/api/v1/admin/webhooks", Some(&hook)).await;
    assert_eq!(status, 201, "an endpoint may ask for it: {told}");
}
