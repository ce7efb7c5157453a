//! What a merchant writes: settings. Stock is in `inventory.rs`, customers are in `customers.rs`.

use till_store::{Error as StoreError, Tx};

use super::{Shop, ShopError};
use crate::settings::Settings;

impl Shop {
    /// Replaces the settings of a merchant; sessions under way keep theirs.
    pub async fn put_settings(&self, merchant: &str, settings: &Settings) -> Result<(), ShopError> {
        settings
            .check()
            .map_err(|e| ShopError::Field { field: e.field.to_owned(), why: e.detail.to_owned() })?;
        let now_us = self.now_us();
        let text = serde_json::to_string(settings).map_err(|e| StoreError::Corrupt(e.to_string()))?;
        self.write(merchant, move |tx, owner| {
            let text = text.clone();
            Box::pin(async move { tx.put_setting(&owner, &text, now_us).await })
        })
        .await?;
        self.carts.prices_changed();
        Ok(())
    }

    pub(super) async fn write<F>(&self, merchant: &str, job: F) -> Result<(), ShopError>
    where
        F: for<'a> Fn(&'a mut Tx, String) -> futures::future::BoxFuture<'a, Result<(), StoreError>>
            + Send
            + Sync
            + 'static,
    {
        let owner = merchant.to_owned();
        Ok(self.store.transact(move |tx| job(tx, owner.clone())).await?)
    }
}
