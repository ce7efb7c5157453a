//! Carts that were left: told once for each time a shopper goes away, by whichever host sees it first.
//!
//! Whether a version of a cart was told is one column of its row, written in the transaction that tells it; so two hosts
//! tell it once, and a host that dies has told it or has not. A change of the cart is another version.

use serde::{Deserialize, Serialize};
use serde_json::Value;
use till_engine::step::Event;
use till_store::tables::customer::CartLeft;
use till_store::{Error as StoreError, Tx};
use uuid::Uuid;

use super::{CHECKOUT, Shop, ShopError};
use crate::cart::Cart;
use crate::catalog::{self, parse};

/// A shopper has left a cart.
pub const CART_ABANDONED: &str = "cart.abandoned";
/// Carts that are looked at in one turn of the sweep.
const AT_ONCE: i64 = 100;
/// The setting without which nothing is told.
const SETTING: &str = "abandoned_after_s";
/// State of a checkout in which nothing is asked for.
const RESTS: &str = "editable";

impl Shop {
    /// Tells carts that nobody has touched for as long as their merchants say. Gives how many were told.
    pub async fn tell_abandoned(&self) -> Result<usize, ShopError> {
        let now_us = self.now_us();
        let merchants = self.store.read().await?.merchants_saying(SETTING).await?;
        let mut told = 0;
        for merchant in merchants {
            let Some(seconds) = self.settings(&merchant).await?.carts.abandoned_after_s else { continue };
            let before_us = now_us - i64::from(seconds) * 1_000_000;
            let mut after = (i64::MIN, String::new());
            loop {
                let mut tx = self.store.read().await?;
                let some = tx.carts_left(&merchant, before_us, (after.0, &after.1), AT_ONCE).await?;
                drop(tx);
                let Some(last) = some.last() else { break };
                after = (last.updated_us, last.id.clone());
                for cart in some {
                    let id = cart.id.clone();
                    match self.tell_left(&merchant, cart, before_us, now_us).await {
                        Ok(done) => told += usize::from(done),
                        // One odd cart must not keep those behind it.
                        Err(ShopError::Store(error @ StoreError::Corrupt(_))) => {
                            tracing::error!(merchant, cart = id, %error, "tell a cart that was left");
                        }
                        Err(error) => return Err(error),
                    }
                }
            }
        }
        Ok(told)
    }

    /// One cart, in one transaction. False: it was told, is being paid, or has nothing to tell.
    async fn tell_left(
        &self,
        merchant: &str,
        cart: CartLeft,
        before_us: i64,
        now_us: i64,
    ) -> Result<bool, ShopError> {
        let id = Uuid::now_v7();
        self.atomic(merchant, move |tx, merchant| {
            let cart = cart.clone();
            Box::pin(async move {
                if tx.under_way(&merchant, &cart.customer, (CHECKOUT, RESTS), before_us).await?
                    || !tx.leave_cart(&merchant, &cart.id, cart.version).await?
                {
                    return Ok(false);
                }
                let Some(body) = data(tx, &merchant, &cart).await? else { return Ok(false) };
                let event = Event { topic: CART_ABANDONED.to_owned(), body };
                tx.put_event(&merchant, id, &event, now_us).await?;
                till_engine::crash::point("cart.abandoned.in-tx");
                Ok(true)
            })
        })
        .await
    }
}

/// The fact as it is kept until it is told ([`crate::events`] words it). None: nothing is in the cart.
async fn data(tx: &mut Tx, merchant: &str, left: &CartLeft) -> Result<Option<Value>, StoreError> {
    let cart: Cart = parse(&left.body)?;
    if cart.items.is_empty() {
        return Ok(None);
    }
    let (customer, ..) = catalog::customer(tx, merchant, &left.customer).await?;
    let fact = LeftCart { cart, email: customer.email, updated_us: left.updated_us };
    serde_json::to_value(&fact).map(Some).map_err(|error| StoreError::Corrupt(error.to_string()))
}

/// A cart as it was when it was left.
#[derive(Debug, Serialize, Deserialize)]
pub(crate) struct LeftCart {
    pub(crate) cart: Cart,
    /// Of its customer; empty where nobody knows it.
    pub(crate) email: String,
    /// Last change, epoch microseconds.
    pub(crate) updated_us: i64,
}

impl LeftCart {
    /// The cart that a fact of the outbox is about.
    pub(crate) fn of(topic: &str, body: &str) -> Option<LeftCart> {
        (topic == CART_ABANDONED).then(|| serde_json::from_str(body).ok())?
    }
}
