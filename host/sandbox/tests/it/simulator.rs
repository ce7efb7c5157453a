//! The simulator as a process of its own.

use crate::common::target;
use serde_json::{Value, json};
use std::io::{BufRead, BufReader};
use std::process::{Child, Command, Stdio};

pub struct Simulator {
    process: Child,
    pub url: String,
    client: reqwest::Client,
    _memory: tempfile::TempDir,
}

impl Simulator {
    pub fn start() -> Simulator {
        // Its binary lies beside this test's folder `deps`.
        let exe = std::env::current_exe().expect("a test knows where it is");
        let profile = exe.ancestors().nth(2).expect("tests are in target/<profile>/deps");
        let binary = profile.join("till-simulator");
        assert!(
            binary.exists(),
            "no simulator at {}; run `cargo build -p till-simulator` (build folder {})",
            binary.display(),
            target().display()
        );
        let memory = tempfile::tempdir().expect("a temporary folder");
        let mut process = Command::new(binary)
            .arg("--database")
            .arg(memory.path().join("simulator.db"))
            .stdout(Stdio::piped())
            .spawn()
            .expect("the simulator starts");
        let mut url = String::new();
        let stdout = process.stdout.take().expect("its stdout is piped");
        BufReader::new(stdout).read_line(&mut url).expect("its first line is its address");
        // Err: the sandbox of another test was first.
        let _ = rustls::crypto::ring::default_provider().install_default();
        let client = reqwest::Client::builder().no_proxy().build().expect("a client");
        Simulator { process, url: url.trim().to_owned(), client, _memory: memory }
    }

    /// Movements of money, as `operation amount`.
    pub async fn charges(&self) -> Vec<String> {
        let url = format!("{}/admin/charges", self.url);
        let text = self.client.get(url).send().await.unwrap().text().await.unwrap();
        let body: Value = serde_json::from_str(&text).unwrap();
        let charges = body["charges"].as_array().unwrap();
        charges.iter().map(|c| format!("{} {}", c["operation"].as_str().unwrap(), c["amount"])).collect()
    }

    pub async fn behave(&self, operation: &str, behaviour: &str) {
        self.admin("behaviour", json!({ "operation": operation, "behaviour": behaviour })).await;
    }

    pub async fn webhooks_to(&self, url: &str, secret: &str, mode: &str) {
        self.admin("webhook", json!({ "url": url, "secret": secret, "mode": mode })).await;
    }

    async fn admin(&self, what: &str, body: Value) {
        let request = self.client.post(format!("{}/admin/{what}", self.url));
        let response =
            request.header("content-type", "application/json").body(body.to_string()).send().await.unwrap();
        assert_eq!(response.status(), 204, "{}", response.text().await.unwrap());
    }
}

impl Drop for Simulator {
    fn drop(&mut self) {
        let _ = self.process.kill();
        let _ = self.process.wait();
    }
}
