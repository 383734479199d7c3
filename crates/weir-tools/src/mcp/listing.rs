//! Lists of tools: what a server says there is, and what of it a caller is shown.

use std::collections::{HashMap, HashSet};
use std::ops::Range;

use serde_json::Value;
use serde_json::value::RawValue;
use tokio::sync::Mutex;

use crate::call::ToolDefinition;
use crate::gate::{DefinitionState, Gate};
use crate::mcp::frame::{Frame, place_in, splice};
use crate::mcp::members::Members;

/// How many tools of one server are known; what is beyond is not shown and cannot be called.
const TOOLS_MAX: usize = 5_000;

/// How long a client may keep a list that depends on who asks, in milliseconds.
const KEPT_MS_MAX: u64 = 10_000;

/// One tool of a list.
struct Listed {
    /// Where it lies in the text of the result.
    place: Range<usize>,
    definition: ToolDefinition,
    promises_output: bool,
}

/// One page of a list.
pub(crate) struct Page {
    tools: Vec<Listed>,
    /// Where the array lies.
    array: Range<usize>,
    /// Whether all of its elements could be read.
    whole: bool,
    /// Where the next page begins.
    pub(crate) next: Option<String>,
    /// Members on caching that must be other ones, and what they must be.
    caching: Vec<(Range<usize>, String)>,
}

impl Page {
    /// Reads the result of `tools/list`.
    ///
    /// # Errors
    /// It is none.
    pub(crate) fn read(result: &str, server: &str) -> Result<Self, String> {
        let members = Members::read(result)?;
        let array = members.get("tools").ok_or("the list has no `tools`")?;
        let elements: Vec<&RawValue> = serde_json::from_str(array).map_err(|_| "`tools` is no array")?;
        let tools: Vec<Listed> =
            elements.iter().filter_map(|raw| listed(result, raw.get(), server)).collect();
        Ok(Self {
            whole: tools.len() == elements.len(),
            tools,
            array: place_in(result, array).unwrap_or_default(),
            next: members.string("nextCursor"),
            caching: caching(result, &members),
        })
    }

    /// The answer with the tools that may be shown, and none other.
    pub(crate) fn shown(&self, answer: &Frame, visible: &HashSet<String>) -> Frame {
        let result = answer.result().unwrap_or_default();
        let shown: Vec<&Listed> =
            self.tools.iter().filter(|tool| visible.contains(&tool.definition.name)).collect();
        let mut changes = self.caching.clone();
        if !self.whole || shown.len() < self.tools.len() {
            let texts = shown.iter().filter_map(|tool| result.get(tool.place.clone()));
            changes.push((self.array.clone(), format!("[{}]", texts.collect::<Vec<_>>().join(","))));
        }
        if changes.is_empty() {
            return answer.clone();
        }
        changes.sort_by_key(|(place, _)| std::cmp::Reverse(place.start));
        let mut text = bytes::Bytes::copy_from_slice(result.as_bytes());
        for (place, with) in &changes {
            text = splice(&text, place, with.as_bytes());
        }
        answer.with_result(&String::from_utf8_lossy(&text))
    }
}

/// What depends on who asks must not be kept for others, nor for long: rules change.
fn caching(result: &str, members: &Members<'_>) -> Vec<(Range<usize>, String)> {
    let mut changes = Vec::new();
    if let Some(scope) = members.get("cacheScope").filter(|scope| *scope != "\"private\"") {
        changes.extend(place_in(result, scope).map(|place| (place, "\"private\"".to_owned())));
    }
    if let Some(ttl) = members.get("ttlMs").filter(|ttl| ttl.parse::<u64>().is_ok_and(|ms| ms > KEPT_MS_MAX))
    {
        changes.extend(place_in(result, ttl).map(|place| (place, KEPT_MS_MAX.to_string())));
    }
    changes
}

/// A tool that cannot be judged is none.
fn listed(result: &str, raw: &str, server: &str) -> Option<Listed> {
    let members = Members::read(raw).ok()?;
    members.unmistakable(&["name", "description", "inputSchema", "annotations"]).ok()?;
    let name = members.string("name").filter(|name| !name.is_empty())?;
    let json = |name| members.get(name).and_then(|raw| serde_json::from_str(raw).ok()).unwrap_or(Value::Null);
    Some(Listed {
        place: place_in(result, raw)?,
        promises_output: members.get("outputSchema").is_some_and(|schema| schema != "null"),
        definition: ToolDefinition {
            name,
            server: server.to_owned(),
            description: members.string("description").unwrap_or_default(),
            schema: json("inputSchema"),
            annotations: json("annotations"),
        },
    })
}

/// The tools of one server, as all its sessions have seen them.
///
/// Sessions may be shown different tools, so that none is forgotten because one list lacks it: a call of a tool that is
/// gone is judged by what it was, and refused by the server itself.
pub(crate) struct ServerTools {
    server: String,
    gate: Gate,
    known: Mutex<Known>,
}

#[derive(Default)]
struct Known {
    definitions: Vec<ToolDefinition>,
    places: HashMap<String, usize>,
    promising: HashSet<String>,
}

impl ServerTools {
    pub(crate) fn new(server: &str, gate: Gate) -> Self {
        Self { server: server.to_owned(), gate, known: Mutex::default() }
    }

    /// Whether there is such a tool.
    pub(crate) async fn knows(&self, tool: &str) -> bool {
        self.known.lock().await.places.contains_key(tool)
    }

    /// Whether a tool has promised a form for its structured results.
    pub(crate) async fn promises_output(&self, tool: &str) -> bool {
        self.known.lock().await.promising.contains(tool)
    }

    /// The schema of a tool's arguments.
    pub(crate) async fn schema(&self, tool: &str) -> Option<Value> {
        let known = self.known.lock().await;
        let place = known.places.get(tool)?;
        known.definitions.get(*place).map(|definition| definition.schema.clone())
    }

    /// Takes over what a list says. The gate hears of it before anybody is shown the list.
    pub(crate) async fn learn(&self, page: &Page) {
        let mut known = self.known.lock().await;
        let mut news = false;
        for listed in &page.tools {
            news |= known.take(listed);
        }
        if !news && self.gate.knows_server(&self.server) {
            return;
        }
        let states = self.gate.report_definitions(&self.server, known.definitions.clone()).await;
        for (tool, _) in states.iter().filter(|(_, state)| *state == DefinitionState::Changed) {
            tracing::warn!(
                server = %self.server, %tool,
                "a tool has another definition than before: it is dangerous until it is classified again"
            );
        }
    }
}

impl Known {
    /// Takes over one tool; true when it is new or another one than before.
    fn take(&mut self, listed: &Listed) -> bool {
        let definition = &listed.definition;
        if listed.promises_output {
            self.promising.insert(definition.name.clone());
        } else {
            self.promising.remove(&definition.name);
        }
        match self.places.get(&definition.name).copied() {
            Some(place) => match self.definitions.get_mut(place) {
                Some(old) if old != definition => {
                    *old = definition.clone();
                    true
                }
                _ => false,
            },
            None if self.definitions.len() >= TOOLS_MAX => false,
            None => {
                self.places.insert(definition.name.clone(), self.definitions.len());
                self.definitions.push(definition.clone());
                true
            }
        }
    }
}

#[cfg(test)]
mod tests;
