//! Examples: facts that must match and facts that must not. They test the condition alone.

use serde_json::Value as Json;

use super::LoadOptions;
use super::draft::Draft;
use crate::diagnostic::{Diagnostic, Severity};
use crate::expr::{Env, Expr, Scratch};
use crate::facts::{FactError, OwnedFacts};
use crate::yaml::Node;

/// Runs a rule's examples and reports those that fail.
pub(super) fn run(
    draft: &Draft<'_>,
    condition: &Expr,
    options: &LoadOptions,
    diagnostics: &mut Vec<Diagnostic>,
) {
    for (key, examples, expected) in
        [("match", &draft.examples_match, true), ("no_match", &draft.examples_no_match, false)]
    {
        for (at, example) in examples.iter().enumerate() {
            let path = format!("{}.{key}[{at}]", draft.path);
            diagnostics.extend(run_one(draft, condition, example, &path, expected, options));
        }
    }
}

fn run_one(
    draft: &Draft<'_>,
    condition: &Expr,
    example: &Node<'_>,
    path: &str,
    expected: bool,
    options: &LoadOptions,
) -> Option<Diagnostic> {
    let json = example.to_json();
    let facts = match OwnedFacts::from_json(draft.on?, &json) {
        Ok(facts) => facts,
        Err(error) => return Some(unreadable(draft, example, path, &error)),
    };
    let facts = facts.as_facts();
    let scratch = Scratch::default();
    let outcome = condition.holds(&Env::new(&facts, options.now, &scratch));
    let message = match outcome {
        Ok(held) if held == expected => return None,
        Ok(true) => "this example must not match, but does".to_owned(),
        Ok(false) => "this example must match, but does not".to_owned(),
        Err(fault) => format!("this example could not be evaluated: {fault}"),
    };
    Some(diagnostic(draft, example, path, message, Some(given(draft, &json))))
}

/// The condition and the facts, side by side.
fn given(draft: &Draft<'_>, facts: &Json) -> String {
    let when = draft.when.as_ref().map_or("", |(when, _)| when.trim());
    let when = when.split_whitespace().collect::<Vec<_>>().join(" ");
    format!("the facts are {facts}, all others are empty or zero; the condition is `{when}`")
}

fn unreadable(draft: &Draft<'_>, example: &Node<'_>, path: &str, error: &FactError) -> Diagnostic {
    let node = find(example, &error.path).unwrap_or(example);
    let (message, help) = match error.message.split_once("; ") {
        Some((message, help)) => (message.to_owned(), Some(help.to_owned())),
        None => (error.message.clone(), None),
    };
    let path = if error.path.is_empty() { path.to_owned() } else { format!("{path}.{}", error.path) };
    diagnostic(draft, node, &path, message, help)
}

/// The node of a fact such as `request.model`, `identity.tags[1]` or `request.headers.x-a`.
fn find<'n, 's>(example: &'n Node<'s>, path: &str) -> Option<&'n Node<'s>> {
    let (path, item) = match path.strip_suffix(']').and_then(|path| path.rsplit_once('[')) {
        Some((path, at)) => (path, at.parse::<usize>().ok()),
        None => (path, None),
    };
    let mut node = example;
    for name in path.splitn(3, '.') {
        node = node.get(name)?;
    }
    match item {
        Some(at) => node.item(at),
        None => Some(node),
    }
}

fn diagnostic(
    draft: &Draft<'_>,
    node: &Node<'_>,
    path: &str,
    message: String,
    help: Option<String>,
) -> Diagnostic {
    let mut diagnostic = draft.document.diagnostic(Severity::Error, node.span, path.to_owned(), message);
    diagnostic.rule = draft.id.as_ref().map(|(id, _)| id.clone());
    diagnostic.help = help;
    diagnostic
}
