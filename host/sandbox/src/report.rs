//! What a guest did in one call: fuel, memory, words, requests.

use serde::{Deserialize, Serialize};
use std::collections::VecDeque;

/// Log lines kept from the start of the call.
const LOG_BYTES_MAX: usize = 48 << 10;
/// Of stdout and stderr the end is kept, because a panic speaks last. Together with the log: 64 kB.
const OUTPUT_BYTES_MAX: usize = 16 << 10;

/// What one call used and did, whether it answered or not.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Report {
    /// Units of fuel.
    pub fuel_used: u64,
    /// Most linear memory at one time.
    pub memory_peak_bytes: u64,
    /// Lines the guest wrote with `log`.
    pub logs: Vec<LogLine>,
    /// The end of what it wrote to stdout and stderr.
    pub output: String,
    /// Something of logs or output did not fit and is gone.
    pub logs_cut: bool,
    /// HTTP requests, in order.
    pub exchanges: Vec<Exchange>,
    /// Requests that were refused because the call had made all it may.
    pub requests_over: u64,
    /// A request left the host, or may have.
    pub sent: bool,
    /// A request was refused because its origin has failed too often.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub circuit_open: bool,
    /// At least one complete response came back.
    pub complete_response: bool,
    /// Wall time from the start of the instance to its end.
    pub elapsed_us: u64,
}

/// Different reasons told for one call.
const REASONS_MAX: usize = 3;

impl Report {
    /// Why requests have no complete answer, in the host's words. None: all have one.
    pub fn lost(&self) -> Option<String> {
        let mut reasons: Vec<String> = Vec::new();
        for exchange in &self.exchanges {
            let Some(error) = &exchange.error else { continue };
            if reasons.len() < REASONS_MAX && !reasons.contains(error) {
                reasons.push(error.clone());
            }
        }
        if self.requests_over > 0 {
            let (made, over) = (self.exchanges.len(), self.requests_over);
            reasons.push(format!("{over} more requests were refused after the {made} that a call may make"));
        }
        (!reasons.is_empty()).then(|| reasons.join("; "))
    }
}

/// A line of the guest's log.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct LogLine {
    /// `debug`, `info`, `warn` or `error`.
    pub level: String,
    /// What it wrote.
    pub text: String,
}

/// One HTTP request and what came back. Secrets and card numbers are blanked.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Exchange {
    /// `POST`
    pub method: String,
    /// The whole address.
    pub uri: String,
    /// As the guest wrote them: `{secret:NAME}` stays.
    pub request_headers: Vec<(String, String)>,
    /// The first part of the body.
    pub request_body: String,
    /// None: no answer came.
    pub status: Option<u16>,
    /// Headers of the answer.
    pub response_headers: Vec<(String, String)>,
    /// The first part of the answer.
    pub response_body: String,
    /// Why there is no complete answer.
    pub error: Option<String>,
    /// The request left the host, or may have.
    pub sent: bool,
    /// The answer was received to its end.
    pub complete: bool,
    /// From the start of the request to the end of the answer.
    pub elapsed_us: u64,
}

/// Collects words while the guest runs.
#[derive(Default)]
pub(crate) struct Words {
    lines: Vec<LogLine>,
    line_bytes: usize,
    output: VecDeque<u8>,
    cut: bool,
}

impl Words {
    pub(crate) fn log(&mut self, level: &str, text: String) {
        let room = LOG_BYTES_MAX.saturating_sub(self.line_bytes);
        let kept = prefix(&text, room);
        self.cut |= kept.len() < text.len();
        if kept.is_empty() && !text.is_empty() {
            return;
        }
        // An empty line costs something too, or a guest could write endlessly many.
        self.line_bytes += kept.len() + level.len() + 1;
        if self.line_bytes > LOG_BYTES_MAX + level.len() + 1 {
            self.cut = true;
            return;
        }
        self.lines.push(LogLine { level: level.to_owned(), text: kept.to_owned() });
    }

    pub(crate) fn output(&mut self, bytes: &[u8]) {
        let tail = &bytes[bytes.len().saturating_sub(OUTPUT_BYTES_MAX)..];
        let surplus = (self.output.len() + tail.len()).saturating_sub(OUTPUT_BYTES_MAX);
        self.cut |= surplus > 0 || tail.len() < bytes.len();
        self.output.drain(..surplus);
        self.output.extend(tail);
    }

    pub(crate) fn take(&mut self) -> (Vec<LogLine>, String, bool) {
        let output: Vec<u8> = std::mem::take(&mut self.output).into();
        (std::mem::take(&mut self.lines), String::from_utf8_lossy(&output).into_owned(), self.cut)
    }
}

/// At most `max` bytes from the start, not cutting a character in two.
pub(crate) fn prefix(text: &str, max: usize) -> &str {
    &text[..text.floor_char_boundary(max)]
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_log_keeps_its_start_and_the_output_its_end() {
        let mut words = Words::default();
        words.log("info", "first".into());
        words.log("info", "x".repeat(LOG_BYTES_MAX));
        words.log("info", "lost".into());
        words.output(&vec![b'a'; OUTPUT_BYTES_MAX]);
        words.output(b"panicked");
        let (lines, output, cut) = words.take();
        assert_eq!(lines[0].text, "first");
        assert_eq!(lines.len(), 2);
        assert!(output.ends_with("panicked"));
        assert_eq!(output.len(), OUTPUT_BYTES_MAX);
        assert!(cut);
    }

    #[test]
    fn endless_empty_lines_end() {
        let mut words = Words::default();
        for _ in 0..100_000 {
            words.log("info", String::new());
        }
        let (lines, _, cut) = words.take();
        assert!(lines.len() < 10_000);
        assert!(cut);
    }

    #[test]
    fn requests_without_an_answer_are_told_once_for_each_reason() {
        let request =
            |error: Option<&str>| Exchange { error: error.map(str::to_owned), ..Exchange::default() };
        let exchanges = [None, Some("refused: a"), Some("refused: a"), Some("late")].map(request).to_vec();
        let report = Report { exchanges, requests_over: 9, ..Report::default() };
        let over = "9 more requests were refused after the 4 that a call may make";
        assert_eq!(report.lost().unwrap(), format!("refused: a; late; {over}"));
        assert_eq!(Report { exchanges: vec![request(None)], ..Report::default() }.lost(), None);
    }

    #[test]
    fn few_words_are_not_cut() {
        let mut words = Words::default();
        words.log("warn", "é".into());
        words.output("ö".as_bytes());
        assert_eq!(
            words.take(),
            (vec![LogLine { level: "warn".into(), text: "é".into() }], "ö".into(), false)
        );
        assert_eq!(prefix("aé", 2), "a");
    }
}
