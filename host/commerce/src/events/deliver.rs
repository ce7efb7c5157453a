//! The one sender of all that leaves the house: endpoints, mail, text messages, NATS.
//!
//! A delivery is a row for each event and target. It is taken for a while, tried outside of any transaction, and noted;
//! tried again with growing pauses, buried when nothing helps, sent again when the merchant asks. Whoever is killed
//! between the try and its note tries again: each target has a key, the same for all tries, by which the other side
//! knows the second one.

use std::time::Duration;

use futures::StreamExt as _;
use till_store::tables::event::DeliveryRow;
use till_store::{Error as StoreError, Tx};

use super::{Events, nats, notify};

/// The other side answers in this time, or is tried again. Standard Webhooks names 15 to 30 s.
pub(super) const ANSWER_TIME: Duration = Duration::from_secs(15);
/// Who has taken a delivery has it for so long, more than an answer may take; then another host may try.
const TAKEN_FOR_US: i64 = 20_000_000;
/// Pauses between tries, seconds: those that Standard Webhooks recommends, two days in all.
const PAUSES_S: [i64; 9] = [5, 300, 1_800, 7_200, 18_000, 36_000, 36_000, 36_000, 36_000];
/// Deliveries to one target of a merchant at a time.
const EACH: i64 = 4;
/// Deliveries at a time.
const AT_ONCE: i64 = 32;
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

impl Events {
    /// Makes the deliveries that are due. Gives how many were tried.
    ///
    /// # Errors
    /// The store's. What was taken is tried again later.
    pub async fn deliver(&self) -> Result<usize, StoreError> {
        let now_us = self.clock.now_us();
        if !self.store.read().await?.delivery_is_due(now_us).await? {
            return Ok(0);
        }
        let taken = self.store.transact(move |tx| {
            Box::pin(async move { tx.take_deliveries(now_us, now_us + TAKEN_FOR_US, EACH, AT_ONCE).await })
        });
        let taken = taken.await?;
        let tried = taken.len();
        let mut tries = futures::stream::iter(taken)
            .map(|row| async move {
                if let Err(error) = self.deliver_one(&row).await {
                    tracing::warn!(merchant = row.merchant, target = row.target, %error, "deliver an event");
                }
            })
            .buffer_unordered(usize::try_from(AT_ONCE).unwrap_or(1));
        while tries.next().await.is_some() {}
        Ok(tried)
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
