//! Products with their stock.

use std::collections::BTreeMap;

use serde::Serialize;
use till_commerce::Shown;
use till_commerce::catalog::{Availability, Price, Product};
use till_model::money::Currency;
use till_store::tables::product::Place;
use utoipa::ToSchema;

use super::Amount;

/// A page of a list.
#[derive(Debug, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub(crate) struct ProductsOut {
    products: Vec<ProductOut>,
    /// Give it as `cursor` to read on; absent on the last page.
    #[serde(skip_serializing_if = "Option::is_none")]
    next_cursor: Option<String>,
}

impl ProductsOut {
    pub(crate) fn new(page: &[(Place, Shown)], next_cursor: Option<String>) -> ProductsOut {
        ProductsOut { products: page.iter().map(|(_, shown)| ProductOut::new(shown)).collect(), next_cursor }
    }
}

/// A product with its price and stock.
#[derive(Debug, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub(crate) struct ProductOut {
    id: String,
    /// With variants it names them all; theirs are sold.
    sku: String,
    name: String,
    description: String,
    images: Vec<String>,
    price: Amount,
    #[serde(skip_serializing_if = "Option::is_none")]
    compare_at_price: Option<Amount>,
    currency: String,
    categories: Vec<String>,
    tags: Vec<String>,
    is_active: bool,
    is_deliverable: bool,
    /// `available`, `out_of_stock` or `not_counted`.
    stock_status: &'static str,
    /// Units by warehouse, of all variants together.
    stock: Vec<StockOut>,
    /// What it comes as; empty where it is one thing.
    variants: Vec<VariantOut>,
}

/// One of the things a product comes as.
#[derive(Debug, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
struct VariantOut {
    sku: String,
    options: BTreeMap<String, String>,
    price: Amount,
    #[serde(skip_serializing_if = "Option::is_none")]
    compare_at_price: Option<Amount>,
    #[serde(skip_serializing_if = "Option::is_none")]
    image: Option<String>,
    is_active: bool,
    stock_status: &'static str,
    stock: Vec<StockOut>,
}

/// Units of a warehouse that can be sold.
#[derive(Debug, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
struct StockOut {
    warehouse_id: String,
    available: i64,
}

fn stock_out(stock: &[Availability]) -> Vec<StockOut> {
    let units =
        |s: &Availability| StockOut { warehouse_id: s.warehouse.clone(), available: s.available.max(0) };
    stock.iter().map(units).collect()
}

fn stock_status(stocked: bool, mut stock: impl Iterator<Item = i64>) -> &'static str {
    match (stocked, stock.any(|available| available > 0)) {
        (false, _) => "not_counted",
        (true, true) => "available",
        (true, false) => "out_of_stock",
    }
}

impl ProductOut {
    pub(crate) fn new(shown: &Shown) -> ProductOut {
        let product = &*shown.product;
        let amount = |minor: i64| Amount::of(minor, product.currency);
        let mut places: BTreeMap<&str, i64> = BTreeMap::new();
        for units in shown.stock.iter().flat_map(|(_, stock)| stock) {
            let sum = places.entry(&units.warehouse).or_default();
            *sum = sum.saturating_add(units.available.max(0));
        }
        let variants = product.variants.iter().zip(product.articles()).zip(&shown.stock);
        ProductOut {
            id: product.id.clone(),
            sku: product.sku.clone(),
            name: product.name.clone(),
            description: product.description.clone(),
            images: product.images.clone(),
            price: amount(product.price),
            compare_at_price: product.compare_at.map(amount),
            currency: product.currency.code().to_owned(),
            categories: product.categories.clone(),
            tags: product.tags.clone(),
            is_active: product.active,
            is_deliverable: product.deliverable,
            stock_status: stock_status(product.stocked, places.values().copied()),
            stock: (places.iter())
                .map(|(place, units)| StockOut { warehouse_id: (*place).to_owned(), available: *units })
                .collect(),
            variants: variants
                .map(|((variant, article), (_, stock))| VariantOut {
                    sku: article.sku,
                    options: article.options,
                    price: amount(article.price),
                    compare_at_price: article.compare_at.map(amount),
                    image: variant.image.clone(),
                    is_active: article.active,
                    stock_status: stock_status(product.stocked, stock.iter().map(|s| s.available)),
                    stock: stock_out(stock),
                })
                .collect(),
        }
    }
}

/// The prices of a product.
#[derive(Debug, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub(crate) struct PricingOut {
    product_id: String,
    currency: String,
    /// One for each SKU that is sold.
    prices: Vec<PriceOut>,
}

/// The price of one unit.
#[derive(Debug, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
struct PriceOut {
    sku: String,
    price: Amount,
    #[serde(skip_serializing_if = "Option::is_none")]
    compare_at_price: Option<Amount>,
}

impl PricingOut {
    pub(crate) fn new(product: &Product) -> PricingOut {
        let prices = product.articles().into_iter().filter(|article| article.active);
        PricingOut {
            product_id: product.id.clone(),
            currency: product.currency.code().to_owned(),
            prices: prices
                .map(|article| PriceOut {
                    sku: article.sku,
                    price: Amount::of(article.price, product.currency),
                    compare_at_price: article.compare_at.map(|price| Amount::of(price, product.currency)),
                })
                .collect(),
        }
    }
}

/// All that a product page shows.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct CompleteOut {
    product: ProductOut,
    pricing: PricingOut,
    /// One for each SKU that is sold.
    stock: Vec<SkuStockOut>,
}

/// Units of a SKU that can be sold.
#[derive(Debug, Serialize, ToSchema)]
struct SkuStockOut {
    sku: String,
    /// In all warehouses together.
    available: i64,
    warehouses: Vec<StockOut>,
}

impl CompleteOut {
    pub(crate) fn new(shown: &Shown) -> CompleteOut {
        let stock = shown.stock.iter().map(|(sku, stock)| SkuStockOut {
            sku: sku.clone(),
            available: stock.iter().map(|s| s.available.max(0)).fold(0, i64::saturating_add),
            warehouses: stock_out(stock),
        });
        CompleteOut {
            product: ProductOut::new(shown),
            pricing: PricingOut::new(&shown.product),
            stock: stock.collect(),
        }
    }
}

/// A product as the merchant wrote it, and as it is written again.
#[derive(Debug, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub(crate) struct KeptProduct {
    pub(crate) id: String,
    pub(crate) sku: String,
    pub(crate) name: String,
    pub(crate) description: String,
    pub(crate) images: Vec<String>,
    pub(crate) price: Amount,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) compare_at_price: Option<Amount>,
    pub(crate) currency: String,
    /// Prices in other currencies.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub(crate) prices: Vec<KeptPrice>,
    pub(crate) is_active: bool,
    pub(crate) is_deliverable: bool,
    #[schema(value_type = String)]
    pub(crate) kind: till_commerce::quote::Kind,
    pub(crate) tax_class: String,
    pub(crate) weight_grams: u32,
    pub(crate) categories: Vec<String>,
    pub(crate) tags: Vec<String>,
    pub(crate) stocked: bool,
    pub(crate) variants: Vec<KeptVariant>,
}

/// A variant as the merchant wrote it.
#[derive(Debug, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub(crate) struct KeptVariant {
    pub(crate) sku: String,
    pub(crate) options: BTreeMap<String, String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) price: Option<Amount>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) compare_at_price: Option<Amount>,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub(crate) prices: Vec<KeptPrice>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) image: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) weight_grams: Option<u32>,
    pub(crate) is_active: bool,
}

/// A price in another currency.
#[derive(Debug, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub(crate) struct KeptPrice {
    pub(crate) currency: String,
    pub(crate) price: Amount,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) compare_at_price: Option<Amount>,
}

fn kept_prices(prices: &BTreeMap<Currency, Price>) -> Vec<KeptPrice> {
    let kept = |(currency, own): (&Currency, &Price)| KeptPrice {
        currency: currency.code().to_owned(),
        price: Amount::of(own.price, *currency),
        compare_at_price: own.compare_at.map(|minor| Amount::of(minor, *currency)),
    };
    prices.iter().map(kept).collect()
}

impl KeptProduct {
    pub(crate) fn new(product: &Product) -> KeptProduct {
        let amount = |minor: i64| Amount::of(minor, product.currency);
        let variants = product.variants.iter().map(|variant| KeptVariant {
            sku: variant.sku.clone(),
            options: variant.options.clone(),
            price: variant.price.map(amount),
            compare_at_price: variant.compare_at.map(amount),
            prices: kept_prices(&variant.prices),
            image: variant.image.clone(),
            weight_grams: variant.weight_g,
            is_active: variant.active,
        });
        KeptProduct {
            id: product.id.clone(),
            sku: product.sku.clone(),
            name: product.name.clone(),
            description: product.description.clone(),
            images: product.images.clone(),
            price: amount(product.price),
            compare_at_price: product.compare_at.map(amount),
            currency: product.currency.code().to_owned(),
            prices: kept_prices(&product.prices),
            is_active: product.active,
            is_deliverable: product.deliverable,
            kind: product.kind,
            tax_class: product.tax_class.clone(),
            weight_grams: product.weight_g,
            categories: product.categories.clone(),
            tags: product.tags.clone(),
            stocked: product.stocked,
            variants: variants.collect(),
        }
    }
}
