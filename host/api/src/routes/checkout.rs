//! Checkout sessions: start, read, change, submit, cancel.
//!
//! A submit waits for the outcome, 15 s unless `Prefer: wait=N` says otherwise. What it answers depends on
//! where the session then stands ([`outcome`]), never on what was stored of an earlier answer: a repeated
//! submit reads the same session.

use axum::extract::State;
use axum::http::{HeaderMap, StatusCode, header};
use axum::response::Response;
use serde::Serialize;
use serde_json::{Map, Value, json as value};
use till_commerce::address;
use till_commerce::customer::looks_like_card;
use till_commerce::gift_card::{self, CARDS_MAX};
use till_commerce::quote::Address;
use till_commerce::{CHECKOUT, Phase, SessionView, SubmitRequest};
use till_engine::definition::Sender;
use till_engine::instance::{Instance, Status};
use till_engine::runner::{SignalAnswer, SignalRequest, request_hash};
use till_model::id::canonical_json;
use till_model::money::Currency;
use utoipa::ToSchema;
use uuid::Uuid;

use super::admin::CARD_NUMBER;
use super::{json, tagged, with};
use crate::App;
use crate::auth::Caller;
use crate::problem::{Code, FieldError, Problem};
use crate::read::{At, Fields, Given, Json, Texts, idempotency_key, if_match, prefer_wait};
use crate::wire::{Amount, OrderOut, QuoteOut, SessionOut, status};

/// Wait of a submit without `Prefer`: longer than nearly every payment, shorter than most proxies' patience.
const SUBMIT_WAIT_S: u64 = 15;
/// How a shopper goes on after the end of a session.
const RESTART: &str = "start a new one with POST /api/v1/checkout/initiate";
/// Longest text of an address field.
const ADDRESS_CHARS_MAX: usize = 200;
/// Lines of a street.
const STREET_LINES_MAX: usize = 6;
/// What a buyer may bring back. Providers give three to six fields; signatures have 100 characters, answers of banks some
/// thousand. All of it is kept in the journal.
const BROUGHT: Texts = Texts { most: 20, name_max: 64, text_max: 4_000, bytes_max: 16_000 };

/// An address. `street` is a text or a list of lines.
#[derive(ToSchema)]
#[schema(rename_all = "camelCase")]
#[expect(dead_code, reason = "describes the body in OpenAPI; it is read field by field")]
pub(crate) struct AddressIn {
    name: Option<String>,
    company: Option<String>,
    /// A text or a list of lines.
    street: String,
    city: String,
    /// State, province or region, as its short code.
    state: Option<String>,
    zip_code: Option<String>,
    /// ISO 3166-1 alpha-2.
    country: String,
    phone: Option<String>,
}

/// A means of payment from the buyer's wallet.
#[derive(ToSchema)]
#[expect(dead_code, reason = "describes the body in OpenAPI; it is read field by field")]
pub(crate) struct MethodIn {
    id: String,
    /// For the reader; the wallet knows it.
    r#type: Option<String>,
}

/// What a shopper may choose. A field that is left out stays as it is; `null` takes the choice back.
#[derive(ToSchema)]
#[schema(rename_all = "camelCase")]
#[expect(dead_code, reason = "describes the body in OpenAPI; it is read field by field")]
pub(crate) struct EditIn {
    shipping_address: Option<AddressIn>,
    billing_address: Option<AddressIn>,
    payment_method: Option<MethodIn>,
    /// Id of a shipping option of the quote.
    shipping_method: Option<String>,
    promotion_codes: Option<Vec<String>>,
    loyalty_points_to_use: Option<u64>,
    /// Codes of gift cards that pay, at most 10. What they leave is asked of the payment method.
    gift_cards: Option<Vec<String>>,
    notes: Option<String>,
}

/// A submit: the session, choices as in an edit, and what the shopper agreed to.
#[derive(ToSchema)]
#[schema(rename_all = "camelCase")]
#[expect(dead_code, reason = "describes the body in OpenAPI; it is read field by field")]
pub(crate) struct SubmitIn {
    checkout_session_id: String,
    shipping_address: Option<AddressIn>,
    billing_address: Option<AddressIn>,
    payment_method: Option<MethodIn>,
    shipping_method: Option<String>,
    promotion_codes: Option<Vec<String>>,
    loyalty_points_to_use: Option<u64>,
    /// Codes of gift cards that pay, at most 10. What they leave is asked of the payment method.
    gift_cards: Option<Vec<String>>,
    notes: Option<String>,
    /// The total the shopper saw. Another total is answered by `quote-changed`; nothing is charged.
    expected_total: Option<Amount>,
    /// `quote.token` the shopper saw; stricter than the total.
    quote: Option<String>,
}

/// Where a submit that is not over yet can be followed.
#[derive(Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub(crate) struct PendingOut {
    checkout_session_id: String,
    /// `processing`, `action_required`, `payment_unknown` or `needs_attention`.
    status: &'static str,
    /// What it means for the shopper.
    detail: &'static str,
    /// Read it again there.
    status_url: String,
    /// What the buyer has to do at the gateway.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(value_type = Option<Object>)]
    action: Option<Value>,
}

/// Reads an address.
pub(crate) fn address(fields: &mut Fields<'_>) -> Address {
    let text = |fields: &mut Fields<'_>, name: &'static str| {
        let text = fields.text(name).unwrap_or_default().trim().to_owned();
        if text.chars().count() > ADDRESS_CHARS_MAX {
            fields.wrong(name, format!("at most {ADDRESS_CHARS_MAX} characters"));
        }
        text
    };
    let street: Vec<String> = match fields.raw("street") {
        Given::Value(raw) => serde_json::from_str::<Vec<String>>(raw.get())
            .or_else(|_| {
                serde_json::from_str::<String>(raw.get())
                    .map(|text| text.lines().map(str::to_owned).collect())
            })
            .unwrap_or_else(|_| {
                fields.wrong("street", "a text or a list of texts is needed");
                vec![]
            }),
        Given::Nothing | Given::Null => vec![],
    };
    if street.len() > STREET_LINES_MAX || street.iter().any(|line| line.chars().count() > ADDRESS_CHARS_MAX) {
        fields.wrong("street", format!("at most {STREET_LINES_MAX} lines of {ADDRESS_CHARS_MAX} characters"));
    }
    let country = text(fields, "country").to_ascii_uppercase();
    let two_letters = country.len() == 2 && country.bytes().all(|b| b.is_ascii_uppercase());
    if !country.is_empty() && !two_letters {
        fields.wrong("country", "two letters (ISO 3166-1) are needed, for example `US`");
    }
    let address = address::tidy(Address {
        name: text(fields, "name"),
        company: text(fields, "company"),
        street,
        city: text(fields, "city"),
        region: text(fields, "state"),
        postal_code: text(fields, "zipCode"),
        country,
        phone: text(fields, "phone"),
    });
    // What is missing is told by whoever needs a whole address.
    let faults = address::faults(&address).into_iter().filter(|fault| !fault.missing);
    for fault in faults.filter(|fault| two_letters || fault.part != "country") {
        fields.wrong(address_field(fault.part), fault.why);
    }
    address
}

/// The name of a part of an address as clients write it.
fn address_field(part: &str) -> &'static str {
    match part {
        "region" => "state",
        "postal_code" => "zipCode",
        "city" => "city",
        "country" => "country",
        _ => "street",
    }
}

/// Reads an address that must be whole: what its country's post needs and is not there is wrong.
pub(crate) fn whole_address(fields: &mut Fields<'_>) -> Address {
    let address = address(fields);
    for fault in address::faults(&address).into_iter().filter(|fault| fault.missing) {
        fields.wrong(address_field(fault.part), fault.why);
    }
    address
}

/// Reads the choices as client inputs of the checkout.
pub(crate) fn choices(fields: &mut Fields<'_>) -> Map<String, Value> {
    let mut inputs = Map::new();
    let mut put = |name: &str, given: Given<Value>, none: Value| match given {
        Given::Nothing => {}
        Given::Null => drop(inputs.insert(name.to_owned(), none)),
        Given::Value(value) => drop(inputs.insert(name.to_owned(), value)),
    };
    let place =
        |given: Given<Address>| given.map(|address| serde_json::to_value(address).unwrap_or_default());
    put("shipping_address", place(fields.object("shippingAddress", address)), Value::Null);
    put("billing_address", place(fields.object("billingAddress", address)), Value::Null);
    let method = fields.object("paymentMethod", |method| {
        let id = method.text("id");
        if id.as_deref().is_some_and(looks_like_card) {
            method.wrong("id", CARD_NUMBER);
        }
        // Told by the wallet; taken because clients send back what they were given.
        method.text("type");
        method.need("id", id)
    });
    put("payment_method", method.map(Value::String), Value::Null);
    put("shipping_method", fields.given_text("shippingMethod").map(Value::String), Value::Null);
    let codes = fields.texts("promotionCodes").map(|codes| {
        let mut kept: Vec<String> = Vec::new();
        for code in codes.iter().map(|code| code.trim()).filter(|code| !code.is_empty()) {
            if !kept.iter().any(|known| known == code) {
                kept.push(code.to_owned());
            }
        }
        value!(kept)
    });
    put("codes", codes, value!([]));
    let points = fields.given_integer("loyaltyPointsToUse");
    if matches!(points, Given::Value(..0)) {
        fields.wrong("loyaltyPointsToUse", "at least 0");
    }
    put("points", points.map(|points| value!(points.max(0))), value!(0));
    let cards = fields.texts("giftCards").map(|codes| {
        let mut kept: Vec<gift_card::Given> = Vec::new();
        for code in codes.iter().filter(|code| !code.trim().is_empty()).map(|code| gift_card::given(code)) {
            if !kept.contains(&code) {
                kept.push(code);
            }
        }
        kept
    });
    if matches!(&cards, Given::Value(cards) if cards.len() > CARDS_MAX) {
        fields.wrong("giftCards", format!("at most {CARDS_MAX} gift cards"));
    }
    put("gift_cards", cards.map(|cards| value!(cards)), value!([]));
    put("notes", fields.given_text("notes").map(Value::String), value!(""));
    inputs
}

pub(crate) struct Submit {
    session: String,
    inputs: Map<String, Value>,
    expected_total: Option<i64>,
    quote: Option<String>,
}

impl Submit {
    /// The session, which says in what currency the rest is.
    pub(crate) fn session(fields: &mut Fields<'_>) -> String {
        let session = fields.text("checkoutSessionId");
        fields.need("checkoutSessionId", session)
    }

    pub(crate) fn read(fields: &mut Fields<'_>, session: String, currency: Currency) -> Submit {
        Submit {
            session,
            inputs: choices(fields),
            expected_total: fields.amount("expectedTotal", currency).map(|money| money.minor()),
            quote: fields.text("quote"),
        }
    }

    /// Names what was sent, whatever its blanks and the order of its fields.
    fn hash(&self) -> String {
        let inputs = canonical_json(&Value::Object(self.inputs.clone()));
        let total = self.expected_total.map(|t| t.to_string()).unwrap_or_default();
        request_hash(&["submit", &self.session, &inputs, &total, self.quote.as_deref().unwrap_or_default()])
    }
}

fn url(id: &str) -> String {
    format!("/api/v1/checkout/{id}")
}

fn session(code: StatusCode, view: &SessionView) -> Result<Response, Problem> {
    if view.phase == Phase::Expired {
        return Err(expired(view));
    }
    Ok(tagged(json(code, &SessionOut::new(view))?, view.version))
}

/// Starts a checkout over the cart.
#[utoipa::path(post, path = "/api/v1/checkout/initiate", tag = "checkout", security(("bearer" = [])),
    params(("Idempotency-Key" = Option<String>, Header, description = "the same key gives the same session")),
    responses((status = 201, body = SessionOut, headers(("ETag" = String), ("Location" = String)))))]
pub(crate) async fn initiate(
    State(app): State<App>,
    caller: Caller,
    headers: HeaderMap,
    body: Json,
) -> Result<Response, Problem> {
    body.fields_or_none()?.finish()?;
    let key = idempotency_key(&headers)?;
    let view = app.shop.initiate(&caller.merchant, &caller.sub, key.as_deref()).await?;
    Ok(with(session(StatusCode::CREATED, &view)?, header::LOCATION, &url(&view.id)))
}

/// Reads a session: where it stands, its price, what is missing.
#[utoipa::path(get, path = "/api/v1/checkout/{sessionId}", tag = "checkout", security(("bearer" = [])),
    params(("sessionId" = String, Path)),
    responses((status = 200, body = SessionOut, headers(("ETag" = String)))))]
pub(crate) async fn read(
    State(app): State<App>,
    caller: Caller,
    At(id): At<String>,
) -> Result<Response, Problem> {
    session(StatusCode::OK, &app.shop.session(&caller.merchant, &caller.sub, &id).await?)
}

/// Changes choices and answers the new price.
#[utoipa::path(put, path = "/api/v1/checkout/{sessionId}", tag = "checkout", security(("bearer" = [])),
    params(("sessionId" = String, Path),
        ("If-Match" = Option<String>, Header, description = "`ETag` of the session as last read")),
    request_body = EditIn, responses((status = 200, body = SessionOut, headers(("ETag" = String)))))]
pub(crate) async fn edit(
    State(app): State<App>,
    caller: Caller,
    At(id): At<String>,
    headers: HeaderMap,
    body: Json,
) -> Result<Response, Problem> {
    let mut fields = body.fields()?;
    let inputs = choices(&mut fields);
    fields.finish()?;
    let view = app.shop.edit(&caller.merchant, &caller.sub, &id, inputs, if_match(&headers)?).await?;
    match &view.problem {
        Some(problem) if problem.get("code").and_then(Value::as_str) == Some("invalid-inputs") => {
            Err(refusal(&view, problem))
        }
        _ => session(StatusCode::OK, &view),
    }
}

/// Submits a session: holds, charges, confirms. Sent again, it attaches to the submit under way.
#[utoipa::path(post, path = "/api/v1/checkout/submit", tag = "checkout", security(("bearer" = [])),
    params(("Idempotency-Key" = Option<String>, Header, description = "names this submit; without it the content does"),
        ("Prefer" = Option<String>, Header, description = "`wait=N` seconds, 15 by default, at most 60")),
    request_body = SubmitIn,
    responses((status = 201, body = OrderOut, description = "the order is confirmed", headers(("Location" = String))),
        (status = 202, body = PendingOut, description = "not over yet; follow `Location`", headers(("Location" = String)))))]
pub(crate) async fn submit(
    State(app): State<App>,
    caller: Caller,
    headers: HeaderMap,
    body: Json,
) -> Result<Response, Problem> {
    let mut fields = body.fields()?;
    let id = Submit::session(&mut fields);
    let currency = app.shop.session_currency(&caller.merchant, &caller.sub, &id).await?;
    let submit = Submit::read(&mut fields, id, currency);
    fields.finish()?;
    let hash = submit.hash();
    let request = SubmitRequest {
        inputs: submit.inputs,
        expected_total: submit.expected_total,
        quote: submit.quote,
        hash,
        key: idempotency_key(&headers)?,
    };
    let wait = prefer_wait(&headers, SUBMIT_WAIT_S);
    let view = app.shop.submit(&caller.merchant, &caller.sub, &submit.session, request, wait).await?;
    outcome(&view)
}

/// Cancels a session; holds are given back. A paid one is refused.
#[utoipa::path(post, path = "/api/v1/checkout/{sessionId}/cancel", tag = "checkout", security(("bearer" = [])),
    params(("sessionId" = String, Path)),
    responses((status = 200, body = SessionOut, headers(("ETag" = String)))))]
pub(crate) async fn cancel(
    State(app): State<App>,
    caller: Caller,
    At(id): At<String>,
    body: Json,
) -> Result<Response, Problem> {
    body.fields_or_none()?.finish()?;
    session(StatusCode::OK, &app.shop.cancel(&caller.merchant, &caller.sub, &id).await?)
}

/// The buyer is back from the payment provider: what they bring is handed to the gateway's component; without a body
/// the checkout looks what became of the payment. The answer is that of the submit.
#[utoipa::path(post, path = "/api/v1/checkout/{sessionId}/returned", tag = "checkout", security(("bearer" = [])),
    params(("sessionId" = String, Path),
        ("Prefer" = Option<String>, Header, description = "`wait=N` seconds, 15 by default, at most 60")),
    request_body(content = Option<std::collections::HashMap<String, String>>,
        description = "what the payment provider gave the buyer's client, under the provider's names: at most 20 texts of 4000 characters, under names of 64, 16000 bytes in all"),
    responses((status = 201, body = OrderOut, description = "the order is confirmed"),
        (status = 202, body = PendingOut, description = "not over yet")))]
pub(crate) async fn returned(
    State(app): State<App>,
    caller: Caller,
    At(id): At<String>,
    headers: HeaderMap,
    body: Json,
) -> Result<Response, Problem> {
    let fields = body.fields_or_none()?.all_texts(&BROUGHT)?;
    let brings = !fields.is_empty();
    let found = app.runner.find(&caller.merchant, CHECKOUT, &id).await?;
    let found = found.filter(|l| l.instance.subject == caller.sub);
    let instance = found.ok_or_else(|| Problem::not_found("checkout session", &id))?.instance;
    let given = Map::from_iter(fields.into_iter().map(|(name, text)| (name, Value::String(text))));
    let given = if brings { value!({ "fields": given }) } else { value!({}) };
    // What the buyer brings is kept while a step runs, one for each version, so that nobody can pile it up; without it,
    // this is only a question.
    let dedup = if brings {
        format!("{}:brought:{}", instance.uid, instance.version)
    } else {
        format!("{}:returned:{}", instance.uid, Uuid::now_v7())
    };
    let answer = app.runner.signal(SignalRequest {
        merchant: caller.merchant.clone(),
        uid: instance.uid,
        name: if brings { "brought" } else { "returned" }.to_owned(),
        sender: Sender::Shopper,
        source: "api".to_owned(),
        dedup,
        hash: if brings { request_hash(&["brought", &canonical_json(&given)]) } else { String::new() },
        body: given,
        keep: brings,
    });
    let taken = match answer.await? {
        SignalAnswer::Forbidden(why) => return Err(Problem::new(Code::Forbidden, why)),
        SignalAnswer::OtherRequest => {
            let why = "what was brought back before is being looked at; send this again in a moment";
            return Err(Problem::new(Code::Busy, why).header(header::RETRY_AFTER, "1"));
        }
        SignalAnswer::Taken(_) | SignalAnswer::Queued(_) | SignalAnswer::Repeated(_) => brings,
        _ => false,
    };
    // Where the state does not wait for the buyer any more, the answer tells what became of it.
    let rests = |i: &Instance| matches!(i.status, Status::Waiting | Status::Completed | Status::Parked);
    app.runner.wait(&caller.merchant, instance.uid, prefer_wait(&headers, SUBMIT_WAIT_S), rests).await?;
    let view = app.shop.session(&caller.merchant, &caller.sub, &id).await?;
    match &view.refused {
        Some(refused) if taken && view.phase == Phase::ActionRequired => Err(not_taken(&view, refused)),
        _ => outcome(&view),
    }
}

/// What the buyer brought back proves nothing: the payment waits as before.
fn not_taken(view: &SessionView, refused: &Value) -> Problem {
    let text = |name: &str| refused.get(name).and_then(Value::as_str).unwrap_or_default();
    Problem::new(Code::ReturnRefused, text("text"))
        .with("checkoutSessionId", &view.id)
        .with("reason", &text("code"))
        .with("action", &view.action)
}

/// What a submit is answered, from where the session stands.
fn outcome(view: &SessionView) -> Result<Response, Problem> {
    match view.phase {
        Phase::Confirmed => {
            let missing = || Problem::internal(format!("session {} is confirmed and has no order", view.id));
            let order = view.order.as_ref().ok_or_else(missing)?;
            let answer = json(StatusCode::CREATED, &OrderOut::confirmed(order))?;
            Ok(with(answer, header::LOCATION, &format!("/api/v1/orders/{}", order.id)))
        }
        Phase::Busy => pending(view, "the checkout goes on; read it again"),
        Phase::ActionRequired => pending(view, "the buyer has to do something at the payment provider"),
        Phase::UnderReview => {
            pending(view, "the shop looks at the payment before it is made; read it again later")
        }
        Phase::PaymentUnknown => {
            pending(view, "it is being found out what became of the payment; do not pay again")
        }
        Phase::Parked => pending(view, "a person of the shop looks at it; do not pay again"),
        Phase::Cancelled => Err(ended(view, &format!("the session was cancelled; {RESTART}"))),
        Phase::Expired => Err(expired(view)),
        Phase::Failed => match &view.problem {
            Some(problem) => Err(refusal(view, problem)),
            None => Err(ended(view, &format!("too many payments failed; {RESTART}"))),
        },
        Phase::Editable => match (&view.problem, &view.fault) {
            (Some(problem), _) => Err(refusal(view, problem)),
            (None, Some(fault)) => Err(component(view, fault)),
            (None, None) => pending(view, "the session is editable; submit it again"),
        },
    }
}

fn pending(view: &SessionView, detail: &'static str) -> Result<Response, Problem> {
    let out = PendingOut {
        checkout_session_id: view.id.clone(),
        status: status(view.phase),
        detail,
        status_url: url(&view.id),
        action: view.action.clone(),
    };
    let answer = with(json(StatusCode::ACCEPTED, &out)?, header::LOCATION, &url(&view.id));
    Ok(with(answer, header::RETRY_AFTER, "1"))
}

fn expired(view: &SessionView) -> Problem {
    ended(view, &format!("the session has expired; {RESTART}"))
}

fn ended(view: &SessionView, why: &str) -> Problem {
    Problem::new(Code::Gone, why).with("checkoutSessionId", &view.id)
}

fn component(view: &SessionView, fault: &Value) -> Problem {
    let text =
        fault.get("text").and_then(Value::as_str).unwrap_or("a component of the shop could not answer");
    let code = fault.get("code").and_then(Value::as_str).unwrap_or_default();
    Problem {
        cause: Some(fault.to_string()),
        ..Problem::new(Code::ComponentFailed, text).with("checkoutSessionId", &view.id).with("fault", &code)
    }
}

/// Why a session is editable again, as a problem.
fn refusal(view: &SessionView, problem: &Value) -> Problem {
    let part = |name: &str| problem.get(name).filter(|v| !v.is_null());
    let text = |name: &str| part(name).and_then(Value::as_str);
    let told = match text("code").unwrap_or_default() {
        "payment-declined" => {
            let decline = part("decline").cloned().unwrap_or_default();
            let words = decline.get("text").and_then(Value::as_str).filter(|t| !t.is_empty());
            let detail = words.unwrap_or("the payment was declined; nothing was charged").to_owned();
            let order = part("order").cloned().unwrap_or_default();
            Problem::new(Code::PaymentDeclined, detail).with("decline", &decline).with("order", &order)
        }
        "payment-denied" => {
            Problem::new(Code::PaymentDenied, "the payment was not accepted; nothing was charged")
        }
        "stock-short" => {
            let lines = part("lines").and_then(Value::as_array).cloned().unwrap_or_default();
            let words: Vec<String> = lines.iter().map(|line| short_line(view, line)).collect();
            let detail = format!("{}; nothing was charged", words.join("; "));
            Problem::new(Code::StockShort, detail).with("lines", &lines)
        }
        "quote-changed" => {
            let total = view.quote.as_ref().and_then(till_commerce::quote::Quote::total);
            let now = total.map_or_else(String::new, |total| format!(": the total is now {total}"));
            let problem = Problem::new(Code::QuoteChanged, format!("the price changed{now}"));
            match QuoteOut::of(view) {
                Some(quote) => problem.with("quote", &quote),
                None => problem,
            }
        }
        "incomplete" => {
            let missing = part("missing").and_then(Value::as_array).cloned().unwrap_or_default();
            let errors = missing.iter().map(|m| FieldError {
                field: m.get("path").and_then(Value::as_str).unwrap_or("$").to_owned(),
                why: m.get("code").and_then(Value::as_str).unwrap_or("missing").to_owned(),
            });
            let codes: Vec<&str> = missing.iter().filter_map(|m| m.get("code")?.as_str()).collect();
            let told = Problem::new(Code::Incomplete, format!("still missing: {}", codes.join(", ")));
            Problem { errors: errors.collect(), ..told }.with("missing", &missing)
        }
        "code-used-up" => {
            Problem::new(Code::CodeUsedUp, text("text").unwrap_or("a promotion code is used up"))
        }
        "points-short" => {
            Problem::new(Code::PointsShort, text("text").unwrap_or("there are not enough points"))
        }
        "gift-card-short" => Problem::new(
            Code::GiftCardShort,
            format!("the gift card {} has too little left", text("last4").unwrap_or_default()),
        ),
        "invalid-inputs" => Problem::field("$", text("text").unwrap_or("the choices cannot be priced")),
        _ => Problem::new(Code::NotExpected, text("text").unwrap_or("the checkout cannot go on")),
    };
    let told = match view.phase {
        Phase::Failed => told.with("retry", &"POST /api/v1/checkout/initiate"),
        _ => told,
    };
    told.with("checkoutSessionId", &view.id).with("sessionStatus", &status(view.phase))
}

fn short_line(view: &SessionView, line: &Value) -> String {
    let id = line.get("line").and_then(Value::as_str).unwrap_or_default();
    let sku = line.get("sku").and_then(Value::as_str).unwrap_or_default();
    let name = view.inputs.line(id).map_or(sku, |line| line.title.as_str());
    match line.get("available").and_then(Value::as_i64).unwrap_or(0) {
        ..=0 => format!("{name}: Product out of stock"),
        units => format!("{name}: Only {units} items available"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn usd() -> Currency {
        Currency::from_code("USD").unwrap()
    }

    fn submit(body: &str) -> Result<Submit, Problem> {
        let mut fields = Fields::of(body.as_bytes())?;
        let id = Submit::session(&mut fields);
        let submit = Submit::read(&mut fields, id, usd());
        fields.finish()?;
        Ok(submit)
    }

    const SEED: &str = r#"{
        "checkoutSessionId": "CHECKOUT-789012",
        "shippingAddress": {"street": "123 Main St", "city": "San Francisco", "state": "CA", "zipCode": "94105", "country": "US"},
        "billingAddress": {"street": "123 Main St", "city": "San Francisco", "state": "CA", "zipCode": "94105", "country": "US"},
        "paymentMethod": {"id": "PM-001", "type": "credit_card"},
        "shippingMethod": "standard",
        "promotionCodes": ["SUMMER2024"],
        "loyaltyPointsToUse": 500,
        "notes": "Please deliver after 5 PM"
    }"#;

    #[test]
    fn the_seeds_submit_becomes_client_inputs() {
        let made = submit(SEED).unwrap();
        let home = value!({
            "street": ["123 Main St"], "city": "San Francisco", "region": "CA", "postal_code": "94105", "country": "US",
        });
        let expected = value!({
            "shipping_address": home, "billing_address": home, "payment_method": "PM-001",
            "shipping_method": "standard", "codes": ["SUMMER2024"], "points": 500, "notes": "Please deliver after 5 PM",
        });
        assert_eq!(Value::Object(made.inputs), expected);
        assert_eq!((made.session.as_str(), made.expected_total), ("CHECKOUT-789012", None));
    }

    #[test]
    fn the_hash_names_the_content_and_not_its_form() {
        let one =
            submit(r#"{"checkoutSessionId": "a", "notes": "x", "expectedTotal": 471.17}"#).unwrap().hash();
        let two = submit(r#"{"expectedTotal":471.17,"notes":"x","checkoutSessionId":"a"}"#).unwrap().hash();
        assert_eq!(one, two);
        let other =
            submit(r#"{"checkoutSessionId": "a", "notes": "x", "expectedTotal": 471.18}"#).unwrap().hash();
        assert_ne!(one, other);
    }

    #[test]
    fn what_is_left_out_stays_and_null_takes_back() {
        let mut fields =
            Fields::of(br#"{"promotionCodes": null, "shippingAddress": null}"#).unwrap_or_else(|_| panic!());
        assert_eq!(Value::Object(choices(&mut fields)), value!({"codes": [], "shipping_address": null}));
        assert!(fields.finish().is_ok());
    }

    #[test]
    fn wrong_choices_are_told_by_their_path() {
        let body = r#"{"shippingAddress": {"street": 7, "country": "USA", "zip": "1"}, "loyaltyPointsToUse": -1,
            "promotionCodes": "X", "paymentMethod": {}, "expectedTotal": 1.234, "colour": 1}"#;
        let errors = submit(body).err().unwrap().errors;
        let fields: Vec<&str> = errors.iter().map(|e| e.field.as_str()).collect();
        for field in [
            "checkoutSessionId",
            "shippingAddress.street",
            "shippingAddress.country",
            "shippingAddress.zip",
            "loyaltyPointsToUse",
            "promotionCodes",
            "paymentMethod.id",
            "expectedTotal",
            "colour",
        ] {
            assert!(fields.contains(&field), "{field} is not among {fields:?}");
        }
    }

    #[test]
    fn a_street_may_be_a_list_and_codes_are_cleaned() {
        let body = r#"{"checkoutSessionId": "a", "shippingAddress": {"street": ["1 A", " ", "c/o B"], "country": "us"}, "promotionCodes": [" A ", "A", ""]}"#;
        let made = submit(body).unwrap();
        assert_eq!(made.inputs["shipping_address"]["street"], value!(["1 A", "c/o B"]));
        assert_eq!(made.inputs["shipping_address"]["country"], "US");
        assert_eq!(made.inputs["codes"], value!(["A"]));
    }
}
