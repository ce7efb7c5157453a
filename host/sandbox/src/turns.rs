//! One at a time, and merchants in turn: for work that takes seconds.
//!
//! Whoever has waited longest is not next, but the merchant who has: one who asks without pause comes again only
//! after every other merchant that waits has been served once.

use std::collections::{HashMap, VecDeque};
use std::sync::{Condvar, Mutex, MutexGuard, PoisonError};

/// Who works and who waits.
#[derive(Default)]
pub(crate) struct Turns {
    queue: Mutex<Queue>,
    moved: Condvar,
}

#[derive(Default)]
struct Queue {
    /// The merchant whose work is being done. It is not in `turn`: it lines up again when it is done.
    at_work: Option<String>,
    by_merchant: HashMap<String, VecDeque<u64>>,
    turn: VecDeque<String>,
    next: u64,
}

/// Held while the work is done.
pub(crate) struct Turn<'a> {
    turns: &'a Turns,
}

impl Turns {
    /// Waits until it is this one's turn.
    pub(crate) fn enter(&self, merchant: &str) -> Turn<'_> {
        let mut queue = self.lock();
        let ticket = queue.line_up(merchant);
        while !queue.take(merchant, ticket) {
            queue = self.moved.wait(queue).unwrap_or_else(PoisonError::into_inner);
        }
        Turn { turns: self }
    }

    fn lock(&self) -> MutexGuard<'_, Queue> {
        self.queue.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Queue {
    fn line_up(&mut self, merchant: &str) -> u64 {
        self.next += 1;
        let tickets = self.by_merchant.entry(merchant.to_owned()).or_default();
        tickets.push_back(self.next);
        if tickets.len() == 1 && self.at_work.as_deref() != Some(merchant) {
            self.turn.push_back(merchant.to_owned());
        }
        self.next
    }

    /// Begins the work of this ticket, if it is next.
    fn take(&mut self, merchant: &str, ticket: u64) -> bool {
        let first = self.turn.front().is_some_and(|first| first == merchant);
        let tickets = self.by_merchant.get_mut(merchant);
        let Some(tickets) = tickets.filter(|tickets| tickets.front() == Some(&ticket)) else { return false };
        if self.at_work.is_some() || !first {
            return false;
        }
        tickets.pop_front();
        if tickets.is_empty() {
            self.by_merchant.remove(merchant);
        }
        self.at_work = self.turn.pop_front();
        true
    }

    fn done(&mut self) {
        let Some(merchant) = self.at_work.take() else { return };
        if self.by_merchant.contains_key(&merchant) {
            self.turn.push_back(merchant);
        }
    }
}

impl Drop for Turn<'_> {
    fn drop(&mut self) {
        self.turns.lock().done();
        self.turns.moved.notify_all();
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::sync::mpsc;
    use std::time::Duration;

    #[test]
    fn a_merchant_who_asks_without_pause_delays_another_by_one_piece_of_work() {
        let mut queue = Queue::default();
        let hog: Vec<u64> = (0..3).map(|_| queue.line_up("hog")).collect();
        assert!(queue.take("hog", hog[0]));
        let other = queue.line_up("other");
        assert!(!queue.take("other", other), "one at a time");
        queue.done();
        assert!(!queue.take("hog", hog[1]), "the other merchant is next, although it came later");
        assert!(queue.take("other", other));
        queue.done();
        assert!(!queue.take("hog", hog[2]), "one merchant's work is done in its order");
        assert!(queue.take("hog", hog[1]));
        queue.done();
        assert!(queue.take("hog", hog[2]));
        queue.done();
        assert!(queue.turn.is_empty() && queue.by_merchant.is_empty());
    }

    #[test]
    fn who_waits_is_woken_when_the_work_is_done() {
        let turns = Turns::default();
        let (tell, told) = mpsc::channel();
        let held = turns.enter("hog");
        std::thread::scope(|scope| {
            let other = scope.spawn(|| {
                drop(turns.enter("other"));
                tell.send("other").unwrap();
            });
            assert!(told.recv_timeout(Duration::from_millis(20)).is_err(), "the work is not done");
            drop(held);
            assert_eq!(told.recv_timeout(Duration::from_secs(10)), Ok("other"));
            other.join().unwrap();
        });
    }
}
