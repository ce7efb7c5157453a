//! What a merchant sets up: components, settings, catalog, customers, stock. Needs the scope `admin`.

use std::collections::BTreeMap;
use std::str::FromStr as _;

use axum::extract::{FromRequest as _, Request, State};
use axum::http::StatusCode;
use axum::response::Response;
use data_encoding::BASE64;
use serde::Serialize;
use serde_json::{Value, json as value};
use till_commerce::catalog::{Customer, Product, SavedAddress, SavedMethod};
use till_commerce::quote::Kind;
use till_commerce::settings::Given;
use till_model::money::Currency;
use till_registry::{Activation, Change, FailurePolicy, Push, Turn};
use till_sandbox::Slot;
use tokio::sync::Semaphore;
use utoipa::ToSchema;

use super::checkout::{AddressIn, address};
use super::json;
use crate::App;
use crate::auth::Caller;
use crate::problem::{Code, Problem};
use crate::read::{At, Fields, Json, Query};
use crate::wire::{Amount, time};

const ADMIN: &str = "admin";
/// Largest component: cards' gateways with a TLS-free HTTP stack have 2 MB, interpreters 30.
const WASM_BYTES_MAX: usize = 32 << 20;
/// Largest push: a component in base64 with its configuration and tables.
const PUSH_BYTES_MAX: usize = 48 << 20;
/// Pushes read and compiled at the same time: each may hold 100 MB and a core.
static PUSHES: Semaphore = Semaphore::const_new(2);

/// A component for a slot.
#[derive(ToSchema)]
#[schema(rename_all = "camelCase")]
#[expect(dead_code, reason = "describes the body in OpenAPI; it is read field by field")]
pub(crate) struct PushIn {
    /// `pricing`, `promotion`, `tax`, `shipping` or `payment-gateway`.
    slot: String,
    /// Position in an ordered slot (`10`, `20`), or the payment method; `default` without.
    name: Option<String>,
    /// The binary, in base64; at most 32 MiB decoded.
    wasm_base64: String,
    /// For the component, by its schema.
    config: Option<Value>,
    /// Where a gateway may send requests: `https://api.example.com`.
    origins: Option<Vec<String>>,
    allow_private_addresses: Option<bool>,
    /// What happens when it cannot answer: `refuse` (default) or `omit`.
    policy: Option<String>,
    /// Wall time of the network in one call, milliseconds: 100 to 30,000.
    network_ms: Option<u64>,
    /// Tables by name, each text to text.
    #[schema(value_type = Option<Object>)]
    tables: Option<BTreeMap<String, BTreeMap<String, String>>>,
    /// Reason, for the history; at most 500 bytes.
    why: Option<String>,
}

/// A binding to change back or to take out of use.
#[derive(ToSchema)]
#[schema(rename_all = "camelCase")]
#[expect(dead_code, reason = "describes the body in OpenAPI; it is read field by field")]
pub(crate) struct TurnIn {
    /// `pricing`, `promotion`, `tax`, `shipping` or `payment-gateway`.
    slot: String,
    /// `default` without.
    name: Option<String>,
    /// Reason, for the history; at most 500 bytes.
    why: Option<String>,
    /// Rollback only: the revision to use again; without, the one before what is used now.
    revision: Option<i64>,
}

fn slot_of(fields: &mut Fields<'_>) -> Slot {
    let slot = fields.text("slot");
    let slot = fields.need("slot", slot);
    Slot::from_str(&slot).unwrap_or_else(|error| {
        if !slot.is_empty() {
            fields.wrong("slot", error.to_string());
        }
        Slot::Pricing
    })
}

fn turn_in(fields: &mut Fields<'_>, who: &str) -> Turn {
    Turn {
        slot: slot_of(fields),
        name: fields.text("name").unwrap_or_else(|| "default".to_owned()),
        who: who.to_owned(),
        why: fields.text("why").unwrap_or_default(),
    }
}

pub(crate) fn push_in(fields: &mut Fields<'_>, who: &str) -> Push {
    let slot = slot_of(fields);
    let name = fields.text("name").unwrap_or_else(|| "default".to_owned());
    let text = fields.text("wasmBase64");
    let text = fields.need("wasmBase64", text);
    let wasm = BASE64.decode(text.as_bytes()).unwrap_or_else(|error| {
        fields.wrong("wasmBase64", format!("padded base64 without line breaks is needed: {error}"));
        vec![]
    });
    if wasm.len() > WASM_BYTES_MAX {
        fields.wrong("wasmBase64", format!("{} bytes; at most {WASM_BYTES_MAX}", wasm.len()));
    }
    Push {
        slot,
        name,
        wasm,
        config: fields.value("config").unwrap_or_else(|| value!({})),
        origins: fields.texts("origins").value().unwrap_or_default(),
        allow_private_addresses: fields.flag("allowPrivateAddresses").unwrap_or(false),
        policy: fields.typed::<FailurePolicy>("policy").unwrap_or_default(),
        network_ms: fields.typed("networkMs"),
        tables: fields.typed("tables").unwrap_or_default(),
        who: who.to_owned(),
        why: fields.text("why").unwrap_or_default(),
    }
}

/// A component in use.
#[derive(Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub(crate) struct ActivationOut {
    slot: String,
    name: String,
    revision: i64,
    /// Digest of component, configuration and policy; checkouts pin it.
    digest: String,
    /// Digest of the component.
    component: String,
    /// What the component says of itself.
    #[schema(value_type = Object)]
    info: Value,
    created_at: String,
    created_by: String,
}

impl From<Activation> for ActivationOut {
    fn from(activation: Activation) -> ActivationOut {
        ActivationOut {
            slot: activation.slot,
            name: activation.name,
            revision: activation.revision,
            digest: activation.digest,
            component: activation.component,
            info: activation.info,
            created_at: time(activation.created_us),
            created_by: activation.created_by,
        }
    }
}

/// The components in use.
#[derive(Serialize, ToSchema)]
pub(crate) struct ActivationsOut {
    components: Vec<ActivationOut>,
}

/// Checks a component with its configuration and uses it from the next checkout on.
#[utoipa::path(post, path = "/api/v1/admin/components", tag = "admin", security(("bearer" = [])),
    request_body = PushIn, responses((status = 201, body = ActivationOut)))]
pub(crate) async fn push(
    State(app): State<App>,
    caller: Caller,
    request: Request,
) -> Result<Response, Problem> {
    caller.needs(ADMIN)?;
    let _place = PUSHES.acquire().await.map_err(Problem::internal)?;
    let body = Json::<PUSH_BYTES_MAX>::from_request(request, &app).await?;
    let mut fields = body.fields()?;
    let push = push_in(&mut fields, &caller.sub);
    fields.finish()?;
    drop(body);
    let activation = app.registry.push(&caller.merchant, push, app.runner.clock().now_us()).await?;
    json(StatusCode::CREATED, &ActivationOut::from(activation))
}

/// Lists the components in use.
#[utoipa::path(get, path = "/api/v1/admin/components", tag = "admin", security(("bearer" = [])),
    responses((status = 200, body = ActivationsOut)))]
pub(crate) async fn components(State(app): State<App>, caller: Caller) -> Result<Response, Problem> {
    caller.needs(ADMIN)?;
    let all = app.registry.activations(&caller.merchant).await?;
    json(StatusCode::OK, &ActivationsOut { components: all.into_iter().map(ActivationOut::from).collect() })
}

/// Uses an earlier revision of a binding from the next checkout on; those under way keep what they have.
#[utoipa::path(post, path = "/api/v1/admin/components/rollback", tag = "admin", security(("bearer" = [])),
    request_body = TurnIn, responses((status = 200, body = ActivationOut)))]
pub(crate) async fn roll_back(
    State(app): State<App>,
    caller: Caller,
    body: Json,
) -> Result<Response, Problem> {
    caller.needs(ADMIN)?;
    let mut fields = body.fields()?;
    let turn = turn_in(&mut fields, &caller.sub);
    let revision = fields.integer("revision");
    fields.finish()?;
    let now_us = app.runner.clock().now_us();
    let activation = app.registry.roll_back(&caller.merchant, turn, revision, now_us).await?;
    json(StatusCode::OK, &ActivationOut::from(activation))
}

/// Takes a binding out of use from the next checkout on. A rollback brings it back.
#[utoipa::path(post, path = "/api/v1/admin/components/retire", tag = "admin", security(("bearer" = [])),
    request_body = TurnIn, responses((status = 200, body = ChangeOut)))]
pub(crate) async fn retire(State(app): State<App>, caller: Caller, body: Json) -> Result<Response, Problem> {
    caller.needs(ADMIN)?;
    let mut fields = body.fields()?;
    let turn = turn_in(&mut fields, &caller.sub);
    fields.finish()?;
    let now_us = app.runner.clock().now_us();
    let change = app.registry.retire(&caller.merchant, turn, now_us).await?;
    json(StatusCode::OK, &ChangeOut::from(change))
}

/// A change of a binding.
#[derive(Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub(crate) struct ChangeOut {
    revision: i64,
    /// `push`, `rollback` or `retire`.
    act: String,
    /// Revision its content was pushed with.
    origin: i64,
    /// Digest of component, configuration and policy; empty when retired.
    digest: String,
    /// Digest of the component; empty when retired.
    component: String,
    why: String,
    created_at: String,
    created_by: String,
}

impl From<Change> for ChangeOut {
    fn from(change: Change) -> ChangeOut {
        ChangeOut {
            revision: change.revision,
            act: change.act,
            origin: change.origin,
            digest: change.digest,
            component: change.component,
            why: change.why,
            created_at: time(change.created_us),
            created_by: change.created_by,
        }
    }
}

/// The changes of a binding.
#[derive(Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub(crate) struct HistoryOut {
    /// Newest first.
    changes: Vec<ChangeOut>,
    /// Give it as `before` to read on; absent at the end.
    #[serde(skip_serializing_if = "Option::is_none")]
    next_before: Option<i64>,
}

/// Reads who changed a binding, when, to what and why.
#[utoipa::path(get, path = "/api/v1/admin/components/history", tag = "admin", security(("bearer" = [])),
    params(("slot" = String, Query), ("name" = Option<String>, Query, description = "`default` without"),
        ("before" = Option<i64>, Query, description = "`nextBefore` of the part before"),
        ("limit" = Option<i64>, Query, description = "1 to 200; 50 by default")),
    responses((status = 200, body = HistoryOut)))]
pub(crate) async fn history(
    State(app): State<App>,
    caller: Caller,
    mut query: Query,
) -> Result<Response, Problem> {
    caller.needs(ADMIN)?;
    let limit = query.limit(50, 200)?;
    let slot = query.text("slot").ok_or_else(|| Problem::field("slot", "it is needed"))?;
    let slot = Slot::from_str(slot).map_err(|error| Problem::field("slot", error.to_string()))?;
    let name = query.text("name").unwrap_or("default").to_owned();
    let before = match query.text("before") {
        Some(text) => text.parse().map_err(|_| Problem::field("before", "a whole number is needed"))?,
        None => i64::MAX,
    };
    query.finish()?;
    let changes = app.registry.history(&caller.merchant, slot, &name, before, limit).await?;
    let full = i64::try_from(changes.len()).is_ok_and(|n| n >= limit);
    let next_before = changes.last().filter(|_| full).map(|change| change.revision);
    let changes = changes.into_iter().map(ChangeOut::from).collect();
    json(StatusCode::OK, &HistoryOut { changes, next_before })
}

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
    caller.needs(ADMIN)?;
    let (commits, transactions) = app.runner.store().counts();
    let instances = app.runner.store().instance_count(&caller.merchant).await.map_err(Problem::internal)?;
    json(StatusCode::OK, &CountersOut { commits, transactions, instances })
}

/// Reads the merchant's settings.
#[utoipa::path(get, path = "/api/v1/admin/settings", tag = "admin", security(("bearer" = [])),
    responses((status = 200, body = Object)))]
pub(crate) async fn settings(State(app): State<App>, caller: Caller) -> Result<Response, Problem> {
    caller.needs(ADMIN)?;
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
    caller.needs(ADMIN)?;
    let Given(settings) = body.document()?;
    app.shop.put_settings(&caller.merchant, &settings).await?;
    json(StatusCode::OK, &settings)
}

/// A product.
#[derive(ToSchema)]
#[schema(rename_all = "camelCase")]
#[expect(dead_code, reason = "describes the body in OpenAPI; it is read field by field")]
pub(crate) struct ProductIn {
    sku: String,
    name: String,
    description: Option<String>,
    images: Option<Vec<String>>,
    price: Amount,
    compare_at_price: Option<Amount>,
    /// ISO 4217; the merchant's without.
    currency: Option<String>,
    /// It is sold; `true` without.
    active: Option<bool>,
    /// `physical` (default), `digital`, `gift-card` or `service`.
    kind: Option<String>,
    tax_class: Option<String>,
    weight_grams: Option<u32>,
    categories: Option<Vec<String>>,
    tags: Option<Vec<String>>,
    /// Stock is counted; `true` without.
    stocked: Option<bool>,
}

pub(crate) fn product_in(fields: &mut Fields<'_>, id: &str, own: Currency) -> Product {
    let (sku, name) = (fields.text("sku"), fields.text("name"));
    let currency = match fields.text("currency").map(|code| Currency::from_code(&code)) {
        None => own,
        Some(Ok(currency)) => currency,
        Some(Err(error)) => {
            fields.wrong("currency", error.to_string());
            own
        }
    };
    let price = fields.amount("price", currency).map(|money| money.minor());
    let weight = fields.integer("weightGrams").map(u32::try_from);
    if let Some(Err(_)) = weight {
        fields.wrong("weightGrams", "a whole number from 0 on is needed");
    }
    let price = fields.need("price", price);
    if price < 0 {
        fields.wrong("price", "a price is not negative");
    }
    Product {
        id: id.to_owned(),
        sku: fields.need("sku", sku),
        name: fields.need("name", name),
        description: fields.text("description").unwrap_or_default(),
        images: fields.texts("images").value().unwrap_or_default(),
        price,
        compare_at: fields.amount("compareAtPrice", currency).map(|money| money.minor()),
        currency,
        active: fields.flag("active").unwrap_or(true),
        kind: fields.typed::<Kind>("kind").unwrap_or_default(),
        tax_class: fields.text("taxClass").unwrap_or_else(|| "standard".to_owned()),
        weight_g: weight.and_then(Result::ok).unwrap_or(0),
        categories: fields.texts("categories").value().unwrap_or_default(),
        tags: fields.texts("tags").value().unwrap_or_default(),
        stocked: fields.flag("stocked").unwrap_or(true),
    }
}

/// Something was written.
#[derive(Serialize, ToSchema)]
pub(crate) struct DoneOut {
    success: bool,
    id: String,
}

fn done(id: &str) -> Result<Response, Problem> {
    json(StatusCode::OK, &DoneOut { success: true, id: id.to_owned() })
}

/// Makes or replaces a product.
#[utoipa::path(put, path = "/api/v1/admin/products/{id}", tag = "admin", security(("bearer" = [])),
    params(("id" = String, Path)), request_body = ProductIn, responses((status = 200, body = DoneOut)))]
pub(crate) async fn put_product(
    State(app): State<App>,
    caller: Caller,
    At(id): At<String>,
    body: Json,
) -> Result<Response, Problem> {
    caller.needs(ADMIN)?;
    check_id(&id)?;
    let own = app.shop.settings(&caller.merchant).await?.currency;
    let mut fields = body.fields()?;
    let product = product_in(&mut fields, &id, own);
    fields.finish()?;
    app.shop.put_product(&caller.merchant, &product).await?;
    done(&id)
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
}

/// A customer.
#[derive(ToSchema)]
#[schema(rename_all = "camelCase")]
#[expect(dead_code, reason = "describes the body in OpenAPI; it is read field by field")]
pub(crate) struct CustomerIn {
    email: Option<String>,
    groups: Option<Vec<String>>,
    tier: Option<String>,
    tags: Option<Vec<String>>,
    addresses: Option<Vec<SavedAddressIn>>,
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
        if (13..=19).contains(&token.len()) && token.bytes().all(|b| b.is_ascii_digit()) {
            saved.wrong("token", "this looks like a card number; send the gateway's token");
        }
        SavedMethod {
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
    let customer = Customer {
        id: id.to_owned(),
        email: fields.text("email").unwrap_or_default(),
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
    caller.needs(ADMIN)?;
    check_id(&id)?;
    let mut fields = body.fields()?;
    let (customer, points) = customer_in(&mut fields, &id);
    fields.finish()?;
    app.shop.put_customer(&caller.merchant, &customer, points).await?;
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
    caller.needs(ADMIN)?;
    check_id(&sku)?;
    check_id(&warehouse)?;
    let mut fields = body.fields()?;
    let StockIn { on_hand } = StockIn::read(&mut fields);
    fields.finish()?;
    app.shop.put_stock(&caller.merchant, &sku, &warehouse, on_hand).await?;
    done(&sku)
}

/// Ids are short and plain: they come back in paths, headers and logs.
fn check_id(id: &str) -> Result<(), Problem> {
    if (1..=128).contains(&id.len()) && !id.chars().any(char::is_control) {
        return Ok(());
    }
    Err(Problem::new(Code::BadRequest, "an id in the path must have 1 to 128 visible bytes"))
}
