//! Recorded HTTP exchanges, played again to a gateway and compared with what it sends now.

use crate::difference::{SHOWN_MAX, between};
use crate::tree::Tree;
use serde::Deserialize;
use serde_json::Value;
use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use till_sandbox::{Asked, Reply, Script, Scripted};

/// One exchange of a fixture.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Recorded {
    /// What the gateway must send.
    pub request: RecordedRequest,
    /// What it gets. Exactly one of this and `error`, but for `incomplete`, which may have both.
    #[serde(default)]
    pub response: Option<RecordedResponse>,
    /// Why it gets no complete answer.
    #[serde(default)]
    pub error: Option<NoAnswer>,
}

/// The request of a recorded exchange.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct RecordedRequest {
    /// `POST`
    pub method: String,
    /// The whole address.
    pub uri: String,
    /// Compared where they are listed; names in any case, values as the gateway writes them
    /// (`Bearer {secret:api_key}`).
    #[serde(default)]
    pub headers: BTreeMap<String, String>,
    /// A text, or JSON that the body must equal whatever its spacing. Absent: the body must be empty.
    #[serde(default)]
    pub body: Option<Value>,
}

/// The answer of a recorded exchange.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct RecordedResponse {
    /// `200`
    pub status: u16,
    /// Names and values.
    #[serde(default)]
    pub headers: BTreeMap<String, String>,
    /// A text, or JSON.
    #[serde(default)]
    pub body: Option<Value>,
}

/// Ways to have no complete answer.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum NoAnswer {
    /// No connection: nothing was sent.
    ConnectionRefused,
    /// It was sent and not answered in time.
    Timeout,
    /// It was sent and the answer breaks off.
    Incomplete,
}

impl Recorded {
    /// What of the exchange contradicts itself. None: it can be played.
    pub fn contradiction(&self) -> Option<&'static str> {
        match (&self.response, self.error) {
            (None, None) => Some("an exchange needs a `response` or an `error`"),
            (Some(_), Some(NoAnswer::ConnectionRefused | NoAnswer::Timeout)) => {
                Some("with this `error` there is no `response`: remove one of them")
            }
            _ => None,
        }
    }

    fn reply(&self) -> Scripted {
        let reply = self.response.as_ref().map(|response| {
            let mut headers: Vec<_> = response.headers.clone().into_iter().collect();
            let body = text(response.body.as_ref());
            if matches!(&response.body, Some(body) if !body.is_string())
                && !headers.iter().any(|(name, _)| name.eq_ignore_ascii_case("content-type"))
            {
                headers.push(("content-type".to_owned(), "application/json".to_owned()));
            }
            Reply { status: response.status, headers, body: body.into_bytes() }
        });
        match self.error {
            Some(NoAnswer::ConnectionRefused) => Scripted::Refused("connection refused".to_owned()),
            Some(NoAnswer::Timeout) => Scripted::TimedOut,
            Some(NoAnswer::Incomplete) => {
                Scripted::CutOff(reply.unwrap_or(Reply { status: 200, ..Reply::default() }))
            }
            None => Scripted::Whole(reply.unwrap_or_default()),
        }
    }
}

/// A body as it is sent.
fn text(body: Option<&Value>) -> String {
    match body {
        None => String::new(),
        Some(Value::String(text)) => text.clone(),
        Some(json) => json.to_string(),
    }
}

/// Plays a recording once.
#[derive(Clone)]
pub struct Replay {
    recorded: Arc<Vec<Recorded>>,
    state: Arc<Mutex<State>>,
}

#[derive(Default)]
struct State {
    next: usize,
    problems: Vec<String>,
}

impl Replay {
    /// From its first exchange.
    pub fn new(recorded: Vec<Recorded>) -> Self {
        Replay { recorded: Arc::new(recorded), state: Arc::default() }
    }

    /// What differed from the recording, after the call.
    pub fn problems(&self) -> Vec<String> {
        let state = self.lock();
        let mut problems = state.problems.clone();
        for (index, unused) in self.recorded.iter().enumerate().skip(state.next) {
            let RecordedRequest { method, uri, .. } = &unused.request;
            problems.push(format!("exchange {} was recorded and not asked for: {method} {uri}", index + 1));
        }
        problems
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Script for Replay {
    fn answer(&self, asked: &Asked) -> Scripted {
        let mut state = self.lock();
        let Some(recorded) = self.recorded.get(state.next) else {
            state.problems.push(format!(
                "a request beyond the {} recorded: {} {}{}",
                self.recorded.len(),
                asked.method,
                asked.uri,
                if asked.body.is_empty() { String::new() } else { format!(" with {}", body_of(asked)) },
            ));
            return Scripted::Refused("the recording has no such exchange".to_owned());
        };
        state.next += 1;
        let differences = differences(&recorded.request, asked);
        if differences.is_empty() {
            return recorded.reply();
        }
        let number = state.next;
        state.problems.extend(
            differences.into_iter().take(SHOWN_MAX).map(|text| format!("exchange {number} differs: {text}")),
        );
        Scripted::Refused("the request differs from the recording".to_owned())
    }
}

fn body_of(asked: &Asked) -> String {
    String::from_utf8_lossy(&asked.body).into_owned()
}

fn differences(recorded: &RecordedRequest, asked: &Asked) -> Vec<String> {
    let mut found = Vec::new();
    let mut compare = |what: &str, expected: &str, got: &str| {
        if expected != got {
            found.push(format!("{what}\n  expected  {expected}\n  got       {got}"));
        }
    };
    compare("method", &recorded.method, &asked.method);
    compare("uri", &recorded.uri, &asked.uri);
    for (name, value) in &recorded.headers {
        let sent = asked.headers.iter().find(|(sent, _)| sent.eq_ignore_ascii_case(name));
        compare(&format!("header `{name}`"), value, sent.map_or("nothing", |(_, value)| value));
    }
    let (expected, got) = (text(recorded.body.as_ref()), body_of(asked));
    let trees = (serde_json::from_str::<Tree>(&expected), serde_json::from_str::<Tree>(&got));
    match trees {
        (Ok(expected), Ok(got)) => {
            found.extend(between("body", &expected, &got).iter().map(ToString::to_string));
        }
        _ => compare("body", &expected, &got),
    }
    found
}

#[cfg(test)]
mod tests {
    use super::*;

    fn recording(json: &str) -> Vec<Recorded> {
        serde_json::from_str(json).unwrap()
    }

    fn asked(uri: &str, body: &str) -> Asked {
        let headers = vec![("idempotency-key".to_owned(), "k".to_owned())];
        Asked { method: "POST".into(), uri: uri.into(), headers, body: body.into() }
    }

    const ONE: &str = r#"[{"request": {"method": "POST", "uri": "https://a/x", "body": {"amount": 5, "b": 1},
        "headers": {"Idempotency-Key": "k"}}, "response": {"status": 200, "body": {"ok": true}}}]"#;

    #[test]
    fn a_request_as_recorded_gets_the_recorded_answer() {
        let replay = Replay::new(recording(ONE));
        let Scripted::Whole(reply) = replay.answer(&asked("https://a/x", r#"{"b":1, "amount":5}"#)) else {
            panic!("{:?}", replay.problems());
        };
        assert_eq!((reply.status, reply.body.as_slice()), (200, &br#"{"ok":true}"#[..]));
        assert_eq!(reply.headers, [("content-type".to_owned(), "application/json".to_owned())]);
        assert_eq!(replay.problems(), [""; 0]);
    }

    #[test]
    fn every_divergence_is_told() {
        let replay = Replay::new(recording(ONE));
        let answer = replay.answer(&asked("https://a/y", r#"{"amount":6,"b":1}"#));
        assert!(matches!(answer, Scripted::Refused(_)));
        replay.answer(&asked("https://a/z", "more"));
        assert_eq!(
            replay.problems(),
            [
                "exchange 1 differs: uri\n  expected  https://a/x\n  got       https://a/y",
                "exchange 1 differs: body.amount\n  expected  5\n  got       6",
                "a request beyond the 1 recorded: POST https://a/z with more",
            ]
        );
        let unused = Replay::new(recording(ONE));
        assert_eq!(unused.problems(), ["exchange 1 was recorded and not asked for: POST https://a/x"]);
    }

    #[test]
    fn an_exchange_that_contradicts_itself_is_found() {
        let of = |json: &str| recording(json)[0].contradiction();
        assert!(of(r#"[{"request": {"method": "GET", "uri": "u"}}]"#).is_some());
        assert!(of(r#"[{"request": {"method": "GET", "uri": "u"}, "error": "timeout"}]"#).is_none());
        let both = r#"[{"request": {"method": "GET", "uri": "u"}, "error": "timeout", "response": {"status": 200}}]"#;
        assert!(of(both).is_some());
    }
}
