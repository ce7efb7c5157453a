//! Carriers: never a booking that the carrier did not confirm, one parcel for one key, nothing from a webhook that is not
//! signed.
//!
//! The carrier's service is played by the script that plays providers for gateways.

use super::gateway::provider::{FAULTS, Fault, Provider};
use super::gateway::{reach, webhooks::forged};
use super::inputs;
use super::{Status, Suite, crashed};
use std::sync::Arc;
use till_sandbox::wit::carrier::{
    Absence, BookStatus, BookingState, CancelStatus, Consignment, ParcelLine, Reference, WebhookRequest,
};
use till_sandbox::wit::types::{Address, Money};
use till_sandbox::{Answer, Call, Sandbox};

/// Two idempotency keys as the host makes them.
const KEYS: [&str; 2] = ["conformanceconformanceconformana", "conformanceconformanceconformanb"];
/// Kinds of references that carriers are known to look for.
const REFERENCES: [&str; 4] = ["parcel", "shipment", "consignment", "order"];

/// A parcel of one thing; `booked`: with references, as after `book`.
fn parcel(key: &str, booked: bool) -> Consignment {
    let value = Money { minor: 4_711, currency: "USD".to_owned() };
    let reference = |kind: &&str| Reference { kind: (*kind).to_owned(), value: "ref_conformance".to_owned() };
    Consignment {
        key: key.to_owned(),
        first_sent_ms: Some(inputs::NOW_MS),
        shipment: format!("shp_{key}"),
        order: "ord_conformance".to_owned(),
        order_number: "ORD-1".to_owned(),
        method: "standard".to_owned(),
        carrier: String::new(),
        service: String::new(),
        origin: None,
        destination: Address {
            name: "Ada Example".to_owned(),
            company: String::new(),
            street: vec!["123 Main St".to_owned()],
            city: "San Francisco".to_owned(),
            region: "CA".to_owned(),
            postal_code: "94105".to_owned(),
            country: "US".to_owned(),
            phone: String::new(),
            attributes: Vec::new(),
        },
        email: "shopper@example.com".to_owned(),
        lines: vec![ParcelLine {
            sku: "SKU-1".to_owned(),
            title: "A thing".to_owned(),
            units: 1,
            weight_g: 500,
            value: value.clone(),
        }],
        weight_g: 500,
        value,
        notes: String::new(),
        references: if booked { REFERENCES.iter().map(reference).collect() } else { Vec::new() },
        attributes: Vec::new(),
    }
}

pub(super) async fn run(suite: &mut Suite<'_>) {
    let sandbox = suite.sandbox;
    let (call, sends) = reach(suite, async |call, provider| {
        let told =
            sandbox.scripted_carrier(Arc::new(provider.clone())).book(call, parcel(KEYS[0], false)).await;
        told.map_or_else(|failure| *failure.report, |answer| answer.report)
    })
    .await;
    if sends {
        suite.say("sends", Status::Passed, "`book` asks the carrier");
    } else {
        let detail = "`book` sends nothing with this configuration, so that little of what follows is tried: hand in \
                      one with --config-file";
        suite.say("sends", Status::Warning, detail);
    }
    wrong_config(suite).await;
    never_guesses(suite, sandbox, &call).await;
    one_key(suite, sandbox, &call, sends).await;
    unsigned(suite, sandbox, &call).await;
}

async fn wrong_config(suite: &mut Suite<'_>) {
    let mut wrong = Vec::new();
    for config in suite.wrong_configs() {
        let call = suite.call(inputs::CURRENCIES[0], config);
        let carrier = suite.sandbox.scripted_carrier(Arc::new(Provider::new(Fault::ServerError)));
        match carrier.book(call, parcel(KEYS[0], false)).await {
            Err(failure) => wrong.push(crashed(&format!("with the configuration {config}"), &failure)),
            Ok(Answer { value: Ok(result), .. }) if matches!(result.status, BookStatus::Booked(_)) => {
                wrong.push(format!("with the configuration {config} `book` books"));
            }
            Ok(_) => {}
        }
    }
    suite.judge("wrong-config", &wrong, "each is refused or answered, and none books");
}

async fn never_guesses(suite: &mut Suite<'_>, sandbox: &Sandbox, call: &Call) {
    let (mut booked, mut guessed, mut died) = (Vec::new(), Vec::new(), Vec::new());
    for (fault, known) in FAULTS.into_iter().flat_map(|fault| [(fault, true), (fault, false)]) {
        let carrier = sandbox.scripted_carrier(Arc::new(Provider::new(fault)));
        match carrier.book(call.clone(), parcel(KEYS[0], known)).await {
            Err(failure) => died.push(crashed(&format!("`book` after {fault}"), &failure)),
            Ok(Answer { value: Ok(result), report }) => match result.status {
                BookStatus::Booked(_) => booked.push(format!("`book` after {fault} says `booked`")),
                BookStatus::Refused(_) if report.sent && fault.says_nothing() => {
                    guessed.push(format!("`book` after {fault} says `refused`; answer `unknown`"));
                }
                _ => {}
            },
            Ok(_) => {}
        }
        match carrier.cancel_booking(call.clone(), parcel(KEYS[0], known)).await {
            Err(failure) => died.push(crashed(&format!("`cancel` after {fault}"), &failure)),
            Ok(Answer { value: Ok(result), report })
                if report.sent
                    && fault.says_nothing()
                    && !matches!(result.status, CancelStatus::Unknown(_)) =>
            {
                guessed.push(format!("`cancel` after {fault} says more than `unknown`"));
            }
            Ok(_) => {}
        }
        match carrier.find_booking(call.clone(), parcel(KEYS[0], known)).await {
            Err(failure) => died.push(crashed(&format!("`find-booking` after {fault}"), &failure)),
            Ok(Answer { value: Ok(result), .. }) => match result.state {
                BookingState::Booked(_) => {
                    booked.push(format!("`find-booking` after {fault} finds a booking"))
                }
                BookingState::Cancelled | BookingState::NeverHappened(Absence::Certain) => {
                    guessed
                        .push(format!("`find-booking` after {fault} is certain; the host would book again"));
                }
                _ => {}
            },
            Ok(_) => {}
        }
        if let Err(failure) = carrier.track(call.clone(), parcel(KEYS[0], known)).await {
            died.push(crashed(&format!("`track` after {fault}"), &failure));
        }
        if let Err(failure) = carrier.fetch_label(call.clone(), parcel(KEYS[0], known)).await {
            died.push(crashed(&format!("`fetch-label` after {fault}"), &failure));
        }
    }
    suite.judge("never-booked-unconfirmed", &booked, "no fault of the carrier passes for a booking");
    suite.judge("never-guesses", &guessed, "what was sent and not answered is `unknown`");
    suite.judge("survives-faults", &died, "no fault of the carrier crashes it");
}

async fn one_key(suite: &mut Suite<'_>, sandbox: &Sandbox, call: &Call, sends: bool) {
    if !sends {
        suite.say("same-key-same-request", Status::Skipped, "it sends nothing");
        return;
    }
    let asked = async |key: &str, attempt: u32| {
        let provider = Provider::new(Fault::ServerError);
        let mut call = call.clone();
        call.ctx.attempt = attempt;
        // What it answers is judged above.
        let _ = sandbox.scripted_carrier(Arc::new(provider.clone())).book(call, parcel(key, false)).await;
        provider.asked()
    };
    let (first, again, other) = (asked(KEYS[0], 1).await, asked(KEYS[0], 2).await, asked(KEYS[1], 1).await);
    let mut wrong = Vec::new();
    if first != again {
        wrong.push("`book` sends another request when it is tried again under the same key".to_owned());
    }
    if first == other {
        wrong.push("`book` sends the same request under two keys; hand `key` to the carrier".to_owned());
    }
    suite.judge("same-key-same-request", &wrong, "a retry is the same request, and the key is part of it");
}

async fn unsigned(suite: &mut Suite<'_>, sandbox: &Sandbox, call: &Call) {
    let mut wrong = Vec::new();
    for (what, headers, body) in forged() {
        match sandbox.verify_scan(call.clone(), WebhookRequest { headers, body }).await {
            Err(failure) => wrong.push(crashed(&format!("a webhook {what}"), &failure)),
            Ok(Answer { value: Ok(result), .. }) if result.verified || !result.scans.is_empty() => {
                wrong.push(format!("a webhook {what} is believed; check the signature over the raw bytes"));
            }
            Ok(_) => {}
        }
    }
    suite.judge("unsigned-webhooks", &wrong, "nothing is read from a webhook that is not signed");
}
