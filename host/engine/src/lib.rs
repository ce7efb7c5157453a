//! The durable workflow engine: runs state machines whose steps others register by name.
//!
//! Owns definitions (statecharts from YAML), instances, the journal, and how an instance moves. Must not
//! know: SQL, HTTP, WASM, checkout. Read first: [`definition::Definition`], [`decide`] (what follows
//! when something happens: plain functions) and [`runner::Runner`] (load, decide, commit, act).
//!
//! ```
//! use till_engine::definition::Definition;
//!
//! let yaml = "till: workflow/1\nid: nap\nrevision: 1\ninitial: asleep\nstates:\n  asleep: { after: { 5m: awake } }\n  awake: { type: final }\n";
//! let definition = Definition::parse(yaml).expect("it is well formed");
//! assert_eq!(definition.file.initial, "asleep");
//! ```

pub mod crash;
pub mod decide;
pub mod definition;
pub mod instance;
pub mod journal;
pub mod ports;
pub mod runner;
pub mod step;
