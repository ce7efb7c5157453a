//! Finds the line of a place in a workflow file, for error messages.

/// Line (from 1) of the innermost of `path` found in `source`, for example `["states", "pay", "after"]`.
///
/// A text search along the path: each name is looked for as a key behind the place of the one before.
/// It needs no spans in the parsed file and never fails; an unknown path gives the last line found.
pub fn locate(source: &str, path: &[&str]) -> usize {
    let mut at = 0usize;
    for name in path {
        match find_key(source, at, name) {
            Some(found) => at = found,
            None => break,
        }
    }
    source[..at].matches('\n').count() + 1
}

fn find_key(source: &str, from: usize, name: &str) -> Option<usize> {
    let mut start = from;
    while let Some(found) = source[start..].find(name) {
        let at = start + found;
        let before = source[..at].chars().next_back();
        let rest = &source[at + name.len()..];
        let key = rest.trim_start_matches(['"', '\'']).trim_start().starts_with(':');
        let starts = before.is_none_or(|c| matches!(c, ' ' | '\n' | '{' | ',' | '"' | '\''));
        let comment = source[..at].rsplit('\n').next().is_some_and(|line| line.trim_start().starts_with('#'));
        if key && starts && !comment {
            return Some(at);
        }
        start = at + name.len();
    }
    None
}

#[cfg(test)]
mod tests {
    use super::locate;

    #[test]
    fn finds_nested_keys_in_block_and_flow_style() {
        let text = "id: x\n# pay: no\nstates:\n  pay:\n    invoke: a\n    after: { 5m: end }\n  end: { type: final }\n";
        assert_eq!(locate(text, &["states", "pay"]), 4);
        assert_eq!(locate(text, &["states", "pay", "after", "5m"]), 6);
        assert_eq!(locate(text, &["states", "end"]), 7);
        assert_eq!(locate(text, &["nowhere"]), 1);
    }
}
