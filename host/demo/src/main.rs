//! The demo and the bench: they start the real binaries and speak HTTP to them.
//!
//! Run by `cargo xtask demo` and `cargo xtask bench`, which build what is needed first.

mod bench;
mod demo;
mod host;
mod neighbour;

use std::path::PathBuf;

use clap::Parser;

/// What to run.
#[derive(Parser)]
#[command(name = "till-demo")]
struct Cli {
    /// Root of the workspace.
    #[arg(long)]
    root: PathBuf,
    /// Folder that Cargo builds into.
    #[arg(long)]
    target: PathBuf,
    #[command(subcommand)]
    command: Command,
}

#[derive(clap::Subcommand)]
enum Command {
    /// Plays a whole checkout.
    Demo {
        /// Go on serving afterwards.
        #[arg(long)]
        keep: bool,
    },
    /// Measures.
    Bench {
        /// Also write the figures to this file.
        #[arg(long)]
        json: Option<PathBuf>,
        /// Leave out the run with 100,000 finished executions.
        #[arg(long)]
        quick: bool,
        /// Only this one, without fsyncs and memory: bench8, bench8_strict, checkout, neighbour.
        #[arg(long)]
        only: Option<String>,
    },
}

fn main() -> anyhow::Result<()> {
    let cli = Cli::parse();
    match cli.command {
        Command::Demo { keep } => demo::run(&cli.root, &cli.target, keep),
        Command::Bench { json, quick, only } => {
            let what = bench::What { quick, only };
            bench::run(&cli.root, &cli.target, json.as_deref(), &what)
        }
    }
}
