//! Parcels that do not go the straight way.

use serde_json::{Value, json};
use till_tests::MERCHANT;

use super::paying::Gate;
use super::{Outside, text};

impl Outside {
    /// An order whose parcel is booked: where it is followed, and the parcel's id.
    async fn sent(&self) -> (String, String) {
        let order = self.buy(json!({})).await;
        let shipment = text(&self.parcels(&order, 1).await[0]["shipmentId"]);
        (format!("/api/v1/orders/{}/tracking", text(&order["orderId"])), shipment)
    }

    /// The carrier tells this host.
    async fn scans_come(&self) {
        let hook = format!("{}/webhooks/{MERCHANT}/carriers/default", self.shop.host.url);
        self.shop.simulator.scans_to(&hook, "whsec", "once").await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_parcel_that_finds_nobody_is_told_and_tried_again() {
    let out = Outside::open().await;
    out.scans_come().await;
    let (tracking, shipment) = out.sent().await;
    for (kind, status) in [
        ("picked_up", "SHIPPED"),
        ("out_for_delivery", "OUT_FOR_DELIVERY"),
        ("delivery_failed", "DELIVERY_FAILED"),
        ("out_for_delivery", "OUT_FOR_DELIVERY"),
        ("delivered", "DELIVERED"),
    ] {
        out.shop.simulator.scan(&shipment, &json!({ "kind": kind })).await;
        out.until(&tracking, |seen| seen["status"] == status).await;
    }
    out.when("everything is told", |out| out.heard("feedback.requested") == 1).await;
    let told = out.told().await;
    for (kind, times) in [("delivery_failed", 1), ("out_for_delivery", 2), ("order_delivered", 1)] {
        assert_eq!(told.iter().filter(|known| *known == kind).count(), times, "{kind}: {told:?}");
    }
    let failed = |out: &Outside| {
        let events = out.hooks.of("order.status.updated");
        let failed = events.iter().any(|one| one.event()["data"]["status"] == "DELIVERY_FAILED");
        failed && out.mail.mails().len() == told.len() && out.phone.posted().len() == told.len()
    };
    out.when("a letter and a message for each", failed).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_parcel_is_cancelled_before_the_carrier_has_it_and_not_after() {
    let out = Outside::open().await;
    out.scans_come().await;
    let (_, shipment) = out.sent().await;
    let path = format!("/api/v1/admin/shipments/{shipment}");
    out.done("POST", &format!("{path}/cancel"), json!({ "reason": "sold twice" })).await;
    out.until(&path, |one| one["status"] == "CANCELLED").await;
    let booked = out.shop.simulator.parcels().await;
    assert_eq!((booked.len(), &booked[0]["status"]), (1, &json!("cancelled")), "{booked:?}");

    let (tracking, shipment) = out.sent().await;
    out.shop.simulator.scan(&shipment, &json!({ "kind": "picked_up" })).await;
    out.until(&tracking, |seen| seen["status"] == "SHIPPED").await;
    let path = format!("/api/v1/admin/shipments/{shipment}");
    let (status, told) =
        out.admin("POST", &format!("{path}/cancel"), Some(&json!({ "reason": "too late" }))).await;
    assert_eq!(status, 409, "{told}");
    assert_eq!(out.read(&path).await["status"], "SHIPPED");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_carrier_that_tells_nothing_is_asked_every_six_hours() {
    let mut out = Outside::open().await;
    let (tracking, shipment) = out.sent().await;
    let before = out.look(&tracking).await;
    assert_eq!(before["status"], "PROCESSING", "{before}");
    for (hours, kind, status) in [(7, "picked_up", "SHIPPED"), (14, "delivered", "DELIVERED")] {
        out.shop.simulator.scan(&shipment, &json!({ "kind": kind, "untold": true })).await;
        out.shop.restart_ahead(hours * 3_600);
        out.until(&tracking, |seen| seen["status"] == status).await;
    }
    let seen = out.look(&tracking).await;
    let steps: Vec<&str> =
        seen["timeline"].as_array().expect("steps").iter().filter_map(|one| one["status"].as_str()).collect();
    let once = ["PENDING_PAYMENT", "CONFIRMED", "PROCESSING", "SHIPPED", "DELIVERED"];
    assert_eq!(steps, once, "what is told again is one fact");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_carrier_that_is_away_is_left_alone_keeps_no_order_back_and_books_when_it_is_there() {
    let out = Outside::open().await;
    let gate = Gate::shut();
    out.set("breaker", json!({ "threshold": 1, "cool_down_s": 1 })).await;
    let carrier = json!({
        "config": { "base_url": gate.origin, "request_time_max_ms": 1_000 }, "networkMs": 3_000,
        "origins": [gate.origin], "allowPrivateAddresses": true, "secrets": ["api_key", "webhook"],
    });
    out.bind("carrier", "default", "sim-carrier", carrier).await;
    let order = out.buy(json!({})).await;
    let breaker = |all: &Value, state: &str| {
        let all = all["breakers"].as_array().expect("a list").iter();
        all.filter(|one| one["state"] == state).map(|one| one["origin"].clone()).collect::<Vec<_>>()
    };
    let opened = |all: &Value| breaker(all, "OPEN") == [json!(gate.origin)];
    out.until("/api/v1/admin/breakers", opened).await;
    let path = format!("/api/v1/admin/shipments?orderId={}", text(&order["orderId"]));
    assert_eq!(out.read(&path).await["shipments"][0]["trackingNumber"], Value::Null);

    let origin = gate.origin.clone();
    gate.listen(&out.shop.simulator.url).send(true).expect("the gate is there");
    let parcels = out.parcels(&order, 1).await;
    assert_eq!((parcels.len(), out.shop.simulator.parcels().await.len()), (1, 1), "{parcels:?}");
    let all = out.read("/api/v1/admin/breakers").await;
    assert!(breaker(&all, "CLOSED").contains(&json!(origin)), "{all}");
}
