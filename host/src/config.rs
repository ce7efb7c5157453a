//! `till.toml`: settings of this host. Unknown keys are errors; flags and environment go before it.

use std::path::{Path, PathBuf};
use std::time::Duration;

use anyhow::Context as _;
use serde::Deserialize;
use till_commerce::events::notify::{Smtp, SmtpTls};

/// Settings of this host.
#[derive(Debug, Clone, Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Config {
    /// Address to listen on: `127.0.0.1:8080`.
    pub listen: Option<String>,
    /// `till.db`, or `postgres://…`.
    pub database: Option<String>,
    /// Folder for components' machine code, writable by this user alone; none: beside the database file.
    pub code_cache: Option<PathBuf>,
    /// Folder with workflow files; none: those built in.
    pub workflows: Option<PathBuf>,
    /// Secret of HS256 tokens, at least 32 bytes.
    pub jwt_secret: Option<String>,
    /// Public key of RS256 or EdDSA tokens, PEM.
    pub jwt_public_key: Option<PathBuf>,
    /// Address of the JSON Web Key Set of whoever signs tokens: `https://login.example/.well-known/jwks.json`. It is
    /// fetched every ten minutes, and when a token names a key that is not in it.
    pub jwks_url: Option<String>,
    /// Takes tokens with this `iss` only; none: `iss` is not looked at.
    pub jwt_issuer: Option<String>,
    /// Takes tokens with this `aud` only; none: `aud` is not looked at.
    pub jwt_audience: Option<String>,
    /// How the log is written to stderr.
    pub log_format: LogFormat,
    /// Collector that takes traces; none: there are none.
    pub traces: Option<TracesConfig>,
    /// Key that seals merchants' secrets: 32 random bytes in base64, the same for all hosts of a database. None: on
    /// SQLite one is made and kept beside the database file.
    pub secrets_key: Option<String>,
    /// Origins of web pages that may call from a browser: `["https://shop.example"]`; `["*"]`: all. None: no page may.
    pub cors_origins: Vec<String>,
    /// Address that serves `/metrics` to Prometheus: `127.0.0.1:9090`; none: nobody does.
    pub metrics_listen: Option<String>,
    /// Server that takes mail to customers; none: mail waits for a host that has one.
    pub smtp: Option<SmtpConfig>,
    /// NATS server that takes the events of merchants who want it: `nats://user:password@host:4222`.
    pub nats_url: Option<String>,
    /// Its JetStream stream; `till` without. It is made where it is not there.
    pub nats_stream: Option<String>,
}

/// The operator's collector of traces.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct TracesConfig {
    /// OTLP over HTTP as JSON: `http://127.0.0.1:4318/v1/traces`.
    pub endpoint: String,
    /// Parts per million of the requests that are traced where the client has not begun a trace itself; 1,000,000 is
    /// all of them, which they are without.
    #[serde(default = "all_of_them")]
    pub share_ppm: u32,
}

fn all_of_them() -> u32 {
    1_000_000
}

/// How the log is written.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum LogFormat {
    /// A line for people.
    #[default]
    Text,
    /// A JSON object in each line: `timestamp`, `level`, `target`, `fields`, `spans`.
    Json,
}

/// The operator's SMTP server.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct SmtpConfig {
    /// Its name.
    pub host: String,
    /// None: 465 with implicit TLS, else 587.
    pub port: Option<u16>,
    /// `implicit`, `starttls` or `none`.
    #[serde(default)]
    pub tls: TlsMode,
    /// Who logs in; none: nobody.
    pub user: Option<String>,
    /// With it. TILL_SMTP_PASSWORD goes before it.
    pub password: Option<String>,
    /// Seconds that a letter may take, at most 15.
    #[serde(default = "longest")]
    pub timeout_s: u64,
    /// Right side of each `Message-ID`: the same on all hosts of a database, and never changed.
    pub domain: String,
}

fn longest() -> u64 {
    15
}

/// How the connection is kept private.
#[derive(Debug, Clone, Copy, Default, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum TlsMode {
    /// TLS from the first byte.
    #[default]
    Implicit,
    /// `STARTTLS`, or nothing is sent.
    StartTls,
    /// Not at all.
    None,
}

impl From<SmtpConfig> for Smtp {
    fn from(config: SmtpConfig) -> Smtp {
        let tls = match config.tls {
            TlsMode::Implicit => SmtpTls::Implicit,
            TlsMode::StartTls => SmtpTls::StartTls,
            TlsMode::None => SmtpTls::None,
        };
        let SmtpConfig { host, port, user, password, timeout_s, domain, .. } = config;
        Smtp { host, port, tls, user, password, timeout: Duration::from_secs(timeout_s), domain }
    }
}

impl Config {
    /// Reads a file; a file that is not there is an empty one only if it was not asked for.
    pub fn read(path: Option<&Path>) -> anyhow::Result<Config> {
        let (path, asked) = match path {
            Some(path) => (path.to_owned(), true),
            None => (PathBuf::from("till.toml"), false),
        };
        match std::fs::read_to_string(&path) {
            Ok(text) => toml::from_str(&text).with_context(|| format!("read {}", path.display())),
            Err(error) if error.kind() == std::io::ErrorKind::NotFound && !asked => Ok(Config::default()),
            Err(error) => Err(error).with_context(|| format!("read {}", path.display())),
        }
    }
}
