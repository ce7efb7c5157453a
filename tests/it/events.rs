//! Events: the log, what follows from each, and the merchants' endpoints.

use std::time::Duration;

use serde_json::{Value, json};
use till_commerce::Phase;
use till_commerce::events::{Replay, WebhookBody, WebhookError};
use till_store::{Options, Store};
use till_tests::endpoint::Endpoint;
use till_tests::host::{submit_body, token, token_for};
use till_tests::{CUSTOMER, MERCHANT, PATIENCE, TestTill, paying_with};

use crate::http::{Shop, open, problem};

fn hook(url: &str, topics: &[&str]) -> WebhookBody {
    WebhookBody {
        url: url.to_owned(),
        topics: topics.iter().map(|&topic| topic.to_owned()).collect(),
        description: String::new(),
        active: true,
        private_addresses: true,
    }
}

/// Turns the relay and the deliveries until there is nothing to do now.
async fn settle(till: &TestTill) {
    while till.events.relay().await.expect("a relay") + till.events.deliver().await.expect("deliveries") > 0 {
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn what_follows_from_an_order_is_done_once_however_often_the_relay_turns() {
    let till = TestTill::start().await;
    let quoted = till.worked_example().await;
    let view = till.submit(&quoted.id, json!({})).await;
    assert_eq!(view.phase, Phase::Confirmed);
    let (one, other) = tokio::join!(till.events.relay(), till.events.relay());
    assert!(one.expect("a relay") + other.expect("a relay") > 0);
    settle(&till).await;

    let log = till.events.log(MERCHANT, view.order.as_ref().map(|o| o.id.as_str()), 0, 100).await.unwrap();
    let events: Vec<Value> = log.iter().map(|(_, text)| serde_json::from_str(text).expect("JSON")).collect();
    let topics: Vec<&str> = events.iter().map(|event| event["type"].as_str().expect("a topic")).collect();
    assert_eq!(
        topics,
        [
            "order.created",
            "payment.completed",
            "order.status.updated",
            "order.processing",
            "order.status.updated"
        ]
    );
    let positions: Vec<i64> = log.iter().map(|(position, _)| *position).collect();
    assert!(positions.is_sorted() && positions.windows(2).all(|two| two[0] != two[1]), "{positions:?}");
    let created = &log[0].1;
    for exact in [
        "\"total\":471.17",
        "\"tax\":35.20",
        "\"discounts\":80.00",
        "\"unitPrice\":249.99",
        "\"shipping\":15.99",
    ] {
        assert!(created.contains(exact), "{exact}: {created}");
    }
    let data = &events[0]["data"];
    assert_eq!(
        (&data["status"], &data["loyalty"]),
        (&json!("CONFIRMED"), &json!({ "pointsEarned": 471, "pointsUsed": 500 }))
    );
    assert_eq!(data["customer"]["tier"], "gold");
    assert_eq!(events[0]["specversion"], "1.0");
    let order = &till.orders(CUSTOMER).await[0];
    let statuses: Vec<&str> = order.timeline.iter().map(|entry| entry.status.as_str()).collect();
    assert_eq!(statuses, ["PENDING_PAYMENT", "CONFIRMED", "PROCESSING"]);

    let mut tx = till.store.read().await.unwrap();
    let value = tx.customer_value(MERCHANT, CUSTOMER).await.unwrap();
    assert_eq!((value.len(), value[0].orders, value[0].spent), (1, 1, 47_117));
    let sold = tx.metrics(MERCHANT, "product", ("2024-01-01", "2024-12-31"), 10).await.unwrap();
    assert_eq!((sold.len(), sold[0].count, sold[0].amount), (1, 2, 49_998));
    let code = tx.metrics(MERCHANT, "promotion", ("2024-01-01", "2024-12-31"), 10).await.unwrap();
    assert_eq!((code[0].label.as_str(), code[0].count, code[0].amount), ("SUMMER2024", 1, 7_500));
    let told = tx.notifications(MERCHANT, CUSTOMER, true, (i64::MAX, ""), 10).await.unwrap();
    assert_eq!((told.len(), told[0].kind.as_str()), (1, "order_confirmation"));
    assert!(told[0].body.contains(&order.number), "{told:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_payment_that_fails_is_told_and_counts_nothing() {
    let till = TestTill::start().await;
    let quoted = till.worked_example().await;
    let view = till.submit(&quoted.id, paying_with("PM-declined")).await;
    assert_eq!(view.problem.as_ref().map(|p| &p["code"]), Some(&json!("payment-declined")), "{view:?}");
    assert_eq!(till.orders(CUSTOMER).await[0].status, "PAYMENT_FAILED");
    settle(&till).await;
    let log = till.events.log(MERCHANT, None, 0, 1_000).await.unwrap();
    let failed: Vec<&String> =
        log.iter().map(|(_, text)| text).filter(|text| text.contains("\"payment.failed\"")).collect();
    assert!(failed.len() == 1 && failed[0].contains("PAYMENT_FAILED"), "{log:?}");
    let mut tx = till.store.read().await.unwrap();
    let told = tx.notifications(MERCHANT, CUSTOMER, true, (i64::MAX, ""), 10).await.unwrap();
    assert_eq!((told.len(), told[0].kind.as_str()), (1, "payment_failed"));
    assert!(tx.customer_value(MERCHANT, CUSTOMER).await.unwrap().is_empty());
    assert!(tx.metrics(MERCHANT, "orders", ("2024-01-01", "2024-12-31"), 10).await.unwrap().is_empty());
}

#[tokio::test(flavor = "multi_thread")]
async fn an_endpoint_is_tried_again_with_growing_pauses_under_one_id_until_it_is_given_up() {
    let till = TestTill::start().await;
    let endpoint = Endpoint::open().await;
    let made = till.events.add_webhook(MERCHANT, hook(&endpoint.url, &["order.created"])).await.unwrap();
    endpoint.answers(&["500 Broken", "503 Later\r\nretry-after: 900"]);
    let quoted = till.worked_example().await;
    till.submit(&quoted.id, json!({})).await;
    settle(&till).await;
    assert_eq!(endpoint.posted().len(), 1);
    till.advance(Duration::from_secs(4)).await;
    settle(&till).await;
    assert_eq!(endpoint.posted().len(), 1, "the first pause has 5 s");
    till.advance(Duration::from_secs(1)).await;
    settle(&till).await;
    assert_eq!(endpoint.posted().len(), 2);
    till.advance(Duration::from_secs(899)).await;
    settle(&till).await;
    assert_eq!(endpoint.posted().len(), 2, "it asked for 900 s");
    till.advance(Duration::from_secs(1)).await;
    settle(&till).await;
    let posted = endpoint.posted();
    assert_eq!(posted.len(), 3);
    assert!(posted.iter().all(|one| one.is_signed_with(&made.secret)), "{posted:?}");
    assert!(posted.iter().all(|one| one.header("webhook-id") == posted[0].header("webhook-id")));
    assert!(posted.iter().all(|one| one.body == posted[0].body), "the same bytes each time");
    let state = &till.events.deliveries(MERCHANT, &made.webhook.id, i64::MAX, 10).await.unwrap()[0];
    assert_eq!((state.state, state.attempts, state.told.as_str()), ("delivered", 3, "200 ok"));

    // One that never takes it: ten tries in two days, then it is dead, until the merchant asks for it again.
    endpoint.answers(&["500 Broken"; 10]);
    let quoted = till.worked_example().await;
    till.submit(&quoted.id, json!({})).await;
    for _ in 0..12 {
        settle(&till).await;
        till.advance(Duration::from_secs(36_000)).await;
    }
    assert_eq!(endpoint.posted().len(), 13);
    let state = &till.events.deliveries(MERCHANT, &made.webhook.id, i64::MAX, 10).await.unwrap()[0];
    assert_eq!((state.state, state.attempts), ("dead", 10));
    let dead = Replay { from: 0, dead_only: true };
    assert_eq!(till.events.replay(MERCHANT, &made.webhook.id, dead).await.unwrap(), 1);
    settle(&till).await;
    assert_eq!(endpoint.posted().len(), 14);
    let all = Replay { from: 0, dead_only: false };
    assert_eq!(till.events.replay(MERCHANT, &made.webhook.id, all).await.unwrap(), 2);
    settle(&till).await;
    assert_eq!(endpoint.posted().len(), 16);
    let foreign = till.events.replay("other", &made.webhook.id, all).await;
    assert!(matches!(foreign, Err(WebhookError::NotFound(_))), "{foreign:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn an_endpoint_that_is_gone_is_not_asked_again_and_hurts_no_other() {
    let till = TestTill::start().await;
    let (gone, good) = (Endpoint::open().await, Endpoint::open().await);
    gone.answers(&["410 Gone"; 5]);
    let dead =
        till.events.add_webhook(MERCHANT, hook(&gone.url, &["order.*", "payment.*"])).await.unwrap().webhook;
    till.events.add_webhook(MERCHANT, hook(&good.url, &["order.*"])).await.unwrap();
    let quoted = till.worked_example().await;
    till.submit(&quoted.id, json!({})).await;
    settle(&till).await;
    till.advance(Duration::from_secs(86_400)).await;
    settle(&till).await;
    assert_eq!(gone.posted().len(), 5, "each event was told once");
    let states = till.events.deliveries(MERCHANT, &dead.id, i64::MAX, 10).await.unwrap();
    assert!(states.iter().all(|state| state.state == "dead"), "{states:?}");
    assert_eq!(good.posted().len(), 4, "all but the payment");
}

#[tokio::test(flavor = "multi_thread")]
async fn inner_addresses_are_not_told_without_leave() {
    let till = TestTill::start().await;
    let endpoint = Endpoint::open().await;
    let https = endpoint.url.replace("http://", "https://");
    for url in [https.clone(), https.replace("127.0.0.1", "localhost")] {
        let body = WebhookBody { private_addresses: false, ..hook(&url, &["order.created"]) };
        till.events.add_webhook(MERCHANT, body).await.unwrap();
    }
    let quoted = till.worked_example().await;
    till.submit(&quoted.id, json!({})).await;
    settle(&till).await;
    for webhook in till.events.webhooks(MERCHANT).await.unwrap() {
        let state = &till.events.deliveries(MERCHANT, &webhook.id, i64::MAX, 10).await.unwrap()[0];
        assert!(state.told.contains("private address"), "{state:?}");
    }
    assert!(endpoint.posted().is_empty());
}

/// What a customer wants can be read by nobody: whatever wrote it, the log goes on for everybody else.
#[tokio::test(flavor = "multi_thread")]
async fn one_odd_fact_is_in_the_log_and_stops_nobody_elses() {
    let till = TestTill::start().await;
    let odd = till.store.transact(|tx| {
        Box::pin(async move { tx.put_preference(MERCHANT, CUSTOMER, "{\"locale\": 7}", 1).await })
    });
    odd.await.expect("it is written");
    let quoted = till.worked_example().await;
    let first = till.submit(&quoted.id, json!({})).await.order.expect("an order");
    till.stock_is(10).await;
    till.shop.put_customer(MERCHANT, &till_tests::customer("CUST-2"), 0).await.expect("a customer");
    let quoted = till.session("CUST-2", 1).await;
    let address = json!({ "shipping_method": "standard", "payment_method": "PM-001" });
    till.shop
        .edit(MERCHANT, "CUST-2", &quoted.id, address.as_object().cloned().expect("fields"), None)
        .await
        .expect("an edit");
    let second =
        till.submit_as("CUST-2", &quoted.id, json!({})).await.expect("a submit").order.expect("an order");
    settle(&till).await;
    let log = async |order: &str| till.events.log(MERCHANT, Some(order), 0, 100).await.expect("the log");
    let topics = |log: &[(i64, String)]| -> Vec<String> {
        let all = log.iter().map(|(_, text)| serde_json::from_str::<Value>(text).expect("JSON"));
        all.map(|event| event["type"].as_str().expect("a topic").to_owned()).collect()
    };
    assert!(topics(&log(&second.id).await).contains(&"order.processing".to_owned()), "the other goes on");
    let all = till.events.log(MERCHANT, None, 0, 100).await.expect("the log");
    assert!(all.iter().any(|(_, text)| text.contains(&first.id)), "the odd one is in the log: {all:?}");
    let told =
        till.store.read().await.unwrap().notifications(MERCHANT, "CUST-2", true, (i64::MAX, ""), 10).await;
    assert_eq!(told.expect("notifications").len(), 1);
}

#[tokio::test(flavor = "multi_thread")]
async fn an_endpoint_that_never_answers_keeps_no_other_waiting() {
    let till = TestTill::start().await;
    let silent = tokio::net::TcpListener::bind("127.0.0.1:0").await.expect("a free port");
    let address = silent.local_addr().expect("an address");
    let holding = tokio::spawn(async move {
        let mut streams = Vec::new();
        while let Ok((stream, _)) = silent.accept().await {
            streams.push(stream);
        }
    });
    let other = Endpoint::open().await;
    for url in [format!("http://{address}/hooks"), other.url.clone()] {
        till.events.add_webhook(MERCHANT, hook(&url, &["*"])).await.expect("an endpoint");
    }
    let order = async |customer: &str| {
        till.shop.put_customer(MERCHANT, &till_tests::customer(customer), 0).await.expect("a customer");
        let session = till.session(customer, 1).await;
        let chosen = json!({ "shipping_method": "standard", "payment_method": "PM-001" });
        let chosen = chosen.as_object().cloned().expect("fields");
        till.shop.edit(MERCHANT, customer, &session.id, chosen, None).await.expect("an edit");
        let done = till.submit_as(customer, &session.id, json!({})).await.expect("a submit");
        till.events.relay().await.expect("a relay");
        done.order.expect("an order").id
    };
    order("CUST-1").await;
    let events = till.events.clone();
    let delivering = tokio::spawn(async move { events.deliver().await });
    until("the first order is told", async || !other.of("order.created").is_empty()).await;
    let second = order("CUST-2").await;
    until("the second order is told beside the silent endpoint", async || {
        other.posted().iter().any(|one| one.body.contains(&second))
    })
    .await;
    delivering.abort();
    holding.abort();
}

/// Asks until it is so.
async fn until(what: &str, mut so: impl AsyncFnMut() -> bool) {
    let begun = std::time::Instant::now();
    while !so().await {
        assert!(begun.elapsed() < PATIENCE, "{what}");
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
}

impl Shop {
    async fn add_hook(&self, url: &str) -> Value {
        let body = json!({ "url": url, "topics": ["order.created"], "allowPrivateAddresses": true });
        let admin = token("ana", "admin");
        let (status, made) = self.as_other(&admin, "POST", "/api/v1/admin/webhooks", Some(&body)).await;
        assert_eq!(status, 201, "{made}");
        made
    }
}

/// Each part of the way once, whatever else happens: in the log, what follows, at the endpoint, after the endpoint.
#[tokio::test(flavor = "multi_thread")]
async fn killed_on_the_way_of_an_event_everything_is_counted_once_and_the_endpoint_sees_one_id() {
    for (point, posts) in [("relay.in-tx:1", 1), ("relay.in-tx:2", 1), ("delivery.sent.before-noted:1", 2)] {
        let mut shop = open().await;
        let endpoint = Endpoint::open().await;
        shop.add_hook(&endpoint.url).await;
        let session = shop.session().await;
        // What setting up the shop has caused is told; the next turn of the relay is the order's.
        tokio::time::sleep(Duration::from_secs(1)).await;
        shop.restart_until(point);
        let submit = submit_body(&session, "PM-001");
        // The host may be gone before it has answered.
        let _ = shop.host.call("POST", "/api/v1/checkout/submit", "", Some(&submit)).await;
        let begun = std::time::Instant::now();
        while !shop.host.is_gone() {
            assert!(begun.elapsed() < PATIENCE, "{point} was not passed");
        }
        shop.restart();
        until("the endpoint is told", async || endpoint.posted().len() == posts).await;
        until("the order is processed", async || {
            shop.call("GET", "/api/v1/orders", None).await.1["orders"][0]["status"] == "PROCESSING"
        })
        .await;
        let posted = endpoint.posted();
        assert!(
            posted.iter().all(|one| one.header("webhook-id") == posted[0].header("webhook-id")),
            "{posted:?}"
        );
        let (_, list) = shop.call("GET", "/api/v1/notifications", None).await;
        assert_eq!(list["unread"], 1, "{point}: {list}");
        let Shop { host, folder, .. } = shop;
        host.kill();
        let path = folder.path().join("till.db");
        let store = Store::open(&Options::new(path.to_str().expect("UTF-8"))).await.expect("open");
        let mut tx = store.read().await.expect("read");
        let value = tx.customer_value("demo", "CUST-12345").await.expect("a value");
        assert_eq!((value.len(), value[0].orders), (1, 1), "{point}: {value:?}");
        let sold = tx.metrics("demo", "product", ("2000-01-01", "2999-12-31"), 10).await.expect("metrics");
        assert_eq!((sold.len(), sold[0].count), (1, 2), "{point}: {sold:?}");
        assert_eq!(endpoint.posted().len(), posts, "{point}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn an_order_is_told_to_the_endpoint_and_to_the_shopper_and_is_processed() {
    let shop = open().await;
    let endpoint = Endpoint::open().await;
    let made = shop.add_hook(&endpoint.url).await;
    let session = shop.session().await;
    let submit = submit_body(&session, "PM-001");
    let (status, order) = shop.call("POST", "/api/v1/checkout/submit", Some(&submit)).await;
    assert_eq!((status, &order["status"]), (201, &json!("CONFIRMED")), "{order}");
    until("the endpoint is told", async || !endpoint.posted().is_empty()).await;
    let posted = &endpoint.posted()[0];
    assert!(posted.is_signed_with(made["secret"].as_str().expect("a secret")));
    assert_eq!(posted.event()["data"]["orderNumber"], order["orderNumber"]);
    let path = format!("/api/v1/orders/{}", order["orderId"].as_str().expect("an id"));
    until("the order is processed", async || shop.call("GET", &path, None).await.1["status"] == "PROCESSING")
        .await;
    let stranger = token("somebody", "");
    problem(&shop.as_other(&stranger, "GET", &format!("{path}/events"), None).await, 404, "order");
    // The same submit again tells what it came to, not what became of it since.
    let (status, again) = shop.call("POST", "/api/v1/checkout/submit", Some(&submit)).await;
    assert_eq!((status, &again["status"]), (201, &json!("CONFIRMED")), "{again}");

    let (status, list) = shop.call("GET", "/api/v1/notifications?unread=true", None).await;
    assert_eq!((status, &list["unread"]), (200, &json!(1)), "{list}");
    let told = &list["notifications"][0];
    assert_eq!(
        (&told["type"], &told["content"]["title"]),
        (&json!("order_confirmation"), &json!("Order Confirmed"))
    );
    let read = format!("/api/v1/notifications/{}/read", told["id"].as_str().expect("an id"));
    let stranger = shop.as_other(&token("somebody", ""), "POST", &read, None).await;
    problem(&stranger, 404, "notification");
    assert_eq!(shop.call("POST", &read, None).await, (200, json!({ "read": 1 })));
    assert_eq!(shop.call("POST", &read, None).await, (200, json!({ "read": 0 })));
    assert_eq!(shop.call("GET", "/api/v1/notifications", None).await.1["unread"], 0);

    let admin = token("ana", "admin");
    let (_, log) = shop.as_other(&admin, "GET", "/api/v1/admin/events?limit=200", None).await;
    let topics: Vec<&Value> = log["events"].as_array().expect("events").iter().map(|e| &e["type"]).collect();
    assert!(
        topics.contains(&&json!("order.created")) && topics.contains(&&json!("order.processing")),
        "{log}"
    );
    let sold = "/api/v1/admin/analytics/product?from=2000-01-01&to=2999-12-31";
    let (status, before) = shop.as_other(&admin, "GET", sold, None).await;
    assert_eq!(status, 200, "{before}");
    let row = &before["rows"][0];
    assert_eq!((&row["label"], &row["count"]), (&json!("PROD-12345"), &json!(2)), "{before}");
    assert_eq!((row["amount"].to_string().as_str(), &row["currency"]), ("499.98", &json!("USD")), "{before}");
    let again = shop.as_other(&admin, "POST", "/api/v1/admin/analytics/rebuild", None).await;
    assert_eq!(again, (200, json!({ "orders": 1 })));
    assert_eq!(shop.as_other(&admin, "GET", sold, None).await.1, before, "counted again it is the same");
    let csv = shop.as_other(&admin, "GET", &format!("{sold}&format=csv"), None).await.1;
    assert!(csv.as_str().is_some_and(|csv| csv.contains(",PROD-12345,2,499.98,USD\n")), "{csv}");
    for wrong in ["from=2024-02-31&to=2024-03-01", "from=2024-03-01&to=2024-02-01", "to=2024-02-01"] {
        let path = format!("/api/v1/admin/analytics/orders?{wrong}");
        problem(&shop.as_other(&admin, "GET", &path, None).await, 422, "");
    }
    problem(&shop.as_other(&token("ana", ""), "GET", sold, None).await, 403, "admin");
    let hooks = "/api/v1/admin/webhooks";
    let (_, list) = shop.as_other(&admin, "GET", hooks, None).await;
    assert!(list["webhooks"][0].get("secret").is_none(), "{list}");
    let id = made["id"].as_str().expect("an id");
    let foreign = token_for("other", "ana", "admin", 60);
    for (method, path) in [("GET", format!("{hooks}/{id}/deliveries")), ("DELETE", format!("{hooks}/{id}"))] {
        problem(&shop.as_other(&foreign, method, &path, None).await, 404, "webhook");
        problem(&shop.as_other(&token("ana", ""), method, &path, None).await, 403, "admin");
    }
    let path = format!("{hooks}/{id}/deliveries");
    let (_, told) = shop.as_other(&admin, "GET", &path, None).await;
    assert_eq!(told["deliveries"][0]["state"], "delivered", "{told}");
    let wrong = json!({ "url": "http://shop.example", "topics": ["order.creatd"] });
    problem(&shop.as_other(&admin, "POST", hooks, Some(&wrong)).await, 422, "url");
    assert_eq!(shop.as_other(&admin, "DELETE", &format!("{hooks}/{id}"), None).await.0, 204);
}

/// Reads a stream until it has so many events: `(id, event, data)`.
async fn read_stream(
    shop: &Shop,
    path: &str,
    last: Option<&str>,
    wanted: usize,
) -> Vec<(String, String, Value)> {
    let client = reqwest::Client::builder().no_proxy().build().expect("a client");
    let mut request = client.get(format!("{}{path}", shop.host.url)).bearer_auth(token("CUST-12345", ""));
    if let Some(last) = last {
        request = request.header("last-event-id", last);
    }
    let mut response = request.send().await.expect("an answer");
    assert_eq!(response.headers()["content-type"], "text/event-stream");
    let (mut text, mut events) = (String::new(), Vec::new());
    while events.len() < wanted {
        let chunk = tokio::time::timeout(PATIENCE, response.chunk()).await.expect("more in time");
        text.push_str(&String::from_utf8_lossy(&chunk.expect("a stream").expect("it goes on")));
        while let Some((one, rest)) = text.split_once("\n\n") {
            let field = |name: &str| {
                let line = one.lines().find_map(|line| line.strip_prefix(&format!("{name}: ")));
                line.unwrap_or_default().to_owned()
            };
            if !field("event").is_empty() {
                let data = serde_json::from_str(&field("data")).expect("JSON");
                events.push((field("id"), field("event"), data));
            }
            text = rest.to_owned();
        }
    }
    events
}

#[tokio::test(flavor = "multi_thread")]
async fn an_order_is_followed_and_a_client_that_comes_again_goes_on_where_it_was() {
    let mut shop = open().await;
    let session = shop.session().await;
    let submit = submit_body(&session, "PM-001");
    let (status, order) = shop.call("POST", "/api/v1/checkout/submit", Some(&submit)).await;
    assert_eq!(status, 201, "{order}");
    let path = format!("/api/v1/orders/{}/events", order["orderId"].as_str().expect("an id"));
    let all = read_stream(&shop, &path, None, 5).await;
    let names: Vec<&str> = all.iter().map(|(_, name, _)| name.as_str()).collect();
    assert_eq!(
        names,
        [
            "order_created",
            "payment_completed",
            "order_status_updated",
            "order_processing",
            "order_status_updated"
        ]
    );
    assert_eq!((&all[2].2["status"], &all[4].2["status"]), (&json!("CONFIRMED"), &json!("PROCESSING")));
    shop.restart();
    assert_eq!(read_stream(&shop, &path, Some(&all[2].0), 2).await, all[3..]);
    let answer = shop.call("GET", &path.replace("ord_", "ord_x"), None).await;
    problem(&answer, 404, "order");
}
