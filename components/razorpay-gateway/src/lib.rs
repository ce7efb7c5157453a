//! Payments through Razorpay: an order there, a payment that the shopper makes with it, and a capture by us.
//!
//! Owns: the provider's requests and what its answers mean. Must not know: retries, holds, orders of the shop. It never
//! guesses: what is not a complete, readable, definite answer is `unknown`.
//!
//! Orders are made to be captured by hand. So nothing is taken before we ask for it: what a shopper pays too late, or
//! twice, is authorized, never captured, and goes back by itself.

pub mod api;
pub mod config;
pub mod event;
#[path = "../../sim-gateway/src/exchange.rs"]
pub mod exchange;
pub mod find;
pub mod gateway;
#[cfg(target_family = "wasm")]
mod guest;
#[cfg(target_family = "wasm")]
#[path = "../../sim-gateway/src/http.rs"]
mod http;
pub mod proceed;
#[cfg(test)]
mod tests;

/// The contract.
#[expect(missing_docs, reason = "generated from wit/")]
#[cfg_attr(target_family = "wasm", expect(unsafe_code, reason = "generated from wit/"))]
pub mod bindings {
    wit_bindgen::generate!({ path: "../../wit", world: "payment-gateway" });
    #[cfg(target_family = "wasm")]
    use crate::guest::RazorpayGateway;
    #[cfg(target_family = "wasm")]
    export!(RazorpayGateway with_types_in self);
}
