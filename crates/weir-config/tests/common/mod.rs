//! What the tests of this crate share.
#![allow(dead_code, reason = "each test binary uses its own part")]

use std::collections::BTreeMap;
use std::path::Path;

use weir_config::{Diagnostic, Loaded, SourceText, Sources, Unusable, load};

/// Variables and secret files of a test.
#[derive(Default)]
pub struct Given {
    pub variables: BTreeMap<&'static str, &'static str>,
    pub files: BTreeMap<&'static str, &'static str>,
}

impl Sources for Given {
    fn variable(&self, name: &str) -> Option<String> {
        self.variables.get(name).map(|value| (*value).to_owned())
    }

    fn read_file(&self, path: &Path) -> Result<String, String> {
        let file = path.to_str().and_then(|path| self.files.get(path));
        file.map(|content| (*content).to_owned()).ok_or_else(|| "no such file".to_owned())
    }
}

pub const BASE: &str = "/etc/weir";

pub fn load_with(text: &str, given: &Given) -> Result<Loaded, Vec<Diagnostic>> {
    load_or_not(text, given).map_err(|unusable| unusable.diagnostics)
}

pub fn load_or_not(text: &str, given: &Given) -> Result<Loaded, Unusable> {
    let file = SourceText { name: "weir.yaml".to_owned(), text: text.to_owned() };
    load(Some(&file), Path::new(BASE), given)
}

pub fn load_text(text: &str) -> Result<Loaded, Vec<Diagnostic>> {
    load_with(text, &Given::default())
}

/// The diagnostics of a text, errors or warnings, as people see them.
pub fn rendered(text: &str, given: &Given) -> String {
    let diagnostics = match load_with(text, given) {
        Ok(loaded) => loaded.warnings,
        Err(diagnostics) => diagnostics,
    };
    diagnostics.iter().map(Diagnostic::to_string).collect::<Vec<_>>().join("\n\n")
}
