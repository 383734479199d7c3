//! From the configuration as written to the checked one: what each value means, what refers to what, what may not be
//! together. Defaults are here and nowhere else; a test holds them against those that the schema tells.

use std::collections::HashMap;
use std::path::{Component, PathBuf};

use crate::Sources;
use crate::catalogue::ModelCatalogue;
use crate::config::{Config, Listen};
use crate::document::{Node, Place};
use crate::path::Path;
use crate::raw::{RawConfig, RawListen, RawPath};
use crate::report::{Finding, Report};

mod admin;
mod connection;
mod enforcement;
mod keys;
mod limits;
mod models;
mod providers;
mod references;
mod scalars;
mod tools;

/// Checks a configuration; what is wrong goes into the report.
pub fn checked(
    raw: &RawConfig,
    document: &Node,
    base: &std::path::Path,
    sources: &dyn Sources,
    report: &mut Report<'_>,
) -> Config {
    Check { document, base, sources, report }.config(raw)
}

/// Names that are taken, each with the line that took it.
type Taken = HashMap<String, usize>;

struct Check<'c, 'a> {
    document: &'c Node,
    base: &'c std::path::Path,
    sources: &'c dyn Sources,
    report: &'c mut Report<'a>,
}

impl Check<'_, '_> {
    fn config(mut self, raw: &RawConfig) -> Config {
        let root = Path::root();
        let data_dir = self.path_from(raw.data_dir.as_deref().unwrap_or("./weir-data"));
        let listen = self.listen(raw.listen.as_ref(), &root.key("listen"));
        let providers = self.providers(raw.providers.as_deref(), &root.key("providers"));
        let models = self.models(raw.models.as_deref().unwrap_or_default(), &root.key("models"));
        let models = ModelCatalogue::new(models, &providers);
        let keys = self.keys(raw.keys.as_deref().unwrap_or_default(), &root.key("keys"));
        self.references(raw, &providers, &models);
        let mut config = Config {
            store: self.store(raw.store.as_ref(), &data_dir, &root.key("store")),
            cache: self.cache(raw.cache.as_ref(), &root.key("cache")),
            admin: self.admin(raw.admin.as_ref(), listen.admin, &root.key("admin")),
            trusted_proxies: self
                .trusted_proxies(raw.trusted_proxies.as_deref(), &root.key("trusted_proxies")),
            fingerprint_header: self.header_name(
                raw.fingerprint_header.as_deref().unwrap_or("x-vercel-ja4-digest"),
                &root.key("fingerprint_header"),
            ),
            limits: self.limits(raw.limits.as_ref(), &root.key("limits")),
            free_models: self.free_models(raw.free_models.as_ref(), &root.key("free_models")),
            keys,
            abuse: self.abuse(raw.abuse.as_ref(), &root.key("abuse")),
            stop_loss: raw.stop_loss.as_ref().map(|raw| self.stop_loss(raw, &root.key("stop_loss"))),
            failures: self.failures(raw.failures.as_ref(), &root.key("failures")),
            tools: self.tools(raw.tools.as_ref(), &root.key("tools")),
            rules: raw.rules.as_deref().map(|paths| self.paths(paths)),
            telemetry: self.telemetry(raw.telemetry.as_ref(), &root.key("telemetry")),
            data_dir,
            listen,
            providers,
            models,
        };
        self.closed_to_tools(raw, &mut config);
        config
    }

    fn listen(&mut self, raw: Option<&RawListen>, path: &Path) -> Listen {
        let data = raw.and_then(|raw| raw.data.as_ref());
        let admin = raw.and_then(|raw| raw.admin.as_ref());
        let listen = Listen {
            data: self.address(data, &path.key("data"), 8080),
            admin: self.address(admin, &path.key("admin"), 8081),
        };
        if listen.data == listen.admin && listen.data.port() != 0 && !self.report.has_error_within(path) {
            self.error(&path.key("admin"), "the two planes cannot listen on one address")
                .help("give each its own port");
        }
        listen
    }

    fn paths(&self, raw: &[RawPath]) -> Vec<PathBuf> {
        raw.iter().map(|path| self.path_from(&path.0)).collect()
    }

    /// A path as the configuration file means it, without the `.` that people write.
    fn path_from(&self, text: &str) -> PathBuf {
        self.base
            .join(text)
            .components()
            .filter(|component| !matches!(component, Component::CurDir))
            .collect()
    }

    /// The place of a value, or of the nearest one around it that is there.
    fn place(&self, path: &Path) -> Place {
        let mut path = Some(path.clone());
        while let Some(at) = path {
            if let Some(node) = self.document.at(&at) {
                return node.place;
            }
            path = at.parent();
        }
        self.document.place
    }

    fn error(&mut self, path: &Path, message: impl Into<String>) -> &mut Finding {
        self.report.error(self.place(path), path, message)
    }

    fn warning(&mut self, path: &Path, message: impl Into<String>) -> &mut Finding {
        self.report.warning(self.place(path), path, message)
    }

    /// The place of a key, for what is about the key and not about what it holds.
    fn key_place(&self, path: &Path) -> Place {
        self.document.key_place(path).unwrap_or_else(|| self.place(path))
    }

    /// A value for a message, as written.
    fn shown(&self, path: &Path) -> String {
        self.document.at(path).map_or_else(|| "the default".to_owned(), |node| self.report.shown(node))
    }

    /// Reports a name that is already taken, and says whether it was.
    fn is_duplicate(&mut self, what: &str, name: &str, path: &Path, taken: &mut Taken) -> bool {
        let line = self.place(path).line;
        match taken.get(name) {
            Some(first) => {
                let message = format!("{what} {} is already given in line {first}", self.shown(path));
                self.error(path, message).help("every one needs its own");
                true
            }
            None => {
                taken.insert(name.to_owned(), line);
                false
            }
        }
    }
}
