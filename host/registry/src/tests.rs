//! Acts of two hosts on one store that meet, on SQLite and, when `TILL_TEST_POSTGRES` names a server, on PostgreSQL.

use std::sync::Arc;

use serde_json::json;
use till_sandbox::{Sandbox, SandboxConfig, Slot};
use till_store::tables::binding::{BindingRow, BodyRow};
use till_store::tables::component::ComponentRow;
use till_store::{Options, Store};
use uuid::Uuid;

use crate::change::Turn;
use crate::component::{Hand, State};
use crate::{Ended, Error, Registry, UNUSED_KEPT_US, Vault};

const MERCHANT: &str = "m";
const WHO: &str = "ana";

/// A store of its own for each test, on each engine there is.
async fn stores() -> Vec<(Arc<Store>, Option<tempfile::TempDir>)> {
    let folder = tempfile::tempdir().expect("a temporary folder");
    let path = folder.path().join("till.db");
    let sqlite = Store::open(&Options::new(path.to_str().expect("UTF-8"))).await.expect("open SQLite");
    let mut all = vec![(Arc::new(sqlite), Some(folder))];
    match std::env::var("TILL_TEST_POSTGRES") {
        Ok(server) => {
            let name = format!("t{}", Uuid::now_v7().simple());
            let admin = Store::open(&Options::new(&server)).await.expect("reach the test server");
            admin.create_database(&name).await.expect("make a database");
            let (base, _) = server.rsplit_once('/').expect("a database in the URL");
            let store = Store::open(&Options::new(&format!("{base}/{name}"))).await.expect("open PostgreSQL");
            all.push((Arc::new(store), None));
        }
        Err(_) => eprintln!("NOT RUN on PostgreSQL: TILL_TEST_POSTGRES is not set"),
    }
    all
}

fn host(store: &Arc<Store>) -> Registry {
    let config = SandboxConfig { pure_threads: 1, ..SandboxConfig::default() };
    let sandbox = Sandbox::new(config).expect("the sandbox can be set up");
    Registry::new(store.clone(), sandbox, Vault::new(&[7; 32]))
}

fn turn() -> Turn {
    Turn { slot: Slot::Promotion, name: "30".to_owned(), who: WHO.to_owned(), why: String::new() }
}

/// A revision of the place that uses this binding.
fn uses(binding: &str) -> BindingRow {
    BindingRow {
        slot: Slot::Promotion.to_string(),
        name: "30".to_owned(),
        revision: 1,
        act: "activate".to_owned(),
        origin: 1,
        digest: binding.to_owned(),
        trial: String::new(),
        why: String::new(),
        created_us: 0,
        created_by: WHO.to_owned(),
    }
}

/// A component that is ready, and a binding of it that nothing uses yet. Gives the binding's digest.
async fn plant(store: &Store, component: &str) -> String {
    let binding = format!("binding of {component}");
    let row = ComponentRow {
        digest: component.to_owned(),
        slot: Slot::Promotion.to_string(),
        state: State::Ready.as_str().to_owned(),
        info: "null".to_owned(),
        created_us: 0,
        created_by: WHO.to_owned(),
    };
    let body = BodyRow {
        digest: binding.clone(),
        slot: Slot::Promotion.to_string(),
        name: "30".to_owned(),
        component: component.to_owned(),
        body: json!({ "component": component, "config": {} }).to_string(),
    };
    let put = store.transact(move |tx| {
        let (row, body) = (row.clone(), body.clone());
        Box::pin(async move {
            tx.put_component(MERCHANT, &row, b"bytes").await?;
            tx.put_body(MERCHANT, &body).await
        })
    });
    put.await.expect("plant a component");
    binding
}

/// Runs something to its end in the middle of a plain function.
fn meanwhile<T>(work: impl Future<Output = T>) -> T {
    tokio::task::block_in_place(|| tokio::runtime::Handle::current().block_on(work))
}

#[tokio::test(flavor = "multi_thread")]
async fn a_binding_does_not_become_active_on_a_component_that_ends_meanwhile() {
    for (store, _folder) in stores().await {
        let (one, other) = (host(&store), host(&store));
        for end in ["revoked", "collected"] {
            let component = format!("component to be {end}");
            let binding = plant(&store, &component).await;
            // After this host has looked, and before it writes.
            let turn = turn();
            let changed = one.change(MERCHANT, &turn, 1, |_| {
                meanwhile(async {
                    match end {
                        "revoked" => other.revoke(MERCHANT, &component, WHO, "it leaks", 1).await.map(|_| ()),
                        _ => other.collect(UNUSED_KEPT_US + 1).await.map(|_| ()),
                    }
                })?;
                Ok(uses(&binding))
            });
            let refused = changed.await.expect_err("its component is gone").to_string();
            assert!(refused.contains(&format!("its component is {end} by now")), "{refused}");
            assert_eq!(one.component(MERCHANT, &component, 0, 50).await.unwrap()[0].0.state, end);
            assert!(one.activations(MERCHANT, ("", ""), 50).await.unwrap().is_empty(), "{end}");
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_component_that_comes_into_use_meanwhile_is_not_collected() {
    for (store, _folder) in stores().await {
        let (one, other) = (host(&store), host(&store));
        let binding = plant(&store, "late").await;
        assert_eq!(one.used(MERCHANT, "late").await.unwrap(), None);
        other.change(MERCHANT, &turn(), 1, |_| Ok(uses(&binding))).await.unwrap();
        // What was seen before the activation does not count any more.
        let hand = Hand { merchant: MERCHANT, who: WHO, why: "", now_us: 2 };
        assert!(!one.walk(Slot::Promotion, "late", State::Collected, hand).await.unwrap());
        assert_eq!(one.component(MERCHANT, "late", 0, 50).await.unwrap()[0].0.state, "ready");
        assert!(matches!(one.delete(MERCHANT, "late", WHO, 3).await, Err(Error::NotNow { .. })));
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn counts_of_a_canary_are_not_lost_when_those_of_another_merchant_cannot_be_added() {
    for (store, _folder) in stores().await {
        let registry = host(&store);
        // Counts are added in no order: one of twenty is the last only now and then.
        let merchants: Vec<String> = (0..20).map(|n| format!("m{n}")).collect();
        for merchant in merchants.iter().map(String::as_str).chain(["broken"]) {
            let owner = merchant.to_owned();
            let trial = json!({ "kind": "canary", "digest": "tried", "sharePpm": 1_000_000 }).to_string();
            let put = store.transact(move |tx| {
                let (owner, row) = (owner.clone(), BindingRow { trial: trial.clone(), ..uses("") });
                Box::pin(async move { tx.put_binding(&owner, &row).await })
            });
            assert!(put.await.unwrap());
        }
        let call = async |merchant: &str, elapsed_us| {
            let ended = Ended { failed: false, elapsed_us };
            registry.count_call(merchant, Slot::Promotion, "30", "tried", ended).await;
        };
        // Nothing can be added to as much as a column holds.
        call("broken", u64::MAX).await;
        assert_eq!(registry.tend(1).await.unwrap(), Vec::<String>::new());
        for merchant in &merchants {
            call(merchant, 1).await;
        }
        call("broken", 1).await;
        registry.tend(2).await.expect_err("one cannot be added");
        for merchant in &merchants {
            let count = registry.trial(merchant, Slot::Promotion, "30").await.unwrap().count;
            assert_eq!((count.calls, count.elapsed_us), (1, 1), "{merchant}");
        }
        // Nor is what could not be added: it is tried again.
        registry.tend(3).await.expect_err("it still cannot be added");
    }
}

#[tokio::test]
async fn what_is_in_use_is_read_again_when_it_changed_and_only_then() {
    let dir = tempfile::tempdir().unwrap();
    let url = dir.path().join("till.db");
    let store = Arc::new(Store::open(&Options::new(url.to_str().unwrap())).await.unwrap());
    let sandbox = Sandbox::new(SandboxConfig { pure_threads: 1, ..SandboxConfig::default() }).unwrap();
    let host = || Registry::new(store.clone(), sandbox.clone(), Vault::new(&[1; 32]));
    let (here, there) = (host(), host());
    let first = here.refresh("m").await.unwrap();
    assert!(Arc::ptr_eq(&first, &here.refresh("m").await.unwrap()), "nothing changed");
    there.put_secret("other", "key", b"x", "ana", 1).await.unwrap();
    assert!(Arc::ptr_eq(&first, &here.refresh("m").await.unwrap()), "nor for this merchant");
    there.put_secret("m", "key", b"x", "ana", 1).await.unwrap();
    let second = here.refresh("m").await.unwrap();
    assert_eq!((first.secrets.len(), second.secrets.len()), (0, 1));
    assert!(Arc::ptr_eq(&second, &here.refresh("m").await.unwrap()));
    there.drop_secret("m", "key").await.unwrap();
    assert_eq!(here.refresh("m").await.unwrap().secrets.len(), 0);
}
