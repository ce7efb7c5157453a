//! Seats (who drives an instance in this process) and watches (who follows it).

use std::sync::Arc;
use std::time::Duration;

use tokio::sync::{Notify, watch};
use uuid::Uuid;

use super::Runner;
use crate::instance::Instance;
use crate::ports::{Loaded, Store, StoreError};

/// What a follower sees of a drive.
#[derive(Debug, Clone)]
pub(super) enum Seen {
    /// Nothing is committed yet.
    Nothing,
    /// The last commit.
    Committed(Arc<Instance>),
    /// The drive failed before its first commit.
    Failed(StoreError),
}

/// The place of the one task that drives an instance in this process.
pub(super) struct Seat {
    pub(super) seen: watch::Receiver<Seen>,
}

/// Follows an instance.
#[derive(Clone)]
pub struct Watch {
    pub(super) seen: watch::Receiver<Seen>,
}

impl Watch {
    /// Returns when the first commit of the drive is durable.
    pub async fn committed(&self) -> Result<(), StoreError> {
        let mut seen = self.seen.clone();
        loop {
            match &*seen.borrow_and_update() {
                Seen::Committed(_) => return Ok(()),
                Seen::Failed(error) => return Err(error.clone()),
                Seen::Nothing => {}
            }
            if seen.changed().await.is_err() {
                return Err(StoreError::Unavailable("the drive ended".to_owned()));
            }
        }
    }

    /// The last committed instance seen.
    pub fn last(&self) -> Option<Arc<Instance>> {
        match &*self.seen.borrow() {
            Seen::Committed(instance) => Some(instance.clone()),
            _ => None,
        }
    }

    /// Waits until nothing more happens by itself at once, for at most `limit`. True: it rests; false also when
    /// its drive was given up before.
    pub async fn rested(&self, limit: Duration) -> bool {
        let mut seen = self.seen.clone();
        let rests = async {
            loop {
                match &*seen.borrow_and_update() {
                    Seen::Committed(instance) if instance.rests() => return true,
                    Seen::Failed(_) => return false,
                    Seen::Committed(_) | Seen::Nothing => {}
                }
                if seen.changed().await.is_err() {
                    return false;
                }
            }
        };
        tokio::time::timeout(limit, rests).await.unwrap_or(false)
    }
}

impl<S: Store> Runner<S> {
    /// A watch on an instance just read: live while it is driven here, else on what was read.
    pub fn watch(&self, loaded: Loaded) -> Watch {
        if let Some(seat) = self.seats.lock().expect("no holder panics").get(&loaded.instance.uid) {
            return Watch { seen: seat.seen.clone() };
        }
        let (_, seen) = watch::channel(Seen::Committed(Arc::new(loaded.instance)));
        Watch { seen }
    }

    /// Waits until the instance satisfies `done`, for at most `limit`, across its drives, timers and other
    /// hosts. Gives the instance as last committed.
    pub async fn wait(
        &self,
        merchant: &str,
        uid: Uuid,
        limit: Duration,
        done: impl Fn(&Instance) -> bool,
    ) -> Result<Option<Arc<Instance>>, StoreError> {
        let until = tokio::time::Instant::now() + limit;
        let notify = self.followers.lock().expect("no holder panics").entry(uid).or_default().clone();
        let follower = Follower { runner: self, uid, notify };
        loop {
            let committed = follower.notify.notified();
            tokio::pin!(committed);
            committed.as_mut().enable();
            let seated = {
                let seats = self.seats.lock().expect("no holder panics");
                seats.get(&uid).and_then(|seat| match &*seat.seen.borrow() {
                    Seen::Committed(instance) => Some(instance.clone()),
                    _ => None,
                })
            };
            let instance = match seated {
                Some(instance) => instance,
                None => match self.store.load(merchant, uid).await? {
                    Some(loaded) => Arc::new(loaded.instance),
                    None => return Ok(None),
                },
            };
            let left = until.saturating_duration_since(tokio::time::Instant::now());
            if done(&instance) || left.is_zero() {
                return Ok(Some(instance));
            }
            let _ = tokio::time::timeout(left.min(LOOK_AGAIN), committed).await;
        }
    }

    /// Waits until a drive that has come to rest has left its seat. Returns at once while it works.
    ///
    /// Its last commit is in the store a moment before it is told here and the seat is free; whoever acts on
    /// what they read must not be told that the instance is busy. `stored` is the version they read: what the seat
    /// told before that says nothing yet.
    pub(super) async fn left(&self, uid: Uuid, stored: i64) {
        let seen = self.seats.lock().expect("no holder panics").get(&uid).map(|seat| seat.seen.clone());
        let Some(mut seen) = seen else { return };
        let leaves = async {
            loop {
                let works = match &*seen.borrow_and_update() {
                    Seen::Committed(instance) => instance.version >= stored && !instance.rests(),
                    Seen::Failed(_) | Seen::Nothing => false,
                };
                if works || seen.changed().await.is_err() {
                    return;
                }
            }
        };
        let _ = tokio::time::timeout(LEAVE_MAX, leaves).await;
    }

    pub(super) fn tell_followers(&self, uid: Uuid) {
        if let Some(notify) = self.followers.lock().expect("no holder panics").get(&uid) {
            notify.notify_waiters();
        }
    }

    /// Takes the seat of an instance. None: it is driven already.
    pub(super) fn sit(self: &Arc<Self>, uid: Uuid) -> Option<Sitting<S>> {
        let (tell, seen) = watch::channel(Seen::Nothing);
        let mut seats = self.seats.lock().expect("no holder panics");
        if seats.contains_key(&uid) {
            return None;
        }
        seats.insert(uid, Seat { seen });
        Some(Sitting { runner: self.clone(), uid, tell })
    }
}

/// Longest wait for a drive that is at rest to leave its seat.
const LEAVE_MAX: Duration = Duration::from_secs(1);

/// How often a follower looks at the store: another host may drive the instance.
const LOOK_AGAIN: Duration = Duration::from_millis(500);

/// Someone who waits for commits of an instance; the last one to go takes the entry along.
struct Follower<'a, S: Store> {
    runner: &'a Runner<S>,
    uid: Uuid,
    notify: Arc<Notify>,
}

impl<S: Store> Drop for Follower<'_, S> {
    fn drop(&mut self) {
        let mut followers = self.runner.followers.lock().expect("no holder panics");
        // Two: the map's and ours.
        if Arc::strong_count(&self.notify) <= 2 {
            followers.remove(&self.uid);
        }
    }
}

/// Holds a seat; leaves it when dropped.
pub(super) struct Sitting<S: Store> {
    pub(super) runner: Arc<Runner<S>>,
    uid: Uuid,
    pub(super) tell: watch::Sender<Seen>,
}

impl<S: Store> Sitting<S> {
    pub(super) fn watch(&self) -> Watch {
        Watch { seen: self.tell.subscribe() }
    }
}

impl<S: Store> Drop for Sitting<S> {
    fn drop(&mut self) {
        self.runner.seats.lock().expect("no holder panics").remove(&self.uid);
        // A signal that came after the last commit found the seat taken and waits in the inbox.
        self.runner.nudge.notify_one();
    }
}
