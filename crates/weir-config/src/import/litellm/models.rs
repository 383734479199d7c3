//! Deployments to providers and models: what has one name and one provider shares a pool of keys; what has one name and
//! several providers becomes a model with fallbacks.

use crate::document::{Node, Value};

use super::deployments::Deployment;
use super::{At, Import, entries, items, text};

/// Fallbacks that weir tries of one model (`weir-gateway` looks at no more).
const FALLBACKS_MAX: usize = 8;

/// A provider of the result.
#[derive(Clone, PartialEq)]
pub(super) struct Provider {
    pub(super) name: String,
    pub(super) base_url: String,
    pub(super) apis: &'static [&'static str],
    pub(super) auth: &'static str,
    pub(super) keys: Vec<String>,
}

/// A model of the result.
#[derive(Clone)]
pub(super) struct Model {
    pub(super) id: String,
    pub(super) provider: String,
    pub(super) upstream: Option<String>,
    pub(super) price: Option<(f64, f64)>,
    pub(super) context_window: Option<u64>,
    pub(super) fallbacks: Vec<String>,
    /// Whether it was made for a further deployment, and is no name of LiteLLM's.
    further: bool,
    /// The model that this is another name of.
    alias_of: Option<String>,
}

/// A list of models to try, as it was written.
struct Fallbacks {
    at: At,
    line: usize,
    /// None: of all models.
    model: Option<String>,
    to: Vec<String>,
}

/// Another name of a model.
struct Alias {
    at: At,
    line: usize,
    alias: String,
    model: String,
}

/// Everything about models.
#[derive(Default)]
pub(super) struct Models {
    pub(super) providers: Vec<Provider>,
    pub(super) models: Vec<Model>,
    fallbacks: Vec<Fallbacks>,
    aliases: Vec<Alias>,
}

impl Import {
    pub(super) fn model_list(&mut self, node: &Node, at: &At) {
        let mut groups: Vec<Vec<Deployment>> = Vec::new();
        for (index, item) in items(node).iter().enumerate() {
            self.must_be(item, matches!(item.value, Value::Map(_)), "mapping", &at.index(index));
            if entries(item).is_empty() {
                continue;
            }
            let Some(deployment) = self.deployment(item, &at.index(index)) else { continue };
            match groups.iter_mut().find(|group| group.iter().any(|d| d.name == deployment.name)) {
                Some(group) => group.push(deployment),
                None => groups.push(vec![deployment]),
            }
        }
        for mut group in groups {
            group.sort_by_key(|deployment| deployment.order);
            self.group(&group);
        }
    }

    /// All deployments of one name.
    fn group(&mut self, group: &[Deployment]) {
        // Those that differ in their key alone are one, with a pool.
        let mut pooled: Vec<(&Deployment, Vec<String>)> = Vec::new();
        for deployment in group {
            let same = |other: &Deployment| {
                (other.known.prefix, &other.base_url, &other.upstream)
                    == (deployment.known.prefix, &deployment.base_url, &deployment.upstream)
            };
            match pooled.iter_mut().find(|(other, _)| same(other)) {
                Some((_, keys)) => {
                    keys.extend(deployment.key.clone().filter(|key| !keys.contains(key)));
                    let why = "its key joins the pool of the deployment before: weir moves on when a key is exhausted";
                    self.notes.add(&deployment.at, deployment.line, why);
                }
                None => pooled.push((deployment, deployment.key.clone().into_iter().collect())),
            }
        }
        let mut made: Vec<Model> = Vec::new();
        for (deployment, keys) in pooled {
            let further = !made.is_empty();
            let Some(model) = self.model(deployment, keys, made.len()) else { continue };
            if further {
                let why = if made.len() > FALLBACKS_MAX {
                    format!(
                        "becomes the model `{}`; weir tries at most {FALLBACKS_MAX} fallbacks of a model",
                        model.id
                    )
                } else {
                    format!("becomes the model `{}`, a fallback of `{}`", model.id, deployment.name)
                };
                self.notes.add(&deployment.at, deployment.line, why);
            }
            made.push(model);
        }
        let further: Vec<String> =
            made.iter().skip(1).take(FALLBACKS_MAX).map(|model| model.id.clone()).collect();
        if let Some(first) = made.first_mut() {
            first.fallbacks = further;
        }
        self.models.models.extend(made);
    }

    fn model(&mut self, deployment: &Deployment, keys: Vec<String>, before: usize) -> Option<Model> {
        let further = before > 0;
        let id = if further {
            format!("{}/deployment-{}", deployment.name, before + 1)
        } else {
            deployment.name.clone()
        };
        if id.strip_suffix('*').unwrap_or(&id).contains('*') {
            let why =
                "not carried over: a `*` stands at the end of weir's names, and of a fallback's nowhere";
            self.notes.add(&deployment.at.key("model_name"), deployment.line, why);
            return None;
        }
        if self.models.models.iter().any(|model| model.id.eq_ignore_ascii_case(&id)) {
            let why =
                "not carried over: another model has this name; in weir upper and lower case are the same";
            self.notes.add(&deployment.at.key("model_name"), deployment.line, why);
            return None;
        }
        let upstream = match upstream(&id, &deployment.upstream) {
            Ok(upstream) => upstream,
            Err(why) => {
                self.notes.add(&deployment.at.key("litellm_params").key("model"), deployment.line, why);
                return None;
            }
        };
        if deployment.known.prefix == "anthropic" {
            let why =
                "weir does not translate between APIs: callers send messages to /v1/messages for this model";
            self.notes.add(&deployment.at, deployment.line, why);
        }
        Some(Model {
            id,
            provider: self.models.provider(deployment, keys),
            upstream,
            price: deployment.price,
            context_window: deployment.context_window,
            fallbacks: Vec::new(),
            further,
            alias_of: None,
        })
    }

    /// `fallbacks`, `context_window_fallbacks`: a list of mappings from a model to others.
    pub(super) fn fallbacks(&mut self, node: &Node, at: &At) {
        self.must_be(node, matches!(node.value, Value::List(_)), "list", at);
        for (index, item) in items(node).iter().enumerate() {
            self.must_be(item, matches!(item.value, Value::Map(_)), "mapping", &at.index(index));
            for entry in entries(item) {
                let form = matches!(entry.node.value, Value::List(_));
                self.must_be(&entry.node, form, "list", &at.index(index).key(&entry.key));
                let to: Vec<String> = items(&entry.node).iter().filter_map(text).collect();
                let at = at.index(index).key(&entry.key);
                let line = entry.key_place.line;
                if to.len() < items(&entry.node).len() {
                    self.notes.add(&at, line, "a fallback with parameters of its own is not carried over");
                }
                let model = Some(entry.key.clone()).filter(|model| model != "*");
                self.models.fallbacks.push(Fallbacks { at, line, model, to });
            }
        }
    }

    pub(super) fn default_fallbacks(&mut self, node: &Node, at: &At) {
        self.must_be(node, matches!(node.value, Value::List(_)), "list", at);
        let to: Vec<String> = items(node).iter().filter_map(text).collect();
        if to.is_empty() {
            return;
        }
        let (at, line) = (at.clone(), node.place.line);
        self.models.fallbacks.push(Fallbacks { at, line, model: None, to });
    }

    pub(super) fn alias(&mut self, alias: &str, node: &Node, at: &At) {
        let model = text(node).or_else(|| text(&super::get(node, "model")?.node));
        let line = node.place.line;
        match model {
            Some(model) => {
                self.models.aliases.push(Alias { at: at.clone(), line, alias: alias.to_owned(), model })
            }
            None => self.notes.add(at, line, "not carried over: it names no model"),
        }
    }

    /// An alias is a model of the same provider and upstream name.
    pub(super) fn resolve_aliases(&mut self) {
        for Alias { at, line, alias, model } in std::mem::take(&mut self.models.aliases) {
            let known = |name: &str| self.models.models.iter().find(|m| m.id.eq_ignore_ascii_case(name));
            let taken = known(&alias).is_some();
            let upstream = |model: &Model| model.upstream.clone().unwrap_or_else(|| model.id.clone());
            let named =
                known(&model).filter(|model| !model.id.contains('*') && !alias.contains('*')).map(|model| {
                    Model {
                        id: alias.clone(),
                        upstream: Some(upstream(model)),
                        alias_of: Some(model.id.clone()),
                        ..model.clone()
                    }
                });
            match named {
                Some(model) if !taken => self.models.models.push(model),
                _ => {
                    self.notes.add(&at, line, "not carried over: there is no such model, or the alias is one")
                }
            }
        }
    }

    /// What stands in for a model stands in for its other names too.
    pub(super) fn share_fallbacks(&mut self) {
        let known: Vec<(String, Vec<String>)> =
            self.models.models.iter().map(|model| (model.id.clone(), model.fallbacks.clone())).collect();
        for model in &mut self.models.models {
            let of = known.iter().find(|(id, _)| model.alias_of.as_ref() == Some(id));
            for name in of.map(|(_, names)| names.as_slice()).unwrap_or_default() {
                let new = !model.fallbacks.contains(name) && !name.eq_ignore_ascii_case(&model.id);
                if new && model.fallbacks.len() < FALLBACKS_MAX {
                    model.fallbacks.push(name.clone());
                }
            }
        }
    }

    /// Fallbacks are known by their names when all models are.
    pub(super) fn resolve_fallbacks(&mut self) {
        for Fallbacks { at, line, model, to } in std::mem::take(&mut self.models.fallbacks) {
            let mut usable = Vec::new();
            for name in to {
                match self.models.id_of(&name) {
                    Some(id) => usable.push(id),
                    None => self.notes.add(
                        &at,
                        line,
                        "a fallback is left out: no model of that name was carried over",
                    ),
                }
            }
            let (mut found, mut cut) = (false, false);
            for candidate in &mut self.models.models {
                let meant = model.as_ref().is_none_or(|model| candidate.id.eq_ignore_ascii_case(model));
                if meant && !candidate.further {
                    found = true;
                    for id in &usable {
                        let new =
                            !candidate.fallbacks.contains(id) && !id.eq_ignore_ascii_case(&candidate.id);
                        if new && candidate.fallbacks.len() < FALLBACKS_MAX {
                            candidate.fallbacks.push(id.clone());
                        } else {
                            cut |= new;
                        }
                    }
                }
            }
            if cut {
                let why = format!("cut: weir tries at most {FALLBACKS_MAX} fallbacks of a model");
                self.notes.add(&at, line, why);
            }
            if !found {
                self.notes.add(&at, line, "not carried over: no model of that name was carried over");
            }
        }
    }
}

impl Models {
    /// The provider of a deployment with these keys: one that is there already, or a new one.
    fn provider(&mut self, deployment: &Deployment, keys: Vec<String>) -> String {
        let known = deployment.known;
        // A key that is sent to a server which needs none is sent as one.
        let auth = if keys.is_empty() {
            "none"
        } else if known.auth == "none" {
            "bearer"
        } else {
            known.auth
        };
        let named = |name: String| Provider {
            name,
            base_url: deployment.base_url.clone(),
            apis: known.apis,
            auth,
            keys: keys.clone(),
        };
        let same = |other: &&Provider| named(other.name.clone()) == **other;
        if let Some(provider) = self.providers.iter().find(same) {
            return provider.name.clone();
        }
        let usual = known.prefix.replace('_', "-");
        let taken = |name: &str| self.providers.iter().any(|provider| provider.name == name);
        let mut name = usual.clone();
        let mut number = 1;
        while taken(&name) {
            number += 1;
            name = format!("{usual}-{number}");
        }
        self.providers.push(named(name.clone()));
        name
    }

    /// The id of the model that serves a name.
    fn id_of(&self, name: &str) -> Option<String> {
        let exact = self.models.iter().find(|model| model.id.eq_ignore_ascii_case(name));
        if let Some(model) = exact {
            // A star stands for no one name.
            return Some(model.id.clone()).filter(|id| !id.ends_with('*'));
        }
        let lower = name.to_ascii_lowercase();
        let begins = |model: &Model| {
            model.id.strip_suffix('*').is_some_and(|start| lower.starts_with(&start.to_ascii_lowercase()))
        };
        self.models.iter().any(begins).then(|| name.to_owned())
    }
}

/// What a model is called upstream: none where it is the id, or the name as it was asked for.
fn upstream(id: &str, upstream: &str) -> Result<Option<String>, &'static str> {
    match (id.strip_suffix('*'), upstream.strip_suffix('*')) {
        (_, None) if upstream.contains('*') => Err("not carried over: a `*` stands at the end"),
        (Some(_), Some("")) => Ok(Some("*".to_owned())),
        (Some(start), Some(same)) if start.eq_ignore_ascii_case(same) => Ok(None),
        (Some(_), Some(_)) => Err(
            "not carried over: weir sends what the star stood for, or the whole name, but no other beginning",
        ),
        (None, Some(_)) => Err("not carried over: the name has no star, and the provider's has"),
        (None, None) if upstream == id => Ok(None),
        (_, None) => Ok(Some(upstream.to_owned())),
    }
}
