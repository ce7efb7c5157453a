//! Signals: given to the instance at once when it rests, else kept durably until it does.

use std::sync::Arc;

use serde_json::Value;
use uuid::Uuid;

use super::drive::Held;
use super::{Error, Runner, Watch};
use crate::crash;
use crate::decide::{self, Verdict};
use crate::definition::Sender;
use crate::instance::Instance;
use crate::ports::{Inbound, Loaded, Store, StoreError};

/// A signal to an instance.
#[derive(Debug, Clone)]
pub struct SignalRequest {
    /// Owner of the instance.
    pub merchant: String,
    /// Our id of the instance.
    pub uid: Uuid,
    /// Name of the signal. `till.retry` and `till.skip` are operators' acts on a parked instance.
    pub name: String,
    /// Proven authority of the sender.
    pub sender: Sender,
    /// Where it came from; with `dedup` it is taken once.
    pub source: String,
    /// The sender's id of it.
    pub dedup: String,
    /// Hash of the request.
    pub hash: String,
    /// Body.
    pub body: Value,
    /// Keep it durably while the instance is busy. Without, the answer is [`SignalAnswer::Busy`]: right for
    /// a command whose sender waits for the result.
    pub keep: bool,
}

/// What became of a signal.
pub enum SignalAnswer {
    /// It took effect, durably.
    Taken(Watch),
    /// It is kept durably and waits: a step runs or money is in the air.
    Queued(Watch),
    /// A step runs or money is in the air, and it was not to be kept.
    Busy(Watch),
    /// The same signal was taken or kept before.
    Repeated(Watch),
    /// Another request was sent under the same deduplication id.
    OtherRequest,
    /// The state does not expect it, or the instance has ended.
    NotExpected(String),
    /// A guard refuses it.
    Refused(String),
    /// The sender may not send it.
    Forbidden(String),
}

/// Times a signal is given again after another host or task moved the instance in between.
const RACES_MAX: u32 = 8;

impl<S: Store> Runner<S> {
    /// Gives a signal. Returns when what became of it is durable.
    pub async fn signal(self: &Arc<Self>, request: SignalRequest) -> Result<SignalAnswer, Error> {
        if let Some(before) = self.store.inbound(&request.merchant, &request.source, &request.dedup).await? {
            return self.repeated(&request, &before).await;
        }
        for _ in 0..RACES_MAX {
            let sitting = match self.sit(request.uid) {
                Some(sitting) => Some(sitting),
                None => {
                    let stored = self.load(&request).await?.instance.version;
                    self.left(request.uid, stored).await;
                    self.sit(request.uid)
                }
            };
            let loaded = self.load(&request).await?;
            let now_us = self.clock.now_us();
            let elsewhere = !loaded.owner.is_empty() && loaded.owner != self.host && loaded.wake_us > now_us;
            let Some(sitting) = sitting.filter(|_| !elsewhere) else {
                if !request.keep {
                    return Ok(SignalAnswer::Busy(self.watch(loaded)));
                }
                return self.queue(&request, loaded, now_us).await;
            };
            let definition = self.pinned(&loaded.instance.definition).await?;
            let mut held = Held::loaded(definition.clone(), loaded.clone());
            let verdict = give(
                &definition,
                &mut held.instance,
                &request.name,
                request.sender,
                &request.body,
                now_us,
                &mut held.log,
            );
            match verdict {
                Verdict::Taken => {}
                Verdict::NotNow => {
                    drop(sitting);
                    if !request.keep {
                        return Ok(SignalAnswer::Busy(self.watch(loaded)));
                    }
                    return self.queue(&request, loaded, now_us).await;
                }
                Verdict::NotExpected(why) if request.sender == Sender::Gateway => {
                    // A fact told by the gateway is kept, whatever the state thinks of it.
                    drop(sitting);
                    tracing::info!(uid = %request.uid, name = %request.name, %why, "keep a gateway's signal");
                    return self.queue(&request, loaded, now_us).await;
                }
                Verdict::NotExpected(why) => return Ok(SignalAnswer::NotExpected(why)),
                Verdict::Forbidden(why) => return Ok(SignalAnswer::Forbidden(why)),
                Verdict::Refused(why) => {
                    if !held.log.entries.is_empty() {
                        let watch = self.spawn(sitting, held)?;
                        let _ = watch.committed().await;
                    }
                    return Ok(SignalAnswer::Refused(why));
                }
            }
            held.signal = Some(inbound(&request, now_us, held.log.entries.first().map(|e| e.seq)));
            let watch = self.spawn(sitting, held)?;
            match watch.committed().await {
                Ok(()) => return Ok(SignalAnswer::Taken(watch)),
                Err(StoreError::Conflict) => {}
                Err(StoreError::Duplicate) => {
                    let before =
                        self.store.inbound(&request.merchant, &request.source, &request.dedup).await?;
                    if let Some(before) = before {
                        return self.repeated(&request, &before).await;
                    }
                }
                Err(error) => return Err(error.into()),
            }
        }
        Err(StoreError::Conflict.into())
    }

    async fn load(&self, request: &SignalRequest) -> Result<Loaded, Error> {
        let missing = || Error::NotFound { what: "instance", name: request.uid.to_string() };
        self.store.load(&request.merchant, request.uid).await?.ok_or_else(missing)
    }

    async fn repeated(&self, request: &SignalRequest, before: &Inbound) -> Result<SignalAnswer, Error> {
        if before.hash != request.hash {
            return Ok(SignalAnswer::OtherRequest);
        }
        Ok(SignalAnswer::Repeated(self.watch(self.load(request).await?)))
    }

    async fn queue(
        &self,
        request: &SignalRequest,
        loaded: Loaded,
        now_us: i64,
    ) -> Result<SignalAnswer, Error> {
        crash::point("webhook.before-insert");
        let row = inbound(request, now_us, None);
        let fresh = self.store.put_signal(&request.merchant, &row).await?;
        crash::point("webhook.after-insert.before-200");
        self.nudge.notify_one();
        let watch = self.watch(loaded);
        Ok(if fresh { SignalAnswer::Queued(watch) } else { SignalAnswer::Repeated(watch) })
    }

    /// Gives kept signals to an instance that rests. True: one took effect.
    pub(super) async fn take_pending(&self, held: &mut Held) -> Result<bool, StoreError> {
        let pending = self.store.pending(&held.instance.merchant, held.instance.uid).await?;
        let definition = held.definition.clone();
        for row in pending {
            if held.consumed.iter().any(|(source, dedup, _)| *source == row.source && *dedup == row.dedup) {
                continue;
            }
            let now_us = self.clock.now_us();
            let sender = match row.source.split(':').next() {
                Some("gateway") => Sender::Gateway,
                Some("operator") => Sender::Operator,
                Some("system") => Sender::System,
                _ => Sender::Shopper,
            };
            let before = held.instance.version;
            match give(&definition, &mut held.instance, &row.name, sender, &row.body, now_us, &mut held.log) {
                Verdict::Taken => {
                    held.consumed.push((row.source, row.dedup, before + 1));
                    return Ok(true);
                }
                Verdict::NotNow => return Ok(false),
                Verdict::NotExpected(_) if sender == Sender::Gateway && !ended(&held.instance) => {}
                Verdict::NotExpected(_) | Verdict::Refused(_) | Verdict::Forbidden(_) => {
                    held.consumed.push((row.source, row.dedup, 0));
                }
            }
        }
        Ok(false)
    }
}

fn ended(instance: &Instance) -> bool {
    instance.status == crate::instance::Status::Completed
}

fn give(
    definition: &crate::definition::Definition,
    instance: &mut Instance,
    name: &str,
    sender: Sender,
    body: &Value,
    now_us: i64,
    log: &mut decide::Log,
) -> Verdict {
    match name.strip_prefix("till.") {
        Some(act) if sender == Sender::Operator => {
            let text = |field: &str| body.get(field).and_then(Value::as_str).unwrap_or_default();
            decide::operator(definition, instance, act, text("who"), text("why"), now_us, log)
        }
        Some(_) => Verdict::Forbidden("only an operator may do that".to_owned()),
        None => decide::signal(definition, instance, name, sender, body, now_us, log),
    }
}

fn inbound(request: &SignalRequest, now_us: i64, consumed_seq: Option<i64>) -> Inbound {
    Inbound {
        source: request.source.clone(),
        dedup: request.dedup.clone(),
        hash: request.hash.clone(),
        uid: request.uid,
        name: request.name.clone(),
        body: request.body.clone(),
        received_us: now_us,
        consumed_seq,
    }
}
