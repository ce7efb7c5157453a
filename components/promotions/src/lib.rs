//! Discounts from rules: by a code or automatic, on the order, on some lines, on shipping.
//!
//! Owns: which rules apply to a cart, and what is missing where one does not. Must not know: how
//! candidates of several components are weighed, split over lines and rounded; the host does that.

#[expect(unsafe_code, reason = "generated from wit/")]
mod bindings {
    wit_bindgen::generate!({ path: "../../wit", world: "promotion" });
    export!(Promotions with_types_in self);
    use super::Promotions;
}
mod config;
mod date;
mod evaluate;

use bindings::exports::till::checkout::promotion_rules::{Guest, PromotionRequest, PromotionResult};
use bindings::till::checkout::tables;
use bindings::till::checkout::types::{CallContext, ComponentError, ComponentInfo, ErrorDetail};
use config::Config;

struct Promotions;

impl Guest for Promotions {
    fn describe() -> ComponentInfo {
        ComponentInfo {
            name: "Promotions".to_owned(),
            version: env!("CARGO_PKG_VERSION").to_owned(),
            config_schema: include_str!("../config.schema.json").to_owned(),
            capabilities: ["codes", "unique-codes", "buy-x-get-y", "free-shipping"].map(str::to_owned).into(),
            attributes: Vec::new(),
        }
    }

    fn evaluate(ctx: CallContext, request: PromotionRequest) -> Result<PromotionResult, ComponentError> {
        let config: Config = serde_json::from_str(&ctx.config).map_err(|error| {
            ComponentError::InvalidConfig(ErrorDetail {
                code: "config-unreadable".to_owned(),
                path: None,
                text: error.to_string(),
                retry_after_ms: None,
                attributes: Vec::new(),
            })
        })?;
        let unique = |code: &str| tables::lookup(&config.codes_table, code);
        let asked = evaluate::Asked { currency: &ctx.currency, now_ms: ctx.now_ms };
        Ok(evaluate::evaluate(&config, &request, &asked, unique))
    }
}
