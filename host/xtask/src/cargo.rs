//! Runs Cargo and asks it about the workspace.

use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context as _, Result, bail};
use serde_json::Value;

/// Cargo, in the root of the workspace.
pub fn command() -> Command {
    let mut command = Command::new(std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into()));
    command.current_dir(root());
    command
}

/// Root of the workspace.
pub fn root() -> PathBuf {
    let here = Path::new(env!("CARGO_MANIFEST_DIR"));
    here.ancestors().nth(2).expect("this package is in host/xtask").to_owned()
}

/// Folder that Cargo builds into.
pub fn target() -> Result<PathBuf> {
    let metadata = metadata(false)?;
    Ok(PathBuf::from(metadata["target_directory"].as_str().context("a target folder in the metadata")?))
}

/// Runs Cargo and fails with it.
pub fn run(args: &[&str]) -> Result<()> {
    let mut cargo = command();
    cargo.args(args);
    finish(&mut cargo)
}

/// What tests need, in one selection with them: another one would have other features and build half of the dependencies
/// twice.
pub const BUILD: [&str; 4] = ["build", "--workspace", "--bins", "--tests"];

/// Lints the whole workspace; a warning is an error.
///
/// `cargo clippy` only checks, so that a build after it compiles everything a second time: half of the time of a run from
/// cold. Here Clippy drives a build, as `cargo clippy` would drive a check, and what it leaves behind are the tests.
pub fn lint() -> Result<()> {
    let mut build = command();
    finish(driven_by_clippy(build.args(BUILD)))
}

/// The same command, with Clippy in place of the compiler for what is in this workspace.
pub fn driven_by_clippy(command: &mut Command) -> &mut Command {
    command
        .env("RUSTC_WORKSPACE_WRAPPER", "clippy-driver")
        .env("CLIPPY_ARGS", "-Dwarnings__CLIPPY_HACKERY__");
    // Nobody builds this again with a small change.
    command.env("CARGO_INCREMENTAL", "0")
}

/// Prints a command, runs it, and fails with it.
pub fn finish(command: &mut Command) -> Result<()> {
    let words: Vec<String> = std::iter::once(command.get_program())
        .chain(command.get_args())
        .map(|w| w.to_string_lossy().into_owned())
        .collect();
    let words = words.join(" ");
    println!("$ {words}");
    let status = command.status().with_context(|| format!("start `{words}`"))?;
    if !status.success() {
        bail!("`{words}` failed: {status}");
    }
    Ok(())
}

/// Whether Cargo has this subcommand.
pub fn has(subcommand: &str) -> bool {
    command().args([subcommand, "--version"]).output().is_ok_and(|output| output.status.success())
}

/// `cargo metadata`; with all dependencies, or of the workspace alone.
pub fn metadata(dependencies: bool) -> Result<Value> {
    let mut cargo = command();
    cargo.args(["metadata", "--format-version", "1", "--locked"]);
    if !dependencies {
        cargo.arg("--no-deps");
    }
    let output = cargo.output().context("start `cargo metadata`")?;
    if !output.status.success() {
        bail!("`cargo metadata` failed: {}", String::from_utf8_lossy(&output.stderr));
    }
    serde_json::from_slice(&output.stdout).context("read the answer of `cargo metadata`")
}

/// The packages in an answer of [`metadata`].
pub fn packages(metadata: &Value) -> Vec<&Value> {
    metadata["packages"].as_array().map(|all| all.iter().collect()).unwrap_or_default()
}

/// Name of a package.
pub fn name(package: &Value) -> &str {
    package["name"].as_str().unwrap_or_default()
}

/// Folder of a package, from the root of the workspace.
pub fn folder(package: &Value) -> PathBuf {
    let manifest = Path::new(package["manifest_path"].as_str().unwrap_or_default());
    let folder = manifest.parent().unwrap_or(manifest);
    folder.strip_prefix(root()).unwrap_or(folder).to_owned()
}
