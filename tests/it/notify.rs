//! Notifications outside the app: mail to a real SMTP server, text messages to a provider, and who wants which.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use serde_json::{Value, json};
use till_commerce::catalog::Customer;
use till_commerce::events::Events;
use till_commerce::events::Replay;
use till_commerce::events::notify::{Channels, DeliverySought, Preferences};
use till_commerce::settings::{MailSettings, NotificationSettings, Settings, SmsSettings};
use till_engine::ports::Clock as _;
use till_engine::step::Event;
use till_tests::endpoint::Endpoint;
use till_tests::host::{MORE, submit_body, token};
use till_tests::smtp::{Act, MailSink};
use till_tests::{CUSTOMER, MERCHANT, PATIENCE, TestTill, customer, home, paying_with};
use uuid::Uuid;

use crate::http::{Shop, open, problem};

const PHONE: &str = "+14155550123";
const TEMPLATES: &str = "/api/v1/admin/notifications/templates";
const DELIVERIES: &str = "/api/v1/admin/notifications/deliveries";

fn mail() -> MailSettings {
    MailSettings {
        from: "shop@example.com".to_owned(),
        reply_to: Some("help@example.com".to_owned()),
        enabled: true,
    }
}

fn provider(url: &str) -> SmsSettings {
    SmsSettings {
        url: url.to_owned(),
        headers: BTreeMap::from([("authorization".to_owned(), "Bearer {secret:api_key}".to_owned())]),
        body: json!({ "messages": [{ "to": "{to}", "text": "{text}" }], "sender": "Shop" }),
        private_addresses: true,
        enabled: true,
    }
}

fn settings(email: Option<MailSettings>, sms: Option<SmsSettings>) -> Settings {
    let notifications = NotificationSettings { name: "Müllers Shop".to_owned(), email, sms };
    Settings { notifications, ..Settings::default() }
}

/// Turns the relay and the deliveries until there is nothing to do now.
async fn settle(events: &Arc<Events>) {
    while events.relay().await.expect("a relay") + events.deliver().await.expect("deliveries") > 0 {}
}

/// A shop whose customer has a phone, with a mail server and a provider.
async fn shop() -> (TestTill, Arc<Events>, MailSink, Endpoint) {
    let (sink, sms) = (MailSink::open().await, Endpoint::open().await);
    let till = TestTill::with(&settings(Some(mail()), Some(provider(&sms.url)))).await;
    let buyer = Customer { phone: PHONE.to_owned(), ..customer(CUSTOMER) };
    till.shop.put_customer(MERCHANT, &buyer, 0).await.expect("a customer");
    let events = till.mailing(sink.port, Duration::from_secs(15));
    (till, events, sink, sms)
}

/// Buys the worked example and gives the order's id.
async fn bought(till: &TestTill) -> String {
    let quoted = till.worked_example().await;
    till.submit(&quoted.id, json!({})).await.order.expect("an order").id
}

/// Puts a fact into the outbox, as the step that makes it true does.
async fn fact(till: &TestTill, topic: &str, body: Value) {
    let (event, now_us) = (Event { topic: topic.to_owned(), body }, till.clock.now_us());
    let put = till.store.transact(move |tx| {
        let event = event.clone();
        Box::pin(async move { tx.put_event(MERCHANT, Uuid::now_v7(), &event, now_us).await })
    });
    put.await.expect("a fact");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_confirmed_order_is_told_once_by_mail_and_text_in_the_customers_language() {
    let (till, events, sink, sms) = shop().await;
    let wants = Preferences { locale: Some("de-AT".to_owned()), ..Preferences::default() };
    events.put_preferences(MERCHANT, CUSTOMER, &wants).await.unwrap();
    let order = bought(&till).await;
    settle(&events).await;
    till.advance(Duration::from_secs(86_400)).await;
    settle(&events).await;

    let mails = sink.mails();
    assert_eq!(mails.len(), 1, "{mails:?}");
    let letter = &mails[0];
    assert_eq!(
        (letter.from.as_str(), letter.to.as_slice()),
        ("shop@example.com", &["jane@example.com".to_owned()][..])
    );
    assert_eq!(letter.login, "\0till\0let me in");
    assert_eq!(letter.header("Reply-To"), "help@example.com");
    assert_eq!(letter.header("To"), "\"Jane Doe\" <jane@example.com>");
    assert!(letter.header("From").starts_with("=?utf-8?"), "{}", letter.header("From"));
    assert_eq!(letter.header("Auto-Submitted"), "auto-generated");
    let event = letter.header("X-Entity-Ref-ID");
    assert!(event.starts_with("evt_"), "{event}");
    assert_eq!(letter.header("Message-ID"), format!("<{event}.demo@till.example>"));
    let (text, html) = (letter.part("text/plain"), letter.part("text/html"));
    for exact in [
        "Guten Tag Jane Doe",
        "ist bestätigt",
        "471,17 USD",
        "499,98 USD",
        "-80,00 USD",
        "1. Juli 2024",
        "123 Main St",
    ] {
        assert!(text.contains(exact) && html.contains(exact), "{exact}: {text}\n{html}");
    }
    assert!(html.contains("<html lang=\"de\">"));

    let posted = sms.posted();
    assert_eq!(posted.len(), 1, "{posted:?}");
    assert_eq!(posted[0].header("idempotency-key"), event);
    assert_eq!(posted[0].header("authorization"), "Bearer sk_sim", "the secret is put in on the way out");
    let said = posted[0].event();
    assert_eq!((&said["messages"][0]["to"], &said["sender"]), (&json!(PHONE), &json!("Shop")));
    let said = said["messages"][0]["text"].as_str().unwrap();
    assert!(said.starts_with("Müllers Shop: Ihre Bestellung ORD-2024-"), "{said}");

    let all = DeliverySought { order: Some(order), ..DeliverySought::default() };
    let told = events.notification_deliveries(MERCHANT, &all, (i64::MAX, ""), 10).await.unwrap();
    let states: Vec<_> = told.iter().map(|one| (one.target.as_str(), one.state, one.attempts)).collect();
    assert_eq!(states, [("sms", "delivered", 1), ("email", "delivered", 1)]);
    let list = till.shop.notifications(MERCHANT, CUSTOMER, false, (i64::MAX, ""), 10).await.unwrap().0;
    assert!(list.len() == 1 && list[0].body.contains("Bestellung bestätigt"), "{list:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn each_kind_is_told_in_the_app_and_outside_with_the_parcel_where_it_is_known() {
    let (till, events, sink, sms) = shop().await;
    let quoted = till.worked_example().await;
    till.submit(&quoted.id, paying_with("PM-declined")).await;
    let order = bought(&till).await;
    settle(&events).await;
    let url = "https://carrier.example/1Z999";
    let status = "order.status.updated";
    fact(&till, status, json!({ "orderId": order, "status": "SHIPPED", "note": "left", "trackingNumber": "1Z999", "carrier": "UPS <&>", "trackingUrl": url })).await;
    for named in ["PROCESSING", "OUT_FOR_DELIVERY", "DELIVERED", "DELIVERY_FAILED", "CANCELLED"] {
        fact(&till, status, json!({ "orderId": order, "status": named, "note": "" })).await;
    }
    fact(&till, "feedback.requested", json!({ "orderId": order })).await;
    fact(&till, status, json!({ "orderId": "ord_of_nobody", "status": "DELIVERED", "note": "" })).await;
    settle(&events).await;

    let list = till.shop.notifications(MERCHANT, CUSTOMER, false, (i64::MAX, ""), 50).await.unwrap().0;
    let mut kinds: Vec<&str> = list.iter().map(|one| one.kind.as_str()).collect();
    kinds.sort_unstable();
    assert_eq!(
        kinds,
        [
            "delivery_failed",
            "feedback_request",
            "order_cancelled",
            "order_confirmation",
            "order_delivered",
            "order_shipped",
            "out_for_delivery",
            "payment_failed"
        ]
    );
    let shipped = list.iter().find(|one| one.kind == "order_shipped").unwrap();
    let body: Value = serde_json::from_str(&shipped.body).unwrap();
    assert_eq!(
        (&body["data"]["trackingNumber"], &body["data"]["trackingUrl"]),
        (&json!("1Z999"), &json!(url))
    );
    let mails = sink.mails();
    assert_eq!((mails.len(), sms.posted().len()), (8, 8));
    let shipped = mails
        .iter()
        .find(|mail| mail.header("Subject").starts_with("Order Shipped"))
        .or_else(|| mails.iter().find(|mail| mail.part("text/plain").contains("1Z999")));
    let shipped = shipped.expect("the letter about the parcel");
    assert!(shipped.part("text/plain").contains("with UPS <&>."), "{}", shipped.part("text/plain"));
    assert!(shipped.part("text/html").contains("UPS &lt;&amp;&gt;"), "{}", shipped.part("text/html"));
    assert!(
        shipped.part("text/html").contains(&format!("<a href=\"{}\">", url.replace('/', "&#x2f;"))),
        "{}",
        shipped.part("text/html")
    );
    let log = till.events.log(MERCHANT, Some(&order), 0, 100).await.unwrap();
    assert!(log.iter().any(|(_, text)| text.contains("\"trackingNumber\":\"1Z999\"")), "{log:?}");
    let ids: std::collections::BTreeSet<String> =
        mails.iter().map(|mail| mail.header("Message-ID")).collect();
    assert_eq!(ids.len(), 8, "each event has an id of its own");
}

#[tokio::test(flavor = "multi_thread")]
async fn what_a_customer_has_switched_off_is_not_written() {
    let (till, events, sink, sms) = shop().await;
    let off = Channels { email: false, sms: true, in_app: false };
    let wants = Preferences {
        channels: BTreeMap::from([("order_confirmation".to_owned(), off)]),
        ..Preferences::default()
    };
    events.put_preferences(MERCHANT, CUSTOMER, &wants).await.unwrap();
    let order = bought(&till).await;
    settle(&events).await;
    assert_eq!((sink.mails().len(), sms.posted().len()), (0, 1));
    assert!(
        till.shop.notifications(MERCHANT, CUSTOMER, false, (i64::MAX, ""), 10).await.unwrap().0.is_empty()
    );
    let all = DeliverySought::default();
    let told = events.notification_deliveries(MERCHANT, &all, (i64::MAX, ""), 10).await.unwrap();
    assert_eq!(told.len(), 1, "{told:?}");

    // Without a phone number there is no text message; between the event and the try the customer may change their mind.
    till.shop.put_customer(MERCHANT, &customer(CUSTOMER), 0).await.unwrap();
    fact(&till, "order.status.updated", json!({ "orderId": order, "status": "DELIVERED", "note": "" })).await;
    events.relay().await.unwrap();
    let off = BTreeMap::from([("order_delivered".to_owned(), off)]);
    events
        .put_preferences(MERCHANT, CUSTOMER, &Preferences { channels: off, ..Preferences::default() })
        .await
        .unwrap();
    settle(&events).await;
    assert_eq!((sink.mails().len(), sms.posted().len()), (0, 1));
    let told = events.notification_deliveries(MERCHANT, &all, (i64::MAX, ""), 1).await.unwrap();
    assert_eq!((told[0].target.as_str(), told[0].state), ("email", "dead"), "{told:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_server_that_cannot_now_is_asked_again_and_one_that_refuses_is_not_until_somebody_says_so() {
    let (till, _, sink, sms) = shop().await;
    let events = till.mailing(sink.port, Duration::from_secs(1));
    sink.acts(&[
        Act::Refuse("", "421 4.3.2 not now"),
        Act::Refuse("AUTH", "535 5.7.8 who are you?"),
        Act::Refuse("RCPT", "450 4.2.0 greylisted"),
        Act::Refuse("DATA", "451 4.3.0 no room"),
        Act::Refuse(".", "452 4.3.1 no room"),
        Act::Vanish,
        Act::Hang,
    ]);
    sms.answers(&["500 Broken", "429 Slow down\r\nretry-after: 900", "200 OK"]);
    let order = bought(&till).await;
    for _ in 0..9 {
        settle(&events).await;
        till.advance(Duration::from_secs(36_000)).await;
    }
    let mails = sink.mails();
    assert_eq!(mails.len(), 3, "taken, taken, taken and answered");
    assert!(mails.iter().all(|mail| mail.header("Message-ID") == mails[0].header("Message-ID")));
    assert!(mails.iter().all(|mail| mail.header("Date") == mails[0].header("Date")), "{mails:?}");
    let posted = sms.posted();
    assert_eq!(posted.len(), 3);
    assert!(posted.iter().all(|one| one.header("idempotency-key") == posted[0].header("idempotency-key")));
    assert!(posted.iter().all(|one| one.body == posted[0].body));
    let mails_of = async |state: &str| {
        let sought = DeliverySought {
            order: Some(order.clone()),
            channel: Some("email".to_owned()),
            state: Some(state.to_owned()),
        };
        events.notification_deliveries(MERCHANT, &sought, (i64::MAX, ""), 10).await.unwrap()
    };
    let delivered = mails_of("delivered").await;
    assert_eq!(
        (delivered.len(), delivered[0].attempts, delivered[0].told.as_str()),
        (1, 8, "250 2.0.0 queued")
    );

    sink.acts(&[Act::Refuse("RCPT", "550 5.1.1 no such user")]);
    sms.answers(&["422 Unprocessable"]);
    fact(&till, "order.status.updated", json!({ "orderId": order, "status": "DELIVERED", "note": "" })).await;
    settle(&events).await;
    till.advance(Duration::from_secs(86_400)).await;
    settle(&events).await;
    assert_eq!((sink.mails().len(), sms.posted().len()), (3, 4), "refused for good is not tried again");
    let dead = mails_of("dead").await;
    assert_eq!((dead.len(), dead[0].attempts), (1, 1));
    assert!(dead[0].told.contains("550") && dead[0].told.contains("no such user"), "{dead:?}");
    let what = Replay { from: 0, dead_only: true };
    let foreign = events.replay_notifications("other", "email", Some(&order), what).await;
    assert!(foreign.unwrap_err().to_string().contains("order"));
    for channel in ["email", "sms"] {
        assert_eq!(events.replay_notifications(MERCHANT, channel, Some(&order), what).await.unwrap(), 1);
    }
    settle(&events).await;
    assert_eq!((sink.mails().len(), sms.posted().len()), (4, 5));
    assert!(mails_of("dead").await.is_empty());
}

#[tokio::test(flavor = "multi_thread")]
async fn a_name_brings_no_header_and_an_address_that_is_none_is_not_written_to() {
    let (till, events, sink, _) = shop().await;
    let mut buyer = customer(CUSTOMER);
    buyer.addresses[0].address = till_commerce::quote::Address {
        name: "Jane\r\nBcc: everybody@example.com\r\n\r\n<script>alert(1)</script>".to_owned(),
        ..home()
    };
    till.shop.put_customer(MERCHANT, &buyer, 0).await.unwrap();
    bought(&till).await;
    settle(&events).await;
    let letter = &sink.mails()[0];
    assert_eq!(letter.to, ["jane@example.com"]);
    assert!(!letter.headers().iter().any(|name| name.eq_ignore_ascii_case("bcc")), "{}", letter.text);
    let html = letter.part("text/html");
    assert!(html.contains("&lt;script&gt;") && !html.contains("<script>"), "{html}");

    buyer.email = "jane@example.com\r\nRCPT TO:<everybody@example.com>".to_owned();
    till.shop.put_customer(MERCHANT, &buyer, 0).await.unwrap();
    bought(&till).await;
    settle(&events).await;
    assert_eq!(sink.mails().len(), 1);
    let dead = DeliverySought { state: Some("dead".to_owned()), ..DeliverySought::default() };
    let told = events.notification_deliveries(MERCHANT, &dead, (i64::MAX, ""), 10).await.unwrap();
    assert_eq!((told.len(), told[0].target.as_str()), (1, "email"), "{told:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_provider_on_an_inner_address_is_not_asked_without_leave_and_a_secret_that_is_missing_is_named() {
    let (till, events, _, sms) = shop().await;
    let mut inner = provider(&sms.url.replace("http://", "https://"));
    inner.private_addresses = false;
    till.shop.put_settings(MERCHANT, &settings(None, Some(inner))).await.unwrap();
    bought(&till).await;
    settle(&events).await;
    let told = async || {
        let all = DeliverySought::default();
        events.notification_deliveries(MERCHANT, &all, (i64::MAX, ""), 1).await.unwrap()[0].told.clone()
    };
    assert!(told().await.contains("private address"), "{}", told().await);
    let mut without = provider(&sms.url);
    without.headers = BTreeMap::from([("x-key".to_owned(), "{secret:none}".to_owned())]);
    till.shop.put_settings(MERCHANT, &settings(None, Some(without))).await.unwrap();
    till.advance(Duration::from_secs(5)).await;
    settle(&events).await;
    assert!(told().await.contains("no secret `none`"), "{}", told().await);
    assert!(sms.posted().is_empty());
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
    async fn as_admin(&self, method: &str, path: &str, body: Option<&Value>) -> (u16, Value) {
        self.as_other(&token("ana", "admin"), method, path, body).await
    }

    async fn notifies(&self, notifications: Value) {
        let (_, mut settings) = self.as_admin("GET", "/api/v1/admin/settings", None).await;
        settings["notifications"] = notifications;
        let answer = self.as_admin("PUT", "/api/v1/admin/settings", Some(&settings)).await;
        assert_eq!(answer.0, 200, "{}", answer.1);
    }
}

fn smtp_config(port: u16) -> String {
    format!("[smtp]\nhost = \"127.0.0.1\"\nport = {port}\ntls = \"none\"\ndomain = \"till.example\"\n")
}

#[tokio::test(flavor = "multi_thread")]
async fn killed_between_the_try_and_its_note_a_letter_or_message_comes_again_under_the_same_key() {
    for channel in ["email", "sms"] {
        let (sink, sms) = (MailSink::open().await, Endpoint::open().await);
        let mut shop = open().await;
        let more = shop.folder.path().join(MORE);
        std::fs::write(&more, smtp_config(sink.port)).expect("write the configuration");
        let notifications = match channel {
            "email" => json!({ "name": "Shop", "email": { "from": "shop@example.com" } }),
            _ => {
                json!({ "sms": { "url": sms.url, "private_addresses": true, "body": { "to": "{to}", "text": "{text}" } } })
            }
        };
        shop.notifies(notifications).await;
        if channel == "sms" {
            let buyer = Customer { phone: PHONE.to_owned(), ..customer(CUSTOMER) };
            let methods: Vec<Value> = buyer
                .payment_methods
                .iter()
                .map(|m| json!({ "id": m.id, "type": m.kind, "token": m.token, "isDefault": m.default }))
                .collect();
            let home = home();
            let body = json!({ "email": buyer.email, "phone": PHONE, "paymentMethods": methods, "addresses": [{
                "id": "ADDR-1", "type": "shipping", "isDefault": true,
                "address": { "name": home.name, "street": home.street[0], "city": home.city, "state": home.region, "zipCode": home.postal_code, "country": home.country } }] });
            let answer =
                shop.as_admin("PUT", &format!("/api/v1/admin/customers/{CUSTOMER}"), Some(&body)).await;
            assert_eq!(answer.0, 200, "{}", answer.1);
        }
        let session = shop.session().await;
        shop.restart_until("delivery.sent.before-noted:1");
        // The host may be gone before it has answered.
        let _ = shop
            .host
            .call("POST", "/api/v1/checkout/submit", "", Some(&submit_body(&session, "PM-001")))
            .await;
        let begun = std::time::Instant::now();
        while !shop.host.is_gone() {
            assert!(begun.elapsed() < PATIENCE, "the point was not passed");
        }
        let seen = || (sink.mails().len(), sms.posted().len());
        let (once, twice) = if channel == "email" { ((1, 0), (2, 0)) } else { ((0, 1), (0, 2)) };
        assert_eq!(seen(), once);
        shop.restart();
        until("it comes again", async || seen() == twice).await;
        until("it is noted", async || {
            let told = shop.as_admin("GET", &format!("{DELIVERIES}?channel={channel}"), None).await.1;
            told["deliveries"][0]["state"] == "delivered" && told["deliveries"][0]["attempts"] == 2
        })
        .await;
        let keys: Vec<String> = match channel {
            "email" => sink.mails().iter().map(|mail| mail.header("Message-ID")).collect(),
            _ => sms.posted().iter().map(|one| one.header("idempotency-key").to_owned()).collect(),
        };
        assert_eq!(keys[0], keys[1]);
        assert_eq!(seen(), twice);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_merchant_writes_words_of_its_own_and_a_customer_says_what_to_be_told() {
    let sink = MailSink::open().await;
    let mut shop = open().await;
    std::fs::write(shop.folder.path().join(MORE), smtp_config(sink.port)).expect("write the configuration");
    shop.restart();
    shop.notifies(json!({ "name": "Shop", "email": { "from": "shop@example.com" } })).await;

    let (status, built_in) = shop.as_admin("GET", &format!("{TEMPLATES}/order_confirmation/fr"), None).await;
    assert_eq!((status, &built_in["builtIn"]), (200, &json!(true)), "{built_in}");
    let own = json!({ "subject": "Merci {{ customer.name }} !", "text": "Total : {{ order.total }}\n{% for item in order.items %}{{ item.quantity }} {{ item.name }}{% endfor %}" });
    let french = format!("{TEMPLATES}/order_confirmation/fr-CA");
    let (status, kept) = shop.as_admin("PUT", &french, Some(&own)).await;
    assert_eq!((status, &kept["builtIn"], &kept["html"]), (200, &json!(false), &built_in["html"]), "{kept}");
    for (part, wrong, told) in [
        ("html", "a\nb\n{% if x %}", "line 3"),
        ("text", "{{ order.total | upper }}", "line 1"),
        ("subject", "\n{% include 'x' %}", "line 2"),
        ("sms", "{{ 'x' * 9999999999 }}", "line 1"),
    ] {
        let answer = shop.as_admin("PUT", &french, Some(&json!({ part: wrong }))).await;
        problem(&answer, 422, told);
        assert_eq!(answer.1["errors"][0]["field"], part, "{}", answer.1);
    }
    problem(
        &shop
            .as_admin("PUT", &format!("{TEMPLATES}/order_confirmation/es"), Some(&json!({ "text": "a" })))
            .await,
        422,
        "subject",
    );
    problem(&shop.as_admin("PUT", &format!("{TEMPLATES}/nothing/fr"), Some(&json!({}))).await, 404, "kind");
    let preview = format!("{french}/preview");
    let (status, drawn) = shop.as_admin("POST", &preview, None).await;
    assert_eq!((status, &drawn["subject"]), (200, &json!("Merci Jane Doe !")), "{drawn}");
    let (_, drawn) = shop.as_admin("POST", &preview, Some(&json!({ "subject": "{{ order.total }}" }))).await;
    assert_eq!(drawn["subject"], "471,17 USD", "{drawn}");

    let mine = "/api/v1/customers/me/preferences";
    let (_, first) = shop.call("GET", mine, None).await;
    assert_eq!(
        (&first["locale"], &first["channels"]["order_shipped"]),
        (&Value::Null, &json!({ "email": true, "sms": true, "inApp": true }))
    );
    problem(&shop.call("PUT", mine, Some(&json!({ "locale": "de_DE" }))).await, 422, "locale");
    problem(
        &shop.call("PUT", mine, Some(&json!({ "channels": { "order_shiped": {} } }))).await,
        422,
        "order_shiped",
    );
    let wanted =
        json!({ "locale": "fr-CA", "channels": { "payment_failed": { "sms": false } }, "marketing": true });
    let (status, kept) = shop.call("PUT", mine, Some(&wanted)).await;
    assert_eq!(
        (status, &kept["channels"]["payment_failed"]),
        (200, &json!({ "email": true, "sms": false, "inApp": true }))
    );
    assert_eq!(shop.call("GET", mine, None).await.1, kept);

    let session = shop.session().await;
    let (status, order) =
        shop.call("POST", "/api/v1/checkout/submit", Some(&submit_body(&session, "PM-001"))).await;
    assert_eq!(status, 201, "{order}");
    until("the letter comes", async || !sink.mails().is_empty()).await;
    let letter = &sink.mails()[0];
    assert!(letter.part("text/plain").starts_with("Total : 47"), "{}", letter.part("text/plain"));
    let number = order["orderNumber"].as_str().expect("a number");
    let told = format!("{DELIVERIES}?order={number}&channel=email&state=delivered&limit=1");
    until("it is noted", async || {
        shop.as_admin("GET", &told, None).await.1["deliveries"][0]["state"] == "delivered"
    })
    .await;
    let (_, drawn) = shop
        .as_admin("POST", &preview, Some(&json!({ "orderId": number, "text": "{{ order.number }}" })))
        .await;
    assert_eq!(drawn["text"], number, "{drawn}");
    problem(&shop.as_admin("POST", &preview, Some(&json!({ "orderId": "ord_none" }))).await, 404, "order");
    problem(&shop.as_admin("GET", &format!("{DELIVERIES}?channel=pigeon"), None).await, 422, "channel");
    problem(&shop.as_admin("GET", &format!("{DELIVERIES}?state=lost"), None).await, 422, "state");
    let again = json!({ "channel": "email", "orderId": number, "deliveredToo": true });
    let (status, again) = shop.as_admin("POST", "/api/v1/admin/notifications/replay", Some(&again)).await;
    assert_eq!((status, &again["replayed"]), (200, &json!(1)), "{again}");
    until("the letter comes again", async || sink.mails().len() == 2).await;

    let (_, own) = shop.as_admin("GET", TEMPLATES, None).await;
    assert_eq!(own["templates"][0]["locale"], "fr-CA", "{own}");
    assert_eq!(shop.as_admin("DELETE", &french, None).await.0, 204);
    problem(&shop.as_admin("DELETE", &french, None).await, 404, "fr-CA");
    assert_eq!(shop.as_admin("GET", &format!("{TEMPLATES}/order_confirmation/fr"), None).await.1, built_in);
}
