//! Carts made up for the suites, always the same.

use serde_json::Value;
use std::collections::BTreeSet;
use till_sandbox::wit::types::{Address, Cart, Code, Customer, Line, LineKind};

/// The time of all calls: 1 March 2026, noon UTC.
pub(super) const NOW_MS: u64 = 1_772_366_400_000;
/// US dollar, yen, Kuwaiti dinar: two digits, none, three.
pub(super) const CURRENCIES: [(&str, u8); 3] = [("USD", 2), ("JPY", 0), ("KWD", 3)];
/// A code that nobody gives out.
pub(super) const UNKNOWN_CODE: &str = "TILL-CONFORMANCE-UNKNOWN-CODE";
/// Words of a configuration that are tried.
const WORDS_MAX: usize = 50;
/// Longest word that is tried, bytes.
const WORD_BYTES_MAX: usize = 100;

/// All texts in a JSON document.
pub(super) fn words(json: &str) -> Vec<String> {
    fn collect(value: &Value, found: &mut BTreeSet<String>) {
        match value {
            Value::String(text) if !text.is_empty() && text.len() <= WORD_BYTES_MAX => {
                found.insert(text.clone());
            }
            Value::Array(items) => items.iter().for_each(|item| collect(item, found)),
            Value::Object(fields) => fields.values().for_each(|value| collect(value, found)),
            _ => {}
        }
    }
    let mut found = BTreeSet::new();
    if let Ok(value) = serde_json::from_str(json) {
        collect(&value, &mut found);
    }
    found.into_iter().collect()
}

/// What one call is about.
#[derive(Clone, Debug)]
pub(super) struct Input {
    /// Which check it belongs to.
    pub(super) name: String,
    pub(super) currency: (&'static str, u8),
    pub(super) cart: Cart,
    pub(super) ship_to: Option<Address>,
}

/// Numbers that look random (SplitMix64).
struct Random(u64);

impl Random {
    fn below(&mut self, limit: u64) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut mixed = self.0;
        mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        (mixed ^ (mixed >> 31)) % limit
    }
}

/// All inputs of a suite: sizes, currencies, codes, places.
pub(super) fn all(config: &str) -> Vec<Input> {
    let words: Vec<String> = words(config).into_iter().take(WORDS_MAX).collect();
    let mut inputs = Vec::new();
    let places = places(&words);
    for lines in [1, 20, 500] {
        for (index, place) in places.iter().enumerate() {
            inputs.push(Input {
                name: format!("lines-{lines}"),
                currency: CURRENCIES[0],
                cart: cart(lines as u64 + index as u64, lines, &words, &[]),
                ship_to: Some(place.clone()),
            });
            if lines == 500 {
                break; // Size is the point here, and one place will do.
            }
        }
    }
    for currency in CURRENCIES {
        inputs.push(Input {
            name: format!("currency-{}", currency.0),
            currency,
            cart: cart(7, 5, &words, &[]),
            ship_to: places.first().cloned(),
        });
    }
    let typed: Vec<&str> = words.iter().map(String::as_str).collect();
    for (name, codes) in
        [("codes-none", &[][..]), ("codes-unknown", &[UNKNOWN_CODE]), ("codes-config", &typed)]
    {
        inputs.push(Input {
            name: name.to_owned(),
            currency: CURRENCIES[0],
            cart: cart(11, 5, &words, codes),
            ship_to: None,
        });
    }
    inputs
}

/// A cart of so many lines. The words of the configuration are among its SKUs.
fn cart(seed: u64, lines: usize, words: &[String], codes: &[&str]) -> Cart {
    let mut random = Random(seed);
    Cart {
        id: "cart_conformance".to_owned(),
        lines: (0..lines).map(|index| line(&mut random, index, words)).collect(),
        customer: (random.below(2) == 0).then(|| Customer {
            id: "customer_conformance".to_owned(),
            groups: words.iter().take(3).cloned().collect(),
            tier: Some("gold".to_owned()),
            tags: vec!["newsletter".to_owned()],
            orders_count: random.below(3) as u32,
            tax_exemptions: Vec::new(),
            attributes: Vec::new(),
        }),
        codes: codes
            .iter()
            .map(|code| Code { code: (*code).to_owned(), uses_left: None, customer_uses_left: None })
            .collect(),
        attributes: Vec::new(),
    }
}

fn line(random: &mut Random, index: usize, words: &[String]) -> Line {
    let number = random.below(1_000);
    let sku = words.get(index).cloned().unwrap_or_else(|| format!("SKU-{number}"));
    let kind = match random.below(6) {
        0 => LineKind::Digital,
        1 => LineKind::Service,
        _ => LineKind::Physical,
    };
    Line {
        id: format!("line-{index}"),
        product: format!("product-{number}"),
        variant: None,
        title: sku.clone(),
        sku,
        quantity: 1 + random.below(9) as u32,
        kind,
        parent: None,
        catalog_price: random.below(100_000) as i64,
        compare_at: None,
        price_includes_tax: false,
        tax_class: ["standard", "reduced", "zero"][random.below(3) as usize].to_owned(),
        weight_g: random.below(5_000) as u32,
        dimensions: None,
        categories: vec![format!("category-{}", random.below(5))],
        tags: Vec::new(),
        warehouse: None,
        group: None,
        attributes: Vec::new(),
    }
}

/// Addresses in the countries that the configuration names, and two more.
fn places(words: &[String]) -> Vec<Address> {
    let is_country = |word: &&String| word.len() == 2 && word.bytes().all(|byte| byte.is_ascii_uppercase());
    let named = words.iter().filter(is_country).take(4).map(String::as_str);
    let mut places = vec![address("US", "CA", "94105"), address("DE", "", "10115")];
    places.extend(named.map(|country| address(country, "", "10000")));
    places
}

fn address(country: &str, region: &str, postal_code: &str) -> Address {
    Address {
        name: "A Buyer".to_owned(),
        company: String::new(),
        street: vec!["1 Main St".to_owned()],
        city: "Town".to_owned(),
        region: region.to_owned(),
        postal_code: postal_code.to_owned(),
        country: country.to_owned(),
        phone: String::new(),
        attributes: Vec::new(),
    }
}

/// Catalog price times quantity.
pub(super) fn total(line: &Line) -> i64 {
    line.catalog_price * i64::from(line.quantity) // At most 100,000 × 9.
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn inputs_are_always_the_same_and_try_the_words_of_the_configuration() {
        let config = r#"{"codes": ["SUMMER"], "zones": [{"countries": ["FR"]}]}"#;
        let (first, second) = (all(config), all(config));
        assert_eq!(format!("{first:?}"), format!("{second:?}"));
        let codes = &first.iter().find(|input| input.name == "codes-config").unwrap().cart.codes;
        assert!(codes.iter().any(|code| code.code == "SUMMER"));
        let reached = |country: &str| {
            first.iter().any(|input| input.ship_to.as_ref().is_some_and(|place| place.country == country))
        };
        assert!(reached("FR") && reached("US") && !reached("IT"));
        assert_eq!(first.iter().filter(|input| input.cart.lines.len() == 500).count(), 1);
    }
}
