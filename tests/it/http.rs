//! The real binary from outside: the worked example, and everything a client can get wrong.

use serde_json::{Value, json};
use till_tests::Simulator;
use till_tests::host::{Host, MORE, submit_body, token, token_for};

pub(crate) struct Shop {
    pub(crate) host: Host,
    pub(crate) simulator: Simulator,
    pub(crate) folder: tempfile::TempDir,
}

pub(crate) async fn open() -> Shop {
    open_with("").await
}

/// The same with more of the configuration.
pub(crate) async fn open_with(more: &str) -> Shop {
    let simulator = Simulator::start();
    let folder = tempfile::tempdir().expect("a temporary folder");
    till_tests::template(folder.path(), &simulator.url).await;
    std::fs::write(folder.path().join(MORE), more).expect("write the configuration");
    Shop { host: Host::start(folder.path(), None), simulator, folder }
}

impl Shop {
    pub(crate) async fn call(&self, method: &str, path: &str, body: Option<&Value>) -> (u16, Value) {
        self.host.call(method, path, "", body).await.expect("the host answers")
    }

    pub(crate) async fn as_other(
        &self,
        token: &str,
        method: &str,
        path: &str,
        body: Option<&Value>,
    ) -> (u16, Value) {
        self.host.call_as(token, method, path, "", body).await.expect("the host answers")
    }

    pub(crate) async fn session(&self) -> String {
        let item = json!({ "productId": "PROD-12345", "quantity": 2 });
        let (status, body) = self.call("POST", "/api/v1/cart/items", Some(&item)).await;
        assert_eq!(status, 200, "{body}");
        let (status, body) = self.call("POST", "/api/v1/checkout/initiate", None).await;
        assert_eq!(status, 201, "{body}");
        body["checkoutSessionId"].as_str().expect("an id").to_owned()
    }

    /// Stops the host and starts it again on the same database.
    pub(crate) fn restart(&mut self) {
        self.host.restart(self.folder.path());
    }

    /// The same, to be ended at a point.
    pub(crate) fn restart_until(&mut self, point: &str) {
        self.host.restart_until(self.folder.path(), Some(point));
    }

    /// The same, so many seconds later.
    pub(crate) fn restart_ahead(&mut self, seconds: u64) {
        self.host.restart_ahead(self.folder.path(), seconds);
    }

    pub(crate) async fn alive(&self) {
        assert_eq!(self.call("GET", "/healthz", None).await.0, 200, "the host is unharmed");
    }
}

/// A problem of RFC 9457: status, code and words, nothing of the inside.
pub(crate) fn problem(answer: &(u16, Value), status: u16, word: &str) {
    let (found, body) = answer;
    assert_eq!(*found, status, "{body}");
    assert_eq!(body["status"], status, "{body}");
    let kind = body["type"].as_str().unwrap_or_default();
    assert!(kind.starts_with("/problems/"), "{body}");
    let text = body.to_string();
    assert!(text.contains(word), "no `{word}` in {text}");
    assert!(!text.contains("sqlite") && !text.contains("panicked"), "{text}");
}

#[tokio::test(flavor = "multi_thread")]
async fn the_worked_example_over_http_is_exact_to_the_byte() {
    let shop = open().await;
    let session = shop.session().await;
    let mut body = submit_body(&session, "PM-001");
    body["loyaltyPointsToUse"] = json!(500);
    let client = reqwest::Client::builder().no_proxy().build().expect("a client");
    let answer = client
        .post(format!("{}/api/v1/checkout/submit", shop.host.url))
        .bearer_auth(token("CUST-12345", ""))
        .header("content-type", "application/json")
        .body(body.to_string())
        .send()
        .await
        .expect("an answer");
    assert_eq!(answer.status(), 201);
    let text = answer.text().await.expect("text");
    for part in [
        r#""status":"CONFIRMED""#,
        r#""subtotal":499.98"#,
        r#""code":"SUMMER2024","amount":75.00"#,
        r#""pointsUsed":500,"amount":5.00"#,
        r#""totalDiscounts":80.00"#,
        r#""shipping":15.99"#,
        r#""tax":35.20"#,
        r#""total":471.17"#,
        r#""pointsEarned":471"#,
        r#""newBalance":1221"#,
        r#""status":"COMPLETED""#,
    ] {
        assert!(text.contains(part), "no {part} in {text}");
    }
    let order: Value = serde_json::from_str(&text).expect("JSON");
    let (status, read) = shop
        .call("GET", &format!("/api/v1/orders/{}", order["orderId"].as_str().expect("an id")), None)
        .await;
    assert_eq!(status, 200);
    assert_eq!(read["timeline"].as_array().map(Vec::len), Some(2), "{read}");
    let stages: Vec<&str> =
        read["trace"].as_array().expect("a trace").iter().filter_map(|t| t["stage"].as_str()).collect();
    for stage in ["price", "promotions", "points", "shipping", "tax"] {
        assert!(stages.contains(&stage), "{stages:?}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn bad_carts_are_refused_with_the_field_and_the_limit() {
    let shop = open().await;
    for quantity in [json!(0), json!(-1), json!(1_000_000_000), json!("two"), json!(1.5)] {
        let item = json!({ "productId": "PROD-12345", "quantity": quantity });
        let answer = shop.call("POST", "/api/v1/cart/items", Some(&item)).await;
        assert!(matches!(answer.0, 400 | 422), "{quantity}: {}", answer.1);
        problem(&answer, answer.0, "quantity");
    }
    let item = json!({ "productId": "PROD-12345", "quantity": 1, "price": 1 });
    problem(&shop.call("POST", "/api/v1/cart/items", Some(&item)).await, 422, "price");
    let item = json!({ "productId": "NOTHING", "quantity": 1 });
    problem(&shop.call("POST", "/api/v1/cart/items", Some(&item)).await, 404, "NOTHING");
    let item = json!({ "productId": "PROD-12345", "quantity": 5_000 });
    problem(&shop.call("POST", "/api/v1/cart/items", Some(&item)).await, 400, "1000");
    problem(&shop.call("PUT", "/api/v1/cart/items/none", Some(&json!({ "quantity": 1 }))).await, 404, "none");
    problem(&shop.call("POST", "/api/v1/checkout/initiate", None).await, 400, "cart");
    let (_, cart) = shop.call("GET", "/api/v1/cart", None).await;
    let items = cart["cart"]["items"].as_array().or_else(|| cart["items"].as_array()).expect("items");
    assert!(items.is_empty(), "nothing of all that is in the cart: {cart}");
    shop.alive().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn broken_requests_are_told_what_is_broken() {
    let shop = open().await;
    let client = reqwest::Client::builder().no_proxy().build().expect("a client");
    let post = |body: Vec<u8>, kind: &'static str| {
        client
            .post(format!("{}/api/v1/cart/items", shop.host.url))
            .bearer_auth(token("CUST-12345", ""))
            .header("content-type", kind)
            .body(body)
            .send()
    };
    let answer = post(b"{\"productId\": ".to_vec(), "application/json").await.expect("an answer");
    assert_eq!(answer.status(), 400);
    let answer = post(b"productId=1".to_vec(), "text/plain").await.expect("an answer");
    assert_eq!(answer.status(), 415);
    // The host may hang up on 50 MB before all of it was sent; what it says before is 413.
    if let Ok(answer) = post(vec![b' '; 50 << 20], "application/json").await {
        assert_eq!(answer.status(), 413);
    }
    problem(&shop.call("GET", "/api/v1/nowhere", None).await, 404, "route");
    problem(&shop.call("GET", "/api/v1/catalog/products/a%00b", None).await, 400, "NUL");
    problem(&shop.call("GET", "/api/v1/catalog/products?q=%00", None).await, 422, "NUL");
    let item = json!({ "productId": "a\0b", "quantity": 1 });
    problem(&shop.call("POST", "/api/v1/cart/items", Some(&item)).await, 422, "NUL");
    let (status, document) = shop.call("GET", "/openapi.json", None).await;
    assert_eq!(status, 200);
    assert!(document["openapi"].as_str().is_some_and(|v| v.starts_with("3.1")), "{document}");
    shop.alive().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn nobody_sees_what_is_not_theirs() {
    let shop = open().await;
    let session = shop.session().await;
    let path = format!("/api/v1/checkout/{session}");
    let other = token("CUST-OTHER", "");
    problem(&shop.as_other(&other, "GET", &path, None).await, 404, &session);
    let body = submit_body(&session, "PM-001");
    problem(&shop.as_other(&other, "POST", "/api/v1/checkout/submit", Some(&body)).await, 404, &session);
    let foreign = token_for("other-shop", "CUST-12345", "", 3_600);
    problem(&shop.as_other(&foreign, "GET", &path, None).await, 404, &session);
    let expired = token_for("demo", "CUST-12345", "", -3_600);
    problem(&shop.as_other(&expired, "GET", &path, None).await, 401, "expired");
    let mut forged = token("CUST-12345", "");
    forged.truncate(forged.len() - 6);
    forged.push_str("AAAAAA");
    problem(&shop.as_other(&forged, "GET", &path, None).await, 401, "token");
    problem(&shop.as_other("", "GET", &path, None).await, 401, "");
    let push = json!({ "slot": "promotion", "wasmBase64": "AGFzbQ==" });
    problem(&shop.call("POST", "/api/v1/admin/components", Some(&push)).await, 403, "admin");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_submit_attaches_conflicts_or_is_declined_as_it_should() {
    let shop = open().await;
    let session = shop.session().await;
    let declined = shop.call("POST", "/api/v1/checkout/submit", Some(&submit_body(&session, "PM-002"))).await;
    problem(&declined, 400, "payment-declined");
    let (_, orders) = shop.call("GET", "/api/v1/orders", None).await;
    assert_eq!(orders["orders"][0]["status"], "PAYMENT_FAILED", "{orders}");
    let mut wrong = submit_body(&session, "PM-001");
    wrong["expectedTotal"] = json!(1.00);
    problem(&shop.call("POST", "/api/v1/checkout/submit", Some(&wrong)).await, 409, "quote-changed");
    let good = submit_body(&session, "PM-001");
    let (status, first) = shop.call("POST", "/api/v1/checkout/submit", Some(&good)).await;
    assert_eq!(status, 201, "{first}");
    let (status, again) = shop.call("POST", "/api/v1/checkout/submit", Some(&good)).await;
    assert_eq!((status, &again["orderId"]), (201, &first["orderId"]), "the same submit attaches");
    let mut other = good.clone();
    other["notes"] = json!("something else");
    problem(&shop.call("POST", "/api/v1/checkout/submit", Some(&other)).await, 409, "other");
}

#[tokio::test(flavor = "multi_thread")]
async fn bad_components_are_refused_by_name_and_the_active_one_stays() {
    use base64::Engine as _;
    let shop = open().await;
    let admin = token("admin", "admin operator");
    let encode = |bytes: &[u8]| base64::engine::general_purpose::STANDARD.encode(bytes);
    let (_, before) = shop.as_other(&admin, "GET", "/api/v1/admin/components", None).await;
    let promotions = till_tests::guest("promotions");
    for (slot, wasm, config, word) in [
        ("promotion", b"#!/bin/sh".to_vec(), json!({}), "component"),
        ("tax", promotions.clone(), json!({}), "tax"),
        ("promotion", till_tests::guest("hostile-sockets"), json!({}), "wasi:sockets"),
        ("promotion", promotions, json!({ "promotions": "none" }), "promotions"),
        ("toaster", b"x".to_vec(), json!({}), "slot"),
    ] {
        let body = json!({ "slot": slot, "config": config, "wasmBase64": encode(&wasm) });
        let answer = shop.as_other(&admin, "POST", "/api/v1/admin/components", Some(&body)).await;
        assert!((400..500).contains(&answer.0), "{slot}: {}", answer.1);
        problem(&answer, answer.0, word);
    }
    let (_, after) = shop.as_other(&admin, "GET", "/api/v1/admin/components", None).await;
    assert_eq!(before, after);
    shop.alive().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_workflow_is_a_resource_under_the_clients_id() {
    let shop = open().await;
    let path = "/api/v1/workflows/bench-8/instances/mine";
    let body = json!({ "inputs": { "cart": "c" } });
    let (status, made) = shop.call("PUT", path, Some(&body)).await;
    assert_eq!(status, 201, "{made}");
    assert_eq!(shop.call("PUT", path, Some(&body)).await.0, 200);
    problem(&shop.call("PUT", path, Some(&json!({ "inputs": { "cart": "d" } }))).await, 409, "mine");
    problem(&shop.call("PUT", path, Some(&json!({ "inputs": { "total": 1 } }))).await, 422, "total");
    let (status, journal) = shop.call("GET", &format!("{path}/journal"), None).await;
    assert_eq!(status, 200, "{journal}");
    assert!(journal.to_string().contains("started"), "{journal}");
    let forged = shop.call("POST", &format!("{path}/signals/payment.authorized"), Some(&json!({}))).await;
    assert!((400..500).contains(&forged.0), "{}", forged.1);
    problem(&shop.call("PUT", "/api/v1/workflows/none/instances/x", Some(&json!({}))).await, 404, "none");
    problem(&shop.call("GET", "/api/v1/workflows/bench-8/instances/absent", None).await, 404, "absent");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_repeated_add_under_one_key_is_put_in_once() {
    let shop = open().await;
    let add = async |key: &str, body: &Value| {
        shop.host.call("POST", "/api/v1/cart/items", key, Some(body)).await.expect("the host answers")
    };
    let units = |answer: &(u16, Value)| {
        assert_eq!(answer.0, 200, "{}", answer.1);
        answer.1["cart"]["totals"]["itemCount"].as_u64().expect("a number")
    };
    let two = json!({ "productId": "PROD-12345", "quantity": 2 });
    let (first, second) = tokio::join!(add("k-1", &two), add("k-1", &two));
    assert_eq!((units(&first), units(&second)), (2, 2), "sent at the same time");
    assert_eq!(units(&add("k-1", &two).await), 2, "sent again");

    let three = json!({ "productId": "PROD-12345", "quantity": 3 });
    problem(&add("k-1", &three).await, 422, "key-reused");
    assert_eq!(units(&shop.call("GET", "/api/v1/cart", None).await), 2);
    assert_eq!(units(&add("k-2", &three).await), 5);
    assert_eq!(units(&add("k-1", &two).await), 5, "a repeated one answers the cart of now");

    let much = json!({ "productId": "PROD-20001", "quantity": 5_001 });
    problem(&add("k-3", &much).await, 400, "5000");
    assert_eq!(units(&add("k-3", &json!({ "productId": "PROD-20001", "quantity": 1 })).await), 6);

    let other = token("CUST-OTHER", "");
    let theirs = shop.host.call_as(&other, "POST", "/api/v1/cart/items", "k-1", Some(&three)).await;
    assert_eq!(units(&theirs.expect("the host answers")), 3, "keys are one customer's");
    problem(&add("two words", &two).await, 400, "Idempotency-Key");
}

#[tokio::test(flavor = "multi_thread")]
async fn settings_that_are_none_and_currencies_that_do_not_fit_are_named() {
    let shop = open().await;
    let admin = token("admin", "admin");
    let put = async |path: &str, body: Value| {
        shop.as_other(&admin, "PUT", &format!("/api/v1/admin/{path}"), Some(&body)).await
    };
    let (_, before) = shop.as_other(&admin, "GET", "/api/v1/admin/settings", None).await;
    assert_eq!(before["currency"], "USD");
    for (body, named) in [
        (json!({ "session_ttl_s": 60 }), "session_ttl_s"),
        (json!({ "roundng": "half_up" }), "roundng"),
        (json!({ "currency": "ZZZ" }), "ZZZ"),
        (json!({ "currency": 840 }), "currency"),
    ] {
        problem(&put("settings", body).await, 422, named);
    }
    let (_, after) = shop.as_other(&admin, "GET", "/api/v1/admin/settings", None).await;
    assert_eq!(before, after);

    let field = |answer: (u16, Value), name: &str| {
        problem(&answer, 422, name);
        let errors = answer.1["errors"].as_array().expect("errors");
        assert!(errors.iter().any(|e| e["field"] == name), "{}", answer.1);
    };
    let product = |currency: &str, price: Value| json!({ "sku": "SKU-X", "name": "X", "stocked": false, "currency": currency, "price": price });
    field(put("products/PROD-X", product("EURO", json!(1))).await, "currency");
    field(put("products/PROD-X", product("JPY", json!(1.50))).await, "price");
    let item = json!({ "productId": "PROD-X", "quantity": 1 });
    problem(&shop.call("POST", "/api/v1/cart/items", Some(&item)).await, 404, "unknown-product");
    assert_eq!(put("products/PROD-X", product("EUR", json!(1.50))).await.0, 200);
    let euros = shop.call("POST", "/api/v1/cart/items", Some(&item)).await;
    assert!(euros.1.to_string().contains("EUR"), "{}", euros.1);
    field(euros, "productId");
    let item = json!({ "productId": "PROD-12345", "quantity": 1, "currency": "EUR" });
    field(shop.call("POST", "/api/v1/cart/items", Some(&item)).await, "currency");

    let session = shop.session().await;
    let mut body = submit_body(&session, "PM-001");
    body["expectedTotal"] = json!(471.171);
    field(shop.call("POST", "/api/v1/checkout/submit", Some(&body)).await, "expectedTotal");
    body["expectedTotal"] = json!({ "amount": 471.17, "currency": "EUR" });
    field(shop.call("POST", "/api/v1/checkout/submit", Some(&body)).await, "expectedTotal");

    // The shop goes over to euros while dollars lie in the cart: no dollar becomes a euro.
    assert_eq!(put("settings", json!({ "currency": "EUR" })).await.0, 200);
    let mixed = shop.call("POST", "/api/v1/checkout/initiate", None).await;
    assert!(mixed.1.to_string().contains("USD"), "{}", mixed.1);
    field(mixed, "cart.currency");
    shop.alive().await;
}
