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
