//! Secrets that the host puts into what components send. Scopes as for components.

use axum::extract::State;
use axum::http::StatusCode;
use axum::response::Response;
use serde::Serialize;
use till_commerce::access::Area;
use till_commerce::access::Wanted::{Change, Read};
use utoipa::ToSchema;

use super::{json, no_content};
use crate::App;
use crate::auth::Caller;
use crate::problem::Problem;
use crate::read::{At, Json};
use crate::wire::time;

/// A secret.
#[derive(ToSchema)]
#[expect(dead_code, reason = "describes the body in OpenAPI; it is read field by field")]
pub(crate) struct SecretIn {
    /// The secret itself; it is never shown again.
    value: String,
}

/// A secret, without its value.
#[derive(Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub(crate) struct SecretOut {
    name: String,
    /// Grows with each rotation.
    version: i64,
    updated_at: String,
    updated_by: String,
}

impl From<till_registry::SecretInfo> for SecretOut {
    fn from(secret: till_registry::SecretInfo) -> SecretOut {
        SecretOut {
            name: secret.name,
            version: secret.version,
            updated_at: time(secret.updated_us),
            updated_by: secret.updated_by,
        }
    }
}

/// Names of secrets.
#[derive(Serialize, ToSchema)]
pub(crate) struct SecretsOut {
    secrets: Vec<SecretOut>,
}

/// Sets a secret or rotates it: calls from then on use the new value, those of checkouts under way too.
#[utoipa::path(put, path = "/api/v1/admin/secrets/{name}", tag = "components", security(("bearer" = [])),
    params(("name" = String, Path)), request_body = SecretIn, responses((status = 200, body = SecretOut)))]
pub(crate) async fn put(
    State(app): State<App>,
    caller: Caller,
    At(name): At<String>,
    body: Json,
) -> Result<Response, Problem> {
    caller.needs(Change(Area::Components))?;
    let mut fields = body.fields()?;
    let secret = fields.text("value");
    let secret = fields.need("value", secret);
    fields.finish()?;
    let now_us = app.runner.clock().now_us();
    let set =
        app.registry.put_secret(&caller.merchant, &name, secret.as_bytes(), &caller.sub, now_us).await?;
    json(StatusCode::OK, &SecretOut::from(set))
}

/// Lists the names of secrets, 256 at most. Values are never shown.
#[utoipa::path(get, path = "/api/v1/admin/secrets", tag = "components", security(("bearer" = [])),
    responses((status = 200, body = SecretsOut)))]
pub(crate) async fn list(State(app): State<App>, caller: Caller) -> Result<Response, Problem> {
    caller.needs(Read(Area::Components))?;
    let secrets = app.registry.secrets(&caller.merchant).await?;
    json(StatusCode::OK, &SecretsOut { secrets: secrets.into_iter().map(SecretOut::from).collect() })
}

/// Takes a secret away. Calls that need it fail from then on.
#[utoipa::path(delete, path = "/api/v1/admin/secrets/{name}", tag = "components", security(("bearer" = [])),
    params(("name" = String, Path)), responses((status = 204)))]
pub(crate) async fn delete(
    State(app): State<App>,
    caller: Caller,
    At(name): At<String>,
) -> Result<Response, Problem> {
    caller.needs(Change(Area::Components))?;
    app.registry.drop_secret(&caller.merchant, &name).await?;
    Ok(no_content())
}
