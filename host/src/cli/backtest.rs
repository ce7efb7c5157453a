//! `till component backtest`: a candidate over recorded checkouts, on this machine, without touching the host.

use std::collections::hash_map::Entry;
use std::collections::{BTreeMap, HashMap, HashSet};
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use anyhow::{Context as _, bail, ensure};
use clap::Args;
use serde_json::{Value, json};
use till_commerce::trial::backtest::{Backtest as Test, Findings, shown};
use till_commerce::trial::{Recorded, needed};
use till_registry::{BindingBody, Bound, TableFormat, check_config, read_table};
use till_sandbox::{Component, Sandbox, SandboxConfig, Slot, Table};

use super::server::Server;

/// What to try, on what.
#[derive(Args)]
pub struct Backtest {
    /// pricing, promotion, tax or shipping.
    #[arg(long)]
    slot: String,
    /// Name of the binding whose place the candidate is to take; a new name adds it.
    #[arg(long, default_value = "default")]
    name: String,
    /// Configuration, JSON [default: `{}`].
    #[arg(long, value_name = "FILE")]
    config_file: Option<PathBuf>,
    /// Table as `name=file.csv` or `name=file.json`. May be repeated.
    #[arg(long = "table")]
    tables: Vec<String>,
    /// Folder with records, written before with --save. Without, records come from the host.
    #[arg(long, value_name = "DIR")]
    records: Option<PathBuf>,
    /// Keep what comes from the host in this folder, for the next time.
    #[arg(long, value_name = "DIR", conflicts_with = "records")]
    save: Option<PathBuf>,
    /// Most checkouts, newest first.
    #[arg(long, default_value_t = 10_000)]
    limit: usize,
    /// Also write the findings to this file, as JSON.
    #[arg(long, value_name = "FILE")]
    json: Option<PathBuf>,
    /// The candidate.
    wasm: PathBuf,
    /// Address of the host.
    #[arg(long, env = "TILL_URL", default_value = "http://127.0.0.1:8080")]
    url: String,
    /// Token with the scope `components:read`, `components` or `admin`.
    #[arg(long, env = "TILL_ADMIN_TOKEN", hide_env_values = true)]
    token: Option<String>,
}

/// Runs a backtest and prints what would have changed.
pub async fn run(args: Backtest) -> anyhow::Result<ExitCode> {
    let slot: Slot = args.slot.parse()?;
    let kept;
    let folder = match (&args.records, &args.save) {
        (Some(folder), _) => folder.as_path(),
        (None, save) => {
            let token = args.token.clone().context("give --token or TILL_ADMIN_TOKEN, or --records")?;
            let server = Server::new(args.url.clone(), token);
            let folder = match save {
                Some(folder) => folder.clone(),
                None => {
                    kept = Scratch::new()?;
                    kept.0.clone()
                }
            };
            fetch(&server, &folder, args.limit).await?;
            &folder.clone()
        }
    };
    let records = read_records(&folder.join("records.ndjson"), args.limit)?;
    ensure!(!records.is_empty(), "there are no confirmed checkouts to try it on");
    let sandbox = Sandbox::new(SandboxConfig::default())?;
    let workshop = Workshop { sandbox: sandbox.clone(), folder, components: HashMap::new() };
    let (test, bytes) = workshop.set_up(&args, slot, &records)?;
    println!(
        "{} {} ({bytes} bytes) in {slot}/{} over {} checkouts",
        test.candidate.component.info.name,
        test.candidate.component.info.version,
        args.name,
        records.len()
    );
    let (count, done) = (records.len(), Arc::new(AtomicUsize::new(0)));
    let bar = progress(count);
    let begun = Instant::now();
    let work = tokio::spawn(Arc::new(test).run(records, done.clone()));
    while !work.is_finished() {
        bar.set_position(done.load(Ordering::Relaxed) as u64);
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    let findings = work.await??;
    bar.finish_and_clear();
    let took = begun.elapsed();
    print(&findings);
    let count = findings.checkouts;
    let per_second = u128::try_from(count).unwrap_or(0) * 1_000_000 / took.as_micros().max(1);
    println!("\n{count} checkouts in {} ms: {per_second} a second", took.as_millis());
    if let Some(path) = &args.json {
        let mut report = serde_json::to_value(&findings)?;
        report["evaluationsPerSecond"] = json!(u64::try_from(per_second).unwrap_or(u64::MAX));
        std::fs::write(path, format!("{}\n", serde_json::to_string_pretty(&report)?))
            .with_context(|| format!("write {}", path.display()))?;
    }
    Ok(ExitCode::SUCCESS)
}

fn progress(count: usize) -> indicatif::ProgressBar {
    let bar = indicatif::ProgressBar::new(count as u64);
    let style = "{bar:40} {pos}/{len}  {per_sec}  {eta} left";
    bar.with_style(indicatif::ProgressStyle::with_template(style).expect("the template is sound"))
}

/// A folder that is gone afterwards.
struct Scratch(PathBuf);

impl Scratch {
    fn new() -> anyhow::Result<Scratch> {
        let folder = std::env::temp_dir().join(format!("till-backtest-{}", uuid::Uuid::now_v7().simple()));
        std::fs::create_dir_all(&folder).with_context(|| format!("make {}", folder.display()))?;
        Ok(Scratch(folder))
    }
}

impl Drop for Scratch {
    fn drop(&mut self) {
        let _ = std::fs::remove_dir_all(&self.0);
    }
}

/// Takes records and everything they were priced by from the host.
async fn fetch(server: &Server, folder: &Path, limit: usize) -> anyhow::Result<()> {
    for part in ["bindings", "components", "tables"] {
        let part = folder.join(part);
        std::fs::create_dir_all(&part).with_context(|| format!("make {}", part.display()))?;
    }
    let spinner = indicatif::ProgressBar::new_spinner().with_message("reading recorded checkouts");
    let (mut lines, mut before, mut count) = (Vec::new(), None::<String>, 0);
    loop {
        let after = before.map(|before| format!("&before={before}")).unwrap_or_default();
        let (part, next) = server.bytes(&format!("checkouts/recorded?limit=200{after}")).await?;
        count += part.iter().filter(|byte| **byte == b'\n').count();
        lines.extend(part);
        spinner.set_message(format!("reading recorded checkouts: {count}"));
        match next {
            Some(next) if count < limit => before = Some(next),
            _ => break,
        }
    }
    spinner.finish_and_clear();
    std::fs::write(folder.join("records.ndjson"), &lines)?;
    let mut digests = HashSet::new();
    for record in read_records(&folder.join("records.ndjson"), limit)? {
        digests.extend(needed(&record.pins, &record.quote));
    }
    let mut wanted: Vec<String> = digests.into_iter().collect();
    let mut have = HashSet::new();
    while let Some(digest) = wanted.pop() {
        if !have.insert(digest.clone()) {
            continue;
        }
        named(&digest)?;
        let binding = server.admin(&format!("bindings/{digest}")).await?;
        let body: BindingBody = serde_json::from_value(binding["body"].clone()).context("read a binding")?;
        std::fs::write(folder.join("bindings").join(format!("{digest}.json")), binding.to_string())?;
        named(&body.component)?;
        body.tables.values().try_for_each(|table| named(table))?;
        wanted.extend(body.fallback.clone());
        let wasm = folder.join("components").join(format!("{}.wasm", body.component));
        // Not there: it was collected, and what it priced is left out.
        if !wasm.exists()
            && let Some(bytes) =
                server.bytes_if_kept(&format!("components/{}/binary", body.component)).await?
        {
            std::fs::write(&wasm, bytes)?;
        }
        for table in body.tables.values() {
            let file = folder.join("tables").join(table);
            if !file.exists() {
                std::fs::write(&file, server.bytes(&format!("tables/{table}")).await?.0)?;
            }
        }
    }
    Ok(())
}

/// What comes from a host becomes a file name only if it is a digest.
fn named(digest: &str) -> anyhow::Result<()> {
    let hex = digest.len() == 64 && digest.bytes().all(|byte| byte.is_ascii_hexdigit());
    ensure!(hex, "the host names `{digest}`, which is no digest");
    Ok(())
}

fn read_records(path: &Path, limit: usize) -> anyhow::Result<Vec<Recorded>> {
    let text = std::fs::read_to_string(path).with_context(|| format!("read {}", path.display()))?;
    let read = |(n, line): (usize, &str)| {
        serde_json::from_str(line).with_context(|| format!("{}:{}", path.display(), n + 1))
    };
    text.lines().take(limit).enumerate().map(read).collect()
}

/// Makes bindings from files.
struct Workshop<'a> {
    sandbox: Arc<Sandbox>,
    folder: &'a Path,
    components: HashMap<(String, Slot), Arc<Component>>,
}

impl Workshop<'_> {
    fn set_up(mut self, args: &Backtest, slot: Slot, records: &[Recorded]) -> anyhow::Result<(Test, usize)> {
        let config: Value = match &args.config_file {
            None => json!({}),
            Some(path) => {
                let text =
                    std::fs::read_to_string(path).with_context(|| format!("read {}", path.display()))?;
                serde_json::from_str(&text).with_context(|| format!("read {}", path.display()))?
            }
        };
        let wasm = std::fs::read(&args.wasm).with_context(|| format!("read {}", args.wasm.display()))?;
        let component = self.sandbox.load(slot, &wasm)?;
        check_config(&component.info.config_schema, &config)?;
        let mut tables = BTreeMap::new();
        for table in &args.tables {
            let (name, path) = table.split_once('=').context("write --table as name=file.csv")?;
            let format = if path.ends_with(".csv") { TableFormat::Csv } else { TableFormat::Json };
            let bytes = std::fs::read(path).with_context(|| format!("read {path}"))?;
            tables.insert(name.to_owned(), Arc::new(read_table(format, &bytes)?));
        }
        let body: BindingBody =
            serde_json::from_value(json!({ "component": component.digest.to_string(), "config": config }))?;
        let candidate = Bound::assemble("candidate", &args.name, body, component, tables, None);
        let mut others = HashMap::new();
        for record in records {
            for digest in needed(&record.pins, &record.quote) {
                if let Entry::Vacant(place) = others.entry(digest) {
                    let bound = self.binding(place.key(), true)?.map(Arc::new);
                    place.insert(bound);
                }
            }
        }
        let others = others.into_iter().filter_map(|(digest, bound)| Some((digest, bound?))).collect();
        let bytes = wasm.len();
        Ok((Test { sandbox: self.sandbox, slot, candidate: Arc::new(candidate), others }, bytes))
    }

    /// A binding with what it falls back on. None: a component of these is not kept any more.
    fn binding(&mut self, digest: &str, fall_back: bool) -> anyhow::Result<Option<Bound>> {
        let path = self.folder.join("bindings").join(format!("{digest}.json"));
        let text = std::fs::read_to_string(&path).with_context(|| format!("read {}", path.display()))?;
        let binding: Value =
            serde_json::from_str(&text).with_context(|| format!("read {}", path.display()))?;
        let name = binding["name"].as_str().context("a binding's name")?.to_owned();
        let slot: Slot = binding["slot"].as_str().context("a binding's slot")?.parse()?;
        let body: BindingBody = serde_json::from_value(binding["body"].clone())?;
        let key = (body.component.clone(), slot);
        let component = match self.components.get(&key) {
            Some(component) => component.clone(),
            None => {
                let path = self.folder.join("components").join(format!("{}.wasm", body.component));
                if !path.exists() {
                    return Ok(None);
                }
                let wasm = std::fs::read(&path).with_context(|| format!("read {}", path.display()))?;
                let component = self.sandbox.load(slot, &wasm)?;
                if component.digest.to_string() != body.component {
                    bail!("{} is another component than its name says", path.display());
                }
                self.components.insert(key, component.clone());
                component
            }
        };
        let mut tables = BTreeMap::new();
        for (name, table) in &body.tables {
            let path = self.folder.join("tables").join(table);
            let bytes = std::fs::read(&path).with_context(|| format!("read {}", path.display()))?;
            let read = Table::from_content(bytes)?;
            ensure!(
                read.digest().to_string() == *table,
                "{} is another table than its name says",
                path.display()
            );
            tables.insert(name.clone(), Arc::new(read));
        }
        let fallback = match body.fallback.clone().filter(|_| fall_back) {
            Some(fallback) => match self.binding(&fallback, false)? {
                Some(fallback) => Some(Arc::new(fallback)),
                None => return Ok(None),
            },
            None => None,
        };
        Ok(Some(Bound::assemble(digest, &name, body, component, tables, fallback)))
    }
}

/// The findings as people read them.
fn print(findings: &Findings) {
    println!(
        "\n{} of {} checkouts would differ, {} could not be answered",
        findings.differing, findings.checkouts, findings.failed
    );
    for (why, times) in &findings.skipped {
        println!("left out {times}: {why}");
    }
    for (currency, money) in &findings.money {
        println!(
            "{:<22} {:>18}\n{:<22} {:>18}\n{:<22} {:>18}   {} cheaper, {} dearer",
            "total as it was",
            shown(currency, money.before),
            "with the candidate",
            shown(currency, money.after),
            "change",
            shown(currency, money.after - money.before),
            money.cheaper,
            money.dearer
        );
    }
    if !findings.rules.is_empty() {
        println!("\n{:<9} {:<36} {:>9} {:>18}", "kind", "rule", "checkouts", "change");
    }
    for rule in &findings.rules {
        let kind = serde_json::to_value(rule.kind).unwrap_or_default();
        println!(
            "{:<9} {:<36} {:>9} {:>18}",
            kind.as_str().unwrap_or_default(),
            rule.rule,
            rule.checkouts,
            shown(&rule.currency, rule.delta)
        );
    }
    for (why, times) in &findings.failures {
        println!("\nfailed {times} times: {why}");
    }
    if let Some(example) = findings.examples.first() {
        println!(
            "\nmost changed: session {} by {}",
            example.session,
            shown(&example.difference.currency, i128::from(example.difference.delta()))
        );
    }
}
