//! What every request passes: an id, a catch for panics, and the writing of problems.

use std::any::Any;
use std::panic::AssertUnwindSafe;
use std::time::{Duration, Instant};

use axum::body::Body;
use axum::extract::{MatchedPath, Request, State};
use axum::http::{HeaderName, HeaderValue, Method, StatusCode, header};
use axum::middleware::Next;
use axum::response::{IntoResponse as _, Response};
use futures::FutureExt as _;
use tower_http::cors::{AllowOrigin, CorsLayer};
use tracing::Instrument as _;
use uuid::Uuid;

use crate::metrics::Metrics;
use crate::problem::{Code, Problem};
use crate::{trace, unread};

const REQUEST_ID: HeaderName = HeaderName::from_static("x-request-id");
/// Longest id taken from a client: a UUID has 36 characters, a W3C trace parent 55.
const REQUEST_ID_MAX: usize = 128;

/// The id of a request: the client's, or a fresh one.
fn request_id(request: &Request) -> String {
    let given = request.headers().get(REQUEST_ID).and_then(|v| v.to_str().ok());
    let plain = |id: &&str| {
        (1..=REQUEST_ID_MAX).contains(&id.len())
            && id.bytes().all(|b| b.is_ascii_alphanumeric() || b"-_.:/+=".contains(&b))
    };
    given.filter(plain).map_or_else(|| Uuid::now_v7().simple().to_string(), str::to_owned)
}

/// The id of a request, for whoever handles it.
#[derive(Debug, Clone)]
pub(crate) struct RequestId(pub(crate) String);

/// Runs a request and writes what comes out of it.
pub(crate) async fn pass(State(metrics): State<Metrics>, mut request: Request, next: Next) -> Response {
    let id = request_id(&request);
    request.extensions_mut().insert(RequestId(id.clone()));
    let (method, path) = (request.method().clone(), request.uri().path().to_owned());
    let route = request.extensions().get::<MatchedPath>().cloned();
    let (begun, _running) = (Instant::now(), metrics.begun());
    let (request, read) = unread::watched(request);
    let span = trace::of(&request, route.as_ref().map(MatchedPath::as_str), &id);
    let mut response = match AssertUnwindSafe(next.run(request)).catch_unwind().instrument(span.clone()).await
    {
        Ok(response) => response,
        Err(panic) => Problem::internal(format!("panic: {}", words(panic.as_ref()))).into_response(),
    };
    if let Some(problem) = response.extensions_mut().remove::<Problem>() {
        response = write(problem, &id);
    } else if response.status().is_client_error() || response.status().is_server_error() {
        let status = response.status();
        let allow = response.headers().get(header::ALLOW).cloned();
        response = write(stray(status), &id);
        if let Some(allow) = allow {
            response.headers_mut().insert(header::ALLOW, allow);
        }
    }
    read.told(&mut response);
    let status = response.status();
    span.record("http.response.status_code", status.as_u16());
    let route = route.as_ref().map(MatchedPath::as_str);
    metrics.answered(counted(&method), route, status.as_u16(), begun.elapsed());
    tracing::debug!(%method, path, status = status.as_u16(), request_id = id, "answered");
    if let Ok(value) = HeaderValue::from_str(&id) {
        response.headers_mut().insert(REQUEST_ID, value);
    }
    response
}

/// A method as it is counted: what a client makes up is one word.
fn counted(method: &Method) -> &'static str {
    match *method {
        Method::GET => "GET",
        Method::PUT => "PUT",
        Method::POST => "POST",
        Method::DELETE => "DELETE",
        Method::HEAD => "HEAD",
        Method::OPTIONS => "OPTIONS",
        _ => "other",
    }
}

/// Which web pages may call from a browser, and what they may send and see.
pub(crate) fn pages(origins: &[String]) -> CorsLayer {
    const PREFLIGHT_KEPT: Duration = Duration::from_secs(600);
    let allowed = match origins.iter().any(|origin| origin == "*") {
        true => AllowOrigin::any(),
        false => AllowOrigin::list(origins.iter().filter_map(|origin| HeaderValue::from_str(origin).ok())),
    };
    let named = |names: &[&'static str]| -> Vec<HeaderName> {
        names.iter().map(|name| HeaderName::from_static(name)).collect()
    };
    CorsLayer::new()
        .allow_origin(allowed)
        .allow_methods([Method::GET, Method::PUT, Method::POST, Method::DELETE])
        .allow_headers(named(&[
            "authorization",
            "content-type",
            "idempotency-key",
            "if-match",
            "last-event-id",
            "prefer",
            "x-request-id",
        ]))
        .expose_headers(named(&[
            "etag",
            "location",
            "preference-applied",
            "ratelimit",
            "ratelimit-policy",
            "retry-after",
            "x-request-id",
        ]))
        .max_age(PREFLIGHT_KEPT)
}

fn write(problem: Problem, id: &str) -> Response {
    match (&problem.cause, problem.code.status()) {
        (Some(cause), 500..) => {
            tracing::error!(trace_id = id, code = problem.code.as_str(), cause, "could not answer")
        }
        (Some(cause), _) => tracing::info!(trace_id = id, code = problem.code.as_str(), cause, "refused"),
        (None, _) => {
            tracing::debug!(trace_id = id, code = problem.code.as_str(), detail = problem.detail, "refused")
        }
    }
    let mut response = Response::new(Body::from(problem.body(id)));
    *response.status_mut() = problem.status();
    *response.headers_mut() = *problem.headers;
    let kind = HeaderValue::from_static("application/problem+json");
    response.headers_mut().insert(header::CONTENT_TYPE, kind);
    response.headers_mut().insert(header::CACHE_CONTROL, HeaderValue::from_static("no-store"));
    response
}

/// An error answer of the framework, as a problem.
fn stray(status: StatusCode) -> Problem {
    let code = match status {
        StatusCode::NOT_FOUND => Code::UnknownRoute,
        StatusCode::METHOD_NOT_ALLOWED => Code::MethodNotAllowed,
        StatusCode::PAYLOAD_TOO_LARGE => Code::TooLarge,
        StatusCode::UNSUPPORTED_MEDIA_TYPE => Code::UnsupportedMediaType,
        status if status.is_client_error() => Code::BadRequest,
        _ => return Problem::internal(format!("an answer of status {status} without a problem")),
    };
    Problem::new(code, code.title())
}

fn words(panic: &(dyn Any + Send)) -> &str {
    let text = panic.downcast_ref::<&str>().copied();
    text.or_else(|| panic.downcast_ref::<String>().map(String::as_str)).unwrap_or("no words")
}
