//! Every error as an RFC 9457 problem: the only place where an error meets a status code.
//!
//! A [`Problem`] is made by a handler, carried in the extensions of an empty answer, and written by
//! [`crate::edge`], which knows the request: so each problem carries the request's trace id, and what must
//! not be told is logged in full under the same id. The list of codes is [`Code`].

use axum::http::{HeaderMap, HeaderName, HeaderValue, StatusCode, header};
use axum::response::{IntoResponse, Response};
use serde::ser::{Serialize, SerializeMap, Serializer};
use serde_json::value::RawValue;
use till_commerce::cart::{CartError, Found};
use till_commerce::catalog::Taken;
use till_commerce::events::WebhookError;
use till_commerce::events::notify::NotifyError;
use till_commerce::{ShopError, ShortItem};
use till_engine::ports::StoreError;
use till_engine::runner;
use utoipa::ToSchema;

/// SKUs of others that are told at once; more tell nothing new.
const TAKEN_MAX: usize = 50;
/// Where a problem's page is.
pub(crate) const PAGES: &str = "/problems/";

macro_rules! codes {
    ($($name:ident $text:literal $status:literal $title:literal $page:literal)*) => {
        /// What went wrong, stable and machine readable.
        #[expect(clippy::enum_variant_names, reason = "a code keeps its word wherever it is used")]
        #[derive(Debug, Clone, Copy, PartialEq, Eq)]
        pub(crate) enum Code { $(#[doc = $title] $name,)* }

        impl Code {
            /// All codes.
            pub(crate) const ALL: &[Code] = &[$(Code::$name,)*];

            /// As it stands in `code` and in `type`.
            pub(crate) fn as_str(self) -> &'static str {
                match self { $(Code::$name => $text,)* }
            }

            /// Its HTTP status.
            pub(crate) fn status(self) -> u16 {
                match self { $(Code::$name => $status,)* }
            }

            /// For people, the same for every problem of this code.
            pub(crate) fn title(self) -> &'static str {
                match self { $(Code::$name => $title,)* }
            }

            /// What it means and what to do.
            pub(crate) fn page(self) -> &'static str {
                match self { $(Code::$name => $page,)* }
            }
        }
    };
}

codes! {
    MalformedJson "malformed-json" 400 "The body is not JSON"
        "The body could not be read as JSON. `detail` names line and column. Send the body again, repaired."
    BadRequest "bad-request" 400 "The request cannot be read"
        "A header, a path or a query parameter has a value that cannot be read. `detail` names it."
    OutOfStock "out-of-stock" 400 "There is not enough stock"
        "Fewer units can be sold than were asked for. `available` tells how many; ask for that many or less."
    EmptyCart "empty-cart" 400 "The cart is empty"
        "A checkout needs at least one item. Put one in with POST /api/v1/cart/items."
    PaymentDeclined "payment-declined" 400 "The payment was declined"
        "The gateway declined the payment; nothing was charged, nothing is held. `decline` has the gateway's code and words. The session is editable again: choose another payment method and submit again."
    PaymentDenied "payment-denied" 400 "The payment was not accepted"
        "The shop does not take this payment; nothing was charged, nothing is held. The session is editable again: choose another payment method, or ask the shop."
    ReturnRefused "return-refused" 400 "What was brought back does not prove a payment"
        "The gateway could not verify what the shopper's client brought back, or it is about another payment; nothing was taken, and the payment waits as before. `action` is what the shopper has to do; send what the provider's script gave for it, unchanged."
    Unauthorized "unauthorized" 401 "A valid token is needed"
        "Send `Authorization: Bearer <JWT>`. `detail` tells what is wrong with the token that was sent."
    ForgedWebhook "forged-webhook" 401 "The webhook's signature does not match"
        "The gateway's component could not verify the webhook over its raw bytes. Check the signing secret of the gateway's binding."
    Forbidden "forbidden" 403 "The token does not allow this"
        "The token is valid and lacks a scope. `detail` names the scope."
    NoAccount "no-account" 403 "A guest has no account"
        "The token is a guest's, and guests keep nothing with the shop. Sign in and send the customer's token, or send what is needed with the checkout."
    NotFound "not-found" 404 "There is no such thing"
        "The id is unknown, or belongs to another merchant or customer; which of them is never told."
    GiftCardUnknown "gift-card-unknown" 404 "The gift card is not known"
        "No gift card in use has this code. Look at the code again; after 20 codes within an hour that nobody has, a customer must wait."
    UnknownRoute "unknown-route" 404 "There is no such route"
        "No route has this path. All routes are listed in /openapi.json."
    UnknownProduct "unknown-product" 404 "The product is not sold"
        "The product does not exist or is no longer sold. Products are listed by GET /api/v1/catalog/products."
    MethodNotAllowed "method-not-allowed" 405 "The route has no such method"
        "The path exists with other methods. They are listed in /openapi.json and in the header `Allow`."
    RequestTimeout "request-timeout" 408 "The body came too slowly"
        "The body did not arrive in time. Send the request again."
    Busy "busy" 409 "It is being worked on"
        "A step of this checkout runs. Read it again in a moment; a submit of the same content attaches to the one under way."
    OtherRequest "other-request" 409 "It was started with another request"
        "The id or key was used before with another body. Read what it reached, or use a fresh one."
    OtherSubmit "other-submit" 409 "The session was submitted with another request"
        "A submit with other content is under way or done. Read the session at `Location`; to send something else, wait until it is editable again."
    StockShort "stock-short" 409 "Stock ran out"
        "Between quote and submit others bought the last units, or there are fewer than a reservation asks for; nothing was charged and nothing is held. `lines` names every line with wanted and available units. Ask for that many or less."
    QuoteChanged "quote-changed" 409 "The price is another one"
        "The total is not the one the shopper agreed to; nothing was charged. `quote` is the new one. Show it and submit again with its total."
    CodeUsedUp "code-used-up" 409 "A promotion code is used up"
        "The last use of a code went to somebody else; nothing was charged. Remove the code and submit again."
    PointsShort "points-short" 409 "There are not enough points"
        "Fewer points are left than the order would use; nothing was charged. Use fewer points and submit again."
    GiftCardShort "gift-card-short" 409 "There is too little on a gift card"
        "Something else was paid with the gift card in the meantime; nothing was charged. Read the session for the new amount and submit again."
    NotExpected "not-expected" 409 "This cannot be done now"
        "The state does not take this command. `detail` tells why."
    Conflict "conflict" 409 "Somebody else changed it"
        "Others changed the same thing at the same time, again and again. Send the request again."
    Gone "gone" 410 "It has ended"
        "The checkout session expired, was cancelled or failed. Start a new one with POST /api/v1/checkout/initiate."
    VersionMismatch "version-mismatch" 412 "It was changed since you read it"
        "`If-Match` names a version that is no longer the newest. Read it again; `version` is the newest."
    TooLarge "too-large" 413 "The body is too large"
        "The body is larger than this route takes. `max_bytes` is the limit."
    UnsupportedMediaType "unsupported-media-type" 415 "The body has another content type"
        "Send JSON with `Content-Type: application/json`."
    InvalidFields "invalid-fields" 422 "Some fields are wrong"
        "`errors` lists every field that is wrong, with the reason and what is allowed."
    Incomplete "incomplete" 422 "Something is missing before it can be submitted"
        "`missing` lists what is missing, each with its path. Send it with PUT /api/v1/checkout/{sessionId} or with the submit."
    InvalidComponent "invalid-component" 422 "The component is not accepted"
        "The bytes are no component for this slot, or its configuration does not match its schema. `detail` and `errors` tell what to change."
    KeyReused "key-reused" 422 "The idempotency key was used for another request"
        "The same `Idempotency-Key` came with another body. Use a fresh key for a new request."
    RateLimited "rate-limited" 429 "Too many requests"
        "More requests came than are taken at a time. `detail` tells of what, and `Retry-After` when to send it again."
    Internal "internal" 500 "Something went wrong on our side"
        "The request could not be finished. It is logged under `trace_id`; tell it to the operator. Nothing is lost: a checkout under way goes on by itself."
    ComponentFailed "component-failed" 502 "A part of the shop did not answer"
        "A component of the merchant failed; nothing was charged. `detail` names it. Try again, or tell the merchant."
    Unavailable "unavailable" 503 "Try again later"
        "The database cannot be reached, the host is stopping, or uploads use the memory there is for them. Send the request again after `Retry-After`."
}

/// A field of a request that is wrong.
#[derive(Debug, Clone, PartialEq, Eq, serde::Serialize, ToSchema)]
pub(crate) struct FieldError {
    /// Path of the field: `shippingAddress.city`.
    pub(crate) field: String,
    /// What is wrong and what is allowed.
    pub(crate) why: String,
}

/// An error as it is told to a client.
#[derive(Debug, Clone)]
pub(crate) struct Problem {
    pub(crate) code: Code,
    pub(crate) detail: String,
    pub(crate) errors: Vec<FieldError>,
    pub(crate) extra: Vec<(&'static str, Box<RawValue>)>,
    pub(crate) headers: Box<HeaderMap>,
    /// For the log only.
    pub(crate) cause: Option<String>,
}

impl Problem {
    /// A problem with words for this case.
    pub(crate) fn new(code: Code, detail: impl Into<String>) -> Problem {
        let detail = detail.into();
        Problem { code, detail, errors: vec![], extra: vec![], headers: Box::default(), cause: None }
    }

    /// Fields that are wrong.
    pub(crate) fn fields(errors: Vec<FieldError>) -> Problem {
        let names = errors.iter().map(|e| e.field.as_str()).take(5).collect::<Vec<_>>().join("`, `");
        Problem { errors, ..Problem::new(Code::InvalidFields, format!("look at `{names}`")) }
    }

    /// One field that is wrong.
    pub(crate) fn field(field: &str, why: impl Into<String>) -> Problem {
        Problem::fields(vec![FieldError { field: field.to_owned(), why: why.into() }])
    }

    /// Our own failure: logged in full, told in brief.
    pub(crate) fn internal(cause: impl std::fmt::Display) -> Problem {
        let detail = "the request could not be finished; it is logged under trace_id";
        Problem { cause: Some(cause.to_string()), ..Problem::new(Code::Internal, detail) }
    }

    /// There is none, or it belongs to somebody else.
    pub(crate) fn not_found(what: &str, id: &str) -> Problem {
        let id: String = id.chars().take(100).collect();
        Problem::new(Code::NotFound, format!("there is no {what} `{id}`"))
    }

    /// With a further member. A value that is no JSON is left out.
    pub(crate) fn with(mut self, name: &'static str, value: &impl Serialize) -> Problem {
        if let Ok(raw) = serde_json::value::to_raw_value(value) {
            self.extra.push((name, raw));
        }
        self
    }

    /// The headers it will be written with.
    pub(crate) fn headers_mut(&mut self) -> &mut HeaderMap {
        &mut self.headers
    }

    /// With a header. A value that is no header text is left out.
    pub(crate) fn header(mut self, name: HeaderName, value: &str) -> Problem {
        if let Ok(value) = HeaderValue::from_str(value) {
            self.headers.insert(name, value);
        }
        self
    }

    /// Its status.
    pub(crate) fn status(&self) -> StatusCode {
        StatusCode::from_u16(self.code.status()).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR)
    }

    /// Its body under a trace id.
    pub(crate) fn body(&self, trace_id: &str) -> Vec<u8> {
        serde_json::to_vec(&Body { problem: self, trace_id }).unwrap_or_else(|_| b"{}".to_vec())
    }
}

struct Body<'a> {
    problem: &'a Problem,
    trace_id: &'a str,
}

impl Serialize for Body<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let Problem { code, detail, errors, extra, .. } = self.problem;
        let mut map = serializer.serialize_map(None)?;
        map.serialize_entry("type", &format!("{PAGES}{}", code.as_str()))?;
        map.serialize_entry("title", code.title())?;
        map.serialize_entry("status", &code.status())?;
        map.serialize_entry("detail", detail)?;
        map.serialize_entry("code", code.as_str())?;
        map.serialize_entry("trace_id", self.trace_id)?;
        if !errors.is_empty() {
            map.serialize_entry("errors", errors)?;
        }
        for (name, value) in extra {
            map.serialize_entry(name, value)?;
        }
        map.end()
    }
}

/// An empty answer that carries the problem; the edge writes it.
impl IntoResponse for Problem {
    fn into_response(self) -> Response {
        let mut response = self.status().into_response();
        response.extensions_mut().insert(self);
        response
    }
}

impl From<StoreError> for Problem {
    fn from(error: StoreError) -> Problem {
        let cause = Some(error.to_string());
        match error {
            StoreError::Conflict | StoreError::Exists | StoreError::Duplicate | StoreError::Again(_) => {
                Problem {
                    cause,
                    ..Problem::new(Code::Conflict, "others changed the same thing; send it again")
                }
            }
            StoreError::Unavailable(_) => {
                let told =
                    Problem::new(Code::Unavailable, "the database cannot be reached; send it again later");
                Problem { cause, ..told }.header(header::RETRY_AFTER, "1")
            }
            StoreError::TooLarge { what, size, max } => {
                let detail = format!("{what} would have {size} bytes; at most {max}");
                Problem { cause, ..Problem::new(Code::TooLarge, detail) }.with("max_bytes", &max)
            }
            StoreError::Corrupt(_) => Problem::internal(error),
        }
    }
}

impl From<runner::Error> for Problem {
    fn from(error: runner::Error) -> Problem {
        match error {
            runner::Error::NotFound { what: "definition", .. } => Problem::internal(error),
            runner::Error::NotFound { what, name } => Problem::not_found(what, &name),
            runner::Error::OtherRequest { id } => {
                Problem::new(Code::OtherRequest, format!("`{id}` was started with another request"))
            }
            runner::Error::UnknownInput { input, workflow } => {
                Problem::field(&format!("inputs.{input}"), format!("`{workflow}` takes no such input"))
            }
            runner::Error::Definition(findings) => Problem::internal(format!("{findings:?}")),
            runner::Error::Store(error) => error.into(),
            runner::Error::Stopping => Problem::new(Code::Unavailable, "the host is stopping; send it again")
                .header(header::RETRY_AFTER, "1"),
        }
    }
}

impl From<till_registry::Error> for Problem {
    fn from(error: till_registry::Error) -> Problem {
        match error {
            till_registry::Error::Component(error @ till_sandbox::LoadError::Host(_)) => {
                Problem::internal(error)
            }
            till_registry::Error::Component(error) => Problem::new(Code::InvalidComponent, error.to_string()),
            till_registry::Error::Config { findings } => {
                let errors = findings.into_iter().map(|why| FieldError { field: "config".to_owned(), why });
                let told = Problem::new(
                    Code::InvalidComponent,
                    "the configuration does not match the component's schema",
                );
                Problem { errors: errors.collect(), ..told }
            }
            till_registry::Error::Conformance { findings } => {
                let told = Problem::new(
                    Code::InvalidComponent,
                    "the component fails conformance checks; run `till component check` on it",
                );
                let errors =
                    findings.into_iter().map(|why| FieldError { field: "wasmBase64".to_owned(), why });
                Problem { errors: errors.collect(), ..told }
            }
            till_registry::Error::Field { field, why } => Problem::field(field, why),
            till_registry::Error::NotNow { why } => Problem::new(Code::NotExpected, why),
            till_registry::Error::NotFound { what, id } => Problem::not_found(what, &id),
            till_registry::Error::Revoked { .. } => Problem::new(Code::NotExpected, error.to_string()),
            till_registry::Error::Store(error) => error.into(),
        }
    }
}

impl From<CartError> for Problem {
    fn from(error: CartError) -> Problem {
        match error {
            CartError::NoProduct { product } => {
                Problem::new(Code::UnknownProduct, Found::Gone.to_string()).with("productId", &product)
            }
            CartError::OutOfStock { product, wanted, available } => {
                Problem::new(Code::OutOfStock, Found::short(available).to_string())
                    .with("productId", &product)
                    .with("wanted", &wanted)
                    .with("available", &available.max(0))
            }
            CartError::Field { field, why } => Problem::field(&field, why),
            CartError::NoItem { item } => Problem::not_found("item", &item),
            CartError::Version { expected, found } => version(expected, found),
            CartError::Store(error) => error.into(),
        }
    }
}

/// `If-Match` named a version that is not the newest.
pub(crate) fn version(expected: i64, found: i64) -> Problem {
    Problem::new(Code::VersionMismatch, format!("it has version {found}, not {expected}; read it again"))
        .with("version", &found)
        .header(header::ETAG, &format!("\"{found}\""))
}

impl From<WebhookError> for Problem {
    fn from(error: WebhookError) -> Problem {
        match error {
            WebhookError::NotFound(id) => Problem::not_found("webhook", &id),
            WebhookError::Field { field, why } => Problem::field(field, why),
            WebhookError::Registry(error) => error.into(),
            WebhookError::Store(error) => error.into(),
        }
    }
}

impl From<NotifyError> for Problem {
    fn from(error: NotifyError) -> Problem {
        match error {
            NotifyError::NotFound { what, id } => Problem::not_found(what, &id),
            NotifyError::Field { field, why } => Problem::field(field, why),
            NotifyError::Store(error) => error.into(),
        }
    }
}

impl From<ShopError> for Problem {
    fn from(error: ShopError) -> Problem {
        match error {
            ShopError::NotFound { what, id } => Problem::not_found(what, &id),
            ShopError::Gone { id, why } => Problem::new(Code::Gone, why).with("checkoutSessionId", &id),
            ShopError::Busy { id } => {
                Problem::new(Code::Busy, "the checkout session is being worked on; read it again")
                    .with("checkoutSessionId", &id)
                    .header(header::LOCATION, &format!("/api/v1/checkout/{id}"))
                    .header(header::RETRY_AFTER, "1")
            }
            ShopError::OtherSubmit { id } => {
                Problem::new(Code::OtherSubmit, "the session was submitted with another request")
                    .with("checkoutSessionId", &id)
                    .header(header::LOCATION, &format!("/api/v1/checkout/{id}"))
            }
            ShopError::Field { field, why } if field == "cart" => Problem::new(Code::EmptyCart, why),
            ShopError::Field { field, why } => Problem::field(&field, why),
            ShopError::Version { expected, found } => version(expected, found),
            ShopError::Taken(taken) => {
                let told = taken.into_iter().map(|Taken { product, sku, owner }| {
                    let why = match product == owner {
                        true => format!("product {product} has `{sku}` twice"),
                        false => format!(
                            "`{sku}` of product {product} belongs to product {owner}; choose another one"
                        ),
                    };
                    FieldError { field: "sku".to_owned(), why }
                });
                Problem::fields(told.take(TAKEN_MAX).collect())
            }
            ShopError::Refused { why } => Problem::new(Code::NotExpected, why),
            ShopError::Unavailable { why } => Problem::new(Code::Unavailable, why),
            ShopError::Short(short) => {
                let lines: Vec<serde_json::Value> = short.iter().map(short_line).collect();
                let detail = format!("{} of the items are short; nothing is held", lines.len());
                Problem::new(Code::StockShort, detail).with("lines", &lines)
            }
            ShopError::UnknownGiftCard => Problem::new(Code::GiftCardUnknown, "no gift card has this code"),
            ShopError::TooOften { why, after_s } => Problem::new(Code::RateLimited, format!("{why}; wait"))
                .header(header::RETRY_AFTER, &after_s.to_string()),
            ShopError::Forged => Problem::new(Code::ForgedWebhook, "the signature does not match the body"),
            ShopError::KeyReused { .. } => {
                Problem::new(Code::KeyReused, "the key was used for another request; use a fresh one")
            }
            ShopError::Cart(error) => error.into(),
            ShopError::Registry(error) => error.into(),
            ShopError::Engine(error) => error.into(),
            ShopError::Store(error) => error.into(),
        }
    }
}

fn short_line(short: &ShortItem) -> serde_json::Value {
    serde_json::json!({
        "item": short.item, "sku": short.sku, "warehouseId": short.warehouse, "wanted": short.wanted,
        "available": short.available,
    })
}

#[cfg(test)]
mod tests {
    use std::collections::HashSet;

    use super::*;

    #[test]
    fn every_code_is_unique_and_has_a_status_and_a_page() {
        let mut seen = HashSet::new();
        for code in Code::ALL {
            assert!(seen.insert(code.as_str()), "{} twice", code.as_str());
            assert!(code.as_str().bytes().all(|b| b.is_ascii_lowercase() || b == b'-'), "{}", code.as_str());
            assert!((400..600).contains(&code.status()));
            assert!(code.page().len() > 40, "{} has no page", code.as_str());
        }
    }

    #[test]
    fn a_problem_has_the_members_of_the_rfc_and_its_own() {
        let problem = Problem::field("quantity", "a whole number").with("available", &3);
        let body: serde_json::Value = serde_json::from_slice(&problem.body("t-1")).unwrap();
        assert_eq!(
            body,
            serde_json::json!({
                "type": "/problems/invalid-fields", "title": "Some fields are wrong", "status": 422,
                "detail": "look at `quantity`", "code": "invalid-fields", "trace_id": "t-1",
                "errors": [{"field": "quantity", "why": "a whole number"}], "available": 3,
            })
        );
    }

    #[test]
    fn an_amount_in_a_problem_keeps_its_digits() {
        let raw: Box<RawValue> = RawValue::from_string("75.00".to_owned()).unwrap();
        let text =
            String::from_utf8(Problem::new(Code::QuoteChanged, "x").with("total", &raw).body("t")).unwrap();
        assert!(text.contains("\"total\":75.00"), "{text}");
    }

    #[test]
    fn internal_words_are_not_told() {
        let problem = Problem::from(StoreError::Corrupt("row 7 of secret_table".to_owned()));
        let text = String::from_utf8(problem.body("t")).unwrap();
        assert!(!text.contains("secret_table"), "{text}");
        assert!(problem.cause.unwrap().contains("secret_table"));
    }

    #[test]
    fn a_shopper_reads_the_words_of_the_seed() {
        let out = CartError::OutOfStock { product: "P".to_owned(), wanted: 3, available: 2 };
        assert_eq!(Problem::from(out).detail, "Only 2 items available");
        let out = CartError::OutOfStock { product: "P".to_owned(), wanted: 3, available: 0 };
        assert_eq!(Problem::from(out).detail, "Product out of stock");
    }
}
