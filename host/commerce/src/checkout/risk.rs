//! Steps that judge a payment before anything is held or money moves.
//!
//! Only where a component is bound for it: without one a checkout goes from `check` to `hold` as it is. What the
//! shopper did lately is counted by a read step, so that the judgement itself can be run again with the same answer.
//! Reasons are the merchant's: they are in the journal, never in what the shopper is told.

use std::sync::Arc;

use serde::{Deserialize, Serialize};
use serde_json::{Value, json};
use till_engine::step::{StepCall, StepFault, StepResult};
use till_registry::{Bound, Ended, FailurePolicy};
use till_sandbox::wit::risk as wit;
use till_sandbox::wit::types::CallContext;
use till_sandbox::{Answer, Call, Slot};

use super::context::{Payment, json as to_json, maybe, part};
use super::payment::words;
use super::pricing::database;
use super::steps::CheckoutSteps;
use crate::ask::{self, cut};
use crate::catalog;
use crate::quote::{Inputs, Quote};
use crate::settings::Settings;

const HOUR_US: i64 = 3_600_000_000;
const DAY_US: i64 = 24 * HOUR_US;
/// Highest score of the contract.
const SCORE_MAX: u32 = 1_000;

/// What was counted before a payment is judged.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
struct Before {
    email: String,
    orders: u32,
    spent: i64,
    first_order_ms: Option<u64>,
    orders_1h: u32,
    orders_24h: u32,
    declined_24h: u32,
    declined_here: u32,
}

fn small(count: i64) -> u32 {
    u32::try_from(count.max(0)).unwrap_or(u32::MAX)
}

impl CheckoutSteps {
    /// Counts what the shopper did lately.
    pub(super) async fn look_back(&self, call: &StepCall) -> Result<StepResult, StepFault> {
        let inputs: Inputs = part(call, "snapshot")?;
        let payment: Payment = maybe(call, "payment")?.unwrap_or_default();
        let customer = inputs.customer.clone().unwrap_or_default().id;
        let mut tx = self.store.read().await.map_err(database)?;
        let (saved, ..) = catalog::customer(&mut tx, &call.merchant, &customer).await.map_err(database)?;
        let values = tx.customer_value(&call.merchant, &customer).await.map_err(database)?;
        let since = |span: i64| call.now_us.saturating_sub(span);
        let hour = tx.begun_orders(&call.merchant, &customer, since(HOUR_US)).await.map_err(database)?;
        let day = tx.begun_orders(&call.merchant, &customer, since(DAY_US)).await.map_err(database)?;
        let own = values.iter().find(|value| value.currency == inputs.currency.code());
        let first_us = values.iter().map(|value| value.first_us).min();
        let before = Before {
            email: saved.email,
            orders: small(values.iter().map(|value| value.orders).sum()),
            spent: own.map_or(0, |value| value.spent),
            first_order_ms: first_us.and_then(|us| u64::try_from(us / 1000).ok()),
            orders_1h: small(hour.begun),
            orders_24h: small(day.begun),
            declined_24h: small(day.failed),
            declined_here: small(
                i64::try_from(payment.attempts.values().filter(|a| a.state == "declined").count())
                    .unwrap_or(i64::MAX),
            ),
        };
        Ok(StepResult::outcome("ok").patch(json!({ "risk": { "before": to_json(&before)? } })))
    }

    /// Asks every component that is bound for it. The gravest word counts.
    pub(super) async fn assess(&self, call: &StepCall) -> Result<StepResult, StepFault> {
        let request = request(call)?;
        let (bound, mut notes) = self.pinned(call, Slot::Risk).await?;
        let mut gravest = wit::Decision::Approve;
        for bound in &bound {
            let result = match self.judged(call, bound, &request).await {
                Ok(result) => result,
                Err(fault) => match (bound.policy, &bound.fallback) {
                    (FailurePolicy::Fallback, Some(other)) => {
                        notes.push(json!({ "binding": bound.digest, "fell_back": fault.to_string() }));
                        self.judged(call, other, &request).await?
                    }
                    (FailurePolicy::Omit, _) => {
                        notes.push(json!({ "binding": bound.digest, "omitted": fault.to_string() }));
                        continue;
                    }
                    _ => return Err(fault),
                },
            };
            let reasons: Vec<Value> = result
                .reasons
                .iter()
                .map(|reason| json!({ "code": reason.code, "text": cut(&reason.text) }))
                .collect();
            notes.push(json!({
                "binding": bound.digest, "decision": name(result.decision), "score": result.score, "reasons": reasons,
            }));
            if grave(result.decision) > grave(gravest) {
                gravest = result.decision;
            }
        }
        let mut made = StepResult::outcome(name(gravest)).note(json!({ "risk": notes }));
        if gravest == wit::Decision::Deny {
            made = made.patch(denied(call));
        }
        Ok(made)
    }

    /// Gives the session back to the shopper: a component failed, or a person said no, or nobody said anything. The
    /// submit is over either way, so that an edit does not go on with it.
    pub(super) fn reopen(call: &StepCall) -> StepResult {
        let failed = call.context.get("fault").is_some_and(|fault| !fault.is_null());
        let patch = if failed { json!({ "submit": null }) } else { denied(call) };
        StepResult::outcome("ok").patch(patch)
    }

    async fn judged(
        &self,
        call: &StepCall,
        bound: &Arc<Bound>,
        request: &wit::RiskRequest,
    ) -> Result<wit::RiskResult, StepFault> {
        let inputs: Inputs = part(call, "snapshot")?;
        let settings: Settings = part(call, "settings")?;
        let asked = Call {
            component: bound.component.clone(),
            ctx: CallContext {
                step: call.step.clone(),
                entry: call.entry,
                attempt: call.attempt,
                config: bound.config.clone(),
                ..ask::context(&call.merchant, &call.uid, &settings, inputs.now_ms)
            },
            binding: bound.binding.clone(),
            limits: bound.limits,
            background: false,
            breaker: None,
        };
        let answer = self.sandbox().assess(asked, request.clone()).await;
        let ended = ask::ended(&answer);
        let title = &bound.component.info.name;
        let made = match answer {
            Ok(Answer { value: Ok(result), .. }) => match broken(&result) {
                None => Ok(result),
                Some(why) => Err(StepFault::new("broken-promise", format!("{title}: {why}"))),
            },
            Ok(Answer { value: Err(error), .. }) => {
                Err(StepFault::new("component-failed", cut(&format!("{title}: {}", words(&error)))))
            }
            Err(failure) => Err(StepFault::new("component-failed", cut(&format!("{title}: {failure}")))),
        };
        if let Some(ended) = ended {
            let ended = Ended { failed: made.is_err(), ..ended };
            self.registry.count_call(&call.merchant, Slot::Risk, &bound.name, &bound.digest, ended).await;
        }
        made
    }
}

fn request(call: &StepCall) -> Result<wit::RiskRequest, StepFault> {
    #[derive(Deserialize)]
    struct Part {
        before: Before,
    }
    let Part { before } = part(call, "risk")?;
    let inputs: Inputs = part(call, "snapshot")?;
    let quote: Quote = part(call, "quote")?;
    let total = quote.total().ok_or_else(|| StepFault::new("no-totals", "the quote has no totals"))?;
    let (kind, brand, last4) = inputs
        .payment_method
        .as_ref()
        .map(|m| (&m.kind, &m.brand, &m.last4))
        .map_or_else(Default::default, |(kind, brand, last4)| (kind.clone(), brand.clone(), last4.clone()));
    Ok(wit::RiskRequest {
        cart: inputs.to_wit(Some(&quote)),
        total: total.minor(),
        shipping: inputs.shipping_address.as_ref().map(|a| a.to_wit()),
        billing: inputs.billing_address.as_ref().map(|a| a.to_wit()),
        email: before.email,
        ip: String::new(),
        method_kind: kind,
        method_brand: brand,
        method_last4: last4,
        history: wit::History {
            orders: before.orders,
            spent: before.spent,
            first_order_ms: before.first_order_ms,
            orders_1h: before.orders_1h,
            orders_24h: before.orders_24h,
            declined_24h: before.declined_24h,
            declined_here: before.declined_here,
        },
        attributes: vec![],
    })
}

/// What the shopper is told: nothing of the rules.
fn denied(call: &StepCall) -> Value {
    let hash = call.context.get("submit").and_then(|s| s.get("hash")).cloned().unwrap_or(Value::Null);
    json!({ "problem": { "code": "payment-denied", "hash": hash }, "submit": null })
}

/// The rule of the contract that an answer breaks.
fn broken(result: &wit::RiskResult) -> Option<String> {
    if result.score > SCORE_MAX {
        return Some(format!("a score of {} where {SCORE_MAX} is the highest", result.score));
    }
    let unfounded = result.decision != wit::Decision::Approve && result.reasons.is_empty();
    unfounded.then(|| format!("`{}` without a reason", name(result.decision)))
}

fn name(decision: wit::Decision) -> &'static str {
    match decision {
        wit::Decision::Approve => "approve",
        wit::Decision::Review => "review",
        wit::Decision::Deny => "deny",
    }
}

fn grave(decision: wit::Decision) -> u8 {
    match decision {
        wit::Decision::Approve => 0,
        wit::Decision::Review => 1,
        wit::Decision::Deny => 2,
    }
}
