//! Products and customers as the shop keeps them: the read side that carts and checkouts need.

use serde::{Deserialize, Serialize};
use till_model::money::Currency;
use till_store::{Error as StoreError, Tx};

use crate::quote::{Address, Kind};

/// A product with its price.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Product {
    /// Id, for example `PROD-12345`.
    pub id: String,
    /// Stock keeping unit.
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
    /// Mail address.
    #[serde(default)]
    pub email: String,
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
}

impl Customer {
    /// A customer of whom nothing is known but the id.
    pub fn unknown(id: &str) -> Customer {
        Customer {
            id: id.to_owned(),
            email: String::new(),
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

/// Products after the id `after`.
pub async fn products(
    tx: &mut Tx,
    merchant: &str,
    after: &str,
    limit: i64,
) -> Result<Vec<Product>, StoreError> {
    tx.products(merchant, after, limit).await?.iter().map(|(_, body)| parse(body)).collect()
}

/// Units of a SKU that can be held now.
pub async fn availability(tx: &mut Tx, merchant: &str, sku: &str) -> Result<Vec<Availability>, StoreError> {
    let rows = tx.stock(merchant, sku).await?;
    Ok(rows
        .into_iter()
        .map(|r| Availability { warehouse: r.warehouse, available: r.on_hand - r.held })
        .collect())
}

/// A customer; one never seen before is empty.
pub async fn customer(tx: &mut Tx, merchant: &str, id: &str) -> Result<(Customer, i64, i64), StoreError> {
    match tx.customer(merchant, id).await? {
        Some(row) => Ok((parse(&row.body)?, row.orders, row.points - row.points_held)),
        None => Ok((Customer::unknown(id), 0, 0)),
    }
}

pub(crate) fn parse<T: serde::de::DeserializeOwned>(body: &str) -> Result<T, StoreError> {
    serde_json::from_str(body).map_err(|error| StoreError::Corrupt(error.to_string()))
}
