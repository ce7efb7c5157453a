//! What statuses are called for people: the merchant's words, else ours, in the customer's language.

use std::collections::BTreeMap;

use till_store::{Error as StoreError, Tx};

use super::{Preferences, Spoken, words};
use crate::checkout::{CONFIRMED, PAYMENT_FAILED, PENDING_PAYMENT, PROCESSING};
use crate::events::{Audience, Events};
use crate::fulfilment::status;
use crate::settings::Settings;

/// Statuses of orders and parcels that have words.
pub const STATUSES: [&str; 13] = [
    PENDING_PAYMENT,
    CONFIRMED,
    PAYMENT_FAILED,
    PROCESSING,
    status::NEW,
    status::PENDING,
    status::READY,
    status::SHIPPED,
    status::OUT_FOR_DELIVERY,
    status::DELIVERY_FAILED,
    status::DELIVERED,
    status::RETURNED,
    status::CANCELLED,
];

/// Words for statuses by language, then by status.
pub type StatusTexts = BTreeMap<String, BTreeMap<String, String>>;

/// What statuses are called for one customer.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct StatusWords {
    spoken: Spoken,
    own: StatusTexts,
}

impl StatusWords {
    pub(super) fn new(spoken: Spoken, settings: &Settings) -> StatusWords {
        StatusWords { spoken, own: settings.statuses.clone() }
    }

    async fn read(tx: &mut Tx, merchant: &str, customer: &str) -> Result<StatusWords, StoreError> {
        let wants = Preferences::read(tx, merchant, customer).await?;
        let settings = Audience::settings_of(tx, merchant).await?;
        Ok(StatusWords::new(Spoken::of(&wants, &settings), &settings))
    }

    /// What a status is called, in the first language that has a word for it. A status without words is its own word.
    #[must_use]
    pub fn of(&self, status: &str) -> String {
        let word = |tag: &String| {
            let own = self.own.iter().find(|(language, _)| language.eq_ignore_ascii_case(tag));
            let own = own.and_then(|(_, words)| words.get(status)).map(String::as_str);
            own.or_else(|| words::of(tag)?.of_status(status)).map(str::to_owned)
        };
        self.spoken.0.iter().find_map(word).unwrap_or_else(|| status.to_owned())
    }
}

impl Events {
    /// What statuses are called for a customer.
    ///
    /// # Errors
    /// The store's.
    pub async fn status_words(&self, merchant: &str, customer: &str) -> Result<StatusWords, StoreError> {
        StatusWords::read(&mut self.store.read().await?, merchant, customer).await
    }
}

#[cfg(test)]
mod tests {
    use super::super::words::LANGUAGES;
    use super::*;

    fn told(locale: &str, own: &str) -> StatusWords {
        let settings: Settings = serde_json::from_str(&format!(r#"{{"statuses": {own}}}"#)).unwrap();
        settings.check().unwrap();
        let wants = Preferences { locale: Some(locale.to_owned()), ..Preferences::default() };
        StatusWords::new(Spoken::of(&wants, &settings), &settings)
    }

    #[test]
    fn the_merchants_word_goes_before_ours_and_the_customers_language_before_the_shops() {
        let own = r#"{"en": {"SHIPPED": "On the road"}, "de-AT": {"PROCESSING": "Wird hergerichtet"}}"#;
        assert_eq!(told("en-GB", own).of("SHIPPED"), "On the road");
        assert_eq!(told("de-at", own).of("PROCESSING"), "Wird hergerichtet");
        assert_eq!(told("de-at", own).of("SHIPPED"), "Versandt", "ours, in their language");
        assert_eq!(told("pt", own).of("SHIPPED"), "On the road", "the shop's language");
        assert_eq!(told("en", "{}").of("SOMETHING"), "SOMETHING");
    }

    #[test]
    fn each_status_has_a_word_in_each_language_that_is_built_in() {
        for language in LANGUAGES {
            for status in STATUSES {
                assert_ne!(told(language, "{}").of(status), status, "{language}");
                assert!(words::of(language).unwrap().of_status(status).is_some(), "{language} {status}");
            }
        }
    }
}
