//! weir's own tools.

use weir_core::tool::PermissionLevel;

use super::Gate;
use crate::call::ToolDefinition;

impl Gate {
    /// Takes over the built-in tools of weir's own turn loop, each with the level that it has where `tools.levels` gives
    /// none. Their server is the empty one, so that a tool server cannot pass for them.
    pub fn report_built_in(&self, tools: Vec<(ToolDefinition, PermissionLevel)>) {
        self.inner.catalogue.report_built_in(tools);
    }
}
