//! Static checks of a definition. Each finding has a code, a line and the way out.
//!
//! | code | refuses |
//! |---|---|
//! | W00 | a file that does not parse |
//! | W01 | a target that is no state |
//! | W02 | a state that nothing leads to |
//! | W03 | a state from which no end can be reached |
//! | W04 | a state that waits for ever |
//! | W05 | a loop that turns without a person and has no limit |
//! | W06 | outcomes that are not exactly those of the step's interface |
//! | W07 | an external step whose `unknown` is not routed |
//! | W08 | money reserved or taken without compensation |
//! | W09 | `unknown` of a money state that leads neither to an ask nor to a person |
//! | W10 | a timer that leaves a money state |
//! | W11 | a transactional step without compensation or a reason for none |
//! | W12 | a resend after an ask without the same key |
//! | W13 | `continues` in a state that sends nothing for money, or has an undo of its own |
//! | W17 | a guard that is not defined or reads outside the context |
//! | W21 | a component or read behind a transactional step of its segment |
//! | W22 | a signal without a sender, or a payment signal from anyone but the gateway |

use std::collections::{BTreeMap, BTreeSet};

use super::{AGAIN, Class, Definition, File, Kind, MoneyMove, Sender, State, Targets, locate};
use crate::step::StepInterface;

/// Something wrong with a definition.
#[derive(Debug, Clone, PartialEq, Eq, serde::Serialize)]
pub struct Finding {
    /// `W01` to `W22`.
    pub code: String,
    /// Line in the file, from 1.
    pub line: usize,
    /// What is wrong and how to mend it.
    pub text: String,
}

impl Finding {
    pub(crate) fn new(code: &str, line: usize, text: String) -> Finding {
        Finding { code: code.to_owned(), line, text }
    }
}

impl std::fmt::Display for Finding {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "line {}: {}: {}", self.line, self.code, self.text)
    }
}

/// All findings, in the order of lines. `interface` gives the interface of a step by name.
pub fn check(definition: &Definition, interface: &dyn Fn(&str) -> Option<StepInterface>) -> Vec<Finding> {
    let mut checker =
        Checker { source: &definition.source, file: &definition.file, interface, findings: vec![] };
    checker.targets();
    if checker.findings.is_empty() {
        checker.reachable();
        checker.ends();
    }
    checker.loops();
    for (name, state) in &definition.file.states {
        checker.state(name, state);
    }
    checker.signals();
    checker.guards();
    let mut findings = checker.findings;
    findings.sort_by(|a, b| (a.line, &a.code, &a.text).cmp(&(b.line, &b.code, &b.text)));
    findings.dedup();
    findings
}

struct Checker<'a> {
    source: &'a str,
    file: &'a File,
    interface: &'a dyn Fn(&str) -> Option<StepInterface>,
    findings: Vec<Finding>,
}

/// Edges of a state: all, and those that turn without a person.
struct Edges {
    all: Vec<String>,
    automatic: Vec<String>,
}

impl<'a> Checker<'a> {
    fn find(&mut self, code: &str, path: &[&str], text: String) {
        self.findings.push(Finding::new(code, locate(self.source, path), text));
    }

    fn edges(&self, name: &str, state: &State) -> Edges {
        let mut automatic = Vec::new();
        let mut push = |targets: &Targets| {
            automatic.extend(
                targets.iter().map(|t| if t.target == AGAIN { name.to_owned() } else { t.target.to_owned() }),
            );
        };
        state.outcomes.values().for_each(&mut push);
        state.after.values().for_each(&mut push);
        automatic.extend(state.then.clone());
        automatic.extend(state.fault.clone());
        automatic.extend(state.limit.as_ref().map(|l| l.then.clone()));
        let mut all = automatic.clone();
        for targets in state.on.values() {
            all.extend(targets.iter().map(|t| t.target.to_owned()));
        }
        if waits(state) {
            for (signal, targets) in &self.file.on {
                if !state.on.contains_key(signal) {
                    all.extend(targets.iter().map(|t| t.target.to_owned()));
                }
            }
        }
        Edges { all, automatic }
    }

    fn targets(&mut self) {
        let file = self.file;
        let mut bad: Vec<(Vec<String>, String)> = Vec::new();
        let known = |name: &str| file.states.contains_key(name);
        if !known(&file.initial) {
            bad.push((vec!["initial".into()], file.initial.clone()));
        }
        for (signal, targets) in &file.on {
            for t in targets.iter().filter(|t| !known(t.target)) {
                bad.push((vec!["on".into(), signal.clone()], t.target.to_owned()));
            }
        }
        for (name, state) in &file.states {
            let here =
                |part: &str, key: &str| vec!["states".to_owned(), name.clone(), part.into(), key.into()];
            for (outcome, targets) in &state.outcomes {
                for t in targets.iter() {
                    if !(known(t.target) || t.target == AGAIN && state.ask.is_some()) {
                        bad.push((here("outcomes", outcome), t.target.to_owned()));
                    }
                }
            }
            for (part, map) in [("on", &state.on), ("after", &state.after)] {
                for (key, targets) in map {
                    for t in targets.iter().filter(|t| !known(t.target)) {
                        bad.push((here(part, key), t.target.to_owned()));
                    }
                }
            }
            let singles = [
                ("then", state.then.as_ref()),
                ("fault", state.fault.as_ref()),
                ("limit", state.limit.as_ref().map(|l| &l.then)),
            ];
            for (part, target) in singles {
                if let Some(target) = target.filter(|t| !known(t)) {
                    bad.push((vec!["states".to_owned(), name.clone(), part.into()], target.clone()));
                }
            }
        }
        for (path, target) in bad {
            let near = nearest(&target, self.file.states.keys());
            let hint = near.map(|n| format!("; did you mean `{n}`?")).unwrap_or_default();
            let path: Vec<&str> = path.iter().map(String::as_str).collect();
            self.find("W01", &path, format!("target `{target}` is no state of this file{hint}"));
        }
    }

    fn reachable(&mut self) {
        let mut seen = BTreeSet::from([self.file.initial.clone()]);
        let mut todo = vec![self.file.initial.clone()];
        while let Some(name) = todo.pop() {
            let Some(state) = self.file.states.get(&name) else { continue };
            for target in self.edges(&name, state).all {
                if seen.insert(target.clone()) {
                    todo.push(target);
                }
            }
        }
        for name in self.file.states.keys().filter(|n| !seen.contains(*n)).cloned().collect::<Vec<_>>() {
            self.find(
                "W02",
                &["states", &name],
                format!("nothing leads to `{name}`; route something to it or remove it"),
            );
        }
    }

    fn ends(&mut self) {
        let mut good: BTreeSet<String> = self
            .file
            .states
            .iter()
            .filter(|(_, s)| matches!(s.kind, Some(Kind::Final | Kind::Manual)))
            .map(|(n, _)| n.clone())
            .collect();
        let edges: BTreeMap<String, Vec<String>> =
            self.file.states.iter().map(|(n, s)| (n.clone(), self.edges(n, s).all)).collect();
        loop {
            let more: Vec<String> = edges
                .iter()
                .filter(|(n, to)| !good.contains(*n) && to.iter().any(|t| good.contains(t)))
                .map(|(n, _)| n.clone())
                .collect();
            if more.is_empty() {
                break;
            }
            good.extend(more);
        }
        for name in self.file.states.keys().filter(|n| !good.contains(*n)).cloned().collect::<Vec<_>>() {
            self.find("W03", &["states", &name], format!("no end can be reached from `{name}`"));
        }
    }

    /// A loop of automatic edges must have a state with `limit`, or one that asks (its pauses grow).
    fn loops(&mut self) {
        let free: BTreeMap<&String, Vec<String>> = self
            .file
            .states
            .iter()
            .filter(|(_, s)| s.limit.is_none() && s.ask.is_none())
            .map(|(n, s)| (n, self.edges(n, s).automatic))
            .collect();
        for start in free.keys().copied().cloned().collect::<Vec<_>>() {
            let mut seen = BTreeSet::new();
            let mut todo = free[&start].clone();
            let mut turns = false;
            while let Some(name) = todo.pop() {
                if name == start {
                    turns = true;
                    break;
                }
                if let Some(next) = free.get(&name).filter(|_| seen.insert(name.clone())) {
                    todo.extend(next.iter().cloned());
                }
            }
            if turns {
                self.find(
                    "W05",
                    &["states", &start],
                    format!(
                        "`{start}` is in a loop that turns without a person; give one of its states `limit: {{ entries: N, then: … }}`"
                    ),
                );
            }
        }
    }

    fn state(&mut self, name: &str, state: &State) {
        let here = ["states", name];
        match (&state.invoke, state.kind) {
            (Some(step), None) => self.invoking(name, state, step),
            (None, None) if state.after.is_empty() => {
                self.find("W04", &here, format!("`{name}` waits for ever; add `after: {{ 30m: … }}`"));
            }
            (None, Some(Kind::Compensate)) if state.then.is_none() => {
                self.find("W03", &here, format!("`{name}` undoes but names no `then:`"));
            }
            (Some(_), Some(_)) => {
                self.find("W06", &here, format!("`{name}` has both `invoke` and `type`; it can have one"));
            }
            _ => {}
        }
        if state.money.is_some() && !state.after.is_empty() {
            self.find(
                "W10",
                &["states", name, "after"],
                format!("a timer may not leave the money state `{name}`: money would be in the air; route the outcome `unknown` to an ask"),
            );
        }
    }

    fn invoking(&mut self, name: &str, state: &State, step: &str) {
        let here = ["states", name, "invoke"];
        let Some(interface) = (self.interface)(step) else {
            self.find("W06", &here, format!("no step is called `{step}`"));
            return;
        };
        if let Some(class) = state.class.filter(|c| *c != interface.class) {
            self.find(
                "W06",
                &["states", name, "class"],
                format!("`{step}` is {}, not {}", interface.class.as_str(), class.as_str()),
            );
        } else if state.class.is_none() {
            self.find(
                "W06",
                &here,
                format!("say the class of `{step}`: `class: {}`", interface.class.as_str()),
            );
        }
        for outcome in &interface.outcomes {
            if !state.outcomes.contains_key(outcome) {
                let code = if outcome == "unknown" { "W07" } else { "W06" };
                self.find(code, &here, format!("outcome `{outcome}` of `{step}` is not routed"));
            }
        }
        for outcome in state.outcomes.keys() {
            if !interface.outcomes.contains(outcome) {
                self.find(
                    "W06",
                    &["states", name, "outcomes", outcome],
                    format!("`{step}` has no outcome `{outcome}`; it has {}", interface.outcomes.join(", ")),
                );
            }
        }
        let undo = state.compensate.as_deref();
        let none = undo == Some("none");
        if none && state.because.is_none() {
            self.find(
                "W11",
                &["states", name, "compensate"],
                format!("say why `{name}` needs no undo: `because: …`"),
            );
        }
        match undo.filter(|u| *u != "none") {
            Some(undo) if (self.interface)(undo).is_none() => {
                self.find("W06", &["states", name, "compensate"], format!("no step is called `{undo}`"));
            }
            Some(undo) if (self.interface)(undo).is_some_and(|i| !i.outcomes.iter().any(|o| o == "done")) => {
                self.find(
                    "W06",
                    &["states", name, "compensate"],
                    format!("`{undo}` is no undo: it has no outcome `done`"),
                );
            }
            _ => {}
        }
        if matches!(state.money, Some(MoneyMove::Reserve | MoneyMove::Take))
            && undo.is_none_or(|u| u == "none")
            && !state.continues
        {
            self.find(
                "W08",
                &here,
                format!("`{name}` moves money; name the step that gives it back: `compensate: …`"),
            );
        }
        if state.continues && (interface.class != Class::External || !interface.moves_money || undo.is_some())
        {
            self.find(
                "W13",
                &["states", name, "continues"],
                format!("`{name}` goes on with a payment that was sent before: it needs an external step that moves money, and no `compensate`, for that of the payment counts"),
            );
        }
        if interface.class == Class::Transactional && undo.is_none() {
            self.find(
                "W11",
                &here,
                format!("`{name}` writes; add `compensate: STEP`, or `compensate: none` with `because: …`"),
            );
        }
        if let (Some(money), Some(unknown)) = (state.money, state.outcomes.get("unknown"))
            && money != MoneyMove::Ask
        {
            for target in unknown.iter() {
                let ok = self
                    .file
                    .states
                    .get(target.target)
                    .is_some_and(|t| t.money == Some(MoneyMove::Ask) || t.kind == Some(Kind::Manual));
                if !ok {
                    self.find(
                        "W09",
                        &["states", name, "outcomes", "unknown"],
                        format!("`unknown` of the money state `{name}` must lead to a state with `money: ask` or to a person, not to `{}`", target.target),
                    );
                }
            }
        }
        if interface.class == Class::External && state.money.is_none() && interface.moves_money {
            self.find("W08", &here, format!("`{step}` moves money; say so with `money:`"));
        }
        if state.money == Some(MoneyMove::Ask) {
            self.resend(name, state);
        }
        if interface.class == Class::Transactional {
            self.segment(name, state);
        }
    }

    fn resend(&mut self, name: &str, state: &State) {
        for (outcome, targets) in &state.outcomes {
            for target in targets.iter().filter(|t| !t.key_same && t.target != AGAIN) {
                let asked_by = self.file.states.get(target.target).is_some_and(|t| {
                    matches!(t.money, Some(MoneyMove::Reserve | MoneyMove::Take))
                        && t.outcomes.get("unknown").is_some_and(|u| u.iter().any(|u| u.target == name))
                });
                if asked_by {
                    self.find(
                        "W12",
                        &["states", name, "outcomes", outcome],
                        format!("`{}` was asked about and may still arrive; send it again with `{{ target: {}, key: same }}`", target.target, target.target),
                    );
                }
            }
        }
    }

    fn segment(&mut self, name: &str, state: &State) {
        for (outcome, targets) in &state.outcomes {
            for target in targets.iter() {
                let Some(next) = self.file.states.get(target.target) else { continue };
                let class = next.invoke.as_deref().and_then(|s| (self.interface)(s)).map(|i| i.class);
                if matches!(class, Some(Class::Pure | Class::Read | Class::ExternalRead))
                    && next.ask.is_none()
                {
                    self.find(
                        "W21",
                        &["states", name, "outcomes", outcome],
                        format!("`{}` would run a {} step while the transaction of `{name}` is open; put it before `{name}`, or a wait between them", target.target, class.map_or("", Class::as_str)),
                    );
                }
            }
        }
    }

    fn signals(&mut self) {
        let mut used: Vec<(Vec<String>, String)> =
            self.file.on.keys().map(|s| (vec!["on".to_owned(), s.clone()], s.clone())).collect();
        for (name, state) in &self.file.states {
            used.extend(
                state.on.keys().map(|s| {
                    (vec!["states".to_owned(), name.clone(), "on".to_owned(), s.clone()], s.clone())
                }),
            );
        }
        for (path, signal) in used {
            let path: Vec<&str> = path.iter().map(String::as_str).collect();
            if !self.file.signals.contains_key(&signal) {
                self.find(
                    "W22",
                    &path,
                    format!("say who may send `{signal}`: `signals: {{ {signal}: {{ from: shopper }} }}`"),
                );
            }
        }
        for (signal, rule) in &self.file.signals {
            if signal.starts_with("payment.") && !matches!(rule.from, Sender::Gateway | Sender::System) {
                self.find(
                    "W22",
                    &["signals", signal],
                    format!("`{signal}` is a fact about money; only `from: gateway` may send it"),
                );
            }
        }
    }

    fn guards(&mut self) {
        let mut uses: Vec<(Vec<String>, String)> = Vec::new();
        for (name, state) in &self.file.states {
            for (part, map) in [("outcomes", &state.outcomes), ("on", &state.on), ("after", &state.after)] {
                for (key, targets) in map {
                    for when in targets.iter().filter_map(|t| t.when) {
                        uses.push((
                            vec!["states".into(), name.clone(), part.into(), key.clone()],
                            when.to_owned(),
                        ));
                    }
                    if let Some(last) = targets.iter().last().filter(|t| t.when.is_some() && part != "on") {
                        let path = ["states", name.as_str(), part, key.as_str()];
                        self.find(
                            "W06",
                            &path,
                            format!(
                                "`{key}` may match no target: let the last one (`{}`) have no `when`",
                                last.target
                            ),
                        );
                    }
                }
            }
        }
        for (signal, targets) in &self.file.on {
            uses.extend(
                targets
                    .iter()
                    .filter_map(|t| t.when)
                    .map(|w| (vec!["on".into(), signal.clone()], w.to_owned())),
            );
        }
        for (path, guard) in uses {
            let path: Vec<&str> = path.iter().map(String::as_str).collect();
            if !self.file.guards.contains_key(&guard) {
                self.find("W17", &path, format!("no guard is called `{guard}`"));
            }
        }
        for (name, guard) in &self.file.guards {
            for path in guard.paths() {
                if !path.starts_with("context.") {
                    self.find("W17", &["guards", name], format!("`{path}` does not start with `context.`"));
                }
            }
            for state in guard.states() {
                if !self.file.states.contains_key(state) {
                    self.find("W01", &["guards", name], format!("`{state}` is no state of this file"));
                }
            }
        }
    }
}

/// Whether signals are taken in this state: it runs nothing and is not the end.
fn waits(state: &State) -> bool {
    state.kind.is_none() && state.invoke.is_none()
}

fn nearest<'a>(name: &str, all: impl Iterator<Item = &'a String>) -> Option<&'a String> {
    all.map(|candidate| (distance(name, candidate), candidate)).filter(|(d, _)| *d <= 3).min().map(|(_, c)| c)
}

/// Levenshtein distance.
fn distance(a: &str, b: &str) -> usize {
    let b: Vec<char> = b.chars().collect();
    let mut row: Vec<usize> = (0..=b.len()).collect();
    for (i, ca) in a.chars().enumerate() {
        let mut before = row[0];
        row[0] = i + 1;
        for (j, cb) in b.iter().enumerate() {
            let here = (before + usize::from(ca != *cb)).min(row[j] + 1).min(row[j + 1] + 1);
            before = std::mem::replace(&mut row[j + 1], here);
        }
    }
    row[b.len()]
}
