//! Journal entries: what happened to an instance, append only.

use serde::{Deserialize, Serialize};
use serde_json::Value;

/// What an entry records. The number is what the store keeps; the list only grows.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
#[repr(i64)]
pub enum Kind {
    /// The instance was made.
    Started = 1,
    /// A pure, read or transactional step ran.
    Step = 3,
    /// An external effect is about to be sent.
    Intent = 4,
    /// Its outcome.
    Outcome = 5,
    /// A signal took effect.
    Signal = 7,
    /// A timer fired.
    Timer = 8,
    /// A compensation was sent or done.
    Compensated = 9,
    /// A person did something.
    Operator = 10,
    /// The instance ended.
    Ended = 12,
    /// A step could not run.
    Fault = 13,
    /// A signal was refused, with the reason.
    Refused = 14,
}

impl Kind {
    /// From the number the store keeps.
    pub fn from_i64(number: i64) -> Option<Kind> {
        Some(match number {
            1 => Kind::Started,
            3 => Kind::Step,
            4 => Kind::Intent,
            5 => Kind::Outcome,
            7 => Kind::Signal,
            8 => Kind::Timer,
            9 => Kind::Compensated,
            10 => Kind::Operator,
            12 => Kind::Ended,
            13 => Kind::Fault,
            14 => Kind::Refused,
            _ => return None,
        })
    }
}

/// One row of the journal. `seq` counts from 1 without gaps.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Entry {
    /// Position.
    pub seq: i64,
    /// What it records.
    pub kind: Kind,
    /// State in which it happened.
    pub state: String,
    /// Step or signal, if one is concerned; else empty.
    pub step: String,
    /// Number of the try.
    pub attempt: u32,
    /// Idempotency key of an external effect.
    pub key: Option<String>,
    /// Outcome, target, context patch, note.
    pub body: Value,
    /// Epoch microseconds.
    pub at_us: i64,
}
