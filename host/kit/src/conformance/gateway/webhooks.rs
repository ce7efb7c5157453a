//! Webhooks: nothing is believed that is not signed.

use super::super::{Status, Suite, crashed, inputs};
use super::Gateway;
use crate::{Fixture, Function};
use till_sandbox::Answer;
use till_sandbox::wit::gateway::WebhookRequest;

/// Headers in which providers send signatures.
const SIGNATURE_HEADERS: [&str; 10] = [
    "signature",
    "x-signature",
    "x-hub-signature-256",
    "x-webhook-signature",
    "webhook-signature",
    "stripe-signature",
    "x-razorpay-signature",
    "sim-signature",
    "hmacsignature",
    "authorization",
];

/// A webhook that nobody signed: what is wrong with it, its headers, its body.
pub(in super::super) type Forged = (String, Vec<(String, Vec<u8>)>, Vec<u8>);

/// Webhooks that nobody may believe.
pub(in super::super) fn forged() -> Vec<Forged> {
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
    let mut all = Vec::new();
    for body in bodies {
        all.push(("without a signature".to_owned(), vec![], body.into()));
        for value in &values {
            let header = |name: &&str| ((*name).to_owned(), value.clone().into_bytes());
            all.push((
                format!("signed `{value}`"),
                SIGNATURE_HEADERS.iter().map(header).collect(),
                body.into(),
            ));
        }
    }
    all
}

pub(super) async fn unsigned(suite: &mut Suite<'_>, gateway: &Gateway<'_>) {
    let mut wrong = Vec::new();
    for (what, headers, body) in forged() {
        wrong.extend(believed(gateway, &what, headers, &body).await);
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
pub(super) async fn tampered(suite: &mut Suite<'_>, fixtures: &[Fixture]) {
    let mut wrong = Vec::new();
    let mut tried = 0;
    for fixture in fixtures.iter().filter(|fixture| fixture.function == Function::VerifyEvent) {
        let defaults = crate::short::defaults(&fixture.ctx.currency);
        let Ok(request) = crate::decode::decode::<WebhookRequest>(fixture.request.clone(), &defaults) else {
            continue; // `test` says what is wrong with it.
        };
        let mut call = suite.call(inputs::CURRENCIES[0], "{}");
        (call.ctx, call.binding) = (fixture.ctx.clone(), fixture.binding.clone());
        let gateway = Gateway { sandbox: suite.sandbox, call, prepared: true };
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
