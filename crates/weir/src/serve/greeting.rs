//! What a start says: one line on stdout for programs, a few on stderr for people.

use std::io::{self, IsTerminal as _, Write as _};
use std::net::SocketAddr;

use weir_config::config::Telemetry;
use weir_core::secret::expose;

use super::admin_token::AdminToken;
use super::logging;
use crate::exit::say;

/// What there is to say.
pub struct Greeting<'g> {
    /// Where the data plane listens.
    pub data: SocketAddr,
    /// Where the admin plane listens.
    pub admin: SocketAddr,
    /// The administrator's token.
    pub token: &'g AdminToken,
    /// How many rules are in force.
    pub rules: usize,
    /// The number of the rule set.
    pub epoch: u64,
}

impl Greeting<'_> {
    /// Says it. The line on stdout comes last: who reads it may begin.
    pub fn say(&self, telemetry: &Telemetry) {
        if logging::is_json(telemetry.log_format, io::stderr().is_terminal()) {
            self.log();
        } else {
            self.tell();
        }
        let mut out = io::stdout().lock();
        // A stdout that is closed has nobody who waits for the line.
        let _ = writeln!(out, "weir ready data=http://{} admin=http://{}", self.data, self.admin);
        let _ = out.flush();
    }

    fn log(&self) {
        tracing::info!(data = %self.data, admin = %self.admin, rules = self.rules, epoch = self.epoch, "ready");
        if let (true, Some(file)) = (self.token.made, &self.token.file) {
            let token = expose(&self.token.token);
            tracing::info!(
                "made the admin token {token}; it is kept in {} and not shown again",
                file.display()
            );
        }
    }

    fn tell(&self) {
        say(format_args!("weir {}", env!("CARGO_PKG_VERSION")));
        say(format_args!("  data plane   http://{}  OpenAI's and Anthropic's APIs", self.data));
        say(format_args!(
            "  console      http://{}  sign in with the admin token; OpenAPI at /api/openapi.json",
            self.admin
        ));
        say(format_args!("  rules        {}, epoch {}", self.rules, self.epoch));
        match (&self.token.file, self.token.made) {
            (Some(file), true) => say(format_args!(
                "  admin token  {}  made now, kept in {}, not shown again",
                expose(&self.token.token),
                file.display(),
            )),
            (Some(file), false) => say(format_args!("  admin token  in {}", file.display())),
            (None, _) => say("  admin token  the configuration's"),
        }
    }
}
