//! Payments: whether a saved means of payment can be used, and the reviews of those that look like fraud.

use axum::extract::State;
use axum::http::StatusCode;
use axum::response::Response;
use serde::Serialize;
use till_commerce::access::Wanted;
use utoipa::ToSchema;

use super::json;
use crate::App;
use crate::auth::Caller;
use crate::problem::Problem;
use crate::read::{At, Json};
use crate::wire::status;

/// Longest reason, as for other acts of operators.
const WHY_BYTES_MAX: usize = 200;

/// A saved means of payment.
#[derive(ToSchema)]
#[expect(dead_code, reason = "describes the body in OpenAPI; it is read field by field")]
pub(crate) struct MethodIn {
    /// Id in the customer's wallet.
    id: String,
}

/// A question.
#[derive(ToSchema)]
#[schema(rename_all = "camelCase")]
#[expect(dead_code, reason = "describes the body in OpenAPI; it is read field by field")]
pub(crate) struct ValidateIn {
    #[schema(inline)]
    payment_method: MethodIn,
}

/// Why it cannot be used.
#[derive(Serialize, ToSchema)]
pub(crate) struct UnusableOut {
    /// `unknown-method`, `expired`, `no-gateway`, `gateway-failed`, `currency`.
    code: &'static str,
    /// For people.
    text: String,
}

/// The answer.
#[derive(Serialize, ToSchema)]
pub(crate) struct ValidOut {
    /// It can be used.
    valid: bool,
    /// Why not.
    reasons: Vec<UnusableOut>,
}

/// Says whether a saved means of payment can be used now. The provider is not asked.
#[utoipa::path(post, path = "/api/v1/payments/validate", tag = "payments", security(("bearer" = [])),
    request_body = ValidateIn, responses((status = 200, body = ValidOut)))]
pub(crate) async fn validate(
    State(app): State<App>,
    caller: Caller,
    body: Json,
) -> Result<Response, Problem> {
    let mut fields = body.fields()?;
    let method = fields
        .object("paymentMethod", |method| {
            let id = method.text("id");
            method.need("id", id)
        })
        .value();
    let method: String = fields.need("paymentMethod", method);
    fields.finish()?;
    let reasons = app.shop.validate_payment(&caller.merchant, &caller.sub, &method).await?;
    let reasons: Vec<UnusableOut> =
        reasons.into_iter().map(|why| UnusableOut { code: why.code, text: why.text }).collect();
    json(StatusCode::OK, &ValidOut { valid: reasons.is_empty(), reasons })
}

/// A person's decision.
#[derive(ToSchema)]
#[expect(dead_code, reason = "describes the body in OpenAPI; it is read field by field")]
pub(crate) struct ReviewIn {
    /// `approve` or `deny`.
    decision: String,
    /// For the journal.
    why: String,
}

/// What became of the session.
#[derive(Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub(crate) struct ReviewOut {
    checkout_session_id: String,
    status: &'static str,
}

/// Decides on a payment that is under review. Needs the scope `operator`; who and why are journalled.
#[utoipa::path(post, path = "/api/v1/admin/checkouts/{sessionId}/review", tag = "payments",
    security(("bearer" = [])), params(("sessionId" = String, Path)),
    request_body = ReviewIn, responses((status = 200, body = ReviewOut)))]
pub(crate) async fn review(
    State(app): State<App>,
    caller: Caller,
    At(id): At<String>,
    body: Json,
) -> Result<Response, Problem> {
    caller.needs(Wanted::Operate)?;
    let mut fields = body.fields()?;
    let decision = fields.text("decision");
    let decision = fields.need("decision", decision);
    if !decision.is_empty() && decision != "approve" && decision != "deny" {
        fields.wrong("decision", "`approve` or `deny` is needed");
    }
    let why = fields.text("why").filter(|why| !why.trim().is_empty());
    let why = fields.need("why", why);
    if why.len() > WHY_BYTES_MAX {
        fields.wrong("why", format!("at most {WHY_BYTES_MAX} bytes"));
    }
    fields.finish()?;
    let view = app.shop.review(&caller.merchant, &id, decision == "approve", &caller.sub, &why).await?;
    json(StatusCode::OK, &ReviewOut { status: status(view.phase), checkout_session_id: view.id })
}
