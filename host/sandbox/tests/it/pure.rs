//! Our own pure components, and what holds for every pure call.

use crate::common::{NOW_MS, SANDBOX, call, cart, context, guest, load, san_francisco, tables};
use std::time::Instant;
use till_sandbox::wit::pricing::{LinePrice, PriceRequest};
use till_sandbox::wit::promotion::{LineState, PromotionRequest, Target, Value};
use till_sandbox::wit::shipping::{Group, GroupLine, RateRequest};
use till_sandbox::wit::tax::{AppliesTo, TaxRequest, TaxableLine, TaxableShipping};
use till_sandbox::wit::types::{Code, ComponentError};
use till_sandbox::{Call, Digest, FailureKind, LoadError, Slot};

const DEMO_PROMOTIONS: &str = include_str!("../../../../components/promotions/demo.json");
const DEMO_TAX: &str = include_str!("../../../../components/tax-table/demo.json");
const DEMO_SHIPPING: &str = include_str!("../../../../components/zone-shipping/demo.json");
const DEMO_PRICES: &str = include_str!("../../../../components/price-list/demo.json");
const DEMO_GATEWAY: &str = include_str!("../../../../components/sim-gateway/demo.json");

pub fn price_request() -> PriceRequest {
    PriceRequest { cart: cart(1), attributes: vec![] }
}

fn promotion_request(lines: usize, code: &str) -> PromotionRequest {
    let mut cart = cart(lines);
    cart.codes.push(Code { code: code.into(), uses_left: None, customer_uses_left: None });
    let lines: Vec<_> = cart
        .lines
        .iter()
        .map(|line| LineState {
            line: line.id.clone(),
            unit_price: 24_999,
            original: 49_998,
            remaining: 49_998,
        })
        .collect();
    PromotionRequest {
        subtotal: lines.iter().map(|line| line.original).sum(),
        cart,
        lines,
        earlier: vec![],
        shipping: vec![],
        attributes: vec![],
    }
}

#[tokio::test]
async fn the_demo_gives_the_figures_of_the_worked_example() {
    let priced =
        SANDBOX.price(call(load(Slot::Pricing, "price-list"), DEMO_PRICES), price_request()).await.unwrap();
    let LinePrice::Priced(line) = &priced.value.unwrap().lines[0] else { panic!("the line has a price") };
    assert_eq!((line.unit_price, line.line_total), (24_999, 49_998));

    let promotions = load(Slot::Promotion, "promotions");
    let result =
        SANDBOX.promote(call(promotions, DEMO_PROMOTIONS), promotion_request(1, "SUMMER2024")).await.unwrap();
    let candidate = &result.value.unwrap().candidates[0];
    assert_eq!((&candidate.target, &candidate.value), (&Target::Order, &Value::Rate(150_000)));

    let rates = RateRequest {
        cart: cart(1),
        groups: vec![Group {
            id: "G1".into(),
            lines: vec![GroupLine {
                line: "L1".into(),
                units: 2,
                weight_g: 400,
                value: 42_498,
                tags: vec![],
            }],
            warehouse: None,
            origin: None,
            destination: Some(san_francisco()),
            parcels: vec![],
        }],
        goods_total: 42_498,
        attributes: vec![],
    };
    let result =
        SANDBOX.rates(call(load(Slot::Shipping, "zone-shipping"), DEMO_SHIPPING), rates).await.unwrap();
    let standard = &result.value.unwrap().options[0];
    assert_eq!((standard.id.as_str(), standard.price), ("standard", 1_599));
    assert_eq!(standard.latest_ms, Some(NOW_MS + 5 * 86_400_000));

    let request = TaxRequest {
        ship_from: None,
        ship_to: Some(san_francisco()),
        bill_to: None,
        customer: None,
        lines: vec![TaxableLine {
            line: "L1".into(),
            product: "prod-1".into(),
            sku: "SKU-1".into(),
            kind: till_sandbox::wit::types::LineKind::Physical,
            tax_class: "standard".into(),
            quantity: 2,
            net: 41_998,
            includes_tax: false,
            ship_from: None,
        }],
        shipping: vec![TaxableShipping {
            group: "G1".into(),
            option_id: "standard".into(),
            tax_class: "standard".into(),
            net: 1_599,
            includes_tax: false,
        }],
        attributes: vec![],
    };
    let result = SANDBOX.tax(call(load(Slot::Tax, "tax-table"), DEMO_TAX), request).await.unwrap();
    let entries = result.value.unwrap().entries;
    assert_eq!(entries.len(), 1, "shipping is not taxed");
    assert_eq!((&entries[0].applies_to, entries[0].rate), (&AppliesTo::Line("L1".into()), Some(83_810)));
}

#[test]
fn every_demo_configuration_matches_the_schema_its_component_publishes() {
    for (slot, name, demo) in [
        (Slot::Pricing, "price-list", DEMO_PRICES),
        (Slot::Promotion, "promotions", DEMO_PROMOTIONS),
        (Slot::Tax, "tax-table", DEMO_TAX),
        (Slot::Shipping, "zone-shipping", DEMO_SHIPPING),
        (Slot::PaymentGateway, "sim-gateway", DEMO_GATEWAY),
    ] {
        let component = load(slot, name);
        let schema = serde_json::from_str(&component.info.config_schema).unwrap();
        let validator = jsonschema::validator_for(&schema).unwrap();
        let demo = serde_json::from_str(demo).unwrap();
        if let Err(error) = validator.validate(&demo) {
            panic!("{name}: {error}");
        }
        assert!(!validator.is_valid(&serde_json::json!({ "unheard-of": 1 })), "{name} takes anything");
        assert_eq!((component.contract_version.as_str(), component.slot), ("0.1.2", slot));
        assert_eq!(component.digest, Digest::of(&guest(name)));
    }
}

#[tokio::test]
async fn a_table_is_seen_and_the_call_repeats_to_the_same_answer_and_fuel() {
    let component = load(Slot::Pricing, "price-list");
    let run = || {
        let call =
            Call { binding: tables("prices", &[("USD/SKU-1", "19900")]), ..call(component.clone(), "{}") };
        SANDBOX.price(call, price_request())
    };
    let (first, second) = (run().await.unwrap(), run().await.unwrap());
    let LinePrice::Priced(line) = &first.value.as_ref().unwrap().lines[0] else { panic!("{first:?}") };
    assert_eq!(line.unit_price, 19_900);
    assert_eq!(first.value, second.value);
    assert_eq!(first.report.fuel_used, second.report.fuel_used);
    assert!(first.report.fuel_used > 1_000 && first.report.memory_peak_bytes > 0);
    assert!(!first.report.sent);
}

#[tokio::test]
async fn a_components_own_no_is_an_answer() {
    let component = load(Slot::Promotion, "promotions");
    let answer =
        SANDBOX.promote(call(component, r#"{"promotion":1}"#), promotion_request(1, "X")).await.unwrap();
    let Err(ComponentError::InvalidConfig(detail)) = answer.value else { panic!("{answer:?}") };
    assert_eq!(detail.code, "config-unreadable");
}

#[tokio::test]
async fn a_component_is_called_only_in_its_slot_and_with_inputs_that_fit() {
    let component = load(Slot::Promotion, "promotions");
    let failure = SANDBOX.price(call(component.clone(), "{}"), price_request()).await.unwrap_err();
    assert_eq!(failure.kind, FailureKind::WrongSlot { called: Slot::Pricing, component: Slot::Promotion });

    let mut request = promotion_request(1, "X");
    request.cart.id = "x".repeat(5 << 20);
    let failure = SANDBOX.promote(call(component, "{}"), request).await.unwrap_err();
    assert!(
        matches!(failure.kind, FailureKind::InputTooLarge { limit, size } if limit == 4 << 20 && size > 5 << 20)
    );
}

#[test]
fn the_same_bytes_are_loaded_once_for_each_slot() {
    let first = load(Slot::Pricing, "hostile");
    assert!(std::sync::Arc::ptr_eq(&first, &load(Slot::Pricing, "hostile")));
    assert_eq!(load(Slot::Promotion, "hostile").slot, Slot::Promotion);
    let error = SANDBOX.load(Slot::Tax, &guest("hostile")).unwrap_err();
    assert!(
        matches!(error, LoadError::Exports { slot: Slot::Tax, ref found, .. } if found.len() == 2),
        "{error}"
    );
}

#[tokio::test]
async fn loading_works_inside_a_runtime() {
    load(Slot::PaymentGateway, "sim-gateway");
}

#[tokio::test]
async fn a_caller_who_gives_up_hurts_nobody() {
    let component = load(Slot::Pricing, "hostile");
    for _ in 0..8 {
        let waiting = SANDBOX.price(call(component.clone(), "loop"), price_request());
        assert!(tokio::time::timeout(std::time::Duration::from_millis(1), waiting).await.is_err());
    }
    let answer = SANDBOX.price(call(component, "negative-price"), price_request()).await.unwrap();
    assert!(answer.value.is_ok());
}

#[tokio::test(flavor = "multi_thread")]
async fn a_merchant_with_runaways_does_not_stop_another() {
    let component = load(Slot::Pricing, "hostile");
    let runaways: Vec<_> = (0..20)
        .map(|_| tokio::spawn(SANDBOX.price(call(component.clone(), "loop"), price_request())))
        .collect();
    tokio::time::sleep(std::time::Duration::from_millis(20)).await;
    let mut other = call(component, "negative-price");
    other.ctx = till_sandbox::wit::types::CallContext { merchant: "m2".into(), ..context("negative-price") };
    SANDBOX.price(other, price_request()).await.unwrap();
    let finished = runaways.iter().filter(|runaway| runaway.is_finished()).count();
    assert!(finished < 10, "{finished} of 20 runaways came before the other merchant's call");
    runaways.into_iter().for_each(|runaway| runaway.abort());
}

/// Prints what a warm call costs; asserts nothing that a busy machine could break.
#[tokio::test]
async fn measure_a_warm_promotion_call_with_twenty_lines() {
    let component = load(Slot::Promotion, "promotions");
    let mut whole = Vec::new();
    let mut inside = Vec::new();
    for _ in 0..2_000 {
        let request = promotion_request(20, "SUMMER2024");
        let call = call(component.clone(), DEMO_PROMOTIONS);
        let started = Instant::now();
        let answer = SANDBOX.promote(call, request).await.unwrap();
        whole.push(started.elapsed().as_micros());
        inside.push(u128::from(answer.report.elapsed_us));
    }
    whole.sort_unstable();
    inside.sort_unstable();
    let at = |times: &[u128], percent: usize| times[times.len() * percent / 100];
    println!(
        "promotion, 20 lines: whole call p50 {} p99 {} µs; instance and guest p50 {} p99 {} µs",
        at(&whole, 50),
        at(&whole, 99),
        at(&inside, 50),
        at(&inside, 99)
    );
}

#[test]
fn a_look_at_a_component_says_what_it_offers_to_fill() {
    let outside = SANDBOX.look_at(&guest("hostile")).unwrap();
    assert_eq!(outside.slots, [Slot::Pricing, Slot::Promotion]);
    assert!(outside.imports.iter().any(|import| import.starts_with("till:checkout/log@")));
    assert_eq!(SANDBOX.look_at(&guest("sim-gateway")).unwrap().slots, [Slot::PaymentGateway]);
    // A look is no permission: what it imports is for `load` to judge.
    let sockets = guest("hostile-sockets");
    let seen = SANDBOX.look_at(&sockets).unwrap();
    assert!(seen.imports.iter().any(|import| import.starts_with("wasi:sockets/tcp@")));
    assert!(SANDBOX.load(Slot::Pricing, &sockets).is_err());
    assert!(SANDBOX.look_at(b"\0asm").is_err());
}
