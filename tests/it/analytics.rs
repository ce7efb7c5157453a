//! What a merchant learns of its checkouts: how far they came, what promotions did, who bought.

use std::time::Duration;

use serde_json::{Value, json};
use till_commerce::fulfilment::{Scan, ScanKind};
use till_commerce::{ParcelCommand, Phase};
use till_model::money::{Currency, Money};
use till_tests::{CUSTOMER, Door, MERCHANT, TestTill, expect_phase};

const DAYS: &str = "from=2000-01-01&to=2999-12-31";

async fn report(door: &Door, name: &str) -> Value {
    let path = format!("/api/v1/admin/analytics/reports/{name}?{DAYS}");
    let (status, report) = door.call_as("analytics:read", "GET", &path, None).await;
    assert_eq!(status, 200, "{report}");
    report
}

/// Rows of a report as `label: count of average`.
fn rows(report: &Value, label: &str, count: &str, last: &str) -> Vec<String> {
    let rows = report["rows"].as_array().expect("rows").iter();
    rows.map(|row| format!("{} {} {}", row[label].as_str().expect("a label"), row[count], row[last]))
        .collect()
}

async fn arrives(till: &TestTill, order: &str) {
    till.follow().await;
    for (id, kind) in [("a", ScanKind::PickedUp), ("b", ScanKind::Delivered)] {
        for parcel in till.parcels(order).await {
            let scan = Scan {
                id: id.to_owned(),
                kind,
                at_us: till.clock_us(),
                text: String::new(),
                place: None,
                position: None,
                eta_us: None,
                partner: None,
                booking: None,
            };
            let told = ParcelCommand::Told(Box::new(scan));
            till.shop.command_shipment(MERCHANT, &parcel.id, "ann", id, told).await.expect("a scan");
        }
        till.follow().await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn the_funnel_and_its_reports_are_counted_as_it_happens_and_again_from_the_log() {
    let till = TestTill::start().await;
    let door = Door::open(&till).await;
    // A first order with a promotion, which arrives; a second one of the same customer without.
    let quoted = till.worked_example().await;
    let view = till.submit(&quoted.id, json!({})).await;
    expect_phase(&till, &view, Phase::Confirmed).await;
    let first = view.order.expect("an order");
    arrives(&till, &first.id).await;
    let session = till.session(CUSTOMER, 1).await;
    let view =
        till.submit(&session.id, json!({ "shipping_method": "standard", "payment_method": "PM-001" })).await;
    expect_phase(&till, &view, Phase::Confirmed).await;
    let second = view.order.expect("an order");
    // A card that is declined, and then no more; a session that nobody comes back to.
    let tried = till.session(CUSTOMER, 2).await;
    let wishes = json!({ "shipping_method": "standard", "payment_method": "PM-declined" });
    till.submit(&tried.id, wishes).await;
    till.shop.cancel(MERCHANT, CUSTOMER, &tried.id).await.expect("it is cancelled");
    till.session(CUSTOMER, 1).await;
    till.advance(Duration::from_secs(25 * 3600)).await;
    till.follow().await;

    let funnel = report(&door, "funnel").await;
    assert_eq!(
        rows(&funnel, "stage", "checkouts", "ofStarted"),
        [
            "started 4 1.0",
            "payment 3 0.75",
            "confirmed 2 0.5",
            "delivered 1 0.25",
            "cancelled 1 0.25",
            "expired 1 0.25",
        ],
        "{funnel}"
    );
    let (one, other) = (first.receipt.totals.total, second.receipt.totals.total);
    let cents = |amount: &Value| {
        let usd = Currency::from_code("USD").expect("a currency");
        Money::parse_decimal(&amount.to_string(), usd).expect("an amount").minor()
    };
    assert_eq!(cents(&funnel["rows"][2]["amount"]), one + other);
    assert_eq!(cents(&funnel["rows"][3]["amount"]), one);

    let promotions = report(&door, "promotions").await;
    assert_eq!(rows(&promotions, "promotion", "orders", "newCustomers"), ["SUMMER2024 1 1", "none 1 0"]);
    assert_eq!(cents(&promotions["rows"][0]["amountOff"]), 7_500);
    assert_eq!(cents(&promotions["rows"][0]["averageOrder"]), one);
    let customers = report(&door, "customers").await;
    assert_eq!(
        rows(&customers, "label", "orders", "ofOrders"),
        ["new 1 0.5", "returning 1 0.5", "1 1 0.5", "2-3 1 0.5", "credit_card 2 1.0"]
    );
    assert_eq!(cents(&customers["rows"][1]["revenue"]), other);

    // All of it again from the log, to the cent.
    let before = [funnel, promotions, customers];
    let (status, counted) = door.call_as("analytics", "POST", "/api/v1/admin/analytics/rebuild", None).await;
    assert_eq!((status, counted), (200, json!({ "orders": 2 })));
    for (name, before) in ["funnel", "promotions", "customers"].iter().zip(before) {
        assert_eq!(report(&door, name).await, before, "{name}");
    }
    let path = format!("/api/v1/admin/analytics/reports/funnel?{DAYS}&format=csv");
    let (_, csv) = door.call_as("analytics:read", "GET", &path, None).await;
    let csv = csv.as_str().expect("text");
    assert!(csv.starts_with("currency,stage,checkouts,amount,ofStarted\n"), "{csv}");
    assert!(csv.contains("USD,started,4,"), "{csv}");
    let (status, _) = door
        .call_as("analytics", "GET", &format!("/api/v1/admin/analytics/reports/other?{DAYS}"), None)
        .await;
    assert_eq!(status, 404);
}
