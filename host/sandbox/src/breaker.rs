//! Circuit breakers: an origin that fails again and again is left alone for a while.
//!
//! One for each merchant and origin, in the memory of this process: another host of the same shop learns by itself. What
//! is refused was not sent, which whoever called may take for granted. Time is handed in, as milliseconds of the call's
//! own clock.

use crate::Origin;
use serde::{Deserialize, Serialize};
use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use tokio::time::Instant;

/// Origins watched. Each takes some hundred bytes; a merchant has two or three.
const ORIGINS_MAX: usize = 10_000;

/// When a breaker opens, and for how long.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct BreakerRule {
    /// Failures in a row that open it, at least 1.
    pub threshold: u32,
    /// After so many milliseconds one request is let through to see.
    pub cool_down_ms: u64,
}

/// What a breaker does with requests.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "SCREAMING_SNAKE_CASE")]
pub enum BreakerState {
    /// They are sent.
    Closed,
    /// They are refused before they are sent.
    Open,
    /// One has been let through; the others wait for what becomes of it.
    HalfOpen,
}

/// A breaker as operators see it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct BreakerView {
    /// Where the requests go.
    pub origin: String,
    /// What it does.
    pub state: BreakerState,
    /// Failures in a row.
    pub failures: u32,
    /// In this state since, milliseconds since 1970.
    pub since_ms: u64,
    /// Open: lets a request through from then on.
    pub opens_again_ms: Option<u64>,
}

/// What became of a request that was let through.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Verdict {
    /// The other side answered, if only with a refusal.
    Answered,
    /// No connection, no complete answer, or a status from 500 on.
    Failed,
    /// Nothing can be said of the other side.
    Neither,
}

/// Leave to send one request. Told again with its verdict.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Pass {
    /// Changes of state before it: what was sent before the last one says nothing about this one.
    round: u64,
}

/// One origin.
#[derive(Clone, Debug)]
struct Breaker {
    state: BreakerState,
    failures: u32,
    since_ms: u64,
    /// When it opened last; only looked at while it is not closed.
    opened_ms: u64,
    rule: BreakerRule,
    round: u64,
}

impl Breaker {
    fn new(rule: BreakerRule, now_ms: u64) -> Breaker {
        Breaker { state: BreakerState::Closed, failures: 0, since_ms: now_ms, opened_ms: 0, rule, round: 0 }
    }

    /// Whether a request may be sent now; else from when on. An ask changes nothing on the other side and is wanted
    /// where something is in the air: it may look before the cool-down is over.
    fn admit(&mut self, rule: BreakerRule, asks: bool, now_ms: u64) -> Result<Pass, u64> {
        self.rule = rule;
        let again_ms = self.opened_ms.saturating_add(rule.cool_down_ms);
        match self.state {
            BreakerState::Closed => {}
            // A clock that was set back must not keep it open.
            BreakerState::Open if asks || self.opened_ms.abs_diff(now_ms) >= rule.cool_down_ms => {
                self.turn(BreakerState::HalfOpen, now_ms);
            }
            BreakerState::Open | BreakerState::HalfOpen => return Err(again_ms),
        }
        Ok(Pass { round: self.round })
    }

    fn settle(&mut self, pass: Pass, verdict: Verdict, now_ms: u64) {
        if pass.round != self.round {
            return;
        }
        match (verdict, self.state) {
            (Verdict::Answered, state) => {
                self.failures = 0;
                if state != BreakerState::Closed {
                    self.turn(BreakerState::Closed, now_ms);
                }
            }
            (Verdict::Failed, state) => {
                self.failures = self.failures.saturating_add(1);
                if state == BreakerState::HalfOpen || self.failures >= self.rule.threshold {
                    self.opened_ms = now_ms;
                    self.turn(BreakerState::Open, now_ms);
                }
            }
            // The next one may look in its place.
            (Verdict::Neither, BreakerState::HalfOpen) => self.turn(BreakerState::Open, now_ms),
            (Verdict::Neither, _) => {}
        }
    }

    fn turn(&mut self, state: BreakerState, now_ms: u64) {
        self.state = state;
        self.since_ms = now_ms;
        self.round += 1;
    }

    fn view(&self, origin: &str) -> BreakerView {
        let open = self.state == BreakerState::Open;
        BreakerView {
            origin: origin.to_owned(),
            state: self.state,
            failures: self.failures,
            since_ms: self.since_ms,
            opens_again_ms: open.then(|| self.opened_ms.saturating_add(self.rule.cool_down_ms)),
        }
    }
}

/// All breakers of a process.
#[derive(Default)]
pub(crate) struct Breakers(Mutex<HashMap<(String, String), Breaker>>);

impl Breakers {
    fn lock(&self) -> MutexGuard<'_, HashMap<(String, String), Breaker>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The breakers of a merchant, by origin.
    pub(crate) fn of(&self, merchant: &str) -> Vec<BreakerView> {
        let all = self.lock();
        let mut own: Vec<BreakerView> = all
            .iter()
            .filter(|((owner, _), _)| owner == merchant)
            .map(|((_, origin), breaker)| breaker.view(origin))
            .collect();
        own.sort_by(|a, b| a.origin.cmp(&b.origin));
        own
    }
}

/// The breakers as one call meets them.
#[derive(Clone)]
pub(crate) struct Watch {
    breakers: Arc<Breakers>,
    merchant: String,
    rule: BreakerRule,
    asks: bool,
    begun_ms: u64,
    begun: Instant,
}

impl Watch {
    /// For a call that began now, at this time of its own clock.
    pub(crate) fn new(
        breakers: Arc<Breakers>,
        merchant: &str,
        rule: BreakerRule,
        asks: bool,
        now_ms: u64,
    ) -> Watch {
        let merchant = merchant.to_owned();
        Watch { breakers, merchant, rule, asks, begun_ms: now_ms, begun: Instant::now() }
    }

    fn now_ms(&self) -> u64 {
        let passed = u64::try_from(self.begun.elapsed().as_millis()).unwrap_or(u64::MAX);
        self.begun_ms.saturating_add(passed)
    }

    /// Leave to send a request to this origin.
    ///
    /// # Errors
    /// Refused; in so many milliseconds one may be let through.
    pub(crate) fn admit(&self, origin: &Origin) -> Result<Watched, u64> {
        let key = (self.merchant.clone(), origin.to_string());
        let now_ms = self.now_ms();
        let mut all = self.breakers.lock();
        if all.len() >= ORIGINS_MAX && !all.contains_key(&key) {
            all.retain(|_, breaker| breaker.state != BreakerState::Closed || breaker.failures > 0);
        }
        let breaker = all.entry(key.clone()).or_insert_with(|| Breaker::new(self.rule, now_ms));
        let admitted = breaker.admit(self.rule, self.asks, now_ms);
        drop(all);
        match admitted {
            Ok(pass) => Ok(Watched { watch: self.clone(), key, pass, verdict: Verdict::Neither }),
            Err(again_ms) => Err(again_ms.saturating_sub(now_ms)),
        }
    }
}

/// A request that was let through. Whoever drops it before its end says nothing about the other side.
pub(crate) struct Watched {
    watch: Watch,
    key: (String, String),
    pass: Pass,
    verdict: Verdict,
}

impl Watched {
    /// Tells what became of it.
    pub(crate) fn settle(mut self, verdict: Verdict) {
        self.verdict = verdict;
    }
}

impl Drop for Watched {
    fn drop(&mut self) {
        let now_ms = self.watch.now_ms();
        if let Some(breaker) = self.watch.breakers.lock().get_mut(&self.key) {
            breaker.settle(self.pass, self.verdict, now_ms);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    const RULE: BreakerRule = BreakerRule { threshold: 3, cool_down_ms: 1_000 };

    fn send(breaker: &mut Breaker, verdict: Verdict, now_ms: u64) {
        let pass = breaker.admit(RULE, false, now_ms).unwrap();
        breaker.settle(pass, verdict, now_ms);
    }

    fn opened(now_ms: u64) -> Breaker {
        let mut breaker = Breaker::new(RULE, 0);
        for _ in 0..RULE.threshold {
            assert_eq!(breaker.state, BreakerState::Closed);
            send(&mut breaker, Verdict::Failed, now_ms);
        }
        breaker
    }

    #[test]
    fn it_opens_after_failures_in_a_row_and_lets_one_look_after_the_cool_down() {
        let mut breaker = opened(500);
        assert_eq!(breaker.admit(RULE, false, 1_499), Err(1_500));
        assert_eq!(breaker.view("o").opens_again_ms, Some(1_500));
        let probe = breaker.admit(RULE, false, 1_500).unwrap();
        assert_eq!(breaker.state, BreakerState::HalfOpen);
        assert!(breaker.admit(RULE, true, 1_500).is_err(), "one at a time");
        breaker.settle(probe, Verdict::Failed, 1_600);
        assert_eq!((breaker.state, breaker.admit(RULE, false, 2_599)), (BreakerState::Open, Err(2_600)));
        send(&mut breaker, Verdict::Answered, 2_600);
        assert_eq!((breaker.state, breaker.failures), (BreakerState::Closed, 0));
    }

    #[test]
    fn an_answer_between_failures_begins_the_count_anew() {
        let mut breaker = Breaker::new(RULE, 0);
        for verdict in [Verdict::Failed, Verdict::Failed, Verdict::Answered, Verdict::Failed, Verdict::Failed]
        {
            send(&mut breaker, verdict, 1);
        }
        assert_eq!((breaker.state, breaker.failures), (BreakerState::Closed, 2));
    }

    #[test]
    fn an_ask_may_look_before_the_cool_down_is_over() {
        let mut breaker = opened(0);
        let probe = breaker.admit(RULE, true, 1).unwrap();
        breaker.settle(probe, Verdict::Answered, 2);
        assert!(breaker.admit(RULE, false, 3).is_ok());
    }

    #[test]
    fn a_look_that_was_cut_off_leaves_it_to_the_next_one() {
        let mut breaker = opened(0);
        let probe = breaker.admit(RULE, false, 1_000).unwrap();
        breaker.settle(probe, Verdict::Neither, 1_001);
        assert_eq!(breaker.state, BreakerState::Open);
        assert!(breaker.admit(RULE, false, 1_001).is_ok());
    }

    proptest! {
        /// Requests of any kind, with any verdict, settled in any order, under a clock that goes on.
        #[test]
        fn whatever_comes_one_probe_is_out_at_a_time_and_it_recovers(
            steps in prop::collection::vec((any::<bool>(), any::<bool>(), 0..3_u8, 0..700_u64, 0..8_usize), 0..200)
        ) {
            let mut breaker = Breaker::new(RULE, 0);
            let mut out: Vec<(Pass, bool)> = Vec::new();
            let (mut now, mut in_a_row) = (0, 0_u32);
            for (begins, asks, verdict, passed, which) in steps {
                now += passed;
                if begins {
                    let before = breaker.clone();
                    match breaker.admit(RULE, asks, now) {
                        Ok(pass) => {
                            let probe = before.state != BreakerState::Closed;
                            if probe {
                                prop_assert_eq!(before.state, BreakerState::Open);
                                prop_assert!(asks || now >= before.opened_ms + RULE.cool_down_ms);
                            }
                            out.push((pass, probe));
                        }
                        Err(again) => {
                            prop_assert_ne!(before.state, BreakerState::Closed);
                            prop_assert!(before.state == BreakerState::HalfOpen || (!asks && now < again));
                            prop_assert_eq!(before.round, breaker.round, "a refusal changes nothing");
                        }
                    }
                } else if !out.is_empty() {
                    let (pass, _) = out.swap_remove(which % out.len());
                    let verdict = [Verdict::Answered, Verdict::Failed, Verdict::Neither][usize::from(verdict)];
                    let (counts, closed) = (pass.round == breaker.round, breaker.state == BreakerState::Closed);
                    breaker.settle(pass, verdict, now);
                    if counts && closed {
                        in_a_row = match verdict {
                            Verdict::Answered => 0,
                            Verdict::Failed => in_a_row + 1,
                            Verdict::Neither => in_a_row,
                        };
                        prop_assert_eq!(breaker.state == BreakerState::Open, in_a_row >= RULE.threshold);
                    }
                    if breaker.state != BreakerState::Closed || (counts && !closed) {
                        in_a_row = 0;
                    }
                }
                let probes = out.iter().filter(|(pass, probe)| *probe && pass.round == breaker.round).count();
                prop_assert_eq!(probes, usize::from(breaker.state == BreakerState::HalfOpen));
            }
            // The other side is well again: whoever was out is lost, and after the cool-down it closes.
            for (pass, _) in out {
                breaker.settle(pass, Verdict::Neither, now);
            }
            send(&mut breaker, Verdict::Answered, now + RULE.cool_down_ms);
            prop_assert_eq!((breaker.state, breaker.failures), (BreakerState::Closed, 0));
        }
    }
}
