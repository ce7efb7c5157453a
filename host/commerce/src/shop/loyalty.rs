//! Loyalty: what a customer has, what is adjusted, expires, and is taken back with a refund.

use till_store::tables::loyalty::{PointsChange, PointsEntry};

use super::inventory::Command;
use super::{Shop, ShopError};
use crate::checkout::order_from_row;
use crate::loyalty::{DAY_US, expired, tier};
use crate::settings::Settings;

/// Most points of one adjustment.
pub const ADJUSTED_MAX: i64 = 1_000_000_000;
/// Most points of a customer, but for what orders earn.
pub(super) const BALANCE_MAX: i64 = ADJUSTED_MAX * 1_000;
/// Points that expire within so many days are told.
const SOON_DAYS: i64 = 30;
/// Customers whose points are looked at in one turn of the sweep.
const EXPIRED_AT_ONCE: i64 = 100;

/// Points and tier of a customer.
#[derive(Debug, Clone, PartialEq)]
pub struct Loyalty {
    /// Points that can be used.
    pub available: i64,
    /// Points promised to checkouts.
    pub held: i64,
    /// Points earned in all.
    pub lifetime: i64,
    /// Tier.
    pub tier: Option<String>,
    /// The tier after it, and the points from which it is reached.
    pub next: Option<(String, i64)>,
    /// Points that expire within 30 days; none where points do not expire.
    pub expiring: Option<i64>,
    /// Settings of the merchant.
    pub settings: Settings,
}

fn missing(id: &str) -> ShopError {
    ShopError::NotFound { what: "customer", id: id.to_owned() }
}

impl Shop {
    /// Points and tier of a customer; one never seen has none.
    pub async fn loyalty(&self, merchant: &str, customer: &str) -> Result<Loyalty, ShopError> {
        let settings = self.settings(merchant).await?;
        let mut tx = self.store.read().await?;
        let row = tx.customer(merchant, customer).await?;
        let (points, held, lifetime) =
            row.as_ref().map_or((0, 0, 0), |r| (r.points, r.points_held, r.lifetime));
        let saved: Option<crate::catalog::Customer> =
            row.as_ref().map(|row| crate::catalog::parse(&row.body)).transpose()?;
        let expiring = match settings.points.expire_after_days {
            None => None,
            Some(days) => {
                let before = self.now_us() - (i64::from(days) - SOON_DAYS) * DAY_US;
                let sums = tx.points_sums(merchant, customer, before).await?;
                Some(expired(points, 0, &sums))
            }
        };
        let (reached, next) = tier(&settings.points, lifetime);
        let tier = reached.map(str::to_owned).or_else(|| saved.and_then(|saved| saved.tier));
        let next = next.map(|(name, from)| (name.to_owned(), from));
        Ok(Loyalty { available: points - held, held, lifetime, tier, next, expiring, settings })
    }

    /// The ledger of a customer before a place, newest first.
    pub async fn points_entries(
        &self,
        merchant: &str,
        customer: &str,
        before: (i64, &str),
        limit: i64,
    ) -> Result<Vec<PointsEntry>, ShopError> {
        Ok(self.store.read().await?.points_entries(merchant, customer, before, limit).await?)
    }

    /// Gives or takes points by hand. What checkouts hold stays; tiers do not change.
    pub async fn adjust_points(
        &self,
        merchant: &str,
        who: &str,
        (customer, delta, note): (&str, i64, &str),
        key: Option<&str>,
    ) -> Result<PointsEntry, ShopError> {
        if delta == 0 || delta.unsigned_abs() > ADJUSTED_MAX.unsigned_abs() {
            let why = format!("-{ADJUSTED_MAX} to {ADJUSTED_MAX} points, and not 0");
            return Err(ShopError::Field { field: "delta".to_owned(), why });
        }
        let what = format!("{customer:?} {delta} {note:?}");
        let command = Command { merchant, who, operation: "points.adjust", key, what };
        let [merchant, customer, note] = [merchant, customer, note].map(str::to_owned);
        let now_us = self.now_us();
        self.once(
            command,
            move |tx, id| {
                let [merchant, customer, note] = [&merchant, &customer, &note].map(Clone::clone);
                Box::pin(async move {
                    let row = tx.customer(&merchant, &customer).await?.ok_or_else(|| missing(&customer))?;
                    let free = row.points - row.points_held;
                    let over = delta > 0 && row.points > BALANCE_MAX;
                    let change = PointsChange {
                        id: &id,
                        customer: &customer,
                        delta,
                        lifetime: 0,
                        reason: "adjusted",
                        note: &note,
                        at_us: now_us,
                    };
                    if over || !tx.change_points(&merchant, &change).await? {
                        let why = format!("{free} points are free; no more can be taken");
                        return Err(ShopError::Field { field: "delta".to_owned(), why });
                    }
                    tx.points_entry(&merchant, &id).await?.ok_or_else(|| missing(&id))
                })
            },
            |tx, merchant, id| {
                Box::pin(async move { tx.points_entry(&merchant, &id).await?.ok_or_else(|| missing(&id)) })
            },
        )
        .await
    }

    /// An order is refunded: points it used come back, points it earned are taken back, down to none. Once for an order;
    /// gives what was booked then.
    pub async fn reverse_points(
        &self,
        merchant: &str,
        who: &str,
        order: &str,
    ) -> Result<Vec<PointsEntry>, ShopError> {
        let (order, note, now_us) = (order.to_owned(), format!("refunded by {who}"), self.now_us());
        self.atomic(merchant, move |tx, merchant| {
            let (order, note) = (order.clone(), note.clone());
            Box::pin(async move {
                let row = tx.order(&merchant, &order).await?;
                let none = || ShopError::NotFound { what: "order", id: order.clone() };
                let made = order_from_row(&row.ok_or_else(none)?)?;
                if made.confirmed_us.is_none() {
                    return Err(ShopError::Refused { why: "the order was never paid".to_owned() });
                }
                // One reversal of an order at a time: what was booked before is seen.
                tx.hold_order(&merchant, &order).await?;
                let points = |n: u64| i64::try_from(n).unwrap_or(i64::MAX);
                let totals = made.receipt.totals;
                let (used, earned) = (points(totals.points_used), points(totals.points_earned));
                let [returned, reversed] = [format!("{order}:returned"), format!("{order}:reversed")];
                let known = tx.points_entry(&merchant, &returned).await?.is_some()
                    || tx.points_entry(&merchant, &reversed).await?.is_some();
                let change = |id, delta, lifetime, reason| PointsChange {
                    id,
                    customer: &made.customer,
                    delta,
                    lifetime,
                    reason,
                    note: &note,
                    at_us: now_us,
                };
                if used > 0 && !known {
                    tx.change_points(&merchant, &change(&returned, used, 0, "returned")).await?;
                }
                let row = tx.customer(&merchant, &made.customer).await?;
                let free = row.map_or(0, |row| row.points - row.points_held);
                let back = earned.min(free);
                // Where none is left to take the entry says so: it was once, and the tier goes with what was earned.
                if earned > 0 && !known {
                    let change = change(&reversed, -back, -earned, "reversed");
                    if !tx.change_points(&merchant, &change).await? {
                        return Err(till_store::Error::Conflict.into()); // A checkout took some: look again.
                    }
                }
                let mut all = Vec::new();
                for id in [&returned, &reversed] {
                    all.extend(tx.points_entry(&merchant, id).await?);
                }
                Ok(all)
            })
        })
        .await
    }

    /// Takes points away that are too old, of all merchants where points expire. At most one entry for a customer and a
    /// day. Gives how many customers lost some.
    pub async fn expire_points(&self) -> Result<usize, ShopError> {
        let now_us = self.now_us();
        let merchants = self.store.read().await?.merchants().await?;
        let mut lost = 0;
        for merchant in merchants {
            let Some(days) = self.settings(&merchant).await?.points.expire_after_days else { continue };
            let before_us = now_us - i64::from(days) * DAY_US;
            let mut after = String::new();
            loop {
                let mut tx = self.store.read().await?;
                let some =
                    tx.customers_with_old_points(&merchant, before_us, &after, EXPIRED_AT_ONCE).await?;
                drop(tx);
                let Some(last) = some.last() else { break };
                after.clone_from(last);
                for customer in some {
                    lost += usize::from(self.expire_points_of(&merchant, customer, before_us, now_us).await?);
                }
            }
        }
        Ok(lost)
    }

    async fn expire_points_of(
        &self,
        merchant: &str,
        customer: String,
        before_us: i64,
        now_us: i64,
    ) -> Result<bool, ShopError> {
        let id = format!("expired:{}:{customer}", now_us.div_euclid(DAY_US));
        self.atomic(merchant, move |tx, merchant| {
            let (customer, id) = (customer.clone(), id.clone());
            Box::pin(async move {
                let Some(row) = tx.customer(&merchant, &customer).await? else { return Ok(false) };
                let sums = tx.points_sums(&merchant, &customer, before_us).await?;
                let points = expired(row.points, row.points_held, &sums);
                if points == 0 {
                    return Ok(false);
                }
                let change = PointsChange {
                    id: &id,
                    customer: &customer,
                    delta: -points,
                    lifetime: 0,
                    reason: "expired",
                    note: "",
                    at_us: now_us,
                };
                Ok(tx.change_points(&merchant, &change).await?)
            })
        })
        .await
    }
}
