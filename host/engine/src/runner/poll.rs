//! Finds work that is due: timers, asks, retries, kept signals, and what a crashed host left behind.

use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

use uuid::Uuid;

use super::drive::Held;
use super::watch::Sitting;
use super::{Error, Runner};
use crate::decide;
use crate::ports::Store;

/// Instances looked for at once.
const BATCH: i64 = 64;
/// Longest sleep between two looks: other hosts on the same database do not nudge this one.
const SLEEP_MAX: Duration = Duration::from_millis(500);

/// What one look at the store found.
struct Look {
    /// Instances taken up.
    taken: usize,
    /// Instances that are due and driven already.
    seated: usize,
    /// When the next is due, epoch microseconds.
    next_us: i64,
}

impl<S: Store> Runner<S> {
    /// Looks for due instances until the runner is stopped.
    pub async fn poll(self: Arc<Self>) {
        while !self.stopping.load(Ordering::Relaxed) {
            let sleep = match self.poll_once().await {
                Ok(Look { taken: 0, next_us, .. }) => {
                    let until = next_us.saturating_sub(self.clock.now_us()).max(0);
                    Duration::from_micros(until.unsigned_abs()).min(SLEEP_MAX)
                }
                Ok(_) => Duration::from_millis(1),
                Err(error) => {
                    tracing::warn!(%error, "look for due instances");
                    SLEEP_MAX
                }
            };
            let _ = tokio::time::timeout(sleep.max(Duration::from_millis(1)), self.nudge.notified()).await;
        }
    }

    /// Drives what is due now.
    async fn poll_once(self: &Arc<Self>) -> Result<Look, Error> {
        let now_us = self.clock.now_us();
        let (due, next_us) = self.store.due(now_us, BATCH).await?;
        let mut look = Look { taken: 0, seated: 0, next_us };
        for (merchant, uid) in due {
            match self.sit(uid) {
                Some(sitting) => look.taken += usize::from(self.take_up(sitting, &merchant, uid).await?),
                None => look.seated += 1,
            }
        }
        Ok(look)
    }

    async fn take_up(
        self: &Arc<Self>,
        sitting: Sitting<S>,
        merchant: &str,
        uid: Uuid,
    ) -> Result<bool, Error> {
        let Some(loaded) = self.store.load(merchant, uid).await? else { return Ok(false) };
        let now_us = self.clock.now_us();
        if loaded.wake_us > now_us {
            return Ok(false);
        }
        let definition = self.pinned(&loaded.instance.definition).await?;
        let mut held = Held::loaded(definition.clone(), loaded);
        decide::timer(&definition, &mut held.instance, now_us, &mut held.log);
        // A look that finds nothing to do must still move the wake-up time, or it is found again at once.
        held.touch = true;
        held.poked = true;
        self.spawn(sitting, held)?;
        Ok(true)
    }

    /// Stops taking up work and waits until what is driven has come to rest, at most `limit`.
    pub async fn drain(&self, limit: Duration) -> bool {
        self.stopping.store(true, Ordering::Relaxed);
        self.nudge.notify_waiters();
        let empty = async {
            while !self.seats.lock().expect("no holder panics").is_empty() {
                tokio::time::sleep(Duration::from_millis(10)).await;
            }
        };
        tokio::time::timeout(limit, empty).await.is_ok()
    }

    /// Drives everything that is due or comes due by itself until nothing is left at this time of the clock.
    /// For tests with a clock in hand.
    pub async fn settle(self: &Arc<Self>) -> Result<(), Error> {
        loop {
            let look = self.poll_once().await?;
            while !self.seats.lock().expect("no holder panics").is_empty() {
                tokio::time::sleep(Duration::from_millis(1)).await;
            }
            // What was due and sat in its seat may have had its last commit before it was due.
            if look.taken == 0 && look.seated == 0 {
                return Ok(());
            }
        }
    }
}
