//! All tests, on all databases there are.

use anyhow::Result;

use crate::postgres::Postgres;
use crate::{cargo, guests};

/// Set for tests that compare generated documents: they write them instead.
const REWRITE: &str = "TILL_REWRITE_DOCS";

/// Builds the guests, starts a private PostgreSQL, runs the tests, and stops it whatever happened.
pub fn run(filter: Option<&str>) -> Result<()> {
    guests::build()?;
    // The binaries that tests start (till, till-simulator), in one selection with the tests: another one
    // would have other features and build half of the dependencies twice.
    cargo::run(&["build", "--workspace", "--bins", "--tests"])?;
    let postgres = Postgres::start()?;
    if postgres.is_none() {
        println!("{}", "!".repeat(80));
        println!(
            "NOT RUN: everything on PostgreSQL. No initdb was found in /usr/lib/postgresql/*/bin or PATH."
        );
        println!("{}", "!".repeat(80));
    }
    let mut tests = cargo::command();
    if cargo::has("nextest") {
        tests.args(["nextest", "run", "--workspace"]);
    } else {
        println!("cargo-nextest is not there: tests run with `cargo test`");
        tests.args(["test", "--workspace", "--bins", "--tests"]);
    }
    tests.args(filter);
    if let Some(postgres) = &postgres {
        tests.env("TILL_TEST_POSTGRES", postgres.url());
    }
    let done = cargo::finish(&mut tests);
    drop(postgres);
    done?;
    if filter.is_none() {
        cargo::run(&["test", "--workspace", "--doc"])?;
    }
    Ok(())
}

/// Writes the documents that are generated from the code.
pub fn rewrite_documents() -> Result<()> {
    cargo::finish(
        cargo::command().args(["test", "-p", "till-tests", "--test", "it", "document_"]).env(REWRITE, "1"),
    )
}
