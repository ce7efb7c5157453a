//! A payment provider that misbehaves on demand: a process of its own, with a memory that lasts.
//!
//! Owns: what "really" happened to the money. Tests compare it with what Till believes.
//! Must not know: Till. It speaks HTTP JSON only, described in the README beside this crate.

mod behaviour;
mod http;
mod ledger;
mod webhook;

use clap::Parser;
use std::net::{Ipv4Addr, SocketAddr};
use std::path::PathBuf;

/// A payment provider for tests.
#[derive(Parser)]
struct Args {
    /// Port on 127.0.0.1; 0 takes a free one.
    #[arg(long, default_value_t = 0)]
    port: u16,
    /// File of its memory. Made when it is not there.
    #[arg(long)]
    database: PathBuf,
    /// Key that requests must carry as `Authorization: Bearer KEY`.
    #[arg(long, default_value = "sk_sim")]
    api_key: String,
}

#[tokio::main]
async fn main() -> anyhow::Result<()> {
    let args = Args::parse();
    let ledger = ledger::Ledger::open(&args.database)?;
    let listener = tokio::net::TcpListener::bind(SocketAddr::from((Ipv4Addr::LOCALHOST, args.port))).await?;
    // Whoever started us reads this line to learn the port.
    println!("http://{}", listener.local_addr()?);
    axum::serve(listener, http::router(ledger, args.api_key)?).await?;
    Ok(())
}
