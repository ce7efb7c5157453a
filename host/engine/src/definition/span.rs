//! Finds the line of a place in a workflow file, for error messages.
//!
//! A small reader of its own: the typed parser keeps no places. It knows block maps by their indent and
//! flow maps by their braces, which is all a workflow file is made of, and it never fails.

/// Line (from 1) of the innermost of `path` found in `source`, for example `["states", "pay", "after"]`.
/// An unknown path gives the line of the last part that was found.
pub fn locate(source: &str, path: &[&str]) -> usize {
    let mut at = 0;
    let start = source.len() - source.trim_start().len();
    let mut scope =
        if source[start..].starts_with('{') { Scope::Flow(start + 1) } else { block(source, 0, 0) };
    for name in path {
        let Some(found) = find(source, &scope, name) else { break };
        at = found;
        scope = value_of(source, found);
    }
    source[..at].matches('\n').count() + 1
}

/// Where the keys of a map are.
enum Scope {
    /// In lines from this byte on, with this indent.
    Block(usize, usize),
    /// Behind a brace at this byte.
    Flow(usize),
    /// Nowhere: a scalar or a list.
    None,
}

/// The block map whose first line begins at or behind `from`, if it is indented by at least `least`.
fn block(source: &str, from: usize, least: usize) -> Scope {
    let mut at = from;
    for line in source[from..].split_inclusive('\n') {
        if !is_empty(line) {
            let indent = line.len() - line.trim_start_matches(' ').len();
            return if indent >= least { Scope::Block(at, indent) } else { Scope::None };
        }
        at += line.len();
    }
    Scope::None
}

/// Blank, a comment, or the mark between documents.
fn is_empty(line: &str) -> bool {
    let text = line.trim();
    text.is_empty() || text.starts_with('#') || text == "---"
}

fn find(source: &str, scope: &Scope, name: &str) -> Option<usize> {
    match *scope {
        Scope::None => None,
        Scope::Block(from, indent) => {
            let mut at = from;
            for line in source[from..].split_inclusive('\n') {
                let here = line.len() - line.trim_start_matches(' ').len();
                if !is_empty(line) {
                    if here < indent {
                        return None;
                    }
                    if here == indent && is_key(&line[here..], name) {
                        return Some(at + here);
                    }
                }
                at += line.len();
            }
            None
        }
        Scope::Flow(from) => {
            let mut depth = 0_u32;
            let mut key = true; // What comes next is a key of this map.
            let mut quote = None;
            for (n, c) in source[from..].char_indices() {
                match (quote, c) {
                    (Some(open), c) if c == open => quote = None,
                    (Some(_), _) => {}
                    (None, c) if key && depth == 0 && !c.is_whitespace() => {
                        if is_key(&source[from + n..], name) {
                            return Some(from + n);
                        }
                        key = false;
                        match c {
                            '"' | '\'' => quote = Some(c),
                            '}' => return None,
                            _ => {}
                        }
                    }
                    (None, '"' | '\'') => quote = Some(c),
                    (None, '{' | '[') => depth += 1,
                    (None, '}' | ']') => depth = depth.checked_sub(1)?,
                    (None, ',') if depth == 0 => key = true,
                    _ => {}
                }
            }
            None
        }
    }
}

/// Whether the text begins with that key, quoted or not, and its colon.
fn is_key(text: &str, name: &str) -> bool {
    let text = text.strip_prefix(['"', '\'']).unwrap_or(text);
    let Some(rest) = text.strip_prefix(name) else { return false };
    let rest = rest.strip_prefix(['"', '\'']).unwrap_or(rest).trim_start_matches(' ');
    rest.starts_with(':')
}

/// The map that is the value of the key at that byte.
fn value_of(source: &str, key: usize) -> Scope {
    let Some(colon) = source[key..].find(':') else { return Scope::None };
    let value = &source[key + colon + 1..];
    let start = source.len() - value.trim_start_matches(' ').len();
    match source[start..].chars().next() {
        Some('{') => Scope::Flow(start + 1),
        Some('\n' | '#' | '\r') => {
            let line = source[..key].rfind('\n').map_or(0, |n| n + 1);
            let next = source[start..].find('\n').map_or(source.len(), |n| start + n + 1);
            block(source, next, key - line + 1)
        }
        _ => Scope::None,
    }
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

    #[test]
    fn a_key_of_the_same_name_elsewhere_is_not_meant() {
        let text = "states:\n  a: { on: { b: 'c, b: x' }, outcomes: { b: b,\n    \"c\": b } }\n\n  # b:\n  b: # here\n    after:\n      5m: c\n  c:   { type: final }\nafter: x\n";
        assert_eq!(locate(text, &["states", "b"]), 6);
        assert_eq!(locate(text, &["states", "c"]), 9);
        assert_eq!(locate(text, &["states", "a", "outcomes", "c"]), 3);
        assert_eq!(locate(text, &["states", "b", "after", "5m"]), 8);
        assert_eq!(locate(text, &["after"]), 10);
        assert_eq!(locate(text, &["states", "b", "nowhere"]), 6);
        assert_eq!(locate("{ \"states\": {\n\"a\": 1,\n \"b\": 2 } }", &["states", "b"]), 3);
    }
}
