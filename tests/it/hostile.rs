//! The corpus of hostile components through the real binary: each attack is pushed and used over HTTP, each is
//! answered with the limit that it met, and between any two of them a neighbour's shopper gets an exact price
//! from the same process.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use base64::Engine as _;
use serde_json::{Value, json};
use till_tests::host::{submit_body, token};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};

use crate::compile::{as_pricing, crafted};
use crate::http::{Shop, open, problem};
use crate::limits::{neighbour, neighbour_is_served};

/// What the process may have more after a second round of attacks than after the first, kB: a memory bomb has 131,072,
/// a large upload 40,000. The first round leaves what the next calls use: stacks, and a few pages of each instance.
const KEPT_KB: u64 = 16_000;

/// Of the attacks at run time so many come a second time.
const FILLING: usize = 7;

/// Its memory when it has been at rest for a moment.
async fn level(shop: &Shop) -> u64 {
    tokio::time::sleep(Duration::from_secs(3)).await;
    shop.host.memory_kb()
}

async fn returned_to(level_kb: u64, shop: &Shop) {
    let until = Instant::now() + Duration::from_secs(30);
    loop {
        let after_kb = shop.host.memory_kb();
        if after_kb < level_kb + KEPT_KB {
            return;
        }
        let rounds = format!("{level_kb} kB after the first round, {after_kb} kB after the second");
        assert!(Instant::now() < until, "{rounds}");
        tokio::time::sleep(Duration::from_millis(200)).await;
    }
}

/// A push of bytes that are used only if they pass, with or without the conformance checks.
fn push_body(slot: &str, wasm: &[u8], config: &Value, checked: bool) -> Value {
    let mut body = json!({
        "slot": slot,
        "config": config,
        "wasmBase64": base64::engine::general_purpose::STANDARD.encode(wasm),
    });
    if !checked {
        body["skipConformance"] = json!(true);
        body["why"] = json!("it attacks, on purpose");
    }
    body
}

async fn pushed(shop: &Shop, body: &Value) -> (u16, Value) {
    shop.as_other(&token("admin", "admin operator"), "POST", "/api/v1/admin/components", Some(body)).await
}

/// A component of the other merchant's version of the contract: its version is written in its bytes.
fn of_another_contract(mut wasm: Vec<u8>) -> Vec<u8> {
    let (ours, theirs) = (b"@0.1.2", b"@0.2.0");
    let places: Vec<usize> = (0..wasm.len() - ours.len())
        .filter(|at| wasm[*at..].starts_with(ours) && wasm[..*at].ends_with(b"pricing-rules"))
        .collect();
    assert!(!places.is_empty(), "the guest names its contract");
    for at in places {
        wasm[at..at + theirs.len()].copy_from_slice(theirs);
    }
    wasm
}

/// One function of 30 MiB, in a module and a component of their own.
fn enormous() -> Vec<u8> {
    fn number(mut value: usize) -> Vec<u8> {
        let mut bytes = Vec::new();
        loop {
            let seven = u8::try_from(value & 0x7f).expect("seven bits");
            value >>= 7;
            if value == 0 {
                bytes.push(seven);
                return bytes;
            }
            bytes.push(seven | 0x80);
        }
    }
    let section = |id: u8, content: &[u8]| [&[id], &number(content.len())[..], content].concat();
    // No locals, 30 Mi times `nop`, the end.
    let mut function = vec![0];
    function.resize(30 << 20, 1);
    function.push(0x0b);
    let code = [&[1], &number(function.len())[..], &function].concat();
    let module =
        [b"\0asm\x01\0\0\0".to_vec(), section(1, &[1, 0x60, 0, 0]), section(3, &[1, 0]), section(10, &code)]
            .concat();
    let whole = as_pricing("(component");
    let (head, rest) = whole.split_at(8);
    [head, &section(1, &module), rest].concat()
}

#[tokio::test(flavor = "multi_thread")]
async fn what_attacks_at_run_time_is_answered_with_its_limit_while_the_neighbour_is_served() {
    let shop = open().await;
    neighbour(&shop).await;
    neighbour_is_served(&shop, "before").await;
    let hostile = till_tests::guest("hostile");
    let attacks = [
        ("loop", "used up its fuel: 200000000 of 200000000 units"),
        ("memory", "bytes of memory, at most 134217728 are allowed"),
        ("recursion", "used up its stack of 6291456 bytes"),
        ("depth 1000000", "used up its stack of 6291456 bytes"),
        ("answer 200000000", "bytes of memory, at most 134217728 are allowed"),
        ("answer 50000000", "handed over more than 4194304 bytes at once"),
        ("list 1000000", "handed over more than 4194304 bytes at once"),
        ("log 50000000", "handed over more than 4194304 bytes at once"),
        ("host-calls 4000000", "was stopped after 1240 ms"),
        ("look-up 50000000", "handed over more than 4194304 bytes at once"),
        ("panic", "the component crashed: panicked at"),
        ("index", "index out of bounds"),
        ("output-flood", "after the flood"),
        ("exit", "the component crashed"),
        ("negative-price", "-100"),
        ("log 4000000", "keep the promise `line-answered-once`"),
    ];
    let mut level_kb = 0;
    for (at, (attack, named)) in attacks.iter().chain(&attacks[..FILLING]).enumerate() {
        if at == attacks.len() {
            level_kb = level(&shop).await;
        }
        let customer = at.to_string();
        let (status, body) = pushed(&shop, &push_body("pricing", &hostile, &json!(attack), false)).await;
        assert!(status < 300, "{attack}: {body}");
        let item = json!({ "productId": "PROD-12345", "quantity": 1 });
        shop.call("POST", "/api/v1/cart/items", Some(&item)).await;
        let (begun, ()) = tokio::join!(
            shop.call("POST", "/api/v1/checkout/initiate", None),
            neighbour_is_served(&shop, &customer)
        );
        assert_eq!(begun.0, 201, "{attack}: {}", begun.1);
        let session = begun.1["checkoutSessionId"].as_str().expect("an id");
        let submit = submit_body(session, "PM-001");
        let refused = shop.call("POST", "/api/v1/checkout/submit", Some(&submit)).await;
        assert_eq!(
            (refused.0, &refused.1["code"]),
            (502, &json!("component-failed")),
            "{attack}: {}",
            refused.1
        );
        assert!(refused.1.to_string().contains(named), "{attack}: {}", refused.1);
        let (status, body) = shop.call("POST", &format!("/api/v1/checkout/{session}/cancel"), None).await;
        assert_eq!((status, &body["status"]), (200, &json!("cancelled")), "{attack}: {body}");
    }
    neighbour_is_served(&shop, "after").await;
    returned_to(level_kb, &shop).await;
    shop.alive().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn what_attacks_at_the_door_is_refused_by_name_while_the_neighbour_is_served() {
    let shop = open().await;
    neighbour(&shop).await;
    let honest = till_tests::guest("price-list");
    let hostile = till_tests::guest("hostile");
    let prices = till_tests::demo_config("price-list");
    let other_toolchain = as_pricing("(component");
    let own_words = wat::parse_str("(component)").expect("it is WASM");
    let too_large = vec![0; (32 << 20) + 1];
    let cases: Vec<(&str, Vec<u8>, Value, &str)> = vec![
        ("one enormous function", enormous(), json!({}), "does not compile"),
        ("eats memory, and is checked", hostile.clone(), json!("memory"), "bytes of memory"),
        ("cut off", honest[..honest.len() / 2].to_vec(), json!({}), "damaged or cut off"),
        ("cut in its header", honest[..6].to_vec(), json!({}), "not a WASM component"),
        (
            "of another contract",
            of_another_contract(honest.clone()),
            json!({}),
            "must export till:checkout/pricing-rules@0.1; this one exports till:checkout/pricing-rules@0.2.0",
        ),
        ("made otherwise", other_toolchain, json!({}), "was not built from the contract 0.1.0"),
        ("exports nothing", own_words, json!({}), "must export till:checkout/pricing-rules@0.1"),
        ("crafted for the compiler", crafted(60_000), json!({}), "within its limits: 10 s of CPU time"),
        ("too large", too_large, json!({}), "at most 33554432"),
        ("its config is no number", honest.clone(), json!({ "price_list": 1.5e300 }), "price_list"),
        ("never ends, and is checked", hostile.clone(), json!("loop"), "used up its fuel"),
        ("lies, and is checked", hostile, json!("negative-price"), "has unit price -100"),
    ];
    let large = &cases[..2];
    let mut level_kb = 0;
    for (at, (what, wasm, config, named)) in cases.iter().chain(large).chain(large).enumerate() {
        if at == cases.len() + large.len() {
            level_kb = level(&shop).await;
        }
        let customer = at.to_string();
        let body = push_body("pricing", wasm, config, true);
        let (answer, ()) = tokio::join!(pushed(&shop, &body), neighbour_is_served(&shop, &customer));
        // The suite tells what the guest itself said, too.
        assert_eq!(answer.0, 422, "{what}: {}", answer.1);
        assert!(answer.1.to_string().contains(named), "{what}: no `{named}` in {}", answer.1);
    }
    returned_to(level_kb, &shop).await;
    // Bytes that are no UTF-8 where JSON is.
    let mut raw = push_body("pricing", &honest, &prices, true).to_string().into_bytes();
    let at = raw.windows(6).position(|w| w == b"retail").expect("the configuration");
    raw[at] = 0xff;
    let answer = reqwest::Client::builder()
        .no_proxy()
        .build()
        .expect("a client")
        .post(format!("{}/api/v1/admin/components", shop.host.url))
        .bearer_auth(token("admin", "admin operator"))
        .header("content-type", "application/json")
        .body(raw)
        .send()
        .await
        .expect("the host answers");
    assert_eq!(answer.status().as_u16(), 400);
    // What was active is still.
    let session = shop.session().await;
    let order = shop.call("POST", "/api/v1/checkout/submit", Some(&submit_body(&session, "PM-001"))).await;
    assert_eq!((order.0, &order.1["status"]), (201, &json!("CONFIRMED")), "{}", order.1);
    shop.alive().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_configuration_and_a_secret_of_exactly_the_limit_are_taken() {
    let shop = open().await;
    let hostile = till_tests::guest("hostile");
    for (bytes, status) in [(256 << 10, 201), ((256 << 10) + 1, 422)] {
        let mut body = push_body("pricing", &hostile, &json!("c".repeat(bytes - 2)), false);
        body["stage"] = json!("ready");
        let answer = pushed(&shop, &body).await;
        assert_eq!(answer.0, status, "{bytes}: {}", answer.1);
        if status == 422 {
            problem(&answer, 422, "262144");
        }
    }
    let admin = token("admin", "admin operator");
    for (bytes, fits) in [(8 << 10, true), ((8 << 10) + 1, false)] {
        let body = json!({ "value": "s".repeat(bytes) });
        let answer = shop.as_other(&admin, "PUT", "/api/v1/admin/secrets/long", Some(&body)).await;
        assert_eq!(answer.0 < 300, fits, "{bytes}: {}", answer.1);
        if !fits {
            problem(&answer, 422, "8192");
        }
    }
    shop.alive().await;
}

/// A provider of the attackers, and how often it was asked.
async fn provider() -> (String, Arc<AtomicUsize>) {
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.expect("a port");
    let origin = format!("http://{}", listener.local_addr().expect("an address"));
    let asked = Arc::new(AtomicUsize::new(0));
    let counted = asked.clone();
    tokio::spawn(async move {
        while let Ok((mut stream, _)) = listener.accept().await {
            let counted = counted.clone();
            tokio::spawn(async move {
                let mut seen = Vec::new();
                while stream.read_buf(&mut seen).await.is_ok_and(|read| read > 0) {
                    while let Some(end) = seen.windows(4).position(|w| w == b"\r\n\r\n") {
                        let head = String::from_utf8_lossy(&seen[..end]).into_owned();
                        seen.drain(..end + 4);
                        counted.fetch_add(1, Ordering::Relaxed);
                        let path = head.split(' ').nth(1).unwrap_or_default();
                        if path == "/drip" {
                            let start = b"HTTP/1.1 200 OK\r\ncontent-length: 1000000\r\n\r\n";
                            let mut open = stream.write_all(start).await.is_ok();
                            while open {
                                tokio::time::sleep(Duration::from_millis(20)).await;
                                open = stream.write_all(b".").await.is_ok();
                            }
                            return;
                        }
                        if stream.write_all(&answer(path)).await.is_err() {
                            return;
                        }
                    }
                }
            });
        }
    });
    (origin, asked)
}

/// To the inside by default.
fn answer(path: &str) -> Vec<u8> {
    let (head, body) = match path {
        "/large" => ("200 OK\r\n", vec![b'l'; (1 << 20) + 1]),
        // What this would unfold to does not matter: nobody in the host unfolds it.
        "/bomb" => ("200 OK\r\ncontent-encoding: gzip\r\n", vec![0x1f; 100_000]),
        _ => ("302 Found\r\nlocation: http://169.254.169.254/\r\n", Vec::new()),
    };
    let mut whole = format!("HTTP/1.1 {head}content-length: {}\r\n\r\n", body.len()).into_bytes();
    whole.extend(body);
    whole
}

/// What the journal of a session says, as its operator reads it.
async fn journal(shop: &Shop, session: &str) -> String {
    let operator = token("operator", "operator");
    let path = format!("/api/v1/workflows/checkout/instances/{session}/journal?limit=500");
    let (status, body) = shop.as_other(&operator, "GET", &path, None).await;
    assert_eq!(status, 200, "{body}");
    body.to_string()
}

#[tokio::test(flavor = "multi_thread")]
async fn what_attacks_as_a_gateway_is_told_by_its_limit_while_the_neighbour_is_served() {
    let shop = open().await;
    neighbour(&shop).await;
    let gateway = till_tests::guest("hostile-gateway");
    let (origin, asked) = provider().await;
    let unsure = "the gateway confirmed None";
    let attacks = [
        (format!("fetch {origin} /"), 1, unsure),
        (format!("fetch {origin} /bomb"), 1, unsure),
        (format!("fetch {origin} /large"), 1, "the answer has more than 1048576 bytes"),
        (format!("fetch {origin} /drip"), 1, "no complete answer in time"),
        (
            format!("requests {origin} 3000"),
            32,
            "2968 more requests were refused after the 32 that a call may make",
        ),
        (format!("panic-after-send {origin}"), 1, "after the money moved"),
        (format!("loop-after-send {origin}"), 1, "used up its fuel: 200000000 of 200000000 units"),
        (format!("sleep {origin}"), 1, "was stopped after 3000 ms"),
        (format!("loop {origin}"), 0, "used up its fuel: 200000000 of 200000000 units"),
        (format!("upload {origin} 2000000"), 0, "the request body has more than 1048576 bytes"),
        (format!("handles {origin} 100000"), 0, "the component crashed"),
        ("fetch http://169.254.169.254 /".to_owned(), 0, "is a private address"),
        ("fetch http://localhost:1 /".to_owned(), 0, "`localhost` leads to a private address"),
        ("fetch http://[::ffff:127.0.0.1]:1 /".to_owned(), 0, "is a private address"),
        ("fetch http://2130706433:1 /".to_owned(), 0, "is a private address"),
    ];
    let mut level_kb = 0;
    for (at, (attack, requests, named)) in attacks.iter().chain(&attacks[..FILLING]).enumerate() {
        if at == attacks.len() {
            level_kb = level(&shop).await;
        }
        let customer = at.to_string();
        let mut body = push_body("payment-gateway", &gateway, &json!(attack), false);
        let allowed = attack.split(' ').nth(1).expect("an origin");
        body["origins"] = json!([allowed]);
        body["allowPrivateAddresses"] = json!(allowed == origin);
        body["networkMs"] = json!(1_000);
        let pushed = pushed(&shop, &body).await;
        assert!(pushed.0 < 300, "{attack}: {}", pushed.1);
        let before = asked.load(Ordering::Relaxed);
        let session = shop.session().await;
        let submit = submit_body(&session, "PM-001");
        let (paid, ()) = tokio::join!(
            shop.call("POST", "/api/v1/checkout/submit", Some(&submit)),
            neighbour_is_served(&shop, &customer)
        );
        assert_eq!(asked.load(Ordering::Relaxed) - before, *requests, "{attack}");
        // Without a request nothing can have happened, unless the component says that it has: then it is asked.
        match paid.0 {
            502 => assert_eq!((*requests, &paid.1["code"]), (0, &json!("component-failed")), "{attack}"),
            _ => assert_eq!(paid.1["status"], "payment_unknown", "{attack}: {}", paid.1),
        }
        let told = journal(&shop, &session).await;
        assert!(told.contains(named), "{attack}: {told}");
    }
    assert_eq!(shop.simulator.charges().await, Vec::<String>::new());
    neighbour_is_served(&shop, "after").await;
    returned_to(level_kb, &shop).await;
    tokio::time::timeout(Duration::from_secs(30), shop.alive()).await.expect("the host answers at once");
}
