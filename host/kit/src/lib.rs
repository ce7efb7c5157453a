//! A component alone: what its author needs before any shop uses it.
//!
//! Owns: the project file of a component.
//!
//! Must not know: databases, workflows, HTTP servers. A component is loaded and called by the sandbox that
//! a host uses, with the limits that a host sets.
//!
//! Read first: [`Project`].

pub mod project;

pub use project::{Project, ProjectError};
