//! Workflow files: the shipped ones are sound, and each static check finds the mistake it is for, on its
//! line.

use std::path::PathBuf;

use till_commerce::checkout::steps::interface;
use till_engine::definition::{Definition, Finding, check};
use till_tests::WORKFLOW;

fn findings(source: &str) -> Vec<Finding> {
    match Definition::parse(source) {
        Ok(definition) => check(&definition, &interface),
        Err(findings) => findings,
    }
}

fn folder() -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("../workflows")
}

/// The shipped workflow with one mistake, and the line on which a text then is.
fn mutant(from: &str, to: &str, place: &str) -> (String, usize) {
    assert_eq!(WORKFLOW.matches(from).count(), 1, "`{from}` is there once");
    let source = WORKFLOW.replacen(from, to, 1);
    let lines: Vec<usize> =
        source.lines().enumerate().filter(|(_, line)| line.contains(place)).map(|(n, _)| n + 1).collect();
    assert_eq!(lines.len(), 1, "`{place}` is on one line: {lines:?}");
    (source, lines[0])
}

fn refuses(code: &str, from: &str, to: &str, place: &str) {
    let (source, line) = mutant(from, to, place);
    let found = findings(&source);
    assert!(
        found.iter().any(|f| f.code == code && f.line == line),
        "no {code} on line {line} for `{from}` -> `{to}`: {found:#?}"
    );
    assert!(found.iter().all(|f| !f.text.is_empty() && f.line > 0));
}

#[test]
fn the_shipped_workflows_are_sound() {
    let mut names = vec![];
    for entry in std::fs::read_dir(folder()).unwrap() {
        let path = entry.unwrap().path();
        if path.extension().is_some_and(|e| e == "yaml") {
            let source = std::fs::read_to_string(&path).unwrap();
            assert_eq!(findings(&source), [], "{}", path.display());
            names.push(path.file_stem().unwrap().to_owned());
        }
    }
    assert!(names.len() >= 3, "{names:?}");
}

#[test]
fn w01_a_target_that_is_no_state() {
    refuses("W01", "refused: editable }", "refused: editabel }", "invoke: cart.snapshot");
    refuses("W01", "initial: snapshot", "initial: snapshut", "initial: snapshut");
    refuses(
        "W01",
        "then: too-often }\n    retry: { max: 5",
        "then: never }\n    retry: { max: 5",
        "then: never",
    );
    refuses("W01", "cancel: abandoned\n", "cancel: abandonned\n", "cancel: abandonned");
    let (source, _) = mutant("refused: editable }", "refused: editabel }", "editabel");
    assert!(findings(&source)[0].text.contains("did you mean `editable`?"));
}

#[test]
fn w02_a_state_that_nothing_leads_to() {
    let island = "  failed:    { type: final, emit: [checkout.failed] }\n  island: { type: final }\n";
    refuses("W02", "  failed:    { type: final, emit: [checkout.failed] }\n", island, "  island:");
}

#[test]
fn w03_a_state_from_which_no_end_can_be_reached() {
    let circle = "  failed:    { type: final, emit: [checkout.failed] }\n  ping: { after: { 5m: pong } }\n  pong: { after: { 5m: ping } }\n";
    let source = WORKFLOW.replace("  failed:    { type: final, emit: [checkout.failed] }\n", circle);
    let source = source.replace("after: { 24h: expired }", "after: { 24h: ping, 48h: expired }");
    let line = source.lines().position(|line| line.starts_with("  ping:")).unwrap() + 1;
    let found = findings(&source);
    assert!(found.iter().any(|f| f.code == "W03" && f.line == line), "{found:#?}");
    assert!(found.iter().any(|f| f.code == "W05" && f.line == line), "{found:#?}");
    // `declined` is an outcome's name in many places before it is a state.
    refuses(
        "W03",
        "declined:  { type: compensate, then: editable }",
        "declined:  { type: compensate }",
        "declined:  {",
    );
}

#[test]
fn w04_a_state_that_waits_for_ever() {
    refuses("W04", "    after: { 24h: expired }\n", "", "  editable:");
}

#[test]
fn w05_a_loop_that_turns_without_a_person() {
    refuses("W05", "outcomes: { ok: tax }", "outcomes: { ok: price }", "invoke: pricing.quote");
}

#[test]
fn w06_outcomes_and_classes_that_are_not_the_steps() {
    refuses(
        "W06",
        "outcomes: { held: place, short: editable }",
        "outcomes: { held: place }",
        "invoke: checkout.hold",
    );
    refuses(
        "W06",
        "outcomes: { ok: points }",
        "outcomes: { ok: points, maybe: points }",
        "invoke: promotion.apply",
    );
    refuses(
        "W06",
        "invoke: tax.quote,       class: pure",
        "invoke: tax.quote,       class: read",
        "invoke: tax.quote",
    );
    refuses("W06", "invoke: tax.quote,       class: pure,", "invoke: tax.quote,", "invoke: tax.quote");
    refuses("W06", "invoke: tax.quote", "invoke: tax.quoth", "invoke: tax.quoth");
    refuses("W06", "compensate: order.fail", "compensate: order.explode", "compensate: order.explode");
    refuses("W06", "compensate: order.fail", "compensate: order.place", "compensate: order.place");
    refuses("W06", ", { target: authorize }]", "]", "placed: [");
    refuses("W06", "expired:   { type: final,", "expired:   { type: final, invoke: tax.quote,", "  expired:");
}

#[test]
fn w07_an_external_step_whose_unknown_is_not_routed() {
    let from =
        "outcomes: { authorized: capture, action_required: remember, declined: declined, unknown: find-out }";
    let to = "outcomes: { authorized: capture, action_required: remember, declined: declined }";
    refuses("W07", from, to, "invoke: payment.authorize");
}

#[test]
fn w08_money_without_a_way_back() {
    refuses("W08", "    compensate: payment.void\n", "", "invoke: payment.authorize");
    refuses(
        "W08",
        "    compensate: payment.void\n",
        "    compensate: none\n    because: no\n",
        "invoke: payment.authorize",
    );
    refuses("W08", "    money: reserve\n", "", "invoke: payment.authorize");
}

#[test]
fn w09_an_unknown_that_is_not_asked_about() {
    let from =
        "outcomes: { authorized: capture, action_required: remember, declined: declined, unknown: find-out }";
    let to =
        "outcomes: { authorized: capture, action_required: remember, declined: declined, unknown: declined }";
    refuses("W09", from, to, "unknown: declined");
    let again = "outcomes: { authorized: capture, action_required: remember, declined: declined, unknown: authorize }";
    refuses("W09", from, again, "unknown: authorize");
}

#[test]
fn w10_a_timer_that_leaves_money_in_the_air() {
    refuses(
        "W10",
        "    money: reserve\n",
        "    money: reserve\n    after: { 5m: declined }\n",
        "after: { 5m: declined }",
    );
}

#[test]
fn w11_a_write_without_an_undo_or_a_reason() {
    refuses("W11", "    compensate: checkout.release\n", "", "invoke: checkout.hold");
    let none = "    compensate: none\n    because: it is the end; a refund is a workflow of its own\n";
    refuses("W11", none, "    compensate: none # unexplained\n", "# unexplained");
}

#[test]
fn w12_a_second_send_under_another_key() {
    let from = "      never_happened: { target: capture, key: same }";
    refuses("W12", from, "      never_happened: capture", "never_happened: capture");
    refuses("W12", "{ target: authorize, key: same }]", "{ target: authorize }]", "never_happened: [");
}

#[test]
fn w13_a_state_that_goes_on_with_nothing() {
    let ask = "    money: ask\n    invoke: payment.find\n    class: external-read\n    ask: { after: [500ms, 2s, 5s, 15s, 1m, 5m, 1h], then: 24h }\n    outcomes:\n      authorized: capture\n";
    refuses("W13", ask, &ask.replace("    ask:", "    continues: true # asks\n    ask:"), "# asks");
    let continues = "    continues: true                           # the same payment, under its key: what undoes it is there\n";
    refuses("W13", continues, &format!("    compensate: payment.refund\n{continues}"), "continues: true");
    refuses("W08", continues, "", "invoke: payment.proceed");
}

#[test]
fn w17_a_guard_that_is_not_there_or_reads_elsewhere() {
    refuses("W17", "{ target: confirm, when: free }", "{ target: confirm, when: fre }", "when: fre }");
    refuses("W17", "equals: [context.free, true]", "equals: [inputs.free, true]", "inputs.free");
    refuses("W01", "equals: [context.free, true]", "done: nowhere", "done: nowhere");
}

#[test]
fn w21_a_component_inside_an_open_transaction() {
    refuses("W21", "outcomes: { held: place,", "outcomes: { held: price,", "held: price");
}

#[test]
fn w22_a_signal_from_nobody_or_a_payment_from_a_shopper() {
    refuses(
        "W22",
        "  cancel: { from: shopper }\n",
        "",
        "on: { edit: snapshot, submit: snapshot, cancel: cancelled }",
    );
    refuses(
        "W22",
        "payment.captured: { from: gateway }",
        "payment.captured: { from: shopper }",
        "payment.captured: { from: shopper }",
    );
}

#[test]
fn w00_a_file_that_does_not_parse_says_where() {
    let one = |source: &str| {
        let found = Definition::parse(source).expect_err("it is refused");
        assert_eq!(found[0].code, "W00", "{found:?}");
        found[0].clone()
    };
    let (source, line) = mutant("initial: snapshot", "initial: snapshot\nid: other", "id: other");
    let twice = one(&source);
    assert_eq!(twice.line, line, "{twice}");
    assert!(twice.text.to_lowercase().contains("duplicate"), "{twice}");

    let (source, line) =
        mutant("after: { 15m: abandoned }", "after: { 15 minutes: abandoned }", "15 minutes");
    let duration = one(&source);
    assert_eq!(duration.line, line, "{duration}");
    assert!(duration.text.contains("`15 minutes`") && duration.text.contains("15m"), "{duration}");

    let (source, line) = mutant("    money: reserve\n", "    moneyy: reserve\n", "moneyy");
    let unknown = one(&source);
    assert!(unknown.line >= line - 1 && unknown.line <= line + 8, "{unknown}");

    let (source, line) = mutant("till: workflow/1", "till: workflow/9", "workflow/9");
    assert_eq!(one(&source).line, line);

    let large = format!("{WORKFLOW}\n# {}\n", "x".repeat(300 * 1024));
    assert!(one(&large).text.contains("bytes"));

    let mut bomb = "a: &a [x, x, x, x, x, x, x, x, x, x]\n".to_owned();
    for (name, before) in
        [("b", "a"), ("c", "b"), ("d", "c"), ("e", "d"), ("f", "e"), ("g", "f"), ("h", "g"), ("i", "h")]
    {
        bomb += &format!("{name}: &{name} [{}]\n", vec![format!("*{before}"); 10].join(", "));
    }
    let started = std::time::Instant::now();
    assert!(one(&format!("{WORKFLOW}\n{bomb}")).line > 0);
    assert!(one(&bomb).line > 0);
    // Where any data may stand.
    let bomb: String = bomb.lines().map(|line| format!("      {line}\n")).collect();
    let from = "    compensate: checkout.release\n";
    assert!(one(&WORKFLOW.replace(from, &format!("{from}    with:\n{bomb}"))).line > 0);
    assert!(started.elapsed() < std::time::Duration::from_secs(5), "an alias bomb does not go off");
    one(&format!("states: {}", "{a: ".repeat(5_000)));
    one("");
}

#[test]
fn document_workflow_schema_is_the_one_of_the_code() {
    let path = folder().join("workflow-1.schema.json");
    let schema = Definition::json_schema();
    let text = serde_json::to_string_pretty(&schema).unwrap() + "\n";
    if std::env::var_os("TILL_REWRITE_DOCS").is_some() {
        std::fs::write(&path, &text).unwrap();
    }
    let kept = std::fs::read_to_string(&path).unwrap_or_default();
    assert!(kept == text, "{} is old; run `cargo xtask docs`", path.display());

    let validator = jsonschema::validator_for(&schema).unwrap();
    let definition = Definition::parse(WORKFLOW).unwrap();
    let written = serde_json::to_value(&definition.file).unwrap();
    assert!(
        validator.is_valid(&written),
        "{:?}",
        validator.iter_errors(&written).next().map(|e| e.to_string())
    );
    let mut broken = written;
    broken["states"]["hold"]["clas"] = serde_json::json!("pure");
    assert!(!validator.is_valid(&broken));
}
