//! `weir mcp -- COMMAND`: an MCP server over stdio that is COMMAND's with the gate before its tools. Stdout belongs to
//! the protocol; the log goes to stderr.

use std::ffi::OsString;
use std::path::Path;
use std::time::Duration;

use tokio::io::BufReader;
use weir_core::name::check_name;
use weir_core::tool::CallSource;
use weir_tools::Caller;
use weir_tools::mcp::{ChildCommand, Stdio, Trouble, serve_stdio};

use super::{account, load_settings};
use crate::cli::McpArgs;
use crate::exit::{Failure, Verdict};
use crate::serve::logging;
use crate::tool_gate::ToolGate;

/// The channel of calls over stdio, unless another is named.
const CHANNEL: &str = "mcp";

/// The user where neither `--user` nor a login name says who it is.
const UNKNOWN: &str = "unknown";

/// How much of the client's messages is read at once, in bytes.
const READ_BYTES: usize = 64 * 1024;

/// How long what is left at the end is given.
const LEFT_OVER: Duration = Duration::from_millis(200);

/// Runs the command until its client is gone.
///
/// # Errors
/// The configuration or the rules are wrong, the store cannot be opened, COMMAND cannot be started.
pub fn run(args: &McpArgs) -> Result<Verdict, Failure> {
    let named = args.config.config.as_deref();
    let settings = load_settings(named)?;
    logging::start(&settings.config.telemetry).map_err(Failure::No)?;
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build();
    let runtime = runtime.map_err(|e| Failure::dependency("starting the runtime", e))?;
    let served = runtime.block_on(async {
        let gate = ToolGate::told(named, settings).await?;
        let served = serve(args, &gate).await;
        gate.close().await;
        served
    });
    // Reading stdin is a thread that cannot be stopped.
    runtime.shutdown_timeout(LEFT_OVER);
    served.map(|()| Verdict::Good)
}

async fn serve(args: &McpArgs, gate: &ToolGate) -> Result<(), Failure> {
    let (program, arguments) =
        args.command.split_first().ok_or_else(|| Failure::Input("COMMAND is missing".into()))?;
    let channel = args.channel.as_deref().unwrap_or(CHANNEL);
    let mut caller = Caller::user(
        &args.user.clone().or_else(account).unwrap_or_else(|| UNKNOWN.to_owned()),
        channel,
        CallSource::Channel,
    );
    caller.session = format!("mcp-{:032x}", rand::random::<u128>());
    let parts = Stdio {
        gate: gate.gate.clone(),
        caller,
        server: server_name(args.name.as_deref(), &args.command)?,
        command: ChildCommand::wrapped(program.clone(), arguments.to_vec()),
    };
    let stdin = BufReader::with_capacity(READ_BYTES, tokio::io::stdin());
    serve_stdio(parts, stdin, tokio::io::stdout()).await.map_err(|trouble| match trouble {
        Trouble::Unreachable(said) => Failure::dependency(format_args!("`{}`", program.display()), said),
        other => Failure::Dependency(other.to_string()),
    })
}

/// The options that take a word with them of what runs containers.
const CONTAINERS: &[&str] = &[
    "-e",
    "--env",
    "-v",
    "--volume",
    "--name",
    "--network",
    "-p",
    "--publish",
    "--mount",
    "-w",
    "-u",
    "--env-file",
];

/// Programs that run a package, a script or an image which their first own word names: two servers that one of them runs
/// are two. With each, the options that take a word with them.
const LAUNCHERS: &[(&str, &[&str])] = &[
    ("npx", &["-p", "--package", "-c", "--call", "-w", "--workspace"]),
    ("bunx", &["-p", "--package"]),
    ("pnpx", &["--package"]),
    ("uvx", &["--from", "--with", "-p", "--python", "--index-url", "--with-requirements"]),
    ("pipx", &["--spec", "--python", "--pip-args"]),
    ("node", &["-r", "--require", "--import", "--loader", "-C", "--env-file"]),
    ("deno", &["-c", "--config", "--import-map"]),
    ("bun", &["-r", "--preload", "--cwd", "-c"]),
    ("python", &["-W", "-X"]),
    ("python3", &["-W", "-X"]),
    ("uv", &["--directory", "--project", "--with", "-p", "--python"]),
    ("docker", CONTAINERS),
    ("podman", CONTAINERS),
    ("env", &["-u", "--unset", "-C", "--chdir"]),
];

/// Words of launchers that say what to do, before the one that says with what.
const VERBS: &[&str] = &["run", "dlx", "exec", "x", "tool", "-m"];

/// What rules know the server as: what `--name` says, else the package, script or image that a launcher runs, without its
/// version, else the program's name.
fn server_name(named: Option<&str>, command: &[OsString]) -> Result<String, Failure> {
    let name = match named {
        Some(name) => name.to_owned(),
        None => made_name(command),
    };
    check_name(&name).map_err(|why| Failure::Input(format!("--name: it {why}")))?;
    Ok(name)
}

fn made_name(command: &[OsString]) -> String {
    let Some((program, rest)) = command.split_first() else { return String::new() };
    let program = Path::new(program).file_stem().unwrap_or(program).to_string_lossy().into_owned();
    let Some((_, valued)) = LAUNCHERS.iter().find(|(launcher, _)| *launcher == program) else {
        return program;
    };
    let mut rest = rest.iter();
    while let Some(word) = rest.next() {
        let text = word.to_string_lossy();
        if VERBS.contains(&text.as_ref()) || program == "env" && text.contains('=') {
            continue;
        }
        if text.starts_with('-') {
            if valued.contains(&text.as_ref()) {
                rest.next();
            }
            continue;
        }
        if program == "env" {
            let behind: Vec<OsString> = std::iter::once(word).chain(rest).cloned().collect();
            return made_name(&behind);
        }
        return package(&text);
    }
    program
}

/// `@scope/name@1.2` is `@scope/name`, `image:tag` is `image`, `build/index.js` is a path and stays one.
fn package(word: &str) -> String {
    let at = word.rfind('@').filter(|at| *at > 0);
    let bare = at.and_then(|at| word.get(..at)).unwrap_or(word);
    let tag = bare.rfind(':').filter(|at| !bare.get(*at..).unwrap_or_default().contains('/'));
    tag.and_then(|at| bare.get(..at)).unwrap_or(bare).to_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn two_servers_of_one_launcher_are_two() {
        let table = [
            (
                "npx -y @modelcontextprotocol/server-filesystem /srv",
                "@modelcontextprotocol/server-filesystem",
            ),
            (
                "/usr/bin/npx -y @modelcontextprotocol/server-everything@2025.9.1",
                "@modelcontextprotocol/server-everything",
            ),
            ("npx --package some-pkg some-bin", "some-bin"),
            ("npx mcp-remote@latest https://example.com/mcp", "mcp-remote"),
            ("uvx mcp-server-git --repository /srv", "mcp-server-git"),
            ("uvx --from git+https://example.com/x mcp-x", "mcp-x"),
            ("uv run --directory /srv server.py", "server.py"),
            ("python3 -m mcp_server_time --local", "mcp_server_time"),
            ("python -u ./server.py", "./server.py"),
            ("node build/index.js", "build/index.js"),
            (
                "docker run -i --rm -e TOKEN=x ghcr.io/github/github-mcp-server:v1",
                "ghcr.io/github/github-mcp-server",
            ),
            ("env A=b npx -y pkg", "pkg"),
            ("./my-server.sh --flag", "my-server"),
            ("npx", "npx"),
            ("node --version", "node"),
        ];
        for (command, name) in table {
            let command: Vec<OsString> = command.split(' ').map(OsString::from).collect();
            assert_eq!(server_name(None, &command).unwrap_or_default(), name, "{command:?}");
        }
        let npx = ["npx".into(), "pkg".into()];
        assert_eq!(server_name(Some("files"), &npx).unwrap_or_default(), "files");
        assert!(server_name(Some(" "), &npx).is_err());
    }
}
