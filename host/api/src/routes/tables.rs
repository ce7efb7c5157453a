//! Tables that components look things up in: uploaded once, used by bindings under their digest. Scopes as for components.

use axum::body::Body;
use axum::extract::{Request, State};
use axum::http::{HeaderMap, StatusCode, header};
use axum::response::Response;
use serde::Serialize;
use till_commerce::access::Area;
use till_commerce::access::Wanted::{Change, Read};
use till_registry::{TableFormat, TableInfo};
use utoipa::ToSchema;

use super::components::before;
use super::{json, last_of, no_content};
use crate::App;
use crate::auth::Caller;
use crate::problem::{Code, Problem};
use crate::read::{At, Query, TABLE_TEXT_BYTES_MAX, arrive};
use crate::upload::UPLOADS;
use crate::wire::time;

/// An uploaded table.
#[derive(Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub(crate) struct TableOut {
    /// Name it in a push.
    digest: String,
    rows: i64,
    bytes: i64,
    created_at: String,
    created_by: String,
}

impl From<TableInfo> for TableOut {
    fn from(table: TableInfo) -> TableOut {
        TableOut {
            digest: table.digest,
            rows: table.rows,
            bytes: table.bytes,
            created_at: time(table.created_us),
            created_by: table.created_by,
        }
    }
}

/// Uploaded tables.
#[derive(Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub(crate) struct TablesOut {
    /// Newest first.
    tables: Vec<TableOut>,
    /// Give it as `before` to read on; absent at the end.
    #[serde(skip_serializing_if = "Option::is_none")]
    next_before: Option<String>,
}

/// Keeps a table, as `text/csv` (first line: names; first column: key) or as a JSON object; at most 1,000,000 rows.
#[utoipa::path(post, path = "/api/v1/admin/tables", tag = "components", security(("bearer" = [])),
    request_body(content = String, content_type = "text/csv"), responses((status = 201, body = TableOut)))]
pub(crate) async fn put(
    State(app): State<App>,
    caller: Caller,
    headers: HeaderMap,
    request: Request,
) -> Result<Response, Problem> {
    caller.needs(Change(Area::Components))?;
    let kind = headers.get(header::CONTENT_TYPE).and_then(|kind| kind.to_str().ok()).unwrap_or_default();
    let format = match kind.split(';').next().unwrap_or_default().trim() {
        "text/csv" => TableFormat::Csv,
        "application/json" => TableFormat::Json,
        _ => return Err(Problem::new(Code::UnsupportedMediaType, "send `text/csv` or `application/json`")),
    };
    let mut place = UPLOADS.enter(&caller.merchant).await?;
    let bytes = arrive(request, TABLE_TEXT_BYTES_MAX, Some(&mut place)).await?;
    let mut at_work = place.work(bytes.len()).await?;
    let read = tokio::task::spawn_blocking(move || till_registry::read_table(format, &bytes)).await;
    let table = read.map_err(Problem::internal)??;
    at_work.keeps(table.content().len());
    let now_us = app.runner.clock().now_us();
    let kept = app.registry.put_table(&caller.merchant, table, &caller.sub, now_us).await?;
    json(StatusCode::CREATED, &TableOut::from(kept))
}

/// Reads the content of a table, as a backtest on another machine needs it.
#[utoipa::path(get, path = "/api/v1/admin/tables/{digest}", tag = "components", security(("bearer" = [])),
    params(("digest" = String, Path)), responses((status = 200, content_type = "application/octet-stream")))]
pub(crate) async fn read(
    State(app): State<App>,
    caller: Caller,
    At(digest): At<String>,
) -> Result<Response, Problem> {
    caller.needs(Read(Area::Components))?;
    let table = app.registry.table(&caller.merchant, &digest).await?;
    let response = Response::new(Body::from(table.content().to_vec()));
    Ok(super::with(response, header::CONTENT_TYPE, "application/octet-stream"))
}

/// Lists uploaded tables.
#[utoipa::path(get, path = "/api/v1/admin/tables", tag = "components", security(("bearer" = [])),
    params(("before" = Option<String>, Query, description = "`nextBefore` of the part before"),
        ("limit" = Option<i64>, Query, description = "1 to 200; 50 by default")),
    responses((status = 200, body = TablesOut)))]
pub(crate) async fn list(
    State(app): State<App>,
    caller: Caller,
    mut query: Query,
) -> Result<Response, Problem> {
    caller.needs(Read(Area::Components))?;
    let limit = query.limit(50, 200)?;
    let before = before::<1>(&mut query)?;
    query.finish()?;
    let (at_us, [digest]) = before.unwrap_or((i64::MAX, Default::default()));
    let tables = app.registry.tables(&caller.merchant, (at_us, &digest), limit).await?;
    let next_before = last_of(&tables, limit).map(|table| format!("{}.{}", table.created_us, table.digest));
    let tables = tables.into_iter().map(TableOut::from).collect();
    json(StatusCode::OK, &TablesOut { tables, next_before })
}

/// Takes a table away that nothing uses; 409 tells where it is in use.
#[utoipa::path(delete, path = "/api/v1/admin/tables/{digest}", tag = "components", security(("bearer" = [])),
    params(("digest" = String, Path)), responses((status = 204)))]
pub(crate) async fn delete(
    State(app): State<App>,
    caller: Caller,
    At(digest): At<String>,
) -> Result<Response, Problem> {
    caller.needs(Change(Area::Components))?;
    let now_us = app.runner.clock().now_us();
    app.registry.delete_table(&caller.merchant, &digest, &caller.sub, now_us).await?;
    Ok(no_content())
}
