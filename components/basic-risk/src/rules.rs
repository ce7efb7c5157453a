//! The rules. Plain functions over the request.

use crate::bindings::exports::till::checkout::risk_rules::{Decision, RiskRequest, RiskResult};
use crate::bindings::till::checkout::types::Reason;
use crate::config::Config;

/// Scores for showing: only their order means something.
const APPROVED: u32 = 100;
const REVIEWED: u32 = 500;
const DENIED: u32 = 900;

/// Judges a payment. `listed` says whether a table has a key.
pub fn judge(
    config: &Config,
    currency: &str,
    request: &RiskRequest,
    listed: impl Fn(&str, &str) -> bool,
) -> RiskResult {
    let history = &request.history;
    let mut found: Vec<(Decision, &str, String)> = Vec::new();
    if let Some(rule) = &config.declines {
        let declined = history.declined_24h.max(history.declined_here);
        if declined > rule.max {
            let text = format!("{declined} payments were declined lately, {} are let pass", rule.max);
            found.push((rule.then.into(), "declines", text));
        }
    }
    if let Some(rule) = config.first_order.as_ref().filter(|rule| rule.currency == currency)
        && history.orders == 0
        && request.total > rule.max
    {
        let text = format!("a first order of {} minor units, {} are let pass", request.total, rule.max);
        found.push((rule.then.into(), "first-order", text));
    }
    if let Some(rule) = &config.countries
        && let (Some(shipping), Some(billing)) = (&request.shipping, &request.billing)
        && !shipping.country.is_empty()
        && !billing.country.is_empty()
        && shipping.country != billing.country
    {
        let text = format!("it ships to {} and is billed to {}", shipping.country, billing.country);
        found.push((rule.then.into(), "countries", text));
    }
    if let Some(rule) = &config.velocity {
        let spans = [("hour", history.orders_1h, rule.hour_max), ("day", history.orders_24h, rule.day_max)];
        for (span, begun, max) in spans {
            if let Some(max) = max.filter(|max| begun > *max) {
                let text = format!("{begun} orders were begun in the last {span}, {max} are let pass");
                found.push((rule.then.into(), "velocity", text));
            }
        }
    }
    if let Some(rule) = &config.emails
        && let Some(domain) = domains(&request.email).into_iter().find(|domain| listed(&rule.table, domain))
    {
        found.push((rule.then.into(), "email-domain", format!("{domain} is in the table {}", rule.table)));
    }
    let has = |decision: Decision| found.iter().any(|(one, ..)| *one == decision);
    let (decision, score) = if has(Decision::Deny) {
        (Decision::Deny, DENIED)
    } else if has(Decision::Review) {
        (Decision::Review, REVIEWED)
    } else {
        (Decision::Approve, APPROVED)
    };
    let reasons = found.into_iter().map(|(_, code, text)| Reason { code: code.to_owned(), text }).collect();
    RiskResult { decision, score, reasons, messages: Vec::new(), attributes: Vec::new() }
}

/// The domain of an address and those above it: `mail.example.com`, `example.com`, `com`.
fn domains(email: &str) -> Vec<String> {
    let Some((_, domain)) = email.trim().rsplit_once('@') else { return Vec::new() };
    let domain = domain.trim_end_matches('.').to_ascii_lowercase();
    let mut rest = domain.as_str();
    let mut all = vec![domain.clone()];
    while let Some((_, above)) = rest.split_once('.') {
        all.push(above.to_owned());
        rest = above;
    }
    all
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_domain_is_looked_up_with_those_above_it() {
        assert_eq!(domains("a@b@Mail.Example.COM."), ["mail.example.com", "example.com", "com"]);
        assert_eq!(domains("nobody"), [""; 0]);
    }
}
