//! Providers: where they are, what they serve, with which keys.

use url::Url;
use weir_core::ApiKind;
use weir_core::secret::Secret;

use super::{Check, Taken};
use crate::config::{Auth, Provider};
use crate::path::Path;
use crate::raw::{RawApi, RawAuth, RawProvider};

impl Check<'_, '_> {
    pub(super) fn providers(&mut self, raw: Option<&[RawProvider]>, path: &Path) -> Vec<Provider> {
        let Some(raw) = raw else { return self.default_providers(path) };
        let mut names = Taken::new();
        let mut out = Vec::with_capacity(raw.len());
        for (i, raw) in raw.iter().enumerate() {
            let path = path.index(i);
            let provider = self.provider(raw, &path);
            // Models of a simulated provider begin with its name, and their case does not count.
            let Some(name) = raw.name.as_ref().map(|name| name.to_lowercase()) else { continue };
            if !self.is_duplicate("the provider", &name, &path.key("name"), &mut names) {
                out.push(provider);
            }
        }
        out
    }

    fn default_providers(&mut self, path: &Path) -> Vec<Provider> {
        if self.report.has_error_within(path) {
            return Vec::new();
        }
        let raw =
            RawProvider { name: Some("sim".to_owned()), simulated: Some(true), ..RawProvider::default() };
        vec![self.provider(&raw, path)]
    }

    fn provider(&mut self, raw: &RawProvider, path: &Path) -> Provider {
        let simulated = raw.simulated.unwrap_or(false);
        if raw.name.as_ref().is_some_and(|name| name.contains(char::is_whitespace)) {
            self.error(&path.key("name"), "the name of a provider has no spaces");
        }
        let auth = if simulated { Auth::None } else { raw.auth.map_or(Auth::Bearer, Auth::from) };
        let provider = Provider {
            name: raw.name.clone().unwrap_or_default(),
            base_url: self.base_url(raw, simulated, path),
            simulated,
            apis: self.apis(raw, simulated, path),
            auth,
            api_keys: self.api_keys(raw, path),
            house: raw.house.unwrap_or(false),
        };
        if provider.api_keys.is_empty() && auth != Auth::None && !self.report.has_error_within(path) {
            self.warning(
                &path.key("name"),
                format!("the provider `{}` has no key of the platform", provider.name),
            )
            .help("only callers' own keys are served; give `api_key`, or `auth: none` where none is needed");
        }
        provider
    }

    fn base_url(&mut self, raw: &RawProvider, simulated: bool, path: &Path) -> Option<Url> {
        let url_path = path.key("base_url");
        let text = raw.base_url.as_deref().map(str::trim).filter(|text| !text.is_empty());
        match (text, simulated) {
            (None, true) => None,
            (Some(_), true) => {
                self.error(&url_path, "a simulated provider has no `base_url`")
                    .help("remove it, or `simulated: true`");
                None
            }
            (None, false) => {
                if !self.report.has_error_within(&url_path) {
                    self.error(path, "the provider has no `base_url`")
                        .help("give its URL with the version, or `simulated: true`");
                }
                None
            }
            (Some(text), false) => {
                self.http_url(text, &url_path).and_then(|url| self.plain_url(url, &url_path))
            }
        }
    }

    /// Paths are put behind it and keys sent beside it, so it can have neither a query nor a login.
    fn plain_url(&mut self, mut url: Url, path: &Path) -> Option<Url> {
        if !url.username().is_empty() || url.password().is_some() {
            self.error(path, "a `base_url` holds no login").help("give the key as `api_key`");
            return None;
        }
        if url.query().is_some() || url.fragment().is_some() {
            self.error(path, "a `base_url` ends with its path").help("remove what follows `?` or `#`");
            return None;
        }
        let trimmed = url.path().trim_end_matches('/').to_owned();
        url.set_path(&trimmed);
        Some(url)
    }

    fn apis(&mut self, raw: &RawProvider, simulated: bool, path: &Path) -> Vec<ApiKind> {
        let all = [RawApi::ChatCompletions, RawApi::Responses, RawApi::Messages, RawApi::Embeddings];
        let path = path.key("apis");
        let written = match &raw.apis {
            Some(written) => written.as_slice(),
            None if simulated => &all,
            None => {
                if !self.report.has_error_within(&path) {
                    self.error(&path, "the provider does not say what it serves")
                        .help("give `apis`, such as `apis: [chat_completions, responses]`");
                }
                &[]
            }
        };
        let mut apis = Vec::with_capacity(written.len());
        for (i, api) in written.iter().enumerate() {
            let api = ApiKind::from(*api);
            if apis.contains(&api) {
                self.warning(&path.index(i), format!("`{api}` is listed twice"));
            } else {
                apis.push(api);
            }
        }
        apis
    }

    fn api_keys(&mut self, raw: &RawProvider, path: &Path) -> Vec<Secret> {
        let (one, pool) = (path.key("api_key"), path.key("api_keys"));
        if raw.api_key.is_some() && raw.api_keys.is_some() {
            let place = self.key_place(&pool);
            self.report
                .error(place, &pool, "`api_key` and `api_keys` are both given")
                .help("`api_key` is a pool of one: put all keys into `api_keys`");
        }
        let mut keys: Vec<Secret> = raw.api_key.iter().filter_map(|key| self.key(key, &one)).collect();
        let pooled = raw.api_keys.iter().flatten().enumerate();
        keys.extend(pooled.filter_map(|(i, key)| self.key(key, &pool.index(i))));
        keys
    }
}

impl From<RawApi> for ApiKind {
    fn from(raw: RawApi) -> Self {
        match raw {
            RawApi::ChatCompletions => Self::ChatCompletions,
            RawApi::Responses => Self::Responses,
            RawApi::Messages => Self::Messages,
            RawApi::Embeddings => Self::Embeddings,
        }
    }
}

impl From<RawAuth> for Auth {
    fn from(raw: RawAuth) -> Self {
        match raw {
            RawAuth::Bearer => Self::Bearer,
            RawAuth::XApiKey => Self::XApiKey,
            RawAuth::None => Self::None,
        }
    }
}
