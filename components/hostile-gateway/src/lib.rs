//! A gateway that does what a gateway must not, as its configuration says: `ATTACK ORIGIN`, and how much of it or where: `ATTACK ORIGIN N`, `ATTACK ORIGIN PATH`.
//!
//! The host must know from its own record whether a request left, whatever becomes of the guest.

#[cfg(target_family = "wasm")]
mod guest;

/// The contract.
#[expect(missing_docs, reason = "generated from wit/")]
#[cfg_attr(target_family = "wasm", expect(unsafe_code, reason = "generated from wit/"))]
pub mod bindings {
    wit_bindgen::generate!({ path: "../../wit", world: "payment-gateway" });
    #[cfg(target_family = "wasm")]
    use crate::guest::HostileGateway;
    #[cfg(target_family = "wasm")]
    export!(HostileGateway with_types_in self);
}
