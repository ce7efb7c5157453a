//! The real binary as a process, over a database prepared beforehand.

use std::io::{BufRead as _, BufReader};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use serde_json::{Value, json};

/// Signs the tests' tokens.
pub const JWT_SECRET: &str = "till-test-secret-till-test-secret";

/// The file of the folder that the host's log goes to.
pub const LOG: &str = "host.log";

/// A file of the folder with the URL of a database elsewhere; without it the database is `till.db` beside it.
pub const DATABASE: &str = "database.url";

/// A file of the folder with more of the configuration, for tests that need it.
pub const MORE: &str = "more.toml";

/// A running `till serve`. Killed when dropped.
pub struct Host {
    process: Child,
    /// Where it listens.
    pub url: String,
    client: reqwest::Client,
    token: String,
}

/// The binary, beside this test's folder `deps`.
pub fn binary() -> PathBuf {
    let exe = std::env::current_exe().expect("a test knows where it is");
    let path = exe.ancestors().nth(2).expect("tests are in target/<profile>/deps").join("till");
    assert!(path.exists(), "no till at {}; run `cargo build -p till`", path.display());
    path
}

impl Host {
    /// Starts it on a free port over the database in `folder`; `crash_at` names the point where it aborts.
    pub fn start(folder: &Path, crash_at: Option<&str>) -> Host {
        Host::start_with(folder, crash_at.map(|point| ("TILL_CRASH_AT", point)))
    }

    /// Starts it so many seconds ahead of the machine's clock.
    pub fn start_ahead(folder: &Path, seconds: u64) -> Host {
        Host::start_with(folder, Some(("TILL_CLOCK_AHEAD_S", &seconds.to_string())))
    }

    /// Starts it so that parts of a checkout's answer fail (`loyalty`) or never come (`loyalty:hangs`).
    pub fn start_failing(folder: &Path, parts: &str) -> Host {
        Host::start_with(folder, Some(("TILL_FAIL_AT", parts)))
    }

    /// Starts it so that its log tells more than errors.
    pub fn start_telling(folder: &Path) -> Host {
        Host::start_with(folder, Some(("RUST_LOG", "info")))
    }

    fn start_with(folder: &Path, plan: Option<(&str, &str)>) -> Host {
        let config = folder.join("till.toml");
        let cache = crate::code_cache();
        let more = std::fs::read_to_string(folder.join(MORE)).unwrap_or_default();
        let text = format!(
            "jwt_secret = \"{JWT_SECRET}\"\ncode_cache = {cache:?}\nsecrets_key = \"{}\"\n{more}",
            base64::Engine::encode(&base64::engine::general_purpose::STANDARD, crate::SECRETS_KEY)
        );
        std::fs::write(&config, text).expect("write the configuration");
        let log = std::fs::File::create(folder.join(LOG)).expect("a file for the log");
        let mut command = Command::new(binary());
        command.arg("--config").arg(&config).args(["serve", "--listen", "127.0.0.1:0", "--database"]);
        let elsewhere = std::fs::read_to_string(folder.join(DATABASE)).map(PathBuf::from);
        command
            .arg(elsewhere.unwrap_or_else(|_| folder.join("till.db")))
            .env("RUST_LOG", "error")
            .stdout(Stdio::piped())
            .stderr(log);
        if let Some((name, value)) = plan {
            command.env(name, value);
        }
        let mut process = command.spawn().expect("the host starts");
        let mut line = String::new();
        let stdout = process.stdout.take().expect("its stdout is piped");
        BufReader::new(stdout).read_line(&mut line).expect("its first line is its address");
        let at = line.find("http://").unwrap_or_else(|| panic!("no address in {line:?}"));
        let _ = rustls::crypto::ring::default_provider().install_default();
        let client = reqwest::Client::builder().no_proxy().build().expect("a client");
        Host { process, url: line[at..].trim().to_owned(), client, token: token("CUST-12345", "") }
    }

    /// One request of the shopper. None: the host went away.
    pub async fn call(
        &self,
        method: &str,
        path: &str,
        key: &str,
        body: Option<&Value>,
    ) -> Option<(u16, Value)> {
        self.call_as(&self.token, method, path, key, body).await
    }

    /// One request with another token.
    pub async fn call_as(
        &self,
        token: &str,
        method: &str,
        path: &str,
        key: &str,
        body: Option<&Value>,
    ) -> Option<(u16, Value)> {
        let method = method.parse().expect("a method");
        let mut request = self.client.request(method, format!("{}{path}", self.url)).bearer_auth(token);
        if !key.is_empty() {
            request = request.header("idempotency-key", key);
        }
        if let Some(body) = body {
            request = request.header("content-type", "application/json").body(body.to_string());
        }
        let answer = request.send().await.ok()?;
        let status = answer.status().as_u16();
        // A stream has no end.
        if answer.headers().get("content-type").is_some_and(|kind| kind == "text/event-stream") {
            return Some((status, Value::Null));
        }
        let text = answer.text().await.ok()?;
        Some((status, serde_json::from_str(&text).unwrap_or(Value::String(text))))
    }

    /// A webhook of the provider, as it was signed.
    pub async fn hook(&self, path: &str, signature: &str, body: &str) -> (u16, Value) {
        let mut request = self.client.post(format!("{}{path}", self.url)).body(body.to_owned());
        if !signature.is_empty() {
            request = request.header("sim-signature", signature);
        }
        let answer = request.send().await.expect("the host answers");
        let status = answer.status().as_u16();
        let text = answer.text().await.expect("a whole answer");
        (status, serde_json::from_str(&text).unwrap_or(Value::String(text)))
    }

    /// Its memory that is no file, kB.
    pub fn memory_kb(&self) -> u64 {
        let path = format!("/proc/{}/status", self.process.id());
        let text = std::fs::read_to_string(path).expect("the host runs");
        let line = text.lines().find_map(|line| line.strip_prefix("RssAnon:")).expect("its memory");
        line.trim().trim_end_matches(" kB").parse().expect("a number")
    }

    /// Whether it is gone, waiting a moment for an abort under way.
    pub fn is_gone(&mut self) -> bool {
        let until = Instant::now() + Duration::from_millis(300);
        loop {
            if self.process.try_wait().expect("its state").is_some() {
                return true;
            }
            if Instant::now() > until {
                return false;
            }
            std::thread::sleep(Duration::from_millis(10));
        }
    }

    /// SIGKILL, and a new process over the same database.
    pub fn restart(&mut self, folder: &Path) {
        self.restart_until(folder, None);
    }

    /// The same; the new process ends at a point.
    pub fn restart_until(&mut self, folder: &Path, crash_at: Option<&str>) {
        let _ = self.process.kill();
        let _ = self.process.wait();
        *self = Host::start(folder, crash_at);
    }

    /// The same; the new process is so many seconds ahead of the machine's clock.
    pub fn restart_ahead(&mut self, folder: &Path, seconds: u64) {
        let _ = self.process.kill();
        let _ = self.process.wait();
        *self = Host::start_ahead(folder, seconds);
    }

    /// SIGTERM: it finishes what runs, and ends.
    pub fn ask_to_stop(&self) {
        self.signal("-TERM");
    }

    /// SIGSTOP: it stands still, as a machine does that swaps or is moved, and does not know it.
    pub fn pause(&self) {
        self.signal("-STOP");
    }

    /// SIGCONT: it goes on where it was.
    pub fn go_on(&self) {
        self.signal("-CONT");
    }

    fn signal(&self, signal: &str) {
        let asked = Command::new("kill").args([signal, &self.process.id().to_string()]).status();
        assert!(asked.expect("the command `kill`").success(), "the host runs");
    }

    /// Waits for its end. Whether it ended well.
    pub async fn ended(mut self) -> bool {
        let until = Instant::now() + crate::PATIENCE;
        loop {
            if let Some(status) = self.process.try_wait().expect("its state") {
                return status.success();
            }
            assert!(Instant::now() < until, "it ends in time");
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    }

    /// SIGKILL, from outside.
    pub fn kill(mut self) {
        let _ = self.process.kill();
        let _ = self.process.wait();
    }
}

impl Drop for Host {
    fn drop(&mut self) {
        let _ = self.process.kill();
        let _ = self.process.wait();
    }
}

/// Ten years: longer than any test goes ahead of the clock.
const TOKEN_TTL_S: i64 = 10 * 365 * 24 * 3_600;

/// Mints a token that outlives every clock of the tests.
pub fn token(customer: &str, scope: &str) -> String {
    token_for("demo", customer, scope, TOKEN_TTL_S)
}

/// Mints a token of any merchant and lifetime; below zero it has expired.
pub fn token_for(merchant: &str, customer: &str, scope: &str, ttl_s: i64) -> String {
    let output = Command::new(binary())
        .args(["token", "--jwt-secret", JWT_SECRET, "--merchant", merchant, "--customer", customer])
        .arg(format!("--scope={scope}"))
        .arg(format!("--ttl-s={ttl_s}"))
        .output()
        .expect("till token");
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    String::from_utf8(output.stdout).expect("text").trim().to_owned()
}

/// The body of the tests' submit.
pub fn submit_body(session: &str, method: &str) -> Value {
    json!({
        "checkoutSessionId": session,
        "shippingMethod": "standard",
        "promotionCodes": ["SUMMER2024"],
        "paymentMethod": { "id": method, "type": "credit_card" },
    })
}
