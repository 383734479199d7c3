//! A rule set as a file.

use serde::Serialize;

use super::RuleSet;
use crate::rule::Rule;

#[derive(Serialize)]
struct File<'r> {
    rules: &'r [Rule],
}

impl RuleSet {
    /// The rules as a file that loads to the same rules again, examples included.
    #[must_use]
    pub fn to_yaml(&self) -> String {
        let file = File { rules: &self.rules };
        let options =
            serde_saphyr::ser_options! { yaml_12: true, no_lang_directive: true, compact_list_indent: false };
        // Were there ever a text that the YAML writer refuses, JSON is YAML too.
        serde_saphyr::to_string_with_options(&file, options)
            .or_else(|_| serde_json::to_string_pretty(&file))
            .unwrap_or_default()
    }
}
