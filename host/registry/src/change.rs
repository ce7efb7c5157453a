//! What a slot uses, changed one revision at a time: who, when, what, why.

use serde::Serialize;
use serde_json::{Value, json};
use std::collections::BTreeSet;
use std::str::FromStr as _;
use till_engine::step::Event;
use till_sandbox::Slot;
use till_store::Tx;
use till_store::tables::binding::{BindingRow, BodyRow};
use uuid::Uuid;

use crate::body::{BindingBody, FailurePolicy, binding_digest};
use crate::component::{Hand, KEPT_REVISIONS, State};
use crate::trial::{Trial, TrialKind};
use crate::{Error, Registry};

/// Longest reason of a change, bytes.
pub const WHY_BYTES_MAX: usize = 500;
/// Revisions written at the same time for one binding before the caller is told.
const RACES_MAX: u32 = 8;
/// Revisions looked at for a change. Whoever goes back further names the revision.
const HISTORY_MAX: i64 = 1_000;

/// A binding to change.
#[derive(Debug, Clone)]
pub struct Turn {
    /// Slot.
    pub slot: Slot,
    /// Name within the slot.
    pub name: String,
    /// Who does it.
    pub who: String,
    /// Reason, for the history; may be empty.
    pub why: String,
}

/// What was done to a binding.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Act {
    /// A component is used.
    Activate,
    /// An earlier revision is used again.
    Rollback,
    /// The slot is not in use any more.
    Retire,
    /// A component runs beside the active one, without effect.
    Shadow,
    /// A component is used by a share of the checkouts.
    Canary,
    /// The canary or shadow is the active one now.
    Promote,
    /// A person ended the canary or shadow.
    Withdraw,
    /// The host ended the canary.
    Return,
}

impl Act {
    /// As it is stored and shown.
    fn as_str(self) -> &'static str {
        match self {
            Act::Activate => "activate",
            Act::Rollback => "rollback",
            Act::Retire => "retire",
            Act::Shadow => "shadow",
            Act::Canary => "canary",
            Act::Promote => "promote",
            Act::Withdraw => "withdraw",
            Act::Return => "return",
        }
    }
}

/// A change of a binding, as it was made.
#[derive(Debug, Clone, PartialEq)]
pub struct Change {
    /// Grows with each change of the binding.
    pub revision: i64,
    /// `activate`, `rollback`, `retire`, `shadow`, `canary`, `promote`, `withdraw` or `return`.
    pub act: String,
    /// Revision its active content was first used with.
    pub origin: i64,
    /// Digest of the active binding; empty when retired.
    pub digest: String,
    /// Digest of the active component; empty when retired.
    pub component: String,
    /// The shadow or canary beside it.
    pub trial: Option<Trial>,
    /// Reason.
    pub why: String,
    /// Epoch microseconds.
    pub created_us: i64,
    /// Who did it.
    pub created_by: String,
}

/// What a binding uses now.
#[derive(Debug, Clone, Serialize)]
pub struct Activation {
    /// Slot.
    pub slot: String,
    /// Name within the slot.
    pub name: String,
    /// Grows with each change.
    pub revision: i64,
    /// Digest of the active binding; empty when only a shadow runs.
    pub digest: String,
    /// Digest of the active component.
    pub component: String,
    /// What the active component says of itself.
    pub info: Value,
    /// The shadow or canary beside it.
    pub trial: Option<Trial>,
    /// What the component on trial says of itself.
    pub trial_info: Value,
    /// Epoch microseconds.
    pub created_us: i64,
    /// Who made the last change.
    pub created_by: String,
}

/// A binding's content ready to be used, and how.
pub(crate) struct Ready {
    pub(crate) body: BindingBody,
    pub(crate) text: String,
    pub(crate) digest: String,
}

impl Ready {
    pub(crate) fn new(slot: Slot, name: &str, body: BindingBody) -> Result<Ready, Error> {
        let text = body.text()?;
        let digest = binding_digest(slot, name, &text);
        Ok(Ready { body, text, digest })
    }
}

impl Registry {
    /// Uses a binding from the next checkout on.
    pub(crate) async fn activate(
        &self,
        merchant: &str,
        turn: &Turn,
        ready: &Ready,
        now_us: i64,
    ) -> Result<BindingRow, Error> {
        self.keep(merchant, turn, ready).await?;
        self.change(merchant, turn, now_us, |history| {
            Ok(BindingRow {
                act: Act::Activate.as_str().to_owned(),
                origin: next_revision(history),
                digest: ready.digest.clone(),
                ..blank(turn)
            })
        })
        .await
    }

    /// Puts a binding beside the active one.
    pub(crate) async fn try_out(
        &self,
        merchant: &str,
        turn: &Turn,
        ready: &Ready,
        trial: &Trial,
        now_us: i64,
    ) -> Result<BindingRow, Error> {
        self.keep(merchant, turn, ready).await?;
        let act = match trial.kind {
            TrialKind::Shadow => Act::Shadow,
            TrialKind::Canary => Act::Canary,
        };
        self.change(merchant, turn, now_us, |history| {
            let newest = history.first();
            let active = newest.filter(|row| !row.digest.is_empty());
            if active.is_none() && trial.kind == TrialKind::Canary && turn.slot != Slot::Promotion {
                let why = "nothing is active there: a canary needs something that the other checkouts use";
                return Err(Error::not_now(why));
            }
            Ok(BindingRow {
                act: act.as_str().to_owned(),
                origin: newest.map_or(0, |row| row.origin),
                digest: newest.map(|row| row.digest.clone()).unwrap_or_default(),
                trial: serde_json::to_string(trial).map_err(Error::corrupt)?,
                ..blank(turn)
            })
        })
        .await
    }

    /// Changes the share of a canary; its counts begin anew.
    pub async fn step_canary(
        &self,
        merchant: &str,
        turn: Turn,
        share_ppm: u32,
        now_us: i64,
    ) -> Result<Activation, Error> {
        crate::trial::check_share(share_ppm)?;
        let row = self
            .change(merchant, &turn, now_us, |history| {
                let (newest, trial) = on_trial(history, &turn)?;
                if trial.kind != TrialKind::Canary {
                    return Err(Error::not_now("a shadow has no share; push it again as a canary"));
                }
                let trial = Trial { share_ppm, ..trial };
                Ok(BindingRow {
                    act: Act::Canary.as_str().to_owned(),
                    origin: newest.origin,
                    digest: newest.digest.clone(),
                    trial: serde_json::to_string(&trial).map_err(Error::corrupt)?,
                    ..blank(&turn)
                })
            })
            .await?;
        self.activation(merchant, row).await
    }

    /// Makes the shadow or canary the active one.
    pub async fn promote(&self, merchant: &str, turn: Turn, now_us: i64) -> Result<Activation, Error> {
        let (before, trial) = {
            let history = self.rows(merchant, &turn).await?;
            let (newest, trial) = on_trial(&history, &turn)?;
            (newest.revision, trial)
        };
        // A canary falls back on what it is to replace; as the active one it does what its pusher asked for.
        let row = self.store.read().await?.body(merchant, &trial.digest).await?;
        let row = row.ok_or_else(|| Error::NotFound { what: "binding", id: trial.digest.clone() })?;
        let mut body = BindingBody::read(&row.body)?;
        if trial.fallback_implied {
            (body.policy, body.fallback) = (FailurePolicy::Refuse, None);
        }
        let ready = Ready::new(turn.slot, &turn.name, body)?;
        self.keep(merchant, &turn, &ready).await?;
        let row = self
            .change(merchant, &turn, now_us, |history| {
                let (newest, _) = on_trial(history, &turn)?;
                if newest.revision != before {
                    return Err(Error::not_now("the binding was changed meanwhile; look at it again"));
                }
                Ok(BindingRow {
                    act: Act::Promote.as_str().to_owned(),
                    origin: next_revision(history),
                    digest: ready.digest.clone(),
                    ..blank(&turn)
                })
            })
            .await?;
        self.activation(merchant, row).await
    }

    /// Ends a shadow or canary; the active one stays.
    pub async fn withdraw(&self, merchant: &str, turn: Turn, now_us: i64) -> Result<Activation, Error> {
        let row = self.end_trial(merchant, &turn, Act::Withdraw, None, now_us).await?;
        self.activation(merchant, row).await
    }

    /// Ends the trial, or, with `began`, only the one that began with this revision.
    pub(crate) async fn end_trial(
        &self,
        merchant: &str,
        turn: &Turn,
        act: Act,
        began: Option<i64>,
        now_us: i64,
    ) -> Result<BindingRow, Error> {
        self.change(merchant, turn, now_us, |history| {
            let (newest, _) = on_trial(history, turn)?;
            if began.is_some_and(|began| began != newest.revision) {
                return Err(Error::not_now("this trial has ended"));
            }
            Ok(BindingRow {
                act: act.as_str().to_owned(),
                origin: newest.origin,
                digest: newest.digest.clone(),
                ..blank(turn)
            })
        })
        .await
    }

    /// Uses an earlier revision again: `to`, or the one before what is used now. Rolling back twice goes back
    /// twice. With a shadow or canary on, and no `to`, it is ended and the active one stays. Checkouts under way
    /// keep what they have.
    pub async fn roll_back(
        &self,
        merchant: &str,
        turn: Turn,
        to: Option<i64>,
        now_us: i64,
    ) -> Result<Activation, Error> {
        check_why(&turn.why)?;
        let history = self.rows(merchant, &turn).await?;
        if to.is_none() && history.first().is_some_and(|newest| !newest.trial.is_empty()) {
            return self.withdraw(merchant, turn, now_us).await;
        }
        let target = earlier(&history, to)?.clone();
        let component = self.component_of(merchant, &target.digest).await?;
        self.still_there(merchant, turn.slot, &component, target.revision).await?;
        let row = self
            .change(merchant, &turn, now_us, |history| {
                let target = earlier(history, to)?;
                Ok(BindingRow {
                    act: Act::Rollback.as_str().to_owned(),
                    origin: target.origin,
                    digest: target.digest.clone(),
                    ..blank(&turn)
                })
            })
            .await?;
        self.activation(merchant, row).await
    }

    async fn still_there(
        &self,
        merchant: &str,
        slot: Slot,
        component: &str,
        revision: i64,
    ) -> Result<(), Error> {
        let row = self.store.read().await?.component(merchant, component, slot.as_str()).await?;
        let state = row.map(|row| row.state).unwrap_or_default();
        if state == State::Ready.as_str() {
            return Ok(());
        }
        let why =
            format!("revision {revision} uses component {component}, which is {state}; push one that is not");
        Err(Error::not_now(why))
    }

    /// Goes back to the newest earlier revision that uses another component than `component`, one that is ready.
    /// What was rolled away from stays away, and so does what is on trial beside.
    pub(crate) async fn back_from(
        &self,
        merchant: &str,
        turn: &Turn,
        component: &str,
        now_us: i64,
    ) -> Result<BindingRow, Error> {
        let nothing = || Error::not_now("there is no earlier revision to go back to");
        let history = self.rows(merchant, turn).await?;
        let newest = history.first().ok_or_else(nothing)?.clone();
        let kept = usize::try_from(KEPT_REVISIONS).unwrap_or(usize::MAX);
        for row in history.into_iter().filter(|row| row.revision < newest.origin).take(kept) {
            if row.digest.is_empty() {
                continue;
            }
            let used = self.component_of(merchant, &row.digest).await?;
            if used == component || self.still_there(merchant, turn.slot, &used, row.revision).await.is_err()
            {
                continue;
            }
            return self
                .change(merchant, turn, now_us, |history| {
                    let now = history.first().filter(|now| now.digest == newest.digest);
                    let now = now.ok_or_else(|| Error::not_now("something else is active there by now"))?;
                    Ok(BindingRow {
                        act: Act::Rollback.as_str().to_owned(),
                        origin: row.origin,
                        digest: row.digest.clone(),
                        trial: now.trial.clone(),
                        ..blank(turn)
                    })
                })
                .await;
        }
        Err(nothing())
    }

    /// Takes a binding out of use, with its shadow or canary; the next checkout goes without it. Rolling back
    /// brings it back.
    pub async fn retire(&self, merchant: &str, turn: Turn, now_us: i64) -> Result<Change, Error> {
        let row = self.retire_row(merchant, &turn, now_us).await?;
        self.told(merchant, row).await
    }

    pub(crate) async fn retire_row(
        &self,
        merchant: &str,
        turn: &Turn,
        now_us: i64,
    ) -> Result<BindingRow, Error> {
        self.change(merchant, turn, now_us, |history| {
            let used = |newest: &&BindingRow| !newest.digest.is_empty() || !newest.trial.is_empty();
            let newest = history.first().filter(used);
            let newest =
                newest.ok_or_else(|| Error::not_now(format!("{}/{} is not in use", turn.slot, turn.name)))?;
            Ok(BindingRow {
                act: Act::Retire.as_str().to_owned(),
                origin: newest.revision + 1,
                ..blank(turn)
            })
        })
        .await
    }

    /// Changes of a binding before the revision `before`, newest first.
    pub async fn history(
        &self,
        merchant: &str,
        slot: Slot,
        name: &str,
        before: i64,
        limit: i64,
    ) -> Result<Vec<Change>, Error> {
        let rows = {
            let mut tx = self.store.read().await?;
            tx.binding_history(merchant, slot.as_str(), name, before, limit).await?
        };
        let mut changes = Vec::with_capacity(rows.len());
        for row in rows {
            changes.push(self.told(merchant, row).await?);
        }
        Ok(changes)
    }

    pub(crate) async fn told(&self, merchant: &str, row: BindingRow) -> Result<Change, Error> {
        Ok(Change {
            component: self.component_of(merchant, &row.digest).await?,
            revision: row.revision,
            act: row.act,
            origin: row.origin,
            digest: row.digest,
            trial: read_trial(&row.trial)?,
            why: row.why,
            created_us: row.created_us,
            created_by: row.created_by,
        })
    }

    pub(crate) async fn activation(&self, merchant: &str, row: BindingRow) -> Result<Activation, Error> {
        let trial = read_trial(&row.trial)?;
        let (component, info) = self.info(merchant, &row.digest, &row.slot).await?;
        let trial_info = match &trial {
            Some(trial) => self.info(merchant, &trial.digest, &row.slot).await?.1,
            None => Value::Null,
        };
        Ok(Activation {
            slot: row.slot,
            name: row.name,
            revision: row.revision,
            digest: row.digest,
            component,
            info,
            trial,
            trial_info,
            created_us: row.created_us,
            created_by: row.created_by,
        })
    }

    async fn info(&self, merchant: &str, binding: &str, slot: &str) -> Result<(String, Value), Error> {
        let component = self.component_of(merchant, binding).await?;
        let row = self.store.read().await?.component(merchant, &component, slot).await?;
        let info = row.and_then(|row| serde_json::from_str(&row.info).ok()).unwrap_or(Value::Null);
        Ok((component, info))
    }

    /// What the slots of a merchant use now, in the order of slot and name, after a place.
    pub async fn activations(
        &self,
        merchant: &str,
        after: (&str, &str),
        limit: i64,
    ) -> Result<Vec<Activation>, Error> {
        let rows = self.store.read().await?.bindings_after(merchant, after, limit).await?;
        let mut all = Vec::with_capacity(rows.len());
        for row in rows {
            all.push(self.activation(merchant, row).await?);
        }
        Ok(all)
    }

    async fn rows(&self, merchant: &str, turn: &Turn) -> Result<Vec<BindingRow>, Error> {
        let mut tx = self.store.read().await?;
        Ok(tx.binding_history(merchant, turn.slot.as_str(), &turn.name, i64::MAX, HISTORY_MAX).await?)
    }

    /// Keeps the content of a binding under its digest.
    async fn keep(&self, merchant: &str, turn: &Turn, ready: &Ready) -> Result<(), Error> {
        let row = BodyRow {
            digest: ready.digest.clone(),
            slot: turn.slot.to_string(),
            name: turn.name.clone(),
            component: ready.body.component.clone(),
            body: ready.text.clone(),
        };
        let owner = merchant.to_owned();
        let put = self.store.transact(move |tx| {
            let (owner, row) = (owner.clone(), row.clone());
            Box::pin(async move { tx.put_body(&owner, &row).await })
        });
        Ok(put.await?)
    }

    /// Writes the next revision of a binding, decided from those before it, newest first.
    pub(crate) async fn change(
        &self,
        merchant: &str,
        turn: &Turn,
        now_us: i64,
        next: impl Fn(&[BindingRow]) -> Result<BindingRow, Error>,
    ) -> Result<BindingRow, Error> {
        check_why(&turn.why)?;
        for _ in 0..RACES_MAX {
            let history = self.rows(merchant, turn).await?;
            let row = BindingRow { revision: next_revision(&history), created_us: now_us, ..next(&history)? };
            let body = json!({
                "slot": row.slot, "name": row.name, "revision": row.revision, "act": row.act,
                "digest": row.digest, "trial": read_trial(&row.trial)?, "who": turn.who, "why": turn.why,
            });
            let event = Event { topic: format!("binding.{}", row.act), body };
            let (owner, written, id) = (merchant.to_owned(), row.clone(), Uuid::now_v7());
            let used: Vec<String> = [row.digest.clone()]
                .into_iter()
                .chain(read_trial(&row.trial)?.map(|trial| trial.digest))
                .filter(|digest| !digest.is_empty())
                .collect();
            // What this act brings in must be ready at the moment it is written; what stays may be what it is.
            let brings = history
                .first()
                .is_none_or(|newest| (&newest.digest, &newest.trial) != (&row.digest, &row.trial));
            let done = self.store.transact(move |tx| {
                let (owner, written, event) = (owner.clone(), written.clone(), event.clone());
                let used = if brings { used.clone() } else { vec![] };
                Box::pin(async move {
                    if written.act != Act::Return.as_str() && written.act != Act::Withdraw.as_str() {
                        for digest in &used {
                            let Some(body) = tx.body(&owner, digest).await? else { continue };
                            // Held: whoever revokes or collects it comes before this, or sees what is written here.
                            let state = tx.hold_component(&owner, &body.component, &body.slot).await?;
                            if let Some(state) = state.filter(|state| state != State::Ready.as_str()) {
                                return Ok(Written::Not(state));
                            }
                        }
                        if let Some(table) = missing_table(tx, &owner, &used).await? {
                            return Ok(Written::Without(table));
                        }
                    }
                    let put = tx.put_binding(&owner, &written).await?;
                    if put {
                        tx.put_event(&owner, id, &event, written.created_us).await?;
                    }
                    Ok(if put { Written::Done } else { Written::Taken })
                })
            });
            match done.await? {
                Written::Done => {
                    self.refresh(merchant).await?;
                    return Ok(row);
                }
                Written::Taken => {}
                Written::Not(state) => {
                    return Err(Error::not_now(format!(
                        "its component is {state} by now; push one that is ready"
                    )));
                }
                Written::Without(table) => {
                    return Err(Error::not_now(format!(
                        "its table {table} is not there any more; upload the same rows again"
                    )));
                }
            }
        }
        Err(till_store::Error::Conflict.into())
    }

    /// Says that a component passed everything that is asked of it.
    pub(crate) async fn is_ready(&self, slot: Slot, component: &str, hand: Hand<'_>) -> Result<(), Error> {
        self.walk(slot, component, State::Ready, hand).await.map(|_| ())
    }
}

/// What became of a revision.
enum Written {
    Done,
    /// Its number was taken.
    Taken,
    /// A component it brings in is in this state.
    Not(String),
    /// This table that it needs is gone.
    Without(String),
}

/// A table that these bindings or what they fall back on need, and that is gone. Those that are there stay until the
/// transaction ends.
async fn missing_table(
    tx: &mut Tx,
    merchant: &str,
    bindings: &[String],
) -> Result<Option<String>, till_store::Error> {
    let corrupt = |error: Error| till_store::Error::Corrupt(error.to_string());
    let mut tables = BTreeSet::new();
    for digest in bindings {
        let Some(row) = tx.body(merchant, digest).await? else { continue };
        let body = BindingBody::read(&row.body).map_err(corrupt)?;
        tables.extend(body.tables.into_values());
        let Some(fallback) = body.fallback else { continue };
        if let Some(row) = tx.body(merchant, &fallback).await? {
            tables.extend(BindingBody::read(&row.body).map_err(corrupt)?.tables.into_values());
        }
    }
    // In one order, so that two of these do not wait for each other.
    for table in tables {
        if !tx.hold_lookup(merchant, &table).await? {
            return Ok(Some(table));
        }
    }
    Ok(None)
}

pub(crate) fn check_why(why: &str) -> Result<(), Error> {
    if why.len() > WHY_BYTES_MAX {
        return Err(Error::field("why", format!("{} bytes; at most {WHY_BYTES_MAX}", why.len())));
    }
    Ok(())
}

fn next_revision(history: &[BindingRow]) -> i64 {
    history.first().map_or(0, |newest| newest.revision) + 1
}

/// The shadow or canary of a row.
pub(crate) fn read_trial(text: &str) -> Result<Option<Trial>, Error> {
    if text.is_empty() {
        return Ok(None);
    }
    serde_json::from_str(text).map(Some).map_err(Error::corrupt)
}

fn on_trial<'a>(history: &'a [BindingRow], turn: &Turn) -> Result<(&'a BindingRow, Trial), Error> {
    let none = || Error::not_now(format!("no shadow or canary runs in {}/{}", turn.slot, turn.name));
    let newest = history.first().ok_or_else(none)?;
    Ok((newest, read_trial(&newest.trial)?.ok_or_else(none)?))
}

/// The revision to use again.
fn earlier(history: &[BindingRow], to: Option<i64>) -> Result<&BindingRow, Error> {
    let used = |row: &&BindingRow| !row.digest.is_empty();
    let Some(newest) = history.first() else {
        return Err(Error::not_now("nothing was ever bound under this name"));
    };
    match to {
        Some(to) => history.iter().find(|row| row.revision == to).filter(used).ok_or_else(|| {
            let why =
                format!("there is no revision {to} that used a component; the newest is {}", newest.revision);
            Error::field("revision", why)
        }),
        // Before the revision its content came from: so two rollbacks do not end where they began.
        None => history
            .iter()
            .filter(used)
            .find(|row| row.revision < newest.origin && row.digest != newest.digest)
            .ok_or_else(|| Error::not_now("there is no earlier revision to go back to")),
    }
}

/// A row with what every change has; the rest is filled in by who makes it.
fn blank(turn: &Turn) -> BindingRow {
    BindingRow {
        slot: turn.slot.to_string(),
        name: turn.name.clone(),
        revision: 0,
        act: String::new(),
        origin: 0,
        digest: String::new(),
        trial: String::new(),
        why: turn.why.clone(),
        created_us: 0,
        created_by: turn.who.clone(),
    }
}

pub(crate) fn slot_of(row: &BindingRow) -> Result<Slot, Error> {
    Slot::from_str(&row.slot).map_err(Error::corrupt)
}
