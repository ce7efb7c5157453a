//! Typed calls of the pure worlds, on the sandbox's own threads.

use super::{Answer, Call, check_slot};
use crate::component::Exports;
use crate::wit::{pricing, promotion, risk, shipping, tax};
use crate::{Failure, Sandbox, Slot};

/// A call of one function of one world.
macro_rules! pure_call {
    ($sandbox:ident, $call:ident, $request:ident, $slot:ident, $function:ident) => {{
        check_slot(&$call, Slot::$slot)?;
        $sandbox
            .on_pool($call, $request, |store, guest, ctx, request| {
                let Exports::$slot(indices) = &guest.exports else {
                    unreachable!("the exports are those of the slot, which was checked");
                };
                let instance = guest.pre.instantiate(&mut *store)?;
                indices.load(&mut *store, &instance)?.$function(store, ctx, request)
            })
            .await
    }};
}

impl Sandbox {
    /// Prices all lines of a cart.
    pub async fn price(
        &self,
        call: Call,
        request: pricing::PriceRequest,
    ) -> Result<Answer<pricing::PriceResult>, Failure> {
        pure_call!(self, call, request, Pricing, call_price)
    }

    /// Asks for discounts.
    pub async fn promote(
        &self,
        call: Call,
        request: promotion::PromotionRequest,
    ) -> Result<Answer<promotion::PromotionResult>, Failure> {
        pure_call!(self, call, request, Promotion, call_evaluate)
    }

    /// Asks for taxes.
    pub async fn tax(&self, call: Call, request: tax::TaxRequest) -> Result<Answer<tax::TaxResult>, Failure> {
        pure_call!(self, call, request, Tax, call_calculate)
    }

    /// Asks for ways to ship.
    pub async fn rates(
        &self,
        call: Call,
        request: shipping::RateRequest,
    ) -> Result<Answer<shipping::RateResult>, Failure> {
        pure_call!(self, call, request, Shipping, call_rates)
    }

    /// Asks whether a payment looks like fraud.
    pub async fn assess(
        &self,
        call: Call,
        request: risk::RiskRequest,
    ) -> Result<Answer<risk::RiskResult>, Failure> {
        pure_call!(self, call, request, Risk, call_assess)
    }
}
