//! Circuit breakers with a provider that fails.

use crate::common::{SANDBOX, call, load};
use crate::gateway::{attempt, binding, payment};
use crate::simulator::Simulator;
use till_sandbox::wit::gateway::{FindRequest, Operation, PaymentStatus};
use till_sandbox::{BreakerRule, BreakerState, Call, Slot};

/// Longer than any test takes.
const RULE: BreakerRule = BreakerRule { threshold: 3, cool_down_ms: 3_600_000 };

fn sim(simulator: &Simulator, later_ms: u64) -> Call {
    let config = format!(r#"{{"base_url":"{}"}}"#, simulator.url);
    let mut call = call(load(Slot::PaymentGateway, "sim-gateway"), &config);
    call.ctx.merchant = "breaker".to_owned();
    call.ctx.now_ms += later_ms;
    Call { binding: binding(&simulator.url), breaker: Some(RULE), ..call }
}

fn state(simulator: &Simulator) -> BreakerState {
    let all = SANDBOX.breakers("breaker");
    all.iter().find(|breaker| breaker.origin == simulator.url).expect("it is watched").state
}

#[tokio::test]
async fn a_provider_that_fails_is_sent_nothing_until_one_request_has_seen_it_well() {
    let simulator = Simulator::start();
    let pay = async |key: &str, token: &str, later_ms: u64| {
        SANDBOX.authorize(sim(&simulator, later_ms), payment(key, token, &[])).await.unwrap()
    };
    for n in 0..RULE.threshold {
        let answer = pay(&format!("k{n}"), "tok_500_before", 0).await;
        assert!(answer.report.sent && !answer.report.circuit_open);
    }
    assert_eq!(state(&simulator), BreakerState::Open);

    let refused = pay("k9", "tok_visa", 0).await;
    assert!(refused.report.circuit_open && !refused.report.sent, "{:?}", refused.report);
    assert!(refused.report.lost().unwrap().contains("has failed too often"), "{:?}", refused.report.lost());
    assert!(simulator.charges().await.is_empty());

    // After the cool-down one goes through, fails, and the breaker is open for as long again.
    assert!(pay("k3", "tok_500_before", 2 * RULE.cool_down_ms).await.report.sent);
    assert_eq!(state(&simulator), BreakerState::Open);
    assert!(pay("k9", "tok_visa", 2 * RULE.cool_down_ms + 1).await.report.circuit_open);

    // What changes nothing may look earlier.
    let request = FindRequest { attempt: attempt("k0", Operation::Authorize, &[]) };
    let found = SANDBOX.find(sim(&simulator, 2 * RULE.cool_down_ms + 2), request).await.unwrap();
    assert!(found.report.complete_response, "{:?}", found.report);
    assert_eq!(state(&simulator), BreakerState::Closed);
    let paid = pay("k9", "tok_visa", 2 * RULE.cool_down_ms + 3).await;
    assert_eq!(paid.value.unwrap().status, PaymentStatus::Succeeded);
    assert!(SANDBOX.breakers("another").is_empty(), "merchants do not see each other's");
}
