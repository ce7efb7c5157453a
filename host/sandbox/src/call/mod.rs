//! One call of a guest: a fresh instance, its limits, and what came of it.

mod carrier;
mod gateway;
mod pure;
mod scripted;

pub use carrier::ScriptedCarrier;
pub use scripted::ScriptedGateway;

use crate::component::Component;
use crate::engine::TICK;
use crate::limits::{Limits, STACK_BYTES_MAX};
use crate::long;
use crate::report::{LogLine, Report, prefix};
use crate::state::State;
use crate::wit::types::{CallContext, ComponentError};
use crate::{Binding, BreakerRule, Failure, FailureKind, Slot};
use serde::Serialize;
use std::sync::Arc;
use std::time::{Duration, Instant};
use wasmtime::{Engine, Store, Trap, UpdateDeadline, WasmBacktrace};

/// A gateway gets this much longer than its network time, for its own work between two waits.
const GATEWAY_EXTRA_MS: u64 = 2_000;
/// Of the guest's last words so much goes into the message of a failure; the report has more.
const WORDS_BYTES_MAX: usize = 1_000;

/// Whom to call, for whom, with what.
#[derive(Clone, Debug)]
pub struct Call {
    /// The component.
    pub component: Arc<Component>,
    /// Comes first in every function of the contract.
    pub ctx: CallContext,
    /// What the component may see and reach.
    pub binding: Arc<Binding>,
    /// What it may use.
    pub limits: Limits,
    /// Nobody waits for it: pure calls run when no other call does.
    pub background: bool,
    /// Requests are refused while their origin has failed so often in a row. None: they are not counted either.
    pub breaker: Option<BreakerRule>,
}

impl Call {
    /// What traces show of the call.
    pub(crate) fn span(&self) -> tracing::Span {
        let slot = self.component.slot.as_str();
        tracing::debug_span!(
            target: "till::trace",
            "component",
            otel.name = %format_args!("component {slot}"),
            till.slot = slot,
            till.component = %self.component.digest,
            till.merchant = self.ctx.merchant,
        )
    }
}

/// The guest answered, if only with an error of its own.
#[derive(Clone, Debug, PartialEq)]
pub struct Answer<T> {
    /// What it said.
    pub value: Result<T, ComponentError>,
    /// What it used and did.
    pub report: Report,
}

/// What a guest's function gives, or the trap.
pub(crate) type GuestResult<T> = wasmtime::Result<Result<T, ComponentError>>;

pub(crate) fn check_input(call: &Call, request: &impl Serialize) -> Result<(), Failure> {
    let limit = call.limits.input_bytes;
    let size = size_of(&call.ctx, limit) + size_of(request, limit);
    if size > limit {
        return Err(Failure::before(FailureKind::InputTooLarge { limit, size }));
    }
    Ok(())
}

pub(crate) fn check_slot(call: &Call, called: Slot) -> Result<(), Failure> {
    let component = call.component.slot;
    if component == called {
        return Ok(());
    }
    Err(Failure::before(FailureKind::WrongSlot { called, component }))
}

/// Size as JSON. Counted, not kept.
fn size_of(value: &impl Serialize, limit: u64) -> u64 {
    struct Counter(u64);
    impl std::io::Write for Counter {
        fn write(&mut self, bytes: &[u8]) -> std::io::Result<usize> {
            self.0 += bytes.len() as u64;
            Ok(bytes.len())
        }
        fn flush(&mut self) -> std::io::Result<()> {
            Ok(())
        }
    }
    let mut counter = Counter(0);
    match serde_json::to_writer(&mut counter, value) {
        Ok(()) => counter.0,
        Err(_) => limit + 1, // Records of the contract always have a JSON form; what has none goes nowhere.
    }
}

/// Ticks that are surely not over before this time is.
fn ticks(time: Duration) -> u64 {
    u64::try_from(time.as_millis() / TICK.as_millis()).unwrap_or(u64::MAX) + 1
}

/// One instance's life: the store with its limits, from start to report.
pub(crate) struct Run {
    store: Store<State>,
    limits: Limits,
    started: Instant,
}

impl Run {
    pub(crate) fn new(engine: &Engine, state: State, limits: Limits, slot: Slot) -> Result<Run, Failure> {
        let mut store = Store::new(engine, state);
        store.limiter(|state: &mut State| &mut state.limiter);
        store.set_hostcall_fuel(usize::try_from(limits.output_bytes).unwrap_or(usize::MAX));
        store
            .set_fuel(limits.fuel)
            .map_err(|error| Failure::before(FailureKind::Host { message: format!("{error:#}") }))?;
        if slot.is_pure() {
            // Processor time of this thread, on which the call runs to its end: on a busy machine the wall clock would
            // decide before the fuel does.
            let (begun, most) = (long::worked(), Duration::from_millis(limits.backstop_ms()));
            store.set_epoch_deadline(ticks(most));
            store.epoch_deadline_callback(move |_| {
                let left = most.saturating_sub(long::worked().saturating_sub(begun));
                if left.is_zero() {
                    Err(Trap::Interrupt.into())
                } else {
                    Ok(UpdateDeadline::Continue(ticks(left)))
                }
            });
        } else {
            // A tick makes way for others and never ends the call: waiting for the network moves the
            // epoch too. Fuel limits the guest's own work.
            store.set_epoch_deadline(1);
            store.epoch_deadline_async_yield_and_update(1);
        }
        Ok(Run { store, limits, started: Instant::now() })
    }

    /// Runs a pure guest to its end on this thread.
    pub(crate) fn now<T>(
        &mut self,
        work: impl FnOnce(&mut Store<State>) -> wasmtime::Result<T>,
    ) -> Stopped<T> {
        Ok(work(&mut self.store))
    }

    /// Where a gateway guest runs.
    pub(crate) fn store(&mut self) -> &mut Store<State> {
        &mut self.store
    }

    /// For how long a gateway guest runs: its network time and a little.
    pub(crate) fn time(&self) -> Time {
        Time { limit_ms: self.limits.network_ms + GATEWAY_EXTRA_MS }
    }

    /// The report with the value or the failure. The instance lives on until the run is dropped, so that
    /// whoever waits need not wait for that too.
    pub(crate) fn finish<T>(&self, result: Stopped<T>) -> Result<(T, Report), Failure> {
        let mut report = self.store.data().report();
        report.elapsed_us = self.started.elapsed().as_micros() as u64;
        report.fuel_used = self.limits.fuel - self.store.get_fuel().unwrap_or(0);
        let (kind, at) = match result {
            Ok(Ok(value)) => return Ok((value, report)),
            Ok(Err(error)) => (self.kind(&error, &report), innermost(&error)),
            Err(kind) => (kind, None),
        };
        Err(Failure { kind, at, report: Box::new(report) })
    }

    fn kind(&self, error: &wasmtime::Error, report: &Report) -> FailureKind {
        // The limiter's own words first: what it refused may end in any trap.
        if let Some(refused) = self.store.data().limiter.refused {
            return FailureKind::OutOfMemory { limit: refused.limit, wanted: refused.wanted };
        }
        match error.downcast_ref::<Trap>() {
            Some(Trap::OutOfFuel) => {
                return FailureKind::OutOfFuel { limit: self.limits.fuel, used: report.fuel_used };
            }
            Some(Trap::Interrupt) => return FailureKind::TooSlow { limit_ms: self.limits.backstop_ms() },
            Some(Trap::StackOverflow) => {
                return FailureKind::StackTooDeep { limit: STACK_BYTES_MAX as u64 };
            }
            // Rust keeps a second stack in linear memory, and it is the smaller one: running over its end is an access
            // outside of the memory, from a function that has called itself again and again.
            Some(Trap::MemoryOutOfBounds) if recursed(error) => {
                return FailureKind::OwnStackTooDeep { limit: STACK_BYTES_MAX as u64 };
            }
            _ => {}
        }
        let root = error.root_cause().to_string();
        // wasmtime keeps the type of this error to itself.
        if root.contains("fuel allocated for hostcalls") {
            return FailureKind::OutputTooLarge { limit: self.limits.output_bytes };
        }
        if root.contains("maximum concurrent") {
            return FailureKind::Busy { what: root };
        }
        let words = last_words(&report.output).or_else(|| last_error(&report.logs));
        let message = match words {
            Some(words) => format!("{words} ({root})"),
            None => root,
        };
        FailureKind::Trapped { message }
    }
}

/// The time of a call that may wait for the network.
#[derive(Clone, Copy)]
pub(crate) struct Time {
    limit_ms: u64,
}

impl Time {
    pub(crate) async fn hold<T>(self, work: impl Future<Output = wasmtime::Result<T>>) -> Stopped<T> {
        tokio::time::timeout(Duration::from_millis(self.limit_ms), work)
            .await
            .map_err(|_| FailureKind::TooSlow { limit_ms: self.limit_ms })
    }
}

/// Whether one function fills the innermost frames.
fn recursed(error: &wasmtime::Error) -> bool {
    const FRAMES: usize = 10;
    let Some(trace) = error.downcast_ref::<WasmBacktrace>() else { return false };
    let again = |frame: &wasmtime::FrameInfo| {
        trace.frames().iter().filter(|other| other.func_index() == frame.func_index()).count() >= FRAMES
    };
    trace.frames().iter().take(FRAMES).any(again)
}

/// The result of a guest, or what stopped it from outside.
type Stopped<T> = Result<wasmtime::Result<T>, FailureKind>;

/// What a guest wrote last before it died: the panic, without the advice that follows it.
fn last_words(output: &str) -> Option<String> {
    let start =
        output.rfind("panicked at ").unwrap_or_else(|| output.len() - output.len().min(WORDS_BYTES_MAX));
    let start = output.ceil_char_boundary(start);
    let words = output[start..].split("\nnote: run with").next().unwrap_or_default().trim();
    let words = exception(words).unwrap_or_else(|| words.to_owned());
    (!words.is_empty()).then(|| prefix(&words, WORDS_BYTES_MAX).to_owned())
}

/// An exception of JavaScript, freed of the words of its runtime: `Exception { message: Some("…"), stack:
/// Some("…") }` as Rust writes it.
fn exception(words: &str) -> Option<String> {
    let (_, rest) = words.split_once("Exception { message: ")?;
    let (message, rest) = rest.split_once(", stack: ")?;
    let stack = rest.split_once(" }")?.0;
    let text = |written: &str| -> Option<String> {
        serde_json::from_str(written.strip_prefix("Some(")?.strip_suffix(')')?).ok()
    };
    let stack = text(stack).unwrap_or_default();
    Some(format!("{}\n{stack}", text(message)?).trim_end().to_owned())
}

/// The last error in the log: a guest without stderr (Python) has no other way to tell.
fn last_error(logs: &[LogLine]) -> Option<String> {
    let line = logs.iter().rfind(|line| line.level == "error")?;
    Some(prefix(&line.text, WORDS_BYTES_MAX).to_owned())
}

/// The innermost function of the guest that is its own and not its language's; with file and line where
/// the component has debug information and the engine reads it.
fn innermost(error: &wasmtime::Error) -> Option<String> {
    let frames = error.downcast_ref::<WasmBacktrace>()?.frames();
    let mut places = frames.iter().flat_map(|frame| {
        // Functions that were compiled into this one are told by the debug information only.
        let inlined = frame.symbols().iter().map(|symbol| Place {
            function: symbol.name(),
            file: symbol.file(),
            line: symbol.line(),
        });
        let whole = Place { function: frame.func_name(), file: None, line: None };
        inlined.chain([whole])
    });
    places.find_map(|place| place.told())
}

/// Where a frame is.
struct Place<'a> {
    function: Option<&'a str>,
    file: Option<&'a str>,
    line: Option<u32>,
}

impl Place<'_> {
    /// For people; none for the machinery of the guest's language.
    fn told(&self) -> Option<String> {
        const MACHINERY: [&str; 14] = [
            "std::",
            "core::",
            "alloc::",
            "__rust",
            "rust_",
            "_rust",
            "<core::",
            "<alloc::",
            "<std::",
            "abort",
            "__rustc",
            "_R",
            "dlmalloc",
            "cabi_realloc",
        ];
        /// Where the sources of a language and of libraries are.
        const FOREIGN: [&str; 4] = ["/rustc/", "/rustlib/", "/registry/src/", "/wasi-libc"];
        let function = Demangled(self.function?).to_string();
        let foreign = self.file.is_some_and(|file| FOREIGN.iter().any(|part| file.contains(part)));
        if foreign || MACHINERY.iter().any(|part| function.starts_with(part)) {
            return None;
        }
        Some(match (self.file, self.line) {
            (Some(file), Some(line)) => format!("{function} at {file}:{line}"),
            _ => function,
        })
    }
}

/// A Rust symbol without its mangling, as far as is needed to read it.
struct Demangled<'a>(&'a str);

impl std::fmt::Display for Demangled<'_> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        // `_ZN4core9panicking5panic17h0123456789abcdefE`: lengths and names.
        let Some(mut rest) = self.0.strip_prefix("_ZN") else { return f.write_str(self.0) };
        let mut names = Vec::new();
        while let Some(digits) = rest.find(|c: char| !c.is_ascii_digit()).filter(|digits| *digits > 0) {
            let Some(name) =
                rest[..digits].parse().ok().and_then(|length: usize| rest.get(digits..digits + length))
            else {
                return f.write_str(self.0);
            };
            names.push(name);
            rest = &rest[digits + name.len()..];
        }
        if names.last().is_some_and(|hash| hash.len() == 17 && hash.starts_with('h')) {
            names.pop();
        }
        f.write_str(&names.join("::"))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_panic_speaks_for_the_guest() {
        let output = "noise\nthread '<unnamed>' panicked at src/lib.rs:5:9:\ntier table is empty\nnote: run with `RUST_BACKTRACE=1`";
        assert_eq!(last_words(output).unwrap(), "panicked at src/lib.rs:5:9:\ntier table is empty");
        assert_eq!(last_words("Exception: no").unwrap(), "Exception: no");
        let script = "panicked at crates/runtime/src/interpreter.rs:51:31:\nFailed to call 'evaluate': Value(Exception(\nException { message: Some(\"no \\\"tier\\\"\"), stack: Some(\"    at evaluate (/src/promotion.ts:10:33)\\n\") })\n)\nnote: run with";
        assert_eq!(last_words(script).unwrap(), "no \"tier\"\n    at evaluate (/src/promotion.ts:10:33)");
        let silent = "panicked at x: Exception { message: None, stack: None }";
        assert_eq!(last_words(silent).unwrap(), silent);
        assert_eq!(last_words(" \n"), None);
    }

    #[test]
    fn symbols_are_read() {
        let read = |symbol| Demangled(symbol).to_string();
        assert_eq!(read("_ZN4core9panicking5panic17h0123456789abcdefE"), "core::panicking::panic");
        assert_eq!(
            read("till:checkout/pricing-rules@0.1.0#price"),
            "till:checkout/pricing-rules@0.1.0#price"
        );
        assert_eq!(read("_ZN99x"), "_ZN99x");
    }
}
