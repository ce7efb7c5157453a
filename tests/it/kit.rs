//! `till component test`, `run` and `check` as integrators use them: the real binary, files in a folder, no
//! server.

use serde_json::{Value, json};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};
use till_tests::{guest, host::binary, target};

/// What a command said and how it ended.
struct Said {
    code: i32,
    out: String,
    err: String,
}

fn till(folder: &Path, args: &[&str]) -> Said {
    let ran = Command::new(binary()).current_dir(folder).arg("component").args(args).output();
    let ran = ran.expect("the binary runs");
    let text = |bytes: Vec<u8>| String::from_utf8(bytes).expect("UTF-8");
    Said { code: ran.status.code().expect("it ends by itself"), out: text(ran.stdout), err: text(ran.stderr) }
}

fn components() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../components")
}

/// A folder with a component, a project file and one case.
struct Bench(tempfile::TempDir);

impl Bench {
    fn of(component: &str, slot: &str, case: &Value) -> Bench {
        let bench = Bench(tempfile::tempdir().expect("a temporary folder"));
        std::fs::create_dir(bench.path().join("fixtures")).expect("a folder for fixtures");
        std::fs::write(bench.path().join("out.wasm"), guest(component)).expect("write the component");
        let project = json!({ "slot": slot, "wasm": "out.wasm" }).to_string();
        std::fs::write(bench.path().join("till.json"), project).expect("write the project");
        bench.write(&format!("{case:#}"));
        bench
    }

    fn path(&self) -> &Path {
        self.0.path()
    }

    fn case(&self) -> PathBuf {
        self.path().join("fixtures/case.json")
    }

    fn write(&self, text: &str) {
        std::fs::write(self.case(), text).expect("write the case");
    }

    fn test(&self, args: &[&str]) -> Said {
        till(self.path(), &[&["test"], args].concat())
    }
}

fn a_fifth_off(rate: u32) -> Value {
    let candidate = json!({
        "promotion": "percent-off", "automatic": true, "title": "Autumn", "priority": 0, "exclusive": false,
        "base": "original", "target": "order", "value": { "rate": rate }, "uses": 0,
        "reasons": [{ "code": "percent-off", "text": "200000 ppm of everything" }],
    });
    json!({
        "config": { "title": "Autumn", "ppm": 200_000 },
        "cart": { "lines": [{ "sku": "A", "price": 1000, "quantity": 2 }] },
        "expected": { "ok": { "candidates": [candidate] } },
    })
}

#[test]
fn the_cases_of_all_components_pass() {
    let mut tested = 0;
    for entry in std::fs::read_dir(components()).expect("the components") {
        let folder = entry.expect("an entry").path();
        let Ok(project) = std::fs::read(folder.join("till.json")) else { continue };
        let project: Value = serde_json::from_slice(&project).expect("a project file is JSON");
        let name = folder.file_name().expect("a name").to_string_lossy().into_owned();
        let wasm = [
            target().join("guests").join(&name).with_extension("wasm"),
            folder.join(project["wasm"].as_str().expect("a path")),
        ];
        let Some(wasm) = wasm.iter().find(|wasm| wasm.exists()) else {
            // Cargo builds those that are Rust; the others need tools that are not everywhere.
            assert!(!folder.join("Cargo.toml").exists(), "{name} is not built; run `cargo xtask guests`");
            eprintln!("SKIPPED: {name} is not built");
            continue;
        };
        let slot = project["slot"].as_str().expect("a slot");
        let (wasm, json) = (wasm.to_str().expect("UTF-8"), "--json");
        let said = till(&folder, &["test", wasm, "--slot", slot, "--fixtures", "fixtures", json]);
        assert_eq!(said.code, 0, "{name}: {}{}", said.out, said.err);
        let report: Value = serde_json::from_str(&said.out).expect("JSON");
        assert_eq!((&report["failed"], &report["updated"]), (&json!(0), &json!(0)), "{name}");
        assert!(report["passed"].as_u64() >= Some(2), "{name} has too few cases: {}", report["passed"]);
        tested += 1;
    }
    assert!(tested >= 7, "only {tested} components have cases");
}

#[test]
fn a_wrong_expectation_shows_its_place_and_both_values_and_update_mends_it() {
    let bench = Bench::of("percent-off", "promotion", &a_fifth_off(150_000));
    let failed = bench.test(&[]);
    assert_eq!(failed.code, 1, "{}", failed.out);
    for part in
        ["FAILED  case", "ok.candidates[0].value.Rate", "expected  150000", "got       200000", "1 failed"]
    {
        assert!(failed.out.contains(part), "`{part}` is not in {}", failed.out);
    }

    let before = std::fs::read_to_string(bench.case()).expect("the case");
    let updated = bench.test(&["--update"]);
    assert_eq!(updated.code, 0, "{}", updated.out);
    assert!(updated.out.contains("1 passed, 0 failed, 1 updated"), "{}", updated.out);
    let after = std::fs::read_to_string(bench.case()).expect("the case");
    let (old, new) = (before.find("\"expected\""), after.find("\"expected\""));
    assert_eq!(before[..old.expect("a field")], after[..new.expect("a field")], "the rest stays as it is");
    assert!(after.contains("200000") && !after.contains("150000"), "{after}");

    // What is right is left alone, to the byte.
    assert_eq!(bench.test(&["--update"]).code, 0);
    assert_eq!(std::fs::read_to_string(bench.case()).expect("the case"), after);
}

#[test]
fn a_case_that_expects_nothing_fails_until_it_is_updated() {
    let mut case = a_fifth_off(200_000);
    case.as_object_mut().expect("an object").remove("expected");
    let bench = Bench::of("percent-off", "promotion", &case);
    let failed = bench.test(&[]);
    assert!(failed.code == 1 && failed.out.contains("--update"), "{}", failed.out);
    assert_eq!(bench.test(&["--update"]).code, 0);
    assert_eq!(bench.test(&[]).code, 0);
}

#[test]
fn a_case_that_cannot_be_read_names_the_field() {
    let mut case = a_fifth_off(200_000);
    case["cart"]["lines"][0]["quantty"] = json!(2);
    let bench = Bench::of("percent-off", "promotion", &case);
    let failed = bench.test(&["--update"]);
    assert_eq!(failed.code, 1);
    assert!(failed.out.contains("`request.cart.lines[0]`: unknown field `quantty`"), "{}", failed.out);
}

#[test]
fn junit_is_well_formed_and_has_the_failure() {
    let mut case = a_fifth_off(150_000);
    case["config"]["title"] = json!("<Autumn & \"co\">");
    let bench = Bench::of("percent-off", "promotion", &case);
    std::fs::write(bench.path().join("fixtures/right.json"), a_fifth_off(200_000).to_string())
        .expect("write");
    assert_eq!(bench.test(&["--junit", "junit.xml"]).code, 1);
    let xml = std::fs::read_to_string(bench.path().join("junit.xml")).expect("the report");
    let document = roxmltree::Document::parse(&xml).unwrap_or_else(|error| panic!("{error}: {xml}"));
    let suite = document.descendants().find(|node| node.has_tag_name("testsuite")).expect("a suite");
    assert_eq!((suite.attribute("tests"), suite.attribute("failures")), (Some("2"), Some("1")));
    let cases: Vec<_> = suite.children().filter(|node| node.has_tag_name("testcase")).collect();
    assert_eq!(cases.iter().filter_map(|case| case.attribute("name")).collect::<Vec<_>>(), ["case", "right"]);
    let failure = cases[0].children().find(|node| node.has_tag_name("failure")).expect("a failure");
    let text = failure.text().expect("its text");
    assert!(text.contains("ok.candidates[0].title") && text.contains("<Autumn & \\\"co\\\">"), "{text}");
    assert!(!cases[1].children().any(|node| node.has_tag_name("failure")));
}

#[test]
fn a_request_that_differs_from_the_recording_is_told_and_not_updated_away() {
    let path = components().join("sim-gateway/fixtures/authorize-succeeds.json");
    let text = std::fs::read_to_string(path).expect("the case");
    let bench = Bench::of("sim-gateway", "payment-gateway", &json!({}));

    bench.write(&text.replace(
        "\"token\": \"tok_visa\", \"capture\": true",
        "\"token\": \"tok_visa\", \"capture\": false",
    ));
    let failed = bench.test(&["--update"]);
    assert_eq!(failed.code, 1, "{}", failed.out);
    for part in ["exchange 1 differs: body.capture", "expected  false", "got       true"] {
        assert!(failed.out.contains(part), "`{part}` is not in {}", failed.out);
    }

    bench.write(&text.replace("kitkitkitkitkitkitkitkitkitkitki", "another"));
    assert!(bench.test(&[]).out.contains("exchange 1 differs: header `idempotency-key`"));

    let mut case: Value = serde_json::from_str(&text).expect("JSON");
    case["http"] = json!([]);
    case["origins"] = json!(["https://sim.example"]);
    bench.write(&case.to_string());
    let beyond = bench.test(&[]);
    assert!(
        beyond.out.contains("a request beyond the 0 recorded: POST https://sim.example"),
        "{}",
        beyond.out
    );

    let mut case: Value = serde_json::from_str(&text).expect("JSON");
    let one = case["http"][0].clone();
    case["http"].as_array_mut().expect("a list").push(one);
    bench.write(&case.to_string());
    assert!(bench.test(&[]).out.contains("exchange 2 was recorded and not asked for"));
}

#[test]
fn limits_and_traps_can_be_expected_and_show_the_words_of_the_component() {
    let case = |attack: &str, failure: &str| {
        json!({
            "config": attack, "cart": { "lines": [{ "price": 1 }] }, "limits": { "fuel": 5_000_000 },
            "expected": { "failure": failure },
        })
    };
    let bench = Bench::of("hostile", "pricing", &case("loop", "out-of-fuel"));
    assert_eq!(bench.test(&[]).code, 0);
    bench.write(&case("panic", "out-of-fuel").to_string());
    let failed = bench.test(&[]);
    assert_eq!(failed.code, 1);
    for part in ["expected  \"out-of-fuel\"", "got       \"trapped\"", "the tier table is empty"] {
        assert!(failed.out.contains(part), "`{part}` is not in {}", failed.out);
    }
}

#[test]
fn check_says_what_a_host_would_say() {
    let bench = Bench::of("sim-gateway", "payment-gateway", &json!({}));
    let check = |wasm: &[u8], args: &[&str]| {
        std::fs::write(bench.path().join("it.wasm"), wasm).expect("write the component");
        till(bench.path(), &[&["check", "it.wasm"], args].concat())
    };
    let tax = guest("tax-table");
    let cut = check(&tax[..tax.len() / 2], &[]);
    assert!(
        cut.code == 1 && cut.out.contains("FAILED   compile") && cut.out.contains("cut off"),
        "{}",
        cut.out
    );
    let core = check(b"\0asm\x01\0\0\0", &[]);
    assert!(core.code == 1 && core.out.contains("core module"), "{}", core.out);
    let gateway = check(&guest("sim-gateway"), &["--slot", "pricing"]);
    assert!(
        gateway.code == 1 && gateway.out.contains("it does not fill pricing but payment-gateway"),
        "{}",
        gateway.out
    );

    let fine = check(&tax, &["--json"]);
    let report: Value = serde_json::from_str(&fine.out).expect("JSON");
    assert_eq!((fine.code, &report["passed"]), (0, &json!(true)), "{}", fine.out);
    assert_eq!(report["conformance"]["slot"], "tax");
    let hostile = check(&guest("hostile"), &["--slot", "promotion"]);
    assert!(hostile.code == 1 && hostile.out.contains("FAILED   not-above-base"), "{}", hostile.out);
}

#[test]
fn a_folder_without_a_project_says_how_to_make_one() {
    let folder = tempfile::tempdir().expect("a temporary folder");
    let said = till(folder.path(), &["test"]);
    assert!(
        said.code != 0 && said.err.contains("till.json") && said.err.contains("component new"),
        "{}",
        said.err
    );
}

/// A process that is ended with the test.
struct Watching(Child);

impl Drop for Watching {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

#[test]
fn run_shows_the_answer_and_watch_runs_again_and_survives_errors() {
    let bench = Bench::of("percent-off", "promotion", &a_fifth_off(200_000));
    let case = bench.case();
    let case = case.to_str().expect("UTF-8");
    let once = till(bench.path(), &["run", "--fixture", case]);
    let answer: Value = serde_json::from_str(&once.out).expect("stdout is the answer alone");
    assert_eq!(answer["ok"]["candidates"][0]["value"], json!({ "Rate": 200_000 }));
    assert!(once.err.contains("fuel"), "{}", once.err);

    let log = bench.path().join("watch.log");
    let out = std::fs::File::create(&log).expect("a log");
    let mut command = Command::new(binary());
    command.current_dir(bench.path()).args(["component", "run", "--fixture", case, "--watch"]);
    let both = out.try_clone().expect("a second handle");
    let _watching =
        Watching(command.stdout(out).stderr(both).stdin(Stdio::null()).spawn().expect("the binary runs"));
    // Read until it is there: the watcher looks every quarter of a second.
    let until = |part: &str| {
        let started = Instant::now();
        loop {
            let text = std::fs::read_to_string(&log).expect("the log");
            if text.contains(part) {
                return;
            }
            assert!(started.elapsed() < Duration::from_secs(60), "no `{part}` in {text}");
            std::thread::sleep(Duration::from_millis(50));
        }
    };
    until("waiting for a change");
    bench.write("{ \"cart\": oops }");
    until("expected value at line 1");
    let mut changed = a_fifth_off(200_000);
    changed["config"]["ppm"] = json!(70_707);
    bench.write(&changed.to_string());
    until("\"Rate\": 70707");
}
