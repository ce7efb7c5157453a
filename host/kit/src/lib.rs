//! A component alone: what its author needs before any shop uses it.
//!
//! Owns: the project file of a component; fixtures, and what came of them otherwise than expected; HTTP
//! exchanges that are played again; what a host would say at upload; the conformance suites of the slots.
//!
//! Must not know: databases, workflows, HTTP servers. A component is loaded and called by the sandbox that
//! a host uses, with the limits that a host sets.
//!
//! Read first: [`Fixture`], [`judge`], [`conformance::conformance`].
//!
//! ```no_run
//! # async fn demo() -> Result<(), Box<dyn std::error::Error>> {
//! use till_sandbox::{Sandbox, SandboxConfig, Slot};
//! let sandbox = Sandbox::new(SandboxConfig::default())?;
//! let component = sandbox.load(Slot::Pricing, &std::fs::read("price-list.wasm")?)?;
//! let verdict = till_kit::judge(&sandbox, &component, "fixtures/ten-percent.json".as_ref()).await;
//! println!("{}\n{}", till_kit::show::line(&verdict), till_kit::show::details(&verdict));
//! # Ok(()) }
//! ```

pub mod conformance;
mod decode;
pub mod difference;
pub mod fixture;
mod function;
pub mod inspect;
pub mod junit;
pub mod project;
pub mod replay;
mod run;
mod short;
pub mod show;
pub mod tables;
mod tree;

pub use difference::Difference;
pub use fixture::{Expected, Fixture, FixtureError};
pub use function::Function;
pub use project::{Project, ProjectError};
pub use run::{Outcome, Run, Verdict, compare, judge, run};
pub use tree::Tree;
