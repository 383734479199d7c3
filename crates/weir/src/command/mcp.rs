//! `weir mcp -- COMMAND`: an MCP server over stdio that is COMMAND's with the gate before its tools. Stdout belongs to
//! the protocol; the log goes to stderr.

use std::path::Path;
use std::time::Duration;

use tokio::io::BufReader;
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
        server: server_name(program),
        command: ChildCommand::wrapped(program.clone(), arguments.to_vec()),
    };
    let stdin = BufReader::with_capacity(READ_BYTES, tokio::io::stdin());
    serve_stdio(parts, stdin, tokio::io::stdout()).await.map_err(|trouble| match trouble {
        Trouble::Unreachable(said) => Failure::dependency(format_args!("`{}`", program.display()), said),
        other => Failure::Dependency(other.to_string()),
    })
}

/// What rules know the server as: the program's name.
fn server_name(program: &std::ffi::OsStr) -> String {
    let name = Path::new(program).file_stem().unwrap_or(program);
    name.to_string_lossy().into_owned()
}
