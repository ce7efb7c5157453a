//! Time in the pure worlds: it stands still, and a guest that sleeps wakes at once.
//!
//! A sleep must not hold a thread of the pool, and its length must not show in the result.

use crate::state::State;
use std::time::Duration;
use wasmtime::component::{HasData, Linker, Resource, ResourceTable};
use wasmtime_wasi::HostWallClock;
use wasmtime_wasi::p2::bindings::clocks::monotonic_clock::{self, Host, Instant};
use wasmtime_wasi::p2::{DynPollable, Pollable, subscribe};

/// The time of the call, the same whenever it is asked.
#[derive(Clone, Copy)]
pub(crate) struct Frozen {
    pub(crate) now_ms: u64,
}

impl HostWallClock for Frozen {
    fn resolution(&self) -> Duration {
        Duration::from_millis(1)
    }

    fn now(&self) -> Duration {
        Duration::from_millis(self.now_ms)
    }
}

pub(crate) struct FrozenView<'a> {
    pub(crate) now_ms: u64,
    pub(crate) table: &'a mut ResourceTable,
}

struct Clock;

impl HasData for Clock {
    type Data<'a> = FrozenView<'a>;
}

pub(super) fn add_to_linker(linker: &mut Linker<State>) -> wasmtime::Result<()> {
    monotonic_clock::add_to_linker::<State, Clock>(linker, State::frozen_clock)
}

impl Host for FrozenView<'_> {
    fn now(&mut self) -> wasmtime::Result<Instant> {
        Ok(self.now_ms.saturating_mul(1_000_000))
    }

    fn resolution(&mut self) -> wasmtime::Result<u64> {
        Ok(1_000_000)
    }

    fn subscribe_instant(&mut self, _when: Instant) -> wasmtime::Result<Resource<DynPollable>> {
        let ready = self.table.push(Ready)?;
        subscribe(self.table, ready)
    }

    fn subscribe_duration(&mut self, _duration: u64) -> wasmtime::Result<Resource<DynPollable>> {
        self.subscribe_instant(0)
    }
}

struct Ready;

#[async_trait::async_trait]
impl Pollable for Ready {
    async fn ready(&mut self) {}
}
