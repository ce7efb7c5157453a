//! Steps that go wrong as they are told: by their number in the order in which they run.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::Mutex;

use async_trait::async_trait;
use till_commerce::checkout::steps::CheckoutSteps;
use till_engine::ports::Steps;
use till_engine::step::{Class, StepCall, StepFault, StepInterface, StepResult, TookEffect};
use till_store::Tx;

/// How a step goes wrong.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum How {
    /// It does not run; trying again will not help.
    Fails,
    /// It does not run this time; trying again may help.
    NotSent,
    /// It runs twice with the same call.
    Repeats,
    /// It runs, and its answer is lost.
    AnswerLost,
    /// It does not run, and nobody can tell.
    RequestLost,
    /// It runs, and says this instead of its own outcome; everything it wrote is rolled back.
    Refuses(&'static str),
}

/// A step that ran.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Ran {
    /// Name.
    pub step: String,
    /// When it is committed.
    pub class: Class,
    /// It was an undo.
    pub undoing: bool,
}

/// What goes wrong, and what ran. Numbers count from 0 since [`Faults::arm`].
#[derive(Default)]
pub struct Faults(Mutex<Plan>);

#[derive(Default)]
struct Plan {
    ran: Vec<Ran>,
    at: BTreeMap<usize, How>,
    named: BTreeMap<String, Vec<How>>,
    /// What was said to transactional calls: a transaction that is run again must be told the same.
    told: BTreeMap<String, Option<How>>,
}

impl Faults {
    /// Forgets what ran and what was planned, and plans this for the step of that number.
    pub fn arm(&self, at: &[(usize, How)]) {
        *self.0.lock().expect("no holder panics") =
            Plan { at: at.iter().copied().collect(), ..Plan::default() };
    }

    /// The next runs of a step go so.
    pub fn plan(&self, step: &str, how: &[How]) {
        let how = how.iter().rev().copied().collect();
        self.0.lock().expect("no holder panics").named.insert(step.to_owned(), how);
    }

    /// What ran since [`Faults::arm`].
    pub fn ran(&self) -> Vec<Ran> {
        self.0.lock().expect("no holder panics").ran.clone()
    }

    fn next(&self, call: &StepCall, ran: Ran) -> Option<How> {
        let mut plan = self.0.lock().expect("no holder panics");
        let id = (ran.class == Class::Transactional).then(|| {
            let StepCall { uid, step, key, attempt, version, .. } = call;
            format!("{uid} {step} {key} {attempt} {version}")
        });
        if let Some(how) = id.as_ref().and_then(|id| plan.told.get(id)) {
            return *how;
        }
        let number = plan.ran.len();
        let named = plan.named.get_mut(&ran.step).and_then(Vec::pop);
        plan.ran.push(ran);
        let how = plan.at.get(&number).copied().or(named);
        if let Some(id) = id {
            plan.told.insert(id, how);
        }
        how
    }
}

/// The steps of a checkout, with faults.
pub struct FaultySteps {
    inner: CheckoutSteps,
    faults: Arc<Faults>,
}

impl FaultySteps {
    /// Over these.
    pub fn new(inner: CheckoutSteps, faults: Arc<Faults>) -> FaultySteps {
        FaultySteps { inner, faults }
    }

    fn next(&self, call: &StepCall) -> Option<How> {
        let class = self.inner.interface(&call.step).map_or(Class::Pure, |i| i.class);
        self.faults.next(call, Ran { step: call.step.clone(), class, undoing: call.undoing })
    }
}

fn injected() -> StepFault {
    StepFault::new("injected", "a test wants it so")
}

fn not_sent() -> StepFault {
    StepFault::NotSent { code: "injected".to_owned(), text: "a test wants it so".to_owned() }
}

fn unknown() -> StepResult {
    StepResult::outcome("unknown").effect(TookEffect::Unknown)
}

#[async_trait]
impl Steps<Tx> for FaultySteps {
    fn interface(&self, step: &str) -> Option<StepInterface> {
        self.inner.interface(step)
    }

    async fn run(&self, call: StepCall) -> Result<StepResult, StepFault> {
        match self.next(&call) {
            None => self.inner.run(call).await,
            Some(How::Fails) => Err(injected()),
            Some(How::NotSent) => Err(not_sent()),
            Some(How::Repeats) => {
                self.inner.run(call.clone()).await?;
                self.inner.run(call).await
            }
            Some(How::AnswerLost) => {
                self.inner.run(call).await?;
                Ok(unknown())
            }
            Some(How::RequestLost) => Ok(unknown()),
            Some(How::Refuses(outcome)) => Ok(StepResult::outcome(outcome)),
        }
    }

    async fn run_in(&self, tx: &mut Tx, call: StepCall) -> Result<StepResult, StepFault> {
        match self.next(&call) {
            None => self.inner.run_in(tx, call).await,
            Some(How::Fails | How::NotSent | How::RequestLost) => Err(injected()),
            Some(How::AnswerLost) => {
                self.inner.run_in(tx, call).await?;
                Err(injected())
            }
            Some(How::Repeats) => {
                self.inner.run_in(tx, call.clone()).await?;
                self.inner.run_in(tx, call).await
            }
            Some(How::Refuses(outcome)) => {
                self.inner.run_in(tx, call).await?;
                Ok(StepResult::outcome(outcome).refuse())
            }
        }
    }
}
