//! Guests at run time: the only room that knows wasmtime.

mod bindings;

/// The records of the contract, as plain data for the rest of the house.
pub mod wit {
    pub use crate::bindings::{gateway, pricing, promotion, shipping, tax, types};
}
