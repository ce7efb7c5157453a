//! Spend at least so much and get so much off.

#[allow(unsafe_code, missing_docs, reason = "generated from wit/")]
mod bindings {
    wit_bindgen::generate!({ path: "wit", world: "promotion" });
    export!(Component with_types_in self);
    use super::Component;
}

use bindings::exports::till::checkout::promotion_rules::{
    Base, Candidate, Guest, Missing, PromotionRequest, PromotionResult, Refusal, Target, Value,
};
use bindings::till::checkout::types::{CallContext, ComponentError, ComponentInfo, ErrorDetail, Reason};

/// What a merchant sets. Amounts are minor units (cents) of the cart's currency.
#[derive(serde::Deserialize)]
struct Config {
    title: String,
    minimum: i64,
    amount: i64,
}

/// Checked by the host when a merchant binds the component.
const CONFIG_SCHEMA: &str = r#"{
    "type": "object", "required": ["title", "minimum", "amount"], "additionalProperties": false,
    "properties": {
        "title": { "type": "string", "minLength": 1 },
        "minimum": { "type": "integer", "minimum": 0 },
        "amount": { "type": "integer", "minimum": 1 }
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

    fn evaluate(ctx: CallContext, request: PromotionRequest) -> Result<PromotionResult, ComponentError> {
        let config: Config = serde_json::from_str(&ctx.config)
            .map_err(|error| invalid_config("config-unreadable", None, &error.to_string()))?;
        if config.amount > config.minimum {
            let text = "`amount` must not be above `minimum`";
            return Err(invalid_config("amount-above-minimum", Some("$.amount"), text));
        }
        let mut result =
            PromotionResult { candidates: vec![], refusals: vec![], messages: vec![], attributes: vec![] };
        let lacking = config.minimum - request.subtotal;
        if lacking > 0 {
            result.refusals.push(too_little(&config, lacking));
        } else {
            result.candidates.push(candidate(config));
        }
        Ok(result)
    }
}

fn candidate(config: Config) -> Candidate {
    let text = format!("{} off from {} on", config.amount, config.minimum);
    Candidate {
        promotion: "{{name}}".to_owned(),
        code: None,
        automatic: true,
        title: config.title,
        priority: 0,
        exclusive: false,
        combines_with: vec![],
        base: Base::Original,
        target: Target::Order,
        value: Value::Amount(config.amount),
        cap: None,
        floor_unit_price: None,
        uses: 0,
        uses_limit: None,
        customer_limit: None,
        reasons: vec![Reason { code: "minimum-reached".to_owned(), text }],
        attributes: vec![],
    }
}

fn too_little(config: &Config, lacking: i64) -> Refusal {
    Refusal {
        promotion: Some("{{name}}".to_owned()),
        code: None,
        reason: Reason { code: "below-minimum".to_owned(), text: format!("from {} on", config.minimum) },
        missing: vec![Missing {
            code: "spend-more".to_owned(),
            quantity: Some(lacking),
            text: format!("{lacking} more to go"),
        }],
    }
}

fn invalid_config(code: &str, path: Option<&str>, text: &str) -> ComponentError {
    ComponentError::InvalidConfig(ErrorDetail {
        code: code.to_owned(),
        path: path.map(str::to_owned),
        text: text.to_owned(),
        retry_after_ms: None,
        attributes: vec![],
    })
}
