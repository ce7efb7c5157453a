//! The places of a checkout that a component can fill.

use serde::{Deserialize, Serialize};
use std::fmt;
use std::str::FromStr;

/// A place of the checkout. Each has one world of the contract.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Slot {
    /// What each line costs.
    Pricing,
    /// What is taken off.
    Promotion,
    /// Which taxes apply.
    Tax,
    /// How the goods get to the shopper.
    Shipping,
    /// Moves money.
    PaymentGateway,
}

/// The text names no slot.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("there is no slot `{0}`: use pricing, promotion, tax, shipping or payment-gateway")]
pub struct UnknownSlot(pub String);

impl Slot {
    /// All slots, in the order in which a checkout asks them.
    pub const ALL: [Slot; 5] =
        [Slot::Pricing, Slot::Promotion, Slot::Tax, Slot::Shipping, Slot::PaymentGateway];

    /// Its name, which is the name of its world in the contract.
    pub fn as_str(self) -> &'static str {
        match self {
            Slot::Pricing => "pricing",
            Slot::Promotion => "promotion",
            Slot::Tax => "tax",
            Slot::Shipping => "shipping",
            Slot::PaymentGateway => "payment-gateway",
        }
    }

    /// The interface a component must export to fill it, without a version.
    pub fn interface(self) -> &'static str {
        match self {
            Slot::Pricing => "till:checkout/pricing-rules",
            Slot::Promotion => "till:checkout/promotion-rules",
            Slot::Tax => "till:checkout/tax-rules",
            Slot::Shipping => "till:checkout/shipping-rates",
            Slot::PaymentGateway => "till:checkout/payment-gateway-api",
        }
    }

    /// True where the world has no network, so that the same input gives the same bytes.
    pub fn is_pure(self) -> bool {
        self != Slot::PaymentGateway
    }
}

impl fmt::Display for Slot {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

impl FromStr for Slot {
    type Err = UnknownSlot;

    fn from_str(text: &str) -> Result<Self, UnknownSlot> {
        Slot::ALL.into_iter().find(|slot| slot.as_str() == text).ok_or_else(|| UnknownSlot(text.to_owned()))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_slot_reads_back_from_its_name() {
        for slot in Slot::ALL {
            assert_eq!(slot.to_string().parse(), Ok(slot));
            assert_eq!(serde_json::to_string(&slot).unwrap(), format!("\"{slot}\""));
        }
        assert_eq!("risk".parse::<Slot>(), Err(UnknownSlot("risk".into())));
    }
}
