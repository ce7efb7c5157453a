//! What the host says of itself: a log on stderr, and traces for a collector.

use std::time::Duration;

use anyhow::{Context as _, bail};
use opentelemetry::trace::TracerProvider as _;
use opentelemetry_otlp::{Protocol, SpanExporter, WithExportConfig as _};
use opentelemetry_sdk::Resource;
use opentelemetry_sdk::propagation::TraceContextPropagator;
use opentelemetry_sdk::trace::{Sampler, SdkTracerProvider};
use tracing_subscriber::filter::{FilterFn, LevelFilter};
use tracing_subscriber::layer::{Layer as _, SubscriberExt as _};
use tracing_subscriber::util::SubscriberInitExt as _;
use tracing_subscriber::{EnvFilter, fmt};

use crate::config::{LogFormat, TracesConfig};

/// Target of the spans that traces are made of. The log leaves them out.
const TRACE: &str = "till::trace";
/// A collector that has not taken spans by then gets others; those are lost.
const EXPORT_TIME: Duration = Duration::from_secs(5);

/// Traces on their way; ended with the host.
pub struct Traces(Option<SdkTracerProvider>);

impl Traces {
    /// Sends what is still here.
    pub async fn end(self) {
        let Some(provider) = self.0 else { return };
        // It waits for a thread.
        let ended = tokio::task::spawn_blocking(move || provider.shutdown()).await;
        if let Ok(Err(error)) = ended {
            tracing::warn!(%error, "send the last traces");
        }
    }
}

/// Begins to write the log, of which `RUST_LOG` says how much, and to send traces, where the operator wants them.
pub fn begin(format: LogFormat, traces: Option<&TracesConfig>) -> anyhow::Result<Traces> {
    let provider = traces.map(provider).transpose()?;
    let filter = EnvFilter::try_from_default_env().unwrap_or_else(|_| "info".into());
    let log = fmt::layer().with_writer(std::io::stderr);
    let log = match format {
        LogFormat::Text => log.with_filter(filter).boxed(),
        LogFormat::Json => log.json().with_filter(filter).boxed(),
    };
    let sent = provider.as_ref().map(|provider| {
        let only =
            FilterFn::new(|metadata| metadata.target() == TRACE).with_max_level_hint(LevelFilter::DEBUG);
        tracing_opentelemetry::layer()
            .with_tracer(provider.tracer("till"))
            .with_location(false)
            .with_threads(false)
            .with_target(false)
            .with_filter(only)
    });
    tracing_subscriber::registry().with(log).with(sent).init();
    Ok(Traces(provider))
}

fn provider(config: &TracesConfig) -> anyhow::Result<SdkTracerProvider> {
    if config.share_ppm > 1_000_000 {
        bail!(
            "`traces.share_ppm` is {}; at most 1000000 are possible, which is all requests",
            config.share_ppm
        );
    }
    let exporter = SpanExporter::builder()
        .with_http()
        .with_protocol(Protocol::HttpJson)
        .with_endpoint(&config.endpoint)
        .with_timeout(EXPORT_TIME)
        .build()
        .with_context(|| format!("use `traces.endpoint` {}", config.endpoint))?;
    opentelemetry::global::set_text_map_propagator(TraceContextPropagator::new());
    #[expect(
        clippy::disallowed_types,
        clippy::float_arithmetic,
        reason = "the sampler takes a float; it is no money"
    )]
    let share = f64::from(config.share_ppm) / 1_000_000.0;
    // Who has begun a trace has decided whether it is kept.
    let sampler = Sampler::ParentBased(Box::new(Sampler::TraceIdRatioBased(share)));
    let host = Resource::builder().with_service_name("till").build();
    Ok(SdkTracerProvider::builder()
        .with_batch_exporter(exporter)
        .with_sampler(sampler)
        .with_resource(host)
        .build())
}
