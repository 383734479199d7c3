//! A real PostgreSQL in a temporary folder, on a free port.

use std::fs::File;
use std::io::{Error, Read, Write};
use std::net::TcpStream;
use std::os::unix::fs::chown;
use std::os::unix::process::CommandExt;
use std::path::PathBuf;
use std::process::{Command, Stdio};
use std::time::Duration;

use rustix::process::Signal;
use tempfile::TempDir;

use crate::program::{Running, find, log_text, run, unprivileged};
use crate::server::free_port;

const PACKAGE: &str = "postgresql";
const USER: &str = "weir";

/// A `postgres` that is fast and forgetful (no fsync); stopped when dropped.
pub struct PostgresServer {
    folder: TempDir,
    port: u16,
    running: Option<Running>,
}

impl PostgresServer {
    /// Makes a database cluster in a temporary folder, starts it and waits until it answers.
    ///
    /// # Panics
    /// PostgreSQL is missing or does not start.
    #[must_use]
    pub fn start() -> Self {
        let folder = tempfile::tempdir().expect("a temporary folder");
        let mut server = Self { folder, port: 0, running: None };
        server.initialise();
        // A port that was free a moment ago may be taken by now.
        for _ in 0..5 {
            server.port = free_port();
            if server.launch() {
                return server;
            }
        }
        panic!("postgres does not start: {}", server.log());
    }

    /// The URL of the database `postgres`.
    #[must_use]
    pub fn url(&self) -> String {
        self.url_of("postgres")
    }

    /// Makes an empty database and gives its URL.
    ///
    /// # Panics
    /// There is one of this name, or the server does not answer.
    #[must_use]
    pub fn create_database(&self, name: &str) -> String {
        self.execute(&format!("CREATE DATABASE \"{name}\""))
            .unwrap_or_else(|e| panic!("CREATE DATABASE {name}: {e}"));
        self.url_of(name)
    }

    /// Kills it at once, as a crash would.
    pub fn kill(&mut self) {
        if let Some(running) = self.running.take() {
            // The processes that serve connections end with the first only if it can tell them to.
            running.signal(Signal::QUIT);
        }
    }

    /// Starts it again with the data it had, on the same port.
    ///
    /// # Panics
    /// It does not start.
    pub fn restart(&mut self) {
        self.kill();
        assert!(self.launch(), "postgres does not start: {}", self.log());
    }

    /// Stops the process that takes connections: those that are open still work, new ones are not answered.
    pub fn pause(&self) {
        self.signal(Signal::STOP);
    }

    /// Lets it go on.
    pub fn resume(&self) {
        self.signal(Signal::CONT);
    }

    fn signal(&self, signal: Signal) {
        self.running.as_ref().expect("postgres is running").signal(signal);
    }

    fn url_of(&self, database: &str) -> String {
        format!("postgres://{USER}@127.0.0.1:{}/{database}", self.port)
    }

    fn log(&self) -> String {
        log_text(&self.folder.path().join("log"))
    }

    fn initialise(&self) {
        if let Some((user, group)) = owner() {
            chown(self.folder.path(), Some(user), Some(group)).expect("root may give its folder away");
        }
        let mut command = self.program("initdb");
        run(command
            .args(["--auth=trust", "--encoding=UTF8", "--locale=C", "--no-sync", "--no-instructions"])
            .args(["--username", USER, "--pgdata"])
            .arg(self.data()));
    }

    fn launch(&mut self) -> bool {
        let log = File::create(self.folder.path().join("log")).expect("a file in our folder");
        let mut command = self.program("postgres");
        command
            .arg("-D")
            .arg(self.data())
            .args(["-p", &self.port.to_string(), "-c", "listen_addresses=127.0.0.1"])
            .args(["-c", "unix_socket_directories=", "-c", "fsync=off", "-c", "full_page_writes=off"])
            .args(["-c", "synchronous_commit=off", "-c", "shared_buffers=16MB"])
            .stdin(Stdio::null())
            .stdout(log.try_clone().expect("a second handle"))
            .stderr(log);
        let mut running = Running::spawn(&mut command, Signal::QUIT);
        // Another PostgreSQL may have the port: ours says its own folder, and any other divides by zero.
        let data = self.data();
        let is_ours = format!("SELECT 1 / (current_setting('data_directory') = '{}')::int", data.display());
        let ready = running.wait_until("postgres", || self.execute(&is_ours).is_ok());
        self.running = Some(running);
        ready
    }

    fn data(&self) -> PathBuf {
        self.folder.path().join("data")
    }

    /// A command that runs in our folder as somebody whom PostgreSQL accepts.
    fn program(&self, name: &str) -> Command {
        let mut command = Command::new(find(name, PACKAGE, &debian_folders()));
        command.current_dir(self.folder.path());
        if let Some((user, group)) = owner() {
            command.uid(user).gid(group);
        }
        command
    }

    /// Runs one statement over a connection of its own, in the simple query protocol.
    fn execute(&self, sql: &str) -> std::io::Result<()> {
        let mut tcp = TcpStream::connect(("127.0.0.1", self.port))?;
        tcp.set_read_timeout(Some(Duration::from_secs(10)))?;
        let startup = format!("\0\x03\0\0user\0{USER}\0database\0postgres\0\0");
        tcp.write_all(&with_length(startup.as_bytes()))?;
        until_ready(&mut tcp)?;
        tcp.write_all(b"Q")?;
        tcp.write_all(&with_length(format!("{sql}\0").as_bytes()))?;
        until_ready(&mut tcp)
    }
}

/// Where Debian puts the server's programs, the newest version first.
fn debian_folders() -> Vec<PathBuf> {
    let versions = std::fs::read_dir("/usr/lib/postgresql").into_iter().flatten().flatten();
    let mut folders: Vec<_> = versions.map(|version| version.path().join("bin")).collect();
    folders.sort();
    folders.reverse();
    folders
}

/// PostgreSQL refuses to run as root.
fn owner() -> Option<(u32, u32)> {
    unprivileged(&["postgres", "nobody"])
}

fn with_length(message: &[u8]) -> Vec<u8> {
    let length = u32::try_from(message.len() + 4).expect("a short message");
    [&length.to_be_bytes(), message].concat()
}

/// Reads messages until the server is ready for the next statement; an error message is an error.
fn until_ready(tcp: &mut TcpStream) -> std::io::Result<()> {
    loop {
        let mut head = [0; 5];
        tcp.read_exact(&mut head)?;
        let [kind, length @ ..] = head;
        let mut body = vec![0; (u32::from_be_bytes(length) as usize).saturating_sub(4)];
        tcp.read_exact(&mut body)?;
        match kind {
            b'E' => return Err(Error::other(String::from_utf8_lossy(&body).replace('\0', " "))),
            b'Z' => return Ok(()),
            _ => {}
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn databases_are_made_once_and_survive_a_restart() {
        let mut postgres = PostgresServer::start();
        assert!(postgres.create_database("one").ends_with("/one"));
        let again = postgres.execute("CREATE DATABASE \"one\"").unwrap_err();
        assert!(again.to_string().contains("already exists"), "{again}");
        postgres.kill();
        assert!(postgres.execute("SELECT 1").is_err());
        postgres.restart();
        assert!(postgres.execute("CREATE DATABASE \"one\"").is_err());
    }
}
