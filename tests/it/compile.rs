//! Machine code: made by a child with limits, kept, and made anew when it is damaged.

use std::fmt::Write as _;
use std::os::unix::fs::PermissionsExt as _;
use std::path::Path;
use std::sync::{Arc, Mutex};

use till_sandbox::{COMPILE_CPU_S, CompileFailure, Compiler, LoadError, Sandbox, SandboxConfig, Slot};
use till_tests::{compiler, guest};

fn sandbox(compiler: Compiler) -> Arc<Sandbox> {
    let config = SandboxConfig { pure_threads: 1, compiler, ..SandboxConfig::default() };
    Sandbox::new(config).expect("the sandbox can be set up")
}

/// One function whose values all live to its end: the compiler's time grows with the square of its length.
pub(crate) fn crafted(statements: usize) -> Vec<u8> {
    const VALUES: usize = 500;
    let mut text = String::from("(component (core module (func (param i64) (result i64)\n");
    text.push_str(&"(local i64)".repeat(VALUES));
    for at in 1..=VALUES {
        let _ = writeln!(text, "(local.set {at} (i64.add (local.get 0) (i64.const {at})))");
    }
    for at in 0..statements {
        let of = |factor: usize, plus: usize| (at * factor + plus) % VALUES + 1;
        let (to, a, b, c) = (of(1, 0), of(7, 0), of(13, 1), of(31, 2));
        let _ = writeln!(
            text,
            "(local.set {to} (i64.mul (i64.add (local.get {a}) (local.get {b})) (local.get {c})))"
        );
    }
    text.push_str("(local.get 1)\n");
    for at in 2..=VALUES {
        let _ = writeln!(text, "(i64.xor (local.get {at}))");
    }
    text.push_str("))");
    as_pricing(&text)
}

/// A component that seems to be for pricing until it is compiled or asked. Its text is left open at its end.
pub(crate) fn as_pricing(text: &str) -> Vec<u8> {
    let text =
        format!("{text} (instance $none) (export \"till:checkout/pricing-rules@0.1.0\" (instance $none)))");
    wat::parse_str(&text).expect("it is WASM")
}

fn files(folder: &Path) -> Vec<std::path::PathBuf> {
    std::fs::read_dir(folder).expect("the folder").map(|entry| entry.expect("an entry").path()).collect()
}

#[test]
fn a_component_crafted_to_compile_for_ever_is_refused_and_the_next_one_is_taken() {
    let folder = tempfile::tempdir().expect("a folder");
    let cache = folder.path().join("code");
    let sandbox = sandbox(compiler(&cache, 2));
    let error = sandbox.load(Slot::Pricing, &crafted(20_000)).expect_err("it takes too long");
    let LoadError::CompileLimit(CompileFailure::Time { cpu_s: 2 }) = error else { panic!("{error}") };
    assert!(error.to_string().contains("2 s of CPU time"), "{error}");
    assert_eq!(files(&cache), Vec::<std::path::PathBuf>::new(), "nothing is left behind");
    sandbox.load(Slot::Promotion, &guest("percent-off")).expect("an honest one compiles");
}

#[test]
fn a_merchant_who_pushes_crafted_ones_without_pause_delays_another_by_one_of_them() {
    const HOGS: usize = 4;
    let folder = tempfile::tempdir().expect("a folder");
    let cache = folder.path().join("code");
    let sandbox = sandbox(compiler(&cache, 2));
    let done = Mutex::new(Vec::new());
    std::thread::scope(|scope| {
        for hog in 0..HOGS {
            let (sandbox, done) = (&sandbox, &done);
            scope.spawn(move || {
                let error = sandbox.load_for("hog", Slot::Pricing, &crafted(20_000 + hog));
                assert!(matches!(error, Err(LoadError::CompileLimit(_))), "{error:?}");
                done.lock().expect("no panic").push("hog");
            });
        }
        let begun = std::time::Instant::now();
        while files(&cache).is_empty() {
            assert!(begun.elapsed() < till_tests::PATIENCE, "the first one is being compiled");
            std::thread::sleep(std::time::Duration::from_millis(5));
        }
        sandbox.load_for("other", Slot::Promotion, &guest("percent-off")).expect("it compiles");
        done.lock().expect("no panic").push("other");
    });
    let done = done.into_inner().expect("no panic");
    assert_eq!(done.len(), HOGS + 1);
    let place = done.iter().position(|merchant| *merchant == "other").expect("it was served");
    assert!(place <= 1, "{done:?}");
}

#[test]
fn what_is_no_wasm_inside_is_told_in_the_compilers_words() {
    let folder = tempfile::tempdir().expect("a folder");
    let sandbox = sandbox(compiler(&folder.path().join("code"), COMPILE_CPU_S));
    let whole = guest("percent-off");
    let error = sandbox.load(Slot::Promotion, &whole[..whole.len() / 2]).expect_err("it is cut off");
    assert!(matches!(error, LoadError::Broken(_)), "{error}");
    assert!(error.to_string().contains("cut off"), "{error}");
    // A function that promises a number and gives none.
    let invalid = as_pricing("(component (core module (func (result i32)))");
    let error = sandbox.load(Slot::Pricing, &invalid).expect_err("it does not validate");
    assert!(matches!(error, LoadError::Compile(_)), "{error}");
    assert!(error.to_string().contains("type mismatch"), "{error}");
}

#[test]
fn machine_code_is_made_once_and_anew_when_it_is_damaged() {
    let folder = tempfile::tempdir().expect("a folder");
    let cache = folder.path().join("code");
    sandbox(compiler(&cache, COMPILE_CPU_S)).load(Slot::Promotion, &guest("percent-off")).expect("it loads");
    let [code] = &files(&cache)[..] else { panic!("one file of machine code: {:?}", files(&cache)) };

    // A compiler that is not there proves that nothing is compiled again.
    let none = || Compiler::Child { command: vec!["/nowhere".into()], cpu_s: 1, cache: cache.clone() };
    sandbox(none()).load(Slot::Promotion, &guest("percent-off")).expect("it is kept");

    let mut bytes = std::fs::read(code).expect("the code");
    let middle = bytes.len() / 2;
    bytes[middle] ^= 1;
    std::fs::write(code, &bytes).expect("write");
    let error = sandbox(none()).load(Slot::Promotion, &guest("percent-off")).expect_err("it is not run");
    assert!(matches!(error, LoadError::Host(_)), "{error}");
    sandbox(compiler(&cache, COMPILE_CPU_S)).load(Slot::Promotion, &guest("percent-off")).expect("made anew");
    sandbox(none()).load(Slot::Promotion, &guest("percent-off")).expect("it is kept again");
}

#[test]
fn a_folder_others_may_write_to_is_not_used() {
    let folder = tempfile::tempdir().expect("a folder");
    let cache = folder.path().join("code");
    std::fs::create_dir(&cache).expect("a folder");
    std::fs::set_permissions(&cache, std::fs::Permissions::from_mode(0o777)).expect("permissions");
    let compiler = compiler(&cache, COMPILE_CPU_S);
    let config = SandboxConfig { pure_threads: 1, compiler, ..SandboxConfig::default() };
    let Err(error) = Sandbox::new(config) else { panic!("anybody could put code there") };
    assert!(error.to_string().contains("chmod 700"), "{error}");
}
