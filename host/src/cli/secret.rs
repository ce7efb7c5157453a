//! `till secret` and `till table`: what bindings name.

use std::io::{IsTerminal as _, Read as _};
use std::path::PathBuf;
use std::process::ExitCode;

use anyhow::{Context as _, bail};
use clap::{Args, Subcommand};
use serde_json::json;

use super::server::{Server, text};

/// Commands on secrets. Values are never shown.
#[derive(Subcommand)]
pub enum SecretCommand {
    /// Set a secret or rotate it; its value is read from standard input.
    Set(Named),
    /// Names of secrets.
    List(Server),
    /// Take a secret away; calls that need it fail from then on.
    Drop(Named),
}

/// Which secret.
#[derive(Args)]
pub struct Named {
    /// Name that bindings use.
    name: String,
    #[command(flatten)]
    server: Server,
}

/// Commands on tables.
#[derive(Subcommand)]
pub enum TableCommand {
    /// Upload a table and print its digest. CSV: the first line has names, the first column is the key.
    Push(Table),
    /// Uploaded tables, newest first.
    List(Tables),
    /// Take a table away that nothing uses.
    Delete(TableDigest),
}

/// Which table.
#[derive(Args)]
pub struct Table {
    /// `.csv` or `.json`.
    file: PathBuf,
    #[command(flatten)]
    server: Server,
}

/// Which tables.
#[derive(Args)]
pub struct Tables {
    /// How many, newest first.
    #[arg(long, default_value_t = 50)]
    limit: u32,
    #[command(flatten)]
    server: Server,
}

/// Which table.
#[derive(Args)]
pub struct TableDigest {
    /// Digest of the table.
    digest: String,
    #[command(flatten)]
    server: Server,
}

/// Runs a command on secrets.
pub async fn run(command: SecretCommand) -> anyhow::Result<ExitCode> {
    let _ = rustls::crypto::ring::default_provider().install_default();
    match command {
        SecretCommand::Set(Named { name, server }) => {
            if std::io::stdin().is_terminal() {
                eprintln!("type the secret, then Ctrl-D");
            }
            let mut value = String::new();
            std::io::stdin().read_to_string(&mut value).context("read the secret from standard input")?;
            let value = value.trim_end_matches(['\r', '\n']);
            if value.is_empty() {
                bail!("nothing came from standard input: `printf %s \"$KEY\" | till secret set {name}`");
            }
            let set = server.put(&format!("secrets/{name}"), &json!({ "value": value })).await?;
            println!("secret {} is set (version {})", text(&set["name"]), set["version"]);
        }
        SecretCommand::List(server) => {
            for secret in server.admin("secrets").await?["secrets"].as_array().into_iter().flatten() {
                println!(
                    "{:<24} version {:<4} {} {}",
                    text(&secret["name"]),
                    secret["version"],
                    text(&secret["updatedAt"]),
                    text(&secret["updatedBy"])
                );
            }
        }
        SecretCommand::Drop(Named { name, server }) => {
            server.delete(&format!("secrets/{name}")).await?;
            println!("secret {name} is gone");
        }
    }
    Ok(ExitCode::SUCCESS)
}

/// Runs a command on tables.
pub async fn tables(command: TableCommand) -> anyhow::Result<ExitCode> {
    let _ = rustls::crypto::ring::default_provider().install_default();
    match command {
        TableCommand::Push(Table { file, server }) => {
            let table = server.upload("tables", &file).await?;
            println!("{}  {} rows, {} bytes", text(&table["digest"]), table["rows"], table["bytes"]);
        }
        TableCommand::List(Tables { limit, server }) => {
            for table in server.newest("tables", "tables", limit).await? {
                println!(
                    "{}  {:>9} rows {:>11} bytes  {} {}",
                    text(&table["digest"]),
                    table["rows"],
                    table["bytes"],
                    text(&table["createdAt"]),
                    text(&table["createdBy"])
                );
            }
        }
        TableCommand::Delete(TableDigest { digest, server }) => {
            server.delete(&format!("tables/{digest}")).await?;
            println!("table {digest} is gone");
        }
    }
    Ok(ExitCode::SUCCESS)
}
