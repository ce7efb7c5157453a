//! Parcels through a carrier: the carrier's requests, and what its answers mean.
//!
//! `carrier.rs` is where to begin: plain functions over records, with tests (`cargo test`). `api.rs` is the carrier's
//! API, `scan.rs` its webhooks, `exchange.rs` and `http.rs` send one request through the host. Make them those of your
//! carrier. The one rule: what is not a complete, readable, definite answer is `unknown`.

pub mod api;
pub mod carrier;
pub mod config;
pub mod exchange;
#[cfg(target_family = "wasm")]
mod guest;
#[cfg(target_family = "wasm")]
mod http;
pub mod scan;

/// The contract.
#[allow(unsafe_code, missing_docs, reason = "generated from wit/")]
pub mod bindings {
    wit_bindgen::generate!({ path: "wit", world: "carrier" });
    #[cfg(target_family = "wasm")]
    use crate::guest::SimCarrier;
    #[cfg(target_family = "wasm")]
    export!(SimCarrier with_types_in self);
}
