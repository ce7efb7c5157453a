//! Functions that move money, and the one that asks what became of it.

use super::super::{Status, Suite, crashed};
use super::Gateway;
use super::provider::{FAULTS, Fault, Provider};
use super::requests::{KEYS, attempt, payment, usd};
use crate::{Function, Tree};
use std::sync::Arc;
use till_sandbox::wit::gateway::{
    Absence, Attempt, FindOutcome, FindRequest, Operation, PaymentStatus, TookEffect,
};
use till_sandbox::wit::types::Money;
use till_sandbox::{Answer, Asked, Failure};

/// The functions that move money.
const MOVES: [Function; 5] =
    [Function::Authorize, Function::Proceed, Function::Capture, Function::Void, Function::Refund];

pub(super) async fn never_guesses(suite: &mut Suite<'_>, gateway: &Gateway<'_>) {
    let (mut succeeded, mut guessed, mut died) = (Vec::new(), Vec::new(), Vec::new());
    let cases = MOVES.iter().flat_map(|function| [(*function, true), (*function, false)]);
    for (function, prepared) in cases {
        for fault in FAULTS {
            let provider = Provider::new(fault);
            let when = format!("`{function}` after {fault}");
            match gateway.with(prepared).moves(function, KEYS[0], usd(4_711), &provider).await {
                Err(failure) => died.push(crashed(&when, &failure)),
                Ok(Answer { value: Err(_), .. }) => {} // The host takes it as unknown once something was sent.
                Ok(Answer { value: Ok(result), report }) => match &result.status {
                    PaymentStatus::Succeeded => {
                        succeeded.push(format!("{when} says `succeeded`; answer `unknown`"));
                    }
                    PaymentStatus::Unknown(_) => {}
                    _ if !report.sent => {}
                    PaymentStatus::Declined(_)
                        if result.took_effect == TookEffect::No && !fault.says_nothing() => {}
                    other => guessed.push(format!("{when} says {}; answer `unknown`", Tree::of(other))),
                },
            }
        }
    }
    for fault in FAULTS {
        if let Err(failure) = prepare(gateway, KEYS[0], &Provider::new(fault)).await {
            died.push(crashed(&format!("`prepare` after {fault}"), &failure));
        }
    }
    suite.judge("never-succeeds-unconfirmed", &succeeded, "no fault of the provider passes for a success");
    suite.judge("never-guesses", &guessed, "what was sent and not answered is `unknown`");
    suite.judge("survives-faults", &died, "no fault of the provider crashes it");
}

/// The first `prepare` of an attempt. Whether anything of it can be believed is not judged here.
async fn prepare(gateway: &Gateway<'_>, key: &str, provider: &Provider) -> Result<(), Failure> {
    let attempt = Attempt { first_sent_ms: None, ..gateway.with(false).attempt(key, Operation::Authorize) };
    let scripted = gateway.sandbox.scripted(Arc::new(provider.clone()));
    scripted.prepare(gateway.call.clone(), payment(attempt)).await.map(drop)
}

pub(super) async fn idempotency(suite: &mut Suite<'_>, gateway: &Gateway<'_>, sends: bool) {
    if !sends {
        suite.say("same-key-same-request", Status::Skipped, "it sends nothing");
        suite.say("other-key-other-request", Status::Skipped, "it sends nothing");
        return;
    }
    let (mut unlike, mut alike) = (Vec::new(), Vec::new());
    for function in [Function::Prepare].into_iter().chain(MOVES) {
        let asked = async |key: &str, try_number: u32| {
            let provider = Provider::new(Fault::ServerError);
            let mut call = gateway.call.clone();
            call.ctx.attempt = try_number;
            let again = Gateway { sandbox: gateway.sandbox, call, prepared: true };
            // What it answers is judged above.
            if function == Function::Prepare {
                let _ = prepare(&again, key, &provider).await;
            } else {
                let _ = again.moves(function, key, usd(4_711), &provider).await;
            }
            provider.asked()
        };
        let (first, second, other) =
            (asked(KEYS[0], 1).await, asked(KEYS[0], 2).await, asked(KEYS[1], 1).await);
        if first != second {
            unlike.push(format!(
                "`{function}` sends another request when it is tried again under the same key; what it sends \
                 must follow from the attempt alone: {}",
                first_difference(&first, &second)
            ));
        }
        if !first.is_empty() && first == other {
            alike.push(format!(
                "`{function}` sends the same request under two attempt keys; hand `attempt.key` to the provider"
            ));
        }
    }
    suite.judge("same-key-same-request", &unlike, "a retry is the same request, key and all");
    suite.judge("other-key-other-request", &alike, "the attempt's key is part of what is sent");
}

fn first_difference(first: &[Asked], second: &[Asked]) -> String {
    let Some((a, b)) = first.iter().zip(second).find(|(a, b)| a != b) else {
        return format!("{} requests, then {}", first.len(), second.len());
    };
    let body = |asked: &Asked| String::from_utf8_lossy(&asked.body).into_owned();
    if (&a.method, &a.uri) != (&b.method, &b.uri) {
        format!("{} {}, then {} {}", a.method, a.uri, b.method, b.uri)
    } else if a.headers != b.headers {
        let differing = a.headers.iter().find(|header| !b.headers.contains(header));
        format!("the header `{}`", differing.map_or("", |(name, _)| name))
    } else {
        format!("the body {}, then {}", body(a), body(b))
    }
}

pub(super) async fn refunds(suite: &mut Suite<'_>, gateway: &Gateway<'_>) {
    let mut wrong = Vec::new();
    let euros = Money { minor: 4_711, currency: "EUR".to_owned() };
    for (what, amount) in [
        ("more than was taken", usd(1_000_000_000)),
        ("nothing", usd(0)),
        ("less than nothing", usd(-1)),
        ("another currency", euros),
    ] {
        for fault in [Fault::EmptyObject, Fault::ServerError] {
            match gateway.moves(Function::Refund, KEYS[0], amount.clone(), &Provider::new(fault)).await {
                Err(failure) => wrong.push(crashed(&format!("a refund of {what}"), &failure)),
                Ok(Answer { value: Ok(result), .. }) if result.status == PaymentStatus::Succeeded => {
                    wrong.push(format!("a refund of {what} succeeds though the provider confirmed nothing"));
                }
                Ok(_) => {}
            }
        }
    }
    suite.judge("refund-bounds", &wrong, "amounts that make no sense are answered");
}

pub(super) async fn finds(suite: &mut Suite<'_>, gateway: &Gateway<'_>) {
    let mut wrong = Vec::new();
    for fault in FAULTS {
        let scripted = gateway.sandbox.scripted(Arc::new(Provider::new(fault)));
        let request = FindRequest { attempt: attempt(KEYS[0], Operation::Authorize) };
        let when = format!("`find` after {fault}");
        match scripted.find(gateway.call.clone(), request).await {
            Err(failure) => wrong.push(crashed(&when, &failure)),
            Ok(Answer { value: Err(_), .. }) => {}
            Ok(Answer { value: Ok(result), .. }) => match result.outcome {
                FindOutcome::Unknown(_) | FindOutcome::NeverHappened(Absence::NotVisibleYet) => {}
                FindOutcome::NeverHappened(Absence::Certain) => {
                    wrong.push(format!("{when} is certain that nothing happened: the host would send again"));
                }
                FindOutcome::Found(_) => wrong.push(format!("{when} finds a payment that nobody told of")),
            },
        }
    }
    suite.judge("find-is-honest", &wrong, "what cannot be read is `unknown`");
}
