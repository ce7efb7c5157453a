//! Shadows and canaries: a component on trial beside the active one.
//!
//! A canary takes a stable share of the checkouts, by a hash of the session. Each host counts what its calls do,
//! adds that to the store, and looks at the sum of all hosts: past a threshold the canary goes back by itself.

use std::collections::HashMap;
use std::sync::Mutex;

use serde::{Deserialize, Serialize};
use sha2::{Digest as _, Sha256};
use till_sandbox::Slot;
use till_store::tables::trial::{DifferenceRow, TrialCount, TrialKey};
use uuid::Uuid;

use crate::change::{Act, Turn, read_trial};
use crate::{Error, Registry};

/// Parts per million in one.
pub const PPM: u32 = 1_000_000;

/// How a component is tried out.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum TrialKind {
    /// It runs beside the active one, off the shopper's path; what it would change is recorded.
    Shadow,
    /// A share of the checkouts uses it.
    Canary,
}

/// When a canary goes back by itself.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields, default)]
pub struct Guard {
    /// Calls before anything is judged.
    pub calls_min: u32,
    /// More failed calls than this share of all send it back, parts per million.
    pub failures_max_ppm: u32,
    /// A call that takes longer is slow, milliseconds of wall time.
    pub time_max_ms: u32,
    /// More slow calls than this share of all send it back, parts per million.
    pub slow_max_ppm: u32,
}

/// Twenty calls tell a broken component from bad luck; 2 % failures are more than any honest one has; a pure call
/// takes less than 1 ms, so 250 ms leave room for a busy machine.
impl Default for Guard {
    fn default() -> Guard {
        Guard { calls_min: 20, failures_max_ppm: 20_000, time_max_ms: 250, slow_max_ppm: 100_000 }
    }
}

impl Guard {
    /// What suits a slot: a gateway waits for its provider, who may take seconds.
    pub fn of(slot: Slot) -> Guard {
        if slot.is_pure() { Guard::default() } else { Guard { time_max_ms: 5_000, ..Guard::default() } }
    }
}

/// A component on trial.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Trial {
    /// Shadow or canary.
    pub kind: TrialKind,
    /// Digest of its binding.
    pub digest: String,
    /// Share of the checkouts that use it, parts per million; 0 for a shadow.
    #[serde(default)]
    pub share_ppm: u32,
    /// When it goes back by itself.
    #[serde(default)]
    pub guard: Guard,
    /// It falls back on the active one because its pusher named no policy.
    #[serde(default)]
    pub fallback_implied: bool,
}

impl Trial {
    /// Whether a checkout uses the canary. Growing the share keeps those that were in.
    pub(crate) fn takes(&self, slot: Slot, name: &str, session: &str) -> bool {
        if self.kind != TrialKind::Canary {
            return false;
        }
        let hash = Sha256::digest(format!("{slot}/{name}/{session}"));
        let head = hash.iter().take(8).fold(0_u64, |all, byte| all << 8 | u64::from(*byte));
        head % u64::from(PPM) < u64::from(self.share_ppm)
    }

    /// Why the counts send the canary back. None: they do not.
    pub fn verdict(&self, count: &TrialCount) -> Option<String> {
        let guard = self.guard;
        if self.kind != TrialKind::Canary || count.calls < i64::from(guard.calls_min) {
            return None;
        }
        let above =
            |n: i64, ppm: u32| n.saturating_mul(i64::from(PPM)) > count.calls.saturating_mul(i64::from(ppm));
        let share = |ppm: u32| format!("{}.{:02} %", ppm / 10_000, ppm % 10_000 / 100);
        if above(count.failed, guard.failures_max_ppm) {
            let most = share(guard.failures_max_ppm);
            return Some(format!("{} of {} calls failed; at most {most} may", count.failed, count.calls));
        }
        if above(count.slow, guard.slow_max_ppm) {
            let (most, ms) = (share(guard.slow_max_ppm), guard.time_max_ms);
            return Some(format!(
                "{} of {} calls took longer than {ms} ms; at most {most} may",
                count.slow, count.calls
            ));
        }
        None
    }
}

pub(crate) fn check_share(share_ppm: u32) -> Result<(), Error> {
    if (1..=PPM).contains(&share_ppm) {
        return Ok(());
    }
    Err(Error::field("sharePpm", format!("{share_ppm} parts per million; 1 to {PPM} are allowed")))
}

/// How a call of a component on trial ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Ended {
    /// Trap, limit, its own error, or a broken promise.
    pub failed: bool,
    /// Wall time, microseconds.
    pub elapsed_us: u64,
}

/// Differences of one trial that are kept with all their rules, the newest. Older ones are counted only: a shadow that
/// differs in every checkout would fill the disk with what ten thousand tell.
pub const DIFFERENCES_KEPT: i64 = 10_000;
/// How long a difference is kept: 30 days.
pub const DIFFERENCES_KEPT_US: i64 = 30 * 24 * 3_600 * 1_000_000;
/// Differences that a host writes of one trial before it takes away those that are too many.
const WRITTEN_MAX: u32 = 1_000;
/// Differences taken away in one transaction, so that no other writer waits long.
const DROPPED_MAX: i64 = 500;

/// What this host counted and has not yet added to the store, by merchant and trial.
#[derive(Default)]
pub(crate) struct Tallies {
    counts: Mutex<HashMap<(String, TrialKey), TrialCount>>,
    written: Mutex<HashMap<(String, TrialKey), u32>>,
}

impl Tallies {
    /// Counts a difference that was written. True: it is time to look for those that are too many.
    fn wrote(&self, merchant: &str, key: &TrialKey) -> bool {
        let mut all = self.written.lock().expect("no holder panics");
        // Earlier trials of the place are over.
        all.retain(|(owner, other), _| {
            owner != merchant
                || other.slot != key.slot
                || other.name != key.name
                || other.revision >= key.revision
        });
        let written = all.entry((merchant.to_owned(), key.clone())).or_default();
        *written = (*written + 1) % WRITTEN_MAX;
        *written == 0
    }

    fn add(&self, merchant: &str, key: TrialKey, more: &TrialCount) {
        let mut all = self.counts.lock().expect("no holder panics");
        let sum = all.entry((merchant.to_owned(), key)).or_default();
        sum.calls += more.calls;
        sum.failed += more.failed;
        sum.slow += more.slow;
        sum.elapsed_us = sum.elapsed_us.saturating_add(more.elapsed_us);
        sum.compared += more.compared;
        sum.differing += more.differing;
        for (currency, delta) in &more.deltas {
            let sum = sum.deltas.entry(currency.clone()).or_default();
            *sum = sum.saturating_add(*delta);
        }
    }

    fn take(&self) -> HashMap<(String, TrialKey), TrialCount> {
        std::mem::take(&mut *self.counts.lock().expect("no holder panics"))
    }
}

/// A trial with what it has done.
#[derive(Debug, Clone)]
pub struct TrialReport {
    /// The trial.
    pub trial: Trial,
    /// Revision of the binding it began with.
    pub revision: i64,
    /// What it did.
    pub count: TrialCount,
}

/// Where one difference stands among those of a place.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct DifferencePlace {
    /// Revision of the binding that the trial began with.
    pub revision: i64,
    /// Epoch microseconds.
    pub at_us: i64,
    /// Checkout.
    pub uid: Uuid,
}

impl Registry {
    /// Counts a call, if its binding is on trial. Cheap when nothing is.
    pub async fn count_call(&self, merchant: &str, slot: Slot, name: &str, digest: &str, ended: Ended) {
        let Ok(state) = self.in_use(merchant).await else { return };
        let Some((key, trial)) = state.trial_of(slot, name, digest) else { return };
        let slow = !ended.failed && ended.elapsed_us > u64::from(trial.guard.time_max_ms) * 1_000;
        let more = TrialCount {
            calls: 1,
            failed: i64::from(ended.failed),
            slow: i64::from(slow),
            elapsed_us: i64::try_from(ended.elapsed_us).unwrap_or(i64::MAX),
            ..TrialCount::default()
        };
        self.tallies.add(merchant, key, &more);
    }

    /// Records a comparison of a shadow's quote with the one that was made, and the difference of their totals.
    pub async fn count_comparison(
        &self,
        merchant: &str,
        key: &TrialKey,
        (currency, delta): (&str, i64),
        difference: Option<DifferenceRow>,
    ) -> Result<(), Error> {
        let differing = i64::from(difference.is_some());
        let deltas = (delta != 0).then(|| (currency.to_owned(), delta)).into_iter().collect();
        let more = TrialCount { compared: 1, differing, deltas, ..TrialCount::default() };
        self.tallies.add(merchant, key.clone(), &more);
        let Some(row) = difference else { return Ok(()) };
        let (owner, place) = (merchant.to_owned(), key.clone());
        let put = self.store.transact(move |tx| {
            let (owner, place, row) = (owner.clone(), place.clone(), row.clone());
            Box::pin(async move { tx.put_difference(&owner, &place, &row).await })
        });
        put.await?;
        if self.tallies.wrote(merchant, key) {
            self.drop_differences(merchant, key, i64::MIN).await?;
        }
        Ok(())
    }

    /// Takes the differences of all trials away that are too old or too many. Gives how many.
    pub(crate) async fn collect_differences(&self, now_us: i64) -> Result<u64, Error> {
        let mut dropped = 0;
        let mut at = (String::new(), TrialKey { slot: String::new(), name: String::new(), revision: 0 });
        loop {
            let Some(next) = self.store.read().await?.next_that_differs(&at).await? else {
                return Ok(dropped);
            };
            dropped += self.drop_differences(&next.0, &next.1, now_us - DIFFERENCES_KEPT_US).await?;
            at = next;
        }
    }

    /// Takes differences of a trial away: those before a time, and those that are too many.
    async fn drop_differences(&self, merchant: &str, key: &TrialKey, before_us: i64) -> Result<u64, Error> {
        let many = self.store.read().await?.difference_past(merchant, key, DIFFERENCES_KEPT).await?;
        let upto = many.unwrap_or((i64::MIN, Uuid::nil())).max((before_us.saturating_sub(1), Uuid::max()));
        let mut all = 0;
        loop {
            let (owner, place) = (merchant.to_owned(), key.clone());
            let drop = self.store.transact(move |tx| {
                let (owner, place) = (owner.clone(), place.clone());
                Box::pin(async move { tx.drop_differences(&owner, &place, upto, DROPPED_MAX).await })
            });
            let dropped = drop.await?;
            all += dropped;
            if i64::try_from(dropped).is_ok_and(|dropped| dropped < DROPPED_MAX) {
                return Ok(all);
            }
        }
    }

    /// Says that a comparison was left out because too many waited.
    pub fn leave_out(&self, merchant: &str) {
        *self.left_out.lock().expect("no holder panics").entry(merchant.to_owned()).or_default() += 1;
    }

    /// Comparisons of a merchant that this host left out since it started.
    pub fn left_out(&self, merchant: &str) -> u64 {
        self.left_out.lock().expect("no holder panics").get(merchant).copied().unwrap_or(0)
    }

    /// Adds this host's counts to the store and sends canaries back that are past a threshold. To be called
    /// several times a second. Gives what was sent back, as `slot/name: why`.
    pub async fn tend(&self, now_us: i64) -> Result<Vec<String>, Error> {
        let (mut returned, mut failed) = (Vec::new(), None);
        for ((merchant, key), more) in self.tallies.take() {
            // One merchant's trouble does not blind the others' guards.
            match self.tend_one(&merchant, &key, more, now_us).await {
                Ok(back) => returned.extend(back),
                Err(error) => failed = Some(error),
            }
        }
        failed.map_or(Ok(returned), Err)
    }

    async fn tend_one(
        &self,
        merchant: &str,
        key: &TrialKey,
        more: TrialCount,
        now_us: i64,
    ) -> Result<Option<String>, Error> {
        let (owner, place, add) = (merchant.to_owned(), key.clone(), more.clone());
        let sum = self.store.transact(move |tx| {
            let (owner, place, add) = (owner.clone(), place.clone(), add.clone());
            Box::pin(async move {
                tx.add_trial(&owner, &place, &add).await?;
                tx.trial(&owner, &place).await
            })
        });
        let sum = match sum.await {
            Ok(sum) => sum,
            Err(error) => {
                self.tallies.add(merchant, key.clone(), &more); // Counted at the next time.
                return Err(error.into());
            }
        };
        let state = self.in_use(merchant).await?;
        let Some((slot, trial)) = state.trial_at(key) else { return Ok(None) };
        let Some(why) = trial.verdict(&sum) else { return Ok(None) };
        let turn = Turn { slot, name: key.name.clone(), who: "till".to_owned(), why: why.clone() };
        match self.end_trial(merchant, &turn, Act::Return, Some(key.revision), now_us).await {
            Ok(_) => {
                tracing::warn!(merchant, slot = %slot, name = key.name, why, "a canary goes back");
                Ok(Some(format!("{slot}/{}: {why}", key.name)))
            }
            Err(Error::NotNow { .. }) => Ok(None), // Somebody was faster.
            Err(error) => Err(error),
        }
    }

    /// The trial of a binding with its counts; the one under way, or the last one.
    pub async fn trial(&self, merchant: &str, slot: Slot, name: &str) -> Result<TrialReport, Error> {
        let none = || Error::NotFound { what: "trial", id: format!("{slot}/{name}") };
        let mut tx = self.store.read().await?;
        let rows = tx.binding_history(merchant, slot.as_str(), name, i64::MAX, 200).await?;
        let row = rows.iter().find(|row| !row.trial.is_empty()).ok_or_else(none)?;
        let trial = read_trial(&row.trial)?.ok_or_else(none)?;
        let key = TrialKey { slot: slot.to_string(), name: name.to_owned(), revision: row.revision };
        let count = tx.trial(merchant, &key).await?;
        Ok(TrialReport { trial, revision: row.revision, count })
    }

    /// What a shadow would have made differently, newest first, after that which `after` names. Of the trial under
    /// way or the last one; going on stays with the trial it began with.
    pub async fn differences(
        &self,
        merchant: &str,
        slot: Slot,
        name: &str,
        after: Option<DifferencePlace>,
        limit: i64,
    ) -> Result<(i64, Vec<DifferenceRow>), Error> {
        let DifferencePlace { revision, at_us, uid } = match after {
            Some(after) => after,
            None => {
                let revision = self.trial(merchant, slot, name).await?.revision;
                DifferencePlace { revision, at_us: i64::MAX, uid: Uuid::max() }
            }
        };
        let key = TrialKey { slot: slot.to_string(), name: name.to_owned(), revision };
        Ok((revision, self.store.read().await?.differences(merchant, &key, (at_us, uid), limit).await?))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn canary(share_ppm: u32) -> Trial {
        let guard = Guard::default();
        Trial { kind: TrialKind::Canary, digest: "d".to_owned(), share_ppm, guard, fallback_implied: false }
    }

    #[test]
    fn a_canary_takes_its_share_and_keeps_whom_it_has_when_it_grows() {
        let sessions: Vec<String> = (0..20_000).map(|n| format!("chk_{n}")).collect();
        let taken = |share| -> Vec<&String> {
            sessions.iter().filter(|s| canary(share).takes(Slot::Promotion, "10", s)).collect()
        };
        let (few, more) = (taken(50_000), taken(200_000));
        assert!((850..1_150).contains(&few.len()), "{}", few.len());
        assert!((3_700..4_300).contains(&more.len()), "{}", more.len());
        assert!(few.iter().all(|session| more.contains(session)));
        assert_eq!(taken(PPM).len(), sessions.len());
        let elsewhere = sessions.iter().filter(|s| canary(50_000).takes(Slot::Promotion, "20", s));
        assert_ne!(elsewhere.collect::<Vec<_>>(), few, "each binding has its own share");
    }

    #[test]
    fn a_canary_is_judged_by_failures_and_time_after_some_calls() {
        let count = |calls, failed, slow| TrialCount { calls, failed, slow, ..TrialCount::default() };
        let trial = canary(50_000);
        assert_eq!(trial.verdict(&count(19, 19, 0)), None);
        assert_eq!(trial.verdict(&count(20, 20, 0)).unwrap(), "20 of 20 calls failed; at most 2.00 % may");
        assert_eq!(trial.verdict(&count(100, 2, 10)), None);
        assert!(trial.verdict(&count(100, 3, 0)).is_some());
        assert!(trial.verdict(&count(100, 0, 11)).unwrap().contains("longer than 250 ms"));
        assert_eq!(Trial { kind: TrialKind::Shadow, ..trial }.verdict(&count(100, 100, 0)), None);
    }
}
