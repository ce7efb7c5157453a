//! Promotions: which apply to a shopper's cart; campaigns and codes in bulk for their merchant.

use axum::extract::State;
use axum::http::{HeaderMap, StatusCode};
use axum::response::Response;
use serde::Serialize;
use till_commerce::access::Area;
use till_commerce::access::Wanted::{Change, Read};
use till_commerce::{CAMPAIGN_PROMOTIONS_MAX, CODES_MAX, CodesWanted};
use till_store::tables::campaign::{CampaignRow, PromotionCodeRow};
use utoipa::ToSchema;

use super::admin::check_id;
use super::gift_cards::{amount, csv};
use super::inventory::words;
use super::{json, last_of, no_content};
use crate::App;
use crate::auth::Caller;
use crate::problem::Problem;
use crate::read::{At, Fields, Given, Json, Query, idempotency_key};
use crate::wire::{Amount, PromotionOut, promotions, time};

/// Longest name.
const NAME_CHARS_MAX: usize = 200;
/// Longest prefix of codes.
const PREFIX_CHARS_MAX: usize = 16;
/// Longest code that others stand for.
const CODE_CHARS_MAX: usize = 128;
/// Most codes that a shopper asks about.
const ASKED_MAX: usize = 20;
/// Codes of an export that are read at a time.
const EXPORT_PAGE: i64 = 1_000;

/// What promotions do to a cart.
#[derive(Serialize, ToSchema)]
pub(crate) struct ApplicableOut {
    /// Those that take something off first, then those that do not, with what is missing.
    promotions: Vec<PromotionOut>,
}

/// Tells which promotions apply to the caller's cart as it is now, what each takes off, and what is missing for those
/// that do not.
#[utoipa::path(get, path = "/api/v1/promotions/applicable", tag = "promotions", security(("bearer" = [])),
    params(("codes" = Option<String>, Query, description = "codes to try, separated by commas; at most 20")),
    responses((status = 200, body = ApplicableOut)))]
pub(crate) async fn applicable(
    State(app): State<App>,
    caller: Caller,
    mut query: Query,
) -> Result<Response, Problem> {
    let mut codes: Vec<String> = Vec::new();
    for code in query.text("codes").unwrap_or_default().split(',').map(str::trim) {
        if !code.is_empty() && !codes.iter().any(|known| known == code) {
            codes.push(code.to_owned());
        }
    }
    query.finish()?;
    if codes.len() > ASKED_MAX {
        return Err(Problem::field("codes", format!("at most {ASKED_MAX} codes")));
    }
    let priced = app.shop.applicable(&caller.merchant, &caller.sub, codes).await?;
    let promotions = priced.map(|(inputs, quote)| promotions(&inputs, &quote)).unwrap_or_default();
    json(StatusCode::OK, &ApplicableOut { promotions })
}

/// Codes to make.
#[derive(ToSchema)]
#[schema(rename_all = "camelCase")]
#[expect(dead_code, reason = "describes the body in OpenAPI; it is read field by field")]
pub(crate) struct CodesIn {
    /// 1 to 100,000.
    count: i64,
    /// Start of each code: at most 16 letters, digits and hyphens.
    prefix: Option<String>,
    /// How often each works; 1 without.
    uses_each: Option<i64>,
    /// Code by which the component knows the promotion; without, the promotion's id. Nobody can type it any more.
    code: Option<String>,
}

/// Codes that were made.
#[derive(Serialize, ToSchema)]
pub(crate) struct BatchOut {
    /// Names them in the list and the export.
    batch: String,
    count: i64,
}

/// Makes codes that each work a set number of times. Repeated under its `Idempotency-Key` it makes none twice.
#[utoipa::path(post, path = "/api/v1/admin/promotions/{promotion}/codes", tag = "promotions", security(("bearer" = [])),
    params(("promotion" = String, Path), ("Idempotency-Key" = Option<String>, Header)),
    request_body = CodesIn, responses((status = 201, body = BatchOut)))]
pub(crate) async fn make(
    State(app): State<App>,
    caller: Caller,
    At(promotion): At<String>,
    headers: HeaderMap,
    body: Json,
) -> Result<Response, Problem> {
    caller.needs(Change(Area::Promotions))?;
    check_id(&promotion)?;
    let key = idempotency_key(&headers)?;
    let mut fields = body.fields()?;
    let count = fields.integer("count");
    let count = fields.need("count", count);
    if !(1..=CODES_MAX).contains(&count) {
        fields.wrong("count", format!("1 to {CODES_MAX} codes"));
    }
    let prefix = words(&mut fields, "prefix", PREFIX_CHARS_MAX).to_ascii_uppercase();
    if !prefix.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'-') {
        fields.wrong("prefix", format!("at most {PREFIX_CHARS_MAX} letters, digits and hyphens"));
    }
    let uses = fields.integer("usesEach").unwrap_or(1);
    let stands_for = words(&mut fields, "code", CODE_CHARS_MAX);
    fields.finish()?;
    let stands_for = if stands_for.is_empty() { promotion.clone() } else { stands_for };
    let wanted = CodesWanted { promotion, stands_for, prefix, count, uses };
    let batch = app.shop.make_codes(&caller.merchant, &caller.sub, wanted, key.as_deref()).await?;
    json(StatusCode::CREATED, &BatchOut { batch, count })
}

/// A code.
#[derive(Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub(crate) struct CodeOut {
    code: String,
    /// How often it works.
    uses: i64,
    /// How often it has, checkouts under way included.
    used: i64,
    batch: String,
}

impl From<PromotionCodeRow> for CodeOut {
    fn from(row: PromotionCodeRow) -> CodeOut {
        CodeOut { code: row.code, uses: row.uses, used: row.used, batch: row.batch }
    }
}

/// A page of codes.
#[derive(Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub(crate) struct CodesOut {
    codes: Vec<CodeOut>,
    #[serde(skip_serializing_if = "Option::is_none")]
    next_cursor: Option<String>,
}

/// Lists the codes of a promotion in their order.
#[utoipa::path(get, path = "/api/v1/admin/promotions/{promotion}/codes", tag = "promotions", security(("bearer" = [])),
    params(("promotion" = String, Path), ("batch" = Option<String>, Query),
        ("cursor" = Option<String>, Query, description = "`nextCursor` of the page before"),
        ("limit" = Option<i64>, Query, description = "1 to 200; 50 by default")),
    responses((status = 200, body = CodesOut)))]
pub(crate) async fn codes(
    State(app): State<App>,
    caller: Caller,
    At(promotion): At<String>,
    mut query: Query,
) -> Result<Response, Problem> {
    caller.needs(Read(Area::Promotions))?;
    let limit = query.limit(50, 200)?;
    let batch = query.text("batch").unwrap_or_default().to_owned();
    let after = query.text("cursor").unwrap_or_default().to_owned();
    query.finish()?;
    let rows = app.shop.promotion_codes(&caller.merchant, &promotion, &batch, &after, limit).await?;
    let next_cursor = last_of(&rows, limit).map(|last| last.code.clone());
    json(StatusCode::OK, &CodesOut { codes: rows.into_iter().map(CodeOut::from).collect(), next_cursor })
}

/// Gives all codes of a promotion as CSV: code, uses, used, batch.
#[utoipa::path(get, path = "/api/v1/admin/promotions/{promotion}/codes/export", tag = "promotions", security(("bearer" = [])),
    params(("promotion" = String, Path), ("batch" = Option<String>, Query)),
    responses((status = 200, body = String, content_type = "text/csv")))]
pub(crate) async fn export(
    State(app): State<App>,
    caller: Caller,
    At(promotion): At<String>,
    mut query: Query,
) -> Result<Response, Problem> {
    caller.needs(Read(Area::Promotions))?;
    let batch = query.text("batch").unwrap_or_default().to_owned();
    query.finish()?;
    let mut text = "code,uses,used,batch\n".to_owned();
    let mut after = String::new();
    loop {
        let rows =
            app.shop.promotion_codes(&caller.merchant, &promotion, &batch, &after, EXPORT_PAGE).await?;
        for row in &rows {
            // Letters, digits and hyphens: nothing that CSV would have to quote.
            text += &format!("{},{},{},{}\n", row.code, row.uses, row.used, row.batch);
        }
        match last_of(&rows, EXPORT_PAGE) {
            Some(last) => after.clone_from(&last.code),
            None => return Ok(csv(StatusCode::OK, text)),
        }
    }
}

/// A campaign.
#[derive(ToSchema)]
#[schema(rename_all = "camelCase")]
#[expect(dead_code, reason = "describes the body in OpenAPI; it is read field by field")]
pub(crate) struct CampaignIn {
    name: String,
    /// `true` without.
    active: Option<bool>,
    /// RFC 3339; without, it runs already.
    starts_at: Option<String>,
    /// RFC 3339; without, it never ends.
    ends_at: Option<String>,
    /// Most it takes off over all orders; without, there is no limit.
    budget: Option<Amount>,
    /// ISO 4217, of the budget: one that the shop sells in; its own without. With a budget it gives nothing in others.
    currency: Option<String>,
    /// Most orders it takes something off.
    max_uses: Option<i64>,
    /// Ids of the promotions it covers, 1 to 100; a promotion belongs to one campaign at most.
    promotions: Vec<String>,
}

/// A campaign and what it gave.
#[derive(Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub(crate) struct CampaignOut {
    campaign_id: String,
    name: String,
    active: bool,
    #[serde(skip_serializing_if = "Option::is_none")]
    starts_at: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    ends_at: Option<String>,
    currency: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    budget: Option<Amount>,
    #[serde(skip_serializing_if = "Option::is_none")]
    max_uses: Option<i64>,
    promotions: Vec<String>,
    /// Taken off confirmed orders.
    used: Amount,
    /// Promised to checkouts under way.
    held: Amount,
    /// What is left of the budget.
    #[serde(skip_serializing_if = "Option::is_none")]
    left: Option<Amount>,
    /// Confirmed orders it took something off.
    orders: i64,
}

impl CampaignOut {
    fn new(row: CampaignRow) -> Result<CampaignOut, Problem> {
        let money = |minor: i64| amount(minor, &row.currency);
        Ok(CampaignOut {
            used: money(row.spent)?,
            held: money(row.held)?,
            left: row.budget.map(|budget| money((budget - row.spent - row.held).max(0))).transpose()?,
            budget: row.budget.map(money).transpose()?,
            promotions: serde_json::from_str(&row.promotions).map_err(Problem::internal)?,
            campaign_id: row.id,
            name: row.name,
            active: row.active,
            starts_at: row.starts_us.map(time),
            ends_at: row.ends_us.map(time),
            currency: row.currency,
            max_uses: row.orders_max,
            orders: row.orders,
        })
    }
}

/// A page of campaigns.
#[derive(Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub(crate) struct CampaignsOut {
    campaigns: Vec<CampaignOut>,
    #[serde(skip_serializing_if = "Option::is_none")]
    next_cursor: Option<String>,
}

/// Lists campaigns in the order of ids.
#[utoipa::path(get, path = "/api/v1/admin/campaigns", tag = "promotions", security(("bearer" = [])),
    params(("cursor" = Option<String>, Query, description = "`nextCursor` of the page before"),
        ("limit" = Option<i64>, Query, description = "1 to 200; 50 by default")),
    responses((status = 200, body = CampaignsOut)))]
pub(crate) async fn campaigns(
    State(app): State<App>,
    caller: Caller,
    mut query: Query,
) -> Result<Response, Problem> {
    caller.needs(Read(Area::Promotions))?;
    let limit = query.limit(50, 200)?;
    let after = query.text("cursor").unwrap_or_default().to_owned();
    query.finish()?;
    let rows = app.shop.campaigns(&caller.merchant, &after, limit).await?;
    let next_cursor = last_of(&rows, limit).map(|last| last.id.clone());
    let campaigns: Result<Vec<CampaignOut>, Problem> = rows.into_iter().map(CampaignOut::new).collect();
    json(StatusCode::OK, &CampaignsOut { campaigns: campaigns?, next_cursor })
}

/// Reads a campaign: what it says, what it used, what is left.
#[utoipa::path(get, path = "/api/v1/admin/campaigns/{campaign}", tag = "promotions", security(("bearer" = [])),
    params(("campaign" = String, Path)), responses((status = 200, body = CampaignOut)))]
pub(crate) async fn campaign(
    State(app): State<App>,
    caller: Caller,
    At(id): At<String>,
) -> Result<Response, Problem> {
    caller.needs(Read(Area::Promotions))?;
    json(StatusCode::OK, &CampaignOut::new(app.shop.campaign(&caller.merchant, &id).await?)?)
}

fn ids(fields: &mut Fields<'_>, name: &'static str) -> Vec<String> {
    let ids = match fields.texts(name) {
        Given::Value(ids) => ids,
        Given::Nothing | Given::Null => fields.need(name, None),
    };
    let sound = |id: &String| (1..=128).contains(&id.len()) && !id.chars().any(char::is_control);
    if !(1..=CAMPAIGN_PROMOTIONS_MAX).contains(&ids.len()) || !ids.iter().all(sound) {
        fields.wrong(name, format!("1 to {CAMPAIGN_PROMOTIONS_MAX} ids of 1 to 128 bytes"));
    }
    ids
}

/// Makes or replaces a campaign; what it used stays, and what is left out has its default.
#[utoipa::path(put, path = "/api/v1/admin/campaigns/{campaign}", tag = "promotions", security(("bearer" = [])),
    params(("campaign" = String, Path)), request_body = CampaignIn, responses((status = 200, body = CampaignOut)))]
pub(crate) async fn put(
    State(app): State<App>,
    caller: Caller,
    At(id): At<String>,
    body: Json,
) -> Result<Response, Problem> {
    caller.needs(Change(Area::Promotions))?;
    check_id(&id)?;
    let settings = app.shop.settings(&caller.merchant).await?;
    let mut fields = body.fields()?;
    let currency = fields.sold_in(&settings);
    let name = words(&mut fields, "name", NAME_CHARS_MAX);
    if name.is_empty() {
        fields.need::<String>("name", None);
    }
    let active = fields.flag("active").unwrap_or(true);
    let (starts_us, ends_us) = (fields.time("startsAt"), fields.time("endsAt"));
    let budget = fields.amount("budget", currency).map(|money| money.minor());
    if budget.is_some_and(|budget| budget <= 0) {
        fields.wrong("budget", "above 0");
    }
    let orders_max = fields.integer("maxUses");
    if orders_max.is_some_and(|max| max <= 0) {
        fields.wrong("maxUses", "at least 1");
    }
    let promotions = ids(&mut fields, "promotions");
    fields.finish()?;
    let row = CampaignRow {
        id,
        name,
        active,
        starts_us,
        ends_us,
        currency: currency.code().to_owned(),
        budget,
        orders_max,
        promotions: serde_json::to_string(&promotions).map_err(Problem::internal)?,
        spent: 0,
        held: 0,
        orders: 0,
        orders_held: 0,
    };
    json(StatusCode::OK, &CampaignOut::new(app.shop.put_campaign(&caller.merchant, row).await?)?)
}

/// Takes a campaign away of which no checkout holds anything; its promotions then have no dates and no budget.
#[utoipa::path(delete, path = "/api/v1/admin/campaigns/{campaign}", tag = "promotions", security(("bearer" = [])),
    params(("campaign" = String, Path)), responses((status = 204)))]
pub(crate) async fn delete(
    State(app): State<App>,
    caller: Caller,
    At(id): At<String>,
) -> Result<Response, Problem> {
    caller.needs(Change(Area::Promotions))?;
    app.shop.delete_campaign(&caller.merchant, &id).await?;
    Ok(no_content())
}
