//! What every request passes: an id, a catch for panics, and the writing of problems.

use std::any::Any;
use std::panic::AssertUnwindSafe;

use axum::body::Body;
use axum::extract::Request;
use axum::http::{HeaderName, HeaderValue, StatusCode, header};
use axum::middleware::Next;
use axum::response::{IntoResponse as _, Response};
use futures::FutureExt as _;
use uuid::Uuid;

use crate::problem::{Code, Problem};

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

/// Runs a request and writes what comes out of it.
pub(crate) async fn pass(request: Request, next: Next) -> Response {
    let id = request_id(&request);
    let (method, path) = (request.method().clone(), request.uri().path().to_owned());
    let mut response = match AssertUnwindSafe(next.run(request)).catch_unwind().await {
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
    let status = response.status();
    tracing::debug!(%method, path, status = status.as_u16(), request_id = id, "answered");
    if let Ok(value) = HeaderValue::from_str(&id) {
        response.headers_mut().insert(REQUEST_ID, value);
    }
    response
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
