//! From WASM to machine code: in a process of its own with limits, and kept on disk.
//!
//! Cranelift's time grows faster than the size of a function: 350 kB crafted for it took 22 s. So the host
//! starts a child that gives itself limits of CPU time and memory, and the code it writes is kept under the
//! component's digest and everything it depends on: settings, CPU features and the full version of wasmtime.
//! After an upgrade the name is another one and the code is made anew.

use crate::error::CompileFailure;
use crate::turns::Turns;
use crate::{Digest, LoadError};
use sha2::{Digest as _, Sha256};
use std::ffi::OsString;
use std::hash::{Hash as _, Hasher};
use std::io::Write as _;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};
use wasmtime::Engine;
use wasmtime::component::Component as Wasm;

/// CPU time of a compilation whatever the size, seconds. A Rust guest of 300 kB needs 1.
pub const COMPILE_CPU_S: u64 = 10;
/// CPU time for each further MiB, seconds. A Python guest of 18 MiB needs 40 in all.
const CPU_S_PER_MIB: u64 = 3;
/// The child gives way to those who serve shoppers, and still gets a fourth of a core of a busy host.
const NICENESS: i32 = 5;
/// Wall time for each second of CPU time.
const WALL_PER_CPU: u32 = 6;
/// Address space of the child. A guest of 18 MiB needs 400 MiB.
const MEMORY_BYTES: u64 = 2 << 30;
/// Largest machine code. It is about five times the WASM.
const CODE_BYTES_MAX: u64 = 256 << 20;
/// What the child says that goes into a report.
const WORDS_MAX: usize = 2_000;
/// How often the host looks whether the child has ended.
const LOOK: Duration = Duration::from_millis(5);

/// Where components are compiled.
#[derive(Clone, Debug, Default)]
pub enum Compiler {
    /// In this process, without limits: for whoever compiles components of their own.
    #[default]
    Here,
    /// In child processes with limits. What they write is kept.
    Child {
        /// Program and arguments; seconds of CPU time, the paths of input and output and, where lines of
        /// the source are wanted, `--source-lines` are added. It calls [`compile_file`] with them.
        command: Vec<OsString>,
        /// CPU time whatever the size, seconds: [`COMPILE_CPU_S`]. Each MiB adds 3.
        cpu_s: u64,
        /// Folder for machine code. Whoever can write there can run code in this host.
        cache: PathBuf,
    },
}

/// Compiles one at a time: a second one would take the cores from those who serve shoppers. Merchants take turns.
pub(crate) struct Workshop {
    compiler: Compiler,
    source_lines: bool,
    turns: Turns,
}

impl Workshop {
    pub(crate) fn new(compiler: Compiler, source_lines: bool) -> std::io::Result<Workshop> {
        if let Compiler::Child { cache, .. } = &compiler {
            private_folder(cache)?;
        }
        Ok(Workshop { compiler, source_lines, turns: Turns::default() })
    }

    /// Machine code for a component: kept from before, or made now.
    pub(crate) fn make(
        &self,
        engine: &Engine,
        merchant: &str,
        digest: Digest,
        bytes: &[u8],
    ) -> Result<Wasm, LoadError> {
        let Compiler::Child { command, cpu_s, cache } = &self.compiler else {
            return Wasm::from_binary(engine, bytes).map_err(LoadError::Compile);
        };
        let place = cache.join(format!("{digest}.{}.code", fingerprint(engine)));
        if let Some(wasm) = kept(engine, &place) {
            return Ok(wasm);
        }
        let _turn = self.turns.enter(merchant);
        if let Some(wasm) = kept(engine, &place) {
            return Ok(wasm); // Somebody made it while we waited.
        }
        let beside = cache.join(format!("{digest}.{}.making", std::process::id()));
        let input = beside.with_extension("wasm");
        let made = std::fs::write(&input, bytes)
            .map_err(|error| {
                LoadError::Host(std::io::Error::other(format!("write {}: {error}", input.display())))
            })
            .and_then(|()| {
                let cpu_s = cpu_s + (bytes.len() as u64 >> 20) * CPU_S_PER_MIB;
                run(command, cpu_s, &input, &beside, self.source_lines)
            })
            .and_then(|()| std::fs::rename(&beside, &place).map_err(LoadError::Host));
        for path in [&input, &beside] {
            if let Err(error) = std::fs::remove_file(path)
                && error.kind() != std::io::ErrorKind::NotFound
            {
                tracing::warn!(path = %path.display(), %error, "remove what a compilation left");
            }
        }
        made?;
        kept(engine, &place).ok_or_else(|| {
            LoadError::Host(std::io::Error::other("the machine code just written cannot be read"))
        })
    }
}

/// Runs the child and waits for it.
fn run(
    command: &[OsString],
    cpu_s: u64,
    input: &Path,
    output: &Path,
    source_lines: bool,
) -> Result<(), LoadError> {
    let (program, args) =
        command.split_first().ok_or_else(|| LoadError::Host(std::io::Error::other("no compiler is set")))?;
    let mut child = Command::new(program)
        .args(args)
        .arg(cpu_s.to_string())
        .arg(input)
        .arg(output)
        .args(source_lines.then_some("--source-lines"))
        .env_clear()
        .stdin(Stdio::null())
        .stdout(Stdio::null())
        .stderr(Stdio::piped())
        .spawn()
        .map_err(LoadError::Host)?;
    let until = Instant::now() + Duration::from_secs(cpu_s).saturating_mul(WALL_PER_CPU);
    let status = loop {
        match child.try_wait().map_err(LoadError::Host)? {
            Some(status) => break status,
            None if Instant::now() > until => {
                let _ = child.kill();
                let _ = child.wait();
                return Err(LoadError::CompileLimit(CompileFailure::Time { cpu_s }));
            }
            None => std::thread::sleep(LOOK),
        }
    };
    if status.success() {
        return Ok(());
    }
    let said = words(&mut child);
    Err(match signal(status) {
        Some(signals::XCPU | signals::KILL) => LoadError::CompileLimit(CompileFailure::Time { cpu_s }),
        Some(signals::XFSZ) => LoadError::CompileLimit(CompileFailure::Code { bytes: CODE_BYTES_MAX }),
        Some(_) if said.contains("memory allocation") => {
            LoadError::CompileLimit(CompileFailure::Memory { bytes: MEMORY_BYTES })
        }
        Some(number) => LoadError::CompileLimit(CompileFailure::Died { signal: number, said }),
        None => LoadError::Compile(wasmtime::Error::msg(said)),
    })
}

/// Numbers of the signals that limits are told by, the same on all systems we run on.
mod signals {
    pub(super) const KILL: i32 = 9;
    pub(super) const XCPU: i32 = 24;
    pub(super) const XFSZ: i32 = 25;
}

fn signal(status: std::process::ExitStatus) -> Option<i32> {
    use std::os::unix::process::ExitStatusExt as _;
    status.signal()
}

fn words(child: &mut Child) -> String {
    use std::io::Read as _;
    let mut said = Vec::new();
    if let Some(stderr) = child.stderr.take() {
        let _ = stderr.take(WORDS_MAX as u64).read_to_end(&mut said);
    }
    String::from_utf8_lossy(&said).trim().to_owned()
}

/// What the child does: limits itself, compiles `input` and writes the machine code to `output`.
pub fn compile_file(cpu_s: u64, input: &Path, output: &Path, source_lines: bool) -> Result<(), String> {
    let told = |what: &str, error: &dyn std::fmt::Display| format!("{what}: {error}");
    let bytes = std::fs::read(input).map_err(|error| told("read the component", &error))?;
    limit_this_process(cpu_s).map_err(|error| told("set limits", &error))?;
    let engine =
        Engine::new(&crate::engine::compile_settings(source_lines)).map_err(|error| format!("{error:#}"))?;
    let code = engine.precompile_component(&bytes).map_err(|error| format!("{error:#}"))?;
    let mut file = std::fs::File::create(output).map_err(|error| told("write machine code", &error))?;
    file.write_all(&Sha256::digest(&code)).map_err(|error| told("write machine code", &error))?;
    file.write_all(&code).map_err(|error| told("write machine code", &error))?;
    file.sync_all().map_err(|error| told("write machine code", &error))
}

fn limit_this_process(cpu_s: u64) -> std::io::Result<()> {
    use rustix::process::{Resource, Rlimit, setrlimit};
    let at_most = |most: u64| Rlimit { current: Some(most), maximum: Some(most) };
    // Soft before hard: the soft one ends it with a signal that says why.
    setrlimit(Resource::Cpu, Rlimit { current: Some(cpu_s), maximum: Some(cpu_s + 1) })?;
    setrlimit(Resource::As, at_most(MEMORY_BYTES))?;
    setrlimit(Resource::Fsize, at_most(CODE_BYTES_MAX))?;
    setrlimit(Resource::Core, at_most(0))?;
    rustix::process::nice(NICENESS)?;
    Ok(())
}

/// Names everything that machine code depends on beside the component.
fn fingerprint(engine: &Engine) -> String {
    struct Sha(Sha256);
    impl Hasher for Sha {
        fn write(&mut self, bytes: &[u8]) {
            self.0.update(bytes);
        }
        fn finish(&self) -> u64 {
            0
        }
    }
    let mut hash = Sha(Sha256::new());
    // Holds settings, target, CPU features and the full version of wasmtime.
    engine.precompile_compatibility_hash().hash(&mut hash);
    hex::encode(&hash.0.finalize()[..12])
}

/// Machine code kept from before. None: there is none, or it is damaged and was removed.
fn kept(engine: &Engine, place: &Path) -> Option<Wasm> {
    let file = std::fs::read(place).ok()?;
    let whole = file.split_at_checked(32).filter(|(sum, code)| Sha256::digest(code)[..] == **sum);
    let wasm = whole.and_then(|(_, code)| {
        #[expect(
            unsafe_code,
            reason = "our own child wrote it into a folder of this user's; its sum is right"
        )]
        // SAFETY: the bytes are what `precompile_component` gave, unchanged since.
        let wasm = unsafe { Wasm::deserialize(engine, code) };
        wasm.inspect_err(|error| tracing::warn!(%error, "machine code does not fit this host")).ok()
    });
    if wasm.is_none() {
        tracing::warn!(path = %place.display(), "machine code is damaged; it is made anew");
        let _ = std::fs::remove_file(place);
    }
    wasm
}

/// A folder that is this user's alone.
fn private_folder(path: &Path) -> std::io::Result<()> {
    use std::os::unix::fs::{DirBuilderExt as _, MetadataExt as _};
    std::fs::DirBuilder::new().recursive(true).mode(0o700).create(path)?;
    let about = std::fs::metadata(path)?;
    let ours = about.uid() == rustix::process::geteuid().as_raw();
    if ours && about.mode() & 0o022 == 0 {
        return Ok(());
    }
    Err(std::io::Error::other(format!(
        "{} must belong to the user of this host and be writable by nobody else (chmod 700)",
        path.display()
    )))
}
