//! Orders followed over a WebSocket, as a shopper's page does.

use futures::{SinkExt as _, StreamExt as _};
use serde_json::{Value, json};
use till_tests::PATIENCE;
use till_tests::host::{submit_body, token, token_for};
use tokio::net::TcpStream;
use tokio_tungstenite::tungstenite::client::IntoClientRequest as _;
use tokio_tungstenite::tungstenite::{Error, Message};
use tokio_tungstenite::{MaybeTlsStream, WebSocketStream};

use crate::http::{Shop, open};

pub(crate) type Socket = WebSocketStream<MaybeTlsStream<TcpStream>>;

/// As a browser does: the token is a subprotocol.
pub(crate) async fn socket(shop: &Shop, token: &str) -> Result<Socket, Error> {
    let url = format!("{}/api/v1/tracking/socket", shop.host.url.replacen("http", "ws", 1));
    let mut request = url.into_client_request().expect("an address");
    let offered = format!("till.v1, bearer.{token}").parse().expect("a header");
    request.headers_mut().insert("sec-websocket-protocol", offered);
    tokio_tungstenite::connect_async(request).await.map(|(socket, answer)| {
        assert_eq!(answer.headers()["sec-websocket-protocol"], "till.v1", "the token is not sent back");
        socket
    })
}

pub(crate) async fn say(socket: &mut Socket, what: Value) {
    socket.send(Message::text(what.to_string())).await.expect("it is sent");
}

/// The next message; none: it was closed with this code.
pub(crate) async fn told(socket: &mut Socket) -> Result<Value, u16> {
    loop {
        let message = tokio::time::timeout(PATIENCE, socket.next()).await.expect("a message in time");
        match message {
            Some(Ok(Message::Text(text))) => return Ok(serde_json::from_str(&text).expect("JSON")),
            Some(Ok(Message::Close(frame))) => return Err(frame.map_or(0, |frame| frame.code.into())),
            Some(Ok(_)) => {}
            Some(Err(_)) | None => return Err(0),
        }
    }
}

/// The next message that is no event.
async fn reply(socket: &mut Socket) -> Value {
    loop {
        let one = told(socket).await.expect("it stays open");
        if one["type"] != "event" {
            return one;
        }
    }
}

/// Events until one of this name, with their ids.
pub(crate) async fn until(socket: &mut Socket, name: &str) -> Vec<Value> {
    let mut all = Vec::new();
    loop {
        let one = told(socket).await.expect("it stays open");
        assert_eq!(one["type"], "event", "{one}");
        let found = one["event"] == name;
        all.push(one);
        if found {
            return all;
        }
    }
}

fn text(value: &Value) -> String {
    value.as_str().unwrap_or_else(|| panic!("a text: {value}")).to_owned()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_page_joins_the_room_of_an_order_and_goes_on_where_it_was_after_a_restart() {
    let mut shop = open().await;
    let session = shop.session().await;
    let submit = submit_body(&session, "PM-001");
    let (status, order) = shop.call("POST", "/api/v1/checkout/submit", Some(&submit)).await;
    assert_eq!(status, 201, "{order}");
    let room = format!("order_{}", text(&order["orderId"]));

    let mut page = socket(&shop, &token("CUST-12345", "")).await.expect("a socket");
    say(&mut page, json!({ "type": "join", "room": room })).await;
    assert_eq!(told(&mut page).await, Ok(json!({ "type": "joined", "room": room })));
    let first = until(&mut page, "order_status_updated").await;
    assert_eq!(first[0]["event"], "order_created", "{first:?}");
    assert!(first.iter().all(|one| one["room"] == room.as_str()));
    let last = text(&first[first.len() - 1]["id"]);

    // What has no message is told, and the socket stays; another's order is as unknown as none.
    say(&mut page, json!({ "type": "shout" })).await;
    let refused = reply(&mut page).await;
    assert_eq!(
        (&refused["type"], &refused["problem"]["status"]),
        (&json!("error"), &json!(400)),
        "{refused}"
    );
    let foreign = token_for("other-shop", "CUST-12345", "", 3_600);
    for (who, room, status) in [
        (token("CUST-2", ""), room.as_str(), 404),
        (foreign, room.as_str(), 404),
        (token("CUST-12345", ""), "order_none", 404),
        (token("CUST-12345", ""), "lobby", 422),
    ] {
        let mut other = socket(&shop, &who).await.expect("a socket");
        say(&mut other, json!({ "type": "join", "room": room })).await;
        let refused = told(&mut other).await.expect("an answer");
        assert_eq!(
            (&refused["type"], &refused["problem"]["status"]),
            (&json!("error"), &json!(status)),
            "{refused}"
        );
    }
    for bad in ["", "none"] {
        let Err(Error::Http(answer)) = socket(&shop, bad).await else { panic!("a socket without a token") };
        assert_eq!(answer.status().as_u16(), 401);
    }
    drop(page);

    // While nobody looks, and the host has died meanwhile, the parcel goes on its way.
    shop.restart();
    let admin = token("ann", "orders");
    let path = format!("/api/v1/admin/shipments?orderId={}", text(&order["orderId"]));
    let begun = std::time::Instant::now();
    let shipment = loop {
        let (_, all) = shop.as_other(&admin, "GET", &path, None).await;
        match all["shipments"].as_array().and_then(|all| all.first()) {
            Some(first) if first["status"] == "READY" => break text(&first["shipmentId"]),
            _ => assert!(begun.elapsed() < PATIENCE, "the parcel is booked: {all}"),
        }
        tokio::time::sleep(std::time::Duration::from_millis(20)).await;
    };
    let scan = async |body: Value| {
        let path = format!("/api/v1/admin/shipments/{shipment}/scans");
        let (status, answer) = shop.as_other(&admin, "POST", &path, Some(&body)).await;
        assert!(status < 300, "{answer}");
    };
    scan(json!({ "type": "picked_up" })).await;
    let mut page = socket(&shop, &token("CUST-12345", "")).await.expect("a socket");
    say(&mut page, json!({ "type": "join", "room": room, "lastEventId": last })).await;
    assert_eq!(told(&mut page).await.map(|told| told["type"].clone()), Ok(json!("joined")));
    scan(json!({ "type": "location", "latitude": "37.7749", "longitude": "-122.4194" })).await;
    let rest = until(&mut page, "delivery_location_updated").await;
    let id = |one: &Value| text(&one["id"]).parse::<i64>().expect("a position");
    assert!(rest.iter().all(|one| id(one) > id(&first[first.len() - 1])), "nothing comes twice: {rest:?}");
    let shipped =
        rest.iter().any(|one| one["event"] == "order_status_updated" && one["data"]["status"] == "SHIPPED");
    assert!(shipped, "nothing is lost: {rest:?}");
    assert!(rest[rest.len() - 1]["data"].to_string().contains("37.7749"), "{rest:?}");

    say(&mut page, json!({ "type": "leave", "room": room })).await;
    assert_eq!(reply(&mut page).await, json!({ "type": "left", "room": room }));
    // A page that floods is sent home.
    for _ in 0..130 {
        let _ = page.send(Message::text("{}")).await;
    }
    let code = loop {
        if let Err(code) = told(&mut page).await {
            break code;
        }
    };
    assert!(code == 1008 || code == 0, "{code}");
    shop.alive().await;
}
