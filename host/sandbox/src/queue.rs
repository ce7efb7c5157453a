//! Threads for pure calls, and the order in which merchants get them.
//!
//! One thread for each core; a merchant with a thousand calls waiting delays another's single call by
//! one call, not by a thousand. What nobody waits for (shadows, backtests) runs when nothing else does.
//! Merchants whose calls take long have a thread of their own, at a low priority, and none of the others.

use crate::Error;
use crate::limits::THREAD_STACK_BYTES;
use crate::long::{self, LONG, Long};
use std::collections::{HashMap, VecDeque};
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::thread::{self, JoinHandle};
use std::time::{Duration, Instant};

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
    long: Long,
    closed: bool,
}

/// A job that a thread has taken.
struct Taken {
    job: Job,
    merchant: String,
}

/// Which calls a thread takes.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Lane {
    Short,
    Long,
}

impl Lanes {
    fn pop(&mut self, lane: Lane, now: Instant) -> Option<Taken> {
        let Lanes { shoppers, background, long, .. } = self;
        let fits = |merchant: &str| long.is(merchant, now) == (lane == Lane::Long);
        let (merchant, job) = shoppers.pop(fits).or_else(|| background.pop(fits))?;
        Some(Taken { job, merchant })
    }

    fn done(&mut self, merchant: String, worked: Duration, now: Instant) {
        if worked >= LONG {
            self.long.note(merchant, now);
        }
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

    fn pop(&mut self, fits: impl Fn(&str) -> bool) -> Option<(String, Job)> {
        let at = self.turn.iter().position(|merchant| fits(merchant))?;
        let merchant = self.turn.remove(at)?;
        let jobs = self.by_merchant.get_mut(&merchant)?;
        let job = jobs.pop_front()?;
        if jobs.is_empty() {
            self.by_merchant.remove(&merchant);
        } else {
            self.turn.push_back(merchant.clone());
        }
        Some((merchant, job))
    }
}

#[derive(Default)]
struct Shared {
    lanes: Mutex<Lanes>,
    more: Condvar,
}

impl Shared {
    fn lock(&self) -> MutexGuard<'_, Lanes> {
        self.lanes.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn next(&self, lane: Lane) -> Option<Taken> {
        let mut lanes = self.lock();
        loop {
            if let Some(taken) = lanes.pop(lane, Instant::now()) {
                return Some(taken);
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
        for n in 0..=threads.max(1) {
            let lane = if n == 0 { Lane::Long } else { Lane::Short };
            let shared = pool.shared.clone();
            let runtime =
                tokio::runtime::Builder::new_current_thread().enable_all().build().map_err(Error::Thread)?;
            let thread = thread::Builder::new()
                .name(format!("till-pure-{n}"))
                .stack_size(THREAD_STACK_BYTES)
                .spawn(move || {
                    // WASI's blocking calls want a runtime near them, or they start one of their own.
                    let _entered = runtime.enter();
                    if lane == Lane::Long {
                        long::step_back();
                    }
                    while let Some(Taken { job, merchant }) = shared.next(lane) {
                        let begun = long::worked();
                        // A bug of ours in one call must not take the thread from all the others; whoever
                        // waits for it sees its channel close.
                        let _ = catch_unwind(AssertUnwindSafe(job));
                        let worked = long::worked().saturating_sub(begun);
                        shared.lock().done(merchant, worked, Instant::now());
                        // Who may take what waits may be another one now.
                        shared.more.notify_all();
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
        let mut lanes = self.shared.lock();
        let lane = if background { &mut lanes.background } else { &mut lanes.shoppers };
        lane.push(merchant, job)?;
        drop(lanes);
        self.shared.more.notify_all();
        Ok(())
    }
}

impl Drop for Pool {
    fn drop(&mut self) {
        self.shared.lock().closed = true;
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
    use crate::long::LONG_FOR;
    use std::sync::mpsc;

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
        while let Some((_, job)) = waiting.pop(|_| true) {
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
        while let Some(taken) = lanes.pop(Lane::Short, Instant::now()) {
            (taken.job)();
        }
        assert_eq!(told.try_iter().collect::<Vec<_>>(), ["first", "second", "shadow"]);
    }

    #[test]
    fn merchants_whose_calls_take_long_leave_the_threads_of_the_others() {
        let mut lanes = Lanes::default();
        for merchant in ["loops", "loops", "loops", "honest"] {
            lanes.shoppers.push(merchant, Box::new(|| ())).unwrap();
        }
        let now = Instant::now();
        let take = |lanes: &mut Lanes, lane, at| lanes.pop(lane, at).map(|taken| taken.merchant);
        assert_eq!(take(&mut lanes, Lane::Long, now), None, "nothing is known of it yet");
        assert_eq!(take(&mut lanes, Lane::Short, now).as_deref(), Some("loops"));
        lanes.done("loops".into(), LONG, now);
        assert_eq!(take(&mut lanes, Lane::Short, now).as_deref(), Some("honest"));
        assert_eq!(take(&mut lanes, Lane::Short, now), None, "the others' threads are not for it");
        assert_eq!(take(&mut lanes, Lane::Long, now).as_deref(), Some("loops"));
        let later = now + LONG_FOR;
        assert_eq!(take(&mut lanes, Lane::Short, later).as_deref(), Some("loops"), "forgiven after a while");
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
