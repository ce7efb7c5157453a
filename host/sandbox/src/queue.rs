//! Threads for pure calls, and the order in which merchants get them.
//!
//! One thread for each core; a merchant with a thousand calls waiting delays another's single call by
//! one call, not by a thousand. What nobody waits for (shadows, backtests) runs when nothing else does.

use crate::Error;
use crate::limits::THREAD_STACK_BYTES;
use std::collections::{HashMap, VecDeque};
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::{Arc, Condvar, Mutex, PoisonError};
use std::thread::{self, JoinHandle};

/// Calls of one merchant that may wait. At 80 µs each this is a third of a second of one core.
const WAITING_MAX: usize = 4_096;

type Job = Box<dyn FnOnce() + Send>;

/// The merchant has too many calls waiting.
#[derive(Debug)]
pub(crate) struct Full {
    pub(crate) waiting_max: usize,
}

/// Jobs by merchant; each merchant with jobs is once in `turn`.
#[derive(Default)]
struct Waiting {
    by_merchant: HashMap<String, VecDeque<Job>>,
    turn: VecDeque<String>,
}

#[derive(Default)]
struct Lanes {
    shoppers: Waiting,
    background: Waiting,
    closed: bool,
}

impl Lanes {
    fn pop(&mut self) -> Option<Job> {
        self.shoppers.pop().or_else(|| self.background.pop())
    }
}

impl Waiting {
    fn push(&mut self, merchant: &str, job: Job) -> Result<(), Full> {
        let jobs = match self.by_merchant.get_mut(merchant) {
            Some(jobs) => jobs,
            None => {
                self.turn.push_back(merchant.to_owned());
                self.by_merchant.entry(merchant.to_owned()).or_default()
            }
        };
        if jobs.len() >= WAITING_MAX {
            return Err(Full { waiting_max: WAITING_MAX });
        }
        jobs.push_back(job);
        Ok(())
    }

    fn pop(&mut self) -> Option<Job> {
        let merchant = self.turn.pop_front()?;
        let jobs = self.by_merchant.get_mut(&merchant)?;
        let job = jobs.pop_front();
        if jobs.is_empty() {
            self.by_merchant.remove(&merchant);
        } else {
            self.turn.push_back(merchant);
        }
        job
    }
}

#[derive(Default)]
struct Shared {
    lanes: Mutex<Lanes>,
    more: Condvar,
}

impl Shared {
    fn next(&self) -> Option<Job> {
        let mut lanes = self.lanes.lock().unwrap_or_else(PoisonError::into_inner);
        loop {
            if let Some(job) = lanes.pop() {
                return Some(job);
            }
            if lanes.closed {
                return None;
            }
            lanes = self.more.wait(lanes).unwrap_or_else(PoisonError::into_inner);
        }
    }
}

pub(crate) struct Pool {
    shared: Arc<Shared>,
    threads: Vec<JoinHandle<()>>,
}

thread_local! {
    /// This thread runs its calls itself.
    static RUNS_ITS_OWN: std::cell::Cell<bool> = const { std::cell::Cell::new(false) };
}

/// Starts a thread whose pure calls run on itself, without a hand-over: for long work over many calls that nobody
/// waits for one by one. Not for a host that serves shoppers: it stands in no queue.
///
/// # Errors
/// The system gives no thread.
pub fn worker<T: Send + 'static>(
    name: &str,
    work: impl FnOnce() -> T + Send + 'static,
) -> std::io::Result<JoinHandle<T>> {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    let run = move || {
        let _entered = runtime.enter();
        RUNS_ITS_OWN.set(true);
        work()
    };
    thread::Builder::new().name(name.to_owned()).stack_size(THREAD_STACK_BYTES).spawn(run)
}

impl Pool {
    pub(crate) fn new(threads: usize) -> Result<Pool, Error> {
        let shared = Arc::new(Shared::default());
        let mut pool = Pool { shared, threads: Vec::new() };
        for n in 0..threads.max(1) {
            let shared = pool.shared.clone();
            let runtime =
                tokio::runtime::Builder::new_current_thread().enable_all().build().map_err(Error::Thread)?;
            let thread = thread::Builder::new()
                .name(format!("till-pure-{n}"))
                .stack_size(THREAD_STACK_BYTES)
                .spawn(move || {
                    // WASI's blocking calls want a runtime near them, or they start one of their own.
                    let _entered = runtime.enter();
                    while let Some(job) = shared.next() {
                        // A bug of ours in one call must not take the thread from all the others; whoever
                        // waits for it sees its channel close.
                        let _ = catch_unwind(AssertUnwindSafe(job));
                    }
                })
                .map_err(Error::Thread)?;
            pool.threads.push(thread);
        }
        Ok(pool)
    }

    pub(crate) fn submit(&self, merchant: &str, background: bool, job: Job) -> Result<(), Full> {
        if RUNS_ITS_OWN.get() {
            job();
            return Ok(());
        }
        let mut lanes = self.shared.lanes.lock().unwrap_or_else(PoisonError::into_inner);
        let lane = if background { &mut lanes.background } else { &mut lanes.shoppers };
        lane.push(merchant, job)?;
        drop(lanes);
        self.shared.more.notify_one();
        Ok(())
    }
}

impl Drop for Pool {
    fn drop(&mut self) {
        self.shared.lanes.lock().unwrap_or_else(PoisonError::into_inner).closed = true;
        self.shared.more.notify_all();
        for thread in self.threads.drain(..) {
            // The last owner may be a job on one of these threads, which cannot wait for itself.
            if thread.thread().id() != thread::current().id() {
                let _ = thread.join();
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::sync::mpsc;
    use std::time::Duration;

    #[test]
    fn merchants_take_turns() {
        let mut waiting = Waiting::default();
        let (tell, told) = mpsc::channel();
        let mut push = |merchant: &'static str| {
            let tell = tell.clone();
            waiting.push(merchant, Box::new(move || tell.send(merchant).unwrap())).unwrap();
        };
        for merchant in ["a", "a", "a", "b", "c", "b"] {
            push(merchant);
        }
        while let Some(job) = waiting.pop() {
            job();
        }
        drop(tell);
        assert_eq!(told.try_iter().collect::<Vec<_>>(), ["a", "b", "c", "a", "b", "a"]);
        assert!(waiting.turn.is_empty() && waiting.by_merchant.is_empty());
    }

    #[test]
    fn what_nobody_waits_for_comes_last() {
        let mut lanes = Lanes::default();
        let (tell, told) = mpsc::channel();
        let job = |name: &'static str| -> Job {
            let tell = tell.clone();
            Box::new(move || tell.send(name).unwrap())
        };
        lanes.background.push("a", job("shadow")).unwrap();
        lanes.shoppers.push("a", job("first")).unwrap();
        lanes.shoppers.push("b", job("second")).unwrap();
        while let Some(job) = lanes.pop() {
            job();
        }
        assert_eq!(told.try_iter().collect::<Vec<_>>(), ["first", "second", "shadow"]);
    }

    #[test]
    fn one_merchant_cannot_fill_the_memory() {
        let mut waiting = Waiting::default();
        for _ in 0..WAITING_MAX {
            waiting.push("a", Box::new(|| ())).unwrap();
        }
        assert!(waiting.push("a", Box::new(|| ())).is_err());
        assert!(waiting.push("b", Box::new(|| ())).is_ok());
    }

    #[test]
    fn a_panic_in_a_job_leaves_the_thread_alive() {
        let pool = Pool::new(1).unwrap();
        pool.submit("a", false, Box::new(|| panic!("a job that panics, on purpose"))).unwrap();
        let (tell, told) = mpsc::channel();
        pool.submit("a", false, Box::new(move || tell.send(()).unwrap())).unwrap();
        assert_eq!(told.recv_timeout(Duration::from_secs(10)), Ok(()));
    }
}
