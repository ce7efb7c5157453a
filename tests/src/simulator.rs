//! The payment provider as a process of its own.

use std::io::{BufRead as _, BufReader};
use std::process::{Child, Command, Stdio};

use serde_json::{Value, json};

use crate::target;

/// A running provider. Ended when dropped.
pub struct Simulator {
    process: Child,
    /// Its origin.
    pub url: String,
    client: reqwest::Client,
    _memory: tempfile::TempDir,
}

impl Simulator {
    /// Starts one on a free port.
    pub fn start() -> Simulator {
        // Its binary lies beside this test's folder `deps`.
        let exe = std::env::current_exe().expect("a test knows where it is");
        let binary =
            exe.ancestors().nth(2).expect("tests are in target/<profile>/deps").join("till-simulator");
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

    /// All movements of money, oldest first.
    pub async fn movements(&self) -> Vec<Value> {
        let response = self
            .client
            .get(format!("{}/admin/charges", self.url))
            .send()
            .await
            .expect("the provider answers");
        let text = response.text().await.expect("a whole answer");
        let body: Value = serde_json::from_str(&text).expect("JSON");
        body["charges"].as_array().expect("a list").clone()
    }

    /// Movements of money, as `operation amount`.
    pub async fn charges(&self) -> Vec<String> {
        let all = self.movements().await;
        all.iter()
            .map(|c| format!("{} {}", c["operation"].as_str().unwrap_or_default(), c["amount"]))
            .collect()
    }

    /// Movements of one kind.
    pub async fn count(&self, operation: &str) -> usize {
        self.movements().await.iter().filter(|c| c["operation"] == operation).count()
    }

    /// Money taken and not given back.
    pub async fn taken(&self) -> i64 {
        self.sum("capture").await - self.sum("refund").await
    }

    /// Money reserved and neither taken nor dropped.
    pub async fn reserved(&self) -> i64 {
        self.sum("authorize").await - self.sum("void").await - self.sum("capture").await
    }

    async fn sum(&self, operation: &str) -> i64 {
        let all = self.movements().await;
        all.iter().filter(|c| c["operation"] == operation).filter_map(|c| c["amount"].as_i64()).sum()
    }

    /// Ends it: from now on nobody answers at its address.
    pub fn stop(&mut self) {
        let _ = self.process.kill();
        let _ = self.process.wait();
    }

    /// How the next request of an operation goes.
    pub async fn behave(&self, operation: &str, behaviour: &str) {
        self.behave_times(operation, behaviour, 1).await;
    }

    /// How the next requests of an operation go.
    pub async fn behave_times(&self, operation: &str, behaviour: &str, times: usize) {
        let body = json!({ "operation": operation, "behaviour": behaviour, "times": times });
        self.admin("behaviour", &body).await;
    }

    /// Where webhooks go from now on, signed with `secret`. `mode` says how they misbehave.
    pub async fn webhooks_to(&self, url: &str, secret: &str, mode: &str) {
        self.admin("webhook", &json!({ "url": url, "secret": secret, "mode": mode })).await;
    }

    /// How the next requests of an operation (`book`, `cancel`, `track`) go at the carrier.
    pub async fn carrier_behaves(&self, operation: &str, behaviour: &str, times: usize) {
        let body = json!({ "operation": operation, "behaviour": behaviour, "times": times });
        self.admin("carrier/behaviour", &body).await;
    }

    /// Where the carrier's webhooks go from now on, signed with `secret`.
    pub async fn scans_to(&self, url: &str, secret: &str, mode: &str) {
        self.admin("carrier/webhook", &json!({ "url": url, "secret": secret, "mode": mode })).await;
    }

    /// The driver scans the parcel that was booked for a shipment.
    pub async fn scan(&self, shipment: &str, scan: &Value) {
        let request = self.client.post(format!("{}/admin/parcels/{shipment}/scans", self.url));
        let request = request.header("content-type", "application/json").body(scan.to_string());
        let response = request.send().await.expect("the carrier answers");
        assert_eq!(response.status(), 200, "{:?}", response.text().await);
    }

    /// Parcels that the carrier has in its books, with their scans.
    pub async fn parcels(&self) -> Vec<Value> {
        let request = self.client.get(format!("{}/admin/parcels", self.url));
        let text = request.send().await.expect("the carrier answers").text().await.expect("a whole answer");
        let body: Value = serde_json::from_str(&text).expect("JSON");
        body["parcels"].as_array().expect("a list").clone()
    }

    async fn admin(&self, what: &str, body: &Value) {
        let request = self.client.post(format!("{}/admin/{what}", self.url));
        let request = request.header("content-type", "application/json").body(body.to_string());
        let response = request.send().await.expect("the provider answers");
        assert_eq!(response.status(), 204, "{:?}", response.text().await);
    }

    /// Orders at Razorpay, each with its payments.
    pub async fn razorpay_orders(&self) -> Vec<Value> {
        let request = self.client.get(format!("{}/admin/razorpay/orders", self.url));
        let text = request.send().await.expect("the provider answers").text().await.expect("a whole answer");
        let body: Value = serde_json::from_str(&text).expect("JSON");
        body["items"].as_array().expect("a list").clone()
    }

    /// The shopper pays an order on Razorpay's page; gives what its script hands to the shopper's client. `how` may
    /// say why it `fails`, another `amount`, or that the account takes money by itself (`captured`).
    pub async fn razorpay_pays(&self, order: &str, mut how: Value) -> Value {
        how["order"] = json!(order);
        let request = self.client.post(format!("{}/admin/razorpay/pay", self.url));
        let request = request.header("content-type", "application/json").body(how.to_string());
        let response = request.send().await.expect("the provider answers");
        assert_eq!(response.status(), 200);
        serde_json::from_str(&response.text().await.expect("a whole answer")).expect("JSON")
    }

    /// An order of the same account in rupees that no checkout made.
    pub async fn razorpay_order(&self, paise: i64) -> String {
        let body = json!({ "amount": paise, "currency": "INR", "receipt": "elsewhere", "payment": { "capture": "manual" } });
        let request = self.client.post(format!("{}/v1/orders", self.url));
        let request = request.basic_auth("rzp_test_sim", Some("rzp_secret_sim"));
        let request = request.header("content-type", "application/json").body(body.to_string());
        let text = request.send().await.expect("the provider answers").text().await.expect("a whole answer");
        let order: Value = serde_json::from_str(&text).expect("JSON");
        order["id"].as_str().expect("an id").to_owned()
    }

    /// How the next request of an operation (`order`, `list`, `payment`, `capture`, `refund`) goes at Razorpay.
    pub async fn razorpay_behaves(&self, operation: &str, behaviour: &str) {
        let body = json!({ "operation": operation, "behaviour": behaviour });
        self.admin("razorpay/behaviour", &body).await;
    }

    /// Where Razorpay's webhooks go from now on, signed with `secret`.
    pub async fn razorpay_webhooks_to(&self, url: &str, secret: &str, mode: &str) {
        self.admin("razorpay/webhook", &json!({ "url": url, "secret": secret, "mode": mode })).await;
    }

    /// The buyer confirms at the bank's page the payment of an attempt.
    pub async fn confirm(&self, intent: &str, attempt: &str) {
        let request = self.client.post(format!("{}/v1/intents/{intent}/confirm", self.url));
        let request = request.bearer_auth("sk_sim").header("idempotency-key", format!("{attempt}.confirm"));
        let request = request.header("content-type", "application/json").body(r#"{"result":"ok"}"#);
        let response = request.send().await.expect("the provider answers");
        assert_eq!(response.status(), 200, "{:?}", response.text().await);
    }
}

impl Drop for Simulator {
    fn drop(&mut self) {
        self.stop();
    }
}
