//! Room for gateway calls, and the thread for merchants whose gateways work long.

use crate::Error;
use crate::engine::SandboxConfig;
use crate::limits::SharedMemory;
use crate::long::{self, LONG, Long};
use std::collections::HashMap;
use std::future::poll_fn;
use std::panic::resume_unwind;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::task::{Context, Poll, Wake, Waker};
use std::thread::{self, JoinHandle};
use std::time::{Duration, Instant};
use tokio::runtime::{self, Handle};
use tokio::sync::{OwnedSemaphorePermit, Semaphore, oneshot};
use tokio::task::JoinSet;

/// So many calls in sum, and so many of one merchant.
pub(crate) struct Gateways {
    all: Arc<Semaphore>,
    each: usize,
    by_merchant: Mutex<HashMap<String, Arc<Room>>>,
    long: Mutex<Long>,
    aside: Aside,
}

/// A merchant's share of the room: places, and memory for all of them together. Of its guests one works at a time,
/// whoever else of them waits for the network.
struct Room {
    places: Arc<Semaphore>,
    memory: Arc<SharedMemory>,
    working: Arc<Semaphore>,
}

/// Held while a gateway call runs.
pub(crate) struct Permits {
    gateways: Arc<Gateways>,
    merchant: String,
    room: Arc<Room>,
    _merchant: OwnedSemaphorePermit,
    _all: OwnedSemaphorePermit,
}

impl Gateways {
    pub(crate) fn new(config: &SandboxConfig) -> Result<Arc<Self>, Error> {
        Ok(Arc::new(Gateways {
            all: Arc::new(Semaphore::new(config.gateway_calls_max.max(1))),
            each: config.gateway_calls_per_merchant_max.max(1),
            by_merchant: Mutex::default(),
            long: Mutex::default(),
            aside: Aside::start().map_err(Error::Thread)?,
        }))
    }

    /// Waits until there is room. The merchant's own comes first, so that whoever waits for it takes
    /// nothing from the others.
    pub(crate) async fn enter(self: &Arc<Self>, merchant: &str) -> Permits {
        let room = self.room_of(merchant);
        let own = room.places.clone().acquire_owned().await.expect("the room of a merchant is never closed");
        let all = self.all.clone().acquire_owned().await.expect("the room of all is never closed");
        Permits { gateways: self.clone(), merchant: merchant.to_owned(), room, _merchant: own, _all: all }
    }

    /// Runs a call of the merchant: here, and from the moment on in which its guests have worked long, aside.
    pub(crate) async fn run<T: Send + 'static>(
        &self,
        merchant: &str,
        call: impl Future<Output = T> + Send + 'static,
    ) -> T {
        let mut call = Box::pin(call);
        let here = poll_fn(|cx| {
            if self.is_long(merchant) {
                return Poll::Ready(None);
            }
            call.as_mut().poll(cx).map(Some)
        });
        match here.await {
            Some(done) => done,
            None => self.aside.run(call).await,
        }
    }

    /// Whether the merchant's guests have worked long.
    pub(crate) fn is_long(&self, merchant: &str) -> bool {
        self.long().is(merchant, Instant::now())
    }

    fn long(&self) -> MutexGuard<'_, Long> {
        self.long.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn room_of(&self, merchant: &str) -> Arc<Room> {
        let mut rooms = self.by_merchant.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(room) = rooms.get(merchant) {
            return room.clone();
        }
        // Before a merchant is added, those that nobody is in or waits for are forgotten.
        rooms.retain(|_, room| Arc::strong_count(room) > 1);
        let places = Arc::new(Semaphore::new(self.each));
        let working = Arc::new(Semaphore::new(1));
        let room = Arc::new(Room { places, memory: Arc::default(), working });
        rooms.insert(merchant.to_owned(), room.clone());
        room
    }
}

impl Permits {
    /// Memory of all guests of the merchant together.
    pub(crate) fn memory(&self) -> Arc<SharedMemory> {
        self.room.memory.clone()
    }

    /// Polls a guest only while it holds the merchant's one permit, and keeps that until the guest waits for somebody
    /// else. So a merchant whose guests all work without pause takes one place in the runtime's queue and not one for
    /// each of them. Work that adds up to a long time is noted.
    pub(crate) async fn in_turn<T>(&self, guest: impl Future<Output = T>) -> T {
        let mut guest = std::pin::pin!(guest);
        let mut worked = Duration::ZERO;
        loop {
            let working = self.room.working.acquire().await.expect("the turn of a merchant is never closed");
            let turn = poll_fn(|cx| {
                let noted = Arc::new(Noted { woken: AtomicBool::new(false), waker: cx.waker().clone() });
                let begun = long::worked();
                let polled = guest.as_mut().poll(&mut Context::from_waker(&noted.clone().into()));
                worked += long::worked().saturating_sub(begun);
                if worked >= LONG {
                    self.gateways.long().note(self.merchant.clone(), Instant::now());
                }
                match polled {
                    Poll::Ready(value) => Poll::Ready(Some(value)),
                    // It made way for others after a tick and has more to do: the turn is still its own.
                    Poll::Pending if noted.woken.load(Ordering::Acquire) => Poll::Pending,
                    Poll::Pending => Poll::Ready(None),
                }
            });
            let done = turn.await;
            drop(working);
            if let Some(value) = done {
                return value;
            }
            // Whatever it waits for wakes this task.
            let mut rested = false;
            poll_fn(|_| if std::mem::replace(&mut rested, true) { Poll::Ready(()) } else { Poll::Pending })
                .await;
        }
    }
}

/// Wakes a task, and knows it.
struct Noted {
    woken: AtomicBool,
    waker: Waker,
}

impl Wake for Noted {
    fn wake(self: Arc<Self>) {
        self.woken.store(true, Ordering::Release);
        self.waker.wake_by_ref();
    }
}

/// Its name.
const ASIDE: &str = "till-gateway-long";

/// A thread that gives way to those that serve shoppers, with a runtime of its own.
struct Aside {
    handle: Handle,
    stop: Option<oneshot::Sender<()>>,
    thread: Option<JoinHandle<()>>,
}

impl Aside {
    fn start() -> std::io::Result<Aside> {
        let runtime = runtime::Builder::new_current_thread().enable_all().build()?;
        let handle = runtime.handle().clone();
        let (stop, stopped) = oneshot::channel::<()>();
        let serve = move || {
            long::step_back();
            let _ = runtime.block_on(stopped);
        };
        let thread = thread::Builder::new().name(ASIDE.to_owned()).spawn(serve)?;
        Ok(Aside { handle, stop: Some(stop), thread: Some(thread) })
    }

    /// Runs it there; whoever stops waiting ends it.
    async fn run<T: Send + 'static>(&self, work: impl Future<Output = T> + Send + 'static) -> T {
        let mut ends = JoinSet::new();
        ends.spawn_on(work, &self.handle);
        match ends.join_next().await.expect("one was spawned") {
            Ok(done) => done,
            // A panic is the caller's, as if the call had been run there: what it sent is not known any more.
            Err(error) => resume_unwind(error.into_panic()),
        }
    }
}

impl Drop for Aside {
    fn drop(&mut self) {
        drop(self.stop.take());
        if let Some(thread) = self.thread.take()
            && thread.thread().id() != thread::current().id()
        {
            let _ = thread.join();
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::sync::atomic::AtomicUsize;

    fn room_for(gateway_calls_per_merchant_max: usize) -> Arc<Gateways> {
        let gateway_calls_max = gateway_calls_per_merchant_max + 1;
        let config =
            SandboxConfig { gateway_calls_max, gateway_calls_per_merchant_max, ..SandboxConfig::default() };
        Gateways::new(&config).unwrap()
    }

    #[tokio::test]
    async fn a_merchant_cannot_take_all_the_room_for_gateways() {
        let gateways = room_for(2);
        let first = gateways.enter("a").await;
        let _second = gateways.enter("a").await;
        let third = tokio::time::timeout(Duration::from_millis(10), gateways.enter("a")).await;
        assert!(third.is_err(), "the merchant has its share");
        drop(gateways.enter("b").await);
        drop(first);
        gateways.enter("a").await;
    }

    /// As a guest does after a tick: it wants to go on at once.
    async fn make_way() {
        let mut made = false;
        poll_fn(|cx| {
            cx.waker().wake_by_ref();
            if std::mem::replace(&mut made, true) { Poll::Ready(()) } else { Poll::Pending }
        })
        .await;
    }

    #[tokio::test]
    async fn guests_of_one_merchant_that_work_without_pause_leave_the_runtime_to_others() {
        const GUESTS: usize = 32;
        let (gateways, slices) = (room_for(GUESTS), Arc::new(AtomicUsize::new(0)));
        for _ in 0..GUESTS {
            let (permits, slices) = (gateways.enter("a").await, slices.clone());
            tokio::spawn(async move {
                let guest = async {
                    loop {
                        slices.fetch_add(1, Ordering::Relaxed);
                        make_way().await;
                    }
                };
                permits.in_turn::<()>(guest).await;
            });
        }
        let counted = slices.clone();
        let others = tokio::spawn(async move {
            for _ in 0..GUESTS * 2 {
                make_way().await; // All of them have lined up.
            }
            let before = counted.load(Ordering::Relaxed);
            for _ in 0..GUESTS {
                make_way().await; // Its turn comes around so often.
            }
            counted.load(Ordering::Relaxed) - before
        });
        let worked = others.await.unwrap();
        assert!((1..=GUESTS * 2).contains(&worked), "{worked} slices of work in {GUESTS} rounds");
    }

    #[tokio::test]
    async fn a_guest_that_waits_lets_another_of_its_merchant_work() {
        let gateways = room_for(2);
        let (first, second) = (gateways.enter("a").await, gateways.enter("a").await);
        let (tell, told) = oneshot::channel();
        let waits = first.in_turn(told);
        let tells = second.in_turn(async { tell.send(7).unwrap() });
        let (heard, ()) = tokio::join!(waits, tells);
        assert_eq!(heard, Ok(7));
    }

    fn here() -> String {
        thread::current().name().unwrap_or_default().to_owned()
    }

    #[tokio::test]
    async fn a_guest_that_works_long_goes_on_aside_and_so_do_the_others_of_its_merchant() {
        let gateways = room_for(2);
        let permits = gateways.enter("a").await;
        let works = async move {
            let guest = async {
                let (begun, caller) = (Instant::now(), here());
                while here() == caller && begun.elapsed() < Duration::from_secs(30) {
                    make_way().await;
                }
                here()
            };
            permits.in_turn(guest).await
        };
        assert_eq!(gateways.run("a", works).await, ASIDE);
        assert_eq!(gateways.run("a", async { here() }).await, ASIDE);
        assert_eq!(gateways.run("b", async { here() }).await, here());
    }
}
