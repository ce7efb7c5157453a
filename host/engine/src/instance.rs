//! A workflow instance: one row of state, context and the engine's own bookkeeping.

use std::collections::BTreeMap;
use std::sync::Arc;

use data_encoding::BASE32_NOPAD;
use serde::{Deserialize, Serialize};
use serde_json::Value;
use sha2::{Digest as _, Sha256};
use uuid::Uuid;

/// What can be done with an instance. The number is what the store keeps.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
#[repr(i64)]
pub enum Status {
    /// A step is due.
    Running = 0,
    /// It waits for a signal or a timer.
    Waiting = 1,
    /// A person must decide.
    Parked = 3,
    /// It undoes what took effect.
    Compensating = 4,
    /// It reached an end.
    Completed = 5,
}

impl Status {
    /// From the number the store keeps.
    pub fn from_i64(number: i64) -> Option<Status> {
        Some(match number {
            0 => Status::Running,
            1 => Status::Waiting,
            3 => Status::Parked,
            4 => Status::Compensating,
            5 => Status::Completed,
            _ => return None,
        })
    }

    /// As shown to people.
    pub fn as_str(self) -> &'static str {
        match self {
            Status::Running => "running",
            Status::Waiting => "waiting",
            Status::Parked => "parked",
            Status::Compensating => "compensating",
            Status::Completed => "completed",
        }
    }
}

/// One run of a definition.
#[derive(Debug, Clone, PartialEq)]
pub struct Instance {
    /// Owner.
    pub merchant: String,
    /// Ours: UUIDv7, never reused.
    pub uid: Uuid,
    /// Name of the definition.
    pub workflow: String,
    /// Chosen by the client, unique per merchant and workflow.
    pub id: String,
    /// SHA-256 of the start request, to tell a repeated start from a different one.
    pub start_hash: String,
    /// The shopper it belongs to; empty for none.
    pub subject: String,
    /// Pinned for life.
    pub definition: String,
    /// Component and configuration digests by slot, pinned for life. Opaque to the engine.
    pub pins: Value,
    /// Current state.
    pub state: String,
    /// What can be done with it.
    pub status: Status,
    /// Last journal sequence number; every write is conditional on it.
    pub version: i64,
    /// `inputs` from clients, everything else from steps. Shared with the calls of steps, copied on write.
    pub context: Arc<Value>,
    /// The engine's bookkeeping.
    pub control: Control,
    /// Epoch microseconds.
    pub created_us: i64,
    /// Epoch microseconds.
    pub updated_us: i64,
}

/// The engine's bookkeeping, kept with the instance.
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize)]
pub struct Control {
    /// How often each state was entered.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub entries: BTreeMap<String, u32>,
    /// Effects in force, oldest first.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub undo: Vec<Undo>,
    /// The external call that may be in the air.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub intent: Option<Intent>,
    /// Timers of the current state.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub timers: Vec<Timer>,
    /// Tries of the current step or compensation so far.
    #[serde(default, skip_serializing_if = "is_zero")]
    pub tries: u32,
    /// Asks since the current state was entered.
    #[serde(default, skip_serializing_if = "is_zero")]
    pub asks: u32,
    /// The step of the current state is due at this time, epoch microseconds; 0: now.
    #[serde(default, skip_serializing_if = "is_zero_i64")]
    pub due_us: i64,
    /// Why a person must look; kept while parked, or while an ask goes on for long.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub attention: Option<String>,
    /// Sends under the key of the latest entry, by state.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub sends: BTreeMap<String, u32>,
    /// The latest effect sent forward: what an ask asks about.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub asked: Option<Asked>,
}

/// The effect an ask asks about.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Asked {
    /// State whose step sent it.
    pub state: String,
    /// Entry of that state.
    pub entry: u32,
    /// Idempotency key.
    pub key: String,
    /// When its first try may have been sent, epoch microseconds.
    pub first_sent_us: i64,
}

#[expect(clippy::trivially_copy_pass_by_ref, reason = "the signature serde asks for")]
fn is_zero(n: &u32) -> bool {
    *n == 0
}

#[expect(clippy::trivially_copy_pass_by_ref, reason = "the signature serde asks for")]
fn is_zero_i64(n: &i64) -> bool {
    *n == 0
}

/// An effect in force, to be undone when the instance turns back.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Undo {
    /// State whose step took effect.
    pub state: String,
    /// Entry of that state.
    pub entry: u32,
    /// Step that undoes it.
    pub step: String,
    /// Journal row that recorded the effect; undone newest first by it.
    pub seq: i64,
}

/// An external call whose outcome is not recorded yet.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Intent {
    /// Step.
    pub step: String,
    /// State that invokes it, or that is undone by it.
    pub state: String,
    /// Entry of that state.
    pub entry: u32,
    /// Idempotency key.
    pub key: String,
    /// Number of the try.
    pub attempt: u32,
    /// Not to be sent after this time, epoch microseconds.
    pub send_before_us: i64,
    /// It undoes `state`.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub undoing: bool,
}

/// A durable alarm of the current state.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Timer {
    /// Duration as written in the file; names the timer within its state.
    pub name: String,
    /// Epoch microseconds.
    pub due_us: i64,
}

/// Time after an intent's commit in which it may be sent. Later the outcome is `unknown` and asked for:
/// a host that was paused in between must not send what another host may have asked about.
pub const SEND_WINDOW_US: i64 = 30_000_000;

/// "Never": an instance that waits for signals alone.
pub const NEVER_US: i64 = 1 << 62;

impl Instance {
    /// The context, to be written.
    pub fn context_mut(&mut self) -> &mut Value {
        Arc::make_mut(&mut self.context)
    }

    /// Entry number of a state so far.
    pub fn entry(&self, state: &str) -> u32 {
        self.control.entries.get(state).copied().unwrap_or(0)
    }

    /// Idempotency key of an effect, 32 characters: base32 of the milliseconds at which the instance was made
    /// (10 characters) and of SHA-256 over merchant, uid, state and entry (22).
    ///
    /// The time comes first so that keys made together stand together in the index: with hashes alone each
    /// intent wrote a page of its own, and a store with 100,000 executions was a fourth slower.
    pub fn key(&self, state: &str, entry: u32, undoing: bool) -> String {
        let mut hash = Sha256::new();
        for part in [self.merchant.as_bytes(), self.uid.as_bytes(), state.as_bytes()] {
            hash.update((part.len() as u64).to_be_bytes());
            hash.update(part);
        }
        hash.update(entry.to_be_bytes());
        hash.update([u8::from(undoing)]);
        // The first 48 bits of a UUID of version 7 are its time.
        let mut text = BASE32_NOPAD.encode(&self.uid.as_bytes()[..6]);
        text.push_str(&BASE32_NOPAD.encode(&hash.finalize()));
        text.make_ascii_lowercase();
        text.truncate(32);
        text
    }

    /// Whether it waits for somebody or something, or is at its end.
    pub fn rests(&self) -> bool {
        match self.status {
            Status::Completed | Status::Parked | Status::Waiting => true,
            Status::Running | Status::Compensating => self.control.due_us > self.updated_us,
        }
    }

    /// When the engine next has to look at it, epoch microseconds.
    pub fn wake_us(&self) -> i64 {
        match self.status {
            Status::Completed | Status::Parked => NEVER_US,
            Status::Waiting => self.control.timers.iter().map(|t| t.due_us).min().unwrap_or(NEVER_US),
            Status::Running | Status::Compensating => self.control.due_us,
        }
    }
}

/// Applies a JSON merge patch (RFC 7386), in place. `null` as a whole changes nothing.
pub fn merge(target: &mut Value, patch: &Value) {
    match patch {
        Value::Null => {}
        Value::Object(patch) => {
            if !target.is_object() {
                *target = Value::Object(serde_json::Map::new());
            }
            let Value::Object(target) = target else { return };
            for (name, value) in patch {
                if value.is_null() {
                    target.remove(name);
                } else if value.is_object() {
                    merge(target.entry(name.clone()).or_insert(Value::Null), value);
                } else {
                    target.insert(name.clone(), value.clone());
                }
            }
        }
        other => *target = other.clone(),
    }
}

/// The merge patch that makes `new` of `old`; null where nothing changed. `null` values inside objects
/// cannot be told by a merge patch and are taken as absent.
pub fn diff(old: &Value, new: &Value) -> Value {
    if old == new {
        return Value::Null;
    }
    let (Value::Object(old), Value::Object(new)) = (old, new) else { return new.clone() };
    let mut patch = serde_json::Map::new();
    for name in old.keys().filter(|name| !new.contains_key(*name)) {
        patch.insert(name.clone(), Value::Null);
    }
    for (name, value) in new {
        match old.get(name) {
            Some(before) if before == value => {}
            Some(before) => {
                patch.insert(name.clone(), diff(before, value));
            }
            None => {
                patch.insert(name.clone(), value.clone());
            }
        }
    }
    Value::Object(patch)
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::{diff, merge};

    #[test]
    fn a_diff_is_the_patch_that_leads_there() {
        let old = json!({"a": 1, "b": {"c": [1, 2], "d": 3}, "gone": {"x": 1}});
        let new = json!({"a": 1, "b": {"c": [2], "e": {"f": 1}}, "n": "x"});
        let patch = diff(&old, &new);
        let mut doc = old.clone();
        merge(&mut doc, &patch);
        assert_eq!(doc, new);
        assert!(patch.get("a").is_none());
        assert!(diff(&new, &new).is_null());
    }

    #[test]
    fn merge_patch_follows_the_rfc() {
        let mut doc = json!({"a": {"b": 1, "c": 2}, "d": [1]});
        merge(&mut doc, &json!({"a": {"b": null, "e": {"f": null, "g": 1}}, "d": [2, 3]}));
        assert_eq!(doc, json!({"a": {"c": 2, "e": {"g": 1}}, "d": [2, 3]}));
        merge(&mut doc, &json!(null));
        assert_eq!(doc["d"], json!([2, 3]));
    }
}
