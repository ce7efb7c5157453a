//! Stock: what is left, what is promised, and the warehouse that things leave.

use serde_json::json;

use super::{Outside, put_all, text};

const INVENTORY: &str = "/api/v1/admin/inventory";

#[tokio::test(flavor = "multi_thread")]
async fn another_channel_holds_units_until_it_takes_them_gives_them_back_or_waits_too_long() {
    let mut out = Outside::open().await;
    let units = async |out: &Outside| {
        let row = out.read(&format!("{INVENTORY}?sku=SKU-ABC-001")).await["stock"][0].clone();
        (row["onHand"].as_i64().expect("units"), row["held"].as_i64().expect("units"))
    };
    let reserve = async |out: &Outside| {
        let wanted = json!({ "ttl": 900, "reference": "POS-4-17", "items": [{ "sku": "SKU-ABC-001", "quantity": 4 }] });
        text(&out.done("POST", &format!("{INVENTORY}/reservations"), wanted).await["reservationId"])
    };
    let [sold, returned, forgotten] = [reserve(&out).await, reserve(&out).await, reserve(&out).await];
    assert_eq!(units(&out).await, (1_000, 12));
    assert_eq!(out.look("/api/v1/inventory/SKU-ABC-001").await["available"], 988);
    let end = async |out: &Outside, id: &str, how: &str| {
        let (status, told) = out.admin("POST", &format!("{INVENTORY}/reservations/{id}/{how}"), None).await;
        (status, told["status"].clone())
    };
    assert_eq!(end(&out, &sold, "confirm").await, (200, json!("confirmed")));
    assert_eq!(end(&out, &returned, "release").await, (200, json!("released")));
    assert_eq!(units(&out).await, (996, 4));
    let ledger = out.read(&format!("{INVENTORY}/movements?reference=POS-4-17")).await;
    assert_eq!(ledger["movements"].as_array().map(Vec::len), Some(1), "{ledger}");
    assert_eq!(
        (&ledger["movements"][0]["delta"], &ledger["movements"][0]["who"]),
        (&json!(-4), &json!("ann"))
    );

    out.shop.restart_ahead(901);
    out.until(&format!("{INVENTORY}/reservations/{forgotten}"), |one| one["status"] == "expired").await;
    assert_eq!(units(&out).await, (996, 0));
    assert_eq!(end(&out, &forgotten, "confirm").await.0, 409, "it is too late");
}

#[tokio::test(flavor = "multi_thread")]
async fn an_order_leaves_the_warehouses_that_the_policy_says() {
    let out = Outside::open().await;
    for (id, state, code, at, units) in [
        ("RENO", "NV", "89501", ("39.53", "-119.81"), 2),
        ("OAKLAND", "CA", "94607", ("37.80", "-122.27"), 3),
        ("US-WEST-01", "NY", "10001", ("40.71", "-74.01"), 6),
    ] {
        let house = json!({
            "name": id, "latitude": at.0, "longitude": at.1,
            "address": { "street": ["1 Dock"], "city": id, "state": state, "zipCode": code, "country": "US" },
        });
        out.done("PUT", &format!("{INVENTORY}/warehouses/{id}"), house).await;
        out.done("PUT", &format!("/api/v1/admin/stock/SKU-ABC-001/{id}"), json!({ "onHand": units })).await;
    }
    // So many more than the two of each session, so that no warehouse has all of them.
    for (policy, more, from) in [
        ("nearest", 0, vec!["OAKLAND 2"]),
        ("most_stock", 0, vec!["US-WEST-01 2"]),
        ("split", 3, vec!["RENO 1", "US-WEST-01 4"]),
    ] {
        let mut inventory =
            json!({ "centroids": { "US:941": { "lat_e6": 37_770_000, "lon_e6": -122_420_000 } } });
        put_all(&mut inventory, &json!({ "policy": policy }));
        out.set("inventory", inventory).await;
        if more > 0 {
            out.add(more).await;
        }
        let order = out.buy(json!({})).await;
        let parcels = out.parcels(&order, from.len()).await;
        let mut left: Vec<String> = parcels
            .iter()
            .map(|one| format!("{} {}", text(&one["warehouse"]), one["items"][0]["quantity"]))
            .collect();
        left.sort();
        assert_eq!(left, from, "{policy}: {parcels:?}");
    }
    let all = out.look("/api/v1/inventory/SKU-ABC-001").await;
    assert_eq!(all["available"], 2, "one in Reno, one in Oakland: {all}");
}

#[tokio::test(flavor = "multi_thread")]
async fn stock_that_gets_low_is_told_and_a_cart_is_told_what_is_left() {
    let out = Outside::open().await;
    let put = "/api/v1/admin/stock/SKU-ABC-001/US-WEST-01";
    out.done("PUT", "/api/v1/admin/inventory/thresholds/SKU-ABC-001", json!({ "lowAt": 3 })).await;
    out.done("PUT", put, json!({ "onHand": 4 })).await;
    let (status, order) = out.submit(json!({})).await;
    assert_eq!(status, 201, "{order}");
    out.when("low stock is told", |out| out.heard("inventory.low") == 1).await;
    let moves = "/api/v1/admin/inventory/movements?sku=SKU-ABC-001";
    let (_, ledger) = out.admin("GET", moves, None).await;
    assert!(ledger.to_string().contains(&text(&order["orderId"])), "{ledger}");

    // Two are in the cart, one is left.
    let item = json!({ "productId": "PROD-12345", "quantity": 2 });
    assert_eq!(out.shop.call("POST", "/api/v1/cart/items", Some(&item)).await.0, 200);
    out.done("PUT", put, json!({ "onHand": 1 })).await;
    let (_, told) = out.shop.call("POST", "/api/v1/cart/validate", None).await;
    assert_eq!(told["warnings"][0]["message"], "Only 1 items available", "{told}");
    assert_eq!(told["updatedItems"][0]["quantity"], 1, "{told}");
}
