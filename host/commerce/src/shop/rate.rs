//! How often a customer may call: so many times within a window that begins with the first call.
//!
//! On SQLite one process serves and counts in memory. Hosts that share a database count there, in lots while much is
//! left and one by one near the limit: what a host has taken and not used counts, so all of them together never let more
//! through than the limit.

use std::sync::{Arc, Mutex};
use std::time::Duration;

use moka::sync::Cache;
use till_store::Store;

use super::{Shop, ShopError};
use crate::settings::RateSettings;

/// Customers remembered. Each takes some hundred bytes.
const REMEMBERED_MAX: u64 = 100_000;
/// A merchant's new limit holds after this at the latest.
const SETTINGS_KEPT: Duration = Duration::from_secs(5);
/// Of the limit, so much is taken at once while less than half is used.
const LOT_PART: u32 = 20;
/// Windows in the database that are older are forgotten; no window is longer.
const KEPT_US: i64 = 2 * 3600 * 1_000_000;

/// What a customer has left.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Allowance {
    /// Calls of a window.
    pub limit: u32,
    /// Seconds of a window.
    pub window_s: u32,
    /// Calls left, this one counted.
    pub left: u32,
    /// Seconds until the window ends, rounded up.
    pub ends_in_s: u32,
    /// This call is one too many.
    pub refused: bool,
}

/// What this host knows of a customer's window.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
struct Window {
    began_us: i64,
    /// Counted so far, as far as this host knows, its own lot included.
    used: u32,
    /// Counted, and not used by this host yet.
    lot: u32,
}

impl Window {
    /// A window that has ended is forgotten.
    fn now(self, now_us: i64, window_us: i64) -> Window {
        if now_us < self.began_us.saturating_add(window_us) { self } else { Window::default() }
    }

    /// How many calls to count next.
    fn next_lot(self, limit: u32) -> u32 {
        if self.used < limit / 2 { (limit / LOT_PART).max(1) } else { 1 }
    }

    /// With `n` calls counted, of which the window then has `used`; one of them is for now. None: that is too many.
    fn counted(began_us: i64, used: u32, n: u32, limit: u32) -> Option<Window> {
        let over = used.saturating_sub(limit);
        let granted = n.saturating_sub(over);
        (granted > 0).then(|| Window { began_us, used: used.min(limit), lot: granted - 1 })
    }
}

/// The windows of this host.
pub(super) struct Rates {
    windows: Cache<(String, String), Arc<Mutex<Window>>>,
    settings: Cache<String, RateSettings>,
    /// Other hosts count in the same database.
    shared: bool,
}

impl Rates {
    pub(super) fn new(store: &Store) -> Rates {
        Rates {
            windows: Cache::new(REMEMBERED_MAX),
            settings: Cache::builder().max_capacity(10_000).time_to_live(SETTINGS_KEPT).build(),
            shared: store.engine() != "sqlite",
        }
    }
}

impl Shop {
    /// Counts a call of a customer. None: the merchant has set no limit.
    ///
    /// # Errors
    /// The store's.
    pub async fn call_counted(&self, merchant: &str, customer: &str) -> Result<Option<Allowance>, ShopError> {
        let rate = match self.rates.settings.get(merchant) {
            Some(rate) => rate,
            None => {
                let rate = self.settings(merchant).await?.rate;
                self.rates.settings.insert(merchant.to_owned(), rate);
                rate
            }
        };
        if rate.requests == 0 {
            return Ok(None);
        }
        let (now_us, window_us) = (self.now_us(), i64::from(rate.window_s) * 1_000_000);
        let key = (merchant.to_owned(), customer.to_owned());
        let window = self.rates.windows.get_with(key, Arc::default);
        if !self.rates.shared {
            let mut window = window.lock().expect("no holder panics");
            let known = window.now(now_us, window_us);
            let began_us = if known.used == 0 { now_us } else { known.began_us };
            let counted = Window::counted(began_us, known.used + 1, 1, rate.requests);
            *window = counted.unwrap_or(Window { began_us, used: rate.requests, lot: 0 });
            return Ok(Some(allowance(rate, *window, counted.is_none(), now_us)));
        }
        let known = {
            let mut window = window.lock().expect("no holder panics");
            *window = window.now(now_us, window_us);
            if window.lot > 0 {
                window.lot -= 1;
                return Ok(Some(allowance(rate, *window, false, now_us)));
            }
            *window
        };
        let n = known.next_lot(rate.requests);
        let (owner, who) = (merchant.to_owned(), customer.to_owned());
        let (began_us, used) = self
            .store
            .transact(move |tx| {
                let (owner, who) = (owner.clone(), who.clone());
                Box::pin(async move { tx.count_calls(&owner, &who, now_us, window_us, i64::from(n)).await })
            })
            .await?;
        let used = u32::try_from(used).unwrap_or(u32::MAX);
        let counted = Window::counted(began_us, used, n, rate.requests);
        let next = counted.unwrap_or(Window { began_us, used: rate.requests, lot: 0 });
        let mut window = window.lock().expect("no holder panics");
        // Another call of this host may have taken a lot meanwhile.
        *window = Window { lot: next.lot + if window.began_us == began_us { window.lot } else { 0 }, ..next };
        Ok(Some(allowance(rate, *window, counted.is_none(), now_us)))
    }

    /// Forgets who has not called for long.
    pub async fn forget_calls(&self) -> Result<(), ShopError> {
        if self.rates.shared {
            let before_us = self.now_us().saturating_sub(KEPT_US);
            self.store.transact(move |tx| Box::pin(async move { tx.forget_calls(before_us).await })).await?;
        }
        Ok(())
    }
}

fn allowance(rate: RateSettings, window: Window, refused: bool, now_us: i64) -> Allowance {
    let ends_us = window.began_us.saturating_add(i64::from(rate.window_s) * 1_000_000);
    let left_s = ends_us.saturating_sub(now_us).max(0).saturating_add(999_999) / 1_000_000;
    Allowance {
        limit: rate.requests,
        window_s: rate.window_s,
        left: if refused { 0 } else { rate.requests.saturating_sub(window.used).saturating_add(window.lot) },
        ends_in_s: u32::try_from(left_s).unwrap_or(rate.window_s),
        refused,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    proptest! {
        /// Hosts that take lots from one counter never let more through than the limit, and all of it if one host asks.
        #[test]
        fn hosts_together_keep_to_the_limit(limit in 1_u32..300, calls in prop::collection::vec(0_usize..3, 0..900)) {
            let mut hosts = [Window::default(); 3];
            let (mut shared, mut let_through, mut asked_first) = (0_u32, 0_u32, 0_u32);
            for host in calls {
                let window = &mut hosts[host];
                if window.lot > 0 {
                    window.lot -= 1;
                    let_through += 1;
                } else {
                    let n = window.next_lot(limit);
                    shared = shared.saturating_add(n);
                    match Window::counted(1, shared, n, limit) {
                        Some(next) => { *window = next; let_through += 1; }
                        None => *window = Window { began_us: 1, used: limit, lot: 0 },
                    }
                }
                asked_first += 1;
                prop_assert!(let_through <= limit);
            }
            let unused: u32 = hosts.iter().map(|window| window.lot).sum();
            prop_assert!(let_through + unused >= limit.min(asked_first), "nothing is lost but what a host still has");
        }
    }

    #[test]
    fn a_window_ends_when_its_time_is_over() {
        let window = Window { began_us: 10, used: 3, lot: 2 };
        assert_eq!(window.now(59, 50), window);
        assert_eq!(window.now(60, 50), Window::default());
    }
}
