//! The whole flow as people outside see it: the shopper's page and app, the shopper's mail and phone, the merchant's
//! endpoint and figures. The real binary, a payment provider, a carrier, a mail server and a provider of text messages.

mod giving;
mod learning;
mod parcels;
mod paying;
mod shopping;
mod stock;
mod telling;

use std::time::{Duration, Instant};

use base64::Engine as _;
use serde_json::{Value, json};
use till_tests::endpoint::Endpoint;
use till_tests::host::{submit_body, token};
use till_tests::smtp::MailSink;
use till_tests::{CUSTOMER, MERCHANT, PATIENCE};

use crate::http::{Shop, open, open_with};
use crate::socket;

const PHONE: &str = "+14155550123";

struct Outside {
    shop: Shop,
    admin: String,
    mail: MailSink,
    phone: Endpoint,
    hooks: Endpoint,
    secret: String,
}

impl Outside {
    async fn open() -> Outside {
        let (mail, phone, hooks) = (MailSink::open().await, Endpoint::open().await, Endpoint::open().await);
        let smtp = format!(
            "[smtp]\nhost = \"127.0.0.1\"\nport = {}\ntls = \"none\"\ndomain = \"till.example\"\n",
            mail.port
        );
        let shop = open_with(&smtp).await;
        let admin = token("ann", "admin operator");
        let mut out = Outside { shop, admin, mail, phone, hooks, secret: String::new() };
        let (_, mut settings) = out.admin("GET", "/api/v1/admin/settings", None).await;
        settings["notifications"] = json!({
            "name": "Shop",
            "email": { "from": "shop@example.com" },
            "sms": { "url": out.phone.url, "private_addresses": true, "body": { "to": "{to}", "text": "{text}" } },
        });
        out.done("PUT", "/api/v1/admin/settings", settings).await;
        let buyer = json!({ "email": "jane@example.com", "phone": PHONE, "tier": "gold", "points": 1250 });
        out.done("PUT", &format!("/api/v1/admin/customers/{CUSTOMER}"), buyer).await;
        let hook = json!({ "url": out.hooks.url, "topics": ["*"], "allowPrivateAddresses": true });
        let made = out.done("POST", "/api/v1/admin/webhooks", hook).await;
        out.secret = made["secret"].as_str().expect("a secret").to_owned();
        out
    }

    async fn admin(&self, method: &str, path: &str, body: Option<&Value>) -> (u16, Value) {
        self.shop.as_other(&self.admin, method, path, body).await
    }

    async fn done(&self, method: &str, path: &str, body: Value) -> Value {
        let (status, answer) = self.admin(method, path, Some(&body)).await;
        assert!((200..300).contains(&status), "{method} {path}: {answer}");
        answer
    }

    async fn look(&self, path: &str) -> Value {
        let (status, answer) = self.shop.call("GET", path, None).await;
        assert_eq!(status, 200, "{path}: {answer}");
        answer
    }

    /// Looks until it is so.
    async fn until(&self, path: &str, so: impl Fn(&Value) -> bool) -> Value {
        let begun = Instant::now();
        loop {
            let whose = if path.starts_with("/api/v1/admin/") { &self.admin } else { "" };
            let (status, answer) = match whose {
                "" => self.shop.call("GET", path, None).await,
                admin => self.shop.as_other(admin, "GET", path, None).await,
            };
            if status == 200 && so(&answer) {
                return answer;
            }
            assert!(begun.elapsed() < PATIENCE, "{path}: {answer}");
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
    }

    /// The same for a shopper's request that is to be answered so.
    async fn until_answered(&self, wanted: u16, method: &str, path: &str, body: Option<&Value>) -> Value {
        let begun = Instant::now();
        loop {
            let (status, answer) = self.shop.call(method, path, body).await;
            if status == wanted {
                return answer;
            }
            assert!(begun.elapsed() < PATIENCE, "{path}: {status} {answer}");
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
    }

    /// Kinds told in the app, sorted.
    async fn told(&self) -> Vec<String> {
        let list = self.look("/api/v1/notifications?limit=50").await;
        let all = list["notifications"].as_array().expect("a list").iter();
        let mut kinds: Vec<String> = all.map(|one| text(&one["type"])).collect();
        kinds.sort();
        kinds
    }

    /// What each event was told as, by id: the endpoint may be told twice, under the same id.
    fn events(&self) -> Vec<String> {
        let mut ids = std::collections::BTreeMap::new();
        for one in self.hooks.posted() {
            assert!(one.is_signed_with(&self.secret));
            ids.insert(one.header("webhook-id").to_owned(), text(&one.event()["type"]));
        }
        ids.into_values().collect()
    }

    /// Whatever the administrator reads.
    async fn read(&self, path: &str) -> Value {
        let (status, answer) = self.admin("GET", path, None).await;
        assert_eq!(status, 200, "{path}: {answer}");
        answer
    }

    /// What a shopper sends and is taken.
    async fn send(&self, method: &str, path: &str, body: Value) -> Value {
        let (status, answer) = self.shop.call(method, path, Some(&body)).await;
        assert!((200..300).contains(&status), "{method} {path}: {answer}");
        answer
    }

    /// Changes a setting.
    async fn set(&self, name: &str, value: Value) {
        let mut settings = self.read("/api/v1/admin/settings").await;
        settings[name] = value;
        self.done("PUT", "/api/v1/admin/settings", settings).await;
    }

    /// Uses a component of the repository from the next checkout on.
    async fn bind(&self, slot: &str, name: &str, guest: &str, more: Value) {
        let wasm = base64::engine::general_purpose::STANDARD.encode(till_tests::guest(guest));
        let mut push = json!({ "slot": slot, "name": name, "wasmBase64": wasm });
        put_all(&mut push, &more);
        self.done("POST", "/api/v1/admin/components", push).await;
    }

    /// Puts so many headphones into the cart.
    async fn add(&self, quantity: u32) -> Value {
        let item = json!({ "productId": "PROD-12345", "quantity": quantity });
        self.send("POST", "/api/v1/cart/items", item).await
    }

    /// A session of two headphones, submitted so.
    async fn submit(&self, with: Value) -> (u16, Value) {
        let mut body = submit_body(&self.shop.session().await, "PM-001");
        put_all(&mut body, &with);
        self.shop.call("POST", "/api/v1/checkout/submit", Some(&body)).await
    }

    /// The same; it is bought.
    async fn buy(&self, with: Value) -> Value {
        let (status, order) = self.submit(with).await;
        assert_eq!((status, &order["status"]), (201, &json!("CONFIRMED")), "{order}");
        order
    }

    /// The parcels of an order, when there are so many and all of them are booked.
    async fn parcels(&self, order: &Value, count: usize) -> Vec<Value> {
        let path = format!("/api/v1/admin/shipments?orderId={}", text(&order["orderId"]));
        let all = self.until(&path, |all| {
            let parcels = all["shipments"].as_array().expect("a list");
            parcels.len() == count && parcels.iter().all(|one| one["status"] == "READY")
        });
        all.await["shipments"].as_array().expect("a list").clone()
    }

    /// Waits for something that no route tells.
    async fn when(&self, what: &str, so: impl Fn(&Outside) -> bool) {
        let begun = Instant::now();
        while !so(self) {
            assert!(begun.elapsed() < PATIENCE, "{what}: {:?}", self.events());
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
    }

    /// How often an event of this name was told.
    fn heard(&self, topic: &str) -> usize {
        self.events().iter().filter(|known| *known == topic).count()
    }
}

fn put_all(body: &mut Value, more: &Value) {
    for (name, value) in more.as_object().expect("fields") {
        body[name] = value.clone();
    }
}

fn text(value: &Value) -> String {
    value.as_str().unwrap_or_else(|| panic!("a text: {value}")).to_owned()
}

const DAY_S: u64 = 24 * 3_600;

/// A time so many seconds from now by the machine's clock, as it is written.
#[expect(clippy::disallowed_methods, reason = "the host under test goes by the wall clock")]
fn from_now(seconds: u64) -> String {
    let ahead = jiff::SignedDuration::from_secs(i64::try_from(seconds).expect("some days"));
    (jiff::Timestamp::now() + ahead).to_string()
}

/// All days, for reports.
const DAYS: &str = "from=2000-01-01&to=2999-12-31";

#[tokio::test(flavor = "multi_thread")]
async fn the_worked_example_from_the_shelf_to_the_review_is_seen_from_outside() {
    let mut out = Outside::open().await;
    // The shelf, the cart, the checkout.
    let shelf = out.look("/api/v1/catalog/products?q=headphones").await;
    assert_eq!(shelf["products"][0]["id"], "PROD-12345", "{shelf}");
    let session = out.shop.session().await;
    let (_, valid) = out.shop.call("POST", "/api/v1/cart/validate", None).await;
    assert_eq!(valid["isValid"], true, "{valid}");
    let before = out.look("/api/v1/loyalty").await;
    let mut submit = submit_body(&session, "PM-001");
    submit["loyaltyPointsToUse"] = json!(500);
    let (status, order) = out.shop.call("POST", "/api/v1/checkout/submit", Some(&submit)).await;
    assert_eq!((status, &order["status"]), (201, &json!("CONFIRMED")), "{order}");
    assert!(order.to_string().contains("471.17"), "{order}");
    let id = text(&order["orderId"]);

    // The page that follows it.
    let room = format!("order_{id}");
    let mut page = socket::socket(&out.shop, &token(CUSTOMER, "")).await.expect("a socket");
    socket::say(&mut page, json!({ "type": "join", "room": room })).await;
    assert_eq!(socket::told(&mut page).await.expect("an answer")["type"], "joined");
    socket::until(&mut page, "order_processing").await;

    // What follows: the cart is empty, points moved, the merchant's figures counted, everybody told.
    assert_eq!(out.look("/api/v1/cart").await["cart"]["items"], json!([]));
    let after = out.look("/api/v1/loyalty").await;
    assert_ne!(before, after, "points were used and earned");
    out.until(&format!("/api/v1/admin/analytics/orders?{DAYS}"), |all| all["rows"][0]["count"] == 1).await;
    let value = out.until(&format!("/api/v1/admin/customers/{CUSTOMER}"), |_| true).await;
    assert!(value.to_string().contains("471.17"), "{value}");

    // The parcel goes its way; the carrier tells everything twice.
    let path = format!("/api/v1/admin/shipments?orderId={id}");
    let parcels = out.until(&path, |all| all["shipments"][0]["status"] == "READY").await;
    let shipment = text(&parcels["shipments"][0]["shipmentId"]);
    let hook = format!("{}/webhooks/{MERCHANT}/carriers/default", out.shop.host.url);
    out.shop.simulator.scans_to(&hook, "whsec", "twice").await;
    let tracking = format!("/api/v1/orders/{id}/tracking");
    let courier = json!({ "name": "Sam", "phone": "+14155550100", "rating_tenths": 48 });
    for (scan, status) in [
        (json!({ "kind": "picked_up", "place": "Oakland" }), "SHIPPED"),
        (json!({ "kind": "out_for_delivery", "partner": courier, "eta_minutes": 30 }), "OUT_FOR_DELIVERY"),
        (json!({ "kind": "location", "position": [37_774_900, -122_419_400] }), "OUT_FOR_DELIVERY"),
        (json!({ "kind": "delivered", "text": "Left with Ada" }), "DELIVERED"),
    ] {
        out.shop.simulator.scan(&shipment, &scan).await;
        out.until(&tracking, |seen| seen["status"] == status).await;
    }
    let seen = socket::until(&mut page, "feedback_requested").await;
    let moved: Vec<String> = seen
        .iter()
        .filter(|one| one["event"] == "order_status_updated")
        .map(|one| text(&one["data"]["status"]))
        .filter(|status| status != "PROCESSING")
        .collect();
    assert_eq!(moved, ["SHIPPED", "OUT_FOR_DELIVERY", "DELIVERED"], "each once, though told twice");
    assert!(seen.iter().any(|one| one["event"] == "delivery_location_updated"), "{seen:?}");

    let said = json!({ "rating": 5, "deliveryRating": 5, "products": [{ "sku": "SKU-ABC-001", "rating": 5, "comment": "Loud" }] });
    let (status, answer) = out.shop.call("PUT", &format!("/api/v1/orders/{id}/feedback"), Some(&said)).await;
    assert_eq!(status, 200, "{answer}");
    assert_eq!(out.look("/api/v1/catalog/products/PROD-12345/reviews").await["count"], 1);
    let funnel = format!("/api/v1/admin/analytics/reports/funnel?{DAYS}");
    let funnel = out.until(&funnel, |all| all["rows"][3]["stage"] == "delivered").await;
    assert!(funnel["rows"].as_array().expect("rows").iter().all(|row| row["checkouts"] == 1), "{funnel}");

    // Mail, phone and app have the same five letters, and the endpoint every event.
    let kinds =
        ["feedback_request", "order_confirmation", "order_delivered", "order_shipped", "out_for_delivery"];
    assert_eq!(out.told().await, kinds);
    let begun = Instant::now();
    let enough = |out: &Outside| {
        out.mail.mails().len() == kinds.len()
            && out.phone.posted().len() == kinds.len()
            && out.events().contains(&"feedback.received".to_owned())
    };
    while !enough(&out) {
        assert!(
            begun.elapsed() < PATIENCE,
            "{} letters, {} messages",
            out.mail.mails().len(),
            out.phone.posted().len()
        );
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
    let mut letters: Vec<String> = out.mail.mails().iter().map(|mail| mail.header("Message-ID")).collect();
    letters.sort();
    letters.dedup();
    assert_eq!(letters.len(), kinds.len(), "one id for each letter");
    let events = out.events();
    for (topic, times) in
        [("order.created", 1), ("payment.completed", 1), ("order.processing", 1), ("order.status.updated", 5)]
    {
        assert_eq!(events.iter().filter(|known| *known == topic).count(), times, "{topic}: {events:?}");
    }

    // The host dies. Nothing is told anew, and everything is there.
    out.shop.restart();
    out.until(&tracking, |seen| seen["status"] == "DELIVERED").await;
    assert_eq!(out.told().await, kinds);
    assert_eq!((out.mail.mails().len(), out.phone.posted().len()), (kinds.len(), kinds.len()));
    assert_eq!(out.events().len(), events.len());
    let orders = out.look("/api/v1/orders").await;
    assert_eq!(orders["orders"].as_array().map(Vec::len), Some(1), "{orders}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_host_that_is_asked_to_stop_answers_what_it_has_begun_and_ends_well() {
    let shop = open().await;
    let session = shop.session().await;
    let submit = submit_body(&session, "PM-001");
    shop.simulator.behave("authorize", "timeout_after").await;
    let url = format!("{}/api/v1/checkout/submit", shop.host.url);
    let client = reqwest::Client::builder().no_proxy().build().expect("a client");
    let sent =
        client.post(url).bearer_auth(token(CUSTOMER, "")).header("prefer", "wait=20").json(&submit).send();
    let asked = tokio::spawn(sent);
    let mut page = socket::socket(&shop, &token(CUSTOMER, "")).await.expect("a socket");
    // The provider has the request, and does not answer for a while.
    let begun = Instant::now();
    while shop.simulator.count("authorize").await == 0 {
        assert!(begun.elapsed() < PATIENCE, "the provider is asked");
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
    shop.host.ask_to_stop();
    let answer = asked.await.expect("it is not given up").expect("an answer, though the host stops");
    assert!([201, 202].contains(&answer.status().as_u16()), "{answer:?}");
    assert_eq!(socket::told(&mut page).await, Err(1001), "pages are told to come again");
    let Shop { host, simulator, folder } = shop;
    assert!(host.ended().await, "it ends well");
    drop((simulator, folder));
}
