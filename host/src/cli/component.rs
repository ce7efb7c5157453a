//! `till component`: the admin API from the command line.

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::process::ExitCode;

use anyhow::{Context as _, bail};
use base64::Engine as _;
use clap::{Args, Subcommand};
use serde_json::{Value, json};

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
    /// Time warm calls of a promotion component. No server needed.
    Time(Time),
}

/// Which host, and as whom.
#[derive(Args)]
pub struct Server {
    /// Address of the host.
    #[arg(long, env = "TILL_URL", default_value = "http://127.0.0.1:8080")]
    url: String,
    /// Token with the scope `admin` (`till token --customer you --scope admin`).
    #[arg(long, env = "TILL_ADMIN_TOKEN", hide_env_values = true)]
    token: String,
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
    /// What happens when it cannot answer: `refuse` or `omit`.
    #[arg(long, default_value = "refuse")]
    policy: String,
    /// Table as `name=file.json` (an object of strings). May be repeated.
    #[arg(long = "table")]
    tables: Vec<String>,
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
        ComponentCommand::Time(args) => time(args).await,
    }
}

impl Server {
    async fn post(&self, path: &str, body: &Value) -> anyhow::Result<Value> {
        let url = format!("{}/api/v1/admin/components{path}", self.url);
        let request = reqwest::Client::new().post(url).bearer_auth(&self.token).json(body);
        read(request.send().await.context("reach the host")?).await
    }

    async fn get(&self, path: &str) -> anyhow::Result<Value> {
        let url = format!("{}/api/v1/admin/components{path}", self.url);
        let request = reqwest::Client::new().get(url).bearer_auth(&self.token);
        read(request.send().await.context("reach the host")?).await
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
    let (slot, name, limit) = (&which.slot, &which.name, which.limit);
    let found = which.server.get(&format!("/history?slot={slot}&name={name}&limit={limit}")).await?;
    println!("{:>3}  {:<9} {:<25} {:<16} {:<16} why", "rev", "act", "when", "who", "component");
    for change in found["changes"].as_array().into_iter().flatten() {
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
    println!(
        "{} {} is active in {}/{} as revision {}",
        text(&made["info"]["name"]),
        text(&made["info"]["version"]),
        text(&made["slot"]),
        text(&made["name"]),
        made["revision"]
    );
    println!("component {}", text(&made["component"]));
    println!("binding   {}", text(&made["digest"]));
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
    let mut tables: BTreeMap<String, BTreeMap<String, String>> = BTreeMap::new();
    for table in &push.tables {
        let (name, path) = table.split_once('=').context("write --table as name=file.json")?;
        let text = std::fs::read_to_string(path).with_context(|| format!("read {path}"))?;
        tables.insert(name.to_owned(), serde_json::from_str(&text).with_context(|| format!("read {path}"))?);
    }
    let body = json!({
        "slot": push.slot,
        "name": push.name,
        "config": config,
        "origins": push.origins,
        "allowPrivateAddresses": push.allow_private_addresses,
        "policy": push.policy,
        "why": push.why,
        "tables": tables,
        "wasmBase64": base64::engine::general_purpose::STANDARD.encode(&wasm),
    });
    told(&push.server.post("", &body).await?);
    Ok(ExitCode::SUCCESS)
}

async fn list(server: Server) -> anyhow::Result<ExitCode> {
    let found = server.get("").await?;
    let rows = found["components"].as_array().cloned().unwrap_or_default();
    println!(
        "{:<16} {:<12} {:>3}  {:<24} {:<10} component",
        "slot", "name", "rev", "component name", "version"
    );
    for row in rows {
        println!(
            "{:<16} {:<12} {:>3}  {:<24} {:<10} {}",
            text(&row["slot"]),
            text(&row["name"]),
            row["revision"],
            text(&row["info"]["name"]),
            text(&row["info"]["version"]),
            text(&row["component"]).chars().take(16).collect::<String>()
        );
    }
    Ok(ExitCode::SUCCESS)
}

async fn read(answer: reqwest::Response) -> anyhow::Result<Value> {
    let status = answer.status();
    let body = answer.text().await?;
    if !status.is_success() {
        let problem: Value = serde_json::from_str(&body).unwrap_or(Value::Null);
        let detail = problem["detail"].as_str().map_or(body.as_str(), |d| d);
        let mut message = format!("the host answered {status}: {detail}");
        for error in problem["errors"].as_array().into_iter().flatten() {
            message.push_str(&format!("\n  {}: {}", text(&error["field"]), text(&error["why"])));
        }
        bail!(message);
    }
    serde_json::from_str(&body).context("read the answer")
}

fn text(value: &Value) -> &str {
    value.as_str().unwrap_or_default()
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
