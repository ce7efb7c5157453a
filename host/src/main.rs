//! The binary `till`: parses arguments and calls one command. All thinking is in the library crates.

mod cli;
mod clock;
mod config;
mod keys;
mod log;
mod memory;
mod wiring;

use clap::Parser as _;

fn main() -> std::process::ExitCode {
    match cli::run(cli::Cli::parse()) {
        Ok(code) => code,
        Err(error) => {
            eprintln!("till: {error:#}");
            std::process::ExitCode::FAILURE
        }
    }
}
