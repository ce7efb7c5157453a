//! Components tried out, replaced and revoked while checkouts go on: canaries that go back by themselves, shadows,
//! fallbacks, revocation, secrets that are rotated, tables, and the records taken out of live checkouts.

use std::collections::BTreeSet;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::task::Poll;
use std::time::Duration;

use futures::poll;
use serde::Deserialize as _;
use serde_json::{Value, json};
use till_commerce::ask::{self, Asker};
use till_commerce::quote::{Inputs, Quote, Stage as QuoteStage};
use till_commerce::settings::Settings;
use till_commerce::trial::backtest::Backtest;
use till_commerce::trial::needed;
use till_commerce::{Phase, SessionView};
use till_registry::{
    Bound, Collected, Difference, DifferencePlace, Error, FailurePolicy, Guard, PPM, Push, Pushed, Source,
    Stage, TableFormat, TrialPlace, Turn, read_table,
};
use till_sandbox::{Slot, Table};
use till_tests::{
    CUSTOMER, MERCHANT, PATIENCE, SECRETS, Simulator, TestTill, customer, demo_config, expect_phase,
    worked_inputs,
};
use uuid::Uuid;

/// A share off everything, under its own title.
fn off(ppm: u32) -> Value {
    json!({ "title": format!("Off {ppm}"), "ppm": ppm })
}

fn turn(slot: Slot, name: &str) -> Turn {
    Turn { slot, name: name.to_owned(), who: "ana".to_owned(), why: "a test".to_owned() }
}

fn canary(share_ppm: u32) -> Stage {
    Stage::Canary { share_ppm, guard: Guard { calls_min: 10, ..Guard::default() } }
}

/// What percent-off takes off a session of one headphone of 249.99.
fn taken(view: &SessionView) -> Option<i64> {
    let discounts = &view.quote.as_ref()?.discounts;
    discounts.iter().find(|d| d.promotion == "percent-off").map(|d| d.amount)
}

/// A new session over the cart as it is; the first one puts a headphone into it.
async fn begin(till: &TestTill) -> SessionView {
    if till.shop.cart(MERCHANT, CUSTOMER).await.expect("a cart").items.is_empty() {
        return till.session(CUSTOMER, 1).await;
    }
    till.shop.initiate(MERCHANT, CUSTOMER, None).await.expect("a session")
}

/// Waits until the registry's counts satisfy somebody.
async fn until(what: &str, mut done: impl AsyncFnMut() -> bool) {
    let waited = async {
        while !done().await {
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
    };
    tokio::time::timeout(PATIENCE, waited).await.unwrap_or_else(|_| panic!("{what} does not happen"));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_canary_takes_its_share_grows_and_becomes_the_active_one() {
    let till = TestTill::start().await;
    till.push(Slot::Promotion, "30", "percent-off", off(10_000), FailurePolicy::Refuse).await;
    let push = till.pushed(Slot::Promotion, "30", "percent-off", off(20_000));
    let made = till.take(Push { stage: canary(300_000), ..push }).await;
    let trial = made.trial.expect("a canary");
    assert_ne!(made.digest, trial.digest);
    let mut seen = BTreeSet::new();
    let mut first = Vec::new();
    for n in 0..40 {
        let session = begin(&till).await;
        let amount = taken(&session).expect("a discount");
        let pins = till.instance(&session.id).await.pins;
        let expected = if amount == 500 { &trial.digest } else { &made.digest };
        assert_eq!(pins["promotion"]["30"], json!(expected), "session {n} is priced by what it pins");
        seen.insert(amount);
        first.push((session.id.clone(), amount));
    }
    assert_eq!(seen, BTreeSet::from([250, 500]), "1 % and 2 % of 249.99");
    // A larger share keeps those who had it.
    till.registry.step_canary(MERCHANT, turn(Slot::Promotion, "30"), 900_000, 0).await.unwrap();
    for (id, amount) in &first {
        if *amount == 500 {
            let pins = till.registry.pins(MERCHANT, id).await.unwrap();
            assert_eq!(pins["promotion"]["30"], json!(trial.digest));
        }
    }
    let active = till.registry.promote(MERCHANT, turn(Slot::Promotion, "30"), 0).await.unwrap();
    assert_eq!(active.trial, None);
    let session = begin(&till).await;
    assert_eq!(taken(&session), Some(500));
    // As the active one it does what was asked of it: it has nothing to fall back on.
    let (_, _, body) = till.registry.content(MERCHANT, &active.digest).await.unwrap();
    assert_eq!((body.policy, body.fallback), (FailurePolicy::Refuse, None));
    let acts: Vec<String> = till
        .registry
        .history(MERCHANT, Slot::Promotion, "30", i64::MAX, 10)
        .await
        .unwrap()
        .into_iter()
        .map(|c| c.act)
        .collect();
    assert_eq!(acts, ["promote", "canary", "canary", "activate"]);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_canary_that_fails_goes_back_by_itself_and_no_shopper_notices() {
    let till = TestTill::start().await;
    till.push(Slot::Promotion, "30", "percent-off", off(10_000), FailurePolicy::Refuse).await;
    let push = till.pushed(Slot::Promotion, "30", "hostile", json!("loop"));
    let made = till.take(Push { stage: canary(PPM), ..push }).await;
    assert!(made.trial.is_some());
    let other = till.another_host();
    let mut returned = vec![];
    let mut sessions = 0;
    while returned.is_empty() {
        let session = begin(&till).await;
        assert_eq!(taken(&session), Some(250), "the active one answers: {:?}", session.fault);
        let quote = session.quote.expect("a quote");
        let told = quote.trace.iter().any(|t| t.reasons.iter().any(|r| r.code == "fell-back"));
        assert!(told, "the decision is in the trace");
        returned = till.registry.tend(till.clock_us()).await.unwrap();
        sessions += 1;
        assert!(sessions <= 30, "ten calls are enough to tell");
    }
    assert_eq!(returned, ["promotion/30: 10 of 10 calls failed; at most 2.00 % may"]);
    let now = till.registry.activations(MERCHANT, ("", ""), 50).await.unwrap();
    let place = now.iter().find(|a| a.name == "30").expect("the binding");
    assert_eq!((place.trial.as_ref(), &place.digest), (None, &made.digest));
    let history = till.registry.history(MERCHANT, Slot::Promotion, "30", i64::MAX, 1).await.unwrap();
    assert_eq!((history[0].act.as_str(), history[0].created_by.as_str()), ("return", "till"));
    until("the other host sees it", async || {
        let pins = other.pins(MERCHANT, "chk_any").await.unwrap();
        pins["promotion"]["30"] == json!(made.digest)
    })
    .await;
    let events = till.told("binding.return").await;
    assert_eq!(events.len(), 1);
    assert_eq!(events[0]["why"], json!("10 of 10 calls failed; at most 2.00 % may"));
}

#[tokio::test(flavor = "multi_thread")]
async fn activate_canary_and_rollback_under_load_fail_no_checkout_and_change_none_under_way() {
    let till = Arc::new(TestTill::start().await);
    till.stock_is(100_000).await;
    till.push(Slot::Promotion, "30", "percent-off", off(10_000), FailurePolicy::Refuse).await;
    let shoppers = 4;
    for n in 0..shoppers {
        till.shop.put_customer(MERCHANT, &customer(&format!("SHOPPER-{n}")), 0).await.unwrap();
    }
    let (stop, bought) = (Arc::new(AtomicUsize::new(0)), Arc::new(AtomicUsize::new(0)));
    let mut tasks = tokio::task::JoinSet::new();
    for n in 0..shoppers {
        let (till, stop, bought) = (till.clone(), stop.clone(), bought.clone());
        tasks.spawn(async move {
            let me = format!("SHOPPER-{n}");
            while stop.load(Ordering::Relaxed) == 0 {
                let view = till.session(&me, 1).await;
                let (pins, before) = (till.instance(&view.id).await.pins, taken(&view).expect("a discount"));
                assert_eq!(view.fault, None);
                let view =
                    till.submit_as(&me, &view.id, json!({ "shipping_method": "standard" })).await.unwrap();
                assert_eq!(view.phase, Phase::Confirmed, "{:?} {:?}", view.problem, view.fault);
                let instance = till.instance(&view.id).await;
                assert_eq!(instance.pins, pins, "it keeps what it started with");
                assert_eq!(taken(&view), Some(before));
                bought.fetch_add(1, Ordering::Relaxed);
            }
        });
    }
    let after = |n: usize| {
        let bought = bought.clone();
        async move { until("checkouts go on", async || bought.load(Ordering::Relaxed) >= n).await }
    };
    after(4).await;
    till.push(Slot::Promotion, "30", "percent-off", off(20_000), FailurePolicy::Refuse).await;
    // Whatever starts now has it.
    assert_eq!(taken(&till.session(CUSTOMER, 1).await), Some(500));
    after(12).await;
    let push = till.pushed(Slot::Promotion, "30", "percent-off", off(30_000));
    till.take(Push { stage: canary(500_000), ..push }).await;
    after(20).await;
    till.registry.step_canary(MERCHANT, turn(Slot::Promotion, "30"), PPM, 0).await.unwrap();
    assert_eq!(taken(&till.shop.initiate(MERCHANT, CUSTOMER, None).await.unwrap()), Some(750));
    after(28).await;
    till.registry.roll_back(MERCHANT, turn(Slot::Promotion, "30"), None, 0).await.unwrap();
    assert_eq!(taken(&till.shop.initiate(MERCHANT, CUSTOMER, None).await.unwrap()), Some(500));
    till.registry.roll_back(MERCHANT, turn(Slot::Promotion, "30"), None, 0).await.unwrap();
    assert_eq!(taken(&till.shop.initiate(MERCHANT, CUSTOMER, None).await.unwrap()), Some(250));
    after(36).await;
    stop.store(1, Ordering::Relaxed);
    while let Some(done) = tasks.join_next().await {
        done.expect("no checkout fails");
    }
    till.money_matches().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_shadow_changes_nothing_and_tells_what_it_would_have_changed() {
    let till = TestTill::start().await;
    till.push(Slot::Promotion, "30", "percent-off", off(10_000), FailurePolicy::Refuse).await;
    let push = till.pushed(Slot::Promotion, "30", "percent-off", off(20_000));
    till.take(Push { stage: Stage::Shadow, ..push }).await;
    let session = till.session(CUSTOMER, 1).await;
    assert_eq!(taken(&session), Some(250));
    let place = (Slot::Promotion, "30");
    until("the comparison", async || {
        till.registry.tend(0).await.unwrap();
        till.registry.trial(MERCHANT, place.0, place.1).await.unwrap().count.compared > 0
    })
    .await;
    let report = till.registry.trial(MERCHANT, place.0, place.1).await.unwrap();
    assert_eq!((report.count.compared, report.count.differing, report.count.failed), (1, 1, 0));
    let rows = till.registry.differences(MERCHANT, place.0, place.1, None, 10).await.unwrap().1;
    assert_eq!(rows.len(), 1);
    let difference = &rows[0].body;
    let delta = difference["after"].as_i64().unwrap() - difference["before"].as_i64().unwrap();
    assert_eq!(report.count.deltas, [("USD".to_owned(), delta)].into());
    assert!(delta < 0, "{difference}");
    let rules = difference["rules"].as_array().unwrap();
    let discount = rules.iter().find(|r| r["kind"] == "discount").expect("the discount differs");
    assert_eq!(
        (&discount["rule"], &discount["before"], &discount["after"]),
        (&json!("percent-off"), &json!(-250), &json!(-500))
    );
    assert!(difference["reasons_after"].to_string().contains("20000 ppm"), "{difference}");
    // The same component as a shadow differs in nothing.
    let push = till.pushed(Slot::Promotion, "30", "percent-off", off(10_000));
    till.take(Push { stage: Stage::Shadow, ..push }).await;
    till.edit(&session.id, json!({ "notes": "again" })).await;
    until("the second comparison", async || {
        till.registry.tend(0).await.unwrap();
        till.registry.trial(MERCHANT, place.0, place.1).await.unwrap().count.compared > 0
    })
    .await;
    let report = till.registry.trial(MERCHANT, place.0, place.1).await.unwrap();
    assert_eq!((report.count.compared, report.count.differing), (1, 0));
    assert!(report.count.deltas.is_empty());
    // One that cannot answer is told as such, and the shopper sees nothing of it.
    let push = till.pushed(Slot::Promotion, "30", "hostile", json!("loop"));
    till.take(Push { stage: Stage::Shadow, ..push }).await;
    let view = till.edit(&session.id, json!({ "notes": "and again" })).await;
    assert_eq!((view.fault.as_ref(), taken(&view)), (None, Some(250)));
    until("the failure", async || {
        let rows = till.registry.differences(MERCHANT, place.0, place.1, None, 10).await.unwrap().1;
        rows.iter().any(|row| row.body["failure"].to_string().contains("fuel"))
    })
    .await;
    let push = till.pushed(Slot::PaymentGateway, "default", "sim-gateway", demo_config("sim-gateway"));
    let refused = till.registry.push(MERCHANT, Push { stage: Stage::Shadow, ..push }, 0).await.unwrap_err();
    assert!(refused.to_string().contains("what makes up a quote"), "{refused}");
}

#[tokio::test(flavor = "multi_thread")]
async fn every_slot_can_fall_back_or_be_left_out_where_the_merchant_says_so() {
    let till = TestTill::start().await;
    let good = till.registry.activations(MERCHANT, ("", ""), 50).await.unwrap();
    let digest = |slot: Slot| good.iter().find(|a| a.slot == slot.as_str()).expect("bound").digest.clone();
    let quoted = till.worked_example().await;
    let before = quoted.quote.unwrap().totals.unwrap();
    // Over the same cart.
    let again = async || {
        let session = till.shop.initiate(MERCHANT, CUSTOMER, None).await.unwrap();
        till.edit(&session.id, worked_inputs()).await
    };
    let push = till.pushed(Slot::Pricing, "default", "hostile", json!("panic"));
    let push = Push { policy: Some(FailurePolicy::Fallback), fallback: Some(digest(Slot::Pricing)), ..push };
    till.take(push).await;
    let view = again().await;
    assert_eq!(view.quote.as_ref().unwrap().totals, Some(before));
    let told = |view: &SessionView| serde_json::to_string(&view.quote.as_ref().unwrap().trace).unwrap();
    assert!(told(&view).contains("the tier table is empty"), "{}", told(&view));
    // Without a price list the catalog's price counts, and a warning is shown.
    till.push(Slot::Pricing, "default", "hostile", json!("panic"), FailurePolicy::Omit).await;
    let view = again().await;
    let warned = view.quote.as_ref().unwrap().messages.iter().any(|m| m.code == "component-omitted");
    assert!(warned, "{:?}", view.quote.unwrap().messages);
    for (policy, fallback, named) in [
        (FailurePolicy::Fallback, None, "needs the digest"),
        (FailurePolicy::Fallback, Some("0".repeat(64)), "there is no binding"),
        (FailurePolicy::Fallback, Some(digest(Slot::Tax)), "there is no binding"),
        (FailurePolicy::Refuse, Some(digest(Slot::Pricing)), "only"),
    ] {
        let push = till.pushed(Slot::Pricing, "default", "price-list", demo_config("price-list"));
        let push = Push { policy: Some(policy), fallback, ..push };
        let refused = till.registry.push(MERCHANT, push, 0).await.unwrap_err();
        assert!(refused.to_string().contains(named), "{named}: {refused}");
    }
    let push = till.pushed(Slot::PaymentGateway, "default", "sim-gateway", demo_config("sim-gateway"));
    let push = Push { policy: Some(FailurePolicy::Omit), ..push };
    let refused = till.registry.push(MERCHANT, push, 0).await.unwrap_err();
    assert!(refused.to_string().contains("never guessed"), "{refused}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_revoked_component_stops_at_once_and_what_a_shopper_saw_is_not_charged_at_another_price() {
    let till = TestTill::start().await;
    let kept = till.push(Slot::Promotion, "30", "percent-off", off(10_000), FailurePolicy::Refuse).await;
    // The same component under another configuration is another binding, and goes with it.
    let shared = till.push(Slot::Promotion, "40", "percent-off", off(5_000), FailurePolicy::Refuse).await;
    assert_eq!(kept.component, shared.component);
    let seen = till.session(CUSTOMER, 1).await;
    let seen = till.edit(&seen.id, json!({ "shipping_method": "standard" })).await;
    let before = seen.quote.as_ref().unwrap().totals.unwrap().total;
    assert_eq!(taken(&seen), Some(250));
    let reason = till.registry.revoke(MERCHANT, &kept.component, "ana", " ", 0).await.unwrap_err();
    assert!(reason.to_string().contains("a reason is needed"), "{reason}");
    let done = till.registry.revoke(MERCHANT, &kept.component, "ana", "it leaks", 1).await.unwrap();
    assert_eq!(done.changed.iter().map(|row| row.act.as_str()).collect::<Vec<_>>(), ["retire", "retire"]);
    assert!(matches!(till.registry.bound(MERCHANT, &kept.digest).await, Err(Error::Revoked { .. })));

    // Submitted without a price to compare with: the shopper sees the new one first all the same.
    let view = till.submit(&seen.id, json!({})).await;
    expect_phase(&till, &view, Phase::Editable).await;
    assert_eq!(view.problem.as_ref().expect("a reason")["code"], "quote-changed");
    assert_eq!(taken(&view), None);
    assert!(view.quote.as_ref().unwrap().totals.unwrap().total > before);
    assert_eq!(till.simulator.charges().await, Vec::<String>::new());
    let view = till.submit(&seen.id, json!({ "notes": "as it is now" })).await;
    expect_phase(&till, &view, Phase::Confirmed).await;

    // Nor does anything fall back on it.
    let push = till.pushed(Slot::Promotion, "50", "hostile", json!("loop"));
    let push = Push { policy: Some(FailurePolicy::Fallback), fallback: Some(kept.digest.clone()), ..push };
    let leaning = till.take(push).await;
    assert!(till.registry.bound(MERCHANT, &leaning.digest).await.unwrap().fallback.is_none());
    till.registry.retire(MERCHANT, turn(Slot::Promotion, "50"), 2).await.unwrap();

    let again = till.pushed(Slot::Promotion, "30", "percent-off", off(10_000));
    let refused = till.registry.push(MERCHANT, again, 2).await.unwrap_err();
    assert!(matches!(refused, Error::Revoked { .. }), "{refused}");
    let back = till.registry.roll_back(MERCHANT, turn(Slot::Promotion, "30"), None, 3).await.unwrap_err();
    assert!(back.to_string().contains("revoked"), "{back}");
    let life = till.registry.component(MERCHANT, &kept.component, 0, 10).await.unwrap();
    let states: Vec<&str> = life[0].1.iter().map(|step| step.state.as_str()).collect();
    assert_eq!(states, ["uploaded", "validated", "compiled", "ready", "revoked"]);
    assert_eq!(life[0].1[4].why, "it leaks");
    till.balanced().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_revoked_gateway_with_money_in_the_air_waits_for_one_that_adopts_it() {
    let till = TestTill::start().await;
    let quoted = till.worked_example().await;
    till.simulator.behave("capture", "timeout_after").await;
    let view = till.submit(&quoted.id, json!({})).await;
    assert_eq!(view.phase, Phase::PaymentUnknown);
    let gateways = till.registry.activations(MERCHANT, ("", ""), 50).await.unwrap();
    let gateway = gateways.iter().find(|a| a.slot == "payment-gateway").expect("bound");
    let done = till.registry.revoke(MERCHANT, &gateway.component, "ana", "it leaks", 1).await.unwrap();
    assert_eq!(done.left, ["payment-gateway/default"], "there is nothing to go back to");
    // Nobody may be asked now: it stays unknown, and asks on.
    for _ in 0..4 {
        let instance = till.still(CUSTOMER, &quoted.id).await;
        till.clock_to(instance.control.due_us).await;
    }
    let view = till.shop.session(MERCHANT, CUSTOMER, &quoted.id).await.unwrap();
    assert_eq!(view.phase, Phase::PaymentUnknown, "{:?}", view.fault);
    assert_eq!(till.simulator.count("capture").await, 1);
    // A build of the same gateway that differs in its bytes goes on with its references.
    let mut config = demo_config("sim-gateway");
    config["base_url"] = json!(till.simulator.url);
    let push = till.pushed(Slot::PaymentGateway, "default", "sim-gateway", config);
    let Source::Bytes(wasm) = push.source else { panic!("bytes") };
    let push = Push { source: Source::Bytes(with_a_section(wasm)), ..push };
    let fixed = till.take(push).await;
    assert_ne!(fixed.component, gateway.component);
    let view = till.heal(&quoted.id).await;
    expect_phase(&till, &view, Phase::Confirmed).await;
    assert_eq!(till.simulator.count("capture").await, 1, "asked, not sent again");
    till.balanced().await;
}

/// The same component with a custom section at its end: other bytes, same behaviour.
fn with_a_section(mut wasm: Vec<u8>) -> Vec<u8> {
    wasm.extend([0, 5, 4, b't', b'e', b's', b't']);
    wasm
}

#[tokio::test(flavor = "multi_thread")]
async fn a_rotated_secret_reaches_running_checkouts_and_is_in_no_digest_journal_or_record() {
    let till = TestTill::start().await;
    let quoted = till.worked_example().await;
    let pins = till.registry.pins(MERCHANT, "chk_1").await.unwrap();
    // The capture's answer is lost, and then the key is another one: what became of it cannot be asked…
    till.simulator.behave("capture", "timeout_after").await;
    let view = till.submit(&quoted.id, json!({})).await;
    assert_eq!(view.phase, Phase::PaymentUnknown, "{:?} {:?}", view.problem, view.fault);
    till.registry.put_secret(MERCHANT, "api_key", b"sk_wrong", "ana", 1).await.unwrap();
    assert_eq!(till.registry.pins(MERCHANT, "chk_1").await.unwrap(), pins);
    for _ in 0..3 {
        let instance = till.still(CUSTOMER, &quoted.id).await;
        till.clock_to(instance.control.due_us).await;
    }
    let view = till.shop.session(MERCHANT, CUSTOMER, &quoted.id).await.unwrap();
    assert_eq!(view.phase, Phase::PaymentUnknown, "{:?} {:?}", view.problem, view.fault);
    // …and with the right one the payment under way goes through.
    let set = till.registry.put_secret(MERCHANT, "api_key", SECRETS[0].1.as_bytes(), "ana", 2).await.unwrap();
    assert_eq!(set.version, 3);
    let view = till.heal(&quoted.id).await;
    expect_phase(&till, &view, Phase::Confirmed).await;
    assert_eq!(till.simulator.count("capture").await, 1);
    let instance = till.instance(&quoted.id).await;
    let told = format!("{} {}", instance.context, till.history(&quoted.id).await);
    for secret in ["sk_sim", "sk_wrong", "whsec"] {
        assert!(!told.contains(secret), "{secret} is told");
    }
    // A binding has what it names, not all there is.
    let mut config = demo_config("sim-gateway");
    config["base_url"] = json!(till.simulator.url);
    let push = till.pushed(Slot::PaymentGateway, "default", "sim-gateway", config);
    till.take(Push { secrets: vec![], ..push }).await;
    let next = till.session(CUSTOMER, 1).await;
    let view = till.submit(&next.id, json!({ "shipping_method": "standard" })).await;
    let view = if view.phase == Phase::Editable { view } else { till.heal(&next.id).await };
    expect_phase(&till, &view, Phase::Editable).await;
    let push = till.pushed(Slot::PaymentGateway, "default", "sim-gateway", demo_config("sim-gateway"));
    let push = Push { secrets: vec!["nobody".to_owned()], ..push };
    let refused = till.registry.push(MERCHANT, push, 0).await.unwrap_err();
    assert!(refused.to_string().contains("there is no secret `nobody`"), "{refused}");
    till.balanced().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_component_in_use_is_not_deleted_and_an_unused_one_is_collected() {
    let till = TestTill::start().await;
    let used = till.push(Slot::Promotion, "30", "percent-off", off(10_000), FailurePolicy::Refuse).await;
    let refused = till.registry.delete(MERCHANT, &used.component, "ana", 0).await.unwrap_err();
    assert!(refused.to_string().contains("revision 1 of promotion/30 uses it"), "{refused}");
    // Kept only: nothing uses it.
    let push = till.pushed(Slot::Promotion, "50", "percent-off", off(1));
    let Source::Bytes(wasm) = push.source else { panic!("bytes") };
    let push = Push { source: Source::Bytes(with_a_section(wasm.clone())), stage: Stage::Ready, ..push };
    let Ok(Pushed::Ready { component, .. }) = till.registry.push(MERCHANT, push, till.clock_us()).await
    else {
        panic!("it is kept")
    };
    assert_eq!(till.registry.collect(till.clock_us()).await.unwrap(), Collected::default(), "it is young");
    let later = till.clock_us() + till_registry::UNUSED_KEPT_US + 1;
    assert_eq!(till.registry.collect(later).await.unwrap().components, 1);
    let life = till.registry.component(MERCHANT, &component, 0, 10).await.unwrap();
    assert_eq!(life[0].0.state, "collected");
    assert!(matches!(till.registry.binary(MERCHANT, &component).await, Err(Error::NotFound { .. })));
    assert_eq!(till.registry.component(MERCHANT, &used.component, 0, 10).await.unwrap()[0].0.state, "ready");
    // Pushed again it lives again; by its digest it can be used elsewhere.
    let push = till.pushed(Slot::Promotion, "50", "percent-off", off(1));
    till.take(Push { source: Source::Bytes(with_a_section(wasm)), ..push }).await;
    let push = till.pushed(Slot::Promotion, "60", "percent-off", off(2));
    till.take(Push { source: Source::Digest(component.clone()), ..push }).await;
    let refused = till.registry.delete(MERCHANT, &component, "ana", 0).await.unwrap_err();
    assert!(matches!(refused, Error::NotNow { .. }), "{refused}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_table_of_a_million_rows_is_kept_once_and_looked_up_by_a_pinned_digest() {
    let till = TestTill::start().await;
    let mut csv = String::from("code,percent\n");
    for n in 0..1_000_000 {
        csv.push_str(&format!("CODE-{n:07},{}\n", n % 50));
    }
    let table = read_table(TableFormat::Csv, csv.as_bytes()).unwrap();
    assert_eq!(table.len(), 1_000_000);
    let kept = till.registry.put_table(MERCHANT, table, "ana", 1).await.unwrap();
    assert_eq!(kept.rows, 1_000_000);
    let other = till.another_host();
    let loaded = other.table(MERCHANT, &kept.digest).await.unwrap();
    assert_eq!(loaded.get("CODE-0123456"), Some("6"));
    assert_eq!(loaded.get("CODE-9999999"), None);
    let again = read_table(TableFormat::Csv, csv.as_bytes()).unwrap();
    let again = till.registry.put_table(MERCHANT, again, "ben", 2).await.unwrap();
    assert_eq!(again, kept, "the same rows are the same table");
    assert!(matches!(other.table("somebody-else", &kept.digest).await, Err(Error::NotFound { .. })));
    csv.push_str("CODE-X,1\n");
    let refused = read_table(TableFormat::Csv, csv.as_bytes()).unwrap_err();
    assert!(refused.to_string().contains("1000001 rows; at most 1000000"), "{refused}");
    let push = till.pushed(Slot::Pricing, "default", "price-list", demo_config("price-list"));
    let push = Push { tables: [("prices".to_owned(), "0".repeat(64))].into(), ..push };
    let refused = till.registry.push(MERCHANT, push, 0).await.unwrap_err();
    assert!(refused.to_string().contains("upload it first"), "{refused}");
}

fn small_table(rate: &str) -> Table {
    read_table(TableFormat::Json, json!({ "94105": rate }).to_string().as_bytes()).expect("a table")
}

#[tokio::test(flavor = "multi_thread")]
async fn a_table_in_use_is_not_deleted_and_an_unused_one_is_collected() {
    let till = TestTill::start().await;
    let now = till.clock_us();
    let put = async |rate: &str, at_us: i64| {
        till.registry.put_table(MERCHANT, small_table(rate), "ana", at_us).await.unwrap().digest
    };
    let with = |table: &str, n: i64| {
        let push = till.pushed(Slot::Promotion, "30", "percent-off", off(n.try_into().unwrap()));
        Push { tables: [("rates".to_owned(), table.to_owned())].into(), ..push }
    };
    let delete = async |table: &str| till.registry.delete_table(MERCHANT, table, "ana", now).await;
    let listed = async || -> Vec<String> {
        let all = till.registry.tables(MERCHANT, (i64::MAX, ""), 50).await.unwrap();
        all.into_iter().map(|table| table.digest).collect()
    };
    // By what is active, by what can be gone back to, by a trial, by a checkout under way.
    let (active, tried, idle) = (put("1", now).await, put("2", now).await, put("3", now).await);
    till.take(with(&active, 10_000)).await;
    let refused = delete(&active).await.unwrap_err();
    assert!(refused.to_string().contains("in use: revision 1 of promotion/30"), "{refused}");
    // It does not fall back on the active one, which is then used by nobody but the history.
    let policy = Some(FailurePolicy::Refuse);
    till.take(Push { stage: canary(PPM), policy, ..with(&tried, 20_000) }).await;
    let session = till.session(CUSTOMER, 1).await;
    assert_eq!(taken(&session), Some(500));
    let refused = delete(&tried).await.unwrap_err();
    assert!(refused.to_string().contains("in use: revision 2 of promotion/30"), "{refused}");
    for n in 0..till_registry::KEPT_REVISIONS {
        till.take(till.pushed(Slot::Promotion, "30", "percent-off", off(30_000 + u32::try_from(n).unwrap())))
            .await;
    }
    let refused = delete(&tried).await.unwrap_err();
    assert!(refused.to_string().contains("1 checkouts under way have it"), "{refused}");
    assert!(matches!(delete(&"0".repeat(64)).await, Err(Error::NotFound { .. })));
    // Nothing uses these: by hand at once, by itself after some weeks.
    delete(&active).await.unwrap();
    let old = now + till_registry::UNUSED_KEPT_US;
    assert_eq!(till.registry.collect(old).await.unwrap().tables, 0, "it is young");
    let again = put("2", old).await;
    assert_eq!(again, tried);
    assert_eq!(till.registry.collect(old + 1).await.unwrap().tables, 1);
    assert_eq!(listed().await, [tried], "the pinned one stays");
    let events = till.told("table.collected").await;
    let mut told: Vec<_> =
        events.iter().map(|event| (event["table"].clone(), event["who"].clone())).collect();
    told.sort_by_key(|(_, who)| who.to_string());
    assert_eq!(told, [(json!(active), json!("ana")), (json!(idle), json!("till"))]);
    for part in [&active, &idle] {
        assert_eq!(till.store.read().await.unwrap().lookup_part(MERCHANT, part, 0).await.unwrap(), None);
    }
    // What is gone is not used again without being uploaded again, then it is.
    let refused = till.registry.roll_back(MERCHANT, turn(Slot::Promotion, "30"), Some(1), now).await;
    let refused = refused.unwrap_err();
    assert!(refused.to_string().contains(&format!("its table {active} is not there")), "{refused}");
    assert_eq!(put("1", now).await, active);
    till.registry.roll_back(MERCHANT, turn(Slot::Promotion, "30"), Some(1), now).await.unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn what_an_upload_left_behind_is_swept_away_and_one_that_goes_on_is_not() {
    let till = TestTill::start().await;
    let now = till.clock_us();
    let table = small_table("7");
    let digest = table.digest().to_string();
    // A host died in the middle of it.
    let (id, part) = (digest.clone(), b"half".to_vec());
    let put = till.store.transact(move |tx| {
        let (id, part) = (id.clone(), part.clone());
        Box::pin(async move { tx.put_lookup_part(MERCHANT, &id, (0, &part), now).await })
    });
    put.await.unwrap();
    let part = async || till.store.read().await.unwrap().lookup_part(MERCHANT, &digest, 0).await.unwrap();
    assert_eq!(
        till.registry.collect(now + till_registry::UPLOAD_KEPT_US).await.unwrap(),
        Collected::default()
    );
    assert!(part().await.is_some());
    let later = now + till_registry::UPLOAD_KEPT_US + 1;
    assert_eq!(till.registry.collect(later).await.unwrap().uploads, 1);
    assert_eq!(part().await, None);
    // Many put and many delete the same rows at once: at the end it is there whole, or not at all.
    let till = Arc::new(till);
    for round in 0..20 {
        let mut tasks = tokio::task::JoinSet::new();
        for n in 0..4 {
            let (till, table, digest) = (till.clone(), table.clone(), digest.clone());
            tasks.spawn(async move {
                if n % 2 == 0 {
                    till.registry.put_table(MERCHANT, table, "ana", later).await.unwrap();
                } else {
                    match till.registry.delete_table(MERCHANT, &digest, "ben", later).await {
                        Ok(()) | Err(Error::NotFound { .. }) => {}
                        Err(other) => panic!("{other}"),
                    }
                }
            });
        }
        while let Some(done) = tasks.join_next().await {
            done.unwrap();
        }
        let row = till.store.read().await.unwrap().lookup(MERCHANT, &digest).await.unwrap();
        if row.is_some() {
            let read = till.another_host().table(MERCHANT, &digest).await.unwrap();
            assert_eq!(read.get("94105"), Some("7"), "round {round}");
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_in_use_and_the_life_of_a_component_are_read_part_by_part() {
    let till = TestTill::start().await;
    till.registry.retire(MERCHANT, turn(Slot::Tax, "default"), 0).await.unwrap();
    let mut places = vec![];
    let mut at = (String::new(), String::new());
    loop {
        let part = till.registry.activations(MERCHANT, (&at.0, &at.1), 2).await.unwrap();
        let Some(last) = part.last() else { break };
        at = (last.slot.clone(), last.name.clone());
        places.extend(part.iter().map(|a| format!("{}/{}", a.slot, a.name)));
    }
    assert_eq!(
        places,
        ["carrier/default", "payment-gateway/default", "pricing/default", "promotion/10", "shipping/default"]
    );
    let all = till.registry.activations(MERCHANT, ("", ""), 50).await.unwrap();
    let mut life = vec![];
    while let part = till
        .registry
        .component(MERCHANT, &all[0].component, life.len().try_into().unwrap(), 3)
        .await
        .unwrap()
        .remove(0)
        .1
        && !part.is_empty()
    {
        assert!(part.len() <= 3);
        life.extend(part.into_iter().map(|step| step.state));
    }
    assert_eq!(life, ["uploaded", "validated", "compiled", "ready"]);
}

#[tokio::test(flavor = "multi_thread")]
async fn differences_are_kept_for_a_time_and_read_part_by_part() {
    let till = TestTill::start().await;
    till.push(Slot::Promotion, "30", "percent-off", off(10_000), FailurePolicy::Refuse).await;
    let push = till.pushed(Slot::Promotion, "30", "percent-off", off(20_000));
    let shadow = till.take(Push { stage: Stage::Shadow, ..push }).await;
    let key = TrialPlace { slot: "promotion".to_owned(), name: "30".to_owned(), revision: shadow.revision };
    let now = till.clock_us();
    for n in 0..5_u8 {
        // All at one time.
        let row = Difference { uid: Uuid::from_bytes([n; 16]), at_us: now, body: json!({ "n": n }) };
        till.registry.count_comparison(MERCHANT, &key, ("USD", 1), Some(row)).await.unwrap();
    }
    let mut read = vec![];
    let mut after = None;
    loop {
        let part = till.registry.differences(MERCHANT, Slot::Promotion, "30", after, 2).await.unwrap();
        let Some(last) = part.1.last() else { break };
        after = Some(DifferencePlace { revision: part.0, at_us: last.at_us, uid: last.uid });
        read.extend(part.1.iter().map(|row| row.body["n"].clone()));
        // Another trial begins while this one is read.
        let push = till.pushed(Slot::Promotion, "30", "percent-off", off(30_000));
        till.take(Push { stage: Stage::Shadow, ..push }).await;
    }
    assert_eq!(json!(read), json!([4, 3, 2, 1, 0]));
    let kept = till_registry::DIFFERENCES_KEPT_US;
    assert_eq!(till.registry.collect(now + kept).await.unwrap(), Collected::default());
    assert_eq!(till.registry.collect(now + kept + 1).await.unwrap().differences, 5);
    // The newest stay, where there are too many.
    let most = usize::try_from(till_registry::DIFFERENCES_KEPT).unwrap();
    let put = till.store.transact(move |tx| {
        let key = key.clone();
        Box::pin(async move {
            for n in 0..most + 3 {
                let row = Difference { uid: Uuid::from_u128(n as u128), at_us: now, body: json!({ "n": n }) };
                tx.put_difference(MERCHANT, &key, &row).await?;
            }
            Ok(())
        })
    });
    put.await.unwrap();
    assert_eq!(till.registry.collect(now).await.unwrap().differences, 3);
    let from = DifferencePlace { revision: shadow.revision, at_us: now, uid: Uuid::from_u128(4) };
    let oldest = till.registry.differences(MERCHANT, Slot::Promotion, "30", Some(from), 9).await.unwrap().1;
    assert_eq!(oldest.len(), 1, "{oldest:?}");
    assert_eq!(oldest[0].body, json!({ "n": 3 }));
}

#[tokio::test(flavor = "multi_thread")]
async fn records_have_no_personal_data_and_a_backtest_over_them_finds_the_money() {
    let till = TestTill::start().await;
    for _ in 0..3 {
        let quoted = till.worked_example().await;
        let view = till.submit(&quoted.id, json!({})).await;
        expect_phase(&till, &view, Phase::Confirmed).await;
        till.points_again().await;
    }
    let (records, next) = till.shop.recorded(MERCHANT, Uuid::max(), 100).await.unwrap();
    assert_eq!((records.len(), next), (3, None));
    let text = serde_json::to_string(&records).unwrap();
    let buyer = customer(CUSTOMER);
    let home = &buyer.addresses[0].address;
    for personal in [CUSTOMER, &buyer.email, &home.name, &home.street[0], "PM-001"] {
        assert!(
            personal.is_empty() || !text.contains(&format!("\"{personal}\"")),
            "{personal} is in the records"
        );
    }
    let mut others = std::collections::HashMap::new();
    for (_, _, digest) in till_commerce::trial::pinned(&records[0].pins) {
        others.insert(digest.clone(), till.registry.bound(MERCHANT, &digest).await.unwrap());
    }
    let run = async |slot, name: &str, guest: &str, config: Value| {
        let push = till.pushed(slot, name, guest, config);
        // Kept under a name of its own, so that nothing of the shop changes.
        let made = till.take(Push { stage: Stage::Shadow, ..push }).await;
        let candidate = till.registry.bound(MERCHANT, &made.trial.unwrap().digest).await.unwrap();
        let test =
            Backtest { sandbox: till.registry.sandbox().clone(), slot, candidate, others: others.clone() };
        let done = Arc::new(AtomicUsize::new(0));
        let findings = Arc::new(test).run(records.clone(), done.clone()).await.unwrap();
        assert_eq!(done.load(Ordering::Relaxed), 3);
        findings
    };
    let same = run(Slot::Promotion, "10", "promotions", demo_config("promotions")).await;
    assert_eq!((same.checkouts, same.differing, same.failed), (3, 0, 0), "{:?}", same.examples.first());
    let other = run(Slot::Promotion, "30", "percent-off", off(100_000)).await;
    assert_eq!((other.differing, other.failed), (3, 0));
    let money = &other.money["USD"];
    assert_eq!((money.before, money.cheaper, money.dearer), (3 * 47_117, 3, 0));
    assert!(money.after < money.before);
    let rule = other.rules.iter().find(|r| r.rule == "percent-off").expect("its rule");
    assert_eq!(rule.checkouts, 3);
    assert!(rule.delta < 0);
    let tax = run(Slot::Tax, "default", "tax-table", demo_config("tax-table")).await;
    assert_eq!(tax.differing, 0, "{:?}", tax.examples.first());
    let broken = run(Slot::Promotion, "30", "hostile", json!("loop")).await;
    assert_eq!((broken.failed, broken.differing), (3, 3));
    assert!(broken.failures.keys().any(|why| why.contains("fuel")), "{:?}", broken.failures);
}

#[tokio::test(flavor = "multi_thread")]
async fn what_a_component_was_asked_is_told_with_the_same_bytes_each_time() {
    let till = TestTill::start().await;
    let view = till.worked_example().await;
    let first = till.shop.questions(MERCHANT, &view.id, Slot::Promotion, "10").await.unwrap();
    assert_eq!(first.len(), 1);
    let again = till.shop.questions(MERCHANT, &view.id, Slot::Promotion, "10").await.unwrap();
    assert_eq!(serde_json::to_string(&first).unwrap(), serde_json::to_string(&again).unwrap());
    assert!(first[0].answer["ok"]["candidates"].to_string().contains("SUMMER2024"), "{}", first[0].answer);
    assert_eq!(till.shop.questions(MERCHANT, &view.id, Slot::Promotion, "99").await.unwrap().len(), 0);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_revoked_gateway_does_not_stop_those_who_have_not_paid() {
    let till = TestTill::start().await;
    let quoted = till.worked_example().await;
    let gateways = till.registry.activations(MERCHANT, ("", ""), 50).await.unwrap();
    let gateway = gateways.iter().find(|a| a.slot == "payment-gateway").expect("bound");
    let mut config = demo_config("sim-gateway");
    config["base_url"] = json!(till.simulator.url);
    let push = till.pushed(Slot::PaymentGateway, "default", "sim-gateway", config.clone());
    let Source::Bytes(wasm) = push.source else { panic!("bytes") };
    let fixed = || Source::Bytes(with_a_section(wasm.clone()));
    till.take(Push {
        source: fixed(),
        ..till.pushed(Slot::PaymentGateway, "default", "sim-gateway", config.clone())
    })
    .await;
    till.registry.revoke(MERCHANT, &gateway.component, "ana", "it leaks", 1).await.unwrap();
    // Nothing was sent yet: what is bound now takes the money, captures it and is asked from then on.
    let view = till.submit(&quoted.id, json!({})).await;
    expect_phase(&till, &view, Phase::Confirmed).await;
    assert_eq!(till.simulator.count("capture").await, 1);
    till.balanced().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn going_back_from_a_revoked_component_skips_what_was_rolled_away_from_and_keeps_the_canary() {
    let till = TestTill::start().await;
    let with = |n: u8| {
        let push = till.pushed(Slot::Promotion, "30", "percent-off", off(u32::from(n) * 10_000));
        let Source::Bytes(mut wasm) = push.source else { panic!("bytes") };
        wasm.extend([0, 5, 4, b't', b'e', b's', n]);
        Push { source: Source::Bytes(wasm), ..push }
    };
    let first = till.take(with(1)).await;
    let second = till.take(with(2)).await;
    till.take(with(3)).await;
    // The third was wrong; the canary beside the second is fine.
    till.registry.roll_back(MERCHANT, turn(Slot::Promotion, "30"), None, 1).await.unwrap();
    let tried = till.take(Push { stage: canary(1), ..with(4) }).await;
    till.registry.revoke(MERCHANT, &second.component, "ana", "it leaks", 2).await.unwrap();
    let now = till.registry.activations(MERCHANT, ("", ""), 50).await.unwrap();
    let place = now.iter().find(|a| a.name == "30").expect("bound");
    assert_eq!(place.digest, first.digest, "not the third");
    assert_eq!(place.trial, tried.trial);
    // Under another slot the same bytes are the same bytes.
    let again = Push { stage: Stage::Ready, ..with(2) };
    assert!(matches!(till.registry.push(MERCHANT, again, 3).await, Err(Error::Revoked { .. })));
}

#[tokio::test(flavor = "multi_thread")]
async fn who_stands_in_for_a_revoked_gateway_does_not_prove_that_a_payment_never_happened() {
    let till = TestTill::start().await;
    let quoted = till.worked_example().await;
    till.simulator.behave("authorize", "timeout_after").await;
    let view = till.submit(&quoted.id, json!({})).await;
    assert_eq!(view.phase, Phase::PaymentUnknown);
    let gateways = till.registry.activations(MERCHANT, ("", ""), 50).await.unwrap();
    let gateway = gateways.iter().find(|a| a.slot == "payment-gateway").expect("bound");
    till.registry.revoke(MERCHANT, &gateway.component, "ana", "it leaks", 1).await.unwrap();
    let at = |url: &str| {
        let mut config = demo_config("sim-gateway");
        config["base_url"] = json!(url);
        let push = till.pushed(Slot::PaymentGateway, "default", "sim-gateway", config);
        let Source::Bytes(wasm) = push.source else { panic!("bytes") };
        Push { source: Source::Bytes(with_a_section(wasm)), origins: vec![url.to_owned()], ..push }
    };
    // It looks at another account of the provider, where nobody knows of this payment, and is sure of that.
    let elsewhere = Simulator::start();
    till.take(at(&elsewhere.url)).await;
    for _ in 0..6 {
        let instance = till.still(CUSTOMER, &quoted.id).await;
        till.clock_to(instance.control.due_us).await;
    }
    let view = till.shop.session(MERCHANT, CUSTOMER, &quoted.id).await.unwrap();
    assert_eq!(elsewhere.charges().await, Vec::<String>::new(), "nobody is charged a second time");
    expect_phase(&till, &view, Phase::PaymentUnknown).await;
    // One that sees the payment is believed.
    till.take(at(&till.simulator.url)).await;
    let view = till.heal(&quoted.id).await;
    expect_phase(&till, &view, Phase::Confirmed).await;
    assert_eq!((till.simulator.count("authorize").await, till.simulator.count("capture").await), (1, 1));
    assert_eq!(elsewhere.charges().await, Vec::<String>::new());
    till.balanced().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_gateway_on_trial_is_judged_by_what_the_host_does_not_believe() {
    let till = TestTill::start().await;
    let attack = json!(format!("one-more {}", till.simulator.url));
    let push = till.pushed(Slot::PaymentGateway, "default", "hostile-gateway", attack);
    let guard = Guard { calls_min: 1, ..Guard::of(Slot::PaymentGateway) };
    let stage = Stage::Canary { share_ppm: PPM, guard };
    let made = till.take(Push { stage, ..push }).await;
    let quoted = till.worked_example().await;
    let view = till.submit(&quoted.id, json!({})).await;
    expect_phase(&till, &view, Phase::PaymentUnknown).await;
    let returned = till.registry.tend(till.clock_us()).await.unwrap();
    assert_eq!(returned, ["payment-gateway/default: 1 of 1 calls failed; at most 2.00 % may"]);
    let pins = till.registry.pins(MERCHANT, "chk_next").await.unwrap();
    assert_eq!(pins["payment-gateway"]["default"], json!(made.digest));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_shadow_tells_of_taxes_that_prices_contain() {
    let till = TestTill::with(&Settings { prices_include_tax: true, ..Settings::default() }).await;
    let mut config = demo_config("tax-table");
    config["rows"][0]["rates"]["standard"] = json!(190_000);
    let push = till.pushed(Slot::Tax, "default", "tax-table", config);
    till.take(Push { stage: Stage::Shadow, ..push }).await;
    till.worked_example().await;
    let rows = async || till.registry.differences(MERCHANT, Slot::Tax, "default", None, 1).await.unwrap().1;
    until("a comparison that differs", async || !rows().await.is_empty()).await;
    let difference = &rows().await[0].body;
    assert_eq!(difference["before"], difference["after"], "nobody pays more: {difference}");
    let rules = difference["rules"].as_array().expect("rules that differ");
    let tax = rules.iter().find(|rule| rule["kind"] == "tax-included").expect("the tax differs");
    assert!(tax["before"].as_i64() < tax["after"].as_i64() && tax["before"].is_i64(), "{difference}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_canary_that_finds_no_place_at_the_host_is_not_judged_by_that() {
    let till = TestTill::start().await;
    let view = till.session(CUSTOMER, 1).await;
    let context = till.instance(&view.id).await.context;
    let inputs = Inputs::deserialize(&context["snapshot"]).expect("inputs");
    let quote = Quote::deserialize(&context["quote"]).expect("a quote");
    let settings = Settings::deserialize(&context["settings"]).expect("settings");
    let push = till.pushed(Slot::Promotion, "30", "hostile", json!("loop"));
    let made = till.take(Push { stage: canary(PPM), ..push }).await;
    let tried = till.registry.bound(MERCHANT, &made.trial.expect("a canary").digest).await.unwrap();
    let tried = [Arc::new(Bound { policy: FailurePolicy::Refuse, fallback: None, ..(*tried).clone() })];
    let asker = Asker {
        sandbox: till.registry.sandbox(),
        registry: Some(&till.registry),
        context: ask::context(MERCHANT, "", &settings, inputs.now_ms),
        background: false,
        tap: None,
    };
    // Calls that nobody waits for to the end fill the queue until one of them has no place in it.
    let mut waiting = Vec::new();
    let fault = loop {
        let mut call = Box::pin(asker.stage(QuoteStage::Promotions, &tried, &inputs, quote.clone()));
        match poll!(&mut call) {
            Poll::Ready(done) => break done.expect_err("there is no place").to_string(),
            Poll::Pending => waiting.push(call),
        }
        assert!(waiting.len() < 100_000, "the queue has an end");
    };
    assert!(fault.contains("the host is busy"), "{fault}");
    drop(waiting);
    till.registry.tend(till.clock_us()).await.unwrap();
    let count = till.registry.trial(MERCHANT, Slot::Promotion, "30").await.unwrap().count;
    assert_eq!((count.calls, count.failed), (0, 0));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_checkout_is_priced_again_by_what_priced_it_not_by_what_it_pins() {
    let till = TestTill::start().await;
    let pinned = till.push(Slot::Promotion, "30", "percent-off", off(10_000), FailurePolicy::Refuse).await;
    let view = till.session(CUSTOMER, 1).await;
    let view = till.edit(&view.id, json!({ "shipping_method": "standard" })).await;
    assert_eq!(taken(&view), Some(250));
    till.registry.revoke(MERCHANT, &pinned.component, "ana", "it leaks", 1).await.unwrap();
    let view = till.edit(&view.id, json!({ "notes": "again" })).await;
    assert_eq!(taken(&view), None, "nothing stands in");
    let push = till.pushed(Slot::Promotion, "30", "percent-off", off(20_000));
    let Source::Bytes(wasm) = push.source else { panic!("bytes") };
    let stands_in = till.take(Push { source: Source::Bytes(with_a_section(wasm)), ..push }).await;
    let asked = async || till.shop.questions(MERCHANT, &view.id, Slot::Promotion, "30").await.unwrap();
    assert_eq!(asked().await.len(), 0, "it had no part in the quote");
    let view = till.edit(&view.id, json!({ "notes": "and again" })).await;
    assert_eq!(taken(&view), Some(500));
    let asked = asked().await;
    assert_eq!((asked.len(), &asked[0].binding), (1, &stands_in.digest));
    let entry = till.instance(&view.id).await.entry("price");
    assert!(entry > 1);
    assert_eq!(
        (&asked[0].context["merchant"], &asked[0].context["entry"]),
        (&json!(MERCHANT), &json!(entry))
    );
    let view = till.submit(&view.id, json!({})).await;
    expect_phase(&till, &view, Phase::Confirmed).await;

    let (records, _) = till.shop.recorded(MERCHANT, Uuid::max(), 100).await.unwrap();
    assert_eq!((records[0].merchant.as_str(), records[0].entry), (MERCHANT, entry + 1));
    let mut others = std::collections::HashMap::new();
    for digest in needed(&records[0].pins, &records[0].quote) {
        // What is revoked is not there, and not needed.
        others.extend(till.registry.bound(MERCHANT, &digest).await.ok().map(|bound| (digest, bound)));
    }
    let push = till.pushed(Slot::Promotion, "10", "promotions", demo_config("promotions"));
    let tried = till.take(Push { stage: Stage::Shadow, ..push }).await;
    let candidate = till.registry.bound(MERCHANT, &tried.trial.unwrap().digest).await.unwrap();
    let run = async |others| {
        let sandbox = till.registry.sandbox().clone();
        let test = Backtest { sandbox, slot: Slot::Promotion, candidate: candidate.clone(), others };
        Arc::new(test).run(records.clone(), Arc::default()).await.unwrap()
    };
    let found = run(others.clone()).await;
    assert_eq!((found.checkouts, found.differing), (1, 0), "{:?}", found.examples.first());
    assert!(found.skipped.is_empty(), "{:?}", found.skipped);
    // Without it the checkout cannot be priced again.
    others.remove(&stands_in.digest);
    let found = run(others).await;
    assert_eq!((found.checkouts, found.differing, found.money.len()), (0, 0, 0));
    let (why, times) = found.skipped.iter().next().expect("it is left out");
    assert!(why.contains(&stands_in.digest[..12]) && *times == 1, "{why}");
}
