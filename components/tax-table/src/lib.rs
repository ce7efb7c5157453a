//! Taxes from a table of places and rates.
//!
//! Owns: which rows of the table hold for a destination. Must not know: rounding; it answers with rates
//! and the host rounds by the merchant's policy.

#[expect(unsafe_code, reason = "generated from wit/")]
mod bindings {
    wit_bindgen::generate!({ path: "../../wit", world: "tax" });
    export!(TaxTable with_types_in self);
    use super::TaxTable;
}
mod calculate;
mod config;

use bindings::exports::till::checkout::tax_rules::{Guest, TaxRequest, TaxResult};
use bindings::till::checkout::tables;
use bindings::till::checkout::types::{CallContext, ComponentError, ComponentInfo, ErrorDetail};
use config::Config;

struct TaxTable;

impl Guest for TaxTable {
    fn describe() -> ComponentInfo {
        ComponentInfo {
            name: "Tax table".to_owned(),
            version: env!("CARGO_PKG_VERSION").to_owned(),
            config_schema: include_str!("../config.schema.json").to_owned(),
            capabilities: ["included-tax", "exemptions", "stacked-taxes"].map(str::to_owned).into(),
            attributes: Vec::new(),
        }
    }

    fn calculate(ctx: CallContext, request: TaxRequest) -> Result<TaxResult, ComponentError> {
        let config: Config = serde_json::from_str(&ctx.config)
            .map_err(|error| invalid_config("config-unreadable", error.to_string()))?;
        let lookup = |key: &str| tables::lookup(&config.table, key);
        calculate::calculate(&config, &request, lookup)
            .map_err(|error| invalid_config("table-row-unreadable", error.to_string()))
    }
}

fn invalid_config(code: &str, text: String) -> ComponentError {
    ComponentError::InvalidConfig(ErrorDetail {
        code: code.to_owned(),
        path: None,
        text,
        retry_after_ms: None,
        attributes: Vec::new(),
    })
}
