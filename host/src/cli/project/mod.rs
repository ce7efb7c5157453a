//! `till component new` and `build`: a component's folder from nothing, and from there to a binary.

mod template;

use std::ffi::OsStr;
use std::path::{Path, PathBuf};
use std::process::{Command, ExitCode};

use anyhow::{Context as _, bail};
use clap::{Args, ValueEnum};
use till_kit::Project;
use till_sandbox::Slot;

/// What Rust components are built for.
const RUST_TARGET: &str = "wasm32-wasip2";
/// Longest name: it becomes the name of files and of a package.
const NAME_MAX: usize = 60;

/// What a component is written in.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
enum Language {
    /// Smallest and fastest; all slots.
    Rust,
    /// TypeScript or JavaScript, on QuickJS; pricing, promotion, tax, shipping.
    Ts,
    /// CPython; pricing, promotion, tax, shipping.
    Python,
}

impl Language {
    fn tools(self) -> &'static str {
        match self {
            Language::Rust => "Rust (https://rustup.rs)",
            Language::Ts => "Node.js 20 or newer with npm",
            Language::Python => "Python 3.11 or newer",
        }
    }

    fn source(self) -> &'static str {
        match self {
            Language::Rust => "`src/lib.rs`",
            Language::Ts => "`src/component.ts`",
            Language::Python => "`src/component.py`",
        }
    }
}

/// What to make.
#[derive(Args)]
pub struct New {
    /// Name of the component, in lowercase with hyphens: `spring-sale`.
    name: String,
    /// What to write it in.
    #[arg(long, value_enum)]
    lang: Language,
    /// pricing, promotion, tax, shipping or payment-gateway.
    #[arg(long)]
    slot: Slot,
    /// Where [default: a folder with the component's name].
    #[arg(long)]
    dir: Option<PathBuf>,
}

/// What to build.
#[derive(Args)]
pub struct Build {
    /// The component's folder.
    #[arg(default_value = ".")]
    dir: PathBuf,
}

/// Writes a project that builds and passes its cases at once.
pub fn new(args: &New) -> anyhow::Result<ExitCode> {
    let New { name, lang, slot, .. } = args;
    check_name(name)?;
    let folder = args.dir.clone().unwrap_or_else(|| PathBuf::from(name));
    let Some(files) = template::files(*lang, *slot, name) else {
        bail!("there is no template of a component for {slot} in this language. Use --lang rust");
    };
    if std::fs::read_dir(&folder).is_ok_and(|mut entries| entries.next().is_some()) {
        bail!("{} is not empty; nothing is overwritten. Use --dir for another folder", folder.display());
    }
    for (path, text) in files {
        let path = folder.join(path);
        let parent = path.parent().unwrap_or(&folder);
        std::fs::create_dir_all(parent).with_context(|| format!("make {}", parent.display()))?;
        std::fs::write(&path, text).with_context(|| format!("write {}", path.display()))?;
    }
    template::project(*lang, *slot, name).write(&folder)?;
    println!("{} has a component for {slot}: {} is where to write", folder.display(), lang.source());
    println!("next: cd {} && till component build && till component test", folder.display());
    Ok(ExitCode::SUCCESS)
}

/// The name goes into file names, a package's name and program text as it is.
fn check_name(name: &str) -> anyhow::Result<()> {
    let fine = name.len() <= NAME_MAX
        && name.starts_with(|c: char| c.is_ascii_lowercase())
        && !name.ends_with('-')
        && name.chars().all(|c| c.is_ascii_lowercase() || c.is_ascii_digit() || c == '-');
    if !fine {
        bail!(
            "`{name}` is no name for a component: at most {NAME_MAX} of a-z, 0-9 and -, beginning with a letter"
        );
    }
    Ok(())
}

/// Runs the build of a project's `till.json`, and says what came of it.
pub fn build(args: &Build) -> anyhow::Result<ExitCode> {
    let folder = &args.dir;
    let Some(project) = Project::read(folder)? else {
        bail!("{} has no till.json; `till component new` makes a component's folder", folder.display());
    };
    let Some((program, arguments)) = project.build.split_first() else {
        bail!("`build` in {}/till.json is empty: there is nothing to run", folder.display());
    };
    if program == "cargo" && project.build.iter().any(|word| word == RUST_TARGET) {
        add_rust_target()?;
    }
    println!("$ {}", project.build.join(" "));
    let status = Command::new(program).args(arguments).current_dir(folder).status();
    let status = match status {
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => {
            bail!("`{program}` is not there: {}", how_to_install(program))
        }
        other => other.with_context(|| format!("start `{program}`"))?,
    };
    if !status.success() {
        bail!("the build failed ({status}); what went wrong is above");
    }
    let wasm = folder.join(&project.wasm);
    let size = std::fs::metadata(&wasm)
        .with_context(|| format!("the build went well but left no {}", wasm.display()))?
        .len();
    println!("{}: {} kB", wasm.display(), size.div_ceil(1_000));
    Ok(ExitCode::SUCCESS)
}

fn how_to_install(program: &str) -> String {
    let how = match Path::new(program).file_stem().and_then(OsStr::to_str) {
        Some("cargo") => "install Rust (https://rustup.rs)",
        Some("node" | "npm" | "npx") => {
            "install Node.js 20 or newer (https://nodejs.org; Debian: apt-get install nodejs npm)"
        }
        Some("python3" | "python") => {
            "install Python 3.11 or newer (https://python.org; Debian: apt-get install python3 python3-venv)"
        }
        _ => "install it, or change `build` in till.json",
    };
    how.to_owned()
}

/// With rustup the target is one command away. Without, it came with the compiler or the build says so.
fn add_rust_target() -> anyhow::Result<()> {
    let Ok(listed) = Command::new("rustup").args(["target", "list", "--installed"]).output() else {
        return Ok(());
    };
    if String::from_utf8_lossy(&listed.stdout).lines().any(|line| line.trim() == RUST_TARGET) {
        return Ok(());
    }
    println!("$ rustup target add {RUST_TARGET}");
    let status = Command::new("rustup").args(["target", "add", RUST_TARGET]).status()?;
    if !status.success() {
        bail!("rustup could not add the target {RUST_TARGET}; it needs the network once");
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_becomes_a_package_and_program_text() {
        for fine in ["a", "spring-sale", "buy-3-pay-2"] {
            assert!(check_name(fine).is_ok(), "{fine}");
        }
        for bad in ["", "Sale", "-a", "3a", "a_b", "a/b", "../x", "a\"", "a-", "ä", &"x".repeat(61)] {
            assert!(check_name(bad).is_err(), "{bad}");
        }
    }

    #[test]
    fn a_folder_that_is_not_empty_is_left_alone() {
        let folder = tempfile::tempdir().unwrap();
        let new_there = || {
            new(&New {
                name: "sale".to_owned(),
                lang: Language::Rust,
                slot: Slot::Tax,
                dir: Some(folder.path().to_owned()),
            })
        };
        new_there().unwrap();
        std::fs::write(folder.path().join("src/lib.rs"), "mine").unwrap();
        let told = new_there().unwrap_err().to_string();
        assert!(told.contains("is not empty"), "{told}");
        assert_eq!(std::fs::read_to_string(folder.path().join("src/lib.rs")).unwrap(), "mine");
    }

    #[test]
    fn what_cannot_be_built_is_told_with_the_way_out() {
        let folder = tempfile::tempdir().unwrap();
        let told = || build(&Build { dir: folder.path().to_owned() }).unwrap_err().to_string();
        assert!(told().contains("has no till.json"), "{}", told());
        let write = |build: &[&str]| {
            let project = Project {
                slot: Slot::Tax,
                wasm: "out.wasm".into(),
                fixtures: "fixtures".into(),
                build: build.iter().map(|&word| word.to_owned()).collect(),
                config: None,
            };
            project.write(folder.path()).unwrap();
        };
        write(&["/nowhere/node", "build.mjs"]);
        assert!(told().contains("is not there: install Node.js"), "{}", told());
        write(&["false"]);
        assert!(told().contains("the build failed"), "{}", told());
        write(&["true"]);
        assert!(told().contains("left no"), "{}", told());
        write(&[]);
        assert!(told().contains("nothing to run"), "{}", told());
    }
}
