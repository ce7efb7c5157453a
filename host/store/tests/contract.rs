//! Every promise of the store and of the engine on it, on SQLite and, when `TILL_TEST_POSTGRES` names a
//! server (`cargo xtask test` starts a private one), on PostgreSQL.

use std::collections::HashMap;
use std::sync::atomic::{AtomicI64, AtomicU32, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use async_trait::async_trait;
use serde_json::{Value, json};
use till_engine::definition::{Class, Sender};
use till_engine::instance::{Instance, Status, merge};
use till_engine::journal::Kind;
use till_engine::ports::{Clock, Steps, Store as _, StoreError};
use till_engine::runner::{Error, Runner, SignalAnswer, SignalRequest, StartRequest};
use till_engine::step::{Event, StepCall, StepFault, StepInterface, StepResult, TookEffect};
use till_store::tables::binding::{BindingRow, BodyRow};
use till_store::tables::component::{ComponentChangeRow, ComponentRow};
use till_store::tables::event::DeliveryFilter;
use till_store::tables::hold::{End, Held, HoldKind, NewHold};
use till_store::tables::inventory::Because;
use till_store::tables::lookup::LookupRow;
use till_store::tables::notify::TemplateRow;
use till_store::tables::product::{Filter, Place, ProductRow, Sort};
use till_store::tables::secret::SecretRow;
use till_store::tables::trial::{DifferenceRow, TrialCount, TrialKey};
use till_store::{Options, Store, Tx};
use uuid::Uuid;

#[path = "contract/access.rs"]
mod access;
#[path = "contract/campaign.rs"]
mod campaign;
#[path = "contract/customers.rs"]
mod customers;
#[path = "contract/gift_card.rs"]
mod gift_card;
#[path = "contract/inventory.rs"]
mod inventory;
#[path = "contract/loyalty.rs"]
mod loyalty;
#[path = "contract/orders.rs"]
mod orders;
#[path = "contract/payment.rs"]
mod payment;

const MERCHANT: &str = "m";
/// Why the tests change stock.
const SET: Because<'static> = Because { reason: "set", reference: "", note: "", who: "tests", at_us: 0 };

/// Sets the units on hand of a SKU.
async fn put(tx: &mut Tx, sku: &str, on_hand: i64) -> Result<(), StoreError> {
    let id = Uuid::now_v7().to_string();
    tx.put_stock(MERCHANT, &id, (sku, "w"), on_hand, &SET).await.map(|_| ())
}

/// A store of its own for each test, on each engine there is.
async fn stores() -> Vec<(Store, Box<dyn std::any::Any>)> {
    let dir = tempfile::tempdir().expect("a temporary directory");
    let path = dir.path().join("till.db");
    let sqlite = Store::open(&Options::new(path.to_str().expect("utf-8"))).await.expect("open SQLite");
    let mut all: Vec<(Store, Box<dyn std::any::Any>)> = vec![(sqlite, Box::new(dir))];
    match std::env::var("TILL_TEST_POSTGRES") {
        Ok(server) => {
            let name = format!("t{}", Uuid::now_v7().simple());
            let admin = Store::open(&Options::new(&server)).await.expect("reach the test server");
            admin.create_database(&name).await.expect("make a database");
            let (base, _) = server.rsplit_once('/').expect("a database in the URL");
            let store = Store::open(&Options::new(&format!("{base}/{name}"))).await.expect("open PostgreSQL");
            all.push((store, Box::new(())));
        }
        Err(_) => eprintln!("NOT RUN on PostgreSQL: TILL_TEST_POSTGRES is not set"),
    }
    all
}

#[derive(Default)]
struct Hands(AtomicI64);

impl Hands {
    fn advance(&self, seconds: i64) {
        self.0.fetch_add(seconds * 1_000_000, Ordering::SeqCst);
    }
}

struct TestClock(Arc<Hands>);

impl Clock for TestClock {
    fn now_us(&self) -> i64 {
        1_000_000_000 + self.0.0.load(Ordering::SeqCst)
    }
}

const FLOW: &str = "
till: workflow/1
id: toy
revision: 1
inputs: [amount]
signals:
  go: { from: shopper, sets-inputs: true, into: sent }
  cancel: { from: shopper }
  payment.authorized: { from: gateway }
guards:
  big: { equals: [context.inputs.amount, 99] }
initial: look
states:
  look: { invoke: look, class: pure, outcomes: { ok: wait } }
  wait:
    on: { go: look2, cancel: gone }
    after: { 30m: gone }
  look2: { invoke: look, class: pure, outcomes: { ok: hold } }
  hold: { invoke: hold, class: transactional, compensate: release, outcomes: { held: note, short: wait } }
  note: { invoke: note, class: transactional, compensate: none, because: a note harms nobody, outcomes: { ok: [{ target: refused, when: big }, { target: pay }] } }
  refused: { invoke: refuse, class: transactional, compensate: none, because: it writes nothing, outcomes: { no: wait } }
  pay:
    money: take
    invoke: pay
    class: external
    compensate: refund
    limit: { entries: 3, then: stuck }
    outcomes: { paid: finish, declined: undo, unknown: ask }
  ask:
    money: ask
    invoke: find
    class: external-read
    ask: { after: [500ms, 2s], then: 1h }
    outcomes: { paid: finish, declined: undo, never_happened: { target: pay, key: same }, unknown: again }
  finish: { invoke: finish, class: transactional, compensate: none, because: it is the end, outcomes: { ok: done, lost: undo } }
  undo: { type: compensate, then: wait }
  done: { type: final, confirmed: true, emit: [toy.done] }
  gone: { type: final }
  stuck: { type: manual }
";

/// A gateway with a memory, and steps that do as they are told.
#[derive(Default)]
struct Toy {
    plan: Mutex<HashMap<String, Vec<&'static str>>>,
    /// What was said to transactional calls: a transaction that is run again must be told the same.
    told: Mutex<HashMap<String, &'static str>>,
    charges: Mutex<HashMap<String, u32>>,
    refunds: AtomicU32,
    hang: std::sync::atomic::AtomicBool,
}

impl Toy {
    fn plan(&self, step: &str, answers: &[&'static str]) {
        self.plan.lock().expect("test").insert(step.to_owned(), answers.iter().rev().copied().collect());
    }

    fn next(&self, step: &str, usual: &'static str) -> &'static str {
        self.plan.lock().expect("test").get_mut(step).and_then(Vec::pop).unwrap_or(usual)
    }

    fn next_in(&self, call: &StepCall, usual: &'static str) -> &'static str {
        let StepCall { step, key, attempt, version, .. } = call;
        let id = format!("{step} {key} {attempt} {version}");
        self.told.lock().expect("test").entry(id).or_insert_with(|| self.next(step, usual))
    }

    fn charged(&self) -> usize {
        self.charges.lock().expect("test").len()
    }
}

struct ToySteps(Arc<Toy>);

#[async_trait]
impl Steps<Tx> for ToySteps {
    fn interface(&self, step: &str) -> Option<StepInterface> {
        Some(match step {
            "look" => StepInterface::new(step, Class::Pure, &["ok"]),
            "hold" => StepInterface::new(step, Class::Transactional, &["held", "short"]),
            "note" => StepInterface::new(step, Class::Transactional, &["ok"]),
            "refuse" => StepInterface::new(step, Class::Transactional, &["no"]),
            "finish" => StepInterface::new(step, Class::Transactional, &["ok", "lost"]),
            "release" => StepInterface::new(step, Class::Transactional, &["done"]),
            "pay" => StepInterface::new(step, Class::External, &["paid", "declined", "unknown"]).money(),
            "refund" => StepInterface::new(step, Class::External, &["done"]).money(),
            "find" => StepInterface::new(
                step,
                Class::ExternalRead,
                &["paid", "declined", "never_happened", "unknown"],
            ),
            _ => return None,
        })
    }

    async fn run(&self, call: StepCall) -> Result<StepResult, StepFault> {
        let toy = &self.0;
        match call.step.as_str() {
            "look" => Ok(StepResult::outcome("ok").patch(json!({ "looked": call.entry }))),
            "pay" => {
                let charge = || *toy.charges.lock().expect("test").entry(call.key.clone()).or_insert(0) += 1;
                match toy.next("pay", "paid") {
                    "unknown-charged" => {
                        charge();
                        Ok(StepResult::outcome("unknown").effect(TookEffect::Unknown))
                    }
                    "hang-charged" => {
                        charge();
                        toy.hang.store(true, Ordering::SeqCst);
                        std::future::pending().await
                    }
                    "declined" => Ok(StepResult::outcome("declined")),
                    "unknown" => Ok(StepResult::outcome("unknown").effect(TookEffect::Unknown)),
                    _ => {
                        charge();
                        Ok(StepResult::outcome("paid").effect(TookEffect::Yes))
                    }
                }
            }
            "find" => {
                let about = call.about.expect("an ask is about something");
                match toy.next("find", "look") {
                    "unknown" => Ok(StepResult::outcome("unknown")),
                    _ if toy.charges.lock().expect("test").contains_key(&about.key) => {
                        Ok(StepResult::outcome("paid").effect(TookEffect::Yes))
                    }
                    _ => Ok(StepResult::outcome("never_happened")),
                }
            }
            "refund" => match toy.next("refund", "done") {
                "done" => {
                    toy.refunds.fetch_add(1, Ordering::SeqCst);
                    Ok(StepResult::outcome("done"))
                }
                other => Err(StepFault::new(other, "the gateway is away")),
            },
            other => Err(StepFault::new("no-step", other)),
        }
    }

    async fn run_in(&self, tx: &mut Tx, call: StepCall) -> Result<StepResult, StepFault> {
        let broken = |error: StoreError| StepFault::Database(error.to_string());
        let uid = Uuid::parse_str(&call.uid).expect("a uid");
        match call.step.as_str() {
            "hold" => {
                let held = tx
                    .hold(
                        &call.merchant,
                        &NewHold {
                            id: format!("{}:{}", call.uid, call.entry),
                            kind: HoldKind::Stock,
                            what: "sku".to_owned(),
                            place: "w".to_owned(),
                            quantity: 1,
                            limits: (None, None),
                            uid,
                            expires_us: 0,
                        },
                    )
                    .await
                    .map_err(broken)?;
                Ok(match held {
                    Held::Yes => StepResult::outcome("held").effect(TookEffect::Yes),
                    Held::Short(left) => StepResult::outcome("short").patch(json!({ "left": left })).refuse(),
                })
            }
            "release" => {
                tx.settle_holds(&call.merchant, uid, "", End::Release, 0).await.map_err(broken)?;
                Ok(StepResult::outcome("done"))
            }
            "finish" => match self.0.next_in(&call, "ok") {
                "lost" => {
                    tx.settle_holds(&call.merchant, uid, "", End::Commit(SET), 0).await.map_err(broken)?;
                    Ok(StepResult::outcome("lost").refuse())
                }
                _ => {
                    tx.settle_holds(&call.merchant, uid, "", End::Commit(SET), 0).await.map_err(broken)?;
                    Ok(StepResult::outcome("ok").event("toy.finished", json!({ "id": call.id })))
                }
            },
            "refuse" => Ok(StepResult::outcome("no").patch(json!({ "was": "refused" })).refuse()),
            _ => Ok(StepResult::outcome("ok")),
        }
    }
}

struct Bench {
    runner: Arc<Runner<Store>>,
    store: Arc<Store>,
    toy: Arc<Toy>,
    clock: Arc<Hands>,
}

impl Bench {
    async fn new(store: Arc<Store>) -> Bench {
        let (toy, clock) = (Arc::new(Toy::default()), Arc::new(Hands::default()));
        Bench::with(store, toy, clock).await
    }

    async fn with(store: Arc<Store>, toy: Arc<Toy>, clock: Arc<Hands>) -> Bench {
        let host = format!("host-{}", Uuid::now_v7());
        let runner = Runner::new(
            store.clone(),
            Arc::new(ToySteps(toy.clone())),
            Arc::new(TestClock(clock.clone())),
            &host,
        );
        runner.publish("*", FLOW).await.expect("the flow is sound");
        Bench { runner, store, toy, clock }
    }

    async fn stock(&self, on_hand: i64) {
        self.store
            .transact(move |tx| Box::pin(async move { put(tx, "sku", on_hand).await }))
            .await
            .expect("stock");
    }

    async fn left(&self) -> (i64, i64) {
        let rows = self.store.read().await.expect("read").stock(MERCHANT, "sku").await.expect("stock");
        (rows[0].on_hand, rows[0].held)
    }

    async fn start(&self, id: &str) -> Uuid {
        let request = StartRequest {
            merchant: MERCHANT.to_owned(),
            workflow: "toy".to_owned(),
            id: id.to_owned(),
            subject: "s".to_owned(),
            inputs: json!({ "amount": 5 }),
            context: Value::Null,
            pins: json!({}),
            hash: "h".to_owned(),
        };
        let started = self.runner.start(request).await.expect("it starts");
        started.watch.last().expect("committed").uid
    }

    async fn send(&self, uid: Uuid, name: &str, sender: Sender, dedup: &str, body: Value) -> SignalAnswer {
        let source = if sender == Sender::Gateway { "gateway:g" } else { "api" };
        self.runner
            .signal(SignalRequest {
                merchant: MERCHANT.to_owned(),
                uid,
                name: name.to_owned(),
                sender,
                source: source.to_owned(),
                dedup: dedup.to_owned(),
                hash: "h".to_owned(),
                body,
                keep: true,
            })
            .await
            .expect("an answer")
    }

    async fn go(&self, uid: Uuid, dedup: &str) {
        assert!(matches!(
            self.send(uid, "go", Sender::Shopper, dedup, json!({})).await,
            SignalAnswer::Taken(_)
        ));
    }

    async fn until(&self, uid: Uuid, done: impl Fn(&Instance) -> bool) -> Arc<Instance> {
        let found = self.runner.wait(MERCHANT, uid, Duration::from_secs(20), &done).await.expect("read");
        let instance = found.expect("it is there");
        assert!(done(&instance), "stayed in {} ({:?})", instance.state, instance.status);
        instance
    }

    async fn at(&self, uid: Uuid, state: &str) -> Arc<Instance> {
        self.until(uid, |i| {
            i.state == state && i.status != Status::Running && i.status != Status::Compensating
        })
        .await
    }

    /// D2: sequence numbers without gaps, and the context is the fold of the journal.
    async fn sound(&self, uid: Uuid) {
        let instance = self.runner.read(MERCHANT, uid).await.expect("read").expect("there").instance;
        let entries = self.store.journal(MERCHANT, uid, 0, 10_000).await.expect("journal");
        assert_eq!(entries.len() as i64, instance.version);
        let mut context = json!({});
        for (n, entry) in entries.iter().enumerate() {
            assert_eq!(entry.seq, n as i64 + 1);
            if let Some(patch) = entry.body.get("patch") {
                merge(&mut context, patch);
            }
            if let Some(Value::Object(replace)) = entry.body.get("replace") {
                for (key, value) in replace {
                    context[key] = value.clone();
                }
            }
        }
        assert_eq!(context, *instance.context, "the journal rebuilds the context");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_flow_runs_to_its_end_in_two_commits_after_the_signal() {
    for (store, _dir) in stores().await {
        let till = Bench::new(Arc::new(store)).await;
        till.stock(1).await;
        let uid = till.start("a").await;
        till.at(uid, "wait").await;
        let (before, _) = till.store.counts();
        till.go(uid, "1").await;
        till.at(uid, "done").await;
        let (after, _) = till.store.counts();
        assert_eq!(after - before, 2, "the intent with the holds, and the outcome with the end");
        assert_eq!(till.left().await, (0, 0));
        assert_eq!(till.toy.charged(), 1);
        till.sound(uid).await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_repeated_start_attaches_and_another_request_is_refused() {
    for (store, _dir) in stores().await {
        let till = Bench::new(Arc::new(store)).await;
        let uid = till.start("a").await;
        assert_eq!(till.start("a").await, uid);
        let other = StartRequest {
            merchant: MERCHANT.to_owned(),
            workflow: "toy".to_owned(),
            id: "a".to_owned(),
            subject: String::new(),
            inputs: json!({}),
            context: Value::Null,
            pins: Value::Null,
            hash: "other".to_owned(),
        };
        assert!(matches!(till.runner.start(other).await, Err(Error::OtherRequest { .. })));
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_decline_undoes_in_reverse_and_the_instance_goes_on() {
    for (store, _dir) in stores().await {
        let till = Bench::new(Arc::new(store)).await;
        till.stock(1).await;
        till.toy.plan("pay", &["declined"]);
        let uid = till.start("a").await;
        till.go(uid, "1").await;
        let instance = till.until(uid, |i| i.state == "wait" && i.entry("pay") == 1).await;
        assert!(instance.control.undo.is_empty());
        assert_eq!(till.left().await, (1, 0), "the hold is released");
        till.go(uid, "2").await;
        till.at(uid, "done").await;
        assert_eq!(till.left().await, (0, 0));
        till.sound(uid).await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn an_unknown_outcome_is_asked_for_and_never_sent_under_a_second_key() {
    for (store, _dir) in stores().await {
        let till = Bench::new(Arc::new(store)).await;
        till.stock(2).await;
        till.toy.plan("pay", &["unknown-charged"]);
        till.toy.plan("find", &["unknown", "look"]);
        let uid = till.start("a").await;
        till.go(uid, "1").await;
        till.until(uid, |i| i.state == "ask").await;
        till.clock.advance(1);
        till.runner.settle().await.expect("settle");
        till.clock.advance(3);
        till.runner.settle().await.expect("settle");
        till.at(uid, "done").await;
        assert_eq!(till.toy.charged(), 1);
        // Never happened: sent again under the same key.
        till.toy.plan("pay", &["unknown", "paid"]);
        let uid = till.start("b").await;
        till.go(uid, "2").await;
        till.until(uid, |i| i.state == "ask").await;
        till.clock.advance(1);
        till.runner.settle().await.expect("settle");
        till.at(uid, "done").await;
        let keys: Vec<String> = till
            .store
            .journal(MERCHANT, uid, 0, 1000)
            .await
            .expect("journal")
            .into_iter()
            .filter(|e| e.kind == Kind::Intent)
            .filter_map(|e| e.key)
            .collect();
        assert_eq!(keys.len(), 2);
        assert_eq!(keys[0], keys[1]);
        till.sound(uid).await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_call_lost_with_its_host_is_asked_for_by_the_next_one() {
    for (store, _dir) in stores().await {
        let store = Arc::new(store);
        let till = Bench::new(store.clone()).await;
        till.stock(1).await;
        till.toy.plan("pay", &["hang-charged"]);
        let uid = till.start("a").await;
        till.go(uid, "1").await;
        while !till.toy.hang.load(Ordering::SeqCst) {
            tokio::time::sleep(Duration::from_millis(1)).await;
        }
        let heir = Bench::with(store, till.toy.clone(), till.clock.clone()).await;
        heir.runner.settle().await.expect("settle");
        assert_eq!(
            till.runner.read(MERCHANT, uid).await.expect("read").expect("there").instance.state,
            "pay"
        );
        till.clock.advance(61);
        heir.runner.settle().await.expect("settle");
        till.clock.advance(1);
        heir.runner.settle().await.expect("settle");
        heir.at(uid, "done").await;
        assert_eq!(till.toy.charged(), 1, "charged once");
        heir.sound(uid).await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_refused_segment_keeps_only_the_refusal() {
    for (store, _dir) in stores().await {
        let till = Bench::new(Arc::new(store)).await;
        till.stock(5).await;
        let uid = till.start("a").await;
        till.send(uid, "go", Sender::Shopper, "1", json!({ "inputs": { "amount": 99 } })).await;
        let instance = till.until(uid, |i| i.state == "wait" && i.entry("look2") == 1).await;
        assert_eq!(instance.context["was"], "refused");
        assert!(instance.control.undo.is_empty(), "the hold of the segment is gone with it");
        assert_eq!(till.left().await, (5, 0));
        till.sound(uid).await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn an_outcome_is_kept_although_the_writes_behind_it_are_refused() {
    for (store, _dir) in stores().await {
        let till = Bench::new(Arc::new(store)).await;
        till.stock(1).await;
        till.toy.plan("finish", &["lost"]);
        let uid = till.start("a").await;
        till.go(uid, "1").await;
        till.until(uid, |i| i.state == "wait" && i.entry("undo") == 1).await;
        assert_eq!(till.toy.charged(), 1);
        assert_eq!(till.toy.refunds.load(Ordering::SeqCst), 1, "what was taken is given back");
        assert_eq!(till.left().await, (1, 0));
        till.sound(uid).await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_compensation_is_tried_to_the_end_and_then_parked_for_a_person() {
    for (store, _dir) in stores().await {
        let till = Bench::new(Arc::new(store)).await;
        till.stock(1).await;
        till.toy.plan("finish", &["lost"]);
        till.toy.plan("refund", &["away"; 12]);
        let uid = till.start("a").await;
        till.go(uid, "1").await;
        for _ in 0..14 {
            till.until(uid, |i| i.status == Status::Parked || i.control.due_us > 0).await;
            till.clock.advance(3600);
            till.runner.settle().await.expect("settle");
        }
        let parked = till.until(uid, |i| i.status == Status::Parked).await;
        assert!(
            parked.control.attention.as_deref().is_some_and(|r| r.contains("refund")),
            "{:?}",
            parked.control
        );
        let answer =
            till.runner.operate(MERCHANT, uid, "retry", "ana", "the gateway is back").await.expect("answer");
        assert!(matches!(answer, SignalAnswer::Taken(_)));
        till.until(uid, |i| i.state == "wait").await;
        assert_eq!(till.toy.refunds.load(Ordering::SeqCst), 1);
        assert_eq!(till.left().await, (1, 0));
        till.sound(uid).await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_timer_fires_once_and_signals_have_authority() {
    for (store, _dir) in stores().await {
        let till = Bench::new(Arc::new(store)).await;
        let uid = till.start("a").await;
        let forged = till.send(uid, "payment.authorized", Sender::Shopper, "f", json!({})).await;
        assert!(matches!(forged, SignalAnswer::Forbidden(_)));
        let extra = till.send(uid, "go", Sender::Shopper, "x", json!({ "inputs": { "total": 1 } })).await;
        assert!(matches!(extra, SignalAnswer::Refused(_)));
        till.clock.advance(1799);
        till.runner.settle().await.expect("settle");
        till.at(uid, "wait").await;
        till.clock.advance(2);
        till.runner.settle().await.expect("settle");
        let end = till.at(uid, "gone").await;
        assert_eq!(end.status, Status::Completed);
        let late = till.send(uid, "go", Sender::Shopper, "late", json!({})).await;
        assert!(matches!(late, SignalAnswer::NotExpected(_)));
        till.sound(uid).await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_signal_is_taken_once_however_often_it_is_sent() {
    for (store, _dir) in stores().await {
        let till = Bench::new(Arc::new(store)).await;
        till.stock(3).await;
        let uid = till.start("a").await;
        let mut answers = Vec::new();
        for _ in 0..6 {
            answers.push(till.send(uid, "go", Sender::Shopper, "same", json!({})).await);
        }
        let taken = answers.iter().filter(|a| matches!(a, SignalAnswer::Taken(_))).count();
        assert_eq!(taken, 1);
        assert!(answers[1..].iter().all(|a| matches!(a, SignalAnswer::Repeated(_))));
        till.at(uid, "done").await;
        assert_eq!(till.toy.charged(), 1);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_signal_sent_while_money_moves_waits_and_is_not_lost() {
    for (store, _dir) in stores().await {
        let till = Bench::new(Arc::new(store)).await;
        till.stock(1).await;
        till.toy.plan("pay", &["unknown"]);
        till.toy.plan("find", &["unknown"]);
        let uid = till.start("a").await;
        till.go(uid, "1").await;
        till.until(uid, |i| i.state == "ask").await;
        assert!(matches!(
            till.send(uid, "cancel", Sender::Shopper, "c", json!({})).await,
            SignalAnswer::Queued(_)
        ));
        till.toy.plan("pay", &["declined"]);
        till.clock.advance(1);
        till.runner.settle().await.expect("settle");
        till.clock.advance(3);
        till.runner.settle().await.expect("settle");
        let end = till.until(uid, |i| i.status == Status::Completed).await;
        assert_eq!(end.state, "gone", "the cancel took effect as soon as the outcome was known");
        assert_eq!(till.left().await, (1, 0));
        till.sound(uid).await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_host_that_lost_the_race_writes_nothing() {
    for (store, _dir) in stores().await {
        let store = Arc::new(store);
        let till = Bench::new(store.clone()).await;
        let uid = till.start("a").await;
        let loaded = till.runner.read(MERCHANT, uid).await.expect("read").expect("there");
        till.stock(1).await;
        till.go(uid, "1").await;
        till.at(uid, "done").await;
        let stale = Arc::new(loaded);
        let port = store.clone();
        let late = stale.clone();
        let write = store
            .transact_job(Box::new(move |tx| {
                let (port, late) = (port.clone(), late.clone());
                Box::pin(async move {
                    port.write(
                        tx,
                        till_engine::ports::Write {
                            instance: &late.instance,
                            insert: false,
                            expect_version: late.instance.version,
                            expect_fence: late.fence,
                            claims: true,
                            owner: None,
                            wake_us: Some(1),
                            entries: &[],
                            events: &[],
                            consumed: &[],
                            signal: None,
                            now_us: 1,
                        },
                    )
                    .await
                    .map(|_| ())
                })
            }))
            .await;
        assert!(matches!(write, Err(StoreError::Conflict)), "{write:?}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn sixty_four_buyers_race_for_ten_units_and_ten_get_one() {
    for (store, _dir) in stores().await {
        let till = Arc::new(Bench::new(Arc::new(store)).await);
        till.stock(10).await;
        let mut buyers = Vec::new();
        for n in 0..64 {
            let till = till.clone();
            buyers.push(tokio::spawn(async move {
                let uid = till.start(&format!("b{n}")).await;
                till.go(uid, &format!("go{n}")).await;
                let end = till
                    .until(uid, |i| i.state == "done" || i.state == "wait" && i.context.get("left").is_some())
                    .await;
                end.state == "done"
            }));
        }
        let mut got = 0;
        for buyer in buyers {
            got += u32::from(buyer.await.expect("no panic"));
        }
        assert_eq!(got, 10);
        assert_eq!(till.left().await, (0, 0));
        assert_eq!(till.toy.charged(), 10);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn holds_end_once_and_never_go_below_zero() {
    for (store, _dir) in stores().await {
        let uid = Uuid::now_v7();
        let kinds =
            [(HoldKind::Stock, "sku", "w"), (HoldKind::Points, "c", "c"), (HoldKind::Promotion, "p", "c")];
        store
            .transact(move |tx| {
                Box::pin(async move {
                    put(tx, "sku", 5).await?;
                    tx.put_customer(MERCHANT, "c", "{}", 5, 1).await
                })
            })
            .await
            .expect("set up");
        for (kind, what, place) in kinds {
            let answers = store
                .transact(move |tx| {
                    Box::pin(async move {
                        let hold = |id: &str, quantity| NewHold {
                            id: format!("{id}{what}"),
                            kind,
                            what: what.to_owned(),
                            place: place.to_owned(),
                            quantity,
                            limits: (Some(5), Some(4)),
                            uid,
                            expires_us: 0,
                        };
                        let first = tx.hold(MERCHANT, &hold("a", 3)).await?;
                        let again = tx.hold(MERCHANT, &hold("a", 3)).await?;
                        let ended =
                            tx.settle_hold(MERCHANT, &format!("a{what}"), End::Release, 0).await?.is_some();
                        let twice = tx
                            .settle_hold(MERCHANT, &format!("a{what}"), End::Commit(SET), 0)
                            .await?
                            .is_some();
                        let next = tx.hold(MERCHANT, &hold("b", 4)).await?;
                        tx.settle_hold(MERCHANT, &format!("b{what}"), End::Commit(SET), 0).await?;
                        Ok((first, again, ended, twice, next))
                    })
                })
                .await
                .expect("holds");
            assert_eq!(answers, (Held::Yes, Held::Yes, true, false, Held::Yes), "{kind:?}");
            let refused = store
                .transact(move |tx| {
                    Box::pin(async move {
                        let hold = NewHold {
                            id: format!("c{what}"),
                            kind,
                            what: what.to_owned(),
                            place: place.to_owned(),
                            quantity: 2,
                            limits: (Some(5), Some(4)),
                            uid,
                            expires_us: 0,
                        };
                        match tx.hold(MERCHANT, &hold).await? {
                            Held::Short(_) => Err(StoreError::Conflict),
                            Held::Yes => Ok(()),
                        }
                    })
                })
                .await;
            assert!(matches!(refused, Err(StoreError::Conflict)), "{kind:?}");
        }
        assert!(store.read().await.expect("read").held_sums(MERCHANT).await.expect("sums").is_empty());
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_component_that_a_transaction_holds_does_not_change_before_it_ends() {
    for (store, _dir) in stores().await {
        let store = Arc::new(store);
        let component = ComponentRow {
            digest: "d".to_owned(),
            slot: "promotion".to_owned(),
            state: "ready".to_owned(),
            info: "null".to_owned(),
            created_us: 0,
            created_by: "ana".to_owned(),
        };
        store
            .transact(move |tx| {
                let component = component.clone();
                Box::pin(async move { tx.put_component(MERCHANT, &component, b"bytes").await })
            })
            .await
            .expect("a component");
        let held = Arc::new(tokio::sync::Notify::new());
        let (tell, other) = (held.clone(), store.clone());
        let activation = tokio::spawn(async move {
            let hold = other.transact(move |tx| {
                let tell = tell.clone();
                Box::pin(async move {
                    let state = tx.hold_component(MERCHANT, "d", "promotion").await?;
                    tell.notify_one();
                    // Long enough for the other one to be before this, if nothing held it back.
                    std::thread::sleep(Duration::from_millis(200));
                    tx.put_binding(MERCHANT, &activated()).await?;
                    Ok(state)
                })
            });
            hold.await
        });
        held.notified().await;
        let seen = store.transact(|tx| {
            Box::pin(async move {
                let revoked = ComponentChangeRow {
                    seq: 0,
                    state: "revoked".to_owned(),
                    why: String::new(),
                    at_us: 1,
                    who: "ana".to_owned(),
                };
                assert!(tx.move_component(MERCHANT, ("d", "promotion"), "ready", &revoked).await?);
                tx.bindings(MERCHANT).await
            })
        });
        let seen = seen.await.expect("a revocation");
        assert_eq!(seen, [activated()], "who revokes sees what was activated before");
        assert_eq!(activation.await.expect("no panic").expect("held"), Some("ready".to_owned()));
    }
}

fn activated() -> BindingRow {
    BindingRow {
        slot: "promotion".to_owned(),
        name: "30".to_owned(),
        revision: 1,
        act: "activate".to_owned(),
        origin: 1,
        digest: "b".to_owned(),
        trial: String::new(),
        why: String::new(),
        created_us: 1,
        created_by: "ana".to_owned(),
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn points_of_a_customer_nobody_knew_are_kept_and_booked_once() {
    for (store, _dir) in stores().await {
        let booked = store
            .transact(|tx| {
                Box::pin(async move {
                    let first = tx.earn_points(MERCHANT, "new", "o1:earned", 7, 0).await?;
                    let again = tx.earn_points(MERCHANT, "new", "o1:earned", 7, 0).await?;
                    let next = tx.earn_points(MERCHANT, "new", "o2:earned", 5, 0).await?;
                    Ok((first, again, next))
                })
            })
            .await
            .expect("points");
        assert_eq!(booked, (true, false, true));
        let row =
            store.read().await.expect("read").customer(MERCHANT, "new").await.expect("row").expect("there");
        assert_eq!((row.points, row.orders), (12, 2));
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn one_failing_transaction_does_not_spoil_its_batch() {
    for (store, _dir) in stores().await {
        let store = Arc::new(store);
        let mut jobs = Vec::new();
        for n in 0..40_i64 {
            let store = store.clone();
            jobs.push(tokio::spawn(async move {
                store
                    .transact(move |tx| {
                        Box::pin(async move {
                            put(tx, &format!("s{n}"), n).await?;
                            if n % 7 == 3 {
                                return Err(StoreError::Conflict);
                            }
                            assert!(n % 11 != 5, "a bug in one transaction");
                            Ok(())
                        })
                    })
                    .await
                    .is_ok()
            }));
        }
        for (n, job) in (0..40_i64).zip(jobs) {
            let ok = job.await.unwrap_or(false);
            let there = !store
                .read()
                .await
                .expect("read")
                .stock(MERCHANT, &format!("s{n}"))
                .await
                .expect("rows")
                .is_empty();
            assert_eq!(ok, !(n % 7 == 3 || n % 11 == 5), "{n}");
            assert_eq!(there, ok, "{n}: what was told is what is kept");
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn hot_statements_use_their_indexes() {
    for (store, _dir) in stores().await {
        let engine = store.engine();
        for (name, plan) in store.explain_hot().await.expect("plans") {
            let scans = if engine == "sqlite" {
                plan.contains("SCAN") && name != "due"
            } else {
                plan.contains("Seq Scan")
            };
            // An empty PostgreSQL table may be read as a whole whatever its indexes: there the planner is told not to.
            assert!(!scans, "{engine} {name}: {plan}");
            if name == "due" {
                assert!(plan.contains("wf_ready_due"), "{engine} {name}: {plan}");
            }
        }
    }
}

fn table_row(digest: &str, parts: i64, created_us: i64) -> LookupRow {
    let (digest, created_by) = (digest.to_owned(), "ana".to_owned());
    LookupRow { digest, rows: 1, bytes: 1, parts, created_us, created_by }
}

/// Runs something in a transaction of its own.
async fn did<T: Send + 'static>(
    store: &Store,
    job: impl for<'a> Fn(&'a mut Tx) -> futures::future::BoxFuture<'a, Result<T, StoreError>>
    + Send
    + Sync
    + 'static,
) -> T {
    store.transact(job).await.expect("it is written")
}

#[tokio::test(flavor = "multi_thread")]
async fn a_table_is_there_with_all_its_parts_or_not_at_all() {
    for (store, _dir) in stores().await {
        let put = |part: i64, at_us: i64| {
            did(&store, move |tx| {
                Box::pin(async move { tx.put_lookup_part(MERCHANT, "t", (part, b"x"), at_us).await })
            })
        };
        let finish = || {
            did(&store, |tx| Box::pin(async move { tx.put_lookup(MERCHANT, &table_row("t", 3, 10)).await }))
        };
        let sweep = |before_us: i64| {
            did(&store, move |tx| {
                Box::pin(async move { tx.drop_lookup_parts(MERCHANT, "t", before_us, 2).await })
            })
        };
        let part = async |part| {
            store.read().await.expect("read").lookup_part(MERCHANT, "t", part).await.expect("row").is_some()
        };
        assert!(!finish().await, "nothing was uploaded");
        put(0, 100).await;
        put(1, 100).await;
        assert!(!finish().await, "a part is missing");
        // A sweep leaves alone what is uploaded since, and takes the rest in pieces.
        assert!(!sweep(100).await && part(0).await);
        let old = store.read().await.expect("read").old_uploads(101, &Default::default(), 9).await;
        assert_eq!(old.expect("rows"), [(MERCHANT.to_owned(), "t".to_owned())]);
        assert!(sweep(101).await, "there may be more");
        // The upload goes on at this moment: what is gone is missed, what is still there is not taken.
        put(2, 200).await;
        assert!(!sweep(101).await && part(2).await);
        assert!(!finish().await, "two parts were taken away");
        for n in 0..3 {
            put(n, 200).await;
        }
        assert!(finish().await && finish().await, "twice is once");
        assert!(!sweep(i64::MAX).await && part(0).await, "parts of a table stay");
        let old = async |before_us| {
            let mut tx = store.read().await.expect("read");
            tx.old_lookups(before_us, &Default::default(), 9).await.expect("rows").len()
        };
        assert_eq!((old(200).await, old(201).await), (0, 1), "it was uploaded again at 200");
        let drop = || did(&store, |tx| Box::pin(async move { tx.drop_lookup(MERCHANT, "t").await }));
        drop().await;
        assert!(finish().await && part(0).await, "whoever comes just after it has the table again, whole");
        drop().await;
        while sweep(i64::MAX).await {}
        for n in 0..3 {
            assert!(!part(n).await);
        }
        assert!(!finish().await);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn lists_lose_nothing_and_show_nothing_twice_where_times_are_the_same() {
    for (store, _dir) in stores().await {
        let uid = |n: u8| Uuid::from_bytes([n; 16]);
        did(&store, move |tx| {
            Box::pin(async move {
                for n in 0..7_u8 {
                    let digest = format!("d{n}");
                    // Three at one time, two at the next.
                    let at_us = i64::from(n / 3);
                    tx.put_lookup_part(MERCHANT, &digest, (0, b"x"), 1).await?;
                    tx.put_lookup(MERCHANT, &table_row(&digest, 1, at_us)).await?;
                    for slot in ["tax", "shipping"] {
                        let row = ComponentRow {
                            digest: digest.clone(),
                            slot: slot.to_owned(),
                            state: "ready".to_owned(),
                            info: "null".to_owned(),
                            created_us: at_us,
                            created_by: "ana".to_owned(),
                        };
                        tx.put_component(MERCHANT, &row, b"x").await?;
                    }
                    let row = DifferenceRow { uid: uid(n), at_us, body: json!(n) };
                    tx.put_difference(MERCHANT, &trial(1), &row).await?;
                }
                Ok(())
            })
        })
        .await;
        let mut tx = store.read().await.expect("read");
        let mut tables = vec![];
        let mut at = (i64::MAX, String::new());
        while let part = tx.lookups(MERCHANT, (at.0, &at.1), 2).await.expect("rows")
            && let Some(last) = part.last()
        {
            at = (last.created_us, last.digest.clone());
            tables.extend(part.into_iter().map(|row| row.digest));
        }
        assert_eq!(tables, ["d6", "d5", "d4", "d3", "d2", "d1", "d0"]);
        let mut components = vec![];
        let mut at = (i64::MAX, String::new(), String::new());
        while let part = tx.components(MERCHANT, (at.0, &at.1, &at.2), 3).await.expect("rows")
            && let Some(last) = part.last()
        {
            at = (last.created_us, last.digest.clone(), last.slot.clone());
            components.extend(part.into_iter().map(|row| format!("{}/{}", row.digest, row.slot)));
        }
        assert_eq!(components.len(), 14, "{components:?}");
        components.dedup();
        assert_eq!(components.len(), 14, "{components:?}");
        let mut differences = vec![];
        let mut at = (i64::MAX, Uuid::max());
        while let part = tx.differences(MERCHANT, &trial(1), at, 2).await.expect("rows")
            && let Some(last) = part.last()
        {
            at = (last.at_us, last.uid);
            differences.extend(part.into_iter().map(|row| row.body));
        }
        assert_eq!(json!(differences), json!([6, 5, 4, 3, 2, 1, 0]));
    }
}

fn trial(revision: i64) -> TrialKey {
    TrialKey { slot: "tax".to_owned(), name: "default".to_owned(), revision }
}

#[tokio::test(flavor = "multi_thread")]
async fn differences_go_by_age_and_by_number_the_oldest_first() {
    for (store, _dir) in stores().await {
        did(&store, |tx| {
            Box::pin(async move {
                for (revision, n) in [(1, 9_u8), (2, 3)] {
                    for n in 0..n {
                        let row = DifferenceRow {
                            uid: Uuid::from_bytes([n; 16]),
                            at_us: i64::from(n / 3),
                            body: json!(n),
                        };
                        tx.put_difference(MERCHANT, &trial(revision), &row).await?;
                    }
                }
                Ok(())
            })
        })
        .await;
        let left = async |revision| -> Vec<Value> {
            let mut tx = store.read().await.expect("read");
            let all = tx.differences(MERCHANT, &trial(revision), (i64::MAX, Uuid::max()), 99).await;
            all.expect("rows").into_iter().map(|row| row.body).collect()
        };
        let past = store.read().await.expect("read").difference_past(MERCHANT, &trial(1), 4).await;
        let past = past.expect("row").expect("there are more than four");
        assert_eq!(past, (1, Uuid::from_bytes([4; 16])));
        let drop = |upto, limit| {
            did(&store, move |tx| {
                Box::pin(async move { tx.drop_differences(MERCHANT, &trial(1), upto, limit).await })
            })
        };
        assert_eq!((drop(past, 3).await, drop(past, 3).await, drop(past, 3).await), (3, 2, 0));
        assert_eq!(json!(left(1).await), json!([8, 7, 6, 5]));
        assert_eq!(drop((1, Uuid::max()), 9).await, 1, "by age");
        assert_eq!((json!(left(1).await), left(2).await.len()), (json!([8, 7, 6]), 3));
        let mut tx = store.read().await.expect("read");
        let none = (String::new(), trial(0));
        let first = tx.next_that_differs(&none).await.expect("row").expect("a trial");
        let second = tx.next_that_differs(&first).await.expect("row").expect("another");
        assert_eq!((first.1, &second.1), (trial(1), &trial(2)));
        assert_eq!(tx.next_that_differs(&second).await.expect("row"), None);
    }
}

fn tax_binding(revision: i64) -> BindingRow {
    BindingRow {
        slot: "tax".to_owned(),
        name: "default".to_owned(),
        revision,
        act: "activate".to_owned(),
        origin: 1,
        digest: "b".to_owned(),
        trial: String::new(),
        why: String::new(),
        created_us: 0,
        created_by: "ana".to_owned(),
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn whatever_changes_what_is_in_use_is_told_by_one_number() {
    for (store, _dir) in stores().await {
        let version =
            async || store.read().await.expect("read").in_use_version(MERCHANT).await.expect("version");
        assert_eq!(version().await, 0);
        let secret = |version| SecretRow {
            name: "key".to_owned(),
            version,
            sealed: vec![1],
            updated_us: 0,
            updated_by: "ana".to_owned(),
        };
        let bind =
            || did(&store, |tx| Box::pin(async move { tx.put_binding(MERCHANT, &tax_binding(1)).await }));
        assert!(bind().await);
        assert_eq!(version().await, 1);
        assert!(!bind().await, "the revision is taken");
        assert_eq!(version().await, 1, "and nothing changed");
        let put =
            |n| did(&store, move |tx| Box::pin(async move { tx.put_secret(MERCHANT, &secret(n)).await }));
        assert!(put(1).await && !put(1).await && put(2).await);
        assert_eq!(version().await, 3);
        let drop = || did(&store, |tx| Box::pin(async move { tx.drop_secret(MERCHANT, "key").await }));
        assert!(drop().await && !drop().await);
        assert_eq!(version().await, 4);
        for (from, to, expected) in [("uploaded", "ready", 4), ("ready", "revoked", 5)] {
            let moved = did(&store, move |tx| {
                Box::pin(async move {
                    let row = ComponentRow {
                        digest: "d".to_owned(),
                        slot: "tax".to_owned(),
                        state: from.to_owned(),
                        info: "null".to_owned(),
                        created_us: 0,
                        created_by: "ana".to_owned(),
                    };
                    tx.put_component(MERCHANT, &row, b"x").await?;
                    let step = ComponentChangeRow {
                        seq: 0,
                        state: to.to_owned(),
                        why: String::new(),
                        at_us: 0,
                        who: "ana".to_owned(),
                    };
                    tx.move_component(MERCHANT, ("d", "tax"), from, &step).await
                })
            });
            assert!(moved.await);
            assert_eq!(version().await, expected, "{to}");
        }
        // At once from many sides: none is lost.
        let store = Arc::new(store);
        let many = (10..30).map(|revision| {
            let store = store.clone();
            tokio::spawn(async move {
                did(&store, move |tx| {
                    Box::pin(async move { tx.put_binding(MERCHANT, &tax_binding(revision)).await })
                })
                .await
            })
        });
        for one in many.collect::<Vec<_>>() {
            assert!(one.await.expect("it ends"));
        }
        let now = store.read().await.expect("read").in_use_version(MERCHANT).await.expect("version");
        assert_eq!(now, 25);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_table_that_is_put_bound_and_taken_away_at_once_is_whole_where_it_is_needed() {
    for (store, _dir) in stores().await {
        let store = Arc::new(store);
        for round in 0..15 {
            let (table, binding) = (format!("t{round}"), format!("b{round}"));
            let mut tasks = tokio::task::JoinSet::new();
            for _ in 0..2 {
                let (store, table) = (store.clone(), table.clone());
                tasks.spawn(async move {
                    loop {
                        for part in 0..3 {
                            let table = table.clone();
                            did(&store, move |tx| {
                                let table = table.clone();
                                Box::pin(async move {
                                    tx.put_lookup_part(MERCHANT, &table, (part, b"x"), 5).await
                                })
                            })
                            .await;
                        }
                        let row = table_row(&table, 3, 5);
                        let put = did(&store, move |tx| {
                            let row = row.clone();
                            Box::pin(async move { tx.put_lookup(MERCHANT, &row).await })
                        });
                        if put.await {
                            break;
                        }
                    }
                });
            }
            for _ in 0..2 {
                let (store, table) = (store.clone(), table.clone());
                tasks.spawn(async move {
                    let id = table.clone();
                    did(&store, move |tx| {
                        let id = id.clone();
                        Box::pin(async move {
                            if tx.hold_lookup(MERCHANT, &id).await?
                                && tx.bodies_with_table(MERCHANT, &id).await?.is_empty()
                            {
                                tx.drop_lookup(MERCHANT, &id).await?;
                            }
                            Ok(())
                        })
                    })
                    .await;
                    let id = table.clone();
                    did(&store, move |tx| {
                        let id = id.clone();
                        Box::pin(async move { tx.drop_lookup_parts(MERCHANT, &id, 1, 2).await })
                    })
                    .await;
                });
            }
            let (host, needs, name) = (store.clone(), table.clone(), binding.clone());
            tasks.spawn(async move {
                did(&host, move |tx| {
                    let body = BodyRow {
                        digest: name.clone(),
                        slot: "tax".to_owned(),
                        name: "default".to_owned(),
                        component: "c".to_owned(),
                        body: json!({ "tables": { "rates": needs } }).to_string(),
                    };
                    let needs = needs.clone();
                    Box::pin(async move {
                        if tx.hold_lookup(MERCHANT, &needs).await? {
                            tx.put_body(MERCHANT, &body).await?;
                        }
                        Ok(())
                    })
                })
                .await;
            });
            while let Some(done) = tasks.join_next().await {
                done.expect("no task fails");
            }
            let mut tx = store.read().await.expect("read");
            let there = tx.lookup(MERCHANT, &table).await.expect("row").is_some();
            let bound = tx.body(MERCHANT, &binding).await.expect("row").is_some();
            assert!(there || !bound, "round {round}: a binding without its table");
            for part in 0..3 {
                let part = tx.lookup_part(MERCHANT, &table, part).await.expect("row");
                assert!(!there || part.is_some(), "round {round}: a table without a part");
            }
        }
    }
}

fn product(id: &str, price: i64) -> ProductRow {
    ProductRow {
        id: id.to_owned(),
        body: format!("{{\"id\":\"{id}\"}}"),
        words: format!("thing {id} 100%_!").to_lowercase(),
        name: format!("thing {id}").to_lowercase(),
        currency: "USD".to_owned(),
        prices: vec![("USD".to_owned(), price), ("EUR".to_owned(), 10 - price)],
        active: price > 0,
        stocked: id != "C",
        categories: vec!["all".to_owned(), "all".to_owned()],
        tags: if id == "A" { vec!["one".to_owned()] } else { vec![] },
        skus: vec![(format!("sku-{id}"), true)],
    }
}

async fn found(store: &Store, filter: Filter, sort: Sort, after: &Place) -> Vec<(Place, String)> {
    let mut tx = store.read().await.expect("a reader");
    let found = tx.find_products(MERCHANT, &filter, sort, after, 2).await.expect("products");
    found
        .into_iter()
        .map(|(place, body)| (place, body.replace(['{', '}', '"', ':'], "").replace("id", "")))
        .collect()
}

#[tokio::test]
async fn products_are_found_by_what_was_written_last() {
    for (store, _keep) in stores().await {
        store
            .transact(|tx| {
                Box::pin(async move {
                    for (n, (id, price)) in [("A", 3), ("B", 1), ("C", 2), ("D", 0)].into_iter().enumerate() {
                        tx.put_product(MERCHANT, &product(id, price), n as i64).await?;
                    }
                    // Once more: it stays as old as it was.
                    tx.put_product(MERCHANT, &product("A", 3), 9).await?;
                    put(tx, "sku-B", 1).await
                })
            })
            .await
            .expect("products");
        let all = Filter { active: Some(true), ..Filter::default() };
        let euros = || Some("EUR".to_owned());
        let there = Filter { currency: euros(), ..all.clone() };
        let dearest = found(&store, there, Sort::PriceDown, &Sort::PriceDown.start()).await;
        let dearest: Vec<String> = dearest.into_iter().map(|(_, id)| id).collect();
        assert_eq!(dearest, ["B", "C"], "by the price there, on {}", store.engine());
        for (sort, order) in [
            (Sort::Id, "A B C"),
            (Sort::Name, "A B C"),
            (Sort::Price, "B C A"),
            (Sort::PriceDown, "A C B"),
            (Sort::Newest, "C B A"),
        ] {
            let (mut ids, mut after) = (Vec::new(), sort.start());
            loop {
                let page = found(&store, all.clone(), sort, &after).await;
                ids.extend(page.iter().map(|(_, id)| id.clone()));
                match page.last() {
                    Some((place, _)) if page.len() == 2 => after = place.clone(),
                    _ => break,
                }
            }
            assert_eq!(ids.join(" "), order, "{sort:?} on {}", store.engine());
        }
        let words = |words: &[&str]| words.iter().map(|word| (*word).to_owned()).collect();
        for (filter, ids) in [
            (Filter { words: words(&["thing", "%_!"]), price_max: Some(1), ..all.clone() }, "B"),
            (Filter { words: words(&["th_ng"]), ..all.clone() }, ""),
            (Filter { in_stock: Some(true), ..all.clone() }, "B C"),
            (Filter { in_stock: Some(false), ..all.clone() }, "A"),
            (Filter { tag: Some("one".to_owned()), category: Some("all".to_owned()), ..all.clone() }, "A"),
            (Filter { active: Some(false), ..Filter::default() }, "D"),
            (Filter { price_min: Some(2), price_max: Some(2), ..Filter::default() }, "C"),
            (Filter { currency: euros(), price_min: Some(9), ..all.clone() }, "B"),
            (Filter { currency: Some("JPY".to_owned()), ..all.clone() }, ""),
        ] {
            let page = found(&store, filter.clone(), Sort::Id, &Sort::Id.start()).await;
            let page: Vec<String> = page.into_iter().map(|(_, id)| id).collect();
            assert_eq!(page.join(" "), ids, "{filter:?} on {}", store.engine());
        }
        // A SKU has one owner, until it goes.
        let mut thief = product("E", 1);
        thief.skus = vec![("sku-A".to_owned(), true)];
        let (first, second) = (thief.clone(), thief);
        let refused = store.transact(move |tx| {
            let thief = first.clone();
            Box::pin(async move { tx.put_product(MERCHANT, &thief, 10).await })
        });
        assert!(matches!(refused.await, Err(StoreError::Conflict)), "on {}", store.engine());
        let gone = store.transact(move |tx| {
            let thief = second.clone();
            Box::pin(async move {
                let gone = tx.delete_product(MERCHANT, "A").await?;
                tx.put_product(MERCHANT, &thief, 10).await?;
                Ok((gone, tx.delete_product(MERCHANT, "A").await?, tx.sku_owner(MERCHANT, "sku-A").await?))
            })
        });
        assert_eq!(gone.await.expect("deleted"), (true, false, Some("E".to_owned())));
    }
}

#[tokio::test]
async fn calls_are_counted_in_windows_by_all_hosts_together() {
    for (store, _guard) in stores().await {
        let count = async |who: &'static str, now_us: i64, n: i64| {
            let counted = store.transact(move |tx| {
                Box::pin(async move { tx.count_calls(MERCHANT, who, now_us, 60, n).await })
            });
            counted.await.unwrap()
        };
        assert_eq!(count("a", 100, 1).await, (100, 1));
        assert_eq!(count("a", 159, 5).await, (100, 6));
        assert_eq!(count("b", 159, 2).await, (159, 2));
        assert_eq!(count("a", 160, 3).await, (160, 3), "the window has ended");
        let all = futures::future::join_all((0..20).map(|_| count("c", 500, 1))).await;
        let mut used: Vec<i64> = all.into_iter().map(|(_, used)| used).collect();
        used.sort_unstable();
        assert_eq!(used, (1..=20).collect::<Vec<_>>(), "each call has a number of its own");
        let forgotten =
            store.transact(|tx| Box::pin(async move { tx.forget_calls(200).await })).await.unwrap();
        assert_eq!(forgotten, 2);
        assert_eq!(count("c", 501, 1).await, (500, 21));
    }
}

#[tokio::test]
async fn words_and_wishes_are_kept_and_deliveries_are_found_and_sent_again_by_order() {
    for (store, _guard) in stores().await {
        let done = store.transact(|tx| {
            Box::pin(async move {
                assert_eq!(tx.preference(MERCHANT, "c").await?, None);
                tx.put_preference(MERCHANT, "c", "{}", 1).await?;
                tx.put_preference(MERCHANT, "c", "{\"marketing\":true}", 2).await?;
                assert_eq!(tx.preference(MERCHANT, "c").await?.as_deref(), Some("{\"marketing\":true}"));
                assert_eq!(tx.preference("other", "c").await?, None);

                let row = |kind: &str, locale: &str, body: &str| TemplateRow {
                    kind: kind.to_owned(),
                    locale: locale.to_owned(),
                    body: body.to_owned(),
                    updated_us: 3,
                };
                assert!(tx.put_template(MERCHANT, &row("a", "de", "1"), 2).await?);
                assert!(tx.put_template(MERCHANT, &row("a", "fr", "1"), 2).await?);
                assert!(!tx.put_template(MERCHANT, &row("a", "es", "1"), 2).await?, "two are the limit");
                assert!(
                    tx.put_template(MERCHANT, &row("a", "de", "2"), 2).await?,
                    "one that is there changes"
                );
                assert!(tx.put_template(MERCHANT, &row("b", "es", "1"), 2).await?);
                assert_eq!(tx.templates(MERCHANT, "a").await?, [row("a", "de", "2"), row("a", "fr", "1")]);
                assert_eq!(tx.templates(MERCHANT, "").await?.len(), 3);
                assert!(tx.templates("other", "").await?.is_empty());
                assert!(tx.drop_template(MERCHANT, "a", "de").await?);
                assert!(!tx.drop_template(MERCHANT, "a", "de").await?);

                for order in ["o1", "o2"] {
                    let event = Event { topic: "order.created".to_owned(), body: json!({ "o": order }) };
                    tx.put_event(MERCHANT, Uuid::now_v7(), &event, 5).await?;
                }
                let (facts, first) = tx.relay(10).await?;
                assert_eq!(facts.len(), 2);
                for (position, fact) in (first..).zip(&facts) {
                    let order = if fact.body.contains("o1") { "o1" } else { "o2" };
                    tx.log_event(fact, position, order, &fact.body).await?;
                    for target in ["email", "sms", "webhook:1"] {
                        tx.put_delivery(MERCHANT, target, position, 5).await?;
                    }
                }
                for row in tx.due_deliveries(5, 4, 32).await? {
                    let Some(row) = tx.take_delivery(&row, 5, 100).await? else { continue };
                    assert!(tx.bury_delivery(&row, "no", 6).await?);
                }
                let filter = DeliveryFilter {
                    targets: ["email".to_owned(), "sms".to_owned(), String::new()],
                    ..DeliveryFilter::default()
                };
                let all = tx.deliveries_of(MERCHANT, &filter, (i64::MAX, ""), 10).await?;
                let targets: Vec<&str> = all.iter().map(|one| one.target.as_str()).collect();
                assert_eq!(targets, ["sms", "email", "sms", "email"]);
                // Page by page it is the same list.
                let mut paged = Vec::new();
                loop {
                    let last = paged.last().cloned().unwrap_or((i64::MAX, String::new()));
                    let page = tx.deliveries_of(MERCHANT, &filter, (last.0, &last.1), 1).await?;
                    let Some(one) = page.first() else { break };
                    paged.push((one.position, one.target.clone()));
                }
                assert_eq!(paged.len(), 4);
                let of_one = DeliveryFilter { subject: "o1".to_owned(), ..filter.clone() };
                let found = tx.deliveries_of(MERCHANT, &of_one, (i64::MAX, ""), 10).await?;
                assert!(
                    found.len() == 2 && found.iter().all(|one| one.subject == "o1" && one.state == "dead")
                );
                assert!(tx.deliveries_of("other", &filter, (i64::MAX, ""), 10).await?.is_empty());
                assert_eq!(tx.replay(MERCHANT, "email", "o1", 0, true, 7).await?, 1);
                let waiting = DeliveryFilter { state: Some(0), ..filter.clone() };
                let found = tx.deliveries_of(MERCHANT, &waiting, (i64::MAX, ""), 10).await?;
                assert!(found.len() == 1 && found[0].subject == "o1" && found[0].target == "email");
                assert_eq!(tx.replay(MERCHANT, "email", "", 0, true, 7).await?, 1, "the other one");
                Ok::<_, StoreError>(())
            })
        });
        done.await.expect("it is kept");
    }
}

/// A file that Till wrote before products had prices in several currencies is opened, and its products are found again.
#[tokio::test]
async fn tables_as_they_were_once_become_what_they_are_now() {
    let dir = tempfile::tempdir().expect("a temporary directory");
    let path = dir.path().join("till.db");
    let old = rusqlite::Connection::open(&path).expect("a file");
    old.execute_batch(
        "CREATE TABLE product_index (merchant TEXT NOT NULL, id TEXT NOT NULL, words TEXT NOT NULL, name TEXT NOT NULL, price INTEGER NOT NULL, active INTEGER NOT NULL, stocked INTEGER NOT NULL, created_us INTEGER NOT NULL, PRIMARY KEY (merchant, id)) STRICT;
         CREATE INDEX product_index_price ON product_index (merchant, price, id);
         INSERT INTO product_index VALUES ('m', 'A', 'a', 'a', 1, 1, 1, 1);
         CREATE TABLE trial_count (merchant TEXT NOT NULL, slot TEXT NOT NULL, name TEXT NOT NULL, revision INTEGER NOT NULL, calls INTEGER NOT NULL, failed INTEGER NOT NULL, slow INTEGER NOT NULL, elapsed_us INTEGER NOT NULL, compared INTEGER NOT NULL, differing INTEGER NOT NULL, delta INTEGER NOT NULL, PRIMARY KEY (merchant, slot, name, revision)) STRICT, WITHOUT ROWID;
         CREATE TABLE product (merchant TEXT NOT NULL, id TEXT NOT NULL, body TEXT NOT NULL, updated_us INTEGER NOT NULL, PRIMARY KEY (merchant, id)) STRICT;
         INSERT INTO product VALUES ('m', 'A', '{\"id\":\"A\"}', 1);",
    )
    .expect("tables of before");
    drop(old);
    for _ in 0..2 {
        let store = Store::open(&Options::new(path.to_str().expect("UTF-8"))).await.expect("it is opened");
        let waiting =
            store.read().await.expect("a reader").products_without_index(9).await.expect("products");
        assert_eq!(waiting, [("m".to_owned(), "{\"id\":\"A\"}".to_owned())]);
        let key = TrialKey { slot: "s".to_owned(), name: "n".to_owned(), revision: 1 };
        let more = TrialCount { calls: 1, deltas: [("USD".to_owned(), 5)].into(), ..TrialCount::default() };
        store
            .transact(move |tx| {
                let (key, more) = (key.clone(), more.clone());
                Box::pin(async move { tx.add_trial(MERCHANT, &key, &more).await })
            })
            .await
            .expect("trials are counted");
        store.close().await;
    }
}
