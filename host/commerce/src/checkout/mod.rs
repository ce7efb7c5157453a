//! Checkout: the steps that `workflows/checkout.yaml` names, and what they keep in the context.
//!
//! Start reading at [`steps`] (the register: name, class, outcomes) and [`context`] (what is where).

pub mod bench;
pub mod context;
mod holds;
pub(crate) mod order;
mod payment;
pub(crate) mod pricing;
mod proceed;
mod risk;
pub mod steps;

pub use order::from_row as order_from_row;
pub use order::{
    CONFIRMED, ORDER_CREATED, ORDER_PROCESSING, ORDER_STATUS_UPDATED, Order, OrderItem, PAYMENT_COMPLETED,
    PAYMENT_FAILED, PAYMENT_FAILED_EVENT, PENDING_PAYMENT, PROCESSING, Receipt, TimelineEntry,
};
pub(crate) use payment::words;
pub(crate) use pricing::database;
pub use steps::CheckoutSteps;
