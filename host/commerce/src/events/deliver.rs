//! The one sender of all that leaves the house: endpoints, mail, text messages, NATS.
//!
//! A delivery is a row for each event and target. It is taken for a while, tried outside of any transaction, and noted;
//! tried again with growing pauses, buried when nothing helps, sent again when the merchant asks. Whoever is killed
//! between the try and its note tries again: each target has a key, the same for all tries, by which the other side
//! knows the second one.

use std::collections::HashMap;
use std::sync::Arc;
use std::time::Duration;

use till_store::tables::event::DeliveryRow;
use till_store::{Error as StoreError, Tx};
use tokio::task::JoinSet;
use tokio::time::{Instant, timeout_at};

use super::{Events, nats, notify, webhook};

/// The other side answers in this time, or is tried again. Standard Webhooks names 15 to 30 s.
pub(super) const ANSWER_TIME: Duration = Duration::from_secs(15);
/// Who has taken a delivery has it for so long, more than an answer may take; then another host may try.
const TAKEN_FOR_US: i64 = 20_000_000;
/// Pauses between tries, seconds: those that Standard Webhooks recommends, two days in all.
const PAUSES_S: [i64; 9] = [5, 300, 1_800, 7_200, 18_000, 36_000, 36_000, 36_000, 36_000];
/// Deliveries that are under way at the same time on this host.
const AT_ONCE: usize = 32;
/// Of these, to endpoints of merchants, who may be as slow as they like.
const ENDPOINTS: usize = 24;
/// Of these, of one merchant.
const OF_MERCHANT: usize = 8;
/// Mail, messages and NATS: theirs are the operator's servers, which may be slow too.
const OTHERS: usize = 24;
/// Of all these, to one target of a merchant.
const EACH: usize = 4;
/// Deliveries that are looked at for those that have a place: all endpoints of fifty merchants may be slow.
const LOOKED_AT: i64 = 4_096;
/// While all that are under way take their time, those that became due meanwhile are looked for this often.
const LOOK_EVERY: Duration = Duration::from_millis(500);
/// What the other side says is kept up to here.
const TOLD_CHARS_MAX: usize = 300;

/// What came of a try.
#[derive(Debug, Clone)]
pub(super) enum Came {
    /// It is there, and what was said.
    Taken(String),
    /// Not now, and after how many seconds the other side wants it again.
    Later(String, Option<u64>),
    /// Trying again cannot help.
    Never(String),
}

/// Who has how many of the places.
#[derive(Debug, Default)]
struct Places {
    endpoints: usize,
    others: usize,
    /// Endpoints of a merchant.
    merchants: HashMap<String, usize>,
    targets: HashMap<(String, String), usize>,
}

impl Places {
    /// Takes a place, if there is one for this delivery: one that hangs keeps no others waiting but those behind it.
    fn take(&mut self, row: &DeliveryRow) -> bool {
        let target = (row.merchant.clone(), row.target.clone());
        let of_target = self.targets.get(&target).copied().unwrap_or(0);
        let of_merchant = self.merchants.get(&row.merchant).copied().unwrap_or(0);
        let endpoint = is_endpoint(row);
        let full = match endpoint {
            true => self.endpoints >= ENDPOINTS || of_merchant >= OF_MERCHANT,
            false => self.others >= OTHERS,
        };
        if full || self.endpoints + self.others >= AT_ONCE || of_target >= EACH {
            return false;
        }
        if endpoint {
            self.endpoints += 1;
            self.merchants.insert(row.merchant.clone(), of_merchant + 1);
        } else {
            self.others += 1;
        }
        self.targets.insert(target, of_target + 1);
        true
    }

    fn free(&mut self, row: &DeliveryRow) {
        less(&mut self.targets, &(row.merchant.clone(), row.target.clone()));
        if is_endpoint(row) {
            self.endpoints = self.endpoints.saturating_sub(1);
            less(&mut self.merchants, &row.merchant);
        } else {
            self.others = self.others.saturating_sub(1);
        }
    }
}

fn is_endpoint(row: &DeliveryRow) -> bool {
    row.target.starts_with(webhook::TARGET)
}

fn less<K: std::hash::Hash + Eq>(counts: &mut HashMap<K, usize>, key: &K) {
    if let Some(count) = counts.get_mut(key) {
        *count -= 1;
        if *count == 0 {
            counts.remove(key);
        }
    }
}

impl Events {
    /// Makes the deliveries that are due, and those that become due meanwhile. Gives how many were tried.
    ///
    /// # Errors
    /// The store's. What was taken is tried again later.
    pub async fn deliver(self: &Arc<Self>) -> Result<usize, StoreError> {
        let (mut places, mut tried) = (Places::default(), 0);
        // Each in a task of its own: one that waits for a connection goes on while others are looked for.
        let (mut tasks, mut rows) = (JoinSet::new(), HashMap::new());
        loop {
            match self.take_due(&mut places).await {
                Ok(taken) => {
                    for row in taken {
                        let (events, of) = (self.clone(), row.clone());
                        let task = tasks.spawn(async move {
                            if let Err(error) = events.deliver_one(&of).await {
                                tracing::warn!(merchant = of.merchant, target = of.target, %error, "deliver an event");
                            }
                        });
                        rows.insert(task.id(), row);
                        tried += 1;
                    }
                }
                Err(error) if tasks.is_empty() => return Err(error),
                Err(error) => tracing::warn!(%error, "look for deliveries"),
            }
            if tasks.is_empty() {
                return Ok(tried);
            }
            let (until, enough) = (Instant::now() + LOOK_EVERY, tasks.len() / 2);
            while tasks.len() > enough {
                let Ok(Some(ended)) = timeout_at(until, tasks.join_next_with_id()).await else { break };
                let id = match ended {
                    Ok((id, ())) => id,
                    Err(failed) => failed.id(),
                };
                if let Some(row) = rows.remove(&id) {
                    places.free(&row);
                }
            }
        }
    }

    /// Takes what is due and has a place.
    async fn take_due(&self, places: &mut Places) -> Result<Vec<DeliveryRow>, StoreError> {
        let now_us = self.clock.now_us();
        if !self.store.read().await?.delivery_is_due(now_us).await? {
            return Ok(vec![]);
        }
        let due = self.store.read_aside(move |tx| {
            Box::pin(async move { tx.due_deliveries(now_us, EACH as i64, LOOKED_AT).await })
        });
        let mut wanted = due.await?;
        wanted.retain(|row| places.take(row));
        if wanted.is_empty() {
            return Ok(vec![]);
        }
        let asked = wanted.clone();
        let taken = self.store.transact(move |tx| {
            let asked = asked.clone();
            Box::pin(async move {
                let mut taken = Vec::with_capacity(asked.len());
                for row in &asked {
                    taken.push(tx.take_delivery(row, now_us, now_us + TAKEN_FOR_US).await?);
                }
                Ok(taken)
            })
        });
        let taken = taken.await.inspect_err(|_| wanted.iter().for_each(|row| places.free(row)))?;
        for (row, _) in wanted.iter().zip(&taken).filter(|(_, taken)| taken.is_none()) {
            places.free(row);
        }
        Ok(taken.into_iter().flatten().collect())
    }

    async fn deliver_one(&self, row: &DeliveryRow) -> Result<(), StoreError> {
        let came = self.try_one(row).await?;
        till_engine::crash::point("delivery.sent.before-noted");
        let now_us = self.clock.now_us();
        let row = row.clone();
        let noted = self.store.transact(move |tx| {
            let (row, came) = (row.clone(), came.clone());
            Box::pin(async move { note(tx, &row, &came, now_us).await })
        });
        noted.await
    }

    async fn try_one(&self, row: &DeliveryRow) -> Result<Came, StoreError> {
        let event = self.store.read().await?.event(&row.merchant, row.position).await?;
        let Some(event) = event else { return Ok(Came::Never("the event is gone".to_owned())) };
        match row.target.split_once(':').unwrap_or((&row.target, "")) {
            ("webhook", id) => self.post(row, id, &event).await,
            (notify::EMAIL, _) => self.mail(&row.merchant, &event).await,
            (notify::SMS, _) => self.text(&row.merchant, &event).await,
            (nats::NATS, _) => self.publish(&row.merchant, &event).await,
            // A newer host may have written it.
            (other, _) => Ok(Came::Later(format!("this host knows no target `{other}`"), None)),
        }
    }
}

async fn note(tx: &mut Tx, row: &DeliveryRow, came: &Came, now_us: i64) -> Result<(), StoreError> {
    match came {
        Came::Taken(told) => tx.delivered(row, told, now_us).await?,
        Came::Never(told) => tx.bury_delivery(row, told, now_us).await?,
        Came::Later(told, wanted_s) => {
            match usize::try_from(row.attempts - 1).ok().and_then(|tries| PAUSES_S.get(tries)) {
                Some(pause_s) => {
                    let longest = PAUSES_S[PAUSES_S.len() - 1];
                    let wanted = wanted_s.and_then(|s| i64::try_from(s).ok()).unwrap_or(0).min(longest);
                    let due_us = now_us + (*pause_s).max(wanted) * 1_000_000;
                    tx.delay_delivery(row, told, due_us, now_us).await?
                }
                None => tx.bury_delivery(row, told, now_us).await?,
            }
        }
    };
    Ok(())
}

/// The start of what the other side says. PostgreSQL keeps no NUL.
pub(super) fn cut(text: &str) -> String {
    text.replace('\0', "").chars().take(TOLD_CHARS_MAX).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn row(merchant: &str, target: &str) -> DeliveryRow {
        let (merchant, target) = (merchant.to_owned(), target.to_owned());
        DeliveryRow { merchant, target, position: 1, attempts: 0, due_us: 0 }
    }

    #[test]
    fn whoever_hangs_leaves_places_to_others_and_endpoints_leave_some_to_mail() {
        let mut places = Places::default();
        let slow: Vec<DeliveryRow> = (0..100).map(|n| row("slow", &format!("webhook:{}", n % 25))).collect();
        let taken: Vec<&DeliveryRow> = slow.iter().filter(|row| places.take(row)).collect();
        assert_eq!(taken.len(), OF_MERCHANT);
        assert!(places.take(&row("slow", notify::EMAIL)), "its own mail goes on");
        let mut one = Places::default();
        assert_eq!((0..100).filter(|_| one.take(&row("m", "webhook:a"))).count(), EACH);
        for n in 0..100 {
            places.take(&row(&format!("m{n}"), "webhook:a"));
        }
        assert_eq!(places.endpoints, ENDPOINTS);
        assert!(places.take(&row("m", notify::EMAIL)), "mail goes on");
        let mut mail = Places::default();
        for n in 0..100 {
            mail.take(&row(&format!("m{n}"), notify::EMAIL));
        }
        assert_eq!(mail.others, OTHERS);
        assert!(mail.take(&row("m", "webhook:a")), "endpoints go on while a mail server hangs");
        for row in taken {
            places.free(row);
        }
        assert!(places.take(&row("m", "webhook:a")));
        assert!(!places.merchants.contains_key("slow"));
    }
}
