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
    /// Whether a payment looks like fraud.
    Risk,
    /// Brings parcels.
    Carrier,
}

/// The text names no slot.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("there is no slot `{0}`: use pricing, promotion, tax, shipping, payment-gateway, risk or carrier")]
pub struct UnknownSlot(pub String);

impl Slot {
    /// All slots, in the order in which a checkout asks them.
    pub const ALL: [Slot; 7] = [
        Slot::Pricing,
        Slot::Promotion,
        Slot::Tax,
        Slot::Shipping,
        Slot::PaymentGateway,
        Slot::Risk,
        Slot::Carrier,
    ];

    /// Its name, which is the name of its world in the contract.
    pub fn as_str(self) -> &'static str {
        match self {
            Slot::Pricing => "pricing",
            Slot::Promotion => "promotion",
            Slot::Tax => "tax",
            Slot::Shipping => "shipping",
            Slot::PaymentGateway => "payment-gateway",
            Slot::Risk => "risk",
            Slot::Carrier => "carrier",
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
            Slot::Risk => "till:checkout/risk-rules",
            Slot::Carrier => "till:checkout/carrier-api",
        }
    }

    /// True where its answers make up the quote that a shopper sees.
    pub fn is_of_quote(self) -> bool {
        matches!(self, Slot::Pricing | Slot::Promotion | Slot::Tax | Slot::Shipping)
    }

    /// True where the world has no network, so that the same input gives the same bytes.
    pub fn is_pure(self) -> bool {
        !matches!(self, Slot::PaymentGateway | Slot::Carrier)
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
        assert_eq!("fraud".parse::<Slot>(), Err(UnknownSlot("fraud".into())));
    }
}
