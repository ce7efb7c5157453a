//! `cargo xtask <task>`: everything a contributor or a CI machine has to run.
//!
//! Start reading at [`Task`]. Each task prints what it does and fails with what to do about it.

mod cargo;
mod flow;
mod guests;
mod postgres;
mod scripts;
mod tests;
mod tidy;

use std::process::ExitCode;

use anyhow::Result;
use clap::Parser;
use std::ffi::OsString;
use std::path::PathBuf;
use std::process::Command;

use tests::Built;

/// Tasks of the workspace.
#[derive(Parser)]
#[command(name = "cargo xtask")]
enum Task {
    /// Plays a whole checkout on embedded SQLite, swaps a component live, kills and restarts the host.
    Demo {
        /// Go on serving afterwards, until Ctrl-C.
        #[arg(long)]
        keep: bool,
    },
    /// Measures checkouts, the runtime alone and one component call beside this machine's own limits.
    Bench {
        /// Also write the figures to this file.
        #[arg(long, value_name = "FILE")]
        json: Option<PathBuf>,
        /// Leave out the run with 100,000 finished executions.
        #[arg(long)]
        quick: bool,
        /// Only this one, without fsyncs and memory: bench8, bench8_strict, checkout, neighbour.
        #[arg(long, value_name = "NAME")]
        only: Option<String>,
    },
    /// Builds all components and puts them into `<target>/guests`.
    Guests,
    /// Builds the guests and runs all tests, on SQLite and on a private PostgreSQL.
    Test {
        /// Only tests whose name contains this.
        filter: Option<String>,
    },
    /// Checks what the compiler does not: who may know whom, one-room words, tests of the flow, licences.
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

/// Runs `till-demo`, which starts the real binaries of the same profile.
fn seen_from_outside(profile: &str, command: &str, args: Vec<OsString>) -> Result<()> {
    let target = cargo::target()?;
    let mut demo = Command::new(target.join(profile).join("till-demo"));
    demo.arg("--root").arg(cargo::root()).arg("--target").arg(&target).arg(command).args(args);
    cargo::finish(&mut demo)
}

fn run(task: &Task) -> Result<()> {
    match task {
        Task::Demo { keep } => {
            guests::build()?;
            println!("building the host and the gateway simulator (the first time takes some minutes)");
            cargo::run(&["build", "--workspace", "--bins"])?;
            seen_from_outside("debug", "demo", keep.then(|| "--keep".into()).into_iter().collect())
        }
        Task::Bench { json, quick, only } => {
            guests::build()?;
            cargo::run(&["build", "--release", "-p", "till", "-p", "till-simulator", "-p", "till-demo"])?;
            let mut args: Vec<OsString> = quick.then(|| "--quick".into()).into_iter().collect();
            if let Some(file) = json {
                args.extend(["--json".into(), file.into()]);
            }
            if let Some(only) = only {
                args.extend(["--only".into(), only.into()]);
            }
            seen_from_outside("release", "bench", args)
        }
        Task::Guests => guests::build().map(|_| ()),
        Task::Test { filter } => tests::run(filter.as_deref(), Built::Plainly),
        Task::Tidy => tidy::check(),
        Task::Docs => tests::rewrite_documents(),
        Task::Ci => {
            cargo::run(&["fmt", "--all", "--check"])?;
            tidy::check()?;
            cargo::lint()?;
            tests::run(None, Built::ByClippy)
        }
    }
}
