//! What each function asks the provider, and what its answer means. Plain functions over records.

use crate::api::{Order, Payment, Refund, Trouble, ask};
use crate::bindings::exports::till::checkout::payment_gateway_api::{
    ActionKind, Attempt, Capabilities, CaptureRequest, Decline, DeclineClass, FindBy, NextAction,
    PaymentRequest, PaymentResult, PaymentStatus, PrepareResult, Reference, RefundRequest, TookEffect,
    VoidRequest,
};
use crate::bindings::till::checkout::types::{ComponentError, Message, Money};
use crate::config::{Config, detail};
use crate::exchange::{Request, Send};
use crate::find::{by_receipt, payments, reserved};
use serde_json::json;

/// Kind of the reference to the provider's order.
pub const ORDER: &str = "order";
/// Kind of the reference to the provider's payment.
pub const PAYMENT: &str = "payment";
/// State of an attempt whose money is to be taken at once.
pub const CAPTURE: &str = "capture";
/// State of an attempt whose money is to be reserved.
const RESERVE: &str = "reserve";
/// Orders are found by their receipt for ever; this is what is promised.
const KEY_RETENTION_MS: u64 = 30 * 24 * 60 * 60 * 1_000;

/// What a function gives.
pub type Answer<T> = Result<T, ComponentError>;

/// What this gateway can do.
pub fn capabilities(config: &Config) -> Capabilities {
    Capabilities {
        one_step: true,
        separate_capture: true,
        // The provider takes all of an authorization or nothing, and has no way to drop one: it lapses.
        partial_capture: false,
        multi_capture: false,
        void: false,
        partial_refund: true,
        find_by: FindBy::Key,
        prepares: false,
        key_retention_ms: KEY_RETENTION_MS,
        request_time_max_ms: config.request_time_max_ms,
        currencies: config.currencies.clone(),
        attributes: Vec::new(),
    }
}

/// Nothing is made before `authorize`: an order moves no money.
pub fn prepare(request: &PaymentRequest) -> PrepareResult {
    PrepareResult {
        references: request.attempt.references.clone(),
        gateway_state: None,
        messages: Vec::new(),
        attributes: Vec::new(),
    }
}

/// Makes the order that the shopper is to pay, once for each key: the provider has no idempotency for orders, so the
/// key is the receipt, and one that is there already is taken.
pub fn authorize(request: &PaymentRequest, config: &Config, send: Send<'_>) -> Answer<PaymentResult> {
    let attempt = &request.attempt;
    let invalid = |code: &str, text: String| Err(ComponentError::InvalidInput(detail(code, text, None)));
    if !config.currencies.contains(&attempt.amount.currency) {
        return invalid("currency", format!("{} is not configured", attempt.amount.currency));
    }
    if attempt.amount.minor <= 0 {
        return invalid("amount", "there is nothing to pay".to_owned());
    }
    let made = match by_receipt(attempt, send) {
        Ok(Some(order)) => Ok(order),
        Ok(None) => create(attempt, config, send),
        Err(trouble) => Err(trouble),
    };
    match made {
        Ok(order) if !order.is_for(&attempt.key, &attempt.amount) => {
            Ok(unknown(format!("order {} asks for {} {}", order.id, order.amount, order.currency)))
        }
        // Somebody pays it already: what came of it is asked for.
        Ok(order) if order.status != "created" => {
            Ok(unknown(format!("order {} is `{}`", order.id, order.status)))
        }
        Ok(order) => {
            let state = if request.capture { CAPTURE } else { RESERVE };
            let pending = pending(config, &order.id, attempt, Vec::new());
            Ok(PaymentResult { gateway_state: Some(state.to_owned()), ..pending })
        }
        Err(Trouble::NotSent(why)) => Err(Trouble::unavailable(why)),
        Err(Trouble::Refused(code)) => Ok(result(PaymentStatus::Declined(decline(&code)), TookEffect::No)),
        Err(Trouble::Unclear(why)) => Ok(unknown(why)),
    }
}

fn create(attempt: &Attempt, config: &Config, send: Send<'_>) -> Result<Order, Trouble> {
    let body = json!({
        "amount": attempt.amount.minor,
        "currency": attempt.amount.currency,
        "receipt": attempt.key,
        "notes": { "order": attempt.order_number },
        // Never by itself: a payment that comes too late must not be taken.
        "payment": {
            "capture": "manual",
            "capture_options": {
                "manual_expiry_period": config.authorization_minutes,
                "refund_speed": "normal",
            },
        },
    });
    match ask(Request::post("/v1/orders".to_owned(), &attempt.key, body), send) {
        // The question before it was sent; that this request was not does not mean that nothing is known.
        Err(Trouble::NotSent(why)) => Err(Trouble::Unclear(why)),
        made => made,
    }
}

/// Takes reserved money.
pub fn capture(
    request: &CaptureRequest,
    config: &Config,
    now_ms: u64,
    send: Send<'_>,
) -> Answer<PaymentResult> {
    let attempt = &request.attempt;
    let settled = config.is_settled(attempt.first_sent_ms, now_ms);
    let order = reference_of(attempt, ORDER).unwrap_or_default();
    if let Some(id) = reference_of(attempt, PAYMENT) {
        return take(id, order, &attempt.key, &request.amount, settled, send);
    }
    if order.is_empty() {
        return Err(not_begun());
    }
    match payments(order, None, send) {
        Ok(all) => match reserved(attempt, &all) {
            Some(payment) => take(&payment.id, order, &attempt.key, &request.amount, settled, send),
            None => Ok(unknown(format!("order {order} has no authorized payment"))),
        },
        Err(Trouble::NotSent(why)) => Err(Trouble::unavailable(why)),
        Err(trouble) => Ok(unknown(trouble.words())),
    }
}

/// Takes the money of one payment. The provider takes a payment once, whoever asks how often; asked again it refuses,
/// and what stands is looked at. It also refuses while an earlier try is being carried out, so until those are `settled`
/// a refusal says nothing of a payment that is still authorized.
pub(crate) fn take(
    id: &str,
    order: &str,
    key: &str,
    amount: &Money,
    settled: bool,
    send: Send<'_>,
) -> Answer<PaymentResult> {
    let body = json!({ "amount": amount.minor, "currency": amount.currency });
    let taken = ask::<Payment>(Request::post(format!("/v1/payments/{id}/capture"), key, body), send);
    let (payment, refusal) = match taken {
        Ok(payment) => (payment, None),
        Err(Trouble::NotSent(why)) => return Err(Trouble::unavailable(why)),
        Err(Trouble::Unclear(why)) => return Ok(unknown(why)),
        Err(Trouble::Refused(code)) => match ask(Request::get(format!("/v1/payments/{id}")), send) {
            Ok(payment) => (payment, Some(code)),
            Err(trouble) => return Ok(unknown(format!("{code}; then {}", trouble.words()))),
        },
    };
    Ok(match (payment.status.as_str(), refusal) {
        _ if payment.id != id => unknown(format!("the provider answered with payment {}", payment.id)),
        ("captured", _) => succeeded(order, &payment),
        ("authorized", Some(code)) if !settled => {
            unknown(format!("{code}, and payment {id} is still authorized: an earlier try may be under way"))
        }
        ("authorized" | "failed" | "refunded", Some(code)) => {
            result(PaymentStatus::Declined(decline(&code)), TookEffect::No)
        }
        (other, _) => unknown(format!("payment {id} is `{other}`")),
    })
}

/// Gives up an order. The provider can neither close it nor drop an authorization; but nothing of it is ever taken
/// without us, so what is reserved, or will be, goes back by itself. Only that nothing was taken has to be sure.
pub fn void(request: &VoidRequest, send: Send<'_>) -> Answer<PaymentResult> {
    let attempt = &request.attempt;
    let order = reference_of(attempt, ORDER).ok_or_else(not_begun)?;
    let all = match payments(order, Some(&attempt.key), send) {
        Ok(all) => all,
        Err(Trouble::NotSent(why)) => return Err(Trouble::unavailable(why)),
        Err(trouble) => return Ok(unknown(trouble.words())),
    };
    if let Some(taken) = all.iter().find(|payment| payment.was_captured()) {
        return Ok(unknown(format!("payment {} was captured: refund it", taken.id)));
    }
    let lapses = all.iter().any(|payment| payment.status == "authorized");
    Ok(PaymentResult {
        confirmed: Some(attempt.amount.clone()),
        attributes: vec![("lapses".to_owned(), lapses.to_string())],
        ..result(PaymentStatus::Succeeded, TookEffect::Yes)
    })
}

/// Gives money back.
pub fn refund(request: &RefundRequest, send: Send<'_>) -> Answer<PaymentResult> {
    let attempt = &request.attempt;
    let id = reference_of(attempt, PAYMENT).ok_or_else(not_begun)?;
    if request.amount.minor <= 0 {
        let text = "there is nothing to give back".to_owned();
        return Err(ComponentError::InvalidInput(detail("amount", text, None)));
    }
    let body = json!({
        "amount": request.amount.minor,
        "speed": "normal",
        "receipt": request.refund_id,
        "notes": { "reason": request.reason },
    });
    let path = format!("/v1/payments/{id}/refund");
    match ask::<Refund>(Request::post(path, &attempt.key, body), send) {
        Ok(refund) if refund.status == "failed" => {
            Ok(result(PaymentStatus::Declined(decline("refund_failed")), TookEffect::No))
        }
        Ok(refund) => Ok(PaymentResult {
            confirmed: Some(Money { minor: refund.amount, currency: refund.currency }),
            references: vec![reference("refund", &refund.id)],
            ..result(PaymentStatus::Succeeded, TookEffect::Yes)
        }),
        Err(Trouble::NotSent(why)) => Err(Trouble::unavailable(why)),
        Err(Trouble::Refused(code)) => Ok(result(PaymentStatus::Declined(decline(&code)), TookEffect::No)),
        Err(Trouble::Unclear(why)) => Ok(unknown(why)),
    }
}

/// The latest reference of a kind.
pub fn reference_of<'a>(attempt: &'a Attempt, kind: &str) -> Option<&'a str> {
    let found = attempt.references.iter().rfind(|reference| reference.kind == kind);
    found.map(|reference| reference.value.as_str())
}

/// A reference.
pub fn reference(kind: &str, id: &str) -> Reference {
    Reference { kind: kind.to_owned(), value: id.to_owned() }
}

fn not_begun() -> ComponentError {
    let text = "the attempt has no order and no payment: `authorize` comes first".to_owned();
    ComponentError::InvalidInput(detail("not-begun", text, None))
}

/// What the shopper's client hands to the provider's script: nothing of it is secret.
pub(crate) fn action(config: &Config, order: &str, amount: &Money) -> NextAction {
    let options = json!({
        "key": config.key_id,
        "order_id": order,
        "amount": amount.minor,
        "currency": amount.currency,
    });
    NextAction {
        kind: ActionKind::ClientSecret(options.to_string()),
        expires_ms: None,
        text: "Pay with Razorpay".to_owned(),
    }
}

/// The shopper has to pay the order, still or again.
pub(crate) fn pending(
    config: &Config,
    order: &str,
    attempt: &Attempt,
    messages: Vec<Message>,
) -> PaymentResult {
    PaymentResult {
        references: vec![reference(ORDER, order)],
        messages,
        ..result(PaymentStatus::Pending(action(config, order, &attempt.amount)), TookEffect::Open)
    }
}

/// The payment did what was asked; confirmed is what the provider says.
pub(crate) fn succeeded(order: &str, payment: &Payment) -> PaymentResult {
    let order = Some(order).filter(|order| !order.is_empty()).map(|order| reference(ORDER, order));
    PaymentResult {
        confirmed: Some(payment.money()),
        references: order.into_iter().chain([reference(PAYMENT, &payment.id)]).collect(),
        ..result(PaymentStatus::Succeeded, TookEffect::Yes)
    }
}

pub(crate) fn decline(code: &str) -> Decline {
    let (class, text) = match code {
        "insufficient_funds" => (DeclineClass::Soft, "There is not enough money on the account."),
        "payment_cancelled" => (DeclineClass::Soft, "The payment was cancelled."),
        "payment_timed_out" | "gateway_technical_error" | "bank_technical_error" => {
            (DeclineClass::Soft, "The bank did not answer.")
        }
        "authentication_failed" | "incorrect_otp" | "incorrect_pin" => {
            (DeclineClass::Authentication, "The payment was not confirmed.")
        }
        // The shopper is not told what the provider suspects.
        "payment_risk_check_failed" => (DeclineClass::Fraud, "The payment was declined."),
        _ => (DeclineClass::Hard, "The payment was declined."),
    };
    Decline { code: code.to_owned(), class, text: text.to_owned() }
}

pub(crate) fn unknown(why: String) -> PaymentResult {
    result(PaymentStatus::Unknown(why), TookEffect::Unknown)
}

pub(crate) fn result(status: PaymentStatus, took_effect: TookEffect) -> PaymentResult {
    PaymentResult {
        status,
        took_effect,
        confirmed: None,
        expires_ms: None,
        references: Vec::new(),
        gateway_state: None,
        messages: Vec::new(),
        attributes: Vec::new(),
    }
}
