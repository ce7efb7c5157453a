//! What `till component new` writes: the files of each language and slot, with the name put in.
//!
//! The parts that every project of a language has are those of the worked examples in `components/`, so
//! they are built and tested there; the gateway is the whole of `components/sim-gateway`, the carrier of
//! `components/sim-carrier`.

use std::path::PathBuf;

use till_kit::Project;
use till_sandbox::Slot;

use super::Language;

macro_rules! template {
    ($file:literal) => {
        include_str!(concat!("../../../kit/templates/", $file))
    };
}
macro_rules! component {
    ($file:literal) => {
        include_str!(concat!("../../../../components/", $file))
    };
}
macro_rules! wit {
    ($($file:literal),*) => {
        &[$((concat!("wit/", $file), include_str!(concat!("../../../../wit/", $file)))),*]
    };
}

/// Path within the project, and text.
type File = (&'static str, &'static str);

/// The contract, whole, so that a project stands alone.
const WIT: &[File] = wit!(
    "carrier.wit",
    "payment-gateway.wit",
    "pricing.wit",
    "promotion.wit",
    "risk.wit",
    "shipping.wit",
    "tax.wit",
    "types.wit"
);

/// All files of a project but `till.json`. None: the slot cannot be filled in this language.
pub(super) fn files(language: Language, slot: Slot, name: &str) -> Option<Vec<(&'static str, String)>> {
    let mut files: Vec<File> = WIT.to_vec();
    files.extend(match language {
        Language::Rust => rust(slot),
        Language::Ts => typescript(slot)?,
        Language::Python => python(slot)?,
    });
    files.extend(fixtures(slot));
    let readme = template!("README.md").replace("{{tools}}", language.tools());
    let readme = readme.replace("{{source}}", language.source()).replace("{{push}}", push(slot));
    let mut files: Vec<(&'static str, String)> =
        files.into_iter().map(|(path, text)| (path, text.to_owned())).collect();
    files.push(("README.md", readme));
    let title = title(name);
    for (path, text) in &mut files {
        if !path.starts_with("wit/") {
            *text = text
                .replace("{{name}}", name)
                .replace("{{title}}", &title)
                .replace("Gateway simulator", &title) // The names of the components that the templates are.
                .replace("Carrier simulator", &title)
                .replace("{{slot}}", slot.as_str())
                .replace("{{wasm}}", &wasm(language, name).to_string_lossy());
        }
    }
    Some(files)
}

/// The project file.
pub(super) fn project(language: Language, slot: Slot, name: &str) -> Project {
    let build: &[&str] = match language {
        Language::Rust => &["cargo", "build", "--release", "--target", super::RUST_TARGET],
        Language::Ts => &["node", "build.mjs"],
        Language::Python => &["python3", "build.py"],
    };
    Project {
        slot,
        wasm: wasm(language, name),
        fixtures: "fixtures".into(),
        build: build.iter().map(|&word| word.to_owned()).collect(),
        config: Some("config.json".into()),
    }
}

fn wasm(language: Language, name: &str) -> PathBuf {
    match language {
        Language::Rust => {
            format!("target/{}/release/{}.wasm", super::RUST_TARGET, name.replace('-', "_")).into()
        }
        Language::Ts | Language::Python => format!("build/{name}.wasm").into(),
    }
}

/// `spring-sale` as people write it: `Spring sale`.
fn title(name: &str) -> String {
    let words = name.replace('-', " ");
    let mut letters = words.chars();
    letters.next().map_or_else(String::new, |first| first.to_uppercase().chain(letters).collect())
}

/// The options of `push` that a slot wants.
fn push(slot: Slot) -> &'static str {
    match slot {
        Slot::Promotion => "--name 30 --config-file config.json",
        Slot::PaymentGateway => {
            "--name credit_card --config-file config.json --origin https://api.provider.example --secret api_key --secret webhook"
        }
        Slot::Carrier => {
            "--config-file config.json --origin https://api.carrier.example --secret api_key --secret webhook"
        }
        Slot::Pricing | Slot::Tax | Slot::Shipping | Slot::Risk => "--config-file config.json",
    }
}

fn rust(slot: Slot) -> Vec<File> {
    let mut files = vec![(".gitignore", "/target\n")];
    let source = match slot {
        Slot::Promotion => template!("rust/promotion.rs"),
        Slot::Pricing => template!("rust/pricing.rs"),
        Slot::Tax => template!("rust/tax.rs"),
        Slot::Shipping => template!("rust/shipping.rs"),
        Slot::Risk => template!("rust/risk.rs"),
        Slot::Carrier => {
            files.extend([
                ("Cargo.toml", template!("rust/network.Cargo.toml")),
                ("src/lib.rs", template!("rust/carrier.rs")),
                ("src/api.rs", component!("sim-carrier/src/api.rs")),
                ("src/carrier.rs", component!("sim-carrier/src/carrier.rs")),
                ("src/config.rs", component!("sim-gateway/src/config.rs")),
                ("src/exchange.rs", component!("sim-gateway/src/exchange.rs")),
                ("src/guest.rs", component!("sim-carrier/src/guest.rs")),
                ("src/http.rs", component!("sim-gateway/src/http.rs")),
                ("src/scan.rs", component!("sim-carrier/src/scan.rs")),
                ("config.schema.json", component!("sim-carrier/config.schema.json")),
            ]);
            return files;
        }
        Slot::PaymentGateway => {
            files.extend([
                ("Cargo.toml", template!("rust/network.Cargo.toml")),
                ("src/lib.rs", template!("rust/payment-gateway.rs")),
                ("src/api.rs", component!("sim-gateway/src/api.rs")),
                ("src/config.rs", component!("sim-gateway/src/config.rs")),
                ("src/event.rs", component!("sim-gateway/src/event.rs")),
                ("src/exchange.rs", component!("sim-gateway/src/exchange.rs")),
                ("src/gateway.rs", component!("sim-gateway/src/gateway.rs")),
                ("src/guest.rs", component!("sim-gateway/src/guest.rs")),
                ("src/http.rs", component!("sim-gateway/src/http.rs")),
                ("config.schema.json", component!("sim-gateway/config.schema.json")),
            ]);
            return files;
        }
    };
    files.extend([("Cargo.toml", template!("rust/Cargo.toml")), ("src/lib.rs", source)]);
    files
}

fn typescript(slot: Slot) -> Option<Vec<File>> {
    let source = match slot {
        Slot::Promotion => template!("ts/promotion.ts"),
        Slot::Pricing => template!("ts/pricing.ts"),
        Slot::Tax => template!("ts/tax.ts"),
        Slot::Shipping => template!("ts/shipping.ts"),
        Slot::PaymentGateway | Slot::Carrier | Slot::Risk => return None,
    };
    Some(vec![
        (".gitignore", "/node_modules\n/build\n"),
        ("package.json", component!("volume-discount-ts/package.json")),
        ("package-lock.json", component!("volume-discount-ts/package-lock.json")),
        ("tsconfig.json", component!("volume-discount-ts/tsconfig.json")),
        ("build.mjs", component!("volume-discount-ts/build.mjs")),
        ("types/till.d.ts", component!("volume-discount-ts/types/till.d.ts")),
        ("src/till.ts", component!("volume-discount-ts/src/till.ts")),
        ("src/component.ts", source),
    ])
}

fn python(slot: Slot) -> Option<Vec<File>> {
    let source = match slot {
        Slot::Promotion => template!("python/promotion.py"),
        Slot::Pricing => template!("python/pricing.py"),
        Slot::Tax => template!("python/tax.py"),
        Slot::Shipping => template!("python/shipping.py"),
        Slot::PaymentGateway | Slot::Carrier | Slot::Risk => return None,
    };
    Some(vec![
        (".gitignore", "/.venv\n/build\n/typings\n__pycache__\n"),
        ("requirements.txt", component!("loyal-customer-py/requirements.txt")),
        ("build.py", component!("loyal-customer-py/build.py")),
        ("src/till_guest.py", component!("loyal-customer-py/src/till_guest.py")),
        ("src/component.py", source),
    ])
}

/// The same for each language, because the templates of a slot do the same.
fn fixtures(slot: Slot) -> Vec<File> {
    match slot {
        Slot::Promotion => vec![
            ("config.json", template!("fixtures/promotion/config.json")),
            ("fixtures/enough.json", template!("fixtures/promotion/enough.json")),
            ("fixtures/too-little.json", template!("fixtures/promotion/too-little.json")),
            ("fixtures/wrong-config.json", template!("fixtures/promotion/wrong-config.json")),
        ],
        Slot::Pricing => vec![
            ("config.json", template!("fixtures/pricing/config.json")),
            ("fixtures/member.json", template!("fixtures/pricing/member.json")),
            ("fixtures/other-currency.json", template!("fixtures/pricing/other-currency.json")),
        ],
        Slot::Tax => vec![
            ("config.json", template!("fixtures/tax/config.json")),
            ("fixtures/california.json", template!("fixtures/tax/california.json")),
            ("fixtures/nowhere.json", template!("fixtures/tax/nowhere.json")),
        ],
        Slot::Shipping => vec![
            ("config.json", template!("fixtures/shipping/config.json")),
            ("fixtures/flat.json", template!("fixtures/shipping/flat.json")),
            ("fixtures/other-currency.json", template!("fixtures/shipping/other-currency.json")),
        ],
        Slot::Risk => vec![
            ("config.json", template!("fixtures/risk/config.json")),
            ("fixtures/known-shopper.json", template!("fixtures/risk/known-shopper.json")),
            ("fixtures/too-much.json", template!("fixtures/risk/too-much.json")),
            ("fixtures/other-currency.json", template!("fixtures/risk/other-currency.json")),
        ],
        Slot::Carrier => vec![
            ("config.json", template!("fixtures/carrier/config.json")),
            ("fixtures/booked.json", template!("fixtures/carrier/booked.json")),
            ("fixtures/nobody-knows.json", template!("fixtures/carrier/nobody-knows.json")),
            ("fixtures/not-booked.json", template!("fixtures/carrier/not-booked.json")),
        ],
        Slot::PaymentGateway => vec![
            ("config.json", template!("fixtures/payment-gateway/config.json")),
            ("fixtures/captured.json", template!("fixtures/payment-gateway/captured.json")),
            ("fixtures/declined.json", template!("fixtures/payment-gateway/declined.json")),
            ("fixtures/nobody-knows.json", template!("fixtures/payment-gateway/nobody-knows.json")),
            ("fixtures/not-sent.json", template!("fixtures/payment-gateway/not-sent.json")),
        ],
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use sha2::{Digest as _, Sha256};

    #[test]
    fn every_template_is_filled_in_and_has_an_ok_case_and_an_error_case() {
        for language in [Language::Rust, Language::Ts, Language::Python] {
            for slot in Slot::ALL {
                let Some(files) = files(language, slot, "spring-sale") else {
                    let rust_only = [Slot::PaymentGateway, Slot::Carrier, Slot::Risk];
                    assert!(rust_only.contains(&slot) && language != Language::Rust);
                    continue;
                };
                for (path, text) in &files {
                    for gap in ["{{name", "{{title", "{{slot", "{{wasm", "{{tools", "{{source", "{{push"] {
                        assert!(!text.contains(gap), "{language:?} {slot}: {path} has a gap: {gap}");
                    }
                }
                let cases: Vec<_> = files.iter().filter(|(path, _)| path.starts_with("fixtures/")).collect();
                let some = |kind: &str| cases.iter().any(|(_, text)| text.contains(kind));
                assert!(some("\"ok\"") && some("\"error\""), "{slot}");
            }
        }
        assert_eq!(title("spring-sale"), "Spring sale");
    }

    #[test]
    fn the_types_for_typescript_are_those_of_the_contract() {
        let all: String = WIT.iter().map(|(_, text)| *text).collect();
        let digest = hex::encode(Sha256::digest(all));
        let types = component!("volume-discount-ts/types/till.d.ts");
        assert!(
            types.lines().next().unwrap_or_default().contains(&digest),
            "wit/ has changed: run components/volume-discount-ts/types.mjs (it says how)"
        );
    }

    #[test]
    fn every_amount_of_the_contract_is_looked_at_in_typescript() {
        let till = component!("volume-discount-ts/src/till.ts");
        let mut seen = 0;
        for (path, text) in
            WIT.iter().filter(|(path, _)| !["payment", "carrier"].iter().any(|n| path.contains(n)))
        {
            let fields = text.lines().filter(|line| line.contains("s64") || line.contains("u64"));
            for field in fields.filter_map(|line| line.trim().split_once(": ")) {
                // What has no `name: type` is a case of a variant (`val`), money (payments only) or prose.
                let (name, of) = field;
                let money = path.ends_with("types.wit") && name == "minor";
                if name.contains(' ') || name == "retry-after-ms" || money || !of.contains("64") {
                    continue;
                }
                let mut parts = name.split('-');
                let mut camel = parts.next().unwrap_or_default().to_owned();
                camel.extend(parts.map(|part| part[..1].to_uppercase() + &part[1..]));
                assert!(
                    till.contains(&format!("\"{camel}\"")),
                    "src/till.ts does not look at {path}: {name}"
                );
                seen += 1;
            }
        }
        assert!(seen > 20, "{seen} fields were found");
    }
}
