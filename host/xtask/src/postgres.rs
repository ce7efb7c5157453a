//! A private PostgreSQL: a cluster of its own in a temporary folder, gone when it is dropped.

use std::net::{Ipv4Addr, TcpListener};
use std::os::unix::fs::{MetadataExt as _, PermissionsExt as _, chown};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use anyhow::{Context as _, Result, bail};

use crate::cargo::finish;

/// It starts in about a second; a busy machine may take many.
const START_MAX: Duration = Duration::from_secs(60);
/// A fast shutdown takes a second.
const STOP_MAX: Duration = Duration::from_secs(20);

/// A running server. Stopped and removed when dropped.
pub struct Postgres {
    server: Child,
    folder: PathBuf,
    port: u16,
}

/// Whom the server runs as: it refuses to run as root.
#[derive(Clone, Copy)]
struct User {
    uid: u32,
    gid: u32,
}

impl Postgres {
    /// Starts a server. None: there are no binaries, and they cannot be installed.
    pub fn start() -> Result<Option<Postgres>> {
        let Some(bin) = find().or_else(install) else { return Ok(None) };
        let user = if is_root()? { Some(unprivileged()?) } else { None };
        let folder = std::env::temp_dir().join(format!("till-postgres-{}", std::process::id()));
        std::fs::create_dir(&folder).with_context(|| format!("make {}", folder.display()))?;
        let started = Postgres::start_in(&bin, user, folder.clone());
        if started.is_err() {
            let _ = std::fs::remove_dir_all(&folder);
        }
        started.map(Some)
    }

    fn start_in(bin: &Path, user: Option<User>, folder: PathBuf) -> Result<Postgres> {
        std::fs::set_permissions(&folder, std::fs::Permissions::from_mode(0o700))?;
        if let Some(user) = user {
            chown(&folder, Some(user.uid), Some(user.gid))?;
        }
        let data = folder.join("data");
        let made = as_user(user, &bin.join("initdb"))
            .args(["-N", "--auth=trust", "-U", "till", "-E", "UTF8", "--locale=C", "-D"])
            .arg(&data)
            .current_dir(&folder)
            .output()
            .context("start initdb")?;
        if !made.status.success() {
            bail!(
                "initdb failed: {}{}",
                String::from_utf8_lossy(&made.stdout),
                String::from_utf8_lossy(&made.stderr)
            );
        }
        // Free now; whoever takes it before the server does makes the start fail, and that is told.
        let port = TcpListener::bind((Ipv4Addr::LOCALHOST, 0))?.local_addr()?.port();
        let log = std::fs::File::create(folder.join("log"))?;
        let server = as_user(user, &bin.join("postgres"))
            .arg("-D")
            .arg(&data)
            .arg("-k")
            .arg(&folder)
            .args(["-p", &port.to_string(), "-h", "127.0.0.1"])
            .args(["-c", "fsync=off", "-c", "full_page_writes=off", "-c", "max_connections=200"])
            .current_dir(&folder)
            .stdin(Stdio::null())
            .stdout(log.try_clone()?)
            .stderr(log)
            .spawn()
            .context("start postgres")?;
        let mut postgres = Postgres { server, folder, port };
        postgres.wait(bin)?;
        println!("PostgreSQL ({}) listens on 127.0.0.1:{port}", bin.display());
        Ok(postgres)
    }

    /// URL of its database for administration; tests make their own beside it.
    pub fn url(&self) -> String {
        format!("postgres://till@127.0.0.1:{}/postgres", self.port)
    }

    fn wait(&mut self, bin: &Path) -> Result<()> {
        let started = Instant::now();
        loop {
            let port = self.port.to_string();
            let ready =
                Command::new(bin.join("pg_isready")).args(["-q", "-h", "127.0.0.1", "-p", &port]).status();
            if ready.context("start pg_isready")?.success() {
                return Ok(());
            }
            if self.server.try_wait()?.is_some() || started.elapsed() > START_MAX {
                let log = std::fs::read_to_string(self.folder.join("log")).unwrap_or_default();
                bail!("PostgreSQL did not start: {log}");
            }
            std::thread::sleep(Duration::from_millis(50));
        }
    }
}

impl Drop for Postgres {
    fn drop(&mut self) {
        // Interrupt is a fast shutdown: sessions are ended, files are left whole.
        let _ = Command::new("kill").args(["-INT", &self.server.id().to_string()]).status();
        let asked = Instant::now();
        while asked.elapsed() < STOP_MAX && self.server.try_wait().is_ok_and(|status| status.is_none()) {
            std::thread::sleep(Duration::from_millis(20));
        }
        let _ = self.server.kill();
        let _ = self.server.wait();
        if let Err(error) = std::fs::remove_dir_all(&self.folder) {
            eprintln!("remove {}: {error}", self.folder.display());
        }
    }
}

/// A command as that user, ended when we are.
fn as_user(user: Option<User>, program: &Path) -> Command {
    let Some(user) = user else { return Command::new(program) };
    let mut command = Command::new("setpriv");
    command
        .args([format!("--reuid={}", user.uid), format!("--regid={}", user.gid)])
        .args(["--clear-groups", "--pdeathsig", "INT"])
        .arg(program);
    command
}

/// Folder of the newest binaries: Debian's, else those in `PATH`.
fn find() -> Option<PathBuf> {
    let versions = std::fs::read_dir("/usr/lib/postgresql").into_iter().flatten().flatten();
    let mut debian: Vec<(u32, PathBuf)> = versions
        .filter_map(|entry| Some((entry.file_name().to_str()?.parse().ok()?, entry.path().join("bin"))))
        .filter(|(_, bin)| bin.join("initdb").exists() && bin.join("postgres").exists())
        .collect();
    debian.sort();
    let in_path = || {
        let path = std::env::var_os("PATH")?;
        std::env::split_paths(&path).find(|bin| bin.join("initdb").exists() && bin.join("postgres").exists())
    };
    debian.pop().map(|(_, bin)| bin).or_else(in_path)
}

/// Installs it where that is possible: on Debian, as root.
fn install() -> Option<PathBuf> {
    if !is_root().ok()? || !Path::new("/usr/bin/apt-get").exists() {
        return None;
    }
    let apt = |args: &[&str]| {
        finish(Command::new("apt-get").env("DEBIAN_FRONTEND", "noninteractive").args(["-y", "-q"]).args(args))
    };
    let install = ["install", "--no-install-recommends", "postgresql"];
    let done = apt(&install).or_else(|_| apt(&["update"]).and_then(|()| apt(&install)));
    if let Err(error) = done {
        eprintln!("install postgresql: {error}");
    }
    find()
}

fn is_root() -> Result<bool> {
    Ok(std::fs::metadata("/proc/self").context("ask who we are")?.uid() == 0)
}

/// `postgres`, else `nobody`.
fn unprivileged() -> Result<User> {
    let users = std::fs::read_to_string("/etc/passwd").context("read /etc/passwd")?;
    let of = |name: &str| {
        let line = users.lines().find(|line| line.split(':').next() == Some(name))?;
        let fields: Vec<&str> = line.split(':').collect();
        Some(User { uid: fields.get(2)?.parse().ok()?, gid: fields.get(3)?.parse().ok()? })
    };
    of("postgres")
        .or_else(|| of("nobody"))
        .context("PostgreSQL refuses to run as root, and there is no user `nobody`")
}
