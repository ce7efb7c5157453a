//! Payments through the gateway simulator: the smallest complete gateway, and a pattern for real ones.
//!
//! Owns: the provider's requests and what its answers mean. Must not know: retries, holds, orders. It
//! never guesses: what is not a complete, readable, definite answer is `unknown`.

pub mod api;
pub mod config;
pub mod event;
pub mod exchange;
pub mod gateway;
#[cfg(target_family = "wasm")]
mod guest;
#[cfg(target_family = "wasm")]
mod http;

/// The contract.
#[expect(missing_docs, reason = "generated from wit/")]
#[cfg_attr(target_family = "wasm", expect(unsafe_code, reason = "generated from wit/"))]
pub mod bindings {
    wit_bindgen::generate!({ path: "../../wit", world: "payment-gateway" });
    #[cfg(target_family = "wasm")]
    use crate::guest::SimGateway;
    #[cfg(target_family = "wasm")]
    export!(SimGateway with_types_in self);
}
