//! A checkout whose surroundings fail: the sale goes on, and the answer says what is missing. What makes the price fails
//! closed.

use base64::Engine as _;
use serde_json::{Value, json};
use till_store::{Options, Store};
use till_tests::Simulator;
use till_tests::host::{Host, submit_body, token};
use till_tests::{CUSTOMER, MERCHANT};

use crate::http::{Shop, open};

/// The demo shop by the real binary, in whose parts something goes wrong.
async fn failing(parts: &str) -> Shop {
    let simulator = Simulator::start();
    let folder = tempfile::tempdir().expect("a temporary folder");
    till_tests::template(folder.path(), &simulator.url).await;
    Shop { host: Host::start_failing(folder.path(), parts), simulator, folder }
}

fn warned(view: &Value) -> Vec<(&str, &str)> {
    let warnings = view["warnings"].as_array().map(Vec::as_slice).unwrap_or_default();
    warnings
        .iter()
        .map(|one| (one["code"].as_str().expect("a code"), one["part"].as_str().expect("a part")))
        .collect()
}

async fn initiate(shop: &Shop) -> Value {
    let item = json!({ "productId": "PROD-12345", "quantity": 2 });
    assert_eq!(shop.call("POST", "/api/v1/cart/items", Some(&item)).await.0, 200);
    let (status, view) = shop.call("POST", "/api/v1/checkout/initiate", None).await;
    assert_eq!(status, 201, "{view}");
    view
}

async fn buys(shop: &Shop, view: &Value) -> Value {
    let mut submit = submit_body(view["checkoutSessionId"].as_str().expect("an id"), "PM-001");
    submit["loyaltyPointsToUse"] = json!(500);
    let (status, order) = shop.call("POST", "/api/v1/checkout/submit", Some(&submit)).await;
    assert_eq!((status, &order["status"]), (201, &json!("CONFIRMED")), "{order}");
    order
}

#[tokio::test(flavor = "multi_thread")]
async fn with_loyalty_and_the_book_away_a_sale_is_made_at_the_same_price() {
    let shop = failing("loyalty,customer,preferences").await;
    let view = initiate(&shop).await;
    assert_eq!(
        warned(&view),
        [("part-failed", "customer"), ("part-failed", "loyalty"), ("part-failed", "preferences")]
    );
    assert_eq!(
        (&view["customer"]["addresses"], &view["loyalty"]["availablePoints"]),
        (&json!([]), &json!(0))
    );
    assert!(!view["warnings"].to_string().contains("a test"), "the cause is not told: {view}");
    assert_eq!(
        view["requirements"],
        json!([{ "code": "shipping-option", "path": view["requirements"][0]["path"], "who": "buyer" }])
    );
    let order = buys(&shop, &view).await;
    assert_eq!(order["pricing"]["total"].to_string(), "471.17", "points and codes count as ever");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_part_that_never_answers_is_left_out_after_its_time() {
    let shop = failing("loyalty:hangs").await;
    let view = initiate(&shop).await;
    assert_eq!(warned(&view), [("part-slow", "loyalty")]);
    assert_eq!(view["customer"]["addresses"].as_array().map(Vec::len), Some(1), "the other parts are there");
    buys(&shop, &view).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn preferences_that_cannot_be_read_stop_no_sale() {
    let simulator = Simulator::start();
    let folder = tempfile::tempdir().expect("a temporary folder");
    till_tests::template(folder.path(), &simulator.url).await;
    let path = folder.path().join("till.db");
    let store = Store::open(&Options::new(path.to_str().expect("utf-8"))).await.expect("open");
    let broken = store.transact(|tx| {
        Box::pin(async move { tx.put_preference(MERCHANT, CUSTOMER, "{ this is no JSON", 1).await })
    });
    broken.await.expect("written");
    store.close().await;
    drop(store); // The file is the host's now.
    let shop = Shop { host: Host::start(folder.path(), None), simulator, folder };
    let view = initiate(&shop).await;
    assert_eq!(warned(&view), [("part-failed", "preferences")]);
    assert_eq!(view["customer"]["addresses"].as_array().map(Vec::len), Some(1));
    buys(&shop, &view).await;
}

async fn push(shop: &Shop, slot: &str, name: &str, config: &str, policy: &str) {
    let body = json!({
        "slot": slot, "name": name, "config": config, "policy": policy,
        "wasmBase64": base64::engine::general_purpose::STANDARD.encode(till_tests::guest("hostile")),
        "skipConformance": true, "why": "it fails, on purpose",
    });
    let admin = token("admin", "admin operator");
    let (status, told) = shop.as_other(&admin, "POST", "/api/v1/admin/components", Some(&body)).await;
    assert!(status < 300, "{told}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_promotion_that_runs_out_of_fuel_is_named_and_the_sale_goes_on_and_a_price_that_does_stops_it() {
    let shop = open().await;
    assert_eq!(warned(&initiate(&shop).await), []);
    push(&shop, "promotion", "20", "loop", "omit").await;
    let (status, view) = shop.call("POST", "/api/v1/checkout/initiate", None).await;
    assert_eq!((status, warned(&view)), (201, vec![("component-omitted", "promotions")]), "{view}");
    let order = buys(&shop, &view).await;
    assert_eq!(order["pricing"]["total"].to_string(), "471.17", "the other promotion was applied");

    push(&shop, "pricing", "default", "loop", "refuse").await;
    let view = initiate(&shop).await;
    assert!(view.get("quote").is_none(), "no price is better than a wrong one: {view}");
    assert_eq!(view["problem"]["code"], "component-failed", "{view}");
    let submit = submit_body(view["checkoutSessionId"].as_str().expect("an id"), "PM-001");
    let (status, told) = shop.call("POST", "/api/v1/checkout/submit", Some(&submit)).await;
    assert_eq!((status, &told["code"]), (502, &json!("component-failed")), "{told}");
}
