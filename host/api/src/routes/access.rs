//! Who of a merchant may do what: API keys, roles, the audit log. Needs a scope of the area `access`.

use axum::extract::State;
use axum::http::StatusCode;
use axum::response::Response;
use serde::Serialize;
use till_commerce::access::Area;
use till_commerce::access::Wanted::{Change, Read};
use till_commerce::{ApiKey, AuditFilter, AuditRow, KeyWanted, Role};
use utoipa::ToSchema;

use super::{json, last_of, no_content};
use crate::App;
use crate::auth::Caller;
use crate::problem::Problem;
use crate::read::{At, Json, Query};
use crate::wire::time;

/// A key as it is wanted.
#[derive(ToSchema)]
#[schema(rename_all = "camelCase")]
#[expect(dead_code, reason = "describes the body in OpenAPI; it is read field by field")]
pub(crate) struct ApiKeyIn {
    /// For people: 1 to 100 characters.
    name: String,
    /// What it opens; at most what you have yourself.
    scopes: Option<Vec<String>>,
    /// What it opens, by role.
    roles: Option<Vec<String>>,
    /// RFC 3339; without, it is good until it is revoked.
    expires_at: Option<String>,
}

/// A key.
#[derive(Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub(crate) struct ApiKeyOut {
    id: String,
    name: String,
    scopes: Vec<String>,
    roles: Vec<String>,
    created_at: String,
    created_by: String,
    expires_at: Option<String>,
    revoked_at: Option<String>,
    /// Within ten minutes.
    last_used_at: Option<String>,
    /// Sent as `Authorization: Bearer`. Shown when it is made, and never again.
    #[serde(skip_serializing_if = "Option::is_none")]
    key: Option<String>,
}

impl ApiKeyOut {
    fn new(made: ApiKey, key: Option<String>) -> ApiKeyOut {
        let ApiKey { id, wanted, who, created_us, revoked_us, used_us } = made;
        ApiKeyOut {
            id,
            name: wanted.name,
            scopes: wanted.scopes,
            roles: wanted.roles,
            created_at: time(created_us),
            created_by: who,
            expires_at: wanted.expires_us.map(time),
            revoked_at: revoked_us.map(time),
            last_used_at: used_us.map(time),
            key,
        }
    }
}

/// Keys.
#[derive(Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub(crate) struct ApiKeysOut {
    /// Newest first; those that are revoked or past their time included.
    api_keys: Vec<ApiKeyOut>,
    /// `cursor` of the next page; none: this was the last.
    next_cursor: Option<String>,
}

/// Makes an API key for a program of the merchant's. It opens at most what its maker has.
#[utoipa::path(post, path = "/api/v1/admin/api-keys", tag = "access", security(("bearer" = [])),
    request_body = ApiKeyIn, responses((status = 201, body = ApiKeyOut)))]
pub(crate) async fn make(State(app): State<App>, caller: Caller, body: Json) -> Result<Response, Problem> {
    caller.needs(Change(Area::Access))?;
    let mut fields = body.fields()?;
    let name = fields.text("name");
    let wanted = KeyWanted {
        name: fields.need("name", name),
        scopes: fields.texts("scopes").value().unwrap_or_default(),
        roles: fields.texts("roles").value().unwrap_or_default(),
        expires_us: fields.time("expiresAt"),
    };
    fields.finish()?;
    let (made, key) = app.shop.make_api_key(&caller.merchant, wanted, &caller.sub, &caller.scopes).await?;
    json(StatusCode::CREATED, &ApiKeyOut::new(made, Some(key)))
}

/// Lists API keys, newest first, without what is secret.
#[utoipa::path(get, path = "/api/v1/admin/api-keys", tag = "access", security(("bearer" = [])),
    params(("cursor" = Option<String>, Query, description = "`nextCursor` of the page before"),
        ("limit" = Option<i64>, Query, description = "1 to 200; 50 by default")),
    responses((status = 200, body = ApiKeysOut)))]
pub(crate) async fn keys(
    State(app): State<App>,
    caller: Caller,
    mut query: Query,
) -> Result<Response, Problem> {
    caller.needs(Read(Area::Access))?;
    let limit = query.limit(50, 200)?;
    let (at, id) = query.before()?;
    query.finish()?;
    let found = app.shop.api_keys(&caller.merchant, (at, &id), limit).await?;
    let next_cursor = last_of(&found, limit).map(|last| format!("{}.{}", last.created_us, last.id));
    let api_keys = found.into_iter().map(|key| ApiKeyOut::new(key, None)).collect();
    json(StatusCode::OK, &ApiKeysOut { api_keys, next_cursor })
}

/// Revokes an API key: it opens nothing from now on, on other hosts within two seconds. It stays in the list.
#[utoipa::path(delete, path = "/api/v1/admin/api-keys/{key}", tag = "access", security(("bearer" = [])),
    params(("key" = String, Path, description = "its `id`")), responses((status = 204)))]
pub(crate) async fn revoke(
    State(app): State<App>,
    caller: Caller,
    At(key): At<String>,
) -> Result<Response, Problem> {
    caller.needs(Change(Area::Access))?;
    app.shop.revoke_api_key(&caller.merchant, &key).await?;
    Ok(no_content())
}

/// A role as it is wanted.
#[derive(ToSchema)]
#[expect(dead_code, reason = "describes the body in OpenAPI; it is read field by field")]
pub(crate) struct RoleIn {
    /// For people; at most 100 characters.
    description: Option<String>,
    /// At least one, and at most what you have yourself.
    scopes: Vec<String>,
}

/// A role.
#[derive(Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub(crate) struct RoleOut {
    role: String,
    description: String,
    scopes: Vec<String>,
    /// Every merchant has it; it cannot be changed.
    built_in: bool,
}

impl From<Role> for RoleOut {
    fn from(role: Role) -> RoleOut {
        let Role { name, description, scopes, built_in } = role;
        RoleOut { role: name, description, scopes, built_in }
    }
}

/// Roles.
#[derive(Serialize, ToSchema)]
pub(crate) struct RolesOut {
    roles: Vec<RoleOut>,
    /// All scopes there are.
    scopes: Vec<String>,
}

/// Lists the roles and all scopes.
#[utoipa::path(get, path = "/api/v1/admin/roles", tag = "access", security(("bearer" = [])),
    responses((status = 200, body = RolesOut)))]
pub(crate) async fn roles(State(app): State<App>, caller: Caller) -> Result<Response, Problem> {
    caller.needs(Read(Area::Access))?;
    let roles = app.shop.roles(&caller.merchant).await?.into_iter().map(RoleOut::from).collect();
    json(StatusCode::OK, &RolesOut { roles, scopes: till_commerce::access::scopes() })
}

/// Makes a role or replaces it. Tokens and keys that carry its name open what it opens, within two seconds.
#[utoipa::path(put, path = "/api/v1/admin/roles/{role}", tag = "access", security(("bearer" = [])),
    params(("role" = String, Path, description = "1 to 100 characters")), request_body = RoleIn,
    responses((status = 200, body = RoleOut)))]
pub(crate) async fn put_role(
    State(app): State<App>,
    caller: Caller,
    At(name): At<String>,
    body: Json,
) -> Result<Response, Problem> {
    caller.needs(Change(Area::Access))?;
    let mut fields = body.fields()?;
    let scopes = fields.texts("scopes").value();
    let scopes = fields.need("scopes", scopes);
    let description = fields.text("description").unwrap_or_default();
    fields.finish()?;
    let role = Role { name, description, scopes, built_in: false };
    let role = app.shop.put_role(&caller.merchant, role, &caller.scopes).await?;
    json(StatusCode::OK, &RoleOut::from(role))
}

/// Takes a role away: who has it loses what it opens, within two seconds.
#[utoipa::path(delete, path = "/api/v1/admin/roles/{role}", tag = "access", security(("bearer" = [])),
    params(("role" = String, Path, description = "its name")), responses((status = 204)))]
pub(crate) async fn drop_role(
    State(app): State<App>,
    caller: Caller,
    At(name): At<String>,
) -> Result<Response, Problem> {
    caller.needs(Change(Area::Access))?;
    app.shop.drop_role(&caller.merchant, &name).await?;
    Ok(no_content())
}

/// A command that was given.
#[derive(Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
struct CommandOut {
    id: String,
    at: String,
    /// `sub` of a token, or `key:` and the id of an API key.
    actor: String,
    method: String,
    /// `/api/v1/admin/products/{id}`.
    route: String,
    path: String,
    /// `X-Request-Id` of the answer.
    request_id: String,
    /// Of the answer; `null`: the host ended before it.
    status: Option<i64>,
}

impl From<AuditRow> for CommandOut {
    fn from(row: AuditRow) -> CommandOut {
        let AuditRow { id, at_us, actor, method, route, path, request, status } = row;
        CommandOut { id, at: time(at_us), actor, method, route, path, request_id: request, status }
    }
}

/// Commands.
#[derive(Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub(crate) struct AuditOut {
    /// Newest first.
    commands: Vec<CommandOut>,
    /// `cursor` of the next page; none: this was the last.
    next_cursor: Option<String>,
}

/// Reads who commanded what under `/api/v1/admin`, and what became of it; refused commands included.
#[utoipa::path(get, path = "/api/v1/admin/audit", tag = "access", security(("bearer" = [])),
    params(("actor" = Option<String>, Query, description = "`sub` of a token, or `key:` and the id of an API key"),
        ("path" = Option<String>, Query, description = "beginning of the path: `/api/v1/admin/products/`"),
        ("from" = Option<String>, Query, description = "RFC 3339; those since then"),
        ("to" = Option<String>, Query, description = "RFC 3339; those before"),
        ("cursor" = Option<String>, Query, description = "`nextCursor` of the page before"),
        ("limit" = Option<i64>, Query, description = "1 to 200; 50 by default")),
    responses((status = 200, body = AuditOut)))]
pub(crate) async fn audit(
    State(app): State<App>,
    caller: Caller,
    mut query: Query,
) -> Result<Response, Problem> {
    caller.needs(Read(Area::Access))?;
    let limit = query.limit(50, 200)?;
    let (mut at, mut id) = query.before()?;
    let from_us = query.time("from")?.unwrap_or(0);
    if let Some(to) = query.time("to")?.filter(|to| *to < at) {
        (at, id) = (to, String::new());
    }
    let actor = query.text("actor").unwrap_or_default().to_owned();
    let path = query.text("path").unwrap_or_default().to_owned();
    query.finish()?;
    let filter = AuditFilter { actor: &actor, path: &path, from_us };
    let found = app.shop.audit(&caller.merchant, filter, (at, &id), limit).await?;
    let next_cursor = last_of(&found, limit).map(|last| format!("{}.{}", last.at_us, last.id));
    let commands = found.into_iter().map(CommandOut::from).collect();
    json(StatusCode::OK, &AuditOut { commands, next_cursor })
}
