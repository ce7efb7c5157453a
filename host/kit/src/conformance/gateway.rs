//! Payment gateways: never a success that the provider did not confirm, one effect for one key, nothing from
//! a webhook that is not signed.
//!
//! The provider is played by a script that misbehaves; no request leaves the process.

use super::inputs::{self, words};
use super::{Status, Suite, crashed, detail};
use crate::{Fixture, Function};
use std::collections::{BTreeSet, HashMap};
use std::fmt;
use std::sync::{Arc, Mutex, PoisonError};
use till_model::money::Currency;
use till_sandbox::wit::gateway::{
    Absence, Attempt, CaptureRequest, FindOutcome, FindRequest, Instrument, Operation, PaymentRequest,
    PaymentResult, PaymentStatus, ProceedRequest, Reference, RefundRequest, Shopper, TookEffect, VoidRequest,
    WebhookRequest,
};
use till_sandbox::wit::types::Money;
use till_sandbox::{
    Answer, Asked, Binding, Call, Exchange, Failure, Origin, Reply, Sandbox, Script, Scripted, Secret,
};

/// Two idempotency keys as the host makes them.
const KEYS: [&str; 2] = ["conformanceconformanceconformana", "conformanceconformanceconformanb"];
/// Kinds of references that gateways are known to look for in an attempt.
const REFERENCES: [&str; 8] =
    ["payment-intent", "payment", "charge", "order", "transaction", "authorization", "capture", "intent"];
/// Headers in which providers send signatures.
const SIGNATURE_HEADERS: [&str; 9] = [
    "signature",
    "x-signature",
    "x-hub-signature-256",
    "x-webhook-signature",
    "webhook-signature",
    "stripe-signature",
    "sim-signature",
    "hmacsignature",
    "authorization",
];
/// Rounds in which addresses and secrets that a gateway asks for are found out.
const ROUNDS_MAX: usize = 8;

/// A way in which a provider fails to confirm anything.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Fault {
    Refused,
    Html,
    EmptyObject,
    Empty,
    ProxyNotFound,
    ServerError,
    CutOff,
    TimedOut,
}

const FAULTS: [Fault; 8] = [
    Fault::Refused,
    Fault::Html,
    Fault::EmptyObject,
    Fault::Empty,
    Fault::ProxyNotFound,
    Fault::ServerError,
    Fault::CutOff,
    Fault::TimedOut,
];

impl Fault {
    fn answer(self) -> Scripted {
        let whole = |status, kind: &str, body: &str| {
            let headers = vec![("content-type".to_owned(), kind.to_owned())];
            Scripted::Whole(Reply { status, headers, body: body.as_bytes().to_vec() })
        };
        match self {
            Fault::Refused => Scripted::Refused("connection refused".to_owned()),
            Fault::Html => whole(200, "text/html", "<html>maintenance</html>"),
            Fault::EmptyObject => whole(200, "application/json", "{}"),
            Fault::Empty => whole(200, "application/json", ""),
            Fault::ProxyNotFound => whole(404, "text/html", "<html>no such page</html>"),
            Fault::ServerError => whole(500, "application/json", r#"{"error":{"code":"internal"}}"#),
            Fault::CutOff => Scripted::CutOff(Reply {
                status: 200,
                headers: vec![("content-type".to_owned(), "application/json".to_owned())],
                body: br#"{"id":"x","status":"succ"#.to_vec(),
            }),
            Fault::TimedOut => Scripted::TimedOut,
        }
    }

    /// Nothing of the answer is there, or the provider says that it does not know.
    fn says_nothing(self) -> bool {
        matches!(self, Fault::ServerError | Fault::CutOff | Fault::TimedOut)
    }
}

impl fmt::Display for Fault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Fault::Refused => "a connection refused",
            Fault::Html => "200 with HTML",
            Fault::EmptyObject => "200 with `{}`",
            Fault::Empty => "200 without a body",
            Fault::ProxyNotFound => "404 of a proxy",
            Fault::ServerError => "500",
            Fault::CutOff => "an answer cut off",
            Fault::TimedOut => "no answer in time",
        })
    }
}

/// A provider with one answer for everything. Keeps what it was asked.
#[derive(Clone)]
struct Provider {
    fault: Fault,
    asked: Arc<Mutex<Vec<Asked>>>,
}

impl Provider {
    fn new(fault: Fault) -> Self {
        Provider { fault, asked: Arc::default() }
    }

    fn asked(&self) -> Vec<Asked> {
        self.asked.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }
}

impl Script for Provider {
    fn answer(&self, asked: &Asked) -> Scripted {
        self.asked.lock().unwrap_or_else(PoisonError::into_inner).push(asked.clone());
        self.fault.answer()
    }
}

/// A component with what it needs to send.
struct Gateway<'a> {
    sandbox: &'a Sandbox,
    call: Call,
}

/// The functions that move money.
const MOVES: [Function; 5] =
    [Function::Authorize, Function::Proceed, Function::Capture, Function::Void, Function::Refund];

impl Gateway<'_> {
    async fn moves(
        &self,
        function: Function,
        key: &str,
        amount: Money,
        provider: &Provider,
    ) -> Result<Answer<PaymentResult>, Failure> {
        let scripted = self.sandbox.scripted(Arc::new(provider.clone()));
        let call = self.call.clone();
        match function {
            Function::Proceed => {
                let return_data = vec![("result".to_owned(), "ok".to_owned())];
                let attempt = attempt(key, Operation::Authorize);
                scripted.proceed(call, ProceedRequest { attempt, return_data }).await
            }
            Function::Capture => {
                let attempt = attempt(key, Operation::Capture);
                scripted.capture(call, CaptureRequest { attempt, amount, final_capture: true }).await
            }
            Function::Void => {
                scripted.void(call, VoidRequest { attempt: attempt(key, Operation::Void) }).await
            }
            Function::Refund => {
                let refund = RefundRequest {
                    attempt: attempt(key, Operation::Refund),
                    refund_id: "refund_1".to_owned(),
                    amount,
                    reason: "conformance".to_owned(),
                };
                scripted.refund(call, refund).await
            }
            _ => scripted.authorize(call, payment(key)).await,
        }
    }
}

fn usd(minor: i64) -> Money {
    Money { minor, currency: "USD".to_owned() }
}

fn attempt(key: &str, operation: Operation) -> Attempt {
    let reference = |kind: &&str| Reference { kind: (*kind).to_owned(), value: "ref_conformance".to_owned() };
    Attempt {
        key: key.to_owned(),
        operation,
        first_sent_ms: Some(inputs::NOW_MS),
        amount: usd(4_711),
        references: REFERENCES.iter().map(reference).collect(),
        gateway_state: None,
        order: "ord_conformance".to_owned(),
        order_number: "ORD-1".to_owned(),
        attributes: Vec::new(),
    }
}

fn payment(key: &str) -> PaymentRequest {
    PaymentRequest {
        attempt: attempt(key, Operation::Authorize),
        instrument: Instrument {
            id: "pm_conformance".to_owned(),
            kind: "credit_card".to_owned(),
            token: "tok_conformance".to_owned(),
            last4: "4242".to_owned(),
            brand: "visa".to_owned(),
            off_session: false,
        },
        shopper: Shopper {
            id: "customer_conformance".to_owned(),
            email: "shopper@example.com".to_owned(),
            ip: "203.0.113.1".to_owned(),
            user_agent: "till-kit".to_owned(),
            return_url: "https://shop.example/return".to_owned(),
            billing: None,
            shipping: None,
        },
        lines: Vec::new(),
        capture: true,
    }
}

pub(super) async fn run(suite: &mut Suite<'_>, fixtures: &[Fixture]) {
    let (gateway, sends) = furnish(suite).await;
    capabilities(suite, &gateway).await;
    wrong_config(suite).await;
    if sends {
        suite.say("sends", Status::Passed, "`authorize` asks the provider");
    } else {
        let detail = "`authorize` sends nothing with this configuration, so that little of what follows is \
                      tried: hand in one with --config-file";
        suite.say("sends", Status::Warning, detail);
    }
    never_guesses(suite, &gateway).await;
    idempotency(suite, &gateway, sends).await;
    refunds(suite, &gateway).await;
    finds(suite, &gateway).await;
    unsigned(suite, &gateway).await;
    tampered(suite, fixtures).await;
}

/// Lets the gateway reach and sign what it wants to: addresses and names of secrets come from its
/// configuration and its schema, and from what it tries.
async fn furnish<'a>(suite: &Suite<'a>) -> (Gateway<'a>, bool) {
    let mut names: BTreeSet<String> = words(suite.config).into_iter().collect();
    names.extend(words(&suite.component.info.config_schema));
    let mut origins: Vec<Origin> = names.iter().filter_map(|word| origin_of(word)).collect();
    let mut gateway =
        Gateway { sandbox: suite.sandbox, call: suite.call(inputs::CURRENCIES[0], suite.config) };
    let mut sends = false;
    for _ in 0..ROUNDS_MAX {
        let secrets: HashMap<String, Secret> =
            names.iter().map(|name| (name.clone(), Secret::new(format!("conformance-{name}")))).collect();
        gateway.call.binding = Arc::new(Binding {
            secrets,
            allowed_origins: origins.clone(),
            allow_private_addresses: true, // A script answers; nothing is reached.
            ..Binding::default()
        });
        let provider = Provider::new(Fault::ServerError);
        let told = gateway.moves(Function::Authorize, KEYS[0], usd(4_711), &provider).await;
        sends = !provider.asked().is_empty();
        let report = match told {
            Ok(answer) => answer.report,
            Err(failure) => *failure.report,
        };
        let before = (names.len(), origins.len());
        for Exchange { uri, error, .. } in report.exchanges {
            let error = error.unwrap_or_default();
            if let Some(name) = error.strip_prefix("the binding has no secret `") {
                names.insert(name.trim_end_matches('`').to_owned());
            } else if let Some(origin) = origin_of(&uri).filter(|origin| !origins.contains(origin)) {
                origins.push(origin);
            }
        }
        if (names.len(), origins.len()) == before {
            break;
        }
    }
    (gateway, sends)
}

/// The origin of an address.
fn origin_of(text: &str) -> Option<Origin> {
    let (scheme, rest) = text.split_once("://")?;
    let end = rest.find(['/', '?', '#']).unwrap_or(rest.len());
    format!("{scheme}://{}", &rest[..end]).parse().ok()
}

async fn capabilities(suite: &mut Suite<'_>, gateway: &Gateway<'_>) {
    let answer = match gateway.sandbox.capabilities(gateway.call.clone()).await {
        Ok(answer) => answer,
        Err(failure) => {
            return suite.say("capabilities", Status::Failed, crashed("get-capabilities", &failure));
        }
    };
    let mut wrong = Vec::new();
    if !answer.report.exchanges.is_empty() {
        wrong
            .push("get-capabilities sends a request; it must answer from its configuration alone".to_owned());
    }
    match answer.value {
        Err(error) => {
            let error = detail(&error);
            wrong.push(format!("get-capabilities answers the error `{}`: {}", error.code, error.text));
        }
        Ok(can) => {
            let mut must = |holds: bool, what: &str| {
                if !holds {
                    wrong.push(what.to_owned());
                }
            };
            must(
                can.one_step || can.separate_capture,
                "neither one-step nor separate-capture: it cannot take money",
            );
            must(can.separate_capture || !can.partial_capture, "partial-capture needs separate-capture");
            must(can.separate_capture || !can.multi_capture, "multi-capture needs separate-capture");
            must(can.key_retention_ms > 0, "key-retention-ms is 0: a lost answer could never be asked for");
            must(
                can.request_time_max_ms > 0,
                "request-time-max-ms is 0: nothing would ever count as settled",
            );
            for code in can.currencies.iter().filter(|code| Currency::from_code(code).is_err()) {
                must(false, &format!("`{code}` is no currency of ISO 4217"));
            }
        }
    }
    suite.judge("capabilities", &wrong, "they are well formed and cost no request");
}

async fn wrong_config(suite: &mut Suite<'_>) {
    let mut wrong = Vec::new();
    for config in suite.wrong_configs() {
        let gateway = Gateway { sandbox: suite.sandbox, call: suite.call(inputs::CURRENCIES[0], config) };
        let with = format!("with the configuration {config}");
        if let Err(failure) = gateway.sandbox.capabilities(gateway.call.clone()).await {
            wrong.push(crashed(&with, &failure));
        }
        let provider = Provider::new(Fault::ServerError);
        match gateway.moves(Function::Authorize, KEYS[0], usd(4_711), &provider).await {
            Err(failure) => wrong.push(crashed(&with, &failure)),
            Ok(Answer { value: Ok(result), .. }) if result.status == PaymentStatus::Succeeded => {
                wrong.push(format!("{with} `authorize` succeeds"));
            }
            Ok(_) => {}
        }
    }
    suite.judge("wrong-config", &wrong, "each is refused or answered, and none succeeds");
}

async fn never_guesses(suite: &mut Suite<'_>, gateway: &Gateway<'_>) {
    let (mut succeeded, mut guessed, mut died) = (Vec::new(), Vec::new(), Vec::new());
    for function in MOVES {
        for fault in FAULTS {
            let provider = Provider::new(fault);
            let when = format!("`{function}` after {fault}");
            match gateway.moves(function, KEYS[0], usd(4_711), &provider).await {
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
                    other => guessed.push(format!("{when} says {other:?}; answer `unknown`")),
                },
            }
        }
    }
    suite.judge("never-succeeds-unconfirmed", &succeeded, "no fault of the provider passes for a success");
    suite.judge("never-guesses", &guessed, "what was sent and not answered is `unknown`");
    suite.judge("survives-faults", &died, "no fault of the provider crashes it");
}

async fn idempotency(suite: &mut Suite<'_>, gateway: &Gateway<'_>, sends: bool) {
    if !sends {
        suite.say("same-key-same-request", Status::Skipped, "it sends nothing");
        suite.say("other-key-other-request", Status::Skipped, "it sends nothing");
        return;
    }
    let (mut unlike, mut alike) = (Vec::new(), Vec::new());
    for function in MOVES {
        let asked = async |key: &str, try_number: u32| {
            let provider = Provider::new(Fault::ServerError);
            let mut call = gateway.call.clone();
            call.ctx.attempt = try_number;
            let again = Gateway { sandbox: gateway.sandbox, call };
            let _ = again.moves(function, key, usd(4_711), &provider).await; // What it answers is judged above.
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

async fn refunds(suite: &mut Suite<'_>, gateway: &Gateway<'_>) {
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

async fn finds(suite: &mut Suite<'_>, gateway: &Gateway<'_>) {
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

async fn unsigned(suite: &mut Suite<'_>, gateway: &Gateway<'_>) {
    let zeros = "0".repeat(64);
    let seconds = inputs::NOW_MS / 1_000;
    let values = [
        String::new(),
        "garbage".to_owned(),
        zeros.clone(),
        format!("sha256={zeros}"),
        format!("t={seconds},v1={zeros}"),
        "v1,AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA=".to_owned(),
    ];
    let bodies = [
        r#"{"id":"evt_1","type":"payment.captured","key":"k","amount":4711,"currency":"USD"}"#,
        "",
        "\u{0}not json",
    ];
    let mut wrong = Vec::new();
    for body in bodies {
        wrong.extend(believed(gateway, "without a signature", vec![], body.as_bytes()).await);
        for value in &values {
            let header = |name: &&str| ((*name).to_owned(), value.clone().into_bytes());
            let headers = SIGNATURE_HEADERS.iter().map(header).collect();
            let what = format!("signed `{value}`");
            wrong.extend(believed(gateway, &what, headers, body.as_bytes()).await);
        }
    }
    suite.judge("unsigned-webhooks", &wrong, "nothing is read from a webhook that is not signed");
}

/// What is wrong with the answer to a webhook that must not be believed.
async fn believed(
    gateway: &Gateway<'_>,
    what: &str,
    headers: Vec<(String, Vec<u8>)>,
    body: &[u8],
) -> Option<String> {
    let request = WebhookRequest { headers, body: body.to_vec() };
    match gateway.sandbox.verify_event(gateway.call.clone(), request).await {
        Err(failure) => Some(crashed(&format!("a webhook {what}"), &failure)),
        Ok(Answer { value: Ok(result), .. }) if result.verified || !result.events.is_empty() => {
            Some(format!("a webhook {what} is believed; check the signature over the raw bytes"))
        }
        Ok(_) => None,
    }
}

/// Webhooks that fixtures show as genuine, each with one byte changed.
async fn tampered(suite: &mut Suite<'_>, fixtures: &[Fixture]) {
    let mut wrong = Vec::new();
    let mut tried = 0;
    for fixture in fixtures.iter().filter(|fixture| fixture.function == Function::VerifyEvent) {
        let defaults = crate::short::defaults(&fixture.ctx.currency);
        let Ok(request) = crate::decode::decode::<WebhookRequest>(fixture.request.clone(), &defaults) else {
            continue; // `test` says what is wrong with it.
        };
        let mut call = suite.call(inputs::CURRENCIES[0], "{}");
        (call.ctx, call.binding) = (fixture.ctx.clone(), fixture.binding.clone());
        let gateway = Gateway { sandbox: suite.sandbox, call };
        let genuine = gateway.sandbox.verify_event(gateway.call.clone(), request.clone()).await;
        if !genuine.is_ok_and(|answer| answer.value.is_ok_and(|result| result.verified)) {
            continue;
        }
        tried += 1;
        // A blank at the end changes no JSON; a digit or letter changes the fact.
        let mut longer = request.body.clone();
        longer.push(b' ');
        let mut other = request.body.clone();
        if let Some(byte) = other.iter_mut().rev().find(|byte| byte.is_ascii_digit()) {
            *byte = if *byte == b'9' { b'8' } else { *byte + 1 };
        }
        for body in [longer, other] {
            let what = format!("of the fixture `{}` with a byte changed", fixture.name);
            wrong.extend(believed(&gateway, &what, request.headers.clone(), &body).await);
        }
        wrong.extend(believed(&gateway, "without its signature", vec![], &request.body).await);
    }
    match tried {
        0 => {
            let detail = "no fixture shows a genuine webhook: write one for `verify-event`, and changed copies of it are tried here";
            suite.say("tampered-webhooks", Status::Skipped, detail);
        }
        tried => {
            suite.judge(
                "tampered-webhooks",
                &wrong,
                format!("{tried} genuine webhooks are refused once changed"),
            );
        }
    }
}
