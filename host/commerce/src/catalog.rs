//! Products and customers as the shop keeps them: the read side that carts and checkouts need, and how products are
//! written with what they are found by.

use std::collections::{BTreeMap, HashMap, HashSet};

use serde::{Deserialize, Serialize};
use till_model::money::Currency;
use till_store::tables::product::ProductRow;
use till_store::{Error as StoreError, Tx};

use crate::loyalty;
use crate::quote::{Address, Kind};
use crate::settings::Settings;

/// Dearest unit, minor units: ten thousand units of it are still a sum that can be counted.
const PRICE_MAX: i64 = 100_000_000_000_000;
/// Variants of a product: ten sizes in twenty colours.
const VARIANTS_MAX: usize = 200;

/// A product with its price.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Product {
    /// Id, for example `PROD-12345`.
    pub id: String,
    /// Stock keeping unit. With variants it names them all, and theirs are sold.
    pub sku: String,
    /// For people.
    pub name: String,
    /// For people.
    #[serde(default)]
    pub description: String,
    /// Addresses of pictures.
    #[serde(default)]
    pub images: Vec<String>,
    /// Price of one unit, minor units of `currency`.
    pub price: i64,
    /// What one unit is said to have cost before.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub compare_at: Option<i64>,
    /// Currency of the prices.
    pub currency: Currency,
    /// Prices in other currencies; without one it is not sold there.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub prices: BTreeMap<Currency, Price>,
    /// It is sold.
    #[serde(default = "yes")]
    pub active: bool,
    /// What is sold.
    #[serde(default)]
    pub kind: Kind,
    /// Tax class.
    #[serde(default = "standard")]
    pub tax_class: String,
    /// Weight of one unit, in grams.
    #[serde(default)]
    pub weight_g: u32,
    /// Categories.
    #[serde(default)]
    pub categories: Vec<String>,
    /// Tags.
    #[serde(default)]
    pub tags: Vec<String>,
    /// Stock is counted.
    #[serde(default = "yes")]
    pub stocked: bool,
    /// It can be brought to the shopper. A physical product that cannot is not sold here.
    #[serde(default = "yes")]
    pub deliverable: bool,
    /// What it comes as; empty where it is one thing.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub variants: Vec<Variant>,
}

/// One of the things a product comes as: a size, a colour. What it does not say is as the product says.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Variant {
    /// Stock keeping unit.
    pub sku: String,
    /// `colour`: `red`.
    pub options: BTreeMap<String, String>,
    /// Price of one unit, minor units.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub price: Option<i64>,
    /// What one unit is said to have cost before.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub compare_at: Option<i64>,
    /// Prices in other currencies. Beside a price of its own it needs one in each of the product's.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub prices: BTreeMap<Currency, Price>,
    /// Address of a picture.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub image: Option<String>,
    /// Weight of one unit, in grams.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub weight_g: Option<u32>,
    /// It is sold.
    #[serde(default = "yes")]
    pub active: bool,
}

/// What one unit costs in another currency.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Price {
    /// Minor units.
    pub price: i64,
    /// What one unit is said to have cost before.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub compare_at: Option<i64>,
}

/// What is sold under a SKU.
#[derive(Debug, Clone, PartialEq)]
pub struct Article {
    /// Stock keeping unit.
    pub sku: String,
    /// For people, with the variant's options.
    pub name: String,
    /// Price of one unit, minor units.
    pub price: i64,
    /// What one unit is said to have cost before.
    pub compare_at: Option<i64>,
    /// Weight of one unit, in grams.
    pub weight_g: u32,
    /// Options of the variant.
    pub options: BTreeMap<String, String>,
    /// It is a variant.
    pub variant: bool,
    /// It is sold.
    pub active: bool,
}

impl Product {
    /// All that is sold: the product itself, or its variants.
    pub fn articles(&self) -> Vec<Article> {
        if self.variants.is_empty() {
            return vec![Article {
                sku: self.sku.clone(),
                name: self.name.clone(),
                price: self.price,
                compare_at: self.compare_at,
                weight_g: self.weight_g,
                options: BTreeMap::new(),
                variant: false,
                active: self.active,
            }];
        }
        self.variants.iter().map(|variant| self.article_of(variant)).collect()
    }

    fn article_of(&self, variant: &Variant) -> Article {
        let options: Vec<&str> = variant.options.values().map(String::as_str).collect();
        Article {
            sku: variant.sku.clone(),
            name: format!("{} ({})", self.name, options.join(", ")),
            price: variant.price.unwrap_or(self.price),
            // Beside a price of its own, the product's former price is another article's.
            compare_at: variant.compare_at.or(self.compare_at.filter(|_| variant.price.is_none())),
            weight_g: variant.weight_g.unwrap_or(self.weight_g),
            options: variant.options.clone(),
            variant: true,
            active: self.active && variant.active,
        }
    }

    /// The same product with its price in a currency; the price it had is then one of its prices. None: it has none there.
    #[must_use]
    pub fn priced_in(mut self, currency: Currency) -> Option<Product> {
        if currency == self.currency {
            return Some(self);
        }
        let own = self.prices.remove(&currency)?;
        let before = std::mem::replace(&mut self.currency, currency);
        self.prices.insert(before, Price { price: self.price, compare_at: self.compare_at });
        (self.price, self.compare_at) = (own.price, own.compare_at);
        for variant in &mut self.variants {
            let own = variant.prices.remove(&currency);
            // Its price is not the product's, and nobody told it in this currency.
            variant.active &= variant.price.is_none() || own.is_some();
            if let Some(price) = variant.price {
                variant.prices.insert(before, Price { price, compare_at: variant.compare_at });
            }
            (variant.price, variant.compare_at) = (own.map(|p| p.price), own.and_then(|p| p.compare_at));
        }
        Some(self)
    }

    /// What is sold under a SKU.
    pub fn article(&self, sku: &str) -> Option<Article> {
        self.articles().into_iter().find(|article| article.sku == sku)
    }

    /// What the types do not check: fields that are wrong, and why.
    pub fn faults(&self) -> Vec<(String, &'static str)> {
        let mut wrong = Vec::new();
        for (n, variant) in self.variants.iter().enumerate() {
            let (before, mut tell) = (&self.variants[..n], |field: &str, why| {
                wrong.push((format!("variants[{n}].{field}"), why));
            });
            if !variant.price.is_none_or(is_price) {
                tell("price", A_PRICE);
            }
            if !variant.prices.values().all(|own| is_price(own.price)) {
                tell("prices", A_PRICE);
            }
            let others = || variant.prices.keys().copied().collect::<Vec<_>>();
            if variant.price.is_none() && !variant.prices.is_empty() {
                tell("prices", "without a `price` of its own it has those of the product");
            } else if variant.price.is_some() && !others().iter().eq(self.prices.keys()) {
                tell(
                    "prices",
                    "beside a `price` of its own, one in each currency of the product's `prices` is needed",
                );
            }
            if variant.options.is_empty() {
                tell("options", "at least one option is needed, such as `size`");
            }
            if variant.sku == self.sku || before.iter().any(|other| other.sku == variant.sku) {
                tell("sku", "another SKU than the product's and other variants' is needed");
            }
            if before.iter().any(|other| other.options == variant.options) {
                tell("options", "other options than those of other variants are needed");
            }
        }
        if self.variants.len() > VARIANTS_MAX {
            wrong.push(("variants".to_owned(), "at most 200 variants; make several products of them"));
        }
        if self.prices.contains_key(&self.currency) {
            wrong
                .push(("prices".to_owned(), "other currencies than the product's own `currency` are needed"));
        }
        if !self.prices.values().all(|own| is_price(own.price)) {
            wrong.push(("prices".to_owned(), A_PRICE));
        }
        if !is_price(self.price) {
            wrong.push(("price".to_owned(), A_PRICE));
        }
        wrong
    }

    /// It can reach the shopper.
    pub fn reaches(&self) -> bool {
        self.deliverable || self.kind != Kind::Physical
    }

    /// As it is written, with what it is found by.
    ///
    /// # Errors
    /// A body that is no JSON.
    pub fn row(&self) -> Result<ProductRow, StoreError> {
        let articles = self.articles();
        let mut skus: Vec<(String, bool)> = articles.iter().map(|a| (a.sku.clone(), true)).collect();
        if !self.variants.is_empty() {
            skus.push((self.sku.clone(), false));
        }
        let mut words = format!("{} {}", self.name, self.description);
        for (sku, _) in &skus {
            words.push(' ');
            words.push_str(sku);
        }
        let lowest = |product: &Product| {
            let sold = product.articles().into_iter().filter(|a| a.active || !self.active);
            sold.map(|a| a.price).min().unwrap_or(product.price)
        };
        let mut prices = vec![(self.currency.code().to_owned(), lowest(self))];
        for currency in self.prices.keys() {
            let there = self.clone().priced_in(*currency);
            prices.extend(there.map(|product| (currency.code().to_owned(), lowest(&product))));
        }
        Ok(ProductRow {
            id: self.id.clone(),
            body: serde_json::to_string(self).map_err(|e| StoreError::Corrupt(e.to_string()))?,
            words: words.to_lowercase(),
            name: self.name.to_lowercase(),
            currency: self.currency.code().to_owned(),
            prices,
            active: self.active,
            stocked: self.stocked,
            categories: self.categories.clone(),
            tags: self.tags.clone(),
            skus,
        })
    }
}

const A_PRICE: &str = "a price is not negative, and at most 100000000000000 minor units";

fn is_price(minor: i64) -> bool {
    (0..=PRICE_MAX).contains(&minor)
}

/// A SKU that belongs to another product.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Taken {
    /// The product that wants it.
    pub product: String,
    /// SKU.
    pub sku: String,
    /// The product that has it.
    pub owner: String,
}

/// Writes products, all or none. Where a SKU belongs to another product nothing is written, and each such is told.
pub async fn write(
    tx: &mut Tx,
    merchant: &str,
    rows: &[ProductRow],
    now_us: i64,
) -> Result<Vec<Taken>, StoreError> {
    let written: HashSet<&str> = rows.iter().map(|row| row.id.as_str()).collect();
    let mut owners: HashMap<&str, &str> = HashMap::new();
    let mut taken = Vec::new();
    for row in rows {
        for (sku, _) in &row.skus {
            let owner = match owners.insert(sku, &row.id) {
                Some(first) => Some(first.to_owned()),
                // Those that are written give up theirs first.
                None => tx.sku_owner(merchant, sku).await?.filter(|owner| !written.contains(owner.as_str())),
            };
            if let Some(owner) = owner {
                taken.push(Taken { product: row.id.clone(), sku: sku.clone(), owner });
            }
        }
    }
    if taken.is_empty() {
        for row in rows {
            tx.free_skus(merchant, &row.id).await?;
        }
        for row in rows {
            tx.put_product(merchant, row, now_us).await?;
        }
    }
    Ok(taken)
}

fn yes() -> bool {
    true
}

fn standard() -> String {
    "standard".to_owned()
}

/// A customer with addresses and tokenised payment methods.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Customer {
    /// Id, for example `CUST-12345`.
    pub id: String,
    /// For people.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub name: String,
    /// Mail address.
    #[serde(default)]
    pub email: String,
    /// Phone number as E.164 writes it: `+14155550123`. Empty for none.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub phone: String,
    /// Groups, for price lists.
    #[serde(default)]
    pub groups: Vec<String>,
    /// Loyalty tier.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub tier: Option<String>,
    /// Tags.
    #[serde(default)]
    pub tags: Vec<String>,
    /// Saved addresses.
    #[serde(default)]
    pub addresses: Vec<SavedAddress>,
    /// Saved means of payment.
    #[serde(default)]
    pub payment_methods: Vec<SavedMethod>,
}

/// An address in the customer's book.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct SavedAddress {
    /// Id within the book.
    pub id: String,
    /// `shipping` or `billing`.
    pub kind: String,
    /// The address.
    pub address: Address,
    /// Taken where the shopper names none.
    #[serde(default)]
    pub default: bool,
}

/// A tokenised means of payment. Never a card number.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct SavedMethod {
    /// Id in the wallet.
    pub id: String,
    /// For example `credit_card`.
    pub kind: String,
    /// The gateway's token.
    pub token: String,
    /// For showing.
    #[serde(default)]
    pub last4: String,
    /// For showing.
    #[serde(default)]
    pub brand: String,
    /// Taken where the shopper names none.
    #[serde(default)]
    pub default: bool,
    /// Last month in which it can be used, where that is known: `2027-09`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub expires: Option<String>,
}

impl SavedMethod {
    /// Its last month is over.
    #[must_use]
    pub fn has_expired(&self, now_us: i64) -> bool {
        self.expires.as_deref().is_some_and(|expires| is_past(expires, now_us))
    }
}

/// Whether a month such as `2027-09` is over, in UTC.
#[must_use]
pub fn is_past(month: &str, now_us: i64) -> bool {
    let now = jiff::Timestamp::from_microsecond(now_us).unwrap_or_default();
    month < now.to_zoned(jiff::tz::TimeZone::UTC).strftime("%Y-%m").to_string().as_str()
}

impl Customer {
    /// With the tier that so many points earned in all reach, where they reach one.
    #[must_use]
    pub(crate) fn in_tier(mut self, settings: &Settings, lifetime: i64) -> Customer {
        if let Some(tier) = loyalty::tier(&settings.points, lifetime).0 {
            self.tier = Some(tier.to_owned());
        }
        self
    }

    /// A customer of whom nothing is known but the id.
    pub fn unknown(id: &str) -> Customer {
        Customer {
            id: id.to_owned(),
            name: String::new(),
            email: String::new(),
            phone: String::new(),
            groups: vec![],
            tier: None,
            tags: vec![],
            addresses: vec![],
            payment_methods: vec![],
        }
    }
}

/// Stock of a SKU that can be promised, by warehouse.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Availability {
    /// Warehouse.
    pub warehouse: String,
    /// Units that can be held now.
    pub available: i64,
}

/// A product by its id.
pub async fn product(tx: &mut Tx, merchant: &str, id: &str) -> Result<Option<Product>, StoreError> {
    tx.product(merchant, id).await?.map(|body| parse(&body)).transpose()
}

/// Units of a SKU that can be held now, in warehouses that are not closed.
pub async fn availability(tx: &mut Tx, merchant: &str, sku: &str) -> Result<Vec<Availability>, StoreError> {
    let rows = tx.open_stock(merchant, sku).await?;
    Ok(rows
        .into_iter()
        .map(|r| Availability { warehouse: r.warehouse, available: r.on_hand - r.held })
        .collect())
}

/// A customer with confirmed orders, points that can be used and points earned in all; one never seen before is empty.
pub async fn customer(
    tx: &mut Tx,
    merchant: &str,
    id: &str,
) -> Result<(Customer, i64, i64, i64), StoreError> {
    match tx.customer(merchant, id).await? {
        Some(row) => Ok((parse(&row.body)?, row.orders, row.points - row.points_held, row.lifetime)),
        None => Ok((Customer::unknown(id), 0, 0, 0)),
    }
}

pub(crate) fn parse<T: serde::de::DeserializeOwned>(body: &str) -> Result<T, StoreError> {
    serde_json::from_str(body).map_err(|error| StoreError::Corrupt(error.to_string()))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn shirt() -> Product {
        serde_json::from_str(
            r#"{"id": "P", "sku": "SHIRT", "name": "Shirt", "price": 2000, "compare_at": 2500, "currency": "USD",
            "weight_g": 200, "variants": [
                {"sku": "SHIRT-M", "options": {"size": "M", "colour": "red"}},
                {"sku": "SHIRT-L", "options": {"size": "L", "colour": "red"}, "price": 1800, "weight_g": 240},
                {"sku": "SHIRT-S", "options": {"size": "S", "colour": "red"}, "price": 900, "active": false}]}"#,
        )
        .unwrap()
    }

    #[test]
    fn a_variant_is_as_the_product_says_but_for_what_it_says_itself() {
        let (m, l) = (shirt().article("SHIRT-M").unwrap(), shirt().article("SHIRT-L").unwrap());
        assert_eq!(
            (m.name.as_str(), m.price, m.compare_at, m.weight_g),
            ("Shirt (red, M)", 2000, Some(2500), 200)
        );
        assert_eq!((l.name.as_str(), l.price, l.compare_at, l.weight_g), ("Shirt (red, L)", 1800, None, 240));
        assert!(!shirt().article("SHIRT-S").unwrap().active);
        assert_eq!(shirt().article("SHIRT"), None);
    }

    #[test]
    fn a_product_is_found_by_its_words_and_the_lowest_price_that_is_sold() {
        let row = shirt().row().unwrap();
        assert_eq!(
            (row.prices, row.words.as_str()),
            (vec![("USD".to_owned(), 1800)], "shirt  shirt-m shirt-l shirt-s shirt")
        );
        assert_eq!(row.skus.iter().filter(|(_, sold)| *sold).count(), 3);
    }

    #[test]
    fn a_product_is_sold_in_another_currency_at_the_prices_it_has_there() {
        let of = |code: &str| Currency::from_code(code).unwrap();
        let mut shirt = shirt();
        shirt.variants.truncate(2);
        assert_eq!(shirt.clone().priced_in(of("EUR")), None, "nothing is converted");
        shirt.prices.insert(of("EUR"), Price { price: 1900, compare_at: Some(2400) });
        let faults: Vec<String> = shirt.faults().into_iter().map(|(field, _)| field).collect();
        assert_eq!(faults, ["variants[1].prices"], "its own price is not told in EUR");
        let there = shirt.clone().priced_in(of("EUR")).unwrap();
        assert!(!there.article("SHIRT-L").unwrap().active, "stored so all the same, it is not sold there");
        shirt.variants[1].prices.insert(of("EUR"), Price { price: 1700, compare_at: None });
        assert_eq!(shirt.faults(), []);
        let there = shirt.clone().priced_in(of("EUR")).unwrap();
        let articles = there.articles();
        let told: Vec<_> = articles.iter().map(|a| (a.sku.as_str(), a.price, a.compare_at)).collect();
        assert_eq!(told, [("SHIRT-M", 1900, Some(2400)), ("SHIRT-L", 1700, None)]);
        assert_eq!(there.priced_in(of("USD")), Some(shirt.clone()), "and back again");
        let prices = [("USD".to_owned(), 1800), ("EUR".to_owned(), 1700)];
        assert_eq!(shirt.row().unwrap().prices, prices);
        shirt.prices.insert(of("USD"), Price { price: -1, compare_at: None });
        assert_eq!(shirt.faults().len(), 3, "its own currency, a negative price, and a variant without it");
    }

    #[test]
    fn a_product_stored_before_there_were_variants_is_still_read() {
        let stored = r#"{"id": "P", "sku": "S", "name": "N", "price": 1, "currency": "USD"}"#;
        let product: Product = serde_json::from_str(stored).unwrap();
        assert!(product.deliverable && product.variants.is_empty());
        assert_eq!(product.article("S").map(|a| a.price), Some(1));
    }
}
