//! Input: a timer of the current state is due.

use serde_json::json;

use super::{Log, enter, pick};
use crate::definition::Definition;
use crate::instance::{Instance, Status};
use crate::journal::Kind;

/// Fires the earliest timer that is due. False: none is, nothing was changed.
pub fn timer(def: &Definition, instance: &mut Instance, now_us: i64, log: &mut Log) -> bool {
    if instance.status != Status::Waiting {
        return false;
    }
    let due = instance.control.timers.iter().filter(|t| t.due_us <= now_us).min_by_key(|t| t.due_us).cloned();
    let Some(due) = due else { return false };
    let targets = def.state(&instance.state).and_then(|s| s.after.get(&due.name));
    let Some(target) = targets.and_then(|t| pick(def, instance, t)) else { return false };
    log.push(instance, Kind::Timer, &due.name, json!({ "due_us": due.due_us, "to": target.target }), now_us);
    enter(def, instance, target.target, target.key_same, now_us, log);
    true
}
