//! What the compiler does not check: who may know whom, words that belong to one room, tests of the flow, licences.

use std::path::{Path, PathBuf};

use anyhow::{Context as _, Result, bail};
use serde_json::Value;

use crate::{cargo, flow};

/// Which rooms a room may know. `till` (the binary) and the tests may know all.
const EDGES: &[(&str, &[&str])] = &[
    ("till-model", &[]),
    ("till-engine", &["till-model"]),
    ("till-store", &["till-engine", "till-model"]),
    ("till-sandbox", &["till-model"]),
    ("till-kit", &["till-sandbox", "till-model"]),
    ("till-registry", &["till-sandbox", "till-store", "till-engine"]),
    ("till-commerce", &["till-registry", "till-sandbox", "till-store", "till-engine", "till-model"]),
    (
        "till-api",
        &["till-commerce", "till-registry", "till-sandbox", "till-store", "till-engine", "till-model"],
    ),
    ("xtask", &[]),
    ("till-simulator", &[]),
];
const MAY_KNOW_ALL: &[&str] = &["till", "till-demo", "till-tests"];

/// Words that only these folders may say.
const ONE_ROOM: &[(&str, &[&str])] = &[
    // The bench measures the bare database beside Till.
    ("sqlx", &["host/store"]),
    ("rusqlite", &["host/store", "host/demo", "tests"]),
    ("wasmtime", &["host/sandbox"]),
    ("axum", &["host/api", "tests/simulator"]),
];
/// This file names them all.
const NOT_READ: &str = "host/xtask";

const LICENCES: &[&str] = &[
    "MIT",
    "MIT-0",
    "Apache-2.0",
    "Apache-2.0 WITH LLVM-exception",
    "BSD-2-Clause",
    "BSD-3-Clause",
    "0BSD",
    "ISC",
    "Zlib",
    "Unicode-3.0",
    "CC0-1.0",
    "CDLA-Permissive-2.0",
    "Unlicense",
    "BSL-1.0",
    "MPL-2.0",
];

/// All checks; fails with everything that is wrong.
pub fn check() -> Result<()> {
    let workspace = cargo::metadata(false)?;
    let mut wrong = edges(&workspace);
    let mut files = Vec::new();
    for folder in ["host", "components", "tests"] {
        sources(&cargo::root().join(folder), &mut files)?;
    }
    wrong.extend(one_room_words(&workspace, &files)?);
    wrong.extend(flow::wrong(&files)?);
    let all = cargo::metadata(true)?;
    wrong.extend(licences(&all));
    for line in &wrong {
        eprintln!("tidy: {line}");
    }
    if !wrong.is_empty() {
        bail!("{} things are not tidy", wrong.len());
    }
    println!(
        "tidy: {} packages here, {} in all",
        cargo::packages(&workspace).len(),
        cargo::packages(&all).len()
    );
    Ok(())
}

fn edges(workspace: &Value) -> Vec<String> {
    let mut wrong = Vec::new();
    for package in cargo::packages(workspace) {
        let name = cargo::name(package);
        let guest = cargo::folder(package).starts_with("components");
        let allowed = EDGES.iter().find(|(room, _)| *room == name).map(|(_, allowed)| *allowed);
        let allowed = match allowed {
            Some(allowed) => allowed,
            None if MAY_KNOW_ALL.contains(&name) => continue,
            None if guest => &[],
            None => {
                wrong.push(format!("{name} is not in the list of rooms of xtask/src/tidy.rs"));
                continue;
            }
        };
        for known in
            dependencies(package).filter(|known| known.starts_with("till") && !allowed.contains(known))
        {
            wrong.push(format!("{name} may not know {known}; it may know {allowed:?}"));
        }
    }
    wrong
}

fn dependencies(package: &Value) -> impl Iterator<Item = &str> {
    package["dependencies"].as_array().into_iter().flatten().filter_map(|d| d["name"].as_str())
}

fn one_room_words(workspace: &Value, files: &[PathBuf]) -> Result<Vec<String>> {
    let mut wrong = Vec::new();
    for package in cargo::packages(workspace) {
        let folder = cargo::folder(package);
        for (word, rooms) in ONE_ROOM.iter().filter(|(_, rooms)| !within(&folder, rooms)) {
            if dependencies(package).any(|name| name == *word) {
                wrong.push(format!(
                    "{} depends on {word}, which belongs into {rooms:?}",
                    cargo::name(package)
                ));
            }
        }
    }
    for file in files {
        let place = file.strip_prefix(cargo::root())?.to_owned();
        if place.starts_with(NOT_READ) {
            continue;
        }
        let text = std::fs::read_to_string(file).with_context(|| format!("read {}", place.display()))?;
        for (number, line) in text.lines().enumerate() {
            let code = line.split("//").next().unwrap_or_default();
            for (word, rooms) in ONE_ROOM {
                if has_word(code, word) && !within(&place, rooms) {
                    wrong.push(format!(
                        "{}:{}: `{word}` belongs into {rooms:?}",
                        place.display(),
                        number + 1
                    ));
                }
            }
        }
    }
    Ok(wrong)
}

fn within(place: &Path, rooms: &[&str]) -> bool {
    rooms.iter().any(|room| place.starts_with(room))
}

fn has_word(code: &str, word: &str) -> bool {
    code.split(|c: char| !(c.is_alphanumeric() || c == '_')).any(|part| part == word)
}

fn sources(folder: &Path, files: &mut Vec<PathBuf>) -> Result<()> {
    for entry in std::fs::read_dir(folder).with_context(|| format!("read {}", folder.display()))? {
        let path = entry?.path();
        let made = ["target", "node_modules", ".venv"];
        if path.is_dir() && !path.file_name().is_some_and(|name| made.iter().any(|made| name == *made)) {
            sources(&path, files)?;
        } else if path.extension().is_some_and(|ending| ending == "rs") {
            files.push(path);
        }
    }
    Ok(())
}

fn licences(all: &Value) -> Vec<String> {
    let mut wrong = Vec::new();
    for package in cargo::packages(all) {
        let (name, version) = (cargo::name(package), package["version"].as_str().unwrap_or_default());
        match package["license"].as_str() {
            Some(licence) if allowed(licence) => {}
            Some(licence) => {
                wrong.push(format!("{name} {version} is under `{licence}`, which is not allowed"))
            }
            None => wrong.push(format!("{name} {version} does not name its licence")),
        }
    }
    wrong
}

/// Whether an SPDX expression can be met with the allowed licences.
fn allowed(expression: &str) -> bool {
    let spaced = expression.replace('/', " OR ").replace('(', " ( ").replace(')', " ) ");
    let words: Vec<&str> = spaced.split_whitespace().collect();
    let mut at = 0;
    any(&words, &mut at) && at == words.len()
}

fn any(words: &[&str], at: &mut usize) -> bool {
    let mut met = every(words, at);
    while words.get(*at) == Some(&"OR") {
        *at += 1;
        met |= every(words, at);
    }
    met
}

fn every(words: &[&str], at: &mut usize) -> bool {
    let mut met = one(words, at);
    while words.get(*at) == Some(&"AND") {
        *at += 1;
        met &= one(words, at);
    }
    met
}

fn one(words: &[&str], at: &mut usize) -> bool {
    let Some(word) = words.get(*at) else { return false };
    *at += 1;
    if *word == "(" {
        let met = any(words, at);
        *at += 1; // The bracket that closes.
        return met;
    }
    let mut licence = (*word).to_owned();
    if words.get(*at) == Some(&"WITH") {
        licence = format!("{licence} WITH {}", words.get(*at + 1).unwrap_or(&""));
        *at += 2;
    }
    LICENCES.contains(&licence.as_str())
}

#[cfg(test)]
mod tests {
    use super::{allowed, has_word};

    #[test]
    fn a_licence_expression_is_met_by_one_of_its_choices() {
        for fine in [
            "MIT",
            "MIT-0",
            "MIT OR GPL-3.0",
            "MIT/Apache-2.0",
            "Apache-2.0 AND ISC",
            "(MIT OR Apache-2.0) AND Unicode-3.0",
            "Apache-2.0 WITH LLVM-exception OR GPL-2.0",
        ] {
            assert!(allowed(fine), "{fine}");
        }
        for bad in [
            "GPL-3.0",
            "MIT AND GPL-3.0",
            "(MIT OR ISC) AND GPL-2.0",
            "GPL-2.0 WITH LLVM-exception",
            "",
            "MIT MIT",
        ] {
            assert!(!allowed(bad), "{bad}");
        }
    }

    #[test]
    fn a_word_is_found_whole() {
        assert!(has_word("use sqlx::Row;", "sqlx"));
        assert!(!has_word("use my_sqlx::Row;", "sqlx"));
    }
}
