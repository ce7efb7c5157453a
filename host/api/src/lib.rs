//! The edge: HTTP in, HTTP out, and nothing decided here.
//!
//! Owns routes, tokens, problems (RFC 9457), the shapes that clients read, and the connections. Must not
//! know tables, components' insides or how a checkout moves: it calls [`till_commerce::Shop`], the workflow
//! runner and the registry. The only room with status codes. Read first: [`App`], [`router`], `problem.rs`
//! (every error and its code), `read.rs` (how bodies are read) and `wire` (what clients read).
//!
//! ```no_run
//! # async fn demo(app: till_api::App) -> std::io::Result<()> {
//! let listener = tokio::net::TcpListener::bind("127.0.0.1:8080").await?;
//! let stop = async { tokio::signal::ctrl_c().await.unwrap_or_default() };
//! till_api::serve(listener, till_api::router(app), stop).await
//! # }
//! ```

mod audit;
mod auth;
mod edge;
mod keys;
mod metrics;
mod openapi;
mod problem;
mod rate;
mod read;
mod routes;
mod seats;
mod serve;
#[cfg(test)]
mod tests;
mod trace;
mod unread;
mod upload;
mod wire;

use std::sync::Arc;

use axum::Router;
use till_commerce::Shop;
use till_commerce::events::Events;
use till_engine::runner::Runner;
use till_registry::Registry;
use till_store::Store;

pub use auth::{Auth, AuthError, Claims};
pub use keys::{KEY_SET_BYTES_MAX, KeySet};
pub use metrics::{Metrics, metrics_router};
pub use serve::serve;

/// What the routes call. Cheap to clone.
#[derive(Clone)]
pub struct App {
    /// Catalog, carts, checkouts, orders.
    pub shop: Arc<Shop>,
    /// Workflow instances, and the clock.
    pub runner: Arc<Runner<Store>>,
    /// The log of events, and who is told.
    pub events: Arc<Events>,
    /// Merchants' components.
    pub registry: Arc<Registry>,
    /// Keys for tokens.
    pub auth: Auth,
    /// Counts what is answered.
    pub metrics: Metrics,
    /// Web pages of these origins may call from a browser: `https://shop.example`; `*`: all of them.
    pub origins: Arc<[String]>,
}

/// All routes, each behind request ids, problems and a catch for panics.
pub fn router(app: App) -> Router {
    routes::all()
        .layer(axum::middleware::from_fn_with_state(app.clone(), audit::noted))
        .layer(axum::middleware::from_fn_with_state(app.clone(), rate::limited))
        .layer(axum::middleware::from_fn_with_state(app.metrics.clone(), edge::pass))
        .layer(edge::pages(&app.origins))
        .with_state(app)
}

/// The OpenAPI document of all routes, as JSON text.
pub fn openapi() -> String {
    openapi::document()
}

/// The stable codes of problems, each with its status and title.
pub fn problem_codes() -> impl Iterator<Item = (&'static str, u16, &'static str)> {
    problem::Code::ALL.iter().map(|code| (code.as_str(), code.status(), code.title()))
}
