//! The suites on real components: honest ones pass, and each lie is found by the check that is there for it.

use std::path::Path;
use std::sync::{Arc, LazyLock};
use till_kit::conformance::{Conformance, Status, conformance, with_fixtures};
use till_kit::{Fixture, fixture, inspect};
use till_sandbox::{Component, Sandbox, SandboxConfig, Slot};

static SANDBOX: LazyLock<Arc<Sandbox>> = LazyLock::new(|| {
    let config = SandboxConfig { pure_threads: 2, gateway_calls_max: 4, ..SandboxConfig::default() };
    Sandbox::new(config).expect("the sandbox can be set up")
});

fn components() -> &'static Path {
    Path::new(concat!(env!("CARGO_MANIFEST_DIR"), "/../../components"))
}

fn guest(name: &str) -> Vec<u8> {
    let exe = std::env::current_exe().expect("a test knows where it is");
    let target = exe.ancestors().nth(3).expect("tests are in target/<profile>/deps");
    let path = target.join("guests").join(name).with_extension("wasm");
    std::fs::read(&path)
        .unwrap_or_else(|error| panic!("no guest at {}: {error}; run `cargo xtask guests`", path.display()))
}

fn load(slot: Slot, name: &str) -> Arc<Component> {
    SANDBOX.load(slot, &guest(name)).unwrap_or_else(|error| panic!("{name} is refused: {error}"))
}

fn demo(name: &str) -> String {
    std::fs::read_to_string(components().join(name).join("demo.json")).expect("a demo configuration")
}

fn fixtures(name: &str, slot: Slot) -> Vec<Fixture> {
    let files = fixture::files(&components().join(name).join("fixtures")).expect("fixtures");
    files.iter().map(|path| Fixture::read(path, slot).expect("a fixture")).collect()
}

async fn suite(slot: Slot, name: &str, config: &str) -> Conformance {
    conformance(&SANDBOX, &load(slot, name), config).await
}

fn broken(found: &Conformance) -> Vec<&str> {
    let failed = found.checks.iter().filter(|check| check.status == Status::Failed);
    failed.map(|check| check.name.as_str()).collect()
}

fn status(found: &Conformance, name: &str) -> Status {
    found.get(name).unwrap_or_else(|| panic!("there is no check `{name}`: {found:#?}")).status
}

#[tokio::test]
async fn honest_components_keep_every_promise() {
    for (slot, name, config) in [
        (Slot::Pricing, "price-list", demo("price-list")),
        (Slot::Promotion, "promotions", demo("promotions")),
        (Slot::Promotion, "percent-off", r#"{"title": "Autumn", "ppm": 200000}"#.to_owned()),
        (Slot::Tax, "tax-table", demo("tax-table")),
        (Slot::Shipping, "zone-shipping", demo("zone-shipping")),
        (Slot::PaymentGateway, "sim-gateway", demo("sim-gateway")),
        (Slot::PaymentGateway, "razorpay-gateway", demo("razorpay-gateway")),
    ] {
        let found = with_fixtures(&SANDBOX, &load(slot, name), &config, &fixtures(name, slot)).await;
        assert!(found.passed(), "{name}: {found:#?}");
        let skipped = found.checks.iter().filter(|check| check.status == Status::Skipped).count();
        assert_eq!(skipped, 0, "{name}: {found:#?}");
    }
}

#[tokio::test]
async fn a_pure_suite_tries_sizes_currencies_codes_and_wrong_configurations() {
    let found = suite(Slot::Promotion, "promotions", &demo("promotions")).await;
    for name in [
        "deterministic",
        "lines-1",
        "lines-20",
        "lines-500",
        "currency-USD",
        "currency-JPY",
        "currency-KWD",
        "codes-none",
        "codes-unknown",
        "codes-config",
        "wrong-config",
    ] {
        assert_eq!(status(&found, name), Status::Passed, "{name}");
    }
    // It says nothing of a code it does not know: allowed, and worth a word.
    assert_eq!(status(&found, "unknown-code"), Status::Warning);
}

#[tokio::test]
async fn a_configuration_that_does_not_match_is_said_first() {
    let found = suite(Slot::Promotion, "percent-off", "{}").await;
    assert_eq!(broken(&found), ["config"]);
    assert!(found.checks[0].detail.contains("--config-file"), "{}", found.checks[0].detail);
    assert_eq!(status(&found, "suite"), Status::Skipped);
    assert_eq!(found.checks.len(), 2, "a host would not call it either: {found:#?}");
}

#[tokio::test]
async fn a_negative_price_is_found() {
    let found = suite(Slot::Pricing, "hostile", "\"negative-price\"").await;
    let check = found.get("not-negative").expect("the check");
    assert_eq!(check.status, Status::Failed);
    assert!(check.detail.contains("line-0") && check.detail.contains("-100"), "{}", check.detail);
}

#[tokio::test]
async fn a_line_without_an_answer_and_a_crash_are_found() {
    // It answers no line at all; and any configuration it does not know ends it.
    let found = suite(Slot::Pricing, "hostile", "\"log-flood\"").await;
    assert_eq!(broken(&found), ["wrong-config", "every-line-once"], "{found:#?}");
    let found = suite(Slot::Pricing, "hostile", "\"panic\"").await;
    let check = found.get("lines-20").expect("the check");
    let says = |part: &str| check.detail.contains(part);
    assert!(says("the tier table is empty") && says("[trapped]"), "{}", check.detail);
}

#[tokio::test]
async fn a_limit_that_is_reached_is_named() {
    let found = suite(Slot::Promotion, "hostile", "\"loop\"").await;
    let check = found.get("lines-1").expect("the check");
    assert!(check.status == Status::Failed && check.detail.contains("[out-of-fuel]"), "{}", check.detail);
}

#[tokio::test]
async fn a_discount_above_its_base_is_found() {
    let found = suite(Slot::Promotion, "hostile", "{}").await;
    assert_eq!(broken(&found), ["not-above-base"], "{found:#?}");
    assert!(found.get("not-above-base").is_some_and(|check| check.detail.contains("`steal`")));
}

#[tokio::test]
async fn a_gateway_that_claims_success_whatever_happened_is_found() {
    let found = suite(Slot::PaymentGateway, "hostile-gateway", r#""lie https://provider.example""#).await;
    // It sends without a key, succeeds after every fault, and asks the network for its capabilities.
    assert_eq!(
        broken(&found),
        [
            "capabilities",
            "wrong-config",
            "never-succeeds-unconfirmed",
            "other-key-other-request",
            "refund-bounds"
        ],
        "{found:#?}"
    );
    assert_eq!(status(&found, "sends"), Status::Passed);
    let capabilities = &found.get("capabilities").expect("the check").detail;
    assert!(capabilities.contains("sends a request"), "{capabilities}");
}

#[tokio::test]
async fn a_gateway_that_guesses_is_found() {
    let found = suite(Slot::PaymentGateway, "hostile-gateway", r#""guess https://provider.example""#).await;
    for (name, part) in [
        ("never-guesses", "`authorize` after 500 says {\"Declined\":{\"code\":\"guessed\""),
        ("same-key-same-request", "/v1/tries/1, then GET https://provider.example/v1/tries/2"),
        ("find-is-honest", "is certain that nothing happened"),
        ("unsigned-webhooks", "a webhook without a signature is believed"),
    ] {
        let check = found.get(name).expect("the check");
        assert_eq!(check.status, Status::Failed, "{name}: {found:#?}");
        assert!(check.detail.contains(part), "{name}: {}", check.detail);
    }
}

#[tokio::test]
async fn a_gateway_that_crashes_after_it_sent_is_found() {
    let found =
        suite(Slot::PaymentGateway, "hostile-gateway", r#""panic-after-send https://provider.example""#)
            .await;
    let check = found.get("survives-faults").expect("the check");
    assert_eq!(check.status, Status::Failed);
    assert!(check.detail.contains("after the money moved"), "{}", check.detail);
}

#[test]
fn what_a_host_would_refuse_is_told_with_the_way_out() {
    let told = |bytes: &[u8], slot: Option<Slot>| {
        let found = inspect::inspect(&SANDBOX, bytes, slot);
        assert!(!found.passed(), "{found:#?}");
        let failed = found.findings.into_iter().filter(|finding| finding.status == Status::Failed);
        failed.map(|finding| format!("{}: {}", finding.name, finding.detail)).collect::<Vec<_>>().join("\n")
    };
    let tax = guest("tax-table");
    let cut = told(&tax[..tax.len() / 2], None);
    assert!(cut.starts_with("format: ") && cut.contains("cut off"), "{cut}");
    let core = told(b"\0asm\x01\0\0\0", None);
    assert!(core.starts_with("format: ") && core.contains("wasm32-wasip2"), "{core}");
    let gateway = told(&guest("sim-gateway"), Some(Slot::Pricing));
    assert!(gateway.contains("slot: it does not fill pricing but payment-gateway"), "{gateway}");
    assert!(gateway.contains("imports: ") && gateway.contains("wasi:http/outgoing-handler"), "{gateway}");
    let both = told(&guest("hostile"), None);
    assert!(both.contains("pricing, promotion") && both.contains("--slot"), "{both}");
    let sockets = told(&guest("hostile-sockets"), None);
    assert!(
        sockets.contains("wasi:sockets/tcp") && sockets.contains("remove what needs the network"),
        "{sockets}"
    );
}

#[test]
fn what_a_host_would_take_is_ready_to_be_called() {
    let found = inspect::inspect(&SANDBOX, &guest("price-list"), None);
    assert!(found.passed(), "{found:#?}");
    let names: Vec<&str> = found.findings.iter().map(|finding| finding.name.as_str()).collect();
    assert_eq!(
        names,
        [
            "size",
            "exports",
            "imports",
            "compile",
            "slot",
            "contract",
            "name",
            "version",
            "capabilities",
            "config-schema"
        ]
    );
    assert_eq!(found.component.expect("a component").slot, Slot::Pricing);
}
