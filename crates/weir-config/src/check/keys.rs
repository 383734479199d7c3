//! Callers' keys that the file itself holds.

use std::collections::{BTreeMap, HashMap};

use weir_core::money::{BudgetFault, check_budget};
use weir_core::name::{check_name, check_tags};
use weir_core::secret::{Secret, expose};

use super::Check;
use crate::config::ConfiguredKey;
use crate::path::Path;
use crate::raw::RawKey;

/// A caller who presents this word is anonymous (design, section 6), so that it can be nobody's key.
const ANONYMOUS: &str = "anonymous";

impl Check<'_, '_> {
    pub(super) fn keys(&mut self, raw: &[RawKey], path: &Path) -> Vec<ConfiguredKey> {
        let mut seen = HashMap::new();
        let mut out = Vec::with_capacity(raw.len());
        for (i, raw) in raw.iter().enumerate() {
            let path = path.index(i);
            let key = raw.key.as_ref().and_then(|key| self.required_key(key, &path.key("key")));
            let byok = self.byok(raw, &path.key("byok"));
            self.names(raw, &path);
            let (Some(key), Some(user)) = (key, &raw.user) else { continue };
            self.usable_key(&key, &path.key("key"), &mut seen);
            out.push(ConfiguredKey {
                key,
                user: user.trim().to_owned(),
                org: given(raw.org.as_ref()),
                project: given(raw.project.as_ref()),
                plan: given(raw.plan.as_ref()),
                tags: raw.tags.clone().unwrap_or_default(),
                budget_usd: raw.budget_usd,
                byok,
                channel: given(raw.channel.as_ref()).unwrap_or_else(|| "mcp".to_owned()),
            });
        }
        out
    }

    /// Names are shown and compared: what cannot be seen is no part of one. An empty one is none.
    fn names(&mut self, raw: &RawKey, path: &Path) {
        let names = [
            ("user", &raw.user),
            ("org", &raw.org),
            ("project", &raw.project),
            ("plan", &raw.plan),
            ("channel", &raw.channel),
        ];
        for (member, name) in names {
            let Some(name) = name.as_deref().filter(|name| !name.trim().is_empty()) else { continue };
            if let Err(why) = check_name(name) {
                self.error(&path.key(member), format!("the name {why}"));
            }
        }
        // One below zero is told of with the types.
        if let Some(Err(why @ BudgetFault::TooSmall)) = raw.budget_usd.map(check_budget) {
            self.error(&path.key("budget_usd"), format!("the budget {why}"));
        }
        if let Err(why) = check_tags(raw.tags.as_deref().unwrap_or_default()) {
            self.error(&path.key("tags"), format!("the tags {why}"));
        }
    }

    fn usable_key(&mut self, key: &Secret, path: &Path, seen: &mut HashMap<String, usize>) {
        if expose(key).eq_ignore_ascii_case(ANONYMOUS) {
            self.error(path, "this word means a caller without a key").help("choose another key");
        }
        let line = self.place(path).line;
        match seen.get(expose(key)) {
            Some(first) => {
                let message = format!("this key is already given in line {first}");
                self.error(path, message).help("every one needs its own");
            }
            None => {
                seen.insert(expose(key).to_owned(), line);
            }
        }
    }

    fn byok(&mut self, raw: &RawKey, path: &Path) -> BTreeMap<String, Secret> {
        let mut out = BTreeMap::new();
        for (provider, key) in raw.byok.iter().flatten() {
            let path = path.key(provider);
            if let Some(key) = self.key(key, &path) {
                out.insert(provider.clone(), key);
            }
        }
        out
    }
}

/// A text that says something.
fn given(text: Option<&String>) -> Option<String> {
    text.map(|text| text.trim().to_owned()).filter(|text| !text.is_empty())
}
