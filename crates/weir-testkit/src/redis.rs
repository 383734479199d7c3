//! A real Redis on a free port, which tests may stop, pause and start again.

use std::fs::File;
use std::io::{Read, Write};
use std::net::TcpStream;
use std::process::{Command, Stdio};
use std::time::Duration;

use rustix::process::Signal;
use tempfile::TempDir;

use crate::program::{Running, find, log_text};
use crate::server::free_port;

/// A `redis-server` that keeps nothing on disk; stopped when dropped.
pub struct RedisServer {
    folder: TempDir,
    port: u16,
    running: Option<Running>,
}

impl RedisServer {
    /// Starts it and waits until it answers.
    ///
    /// # Panics
    /// `redis-server` is missing or does not start.
    #[must_use]
    pub fn start() -> Self {
        let folder = tempfile::tempdir().expect("a temporary folder");
        let mut server = Self { folder, port: 0, running: None };
        // A port that was free a moment ago may be taken by now.
        for _ in 0..5 {
            server.port = free_port();
            if server.launch() {
                return server;
            }
        }
        panic!("redis-server does not start: {}", log_text(&server.folder.path().join("log")));
    }

    /// Its URL, with the database 0.
    #[must_use]
    pub fn url(&self) -> String {
        format!("redis://127.0.0.1:{}", self.port)
    }

    /// Its port.
    #[must_use]
    pub fn port(&self) -> u16 {
        self.port
    }

    /// Kills it at once, as a crash would.
    pub fn kill(&mut self) {
        if let Some(mut running) = self.running.take() {
            running.kill();
        }
    }

    /// Starts it again, empty, on the same port.
    ///
    /// # Panics
    /// It does not start.
    pub fn restart(&mut self) {
        self.kill();
        assert!(self.launch(), "redis-server does not start: {}", log_text(&self.folder.path().join("log")));
    }

    /// Stops it in its tracks: connections stay open and are not answered.
    pub fn pause(&self) {
        self.signal(Signal::STOP);
    }

    /// Lets it go on.
    pub fn resume(&self) {
        self.signal(Signal::CONT);
    }

    /// Runs one command, such as `["GET", "key"]`, and gives the raw answer of its protocol.
    ///
    /// # Panics
    /// It does not answer.
    #[must_use]
    pub fn command(&self, words: &[&str]) -> String {
        self.try_command(words).unwrap_or_else(|e| panic!("redis: {words:?}: {e}"))
    }

    /// The string under a key, if there is one.
    ///
    /// # Panics
    /// It does not answer, or the key holds no string.
    #[must_use]
    pub fn get(&self, key: &str) -> Option<String> {
        let answer = self.command(&["GET", key]);
        assert!(answer.starts_with('$'), "redis: GET {key}: {answer}");
        let (_length, value) = answer.split_once("\r\n").filter(|(length, _)| *length != "$-1")?;
        Some(value.strip_suffix("\r\n").unwrap_or(value).to_owned())
    }

    fn signal(&self, signal: Signal) {
        self.running.as_ref().expect("redis-server is running").signal(signal);
    }

    fn launch(&mut self) -> bool {
        let program = find("redis-server", "redis-server", &[]);
        let log = File::create(self.folder.path().join("log")).expect("a file in our folder");
        let mut command = Command::new(program);
        command
            .args(["--bind", "127.0.0.1", "--port", &self.port.to_string()])
            .args(["--save", "", "--appendonly", "no", "--dir"])
            .arg(self.folder.path())
            .stdin(Stdio::null())
            .stdout(log.try_clone().expect("a second handle"))
            .stderr(log);
        let mut running = Running::spawn(&mut command, Signal::TERM);
        let pid = running.id();
        // Another Redis may have the port: ours says its own process id.
        let ready = running.wait_until("redis-server", || {
            let info = self.try_command(&["INFO", "server"]);
            info.is_ok_and(|info| info.contains(&format!("process_id:{pid}\r\n")))
        });
        self.running = Some(running);
        ready
    }

    fn try_command(&self, words: &[&str]) -> std::io::Result<String> {
        let mut tcp = TcpStream::connect(("127.0.0.1", self.port))?;
        tcp.set_read_timeout(Some(Duration::from_secs(5)))?;
        let mut request = format!("*{}\r\n", words.len());
        for word in words {
            request.push_str(&format!("${}\r\n{word}\r\n", word.len()));
        }
        // With QUIT, the end of the connection is the end of the answer.
        request.push_str("*1\r\n$4\r\nQUIT\r\n");
        tcp.write_all(request.as_bytes())?;
        let mut answer = String::new();
        tcp.read_to_string(&mut answer)?;
        Ok(answer.strip_suffix("+OK\r\n").unwrap_or(&answer).to_owned())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn it_keeps_values_until_it_is_killed_and_comes_back_empty() {
        let mut redis = RedisServer::start();
        assert_eq!(redis.get("a"), None);
        assert_eq!(redis.command(&["SET", "a", "block"]), "+OK\r\n");
        assert_eq!(redis.get("a").as_deref(), Some("block"));
        redis.kill();
        assert!(TcpStream::connect(("127.0.0.1", redis.port())).is_err());
        redis.restart();
        assert_eq!(redis.get("a"), None);
    }

    #[test]
    fn a_paused_server_takes_connections_and_does_not_answer() {
        let redis = RedisServer::start();
        redis.pause();
        let mut tcp = TcpStream::connect(("127.0.0.1", redis.port())).unwrap();
        tcp.write_all(b"PING\r\n").unwrap();
        tcp.set_read_timeout(Some(Duration::from_millis(50))).unwrap();
        let mut answer = [0; 7];
        assert!(tcp.read(&mut answer).is_err());
        redis.resume();
        tcp.set_read_timeout(Some(Duration::from_secs(5))).unwrap();
        tcp.read_exact(&mut answer).unwrap();
        assert_eq!(&answer, b"+PONG\r\n");
    }
}
