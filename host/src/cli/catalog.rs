//! `till catalog`: the whole catalog as a file.

use std::path::{Path, PathBuf};
use std::process::ExitCode;

use anyhow::{Context as _, bail};
use clap::{Args, Subcommand};

use super::server::Server;

/// Commands on the catalog.
#[derive(Subcommand)]
pub enum CatalogCommand {
    /// Make or replace the products of a file, all or none. Products that are not in it stay.
    Import(File),
    /// Write all products into a file that can be imported.
    Export(File),
}

/// Which file.
#[derive(Args)]
pub struct File {
    /// `.csv` or `.json`.
    file: PathBuf,
    #[command(flatten)]
    server: Server,
}

/// Runs a command on the catalog.
pub async fn run(command: CatalogCommand) -> anyhow::Result<ExitCode> {
    let _ = rustls::crypto::ring::default_provider().install_default();
    match command {
        CatalogCommand::Import(File { file, server }) => {
            let answer = server.upload("catalog/import", &file).await?;
            println!("{} products", answer["products"]);
        }
        CatalogCommand::Export(File { file, server }) => {
            let (bytes, _) = server.bytes(&format!("catalog/export?format={}", format(&file)?)).await?;
            std::fs::write(&file, bytes).with_context(|| format!("write {}", file.display()))?;
        }
    }
    Ok(ExitCode::SUCCESS)
}

fn format(file: &Path) -> anyhow::Result<&'static str> {
    match file.extension().and_then(|extension| extension.to_str()) {
        Some("csv") => Ok("csv"),
        Some("json") => Ok("json"),
        _ => bail!("{} is neither .csv nor .json", file.display()),
    }
}
