//! Parcels through the carrier simulator: the smallest complete carrier, and a pattern for real ones.
//!
//! Owns: the carrier's requests and what its answers mean. Must not know: retries, orders, what a status leads to. It
//! never guesses: what is not a complete, readable, definite answer is `unknown`.

pub mod api;
pub mod carrier;
#[path = "../../sim-gateway/src/config.rs"]
pub mod config;
#[path = "../../sim-gateway/src/exchange.rs"]
pub mod exchange;
#[cfg(target_family = "wasm")]
mod guest;
#[cfg(target_family = "wasm")]
#[path = "../../sim-gateway/src/http.rs"]
mod http;
pub mod scan;

/// The contract.
#[expect(missing_docs, reason = "generated from wit/")]
#[cfg_attr(target_family = "wasm", expect(unsafe_code, reason = "generated from wit/"))]
pub mod bindings {
    wit_bindgen::generate!({ path: "../../wit", world: "carrier" });
    #[cfg(target_family = "wasm")]
    use crate::guest::SimCarrier;
    #[cfg(target_family = "wasm")]
    export!(SimCarrier with_types_in self);
}
