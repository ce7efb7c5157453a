//! The smallest promotion: a share off everything, without a code. Copy this to start your own.
//!
//! Owns: one automatic discount. Must not know: how it is split over lines and rounded; the host does
//! that by the merchant's policies.

#[expect(unsafe_code, reason = "generated from wit/")]
mod bindings {
    wit_bindgen::generate!({ path: "../../wit", world: "promotion" });
    export!(PercentOff with_types_in self);
    use super::PercentOff;
}

use bindings::exports::till::checkout::promotion_rules::{
    Base, Candidate, Guest, PromotionRequest, PromotionResult, Target, Value,
};
use bindings::till::checkout::types::{CallContext, ComponentError, ComponentInfo, ErrorDetail, Reason};

/// What a merchant sets: `{"title": "Autumn days", "ppm": 200000}`.
#[derive(serde::Deserialize)]
struct Config {
    title: String,
    /// Parts per million of the goods.
    ppm: u32,
}

struct PercentOff;

impl Guest for PercentOff {
    fn describe() -> ComponentInfo {
        ComponentInfo {
            name: "Percent off".to_owned(),
            version: env!("CARGO_PKG_VERSION").to_owned(),
            config_schema: r#"{
                "type": "object", "required": ["title", "ppm"], "additionalProperties": false,
                "properties": {
                    "title": { "type": "string", "minLength": 1 },
                    "ppm": { "type": "integer", "minimum": 0, "maximum": 1000000 }
                }
            }"#
            .to_owned(),
            capabilities: Vec::new(),
            attributes: Vec::new(),
        }
    }

    fn evaluate(ctx: CallContext, _request: PromotionRequest) -> Result<PromotionResult, ComponentError> {
        let config: Config = serde_json::from_str(&ctx.config).map_err(|error| {
            ComponentError::InvalidConfig(ErrorDetail {
                code: "config-unreadable".to_owned(),
                path: None,
                text: error.to_string(),
                retry_after_ms: None,
                attributes: Vec::new(),
            })
        })?;
        let text = format!("{} ppm of everything", config.ppm);
        let candidate = Candidate {
            promotion: "percent-off".to_owned(),
            code: None,
            automatic: true,
            title: config.title,
            priority: 0,
            exclusive: false,
            combines_with: Vec::new(),
            base: Base::Original,
            target: Target::Order,
            value: Value::Rate(config.ppm),
            cap: None,
            floor_unit_price: None,
            uses: 0,
            uses_limit: None,
            customer_limit: None,
            reasons: vec![Reason { code: "percent-off".to_owned(), text }],
            attributes: Vec::new(),
        };
        Ok(PromotionResult {
            candidates: vec![candidate],
            refusals: Vec::new(),
            messages: Vec::new(),
            attributes: Vec::new(),
        })
    }
}
