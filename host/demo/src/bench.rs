//! `cargo xtask bench`: whole checkouts, the runtime alone, one component call, and this machine's own
//! limits in the same run. The machine is shared, so only ratios count.

use std::fmt::Write as _;
use std::io::Write as _;
use std::os::fd::AsRawFd as _;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

use anyhow::{Context as _, Result, bail, ensure};
use serde_json::{Value, json};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;

use crate::host::{Process, Shop};
use crate::neighbour;

/// How long each measurement runs.
const RUN: Duration = Duration::from_secs(6);
/// Executions before a measurement counts.
const WARM_UP: Duration = Duration::from_secs(1);
/// Clients at one time.
const CLIENTS: [usize; 3] = [1, 16, 64];
/// Finished executions in the store for the last measurement.
const KEPT: u64 = 100_000;
/// Names of the loads, as in the report.
const LOADS: [&str; 3] = ["bench8", "bench8_strict", "checkout"];
/// Name of the measurement that has a load and attacks beside it.
const NEIGHBOUR: &str = "neighbour";
/// The binaries beside this one.
const PROFILE: &str = if cfg!(debug_assertions) { "debug" } else { "release" };
/// Lines of the cart in the component call.
const LINES: &str = "20";

/// What one run of a load gave.
#[derive(Debug, Clone)]
struct Run {
    executions: u64,
    seconds_us: u64,
    latencies_us: Vec<u64>,
    cpu_us: u64,
    commits: u64,
    bytes: u64,
}

/// What to measure.
pub struct What {
    /// Leave out the run with many executions kept.
    pub quick: bool,
    /// Only the loads of this name.
    pub only: Option<String>,
}

impl What {
    fn wants(&self, name: &str) -> bool {
        self.only.as_deref().is_none_or(|only| only == name)
    }
}

/// Runs the measurements; prints a table and, where asked, writes JSON.
pub fn run(root: &Path, target: &Path, json_file: Option<&Path>, what: &What) -> Result<()> {
    if let Some(only) = &what.only {
        let known = LOADS.contains(&only.as_str()) || only == NEIGHBOUR;
        ensure!(known, "`{only}` is none of {}, {NEIGHBOUR}", LOADS.join(", "));
    }
    let folder = target.join("bench");
    if folder.exists() {
        std::fs::remove_dir_all(&folder)?;
    }
    std::fs::create_dir_all(&folder)?;
    let shop = Shop::new(root, target, &folder, PROFILE);
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build()?;
    let mut report = json!({});

    note("this machine: fdatasync and single-row commits");
    let fdatasync = fdatasync_per_s(&folder)?;
    let commits = sqlite_commits_per_s(&folder)?;
    report["limits"] = json!({ "fdatasync_per_s": fdatasync, "sqlite_full_commits_per_s": commits });

    note("one component call");
    report["component_call_us"] = component_call(&shop, target, root)?;

    let mut memory_kb = 0;
    let workflows = [("bench8", "bench-8"), ("bench8_strict", "bench-8-strict")];
    for (name, workflow) in workflows.into_iter().filter(|(name, _)| what.wants(name)) {
        for clients in CLIENTS {
            note(&format!("{workflow}, {clients} clients"));
            let host = shop.host("bench.db")?;
            let load = Load::Workflow(workflow.to_owned());
            let run = runtime.block_on(measure(&shop, &host, load, clients, RUN))?;
            report[name][clients.to_string()] = figures(&run);
            if name == "bench8" && clients == 64 {
                memory_kb = host.memory_peak_kb()?;
            }
            stop(host, &folder)?;
            if what.only.is_none() {
                report[name][clients.to_string()]["fsyncs"] =
                    fsyncs(&shop, &runtime, workflow, clients, &folder)?;
            }
        }
    }
    report["memory_mb"] = json!(memory_kb / 1024);
    for clients in CLIENTS.into_iter().filter(|_| what.wants("checkout")) {
        note(&format!("whole checkouts, {clients} clients"));
        let simulator = shop.simulator()?;
        let host = shop.host("bench.db")?;
        shop.push_all(&host.url, &simulator.url)?;
        let run = runtime.block_on(measure(&shop, &host, Load::Checkout, clients, RUN))?;
        report["checkout"][clients.to_string()] = figures(&run);
        stop(host, &folder)?;
        drop(simulator);
        let _ = std::fs::remove_file(folder.join("simulator.db"));
    }
    if what.wants(NEIGHBOUR) {
        let host = shop.host("bench.db")?;
        let simulator = shop.simulator()?;
        shop.push_all(&host.url, &simulator.url)?;
        report[NEIGHBOUR] = neighbour::run(&shop, &host, &runtime)?;
        stop(host, &folder)?;
    }
    report["kept_100k_ratio"] = if what.quick || what.only.is_some() {
        Value::Null
    } else {
        note("bench-8 at 64 clients with 100,000 finished executions in the store");
        let host = shop.host("bench.db")?;
        let empty = runtime.block_on(measure(&shop, &host, Load::Workflow("bench-8".into()), 64, RUN))?;
        let mut kept = empty.executions;
        while kept < KEPT {
            kept += runtime
                .block_on(measure(&shop, &host, Load::Workflow("bench-8".into()), 64, RUN))?
                .executions;
        }
        let full = runtime.block_on(measure(&shop, &host, Load::Workflow("bench-8".into()), 64, RUN))?;
        stop(host, &folder)?;
        ratio(rate_milli(&full), rate_milli(&empty))
    };
    print(&report);
    if let Some(path) = json_file {
        std::fs::write(path, serde_json::to_string_pretty(&report)? + "\n")?;
        println!("written to {}", path.display());
    }
    Ok(())
}

pub(crate) fn note(text: &str) {
    eprintln!("-- {text}");
}

fn stop(host: Process, folder: &Path) -> Result<()> {
    host.stop()?;
    for name in ["bench.db", "bench.db-wal", "bench.db-shm", "bench.db.lock"] {
        let _ = std::fs::remove_file(folder.join(name));
    }
    Ok(())
}

#[derive(Clone)]
enum Load {
    Workflow(String),
    Checkout,
}

async fn measure(shop: &Shop, host: &Process, load: Load, clients: usize, run: Duration) -> Result<Run> {
    let address = host.url.trim_start_matches("http://").to_owned();
    let counting = Arc::new(std::sync::atomic::AtomicBool::new(false));
    let stopping = Arc::new(std::sync::atomic::AtomicBool::new(false));
    let seen = Arc::new(AtomicU64::new(0));
    let admin = shop.token(&["--customer", "bench", "--scope", "admin operator"])?;
    let mut tasks = Vec::new();
    for client in 0..clients {
        let customer = format!("bench-{client}");
        if matches!(load, Load::Checkout) {
            tokio::task::block_in_place(|| shop.customer(&host.url, &admin, &customer))?;
        }
        let token = shop.token(&["--customer", &customer, "--scope", "operator"])?;
        let (address, load) = (address.clone(), load.clone());
        let (counting, stopping, seen) = (counting.clone(), stopping.clone(), seen.clone());
        tasks.push(tokio::spawn(async move {
            let mut http = Http::connect(&address, &token).await?;
            let mut latencies = Vec::new();
            while !stopping.load(Ordering::Relaxed) {
                let begun = Instant::now();
                match &load {
                    Load::Workflow(name) => http.workflow(name).await?,
                    Load::Checkout => http.checkout().await?,
                }
                if counting.load(Ordering::Relaxed) {
                    latencies.push(u64::try_from(begun.elapsed().as_micros()).unwrap_or(u64::MAX));
                    seen.fetch_add(1, Ordering::Relaxed);
                }
            }
            anyhow::Ok(latencies)
        }));
    }
    tokio::time::sleep(WARM_UP).await;
    let mut counters = Http::connect(&address, &admin).await?;
    let before = (host.cpu_us()?, counters.commits().await?, shop.bytes("bench.db"));
    counting.store(true, Ordering::Relaxed);
    let begun = Instant::now();
    tokio::time::sleep(run).await;
    counting.store(false, Ordering::Relaxed);
    let seconds_us = u64::try_from(begun.elapsed().as_micros()).unwrap_or(u64::MAX);
    let after = (host.cpu_us()?, counters.commits().await?, shop.bytes("bench.db"));
    stopping.store(true, Ordering::Relaxed);
    let mut latencies_us = Vec::new();
    for task in tasks {
        latencies_us.extend(task.await??);
    }
    latencies_us.sort_unstable();
    ensure!(!latencies_us.is_empty(), "nothing finished");
    Ok(Run {
        executions: latencies_us.len() as u64,
        seconds_us,
        latencies_us,
        cpu_us: after.0 - before.0,
        commits: after.1 - before.1,
        bytes: after.2.saturating_sub(before.2),
    })
}

/// Executions per 1,000 s: integers keep three digits.
fn rate_milli(run: &Run) -> u64 {
    run.executions * 1_000_000_000 / run.seconds_us.max(1)
}

pub(crate) fn ratio(of: u64, to: u64) -> Value {
    number(of * 1_000 / to.max(1), 3)
}

/// `digits` of `value` behind the point, as a JSON number that never was a float.
pub(crate) fn number(value: u64, digits: u32) -> Value {
    let unit = 10_u64.pow(digits);
    let text = format!("{}.{:0width$}", value / unit, value % unit, width = digits as usize);
    serde_json::from_str(&text).unwrap_or(Value::Null)
}

fn figures(run: &Run) -> Value {
    let at = |share: usize| run.latencies_us[(run.latencies_us.len() - 1) * share / 100];
    json!({
        "exec_per_s": number(rate_milli(run), 3),
        "p50_ms": number(at(50), 3),
        "p99_ms": number(at(99), 3),
        "cpu_ms": number(run.cpu_us / run.executions, 3),
        "commits": number(run.commits * 1_000 / run.executions, 3),
        "bytes_kept": run.bytes / run.executions,
    })
}

/// A client of one connection: the load must not cost more than the host.
pub(crate) struct Http {
    stream: TcpStream,
    head: String,
    buffer: Vec<u8>,
    count: u64,
}

impl Http {
    pub(crate) async fn connect(address: &str, token: &str) -> Result<Http> {
        let stream = TcpStream::connect(address).await?;
        stream.set_nodelay(true)?;
        let head =
            format!("Host: {address}\r\nAuthorization: Bearer {token}\r\nContent-Type: application/json\r\n");
        Ok(Http { stream, head, buffer: Vec::with_capacity(64 * 1024), count: 0 })
    }

    pub(crate) async fn call(
        &mut self,
        method: &str,
        path: &str,
        extra: &str,
        body: &str,
    ) -> Result<(u16, Vec<u8>)> {
        let mut request = String::with_capacity(1024 + body.len());
        let _ = write!(
            request,
            "{method} {path} HTTP/1.1\r\n{}{extra}Content-Length: {}\r\n\r\n{body}",
            self.head,
            body.len()
        );
        self.stream.write_all(request.as_bytes()).await?;
        self.buffer.clear();
        loop {
            if let Some(end) = self.buffer.windows(4).position(|w| w == b"\r\n\r\n") {
                let head = String::from_utf8_lossy(&self.buffer[..end]).to_ascii_lowercase();
                let status: u16 = head.split(' ').nth(1).and_then(|s| s.parse().ok()).context("a status")?;
                let length: usize = head
                    .split("\r\n")
                    .find_map(|line| line.strip_prefix("content-length:"))
                    .and_then(|v| v.trim().parse().ok())
                    .context("a content-length")?;
                while self.buffer.len() < end + 4 + length {
                    ensure!(self.stream.read_buf(&mut self.buffer).await? > 0, "the host hung up");
                }
                return Ok((status, self.buffer[end + 4..end + 4 + length].to_vec()));
            }
            ensure!(self.stream.read_buf(&mut self.buffer).await? > 0, "the host hung up");
        }
    }

    async fn workflow(&mut self, name: &str) -> Result<()> {
        self.count += 1;
        let id = format!("{:x}-{}-{}", std::process::id(), self.stream.as_raw_fd(), unique());
        let path = format!("/api/v1/workflows/{name}/instances/{id}");
        let (status, body) =
            self.call("PUT", &path, "Prefer: wait=30\r\n", r#"{"inputs":{"cart":"c"}}"#).await?;
        let text = String::from_utf8_lossy(&body);
        ensure!(status == 201 && text.contains("\"done\""), "{path}: {status}: {text}");
        Ok(())
    }

    async fn checkout(&mut self) -> Result<()> {
        self.fill().await?;
        self.order().await
    }

    /// One thing into the cart.
    pub(crate) async fn fill(&mut self) -> Result<()> {
        let item = r#"{"productId":"PROD-12345","quantity":1,"warehouseId":"US-WEST-01"}"#;
        let (status, body) = self.call("POST", "/api/v1/cart/items", "", item).await?;
        ensure!(status == 200, "cart: {status}: {}", String::from_utf8_lossy(&body));
        Ok(())
    }

    /// Initiate and submit.
    pub(crate) async fn order(&mut self) -> Result<()> {
        let (status, body) = self.call("POST", "/api/v1/checkout/initiate", "", "").await?;
        ensure!(status == 201, "initiate: {status}: {}", String::from_utf8_lossy(&body));
        let session: Value = serde_json::from_slice(&body)?;
        let submit = json!({
            "checkoutSessionId": session["checkoutSessionId"],
            "shippingMethod": "standard",
            "promotionCodes": ["SUMMER2024"],
            "paymentMethod": { "id": "PM-001", "type": "credit_card" },
        });
        let (status, body) =
            self.call("POST", "/api/v1/checkout/submit", "Prefer: wait=30\r\n", &submit.to_string()).await?;
        ensure!(status == 201, "submit: {status}: {}", String::from_utf8_lossy(&body));
        Ok(())
    }

    async fn commits(&mut self) -> Result<u64> {
        let (status, body) = self.call("GET", "/api/v1/admin/counters", "", "").await?;
        ensure!(status == 200, "counters: {status}");
        let counters: Value = serde_json::from_slice(&body)?;
        counters["commits"].as_u64().context("commits")
    }
}

fn unique() -> u64 {
    static NEXT: AtomicU64 = AtomicU64::new(0);
    NEXT.fetch_add(1, Ordering::Relaxed)
}

fn fdatasync_per_s(folder: &Path) -> Result<u64> {
    let mut file = std::fs::File::create(folder.join("fdatasync"))?;
    let begun = Instant::now();
    let mut count = 0;
    while begun.elapsed() < Duration::from_secs(2) {
        file.write_all(&[7; 4096])?;
        file.sync_data()?;
        count += 1;
    }
    std::fs::remove_file(folder.join("fdatasync"))?;
    Ok(count / 2)
}

fn sqlite_commits_per_s(folder: &Path) -> Result<u64> {
    let connection = rusqlite::Connection::open(folder.join("limit.db"))?;
    connection.pragma_update(None, "journal_mode", "WAL")?;
    connection.pragma_update(None, "synchronous", "FULL")?;
    connection.execute_batch("CREATE TABLE t (id INTEGER PRIMARY KEY, body TEXT NOT NULL)")?;
    let mut insert = connection.prepare("INSERT INTO t (body) VALUES (?1)")?;
    let body = "x".repeat(300);
    let begun = Instant::now();
    let mut count = 0;
    while begun.elapsed() < Duration::from_secs(3) {
        insert.execute([&body])?;
        count += 1;
    }
    Ok(count / 3)
}

fn component_call(shop: &Shop, target: &Path, root: &Path) -> Result<Value> {
    let output = Command::new(&shop.till)
        .args(["component", "time", "--lines", LINES, "--config-file"])
        .arg(root.join("components/promotions/demo.json"))
        .arg(target.join("guests/promotions.wasm"))
        .output()?;
    ensure!(output.status.success(), "till component time: {}", String::from_utf8_lossy(&output.stderr));
    Ok(serde_json::from_slice(&output.stdout)?)
}

/// Fsyncs of one execution, in a run of its own under strace. Null where strace is missing.
fn fsyncs(
    shop: &Shop,
    runtime: &tokio::runtime::Runtime,
    workflow: &str,
    clients: usize,
    folder: &Path,
) -> Result<Value> {
    let there = Command::new("strace").arg("-V").stdout(Stdio::null()).stderr(Stdio::null()).status();
    if !there.is_ok_and(|s| s.success()) {
        return Ok(Value::Null);
    }
    let host = shop.host("bench.db")?;
    let file: PathBuf = folder.join("strace");
    let mut strace = Command::new("strace")
        .args(["-f", "-c", "-e", "trace=fsync,fdatasync", "-o"])
        .arg(&file)
        .args(["-p", &host.id().to_string()])
        .stderr(Stdio::null())
        .spawn()?;
    std::thread::sleep(Duration::from_millis(500));
    let run = runtime.block_on(measure(
        shop,
        &host,
        Load::Workflow(workflow.to_owned()),
        clients,
        Duration::from_secs(2),
    ));
    // Everything that ran counts, the warm-up too: the journal says how many there were.
    let all = runtime.block_on(async {
        let admin = shop.token(&["--customer", "bench", "--scope", "admin operator"])?;
        let mut http = Http::connect(host.url.trim_start_matches("http://"), &admin).await?;
        let (_, body) = http.call("GET", "/api/v1/admin/counters", "", "").await?;
        let counters: Value = serde_json::from_slice(&body)?;
        counters["instances"].as_u64().context("instances")
    });
    let interrupted = Command::new("kill").args(["-INT", &strace.id().to_string()]).status()?;
    strace.wait()?;
    stop(host, folder)?;
    run?;
    if !interrupted.success() {
        bail!("strace could not be ended");
    }
    let text = std::fs::read_to_string(&file).unwrap_or_default();
    let calls: u64 = text
        .lines()
        .filter(|line| line.ends_with("fsync") || line.ends_with("fdatasync"))
        .filter_map(|line| line.split_whitespace().nth(3)?.parse::<u64>().ok())
        .sum();
    Ok(number(calls * 1_000 / all?.max(1), 3))
}

fn print(report: &Value) {
    println!(
        "\nthis machine: {} fdatasync/s, {} SQLite FULL single-row commits/s",
        report["limits"]["fdatasync_per_s"], report["limits"]["sqlite_full_commits_per_s"]
    );
    println!("component call, {LINES} lines: {}", report["component_call_us"]);
    println!(
        "memory at 64 clients: {} MB; speed with 100,000 kept: {} of that on an empty store",
        report["memory_mb"], report["kept_100k_ratio"]
    );
    neighbour::print(&report[NEIGHBOUR]);
    println!(
        "\n{:<15}{:>8}{:>12}{:>10}{:>10}{:>10}{:>9}{:>9}{:>12}",
        "", "clients", "exec/s", "p50 ms", "p99 ms", "cpu ms", "commits", "fsyncs", "bytes kept"
    );
    for name in LOADS.into_iter().filter(|name| report[name].is_object()) {
        for clients in CLIENTS {
            let row = &report[name][clients.to_string()];
            let cell = |field: &str| row[field].to_string();
            println!(
                "{name:<15}{clients:>8}{:>12}{:>10}{:>10}{:>10}{:>9}{:>9}{:>12}",
                cell("exec_per_s"),
                cell("p50_ms"),
                cell("p99_ms"),
                cell("cpu_ms"),
                cell("commits"),
                cell("fsyncs"),
                cell("bytes_kept")
            );
        }
    }
}
