//! Customers: what they keep with the shop, and how their merchant finds them. Each change holds the customer's row, so
//! of two at one time the second sees what the first did.

use till_store::Tx;
use till_store::tables::audience::CustomerValueRow;
use uuid::Uuid;

use super::loyalty::BALANCE_MAX;
use super::{Shop, ShopError};
use crate::catalog::{self, Customer, SavedAddress, SavedMethod, parse};
use crate::customer::{self, ADDRESSES_MAX, METHODS_MAX, Put};
use crate::events::notify::Preferences;

/// Everything a checkout needs to know of its customer.
#[derive(Debug, Clone)]
pub struct CheckoutContext {
    /// With addresses and means of payment, in their tier.
    pub customer: Customer,
    /// Points that can be used.
    pub points: i64,
    /// How they want to be told.
    pub preferences: Preferences,
    /// When it was read, epoch microseconds.
    pub now_us: i64,
}

/// A customer as their merchant sees them.
#[derive(Debug, Clone)]
pub struct CustomerRecord {
    /// Who they are.
    pub customer: Customer,
    /// Confirmed orders.
    pub orders: i64,
    /// Points balance, those promised included.
    pub points: i64,
}

fn missing(what: &'static str, id: &str) -> ShopError {
    ShopError::NotFound { what, id: id.to_owned() }
}

fn full(field: &str, max: usize) -> ShopError {
    let why = format!("there are {max}; at most so many are kept, take one out first");
    ShopError::Field { field: field.to_owned(), why }
}

impl Shop {
    /// A customer; of one never seen the id alone is known.
    pub async fn customer(&self, merchant: &str, id: &str) -> Result<(Customer, i64), ShopError> {
        let settings = self.settings(merchant).await?;
        let mut tx = self.store.read().await?;
        let (customer, _, points, lifetime) = catalog::customer(&mut tx, merchant, id).await?;
        Ok((customer.in_tier(&settings, lifetime), points))
    }

    /// What a checkout needs to know of its customer, in one read.
    pub async fn checkout_context(&self, merchant: &str, id: &str) -> Result<CheckoutContext, ShopError> {
        let (customer, points) = self.customer(merchant, id).await?;
        let preferences = Preferences::read(&mut self.store.read().await?, merchant, id).await?;
        Ok(CheckoutContext { customer, points, preferences, now_us: self.now_us() })
    }

    /// Puts an address into the customer's book, or changes the one of its id. True: it is new.
    pub async fn put_address(
        &self,
        merchant: &str,
        owner: &str,
        wanted: SavedAddress,
    ) -> Result<(SavedAddress, bool), ShopError> {
        let new_id = format!("addr_{}", Uuid::now_v7().simple());
        self.change_customer(merchant, owner, move |known| {
            match customer::put_address(known, wanted.clone(), &new_id) {
                Put::New(saved) => Ok((saved, true)),
                Put::Known(saved) => Ok((saved, false)),
                Put::Full => Err(full("addresses", ADDRESSES_MAX)),
                Put::Unknown => Err(missing("address", &wanted.id)),
            }
        })
        .await
    }

    /// Takes an address out of the customer's book.
    pub async fn drop_address(&self, merchant: &str, owner: &str, id: &str) -> Result<(), ShopError> {
        let gone = id.to_owned();
        self.change_customer(merchant, owner, move |known| match customer::drop_address(known, &gone) {
            true => Ok(()),
            false => Err(missing("address", &gone)),
        })
        .await
    }

    /// Keeps a means of payment for the customer. True: it is new.
    pub async fn put_method(
        &self,
        merchant: &str,
        owner: &str,
        wanted: SavedMethod,
    ) -> Result<(SavedMethod, bool), ShopError> {
        let new_id = format!("pm_{}", Uuid::now_v7().simple());
        self.change_customer(merchant, owner, move |known| {
            match customer::put_method(known, wanted.clone(), &new_id) {
                Put::New(saved) => Ok((saved, true)),
                Put::Known(saved) => Ok((saved, false)),
                Put::Full => Err(full("paymentMethods", METHODS_MAX)),
                Put::Unknown => Err(missing("payment method", &wanted.id)),
            }
        })
        .await
    }

    /// Forgets a means of payment of the customer.
    pub async fn drop_method(&self, merchant: &str, owner: &str, id: &str) -> Result<(), ShopError> {
        let gone = id.to_owned();
        self.change_customer(merchant, owner, move |known| match customer::drop_method(known, &gone) {
            true => Ok(()),
            false => Err(missing("payment method", &gone)),
        })
        .await
    }

    async fn change_customer<T, F>(&self, merchant: &str, owner: &str, change: F) -> Result<T, ShopError>
    where
        T: Send + 'static,
        F: Fn(&mut Customer) -> Result<T, ShopError> + Clone + Send + Sync + 'static,
    {
        let owner = owner.to_owned();
        self.atomic(merchant, move |tx, merchant| {
            let (owner, change) = (owner.clone(), change.clone());
            Box::pin(async move {
                let mut known = held(tx, &merchant, &owner).await?;
                let done = change(&mut known)?;
                write(tx, &merchant, &known).await?;
                Ok(done)
            })
        })
        .await
    }

    /// Makes a customer with a points balance, or replaces what is known of one; points then stay.
    pub async fn put_customer(
        &self,
        merchant: &str,
        customer: &Customer,
        points: i64,
    ) -> Result<(), ShopError> {
        self.put_customer_but(merchant, customer, points, (false, false)).await
    }

    /// The same; the book of addresses and the means of payment stay as the customer has them, where `stays` says so of
    /// the first and of the second.
    pub async fn put_customer_but(
        &self,
        merchant: &str,
        customer: &Customer,
        points: i64,
        (addresses_stay, methods_stay): (bool, bool),
    ) -> Result<(), ShopError> {
        if !(0..=BALANCE_MAX).contains(&points) {
            let why = format!("0 to {BALANCE_MAX} points");
            return Err(ShopError::Field { field: "points".to_owned(), why });
        }
        let (wanted, now_us) = (customer.clone(), self.now_us());
        self.atomic(merchant, move |tx, merchant| {
            let mut new = wanted.clone();
            Box::pin(async move {
                if tx.customer(&merchant, &new.id).await?.is_none() {
                    tx.put_customer(&merchant, &new.id, &text(&new)?, points, now_us).await?;
                }
                let known = held(tx, &merchant, &new.id).await?;
                if addresses_stay {
                    new.addresses = known.addresses;
                }
                if methods_stay {
                    new.payment_methods = known.payment_methods;
                }
                write(tx, &merchant, &new).await
            })
        })
        .await
    }

    /// Customers after an id, by id, whose id or mail address begins so.
    pub async fn customers(
        &self,
        merchant: &str,
        begins: &str,
        after: &str,
        limit: i64,
    ) -> Result<Vec<CustomerRecord>, ShopError> {
        let email = begins.to_lowercase();
        let rows = self.store.read().await?.customers(merchant, (begins, &email), after, limit).await?;
        let records = rows.iter().map(|row| {
            Ok(CustomerRecord { customer: parse(&row.body)?, orders: row.orders, points: row.points })
        });
        records.collect()
    }

    /// A customer as their merchant sees them, and what they have bought, by currency.
    pub async fn customer_record(
        &self,
        merchant: &str,
        id: &str,
    ) -> Result<(CustomerRecord, Vec<CustomerValueRow>), ShopError> {
        let settings = self.settings(merchant).await?;
        let mut tx = self.store.read().await?;
        let row = tx.customer(merchant, id).await?.ok_or_else(|| missing("customer", id))?;
        let customer: Customer = parse(&row.body)?;
        let customer = customer.in_tier(&settings, row.lifetime);
        let value = tx.customer_value(merchant, id).await?;
        Ok((CustomerRecord { customer, orders: row.orders, points: row.points }, value))
    }
}

async fn held(tx: &mut Tx, merchant: &str, id: &str) -> Result<Customer, ShopError> {
    let new = text(&Customer::unknown(id))?;
    Ok(parse(&tx.hold_customer(merchant, id, &new).await?)?)
}

async fn write(tx: &mut Tx, merchant: &str, customer: &Customer) -> Result<(), ShopError> {
    let email = customer.email.to_lowercase();
    Ok(tx.set_customer(merchant, &customer.id, &text(customer)?, &email).await?)
}

fn text(customer: &Customer) -> Result<String, ShopError> {
    serde_json::to_string(customer).map_err(|error| till_store::Error::Corrupt(error.to_string()).into())
}
