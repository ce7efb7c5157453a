//! Answers for a gateway without a network: recordings that are replayed, providers that misbehave.
//!
//! What the guest may reach, the putting in of secrets and the record of each exchange are those of
//! `http`; only the wire is another.

/// A request of the guest, as it wrote it: `{secret:NAME}` stays.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Asked {
    /// `POST`
    pub method: String,
    /// The whole address.
    pub uri: String,
    /// Names in lowercase, in the guest's order.
    pub headers: Vec<(String, String)>,
    /// All of it.
    pub body: Vec<u8>,
}

/// An answer of a provider.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Reply {
    /// `200`
    pub status: u16,
    /// Names and values.
    pub headers: Vec<(String, String)>,
    /// At most 1 MiB, as on the wire.
    pub body: Vec<u8>,
}

/// What comes of a request.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Scripted {
    /// A complete answer.
    Whole(Reply),
    /// An answer whose end is missing: the guest gets none of it.
    CutOff(Reply),
    /// The request left, and no answer came in time. The call does not wait for it.
    TimedOut,
    /// No connection, and why: nothing was sent.
    Refused(String),
}

/// Answers the requests of one call, in the order in which the guest sends them.
pub trait Script: Send + Sync {
    /// What comes of a request. Must not block.
    fn answer(&self, asked: &Asked) -> Scripted;
}

impl<F: Fn(&Asked) -> Scripted + Send + Sync> Script for F {
    fn answer(&self, asked: &Asked) -> Scripted {
        self(asked)
    }
}
