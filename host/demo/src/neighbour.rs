//! A merchant's checkouts while other merchants attack the host, beside the same checkouts in peace.
//!
//! The neighbour's clients pause between checkouts, so that the host has time to spare in peace: what an attack
//! adds is waiting for others, not a share of a machine that was full before.

use std::fmt::Write as _;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::{Duration, Instant};

use anyhow::{Context as _, Result, ensure};
use serde_json::{Value, json};
use tokio::runtime::Runtime;

use crate::bench::{Http, note, number, ratio};
use crate::host::{Process, Shop};

/// How long each measurement runs.
const RUN: Duration = Duration::from_secs(15);
/// The attacks go on so long before a measurement begins.
const WARM_UP: Duration = Duration::from_secs(4);
/// Clients of the neighbour, and how long each rests between two checkouts.
const CLIENTS: usize = 4;
const REST: Duration = Duration::from_millis(40);
/// Values that all live to the end of the crafted function, and its length.
const VALUES: usize = 500;
const STATEMENTS: usize = 20_000;

/// What other merchants do without pause.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Attack {
    /// Carts whose prices never come.
    Loops,
    /// Carts whose prices take all the memory there is.
    Memory,
    /// Components that take all the time a compiler has.
    Compile,
    /// Webhooks for a gateway that never ends.
    Gateway,
}

impl Attack {
    const ALL: [Attack; 4] = [Attack::Loops, Attack::Memory, Attack::Compile, Attack::Gateway];

    fn name(self) -> &'static str {
        match self {
            Attack::Loops => "loops",
            Attack::Memory => "memory",
            Attack::Compile => "compile",
            Attack::Gateway => "gateway",
        }
    }

    fn clients(self) -> usize {
        match self {
            Attack::Loops | Attack::Memory => 8,
            Attack::Compile => 3,
            Attack::Gateway => 32,
        }
    }
}

/// Latencies of the neighbour in peace, under each attack and under all at once.
pub(crate) fn run(shop: &Shop, host: &Process, runtime: &Runtime) -> Result<Value> {
    let address = host.url.trim_start_matches("http://").to_owned();
    let admin = shop.token(&["--customer", "bench", "--scope", "admin operator"])?;
    let mut tokens = Vec::new();
    for client in 0..CLIENTS {
        let customer = format!("neighbour-{client}");
        shop.customer(&host.url, &admin, &customer)?;
        tokens.push(shop.token(&["--customer", &customer])?);
    }
    for attack in Attack::ALL {
        prepare(shop, host, attack)?;
    }
    let mut report = json!({});
    note("the neighbour in peace");
    let quiet = runtime.block_on(measure(&address, &tokens))?;
    report["quiet"] = figures(&quiet, &quiet, 0);
    let each = Attack::ALL.map(|attack| (attack.name(), vec![attack]));
    for (name, attacks) in each.into_iter().chain([("all", Attack::ALL.to_vec())]) {
        note(&format!("the neighbour under attack: {name}"));
        let mut owned = Vec::new();
        for attack in attacks {
            for client in 0..attack.clients() {
                let customer = format!("{}-{client}", attack.name());
                let args = ["--customer", &customer, "--scope", "admin operator"];
                owned.push((attack, client, shop.token_of(attack.name(), &args)?));
            }
        }
        let (seen, answered) = runtime.block_on(under_attack(&address, &tokens, owned))?;
        // A compilation may take longer than the measurement.
        ensure!(answered > 0 || name == Attack::Compile.name(), "{name}: no attack was answered");
        report[name] = figures(&seen, &quiet, answered);
    }
    note("the neighbour in peace again");
    let after = runtime.block_on(measure(&address, &tokens))?;
    report["after"] = figures(&after, &quiet, 0);
    Ok(report)
}

/// A merchant for the attack, with what it needs.
fn prepare(shop: &Shop, host: &Process, attack: Attack) -> Result<()> {
    let admin = shop.token_of(attack.name(), &["--customer", "admin", "--scope", "admin operator"])?;
    let put = |path: &str, body: Value| {
        let (status, answer) =
            shop.call("PUT", &host.url, &format!("/api/v1/admin/{path}"), &admin, Some(&body))?;
        ensure!(status < 300, "{path}: {status}: {answer}");
        Ok(())
    };
    put("settings", json!({ "rate": { "requests": 0 } }))?;
    put("products/PROD-12345", json!({ "sku": "S", "name": "Bait", "price": 1.00, "stocked": false }))?;
    let (slot, guest, config) = match attack {
        Attack::Loops => ("pricing", "hostile", "loop"),
        Attack::Memory => ("pricing", "hostile", "memory"),
        Attack::Gateway => ("payment-gateway", "hostile-gateway", "loop"),
        Attack::Compile => return Ok(()),
    };
    let wasm = std::fs::read(shop.guests.join(guest).with_extension("wasm"))?;
    let body = push_body(slot, &wasm, config);
    let (status, answer) = shop.call("POST", &host.url, "/api/v1/admin/components", &admin, Some(&body))?;
    ensure!(status == 201, "push: {status}: {answer}");
    Ok(())
}

fn push_body(slot: &str, wasm: &[u8], config: &str) -> Value {
    json!({
        "slot": slot, "config": config, "wasmBase64": base64(wasm),
        "skipConformance": true, "why": "it attacks, on purpose",
    })
}

fn base64(bytes: &[u8]) -> String {
    const LETTERS: &[u8; 64] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
    let mut text = String::with_capacity(bytes.len() * 4 / 3 + 4);
    for piece in bytes.chunks(3) {
        let all = piece.iter().fold(0, |all, byte| all << 8 | usize::from(*byte)) << (8 * (3 - piece.len()));
        for at in 0..4 {
            let letter = char::from(LETTERS[all >> (18 - 6 * at) & 63]);
            text.push(if at <= piece.len() { letter } else { '=' });
        }
    }
    text
}

async fn under_attack(
    address: &str,
    tokens: &[String],
    attackers: Vec<(Attack, usize, String)>,
) -> Result<(Vec<u64>, u64)> {
    let stopping = Arc::new(AtomicBool::new(false));
    let answered = Arc::new(AtomicU64::new(0));
    let mut tasks = Vec::new();
    for (attack, client, token) in attackers {
        let (address, stopping, answered) = (address.to_owned(), stopping.clone(), answered.clone());
        tasks.push(tokio::spawn(async move {
            let mut http = Http::connect(&address, &token).await?;
            if matches!(attack, Attack::Loops | Attack::Memory) {
                http.fill().await?;
            }
            for round in 0.. {
                if stopping.load(Ordering::Relaxed) {
                    break;
                }
                strike(&mut http, attack, client, round).await?;
                answered.fetch_add(1, Ordering::Relaxed);
            }
            anyhow::Ok(())
        }));
    }
    tokio::time::sleep(WARM_UP).await;
    let before = answered.load(Ordering::Relaxed);
    let seen = measure(address, tokens).await?;
    let during = answered.load(Ordering::Relaxed) - before;
    stopping.store(true, Ordering::Relaxed);
    for task in tasks {
        task.await??;
    }
    Ok((seen, during))
}

/// One attack, until the host has answered it.
async fn strike(http: &mut Http, attack: Attack, client: usize, round: usize) -> Result<()> {
    let (status, body) = match attack {
        Attack::Loops | Attack::Memory => http.call("POST", "/api/v1/checkout/initiate", "", "").await?,
        Attack::Compile => {
            let body = push_body("pricing", &crafted(client, round)?, "").to_string();
            http.call("POST", "/api/v1/admin/components", "", &body).await?
        }
        Attack::Gateway => http.call("POST", "/webhooks/gateway/default", "", "{}").await?,
    };
    let expected = match attack {
        Attack::Loops | Attack::Memory => status == 201,
        // Or no more at a time: what a client gave up waiting for is still being compiled.
        Attack::Compile => status == 422 || status == 429,
        Attack::Gateway => (400..600).contains(&status),
    };
    ensure!(expected, "{}: {status}: {}", attack.name(), String::from_utf8_lossy(&body));
    Ok(())
}

/// A function whose values all live to its end, another one each time.
fn crafted(client: usize, round: usize) -> Result<Vec<u8>> {
    let seed = client * 1_000 + round;
    let mut text = String::from("(component (component (core module (func (param i64) (result i64)\n");
    text.push_str(&"(local i64)".repeat(VALUES));
    for at in 1..=VALUES {
        writeln!(text, "(local.set {at} (i64.add (local.get 0) (i64.const {})))", at + seed)?;
    }
    for at in 0..STATEMENTS {
        let of = |factor: usize, plus: usize| (at * factor + plus) % VALUES + 1;
        let (to, a, b, c) = (of(1, 0), of(7, 0), of(13, 1), of(31, 2));
        writeln!(
            text,
            "(local.set {to} (i64.mul (i64.add (local.get {a}) (local.get {b})) (local.get {c})))"
        )?;
    }
    text.push_str("(local.get 1)\n");
    for at in 2..=VALUES {
        writeln!(text, "(i64.xor (local.get {at}))")?;
    }
    text.push_str(")))(instance $none) (export \"till:checkout/pricing-rules@0.1.0\" (instance $none)))");
    wat::parse_str(&text).context("the crafted component")
}

/// Microseconds of each initiate and submit of the neighbour, in order.
async fn measure(address: &str, tokens: &[String]) -> Result<Vec<u64>> {
    let until = Instant::now() + RUN;
    let mut tasks = Vec::new();
    for token in tokens {
        let (address, token) = (address.to_owned(), token.clone());
        tasks.push(tokio::spawn(async move {
            let mut http = Http::connect(&address, &token).await?;
            let mut seen = Vec::new();
            while Instant::now() < until {
                http.fill().await?;
                let begun = Instant::now();
                http.order().await?;
                seen.push(u64::try_from(begun.elapsed().as_micros()).unwrap_or(u64::MAX));
                tokio::time::sleep(REST).await;
            }
            anyhow::Ok(seen)
        }));
    }
    let mut all = Vec::new();
    for task in tasks {
        all.extend(task.await??);
    }
    ensure!(all.len() >= 100, "{} checkouts are too few for a p99", all.len());
    all.sort_unstable();
    Ok(all)
}

fn at(seen: &[u64], percent: usize) -> u64 {
    seen[(seen.len() - 1) * percent / 100]
}

fn figures(seen: &[u64], quiet: &[u64], answered: u64) -> Value {
    json!({
        "checkouts": seen.len(),
        "p50_ms": number(at(seen, 50), 3),
        "p99_ms": number(at(seen, 99), 3),
        "p50_ratio": ratio(at(seen, 50), at(quiet, 50)),
        "p99_ratio": ratio(at(seen, 99), at(quiet, 99)),
        "attacks_answered": answered,
    })
}

/// A row for each measurement.
pub(crate) fn print(report: &Value) {
    if !report.is_object() {
        return;
    }
    println!(
        "\n{:<12}{:>10}{:>10}{:>10}{:>10}{:>10}{:>10}",
        "neighbour", "checkouts", "p50 ms", "p99 ms", "p50 x", "p99 x", "attacks"
    );
    for name in ["quiet", "loops", "memory", "compile", "gateway", "all", "after"] {
        let row = &report[name];
        let cell = |field: &str| row[field].to_string();
        println!(
            "{name:<12}{:>10}{:>10}{:>10}{:>10}{:>10}{:>10}",
            cell("checkouts"),
            cell("p50_ms"),
            cell("p99_ms"),
            cell("p50_ratio"),
            cell("p99_ratio"),
            cell("attacks_answered")
        );
    }
}
