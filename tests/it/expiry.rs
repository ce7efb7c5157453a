//! What a shopper is told who comes back too late.

use std::time::Duration;

use serde_json::json;
use till_commerce::Phase;
use till_tests::{CUSTOMER, Door, TestTill, expect_phase};

#[tokio::test(flavor = "multi_thread")]
async fn a_session_that_has_expired_is_gone_and_says_how_to_go_on() {
    let till = TestTill::start().await;
    let door = Door::open(&till).await;
    let id = till.worked_example().await.id;
    let path = format!("/api/v1/checkout/{id}");
    assert_eq!(door.call(CUSTOMER, "GET", &path, None).await.0, 200);
    till.advance(Duration::from_secs(24 * 3600)).await;
    let view = till.heal(&id).await;
    expect_phase(&till, &view, Phase::Expired).await;

    let submit = json!({ "checkoutSessionId": id, "paymentMethod": { "id": "PM-001" } });
    let edit = json!({ "notes": "late" });
    for (method, path, body) in [
        ("GET", path.as_str(), None),
        ("PUT", path.as_str(), Some(&edit)),
        ("POST", "/api/v1/checkout/submit", Some(&submit)),
        ("POST", &format!("{path}/returned"), None),
        ("POST", &format!("{path}/cancel"), None),
    ] {
        let (status, body) = door.call(CUSTOMER, method, path, body).await;
        assert_eq!((status, &body["code"]), (410, &json!("gone")), "{method} {path}: {body}");
        assert_eq!(body["checkoutSessionId"], json!(id), "{method} {path}");
        let detail = body["detail"].as_str().unwrap_or_default();
        assert!(detail.contains("expired") && detail.contains("POST /api/v1/checkout/initiate"), "{detail}");
    }
    let (status, _) = door.call("CUST-OTHER", "GET", &path, None).await;
    assert_eq!(status, 404, "nobody else learns that there was one");

    let (status, fresh) = door.call(CUSTOMER, "POST", "/api/v1/checkout/initiate", None).await;
    assert_eq!(status, 201, "{fresh}");
    let submit = json!({
        "checkoutSessionId": fresh["checkoutSessionId"], "shippingMethod": "standard", "paymentMethod": { "id": "PM-001" },
    });
    let (status, order) = door.call(CUSTOMER, "POST", "/api/v1/checkout/submit", Some(&submit)).await;
    assert_eq!((status, &order["status"]), (201, &json!("CONFIRMED")), "the cart was kept: {order}");
    till.balanced().await;
}
