//! Which model a name means (design, section 7).
//!
//! An exact id wins, then what a simulated provider serves by itself, then the longest prefix with a `*`. Names
//! match without regard to ASCII case; what the star stood for keeps the case in which it came.

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::fmt;
use std::sync::Arc;

use weir_core::ApiKind;

use crate::config::Provider;

/// One entry of `models`, or one that a simulated provider serves by itself.
#[derive(Clone, Debug, PartialEq)]
pub struct Model {
    /// Its id as written; the last character may be a `*`.
    pub id: String,
    /// The name of the provider that serves it.
    pub provider: String,
    /// What it is called upstream.
    pub upstream_model: UpstreamModel,
    /// How many tokens fit into its context.
    pub context_window: Option<u64>,
    /// What it costs; `None`: nothing is charged.
    pub price: Option<Price>,
    /// Models to try when this one fails, in order.
    pub fallbacks: Vec<String>,
    /// Whether anonymous callers may use it and quarantine-3 may choose it.
    pub free: bool,
    /// Whether it is gone: 404 `discontinued_free_model`.
    pub discontinued: bool,
}

impl Model {
    /// What the `*` at the end of the id follows; `None` for an exact id.
    #[must_use]
    pub fn prefix(&self) -> Option<&str> {
        self.id.strip_suffix('*')
    }
}

/// What a model is called upstream.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum UpstreamModel {
    /// Always this name.
    Named(String),
    /// The name that was asked for, as it came.
    AsRequested,
    /// What the star of the id stood for, as it came.
    StarPart,
}

/// US dollars for a million tokens.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Price {
    /// Of what the model reads.
    pub input: f64,
    /// Of what it writes.
    pub output: f64,
}

/// The model that a name means.
#[derive(Clone, Debug)]
pub struct Resolved {
    /// The entry.
    pub model: Arc<Model>,
    /// The effective id: the name that was asked for, in lower case.
    pub id: String,
    /// The name to send upstream.
    pub upstream_name: String,
}

/// What a simulated provider serves without an entry in `models`, beside `error-<status>`.
pub const SIMULATED: [&str; 7] = ["echo", "free", "slow", "cut", "garbage", "hang", "tool"];

/// All models of a configuration.
#[derive(Clone, Default)]
pub struct ModelCatalogue {
    exact: HashMap<String, Arc<Model>>,
    /// By the length of the prefix, the longest first.
    wildcards: Vec<(usize, HashMap<String, Arc<Model>>)>,
    listed: Vec<String>,
    free: HashMap<ApiKind, Vec<String>>,
}

impl fmt::Debug for ModelCatalogue {
    /// In the order of the names, so that equal catalogues look equal.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let wildcards = self.wildcards.iter().flat_map(|(_, models)| models);
        f.debug_map().entries(self.exact.iter().chain(wildcards).collect::<BTreeMap<_, _>>()).finish()
    }
}

impl ModelCatalogue {
    /// The catalogue of these models, and of what the simulated ones of `providers` serve by themselves. Where two
    /// have one id the first counts; an entry counts before what is served by itself.
    #[must_use]
    pub fn new(models: Vec<Model>, providers: &[Provider]) -> Self {
        let mut catalogue = Self::default();
        let mut listed = BTreeSet::new();
        for model in models {
            if model.prefix().is_none() && !model.discontinued {
                listed.insert(model.id.clone());
            }
            catalogue.insert(model);
        }
        for provider in providers.iter().filter(|p| p.simulated) {
            catalogue.insert_simulated(&provider.name, &mut listed);
        }
        catalogue.wildcards.sort_by_key(|(length, _)| std::cmp::Reverse(*length));
        catalogue.listed = listed.into_iter().collect();
        catalogue.free = free_by_api(&catalogue.exact, providers);
        catalogue
    }

    /// The model that a name means.
    #[must_use]
    pub fn find(&self, name: &str) -> Option<Resolved> {
        let id = name.to_ascii_lowercase();
        if let Some(model) = self.exact.get(&id) {
            return Some(resolved(model, id, name, ""));
        }
        self.wildcards.iter().find_map(|(length, models)| {
            let model = models.get(id.get(..*length)?)?;
            let star = name.get(*length..)?;
            // An upstream cannot be asked for the model without a name.
            let servable = !(star.is_empty() && model.upstream_model == UpstreamModel::StarPart);
            servable.then(|| resolved(model, id.clone(), name, star))
        })
    }

    /// Whether a name means a free model.
    #[must_use]
    pub fn is_free(&self, name: &str) -> bool {
        self.find(name).is_some_and(|resolved| resolved.model.free)
    }

    /// What `GET /v1/models` shows, sorted: exact ids and what simulated providers serve by name. Wildcards,
    /// discontinued models and the two hundred `error-<status>` are not in it.
    #[must_use]
    pub fn listed(&self) -> &[String] {
        &self.listed
    }

    /// The candidates for quarantine-3, sorted: free, not discontinued, no wildcard, of a provider that serves `api`.
    #[must_use]
    pub fn free_candidates(&self, api: ApiKind) -> &[String] {
        self.free.get(&api.served_as()).map_or(&[], Vec::as_slice)
    }

    fn insert(&mut self, model: Model) {
        match model.prefix().map(str::to_ascii_lowercase) {
            None => {
                self.exact.entry(model.id.to_ascii_lowercase()).or_insert_with(|| Arc::new(model));
            }
            Some(prefix) => {
                self.wildcards_of(prefix.len()).entry(prefix).or_insert_with(|| Arc::new(model));
            }
        }
    }

    fn wildcards_of(&mut self, length: usize) -> &mut HashMap<String, Arc<Model>> {
        let at = self.wildcards.iter().position(|(l, _)| *l == length).unwrap_or_else(|| {
            self.wildcards.push((length, HashMap::new()));
            self.wildcards.len() - 1
        });
        #[expect(clippy::indexing_slicing, reason = "`at` was found in, or just pushed to, this vector")]
        let (_, models) = &mut self.wildcards[at];
        models
    }

    fn insert_simulated(&mut self, provider: &str, listed: &mut BTreeSet<String>) {
        for name in SIMULATED {
            let model = simulated(provider, name);
            if !self.exact.contains_key(&model.id.to_ascii_lowercase()) {
                listed.insert(model.id.clone());
                self.insert(model);
            }
        }
        for status in 400..=599 {
            self.insert(simulated(provider, &format!("error-{status}")));
        }
    }
}

fn simulated(provider: &str, name: &str) -> Model {
    Model {
        id: format!("{provider}/{name}"),
        provider: provider.to_owned(),
        upstream_model: UpstreamModel::Named(name.to_owned()),
        context_window: None,
        price: None,
        fallbacks: Vec::new(),
        free: name == "free",
        discontinued: false,
    }
}

fn resolved(model: &Arc<Model>, id: String, name: &str, star: &str) -> Resolved {
    let upstream_name = match &model.upstream_model {
        UpstreamModel::Named(named) => named.clone(),
        UpstreamModel::AsRequested => name.to_owned(),
        UpstreamModel::StarPart => star.to_owned(),
    };
    Resolved { model: Arc::clone(model), id, upstream_name }
}

fn free_by_api(exact: &HashMap<String, Arc<Model>>, providers: &[Provider]) -> HashMap<ApiKind, Vec<String>> {
    let mut free: HashMap<ApiKind, Vec<String>> = HashMap::new();
    for model in exact.values().filter(|m| m.free && !m.discontinued) {
        let apis = providers.iter().find(|p| p.name == model.provider).map_or(&[][..], |p| &p.apis);
        for api in apis {
            free.entry(*api).or_default().push(model.id.clone());
        }
    }
    free.values_mut().for_each(|ids| ids.sort_unstable());
    free
}
