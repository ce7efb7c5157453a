//! Places for connections that stay: so many in all, and so many for each caller, so that nobody takes all of them.

use std::collections::BTreeMap;
use std::sync::{Mutex, PoisonError};

use axum::http::header;

use crate::auth::Caller;
use crate::problem::{Code, Problem};

/// Places of one kind on this host.
pub(crate) struct Seats {
    all: usize,
    each: usize,
    taken: Mutex<Taken>,
}

struct Taken {
    all: usize,
    by: BTreeMap<(String, String), usize>,
}

/// A place; free again when it is dropped.
pub(crate) struct Seat {
    of: &'static Seats,
    who: (String, String),
}

impl Seats {
    pub(crate) const fn new(all: usize, each: usize) -> Seats {
        Seats { all, each, taken: Mutex::new(Taken { all: 0, by: BTreeMap::new() }) }
    }

    /// Takes a place of a caller's; `what` there are so many of, for people.
    pub(crate) fn take(&'static self, caller: &Caller, what: &str) -> Result<Seat, Problem> {
        let who = (caller.merchant.clone(), caller.sub.clone());
        let mut taken = self.taken.lock().unwrap_or_else(PoisonError::into_inner);
        let own = taken.by.get(&who).copied().unwrap_or(0);
        let refused = if own >= self.each {
            let told = format!("you have {own} {what} on this host; close one");
            Some(Problem::new(Code::RateLimited, told))
        } else if taken.all >= self.all {
            let told = format!("there are too many {what} on this host at the moment; come again");
            Some(Problem::new(Code::Unavailable, told))
        } else {
            None
        };
        if let Some(problem) = refused {
            return Err(problem.header(header::RETRY_AFTER, "5"));
        }
        taken.all += 1;
        taken.by.insert(who.clone(), own + 1);
        Ok(Seat { of: self, who })
    }
}

impl Drop for Seat {
    fn drop(&mut self) {
        let mut taken = self.of.taken.lock().unwrap_or_else(PoisonError::into_inner);
        taken.all -= 1;
        match taken.by.get_mut(&self.who) {
            Some(own) if *own > 1 => *own -= 1,
            _ => {
                taken.by.remove(&self.who);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_caller_leaves_places_to_others_and_those_that_are_left_are_free_again() {
        static SEATS: Seats = Seats::new(3, 2);
        let caller = |sub: &str| Caller { merchant: "m".into(), sub: sub.into(), scopes: vec![] };
        let (ann, bob) = (caller("ann"), caller("bob"));
        let take = |who: &Caller| SEATS.take(who, "streams").map_err(|problem| problem.status().as_u16());
        let mine = [take(&ann).unwrap(), take(&ann).unwrap()];
        assert_eq!(take(&ann).err(), Some(429));
        let other = take(&bob).unwrap();
        assert_eq!(take(&bob).err(), Some(503));
        drop(mine);
        drop(take(&bob).unwrap());
        drop(other);
        assert_eq!(SEATS.taken.lock().unwrap().by.len(), 0);
    }
}
