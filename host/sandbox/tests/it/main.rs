//! The sandbox with real guests. They are built beforehand; a missing one fails the test that needs it.

mod common;
mod gateway;
mod hostile;
mod pure;
mod simulator;
