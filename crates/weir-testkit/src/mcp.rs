//! A scripted MCP server over its pipes, for tests of what stands before it. It is a program: a test binary runs itself
//! as one, with [`serve_if_asked`] in an ignored test and [`command`] to start it.
//!
//! What a tool does is told by its name, see [`TOOLS`]. Every other request is answered with what was asked, so that a
//! test sees whether anything was changed on the way.

use std::io::{BufRead as _, Write as _};

use serde_json::{Value, json};

/// The variable that turns a run of a test binary into a server; its value is the server's era.
const ASKED: &str = "WEIR_TESTKIT_MCP_SERVER";

/// The tools, and what each does when it is called.
pub const TOOLS: [(&str, &str); 12] = [
    ("echo", "returns its arguments"),
    ("count", "returns how many calls of other tools have run, and which requests were taken back"),
    ("fail", "returns a result that is an error"),
    ("refuse", "answers with an error of the protocol"),
    ("die", "ends the program"),
    ("hang", "never answers"),
    ("big", "returns as many MiB of text as its argument `mib` says"),
    ("garbage", "writes lines that are no messages, then returns"),
    ("progress", "tells of its progress twice, then returns"),
    ("ask", "asks the client for input and returns its answer"),
    ("change", "changes the description of `echo` and says that the list has changed"),
    ("environment", "returns the names of its environment's variables"),
];

/// The version that the server speaks, unless the client asks for an earlier one.
const VERSION: &str = "2025-11-25";

/// The command that runs this test binary as the server: the program and its arguments. `test` is the name of the
/// ignored test that calls [`serve_if_asked`].
///
/// # Panics
/// The binary does not know where it lies.
#[must_use]
pub fn command(test: &str) -> Vec<String> {
    let binary = std::env::current_exe().expect("a test binary has a path");
    let binary = binary.to_str().expect("its path is text");
    // Through `env`: what a server is given of weir's environment is bounded.
    ["env", &format!("{ASKED}=1"), binary, "--exact", test, "--ignored", "--nocapture", "--quiet"]
        .map(ToOwned::to_owned)
        .to_vec()
}

/// Serves, if this run was started by [`command`]; then the process ends with it.
pub fn serve_if_asked() {
    if std::env::var_os(ASKED).is_some() {
        Server::default().serve();
        std::process::exit(0);
    }
}

#[derive(Default)]
struct Server {
    calls: u64,
    /// The ids of requests that the client took back.
    taken_back: Vec<Value>,
    changed: bool,
    /// Calls that wait for the client's answer to the question with this id.
    asking: Vec<(String, Value)>,
}

impl Server {
    fn serve(mut self) {
        for line in std::io::stdin().lock().lines() {
            let Ok(line) = line else { return };
            let message: Value = serde_json::from_str(&line).unwrap_or_else(|e| panic!("{e}: {line}"));
            match (message.get("method").and_then(Value::as_str), message.get("id")) {
                (Some(method), Some(id)) => self.request(method, id, &message, &line),
                (Some("notifications/cancelled"), None) => {
                    self.taken_back.push(message["params"]["requestId"].clone());
                }
                (Some(_), None) => {}
                (None, _) => self.answered(&message),
            }
        }
    }

    fn request(&mut self, method: &str, id: &Value, message: &Value, line: &str) {
        match method {
            "initialize" => {
                let version = message["params"]["protocolVersion"].as_str().unwrap_or(VERSION);
                let result = json!({
                    "protocolVersion": version.min(VERSION),
                    "capabilities": {"tools": {"listChanged": true}},
                    "serverInfo": {"name": "scripted", "version": "1"},
                });
                say(&json!({"jsonrpc": "2.0", "id": id, "result": result}));
            }
            "tools/list" => self.list(id, &message["params"]),
            "tools/call" => self.call(id, &message["params"]),
            _ => {
                say(&json!({"jsonrpc": "2.0", "id": id, "result": {"asked": line, "x-new": {"big": 1e300}}}))
            }
        }
    }

    /// Two pages.
    fn list(&self, id: &Value, params: &Value) {
        let half = TOOLS.len() / 2;
        let second = params["cursor"] == "second";
        let tools: Vec<Value> = TOOLS
            .iter()
            .skip(if second { half } else { 0 })
            .take(if second { TOOLS.len() } else { half })
            .map(|(name, does)| self.definition(name, does))
            .collect();
        let mut result = json!({"tools": tools, "x-new": 1});
        if !second {
            result["nextCursor"] = "second".into();
        }
        say(&json!({"jsonrpc": "2.0", "id": id, "result": result}));
    }

    fn definition(&self, name: &str, does: &str) -> Value {
        let changed = if self.changed && name == "echo" { ", and more" } else { "" };
        let mut tool = json!({
            "name": name,
            "description": format!("{does}{changed}"),
            "inputSchema": {"type": "object"},
            "annotations": {"readOnlyHint": true, "x-vendor": 1},
        });
        if name == "count" {
            tool["outputSchema"] = json!({"type": "object", "properties": {"calls": {"type": "integer"}}, "required": ["calls"]});
        }
        tool
    }

    fn call(&mut self, id: &Value, params: &Value) {
        let name = params["name"].as_str().unwrap_or_default();
        let text = |text: &str| json!({"content": [{"type": "text", "text": text}], "x-new": true});
        self.calls += u64::from(name != "count");
        let result = match name {
            "count" => {
                json!({"content": [], "structuredContent": {"calls": self.calls, "taken_back": self.taken_back}})
            }
            "fail" => json!({"content": [{"type": "text", "text": "it failed"}], "isError": true}),
            "refuse" => {
                return say(&json!({"jsonrpc": "2.0", "id": id, "error": {"code": -32602, "message": "no"}}));
            }
            "die" => std::process::exit(7),
            "hang" => return,
            "big" => text(&"x".repeat(
                usize::try_from(params["arguments"]["mib"].as_u64().unwrap_or(1)).unwrap_or(1) << 20,
            )),
            "garbage" => {
                write("this is no message");
                write("{\"jsonrpc\":\"2.0\",\"id\":");
                write("[{\"jsonrpc\":\"1.0\"}]");
                text("garbage")
            }
            "progress" => {
                for step in 1..=2 {
                    let params = json!({"progressToken": params["_meta"]["progressToken"], "progress": step});
                    say(&json!({"jsonrpc": "2.0", "method": "notifications/progress", "params": params}));
                }
                text("progress")
            }
            "ask" => {
                let question = format!("question-{}", self.calls);
                let schema = json!({"type": "object", "properties": {}});
                let params = json!({"message": "well?", "requestedSchema": schema});
                say(
                    &json!({"jsonrpc": "2.0", "id": question, "method": "elicitation/create", "params": params}),
                );
                self.asking.push((question, id.clone()));
                return;
            }
            "change" => {
                self.changed = true;
                say(&json!({"jsonrpc": "2.0", "method": "notifications/tools/list_changed"}));
                text("change")
            }
            "environment" => {
                let names = std::env::vars_os().filter_map(|(name, _)| name.into_string().ok());
                text(&names.collect::<Vec<_>>().join(" "))
            }
            // Since 2026-07-28 a tool may ask for input with its result; the state says which leg it is.
            _ if params["arguments"]["legs"].is_u64() => {
                let done = params["requestState"].as_str().and_then(|state| state.strip_prefix("leg-"));
                let done: u64 = done.and_then(|done| done.parse().ok()).unwrap_or(0);
                if done < params["arguments"]["legs"].as_u64().unwrap_or(0) {
                    let ask = json!({"method": "elicitation/create", "params": {"message": "well?"}});
                    json!({"resultType": "input_required", "inputRequests": {"q": ask}, "requestState": format!("leg-{}", done + 1)})
                } else {
                    text(&params["inputResponses"].to_string())
                }
            }
            _ => text(&params["arguments"].to_string()),
        };
        say(&json!({"jsonrpc": "2.0", "id": id, "result": result}));
    }

    fn answered(&mut self, message: &Value) {
        let asked = self.asking.iter().position(|(question, _)| message["id"] == question.as_str());
        if let Some(asked) = asked {
            let (_, id) = self.asking.remove(asked);
            let text = message["result"].to_string();
            say(
                &json!({"jsonrpc": "2.0", "id": id, "result": {"content": [{"type": "text", "text": text}]}}),
            );
        }
    }
}

fn say(message: &Value) {
    write(&message.to_string());
}

fn write(line: &str) {
    let mut out = std::io::stdout().lock();
    // The reader may be gone; then stdin ends, too.
    let _ = writeln!(out, "{line}");
    let _ = out.flush();
}
