//! The HTTP side of a [`TestTill`], for answers that depend on the time of the clock.

use std::sync::Arc;

use serde_json::Value;
use till_api::{App, Auth, Claims};
use till_engine::ports::Clock as _;
use tokio::net::TcpListener;
use tokio::task::JoinHandle;

use crate::{MERCHANT, SimClock, TestTill};

/// Routes on a free port. Closed when dropped.
pub struct Door {
    url: String,
    auth: Auth,
    clock: Arc<SimClock>,
    client: reqwest::Client,
    serving: JoinHandle<std::io::Result<()>>,
}

impl Door {
    /// Opens the routes over a shop.
    pub async fn open(till: &TestTill) -> Door {
        let auth = Auth::none().hs256(b"till-test-secret-till-test-secret").expect("a long secret");
        let app = App {
            shop: till.shop.clone(),
            runner: till.runner.clone(),
            events: till.events.clone(),
            registry: till.registry.clone(),
            auth: auth.clone(),
            metrics: till_api::Metrics::new(till.store.clone()),
            origins: Arc::from([]),
        };
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("a free port");
        let url = format!("http://{}", listener.local_addr().expect("an address"));
        let serving = tokio::spawn(till_api::serve(listener, till_api::router(app), std::future::pending()));
        let client = reqwest::Client::builder().no_proxy().build().expect("a client");
        Door { url, auth, clock: till.clock.clone(), client, serving }
    }

    /// A token of a shopper that is valid at the time of the clock.
    pub fn token(&self, customer: &str) -> String {
        self.token_for(customer, "")
    }

    fn token_for(&self, customer: &str, scope: &str) -> String {
        let claims = Claims {
            sub: customer.to_owned(),
            merchant: MERCHANT.to_owned(),
            scope: scope.to_owned(),
            exp: self.clock.now_us() / 1_000_000 + 3_600,
            ..Claims::default()
        };
        self.auth.mint(&claims).expect("a token")
    }

    /// One look of a shopper, with all there is of the answer.
    pub async fn get(&self, customer: &str, path: &str) -> reqwest::Response {
        let request = self.client.get(format!("{}{path}", self.url)).bearer_auth(self.token(customer));
        request.send().await.expect("an answer")
    }

    /// One request of a shopper.
    pub async fn call(&self, customer: &str, method: &str, path: &str, body: Option<&Value>) -> (u16, Value) {
        self.call_with(&self.token(customer), method, path, body).await
    }

    /// One request of somebody of the merchant's, with this scope.
    pub async fn call_as(&self, scope: &str, method: &str, path: &str, body: Option<&Value>) -> (u16, Value) {
        self.call_with(&self.token_for(scope, scope), method, path, body).await
    }

    async fn call_with(&self, token: &str, method: &str, path: &str, body: Option<&Value>) -> (u16, Value) {
        let method = method.parse().expect("a method");
        let mut request = self.client.request(method, format!("{}{path}", self.url)).bearer_auth(token);
        if let Some(body) = body {
            request = request.header("content-type", "application/json").body(body.to_string());
        }
        let answer = request.send().await.expect("an answer");
        let status = answer.status().as_u16();
        let text = answer.text().await.expect("a whole answer");
        (status, serde_json::from_str(&text).unwrap_or(Value::String(text)))
    }
}

impl Drop for Door {
    fn drop(&mut self) {
        self.serving.abort();
    }
}
