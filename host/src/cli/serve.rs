//! `till serve`: the host.

use std::io::Write as _;
use std::path::PathBuf;
use std::process::ExitCode;
use std::sync::Arc;
use std::time::Duration;

use anyhow::{Context as _, bail};
use clap::Args;
use till_api::{App, Auth, Metrics};
use till_commerce::Shop;
use till_commerce::events::Events;
use till_registry::Collected;

use crate::clock::SystemClock;
use crate::config::{Config, SmtpConfig};
use crate::{cli::seed, keys, log, wiring};

/// How long a stop waits for what is being driven.
const DRAIN: Duration = Duration::from_secs(20);
/// How often canaries are judged: one that fails is gone before many shoppers meet it.
const TEND_EVERY: Duration = Duration::from_millis(200);
/// How often the outbox and the deliveries that are due are looked at, when nothing was there.
const TELL_EVERY: Duration = Duration::from_millis(200);
/// How often reservations are looked through for those whose time has run out: stock is back a second later at most.
const EXPIRE_EVERY: Duration = Duration::from_secs(1);
/// Points expire by the day: an hour late is early enough.
const POINTS_EVERY: Duration = Duration::from_secs(3600);
/// A shopper who left half a minute ago has left no less than one who left just now.
const LEFT_EVERY: Duration = Duration::from_secs(30);
/// How often freed memory goes back to the system.
const GIVE_BACK_EVERY: Duration = Duration::from_secs(1);
/// How often remembered commands, and components, tables, uploads and differences are looked through for old ones.
const SWEEP_EVERY: Duration = Duration::from_secs(600);

/// Where and on what.
#[derive(Args)]
pub struct Serve {
    /// Address to listen on; port 0 takes a free one [default: 127.0.0.1:8080].
    #[arg(long, env = "TILL_LISTEN")]
    listen: Option<String>,
    /// SQLite file or PostgreSQL URL [default: till.db].
    #[arg(long, env = "DATABASE_URL")]
    database: Option<String>,
    /// Folder for components' machine code, writable by this user alone [default: beside the database file].
    #[arg(long, env = "TILL_CODE_CACHE", value_name = "DIR")]
    code_cache: Option<PathBuf>,
    /// Key that seals merchants' secrets, 32 bytes in base64 [default: made beside a SQLite file].
    #[arg(long, env = "TILL_SECRETS_KEY", hide_env_values = true)]
    secrets_key: Option<String>,
    /// Folder with workflow files that replace those built in.
    #[arg(long, value_name = "DIR")]
    workflows: Option<PathBuf>,
    /// A first shop, planted once.
    #[arg(long, value_name = "FILE")]
    seed: Option<PathBuf>,
    /// Secret of HS256 tokens, at least 32 bytes.
    #[arg(long, env = "TILL_JWT_SECRET", hide_env_values = true)]
    jwt_secret: Option<String>,
    /// NATS server that takes events: `nats://user:password@host:4222`.
    #[arg(long, env = "TILL_NATS_URL", hide_env_values = true)]
    nats_url: Option<String>,
    /// Password for the SMTP server that till.toml names.
    #[arg(long, env = "TILL_SMTP_PASSWORD", hide_env_values = true)]
    smtp_password: Option<String>,
}

/// Serves until SIGTERM or Ctrl-C, then finishes what runs.
pub async fn run(serve: Serve, config: Config) -> anyhow::Result<ExitCode> {
    let _ = rustls::crypto::ring::default_provider().install_default();
    let traces = log::begin(config.log_format, config.traces.as_ref())?;
    let auth = auth(serve.jwt_secret.or(config.jwt_secret), config.jwt_public_key.as_deref())?;
    let auth = auth.only(config.jwt_issuer.as_deref(), config.jwt_audience.as_deref());
    let auth = match &config.jwks_url {
        Some(url) => auth.key_set(keys::follow(url).await?),
        None => auth,
    };
    if !auth.has_keys() {
        bail!(
            "nobody could log in: give --jwt-secret, TILL_JWT_SECRET, or jwt_secret, jwt_public_key or jwks_url in till.toml"
        );
    }
    let database = serve.database.or(config.database).unwrap_or_else(|| "till.db".to_owned());
    let listen = serve.listen.or(config.listen).unwrap_or_else(|| "127.0.0.1:8080".to_owned());
    let workflows = serve.workflows.or(config.workflows);
    let code_cache = serve.code_cache.or(config.code_cache);
    let secrets_key = serve.secrets_key.or(config.secrets_key);
    let smtp = config.smtp.map(|smtp| SmtpConfig { password: serve.smtp_password.or(smtp.password), ..smtp });
    let outside = wiring::Outside {
        smtp,
        nats_url: serve.nats_url.or(config.nats_url),
        nats_stream: config.nats_stream,
    };
    let house = wiring::build(
        &database,
        code_cache.as_deref(),
        secrets_key.as_deref(),
        workflows.as_deref(),
        outside,
        Arc::new(SystemClock),
    )
    .await?;
    if let Some(seed) = &serve.seed {
        seed::plant(&house, seed).await?;
    }
    if let Err(error) = house.shop.index_products().await {
        tracing::error!(%error, "index the catalog; products written since are found");
    }
    let metrics = Metrics::new(house.store.clone());
    let app = App {
        shop: house.shop.clone(),
        runner: house.runner.clone(),
        events: house.events.clone(),
        registry: house.registry.clone(),
        auth,
        metrics: metrics.clone(),
        origins: config.cors_origins.into(),
    };
    let listener =
        tokio::net::TcpListener::bind(&listen).await.with_context(|| format!("listen on {listen}"))?;
    println!("till is listening on http://{}", listener.local_addr()?);
    std::io::stdout().flush()?;
    if let Some(address) = &config.metrics_listen {
        let listener = tokio::net::TcpListener::bind(address).await;
        let listener = listener.with_context(|| format!("listen on {address} for /metrics"))?;
        tracing::info!(address = %listener.local_addr()?, "figures are at /metrics");
        let metrics = till_api::metrics_router(metrics);
        tokio::spawn(till_api::serve(listener, metrics, std::future::pending()));
    }
    let poll = tokio::spawn(house.runner.clone().poll());
    let (shop, registry, clock) = (house.shop.clone(), house.registry.clone(), house.runner.clock().clone());
    let sweep = tokio::spawn(async move {
        loop {
            tokio::time::sleep(SWEEP_EVERY).await;
            if let Err(error) = shop.forget_commands().await {
                tracing::warn!(%error, "forget old commands");
            }
            if let Err(error) = shop.forget_calls().await {
                tracing::warn!(%error, "forget who called");
            }
            registry.trim();
            match registry.collect(clock.now_us()).await {
                Ok(none) if none == Collected::default() => {}
                Ok(gone) => tracing::info!(
                    components = gone.components,
                    tables = gone.tables,
                    uploads = gone.uploads,
                    differences = gone.differences,
                    "what nobody needs any more is gone"
                ),
                Err(error) => tracing::warn!(%error, "collect what nobody needs any more"),
            }
        }
    });
    let (registry, clock) = (house.registry.clone(), house.runner.clock().clone());
    let tend = tokio::spawn(async move {
        loop {
            tokio::time::sleep(TEND_EVERY).await;
            if let Err(error) = registry.tend(clock.now_us()).await {
                tracing::warn!(%error, "look after canaries");
            }
        }
    });
    let expire = tokio::spawn(expire(house.shop.clone()));
    let points = tokio::spawn(expire_points(house.shop.clone()));
    let left = tokio::spawn(tell_abandoned(house.shop.clone()));
    let tell = tokio::spawn(tell(house.events.clone(), house.shop.clone()));
    let deliver = tokio::spawn(deliver(house.events.clone()));
    let tidy = tokio::spawn(async {
        loop {
            tokio::time::sleep(GIVE_BACK_EVERY).await;
            crate::memory::give_back();
        }
    });
    let followed = house.events.clone();
    let stop = async move {
        stop_signal().await;
        // They would keep their connections until the last moment.
        followed.stop();
    };
    till_api::serve(listener, till_api::router(app), stop).await?;
    tidy.abort();
    tell.abort();
    expire.abort();
    points.abort();
    left.abort();
    deliver.abort();
    sweep.abort();
    tend.abort();
    if !house.runner.drain(DRAIN).await {
        tracing::warn!("stop although work is under way; it goes on at the next start");
    }
    let _ = poll.await;
    house.store.close().await;
    traces.end().await;
    Ok(ExitCode::SUCCESS)
}

/// Takes points away that are too old, for as long as the host runs.
async fn expire_points(shop: Arc<Shop>) {
    loop {
        match shop.expire_points().await {
            Ok(0) => {}
            Ok(customers) => tracing::info!(customers, "points have expired"),
            Err(error) => tracing::warn!(%error, "expire points"),
        }
        tokio::time::sleep(POINTS_EVERY).await;
    }
}

/// Tells carts that their shoppers have left, for as long as the host runs.
async fn tell_abandoned(shop: Arc<Shop>) {
    loop {
        match shop.tell_abandoned().await {
            Ok(0) => {}
            Ok(carts) => tracing::info!(carts, "carts were left"),
            Err(error) => tracing::warn!(%error, "tell carts that were left"),
        }
        tokio::time::sleep(LEFT_EVERY).await;
    }
}

/// Gives back what reservations hold whose time has run out, for as long as the host runs.
async fn expire(shop: Arc<Shop>) {
    loop {
        match shop.expire_reservations().await {
            Ok(ended) if ended > 0 => continue,
            Ok(_) => {}
            Err(error) => tracing::warn!(%error, "end reservations"),
        }
        tokio::time::sleep(EXPIRE_EVERY).await;
    }
}

/// Moves what happened into the log and begins the parcels that follow, for as long as the host runs.
async fn tell(events: Arc<Events>, shop: Arc<Shop>) {
    loop {
        let told = events.relay().await;
        if let Err(error) = shop.start_shipments().await {
            tracing::warn!(%error, "begin parcels");
        }
        match told {
            // There may be more.
            Ok(told) if told > 0 => continue,
            Ok(_) => {}
            Err(error) => tracing::warn!(%error, "tell what happened"),
        }
        tokio::time::sleep(TELL_EVERY).await;
    }
}

/// Tells those outside, for as long as the host runs.
async fn deliver(events: Arc<Events>) {
    loop {
        match events.deliver().await {
            Ok(tried) if tried > 0 => continue,
            Ok(_) => {}
            Err(error) => tracing::warn!(%error, "deliver events"),
        }
        tokio::time::sleep(TELL_EVERY).await;
    }
}

fn auth(secret: Option<String>, public_key: Option<&std::path::Path>) -> anyhow::Result<Auth> {
    let mut auth = Auth::none();
    if let Some(secret) = secret {
        auth = auth.hs256(secret.as_bytes())?;
    }
    if let Some(path) = public_key {
        let pem = std::fs::read_to_string(path).with_context(|| format!("read {}", path.display()))?;
        auth = match auth.clone().rs256(&pem) {
            Ok(auth) => auth,
            Err(_) => auth
                .eddsa(&pem)
                .with_context(|| format!("{} is neither an RSA nor an Ed25519 key", path.display()))?,
        };
    }
    Ok(auth)
}

async fn stop_signal() {
    let mut term = match tokio::signal::unix::signal(tokio::signal::unix::SignalKind::terminate()) {
        Ok(term) => term,
        Err(error) => {
            tracing::warn!(%error, "SIGTERM will end the host at once");
            return std::future::pending().await;
        }
    };
    tokio::select! {
        _ = term.recv() => {}
        _ = tokio::signal::ctrl_c() => {}
    }
    tracing::info!("stop: no new work is taken");
}
