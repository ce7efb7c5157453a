//! The contract of `wit/` as Rust: everything here is generated from those files.
//!
//! Owns nothing else. One world that includes all worlds of the contract is generated, so that
//! they share one set of types: a [`types::Cart`] priced by one component is the same record that the
//! next one gets. The records also serialise, because the host records them in its journal.

#[expect(
    missing_docs,
    reason = "generated from wit/, which documents most fields; those without words are named well enough"
)]
mod generated {
    wasmtime::component::bindgen!({
        path: "../../wit",
        inline: "
            package till:host;
            world all-slots {
                include till:checkout/pricing@0.1.2;
                include till:checkout/promotion@0.1.2;
                include till:checkout/tax@0.1.2;
                include till:checkout/shipping@0.1.2;
                include till:checkout/payment-gateway@0.1.2;
                include till:checkout/risk@0.1.2;
                include till:checkout/carrier@0.1.2;
            }
        ",
        world: "till:host/all-slots",
        additional_derives: [PartialEq, serde::Serialize, serde::Deserialize],
        exports: { "till:checkout/payment-gateway-api": async, "till:checkout/carrier-api": async },
    });
}

/// What the guests may call: one module for each interface the host gives them.
pub(crate) mod imports {
    pub(crate) use super::generated::till::checkout::{log, signing, tables};
}

/// What the host calls: one module for each interface a guest gives it, with its typed functions.
pub(crate) mod exports {
    pub(crate) use super::generated::exports::till::checkout::{
        carrier_api, payment_gateway_api, pricing_rules, promotion_rules, risk_rules, shipping_rates,
        tax_rules,
    };
}

/// Words that all worlds share: cart, address, money, messages, errors.
pub mod types {
    pub use super::generated::till::checkout::types::{
        Address, Attributes, CallContext, Cart, Code, ComponentError, ComponentInfo, Customer, Dimensions,
        ErrorDetail, Line, LineKind, Message, MessageKind, Money, Reason, Severity, TaxExemption,
    };
}

/// Records of the world `pricing`.
pub mod pricing {
    pub use super::generated::exports::till::checkout::pricing_rules::{
        LinePrice, PriceRequest, PriceResult, PricedLine, UnavailableLine,
    };
}

/// Records of the world `promotion`.
pub mod promotion {
    pub use super::generated::exports::till::checkout::promotion_rules::{
        Base, Candidate, EarlierAdjustment, LineState, LineUnits, Missing, PromotionRequest, PromotionResult,
        Refusal, ShippingState, Target, Value,
    };
}

/// Records of the world `tax`.
pub mod tax {
    pub use super::generated::exports::till::checkout::tax_rules::{
        AppliesTo, TaxEntry, TaxRequest, TaxResult, TaxableLine, TaxableShipping,
    };
}

/// Records of the world `shipping`.
pub mod shipping {
    pub use super::generated::exports::till::checkout::shipping_rates::{
        Group, GroupLine, Parcel, PickupPoint, RateRequest, RateResult, ShippingOption,
    };
}

/// Records of the world `payment-gateway`.
pub mod gateway {
    pub use super::generated::exports::till::checkout::payment_gateway_api::{
        Absence, ActionKind, Attempt, Capabilities, CaptureRequest, Decline, DeclineClass, Event, EventKind,
        FindBy, FindOutcome, FindRequest, FindResult, Instrument, NextAction, Operation, PaymentLine,
        PaymentRequest, PaymentResult, PaymentState, PaymentStatus, PrepareResult, ProceedRequest, Reference,
        RefundRequest, Shopper, Snapshot, TookEffect, VoidRequest, WebhookRequest, WebhookResult,
    };
}

/// Records of the world `risk`.
pub mod risk {
    pub use super::generated::exports::till::checkout::risk_rules::{
        Decision, History, RiskRequest, RiskResult,
    };
}

/// Records of the world `carrier`.
pub mod carrier {
    pub use super::generated::exports::till::checkout::carrier_api::{
        Absence, BookResult, BookStatus, Booking, BookingState, CancelResult, CancelStatus, Consignment,
        FindResult, Label, ParcelLine, Partner, Position, Reference, Refusal, Scan, ScanKind, TrackResult,
        WebhookRequest, WebhookResult,
    };
}
