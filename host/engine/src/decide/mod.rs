//! What follows when something happens to an instance. Plain functions: no clock, no I/O; the same
//! arguments give the same answer.
//!
//! Each function changes the instance in memory and appends to a [`Log`]; nothing is true before the
//! runner has committed both. One file per input: [`start`], [`step_done`], [`fault`], [`timer`],
//! [`signal`], [`compensate`], [`intent`].

mod compensate;
mod fault;
mod intent;
mod signal;
mod start;
mod step_done;
mod timer;

pub use compensate::{compensated, retry_compensation, undone};
pub use fault::{fault, not_sent, park};
pub use intent::{intent, lost};
pub use signal::{Verdict, operator, signal};
pub use start::start;
pub use step_done::{refused, step_done};
pub use timer::timer;

use serde_json::{Value, json};

use crate::definition::{AGAIN, Class, Definition, Kind as StateKind, MoneyMove, TargetRef, Targets};
use crate::instance::{Instance, Status, Timer};
use crate::journal::{Entry, Kind};
use crate::step::Event;

/// What a turn of the chart leaves to be committed.
#[derive(Debug, Clone, Default)]
pub struct Log {
    /// Journal rows, in order.
    pub entries: Vec<Entry>,
    /// Outbox rows, in order.
    pub events: Vec<Event>,
}

impl Log {
    fn push(&mut self, instance: &mut Instance, kind: Kind, step: &str, body: Value, now_us: i64) {
        self.push_keyed(instance, kind, step, 0, None, body, now_us);
    }

    fn push_keyed(
        &mut self,
        instance: &mut Instance,
        kind: Kind,
        step: &str,
        attempt: u32,
        key: Option<String>,
        body: Value,
        now_us: i64,
    ) {
        instance.version += 1;
        instance.updated_us = now_us;
        self.entries.push(Entry {
            seq: instance.version,
            kind,
            state: instance.state.clone(),
            step: step.to_owned(),
            attempt,
            key,
            body,
            at_us: now_us,
        });
    }
}

/// What the runner has to do next.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Next {
    /// Run a step.
    Run {
        /// Its name.
        step: String,
        /// Its class.
        class: Class,
        /// It undoes the newest effect.
        undoing: bool,
    },
    /// Everything is undone: call [`undone`].
    Undone,
    /// An external call was sent by a process that is gone: call [`lost`].
    Lost,
    /// Nothing, until a signal comes or this time (epoch microseconds).
    Wait(i64),
    /// Nothing any more.
    Ended,
    /// Nothing, until a person decides.
    Parked,
}

/// What has to be done next. `class_of` gives the class of a registered step.
pub fn next(
    def: &Definition,
    instance: &Instance,
    now_us: i64,
    class_of: &dyn Fn(&str) -> Option<Class>,
) -> Next {
    match instance.status {
        Status::Completed => return Next::Ended,
        Status::Parked => return Next::Parked,
        Status::Waiting => return Next::Wait(instance.wake_us()),
        Status::Running | Status::Compensating => {}
    }
    if instance.control.intent.is_some() {
        return Next::Lost;
    }
    if instance.control.due_us > now_us {
        return Next::Wait(instance.control.due_us);
    }
    let (step, undoing) = if instance.status == Status::Compensating {
        match instance.control.undo.last() {
            None => return Next::Undone,
            Some(undo) => (undo.step.clone(), true),
        }
    } else {
        match def.state(&instance.state).and_then(|s| s.invoke.clone()) {
            Some(step) => (step, false),
            None => return Next::Wait(instance.wake_us()),
        }
    };
    match class_of(&step) {
        Some(class) => Next::Run { step, class, undoing },
        None => Next::Parked,
    }
}

/// The first target whose guard holds.
pub(crate) fn pick<'a>(
    def: &'a Definition,
    instance: &Instance,
    targets: &'a Targets,
) -> Option<TargetRef<'a>> {
    targets.iter().find(|t| match t.when {
        None => true,
        Some(name) => def.file.guards.get(name).is_some_and(|g| g.holds(instance)),
    })
}

/// Goes to a state: counts the entry, arms timers, writes its events, ends the instance.
pub(crate) fn enter(
    def: &Definition,
    instance: &mut Instance,
    target: &str,
    key_same: bool,
    now_us: i64,
    log: &mut Log,
) {
    debug_assert_ne!(target, AGAIN, "`again` stays and is handled by step_done");
    let Some(state) = def.state(target) else {
        park(instance, &format!("the definition has no state `{target}`"), now_us, log);
        return;
    };
    let entry = instance.entry(target);
    let sends = instance.control.sends.get(target).copied().unwrap_or(0);
    if let Some(limit) = &state.limit {
        let used = if key_same { sends } else { entry };
        if used >= limit.entries && limit.then != target {
            let then = limit.then.clone();
            enter(def, instance, &then, false, now_us, log);
            return;
        }
    }
    if !(key_same && entry > 0) {
        instance.control.entries.insert(target.to_owned(), entry + 1);
        instance.control.sends.remove(target);
    }
    target.clone_into(&mut instance.state);
    let control = &mut instance.control;
    control.tries = 0;
    control.asks = 0;
    control.due_us = 0;
    control.attention = None;
    control.timers.clear();
    for name in state.after.keys() {
        control.timers.push(Timer { name: name.clone(), due_us: now_us.saturating_add(def.micros(name)) });
    }
    instance.status = match state.kind {
        Some(StateKind::Final) => Status::Completed,
        Some(StateKind::Compensate) => Status::Compensating,
        Some(StateKind::Manual) => Status::Parked,
        None if state.invoke.is_some() => Status::Running,
        None => Status::Waiting,
    };
    if let Some(ask) = &state.ask {
        let pause = ask.after.first().unwrap_or(&ask.then);
        instance.control.due_us = now_us.saturating_add(def.micros(pause));
    }
    for topic in &state.emit {
        log.events.push(Event {
            topic: topic.clone(),
            body: json!({ "workflow": instance.workflow, "id": instance.id, "state": target }),
        });
    }
    match state.kind {
        Some(StateKind::Final) => {
            log.push(instance, Kind::Ended, "", json!({ "status": target }), now_us);
        }
        Some(StateKind::Manual) => {
            instance.control.attention = Some(format!("the workflow leads to `{target}`"));
        }
        _ => {}
    }
}

/// Whether signals have to wait: money may be moving, or a step is being run.
pub fn in_the_air(def: &Definition, instance: &Instance) -> bool {
    matches!(instance.status, Status::Running | Status::Compensating)
        || def.state(&instance.state).and_then(|s| s.money).is_some_and(|m| m != MoneyMove::Ask)
}
