//! Facts of tool calls: what a configuration adds to them, and the decision as a line.

use std::sync::LazyLock;

use serde::Serialize;
use serde_json::{Map, Value as Json};
use weir_config::config::Tools;
use weir_core::tool::{Arguments, Denial, PermissionLevel};
use weir_rules::tool::{OtherTool, ToolDecision};
use weir_tools::level::{self, Roots};

use super::Decided;

static NO_ANNOTATIONS: LazyLock<Json> = LazyLock::new(|| Json::Object(Map::new()));

/// What a configuration knows of tools and channels.
pub(super) struct ToolWorld {
    tools: Tools,
    roots: Roots,
}

impl ToolWorld {
    pub(super) fn new(tools: Tools) -> Self {
        let roots = Roots::of(&tools);
        Self { tools, roots }
    }

    /// Fills in what was left out and is known: the tool's level, the channel's ceiling, and the level of the arguments.
    /// Given facts win. What is not as it should be is left for the reader of facts to refuse.
    pub(super) fn complete(&self, members: &mut Map<String, Json>) {
        let tool = text(members, "tool", "name");
        let channel = text(members, "channel", "name");
        let annotations = members.get("tool").and_then(|tool| tool.get("annotations")).cloned();
        let args = Arguments::new(
            members.get("call").and_then(|call| call.get("args")).cloned().unwrap_or_default(),
        );
        let level = weir_tools::gate::tool_level(&self.tools, &tool, &annotations.unwrap_or_default());
        let floor = level::of_call(&tool, &args, &self.roots);
        put(members, "tool", "level", || level.token().into());
        put(members, "tool", "annotations", || NO_ANNOTATIONS.clone());
        put(members, "channel", "ceiling", || {
            weir_tools::gate::channel_ceiling(&self.tools, &channel).token().into()
        });
        put(members, "call", "level", || floor.token().into());
        if let Some(call) = members.get_mut("call").and_then(Json::as_object_mut) {
            call.insert("args".to_owned(), args.into_value());
        }
    }

    /// The tools that the configuration names are those that a denial may suggest.
    pub(super) fn others(&self) -> Vec<OtherTool<'_>> {
        self.tools
            .levels
            .iter()
            .map(|(name, level)| OtherTool { name, server: "", level: *level, annotations: &NO_ANNOTATIONS })
            .collect()
    }
}

fn text(members: &Map<String, Json>, root: &str, name: &str) -> String {
    members.get(root).and_then(|root| root.get(name)).and_then(Json::as_str).unwrap_or_default().to_owned()
}

/// Adds a fact that is not given.
fn put(members: &mut Map<String, Json>, root: &str, name: &str, value: impl FnOnce() -> Json) {
    let root = members.entry(root).or_insert_with(|| Json::Object(Map::new()));
    if let Some(fields) = root.as_object_mut()
        && !fields.contains_key(name)
    {
        fields.insert(name.to_owned(), value());
    }
}

/// A decision on a call as a line. Nothing was recorded, so the denial names no decision.
#[derive(Serialize)]
pub(super) struct DecidedCall<'d> {
    #[serde(flatten)]
    decided: Decided<'d>,
    level: PermissionLevel,
    ceiling: PermissionLevel,
    denial: Option<Denial>,
    message: Option<String>,
}

impl<'d> DecidedCall<'d> {
    pub(super) fn new(id: Json, made: &'d ToolDecision) -> Self {
        let denial = made.denial().cloned().map(|denial| Denial { decision: None, ..denial });
        Self {
            decided: Decided::new(id, made.decision()),
            level: made.level(),
            ceiling: made.ceiling(),
            message: denial.as_ref().map(Denial::message),
            denial,
        }
    }
}
