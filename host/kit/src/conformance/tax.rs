//! Tax: rates in range, only what was asked for is taxed, and not above its net amount.

use super::Suite;
use super::inputs::total;
use super::pure::{self, Broken, Rules, too_many};
use till_sandbox::wit::tax::{AppliesTo, TaxRequest, TaxResult, TaxableLine, TaxableShipping};

/// The whole, in parts per million.
const ALL_PPM: u32 = 1_000_000;

const RULES: Rules<TaxRequest, TaxResult> = Rules {
    request: |input| {
        let line = |line: &till_sandbox::wit::types::Line| TaxableLine {
            line: line.id.clone(),
            product: line.product.clone(),
            sku: line.sku.clone(),
            kind: line.kind,
            tax_class: line.tax_class.clone(),
            quantity: line.quantity,
            net: total(line),
            includes_tax: line.price_includes_tax,
            ship_from: None,
        };
        let shipping = TaxableShipping {
            group: "group-1".to_owned(),
            option_id: "standard".to_owned(),
            tax_class: "standard".to_owned(),
            net: 1_599,
            includes_tax: false,
        };
        TaxRequest {
            ship_from: None,
            ship_to: input.ship_to.clone(),
            bill_to: input.ship_to.clone(),
            customer: input.cart.customer.clone(),
            lines: input.cart.lines.iter().map(line).collect(),
            shipping: vec![shipping],
            attributes: Vec::new(),
        }
    },
    names: &["rates-in-range", "known-lines", "not-negative", "not-above-net", "included-as-asked"],
    broken,
};

pub(super) async fn run(suite: &mut Suite<'_>) {
    let sandbox = suite.sandbox;
    pure::run(suite, &RULES, async |call, request| sandbox.tax(call, request).await).await;
}

fn broken(request: &TaxRequest, answer: &TaxResult) -> Vec<Broken> {
    let mut found: Vec<Broken> =
        too_many("known-lines", "entries", answer.entries.len()).into_iter().collect();
    for entry in &answer.entries {
        let (net, includes_tax) = match &entry.applies_to {
            AppliesTo::Line(id) => match request.lines.iter().find(|line| line.line == *id) {
                Some(line) => (line.net, line.includes_tax),
                None => {
                    found.push(("known-lines", format!("a tax on the line `{id}`, which was not asked for")));
                    continue;
                }
            },
            AppliesTo::Shipping(id) => match request.shipping.iter().find(|group| group.group == *id) {
                Some(group) => (group.net, group.includes_tax),
                None => {
                    found
                        .push(("known-lines", format!("a tax on the group `{id}`, which was not asked for")));
                    continue;
                }
            },
        };
        let name = &entry.name;
        match (entry.rate, entry.amount) {
            (None, None) => {
                found.push(("rates-in-range", format!("tax `{name}` has neither a rate nor an amount")))
            }
            (Some(rate), _) if rate > ALL_PPM => {
                found.push((
                    "rates-in-range",
                    format!("tax `{name}` has {rate} ppm, at most {ALL_PPM} are there"),
                ));
            }
            (_, Some(amount)) if amount < 0 => {
                found.push(("not-negative", format!("tax `{name}` has the amount {amount}")));
            }
            _ => {}
        }
        if !(0..=net).contains(&entry.taxable) {
            found.push((
                "not-above-net",
                format!("tax `{name}` is on {}, the net amount is {net}", entry.taxable),
            ));
        }
        if entry.included != includes_tax {
            let what =
                format!("tax `{name}` says included {}, the price says {includes_tax}", entry.included);
            found.push(("included-as-asked", what));
        }
    }
    found
}

#[cfg(test)]
mod tests {
    use super::super::inputs;
    use super::*;
    use till_sandbox::wit::tax::TaxEntry;

    fn rules(change: impl Fn(&mut TaxEntry)) -> Vec<&'static str> {
        let request = (RULES.request)(&inputs::all("{}")[0]);
        let line = &request.lines[0];
        let mut entry = TaxEntry {
            applies_to: AppliesTo::Line(line.line.clone()),
            jurisdiction: "US-CA".into(),
            name: "Sales tax".into(),
            kind: "sales".into(),
            taxable: line.net,
            rate: Some(83_810),
            amount: None,
            included: false,
            reasons: vec![],
        };
        change(&mut entry);
        let answer = TaxResult { entries: vec![entry], messages: vec![], attributes: vec![] };
        broken(&request, &answer).into_iter().map(|(rule, _)| rule).collect()
    }

    #[test]
    fn each_lie_breaks_the_rule_that_is_there_for_it() {
        assert_eq!(rules(|_| {}), [""; 0]);
        assert_eq!(rules(|entry| entry.rate = Some(1_000_001)), ["rates-in-range"]);
        assert_eq!(rules(|entry| entry.rate = None), ["rates-in-range"]);
        assert_eq!(rules(|entry| entry.amount = Some(-1)), ["not-negative"]);
        assert_eq!(rules(|entry| entry.taxable += 1), ["not-above-net"]);
        assert_eq!(rules(|entry| entry.taxable = -1), ["not-above-net"]);
        assert_eq!(rules(|entry| entry.included = true), ["included-as-asked"]);
        assert_eq!(rules(|entry| entry.applies_to = AppliesTo::Line("x".into())), ["known-lines"]);
        assert_eq!(rules(|entry| entry.applies_to = AppliesTo::Shipping("x".into())), ["known-lines"]);
    }
}
