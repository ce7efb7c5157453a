//! A payment provider and a carrier that misbehave on demand: a process of its own, with a memory that lasts.
//!
//! Owns: what "really" happened to the money and to the parcels. Tests compare it with what Till believes.
//! Must not know: Till. It speaks HTTP JSON only, described in the README beside this crate.

mod behaviour;
mod carrier;
mod http;
mod ledger;
mod razorpay;
mod webhook;

use clap::Parser;
use std::net::{Ipv4Addr, SocketAddr};
use std::path::PathBuf;

/// A payment provider and a carrier for tests.
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
    // Err: somebody installed a provider before us, and theirs will do.
    let _ = rustls::crypto::ring::default_provider().install_default();
    let ledger = ledger::Ledger::open(&args.database)?;
    let listener = tokio::net::TcpListener::bind(SocketAddr::from((Ipv4Addr::LOCALHOST, args.port))).await?;
    // Whoever started us reads this line to learn the port.
    println!("http://{}", listener.local_addr()?);
    let parcels = carrier::router(&args.database, args.api_key.clone())?;
    let orders = razorpay::router(ledger.clone())?;
    axum::serve(listener, http::router(ledger, args.api_key)?.merge(parcels).merge(orders)).await?;
    Ok(())
}
