//! The tools that a model is offered, and who runs them.

use std::collections::{BTreeMap, HashMap};
use std::sync::Arc;

use futures_util::future::BoxFuture;
use weir_rules::tool::Permitted;

use crate::call::{Caller, ToolDefinition};
use crate::gate::Gate;
use crate::outcome::Executed;

/// How long a tool's name may be in the protocols, in characters.
const NAME_CHARS_MAX: usize = 64;

/// How many tools a model is offered.
const OFFERED_MAX: usize = 256;

/// Runs the tools of one server.
pub trait Executor: Send + Sync {
    /// Runs a call that was permitted. It is dropped when it takes too long.
    fn run<'a>(&'a self, permitted: Permitted) -> BoxFuture<'a, Executed<String>>;
}

/// Who runs what, by server; the empty one is weir's own.
#[derive(Clone, Default)]
pub struct Toolbox {
    executors: BTreeMap<String, Arc<dyn Executor>>,
}

impl Toolbox {
    /// No tools.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// Adds the one who runs a server's tools. The gate must have been told of them.
    #[must_use]
    pub fn with(mut self, server: &str, executor: Arc<dyn Executor>) -> Self {
        self.executors.insert(server.to_owned(), executor);
        self
    }

    pub(super) fn executor(&self, server: &str) -> Option<Arc<dyn Executor>> {
        self.executors.get(server).cloned()
    }

    /// The tools that this caller may see, under the names that the model is given.
    pub(super) fn offer(&self, gate: &Gate, caller: &Caller) -> Offer {
        let mut offer = Offer::default();
        // Server by server, so that the built-in tools come first and keep their names.
        for server in self.executors.keys() {
            for definition in gate.list(caller, Some(server)) {
                offer.add(definition);
            }
        }
        offer
    }
}

/// The tools of one request, under their names there.
#[derive(Default)]
pub(super) struct Offer {
    pub(super) tools: Vec<(String, Arc<ToolDefinition>)>,
    by_name: HashMap<String, usize>,
}

impl Offer {
    fn add(&mut self, definition: Arc<ToolDefinition>) {
        if self.tools.len() >= OFFERED_MAX {
            return;
        }
        let plain = fitting(&definition.name);
        let longer = fitting(&format!("{}__{}", definition.server, definition.name));
        let free = |name: &String| !self.by_name.contains_key(name);
        // A name that two tools would have is one that nobody can call: the second is not offered.
        let Some(name) = [plain, longer].into_iter().find(free) else { return };
        self.by_name.insert(name.clone(), self.tools.len());
        self.tools.push((name, definition));
    }

    /// The tool that a model means.
    pub(super) fn find(&self, name: &str) -> Option<&Arc<ToolDefinition>> {
        self.tools.get(*self.by_name.get(name)?).map(|(_, definition)| definition)
    }
}

/// A name as the protocols take it.
fn fitting(name: &str) -> String {
    let fits = |c: char| if c.is_ascii_alphanumeric() || c == '_' || c == '-' { c } else { '_' };
    name.chars().take(NAME_CHARS_MAX).map(fits).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::Value;

    #[test]
    fn tools_of_two_servers_have_two_names_and_names_fit_the_protocols() {
        let mut offer = Offer::default();
        let table =
            [("", "read"), ("files", "read"), ("files", "a b/c"), ("files", "a.b c"), ("files", "read")];
        for (server, name) in table {
            offer.add(Arc::new(ToolDefinition {
                name: name.to_owned(),
                server: server.to_owned(),
                description: String::new(),
                schema: Value::Null,
                annotations: Value::Null,
            }));
        }
        let names: Vec<&str> = offer.tools.iter().map(|(name, _)| name.as_str()).collect();
        assert_eq!(names, ["read", "files__read", "a_b_c", "files__a_b_c"]);
        assert_eq!(offer.find("files__read").unwrap().server, "files");
        assert!(offer.find("write").is_none());
    }
}
