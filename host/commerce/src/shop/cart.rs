//! A customer's cart. Changes are tried again when another one came in between.

use std::sync::Arc;

use serde_json::json;
use till_engine::runner::request_hash;
use till_model::money::Currency;
use till_store::tables::command::CommandRow;
use till_store::{Error as StoreError, Tx};

use super::{COMMANDS_KEPT_US, Shop, ShopError};
use crate::cart::{self, Cart, CartError, Checked, NewItem};
use crate::catalog;
use crate::settings::Settings;

/// Times a cart command is tried again after another one changed the cart in between.
const RACES_MAX: u32 = 8;
/// Names the command that puts an item into a cart, where it is remembered.
const ADD: &str = "cart.add";

impl Shop {
    /// The customer's cart with prices that are at most five minutes old: a change of the cart by whichever host,
    /// and a change of prices by this one, is seen at once.
    pub async fn cart(&self, merchant: &str, customer: &str) -> Result<Arc<Cart>, ShopError> {
        // Before anything is read: a price that changes meanwhile makes this reading an old one.
        let prices = self.carts.prices();
        let now_us = self.now_us();
        let mut tx = self.store.read().await?;
        if let Some((id, version)) = tx.cart_version(merchant, customer).await?
            && let Some(cart) = self.carts.get(merchant, customer, (&id, version), now_us)
        {
            return Ok(cart);
        }
        drop(tx);
        let settings = self.settings(merchant).await?;
        let mut tx = self.store.read().await?;
        let mut cart = cart::current(&mut tx, merchant, customer, &settings).await?;
        for item in &mut cart.items {
            let product = catalog::product(&mut tx, merchant, &item.product).await?;
            let product = product.and_then(|product| product.priced_in(cart.currency));
            if let Some(article) = product.and_then(|product| product.article(&item.sku)) {
                item.unit_price = article.price;
            }
        }
        let cart = Arc::new(cart);
        self.carts.keep(merchant, customer, cart.clone(), prices, now_us);
        Ok(cart)
    }

    /// Looks through the customer's cart and brings it up to date.
    pub async fn validate_cart(
        &self,
        merchant: &str,
        customer: &str,
        expected: Option<i64>,
    ) -> Result<Checked, ShopError> {
        self.check_cart(merchant, customer, CartCommand::Validate, expected).await
    }

    /// Moves the cart of a guest into the customer's.
    pub async fn merge_cart(
        &self,
        merchant: &str,
        customer: &str,
        guest: &str,
    ) -> Result<Checked, ShopError> {
        self.check_cart(merchant, customer, CartCommand::Merge(guest.to_owned()), None).await
    }

    /// Takes all lines out.
    pub async fn clear_cart(
        &self,
        merchant: &str,
        customer: &str,
        expected: Option<i64>,
    ) -> Result<Cart, ShopError> {
        self.change_cart(merchant, customer, CartCommand::Clear, expected).await
    }

    /// Puts units of a product into the customer's cart. Under a `key` they are put in once: repeated
    /// within [`COMMANDS_KEPT_US`], it gives the cart as it is then.
    pub async fn add_to_cart(
        &self,
        merchant: &str,
        customer: &str,
        item: NewItem,
        expected: Option<i64>,
        key: Option<&str>,
    ) -> Result<Cart, ShopError> {
        let key = key.map(str::to_owned);
        self.change_cart(merchant, customer, CartCommand::Add(item, key), expected).await
    }

    /// Sets the units of a line.
    pub async fn set_quantity(
        &self,
        merchant: &str,
        customer: &str,
        item: &str,
        units: i64,
        expected: Option<i64>,
    ) -> Result<Cart, ShopError> {
        self.change_cart(merchant, customer, CartCommand::Set(item.to_owned(), units), expected).await
    }

    /// Puts the cart into another currency.
    pub async fn set_currency(
        &self,
        merchant: &str,
        customer: &str,
        currency: Currency,
        expected: Option<i64>,
    ) -> Result<Cart, ShopError> {
        self.change_cart(merchant, customer, CartCommand::Currency(currency), expected).await
    }

    /// Takes a line out.
    pub async fn remove_item(
        &self,
        merchant: &str,
        customer: &str,
        item: &str,
        expected: Option<i64>,
    ) -> Result<Cart, ShopError> {
        self.change_cart(merchant, customer, CartCommand::Remove(item.to_owned()), expected).await
    }

    async fn change_cart(
        &self,
        merchant: &str,
        customer: &str,
        command: CartCommand,
        expected: Option<i64>,
    ) -> Result<Cart, ShopError> {
        Ok(self.check_cart(merchant, customer, command, expected).await?.cart)
    }

    async fn check_cart(
        &self,
        merchant: &str,
        customer: &str,
        command: CartCommand,
        expected: Option<i64>,
    ) -> Result<Checked, ShopError> {
        let settings = Arc::new(self.settings(merchant).await?);
        let now_us = self.now_us();
        let command = Arc::new(command);
        for _ in 0..RACES_MAX {
            let (owner, buyer) = (merchant.to_owned(), customer.to_owned());
            let (settings, command) = (settings.clone(), command.clone());
            let done = self
                .store
                .transact(move |tx| {
                    let (owner, buyer) = (owner.clone(), buyer.clone());
                    let (settings, command) = (settings.clone(), command.clone());
                    Box::pin(async move {
                        match command.run(tx, &owner, &buyer, &settings, expected, now_us).await {
                            Err(ShopError::Store(error) | ShopError::Cart(CartError::Store(error))) => {
                                Err(error)
                            }
                            other => Ok(other),
                        }
                    })
                })
                .await;
            match done {
                Ok(made) => return made,
                Err(StoreError::Conflict) => {}
                Err(error) => return Err(error.into()),
            }
        }
        Err(StoreError::Conflict.into())
    }

    /// Forgets commands that are older than they are kept.
    pub async fn forget_commands(&self) -> Result<u64, ShopError> {
        let before_us = self.now_us().saturating_sub(COMMANDS_KEPT_US);
        Ok(self
            .store
            .transact(move |tx| Box::pin(async move { tx.forget_commands(before_us).await }))
            .await?)
    }
}

enum CartCommand {
    /// With its idempotency key.
    Add(NewItem, Option<String>),
    Set(String, i64),
    Remove(String),
    Clear,
    Currency(Currency),
    Validate,
    /// With the guest.
    Merge(String),
}

impl CartCommand {
    async fn run(
        &self,
        tx: &mut Tx,
        merchant: &str,
        customer: &str,
        settings: &Settings,
        expected: Option<i64>,
        now_us: i64,
    ) -> Result<Checked, ShopError> {
        let made = match self {
            CartCommand::Add(item, None) => {
                cart::add(tx, merchant, customer, settings, item, expected, now_us).await
            }
            CartCommand::Add(item, Some(key)) => {
                let added = add_once(tx, merchant, customer, settings, item, expected, key, now_us).await;
                return added.map(Checked::from);
            }
            CartCommand::Set(item, units) => {
                cart::set_quantity(tx, merchant, customer, settings, item, *units, expected, now_us).await
            }
            CartCommand::Remove(item) => {
                cart::remove(tx, merchant, customer, settings, item, expected, now_us).await
            }
            CartCommand::Clear => cart::clear(tx, merchant, customer, settings, expected, now_us).await,
            CartCommand::Currency(currency) => {
                cart::set_currency(tx, merchant, customer, settings, *currency, expected, now_us).await
            }
            CartCommand::Validate => {
                return Ok(cart::validate(tx, merchant, customer, settings, expected, now_us).await?);
            }
            CartCommand::Merge(guest) => {
                return Ok(cart::merge(tx, merchant, customer, guest, settings, now_us).await?);
            }
        };
        Ok(Checked::from(made?))
    }
}

/// Puts an item in unless the key is remembered. A refused one leaves its key free.
async fn add_once(
    tx: &mut Tx,
    merchant: &str,
    customer: &str,
    settings: &Settings,
    item: &NewItem,
    expected: Option<i64>,
    key: &str,
    now_us: i64,
) -> Result<Cart, ShopError> {
    let NewItem { product, sku, quantity, warehouse, currency } = item;
    let mut what = json!([product, sku, quantity, warehouse]).to_string();
    if let Some(currency) = currency {
        what.push_str(currency.code());
    }
    let hash = request_hash(&[ADD, &what]);
    // Before the version: the first request has moved it on.
    match tx.command(merchant, customer, ADD, key).await? {
        Some(known) if known.hash == hash => {
            return Ok(cart::current(tx, merchant, customer, settings).await?);
        }
        Some(_) => return Err(ShopError::KeyReused { key: key.to_owned() }),
        None => {}
    }
    let cart = cart::add(tx, merchant, customer, settings, item, expected, now_us).await?;
    let row = CommandRow { hash, pointer: cart.id.clone() };
    match tx.remember(merchant, customer, ADD, key, &row, now_us).await? {
        None => Ok(cart),
        // The same key at the same time: from the start, and what it did is seen.
        Some(_) => Err(StoreError::Conflict.into()),
    }
}
