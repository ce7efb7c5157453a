//! YAML text to [`Definition`]: typed, with budgets, no anchors, no YAML 1.1 surprises.

use indexmap::IndexMap;

use super::{Definition, File, Finding, SOURCE_BYTES_MAX, STATES_MAX, digest_of, locate, parse_duration};

pub(super) fn parse(source: &str) -> Result<Definition, Vec<Finding>> {
    if source.len() > SOURCE_BYTES_MAX {
        return Err(vec![Finding::new(
            "W00",
            1,
            format!("the file has {} bytes; at most {SOURCE_BYTES_MAX} are read", source.len()),
        )]);
    }
    let file: File = serde_saphyr::from_str(source).map_err(|error| {
        let line = error.location().map_or(1, |l| l.line() as usize);
        vec![Finding::new("W00", line, error.to_string())]
    })?;
    let mut findings = Vec::new();
    if file.till != "workflow/1" {
        findings.push(Finding::new(
            "W00",
            locate(source, &["till"]),
            format!("format `{}` is not known; write `till: workflow/1`", file.till),
        ));
    }
    if file.states.len() > STATES_MAX {
        findings.push(Finding::new(
            "W00",
            locate(source, &["states"]),
            format!("{} states; at most {STATES_MAX}", file.states.len()),
        ));
    }
    let mut durations = IndexMap::new();
    let mut read = |text: &str, path: &[&str]| match parse_duration(text) {
        Some(micros) => {
            durations.insert(text.to_owned(), micros);
        }
        None => findings.push(Finding::new(
            "W00",
            locate(source, path),
            format!("`{text}` is no duration; write a whole number with ms, s, m, h or d, for example `15m`"),
        )),
    };
    for (name, state) in &file.states {
        for text in state.after.keys() {
            read(text, &["states", name, "after"]);
        }
        if let Some(retry) = &state.retry {
            read(&retry.first, &["states", name, "retry"]);
            read(&retry.cap, &["states", name, "retry"]);
        }
        if let Some(ask) = &state.ask {
            for text in &ask.after {
                read(text, &["states", name, "ask"]);
            }
            read(&ask.then, &["states", name, "ask"]);
        }
    }
    if findings.is_empty() {
        Ok(Definition { digest: digest_of(source), file, source: source.to_owned(), durations })
    } else {
        Err(findings)
    }
}
