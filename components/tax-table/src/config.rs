//! The configuration, as the merchant writes it. `config.schema.json` says the same in JSON Schema.

use serde::Deserialize;
use std::collections::BTreeMap;

/// Rows by destination.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Config {
    #[serde(default)]
    pub rows: Vec<Row>,
    /// Table with more rows, under the keys `US/CA/94105`, `US/CA/941`, `US/CA` and `US`.
    #[serde(default = "tax")]
    pub table: String,
    /// Where nothing matches: no tax and a message, if true an error of the checkout.
    #[serde(default)]
    pub refuse_unknown_places: bool,
}

fn tax() -> String {
    "tax".to_owned()
}

/// One tax in one place.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Row {
    /// ISO 3166-1 alpha-2. May be left out in the table, where the key says it.
    #[serde(default)]
    pub country: String,
    #[serde(default)]
    pub region: Option<String>,
    #[serde(default)]
    pub postal_prefix: Option<String>,
    /// For example `US-CA-SF`.
    pub jurisdiction: String,
    /// For people.
    pub name: String,
    /// `sales`, `vat`, `gst`.
    pub kind: String,
    /// Parts per million by tax class; `*` is any other class. A class without a rate is not taxed.
    pub rates: BTreeMap<String, u32>,
    #[serde(default)]
    pub shipping_taxable: bool,
    /// Prices of this place contain the tax, whatever the line says.
    #[serde(default)]
    pub included: bool,
    /// Added to the tax of the most particular row, not replaced by it (a city's beside a state's).
    #[serde(default)]
    pub stacked: bool,
}
