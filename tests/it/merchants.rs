//! What merchants do with their components from the command line and over HTTP: try out, look, go on or back, stop;
//! keep secrets and tables; take records out of live checkouts. The real binary, the real host.

use std::path::Path;
use std::process::{Command, Stdio};

use serde_json::{Value, json};
use till_tests::guest;
use till_tests::host::{Host, binary, submit_body, token, token_for};

use crate::http::{Shop, open, problem};

const ADMIN: &str = "/api/v1/admin";

/// What a command said; it must have succeeded.
fn till(host: &Host, args: &[&str]) -> String {
    let (done, out, err) = try_till(host, args, "");
    assert!(done, "{args:?}: {out}{err}");
    out
}

/// Whether a command succeeded, and what it said.
fn try_till(host: &Host, args: &[&str], input: &str) -> (bool, String, String) {
    use std::io::Write as _;
    let mut child = Command::new(binary())
        .args(args)
        .env("TILL_URL", &host.url)
        .env("TILL_ADMIN_TOKEN", token("ana", "admin"))
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .expect("the binary runs");
    child.stdin.take().expect("its input").write_all(input.as_bytes()).expect("it reads");
    let ran = child.wait_with_output().expect("it ends");
    let text = |bytes: Vec<u8>| String::from_utf8(bytes).expect("UTF-8");
    (ran.status.success(), text(ran.stdout), text(ran.stderr))
}

fn file(folder: &Path, name: &str, text: &str) -> String {
    let path = folder.join(name);
    std::fs::write(&path, text).expect("write a file");
    path.to_str().expect("UTF-8").to_owned()
}

fn wasm(folder: &Path, name: &str) -> String {
    let path = folder.join(format!("{name}.wasm"));
    std::fs::write(&path, guest(name)).expect("write the component");
    path.to_str().expect("UTF-8").to_owned()
}

impl Shop {
    async fn admin_as(&self, scope: &str, method: &str, path: &str, body: Option<&Value>) -> (u16, Value) {
        self.as_other(&token("ana", scope), method, &format!("{ADMIN}{path}"), body).await
    }

    async fn buy(&self) -> String {
        let session = self.session().await;
        let (status, order) =
            self.call("POST", "/api/v1/checkout/submit", Some(&submit_body(&session, "PM-001"))).await;
        assert_eq!(status, 201, "{order}");
        session
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_component_is_tried_out_promoted_and_revoked_from_the_command_line() {
    let shop = open().await;
    let folder = tempfile::tempdir().expect("a folder");
    let percent = wasm(folder.path(), "percent-off");
    let config = |ppm: u32| {
        let text = json!({ "title": format!("Off {ppm}"), "ppm": ppm }).to_string();
        file(folder.path(), &format!("{ppm}.json"), &text)
    };
    let place = ["--slot", "promotion", "--name", "30"];
    let push = |ppm: u32, more: &[&str]| {
        let config = config(ppm);
        let args =
            [&["component", "push"], &place[..], &["--config-file", &config], more, &[percent.as_str()]]
                .concat();
        till(&shop.host, &args)
    };
    let component =
        |verb: &str, more: &[&str]| till(&shop.host, &[&["component", verb], &place[..], more].concat());
    assert!(push(50_000, &[]).contains("is active in promotion/30 as revision 1"));
    let said = push(100_000, &["--stage", "canary", "--share", "12.5", "--why", "more"]);
    assert!(said.contains("canary") && said.contains("12.5000 % of the checkouts"), "{said}");
    assert!(component("canary", &["--share", "50"]).contains("50.0000 %"));
    assert!(component("trial", &[]).contains("canary in promotion/30 since revision 3"));
    assert!(component("promote", &[]).contains("as revision 4"));
    assert!(component("rollback", &["--why", "the margin"]).contains("as revision 5"));
    let said = push(200_000, &["--stage", "shadow"]);
    assert!(said.contains("shadow"), "{said}");
    let session = shop.session().await;
    let told = || component("trial", &[]);
    let begun = std::time::Instant::now();
    while !told().contains("compared 1, differing 1") {
        assert!(begun.elapsed() < till_tests::PATIENCE, "{}", told());
        tokio::time::sleep(std::time::Duration::from_millis(50)).await;
    }
    assert!(told().contains("percent-off"), "{}", told());
    assert!(component("withdraw", &[]).contains("is active"));
    let history = component("history", &[]);
    let acts: Vec<&str> = history.lines().skip(1).filter_map(|line| line.split_whitespace().nth(1)).collect();
    assert_eq!(acts, ["withdraw", "shadow", "rollback", "promote", "canary", "canary", "activate"]);
    assert!(history.contains("the margin") && history.contains("ana"), "{history}");

    let digest = till_sandbox::Digest::of(&guest("percent-off")).to_string();
    let life = till(&shop.host, &["component", "uploaded", &digest]);
    for state in ["uploaded", "validated", "compiled", "ready", "conformance"] {
        assert!(life.contains(state), "{state}: {life}");
    }
    let (done, _, err) = try_till(&shop.host, &["component", "delete", &digest], "");
    assert!(!done && err.contains("is in use"), "{err}");
    let said = till(&shop.host, &["component", "revoke", &digest, "--why", "it leaks"]);
    assert!(said.contains("promotion/30: retire"), "{said}");
    let (status, view) = shop.call("GET", &format!("/api/v1/checkout/{session}"), None).await;
    assert_eq!(status, 200, "{view}");
    // What was quoted with it is not charged at the new price without a word.
    let body = json!({ "checkoutSessionId": session, "shippingMethod": "standard", "paymentMethod": { "id": "PM-001", "type": "credit_card" } });
    let answer = shop.call("POST", "/api/v1/checkout/submit", Some(&body)).await;
    problem(&answer, 409, "quote-changed");
    let (done, _, err) = try_till(
        &shop.host,
        &[&["component", "push"][..], &place, &["--config-file", &config(1), &percent]].concat(),
        "",
    );
    assert!(!done && err.contains("was revoked"), "{err}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_component_that_lies_does_not_get_in_unless_somebody_says_why() {
    let shop = open().await;
    let folder = tempfile::tempdir().expect("a folder");
    let (hostile, lies) =
        (wasm(folder.path(), "hostile"), file(folder.path(), "lies.json", "\"negative-price\""));
    let push = ["component", "push", "--slot", "pricing", "--name", "spare", "--config-file", &lies];
    let (done, _, err) = try_till(&shop.host, &[&push[..], &[&hostile]].concat(), "");
    assert!(!done && err.contains("conformance") && err.contains("negative"), "{err}");
    let (done, _, err) = try_till(&shop.host, &[&push[..], &["--skip-conformance", &hostile]].concat(), "");
    assert!(!done && err.contains("say why"), "{err}");
    till(&shop.host, &[&push[..], &["--skip-conformance", "--why", "a test", &hostile]].concat());
}

#[tokio::test(flavor = "multi_thread")]
async fn scopes_say_who_may_look_and_who_may_change() {
    let shop = open().await;
    let turn = json!({ "slot": "promotion", "name": "10" });
    let secret = json!({ "value": "sk" });
    for (scope, looks, changes) in [
        ("components:read", 200, 403),
        ("components", 200, 200),
        ("admin", 200, 200),
        ("operator", 403, 403),
        ("", 403, 403),
    ] {
        for path in [
            "/components",
            "/components/uploaded",
            "/components/history?slot=promotion&name=10",
            "/secrets",
            "/tables",
            "/checkouts/recorded",
        ] {
            let (status, body) = shop.admin_as(scope, "GET", path, None).await;
            assert_eq!(status, looks, "{scope} {path}: {body}");
        }
        let (status, body) = shop.admin_as(scope, "PUT", "/secrets/spare", Some(&secret)).await;
        assert_eq!(status, changes, "{scope}: {body}");
        assert!(!body.to_string().contains("sk\""), "{body}");
        let (status, body) = shop.admin_as(scope, "POST", "/components/retire", Some(&turn)).await;
        let expected = if changes == 403 { 403 } else { status };
        assert_eq!(status, expected, "{scope}: {body}");
    }
    let (status, body) = shop.admin_as("admin", "PUT", "/settings", Some(&json!({}))).await;
    assert_eq!(status, 200, "{body}");
    let refused = shop.admin_as("components", "PUT", "/settings", Some(&json!({}))).await;
    problem(&refused, 403, "admin");
}

#[tokio::test(flavor = "multi_thread")]
async fn secrets_and_tables_are_kept_and_named_and_never_shown() {
    let shop = open().await;
    let folder = tempfile::tempdir().expect("a folder");
    let (done, out, err) = try_till(&shop.host, &["secret", "set", "acquirer"], "sk_very_secret\n");
    assert!(done && out.contains("version 1"), "{out}{err}");
    let (done, out, _) = try_till(&shop.host, &["secret", "set", "acquirer"], "sk_rotated");
    assert!(done && out.contains("version 2"), "{out}");
    let list = till(&shop.host, &["secret", "list"]);
    assert!(list.contains("acquirer") && !list.contains("sk_"), "{list}");
    till(&shop.host, &["secret", "drop", "acquirer"]);
    let (done, _, err) = try_till(&shop.host, &["secret", "drop", "acquirer"], "");
    assert!(!done && err.contains("404"), "{err}");
    let (done, _, err) = try_till(&shop.host, &["secret", "set", "Bad Name"], "x");
    assert!(!done, "{err}");

    let csv = file(folder.path(), "prices.csv", "sku,price\nSKU-ABC-001,19999\n");
    let digest = till(&shop.host, &["table", "push", &csv]);
    assert!(digest.contains("1 rows"), "{digest}");
    let digest = digest.split_whitespace().next().expect("a digest").to_owned();
    assert!(till(&shop.host, &["table", "list"]).contains(&digest));
    let other = file(folder.path(), "other.csv", "sku,price\nSKU-ABC-002,1\n");
    let other = till(&shop.host, &["table", "push", &other]);
    let list = till(&shop.host, &["table", "list", "--limit", "1"]);
    assert!(other.starts_with(list.split_whitespace().next().expect("a digest")), "the newest: {list}");
    let push = ["component", "push", "--slot", "promotion", "--name", "30", "--table"];
    let config = file(folder.path(), "config.json", &json!({ "title": "T", "ppm": 1 }).to_string());
    let (table, guest) = (format!("prices={csv}"), wasm(folder.path(), "percent-off"));
    till(&shop.host, &[&push[..], &[&table, "--config-file", &config, &guest]].concat());
    let (done, _, err) = try_till(&shop.host, &["table", "delete", &digest], "");
    assert!(!done && err.contains("409") && err.contains("revision 1 of promotion/30 uses it"), "{err}");
    till(&shop.host, &["table", "delete", other.split_whitespace().next().expect("a digest")]);
    assert_eq!(till(&shop.host, &["table", "list"]).lines().count(), 1);
    let bad = file(folder.path(), "bad.csv", "sku,price\nA,1\nA,2\n");
    let (done, _, err) = try_till(&shop.host, &["table", "push", &bad], "");
    assert!(!done && err.contains("`A` is there twice"), "{err}");
    let (status, body) = shop.admin_as("admin", "GET", "/bindings/nothing", None).await;
    problem(&(status, body), 404, "binding");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_merchant_who_sends_slowly_keeps_no_other_from_pushing() {
    use std::io::{Read as _, Write as _};
    let shop = open().await;
    let folder = tempfile::tempdir().expect("a folder");
    let slow = token_for("slow", "bob", "admin", 3_600);
    let mut sending = vec![];
    for _ in 0..2 {
        let address = shop.host.url.strip_prefix("http://").expect("plain HTTP");
        let mut stream = std::net::TcpStream::connect(address).expect("the host listens");
        let head = format!(
            "POST {ADMIN}/components HTTP/1.1\r\nHost: till\r\nAuthorization: Bearer {slow}\r\n\
             Content-Type: application/json\r\nContent-Length: 1000000\r\nExpect: 100-continue\r\n\r\n"
        );
        stream.write_all(head.as_bytes()).expect("it reads");
        // The host asks for the body when it has a place for it.
        let mut answer = [0; 25];
        stream.read_exact(&mut answer).expect("it answers");
        assert!(answer.starts_with(b"HTTP/1.1 100"), "{}", String::from_utf8_lossy(&answer));
        stream.write_all(b"{").expect("it reads");
        sending.push(stream);
    }
    let config = file(folder.path(), "config.json", &json!({ "title": "T", "ppm": 1 }).to_string());
    let guest = wasm(folder.path(), "percent-off");
    let push = ["component", "push", "--slot", "promotion", "--name", "30", "--config-file"];
    let told = till(&shop.host, &[&push[..], &[&config, &guest]].concat());
    assert!(told.contains("is active in promotion/30"), "{told}");
    for mut stream in sending {
        stream.set_nonblocking(true).expect("a socket");
        let waits = stream.read(&mut [0; 1]).expect_err("it has no answer yet");
        assert_eq!(waits.kind(), std::io::ErrorKind::WouldBlock, "its body still arrives");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_live_checkout_becomes_a_fixture_that_gives_the_same_bytes_here_there_and_after_a_restart() {
    let mut shop = open().await;
    let folder = tempfile::tempdir().expect("a folder");
    let session = shop.session().await;
    let body = json!({ "shippingMethod": "standard", "promotionCodes": ["SUMMER2024"] });
    let (status, view) = shop.call("PUT", &format!("/api/v1/checkout/{session}"), Some(&body)).await;
    assert_eq!(status, 200, "{view}");
    let record = |host: &Host, slot: &str, name: &str, into: &str| {
        let out = folder.path().join(into);
        let out = out.to_str().expect("UTF-8");
        till(
            host,
            &["component", "record", "--session", &session, "--slot", slot, "--name", name, "--out", out],
        );
        std::fs::read_to_string(folder.path().join(into).join(format!("{session}.json"))).expect("a fixture")
    };
    for (slot, name, component) in [
        ("pricing", "default", "price-list"),
        ("promotion", "10", "promotions"),
        ("tax", "default", "tax-table"),
        ("shipping", "default", "zone-shipping"),
    ] {
        let before = record(&shop.host, slot, name, &format!("{slot}-1"));
        assert!(!before.contains("Jane") && !before.contains("CUST-12345"), "{before}");
        let fixtures = folder.path().join(format!("{slot}-1"));
        let binary = wasm(folder.path(), component);
        let fixtures = fixtures.to_str().expect("UTF-8");
        let said = till(&shop.host, &["component", "test", &binary, "--slot", slot, "--fixtures", fixtures]);
        assert!(said.contains("ok"), "{said}");
        shop.restart();
        assert_eq!(record(&shop.host, slot, name, &format!("{slot}-2")), before, "after a restart");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_backtest_over_recorded_checkouts_tells_what_would_change_as_a_table_and_as_json() {
    let shop = open().await;
    let folder = tempfile::tempdir().expect("a folder");
    let percent = wasm(folder.path(), "percent-off");
    let config = file(folder.path(), "c.json", r#"{ "title": "Tenth", "ppm": 100000 }"#);
    let (kept, report) = (folder.path().join("kept"), folder.path().join("report.json"));
    let (kept, report) = (kept.to_str().expect("UTF-8"), report.to_str().expect("UTF-8"));
    let test = |more: &[&str]| {
        let args = [
            "component",
            "backtest",
            "--slot",
            "promotion",
            "--name",
            "30",
            "--config-file",
            &config,
            "--json",
            report,
        ];
        try_till(&shop.host, &[&args[..], more, &[&percent]].concat(), "")
    };
    let (done, _, err) = test(&[]);
    assert!(!done && err.contains("no confirmed checkouts"), "{err}");
    for _ in 0..2 {
        shop.buy().await;
    }
    let (done, out, err) = test(&["--save", kept]);
    assert!(done, "{err}");
    assert!(out.contains("2 of 2 checkouts would differ, 0 could not be answered"), "{out}");
    assert!(out.contains("percent-off") && out.contains("2 cheaper, 0 dearer"), "{out}");
    let found: Value =
        serde_json::from_str(&std::fs::read_to_string(report).expect("a report")).expect("JSON");
    assert_eq!((&found["checkouts"], &found["differing"]), (&json!(2), &json!(2)), "{found}");
    let (was, is) = (found["money"]["USD"]["before"].as_i64(), found["money"]["USD"]["after"].as_i64());
    assert!(is < was && is.is_some(), "{found}");
    // Again from what was kept, without the host.
    let (done, again, err) = test(&["--records", kept, "--url", "http://127.0.0.1:1"]);
    assert!(done, "{err}");
    let table = |text: &str| {
        text.lines().filter(|line| !line.contains(" ms: ")).map(str::to_owned).collect::<Vec<_>>()
    };
    assert_eq!(table(&again), table(&out));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_backtest_prices_by_what_stood_in_and_leaves_out_what_was_collected() {
    let shop = open().await;
    let folder = tempfile::tempdir().expect("a folder");
    // Builds of one component that differ in their bytes alone.
    let build = |n: u8| {
        let bytes = [guest("percent-off"), vec![0, 5, 4, b't', b'e', b's', n]].concat();
        let path = folder.path().join(format!("build-{n}.wasm"));
        std::fs::write(&path, &bytes).expect("write the component");
        (path.to_str().expect("UTF-8").to_owned(), till_sandbox::Digest::of(&bytes).to_string())
    };
    let ((leaking, leaking_digest), (fixed, fixed_digest), (old, old_digest)) =
        (build(1), build(2), build(3));
    let push = |name: &str, ppm: u32, wasm: &str| {
        let text = json!({ "title": format!("Off {ppm}"), "ppm": ppm }).to_string();
        let config = file(folder.path(), &format!("{ppm}.json"), &text);
        let push = ["component", "push", "--slot", "promotion", "--name", name, "--config-file", &config];
        till(&shop.host, &[&push[..], &[wasm]].concat());
    };
    push("30", 50_000, &leaking);
    let session = shop.session().await;
    push("30", 100_000, &fixed);
    till(&shop.host, &["component", "revoke", &leaking_digest, "--why", "it leaks"]);
    let shipping = json!({ "shippingMethod": "standard" });
    let (status, view) = shop.call("PUT", &format!("/api/v1/checkout/{session}"), Some(&shipping)).await;
    assert_eq!(status, 200, "{view}");
    let submit = submit_body(&session, "PM-001");
    let (status, order) = shop.call("POST", "/api/v1/checkout/submit", Some(&submit)).await;
    assert_eq!(status, 201, "{order}");

    // Another one is priced by a component that is not kept later, because its place used others since.
    push("40", 10_000, &old);
    shop.buy().await;
    for n in 0..till_registry::KEPT_REVISIONS {
        let body = json!({
            "slot": "promotion", "name": "40", "component": fixed_digest,
            "config": { "title": "Off", "ppm": n + 1 }, "skipConformance": true, "why": "a test",
        });
        let (status, made) = shop.admin_as("admin", "POST", "/components", Some(&body)).await;
        assert_eq!(status, 201, "{made}");
    }
    till(&shop.host, &["component", "delete", &old_digest]);

    let config = file(folder.path(), "promotions.json", &till_tests::demo_config("promotions").to_string());
    let (kept, report) = (folder.path().join("kept"), folder.path().join("report.json"));
    let (kept, report) = (kept.to_str().expect("UTF-8"), report.to_str().expect("UTF-8"));
    let promotions = wasm(folder.path(), "promotions");
    let test = |more: &[&str]| {
        let args = ["component", "backtest", "--slot", "promotion", "--name", "10", "--config-file", &config];
        let (done, out, err) =
            try_till(&shop.host, &[&args[..], &["--json", report], more, &[&promotions]].concat(), "");
        assert!(done, "{out}{err}");
        assert!(out.contains("0 of 1 checkouts would differ, 0 could not be answered"), "{out}");
        assert!(out.contains("left out 1: promotion/40 with the binding"), "{out}");
        let found = std::fs::read_to_string(report).expect("a report");
        let found: Value = serde_json::from_str(&found).expect("JSON");
        assert_eq!((&found["checkouts"], &found["differing"]), (&json!(1), &json!(0)), "{found}");
        let skipped: Vec<&Value> = found["skipped"].as_object().expect("reasons").values().collect();
        assert_eq!(skipped, [&json!(1)], "{found}");
    };
    test(&["--save", kept]);
    test(&["--records", kept, "--url", "http://127.0.0.1:1"]);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_table_inside_a_push_is_read_as_an_uploaded_one() {
    let shop = open().await;
    let folder = tempfile::tempdir().expect("a folder");
    let rows = r#"{ "a": 9.90, "b": 12345678901234567890123, "c": "text" }"#;
    let uploaded = till(&shop.host, &["table", "push", &file(folder.path(), "rows.json", rows)]);
    let uploaded = uploaded.split_whitespace().next().expect("a digest");
    let push = async |rows: &str| {
        let (config, component) =
            (till_tests::demo_config("price-list"), till_sandbox::Digest::of(&guest("price-list")));
        // As text: a JSON library may lose digits on the way.
        let body = format!(
            r#"{{"slot": "pricing", "component": "{component}", "config": {config}, "tables": {{"t": {rows}}}}}"#
        );
        let request = reqwest::Client::new()
            .post(format!("{}{ADMIN}/components", shop.host.url))
            .bearer_auth(token("ana", "admin"))
            .header("content-type", "application/json")
            .body(body);
        let answer = request.send().await.expect("the host answers");
        let status = answer.status().as_u16();
        let text = answer.text().await.expect("a whole answer");
        (status, serde_json::from_str::<Value>(&text).expect("JSON"))
    };
    let (status, made) = push(rows).await;
    assert_eq!(status, 201, "{made}");
    let digest = made["digest"].as_str().expect("a digest");
    let (_, binding) = shop.admin_as("admin", "GET", &format!("/bindings/{digest}"), None).await;
    assert_eq!(binding["body"]["tables"]["t"], json!(uploaded), "the same rows are the same table");
    problem(&push(r#"{ "a": 1, "a": 2 }"#).await, 422, "`a` is there twice");
}
