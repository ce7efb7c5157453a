//! Verdicts and reports as text for people.

use crate::difference::SHOWN_MAX;
use crate::run::Verdict;
use std::fmt::Write as _;
use till_sandbox::Report;

/// The headings over [`line`].
pub fn heading() -> String {
    format!("{:<7} {:<36} {:>13} {:>11} {:>11}", "", "case", "fuel", "memory", "time")
}

/// One line for a case.
pub fn line(verdict: &Verdict) -> String {
    let word = if verdict.passed { "ok" } else { "FAILED" };
    let (fuel, memory, time) = match &verdict.report {
        Some(report) => (
            grouped(report.fuel_used),
            format!("{} KiB", grouped(report.memory_peak_bytes >> 10)),
            format!("{} µs", grouped(report.elapsed_us)),
        ),
        None => ("-".to_owned(), "-".to_owned(), "-".to_owned()),
    };
    format!("{word:<7} {:<36} {fuel:>13} {memory:>11} {time:>11}", verdict.name)
}

/// What is wrong with a case and what the component said. Empty where nothing is to be told.
pub fn details(verdict: &Verdict) -> String {
    let mut text = String::new();
    for problem in &verdict.problems {
        let _ = writeln!(text, "{problem}");
    }
    if verdict.unexpected {
        let _ = writeln!(text, "the fixture expects nothing: --update writes what is answered now");
    }
    for difference in verdict.differences.iter().take(SHOWN_MAX) {
        let _ = writeln!(text, "{difference}");
    }
    if let Some(more) = verdict.differences.len().checked_sub(SHOWN_MAX).filter(|more| *more > 0) {
        let _ = writeln!(text, "and {more} more differences");
    }
    if let Some(report) = verdict.report.as_ref().filter(|_| !verdict.passed) {
        text.push_str(&words(report));
    }
    indented(&text)
}

/// What the component wrote and sent.
pub fn words(report: &Report) -> String {
    let mut text = String::new();
    for line in &report.logs {
        let _ = writeln!(text, "log {}: {}", line.level, line.text);
    }
    if !report.output.trim().is_empty() {
        let _ = writeln!(text, "output:\n{}", report.output.trim_end());
    }
    if report.logs_cut {
        text.push_str("(some of it did not fit and is gone)\n");
    }
    for exchange in &report.exchanges {
        let came = match (exchange.status, &exchange.error) {
            (_, Some(error)) => error.clone(),
            (Some(status), None) => status.to_string(),
            (None, None) => "no answer".to_owned(),
        };
        let _ = writeln!(text, "http {} {}: {came}", exchange.method, exchange.uri);
    }
    text
}

/// What a call used.
pub fn used(report: &Report) -> String {
    format!(
        "{} fuel, {} KiB of memory, {} µs",
        grouped(report.fuel_used),
        grouped(report.memory_peak_bytes >> 10),
        grouped(report.elapsed_us)
    )
}

fn indented(text: &str) -> String {
    text.lines().fold(String::new(), |mut all, line| {
        let _ = writeln!(all, "        {line}");
        all
    })
}

/// `1234567` as `1 234 567`.
fn grouped(number: u64) -> String {
    let digits = number.to_string();
    let mut out = String::with_capacity(digits.len() + digits.len() / 3);
    for (index, digit) in digits.chars().enumerate() {
        if index > 0 && (digits.len() - index).is_multiple_of(3) {
            out.push(' ');
        }
        out.push(digit);
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;
    use till_sandbox::LogLine;

    #[test]
    fn numbers_can_be_read() {
        assert_eq!(grouped(0), "0");
        assert_eq!(grouped(123), "123");
        assert_eq!(grouped(1_234_567), "1 234 567");
    }

    #[test]
    fn a_failure_shows_what_the_component_said() {
        let report = Report {
            logs: vec![LogLine { level: "warn".into(), text: "no tier".into() }],
            output: "panicked at src/lib.rs\n".into(),
            ..Report::default()
        };
        let mut verdict = Verdict {
            name: "x".into(),
            passed: false,
            function: None,
            problems: vec!["two\nlines".into()],
            differences: vec![],
            outcome: None,
            report: Some(report),
            unexpected: false,
        };
        assert_eq!(
            details(&verdict),
            "        two\n        lines\n        log warn: no tier\n        output:\n        panicked at src/lib.rs\n"
        );
        assert!(line(&verdict).starts_with("FAILED  x"));
        verdict.passed = true;
        verdict.problems.clear();
        assert_eq!(details(&verdict), "");
    }
}
