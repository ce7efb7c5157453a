//! Guests at run time: the only room that knows wasmtime.
//!
//! Owns: loading a component and checking what it imports and exports; a fresh instance for each call,
//! with its limits; the interfaces a guest may call (log, tables, signing, WASI, HTTP through the host);
//! the report of what a guest did.
//!
//! Must not know: workflows, databases, the shop's rules. A merchant is only a name by which calls are
//! queued fairly, and a number that a guest returns is not judged here.
//!
//! Read first: [`Sandbox`], [`Call`], [`Failure`].
//!
//! ```no_run
//! # async fn demo(request: till_sandbox::wit::pricing::PriceRequest, ctx: till_sandbox::wit::types::CallContext)
//! # -> Result<(), Box<dyn std::error::Error>> {
//! use till_sandbox::{Binding, Call, Limits, Sandbox, SandboxConfig, Slot};
//! let sandbox = Sandbox::new(SandboxConfig::default())?;
//! let component = sandbox.load(Slot::Pricing, &std::fs::read("price-list.wasm")?)?;
//! let binding = Binding::empty();
//! let call = Call { component, ctx, binding, limits: Limits::default(), background: false, breaker: None };
//! let answer = sandbox.price(call, request).await?;
//! # Ok(()) }
//! ```

mod binding;
mod bindings;
mod breaker;
mod call;
mod compile;
mod component;
mod engine;
mod error;
mod gateways;
mod host;
mod limits;
mod long;
mod queue;
mod report;
mod slot;
mod state;
mod table;
mod turns;

pub use binding::{Binding, Origin, OriginError, Secret};
pub use breaker::{BreakerRule, BreakerState, BreakerView};
pub use call::{Answer, Call, ScriptedCarrier, ScriptedGateway};
pub use compile::{COMPILE_CPU_S, Compiler, compile_file};
pub use component::{Component, Digest, Outside};
pub use engine::{Sandbox, SandboxConfig};
pub use error::{CompileFailure, Error, Failure, FailureKind, LoadError, Offender};
pub use host::courier::{Answered, Courier};
pub use host::script::{Asked, Reply, Script, Scripted};
pub use limits::Limits;
pub use queue::worker;
pub use report::{Exchange, LogLine, Report};
pub use slot::{Slot, UnknownSlot};
pub use table::{
    TABLE_BYTES_MAX, TABLE_KEY_BYTES_MAX, TABLE_ROWS_MAX, TABLE_VALUE_BYTES_MAX, Table, TableError,
};

/// The records of the contract, as plain data for the rest of the house.
pub mod wit {
    pub use crate::bindings::{carrier, gateway, pricing, promotion, risk, shipping, tax, types};
}
