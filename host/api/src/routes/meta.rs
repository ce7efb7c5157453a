//! About this host: whether it lives, what it offers, what its problems mean.

use std::sync::OnceLock;

use axum::extract::State;
use axum::http::{StatusCode, header};
use axum::response::{IntoResponse as _, Response};
use serde::Serialize;
use utoipa::ToSchema;

use super::json;
use crate::App;
use crate::problem::{Code, Problem};
use crate::read::At;

/// How the host is.
#[derive(Serialize, ToSchema)]
pub(crate) struct HealthOut {
    /// `ok`.
    status: &'static str,
}

/// The process lives.
#[utoipa::path(get, path = "/healthz", tag = "host", responses((status = 200, body = HealthOut)))]
pub(crate) async fn health() -> Result<Response, Problem> {
    json(StatusCode::OK, &HealthOut { status: "ok" })
}

/// The host can serve: its database answers.
#[utoipa::path(get, path = "/readyz", tag = "host", responses((status = 200, body = HealthOut)))]
pub(crate) async fn ready(State(app): State<App>) -> Result<Response, Problem> {
    app.runner.store().read().await?.setting("").await?;
    json(StatusCode::OK, &HealthOut { status: "ok" })
}

/// This document.
#[utoipa::path(get, path = "/openapi.json", tag = "host", responses((status = 200, body = Object)))]
pub(crate) async fn openapi() -> Response {
    static TEXT: OnceLock<String> = OnceLock::new();
    let text = TEXT.get_or_init(crate::openapi::document).as_str();
    ([(header::CONTENT_TYPE, "application/json")], text).into_response()
}

/// What a problem's code means and what to do.
#[utoipa::path(get, path = "/problems/{code}", tag = "host", params(("code" = String, Path)),
    responses((status = 200, body = String, content_type = "text/plain")))]
pub(crate) async fn problem(At(code): At<String>) -> Result<Response, Problem> {
    let found = Code::ALL.iter().find(|known| known.as_str() == code);
    let code = found.ok_or_else(|| Problem::not_found("problem", &code))?;
    let page = format!("{} ({})\n{}\n\n{}\n", code.as_str(), code.status(), code.title(), code.page());
    Ok(([(header::CONTENT_TYPE, "text/plain; charset=utf-8")], page).into_response())
}
