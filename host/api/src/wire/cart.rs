//! Carts.

use serde::Serialize;
use till_commerce::cart::Cart;
use utoipa::ToSchema;

use super::{Amount, time};

/// The answer to everything about a cart.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct CartAnswer {
    success: bool,
    cart: CartOut,
}

/// A cart.
#[derive(Debug, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
struct CartOut {
    /// Empty while nothing was put in.
    id: String,
    customer_id: String,
    items: Vec<CartItemOut>,
    totals: CartTotalsOut,
    #[serde(skip_serializing_if = "Option::is_none")]
    updated_at: Option<String>,
}

/// A line of a cart.
#[derive(Debug, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
struct CartItemOut {
    id: String,
    product_id: String,
    sku: String,
    name: String,
    quantity: u32,
    unit_price: Amount,
    total_price: Amount,
    warehouse: Option<String>,
    added_at: String,
}

/// Sums of a cart.
#[derive(Debug, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
struct CartTotalsOut {
    subtotal: Amount,
    /// Units in sum.
    item_count: u64,
    currency: String,
}

impl CartAnswer {
    pub(crate) fn new(cart: &Cart) -> CartAnswer {
        let line_total = |units: u32, price: i64| price.saturating_mul(i64::from(units));
        let subtotal =
            cart.items.iter().map(|i| line_total(i.quantity, i.unit_price)).fold(0, i64::saturating_add);
        let items = cart.items.iter().map(|item| CartItemOut {
            id: item.id.clone(),
            product_id: item.product.clone(),
            sku: item.sku.clone(),
            name: item.name.clone(),
            quantity: item.quantity,
            unit_price: Amount::of(item.unit_price, cart.currency),
            total_price: Amount::of(line_total(item.quantity, item.unit_price), cart.currency),
            warehouse: item.warehouse.clone(),
            added_at: time(item.added_us),
        });
        CartAnswer {
            success: true,
            cart: CartOut {
                id: cart.id.clone(),
                customer_id: cart.customer.clone(),
                items: items.collect(),
                totals: CartTotalsOut {
                    subtotal: Amount::of(subtotal, cart.currency),
                    item_count: cart.items.iter().map(|i| u64::from(i.quantity)).sum(),
                    currency: cart.currency.code().to_owned(),
                },
                updated_at: (cart.updated_us != 0).then(|| time(cart.updated_us)),
            },
        }
    }
}
