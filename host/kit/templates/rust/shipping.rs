//! One flat rate, free from so much on.

#[allow(unsafe_code, missing_docs, reason = "generated from wit/")]
mod bindings {
    wit_bindgen::generate!({ path: "wit", world: "shipping" });
    export!(Component with_types_in self);
    use super::Component;
}

use bindings::exports::till::checkout::shipping_rates::{
    Group, Guest, RateRequest, RateResult, ShippingOption,
};
use bindings::till::checkout::types::{CallContext, ComponentError, ComponentInfo, ErrorDetail, Reason};

/// What a merchant sets. Amounts are minor units of `currency`.
#[derive(serde::Deserialize)]
#[serde(rename_all = "camelCase")]
struct Config {
    currency: String,
    price: i64,
    free_from: i64,
    days: u64,
}

/// Checked by the host when a merchant binds the component.
const CONFIG_SCHEMA: &str = r#"{
    "type": "object", "required": ["currency", "price", "freeFrom", "days"], "additionalProperties": false,
    "properties": {
        "currency": { "type": "string", "pattern": "^[A-Z]{3}$" },
        "price": { "type": "integer", "minimum": 0 },
        "freeFrom": { "type": "integer", "minimum": 0 },
        "days": { "type": "integer", "minimum": 1, "maximum": 60 }
    }
}"#;

const DAY_MS: u64 = 24 * 60 * 60 * 1_000;

struct Component;

impl Guest for Component {
    fn describe() -> ComponentInfo {
        ComponentInfo {
            name: "{{title}}".to_owned(),
            version: env!("CARGO_PKG_VERSION").to_owned(),
            config_schema: CONFIG_SCHEMA.to_owned(),
            capabilities: vec![],
            attributes: vec![],
        }
    }

    fn rates(ctx: CallContext, request: RateRequest) -> Result<RateResult, ComponentError> {
        let config: Config = serde_json::from_str(&ctx.config).map_err(|error| {
            ComponentError::InvalidConfig(detail("config-unreadable", error.to_string()))
        })?;
        if ctx.currency != config.currency {
            let text = format!("there are no rates in {}", ctx.currency);
            return Err(ComponentError::InvalidInput(detail("no-rates", text)));
        }
        let free = request.goods_total >= config.free_from;
        let options = request.groups.iter().map(|group| option(&ctx, group, &config, free)).collect();
        Ok(RateResult { options, messages: vec![], attributes: vec![] })
    }
}

fn option(ctx: &CallContext, group: &Group, config: &Config, free: bool) -> ShippingOption {
    let reason = match free {
        true => Reason { code: "free".to_owned(), text: format!("free from {} on", config.free_from) },
        false => Reason { code: "flat".to_owned(), text: "flat rate".to_owned() },
    };
    ShippingOption {
        id: "standard".to_owned(),
        group: group.id.clone(),
        carrier: "own".to_owned(),
        service: "standard".to_owned(),
        title: format!("Standard, up to {} days", config.days),
        price: if free { 0 } else { config.price },
        tax_class: "standard".to_owned(),
        earliest_ms: None,
        // The time of the call is in the context; a component has no other clock.
        latest_ms: Some(ctx.now_ms + config.days * DAY_MS),
        pickup: None,
        constraints: vec![],
        expires_ms: None,
        reasons: vec![reason],
        attributes: vec![],
    }
}

fn detail(code: &str, text: String) -> ErrorDetail {
    ErrorDetail { code: code.to_owned(), path: None, text, retry_after_ms: None, attributes: vec![] }
}
