//! The attacks.

use crate::bindings::exports::till::checkout::payment_gateway_api::{
    Absence, Capabilities, CaptureRequest, Decline, DeclineClass, FindBy, FindOutcome, FindRequest,
    FindResult, Guest, PaymentRequest, PaymentResult, PaymentStatus, PrepareResult, ProceedRequest,
    RefundRequest, TookEffect, VoidRequest, WebhookRequest, WebhookResult,
};
use crate::bindings::till::checkout::types::{CallContext, ComponentError, ComponentInfo};
use std::hint::black_box;
use wasip2::http::outgoing_handler;
use wasip2::http::types::{Fields, IncomingBody, Method, OutgoingBody, OutgoingRequest, Scheme};

pub struct HostileGateway;

impl Guest for HostileGateway {
    fn describe() -> ComponentInfo {
        ComponentInfo {
            name: "Hostile gateway".to_owned(),
            version: env!("CARGO_PKG_VERSION").to_owned(),
            config_schema: "{}".to_owned(),
            capabilities: Vec::new(),
            attributes: Vec::new(),
        }
    }

    /// Sends, although it must not.
    fn get_capabilities(ctx: CallContext) -> Result<Capabilities, ComponentError> {
        let (_, origin) = attack(&ctx);
        let reached = fetch(origin, "/v1/intents/none");
        Ok(Capabilities {
            one_step: true,
            separate_capture: true,
            partial_capture: true,
            multi_capture: true,
            void: true,
            partial_refund: true,
            find_by: FindBy::Key,
            prepares: false,
            key_retention_ms: 0,
            request_time_max_ms: 0,
            currencies: Vec::new(),
            attributes: vec![("fetched".to_owned(), reached)],
        })
    }

    fn prepare(_: CallContext, _: PaymentRequest) -> Result<PrepareResult, ComponentError> {
        Ok(PrepareResult {
            references: Vec::new(),
            gateway_state: None,
            messages: Vec::new(),
            attributes: Vec::new(),
        })
    }

    fn authorize(ctx: CallContext, request: PaymentRequest) -> Result<PaymentResult, ComponentError> {
        let (attack, rest) = attack(&ctx);
        if attack == "guess" {
            return Ok(guess(&ctx));
        }
        let (origin, more) = rest.split_once(' ').unwrap_or((rest, ""));
        let amount: usize = more.parse().unwrap_or_default();
        let path = match attack {
            "hang" => "/hang",
            _ if more.starts_with('/') => more,
            _ => "/v1/intents/none",
        };
        let fetched = match attack {
            "requests" => {
                // Thousands of tiny ones: told is the answer of each kind, and how often it came.
                let mut told: Vec<(String, usize)> = Vec::new();
                for _ in 0..amount {
                    let answer = fetch(origin, path);
                    match told.iter_mut().find(|(known, _)| *known == answer) {
                        Some((_, times)) => *times += 1,
                        None => told.push((answer, 1)),
                    }
                }
                told.iter().map(|(answer, times)| format!("{answer} x{times}")).collect::<Vec<_>>().join(", ")
            }
            "upload" => send(origin, path, &vec![b'u'; amount]),
            "handles" => {
                let handles: Vec<Fields> = (0..amount).map(|_| Fields::new()).collect();
                black_box(&handles).len().to_string()
            }
            "loop" => {
                run_forever();
                String::new()
            }
            _ => fetch(origin, path),
        };
        match attack {
            "panic-after-send" => panic!("after the money moved"),
            "loop-after-send" => run_forever(),
            "sleep" => std::thread::sleep(std::time::Duration::from_secs(3_600)),
            _ => {}
        }
        if attack == "one-more" {
            // The provider confirms another amount than was asked for.
            let mut confirmed = request.attempt.amount;
            confirmed.minor += 1;
            return Ok(PaymentResult { confirmed: Some(confirmed), ..answer(fetched) });
        }
        Ok(answer(fetched))
    }

    fn proceed(_: CallContext, _: ProceedRequest) -> Result<PaymentResult, ComponentError> {
        Ok(answer(String::new()))
    }

    fn capture(ctx: CallContext, _: CaptureRequest) -> Result<PaymentResult, ComponentError> {
        if attack(&ctx).0 == "guess" {
            return Ok(guess(&ctx));
        }
        Ok(answer(String::new()))
    }

    fn void(_: CallContext, _: VoidRequest) -> Result<PaymentResult, ComponentError> {
        Ok(answer(String::new()))
    }

    fn refund(_: CallContext, _: RefundRequest) -> Result<PaymentResult, ComponentError> {
        Ok(answer(String::new()))
    }

    fn find(ctx: CallContext, _: FindRequest) -> Result<FindResult, ComponentError> {
        Ok(FindResult {
            outcome: match attack(&ctx).0 {
                "guess" => FindOutcome::NeverHappened(Absence::Certain),
                _ => FindOutcome::Unknown(String::new()),
            },
            messages: Vec::new(),
            attributes: Vec::new(),
        })
    }

    fn verify_event(ctx: CallContext, _: WebhookRequest) -> Result<WebhookResult, ComponentError> {
        if attack(&ctx).0 == "loop" {
            run_forever();
        }
        // Whoever guesses has not looked at the signature.
        Ok(WebhookResult { verified: attack(&ctx).0 == "guess", events: Vec::new(), messages: Vec::new() })
    }
}

/// Asks anew for each try, and takes whatever comes for a decline.
fn guess(ctx: &CallContext) -> PaymentResult {
    let fetched = fetch(attack(ctx).1, &format!("/v1/tries/{}", ctx.attempt));
    PaymentResult {
        status: PaymentStatus::Declined(Decline {
            code: "guessed".to_owned(),
            class: DeclineClass::Soft,
            text: "The payment was declined.".to_owned(),
        }),
        took_effect: TookEffect::No,
        ..answer(fetched)
    }
}

/// Claims success whatever happened.
fn answer(fetched: String) -> PaymentResult {
    PaymentResult {
        status: PaymentStatus::Succeeded,
        took_effect: TookEffect::Yes,
        confirmed: None,
        expires_ms: None,
        references: Vec::new(),
        gateway_state: None,
        messages: Vec::new(),
        attributes: vec![("fetched".to_owned(), fetched)],
    }
}

fn attack(ctx: &CallContext) -> (&str, &str) {
    // A binding's configuration is JSON: a text has its quotes.
    let config = ctx.config.trim_matches('"');
    config.split_once(' ').unwrap_or((config, ""))
}

fn run_forever() {
    let mut n = 0_u64;
    loop {
        n = black_box(n.wrapping_add(1));
    }
}

/// Gets something and tells the status, or the error.
fn fetch(origin: &str, path: &str) -> String {
    send(origin, path, &[])
}

/// Sends a body, if there is any to send, and tells the status and the size of the answer, or the error.
fn send(origin: &str, path: &str, body: &[u8]) -> String {
    let Some((scheme, authority)) = origin.split_once("://") else { return "no origin".to_owned() };
    let scheme = if scheme == "https" { Scheme::Https } else { Scheme::Http };
    let request = OutgoingRequest::new(Fields::new());
    let set = request
        .set_scheme(Some(&scheme))
        .and_then(|()| request.set_authority(Some(authority)))
        .and_then(|()| request.set_path_with_query(Some(path)));
    if set.is_err() {
        return "no address".to_owned();
    }
    let out = request.body().ok();
    if !body.is_empty() && request.set_method(&Method::Post).is_err() {
        return "no method".to_owned();
    }
    match outgoing_handler::handle(request, None) {
        Ok(answer) => {
            if let Some(out) = out {
                // The host refuses what is too large: then the answer says so.
                if let Ok(stream) = out.write() {
                    for piece in body.chunks(4_096) {
                        if stream.blocking_write_and_flush(piece).is_err() {
                            break;
                        }
                    }
                }
                let _ = OutgoingBody::finish(out, None);
            }
            answer.subscribe().block();
            match answer.get() {
                Some(Ok(Ok(response))) => {
                    if let Ok(body) = response.consume() {
                        IncomingBody::finish(body);
                    }
                    response.status().to_string()
                }
                other => format!("{other:?}"),
            }
        }
        Err(error) => format!("{error:?}"),
    }
}
