//! All tests, on all databases there are.

use std::path::PathBuf;
use std::process::{Command, Stdio};

use anyhow::{Context as _, Result, bail};

use crate::postgres::Postgres;
use crate::{cargo, guests};

/// Set for tests that compare generated documents: they write them instead.
const REWRITE: &str = "TILL_REWRITE_DOCS";

/// Who compiles the tests.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Built {
    /// The compiler.
    Plainly,
    /// Clippy: what the lints have left behind is taken.
    ByClippy,
}

/// Builds the guests, starts a private PostgreSQL, runs the tests, and stops it whatever happened.
pub fn run(filter: Option<&str>, built: Built) -> Result<()> {
    guests::build()?;
    // The binaries that tests start too (till, till-simulator).
    build(cargo::command().args(cargo::BUILD), built)?;
    let postgres = Postgres::start()?;
    if postgres.is_none() {
        println!("{}", "!".repeat(80));
        println!(
            "NOT RUN: everything on PostgreSQL. No initdb was found in /usr/lib/postgresql/*/bin or PATH."
        );
        println!("{}", "!".repeat(80));
    }
    let mut tests = cargo::command();
    if !cargo::has("nextest") {
        println!("cargo-nextest is not there: tests run with `cargo test`");
        tests.args(["test", "--workspace", "--bins", "--tests"]);
    } else if built == Built::ByClippy {
        tests.args(["nextest", "run", "--binaries-metadata"]).arg(binaries()?);
    } else {
        tests.args(["nextest", "run", "--workspace"]);
    }
    tests.args(filter);
    if let Some(postgres) = &postgres {
        tests.env("TILL_TEST_POSTGRES", postgres.url());
    }
    let done = cargo::finish(&mut tests);
    drop(postgres);
    done?;
    if filter.is_none() {
        build(cargo::command().args(["test", "--workspace", "--doc"]), built)?;
    }
    Ok(())
}

fn build(command: &mut Command, built: Built) -> Result<()> {
    match built {
        Built::Plainly => cargo::finish(command),
        Built::ByClippy => cargo::finish(cargo::driven_by_clippy(command)),
    }
}

/// Names the test binaries that Clippy has built, for a runner that then builds nothing. Its tests build projects as
/// integrators do: in their environment Clippy would lint those too.
fn binaries() -> Result<PathBuf> {
    let mut list = cargo::command();
    list.args(["nextest", "list", "--workspace", "--list-type", "binaries-only", "--message-format", "json"]);
    let listed = cargo::driven_by_clippy(&mut list).stderr(Stdio::inherit()).output()?;
    if !listed.status.success() {
        bail!("`cargo nextest list` failed: {}", listed.status);
    }
    let file = cargo::target()?.join("test-binaries.json");
    std::fs::write(&file, listed.stdout).with_context(|| format!("write {}", file.display()))?;
    Ok(file)
}

/// Writes the documents that are generated from the code.
pub fn rewrite_documents() -> Result<()> {
    cargo::finish(
        cargo::command().args(["test", "-p", "till-tests", "--test", "it", "document_"]).env(REWRITE, "1"),
    )
}
