//! Products with their stock.

use serde::Serialize;
use till_commerce::catalog::{Availability, Product};
use utoipa::ToSchema;

use super::Amount;

/// A page of a list.
#[derive(Debug, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub(crate) struct ProductsOut {
    /// Products in the order of their ids.
    products: Vec<ProductOut>,
    /// Give it as `cursor` to read on; absent on the last page.
    #[serde(skip_serializing_if = "Option::is_none")]
    next_cursor: Option<String>,
}

impl ProductsOut {
    pub(crate) fn new(products: &[(Product, Vec<Availability>)], limit: i64) -> ProductsOut {
        let full = i64::try_from(products.len()).is_ok_and(|n| n >= limit);
        let next_cursor = products.last().filter(|_| full).map(|(product, _)| product.id.clone());
        let products =
            products.iter().filter(|(p, _)| p.active).map(|(p, s)| ProductOut::new(p, s)).collect();
        ProductsOut { products, next_cursor }
    }
}

/// A product with its price and stock.
#[derive(Debug, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub(crate) struct ProductOut {
    id: String,
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
    active: bool,
    /// `available`, `out_of_stock` or `not_counted`.
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

impl ProductOut {
    pub(crate) fn new(product: &Product, stock: &[Availability]) -> ProductOut {
        let stock_status = match (product.stocked, stock.iter().any(|s| s.available > 0)) {
            (false, _) => "not_counted",
            (true, true) => "available",
            (true, false) => "out_of_stock",
        };
        ProductOut {
            id: product.id.clone(),
            sku: product.sku.clone(),
            name: product.name.clone(),
            description: product.description.clone(),
            images: product.images.clone(),
            price: Amount::of(product.price, product.currency),
            compare_at_price: product.compare_at.map(|price| Amount::of(price, product.currency)),
            currency: product.currency.code().to_owned(),
            categories: product.categories.clone(),
            tags: product.tags.clone(),
            active: product.active,
            stock_status,
            stock: stock
                .iter()
                .map(|s| StockOut { warehouse_id: s.warehouse.clone(), available: s.available.max(0) })
                .collect(),
        }
    }
}
