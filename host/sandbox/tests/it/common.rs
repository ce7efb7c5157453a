//! Guests, contexts and carts for the tests.

use std::collections::HashMap;
use std::path::PathBuf;
use std::sync::{Arc, LazyLock};
use till_sandbox::wit::types::{Address, CallContext, Cart, Line, LineKind};
use till_sandbox::{Binding, Call, Component, Limits, Sandbox, SandboxConfig, Slot, Table};

pub const NOW_MS: u64 = 1_717_200_000_000;

/// One for all tests, as in a host.
pub static SANDBOX: LazyLock<Arc<Sandbox>> = LazyLock::new(|| {
    let config = SandboxConfig {
        pure_threads: 2,
        gateway_calls_max: 16,
        gateway_calls_per_merchant_max: 16,
        ..SandboxConfig::default()
    };
    Sandbox::new(config).expect("the sandbox can be set up")
});

/// The folder of build results that this test runs from.
pub fn target() -> PathBuf {
    let exe = std::env::current_exe().expect("a test knows where it is");
    exe.ancestors().nth(3).expect("tests are in target/<profile>/deps").to_owned()
}

pub fn guest(name: &str) -> Vec<u8> {
    let path = target().join("guests").join(name).with_extension("wasm");
    std::fs::read(&path)
        .unwrap_or_else(|error| panic!("no guest at {}: {error}; run `cargo xtask guests`", path.display()))
}

pub fn load(slot: Slot, name: &str) -> Arc<Component> {
    SANDBOX.load(slot, &guest(name)).unwrap_or_else(|error| panic!("{name} is refused: {error}"))
}

pub fn context(config: &str) -> CallContext {
    CallContext {
        merchant: "m1".into(),
        channel: "web".into(),
        locale: "en-US".into(),
        currency: "USD".into(),
        exponent: 2,
        now_ms: NOW_MS,
        instance: "wfi_1".into(),
        step: "pricing.quote".into(),
        entry: 1,
        attempt: 1,
        test_mode: true,
        config: config.into(),
        attributes: vec![],
    }
}

pub fn call(component: Arc<Component>, config: &str) -> Call {
    Call {
        component,
        ctx: context(config),
        binding: Binding::empty(),
        limits: Limits::default(),
        background: false,
        breaker: None,
    }
}

pub fn tables(table: &str, rows: &[(&str, &str)]) -> Arc<Binding> {
    let rows = Table::new(rows.iter().map(|(k, v)| ((*k).into(), (*v).into()))).unwrap();
    Arc::new(Binding { tables: HashMap::from([(table.into(), Arc::new(rows))]), ..Binding::default() })
}

pub fn cart(lines: usize) -> Cart {
    let line = |n: usize| Line {
        id: format!("L{n}"),
        product: format!("prod-{n}"),
        variant: None,
        sku: format!("SKU-{n}"),
        title: "Wireless headphones".into(),
        quantity: 2,
        kind: LineKind::Physical,
        parent: None,
        catalog_price: 24_999,
        compare_at: None,
        price_includes_tax: false,
        tax_class: "standard".into(),
        weight_g: 400,
        dimensions: None,
        categories: vec!["audio".into()],
        tags: vec![],
        warehouse: None,
        group: None,
        attributes: vec![],
    };
    Cart {
        id: "cart_1".into(),
        lines: (1..=lines).map(line).collect(),
        customer: None,
        codes: vec![],
        attributes: vec![],
    }
}

pub fn san_francisco() -> Address {
    Address {
        name: "A Buyer".into(),
        company: String::new(),
        street: vec!["1 Market St".into()],
        city: "San Francisco".into(),
        region: "CA".into(),
        postal_code: "94105".into(),
        country: "US".into(),
        phone: String::new(),
        attributes: vec![],
    }
}
