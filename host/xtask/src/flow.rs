//! docs/flow.md: each system of the flow names a test that sees it from outside, and tests that are there.

use std::collections::BTreeMap;
use std::path::Path;

use anyhow::{Context as _, Result};

use crate::cargo;

const TABLE: &str = "docs/flow.md";
/// Tests of this folder are named with their module, all others by their name alone.
const WHOLE_SHOP: &str = "tests/it";
/// How a test of that folder starts `till serve` as a process.
const STARTS: [&str; 7] = [
    "Host::start",
    "Outside::open(",
    "= open(",
    "= open_with(",
    "= failing(",
    "= international(",
    " matrix(",
];

/// Names of tests, and whether each sees the real binary from outside.
type Tests = BTreeMap<String, bool>;

/// What is wrong with the table, given all sources of the workspace.
pub fn wrong(sources: &[std::path::PathBuf]) -> Result<Vec<String>> {
    let mut tests = Tests::new();
    for file in sources {
        let text = std::fs::read_to_string(file).with_context(|| format!("read {}", file.display()))?;
        collect(file.strip_prefix(cargo::root())?, &text, &mut tests);
    }
    let table = std::fs::read_to_string(cargo::root().join(TABLE)).context("read the table of the flow")?;
    Ok(rows(&table, &tests))
}

fn collect(place: &Path, text: &str, tests: &mut Tests) {
    let module = place.strip_prefix(WHOLE_SHOP).ok().map(|path| {
        let path = path.with_extension("").to_string_lossy().replace('/', "::");
        path.strip_suffix("::mod").unwrap_or(&path).to_owned()
    });
    for test in text.replace("#[tokio::test", "#[test").split("#[test").skip(1) {
        let Some((name, rest)) = test.split_once("fn ").and_then(|(_, test)| test.split_once('(')) else {
            continue;
        };
        let body = rest.split_once("\n}\n").map_or(rest, |(body, _)| body);
        let outside = module.is_some() && STARTS.iter().any(|start| body.contains(start));
        let name = module.as_ref().map_or_else(|| name.to_owned(), |module| format!("{module}::{name}"));
        tests.insert(name, outside);
    }
}

fn rows(table: &str, tests: &Tests) -> Vec<String> {
    let rows = table.lines().filter(|line| line.starts_with('|')).skip(2);
    let mut wrong = Vec::new();
    for row in rows {
        let cells: Vec<&str> = row.trim_matches('|').split('|').map(str::trim).collect();
        let mut say = |what: String| wrong.push(format!("{TABLE}: {}: {what}", cells[0]));
        let [_, _, _, _, outside, further] = cells.as_slice() else {
            say(format!(
                "{} cells; system, seed, route, module, from outside, further are needed",
                cells.len()
            ));
            continue;
        };
        if named(outside).next().is_none() {
            say("no test from outside is named".to_owned());
        }
        for name in named(outside).chain(named(further)).filter(|name| !tests.contains_key(*name)) {
            say(format!("there is no test `{name}`"));
        }
        for name in named(outside).filter(|name| tests.get(*name) == Some(&false)) {
            say(format!("`{name}` does not start the real binary"));
        }
    }
    wrong
}

/// What stands in backticks.
fn named(cell: &str) -> impl Iterator<Item = &str> {
    cell.split('`').skip(1).step_by(2)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_row_names_a_test_from_outside_and_only_tests_that_are_there() {
        let mut tests = Tests::new();
        let inside = "#[tokio::test]\nasync fn inside() {\n    let till = TestTill::start().await;\n}\n";
        let outside = "#[tokio::test]\nasync fn outside() {\n    let shop = open().await;\n}\n";
        collect(Path::new("tests/it/flow/cart.rs"), &format!("{inside}\n{outside}"), &mut tests);
        collect(Path::new("host/store/tests/contract.rs"), "#[test]\nfn kept() {}\n", &mut tests);
        let found = |rows_of: &str| {
            let table = format!("| system | … |\n|---|---|\n{rows_of}");
            rows(&table, &tests).join("\n").replace("docs/flow.md: Cart: ", "")
        };
        let row =
            |outside: &str, further: &str| found(&format!("| Cart | 1 | r | m | {outside} | {further} |"));
        assert_eq!(row("`flow::cart::outside`", "`flow::cart::inside`, `kept`"), "");
        assert_eq!(row("seen", "`kept`"), "no test from outside is named");
        assert_eq!(row("`flow::cart::outside`", "`cart::inside`"), "there is no test `cart::inside`");
        let told = "`flow::cart::inside` does not start the real binary";
        assert_eq!(row("`flow::cart::outside`, `flow::cart::inside`", ""), told);
        assert_eq!(row("`kept`", ""), "`kept` does not start the real binary");
        assert!(found("| Cart | 1 | `flow::cart::outside` |").starts_with("3 cells;"));
        assert!(found("| Cart |").starts_with("1 cells;"));
    }
}
