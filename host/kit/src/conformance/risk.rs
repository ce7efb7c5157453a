//! Risk: a score within its bounds, and a reason for each no.

use super::Suite;
use super::inputs::total;
use super::pure::{self, Broken, Rules};
use till_sandbox::wit::risk::{Decision, History, RiskRequest, RiskResult};

/// Highest score.
const SCORE_MAX: u32 = 1_000;

const RULES: Rules<RiskRequest, RiskResult> = Rules {
    request: |input| RiskRequest {
        total: input.cart.lines.iter().map(total).sum(),
        shipping: input.ship_to.clone(),
        billing: None,
        email: "shopper@example.com".to_owned(),
        ip: "203.0.113.1".to_owned(),
        method_kind: "credit_card".to_owned(),
        method_brand: "visa".to_owned(),
        method_last4: "4242".to_owned(),
        history: History {
            orders: 3,
            spent: 100_000,
            first_order_ms: Some(1),
            orders_1h: 0,
            orders_24h: 1,
            declined_24h: 0,
            declined_here: 0,
        },
        cart: input.cart.clone(),
        attributes: Vec::new(),
    },
    names: &["score-in-bounds", "reasons-given"],
    broken,
};

pub(super) async fn run(suite: &mut Suite<'_>) {
    let sandbox = suite.sandbox;
    pure::run(suite, &RULES, async |call, request| sandbox.assess(call, request).await).await;
}

fn broken(_: &RiskRequest, answer: &RiskResult) -> Vec<Broken> {
    let mut found = Vec::new();
    if answer.score > SCORE_MAX {
        found.push((
            "score-in-bounds",
            format!("the score is {}, at most {SCORE_MAX} is allowed", answer.score),
        ));
    }
    if answer.decision != Decision::Approve && answer.reasons.is_empty() {
        found.push(("reasons-given", format!("{:?} without a reason", answer.decision)));
    }
    found
}

#[cfg(test)]
mod tests {
    use super::super::inputs;
    use super::*;
    use till_sandbox::wit::types::Reason;

    #[test]
    fn each_lie_breaks_the_rule_that_is_there_for_it() {
        let request = (RULES.request)(&inputs::all("{}")[0]);
        let fine = RiskResult {
            decision: Decision::Deny,
            score: SCORE_MAX,
            reasons: vec![Reason { code: "too-many".into(), text: "too many orders".into() }],
            messages: vec![],
            attributes: vec![],
        };
        let rules = |answer: RiskResult| -> Vec<_> {
            broken(&request, &answer).into_iter().map(|(rule, _)| rule).collect()
        };
        assert_eq!(rules(fine.clone()), [""; 0]);
        assert_eq!(rules(RiskResult { score: 1_001, ..fine.clone() }), ["score-in-bounds"]);
        assert_eq!(rules(RiskResult { reasons: vec![], ..fine }), ["reasons-given"]);
    }
}
