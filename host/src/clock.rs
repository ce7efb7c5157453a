//! The one place that reads the wall clock.

use till_engine::ports::Clock;

/// The machine's clock.
pub struct SystemClock;

impl Clock for SystemClock {
    fn now_us(&self) -> i64 {
        #[expect(clippy::disallowed_methods, reason = "this is the clock that everybody else is handed")]
        let now = std::time::SystemTime::now();
        let since = now.duration_since(std::time::UNIX_EPOCH).unwrap_or_default();
        i64::try_from(since.as_micros()).unwrap_or(i64::MAX).saturating_add(ahead_us())
    }
}

/// How far a test wants this host to be ahead of the machine: `TILL_CLOCK_AHEAD_S=86400`. Only in builds with debug
/// assertions, as the crash points: a release build goes by the machine's clock.
#[inline]
fn ahead_us() -> i64 {
    #[cfg(debug_assertions)]
    {
        static AHEAD_US: std::sync::OnceLock<i64> = std::sync::OnceLock::new();
        *AHEAD_US.get_or_init(|| {
            let seconds = std::env::var("TILL_CLOCK_AHEAD_S").ok().and_then(|text| text.parse::<i64>().ok());
            seconds.unwrap_or(0).saturating_mul(1_000_000)
        })
    }
    #[cfg(not(debug_assertions))]
    {
        0
    }
}
