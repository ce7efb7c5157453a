//! Shipping: options for groups that were asked for, at prices and times that make sense.

use super::Suite;
use super::inputs::total;
use super::pure::{self, Broken, Rules, too_many};
use std::collections::HashSet;
use till_sandbox::wit::shipping::{Group, GroupLine, RateRequest, RateResult};
use till_sandbox::wit::types::{Line, LineKind};

const RULES: Rules<RateRequest, RateResult> = Rules {
    request: |input| {
        let line = |line: &&Line| GroupLine {
            line: line.id.clone(),
            units: line.quantity,
            weight_g: line.weight_g,
            value: total(line),
            tags: line.tags.clone(),
        };
        // Two groups of every second line each, as from two warehouses.
        let group = |half: usize| {
            let goods = input.cart.lines.iter().filter(|line| line.kind == LineKind::Physical);
            Group {
                id: format!("group-{half}"),
                lines: goods.skip(half).step_by(2).map(|goods| line(&goods)).collect(),
                warehouse: Some(format!("warehouse-{half}")),
                origin: None,
                destination: input.ship_to.clone(),
                parcels: Vec::new(),
            }
        };
        RateRequest {
            groups: (0..2).map(group).filter(|group| !group.lines.is_empty()).collect(),
            goods_total: input.cart.lines.iter().map(total).sum(),
            cart: input.cart.clone(),
            attributes: Vec::new(),
        }
    },
    names: &["known-groups", "not-negative", "unique-options", "arrival-in-order"],
    broken,
};

pub(super) async fn run(suite: &mut Suite<'_>) {
    let sandbox = suite.sandbox;
    pure::run(suite, &RULES, async |call, request| sandbox.rates(call, request).await).await;
}

fn broken(request: &RateRequest, answer: &RateResult) -> Vec<Broken> {
    let mut found: Vec<Broken> =
        too_many("unique-options", "options", answer.options.len()).into_iter().collect();
    let groups: HashSet<&str> = request.groups.iter().map(|group| group.id.as_str()).collect();
    let mut seen = HashSet::new();
    for option in &answer.options {
        let (id, group) = (&option.id, &option.group);
        if !groups.contains(group.as_str()) {
            found.push((
                "known-groups",
                format!("option `{id}` is for the group `{group}`, which was not asked for"),
            ));
        }
        if id.is_empty() || !seen.insert((group, id)) {
            found.push((
                "unique-options",
                format!("option `{id}` of group `{group}` is empty or there twice"),
            ));
        }
        if option.price < 0 {
            found.push(("not-negative", format!("option `{id}` costs {}", option.price)));
        }
        if let (Some(earliest), Some(latest)) = (option.earliest_ms, option.latest_ms)
            && earliest > latest
        {
            found.push(("arrival-in-order", format!("option `{id}` arrives from {earliest} to {latest}")));
        }
    }
    found
}

#[cfg(test)]
mod tests {
    use super::super::inputs;
    use super::*;
    use till_sandbox::wit::shipping::ShippingOption;

    fn rules(change: impl Fn(&mut Vec<ShippingOption>)) -> Vec<&'static str> {
        let request = (RULES.request)(&inputs::all("{}")[3]);
        let mut options = vec![ShippingOption {
            id: "standard".into(),
            group: request.groups[0].id.clone(),
            carrier: "Post".into(),
            service: "ground".into(),
            title: "Standard".into(),
            price: 1_599,
            tax_class: "standard".into(),
            earliest_ms: Some(1),
            latest_ms: Some(2),
            pickup: None,
            constraints: vec![],
            expires_ms: None,
            reasons: vec![],
            attributes: vec![],
        }];
        change(&mut options);
        let answer = RateResult { options, messages: vec![], attributes: vec![] };
        broken(&request, &answer).into_iter().map(|(rule, _)| rule).collect()
    }

    #[test]
    fn each_lie_breaks_the_rule_that_is_there_for_it() {
        assert_eq!(rules(|_| {}), [""; 0]);
        assert_eq!(rules(|options| options[0].group = "x".into()), ["known-groups"]);
        assert_eq!(rules(|options| options[0].price = -1), ["not-negative"]);
        assert_eq!(rules(|options| options[0].id.clear()), ["unique-options"]);
        assert_eq!(rules(|options| options.push(options[0].clone())), ["unique-options"]);
        assert_eq!(rules(|options| options[0].earliest_ms = Some(3)), ["arrival-in-order"]);
    }

    #[test]
    fn two_groups_are_asked_for_at_once() {
        let twenty = inputs::all("{}").into_iter().find(|input| input.name == "lines-20");
        let request = (RULES.request)(&twenty.expect("an input of 20 lines"));
        assert_eq!(request.groups.len(), 2);
    }
}
