//! Steps: units of work that states invoke. Others implement them; the engine knows their interface.

use serde::{Deserialize, Serialize};
use serde_json::Value;

pub use crate::definition::Class;

/// What the engine and the static checks know of a step.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct StepInterface {
    /// Registered name, for example `payment.authorize`.
    pub name: String,
    /// When it is committed.
    pub class: Class,
    /// All outcomes it can have.
    pub outcomes: Vec<String>,
    /// It reserves, takes or gives back money.
    pub moves_money: bool,
}

impl StepInterface {
    /// An interface. Class external and external-read get the outcome `unknown` where it is named by the caller.
    pub fn new(name: &str, class: Class, outcomes: &[&str]) -> StepInterface {
        StepInterface {
            name: name.to_owned(),
            class,
            outcomes: outcomes.iter().map(|o| (*o).to_owned()).collect(),
            moves_money: false,
        }
    }

    /// Marks a step that moves money.
    pub fn money(mut self) -> StepInterface {
        self.moves_money = true;
        self
    }
}

/// Whether an effect is in force after a step.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum TookEffect {
    /// Nothing happened, and nothing will.
    #[default]
    No,
    /// Something is open that must be finished or undone.
    Open,
    /// It happened.
    Yes,
    /// It cannot be known yet.
    Unknown,
}

/// One run of a step.
#[derive(Debug, Clone)]
pub struct StepCall {
    /// Merchant of the instance.
    pub merchant: String,
    /// Our id of the instance, UUID text.
    pub uid: String,
    /// The id the client chose.
    pub id: String,
    /// Name of the workflow.
    pub workflow: String,
    /// Name of the step.
    pub step: String,
    /// State that invokes it. For a compensation: the state that is undone.
    pub state: String,
    /// How often the state was entered, from 1.
    pub entry: u32,
    /// How often this entry was tried, from 1.
    pub attempt: u32,
    /// Idempotency key of this effect; the same for all tries.
    pub key: String,
    /// True when this call undoes `state`.
    pub undoing: bool,
    /// Constants of the state.
    pub with: Value,
    /// Component and configuration digests pinned at start.
    pub pins: Value,
    /// The instance's context. Shared, not copied.
    pub context: std::sync::Arc<Value>,
    /// Time of the segment, epoch microseconds; the same when the segment is run again in this process.
    pub now_us: i64,
    /// The effect this call is about: for an ask the latest one sent, for a compensation the one it undoes.
    pub about: Option<crate::instance::Asked>,
    /// Version of the instance before this commit.
    pub version: i64,
}

/// What a step gave.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct StepResult {
    /// One of the interface's outcomes.
    pub outcome: String,
    /// JSON merge patch (RFC 7386) for the context. `null`: no change.
    #[serde(default, skip_serializing_if = "Value::is_null")]
    pub patch: Value,
    /// What it left behind that may have to be undone.
    #[serde(default)]
    pub took_effect: TookEffect,
    /// Transactional steps: the step refuses; all writes of the segment are rolled back to its savepoint.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub refused: bool,
    /// Kept in the journal beside the patch: component digest, fuel, what was exchanged.
    #[serde(default, skip_serializing_if = "Value::is_null")]
    pub note: Value,
    /// Domain events for the outbox.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub events: Vec<Event>,
}

impl StepResult {
    /// An outcome without any change.
    pub fn outcome(name: &str) -> StepResult {
        StepResult {
            outcome: name.to_owned(),
            patch: Value::Null,
            took_effect: TookEffect::No,
            refused: false,
            note: Value::Null,
            events: vec![],
        }
    }

    /// With a merge patch for the context.
    pub fn patch(mut self, patch: Value) -> StepResult {
        self.patch = patch;
        self
    }

    /// With an effect that may have to be undone.
    pub fn effect(mut self, took_effect: TookEffect) -> StepResult {
        self.took_effect = took_effect;
        self
    }

    /// As a refusal: the writes of the segment are rolled back.
    pub fn refuse(mut self) -> StepResult {
        self.refused = true;
        self
    }

    /// With a note for the journal.
    pub fn note(mut self, note: Value) -> StepResult {
        self.note = note;
        self
    }

    /// With a domain event.
    pub fn event(mut self, topic: &str, body: Value) -> StepResult {
        self.events.push(Event { topic: topic.to_owned(), body });
        self
    }
}

/// A fact for the outbox.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Event {
    /// For example `order.confirmed`.
    pub topic: String,
    /// JSON data.
    pub body: Value,
}

/// A step could not be run: trap, limit, broken promise, database. Never an outcome.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error, Serialize, Deserialize)]
pub enum StepFault {
    /// It will not work when tried again.
    #[error("{code}: {text}")]
    Fault {
        /// Stable and machine readable.
        code: String,
        /// For people.
        text: String,
    },
    /// Refused before anything was sent; trying again later is safe.
    #[error("try again: {code}: {text}")]
    NotSent {
        /// Stable and machine readable.
        code: String,
        /// For people.
        text: String,
    },
    /// Transactional steps: the database failed; the transition is run again.
    #[error("database: {0}")]
    Database(String),
}

impl StepFault {
    /// Its code, and words for people.
    pub fn parts(&self) -> (&str, &str) {
        match self {
            StepFault::Fault { code, text } | StepFault::NotSent { code, text } => (code, text),
            StepFault::Database(text) => ("database", text),
        }
    }

    /// A fault that will not go away by itself.
    pub fn new(code: &str, text: impl Into<String>) -> StepFault {
        StepFault::Fault { code: code.to_owned(), text: text.into() }
    }
}
