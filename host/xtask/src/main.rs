//! `cargo xtask <task>`: everything a contributor or a CI machine has to run.
//!
//! Start reading at [`Task`]. Each task prints what it does and fails with what to do about it.

mod cargo;
mod guests;
mod postgres;
mod tests;
mod tidy;

use std::process::ExitCode;

use anyhow::Result;
use clap::Parser;

/// Tasks of the workspace.
#[derive(Parser)]
#[command(name = "cargo xtask")]
enum Task {
    /// Builds all components and puts them into `<target>/guests`.
    Guests,
    /// Builds the guests and runs all tests, on SQLite and on a private PostgreSQL.
    Test {
        /// Only tests whose name contains this.
        filter: Option<String>,
    },
    /// Checks what the compiler does not: who may know whom, one-room words, licences.
    Tidy,
    /// Writes generated documents anew.
    Docs,
    /// Formatting, lints, tidy, tests.
    Ci,
}

fn main() -> ExitCode {
    match run(&Task::parse()) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("xtask: {error:#}");
            ExitCode::FAILURE
        }
    }
}

fn run(task: &Task) -> Result<()> {
    match task {
        Task::Guests => guests::build().map(|_| ()),
        Task::Test { filter } => tests::run(filter.as_deref()),
        Task::Tidy => tidy::check(),
        Task::Docs => tests::rewrite_documents(),
        Task::Ci => {
            cargo::run(&["fmt", "--all", "--check"])?;
            cargo::run(&["clippy", "--workspace", "--all-targets", "--", "-D", "warnings"])?;
            tidy::check()?;
            tests::run(None)
        }
    }
}
