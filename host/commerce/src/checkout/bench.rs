//! Steps of `workflows/bench-8.yaml`: the shape of a checkout with native steps and an in-process
//! external effect, so that the runtime alone is measured.

use serde_json::{Value, json};
use till_engine::step::{Class, StepCall, StepFault, StepInterface, StepResult, TookEffect};
use till_store::Tx;

/// About the size of what a real step leaves in the journal, in bytes.
const RESULT_BYTES: usize = 300;

/// Interfaces of the steps, by name.
pub fn interface(step: &str) -> Option<StepInterface> {
    let of = |class, outcomes: &[&str]| Some(StepInterface::new(step, class, outcomes));
    match step.strip_prefix("bench.")? {
        "validate" | "price" | "promote" => of(Class::Pure, &["ok"]),
        "reserve" | "order" | "notify" => of(Class::Transactional, &["ok"]),
        "release" | "cancel" => of(Class::Transactional, &["done"]),
        "authorize" | "capture" => of(Class::External, &["ok", "unknown"]),
        "void" => of(Class::External, &["done"]),
        "find" => of(Class::ExternalRead, &["ok", "unknown"]),
        _ => None,
    }
}

/// Runs a step without a transaction.
pub fn run(call: &StepCall) -> Result<StepResult, StepFault> {
    Ok(match call.step.as_str() {
        "bench.authorize" | "bench.capture" | "bench.find" => {
            StepResult::outcome("ok").effect(TookEffect::Yes).patch(result(call))
        }
        "bench.void" => StepResult::outcome("done"),
        _ => StepResult::outcome("ok").patch(result(call)),
    })
}

/// Runs a transactional step.
pub async fn run_in(tx: &mut Tx, call: &StepCall) -> Result<StepResult, StepFault> {
    let broken = |error: till_store::Error| StepFault::Database(error.to_string());
    Ok(match call.step.as_str() {
        "bench.reserve" => {
            tx.remember(
                &call.merchant,
                "bench",
                "reserve",
                &call.key,
                &till_store::tables::command::CommandRow { hash: String::new(), pointer: call.uid.clone() },
                call.now_us,
            )
            .await
            .map_err(broken)?;
            StepResult::outcome("ok").effect(TookEffect::Yes).patch(result(call))
        }
        "bench.notify" => {
            StepResult::outcome("ok").event("bench.done", json!({ "id": call.id })).patch(result(call))
        }
        "bench.release" | "bench.cancel" => StepResult::outcome("done"),
        _ => StepResult::outcome("ok").effect(TookEffect::Yes).patch(result(call)),
    })
}

fn result(call: &StepCall) -> Value {
    let mut patch = json!({});
    patch[&call.state] = json!({ "reference": call.key, "filler": "x".repeat(RESULT_BYTES - 60) });
    patch
}
