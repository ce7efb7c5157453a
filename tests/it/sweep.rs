//! The sweeps over the shipped workflow: fail each step, repeat each step, lose each answer, fail each
//! compensation. Each must end clean, or parked with a reason, with the provider having exactly what was
//! ordered.

use serde_json::json;
use till_commerce::Phase;
use till_commerce::gift_card::given;
use till_engine::instance::Status;
use till_engine::step::Class;
use till_tests::{CUSTOMER, How, MERCHANT, Ran, TestTill};

/// A submit of the worked example in a shop where this goes wrong. Gives what ran, and how it ended.
async fn run(at: &[(usize, How)], named: &[(&str, &[How])]) -> (TestTill, String, Vec<Ran>) {
    let till = TestTill::start().await;
    let quoted = till.worked_example().await;
    let (_, code) = till.gift_card(CARD).await;
    till.edit(&quoted.id, json!({ "gift_cards": [given(&code)] })).await;
    till.faults.arm(at);
    for (step, how) in named {
        till.faults.plan(step, how);
    }
    till.submit(&quoted.id, json!({})).await;
    till.heal(&quoted.id).await;
    let ran = till.faults.ran();
    (till, quoted.id, ran)
}

/// On the gift card that pays a part, cents.
const CARD: i64 = 10_000;

/// What must hold wherever it ended. A parked session may keep its holds: a person decides.
async fn check(till: &TestTill, id: &str, what: &str) {
    let instance = till.instance(id).await;
    let history = till.history(id).await;
    till.sound(&instance).await;
    if instance.status != Status::Parked {
        till.money_matches().await;
    }
    assert!(
        till.orders(CUSTOMER).await.iter().filter(|o| o.status == "CONFIRMED").count() <= 1,
        "{what}\n{history}"
    );
    match instance.status {
        Status::Parked => {
            assert!(instance.control.attention.is_some(), "{what}: parked without a reason\n{history}")
        }
        Status::Completed | Status::Waiting => {
            till.balanced().await;
            assert_eq!(till.simulator.reserved().await, 0, "{what}: an authorization stands open\n{history}");
            let (on_hand, points) = if instance.state == "confirmed" { (8, 1221) } else { (10, 1250) };
            assert_eq!(till.stock().await, (on_hand, 0), "{what}\n{history}");
            assert_eq!(till.points(CUSTOMER).await, (points, 0), "{what}\n{history}");
            let card = if instance.state == "confirmed" { 0 } else { CARD };
            let cards = till.shop.gift_cards(MERCHANT, "", 2).await.expect("cards");
            assert_eq!((cards[0].balance, cards[0].held), (card, 0), "{what}\n{history}");
            assert!(
                matches!(instance.state.as_str(), "confirmed" | "editable" | "failed"),
                "{what}\n{history}"
            );
        }
        other => panic!("{what}: {other:?}\n{history}"),
    }
}

async fn steps() -> Vec<Ran> {
    let (till, id, ran) = run(&[], &[]).await;
    assert_eq!(till.instance(&id).await.state, "confirmed");
    let names: Vec<&str> = ran.iter().map(|r| r.step.as_str()).collect();
    assert_eq!(names.last(), Some(&"order.confirm"), "{names:?}");
    assert!(names.len() >= 12, "{names:?}");
    ran
}

/// After an operator's retry a parked session must go on as if nothing had been.
async fn retried(till: &TestTill, id: &str, what: &str) {
    let instance = till.instance(id).await;
    if instance.status != Status::Parked {
        return;
    }
    let answer = till
        .runner
        .operate(MERCHANT, instance.uid, "retry", "ops", "the bug is mended")
        .await
        .expect("an answer");
    assert!(
        matches!(answer, till_engine::runner::SignalAnswer::Taken(_)),
        "{what}: {}",
        till.history(id).await
    );
    till.heal(id).await;
    check(till, id, &format!("{what}, then retried")).await;
    let state = till.instance(id).await.state;
    assert_eq!(state, "confirmed", "{what}, then retried\n{}", till.history(id).await);
}

#[tokio::test(flavor = "multi_thread")]
async fn each_step_may_fail() {
    for (number, step) in steps().await.into_iter().enumerate() {
        let what = format!("step {number} ({}) fails", step.step);
        let (till, id, _) = run(&[(number, How::Fails)], &[]).await;
        check(&till, &id, &what).await;
        retried(&till, &id, &what).await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn each_step_may_be_tried_again_later() {
    for (number, step) in steps().await.into_iter().enumerate().filter(|(_, s)| s.class == Class::External) {
        let what = format!("step {number} ({}) is not sent at first", step.step);
        let (till, id, _) = run(&[(number, How::NotSent)], &[]).await;
        check(&till, &id, &what).await;
        assert_eq!(till.instance(&id).await.state, "confirmed", "{what}\n{}", till.history(&id).await);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn each_step_may_run_twice() {
    for (number, step) in steps().await.into_iter().enumerate() {
        let what = format!("step {number} ({}) runs twice", step.step);
        let (till, id, _) = run(&[(number, How::Repeats)], &[]).await;
        check(&till, &id, &what).await;
        assert_eq!(till.instance(&id).await.state, "confirmed", "{what}\n{}", till.history(&id).await);
        let order = till.orders(CUSTOMER).await.remove(0);
        assert_eq!(till.instance(&id).await.context["order"]["number"], json!(order.number), "{what}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn each_answer_and_each_request_may_be_lost() {
    for (number, step) in steps().await.into_iter().enumerate() {
        for how in [How::AnswerLost, How::RequestLost] {
            if !matches!(step.class, Class::External | Class::Transactional) {
                continue;
            }
            let what = format!("step {number} ({}): {how:?}", step.step);
            let (till, id, _) = run(&[(number, how)], &[]).await;
            check(&till, &id, &what).await;
            retried(&till, &id, &what).await;
            if step.class == Class::External {
                assert_eq!(
                    till.instance(&id).await.state,
                    "confirmed",
                    "{what}\n{}",
                    till.history(&id).await
                );
            }
        }
    }
}

/// The order cannot be confirmed at the very end: everything is undone, the money too.
const LOST: (&str, &[How]) = ("order.confirm", &[How::Refuses("lost")]);

#[tokio::test(flavor = "multi_thread")]
async fn each_compensation_may_fail_or_run_twice() {
    let (till, id, ran) = run(&[], &[LOST]).await;
    check(&till, &id, "lost at the end").await;
    assert_eq!(till.instance(&id).await.state, "editable");
    assert_eq!(till.simulator.taken().await, 0);
    let undone: Vec<(usize, String)> =
        ran.into_iter().enumerate().filter(|(_, r)| r.undoing).map(|(n, r)| (n, r.step)).collect();
    let names: Vec<&str> = undone.iter().map(|(_, name)| name.as_str()).collect();
    assert_eq!(names, ["payment.refund", "payment.void", "order.fail", "checkout.release"], "newest first");

    for (number, step) in &undone {
        for how in [How::Fails, How::NotSent, How::Repeats] {
            let what = format!("undo {step}: {how:?}");
            let (till, id, _) = run(&[(*number, how)], &[LOST]).await;
            check(&till, &id, &what).await;
            assert_eq!(till.instance(&id).await.state, "editable", "{what}\n{}", till.history(&id).await);
            assert_eq!(till.simulator.taken().await, 0, "{what}");
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_compensation_that_never_works_is_parked_and_skipped_by_a_person() {
    for step in ["payment.refund", "payment.void", "order.fail", "checkout.release"] {
        let (till, id, _) = run(&[], &[LOST, (step, &[How::Fails; 12])]).await;
        let instance = till.instance(&id).await;
        assert_eq!(instance.status, Status::Parked, "{step}\n{}", till.history(&id).await);
        let reason = instance.control.attention.expect("a reason");
        assert!(reason.contains(step), "{step}: {reason}");
        till.runner.operate(MERCHANT, instance.uid, "retry", "ops", "mended").await.expect("an answer");
        let view = till.heal(&id).await;
        assert_eq!(view.phase, Phase::Editable, "{step}\n{}", till.history(&id).await);
        check(&till, &id, step).await;
    }
}
