//! Models: their names, and what they are called upstream.

use super::{Check, Taken};
use crate::catalogue::{Model, Price, UpstreamModel};
use crate::path::Path;
use crate::raw::RawModel;

impl Check<'_, '_> {
    pub(super) fn models(&mut self, raw: &[RawModel], path: &Path) -> Vec<Model> {
        let mut ids = Taken::new();
        let mut out = Vec::with_capacity(raw.len());
        for (i, raw) in raw.iter().enumerate() {
            let path = path.index(i);
            let id = raw.id.as_deref().map(|id| self.model_id(id, &path.key("id")));
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
}

fn price(raw: &RawModel) -> Option<Price> {
    let price = raw.price.as_ref()?;
    Some(Price { input: price.input.unwrap_or(0.0), output: price.output.unwrap_or(0.0) })
}
