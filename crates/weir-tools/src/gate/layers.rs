//! Which layer says what: weir's own level of a tool, the configuration, what operators set above it, annotations, drift.

use std::collections::BTreeSet;
use std::sync::Arc;
use std::sync::atomic::Ordering;

use tokio::sync::watch;
use weir_config::config::Tools;
use weir_core::tool::{CeilingStanding, Layer, PermissionLevel, ToolStanding};
use weir_store::database::Overrides;

use super::catalogue::{Entry, hinted};
use super::{Gate, Inner, channel_ceiling};
use crate::level::Roots;

/// The configuration in force, what operators set above it, and what follows from both.
pub(super) struct Settings {
    configured: Tools,
    overrides: Arc<Overrides>,
    /// The configuration with the levels of tools as operators have set them.
    pub(super) tools: Tools,
    pub(super) roots: Roots,
}

impl Settings {
    pub(super) fn new(configured: Tools, overrides: Arc<Overrides>) -> Self {
        let mut tools = configured.clone();
        let set = overrides.levels.iter().map(|(name, set)| (name.clone(), set.level));
        tools.levels.extend(set);
        Self { roots: Roots::of(&tools), configured, overrides, tools }
    }

    /// The ceiling of a channel. One that an operator set counts for its channel alone: it does not make the others
    /// channels that the configuration leaves out.
    pub(super) fn ceiling(&self, channel: &str) -> PermissionLevel {
        match self.overrides.ceilings.get(channel) {
            Some(set) => set.level,
            None => channel_ceiling(&self.configured, channel),
        }
    }

    /// Whether an operator has set the ceiling of a channel.
    pub(super) fn is_ceiling_set(&self, channel: &str) -> bool {
        self.overrides.ceilings.contains_key(channel)
    }

    fn ceiling_standing(&self, channel: Option<&str>) -> CeilingStanding {
        let configured = channel.and_then(|name| self.configured.channel_permissions.get(name)).copied();
        let overridden = channel.and_then(|name| self.overrides.ceilings.get(name)).map(|set| set.level);
        let layer = match (overridden, configured) {
            (Some(_), _) => Layer::Override,
            (None, Some(_)) => Layer::Configuration,
            (None, None) => Layer::Default,
        };
        // No channel has the empty name.
        let ceiling = self.ceiling(channel.unwrap_or_default());
        CeilingStanding { channel: channel.map(str::to_owned), ceiling, layer, configured, overridden }
    }

    fn tool_standing(&self, server: &str, name: &str, entry: Option<&Entry>) -> ToolStanding {
        let configured = self.configured.levels.get(name).copied();
        let overridden = self.overrides.levels.get(name).map(|set| set.level);
        let built_in = entry.and_then(|entry| entry.built_in);
        let annotated = entry.and_then(|entry| hinted(entry.annotations()));
        let drifted = entry.is_some_and(|entry| entry.drifted.load(Ordering::Relaxed));
        let level = match entry {
            Some(entry) => entry.level(&self.tools),
            None => super::tool_level(&self.tools, name, &serde_json::Value::Null),
        };
        let own = overridden.or(configured).or(built_in);
        let layer = match (drifted, own) {
            (true, _) => Layer::Drift,
            (false, Some(own)) if level > own => Layer::Annotation,
            (false, _) if overridden.is_some() => Layer::Override,
            (false, _) if configured.is_some() => Layer::Configuration,
            (false, Some(_)) => Layer::BuiltIn,
            (false, None) => Layer::Default,
        };
        ToolStanding {
            server: server.to_owned(),
            name: name.to_owned(),
            description: entry.map(|entry| entry.definition.description.clone()).unwrap_or_default(),
            listed: entry.is_some(),
            level,
            layer,
            built_in,
            configured,
            overridden,
            annotated,
        }
    }
}

impl Inner {
    /// What is in force now.
    pub(super) fn settings(&self) -> Arc<Settings> {
        let settings = self.settings.load_full();
        let Some(overrides) = self.overrides.get() else { return settings };
        let current = Arc::clone(&overrides.borrow());
        if Arc::ptr_eq(&current, &settings.overrides) {
            return settings;
        }
        self.settings.rcu(|before| Settings::new(before.configured.clone(), Arc::clone(&current)));
        self.settings.load_full()
    }
}

impl Gate {
    /// Follows what operators set above the configuration. A gate follows one source for good.
    pub fn follow_overrides(&self, overrides: watch::Receiver<Arc<Overrides>>) {
        let _ = self.inner.overrides.set(overrides);
    }

    /// Puts another configuration in force. What operators set above it stays.
    pub fn reload(&self, tools: Tools) {
        self.inner.settings.rcu(|before| Settings::new(tools.clone(), Arc::clone(&before.overrides)));
    }

    /// The ceiling of a channel.
    #[must_use]
    pub fn ceiling(&self, channel: &str) -> PermissionLevel {
        self.inner.settings().ceiling(channel)
    }

    /// How every channel stands that somebody has named, and last how all others do.
    #[must_use]
    pub fn ceilings(&self) -> Vec<CeilingStanding> {
        let settings = self.inner.settings();
        let configured = settings.configured.channel_permissions.keys();
        let named: BTreeSet<&String> = configured.chain(settings.overrides.ceilings.keys()).collect();
        let named = named.into_iter().map(|name| Some(name.as_str()));
        named.chain([None]).map(|channel| settings.ceiling_standing(channel)).collect()
    }

    /// How every tool stands: those that servers have listed to this node, those that are known otherwise (by server
    /// and name), and those that the configuration or an operator names.
    #[must_use]
    pub fn standings(&self, known: &[(String, String)]) -> Vec<ToolStanding> {
        let settings = self.inner.settings();
        let entries = self.inner.catalogue.entries(None);
        let mut standings: Vec<ToolStanding> = entries
            .iter()
            .map(|entry| (entry, &entry.definition))
            .map(|(entry, tool)| settings.tool_standing(&tool.server, &tool.name, Some(entry)))
            .collect();
        let mut listed: BTreeSet<(&str, &str)> =
            entries.iter().map(|entry| (&*entry.definition.server, &*entry.definition.name)).collect();
        for (server, name) in known {
            if listed.insert((server, name)) {
                standings.push(settings.tool_standing(server, name, None));
            }
        }
        let names: BTreeSet<&str> = listed.into_iter().map(|(_, name)| name).collect();
        let unseen = settings.tools.levels.keys().filter(|name| !names.contains(name.as_str()));
        standings.extend(unseen.map(|name| settings.tool_standing("", name, None)));
        standings.sort_by(|a, b| (&a.server, &a.name).cmp(&(&b.server, &b.name)));
        standings
    }
}
