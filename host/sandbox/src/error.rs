//! How loading and calling can go wrong, grouped by what the caller does next.

use crate::{Report, Slot};
use serde::{Deserialize, Serialize};
use std::fmt;

/// The sandbox itself could not be set up.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// wasmtime refuses the configuration.
    #[error("set up the WASM engine: {0:#}")]
    Engine(wasmtime::Error),
    /// A thread could not be started.
    #[error("start a sandbox thread: {0}")]
    Thread(std::io::Error),
    /// The folder for machine code cannot be used.
    #[error("use the folder for machine code: {0}")]
    CodeCache(std::io::Error),
    /// The HTTP client for gateways could not be set up.
    #[error("set up the HTTP client: {0}")]
    Http(#[source] reqwest::Error),
}

/// An import that the slot does not allow.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Offender {
    /// The import as the component names it.
    pub import: String,
    /// Why it is refused.
    pub why: String,
}

/// A component was refused at the door.
#[derive(Debug, thiserror::Error)]
pub enum LoadError {
    /// The file is too large.
    #[error("the component has {size} bytes, at most {limit} are allowed")]
    TooLarge {
        /// Its size.
        size: usize,
        /// The most allowed.
        limit: usize,
    },
    /// It is not a component.
    #[error("this is not a WASM component but {found}")]
    NotAComponent {
        /// What it seems to be.
        found: &'static str,
    },
    /// Its bytes cannot be read to their end.
    #[error("the component is damaged or cut off: {0}")]
    Broken(String),
    /// It does not compile.
    #[error("the component does not compile: {0:#}")]
    Compile(wasmtime::Error),
    /// Compiling it takes more than it may.
    #[error("the component does not compile within its limits: {0}")]
    CompileLimit(CompileFailure),
    /// It wants what its slot does not give. All offenders are listed.
    #[error("a component for {slot} must not import {}", list(offenders))]
    Imports {
        /// The slot.
        slot: Slot,
        /// Every import refused.
        offenders: Vec<Offender>,
    },
    /// It does not export the slot's interface, or not at a version we speak.
    #[error("a component for {slot} must export {expected}; this one exports {}", one_of(found))]
    Exports {
        /// The slot.
        slot: Slot,
        /// The interface with the version we speak.
        expected: String,
        /// The exports found.
        found: Vec<String>,
    },
    /// Its types differ from the contract's.
    #[error("the component was not built from the contract {contract}: {source:#}")]
    Contract {
        /// The contract version it names.
        contract: String,
        /// The first difference.
        source: wasmtime::Error,
    },
    /// It fails when asked what it is.
    #[error("the component fails in `describe`: {0}")]
    Describe(Box<Failure>),
    /// What it says of itself cannot be used.
    #[error("the component says of itself: {0}")]
    Info(String),
    /// The host could not do the work; the component may be fine.
    #[error("load the component: {0}")]
    Host(std::io::Error),
}

/// Which limit a compilation reached.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum CompileFailure {
    /// CPU time.
    Time {
        /// Seconds allowed.
        cpu_s: u64,
    },
    /// Memory.
    Memory {
        /// Bytes allowed.
        bytes: u64,
    },
    /// Size of the machine code.
    Code {
        /// Bytes allowed.
        bytes: u64,
    },
    /// The compiler died.
    Died {
        /// Number of the signal.
        signal: i32,
        /// Its last words.
        said: String,
    },
}

impl fmt::Display for CompileFailure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            CompileFailure::Time { cpu_s } => {
                write!(f, "{cpu_s} s of CPU time; one very large function takes long, split it")
            }
            CompileFailure::Memory { bytes } => write!(f, "{bytes} bytes of memory"),
            CompileFailure::Code { bytes } => write!(f, "{bytes} bytes of machine code"),
            CompileFailure::Died { signal, said } => {
                write!(f, "the compiler ended with signal {signal}: {said}")
            }
        }
    }
}

fn list(offenders: &[Offender]) -> String {
    offenders.iter().map(|o| format!("`{}` ({})", o.import, o.why)).collect::<Vec<_>>().join(", ")
}

fn one_of(found: &[String]) -> String {
    if found.is_empty() { "nothing".to_owned() } else { found.join(", ") }
}

/// A call that gave no answer, with the report of what happened until then.
///
/// For a gateway read [`Report::sent`] first: a failure after a request was sent says nothing about what
/// became of the money.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, thiserror::Error)]
#[error("{kind}{}", at.as_ref().map(|f| format!(" (in the guest's `{f}`)")).unwrap_or_default())]
pub struct Failure {
    /// What stopped it.
    pub kind: FailureKind,
    /// The innermost function of the guest's own code, where it is known; ` at FILE:LINE` follows with
    /// [`SandboxConfig::source_lines`](crate::SandboxConfig::source_lines) and debug information.
    pub at: Option<String>,
    /// What it used and did.
    pub report: Box<Report>,
}

/// What stopped a call. Each limit names itself and the amount.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "kind", rename_all = "kebab-case")]
pub enum FailureKind {
    /// The guest crashed.
    Trapped {
        /// The trap, and the guest's own words where it wrote any.
        message: String,
    },
    /// It used up its fuel.
    OutOfFuel {
        /// Units allowed.
        limit: u64,
        /// Units used.
        used: u64,
    },
    /// It wanted more memory than allowed.
    OutOfMemory {
        /// Bytes allowed.
        limit: u64,
        /// Bytes wanted.
        wanted: u64,
    },
    /// It called itself too deeply.
    StackTooDeep {
        /// Bytes allowed.
        limit: u64,
    },
    /// The guest's stack outgrew the room it keeps for it in its own memory: 1 MiB in Rust, unless it is linked with
    /// more.
    OwnStackTooDeep {
        /// Bytes of stack allowed.
        limit: u64,
    },
    /// It was stopped by the clock.
    TooSlow {
        /// Milliseconds allowed.
        limit_ms: u64,
    },
    /// What it handed to the host at once is too large.
    OutputTooLarge {
        /// Bytes allowed.
        limit: u64,
    },
    /// The request is too large to be handed in.
    InputTooLarge {
        /// Bytes allowed.
        limit: u64,
        /// Bytes it has.
        size: u64,
    },
    /// The component fills another slot than the one called.
    WrongSlot {
        /// The slot called.
        called: Slot,
        /// The component's slot.
        component: Slot,
    },
    /// The host has no room for this call now.
    Busy {
        /// What is used up.
        what: String,
    },
    /// The host failed. Nothing the component did.
    Host {
        /// What happened.
        message: String,
    },
}

impl FailureKind {
    /// The host's own trouble: it says nothing about the component.
    pub fn is_the_hosts(&self) -> bool {
        matches!(self, Self::Busy { .. } | Self::Host { .. })
    }
}

impl fmt::Display for FailureKind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Trapped { message } => write!(f, "the component crashed: {message}"),
            Self::OutOfFuel { limit, used } => {
                write!(f, "the component used up its fuel: {used} of {limit} units")
            }
            Self::OutOfMemory { limit, wanted } => {
                write!(f, "the component wanted {wanted} bytes of memory, at most {limit} are allowed")
            }
            Self::OwnStackTooDeep { limit } => {
                write!(
                    f,
                    "the component used up its stack, the part in its own memory (1 MiB in Rust unless linked with more; the host allows {limit} bytes beside it)"
                )
            }
            Self::StackTooDeep { limit } => {
                write!(f, "the component used up its stack of {limit} bytes")
            }
            Self::TooSlow { limit_ms } => {
                write!(f, "the component was stopped after {limit_ms} ms")
            }
            Self::OutputTooLarge { limit } => {
                write!(f, "the component handed over more than {limit} bytes at once")
            }
            Self::InputTooLarge { limit, size } => {
                write!(f, "the request has {size} bytes, at most {limit} are allowed")
            }
            Self::WrongSlot { called, component } => {
                write!(f, "the component is one for {component}, not for {called}")
            }
            Self::Busy { what } => write!(f, "the host is busy: {what}"),
            Self::Host { message } => write!(f, "the host failed: {message}"),
        }
    }
}

impl Failure {
    /// A failure before any guest ran.
    pub(crate) fn before(kind: FailureKind) -> Self {
        Failure { kind, at: None, report: Box::default() }
    }
}
