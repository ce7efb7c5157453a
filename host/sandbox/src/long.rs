//! Merchants whose guests work long: they are served by threads that give way to whoever serves the others.

use std::collections::HashMap;
use std::time::{Duration, Instant};

use rustix::time::{ClockId, clock_gettime};

/// Processor time. A call of a Rust guest takes 0.1 ms, of a Python guest 2; all the fuel there is lasts 40 to 120.
pub(crate) const LONG: Duration = Duration::from_millis(20);
/// For so long after a long call its merchant's calls count as long.
pub(crate) const LONG_FOR: Duration = Duration::from_secs(10);
/// How far their threads give way.
const NICENESS: i32 = 15;

/// Who they are.
#[derive(Default)]
pub(crate) struct Long {
    until: HashMap<String, Instant>,
}

impl Long {
    pub(crate) fn is(&self, merchant: &str, now: Instant) -> bool {
        self.until.get(merchant).is_some_and(|until| *until > now)
    }

    /// A guest of the merchant has worked for [`LONG`].
    pub(crate) fn note(&mut self, merchant: String, now: Instant) {
        self.until.retain(|_, until| *until > now);
        self.until.insert(merchant, now + LONG_FOR);
    }
}

/// Processor time of this thread. A guest that waits for the processor because others work is not slow itself.
pub(crate) fn worked() -> Duration {
    let time = clock_gettime(ClockId::ThreadCPUTime);
    let (s, ns) = (u64::try_from(time.tv_sec).unwrap_or(0), u32::try_from(time.tv_nsec).unwrap_or(0));
    Duration::new(s, ns)
}

/// Makes this thread give way to the others.
pub(crate) fn step_back() {
    // On Linux this is the thread's own. Where it cannot be had, the turns are left.
    let _ = rustix::process::nice(NICENESS);
}
