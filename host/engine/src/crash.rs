//! Named places where a test can end the process, to prove that nothing is lost there.
//!
//! `TILL_CRASH_AT=name` or `name:n` (the n-th time, from 1) aborts the process at that point. Only in
//! builds with debug assertions: a release build has no such door.

#[cfg(debug_assertions)]
use std::sync::OnceLock;
#[cfg(debug_assertions)]
use std::sync::atomic::{AtomicU32, Ordering};

#[cfg(debug_assertions)]
static PLAN: OnceLock<Option<(String, u32)>> = OnceLock::new();
#[cfg(debug_assertions)]
static PASSED: AtomicU32 = AtomicU32::new(0);

/// Ends the process here if the environment says so.
#[inline]
pub fn point(name: &str) {
    #[cfg(debug_assertions)]
    {
        let plan = PLAN.get_or_init(|| {
            let text = std::env::var("TILL_CRASH_AT").ok()?;
            let (name, nth) = text.rsplit_once(':').unwrap_or((text.as_str(), "1"));
            Some((name.to_owned(), nth.parse().unwrap_or(1)))
        });
        if let Some((at, nth)) = plan
            && at == name
            && PASSED.fetch_add(1, Ordering::Relaxed) + 1 == *nth
        {
            eprintln!("crash point {name}:{nth}");
            std::process::abort();
        }
    }
    #[cfg(not(debug_assertions))]
    let _ = name;
}

/// How a part goes wrong because a test wants it so.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Planned {
    /// It fails.
    Fails,
    /// It never answers.
    Hangs,
}

/// Whether the environment says that a part goes wrong: `TILL_FAIL_AT=loyalty,preferences:hangs`. As [`point`], only in
/// builds with debug assertions.
#[inline]
#[must_use]
pub fn planned(name: &str) -> Option<Planned> {
    #[cfg(debug_assertions)]
    {
        static PARTS: OnceLock<Vec<(String, Planned)>> = OnceLock::new();
        let parts = PARTS.get_or_init(|| {
            let text = std::env::var("TILL_FAIL_AT").unwrap_or_default();
            let parts =
                text.split(',').filter(|part| !part.is_empty()).map(|part| match part.split_once(':') {
                    Some((name, "hangs")) => (name.to_owned(), Planned::Hangs),
                    _ => (part.to_owned(), Planned::Fails),
                });
            parts.collect()
        });
        parts.iter().find(|(part, _)| part == name).map(|(_, how)| *how)
    }
    #[cfg(not(debug_assertions))]
    {
        let _ = name;
        None
    }
}
