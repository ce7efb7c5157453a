//! Commands of the binary, one file each.

mod backtest;
mod catalog;
mod component;
mod kit;
mod project;
mod record;
mod secret;
mod seed;
mod serve;
mod server;
mod token;
mod workflow;

use std::path::PathBuf;
use std::process::ExitCode;

use clap::{Parser, Subcommand};

/// The checkout engine: durable workflows, sandboxed components.
#[derive(Parser)]
#[command(name = "till", version, about, propagate_version = true)]
pub struct Cli {
    /// Settings of this host [default: till.toml, if it is there].
    #[arg(long, global = true, env = "TILL_CONFIG", value_name = "FILE")]
    config: Option<PathBuf>,
    #[command(subcommand)]
    command: Command,
}

#[derive(Subcommand)]
enum Command {
    /// Run the host: HTTP API, workflows, components.
    Serve(serve::Serve),
    /// Mint a token for development.
    Token(token::TokenArgs),
    /// Upload components and see what the slots use.
    #[command(subcommand)]
    Component(component::ComponentCommand),
    /// Secrets that components' requests are signed and sent with.
    #[command(subcommand)]
    Secret(secret::SecretCommand),
    /// Tables that components look things up in.
    #[command(subcommand)]
    Table(secret::TableCommand),
    /// The whole catalog as a file, CSV or JSON.
    #[command(subcommand)]
    Catalog(catalog::CatalogCommand),
    /// What the host runs in a process of its own for each new component.
    #[command(name = COMPILE, hide = true)]
    Compile {
        /// Seconds of CPU time.
        cpu_s: u64,
        /// The component.
        input: PathBuf,
        /// Where the machine code goes.
        output: PathBuf,
        /// Keep where in its source each instruction comes from.
        #[arg(long)]
        source_lines: bool,
    },
    /// Check, draw and simulate workflow files. No server needed.
    #[command(subcommand)]
    Workflow(workflow::WorkflowCommand),
}

/// Name of the command that compiles a component.
pub const COMPILE: &str = "compile-component";

/// Runs a command.
pub fn run(cli: Cli) -> anyhow::Result<ExitCode> {
    if let Command::Compile { cpu_s, input, output, source_lines } = &cli.command {
        // The host writes "does not compile" before it.
        return match till_sandbox::compile_file(*cpu_s, input, output, *source_lines) {
            Ok(()) => Ok(ExitCode::SUCCESS),
            Err(why) => {
                eprint!("{why}");
                Ok(ExitCode::FAILURE)
            }
        };
    }
    let config = crate::config::Config::read(cli.config.as_deref())?;
    match cli.command {
        Command::Workflow(command) => workflow::run(command),
        Command::Token(args) => token::run(&args, &config),
        Command::Component(command) => block_on(component::run(command)),
        Command::Secret(command) => block_on(secret::run(command)),
        Command::Table(command) => block_on(secret::tables(command)),
        Command::Catalog(command) => block_on(catalog::run(command)),
        Command::Compile { .. } => unreachable!("it is done above, before anything else is read"),
        Command::Serve(serve) => block_on(serve::run(serve, config)),
    }
}

fn block_on(future: impl Future<Output = anyhow::Result<ExitCode>>) -> anyhow::Result<ExitCode> {
    tokio::runtime::Builder::new_multi_thread().enable_all().build()?.block_on(future)
}
