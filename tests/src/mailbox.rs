//! Somebody else's address for webhooks, so that a test can read them and send them on, changed or not.

use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::{TcpListener, TcpStream};

use crate::PATIENCE;

/// Takes webhooks, one after another.
pub struct Mailbox {
    /// Where it takes them.
    pub url: String,
    listener: TcpListener,
}

/// A webhook as it came.
#[derive(Debug, Clone)]
pub struct Letter {
    /// `Sim-Signature`.
    pub signature: String,
    /// The signed text.
    pub body: String,
}

impl Mailbox {
    /// Opens one on a free port.
    pub async fn open() -> Mailbox {
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("a free port");
        let url = format!("http://{}/", listener.local_addr().expect("an address"));
        Mailbox { url, listener }
    }

    /// The next webhook.
    pub async fn next(&mut self) -> Letter {
        let coming = async {
            let (stream, _) = self.listener.accept().await.expect("a connection");
            read(stream).await
        };
        tokio::time::timeout(PATIENCE, coming).await.expect("a webhook comes")
    }
}

async fn read(mut stream: TcpStream) -> Letter {
    let mut text = Vec::new();
    loop {
        let mut part = [0; 4_096];
        let read = stream.read(&mut part).await.expect("a request");
        assert!(read > 0, "the request broke off");
        text.extend_from_slice(&part[..read]);
        let whole = String::from_utf8_lossy(&text);
        let Some((head, body)) = whole.split_once("\r\n\r\n") else { continue };
        let header = |name: &str| {
            let mut lines = head.lines().filter_map(|line| line.split_once(':'));
            let found = lines.find(|(given, _)| given.eq_ignore_ascii_case(name));
            found.map(|(_, value)| value.trim().to_owned())
        };
        let length = header("content-length").and_then(|n| n.parse().ok()).expect("a length");
        if body.len() >= length {
            let letter =
                Letter { signature: header("sim-signature").unwrap_or_default(), body: body.to_owned() };
            let answer = "HTTP/1.1 200 OK\r\ncontent-length: 0\r\nconnection: close\r\n\r\n";
            stream.write_all(answer.as_bytes()).await.expect("it takes an answer");
            return letter;
        }
    }
}
