//! The engine: its settings, the clock that interrupts guests, the components loaded, the threads.

use crate::breaker::{BreakerView, Breakers, Watch};
use crate::call::{self, Answer, Call};
use crate::compile::{Compiler, Workshop};
use crate::component::{self, Exports, Guest, Outside};
use crate::gateways::Gateways;
use crate::host::http::{Clients, Network};
use crate::host::script::Script;
use crate::host::{gateway_linker, pure_linker};
use crate::limits::{Limits, MEMORY_BYTES_MAX, STACK_BYTES_MAX, THREAD_STACK_BYTES};
use crate::queue::Pool;
use crate::state::State;
use crate::wit::types::{CallContext, ComponentInfo};
use crate::{Binding, Component, Digest, Error, Failure, FailureKind, LoadError, Slot};
use futures::future::BoxFuture;
use std::collections::HashMap;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread::{self, JoinHandle};
use std::time::Duration;
use tracing::Instrument as _;
use wasmtime::component::Linker;
use wasmtime::{Config, Engine, InstanceAllocationStrategy, PoolingAllocationConfig, WasmBacktraceDetails};

/// How often guests look at the clock. Fuel decides in nearly all cases, so this need not be fine.
pub(crate) const TICK: Duration = Duration::from_millis(10);
/// Memory of an instance that stays with its slot. A Rust guest has 1.1 MiB; without this every call
/// gives its pages back and two threads are slower than one.
const KEEP_RESIDENT_BYTES: usize = 2 << 20;
/// Core instances in one component. A Python guest has 38.
const CORE_INSTANCES_MAX: u32 = 60;
/// Linear memories in one component. All guests seen have one or two.
const MEMORIES_MAX: u32 = 4;
/// Function tables in one component. A Python guest has one for each of its modules.
const TABLES_MAX: u32 = 60;
/// Slots beside those of the pure threads and the gateways: for loading, and for calls that take long.
const SPARE_SLOTS: u32 = 5;

/// How the sandbox is set up.
#[derive(Clone, Debug)]
pub struct SandboxConfig {
    /// Threads for pure calls.
    pub pure_threads: usize,
    /// Gateway calls that run at one time. Each keeps an instance while it waits for the network.
    pub gateway_calls_max: usize,
    /// Of these, calls of one merchant. A provider that hangs holds back its own merchant only.
    pub gateway_calls_per_merchant_max: usize,
    /// Where components are compiled.
    pub compiler: Compiler,
    /// A failure names file and line where the component has debug information. For those who write
    /// components: it costs at load, and tells the paths of whoever built it.
    pub source_lines: bool,
}

impl Default for SandboxConfig {
    fn default() -> Self {
        SandboxConfig {
            pure_threads: thread::available_parallelism().map_or(1, |cores| cores.get()),
            gateway_calls_max: 128,
            gateway_calls_per_merchant_max: 32,
            compiler: Compiler::Here,
            source_lines: false,
        }
    }
}

/// Loads components and calls them. One for a host.
pub struct Sandbox {
    engine: Engine,
    pure: Linker<State>,
    gateway: Linker<State>,
    loaded: Mutex<HashMap<(Digest, Slot), Arc<Component>>>,
    pool: Pool,
    clients: Arc<Clients>,
    clients_aside: Arc<Clients>,
    gateways: Arc<Gateways>,
    breakers: Arc<Breakers>,
    workshop: Workshop,
    ticker: Ticker,
}

impl Sandbox {
    /// Sets up the engine and starts its threads.
    pub fn new(config: SandboxConfig) -> Result<Arc<Sandbox>, Error> {
        let engine = Engine::new(&settings(&config)).map_err(Error::Engine)?;
        Ok(Arc::new(Sandbox {
            pure: pure_linker(&engine).map_err(Error::Engine)?,
            gateway: gateway_linker(&engine).map_err(Error::Engine)?,
            loaded: Mutex::default(),
            pool: Pool::new(config.pure_threads)?,
            clients: Arc::new(Clients::new()?),
            clients_aside: Arc::new(Clients::new()?),
            gateways: Gateways::new(&config)?,
            breakers: Arc::default(),
            workshop: Workshop::new(config.compiler, config.source_lines).map_err(Error::CodeCache)?,
            ticker: Ticker::start(&engine)?,
            engine,
        }))
    }

    /// Checks what can be seen without compiling: size, header, imports, exports. Gives the version of the contract
    /// that the component was built from. Takes milliseconds.
    pub fn validate(&self, slot: Slot, bytes: &[u8]) -> Result<String, LoadError> {
        component::validate(slot, bytes)
    }

    /// Checks a component and gets it ready. The same bytes for the same slot are taken from memory.
    ///
    /// This compiles and takes up to seconds: call it where blocking is allowed.
    pub fn load(&self, slot: Slot, bytes: &[u8]) -> Result<Arc<Component>, LoadError> {
        self.load_for("", slot, bytes)
    }

    /// [`Sandbox::load`] for a merchant among others: another one's compilations delay it by one at most.
    pub fn load_for(&self, merchant: &str, slot: Slot, bytes: &[u8]) -> Result<Arc<Component>, LoadError> {
        let digest = Digest::of(bytes);
        let key = (digest, slot);
        if let Some(component) = self.loaded().get(&key) {
            return Ok(component.clone());
        }
        let linker = if slot.is_pure() { &self.pure } else { &self.gateway };
        component::validate(slot, bytes)?;
        let wasm = self.workshop.make(&self.engine, merchant, digest, bytes)?;
        let (guest, contract_version) = component::check(&self.engine, linker, slot, &wasm)?;
        let info = self.describe(slot, guest.clone())?;
        serde_json::from_str::<serde_json::Value>(&info.config_schema)
            .map_err(|error| LoadError::Info(format!("its config schema is not JSON: {error}")))?;
        let component =
            Arc::new(Component { digest, slot, info, contract_version, size: bytes.len(), guest });
        Ok(self.loaded().entry(key).or_insert(component).clone())
    }

    /// What a component imports and exports, and which slots it offers to fill. Nothing of it is compiled or
    /// run; whether it may fill a slot is for [`Sandbox::load`] to say. Takes milliseconds.
    pub fn look_at(&self, bytes: &[u8]) -> Result<Outside, LoadError> {
        component::outside(bytes)
    }

    /// Forgets a component. Calls that run go on; bytes are loaded anew when they come again.
    pub fn unload(&self, slot: Slot, digest: Digest) {
        self.loaded().remove(&(digest, slot));
    }

    /// Forgets components that nobody holds.
    pub fn trim(&self) {
        self.loaded().retain(|_, component| Arc::strong_count(component) > 1);
    }

    /// The circuit breakers of a merchant's gateways and carriers in this process, by origin.
    pub fn breakers(&self, merchant: &str) -> Vec<BreakerView> {
        self.breakers.of(merchant)
    }

    fn loaded(&self) -> std::sync::MutexGuard<'_, HashMap<(Digest, Slot), Arc<Component>>> {
        self.loaded.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Asks a guest what it is: on a thread of its own, because the caller may be inside a runtime.
    fn describe(&self, slot: Slot, guest: Guest) -> Result<ComponentInfo, LoadError> {
        let answer = thread::scope(|scope| {
            let work = || {
                let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
                let _entered = runtime.enter();
                Ok(self.describe_here(slot, &guest, &runtime))
            };
            thread::Builder::new()
                .name("till-describe".to_owned())
                .stack_size(THREAD_STACK_BYTES)
                .spawn_scoped(scope, work)?
                .join()
                .unwrap_or_else(|_| Err(std::io::Error::other("the thread that asks the component panicked")))
        });
        answer.map_err(LoadError::Host)?.map_err(|failure| LoadError::Describe(Box::new(failure)))
    }

    fn describe_here(
        &self,
        slot: Slot,
        guest: &Guest,
        runtime: &tokio::runtime::Runtime,
    ) -> Result<ComponentInfo, Failure> {
        let limits = Limits::default();
        let ctx = nobody();
        let state = State::new(slot, &ctx, Binding::empty(), &limits, Network::None);
        let mut run = call::Run::new(&self.engine, state, limits, slot)?;
        /// Asks a pure guest to its end.
        macro_rules! now {
            ($indices:ident) => {
                run.now(|store| {
                    let instance = guest.pre.instantiate(&mut *store)?;
                    $indices.load(&mut *store, &instance)?.call_describe(store)
                })
            };
        }
        /// Asks a guest that may wait for the network, of which there is none here.
        macro_rules! in_time {
            ($indices:ident) => {{
                let (time, store) = (run.time(), run.store());
                runtime.block_on(time.hold(async {
                    let instance = guest.pre.instantiate_async(&mut *store).await?;
                    $indices.load(&mut *store, &instance)?.call_describe(store).await
                }))
            }};
        }
        let result = match &guest.exports {
            Exports::Pricing(indices) => now!(indices),
            Exports::Promotion(indices) => now!(indices),
            Exports::Tax(indices) => now!(indices),
            Exports::Shipping(indices) => now!(indices),
            Exports::Risk(indices) => now!(indices),
            Exports::Gateway(indices) => in_time!(indices),
            Exports::Carrier(indices) => in_time!(indices),
        };
        run.finish(result).map(|(info, _)| info)
    }

    /// Runs a call of a pure world on the pool.
    pub(crate) async fn on_pool<Q, T>(
        &self,
        call: Call,
        request: Q,
        work: impl FnOnce(&mut wasmtime::Store<State>, &Guest, &CallContext, &Q) -> call::GuestResult<T>
        + Send
        + 'static,
    ) -> Result<Answer<T>, Failure>
    where
        Q: serde::Serialize + Send + 'static,
        T: Send + 'static,
    {
        call::check_input(&call, &request)?;
        let span = call.span();
        let (tell, told) = tokio::sync::oneshot::channel();
        let engine = self.engine.clone();
        let (merchant, background) = (call.ctx.merchant.clone(), call.background);
        let job = move || {
            if tell.is_closed() {
                return; // Nobody waits any more.
            }
            let slot = call.component.slot;
            let state = State::new(slot, &call.ctx, call.binding, &call.limits, Network::None);
            let mut run = match call::Run::new(&engine, state, call.limits, slot) {
                Ok(run) => run,
                Err(failure) => {
                    let _ = tell.send(Err(failure));
                    return;
                }
            };
            let result = run.now(|store| work(store, &call.component.guest, &call.ctx, &request));
            let answer = run.finish(result).map(|(value, report)| Answer { value, report });
            let _ = tell.send(answer); // Before the instance is taken down: that is not the caller's time.
        };
        self.pool.submit(&merchant, background, Box::new(job)).map_err(|full| {
            let what = format!("{} calls of the merchant are waiting", full.waiting_max);
            Failure::before(FailureKind::Busy { what })
        })?;
        told.instrument(span).await.unwrap_or_else(|_| {
            Err(Failure::before(FailureKind::Host {
                message: "the call was dropped by its thread".to_owned(),
            }))
        })
    }

    /// Runs a call of the gateway world: in the caller's runtime, or on the thread for merchants whose guests work long.
    pub(crate) async fn on_runtime<Q, T>(
        &self,
        call: Call,
        request: Q,
        way: Way,
        work: Work<Q, T>,
    ) -> Result<Answer<T>, Failure>
    where
        Q: serde::Serialize + Send + Sync + 'static,
        T: Send + 'static,
    {
        call::check_input(&call, &request)?;
        let span = call.span();
        let permits = self.gateways.enter(&call.ctx.merchant).instrument(span.clone()).await;
        let network = match &way {
            Way::None => Network::None,
            Way::Scripted(script) => Network::Scripted(script.clone()),
            Way::Wire | Way::Ask => {
                let deadline = tokio::time::Instant::now() + Duration::from_millis(call.limits.network_ms);
                // A connection is driven by the runtime that opened it: the others must not wait for the slow one.
                let aside = self.gateways.is_long(&call.ctx.merchant);
                let clients = if aside { &self.clients_aside } else { &self.clients };
                let watch = call.breaker.map(|rule| {
                    let (merchant, asks) = (&call.ctx.merchant, matches!(way, Way::Ask));
                    Watch::new(self.breakers.clone(), merchant, rule, asks, call.ctx.now_ms)
                });
                Network::Until { clients: clients.clone(), deadline, watch }
            }
        };
        let engine = self.engine.clone();
        let merchant = call.ctx.merchant.clone();
        let run = async move {
            let slot = call.component.slot;
            let state =
                State::new(slot, &call.ctx, call.binding, &call.limits, network).sharing(permits.memory());
            let mut run = call::Run::new(&engine, state, call.limits, slot)?;
            let time = run.time();
            let guest = work(run.store(), &call.component.guest, &call.ctx, &request);
            let result = time.hold(permits.in_turn(guest)).await;
            let (value, report) = run.finish(result)?;
            Ok(Answer { value, report })
        };
        self.gateways.run(&merchant, run.instrument(span)).await
    }
}

/// A call of one function of the gateway world.
pub(crate) type Work<Q, T> = for<'a> fn(
    &'a mut wasmtime::Store<State>,
    &'a Guest,
    &'a CallContext,
    &'a Q,
) -> BoxFuture<'a, call::GuestResult<T>>;

/// How the requests of a gateway call leave.
pub(crate) enum Way {
    /// Not at all.
    None,
    /// Over the network.
    Wire,
    /// Over the network, and they change nothing there.
    Ask,
    /// To somebody in this process.
    Scripted(Arc<dyn Script>),
}

impl Drop for Sandbox {
    fn drop(&mut self) {
        self.ticker.stop();
    }
}

/// The context of a call that belongs to no merchant.
fn nobody() -> CallContext {
    CallContext {
        merchant: String::new(),
        channel: String::new(),
        locale: "en".to_owned(),
        currency: "USD".to_owned(),
        exponent: 2,
        now_ms: 0,
        instance: String::new(),
        step: "describe".to_owned(),
        entry: 1,
        attempt: 1,
        test_mode: true,
        config: "{}".to_owned(),
        attributes: Vec::new(),
    }
}

fn settings(sandbox: &SandboxConfig) -> Config {
    let slots = sandbox.pure_threads as u32 + sandbox.gateway_calls_max as u32 + SPARE_SLOTS;
    let mut pooling = PoolingAllocationConfig::new();
    pooling
        .total_component_instances(slots)
        .total_core_instances(slots.saturating_mul(CORE_INSTANCES_MAX))
        .total_memories(slots.saturating_mul(MEMORIES_MAX))
        .total_tables(slots.saturating_mul(TABLES_MAX))
        .total_stacks(slots)
        .max_core_instances_per_component(CORE_INSTANCES_MAX)
        .max_memories_per_component(MEMORIES_MAX)
        .max_tables_per_component(TABLES_MAX)
        .max_memory_size(MEMORY_BYTES_MAX as usize)
        .linear_memory_keep_resident(KEEP_RESIDENT_BYTES)
        .table_keep_resident(64 << 10)
        .max_unused_warm_slots(slots);
    let mut config = compile_settings(sandbox.source_lines);
    config.allocation_strategy(InstanceAllocationStrategy::Pooling(pooling));
    config
}

/// The settings that machine code depends on.
pub(crate) fn compile_settings(source_lines: bool) -> Config {
    let details = if source_lines { WasmBacktraceDetails::Enable } else { WasmBacktraceDetails::Disable };
    let mut config = Config::new();
    config
        .consume_fuel(true)
        .epoch_interruption(true)
        .max_wasm_stack(STACK_BYTES_MAX)
        .async_stack_size(THREAD_STACK_BYTES)
        .cranelift_nan_canonicalization(true)
        .wasm_relaxed_simd(false)
        .wasm_memory64(false)
        // Guests of several modules (QuickJS, Python) copy from one module's memory into another's.
        .wasm_multi_memory(true)
        // Guests have one line of execution; asynchronous guests are refused when they are loaded.
        .concurrency_support(false)
        .wasm_backtrace_details(details);
    config
}

/// Moves the engine's epoch on.
struct Ticker {
    stop: Arc<AtomicBool>,
    thread: Option<JoinHandle<()>>,
}

impl Ticker {
    fn start(engine: &Engine) -> Result<Ticker, Error> {
        let stop = Arc::new(AtomicBool::new(false));
        let stopped = stop.clone();
        let engine = engine.weak();
        let tick = move || {
            while !stopped.load(Ordering::Relaxed) {
                thread::sleep(TICK);
                let Some(engine) = engine.upgrade() else { return };
                engine.increment_epoch();
            }
        };
        let thread =
            thread::Builder::new().name("till-epoch".to_owned()).spawn(tick).map_err(Error::Thread)?;
        Ok(Ticker { stop, thread: Some(thread) })
    }

    fn stop(&mut self) {
        self.stop.store(true, Ordering::Relaxed);
        if let Some(thread) = self.thread.take() {
            let _ = thread.join();
        }
    }
}
