//! The audit log: who of a merchant commanded what. A command is noted before it is done and its answer after, so what
//! a host did not live to answer stands there without one. Bodies are not kept: they hold secrets and what is personal.

use axum::extract::{FromRequestParts as _, MatchedPath, Request, State};
use axum::http::Method;
use axum::middleware::Next;
use axum::response::{IntoResponse as _, Response};
use till_commerce::AuditRow;

use crate::App;
use crate::auth::Caller;
use crate::edge::RequestId;
use crate::problem::Problem;

/// Longest path that is kept, bytes.
const PATH_BYTES_MAX: usize = 512;

/// Whether a request is a command of a merchant's.
fn is_command(method: &Method, path: &str) -> bool {
    let of_merchant = path.starts_with("/api/v1/admin/")
        || path.starts_with("/api/v1/workflows/") && path.ends_with("/operate");
    of_merchant && !method.is_safe()
}

/// Notes commands of merchants. What has no good token is refused behind this, and is nobody's.
pub(crate) async fn noted(State(app): State<App>, request: Request, next: Next) -> Response {
    if !is_command(request.method(), request.uri().path()) {
        return next.run(request).await;
    }
    let Some(route) = request.extensions().get::<MatchedPath>().map(|path| path.as_str().to_owned()) else {
        return next.run(request).await;
    };
    let (mut parts, body) = request.into_parts();
    let caller = Caller::from_request_parts(&mut parts, &app).await;
    let request = Request::from_parts(parts, body);
    let Ok(caller) = caller else { return next.run(request).await };
    // Whom nothing of the merchant's is open to is refused behind this, and commands nothing.
    if !caller.is_staff() {
        return next.run(request).await;
    }
    let path = request.uri().path();
    let cut = (0..=PATH_BYTES_MAX.min(path.len())).rev().find(|at| path.is_char_boundary(*at));
    let row = AuditRow {
        id: String::new(),
        at_us: 0,
        actor: caller.sub,
        method: request.method().as_str().to_owned(),
        route,
        path: path[..cut.unwrap_or(0)].to_owned(),
        request: request.extensions().get::<RequestId>().map(|id| id.0.clone()).unwrap_or_default(),
        status: None,
    };
    let id = match app.shop.audit_begun(&caller.merchant, row).await {
        Ok(id) => id,
        // What cannot be noted is not done.
        Err(error) => return Problem::from(error).into_response(),
    };
    till_engine::crash::point("audit.begun");
    let response = next.run(request).await;
    let status = response.extensions().get::<Problem>().map_or(response.status(), Problem::status);
    if let Err(error) = app.shop.audit_ended(&caller.merchant, &id, status.as_u16()).await {
        tracing::warn!(%error, id, "note how a command was answered");
    }
    response
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn commands_are_what_changes_something_of_a_merchant() {
        assert!(is_command(&Method::PUT, "/api/v1/admin/settings"));
        assert!(is_command(&Method::POST, "/api/v1/workflows/checkout/instances/a/operate"));
        assert!(!is_command(&Method::GET, "/api/v1/admin/settings"));
        assert!(!is_command(&Method::POST, "/api/v1/cart/items"));
        assert!(!is_command(&Method::POST, "/api/v1/workflows/checkout/instances/a/cancel"));
    }
}
