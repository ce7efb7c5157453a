//! A provider that fails again and again is left alone for a while.

use serde_json::json;
use till_commerce::Phase;
use till_commerce::settings::{BreakerSettings, Settings};
use till_registry::Push;
use till_sandbox::Slot;
use till_tests::host::submit_body;
use till_tests::{CUSTOMER, Door, TestTill, demo_config, worked_inputs};
use tokio::net::{TcpListener, TcpSocket, TcpStream};

const COOL_DOWN_S: u32 = 30;

/// Hands everything on to the simulator.
async fn serve(listener: TcpListener, to: String) {
    while let Ok((mut near, _)) = listener.accept().await {
        let to = to.clone();
        tokio::spawn(async move {
            if let Ok(mut far) = TcpStream::connect(to).await {
                let _ = tokio::io::copy_bidirectional(&mut near, &mut far).await;
            }
        });
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_provider_that_is_away_is_left_alone_and_asked_again_after_the_cool_down() {
    let breaker = BreakerSettings { threshold: 2, cool_down_s: COOL_DOWN_S };
    let till = TestTill::with(&Settings { breaker, ..Settings::default() }).await;
    let door = Door::open(&till).await;
    // Nobody listens there yet, and nobody else can.
    let socket = TcpSocket::new_v4().unwrap();
    socket.bind("127.0.0.1:0".parse().unwrap()).unwrap();
    let origin = format!("http://{}", socket.local_addr().unwrap());
    let mut config = demo_config("sim-gateway");
    config["base_url"] = json!(origin);
    let push = till.pushed(Slot::PaymentGateway, "default", "sim-gateway", config);
    till.take(Push { origins: vec![origin.clone()], ..push }).await;

    let session = till.worked_example().await.id;
    till.submit(&session, worked_inputs()).await;
    let view = till.heal(&session).await;
    assert_eq!(view.phase, Phase::Editable, "{:?}", view.fault);
    let seen =
        async || door.call_as("admin", "GET", "/api/v1/admin/breakers", None).await.1["breakers"][0].clone();
    let open = seen().await;
    assert_eq!(
        (&open["origin"], &open["state"], &open["failures"]),
        (&json!(origin), &json!("OPEN"), &json!(2))
    );
    assert!(open["opensAgain"].as_str().unwrap() > open["since"].as_str().unwrap(), "{open}");

    // Refused at once: no retry is waited for, for nobody turns the clock.
    let body = submit_body(&session, "PM-001");
    let (status, refused) = door.call(CUSTOMER, "POST", "/api/v1/checkout/submit", Some(&body)).await;
    assert_eq!(
        (status, &refused["code"], &refused["fault"]),
        (502, &json!("component-failed"), &json!("circuit-open")),
        "{refused}"
    );
    assert!(refused["detail"].as_str().unwrap().contains("nothing was charged"), "{refused}");
    assert_eq!(seen().await, open, "a refusal is no failure");
    assert_eq!(till.stock().await, (10, 0), "nothing is held");

    let listener = socket.listen(64).unwrap();
    let to = till.simulator.url.trim_start_matches("http://").to_owned();
    let serving = tokio::spawn(serve(listener, to));
    let (status, still) = door.call(CUSTOMER, "POST", "/api/v1/checkout/submit", Some(&body)).await;
    assert_eq!((status, &still["fault"]), (502, &json!("circuit-open")), "{still}");
    till.advance(std::time::Duration::from_secs(COOL_DOWN_S.into())).await;
    let (status, order) = door.call(CUSTOMER, "POST", "/api/v1/checkout/submit", Some(&body)).await;
    assert_eq!(status, 201, "{order}");
    assert_eq!(seen().await["state"], "CLOSED");
    till.balanced().await;
    serving.abort();
}
