//! What customers keep with the shop: addresses, means of payment, preferences; and how their merchant finds them.

use std::collections::BTreeMap;

use axum::extract::State;
use axum::http::{StatusCode, header};
use axum::response::Response;
use serde::Serialize;
use till_commerce::access::Area;
use till_commerce::access::Wanted::Read;
use till_commerce::catalog::{SavedAddress, SavedMethod};
use till_commerce::customer::looks_like_card;
use till_commerce::events::notify::{Channels, KINDS, Preferences, is_locale};
use till_commerce::is_guest;
use utoipa::ToSchema;

use super::admin::{CARD_NUMBER, expiry};
use super::checkout::whole_address;
use super::inventory::words;
use super::{json, last_of, no_content, with};
use crate::App;
use crate::auth::Caller;
use crate::problem::{Code, Problem};
use crate::read::{At, Fields, Json, Query};
use crate::wire::{ContextOut, MethodOut, ProfileOut, RecordOut, RecordsOut, SavedAddressOut};

/// Longest kind or brand of a means of payment.
const KIND_CHARS_MAX: usize = 64;
/// Longest token: those of gateways have some dozen characters, some are signed documents.
const TOKEN_CHARS_MAX: usize = 2_048;

/// Where a kind of notification is told.
#[derive(ToSchema)]
#[schema(rename_all = "camelCase")]
#[expect(dead_code, reason = "describes the body in OpenAPI; it is read field by field")]
struct ChannelsIn {
    /// `true` without.
    email: Option<bool>,
    /// `true` without; needs a phone number and a provider of the merchant's.
    sms: Option<bool>,
    /// `true` without.
    in_app: Option<bool>,
}

/// Preferences as they are wanted.
#[derive(ToSchema)]
#[schema(rename_all = "camelCase")]
#[expect(dead_code, reason = "describes the body in OpenAPI; it is read field by field")]
pub(crate) struct PreferencesIn {
    /// BCP 47: `de-AT`; the merchant's without.
    locale: Option<String>,
    /// By kind: `order_confirmation`, `payment_failed`, `order_shipped`, `out_for_delivery`, `order_delivered`,
    /// `delivery_failed`, `order_cancelled`, `feedback_request`.
    channels: Option<BTreeMap<String, ChannelsIn>>,
    /// May be told of offers; `false` without.
    marketing: Option<bool>,
}

#[derive(Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
struct ChannelsOut {
    email: bool,
    sms: bool,
    in_app: bool,
}

/// Preferences.
#[derive(Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub(crate) struct PreferencesOut {
    /// `null`: the merchant's.
    locale: Option<String>,
    /// All kinds.
    #[schema(value_type = BTreeMap<String, ChannelsOut>)]
    channels: BTreeMap<&'static str, ChannelsOut>,
    marketing: bool,
}

impl From<Preferences> for PreferencesOut {
    fn from(wants: Preferences) -> PreferencesOut {
        let out = |Channels { email, sms, in_app }| ChannelsOut { email, sms, in_app };
        let channels = wants.all().map(|(kind, channels)| (kind, out(channels))).collect();
        PreferencesOut { channels, locale: wants.locale, marketing: wants.marketing }
    }
}

fn preferences_in(fields: &mut Fields<'_>) -> Preferences {
    let locale = fields.text("locale");
    if locale.as_ref().is_some_and(|locale| !is_locale(locale)) {
        fields.wrong("locale", "a BCP 47 tag such as `de` or `de-AT` is needed");
    }
    let channels = fields.object("channels", |kinds| {
        let read = |one: &mut Fields<'_>| Channels {
            email: one.flag("email").unwrap_or(true),
            sms: one.flag("sms").unwrap_or(true),
            in_app: one.flag("inApp").unwrap_or(true),
        };
        let all = KINDS
            .iter()
            .filter_map(|kind| Some((kind.name.to_owned(), kinds.object(kind.name, read).value()?)));
        all.collect::<BTreeMap<_, _>>()
    });
    let channels = channels.value().unwrap_or_default();
    Preferences { locale, channels, marketing: fields.flag("marketing").unwrap_or(false) }
}

/// Reads where and in which language the shopper is told of orders.
#[utoipa::path(get, path = "/api/v1/customers/me/preferences", tag = "customers", security(("bearer" = [])),
    responses((status = 200, body = PreferencesOut)))]
pub(crate) async fn wants(State(app): State<App>, caller: Caller) -> Result<Response, Problem> {
    let wants = app.events.preferences(&caller.merchant, &caller.sub).await?;
    json(StatusCode::OK, &PreferencesOut::from(wants))
}

/// Replaces where and in which language the shopper is told of orders; what is left out has its default.
#[utoipa::path(put, path = "/api/v1/customers/me/preferences", tag = "customers", security(("bearer" = [])),
    request_body = PreferencesIn, responses((status = 200, body = PreferencesOut)))]
pub(crate) async fn put_wants(
    State(app): State<App>,
    caller: Caller,
    body: Json,
) -> Result<Response, Problem> {
    let mut fields = body.fields()?;
    let wants = preferences_in(&mut fields);
    fields.finish()?;
    app.events.put_preferences(&caller.merchant, &caller.sub, &wants).await?;
    json(StatusCode::OK, &PreferencesOut::from(wants))
}

/// The caller's own record. A guest has none.
fn account(caller: &Caller) -> Result<(&str, &str), Problem> {
    if is_guest(&caller.sub) {
        let detail =
            "a guest keeps no addresses and no payment methods; sign in, or send them with the checkout";
        return Err(Problem::new(Code::NoAccount, detail));
    }
    Ok((&caller.merchant, &caller.sub))
}

/// Reads who the shopper is.
#[utoipa::path(get, path = "/api/v1/customers/me", tag = "customers", security(("bearer" = [])),
    responses((status = 200, body = ProfileOut)))]
pub(crate) async fn me(State(app): State<App>, caller: Caller) -> Result<Response, Problem> {
    let (merchant, id) = account(&caller)?;
    let settings = app.shop.settings(merchant).await?;
    let (customer, points) = app.shop.customer(merchant, id).await?;
    json(StatusCode::OK, &ProfileOut::new(&customer, points, &settings))
}

/// Reads all that a checkout asks of the shopper: addresses, payment methods, preferences, points.
#[utoipa::path(get, path = "/api/v1/customers/me/checkout-context", tag = "customers", security(("bearer" = [])),
    responses((status = 200, body = ContextOut)))]
pub(crate) async fn context(State(app): State<App>, caller: Caller) -> Result<Response, Problem> {
    let (merchant, id) = account(&caller)?;
    let settings = app.shop.settings(merchant).await?;
    json(StatusCode::OK, &ContextOut::new(&app.shop.checkout_context(merchant, id).await?, &settings))
}

/// An address for the book.
#[derive(ToSchema)]
#[schema(rename_all = "camelCase")]
#[expect(dead_code, reason = "describes the body in OpenAPI; it is read field by field")]
pub(crate) struct BookAddressIn {
    /// `shipping` or `billing`.
    r#type: String,
    /// Becomes the default of its type. One is always: the first, until another takes its place.
    is_default: Option<bool>,
    name: Option<String>,
    company: Option<String>,
    /// A text or a list of lines.
    street: String,
    /// Needed where the country's post needs it.
    city: Option<String>,
    /// State, province or region: its short code or its name. Needed where the country's post needs it.
    state: Option<String>,
    /// As the country writes it; gaps and capitals are put right. Needed where the country's post needs it.
    zip_code: Option<String>,
    /// ISO 3166-1 alpha-2.
    country: String,
    phone: Option<String>,
}

pub(crate) fn book_address(fields: &mut Fields<'_>, id: &str) -> SavedAddress {
    let kind = fields.text("type");
    let kind = fields.need("type", kind);
    if !kind.is_empty() && kind != "shipping" && kind != "billing" {
        fields.wrong("type", "`shipping` or `billing` is needed");
    }
    SavedAddress {
        id: id.to_owned(),
        kind,
        default: fields.flag("isDefault").unwrap_or(false),
        address: whole_address(fields),
    }
}

/// The shopper's addresses.
#[derive(Serialize, ToSchema)]
pub(crate) struct AddressesOut {
    addresses: Vec<SavedAddressOut>,
}

/// Lists the shopper's addresses, in the order in which they were saved.
#[utoipa::path(get, path = "/api/v1/customers/me/addresses", tag = "customers", security(("bearer" = [])),
    responses((status = 200, body = AddressesOut)))]
pub(crate) async fn addresses(State(app): State<App>, caller: Caller) -> Result<Response, Problem> {
    let (merchant, id) = account(&caller)?;
    let (customer, _) = app.shop.customer(merchant, id).await?;
    let addresses = customer.addresses.iter().map(SavedAddressOut::new).collect();
    json(StatusCode::OK, &AddressesOut { addresses })
}

/// Saves an address, at most 50. One that is saved already is not saved twice: 200 tells it.
#[utoipa::path(post, path = "/api/v1/customers/me/addresses", tag = "customers", security(("bearer" = [])),
    request_body = BookAddressIn, responses((status = 201, body = SavedAddressOut, headers(("Location" = String))),
        (status = 200, body = SavedAddressOut, description = "it was saved already")))]
pub(crate) async fn add_address(
    State(app): State<App>,
    caller: Caller,
    body: Json,
) -> Result<Response, Problem> {
    let (merchant, id) = account(&caller)?;
    let mut fields = body.fields()?;
    let wanted = book_address(&mut fields, "");
    fields.finish()?;
    let (saved, new) = app.shop.put_address(merchant, id, wanted).await?;
    let url = format!("/api/v1/customers/me/addresses/{}", saved.id);
    kept(new, &SavedAddressOut::new(&saved), &url)
}

/// Reads one of the shopper's addresses.
#[utoipa::path(get, path = "/api/v1/customers/me/addresses/{addressId}", tag = "customers", security(("bearer" = [])),
    params(("addressId" = String, Path)), responses((status = 200, body = SavedAddressOut)))]
pub(crate) async fn address(
    State(app): State<App>,
    caller: Caller,
    At(address): At<String>,
) -> Result<Response, Problem> {
    let (merchant, id) = account(&caller)?;
    let (customer, _) = app.shop.customer(merchant, id).await?;
    let saved = customer.addresses.iter().find(|saved| saved.id == address);
    let saved = saved.ok_or_else(|| Problem::not_found("address", &address))?;
    json(StatusCode::OK, &SavedAddressOut::new(saved))
}

/// Replaces one of the shopper's addresses.
#[utoipa::path(put, path = "/api/v1/customers/me/addresses/{addressId}", tag = "customers", security(("bearer" = [])),
    params(("addressId" = String, Path)), request_body = BookAddressIn,
    responses((status = 200, body = SavedAddressOut)))]
pub(crate) async fn set_address(
    State(app): State<App>,
    caller: Caller,
    At(address): At<String>,
    body: Json,
) -> Result<Response, Problem> {
    let (merchant, id) = account(&caller)?;
    let mut fields = body.fields()?;
    let wanted = book_address(&mut fields, &address);
    fields.finish()?;
    if address.is_empty() {
        return Err(Problem::not_found("address", &address));
    }
    let (saved, _) = app.shop.put_address(merchant, id, wanted).await?;
    json(StatusCode::OK, &SavedAddressOut::new(&saved))
}

/// Takes one of the shopper's addresses out of the book. Checkouts under way keep theirs.
#[utoipa::path(delete, path = "/api/v1/customers/me/addresses/{addressId}", tag = "customers",
    security(("bearer" = [])), params(("addressId" = String, Path)), responses((status = 204)))]
pub(crate) async fn drop_address(
    State(app): State<App>,
    caller: Caller,
    At(address): At<String>,
) -> Result<Response, Problem> {
    let (merchant, id) = account(&caller)?;
    app.shop.drop_address(merchant, id, &address).await?;
    Ok(no_content())
}

/// A means of payment: the gateway's token, never a card number.
#[derive(ToSchema)]
#[schema(rename_all = "camelCase")]
#[expect(dead_code, reason = "describes the body in OpenAPI; it is read field by field")]
pub(crate) struct WalletMethodIn {
    /// For example `credit_card`.
    r#type: String,
    /// What the gateway's own form gave for the card. What looks like a card number is refused.
    token: String,
    /// Last four digits, for showing.
    last4: Option<String>,
    /// For showing.
    brand: Option<String>,
    /// Last month in which it can be used: `2027-09`.
    expires: Option<String>,
    /// Becomes the default. One is always: the first, until another takes its place.
    is_default: Option<bool>,
}

pub(crate) fn wallet_method(fields: &mut Fields<'_>, now_us: i64) -> SavedMethod {
    let text = |fields: &mut Fields<'_>, name: &'static str, max: usize| {
        let text = words(fields, name, max);
        if looks_like_card(&text) {
            fields.wrong(name, CARD_NUMBER);
        }
        text
    };
    let mut needed = |name: &'static str, max: usize| {
        let given = text(fields, name, max);
        fields.need(name, Some(given).filter(|given| !given.is_empty()))
    };
    let (kind, token) = (needed("type", KIND_CHARS_MAX), needed("token", TOKEN_CHARS_MAX));
    let last4 = fields.text("last4").unwrap_or_default();
    let four = last4.len() == 4 && last4.bytes().all(|byte| byte.is_ascii_digit());
    if !four && !last4.is_empty() {
        fields.wrong("last4", "the last four digits are needed, and no more");
    }
    let saved = SavedMethod {
        id: String::new(),
        brand: text(fields, "brand", KIND_CHARS_MAX),
        expires: expiry(fields),
        default: fields.flag("isDefault").unwrap_or(false),
        kind,
        token,
        last4,
    };
    if saved.has_expired(now_us) {
        fields.wrong("expires", "that month is over; it could not be used");
    }
    saved
}

/// The shopper's means of payment.
#[derive(Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub(crate) struct MethodsOut {
    payment_methods: Vec<MethodOut>,
}

/// Lists the shopper's means of payment, without their tokens.
#[utoipa::path(get, path = "/api/v1/customers/me/payment-methods", tag = "customers", security(("bearer" = [])),
    responses((status = 200, body = MethodsOut)))]
pub(crate) async fn methods(State(app): State<App>, caller: Caller) -> Result<Response, Problem> {
    let (merchant, id) = account(&caller)?;
    let (customer, _) = app.shop.customer(merchant, id).await?;
    let now_us = app.runner.clock().now_us();
    let methods = customer.payment_methods.iter().map(|saved| MethodOut::new(saved, now_us)).collect();
    json(StatusCode::OK, &MethodsOut { payment_methods: methods })
}

/// Saves a means of payment, at most 20. The token names it: one that is saved already is told anew, with 200.
#[utoipa::path(post, path = "/api/v1/customers/me/payment-methods", tag = "customers", security(("bearer" = [])),
    request_body = WalletMethodIn, responses((status = 201, body = MethodOut),
        (status = 200, body = MethodOut, description = "it was saved already")))]
pub(crate) async fn add_method(
    State(app): State<App>,
    caller: Caller,
    body: Json,
) -> Result<Response, Problem> {
    let (merchant, id) = account(&caller)?;
    let now_us = app.runner.clock().now_us();
    let mut fields = body.fields()?;
    let wanted = wallet_method(&mut fields, now_us);
    fields.finish()?;
    let (saved, new) = app.shop.put_method(merchant, id, wanted).await?;
    json(if new { StatusCode::CREATED } else { StatusCode::OK }, &MethodOut::new(&saved, now_us))
}

/// Forgets a means of payment.
#[utoipa::path(delete, path = "/api/v1/customers/me/payment-methods/{methodId}", tag = "customers",
    security(("bearer" = [])), params(("methodId" = String, Path)), responses((status = 204)))]
pub(crate) async fn drop_method(
    State(app): State<App>,
    caller: Caller,
    At(method): At<String>,
) -> Result<Response, Problem> {
    let (merchant, id) = account(&caller)?;
    app.shop.drop_method(merchant, id, &method).await?;
    Ok(no_content())
}

fn kept(new: bool, out: &impl Serialize, url: &str) -> Result<Response, Problem> {
    match new {
        true => Ok(with(json(StatusCode::CREATED, out)?, header::LOCATION, url)),
        false => json(StatusCode::OK, out),
    }
}

/// Finds customers by the beginning of their id or mail address, in the order of ids.
#[utoipa::path(get, path = "/api/v1/admin/customers", tag = "customers", security(("bearer" = [])),
    params(("q" = Option<String>, Query, description = "beginning of an id, or of a mail address in whatever case"),
        ("limit" = Option<i64>, Query, description = "1 to 200; 50 by default"),
        ("cursor" = Option<String>, Query, description = "`nextCursor` of the page before")),
    responses((status = 200, body = RecordsOut)))]
pub(crate) async fn list(
    State(app): State<App>,
    caller: Caller,
    mut query: Query,
) -> Result<Response, Problem> {
    caller.needs(Read(Area::Customers))?;
    let begins = query.text("q").unwrap_or_default().trim().to_owned();
    let after = query.text("cursor").unwrap_or_default().to_owned();
    let limit = query.limit(50, 200)?;
    query.finish()?;
    let found = app.shop.customers(&caller.merchant, &begins, &after, limit).await?;
    let next = last_of(&found, limit).map(|last| last.customer.id.clone());
    json(StatusCode::OK, &RecordsOut::new(&found, next))
}

/// Reads a customer, with what they have bought in all.
#[utoipa::path(get, path = "/api/v1/admin/customers/{id}", tag = "customers", security(("bearer" = [])),
    params(("id" = String, Path)), responses((status = 200, body = RecordOut)))]
pub(crate) async fn record(
    State(app): State<App>,
    caller: Caller,
    At(id): At<String>,
) -> Result<Response, Problem> {
    caller.needs(Read(Area::Customers))?;
    let (record, value) = app.shop.customer_record(&caller.merchant, &id).await?;
    json(StatusCode::OK, &RecordOut::whole(&record, &value, app.runner.clock().now_us()))
}
