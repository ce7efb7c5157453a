//! Components that attack the host, pushed and used over HTTP through the real binary.

use base64::Engine as _;
use serde_json::{Value, json};
use till_tests::host::{submit_body, token, token_for};

use crate::http::{Shop, open, problem};

impl Shop {
    async fn push(&self, guest: &str, config: Value) {
        let wasm = base64::engine::general_purpose::STANDARD.encode(till_tests::guest(guest));
        let body = json!({
            "slot": "pricing", "config": config, "wasmBase64": wasm,
            "skipConformance": true, "why": "it attacks, on purpose",
        });
        let admin = token("admin", "admin");
        let (status, body) = self.as_other(&admin, "POST", "/api/v1/admin/components", Some(&body)).await;
        assert_eq!(status, 201, "{body}");
    }
}

/// A merchant on the same host who sells one thing for 10.00.
pub(crate) async fn neighbour(shop: &Shop) {
    let admin = token_for("other", "admin", "admin", 3_600);
    let product = json!({ "sku": "SKU-N", "name": "Notebook", "price": 10.00, "stocked": false });
    for (path, body) in [("settings", json!({})), ("products/PROD-N", product)] {
        let (status, body) =
            shop.as_other(&admin, "PUT", &format!("/api/v1/admin/{path}"), Some(&body)).await;
        assert_eq!(status, 200, "{body}");
    }
}

/// The other merchant's shopper gets a price.
pub(crate) async fn neighbour_is_served(shop: &Shop, customer: &str) {
    let shopper = token_for("other", customer, "", 3_600);
    let item = json!({ "productId": "PROD-N", "quantity": 3 });
    let (status, body) = shop.as_other(&shopper, "POST", "/api/v1/cart/items", Some(&item)).await;
    assert_eq!(status, 200, "{body}");
    let (status, body) = shop.as_other(&shopper, "POST", "/api/v1/checkout/initiate", None).await;
    assert_eq!(status, 201, "{body}");
    assert_eq!(body["quote"]["totals"]["total"].to_string(), "30.0", "{body}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_component_that_loops_or_eats_memory_names_its_limit_and_hurts_nobody_else() {
    let shop = open().await;
    neighbour(&shop).await;
    // Started before: it keeps the component it started with.
    let kept = shop.session().await;
    for (attack, named) in [("loop", "fuel"), ("memory", "memory")] {
        shop.push("hostile", json!(attack)).await;
        let (begun, ()) = tokio::join!(
            shop.call("POST", "/api/v1/checkout/initiate", None),
            neighbour_is_served(&shop, attack)
        );
        assert_eq!(begun.0, 201, "{}", begun.1);
        let told = &begun.1["problem"];
        assert_eq!(
            (&told["code"], &begun.1["quote"]),
            (&json!("component-failed"), &Value::Null),
            "{}",
            begun.1
        );
        assert!(told["text"].as_str().is_some_and(|text| text.contains(named)), "{attack}: {told}");
        let session = begun.1["checkoutSessionId"].as_str().expect("an id").to_owned();
        let body = submit_body(&session, "PM-001");
        let second = format!("{attack}-2");
        let (refused, ()) = tokio::join!(
            shop.call("POST", "/api/v1/checkout/submit", Some(&body)),
            neighbour_is_served(&shop, &second)
        );
        problem(&refused, 502, "component-failed");
        let detail = refused.1["detail"].as_str().unwrap_or_default();
        assert!(detail.contains(named), "{attack}: {}", refused.1);
        let (status, body) = shop.call("POST", &format!("/api/v1/checkout/{session}/cancel"), None).await;
        assert_eq!((status, &body["status"]), (200, &json!("cancelled")), "{body}");
    }
    assert_eq!(shop.simulator.charges().await, Vec::<String>::new());

    let config = till_tests::demo_config("price-list");
    shop.push("price-list", config).await;
    let (status, body) = shop.call("POST", "/api/v1/checkout/initiate", None).await;
    assert_eq!(status, 201, "{body}");
    let session = body["checkoutSessionId"].as_str().expect("an id").to_owned();
    let order = shop.call("POST", "/api/v1/checkout/submit", Some(&submit_body(&session, "PM-001"))).await;
    assert_eq!((order.0, &order.1["status"]), (201, &json!("CONFIRMED")), "{}", order.1);
    let (_, body) = shop.call("GET", &format!("/api/v1/checkout/{kept}"), None).await;
    assert_eq!(body["status"], "editable", "{body}");
    shop.alive().await;
}
