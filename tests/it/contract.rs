//! The contract with merchants: its document, and that components built against its earlier versions keep working.

use std::fmt::Write as _;
use std::path::{Path, PathBuf};

use serde_json::{Value, json};
use till_commerce::Phase;
use till_registry::{Push, Source};
use till_sandbox::{Sandbox, SandboxConfig, Slot};
use till_tests::{TestTill, demo_config, expect_phase};
use wit_parser::{Docs, Function, InterfaceId, Resolve, Type, TypeDef, TypeDefKind, WorldItem};

fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("..")
}

const FROZEN: [(Slot, &str, &str); 5] = [
    (Slot::Pricing, "default", "price-list"),
    (Slot::Promotion, "10", "promotions"),
    (Slot::Tax, "default", "tax-table"),
    (Slot::Shipping, "default", "zone-shipping"),
    (Slot::PaymentGateway, "default", "sim-gateway"),
];

/// Folders of frozen components, by the version they were built from.
fn versions() -> Vec<(String, PathBuf)> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("frozen");
    let entries = std::fs::read_dir(folder).expect("the folder").map(|entry| entry.expect("an entry").path());
    let mut all: Vec<_> = entries
        .filter(|path| path.is_dir())
        .map(|path| (path.file_name().expect("a name").to_str().expect("UTF-8").to_owned(), path))
        .collect();
    all.sort();
    assert!(!all.is_empty(), "there are frozen components");
    all
}

fn current() -> Resolve {
    let mut resolve = Resolve::default();
    resolve.push_dir(root().join("wit")).expect("wit/ is sound");
    resolve
}

fn version_of(resolve: &Resolve) -> String {
    let package = resolve.packages.iter().find(|(_, p)| p.name.name == "checkout").expect("the package").1;
    package.name.version.as_ref().expect("a version").to_string()
}

#[test]
fn components_built_against_earlier_versions_load_and_say_which_they_were_built_from() {
    let sandbox = Sandbox::new(SandboxConfig { pure_threads: 1, ..SandboxConfig::default() }).unwrap();
    let now = version_of(&current());
    for (version, folder) in versions() {
        assert_ne!(version, now, "frozen are the versions before");
        for (slot, _, name) in FROZEN.into_iter().chain([(Slot::Promotion, "", "percent-off")]) {
            let wasm = std::fs::read(folder.join(name).with_extension("wasm")).unwrap();
            let component = sandbox.load(slot, &wasm).unwrap_or_else(|e| panic!("{version} {name}: {e}"));
            assert_eq!(component.contract_version, version, "{name}");
        }
    }
}

#[test]
fn components_built_against_earlier_versions_pass_the_cases_of_their_sources() {
    for (version, folder) in versions() {
        for (slot, _, name) in FROZEN.into_iter().chain([(Slot::Promotion, "", "percent-off")]) {
            let fixtures = root().join("components").join(name).join("fixtures");
            let ran = std::process::Command::new(till_tests::host::binary())
                .args(["component", "test", "--slot", slot.as_str(), "--fixtures"])
                .args([&fixtures, &folder.join(name).with_extension("wasm")])
                .output()
                .unwrap();
            let out = String::from_utf8_lossy(&ran.stdout);
            assert!(ran.status.success(), "{version} {name}: {out}");
            assert!(out.contains("ok"), "{version} {name}: {out}");
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn components_built_against_earlier_versions_price_and_pay_the_worked_example() {
    for (version, folder) in versions() {
        let till = TestTill::start().await;
        for (slot, place, name) in FROZEN {
            let mut config = demo_config(name);
            if slot == Slot::PaymentGateway {
                config["base_url"] = json!(till.simulator.url);
            }
            // A setting that came after them.
            if let Some(zone) = config.pointer_mut("/zones/0").and_then(Value::as_object_mut) {
                zone.remove("currency");
            }
            let wasm = std::fs::read(folder.join(name).with_extension("wasm")).unwrap();
            let push = Push { source: Source::Bytes(wasm), ..till.pushed(slot, place, name, config) };
            let made = till.take(push).await;
            assert_eq!(made.info["contract"], json!(version));
        }
        let quoted = till.worked_example().await;
        let view = till.submit(&quoted.id, json!({})).await;
        expect_phase(&till, &view, Phase::Confirmed).await;
        assert_eq!(view.order.unwrap().receipt.totals.total, 47_117);
        till.balanced().await;
    }
}

#[test]
fn document_contract_is_the_one_of_wit() {
    let path = root().join("docs/contract.md");
    let text = document(&current());
    if std::env::var_os("TILL_REWRITE_DOCS").is_some() {
        std::fs::write(&path, &text).unwrap();
    }
    let kept = std::fs::read_to_string(&path).unwrap_or_default();
    assert!(kept == text, "{} is old; run `cargo xtask docs`", path.display());
}

/// What stands before the generated part: how the contract grows.
const POLICY: &str = include_str!("../../docs/contract-policy.md");

/// The contract as people read it.
fn document(resolve: &Resolve) -> String {
    let package = resolve.packages.iter().find(|(_, p)| p.name.name == "checkout").expect("the package").1;
    let mut out = format!(
        "<!-- Made from wit/ and docs/contract-policy.md by `cargo xtask docs`. Do not edit. -->\n\n# The contract, `{}`\n\n",
        package.name
    );
    paragraph(&mut out, &package.docs);
    out.push_str(POLICY);
    out.push_str(
        "\n## Worlds\n\nA component implements one of these. `imports` is what the host gives it.\n",
    );
    for (name, id) in &package.worlds {
        let world = &resolve.worlds[*id];
        let _ = writeln!(out, "\n### World `{name}`\n");
        paragraph(&mut out, &world.docs);
        let names = |items: &mut dyn Iterator<Item = &WorldItem>| {
            let mut names: Vec<String> = items
                .filter_map(|item| match item {
                    WorldItem::Interface { id, .. } => Some(format!("`{}`", name_of(resolve, *id))),
                    _ => None,
                })
                .collect();
            names.sort();
            names.join(", ")
        };
        let _ = writeln!(out, "- imports {}", names(&mut world.imports.values()));
        let _ = writeln!(out, "- exports {}", names(&mut world.exports.values()));
    }
    for (name, id) in &package.interfaces {
        let interface = &resolve.interfaces[*id];
        let _ = writeln!(out, "\n## Interface `{name}`\n");
        paragraph(&mut out, &interface.docs);
        for function in interface.functions.values() {
            function_text(resolve, &mut out, function);
        }
        for (name, id) in &interface.types {
            type_text(resolve, &mut out, name, &resolve.types[*id]);
        }
    }
    out
}

fn name_of(resolve: &Resolve, id: InterfaceId) -> String {
    let interface = &resolve.interfaces[id];
    let own = interface.name.clone().unwrap_or_default();
    let package = interface.package.map(|id| &resolve.packages[id].name);
    match package {
        Some(package) if package.namespace != "till" => {
            format!("{}:{}/{own}", package.namespace, package.name)
        }
        _ => own,
    }
}

fn paragraph(out: &mut String, docs: &Docs) {
    if let Some(text) = &docs.contents {
        let _ = writeln!(out, "{}\n", text.trim());
    }
}

/// Documentation in one line, for a table.
fn line(docs: &Docs) -> String {
    let text = docs.contents.as_deref().unwrap_or_default();
    text.split_whitespace().collect::<Vec<_>>().join(" ").replace('|', "\\|")
}

fn function_text(resolve: &Resolve, out: &mut String, function: &Function) {
    let params: Vec<String> =
        function.params.iter().map(|p| format!("{}: {}", p.name, of(resolve, &p.ty))).collect();
    let result = function.result.as_ref().map(|ty| format!(" -> {}", of(resolve, ty))).unwrap_or_default();
    let _ = writeln!(
        out,
        "### `{}`\n\n```wit\n{}: func({}){result}\n```\n",
        function.name,
        function.name,
        params.join(", ")
    );
    paragraph(out, &function.docs);
}

fn type_text(resolve: &Resolve, out: &mut String, name: &str, ty: &TypeDef) {
    let table = |out: &mut String, rows: Vec<(String, String, String)>| {
        out.push_str("| name | type | |\n|---|---|---|\n");
        for (name, ty, docs) in rows {
            let _ = writeln!(out, "| `{name}` | {ty} | {docs} |");
        }
        out.push('\n');
    };
    let typed = |ty: &Type| format!("`{}`", of(resolve, ty));
    let rows = match &ty.kind {
        TypeDefKind::Record(record) => {
            record.fields.iter().map(|f| (f.name.clone(), typed(&f.ty), line(&f.docs))).collect()
        }
        TypeDefKind::Variant(variant) => variant
            .cases
            .iter()
            .map(|c| (c.name.clone(), c.ty.as_ref().map(typed).unwrap_or_default(), line(&c.docs)))
            .collect(),
        TypeDefKind::Enum(cases) => {
            cases.cases.iter().map(|c| (c.name.clone(), String::new(), line(&c.docs))).collect()
        }
        // A name taken over from another interface is told there.
        TypeDefKind::Type(Type::Id(id)) if resolve.types[*id].name.as_deref() == Some(name) => return,
        _ => vec![],
    };
    let _ = writeln!(out, "### {} `{name}`\n", ty.kind.as_str());
    paragraph(out, &ty.docs);
    if rows.is_empty() {
        let _ = writeln!(out, "`{}`\n", kind(resolve, &ty.kind));
    } else {
        table(out, rows);
    }
}

/// A type as WIT writes it.
fn of(resolve: &Resolve, ty: &Type) -> String {
    match ty {
        Type::Bool => "bool".to_owned(),
        Type::U8 => "u8".to_owned(),
        Type::U16 => "u16".to_owned(),
        Type::U32 => "u32".to_owned(),
        Type::U64 => "u64".to_owned(),
        Type::S8 => "s8".to_owned(),
        Type::S16 => "s16".to_owned(),
        Type::S32 => "s32".to_owned(),
        Type::S64 => "s64".to_owned(),
        Type::Char => "char".to_owned(),
        Type::String => "string".to_owned(),
        Type::F32 | Type::F64 | Type::ErrorContext => panic!("the contract has no {ty:?}"),
        Type::Id(id) => {
            let def = &resolve.types[*id];
            def.name.clone().unwrap_or_else(|| kind(resolve, &def.kind))
        }
    }
}

fn kind(resolve: &Resolve, kind: &TypeDefKind) -> String {
    let all = |types: &[Type]| types.iter().map(|ty| of(resolve, ty)).collect::<Vec<_>>().join(", ");
    match kind {
        TypeDefKind::Option(ty) => format!("option<{}>", of(resolve, ty)),
        TypeDefKind::List(ty) => format!("list<{}>", of(resolve, ty)),
        TypeDefKind::Tuple(tuple) => format!("tuple<{}>", all(&tuple.types)),
        TypeDefKind::Result(result) => {
            let side = |ty: &Option<Type>| ty.as_ref().map_or_else(|| "_".to_owned(), |ty| of(resolve, ty));
            format!("result<{}, {}>", side(&result.ok), side(&result.err))
        }
        TypeDefKind::Type(ty) => of(resolve, ty),
        other => panic!("the contract has no {}", other.as_str()),
    }
}
