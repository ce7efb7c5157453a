//! Starts the host and the simulator for the demo and the bench.

use std::io::{BufRead as _, BufReader, Write as _};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use anyhow::{Context as _, Result, bail, ensure};
use serde_json::{Value, json};

/// Secrets of demo and bench; they open nothing but the simulator started here.
const API_KEY: &str = "sk_demo";
const WEBHOOK_SECRET: &str = "whsec_demo";
const JWT_SECRET: &str = "till-demo-secret-till-demo-secret";
/// Merchant of `host/demo/seed.json`.
const MERCHANT: &str = "demo";

/// A process that is stopped when it goes out of scope, however that comes about.
pub struct Process {
    child: Child,
    /// Where it listens.
    pub url: String,
}

impl Process {
    /// Starts it and waits for the line that tells its address.
    pub fn start(mut command: Command, what: &str) -> Result<Process> {
        let mut child = command.stdout(Stdio::piped()).spawn().with_context(|| format!("start {what}"))?;
        let stdout = child.stdout.take().context("its output")?;
        let mut lines = BufReader::new(stdout);
        let mut first = String::new();
        lines.read_line(&mut first)?;
        let Some(at) = first.find("http://") else {
            let _ = child.kill();
            let _ = child.wait();
            bail!("{what} did not tell its address, but: {first}");
        };
        let url = first[at..].split_whitespace().next().unwrap_or_default().to_owned();
        // Whatever it prints later must not fill the pipe.
        std::thread::spawn(move || for _ in lines.lines() {});
        Ok(Process { child, url })
    }

    /// Process id.
    pub fn id(&self) -> u32 {
        self.child.id()
    }

    /// SIGKILL: no goodbye.
    pub fn kill(mut self) -> Result<()> {
        self.child.kill()?;
        self.child.wait()?;
        Ok(())
    }

    /// SIGTERM, and waits until it has finished what runs.
    pub fn stop(mut self) -> Result<()> {
        ensure!(Command::new("kill").arg(self.child.id().to_string()).status()?.success(), "kill");
        let until = Instant::now() + Duration::from_secs(30);
        while self.child.try_wait()?.is_none() {
            ensure!(Instant::now() < until, "the host did not stop");
            std::thread::sleep(Duration::from_millis(20));
        }
        Ok(())
    }

    /// Waits for its end.
    pub fn wait(mut self) -> Result<()> {
        self.child.wait()?;
        Ok(())
    }

    /// CPU time used so far, user and system, microseconds.
    pub fn cpu_us(&self) -> Result<u64> {
        let text = std::fs::read_to_string(format!("/proc/{}/stat", self.id()))?;
        let (_, rest) = text.rsplit_once(')').context("a process name")?;
        let fields: Vec<&str> = rest.split_whitespace().collect();
        let ticks = |n: usize| fields.get(n).and_then(|f| f.parse::<u64>().ok()).unwrap_or(0);
        // Linux counts in hundredths of a second for user space.
        Ok((ticks(11) + ticks(12)) * 10_000)
    }

    /// Most resident memory so far, kB.
    pub fn memory_peak_kb(&self) -> Result<u64> {
        let text = std::fs::read_to_string(format!("/proc/{}/status", self.id()))?;
        let line = text.lines().find(|l| l.starts_with("VmHWM")).context("VmHWM")?;
        line.split_whitespace().nth(1).context("a number")?.parse().context("a number")
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// The demo shop: binaries, files, tokens.
pub struct Shop {
    /// The binary `till`.
    pub till: PathBuf,
    simulator: PathBuf,
    /// Where the components are.
    pub guests: PathBuf,
    /// Where databases and configuration are.
    pub folder: PathBuf,
    root: PathBuf,
    client: reqwest::blocking::Client,
}

impl Shop {
    /// Over the binaries of a Cargo profile.
    pub fn new(root: &Path, target: &Path, folder: &Path, profile: &str) -> Shop {
        let _ = rustls::crypto::ring::default_provider().install_default();
        Shop {
            till: target.join(profile).join("till"),
            simulator: target.join(profile).join("till-simulator"),
            guests: target.join("guests"),
            folder: folder.to_owned(),
            root: root.to_owned(),
            client: reqwest::blocking::Client::builder()
                .timeout(Duration::from_secs(60))
                .build()
                .expect("a client without TLS options can be made"),
        }
    }

    /// Starts the gateway simulator on a free port.
    pub fn simulator(&self) -> Result<Process> {
        let mut command = Command::new(&self.simulator);
        command.arg("--database").arg(self.folder.join("simulator.db")).args(["--api-key", API_KEY]);
        Process::start(command, "the simulator")
    }

    /// Starts the host on a free port.
    pub fn host(&self, database: &str) -> Result<Process> {
        self.host_on(0, database)
    }

    /// Starts the host on a port.
    pub fn host_on(&self, port: u16, database: &str) -> Result<Process> {
        let config = self.config_file();
        let text = format!("jwt_secret = \"{JWT_SECRET}\"\n");
        std::fs::write(&config, text)?;
        let mut command = Command::new(&self.till);
        command
            .arg("--config")
            .arg(&config)
            .args(["serve", "--listen", &format!("127.0.0.1:{port}"), "--database"])
            .arg(self.folder.join(database))
            .arg("--seed")
            .arg(self.root.join("host/demo/seed.json"))
            .env("RUST_LOG", std::env::var("RUST_LOG").unwrap_or_else(|_| "error".to_owned()));
        Process::start(command, "the host")
    }

    fn config_file(&self) -> PathBuf {
        self.folder.join("till.toml")
    }

    /// Bytes of a database on disk.
    pub fn bytes(&self, database: &str) -> u64 {
        let size = |name: String| std::fs::metadata(self.folder.join(name)).map_or(0, |m| m.len());
        size(database.to_owned())
    }

    /// Mints a token.
    pub fn token(&self, args: &[&str]) -> Result<String> {
        self.token_of(MERCHANT, args)
    }

    /// Mints a token of another merchant.
    pub fn token_of(&self, merchant: &str, args: &[&str]) -> Result<String> {
        let output = Command::new(&self.till)
            .arg("--config")
            .arg(self.config_file())
            .args(["token", "--merchant", merchant])
            .args(args)
            .output()?;
        ensure!(output.status.success(), "till token: {}", String::from_utf8_lossy(&output.stderr));
        Ok(String::from_utf8(output.stdout)?.trim().to_owned())
    }

    /// Pushes a component with `till component push`; gives what it printed first.
    pub fn push(
        &self,
        url: &str,
        slot: &str,
        name: &str,
        guest: &str,
        config: &Path,
        extra: &[&str],
    ) -> Result<String> {
        let admin = self.token(&["--customer", "admin", "--scope", "admin operator"])?;
        let output = Command::new(&self.till)
            .args([
                "component",
                "push",
                "--url",
                url,
                "--token",
                &admin,
                "--slot",
                slot,
                "--name",
                name,
                "--config-file",
            ])
            .arg(config)
            .args(extra)
            .arg(self.guests.join(format!("{guest}.wasm")))
            .output()?;
        ensure!(output.status.success(), "till component push: {}", String::from_utf8_lossy(&output.stderr));
        Ok(String::from_utf8_lossy(&output.stdout).lines().next().unwrap_or_default().to_owned())
    }

    /// Sets a secret of the demo shop.
    fn secret(&self, url: &str, name: &str, value: &str) -> Result<()> {
        let admin = self.token(&["--customer", "admin", "--scope", "admin operator"])?;
        let mut command = Command::new(&self.till);
        command.args(["secret", "set", "--url", url, "--token", &admin, name]);
        let mut child = command.stdin(Stdio::piped()).stdout(Stdio::null()).stderr(Stdio::piped()).spawn()?;
        child.stdin.take().context("its input")?.write_all(value.as_bytes())?;
        let output = child.wait_with_output()?;
        ensure!(output.status.success(), "till secret set: {}", String::from_utf8_lossy(&output.stderr));
        Ok(())
    }

    /// Pushes the six components of the demo, and tells the carrier where its scans go; gives a line for each.
    pub fn push_all(&self, url: &str, simulator: &str) -> Result<Vec<String>> {
        let mut lines = Vec::new();
        for (slot, name, guest) in [
            ("pricing", "default", "price-list"),
            ("promotion", "10", "promotions"),
            ("tax", "default", "tax-table"),
            ("shipping", "default", "zone-shipping"),
        ] {
            let config = self.root.join("components").join(guest).join("demo.json");
            lines.push(self.push(url, slot, name, guest, &config, &[])?);
        }
        let gateway = self.folder.join("gateway.json");
        std::fs::write(&gateway, json!({ "base_url": simulator }).to_string())?;
        for (name, value) in [("api_key", API_KEY), ("webhook", WEBHOOK_SECRET)] {
            self.secret(url, name, value)?;
        }
        let origin = [
            "--origin",
            simulator,
            "--allow-private-addresses",
            "--secret",
            "api_key",
            "--secret",
            "webhook",
        ];
        lines.push(self.push(url, "payment-gateway", "default", "sim-gateway", &gateway, &origin)?);
        lines.push(self.push(url, "carrier", "default", "sim-carrier", &gateway, &origin)?);
        let scans =
            json!({ "url": format!("{url}/webhooks/demo/carriers/default"), "secret": WEBHOOK_SECRET });
        let target = self.client.post(format!("{simulator}/admin/carrier/webhook"));
        let target = target.header("content-type", "application/json").body(scans.to_string()).send();
        target.context("tell the carrier where its scans go")?.error_for_status()?;
        Ok(lines)
    }

    /// Makes a customer like the demo's, through the admin API, and stock enough for a bench.
    pub fn customer(&self, url: &str, admin: &str, id: &str) -> Result<()> {
        let seed: Value =
            serde_json::from_str(&std::fs::read_to_string(self.root.join("host/demo/seed.json"))?)?;
        let of = |row: &Value| {
            json!({
                "id": row["id"], "type": row["kind"], "token": row["token"], "last4": row["last4"],
                "brand": row["brand"], "isDefault": row["default"].as_bool().unwrap_or(false),
            })
        };
        let known = &seed["customers"][0]["customer"];
        let methods: Vec<Value> = known["payment_methods"].as_array().into_iter().flatten().map(of).collect();
        let home = &known["addresses"][0]["address"];
        let address = json!({
            "street": home["street"][0], "city": home["city"], "state": home["region"],
            "zipCode": home["postal_code"], "country": home["country"],
        });
        let customer = json!({
            "email": known["email"],
            "paymentMethods": methods,
            "addresses": [{ "id": "ADDR-001", "type": "shipping", "isDefault": true, "address": address }],
        });
        let (status, body) =
            self.call("PUT", url, &format!("/api/v1/admin/customers/{id}"), admin, Some(&customer))?;
        ensure!(status < 300, "customer: {status}: {body}");
        let stock = json!({ "onHand": 100_000_000 });
        let (status, body) =
            self.call("PUT", url, "/api/v1/admin/stock/SKU-ABC-001/US-WEST-01", admin, Some(&stock))?;
        ensure!(status < 300, "stock: {status}: {body}");
        // A load generator calls more often than people do.
        let (_, mut settings) = self.call("GET", url, "/api/v1/admin/settings", admin, None)?;
        settings["rate"]["requests"] = json!(0);
        let (status, body) = self.call("PUT", url, "/api/v1/admin/settings", admin, Some(&settings))?;
        ensure!(status < 300, "settings: {status}: {body}");
        Ok(())
    }

    /// One HTTP request; the body is JSON or empty.
    pub fn call(
        &self,
        method: &str,
        url: &str,
        path: &str,
        token: &str,
        body: Option<&Value>,
    ) -> Result<(u16, Value)> {
        let mut request = self.client.request(method.parse()?, format!("{url}{path}")).bearer_auth(token);
        if let Some(body) = body {
            request = request.header("content-type", "application/json").body(body.to_string());
        }
        let answer = request.send().with_context(|| format!("{method} {path}"))?;
        let status = answer.status().as_u16();
        let text = answer.text()?;
        if text.is_empty() {
            return Ok((status, Value::Null));
        }
        Ok((status, serde_json::from_str(&text).with_context(|| format!("{method} {path}: {text}"))?))
    }

    /// A client for requests of another kind.
    pub fn client(&self) -> &reqwest::blocking::Client {
        &self.client
    }
}
