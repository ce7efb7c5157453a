//! `till.json`: what the folder of a component holds and how it is built.
//!
//! `till component new` writes it; `build`, `test` and `check` read it, so that they need no arguments.

use serde::{Deserialize, Serialize};
use std::io;
use std::path::{Path, PathBuf};
use till_sandbox::Slot;

/// Name of the file.
pub const FILE: &str = "till.json";
/// Longest project file. One of ten lines has 300 bytes; what is longer is another file by mistake.
const BYTES_MAX: u64 = 64 << 10;

/// A component's folder, as its `till.json` describes it. Paths are relative to that folder.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Project {
    /// The slot it is written for.
    pub slot: Slot,
    /// Where the build leaves the component.
    pub wasm: PathBuf,
    /// The folder of its fixtures.
    #[serde(default = "fixtures")]
    pub fixtures: PathBuf,
    /// The program that builds it and its arguments, run in the folder. Empty: nothing is to be built.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub build: Vec<String>,
    /// A JSON file with the configuration that `check` calls it with.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub config: Option<PathBuf>,
}

fn fixtures() -> PathBuf {
    PathBuf::from("fixtures")
}

/// The project file cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum ProjectError {
    /// It cannot be read or written.
    #[error("{}: {source}", path.display())]
    Io {
        /// The file.
        path: PathBuf,
        /// Why.
        source: io::Error,
    },
    /// It is not what a project file is.
    #[error(
        "{}: {source}; a project file is {{\"slot\": \"promotion\", \"wasm\": \"path/to/out.wasm\", \
         \"fixtures\": \"fixtures\", \"build\": [\"program\", \"argument\"]}}", path.display()
    )]
    Invalid {
        /// The file.
        path: PathBuf,
        /// What is wrong, with line and column.
        source: serde_json::Error,
    },
    /// It is too long.
    #[error("{}: a project file has at most {limit} bytes, this one has {size}; is it another file?", path.display())]
    TooLarge {
        /// The file.
        path: PathBuf,
        /// Bytes it has.
        size: u64,
        /// Bytes it may have.
        limit: u64,
    },
}

impl Project {
    /// Reads the project file of a folder. None where there is no such file.
    pub fn read(folder: &Path) -> Result<Option<Project>, ProjectError> {
        let path = folder.join(FILE);
        let io = |source| ProjectError::Io { path: path.clone(), source };
        let size = match std::fs::metadata(&path) {
            Ok(file) => file.len(),
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
            Err(error) => return Err(io(error)),
        };
        if size > BYTES_MAX {
            return Err(ProjectError::TooLarge { path, size, limit: BYTES_MAX });
        }
        let text = std::fs::read(&path).map_err(io)?;
        serde_json::from_slice(&text).map(Some).map_err(|source| ProjectError::Invalid { path, source })
    }

    /// Writes the project file of a folder.
    pub fn write(&self, folder: &Path) -> Result<(), ProjectError> {
        let path = folder.join(FILE);
        let mut text = serde_json::to_string_pretty(self)
            .map_err(|source| ProjectError::Invalid { path: path.clone(), source })?;
        text.push('\n');
        std::fs::write(&path, text).map_err(|source| ProjectError::Io { path, source })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_project_reads_back_as_it_was_written() {
        let folder = tempfile::tempdir().unwrap();
        assert_eq!(Project::read(folder.path()).unwrap(), None);
        let project = Project {
            slot: Slot::Promotion,
            wasm: "target/out.wasm".into(),
            fixtures: "cases".into(),
            build: vec!["cargo".into(), "build".into()],
            config: None,
        };
        project.write(folder.path()).unwrap();
        assert_eq!(Project::read(folder.path()).unwrap(), Some(project));
    }

    #[test]
    fn fixtures_and_build_may_be_left_out_and_other_fields_are_named() {
        let folder = tempfile::tempdir().unwrap();
        let write = |text: &str| std::fs::write(folder.path().join(FILE), text).unwrap();
        write(r#"{"slot": "tax", "wasm": "a.wasm"}"#);
        let project = Project::read(folder.path()).unwrap().unwrap();
        assert_eq!((project.fixtures, project.build), (fixtures(), vec![]));
        write(r#"{"slot": "tax", "wasm": "a.wasm", "fixture": "x"}"#);
        let told = Project::read(folder.path()).unwrap_err().to_string();
        assert!(told.contains("unknown field `fixture`") && told.contains("till.json"), "{told}");
    }
}
