//! What is told around the price of a session: the buyer's book, points, preferences. A sale does not depend on it, so a
//! part that fails or takes too long is left out with a warning. What the price depends on fails closed (`session.rs`).

use std::future::Future;
use std::time::Duration;

use till_engine::crash::{self, Planned};

use super::{Shop, ShopError};
use crate::catalog::{Customer, parse};
use crate::events::notify::Preferences;
use crate::quote::{Quote, Stage, What};
use crate::settings::Settings;

/// Longest wait for a part: a read of one row takes a millisecond, and a shopper waits for the price about as long.
const PART_TIME: Duration = Duration::from_secs(2);

/// A part of an answer that could not be told.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PartWarning {
    /// `part-failed`, `part-slow`, or `component-omitted` for a component that a merchant lets a sale go on without.
    pub code: &'static str,
    /// `customer`, `loyalty`, `preferences`; of a component `pricing`, `promotions`, `shipping`, `tax`.
    pub part: &'static str,
    /// For people.
    pub detail: String,
}

/// What is told around the price.
pub(super) struct Surroundings {
    pub(super) customer: Customer,
    pub(super) points: i64,
    pub(super) preferences: Preferences,
    pub(super) warnings: Vec<PartWarning>,
}

/// Points that can be used, and points earned in all.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
struct Points {
    available: i64,
    lifetime: Option<i64>,
}

impl Shop {
    /// Reads all parts at the same time.
    pub(super) async fn surroundings(&self, merchant: &str, id: &str, settings: &Settings) -> Surroundings {
        let mut warnings = Vec::new();
        let (customer, points, preferences) = tokio::join!(
            part(merchant, "customer", PART_TIME, self.known(merchant, id)),
            part(merchant, "loyalty", PART_TIME, self.usable_points(merchant, id)),
            part(merchant, "preferences", PART_TIME, self.wishes(merchant, id)),
        );
        let customer = or_empty(customer, &mut warnings).unwrap_or_else(|| Customer::unknown(id));
        let points = or_empty(points, &mut warnings);
        let preferences = or_empty(preferences, &mut warnings);
        let customer = match points.lifetime {
            Some(lifetime) => customer.in_tier(settings, lifetime),
            None => customer,
        };
        Surroundings { customer, points: points.available, preferences, warnings }
    }

    async fn known(&self, merchant: &str, id: &str) -> Result<Option<Customer>, ShopError> {
        let row = self.store.read().await?.customer(merchant, id).await?;
        Ok(row.map(|row| parse(&row.body)).transpose()?)
    }

    async fn usable_points(&self, merchant: &str, id: &str) -> Result<Points, ShopError> {
        let row = self.store.read().await?.customer(merchant, id).await?;
        Ok(row.map_or_else(Points::default, |row| Points {
            available: row.points - row.points_held,
            lifetime: Some(row.lifetime),
        }))
    }

    async fn wishes(&self, merchant: &str, id: &str) -> Result<Preferences, ShopError> {
        Ok(Preferences::read(&mut self.store.read().await?, merchant, id).await?)
    }
}

fn or_empty<T: Default>(made: Result<T, PartWarning>, warnings: &mut Vec<PartWarning>) -> T {
    made.unwrap_or_else(|warning| {
        warnings.push(warning);
        T::default()
    })
}

/// Reads a part within its time. What went wrong is logged in full and told in brief.
async fn part<T>(
    merchant: &str,
    name: &'static str,
    limit: Duration,
    read: impl Future<Output = Result<T, ShopError>>,
) -> Result<T, PartWarning> {
    let read = async {
        match crash::planned(name) {
            Some(Planned::Fails) => Err(ShopError::Unavailable { why: "a test wants it so".to_owned() }),
            Some(Planned::Hangs) => std::future::pending().await,
            None => read.await,
        }
    };
    let warning = |code, what: &str| {
        let detail = format!("`{name}` {what}; the checkout goes on without it");
        Err(PartWarning { code, part: name, detail })
    };
    match tokio::time::timeout(limit, read).await {
        Ok(Ok(made)) => Ok(made),
        Ok(Err(error)) => {
            tracing::warn!(merchant, part = name, %error, "leave out a part of a checkout");
            warning("part-failed", "could not be read")
        }
        Err(_) => {
            tracing::warn!(merchant, part = name, "leave out a part of a checkout that takes too long");
            warning("part-slow", "took too long")
        }
    }
}

/// Components that the quote was made without, as their merchant's failure policy says.
pub(super) fn omitted(quote: &Quote) -> Vec<PartWarning> {
    let left_out = quote.trace.iter().filter(|entry| entry.what == What::Omitted);
    let told = left_out.map(|entry| PartWarning {
        code: "component-omitted",
        part: match entry.stage {
            Stage::Price => "pricing",
            Stage::Promotions => "promotions",
            Stage::Points => "points",
            Stage::Shipping => "shipping",
            Stage::Tax => "tax",
            Stage::Total => "total",
        },
        detail: format!("{} could not be used; the price was made without it", entry.by),
    });
    told.collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn a_part_that_hangs_or_fails_is_left_out_with_a_warning_that_names_it() {
        let brief = Duration::from_millis(1);
        let hangs = part("m", "slow-one", brief, std::future::pending::<Result<i64, ShopError>>()).await;
        let hangs = hangs.expect_err("it never answers");
        assert_eq!((hangs.code, hangs.part), ("part-slow", "slow-one"));
        let secret = ShopError::Unavailable { why: "row 7 of secret_table".to_owned() };
        let fails = part("m", "broken-one", brief, async { Err::<i64, _>(secret) }).await;
        let fails = fails.expect_err("it fails");
        assert_eq!((fails.code, fails.part), ("part-failed", "broken-one"));
        assert!(!fails.detail.contains("secret"), "{}", fails.detail);
        let mut warnings = Vec::new();
        assert_eq!(or_empty(Err::<i64, _>(fails.clone()), &mut warnings), 0);
        assert_eq!(or_empty(Ok(7), &mut warnings), 7);
        assert_eq!(warnings, [fails]);
    }
}
