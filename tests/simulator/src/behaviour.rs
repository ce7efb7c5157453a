//! How the provider can misbehave, and what decides it.

use serde::{Deserialize, Serialize};
use std::collections::{HashMap, VecDeque};
use std::hash::Hash;

/// What a request does.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Operation {
    Prepare,
    Authorize,
    Confirm,
    Capture,
    Void,
    Refund,
}

impl Operation {
    pub fn as_str(self) -> &'static str {
        match self {
            Operation::Prepare => "prepare",
            Operation::Authorize => "authorize",
            Operation::Confirm => "confirm",
            Operation::Capture => "capture",
            Operation::Void => "void",
            Operation::Refund => "refund",
        }
    }
}

/// How one request goes.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Behaviour {
    #[default]
    Ok,
    Declined,
    Insufficient,
    Fraud,
    /// The shopper must confirm first.
    ThreeDs,
    /// Nothing happens and nothing is answered.
    TimeoutBefore,
    /// It happens and nothing is answered.
    TimeoutAfter,
    /// Nothing happens; answers 500.
    #[serde(rename = "500_before")]
    Error500Before,
    /// It happens; answers 500.
    #[serde(rename = "500_after")]
    Error500After,
    /// It happens; answers 200 with something that is not JSON.
    GarbageAfter,
    /// It happens; the answer is shorter than it says.
    CutAfter,
    /// It happens after two seconds, even if nobody waits any more.
    Slow,
}

impl Behaviour {
    /// By the token of the instrument.
    pub fn of_token(token: &str) -> Behaviour {
        match token {
            "tok_declined" => Behaviour::Declined,
            "tok_insufficient" => Behaviour::Insufficient,
            "tok_fraud" => Behaviour::Fraud,
            "tok_3ds" => Behaviour::ThreeDs,
            "tok_timeout_before" => Behaviour::TimeoutBefore,
            "tok_timeout_after" => Behaviour::TimeoutAfter,
            "tok_500_before" => Behaviour::Error500Before,
            "tok_500_after" => Behaviour::Error500After,
            "tok_garbage_after" => Behaviour::GarbageAfter,
            "tok_cut_after" => Behaviour::CutAfter,
            "tok_slow" => Behaviour::Slow,
            _ => Behaviour::Ok,
        }
    }

    /// Nothing happens to the money.
    pub fn loses_request(self) -> bool {
        matches!(self, Behaviour::TimeoutBefore | Behaviour::Error500Before)
    }
}

/// What the next requests of an operation are to do, as a test asks for it.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub struct NextBehaviour<K> {
    pub operation: K,
    pub behaviour: Behaviour,
    #[serde(default = "once")]
    pub times: usize,
}

fn once() -> usize {
    1
}

/// Behaviours set for the next requests of an operation. They come before what the token says.
pub struct Script<K>(HashMap<K, VecDeque<Behaviour>>);

impl<K> Default for Script<K> {
    fn default() -> Self {
        Script(HashMap::new())
    }
}

impl<K: Eq + Hash> Script<K> {
    pub fn set(&mut self, operation: K, behaviour: Behaviour, times: usize) {
        self.0.entry(operation).or_default().extend(std::iter::repeat_n(behaviour, times));
    }

    pub fn next(&mut self, operation: &K) -> Option<Behaviour> {
        self.0.get_mut(operation)?.pop_front()
    }
}
