//! The tools that weir brings along: files within the allowed roots, commands, a URL.
//!
//! Each checks for itself what it must not do whatever was permitted: the tools for files do not leave the roots, and
//! commands are not given weir's keys.

mod fetch;
mod files;
mod run;
mod search;
mod walk;

use fetch::Web;
use futures_util::FutureExt as _;
use futures_util::future::BoxFuture;
use serde::de::DeserializeOwned;
use serde_json::{Value as Json, json};
use weir_config::config::Tools;
use weir_core::tool::PermissionLevel;
use weir_rules::tool::Permitted;

use super::offer::Executor;
use crate::call::ToolDefinition;
use crate::level::Roots;
use crate::outcome::Executed;

/// What a tool gives, or its error in one line.
type Outcome = Result<String, String>;

/// Runs the built-in tools.
pub struct BuiltIn {
    roots: Roots,
    web: Web,
}

impl BuiltIn {
    /// The tools over the roots of a configuration. Without any, the tools for files refuse.
    #[must_use]
    pub fn new(tools: &Tools) -> Self {
        Self { roots: Roots::of(tools), web: Web::new(tools.fetch_private.clone()) }
    }

    async fn outcome(&self, permitted: Permitted) -> Executed<String> {
        let tool = permitted.tool().to_owned();
        let args = permitted.into_args().into_value();
        let outcome = match tool.as_str() {
            "run_script" => return run::script(&self.roots, args).await,
            "run_command" => return run::command(&self.roots, args).await,
            "fetch_url" => self.web.fetch(args).await,
            other => files::run(self.roots.clone(), other.to_owned(), args).await,
        };
        match outcome {
            Ok(text) => Executed::ok(text),
            Err(error) => Executed::failed(String::new(), error),
        }
    }
}

impl Executor for BuiltIn {
    fn run<'a>(&'a self, permitted: Permitted) -> BoxFuture<'a, Executed<String>> {
        self.outcome(permitted).boxed()
    }
}

/// The built-in tools, each with the level that it has where the operator gives none. A command is classed by what it
/// runs, so its tool's own level is the least.
#[must_use]
pub fn definitions() -> Vec<(ToolDefinition, PermissionLevel)> {
    use PermissionLevel::{Execute, ReadOnly, Write};
    let path = json!({"type": "string", "description": "Relative paths start at the first allowed root."});
    let text = |said: &str| json!({"type": "string", "description": said});
    vec![
        tool(
            ("run_script", Execute),
            "Run a script or program file that lies within the allowed roots, without a shell.",
            &["path"],
            json!({"path": path, "arguments": {"type": "array", "items": {"type": "string"}}}),
        ),
        tool(
            ("run_command", ReadOnly),
            "Run a shell command in the first allowed root and return what it prints.",
            &["command"],
            json!({"command": text("What sh is given.")}),
        ),
        tool(
            ("list_files", ReadOnly),
            "List a folder and, with depth, the folders in it.",
            &[],
            json!({"path": path, "depth": {"type": "integer", "minimum": 1, "maximum": 16}}),
        ),
        tool(
            ("read_file", ReadOnly),
            "Read a text file, or some of its lines.",
            &["path"],
            json!({
                "path": path, "from_line": {"type": "integer", "minimum": 1},
                "lines": {"type": "integer", "minimum": 1},
            }),
        ),
        tool(
            ("search_files", ReadOnly),
            "Find the lines of text files that contain a text.",
            &["text"],
            json!({"text": text("What is looked for, to the letter."), "path": path}),
        ),
        tool(
            ("write_file", Write),
            "Write a text file, a new one or in the place of an old one.",
            &["path", "content"],
            json!({"path": path, "content": text("The whole new content.")}),
        ),
        tool(
            ("edit_file", Write),
            "Replace one passage of a text file. It must stand there exactly once.",
            &["path", "old", "new"],
            json!({"path": path, "old": text("The passage."), "new": text("What takes its place.")}),
        ),
        tool(
            ("fetch_url", Execute),
            "Fetch an http or https URL and return its text.",
            &["url"],
            json!({"url": text("The URL. Redirects are told, not followed.")}),
        ),
    ]
}

fn tool(
    (name, level): (&str, PermissionLevel),
    description: &str,
    required: &[&str],
    properties: Json,
) -> (ToolDefinition, PermissionLevel) {
    let definition = ToolDefinition {
        name: name.to_owned(),
        server: String::new(),
        description: description.to_owned(),
        schema: json!({
            "type": "object", "properties": properties, "required": required, "additionalProperties": false,
        }),
        annotations: Json::Null,
    };
    (definition, level)
}

/// Reads arguments; what is missing or of a wrong type is said, by its name.
fn read<T: DeserializeOwned>(args: Json) -> Result<T, String> {
    serde_json::from_value(args).map_err(|error| format!("the arguments do not fit: {error}"))
}

#[cfg(test)]
mod tests;
