//! The store as the engine sees it: instances, journal, inbox, outbox.

use std::sync::{Arc, OnceLock};

use async_trait::async_trait;
use serde_json::Value;
use till_engine::instance::{Instance, NEVER_US, Status};
use till_engine::journal::{Entry, Kind};
use till_engine::ports::{Inbound, Loaded, Store as Port, StoreError, TxJob, Write};
use uuid::Uuid;

use crate::Store;
use crate::tx::{P, Row, Tx};

/// Largest context of an instance. A checkout of 500 lines needs about 300 kB.
pub const CONTEXT_BYTES_MAX: usize = 1 << 20;
/// Journal rows written by one statement; more rows take more statements.
const ROWS_MAX: usize = 16;
const JOURNAL_COLUMNS: usize = 11;

const SELECT: &str = "SELECT i.merchant, i.uid, i.workflow, i.id, i.start_hash, i.subject, i.definition, i.pins, i.state, i.status, i.ver, i.context, i.control, i.created_us, i.updated_us, r.fence, r.owner, r.wake_us, r.poke FROM wf_instance i LEFT JOIN wf_ready r ON r.merchant = i.merchant AND r.uid = i.uid ";

fn loaded(row: &Row) -> Result<Loaded, StoreError> {
    let corrupt = |what: &str| StoreError::Corrupt(what.to_owned());
    Ok(Loaded {
        instance: Instance {
            merchant: row.text(0)?,
            uid: row.uid(1)?,
            workflow: row.text(2)?,
            id: row.text(3)?,
            start_hash: row.text(4)?,
            subject: row.text(5)?,
            definition: row.text(6)?,
            pins: row.json(7)?,
            state: row.text(8)?,
            status: Status::from_i64(row.int(9)?).ok_or_else(|| corrupt("status of an instance"))?,
            version: row.int(10)?,
            context: Arc::new(row.json(11)?),
            control: row.json(12)?,
            created_us: row.int(13)?,
            updated_us: row.int(14)?,
        },
        // An ended instance has no claim row any more.
        fence: row.maybe_int(15)?.unwrap_or(-1),
        owner: row.maybe_text(16)?.unwrap_or_default(),
        wake_us: row.maybe_int(17)?.unwrap_or(NEVER_US),
        poked: row.maybe_int(18)?.unwrap_or(0) == 1,
    })
}

fn inbound(row: &Row) -> Result<Inbound, StoreError> {
    Ok(Inbound {
        source: row.text(0)?,
        dedup: row.text(1)?,
        hash: row.text(2)?,
        uid: row.uid(3)?,
        name: row.text(4)?,
        body: row.json(5)?,
        received_us: row.int(6)?,
        consumed_seq: row.maybe_int(7)?,
    })
}

fn json(value: &impl serde::Serialize) -> Result<String, StoreError> {
    serde_json::to_string(value).map_err(|error| StoreError::Corrupt(error.to_string()))
}

/// `INSERT INTO wf_journal … VALUES (…),(…)` for 1 to [`ROWS_MAX`] rows, each made once.
fn journal_insert(rows: usize) -> &'static str {
    static TEXTS: OnceLock<Vec<&'static str>> = OnceLock::new();
    TEXTS.get_or_init(|| {
        (1..=ROWS_MAX)
            .map(|rows| {
                let values: Vec<String> = (0..rows)
                    .map(|row| {
                        let marks: Vec<String> =
                            (1..=JOURNAL_COLUMNS).map(|c| format!("${}", row * JOURNAL_COLUMNS + c)).collect();
                        format!("({})", marks.join(","))
                    })
                    .collect();
                let text = format!(
                    "INSERT INTO wf_journal (merchant, uid, seq, kind, state, step, attempt, idem_key, fence, body, at_us) VALUES {}",
                    values.join(",")
                );
                &*Box::leak(text.into_boxed_str())
            })
            .collect()
    })[rows - 1]
}

async fn insert_journal(
    tx: &mut Tx,
    instance: &Instance,
    fence: i64,
    entries: &[Entry],
) -> Result<(), StoreError> {
    for chunk in entries.chunks(ROWS_MAX) {
        let bodies: Vec<String> = chunk.iter().map(|e| json(&e.body)).collect::<Result<_, _>>()?;
        let mut params = Vec::with_capacity(chunk.len() * JOURNAL_COLUMNS);
        for (entry, body) in chunk.iter().zip(&bodies) {
            params.extend([
                P::T(&instance.merchant),
                P::B(instance.uid.as_bytes()),
                P::I(entry.seq),
                P::I(entry.kind as i64),
                P::T(&entry.state),
                P::T(&entry.step),
                P::I(i64::from(entry.attempt)),
                P::OT(entry.key.as_deref()),
                P::I(fence),
                P::T(body),
                P::I(entry.at_us),
            ]);
        }
        tx.exec(journal_insert(chunk.len()), &params).await?;
    }
    Ok(())
}

const INSERT_INBOX: &str = "INSERT INTO wf_inbox (merchant, source, dedup, hash, uid, name, body, received_us, consumed) VALUES ($1,$2,$3,$4,$5,$6,$7,$8,$9) ON CONFLICT DO NOTHING";

async fn insert_inbox(tx: &mut Tx, merchant: &str, signal: &Inbound) -> Result<bool, StoreError> {
    let body = json(&signal.body)?;
    let params = [
        P::T(merchant),
        P::T(&signal.source),
        P::T(&signal.dedup),
        P::T(&signal.hash),
        P::B(signal.uid.as_bytes()),
        P::T(&signal.name),
        P::T(&body),
        P::I(signal.received_us),
        P::OI(signal.consumed_seq),
    ];
    Ok(tx.exec(INSERT_INBOX, &params).await? == 1)
}

async fn write_claim(tx: &mut Tx, write: &Write<'_>, done: bool) -> Result<(bool, i64), StoreError> {
    let (merchant, uid) = (P::T(&write.instance.merchant), P::B(write.instance.uid.as_bytes()));
    let owner = write.owner.unwrap_or_default();
    let Some(wake_us) = write.wake_us else { return Ok((false, write.expect_fence)) };
    if write.insert {
        if !done {
            let sql =
                "INSERT INTO wf_ready (merchant, uid, wake_us, owner, poke, fence) VALUES ($1,$2,$3,$4,0,1)";
            tx.exec(sql, &[merchant, uid, P::I(wake_us), P::T(owner)]).await?;
        }
        return Ok((false, 1));
    }
    if write.expect_fence < 0 {
        return Ok((false, 0));
    }
    let fence = if write.claims { write.expect_fence + 1 } else { write.expect_fence };
    let row = if done {
        tx.row(
            "DELETE FROM wf_ready WHERE merchant = $1 AND uid = $2 AND fence = $3 RETURNING poke",
            &[merchant, uid, P::I(write.expect_fence)],
        )
        .await?
    } else {
        // A poke is taken when the instance is let go: it is due at once then, and says so by time 0. (What
        // RETURNING sees of the old row differs between the engines; this does not depend on it.)
        tx.row(
            "UPDATE wf_ready SET wake_us = CASE WHEN poke = 1 AND $2 = '' THEN 0 ELSE $1 END, poke = CASE WHEN $2 = '' THEN 0 ELSE poke END, owner = $2, fence = $3 WHERE merchant = $4 AND uid = $5 AND fence = $6 RETURNING CASE WHEN wake_us = 0 THEN 1 ELSE 0 END",
            &[P::I(wake_us.max(1)), P::T(owner), P::I(fence), merchant, uid, P::I(write.expect_fence)],
        )
        .await?
    };
    let row = row.ok_or(StoreError::Conflict)?;
    Ok((row.flag(0)?, fence))
}

#[async_trait]
impl Port for Store {
    type Tx = Tx;

    async fn transact(&self, job: TxJob<Tx>) -> Result<(), StoreError> {
        self.transact_job(job).await
    }

    async fn savepoint(&self, tx: &mut Tx) -> Result<(), StoreError> {
        if !tx.savepoints {
            return Ok(());
        }
        tx.plain("SAVEPOINT segment").await
    }

    async fn rollback_to(&self, tx: &mut Tx) -> Result<(), StoreError> {
        if !tx.savepoints {
            return Err(StoreError::Again("there is no savepoint".to_owned()));
        }
        tx.plain("ROLLBACK TO segment").await
    }

    async fn write(&self, tx: &mut Tx, write: Write<'_>) -> Result<bool, StoreError> {
        let instance = write.instance;
        let (merchant, uid) = (P::T(&instance.merchant), P::B(instance.uid.as_bytes()));
        let done = instance.status == Status::Completed;
        let context = json(&*instance.context)?;
        if context.len() > CONTEXT_BYTES_MAX {
            return Err(StoreError::TooLarge {
                what: "context",
                size: context.len(),
                max: CONTEXT_BYTES_MAX,
            });
        }
        let control = json(&instance.control)?;
        if write.insert {
            let pins = json(&instance.pins)?;
            let sql = "INSERT INTO wf_instance (merchant, uid, workflow, id, start_hash, subject, definition, pins, state, status, ver, context, control, created_us, updated_us) VALUES ($1,$2,$3,$4,$5,$6,$7,$8,$9,$10,$11,$12,$13,$14,$15) ON CONFLICT DO NOTHING";
            let params = [
                merchant,
                uid,
                P::T(&instance.workflow),
                P::T(&instance.id),
                P::T(&instance.start_hash),
                P::T(&instance.subject),
                P::T(&instance.definition),
                P::T(&pins),
                P::T(&instance.state),
                P::I(instance.status as i64),
                P::I(instance.version),
                P::T(&context),
                P::T(&control),
                P::I(instance.created_us),
                P::I(instance.updated_us),
            ];
            if tx.exec(sql, &params).await? == 0 {
                return Err(StoreError::Exists);
            }
        }
        let (poked, fence) = write_claim(tx, &write, done).await?;
        if !write.insert {
            const HELD: &str = " AND EXISTS (SELECT 1 FROM wf_ready r WHERE r.merchant = $7 AND r.uid = $8 AND r.fence = $10)";
            const MOVE: &str = "UPDATE wf_instance SET state = $1, status = $2, ver = $3, context = $4, control = $5, updated_us = $6 WHERE merchant = $7 AND uid = $8 AND ver = $9";
            let params = [
                P::T(&instance.state),
                P::I(instance.status as i64),
                P::I(instance.version),
                P::T(&context),
                P::T(&control),
                P::I(instance.updated_us),
                merchant,
                uid,
                P::I(write.expect_version),
                P::I(write.expect_fence),
            ];
            let done = match write.wake_us {
                Some(_) => tx.exec(MOVE, &params[..9]).await?,
                None => tx.exec(const_format(MOVE, HELD, &MOVE_HELD), &params).await?,
            };
            if done == 0 {
                return Err(StoreError::Conflict);
            }
        }
        insert_journal(tx, instance, fence, write.entries).await?;
        for (n, event) in (0_i64..).zip(write.events) {
            let body = json(&event.body)?;
            let sql = "INSERT INTO wf_outbox (merchant, uid, seq, n, topic, body, at_us) VALUES ($1,$2,$3,$4,$5,$6,$7)";
            let params = [
                merchant,
                uid,
                P::I(instance.version),
                P::I(n),
                P::T(&event.topic),
                P::T(&body),
                P::I(write.now_us),
            ];
            tx.exec(sql, &params).await?;
        }
        if let Some(signal) = write.signal
            && !insert_inbox(tx, &instance.merchant, signal).await?
        {
            return Err(StoreError::Duplicate);
        }
        for (source, dedup, seq) in write.consumed {
            let sql = "UPDATE wf_inbox SET consumed = $1 WHERE merchant = $2 AND source = $3 AND dedup = $4 AND consumed IS NULL";
            if tx.exec(sql, &[P::I(*seq), merchant, P::T(source), P::T(dedup)]).await? == 0 {
                return Err(StoreError::Conflict);
            }
        }
        Ok(poked)
    }

    async fn load(&self, merchant: &str, uid: Uuid) -> Result<Option<Loaded>, StoreError> {
        let sql = const_format(SELECT, "WHERE i.merchant = $1 AND i.uid = $2", &LOAD);
        let row = self.read().await?.row(sql, &[P::T(merchant), P::B(uid.as_bytes())]).await?;
        row.as_ref().map(loaded).transpose()
    }

    async fn find(&self, merchant: &str, workflow: &str, id: &str) -> Result<Option<Loaded>, StoreError> {
        let sql = const_format(SELECT, "WHERE i.merchant = $1 AND i.workflow = $2 AND i.id = $3", &FIND);
        let row = self.read().await?.row(sql, &[P::T(merchant), P::T(workflow), P::T(id)]).await?;
        row.as_ref().map(loaded).transpose()
    }

    async fn due(&self, now_us: i64, limit: i64) -> Result<(Vec<(String, Uuid)>, i64), StoreError> {
        let mut tx = self.read().await?;
        let sql = "SELECT merchant, uid, wake_us FROM wf_ready ORDER BY wake_us LIMIT $1";
        let mut due = Vec::new();
        let mut next_us = NEVER_US;
        for row in tx.rows(sql, &[P::I(limit)]).await? {
            let wake_us = row.int(2)?;
            if wake_us <= now_us {
                due.push((row.text(0)?, row.uid(1)?));
            } else {
                next_us = wake_us;
                break;
            }
        }
        Ok((due, next_us))
    }

    async fn pending(&self, merchant: &str, uid: Uuid) -> Result<Vec<Inbound>, StoreError> {
        let sql = "SELECT source, dedup, hash, uid, name, body, received_us, consumed FROM wf_inbox WHERE merchant = $1 AND uid = $2 AND consumed IS NULL ORDER BY received_us, dedup LIMIT 100";
        let rows = self.read().await?.rows(sql, &[P::T(merchant), P::B(uid.as_bytes())]).await?;
        rows.iter().map(inbound).collect()
    }

    async fn inbound(
        &self,
        merchant: &str,
        source: &str,
        dedup: &str,
    ) -> Result<Option<Inbound>, StoreError> {
        let sql = "SELECT source, dedup, hash, uid, name, body, received_us, consumed FROM wf_inbox WHERE merchant = $1 AND source = $2 AND dedup = $3";
        let row = self.read().await?.row(sql, &[P::T(merchant), P::T(source), P::T(dedup)]).await?;
        row.as_ref().map(inbound).transpose()
    }

    async fn put_signal(&self, merchant: &str, signal: &Inbound) -> Result<bool, StoreError> {
        let (merchant, signal) = (merchant.to_owned(), signal.clone());
        self.transact(move |tx| {
            let (merchant, signal) = (merchant.clone(), signal.clone());
            Box::pin(async move {
                if !insert_inbox(tx, &merchant, &signal).await? {
                    return Ok(false);
                }
                // A held instance keeps its lease; whoever holds it sees the poke at its next commit.
                let sql = "UPDATE wf_ready SET poke = 1, wake_us = CASE WHEN owner = '' THEN $1 ELSE wake_us END WHERE merchant = $2 AND uid = $3";
                tx.exec(sql, &[P::I(signal.received_us), P::T(&merchant), P::B(signal.uid.as_bytes())]).await?;
                Ok(true)
            })
        })
        .await
    }

    async fn put_definition(
        &self,
        digest: &str,
        name: &str,
        source: &str,
        now_us: i64,
    ) -> Result<(), StoreError> {
        let (digest, name, source) = (digest.to_owned(), name.to_owned(), source.to_owned());
        self.transact(move |tx| {
            let (digest, name, source) = (digest.clone(), name.clone(), source.clone());
            Box::pin(async move {
                let sql = "INSERT INTO wf_definition (digest, name, source, created_us) VALUES ($1,$2,$3,$4) ON CONFLICT DO NOTHING";
                tx.exec(sql, &[P::T(&digest), P::T(&name), P::T(&source), P::I(now_us)]).await.map(|_| ())
            })
        })
        .await
    }

    async fn definition(&self, digest: &str) -> Result<Option<String>, StoreError> {
        let row = self
            .read()
            .await?
            .row("SELECT source FROM wf_definition WHERE digest = $1", &[P::T(digest)])
            .await?;
        row.map(|r| r.text(0)).transpose()
    }
}

static LOAD: OnceLock<String> = OnceLock::new();
static FIND: OnceLock<String> = OnceLock::new();
static LIST: OnceLock<String> = OnceLock::new();
static MOVE_HELD: OnceLock<String> = OnceLock::new();

fn const_format(head: &str, tail: &str, cell: &'static OnceLock<String>) -> &'static str {
    cell.get_or_init(|| format!("{head}{tail}"))
}

impl Tx {
    /// An instance by its workflow and id.
    pub async fn instance(
        &mut self,
        merchant: &str,
        workflow: &str,
        id: &str,
    ) -> Result<Option<Instance>, StoreError> {
        let sql = const_format(SELECT, "WHERE i.merchant = $1 AND i.workflow = $2 AND i.id = $3", &FIND);
        let row = self.row(sql, &[P::T(merchant), P::T(workflow), P::T(id)]).await?;
        row.as_ref().map(|row| loaded(row).map(|found| found.instance)).transpose()
    }
}

impl Store {
    /// Journal rows of an instance after `after`, in order.
    pub async fn journal(
        &self,
        merchant: &str,
        uid: Uuid,
        after: i64,
        limit: i64,
    ) -> Result<Vec<Entry>, StoreError> {
        let sql = "SELECT seq, kind, state, step, attempt, idem_key, body, at_us FROM wf_journal WHERE merchant = $1 AND uid = $2 AND seq > $3 ORDER BY seq LIMIT $4";
        let params = [P::T(merchant), P::B(uid.as_bytes()), P::I(after), P::I(limit)];
        let rows = self.read().await?.rows(sql, &params).await?;
        rows.iter()
            .map(|row| {
                Ok(Entry {
                    seq: row.int(0)?,
                    kind: Kind::from_i64(row.int(1)?)
                        .ok_or_else(|| StoreError::Corrupt("kind of a journal row".to_owned()))?,
                    state: row.text(2)?,
                    step: row.text(3)?,
                    attempt: u32::try_from(row.int(4)?).unwrap_or(u32::MAX),
                    key: row.maybe_text(5)?,
                    body: row.json::<Value>(6)?,
                    at_us: row.int(7)?,
                })
            })
            .collect()
    }

    /// Instances of a merchant, newest first, before the uid `before`; all workflows and subjects where
    /// those are empty.
    pub async fn instances(
        &self,
        merchant: &str,
        workflow: &str,
        subject: &str,
        status: Option<Status>,
        before: Uuid,
        limit: i64,
    ) -> Result<Vec<Instance>, StoreError> {
        let sql = const_format(
            SELECT,
            "WHERE i.merchant = $1 AND ($2 = '' OR i.workflow = $2) AND ($3 = '' OR i.subject = $3) AND ($4 < 0 OR i.status = $4) AND i.uid < $5 ORDER BY i.uid DESC LIMIT $6",
            &LIST,
        );
        let (merchant, workflow, subject) = (merchant.to_owned(), workflow.to_owned(), subject.to_owned());
        self.read_aside(move |tx| {
            Box::pin(async move {
                let params = [
                    P::T(&merchant),
                    P::T(&workflow),
                    P::T(&subject),
                    P::I(status.map_or(-1, |s| s as i64)),
                    P::B(before.as_bytes()),
                    P::I(limit),
                ];
                let rows = tx.rows(sql, &params).await?;
                rows.iter().map(|row| loaded(row).map(|l| l.instance)).collect()
            })
        })
        .await
    }

    /// The instance that committed the intent with this idempotency key.
    pub async fn instance_of_key(&self, merchant: &str, key: &str) -> Result<Option<Uuid>, StoreError> {
        let sql = "SELECT uid FROM wf_journal WHERE merchant = $1 AND idem_key = $2 AND kind = 4 LIMIT 1";
        let row = self.read().await?.row(sql, &[P::T(merchant), P::T(key)]).await?;
        row.map(|r| r.uid(0)).transpose()
    }

    /// How many instances a merchant has. Counts rows: for benches and operators, not for requests.
    pub async fn instance_count(&self, merchant: &str) -> Result<i64, StoreError> {
        let sql = "SELECT COUNT(*) FROM wf_instance WHERE merchant = $1";
        let merchant = merchant.to_owned();
        let count = self.read_aside(move |tx| {
            Box::pin(async move { tx.row(sql, &[P::T(&merchant)]).await?.map_or(Ok(0), |r| r.int(0)) })
        });
        count.await
    }

    /// How an engine would run the statements every checkout passes: `(name, plan)`.
    pub async fn explain_hot(&self) -> Result<Vec<(&'static str, String)>, StoreError> {
        const HOT: &[(&str, &str, &str)] = &[
            (
                "due",
                "EXPLAIN QUERY PLAN SELECT merchant, uid, wake_us FROM wf_ready ORDER BY wake_us LIMIT 64",
                "EXPLAIN SELECT merchant, uid, wake_us FROM wf_ready ORDER BY wake_us LIMIT 64",
            ),
            (
                "load",
                "EXPLAIN QUERY PLAN SELECT i.context FROM wf_instance i LEFT JOIN wf_ready r ON r.merchant = i.merchant AND r.uid = i.uid WHERE i.merchant = 'm' AND i.uid = x'00'",
                "EXPLAIN SELECT i.context FROM wf_instance i LEFT JOIN wf_ready r ON r.merchant = i.merchant AND r.uid = i.uid WHERE i.merchant = 'm' AND i.uid = '\\x00'",
            ),
            (
                "find",
                "EXPLAIN QUERY PLAN SELECT context FROM wf_instance WHERE merchant = 'm' AND workflow = 'w' AND id = 'i'",
                "EXPLAIN SELECT context FROM wf_instance WHERE merchant = 'm' AND workflow = 'w' AND id = 'i'",
            ),
            (
                "advance",
                "EXPLAIN QUERY PLAN UPDATE wf_instance SET ver = 2 WHERE merchant = 'm' AND uid = x'00' AND ver = 1",
                "EXPLAIN UPDATE wf_instance SET ver = 2 WHERE merchant = 'm' AND uid = '\\x00' AND ver = 1",
            ),
            (
                "claim",
                "EXPLAIN QUERY PLAN UPDATE wf_ready SET wake_us = 1 WHERE merchant = 'm' AND uid = x'00' AND fence = 1",
                "EXPLAIN UPDATE wf_ready SET wake_us = 1 WHERE merchant = 'm' AND uid = '\\x00' AND fence = 1",
            ),
            (
                "pending",
                "EXPLAIN QUERY PLAN SELECT body FROM wf_inbox WHERE merchant = 'm' AND uid = x'00' AND consumed IS NULL ORDER BY received_us, dedup LIMIT 100",
                "EXPLAIN SELECT body FROM wf_inbox WHERE merchant = 'm' AND uid = '\\x00' AND consumed IS NULL ORDER BY received_us, dedup LIMIT 100",
            ),
        ];
        let mut tx = self.read().await?;
        let postgres = tx.is_postgres();
        if postgres {
            // The plan for large tables, not for the empty ones of a test.
            tx.plain("SET enable_seqscan = off").await?;
        }
        let mut plans = Vec::new();
        for (name, sqlite, pg) in HOT {
            let rows = tx.rows(if postgres { pg } else { sqlite }, &[]).await?;
            let column = if postgres { 0 } else { 3 };
            let lines: Vec<String> = rows.iter().map(|r| r.text(column)).collect::<Result<_, _>>()?;
            plans.push((*name, lines.join("\n")));
        }
        if postgres {
            tx.plain("RESET enable_seqscan").await?;
        }
        Ok(plans)
    }
}
