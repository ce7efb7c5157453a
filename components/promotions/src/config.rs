//! The configuration, as the merchant writes it. `config.schema.json` says the same in JSON Schema.

use crate::date::Moment;
use serde::Deserialize;

/// All rules of a merchant.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Config {
    #[serde(default)]
    pub promotions: Vec<Promotion>,
    /// Table of unique codes: the code in capitals, and the id of its promotion.
    #[serde(default = "codes")]
    pub codes_table: String,
}

fn codes() -> String {
    "codes".to_owned()
}

/// One rule.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Promotion {
    pub id: String,
    pub title: String,
    /// Codes that bring it; capitals do not matter. With none and without `unique_codes` it is automatic.
    #[serde(default)]
    pub codes: Vec<String>,
    /// Codes of the table bring it too.
    #[serde(default)]
    pub unique_codes: bool,
    pub discount: Discount,
    /// What the discount is taken from. Absent: all goods.
    #[serde(default)]
    pub items: Option<Items>,
    #[serde(default)]
    pub conditions: Conditions,
    /// Higher goes first.
    #[serde(default)]
    pub priority: i32,
    #[serde(default)]
    pub exclusive: bool,
    #[serde(default)]
    pub combines_with: Vec<String>,
    /// A rate is taken of what stronger discounts left, not of the original price.
    #[serde(default)]
    pub on_remaining: bool,
    /// Never more than this.
    #[serde(default)]
    pub cap: Option<i64>,
    /// No unit may cost less afterwards.
    #[serde(default)]
    pub floor_unit_price: Option<i64>,
    #[serde(default)]
    pub uses_limit: Option<u64>,
    #[serde(default)]
    pub customer_limit: Option<u64>,
}

/// What is taken off. Amounts are minor units, rates parts per million.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(tag = "kind", rename_all = "kebab-case", deny_unknown_fields)]
pub enum Discount {
    /// 150000 is 15 %.
    Rate {
        ppm: u32,
    },
    Amount {
        minor: i64,
    },
    /// Each unit costs this.
    UnitPrice {
        minor: i64,
    },
    /// Of each `buy + get` units the `get` cheapest cost less by the rate; all of it by default.
    BuyXGetY {
        buy: u32,
        get: u32,
        #[serde(default = "all_of_it")]
        ppm: u32,
    },
    FreeShipping,
}

fn all_of_it() -> u32 {
    1_000_000
}

/// A choice of lines. A line must match each kind of list that is not empty, by any of its entries.
#[derive(Debug, Default, Clone, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Items {
    pub products: Vec<String>,
    pub skus: Vec<String>,
    pub categories: Vec<String>,
    pub tags: Vec<String>,
}

/// All that must hold. What is absent is not asked.
#[derive(Debug, Default, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Conditions {
    /// The cart is in this currency. A promotion with amounts in a shop with several currencies needs it: minor units of
    /// one are not those of another.
    pub currency: Option<String>,
    /// Of all goods, before discounts.
    pub min_subtotal: Option<i64>,
    /// Units of the lines that `items` chooses, or of all.
    pub min_quantity: Option<u32>,
    /// The cart has a line of these.
    pub contains: Option<Items>,
    /// The customer is in one of these groups.
    pub groups: Vec<String>,
    /// The customer has one of these loyalty tiers.
    pub tiers: Vec<String>,
    /// The customer has no confirmed order yet.
    pub first_order: bool,
    /// From this moment on.
    pub from: Option<Moment>,
    /// Before this moment.
    pub until: Option<Moment>,
}
