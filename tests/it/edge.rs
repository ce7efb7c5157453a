//! What every request passes: how often a customer may call, which web pages may, and what the operator can see.

use std::time::Duration;

use serde_json::json;
use till_commerce::settings::{RateSettings, Settings};
use till_tests::host::{Host, MORE};
use till_tests::{CUSTOMER, Door, Simulator, TestTill};

#[tokio::test(flavor = "multi_thread")]
async fn a_customer_calls_so_often_and_then_waits_and_nobody_else_does() {
    let rate = RateSettings { requests: 3, window_s: 60 };
    let till = TestTill::with(&Settings { rate, ..Settings::default() }).await;
    let door = Door::open(&till).await;
    let headers = async |customer: &str, path: &str| {
        let answer = door.get(customer, path).await;
        let text = |name: &str| answer.headers().get(name).map(|v| v.to_str().expect("text").to_owned());
        let (status, told) = (answer.status().as_u16(), [text("ratelimit"), text("retry-after")]);
        let policy = text("ratelimit-policy");
        assert_eq!(policy.is_some(), path.contains("cart") || path.contains("checkout"), "{path}");
        assert!(policy.is_none_or(|policy| policy == "\"customer\";q=3;w=60"));
        (status, told)
    };
    let left = |r: u32, t: u32| Some(format!("\"customer\";r={r};t={t}"));
    assert_eq!(headers(CUSTOMER, "/api/v1/cart").await, (200, [left(2, 60), None]));
    till.clock.advance(Duration::from_secs(20));
    assert_eq!(headers(CUSTOMER, "/api/v1/checkout/chk_none").await, (404, [left(1, 40), None]));
    assert_eq!(headers(CUSTOMER, "/api/v1/cart").await, (200, [left(0, 40), None]));
    let refused = headers(CUSTOMER, "/api/v1/cart").await;
    assert_eq!(refused, (429, [left(0, 40), Some("40".to_owned())]));
    let (status, problem) = door.call(CUSTOMER, "GET", "/api/v1/cart", None).await;
    assert_eq!((status, &problem["code"]), (429, &json!("rate-limited")), "{problem}");
    assert!(problem["detail"].as_str().is_some_and(|why| why.contains("in 40 s")), "{problem}");

    // Other routes and other customers have nothing to do with it.
    assert_eq!(headers(CUSTOMER, "/api/v1/orders").await.0, 200);
    assert_eq!(headers("CUST-2", "/api/v1/cart").await, (200, [left(2, 60), None]));
    till.clock.advance(Duration::from_secs(40));
    assert_eq!(headers(CUSTOMER, "/api/v1/cart").await, (200, [left(2, 60), None]));
    // A new limit holds a little later, and none at all is none.
    let rate = RateSettings { requests: 0, window_s: 60 };
    till.shop.put_settings(till_tests::MERCHANT, &Settings { rate, ..Settings::default() }).await.unwrap();
    let begun = std::time::Instant::now();
    while door.get(CUSTOMER, "/api/v1/cart").await.headers().contains_key("ratelimit") {
        assert!(begun.elapsed() < till_tests::PATIENCE, "the new limit holds");
        tokio::time::sleep(Duration::from_millis(100)).await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn pages_of_the_shops_origin_may_call_and_the_operator_sees_what_was_answered() {
    let simulator = Simulator::start();
    let folder = tempfile::tempdir().expect("a temporary folder");
    till_tests::template(folder.path(), &simulator.url).await;
    let free = std::net::TcpListener::bind("127.0.0.1:0").expect("a free port");
    let metrics = free.local_addr().expect("an address");
    drop(free);
    let more = format!("cors_origins = [\"https://shop.example\"]\nmetrics_listen = \"{metrics}\"\n");
    std::fs::write(folder.path().join(MORE), more).expect("write the configuration");
    let host = Host::start(folder.path(), None);
    let client = reqwest::Client::builder().no_proxy().build().expect("a client");
    let url = format!("{}/api/v1/cart/items", host.url);
    let preflight = async |origin: &str| {
        let request = client.request(reqwest::Method::OPTIONS, &url).header("origin", origin);
        let request = request.header("access-control-request-method", "POST");
        let request = request.header("access-control-request-headers", "authorization,idempotency-key");
        request.send().await.expect("an answer")
    };
    let asked = preflight("https://shop.example").await;
    assert_eq!(asked.status(), 200);
    assert_eq!(asked.headers()["access-control-allow-origin"], "https://shop.example");
    let text = |name: &str| asked.headers()[name].to_str().expect("text").to_lowercase();
    assert!(text("access-control-allow-headers").contains("idempotency-key"));
    assert!(text("access-control-allow-methods").contains("post"));
    let other = preflight("https://evil.example").await;
    assert!(!other.headers().contains_key("access-control-allow-origin"));

    // Refusals are readable for the page too.
    let get = client.get(format!("{}/api/v1/cart", host.url)).header("origin", "https://shop.example");
    let refused = get.send().await.expect("an answer");
    assert_eq!(refused.status(), 401);
    assert_eq!(refused.headers()["access-control-allow-origin"], "https://shop.example");
    assert!(
        refused.headers()["access-control-expose-headers"].to_str().expect("text").contains("x-request-id")
    );

    host.call("GET", "/api/v1/cart", "", None).await.expect("an answer");
    let text = client.get(format!("http://{metrics}/metrics")).send().await.expect("figures");
    let text = text.text().await.expect("text");
    for line in [
        "till_http_requests_total{method=\"GET\",route=\"/api/v1/cart\",status=\"401\"} 1",
        "till_http_requests_total{method=\"GET\",route=\"/api/v1/cart\",status=\"200\"} 1",
        "till_http_request_duration_seconds_count{method=\"GET\",route=\"/api/v1/cart\"} 2",
        "till_store_commits_total",
        "till_http_requests_running",
    ] {
        assert!(text.contains(line), "no `{line}` in {text}");
    }
    let shoppers = client.get(format!("{}/metrics", host.url)).send().await.expect("an answer");
    assert_eq!(shoppers.status(), 404, "figures are the operator's");
}
