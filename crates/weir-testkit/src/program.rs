//! Programs that tests start: found, given a free port, waited for, stopped by their process id.

use std::ffi::OsStr;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitStatus};
use std::time::Duration;

use rustix::process::{Pid, Signal, kill_process};

use crate::deadline::PATIENCE;

/// How often a started program is asked whether it is ready; there is no event to wait for.
const PAUSE: Duration = Duration::from_millis(10);

/// Looks in `PATH` and then in `folders`.
///
/// # Panics
/// It is nowhere; the message names the Debian package.
pub(crate) fn find(name: &str, package: &str, folders: &[PathBuf]) -> PathBuf {
    let path = std::env::var_os("PATH").unwrap_or_default();
    let candidates = std::env::split_paths(&path).chain(folders.iter().cloned()).map(|dir| dir.join(name));
    candidates.into_iter().find(|file| file.is_file()).unwrap_or_else(|| {
        panic!("the program `{name}` is missing: install the Debian package `{package}`, or run `make test`, which does")
    })
}

/// A running program; stopped with `stop` when dropped, and killed when that does not help.
pub(crate) struct Running {
    child: Child,
    stop: Signal,
}

impl Running {
    pub(crate) fn spawn(command: &mut Command, stop: Signal) -> Self {
        let child = command.spawn().unwrap_or_else(|e| panic!("{:?}: {e}", command.get_program()));
        Self { child, stop }
    }

    pub(crate) fn signal(&self, signal: Signal) {
        // Fails only for a process that has ended, and then there is nobody to signal.
        let _ = kill_process(Pid::from_child(&self.child), signal);
    }

    pub(crate) fn id(&self) -> u32 {
        self.child.id()
    }

    pub(crate) fn has_ended(&mut self) -> Option<ExitStatus> {
        self.child.try_wait().expect("the child is ours to wait for")
    }

    /// Asks `ready` until it says yes, or the program ends, which gives false.
    pub(crate) fn wait_until(&mut self, what: &str, mut ready: impl FnMut() -> bool) -> bool {
        let tries = PATIENCE.as_millis() / PAUSE.as_millis();
        for _ in 0..tries {
            if self.has_ended().is_some() {
                return false;
            }
            if ready() {
                return true;
            }
            std::thread::sleep(PAUSE);
        }
        panic!("waited {PATIENCE:?} in vain for {what}");
    }

    /// Kills it and waits for its end.
    pub(crate) fn kill(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        if self.has_ended().is_some() {
            return;
        }
        // A stopped process acts on no signal before it goes on.
        self.signal(Signal::CONT);
        self.signal(self.stop);
        for _ in 0..500 {
            if self.has_ended().is_some() {
                return;
            }
            std::thread::sleep(PAUSE);
        }
        self.kill();
    }
}

/// Who a program that refuses to run as root runs as: the user's id, group id, and nothing when we are not root.
pub(crate) fn unprivileged(users: &[&str]) -> Option<(u32, u32)> {
    if !rustix::process::geteuid().is_root() {
        return None;
    }
    let passwd = std::fs::read_to_string("/etc/passwd").expect("/etc/passwd is readable");
    let ids = |user: &&str| {
        let line = passwd.lines().find(|line| line.split(':').next() == Some(user))?;
        let mut fields = line.split(':').skip(2);
        Some((fields.next()?.parse().ok()?, fields.next()?.parse().ok()?))
    };
    Some(users.iter().find_map(ids).unwrap_or_else(|| panic!("none of the users {users:?} exists")))
}

/// Runs a program to its end.
///
/// # Panics
/// It fails; the message holds what it said.
pub(crate) fn run(command: &mut Command) {
    let output = command.output().unwrap_or_else(|e| panic!("{:?}: {e}", command.get_program()));
    assert!(
        output.status.success(),
        "{:?} {:?} failed: {}{}",
        command.get_program(),
        command.get_args().collect::<Vec<&OsStr>>(),
        String::from_utf8_lossy(&output.stdout),
        String::from_utf8_lossy(&output.stderr),
    );
}

/// A program's log file as text, for messages.
pub(crate) fn log_text(file: &Path) -> String {
    std::fs::read_to_string(file).unwrap_or_default()
}
