//! What bounds agents' tool calls.

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::time::Duration;

use weir_core::name::check_name;
use weir_core::tool::{PermissionLevel, cleaned};

use super::{Check, Taken};
use crate::config::{
    Approvals, Approver, Config, DatabaseUrl, LoopGuard, McpServer, McpTransport, Role, SESSIONS, Tools,
};
use crate::path::Path;
use crate::raw::{RawApprovals, RawConfig, RawLevel, RawMap, RawMcpServer, RawTools};
use crate::shape::nearest;

/// The channels that calls have by themselves, and those of the seed.
const CHANNELS: [&str; 4] = ["cli", "mcp", "web", "cron"];

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
            own_files: Vec::new(),
            fetch_private: self
                .networks(raw.fetch_private.as_deref().unwrap_or_default(), &path.key("fetch_private")),
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

    /// What of weir's own is closed to tools, and what its operator should know about roots and channels.
    pub(super) fn closed_to_tools(&mut self, raw: &RawConfig, config: &mut Config) {
        let mut own = vec![config.data_dir.join("admin-token"), config.data_dir.join(SESSIONS)];
        if let DatabaseUrl::Sqlite(file) = &config.store {
            own.push(file.clone());
            // What SQLite keeps beside it, and weir: its lock, and the secret that seals what must not be read.
            own.extend(["-wal", "-shm", "-journal", ".lock", ".secret"].map(|end| {
                let mut beside = file.clone().into_os_string();
                beside.push(end);
                PathBuf::from(beside)
            }));
        }
        own.extend(config.rules.iter().flatten().cloned());
        config.tools.own_files = own;
        let tools = Path::root().key("tools");
        for (i, root) in config.tools.allowed_roots.iter().enumerate() {
            if config.data_dir.starts_with(root) || root.starts_with(&config.data_dir) {
                let path = tools.key("allowed_roots").index(i);
                let message = format!("{} and `data_dir` are not apart", self.shown(&path));
                self.warning(&path, message).help(
                    "weir closes its own files to tools, but not to the programs that a tool may run: give tools a folder \
                     of their own",
                );
            }
        }
        self.odd_channels(raw, &tools.key("channel_permissions"));
    }

    /// Channels whose ceiling will never hold: nobody can have such a name, or it is nearly that of another.
    fn odd_channels(&mut self, raw: &RawConfig, path: &Path) {
        let tools = raw.tools.as_ref();
        let ceilings = tools.and_then(|tools| tools.channel_permissions.as_ref());
        let names: Vec<&str> = ceilings.into_iter().flatten().map(|(name, _)| name.as_str()).collect();
        let of_keys = || raw.keys.iter().flatten().filter_map(|key| key.channel.as_deref());
        let known: Vec<&str> = CHANNELS.into_iter().chain(of_keys()).collect();
        for name in &names {
            if let Err(why) = check_name(name) {
                let message = format!("no channel can have the name `{}`: it {why}", cleaned(name, 60));
                self.warning(&path.key(name), message)
                    .help("calls on it get `read_only`, as those of any other channel");
                continue;
            }
            let meant = nearest(name, known.iter().copied()).filter(|_| !known.contains(name));
            if let Some(meant) = meant.filter(|meant| !names.contains(meant)) {
                let message = format!("nobody here has the channel `{name}`");
                self.warning(&path.key(name), message)
                    .help(format!("did you mean `{meant}`? A channel that is not listed may only read"));
            }
        }
        for (i, key) in raw.keys.iter().flatten().enumerate() {
            if let Some(channel) =
                key.channel.as_deref().filter(|name| !names.is_empty() && !names.contains(name))
            {
                let meant = nearest(channel, names.iter().copied());
                if let Some(meant) = meant {
                    let at = Path::root().key("keys").index(i).key("channel");
                    let message =
                        format!("`{channel}` is not in `tools.channel_permissions`: it may only read");
                    self.warning(&at, message).help(format!("did you mean `{meant}`?"));
                }
            }
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
