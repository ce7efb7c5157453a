//! The provider is a list of answers, one for each request.

use crate::bindings::exports::till::checkout::payment_gateway_api::{
    Absence, Attempt, CaptureRequest, EventKind, FindOutcome, FindRequest, Operation, PaymentResult,
    PaymentState, PaymentStatus, ProceedRequest, TookEffect, VoidRequest, WebhookRequest,
};
use crate::bindings::till::checkout::types::{ComponentError, Money};
use crate::config::Config;
use crate::exchange::{Lost, Request, Response};
use crate::gateway::{CAPTURE, ORDER, PAYMENT, capture, reference, void};
use crate::{event, find, proceed};
use serde_json::{Value, json};
use std::cell::RefCell;

/// Answers in turn; what was asked is kept.
struct Provider {
    answers: RefCell<Vec<Result<Response, Lost>>>,
    asked: RefCell<Vec<Request>>,
}

impl Provider {
    fn of(answers: &[(u16, Value)]) -> Provider {
        let answer = |(status, body): &(u16, Value)| {
            Ok(Response { status: *status, body: body.to_string().into_bytes() })
        };
        Provider::new(answers.iter().map(answer).collect())
    }

    fn new(mut answers: Vec<Result<Response, Lost>>) -> Provider {
        answers.reverse();
        Provider { answers: RefCell::new(answers), asked: RefCell::default() }
    }

    fn send(&self, request: Request) -> Result<Response, Lost> {
        self.asked.borrow_mut().push(request);
        self.answers.borrow_mut().pop().expect("no further request is made")
    }

    fn paths(&self) -> Vec<String> {
        self.asked.borrow().iter().map(|request| request.path.clone()).collect()
    }
}

fn config() -> Config {
    serde_json::from_str(r#"{"key_id": "rzp_test_1"}"#).unwrap()
}

fn rupees(minor: i64) -> Money {
    Money { minor, currency: "INR".to_owned() }
}

fn attempt(state: &str, references: &[(&str, &str)]) -> Attempt {
    Attempt {
        key: "k".to_owned(),
        operation: Operation::Authorize,
        first_sent_ms: Some(1_000),
        amount: rupees(49_900),
        references: references.iter().map(|(kind, id)| reference(kind, id)).collect(),
        gateway_state: Some(state.to_owned()),
        order: "ord_1".to_owned(),
        order_number: "ORD-1".to_owned(),
        attributes: vec![],
    }
}

fn payment(status: &str, amount: i64, order: &str) -> Value {
    json!({ "id": "pay_1", "amount": amount, "currency": "INR", "status": status, "order_id": order,
            "captured": status == "captured", "amount_refunded": 0, "error_reason": null, "created_at": 1 })
}

fn back(fields: &[(&str, &str)]) -> Vec<(String, String)> {
    fields.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect()
}

const GENUINE: [(&str, &str); 3] =
    [("razorpay_order_id", "order_1"), ("razorpay_payment_id", "pay_1"), ("razorpay_signature", "00ff")];

/// The shopper comes back. `genuine` is what the host says of the signature.
fn returned(
    state: &str,
    fields: &[(&str, &str)],
    genuine: bool,
    provider: &Provider,
) -> Result<PaymentResult, ComponentError> {
    let request =
        ProceedRequest { attempt: attempt(state, &[(ORDER, "order_1")]), return_data: back(fields) };
    proceed::proceed(&request, &config(), &|sent| provider.send(sent), |signed, signature| {
        assert_eq!((signed, signature), (&b"order_1|pay_1"[..], &[0, 0xff][..]));
        Ok(genuine)
    })
}

#[test]
fn a_genuine_return_is_what_the_provider_says_of_the_payment() {
    let reserve = Provider::of(&[(200, payment("authorized", 49_900, "order_1"))]);
    let result = returned("reserve", &GENUINE, true, &reserve).unwrap();
    assert!(matches!(result.status, PaymentStatus::Succeeded));
    assert_eq!(result.confirmed.unwrap().minor, 49_900);
    assert_eq!(reserve.paths(), ["/v1/payments/pay_1"]);

    let take = Provider::of(&[
        (200, payment("authorized", 49_900, "order_1")),
        (200, payment("captured", 49_900, "order_1")),
    ]);
    let result = returned(CAPTURE, &GENUINE, true, &take).unwrap();
    assert!(matches!(result.status, PaymentStatus::Succeeded));
    assert_eq!(take.paths(), ["/v1/payments/pay_1", "/v1/payments/pay_1/capture"]);
}

#[test]
fn a_return_that_proves_nothing_leaves_the_payment_waiting() {
    let nobody = Provider::of(&[]);
    let another: Vec<_> =
        [("razorpay_order_id", "order_2")].into_iter().chain(GENUINE[1..].to_vec()).collect();
    for (fields, genuine, code) in [
        (&GENUINE[..], false, "signature-mismatch"),
        (&[], true, "payment-missing"),
        (&[("razorpay_payment_id", "pay_1/../../orders")], true, "payment-missing"),
        (&another, true, "another-order"),
        (&[("razorpay_payment_id", "pay_1"), ("razorpay_signature", "zz")], true, "signature-mismatch"),
    ] {
        let result = returned("reserve", fields, genuine, &nobody).unwrap();
        assert!(matches!(result.status, PaymentStatus::Pending(_)), "{code}");
        assert_eq!((result.took_effect, result.messages[0].code.as_str()), (TookEffect::Open, code));
    }
    for (fields, found, code) in [
        (&GENUINE[..], payment("authorized", 49_900, "order_2"), "another-order"),
        (&GENUINE, payment("authorized", 49_899, "order_1"), "another-amount"),
        (&GENUINE[..2], payment("captured", 49_900, "order_1"), "signature-missing"),
    ] {
        let result = returned("reserve", fields, true, &Provider::of(&[(200, found)])).unwrap();
        assert!(matches!(result.status, PaymentStatus::Pending(_)), "{code}");
        assert_eq!(result.messages[0].code, code);
    }
}

#[test]
fn a_failed_payment_is_a_decline_once_the_provider_says_so() {
    let mut failed = payment("failed", 49_900, "order_1");
    failed["error_reason"] = json!("insufficient_funds");
    for fields in [&GENUINE[..], &GENUINE[..2]] {
        let result = returned("reserve", fields, true, &Provider::of(&[(200, failed.clone())])).unwrap();
        let PaymentStatus::Declined(decline) = result.status else { panic!("{:?}", result.status) };
        assert_eq!(decline.code, "insufficient_funds");
    }
}

#[test]
fn what_cannot_be_known_is_unknown() {
    let lost = || Err(Lost::Unknown("timeout".to_owned()));
    let whole = |status, body: &str| Ok(Response { status, body: body.as_bytes().to_vec() });
    for answer in [
        lost(),
        whole(200, "{}"),
        whole(200, "<html>"),
        whole(404, "<html>"),
        whole(502, ""),
        whole(429, "{}"),
    ] {
        let result = returned("reserve", &GENUINE, true, &Provider::new(vec![answer])).unwrap();
        assert!(matches!(result.status, PaymentStatus::Unknown(_)), "{:?}", result.status);
    }
    let taken_otherwise = Provider::of(&[(200, payment("captured", 1, "order_1"))]);
    let result = returned("reserve", &GENUINE, true, &taken_otherwise).unwrap();
    assert!(matches!(result.status, PaymentStatus::Unknown(_)), "money moved, and not what was asked");
    let unsent = Provider::new(vec![Err(Lost::NotSent("refused".to_owned()))]);
    assert!(matches!(returned("reserve", &GENUINE, true, &unsent), Err(ComponentError::Unavailable(_))));
}

#[test]
fn a_capture_that_is_refused_is_looked_at() {
    let request = CaptureRequest {
        attempt: attempt("reserve", &[(ORDER, "order_1"), (PAYMENT, "pay_1")]),
        amount: rupees(49_900),
        final_capture: true,
    };
    let refusal = json!({ "error": { "code": "BAD_REQUEST_ERROR", "reason": "input_validation_failed" } });
    let taken = |status: &str, now_ms: u64| {
        let provider = Provider::of(&[(400, refusal.clone()), (200, payment(status, 49_900, "order_1"))]);
        let result = capture(&request, &config(), now_ms, &|sent| provider.send(sent)).unwrap();
        assert_eq!(provider.asked.borrow()[0].key.as_deref(), Some("k"));
        result.status
    };
    assert!(matches!(taken("captured", 2_000), PaymentStatus::Succeeded));
    assert!(matches!(taken("failed", 2_000), PaymentStatus::Declined(_)));
    let soon = taken("authorized", 2_000);
    assert!(matches!(soon, PaymentStatus::Unknown(_)), "an earlier try may be under way: {soon:?}");
    let late = taken("authorized", 1_000_000);
    assert!(matches!(late, PaymentStatus::Declined(_)), "nothing is under way any more: {late:?}");
}

fn found(references: &[(&str, &str)], now_ms: u64, answers: &[(u16, Value)]) -> FindOutcome {
    let provider = Provider::of(answers);
    let request = FindRequest { attempt: attempt("reserve", references) };
    find::find(&request, &config(), now_ms, &|sent| provider.send(sent)).outcome
}

#[test]
fn a_capture_that_may_be_under_way_is_waited_for() {
    let look = |now_ms: u64| {
        let payments = json!({ "items": [payment("authorized", 49_900, "order_1")] });
        let provider = Provider::of(&[(200, payments)]);
        let attempt = Attempt {
            operation: Operation::Capture,
            ..attempt("reserve", &[(ORDER, "order_1"), (PAYMENT, "pay_1")])
        };
        find::find(&FindRequest { attempt }, &config(), now_ms, &|sent| provider.send(sent)).outcome
    };
    assert!(matches!(look(2_000), FindOutcome::Unknown(_)), "sent again now it would be refused");
    let settled = look(1_000_000);
    assert!(matches!(&settled, FindOutcome::Found(s) if s.state == PaymentState::Authorized), "{settled:?}");
}

#[test]
fn an_order_is_found_by_its_receipt_and_its_money_by_its_payments() {
    let orders = |amount: i64| json!({ "items": [{ "id": "order_1", "amount": amount, "currency": "INR", "receipt": "k", "status": "created" }] });
    let none = json!({ "items": [] });
    for (payments, state) in [
        (json!([]), PaymentState::ActionRequired),
        (json!([payment("failed", 49_900, "order_1")]), PaymentState::ActionRequired),
        (json!([payment("authorized", 100, "order_1")]), PaymentState::ActionRequired),
        (
            json!([payment("failed", 49_900, "order_1"), payment("authorized", 49_900, "order_1")]),
            PaymentState::Authorized,
        ),
        (json!([payment("captured", 49_900, "order_1")]), PaymentState::Captured),
        (json!([payment("refunded", 49_900, "order_1")]), PaymentState::Voided),
    ] {
        let answers = [(200, orders(49_900)), (200, json!({ "items": payments }))];
        let FindOutcome::Found(snapshot) = found(&[], 2_000, &answers) else { panic!("{payments}") };
        assert_eq!(snapshot.state, state, "{payments}");
        assert_eq!(snapshot.references[0].value, "order_1");
        assert_eq!(snapshot.action.is_some(), state == PaymentState::ActionRequired);
    }
    let foreign = [(200, json!({ "items": [payment("captured", 49_900, "order_2")] }))];
    assert!(matches!(found(&[(ORDER, "order_1")], 2_000, &foreign), FindOutcome::Unknown(_)));
    assert!(matches!(found(&[], 2_000, &[(200, orders(1))]), FindOutcome::Unknown(_)));
    let early = found(&[], 2_000, &[(200, none.clone())]);
    assert!(matches!(early, FindOutcome::NeverHappened(Absence::NotVisibleYet)));
    let late = found(&[], 31_001, &[(200, none)]);
    assert!(matches!(late, FindOutcome::NeverHappened(Absence::Certain)));
}

#[test]
fn an_order_is_given_up_only_while_nothing_was_taken() {
    let request = VoidRequest { attempt: attempt("reserve", &[(ORDER, "order_1")]) };
    for (status, gone) in [("failed", true), ("authorized", true), ("captured", false)] {
        let provider = Provider::of(&[(200, json!({ "items": [payment(status, 49_900, "order_1")] }))]);
        let result = void(&request, &|sent| provider.send(sent)).unwrap();
        assert_eq!(matches!(result.status, PaymentStatus::Succeeded), gone, "{status}");
    }
}

#[test]
fn a_webhook_leads_to_its_order_and_counts_with_its_signature_alone() {
    let body = json!({ "event": "payment.captured", "created_at": 7, "payload": { "payment": { "entity": payment("captured", 5, "order_1") } } });
    let webhook = |signature: &str| WebhookRequest {
        headers: vec![("x-razorpay-signature".to_owned(), signature.as_bytes().to_vec())],
        body: body.to_string().into_bytes(),
    };
    let result = event::read(&webhook("00ff"), |signed, signature| {
        assert_eq!((signed, signature), (body.to_string().as_bytes(), &[0, 0xff][..]));
        Ok(true)
    });
    let told = result.unwrap().events.remove(0);
    assert_eq!((told.kind, told.dedup_id.as_str()), (EventKind::Captured, "00ff"));
    assert_eq!((told.reference.unwrap().value.as_str(), told.provider_time_ms), ("order_1", 7_000));
    assert!(!event::read(&webhook("00ff"), |_, _| Ok(false)).unwrap().verified);
    for nothing in ["", "zz"] {
        let read = event::read(&webhook(nothing), |_, _| Ok(false)).unwrap();
        assert!(!read.verified && read.events.is_empty(), "{nothing}");
    }
}
