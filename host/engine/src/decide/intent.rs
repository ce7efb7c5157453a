//! An external call is about to be sent, or was sent by a process that is gone.

use serde_json::json;

use super::{Log, compensate, step_done};
use crate::definition::{Class, Definition};
use crate::instance::{Asked, Instance, Intent, SEND_WINDOW_US, Status};
use crate::journal::Kind;
use crate::step::{StepResult, TookEffect};

/// Records the intent to run the external `step` of the current state, or of the newest compensation.
/// Must be committed before anything is sent. A state that `continues` sends for the effect before it.
pub fn intent(
    def: &Definition,
    instance: &mut Instance,
    step: &str,
    undoing: bool,
    now_us: i64,
    log: &mut Log,
) {
    let continues = def.state(&instance.state).is_some_and(|s| s.continues);
    let before = instance.control.asked.as_ref().filter(|_| continues);
    let (state, entry) = match (instance.control.undo.last().filter(|_| undoing), before) {
        (Some(undo), _) => (undo.state.clone(), undo.entry),
        (None, Some(asked)) => (asked.state.clone(), asked.entry),
        (None, None) => (instance.state.clone(), instance.entry(&instance.state)),
    };
    let key = instance.key(&state, entry, undoing);
    // Never reset, not by an operator's retry either: (key, attempt) names a send for good.
    let counter = if undoing { format!("undo:{state}#{entry}") } else { state.clone() };
    let sends = instance.control.sends.entry(counter).or_insert(0);
    *sends += 1;
    let attempt = *sends;
    if !undoing {
        let first_sent_us = match &instance.control.asked {
            Some(asked) if asked.key == key => asked.first_sent_us,
            _ => now_us,
        };
        instance.control.asked = Some(Asked { state: state.clone(), entry, key: key.clone(), first_sent_us });
    }
    let body = json!({ "of": state, "entry": entry, "undoing": undoing });
    log.push_keyed(instance, Kind::Intent, step, attempt, Some(key.clone()), body, now_us);
    instance.control.intent = Some(Intent {
        step: step.to_owned(),
        state,
        entry,
        key,
        attempt,
        send_before_us: now_us.saturating_add(SEND_WINDOW_US),
        undoing,
    });
}

/// The call of a committed intent was lost with its process: whether it was sent cannot be known.
/// Forward it is `unknown`; a compensation is tried again, and asks before it sends.
pub fn lost(def: &Definition, instance: &mut Instance, now_us: i64, log: &mut Log) {
    if instance.status == Status::Compensating {
        let why = "the process ended while the call was in the air";
        compensate::retry_compensation(instance, "lost", why, now_us, log);
        return;
    }
    let result = StepResult::outcome("unknown")
        .effect(TookEffect::Unknown)
        .note(json!({ "why": "the process ended while the call was in the air" }));
    step_done(def, instance, Class::External, &result, now_us, log);
}
