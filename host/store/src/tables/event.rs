//! What happened, and its way to those who want to know.
//!
//! Rooms write facts into the outbox within their own commits. [`Tx::relay`] moves them into the log, where each has a
//! position, and notes the deliveries that follow, in one transaction. The counter of positions is taken first, so one
//! relay works at a time and positions become visible in their order.

use till_engine::ports::StoreError;
use till_engine::step::Event;
use uuid::Uuid;

use crate::tx::{P, Row, Tx};

/// The series of positions, of no merchant.
const POSITIONS: &str = "event";

/// A fact that has not been relayed.
#[derive(Debug, Clone)]
pub struct OutboxRow {
    /// Merchant.
    pub merchant: String,
    /// Instance, or an id of its own.
    pub uid: Uuid,
    /// Version of the instance.
    pub seq: i64,
    /// Number within the commit.
    pub n: i64,
    /// `order.created`
    pub topic: String,
    /// JSON.
    pub body: String,
    /// Epoch microseconds.
    pub at_us: i64,
}

impl OutboxRow {
    /// Names the fact for ever: whoever is told twice sees it twice.
    pub fn id(&self) -> String {
        format!("evt_{}_{}_{}", self.uid.simple(), self.seq, self.n)
    }
}

/// A fact of the log.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct EventRow {
    /// Grows; of all merchants together, with gaps.
    pub position: i64,
    /// Names the fact for ever.
    pub id: String,
    /// `order.created`
    pub topic: String,
    /// What it is about: an order's id. Empty for none.
    pub subject: String,
    /// JSON.
    pub body: String,
    /// Epoch microseconds.
    pub at_us: i64,
}

/// An event on its way to somebody outside.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct DeliveryRow {
    /// Merchant.
    pub merchant: String,
    /// `webhook:<id>`, `email`, `sms` or `nats`.
    pub target: String,
    /// Of the event.
    pub position: i64,
    /// Tries so far.
    pub attempts: i64,
    /// Epoch microseconds: when it is tried next; while it is tried, when somebody else may.
    pub due_us: i64,
}

/// How a delivery stands.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct DeliveryState {
    /// Of the event.
    pub position: i64,
    /// Id of the event.
    pub event: String,
    /// Of the event.
    pub topic: String,
    /// `waiting`, `delivered` or `dead`.
    pub state: &'static str,
    /// Tries so far.
    pub attempts: i64,
    /// Next try, where it waits.
    pub due_us: i64,
    /// What the last try said.
    pub told: String,
    /// Epoch microseconds.
    pub updated_us: i64,
    /// Who is told.
    pub target: String,
    /// What the event is about: an order's id.
    pub subject: String,
}

/// Which deliveries of a merchant are listed. What is empty or none does not matter.
#[derive(Debug, Clone, Default)]
pub struct DeliveryFilter {
    /// Targets, at most three.
    pub targets: [String; 3],
    /// What the event is about.
    pub subject: String,
    /// One of [`STATES`].
    pub state: Option<i64>,
}

/// States of a delivery as they are stored.
const WAITING: i64 = 0;
const DELIVERED: i64 = 1;
const DEAD: i64 = 2;
/// Their names.
pub const STATES: [(&str, i64); 3] = [("waiting", WAITING), ("delivered", DELIVERED), ("dead", DEAD)];

fn event(row: &Row) -> Result<EventRow, StoreError> {
    Ok(EventRow {
        position: row.int(0)?,
        id: row.text(1)?,
        topic: row.text(2)?,
        subject: row.text(3)?,
        body: row.text(4)?,
        at_us: row.int(5)?,
    })
}

fn delivery(row: &Row) -> Result<DeliveryRow, StoreError> {
    Ok(DeliveryRow {
        merchant: row.text(0)?,
        target: row.text(1)?,
        position: row.int(2)?,
        attempts: row.int(3)?,
        due_us: row.int(4)?,
    })
}

fn state(row: &Row) -> Result<DeliveryState, StoreError> {
    let stands = row.int(3)?;
    Ok(DeliveryState {
        position: row.int(0)?,
        event: row.text(1)?,
        topic: row.text(2)?,
        state: STATES.iter().find(|(_, number)| *number == stands).map_or("dead", |(name, _)| name),
        attempts: row.int(4)?,
        due_us: row.int(5)?,
        told: row.text(6)?,
        updated_us: row.int(7)?,
        target: row.text(8)?,
        subject: row.text(9)?,
    })
}

impl Tx {
    /// A fact for the outbox that belongs to no instance.
    pub async fn put_event(
        &mut self,
        merchant: &str,
        id: Uuid,
        event: &Event,
        now_us: i64,
    ) -> Result<(), StoreError> {
        let sql =
            "INSERT INTO wf_outbox (merchant, uid, seq, n, topic, body, at_us) VALUES ($1,$2,0,0,$3,$4,$5)";
        let body = event.body.to_string();
        let params = [P::T(merchant), P::B(id.as_bytes()), P::T(&event.topic), P::T(&body), P::I(now_us)];
        self.exec(sql, &params).await.map(|_| ())
    }

    /// Whether facts wait in the outbox. A look costs no commit.
    pub async fn outbox_waits(&mut self) -> Result<bool, StoreError> {
        Ok(self.row("SELECT seq FROM wf_outbox LIMIT 1", &[]).await?.is_some())
    }

    /// Whether a delivery is due.
    pub async fn delivery_is_due(&mut self, now_us: i64) -> Result<bool, StoreError> {
        let sql = "SELECT position FROM delivery WHERE state = 0 AND due_us <= $1 LIMIT 1";
        Ok(self.row(sql, &[P::I(now_us)]).await?.is_some())
    }

    /// Takes the relay's turn, the oldest facts of the outbox, and positions for them: the first position comes with
    /// them. Others wait until this transaction ends.
    pub async fn relay(&mut self, limit: i64) -> Result<(Vec<OutboxRow>, i64), StoreError> {
        self.hold_relay().await?;
        let sql = "SELECT merchant, uid, seq, n, topic, body, at_us FROM wf_outbox ORDER BY at_us, merchant, uid, seq, n LIMIT $1";
        let rows = self.rows(sql, &[P::I(limit)]).await?;
        let facts = rows
            .iter()
            .map(|row| {
                Ok(OutboxRow {
                    merchant: row.text(0)?,
                    uid: row.uid(1)?,
                    seq: row.int(2)?,
                    n: row.int(3)?,
                    topic: row.text(4)?,
                    body: row.text(5)?,
                    at_us: row.int(6)?,
                })
            })
            .collect::<Result<Vec<_>, StoreError>>()?;
        let count = i64::try_from(facts.len()).unwrap_or(i64::MAX);
        let first = self.take_numbers("", POSITIONS, count).await?;
        Ok((facts, first))
    }

    /// Takes the relay's turn and moves nothing: the log stays as it is until this transaction ends.
    pub async fn hold_relay(&mut self) -> Result<(), StoreError> {
        self.take_numbers("", POSITIONS, 0).await.map(|_| ())
    }

    /// Puts a fact of the outbox into the log, told in these words.
    pub async fn log_event(
        &mut self,
        fact: &OutboxRow,
        position: i64,
        subject: &str,
        body: &str,
    ) -> Result<(), StoreError> {
        let sql = "INSERT INTO event (merchant, position, id, topic, subject, body, at_us) VALUES ($1,$2,$3,$4,$5,$6,$7)";
        let id = fact.id();
        let params = [
            P::T(&fact.merchant),
            P::I(position),
            P::T(&id),
            P::T(&fact.topic),
            P::T(subject),
            P::T(body),
            P::I(fact.at_us),
        ];
        self.exec(sql, &params).await?;
        let sql = "DELETE FROM wf_outbox WHERE merchant = $1 AND uid = $2 AND seq = $3 AND n = $4";
        let params = [P::T(&fact.merchant), P::B(fact.uid.as_bytes()), P::I(fact.seq), P::I(fact.n)];
        self.exec(sql, &params).await.map(|_| ())
    }

    /// Events after a position, oldest first; with a subject, about that alone.
    pub async fn events_after(
        &mut self,
        merchant: &str,
        subject: Option<&str>,
        after: i64,
        limit: i64,
    ) -> Result<Vec<EventRow>, StoreError> {
        let rows = match subject {
            Some(subject) => {
                let sql = "SELECT position, id, topic, subject, body, at_us FROM event WHERE merchant = $1 AND subject = $2 AND subject <> '' AND position > $3 ORDER BY position LIMIT $4";
                self.rows(sql, &[P::T(merchant), P::T(subject), P::I(after), P::I(limit)]).await?
            }
            None => {
                let sql = "SELECT position, id, topic, subject, body, at_us FROM event WHERE merchant = $1 AND position > $2 ORDER BY position LIMIT $3";
                self.rows(sql, &[P::T(merchant), P::I(after), P::I(limit)]).await?
            }
        };
        rows.iter().map(event).collect()
    }

    /// One event.
    pub async fn event(&mut self, merchant: &str, position: i64) -> Result<Option<EventRow>, StoreError> {
        let sql = "SELECT position, id, topic, subject, body, at_us FROM event WHERE merchant = $1 AND position = $2";
        self.row(sql, &[P::T(merchant), P::I(position)]).await?.as_ref().map(event).transpose()
    }

    /// An event is to be told to a target. Without effect where it is known.
    pub async fn put_delivery(
        &mut self,
        merchant: &str,
        target: &str,
        position: i64,
        now_us: i64,
    ) -> Result<(), StoreError> {
        let sql = "INSERT INTO delivery (merchant, target, position, state, attempts, due_us, told, updated_us) VALUES ($1,$2,$3,0,0,$4,'',$4) ON CONFLICT DO NOTHING";
        self.exec(sql, &[P::T(merchant), P::T(target), P::I(position), P::I(now_us)]).await.map(|_| ())
    }

    /// Deliveries that are due, oldest first, at most `each` of one target.
    pub async fn due_deliveries(
        &mut self,
        now_us: i64,
        each: i64,
        limit: i64,
    ) -> Result<Vec<DeliveryRow>, StoreError> {
        let sql = "SELECT merchant, target, position, attempts, due_us FROM (SELECT merchant, target, position, attempts, due_us, ROW_NUMBER() OVER (PARTITION BY merchant, target ORDER BY due_us, position) AS place FROM delivery WHERE state = 0 AND due_us <= $1) AS due WHERE place <= $2 ORDER BY due_us, merchant, target, position LIMIT $3";
        self.rows(sql, &[P::I(now_us), P::I(each), P::I(limit)]).await?.iter().map(delivery).collect()
    }

    /// Takes a delivery that is due, and keeps it from others until `until_us`. None: somebody was faster.
    pub async fn take_delivery(
        &mut self,
        row: &DeliveryRow,
        now_us: i64,
        until_us: i64,
    ) -> Result<Option<DeliveryRow>, StoreError> {
        // Two hosts that read the same rows write one after the other, and the second finds them taken.
        let sql = "UPDATE delivery SET due_us = $1, attempts = attempts + 1, updated_us = $2 WHERE merchant = $3 AND target = $4 AND position = $5 AND state = 0 AND due_us = $6";
        let params = [
            P::I(until_us),
            P::I(now_us),
            P::T(&row.merchant),
            P::T(&row.target),
            P::I(row.position),
            P::I(row.due_us),
        ];
        let taken = self.exec(sql, &params).await? == 1;
        Ok(taken.then(|| DeliveryRow { attempts: row.attempts + 1, due_us: until_us, ..row.clone() }))
    }

    /// A delivery was made. False, as below: somebody else has taken it over since, and it is theirs.
    pub async fn delivered(
        &mut self,
        row: &DeliveryRow,
        told: &str,
        now_us: i64,
    ) -> Result<bool, StoreError> {
        self.note_delivery(row, DELIVERED, row.due_us, told, now_us).await
    }

    /// A delivery is given up.
    pub async fn bury_delivery(
        &mut self,
        row: &DeliveryRow,
        told: &str,
        now_us: i64,
    ) -> Result<bool, StoreError> {
        self.note_delivery(row, DEAD, row.due_us, told, now_us).await
    }

    /// A try failed: the next one is at `due_us`.
    pub async fn delay_delivery(
        &mut self,
        row: &DeliveryRow,
        told: &str,
        due_us: i64,
        now_us: i64,
    ) -> Result<bool, StoreError> {
        self.note_delivery(row, WAITING, due_us, told, now_us).await
    }

    async fn note_delivery(
        &mut self,
        row: &DeliveryRow,
        state: i64,
        due_us: i64,
        told: &str,
        now_us: i64,
    ) -> Result<bool, StoreError> {
        let sql = "UPDATE delivery SET state = $1, due_us = $2, told = $3, updated_us = $4 WHERE merchant = $5 AND target = $6 AND position = $7 AND state = 0 AND attempts = $8";
        let params = [
            P::I(state),
            P::I(due_us),
            P::T(told),
            P::I(now_us),
            P::T(&row.merchant),
            P::T(&row.target),
            P::I(row.position),
            P::I(row.attempts),
        ];
        Ok(self.exec(sql, &params).await? == 1)
    }

    /// Sends again what was told to a target from a position on, delivered or dead; `dead` alone where wanted; with a
    /// subject that is not empty, events about that alone. Gives how many.
    pub async fn replay(
        &mut self,
        merchant: &str,
        target: &str,
        subject: &str,
        from: i64,
        dead_only: bool,
        now_us: i64,
    ) -> Result<u64, StoreError> {
        let sql = "UPDATE delivery SET state = 0, attempts = 0, due_us = $1, updated_us = $1 WHERE merchant = $2 AND target = $3 AND position >= $4 AND (state = 2 OR (state = 1 AND $5 = 0)) AND ($6 = '' OR EXISTS (SELECT 1 FROM event e WHERE e.merchant = delivery.merchant AND e.position = delivery.position AND e.subject = $6))";
        let params = [
            P::I(now_us),
            P::T(merchant),
            P::T(target),
            P::I(from),
            P::I(i64::from(dead_only)),
            P::T(subject),
        ];
        self.exec(sql, &params).await
    }

    /// Deliveries to a target, newest first, before a position.
    pub async fn deliveries(
        &mut self,
        merchant: &str,
        target: &str,
        before: i64,
        limit: i64,
    ) -> Result<Vec<DeliveryState>, StoreError> {
        let sql = "SELECT d.position, e.id, e.topic, d.state, d.attempts, d.due_us, d.told, d.updated_us, d.target, e.subject FROM delivery d JOIN event e ON e.merchant = d.merchant AND e.position = d.position WHERE d.merchant = $1 AND d.target = $2 AND d.position < $3 ORDER BY d.position DESC LIMIT $4";
        let rows = self.rows(sql, &[P::T(merchant), P::T(target), P::I(before), P::I(limit)]).await?;
        rows.iter().map(state).collect()
    }

    /// Deliveries to any of some targets, newest event first, before a place in the list.
    pub async fn deliveries_of(
        &mut self,
        merchant: &str,
        filter: &DeliveryFilter,
        (before, before_target): (i64, &str),
        limit: i64,
    ) -> Result<Vec<DeliveryState>, StoreError> {
        let sql = "SELECT d.position, e.id, e.topic, d.state, d.attempts, d.due_us, d.told, d.updated_us, d.target, e.subject FROM delivery d JOIN event e ON e.merchant = d.merchant AND e.position = d.position WHERE d.merchant = $1 AND d.target IN ($2,$3,$4) AND (d.position < $5 OR (d.position = $5 AND d.target < $6)) AND ($7 = '' OR e.subject = $7) AND ($8 < 0 OR d.state = $8) ORDER BY d.position DESC, d.target DESC LIMIT $9";
        let [one, two, three] = &filter.targets;
        let params = [
            P::T(merchant),
            P::T(one),
            P::T(two),
            P::T(three),
            P::I(before),
            P::T(before_target),
            P::T(&filter.subject),
            P::I(filter.state.unwrap_or(-1)),
            P::I(limit),
        ];
        self.rows(sql, &params).await?.iter().map(state).collect()
    }
}
