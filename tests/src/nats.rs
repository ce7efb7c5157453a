//! A NATS server of a test's own, where there is one on this machine.

use std::net::TcpListener;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::Instant;

use crate::PATIENCE;

/// `nats-server` with JetStream. Killed when dropped.
pub struct NatsServer {
    /// `nats://127.0.0.1:<port>`
    pub url: String,
    port: u16,
    folder: tempfile::TempDir,
    process: Child,
}

impl NatsServer {
    /// On a free port. None: there is no server on this machine, and that is told.
    pub fn start() -> Option<NatsServer> {
        let Some(program) = find() else {
            eprintln!("{}", "!".repeat(80));
            eprintln!("NOT RUN: everything on NATS. No nats-server was found in PATH or /usr/sbin.");
            eprintln!("{}", "!".repeat(80));
            return None;
        };
        // Free now; whoever takes it before the server does makes the start fail, and that is told.
        let port =
            TcpListener::bind("127.0.0.1:0").expect("a free port").local_addr().expect("its address").port();
        let folder = tempfile::tempdir().expect("a temporary folder");
        let process = run(&program, port, folder.path());
        let url = format!("nats://127.0.0.1:{port}");
        let mut server = NatsServer { url, port, folder, process };
        server.answers();
        Some(server)
    }

    /// SIGKILL.
    pub fn kill(&mut self) {
        let _ = self.process.kill();
        let _ = self.process.wait();
    }

    /// A new process on the same port and files.
    pub fn restart(&mut self) {
        self.kill();
        self.process = run(&find().expect("it was there"), self.port, self.folder.path());
        self.answers();
    }

    fn answers(&mut self) {
        let begun = Instant::now();
        while std::net::TcpStream::connect(("127.0.0.1", self.port)).is_err() {
            assert!(self.process.try_wait().expect("its state").is_none(), "nats-server did not start");
            assert!(begun.elapsed() < PATIENCE, "nats-server does not answer");
            std::thread::sleep(std::time::Duration::from_millis(20));
        }
    }
}

impl Drop for NatsServer {
    fn drop(&mut self) {
        self.kill();
    }
}

fn find() -> Option<PathBuf> {
    let path = std::env::var_os("PATH").unwrap_or_default();
    let folders = std::env::split_paths(&path).chain([PathBuf::from("/usr/sbin")]);
    folders.map(|folder| folder.join("nats-server")).find(|program| program.exists())
}

fn run(program: &Path, port: u16, folder: &Path) -> Child {
    Command::new(program)
        .args(["-js", "-a", "127.0.0.1", "-p", &port.to_string(), "-sd"])
        .arg(folder)
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .spawn()
        .expect("nats-server starts")
}
