//! A host that commands talk to: where, as whom, and how its answers are read.

use std::path::Path;

use anyhow::{Context as _, bail};
use clap::Args;
use serde_json::Value;

/// Most that a host gives of a list at one time.
const PART_MAX: usize = 200;

/// Which host, and as whom.
#[derive(Args)]
pub struct Server {
    /// Address of the host.
    #[arg(long, env = "TILL_URL", default_value = "http://127.0.0.1:8080")]
    url: String,
    /// Token with the scope `components` or `admin` (`till token --customer you --scope admin`).
    #[arg(long, env = "TILL_ADMIN_TOKEN", hide_env_values = true)]
    token: String,
}

impl Server {
    /// A host and a token.
    pub fn new(url: String, token: String) -> Server {
        Server { url, token }
    }

    /// Sends JSON to a route under `/api/v1/admin/components`.
    pub async fn post(&self, path: &str, body: &Value) -> anyhow::Result<Value> {
        let request = self.request(reqwest::Method::POST, &format!("components{path}")).json(body);
        read(request.send().await.context("reach the host")?).await
    }

    /// Reads a route under `/api/v1/admin/components`.
    pub async fn get(&self, path: &str) -> anyhow::Result<Value> {
        self.admin(&format!("components{path}")).await
    }

    /// Reads a route under `/api/v1/admin/`.
    pub async fn admin(&self, path: &str) -> anyhow::Result<Value> {
        read(self.request(reqwest::Method::GET, path).send().await.context("reach the host")?).await
    }

    /// Reads so many of a list under `/api/v1/admin/`, part by part, newest first.
    pub async fn newest(&self, path: &str, list: &str, limit: u32) -> anyhow::Result<Vec<Value>> {
        let (mut all, mut before) = (Vec::new(), String::new());
        let mark = if path.contains('?') { '&' } else { '?' };
        loop {
            let left = usize::try_from(limit)?.saturating_sub(all.len());
            if left == 0 {
                return Ok(all);
            }
            let part = self.admin(&format!("{path}{mark}limit={}{before}", left.min(PART_MAX))).await?;
            all.extend(part[list].as_array().into_iter().flatten().cloned());
            before = match &part["nextBefore"] {
                Value::Null => return Ok(all),
                Value::String(next) => format!("&before={next}"),
                next => format!("&before={next}"),
            };
        }
    }

    /// Reads all of a list under `/api/v1/admin/`, part by part.
    pub async fn after(&self, path: &str, list: &str) -> anyhow::Result<Vec<Value>> {
        let (mut all, mut after) = (Vec::new(), String::new());
        loop {
            let part = self.admin(&format!("{path}{after}")).await?;
            all.extend(part[list].as_array().into_iter().flatten().cloned());
            after = match &part["nextAfter"] {
                Value::Null => return Ok(all),
                Value::String(next) => format!("?after={next}"),
                next => format!("?after={next}"),
            };
        }
    }

    /// Sends JSON to a route under `/api/v1/admin/` that replaces something.
    pub async fn put(&self, path: &str, body: &Value) -> anyhow::Result<Value> {
        let request = self.request(reqwest::Method::PUT, path).json(body);
        read(request.send().await.context("reach the host")?).await
    }

    /// Takes something away under `/api/v1/admin/`.
    pub async fn delete(&self, path: &str) -> anyhow::Result<()> {
        let answer = self.request(reqwest::Method::DELETE, path).send().await.context("reach the host")?;
        if answer.status().is_success() { Ok(()) } else { read(answer).await.map(|_| ()) }
    }

    /// Reads bytes under `/api/v1/admin/`; also gives the header that names where to read on.
    pub async fn bytes(&self, path: &str) -> anyhow::Result<(Vec<u8>, Option<String>)> {
        let answer = self.request(reqwest::Method::GET, path).send().await.context("reach the host")?;
        whole(answer).await
    }

    /// Reads bytes under `/api/v1/admin/`. None: the host does not keep them.
    pub async fn bytes_if_kept(&self, path: &str) -> anyhow::Result<Option<Vec<u8>>> {
        let answer = self.request(reqwest::Method::GET, path).send().await.context("reach the host")?;
        if answer.status() == reqwest::StatusCode::NOT_FOUND {
            return Ok(None);
        }
        whole(answer).await.map(|(bytes, _)| Some(bytes))
    }

    /// Uploads a file to a route under `/api/v1/admin/`; its format is told by the file's name.
    pub async fn upload(&self, route: &str, path: &Path) -> anyhow::Result<Value> {
        let kind = match path.extension().and_then(|extension| extension.to_str()) {
            Some("csv") => "text/csv",
            Some("json") => "application/json",
            _ => bail!("{} is neither .csv nor .json", path.display()),
        };
        let bytes = std::fs::read(path).with_context(|| format!("read {}", path.display()))?;
        let request = self.request(reqwest::Method::POST, route).header("content-type", kind).body(bytes);
        read(request.send().await.context("reach the host")?)
            .await
            .with_context(|| path.display().to_string())
    }

    fn request(&self, method: reqwest::Method, path: &str) -> reqwest::RequestBuilder {
        let url = format!("{}/api/v1/admin/{path}", self.url);
        reqwest::Client::new().request(method, url).bearer_auth(&self.token)
    }
}

async fn whole(answer: reqwest::Response) -> anyhow::Result<(Vec<u8>, Option<String>)> {
    if !answer.status().is_success() {
        bail!("{}", read(answer).await.err().unwrap_or_else(|| anyhow::anyhow!("no answer")));
    }
    let next =
        answer.headers().get("till-next-before").and_then(|next| next.to_str().ok()).map(str::to_owned);
    Ok((answer.bytes().await.context("read the answer")?.to_vec(), next))
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

/// A text in JSON; empty for anything else.
pub fn text(value: &Value) -> &str {
    value.as_str().unwrap_or_default()
}
