//! Carts as they were last shown, so that most looks at a cart read one row and no product.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use moka::sync::Cache;

use crate::cart::Cart;

/// Carts kept. A cart of ten lines has 3 kB.
const CARTS_MAX: u64 = 10_000;

/// The carts that this host showed.
pub(super) struct Kept {
    carts: Cache<(String, String), Shown>,
    /// Grows when this host changes a price. One number for all merchants: it costs the others a reading.
    prices: AtomicU64,
}

#[derive(Clone)]
struct Shown {
    cart: Arc<Cart>,
    prices: u64,
    at_us: i64,
}

impl Default for Kept {
    fn default() -> Kept {
        Kept { carts: Cache::new(CARTS_MAX), prices: AtomicU64::new(0) }
    }
}

impl Kept {
    /// A price that another host changed is shown after five minutes at the latest; whoever buys is always told the
    /// price of now.
    pub(super) const TTL_US: i64 = 5 * 60 * 1_000_000;

    /// Names the prices of now; taken before they are read.
    pub(super) fn prices(&self) -> u64 {
        self.prices.load(Ordering::SeqCst)
    }

    /// Prices changed: what was shown is no longer true.
    pub(super) fn prices_changed(&self) {
        self.prices.fetch_add(1, Ordering::SeqCst);
    }

    /// The cart, if it was shown with this id and version and its prices are fresh.
    pub(super) fn get(
        &self,
        merchant: &str,
        customer: &str,
        (id, version): (&str, i64),
        now_us: i64,
    ) -> Option<Arc<Cart>> {
        let shown = self.carts.get(&(merchant.to_owned(), customer.to_owned()))?;
        let fresh = shown.prices == self.prices() && now_us.saturating_sub(shown.at_us) < Kept::TTL_US;
        (fresh && shown.cart.id == id && shown.cart.version == version).then_some(shown.cart)
    }

    /// Keeps a cart that is shown.
    pub(super) fn keep(&self, merchant: &str, customer: &str, cart: Arc<Cart>, prices: u64, at_us: i64) {
        self.carts.insert((merchant.to_owned(), customer.to_owned()), Shown { cart, prices, at_us });
    }
}
