//! Input: a step gave an outcome.

use serde_json::{Map, Value, json};

use super::{Log, enter, park, pick};
use crate::definition::{AGAIN, Class, Definition, MoneyMove};
use crate::instance::{Instance, Undo, merge};
use crate::journal::Kind;
use crate::step::{StepResult, TookEffect};

/// Records the outcome of the current state's step and goes where the file routes it.
pub fn step_done(
    def: &Definition,
    instance: &mut Instance,
    class: Class,
    result: &StepResult,
    now_us: i64,
    log: &mut Log,
) {
    let Some(state) = def.state(&instance.state) else {
        return park(instance, "the definition lost its state", now_us, log);
    };
    let step = state.invoke.clone().unwrap_or_default();
    let intent = instance.control.intent.take();
    merge(instance.context_mut(), &result.patch);
    let target = state.outcomes.get(&result.outcome).and_then(|t| pick(def, instance, t));
    let mut body = Map::new();
    body.insert("outcome".into(), json!(result.outcome));
    if let Some(target) = target {
        body.insert("to".into(), json!(target.target));
    }
    for (name, value) in [("patch", &result.patch), ("note", &result.note)] {
        if !value.is_null() {
            body.insert(name.into(), value.clone());
        }
    }
    if result.took_effect != TookEffect::No {
        body.insert("took_effect".into(), json!(result.took_effect));
    }
    let kind = if class == Class::External { Kind::Outcome } else { Kind::Step };
    let (attempt, key) = intent.map_or((0, None), |i| (i.attempt, Some(i.key)));
    log.push_keyed(instance, kind, &step, attempt, key, Value::Object(body), now_us);
    log.events.extend(result.events.iter().cloned());
    remember_effect(def, instance, result);
    match target {
        None => park(
            instance,
            &format!("`{step}` gave the outcome `{}`, which is not routed", result.outcome),
            now_us,
            log,
        ),
        Some(t) if t.target == AGAIN => ask_again(def, instance, now_us),
        Some(t) => enter(def, instance, t.target, t.key_same, now_us, log),
    }
}

/// A transactional step refused. The writes of its segment are rolled back and `instance` is as it was
/// before them; only the refusal is kept, and the file routes it from the state that refused.
pub fn refused(
    def: &Definition,
    instance: &mut Instance,
    state: &str,
    result: &StepResult,
    now_us: i64,
    log: &mut Log,
) {
    if instance.state != state {
        let entry = instance.entry(state);
        instance.control.entries.insert(state.to_owned(), entry + 1);
        state.clone_into(&mut instance.state);
    }
    step_done(def, instance, Class::Transactional, result, now_us, log);
}

/// An effect in force goes on the undo stack: under the state that caused it, also when it was an ask
/// that found it, or a state that went on with it.
fn remember_effect(def: &Definition, instance: &mut Instance, result: &StepResult) {
    if !matches!(result.took_effect, TookEffect::Yes | TookEffect::Open) {
        return;
    }
    let of_another =
        def.state(&instance.state).is_some_and(|s| s.continues || s.money == Some(MoneyMove::Ask));
    let (name, entry) = match instance.control.asked.as_ref().filter(|_| of_another) {
        Some(asked) => (asked.state.clone(), asked.entry),
        None => (instance.state.clone(), instance.entry(&instance.state)),
    };
    let Some(undo) = def.state(&name).and_then(|s| s.compensate.clone()).filter(|u| u != "none") else {
        return;
    };
    let known = instance.control.undo.iter().any(|u| u.state == name && u.entry == entry);
    if !known {
        instance.control.undo.push(Undo { state: name, entry, step: undo, seq: instance.version });
    }
}

fn ask_again(def: &Definition, instance: &mut Instance, now_us: i64) {
    let Some(ask) = def.state(&instance.state).and_then(|s| s.ask.as_ref()) else { return };
    instance.control.asks += 1;
    let asks = instance.control.asks as usize;
    let pause = ask.after.get(asks).unwrap_or(&ask.then);
    if asks >= ask.after.len() {
        instance.control.attention = Some(format!("asked {asks} times without a clear answer"));
    }
    instance.control.due_us = now_us.saturating_add(def.micros(pause));
}
