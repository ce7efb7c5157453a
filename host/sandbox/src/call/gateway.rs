//! Typed calls of the gateway world.

use super::{Answer, Call, check_slot};
use crate::component::Exports;
use crate::engine::Way;
use crate::wit::gateway::{
    Capabilities, CaptureRequest, FindRequest, FindResult, PaymentRequest, PaymentResult, PrepareResult,
    ProceedRequest, RefundRequest, VoidRequest, WebhookRequest, WebhookResult,
};
use crate::{Failure, Sandbox, Slot};

/// A call of one function of a world with the network, its requests sent this way.
macro_rules! network_call {
    ($sandbox:ident, $call:ident, $request:ident, $slot:ident $exports:ident $function:ident, $way:expr) => {{
        check_slot(&$call, Slot::$slot)?;
        $sandbox
            .on_runtime($call, $request, $way, |store, guest, ctx, request| {
                Box::pin(async move {
                    let Exports::$exports(indices) = &guest.exports else {
                        unreachable!("the exports are those of the slot, which was checked");
                    };
                    let instance = guest.pre.instantiate_async(&mut *store).await?;
                    indices.load(&mut *store, &instance)?.$function(store, ctx, request).await
                })
            })
            .await
    }};
}
pub(super) use network_call;

impl Sandbox {
    /// What the gateway can do with this configuration. No network.
    pub async fn capabilities(&self, call: Call) -> Result<Answer<Capabilities>, Failure> {
        check_slot(&call, Slot::PaymentGateway)?;
        self.on_runtime(call, (), Way::None, |store, guest, ctx, _request| {
            Box::pin(async move {
                let Exports::Gateway(indices) = &guest.exports else {
                    unreachable!("the exports are those of the slot, which was checked");
                };
                let instance = guest.pre.instantiate_async(&mut *store).await?;
                indices.load(&mut *store, &instance)?.call_get_capabilities(store, ctx).await
            })
        })
        .await
    }

    /// Creates the provider's object before money moves.
    pub async fn prepare(
        &self,
        call: Call,
        request: PaymentRequest,
    ) -> Result<Answer<PrepareResult>, Failure> {
        network_call!(self, call, request, PaymentGateway Gateway call_prepare, Way::Wire)
    }

    /// Reserves the money, or takes it.
    pub async fn authorize(
        &self,
        call: Call,
        request: PaymentRequest,
    ) -> Result<Answer<PaymentResult>, Failure> {
        network_call!(self, call, request, PaymentGateway Gateway call_authorize, Way::Wire)
    }

    /// Goes on after the shopper came back.
    pub async fn proceed(
        &self,
        call: Call,
        request: ProceedRequest,
    ) -> Result<Answer<PaymentResult>, Failure> {
        network_call!(self, call, request, PaymentGateway Gateway call_proceed, Way::Wire)
    }

    /// Takes reserved money.
    pub async fn capture(
        &self,
        call: Call,
        request: CaptureRequest,
    ) -> Result<Answer<PaymentResult>, Failure> {
        network_call!(self, call, request, PaymentGateway Gateway call_capture, Way::Wire)
    }

    /// Drops a reservation.
    pub async fn void(&self, call: Call, request: VoidRequest) -> Result<Answer<PaymentResult>, Failure> {
        network_call!(self, call, request, PaymentGateway Gateway call_void, Way::Wire)
    }

    /// Gives money back.
    pub async fn refund(&self, call: Call, request: RefundRequest) -> Result<Answer<PaymentResult>, Failure> {
        network_call!(self, call, request, PaymentGateway Gateway call_refund, Way::Wire)
    }

    /// Asks what became of an attempt.
    pub async fn find(&self, call: Call, request: FindRequest) -> Result<Answer<FindResult>, Failure> {
        network_call!(self, call, request, PaymentGateway Gateway call_find, Way::Ask)
    }

    /// Checks and reads a webhook. No network.
    pub async fn verify_event(
        &self,
        call: Call,
        request: WebhookRequest,
    ) -> Result<Answer<WebhookResult>, Failure> {
        network_call!(self, call, request, PaymentGateway Gateway call_verify_event, Way::None)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Compiles only while a gateway call can be spawned on a runtime with many threads.
    #[test]
    fn a_call_can_move_between_threads() {
        fn sendable<T: Send>(_: impl FnOnce(&'static Sandbox, Call, PaymentRequest) -> T) {}
        sendable(|sandbox, call, request| sandbox.authorize(call, request));
    }
}
