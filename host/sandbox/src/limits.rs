//! How much a guest may use: each number with its reason, and the memory limiter that records why.

use serde::{Deserialize, Serialize};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use wasmtime::ResourceLimiter;

/// Largest binary taken in. Python guests with their interpreter are 18 MiB.
pub const COMPONENT_BYTES_MAX: usize = 32 << 20;
/// Linear memory of all a guest's modules together. Holds a Python interpreter eight times over.
pub const MEMORY_BYTES_MAX: u64 = 128 << 20;
/// Linear memory of all gateway calls of one merchant that run at one time: they wait for the network with their
/// memory in hand. Forty calls of a Rust gateway take 50 MiB.
pub const GATEWAY_MEMORY_BYTES_MAX: u64 = 512 << 20;
/// A warm Rust guest uses 0.1 M for a cart of 20 lines, QuickJS 1.4 M: room for a hundred times that.
pub const FUEL_MAX: u64 = 200_000_000;
/// A request or an answer in one direction. A cart of 20 lines is 3 kB, one of 500 lines 80.
pub const TRANSFER_BYTES_MAX: u64 = 4 << 20;
/// Waiting for the network in one call of a gateway.
pub const NETWORK_MS_MAX: u64 = 10_000;
/// The guest's own stack. Rust guests use a few kB, interpreters some hundred; deep recursion ends in milliseconds.
pub const STACK_BYTES_MAX: usize = 6 << 20;
/// Stack of a thread that guests run on: theirs, and ours above and below it.
pub(crate) const THREAD_STACK_BYTES: usize = STACK_BYTES_MAX + (2 << 20);
/// Elements of a function table. The largest seen, of a Python guest, has 12,000.
const TABLE_ELEMENTS_MAX: usize = 50_000;
/// Nanoseconds that a thousand units of fuel take on a slow machine (measured 200 to 620), times ten:
/// the clock is only a backstop, so that it never decides before the fuel does.
const BACKSTOP_NS_PER_KILO_FUEL: u64 = 6_200;
/// Even a call with hardly any fuel gets so long, because a busy machine may not run it at once.
const BACKSTOP_MS_MIN: u64 = 250;

/// What one call may use.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Limits {
    /// Units of fuel: about one for each instruction of the guest. The same call always uses the same.
    pub fuel: u64,
    /// Linear memory, all modules of the guest together.
    pub memory_bytes: u64,
    /// Size of the request, written as JSON.
    pub input_bytes: u64,
    /// Bytes that go from the guest to the host in one go: the answer, or the arguments of one host call.
    pub output_bytes: u64,
    /// Wall time of the network in one call; the guest's own work does not count here.
    pub network_ms: u64,
}

impl Default for Limits {
    fn default() -> Self {
        Limits {
            fuel: FUEL_MAX,
            memory_bytes: MEMORY_BYTES_MAX,
            input_bytes: TRANSFER_BYTES_MAX,
            output_bytes: TRANSFER_BYTES_MAX,
            network_ms: NETWORK_MS_MAX,
        }
    }
}

impl Limits {
    /// Wall time after which the guest is stopped although it has fuel left.
    pub(crate) fn backstop_ms(&self) -> u64 {
        (self.fuel / 1_000_000 * BACKSTOP_NS_PER_KILO_FUEL / 1_000).max(BACKSTOP_MS_MIN)
    }
}

/// Why memory was refused. Kept, because a guest that is refused memory ends with a bare abort.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Refused {
    pub(crate) limit: u64,
    pub(crate) wanted: u64,
}

impl std::fmt::Display for Refused {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{} bytes of memory wanted, {} allowed", self.wanted, self.limit)
    }
}

impl std::error::Error for Refused {}

/// Memory that several instances share.
#[derive(Debug, Default)]
pub(crate) struct SharedMemory(AtomicU64);

/// Counts the memory of one instance and says no above the limit.
pub(crate) struct MemoryLimiter {
    limit: u64,
    in_use: u64,
    shared: Option<Arc<SharedMemory>>,
    pub(crate) peak: u64,
    pub(crate) refused: Option<Refused>,
}

impl MemoryLimiter {
    pub(crate) fn new(limit: u64) -> Self {
        MemoryLimiter { limit, in_use: 0, shared: None, peak: 0, refused: None }
    }

    /// Of an instance that has no memory yet: counts together with others.
    pub(crate) fn shared_with(mut self, shared: Arc<SharedMemory>) -> Self {
        self.shared = Some(shared);
        self
    }

    /// Takes from what is shared, unless too much of it is taken.
    fn take_shared(&self, more: u64) -> Result<(), Refused> {
        let Some(shared) = &self.shared else { return Ok(()) };
        let limit = GATEWAY_MEMORY_BYTES_MAX;
        let fits = |taken: u64| taken.checked_add(more).filter(|taken| *taken <= limit);
        let taken = shared.0.fetch_update(Ordering::Relaxed, Ordering::Relaxed, fits);
        taken.map(|_| ()).map_err(|taken| Refused { limit, wanted: taken.saturating_add(more) })
    }
}

impl Drop for MemoryLimiter {
    fn drop(&mut self) {
        if let Some(shared) = &self.shared {
            shared.0.fetch_sub(self.in_use, Ordering::Relaxed);
        }
    }
}

impl ResourceLimiter for MemoryLimiter {
    fn memory_growing(
        &mut self,
        current: usize,
        desired: usize,
        _maximum: Option<usize>,
    ) -> wasmtime::Result<bool> {
        let more = desired.saturating_sub(current) as u64;
        let wanted = self.in_use.saturating_add(more);
        let own = if wanted > self.limit { Err(Refused { limit: self.limit, wanted }) } else { Ok(()) };
        if let Err(refused) = own.and_then(|()| self.take_shared(more)) {
            self.refused = Some(refused);
            return Err(refused.into()); // Ends the call here: "no" would become an abort without words.
        }
        self.in_use = wanted;
        self.peak = self.peak.max(wanted);
        Ok(true)
    }

    fn table_growing(
        &mut self,
        _current: usize,
        desired: usize,
        _maximum: Option<usize>,
    ) -> wasmtime::Result<bool> {
        Ok(desired <= TABLE_ELEMENTS_MAX)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_limiter_counts_all_memories_together_and_keeps_the_reason() {
        let mut limiter = MemoryLimiter::new(100);
        assert!(limiter.memory_growing(0, 60, None).unwrap());
        assert!(limiter.memory_growing(0, 40, None).unwrap());
        let error = limiter.memory_growing(60, 61, None).unwrap_err();
        assert_eq!(error.downcast_ref(), Some(&Refused { limit: 100, wanted: 101 }));
        assert_eq!(limiter.refused, Some(Refused { limit: 100, wanted: 101 }));
        assert_eq!(limiter.peak, 100);
    }

    #[test]
    fn what_is_shared_is_counted_together_and_given_back() {
        let shared = Arc::new(SharedMemory::default());
        let limiter = || MemoryLimiter::new(u64::MAX).shared_with(shared.clone());
        let most = GATEWAY_MEMORY_BYTES_MAX as usize;
        let (mut one, mut other) = (limiter(), limiter());
        assert!(one.memory_growing(0, most - 10, None).unwrap());
        let error = other.memory_growing(0, 11, None).unwrap_err();
        let refused = Refused { limit: most as u64, wanted: most as u64 + 1 };
        assert_eq!(error.downcast_ref(), Some(&refused));
        drop(one);
        assert!(other.memory_growing(0, 11, None).unwrap());
        drop(other);
        assert_eq!(shared.0.load(Ordering::Relaxed), 0);
    }

    #[test]
    fn the_backstop_is_ten_times_the_slowest_fuel() {
        assert_eq!(Limits::default().backstop_ms(), 1_240);
        assert_eq!(Limits { fuel: 10, ..Limits::default() }.backstop_ms(), BACKSTOP_MS_MIN);
    }
}
