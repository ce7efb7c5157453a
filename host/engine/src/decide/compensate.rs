//! Input: a compensation was done, or has to be tried again.

use serde_json::{Value, json};

use super::fault::{backoff, set_parked};
use super::{Log, enter};
use crate::definition::Definition;
use crate::instance::{Instance, merge};
use crate::journal::Kind;
use crate::step::StepResult;

/// Tries of one compensation before a person is asked: with the pauses below about two hours.
pub const COMPENSATION_TRIES_MAX: u32 = 12;
/// Pause before the second try of a compensation.
const COMPENSATION_FIRST_US: i64 = 1_000_000;
/// Longest pause between two tries of a compensation.
const COMPENSATION_CAP_US: i64 = 30 * 60 * 1_000_000;

/// Records the outcome of the newest compensation: `done` pops it, anything else is tried again.
pub fn compensated(instance: &mut Instance, result: &StepResult, now_us: i64, log: &mut Log) {
    if result.outcome != "done" {
        let why =
            result.note.get("why").and_then(Value::as_str).unwrap_or("the answer was not `done`").to_owned();
        return retry_compensation(instance, &result.outcome, &why, now_us, log);
    }
    let Some(undo) = instance.control.undo.pop() else { return };
    merge(instance.context_mut(), &result.patch);
    let (attempt, key) = instance.control.intent.take().map_or((0, None), |i| (i.attempt, Some(i.key)));
    let mut body = json!({ "outcome": "done", "of": undo.state, "entry": undo.entry });
    for (name, value) in [("patch", &result.patch), ("note", &result.note)] {
        if !value.is_null() {
            body[name] = value.clone();
        }
    }
    log.push_keyed(instance, Kind::Compensated, &undo.step, attempt, key, body, now_us);
    log.events.extend(result.events.iter().cloned());
    instance.control.tries = 0;
    instance.control.due_us = 0;
}

/// A compensation did not work: it is tried again later under the same key, and parked when its tries
/// run out. It is never given up silently.
pub fn retry_compensation(instance: &mut Instance, code: &str, why: &str, now_us: i64, log: &mut Log) {
    let Some(undo) = instance.control.undo.last().cloned() else { return };
    let (attempt, key) = instance.control.intent.take().map_or((0, None), |i| (i.attempt, Some(i.key)));
    instance.control.tries += 1;
    let body = json!({ "outcome": code, "text": why, "of": undo.state, "entry": undo.entry, "tries": instance.control.tries });
    log.push_keyed(instance, Kind::Compensated, &undo.step, attempt, key, body, now_us);
    if instance.control.tries >= COMPENSATION_TRIES_MAX {
        let reason = format!(
            "`{}` (undo of `{}`) failed {} times: {code}: {why}",
            undo.step, undo.state, instance.control.tries
        );
        set_parked(instance, &reason);
        return;
    }
    let pause = backoff(COMPENSATION_FIRST_US, COMPENSATION_CAP_US, instance.control.tries);
    instance.control.due_us = now_us.saturating_add(pause);
}

/// Everything is undone: goes on to the state the file names.
pub fn undone(def: &Definition, instance: &mut Instance, now_us: i64, log: &mut Log) {
    match def.state(&instance.state).and_then(|s| s.then.clone()) {
        Some(then) => enter(def, instance, &then, false, now_us, log),
        None => super::park(instance, "undone, but the state names no `then`", now_us, log),
    }
}
