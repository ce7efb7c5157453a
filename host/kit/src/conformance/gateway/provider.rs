//! A provider that misbehaves in one way, played by a script.

use std::fmt;
use std::sync::{Arc, Mutex, PoisonError};
use till_sandbox::{Asked, Reply, Script, Scripted};

/// A way in which a provider fails to confirm anything.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in super::super) enum Fault {
    Refused,
    Html,
    EmptyObject,
    Empty,
    ProxyNotFound,
    ServerError,
    CutOff,
    TimedOut,
}

pub(in super::super) const FAULTS: [Fault; 8] = [
    Fault::Refused,
    Fault::Html,
    Fault::EmptyObject,
    Fault::Empty,
    Fault::ProxyNotFound,
    Fault::ServerError,
    Fault::CutOff,
    Fault::TimedOut,
];

impl Fault {
    pub(in super::super) fn answer(self) -> Scripted {
        let whole = |status, kind: &str, body: &str| {
            let headers = vec![("content-type".to_owned(), kind.to_owned())];
            Scripted::Whole(Reply { status, headers, body: body.as_bytes().to_vec() })
        };
        match self {
            Fault::Refused => Scripted::Refused("connection refused".to_owned()),
            Fault::Html => whole(200, "text/html", "<html>maintenance</html>"),
            Fault::EmptyObject => whole(200, "application/json", "{}"),
            Fault::Empty => whole(200, "application/json", ""),
            Fault::ProxyNotFound => whole(404, "text/html", "<html>no such page</html>"),
            Fault::ServerError => whole(500, "application/json", r#"{"error":{"code":"internal"}}"#),
            Fault::CutOff => Scripted::CutOff(Reply {
                status: 200,
                headers: vec![("content-type".to_owned(), "application/json".to_owned())],
                body: br#"{"id":"x","status":"succ"#.to_vec(),
            }),
            Fault::TimedOut => Scripted::TimedOut,
        }
    }

    /// Nothing of the answer is there, or the provider says that it does not know.
    pub(in super::super) fn says_nothing(self) -> bool {
        matches!(self, Fault::ServerError | Fault::CutOff | Fault::TimedOut)
    }
}

impl fmt::Display for Fault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Fault::Refused => "a connection refused",
            Fault::Html => "200 with HTML",
            Fault::EmptyObject => "200 with `{}`",
            Fault::Empty => "200 without a body",
            Fault::ProxyNotFound => "404 of a proxy",
            Fault::ServerError => "500",
            Fault::CutOff => "an answer cut off",
            Fault::TimedOut => "no answer in time",
        })
    }
}

/// A provider with one answer for everything. Keeps what it was asked.
#[derive(Clone)]
pub(in super::super) struct Provider {
    fault: Fault,
    asked: Arc<Mutex<Vec<Asked>>>,
}

impl Provider {
    pub(in super::super) fn new(fault: Fault) -> Self {
        Provider { fault, asked: Arc::default() }
    }

    pub(in super::super) fn asked(&self) -> Vec<Asked> {
        self.asked.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }
}

impl Script for Provider {
    fn answer(&self, asked: &Asked) -> Scripted {
        self.asked.lock().unwrap_or_else(PoisonError::into_inner).push(asked.clone());
        self.fault.answer()
    }
}
