//! Inventory: the ledger, other channels, low stock, and which warehouse an order leaves.

use std::time::Duration;

use serde_json::{Value, json};
use till_commerce::inventory::near::Point;
use till_commerce::inventory::{Policy, Warehouse};
use till_commerce::quote::Address;
use till_commerce::settings::{InventorySettings, Settings};
use till_commerce::{ItemWanted, Phase, ShopError, StockChange};
use till_tests::host::{submit_body, token_for};
use till_tests::{CUSTOMER, MERCHANT, SKU, TestTill, WAREHOUSE, customer};

use crate::http::{Shop, open, problem};

const INVENTORY: &str = "/api/v1/admin/inventory";

async fn ask(shop: &Shop, method: &str, path: &str, key: &str, body: Option<Value>) -> (u16, Value) {
    let admin = token_for("demo", "boss", "admin", 3600);
    let path = format!("{INVENTORY}{path}");
    shop.host.call_as(&admin, method, &path, key, body.as_ref()).await.expect("the host answers")
}

fn deltas(page: &Value) -> Vec<(String, i64, i64)> {
    let rows = page["movements"].as_array().expect("movements").iter();
    rows.map(|row| {
        let number = |name: &str| row[name].as_i64().expect("a number");
        (row["reason"].as_str().expect("a reason").to_owned(), number("delta"), number("onHand"))
    })
    .collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn every_change_of_stock_is_in_the_ledger_with_who_and_why() {
    let shop = open().await;
    let at = json!({ "sku": "SKU-ABC-001", "warehouse": "US-WEST-01" });
    let with = |more: Value| {
        let mut body = at.clone();
        body.as_object_mut().expect("an object").extend(more.as_object().expect("an object").clone());
        Some(body)
    };
    let receipt =
        || with(json!({ "delta": 20, "reason": "receipt", "reference": "DN-7", "note": "=two pallets" }));
    let first = ask(&shop, "POST", "/adjustments", "k-1", receipt()).await;
    assert_eq!(deltas(&first.1), [("receipt".to_owned(), 20, 1_020)], "{}", first.1);
    assert_eq!(ask(&shop, "POST", "/adjustments", "k-1", receipt()).await, first, "once under its key");
    let other = with(json!({ "delta": 21, "reason": "receipt" }));
    problem(&ask(&shop, "POST", "/adjustments", "k-1", other).await, 422, "key-reused");
    let moved = json!({ "sku": "SKU-ABC-001", "from": "US-WEST-01", "to": "US-EAST-01", "quantity": 15 });
    let moved = ask(&shop, "POST", "/transfers", "", Some(moved)).await.1;
    assert_eq!(deltas(&moved), [("transfer".to_owned(), -15, 1_005), ("transfer".to_owned(), 15, 15)]);
    assert_eq!(moved["movements"][0]["reference"], moved["movements"][1]["reference"]);
    let set = ask(&shop, "POST", "/adjustments", "", with(json!({ "onHand": 900 }))).await.1;
    assert_eq!(deltas(&set), [("set".to_owned(), -105, 900)], "{set}");
    for (body, word) in [
        (json!({ "delta": -901, "reason": "loss" }), "900 units"),
        (json!({ "delta": 1, "reason": "damage" }), "below 0"),
        (json!({ "delta": 1, "reason": "gift" }), "receipt"),
        (json!({ "delta": 0, "reason": "count" }), "not 0"),
        (json!({ "delta": 1, "onHand": 1, "reason": "count" }), "either"),
        (json!({ "onHand": -1 }), "negative"),
        (json!({ "onHand": 9_000_000_000_i64 }), "at most"),
        (json!({ "delta": 9_000_000_000_000_000_000_i64, "reason": "receipt" }), "delta"),
    ] {
        problem(&ask(&shop, "POST", "/adjustments", "", with(body)).await, 422, word);
    }
    let session = shop.session().await;
    let (status, order) =
        shop.call("POST", "/api/v1/checkout/submit", Some(&submit_body(&session, "PM-001"))).await;
    assert_eq!(status, 201, "{order}");
    let order = order["orderId"].as_str().expect("an order");
    let (_, sold) = ask(&shop, "GET", &format!("/movements?reference={order}"), "", None).await;
    assert_eq!(deltas(&sold), [("sale".to_owned(), -2, 898)]);
    assert_eq!(sold["movements"][0]["who"], CUSTOMER);

    let (mut path, mut seen) = ("/movements?sku=SKU-ABC-001&warehouse=US-WEST-01&limit=2".to_owned(), vec![]);
    loop {
        let (_, page) = ask(&shop, "GET", &path, "", None).await;
        seen.extend(deltas(&page).into_iter().map(|(reason, delta, _)| (reason, delta)));
        let Some(cursor) = page["nextCursor"].as_str() else { break };
        path = format!("/movements?sku=SKU-ABC-001&warehouse=US-WEST-01&limit=2&cursor={cursor}");
    }
    let told: Vec<(&str, i64)> = seen.iter().map(|(reason, delta)| (reason.as_str(), *delta)).collect();
    assert_eq!(told, [("sale", -2), ("set", -105), ("transfer", -15), ("receipt", 20), ("set", 1_000)]);
    assert_eq!(told.iter().map(|(_, delta)| delta).sum::<i64>(), 898);
    let (status, sheet) = ask(&shop, "GET", "/movements?format=csv", "", None).await;
    let sheet = sheet.as_str().expect("text");
    assert_eq!((status, sheet.lines().count()), (200, 1 + 7), "{sheet}");
    assert!(sheet.starts_with("id,at,sku,warehouseId,delta,onHand,reason,"), "{sheet}");

    let (_, low) = ask(&shop, "GET", "?low=true", "", None).await;
    assert_eq!(low["stock"], json!([]));
    let put = ask(&shop, "PUT", "/thresholds/SKU-ABC-001", "", Some(json!({ "lowAt": 15 }))).await;
    assert_eq!(put.0, 200, "{}", put.1);
    let (_, low) = ask(&shop, "GET", "?low=true&sku=SKU-ABC-001", "", None).await;
    assert_eq!(low["stock"][0]["warehouseId"], "US-EAST-01");
    assert_eq!((low["stock"].as_array().map(Vec::len), &low["stock"][0]["lowAt"]), (Some(1), &json!(15)));
    let (_, seen) = shop.call("GET", "/api/v1/inventory/SKU-ABC-001", None).await;
    let places = json!([{ "warehouseId": "US-EAST-01", "available": 15 }, { "warehouseId": "US-WEST-01", "available": 898 }]);
    assert_eq!(
        seen,
        json!({ "sku": "SKU-ABC-001", "stocked": true, "available": 913, "warehouses": places }),
        "and nothing that is a secret"
    );
    problem(&shop.call("GET", "/api/v1/inventory/NONE", None).await, 404, "NONE");
}

#[tokio::test(flavor = "multi_thread")]
async fn other_channels_hold_stock_all_or_none_and_end_it_once() {
    let shop = open().await;
    let wanted = |abc: u32, cab: u32| {
        Some(json!({ "reference": "POS-4-17", "items": [
            { "sku": "SKU-ABC-001", "quantity": abc }, { "sku": "SKU-CAB-001", "quantity": cab, "warehouse": "US-WEST-01" },
        ] }))
    };
    let short = ask(&shop, "POST", "/reservations", "r-1", wanted(1_001, 5_001)).await;
    problem(&short, 409, "stock-short");
    let lines = short.1["lines"].as_array().expect("lines");
    let told: Vec<(&Value, &Value)> = lines.iter().map(|line| (&line["sku"], &line["available"])).collect();
    assert_eq!(told, [(&json!("SKU-ABC-001"), &json!(1_000)), (&json!("SKU-CAB-001"), &json!(5_000))]);
    problem(&ask(&shop, "POST", "/reservations", "", wanted(1, 5_001)).await, 409, "SKU-CAB-001");
    let made = ask(&shop, "POST", "/reservations", "r-1", wanted(3, 4)).await;
    assert_eq!(
        (made.0, &made.1["status"]),
        (201, &json!("held")),
        "a refused one leaves its key free: {}",
        made.1
    );
    assert_eq!(
        made.1["items"][0],
        json!({ "sku": "SKU-ABC-001", "warehouseId": "US-WEST-01", "quantity": 3 })
    );
    assert_eq!(ask(&shop, "POST", "/reservations", "r-1", wanted(3, 4)).await, made);
    let (_, stock) = ask(&shop, "GET", "?sku=SKU-ABC-001", "", None).await;
    assert_eq!((&stock["stock"][0]["held"], &stock["stock"][0]["available"]), (&json!(3), &json!(997)));
    let path = format!("/reservations/{}", made.1["reservationId"].as_str().expect("an id"));
    for _ in 0..2 {
        let ended = ask(&shop, "POST", &format!("{path}/confirm"), "", None).await;
        assert_eq!((ended.0, &ended.1["status"]), (200, &json!("confirmed")), "{}", ended.1);
    }
    problem(&ask(&shop, "POST", &format!("{path}/release"), "", None).await, 409, "confirmed");
    let (_, sold) = ask(&shop, "GET", "/movements?reference=POS-4-17", "", None).await;
    assert_eq!(deltas(&sold).iter().map(|(_, delta, _)| *delta).sum::<i64>(), -7);
    let next = ask(&shop, "POST", "/reservations", "", wanted(1, 1)).await.1;
    let path = format!("/reservations/{}", next["reservationId"].as_str().expect("an id"));
    for _ in 0..2 {
        assert_eq!(ask(&shop, "POST", &format!("{path}/release"), "", None).await.1["status"], "released");
    }
    let (_, stock) = ask(&shop, "GET", "?sku=SKU-ABC-001", "", None).await;
    assert_eq!((&stock["stock"][0]["held"], &stock["stock"][0]["onHand"]), (&json!(0), &json!(997)));
    for (body, word) in [
        (json!({ "items": [] }), "1 to 200"),
        (json!({ "items": [{ "sku": "A", "quantity": 0 }] }), "quantity"),
        (json!({ "items": [{ "sku": "A", "quantity": 1 }], "ttl": 0 }), "86400"),
        (json!({ "items": [{ "sku": "A", "quantity": 1 }], "until": 0 }), "until"),
    ] {
        problem(&ask(&shop, "POST", "/reservations", "", Some(body)).await, 422, word);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn warehouses_are_described_closed_and_taken_away() {
    let shop = open().await;
    let west = json!({
        "name": "West", "priority": 7, "latitude": "37.7749", "longitude": "-122.419400",
        "address": { "street": ["1 Dock"], "city": "Oakland", "state": "CA", "zipCode": "94607", "country": "US" },
    });
    let (status, put) = ask(&shop, "PUT", "/warehouses/US-WEST-01", "", Some(west)).await;
    assert_eq!((status, &put["latitude"], &put["active"]), (200, &json!("37.774900"), &json!(true)), "{put}");
    assert_eq!(ask(&shop, "GET", "/warehouses/US-WEST-01", "", None).await, (200, put));
    problem(&ask(&shop, "DELETE", "/warehouses/US-WEST-01", "", None).await, 409, "transfer");
    ask(&shop, "PUT", "/warehouses/EMPTY", "", Some(json!({}))).await;
    let (_, page) = ask(&shop, "GET", "/warehouses?limit=1", "", None).await;
    assert_eq!((&page["warehouses"][0]["id"], &page["nextCursor"]), (&json!("EMPTY"), &json!("EMPTY")));
    assert_eq!(ask(&shop, "DELETE", "/warehouses/EMPTY", "", None).await.0, 204);
    problem(&ask(&shop, "GET", "/warehouses/EMPTY", "", None).await, 404, "EMPTY");
    for (body, word) in [
        (json!({ "latitude": "91", "longitude": "0" }), "-90 to 90"),
        (json!({ "latitude": "9" }), "longitude"),
        (json!({ "latitude": 9, "longitude": "0" }), "a text"),
        (json!({ "priority": -1 }), "1000000"),
    ] {
        problem(&ask(&shop, "PUT", "/warehouses/W", "", Some(body)).await, 422, word);
    }
    ask(&shop, "PUT", "/warehouses/US-WEST-01", "", Some(json!({ "active": false }))).await;
    let (_, seen) = shop.call("GET", "/api/v1/inventory/SKU-ABC-001", None).await;
    assert_eq!(seen["available"], 0, "what is closed sells nothing");
    let item = json!({ "productId": "PROD-12345", "quantity": 1 });
    problem(&shop.call("POST", "/api/v1/cart/items", Some(&item)).await, 400, "out of stock");
}

async fn with_policy(till: &TestTill, inventory: InventorySettings) {
    let settings = till.shop.settings(MERCHANT).await.expect("settings");
    till.shop.put_settings(MERCHANT, &Settings { inventory, ..settings }).await.expect("they are good");
}

async fn events_of(till: &TestTill, sku: &str) -> Vec<String> {
    while till.events.relay().await.expect("a relay") > 0 {}
    let log = till.events.log(MERCHANT, Some(sku), 0, 100).await.expect("a log");
    let events = log.iter().map(|(_, text)| serde_json::from_str::<Value>(text).expect("JSON"));
    events
        .map(|event| {
            assert_eq!((&event["subject"], &event["data"]["sku"]), (&json!(sku), &json!(sku)));
            format!("{} {}", event["type"].as_str().expect("a topic"), event["data"]["onHand"])
        })
        .collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn low_stock_is_told_when_it_gets_low_and_when_the_last_unit_is_gone() {
    let till = TestTill::start().await;
    till.stock_is(7).await;
    for units in [2, 2] {
        let session = till.session(CUSTOMER, units).await;
        let view = till.submit(&session.id, json!({ "shipping_method": "standard" })).await;
        assert_eq!(view.phase, Phase::Confirmed, "{:?}", view.problem);
    }
    assert_eq!(events_of(&till, SKU).await, ["inventory.low 5"], "at 7, 5 and 3 units");
    let by = |delta| StockChange::By { sku: SKU.to_owned(), warehouse: WAREHOUSE.to_owned(), delta };
    for (delta, reason) in [(-3, "loss"), (9, "receipt"), (-9, "damage")] {
        let change = till.shop.change_stock(MERCHANT, "clerk", by(delta), (reason, "", ""), None);
        change.await.expect("it can be changed");
    }
    let all = ["inventory.low 5", "inventory.out 0", "inventory.low 0", "inventory.out 0"];
    assert_eq!(events_of(&till, SKU).await, all);
    assert_eq!(till.store.read().await.expect("read").ledger_gaps(MERCHANT).await.expect("a ledger"), []);
}

#[tokio::test(flavor = "multi_thread")]
async fn what_a_reservation_holds_is_back_when_its_time_has_run_out() {
    let till = TestTill::start().await;
    till.stock_is(4).await;
    let item = || vec![ItemWanted { sku: SKU.to_owned(), quantity: 3, warehouse: None }];
    let made = till.shop.reserve(MERCHANT, "pos", item(), (900, ""), None).await.expect("there is enough");
    assert!(matches!(
        till.shop.reserve(MERCHANT, "pos", item(), (900, ""), None).await,
        Err(ShopError::Short(short)) if short.len() == 1 && short[0].available == 1
    ));
    till.advance(Duration::from_secs(899)).await;
    assert_eq!(till.shop.expire_reservations().await.expect("a look"), 0);
    assert_eq!(till.stock().await, (4, 3));
    till.advance(Duration::from_secs(1)).await;
    assert_eq!(till.shop.expire_reservations().await.expect("a look"), 1);
    assert_eq!(till.stock().await, (4, 0));
    let late = till.shop.end_reservation(MERCHANT, "pos", &made.row.id, "confirmed").await;
    assert!(matches!(late, Err(ShopError::Refused { why }) if why.contains("expired")));
    till.balanced().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn shoppers_and_other_channels_race_for_ten_units_and_ten_are_sold() {
    let till = TestTill::start().await;
    let shoppers: Vec<String> = (0..16).map(|n| format!("CUST-{n:03}")).collect();
    let mut sessions = Vec::new();
    for shopper in &shoppers {
        till.shop.put_customer(MERCHANT, &customer(shopper), 0).await.expect("a customer");
        sessions.push(till.session(shopper, 1).await);
    }
    till.stock_is(10).await;
    let buys = shoppers.iter().zip(&sessions).map(|(shopper, session)| async {
        let input = json!({ "shipping_method": "standard" });
        let view = till.submit_as(shopper, &session.id, input).await.expect("an answer");
        i64::from(view.phase == Phase::Confirmed)
    });
    let takes = (0..16).map(|_| async {
        let item = vec![ItemWanted { sku: SKU.to_owned(), quantity: 1, warehouse: None }];
        match till.shop.reserve(MERCHANT, "pos", item, (900, "POS"), None).await {
            Ok(made) => {
                let ended = till.shop.end_reservation(MERCHANT, "pos", &made.row.id, "confirmed").await;
                assert_eq!(ended.expect("it holds").row.state, "confirmed");
                1
            }
            Err(ShopError::Short(_)) => 0,
            Err(error) => panic!("{error}"),
        }
    });
    let (bought, taken) = tokio::join!(futures::future::join_all(buys), futures::future::join_all(takes));
    assert_eq!(bought.iter().sum::<i64>() + taken.iter().sum::<i64>(), 10);
    assert_eq!(till.stock().await, (0, 0));
    till.balanced().await;
}

async fn lies(till: &TestTill, warehouse: &str, units: i64) {
    till.shop.put_stock(MERCHANT, SKU, warehouse, units).await.expect("stock");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_divided_line_is_held_sold_and_shipped_by_warehouse() {
    let till = TestTill::start().await;
    with_policy(&till, InventorySettings { policy: Policy::Split, ..InventorySettings::default() }).await;
    till.stock_is(2).await;
    lies(&till, "US-EAST-01", 1).await;
    let session = till.session(CUSTOMER, 3).await;
    let groups = session.quote.as_ref().expect("a quote").shipping.len();
    assert_eq!(groups, 2, "one parcel from each: {:?}", session.problem);
    let view = till.submit(&session.id, json!({ "shipping_method": "standard" })).await;
    assert_eq!(view.phase, Phase::Confirmed, "{:?}", view.problem);
    let item = &till.orders(CUSTOMER).await[0].receipt.items[0];
    assert_eq!(item.places(), [(Some("US-WEST-01"), 2), (Some("US-EAST-01"), 1)]);
    let rows = till.store.read().await.expect("read").stock(MERCHANT, SKU).await.expect("stock");
    assert!(rows.iter().all(|row| (row.on_hand, row.held) == (0, 0)), "{rows:?}");
    till.balanced().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn an_order_leaves_the_nearest_warehouse_that_has_all_of_it() {
    let till = TestTill::start().await;
    till.stock_is(9).await;
    for (id, region, code, at, units) in [
        ("RENO", "NV", "89501", (39_530_000, -119_810_000), 2),
        ("OAKLAND", "CA", "94607", (37_800_000, -122_270_000), 1),
        (WAREHOUSE, "NY", "10001", (40_710_000, -74_010_000), 9),
    ] {
        let address = Address {
            street: vec!["1 Dock".to_owned()],
            city: id.to_owned(),
            region: region.to_owned(),
            postal_code: code.to_owned(),
            country: "US".to_owned(),
            ..Address::default()
        };
        let at = Some(Point { lat_e6: at.0, lon_e6: at.1 });
        let house = Warehouse { address, at, ..Warehouse::unknown(id) };
        till.shop.put_warehouse(MERCHANT, &house).await.expect("a warehouse");
        lies(&till, id, units).await;
    }
    let middle = Point { lat_e6: 37_770_000, lon_e6: -122_420_000 };
    let near = InventorySettings {
        policy: Policy::Nearest,
        centroids: [("US:941".to_owned(), middle)].into(),
        ..InventorySettings::default()
    };
    with_policy(&till, near).await;
    for (units, from) in [(1, "OAKLAND"), (2, "RENO"), (3, WAREHOUSE)] {
        let session = till.session(CUSTOMER, units).await;
        let line = &session.inputs.lines[0];
        assert_eq!(line.places(), [(Some(from), u32::try_from(units).expect("small"))]);
        let origins: Vec<&str> = session.inputs.warehouses.keys().map(String::as_str).collect();
        assert_eq!(origins, [from], "components know where it leaves");
        till.shop.clear_cart(MERCHANT, CUSTOMER, None).await.expect("an empty cart");
    }
}
