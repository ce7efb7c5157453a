//! The register of steps: name, class, outcomes, and who runs it.

use std::collections::HashMap;
use std::sync::{Arc, Mutex};

use async_trait::async_trait;
use till_engine::ports::Steps;
use till_engine::step::{Class, StepCall, StepFault, StepInterface, StepResult};
use till_registry::Registry;
use till_sandbox::Sandbox;
use till_store::{Error as StoreError, Store, Tx};

use super::bench;
use crate::fulfilment::steps as fulfilment;
use crate::trial::shadow::Shadows;

/// Runs the steps of checkouts and of their parcels.
pub struct CheckoutSteps {
    pub(crate) store: Arc<Store>,
    pub(crate) registry: Arc<Registry>,
    pub(crate) numbers: Arc<Numbers>,
    pub(crate) shadows: Arc<Shadows>,
}

/// Interface of a step by its name; none for a name nobody registered. For checks without a database.
pub fn interface(step: &str) -> Option<StepInterface> {
    let of = |class, outcomes: &[&str]| Some(StepInterface::new(step, class, outcomes));
    let money = |class, outcomes: &[&str]| of(class, outcomes).map(StepInterface::money);
    match step {
        "cart.snapshot" => of(Class::Read, &["ok", "refused"]),
        "pricing.quote" | "promotion.apply" | "points.apply" | "shipping.rates" | "tax.quote" => {
            of(Class::Pure, &["ok"])
        }
        "quote.check" => of(Class::Pure, &["ok", "ready", "changed", "incomplete"]),
        "risk.history" => of(Class::Read, &["ok"]),
        "risk.assess" => of(Class::Pure, &["approve", "review", "deny"]),
        "checkout.reopen" => of(Class::Pure, &["ok"]),
        "checkout.hold" => of(Class::Transactional, &["held", "short"]),
        "checkout.release" | "order.fail" => of(Class::Transactional, &["done"]),
        "order.place" => of(Class::Transactional, &["placed"]),
        "order.confirm" => of(Class::Transactional, &["confirmed", "lost"]),
        "payment.prepare" => of(Class::External, &["prepared", "unknown"]),
        "payment.authorize" => {
            money(Class::External, &["authorized", "action_required", "declined", "unknown"])
        }
        "payment.charge" | "payment.capture" => {
            money(Class::External, &["captured", "action_required", "declined", "unknown"])
        }
        "payment.proceed" => {
            money(Class::External, &["authorized", "captured", "action_required", "declined", "unknown"])
        }
        "payment.remember" => of(Class::Transactional, &["noted"]),
        "payment.find" => of(
            Class::ExternalRead,
            &["authorized", "captured", "action_required", "declined", "never_happened", "unknown"],
        ),
        "payment.void" | "payment.refund" => money(Class::External, &["done"]),
        _ => fulfilment::interface(step).or_else(|| bench::interface(step)),
    }
}

impl CheckoutSteps {
    /// The steps over these rooms. To be called inside a runtime: shadows are compared on it.
    pub fn new(store: Arc<Store>, registry: Arc<Registry>, numbers: Arc<Numbers>) -> CheckoutSteps {
        let shadows = Shadows::start(registry.clone());
        CheckoutSteps { store, registry, numbers, shadows }
    }

    pub(crate) fn sandbox(&self) -> &Arc<Sandbox> {
        self.registry.sandbox()
    }
}

#[async_trait]
impl Steps<Tx> for CheckoutSteps {
    fn interface(&self, step: &str) -> Option<StepInterface> {
        interface(step)
    }

    async fn run(&self, call: StepCall) -> Result<StepResult, StepFault> {
        match call.step.as_str() {
            "cart.snapshot" => self.snapshot(&call).await,
            "pricing.quote" => self.price(&call).await,
            "promotion.apply" => self.promote(&call).await,
            "points.apply" => CheckoutSteps::use_points(&call),
            "shipping.rates" => self.ship(&call).await,
            "tax.quote" => self.tax(&call).await,
            "quote.check" => self.check(&call).await,
            "risk.history" => self.look_back(&call).await,
            "risk.assess" => self.assess(&call).await,
            "checkout.reopen" => Ok(CheckoutSteps::reopen(&call)),
            "payment.prepare" => self.prepare(&call).await,
            "payment.authorize" => self.authorize(&call, false).await,
            "payment.charge" => self.authorize(&call, true).await,
            "payment.capture" => self.capture(&call).await,
            "payment.proceed" => self.proceed(&call).await,
            "payment.find" => self.find(&call).await,
            "payment.void" | "payment.refund" => self.give_back(&call).await,
            "carrier.book" => self.book(&call).await,
            "carrier.cancel" => self.cancel_booking(&call).await,
            "carrier.find" => self.find_booking(&call).await,
            "carrier.track" => self.track(&call).await,
            step if step.starts_with("bench.") => bench::run(&call),
            step => Err(StepFault::new("no-step", format!("`{step}` is not registered"))),
        }
    }

    async fn run_in(&self, tx: &mut Tx, call: StepCall) -> Result<StepResult, StepFault> {
        match call.step.as_str() {
            "checkout.hold" => CheckoutSteps::hold(tx, &call).await,
            "checkout.release" => CheckoutSteps::release(tx, &call).await,
            "order.place" => self.place(tx, &call).await,
            "order.fail" => CheckoutSteps::fail(tx, &call).await,
            "order.confirm" => CheckoutSteps::confirm(tx, &call).await,
            "payment.remember" => CheckoutSteps::remember(tx, &call).await,
            "shipment.begin" => fulfilment::begin(tx, &call).await,
            "shipment.booked" => fulfilment::booked(tx, &call).await,
            "shipment.trouble" => fulfilment::trouble(tx, &call).await,
            "shipment.note" => fulfilment::note(tx, &call).await,
            "shipment.withdraw" => fulfilment::withdraw(tx, &call).await,
            step if step.starts_with("bench.") => bench::run_in(tx, &call).await,
            step => Err(StepFault::new("no-step", format!("`{step}` is not registered"))),
        }
    }
}

/// Order numbers, reserved in blocks so that no checkout waits for a counter. Gaps are allowed.
pub struct Numbers {
    store: Arc<Store>,
    blocks: Mutex<HashMap<(String, i64), std::ops::Range<i64>>>,
}

/// Numbers in one block: a commit for every 200 orders.
const BLOCK: i64 = 200;
/// A new block is reserved when fewer are left: more than the submits that run at one time.
const LOW: i64 = 100;

impl Numbers {
    /// None reserved yet.
    pub fn new(store: Arc<Store>) -> Numbers {
        Numbers { store, blocks: Mutex::default() }
    }

    /// Makes sure that numbers are at hand for a merchant. Called before a submit, outside its commit.
    pub async fn reserve(&self, merchant: &str, now_us: i64) -> Result<(), StoreError> {
        let year = year(now_us);
        let key = (merchant.to_owned(), year);
        let left = self.blocks.lock().expect("no holder panics").get(&key).map_or(0, |b| b.end - b.start);
        if left >= LOW {
            return Ok(());
        }
        let owner = merchant.to_owned();
        let first = self
            .store
            .transact(move |tx| {
                let owner = owner.clone();
                Box::pin(async move { tx.take_numbers(&owner, &format!("order-{year}"), BLOCK).await })
            })
            .await?;
        // Numbers left in the block before are a gap.
        self.blocks.lock().expect("no holder panics").insert(key, first..first + BLOCK);
        Ok(())
    }

    /// The next number: `ORD-2024-001234`. None: no block is reserved.
    pub fn get(&self, merchant: &str, prefix: &str, now_us: i64) -> Option<String> {
        let year = year(now_us);
        let mut blocks = self.blocks.lock().expect("no holder panics");
        let number = blocks.get_mut(&(merchant.to_owned(), year))?.next()?;
        Some(format!("{prefix}-{year}-{number:06}"))
    }
}

fn year(now_us: i64) -> i64 {
    jiff::Timestamp::from_microsecond(now_us)
        .map_or(1970, |t| i64::from(t.to_zoned(jiff::tz::TimeZone::UTC).year()))
}
