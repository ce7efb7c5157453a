//! Shipping rates from zones, methods, and bands of weight and value.
//!
//! Owns: which methods reach a destination and what they cost. Must not know: how goods are split into
//! groups, and discounts on shipping.

#[expect(unsafe_code, reason = "generated from wit/")]
mod bindings {
    wit_bindgen::generate!({ path: "../../wit", world: "shipping" });
    export!(ZoneShipping with_types_in self);
    use super::ZoneShipping;
}
mod config;
mod rates;

use bindings::exports::till::checkout::shipping_rates::{Guest, RateRequest, RateResult};
use bindings::till::checkout::types::{CallContext, ComponentError, ComponentInfo, ErrorDetail};
use config::Config;

struct ZoneShipping;

impl Guest for ZoneShipping {
    fn describe() -> ComponentInfo {
        ComponentInfo {
            name: "Zone shipping".to_owned(),
            version: env!("CARGO_PKG_VERSION").to_owned(),
            config_schema: include_str!("../config.schema.json").to_owned(),
            capabilities: ["weight-bands", "value-bands", "free-above"].map(str::to_owned).into(),
            attributes: Vec::new(),
        }
    }

    fn rates(ctx: CallContext, request: RateRequest) -> Result<RateResult, ComponentError> {
        let config: Config = serde_json::from_str(&ctx.config).map_err(|error| {
            ComponentError::InvalidConfig(ErrorDetail {
                code: "config-unreadable".to_owned(),
                path: None,
                text: error.to_string(),
                retry_after_ms: None,
                attributes: Vec::new(),
            })
        })?;
        Ok(rates::rates(&config, &request, &ctx.currency, ctx.now_ms))
    }
}
