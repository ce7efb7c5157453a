//! Bytes to a checked component.

use crate::bindings::exports::{
    carrier_api, payment_gateway_api, pricing_rules, promotion_rules, risk_rules, shipping_rates, tax_rules,
};
use crate::error::Offender;
use crate::limits::COMPONENT_BYTES_MAX;
use crate::state::State;
use crate::wit::types::ComponentInfo;
use crate::{LoadError, Slot};
use serde::{Deserialize, Serialize};
use sha2::{Digest as _, Sha256};
use std::fmt;
use std::str::FromStr;
use wasmtime::Engine;
use wasmtime::component::{Component as Wasm, InstancePre, Linker, types::ComponentItem};

/// The contract track this host speaks. Patch versions add functions, so any of the track will do.
const CONTRACT_TRACK: (u64, u64) = (0, 1);
/// The track of WASI that the host gives.
const WASI_TRACK: (u64, u64) = (0, 2);

/// What any guest may import of WASI. Files are there because interpreters ask for them: there are none.
const WASI_EVERYWHERE: [&str; 19] = [
    "wasi:io/error",
    "wasi:io/poll",
    "wasi:io/streams",
    "wasi:cli/environment",
    "wasi:cli/exit",
    "wasi:cli/stdin",
    "wasi:cli/stdout",
    "wasi:cli/stderr",
    "wasi:cli/terminal-input",
    "wasi:cli/terminal-output",
    "wasi:cli/terminal-stdin",
    "wasi:cli/terminal-stdout",
    "wasi:cli/terminal-stderr",
    "wasi:clocks/monotonic-clock",
    "wasi:clocks/wall-clock",
    "wasi:random/random",
    "wasi:random/insecure",
    "wasi:random/insecure-seed",
    "wasi:filesystem/types",
];
const PREOPENS: &str = "wasi:filesystem/preopens";
const HTTP: [&str; 2] = ["wasi:http/types", "wasi:http/outgoing-handler"];
const TILL_EVERYWHERE: [&str; 3] = ["till:checkout/types", "till:checkout/log", "till:checkout/tables"];
const SIGNING: &str = "till:checkout/signing";

/// SHA-256 of a component's bytes.
#[derive(Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(into = "String", try_from = "String")]
pub struct Digest([u8; 32]);

impl Digest {
    /// The digest of some bytes.
    pub fn of(bytes: &[u8]) -> Self {
        Digest(Sha256::digest(bytes).into())
    }
}

impl fmt::Display for Digest {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&hex::encode(self.0))
    }
}

impl fmt::Debug for Digest {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Digest({self})")
    }
}

impl FromStr for Digest {
    type Err = hex::FromHexError;

    fn from_str(text: &str) -> Result<Self, hex::FromHexError> {
        let mut bytes = [0; 32];
        hex::decode_to_slice(text, &mut bytes)?;
        Ok(Digest(bytes))
    }
}

impl TryFrom<String> for Digest {
    type Error = hex::FromHexError;

    fn try_from(text: String) -> Result<Self, hex::FromHexError> {
        text.parse()
    }
}

impl From<Digest> for String {
    fn from(digest: Digest) -> String {
        digest.to_string()
    }
}

/// A component that passed the checks and can be called.
pub struct Component {
    /// Of its bytes.
    pub digest: Digest,
    /// The slot it was checked for.
    pub slot: Slot,
    /// What it says of itself.
    pub info: ComponentInfo,
    /// Version of the contract it was built from, for example `0.1.0`.
    pub contract_version: String,
    /// Its bytes.
    pub size: usize,
    pub(crate) guest: Guest,
}

impl fmt::Debug for Component {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Component")
            .field("digest", &self.digest)
            .field("slot", &self.slot)
            .field("info", &self.info.name)
            .field("contract_version", &self.contract_version)
            .finish_non_exhaustive()
    }
}

/// What can be seen of a component without running it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Outside {
    /// Of its bytes.
    pub digest: Digest,
    /// Its bytes.
    pub size: usize,
    /// The interfaces it needs, with versions.
    pub imports: Vec<String>,
    /// The interfaces it gives, with versions.
    pub exports: Vec<String>,
    /// The slots whose interface it exports at a version this host speaks, in the order of [`Slot::ALL`].
    pub slots: Vec<Slot>,
}

/// A compiled guest, linked, with its functions looked up.
#[derive(Clone)]
pub(crate) struct Guest {
    pub(crate) pre: InstancePre<State>,
    pub(crate) exports: Exports,
}

#[derive(Clone)]
pub(crate) enum Exports {
    Pricing(pricing_rules::GuestIndices),
    Promotion(promotion_rules::GuestIndices),
    Tax(tax_rules::GuestIndices),
    Shipping(shipping_rates::GuestIndices),
    Gateway(payment_gateway_api::GuestIndices),
    Risk(risk_rules::GuestIndices),
    Carrier(carrier_api::GuestIndices),
}

/// What can be seen without compiling.
pub(crate) fn at_the_door(bytes: &[u8]) -> Result<(), LoadError> {
    if bytes.len() > COMPONENT_BYTES_MAX {
        return Err(LoadError::TooLarge { size: bytes.len(), limit: COMPONENT_BYTES_MAX });
    }
    is_component(bytes)
}

/// What can be seen without compiling, whatever the slot.
pub(crate) fn outside(bytes: &[u8]) -> Result<Outside, LoadError> {
    at_the_door(bytes)?;
    let (imports, exports) = names(bytes)?;
    let fits = |slot: &Slot| find_contract(*slot, exports.clone()).is_ok();
    let slots = Slot::ALL.into_iter().filter(fits).collect();
    Ok(Outside { digest: Digest::of(bytes), size: bytes.len(), imports, exports, slots })
}

/// What can be seen without compiling: whether the bytes are a component, and whether what it imports and exports is
/// what the slot gives and needs. Gives the contract version found.
pub(crate) fn validate(slot: Slot, bytes: &[u8]) -> Result<String, LoadError> {
    at_the_door(bytes)?;
    let (imports, exports) = names(bytes)?;
    judge(slot, imports.iter().map(String::as_str), exports)
}

/// Names of what a component imports and exports itself, not of what is inside it.
fn names(bytes: &[u8]) -> Result<(Vec<String>, Vec<String>), LoadError> {
    use wasmparser::{Parser, Payload};
    let broken = |error: wasmparser::BinaryReaderError| LoadError::Broken(error.to_string());
    let (mut imports, mut exports) = (Vec::new(), Vec::new());
    let mut depth = 0_u32;
    for payload in Parser::new(0).parse_all(bytes) {
        match payload.map_err(broken)? {
            Payload::ModuleSection { .. } | Payload::ComponentSection { .. } => depth += 1,
            Payload::End(_) => depth = depth.saturating_sub(1),
            Payload::ComponentImportSection(section) if depth == 0 => {
                for import in section {
                    imports.push(import.map_err(broken)?.name.name.to_owned());
                }
            }
            Payload::ComponentExportSection(section) if depth == 0 => {
                for export in section {
                    exports.push(export.map_err(broken)?.name.name.to_owned());
                }
            }
            _ => {}
        }
    }
    Ok((imports, exports))
}

/// Judges names of imports and exports. Gives the contract version found.
fn judge<'a>(
    slot: Slot,
    imports: impl Iterator<Item = &'a str>,
    exports: Vec<String>,
) -> Result<String, LoadError> {
    let offenders: Vec<Offender> = imports
        .filter_map(|name| refuse_import(slot, name).map(|why| Offender { import: name.to_owned(), why }))
        .collect();
    if !offenders.is_empty() {
        return Err(LoadError::Imports { slot, offenders });
    }
    find_contract(slot, exports)
}

/// Checks a compiled component, but for `describe`. Also gives the contract version found.
pub(crate) fn check(
    engine: &Engine,
    linker: &Linker<State>,
    slot: Slot,
    wasm: &Wasm,
) -> Result<(Guest, String), LoadError> {
    let ty = wasm.component_type();

    let exports: Vec<String> = ty
        .exports(engine)
        .filter(|(_, item)| matches!(item.ty, ComponentItem::ComponentInstance(_)))
        .map(|(name, _)| name.to_owned())
        .collect();
    let contract = judge(slot, ty.imports(engine).map(|(name, _)| name), exports)?;

    let broken = |source| LoadError::Contract { contract: contract.clone(), source };
    let pre = linker.instantiate_pre(wasm).map_err(broken)?;
    let exports = match slot {
        Slot::Pricing => Exports::Pricing(pricing_rules::GuestIndices::new(&pre).map_err(broken)?),
        Slot::Promotion => Exports::Promotion(promotion_rules::GuestIndices::new(&pre).map_err(broken)?),
        Slot::Tax => Exports::Tax(tax_rules::GuestIndices::new(&pre).map_err(broken)?),
        Slot::Shipping => Exports::Shipping(shipping_rates::GuestIndices::new(&pre).map_err(broken)?),
        Slot::PaymentGateway => {
            Exports::Gateway(payment_gateway_api::GuestIndices::new(&pre).map_err(broken)?)
        }
        Slot::Risk => Exports::Risk(risk_rules::GuestIndices::new(&pre).map_err(broken)?),
        Slot::Carrier => Exports::Carrier(carrier_api::GuestIndices::new(&pre).map_err(broken)?),
    };
    Ok((Guest { pre, exports }, contract))
}

fn is_component(bytes: &[u8]) -> Result<(), LoadError> {
    let found = match bytes {
        [0, b'a', b's', b'm', _, _, 1, 0, ..] => return Ok(()),
        [0, b'a', b's', b'm', 1, 0, 0, 0, ..] => "a WASM core module (build it for wasm32-wasip2)",
        [0, b'a', b's', b'm', ..] => "WASM of an unknown version",
        [] => "an empty file",
        _ => "some other file",
    };
    Err(LoadError::NotAComponent { found })
}

/// Why an import is refused. None: it is allowed.
fn refuse_import(slot: Slot, import: &str) -> Option<String> {
    let (interface, version) = split(import);
    let wasi = WASI_EVERYWHERE.contains(&interface) || interface == PREOPENS;
    let network_only = HTTP.contains(&interface) || interface == SIGNING;
    let track = if wasi || HTTP.contains(&interface) {
        WASI_TRACK
    } else if TILL_EVERYWHERE.contains(&interface) || interface == SIGNING {
        CONTRACT_TRACK
    } else if interface.starts_with("wasi:") {
        return Some("not given to components".to_owned());
    } else {
        return Some("unknown to this host".to_owned());
    };
    if network_only && slot.is_pure() {
        return Some(format!("given to {} and {} only", Slot::PaymentGateway, Slot::Carrier));
    }
    let (major, minor) = track;
    match version.and_then(track_of) {
        Some(found) if found == track => None,
        Some(_) => Some(format!("this host has version {major}.{minor}")),
        None => Some(format!("it names no version; this host has {major}.{minor}")),
    }
}

/// The contract version of the slot's interface among the exports.
fn find_contract(slot: Slot, exports: Vec<String>) -> Result<String, LoadError> {
    let (major, minor) = CONTRACT_TRACK;
    let found = exports.iter().find_map(|export| {
        let (interface, version) = split(export);
        let version = version.filter(|version| track_of(version) == Some(CONTRACT_TRACK))?;
        (interface == slot.interface()).then(|| version.to_owned())
    });
    found.ok_or_else(|| LoadError::Exports {
        slot,
        expected: format!("{}@{major}.{minor}", slot.interface()),
        found: exports,
    })
}

fn split(name: &str) -> (&str, Option<&str>) {
    match name.split_once('@') {
        Some((interface, version)) => (interface, Some(version)),
        None => (name, None),
    }
}

/// Major and minor of a released version. Pre-releases belong to no track.
fn track_of(version: &str) -> Option<(u64, u64)> {
    let mut parts = version.split('.');
    let track = (parts.next()?.parse().ok()?, parts.next()?.parse().ok()?);
    let patch: Option<u64> = parts.next()?.parse().ok();
    (patch.is_some() && parts.next().is_none()).then_some(track)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn imports_are_judged_by_slot_interface_and_track() {
        let refused = |slot, import| refuse_import(slot, import).is_some();
        for allowed in [
            "wasi:io/streams@0.2.6",
            "wasi:cli/stderr@0.2.12",
            "till:checkout/log@0.1.0",
            "till:checkout/types@0.1.7",
        ] {
            assert!(!refused(Slot::Promotion, allowed), "{allowed}");
        }
        for offender in [
            "wasi:sockets/tcp@0.2.6",
            "wasi:http/outgoing-handler@0.2.12",
            "wasi:io/streams@0.3.0",
            "till:checkout/log@0.2.0",
            "till:checkout/signing@0.1.0",
            "till:checkout/log@0.1.0-rc.1",
            "evil:a/b@0.1.0",
            "till:checkout/log",
            "bare",
        ] {
            assert!(refused(Slot::Promotion, offender), "{offender}");
        }
        assert!(!refused(Slot::PaymentGateway, "wasi:http/outgoing-handler@0.2.12"));
        assert!(!refused(Slot::PaymentGateway, "till:checkout/signing@0.1.0"));
        assert!(refused(Slot::PaymentGateway, "wasi:sockets/tcp@0.2.6"));
    }

    #[test]
    fn the_contract_version_found_is_told() {
        let one = |name: &str| vec![name.to_owned()];
        assert_eq!(find_contract(Slot::Tax, one("till:checkout/tax-rules@0.1.3")).unwrap(), "0.1.3");
        let error = find_contract(Slot::Tax, one("till:checkout/tax-rules@0.2.0")).unwrap_err();
        assert_eq!(
            error.to_string(),
            "a component for tax must export till:checkout/tax-rules@0.1; this one exports till:checkout/tax-rules@0.2.0"
        );
        assert!(find_contract(Slot::Tax, one("till:checkout/pricing-rules@0.1.0")).is_err());
    }

    #[test]
    fn what_is_no_component_is_named() {
        let found = |bytes: &[u8]| is_component(bytes).unwrap_err().to_string();
        assert!(found(b"\0asm\x01\0\0\0").contains("core module"));
        assert!(found(b"").contains("empty"));
        assert!(found(b"#!/bin/sh").contains("some other file"));
        assert!(is_component(b"\0asm\x0d\0\x01\0").is_ok());
    }

    #[test]
    fn a_digest_reads_back_from_its_text() {
        let digest = Digest::of(b"x");
        assert_eq!(digest.to_string().parse(), Ok(digest));
        assert!("zz".parse::<Digest>().is_err());
    }
}
