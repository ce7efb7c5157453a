//! What the shopper's client brings back: verified by its signature, then by the payment itself.

use crate::api::{Payment, Trouble, ask};
use crate::bindings::exports::till::checkout::payment_gateway_api::{
    PaymentResult, PaymentStatus, ProceedRequest, TookEffect,
};
use crate::bindings::till::checkout::types::{ComponentError, Message, MessageKind, Severity};
use crate::config::{Config, detail};
use crate::exchange::{Request, Send};
use crate::gateway::{self, Answer, CAPTURE, ORDER, PAYMENT};

/// Longest id of a payment: those of the provider have 18 characters.
const ID_CHARS_MAX: usize = 40;

/// Goes on after the shopper paid, or failed to. `verify` compares a signature of some bytes in constant time.
pub fn proceed(
    request: &ProceedRequest,
    config: &Config,
    send: Send<'_>,
    verify: impl FnOnce(&[u8], &[u8]) -> Answer<bool>,
) -> Answer<PaymentResult> {
    let attempt = &request.attempt;
    let order = gateway::reference_of(attempt, ORDER).ok_or_else(|| {
        let text = "the attempt has no order: `authorize` comes first".to_owned();
        ComponentError::InvalidInput(detail("no-order", text, None))
    })?;
    let refused = |code: &str, text: &str| Ok(refused(request, config, order, code, text));
    let field = |name: &str| {
        request.return_data.iter().find(|(given, _)| given == name).map(|(_, value)| value.as_str())
    };
    let Some(id) = field("razorpay_payment_id").filter(|id| is_id(id)) else {
        return refused("payment-missing", "`razorpay_payment_id` is missing or is no id of a payment");
    };
    if field("razorpay_order_id").is_some_and(|given| given != order) {
        return refused("another-order", "`razorpay_order_id` is not the order that is to be paid");
    }
    // Over our order, not the one that was brought: a genuine return for another order does not match.
    let signed = match field("razorpay_signature").map(hex::decode) {
        Some(Ok(signature)) => verify(format!("{order}|{id}").as_bytes(), &signature)?,
        Some(Err(_)) => false,
        None if field("razorpay_signature").is_none() => return unsigned(request, config, order, id, send),
        None => false,
    };
    if !signed {
        return refused("signature-mismatch", "`razorpay_signature` does not match this order and payment");
    }
    let payment: Payment = match fetch(id, send) {
        Ok(payment) => payment,
        Err(Trouble::NotSent(why)) => return Err(Trouble::unavailable(why)),
        Err(trouble) => return Ok(gateway::unknown(trouble.words())),
    };
    if payment.id != id || payment.order_id.as_deref() != Some(order) {
        return refused("another-order", "the payment is for another order");
    }
    settle(request, config, order, payment, send)
}

/// What a payment of our order means.
fn settle(
    request: &ProceedRequest,
    config: &Config,
    order: &str,
    payment: Payment,
    send: Send<'_>,
) -> Answer<PaymentResult> {
    let attempt = &request.attempt;
    let exact = payment.is_of(&attempt.amount);
    match payment.status.as_str() {
        "failed" => Ok(declined(&payment)),
        "created" => Ok(gateway::pending(config, order, attempt, Vec::new())),
        "captured" if exact => Ok(gateway::succeeded(order, &payment)),
        "captured" => Ok(gateway::unknown(format!(
            "payment {} took {} {}, not what was asked",
            payment.id, payment.amount, payment.currency
        ))),
        "authorized" if !exact => {
            Ok(refused(request, config, order, "another-amount", "the payment is of another amount"))
        }
        "authorized" if attempt.gateway_state.as_deref() == Some(CAPTURE) => {
            // When an earlier try of this return was sent is not known: the attempt began with the order.
            gateway::take(&payment.id, order, &attempt.key, &attempt.amount, false, send)
        }
        "authorized" => Ok(gateway::succeeded(order, &payment)),
        other => Ok(gateway::unknown(format!("payment {} is `{other}`", payment.id))),
    }
}

/// A payment that failed is told without a signature. It is believed only if the provider says the same.
fn unsigned(
    request: &ProceedRequest,
    config: &Config,
    order: &str,
    id: &str,
    send: Send<'_>,
) -> Answer<PaymentResult> {
    match fetch(id, send) {
        Ok(payment)
            if payment.id == id
                && payment.order_id.as_deref() == Some(order)
                && payment.status == "failed" =>
        {
            Ok(declined(&payment))
        }
        Err(Trouble::NotSent(why)) => Err(Trouble::unavailable(why)),
        Err(Trouble::Unclear(why)) => Ok(gateway::unknown(why)),
        Ok(_) | Err(Trouble::Refused(_)) => {
            let text = "`razorpay_signature` is missing, and the payment has not failed";
            Ok(refused(request, config, order, "signature-missing", text))
        }
    }
}

fn fetch(id: &str, send: Send<'_>) -> Result<Payment, Trouble> {
    ask(Request::get(format!("/v1/payments/{id}")), send)
}

/// It becomes part of an address.
fn is_id(text: &str) -> bool {
    text.len() <= ID_CHARS_MAX
        && text.starts_with("pay_")
        && text.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'_')
}

/// What was brought proves nothing: the payment waits as before.
fn refused(request: &ProceedRequest, config: &Config, order: &str, code: &str, text: &str) -> PaymentResult {
    let message = Message {
        kind: MessageKind::Error,
        severity: Severity::Recoverable,
        code: code.to_owned(),
        path: None,
        text: text.to_owned(),
        attributes: Vec::new(),
    };
    gateway::pending(config, order, &request.attempt, vec![message])
}

/// The order stays open at the provider, which knows no way to close it.
fn declined(payment: &Payment) -> PaymentResult {
    let reason = payment.error_reason.as_deref().or(payment.error_code.as_deref());
    PaymentResult {
        references: vec![gateway::reference(PAYMENT, &payment.id)],
        ..gateway::result(
            PaymentStatus::Declined(gateway::decline(reason.unwrap_or("payment_failed"))),
            TookEffect::Open,
        )
    }
}
