//! Guards: a closed list of tests on the context. No arithmetic, no expressions.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::Value;

use crate::instance::Instance;

/// One test.
#[derive(Debug, Clone, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case", deny_unknown_fields)]
pub enum Guard {
    /// The value at the path equals the constant: `equals: [context.quote.free, true]`.
    Equals(String, Value),
    /// The integer at the path is less than the constant.
    Less(String, i64),
    /// The value at the path is one of these.
    In(String, Vec<Value>),
    /// There is a value other than null at the path.
    Present(String),
    /// An effect of that state is in force (it is on the undo stack).
    Done(String),
    /// The test does not hold.
    Not(Box<Guard>),
    /// All hold.
    All(Vec<Guard>),
    /// At least one holds.
    Any(Vec<Guard>),
}

impl Guard {
    /// Whether the test holds for the instance.
    pub fn holds(&self, instance: &Instance) -> bool {
        match self {
            Guard::Equals(path, want) => lookup(instance, path) == Some(want),
            Guard::Less(path, than) => {
                lookup(instance, path).and_then(Value::as_i64).is_some_and(|v| v < *than)
            }
            Guard::In(path, list) => lookup(instance, path).is_some_and(|v| list.contains(v)),
            Guard::Present(path) => lookup(instance, path).is_some_and(|v| !v.is_null()),
            Guard::Done(state) => instance.control.undo.iter().any(|u| &u.state == state),
            Guard::Not(inner) => !inner.holds(instance),
            Guard::All(all) => all.iter().all(|g| g.holds(instance)),
            Guard::Any(any) => any.iter().any(|g| g.holds(instance)),
        }
    }

    /// Paths this test reads, for the static checks.
    pub fn paths(&self) -> Vec<&str> {
        match self {
            Guard::Equals(p, _) | Guard::Less(p, _) | Guard::In(p, _) | Guard::Present(p) => vec![p],
            Guard::Done(_) => vec![],
            Guard::Not(inner) => inner.paths(),
            Guard::All(list) | Guard::Any(list) => list.iter().flat_map(Guard::paths).collect(),
        }
    }

    /// States this test names.
    pub fn states(&self) -> Vec<&str> {
        match self {
            Guard::Done(state) => vec![state],
            Guard::Not(inner) => inner.states(),
            Guard::All(list) | Guard::Any(list) => list.iter().flat_map(Guard::states).collect(),
            _ => vec![],
        }
    }
}

fn lookup<'a>(instance: &'a Instance, path: &str) -> Option<&'a Value> {
    let mut parts = path.split('.');
    if parts.next()? != "context" {
        return None;
    }
    parts.try_fold(&*instance.context, |value, part| value.get(part))
}
