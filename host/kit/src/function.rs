//! The functions of the contract: their names, what they take, what they answer.

use crate::decode::{DecodeError, Defaults, decode, nothing};
use crate::tree::Tree;
use serde::{Deserialize, Serialize};
use serde_json::Value;
use std::fmt;
use std::sync::Arc;
use till_sandbox::wit::{carrier, gateway, pricing, promotion, risk, shipping, tax, types::ComponentError};
use till_sandbox::{Answer, Call, Failure, Sandbox, Script, Slot};

/// A function a component gives its host.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Function {
    /// Of a pricing component.
    Price,
    /// Of a promotion component.
    Evaluate,
    /// Of a tax component.
    Calculate,
    /// Of a shipping component.
    Rates,
    /// Of a risk component.
    Assess,
    /// This and all to `VerifyEvent`: of a gateway.
    GetCapabilities,
    /// Makes the provider's object.
    Prepare,
    /// Reserves or takes money.
    Authorize,
    /// Goes on after a redirect.
    Proceed,
    /// Takes reserved money.
    Capture,
    /// Drops a reservation.
    Void,
    /// Gives money back.
    Refund,
    /// Asks what became of an attempt.
    Find,
    /// Checks a webhook.
    VerifyEvent,
    /// This and all below: of a carrier. Books a parcel.
    Book,
    /// Takes a booking back.
    Cancel,
    /// Asks what became of a booking.
    FindBooking,
    /// Asks where a parcel is.
    Track,
    /// Fetches what is stuck on the parcel.
    FetchLabel,
    /// Checks a webhook of a carrier.
    VerifyScan,
}

/// What a function answered, as JSON in the order of the contract.
pub(crate) type Told = Result<Answer<Tree>, Failure>;

impl Function {
    /// All of them.
    pub const ALL: [Function; 20] = [
        Function::Price,
        Function::Evaluate,
        Function::Calculate,
        Function::Rates,
        Function::Assess,
        Function::GetCapabilities,
        Function::Prepare,
        Function::Authorize,
        Function::Proceed,
        Function::Capture,
        Function::Void,
        Function::Refund,
        Function::Find,
        Function::VerifyEvent,
        Function::Book,
        Function::Cancel,
        Function::FindBooking,
        Function::Track,
        Function::FetchLabel,
        Function::VerifyScan,
    ];

    /// Its name in `wit/`.
    pub fn as_str(self) -> &'static str {
        match self {
            Function::Price => "price",
            Function::Evaluate => "evaluate",
            Function::Calculate => "calculate",
            Function::Rates => "rates",
            Function::Assess => "assess",
            Function::GetCapabilities => "get-capabilities",
            Function::Prepare => "prepare",
            Function::Authorize => "authorize",
            Function::Proceed => "proceed",
            Function::Capture => "capture",
            Function::Void => "void",
            Function::Refund => "refund",
            Function::Find => "find",
            Function::VerifyEvent => "verify-event",
            Function::Book => "book",
            Function::Cancel => "cancel",
            Function::FindBooking => "find-booking",
            Function::Track => "track",
            Function::FetchLabel => "fetch-label",
            Function::VerifyScan => "verify-scan",
        }
    }

    /// The slot whose components have it.
    pub fn slot(self) -> Slot {
        match self {
            Function::Price => Slot::Pricing,
            Function::Evaluate => Slot::Promotion,
            Function::Calculate => Slot::Tax,
            Function::Rates => Slot::Shipping,
            Function::Assess => Slot::Risk,
            Function::Book
            | Function::Cancel
            | Function::FindBooking
            | Function::Track
            | Function::FetchLabel
            | Function::VerifyScan => Slot::Carrier,
            Function::GetCapabilities
            | Function::Prepare
            | Function::Authorize
            | Function::Proceed
            | Function::Capture
            | Function::Void
            | Function::Refund
            | Function::Find
            | Function::VerifyEvent => Slot::PaymentGateway,
        }
    }

    /// The one function of a slot. None: the slot has several.
    pub fn only_of(slot: Slot) -> Option<Function> {
        match slot {
            Slot::Pricing => Some(Function::Price),
            Slot::Promotion => Some(Function::Evaluate),
            Slot::Tax => Some(Function::Calculate),
            Slot::Shipping => Some(Function::Rates),
            Slot::Risk => Some(Function::Assess),
            Slot::PaymentGateway | Slot::Carrier => None,
        }
    }

    /// The functions of a slot.
    pub fn of(slot: Slot) -> impl Iterator<Item = Function> {
        Function::ALL.into_iter().filter(move |function| function.slot() == slot)
    }
}

impl fmt::Display for Function {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

fn told<T: Serialize>(answer: Answer<T>) -> Answer<Tree> {
    Answer { value: answer.value.map(|value| Tree::of(&value)), report: answer.report }
}

/// Calls a function with a request read from JSON. The outer error: the request cannot be read.
pub(crate) async fn call(
    sandbox: &Sandbox,
    function: Function,
    call: Call,
    request: Value,
    defaults: Defaults<'_>,
    script: Arc<dyn Script>,
) -> Result<Told, DecodeError> {
    let (gateway, parcels) = (sandbox.scripted(script.clone()), sandbox.scripted_carrier(script));
    /// Reads the request, calls, and writes the answer.
    macro_rules! ask {
        ($on:expr, $name:ident, $request:ty) => {{
            let request: $request = decode(request, defaults)?;
            $on.$name(call, request).await.map(told)
        }};
    }
    Ok(match function {
        Function::Price => ask!(sandbox, price, pricing::PriceRequest),
        Function::Evaluate => ask!(sandbox, promote, promotion::PromotionRequest),
        Function::Calculate => ask!(sandbox, tax, tax::TaxRequest),
        Function::Rates => ask!(sandbox, rates, shipping::RateRequest),
        Function::GetCapabilities => sandbox.capabilities(call).await.map(told),
        Function::Prepare => ask!(gateway, prepare, gateway::PaymentRequest),
        Function::Authorize => ask!(gateway, authorize, gateway::PaymentRequest),
        Function::Proceed => ask!(gateway, proceed, gateway::ProceedRequest),
        Function::Capture => ask!(gateway, capture, gateway::CaptureRequest),
        Function::Void => ask!(gateway, void, gateway::VoidRequest),
        Function::Refund => ask!(gateway, refund, gateway::RefundRequest),
        Function::Find => ask!(gateway, find, gateway::FindRequest),
        Function::VerifyEvent => ask!(sandbox, verify_event, gateway::WebhookRequest),
        Function::Assess => ask!(sandbox, assess, risk::RiskRequest),
        Function::Book => ask!(parcels, book, carrier::Consignment),
        Function::Cancel => ask!(parcels, cancel_booking, carrier::Consignment),
        Function::FindBooking => ask!(parcels, find_booking, carrier::Consignment),
        Function::Track => ask!(parcels, track, carrier::Consignment),
        Function::FetchLabel => ask!(parcels, fetch_label, carrier::Consignment),
        Function::VerifyScan => ask!(sandbox, verify_scan, carrier::WebhookRequest),
    })
}

/// An expected answer in the form in which answers are told.
pub(crate) fn answer(function: Function, written: Value) -> Result<Tree, DecodeError> {
    fn read<T: Serialize + serde::de::DeserializeOwned>(written: Value) -> Result<Tree, DecodeError> {
        decode::<T>(written, &nothing).map(|record| Tree::of(&record))
    }
    match function {
        Function::Price => read::<pricing::PriceResult>(written),
        Function::Evaluate => read::<promotion::PromotionResult>(written),
        Function::Calculate => read::<tax::TaxResult>(written),
        Function::Rates => read::<shipping::RateResult>(written),
        Function::GetCapabilities => read::<gateway::Capabilities>(written),
        Function::Prepare => read::<gateway::PrepareResult>(written),
        Function::Authorize | Function::Proceed | Function::Capture | Function::Void | Function::Refund => {
            read::<gateway::PaymentResult>(written)
        }
        Function::Find => read::<gateway::FindResult>(written),
        Function::VerifyEvent => read::<gateway::WebhookResult>(written),
        Function::Assess => read::<risk::RiskResult>(written),
        Function::Book => read::<carrier::BookResult>(written),
        Function::Cancel => read::<carrier::CancelResult>(written),
        Function::FindBooking => read::<carrier::FindResult>(written),
        Function::Track => read::<carrier::TrackResult>(written),
        Function::FetchLabel => read::<carrier::Label>(written),
        Function::VerifyScan => read::<carrier::WebhookResult>(written),
    }
}

/// An expected error in the form in which errors are told.
pub(crate) fn error(written: Value) -> Result<Tree, DecodeError> {
    decode::<ComponentError>(written, &nothing).map(|error| Tree::of(&error))
}
