//! Members of a customer group pay less than the catalog says.

#[allow(unsafe_code, missing_docs, reason = "generated from wit/")]
mod bindings {
    wit_bindgen::generate!({ path: "wit", world: "pricing" });
    export!(Component with_types_in self);
    use super::Component;
}

use bindings::exports::till::checkout::pricing_rules::{
    Guest, LinePrice, PriceRequest, PriceResult, PricedLine,
};
use bindings::till::checkout::types::{
    CallContext, ComponentError, ComponentInfo, ErrorDetail, Line, Reason,
};

/// What a merchant sets.
#[derive(serde::Deserialize)]
struct Config {
    currency: String,
    group: String,
    /// Parts per million off the catalog price.
    ppm: u32,
}

/// Checked by the host when a merchant binds the component.
const CONFIG_SCHEMA: &str = r#"{
    "type": "object", "required": ["currency", "group", "ppm"], "additionalProperties": false,
    "properties": {
        "currency": { "type": "string", "pattern": "^[A-Z]{3}$" },
        "group": { "type": "string", "minLength": 1 },
        "ppm": { "type": "integer", "minimum": 0, "maximum": 1000000 }
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

    fn price(ctx: CallContext, request: PriceRequest) -> Result<PriceResult, ComponentError> {
        let config: Config = serde_json::from_str(&ctx.config).map_err(|error| {
            ComponentError::InvalidConfig(detail("config-unreadable", error.to_string()))
        })?;
        if ctx.currency != config.currency {
            let text = format!("there are no prices in {}", ctx.currency);
            return Err(ComponentError::InvalidInput(detail("no-prices", text)));
        }
        let customer = request.cart.customer.as_ref();
        let member = customer.filter(|customer| customer.groups.contains(&config.group)).map(|_| &config);
        let lines = request.cart.lines.iter().map(|line| priced(line, member)).collect::<Result<_, _>>()?;
        Ok(PriceResult { lines, messages: vec![], attributes: vec![] })
    }
}

fn priced(line: &Line, member: Option<&Config>) -> Result<LinePrice, ComponentError> {
    let off = member.map_or(0, |config| share(line.catalog_price, config.ppm));
    let unit_price = line.catalog_price - off;
    let line_total = unit_price.checked_mul(i64::from(line.quantity)).ok_or_else(|| {
        ComponentError::InvalidInput(detail("too-much", format!("line {} costs too much", line.id)))
    })?;
    let reason = match member {
        Some(config) => Reason { code: "member".to_owned(), text: format!("price for {}", config.group) },
        None => Reason { code: "catalog".to_owned(), text: "price of the catalog".to_owned() },
    };
    Ok(LinePrice::Priced(PricedLine {
        line: line.id.clone(),
        unit_price,
        line_total,
        compare_at: member.map(|_| line.catalog_price),
        price_list: member.map(|config| config.group.clone()),
        tier: None,
        includes_tax: line.price_includes_tax,
        reasons: vec![reason],
        attributes: vec![],
    }))
}

/// A share of a price in parts per million; halves are rounded up. Never above the price.
fn share(price: i64, ppm: u32) -> i64 {
    let exact = i128::from(price) * i128::from(ppm);
    i64::try_from((exact + 500_000).div_euclid(1_000_000)).unwrap_or(price)
}

fn detail(code: &str, text: String) -> ErrorDetail {
    ErrorDetail { code: code.to_owned(), path: None, text, retry_after_ms: None, attributes: vec![] }
}
