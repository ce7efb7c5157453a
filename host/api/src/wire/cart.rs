//! Carts.

use serde::Serialize;
use till_commerce::cart::{Cart, CartItem, Checked, Finding, Found};
use till_model::money::Currency;
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

/// What was found in a line.
#[derive(Debug, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
struct FindingOut {
    item_id: String,
    product_id: String,
    /// For the shopper.
    message: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    available_quantity: Option<i64>,
    /// Of one unit, when it was last looked at.
    #[serde(skip_serializing_if = "Option::is_none")]
    old_price: Option<Amount>,
    /// Of one unit, now.
    #[serde(skip_serializing_if = "Option::is_none")]
    new_price: Option<Amount>,
}

impl FindingOut {
    fn all(findings: &[Finding], currency: Currency) -> Vec<FindingOut> {
        let out = |Finding { item, product, what }: &Finding| {
            let (mut available_quantity, mut old_price, mut new_price) = (None, None, None);
            match what {
                Found::Fewer { available } => available_quantity = Some(*available),
                Found::Price { old, new } => {
                    old_price = Some(Amount::of(*old, currency));
                    new_price = Some(Amount::of(*new, currency));
                }
                Found::Gone | Found::OutOfStock | Found::LineFull { .. } | Found::CartFull { .. } => {}
            }
            let (item_id, product_id) = (item.clone(), product.clone());
            FindingOut {
                item_id,
                product_id,
                message: what.to_string(),
                available_quantity,
                old_price,
                new_price,
            }
        };
        findings.iter().map(out).collect()
    }
}

/// A cart that was looked through.
#[derive(Debug, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub(crate) struct ValidationOut {
    /// Nothing keeps the cart from being bought.
    is_valid: bool,
    /// Lines that cannot be bought.
    errors: Vec<FindingOut>,
    /// Lines that are not what the shopper saw.
    warnings: Vec<FindingOut>,
    /// Lines whose price or units were brought up to date.
    updated_items: Vec<CartItemOut>,
}

impl ValidationOut {
    pub(crate) fn new(checked: &Checked) -> ValidationOut {
        let currency = checked.cart.currency;
        ValidationOut {
            is_valid: checked.errors.is_empty(),
            errors: FindingOut::all(&checked.errors, currency),
            warnings: FindingOut::all(&checked.warnings, currency),
            updated_items: checked.updated.iter().map(|item| CartItemOut::new(item, currency)).collect(),
        }
    }
}

/// A cart that a guest's was merged into.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct MergedOut {
    success: bool,
    cart: CartOut,
    /// What did not fit, and was left behind.
    warnings: Vec<FindingOut>,
}

impl MergedOut {
    pub(crate) fn new(checked: &Checked) -> MergedOut {
        let CartAnswer { success, cart } = CartAnswer::new(&checked.cart);
        MergedOut { success, cart, warnings: FindingOut::all(&checked.warnings, checked.cart.currency) }
    }
}

fn line_total(item: &CartItem) -> i64 {
    item.unit_price.saturating_mul(i64::from(item.quantity))
}

impl CartItemOut {
    fn new(item: &CartItem, currency: Currency) -> CartItemOut {
        CartItemOut {
            id: item.id.clone(),
            product_id: item.product.clone(),
            sku: item.sku.clone(),
            name: item.name.clone(),
            quantity: item.quantity,
            unit_price: Amount::of(item.unit_price, currency),
            total_price: Amount::of(line_total(item), currency),
            warehouse: item.warehouse.clone(),
            added_at: time(item.added_us),
        }
    }
}

impl CartAnswer {
    pub(crate) fn new(cart: &Cart) -> CartAnswer {
        let subtotal = cart.items.iter().map(line_total).fold(0, i64::saturating_add);
        let items = cart.items.iter().map(|item| CartItemOut::new(item, cart.currency));
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
