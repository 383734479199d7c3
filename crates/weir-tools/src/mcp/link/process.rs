//! A tool server's process: started in a group of its own, ended in order, killed with all that it started.

use std::ffi::OsString;
use std::path::PathBuf;
use std::process::Stdio;
use std::time::Duration;

use rustix::process::{Pid, Signal, kill_process_group};
use tokio::io::{AsyncBufReadExt as _, AsyncReadExt as _, BufReader};
use tokio::process::{Child, ChildStderr, ChildStdin, ChildStdout, Command};

/// How long a server may take to end once its input is closed, and again once it was asked to.
const END_DEADLINE: Duration = Duration::from_secs(2);

/// How much of a line of a server's log is kept, in bytes.
const LOG_LINE_BYTES_MAX: u64 = 1024;

/// What a server that weir runs by itself is given of weir's environment: what programs need to run, and none of the
/// keys.
const PASSED_ON: [&str; 12] = [
    "HOME",
    "LANG",
    "LC_ALL",
    "LOGNAME",
    "PATH",
    "SHELL",
    "TERM",
    "TMPDIR",
    "TZ",
    "USER",
    "XDG_CACHE_HOME",
    "XDG_CONFIG_HOME",
];

/// Where a server's standard error goes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Stderr {
    /// Where weir's own goes: the person who started weir started the server.
    Inherit,
    /// To weir's log, at debug level.
    Log,
}

/// A program that is a tool server.
#[derive(Clone, Debug)]
pub struct ChildCommand {
    program: OsString,
    arguments: Vec<OsString>,
    whole_environment: bool,
    folder: Option<PathBuf>,
    stderr: Stderr,
}

impl ChildCommand {
    /// The command that a person wrapped: it gets all that weir was given.
    #[must_use]
    pub fn wrapped(program: OsString, arguments: Vec<OsString>) -> Self {
        Self { program, arguments, whole_environment: true, folder: None, stderr: Stderr::Inherit }
    }

    /// A command of the configuration, run in `folder`: it gets none of weir's keys.
    #[must_use]
    pub fn configured(command: &[String], folder: Option<PathBuf>) -> Self {
        let mut words = command.iter().map(OsString::from);
        Self {
            program: words.next().unwrap_or_default(),
            arguments: words.collect(),
            whole_environment: false,
            folder,
            stderr: Stderr::Log,
        }
    }

    /// Starts it.
    ///
    /// # Errors
    /// The program is not there or may not be run.
    pub(crate) fn start(&self) -> std::io::Result<Process> {
        let mut command = Command::new(&self.program);
        command.args(&self.arguments).stdin(Stdio::piped()).stdout(Stdio::piped()).kill_on_drop(true);
        command.process_group(0);
        command.stderr(match self.stderr {
            Stderr::Inherit => Stdio::inherit(),
            Stderr::Log => Stdio::piped(),
        });
        if !self.whole_environment {
            command.env_clear();
            command.envs(PASSED_ON.iter().filter_map(|name| Some((name, std::env::var_os(name)?))));
        }
        if let Some(folder) = &self.folder {
            command.current_dir(folder);
        }
        let mut child = command.spawn()?;
        if let Some(stderr) = child.stderr.take() {
            tokio::spawn(log(stderr));
        }
        let pipes = child.stdin.take().zip(child.stdout.take());
        let (stdin, stdout) = pipes.ok_or_else(|| std::io::Error::other("the pipes are missing"))?;
        let group = Group(child.id().and_then(|id| Pid::from_raw(i32::try_from(id).ok()?)));
        Ok(Process { child, stdin: Some(stdin), stdout: Some(stdout), group })
    }
}

/// A running server; killed with all that it started when dropped.
pub(crate) struct Process {
    child: Child,
    pub(crate) stdin: Option<ChildStdin>,
    pub(crate) stdout: Option<ChildStdout>,
    group: Group,
}

struct Group(Option<Pid>);

impl Group {
    fn signal(&self, signal: Signal) {
        if let Some(pid) = self.0 {
            // Fails only when nobody is left.
            let _ = kill_process_group(pid, signal);
        }
    }
}

impl Drop for Group {
    fn drop(&mut self) {
        self.signal(Signal::KILL);
    }
}

impl Process {
    /// Waits for its end.
    pub(crate) async fn ended(&mut self) {
        let _ = self.child.wait().await;
    }

    /// Ends it: its input was closed by the caller; then it is asked, then it is killed.
    pub(crate) async fn end(mut self) {
        if tokio::time::timeout(END_DEADLINE, self.ended()).await.is_ok() {
            return;
        }
        self.group.signal(Signal::TERM);
        let _ = tokio::time::timeout(END_DEADLINE, self.ended()).await;
    }
}

async fn log(stderr: ChildStderr) {
    let mut reader = BufReader::new(stderr);
    let mut line = Vec::new();
    loop {
        line.clear();
        match (&mut reader).take(LOG_LINE_BYTES_MAX).read_until(b'\n', &mut line).await {
            Ok(0) | Err(_) => return,
            Ok(_) => {
                tracing::debug!(target: "weir_tools::server", "{}", String::from_utf8_lossy(&line).trim_end())
            }
        }
    }
}
