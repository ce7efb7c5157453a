//! Input: a client starts an instance.

use serde_json::json;

use super::{Log, enter};
use crate::definition::Definition;
use crate::instance::Instance;
use crate::journal::Kind;

/// Journals the start (with the whole first context, so that the journal alone rebuilds it) and enters
/// the initial state.
pub fn start(def: &Definition, instance: &mut Instance, now_us: i64, log: &mut Log) {
    instance.state.clone_from(&def.file.initial);
    let body = json!({ "definition": def.digest, "pins": instance.pins, "patch": *instance.context });
    log.push(instance, Kind::Started, "", body, now_us);
    let initial = def.file.initial.clone();
    enter(def, instance, &initial, false, now_us, log);
}
