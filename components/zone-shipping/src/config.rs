//! The configuration, as the merchant writes it. `config.schema.json` says the same in JSON Schema.

use serde::Deserialize;

/// Zones in the order in which they are tried: the first that holds a destination is its zone.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Config {
    #[serde(default)]
    pub zones: Vec<Zone>,
}

/// A set of places. Lists that are empty are not asked.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Zone {
    pub name: String,
    /// Only for carts in this currency, whose minor units all amounts here are. None: in a shop with one currency.
    #[serde(default)]
    pub currency: Option<String>,
    /// ISO 3166-1 alpha-2.
    #[serde(default)]
    pub countries: Vec<String>,
    #[serde(default)]
    pub regions: Vec<String>,
    #[serde(default)]
    pub postal_prefixes: Vec<String>,
    pub methods: Vec<Method>,
}

/// A way to ship.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Method {
    /// Stable: `standard`.
    pub id: String,
    pub carrier: String,
    pub service: String,
    /// For the shopper.
    pub title: String,
    #[serde(default = "standard")]
    pub tax_class: String,
    /// The first band that holds the group gives the price; a group above all bands cannot go this way.
    pub bands: Vec<Band>,
    /// Free from this value of all goods on, in minor units.
    #[serde(default)]
    pub free_above: Option<i64>,
    /// Days until arrival, earliest and latest.
    #[serde(default)]
    pub days: Option<[u16; 2]>,
    /// Lines with one of these tags cannot go this way.
    #[serde(default)]
    pub not_for_tags: Vec<String>,
    /// For example `signature`.
    #[serde(default)]
    pub constraints: Vec<String>,
}

fn standard() -> String {
    "standard".to_owned()
}

/// A price up to a weight and a value. What is absent is not asked.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Band {
    #[serde(default)]
    pub up_to_g: Option<u64>,
    /// Value of the group after discounts, in minor units.
    #[serde(default)]
    pub up_to_value: Option<i64>,
    /// Minor units.
    pub price: i64,
}
