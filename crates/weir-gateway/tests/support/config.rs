//! Configurations as an operator writes them, section by section.

use std::path::Path;
use std::sync::Arc;

use weir_config::{Config, SourceText, Sources};

/// The key of `user-123`. All keys of these tests hold [`super::CANARY`], so that one that is shown is noticed.
pub const USER_KEY: &str = "canary-key-of-user-123";
/// weir's own key at the provider `main`.
pub const PLATFORM_KEY: &str = "canary-platform-key-main";
/// weir's own key at the provider `other`.
pub const OTHER_KEY: &str = "canary-platform-key-other";

/// The text of a configuration. Providers: `main`; `other` with the free models; `keyless` without a platform key.
#[derive(Clone)]
pub struct ConfigText(Vec<(&'static str, String)>);

impl ConfigText {
    pub fn new(upstream: &str) -> Self {
        let apis = "apis: [chat_completions, responses, messages, embeddings]";
        let provider =
            |name: &str, more: &str| format!("{{name: {name}, base_url: \"{upstream}\", {apis}{more}}}");
        let providers = [
            provider("main", &format!(", api_key: {PLATFORM_KEY}")),
            provider("other", &format!(", api_key: {OTHER_KEY}")),
            provider("keyless", ""),
        ];
        Self(Vec::new())
            .set("trusted_proxies", "[]")
            // A test that is about another try asks for it.
            .set("failures", "{retries: {attempts: 1}}")
            .set("providers", format!("[{}]", providers.join(", ")))
            .set(
                "models",
                "[{id: paid/big, provider: main, upstream_model: big-1, price: {input: 2.5, output: 10}}, \
                  {id: free/small, provider: other, upstream_model: small-1, free: true}, \
                  {id: dead/free, provider: other, free: true, discontinued: true}, \
                  {id: own/keys-only, provider: keyless, upstream_model: own-1, price: {input: 1, output: 1}}]",
            )
            .set("keys", format!("[{{key: {USER_KEY}, user: user-123, org: acme, project: demo, plan: pro, tags: [first]}}]"))
    }

    /// Replaces a section, or adds it.
    pub fn set(mut self, section: &'static str, yaml: impl Into<String>) -> Self {
        self.0.retain(|(name, _)| *name != section);
        self.0.push((section, yaml.into()));
        self
    }

    /// The checked configuration.
    pub fn load(&self) -> Arc<Config> {
        let text = self.0.iter().map(|(name, yaml)| format!("{name}: {yaml}\n")).collect();
        let file = SourceText { name: "weir.yaml".to_owned(), text };
        match weir_config::load(Some(&file), Path::new("/etc/weir"), &NoSources) {
            Ok(loaded) => Arc::new(loaded.config),
            Err(unusable) => {
                let lines: Vec<_> = unusable.diagnostics.iter().map(ToString::to_string).collect();
                panic!("{}\n{}", lines.join("\n"), file.text)
            }
        }
    }
}

struct NoSources;

impl Sources for NoSources {
    fn variable(&self, _name: &str) -> Option<String> {
        None
    }

    fn read_file(&self, path: &Path) -> Result<String, String> {
        Err(format!("{} is not there", path.display()))
    }
}
