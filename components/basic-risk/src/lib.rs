//! Fraud checks from a few rules and a table of mail domains.
//!
//! Each rule is looked at alone; the gravest decision counts, and every reason is told to the merchant.

#[expect(unsafe_code, reason = "generated from wit/")]
mod bindings {
    wit_bindgen::generate!({ path: "../../wit", world: "risk" });
    export!(BasicRisk with_types_in self);
    use super::BasicRisk;
}
mod config;
mod rules;

use bindings::exports::till::checkout::risk_rules::{Guest, RiskRequest, RiskResult};
use bindings::till::checkout::tables;
use bindings::till::checkout::types::{CallContext, ComponentError, ComponentInfo, ErrorDetail};
use config::Config;

struct BasicRisk;

impl Guest for BasicRisk {
    fn describe() -> ComponentInfo {
        ComponentInfo {
            name: "Basic risk".to_owned(),
            version: env!("CARGO_PKG_VERSION").to_owned(),
            config_schema: include_str!("../config.schema.json").to_owned(),
            capabilities: Vec::new(),
            attributes: Vec::new(),
        }
    }

    fn assess(ctx: CallContext, request: RiskRequest) -> Result<RiskResult, ComponentError> {
        let config: Config = serde_json::from_str(&ctx.config).map_err(|error| {
            ComponentError::InvalidConfig(ErrorDetail {
                code: "config-unreadable".to_owned(),
                path: None,
                text: error.to_string(),
                retry_after_ms: None,
                attributes: Vec::new(),
            })
        })?;
        Ok(rules::judge(&config, &ctx.currency, &request, |table, key| tables::lookup(table, key).is_some()))
    }
}
