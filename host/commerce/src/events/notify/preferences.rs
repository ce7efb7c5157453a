//! What a customer wants to be told, where, and in which language.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};
use till_store::{Error as StoreError, Tx};

use super::{KINDS, Kind};
use crate::catalog::parse;
use crate::events::Events;

/// Longest BCP 47 tag: RFC 5646 section 4.4.1 asks for 35.
const LOCALE_BYTES_MAX: usize = 35;

/// What a customer wants. `Serialize` is the persisted form.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(default)]
pub struct Preferences {
    /// BCP 47; none: as the merchant's.
    pub locale: Option<String>,
    /// By kind; a kind that is not there is on everywhere.
    pub channels: BTreeMap<String, Channels>,
    /// May be told of offers. No kind of today is one.
    pub marketing: bool,
}

/// Where a kind is told.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Channels {
    /// By mail.
    pub email: bool,
    /// By text message, where there are a phone number and a provider.
    pub sms: bool,
    /// In the app.
    pub in_app: bool,
}

impl Default for Channels {
    fn default() -> Channels {
        Channels { email: true, sms: true, in_app: true }
    }
}

impl Preferences {
    pub(crate) async fn read(tx: &mut Tx, merchant: &str, customer: &str) -> Result<Preferences, StoreError> {
        let body = tx.preference(merchant, customer).await?;
        body.map_or_else(|| Ok(Preferences::default()), |body| parse(&body))
    }

    /// Where a kind is told.
    pub(super) fn of(&self, kind: &Kind) -> Channels {
        self.channels.get(kind.name).copied().unwrap_or_default()
    }

    /// Where each kind is told, all of them.
    pub fn all(&self) -> impl Iterator<Item = (&'static str, Channels)> {
        KINDS.iter().map(|kind| (kind.name, self.of(kind)))
    }
}

impl Events {
    /// What a customer wants; the defaults for one who never said.
    ///
    /// # Errors
    /// The store's.
    pub async fn preferences(&self, merchant: &str, customer: &str) -> Result<Preferences, StoreError> {
        Preferences::read(&mut self.store.read().await?, merchant, customer).await
    }

    /// Keeps what a customer wants.
    ///
    /// # Errors
    /// The store's.
    pub async fn put_preferences(
        &self,
        merchant: &str,
        customer: &str,
        wants: &Preferences,
    ) -> Result<(), StoreError> {
        let body = serde_json::to_string(wants).map_err(|error| StoreError::Corrupt(error.to_string()))?;
        let (owner, customer, now_us) = (merchant.to_owned(), customer.to_owned(), self.clock.now_us());
        let put = self.store.transact(move |tx| {
            let (owner, customer, body) = (owner.clone(), customer.clone(), body.clone());
            Box::pin(async move { tx.put_preference(&owner, &customer, &body, now_us).await })
        });
        put.await
    }
}

/// Whether a text looks like a BCP 47 tag: a language of 2 or 3 letters, further parts of 1 to 8 letters and digits.
pub fn is_locale(text: &str) -> bool {
    let mut parts = text.split('-');
    let language = parts.next().unwrap_or_default();
    text.len() <= LOCALE_BYTES_MAX
        && (2..=3).contains(&language.len())
        && language.bytes().all(|byte| byte.is_ascii_alphabetic())
        && parts.all(|part| {
            (1..=8).contains(&part.len()) && part.bytes().all(|byte| byte.is_ascii_alphanumeric())
        })
}

/// Whether a text is a phone number as E.164 writes it: `+14155550123`, 15 digits at most.
pub fn is_phone(text: &str) -> bool {
    let digits = text.strip_prefix('+').unwrap_or_default();
    (7..=15).contains(&digits.len())
        && !digits.starts_with('0')
        && digits.bytes().all(|byte| byte.is_ascii_digit())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn tags_and_numbers_are_known_by_their_form() {
        for good in ["en", "de-AT", "zh-Hant-TW", "sr-Latn"] {
            assert!(is_locale(good), "{good}");
        }
        for wrong in ["", "e", "english", "de_AT", "de-", "de-ÄT", "../en", "en-abcdefghi"] {
            assert!(!is_locale(wrong), "{wrong}");
        }
        assert!(is_phone("+14155550123") && is_phone("+4930123456"));
        for wrong in ["", "14155550123", "+0123456789", "+1415555012345678", "+1415 5550123", "+1415\r\n555"]
        {
            assert!(!is_phone(wrong), "{wrong}");
        }
    }
}
