//! Steps that move money through a gateway component, and those that ask what became of it.
//!
//! The rule of the room: nothing is guessed. An answer counts only if the call had a complete HTTP
//! response; anything else after a request left the host is `unknown` and is asked for.

use std::sync::Arc;

use serde_json::{Value, json};
use till_engine::step::{StepCall, StepFault, StepResult, TookEffect};
use till_registry::{Bound, Ended};
use till_sandbox::wit::gateway as wit;
use till_sandbox::wit::types::ComponentError;
use till_sandbox::{Answer, Failure, Report, Slot};

use super::context::{AttemptRecord, Payment, json as to_json, maybe, part};
use super::pricing::database;
use super::steps::CheckoutSteps;
use crate::ask::{self, cut};
use crate::catalog;
use crate::quote::{Inputs, Quote};
use crate::settings::Settings;

/// What a gateway said, after the host's own doubts.
pub(super) enum Said {
    Succeeded(wit::PaymentResult),
    Declined(wit::PaymentResult, wit::Decline),
    Pending(wit::PaymentResult, wit::NextAction),
    Unknown(String),
    /// Nothing left the host.
    NotSent(String),
}

impl CheckoutSteps {
    /// Lets the gateway make its own object before money moves, where it needs one.
    pub(super) async fn prepare(&self, call: &StepCall) -> Result<StepResult, StepFault> {
        let made = self.request(call, "authorize", false).await?;
        let (bound, settings) = (made.bound, made.settings);
        let component = self.gateway_call(call, &bound, &settings).await?;
        let answer = self.sandbox().prepare(component, made.request).await;
        self.count(call, &bound, &answer, false).await;
        match answer {
            Ok(Answer { value: Ok(result), .. }) => {
                let references = pairs(&result.references);
                let patch = json!({ "payment": { "prepared": { "references": references, "gateway_state": result.gateway_state } } });
                Ok(StepResult::outcome("prepared").patch(patch))
            }
            Ok(Answer { value: Err(error), .. }) => Ok(unclear(&words(&error))),
            Err(failure) => Ok(unclear(&failure.to_string())),
        }
    }

    /// Reserves the money (`payment.authorize`), or takes it at once (`payment.charge`).
    pub(super) async fn authorize(&self, call: &StepCall, capture: bool) -> Result<StepResult, StepFault> {
        let made = self.request(call, "authorize", capture).await?;
        let (amount, bound) = (made.request.attempt.amount.clone(), made.bound);
        let component = self.gateway_call(call, &bound, &made.settings).await?;
        let answer = self.sandbox().authorize(component, made.request).await;
        if let Some(why) = left_alone(&answer) {
            // Trying again before the cool-down is over is in vain, and the shopper waits.
            let text = format!("the payment provider cannot be reached now and nothing was charged: {why}");
            return Err(StepFault::new("circuit-open", cut(&text)));
        }
        let said = self.believed(call, &bound, answer, &amount).await;
        let (state, outcome) = if capture { ("captured", "captured") } else { ("authorized", "authorized") };
        self.outcome(call, &call.key, made.record, said, state, outcome)
    }

    /// Takes reserved money.
    pub(super) async fn capture(&self, call: &StepCall) -> Result<StepResult, StepFault> {
        let payment: Payment = maybe(call, "payment")?.unwrap_or_default();
        let settings: Settings = part(call, "settings")?;
        let authorized = payment
            .authorized()
            .ok_or_else(|| StepFault::new("no-authorization", "there is no authorization to capture"))?;
        let bound = self.gateway(call, &authorized.method, &authorized.binding, true).await?.0;
        let record =
            AttemptRecord { operation: "capture".to_owned(), state: String::new(), ..authorized.clone() };
        let attempt = attempt(
            call,
            &call.key,
            wit::Operation::Capture,
            &record,
            call.about.as_ref().map(|a| a.first_sent_us),
        );
        let amount = attempt.amount.clone();
        let request = wit::CaptureRequest { attempt, amount: amount.clone(), final_capture: true };
        let component = self.gateway_call(call, &bound, &settings).await?;
        let answer = self.sandbox().capture(component, request).await;
        // Money is reserved: whoever asks for it looks at the origin too, and comes back here once it answers.
        let said = match left_alone(&answer) {
            Some(why) => Said::Unknown(why),
            None => self.believed(call, &bound, answer, &amount).await,
        };
        self.outcome(call, &call.key, record, said, "captured", "captured")
    }

    /// Asks what became of the latest attempt.
    pub(super) async fn find(&self, call: &StepCall) -> Result<StepResult, StepFault> {
        let about = call
            .about
            .clone()
            .ok_or_else(|| StepFault::new("no-attempt", "there is nothing to ask about"))?;
        let payment: Payment = maybe(call, "payment")?.unwrap_or_default();
        let settings: Settings = part(call, "settings")?;
        let record = match payment.attempts.get(&about.key) {
            Some(record) => record.clone(),
            None => self.lost_record(call, &payment)?,
        };
        let found = self.ask(call, &settings, &about.key, &record, Some(about.first_sent_us)).await;
        let known = |state: &str, outcome: &str, effect: TookEffect, snapshot: &wit::Snapshot| {
            let mut record = record.clone();
            state.clone_into(&mut record.state);
            learn(&mut record, &snapshot.references, snapshot.gateway_state.as_deref());
            let mut patch = json!({ "payment": { "attempts": {}, "action": null, "refused": null } });
            patch["payment"]["attempts"][&about.key] = to_json(&record)?;
            if state == "authorized" {
                patch["payment"]["in_force"] = json!(about.key);
            }
            Ok(StepResult::outcome(outcome).effect(effect).patch(patch))
        };
        match found {
            Ok(wit::FindOutcome::Found(s)) => match s.state {
                wit::PaymentState::Captured if exactly(&s.captured, &record) => {
                    known("captured", "captured", TookEffect::Yes, &s)
                }
                wit::PaymentState::Authorized if record.operation == "authorize" && exactly(&s.authorized, &record) => {
                    known("authorized", "authorized", TookEffect::Yes, &s)
                }
                // The capture has not happened; its authorization stands.
                wit::PaymentState::Authorized if record.operation == "capture" => {
                    known("unsent", "authorized", TookEffect::No, &s)
                }
                wit::PaymentState::ActionRequired | wit::PaymentState::Created => {
                    let mut result = known("open", "action_required", TookEffect::Open, &s)?;
                    if let Some(action) = &s.action {
                        result.patch["payment"]["action"] = shown(action);
                    }
                    Ok(result)
                }
                wit::PaymentState::Declined | wit::PaymentState::Voided | wit::PaymentState::Expired => {
                    let mut result = known("declined", "declined", TookEffect::No, &s)?;
                    result.patch["problem"] = declined(call, s.decline.as_ref());
                    Ok(result)
                }
                _ => Ok(StepResult::outcome("unknown").note(json!({
                    "why": format!(
                        "the gateway tells {:?} with {} {} authorized and {} {} captured",
                        s.state, s.authorized.minor, s.authorized.currency, s.captured.minor, s.captured.currency
                    )
                }))),
            },
            Ok(wit::FindOutcome::NeverHappened(wit::Absence::Certain)) => Ok(StepResult::outcome("never_happened")),
            Ok(wit::FindOutcome::NeverHappened(wit::Absence::NotVisibleYet)) => {
                Ok(StepResult::outcome("unknown").note(json!({ "why": "not visible at the gateway yet" })))
            }
            Ok(wit::FindOutcome::Unknown(why)) => Ok(StepResult::outcome("unknown").note(json!({ "why": cut(&why) }))),
            Err(why) => Ok(StepResult::outcome("unknown").note(json!({ "why": why }))),
        }
    }

    /// Undo of an authorization, a charge or a capture: asks what stands, then voids or refunds exactly
    /// that. Harmless to repeat.
    pub(super) async fn give_back(&self, call: &StepCall) -> Result<StepResult, StepFault> {
        let about =
            call.about.clone().ok_or_else(|| StepFault::new("no-attempt", "there is nothing to undo"))?;
        let payment: Payment = maybe(call, "payment")?.unwrap_or_default();
        let settings: Settings = part(call, "settings")?;
        let Some(record) = payment.attempts.get(&about.key).cloned() else {
            return Err(StepFault::new("no-attempt", format!("attempt {} is not recorded", about.key)));
        };
        let finished = |state: &str, how: &str| {
            let mut record = record.clone();
            // One that was declined still was when nothing of it stands any more: fraud checks count it.
            if record.state != "declined" {
                state.clone_into(&mut record.state);
            }
            let mut patch = json!({ "payment": { "attempts": {}, "action": null, "refused": null } });
            patch["payment"]["attempts"][&about.key] = to_json(&record)?;
            Ok(StepResult::outcome("done").patch(patch).note(json!({ "how": how })))
        };
        let wait = |why: String| StepFault::NotSent { code: "gateway".to_owned(), text: why };
        let snapshot = match self.ask(call, &settings, &about.key, &record, Some(about.first_sent_us)).await {
            Ok(wit::FindOutcome::Found(snapshot)) => snapshot,
            Ok(wit::FindOutcome::NeverHappened(wit::Absence::Certain)) => {
                return finished("never", "nothing stands at the gateway");
            }
            Ok(wit::FindOutcome::NeverHappened(wit::Absence::NotVisibleYet)) => {
                return Err(wait("not visible at the gateway yet".to_owned()));
            }
            Ok(wit::FindOutcome::Unknown(why)) | Err(why) => return Err(wait(why)),
        };
        let bound = self.gateway(call, &record.method, &record.binding, true).await?.0;
        let mut asked = record.clone();
        learn(&mut asked, &snapshot.references, snapshot.gateway_state.as_deref());
        let taken = still_taken(&snapshot, &record.currency).map_err(wait)?;
        let component = self.gateway_call(call, &bound, &settings).await?;
        if taken > 0 {
            let amount = till_sandbox::wit::types::Money { minor: taken, currency: record.currency.clone() };
            let mut attempt =
                attempt(call, &call.key, wit::Operation::Refund, &asked, Some(about.first_sent_us));
            attempt.amount = amount.clone();
            let request = wit::RefundRequest {
                attempt,
                refund_id: call.key.clone(),
                amount: amount.clone(),
                reason: "the checkout was turned back".to_owned(),
            };
            let answer = self.sandbox().refund(component, request).await;
            return match self.believed(call, &bound, answer, &amount).await {
                Said::Succeeded(_) => finished("refunded", "refunded"),
                other => Err(wait(other.words())),
            };
        }
        let settled = [
            wit::PaymentState::Voided,
            wit::PaymentState::Refunded,
            wit::PaymentState::Declined,
            wit::PaymentState::Expired,
        ];
        if settled.contains(&snapshot.state) || snapshot.voided {
            return finished("voided", "nothing stands at the gateway");
        }
        let attempt = attempt(call, &call.key, wit::Operation::Void, &asked, Some(about.first_sent_us));
        let amount = attempt.amount.clone();
        let answer = self.sandbox().void(component, wit::VoidRequest { attempt }).await;
        match self.believed(call, &bound, answer, &amount).await {
            Said::Succeeded(_) => finished("voided", "voided"),
            other => Err(wait(other.words())),
        }
    }

    pub(super) async fn ask(
        &self,
        call: &StepCall,
        settings: &Settings,
        key: &str,
        record: &AttemptRecord,
        first_sent_us: Option<i64>,
    ) -> Result<wit::FindOutcome, String> {
        let found = self.gateway(call, &record.method, &record.binding, true).await;
        let (bound, foreign) = found.map_err(|e| e.to_string())?;
        let operation =
            if record.operation == "capture" { wit::Operation::Capture } else { wit::Operation::Authorize };
        let request = wit::FindRequest { attempt: attempt(call, key, operation, record, first_sent_us) };
        let component = self.gateway_call(call, &bound, settings).await.map_err(|e| e.to_string())?;
        let answer = self.sandbox().find(component, request).await;
        let unclear = matches!(&answer, Ok(Answer { value: Ok(r), .. }) if matches!(r.outcome, wit::FindOutcome::Unknown(_)));
        self.count(call, &bound, &answer, unclear).await;
        match answer {
            // Who stands in may look at another account of the provider: that it sees nothing proves nothing.
            Ok(Answer { value: Ok(result), .. })
                if foreign && matches!(result.outcome, wit::FindOutcome::NeverHappened(_)) =>
            {
                Ok(wit::FindOutcome::NeverHappened(wit::Absence::NotVisibleYet))
            }
            Ok(Answer { value: Ok(result), report }) => Ok(match result.outcome {
                wit::FindOutcome::Unknown(why) => wit::FindOutcome::Unknown(with_lost(why, report.lost())),
                outcome => outcome,
            }),
            Ok(Answer { value: Err(error), .. }) => Err(words(&error)),
            Err(failure) => Err(cut(&failure.to_string())),
        }
    }

    /// What the gateway said, after the host's doubts; counted, if it is on trial. A decline is an answer; one that
    /// the host does not believe is a failure.
    pub(super) async fn believed(
        &self,
        call: &StepCall,
        bound: &Bound,
        answer: Result<Answer<wit::PaymentResult>, Failure>,
        amount: &till_sandbox::wit::types::Money,
    ) -> Said {
        let said = doubt(answer.clone(), amount);
        let unclear = matches!(said, Said::Unknown(_) | Said::NotSent(_));
        self.count(call, bound, &answer, unclear).await;
        said
    }

    /// Counts a call, if its gateway is on trial and the host did its own part.
    async fn count<T>(
        &self,
        call: &StepCall,
        bound: &Bound,
        answer: &Result<Answer<T>, Failure>,
        unclear: bool,
    ) {
        let Some(ended) = ask::ended(answer).filter(|_| left_alone(answer).is_none()) else { return };
        let ended = Ended { failed: ended.failed || unclear, ..ended };
        let slot = Slot::PaymentGateway;
        self.registry.count_call(&call.merchant, slot, &bound.name, &bound.digest, ended).await;
    }

    /// The gateway that `asked` names by its binding; without, the one pinned for a payment method: of its own name,
    /// else `default`. Where it was revoked, the one bound now stands in; with money in the air only one that can go
    /// on with its references. Also says whether it stands in.
    pub(super) async fn gateway(
        &self,
        call: &StepCall,
        method: &str,
        asked: &str,
        in_the_air: bool,
    ) -> Result<(Arc<Bound>, bool), StepFault> {
        let pins = call.pins.get("payment-gateway");
        let digest = pins.and_then(|p| p.get(method).or_else(|| p.get("default"))).and_then(Value::as_str);
        let digest = Some(asked).filter(|asked| !asked.is_empty()).or(digest);
        let digest = digest
            .ok_or_else(|| StepFault::new("no-gateway", format!("no gateway is bound for `{method}`")))?;
        let wrong = |e: till_registry::Error| StepFault::new("binding", e.to_string());
        let component = match self.registry.bound(&call.merchant, digest).await {
            Err(till_registry::Error::Revoked { component }) => component,
            bound => return bound.map(|bound| (bound, false)).map_err(wrong),
        };
        let stands_in = self.registry.stand_in(&call.merchant, digest, in_the_air).await.map_err(wrong)?;
        if let Some(bound) = &stands_in {
            let (from, to, uid) = (digest, &bound.digest, &call.uid);
            tracing::warn!(merchant = %call.merchant, uid, from, to, "a gateway stands in for a revoked one");
        }
        stands_in.map(|bound| (bound, true)).ok_or_else(|| {
            let text = format!(
                "component {component} was revoked; bind a gateway of the same name, or one whose capabilities say that it adopts it, and retry"
            );
            StepFault::new("revoked", text)
        })
    }

    async fn request(&self, call: &StepCall, operation: &str, capture: bool) -> Result<Made, StepFault> {
        let inputs: Inputs = part(call, "snapshot")?;
        let quote: Quote = part(call, "quote")?;
        let settings: Settings = part(call, "settings")?;
        let payment: Payment = maybe(call, "payment")?.unwrap_or_default();
        let due = quote.due().ok_or_else(|| StepFault::new("no-totals", "the quote has no totals"))?;
        let method =
            inputs.payment_method.clone().ok_or_else(|| StepFault::new("no-method", "no payment method"))?;
        let customer = inputs.customer.clone().unwrap_or_default();
        let (saved, ..) = {
            let mut tx = self.store.read().await.map_err(database)?;
            catalog::customer(&mut tx, &call.merchant, &customer.id).await.map_err(database)?
        };
        // The token is read here and goes to the gateway alone: neither context nor journal has it.
        let token = saved.payment_methods.iter().find(|m| m.id == method.id).map(|m| m.token.clone());
        let token = token
            .ok_or_else(|| StepFault::new("no-method", format!("payment method {} is gone", method.id)))?;
        // Whoever was asked under this key before is asked again; a first try may go to what stands in.
        let known = payment.attempts.get(&call.key);
        let again = call.attempt > 1 || known.is_some();
        let asked = known.map(|record| record.binding.clone()).unwrap_or_default();
        let (bound, _) = self.gateway(call, &method.kind, &asked, again).await?;
        let record = payment.attempts.get(&call.key).cloned().unwrap_or_else(|| AttemptRecord {
            operation: operation.to_owned(),
            state: String::new(),
            amount: due.minor(),
            currency: due.currency().code().to_owned(),
            at_once: capture,
            references: prepared(call),
            gateway_state: None,
            binding: bound.digest.clone(),
            method: method.kind.clone(),
            last4: method.last4.clone(),
        });
        let first_sent_us = call.about.as_ref().map(|a| a.first_sent_us);
        let request = wit::PaymentRequest {
            attempt: attempt(call, &call.key, wit::Operation::Authorize, &record, first_sent_us),
            instrument: wit::Instrument {
                id: method.id,
                kind: method.kind,
                token,
                last4: method.last4,
                brand: method.brand,
                off_session: false,
            },
            shopper: wit::Shopper {
                id: customer.id,
                email: saved.email,
                ip: String::new(),
                user_agent: String::new(),
                return_url: String::new(),
                billing: inputs.billing_address.as_ref().map(|a| a.to_wit()),
                shipping: inputs.shipping_address.as_ref().map(|a| a.to_wit()),
            },
            lines: inputs
                .lines
                .iter()
                .zip(&quote.lines)
                .map(|(line, made)| wit::PaymentLine {
                    title: line.title.clone(),
                    quantity: line.quantity,
                    total: till_sandbox::wit::types::Money {
                        minor: made.payable(),
                        currency: quote.currency.code().to_owned(),
                    },
                })
                .collect(),
            capture,
        };
        Ok(Made { request, record, bound, settings })
    }

    /// What is known of an attempt whose call was lost before its outcome was recorded.
    fn lost_record(&self, call: &StepCall, payment: &Payment) -> Result<AttemptRecord, StepFault> {
        if let Some(authorized) = payment.authorized() {
            return Ok(AttemptRecord {
                operation: "capture".to_owned(),
                state: "unknown".to_owned(),
                ..authorized.clone()
            });
        }
        let inputs: Inputs = part(call, "snapshot")?;
        let quote: Quote = part(call, "quote")?;
        let due = quote.due().ok_or_else(|| StepFault::new("no-totals", "the quote has no totals"))?;
        let method = inputs.payment_method.unwrap_or_else(|| crate::quote::PaymentMethodInput {
            id: String::new(),
            kind: String::new(),
            last4: String::new(),
            brand: String::new(),
            expires: None,
        });
        Ok(AttemptRecord {
            operation: "authorize".to_owned(),
            state: "unknown".to_owned(),
            amount: due.minor(),
            currency: due.currency().code().to_owned(),
            at_once: false,
            references: prepared(call),
            gateway_state: None,
            binding: String::new(),
            method: method.kind,
            last4: method.last4,
        })
    }

    pub(super) fn outcome(
        &self,
        call: &StepCall,
        key: &str,
        mut record: AttemptRecord,
        said: Said,
        state: &str,
        outcome: &str,
    ) -> Result<StepResult, StepFault> {
        let mut patch = json!({ "payment": { "attempts": {}, "action": null, "refused": null } });
        let result = match said {
            Said::Succeeded(result) => {
                state.clone_into(&mut record.state);
                learn(&mut record, &result.references, result.gateway_state.as_deref());
                if state == "authorized" {
                    patch["payment"]["in_force"] = json!(key);
                }
                StepResult::outcome(outcome).effect(TookEffect::Yes)
            }
            Said::Declined(result, decline) => {
                "declined".clone_into(&mut record.state);
                learn(&mut record, &result.references, result.gateway_state.as_deref());
                patch["problem"] = declined(call, Some(&decline));
                let open = matches!(result.took_effect, wit::TookEffect::Open | wit::TookEffect::Yes);
                StepResult::outcome("declined").effect(if open { TookEffect::Open } else { TookEffect::No })
            }
            Said::Pending(result, action) => {
                "open".clone_into(&mut record.state);
                learn(&mut record, &result.references, result.gateway_state.as_deref());
                patch["payment"]["action"] = shown(&action);
                patch["payment"]["refused"] = refused(&result.messages);
                StepResult::outcome("action_required").effect(TookEffect::Open)
            }
            Said::Unknown(why) => {
                "unknown".clone_into(&mut record.state);
                StepResult::outcome("unknown").effect(TookEffect::Unknown).note(json!({ "why": cut(&why) }))
            }
            Said::NotSent(why) => {
                return Err(StepFault::NotSent { code: "gateway".to_owned(), text: cut(&why) });
            }
        };
        patch["payment"]["attempts"][key] = to_json(&record)?;
        Ok(result.patch(patch))
    }
}

struct Made {
    request: wit::PaymentRequest,
    record: AttemptRecord,
    bound: Arc<Bound>,
    settings: Settings,
}

impl Said {
    fn words(self) -> String {
        match self {
            Said::Succeeded(_) => "it succeeded".to_owned(),
            Said::Declined(_, decline) => format!("declined: {}", decline.code),
            Said::Pending(..) => "it is pending".to_owned(),
            Said::Unknown(why) | Said::NotSent(why) => why,
        }
    }

    /// Says with an unclear answer which requests were refused or lost.
    fn because(self, lost: Option<String>) -> Said {
        match self {
            Said::Unknown(why) => Said::Unknown(with_lost(why, lost)),
            Said::NotSent(why) => Said::NotSent(with_lost(why, lost)),
            clear => clear,
        }
    }
}

/// Why nothing was sent, if that is so because the origin has failed too often.
pub(super) fn left_alone<T>(answer: &Result<Answer<T>, Failure>) -> Option<String> {
    let report = answer.as_ref().map_or_else(|failure| &*failure.report, |answer| &answer.report);
    (report.circuit_open && !report.sent).then(|| report.lost().unwrap_or_default())
}

/// Believes an answer only as far as the exchange carries it.
fn doubt(
    answer: Result<Answer<wit::PaymentResult>, Failure>,
    amount: &till_sandbox::wit::types::Money,
) -> Said {
    till_engine::crash::point("call.request-sent.before-response");
    let report = answer.as_ref().map_or_else(|failure| &*failure.report, |answer| &answer.report);
    let lost = report.lost();
    judged(answer, amount).because(lost)
}

fn judged(
    answer: Result<Answer<wit::PaymentResult>, Failure>,
    amount: &till_sandbox::wit::types::Money,
) -> Said {
    let unsent =
        |report: &Report, why: String| if report.sent { Said::Unknown(why) } else { Said::NotSent(why) };
    let (result, report) = match answer {
        Err(failure) => return unsent(&failure.report, failure.to_string()),
        Ok(Answer { value: Err(error), report }) => return unsent(&report, words(&error)),
        Ok(Answer { value: Ok(result), report }) => (result, report),
    };
    if report.sent && !report.complete_response {
        return Said::Unknown("the gateway's answer did not come whole".to_owned());
    }
    match (&result.status, result.took_effect) {
        // The host knows what the component cannot: without a request nothing can have happened.
        (wit::PaymentStatus::Unknown(why), _) => unsent(&report, why.clone()),
        (_, wit::TookEffect::Unknown) => unsent(&report, "it is not known whether it took effect".to_owned()),
        (wit::PaymentStatus::Succeeded, _) if !report.sent => {
            Said::Unknown("the component reports a success without having asked the gateway".to_owned())
        }
        (wit::PaymentStatus::Succeeded, wit::TookEffect::No) => {
            Said::Unknown("the component reports a success that did not take effect".to_owned())
        }
        (wit::PaymentStatus::Succeeded, _) => match &result.confirmed {
            Some(confirmed) if confirmed == amount => Said::Succeeded(result),
            other => Said::Unknown(format!(
                "the gateway confirmed {other:?}, not {} {}",
                amount.minor, amount.currency
            )),
        },
        (wit::PaymentStatus::Declined(decline), _) => {
            let decline = decline.clone();
            Said::Declined(result, decline)
        }
        (wit::PaymentStatus::Pending(action), _) => {
            let action = action.clone();
            Said::Pending(result, action)
        }
    }
}

/// An amount is that of the attempt, in its currency.
pub(super) fn exactly(money: &till_sandbox::wit::types::Money, record: &AttemptRecord) -> bool {
    money.minor == record.amount && money.currency == record.currency
}

/// Money that was taken and not given back, in minor units of `currency`. Err: it was told in another one.
fn still_taken(snapshot: &wit::Snapshot, currency: &str) -> Result<i64, String> {
    match [&snapshot.captured, &snapshot.refunded]
        .into_iter()
        .find(|m| m.minor != 0 && m.currency != currency)
    {
        Some(other) => {
            Err(cut(&format!("the gateway tells of {} {}, not of {currency}", other.minor, other.currency)))
        }
        None => Ok(snapshot.captured.minor.saturating_sub(snapshot.refunded.minor)),
    }
}

/// With the host's words about requests that were refused or lost.
fn with_lost(why: String, lost: Option<String>) -> String {
    match lost {
        Some(lost) => format!("{why} ({lost})"),
        None => why,
    }
}

fn unclear(why: &str) -> StepResult {
    StepResult::outcome("unknown").note(json!({ "why": cut(why) }))
}

/// What a component said instead of an answer.
pub(crate) fn words(error: &ComponentError) -> String {
    let (ComponentError::InvalidConfig(d)
    | ComponentError::InvalidInput(d)
    | ComponentError::Unavailable(d)
    | ComponentError::Internal(d)) = error;
    cut(&format!("{}: {}", d.code, d.text))
}

pub(super) fn attempt(
    call: &StepCall,
    key: &str,
    operation: wit::Operation,
    record: &AttemptRecord,
    first_sent_us: Option<i64>,
) -> wit::Attempt {
    let order = |field: &str| {
        call.context
            .get("order")
            .and_then(|o| o.get(field))
            .and_then(Value::as_str)
            .unwrap_or_default()
            .to_owned()
    };
    wit::Attempt {
        key: key.to_owned(),
        operation,
        first_sent_ms: first_sent_us.and_then(|us| u64::try_from(us / 1000).ok()),
        amount: till_sandbox::wit::types::Money { minor: record.amount, currency: record.currency.clone() },
        references: record
            .references
            .iter()
            .map(|(kind, value)| wit::Reference { kind: kind.clone(), value: value.clone() })
            .collect(),
        gateway_state: record.gateway_state.clone(),
        order: order("id"),
        order_number: order("number"),
        attributes: vec![],
    }
}

fn pairs(references: &[wit::Reference]) -> Vec<(String, String)> {
    references.iter().map(|r| (r.kind.clone(), r.value.clone())).collect()
}

fn prepared(call: &StepCall) -> Vec<(String, String)> {
    let prepared =
        call.context.get("payment").and_then(|p| p.get("prepared")).and_then(|p| p.get("references"));
    prepared.and_then(|r| serde_json::from_value(r.clone()).ok()).unwrap_or_default()
}

/// References and state only grow: what a later answer leaves out stays known.
fn learn(record: &mut AttemptRecord, references: &[wit::Reference], state: Option<&str>) {
    for reference in pairs(references) {
        if !record.references.contains(&reference) {
            record.references.push(reference);
        }
    }
    if let Some(state) = state {
        record.gateway_state = Some(state.to_owned());
    }
}

/// Why something that the buyer brought back was not taken, in the gateway's words.
fn refused(messages: &[till_sandbox::wit::types::Message]) -> Value {
    let error = messages.iter().find(|m| m.kind == till_sandbox::wit::types::MessageKind::Error);
    error.map_or(Value::Null, |m| json!({ "code": cut(&m.code), "text": cut(&m.text) }))
}

fn shown(action: &wit::NextAction) -> Value {
    let (kind, value) = match &action.kind {
        wit::ActionKind::Redirect(url) => ("redirect", json!(url)),
        wit::ActionKind::ClientSecret(secret) => ("client_secret", json!(secret)),
        wit::ActionKind::Qr(text) => ("qr", json!(text)),
        wit::ActionKind::Collect(fields) => ("collect", json!(fields)),
        wit::ActionKind::Wait => ("wait", Value::Null),
    };
    json!({ "kind": kind, "value": value, "expires_ms": action.expires_ms, "text": action.text })
}

fn declined(call: &StepCall, decline: Option<&wit::Decline>) -> Value {
    let hash = call.context.get("submit").and_then(|s| s.get("hash")).cloned().unwrap_or(Value::Null);
    let order = call.context.get("order").cloned().unwrap_or(Value::Null);
    let decline = decline.map_or(Value::Null, |d| {
        let class = match d.class {
            wit::DeclineClass::Hard => "hard",
            wit::DeclineClass::Soft => "soft",
            wit::DeclineClass::Fraud => "fraud",
            wit::DeclineClass::Authentication => "authentication",
        };
        json!({ "code": d.code, "class": class, "text": d.text })
    });
    json!({ "code": "payment-declined", "decline": decline, "order": order, "hash": hash })
}

#[cfg(test)]
mod tests {
    use till_sandbox::wit::types::Money;

    use super::*;

    fn snapshot(captured: (i64, &str), refunded: (i64, &str)) -> wit::Snapshot {
        let money = |(minor, currency): (i64, &str)| Money { minor, currency: currency.to_owned() };
        wit::Snapshot {
            state: wit::PaymentState::Captured,
            authorized: money(captured),
            captured: money(captured),
            refunded: money(refunded),
            voided: false,
            decline: None,
            action: None,
            expires_ms: None,
            references: vec![],
            gateway_state: None,
            attributes: vec![],
        }
    }

    fn record() -> AttemptRecord {
        serde_json::from_value(json!({
            "operation": "authorize", "state": "unknown", "amount": 4_711, "currency": "USD",
        }))
        .expect("a record")
    }

    #[test]
    fn as_much_of_another_currency_is_not_the_amount() {
        let money = |currency: &str| Money { minor: 4_711, currency: currency.to_owned() };
        assert!(exactly(&money("USD"), &record()));
        assert!(!exactly(&money("JPY"), &record()), "a hundredth of it");
    }

    #[test]
    fn what_is_given_back_is_what_was_taken_and_in_its_currency() {
        assert_eq!(still_taken(&snapshot((4_711, "USD"), (711, "USD")), "USD"), Ok(4_000));
        assert_eq!(still_taken(&snapshot((0, ""), (0, "")), "USD"), Ok(0), "nothing has no currency");
        assert!(still_taken(&snapshot((4_711, "JPY"), (0, "JPY")), "USD").is_err());
        assert_eq!(still_taken(&snapshot((i64::MAX, "USD"), (i64::MIN, "USD")), "USD"), Ok(i64::MAX));
    }

    #[test]
    fn the_authorization_in_force_is_captured_whatever_else_still_stands() {
        let stands = AttemptRecord { state: "authorized".to_owned(), ..record() };
        let mut payment = Payment::default();
        payment.attempts.insert("a".to_owned(), AttemptRecord { amount: 1, ..stands.clone() });
        payment.attempts.insert("b".to_owned(), stands);
        payment.in_force = Some("b".to_owned());
        assert_eq!(payment.authorized().map(|record| record.amount), Some(4_711));
        payment.attempts.get_mut("b").expect("it is there").state = "voided".to_owned();
        assert_eq!(payment.authorized(), None, "the other one is not taken in its place");
    }
}
