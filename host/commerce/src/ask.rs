//! Asks the components of a checkout, stage by stage: the one way from a binding to a changed quote.
//!
//! Used by the steps of a checkout, by shadows, by backtests and by the recording of fixtures, so that all of them
//! ask the same question and judge the answer by the same promises. A binding that fails is treated by its failure
//! policy here and nowhere else.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex};

use serde::Serialize;
use serde_json::{Value, json};
use till_engine::step::StepFault;
use till_registry::{Bound, Ended, FailurePolicy, Registry};
use till_sandbox::wit::shipping::RateResult;
use till_sandbox::wit::types::{CallContext, ComponentError};
use till_sandbox::{Answer, Call, Failure, Report, Sandbox, Slot};

use crate::quote::{
    BrokenPromise, Component, Inputs, Quote, Stage, points, price, promotions, shipping, tax, total,
};
use crate::settings::Settings;

/// Characters of the notes of the journal that a guest's words may fill.
const WORDS_MAX: usize = 2_000;

/// The bindings that price a checkout, by slot, each slot in the order of its names.
pub type Lineup = BTreeMap<Slot, Vec<Arc<Bound>>>;

/// One question to a component and its answer, as a fixture keeps it.
#[derive(Debug, Clone, Serialize)]
pub struct Asked {
    /// Slot.
    pub slot: Slot,
    /// Name within the slot.
    pub name: String,
    /// Digest of the binding.
    pub binding: String,
    /// Digest of the component.
    pub component: String,
    /// What every function gets first, without the configuration.
    pub context: Value,
    /// The configuration.
    pub config: Value,
    /// The request, a record of the contract.
    pub request: Value,
    /// `{"ok": …}`, `{"error": …}` or `{"failure": kind}`.
    pub answer: Value,
}

/// Keeps what is asked.
#[derive(Default)]
pub struct Tap(Mutex<Vec<Asked>>);

impl Tap {
    /// All that was asked, in order.
    pub fn take(&self) -> Vec<Asked> {
        std::mem::take(&mut *self.0.lock().expect("no holder panics"))
    }
}

/// Asks components in the name of one checkout.
pub struct Asker<'a> {
    /// Runs the components.
    pub sandbox: &'a Sandbox,
    /// Counts what components on trial do. None: nobody counts.
    pub registry: Option<&'a Registry>,
    /// What every call is told, but for step and configuration.
    pub context: CallContext,
    /// Nobody waits for the answers.
    pub background: bool,
    /// Keeps what is asked.
    pub tap: Option<&'a Tap>,
}

/// The context of calls in the name of a checkout.
pub fn context(merchant: &str, instance: &str, settings: &Settings, now_ms: u64) -> CallContext {
    CallContext {
        merchant: merchant.to_owned(),
        channel: settings.channel.clone(),
        locale: settings.locale.clone(),
        currency: settings.currency.code().to_owned(),
        exponent: settings.currency.exponent(),
        now_ms,
        instance: instance.to_owned(),
        step: String::new(),
        entry: 1,
        attempt: 1,
        test_mode: false,
        config: String::new(),
        attributes: vec![],
    }
}

/// The slot that a stage asks, and the step it is part of. None: the host does it alone.
fn asks(stage: Stage) -> Option<(Slot, &'static str)> {
    match stage {
        Stage::Price => Some((Slot::Pricing, "pricing.quote")),
        Stage::Promotions => Some((Slot::Promotion, "promotion.apply")),
        Stage::Shipping => Some((Slot::Shipping, "shipping.rates")),
        Stage::Tax => Some((Slot::Tax, "tax.quote")),
        Stage::Points | Stage::Total => None,
    }
}

/// A stage in progress: the quote so far, and what is only known together at its end.
struct Progress {
    quote: Quote,
    rates: Vec<(Component, RateResult)>,
    notes: Vec<Value>,
    omitted: Vec<(Component, String)>,
    fell_back: Vec<(Component, String)>,
}

fn broken(error: &BrokenPromise) -> StepFault {
    StepFault::new("broken-promise", error.to_string())
}

pub(crate) fn by(bound: &Bound) -> Component {
    Component { name: bound.component.info.name.clone(), digest: bound.digest.clone() }
}

pub(crate) fn cut(text: &str) -> String {
    text.chars().take(WORDS_MAX).collect()
}

impl Asker<'_> {
    /// Prices inputs from the first stage to the last.
    ///
    /// # Errors
    /// The fault of the first binding that fails with the policy `refuse`, or a broken promise.
    pub async fn quote(
        &self,
        lineup: &Lineup,
        settings: &Settings,
        inputs: &Inputs,
    ) -> Result<Quote, StepFault> {
        self.go_on(Stage::Price, lineup, inputs, Quote::new(settings, inputs)).await
    }

    /// Prices on from a stage, over a quote in which the stages before it are done.
    ///
    /// # Errors
    /// As [`Asker::quote`].
    pub async fn go_on(
        &self,
        from: Stage,
        lineup: &Lineup,
        inputs: &Inputs,
        mut quote: Quote,
    ) -> Result<Quote, StepFault> {
        let all = [Stage::Price, Stage::Promotions, Stage::Points, Stage::Shipping, Stage::Tax, Stage::Total];
        for stage in all.into_iter().filter(|stage| *stage >= from) {
            let bound = asks(stage).and_then(|(slot, _)| lineup.get(&slot)).map_or(&[][..], Vec::as_slice);
            quote = self.stage(stage, bound, inputs, quote).await?.0;
        }
        Ok(quote)
    }

    /// Runs one stage. Also gives notes for the journal, one for each component asked.
    ///
    /// # Errors
    /// As [`Asker::quote`].
    pub async fn stage(
        &self,
        stage: Stage,
        bound: &[Arc<Bound>],
        inputs: &Inputs,
        quote: Quote,
    ) -> Result<(Quote, Vec<Value>), StepFault> {
        let quote = match stage {
            Stage::Price if bound.is_empty() => price::catalog(inputs, quote).map_err(|e| broken(&e))?,
            Stage::Price => quote,
            Stage::Promotions => promotions::begin(inputs, quote).map_err(|e| broken(&e))?,
            Stage::Points => points::apply(inputs, quote).map_err(|e| broken(&e))?,
            Stage::Shipping => shipping::skip(inputs, quote),
            Stage::Tax => tax::skip(quote),
            Stage::Total => {
                let quote = total::apply(inputs, quote).map_err(|e| broken(&e))?;
                total::audit(&quote).map_err(|e| broken(&e))?;
                quote
            }
        };
        let mut progress =
            Progress { quote, rates: vec![], notes: vec![], omitted: vec![], fell_back: vec![] };
        if asks(stage).is_none() || (stage == Stage::Shipping && !shipping::needed(inputs, &progress.quote)) {
            return Ok((progress.quote, progress.notes));
        }
        for bound in bound {
            self.by_policy(stage, bound, inputs, &mut progress).await?;
        }
        let Progress { mut quote, notes, omitted, fell_back, .. } = progress;
        for (component, why) in &omitted {
            quote.note_omitted(stage, component, why);
        }
        for (component, why) in &fell_back {
            quote.note_fell_back(stage, component, why);
        }
        Ok((quote, notes))
    }

    async fn by_policy(
        &self,
        stage: Stage,
        bound: &Arc<Bound>,
        inputs: &Inputs,
        progress: &mut Progress,
    ) -> Result<(), StepFault> {
        let Err(fault) = self.ask(stage, bound, inputs, progress).await else { return Ok(()) };
        let (merchant, why) = (&self.context.merchant, fault.to_string());
        match (bound.policy, &bound.fallback) {
            (FailurePolicy::Fallback, Some(other)) => {
                tracing::warn!(merchant, binding = %bound.digest, %fault, "fall back from a component");
                progress.notes.push(json!({ "binding": bound.digest, "fell_back": why }));
                self.ask(stage, other, inputs, progress).await?;
                progress.fell_back.push((by(bound), why));
            }
            (FailurePolicy::Omit, _) => {
                tracing::warn!(merchant, binding = %bound.digest, %fault, "omit a component");
                progress.notes.push(json!({ "binding": bound.digest, "omitted": why }));
                if stage == Stage::Price {
                    let quote = progress.quote.clone();
                    progress.quote = price::catalog(inputs, quote).map_err(|e| broken(&e))?;
                }
                progress.omitted.push((by(bound), why));
            }
            _ => return Err(fault),
        }
        Ok(())
    }

    /// Asks one component and judges its answer.
    async fn ask(
        &self,
        stage: Stage,
        bound: &Arc<Bound>,
        inputs: &Inputs,
        progress: &mut Progress,
    ) -> Result<(), StepFault> {
        let Some((_, step)) = asks(stage) else { return Ok(()) };
        let call = self.call(bound, step);
        let quote = &progress.quote;
        let (made, note, ended) = match stage {
            Stage::Price => {
                let request = price::build_request(inputs, quote);
                let seen = self.seen(bound, &call, &request);
                let answer = self.sandbox.price(call, request).await;
                self.judge(bound, seen, answer, |result| {
                    price::apply_result(inputs, quote.clone(), &by(bound), &result)
                })
            }
            Stage::Promotions => {
                let request = promotions::build_request(inputs, quote).map_err(|e| broken(&e))?;
                let seen = self.seen(bound, &call, &request);
                let answer = self.sandbox.promote(call, request).await;
                self.judge(bound, seen, answer, |result| {
                    promotions::apply_result(inputs, quote.clone(), &by(bound), &result)
                })
            }
            Stage::Shipping => {
                let request = shipping::build_request(inputs, quote).map_err(|e| broken(&e))?;
                let seen = self.seen(bound, &call, &request);
                let answer = self.sandbox.rates(call, request).await;
                let mut rates = progress.rates.clone();
                let judged = self.judge(bound, seen, answer, |result| {
                    rates.push((by(bound), result));
                    shipping::apply_results(inputs, quote.clone(), &rates)
                });
                if judged.0.is_ok() {
                    progress.rates = rates;
                }
                judged
            }
            Stage::Tax => {
                let request = tax::build_request(inputs, quote);
                let seen = self.seen(bound, &call, &request);
                let answer = self.sandbox.tax(call, request).await;
                self.judge(bound, seen, answer, |result| {
                    tax::apply_result(inputs, quote.clone(), &by(bound), &result)
                })
            }
            Stage::Points | Stage::Total => return Ok(()),
        };
        if let (Some(registry), Some(ended)) = (self.registry, ended) {
            let ended = Ended { failed: made.is_err(), ..ended };
            let slot = bound.component.slot;
            registry.count_call(&self.context.merchant, slot, &bound.name, &bound.digest, ended).await;
        }
        progress.quote = made?;
        progress.notes.push(note);
        Ok(())
    }

    fn call(&self, bound: &Bound, step: &str) -> Call {
        let mut ctx = self.context.clone();
        step.clone_into(&mut ctx.step);
        ctx.config.clone_from(&bound.config);
        Call {
            component: bound.component.clone(),
            ctx,
            binding: bound.binding.clone(),
            limits: bound.limits,
            background: self.background,
            breaker: None,
        }
    }

    /// The question as a fixture keeps it, when somebody wants to keep it.
    fn seen(&self, bound: &Bound, call: &Call, request: &impl Serialize) -> Option<Asked> {
        self.tap?;
        let mut context = serde_json::to_value(&call.ctx).unwrap_or_default();
        if let Some(fields) = context.as_object_mut() {
            fields.remove("config");
        }
        Some(Asked {
            slot: bound.component.slot,
            name: bound.name.clone(),
            binding: bound.digest.clone(),
            component: bound.component.digest.to_string(),
            context,
            config: serde_json::from_str(&bound.config).unwrap_or_default(),
            request: serde_json::to_value(request).unwrap_or_default(),
            answer: Value::Null,
        })
    }

    /// The quote that an answer makes, or the fault that names the component, the limit and the guest's words.
    /// Also gives a note for the journal and how the call ended.
    fn judge<T: Serialize>(
        &self,
        bound: &Bound,
        seen: Option<Asked>,
        answer: Result<Answer<T>, Failure>,
        apply: impl FnOnce(T) -> Result<Quote, BrokenPromise>,
    ) -> (Result<Quote, StepFault>, Value, Option<Ended>) {
        if let (Some(tap), Some(asked)) = (self.tap, seen) {
            let answer = match &answer {
                Ok(Answer { value: Ok(value), .. }) => json!({ "ok": value }),
                Ok(Answer { value: Err(error), .. }) => json!({ "error": error }),
                Err(failure) => json!({ "failure": failure.to_string() }),
            };
            tap.0.lock().expect("no holder panics").push(Asked { answer, ..asked });
        }
        let (name, ended) = (&bound.component.info.name, ended(&answer));
        match answer {
            Ok(Answer { value: Ok(value), report }) => {
                (apply(value).map_err(|e| broken(&e)), note(bound, &report), ended)
            }
            Ok(Answer { value: Err(error), .. }) => {
                let (code, detail) = match error {
                    ComponentError::InvalidConfig(d) => ("invalid-config", d),
                    ComponentError::InvalidInput(d) => ("invalid-input", d),
                    ComponentError::Unavailable(d) => ("unavailable", d),
                    ComponentError::Internal(d) => ("internal", d),
                };
                let fault = StepFault::new(code, cut(&format!("{name}: {}: {}", detail.code, detail.text)));
                (Err(fault), Value::Null, ended)
            }
            Err(failure) => {
                let fault = StepFault::new("component-failed", cut(&format!("{name}: {failure}")));
                (Err(fault), Value::Null, ended)
            }
        }
    }
}

/// How a call ended, for whoever counts calls of components on trial. None: the host's own trouble, which is neither
/// a failure nor a success of the component.
pub(crate) fn ended<T>(answer: &Result<Answer<T>, Failure>) -> Option<Ended> {
    let (failed, report) = match answer {
        Ok(Answer { value, report }) => (value.is_err(), report),
        Err(failure) if failure.kind.is_the_hosts() => return None,
        Err(failure) => (true, &*failure.report),
    };
    Some(Ended { failed, elapsed_us: report.elapsed_us })
}

fn note(bound: &Bound, report: &Report) -> Value {
    json!({
        "binding": bound.digest,
        "component": bound.component.digest.to_string(),
        "fuel": report.fuel_used,
        "memory": report.memory_peak_bytes,
    })
}

#[cfg(test)]
mod tests {
    use till_sandbox::FailureKind;

    use super::*;

    #[test]
    fn trouble_of_the_host_is_no_call_of_the_component() {
        let failed =
            |kind| -> Result<Answer<()>, Failure> { Err(Failure { kind, at: None, report: Box::default() }) };
        let busy = FailureKind::Busy { what: "4096 calls of the merchant are waiting".to_owned() };
        assert_eq!(ended(&failed(busy)), None);
        assert_eq!(ended(&failed(FailureKind::Host { message: "no thread".to_owned() })), None);
        let own = ended(&failed(FailureKind::OutOfFuel { limit: 1, used: 1 }));
        assert_eq!(own, Some(Ended { failed: true, elapsed_us: 0 }));
        let fine = Ok(Answer { value: Ok(()), report: Report { elapsed_us: 7, ..Report::default() } });
        assert_eq!(ended(&fine), Some(Ended { failed: false, elapsed_us: 7 }));
    }
}
