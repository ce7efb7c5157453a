//! Builds the rooms and hands each its neighbours; the only place that names them all.

use std::io::Write as _;
use std::os::unix::fs::OpenOptionsExt as _;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use anyhow::{Context as _, anyhow, bail};
use async_trait::async_trait;
use base64::Engine as _;
use rand::RngCore as _;
use till_commerce::Shop;
use till_commerce::checkout::CheckoutSteps;
use till_commerce::checkout::steps::Numbers;
use till_commerce::events::Events;
use till_engine::ports::Clock;
use till_engine::runner::{Error as RunnerError, Runner};
use till_registry::{Conformance, Registry, Vault};
use till_sandbox::{Binding, Compiler, Component, Sandbox, SandboxConfig};
use till_store::{Options, Store};
use uuid::Uuid;

use crate::config::SmtpConfig;

/// Workflows built into the binary; a folder of the operator's replaces them by name.
pub const BUILT_IN: &[(&str, &str)] = &[
    ("fulfilment.yaml", include_str!("../../workflows/fulfilment.yaml")),
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
    /// What happened, and who is told.
    pub events: Arc<Events>,
}

/// Servers of the operator that this host tells what happened.
pub struct Outside {
    /// Takes mail.
    pub smtp: Option<SmtpConfig>,
    /// Takes events.
    pub nats_url: Option<String>,
    /// Its stream.
    pub nats_stream: Option<String>,
}

/// Opens the database and wires the rooms.
pub async fn build(
    database: &str,
    code_cache: Option<&Path>,
    secrets_key: Option<&str>,
    workflows: Option<&Path>,
    outside: Outside,
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
    let vault = vault(database, secrets_key).context("get the key for merchants' secrets")?;
    let registry = Registry::new(store.clone(), sandbox, vault).with_conformance(Arc::new(Suites));
    let registry = Arc::new(registry);
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
    let events = Events::new(store.clone(), registry.clone(), runner.clock().clone());
    let mut events = events.context("get ready to tell events")?;
    if let Some(smtp) = outside.smtp {
        events = events.with_mail(smtp.into()).map_err(|why| anyhow!("use `smtp`: {why}"))?;
    }
    if let Some(url) = outside.nats_url {
        let stream = outside.nats_stream.as_deref().unwrap_or("till");
        events = events.with_nats(&url, stream).await.map_err(|why| anyhow!("use `nats_url`: {why}"))?;
    }
    let events = Arc::new(events);
    Ok(House { store, registry, runner, shop, events })
}

/// This very program, also when an upgrade has put another one in its place meanwhile: machine code of another
/// version would not fit.
fn this_program() -> std::io::Result<PathBuf> {
    let running = Path::new("/proc/self/exe");
    if running.exists() { Ok(running.to_owned()) } else { std::env::current_exe() }
}

/// The conformance suites of the kit: what `till component check` runs is what a push must pass.
struct Suites;

#[async_trait]
impl Conformance for Suites {
    async fn run(
        &self,
        sandbox: &Arc<Sandbox>,
        component: &Arc<Component>,
        config: &str,
        binding: &Arc<Binding>,
    ) -> Vec<String> {
        use till_kit::conformance::{Status, with_tables};
        let (sandbox, component, config) = (sandbox.clone(), component.clone(), config.to_owned());
        let (binding, runtime) = (binding.clone(), tokio::runtime::Handle::current());
        // On a thread of its own: some hundred calls one after the other, whose futures stay on their thread.
        let ran = tokio::task::spawn_blocking(move || {
            runtime.block_on(with_tables(&sandbox, &component, &config, &binding.tables))
        });
        match ran.await {
            Ok(found) => {
                let failed = found.checks.into_iter().filter(|check| check.status == Status::Failed);
                failed.map(|check| format!("{}: {}", check.name, check.detail)).collect()
            }
            Err(error) => vec![format!("the suite did not run to its end: {error}")],
        }
    }
}

/// The vault for merchants' secrets: with the operator's key, or with one that is made once and kept beside a SQLite
/// file, readable by this user alone. On PostgreSQL nothing is made: all hosts need the same.
fn vault(database: &str, key: Option<&str>) -> anyhow::Result<Vault> {
    let read = |text: &str| -> anyhow::Result<[u8; 32]> {
        let bytes =
            base64::engine::general_purpose::STANDARD.decode(text.trim()).context("read it as base64")?;
        bytes
            .try_into()
            .map_err(|bytes: Vec<u8>| anyhow::anyhow!("it has {} bytes, 32 are needed", bytes.len()))
    };
    if let Some(key) = key {
        return Ok(Vault::new(&read(key)?));
    }
    let Some(file) = database_file(database) else { return Ok(Vault::without_key()) };
    let path = PathBuf::from(format!("{file}-key"));
    let mut made = [0; 32];
    rand::rng().fill_bytes(&mut made);
    let text = base64::engine::general_purpose::STANDARD.encode(made);
    // Whole or not at all: an empty key file would lock all secrets away.
    let beside = PathBuf::from(format!("{file}-key.{}", std::process::id()));
    let write = || -> std::io::Result<()> {
        let mut new = std::fs::OpenOptions::new().write(true).create_new(true).mode(0o600).open(&beside)?;
        new.write_all(text.as_bytes())?;
        new.sync_all()?;
        let linked = std::fs::hard_link(&beside, &path);
        std::fs::remove_file(&beside)?;
        linked?;
        let folder = path.parent().filter(|folder| !folder.as_os_str().is_empty());
        std::fs::File::open(folder.unwrap_or(Path::new(".")))?.sync_all()
    };
    match write() {
        Ok(()) => Ok(Vault::new(&made)),
        Err(error) if error.kind() == std::io::ErrorKind::AlreadyExists => {
            let text = std::fs::read_to_string(&path).with_context(|| format!("read {}", path.display()))?;
            Ok(Vault::new(&read(&text).with_context(|| format!("read {}", path.display()))?))
        }
        Err(error) => Err(error).with_context(|| format!("write {}", path.display())),
    }
}

/// The file of a SQLite database.
fn database_file(database: &str) -> Option<&str> {
    if database.starts_with("postgres://") || database.starts_with("postgresql://") {
        return None;
    }
    let file = database.strip_prefix("sqlite://").or_else(|| database.strip_prefix("sqlite:"));
    Some(file.unwrap_or(database))
}

/// The folder for machine code: beside a database file, else in the current folder.
fn beside(database: &str) -> PathBuf {
    database_file(database)
        .map_or_else(|| PathBuf::from("till-code"), |file| PathBuf::from(format!("{file}-code")))
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
