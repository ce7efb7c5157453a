//! Inventory: warehouses, which of them a cart is taken from, and what is told when stock runs low.
//!
//! The rules are plain functions: [`choose`] says where lines come from, [`crossed`] what a change of stock is worth
//! telling. Read first: [`Warehouse`], [`choose::choose`].

pub mod choose;
pub mod near;
pub mod place;

use serde::{Deserialize, Serialize};
use serde_json::{Value, json};
use till_store::tables::inventory::Movement;
use till_store::{Error as StoreError, Tx};

use crate::catalog::parse;
use crate::quote::Address;

pub use choose::{Part, Policy};
pub use place::place;

/// Stock of a SKU in a warehouse went down to its threshold.
pub const INVENTORY_LOW: &str = "inventory.low";
/// The last unit of a SKU in a warehouse is gone.
pub const INVENTORY_OUT: &str = "inventory.out";
/// Why stock that a hold had promised is gone: it was sold.
pub const SALE: &str = "sale";
/// Warehouses that a merchant may describe: more than any shop has, and few enough to look at all of them for a cart.
pub const WAREHOUSES_MAX: i64 = 500;
/// Priority of a warehouse that says none. Those with lower numbers go first.
pub const PRIORITY: u32 = 100;

/// A warehouse as its merchant describes it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Warehouse {
    /// Id, for example `US-WEST-01`.
    pub id: String,
    /// For people.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub name: String,
    /// Where goods leave.
    #[serde(default)]
    pub address: Address,
    /// Where it is on the globe.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub at: Option<near::Point>,
    /// Lower numbers go first where nothing else decides.
    #[serde(default = "priority")]
    pub priority: u32,
    /// Goods are sold from it.
    #[serde(default = "yes")]
    pub active: bool,
}

fn priority() -> u32 {
    PRIORITY
}

fn yes() -> bool {
    true
}

impl Warehouse {
    /// One that is not described: it is last in line.
    #[must_use]
    pub fn unknown(id: &str) -> Warehouse {
        Warehouse {
            id: id.to_owned(),
            name: String::new(),
            address: Address::default(),
            at: None,
            priority: u32::MAX,
            active: true,
        }
    }
}

/// All warehouses that a merchant describes, in the order of ids.
pub(crate) async fn warehouses(tx: &mut Tx, merchant: &str) -> Result<Vec<Warehouse>, StoreError> {
    tx.warehouses(merchant, "", WAREHOUSES_MAX).await?.iter().map(|body| parse(body)).collect()
}

/// What a change of stock is worth telling, `(topic, body)`: that it went down to the threshold, and that the last unit is
/// gone. Told when it happens, not while it stays so. A threshold of 0 tells the last unit only.
#[must_use]
pub fn crossed(movement: &Movement, default_low_at: u32) -> Vec<(&'static str, Value)> {
    let low_at = movement.low_at.unwrap_or_else(|| i64::from(default_low_at));
    let (before, now) = (movement.on_hand.saturating_sub(movement.delta), movement.on_hand);
    [(INVENTORY_LOW, low_at, low_at > 0), (INVENTORY_OUT, 0, true)]
        .into_iter()
        .filter(|(_, at, told)| *told && before > *at && now <= *at)
        .map(|(topic, ..)| {
            let body = json!({
                "sku": movement.sku, "warehouseId": movement.warehouse, "onHand": now, "threshold": low_at,
                "movementId": movement.id, "reason": movement.reason, "reference": movement.reference,
            });
            (topic, body)
        })
        .collect()
}

/// What an event of the outbox is about, where it is stock: its SKU.
pub(crate) fn subject(topic: &str, body: &str) -> Option<String> {
    let body: Value = topic.starts_with("inventory.").then(|| serde_json::from_str(body).ok())??;
    body.get("sku").and_then(Value::as_str).map(str::to_owned)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn told(before: i64, now: i64, own: Option<i64>) -> Vec<&'static str> {
        let movement = Movement {
            id: "m".to_owned(),
            sku: "S".to_owned(),
            warehouse: "W".to_owned(),
            delta: now - before,
            on_hand: now,
            low_at: own,
            reason: "sale".to_owned(),
            reference: String::new(),
            note: String::new(),
            who: String::new(),
            at_us: 0,
        };
        crossed(&movement, 5).into_iter().map(|(topic, _)| topic).collect()
    }

    #[test]
    fn crossing_a_threshold_is_told_once_and_being_below_it_never() {
        assert_eq!(told(6, 5, None), [INVENTORY_LOW]);
        assert_eq!(told(5, 4, None), [""; 0]);
        assert_eq!(told(4, 6, None), [""; 0]);
        assert_eq!(told(1, 0, None), [INVENTORY_OUT]);
        assert_eq!(told(9, 0, None), [INVENTORY_LOW, INVENTORY_OUT]);
        assert_eq!(told(9, 8, Some(8)), [INVENTORY_LOW]);
        assert_eq!(told(6, 5, Some(0)), [""; 0], "no threshold");
        assert_eq!(told(1, 0, Some(0)), [INVENTORY_OUT]);
        assert_eq!(told(0, 0, None), [""; 0]);
    }

    #[test]
    fn only_events_of_stock_are_about_a_sku() {
        assert_eq!(subject(INVENTORY_LOW, r#"{"sku":"S"}"#).as_deref(), Some("S"));
        assert_eq!(subject("order.created", r#"{"sku":"S"}"#), None);
        assert_eq!(subject(INVENTORY_OUT, "no JSON"), None);
    }
}
