//! The trace of a request: its own if the client has begun one (W3C Trace Context), else a fresh one. What follows
//! from the request, down to the calls of components, is under it.

use axum::extract::Request;
use axum::http::HeaderMap;
use opentelemetry::propagation::Extractor;
use tracing::Span;
use tracing_opentelemetry::OpenTelemetrySpanExt as _;

struct Headers<'h>(&'h HeaderMap);

impl Extractor for Headers<'_> {
    fn get(&self, key: &str) -> Option<&str> {
        self.0.get(key).and_then(|value| value.to_str().ok())
    }

    fn keys(&self) -> Vec<&str> {
        self.0.keys().map(axum::http::HeaderName::as_str).collect()
    }
}

/// The span of a request. Paths are those of routes: ids of shoppers are in no trace.
pub(crate) fn of(request: &Request, route: Option<&str>, id: &str) -> Span {
    let span = tracing::debug_span!(
        target: "till::trace",
        "http",
        otel.name = %format_args!("{} {}", request.method(), route.unwrap_or("unknown route")),
        otel.kind = "server",
        http.request.method = %request.method(),
        http.route = route,
        till.request = id,
        http.response.status_code = tracing::field::Empty,
    );
    if !span.is_disabled() {
        let begun = opentelemetry::global::get_text_map_propagator(|known| {
            known.extract(&Headers(request.headers()))
        });
        // Where no trace was begun, or none is kept, the span begins one.
        let _ = span.set_parent(begun);
    }
    span
}
