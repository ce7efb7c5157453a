//! Builds the rooms and hands each its neighbours; the only place that names them all.

use std::collections::HashMap;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use anyhow::{Context as _, bail};
use till_commerce::Shop;
use till_commerce::checkout::CheckoutSteps;
use till_commerce::checkout::steps::Numbers;
use till_engine::ports::Clock;
use till_engine::runner::{Error as RunnerError, Runner};
use till_registry::Registry;
use till_sandbox::{Compiler, Sandbox, SandboxConfig, Secret};
use till_store::{Options, Store};
use uuid::Uuid;

/// Workflows built into the binary; a folder of the operator's replaces them by name.
pub const BUILT_IN: &[(&str, &str)] = &[
    ("checkout.yaml", include_str!("../../workflows/checkout.yaml")),
    ("bench-8.yaml", include_str!("../../workflows/bench-8.yaml")),
    ("bench-8-strict.yaml", include_str!("../../workflows/bench-8-strict.yaml")),
];

/// All rooms of a running host.
pub struct House {
    /// Every table.
    pub store: Arc<Store>,
    /// Components and bindings.
    pub registry: Arc<Registry>,
    /// Workflow instances.
    pub runner: Arc<Runner<Store>>,
    /// What a shop does.
    pub shop: Arc<Shop>,
}

/// Opens the database and wires the rooms.
pub async fn build(
    database: &str,
    code_cache: Option<&Path>,
    secrets: impl IntoIterator<Item = (String, String)>,
    workflows: Option<&Path>,
    clock: Arc<dyn Clock>,
) -> anyhow::Result<House> {
    let store = Arc::new(Store::open(&Options::new(database)).await.context("open the database")?);
    let compiler = Compiler::Child {
        command: vec![this_program().context("find this program")?.into(), crate::cli::COMPILE.into()],
        cpu_s: till_sandbox::COMPILE_CPU_S,
        cache: code_cache.map_or_else(|| beside(database), Path::to_owned),
    };
    let sandbox = Sandbox::new(SandboxConfig { compiler, ..SandboxConfig::default() });
    let sandbox = sandbox.context("make the sandbox")?;
    let secrets: HashMap<String, Secret> =
        secrets.into_iter().map(|(name, value)| (name, Secret::new(value.into_bytes()))).collect();
    let registry = Arc::new(Registry::new(store.clone(), sandbox, secrets));
    let numbers = Arc::new(Numbers::new(store.clone()));
    let steps = Arc::new(CheckoutSteps::new(store.clone(), registry.clone(), numbers.clone()));
    let host = format!("host-{}", Uuid::now_v7().simple());
    let runner = Runner::new(store.clone(), steps, clock, &host);
    for (name, source) in sources(workflows)? {
        match runner.publish("*", &source).await {
            Ok(definition) => {
                tracing::info!(workflow = %definition.file.id, digest = %definition.digest, "publish");
            }
            Err(RunnerError::Definition(findings)) => {
                for finding in &findings {
                    eprintln!("{name}: {finding}");
                }
                bail!("{name} has {} findings", findings.len());
            }
            Err(error) => return Err(error).context(name),
        }
    }
    let shop = Arc::new(Shop::new(store.clone(), registry.clone(), runner.clone(), numbers));
    Ok(House { store, registry, runner, shop })
}

/// This very program, also when an upgrade has put another one in its place meanwhile: machine code of another
/// version would not fit.
fn this_program() -> std::io::Result<PathBuf> {
    let running = Path::new("/proc/self/exe");
    if running.exists() { Ok(running.to_owned()) } else { std::env::current_exe() }
}

/// The folder for machine code: beside a database file, else in the current folder.
fn beside(database: &str) -> PathBuf {
    if database.starts_with("postgres://") || database.starts_with("postgresql://") {
        return PathBuf::from("till-code");
    }
    let file = database.strip_prefix("sqlite://").or_else(|| database.strip_prefix("sqlite:"));
    PathBuf::from(format!("{}-code", file.unwrap_or(database)))
}

/// File names and texts of all workflows.
fn sources(folder: Option<&Path>) -> anyhow::Result<Vec<(String, String)>> {
    let mut all: Vec<(String, String)> =
        BUILT_IN.iter().map(|(n, s)| ((*n).to_owned(), (*s).to_owned())).collect();
    let Some(folder) = folder else { return Ok(all) };
    let entries = std::fs::read_dir(folder).with_context(|| format!("read {}", folder.display()))?;
    for entry in entries {
        let path = entry?.path();
        if path.extension().is_some_and(|e| e == "yaml" || e == "yml") {
            let name = path.file_name().unwrap_or_default().to_string_lossy().into_owned();
            let text = std::fs::read_to_string(&path).with_context(|| format!("read {}", path.display()))?;
            all.retain(|(known, _)| *known != name);
            all.push((name, text));
        }
    }
    Ok(all)
}
