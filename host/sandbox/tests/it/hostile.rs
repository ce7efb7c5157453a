//! Each attack, and the limit that stops it by name.

use crate::common::{SANDBOX, call, guest, load};
use crate::pure::price_request;
use till_sandbox::wit::pricing::PriceResult;
use till_sandbox::{Answer, Call, Failure, FailureKind, Limits, LoadError, Slot};

async fn attack(name: &str) -> Result<Answer<PriceResult>, Failure> {
    SANDBOX.price(call(load(Slot::Pricing, "hostile"), name), price_request()).await
}

#[tokio::test]
async fn an_endless_loop_uses_up_its_fuel() {
    let failure = attack("loop").await.unwrap_err();
    assert_eq!(failure.kind, FailureKind::OutOfFuel { limit: 200_000_000, used: 200_000_000 });
    assert_eq!(
        failure.to_string().split(" (").next(),
        Some("the component used up its fuel: 200000000 of 200000000 units")
    );
}

#[tokio::test]
async fn the_limit_of_the_call_counts() {
    let limited = |attack, limits| Call { limits, ..call(load(Slot::Pricing, "hostile"), attack) };
    let little_fuel = Limits { fuel: 1_000_000, ..Limits::default() };
    let failure = SANDBOX.price(limited("loop", little_fuel), price_request()).await.unwrap_err();
    assert_eq!(failure.kind, FailureKind::OutOfFuel { limit: 1_000_000, used: 1_000_000 });
    let little_memory = Limits { memory_bytes: 4 << 20, ..Limits::default() };
    let failure = SANDBOX.price(limited("memory", little_memory), price_request()).await.unwrap_err();
    assert!(matches!(failure.kind, FailureKind::OutOfMemory { limit: 4_194_304, .. }), "{failure}");
}

#[tokio::test]
async fn a_memory_bomb_is_told_what_it_wanted() {
    let failure = attack("memory").await.unwrap_err();
    let FailureKind::OutOfMemory { limit, wanted } = failure.kind else { panic!("{failure}") };
    assert_eq!(limit, 128 << 20);
    assert!(wanted > limit);
    assert!(failure.report.memory_peak_bytes <= limit && failure.report.memory_peak_bytes > limit / 2);
}

#[tokio::test]
async fn recursion_ends_at_the_stack() {
    let failure = attack("recursion").await.unwrap_err();
    assert_eq!(failure.kind, FailureKind::StackTooDeep { limit: 6 << 20 });
    // What lives in frames is in the guest's memory, and the room for it is the smaller one.
    let failure = attack("own-stack").await.unwrap_err();
    assert_eq!(failure.kind, FailureKind::OwnStackTooDeep { limit: 6 << 20 });
    assert!(failure.to_string().contains("used up its stack"), "{failure}");
}

#[tokio::test]
async fn a_panic_is_told_in_the_guests_words_and_place() {
    let failure = attack("panic").await.unwrap_err();
    let FailureKind::Trapped { message } = &failure.kind else { panic!("{failure}") };
    assert!(message.contains("the tier table is empty") && message.contains("lib.rs"), "{message}");
    assert!(failure.report.output.contains("the tier table is empty"));
    let failure = attack("index").await.unwrap_err();
    assert!(
        failure.to_string().contains("index out of bounds: the len is 1 but the index is 1"),
        "{failure}"
    );
    assert!(failure.at.is_some(), "{failure:?}");
}

#[tokio::test]
async fn leaving_is_a_crash_and_not_an_answer() {
    let failure = attack("exit").await.unwrap_err();
    assert!(
        matches!(&failure.kind, FailureKind::Trapped { message } if message.contains('3') || message.contains("exit")),
        "{failure}"
    );
}

#[tokio::test]
async fn a_huge_answer_is_not_taken_in() {
    let failure = attack("big-answer").await.unwrap_err();
    assert_eq!(failure.kind, FailureKind::OutputTooLarge { limit: 4 << 20 });
}

#[tokio::test]
async fn floods_of_words_are_cut_and_the_last_words_are_kept() {
    let answer = attack("log-flood").await.unwrap();
    let bytes: usize = answer.report.logs.iter().map(|line| line.text.len()).sum();
    assert!(answer.report.logs_cut && bytes <= 48 << 10 && bytes > 40 << 10);
    let failure = attack("output-flood").await.unwrap_err();
    assert!(failure.report.logs_cut && failure.report.output.len() <= 16 << 10);
    assert!(failure.to_string().contains("after the flood"), "{failure}");
}

#[tokio::test]
async fn a_pure_guest_that_sleeps_wakes_at_once() {
    let started = std::time::Instant::now();
    let outcome = attack("sleep").await;
    assert!(outcome.is_ok() && started.elapsed().as_secs() < 30, "{outcome:?}");
}

#[tokio::test]
async fn a_guest_sees_nothing_that_differs_between_two_runs() {
    let component = load(Slot::Pricing, "hostile");
    let run = |attempt| {
        let mut call = call(component.clone(), "spy");
        call.ctx.attempt = attempt;
        SANDBOX.price(call, price_request())
    };
    let first = run(1).await.unwrap();
    let second = run(2).await.unwrap();
    let seen = first.value.unwrap().attributes;
    assert_eq!(seen, second.value.unwrap().attributes);
    let value = |name: &str| seen.iter().find(|(n, _)| n == name).map(|(_, v)| v.as_str()).unwrap();
    assert_eq!((value("wall"), value("elapsed")), ("1717200000000", "0"));
    assert_eq!(value("environment"), "0");
    assert_ne!(value("files"), "open");
}

#[test]
fn a_guest_with_sockets_is_refused_with_every_offender() {
    let error = SANDBOX.load(Slot::Pricing, &guest("hostile-sockets")).unwrap_err();
    let LoadError::Imports { slot: Slot::Pricing, offenders } = &error else { panic!("{error}") };
    let names: Vec<_> = offenders.iter().map(|o| o.import.split('@').next().unwrap()).collect();
    assert!(names.contains(&"wasi:sockets/tcp") && names.len() > 1, "{names:?}");
    assert!(names.iter().all(|name| error.to_string().contains(name)));
}

#[test]
fn a_gateway_is_refused_in_a_pure_slot() {
    let error = SANDBOX.load(Slot::Promotion, &guest("sim-gateway")).unwrap_err();
    assert!(error.to_string().contains("wasi:http/outgoing-handler"), "{error}");
    assert!(error.to_string().contains("till:checkout/signing"), "{error}");
}

#[tokio::test]
async fn lies_about_money_come_through_for_the_shop_to_judge() {
    let answer = attack("negative-price").await.unwrap();
    let till_sandbox::wit::pricing::LinePrice::Priced(line) = &answer.value.unwrap().lines[0] else {
        panic!("the line has a price")
    };
    assert_eq!(line.line_total, -100);
}
