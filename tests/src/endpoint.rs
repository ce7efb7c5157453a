//! A merchant's endpoint: keeps what is posted, and answers as it is told to.

use std::collections::VecDeque;
use std::sync::{Arc, Mutex};

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use serde_json::Value;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpListener;

/// What was posted.
#[derive(Debug, Clone)]
pub struct Posted {
    /// Names in lowercase.
    pub headers: Vec<(String, String)>,
    /// The very bytes.
    pub body: String,
}

impl Posted {
    /// A header.
    pub fn header(&self, name: &str) -> &str {
        let found = self.headers.iter().find(|(known, _)| known == name);
        found.map(|(_, value)| value.as_str()).unwrap_or_else(|| panic!("no header {name}: {self:?}"))
    }

    /// The body.
    pub fn event(&self) -> Value {
        serde_json::from_str(&self.body).expect("an event is JSON")
    }

    /// Whether the signature is that of the endpoint's secret, as Standard Webhooks says.
    pub fn is_signed_with(&self, secret: &str) -> bool {
        let key = STANDARD.decode(secret.strip_prefix("whsec_").expect("a secret")).expect("base64");
        let signed =
            format!("{}.{}.{}", self.header("webhook-id"), self.header("webhook-timestamp"), self.body);
        let expected = till_sandbox::Secret::new(key).hmac_sha256(signed.as_bytes());
        self.header("webhook-signature") == format!("v1,{}", STANDARD.encode(expected))
    }
}

/// It answers 200 unless it is told otherwise. Closed when dropped.
pub struct Endpoint {
    /// Where it listens.
    pub url: String,
    posted: Arc<Mutex<Vec<Posted>>>,
    answers: Arc<Mutex<VecDeque<String>>>,
    body: Arc<Mutex<String>>,
    serving: tokio::task::JoinHandle<()>,
}

impl Endpoint {
    /// On a free port.
    pub async fn open() -> Endpoint {
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("a free port");
        let url = format!("http://{}/hooks", listener.local_addr().expect("an address"));
        let posted: Arc<Mutex<Vec<Posted>>> = Arc::default();
        let answers: Arc<Mutex<VecDeque<String>>> = Arc::default();
        let body = Arc::new(Mutex::new("ok".to_owned()));
        let (keep, next, text) = (posted.clone(), answers.clone(), body.clone());
        let serving = tokio::spawn(async move {
            while let Ok((mut stream, _)) = listener.accept().await {
                let (keep, next, text) = (keep.clone(), next.clone(), text.clone());
                tokio::spawn(async move {
                    let mut seen = Vec::new();
                    while stream.read_buf(&mut seen).await.is_ok_and(|read| read > 0) {
                        while let Some((one, length)) = request(&seen) {
                            seen.drain(..length);
                            keep.lock().expect("no holder panics").push(one);
                            let told = next.lock().expect("no holder panics").pop_front();
                            let status = told.unwrap_or_else(|| "200 OK\r\n".to_owned());
                            let text = text.lock().expect("no holder panics").clone();
                            let length = text.len();
                            let answer = format!("HTTP/1.1 {status}content-length: {length}\r\n\r\n{text}");
                            if stream.write_all(answer.as_bytes()).await.is_err() {
                                return;
                            }
                        }
                    }
                });
            }
        });
        Endpoint { url, posted, answers, body, serving }
    }

    /// The next answers: status lines with headers, each ending its line.
    pub fn answers(&self, next: &[&str]) {
        let mut answers = self.answers.lock().expect("no holder panics");
        answers.extend(next.iter().map(|status| format!("{status}\r\n")));
    }

    /// What stands in its answers from now on.
    pub fn says(&self, body: &str) {
        body.clone_into(&mut self.body.lock().expect("no holder panics"));
    }

    /// Everything posted so far.
    pub fn posted(&self) -> Vec<Posted> {
        self.posted.lock().expect("no holder panics").clone()
    }

    /// What was posted of a topic.
    pub fn of(&self, topic: &str) -> Vec<Posted> {
        self.posted().into_iter().filter(|one| one.event()["type"] == topic).collect()
    }
}

impl Drop for Endpoint {
    fn drop(&mut self) {
        self.serving.abort();
    }
}

/// The first whole request, and how long it is.
fn request(seen: &[u8]) -> Option<(Posted, usize)> {
    let end = seen.windows(4).position(|four| four == b"\r\n\r\n")?;
    let head = String::from_utf8_lossy(&seen[..end]).into_owned();
    let headers: Vec<(String, String)> = head
        .lines()
        .skip(1)
        .filter_map(|line| line.split_once(": "))
        .map(|(name, value)| (name.to_lowercase(), value.to_owned()))
        .collect();
    let length = headers.iter().find(|(name, _)| name == "content-length");
    let length = length.map_or(0, |(_, value)| value.parse().expect("a length"));
    let whole = end + 4 + length;
    let body = seen.get(end + 4..whole)?;
    Some((Posted { headers, body: String::from_utf8_lossy(body).into_owned() }, whole))
}
