//! What a merchant learns of its sales and customers, and a customer of itself.

use serde_json::{Value, json};
use till_tests::CUSTOMER;
use till_tests::host::submit_body;

use super::{DAYS, Outside, text};

/// Rows of a report or metric, some columns of each.
fn rows(report: &Value, columns: &[&str]) -> Vec<String> {
    let cell =
        |row: &Value, name: &&str| row[*name].as_str().map_or_else(|| row[*name].to_string(), str::to_owned);
    let all = report["rows"].as_array().expect("rows").iter();
    all.map(|row| columns.iter().map(|name| cell(row, name)).collect::<Vec<_>>().join(" ")).collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn sales_are_counted_once_told_as_reports_and_sheets_and_counted_again_from_the_log() {
    let out = Outside::open().await;
    let with = out.buy(json!({})).await;
    // A card is declined, and the shopper gives up.
    let session = out.shop.session().await;
    let declined = submit_body(&session, "PM-002");
    assert_eq!(out.shop.call("POST", "/api/v1/checkout/submit", Some(&declined)).await.0, 400);
    out.send("POST", &format!("/api/v1/checkout/{session}/cancel"), json!({})).await;
    out.send("DELETE", "/api/v1/cart", json!({})).await;
    let without = out.buy(json!({ "promotionCodes": [] })).await;
    let at = |what: &str| format!("/api/v1/admin/analytics/{what}?{DAYS}");
    let orders = out.until(&at("orders"), |all| all["rows"][0]["count"] == 2).await;
    let totals = [&with, &without].map(|order| order["pricing"]["total"].to_string());
    assert_eq!(totals, ["476.59", "557.87"], "{without}");
    assert_eq!(rows(&orders, &["count", "amount"]), ["2 1034.46"], "{orders}");

    let ended = |all: &Value| all["rows"][2]["checkouts"] == 2 && all["rows"][3]["stage"] == "cancelled";
    out.until(&at("reports/funnel"), ended).await;
    let report = async |name: &str| out.read(&at(&format!("reports/{name}"))).await;
    let told = async || {
        [
            rows(&report("funnel").await, &["stage", "checkouts", "amount"]),
            rows(&report("promotions").await, &["promotion", "orders", "amountOff"]),
            rows(&report("customers").await, &["label", "orders", "revenue"]),
            rows(&out.read(&at("product")).await, &["label", "count", "amount"]),
        ]
    };
    let seen = told().await;
    let expected = [
        vec!["started 3 1511.05", "payment 3 1511.05", "confirmed 2 1034.46", "cancelled 1 476.59"],
        vec!["SUMMER2024 1 75.0", "none 1 0.0"],
        vec!["new 1 476.59", "returning 1 557.87", "2-3 2 1034.46", "credit_card 2 1034.46"],
        vec!["PROD-12345 4 999.96"],
    ];
    assert_eq!(seen, expected);
    out.done("POST", "/api/v1/admin/analytics/rebuild", json!({})).await;
    assert_eq!(told().await, seen, "counted again from the log it is the same");
    let sheet = out.read(&format!("{}&format=csv", at("reports/promotions"))).await;
    assert!(text(&sheet).contains("SUMMER2024,1"), "{sheet}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_customers_book_history_and_worth_are_told_to_those_they_concern() {
    let out = Outside::open().await;
    let home = json!({ "type": "shipping", "name": "Jane Doe", "street": "1 Front St W", "city": "Toronto",
        "state": "Ontario", "zipCode": "m5j2x5", "country": "ca" });
    let kept = out.send("POST", "/api/v1/customers/me/addresses", home).await;
    assert_eq!((&kept["zipCode"], &kept["state"]), (&json!("M5J 2X5"), &json!("ON")), "{kept}");
    let context = out.look("/api/v1/customers/me/checkout-context").await;
    assert_eq!(context["addresses"].as_array().map(Vec::len), Some(2), "{context}");
    assert_eq!(context["paymentMethods"][0]["id"], "PM-001", "{context}");
    assert_eq!(context["loyalty"]["availablePoints"], 1_250, "{context}");
    assert!(context["preferences"].is_object() && !context.to_string().contains("tok_visa"), "{context}");

    let mut made = vec![text(&out.buy(json!({})).await["orderId"])];
    let (_, _) = out.submit(json!({ "paymentMethod": { "id": "PM-002" } })).await;
    made.push(text(&out.buy(json!({})).await["orderId"]));
    let ids = |page: &Value| -> Vec<String> {
        page["orders"].as_array().expect("a list").iter().map(|one| text(&one["orderId"])).collect()
    };
    let first = out.look("/api/v1/orders?limit=1").await;
    assert_eq!(ids(&first), made[1..], "the newest first");
    let second = out.look(&format!("/api/v1/orders?limit=2&cursor={}", text(&first["nextCursor"]))).await;
    assert_eq!(second["orders"][0]["status"], "PAYMENT_FAILED", "{second}");
    assert_eq!(ids(&second)[1..], made[..1]);
    let failed = out.look("/api/v1/orders?status=PAYMENT_FAILED").await;
    assert_eq!(failed["orders"].as_array().map(Vec::len), Some(1), "{failed}");

    let path = format!("/api/v1/admin/customers/{CUSTOMER}");
    let record = out.until(&path, |one| one["lifetimeValue"][0]["orders"] == 2).await;
    let value = &record["lifetimeValue"][0];
    let sums = ["total", "average"].map(|name| value[name].to_string());
    assert_eq!(sums, ["1413.79", "706.9"], "{record}");
    assert_eq!(out.read("/api/v1/admin/customers?q=jane@").await["customers"][0]["customerId"], CUSTOMER);
    let (status, _) = out.shop.call("GET", &path, None).await;
    assert_eq!(status, 403, "a shopper reads no records");
}
