//! `till component`: the admin API from the command line.

use std::path::{Path, PathBuf};
use std::process::ExitCode;

use anyhow::{Context as _, bail};
use base64::Engine as _;
use clap::{Args, Subcommand};
use serde_json::{Value, json};

use super::server::{Server, text};

/// Commands on components.
#[derive(Subcommand)]
pub enum ComponentCommand {
    /// Upload a component and bind it to a slot; the next checkout uses it, those under way keep theirs.
    Push(Push),
    /// What the slots use now.
    List(Server),
    /// Who changed a binding, when, to what and why.
    History(History),
    /// Use an earlier revision again from the next checkout on; those under way keep theirs.
    Rollback(Rollback),
    /// Take a binding out of use; a rollback brings it back.
    Retire(Which),
    /// Make the folder of a new component that builds and passes its cases at once.
    New(super::project::New),
    /// Build the component of a folder.
    Build(super::project::Build),
    /// Run the cases of a component and compare. No server needed.
    Test(super::kit::Test),
    /// Run one case and show the answer. No server needed.
    Run(super::kit::Run),
    /// What a host would say at upload, and the conformance suite of the slot. No server needed.
    Check(super::kit::Check),
    /// Change the share of the checkouts that a canary takes.
    Canary(Canary),
    /// Make the shadow or canary of a binding the active one.
    Promote(Which),
    /// End the shadow or canary of a binding; the active one stays.
    Withdraw(Which),
    /// What the shadow or canary of a binding did.
    Trial(Trial),
    /// Stop a component at once, everywhere.
    Revoke(Revoke),
    /// All uploaded components, in use or not; with a digest, the life of one.
    Uploaded(Uploaded),
    /// Take the bytes of a component away that nothing uses.
    Delete(Delete),
    /// Write fixtures from what a component is asked in a live checkout. Personal data is blanked.
    Record(Record),
    /// Try a component over recorded checkouts and tell what would have changed, in money and by rule.
    Backtest(super::backtest::Backtest),
    /// Time warm calls of a promotion component. No server needed.
    Time(Time),
}

/// What to push.
#[derive(Args)]
pub struct Push {
    /// pricing, promotion, tax, shipping or payment-gateway.
    #[arg(long)]
    slot: String,
    /// Position in an ordered slot (`10`, `20`), or the payment method a gateway serves.
    #[arg(long, default_value = "default")]
    name: String,
    /// Configuration, JSON, checked against the component's schema.
    #[arg(long, value_name = "FILE")]
    config_file: Option<PathBuf>,
    /// Origin a gateway may reach: `https://api.example.com`. May be repeated.
    #[arg(long = "origin")]
    origins: Vec<String>,
    /// Let names lead to loopback and private addresses. For gateways of your own network.
    #[arg(long)]
    allow_private_addresses: bool,
    /// What happens when it cannot answer: `refuse`, `fallback` or `omit` [default: refuse; a canary falls back on
    /// what is active].
    #[arg(long)]
    policy: Option<String>,
    /// With `--policy fallback`: digest of the binding that answers instead.
    #[arg(long)]
    fallback: Option<String>,
    /// Table as `name=file.csv` or `name=file.json`; uploaded first. May be repeated.
    #[arg(long = "table")]
    tables: Vec<String>,
    /// Secret that may be used for it, by name (`till secret set NAME`). May be repeated.
    #[arg(long = "secret")]
    secrets: Vec<String>,
    /// `active`, `canary`, `shadow`, or `ready`: checked and kept only.
    #[arg(long, default_value = "active")]
    stage: String,
    /// With `--stage canary`: share of the checkouts, in per cent with up to four digits after the point.
    #[arg(long, default_value = "5")]
    share: String,
    /// Use it although it fails conformance checks; needs --why.
    #[arg(long)]
    skip_conformance: bool,
    /// Reason, for the history.
    #[arg(long, default_value = "")]
    why: String,
    /// The component: built for `wasm32-wasip2`.
    wasm: PathBuf,
    #[command(flatten)]
    server: Server,
}

/// A binding.
#[derive(Args)]
pub struct Which {
    /// pricing, promotion, tax, shipping or payment-gateway.
    #[arg(long)]
    slot: String,
    /// Name within the slot.
    #[arg(long, default_value = "default")]
    name: String,
    /// Reason, for the history.
    #[arg(long, default_value = "")]
    why: String,
    #[command(flatten)]
    server: Server,
}

/// Where to go back to.
#[derive(Args)]
pub struct Rollback {
    /// Revision to use again [default: the one before what is used now].
    #[arg(long = "to", value_name = "REVISION")]
    to: Option<i64>,
    #[command(flatten)]
    which: Which,
}

/// A new share.
#[derive(Args)]
pub struct Canary {
    /// Share of the checkouts, in per cent with up to four digits after the point.
    #[arg(long)]
    share: String,
    #[command(flatten)]
    which: Which,
}

/// Which trial.
#[derive(Args)]
pub struct Trial {
    /// pricing, promotion, tax, shipping or payment-gateway.
    #[arg(long)]
    slot: String,
    /// Name within the slot.
    #[arg(long, default_value = "default")]
    name: String,
    /// How many differences of a shadow, newest first.
    #[arg(long, default_value_t = 10)]
    limit: u32,
    #[command(flatten)]
    server: Server,
}

/// What to revoke.
#[derive(Args)]
pub struct Revoke {
    /// Digest of the component.
    component: String,
    /// Reason; it is told to whoever meets the component.
    #[arg(long)]
    why: String,
    #[command(flatten)]
    server: Server,
}

/// Which components.
#[derive(Args)]
pub struct Uploaded {
    /// Digest of one component.
    component: Option<String>,
    /// How many, newest first.
    #[arg(long, default_value_t = 50)]
    limit: u32,
    #[command(flatten)]
    server: Server,
}

/// Which component.
#[derive(Args)]
pub struct Delete {
    /// Digest of the component.
    component: String,
    #[command(flatten)]
    server: Server,
}

/// What to record.
#[derive(Args)]
pub struct Record {
    /// Id of a checkout session that has a quote.
    #[arg(long)]
    session: String,
    /// pricing, promotion, tax or shipping.
    #[arg(long)]
    slot: String,
    /// Name within the slot.
    #[arg(long, default_value = "default")]
    name: String,
    /// Folder for the fixtures.
    #[arg(long, default_value = "fixtures", value_name = "DIR")]
    out: PathBuf,
    #[command(flatten)]
    server: Server,
}

/// Which history.
#[derive(Args)]
pub struct History {
    /// pricing, promotion, tax, shipping or payment-gateway.
    #[arg(long)]
    slot: String,
    /// Name within the slot.
    #[arg(long, default_value = "default")]
    name: String,
    /// How many changes, newest first.
    #[arg(long, default_value_t = 50)]
    limit: u32,
    #[command(flatten)]
    server: Server,
}

/// Runs a command on components.
pub async fn run(command: ComponentCommand) -> anyhow::Result<ExitCode> {
    let _ = rustls::crypto::ring::default_provider().install_default();
    match command {
        ComponentCommand::Push(push) => self::push(push).await,
        ComponentCommand::List(server) => list(server).await,
        ComponentCommand::History(which) => history(which).await,
        ComponentCommand::Rollback(rollback) => roll_back(rollback).await,
        ComponentCommand::Retire(which) => retire(which).await,
        ComponentCommand::New(args) => super::project::new(&args),
        ComponentCommand::Build(args) => super::project::build(&args),
        ComponentCommand::Test(args) => super::kit::test(args).await,
        ComponentCommand::Run(args) => super::kit::run(args).await,
        ComponentCommand::Check(args) => super::kit::check(args).await,
        ComponentCommand::Canary(args) => canary(args).await,
        ComponentCommand::Promote(which) => turn("/promote", which).await,
        ComponentCommand::Withdraw(which) => turn("/withdraw", which).await,
        ComponentCommand::Trial(which) => trial(which).await,
        ComponentCommand::Revoke(args) => revoke(args).await,
        ComponentCommand::Uploaded(which) => uploaded(which).await,
        ComponentCommand::Delete(which) => delete(which).await,
        ComponentCommand::Record(args) => record(args).await,
        ComponentCommand::Backtest(args) => super::backtest::run(args).await,
        ComponentCommand::Time(args) => time(args).await,
    }
}

async fn roll_back(rollback: Rollback) -> anyhow::Result<ExitCode> {
    let Rollback { to, which } = rollback;
    let mut body = json!({ "slot": which.slot, "name": which.name, "why": which.why });
    if let Some(to) = to {
        body["revision"] = json!(to);
    }
    told(&which.server.post("/rollback", &body).await?);
    Ok(ExitCode::SUCCESS)
}

async fn retire(which: Which) -> anyhow::Result<ExitCode> {
    let body = json!({ "slot": which.slot, "name": which.name, "why": which.why });
    let change = which.server.post("/retire", &body).await?;
    println!("{}/{} is not in use any more (revision {})", which.slot, which.name, change["revision"]);
    Ok(ExitCode::SUCCESS)
}

async fn history(which: History) -> anyhow::Result<ExitCode> {
    let path = format!("components/history?slot={}&name={}", which.slot, which.name);
    let changes = which.server.newest(&path, "changes", which.limit).await?;
    println!("{:>3}  {:<9} {:<25} {:<16} {:<16} why", "rev", "act", "when", "who", "component");
    for change in changes {
        println!(
            "{:>3}  {:<9} {:<25} {:<16} {:<16} {}",
            change["revision"],
            text(&change["act"]),
            text(&change["createdAt"]),
            text(&change["createdBy"]),
            text(&change["component"]).chars().take(16).collect::<String>(),
            text(&change["why"])
        );
    }
    Ok(ExitCode::SUCCESS)
}

/// What is in use now.
fn told(made: &Value) {
    if made["state"] == "ready" {
        println!(
            "{} {} is ready, and not in use",
            text(&made["info"]["name"]),
            text(&made["info"]["version"])
        );
        println!("component {}", text(&made["component"]));
        return;
    }
    let place = format!("{}/{} as revision {}", text(&made["slot"]), text(&made["name"]), made["revision"]);
    if text(&made["digest"]).is_empty() {
        println!("nothing is active in {place}");
    } else {
        println!("{} {} is active in {place}", text(&made["info"]["name"]), text(&made["info"]["version"]));
        println!("component {}", text(&made["component"]));
        println!("binding   {}", text(&made["digest"]));
    }
    let trial = &made["trial"];
    if !trial.is_null() {
        let share = trial["sharePpm"].as_u64().unwrap_or(0);
        let takes = if trial["kind"] == "canary" {
            format!(", {}.{:04} % of the checkouts", share / 10_000, share % 10_000)
        } else {
            String::new()
        };
        println!(
            "{}    {} {}{takes}",
            text(&trial["kind"]),
            text(&trial["info"]["name"]),
            text(&trial["info"]["version"])
        );
        println!("binding   {}", text(&trial["digest"]));
    }
}

async fn push(push: Push) -> anyhow::Result<ExitCode> {
    let wasm = std::fs::read(&push.wasm).with_context(|| format!("read {}", push.wasm.display()))?;
    let config: Value = match &push.config_file {
        None => json!({}),
        Some(path) => {
            let text = std::fs::read_to_string(path).with_context(|| format!("read {}", path.display()))?;
            serde_json::from_str(&text).with_context(|| format!("read {}", path.display()))?
        }
    };
    let mut tables = serde_json::Map::new();
    for table in &push.tables {
        let (name, path) = table.split_once('=').context("write --table as name=file.csv")?;
        tables
            .insert(name.to_owned(), push.server.upload("tables", Path::new(path)).await?["digest"].clone());
    }
    let mut body = json!({
        "slot": push.slot,
        "name": push.name,
        "config": config,
        "origins": push.origins,
        "allowPrivateAddresses": push.allow_private_addresses,
        "why": push.why,
        "tables": tables,
        "secrets": push.secrets,
        "stage": push.stage,
        "skipConformance": push.skip_conformance,
        "wasmBase64": base64::engine::general_purpose::STANDARD.encode(&wasm),
    });
    if let Some(policy) = &push.policy {
        body["policy"] = json!(policy);
    }
    if let Some(fallback) = &push.fallback {
        body["fallback"] = json!(fallback);
    }
    if push.stage == "canary" {
        body["sharePpm"] = json!(ppm(&push.share)?);
    }
    told(&push.server.post("", &body).await?);
    Ok(ExitCode::SUCCESS)
}

/// Per cent as people write them, in parts per million.
fn ppm(share: &str) -> anyhow::Result<u32> {
    let wrong = || format!("`{share}` is no share in per cent, as in 5 or 0.25");
    let (whole, part) =
        share.trim_end_matches('%').split_once('.').unwrap_or((share.trim_end_matches('%'), ""));
    let digits = |text: &str| text.bytes().all(|b| b.is_ascii_digit());
    if part.len() > 4 || whole.is_empty() || !digits(whole) || !digits(part) {
        bail!(wrong());
    }
    let whole: u32 = whole.parse().ok().filter(|whole| *whole <= 100).with_context(wrong)?;
    let part: u32 = format!("{part:0<4}").parse().with_context(wrong)?;
    Ok(whole * 10_000 + part)
}

async fn canary(canary: Canary) -> anyhow::Result<ExitCode> {
    let Canary { share, which } = canary;
    let body = json!({
        "slot": which.slot, "name": which.name, "why": which.why, "sharePpm": ppm(&share)?,
    });
    told(&which.server.post("/canary", &body).await?);
    Ok(ExitCode::SUCCESS)
}

async fn turn(path: &str, which: Which) -> anyhow::Result<ExitCode> {
    let body = json!({ "slot": which.slot, "name": which.name, "why": which.why });
    told(&which.server.post(path, &body).await?);
    Ok(ExitCode::SUCCESS)
}

async fn trial(which: Trial) -> anyhow::Result<ExitCode> {
    let place = format!("slot={}&name={}", which.slot, which.name);
    let report = which.server.get(&format!("/trial?{place}")).await?;
    let share = report["trial"]["sharePpm"].as_u64().unwrap_or(0);
    let kind = text(&report["trial"]["kind"]);
    print!("{kind} in {}/{} since revision {}", which.slot, which.name, report["revision"]);
    println!(
        "{}",
        if kind == "canary" {
            format!(", {}.{:04} % of the checkouts", share / 10_000, share % 10_000)
        } else {
            String::new()
        }
    );
    println!(
        "calls {}, failed {}, slow {}, mean {} us",
        report["calls"], report["failed"], report["slow"], report["meanUs"]
    );
    if kind != "shadow" {
        return Ok(ExitCode::SUCCESS);
    }
    let deltas = report["deltas"].as_array().into_iter().flatten();
    let deltas: Vec<String> =
        deltas.map(|sum| format!("{} {}", sum["minor"], text(&sum["currency"]))).collect();
    println!(
        "compared {}, differing {}, sum of differences {} (minor units), left out {}",
        report["compared"],
        report["differing"],
        if deltas.is_empty() { "0".to_owned() } else { deltas.join(", ") },
        report["leftOut"]
    );
    let path = format!("components/differences?{place}");
    for row in which.server.newest(&path, "differences", which.limit).await? {
        let difference = &row["difference"];
        println!("\n{}  {}", text(&row["at"]), text(&row["instance"]));
        match difference["failure"].as_str() {
            Some(why) => println!("  it failed: {why}"),
            None => println!(
                "  total {} -> {} {}",
                difference["before"],
                difference["after"],
                text(&difference["currency"])
            ),
        }
        for rule in difference["rules"].as_array().into_iter().flatten() {
            let side =
                |name: &str| if rule[name].is_null() { "-".to_owned() } else { rule[name].to_string() };
            println!(
                "  {:<9} {:<28} {:>10} -> {:>10}",
                text(&rule["kind"]),
                text(&rule["rule"]),
                side("before"),
                side("after")
            );
        }
        for (sign, list) in [("-", "reasons_before"), ("+", "reasons_after")] {
            for reason in difference[list].as_array().into_iter().flatten() {
                println!("  {sign} {}", text(reason));
            }
        }
    }
    Ok(ExitCode::SUCCESS)
}

async fn revoke(revoke: Revoke) -> anyhow::Result<ExitCode> {
    let body = json!({ "component": revoke.component, "why": revoke.why });
    let done = revoke.server.post("/revoke", &body).await?;
    println!("component {} is not called any more", text(&done["component"]));
    for row in done["changed"].as_array().into_iter().flatten() {
        println!(
            "{}/{}: {} (revision {})",
            text(&row["slot"]),
            text(&row["name"]),
            text(&row["act"]),
            row["revision"]
        );
    }
    for place in done["left"].as_array().into_iter().flatten() {
        println!(
            "{}: nothing to go back to; checkouts are refused there until another component is pushed",
            text(place)
        );
    }
    Ok(ExitCode::SUCCESS)
}

async fn uploaded(which: Uploaded) -> anyhow::Result<ExitCode> {
    let rows = match &which.component {
        Some(digest) => which.server.after(&format!("components/{digest}"), "components").await?,
        None => which.server.newest("components/uploaded", "components", which.limit).await?,
    };
    for row in rows {
        println!(
            "{}  {:<16} {:<10} {:<24} {}",
            text(&row["component"]),
            text(&row["slot"]),
            text(&row["state"]),
            text(&row["info"]["name"]),
            text(&row["createdAt"])
        );
        for step in row["life"].as_array().into_iter().flatten() {
            println!(
                "  {:<25} {:<10} {:<12} {}",
                text(&step["at"]),
                text(&step["state"]),
                text(&step["by"]),
                text(&step["why"])
            );
        }
    }
    Ok(ExitCode::SUCCESS)
}

async fn delete(which: Delete) -> anyhow::Result<ExitCode> {
    which.server.delete(&format!("components/{}", which.component)).await?;
    println!("component {} is gone", which.component);
    Ok(ExitCode::SUCCESS)
}

/// Writes what a component is asked as fixtures: one file for each question.
async fn record(record: Record) -> anyhow::Result<ExitCode> {
    let path = format!("/record?session={}&slot={}&name={}", record.session, record.slot, record.name);
    let found = record.server.get(&path).await?;
    let questions = found["questions"].as_array().cloned().unwrap_or_default();
    if questions.is_empty() {
        bail!("{}/{} was not asked in session {}", record.slot, record.name, record.session);
    }
    std::fs::create_dir_all(&record.out).with_context(|| format!("make {}", record.out.display()))?;
    for (n, asked) in questions.iter().enumerate() {
        let suffix = if n == 0 { String::new() } else { format!("-{}", n + 1) };
        let file = record.out.join(format!("{}{suffix}.json", record.session));
        let fixture = super::record::fixture(asked);
        std::fs::write(&file, format!("{}\n", serde_json::to_string_pretty(&fixture)?))
            .with_context(|| format!("write {}", file.display()))?;
        println!("{}", file.display());
    }
    Ok(ExitCode::SUCCESS)
}

async fn list(server: Server) -> anyhow::Result<ExitCode> {
    let rows = server.after("components", "components").await?;
    println!(
        "{:<16} {:<12} {:>3}  {:<24} {:<10} {:<9} component",
        "slot", "name", "rev", "component name", "version", "contract"
    );
    for row in rows {
        println!(
            "{:<16} {:<12} {:>3}  {:<24} {:<10} {:<9} {}",
            text(&row["slot"]),
            text(&row["name"]),
            row["revision"],
            text(&row["info"]["name"]),
            text(&row["info"]["version"]),
            text(&row["info"]["contract"]),
            text(&row["component"]).chars().take(16).collect::<String>()
        );
        let trial = &row["trial"];
        if !trial.is_null() {
            println!(
                "{:<16} {:<12} {:>3}  {:<24} {:<10}",
                "",
                "",
                "",
                format!("  {}: {}", text(&trial["kind"]), text(&trial["info"]["name"])),
                text(&trial["info"]["version"])
            );
        }
    }
    Ok(ExitCode::SUCCESS)
}

/// How to time a component.
#[derive(Args)]
pub struct Time {
    /// Lines of the cart.
    #[arg(long, default_value_t = 20)]
    lines: u32,
    /// Warm calls.
    #[arg(long, default_value_t = 3000)]
    calls: u32,
    /// Configuration, JSON.
    #[arg(long, value_name = "FILE")]
    config_file: Option<PathBuf>,
    /// A promotion component.
    wasm: PathBuf,
}

/// Times warm calls of a promotion, in the sandbox of production. Prints microseconds as JSON: `p50` and
/// `p99` of a call with a fresh instance, `awaited_*` with the hand-over to the sandbox's threads and back.
async fn time(time: Time) -> anyhow::Result<ExitCode> {
    use till_sandbox::wit::promotion::{LineState, PromotionRequest};
    use till_sandbox::wit::types as wit;
    use till_sandbox::{Binding, Call, Limits, Sandbox, SandboxConfig, Slot};

    let wasm = std::fs::read(&time.wasm).with_context(|| format!("read {}", time.wasm.display()))?;
    let config = match &time.config_file {
        Some(path) => std::fs::read_to_string(path).with_context(|| format!("read {}", path.display()))?,
        None => "{}".to_owned(),
    };
    let sandbox = Sandbox::new(SandboxConfig::default())?;
    let loader = sandbox.clone();
    let component = tokio::task::spawn_blocking(move || loader.load(Slot::Promotion, &wasm)).await??;
    let line = |n: u32| wit::Line {
        id: format!("L{n}"),
        product: format!("P{n}"),
        variant: None,
        sku: format!("SKU-{n}"),
        title: format!("Product {n}"),
        quantity: 1 + n % 3,
        kind: wit::LineKind::Physical,
        parent: None,
        catalog_price: 1_000 + i64::from(n),
        compare_at: None,
        price_includes_tax: false,
        tax_class: "standard".to_owned(),
        weight_g: 100,
        dimensions: None,
        categories: vec!["audio".to_owned()],
        tags: vec![],
        warehouse: None,
        group: None,
        attributes: vec![],
    };
    let lines: Vec<wit::Line> = (0..time.lines).map(line).collect();
    let states: Vec<LineState> = lines
        .iter()
        .map(|l| LineState {
            line: l.id.clone(),
            unit_price: l.catalog_price,
            original: l.catalog_price * i64::from(l.quantity),
            remaining: l.catalog_price * i64::from(l.quantity),
        })
        .collect();
    let request = PromotionRequest {
        subtotal: states.iter().map(|s| s.original).sum(),
        cart: wit::Cart {
            id: "CART".to_owned(),
            lines,
            customer: None,
            codes: vec![wit::Code {
                code: "SUMMER2024".to_owned(),
                uses_left: None,
                customer_uses_left: None,
            }],
            attributes: vec![],
        },
        lines: states,
        earlier: vec![],
        shipping: vec![],
        attributes: vec![],
    };
    let call = Call {
        component,
        ctx: wit::CallContext {
            merchant: "m".to_owned(),
            channel: "web".to_owned(),
            locale: "en-US".to_owned(),
            currency: "USD".to_owned(),
            exponent: 2,
            now_ms: 1_700_000_000_000,
            instance: String::new(),
            step: "promotion.apply".to_owned(),
            entry: 1,
            attempt: 1,
            test_mode: true,
            config,
            attributes: vec![],
        },
        binding: Binding::empty(),
        limits: Limits::default(),
        background: false,
        breaker: None,
    };
    let (mut bare, mut awaited) = (Vec::new(), Vec::new());
    for n in 0..time.calls + time.calls / 10 {
        let begun = std::time::Instant::now();
        let answer =
            sandbox.promote(call.clone(), request.clone()).await.map_err(|e| anyhow::anyhow!("{e}"))?;
        let whole = u64::try_from(begun.elapsed().as_micros()).unwrap_or(u64::MAX);
        if let Err(error) = answer.value {
            bail!("the component answered {error:?}");
        }
        if n >= time.calls / 10 {
            bare.push(answer.report.elapsed_us);
            awaited.push(whole);
        }
    }
    let at = |all: &mut Vec<u64>, share: usize| {
        all.sort_unstable();
        all[(all.len() - 1) * share / 100]
    };
    println!(
        "{}",
        json!({
            "p50": at(&mut bare, 50), "p99": at(&mut bare, 99),
            "awaited_p50": at(&mut awaited, 50), "awaited_p99": at(&mut awaited, 99),
        })
    );
    Ok(ExitCode::SUCCESS)
}
