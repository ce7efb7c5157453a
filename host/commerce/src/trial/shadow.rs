//! Shadows: what a component on trial would have made of live checkouts, off the shopper's path.
//!
//! After a quote is made its inputs go into a queue; whoever waits for the quote does not wait for this. The
//! component's calls run when no shopper's call does. Merchants take turns, and of one merchant one comparison is made
//! at a time, so that a slow shadow delays nobody else's. When too many wait a comparison is left out and counted.

use std::collections::{HashMap, HashSet, VecDeque};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use serde_json::Value;
use till_registry::{Difference as DifferenceRow, Registry};
use tokio::sync::Notify;
use uuid::Uuid;

use super::{Difference, compare, lineup, seat, stage_of};
use crate::ask::{self, Asker};
use crate::quote::{Inputs, Quote};
use crate::settings::Settings;

/// Comparisons that may wait, of all merchants. Each holds a quote of some 10 kB.
const WAITING_MAX: usize = 512;
/// Of these, comparisons of one merchant.
const WAITING_OF_ONE_MAX: usize = 64;
/// Comparisons made at the same time, each of another merchant: so many shadows have to be slow before any other waits.
const WORKERS: usize = 4;

/// A quote that was made, to be compared.
pub(crate) struct Made {
    pub(crate) merchant: String,
    pub(crate) uid: String,
    pub(crate) settings: Settings,
    pub(crate) inputs: Inputs,
    pub(crate) quote: Quote,
    pub(crate) pins: Value,
    pub(crate) now_us: i64,
}

/// What waits, by merchant. Each merchant with something waiting is once in `turn`, but for those at work.
struct Waiting<T> {
    by_merchant: HashMap<String, VecDeque<T>>,
    turn: VecDeque<String>,
    at_work: HashSet<String>,
    waiting: usize,
    closed: bool,
}

impl<T> Default for Waiting<T> {
    fn default() -> Waiting<T> {
        Waiting {
            by_merchant: HashMap::new(),
            turn: VecDeque::new(),
            at_work: HashSet::new(),
            waiting: 0,
            closed: false,
        }
    }
}

impl<T> Waiting<T> {
    /// Lines one up. Gives the merchant of one that is left out for it: its own, or the one with the most waiting.
    fn push(&mut self, merchant: &str, one: T) -> Option<String> {
        let own = self.by_merchant.get(merchant).map_or(0, VecDeque::len);
        if own >= WAITING_OF_ONE_MAX {
            return Some(merchant.to_owned());
        }
        let mut left_out = None;
        if self.waiting >= WAITING_MAX {
            let most = self.by_merchant.iter().max_by_key(|(_, all)| all.len());
            match most.filter(|(_, all)| all.len() > own + 1).map(|(merchant, _)| merchant.clone()) {
                Some(most) => {
                    self.take_from(&most);
                    left_out = Some(most);
                }
                None => return Some(merchant.to_owned()),
            }
        }
        self.by_merchant.entry(merchant.to_owned()).or_default().push_back(one);
        self.waiting += 1;
        if own == 0 && !self.at_work.contains(merchant) {
            self.turn.push_back(merchant.to_owned());
        }
        left_out
    }

    /// Begins the next one. Its merchant is at work until [`Waiting::done`].
    fn pop(&mut self) -> Option<(String, T)> {
        let merchant = self.turn.pop_front()?;
        let one = self.take_from(&merchant)?;
        self.at_work.insert(merchant.clone());
        Some((merchant, one))
    }

    fn take_from(&mut self, merchant: &str) -> Option<T> {
        let all = self.by_merchant.get_mut(merchant)?;
        let one = all.pop_front()?;
        self.waiting -= 1;
        if all.is_empty() {
            self.by_merchant.remove(merchant);
        }
        Some(one)
    }

    fn done(&mut self, merchant: String) {
        self.at_work.remove(&merchant);
        if self.by_merchant.contains_key(&merchant) {
            self.turn.push_back(merchant);
        }
    }
}

#[derive(Default)]
struct Queue {
    waiting: Mutex<Waiting<Made>>,
    moved: Notify,
}

impl Queue {
    fn lock(&self) -> MutexGuard<'_, Waiting<Made>> {
        self.waiting.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The next comparison, held until it is made. None: the queue is closed.
    async fn next(&self) -> Option<(AtWork<'_>, Made)> {
        loop {
            let moved = self.moved.notified();
            {
                let mut waiting = self.lock();
                if waiting.closed {
                    return None;
                }
                if let Some((merchant, made)) = waiting.pop() {
                    // Two that came at once may have woken one worker.
                    if !waiting.turn.is_empty() {
                        self.moved.notify_one();
                    }
                    return Some((AtWork { queue: self, merchant }, made));
                }
            }
            moved.await;
        }
    }
}

/// A merchant whose comparison is made; however that ends, its next one may follow.
struct AtWork<'a> {
    queue: &'a Queue,
    merchant: String,
}

impl Drop for AtWork<'_> {
    fn drop(&mut self) {
        self.queue.lock().done(std::mem::take(&mut self.merchant));
        self.queue.moved.notify_one();
    }
}

/// The queue of comparisons. Its workers end with the last of its owners.
pub struct Shadows {
    queue: Arc<Queue>,
    registry: Arc<Registry>,
}

impl Shadows {
    /// A queue with its workers on this runtime.
    pub fn start(registry: Arc<Registry>) -> Arc<Shadows> {
        let queue = Arc::new(Queue::default());
        for _ in 0..WORKERS {
            let (queue, registry) = (queue.clone(), registry.clone());
            tokio::spawn(async move {
                while let Some((_at_work, made)) = queue.next().await {
                    if let Err(error) = look(&registry, &made).await {
                        tracing::warn!(merchant = made.merchant, %error, "compare a shadow");
                    }
                }
            });
        }
        Arc::new(Shadows { queue, registry })
    }

    /// Hands a quote over. Does not wait.
    pub(crate) fn compare(&self, made: Made) {
        let merchant = made.merchant.clone();
        let left_out = self.queue.lock().push(&merchant, made);
        if let Some(merchant) = left_out {
            self.registry.leave_out(&merchant);
        }
        self.queue.moved.notify_one();
    }
}

impl Drop for Shadows {
    fn drop(&mut self) {
        self.queue.lock().closed = true;
        self.queue.moved.notify_waiters();
    }
}

/// Prices the same inputs with each shadow in its place, and records what differs.
async fn look(registry: &Registry, made: &Made) -> Result<(), till_registry::Error> {
    let merchant = made.merchant.as_str();
    for (key, slot, digest) in registry.shadows(merchant).await? {
        let Some(stage) = stage_of(slot) else { continue };
        let mut lineup = lineup(registry, merchant, &made.pins, &made.quote).await?;
        let bound = match registry.bound(merchant, &digest).await {
            Err(till_registry::Error::Revoked { .. }) => continue,
            bound => bound?,
        };
        seat(&mut lineup, slot, bound);
        let asker = Asker {
            sandbox: registry.sandbox(),
            registry: Some(registry),
            context: ask::context(merchant, &made.uid, &made.settings, made.inputs.now_ms),
            background: true,
            tap: None,
        };
        let difference = match asker.go_on(stage, &lineup, &made.inputs, made.quote.clone()).await {
            Ok(after) => compare(&made.quote, &after),
            Err(fault) => Some(Difference::failed(&made.quote, fault.to_string())),
        };
        let delta = difference.as_ref().map_or(0, Difference::delta);
        let row = difference.map(|difference| DifferenceRow {
            uid: made.uid.parse().unwrap_or(Uuid::nil()),
            at_us: made.now_us,
            body: serde_json::to_value(difference).unwrap_or_default(),
        });
        let delta = (made.quote.currency.code(), delta);
        registry.count_comparison(merchant, &key, delta, row).await?;
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_slow_shadow_of_one_merchant_delays_no_other_merchants() {
        let mut waiting = Waiting::default();
        for n in 0..10 {
            assert_eq!(waiting.push("slow", n), None);
        }
        assert_eq!(waiting.pop(), Some(("slow".to_owned(), 0)));
        // It is at work, and whatever others bring meanwhile goes past what waits behind it.
        for n in 0..3 {
            waiting.push("quick", n);
            assert_eq!(waiting.pop(), Some(("quick".to_owned(), n)));
            assert_eq!(waiting.pop(), None, "one of each merchant at a time");
            waiting.done("quick".to_owned());
        }
        waiting.push("quick", 3);
        waiting.push("quick", 4);
        waiting.done("slow".to_owned());
        let mut order = vec![];
        while let Some((merchant, n)) = waiting.pop() {
            order.push((merchant.clone(), n));
            waiting.done(merchant);
            if order.len() == 4 {
                break;
            }
        }
        let told: Vec<(&str, i32)> = order.iter().map(|(merchant, n)| (merchant.as_str(), *n)).collect();
        assert_eq!(told, [("quick", 3), ("slow", 1), ("quick", 4), ("slow", 2)], "they take turns");
    }

    #[test]
    fn one_merchant_fills_its_own_share_and_many_make_room_for_a_new_one() {
        let mut waiting = Waiting::default();
        for n in 0..WAITING_OF_ONE_MAX {
            assert_eq!(waiting.push("m0", n), None);
        }
        assert_eq!(waiting.push("m0", 0).as_deref(), Some("m0"), "its share is full");
        for m in 1..WAITING_MAX / WAITING_OF_ONE_MAX {
            for n in 0..WAITING_OF_ONE_MAX {
                assert_eq!(waiting.push(&format!("m{m}"), n), None);
            }
        }
        assert_eq!(waiting.waiting, WAITING_MAX);
        let left_out = waiting.push("new", 7).expect("somebody makes room");
        assert!(left_out.starts_with('m'), "{left_out}");
        assert_eq!(waiting.by_merchant[&left_out].front(), Some(&1), "its oldest is left out");
        assert_eq!((waiting.waiting, waiting.by_merchant["new"].len()), (WAITING_MAX, 1));
        let mut seen = 0;
        while let Some((merchant, _)) = waiting.pop() {
            waiting.done(merchant);
            seen += 1;
        }
        assert_eq!((seen, waiting.waiting), (WAITING_MAX, 0), "none is lost and none is done twice");
        assert!(waiting.by_merchant.is_empty() && waiting.turn.is_empty() && waiting.at_work.is_empty());
    }
}
