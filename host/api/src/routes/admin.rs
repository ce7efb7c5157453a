//! What a merchant sets up: settings, customers, stock. Products are beside this, in `products.rs`, components in
//! `components.rs`, and what customers do themselves in `customers.rs`.

use axum::extract::State;
use axum::http::StatusCode;
use axum::response::Response;
use serde::Serialize;
use till_commerce::StockChange;
use till_commerce::access::Area;
use till_commerce::access::Wanted::{Change, Read};
use till_commerce::catalog::{Customer, SavedAddress, SavedMethod};
use till_commerce::customer::looks_like_card;
use till_commerce::events::notify::is_phone;
use till_commerce::settings::Given;
use till_sandbox::{BreakerState, BreakerView};
use utoipa::ToSchema;

use super::checkout::{AddressIn, address};
use super::inventory::words;
use super::json;
use crate::App;
use crate::auth::Caller;
use crate::problem::{Code, Problem};
use crate::read::{At, Fields, Json};
use crate::wire::time_ms;

/// Longest name of a customer.
const NAME_CHARS_MAX: usize = 200;
/// Told where a token looks like the number of a card. The number is not repeated.
pub(super) const CARD_NUMBER: &str =
    "this looks like a card number, which is never kept; send the gateway's token";
/// What the host has done since it started.
#[derive(Serialize, ToSchema)]
pub(crate) struct CountersOut {
    /// Durable commits; on SQLite each may carry many transactions.
    commits: u64,
    /// Transactions committed.
    transactions: u64,
    /// Workflow instances the merchant has.
    instances: i64,
}

/// Counts commits, transactions and instances.
#[utoipa::path(get, path = "/api/v1/admin/counters", tag = "admin", security(("bearer" = [])),
    responses((status = 200, body = CountersOut)))]
pub(crate) async fn counters(State(app): State<App>, caller: Caller) -> Result<Response, Problem> {
    caller.needs(Read(Area::Settings))?;
    let (commits, transactions) = app.runner.store().counts();
    let instances = app.runner.store().instance_count(&caller.merchant).await.map_err(Problem::internal)?;
    json(StatusCode::OK, &CountersOut { commits, transactions, instances })
}

/// A circuit breaker.
#[derive(Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub(crate) struct BreakerOut {
    /// Where the requests of gateways and carriers go.
    origin: String,
    /// `CLOSED`: requests are sent. `OPEN`: they are refused before they are sent. `HALF_OPEN`: one is out to see.
    #[schema(value_type = String)]
    state: BreakerState,
    /// Failures in a row.
    failures: u32,
    /// In this state since then.
    since: String,
    /// While it is open: lets a request through from then on.
    opens_again: Option<String>,
}

/// The circuit breakers of the merchant.
#[derive(Serialize, ToSchema)]
pub(crate) struct BreakersOut {
    breakers: Vec<BreakerOut>,
}

/// Lists the circuit breakers of the merchant's gateways and carriers, as this process sees them.
#[utoipa::path(get, path = "/api/v1/admin/breakers", tag = "admin", security(("bearer" = [])),
    responses((status = 200, body = BreakersOut)))]
pub(crate) async fn breakers(State(app): State<App>, caller: Caller) -> Result<Response, Problem> {
    caller.needs(Read(Area::Settings))?;
    let out = |breaker: BreakerView| BreakerOut {
        origin: breaker.origin,
        state: breaker.state,
        failures: breaker.failures,
        since: time_ms(breaker.since_ms),
        opens_again: breaker.opens_again_ms.map(time_ms),
    };
    let breakers = app.registry.sandbox().breakers(&caller.merchant).into_iter().map(out).collect();
    json(StatusCode::OK, &BreakersOut { breakers })
}

/// Reads the merchant's settings.
#[utoipa::path(get, path = "/api/v1/admin/settings", tag = "admin", security(("bearer" = [])),
    responses((status = 200, body = Object)))]
pub(crate) async fn settings(State(app): State<App>, caller: Caller) -> Result<Response, Problem> {
    caller.needs(Read(Area::Settings))?;
    json(StatusCode::OK, &app.shop.settings(&caller.merchant).await?)
}

/// Replaces the merchant's settings; what is left out has its default. Checkouts under way keep theirs.
#[utoipa::path(put, path = "/api/v1/admin/settings", tag = "admin", security(("bearer" = [])),
    request_body = Object, responses((status = 200, body = Object)))]
pub(crate) async fn put_settings(
    State(app): State<App>,
    caller: Caller,
    body: Json,
) -> Result<Response, Problem> {
    caller.needs(Change(Area::Settings))?;
    let Given(settings) = body.document()?;
    app.shop.put_settings(&caller.merchant, &settings).await?;
    json(StatusCode::OK, &settings)
}

/// Something was written.
#[derive(Serialize, ToSchema)]
pub(crate) struct DoneOut {
    success: bool,
    id: String,
}

pub(super) fn done(id: &str) -> Result<Response, Problem> {
    json(StatusCode::OK, &DoneOut { success: true, id: id.to_owned() })
}

/// A saved address.
#[derive(ToSchema)]
#[schema(rename_all = "camelCase")]
#[expect(dead_code, reason = "describes the body in OpenAPI; it is read field by field")]
struct SavedAddressIn {
    id: String,
    /// `shipping` or `billing`.
    r#type: String,
    is_default: Option<bool>,
    #[schema(inline)]
    address: AddressIn,
}

/// A saved means of payment: the gateway's token, never a card number.
#[derive(ToSchema)]
#[schema(rename_all = "camelCase")]
#[expect(dead_code, reason = "describes the body in OpenAPI; it is read field by field")]
struct SavedMethodIn {
    id: String,
    /// For example `credit_card`.
    r#type: String,
    token: String,
    last4: Option<String>,
    brand: Option<String>,
    is_default: Option<bool>,
    /// Last month in which it can be used: `2027-09`.
    expires: Option<String>,
}

/// A customer.
#[derive(ToSchema)]
#[schema(rename_all = "camelCase")]
#[expect(dead_code, reason = "describes the body in OpenAPI; it is read field by field")]
pub(crate) struct CustomerIn {
    name: Option<String>,
    email: Option<String>,
    /// E.164: `+14155550123`.
    phone: Option<String>,
    groups: Option<Vec<String>>,
    tier: Option<String>,
    tags: Option<Vec<String>>,
    /// Left out: the customer's book stays as it is.
    addresses: Option<Vec<SavedAddressIn>>,
    /// Left out: they stay as they are.
    payment_methods: Option<Vec<SavedMethodIn>>,
    /// Points of a customer who is new; without effect on one who is known.
    points: Option<u64>,
}

pub(crate) fn customer_in(fields: &mut Fields<'_>, id: &str) -> (Customer, i64) {
    let addresses = fields.list("addresses", |saved| {
        let (id, kind) = (saved.text("id"), saved.text("type"));
        let place = saved.object("address", address).value();
        let kind = saved.need("type", kind);
        if !kind.is_empty() && kind != "shipping" && kind != "billing" {
            saved.wrong("type", "`shipping` or `billing` is needed");
        }
        SavedAddress {
            id: saved.need("id", id),
            kind,
            address: saved.need("address", place),
            default: saved.flag("isDefault").unwrap_or(false),
        }
    });
    let payment_methods = fields.list("paymentMethods", |saved| {
        let (id, kind, token) = (saved.text("id"), saved.text("type"), saved.text("token"));
        let token = saved.need("token", token);
        for (name, text) in [("id", id.as_deref()), ("token", Some(token.as_str()))] {
            if text.is_some_and(looks_like_card) {
                saved.wrong(name, CARD_NUMBER);
            }
        }
        let expires = expiry(saved);
        SavedMethod {
            expires,
            id: saved.need("id", id),
            kind: saved.need("type", kind),
            token,
            last4: saved.text("last4").unwrap_or_default(),
            brand: saved.text("brand").unwrap_or_default(),
            default: saved.flag("isDefault").unwrap_or(false),
        }
    });
    let points = fields.integer("points").unwrap_or(0);
    if points < 0 {
        fields.wrong("points", "at least 0");
    }
    let phone = fields.text("phone").unwrap_or_default();
    if !phone.is_empty() && !is_phone(&phone) {
        fields.wrong("phone", "`+` and 7 to 15 digits are needed, as E.164 writes it: `+14155550123`");
    }
    let customer = Customer {
        id: id.to_owned(),
        name: words(fields, "name", NAME_CHARS_MAX),
        email: fields.text("email").unwrap_or_default(),
        phone,
        groups: fields.texts("groups").value().unwrap_or_default(),
        tier: fields.text("tier"),
        tags: fields.texts("tags").value().unwrap_or_default(),
        addresses,
        payment_methods,
    };
    (customer, points)
}

/// Makes or replaces a customer.
#[utoipa::path(put, path = "/api/v1/admin/customers/{id}", tag = "admin", security(("bearer" = [])),
    params(("id" = String, Path)), request_body = CustomerIn, responses((status = 200, body = DoneOut)))]
pub(crate) async fn put_customer(
    State(app): State<App>,
    caller: Caller,
    At(id): At<String>,
    body: Json,
) -> Result<Response, Problem> {
    caller.needs(Change(Area::Customers))?;
    check_id(&id)?;
    let mut fields = body.fields()?;
    let stay = (!fields.has("addresses"), !fields.has("paymentMethods"));
    let (customer, points) = customer_in(&mut fields, &id);
    fields.finish()?;
    app.shop.put_customer_but(&caller.merchant, &customer, points, stay).await?;
    done(&id)
}

/// Units on hand.
#[derive(ToSchema)]
#[schema(rename_all = "camelCase")]
pub(crate) struct StockIn {
    /// Units in the warehouse, those that are promised included.
    on_hand: i64,
}

impl StockIn {
    pub(crate) fn read(fields: &mut Fields<'_>) -> StockIn {
        let units = fields.integer("onHand");
        StockIn { on_hand: fields.need("onHand", units) }
    }
}

/// Sets the units on hand.
#[utoipa::path(put, path = "/api/v1/admin/stock/{sku}/{warehouse}", tag = "admin", security(("bearer" = [])),
    params(("sku" = String, Path), ("warehouse" = String, Path)), request_body = StockIn,
    responses((status = 200, body = DoneOut)))]
pub(crate) async fn put_stock(
    State(app): State<App>,
    caller: Caller,
    At((sku, warehouse)): At<(String, String)>,
    body: Json,
) -> Result<Response, Problem> {
    caller.needs(Change(Area::Inventory))?;
    check_id(&sku)?;
    check_id(&warehouse)?;
    let mut fields = body.fields()?;
    let StockIn { on_hand } = StockIn::read(&mut fields);
    fields.finish()?;
    let change = StockChange::To { sku: sku.clone(), warehouse, on_hand };
    app.shop.change_stock(&caller.merchant, &caller.sub, change, ("set", "", ""), None).await?;
    done(&sku)
}

/// Ids are short and plain: they come back in paths, headers and logs.
pub(super) fn check_id(id: &str) -> Result<(), Problem> {
    if fits_path(id) {
        return Ok(());
    }
    Err(Problem::new(Code::BadRequest, "an id in the path must have 1 to 128 visible bytes"))
}

pub(super) fn fits_path(id: &str) -> bool {
    (1..=128).contains(&id.len()) && !id.chars().any(char::is_control)
}

/// The last month in which a means of payment can be used.
pub(super) fn expiry(fields: &mut Fields<'_>) -> Option<String> {
    let expires = fields.text("expires");
    if expires.as_deref().is_some_and(|month| !is_month(month)) {
        fields.wrong("expires", "a year and a month are needed: `2027-09`");
    }
    expires
}

/// `2027-09`.
fn is_month(text: &str) -> bool {
    let digits = |part: &str| part.bytes().all(|byte| byte.is_ascii_digit());
    text.split_once('-').is_some_and(|(year, month)| {
        year.len() == 4 && month.len() == 2 && digits(year) && digits(month) && ("01"..="12").contains(&month)
    })
}
