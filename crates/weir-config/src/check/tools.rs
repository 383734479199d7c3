//! What bounds agents' tool calls.

use std::collections::BTreeMap;
use std::time::Duration;

use weir_core::tool::PermissionLevel;

use super::{Check, Taken};
use crate::config::{Approvals, Approver, LoopGuard, McpServer, McpTransport, Role, Tools};
use crate::path::Path;
use crate::raw::{RawApprovals, RawLevel, RawMap, RawMcpServer, RawTools};
use crate::shape::nearest;

impl Check<'_, '_> {
    pub(super) fn tools(&mut self, raw: Option<&RawTools>, path: &Path) -> Tools {
        let none = RawTools::default();
        let raw = raw.unwrap_or(&none);
        let guard = raw.loop_guard.as_ref();
        Tools {
            channel_permissions: self
                .levels(raw.channel_permissions.as_ref(), &path.key("channel_permissions")),
            levels: self.levels(raw.levels.as_ref(), &path.key("levels")),
            allowed_roots: self.paths(raw.allowed_roots.as_deref().unwrap_or_default()),
            timeout: self.positive(raw.timeout.as_ref(), &path.key("timeout"), Duration::from_secs(60)),
            loop_guard: LoopGuard {
                identical: guard.and_then(|guard| guard.identical).unwrap_or(3),
                failures: guard.and_then(|guard| guard.failures).unwrap_or(6),
            },
            approvals: self.approvals(raw.approvals.as_ref(), &path.key("approvals")),
            mcp_servers: self
                .mcp_servers(raw.mcp_servers.as_deref().unwrap_or_default(), &path.key("mcp_servers")),
        }
    }

    fn levels(&mut self, raw: Option<&RawMap<RawLevel>>, path: &Path) -> BTreeMap<String, PermissionLevel> {
        let mut out = BTreeMap::new();
        for (name, level) in raw.into_iter().flatten() {
            match PermissionLevel::parse(&level.0) {
                Some(level) => {
                    out.insert(name.clone(), level);
                }
                None => self.no_level(&level.0, &path.key(name)),
            }
        }
        out
    }

    fn no_level(&mut self, written: &str, path: &Path) {
        let tokens = PermissionLevel::ALL.map(PermissionLevel::token);
        let possible = tokens.join(", ");
        let help = match nearest(written, tokens.into_iter()) {
            Some(meant) => format!("did you mean `{meant}`? Possible: {possible}"),
            None => format!("possible: {possible}"),
        };
        let message = format!("{} is no permission level", self.shown(path));
        self.error(path, message).help(help);
    }

    fn approvals(&mut self, raw: Option<&RawApprovals>, path: &Path) -> Approvals {
        let none = RawApprovals::default();
        let raw = raw.unwrap_or(&none);
        Approvals {
            ttl: self.positive(raw.ttl.as_ref(), &path.key("ttl"), Duration::from_secs(600)),
            approver: self.approver(raw.approver.as_deref(), &path.key("approver")),
            webhook: self.optional_url(raw.webhook.as_ref(), &path.key("webhook")),
        }
    }

    fn approver(&mut self, raw: Option<&str>, path: &Path) -> Approver {
        // A viewer only looks.
        let role =
            |name: &str| [Role::Approver, Role::Operator].into_iter().find(|role| role.as_str() == name);
        match raw.map(str::trim) {
            None | Some("other") => Approver::Other,
            Some("self") => Approver::Requester,
            Some(text) => text.strip_prefix("role:").and_then(role).map_or_else(
                || {
                    let message = format!("{} is nobody who can answer an approval", self.shown(path));
                    self.error(path, message)
                        .help("write `self`, `other`, or a role: `role:approver`, `role:operator`");
                    Approver::Other
                },
                Approver::Role,
            ),
        }
    }

    fn mcp_servers(&mut self, raw: &[RawMcpServer], path: &Path) -> Vec<McpServer> {
        let mut names = Taken::new();
        let mut out = Vec::with_capacity(raw.len());
        for (i, raw) in raw.iter().enumerate() {
            let path = path.index(i);
            let transport = self.mcp_transport(raw, &path);
            let Some(name) = &raw.name else { continue };
            self.path_name(name, &path.key("name"));
            self.is_duplicate("the tool server", name, &path.key("name"), &mut names);
            out.extend(transport.map(|transport| McpServer { name: name.clone(), transport }));
        }
        out
    }

    /// The name is a part of a path of the data plane.
    fn path_name(&mut self, name: &str, path: &Path) {
        if !name.chars().all(|c| c.is_ascii_alphanumeric() || matches!(c, '-' | '_' | '.')) {
            let message = format!("{} cannot stand in the path `/mcp/NAME`", self.shown(path));
            self.error(path, message).help("use letters, digits, `-`, `_` and `.`");
        }
    }

    fn mcp_transport(&mut self, raw: &RawMcpServer, path: &Path) -> Option<McpTransport> {
        match (&raw.command, &raw.url) {
            (Some(command), None) => Some(McpTransport::Command(command.clone())),
            (None, Some(url)) => self.http_url(url.trim(), &path.key("url")).map(McpTransport::Url),
            (Some(_), Some(_)) => {
                let url = path.key("url");
                let place = self.key_place(&url);
                self.report.error(place, &url, "`command` and `url` are both given").help("keep one of them");
                None
            }
            (None, None) => {
                if !self.report.is_unread_within(path) {
                    self.error(path, "the tool server has neither `command` nor `url`")
                        .help("give one of them");
                }
                None
            }
        }
    }
}
