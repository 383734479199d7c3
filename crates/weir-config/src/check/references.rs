//! What refers to something by its name, held against what there is.
//!
//! A name that is looked for may be that of an entry whose own name could not be read. Such an entry excuses one unknown
//! name, and no more: the typing error in one entry must not hide the references that lead nowhere whatever it says.

use std::collections::BTreeSet;

use super::Check;
use crate::catalogue::ModelCatalogue;
use crate::config::Provider;
use crate::path::Path;
use crate::raw::{RawConfig, RawModel, RawProvider};
use crate::shape::nearest;

/// Fallbacks of one model that the gateway looks at, whatever is configured: `weir-gateway/src/attempts.rs`.
const FALLBACKS_MAX: usize = 8;

/// A reference: the name, and where it stands.
type Reference<'r> = (&'r str, Path);

impl Check<'_, '_> {
    /// Reports names that nothing has, and fallbacks that cannot stand in.
    pub(super) fn references(&mut self, raw: &RawConfig, providers: &[Provider], models: &ModelCatalogue) {
        self.providers_referred_to(raw, providers);
        self.fallbacks(raw, models);
    }

    fn providers_referred_to(&mut self, raw: &RawConfig, providers: &[Provider]) {
        if self.is_unread(raw.providers.is_none(), "providers") {
            return;
        }
        let written = raw.providers.iter().flatten();
        let nameless = written.clone().filter(|provider| provider.name.is_none()).count();
        let names: BTreeSet<&str> = written
            .filter_map(|provider| provider.name.as_deref())
            .chain(providers.iter().map(|provider| provider.name.as_str()))
            .collect();
        let mut unknown = provider_references(raw);
        unknown.retain(|(name, _)| !names.contains(name));
        if are_excused(&unknown, nameless) {
            return;
        }
        for (name, path) in unknown {
            let help = match nearest(name, names.iter().copied()) {
                Some(meant) => format!("did you mean `{meant}`?"),
                None if names.is_empty() => "there are no providers".to_owned(),
                None => format!("providers: {}", names.iter().copied().collect::<Vec<_>>().join(", ")),
            };
            self.error(&path, format!("there is no provider `{name}`")).help(help);
        }
    }

    fn fallbacks(&mut self, raw: &RawConfig, catalogue: &ModelCatalogue) {
        let models = raw.models.as_deref().unwrap_or_default();
        let providers = raw.providers.as_deref().unwrap_or_default();
        let mut unknown = Vec::new();
        self.fallbacks_too_many(models);
        for (name, path, own) in fallback_references(models) {
            if name.eq_ignore_ascii_case(own) {
                self.error(&path, "a model cannot stand in for itself");
                continue;
            }
            match catalogue.find(name) {
                Some(found) if found.model.discontinued => {
                    let message = format!("the model `{name}` is discontinued: it stands in for nothing");
                    self.warning(&path, message);
                }
                Some(_) => {}
                None if models.iter().any(|model| is_named(model, name)) => {}
                None if self.may_be_simulated(name, raw.providers.is_none(), providers) => {}
                None => unknown.push((name, path)),
            }
        }
        let nameless = models.iter().filter(|model| model.id.is_none()).count()
            + providers.iter().filter(|provider| provider.name.is_none()).count();
        if !are_excused(&unknown, nameless) {
            self.unknown_fallbacks(unknown, catalogue);
        }
    }

    /// What stands behind the last one that is tried, the reader believes to be tried.
    fn fallbacks_too_many(&mut self, models: &[RawModel]) {
        let list = Path::root().key("models");
        for (i, model) in models.iter().enumerate() {
            if model.fallbacks.iter().flatten().nth(FALLBACKS_MAX).is_some() {
                let path = list.index(i).key("fallbacks").index(FALLBACKS_MAX);
                self.warning(&path, format!("weir tries at most {FALLBACKS_MAX} fallbacks: never this one"))
                    .help("leave out those that help least");
            }
        }
    }

    fn unknown_fallbacks(&mut self, unknown: Vec<Reference<'_>>, catalogue: &ModelCatalogue) {
        for (name, path) in unknown {
            let help = match nearest(name, catalogue.listed().iter().map(String::as_str)) {
                Some(meant) => format!("did you mean `{meant}`?"),
                None => "add it to `models`".to_owned(),
            };
            self.error(&path, format!("there is no model `{name}`")).help(help);
        }
    }

    /// Whether a provider that could not be read as a whole may serve this model by itself.
    fn may_be_simulated(&self, name: &str, none_read: bool, providers: &[RawProvider]) -> bool {
        let Some((prefix, _)) = name.split_once('/') else { return false };
        let list = Path::root().key("providers");
        let unread = |(i, provider): (usize, &RawProvider)| {
            provider.name.as_ref().is_some_and(|name| name.eq_ignore_ascii_case(prefix))
                && self.report.is_unread_within(&list.index(i))
        };
        self.is_unread(none_read, "providers") || providers.iter().enumerate().any(unread)
    }

    /// Whether a section is missing because it could not be read.
    fn is_unread(&self, missing: bool, section: &str) -> bool {
        missing && self.report.is_unread_within(&Path::root().key(section))
    }
}

/// Every place that names a provider.
fn provider_references(raw: &RawConfig) -> Vec<Reference<'_>> {
    let root = Path::root();
    let (models, keys) = (root.key("models"), root.key("keys"));
    let of_models = raw.models.iter().flatten().enumerate().filter_map(|(i, model)| {
        let provider = model.provider.as_deref()?;
        Some((provider, models.index(i).key("provider")))
    });
    let of_keys = raw.keys.iter().flatten().enumerate().flat_map(|(i, key)| {
        let path = keys.index(i).key("byok");
        key.byok.iter().flatten().map(move |(provider, _)| (provider.as_str(), path.key(provider)))
    });
    of_models.chain(of_keys).collect()
}

/// Every fallback, with the id of the model that it stands in for.
fn fallback_references(models: &[RawModel]) -> impl Iterator<Item = (&str, Path, &str)> {
    let list = Path::root().key("models");
    models.iter().enumerate().flat_map(move |(i, model)| {
        let (path, own) = (list.index(i).key("fallbacks"), model.id.as_deref().unwrap_or_default().trim());
        let fallbacks = model.fallbacks.iter().flatten().enumerate();
        fallbacks.map(move |(j, fallback)| (fallback.as_str(), path.index(j), own))
    })
}

/// Whether a model as written has this name, although it is in no catalogue: something else is wrong with it.
fn is_named(model: &RawModel, name: &str) -> bool {
    let id = model.id.as_deref().unwrap_or_default().trim().to_ascii_lowercase();
    let name = name.to_ascii_lowercase();
    match id.strip_suffix('*') {
        Some(prefix) => name.starts_with(prefix),
        None => name == id,
    }
}

/// Whether as many entries without a name could have all the names that nothing has.
fn are_excused(unknown: &[Reference<'_>], nameless: usize) -> bool {
    let names: BTreeSet<String> = unknown.iter().map(|(name, _)| name.to_ascii_lowercase()).collect();
    names.len() <= nameless
}
