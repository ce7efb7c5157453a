//! Uploads: components and tables, tens of megabytes each, from clients that may be slow.
//!
//! Owns what they may hold in memory. A merchant has [`OWN_MAX`] uploads at a time, whatever they wait for. A body that
//! arrives takes memory byte by byte out of one share, so that a client that sends nothing holds nothing. A whole body
//! takes all that its reading needs out of another share, in one go: whoever has that never waits for memory again, so
//! nobody waits for each other. Whoever finds no place in [`WAIT`] is told to come again.

use std::collections::HashMap;
use std::sync::{Arc, LazyLock, Mutex};
use std::time::Duration;

use axum::http::header;
use tokio::sync::{OwnedSemaphorePermit, Semaphore};

use crate::problem::{Code, Problem};

/// Uploads of one merchant at a time: one is compiled while the next one arrives.
const OWN_MAX: usize = 2;
/// Bodies that arrive or wait, of all merchants: two of the largest, and room for others beside them.
const BODIES_MIB: usize = 512;
/// What is read of bodies, of all merchants: one of the largest tables, and room for components beside it.
const WORK_MIB: usize = 768;
/// How long an upload waits for a place. Clients and proxies wait longer.
const WAIT: Duration = Duration::from_secs(10);
/// When to come again, seconds: a component is compiled in that time.
const RETRY_S: &str = "10";

const MIB: usize = 1 << 20;

/// The uploads of this host.
pub(crate) static UPLOADS: LazyLock<Uploads> = LazyLock::new(|| Uploads::new(BODIES_MIB, WORK_MIB, WAIT));

/// Places for uploads.
pub(crate) struct Uploads {
    own: Mutex<HashMap<String, Arc<Semaphore>>>,
    bodies: Arc<Semaphore>,
    work: Arc<Semaphore>,
    wait: Duration,
}

/// A place of a merchant, with the memory of the body that arrives.
pub(crate) struct Place<'a> {
    uploads: &'a Uploads,
    _own: OwnedSemaphorePermit,
    body: Option<OwnedSemaphorePermit>,
}

/// A place with the memory that reading the body takes.
pub(crate) struct AtWork {
    _own: OwnedSemaphorePermit,
    memory: OwnedSemaphorePermit,
}

/// What reading so many bytes takes, in MiB: the body, what is decoded of it, and what is made of that; and for the
/// rows of a table, of which the shortest has 4 bytes, 112 more each until they are sorted.
fn work_mib(bytes: usize) -> usize {
    let rows = (bytes / 4).min(till_sandbox::TABLE_ROWS_MAX);
    mib(3 * bytes + 112 * rows)
}

fn mib(bytes: usize) -> usize {
    bytes.div_ceil(MIB).max(1)
}

fn permits(mib: usize) -> u32 {
    u32::try_from(mib).unwrap_or(u32::MAX)
}

fn come_again(code: Code, why: String) -> Problem {
    Problem::new(code, why).header(header::RETRY_AFTER, RETRY_S).header(header::CONNECTION, "close")
}

impl Uploads {
    fn new(bodies_mib: usize, work_mib: usize, wait: Duration) -> Uploads {
        let share = |mib| Arc::new(Semaphore::new(mib));
        Uploads { own: Mutex::default(), bodies: share(bodies_mib), work: share(work_mib), wait }
    }

    /// A place of the merchant's own. Taken before anything of the body is read.
    pub(crate) async fn enter(&self, merchant: &str) -> Result<Place<'_>, Problem> {
        let own = {
            let mut all = self.own.lock().expect("no holder panics");
            // Held by the map alone: nobody of that merchant is here.
            all.retain(|_, own| Arc::strong_count(own) > 1);
            all.entry(merchant.to_owned()).or_insert_with(|| Arc::new(Semaphore::new(OWN_MAX))).clone()
        };
        match tokio::time::timeout(self.wait, own.acquire_owned()).await {
            Ok(Ok(own)) => Ok(Place { uploads: self, _own: own, body: None }),
            Ok(Err(closed)) => Err(Problem::internal(closed)),
            Err(_) => Err(come_again(
                Code::RateLimited,
                format!(
                    "{OWN_MAX} uploads of this merchant are under way, and no more are taken at a time; \
                     send it again when one is done"
                ),
            )),
        }
    }

    async fn take(&self, share: &Arc<Semaphore>, mib: usize) -> Result<OwnedSemaphorePermit, Problem> {
        match tokio::time::timeout(self.wait, share.clone().acquire_many_owned(permits(mib))).await {
            Ok(taken) => taken.map_err(Problem::internal),
            Err(_) => Err(come_again(
                Code::Unavailable,
                format!(
                    "uploads of all merchants use the memory there is for them; \
                     {mib} MiB more did not become free within {} s; send it again",
                    self.wait.as_secs()
                ),
            )),
        }
    }
}

impl Place<'_> {
    /// Takes memory for a body of which so many bytes have arrived.
    pub(crate) async fn holds(&mut self, bytes: usize) -> Result<(), Problem> {
        let held = self.body.as_ref().map_or(0, OwnedSemaphorePermit::num_permits);
        let more = mib(bytes).saturating_sub(held);
        if more == 0 {
            return Ok(());
        }
        let more = self.uploads.take(&self.uploads.bodies, more).await?;
        match &mut self.body {
            Some(body) => body.merge(more),
            None => self.body = Some(more),
        }
        Ok(())
    }

    /// Takes memory for reading a whole body of so many bytes.
    pub(crate) async fn work(self, bytes: usize) -> Result<AtWork, Problem> {
        let memory = self.uploads.take(&self.uploads.work, work_mib(bytes)).await?;
        Ok(AtWork { _own: self._own, memory })
    }
}

impl AtWork {
    /// Gives back what is not needed any more: so many bytes are kept, and what is made of them.
    pub(crate) fn keeps(&mut self, bytes: usize) {
        let less = self.memory.num_permits().saturating_sub(mib(3 * bytes));
        drop(self.memory.split(less));
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::read::{PUSH_BYTES_MAX, TABLE_TEXT_BYTES_MAX};

    #[test]
    fn the_largest_upload_fits_into_what_there_is() {
        assert!(work_mib(TABLE_TEXT_BYTES_MAX) <= WORK_MIB, "{}", work_mib(TABLE_TEXT_BYTES_MAX));
        assert!(work_mib(PUSH_BYTES_MAX) <= WORK_MIB);
        assert!(OWN_MAX * mib(TABLE_TEXT_BYTES_MAX) < BODIES_MIB, "one merchant leaves room for others");
    }

    #[tokio::test(start_paused = true)]
    async fn a_merchant_has_so_many_uploads_at_a_time_and_others_do_not_wait_for_them() {
        let uploads = Uploads::new(8, 8, WAIT);
        let (first, second) = (uploads.enter("a").await.unwrap(), uploads.enter("a").await.unwrap());
        let refused = uploads.enter("a").await.err().expect("it waits in vain");
        assert_eq!(
            (refused.code, &refused.headers[header::RETRY_AFTER]),
            (Code::RateLimited, &RETRY_S.parse().unwrap())
        );
        assert!(refused.detail.contains("2 uploads of this merchant"), "{}", refused.detail);
        let mut other = uploads.enter("b").await.unwrap();
        other.holds(100).await.unwrap();
        drop(first);
        let third = uploads.enter("a").await.unwrap();
        drop((second, third, other));
        drop(uploads.enter("c").await.unwrap());
        assert_eq!(uploads.own.lock().unwrap().len(), 1, "who has gone is forgotten");
    }

    #[tokio::test(start_paused = true)]
    async fn memory_is_taken_as_bytes_arrive_and_never_past_what_there_is() {
        let uploads = Uploads::new(4, 4, WAIT);
        let mut slow = uploads.enter("a").await.unwrap();
        slow.holds(1).await.unwrap();
        assert_eq!(uploads.bodies.available_permits(), 3, "it holds what has arrived");
        slow.holds(MIB).await.unwrap();
        assert_eq!(uploads.bodies.available_permits(), 3);
        let mut large = uploads.enter("b").await.unwrap();
        large.holds(3 * MIB).await.unwrap();
        let refused = slow.holds(2 * MIB).await.expect_err("nothing is left");
        assert_eq!(refused.code, Code::Unavailable);
        assert!(refused.headers.contains_key(header::RETRY_AFTER));
        drop(slow);
        large.holds(4 * MIB).await.unwrap();
        // At work it has given back what it held as a body.
        let mut working = large.work(1000).await.unwrap();
        assert_eq!((uploads.bodies.available_permits(), uploads.work.available_permits()), (4, 3));
        working.keeps(1);
        let next = uploads.enter("c").await.unwrap();
        assert!(next.work(MIB).await.is_err(), "31 MiB are never free here");
        drop(working);
        assert_eq!(uploads.work.available_permits(), 4);
    }
}
