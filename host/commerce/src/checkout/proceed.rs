//! A buyer who is back from the provider: what they brought goes to the gateway, and the provider's ids of a payment
//! that waits for them are noted, so that a webhook finds its checkout by them.

use serde_json::{Value, json};
use till_engine::step::{StepCall, StepFault, StepResult};
use till_sandbox::wit::gateway as wit;
use till_store::Tx;

use super::context::{AttemptRecord, Payment, maybe, part};
use super::payment::{Said, attempt, exactly, left_alone};
use super::pricing::database;
use super::steps::CheckoutSteps;
use crate::settings::Settings;

/// Longest id of a provider by which a webhook can find a checkout.
const REFERENCE_CHARS_MAX: usize = 200;

impl CheckoutSteps {
    /// Hands what the buyer brought back to the gateway that asked for it, under the key of the payment.
    pub(super) async fn proceed(&self, call: &StepCall) -> Result<StepResult, StepFault> {
        let about = call.about.as_ref().filter(|about| about.key == call.key);
        let nothing = || StepFault::new("no-attempt", "there is no payment to go on with");
        let about = about.ok_or_else(nothing)?;
        let payment: Payment = maybe(call, "payment")?.unwrap_or_default();
        let settings: Settings = part(call, "settings")?;
        let record = payment.attempts.get(&about.key).ok_or_else(nothing)?.clone();
        let bound = self.gateway(call, &record.method, &record.binding, true).await?.0;
        let request = wit::ProceedRequest {
            attempt: attempt(call, &about.key, wit::Operation::Authorize, &record, Some(about.first_sent_us)),
            return_data: return_data(call),
        };
        let amount = request.attempt.amount.clone();
        let component = self.gateway_call(call, &bound, &settings).await?;
        let answer = self.sandbox().proceed(component, request).await;
        let said = match left_alone(&answer) {
            Some(why) => Said::Unknown(why),
            None => self.believed(call, &bound, answer, &amount).await,
        };
        let (said, state) = match said {
            Said::Succeeded(result) if record.at_once => {
                self.taken_or_reserved(call, &settings, &about.key, &record, result, about.first_sent_us)
                    .await
            }
            said => (said, "authorized"),
        };
        let mut result = self.outcome(call, &about.key, record, said, state, state)?;
        result.patch["brought"] = Value::Null; // It is in the journal, with the signal.
        Ok(result)
    }

    /// A success does not say what came of a payment that was to be taken at once: a component whose answer was lost may
    /// know no more how it was begun. So what stands is asked for.
    async fn taken_or_reserved(
        &self,
        call: &StepCall,
        settings: &Settings,
        key: &str,
        record: &AttemptRecord,
        result: wit::PaymentResult,
        first_sent_us: i64,
    ) -> (Said, &'static str) {
        let found = self.ask(call, settings, key, record, Some(first_sent_us)).await;
        match found {
            Ok(wit::FindOutcome::Found(s))
                if s.state == wit::PaymentState::Captured && exactly(&s.captured, record) =>
            {
                (Said::Succeeded(result), "captured")
            }
            Ok(wit::FindOutcome::Found(s))
                if s.state == wit::PaymentState::Authorized && exactly(&s.authorized, record) =>
            {
                (Said::Succeeded(result), "authorized")
            }
            _ => (Said::Unknown("it is not known whether the money was taken".to_owned()), "authorized"),
        }
    }

    /// Notes the provider's ids of the payment that now waits for the buyer.
    pub(super) async fn remember(tx: &mut Tx, call: &StepCall) -> Result<StepResult, StepFault> {
        let payment: Payment = maybe(call, "payment")?.unwrap_or_default();
        let about = call.about.as_ref().and_then(|about| payment.attempts.get(&about.key));
        let references = about.map(|record| record.references.as_slice()).unwrap_or_default();
        let uid = call.uid.parse().map_err(|e| StepFault::new("uid", format!("{}: {e}", call.uid)))?;
        for (kind, value) in references {
            if kind.chars().count() + value.chars().count() <= REFERENCE_CHARS_MAX {
                tx.note_payment_reference(&call.merchant, kind, value, uid).await.map_err(database)?;
            }
        }
        Ok(StepResult::outcome("noted").note(json!({ "references": references })))
    }
}

/// Fields of the return, as the buyer's client sent them.
fn return_data(call: &StepCall) -> Vec<(String, String)> {
    let fields = call.context.get("brought").and_then(|b| b.get("fields")).and_then(Value::as_object);
    let text = |(name, value): (&String, &Value)| Some((name.clone(), value.as_str()?.to_owned()));
    fields.into_iter().flatten().filter_map(text).collect()
}
