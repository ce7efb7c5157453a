//! Input: a signal from outside, or an operator's act.

use serde_json::{Value, json};

use super::{Log, enter, in_the_air, pick};
use crate::definition::{Definition, Kind as StateKind, Sender};
use crate::instance::{Instance, Status, merge};
use crate::journal::Kind;

/// What became of a signal.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Verdict {
    /// It took effect.
    Taken,
    /// It has to wait: a step runs or money is in the air.
    NotNow,
    /// The current state does not expect it.
    NotExpected(String),
    /// A guard or a rule refuses it; journalled.
    Refused(String),
    /// The sender may not send it.
    Forbidden(String),
}

/// Gives a signal to the instance.
pub fn signal(
    def: &Definition,
    instance: &mut Instance,
    name: &str,
    sender: Sender,
    body: &Value,
    now_us: i64,
    log: &mut Log,
) -> Verdict {
    let Some(rule) = def.file.signals.get(name) else {
        return Verdict::NotExpected(format!("workflow `{}` has no signal `{name}`", def.file.id));
    };
    if !allowed(rule.from, sender) {
        return Verdict::Forbidden(format!("`{name}` may be sent by {:?} only", rule.from).to_lowercase());
    }
    if instance.status == Status::Completed {
        return Verdict::NotExpected(format!("the instance has ended in `{}`", instance.state));
    }
    if instance.status == Status::Parked || in_the_air(def, instance) {
        return Verdict::NotNow;
    }
    let targets = def.state(&instance.state).and_then(|s| s.on.get(name)).or_else(|| def.file.on.get(name));
    let Some(targets) = targets else {
        return Verdict::NotExpected(format!("`{name}` is not expected in state `{}`", instance.state));
    };
    if rule.sets_inputs
        && let Some(inputs) = body.get("inputs").and_then(Value::as_object)
        && let Some(bad) = inputs.keys().find(|k| !def.file.inputs.contains(k))
    {
        return Verdict::Refused(format!("`inputs.{bad}` is not among the inputs of `{}`", def.file.id));
    }
    let Some(target) = pick(def, instance, targets) else {
        let text = format!("a guard of `{name}` does not hold in state `{}`", instance.state);
        log.push(instance, Kind::Refused, name, json!({ "text": text }), now_us);
        return Verdict::Refused(text);
    };
    let mut patch = json!({});
    if rule.sets_inputs
        && let Some(inputs) = body.get("inputs")
    {
        // Client inputs are replaced field by field, each as a whole: a merge inside would keep old parts.
        let mut replaced = instance.context.get("inputs").cloned().unwrap_or_else(|| json!({}));
        if let (Some(old), Some(new)) = (replaced.as_object_mut(), inputs.as_object()) {
            for (key, value) in new {
                old.insert(key.clone(), value.clone());
            }
        }
        instance.context_mut()["inputs"] = replaced.clone();
        patch["inputs"] = replaced;
    }
    if let Some(into) = &rule.into {
        let mut value = body.clone();
        if rule.sets_inputs
            && let Some(object) = value.as_object_mut()
        {
            object.remove("inputs");
        }
        instance.context_mut()[into] = value.clone();
        patch[into] = value;
    }
    log.push(
        instance,
        Kind::Signal,
        name,
        json!({ "to": target.target, "replace": patch, "from": sender }),
        now_us,
    );
    enter(def, instance, target.target, target.key_same, now_us, log);
    Verdict::Taken
}

/// An operator's act on a parked instance: `retry` runs on, `skip` leaves the newest compensation
/// undone and goes on. Both are journalled with who and why.
pub fn operator(
    def: &Definition,
    instance: &mut Instance,
    act: &str,
    who: &str,
    why: &str,
    now_us: i64,
    log: &mut Log,
) -> Verdict {
    if instance.status != Status::Parked {
        return Verdict::NotExpected("the instance is not parked".to_owned());
    }
    let undoing = def.state(&instance.state).is_some_and(|s| s.kind == Some(StateKind::Compensate));
    match act {
        "retry" if undoing || def.state(&instance.state).is_some_and(|s| s.invoke.is_some()) => {}
        "skip" if undoing && !instance.control.undo.is_empty() => {
            instance.control.undo.pop();
        }
        _ => return Verdict::Refused(format!("`{act}` is not possible in state `{}`", instance.state)),
    }
    let cleared = json!({ "fault": null });
    log.push(instance, Kind::Operator, act, json!({ "who": who, "why": why, "patch": cleared }), now_us);
    instance.status = if undoing { Status::Compensating } else { Status::Running };
    instance.control.tries = 0;
    instance.control.due_us = 0;
    instance.control.attention = None;
    merge(instance.context_mut(), &cleared);
    Verdict::Taken
}

/// A shopper's signal may also be sent by the merchant's people and the host; facts about money only by
/// whoever proved them.
fn allowed(rule: Sender, sender: Sender) -> bool {
    match rule {
        Sender::Shopper => matches!(sender, Sender::Shopper | Sender::Operator | Sender::System),
        Sender::Operator => matches!(sender, Sender::Operator | Sender::System),
        Sender::Gateway => matches!(sender, Sender::Gateway | Sender::System),
        Sender::System => sender == Sender::System,
    }
}
