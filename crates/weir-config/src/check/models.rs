//! Models: their names, their providers and what stands in for them.

use super::{Check, Taken};
use crate::catalogue::{Model, ModelCatalogue, Price, UpstreamModel};
use crate::config::Provider;
use crate::path::Path;
use crate::raw::RawModel;
use crate::shape::nearest;

impl Check<'_, '_> {
    pub(super) fn models(&mut self, raw: &[RawModel], providers: &[Provider], path: &Path) -> Vec<Model> {
        let mut ids = Taken::new();
        let mut out = Vec::with_capacity(raw.len());
        for (i, raw) in raw.iter().enumerate() {
            let path = path.index(i);
            let id = raw.id.as_deref().map(|id| self.model_id(id, &path.key("id")));
            if let Some(provider) = &raw.provider {
                self.known_provider(provider, providers, &path.key("provider"));
            }
            let upstream_model = self.upstream_model(raw, &path.key("upstream_model"));
            let (Some(Some(id)), Some(provider)) = (id, &raw.provider) else { continue };
            if self.is_duplicate("the model", &id.to_ascii_lowercase(), &path.key("id"), &mut ids) {
                continue;
            }
            out.push(Model {
                id: id.to_owned(),
                provider: provider.clone(),
                upstream_model,
                context_window: raw.context_window,
                price: price(raw),
                fallbacks: raw.fallbacks.clone().unwrap_or_default(),
                free: raw.free.unwrap_or(false),
                discontinued: raw.discontinued.unwrap_or(false),
            });
        }
        out
    }

    fn model_id<'i>(&mut self, id: &'i str, path: &Path) -> Option<&'i str> {
        let id = id.trim();
        if id.strip_suffix('*').unwrap_or(id).contains('*') {
            let message = format!("the `*` in {} does not stand at the end", self.shown(path));
            self.error(path, message).help("a model's id is exact, or a beginning and one `*`");
            return None;
        }
        Some(id)
    }

    fn upstream_model(&mut self, raw: &RawModel, path: &Path) -> UpstreamModel {
        let is_wildcard = raw.id.as_ref().is_some_and(|id| id.trim().ends_with('*'));
        match raw.upstream_model.as_deref().map(str::trim) {
            None if is_wildcard => UpstreamModel::AsRequested,
            None => UpstreamModel::Named(raw.id.as_deref().unwrap_or_default().trim().to_owned()),
            Some("*") if is_wildcard => UpstreamModel::StarPart,
            Some("*") => {
                if raw.id.is_some() {
                    self.error(path, "`*` is what the star of the id stands for, and this id has none")
                        .help("give the upstream's name, or leave `upstream_model` out to send the id");
                }
                UpstreamModel::AsRequested
            }
            Some(name) => {
                if name.contains('*') {
                    let message = format!("{} is neither a name nor `*`", self.shown(path));
                    self.error(path, message).help("a part of a name cannot be put together with a star");
                }
                UpstreamModel::Named(name.to_owned())
            }
        }
    }

    /// Reports a name that no provider has.
    pub(super) fn known_provider(&mut self, name: &str, providers: &[Provider], path: &Path) {
        // With a provider that could not be read, the name may well be its.
        if providers.iter().any(|p| p.name == name)
            || self.report.is_unread_within(&Path::root().key("providers"))
        {
            return;
        }
        let names: Vec<&str> = providers.iter().map(|p| p.name.as_str()).collect();
        let help = match nearest(name, names.iter().copied()) {
            Some(meant) => format!("did you mean `{meant}`?"),
            None if names.is_empty() => "there are no providers".to_owned(),
            None => format!("providers: {}", names.join(", ")),
        };
        self.error(path, format!("there is no provider `{name}`")).help(help);
    }

    /// Reports fallbacks that are no model of this configuration.
    pub(super) fn fallbacks(&mut self, raw: &[RawModel], models: &ModelCatalogue, path: &Path) {
        for (i, raw) in raw.iter().enumerate() {
            let id = raw.id.as_deref().unwrap_or_default().trim();
            for (j, fallback) in raw.fallbacks.iter().flatten().enumerate() {
                let path = path.index(i).key("fallbacks").index(j);
                if fallback.eq_ignore_ascii_case(id) {
                    self.error(&path, "a model cannot stand in for itself");
                } else {
                    self.known_fallback(fallback, models, &path);
                }
            }
        }
    }

    fn known_fallback(&mut self, name: &str, models: &ModelCatalogue, path: &Path) {
        match models.find(name) {
            Some(found) if found.model.discontinued => {
                self.warning(path, format!("the model `{name}` is discontinued: it stands in for nothing"));
            }
            Some(_) => {}
            None if self.has_unread_models() => {}
            None => {
                let meant = nearest(name, models.listed().iter().map(String::as_str)).map(str::to_owned);
                let finding = self.error(path, format!("there is no model `{name}`"));
                finding.help(match meant {
                    Some(meant) => format!("did you mean `{meant}`?"),
                    None => "add it to `models`".to_owned(),
                });
            }
        }
    }

    /// Whether a model or a provider could not be read, so that a name without a model may well be its.
    fn has_unread_models(&self) -> bool {
        ["models", "providers"].iter().any(|section| self.report.is_unread_within(&Path::root().key(section)))
    }
}

fn price(raw: &RawModel) -> Option<Price> {
    let price = raw.price.as_ref()?;
    Some(Price { input: price.input.unwrap_or(0.0), output: price.output.unwrap_or(0.0) })
}
