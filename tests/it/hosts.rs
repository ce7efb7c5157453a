//! Several hosts on one PostgreSQL: what one begins another goes on with, one that stands still or dies takes nothing along.

use std::time::{Duration, Instant};

use serde_json::{Value, json};
use till_store::{Options, Store};
use till_tests::endpoint::Endpoint;
use till_tests::host::{DATABASE, Host, submit_body, token};
use till_tests::{CUSTOMER, MERCHANT, PATIENCE, Simulator, template_on};
use uuid::Uuid;

use crate::http::Shop;
use crate::socket;

/// Longer than a host that is gone keeps others from its work.
const BEYOND_A_LEASE_S: u64 = 90;

struct Hosts {
    one: Shop,
    database: String,
}

impl Hosts {
    /// The demo shop on a database of its own, and a first host. None: there is no PostgreSQL here.
    async fn open(crash_at: Option<&str>) -> Option<Hosts> {
        let Ok(server) = std::env::var("TILL_TEST_POSTGRES") else {
            eprintln!("NOT RUN: TILL_TEST_POSTGRES is not set");
            return None;
        };
        let name = format!("h{}", Uuid::now_v7().simple());
        let admin = Store::open(&Options::new(&server)).await.expect("reach the test server");
        admin.create_database(&name).await.expect("make a database");
        admin.close().await;
        let (base, _) = server.rsplit_once('/').expect("a database in the URL");
        let database = format!("{base}/{name}");
        let simulator = Simulator::start();
        template_on(&database, &simulator.url).await;
        let folder = Hosts::folder(&database);
        let host = Host::start(folder.path(), crash_at);
        Some(Hosts { one: Shop { host, simulator, folder }, database })
    }

    fn folder(database: &str) -> tempfile::TempDir {
        let folder = tempfile::tempdir().expect("a temporary folder");
        std::fs::write(folder.path().join(DATABASE), database).expect("write the address");
        folder
    }

    /// Another host.
    fn another(&self, ahead_s: u64) -> (Host, tempfile::TempDir) {
        let folder = Hosts::folder(&self.database);
        (Host::start_ahead(folder.path(), ahead_s), folder)
    }
}

async fn ask(host: &Host, method: &str, path: &str, body: Option<&Value>) -> Value {
    let (status, answer) = host.call(method, path, "", body).await.expect("the host answers");
    assert!((200..300).contains(&status), "{method} {path}: {status} {answer}");
    answer
}

async fn until(host: &Host, path: &str, so: impl Fn(&Value) -> bool) -> Value {
    let begun = Instant::now();
    loop {
        let answer = ask(host, "GET", path, None).await;
        if so(&answer) {
            return answer;
        }
        assert!(begun.elapsed() < PATIENCE, "{path}: {answer}");
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
}

async fn paid_once(hosts: &Hosts, host: &Host) {
    let orders = ask(host, "GET", "/api/v1/orders", None).await;
    assert_eq!(orders["orders"].as_array().map(Vec::len), Some(1), "{orders}");
    let simulator = &hosts.one.simulator;
    let moved = (simulator.count("authorize").await, simulator.count("capture").await);
    assert_eq!((moved, simulator.taken().await), ((1, 1), 47_659), "{:?}", simulator.charges().await);
}

#[tokio::test(flavor = "multi_thread")]
async fn two_hosts_are_one_shop() {
    let Some(hosts) = Hosts::open(None).await else { return };
    let (two, _folder) = hosts.another(0);
    let (one, admin) = (&hosts.one, token("ann", "admin"));
    let endpoint = Endpoint::open().await;
    let hook = json!({ "url": endpoint.url, "topics": ["*"], "allowPrivateAddresses": true });
    let (status, made) = one.as_other(&admin, "POST", "/api/v1/admin/webhooks", Some(&hook)).await;
    assert_eq!(status, 201, "{made}");

    // A cart here, its checkout there, the submit here, and once more there.
    let item = json!({ "productId": "PROD-12345", "quantity": 2 });
    ask(&one.host, "POST", "/api/v1/cart/items", Some(&item)).await;
    assert_eq!(ask(&two, "GET", "/api/v1/cart", None).await["cart"]["totals"]["itemCount"], 2);
    let session = ask(&two, "POST", "/api/v1/checkout/initiate", None).await;
    let session = session["checkoutSessionId"].as_str().expect("an id").to_owned();
    let submit = submit_body(&session, "PM-001");
    let order = ask(&one.host, "POST", "/api/v1/checkout/submit", Some(&submit)).await;
    let again = ask(&two, "POST", "/api/v1/checkout/submit", Some(&submit)).await;
    assert_eq!(order, again, "it is the same submit");
    let id = order["orderId"].as_str().expect("an id").to_owned();
    assert_eq!(ask(&two, "GET", "/api/v1/cart", None).await["cart"]["items"], json!([]));

    // A page follows at one host, and goes on at the other when its host dies.
    let room = format!("order_{id}");
    let join = |behind: &Value| json!({ "type": "join", "room": room, "lastEventId": behind });
    let second =
        Shop { host: two, simulator: Simulator::start(), folder: tempfile::tempdir().expect("a folder") };
    let mut page = socket::socket(&second, &token(CUSTOMER, "")).await.expect("a socket");
    socket::say(&mut page, join(&json!(""))).await;
    assert_eq!(socket::told(&mut page).await.expect("an answer")["type"], "joined");
    let seen = socket::until(&mut page, "order_processing").await;
    let last = seen.last().expect("events")["id"].clone();
    second.host.kill();
    let mut page = socket::socket(one, &token(CUSTOMER, "")).await.expect("a socket");
    socket::say(&mut page, join(&last)).await;
    assert_eq!(socket::told(&mut page).await.expect("an answer")["type"], "joined");
    let tracking = format!("/api/v1/orders/{id}/tracking");
    until(&one.host, &tracking, |told| told["shipments"][0]["status"] == "READY").await;
    let parcel = ask(&one.host, "GET", &tracking, None).await["shipments"][0]["shipmentId"].clone();
    let hook = format!("{}/webhooks/{MERCHANT}/carriers/default", one.host.url);
    one.simulator.scans_to(&hook, "whsec", "once").await;
    one.simulator.scan(parcel.as_str().expect("an id"), &json!({ "kind": "picked_up" })).await;
    loop {
        let told = socket::told(&mut page).await.expect("an event");
        assert!(!seen.iter().any(|known| known["id"] == told["id"]), "it was told before: {told}");
        if told["event"] == "order_status_updated" && told["data"]["status"] == "SHIPPED" {
            break;
        }
    }

    // Whoever relays, each event is one, and the order is one.
    paid_once(&hosts, &one.host).await;
    let begun = Instant::now();
    while endpoint.of("order.created").is_empty() {
        assert!(begun.elapsed() < PATIENCE, "the endpoint is told");
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
    let mut ids: Vec<String> =
        endpoint.of("order.created").iter().map(|one| one.header("webhook-id").to_owned()).collect();
    ids.dedup();
    assert_eq!(ids.len(), 1, "{ids:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn two_hosts_count_the_calls_of_a_customer_together() {
    let Some(hosts) = Hosts::open(None).await else { return };
    let admin = token("ann", "admin");
    let (_, mut settings) = hosts.one.as_other(&admin, "GET", "/api/v1/admin/settings", None).await;
    settings["rate"] = json!({ "requests": 4, "window_s": 600 });
    let (status, told) = hosts.one.as_other(&admin, "PUT", "/api/v1/admin/settings", Some(&settings)).await;
    assert_eq!(status, 200, "{told}");
    let ((first, _a), (second, _b)) = (hosts.another(0), hosts.another(0));
    let mut answers = Vec::new();
    for host in [&first, &second, &first, &second, &first, &second] {
        answers.push(host.call("GET", "/api/v1/cart", "", None).await.expect("the host answers").0);
    }
    assert_eq!(answers, [200, 200, 200, 200, 429, 429]);
}

#[tokio::test(flavor = "multi_thread")]
async fn what_a_host_had_under_way_when_it_died_another_one_finishes_once() {
    let Some(hosts) = Hosts::open(Some("call.request-sent.before-response")).await else { return };
    let session = hosts.one.session().await;
    let submit = submit_body(&session, "PM-001");
    assert_eq!(hosts.one.host.call("POST", "/api/v1/checkout/submit", "k", Some(&submit)).await, None);
    let (other, _folder) = hosts.another(BEYOND_A_LEASE_S);
    until(&other, &format!("/api/v1/checkout/{session}"), |told| told["status"] == "confirmed").await;
    paid_once(&hosts, &other).await;
}

/// The pause is longer than the lease: the other host takes the checkout over while the first one still believes it is its
/// own. What the first one then writes is refused.
#[tokio::test(flavor = "multi_thread")]
async fn a_host_that_stood_still_in_the_midst_of_a_payment_changes_nothing_when_it_goes_on() {
    let Some(hosts) = Hosts::open(None).await else { return };
    let one = &hosts.one;
    let session = one.session().await;
    one.simulator.behave("authorize", "timeout_after").await;
    let client = reqwest::Client::builder().no_proxy().build().expect("a client");
    let url = format!("{}/api/v1/checkout/submit", one.host.url);
    let sent =
        client.post(url).bearer_auth(token(CUSTOMER, "")).json(&submit_body(&session, "PM-001")).send();
    let asked = tokio::spawn(sent);
    let begun = Instant::now();
    while one.simulator.count("authorize").await == 0 {
        assert!(begun.elapsed() < PATIENCE, "the provider is asked");
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
    one.host.pause();
    let (other, _folder) = hosts.another(BEYOND_A_LEASE_S);
    let path = format!("/api/v1/checkout/{session}");
    until(&other, &path, |told| told["status"] == "confirmed").await;
    one.host.go_on();
    let answer = asked.await.expect("it is not given up").expect("an answer");
    assert!([201, 202].contains(&answer.status().as_u16()), "{answer:?}");
    // Both tell the same, and it stays so.
    for host in [&one.host, &other] {
        until(host, &path, |told| told["status"] == "confirmed").await;
        paid_once(&hosts, host).await;
    }
}
