//! A guest that attacks the host or lies to it. The configuration names the attack.
//!
//! Fills two slots at once, so that one build serves the tests of both. Each attack has a test in the
//! host that asserts which limit stops it, or which promise it breaks.

#[expect(unsafe_code, reason = "generated from wit/")]
mod bindings {
    wit_bindgen::generate!({
        path: "../../wit",
        inline: "
            package till:hostile;
            world hostile {
                include till:checkout/pricing@0.1.1;
                include till:checkout/promotion@0.1.1;
            }
        ",
        world: "till:hostile/hostile",
        generate_all,
    });
    export!(Hostile with_types_in self);
    use super::Hostile;
}

use bindings::exports::till::checkout::pricing_rules::{
    self, LinePrice, PriceRequest, PriceResult, PricedLine,
};
use bindings::exports::till::checkout::promotion_rules::{
    self, Base, Candidate, PromotionRequest, PromotionResult, Target, Value,
};
use bindings::till::checkout::log::{self, Level};
use bindings::till::checkout::types::{CallContext, ComponentError, ComponentInfo};
use std::collections::HashMap;
use std::hash::{BuildHasher, RandomState};
use std::hint::black_box;
use std::time::{Duration, Instant, SystemTime};

struct Hostile;

fn describe() -> ComponentInfo {
    ComponentInfo {
        name: "Hostile".to_owned(),
        version: env!("CARGO_PKG_VERSION").to_owned(),
        config_schema: "{}".to_owned(),
        capabilities: Vec::new(),
        attributes: Vec::new(),
    }
}

impl pricing_rules::Guest for Hostile {
    fn describe() -> ComponentInfo {
        describe()
    }

    fn price(ctx: CallContext, request: PriceRequest) -> Result<PriceResult, ComponentError> {
        let mut result = PriceResult { lines: Vec::new(), messages: Vec::new(), attributes: Vec::new() };
        // A binding's configuration is JSON: a text has its quotes.
        match ctx.config.trim_matches('"') {
            "loop" => run_forever(),
            "memory" => eat_memory(),
            "recursion" => {
                black_box(recurse(black_box(1)));
            }
            "panic" => panic!("the tier table is empty"),
            "index" => {
                let lines = black_box(&request.cart.lines);
                result.attributes.push((lines[lines.len()].id.clone(), String::new()));
            }
            "exit" => std::process::exit(3),
            "big-answer" => result.attributes.push(("big".to_owned(), "x".repeat(8 << 20))),
            "log-flood" => {
                for _ in 0..1_000 {
                    log::log(Level::Info, &"l".repeat(1_000));
                }
            }
            "output-flood" => {
                for _ in 0..1_000 {
                    eprintln!("{}", "e".repeat(1_000));
                }
                panic!("after the flood");
            }
            "sleep" => std::thread::sleep(Duration::from_secs(3_600)),
            "spy" => result.attributes = spy(),
            "negative-price" => {
                result.lines = request.cart.lines.iter().map(|line| negative(&line.id)).collect();
            }
            other => panic!("there is no attack `{other}`"),
        }
        Ok(result)
    }
}

impl promotion_rules::Guest for Hostile {
    fn describe() -> ComponentInfo {
        describe()
    }

    fn evaluate(ctx: CallContext, request: PromotionRequest) -> Result<PromotionResult, ComponentError> {
        if ctx.config.trim_matches('"') == "loop" {
            run_forever();
        }
        // Twice what there is to take from.
        let candidate = Candidate {
            promotion: "steal".to_owned(),
            code: None,
            automatic: true,
            title: "More than everything".to_owned(),
            priority: 0,
            exclusive: false,
            combines_with: Vec::new(),
            base: Base::Original,
            target: Target::Order,
            value: Value::Amount(request.subtotal.saturating_mul(2)),
            cap: None,
            floor_unit_price: None,
            uses: 1,
            uses_limit: None,
            customer_limit: None,
            reasons: Vec::new(),
            attributes: Vec::new(),
        };
        Ok(PromotionResult {
            candidates: vec![candidate],
            refusals: Vec::new(),
            messages: Vec::new(),
            attributes: Vec::new(),
        })
    }
}

fn run_forever() {
    let mut n = 0_u64;
    loop {
        n = black_box(n.wrapping_add(1));
    }
}

fn eat_memory() {
    let mut eaten = Vec::new();
    loop {
        eaten.push(black_box(vec![1_u8; 1 << 20]));
    }
}

#[expect(unconditional_recursion, reason = "that is the attack")]
fn recurse(n: u64) -> u64 {
    black_box(recurse(black_box(n + 1))) + 1
}

/// All that could tell one run from another.
fn spy() -> Vec<(String, String)> {
    let since_epoch = SystemTime::UNIX_EPOCH.elapsed().map_or(0, |since| since.as_millis());
    let before = Instant::now();
    let hash = RandomState::new().hash_one("x");
    let order: HashMap<u8, ()> = (0..20).map(|n| (n, ())).collect();
    let file = std::fs::read_dir("/").map_or_else(|error| error.kind().to_string(), |_| "open".to_owned());
    vec![
        ("wall".to_owned(), since_epoch.to_string()),
        ("elapsed".to_owned(), before.elapsed().as_nanos().to_string()),
        ("hash".to_owned(), hash.to_string()),
        ("order".to_owned(), format!("{:?}", order.keys())),
        ("files".to_owned(), file),
        ("environment".to_owned(), std::env::vars().count().to_string()),
    ]
}

fn negative(line: &str) -> LinePrice {
    LinePrice::Priced(PricedLine {
        line: line.to_owned(),
        unit_price: -100,
        line_total: -100,
        compare_at: None,
        price_list: None,
        tier: None,
        includes_tax: false,
        reasons: Vec::new(),
        attributes: Vec::new(),
    })
}
