//! Pricing: every line once, nothing negative, totals that can be explained.

use super::Suite;
use super::pure::{self, Broken, Rules, too_many};
use std::collections::HashMap;
use till_sandbox::wit::pricing::{LinePrice, PriceRequest, PriceResult};

const RULES: Rules<PriceRequest, PriceResult> = Rules {
    request: |input| PriceRequest { cart: input.cart.clone(), attributes: Vec::new() },
    names: &["every-line-once", "not-negative", "totals-explained"],
    broken,
};

pub(super) async fn run(suite: &mut Suite<'_>) {
    let sandbox = suite.sandbox;
    pure::run(suite, &RULES, async |call, request| sandbox.price(call, request).await).await;
}

fn broken(request: &PriceRequest, answer: &PriceResult) -> Vec<Broken> {
    let mut found: Vec<Broken> =
        too_many("every-line-once", "lines", answer.lines.len()).into_iter().collect();
    let mut open: HashMap<&str, u32> =
        request.cart.lines.iter().map(|line| (line.id.as_str(), line.quantity)).collect();
    for line in &answer.lines {
        let id = match line {
            LinePrice::Priced(priced) => &priced.line,
            LinePrice::Unavailable(unavailable) => &unavailable.line,
        };
        let Some(quantity) = open.remove(id.as_str()) else {
            found.push(("every-line-once", format!("line `{id}` is answered twice or was never asked")));
            continue;
        };
        let LinePrice::Priced(priced) = line else { continue };
        if priced.unit_price < 0 || priced.line_total < 0 || priced.compare_at.is_some_and(|price| price < 0)
        {
            let (unit, total) = (priced.unit_price, priced.line_total);
            found.push(("not-negative", format!("line `{id}` has unit price {unit} and total {total}")));
        } else if priced.unit_price.checked_mul(i64::from(quantity)) != Some(priced.line_total)
            && priced.reasons.is_empty()
        {
            let (unit, total) = (priced.unit_price, priced.line_total);
            let what = format!("line `{id}`: {quantity} × {unit} is not {total}, and no reason says why");
            found.push(("totals-explained", what));
        }
    }
    if let Some(id) = open.keys().min() {
        found.push(("every-line-once", format!("line `{id}` has no answer; say `unavailable` at least")));
    }
    found
}
