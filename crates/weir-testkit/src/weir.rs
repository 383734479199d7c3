//! The real `weir` binary as a process.

use std::path::{Path, PathBuf};
use std::process::{ExitStatus, Stdio};
use std::sync::{Arc, Mutex};

use rustix::process::{Pid, kill_process};
use tempfile::TempDir;
use tokio::io::{AsyncBufReadExt, AsyncRead, BufReader};
use tokio::process::{Child, Command};
use tokio::sync::Notify;

use crate::deadline::{until, within};

pub use rustix::process::Signal;

/// What is to be started: the binary, its configuration, other files, the environment.
#[derive(Debug)]
pub struct WeirCommand {
    binary: PathBuf,
    config: String,
    files: Vec<(String, String)>,
    environment: Vec<(String, String)>,
    folder: Option<PathBuf>,
}

impl WeirCommand {
    /// `weir serve` with this configuration. Unless it says where to listen, both planes take free ports.
    #[must_use]
    pub fn new(binary: &Path, config_yaml: &str) -> Self {
        Self {
            binary: binary.to_owned(),
            config: with_free_ports(config_yaml),
            files: Vec::new(),
            environment: Vec::new(),
            folder: None,
        }
    }

    /// Writes a file beside the configuration first, such as `rules/abuse.yaml`.
    #[must_use]
    pub fn file(mut self, path: &str, text: &str) -> Self {
        self.files.push((path.to_owned(), text.to_owned()));
        self
    }

    /// Sets a variable of the environment.
    #[must_use]
    pub fn env(mut self, name: &str, value: &str) -> Self {
        self.environment.push((name.to_owned(), value.to_owned()));
        self
    }

    /// Runs in this folder, which stays, instead of a temporary one.
    #[must_use]
    pub fn folder(mut self, folder: &Path) -> Self {
        self.folder = Some(folder.to_owned());
        self
    }

    /// Starts it and waits until it is ready.
    ///
    /// # Panics
    /// It ended first, or took too long; the message holds what it said.
    pub async fn start(self) -> WeirProcess {
        self.try_start().await.unwrap_or_else(|failed| panic!("weir did not get ready: {failed:?}"))
    }

    /// Starts it and waits until it is ready or has ended.
    ///
    /// # Errors
    /// It ended before it was ready.
    ///
    /// # Panics
    /// It neither got ready nor ended.
    pub async fn try_start(self) -> Result<WeirProcess, Ended> {
        let mut process = self.spawn();
        let output = Arc::clone(&process.output);
        let ready = until(&output.changed, "weir to get ready or end", || {
            let stdout = output.stdout();
            let line = stdout.lines().find(|line| line.starts_with("weir ready ")).map(ToOwned::to_owned);
            line.map(Some).or_else(|| output.closed().then_some(None))
        });
        match ready.await {
            Some(line) => {
                process.data = url_in(&line, "data=");
                process.admin = url_in(&line, "admin=");
                Ok(process)
            }
            None => {
                let status = process.wait().await;
                Err(Ended { status, stdout: process.stdout(), stderr: process.stderr() })
            }
        }
    }

    fn spawn(self) -> WeirProcess {
        let temporary = self.folder.is_none().then(|| tempfile::tempdir().expect("a temporary folder"));
        let folder =
            self.folder.or_else(|| Some(temporary.as_ref()?.path().to_owned())).expect("one of the two");
        write(&folder.join("weir.yaml"), &self.config);
        for (path, text) in &self.files {
            write(&folder.join(path), text);
        }
        let mut child = Command::new(&self.binary)
            .args(["serve", "--config", "weir.yaml"])
            .current_dir(&folder)
            .envs(self.environment)
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .kill_on_drop(true)
            .spawn()
            .unwrap_or_else(|e| panic!("{}: {e}", self.binary.display()));
        let output = Arc::new(Output::default());
        tokio::spawn(read(child.stdout.take().expect("it is piped"), Arc::clone(&output), |o| &o.stdout));
        tokio::spawn(read(child.stderr.take().expect("it is piped"), Arc::clone(&output), |o| &o.stderr));
        WeirProcess {
            child,
            output,
            folder,
            _temporary: temporary,
            data: String::new(),
            admin: String::new(),
        }
    }
}

/// A run of `weir` that is over.
#[derive(Clone, Debug)]
pub struct Ended {
    /// How it ended.
    pub status: ExitStatus,
    /// What it printed.
    pub stdout: String,
    /// What it logged.
    pub stderr: String,
}

/// A running `weir serve`; killed when dropped.
pub struct WeirProcess {
    child: Child,
    output: Arc<Output>,
    folder: PathBuf,
    _temporary: Option<TempDir>,
    data: String,
    admin: String,
}

impl WeirProcess {
    /// Starts `weir serve` in a temporary folder and waits until it is ready. More can be said with
    /// [`WeirCommand`].
    ///
    /// # Panics
    /// It did not get ready; the message holds what it said.
    pub async fn start(binary: &Path, config_yaml: &str) -> Self {
        WeirCommand::new(binary, config_yaml).start().await
    }

    /// The URL of the data plane, as it was printed.
    #[must_use]
    pub fn data(&self) -> &str {
        &self.data
    }

    /// The URL of the admin plane, as it was printed.
    #[must_use]
    pub fn admin(&self) -> &str {
        &self.admin
    }

    /// The folder in which it runs, with `weir.yaml`.
    #[must_use]
    pub fn folder(&self) -> &Path {
        &self.folder
    }

    /// The admin token that it made, from the data folder of the default configuration.
    ///
    /// # Panics
    /// It made none, because the configuration has one.
    #[must_use]
    pub fn admin_token(&self) -> String {
        let file = self.folder.join("weir-data").join("admin-token");
        let token = std::fs::read_to_string(&file).unwrap_or_else(|e| panic!("{}: {e}", file.display()));
        token.trim().to_owned()
    }

    /// Its process id, while it runs.
    #[must_use]
    pub fn id(&self) -> Option<u32> {
        self.child.id()
    }

    /// What it has printed so far.
    #[must_use]
    pub fn stdout(&self) -> String {
        self.output.stdout()
    }

    /// What it has logged so far.
    #[must_use]
    pub fn stderr(&self) -> String {
        self.output.stderr()
    }

    /// Waits until what it has logged contains `text`.
    pub async fn wait_for_stderr(&self, text: &str) {
        let what = format!("`{text}` in the log of weir");
        until(&self.output.changed, &what, || self.stderr().contains(text).then_some(())).await;
    }

    /// Sends it a signal.
    ///
    /// # Panics
    /// It has ended.
    pub fn signal(&self, signal: Signal) {
        let id = self.child.id().and_then(|id| Pid::from_raw(i32::try_from(id).ok()?));
        kill_process(id.expect("weir is running"), signal).expect("our own child takes signals");
    }

    /// Waits for its end.
    ///
    /// # Panics
    /// It does not end.
    pub async fn wait(&mut self) -> ExitStatus {
        let status = within("weir to end", self.child.wait()).await.expect("our own child can be waited for");
        let output = Arc::clone(&self.output);
        until(&output.changed, "the last words of weir", || output.closed().then_some(())).await;
        status
    }
}

#[derive(Default)]
struct Output {
    stdout: Mutex<(String, bool)>,
    stderr: Mutex<(String, bool)>,
    changed: Notify,
}

impl Output {
    fn stdout(&self) -> String {
        self.stdout.lock().expect("no panic while the lock is held").0.clone()
    }

    fn stderr(&self) -> String {
        self.stderr.lock().expect("no panic while the lock is held").0.clone()
    }

    /// Whether both have come to their ends.
    fn closed(&self) -> bool {
        [&self.stdout, &self.stderr]
            .iter()
            .all(|stream| stream.lock().expect("no panic while the lock is held").1)
    }
}

async fn read(
    stream: impl AsyncRead + Unpin,
    output: Arc<Output>,
    which: fn(&Output) -> &Mutex<(String, bool)>,
) {
    let mut lines = BufReader::new(stream);
    let mut line = Vec::new();
    while lines.read_until(b'\n', &mut line).await.unwrap_or(0) > 0 {
        which(&output).lock().expect("no panic while the lock is held").0 += &String::from_utf8_lossy(&line);
        output.changed.notify_waiters();
        line.clear();
    }
    which(&output).lock().expect("no panic while the lock is held").1 = true;
    output.changed.notify_waiters();
}

fn with_free_ports(config: &str) -> String {
    if config.lines().any(|line| line.starts_with("listen:")) {
        return config.to_owned();
    }
    format!("listen: {{data: \"127.0.0.1:0\", admin: \"127.0.0.1:0\"}}\n{config}")
}

fn write(file: &Path, text: &str) {
    let folder = file.parent().expect("a file has a folder");
    std::fs::create_dir_all(folder).unwrap_or_else(|e| panic!("{}: {e}", folder.display()));
    std::fs::write(file, text).unwrap_or_else(|e| panic!("{}: {e}", file.display()));
}

fn url_in(line: &str, name: &str) -> String {
    let url = line.split_whitespace().find_map(|word| word.strip_prefix(name));
    url.unwrap_or_else(|| panic!("no `{name}` in `{line}`")).to_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A stand-in that follows the same protocol: the binary itself is not built for this crate's tests.
    fn stand_in(folder: &Path, script: &str) -> PathBuf {
        let file = folder.join("weir");
        // Written by another process: as long as this one has a script open for writing, any child that another
        // test forks at that moment has it open too, and nobody can run it.
        let status = std::process::Command::new("sh")
            .args(["-c", "printf '#!/bin/sh\n%s\n' \"$1\" > \"$2\" && chmod 755 \"$2\"", "sh", script])
            .arg(&file)
            .status();
        assert!(status.unwrap().success());
        file
    }

    #[tokio::test]
    async fn a_ready_line_gives_the_urls_and_a_signal_ends_it() {
        let folder = tempfile::tempdir().unwrap();
        let binary = stand_in(
            folder.path(),
            "trap 'echo bye >&2; exit 7' TERM; mkdir -p weir-data rules; echo secret > weir-data/admin-token; cat weir.yaml rules/a.yaml >&2\n\
             echo weir ready data=http://127.0.0.1:1 admin=http://127.0.0.1:2\n\
             while :; do sleep 0.01; done",
        );
        let command =
            WeirCommand::new(&binary, "data_dir: ./weir-data\n").file("rules/a.yaml", "rules: []\n");
        let mut weir = command.start().await;
        assert_eq!((weir.data(), weir.admin()), ("http://127.0.0.1:1", "http://127.0.0.1:2"));
        assert_eq!(weir.admin_token(), "secret");
        weir.wait_for_stderr("rules: []").await;
        assert!(weir.stderr().starts_with("listen: {data: \"127.0.0.1:0\""), "{}", weir.stderr());
        weir.signal(Signal::TERM);
        assert_eq!(weir.wait().await.code(), Some(7));
        assert!(weir.stderr().ends_with("bye\n"));
    }

    #[tokio::test]
    async fn a_run_that_ends_before_it_is_ready_says_what_it_said() {
        let folder = tempfile::tempdir().unwrap();
        let binary = stand_in(folder.path(), "echo 'weir.yaml:1:1: wrong' >&2; exit 1");
        let ended = WeirCommand::new(&binary, "listen: {}\n").try_start().await.err().expect("it ended");
        assert_eq!((ended.status.code(), ended.stderr.as_str()), (Some(1), "weir.yaml:1:1: wrong\n"));
    }
}
