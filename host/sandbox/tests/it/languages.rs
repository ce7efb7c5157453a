//! Guests in TypeScript and Python: exact amounts, the same answer each time, limits, and their own words.

use crate::common::{NOW_MS, call, cart, guest, target};
use std::sync::{Arc, LazyLock};
use till_sandbox::wit::promotion::{LineState, LineUnits, PromotionRequest, PromotionResult, Target, Value};
use till_sandbox::wit::types::{ComponentError, Customer};
use till_sandbox::{
    Answer, COMPILE_CPU_S, Call, Compiler, Component, Failure, FailureKind, Limits, Sandbox, SandboxConfig,
    Slot,
};

/// Whole numbers up to here are exact in JavaScript.
const EXACT_MAX: i64 = (1 << 53) - 1;
const TYPESCRIPT: &str = "volume-discount-ts";
const PYTHON: &str = "loyal-customer-py";
const TIERS: &str = r#"{"title": "More is less", "tiers": [{"from": 2, "off": 100}]}"#;
const LOYAL: &str = r#"{"title": "Thank you", "amount": 500, "orders": 5}"#;

/// With a compiler as hosts have it: machine code for Python takes half a minute, so it is kept.
static KEEPING: LazyLock<Arc<Sandbox>> = LazyLock::new(|| {
    let till = target().join("debug/till");
    assert!(till.exists(), "no {}: run `cargo build --workspace --bins`", till.display());
    let compiler = Compiler::Child {
        command: vec![till.into(), "compile-component".into()],
        cpu_s: COMPILE_CPU_S,
        cache: target().join("test-code"),
    };
    let config = SandboxConfig {
        pure_threads: 2,
        gateway_calls_max: 1,
        gateway_calls_per_merchant_max: 1,
        compiler,
        ..SandboxConfig::default()
    };
    Sandbox::new(config).expect("the sandbox can be set up")
});

/// Tests are processes of their own: the first one compiles, the others wait for it.
fn load(name: &str) -> Arc<Component> {
    let sandbox = KEEPING.clone();
    let lock = std::fs::File::create(target().join("test-code").join(format!("{name}.lock"))).unwrap();
    lock.lock().unwrap();
    sandbox.load(Slot::Promotion, &guest(name)).unwrap_or_else(|error| panic!("{name} is refused: {error}"))
}

/// A cart of lines with two units each at this price.
fn request(lines: usize, price: i64) -> PromotionRequest {
    let mut cart = cart(lines);
    cart.customer = Some(Customer {
        id: "c1".into(),
        groups: vec![],
        tier: None,
        tags: vec!["vip".into()],
        orders_count: 5,
        tax_exemptions: vec![],
        attributes: vec![],
    });
    for line in &mut cart.lines {
        line.catalog_price = price;
    }
    let state = |line: &till_sandbox::wit::types::Line| LineState {
        line: line.id.clone(),
        unit_price: price,
        original: price.saturating_mul(2),
        remaining: price.saturating_mul(2),
    };
    let lines: Vec<_> = cart.lines.iter().map(state).collect();
    PromotionRequest {
        subtotal: lines.iter().fold(0, |sum, line| sum.saturating_add(line.original)),
        cart,
        lines,
        earlier: vec![],
        shipping: vec![],
        attributes: vec![],
    }
}

async fn promote(
    name: &str,
    config: &str,
    request: PromotionRequest,
) -> Result<Answer<PromotionResult>, Failure> {
    KEEPING.promote(call(load(name), config), request).await
}

fn trap(failure: &Failure) -> &str {
    let FailureKind::Trapped { message } = &failure.kind else { panic!("{failure}") };
    message
}

fn off(each: i64) -> String {
    format!(r#"{{"title": "t", "tiers": [{{"from": 1, "off": {each}}}]}}"#)
}

#[tokio::test]
async fn typescript_gives_exact_amounts_for_each_line() {
    // 3,000,000,000 does not fit into 32 bits.
    for (price, each, amount) in
        [(24_999, 100, 200), (50_000, 24_999, 49_998), (3_000_000_000, 2_999_999_999, 5_999_999_998)]
    {
        let result = promote(TYPESCRIPT, &off(each), request(2, price)).await.unwrap().value.unwrap();
        assert_eq!(result.candidates.len(), 2);
        let candidate = &result.candidates[1];
        assert_eq!(candidate.value, Value::Amount(amount));
        assert_eq!(candidate.target, Target::Lines(vec![LineUnits { line: "L2".into(), units: 2 }]));
        assert_eq!(candidate.cap, Some(price * 2));
        assert_eq!(candidate.uses_limit, None);
    }
    let half = EXACT_MAX / 2; // Two units come to 2^53 - 2.
    let mut large = request(1, half);
    large.subtotal = EXACT_MAX;
    let result = promote(TYPESCRIPT, &off(half), large).await.unwrap().value.unwrap();
    assert_eq!(result.candidates[0].value, Value::Amount(EXACT_MAX - 1));
}

#[tokio::test]
async fn what_javascript_cannot_hold_is_an_error_with_its_field_and_never_rounded() {
    let mut request = request(1, 100);
    request.lines[0].original = EXACT_MAX + 2; // QuickJS makes 2^53 of it.
    let failure = promote(TYPESCRIPT, TIERS, request.clone()).await.unwrap_err();
    assert!(
        trap(&failure).starts_with("request.lines[0].original is 9007199254740992: not a whole number"),
        "{failure}"
    );
    assert!(trap(&failure).contains("at check (/src/till.ts:"), "{failure}");

    request.lines[0].original = 200;
    request.lines[0].unit_price = EXACT_MAX;
    let failure = promote(TYPESCRIPT, &off(EXACT_MAX), request.clone()).await.unwrap_err();
    assert!(trap(&failure).starts_with("18014398509481982 is beyond ±(2^53 − 1)"), "{failure}");
    assert!(trap(&failure).contains("at candidate (/src/component.ts:"), "{failure}");

    request.lines[0].unit_price = 100;
    let failure =
        promote(TYPESCRIPT, r#"{"title": "t", "tiers": [{"from": 1, "off": 0.25}]}"#, request).await;
    let failure = failure.unwrap_err();
    assert!(trap(&failure).contains("not an integer"), "{failure}");
}

#[tokio::test]
async fn python_gives_exact_amounts_of_64_bits() {
    for amount in [500, 3_000_000_000, EXACT_MAX + 2, i64::MAX] {
        let config = format!(r#"{{"title": "Thank you", "amount": {amount}, "orders": 5}}"#);
        let result = promote(PYTHON, &config, request(1, i64::MAX)).await.unwrap().value.unwrap();
        assert_eq!(result.candidates[0].value, Value::Amount(amount));
        assert_eq!(result.candidates[0].reasons[0].text, "5 orders so far");
    }
    let mut guest = request(1, 100);
    guest.cart.customer = None;
    let result = promote(PYTHON, LOYAL, guest).await.unwrap().value.unwrap();
    assert_eq!(result.refusals[0].reason.code, "guest");
    let tagged = r#"{"title": "Thank you", "amount": 500, "orders": 9, "tag": "vip"}"#;
    let result = promote(PYTHON, tagged, request(1, 100)).await.unwrap().value.unwrap();
    assert_eq!(result.candidates[0].value, Value::Amount(200), "never more than there is to pay");
}

#[tokio::test]
async fn what_does_not_fit_the_contract_is_told_by_python_with_its_field() {
    for (amount, words) in [
        ("0.5", "TypeError: result.candidates[0].value.value is 0.5: amounts are whole numbers"),
        ("-9223372036854775809", "OverflowError: result.candidates[0].value.value is -9223372036854775809"),
    ] {
        let config = format!(r#"{{"title": "t", "amount": {amount}, "orders": 5}}"#);
        let failure = promote(PYTHON, &config, request(1, 100)).await.unwrap_err();
        assert!(trap(&failure).starts_with(words), "{failure}");
    }
}

#[tokio::test]
async fn an_exception_is_told_in_the_guests_words_with_file_and_line() {
    let mut unpriced = request(1, 100);
    unpriced.lines.clear();
    let failure = promote(TYPESCRIPT, TIERS, unpriced).await.unwrap_err();
    let line =
        line_of(include_str!("../../../../components/volume-discount-ts/src/component.ts"), "has no price");
    let words = format!("line L1 has no price\n    at evaluate (/src/component.ts:{line}:");
    assert!(trap(&failure).starts_with(&words), "{failure}");

    let failure = promote(PYTHON, "{}", request(1, 100)).await.unwrap_err();
    let line = line_of(
        include_str!("../../../../components/loyal-customer-py/src/component.py"),
        "customer.orders_count >=",
    );
    let words =
        format!("KeyError: 'orders'\n    at _loyal (component.py:{line})\n    at evaluate (component.py:");
    assert!(trap(&failure).starts_with(&words), "{failure}");
}

fn line_of(text: &str, part: &str) -> usize {
    text.lines().position(|line| line.contains(part)).expect("the source has this line") + 1
}

#[tokio::test]
async fn a_typed_error_is_an_answer_in_typescript() {
    let unordered = r#"{"title": "t", "tiers": [{"from": 3, "off": 1}, {"from": 2, "off": 2}]}"#;
    let answer = promote(TYPESCRIPT, unordered, request(1, 100)).await.unwrap();
    let Err(ComponentError::InvalidConfig(detail)) = answer.value else { panic!("{:?}", answer.value) };
    assert_eq!((detail.code.as_str(), detail.path.as_deref()), ("tiers-unordered", Some("$.tiers[1].from")));
}

#[tokio::test]
async fn two_runs_give_the_same_bytes_and_fuel_whatever_the_time() {
    for (name, config) in [(TYPESCRIPT, TIERS), (PYTHON, LOYAL)] {
        let component = load(name);
        let run = |now_ms, attempt| {
            let mut call = call(component.clone(), config);
            (call.ctx.now_ms, call.ctx.attempt) = (now_ms, attempt);
            KEEPING.promote(call, request(3, 24_999))
        };
        let first = run(NOW_MS, 1).await.unwrap();
        let second = run(NOW_MS, 2).await.unwrap();
        assert_eq!(
            (&first.value, first.report.fuel_used),
            (&second.value, second.report.fuel_used),
            "{name}"
        );
        let later = run(NOW_MS + 86_400_000, 1).await.unwrap();
        assert_eq!(first.value, later.value, "{name}");
    }
}

#[tokio::test]
async fn limits_end_a_guest_of_any_language_by_name() {
    for (name, config) in [(TYPESCRIPT, TIERS), (PYTHON, LOYAL)] {
        let component = load(name);
        let run =
            |limits| KEEPING.promote(Call { limits, ..call(component.clone(), config) }, request(20, 24_999));
        // Far less than an endless loop would take, and too little for this cart too.
        let failure = run(Limits { fuel: 300_000, ..Limits::default() }).await.unwrap_err();
        assert_eq!(failure.kind, FailureKind::OutOfFuel { limit: 300_000, used: 300_000 }, "{name}");
        let failure = run(Limits { memory_bytes: 1 << 20, ..Limits::default() }).await.unwrap_err();
        assert!(
            matches!(failure.kind, FailureKind::OutOfMemory { limit: 1_048_576, .. }),
            "{name}: {failure}"
        );
    }
}

#[tokio::test]
async fn five_hundred_lines_fit_into_the_default_limits() {
    for (name, config) in [(TYPESCRIPT, TIERS), (PYTHON, LOYAL)] {
        let answer = promote(name, config, request(500, 24_999)).await.unwrap();
        assert!(answer.value.is_ok());
        let Limits { fuel, memory_bytes, .. } = Limits::default();
        assert!(answer.report.fuel_used < fuel, "{name} used {} units", answer.report.fuel_used);
        assert!(answer.report.memory_peak_bytes < memory_bytes / 2, "{name}: {:?}", answer.report);
        println!("{name}: {} units, {} bytes", answer.report.fuel_used, answer.report.memory_peak_bytes);
    }
}
