//! Promotions: bounds that the host enforces, ids that it knows, an answer for every code.

use super::inputs::{UNKNOWN_CODE, total};
use super::pure::{self, Broken, Rules, too_many};
use super::{Status, Suite};
use std::collections::{HashMap, HashSet};
use till_sandbox::wit::promotion::{Candidate, LineState, PromotionRequest, PromotionResult, Target, Value};

/// Longest id of a promotion, bytes.
const ID_BYTES_MAX: usize = 100;
/// The whole, in parts per million.
const ALL_PPM: u32 = 1_000_000;

const RULES: Rules<PromotionRequest, PromotionResult> = Rules {
    request: |input| {
        let state = |line: &till_sandbox::wit::types::Line| LineState {
            line: line.id.clone(),
            unit_price: line.catalog_price,
            original: total(line),
            remaining: total(line),
        };
        let lines: Vec<LineState> = input.cart.lines.iter().map(state).collect();
        PromotionRequest {
            subtotal: lines.iter().map(|line| line.original).sum(),
            lines,
            cart: input.cart.clone(),
            earlier: Vec::new(),
            shipping: Vec::new(),
            attributes: Vec::new(),
        }
    },
    names: &[
        "rates-in-range",
        "not-negative",
        "not-above-base",
        "known-targets",
        "known-codes",
        "unique-ids",
    ],
    broken,
};

pub(super) async fn run(suite: &mut Suite<'_>) {
    let sandbox = suite.sandbox;
    let answers = pure::run(suite, &RULES, async |call, request| sandbox.promote(call, request).await).await;
    let unknown = answers.iter().find(|(input, _)| input.name == "codes-unknown");
    let Some((_, Some(answer))) = unknown else {
        suite.say("unknown-code", Status::Skipped, "there is no answer for a cart with an unknown code");
        return;
    };
    if answer.candidates.iter().any(|candidate| candidate.code.as_deref() == Some(UNKNOWN_CODE)) {
        suite.say("unknown-code", Status::Failed, format!("the code `{UNKNOWN_CODE}` brought a discount"));
    } else if answer.refusals.iter().any(|refusal| refusal.code.as_deref() == Some(UNKNOWN_CODE)) {
        suite.say("unknown-code", Status::Passed, "it is refused with a reason");
    } else {
        let detail = "an unknown code is passed over in silence: fine beside another promotion component \
                      that may know it, else refuse it so that the shopper is told";
        suite.say("unknown-code", Status::Warning, detail);
    }
}

fn broken(request: &PromotionRequest, answer: &PromotionResult) -> Vec<Broken> {
    let mut found: Vec<Broken> = too_many("unique-ids", "candidates", answer.candidates.len())
        .into_iter()
        .chain(too_many("unique-ids", "refusals", answer.refusals.len()))
        .collect();
    let codes: HashSet<&str> = request.cart.codes.iter().map(|code| code.code.as_str()).collect();
    let mut ids = HashSet::new();
    for candidate in &answer.candidates {
        let id = &candidate.promotion;
        if id.is_empty() || id.len() > ID_BYTES_MAX {
            found.push((
                "unique-ids",
                format!("a promotion id of {} bytes, 1 to {ID_BYTES_MAX} are allowed", id.len()),
            ));
        }
        if !ids.insert(id) {
            found.push((
                "unique-ids",
                format!("promotion `{id}` is proposed twice; its uses are counted once"),
            ));
        }
        one(request, candidate, &mut found);
    }
    let brought = answer.candidates.iter().filter_map(|candidate| candidate.code.as_deref());
    let refused = answer.refusals.iter().filter_map(|refusal| refusal.code.as_deref());
    for code in brought.chain(refused).filter(|code| !codes.contains(code)) {
        found.push(("known-codes", format!("the code `{code}` is not in the cart; give it back as it came")));
    }
    found
}

fn one(request: &PromotionRequest, candidate: &Candidate, found: &mut Vec<Broken>) {
    let id = &candidate.promotion;
    let Some(base) = base(request, candidate, found) else { return };
    for (what, amount) in [("cap", candidate.cap), ("floor-unit-price", candidate.floor_unit_price)] {
        if let Some(amount) = amount.filter(|amount| *amount < 0) {
            found.push(("not-negative", format!("{what} of promotion `{id}` is {amount}")));
        }
    }
    match candidate.value {
        Value::Rate(rate) if rate > ALL_PPM => {
            found.push((
                "rates-in-range",
                format!("promotion `{id}` takes {rate} ppm, at most {ALL_PPM} are there"),
            ));
        }
        Value::Amount(amount) | Value::UnitPrice(amount) if amount < 0 => {
            found.push(("not-negative", format!("promotion `{id}` has the amount {amount}")));
        }
        Value::Amount(amount) if base.is_some_and(|base| amount > base) => {
            let base = base.unwrap_or_default();
            let what = format!("promotion `{id}` takes {amount} from {base}; propose the smaller of both");
            found.push(("not-above-base", what));
        }
        _ => {}
    }
}

/// What the target is worth. Outer none: the target is wrong. Inner none: it is not known here.
#[expect(clippy::option_option, reason = "wrong and not known are two things")]
fn base(request: &PromotionRequest, candidate: &Candidate, found: &mut Vec<Broken>) -> Option<Option<i64>> {
    let targets = match &candidate.target {
        Target::Order => return Some(Some(request.subtotal)),
        Target::Shipping(_) => return Some(None),
        Target::Lines(targets) => targets,
    };
    let quantities: HashMap<&str, u32> =
        request.cart.lines.iter().map(|line| (line.id.as_str(), line.quantity)).collect();
    let mut seen = HashSet::new();
    let mut base = 0;
    for target in targets {
        let (id, units) = (&candidate.promotion, target.units);
        let line = request.lines.iter().find(|line| line.line == target.line);
        let (Some(line), Some(quantity)) = (line, quantities.get(target.line.as_str())) else {
            found.push((
                "known-targets",
                format!("promotion `{id}` names the line `{}`, which is not in the cart", target.line),
            ));
            return None;
        };
        if !seen.insert(&target.line) || !(1..=*quantity).contains(&units) {
            found.push((
                "known-targets",
                format!(
                    "promotion `{id}` takes {units} of {quantity} units of line `{}`, or names it twice",
                    target.line
                ),
            ));
            return None;
        }
        base += line.original / i64::from(*quantity) * i64::from(units);
    }
    Some(Some(base))
}

#[cfg(test)]
mod tests {
    use super::super::inputs;
    use super::*;
    use till_sandbox::wit::promotion::{Base, LineUnits};

    fn rules(change: impl Fn(&mut Vec<Candidate>)) -> Vec<&'static str> {
        let request = (RULES.request)(&inputs::all("{}")[0]);
        let line = &request.cart.lines[0];
        let mut candidates = vec![Candidate {
            promotion: "p".into(),
            code: None,
            automatic: true,
            title: "P".into(),
            priority: 0,
            exclusive: false,
            combines_with: vec![],
            base: Base::Original,
            target: Target::Lines(vec![LineUnits { line: line.id.clone(), units: line.quantity }]),
            value: Value::Amount(request.subtotal),
            cap: None,
            floor_unit_price: None,
            uses: 1,
            uses_limit: None,
            customer_limit: None,
            reasons: vec![],
            attributes: vec![],
        }];
        change(&mut candidates);
        let answer = PromotionResult { candidates, refusals: vec![], messages: vec![], attributes: vec![] };
        broken(&request, &answer).into_iter().map(|(rule, _)| rule).collect()
    }

    #[test]
    fn each_lie_breaks_the_rule_that_is_there_for_it() {
        let units = |line: &str, units| Target::Lines(vec![LineUnits { line: line.into(), units }]);
        assert_eq!(rules(|_| {}), [""; 0]);
        assert_eq!(rules(|all| all[0].value = Value::Rate(1_000_001)), ["rates-in-range"]);
        assert_eq!(rules(|all| all[0].value = Value::UnitPrice(-1)), ["not-negative"]);
        assert_eq!(rules(|all| all[0].cap = Some(-1)), ["not-negative"]);
        assert_eq!(rules(|all| all[0].value = Value::Amount(i64::MAX)), ["not-above-base"]);
        assert_eq!(rules(|all| all[0].target = units("x", 1)), ["known-targets"]);
        assert_eq!(rules(|all| all[0].target = units("line-0", 0)), ["known-targets"]);
        assert_eq!(rules(|all| all[0].target = units("line-0", 10)), ["known-targets"]);
        assert_eq!(rules(|all| all[0].code = Some("never typed".into())), ["known-codes"]);
        assert_eq!(rules(|all| all.push(all[0].clone())), ["unique-ids"]);
        assert_eq!(rules(|all| all[0].promotion.clear()), ["unique-ids"]);
    }
}
