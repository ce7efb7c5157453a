//! Input: a step could not be run.

use serde_json::json;

use super::{Log, enter};
use crate::definition::Definition;
use crate::instance::{Instance, Status};
use crate::journal::Kind;

/// A trap, a limit, a broken promise: never an outcome. The state's `fault` target, or a person, decides.
///
/// The fault is put into `context.fault` so that whoever shows the instance can tell why.
pub fn fault(
    def: &Definition,
    instance: &mut Instance,
    step: &str,
    code: &str,
    text: &str,
    now_us: i64,
    log: &mut Log,
) {
    instance.control.intent = None;
    let patch = json!({ "fault": { "state": instance.state, "step": step, "code": code, "text": text } });
    crate::instance::merge(instance.context_mut(), &patch);
    log.push(instance, Kind::Fault, step, json!({ "code": code, "text": text, "patch": patch }), now_us);
    let target = def.state(&instance.state).and_then(|s| s.fault.clone());
    match target.filter(|_| instance.status != Status::Compensating) {
        Some(target) => enter(def, instance, &target, false, now_us, log),
        None => set_parked(instance, &format!("`{step}` could not run: {code}: {text}")),
    }
}

/// A call was refused before anything was sent: it is tried again by the state's `retry`, else it is a
/// fault. Reads and asks wait for their next turn.
pub fn not_sent(
    def: &Definition,
    instance: &mut Instance,
    step: &str,
    code: &str,
    text: &str,
    now_us: i64,
    log: &mut Log,
) {
    instance.control.intent = None;
    let state = def.state(&instance.state);
    if let Some(ask) = state.and_then(|s| s.ask.as_ref()) {
        instance.control.asks += 1;
        let pause = ask.after.get(instance.control.asks as usize).unwrap_or(&ask.then);
        instance.control.due_us = now_us.saturating_add(def.micros(pause));
        log.push(instance, Kind::Fault, step, json!({ "code": code, "text": text, "again": true }), now_us);
        return;
    }
    instance.control.tries += 1;
    if let Some(retry) = state.and_then(|s| s.retry.as_ref()).filter(|r| instance.control.tries < r.max) {
        let pause = backoff(def.micros(&retry.first), def.micros(&retry.cap), instance.control.tries);
        instance.control.due_us = now_us.saturating_add(pause);
        log.push(instance, Kind::Fault, step, json!({ "code": code, "text": text, "again": true }), now_us);
        return;
    }
    fault(def, instance, step, code, text, now_us, log);
}

/// Parks the instance for a person, with a reason.
pub fn park(instance: &mut Instance, reason: &str, now_us: i64, log: &mut Log) {
    instance.control.intent = None;
    log.push(instance, Kind::Fault, "", json!({ "code": "parked", "text": reason }), now_us);
    set_parked(instance, reason);
}

pub(super) fn set_parked(instance: &mut Instance, reason: &str) {
    instance.status = Status::Parked;
    instance.control.timers.clear();
    instance.control.attention = Some(reason.to_owned());
}

/// Pause before try `tries + 1`: `first`, doubled each time, at most `cap`.
pub(super) fn backoff(first: i64, cap: i64, tries: u32) -> i64 {
    let doubled = 1_i64.checked_shl(tries.saturating_sub(1)).unwrap_or(i64::MAX);
    first.saturating_mul(doubled).min(cap).max(0)
}
