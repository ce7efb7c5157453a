//! `till serve --seed FILE`: a first shop, written when the database has none of its merchants.

use std::path::Path;

use anyhow::Context as _;
use serde::Deserialize;
use till_commerce::catalog::{Customer, Product};
use till_commerce::settings::Given;

use crate::wiring::House;

/// Data of one merchant.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Seed {
    merchant: String,
    settings: Given,
    products: Vec<Product>,
    stock: Vec<Stock>,
    customers: Vec<SeedCustomer>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Stock {
    sku: String,
    warehouse: String,
    on_hand: i64,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct SeedCustomer {
    points: i64,
    customer: Customer,
}

/// Writes the file's merchant unless it is there already.
pub async fn plant(house: &House, path: &Path) -> anyhow::Result<()> {
    let text = std::fs::read_to_string(path).with_context(|| format!("read {}", path.display()))?;
    let seed: Seed = serde_json::from_str(&text).with_context(|| format!("read {}", path.display()))?;
    if house.store.read().await?.setting(&seed.merchant).await?.is_some() {
        return Ok(());
    }
    let merchant = seed.merchant.as_str();
    for product in &seed.products {
        house.shop.put_product(merchant, product).await?;
    }
    for row in &seed.stock {
        house.shop.put_stock(merchant, &row.sku, &row.warehouse, row.on_hand).await?;
    }
    for row in seed.customers {
        house.shop.put_customer(merchant, &row.customer, row.points).await?;
    }
    // Last: a seed that was cut off is planted again.
    house.shop.put_settings(merchant, &seed.settings.0).await?;
    tracing::info!(merchant, "the seed is planted");
    Ok(())
}
