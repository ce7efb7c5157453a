//! From an empty folder: `till component new`, `build` and `test` as a newcomer types them, in each language.
//!
//! Tools and compiled dependencies are those that the worked examples have already.

use std::os::unix::fs::symlink;
use std::path::{Path, PathBuf};
use std::process::Command;

use serde_json::{Value, json};
use till_sandbox::wit::promotion::PromotionRequest;
use till_sandbox::wit::types::{CallContext, Cart};
use till_sandbox::{Binding, Call, Failure, Limits, Sandbox, SandboxConfig, Slot};

/// Runs `till component …` in `folder` and gives what it said. Panics where it fails.
fn till(folder: &Path, args: &[&str]) -> String {
    let output = Command::new(till_tests::host::binary())
        .arg("component")
        .args(args)
        .current_dir(folder)
        .env_remove("CARGO_TARGET_DIR")
        .output()
        .expect("till starts");
    let said =
        [output.stdout, output.stderr].map(|text| String::from_utf8_lossy(&text).into_owned()).concat();
    assert!(output.status.success(), "till component {args:?}:\n{said}");
    said
}

/// A new project, with the tools that are there already.
fn new(folder: &Path, language: &str, slot: &str) -> PathBuf {
    let name = format!("my-{slot}");
    till(folder, &["new", &name, "--lang", language, "--slot", slot]);
    let project = folder.join(name);
    let components = Path::new(env!("CARGO_MANIFEST_DIR")).join("../components");
    let (tools, place) = match language {
        "rust" => (till_tests::target().join("projects"), "target"),
        "ts" => (components.join("volume-discount-ts/node_modules"), "node_modules"),
        _ => (components.join("loyal-customer-py/.venv"), ".venv"),
    };
    std::fs::create_dir_all(&tools).expect("the shared folder");
    symlink(tools.canonicalize().expect("a path"), project.join(place)).expect("a link");
    project
}

/// Puts lines before the first one with `mark`, and gives the number of the first line put in.
fn put_before(file: &Path, mark: &str, lines: &str) -> usize {
    let text = std::fs::read_to_string(file).expect("the source");
    let at = text.lines().position(|line| line.contains(mark)).expect("the mark is in the source");
    let mut all: Vec<&str> = text.lines().collect();
    all.insert(at, lines);
    std::fs::write(file, all.join("\n")).expect("write the source");
    at + 1
}

/// One more case: a configuration whose title is `title` fails like this.
fn expect_failure(project: &Path, title: &str, kind: &str, contains: Option<&str>) {
    let mut expected = json!({ "failure": kind });
    if let Some(words) = contains {
        expected["contains"] = json!(words);
    }
    let case = json!({
        "config": { "title": title, "minimum": 10, "amount": 1 },
        "cart": { "lines": [{ "price": 100 }] },
        "expected": expected,
    });
    let path = project.join("fixtures").join(format!("hostile-{title}.json"));
    std::fs::write(path, case.to_string()).expect("write a case");
}

fn passes(project: &Path, cases: usize) {
    let built = till(project, &["build"]);
    assert!(built.contains(" kB"), "{built}");
    let tested = till(project, &["test"]);
    assert!(tested.contains(&format!("{cases} passed, 0 failed")), "{tested}");
}

#[test]
fn in_rust_every_slot_builds_and_passes_and_a_crash_names_its_line() {
    let folder = tempfile::tempdir().expect("a folder");
    // One after the other: they share what is compiled.
    for (slot, cases) in [("pricing", 2), ("tax", 2), ("shipping", 2), ("payment-gateway", 4)] {
        passes(&new(folder.path(), "rust", slot), cases);
    }
    let project = new(folder.path(), "rust", "promotion");
    passes(&project, 3);
    let source = project.join("src/lib.rs");
    let line = put_before(
        &source,
        "if config.amount > config.minimum",
        "if config.title == \"abort\" { std::process::abort(); }",
    );
    till(&project, &["build"]);
    let whole: Value =
        serde_json::from_str(&std::fs::read_to_string(project.join("till.json")).expect("till.json"))
            .expect("JSON");
    let wasm = std::fs::read(project.join(whole["wasm"].as_str().expect("a path"))).expect("the component");
    // It leaves no words behind: only debug information tells where it was.
    let crash = crash(&wasm, true);
    let place = format!("src/lib.rs:{line}");
    assert!(crash.at.as_deref().is_some_and(|at| at.ends_with(&place)), "{crash}");
    assert!(crash.to_string().contains(&place), "{crash}");
    let in_a_host = self::crash(&wasm, false);
    let at = in_a_host.at.as_deref().expect("the name of the function");
    assert!(at.contains("evaluate") && !at.contains("lib.rs"), "{in_a_host}");
}

/// Calls a promotion that aborts.
fn crash(wasm: &[u8], source_lines: bool) -> Failure {
    let config = SandboxConfig { pure_threads: 1, source_lines, ..SandboxConfig::default() };
    let sandbox = Sandbox::new(config).expect("a sandbox");
    let component = sandbox.load(Slot::Promotion, wasm).expect("it loads");
    let ctx = CallContext {
        merchant: "m".into(),
        channel: "web".into(),
        locale: "en".into(),
        currency: "USD".into(),
        exponent: 2,
        now_ms: 0,
        instance: String::new(),
        step: "test".into(),
        entry: 1,
        attempt: 1,
        test_mode: true,
        config: r#"{"title": "abort", "minimum": 2, "amount": 1}"#.into(),
        attributes: vec![],
    };
    let cart = Cart { id: "c".into(), lines: vec![], customer: None, codes: vec![], attributes: vec![] };
    let request = PromotionRequest {
        cart,
        lines: vec![],
        subtotal: 0,
        earlier: vec![],
        shipping: vec![],
        attributes: vec![],
    };
    let call = Call {
        component,
        ctx,
        binding: Binding::empty(),
        limits: Limits::default(),
        background: false,
        breaker: None,
    };
    let runtime = tokio::runtime::Runtime::new().expect("a runtime");
    runtime.block_on(sandbox.promote(call, request)).expect_err("it aborts")
}

#[test]
fn in_typescript_every_pure_slot_builds_and_passes_and_limits_end_what_is_hostile() {
    let folder = tempfile::tempdir().expect("a folder");
    for (slot, cases) in [("pricing", 2), ("tax", 2), ("shipping", 2)] {
        passes(&new(folder.path(), "ts", slot), cases);
    }
    let project = new(folder.path(), "ts", "promotion");
    let line = put_before(
        &project.join("src/component.ts"),
        "if (config.amount > config.minimum)",
        "    if (config.title === \"throw\") throw new Error(\"the tier table is empty\");
    if (config.title === \"loop\") for (;;);
    if (config.title === \"memory\") for (const all: unknown[] = []; ; ) all.push(new Uint8Array(1 << 20));",
    );
    let words = format!("the tier table is empty\n    at evaluate (/src/component.ts:{line}:");
    expect_failure(&project, "throw", "trapped", Some(&words));
    expect_failure(&project, "loop", "out-of-fuel", None);
    expect_failure(&project, "memory", "out-of-memory", None);
    passes(&project, 6);

    // A wrong type ends the build, and not a shopper's checkout.
    put_before(
        &project.join("src/component.ts"),
        "return { candidates: [candidate]",
        "    candidate.cap = \"none\";",
    );
    let output = Command::new(till_tests::host::binary())
        .args(["component", "build"])
        .arg(&project)
        .output()
        .expect("till starts");
    let said =
        String::from_utf8_lossy(&output.stdout).into_owned() + &String::from_utf8_lossy(&output.stderr);
    assert!(
        !output.status.success() && said.contains("TS2322") && said.contains("the build failed"),
        "{said}"
    );
}

#[test]
fn in_python_a_promotion_builds_and_passes_and_limits_end_what_is_hostile() {
    let folder = tempfile::tempdir().expect("a folder");
    let project = new(folder.path(), "python", "promotion");
    let line = put_before(
        &project.join("src/component.py"),
        "if amount > minimum:",
        "        title, everything = config[\"title\"], []
        if title == \"throw\":
            raise ValueError(\"the tier table is empty\")
        while title == \"loop\":
            pass
        while title == \"memory\":
            everything.append(bytearray(1 << 20))
        if title == \"clock\":
            import time

            time.time()",
    );
    let words = format!("ValueError: the tier table is empty\n    at evaluate (component.py:{})", line + 2);
    expect_failure(&project, "throw", "trapped", Some(&words));
    expect_failure(&project, "clock", "trapped", Some("a component has no clock: use ctx.now_ms"));
    expect_failure(&project, "loop", "out-of-fuel", None);
    expect_failure(&project, "memory", "out-of-memory", None);
    passes(&project, 7);
}

/// The cases that come with a template of a slot.
fn builds_and_passes_in_python(slot: &str) {
    let folder = tempfile::tempdir().expect("a folder");
    passes(&new(folder.path(), "python", slot), 2);
}

#[test]
fn in_python_pricing_builds_and_passes() {
    builds_and_passes_in_python("pricing");
}

#[test]
fn in_python_tax_builds_and_passes() {
    builds_and_passes_in_python("tax");
}

#[test]
fn in_python_shipping_builds_and_passes() {
    builds_and_passes_in_python("shipping");
}
