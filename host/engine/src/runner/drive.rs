//! Drives one instance: reads and pure steps in memory, then one transaction, then the external call.

use std::sync::{Arc, Mutex};

use serde_json::Value;
use tracing::Instrument as _;

use super::watch::{Seen, Sitting, Watch};
use super::{Error, LEASE_US, Runner};
use crate::crash;
use crate::decide::{self, Log, Next};
use crate::definition::{Class, Commits, Definition};
use crate::instance::{Asked, Instance, Intent, SEND_WINDOW_US};
use crate::ports::{Inbound, Loaded, Store, StoreError, Write};
use crate::step::{StepCall, StepFault, StepResult, TookEffect};

/// An instance in this process's hands: as it is in memory, and as the store knows it.
pub(super) struct Held {
    pub(super) definition: Arc<Definition>,
    pub(super) instance: Instance,
    pub(super) log: Log,
    /// Not in the store yet.
    pub(super) fresh: bool,
    pub(super) version: i64,
    pub(super) fence: i64,
    /// When our lease ends that is in the store, epoch microseconds. None: we hold none.
    pub(super) lease_us: Option<i64>,
    pub(super) consumed: Vec<(String, String, i64)>,
    pub(super) signal: Option<Inbound>,
    /// The inbox must be looked at.
    pub(super) poked: bool,
    /// The wake-up time must be written anew even when nothing else changes.
    pub(super) touch: bool,
}

impl Held {
    pub(super) fn loaded(definition: Arc<Definition>, loaded: Loaded) -> Held {
        Held {
            definition,
            version: loaded.instance.version,
            instance: loaded.instance,
            log: Log::default(),
            fresh: false,
            fence: loaded.fence,
            lease_us: None,
            consumed: vec![],
            signal: None,
            poked: loaded.poked,
            touch: false,
        }
    }

    /// Records what a step gave that ran outside the database.
    fn ran(
        &mut self,
        class: Class,
        step: &str,
        undoing: bool,
        result: Result<StepResult, StepFault>,
        now_us: i64,
    ) {
        let (definition, instance, log) = (&self.definition, &mut self.instance, &mut self.log);
        match result {
            Ok(result) if undoing => decide::compensated(instance, &result, now_us, log),
            Ok(result) => decide::step_done(definition, instance, class, &result, now_us, log),
            Err(fault) if undoing => {
                let (code, text) = fault.parts();
                decide::retry_compensation(instance, code, text, now_us, log);
            }
            Err(StepFault::Fault { code, text }) => {
                decide::fault(definition, instance, step, &code, &text, now_us, log);
            }
            Err(fault @ (StepFault::NotSent { .. } | StepFault::Database(_))) => {
                let (code, text) = fault.parts();
                decide::not_sent(definition, instance, step, code, text, now_us, log);
            }
        }
    }

    fn dirty(&self) -> bool {
        self.fresh
            || self.lease_us.is_some()
            || self.touch
            || !self.log.entries.is_empty()
            || !self.consumed.is_empty()
            || self.signal.is_some()
    }
}

/// Steps that one drive may run without a pause: a chart that never rests is a mistake the checks missed.
const TURNS_MAX: u32 = 10_000;

impl<S: Store> Runner<S> {
    pub(super) fn drive_new(
        self: &Arc<Self>,
        definition: Arc<Definition>,
        instance: Instance,
        log: Log,
    ) -> Result<Watch, Error> {
        let sitting = self.sit(instance.uid).ok_or(Error::Stopping)?;
        let held = Held {
            definition,
            instance,
            log,
            fresh: true,
            version: 0,
            fence: 0,
            lease_us: None,
            consumed: vec![],
            signal: None,
            poked: false,
            touch: false,
        };
        self.spawn(sitting, held)
    }

    /// Drives in a task of its own, so that a client that goes away stops nothing.
    pub(super) fn spawn(self: &Arc<Self>, sitting: Sitting<S>, held: Held) -> Result<Watch, Error> {
        if self.stopping.load(std::sync::atomic::Ordering::Relaxed) {
            return Err(Error::Stopping);
        }
        let watch = sitting.watch();
        let places = self.places.clone();
        let span = tracing::debug_span!(
            target: "till::trace",
            "drive",
            otel.name = %format_args!("workflow {}", held.instance.workflow),
            till.workflow = held.instance.workflow,
            till.instance = held.instance.id,
            till.merchant = held.instance.merchant,
        );
        let drive = async move {
            let _place = places.acquire_owned().await;
            let uid = held.instance.uid;
            if let Err(error) = sitting.runner.drive(&sitting, held).await {
                tracing::warn!(%uid, %error, "drop the drive; the instance goes on from its last commit");
                sitting.tell.send_if_modified(|seen| match seen {
                    Seen::Nothing => {
                        *seen = Seen::Failed(error);
                        true
                    }
                    _ => false,
                });
            }
        };
        tokio::spawn(drive.instrument(span));
        Ok(watch)
    }

    pub(super) fn class_of(&self, step: &str) -> Option<Class> {
        self.steps.interface(step).map(|i| i.class)
    }

    pub(super) async fn drive(&self, sitting: &Sitting<S>, mut held: Held) -> Result<(), StoreError> {
        let class_of = |step: &str| self.class_of(step);
        for _ in 0..TURNS_MAX {
            let now_us = self.clock.now_us();
            let definition = held.definition.clone();
            match decide::next(&definition, &held.instance, now_us, &class_of) {
                Next::Run { step, class: Class::Pure | Class::Read | Class::ExternalRead, undoing } => {
                    self.read_step(&mut held, &step, undoing, now_us).await;
                    if definition.file.commits == Commits::EachStep {
                        self.commit(&mut held, sitting, false).await?;
                    }
                }
                Next::Run { .. } => {
                    // Transactional steps run in this commit; if an external step follows them, the commit
                    // records its intent, and nothing is sent before it is durable.
                    self.commit(&mut held, sitting, true).await?;
                    if let Some(intent) = held.instance.control.intent.clone() {
                        self.external_step(&mut held, &intent).await;
                        if definition.file.commits == Commits::EachStep {
                            self.commit(&mut held, sitting, false).await?;
                        }
                    }
                }
                Next::Undone => decide::undone(&definition, &mut held.instance, now_us, &mut held.log),
                Next::Lost => decide::lost(&definition, &mut held.instance, now_us, &mut held.log),
                Next::Wait(_) | Next::Ended | Next::Parked => {
                    if held.poked || held.fresh {
                        held.poked = false;
                        if !held.fresh && self.take_pending(&mut held).await? {
                            continue;
                        }
                    }
                    if held.dirty() {
                        self.commit(&mut held, sitting, true).await?;
                        if held.poked {
                            continue;
                        }
                    } else {
                        sitting.tell.send_replace(Seen::Committed(Arc::new(held.instance)));
                    }
                    return Ok(());
                }
            }
        }
        let now_us = self.clock.now_us();
        decide::park(&mut held.instance, "the workflow did not come to rest", now_us, &mut held.log);
        self.commit(&mut held, sitting, true).await
    }

    async fn read_step(&self, held: &mut Held, step: &str, undoing: bool, now_us: i64) {
        let call = call(&held.instance, &held.definition, step, undoing, now_us);
        let result = self.run_step(call).await;
        let class = self.class_of(step).unwrap_or(Class::Pure);
        held.ran(class, step, undoing, result, now_us);
    }

    async fn run_step(&self, call: StepCall) -> Result<StepResult, StepFault> {
        let span = tracing::debug_span!(
            target: "till::trace",
            "step",
            otel.name = %format_args!("step {}", call.step),
            till.step = call.step,
            till.attempt = call.attempt,
            till.outcome = tracing::field::Empty,
        );
        let result = self.steps.run(call).instrument(span.clone()).await;
        match &result {
            Ok(result) => span.record("till.outcome", result.outcome.as_str()),
            Err(fault) => span.record("till.outcome", fault.parts().0),
        };
        result
    }

    /// Runs the call of a committed intent. No transaction is open.
    async fn external_step(&self, held: &mut Held, intent: &Intent) {
        crash::point("intent.after-commit.before-call");
        let before_us = self.clock.now_us();
        let result = if before_us > intent.send_before_us {
            // We were paused: another host may have asked already. Sending now could double the effect.
            Ok(StepResult::outcome("unknown").effect(TookEffect::Unknown).note(serde_json::json!({
                "why": "the host was paused after the intent; nothing was sent by it"
            })))
        } else {
            let mut call = call(&held.instance, &held.definition, &intent.step, intent.undoing, before_us);
            call.attempt = intent.attempt;
            call.key.clone_from(&intent.key);
            self.run_step(call).await
        };
        crash::point("call.response.before-outcome-commit");
        let now_us = self.clock.now_us();
        held.ran(Class::External, &intent.step, intent.undoing, result, now_us);
    }

    /// One durable commit: transactional steps first if `run` is set, then state, journal, outbox and the
    /// next intent.
    async fn commit(&self, held: &mut Held, sitting: &Sitting<S>, run: bool) -> Result<(), StoreError> {
        let turn = Arc::new(Turn {
            base: held.instance.clone(),
            log: held.log.clone(),
            definition: held.definition.clone(),
            steps: self.steps.clone(),
            store: self.store.clone(),
            host: self.host.clone(),
            now_us: self.clock.now_us(),
            run,
            fresh: held.fresh,
            version: held.version,
            fence: held.fence,
            lease_us: held.lease_us,
            consumed: std::mem::take(&mut held.consumed),
            signal: held.signal.take(),
            done: Mutex::new(None),
        });
        if turn.base.control.intent.is_none() && turn.fresh {
            crash::point("start.before-commit");
        }
        let job = turn.clone();
        self.store
            .transact(Box::new(move |tx| {
                let turn = job.clone();
                Box::pin(async move { turn.run_in(tx).await })
            }))
            .instrument(tracing::debug_span!(target: "till::trace", "commit"))
            .await?;
        let done = turn.done.lock().expect("no holder panics").take();
        let Some(done) = done else {
            return Err(StoreError::Unavailable("the transaction left no result".to_owned()));
        };
        if held.instance.control.intent.is_none() && done.instance.control.intent.is_some() {
            crash::point("intent.committed");
        }
        crash::point("commit.after");
        held.version = done.instance.version;
        held.fence = done.fence;
        held.lease_us = done.lease_us;
        held.fresh = false;
        held.touch = false;
        held.poked = held.poked || done.poked;
        held.log = Log::default();
        held.instance = done.instance;
        sitting.tell.send_replace(Seen::Committed(Arc::new(held.instance.clone())));
        self.tell_followers(held.instance.uid);
        Ok(())
    }
}

/// All that a commit needs; the transaction may be run more than once from it.
struct Turn<S: Store> {
    base: Instance,
    log: Log,
    definition: Arc<Definition>,
    steps: Arc<dyn crate::ports::Steps<S::Tx>>,
    store: Arc<S>,
    host: String,
    now_us: i64,
    run: bool,
    fresh: bool,
    version: i64,
    fence: i64,
    lease_us: Option<i64>,
    consumed: Vec<(String, String, i64)>,
    signal: Option<Inbound>,
    done: Mutex<Option<Done>>,
}

struct Done {
    instance: Instance,
    fence: i64,
    lease_us: Option<i64>,
    poked: bool,
}

impl<S: Store> Turn<S> {
    async fn run_in(&self, tx: &mut S::Tx) -> Result<(), StoreError> {
        let mut instance = self.base.clone();
        let mut log = self.log.clone();
        let class_of = |step: &str| self.steps.interface(step).map(|i| i.class);
        let next_of = |instance: &Instance| decide::next(&self.definition, instance, self.now_us, &class_of);
        if self.run {
            let alone = self.transactional(tx, &mut instance, &mut log, &next_of).await?
                && self.definition.file.commits == Commits::EachStep;
            if let Next::Run { step, class: Class::External, undoing } = next_of(&instance)
                && !alone
            {
                decide::intent(&self.definition, &mut instance, &step, undoing, self.now_us, &mut log);
                crash::point("intent.before-commit");
            }
        }
        let next = next_of(&instance);
        // With an intent open `next` says Lost: to others it is, to us it is the call we are about to make.
        let (owner, wake_us) = match next {
            Next::Wait(until) => (None, until),
            Next::Ended | Next::Parked => (None, crate::instance::NEVER_US),
            _ => (Some(self.host.as_str()), self.now_us.saturating_add(LEASE_US)),
        };
        // A lease that lasts is not written again with each step; before a call it is renewed.
        let lasts = owner.is_some()
            && instance.control.intent.is_none()
            && self.lease_us.is_some_and(|ends| ends >= self.now_us.saturating_add(SEND_WINDOW_US));
        crash::point("commit.in-tx");
        let poked = self
            .store
            .write(
                tx,
                Write {
                    instance: &instance,
                    insert: self.fresh,
                    expect_version: self.version,
                    expect_fence: self.fence,
                    claims: self.lease_us.is_none(),
                    owner,
                    wake_us: (!lasts).then_some(wake_us),
                    entries: &log.entries,
                    events: &log.events,
                    consumed: &self.consumed,
                    signal: self.signal.as_ref(),
                    now_us: self.now_us,
                },
            )
            .await?;
        let fence = if self.lease_us.is_some() { self.fence } else { self.fence + 1 };
        let lease_us = if lasts { self.lease_us } else { owner.map(|_| wake_us) };
        let done = Done { instance, fence, lease_us, poked };
        *self.done.lock().expect("no holder panics") = Some(done);
        Ok(())
    }

    /// Runs transactional steps until something else is next. A refusal rolls their writes back to the
    /// savepoint; what led here (an outcome, a signal) stays and cannot be refused.
    async fn transactional(
        &self,
        tx: &mut S::Tx,
        instance: &mut Instance,
        log: &mut Log,
        next_of: &(dyn Fn(&Instance) -> Next + Sync),
    ) -> Result<bool, StoreError> {
        let mut safe: Option<(Instance, Log)> = None;
        let mut ran = false;
        for _ in 0..TURNS_MAX {
            let (step, undoing) = match next_of(instance) {
                Next::Run { step, class: Class::Transactional, undoing } => (step, undoing),
                Next::Undone => {
                    decide::undone(&self.definition, instance, self.now_us, log);
                    continue;
                }
                _ => return Ok(ran),
            };
            ran = true;
            if safe.is_none() {
                self.store.savepoint(tx).await?;
                safe = Some((instance.clone(), log.clone()));
            }
            let state = instance.state.clone();
            let call = call(instance, &self.definition, &step, undoing, self.now_us);
            let result = self.steps.run_in(tx, call).await;
            let result = match result {
                Ok(result) if !result.refused => {
                    if undoing {
                        decide::compensated(instance, &result, self.now_us, log);
                        // Done for good: a later undo that fails must not bring this effect back.
                        safe = None;
                    } else {
                        decide::step_done(
                            &self.definition,
                            instance,
                            Class::Transactional,
                            &result,
                            self.now_us,
                            log,
                        );
                    }
                    if self.definition.file.commits == Commits::EachStep {
                        return Ok(true);
                    }
                    continue;
                }
                Err(StepFault::Database(text)) => return Err(StoreError::Unavailable(text)),
                other => other,
            };
            self.store.rollback_to(tx).await?;
            let (before, before_log) = safe.take().expect("set above");
            *instance = before;
            *log = before_log;
            match result {
                Ok(result) if undoing => {
                    let now_us = self.now_us;
                    decide::retry_compensation(instance, &result.outcome, "refused", now_us, log);
                }
                Ok(result) => decide::refused(&self.definition, instance, &state, &result, self.now_us, log),
                Err(fault) if undoing => {
                    let (code, text) = fault.parts();
                    decide::retry_compensation(instance, code, text, self.now_us, log);
                }
                Err(fault) => {
                    // Parked, it stays where the segment began: what went before in it is rolled back
                    // too and must run again with it.
                    if self.definition.state(&state).is_some_and(|s| s.fault.is_some()) {
                        state.clone_into(&mut instance.state);
                    }
                    let (code, text) = fault.parts();
                    decide::fault(&self.definition, instance, &step, code, text, self.now_us, log);
                }
            }
        }
        Ok(ran)
    }
}

fn call(instance: &Instance, definition: &Definition, step: &str, undoing: bool, now_us: i64) -> StepCall {
    let (state, entry) = match instance.control.undo.last().filter(|_| undoing) {
        Some(undo) => (undo.state.clone(), undo.entry),
        None => (instance.state.clone(), instance.entry(&instance.state)),
    };
    let key = instance.key(&state, entry, undoing);
    let about = if undoing {
        Some(Asked {
            state: state.clone(),
            entry,
            key: instance.key(&state, entry, false),
            first_sent_us: instance.control.asked.as_ref().map_or(now_us, |a| a.first_sent_us),
        })
    } else {
        instance.control.asked.clone()
    };
    StepCall {
        merchant: instance.merchant.clone(),
        uid: instance.uid.to_string(),
        id: instance.id.clone(),
        workflow: instance.workflow.clone(),
        step: step.to_owned(),
        attempt: instance.control.tries + instance.control.asks + 1,
        with: definition.state(&instance.state).map_or(Value::Null, |s| s.with.clone()),
        pins: instance.pins.clone(),
        context: instance.context.clone(),
        state,
        entry,
        key,
        undoing,
        about,
        now_us,
        version: instance.version,
    }
}
