//! What can go wrong at the merchants' door.

use till_sandbox::LoadError;

/// What went wrong, by what the caller does next.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The bytes are no component for the slot.
    #[error(transparent)]
    Component(#[from] LoadError),
    /// The component does not do what its slot asks of every component.
    #[error("accept the component: it fails {} conformance checks: {}", .findings.len(), .findings.join("; "))]
    Conformance {
        /// The checks that failed, each with what was seen.
        findings: Vec<String>,
    },
    /// The configuration does not match the component's schema.
    #[error("accept the configuration: {}", .findings.join("; "))]
    Config {
        /// What does not match, each with its path.
        findings: Vec<String>,
    },
    /// A field of the request is wrong.
    #[error("accept `{field}`: {why}")]
    Field {
        /// Name of the field.
        field: &'static str,
        /// What is wrong and what is allowed.
        why: String,
    },
    /// It cannot be done as things are.
    #[error("{why}")]
    NotNow {
        /// How things are, and what to do.
        why: String,
    },
    /// There is none.
    #[error("find {what} `{id}`")]
    NotFound {
        /// Kind of thing.
        what: &'static str,
        /// Its digest or name.
        id: String,
    },
    /// The component was revoked: it is not called any more.
    #[error("call component {component}: it was revoked")]
    Revoked {
        /// Its digest.
        component: String,
    },
    /// The store failed.
    #[error(transparent)]
    Store(#[from] till_store::Error),
}

impl Error {
    pub(crate) fn field(field: &'static str, why: impl Into<String>) -> Error {
        Error::Field { field, why: why.into() }
    }

    pub(crate) fn not_now(why: impl Into<String>) -> Error {
        Error::NotNow { why: why.into() }
    }

    pub(crate) fn corrupt(why: impl std::fmt::Display) -> Error {
        till_store::Error::Corrupt(why.to_string()).into()
    }
}
