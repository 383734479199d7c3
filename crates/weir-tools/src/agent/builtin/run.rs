//! Programs: a script within the roots, or a shell command.

use std::path::Path;
use std::process::Stdio;

use rustix::process::{Pid, Signal, kill_process_group};
use serde::Deserialize;
use serde_json::Value as Json;
use tokio::io::{AsyncRead, AsyncReadExt as _};
use tokio::process::Command;

use super::files::locate;
use super::read;
use crate::level::Roots;
use crate::outcome::Executed;

/// How much is kept of each of what a program prints and its errors, in bytes.
const PRINTED_BYTES_MAX: usize = 64 * 1024;

/// How much is read at once of what is left out, in bytes.
const DISCARD_BYTES: usize = 16 * 1024;

/// What a program is given of weir's environment: no keys.
const PASSED_ON: [&str; 12] = [
    "PATH",
    "HOME",
    "USER",
    "LOGNAME",
    "SHELL",
    "LANG",
    "LC_ALL",
    "LC_CTYPE",
    "TERM",
    "TMPDIR",
    "TZ",
    "SYSTEMROOT",
];

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct ScriptArgs {
    path: String,
    #[serde(default)]
    arguments: Vec<String>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct CommandArgs {
    command: String,
}

/// Runs a file that lies within the roots.
pub(super) async fn script(roots: &Roots, args: Json) -> Executed<String> {
    let located = read(args).and_then(|args: ScriptArgs| Ok((locate(roots, &args.path)?, args.arguments)));
    match located {
        Ok((path, arguments)) => {
            let mut command = Command::new(&path);
            command.args(arguments);
            run(command, roots.base()).await
        }
        Err(error) => Executed::failed(String::new(), error),
    }
}

/// Runs what a shell is given.
pub(super) async fn command(roots: &Roots, args: Json) -> Executed<String> {
    match read(args) {
        Ok(CommandArgs { command: text }) => {
            let mut command = Command::new(shell());
            command.arg("-c").arg(text);
            run(command, roots.base()).await
        }
        Err(error) => Executed::failed(String::new(), error),
    }
}

/// The shell in whose grammar commands are classed, where it is there; what is classed as harmless is so in any.
fn shell() -> &'static str {
    ["/bin/bash", "/usr/bin/bash"].into_iter().find(|bash| Path::new(bash).exists()).unwrap_or("sh")
}

/// A program and all that it started: killed when dropped.
struct Group(Option<Pid>);

impl Drop for Group {
    fn drop(&mut self) {
        if let Some(pid) = self.0 {
            // Fails only when nobody is left.
            let _ = kill_process_group(pid, Signal::KILL);
        }
    }
}

async fn run(mut command: Command, folder: Option<&Path>) -> Executed<String> {
    command.env_clear();
    command.envs(PASSED_ON.iter().filter_map(|name| Some((name, std::env::var_os(name)?))));
    command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped());
    command.process_group(0).kill_on_drop(true);
    if let Some(folder) = folder {
        command.current_dir(folder);
    }
    let failed =
        |error: std::io::Error| Executed::failed(String::new(), format!("it could not be run: {error}"));
    let mut child = match command.spawn() {
        Ok(child) => child,
        Err(error) => return failed(error),
    };
    let group = Group(child.id().and_then(|id| Pid::from_raw(i32::try_from(id).ok()?)));
    let (stdout, stderr) = (child.stdout.take(), child.stderr.take());
    let waited = async {
        let ended = child.wait().await;
        // What it left behind in the background would hold the pipes open.
        drop(group);
        ended
    };
    let (ended, out, err) = tokio::join!(waited, printed(stdout), printed(stderr));
    let text = match (out.is_empty(), err.is_empty()) {
        (_, true) => out,
        (true, false) => format!("[stderr]\n{err}"),
        (false, false) => format!("{out}\n[stderr]\n{err}"),
    };
    match ended {
        Ok(status) if status.success() => Executed::ok(text),
        Ok(status) => Executed::failed(text, format!("it ended with {status}")),
        Err(error) => failed(error),
    }
}

/// What comes out of a pipe: its beginning is kept, the rest is read and left out, so that the program can go on.
async fn printed(pipe: Option<impl AsyncRead + Unpin>) -> String {
    let Some(mut pipe) = pipe else { return String::new() };
    let mut kept = Vec::new();
    let limit = PRINTED_BYTES_MAX as u64;
    let mut left_out = 0_usize;
    if (&mut pipe).take(limit).read_to_end(&mut kept).await.is_ok() {
        let mut discarded = vec![0; DISCARD_BYTES];
        while let Ok(count @ 1..) = pipe.read(&mut discarded).await {
            left_out = left_out.saturating_add(count);
        }
    }
    let mut text = String::from_utf8_lossy(&kept).into_owned();
    if left_out > 0 {
        text.push_str(&format!("\n[{left_out} bytes more are left out]"));
    }
    text
}
