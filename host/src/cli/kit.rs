//! `till component test`, `run` and `check`: a component alone. No server, no database; the sandbox and the
//! limits are those of a host.

use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::sync::Arc;
use std::time::{Duration, SystemTime};

use anyhow::{Context as _, bail};
use clap::Args;
use serde_json::json;
use till_kit::conformance::{Check as Finding, Conformance, Status};
use till_kit::{Fixture, Project, Verdict, conformance, fixture, inspect, junit, project, show};
use till_sandbox::{COMPILE_CPU_S, Compiler, Component, Sandbox, SandboxConfig, Slot};

/// How often `--watch` looks for a change: sooner than a person looks up from the editor.
const LOOK_EVERY: Duration = Duration::from_millis(250);

/// How a case is written.
const FIXTURES: &str = "\
A case is one JSON file:

  {
    \"about\": \"ten percent off from two units on\",
    \"now\": \"2026-03-01T12:00:00Z\",
    \"context\": { \"currency\": \"USD\", \"locale\": \"en-US\" },
    \"config\": { \"title\": \"Sale\", \"ppm\": 100000 },
    \"cart\": { \"lines\": [{ \"sku\": \"A\", \"price\": 1000, \"quantity\": 2 }], \"codes\": [\"SUMMER\"] },
    \"expected\": { \"ok\": { \"candidates\": [] } }
  }

Leave `expected` out and run with --update: what is answered now is written there; read it before you keep it.
Beside an answer, `expected` may be { \"error\": { \"invalid-config\": { \"code\": ..., \"text\": ... } } } or
{ \"failure\": \"out-of-fuel\", \"contains\": \"a part of the text\" }.

`cart` (and `shipTo` for tax and shipping) is the short form of `request`, the record of wit/. Names may be
written as in wit/; what is optional may be left out. Also: `tables` ({ name: { key: value } or \"tables/file.csv\" }),
`secrets` (test values), `limits`, `attributes` as objects. A gateway's case names its `function` (authorize,
capture, find, verify-event, ...), has a `request` with an `attempt`, and the exchanges that are played to it:

  \"http\": [{
    \"request\": { \"method\": \"POST\", \"uri\": \"https://api.example.com/x\", \"body\": { \"amount\": 4711 } },
    \"response\": { \"status\": 200, \"body\": { \"status\": \"captured\" } }
  }]

or, instead of a response, \"error\": \"connection-refused\", \"timeout\" or \"incomplete\".";

/// What to test.
#[derive(Args)]
#[command(after_long_help = FIXTURES)]
pub struct Test {
    /// The component, or a folder with a `till.json` [default: this folder].
    wasm: Option<PathBuf>,
    /// pricing, promotion, tax, shipping or payment-gateway [default: what it exports].
    #[arg(long)]
    slot: Option<Slot>,
    /// Folder of the cases [default: that of `till.json`, or `fixtures` beside the component].
    #[arg(long, value_name = "DIR")]
    fixtures: Option<PathBuf>,
    /// Write what is answered now as what is expected.
    #[arg(long)]
    update: bool,
    /// Write the results as JUnit XML too.
    #[arg(long, value_name = "FILE")]
    junit: Option<PathBuf>,
    /// Only cases with this in their name.
    #[arg(long, value_name = "TEXT")]
    filter: Option<String>,
    /// Answer as JSON.
    #[arg(long)]
    json: bool,
}

/// What to run.
#[derive(Args)]
pub struct Run {
    /// The component, or a folder with a `till.json` [default: this folder].
    wasm: Option<PathBuf>,
    /// pricing, promotion, tax, shipping or payment-gateway [default: what it exports].
    #[arg(long)]
    slot: Option<Slot>,
    /// The case.
    #[arg(long, value_name = "FILE")]
    fixture: PathBuf,
    /// Run again whenever the component or the case changes.
    #[arg(long)]
    watch: bool,
}

/// What to check.
#[derive(Args)]
pub struct Check {
    /// The component, or a folder with a `till.json` [default: this folder].
    wasm: Option<PathBuf>,
    /// pricing, promotion, tax, shipping or payment-gateway [default: what it exports].
    #[arg(long)]
    slot: Option<Slot>,
    /// Configuration for the conformance suite [default: that of `till.json`, of the first case, or `{}`].
    #[arg(long, value_name = "FILE")]
    config_file: Option<PathBuf>,
    /// Answer as JSON.
    #[arg(long)]
    json: bool,
}

/// Where things are: told on the command line, by a project file, or by custom.
struct Target {
    wasm: PathBuf,
    slot: Option<Slot>,
    fixtures: PathBuf,
    config: Option<PathBuf>,
}

impl Target {
    fn find(wasm: Option<&Path>, slot: Option<Slot>) -> anyhow::Result<Target> {
        let place = wasm.unwrap_or(Path::new("."));
        if !place.is_dir() {
            let fixtures = place.parent().unwrap_or(Path::new(".")).join("fixtures");
            return Ok(Target { wasm: place.to_owned(), slot, fixtures, config: None });
        }
        let Some(project) = Project::read(place)? else {
            bail!(
                "{} has no {}: name the component (`till component test out.wasm`), or make a project with \
                 `till component new`",
                place.display(),
                project::FILE
            );
        };
        Ok(Target {
            wasm: place.join(&project.wasm),
            slot: slot.or(Some(project.slot)),
            fixtures: place.join(&project.fixtures),
            config: project.config.map(|config| place.join(config)),
        })
    }

    fn bytes(&self) -> anyhow::Result<Vec<u8>> {
        std::fs::read(&self.wasm)
            .with_context(|| format!("read {}; is it built (`till component build`)?", self.wasm.display()))
    }

    /// The component, ready to be called.
    fn load(&self, sandbox: &Sandbox) -> anyhow::Result<Arc<Component>> {
        let bytes = self.bytes()?;
        let refused = |error| anyhow::anyhow!("{}: {}", self.wasm.display(), inspect::told(&error));
        let outside = sandbox.look_at(&bytes).map_err(refused)?;
        let slot = inspect::choose(&outside, self.slot)
            .map_err(|why| anyhow::anyhow!("{}: {why}", self.wasm.display()))?;
        sandbox.load(slot, &bytes).map_err(refused)
    }
}

/// A sandbox like that of a host, for one call at a time.
fn sandbox(compiler: Compiler) -> anyhow::Result<Arc<Sandbox>> {
    let config = SandboxConfig {
        pure_threads: 1,
        gateway_calls_max: 1,
        gateway_calls_per_merchant_max: 1,
        compiler,
        source_lines: true,
    };
    Sandbox::new(config).context("make the sandbox")
}

/// `till component test`
pub async fn test(args: Test) -> anyhow::Result<ExitCode> {
    let target = Target::find(args.wasm.as_deref(), args.slot)?;
    let sandbox = sandbox(Compiler::Here)?;
    let component = target.load(&sandbox)?;
    let folder = args.fixtures.unwrap_or_else(|| target.fixtures.clone());
    let filter = args.filter.as_deref().unwrap_or_default();
    let named = |path: &PathBuf| path.file_stem().is_some_and(|name| name.to_string_lossy().contains(filter));
    let cases: Vec<PathBuf> = fixture::files(&folder)
        .context(
            "read the cases; write one (`till component test --help`), or name their folder with --fixtures",
        )?
        .into_iter()
        .filter(named)
        .collect();
    if cases.is_empty() {
        bail!("{} has no case (*.json) with `{filter}` in its name: write one", folder.display());
    }
    if !args.json {
        println!("{} {} for {}", component.info.name, component.info.version, component.slot);
        println!("{}", show::heading());
    }
    let (mut verdicts, mut updated) = (Vec::new(), 0);
    for path in &cases {
        let mut verdict = till_kit::judge(&sandbox, &component, path).await;
        let mended = verdict.mended().filter(|_| args.update);
        if let Some(expected) = mended {
            Fixture::expect(path, &expected)?;
            updated += 1;
            verdict = till_kit::judge(&sandbox, &component, path).await;
        }
        if !args.json {
            println!("{}", show::line(&verdict));
            print!("{}", show::details(&verdict));
        }
        verdicts.push(verdict);
    }
    if let Some(path) = &args.junit {
        let suite = format!("{} ({})", component.info.name, component.slot);
        std::fs::write(path, junit::xml(&suite, &verdicts))
            .with_context(|| format!("write {}", path.display()))?;
    }
    Ok(summed_up(&component, &verdicts, updated, args.json))
}

fn summed_up(component: &Component, verdicts: &[Verdict], updated: usize, as_json: bool) -> ExitCode {
    let failed = verdicts.iter().filter(|verdict| !verdict.passed).count();
    let passed = verdicts.len() - failed;
    if as_json {
        let all = json!({
            "component": component.digest, "name": component.info.name, "version": component.info.version,
            "slot": component.slot, "passed": passed, "failed": failed, "updated": updated, "cases": verdicts,
        });
        println!("{all:#}");
    } else {
        let updated = if updated > 0 { format!(", {updated} updated") } else { String::new() };
        println!("{passed} passed, {failed} failed{updated}");
    }
    if failed == 0 { ExitCode::SUCCESS } else { ExitCode::FAILURE }
}

/// `till component run`
pub async fn run(args: Run) -> anyhow::Result<ExitCode> {
    let target = Target::find(args.wasm.as_deref(), args.slot)?;
    let sandbox = sandbox(Compiler::Here)?;
    if !args.watch {
        return run_once(&sandbox, &target, &args.fixture).await;
    }
    // Looked at, not subscribed to: that works on every file system, and for files that are replaced.
    let stamps = || [stamp(&target.wasm), stamp(&args.fixture)];
    loop {
        let before = stamps();
        if let Err(error) = run_once(&sandbox, &target, &args.fixture).await {
            eprintln!("{error:#}");
        }
        eprintln!("waiting for a change of {} or {}", target.wasm.display(), args.fixture.display());
        let mut now = stamps();
        while now == before {
            tokio::time::sleep(LOOK_EVERY).await;
            now = stamps();
        }
        // Whoever writes may not have finished.
        loop {
            tokio::time::sleep(LOOK_EVERY).await;
            let later = stamps();
            if later == now {
                break;
            }
            now = later;
        }
    }
}

/// Tells one content of a file from the next. None: it is not there.
fn stamp(path: &Path) -> Option<(SystemTime, u64)> {
    let about = std::fs::metadata(path).ok()?;
    Some((about.modified().ok()?, about.len()))
}

async fn run_once(sandbox: &Sandbox, target: &Target, path: &Path) -> anyhow::Result<ExitCode> {
    let component = target.load(sandbox)?;
    let ran = run_case(sandbox, &component, path).await;
    sandbox.unload(component.slot, component.digest); // The next one is another.
    ran
}

async fn run_case(sandbox: &Sandbox, component: &Arc<Component>, path: &Path) -> anyhow::Result<ExitCode> {
    let fixture = Fixture::read(path, component.slot)?;
    let ran = till_kit::run(sandbox, component, &fixture).await?;
    println!("{}", ran.outcome.tree().pretty());
    eprintln!("{}", show::used(&ran.report));
    eprint!("{}", show::words(&ran.report));
    for problem in &ran.http {
        eprintln!("{problem}");
    }
    let answered = !matches!(ran.outcome, till_kit::Outcome::Failure { .. });
    Ok(if answered && ran.http.is_empty() { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}

/// `till component check`
pub async fn check(args: Check) -> anyhow::Result<ExitCode> {
    let target = Target::find(args.wasm.as_deref(), args.slot)?;
    let bytes = target.bytes()?;
    let cache = std::env::temp_dir().join(format!("till-check-{}", uuid::Uuid::now_v7().simple()));
    let program = std::env::current_exe().context("find this program")?;
    let compiler = Compiler::Child {
        command: vec![program.into(), crate::cli::COMPILE.into()],
        cpu_s: COMPILE_CPU_S,
        cache: cache.clone(),
    };
    let sandbox = sandbox(compiler)?;
    let result = checked(&args, &target, &sandbox, &bytes).await;
    std::fs::remove_dir_all(&cache).with_context(|| format!("remove {}", cache.display()))?;
    result
}

async fn checked(args: &Check, target: &Target, sandbox: &Sandbox, bytes: &[u8]) -> anyhow::Result<ExitCode> {
    let inspection = inspect::inspect(sandbox, bytes, target.slot);
    if !args.json {
        println!("upload");
        inspection.findings.iter().for_each(told);
    }
    let suite = match &inspection.component {
        Some(component) => Some(suite(args, target, sandbox, component).await?),
        None => None,
    };
    let passed = inspection.passed() && suite.as_ref().is_some_and(Conformance::passed);
    if args.json {
        println!("{:#}", json!({ "passed": passed, "upload": inspection, "conformance": suite }));
    } else {
        if let Some(suite) = &suite {
            println!("conformance of {}", suite.slot);
            suite.checks.iter().for_each(told);
        }
        println!("{}", if passed { "passed" } else { "FAILED" });
    }
    Ok(if passed { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}

async fn suite(
    args: &Check,
    target: &Target,
    sandbox: &Sandbox,
    component: &Arc<Component>,
) -> anyhow::Result<Conformance> {
    let mut fixtures = Vec::new();
    if target.fixtures.is_dir() {
        for path in fixture::files(&target.fixtures)? {
            // A case that cannot be read is for `test` to tell.
            fixtures.extend(Fixture::read(&path, component.slot));
        }
    }
    let config = match args.config_file.as_ref().or(target.config.as_ref()) {
        Some(path) => std::fs::read_to_string(path).with_context(|| format!("read {}", path.display()))?,
        None => fixtures.first().map_or_else(|| "{}".to_owned(), |fixture| fixture.ctx.config.clone()),
    };
    Ok(conformance::with_fixtures(sandbox, component, &config, &fixtures).await)
}

fn told(finding: &Finding) {
    let word = match finding.status {
        Status::Passed => "ok",
        Status::Failed => "FAILED",
        Status::Warning => "warning",
        Status::Skipped => "skipped",
    };
    println!("  {word:<8} {:<28} {}", finding.name, finding.detail);
}
