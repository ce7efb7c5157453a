//! The binary `till`: parses arguments and calls one command. All thinking is in the library crates.

mod cli;
mod clock;
mod config;
mod wiring;

use clap::Parser as _;

/// A tenth of a checkout's time went into the system's allocator: JSON is many small pieces.
#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

fn main() -> std::process::ExitCode {
    match cli::run(cli::Cli::parse()) {
        Ok(code) => code,
        Err(error) => {
            eprintln!("till: {error:#}");
            std::process::ExitCode::FAILURE
        }
    }
}
