//! The sandbox with real guests. They are built beforehand; a missing one fails the test that needs it.

#![expect(clippy::unwrap_used, reason = "helpers of tests may panic, like the tests")]

mod breaker;
mod common;
mod gateway;
mod hostile;
mod languages;
mod limits;
mod pure;
mod simulator;
