//! The tools that there are, as their servers have listed them.

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, LazyLock, PoisonError, RwLock};

use serde_json::{Value as Json, json};
use weir_config::config::Tools;
use weir_core::Timestamp;
use weir_core::tool::{Arguments, PermissionLevel};
use weir_store::Database;
use weir_store::database::StoredDefinition;

use crate::approval::digest_of;
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
    /// Whether it is another than the one that was accepted.
    pub(crate) drifted: AtomicBool,
    /// The level that weir knows of a tool of its own, where the operator gives none.
    pub(crate) built_in: Option<PermissionLevel>,
}

/// What a tool without annotations says.
pub(crate) static NO_ANNOTATIONS: LazyLock<Json> = LazyLock::new(|| json!({}));

impl Entry {
    /// The annotations; an empty object when there are none, so that rules can ask for members.
    pub(crate) fn annotations(&self) -> &Json {
        let annotations = &self.definition.annotations;
        if annotations.is_object() { annotations } else { &NO_ANNOTATIONS }
    }

    /// The tool's own level: the operator's, which annotations can only raise; without one, and after a change,
    /// `dangerous`.
    pub(crate) fn level(&self, tools: &Tools) -> PermissionLevel {
        if self.drifted.load(Ordering::Relaxed) {
            return PermissionLevel::Dangerous;
        }
        match self.built_in {
            Some(level) if !tools.levels.contains_key(&self.definition.name) => level,
            _ => tool_level(tools, &self.definition.name, &self.definition.annotations),
        }
    }
}

/// A tool's own level: the operator's, which annotations can only raise; `dangerous` until the operator gives one.
#[must_use]
pub fn tool_level(tools: &Tools, name: &str, annotations: &Json) -> PermissionLevel {
    match tools.levels.get(name) {
        None => PermissionLevel::Dangerous,
        Some(level) => hinted(annotations).map_or(*level, |hinted| hinted.max(*level)),
    }
}

/// What annotations say of a tool: only what raises a level is believed.
pub(crate) fn hinted(annotations: &Json) -> Option<PermissionLevel> {
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
    /// Takes over a server's tools and compares them with what was accepted of them.
    pub(crate) async fn report(
        &self,
        database: &Database,
        server: &str,
        definitions: Vec<ToolDefinition>,
        now: Timestamp,
    ) -> Vec<(String, DefinitionState)> {
        let before = self.entries(Some(server));
        let hashes: Vec<(String, String)> =
            definitions.iter().map(|definition| (definition.name.clone(), hash_of(definition))).collect();
        let known = database.definitions_seen(server, &hashes, now).await;
        if let Err(error) = &known {
            tracing::error!(%error, server, "the accepted definitions of tools cannot be read: all are dangerous");
        }
        let mut states = Vec::with_capacity(definitions.len());
        let mut entries = Vec::with_capacity(definitions.len());
        for (definition, (name, _)) in definitions.into_iter().zip(hashes) {
            let stored = known.as_ref().ok().and_then(|known| known.iter().find(|known| known.name == name));
            let drifted = stored.is_none_or(StoredDefinition::has_drifted);
            let state = if drifted {
                DefinitionState::Changed
            } else if stored.is_some_and(|stored| stored.first_seen == now)
                && !before.iter().any(|entry| entry.definition.name == name)
            {
                DefinitionState::New
            } else {
                DefinitionState::Same
            };
            if drifted {
                metrics::counter!("weir_tool_definitions_changed_total").increment(1);
            }
            states.push((name, state));
            entries.push(Arc::new(Entry {
                definition: Arc::new(definition),
                drifted: AtomicBool::new(drifted),
                built_in: None,
            }));
        }
        self.servers.write().unwrap_or_else(PoisonError::into_inner).insert(server.to_owned(), entries);
        states
    }

    /// Takes over weir's own tools. They are as trusted as weir itself, so there is no drift.
    pub(crate) fn report_built_in(&self, tools: Vec<(ToolDefinition, PermissionLevel)>) {
        let entry = |(definition, level)| {
            Arc::new(Entry {
                definition: Arc::new(definition),
                drifted: AtomicBool::new(false),
                built_in: Some(level),
            })
        };
        let entries = tools.into_iter().map(entry).collect();
        self.servers.write().unwrap_or_else(PoisonError::into_inner).insert(String::new(), entries);
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

    /// A tool. Of one that has drifted the store is asked whether the operator has accepted it meanwhile.
    pub(crate) async fn find(&self, database: &Database, server: &str, tool: &str) -> Option<Arc<Entry>> {
        let entry = {
            let servers = self.servers.read().unwrap_or_else(PoisonError::into_inner);
            servers.get(server)?.iter().find(|entry| entry.definition.name == tool).cloned()?
        };
        if entry.drifted.load(Ordering::Relaxed) {
            let hash = hash_of(&entry.definition);
            let known = database.definitions(Some(server)).await.unwrap_or_default();
            let accepted = known.iter().any(|known| known.name == tool && known.accepted == hash);
            entry.drifted.store(!accepted, Ordering::Relaxed);
        }
        Some(entry)
    }
}

/// What a tool is known by: its name, description and schema (RFC 8785).
fn hash_of(definition: &ToolDefinition) -> String {
    digest_of(&Arguments::new(json!({
        "name": definition.name,
        "description": definition.description,
        "schema": definition.schema,
    })))
}
