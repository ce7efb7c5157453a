//! `cargo xtask demo`: the main job on embedded SQLite, seen from outside through HTTP.

use std::io::{BufRead as _, BufReader, Write as _};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use anyhow::{Context as _, bail, ensure};
use serde_json::{Value, json};

/// Secrets of the demo; they open nothing but the simulator that the demo itself starts.
const API_KEY: &str = "sk_demo";
const WEBHOOK_SECRET: &str = "whsec_demo";
const JWT_SECRET: &str = "till-demo-secret-till-demo-secret";
const MERCHANT: &str = "demo";
const CUSTOMER: &str = "CUST-12345";

/// A process that is stopped when the demo ends, however it ends.
struct Process {
    child: Child,
    url: String,
}

impl Process {
    fn start(mut command: Command, what: &str) -> anyhow::Result<Process> {
        let mut child = command.stdout(Stdio::piped()).spawn().with_context(|| format!("start {what}"))?;
        let stdout = child.stdout.take().context("its output")?;
        let mut lines = BufReader::new(stdout);
        let mut first = String::new();
        lines.read_line(&mut first)?;
        let Some(at) = first.find("http://") else {
            let _ = child.kill();
            bail!("{what} did not tell its address, but: {first}");
        };
        let url = first[at..].trim().to_owned();
        // Whatever it prints later must not fill the pipe.
        std::thread::spawn(move || for _ in lines.lines() {});
        Ok(Process { child, url })
    }

    /// SIGKILL: no goodbye.
    fn kill(mut self) -> anyhow::Result<()> {
        self.child.kill()?;
        self.child.wait()?;
        Ok(())
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

struct Demo {
    till: PathBuf,
    simulator_binary: PathBuf,
    guests: PathBuf,
    folder: PathBuf,
    root: PathBuf,
    client: reqwest::blocking::Client,
}

/// Runs the demo. With `keep` the host goes on serving until Ctrl-C.
pub fn run(root: &Path, target: &Path, keep: bool) -> anyhow::Result<()> {
    let started = Instant::now();
    step("Building components");
    crate::guests::build(root, target)?;
    step("Building the host and the gateway simulator (the first time takes some minutes)");
    crate::cargo(root, &["build", "--package", "till", "--package", "till-simulator"])?;
    let folder = target.join("demo");
    if folder.exists() {
        std::fs::remove_dir_all(&folder)?;
    }
    std::fs::create_dir_all(&folder)?;
    let demo = Demo {
        till: target.join("debug/till"),
        simulator_binary: target.join("debug/till-simulator"),
        guests: target.join("guests"),
        folder,
        root: root.to_owned(),
        client: reqwest::blocking::Client::builder().timeout(Duration::from_secs(60)).build()?,
    };
    demo.play(keep, started)
}

impl Demo {
    fn play(&self, keep: bool, started: Instant) -> anyhow::Result<()> {
        step("Starting the gateway simulator and the host on a fresh SQLite file");
        let simulator = self.simulator()?;
        let host = self.host(0)?;
        let port: u16 = host.url.rsplit(':').next().unwrap_or_default().parse().context("the port")?;
        println!("   host      {}\n   simulator {}", host.url, simulator.url);
        let shopper = self.token(&["--customer", CUSTOMER])?;
        let admin = self.token(&["--customer", "admin", "--scope", "admin operator"])?;

        step("Pushing five components through the admin API");
        for (slot, name, guest) in [
            ("pricing", "default", "price-list"),
            ("promotion", "10", "promotions"),
            ("tax", "default", "tax-table"),
            ("shipping", "default", "zone-shipping"),
        ] {
            self.push(&host.url, &admin, slot, name, guest, &self.config(guest), &[])?;
        }
        let gateway = self.folder.join("gateway.json");
        std::fs::write(&gateway, json!({ "base_url": simulator.url }).to_string())?;
        let origin = ["--origin", simulator.url.as_str(), "--allow-private-addresses"];
        self.push(&host.url, &admin, "payment-gateway", "default", "sim-gateway", &gateway, &origin)?;

        step("A shopper buys two headphones with SUMMER2024 and 500 points");
        let order = self.worked_example(&host.url, &shopper)?;
        receipt(&order);
        ensure!(order["pricing"]["total"].to_string() == "471.17", "the total is not 471.17");

        step("A merchant adds a promotion component while a session is open: no rebuild, no restart");
        self.add_to_cart(&host.url, &shopper)?;
        let open = self.call("POST", &host.url, "/api/v1/checkout/initiate", &shopper, None)?.1;
        let autumn = self.folder.join("autumn.json");
        std::fs::write(&autumn, json!({ "title": "Autumn days", "ppm": 100_000 }).to_string())?;
        self.push(&host.url, &admin, "promotion", "20", "percent-off", &autumn, &[])?;
        let id = open["checkoutSessionId"].as_str().context("a session")?;
        let kept = self.call("PUT", &host.url, &format!("/api/v1/checkout/{id}"), &shopper, Some(&json!({ "promotionCodes": [] })))?.1;
        let next = self.call("POST", &host.url, "/api/v1/checkout/initiate", &shopper, None)?.1;
        let discounts = |session: &Value| session["quote"]["totals"]["discounts"].to_string();
        println!("   the open session keeps what it started with: discounts {}", discounts(&kept));
        println!("   the next session has the new promotion:      discounts {}", discounts(&next));
        ensure!(discounts(&kept) != discounts(&next), "the swap is not seen");

        step("The host is killed (SIGKILL) after the gateway has charged, before the outcome is recorded");
        let charges = self.charges(&simulator)?;
        self.simulate(&simulator, "capture", "slow")?;
        let id = next["checkoutSessionId"].as_str().context("a session")?.to_owned();
        let body = json!({ "checkoutSessionId": id, "shippingMethod": "standard", "paymentMethod": { "id": "PM-001", "type": "credit_card" } });
        let (client, url, bearer) = (self.client.clone(), format!("{}/api/v1/checkout/submit", host.url), shopper.clone());
        let submit = std::thread::spawn(move || client.post(url).bearer_auth(bearer).json(&body).send());
        wait(Duration::from_secs(20), "the charge", || Ok(self.charges(&simulator)? > charges))?;
        host.kill()?;
        let lost = submit.join().is_ok_and(|answer| answer.is_err());
        println!("   the gateway has charged; the shopper's connection {}", if lost { "broke without an answer" } else { "was answered" });
        let host = self.host(port)?;
        println!("   the host is back; it asks the gateway before it sends anything");
        let path = format!("/api/v1/checkout/{id}");
        let mut session = Value::Null;
        wait(Duration::from_secs(60), "the order", || {
            session = self.call("GET", &host.url, &path, &shopper, None)?.1;
            Ok(session["status"] == "confirmed")
        })?;
        let made = self.charges(&simulator)? - charges;
        let orders = self.call("GET", &host.url, "/api/v1/orders", &shopper, None)?.1;
        let orders = orders["orders"].as_array().or_else(|| orders["items"].as_array()).map_or(0, Vec::len);
        println!("   charges for it: {made}   orders of the shopper: {orders} (one before, one now)");
        ensure!(made == 1 && orders == 2, "money was lost or doubled");

        println!("\nDone in {} s. Everything above ran on {}.", started.elapsed().as_secs(), self.folder.join("till.db").display());
        if keep { self.serve(host, simulator, &shopper, &admin) } else { Ok(()) }
    }

    fn simulator(&self) -> anyhow::Result<Process> {
        let mut command = Command::new(&self.simulator_binary);
        command.arg("--database").arg(self.folder.join("simulator.db")).args(["--api-key", API_KEY]);
        Process::start(command, "the simulator")
    }

    fn host(&self, port: u16) -> anyhow::Result<Process> {
        let config = self.folder.join("till.toml");
        std::fs::write(
            &config,
            format!("jwt_secret = \"{JWT_SECRET}\"\n[secrets]\napi_key = \"{API_KEY}\"\nwebhook = \"{WEBHOOK_SECRET}\"\n"),
        )?;
        let mut command = Command::new(&self.till);
        command
            .arg("--config")
            .arg(&config)
            .args(["serve", "--listen", &format!("127.0.0.1:{port}"), "--database"])
            .arg(self.folder.join("till.db"))
            .arg("--seed")
            .arg(self.root.join("host/demo/seed.json"))
            .env("RUST_LOG", "warn");
        Process::start(command, "the host")
    }

    fn token(&self, args: &[&str]) -> anyhow::Result<String> {
        let output = Command::new(&self.till)
            .arg("--config")
            .arg(self.folder.join("till.toml"))
            .args(["token", "--merchant", MERCHANT])
            .args(args)
            .output()?;
        ensure!(output.status.success(), "till token: {}", String::from_utf8_lossy(&output.stderr));
        Ok(String::from_utf8(output.stdout)?.trim().to_owned())
    }

    fn config(&self, guest: &str) -> PathBuf {
        self.root.join("components").join(guest).join("demo.json")
    }

    #[expect(clippy::too_many_arguments, reason = "the options of the command")]
    fn push(&self, url: &str, admin: &str, slot: &str, name: &str, guest: &str, config: &Path, extra: &[&str]) -> anyhow::Result<()> {
        let output = Command::new(&self.till)
            .args(["component", "push", "--url", url, "--token", admin, "--slot", slot, "--name", name, "--config-file"])
            .arg(config)
            .args(extra)
            .arg(self.guests.join(format!("{guest}.wasm")))
            .output()?;
        ensure!(output.status.success(), "till component push: {}", String::from_utf8_lossy(&output.stderr));
        let text = String::from_utf8_lossy(&output.stdout);
        println!("   {}", text.lines().next().unwrap_or_default());
        Ok(())
    }

    fn worked_example(&self, url: &str, token: &str) -> anyhow::Result<Value> {
        self.add_to_cart(url, token)?;
        let session = self.call("POST", url, "/api/v1/checkout/initiate", token, None)?.1;
        let address = json!({ "street": "123 Main St", "city": "San Francisco", "state": "CA", "zipCode": "94105", "country": "US" });
        let body = json!({
            "checkoutSessionId": session["checkoutSessionId"],
            "shippingAddress": address,
            "billingAddress": address,
            "paymentMethod": { "id": "PM-001", "type": "credit_card" },
            "shippingMethod": "standard",
            "promotionCodes": ["SUMMER2024"],
            "loyaltyPointsToUse": 500,
            "notes": "Please deliver after 5 PM"
        });
        let (status, order) = self.call("POST", url, "/api/v1/checkout/submit", token, Some(&body))?;
        ensure!(status == 201, "submit answered {status}: {order}");
        Ok(order)
    }

    fn add_to_cart(&self, url: &str, token: &str) -> anyhow::Result<()> {
        let item = json!({ "productId": "PROD-12345", "sku": "SKU-ABC-001", "quantity": 2, "warehouseId": "US-WEST-01" });
        let (status, body) = self.call("POST", url, "/api/v1/cart/items", token, Some(&item))?;
        ensure!(status == 200, "the cart answered {status}: {body}");
        Ok(())
    }

    fn call(&self, method: &str, url: &str, path: &str, token: &str, body: Option<&Value>) -> anyhow::Result<(u16, Value)> {
        let mut request = self.client.request(method.parse()?, format!("{url}{path}")).bearer_auth(token);
        if let Some(body) = body {
            request = request.json(body);
        }
        let answer = request.send().with_context(|| format!("{method} {path}"))?;
        let status = answer.status().as_u16();
        let text = answer.text()?;
        Ok((status, serde_json::from_str(&text).with_context(|| format!("{method} {path}: {text}"))?))
    }

    fn charges(&self, simulator: &Process) -> anyhow::Result<usize> {
        let text = self.client.get(format!("{}/admin/charges", simulator.url)).send()?.text()?;
        let all: Value = serde_json::from_str(&text)?;
        let rows = all["charges"].as_array().cloned().unwrap_or_default();
        Ok(rows.iter().filter(|c| c["operation"] == "capture" || c["kind"] == "capture").count())
    }

    fn simulate(&self, simulator: &Process, operation: &str, behaviour: &str) -> anyhow::Result<()> {
        let body = json!({ "operation": operation, "behaviour": behaviour, "times": 1 });
        self.client.post(format!("{}/admin/behaviour", simulator.url)).json(&body).send()?.error_for_status()?;
        Ok(())
    }

    fn serve(&self, mut host: Process, simulator: Process, shopper: &str, admin: &str) -> anyhow::Result<()> {
        let env = self.folder.join("env");
        std::fs::write(
            &env,
            format!(
                "export TILL_URL={}\nexport TILL_TOKEN={shopper}\nexport TILL_ADMIN_TOKEN={admin}\nexport TILL_SIMULATOR_URL={}\n",
                host.url, simulator.url
            ),
        )?;
        println!("\nServing until Ctrl-C. In another shell:\n\n  source target/demo/env");
        for line in [
            r#"curl -s $TILL_URL/healthz"#,
            r#"curl -s $TILL_URL/api/v1/products -H "Authorization: Bearer $TILL_TOKEN""#,
            r#"curl -s $TILL_URL/api/v1/cart/items -H "Authorization: Bearer $TILL_TOKEN" -H 'Content-Type: application/json' -d '{"productId":"PROD-12345","quantity":1}'"#,
            r#"curl -s -X POST $TILL_URL/api/v1/checkout/initiate -H "Authorization: Bearer $TILL_TOKEN""#,
            r#"curl -s $TILL_URL/api/v1/orders -H "Authorization: Bearer $TILL_TOKEN""#,
            r#"curl -s $TILL_URL/api/v1/workflows/checkout/instances -H "Authorization: Bearer $TILL_ADMIN_TOKEN""#,
            r#"curl -s $TILL_SIMULATOR_URL/admin/charges"#,
        ] {
            println!("  {line}");
        }
        std::io::stdout().flush()?;
        // Ctrl-C reaches the whole group: the host drains and ends, then so does this.
        host.child.wait()?;
        Ok(())
    }
}

fn step(text: &str) {
    println!("\n== {text}");
    let _ = std::io::stdout().flush();
}

fn wait(limit: Duration, what: &str, mut done: impl FnMut() -> anyhow::Result<bool>) -> anyhow::Result<()> {
    let until = Instant::now() + limit;
    while !done()? {
        ensure!(Instant::now() < until, "{what} did not come within {} s", limit.as_secs());
        std::thread::sleep(Duration::from_millis(50));
    }
    Ok(())
}

/// The order as a receipt, with the reason for each amount.
fn receipt(order: &Value) {
    let text = |value: &Value| value.as_str().map_or_else(|| value.to_string(), str::to_owned);
    let line = |left: &str, right: &str| println!("   {left:<58}{right:>10}");
    let pricing = &order["pricing"];
    println!("   order {}   {}", text(&order["orderNumber"]), text(&order["status"]));
    for item in order["items"].as_array().into_iter().flatten() {
        line(&format!("{} x {} at {}", item["quantity"], text(&item["name"]), item["unitPrice"]), &item["totalPrice"].to_string());
    }
    for discount in pricing["discounts"].as_array().into_iter().flatten() {
        let what = discount["code"].as_str().map_or_else(|| format!("{} points", discount["pointsUsed"]), str::to_owned);
        line(&format!("{} ({what})", text(&discount["type"])), &format!("-{}", discount["amount"]));
    }
    line(&format!("shipping, {}", text(&order["shipping"]["method"])), &pricing["shipping"].to_string());
    line("tax", &pricing["tax"].to_string());
    line(&format!("total {}", text(&pricing["currency"])), &pricing["total"].to_string());
    println!("   points: earned {}, used {}, balance {}", order["loyalty"]["pointsEarned"], order["loyalty"]["pointsUsed"], order["loyalty"]["newBalance"]);
    println!("   why:");
    for entry in order["trace"].as_array().into_iter().flatten() {
        let reasons: Vec<String> = entry["reasons"].as_array().into_iter().flatten().map(|r| text(&r["text"])).collect();
        println!("     {:<11}{:<22}{:<34}{}", text(&entry["stage"]), text(&entry["by"]), text(&entry["what"]), reasons.join("; "));
    }
}
