//! Gift cards: a shopper asks for a balance; their merchant issues, changes and reads them.

use axum::body::Body;
use axum::extract::State;
use axum::http::{HeaderMap, HeaderValue, StatusCode, header};
use axum::response::Response;
use serde::Serialize;
use till_commerce::access::Area;
use till_commerce::access::Wanted::{Change, Read};
use till_commerce::{CARDS_ISSUED_MAX, CardIssue, IssuedCard};
use till_model::money::Currency;
use till_store::tables::gift_card::{GiftCardEntry, GiftCardRow};
use utoipa::ToSchema;

use super::inventory::words;
use super::{json, last_of};
use crate::App;
use crate::auth::Caller;
use crate::problem::Problem;
use crate::read::{At, Json, Query, idempotency_key};
use crate::wire::{Amount, time};

/// Longest note: some sentences.
const NOTE_CHARS_MAX: usize = 500;

/// An amount of a card, in the card's currency.
pub(crate) fn amount(minor: i64, currency: &str) -> Result<Amount, Problem> {
    Ok(Amount::of(minor, Currency::from_code(currency).map_err(Problem::internal)?))
}

/// A code of a gift card.
#[derive(ToSchema)]
#[expect(dead_code, reason = "describes the body in OpenAPI; it is read field by field")]
pub(crate) struct CodeIn {
    code: String,
}

/// What a card can pay.
#[derive(Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub(crate) struct BalanceOut {
    last4: String,
    /// Without what checkouts hold.
    available: Amount,
    currency: String,
    /// It is in use and has not expired.
    usable: bool,
    #[serde(skip_serializing_if = "Option::is_none")]
    expires_at: Option<String>,
}

/// Reads what is left on the card with this code. After 20 codes within an hour that nobody has, a customer must wait.
#[utoipa::path(post, path = "/api/v1/gift-cards/balance", tag = "gift cards", security(("bearer" = [])),
    request_body = CodeIn, responses((status = 200, body = BalanceOut)))]
pub(crate) async fn balance(State(app): State<App>, caller: Caller, body: Json) -> Result<Response, Problem> {
    let mut fields = body.fields()?;
    let code = fields.text("code");
    let code = fields.need("code", code);
    fields.finish()?;
    let row = app.shop.gift_card_balance(&caller.merchant, &caller.sub, &code).await?;
    let now_us = app.runner.clock().now_us();
    json(
        StatusCode::OK,
        &BalanceOut {
            last4: row.last4,
            available: amount(row.balance - row.held, &row.currency)?,
            usable: row.expires_us.is_none_or(|end| end > now_us),
            currency: row.currency,
            expires_at: row.expires_us.map(time),
        },
    )
}

/// A card to issue.
#[derive(ToSchema)]
#[schema(rename_all = "camelCase")]
#[expect(dead_code, reason = "describes the body in OpenAPI; it is read field by field")]
pub(crate) struct CardIn {
    /// Above 0.
    amount: Amount,
    /// ISO 4217: one that the shop sells in; its own without. The card pays in it alone.
    currency: Option<String>,
    /// RFC 3339; without, it never expires.
    expires_at: Option<String>,
    /// Why; at most 500 characters.
    note: Option<String>,
}

/// Cards to issue.
#[derive(ToSchema)]
#[schema(rename_all = "camelCase")]
#[expect(dead_code, reason = "describes the body in OpenAPI; it is read field by field")]
pub(crate) struct CardsIn {
    /// 1 to 10,000.
    count: i64,
    /// Of each; above 0.
    amount: Amount,
    /// ISO 4217: one that the shop sells in; its own without. The cards pay in it alone.
    currency: Option<String>,
    expires_at: Option<String>,
    note: Option<String>,
}

/// A gift card.
#[derive(Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub(crate) struct CardOut {
    gift_card_id: String,
    last4: String,
    balance: Amount,
    /// Part of the balance that checkouts hold.
    held: Amount,
    currency: String,
    /// `active` or `void`.
    status: String,
    note: String,
    created_at: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    expires_at: Option<String>,
    /// Only in the first answer to its issue.
    #[serde(skip_serializing_if = "Option::is_none")]
    code: Option<String>,
}

impl CardOut {
    fn new(row: GiftCardRow, code: Option<String>) -> Result<CardOut, Problem> {
        Ok(CardOut {
            balance: amount(row.balance, &row.currency)?,
            held: amount(row.held, &row.currency)?,
            gift_card_id: row.id,
            last4: row.last4,
            currency: row.currency,
            status: row.status,
            note: row.note,
            created_at: time(row.created_us),
            expires_at: row.expires_us.map(time),
            code,
        })
    }
}

/// A page of cards.
#[derive(Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub(crate) struct CardsOut {
    gift_cards: Vec<CardOut>,
    #[serde(skip_serializing_if = "Option::is_none")]
    next_cursor: Option<String>,
}

async fn wanted(app: &App, caller: &Caller, body: &Json, many: bool) -> Result<CardIssue, Problem> {
    let settings = app.shop.settings(&caller.merchant).await?;
    let mut fields = body.fields()?;
    let currency = fields.sold_in(&settings);
    let count = if many {
        let count = fields.integer("count");
        fields.need("count", count)
    } else {
        1
    };
    let given = fields.amount("amount", currency);
    if given.is_none() {
        fields.need::<i64>("amount", None);
    }
    let expires_us = fields.time("expiresAt");
    let note = words(&mut fields, "note", NOTE_CHARS_MAX);
    fields.finish()?;
    let amount = given.unwrap_or_else(|| till_model::money::Money::from_minor(0, currency));
    Ok(CardIssue { count, amount, expires_us, note })
}

/// Issues a card. Its code is told in this answer alone: a request repeated under its `Idempotency-Key` tells the card
/// without it.
#[utoipa::path(post, path = "/api/v1/admin/gift-cards", tag = "gift cards", security(("bearer" = [])),
    params(("Idempotency-Key" = Option<String>, Header)),
    request_body = CardIn, responses((status = 201, body = CardOut)))]
pub(crate) async fn issue(
    State(app): State<App>,
    caller: Caller,
    headers: HeaderMap,
    body: Json,
) -> Result<Response, Problem> {
    caller.needs(Change(Area::GiftCards))?;
    let key = idempotency_key(&headers)?;
    let issue = wanted(&app, &caller, &body, false).await?;
    let mut made = app.shop.issue_gift_cards(&caller.merchant, &caller.sub, issue, key.as_deref()).await?;
    let IssuedCard { card, code } = made.remove(0);
    json(StatusCode::CREATED, &CardOut::new(card, code)?)
}

/// Issues many cards, all or none, and answers CSV: id, code, amount, currency. The codes are told in this answer alone.
#[utoipa::path(post, path = "/api/v1/admin/gift-cards/bulk", tag = "gift cards", security(("bearer" = [])),
    params(("Idempotency-Key" = Option<String>, Header)),
    request_body = CardsIn, responses((status = 201, body = String, content_type = "text/csv")))]
pub(crate) async fn bulk(
    State(app): State<App>,
    caller: Caller,
    headers: HeaderMap,
    body: Json,
) -> Result<Response, Problem> {
    caller.needs(Change(Area::GiftCards))?;
    let key = idempotency_key(&headers)?;
    let issue = wanted(&app, &caller, &body, true).await?;
    if !(1..=CARDS_ISSUED_MAX).contains(&issue.count) {
        return Err(Problem::field("count", format!("1 to {CARDS_ISSUED_MAX} cards")));
    }
    let made = app.shop.issue_gift_cards(&caller.merchant, &caller.sub, issue, key.as_deref()).await?;
    let mut text = "gift_card_id,code,amount,currency\n".to_owned();
    for IssuedCard { card, code } in &made {
        let worth = amount(card.balance, &card.currency)?;
        // None of them has a character that CSV would have to quote.
        text +=
            &format!("{},{},{},{}\n", card.id, code.as_deref().unwrap_or(""), worth.as_str(), card.currency);
    }
    Ok(csv(StatusCode::CREATED, text))
}

/// An answer of CSV that nobody may keep.
pub(crate) fn csv(status: StatusCode, text: String) -> Response {
    let mut response = Response::new(Body::from(text));
    *response.status_mut() = status;
    let headers = response.headers_mut();
    headers.insert(header::CONTENT_TYPE, HeaderValue::from_static("text/csv; charset=utf-8"));
    headers.insert(header::CACHE_CONTROL, HeaderValue::from_static("no-store"));
    response
}

/// Lists cards in the order of their issue.
#[utoipa::path(get, path = "/api/v1/admin/gift-cards", tag = "gift cards", security(("bearer" = [])),
    params(("cursor" = Option<String>, Query, description = "`nextCursor` of the page before"),
        ("limit" = Option<i64>, Query, description = "1 to 200; 50 by default")),
    responses((status = 200, body = CardsOut)))]
pub(crate) async fn list(
    State(app): State<App>,
    caller: Caller,
    mut query: Query,
) -> Result<Response, Problem> {
    caller.needs(Read(Area::GiftCards))?;
    let limit = query.limit(50, 200)?;
    let after = query.text("cursor").unwrap_or_default().to_owned();
    query.finish()?;
    let rows = app.shop.gift_cards(&caller.merchant, &after, limit).await?;
    let next_cursor = last_of(&rows, limit).map(|last| last.id.clone());
    let cards: Result<Vec<CardOut>, Problem> = rows.into_iter().map(|row| CardOut::new(row, None)).collect();
    json(StatusCode::OK, &CardsOut { gift_cards: cards?, next_cursor })
}

/// Reads a card.
#[utoipa::path(get, path = "/api/v1/admin/gift-cards/{card}", tag = "gift cards", security(("bearer" = [])),
    params(("card" = String, Path)), responses((status = 200, body = CardOut)))]
pub(crate) async fn read(
    State(app): State<App>,
    caller: Caller,
    At(id): At<String>,
) -> Result<Response, Problem> {
    caller.needs(Read(Area::GiftCards))?;
    json(StatusCode::OK, &CardOut::new(app.shop.gift_card(&caller.merchant, &id).await?, None)?)
}

/// Why.
#[derive(ToSchema)]
#[expect(dead_code, reason = "describes the body in OpenAPI; it is read field by field")]
pub(crate) struct VoidIn {
    /// At most 500 characters.
    note: Option<String>,
}

/// Takes a card out of use for good; what is left on it is booked off. Refused while a checkout pays with it.
#[utoipa::path(post, path = "/api/v1/admin/gift-cards/{card}/void", tag = "gift cards", security(("bearer" = [])),
    params(("card" = String, Path)), request_body = VoidIn, responses((status = 200, body = CardOut)))]
pub(crate) async fn void(
    State(app): State<App>,
    caller: Caller,
    At(id): At<String>,
    body: Json,
) -> Result<Response, Problem> {
    caller.needs(Change(Area::GiftCards))?;
    let mut fields = body.fields_or_none()?;
    let note = words(&mut fields, "note", NOTE_CHARS_MAX);
    fields.finish()?;
    let row = app.shop.void_gift_card(&caller.merchant, &caller.sub, &id, &note).await?;
    json(StatusCode::OK, &CardOut::new(row, None)?)
}

/// A change of a balance.
#[derive(ToSchema)]
#[expect(dead_code, reason = "describes the body in OpenAPI; it is read field by field")]
pub(crate) struct AdjustIn {
    /// Not 0; below 0 takes money off, at most what checkouts do not hold.
    delta: Amount,
    /// Why; at most 500 characters.
    note: String,
}

/// A change in the ledger of a card.
#[derive(Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub(crate) struct EntryOut {
    id: String,
    gift_card_id: String,
    delta: Amount,
    /// After it.
    balance: Amount,
    /// `issued`, `redeemed`, `refunded`, `adjusted` or `voided`.
    reason: String,
    /// Order; empty for none.
    reference: String,
    note: String,
    who: String,
    at: String,
}

impl EntryOut {
    fn new(row: GiftCardEntry, currency: &str) -> Result<EntryOut, Problem> {
        Ok(EntryOut {
            delta: amount(row.delta, currency)?,
            balance: amount(row.balance, currency)?,
            id: row.id,
            gift_card_id: row.card,
            reason: row.reason,
            reference: row.reference,
            note: row.note,
            who: row.who,
            at: time(row.at_us),
        })
    }
}

/// A page of a card's ledger.
#[derive(Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub(crate) struct EntriesOut {
    /// Newest first.
    entries: Vec<EntryOut>,
    #[serde(skip_serializing_if = "Option::is_none")]
    next_cursor: Option<String>,
}

/// Changes the balance of a card. With an `Idempotency-Key` it is done once.
#[utoipa::path(post, path = "/api/v1/admin/gift-cards/{card}/adjustments", tag = "gift cards", security(("bearer" = [])),
    params(("card" = String, Path), ("Idempotency-Key" = Option<String>, Header)),
    request_body = AdjustIn, responses((status = 200, body = EntryOut)))]
pub(crate) async fn adjust(
    State(app): State<App>,
    caller: Caller,
    At(id): At<String>,
    headers: HeaderMap,
    body: Json,
) -> Result<Response, Problem> {
    caller.needs(Change(Area::GiftCards))?;
    let key = idempotency_key(&headers)?;
    let card = app.shop.gift_card(&caller.merchant, &id).await?;
    let currency = Currency::from_code(&card.currency).map_err(Problem::internal)?;
    let mut fields = body.fields()?;
    let delta = fields.amount("delta", currency).map(|money| money.minor());
    let delta = fields.need("delta", delta);
    let note = fields.text("note");
    let note = fields.need("note", note);
    if note.chars().count() > NOTE_CHARS_MAX {
        fields.wrong("note", format!("at most {NOTE_CHARS_MAX} characters"));
    }
    fields.finish()?;
    let change = (id.as_str(), delta, note.as_str());
    let entry = app.shop.adjust_gift_card(&caller.merchant, &caller.sub, change, key.as_deref()).await?;
    json(StatusCode::OK, &EntryOut::new(entry, &card.currency)?)
}

/// Reads the ledger of a card, newest first.
#[utoipa::path(get, path = "/api/v1/admin/gift-cards/{card}/entries", tag = "gift cards", security(("bearer" = [])),
    params(("card" = String, Path), ("cursor" = Option<String>, Query, description = "`nextCursor` of the page before"),
        ("limit" = Option<i64>, Query, description = "1 to 200; 50 by default")),
    responses((status = 200, body = EntriesOut)))]
pub(crate) async fn entries(
    State(app): State<App>,
    caller: Caller,
    At(id): At<String>,
    mut query: Query,
) -> Result<Response, Problem> {
    caller.needs(Read(Area::GiftCards))?;
    let limit = query.limit(50, 200)?;
    let before = query.before()?;
    query.finish()?;
    let card = app.shop.gift_card(&caller.merchant, &id).await?;
    let before = (before.0, before.1.as_str());
    let rows = app.shop.gift_card_entries(&caller.merchant, &id, before, limit).await?;
    let next_cursor = last_of(&rows, limit).map(|last| format!("{}.{}", last.at_us, last.id));
    let entries: Result<Vec<EntryOut>, Problem> =
        rows.into_iter().map(|row| EntryOut::new(row, &card.currency)).collect();
    json(StatusCode::OK, &EntriesOut { entries: entries?, next_cursor })
}

/// Money of an order to give back to the cards that paid it.
#[derive(ToSchema)]
#[schema(rename_all = "camelCase")]
#[expect(dead_code, reason = "describes the body in OpenAPI; it is read field by field")]
pub(crate) struct CardRefundIn {
    /// Above 0, at most what cards paid and was not given back.
    amount: Amount,
    /// Without, the cards of the order in their order.
    gift_card_id: Option<String>,
    /// At most 500 characters.
    note: Option<String>,
}

/// What was given back.
#[derive(Serialize, ToSchema)]
pub(crate) struct CardRefundOut {
    entries: Vec<EntryOut>,
}

/// Gives money of an order back to the cards that paid it, never more than they paid. With an `Idempotency-Key` once.
#[utoipa::path(post, path = "/api/v1/admin/orders/{order}/gift-card-refunds", tag = "gift cards", security(("bearer" = [])),
    params(("order" = String, Path), ("Idempotency-Key" = Option<String>, Header)),
    request_body = CardRefundIn, responses((status = 200, body = CardRefundOut)))]
pub(crate) async fn refund(
    State(app): State<App>,
    caller: Caller,
    At(order): At<String>,
    headers: HeaderMap,
    body: Json,
) -> Result<Response, Problem> {
    caller.needs(Change(Area::GiftCards))?;
    let key = idempotency_key(&headers)?;
    let currency = app.shop.order_currency(&caller.merchant, &order).await?;
    let mut fields = body.fields()?;
    let amount = fields.amount("amount", currency);
    if amount.is_none() {
        fields.need::<i64>("amount", None);
    }
    let card = fields.text("giftCardId");
    let note = words(&mut fields, "note", NOTE_CHARS_MAX);
    fields.finish()?;
    let amount = amount.unwrap_or_else(|| till_model::money::Money::from_minor(0, currency));
    let what = (order.as_str(), card.as_deref(), amount);
    let made =
        app.shop.refund_to_gift_card(&caller.merchant, &caller.sub, what, &note, key.as_deref()).await?;
    let entries: Result<Vec<EntryOut>, Problem> =
        made.into_iter().map(|entry| EntryOut::new(entry, currency.code())).collect();
    json(StatusCode::OK, &CardRefundOut { entries: entries? })
}
