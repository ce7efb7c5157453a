//! One rate of tax for each place, on goods and not on shipping.

#[allow(unsafe_code, missing_docs, reason = "generated from wit/")]
mod bindings {
    wit_bindgen::generate!({ path: "wit", world: "tax" });
    export!(Component with_types_in self);
    use super::Component;
}

use bindings::exports::till::checkout::tax_rules::{
    AppliesTo, Guest, TaxEntry, TaxRequest, TaxResult, TaxableLine,
};
use bindings::till::checkout::types::{CallContext, ComponentError, ComponentInfo, ErrorDetail, Reason};
use std::collections::BTreeMap;

/// What a merchant sets.
#[derive(serde::Deserialize)]
struct Config {
    name: String,
    /// Parts per million by place: `US-CA`, or `DE` for a whole country.
    rates: BTreeMap<String, u32>,
}

/// Checked by the host when a merchant binds the component.
const CONFIG_SCHEMA: &str = r#"{
    "type": "object", "required": ["name", "rates"], "additionalProperties": false,
    "properties": {
        "name": { "type": "string", "minLength": 1 },
        "rates": {
            "type": "object",
            "additionalProperties": { "type": "integer", "minimum": 0, "maximum": 1000000 }
        }
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

    fn calculate(ctx: CallContext, request: TaxRequest) -> Result<TaxResult, ComponentError> {
        let config: Config = serde_json::from_str(&ctx.config).map_err(|error| {
            ComponentError::InvalidConfig(detail("config-unreadable", None, error.to_string()))
        })?;
        let Some(to) = &request.ship_to else {
            // Before the shopper has given an address nothing is known.
            return Ok(TaxResult { entries: vec![], messages: vec![], attributes: vec![] });
        };
        let places = [format!("{}-{}", to.country, to.region), to.country.clone()];
        let Some((place, rate)) = places.iter().find_map(|place| config.rates.get_key_value(place)) else {
            let text = format!("there is no rate for {}", places[0]);
            return Err(ComponentError::InvalidInput(detail("no-rate", Some("$.ship_to"), text)));
        };
        let entries = request.lines.iter().map(|line| entry(line, &config.name, place, *rate)).collect();
        Ok(TaxResult { entries, messages: vec![], attributes: vec![] })
    }
}

fn entry(line: &TaxableLine, name: &str, place: &str, rate: u32) -> TaxEntry {
    TaxEntry {
        applies_to: AppliesTo::Line(line.line.clone()),
        jurisdiction: place.to_owned(),
        name: name.to_owned(),
        kind: "sales".to_owned(),
        taxable: line.net,
        rate: Some(rate),
        amount: None, // The host computes and rounds by the merchant's policy.
        included: line.includes_tax,
        reasons: vec![Reason { code: "rate".to_owned(), text: format!("{rate} ppm in {place}") }],
    }
}

fn detail(code: &str, path: Option<&str>, text: String) -> ErrorDetail {
    let path = path.map(str::to_owned);
    ErrorDetail { code: code.to_owned(), path, text, retry_after_ms: None, attributes: vec![] }
}
