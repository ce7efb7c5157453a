//! Each limit of a call: what just fits, and what is just over it and is refused by its name. The limits are the
//! defaults of every host, and each is at least ten times that of Shopify's functions.

use std::collections::HashMap;
use std::sync::Arc;

use crate::common::{SANDBOX, call, context, guest, load, tables};
use crate::gateway::{binding, payment};
use crate::pure::price_request;
use till_sandbox::wit::pricing::PriceResult;
use till_sandbox::{
    Answer, Binding, Call, Failure, FailureKind, Limits, LoadError, Sandbox, SandboxConfig, Secret, Slot,
    Table,
};

/// Of Shopify's functions: binary, fuel, memory, input, output, logs, stack.
const SHOPIFY: [u64; 7] = [256_000, 11_000_000, 10_000_000, 128_000, 20_000, 1_000, 512_000];

async fn attack_within(name: &str, limits: Limits) -> Result<Answer<PriceResult>, Failure> {
    let call = Call { limits, ..call(load(Slot::Pricing, "hostile"), name) };
    SANDBOX.price(call, price_request()).await
}

async fn attack(name: &str) -> Result<Answer<PriceResult>, Failure> {
    attack_within(name, Limits::default()).await
}

/// The largest `n` of `low..=high` with which the attack does no harm. With `low` it does none, with `high` some.
async fn most(attack: &str, (mut low, mut high): (usize, usize), limits: Limits) -> usize {
    let fits = async |n: usize| attack_within(&format!("{attack} {n}"), limits).await.is_ok();
    assert!(fits(low).await && !fits(high).await, "{attack}: {low} fits and {high} does not");
    while high - low > 1 {
        let middle = low.midpoint(high);
        *(if fits(middle).await { &mut low } else { &mut high }) = middle;
    }
    low
}

/// A component with a custom section that makes it so large. Its numbers take five bytes, however small.
fn padded(size: usize) -> Vec<u8> {
    let mut wasm = guest("hostile");
    let content = size - wasm.len() - 6;
    wasm.push(0);
    for at in 0..5 {
        let seven = u8::try_from(content >> (7 * at) & 0x7f).unwrap();
        wasm.push(if at < 4 { seven | 0x80 } else { seven });
    }
    wasm.push(1);
    wasm.push(b'p');
    wasm.resize(size, 0);
    wasm
}

#[test]
fn a_binary_of_32_mib_is_taken_and_a_byte_more_is_not() {
    let most = 32 << 20;
    assert!(most as u64 >= 10 * SHOPIFY[0]);
    assert_eq!(padded(most).len(), most);
    SANDBOX.validate(Slot::Pricing, &padded(most)).unwrap();
    SANDBOX.load(Slot::Pricing, &padded(most)).unwrap();
    let error = SANDBOX.load(Slot::Pricing, &padded(most + 1)).unwrap_err();
    assert!(matches!(error, LoadError::TooLarge { limit, .. } if limit == most), "{error}");
    assert_eq!(error.to_string(), "the component has 33554433 bytes, at most 33554432 are allowed");
}

#[tokio::test]
async fn a_call_may_use_all_its_fuel_and_no_more() {
    // Fuel is looked at where a function or a loop begins anew: so many units may pass between two looks.
    const BETWEEN_LOOKS: u64 = 10_000;
    let used = attack("work 1000000").await.unwrap().report.fuel_used;
    let fuel = |fuel| Limits { fuel, ..Limits::default() };
    assert_eq!(attack_within("work 1000000", fuel(used)).await.unwrap().report.fuel_used, used);
    let less = used - BETWEEN_LOOKS;
    let failure = attack_within("work 1000000", fuel(less)).await.unwrap_err();
    assert!(matches!(failure.kind, FailureKind::OutOfFuel { limit, .. } if limit == less), "{failure}");

    // The default: as many rounds as fit, and a few more.
    let default = Limits::default().fuel;
    assert!(default >= 10 * SHOPIFY[1]);
    let longer = attack("work 2000000").await.unwrap().report.fuel_used;
    let (each, begin) = ((longer - used) / 1_000_000, 2 * used - longer);
    let rounds = (default - begin) / each;
    let answer = attack(&format!("work {}", rounds - 1)).await.unwrap();
    assert!(answer.report.fuel_used > default - BETWEEN_LOOKS, "{} units", answer.report.fuel_used);
    let failure = attack(&format!("work {}", rounds + BETWEEN_LOOKS / each)).await.unwrap_err();
    assert!(matches!(failure.kind, FailureKind::OutOfFuel { limit, .. } if limit == default), "{failure}");
}

#[tokio::test]
async fn the_last_page_of_memory_is_given_and_the_next_is_not() {
    assert!(Limits::default().memory_bytes >= 10 * SHOPIFY[2]);
    assert_eq!(attack("pages 2048").await.unwrap().report.memory_peak_bytes, 128 << 20);
    let failure = attack("pages 2049").await.unwrap_err();
    assert_eq!(failure.kind, FailureKind::OutOfMemory { limit: 128 << 20, wanted: (128 << 20) + (64 << 10) });
    assert!(failure.to_string().contains("bytes of memory, at most 134217728"), "{failure}");
}

#[tokio::test]
async fn a_stack_of_ten_times_half_a_megabyte_is_there_and_one_frame_too_many_is_named() {
    const FRAME_BYTES: usize = 256; // At least: 32 numbers that are needed afterwards.
    let ten_times = 10 * usize::try_from(SHOPIFY[6]).unwrap() / FRAME_BYTES;
    let deepest = most("depth", (ten_times, 1_000_000), Limits::default()).await;
    let failure = attack(&format!("depth {}", deepest + 1)).await.unwrap_err();
    assert_eq!(failure.kind, FailureKind::StackTooDeep { limit: 6 << 20 });
    assert_eq!(failure.kind.to_string(), "the component used up its stack of 6291456 bytes");
    attack(&format!("depth {deepest}")).await.unwrap();
}

#[tokio::test]
async fn a_request_of_exactly_the_limit_is_handed_in() {
    let limit = Limits::default().input_bytes;
    assert!(limit >= 10 * SHOPIFY[3]);
    let component = load(Slot::Pricing, "hostile");
    let send = async |filler: usize| {
        let mut request = price_request();
        request.cart.lines[0].title = "t".repeat(filler);
        SANDBOX.price(call(component.clone(), "work 1"), request).await
    };
    let failure = send(limit as usize).await.unwrap_err();
    let FailureKind::InputTooLarge { size, .. } = failure.kind else { panic!("{failure}") };
    let fits = (2 * limit - size) as usize;
    send(fits).await.unwrap();
    let failure = send(fits + 1).await.unwrap_err();
    assert_eq!(failure.kind, FailureKind::InputTooLarge { limit, size: limit + 1 });
    assert_eq!(failure.to_string(), "the request has 4194305 bytes, at most 4194304 are allowed");
}

#[tokio::test]
async fn an_answer_up_to_the_limit_is_taken_in() {
    let limits = Limits::default();
    assert!(limits.output_bytes >= 10 * SHOPIFY[4]);
    let limit = limits.output_bytes as usize;
    // Beside the text there are the records around it.
    let longest = most("answer", (limit - 1_024, limit), limits).await;
    let answer = attack(&format!("answer {longest}")).await.unwrap();
    assert_eq!(answer.value.unwrap().attributes[0].1.len(), longest);
    let failure = attack(&format!("answer {}", longest + 1)).await.unwrap_err();
    assert_eq!(failure.kind, FailureKind::OutputTooLarge { limit: 4 << 20 });
    assert_eq!(failure.kind.to_string(), "the component handed over more than 4194304 bytes at once");
    // A list of nothing costs too: a million empty texts are not built in the host.
    let failure = attack("list 1000000").await.unwrap_err();
    assert_eq!(failure.kind, FailureKind::OutputTooLarge { limit: 4 << 20 });
}

#[tokio::test]
async fn the_arguments_of_a_host_call_have_the_limit_of_an_answer() {
    let limit = Limits::default().output_bytes as usize;
    let component = load(Slot::Pricing, "hostile");
    let look_up = async |bytes: usize| {
        let mut call = call(component.clone(), &format!("look-up {bytes}"));
        call.binding = tables("stock", &[("k", "1")]);
        SANDBOX.price(call, price_request()).await
    };
    let found = look_up(1).await.unwrap().value.unwrap().attributes.remove(0).1;
    assert_eq!(found, "true");
    look_up(limit - 1_024).await.unwrap();
    let failure = look_up(limit + 1).await.unwrap_err();
    assert_eq!(failure.kind, FailureKind::OutputTooLarge { limit: 4 << 20 });
}

#[tokio::test]
async fn words_up_to_the_limit_are_kept_whole() {
    for (attack_name, limit) in [("log", 48 << 10), ("output", 16 << 10)] {
        assert!(limit >= 10 * SHOPIFY[5]);
        for (bytes, cut) in [(limit, false), (limit + 1, true)] {
            let report = attack(&format!("{attack_name} {bytes}")).await.unwrap().report;
            let logged: usize = report.logs.iter().map(|line| line.text.len()).sum();
            assert_eq!((logged + report.output.len()) as u64, limit, "{attack_name} {bytes}");
            assert_eq!(report.logs_cut, cut, "{attack_name} {bytes}");
        }
    }
}

#[tokio::test]
async fn host_calls_that_take_the_hosts_time_end_at_the_clock() {
    // Each hands over 4 MB, for a few units of fuel.
    let failure = attack("host-calls 4000000").await.unwrap_err();
    assert_eq!(failure.kind, FailureKind::TooSlow { limit_ms: 1_240 });
    assert_eq!(failure.kind.to_string(), "the component was stopped after 1240 ms");
}

#[tokio::test]
async fn a_thousand_handles_are_open_at_one_time_and_no_more() {
    let component = load(Slot::PaymentGateway, "hostile-gateway");
    let open = async |handles: usize| {
        let ctx = context(&format!("handles x {handles}"));
        let (binding, limits) = (Binding::empty(), Limits::default());
        let call =
            Call { component: component.clone(), ctx, binding, limits, background: false, breaker: None };
        SANDBOX.authorize(call, payment("k", "t", &[])).await
    };
    // The guest's own standard streams take a few.
    open(990).await.unwrap();
    let failure = open(1_001).await.unwrap_err();
    let FailureKind::Trapped { message } = &failure.kind else { panic!("{failure}") };
    assert!(message.contains("table"), "{message}");
}

#[test]
fn rows_of_a_table_have_their_lengths() {
    let row = |key: usize, value: usize| Table::new([("k".repeat(key), "v".repeat(value))]);
    row(256, 16 << 10).unwrap();
    let told = |key, value| row(key, value).unwrap_err().to_string();
    assert_eq!(told(257, 1), "row 1: its key has 257 bytes; 1 to 256 are allowed");
    assert_eq!(told(0, 1), "row 1: its key has 0 bytes; 1 to 256 are allowed");
    assert_eq!(told(1, 16_385), "row 1: its value has 16385 bytes; at most 16384 are allowed");
}

#[tokio::test]
async fn gateway_calls_of_one_merchant_end_at_their_fuel_while_another_is_served() {
    // More guests than threads, all of them in the runtime that serves the others too.
    let config = SandboxConfig { pure_threads: 1, ..SandboxConfig::default() };
    let sandbox = Sandbox::new(config).unwrap();
    let component = sandbox.load(Slot::PaymentGateway, &guest("hostile-gateway")).unwrap();
    let looping = |merchant: &str| {
        let mut ctx = context("loop x");
        ctx.merchant = merchant.to_owned();
        let secrets = HashMap::from([("api_key".to_owned(), Secret::new("s"))]);
        let binding = Arc::new(Binding { secrets, ..(*binding("http://127.0.0.1:1")).clone() });
        Call {
            component: component.clone(),
            ctx,
            binding,
            limits: Limits::default(),
            background: false,
            breaker: None,
        }
    };
    let attacks = (0..8).map(|_| sandbox.authorize(looping("hostile"), payment("k", "t", &[])));
    let mut honest = looping("honest");
    honest.ctx.config = "handles x 1".to_owned();
    let (failures, answer) =
        tokio::join!(futures::future::join_all(attacks), sandbox.authorize(honest, payment("k", "t", &[])));
    assert_eq!(answer.unwrap().value.unwrap().attributes[0].1, "1");
    for failure in failures {
        let failure = failure.unwrap_err();
        assert_eq!(failure.kind, FailureKind::OutOfFuel { limit: 200_000_000, used: 200_000_000 });
    }
}
