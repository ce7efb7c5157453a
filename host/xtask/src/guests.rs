//! Components: built for the sandbox and put where tests and demos look for them.

use std::path::PathBuf;
use std::process::Command;

use anyhow::{Context as _, Result};

use crate::{cargo, scripts};

const TARGET: &str = "wasm32-wasip2";

/// Builds all components and copies them to `<target>/guests`. Gives that folder.
pub fn build() -> Result<PathBuf> {
    add_target()?;
    let metadata = cargo::metadata(false)?;
    let guests: Vec<&str> = cargo::packages(&metadata)
        .into_iter()
        .filter(|package| cargo::folder(package).starts_with("components"))
        .map(cargo::name)
        .collect();
    println!("guests: {}", guests.join(", "));
    let mut build = cargo::command();
    build.args(["build", "--profile", "guest", "--target", TARGET]);
    for guest in &guests {
        build.args(["-p", guest]);
    }
    cargo::finish(&mut build)?;

    let target =
        PathBuf::from(metadata["target_directory"].as_str().context("a target folder in the metadata")?);
    let folder = target.join("guests");
    std::fs::create_dir_all(&folder).with_context(|| format!("make {}", folder.display()))?;
    for guest in &guests {
        let built = target.join(TARGET).join("guest").join(guest.replace('-', "_")).with_extension("wasm");
        let bytes = std::fs::read(&built).with_context(|| format!("read {}", built.display()))?;
        let place = folder.join(guest).with_extension("wasm");
        // Renamed into place: whoever reads it meanwhile has the old one or the new one.
        let beside = folder.join(format!(".{guest}.{}", std::process::id()));
        std::fs::write(&beside, &bytes).with_context(|| format!("write {}", beside.display()))?;
        std::fs::rename(&beside, &place).with_context(|| format!("write {}", place.display()))?;
        println!("  {guest:<18} {:>5} kB", bytes.len() / 1000);
    }
    scripts::build(&folder)?;
    println!("guests are in {}", folder.display());
    Ok(folder)
}

/// Without rustup the target must have come with the compiler; if it has not, the build says so.
fn add_target() -> Result<()> {
    let Ok(listed) = Command::new("rustup").args(["target", "list", "--installed"]).output() else {
        return Ok(());
    };
    if String::from_utf8_lossy(&listed.stdout).lines().any(|line| line.trim() == TARGET) {
        return Ok(());
    }
    cargo::finish(Command::new("rustup").args(["target", "add", TARGET]))
}
