//! `weir hook claude-code|codex`: answers the pre-tool hook of another agent, in that agent's own format.
//!
//! Both send one JSON object on stdin and read one from stdout. weir may only narrow: a call that it allows is left to the
//! agent's own permissions (`{}`), any other is denied with the line for the model. Those agents run a tool when their
//! hook fails, so everything that goes wrong here is a denial, too.

use std::io::{self, Read as _, Write as _};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use serde::Deserialize;
use serde_json::{Value, json};
use weir_core::tool::{Arguments, CallSource, PermissionLevel, cleaned};
use weir_core::words::size;
use weir_tools::gate::Unlisted;
use weir_tools::level::{Roles, Roots};
use weir_tools::{Caller, ToolCall};

use super::{account, load_settings};
use crate::cli::{HookAgent, HookArgs};
use crate::exit::{Failure, Verdict};
use crate::store;
use crate::tool_gate::ToolGate;

/// The channel of such calls, unless another is named.
const CHANNEL: &str = "cli";

/// How large what the agent sends may be, in bytes.
const INPUT_BYTES_MAX: u64 = 32 * 1024 * 1024;

/// How much of an error is told to the model, in characters.
const ERROR_CHARS_MAX: usize = 300;

/// The only event that is answered.
const EVENT: &str = "PreToolUse";

/// What both agents send before a tool runs.
#[derive(Deserialize)]
struct Event {
    hook_event_name: String,
    #[serde(default)]
    session_id: String,
    tool_name: String,
    #[serde(default)]
    tool_input: Value,
    #[serde(default)]
    tool_use_id: Option<String>,
    /// Where relative paths start.
    #[serde(default)]
    cwd: Option<PathBuf>,
}

/// Runs the command.
///
/// # Errors
/// The answer could not be written. All else is answered.
pub fn run(args: &HookArgs) -> Result<Verdict, Failure> {
    let answer = match asked(io::stdin().lock()) {
        Ok(None) => json!({}),
        Ok(Some(event)) => match decided(args, event) {
            Ok(None) => json!({}),
            Ok(Some(message)) => denial(&message),
            Err(failure) => denial(&undecided(&failure.to_string())),
        },
        Err(why) => denial(&undecided(&why)),
    };
    let mut out = io::stdout().lock();
    serde_json::to_writer(&mut out, &answer).map_err(io::Error::from)?;
    writeln!(out)?;
    out.flush()?;
    Ok(Verdict::Good)
}

/// The call that the agent asks about; none when it tells of something else.
fn asked(input: impl io::Read) -> Result<Option<Event>, String> {
    let mut bytes = Vec::new();
    input.take(INPUT_BYTES_MAX + 1).read_to_end(&mut bytes).map_err(|e| format!("stdin: {e}"))?;
    if bytes.len() as u64 > INPUT_BYTES_MAX {
        return Err(format!("the hook's input is longer than {}", size(INPUT_BYTES_MAX)));
    }
    let value: Value =
        serde_json::from_slice(&bytes).map_err(|e| format!("the hook's input is no JSON: {e}"))?;
    if value.get("hook_event_name").and_then(Value::as_str).is_some_and(|name| name != EVENT) {
        return Ok(None);
    }
    let event: Event = serde_json::from_value(value).map_err(|e| format!("the hook's input: {e}"))?;
    if event.hook_event_name != EVENT {
        return Err(format!("the hook's input names no event; `{EVENT}` was expected"));
    }
    Ok(Some(event))
}

/// The line for the model when the call may not run.
fn decided(args: &HookArgs, event: Event) -> Result<Option<String>, Failure> {
    let named = args.config.config.as_deref();
    let mut settings = load_settings(named)?;
    let roles = Roles::of(place(&event.tool_name).1);
    if let Some(cwd) = event.cwd.as_deref().filter(|_| roles.paths || roles.command.is_some())
        && !start_at(cwd, &mut settings.config.tools.allowed_roots)
    {
        return Ok(Some(undecided("the agent works in a folder that is outside `tools.allowed_roots`")));
    }
    store::run(async {
        let gate = ToolGate::open(named, settings).await?;
        let user = args.user.clone().or_else(account).unwrap_or_else(|| "unknown".to_owned());
        let channel = args.channel.as_deref().unwrap_or(CHANNEL);
        let (server, tool) = place(&event.tool_name);
        let caller = Caller {
            session: event.session_id,
            agent: args.agent.as_str().to_owned(),
            ..Caller::user(&user, channel, CallSource::Session)
        };
        let call = ToolCall {
            id: event.tool_use_id,
            tool: tool.to_owned(),
            server: server.to_owned(),
            args: Arguments::new(event.tool_input),
            iteration: 0,
            caller: Arc::new(caller),
        };
        let sure: Vec<_> =
            own_tools(args.agent).iter().copied().filter(|(name, _)| SURE.contains(name)).collect();
        let unlisted =
            Unlisted { level: own_level(args.agent, &event.tool_name), others: Some(sure.as_slice()) };
        let outcome = gate.gate.evaluate_among(call, unlisted).await;
        gate.close().await;
        Ok(outcome.error())
    })
}

/// Relative paths start at the first root. The folder of the agent becomes that, which allows no more if it lies in one.
/// `false`: it does not.
fn start_at(cwd: &Path, roots: &mut Vec<PathBuf>) -> bool {
    if roots.is_empty() {
        return true;
    }
    let located = cwd.to_str().filter(|_| cwd.is_absolute()).and_then(|cwd| Roots::new(roots).locate(cwd));
    let inside = located.is_some();
    drop(roots.splice(0..0, located));
    inside
}

/// Both agents name the tools of MCP servers `mcp__SERVER__TOOL`.
fn place(name: &str) -> (&str, &str) {
    name.strip_prefix("mcp__").and_then(|rest| rest.split_once("__")).unwrap_or(("", name))
}

/// The tools of Claude Code, by its documentation, with the levels that they have where the configuration has none. That of
/// a shell is the least: its commands are classed one by one.
const CLAUDE_CODE: &[(&str, PermissionLevel)] = &[
    ("Bash", PermissionLevel::ReadOnly),
    ("Read", PermissionLevel::ReadOnly),
    ("Glob", PermissionLevel::ReadOnly),
    ("Grep", PermissionLevel::ReadOnly),
    ("LS", PermissionLevel::ReadOnly),
    ("NotebookRead", PermissionLevel::ReadOnly),
    ("TodoWrite", PermissionLevel::ReadOnly),
    ("TodoRead", PermissionLevel::ReadOnly),
    ("BashOutput", PermissionLevel::ReadOnly),
    ("ToolSearch", PermissionLevel::ReadOnly),
    ("AskUserQuestion", PermissionLevel::ReadOnly),
    ("ExitPlanMode", PermissionLevel::ReadOnly),
    ("EnterPlanMode", PermissionLevel::ReadOnly),
    ("Edit", PermissionLevel::Write),
    ("MultiEdit", PermissionLevel::Write),
    ("Write", PermissionLevel::Write),
    ("NotebookEdit", PermissionLevel::Write),
    ("WebFetch", PermissionLevel::Execute),
    ("WebSearch", PermissionLevel::Execute),
    ("Task", PermissionLevel::Execute),
    ("Agent", PermissionLevel::Execute),
    ("KillShell", PermissionLevel::Execute),
];

/// The tools of Codex.
const CODEX: &[(&str, PermissionLevel)] = &[
    ("Bash", PermissionLevel::ReadOnly),
    ("shell", PermissionLevel::ReadOnly),
    ("local_shell", PermissionLevel::ReadOnly),
    ("exec_command", PermissionLevel::ReadOnly),
    ("update_plan", PermissionLevel::ReadOnly),
    ("view_image", PermissionLevel::ReadOnly),
    ("apply_patch", PermissionLevel::Write),
];

/// The tools that the agent has for sure: what a denial may suggest instead.
const SURE: &[&str] = &["Bash", "Read", "Glob", "Grep", "Edit", "Write", "apply_patch"];

const fn own_tools(agent: HookAgent) -> &'static [(&'static str, PermissionLevel)] {
    match agent {
        HookAgent::ClaudeCode => CLAUDE_CODE,
        HookAgent::Codex => CODEX,
    }
}

/// The level of one of the agents' own tools. Another tool is dangerous until the operator classifies it.
fn own_level(agent: HookAgent, tool: &str) -> Option<PermissionLevel> {
    own_tools(agent).iter().find(|(name, _)| *name == tool).map(|(_, level)| *level)
}

fn undecided(why: &str) -> String {
    format!(
        "Blocked: weir could not decide about this call, so it may not run. Reason: {}. Workaround: ask the user to \
         look at weir's configuration (`weir check`). The tool did not run and gave no output: do not invent a result. \
         Relay this to the user.",
        cleaned(why, ERROR_CHARS_MAX)
    )
}

fn denial(message: &str) -> Value {
    json!({
        "hookSpecificOutput": {
            "hookEventName": EVENT,
            "permissionDecision": "deny",
            "permissionDecisionReason": message,
        },
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn tools_of_mcp_servers_are_found_in_their_names() {
        let table = [
            ("mcp__files__read_file", ("files", "read_file")),
            ("mcp__a__b__c", ("a", "b__c")),
            ("mcp__files", ("", "mcp__files")),
            ("Bash", ("", "Bash")),
        ];
        for (name, expected) in table {
            assert_eq!(place(name), expected);
        }
    }

    #[test]
    fn relative_paths_start_at_the_folder_of_the_agent_if_it_is_a_root_or_within() {
        let root = tempfile::tempdir().unwrap();
        let sub = root.path().join("sub");
        std::fs::create_dir(&sub).unwrap();
        let outside = tempfile::tempdir().unwrap();
        let table = [
            (root.path(), true),
            (sub.as_path(), true),
            (outside.path(), false),
            (Path::new("sub"), false),
            (Path::new("/etc"), false),
        ];
        for (cwd, inside) in table {
            let mut roots = vec![root.path().to_owned()];
            assert_eq!(start_at(cwd, &mut roots), inside, "{}", cwd.display());
            let before = Roots::new(&[root.path().to_owned()]);
            let after = Roots::new(&roots);
            assert_eq!(after.contain("../x"), cwd == sub, "{}", cwd.display());
            assert!(!before.contain("../x") && !after.contain("/etc/passwd"));
        }
        assert!(start_at(Path::new("/etc"), &mut Vec::new()));
    }

    #[test]
    fn another_event_is_none_of_ours_and_what_cannot_be_read_is_an_error() {
        let event = |text: &str| asked(text.as_bytes()).map(|event| event.map(|event| event.tool_name));
        assert_eq!(
            event(r#"{"hook_event_name": "PreToolUse", "tool_name": "Bash"}"#),
            Ok(Some("Bash".into()))
        );
        assert_eq!(event(r#"{"hook_event_name": "PostToolUse", "tool_name": "Bash"}"#), Ok(None));
        for bad in ["", "x", "[]", "{}", r#"{"hook_event_name": "PreToolUse"}"#, r#"{"tool_name": "Bash"}"#] {
            assert!(event(bad).is_err(), "{bad}");
        }
    }
}
