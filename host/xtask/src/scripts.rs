//! Components that Cargo does not build: in TypeScript and Python. Each builds itself by its own script,
//! the one that a merchant's project has too, and installs its pinned tools when they are missing.

use std::hash::{DefaultHasher, Hasher as _};
use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context as _, Result, bail};

use crate::cargo;

/// A component with a build script of its own.
struct Script {
    /// Name and folder of the component.
    name: &'static str,
    program: &'static str,
    file: &'static str,
    /// What to do where the program is missing.
    install: &'static str,
}

const SCRIPTS: [Script; 2] = [
    Script {
        name: "volume-discount-ts",
        program: "node",
        file: "build.mjs",
        install: "install Node.js 20 or newer with npm (https://nodejs.org; Debian: apt-get install nodejs npm)",
    },
    Script {
        name: "loyal-customer-py",
        program: "python3",
        file: "build.py",
        install: "install Python 3.11 or newer (https://python.org; Debian: apt-get install python3 python3-venv)",
    },
];

/// What a build leaves in the folder of a component.
const MADE: [&str; 5] = ["node_modules", "build", ".venv", "typings", "__pycache__"];

/// Builds those whose sources, locks or contract have changed, and puts them into `folder`.
pub fn build(folder: &Path) -> Result<()> {
    for script in &SCRIPTS {
        script.build(folder)?;
    }
    Ok(())
}

impl Script {
    fn build(&self, folder: &Path) -> Result<()> {
        let name = self.name;
        let home = cargo::root().join("components").join(name);
        let place = folder.join(name).with_extension("wasm");
        let stamp = folder.join(format!(".{name}.stamp"));
        let sources = fingerprint(&[&home, &cargo::root().join("wit")])?;
        let built = std::fs::read_to_string(&stamp).is_ok_and(|before| before == sources);
        if !built || !place.exists() {
            if Command::new(self.program).arg("--version").output().is_err() {
                bail!("components/{name} needs `{}`, which is not there: {}", self.program, self.install);
            }
            // Renamed into place: whoever reads it meanwhile has the old one or the new one.
            let beside = folder.join(format!(".{name}.{}", std::process::id()));
            let mut build = Command::new(self.program);
            build.current_dir(&home).args([self.file, "--wit", "../../wit", "--out"]).arg(&beside);
            cargo::finish(&mut build)?;
            std::fs::rename(&beside, &place).with_context(|| format!("write {}", place.display()))?;
            std::fs::write(&stamp, &sources).with_context(|| format!("write {}", stamp.display()))?;
        }
        let size = std::fs::metadata(&place).with_context(|| format!("read {}", place.display()))?.len();
        println!("  {name:<18} {:>5} kB{}", size / 1000, if built { ", unchanged" } else { "" });
        Ok(())
    }
}

/// Names the contents of all files in these folders.
fn fingerprint(folders: &[&Path]) -> Result<String> {
    let mut hash = DefaultHasher::new();
    for folder in folders {
        let mut files = Vec::new();
        sources(folder, &mut files)?;
        files.sort();
        for file in files {
            let text = std::fs::read(&file).with_context(|| format!("read {}", file.display()))?;
            hash.write(file.strip_prefix(folder)?.as_os_str().as_encoded_bytes());
            hash.write_usize(text.len());
            hash.write(&text);
        }
    }
    Ok(format!("{:016x}", hash.finish()))
}

fn sources(folder: &Path, files: &mut Vec<PathBuf>) -> Result<()> {
    for entry in std::fs::read_dir(folder).with_context(|| format!("read {}", folder.display()))? {
        let path = entry?.path();
        if !path.is_dir() {
            files.push(path);
        } else if !path.file_name().is_some_and(|name| MADE.iter().any(|made| name == *made)) {
            sources(&path, files)?;
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_change_of_any_source_is_seen_and_what_a_build_left_is_not() {
        let folder = std::env::temp_dir().join(format!("till-xtask-{}", std::process::id()));
        std::fs::create_dir_all(folder.join("src")).unwrap();
        std::fs::create_dir_all(folder.join("build")).unwrap();
        let write = |name: &str, text: &str| std::fs::write(folder.join(name), text).unwrap();
        let now = || fingerprint(&[&folder]).unwrap();
        write("src/a.ts", "1");
        let first = now();
        write("build/a.ts", "made");
        assert_eq!(now(), first);
        write("src/a.ts", "2");
        let second = now();
        assert_ne!(second, first);
        std::fs::rename(folder.join("src/a.ts"), folder.join("src/b.ts")).unwrap();
        assert_ne!(now(), second);
        std::fs::remove_dir_all(&folder).unwrap();
    }
}
