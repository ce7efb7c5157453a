//! What a checkout's context holds, and who writes it.
//!
//! | field | written by | holds |
//! |---|---|---|
//! | `inputs` | start, `edit`, `submit` | what the client wants: [`ClientInputs`] |
//! | `shop` | start | cart and customer of the session |
//! | `settings` | start | the merchant's settings, as they were |
//! | `snapshot` | `cart.snapshot` | what the quote is computed from |
//! | `quote` | the pricing steps | the priced cart |
//! | `shown` | `quote.check` | total and components of the quote the shopper saw last |
//! | `submit` | `submit` | expected total and quote of the submit under way |
//! | `watched` | `quote.check` | true: a component judges payments |
//! | `risk` | `risk.history` | what the shopper did lately, for that component |
//! | `verdict` | `approve`, `deny` | what a person decided, who and why |
//! | `order` | `order.place` | id and number |
//! | `payment` | the payment steps | attempts by key |
//! | `brought` | `brought` | what the buyer brought back from the provider, until it was handed on |
//! | `problem` | whoever says no | why the session is editable again |

use std::collections::BTreeMap;

use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};
use serde_json::Value;
use till_engine::step::{StepCall, StepFault};

use crate::gift_card::Given;
use crate::quote::Address;

/// Everything a client may set. Replaced as a whole, field by field; the rest is computed from it.
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct ClientInputs {
    /// Where the goods go. None: the customer's default address.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub shipping_address: Option<Address>,
    /// Where the bill goes. None: as shipping.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub billing_address: Option<Address>,
    /// Id of the shipping option: `standard`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub shipping_method: Option<String>,
    /// Codes as typed.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub codes: Vec<String>,
    /// Points to use.
    #[serde(skip_serializing_if = "is_zero")]
    pub points: u64,
    /// Gift cards that pay, by the hashes of their codes.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub gift_cards: Vec<Given>,
    /// Id in the customer's wallet. None: the default one.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub payment_method: Option<String>,
    /// For the merchant.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub notes: String,
}

#[expect(clippy::trivially_copy_pass_by_ref, reason = "the signature serde asks for")]
fn is_zero(n: &u64) -> bool {
    *n == 0
}

/// Names of the client inputs, as `workflows/checkout.yaml` lists them.
pub const INPUTS: &[&str] = &[
    "shipping_address",
    "billing_address",
    "shipping_method",
    "codes",
    "points",
    "gift_cards",
    "payment_method",
    "notes",
];

/// Cart and customer of a session.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Session {
    /// Cart it was started from.
    pub cart: String,
    /// Buyer.
    pub customer: String,
}

/// What a submit expects.
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize)]
#[serde(default)]
pub struct Submit {
    /// Hash of the request.
    pub hash: String,
    /// The total the shopper saw, minor units.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub expected_total: Option<i64>,
    /// The quote the shopper saw.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub quote: Option<String>,
}

/// The quote that the shopper was shown last.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Shown {
    /// What was left for the gateway, minor units, and the gift cards that had been given.
    #[serde(default)]
    pub due: Option<(i64, Vec<String>)>,
    /// Minor units.
    pub total: i64,
    /// Hash of the digests of the bindings that priced it.
    pub by: String,
}

/// All payment attempts of a checkout.
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize)]
#[serde(default)]
pub struct Payment {
    /// By idempotency key.
    pub attempts: BTreeMap<String, AttemptRecord>,
    /// Key of the authorization that the workflow goes on with. Another one may still stand in the list, where a person
    /// skipped its undo.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub in_force: Option<String>,
    /// What the buyer has to do now.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub action: Option<Value>,
    /// Why what the buyer brought back last was not taken.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub refused: Option<Value>,
}

impl Payment {
    /// The authorization that is to be captured.
    pub fn authorized(&self) -> Option<&AttemptRecord> {
        let stands =
            |record: &&AttemptRecord| record.operation == "authorize" && record.state == "authorized";
        match &self.in_force {
            Some(key) => self.attempts.get(key).filter(stands),
            None => self.attempts.values().find(stands),
        }
    }
}

/// What is known of one attempt.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct AttemptRecord {
    /// `authorize` or `capture`.
    pub operation: String,
    /// `authorized`, `captured`, `declined`, `open`, `unknown`, `voided`, `refunded`.
    pub state: String,
    /// Minor units.
    pub amount: i64,
    /// ISO 4217.
    pub currency: String,
    /// The money is to be taken at once.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub at_once: bool,
    /// Ids the gateway gave.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub references: Vec<(String, String)>,
    /// Opaque state of the component.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub gateway_state: Option<String>,
    /// Digest of the binding that was asked. Empty: the one that is pinned.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub binding: String,
    /// For showing.
    #[serde(default)]
    pub method: String,
    /// For showing.
    #[serde(default)]
    pub last4: String,
}

/// Reads a part of the context.
pub(crate) fn part<T: DeserializeOwned>(call: &StepCall, name: &str) -> Result<T, StepFault> {
    let value = call.context.get(name).unwrap_or(&Value::Null);
    T::deserialize(value).map_err(|e| StepFault::new("context", format!("context.{name}: {e}")))
}

/// Reads a part of the context that may be absent.
pub(crate) fn maybe<T: DeserializeOwned>(call: &StepCall, name: &str) -> Result<Option<T>, StepFault> {
    match call.context.get(name) {
        None | Some(Value::Null) => Ok(None),
        Some(_) => part(call, name).map(Some),
    }
}

/// A value as JSON.
pub(crate) fn json(value: &impl Serialize) -> Result<Value, StepFault> {
    serde_json::to_value(value).map_err(|e| StepFault::new("context", e.to_string()))
}
