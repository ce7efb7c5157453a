//! What an answer has otherwise than expected.

use crate::tree::Tree;
use serde::Serialize;
use std::fmt;

/// Differences shown. Beyond that the answer is another one altogether.
pub const SHOWN_MAX: usize = 20;
/// Of a value so much is shown on its line, in characters.
const VALUE_CHARS_MAX: usize = 200;

/// One place where two values differ.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Difference {
    /// `ok.candidates[0].value.Rate`
    pub path: String,
    /// None: there should be nothing.
    pub expected: Option<Tree>,
    /// None: there is nothing.
    pub got: Option<Tree>,
}

impl fmt::Display for Difference {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let value = |value: &Option<Tree>| value.as_ref().map_or_else(|| "nothing".to_owned(), cut);
        writeln!(f, "{}", self.path)?;
        writeln!(f, "  expected  {}", value(&self.expected))?;
        write!(f, "  got       {}", value(&self.got))
    }
}

fn cut(value: &Tree) -> String {
    let text = value.to_string();
    match text.char_indices().nth(VALUE_CHARS_MAX) {
        Some((end, _)) => format!("{}…", &text[..end]),
        None => text,
    }
}

/// Every place where `got` is not `expected`. Objects are compared by field whatever their order, lists by
/// position; where a list has items too many or too few in its middle, the items that are equal are found
/// from both ends, so that one item more is one difference.
pub fn between(path: &str, expected: &Tree, got: &Tree) -> Vec<Difference> {
    let mut found = Vec::new();
    compare(path, expected, got, &mut found);
    found
}

fn compare(path: &str, expected: &Tree, got: &Tree, found: &mut Vec<Difference>) {
    match (expected, got) {
        (Tree::Fields(wanted), Tree::Fields(given)) => {
            for (name, expected) in wanted {
                let path = format!("{path}.{name}");
                match got.get(name) {
                    Some(got) => compare(&path, expected, got, found),
                    None => found.push(Difference { path, expected: Some(expected.clone()), got: None }),
                }
            }
            for (name, value) in given.iter().filter(|(name, _)| expected.get(name).is_none()) {
                let path = format!("{path}.{name}");
                found.push(Difference { path, expected: None, got: Some(value.clone()) });
            }
        }
        (Tree::List(wanted), Tree::List(given)) => lists(path, wanted, given, found),
        _ if expected == got => {}
        _ => found.push(Difference {
            path: path.to_owned(),
            expected: Some(expected.clone()),
            got: Some(got.clone()),
        }),
    }
}

fn lists(path: &str, wanted: &[Tree], given: &[Tree], found: &mut Vec<Difference>) {
    let head = wanted.iter().zip(given).take_while(|(a, b)| a == b).count();
    let (wanted, given) = (&wanted[head..], &given[head..]);
    let tail = wanted.iter().rev().zip(given.iter().rev()).take_while(|(a, b)| a == b).count();
    let (wanted, given) = (&wanted[..wanted.len() - tail], &given[..given.len() - tail]);
    for at in 0..wanted.len().max(given.len()) {
        let path = format!("{path}[{}]", head + at);
        match (wanted.get(at), given.get(at)) {
            (Some(expected), Some(got)) => compare(&path, expected, got, found),
            (expected, got) => {
                found.push(Difference { path, expected: expected.cloned(), got: got.cloned() });
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn tree(text: &str) -> Tree {
        serde_json::from_str(text).unwrap()
    }

    fn paths(expected: &str, got: &str) -> Vec<String> {
        between("ok", &tree(expected), &tree(got)).into_iter().map(|d| d.path).collect()
    }

    #[test]
    fn every_place_is_named() {
        assert_eq!(paths(r#"{"a":1,"b":[1,2]}"#, r#"{"b":[1,2],"a":1}"#), [""; 0]);
        assert_eq!(
            paths(r#"{"a":1,"b":{"c":[1,2]}}"#, r#"{"b":{"c":[1,3]},"d":0}"#),
            ["ok.a", "ok.b.c[1]", "ok.d"]
        );
        assert_eq!(paths("[1,2,3]", "[1,9,2,3]"), ["ok[1]"]);
        assert_eq!(paths("[1,2,3]", "[1,3]"), ["ok[1]"]);
        assert_eq!(paths("1", "[]"), ["ok"]);
    }

    #[test]
    fn a_difference_shows_both_values() {
        let difference = between("ok", &tree(r#"{"a":1}"#), &tree(r#"{"a":2}"#)).remove(0);
        assert_eq!(difference.to_string(), "ok.a\n  expected  1\n  got       2");
        let long = between("ok", &tree(&format!("\"{}\"", "é".repeat(400))), &tree("1")).remove(0);
        assert!(long.to_string().contains('…'));
    }
}
