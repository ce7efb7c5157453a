//! What all pure slots promise: the same answer for the same input, room for large carts, no crash.

use super::inputs::{self, Input};
use super::{Status, Suite, crashed, detail};
use serde::Serialize;
use std::collections::BTreeMap;
use till_sandbox::{Answer, Call, Failure};

/// A promise that an answer breaks: the name of the check, and what is wrong.
pub(super) type Broken = (&'static str, String);

/// The rules of a slot.
pub(super) struct Rules<Q, A> {
    /// The request for an input.
    pub(super) request: fn(&Input) -> Q,
    /// Names of the checks below.
    pub(super) names: &'static [&'static str],
    /// What an answer breaks of them.
    pub(super) broken: fn(&Q, &A) -> Vec<Broken>,
}

/// Runs all inputs, each twice, and judges the answers.
pub(super) async fn run<Q: Clone, A: Serialize>(
    suite: &mut Suite<'_>,
    rules: &Rules<Q, A>,
    ask: impl AsyncFn(Call, Q) -> Result<Answer<A>, Failure>,
) -> Vec<(Input, Option<A>)> {
    let mut answers = Vec::new();
    let mut failed: BTreeMap<String, Vec<String>> = BTreeMap::new();
    let mut fuel: BTreeMap<String, u64> = BTreeMap::new();
    let mut unlike = Vec::new();
    let mut errors = Vec::new();
    for input in inputs::all(suite.config) {
        let request = (rules.request)(&input);
        let call = suite.call(input.currency, suite.config);
        let first = ask(call.clone(), request.clone()).await;
        let second = ask(call, request).await;
        unlike.extend(difference(&input.name, &first, &second));
        let wrong = failed.entry(input.name.clone()).or_default();
        match first {
            Err(failure) => {
                wrong.push(crashed(&input.name, &failure));
                answers.push((input, None));
            }
            Ok(answer) => {
                let most = fuel.entry(input.name.clone()).or_default();
                *most = (*most).max(answer.report.fuel_used);
                if let Err(error) = &answer.value {
                    errors.push(format!("{}: {}", detail(error).code, detail(error).text));
                }
                answers.push((input, answer.value.ok()));
            }
        }
    }
    suite.judge("deterministic", &unlike, format!("{} inputs gave the same answer twice", answers.len()));
    for (name, wrong) in &failed {
        let used = fuel.get(name).copied().unwrap_or_default();
        suite.judge(name, wrong, format!("{used} fuel at most, of {}", till_sandbox::Limits::default().fuel));
    }
    wrong_config(suite, rules, &ask).await;
    promises(suite, rules, &answers, errors.first());
    answers
}

fn difference<A: Serialize>(
    name: &str,
    first: &Result<Answer<A>, Failure>,
    second: &Result<Answer<A>, Failure>,
) -> Option<String> {
    const CURE: &str = "do not depend on hash order, addresses or leftovers";
    match (first, second) {
        (Ok(first), Ok(second)) => {
            let text = |answer: &Answer<A>| serde_json::to_string(&answer.value).unwrap_or_default();
            let (a, b) = (first.report.fuel_used, second.report.fuel_used);
            if text(first) != text(second) {
                return Some(format!("{name}: the second answer is another one; {CURE}"));
            }
            (a != b).then(|| format!("{name}: {a} fuel, then {b}; {CURE}"))
        }
        (Err(first), Err(second)) if first.kind == second.kind => None,
        (Err(failure), _) | (_, Err(failure)) => {
            Some(format!("{name}: of two calls one failed: {failure}; {CURE}"))
        }
    }
}

async fn wrong_config<Q: Clone, A: Serialize>(
    suite: &mut Suite<'_>,
    rules: &Rules<Q, A>,
    ask: &impl AsyncFn(Call, Q) -> Result<Answer<A>, Failure>,
) {
    let Some(input) = inputs::all(suite.config).into_iter().next() else { return };
    let mut wrong = Vec::new();
    let mut tried = 0;
    for config in suite.wrong_configs() {
        tried += 1;
        let call = suite.call(input.currency, config);
        if let Err(failure) = ask(call, (rules.request)(&input)).await {
            wrong.push(crashed(&format!("with the configuration {config}"), &failure));
        }
    }
    let fine = match tried {
        0 => "the schema refuses all of them at upload".to_owned(),
        tried => format!("{tried} configurations that pass the schema were answered"),
    };
    suite.judge("wrong-config", &wrong, fine);
}

fn promises<Q, A>(
    suite: &mut Suite<'_>,
    rules: &Rules<Q, A>,
    answers: &[(Input, Option<A>)],
    error: Option<&String>,
) {
    let given: Vec<_> =
        answers.iter().filter_map(|(input, answer)| Some((input, answer.as_ref()?))).collect();
    if given.is_empty() {
        let why = match error {
            Some(error) => format!("it answers nothing but errors (`{error}`): hand in a --config-file"),
            None => "it answers nothing: mend what is above first".to_owned(),
        };
        for name in rules.names {
            suite.say(name, Status::Skipped, why.clone());
        }
        return;
    }
    let mut broken: BTreeMap<&str, Vec<String>> = BTreeMap::new();
    for (input, answer) in &given {
        for (name, what) in (rules.broken)(&(rules.request)(input), answer) {
            broken.entry(name).or_default().push(format!("{}: {what}", input.name));
        }
    }
    for name in rules.names {
        let wrong = broken.remove(name).unwrap_or_default();
        suite.judge(name, &wrong, format!("kept in {} answers", given.len()));
    }
    debug_assert!(broken.is_empty(), "a rule is not in the list of its slot: {broken:?}");
}

/// Most items in one list of an answer; the host refuses more.
const ITEMS_MAX: usize = 10_000;

/// A list that is too long.
pub(super) fn too_many(name: &'static str, what: &str, len: usize) -> Option<Broken> {
    (len > ITEMS_MAX).then(|| (name, format!("{len} {what}, at most {ITEMS_MAX} are allowed")))
}
