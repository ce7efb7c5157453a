//! What one call carries while it runs. Made for the call and dropped with it.

use crate::host::clock::{Frozen, FrozenView};
use crate::host::http::{Hooks, Network};
use crate::host::output::Output;
use crate::host::random::Seeded;
use crate::limits::{Limits, MemoryLimiter, SharedMemory};
use crate::report::{Report, Words};
use crate::wit::types::CallContext;
use crate::{Binding, Slot};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use wasmtime::component::ResourceTable;
use wasmtime_wasi::{WasiCtx, WasiCtxView, WasiView};
use wasmtime_wasi_http::{WasiHttpCtx, WasiHttpCtxView, WasiHttpView};

/// Pollables, streams and requests a guest may have open at one time.
const RESOURCES_MAX: usize = 1_000;

pub(crate) struct State {
    wasi: WasiCtx,
    http: WasiHttpCtx,
    hooks: Hooks,
    table: ResourceTable,
    now_ms: u64,
    pub(crate) random: Seeded,
    pub(crate) limiter: MemoryLimiter,
    pub(crate) binding: Arc<Binding>,
    /// What the host gives a guest in one go, bytes.
    pub(crate) answer_bytes_max: u64,
    words: Arc<Mutex<Words>>,
}

impl State {
    pub(crate) fn new(
        slot: Slot,
        ctx: &CallContext,
        binding: Arc<Binding>,
        limits: &Limits,
        network: Network,
    ) -> Self {
        let words = Arc::new(Mutex::new(Words::default()));
        let mut wasi = WasiCtx::builder();
        wasi.stdout(Output(words.clone()))
            .stderr(Output(words.clone()))
            .wall_clock(Frozen { now_ms: ctx.now_ms })
            .allow_tcp(false)
            .allow_udp(false)
            .allow_ip_name_lookup(false)
            .max_random_size(limits.output_bytes)
            // The pool's threads are ours, and nothing a pure guest can wait for takes time.
            .allow_blocking_current_thread(slot.is_pure());
        let mut table = ResourceTable::new();
        table.set_max_capacity(RESOURCES_MAX);
        State {
            wasi: wasi.build(),
            http: WasiHttpCtx::new(),
            hooks: Hooks::new(network, binding.clone()),
            table,
            now_ms: ctx.now_ms,
            random: Seeded::new(ctx),
            limiter: MemoryLimiter::new(limits.memory_bytes),
            binding,
            answer_bytes_max: limits.input_bytes,
            words,
        }
    }

    /// Counts the instance's memory together with that of others.
    pub(crate) fn sharing(self, memory: Arc<SharedMemory>) -> Self {
        let limiter = self.limiter.shared_with(memory);
        State { limiter, ..self }
    }

    pub(crate) fn words(&self) -> MutexGuard<'_, Words> {
        self.words.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub(crate) fn frozen_clock(&mut self) -> FrozenView<'_> {
        FrozenView { now_ms: self.now_ms, table: &mut self.table }
    }

    /// What is known of the call, but for fuel and time.
    pub(crate) fn report(&self) -> Report {
        let (logs, output, logs_cut) = self.words().take();
        let (exchanges, requests_over, circuit_open) = self.hooks.exchanges();
        Report {
            fuel_used: 0,
            memory_peak_bytes: self.limiter.peak,
            logs,
            output,
            logs_cut,
            sent: exchanges.iter().any(|e| e.sent),
            circuit_open,
            complete_response: exchanges.iter().any(|e| e.complete),
            exchanges,
            requests_over,
            elapsed_us: 0,
        }
    }
}

impl WasiView for State {
    fn ctx(&mut self) -> WasiCtxView<'_> {
        WasiCtxView { ctx: &mut self.wasi, table: &mut self.table }
    }
}

impl WasiHttpView for State {
    fn http(&mut self) -> WasiHttpCtxView<'_> {
        WasiHttpCtxView { ctx: &mut self.http, table: &mut self.table, hooks: &mut self.hooks }
    }
}

#[cfg(test)]
pub(crate) mod tests {
    use super::*;

    pub(crate) fn context() -> CallContext {
        CallContext {
            merchant: "m1".into(),
            channel: "web".into(),
            locale: "en-US".into(),
            currency: "USD".into(),
            exponent: 2,
            now_ms: 1_700_000_000_000,
            instance: "wfi_1".into(),
            step: "pricing.quote".into(),
            entry: 1,
            attempt: 1,
            test_mode: false,
            config: "{}".into(),
            attributes: Vec::new(),
        }
    }
}
