//! The configuration, as the merchant writes it. `config.schema.json` says the same in JSON Schema.

use serde::Deserialize;

/// A list of rows and what to do without one.
#[derive(Debug, Default, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Config {
    /// Name shown with each price.
    pub price_list: Option<String>,
    /// Prices of rows include tax.
    pub includes_tax: bool,
    /// Rows kept in the configuration itself.
    pub prices: Vec<Row>,
    /// Table with more rows.
    #[serde(default = "default_table")]
    pub table: String,
    /// What a line without a row costs.
    pub without_price: WithoutPrice,
}

fn default_table() -> String {
    "prices".to_owned()
}

/// What a line without a row costs.
#[derive(Debug, Default, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum WithoutPrice {
    /// Its catalog price.
    #[default]
    Catalog,
    /// It cannot be sold.
    Unavailable,
}

/// The price of a variant or a product, for everybody or for some.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Row {
    /// A variant.
    #[serde(default)]
    pub sku: Option<String>,
    /// Or all variants of a product.
    #[serde(default)]
    pub product: Option<String>,
    /// Only in this currency.
    #[serde(default)]
    pub currency: Option<String>,
    /// Only for customers of one of these groups.
    #[serde(default)]
    pub groups: Vec<String>,
    /// Only for customers of this loyalty tier.
    #[serde(default)]
    pub tier: Option<String>,
    /// Price list shown instead of the common one.
    #[serde(default)]
    pub price_list: Option<String>,
    /// Minor units for one.
    pub unit_price: i64,
    /// What one is said to have cost before.
    #[serde(default)]
    pub compare_at: Option<i64>,
    /// Lower prices for more, by the quantity of the line.
    #[serde(default)]
    pub quantity_tiers: Vec<QuantityTier>,
}

impl Row {
    /// Its amounts.
    pub fn price(&self) -> RowPrice {
        RowPrice {
            unit_price: self.unit_price,
            compare_at: self.compare_at,
            quantity_tiers: self.quantity_tiers.clone(),
        }
    }
}

/// The amounts of a row; also the form of a value in the table.
#[derive(Debug, Default, Clone, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct RowPrice {
    /// Minor units for one.
    pub unit_price: i64,
    /// What one is said to have cost before.
    #[serde(default)]
    pub compare_at: Option<i64>,
    /// Lower prices for more, by the quantity of the line.
    #[serde(default)]
    pub quantity_tiers: Vec<QuantityTier>,
}

/// From this quantity on, one costs this.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct QuantityTier {
    pub from: u32,
    pub unit_price: i64,
}
