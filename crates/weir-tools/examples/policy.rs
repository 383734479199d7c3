//! A program that embeds the gate, with a policy of its own: files are only fetched from one host.
//!
//! `cargo run -p weir-tools --example policy`
#![allow(clippy::print_stdout, reason = "an example shows what it does")]

use std::sync::Arc;

use serde_json::json;
use weir_core::tool::{Arguments, CallSource};
use weir_rules::{LiveRules, RuleSet};
use weir_store::clock::SystemClock;
use weir_store::{Database, DatabaseLocation, DatabaseOptions, Recorder, RecorderOptions};
use weir_tools::policy::{PolicyError, PolicyRequest};
use weir_tools::{Caller, Executed, Gate, Parts, Policies, ToolCall, ToolDefinition, ToolPolicy, Verdict};

struct OneHost(&'static str);

impl ToolPolicy for OneHost {
    fn name(&self) -> &str {
        "one-host"
    }

    async fn check(&self, request: &PolicyRequest<'_>) -> Result<Verdict, PolicyError> {
        if request.tool != "fetch" {
            return Ok(Verdict::Allow);
        }
        let url = request.args.get("url").and_then(|url| url.as_str());
        let url = url.ok_or_else(|| PolicyError("the call has no `url`".to_owned()))?;
        let host = url.split('/').nth(2).unwrap_or_default();
        Ok(if host == self.0 {
            Verdict::Allow
        } else {
            Verdict::Deny { reason: format!("only {} may be fetched from", self.0) }
        })
    }
}

#[tokio::main(flavor = "current_thread")]
async fn main() -> Result<(), Box<dyn std::error::Error>> {
    for line in fetched().await? {
        println!("{line}");
    }
    Ok(())
}

/// What becomes of two calls.
async fn fetched() -> Result<Vec<String>, Box<dyn std::error::Error>> {
    let database = Database::open(DatabaseOptions::new(DatabaseLocation::SqliteMemory)).await?;
    let clock = SystemClock::shared();
    let config =
        weir_config::load(None, std::path::Path::new("."), &NoSources).map_err(|_| "no configuration")?;
    let gate = Gate::new(Parts {
        tools: config.config.tools,
        rules: Arc::new(LiveRules::new(RuleSet::default(), 0)),
        recorder: Recorder::start(database.clone(), RecorderOptions::default(), clock.clone()),
        database,
        clock,
        policies: Policies::new().with(OneHost("docs.example")),
    });
    let fetch = ToolDefinition {
        name: "fetch".to_owned(),
        server: String::new(),
        description: "Fetches a page".to_owned(),
        schema: json!({"type": "object"}),
        annotations: json!({"readOnlyHint": true, "openWorldHint": true}),
    };
    gate.report_definitions("", vec![fetch]).await;
    let caller = Arc::new(Caller::user("ada", "cli", CallSource::Session));
    let mut lines = Vec::new();
    for url in ["https://docs.example/a", "https://elsewhere.example/b"] {
        let call = ToolCall {
            id: None,
            tool: "fetch".to_owned(),
            server: String::new(),
            args: Arguments::new(json!({ "url": url })),
            iteration: 1,
            caller: Arc::clone(&caller),
        };
        let outcome = gate.call(call, async |_permitted| Executed::ok("a page")).await;
        match outcome.error() {
            None => lines.push(format!("{url}: it ran")),
            Some(denial) => lines.push(format!("{url}: {denial}")),
        }
    }
    Ok(lines)
}

/// The defaults read neither environment nor files.
struct NoSources;

impl weir_config::Sources for NoSources {
    fn variable(&self, _: &str) -> Option<String> {
        None
    }

    fn read_file(&self, path: &std::path::Path) -> Result<String, String> {
        Err(format!("{} is not read here", path.display()))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn the_policy_lets_one_host_through_and_its_reason_is_told() {
        let lines = fetched().await.unwrap();
        assert_eq!(lines.len(), 2);
        assert!(lines[0].ends_with("it ran"), "{lines:?}");
        let denied = &lines[1];
        assert!(
            denied.contains("denied by policy 'one-host'") && denied.contains("only docs.example"),
            "{denied}"
        );
    }
}
