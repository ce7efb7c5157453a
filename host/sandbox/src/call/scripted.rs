//! Gateway calls whose requests somebody in this process answers.

use super::gateway::network_call;
use super::{Answer, Call, check_slot};
use crate::component::Exports;
use crate::engine::Way;
use crate::host::script::Script;
use crate::wit::gateway::{
    CaptureRequest, FindRequest, FindResult, PaymentRequest, PaymentResult, PrepareResult, ProceedRequest,
    RefundRequest, VoidRequest,
};
use crate::{Failure, Sandbox, Slot};
use std::ops::Deref;
use std::sync::Arc;

/// A sandbox in which the requests of gateways reach a script and nothing else. For tests of components:
/// limits, allow-list, secrets and the record of each exchange are those of a host.
///
/// The functions without a network are those of [`Sandbox`].
pub struct ScriptedGateway<'a> {
    sandbox: &'a Sandbox,
    script: Arc<dyn Script>,
}

impl Sandbox {
    /// The functions of a gateway, with answers from a script.
    pub fn scripted(&self, script: Arc<dyn Script>) -> ScriptedGateway<'_> {
        ScriptedGateway { sandbox: self, script }
    }
}

impl Deref for ScriptedGateway<'_> {
    type Target = Sandbox;

    fn deref(&self) -> &Sandbox {
        self.sandbox
    }
}

impl ScriptedGateway<'_> {
    fn way(&self) -> Way {
        Way::Scripted(self.script.clone())
    }

    /// Creates the provider's object before money moves.
    pub async fn prepare(
        &self,
        call: Call,
        request: PaymentRequest,
    ) -> Result<Answer<PrepareResult>, Failure> {
        network_call!(self, call, request, PaymentGateway Gateway call_prepare, self.way())
    }

    /// Reserves the money, or takes it.
    pub async fn authorize(
        &self,
        call: Call,
        request: PaymentRequest,
    ) -> Result<Answer<PaymentResult>, Failure> {
        network_call!(self, call, request, PaymentGateway Gateway call_authorize, self.way())
    }

    /// Goes on after the shopper came back.
    pub async fn proceed(
        &self,
        call: Call,
        request: ProceedRequest,
    ) -> Result<Answer<PaymentResult>, Failure> {
        network_call!(self, call, request, PaymentGateway Gateway call_proceed, self.way())
    }

    /// Takes reserved money.
    pub async fn capture(
        &self,
        call: Call,
        request: CaptureRequest,
    ) -> Result<Answer<PaymentResult>, Failure> {
        network_call!(self, call, request, PaymentGateway Gateway call_capture, self.way())
    }

    /// Drops a reservation.
    pub async fn void(&self, call: Call, request: VoidRequest) -> Result<Answer<PaymentResult>, Failure> {
        network_call!(self, call, request, PaymentGateway Gateway call_void, self.way())
    }

    /// Gives money back.
    pub async fn refund(&self, call: Call, request: RefundRequest) -> Result<Answer<PaymentResult>, Failure> {
        network_call!(self, call, request, PaymentGateway Gateway call_refund, self.way())
    }

    /// Asks what became of an attempt.
    pub async fn find(&self, call: Call, request: FindRequest) -> Result<Answer<FindResult>, Failure> {
        network_call!(self, call, request, PaymentGateway Gateway call_find, self.way())
    }
}
