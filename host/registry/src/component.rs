//! The life of a component: uploaded, validated, compiled, ready; and its end: refused, revoked, collected.
//!
//! Each step is written down with who and why, and told to the outbox. A host that dies in between leaves the
//! last step that was reached; the next push of the same bytes goes on from there.

use std::collections::BTreeSet;
use std::str::FromStr as _;
use std::sync::Arc;

use async_trait::async_trait;
use serde_json::{Value, json};
use till_engine::step::Event;
use till_sandbox::{Binding, Component, Sandbox, Slot};
use till_store::Tx;
use till_store::tables::binding::{BindingRow, BodyRow};
use till_store::tables::component::{ComponentChangeRow, ComponentRow};
use uuid::Uuid;

use crate::change::{Act, Turn, WHY_BYTES_MAX, check_why};
use crate::{Error, Registry};

/// Revisions of a binding whose components are kept for rollbacks.
pub const KEPT_REVISIONS: i64 = 20;
/// How long a component or table that no slot uses is kept: 30 days.
pub const UNUSED_KEPT_US: i64 = 30 * 24 * 3_600 * 1_000_000;
/// Components or tables read at one time by a collection.
pub(crate) const PAGE: i64 = 500;

/// What a slot asks of every component, whatever it computes. Run before a component may be used.
#[async_trait]
pub trait Conformance: Send + Sync {
    /// Runs the suite of the component's slot. Gives the checks that failed, each with what was seen.
    async fn run(
        &self,
        sandbox: &Arc<Sandbox>,
        component: &Arc<Component>,
        config: &str,
        binding: &Arc<Binding>,
    ) -> Vec<String>;
}

/// A state of a component.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum State {
    /// Its bytes are kept.
    Uploaded,
    /// It is a component of the slot: its imports and exports are those of the world.
    Validated,
    /// Its machine code was made, and it says what it is.
    Compiled,
    /// It can be bound.
    Ready,
    /// It is no component for the slot; its bytes are gone.
    Refused,
    /// It is not called any more.
    Revoked,
    /// No slot used it for long; its bytes are gone.
    Collected,
}

impl State {
    /// As it is stored and shown.
    pub fn as_str(self) -> &'static str {
        match self {
            State::Uploaded => "uploaded",
            State::Validated => "validated",
            State::Compiled => "compiled",
            State::Ready => "ready",
            State::Refused => "refused",
            State::Revoked => "revoked",
            State::Collected => "collected",
        }
    }
}

/// A component as it is listed.
#[derive(Debug, Clone)]
pub struct Known {
    /// SHA-256 of its bytes, hex.
    pub digest: String,
    /// Slot it was uploaded for.
    pub slot: String,
    /// `uploaded`, `validated`, `compiled`, `ready`, `refused`, `revoked` or `collected`.
    pub state: String,
    /// What it says of itself; null before it was asked.
    pub info: Value,
    /// Epoch microseconds.
    pub created_us: i64,
    /// Who uploaded it.
    pub created_by: String,
}

/// What a revocation did.
#[derive(Debug, Clone, Default)]
pub struct Revocation {
    /// Bindings that use something else from now on, with what was done.
    pub changed: Vec<BindingRow>,
    /// Bindings that have nothing to go back to, as `slot/name`: checkouts are refused there until another
    /// component is pushed.
    pub left: Vec<String>,
}

/// Why a binding was changed; a long reason is cut to what a history takes.
fn revoked(digest: &str, why: &str) -> String {
    let mut text = format!("component {} was revoked: {why}", &digest[..digest.len().min(12)]);
    text.truncate(text.floor_char_boundary(WHY_BYTES_MAX));
    text
}

fn known(row: ComponentRow) -> Known {
    Known {
        info: serde_json::from_str(&row.info).unwrap_or(Value::Null),
        digest: row.digest,
        slot: row.slot,
        state: row.state,
        created_us: row.created_us,
        created_by: row.created_by,
    }
}

/// Where one of these contents is in use: by a revision that can be gone back to, a trial, what falls back on it, or a
/// checkout under way. None: nowhere.
pub(crate) async fn used(
    tx: &mut Tx,
    merchant: &str,
    mut bodies: Vec<BodyRow>,
) -> Result<Option<String>, till_store::Error> {
    let mut falling = Vec::new();
    for body in &bodies {
        falling.extend(tx.bodies_that_fall_back_on(merchant, &body.digest).await?);
    }
    bodies.extend(falling);
    let digests: Vec<String> = bodies.iter().map(|body| body.digest.clone()).collect();
    let places: BTreeSet<(String, String)> = bodies.into_iter().map(|body| (body.slot, body.name)).collect();
    for (slot, name) in places {
        let kept = tx.binding_history(merchant, &slot, &name, i64::MAX, KEPT_REVISIONS).await?;
        let uses = |row: &&BindingRow| {
            digests.iter().any(|digest| row.digest == *digest || row.trial.contains(digest.as_str()))
        };
        if let Some(row) = kept.iter().find(uses) {
            return Ok(Some(format!("revision {} of {slot}/{name} uses it", row.revision)));
        }
    }
    let pinned = tx.pinned_by(merchant, &digests).await?;
    Ok((pinned > 0).then(|| format!("{pinned} checkouts under way have it")))
}

/// What a collection took away.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Collected {
    /// Components whose bytes are gone.
    pub components: usize,
    /// Tables.
    pub tables: usize,
    /// Uploads of tables that never came to an end.
    pub uploads: usize,
    /// Differences of shadows.
    pub differences: u64,
}

/// Who does something, when and why.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Hand<'a> {
    pub(crate) merchant: &'a str,
    pub(crate) who: &'a str,
    pub(crate) why: &'a str,
    pub(crate) now_us: i64,
}

impl Registry {
    /// Takes a binary through its life until it is ready. The same bytes are not looked at twice.
    pub(crate) async fn upload(
        &self,
        slot: Slot,
        wasm: Vec<u8>,
        hand: Hand<'_>,
    ) -> Result<Arc<Component>, Error> {
        let digest = till_sandbox::Digest::of(&wasm).to_string();
        // Before anything is kept: what is no component at all leaves nothing behind.
        self.sandbox.validate(slot, &wasm)?;
        let known = self.store.read().await?.component_slots(hand.merchant, &digest).await?;
        // Whatever slot it was revoked in: the bytes are what is not wanted.
        if known.iter().any(|row| row.state == State::Revoked.as_str()) {
            return Err(Error::Revoked { component: digest });
        }
        let found = known.into_iter().find(|row| row.slot == slot.as_str());
        if found.as_ref().is_some_and(|row| row.state == State::Ready.as_str()) {
            return self.load(hand.merchant, slot, wasm).await;
        }
        let wasm = Arc::new(wasm);
        self.keep_bytes(slot, &digest, wasm.clone(), found.is_some(), hand).await?;
        let passed = Hand { why: "", ..hand };
        self.walk(slot, &digest, State::Validated, passed).await?;
        let component = match self.load(hand.merchant, slot, wasm.to_vec()).await {
            Ok(component) => component,
            Err(error) => {
                if !matches!(error, Error::Component(till_sandbox::LoadError::Host(_)) | Error::Store(_)) {
                    let why = error.to_string();
                    self.walk(slot, &digest, State::Refused, Hand { why: &why, ..hand }).await?;
                }
                return Err(error);
            }
        };
        let info = json!({
            "name": component.info.name,
            "version": component.info.version,
            "contract": component.contract_version,
            "capabilities": component.info.capabilities,
            "bytes": component.size,
        });
        let (owner, id, text) = (hand.merchant.to_owned(), digest.clone(), info.to_string());
        self.store
            .transact(move |tx| {
                let (owner, id, text) = (owner.clone(), id.clone(), text.clone());
                Box::pin(async move { tx.put_component_info(&owner, (&id, slot.as_str()), &text).await })
            })
            .await?;
        self.walk(slot, &digest, State::Compiled, passed).await?;
        Ok(component)
    }

    async fn keep_bytes(
        &self,
        slot: Slot,
        digest: &str,
        wasm: Arc<Vec<u8>>,
        again: bool,
        hand: Hand<'_>,
    ) -> Result<(), Error> {
        let row = ComponentRow {
            digest: digest.to_owned(),
            slot: slot.to_string(),
            state: State::Uploaded.as_str().to_owned(),
            info: "null".to_owned(),
            created_us: hand.now_us,
            created_by: hand.who.to_owned(),
        };
        if !again {
            let owner = hand.merchant.to_owned();
            let kept = wasm.clone();
            self.store
                .transact(move |tx| {
                    let (owner, row, wasm) = (owner.clone(), row.clone(), kept.clone());
                    Box::pin(async move { tx.put_component(&owner, &row, &wasm).await.map(|_| ()) })
                })
                .await?;
        } else {
            let (owner, id) = (hand.merchant.to_owned(), digest.to_owned());
            self.store
                .transact(move |tx| {
                    let (owner, id, wasm) = (owner.clone(), id.clone(), wasm.clone());
                    Box::pin(async move { tx.put_component_wasm(&owner, (&id, slot.as_str()), &wasm).await })
                })
                .await?;
        }
        self.walk(slot, digest, State::Uploaded, hand).await.map(|_| ())
    }

    /// Moves a component to a state, from whatever it was in but `revoked`. True: it was in another one.
    pub(crate) async fn walk(
        &self,
        slot: Slot,
        digest: &str,
        to: State,
        hand: Hand<'_>,
    ) -> Result<bool, Error> {
        let change = ComponentChangeRow {
            seq: 0,
            state: to.as_str().to_owned(),
            why: hand.why.to_owned(),
            at_us: hand.now_us,
            who: hand.who.to_owned(),
        };
        let body = json!({
            "slot": slot, "component": digest, "state": to.as_str(), "who": hand.who, "why": hand.why,
        });
        let event = Event { topic: format!("component.{}", to.as_str()), body };
        let (owner, id) = (hand.merchant.to_owned(), digest.to_owned());
        let (event_id, gone) = (Uuid::now_v7(), matches!(to, State::Refused | State::Collected));
        let moved = self.store.transact(move |tx| {
            let (owner, id, change, event) = (owner.clone(), id.clone(), change.clone(), event.clone());
            Box::pin(async move {
                let place = (id.as_str(), slot.as_str());
                let Some(now) = tx.hold_component(&owner, &id, slot.as_str()).await? else {
                    return Ok(false);
                };
                let first = to == State::Uploaded && now == State::Uploaded.as_str();
                let from = |states: &[State]| states.iter().any(|state| state.as_str() == now);
                // Another push of the same bytes may be further already: nothing goes backwards.
                let back = match to {
                    State::Validated | State::Compiled => from(&[State::Compiled, State::Ready]),
                    State::Uploaded => from(&[State::Validated, State::Compiled, State::Ready]),
                    State::Ready => !from(&[State::Compiled]),
                    State::Refused => from(&[State::Ready]),
                    State::Revoked | State::Collected => false,
                };
                if back || now == State::Revoked.as_str() || (now == to.as_str() && !first) {
                    return Ok(false);
                }
                // It may have come into use since it was looked at.
                if to == State::Collected && used_in(tx, &owner, &id).await?.is_some() {
                    return Ok(false);
                }
                if !tx.move_component(&owner, place, &now, &change).await? {
                    return Ok(false);
                }
                if gone {
                    tx.put_component_wasm(&owner, place, &[]).await?;
                }
                tx.put_event(&owner, event_id, &event, change.at_us).await?;
                Ok(true)
            })
        });
        Ok(moved.await?)
    }

    /// Components of a merchant before a time (epoch microseconds), digest and slot, newest first.
    pub async fn components(
        &self,
        merchant: &str,
        before: (i64, &str, &str),
        limit: i64,
    ) -> Result<Vec<Known>, Error> {
        let rows = self.store.read().await?.components(merchant, before, limit).await?;
        Ok(rows.into_iter().map(known).collect())
    }

    /// A component under each slot it was uploaded for, with steps of its life after the one given, oldest first.
    pub async fn component(
        &self,
        merchant: &str,
        digest: &str,
        after: i64,
        limit: i64,
    ) -> Result<Vec<(Known, Vec<ComponentChangeRow>)>, Error> {
        let mut all = Vec::new();
        for known in self.known(merchant, digest).await? {
            let mut tx = self.store.read().await?;
            let changes = tx.component_changes(merchant, digest, &known.slot, after, limit).await?;
            all.push((known, changes));
        }
        Ok(all)
    }

    /// A component under each slot it was uploaded for.
    async fn known(&self, merchant: &str, digest: &str) -> Result<Vec<Known>, Error> {
        let rows = self.store.read().await?.component_slots(merchant, digest).await?;
        if rows.is_empty() {
            return Err(Error::NotFound { what: "component", id: digest.to_owned() });
        }
        Ok(rows.into_iter().map(known).collect())
    }

    /// The bytes of a component, for whoever tries it elsewhere.
    pub async fn binary(&self, merchant: &str, digest: &str) -> Result<Vec<u8>, Error> {
        let mut tx = self.store.read().await?;
        for row in tx.component_slots(merchant, digest).await? {
            if let Some(wasm) = tx.component_wasm(merchant, digest, &row.slot).await? {
                return Ok(wasm);
            }
        }
        Err(Error::NotFound { what: "component", id: digest.to_owned() })
    }

    /// Where a component is in use. None: nowhere.
    pub(crate) async fn used(&self, merchant: &str, component: &str) -> Result<Option<String>, Error> {
        Ok(used_in(&mut self.store.read().await?, merchant, component).await?)
    }

    /// Takes the bytes of a component away that nothing uses.
    pub async fn delete(&self, merchant: &str, digest: &str, who: &str, now_us: i64) -> Result<(), Error> {
        let all = self.known(merchant, digest).await?;
        if let Some(used) = self.used(merchant, digest).await? {
            return Err(Error::not_now(format!("the component is in use: {used}")));
        }
        for row in all {
            let slot = Slot::from_str(&row.slot).map_err(Error::corrupt)?;
            let hand = Hand { merchant, who, why: "deleted", now_us };
            if row.state == State::Revoked.as_str() {
                return Err(Error::not_now("the component was revoked: its bytes are kept as a proof"));
            }
            if !self.walk(slot, digest, State::Collected, hand).await?
                && let Some(used) = self.used(merchant, digest).await?
            {
                return Err(Error::not_now(format!("the component is in use: {used}")));
            }
            self.forget(merchant, slot, digest);
        }
        Ok(())
    }

    /// Takes away what nobody needs any more: components and tables that no slot used for [`UNUSED_KEPT_US`], parts of
    /// unfinished uploads, and old differences of shadows. What one kind of them fails with does not keep the others.
    pub async fn collect(&self, now_us: i64) -> Result<Collected, Error> {
        let (components, tables) = (self.collect_components(now_us).await, self.collect_tables(now_us).await);
        let (uploads, differences) =
            (self.collect_uploads(now_us).await, self.collect_differences(now_us).await);
        Ok(Collected {
            components: components?,
            tables: tables?,
            uploads: uploads?,
            differences: differences?,
        })
    }

    async fn collect_components(&self, now_us: i64) -> Result<usize, Error> {
        let mut collected = 0;
        let mut after = (String::new(), String::new(), String::new());
        loop {
            let before_us = now_us - UNUSED_KEPT_US;
            let old = self.store.read().await?.old_components(before_us, &after, PAGE).await?;
            let Some(last) = old.last() else { return Ok(collected) };
            after = last.clone();
            collected += self.collect_unused(old, now_us).await?;
        }
    }

    async fn collect_unused(&self, old: Vec<(String, String, String)>, now_us: i64) -> Result<usize, Error> {
        let mut collected = 0;
        for (merchant, digest, slot) in old {
            if self.used(&merchant, &digest).await?.is_some() {
                continue;
            }
            let slot = Slot::from_str(&slot).map_err(Error::corrupt)?;
            let hand = Hand { merchant: &merchant, who: "till", why: "no slot used it for 30 days", now_us };
            if self.walk(slot, &digest, State::Collected, hand).await? {
                self.forget(&merchant, slot, &digest);
                collected += 1;
            }
        }
        Ok(collected)
    }

    /// Revokes a component: no new call of it from now on, at once on this host and within half a second on
    /// others. Bindings that use it go back to what they used before; a promotion without such is retired.
    pub async fn revoke(
        &self,
        merchant: &str,
        digest: &str,
        who: &str,
        why: &str,
        now_us: i64,
    ) -> Result<Revocation, Error> {
        if why.trim().is_empty() {
            return Err(Error::field("why", "a reason is needed: it is told to whoever meets the component"));
        }
        check_why(why)?;
        let hand = Hand { merchant, who, why, now_us };
        for row in self.known(merchant, digest).await? {
            let slot = Slot::from_str(&row.slot).map_err(Error::corrupt)?;
            self.walk(slot, digest, State::Revoked, hand).await?;
            self.forget(merchant, slot, digest);
        }
        self.refresh(merchant).await?;
        let mut done = Revocation::default();
        for binding in self.in_use(merchant).await?.bindings.clone() {
            let turn = Turn {
                slot: binding.slot,
                name: binding.name.clone(),
                who: who.to_owned(),
                why: revoked(digest, why),
            };
            if let Some(trial) = &binding.trial
                && self.component_of(merchant, &trial.digest).await? == digest
            {
                match self.end_trial(merchant, &turn, Act::Withdraw, Some(binding.revision), now_us).await {
                    Ok(row) => done.changed.push(row),
                    Err(Error::NotNow { .. }) => {} // It has just ended by itself.
                    Err(error) => return Err(error),
                }
            }
            if binding.digest.is_empty() || self.component_of(merchant, &binding.digest).await? != digest {
                continue;
            }
            match self.back_from(merchant, &turn, digest, now_us).await {
                Ok(row) => done.changed.push(row),
                Err(Error::NotNow { .. }) if binding.slot == Slot::Promotion => {
                    done.changed.push(self.retire_row(merchant, &turn, now_us).await?);
                }
                Err(Error::NotNow { .. }) => done.left.push(format!("{}/{}", binding.slot, binding.name)),
                Err(error) => return Err(error),
            }
        }
        Ok(done)
    }

    /// The component of a binding.
    pub(crate) async fn component_of(&self, merchant: &str, binding: &str) -> Result<String, Error> {
        let row = self.store.read().await?.body(merchant, binding).await?;
        Ok(row.map(|row| row.component).unwrap_or_default())
    }

    /// Lets go of what is in memory of a component.
    fn forget(&self, merchant: &str, slot: Slot, digest: &str) {
        let mut bound = self.bound.lock().expect("no holder panics");
        bound.retain(|(owner, _), bound| owner != merchant || bound.component.digest.to_string() != digest);
        drop(bound);
        if let Ok(digest) = digest.parse() {
            self.sandbox.unload(slot, digest);
        }
    }
}

/// Where a component is in use. None: nowhere.
async fn used_in(tx: &mut Tx, merchant: &str, component: &str) -> Result<Option<String>, till_store::Error> {
    let bodies = tx.bodies_of(merchant, component).await?;
    used(tx, merchant, bodies).await
}
