//! Who may use the admin plane.

use std::net::SocketAddr;

use weir_core::secret::{Secret, expose};

use super::{Check, Taken};
use crate::config::{AccessPair, Admin, AdminToken, Role};
use crate::path::Path;
use crate::raw::{RawAccess, RawAdmin, RawAdminToken, RawRole};

/// The token of the example, which everybody knows.
const EXAMPLE_TOKEN: &str = "change-me";

impl Check<'_, '_> {
    pub(super) fn admin(&mut self, raw: Option<&RawAdmin>, listen: SocketAddr, path: &Path) -> Admin {
        let Some(raw) = raw else { return Admin::default() };
        let token_path = path.key("token");
        let token = raw.token.as_ref().and_then(|token| self.key(token, &token_path));
        if raw.token.is_some() && token.is_none() && !self.report.has_error_within(&token_path) {
            self.warning(&token_path, "the admin token is empty: it is as good as none").help(
                "weir makes one and keeps it as `admin-token` in `data_dir`; leave `token` out if that is meant",
            );
        }
        let is_example = token.as_ref().is_some_and(|token| expose(token) == EXAMPLE_TOKEN);
        if is_example && !listen.ip().is_loopback() {
            self.warning(
                &token_path,
                "the admin plane can be reached from elsewhere, with the token of the example",
            )
            .help("set a token that nobody can guess, or leave it out: weir makes one");
        }
        Admin {
            access: raw.access.as_ref().and_then(|access| self.access(access, &path.key("access"))),
            tokens: self.admin_tokens(
                raw.tokens.as_deref().unwrap_or_default(),
                token.as_ref(),
                &path.key("tokens"),
            ),
            token,
        }
    }

    fn access(&mut self, raw: &RawAccess, path: &Path) -> Option<AccessPair> {
        let id = raw.client_id.as_ref().and_then(|id| self.key(id, &path.key("client_id")));
        let secret =
            raw.client_secret.as_ref().and_then(|secret| self.key(secret, &path.key("client_secret")));
        match (id, secret) {
            (Some(id), Some(client_secret)) => {
                Some(AccessPair { client_id: expose(&id).to_owned(), client_secret })
            }
            (None, None) => None,
            (given, _) => {
                let missing = if given.is_some() { "client_secret" } else { "client_id" };
                if !self.report.has_error_within(path) {
                    self.error(path, format!("`{missing}` is missing: both or neither"))
                        .help("a pair with an empty half would let nobody, or anybody, in");
                }
                None
            }
        }
    }

    fn admin_tokens(
        &mut self,
        raw: &[RawAdminToken],
        admin: Option<&Secret>,
        path: &Path,
    ) -> Vec<AdminToken> {
        let (mut names, mut tokens) = (Taken::new(), Vec::<String>::new());
        tokens.extend(admin.map(|token| expose(token).to_owned()));
        let mut out = Vec::with_capacity(raw.len());
        for (i, raw) in raw.iter().enumerate() {
            let path = path.index(i);
            let token_path = path.key("token");
            let token = raw.token.as_ref().and_then(|token| self.required_key(token, &token_path));
            let (Some(name), Some(token), Some(role)) = (&raw.name, token, raw.role) else { continue };
            self.is_duplicate("the name", name, &path.key("name"), &mut names);
            if tokens.iter().any(|other| other == expose(&token)) {
                self.error(&token_path, "this token is already given to another")
                    .help("every one needs its own");
            }
            tokens.push(expose(&token).to_owned());
            out.push(AdminToken { name: name.clone(), token, role: role.into() });
        }
        out
    }
}

impl From<RawRole> for Role {
    fn from(raw: RawRole) -> Self {
        match raw {
            RawRole::Viewer => Self::Viewer,
            RawRole::Approver => Self::Approver,
            RawRole::Operator => Self::Operator,
        }
    }
}
