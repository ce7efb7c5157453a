//! What a host would say of a component at upload, finding by finding, and what to do about each.

use crate::conformance::{Check, Status, validator};
use serde::Serialize;
use std::sync::Arc;
use till_sandbox::{Component, LoadError, Outside, Sandbox, Slot};

/// What was found.
#[derive(Debug, Serialize)]
pub struct Inspection {
    /// One for each thing a host looks at, until one stops it.
    pub findings: Vec<Check>,
    /// What the component imports and exports, if it is one.
    pub outside: Option<Outside>,
    /// Ready to be called, if a host would take it.
    #[serde(skip)]
    pub component: Option<Arc<Component>>,
}

impl Inspection {
    /// A host would take it.
    pub fn passed(&self) -> bool {
        self.component.is_some() && self.findings.iter().all(|finding| finding.status != Status::Failed)
    }

    fn say(&mut self, name: &str, status: Status, detail: impl Into<String>) {
        self.findings.push(Check { name: name.to_owned(), status, detail: detail.into() });
    }
}

/// Looks at a component as a host does at upload. Without a slot, the one it exports is taken.
///
/// This compiles and takes up to seconds: call it where blocking is allowed.
pub fn inspect(sandbox: &Sandbox, bytes: &[u8], slot: Option<Slot>) -> Inspection {
    let mut found = Inspection { findings: Vec::new(), outside: None, component: None };
    let outside = match sandbox.look_at(bytes) {
        Ok(outside) => outside,
        Err(error) => {
            found.say(place(&error), Status::Failed, told(&error));
            return found;
        }
    };
    found.say(
        "size",
        Status::Passed,
        format!("{} kB, digest {}", outside.size.div_ceil(1_000), outside.digest),
    );
    found.say("compile", Status::Passed, "it compiles within the limits of a host");
    found.say("exports", Status::Passed, list(&outside.exports));
    let chosen = choose(&outside, slot);
    found.outside = Some(outside);
    let slot = match chosen {
        Ok(slot) => slot,
        Err(why) => {
            found.say("slot", Status::Failed, why);
            return found;
        }
    };
    if let Some(outside) = found.outside.as_ref().filter(|outside| !outside.slots.contains(&slot)) {
        let why =
            format!("it does not fill {slot} but {}: leave out --slot, or name that", names(&outside.slots));
        found.say("slot", Status::Failed, why);
    }
    match sandbox.load(slot, bytes) {
        Ok(component) => {
            let imports = found.outside.as_ref().map_or_else(String::new, |outside| list(&outside.imports));
            found.say("imports", Status::Passed, imports);
            found.say("slot", Status::Passed, format!("it fills {slot}"));
            described(&mut found, &component);
            found.component = Some(component);
        }
        Err(error) => found.say(place(&error), Status::Failed, told(&error)),
    }
    found
}

/// The slot to take: the one named, or the only one there is.
///
/// # Errors
/// Words that say what to do where there is none, or more than one.
pub fn choose(outside: &Outside, slot: Option<Slot>) -> Result<Slot, String> {
    match (slot, outside.slots.as_slice()) {
        (Some(slot), _) => Ok(slot),
        (None, [only]) => Ok(*only),
        (None, []) => Err(format!(
            "it exports no interface of a slot ({}): build it from a world of wit/ ({})",
            list(&outside.exports),
            names(&Slot::ALL)
        )),
        (None, several) => Err(format!("it fits several slots ({}): say which with --slot", names(several))),
    }
}

fn names(slots: &[Slot]) -> String {
    if slots.is_empty() {
        return "no slot".to_owned();
    }
    slots.iter().map(|slot| slot.as_str()).collect::<Vec<_>>().join(", ")
}

fn list(names: &[String]) -> String {
    if names.is_empty() { "nothing".to_owned() } else { names.join(", ") }
}

/// What it says of itself.
fn described(found: &mut Inspection, component: &Component) {
    let info = &component.info;
    found.say("contract", Status::Passed, component.contract_version.clone());
    if info.name.trim().is_empty() {
        found.say("name", Status::Warning, "it has none: give one in `describe`, merchants look for it");
    } else {
        found.say("name", Status::Passed, info.name.clone());
    }
    if info.version.trim().is_empty() {
        found.say(
            "version",
            Status::Warning,
            "it has none: give one in `describe`, revisions are told by it",
        );
    } else {
        found.say("version", Status::Passed, info.version.clone());
    }
    found.say("capabilities", Status::Passed, list(&info.capabilities));
    match validator(&info.config_schema) {
        Err(why) => {
            found.say("config-schema", Status::Failed, format!("{why}; mend `config-schema` of `describe`"));
        }
        Ok(_) if info.config_schema.trim() == "{}" => {
            let detail = "it accepts anything: a schema lets merchants find their mistakes at upload";
            found.say("config-schema", Status::Warning, detail);
        }
        Ok(_) => found.say("config-schema", Status::Passed, "it is a JSON Schema"),
    }
}

/// The finding an error belongs to.
fn place(error: &LoadError) -> &'static str {
    match error {
        LoadError::TooLarge { .. } => "size",
        LoadError::NotAComponent { .. } => "format",
        LoadError::Compile(_) | LoadError::CompileLimit(_) => "compile",
        LoadError::Imports { .. } => "imports",
        LoadError::Exports { .. } => "exports",
        LoadError::Contract { .. } => "contract",
        LoadError::Describe(_) | LoadError::Info(_) => "describe",
        LoadError::Host(_) => "host",
    }
}

/// An error of loading with what to do about it.
pub fn told(error: &LoadError) -> String {
    let cure = match error {
        LoadError::TooLarge { .. } => "build it for release and strip debug information",
        LoadError::NotAComponent { .. } => {
            "build a component: `cargo build --target wasm32-wasip2`, or `wasm-tools component new` for a core module"
        }
        LoadError::Compile(_) => "the file may be damaged or cut off: build it again and copy it whole",
        LoadError::CompileLimit(_) => "build it for release, split large functions, strip debug information",
        LoadError::Imports { slot, .. } if slot.is_pure() => {
            "remove what needs the network, the clock of the machine or other components; a pure slot gives log and tables"
        }
        LoadError::Imports { .. } => "remove what needs them; HTTP goes through wasi:http/outgoing-handler",
        LoadError::Exports { .. } => {
            "name the slot it was written for with --slot, or build it from that slot's world"
        }
        LoadError::Contract { .. } => "generate its bindings again from the wit/ of this host, and build it",
        LoadError::Describe(_) => "`describe` gets no configuration and must answer constants",
        LoadError::Info(_) => "mend what `describe` answers",
        LoadError::Host(_) => "this is about the machine, not the component: try again",
    };
    format!("{error}; {cure}")
}

#[cfg(test)]
mod tests {
    use super::*;
    use till_sandbox::Digest;

    #[test]
    fn the_slot_is_the_only_one_or_the_one_that_is_named() {
        let outside = |slots: &[Slot]| Outside {
            digest: Digest::of(b""),
            size: 0,
            imports: vec![],
            exports: vec!["a:b/c@0.1.0".into()],
            slots: slots.to_vec(),
        };
        assert_eq!(choose(&outside(&[Slot::Tax]), None), Ok(Slot::Tax));
        assert_eq!(choose(&outside(&[Slot::Tax]), Some(Slot::Pricing)), Ok(Slot::Pricing));
        let several = choose(&outside(&[Slot::Pricing, Slot::Promotion]), None).unwrap_err();
        assert!(several.contains("pricing, promotion") && several.contains("--slot"), "{several}");
        assert!(choose(&outside(&[]), None).unwrap_err().contains("a:b/c@0.1.0"));
    }
}
