//! Workflow definitions: statecharts read from YAML, checked, and known by their digest.
//!
//! Start reading at [`Definition::parse`]; [`check`] holds the static checks W01 to W22.

mod check;
mod draw;
mod guard;
mod parse;
mod span;

pub use check::{Finding, check};
pub use guard::Guard;
pub use span::locate;

use indexmap::IndexMap;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::Value;
use sha2::{Digest as _, Sha256};

/// Most states of one definition. The shipped checkout has 25; a chart no one can read is a mistake.
pub const STATES_MAX: usize = 256;
/// Longest definition file. 256 states of generous YAML fit five times over.
pub const SOURCE_BYTES_MAX: usize = 256 * 1024;

/// A workflow file as written: a flat statechart in the words of XState and SCXML.
#[derive(Debug, Clone, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
pub struct File {
    /// Format of this file. Must be `workflow/1`.
    pub till: String,
    /// Name of the workflow, for example `checkout`.
    pub id: String,
    /// Grows with each published change.
    pub revision: u32,
    /// For people.
    #[serde(default)]
    pub description: String,
    /// Fields of `context.inputs` that a start or an edit may set. Everything else is written by steps.
    #[serde(default)]
    pub inputs: Vec<String>,
    /// Signals this workflow understands and who may send them.
    #[serde(default)]
    pub signals: IndexMap<String, SignalRule>,
    /// Named tests, from a closed list; no arithmetic.
    #[serde(default)]
    pub guards: IndexMap<String, Guard>,
    /// Signals accepted in every waiting state that does not name them itself.
    #[serde(default)]
    pub on: IndexMap<String, Targets>,
    /// When results become durable.
    #[serde(default)]
    pub commits: Commits,
    /// State in which an instance starts.
    pub initial: String,
    /// All states by name.
    pub states: IndexMap<String, State>,
}

/// When the results of steps become durable.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum Commits {
    /// Pure and transactional steps up to the next wait or external call are one commit.
    #[default]
    Segments,
    /// Each step has a commit of its own. Slower; for comparison and for very long pure steps.
    EachStep,
}

/// Who may send a signal, and what it may set.
#[derive(Debug, Clone, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
pub struct SignalRule {
    /// Least authority of the sender.
    pub from: Sender,
    /// Context field into which the signal's body is put. None: the body is only journalled.
    #[serde(default)]
    pub into: Option<String>,
    /// The body's `inputs` object replaces these context inputs (each listed in the file's `inputs`).
    #[serde(default)]
    pub sets_inputs: bool,
}

/// Who sends a signal.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum Sender {
    /// The buyer's client.
    Shopper,
    /// A person of the merchant, with an operator's scope.
    Operator,
    /// A verified webhook.
    Gateway,
    /// The host itself.
    System,
}

/// One state of the chart.
#[derive(Debug, Clone, Default, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
pub struct State {
    /// Left out for states that invoke a step or wait.
    #[serde(default, rename = "type", skip_serializing_if = "Option::is_none")]
    pub kind: Option<Kind>,
    /// Step to run, by its registered name.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub invoke: Option<String>,
    /// Class of that step; must agree with its interface.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub class: Option<Class>,
    /// Constants handed to the step.
    #[serde(default, skip_serializing_if = "Value::is_null")]
    pub with: Value,
    /// Where each outcome of the step leads. Must name exactly the outcomes of its interface.
    #[serde(default, skip_serializing_if = "IndexMap::is_empty")]
    pub outcomes: IndexMap<String, Targets>,
    /// Step that undoes this one, or `none` with a reason in `because`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub compensate: Option<String>,
    /// Why nothing needs to be undone.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub because: Option<String>,
    /// What this state does with money. No timer may leave it and signals wait until it is left.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub money: Option<MoneyMove>,
    /// The external step goes on with the effect that was sent last: under its key, with its undo, and asked about as
    /// one with it.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub continues: bool,
    /// Most entries into this state.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub limit: Option<Limit>,
    /// Tries again, for reads, for requests refused before they were sent, and for compensations.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub retry: Option<Retry>,
    /// Pauses between asks; the outcome routed to `again` waits for the next one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub ask: Option<Ask>,
    /// Signals accepted here.
    #[serde(default, skip_serializing_if = "IndexMap::is_empty")]
    pub on: IndexMap<String, Targets>,
    /// Timers, armed at entry: `15m: expired`.
    #[serde(default, skip_serializing_if = "IndexMap::is_empty")]
    pub after: IndexMap<String, Targets>,
    /// For `type: compensate`: the state that follows when everything is undone.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub then: Option<String>,
    /// Where a fault (trap, limit, broken promise) leads. Default: the instance is parked.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub fault: Option<String>,
    /// For `type: final`: effects that are not undone are meant to stay.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub confirmed: bool,
    /// Domain events written to the outbox on entry.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub emit: Vec<String>,
}

/// States that neither run a step nor wait.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum Kind {
    /// The end.
    Final,
    /// Undoes what took effect, newest first, then goes to `then`.
    Compensate,
    /// Parked: a person decides.
    Manual,
}

/// The class of a step decides when it is committed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum Class {
    /// No effect and no outside: may be run again and gives the same bytes.
    Pure,
    /// Reads our own database; no transaction is open.
    Read,
    /// Asks the world without changing it: retried freely, no intent.
    ExternalRead,
    /// Changes the world: the intent is committed first, then the call, then its outcome.
    External,
    /// Writes our own database inside the commit of the transition.
    Transactional,
}

impl Class {
    /// As written in a workflow file.
    pub fn as_str(self) -> &'static str {
        match self {
            Class::Pure => "pure",
            Class::Read => "read",
            Class::ExternalRead => "external-read",
            Class::External => "external",
            Class::Transactional => "transactional",
        }
    }
}

/// What a state does with money.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum MoneyMove {
    /// Authorizes.
    Reserve,
    /// Captures.
    Take,
    /// Finds out what happened; changes nothing.
    Ask,
    /// Voids or refunds.
    GiveBack,
}

/// Most entries into a state and what follows.
#[derive(Debug, Clone, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Limit {
    /// Most entries.
    pub entries: u32,
    /// State that follows instead of one entry more.
    pub then: String,
}

/// Tries and the pauses between them.
#[derive(Debug, Clone, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Retry {
    /// Most tries in all.
    pub max: u32,
    /// Pause before the second try.
    pub first: String,
    /// Longest pause; each pause is twice the one before.
    pub cap: String,
}

/// When to ask again.
#[derive(Debug, Clone, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Ask {
    /// Pause before each ask, the first included.
    pub after: Vec<String>,
    /// Pause when the list is used up; the instance is then marked for a person's attention.
    pub then: String,
}

/// One target, or several tried in order.
#[derive(Debug, Clone, Serialize, Deserialize, JsonSchema)]
#[serde(untagged)]
pub enum Targets {
    /// Name of a state, or `again` (in a state with `ask`).
    Name(String),
    /// A target with conditions.
    One(Target),
    /// The first whose guard holds.
    Many(Vec<Target>),
}

/// A target with conditions.
#[derive(Debug, Clone, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Target {
    /// Name of a state.
    pub target: String,
    /// Name of a guard.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub when: Option<String>,
    /// `same`: the idempotency key of the last entry is used again.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub key: Option<KeyRule>,
}

/// Which idempotency key an entry uses.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum KeyRule {
    /// That of the entry before.
    Same,
}

impl Targets {
    /// All targets in the order in which they are tried.
    pub fn iter(&self) -> impl Iterator<Item = TargetRef<'_>> {
        let (name, many): (Option<TargetRef<'_>>, &[Target]) = match self {
            Targets::Name(name) => (Some(TargetRef { target: name, when: None, key_same: false }), &[]),
            Targets::One(one) => (None, std::slice::from_ref(one)),
            Targets::Many(many) => (None, many.as_slice()),
        };
        name.into_iter().chain(many.iter().map(|t| TargetRef {
            target: &t.target,
            when: t.when.as_deref(),
            key_same: t.key == Some(KeyRule::Same),
        }))
    }
}

/// A target, however it was written.
#[derive(Debug, Clone, Copy)]
pub struct TargetRef<'a> {
    /// Name of a state, or `again`.
    pub target: &'a str,
    /// Name of a guard.
    pub when: Option<&'a str>,
    /// The idempotency key of the last entry is used again.
    pub key_same: bool,
}

/// The word that means "stay and ask later".
pub const AGAIN: &str = "again";

/// A workflow definition: a file that parsed, with its digest. Immutable.
#[derive(Debug, Clone)]
pub struct Definition {
    /// The file.
    pub file: File,
    /// The text it was read from, for error places and for showing.
    pub source: String,
    /// SHA-256 of the source in hex. Pinned by every instance.
    pub digest: String,
    /// Pauses and timers in microseconds, parsed once.
    pub(crate) durations: IndexMap<String, i64>,
}

impl Definition {
    /// Reads a file. Errors carry line and column where the parser knows them.
    pub fn parse(source: &str) -> Result<Definition, Vec<Finding>> {
        parse::parse(source)
    }

    /// The state of that name.
    pub fn state(&self, name: &str) -> Option<&State> {
        self.file.states.get(name)
    }

    /// Microseconds of a duration written in this file.
    pub fn micros(&self, text: &str) -> i64 {
        self.durations.get(text).copied().unwrap_or(0)
    }

    /// The chart as Mermaid `stateDiagram-v2` text.
    pub fn draw(&self) -> String {
        draw::mermaid(&self.file)
    }

    /// JSON Schema of workflow files, for editors.
    pub fn json_schema() -> Value {
        let mut schema = schemars::schema_for!(File);
        schema.insert("title".into(), "Till workflow file".into());
        schema.to_value()
    }
}

pub(crate) fn digest_of(source: &str) -> String {
    hex::encode(Sha256::digest(source.as_bytes()))
}

/// Reads `15m`, `500ms`, `2s`, `1h`, `7d` as microseconds.
pub fn parse_duration(text: &str) -> Option<i64> {
    let digits = text.find(|c: char| !c.is_ascii_digit())?;
    let (number, unit) = text.split_at(digits);
    let number: i64 = number.parse().ok()?;
    let unit = match unit {
        "ms" => 1_000,
        "s" => 1_000_000,
        "m" => 60_000_000,
        "h" => 3_600_000_000,
        "d" => 86_400_000_000,
        _ => return None,
    };
    number.checked_mul(unit)
}
