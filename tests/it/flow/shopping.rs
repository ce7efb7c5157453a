//! Carts and sessions: what is shown, what is left behind, what comes too late.

use serde_json::{Value, json};
use till_tests::host::token;

use super::{DAY_S, Outside, text};

#[tokio::test(flavor = "multi_thread")]
async fn a_cart_is_shown_as_it_was_until_it_or_a_price_changes_and_then_at_once() {
    let mut out = Outside::open().await;
    let cart = "/api/v1/cart";
    let added = out.add(2).await;
    let shown = out.look(cart).await;
    assert_eq!(added["cart"]["totals"], shown["cart"]["totals"]);
    assert_eq!(out.look(cart).await, shown, "looking changes nothing");
    let price = async |out: &Outside, price: Value| {
        let product = "/api/v1/admin/products/PROD-12345";
        let mut body =
            json!({ "sku": "SKU-ABC-001", "name": "Headphones", "weightGrams": 320, "price": price });
        body["categories"] = json!(["audio"]);
        out.done("PUT", product, body).await;
    };
    price(&out, json!(259.99)).await;
    assert_eq!(out.look(cart).await["cart"]["items"][0]["unitPrice"].to_string(), "259.99");
    let item = text(&shown["cart"]["items"][0]["id"]);
    out.send("PUT", &format!("{cart}/items/{item}"), json!({ "quantity": 3 })).await;
    let shown = out.look(cart).await;
    assert_eq!(shown["cart"]["totals"]["subtotal"].to_string(), "779.97", "{shown}");
    // What was shown is forgotten with the process and after a while; nothing else is shown then.
    out.shop.restart_ahead(600);
    assert_eq!(out.look(cart).await, shown);
    price(&out, json!(249.99)).await;
    let told = out.send("POST", "/api/v1/cart/validate", json!({})).await;
    assert!(told["warnings"].to_string().contains("Price has changed"), "{told}");
    assert_eq!(out.look(cart).await["cart"]["totals"]["subtotal"].to_string(), "749.97");
    let (status, empty) = out.shop.call("DELETE", cart, None).await;
    assert_eq!((status, &empty["cart"]["items"]), (200, &json!([])), "{empty}");
    assert_eq!(out.look(cart).await["cart"]["items"], json!([]));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_session_of_yesterday_is_gone_and_says_how_to_go_on_with_the_cart() {
    let mut out = Outside::open().await;
    let session = out.shop.session().await;
    let path = format!("/api/v1/checkout/{session}");
    out.look(&path).await;
    out.shop.restart_ahead(DAY_S + 60);
    out.until_answered(410, "GET", &path, None).await;
    let submit = till_tests::host::submit_body(&session, "PM-001");
    let edit = json!({ "notes": "late" });
    for (method, path, body) in [
        ("GET", path.as_str(), None),
        ("PUT", path.as_str(), Some(&edit)),
        ("POST", "/api/v1/checkout/submit", Some(&submit)),
    ] {
        let (status, told) = out.shop.call(method, path, body).await;
        assert_eq!((status, &told["code"]), (410, &json!("gone")), "{method} {path}: {told}");
        assert!(text(&told["detail"]).contains("POST /api/v1/checkout/initiate"), "{told}");
    }
    assert_eq!(out.shop.as_other(&token("CUST-OTHER", ""), "GET", &path, None).await.0, 404);
    assert_eq!(out.shop.simulator.taken().await, 0);
    assert_eq!(out.look("/api/v1/cart").await["cart"]["items"][0]["quantity"], 2, "the cart is kept");
    let order = out.buy(json!({})).await;
    assert_eq!(order["items"][0]["quantity"], 4, "those of yesterday and two more: {order}");
    let funnel = "/api/v1/admin/analytics/reports/funnel?from=2000-01-01&to=2999-12-31";
    out.until(funnel, |all| all["rows"].to_string().contains(r#""stage":"expired""#)).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_cart_that_is_left_is_told_once_and_again_after_a_change() {
    let mut out = Outside::open().await;
    out.set("carts", json!({ "abandoned_after_s": 60 })).await;
    let added = out.add(2).await;
    let left = async |out: &mut Outside, ahead: u64, times: usize| {
        out.shop.restart_ahead(ahead);
        out.when("the cart is told", |out| out.heard("cart.abandoned") >= times).await;
        // A host looks when it starts: what it tells then is told before what happens later.
        let stock = "/api/v1/admin/stock/SKU-CAB-001/US-WEST-01";
        let before = out.heard("inventory.out");
        for units in [5, 0] {
            out.done("PUT", stock, json!({ "onHand": units })).await;
        }
        out.when("a later event is told", |out| out.heard("inventory.out") > before).await;
        assert_eq!(out.heard("cart.abandoned"), times);
    };
    left(&mut out, 120, 1).await;
    left(&mut out, 240, 1).await;
    let item = format!("/api/v1/cart/items/{}", text(&added["cart"]["items"][0]["id"]));
    out.send("PUT", &item, json!({ "quantity": 3 })).await;
    left(&mut out, 360, 2).await;
    let told: Vec<Value> = out.hooks.of("cart.abandoned").iter().map(|one| one.event()).collect();
    assert_eq!(told[0]["data"]["customer"]["email"], "jane@example.com", "{told:?}");
    let subtotals: Vec<String> =
        told.iter().map(|one| one["data"]["totals"]["subtotal"].to_string()).collect();
    assert_eq!(
        (subtotals.first(), subtotals.last()),
        (Some(&"499.98".to_owned()), Some(&"749.97".to_owned()))
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn a_customer_who_calls_too_often_waits_and_a_guests_cart_comes_along() {
    let mut out = Outside::open().await;
    let guest = token("guest_1", "");
    let item = json!({ "productId": "PROD-12345", "quantity": 1 });
    assert_eq!(out.shop.as_other(&guest, "POST", "/api/v1/cart/items", Some(&item)).await.0, 200);
    let (status, merged) =
        out.shop.call("POST", "/api/v1/cart/merge", Some(&json!({ "guestToken": guest }))).await;
    assert_eq!((status, &merged["cart"]["items"][0]["quantity"]), (200, &json!(1)), "{merged}");

    out.set("rate", json!({ "requests": 3, "window_s": 600 })).await;
    out.shop.restart(); // Else the old limit holds for some seconds.
    for _ in 0..3 {
        assert_eq!(out.shop.call("GET", "/api/v1/cart", None).await.0, 200);
    }
    let (status, told) = out.shop.call("GET", "/api/v1/cart", None).await;
    assert_eq!((status, &told["code"]), (429, &json!("rate-limited")), "{told}");
    assert_eq!(out.shop.as_other(&guest, "GET", "/api/v1/cart", None).await.0, 200, "nobody else waits");
    out.look("/api/v1/orders").await;
}
