//! What each function asks the provider, and what its answer means. Plain functions over records.

use crate::api::{ByKey, Intent, Refusal};
use crate::bindings::exports::till::checkout::payment_gateway_api::{
    Absence, ActionKind, Attempt, Capabilities, CaptureRequest, Decline, DeclineClass, FindBy, FindOutcome,
    FindRequest, FindResult, NextAction, PaymentRequest, PaymentResult, PaymentState, PaymentStatus,
    PrepareResult, ProceedRequest, Reference, RefundRequest, Snapshot, TookEffect, VoidRequest,
};
use crate::bindings::till::checkout::types::{ComponentError, Money};
use crate::config::detail;
use crate::exchange::{Lost, Request, Response, Send};
use serde_json::json;

/// Kind of the reference to the provider's payment.
pub const INTENT: &str = "payment-intent";
/// It never forgets a key; this is what is promised.
const KEY_RETENTION_MS: u64 = 24 * 60 * 60 * 1_000;
/// A moment for a provider that could not be reached.
const RETRY_AFTER_MS: u64 = 1_000;

type Answer<T> = Result<T, ComponentError>;

/// What this gateway can do.
pub fn capabilities(request_time_max_ms: u64) -> Capabilities {
    Capabilities {
        one_step: true,
        separate_capture: true,
        partial_capture: true,
        multi_capture: true,
        void: true,
        partial_refund: true,
        find_by: FindBy::Key,
        prepares: true,
        key_retention_ms: KEY_RETENTION_MS,
        request_time_max_ms,
        currencies: Vec::new(),
        attributes: Vec::new(),
    }
}

/// Makes the provider's payment, so that its id is known before money moves.
pub fn prepare(request: &PaymentRequest, send: Send<'_>) -> Answer<PrepareResult> {
    let attempt = &request.attempt;
    let reference = match intent_of(attempt) {
        Ok(id) => reference(id), // Prepared before.
        Err(_) => {
            let body = json!({
                "order": attempt.order,
                "amount": attempt.amount.minor,
                "currency": attempt.amount.currency,
            });
            let key = format!("{}.prepare", attempt.key);
            let response = send(Request::post("/v1/intents".to_owned(), &key, body))
                .map_err(|lost| unavailable(&lost))?;
            match read(response) {
                Read::Intent(intent) => reference(&intent.id),
                Read::Refused(code) => {
                    return Err(ComponentError::InvalidInput(detail("provider-refused", code, None)));
                }
                Read::Unreadable(why) => return Err(unavailable(&Lost::Unknown(why))),
            }
        }
    };
    Ok(PrepareResult {
        references: vec![reference],
        gateway_state: None,
        messages: Vec::new(),
        attributes: Vec::new(),
    })
}

/// Reserves the money, or takes it.
pub fn authorize(request: &PaymentRequest, send: Send<'_>) -> Answer<PaymentResult> {
    let attempt = &request.attempt;
    let mut body = json!({ "token": request.instrument.token, "capture": request.capture });
    let path = match intent_of(attempt) {
        Ok(id) => format!("/v1/intents/{id}/authorize"),
        // Not prepared: made and authorized in one request. The key alone finds it.
        Err(_) => {
            body["order"] = json!(attempt.order);
            body["amount"] = json!(attempt.amount.minor);
            body["currency"] = json!(attempt.amount.currency);
            "/v1/payments".to_owned()
        }
    };
    pay(Request::post(path, &attempt.key, body), send, authorized)
}

/// Goes on after 3-D Secure.
pub fn proceed(request: &ProceedRequest, send: Send<'_>) -> Answer<PaymentResult> {
    let attempt = &request.attempt;
    let id = intent_of(attempt)?;
    let result = request.return_data.iter().find(|(name, _)| name == "result");
    let body = json!({ "result": result.map(|(_, value)| value) });
    // A request of its own under the same attempt: it gets a key that follows from the attempt's.
    let key = format!("{}.confirm", attempt.key);
    pay(Request::post(format!("/v1/intents/{id}/confirm"), &key, body), send, authorized)
}

/// Takes reserved money.
pub fn capture(request: &CaptureRequest, send: Send<'_>) -> Answer<PaymentResult> {
    let id = intent_of(&request.attempt)?;
    let asked = request.amount.clone();
    let body = json!({ "amount": asked.minor, "final": request.final_capture });
    let path = format!("/v1/intents/{id}/capture");
    pay(Request::post(path, &request.attempt.key, body), send, move |intent| {
        done_if(intent.captured >= asked.minor && intent.currency == asked.currency, intent, asked)
    })
}

/// Drops a reservation, or cancels what is open.
pub fn void(request: &VoidRequest, send: Send<'_>) -> Answer<PaymentResult> {
    let id = intent_of(&request.attempt)?;
    let amount = request.attempt.amount.clone();
    let path = format!("/v1/intents/{id}/void");
    pay(Request::post(path, &request.attempt.key, json!({})), send, move |intent| {
        done_if(intent.status == "voided", intent, amount)
    })
}

/// Gives money back.
pub fn refund(request: &RefundRequest, send: Send<'_>) -> Answer<PaymentResult> {
    let id = intent_of(&request.attempt)?;
    let asked = request.amount.clone();
    let body = json!({ "refund_id": request.refund_id, "amount": asked.minor, "reason": request.reason });
    let path = format!("/v1/intents/{id}/refund");
    pay(Request::post(path, &request.attempt.key, body), send, move |intent| {
        done_if(intent.refunded >= asked.minor && intent.currency == asked.currency, intent, asked)
    })
}

/// Asks what became of an attempt.
pub fn find(request: &FindRequest, now_ms: u64, request_time_max_ms: u64, send: Send<'_>) -> FindResult {
    let attempt = &request.attempt;
    let outcome = match send(Request::get(format!("/v1/keys/{}", attempt.key))) {
        Ok(Response { status: 200, body }) => match serde_json::from_slice::<ByKey>(&body) {
            Ok(found) => snapshot(found.intent),
            Err(error) => FindOutcome::Unknown(format!("the answer cannot be read: {error}")),
        },
        Ok(Response { status: 404, body }) if is_no_such_key(&body) => {
            // A request may still be on its way until the longest time has passed.
            let settled = attempt.first_sent_ms.is_none_or(|sent| now_ms > sent + request_time_max_ms);
            FindOutcome::NeverHappened(if settled { Absence::Certain } else { Absence::NotVisibleYet })
        }
        Ok(response) => FindOutcome::Unknown(format!("the provider answered {}", response.status)),
        Err(Lost::NotSent(why) | Lost::Unknown(why)) => FindOutcome::Unknown(why),
    };
    FindResult { outcome, messages: Vec::new(), attributes: Vec::new() }
}

/// A 404 counts only if it is the provider who says it, and not a proxy before it.
fn is_no_such_key(body: &[u8]) -> bool {
    serde_json::from_slice::<Refusal>(body).is_ok_and(|refusal| refusal.error.code == "no_such_key")
}

fn intent_of(attempt: &Attempt) -> Answer<&str> {
    let found = attempt.references.iter().find(|reference| reference.kind == INTENT);
    found.map(|reference| reference.value.as_str()).ok_or_else(|| {
        let text = "the attempt has no payment-intent: `prepare` comes first".to_owned();
        ComponentError::InvalidInput(detail("not-prepared", text, None))
    })
}

fn reference(id: &str) -> Reference {
    Reference { kind: INTENT.to_owned(), value: id.to_owned() }
}

fn unavailable(lost: &Lost) -> ComponentError {
    let (Lost::NotSent(why) | Lost::Unknown(why)) = lost;
    ComponentError::Unavailable(detail("provider-unreachable", why.clone(), Some(RETRY_AFTER_MS)))
}

/// What a complete answer says.
enum Read {
    Intent(Intent),
    /// The provider did not do it, and says so.
    Refused(String),
    /// Nothing that can be relied on.
    Unreadable(String),
}

fn read(response: Response) -> Read {
    match response.status {
        200 => match serde_json::from_slice(&response.body) {
            Ok(intent) => Read::Intent(intent),
            Err(error) => Read::Unreadable(format!("the answer cannot be read: {error}")),
        },
        // 422: the key was used for another request, which may have moved money. 408 and 429 come from
        // whatever stands before the provider and say nothing about it.
        400 | 401 | 403 | 404 | 409 => match serde_json::from_slice::<Refusal>(&response.body) {
            Ok(refusal) => Read::Refused(refusal.error.code),
            Err(error) => Read::Unreadable(format!("the refusal cannot be read: {error}")),
        },
        status => Read::Unreadable(format!("the provider answered {status}")),
    }
}

/// Sends a request that may move money and reads what became of it.
fn pay(
    request: Request,
    send: Send<'_>,
    meaning: impl FnOnce(Intent) -> PaymentResult,
) -> Answer<PaymentResult> {
    match send(request) {
        Ok(response) => Ok(match read(response) {
            Read::Intent(intent) => meaning(intent),
            Read::Refused(code) => declined(&code, None),
            Read::Unreadable(why) => unknown(why),
        }),
        Err(lost @ Lost::NotSent(_)) => Err(unavailable(&lost)),
        Err(Lost::Unknown(why)) => Ok(unknown(why)),
    }
}

fn authorized(intent: Intent) -> PaymentResult {
    match intent.status.as_str() {
        "authorized" => {
            let money = Money { minor: intent.authorized, currency: intent.currency.clone() };
            done_if(true, intent, money)
        }
        "captured" => {
            let money = Money { minor: intent.captured, currency: intent.currency.clone() };
            done_if(true, intent, money)
        }
        "declined" => declined(intent.decline_code.as_deref().unwrap_or("card_declined"), Some(&intent)),
        "action_required" => match action(&intent) {
            Some(action) => result(PaymentStatus::Pending(action), TookEffect::Open, None, Some(&intent)),
            None => unknown("an action is wanted, and the provider does not say which".to_owned()),
        },
        other => unknown(format!("the payment is `{other}`")),
    }
}

fn action(intent: &Intent) -> Option<NextAction> {
    Some(NextAction {
        kind: ActionKind::Redirect(intent.redirect_url.clone()?),
        expires_ms: None,
        text: "Confirm the payment with your bank".to_owned(),
    })
}

fn done_if(sure: bool, intent: Intent, confirmed: Money) -> PaymentResult {
    if sure {
        result(PaymentStatus::Succeeded, TookEffect::Yes, Some(confirmed), Some(&intent))
    } else {
        unknown(format!("the provider answered with a payment that is `{}`", intent.status))
    }
}

fn declined(code: &str, intent: Option<&Intent>) -> PaymentResult {
    result(PaymentStatus::Declined(decline(code)), TookEffect::No, None, intent)
}

fn decline(code: &str) -> Decline {
    let (class, text) = match code {
        "insufficient_funds" => (DeclineClass::Soft, "There is not enough money on the account."),
        // The shopper is not told what the provider suspects.
        "suspected_fraud" => (DeclineClass::Fraud, "The payment was declined."),
        "authentication_failed" => (DeclineClass::Authentication, "The payment was not confirmed."),
        _ => (DeclineClass::Hard, "The payment was declined."),
    };
    Decline { code: code.to_owned(), class, text: text.to_owned() }
}

fn unknown(why: String) -> PaymentResult {
    result(PaymentStatus::Unknown(why), TookEffect::Unknown, None, None)
}

fn result(
    status: PaymentStatus,
    took_effect: TookEffect,
    confirmed: Option<Money>,
    intent: Option<&Intent>,
) -> PaymentResult {
    PaymentResult {
        status,
        took_effect,
        confirmed,
        expires_ms: None,
        references: intent.map(|intent| reference(&intent.id)).into_iter().collect(),
        gateway_state: None,
        messages: Vec::new(),
        attributes: Vec::new(),
    }
}

fn snapshot(intent: Intent) -> FindOutcome {
    let state = match intent.status.as_str() {
        "created" => PaymentState::Created,
        "action_required" => PaymentState::ActionRequired,
        "authorized" => PaymentState::Authorized,
        "captured" => PaymentState::Captured,
        "voided" => PaymentState::Voided,
        "refunded" => PaymentState::Refunded,
        "declined" => PaymentState::Declined,
        other => return FindOutcome::Unknown(format!("the payment is `{other}`")),
    };
    let money = |minor| Money { minor, currency: intent.currency.clone() };
    FindOutcome::Found(Snapshot {
        state,
        authorized: money(intent.authorized),
        captured: money(intent.captured),
        refunded: money(intent.refunded),
        voided: state == PaymentState::Voided,
        decline: intent.decline_code.as_deref().map(decline),
        action: action(&intent),
        expires_ms: None,
        references: vec![reference(&intent.id)],
        gateway_state: None,
        attributes: Vec::new(),
    })
}

#[cfg(test)]
mod tests {
    const REQUEST_TIME_MAX_MS: u64 = 30_000;

    use super::*;
    use crate::bindings::exports::till::checkout::payment_gateway_api::{Instrument, Operation, Shopper};

    fn attempt(references: Vec<Reference>) -> Attempt {
        Attempt {
            key: "k".into(),
            operation: Operation::Authorize,
            first_sent_ms: Some(1_000),
            amount: Money { minor: 500, currency: "USD".into() },
            references,
            gateway_state: None,
            order: "ord_1".into(),
            order_number: "ORD-1".into(),
            attributes: vec![],
        }
    }

    fn request(references: Vec<Reference>) -> PaymentRequest {
        let text = String::new;
        PaymentRequest {
            attempt: attempt(references),
            instrument: Instrument {
                id: text(),
                kind: text(),
                token: "tok_visa".into(),
                last4: text(),
                brand: text(),
                off_session: false,
            },
            shopper: Shopper {
                id: text(),
                email: text(),
                ip: text(),
                user_agent: text(),
                return_url: text(),
                billing: None,
                shipping: None,
            },
            lines: vec![],
            capture: true,
        }
    }

    fn answer(status: u16, body: &'static str) -> impl Fn(Request) -> Result<Response, Lost> {
        move |_| Ok(Response { status, body: body.into() })
    }

    fn outcome(send: Send<'_>) -> String {
        match authorize(&request(vec![reference("pi_1")]), send) {
            Ok(result) => format!("{:?} {:?}", result.status, result.took_effect),
            Err(error) => format!("{error:?}"),
        }
    }

    #[test]
    fn only_a_definite_answer_is_definite() {
        for (status, body) in [
            (200, "<html>"),
            (200, "{}"),
            (500, "{}"),
            (502, ""),
            (422, r#"{"error":{"code":"key_reused","text":""}}"#),
            (404, "<html>"),
            (429, "{}"),
            (201, "{}"),
            (302, ""),
            (
                200,
                r#"{"id":"pi_1","status":"new-state","currency":"USD","authorized":0,"captured":0,"refunded":0}"#,
            ),
        ] {
            assert!(outcome(&answer(status, body)).contains("Unknown"), "{status} {body}");
        }
        assert!(outcome(&|_| Err(Lost::Unknown("timeout".into()))).contains("Unknown"));
        assert!(outcome(&|_| Err(Lost::NotSent("refused".into()))).contains("Unavailable"));
    }

    #[test]
    fn success_confirms_what_the_provider_says_and_not_what_was_asked() {
        let body = r#"{"id":"pi_1","status":"captured","currency":"EUR","authorized":499,"captured":499,"refunded":0}"#;
        let result = authorize(&request(vec![reference("pi_1")]), &answer(200, body)).unwrap();
        assert!(matches!(result.status, PaymentStatus::Succeeded));
        let confirmed = result.confirmed.unwrap();
        assert_eq!((confirmed.minor, confirmed.currency.as_str()), (499, "EUR"));
    }

    #[test]
    fn a_refusal_takes_no_effect() {
        let refused = outcome(&answer(409, r#"{"error":{"code":"wrong_state","text":"no"}}"#));
        assert!(refused.contains("Declined") && refused.ends_with("No"), "{refused}");
    }

    #[test]
    fn a_payment_is_prepared_first_or_made_in_one_request() {
        let lost = |sent: Request| {
            assert_eq!((sent.path.as_str(), sent.key.as_deref()), ("/v1/payments", Some("k")));
            Err(Lost::Unknown("timeout".into()))
        };
        assert!(matches!(authorize(&request(vec![]), &lost).unwrap().status, PaymentStatus::Unknown(_)));
        let body =
            r#"{"id":"pi_9","status":"created","currency":"USD","authorized":0,"captured":0,"refunded":0}"#;
        let send = |sent: Request| {
            assert_eq!((sent.path.as_str(), sent.key.as_deref()), ("/v1/intents", Some("k.prepare")));
            answer(200, body)(sent)
        };
        assert_eq!(prepare(&request(vec![]), &send).unwrap().references[0].value, "pi_9");
        let again = prepare(&request(vec![reference("pi_9")]), &|_| unreachable!("nothing may be sent"));
        assert_eq!(again.unwrap().references[0].value, "pi_9");
    }

    #[test]
    fn absence_is_certain_only_after_the_longest_request_time() {
        let gone = answer(404, r#"{"error":{"code":"no_such_key","text":""}}"#);
        let find_at =
            |now| find(&FindRequest { attempt: attempt(vec![]) }, now, REQUEST_TIME_MAX_MS, &gone).outcome;
        assert!(matches!(find_at(2_000), FindOutcome::NeverHappened(Absence::NotVisibleYet)));
        assert!(matches!(find_at(1_001 + REQUEST_TIME_MAX_MS), FindOutcome::NeverHappened(Absence::Certain)));
        let proxy = find(
            &FindRequest { attempt: attempt(vec![]) },
            2_000,
            REQUEST_TIME_MAX_MS,
            &answer(404, "<html>"),
        )
        .outcome;
        assert!(matches!(proxy, FindOutcome::Unknown(_)));
    }
}
