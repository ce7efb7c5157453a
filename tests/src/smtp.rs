//! A mail server that keeps what it takes, and answers as it is told to.
//!
//! It speaks RFC 5321 over plain TCP: EHLO, AUTH PLAIN, MAIL, RCPT, DATA with dots taken back, RSET, NOOP, QUIT.

use std::collections::VecDeque;
use std::sync::{Arc, Mutex};

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use tokio::io::{AsyncBufReadExt as _, AsyncWriteExt as _, BufReader};
use tokio::net::{TcpListener, TcpStream};

/// A letter that was taken, or at least read to its end.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Mail {
    /// Of the envelope.
    pub from: String,
    /// Of the envelope.
    pub to: Vec<String>,
    /// Who logged in: `\0user\0password`.
    pub login: String,
    /// As it came, dots taken back, lines with CRLF.
    pub text: String,
}

impl Mail {
    /// A header, unfolded.
    pub fn header(&self, name: &str) -> String {
        let (head, _) = self.text.split_once("\r\n\r\n").expect("a head and a body");
        let head = head.replace("\r\n ", " ").replace("\r\n\t", " ");
        let mut lines = head.split("\r\n").filter_map(|line| line.split_once(": "));
        let found = lines.find(|(known, _)| known.eq_ignore_ascii_case(name));
        found.map(|(_, value)| value.to_owned()).unwrap_or_else(|| panic!("no header {name}: {head}"))
    }

    /// Names of all headers.
    pub fn headers(&self) -> Vec<String> {
        let (head, _) = self.text.split_once("\r\n\r\n").expect("a head and a body");
        let starts = head.split("\r\n").filter(|line| !line.starts_with([' ', '\t']));
        starts.map(|line| line.split_once(':').expect("a header").0.to_owned()).collect()
    }

    /// What a part of a type says: `text/plain`.
    pub fn part(&self, kind: &str) -> String {
        let boundary = self.header("Content-Type");
        let boundary = boundary.split("boundary=\"").nth(1).expect("a boundary").trim_end_matches('"');
        let mark = format!("--{boundary}");
        let part =
            self.text.split(&mark).skip(1).find(|part| part.contains(&format!("Content-Type: {kind}")));
        let part = part.unwrap_or_else(|| panic!("no {kind}: {}", self.text));
        let (head, body) = part.split_once("\r\n\r\n").expect("a head and a body");
        let bytes = match head.to_lowercase() {
            head if head.contains("quoted-printable") => {
                quoted_printable::decode(body, quoted_printable::ParseMode::Robust).expect("quoted-printable")
            }
            head if head.contains("base64") => STANDARD.decode(body.replace("\r\n", "")).expect("base64"),
            _ => body.as_bytes().to_vec(),
        };
        String::from_utf8(bytes).expect("UTF-8").replace("\r\n", "\n")
    }
}

/// What the sink does with the next letter.
#[derive(Debug, Clone)]
pub enum Act {
    /// Refuses at a command: `RCPT`, `DATA`, `.`, `AUTH` or `` for the greeting.
    Refuse(&'static str, &'static str),
    /// Keeps the letter and closes the connection before its answer.
    Vanish,
    /// Keeps the letter and never answers.
    Hang,
}

/// It takes everything unless it is told otherwise. Closed when dropped.
pub struct MailSink {
    /// Where it listens on 127.0.0.1.
    pub port: u16,
    mails: Arc<Mutex<Vec<Mail>>>,
    acts: Arc<Mutex<VecDeque<Act>>>,
    serving: tokio::task::JoinHandle<()>,
}

impl MailSink {
    /// On a free port.
    pub async fn open() -> MailSink {
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("a free port");
        let port = listener.local_addr().expect("an address").port();
        let mails: Arc<Mutex<Vec<Mail>>> = Arc::default();
        let acts: Arc<Mutex<VecDeque<Act>>> = Arc::default();
        let (keep, next) = (mails.clone(), acts.clone());
        let serving = tokio::spawn(async move {
            let mut talks = tokio::task::JoinSet::new();
            while let Ok((stream, _)) = listener.accept().await {
                let act = next.lock().expect("no holder panics").pop_front();
                // A client that goes away in the middle is no error of the sink's.
                let keep = keep.clone();
                talks.spawn(async move { talk(stream, act, &keep).await.ok() });
            }
        });
        MailSink { port, mails, acts, serving }
    }

    /// What it does with the next connections; each has one letter.
    pub fn acts(&self, next: &[Act]) {
        self.acts.lock().expect("no holder panics").extend(next.iter().cloned());
    }

    /// All letters so far.
    pub fn mails(&self) -> Vec<Mail> {
        self.mails.lock().expect("no holder panics").clone()
    }
}

impl Drop for MailSink {
    fn drop(&mut self) {
        self.serving.abort();
    }
}

/// One connection.
async fn talk(stream: TcpStream, act: Option<Act>, keep: &Mutex<Vec<Mail>>) -> std::io::Result<()> {
    let mut stream = BufReader::new(stream);
    let refused = |at: &str| match &act {
        Some(Act::Refuse(where_, answer)) if *where_ == at => Some(*answer),
        _ => None,
    };
    let mut mail = Mail { from: String::new(), to: vec![], login: String::new(), text: String::new() };
    say(&mut stream, refused("").unwrap_or("220 sink.example ESMTP")).await?;
    loop {
        let mut line = String::new();
        if stream.read_line(&mut line).await? == 0 {
            return Ok(());
        }
        let line = line.trim_end();
        let verb = line.split([' ', ':']).next().unwrap_or_default().to_uppercase();
        let inside = |text: &str| text.split(['<', '>']).nth(1).unwrap_or_default().to_owned();
        let answer = match verb.as_str() {
            "EHLO" => "250-sink.example\r\n250-8BITMIME\r\n250 AUTH PLAIN",
            "AUTH" => {
                let given = line.rsplit(' ').next().unwrap_or_default();
                mail.login =
                    String::from_utf8(STANDARD.decode(given).unwrap_or_default()).unwrap_or_default();
                "235 2.7.0 welcome"
            }
            "MAIL" => {
                mail.from = inside(line);
                "250 2.1.0 ok"
            }
            "RCPT" => {
                mail.to.push(inside(line));
                "250 2.1.5 ok"
            }
            "DATA" if refused("DATA").is_none() => {
                say(&mut stream, "354 go ahead").await?;
                mail.text = data(&mut stream).await?;
                if refused(".").is_none() {
                    keep.lock().expect("no holder panics").push(mail.clone());
                }
                match act {
                    Some(Act::Vanish) => return Ok(()),
                    Some(Act::Hang) => return std::future::pending().await,
                    _ => {}
                }
                say(&mut stream, refused(".").unwrap_or("250 2.0.0 queued")).await?;
                continue;
            }
            "DATA" => "",
            "RSET" | "NOOP" => "250 2.0.0 ok",
            "QUIT" => {
                say(&mut stream, "221 2.0.0 bye").await?;
                return Ok(());
            }
            _ => "500 5.5.1 what?",
        };
        say(&mut stream, refused(&verb).unwrap_or(answer)).await?;
    }
}

async fn say(stream: &mut BufReader<TcpStream>, line: &str) -> std::io::Result<()> {
    stream.write_all(format!("{line}\r\n").as_bytes()).await
}

/// The lines up to the one with a dot alone; from each of the others a leading dot is taken back.
async fn data(stream: &mut BufReader<TcpStream>) -> std::io::Result<String> {
    let mut text = String::new();
    loop {
        let mut line = String::new();
        if stream.read_line(&mut line).await? == 0 {
            return Err(std::io::ErrorKind::UnexpectedEof.into());
        }
        if line == ".\r\n" {
            return Ok(text);
        }
        text.push_str(line.strip_prefix('.').unwrap_or(&line));
    }
}
