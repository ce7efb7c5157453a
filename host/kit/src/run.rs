//! Runs a case and judges what came of it.

use crate::difference::{Difference, between};
use crate::fixture::{Expected, FAILURES, Fixture, FixtureError, Problem};
use crate::replay::Replay;
use crate::tree::Tree;
use crate::{Function, function, short};
use serde::{Serialize, Serializer};
use std::path::Path;
use std::sync::Arc;
use till_sandbox::{Call, Component, Failure, Report, Sandbox};

/// What came of a call.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Outcome {
    /// The component answered.
    Ok(Tree),
    /// It answered with a typed error.
    Error(Tree),
    /// It gave no answer: a trap or a limit.
    Failure {
        /// Stable name, for example `out-of-fuel`.
        kind: String,
        /// What happened, for people.
        text: String,
    },
}

impl Outcome {
    /// As a fixture expects it: without what says nothing.
    pub fn expectation(&self) -> Tree {
        let field = |name: &str, value: Tree| Tree::Fields(vec![(name.to_owned(), value)]);
        match self {
            Outcome::Ok(answer) => field("ok", answer.clone().short()),
            Outcome::Error(error) => field("error", error.clone().short()),
            Outcome::Failure { kind, .. } => field("failure", Tree::Leaf(kind.as_str().into())),
        }
    }

    /// As JSON, with all there is to know.
    pub fn tree(&self) -> Tree {
        let field = |name: &str, value: Tree| (name.to_owned(), value);
        match self {
            Outcome::Ok(answer) => Tree::Fields(vec![field("ok", answer.clone())]),
            Outcome::Error(error) => Tree::Fields(vec![field("error", error.clone())]),
            Outcome::Failure { kind, text } => Tree::Fields(vec![
                field("failure", Tree::Leaf(kind.as_str().into())),
                field("text", Tree::Leaf(text.as_str().into())),
            ]),
        }
    }
}

impl Serialize for Outcome {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        self.tree().serialize(serializer)
    }
}

/// A call and all that is known of it.
#[derive(Clone, Debug, Serialize)]
pub struct Run {
    /// What came of it.
    pub outcome: Outcome,
    /// What it used and did.
    pub report: Report,
    /// Where its requests differ from the recorded ones.
    pub http: Vec<String>,
}

/// The stable name of a failure.
pub(crate) fn name_of(failure: &Failure) -> String {
    let kind = serde_json::to_value(&failure.kind).expect("a failure has a JSON form");
    kind["kind"].as_str().unwrap_or_default().to_owned()
}

/// Calls the component as the fixture says.
///
/// # Errors
/// Where the request is not what the function takes. What the component does is never an error.
pub async fn run(
    sandbox: &Sandbox,
    component: &Arc<Component>,
    fixture: &Fixture,
) -> Result<Run, FixtureError> {
    let call = Call {
        component: component.clone(),
        ctx: fixture.ctx.clone(),
        binding: fixture.binding.clone(),
        limits: fixture.limits,
        background: false,
        breaker: None,
    };
    let replay = Replay::new(fixture.http.clone());
    let defaults = short::defaults(&fixture.ctx.currency);
    let request = fixture.request.clone();
    let told = function::call(sandbox, fixture.function, call, request, &defaults, Arc::new(replay.clone()))
        .await
        .map_err(|error| FixtureError {
            path: fixture.path.clone(),
            problem: Problem::decode("request", &error),
        })?;
    let (outcome, report) = match told {
        Ok(answer) => match answer.value {
            Ok(value) => (Outcome::Ok(value), answer.report),
            Err(error) => (Outcome::Error(Tree::of(&error)), answer.report),
        },
        Err(failure) => {
            let (kind, text) = (name_of(&failure), failure.to_string());
            (Outcome::Failure { kind, text }, *failure.report)
        }
    };
    Ok(Run { outcome, report, http: replay.problems() })
}

/// A case and whether it went as expected.
#[derive(Clone, Debug, Serialize)]
pub struct Verdict {
    /// Name of the fixture.
    pub name: String,
    /// All is as expected.
    pub passed: bool,
    /// What was called. None: the fixture cannot be read.
    pub function: Option<Function>,
    /// What is wrong beside the answer.
    pub problems: Vec<String>,
    /// What the answer has otherwise than expected.
    pub differences: Vec<Difference>,
    /// What came of the call.
    pub outcome: Option<Outcome>,
    /// What it used and did.
    pub report: Option<Report>,
    /// The fixture says nothing of what it expects.
    pub unexpected: bool,
}

impl Verdict {
    /// What the fixture would have to expect to pass. None: another expectation does not mend it.
    pub fn mended(&self) -> Option<Tree> {
        let outcome = self.outcome.as_ref().filter(|_| !self.passed && self.problems.is_empty())?;
        match outcome {
            Outcome::Failure { kind, .. } if !FAILURES.contains(&kind.as_str()) => None,
            outcome => Some(outcome.expectation()),
        }
    }
}

/// Runs the case in a file and compares. A call of a pure slot is made twice and must give the same answer
/// for the same fuel.
pub async fn judge(sandbox: &Sandbox, component: &Arc<Component>, path: &Path) -> Verdict {
    let name = path.file_stem().map_or_else(String::new, |name| name.to_string_lossy().into_owned());
    let mut verdict = Verdict {
        name,
        passed: false,
        function: None,
        problems: Vec::new(),
        differences: Vec::new(),
        outcome: None,
        report: None,
        unexpected: false,
    };
    if let Err(error) = judge_into(&mut verdict, sandbox, component, path).await {
        verdict.problems.push(error.to_string());
    }
    verdict.passed = verdict.problems.is_empty() && verdict.differences.is_empty() && !verdict.unexpected;
    verdict
}

async fn judge_into(
    verdict: &mut Verdict,
    sandbox: &Sandbox,
    component: &Arc<Component>,
    path: &Path,
) -> Result<(), FixtureError> {
    let fixture = Fixture::read(path, component.slot)?;
    verdict.function = Some(fixture.function);
    let first = run(sandbox, component, &fixture).await?;
    if component.slot.is_pure() {
        let second = run(sandbox, component, &fixture).await?;
        verdict.problems.extend(otherwise(&first, &second));
    }
    verdict.problems.extend(first.http.iter().cloned());
    match &fixture.expected {
        Some(expected) => verdict.differences = compare(expected, &first.outcome),
        None => verdict.unexpected = true,
    }
    verdict.outcome = Some(first.outcome);
    verdict.report = Some(first.report);
    Ok(())
}

/// How two calls with the same input differ.
fn otherwise(first: &Run, second: &Run) -> Vec<String> {
    const CURE: &str = "a pure component must not depend on addresses, hash order or leftovers";
    let mut found = Vec::new();
    for difference in between("answer", &first.outcome.tree(), &second.outcome.tree()) {
        found.push(format!("the second call answers otherwise: {difference}\n  {CURE}"));
    }
    let (a, b) = (first.report.fuel_used, second.report.fuel_used);
    if a != b {
        found.push(format!("the second call uses {b} fuel, the first {a}: {CURE}"));
    }
    found
}

/// What an outcome has otherwise than expected.
pub fn compare(expected: &Expected, outcome: &Outcome) -> Vec<Difference> {
    let whole = |path: &str, expected: Tree| {
        vec![Difference { path: path.to_owned(), expected: Some(expected), got: Some(outcome.tree()) }]
    };
    let text = |text: &str| Tree::Leaf(text.into());
    match (expected, outcome) {
        (Expected::Ok(expected), Outcome::Ok(got)) => between("ok", expected, got),
        (Expected::Error(expected), Outcome::Error(got)) => between("error", expected, got),
        (Expected::Failure { kind, contains }, Outcome::Failure { kind: got, text: said }) => {
            let mut found = between("failure", &text(kind), &text(got));
            if let Some(part) = contains.as_ref().filter(|part| !said.contains(part.as_str())) {
                let (expected, got) = (Some(text(part)), Some(text(said)));
                found.push(Difference { path: "failure.contains".to_owned(), expected, got });
            }
            found
        }
        (Expected::Ok(expected), _) => whole("ok", expected.clone().short()),
        (Expected::Error(expected), _) => whole("error", expected.clone().short()),
        (Expected::Failure { kind, .. }, _) => whole("failure", text(kind)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn failure(text: &str) -> Outcome {
        Outcome::Failure { kind: "trapped".into(), text: text.into() }
    }

    #[test]
    fn an_outcome_is_compared_with_what_was_expected_of_it() {
        let expected = |kind: &str, contains: Option<&str>| Expected::Failure {
            kind: kind.into(),
            contains: contains.map(str::to_owned),
        };
        assert_eq!(compare(&expected("trapped", Some("tier")), &failure("the tier table")), []);
        assert_eq!(
            compare(&expected("trapped", Some("tax")), &failure("the tier"))[0].path,
            "failure.contains"
        );
        assert_eq!(compare(&expected("out-of-fuel", None), &failure(""))[0].path, "failure");
        let ok = Expected::Ok(Tree::List(vec![]));
        let difference = compare(&ok, &failure("the tier")).remove(0);
        assert_eq!(difference.path, "ok");
        assert!(difference.to_string().contains("the tier"), "{difference}");
    }

    #[test]
    fn two_runs_that_differ_are_told_apart() {
        let run = |fuel_used, text| Run {
            outcome: failure(text),
            report: Report { fuel_used, ..Report::default() },
            http: vec![],
        };
        assert_eq!(otherwise(&run(1, "a"), &run(1, "a")), [""; 0]);
        assert_eq!(otherwise(&run(1, "a"), &run(2, "b")).len(), 2);
    }
}
