//! A guest that attacks the host or lies to it. The configuration names the attack, and how much of it: `ATTACK N`.
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
                include till:checkout/pricing@0.1.2;
                include till:checkout/promotion@0.1.2;
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
use bindings::till::checkout::tables;
use bindings::till::checkout::types::{CallContext, ComponentError, ComponentInfo};
use std::collections::HashMap;
use std::hash::{BuildHasher, RandomState};
use std::hint::black_box;
use std::sync::atomic::{AtomicU64, Ordering};
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
        let config = ctx.config.trim_matches('"');
        let (attack, amount) = config.split_once(' ').unwrap_or((config, ""));
        let amount: usize = amount.parse().unwrap_or_default();
        match attack {
            "loop" => run_forever(),
            "memory" => eat_memory(),
            "work" => work(amount),
            "pages" => grow_to(amount),
            "depth" => {
                black_box(go_down(amount));
            }
            "answer" => result.attributes.push(("big".to_owned(), "x".repeat(amount))),
            "list" => result.attributes = vec![(String::new(), String::new()); amount],
            "log" => log::log(Level::Info, &"l".repeat(amount)),
            "output" => eprint!("{}", "e".repeat(amount)),
            "look-up" => {
                let found = tables::lookup("stock", &"k".repeat(amount)).is_some();
                result.attributes.push(("found".to_owned(), found.to_string()));
            }
            "host-calls" => {
                let words = "l".repeat(amount);
                loop {
                    log::log(Level::Debug, &words);
                }
            }
            "own-stack" => {
                black_box(pile_up(black_box(1)));
            }
            "recursion" => {
                black_box(go_down(usize::MAX));
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

/// Each frame keeps a kilobyte in the guest's own memory.
#[expect(unconditional_recursion, reason = "that is the attack")]
fn pile_up(n: u8) -> u8 {
    let room = black_box([n; 1_024]);
    black_box(pile_up(black_box(n.wrapping_add(1)))).wrapping_add(room[usize::from(n)])
}

fn run_forever() {
    let mut n = 0_u64;
    loop {
        n = black_box(n.wrapping_add(1));
    }
}

fn work(rounds: usize) {
    for n in 0..rounds {
        black_box(n);
    }
}

/// Linear memory of so many pages in all.
fn grow_to(pages: usize) {
    #[cfg(target_family = "wasm")]
    {
        let more = pages.saturating_sub(core::arch::wasm32::memory_size::<0>());
        core::arch::wasm32::memory_grow::<0>(more);
    }
    #[cfg(not(target_family = "wasm"))]
    black_box(pages);
}

/// Read anew in each frame, so that none of them can be made again instead of being kept.
static KEPT: [AtomicU64; 32] = [const { AtomicU64::new(1) }; 32];

/// Goes down so many frames of at least 256 bytes: what each has read is needed when it comes back.
fn go_down(frames: usize) -> u64 {
    if frames == 0 {
        return 0;
    }
    macro_rules! keep {
        ($($name:ident $at:literal)*) => {{
            $(let $name = KEPT[$at].load(Ordering::Relaxed);)*
            let below = go_down(frames - 1);
            let mut sum = below;
            $(sum = (sum ^ $name).rotate_left(1);)*
            sum
        }};
    }
    keep!(
        a 0 b 1 c 2 d 3 e 4 f 5 g 6 h 7 i 8 j 9 k 10 l 11 m 12 n 13 o 14 p 15
        q 16 r 17 s 18 t 19 u 20 v 21 w 22 x 23 y 24 z 25 aa 26 bb 27 cc 28 dd 29 ee 30 ff 31
    )
}

fn eat_memory() {
    let mut eaten = Vec::new();
    loop {
        eaten.push(black_box(vec![1_u8; 1 << 20]));
    }
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
