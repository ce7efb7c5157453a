//! Figures for Prometheus: what was answered, how long it took, and what the store did. Served on an address of its own,
//! which is the operator's and not the shoppers'.

use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use axum::Router;
use axum::extract::State;
use axum::http::header;
use axum::response::{IntoResponse as _, Response};
use axum::routing::get;
use prometheus_client::collector::Collector;
use prometheus_client::encoding::text::encode;
use prometheus_client::encoding::{DescriptorEncoder, EncodeLabelSet, EncodeMetric as _};
use prometheus_client::metrics::counter::{ConstCounter, Counter};
use prometheus_client::metrics::family::Family;
use prometheus_client::metrics::gauge::Gauge;
use prometheus_client::metrics::histogram::{Histogram, exponential_buckets};
use prometheus_client::registry::Registry;
use till_store::Store;

use crate::problem::Problem;

/// Labels of an answer. Paths are those of routes, with the names of what varies, so that there are as many as routes.
#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
struct Answered {
    method: String,
    route: String,
    status: u16,
}

/// Labels of a time.
#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
struct Route {
    method: String,
    route: String,
}

/// What this process counts. Cheap to clone.
#[derive(Clone)]
pub struct Metrics {
    answers: Family<Answered, Counter>,
    seconds: Family<Route, Histogram>,
    running: Gauge,
    registry: Arc<Registry>,
}

impl fmt::Debug for Metrics {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Metrics").finish_non_exhaustive()
    }
}

/// Commits and transactions since the start, asked for when somebody looks.
#[derive(Debug)]
struct StoreCounts(Arc<StoreOf>);

struct StoreOf(Arc<Store>);

impl fmt::Debug for StoreOf {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Store")
    }
}

impl Collector for StoreCounts {
    fn encode(&self, mut encoder: DescriptorEncoder<'_>) -> Result<(), fmt::Error> {
        let (commits, transactions) = self.0.0.counts();
        for (name, help, count) in [
            ("till_store_commits", "Durable commits", commits),
            ("till_store_transactions", "Transactions committed", transactions),
        ] {
            let counter = ConstCounter::new(count);
            counter.encode(encoder.encode_descriptor(name, help, None, counter.metric_type())?)?;
        }
        Ok(())
    }
}

impl Metrics {
    /// All at zero.
    pub fn new(store: Arc<Store>) -> Metrics {
        let answers = Family::default();
        let seconds = Family::new_with_constructor(histogram as fn() -> Histogram);
        let running = Gauge::default();
        let mut registry = Registry::default();
        registry.register("till_http_requests", "Requests answered", answers.clone());
        registry.register(
            "till_http_request_duration_seconds",
            "Time to the head of the answer",
            seconds.clone(),
        );
        registry.register("till_http_requests_running", "Requests that are being answered", running.clone());
        registry.register_collector(Box::new(StoreCounts(Arc::new(StoreOf(store)))));
        Metrics { answers, seconds, running, registry: Arc::new(registry) }
    }

    /// A request has come.
    pub(crate) fn begun(&self) -> Running {
        self.running.inc();
        Running(self.running.clone())
    }

    /// It was answered.
    pub(crate) fn answered(&self, method: &str, route: Option<&str>, status: u16, after: Duration) {
        let (method, route) = (method.to_owned(), route.unwrap_or("none").to_owned());
        self.seconds
            .get_or_create(&Route { method: method.clone(), route: route.clone() })
            .observe(after.as_secs_f64());
        self.answers.get_or_create(&Answered { method, route, status }).inc();
    }
}

/// 1 ms to 16 s: a cart from memory, and a submit that waits for its gateway.
fn histogram() -> Histogram {
    Histogram::new(exponential_buckets(0.001, 2.0, 15))
}

/// A request that is being answered.
pub(crate) struct Running(Gauge);

impl Drop for Running {
    fn drop(&mut self) {
        self.0.dec();
    }
}

/// `GET /metrics`, and nothing else.
pub fn metrics_router(metrics: Metrics) -> Router {
    Router::new().route("/metrics", get(show)).with_state(metrics)
}

async fn show(State(metrics): State<Metrics>) -> Response {
    let mut text = String::new();
    if let Err(error) = encode(&mut text, &metrics.registry) {
        return Problem::internal(error).into_response();
    }
    let kind = "application/openmetrics-text; version=1.0.0; charset=utf-8";
    ([(header::CONTENT_TYPE, kind)], text).into_response()
}
