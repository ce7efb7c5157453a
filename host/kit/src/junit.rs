//! Verdicts as JUnit XML, for continuous integration.

use crate::run::Verdict;
use crate::show;
use std::fmt::Write as _;

/// One test suite with a test case for each verdict. Times are in seconds.
pub fn xml(suite: &str, verdicts: &[Verdict]) -> String {
    let failures = verdicts.iter().filter(|verdict| !verdict.passed).count();
    let time = seconds(verdicts.iter().map(micros).sum());
    let (suite, tests) = (escaped(suite), verdicts.len());
    let mut xml = String::from("<?xml version=\"1.0\" encoding=\"UTF-8\"?>\n");
    let _ = writeln!(
        xml,
        "<testsuites tests=\"{tests}\" failures=\"{failures}\" errors=\"0\" time=\"{time}\">\n  \
         <testsuite name=\"{suite}\" tests=\"{tests}\" failures=\"{failures}\" errors=\"0\" skipped=\"0\" \
         time=\"{time}\">"
    );
    for verdict in verdicts {
        let (name, time) = (escaped(&verdict.name), seconds(micros(verdict)));
        let _ = write!(xml, "    <testcase classname=\"{suite}\" name=\"{name}\" time=\"{time}\"");
        if verdict.passed {
            xml.push_str("/>\n");
            continue;
        }
        let details = escaped(&show::details(verdict));
        let _ = writeln!(
            xml,
            ">\n      <failure message=\"{}\" type=\"difference\">{details}</failure>\n    </testcase>",
            escaped(&reason(verdict))
        );
    }
    xml.push_str("  </testsuite>\n</testsuites>\n");
    xml
}

/// The first thing that is wrong, on one line.
fn reason(verdict: &Verdict) -> String {
    let first = verdict.problems.first().cloned();
    let first = first.or_else(|| verdict.differences.first().map(|d| format!("{} differs", d.path)));
    first
        .unwrap_or_else(|| "the fixture expects nothing".to_owned())
        .lines()
        .next()
        .unwrap_or_default()
        .to_owned()
}

fn micros(verdict: &Verdict) -> u64 {
    verdict.report.as_ref().map_or(0, |report| report.elapsed_us)
}

fn seconds(micros: u64) -> String {
    format!("{}.{:06}", micros / 1_000_000, micros % 1_000_000)
}

/// Text for XML: its five signs escaped, and characters that XML 1.0 cannot say replaced.
fn escaped(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    for letter in text.chars() {
        match letter {
            '&' => out.push_str("&amp;"),
            '<' => out.push_str("&lt;"),
            '>' => out.push_str("&gt;"),
            '"' => out.push_str("&quot;"),
            '\'' => out.push_str("&apos;"),
            '\n' | '\t' => out.push(letter),
            '\u{fffe}' | '\u{ffff}' => out.push('\u{fffd}'),
            letter if letter < ' ' => out.push('\u{fffd}'),
            letter => out.push(letter),
        }
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;
    use till_sandbox::Report;

    #[test]
    fn a_suite_counts_its_failures_and_escapes_their_text() {
        let verdict = |passed: bool, problems: Vec<String>| Verdict {
            name: "a & b".into(),
            passed,
            function: None,
            problems,
            differences: vec![],
            outcome: None,
            report: Some(Report { elapsed_us: 1_500, ..Report::default() }),
            unexpected: false,
        };
        let xml = xml("s", &[verdict(true, vec![]), verdict(false, vec!["<\u{1}>\nmore".into()])]);
        assert!(xml.contains(r#"tests="2" failures="1""#) && xml.contains(r#"time="0.003000""#), "{xml}");
        assert!(xml.contains(r#"name="a &amp; b" time="0.001500"/>"#), "{xml}");
        assert!(xml.contains("message=\"&lt;\u{fffd}&gt;\""), "{xml}");
    }
}
