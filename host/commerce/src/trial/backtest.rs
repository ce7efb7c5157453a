//! Backtest: a candidate over recorded checkouts, on all cores, and what it would have changed.

use std::collections::{BTreeMap, HashMap};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use serde::Serialize;
use till_engine::step::StepFault;
use till_registry::Bound;
use till_sandbox::{Sandbox, Slot};

use super::{Difference, Recorded, RuleKind, compare, lineup_of, seat, stage_of};
use crate::ask::{Asker, Lineup};
use crate::quote::{Quote, Stage};

/// Checkouts told one by one in a report: those that change most.
const EXAMPLES_MAX: usize = 20;

/// A candidate and those it plays with.
pub struct Backtest {
    /// Runs the components.
    pub sandbox: Arc<Sandbox>,
    /// Slot of the candidate.
    pub slot: Slot,
    /// The candidate, under the name of the place it is to take.
    pub candidate: Arc<Bound>,
    /// The bindings that recorded checkouts need, by digest. A checkout that needs another one is left out.
    pub others: HashMap<String, Arc<Bound>>,
}

/// What the candidate would have changed.
#[derive(Debug, Clone, Default, Serialize)]
pub struct Findings {
    /// Checkouts evaluated.
    pub checkouts: usize,
    /// Checkouts left out, by reason.
    pub skipped: BTreeMap<String, usize>,
    /// Of these, how many would differ in money or reasons.
    pub differing: usize,
    /// Of these, how many the candidate could not answer.
    pub failed: usize,
    /// Money, by currency.
    pub money: BTreeMap<String, MoneyChange>,
    /// By rule: the price of lines is one rule.
    pub rules: Vec<RuleSum>,
    /// Failures, each with how often.
    pub failures: BTreeMap<String, usize>,
    /// The checkouts that change most.
    pub examples: Vec<Example>,
}

/// Sums of one currency, minor units.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize)]
pub struct MoneyChange {
    /// Totals as they were.
    pub before: i128,
    /// Totals with the candidate; those it could not answer stay as they were.
    pub after: i128,
    /// Checkouts whose total rises.
    pub dearer: usize,
    /// Checkouts whose total falls.
    pub cheaper: usize,
}

/// What a rule changes over all checkouts.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct RuleSum {
    /// What it does.
    pub kind: RuleKind,
    /// Its id; `*` for the prices of all lines.
    pub rule: String,
    /// ISO 4217.
    pub currency: String,
    /// Checkouts in which it changes.
    pub checkouts: usize,
    /// Sum of the changes, minor units.
    pub delta: i128,
}

/// A checkout that changes.
#[derive(Debug, Clone, Serialize)]
pub struct Example {
    /// Id of the session.
    pub session: String,
    /// What differs.
    pub difference: Difference,
}

/// A recorded checkout with those that price it.
struct Case {
    record: Recorded,
    lineup: Lineup,
}

impl Backtest {
    /// Evaluates all records on all cores. `done` grows while it works, for whoever shows progress.
    ///
    /// # Errors
    /// There is no thread to work on.
    pub async fn run(
        self: Arc<Self>,
        records: Vec<Recorded>,
        done: Arc<AtomicUsize>,
    ) -> Result<Findings, StepFault> {
        let (mut cases, mut skipped) = (Vec::with_capacity(records.len()), BTreeMap::new());
        for record in records {
            let replaced = Some((self.slot, self.candidate.name.as_str()));
            let (mut lineup, gone) = lineup_of(&record.pins, &record.quote, &self.others, replaced);
            match gone.into_iter().next() {
                Some(why) => {
                    *skipped.entry(why).or_default() += 1;
                    done.fetch_add(1, Ordering::Relaxed);
                }
                None => {
                    seat(&mut lineup, self.slot, self.candidate.clone());
                    cases.push(Case { record, lineup });
                }
            }
        }
        let cores = std::thread::available_parallelism().map_or(1, usize::from);
        let cases = Arc::new(cases);
        let next = Arc::new(AtomicUsize::new(0));
        let wrong = |e: &dyn std::fmt::Display| StepFault::new("backtest", e.to_string());
        let mut threads = Vec::new();
        for n in 0..cores {
            let (test, cases, next, done) = (self.clone(), cases.clone(), next.clone(), done.clone());
            // A component's call is shorter than its way to another thread and back.
            let work = move || {
                let mut found = Vec::new();
                loop {
                    let at = next.fetch_add(1, Ordering::Relaxed);
                    let Some(case) = cases.get(at) else { return found };
                    if let Some(difference) = futures::executor::block_on(test.evaluate(case)) {
                        found.push((at, difference));
                    }
                    done.fetch_add(1, Ordering::Relaxed);
                }
            };
            threads.push(till_sandbox::worker(&format!("till-backtest-{n}"), work).map_err(|e| wrong(&e))?);
        }
        let joined = tokio::task::spawn_blocking(move || {
            threads.into_iter().map(|thread| thread.join()).collect::<Result<Vec<_>, _>>()
        });
        let parts = joined.await.map_err(|e| wrong(&e))?;
        let parts = parts.map_err(|_| wrong(&"a thread panicked"))?;
        let mut found: Vec<_> = parts.into_iter().flatten().collect();
        found.sort_by_key(|(at, _)| *at);
        Ok(Findings { skipped, ..sum(&cases, found) })
    }

    /// What the candidate changes of one checkout.
    async fn evaluate(&self, case: &Case) -> Option<Difference> {
        let before = &case.record.quote;
        match self.price(case).await {
            Ok(Some(after)) => compare(before, &after),
            Ok(None) => None,
            Err(fault) => Some(Difference::failed(before, fault.to_string())),
        }
    }

    /// The quote with the candidate. None: it is the recorded one.
    async fn price(&self, Case { record, lineup }: &Case) -> Result<Option<Quote>, StepFault> {
        let inputs = &record.inputs;
        let asker = Asker {
            sandbox: &self.sandbox,
            registry: None,
            context: record.context(),
            background: false,
            tap: None,
        };
        let stage = stage_of(self.slot)
            .ok_or_else(|| StepFault::new("backtest", "a gateway prices nothing: it has no backtest"))?;
        if stage != Stage::Promotions {
            return asker.go_on(stage, lineup, inputs, record.quote.clone()).await.map(Some);
        }
        let bound = lineup.get(&Slot::Promotion).map_or(&[][..], Vec::as_slice);
        let (quote, _) = asker.stage(Stage::Promotions, bound, inputs, record.quote.clone()).await?;
        let (quote, _) = asker.stage(Stage::Points, &[], inputs, quote).await?;
        if same_goods(&record.quote, &quote) {
            // What comes after depends on these amounts alone: it is as it was.
            return Ok(None);
        }
        asker.go_on(Stage::Shipping, lineup, inputs, quote).await.map(Some)
    }
}

/// Whether goods cost the same, for the same reasons, and shipping has no promotion on either side.
fn same_goods(before: &Quote, after: &Quote) -> bool {
    let lines = |quote: &Quote| -> Vec<(i64, i64)> {
        quote.lines.iter().map(|line| (line.discount, line.points)).collect()
    };
    let shipping = before.discounts.iter().any(|off| !off.shipping.is_empty());
    let trace = |quote: &Quote| -> Vec<String> {
        let of_goods = quote.trace.iter().filter(|entry| entry.stage <= Stage::Points);
        of_goods.map(|entry| format!("{:?} {:?} {:?}", entry.what, entry.subject, entry.reasons)).collect()
    };
    !shipping
        && after.offers.is_empty()
        && lines(before) == lines(after)
        && before.discounts == after.discounts
        && trace(before) == trace(after)
}

fn sum(cases: &[Case], found: Vec<(usize, Difference)>) -> Findings {
    let mut findings = Findings { checkouts: cases.len(), differing: found.len(), ..Findings::default() };
    for Case { record, .. } in cases {
        let total = record.quote.totals.map_or(0, |totals| totals.total);
        let money = findings.money.entry(record.quote.currency.code().to_owned()).or_default();
        money.before += i128::from(total);
        money.after += i128::from(total);
    }
    let mut rules: BTreeMap<(RuleKind, String, String), (usize, i128)> = BTreeMap::new();
    for (_, difference) in &found {
        if let Some(why) = &difference.failure {
            findings.failed += 1;
            *findings.failures.entry(why.clone()).or_default() += 1;
        }
        let money = findings.money.entry(difference.currency.clone()).or_default();
        let delta = difference.delta();
        money.after += i128::from(delta);
        money.dearer += usize::from(delta > 0);
        money.cheaper += usize::from(delta < 0);
        let mut of_checkout: BTreeMap<(RuleKind, String), i128> = BTreeMap::new();
        for change in &difference.rules {
            // Lines differ from cart to cart: their ids say nothing over many.
            let rule = if change.kind == RuleKind::Price { "*".to_owned() } else { change.rule.clone() };
            *of_checkout.entry((change.kind, rule)).or_default() += i128::from(change.delta());
        }
        for ((kind, rule), delta) in of_checkout {
            let sum = rules.entry((kind, rule, difference.currency.clone())).or_default();
            sum.0 += 1;
            sum.1 += delta;
        }
    }
    findings.rules = rules
        .into_iter()
        .map(|((kind, rule, currency), (checkouts, delta))| RuleSum {
            kind,
            rule,
            currency,
            checkouts,
            delta,
        })
        .collect();
    let mut examples: Vec<Example> = found
        .into_iter()
        .map(|(at, difference)| Example { session: cases[at].record.session.clone(), difference })
        .collect();
    examples.sort_by_key(|example| std::cmp::Reverse(example.difference.delta().unsigned_abs()));
    examples.truncate(EXAMPLES_MAX);
    findings.examples = examples;
    findings
}

/// An amount as people read it: `-12.50 USD`.
pub fn shown(currency: &str, minor: i128) -> String {
    let exponent = till_model::money::Currency::from_code(currency).map_or(0, |c| u32::from(c.exponent()));
    let sign = if minor < 0 { "-" } else { "" };
    let (minor, unit) = (minor.unsigned_abs(), 10_u128.pow(exponent));
    if exponent == 0 {
        return format!("{sign}{minor} {currency}");
    }
    let width = exponent as usize;
    format!("{sign}{}.{:0width$} {currency}", minor / unit, minor % unit)
}
