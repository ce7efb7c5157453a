//! Lets known shoppers buy, asks a person about large first orders, and refuses after too many declined payments.

#[allow(unsafe_code, missing_docs, reason = "generated from wit/")]
mod bindings {
    wit_bindgen::generate!({ path: "wit", world: "risk" });
    export!(Component with_types_in self);
    use super::Component;
}

use bindings::exports::till::checkout::risk_rules::{Decision, Guest, RiskRequest, RiskResult};
use bindings::till::checkout::types::{CallContext, ComponentError, ComponentInfo, ErrorDetail, Reason};

/// What a merchant sets.
#[derive(serde::Deserialize)]
struct Config {
    /// Of the amounts below.
    currency: String,
    /// A first order above this is looked at, in minor units.
    first_order_max: i64,
    /// With so many declined payments in a day the next one is not tried.
    declined_max: u32,
}

/// Checked by the host when a merchant binds the component.
const CONFIG_SCHEMA: &str = r#"{
    "type": "object", "required": ["currency", "first_order_max", "declined_max"], "additionalProperties": false,
    "properties": {
        "currency": { "type": "string", "pattern": "^[A-Z]{3}$" },
        "first_order_max": { "type": "integer", "minimum": 0 },
        "declined_max": { "type": "integer", "minimum": 1 }
    }
}"#;

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

    fn assess(ctx: CallContext, request: RiskRequest) -> Result<RiskResult, ComponentError> {
        let config: Config = serde_json::from_str(&ctx.config)
            .map_err(|error| ComponentError::InvalidConfig(detail("config-unreadable", error.to_string())))?;
        if ctx.currency != config.currency {
            let text = format!("the rules are for {}, the cart is in {}", config.currency, ctx.currency);
            return Err(ComponentError::InvalidInput(detail("other-currency", text)));
        }
        let declined = request.history.declined_24h.max(request.history.declined_here);
        if declined >= config.declined_max {
            let why = format!("{declined} payments were declined in a day");
            return Ok(judged(Decision::Deny, 900, "too-many-declines", why));
        }
        if request.history.orders == 0 && request.total > config.first_order_max {
            let why = format!("a first order of {} minor units", request.total);
            return Ok(judged(Decision::Review, 500, "large-first-order", why));
        }
        let why = format!("{} orders before", request.history.orders);
        Ok(judged(Decision::Approve, 100, "history", why))
    }
}

fn judged(decision: Decision, score: u32, code: &str, text: String) -> RiskResult {
    let reasons = vec![Reason { code: code.to_owned(), text }];
    RiskResult { decision, score, reasons, messages: vec![], attributes: vec![] }
}

fn detail(code: &str, text: String) -> ErrorDetail {
    ErrorDetail { code: code.to_owned(), path: None, text, retry_after_ms: None, attributes: vec![] }
}
