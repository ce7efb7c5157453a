//! Payments through a provider: the provider's requests, and what its answers mean.
//!
//! `gateway.rs` is where to begin: plain functions over records, with tests (`cargo test`). `api.rs` is the
//! provider's API, `event.rs` its webhooks, `exchange.rs` and `http.rs` send one request through the host. Make them those of
//! your provider. The one rule: what is not a complete, readable, definite answer is `unknown`.

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
#[allow(unsafe_code, missing_docs, reason = "generated from wit/")]
pub mod bindings {
    wit_bindgen::generate!({ path: "wit", world: "payment-gateway" });
    #[cfg(target_family = "wasm")]
    use crate::guest::SimGateway;
    #[cfg(target_family = "wasm")]
    export!(SimGateway with_types_in self);
}
