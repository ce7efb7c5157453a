//! Prices from the catalog, price lists, quantity tiers and customer groups.
//!
//! Owns: choosing a price for each line. Must not know: discounts (that is `promotions`) and tax.
//! Rows come from the configuration and, for large lists, from the table `prices`.

#[expect(unsafe_code, reason = "generated from wit/")]
mod bindings {
    wit_bindgen::generate!({ path: "../../wit", world: "pricing" });
    export!(PriceList with_types_in self);
    use super::PriceList;
}
mod config;
mod price;

use bindings::exports::till::checkout::pricing_rules::{Guest, PriceRequest, PriceResult};
use bindings::till::checkout::tables;
use bindings::till::checkout::types::{CallContext, ComponentError, ComponentInfo, ErrorDetail};
use config::Config;
use std::collections::HashMap;

/// Keys of one look-up: the contract allows 10,000.
const KEYS_AT_ONCE: usize = 1_000;

struct PriceList;

impl Guest for PriceList {
    fn describe() -> ComponentInfo {
        ComponentInfo {
            name: "Price list".to_owned(),
            version: env!("CARGO_PKG_VERSION").to_owned(),
            config_schema: include_str!("../config.schema.json").to_owned(),
            capabilities: ["quantity-tiers", "customer-groups", "table-prices"].map(str::to_owned).into(),
            attributes: Vec::new(),
        }
    }

    fn price(ctx: CallContext, request: PriceRequest) -> Result<PriceResult, ComponentError> {
        let config: Config = serde_json::from_str(&ctx.config).map_err(|error| invalid_config(&error))?;
        let rows = rows(&config.table, &price::table_keys(&ctx.currency, &request.cart))?;
        let lines = price::price_cart(&config, &ctx.currency, &request.cart, |key| rows.get(key).cloned())?;
        Ok(PriceResult { lines, messages: Vec::new(), attributes: Vec::new() })
    }
}

/// The table's rows under these keys, asked for all at once.
fn rows(table: &str, keys: &[String]) -> Result<HashMap<String, String>, ComponentError> {
    let mut rows = HashMap::new();
    for some in keys.chunks(KEYS_AT_ONCE) {
        let values = tables::lookup_many(table, some).map_err(|error| {
            ComponentError::Unavailable(ErrorDetail {
                code: "table-unreadable".to_owned(),
                path: None,
                text: format!("table `{table}`: {error:?}"),
                retry_after_ms: None,
                attributes: Vec::new(),
            })
        })?;
        rows.extend(some.iter().zip(values).filter_map(|(key, value)| Some((key.clone(), value?))));
    }
    Ok(rows)
}

fn invalid_config(error: &serde_json::Error) -> ComponentError {
    ComponentError::InvalidConfig(ErrorDetail {
        code: "config-unreadable".to_owned(),
        path: None,
        text: error.to_string(),
        retry_after_ms: None,
        attributes: Vec::new(),
    })
}
