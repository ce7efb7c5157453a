//! The worked example to the cent, answers that break promises, and random carts that must add up.

use proptest::prelude::*;
use till_model::money::{Allocation, Currency, Rounding, TaxRounding};
use till_sandbox::wit::{pricing, promotion, shipping as rates, tax as taxes, types};

use super::*;
use crate::inventory::Part;

fn by(name: &str) -> Component {
    Component { name: name.to_owned(), digest: format!("sha256:{name}") }
}

fn line(id: &str, quantity: u32, price: i64) -> LineInput {
    serde_json::from_value(serde_json::json!({
        "id": id, "product": "PROD-12345", "sku": "SKU-ABC-001", "title": "Premium Wireless Headphones",
        "quantity": quantity, "catalog_price": price, "warehouse": "US-WEST-01", "stock": 50,
    }))
    .unwrap()
}

fn address() -> Address {
    Address {
        street: vec!["123 Main St".to_owned()],
        city: "San Francisco".to_owned(),
        region: "CA".to_owned(),
        postal_code: "94105".to_owned(),
        country: "US".to_owned(),
        ..Address::default()
    }
}

fn demo() -> Inputs {
    Inputs {
        cart: "CART-789012".to_owned(),
        currency: Currency::from_code("USD").unwrap(),
        now_ms: 1_723_300_200_000,
        lines: vec![line("L1", 2, 24_999)],
        customer: Some(CustomerInput {
            id: "CUST-12345".to_owned(),
            tier: Some("gold".to_owned()),
            points_balance: 1_250,
            ..CustomerInput::default()
        }),
        codes: vec![CodeInput::new("SUMMER2024")],
        promotion_uses: Default::default(),
        campaigns: vec![],
        points_to_use: 500,
        shipping_address: Some(address()),
        billing_address: Some(address()),
        shipping_option: Some("standard".to_owned()),
        shipping_options: Default::default(),
        payment_method: Some(PaymentMethodInput {
            id: "PM-001".to_owned(),
            kind: "credit_card".to_owned(),
            last4: "4242".to_owned(),
            brand: "visa".to_owned(),
            expires: None,
        }),
        gift_cards: vec![],
        notes: String::new(),
        warehouses: Default::default(),
    }
}

fn candidate(id: &str, target: promotion::Target, value: promotion::Value) -> promotion::Candidate {
    promotion::Candidate {
        promotion: id.to_owned(),
        code: None,
        automatic: true,
        title: id.to_owned(),
        priority: 0,
        exclusive: false,
        combines_with: Vec::new(),
        base: promotion::Base::Original,
        target,
        value,
        cap: None,
        floor_unit_price: None,
        uses: 1,
        uses_limit: None,
        customer_limit: None,
        reasons: Vec::new(),
        attributes: Vec::new(),
    }
}

fn summer() -> promotion::Candidate {
    promotion::Candidate {
        code: Some("SUMMER2024".to_owned()),
        automatic: false,
        ..candidate("summer-2024", promotion::Target::Order, promotion::Value::Rate(150_000))
    }
}

fn option(group: &str, id: &str, price: i64) -> rates::ShippingOption {
    rates::ShippingOption {
        id: id.to_owned(),
        group: group.to_owned(),
        carrier: "Post".to_owned(),
        service: id.to_owned(),
        title: id.to_owned(),
        price,
        tax_class: "shipping".to_owned(),
        earliest_ms: None,
        latest_ms: None,
        pickup: None,
        constraints: Vec::new(),
        expires_ms: None,
        reasons: Vec::new(),
        attributes: Vec::new(),
    }
}

fn entry(on: taxes::AppliesTo, taxable: i64, rate: u32, included: bool) -> taxes::TaxEntry {
    taxes::TaxEntry {
        applies_to: on,
        jurisdiction: "US-CA-SF".to_owned(),
        name: "Sales tax".to_owned(),
        kind: "sales".to_owned(),
        taxable,
        rate: Some(rate),
        amount: None,
        included,
        reasons: Vec::new(),
    }
}

/// Answers of hand-made components.
#[derive(Debug, Clone, Default)]
struct Answers {
    candidates: Vec<Vec<promotion::Candidate>>,
    /// Prices of the option `standard`, by group.
    shipping: Vec<i64>,
    /// Rates on every line and on shipping.
    rates: Vec<u32>,
}

fn promotions_of(candidates: Vec<promotion::Candidate>) -> promotion::PromotionResult {
    promotion::PromotionResult {
        candidates,
        refusals: Vec::new(),
        messages: Vec::new(),
        attributes: Vec::new(),
    }
}

fn taxes_of(entries: Vec<taxes::TaxEntry>) -> taxes::TaxResult {
    taxes::TaxResult { entries, messages: Vec::new(), attributes: Vec::new() }
}

/// Prices as the catalog says, as a component would answer.
fn priced(request: &pricing::PriceRequest) -> pricing::PriceResult {
    let line = |line: &types::Line| {
        pricing::LinePrice::Priced(pricing::PricedLine {
            line: line.id.clone(),
            unit_price: line.catalog_price,
            line_total: line.catalog_price * i64::from(line.quantity),
            compare_at: None,
            price_list: Some("default".to_owned()),
            tier: None,
            includes_tax: line.price_includes_tax,
            reasons: Vec::new(),
            attributes: Vec::new(),
        })
    };
    pricing::PriceResult {
        lines: request.cart.lines.iter().map(line).collect(),
        messages: Vec::new(),
        attributes: Vec::new(),
    }
}

fn goods(settings: &Settings, inputs: &Inputs, answers: &Answers) -> Result<Quote, BrokenPromise> {
    let quote = Quote::new(settings, inputs);
    let prices = priced(&price::build_request(inputs, &quote));
    let quote = price::apply_result(inputs, quote, &by("prices"), &prices)?;
    let mut quote = promotions::begin(inputs, quote)?;
    for (at, candidates) in answers.candidates.iter().enumerate() {
        promotions::build_request(inputs, &quote)?;
        let result = promotions_of(candidates.clone());
        quote = promotions::apply_result(inputs, quote, &by(&format!("promotions-{at}")), &result)?;
    }
    Ok(quote)
}

fn shipped(inputs: &Inputs, quote: Quote, answers: &Answers) -> Result<Quote, BrokenPromise> {
    let quote = points::apply(inputs, quote)?;
    let request = shipping::build_request(inputs, &quote)?;
    let prices = answers.shipping.iter().chain(std::iter::repeat(&0));
    let options = request
        .groups
        .iter()
        .zip(prices)
        .flat_map(|(group, price)| {
            [option(&group.id, "standard", *price), option(&group.id, "express", price * 2)]
        })
        .collect();
    let result = rates::RateResult { options, messages: Vec::new(), attributes: Vec::new() };
    shipping::apply_results(inputs, quote, &[(by("rates"), result)])
}

fn run(settings: &Settings, inputs: &Inputs, answers: &Answers) -> Result<Quote, BrokenPromise> {
    let quote = shipped(inputs, goods(settings, inputs, answers)?, answers)?;
    let request = tax::build_request(inputs, &quote);
    let mut entries = Vec::new();
    for (at, rate) in answers.rates.iter().enumerate() {
        let named = |entry: taxes::TaxEntry| taxes::TaxEntry { name: format!("Tax {at}"), ..entry };
        for line in &request.lines {
            let on = taxes::AppliesTo::Line(line.line.clone());
            entries.push(named(entry(on, line.net, *rate, line.includes_tax)));
        }
        for group in &request.shipping {
            let on = taxes::AppliesTo::Shipping(group.group.clone());
            entries.push(named(entry(on, group.net, *rate, group.includes_tax)));
        }
    }
    let quote = tax::apply_result(inputs, quote, &by("tax"), &taxes_of(entries))?;
    total::apply(inputs, quote)
}

fn demo_answers() -> Answers {
    Answers { candidates: vec![vec![summer()]], shipping: vec![1_599], rates: vec![83_810] }
}

#[test]
fn the_worked_example_comes_out_to_the_cent() {
    let inputs = demo();
    let quote = run(&Settings::default(), &inputs, &demo_answers()).unwrap();
    assert_eq!(
        quote.totals,
        Some(Totals {
            subtotal: 49_998,
            discounts: 8_000,
            shipping: 1_599,
            tax: 3_520,
            tax_included: 0,
            total: 47_117,
            points_used: 500,
            points_earned: 471,
        })
    );
    assert_eq!(quote.total().unwrap().to_string(), "471.17 USD");
    let entries = quote.entries().iter().map(|entry| (entry.kind, entry.amount)).collect::<Vec<_>>();
    assert_eq!(
        entries,
        [
            (EntryKind::Subtotal, 49_998),
            (EntryKind::Discount, -7_500),
            (EntryKind::LoyaltyPoints, -500),
            (EntryKind::Shipping, 1_599),
            (EntryKind::Tax, 3_520),
            (EntryKind::Total, 47_117),
        ]
    );
    assert_eq!(quote.line_entries("L1").last().unwrap().amount, 45_518);
    assert!(requirements(&inputs, &quote).is_empty(), "{:?}", requirements(&inputs, &quote));
    assert!(quote.messages.is_empty(), "{:?}", quote.messages);
    let back: Quote = serde_json::from_str(&serde_json::to_string(&quote).unwrap()).unwrap();
    assert_eq!(back, quote);
}

#[test]
fn the_token_changes_with_the_price_and_the_components_and_not_with_the_time() {
    let inputs = demo();
    let token =
        |inputs: &Inputs, answers: &Answers| run(&Settings::default(), inputs, answers).unwrap().token();
    let first = token(&inputs, &demo_answers());
    assert_eq!(token(&Inputs { now_ms: 1, ..inputs.clone() }, &demo_answers()), first);
    assert_ne!(token(&inputs, &Answers { shipping: vec![1_600], ..demo_answers() }), first);
    let mut other = run(&Settings::default(), &inputs, &demo_answers()).unwrap();
    other.priced_by[0].digest = "sha256:newer".to_owned();
    assert_ne!(other.token(), first);
}

#[test]
fn a_stage_can_be_run_again_and_gives_the_same() {
    let (settings, inputs, answers) = (Settings::default(), demo(), demo_answers());
    let done = run(&settings, &inputs, &answers).unwrap();
    let result = taxes_of(vec![entry(taxes::AppliesTo::Line("L1".to_owned()), 41_998, 83_810, false)]);
    let again = shipped(&inputs, done.clone(), &answers).unwrap();
    let again = tax::apply_result(&inputs, again, &by("tax"), &result).unwrap();
    let again = total::apply(&inputs, again).unwrap();
    assert_eq!(again.totals, done.totals);
    assert_eq!(again.priced_by, done.priced_by);
    let repriced = goods(&settings, &inputs, &answers).unwrap();
    assert_eq!(promotions::begin(&inputs, done).unwrap().discounts, Vec::new());
    assert_eq!(repriced.discounts.len(), 1);
}

#[test]
fn a_cart_of_twenty_lines_stays_small() {
    let mut inputs = demo();
    inputs.lines = (0..20).map(|at| line(&format!("L{at}"), 3, 1_999 + at)).collect();
    let offer = |at: usize| {
        candidate(&format!("promotion-{at}"), promotion::Target::Order, promotion::Value::Rate(50_000))
    };
    let answers = Answers {
        candidates: vec![(0..4).map(offer).collect(), vec![summer()]],
        shipping: vec![1_599],
        rates: vec![60_000, 23_810],
    };
    let quote = run(&Settings::default(), &inputs, &answers).unwrap();
    let bytes = serde_json::to_vec(&quote).unwrap().len() + serde_json::to_vec(&inputs).unwrap().len();
    assert!(bytes < 40_000, "{bytes} bytes");
}

fn applied(quote: &Quote) -> Vec<(&str, i64)> {
    quote.discounts.iter().map(|off| (off.id.as_str(), off.amount)).collect()
}

#[test]
fn an_exclusive_promotion_silences_what_is_weaker() {
    let strong = promotion::Candidate { priority: 10, exclusive: true, ..summer() };
    let weak = candidate("weak", promotion::Target::Order, promotion::Value::Amount(100));
    let free = candidate("free", promotion::Target::Shipping(None), promotion::Value::Rate(1_000_000));
    let answers =
        Answers { candidates: vec![vec![weak.clone(), free], vec![strong.clone()]], ..demo_answers() };
    let quote = run(&Settings::default(), &demo(), &answers).unwrap();
    assert_eq!(applied(&quote), [("summer-2024", 7_500), ("points", 500)]);
    let refused = quote.trace.iter().filter(|entry| entry.what == What::NotApplied).collect::<Vec<_>>();
    assert_eq!(refused.len(), 2);
    assert_eq!(refused[0].reasons[0].code, "not-combinable");

    // An exclusive one that gives nothing silences nobody.
    let nothing = promotion::Candidate { value: promotion::Value::Rate(0), ..strong };
    let quote = run(
        &Settings::default(),
        &demo(),
        &Answers { candidates: vec![vec![nothing, weak]], ..demo_answers() },
    );
    assert_eq!(applied(&quote.unwrap())[0], ("weak", 100));
}

#[test]
fn stacking_goes_by_priority_on_the_original_or_on_what_is_left() {
    let half = |base: promotion::Base, priority: i32| promotion::Candidate {
        base,
        priority,
        ..candidate("half", promotion::Target::Order, promotion::Value::Rate(500_000))
    };
    let first = candidate("first", promotion::Target::Order, promotion::Value::Amount(10_000));
    let run = |second: promotion::Candidate| {
        let candidates = vec![vec![second, promotion::Candidate { priority: 5, ..first.clone() }]];
        let quote = goods(&Settings::default(), &demo(), &Answers { candidates, ..demo_answers() }).unwrap();
        applied(&quote).iter().map(|(_, amount)| *amount).collect::<Vec<_>>()
    };
    assert_eq!(run(half(promotion::Base::Original, 1)), [10_000, 24_999]);
    assert_eq!(run(half(promotion::Base::Remaining, 1)), [10_000, 19_999]);
    assert_eq!(run(half(promotion::Base::Remaining, 9)), [24_999, 10_000]);
}

#[test]
fn what_a_floor_refuses_is_offered_to_the_other_lines() {
    let mut inputs = demo();
    inputs.lines = vec![line("A", 1, 1_000), line("B", 2, 1_500), line("C", 1, 1_000)];
    let off = promotion::Candidate {
        floor_unit_price: Some(900),
        ..candidate("floor", promotion::Target::Order, promotion::Value::Amount(1_000))
    };
    let quote =
        goods(&Settings::default(), &inputs, &Answers { candidates: vec![vec![off]], ..demo_answers() });
    let taken = quote.unwrap().lines.iter().map(|line| line.discount).collect::<Vec<_>>();
    assert_eq!(taken, [100, 800, 100], "200 and 200 were offered to A and C, which keep 9.00 each");
}

#[test]
fn units_can_be_free_or_have_a_new_price_up_to_a_cap() {
    let mut inputs = demo();
    inputs.lines = vec![line("A", 3, 1_000)];
    let units =
        |units: u32| promotion::Target::Lines(vec![promotion::LineUnits { line: "A".to_owned(), units }]);
    let take = |candidate: promotion::Candidate| {
        let answers = Answers { candidates: vec![vec![candidate]], ..demo_answers() };
        goods(&Settings::default(), &inputs, &answers).unwrap().lines[0].discount
    };
    assert_eq!(take(candidate("third free", units(1), promotion::Value::Rate(1_000_000))), 1_000);
    let seven = candidate("seven each", units(2), promotion::Value::UnitPrice(700));
    assert_eq!(take(seven.clone()), 600);
    assert_eq!(take(promotion::Candidate { cap: Some(450), ..seven }), 450);
    assert_eq!(take(candidate("dearer", units(2), promotion::Value::UnitPrice(2_000))), 0);
}

#[test]
fn used_up_promotions_and_codes_are_told() {
    let mut inputs = demo();
    inputs.codes[0].uses_left = Some(0);
    inputs.codes.push(CodeInput::new("NONSENSE"));
    let quote = goods(&Settings::default(), &inputs, &demo_answers()).unwrap();
    let told = quote.messages.iter().map(|message| (message.code.as_str(), message.path.as_deref().unwrap()));
    assert_eq!(told.collect::<Vec<_>>(), [("used-up", "$.codes[0]"), ("code-unknown", "$.codes[1]")]);

    let mut inputs = demo();
    inputs.promotion_uses.insert("summer-2024".to_owned(), UsesInput { total: 7, customer: 1 });
    let limited = promotion::Candidate { customer_limit: Some(1), uses_limit: Some(100), ..summer() };
    let answers = Answers { candidates: vec![vec![limited]], ..demo_answers() };
    let quote = goods(&Settings::default(), &inputs, &answers).unwrap();
    assert_eq!(quote.messages[0].code, "used-by-customer");
}

#[test]
fn points_are_clamped_to_the_balance_and_to_what_is_left() {
    let used = |wanted: u64, balance: u64| {
        let mut inputs = demo();
        inputs.points_to_use = wanted;
        inputs.customer.as_mut().unwrap().points_balance = balance;
        let quote = run(&Settings::default(), &inputs, &demo_answers()).unwrap();
        let code = quote.messages.first().map(|message| message.code.clone()).unwrap_or_default();
        (quote.totals.unwrap().points_used, code)
    };
    assert_eq!(used(500, 1_250), (500, String::new()));
    assert_eq!(used(2_000, 1_250), (1_250, "points-above-balance".to_owned()));
    assert_eq!(used(90_000, 100_000), (42_498, "points-above-total".to_owned()));
    let off = Settings {
        points: crate::settings::PointsSettings { enabled: false, ..Default::default() },
        ..Settings::default()
    };
    let quote = run(&off, &demo(), &demo_answers()).unwrap();
    assert_eq!(quote.messages[0].code, "points-disabled");
    assert_eq!(quote.totals.unwrap().points_earned, 0);
}

#[test]
fn shipping_stays_gross_and_its_discount_is_an_entry_of_its_own() {
    let free = promotion::Candidate {
        cap: Some(2_000),
        ..candidate("free", promotion::Target::Shipping(None), promotion::Value::Rate(1_000_000))
    };
    let answers = Answers { candidates: vec![vec![summer(), free]], ..demo_answers() };
    let quote = run(&Settings::default(), &demo(), &answers).unwrap();
    let totals = quote.totals.unwrap();
    assert_eq!((totals.shipping, totals.discounts, totals.total), (1_599, 9_599, 45_518));
    let express = quote.option_entries("ship-US-WEST-01", "express");
    assert_eq!(express.iter().map(|entry| entry.amount).collect::<Vec<_>>(), [3_198, -2_000, 1_198]);
}

#[test]
fn tier_benefits_apply_only_where_the_merchant_turns_them_on() {
    let mut settings = Settings::default();
    let gold = crate::settings::TierBenefit { free_shipping: true, discount_ppm: 50_000 };
    settings.tier_benefits.tiers.insert("gold".to_owned(), gold);
    assert_eq!(run(&settings, &demo(), &demo_answers()).unwrap().totals.unwrap().total, 47_117);
    settings.tier_benefits.applied = true;
    let quote = run(&settings, &demo(), &demo_answers()).unwrap();
    let off = [("summer-2024", 7_500), ("tier:gold", 2_125), ("points", 500), ("tier:gold#2", 1_599)];
    assert_eq!(applied(&quote), off);
    assert_eq!(quote.discounts[1].kind, DiscountKind::TierBenefit);
}

#[test]
fn contained_tax_is_told_and_not_added() {
    let mut inputs = demo();
    (inputs.codes, inputs.points_to_use) = (Vec::new(), 0);
    inputs.lines = vec![LineInput { includes_tax: true, ..line("A", 1, 11_900) }];
    let answers = Answers { candidates: Vec::new(), shipping: vec![595], rates: vec![190_000] };
    let settings = Settings { prices_include_tax: true, tax_on_shipping: true, ..Settings::default() };
    let totals = run(&settings, &inputs, &answers).unwrap().totals.unwrap();
    assert_eq!((totals.tax, totals.tax_included, totals.total), (0, 1_900 + 95, 12_495));
}

#[test]
fn contained_taxes_never_take_more_than_the_price() {
    let mut inputs = demo();
    (inputs.codes, inputs.points_to_use, inputs.shipping_option) = (Vec::new(), 0, None);
    inputs.lines = vec![LineInput { includes_tax: true, ..line("A", 1, 2) }];
    // Each is 2 × 1 / (1 + 3) = 0.5, rounded up to 1: three of them would be 3 of 2.
    let answers = Answers { rates: vec![1_000_000; 3], ..Answers::default() };
    let quote = run(&Settings::default(), &inputs, &answers).unwrap();
    assert_eq!(quote.taxes.iter().map(|tax| tax.amount).collect::<Vec<_>>(), [1, 1, 0]);
    assert_eq!(quote.totals.unwrap().total, 2);
}

#[test]
fn tax_is_rounded_where_its_policy_says() {
    let mut inputs = demo();
    (inputs.codes, inputs.points_to_use, inputs.shipping_option) = (Vec::new(), 0, None);
    inputs.lines = vec![line("A", 3, 115), line("B", 3, 115)];
    let tax = |tax_rounding: TaxRounding| {
        let settings = Settings { tax_rounding, ..Settings::default() };
        let answers = Answers { rates: vec![100_000], ..Answers::default() };
        run(&settings, &inputs, &answers).unwrap().totals.unwrap().tax
    };
    assert_eq!(tax(TaxRounding::Line), 70); // 34.5 → 35, twice
    assert_eq!(tax(TaxRounding::Unit), 72); // 11.5 → 12, six times
    assert_eq!(tax(TaxRounding::SumPerRate), 69);
}

#[test]
fn requirements_name_what_is_missing_and_who_can_mend_it() {
    let inputs = Inputs { shipping_address: None, shipping_option: None, payment_method: None, ..demo() };
    let codes = |inputs: &Inputs, quote: &Quote| {
        requirements(inputs, quote).into_iter().map(|need| need.code).collect::<Vec<_>>()
    };
    let quote = run(&Settings::default(), &inputs, &demo_answers()).unwrap();
    assert_eq!(codes(&inputs, &quote), ["shipping-address", "payment-method"]);
    let inputs =
        Inputs { shipping_address: Some(Address { country: "usa".to_owned(), ..address() }), ..inputs };
    assert_eq!(codes(&inputs, &quote), ["address-invalid", "shipping-option", "payment-method"]);
    let mut inputs = demo();
    inputs.lines[0].stock = Some(1);
    inputs.lines.push(LineInput { withdrawn: true, ..line("L2", 1, 100) });
    let quote = run(&Settings::default(), &inputs, &demo_answers()).unwrap();
    assert_eq!(codes(&inputs, &quote), ["stock-short", "line-unavailable"]);
    assert_eq!(quote.totals.unwrap().subtotal, 49_998);
    let quote = goods(&Settings::default(), &demo(), &demo_answers()).unwrap();
    assert_eq!(codes(&demo(), &quote), ["quote-incomplete"]);
    let mut free = demo();
    (free.points_to_use, free.payment_method, free.lines[0].kind) = (100_000, None, Kind::Digital);
    free.customer.as_mut().unwrap().points_balance = 100_000;
    let answers = Answers { rates: Vec::new(), ..demo_answers() };
    let quote = run(&Settings::default(), &free, &answers).unwrap();
    assert_eq!(quote.totals.unwrap().total, 0);
    assert!(requirements(&free, &quote).is_empty());
}

#[test]
fn an_omitted_component_is_told_and_traced() {
    let mut quote = goods(&Settings::default(), &demo(), &Answers::default()).unwrap();
    quote.note_omitted(Stage::Promotions, &by("flaky"), "it ran out of fuel");
    let quote =
        promotions::apply_result(&demo(), quote, &by("good"), &promotions_of(vec![summer()])).unwrap();
    assert!(quote.messages.iter().any(|message| message.code == "component-omitted"));
    assert!(quote.trace.iter().any(|entry| entry.what == What::Omitted && entry.by == "flaky"));
}

#[test]
fn prices_that_break_a_promise_are_named() {
    let inputs = demo();
    let broken = |change: fn(&mut pricing::PriceResult)| {
        let quote = Quote::new(&Settings::default(), &inputs);
        let mut result = priced(&price::build_request(&inputs, &quote));
        change(&mut result);
        price::apply_result(&inputs, quote, &by("prices"), &result).unwrap_err().rule
    };
    fn first(result: &mut pricing::PriceResult) -> &mut pricing::PricedLine {
        match &mut result.lines[0] {
            pricing::LinePrice::Priced(line) => line,
            pricing::LinePrice::Unavailable(_) => unreachable!("all lines are priced"),
        }
    }
    assert_eq!(broken(|result| result.lines.clear()), Rule::LineAnsweredOnce);
    assert_eq!(broken(|result| result.lines.push(result.lines[0].clone())), Rule::LineAnsweredOnce);
    assert_eq!(broken(|result| first(result).line_total = -1), Rule::NegativeAmount);
    assert_eq!(broken(|result| first(result).unit_price = -1), Rule::NegativeAmount);
    assert_eq!(
        broken(|result| result.lines = vec![result.lines[0].clone(); ITEMS_MAX + 1]),
        Rule::TooManyItems
    );
    let unknown = |result: &mut pricing::PriceResult| {
        let mut other = result.lines[0].clone();
        if let pricing::LinePrice::Priced(line) = &mut other {
            line.line = "L9".to_owned();
        }
        result.lines.push(other);
    };
    assert_eq!(broken(unknown), Rule::UnknownId);
}

#[test]
fn promotions_that_break_a_promise_are_named() {
    use promotion::{Target, Value};
    let broken = |candidate: promotion::Candidate| {
        let answers = Answers { candidates: vec![vec![candidate]], ..demo_answers() };
        goods(&Settings::default(), &demo(), &answers).unwrap_err().rule
    };
    let units =
        |line: &str, units| Target::Lines(vec![promotion::LineUnits { line: line.to_owned(), units }]);
    assert_eq!(broken(candidate("p", Target::Order, Value::Amount(-1))), Rule::NegativeAmount);
    assert_eq!(broken(candidate("p", Target::Order, Value::Amount(49_999))), Rule::DiscountAboveBase);
    assert_eq!(broken(candidate("p", Target::Order, Value::Rate(1_000_001))), Rule::RateOutOfRange);
    assert_eq!(broken(candidate("p", units("L9", 1), Value::Rate(1))), Rule::UnknownId);
    assert_eq!(broken(candidate("p", units("L1", 3), Value::Rate(1))), Rule::Units);
    assert_eq!(broken(candidate("p", units("L1", 0), Value::Rate(1))), Rule::Units);
    assert_eq!(broken(candidate("", Target::Order, Value::Rate(1))), Rule::UnknownId);
    let other_code = promotion::Candidate { code: Some("summer2024".to_owned()), ..summer() };
    assert_eq!(broken(other_code), Rule::UnknownId);
    assert_eq!(broken(promotion::Candidate { cap: Some(-1), ..summer() }), Rule::NegativeAmount);
}

#[test]
fn shipping_that_breaks_a_promise_is_named() {
    let broken = |options: Vec<rates::ShippingOption>| {
        let quote = goods(&Settings::default(), &demo(), &demo_answers()).unwrap();
        let result = rates::RateResult { options, messages: Vec::new(), attributes: Vec::new() };
        shipping::apply_results(&demo(), quote, &[(by("rates"), result)]).unwrap_err().rule
    };
    let group = "ship-US-WEST-01";
    assert_eq!(broken(vec![option("elsewhere", "standard", 1)]), Rule::UnknownId);
    assert_eq!(broken(vec![option(group, "standard", -1)]), Rule::NegativeAmount);
    assert_eq!(broken(vec![option(group, "standard", 1), option(group, "standard", 2)]), Rule::OptionId);
    assert_eq!(broken(vec![option(group, "", 1)]), Rule::OptionId);
}

#[test]
fn taxes_that_break_a_promise_are_named() {
    let inputs = demo();
    let quote =
        shipped(&inputs, goods(&Settings::default(), &inputs, &demo_answers()).unwrap(), &demo_answers())
            .unwrap();
    let l1 = || taxes::AppliesTo::Line("L1".to_owned());
    let tell = |entry: taxes::TaxEntry| {
        tax::apply_result(&inputs, quote.clone(), &by("tax"), &taxes_of(vec![entry]))
    };
    let broken = |entry: taxes::TaxEntry| tell(entry).unwrap_err().rule;
    let group = taxes::AppliesTo::Shipping("ship-US-WEST-01".to_owned());
    assert_eq!(broken(entry(group, 1, 1, false)), Rule::UnknownId, "shipping is not taxed here");
    assert_eq!(broken(entry(l1(), 41_999, 1, false)), Rule::TaxableAboveNet);
    assert_eq!(broken(entry(l1(), -1, 1, false)), Rule::TaxableAboveNet);
    assert_eq!(broken(entry(l1(), 1, 1_000_001, false)), Rule::RateOutOfRange);
    assert_eq!(broken(entry(l1(), 1, 1, true)), Rule::IncludedFlag);
    assert_eq!(broken(taxes::TaxEntry { rate: None, ..entry(l1(), 1, 1, false) }), Rule::RateOrAmount);
    let given = |amount: i64| taxes::TaxEntry { amount: Some(amount), ..entry(l1(), 41_998, 83_810, false) };
    assert_eq!(broken(given(-1)), Rule::NegativeAmount);
    assert_eq!(broken(given(3_523)), Rule::TaxAmount);
    assert_eq!(tell(given(3_521)).unwrap().taxes[0].amount, 3_521);
    assert_eq!(broken(taxes::TaxEntry { rate: None, ..given(42_000) }), Rule::TaxAmount);
}

#[test]
fn inputs_beyond_the_limits_are_refused_with_the_path() {
    let limits = Settings::default().limits;
    demo().check(&limits).unwrap();
    let mut inputs = demo();
    inputs.lines[0].quantity = 10_000;
    let found = inputs.check(&limits).unwrap_err();
    assert_eq!(found.to_string(), "accept `$.lines[?id=='L1'].quantity` with 10000: at most 9999");
    inputs.lines[0].quantity = 0;
    assert!(matches!(inputs.check(&limits), Err(InputError::NoUnits { .. })));
    inputs.lines = vec![line("A", 1, 1), line("A", 1, 1)];
    assert!(matches!(inputs.check(&limits), Err(InputError::Twice { .. })));
}

fn amount() -> impl Strategy<Value = i64> {
    prop_oneof![Just(0_i64), 1_i64..30, 1_i64..100_000, 1_i64..10_000_000_000]
}

/// Offers on a cart whose lines are `L0`, `L1`, …; amounts are cut to their base so that they keep
/// the contract.
fn offers() -> impl Strategy<Value = Vec<(promotion::Candidate, u64)>> {
    use promotion::{Base, Target, Value};
    let value = prop_oneof![
        amount().prop_map(Value::Amount),
        (0_u32..=1_000_000).prop_map(Value::Rate),
        amount().prop_map(Value::UnitPrice),
    ];
    let target = prop_oneof![
        Just(Target::Order),
        Just(Target::Lines(Vec::new())),
        Just(Target::Shipping(None)),
        Just(Target::Shipping(Some("ship-W1".to_owned()))),
    ];
    let limits = (prop::option::weighted(0.3, amount()), prop::option::weighted(0.3, amount()));
    let one = (value, target, limits, -3_i32..3, prop::bool::weighted(0.1), any::<bool>(), any::<u64>());
    let made = one.prop_map(|(value, target, (cap, floor), priority, exclusive, original, pick)| {
        let made = promotion::Candidate {
            priority,
            exclusive,
            cap,
            floor_unit_price: floor,
            base: if original { Base::Original } else { Base::Remaining },
            ..candidate(&format!("p{}", pick % 5), target, value)
        };
        (made, pick)
    });
    prop::collection::vec(made, 0..6)
}

#[test]
fn a_divided_line_is_in_the_group_of_each_warehouse_with_its_units_and_share() {
    let mut inputs = demo();
    let part = |warehouse: &str, units| Part { warehouse: warehouse.to_owned(), units };
    inputs.lines[0].quantity = 5;
    inputs.lines[0].parts = vec![part("US-WEST-01", 2), part("US-EAST-01", 2), part("US-MID-01", 1)];
    inputs.lines.push(LineInput { warehouse: Some("US-EAST-01".to_owned()), ..line("L2", 1, 100) });
    let quote = price::catalog(&inputs, Quote::new(&Settings::default(), &inputs)).unwrap();
    let request = shipping::build_request(&inputs, &quote).unwrap();
    let told: Vec<(&str, Vec<(&str, u32)>)> = request
        .groups
        .iter()
        .map(|group| (group.id.as_str(), group.lines.iter().map(|l| (l.line.as_str(), l.units)).collect()))
        .collect();
    assert_eq!(
        told,
        [
            ("ship-US-WEST-01", vec![("L1", 2)]),
            ("ship-US-EAST-01", vec![("L1", 2), ("L2", 1)]),
            ("ship-US-MID-01", vec![("L1", 1)]),
        ]
    );
    let value: i64 = request.groups.iter().flat_map(|group| &group.lines).map(|line| line.value).sum();
    assert_eq!(value, quote.goods_total().unwrap(), "the parts of a value sum up to it");
}

proptest! {
    #[test]
    fn every_cart_adds_up_under_every_policy(
        lines in prop::collection::vec((amount(), 1_u32..12, 0_u8..3, any::<bool>()), 1..7),
        offers in offers(),
        points in prop_oneof![Just(0_u64), 0_u64..2_000, 0_u64..100_000_000],
        shipping in prop::collection::vec(amount(), 3),
        rates in prop::collection::vec(prop_oneof![Just(0_u32), 0_u32..300_000, 0_u32..=1_000_000], 0..3),
        flags in any::<[bool; 4]>(),
        code in prop_oneof![Just("USD"), Just("JPY"), Just("KWD")],
    ) {
        let [prices_include_tax, tax_on_shipping, reduce_tax, mixed] = flags;
        let mut inputs = demo();
        inputs.currency = Currency::from_code(code).unwrap();
        inputs.codes.clear();
        inputs.points_to_use = points;
        inputs.customer.as_mut().unwrap().points_balance = 50_000_000;
        inputs.lines = lines
            .iter()
            .enumerate()
            .map(|(at, &(price, quantity, warehouse, digital))| LineInput {
                warehouse: Some(format!("W{warehouse}")),
                kind: if digital { Kind::Digital } else { Kind::Physical },
                includes_tax: prices_include_tax ^ (mixed && at % 2 == 0),
                stock: None,
                ..line(&format!("L{at}"), quantity, price)
            })
            .collect();
        let candidates = offers
            .into_iter()
            .map(|(mut made, pick)| {
                let seed = |at: usize| pick.rotate_left(u32::try_from(at * 7).unwrap());
                if let promotion::Target::Lines(targets) = &mut made.target {
                    *targets = lines
                        .iter()
                        .enumerate()
                        .filter(|(at, _)| seed(*at) % 3 > 0)
                        .map(|(at, line)| promotion::LineUnits {
                            line: format!("L{at}"),
                            units: 1 + u32::try_from(seed(at) % u64::from(line.1)).unwrap(),
                        })
                        .collect();
                }
                let base = match &made.target {
                    promotion::Target::Lines(targets) => targets
                        .iter()
                        .map(|target| lines[target.line[1..].parse::<usize>().unwrap()].0 * i64::from(target.units))
                        .sum(),
                    _ => lines.iter().map(|line| line.0 * i64::from(line.1)).sum::<i64>(),
                };
                if let promotion::Value::Amount(amount) = &mut made.value {
                    *amount = (*amount).min(base);
                }
                made
            })
            .collect::<Vec<_>>();
        let half = candidates.len() / 2;
        let answers = Answers {
            candidates: vec![candidates[..half].to_vec(), candidates[half..].to_vec()],
            shipping,
            rates,
        };
        for rounding in [Rounding::HalfUp, Rounding::HalfEven] {
            for allocation in
                [Allocation::LargestRemainder, Allocation::ProportionalLastTakesRest, Allocation::LeadingUnits]
            {
                for tax_rounding in [TaxRounding::Line, TaxRounding::Unit, TaxRounding::SumPerRate] {
                    let mut settings = Settings {
                        rounding,
                        allocation,
                        tax_rounding,
                        tax_on_shipping,
                        prices_include_tax,
                        ..Settings::default()
                    };
                    settings.points.reduce_tax = reduce_tax;
                    let quote = run(&settings, &inputs, &answers).unwrap();
                    let totals = quote.totals.unwrap();
                    prop_assert_eq!(
                        totals.subtotal - totals.discounts + totals.shipping + totals.tax,
                        totals.total
                    );
                    prop_assert_eq!(quote.entries().last().unwrap().amount, totals.total);
                    let by_line = quote.lines.iter().map(|line| line.payable()).sum::<i64>();
                    let by_group = quote.shipping.iter().map(|group| {
                        let option = group.selected_option().unwrap();
                        option.price - option.discount + group.tax
                    });
                    prop_assert_eq!(by_line + by_group.sum::<i64>(), totals.total);
                    for (line, input) in quote.lines.iter().zip(&inputs.lines) {
                        prop_assert!(line.net() >= 0 && line.net() <= line.total);
                        prop_assert!(line.tax_included <= line.total);
                        prop_assert_eq!(quote.line_entries(&input.id).last().unwrap().amount, line.payable());
                    }
                }
            }
        }
    }
}
