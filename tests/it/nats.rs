//! Events in NATS JetStream, on a server of the test's own.

use std::sync::Arc;
use std::time::Duration;

use async_nats::jetstream::stream::Stream;
use serde_json::{Value, json};
use till_commerce::events::notify::DeliverySought;
use till_commerce::events::{Events, Replay};
use till_commerce::settings::{EventSettings, Settings};
use till_tests::host::{MORE, submit_body, token};
use till_tests::nats::NatsServer;
use till_tests::{MERCHANT, PATIENCE, TestTill};

use crate::http::open;

async fn stream(server: &NatsServer) -> Stream {
    let client = async_nats::connect(&server.url).await.expect("a connection");
    async_nats::jetstream::new(client).get_stream("till").await.expect("the stream is there")
}

async fn messages(stream: &Stream) -> u64 {
    stream.get_info().await.expect("the stream answers").state.messages
}

async fn settle(events: &Arc<Events>) {
    while events.relay().await.expect("a relay") + events.deliver().await.expect("deliveries") > 0 {}
}

#[tokio::test(flavor = "multi_thread")]
async fn the_log_is_published_once_each_and_waits_for_a_server_that_is_away() {
    let Some(mut server) = NatsServer::start() else { return };
    let settings = Settings { events: EventSettings { nats: true }, ..Settings::default() };
    let till = TestTill::with(&settings).await;
    let events =
        Events::new(till.store.clone(), till.registry.clone(), till.clock.clone()).expect("a client");
    let events = Arc::new(events.with_nats(&server.url, "till").await.expect("a client of NATS"));
    let quoted = till.worked_example().await;
    let order = till.submit(&quoted.id, json!({})).await.order.expect("an order").id;
    settle(&events).await;

    let log = events.log(MERCHANT, None, 0, 1_000).await.unwrap();
    let stream_now = stream(&server).await;
    assert_eq!(messages(&stream_now).await, u64::try_from(log.len()).unwrap());
    let mut published = Vec::new();
    for seq in 1..=log.len() {
        let message = stream_now.get_raw_message(u64::try_from(seq).unwrap()).await.expect("a message");
        let text = String::from_utf8(message.payload.to_vec()).expect("UTF-8");
        let event: Value = serde_json::from_str(&text).expect("JSON");
        assert_eq!(message.subject.as_str(), format!("till.demo.{}", event["type"].as_str().unwrap()));
        assert_eq!(message.headers.get("Nats-Msg-Id").map(|id| id.as_str()), event["id"].as_str());
        published.push(text);
    }
    let mut told: Vec<String> = log.into_iter().map(|(_, text)| text).collect();
    published.sort();
    told.sort();
    assert_eq!(published, told, "the same bytes as in the log");

    // Sent again, the server knows them.
    let all = Replay { from: 0, dead_only: false };
    assert_eq!(events.replay_notifications(MERCHANT, "nats", Some(&order), all).await.unwrap(), 5);
    settle(&events).await;
    assert_eq!(messages(&stream_now).await, u64::try_from(told.len()).unwrap());
    let sought = DeliverySought { order: Some(order), channel: Some("nats".to_owned()), state: None };
    let states = events.notification_deliveries(MERCHANT, &sought, (i64::MAX, ""), 10).await.unwrap();
    assert!(
        states.iter().all(|one| one.state == "delivered" && one.told.ends_with("known already")),
        "{states:?}"
    );

    // A server that is away is waited for.
    server.kill();
    let quoted = till.worked_example().await;
    till.submit(&quoted.id, json!({})).await;
    settle(&events).await;
    let waiting = DeliverySought { state: Some("waiting".to_owned()), ..DeliverySought::default() };
    let states = events.notification_deliveries(MERCHANT, &waiting, (i64::MAX, ""), 50).await.unwrap();
    assert!(states.len() >= 5, "{states:?}");
    server.restart();
    let begun = std::time::Instant::now();
    while !events.notification_deliveries(MERCHANT, &waiting, (i64::MAX, ""), 50).await.unwrap().is_empty() {
        assert!(begun.elapsed() < PATIENCE, "it is published when the server is there again");
        till.advance(Duration::from_secs(300)).await;
        settle(&events).await;
    }
    let log = events.log(MERCHANT, None, 0, 1_000).await.unwrap();
    assert_eq!(messages(&stream(&server).await).await, u64::try_from(log.len()).unwrap());
}

#[tokio::test(flavor = "multi_thread")]
async fn killed_between_the_publish_and_its_note_the_stream_has_the_event_once() {
    let Some(server) = NatsServer::start() else { return };
    let mut shop = open().await;
    std::fs::write(shop.folder.path().join(MORE), format!("nats_url = \"{}\"\n", server.url)).expect("write");
    let admin = token("ana", "admin");
    let (_, mut settings) = shop.as_other(&admin, "GET", "/api/v1/admin/settings", None).await;
    settings["events"] = json!({ "nats": true });
    let answer = shop.as_other(&admin, "PUT", "/api/v1/admin/settings", Some(&settings)).await;
    assert_eq!(answer.0, 200, "{}", answer.1);
    let session = shop.session().await;
    shop.restart_until("delivery.sent.before-noted:1");
    // The host may be gone before it has answered.
    let _ =
        shop.host.call("POST", "/api/v1/checkout/submit", "", Some(&submit_body(&session, "PM-001"))).await;
    let begun = std::time::Instant::now();
    while !shop.host.is_gone() {
        assert!(begun.elapsed() < PATIENCE, "the point was not passed");
    }
    assert!(messages(&stream(&server).await).await >= 1);
    shop.restart();
    let path = "/api/v1/admin/notifications/deliveries?channel=nats&limit=200";
    loop {
        let told = shop.as_other(&admin, "GET", path, None).await.1;
        let all = told["deliveries"].as_array().expect("a list");
        if all.len() >= 5 && all.iter().all(|one| one["state"] == "delivered") {
            assert!(
                all.iter().any(|one| one["answer"].as_str().is_some_and(|a| a.ends_with("known already"))),
                "{told}"
            );
            assert_eq!(messages(&stream(&server).await).await, u64::try_from(all.len()).unwrap());
            return;
        }
        assert!(begun.elapsed() < PATIENCE, "{told}");
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
}
