//! `router_settings.redis_…`: a Redis server, in parts or as one URL, becomes `cache`.

use crate::document::{Entry, Node};

use super::secrets::environment;
use super::{At, Import, get, text};

const PARTS: [&str; 6] =
    ["redis_host", "redis_port", "redis_username", "redis_password", "redis_db", "redis_ssl"];

/// What may stand in a URL as it is; of anything else in a user's name the reader must make an escape.
fn is_plain(c: char) -> bool {
    c.is_ascii_alphanumeric() || matches!(c, '-' | '.' | '_' | '~')
}

impl Import {
    /// Reads what says where Redis is; false when the key says nothing of it.
    pub(super) fn is_redis(&mut self, settings: &Node, entry: &Entry, at: &At) -> bool {
        match entry.key.as_str() {
            "redis_url" => self.redis_url(entry, at),
            "redis_host" => self.redis_host(settings, entry, at),
            part if PARTS.contains(&part) => {
                // Read with the host.
                if get(settings, "redis_host").is_none() {
                    self.notes.add(at, entry.key_place.line, "not carried over: there is no `redis_host`");
                }
            }
            _ => return false,
        }
        true
    }

    fn redis_url(&mut self, entry: &Entry, at: &At) {
        let Some(url) = self.text_of(entry, at) else { return };
        let reference = self.variables.secret(&url, "REDIS_URL");
        if reference.was_literal {
            let why =
                format!("the URL may hold a password and is not repeated: set {} to it", reference.text);
            self.notes.add(at, entry.key_place.line, why);
        }
        self.settings.cache = Some(reference.text);
    }

    fn redis_host(&mut self, settings: &Node, entry: &Entry, at: &At) {
        let Some(host) = self.text_of(entry, at) else { return };
        let host = match environment(&host) {
            Some(name) => self.variables.read(name),
            None => host.replace("${", "$${"),
        };
        let port = self.redis_number(settings, "redis_port", at).map_or("6379".to_owned(), |port| port);
        let database =
            self.redis_number(settings, "redis_db", at).filter(|db| db != "0").map(|db| format!("/{db}"));
        let login = self.redis_login(settings, at);
        let tls = get(settings, "redis_ssl").and_then(|entry| self.truth_of(entry, &at.beside("redis_ssl")));
        let scheme = if tls == Some(true) { "rediss" } else { "redis" };
        let database = database.unwrap_or_default();
        self.settings.cache = Some(format!("{scheme}://{login}{host}:{port}{database}"));
        let why = "weir keeps its counters, limits and the action cache there; LiteLLM's own keys stay where they are";
        self.notes.add(at, entry.key_place.line, why);
    }

    /// `USER:PASSWORD@`, or nothing.
    fn redis_login(&mut self, settings: &Node, at: &At) -> String {
        let mut part = |key: &str| {
            let entry = get(settings, key)?;
            Some((entry.key_place.line, self.text_of(entry, &at.beside(key))?))
        };
        let (username, password) = (part("redis_username"), part("redis_password"));
        let user = username.map(|(line, user)| match environment(&user) {
            Some(name) => self.variables.read(name),
            None if user.chars().all(is_plain) => user,
            None => {
                let reference = self.variables.secret(&user, "REDIS_USERNAME");
                let why = format!("stands in a URL: set {} to it, with escapes as in a URL", reference.text);
                self.notes.add(&at.beside("redis_username"), line, why);
                reference.text
            }
        });
        let password = password.map(|(line, password)| {
            let reference = self.variables.secret(&password, "REDIS_PASSWORD");
            let why = if reference.was_literal {
                format!(
                    "the password itself is not written: set {} to it, with escapes as in a URL",
                    reference.text
                )
            } else {
                "stands in a URL: its signs such as `@` and `/` must be written as escapes there".to_owned()
            };
            self.notes.add(&at.beside("redis_password"), line, why);
            reference.text
        });
        match (user, password) {
            (None, None) => String::new(),
            (user, Some(password)) => format!("{}:{password}@", user.unwrap_or_default()),
            (Some(user), None) => format!("{user}@"),
        }
    }

    /// A whole number, or the variable that holds it.
    fn redis_number(&mut self, settings: &Node, key: &str, host: &At) -> Option<String> {
        let entry = get(settings, key)?;
        let (at, given) = (host.beside(key), text(&entry.node));
        if let Some(name) = given.as_deref().and_then(environment) {
            return Some(self.variables.read(name));
        }
        let digits = given.filter(|text| text.chars().all(|c| c.is_ascii_digit()));
        if digits.is_none() {
            self.not_a(&entry.node, "number", &at);
        }
        digits
    }
}
