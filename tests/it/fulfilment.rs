//! Parcels: booked once whatever the carrier does, followed to the door, told to shopper and merchant.

use std::time::{Duration, Instant};

use serde_json::{Value, json};
use till_commerce::cart::NewItem;
use till_commerce::catalog::Product;
use till_commerce::checkout::Order;
use till_commerce::fulfilment::{FULFILMENT, Scan, ScanKind, status};
use till_commerce::quote::Kind;
use till_commerce::{ParcelCommand, ShopError};
use till_sandbox::Slot;
use till_tests::host::{submit_body, token};
use till_tests::{CUSTOMER, MERCHANT, PATIENCE, Simulator, TestTill, expect_phase, headphones};

use crate::http::{Shop, open, problem};

/// The worked example, paid for and handed to fulfilment.
async fn ordered(till: &TestTill) -> Order {
    let quoted = till.worked_example().await;
    let view = till.submit(&quoted.id, json!({})).await;
    expect_phase(till, &view, till_commerce::Phase::Confirmed).await;
    till.follow().await;
    let order = view.order.expect("an order");
    till.shop.order(MERCHANT, CUSTOMER, &order.id).await.expect("the order")
}

async fn order_status(till: &TestTill, order: &Order) -> String {
    till.follow().await;
    till.shop.order(MERCHANT, CUSTOMER, &order.id).await.expect("the order").status
}

fn told(id: &str, kind: ScanKind, at_us: i64) -> ParcelCommand {
    ParcelCommand::Told(Box::new(Scan {
        id: id.to_owned(),
        kind,
        at_us,
        text: String::new(),
        place: None,
        position: None,
        eta_us: None,
        partner: None,
        booking: None,
    }))
}

#[tokio::test(flavor = "multi_thread")]
async fn a_parcel_is_booked_once_whatever_the_carrier_answers() {
    for behaviour in ["ok", "timeout_after", "500_after", "garbage_after", "cut_after", "500_before"] {
        let till = TestTill::start().await;
        till.simulator.carrier_behaves("book", behaviour, 1).await;
        let order = ordered(&till).await;
        // What is not known is asked for: after half a second, two, five.
        for _ in 0..20 {
            till.follow().await;
            if till.parcels(&order.id).await[0].status == status::READY {
                break;
            }
            till.clock_to(till.clock_us() + 8_000_000).await;
        }
        let parcels = till.parcels(&order.id).await;
        assert_eq!(
            (parcels.len(), parcels[0].status.as_str()),
            (1, status::READY),
            "{behaviour}: {parcels:?}"
        );
        let booked = till.simulator.parcels().await;
        assert_eq!(booked.len(), 1, "{behaviour}: one parcel is one parcel");
        let booking = parcels[0].parcel.booking.as_ref().expect("a booking");
        assert_eq!(booked[0]["tracking_number"], json!(booking.tracking_number), "{behaviour}");
        assert_eq!(booked[0]["reference"], json!(parcels[0].id), "{behaviour}");
        assert_eq!(booked[0]["contents"], json!([{ "sku": "SKU-ABC-001", "units": 2 }]), "{behaviour}");
        assert_eq!(order_status(&till, &order).await, "PROCESSING");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn an_order_leaves_in_a_parcel_for_each_warehouse_and_is_as_far_as_the_slowest() {
    let till = TestTill::start().await;
    let other = Product { id: "PROD-2".into(), sku: "SKU-2".into(), ..headphones() };
    till.shop.put_product(MERCHANT, &other).await.unwrap();
    till.shop.put_stock(MERCHANT, "SKU-2", "US-EAST-01", 5).await.unwrap();
    let item = till_commerce::cart::NewItem {
        product: "PROD-2".into(),
        sku: None,
        quantity: 1,
        warehouse: Some("US-EAST-01".into()),
        currency: None,
    };
    till.shop.add_to_cart(MERCHANT, CUSTOMER, item, None, None).await.unwrap();
    let order = ordered(&till).await;
    let parcels = till.parcels(&order.id).await;
    let from: Vec<_> = parcels.iter().map(|p| p.parcel.warehouse.clone().unwrap_or_default()).collect();
    assert_eq!(parcels.len(), 2, "{parcels:?}");
    assert!(from.contains(&"US-EAST-01".to_owned()) && from.contains(&"US-WEST-01".to_owned()), "{from:?}");
    let [first, second] = [parcels[0].id.clone(), parcels[1].id.clone()];
    for (shipment, kind, expected) in [
        (&first, ScanKind::PickedUp, "PROCESSING"),
        (&second, ScanKind::PickedUp, "SHIPPED"),
        (&first, ScanKind::Delivered, "SHIPPED"),
        (&second, ScanKind::OutForDelivery, "OUT_FOR_DELIVERY"),
        (&second, ScanKind::DeliveryFailed, "DELIVERY_FAILED"),
        (&second, ScanKind::OutForDelivery, "OUT_FOR_DELIVERY"),
        (&second, ScanKind::Delivered, "DELIVERED"),
    ] {
        let key = uuid::Uuid::now_v7().to_string();
        let now = till.clock_us();
        till.shop.command_shipment(MERCHANT, shipment, "ann", &key, told(&key, kind, now)).await.unwrap();
        assert_eq!(order_status(&till, &order).await, expected, "{shipment} {kind:?}");
        till.clock_to(till.clock_us() + 60_000_000).await;
    }
    assert_eq!(till.told("feedback.requested").await.len(), 1, "the shopper is asked once");
    let statuses = till.told("order.status.updated").await;
    let statuses: Vec<&str> = statuses.iter().filter_map(|s| s["status"].as_str()).collect();
    assert_eq!(
        statuses,
        [
            "CONFIRMED",
            "PROCESSING",
            "SHIPPED",
            "OUT_FOR_DELIVERY",
            "DELIVERY_FAILED",
            "OUT_FOR_DELIVERY",
            "DELIVERED"
        ]
    );
    let ended = till.shop.command_shipment(
        MERCHANT,
        &second,
        "ann",
        "late",
        told("x", ScanKind::Returned, till.clock_us()),
    );
    assert!(matches!(ended.await, Err(ShopError::Refused { .. })), "the end is the end");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_carrier_that_tells_nobody_is_asked_where_the_parcel_is() {
    let till = TestTill::start().await;
    let order = ordered(&till).await;
    let shipment = till.parcels(&order.id).await.remove(0).id;
    let at_ms = till.clock_us() / 1000;
    let scan = |kind: &str, after: i64| json!({ "kind": kind, "untold": true, "at_ms": at_ms + after });
    till.simulator.scan(&shipment, &scan("picked_up", 1_000)).await;
    till.simulator.scan(&shipment, &scan("out_for_delivery", 2_000)).await;
    // It cannot be asked the first time; the parcel stays where it was, and is asked about again.
    till.simulator.carrier_behaves("track", "500_before", 1).await;
    let hours = |n: i64| n * 3_600_000_000;
    till.clock_to(till.clock_us() + hours(7)).await;
    assert_eq!(order_status(&till, &order).await, "PROCESSING");
    till.clock_to(till.clock_us() + hours(7)).await;
    assert_eq!(order_status(&till, &order).await, "OUT_FOR_DELIVERY");
    till.simulator.scan(&shipment, &scan("delivered", 3_000)).await;
    till.clock_to(till.clock_us() + hours(7)).await;
    assert_eq!(order_status(&till, &order).await, "DELIVERED");
    let timeline = &till.parcels(&order.id).await[0].parcel.timeline;
    let steps: Vec<&str> = timeline.iter().map(|t| t.status.as_str()).collect();
    assert_eq!(
        steps.iter().filter(|s| **s == "SHIPPED").count(),
        1,
        "what is told again is one fact: {steps:?}"
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn what_a_carrier_refuses_waits_for_the_merchant_who_mends_it_or_ships_by_hand() {
    let till = TestTill::start().await;
    let quoted = till.worked_example().await;
    let view = till.submit(&quoted.id, json!({})).await;
    expect_phase(&till, &view, till_commerce::Phase::Confirmed).await;
    till.registry.put_secret(MERCHANT, "api_key", b"wrong", "tests", till.clock_us()).await.unwrap();
    till.follow().await;
    let order = view.order.expect("an order");
    let parcel = till.parcels(&order.id).await.remove(0);
    assert_eq!(parcel.status, status::PENDING, "{parcel:?}");
    assert!(parcel.parcel.trouble.as_ref().is_some_and(|why| why.contains("unauthorized")), "{parcel:?}");
    assert_eq!(till.simulator.parcels().await.len(), 0);

    // Mended, and asked once more.
    till.registry.put_secret(MERCHANT, "api_key", b"sk_sim", "tests", till.clock_us()).await.unwrap();
    till.shop.command_shipment(MERCHANT, &parcel.id, "ann", "again", ParcelCommand::Book).await.unwrap();
    till.follow().await;
    let parcel = till.parcels(&order.id).await.remove(0);
    assert_eq!((parcel.status.as_str(), parcel.parcel.trouble), (status::READY, None));
    // What is booked is not booked twice.
    let again = till.shop.command_shipment(MERCHANT, &parcel.id, "ann", "third", ParcelCommand::Book).await;
    assert!(matches!(again, Err(ShopError::Refused { .. })), "{again:?}");
    assert_eq!(till.simulator.parcels().await.len(), 1);
}

#[tokio::test(flavor = "multi_thread")]
async fn without_a_carriers_component_the_merchant_sends_and_tells() {
    let till = TestTill::start().await;
    let turn = till_registry::Turn {
        slot: Slot::Carrier,
        name: "default".into(),
        who: "tests".into(),
        why: "by hand".into(),
    };
    till.registry.retire(MERCHANT, turn, till.clock_us()).await.unwrap();
    let order = ordered(&till).await;
    let parcel = till.parcels(&order.id).await.remove(0);
    assert_eq!((parcel.status.as_str(), parcel.parcel.booking), (status::PENDING, None));
    let ParcelCommand::Told(mut scan) = told("one", ScanKind::PickedUp, till.clock_us()) else {
        unreachable!()
    };
    scan.booking = Some(till_commerce::fulfilment::Booking {
        carrier: "Bike".into(),
        tracking_number: "B1".into(),
        ..Default::default()
    });
    let command = || ParcelCommand::Told(scan.clone());
    for _ in 0..2 {
        till.shop.command_shipment(MERCHANT, &parcel.id, "ann", "k1", command()).await.unwrap();
    }
    assert_eq!(order_status(&till, &order).await, "SHIPPED");
    let parcel = till.parcels(&order.id).await.remove(0);
    assert_eq!(parcel.parcel.booking.expect("a booking").tracking_number, "B1");
    assert_eq!(parcel.parcel.timeline.iter().filter(|t| t.status == "SHIPPED").count(), 1);
    assert!(till.simulator.parcels().await.is_empty(), "no carrier was asked");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_parcel_is_taken_back_before_it_is_sent_and_not_after() {
    for behaviour in ["ok", "500_after", "500_before", "timeout_after"] {
        let till = TestTill::start().await;
        let order = ordered(&till).await;
        let parcel = till.parcels(&order.id).await.remove(0);
        till.simulator.carrier_behaves("cancel", behaviour, 1).await;
        let cancel = ParcelCommand::Cancel("sold twice".into());
        till.shop.command_shipment(MERCHANT, &parcel.id, "ann", "c", cancel).await.unwrap();
        for _ in 0..20 {
            till.follow().await;
            if till.parcels(&order.id).await[0].ended() {
                break;
            }
            till.clock_to(till.clock_us() + 8_000_000).await;
        }
        assert_eq!(till.parcels(&order.id).await[0].status, status::CANCELLED, "{behaviour}");
        assert_eq!(till.simulator.parcels().await[0]["status"], "cancelled", "{behaviour}");
        assert_eq!(order_status(&till, &order).await, "PROCESSING", "the money is another matter");
    }
    // On its way: the carrier says no, and so do we.
    let till = TestTill::start().await;
    let order = ordered(&till).await;
    let parcel = till.parcels(&order.id).await.remove(0);
    till.simulator.scan(&parcel.id, &json!({ "kind": "picked_up", "untold": true })).await;
    let cancel = || ParcelCommand::Cancel("too late".into());
    till.shop.command_shipment(MERCHANT, &parcel.id, "ann", "c", cancel()).await.unwrap();
    till.follow().await;
    let parcel = till.parcels(&order.id).await.remove(0);
    assert_eq!(parcel.status, status::READY);
    assert!(parcel.parcel.trouble.as_ref().is_some_and(|why| why.contains("on its way")), "{parcel:?}");
    till.clock_to(till.clock_us() + 7 * 3_600_000_000).await;
    assert_eq!(order_status(&till, &order).await, "SHIPPED");
    let late = till.shop.command_shipment(MERCHANT, &parcel.id, "ann", "c2", cancel()).await;
    assert!(matches!(late, Err(ShopError::Refused { .. })), "{late:?}");
}

/// Waits for a fact that the host makes true by itself.
async fn until(shop: &Shop, path: &str, token: Option<&str>, holds: impl Fn(&Value) -> bool) -> Value {
    let begun = Instant::now();
    loop {
        let (status, body) = match token {
            Some(token) => shop.as_other(token, "GET", path, None).await,
            None => shop.call("GET", path, None).await,
        };
        if status == 200 && holds(&body) {
            return body;
        }
        assert!(begun.elapsed() < PATIENCE, "{path}: {status} {body}");
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
}

/// An order over HTTP whose parcel is booked, and that parcel's id.
async fn sent(shop: &Shop, admin: &str) -> (String, String) {
    let session = shop.session().await;
    let (status, order) =
        shop.call("POST", "/api/v1/checkout/submit", Some(&submit_body(&session, "PM-001"))).await;
    assert_eq!(status, 201, "{order}");
    let order = order["orderId"].as_str().expect("an id").to_owned();
    let path = format!("/api/v1/admin/shipments?orderId={order}");
    let found = until(shop, &path, Some(admin), |all| all["shipments"][0]["status"] == "READY").await;
    (order, found["shipments"][0]["shipmentId"].as_str().expect("an id").to_owned())
}

fn scans_here(shop: &Shop) -> String {
    format!("{}/webhooks/{MERCHANT}/carriers/default", shop.host.url)
}

#[tokio::test(flavor = "multi_thread")]
async fn a_shopper_follows_the_order_to_the_door_and_says_what_it_was_like() {
    let shop = open().await;
    let admin = token(CUSTOMER, "admin");
    let (order, shipment) = sent(&shop, &admin).await;
    let tracking = format!("/api/v1/orders/{order}/tracking");
    let feedback = format!("/api/v1/orders/{order}/feedback");
    problem(&shop.call("PUT", &feedback, Some(&json!({ "rating": 5 }))).await, 409, "delivered");
    shop.simulator.scans_to(&scans_here(&shop), "whsec", "twice").await;

    shop.simulator.scan(&shipment, &json!({ "kind": "picked_up", "place": "Oakland" })).await;
    let seen = until(&shop, &tracking, None, |t| t["status"] == "SHIPPED").await;
    assert_eq!(seen["currentLocation"]["place"], "Oakland", "{seen}");
    let courier = json!({ "name": "Sam", "phone": "+14155550100", "rating_tenths": 48 });
    let out = json!({ "kind": "out_for_delivery", "partner": courier, "eta_minutes": 30 });
    shop.simulator.scan(&shipment, &out).await;
    let place = json!({ "kind": "location", "position": [37_774_900, -122_419_400] });
    shop.simulator.scan(&shipment, &place).await;
    let seen = until(&shop, &tracking, None, |t| t["currentLocation"]["latitude"] == "37.774900").await;
    assert_eq!(seen["status"], "OUT_FOR_DELIVERY");
    assert_eq!(seen["deliveryPartner"], json!({ "name": "Sam", "phone": "+14155550100", "rating": "4.8" }));
    assert!(seen["estimatedDeliveryTime"].is_string() && seen["orderNumber"].is_string(), "{seen}");
    assert_eq!(seen["currentLocation"]["longitude"], "-122.419400");
    shop.simulator.scan(&shipment, &json!({ "kind": "delivered", "text": "Left with Ada" })).await;
    let seen = until(&shop, &tracking, None, |t| t["status"] == "DELIVERED").await;
    let steps: Vec<&str> =
        seen["timeline"].as_array().expect("steps").iter().filter_map(|s| s["status"].as_str()).collect();
    assert_eq!(
        steps,
        ["PENDING_PAYMENT", "CONFIRMED", "PROCESSING", "SHIPPED", "OUT_FOR_DELIVERY", "DELIVERED"],
        "each once, though each scan was told twice"
    );

    // The same as events, for whoever follows.
    let log = until(&shop, "/api/v1/admin/events?limit=200", Some(&admin), |log| {
        log["events"].as_array().is_some_and(|all| all.iter().any(|e| e["type"] == "feedback.requested"))
    })
    .await;
    let of = |topic: &str| -> Vec<Value> {
        let all = log["events"].as_array().expect("events");
        all.iter().filter(|e| e["type"] == topic).map(|e| e["data"].clone()).collect()
    };
    let moved = of("delivery.location.updated");
    assert_eq!(moved.len(), 2, "{moved:?}");
    assert_eq!(moved[1]["currentLocation"]["latitude"], "37.774900");
    assert_eq!(of("feedback.requested").len(), 1);

    assert_eq!(shop.call("GET", &feedback, None).await, (200, json!({ "feedback": null })));
    let wrong = json!({ "rating": 6, "products": [{ "sku": "SKU-ABC-001" }] });
    problem(&shop.call("PUT", &feedback, Some(&wrong)).await, 422, "1 to 5");
    let alien = json!({ "rating": 5, "products": [{ "sku": "NOT-MINE", "rating": 1 }] });
    problem(&shop.call("PUT", &feedback, Some(&alien)).await, 422, "not in this order");
    let said = json!({ "rating": 4, "deliveryRating": 5, "comment": "Quick",
        "products": [{ "sku": "SKU-ABC-001", "rating": 5, "comment": "Loud and clear" }] });
    for _ in 0..2 {
        let (status, body) = shop.call("PUT", &feedback, Some(&said)).await;
        let said = &body["feedback"];
        assert_eq!((status, &said["rating"], &said["deliveryRating"]), (200, &json!(4), &json!(5)), "{body}");
    }
    let (_, reviews) = shop.call("GET", "/api/v1/catalog/products/PROD-12345/reviews", None).await;
    assert_eq!((&reviews["count"], &reviews["rating"]), (&json!(1), &json!("5.0")), "{reviews}");
    assert_eq!(reviews["reviews"][0]["comment"], "Loud and clear");
    let (_, told) = shop.call("GET", "/api/v1/notifications", None).await;
    assert!(told["notifications"].as_array().is_some_and(|all| !all.is_empty()), "{told}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_carriers_word_counts_only_with_its_signature_and_labels_come_from_the_carrier() {
    let shop = open().await;
    let admin = token(CUSTOMER, "admin");
    let (order, shipment) = sent(&shop, &admin).await;
    shop.simulator.scans_to(&scans_here(&shop), "whsec", "wrong_signature").await;
    shop.simulator.scan(&shipment, &json!({ "kind": "delivered" })).await;
    let forged =
        shop.call("POST", "/webhooks/demo/carriers/default", Some(&json!({ "kind": "delivered" }))).await;
    problem(&forged, 401, "signature");
    problem(&shop.call("POST", "/webhooks/demo/carriers/none", Some(&json!({}))).await, 404, "carrier");
    let (_, tracking) = shop.call("GET", &format!("/api/v1/orders/{order}/tracking"), None).await;
    assert_eq!(tracking["status"], "PROCESSING", "{tracking}");

    let client = reqwest::Client::builder().no_proxy().build().expect("a client");
    let url = format!("{}/api/v1/admin/shipments/{shipment}/label", shop.host.url);
    let label = client.get(url).bearer_auth(&admin).send().await.expect("an answer");
    assert_eq!(label.status(), 200);
    assert_eq!(label.headers()["content-type"], "application/zpl");
    assert!(label.text().await.expect("text").starts_with("^XA"));

    // Nobody but the host begins parcels.
    let path = format!("/api/v1/workflows/{FULFILMENT}/instances/mine");
    problem(&shop.as_other(&token(CUSTOMER, "operator"), "PUT", &path, None).await, 403, "by the host");
    let scan = json!({ "type": "picked_up", "latitude": "91", "longitude": "1", "at": "tomorrow", "x": 1 });
    let path = format!("/api/v1/admin/shipments/{shipment}/scans");
    let (status, body) = shop.as_other(&admin, "POST", &path, Some(&scan)).await;
    assert_eq!(status, 422, "{body}");
    for field in ["latitude", "at", "x"] {
        assert!(body["errors"].to_string().contains(field), "{field}: {body}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn killed_while_a_parcel_is_booked_the_host_asks_and_one_parcel_is_booked() {
    // The shop's own calls of the gateway come first: authorize and capture.
    for point in
        ["call.request-sent.before-response:3", "intent.committed:3", "call.response.before-outcome-commit:3"]
    {
        let mut shop = open().await;
        shop.restart_until(point);
        let session = shop.session().await;
        let body = submit_body(&session, "PM-001");
        let _ = shop.host.call("POST", "/api/v1/checkout/submit", "", Some(&body)).await;
        let begun = Instant::now();
        while !shop.host.is_gone() {
            assert!(begun.elapsed() < PATIENCE, "{point} is passed");
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
        shop.restart();
        let admin = token(CUSTOMER, "admin");
        let all = "/api/v1/admin/shipments";
        until(&shop, all, Some(&admin), |all| all["shipments"][0]["status"] == "READY").await;
        let booked: Vec<Value> = Simulator::parcels(&shop.simulator).await;
        assert_eq!(booked.len(), 1, "{point}: {booked:?}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn an_order_of_which_nothing_has_to_be_sent_is_there_when_it_is_prepared() {
    let till = TestTill::start().await;
    let mut file = headphones();
    (file.id, file.sku, file.kind) = ("PROD-FILE".to_owned(), "SKU-FILE".to_owned(), Kind::Digital);
    till.shop.put_product(MERCHANT, &file).await.expect("a product");
    till.shop.put_stock(MERCHANT, &file.sku, till_tests::WAREHOUSE, 5).await.expect("stock");
    let item = NewItem { product: file.id, sku: None, quantity: 1, warehouse: None, currency: None };
    till.shop.add_to_cart(MERCHANT, CUSTOMER, item, None, None).await.expect("a line");
    let session = till.shop.initiate(MERCHANT, CUSTOMER, None).await.expect("a session");
    let view = till.submit(&session.id, json!({ "payment_method": "PM-001" })).await;
    expect_phase(&till, &view, till_commerce::Phase::Confirmed).await;
    till.follow().await;
    let id = view.order.expect("an order").id;
    let order = till.shop.order(MERCHANT, CUSTOMER, &id).await.expect("the order");
    assert_eq!(order.status, "DELIVERED");
    assert!(till.parcels(&id).await.is_empty());
    let moved: Vec<Value> = till.told("order.status.updated").await;
    let statuses: Vec<&str> = moved.iter().filter_map(|one| one["status"].as_str()).collect();
    assert_eq!(statuses, ["CONFIRMED", "PROCESSING", "DELIVERED"]);
}
