//! The tools that there are, as their servers have listed them.

use std::collections::BTreeMap;
use std::sync::{Arc, PoisonError, RwLock};

use serde_json::Value as Json;
use weir_config::config::Tools;
use weir_core::tool::PermissionLevel;

use crate::call::ToolDefinition;

/// How a definition stands to what was known of the tool.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum DefinitionState {
    /// It was never seen before.
    New,
    /// It is as it was.
    Same,
    /// Its name, description or schema changed: it is `dangerous` until the operator classifies it.
    Changed,
}

/// A tool and what is known of it.
#[derive(Debug)]
pub(crate) struct Entry {
    pub(crate) definition: Arc<ToolDefinition>,
    /// Whether it changed since it was first seen.
    pub(crate) drifted: bool,
}

impl Entry {
    /// The tool's own level: the operator's, which annotations can only raise; without one, and after a change,
    /// `dangerous`.
    pub(crate) fn level(&self, tools: &Tools) -> PermissionLevel {
        if self.drifted {
            return PermissionLevel::Dangerous;
        }
        match tools.levels.get(&self.definition.name) {
            None => PermissionLevel::Dangerous,
            Some(level) => hinted(&self.definition.annotations).map_or(*level, |hinted| hinted.max(*level)),
        }
    }
}

/// What annotations say of a tool: only what raises a level is believed.
fn hinted(annotations: &Json) -> Option<PermissionLevel> {
    let hint = |name: &str| annotations.get(name).and_then(Json::as_bool);
    match (hint("destructiveHint"), hint("openWorldHint"), hint("readOnlyHint")) {
        (Some(true), ..) => Some(PermissionLevel::Dangerous),
        (_, Some(true), _) => Some(PermissionLevel::Execute),
        (.., Some(false)) => Some(PermissionLevel::Write),
        _ => None,
    }
}

/// All tools by server, in the order that the server gave.
#[derive(Default)]
pub(crate) struct Catalogue {
    servers: RwLock<BTreeMap<String, Vec<Arc<Entry>>>>,
}

impl Catalogue {
    pub(crate) fn report(
        &self,
        server: &str,
        definitions: Vec<ToolDefinition>,
    ) -> Vec<(String, DefinitionState)> {
        let mut states = Vec::with_capacity(definitions.len());
        let mut entries = Vec::with_capacity(definitions.len());
        for definition in definitions {
            states.push((definition.name.clone(), DefinitionState::New));
            entries.push(Arc::new(Entry { definition: Arc::new(definition), drifted: false }));
        }
        self.servers.write().unwrap_or_else(PoisonError::into_inner).insert(server.to_owned(), entries);
        states
    }

    pub(crate) fn knows(&self, server: &str) -> bool {
        self.servers.read().unwrap_or_else(PoisonError::into_inner).contains_key(server)
    }

    /// The tools of one server, or of all.
    pub(crate) fn entries(&self, server: Option<&str>) -> Vec<Arc<Entry>> {
        let servers = self.servers.read().unwrap_or_else(PoisonError::into_inner);
        let chosen = servers.iter().filter(|(name, _)| server.is_none_or(|server| server == *name));
        chosen.flat_map(|(_, entries)| entries).cloned().collect()
    }

    pub(crate) fn find(&self, server: &str, tool: &str) -> Option<Arc<Entry>> {
        let servers = self.servers.read().unwrap_or_else(PoisonError::into_inner);
        servers.get(server)?.iter().find(|entry| entry.definition.name == tool).cloned()
    }
}
