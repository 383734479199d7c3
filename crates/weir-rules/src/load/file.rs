//! The outside of a rule file: one mapping with the one key `rules`.

use super::LoadOptions;
use super::draft::{self, Draft};
use crate::diagnostic::{Diagnostic, Severity};
use crate::suggest::did_you_mean;
use crate::yaml::{self, Document, Node, Value, YamlError};

/// Reads the drafts of a file's rules; what is wrong goes to `diagnostics`.
pub(super) fn read<'d>(
    document: &'d Document<'d>,
    options: &LoadOptions,
    diagnostics: &mut Vec<Diagnostic>,
) -> Vec<Draft<'d>> {
    let error =
        |error: YamlError| document.diagnostic(Severity::Error, error.span, String::new(), error.message);
    let root = match yaml::parse(document.text) {
        Ok((root, duplicates)) => {
            diagnostics.extend(duplicates.into_iter().map(error));
            root
        }
        Err(fatal) => {
            diagnostics.push(error(fatal));
            return Vec::new();
        }
    };
    let Some(rules) = rules_of(document, root, diagnostics) else { return Vec::new() };
    let mut drafts = Vec::with_capacity(rules.len());
    for (at, node) in rules.into_iter().enumerate() {
        drafts.extend(draft::read(document, node, at, options, diagnostics));
    }
    drafts
}

/// The nodes below `rules`. A file that does not say `rules: []` is not taken for one that means it: one that was cut
/// short while it was written must not take all rules away.
fn rules_of<'d>(
    document: &'d Document<'d>,
    root: Node<'d>,
    diagnostics: &mut Vec<Diagnostic>,
) -> Option<Vec<Node<'d>>> {
    let mut error = |span, path: &str, message: String, help: Option<String>| {
        let mut diagnostic = document.diagnostic(Severity::Error, span, path.to_owned(), message);
        diagnostic.help = help;
        diagnostics.push(diagnostic);
    };
    let kind = root.kind();
    let entries = match root.value {
        Value::Null => {
            error(root.span, "", NO_RULES.to_owned(), Some(NONE_MEANT.to_owned()));
            return None;
        }
        Value::Map(entries) => entries,
        _ => {
            let help = Some("write `rules:` and the list of rules below it".to_owned());
            error(root.span, "", format!("a rule file is a mapping with the key `rules`, not {kind}"), help);
            return None;
        }
    };
    let mut rules = None;
    // A key with a typing error is told as one, and not as a missing key besides.
    let mut named = false;
    for (key, node) in entries {
        if key.text != "rules" {
            let help = did_you_mean(&key.text, ["rules"]).map(|word| format!("did you mean `{word}`?"));
            error(
                key.span,
                &key.text,
                format!("unknown key `{}`: a rule file has the key `rules`", key.text),
                help,
            );
            named = true;
            continue;
        }
        named = true;
        let (span, kind) = (node.span, node.kind());
        match node.value {
            Value::Null => error(span, "rules", NO_RULES.to_owned(), Some(NONE_MEANT.to_owned())),
            Value::Seq(nodes) => rules = Some(nodes),
            _ => error(span, "rules", format!("`rules` is a list of rules, not {kind}"), None),
        }
    }
    if !named {
        error(root.span, "", "the key `rules` is missing".to_owned(), Some(NONE_MEANT.to_owned()));
    }
    rules
}

const NO_RULES: &str = "there is no list of rules";
const NONE_MEANT: &str = "to have no rules write `rules: []`";
