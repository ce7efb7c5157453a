//! Which rules apply. Plain functions over the records of the contract.

use crate::bindings::exports::till::checkout::promotion_rules::{
    Base, Candidate, LineState, LineUnits, Missing, PromotionRequest, PromotionResult, Refusal, Target, Value,
};
use crate::bindings::till::checkout::types::{Code, Customer, Line, Reason};
use crate::config::{Conditions, Config, Discount, Items, Promotion};

/// What the call says beside the cart.
pub struct Asked<'a> {
    /// ISO 4217, of the cart.
    pub currency: &'a str,
    /// Epoch milliseconds.
    pub now_ms: u64,
}

/// Proposes every rule that applies and refuses the typed codes that do not.
pub fn evaluate(
    config: &Config,
    request: &PromotionRequest,
    asked: &Asked<'_>,
    unique: impl Fn(&str) -> Option<String>,
) -> PromotionResult {
    let mut candidates = Vec::new();
    let mut refusals = Vec::new();
    for promotion in config.promotions.iter().filter(|p| p.codes.is_empty() && !p.unique_codes) {
        match apply(promotion, None, request, asked) {
            Ok(candidate) => candidates.push(candidate),
            // Only what the shopper can still reach is worth telling.
            Err(no) if !no.missing.is_empty() => refusals.push(no.refusal(promotion, None)),
            Err(_) => {}
        }
    }
    let mut brought: Vec<&str> = Vec::new();
    for code in &request.cart.codes {
        let Some(promotion) = find(config, &code.code, &unique) else { continue };
        let result = if brought.contains(&promotion.id.as_str()) {
            Err(No::plain("code-repeated", "another code brings the same promotion"))
        } else {
            used_up(code).map_or_else(|| apply(promotion, Some(code), request, asked), Err)
        };
        match result {
            Ok(candidate) => {
                brought.push(&promotion.id);
                candidates.push(candidate);
            }
            Err(no) => refusals.push(no.refusal(promotion, Some(code))),
        }
    }
    PromotionResult { candidates, refusals, messages: Vec::new(), attributes: Vec::new() }
}

/// The promotion a typed code brings. None: this component does not know the code.
fn find<'a>(
    config: &'a Config,
    code: &str,
    unique: impl Fn(&str) -> Option<String>,
) -> Option<&'a Promotion> {
    let typed = code.trim();
    let named =
        config.promotions.iter().find(|p| p.codes.iter().any(|known| known.eq_ignore_ascii_case(typed)));
    named.or_else(|| {
        if !config.promotions.iter().any(|p| p.unique_codes) {
            return None;
        }
        let id = unique(&typed.to_uppercase())?;
        config.promotions.iter().find(|p| p.unique_codes && p.id == id.trim())
    })
}

fn used_up(code: &Code) -> Option<No> {
    if code.uses_left == Some(0) {
        return Some(No::plain("code-used-up", "this code has been used as often as it may"));
    }
    if code.customer_uses_left == Some(0) {
        return Some(No::plain("code-used-by-customer", "you have used this code as often as you may"));
    }
    None
}

/// Why not, and what would help.
struct No {
    reason: Reason,
    missing: Vec<Missing>,
}

impl No {
    fn plain(code: &str, text: &str) -> Self {
        No { reason: Reason { code: code.to_owned(), text: text.to_owned() }, missing: Vec::new() }
    }

    fn lacking(code: &str, text: &str, what: &str, quantity: i64) -> Self {
        let missing = Missing { code: what.to_owned(), quantity: Some(quantity), text: text.to_owned() };
        No { missing: vec![missing], ..No::plain(code, text) }
    }

    fn refusal(self, promotion: &Promotion, code: Option<&Code>) -> Refusal {
        Refusal {
            promotion: Some(promotion.id.clone()),
            code: code.map(|code| code.code.clone()),
            reason: self.reason,
            missing: self.missing,
        }
    }
}

fn apply(
    promotion: &Promotion,
    code: Option<&Code>,
    request: &PromotionRequest,
    asked: &Asked<'_>,
) -> Result<Candidate, No> {
    let customer = request.cart.customer.as_ref();
    check_currency(&promotion.conditions, asked.currency)?;
    check_time(&promotion.conditions, asked.now_ms)?;
    check_customer(&promotion.conditions, customer)?;
    check_cart(promotion, request)?;
    let (target, value) = discount(promotion, request)?;
    Ok(Candidate {
        promotion: promotion.id.clone(),
        code: code.map(|code| code.code.clone()),
        automatic: code.is_none(),
        title: promotion.title.clone(),
        priority: promotion.priority,
        exclusive: promotion.exclusive,
        combines_with: promotion.combines_with.clone(),
        base: if promotion.on_remaining { Base::Remaining } else { Base::Original },
        target,
        value,
        cap: promotion.cap,
        floor_unit_price: promotion.floor_unit_price,
        uses: 1,
        uses_limit: promotion.uses_limit,
        customer_limit: promotion.customer_limit,
        reasons: vec![Reason {
            code: if code.is_some() { "code" } else { "automatic" }.to_owned(),
            text: promotion.title.clone(),
        }],
        attributes: Vec::new(),
    })
}

fn check_currency(conditions: &Conditions, currency: &str) -> Result<(), No> {
    match &conditions.currency {
        Some(wanted) if wanted != currency => {
            Err(No::plain("other-currency", &format!("it is for carts in {wanted}")))
        }
        _ => Ok(()),
    }
}

fn check_time(conditions: &Conditions, now_ms: u64) -> Result<(), No> {
    if let Some(from) = conditions.from.filter(|from| now_ms < from.0) {
        let wait = i64::try_from(from.0 - now_ms).unwrap_or(i64::MAX);
        return Err(No::lacking("not-yet", "it has not begun yet", "wait", wait));
    }
    if conditions.until.is_some_and(|until| now_ms >= until.0) {
        return Err(No::plain("expired", "it is over"));
    }
    Ok(())
}

fn check_customer(conditions: &Conditions, customer: Option<&Customer>) -> Result<(), No> {
    let Conditions { groups, tiers, first_order, .. } = conditions;
    if !groups.is_empty() && !customer.is_some_and(|c| c.groups.iter().any(|group| groups.contains(group))) {
        return Err(No::plain("not-in-group", "it is for another group of customers"));
    }
    let tier = customer.and_then(|c| c.tier.as_ref());
    if !tiers.is_empty() && tier.is_none_or(|tier| !tiers.contains(tier)) {
        return Err(No::plain("not-in-tier", "it is for another loyalty tier"));
    }
    if *first_order && customer.is_none_or(|c| c.orders_count != 0) {
        return Err(No::plain("not-first-order", "it is for the first order of a known customer"));
    }
    Ok(())
}

fn check_cart(promotion: &Promotion, request: &PromotionRequest) -> Result<(), No> {
    let conditions = &promotion.conditions;
    if let Some(min) = conditions.min_subtotal.filter(|min| request.subtotal < *min) {
        return Err(No::lacking(
            "spend-more",
            "the goods are not worth enough",
            "spend-more",
            min - request.subtotal,
        ));
    }
    if let Some(wanted) = &conditions.contains
        && !request.cart.lines.iter().any(|line| matches(wanted, line))
    {
        return Err(No::lacking(
            "product-missing",
            "a product it is for is not in the cart",
            "add-product",
            1,
        ));
    }
    let units: i64 = chosen(promotion, request).iter().map(|(line, _)| i64::from(line.quantity)).sum();
    if let Some(min) = conditions.min_quantity.map(i64::from).filter(|min| units < *min) {
        return Err(No::lacking(
            "add-units",
            "there are not enough units in the cart",
            "add-units",
            min - units,
        ));
    }
    Ok(())
}

/// The lines it is about, with their prices.
fn chosen<'a>(promotion: &Promotion, request: &'a PromotionRequest) -> Vec<(&'a Line, &'a LineState)> {
    let wanted = |line: &Line| promotion.items.as_ref().is_none_or(|items| matches(items, line));
    let state = |line: &Line| request.lines.iter().find(|state| state.line == line.id);
    request
        .cart
        .lines
        .iter()
        .filter(|line| wanted(line))
        .filter_map(|line| Some((line, state(line)?)))
        .collect()
}

fn matches(items: &Items, line: &Line) -> bool {
    let any =
        |wanted: &[String], found: &[String]| wanted.is_empty() || found.iter().any(|f| wanted.contains(f));
    (items.products.is_empty() || items.products.contains(&line.product))
        && (items.skus.is_empty() || items.skus.contains(&line.sku))
        && any(&items.categories, &line.categories)
        && any(&items.tags, &line.tags)
}

fn discount(promotion: &Promotion, request: &PromotionRequest) -> Result<(Target, Value), No> {
    if promotion.discount == Discount::FreeShipping {
        return Ok((Target::Shipping(None), Value::Rate(1_000_000)));
    }
    let lines = chosen(promotion, request);
    if lines.is_empty() {
        return Err(No::lacking(
            "product-missing",
            "a product it is for is not in the cart",
            "add-product",
            1,
        ));
    }
    let all_units =
        || lines.iter().map(|(line, _)| LineUnits { line: line.id.clone(), units: line.quantity }).collect();
    let target = || if promotion.items.is_none() { Target::Order } else { Target::Lines(all_units()) };
    Ok(match promotion.discount {
        Discount::Rate { ppm } => (target(), Value::Rate(ppm)),
        Discount::Amount { minor } => (target(), Value::Amount(minor)),
        // A unit price is about units, so the lines are named even when it is about all of them.
        Discount::UnitPrice { minor } => (Target::Lines(all_units()), Value::UnitPrice(minor)),
        Discount::BuyXGetY { buy, get, ppm } => {
            (Target::Lines(cheapest(&lines, buy, get)?), Value::Rate(ppm))
        }
        Discount::FreeShipping => unreachable!("answered above"),
    })
}

/// Of each full `buy + get` units the `get` cheapest of all.
fn cheapest(lines: &[(&Line, &LineState)], buy: u32, get: u32) -> Result<Vec<LineUnits>, No> {
    let set = u64::from(buy) + u64::from(get);
    let units: u64 = lines.iter().map(|(line, _)| u64::from(line.quantity)).sum();
    if get == 0 || units < set {
        let missing = i64::try_from(set.saturating_sub(units)).unwrap_or(i64::MAX);
        return Err(No::lacking("add-units", "there are not enough units in the cart", "add-units", missing));
    }
    let mut free = units / set * u64::from(get);
    let mut by_price: Vec<_> = lines.to_vec();
    by_price.sort_by_key(|(_, state)| state.unit_price);
    let mut granted = Vec::new();
    for (line, _) in by_price {
        let taken = u32::try_from(free).unwrap_or(u32::MAX).min(line.quantity);
        if taken == 0 {
            break;
        }
        granted.push(LineUnits { line: line.id.clone(), units: taken });
        free -= u64::from(taken);
    }
    Ok(granted)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::bindings::till::checkout::types::{Cart, LineKind};

    fn request(lines: &[(&str, u32, i64)], codes: &[&str], customer: Option<Customer>) -> PromotionRequest {
        let line = |(id, quantity, _): &(&str, u32, i64)| Line {
            id: (*id).to_owned(),
            product: format!("p-{id}"),
            variant: None,
            sku: (*id).to_owned(),
            title: (*id).to_owned(),
            quantity: *quantity,
            kind: LineKind::Physical,
            parent: None,
            catalog_price: 0,
            compare_at: None,
            price_includes_tax: false,
            tax_class: "standard".into(),
            weight_g: 0,
            dimensions: None,
            categories: vec!["shoes".into()],
            tags: vec![format!("tag-{id}")],
            warehouse: None,
            group: None,
            attributes: vec![],
        };
        let state = |(id, quantity, price): &(&str, u32, i64)| LineState {
            line: (*id).to_owned(),
            unit_price: *price,
            original: price * i64::from(*quantity),
            remaining: price * i64::from(*quantity),
        };
        let code = |code: &&str| Code { code: (*code).to_owned(), uses_left: None, customer_uses_left: None };
        let states: Vec<_> = lines.iter().map(state).collect();
        PromotionRequest {
            subtotal: states.iter().map(|state| state.original).sum(),
            cart: Cart {
                id: "c".into(),
                lines: lines.iter().map(line).collect(),
                customer,
                codes: codes.iter().map(code).collect(),
                attributes: vec![],
            },
            lines: states,
            earlier: vec![],
            shipping: vec![],
            attributes: vec![],
        }
    }

    fn customer(groups: &[&str], orders_count: u32) -> Option<Customer> {
        Some(Customer {
            id: "c".into(),
            groups: groups.iter().map(|g| (*g).to_owned()).collect(),
            tier: Some("gold".into()),
            tags: vec![],
            orders_count,
            tax_exemptions: vec![],
            attributes: vec![],
        })
    }

    fn run(promotion: &str, request: &PromotionRequest) -> PromotionResult {
        let config = serde_json::from_str(&format!(r#"{{"promotions":[{promotion}]}}"#)).unwrap();
        let unique = |code: &str| (code == "U-1").then(|| "x".to_owned());
        evaluate(&config, request, &ASKED, unique)
    }

    const ASKED: Asked<'static> = Asked { currency: "USD", now_ms: 1_717_200_000_000 };

    fn rule(rest: &str) -> String {
        format!(r#"{{"id":"x","title":"X",{rest}}}"#)
    }

    const TENTH: &str = r#""discount":{"kind":"rate","ppm":100000}"#;

    #[test]
    fn the_demo_takes_fifteen_percent_of_the_goods() {
        let config: Config = serde_json::from_str(include_str!("../demo.json")).unwrap();
        let request = request(&[("a", 2, 24_999)], &["summer2024"], None);
        let result = evaluate(&config, &request, &ASKED, |_| None);
        let [candidate] = &result.candidates[..] else { panic!("{result:?}") };
        assert_eq!(candidate.code.as_deref(), Some("summer2024"));
        assert!(matches!((&candidate.target, &candidate.value), (Target::Order, Value::Rate(150_000))));
        assert!(!candidate.automatic);
    }

    #[test]
    fn an_unknown_code_is_left_to_others() {
        let result =
            run(&rule(&format!(r#""codes":["A"],{TENTH}"#)), &request(&[("a", 1, 100)], &["B"], None));
        assert!(result.candidates.is_empty() && result.refusals.is_empty());
    }

    #[test]
    fn what_is_missing_is_told() {
        let check = |conditions: &str, code: &str, missing: Option<(&str, i64)>| {
            let promotion = rule(&format!(r#""codes":["A"],{TENTH},"conditions":{conditions}"#));
            let result = run(&promotion, &request(&[("a", 2, 100)], &["A"], customer(&["trade"], 3)));
            assert!(result.candidates.is_empty(), "{conditions}");
            let refusal = &result.refusals[0];
            assert_eq!(refusal.reason.code, code);
            let found = refusal.missing.first().map(|m| (m.code.as_str(), m.quantity.unwrap()));
            assert_eq!(found, missing, "{conditions}");
        };
        check(r#"{"min_subtotal":500}"#, "spend-more", Some(("spend-more", 300)));
        check(r#"{"min_quantity":5}"#, "add-units", Some(("add-units", 3)));
        check(r#"{"contains":{"products":["p-z"]}}"#, "product-missing", Some(("add-product", 1)));
        check(r#"{"groups":["vip"]}"#, "not-in-group", None);
        check(r#"{"tiers":["silver"]}"#, "not-in-tier", None);
        check(r#"{"currency":"EUR"}"#, "other-currency", None);
        check(r#"{"first_order":true}"#, "not-first-order", None);
        check(r#"{"until":"2024-06-01"}"#, "expired", None);
        check(r#"{"from":"2024-06-02"}"#, "not-yet", Some(("wait", 86_400_000)));
    }

    #[test]
    fn conditions_that_hold_let_it_through() {
        let conditions = r#"{"currency":"USD","min_subtotal":200,"min_quantity":2,"groups":["trade"],"tiers":["gold"],"first_order":true,
            "from":"2024-06-01","until":"2024-06-02","contains":{"categories":["shoes"],"tags":["tag-a"]}}"#;
        let promotion = rule(&format!(r#"{TENTH},"conditions":{conditions}"#));
        let result = run(&promotion, &request(&[("a", 2, 100)], &[], customer(&["trade"], 0)));
        assert!(result.candidates[0].automatic);
    }

    #[test]
    fn used_up_and_repeated_codes_are_refused() {
        let promotion = rule(&format!(r#""codes":["A","B"],{TENTH}"#));
        let mut twice = request(&[("a", 1, 100)], &["A", "b"], None);
        let result = run(&promotion, &twice);
        assert_eq!((result.candidates.len(), result.refusals[0].reason.code.as_str()), (1, "code-repeated"));
        twice.cart.codes[0].uses_left = Some(0);
        twice.cart.codes[1].customer_uses_left = Some(0);
        let codes: Vec<_> = run(&promotion, &twice).refusals.into_iter().map(|r| r.reason.code).collect();
        assert_eq!(codes, ["code-used-up", "code-used-by-customer"]);
    }

    #[test]
    fn a_unique_code_of_the_table_brings_its_promotion() {
        let promotion = rule(&format!(r#""unique_codes":true,{TENTH}"#));
        let result = run(&promotion, &request(&[("a", 1, 100)], &["u-1", "u-2"], None));
        assert_eq!(result.candidates[0].code.as_deref(), Some("u-1"));
        assert!(result.refusals.is_empty());
        assert!(run(&promotion, &request(&[("a", 1, 100)], &[], None)).candidates.is_empty());
    }

    #[test]
    fn buy_two_get_one_gives_the_cheapest() {
        let promotion = rule(r#""discount":{"kind":"buy-x-get-y","buy":2,"get":1}"#);
        let result = run(&promotion, &request(&[("a", 4, 500), ("b", 1, 100), ("c", 2, 300)], &[], None));
        let Target::Lines(lines) = &result.candidates[0].target else { panic!("{result:?}") };
        let units: Vec<_> = lines.iter().map(|l| (l.line.as_str(), l.units)).collect();
        assert_eq!(units, [("b", 1), ("c", 1)]);
        let short = run(&promotion, &request(&[("a", 2, 500)], &[], None));
        assert_eq!(short.refusals[0].missing[0].quantity, Some(1));
    }

    #[test]
    fn chosen_items_are_named_with_their_units() {
        let promotion = rule(r#""discount":{"kind":"amount","minor":50},"items":{"skus":["b"]}"#);
        let result = run(&promotion, &request(&[("a", 1, 500), ("b", 3, 100)], &[], None));
        let Target::Lines(lines) = &result.candidates[0].target else { panic!("{result:?}") };
        assert_eq!((lines.len(), lines[0].units), (1, 3));
    }

    #[test]
    fn free_shipping_is_a_rate_of_all_shipping() {
        let result =
            run(&rule(r#""discount":{"kind":"free-shipping"}"#), &request(&[("a", 1, 1)], &[], None));
        assert!(matches!(result.candidates[0].target, Target::Shipping(None)));
    }
}
