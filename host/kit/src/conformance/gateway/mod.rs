//! Payment gateways: never a success that the provider did not confirm, one effect for one key, nothing from
//! a webhook that is not signed.
//!
//! The provider is played by a script that misbehaves; no request leaves the process.

mod money;
pub(super) mod provider;
mod requests;
pub(super) mod webhooks;

use super::inputs::{self, words};
use super::{Status, Suite, crashed, detail};
use crate::{Fixture, Function};
use provider::{Fault, Provider};
use requests::{KEYS, attempt, payment, references, usd};
use std::collections::{BTreeSet, HashMap};
use std::sync::Arc;
use till_model::money::Currency;
use till_sandbox::wit::gateway::{
    Attempt, CaptureRequest, Operation, PaymentResult, PaymentStatus, ProceedRequest, RefundRequest,
    VoidRequest,
};
use till_sandbox::wit::types::Money;
use till_sandbox::{Answer, Binding, Call, Exchange, Failure, Origin, Report, Sandbox, Secret};

/// Rounds in which addresses and secrets that a gateway asks for are found out.
const ROUNDS_MAX: usize = 8;

/// A component with what it needs to send.
struct Gateway<'a> {
    sandbox: &'a Sandbox,
    call: Call,
    /// Attempts have references, as after `prepare`.
    prepared: bool,
}

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
                let attempt = self.attempt(key, Operation::Authorize);
                scripted.proceed(call, ProceedRequest { attempt, return_data }).await
            }
            Function::Capture => {
                let attempt = self.attempt(key, Operation::Capture);
                scripted.capture(call, CaptureRequest { attempt, amount, final_capture: true }).await
            }
            Function::Void => {
                scripted.void(call, VoidRequest { attempt: self.attempt(key, Operation::Void) }).await
            }
            Function::Refund => {
                let refund = RefundRequest {
                    attempt: self.attempt(key, Operation::Refund),
                    refund_id: "refund_1".to_owned(),
                    amount,
                    reason: "conformance".to_owned(),
                };
                scripted.refund(call, refund).await
            }
            _ => scripted.authorize(call, payment(self.attempt(key, Operation::Authorize))).await,
        }
    }

    fn attempt(&self, key: &str, operation: Operation) -> Attempt {
        let references = if self.prepared { references() } else { Vec::new() };
        Attempt { references, ..attempt(key, operation) }
    }

    /// The same with attempts that have references, or have none.
    fn with(&self, prepared: bool) -> Gateway<'_> {
        Gateway { sandbox: self.sandbox, call: self.call.clone(), prepared }
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
    money::never_guesses(suite, &gateway).await;
    money::idempotency(suite, &gateway, sends).await;
    money::refunds(suite, &gateway).await;
    money::finds(suite, &gateway).await;
    webhooks::unsigned(suite, &gateway).await;
    webhooks::tampered(suite, fixtures).await;
}

/// Lets the gateway reach and sign what it wants to.
async fn furnish<'a>(suite: &Suite<'a>) -> (Gateway<'a>, bool) {
    let sandbox = suite.sandbox;
    let (call, sends) = reach(suite, async |call, provider| {
        let gateway = Gateway { sandbox, call, prepared: true };
        let told = gateway.moves(Function::Authorize, KEYS[0], usd(4_711), provider).await;
        told.map_or_else(|failure| *failure.report, |answer| answer.report)
    })
    .await;
    (Gateway { sandbox, call, prepared: true }, sends)
}

/// A call that may reach and sign whatever the component wants to, and whether it sends at all: addresses and names of
/// secrets come from its configuration and its schema, and from what it tries.
pub(super) async fn reach(suite: &Suite<'_>, ask: impl AsyncFn(Call, &Provider) -> Report) -> (Call, bool) {
    let mut names: BTreeSet<String> = words(suite.config).into_iter().collect();
    names.extend(words(&suite.component.info.config_schema));
    let mut origins: Vec<Origin> = names.iter().filter_map(|word| origin_of(word)).collect();
    let mut call = suite.call(inputs::CURRENCIES[0], suite.config);
    let mut sends = false;
    for _ in 0..ROUNDS_MAX {
        let secrets: HashMap<String, Secret> =
            names.iter().map(|name| (name.clone(), Secret::new(format!("conformance-{name}")))).collect();
        call.binding = Arc::new(Binding {
            secrets,
            allowed_origins: origins.clone(),
            allow_private_addresses: true, // A script answers; nothing is reached.
            ..(*suite.binding).clone()
        });
        let provider = Provider::new(Fault::ServerError);
        let report = ask(call.clone(), &provider).await;
        sends = !provider.asked().is_empty();
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
    (call, sends)
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
        let call = suite.call(inputs::CURRENCIES[0], config);
        let gateway = Gateway { sandbox: suite.sandbox, call, prepared: true };
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
