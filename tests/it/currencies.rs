//! A shop that sells in several currencies, and calls its statuses by words of its own; the real binary from outside.

use serde_json::{Value, json};
use till_tests::host::{submit_body, token_for};
use till_tests::{CUSTOMER, MERCHANT};

use crate::http::{Shop, open, problem};

fn admin() -> String {
    token_for(MERCHANT, "boss", "admin", 3600)
}

async fn done(shop: &Shop, method: &str, path: &str, body: &Value) -> Value {
    let (status, answer) = shop.as_other(&admin(), method, path, Some(body)).await;
    assert!((200..300).contains(&status), "{method} {path}: {answer}");
    answer
}

async fn set(shop: &Shop, name: &str, value: Value) {
    let (_, mut settings) = shop.as_other(&admin(), "GET", "/api/v1/admin/settings", None).await;
    settings[name] = value;
    done(shop, "PUT", "/api/v1/admin/settings", &settings).await;
}

/// Dollars, euros where points are worth nothing, and yen where they are; a licence that is nowhere shipped to.
async fn international() -> Shop {
    let shop = open().await;
    let yen = json!({ "points": { "minor_per_point": 2, "earned_per_major": 1, "earning_step": 100 } });
    set(&shop, "currencies", json!({ "EUR": {}, "JPY": yen })).await;
    let licence = json!({
        "sku": "LICENCE", "name": "Licence", "kind": "digital", "stocked": false, "price": 20,
        "prices": [{ "currency": "JPY", "price": 3000, "compareAtPrice": 3500 }, { "currency": "EUR", "price": 19.5 }],
    });
    done(&shop, "PUT", "/api/v1/admin/products/LICENCE", &licence).await;
    shop
}

async fn look(shop: &Shop, path: &str) -> Value {
    let (status, answer) = shop.call("GET", path, None).await;
    assert_eq!(status, 200, "{path}: {answer}");
    answer
}

#[tokio::test(flavor = "multi_thread")]
async fn a_cart_in_yen_is_priced_paid_and_counted_in_yen() {
    let shop = international().await;
    assert_eq!(
        look(&shop, "/api/v1/catalog/currencies").await,
        json!({ "currency": "USD", "currencies": ["USD", "EUR", "JPY"] })
    );
    let item = json!({ "productId": "LICENCE", "quantity": 2, "currency": "JPY" });
    let (status, cart) = shop.call("POST", "/api/v1/cart/items", Some(&item)).await;
    assert_eq!((status, &cart["cart"]["totals"]["currency"]), (200, &json!("JPY")), "{cart}");
    assert_eq!(cart["cart"]["totals"]["subtotal"].to_string(), "6000");
    let (_, checked) = shop.call("POST", "/api/v1/cart/validate", None).await;
    assert_eq!(checked["warnings"], json!([]), "{checked}");

    let (status, session) = shop.call("POST", "/api/v1/checkout/initiate", None).await;
    assert_eq!(status, 201, "{session}");
    let id = session["checkoutSessionId"].as_str().expect("an id");
    let mut submit = submit_body(id, "PM-001");
    submit["promotionCodes"] = json!([]);
    submit["loyaltyPointsToUse"] = json!(100);
    submit["expectedTotal"] = json!(6_286.5);
    problem(&shop.call("POST", "/api/v1/checkout/submit", Some(&submit)).await, 422, "expectedTotal");
    submit["expectedTotal"] = json!(6_286);
    let (status, order) = shop.call("POST", "/api/v1/checkout/submit", Some(&submit)).await;
    assert_eq!(status, 201, "{order}");
    assert_eq!(
        (order["pricing"]["total"].to_string(), &order["pricing"]["currency"]),
        ("6286".to_owned(), &json!("JPY")),
        "100 points are worth 200 yen, and 8.381 % of 5,800 are 486: {order}"
    );
    assert_eq!(order["loyalty"]["pointsEarned"], 62, "one for each whole 100 yen: {order}");
    let taken = shop.simulator.movements().await;
    let captured = taken.iter().find(|one| one["operation"] == "capture").expect("a capture");
    assert_eq!((&captured["amount"], &captured["currency"]), (&json!(6_286), &json!("JPY")), "{taken:?}");
    let path = format!("/api/v1/admin/customers/{CUSTOMER}");
    let begun = std::time::Instant::now();
    loop {
        let (_, value) = shop.as_other(&admin(), "GET", &path, None).await;
        if value["lifetimeValue"][0]["currency"] == "JPY" {
            assert_eq!(value["lifetimeValue"].as_array().map(Vec::len), Some(1), "{value}");
            break;
        }
        assert!(begun.elapsed() < till_tests::PATIENCE, "{value}");
        tokio::time::sleep(std::time::Duration::from_millis(50)).await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_product_is_sold_where_it_has_a_price_and_a_cart_changes_its_currency_as_a_whole_or_not() {
    let shop = international().await;
    let there = look(&shop, "/api/v1/catalog/products/LICENCE/pricing?currency=JPY").await;
    assert_eq!(there["prices"][0]["price"].to_string(), "3000", "{there}");
    assert_eq!(there["prices"][0]["compareAtPrice"].to_string(), "3500", "{there}");
    let listed = look(&shop, "/api/v1/catalog/products?currency=EUR&maxPrice=19.50").await;
    assert_eq!(listed["products"].as_array().map(Vec::len), Some(1), "{listed}");
    assert_eq!(
        listed["products"][0]["price"].to_string(),
        "19.50".parse::<Value>().expect("JSON").to_string()
    );
    problem(
        &shop.call("GET", "/api/v1/catalog/products/PROD-12345?currency=EUR", None).await,
        422,
        "no price in EUR",
    );

    let item = |product: &str| json!({ "productId": product, "quantity": 1 });
    for product in ["LICENCE", "PROD-12345"] {
        assert_eq!(shop.call("POST", "/api/v1/cart/items", Some(&item(product))).await.0, 200);
    }
    let to = |code: &str| json!({ "currency": code });
    let put = async |code: &str| shop.call("PUT", "/api/v1/cart/currency", Some(&to(code))).await;
    problem(&put("EUR").await, 422, "cart.items[1].productId");
    problem(&put("GBP").await, 422, "`USD`, `EUR`, `JPY`");
    problem(&put("euro").await, 422, "ISO 4217");
    let cart = look(&shop, "/api/v1/cart").await;
    assert_eq!(cart["cart"]["totals"]["currency"], "USD", "it is as it was: {cart}");
    let line = cart["cart"]["items"][1]["id"].as_str().expect("an id");
    assert_eq!(shop.call("DELETE", &format!("/api/v1/cart/items/{line}"), None).await.0, 200);
    let (status, cart) = put("EUR").await;
    assert_eq!((status, &cart["cart"]["totals"]["currency"]), (200, &json!("EUR")), "{cart}");
    assert!(cart["cart"]["totals"]["subtotal"].to_string().starts_with("19.5"), "{cart}");
    problem(
        &shop.call("POST", "/api/v1/cart/items", Some(&item("PROD-12345"))).await,
        422,
        "no price in EUR",
    );
    let mut dollars = item("LICENCE");
    dollars["currency"] = json!("USD");
    problem(&shop.call("POST", "/api/v1/cart/items", Some(&dollars)).await, 422, "PUT /api/v1/cart/currency");

    // Emptied and put into another currency, it is what it says.
    for code in ["USD", "EUR"] {
        let cart = look(&shop, "/api/v1/cart").await;
        for line in cart["cart"]["items"].as_array().expect("lines") {
            let path = format!("/api/v1/cart/items/{}", line["id"].as_str().expect("an id"));
            assert_eq!(shop.call("DELETE", &path, None).await.0, 200);
        }
        assert_eq!(put(code).await.1["cart"]["totals"]["currency"], code);
        let (_, cart) = shop.call("POST", "/api/v1/cart/items", Some(&item("LICENCE"))).await;
        assert_eq!(cart["cart"]["totals"]["currency"], code, "{cart}");
        assert_eq!(look(&shop, "/api/v1/cart").await["cart"]["totals"]["currency"], code);
    }
    // A merchant looks at the catalog by another currency, and sees it as it is kept.
    let (_, kept) = shop.as_other(&admin(), "GET", "/api/v1/admin/products?currency=EUR", None).await;
    assert_eq!(
        (&kept["products"][0]["id"], &kept["products"][0]["currency"]),
        (&json!("LICENCE"), &json!("USD"))
    );
    assert_eq!(kept["products"].as_array().map(Vec::len), Some(1), "{kept}");

    // Points are worth nothing told in euros: none are used, none earned.
    let (_, session) = shop.call("POST", "/api/v1/checkout/initiate", None).await;
    let mut submit = submit_body(session["checkoutSessionId"].as_str().expect("an id"), "PM-001");
    submit["promotionCodes"] = json!([]);
    let (status, order) = shop.call("POST", "/api/v1/checkout/submit", Some(&submit)).await;
    assert_eq!(status, 201, "{order}");
    assert_eq!(order["loyalty"]["pointsEarned"], 0, "{order}");

    // The shop leaves the euro: what is in it can be looked at and moved, and not bought.
    assert_eq!(shop.call("POST", "/api/v1/cart/items", Some(&item("LICENCE"))).await.0, 200);
    assert_eq!(put("EUR").await.0, 200);
    set(&shop, "currencies", json!({})).await;
    let (_, checked) = shop.call("POST", "/api/v1/cart/validate", None).await;
    assert_eq!(
        (&checked["isValid"], &checked["errors"][0]["message"]),
        (&json!(false), &json!("Product no longer available"))
    );
    problem(&shop.call("POST", "/api/v1/checkout/initiate", None).await, 422, "in EUR no more");
    assert_eq!(put("USD").await.0, 200);
    assert_eq!(shop.call("POST", "/api/v1/checkout/initiate", None).await.0, 201);
}

#[tokio::test(flavor = "multi_thread")]
async fn prices_in_other_currencies_go_out_and_in_with_the_catalog() {
    let shop = international().await;
    let sheet =
        async || shop.as_other(&admin(), "GET", "/api/v1/admin/catalog/export?format=csv", None).await.1;
    let before = sheet().await;
    let text = before.as_str().expect("CSV");
    assert!(text.contains("EUR=19.50|JPY=3000/3500"), "{text}");
    let client = reqwest::Client::builder().no_proxy().build().expect("a client");
    let import = async |body: String| {
        let url = format!("{}/api/v1/admin/catalog/import", shop.host.url);
        let sent = client.post(url).bearer_auth(admin()).header("content-type", "text/csv").body(body).send();
        let answer = sent.await.expect("an answer");
        (answer.status().as_u16(), answer.json::<Value>().await.expect("JSON"))
    };
    assert_eq!(import(text.to_owned()).await.0, 200);
    assert_eq!(sheet().await, before, "what goes out comes in");
    for (wrong, word) in [
        ("EUR=19.555", "at most 2 digits"),
        ("EUR=cheap", "price"),
        ("euro=1", "ISO 4217"),
        ("EUR=1|EUR=2", "one price in each currency"),
        ("USD=1", "other currencies than"),
        ("=1", "currency"),
    ] {
        let row = format!("id,sku,name,price,prices\nX,X,X,1,{wrong}\n");
        problem(&import(row).await, 422, word);
    }
    let gift =
        done(&shop, "POST", "/api/v1/admin/gift-cards", &json!({ "amount": 500, "currency": "JPY" })).await;
    assert_eq!((&gift["currency"], gift["balance"].to_string()), (&json!("JPY"), "500".to_owned()));
    let (status, told) = shop
        .as_other(
            &admin(),
            "POST",
            "/api/v1/admin/gift-cards",
            Some(&json!({ "amount": 5, "currency": "GBP" })),
        )
        .await;
    problem(&(status, told), 422, "this shop sells in");
}

#[tokio::test(flavor = "multi_thread")]
async fn statuses_are_called_as_the_merchant_calls_them_in_the_customers_language() {
    let shop = open().await;
    let words = json!({ "en": { "PROCESSING": "In our hands" }, "de": { "CONFIRMED": "Dankend erhalten" } });
    set(&shop, "statuses", words).await;
    let session = shop.session().await;
    let (status, order) =
        shop.call("POST", "/api/v1/checkout/submit", Some(&submit_body(&session, "PM-001"))).await;
    assert_eq!(status, 201, "{order}");
    let id = order["orderId"].as_str().expect("an id");
    let tracking = format!("/api/v1/orders/{id}/tracking");
    let begun = std::time::Instant::now();
    let mut told = look(&shop, &tracking).await;
    while told["status"] != "PROCESSING" {
        assert!(begun.elapsed() < till_tests::PATIENCE, "{told}");
        tokio::time::sleep(std::time::Duration::from_millis(50)).await;
        told = look(&shop, &tracking).await;
    }
    assert_eq!(told["statusText"], "In our hands", "{told}");
    let words = |told: &Value| -> Vec<String> {
        let steps = told["timeline"].as_array().expect("a timeline").iter();
        steps.map(|step| step["statusText"].as_str().expect("a text").to_owned()).collect()
    };
    assert!(words(&told).contains(&"Confirmed".to_owned()), "ours, where there is no other: {told}");
    let german = json!({ "locale": "de-AT" });
    let (status, kept) = shop.call("PUT", "/api/v1/customers/me/preferences", Some(&german)).await;
    assert_eq!(status, 200, "{kept}");
    let told = look(&shop, &format!("/api/v1/orders/{id}")).await;
    assert_eq!(told["statusText"], "In Vorbereitung", "{told}");
    assert!(words(&told).contains(&"Dankend erhalten".to_owned()), "{told}");
    let (status, refused) = {
        let (_, mut settings) = shop.as_other(&admin(), "GET", "/api/v1/admin/settings", None).await;
        settings["statuses"] = json!({ "en": { "SENT": "Sent" } });
        shop.as_other(&admin(), "PUT", "/api/v1/admin/settings", Some(&settings)).await
    };
    problem(&(status, refused), 422, "OUT_FOR_DELIVERY");
}
