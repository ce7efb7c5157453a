//! Gateways' calls to us: no token, verified by the gateway's component over the raw bytes.

use axum::extract::State;
use axum::http::{HeaderMap, StatusCode};
use axum::response::Response;
use serde::Serialize;
use utoipa::ToSchema;

use super::json;
use crate::App;
use crate::problem::Problem;
use crate::read::{At, BODY_BYTES_MAX, Raw};

/// A webhook was taken.
#[derive(Serialize, ToSchema)]
pub(crate) struct TakenOut {
    /// Events that concern checkouts or parcels of this merchant.
    received: usize,
}

impl TakenOut {
    pub(super) fn new(received: usize) -> TakenOut {
        TakenOut { received }
    }
}

/// Takes a webhook. Sent twice it has effect once.
#[utoipa::path(post, path = "/webhooks/{merchant}/{gateway}", tag = "webhooks",
    params(("merchant" = String, Path), ("gateway" = String, Path, description = "name of the gateway's binding")),
    request_body(content = String, content_type = "*/*", description = "as the gateway sends it; at most 1 MiB"),
    responses((status = 200, body = TakenOut)))]
pub(crate) async fn take(
    State(app): State<App>,
    At((merchant, gateway)): At<(String, String)>,
    headers: HeaderMap,
    Raw(body): Raw<BODY_BYTES_MAX>,
) -> Result<Response, Problem> {
    let received = app.shop.webhook(&merchant, &gateway, raw(&headers), body.to_vec()).await?;
    json(StatusCode::OK, &TakenOut::new(received))
}

/// Headers as a component is shown them.
pub(super) fn raw(headers: &HeaderMap) -> Vec<(String, Vec<u8>)> {
    headers.iter().map(|(name, value)| (name.as_str().to_owned(), value.as_bytes().to_vec())).collect()
}
