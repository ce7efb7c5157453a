//! `till token`: mints tokens for development. Production tokens come from the merchant's own issuer.

use std::process::ExitCode;

use anyhow::Context as _;
use clap::Args;
use till_api::{Auth, Claims};
use till_engine::ports::Clock as _;

use crate::clock::SystemClock;
use crate::config::Config;

/// Whom the token is for.
#[derive(Args)]
pub struct TokenArgs {
    /// Customer, or person of the merchant.
    #[arg(long)]
    customer: String,
    /// Merchant.
    #[arg(long, default_value = "demo")]
    merchant: String,
    /// Scopes beyond a shopper's: `operator`, `admin`, `catalog:read`, … Several: `--scope "admin operator"`.
    #[arg(long, default_value = "")]
    scope: String,
    /// A role of the merchant's: `support`, `analyst`, … May be given several times.
    #[arg(long)]
    role: Vec<String>,
    /// Seconds until it expires.
    #[arg(long, default_value_t = 86_400)]
    ttl_s: i64,
    /// Secret to sign with, at least 32 bytes [default: `jwt_secret` of till.toml].
    #[arg(long, env = "TILL_JWT_SECRET", hide_env_values = true)]
    jwt_secret: Option<String>,
}

/// Prints a token.
pub fn run(args: &TokenArgs, config: &Config) -> anyhow::Result<ExitCode> {
    let secret = args.jwt_secret.as_ref().or(config.jwt_secret.as_ref());
    let secret =
        secret.context("no secret: give --jwt-secret, TILL_JWT_SECRET, or jwt_secret in till.toml")?;
    let auth = Auth::none().hs256(secret.as_bytes())?;
    let claims = Claims {
        sub: args.customer.clone(),
        merchant: args.merchant.clone(),
        scope: args.scope.clone(),
        exp: SystemClock.now_us() / 1_000_000 + args.ttl_s,
        roles: args.role.clone(),
        nbf: None,
    };
    println!("{}", auth.mint(&claims)?);
    Ok(ExitCode::SUCCESS)
}
