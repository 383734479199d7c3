//! One rule as it is written: its keys read and checked, each error with its place.

use std::ops::RangeInclusive;
use std::sync::Arc;

use jiff::Timestamp;
use sha2::{Digest, Sha256};
use weir_core::{Boundary, Mode};

use super::LoadOptions;
use super::then;
use super::words::{Complaint, is_kebab_case, one_of};
use crate::diagnostic::{Diagnostic, Severity};
use crate::rule::{Examples, Rule, Then, ToolThen};
use crate::suggest::did_you_mean;
use crate::yaml::{Document, Key, Node, Span, Value};

/// The keys of a rule, in the order of the design.
pub(crate) const KEYS: [&str; 14] = [
    "id", "on", "when", "then", "conceal", "because", "instead", "mode", "rollout", "score", "expires",
    "tags", "match", "no_match",
];

/// What a match may add to or take from a score.
const SCORE_MAX: i64 = 1_000_000;

/// How long `because` and `instead` may be, in bytes: they are in every answer and record of the rule.
const WORDS_BYTES_MAX: usize = 2_000;

/// A rule that is read as far as it could be.
pub(super) struct Draft<'d> {
    pub(super) document: &'d Document<'d>,
    /// Its place, such as `rules[2]`.
    pub(super) path: String,
    pub(super) id: Option<(String, Span)>,
    pub(super) on: Option<Boundary>,
    /// The condition and the place of its scalar.
    pub(super) when: Option<(String, Span)>,
    pub(super) then: Option<Then>,
    pub(super) examples_match: Vec<Node<'d>>,
    pub(super) examples_no_match: Vec<Node<'d>>,
    rest: Rest,
}

/// What a rule may leave out.
#[derive(Default)]
struct Rest {
    conceal: bool,
    because: Option<String>,
    instead: Option<String>,
    mode: Mode,
    rollout: Option<u8>,
    score: i64,
    expires: Option<Timestamp>,
    tags: Vec<String>,
}

/// Reads the nodes of one rule and reports what is wrong with them.
pub(super) struct Reader<'r, 'd> {
    document: &'d Document<'d>,
    path: String,
    id: Option<String>,
    diagnostics: &'r mut Vec<Diagnostic>,
}

/// Reads a rule. What is wrong goes to `diagnostics`; a node that is no mapping is no draft.
pub(super) fn read<'d>(
    document: &'d Document<'d>,
    node: Node<'d>,
    at: usize,
    options: &LoadOptions,
    diagnostics: &mut Vec<Diagnostic>,
) -> Option<Draft<'d>> {
    let path = format!("rules[{at}]");
    let mut reader = Reader { document, path: path.clone(), id: None, diagnostics };
    let Value::Map(entries) = &node.value else {
        return reader.error(node.span, "", format!("a rule is a mapping, not {}", node.kind()), None);
    };
    let id = reader.read_id(&node);
    reader.id = id.as_ref().map(|(id, _)| id.clone());
    reader.known_keys(entries, "", &KEYS);
    let on = reader
        .required(&node, "", "on")
        .and_then(|on| reader.word(on, "on", "boundary", Boundary::ALL, Boundary::as_str));
    let when = reader.required(&node, "", "when").and_then(|when| reader.condition(when));
    let then =
        reader.required(&node, "", "then").zip(on).and_then(|(node, on)| then::read(&mut reader, node, on));
    let rest = reader.read_rest(&node, then.as_ref(), options);
    let examples_match = reader.read_examples(&node, "match");
    let examples_no_match = reader.read_examples(&node, "no_match");
    Some(Draft { document, path, id, on, when, then, examples_match, examples_no_match, rest })
}

impl Draft<'_> {
    /// The rule, if nothing is missing.
    pub(super) fn into_rule(self) -> Option<Rule> {
        let (id, span) = self.id?;
        let line = self.document.line(span.start);
        let boxed = |text: String| text.into_boxed_str();
        let mut rule = Rule {
            id: boxed(id),
            on: self.on?,
            when: boxed(self.when?.0),
            then: self.then?,
            because: self.rest.because.map(boxed),
            instead: self.rest.instead.map(boxed),
            mode: self.rest.mode,
            rollout: self.rest.rollout.unwrap_or(100),
            score: self.rest.score,
            expires: self.rest.expires,
            tags: self.rest.tags.into_iter().map(boxed).collect(),
            conceal: self.rest.conceal,
            examples_match: texts(&self.examples_match),
            examples_no_match: texts(&self.examples_no_match),
            version: Box::default(),
            file: Arc::clone(&self.document.name),
            line: u32::try_from(line).unwrap_or(u32::MAX),
        };
        rule.version = version(&rule).into_boxed_str();
        Some(rule)
    }
}

fn texts(examples: &[Node<'_>]) -> Examples {
    Examples(examples.iter().map(|node| node.to_json().to_string().into_boxed_str()).collect())
}

/// The first 12 hexadecimal digits of a hash of what was written: the same on every node and in every release.
fn version(rule: &Rule) -> String {
    let written = serde_json::to_vec(rule).unwrap_or_default();
    let digest = Sha256::digest(&written);
    digest.iter().take(6).map(|byte| format!("{byte:02x}")).collect()
}

impl<'d> Reader<'_, 'd> {
    fn place(&self, key: &str) -> String {
        if key.is_empty() { self.path.clone() } else { format!("{}.{key}", self.path) }
    }

    fn report(&mut self, severity: Severity, span: Span, key: &str, message: String, help: Option<String>) {
        let mut diagnostic = self.document.diagnostic(severity, span, self.place(key), message);
        diagnostic.rule.clone_from(&self.id);
        diagnostic.help = help;
        self.diagnostics.push(diagnostic);
    }

    /// Reports an error; the result stands for the value that there is not.
    pub(super) fn error<T>(
        &mut self,
        span: Span,
        key: &str,
        message: impl Into<String>,
        help: Option<String>,
    ) -> Option<T> {
        self.report(Severity::Error, span, key, message.into(), help);
        None
    }

    /// A value, or its complaint reported.
    pub(super) fn checked<T>(&mut self, span: Span, key: &str, value: Result<T, Complaint>) -> Option<T> {
        match value {
            Ok(value) => Some(value),
            Err((message, help)) => self.error(span, key, message, help),
        }
    }

    /// Reports keys that there are not.
    pub(super) fn known_keys(&mut self, entries: &[(Key<'_>, Node<'_>)], path: &str, known: &[&'static str]) {
        for (key, _) in entries {
            if !known.contains(&&*key.text) {
                let help = match did_you_mean(&key.text, known.iter().copied()) {
                    Some(word) => format!("did you mean `{word}`?"),
                    None => format!("the keys are {}", known.join(", ")),
                };
                let place =
                    if path.is_empty() { key.text.to_string() } else { format!("{path}.{}", key.text) };
                self.error::<()>(key.span, &place, format!("unknown key `{}`", key.text), Some(help));
            }
        }
    }

    /// A key that must be there.
    pub(super) fn required<'n, 's>(
        &mut self,
        of: &'n Node<'s>,
        path: &str,
        key: &str,
    ) -> Option<&'n Node<'s>> {
        match of.get(key) {
            Some(node) => Some(node),
            None => {
                let first_line = Span { start: of.span.start, end: of.span.start + 1 };
                self.error(first_line, path, format!("the key `{key}` is missing"), None)
            }
        }
    }

    pub(super) fn text(&mut self, node: &Node<'_>, key: &str) -> Option<String> {
        match &node.value {
            Value::Str(text) => Some(text.to_string()),
            Value::Null => self.error(node.span, key, format!("`{key}` is empty"), None),
            _ => {
                let message = format!("`{key}` is a text, not {}", node.kind());
                self.error(node.span, key, message, Some("put it in quotes".to_owned()))
            }
        }
    }

    pub(super) fn int(&mut self, node: &Node<'_>, key: &str, range: RangeInclusive<i64>) -> Option<i64> {
        let (least, most) = (range.start(), range.end());
        match node.value {
            Value::Int(value) if range.contains(&value) => Some(value),
            Value::Int(value) => {
                self.error(node.span, key, format!("`{key}` is {value}, but must be {least} to {most}"), None)
            }
            _ => {
                let message =
                    format!("`{key}` is a whole number from {least} to {most}, not {}", node.kind());
                self.error(node.span, key, message, None)
            }
        }
    }

    pub(super) fn word<T: Copy>(
        &mut self,
        node: &Node<'_>,
        key: &str,
        what: &str,
        all: impl IntoIterator<Item = T> + Clone,
        word: impl Fn(T) -> &'static str,
    ) -> Option<T> {
        let text = self.text(node, key)?;
        self.checked(node.span, key, one_of(what, &text, all, word))
    }

    fn flag(&mut self, node: &Node<'_>, key: &str) -> Option<bool> {
        match node.value {
            Value::Bool(value) => Some(value),
            _ => self.error(node.span, key, format!("`{key}` is true or false, not {}", node.kind()), None),
        }
    }

    fn read_id(&mut self, node: &Node<'d>) -> Option<(String, Span)> {
        let node = self.required(node, "", "id")?;
        let id = self.text(node, "id")?;
        if is_kebab_case(&id) {
            return Some((id, node.span));
        }
        let help = Some("an id is kebab-case: lower-case letters, digits and single hyphens".to_owned());
        self.error(node.span, "id", format!("`{id}` is no id"), help)
    }

    /// `when: true` needs no quotes.
    fn condition(&mut self, node: &Node<'_>) -> Option<(String, Span)> {
        match node.value {
            Value::Bool(value) => Some((value.to_string(), node.span)),
            _ => Some((self.text(node, "when")?, node.span)),
        }
    }

    fn read_rest(&mut self, node: &Node<'d>, then: Option<&Then>, options: &LoadOptions) -> Rest {
        let mut rest = Rest::default();
        if let Some(conceal) = node.get("conceal") {
            rest.conceal = self.flag(conceal, "conceal").unwrap_or(false);
            if rest.conceal && then.is_some_and(|then| *then != Then::Tool(ToolThen::Deny)) {
                self.error::<()>(conceal.span, "conceal", "`conceal` goes only with `then: deny`", None);
            }
        }
        rest.because = node.get("because").and_then(|because| self.words(because, "because"));
        rest.instead = node.get("instead").and_then(|instead| self.words(instead, "instead"));
        if let Some(mode) = node.get("mode") {
            let all = [Mode::Enforce, Mode::Shadow, Mode::Off];
            rest.mode = self.word(mode, "mode", "mode", all, Mode::as_str).unwrap_or_default();
        }
        if let Some(rollout) = node.get("rollout") {
            rest.rollout = self.int(rollout, "rollout", 0..=100).and_then(|value| u8::try_from(value).ok());
        }
        if let Some(score) = node.get("score") {
            rest.score = self.int(score, "score", -SCORE_MAX..=SCORE_MAX).unwrap_or(0);
        }
        rest.expires = node.get("expires").and_then(|expires| self.read_expires(expires, options));
        rest.tags = node.get("tags").map(|tags| self.read_tags(tags)).unwrap_or_default();
        rest
    }

    /// A text that is sent along with every decision of the rule, and so is short.
    fn words(&mut self, node: &Node<'_>, key: &str) -> Option<String> {
        let text = self.text(node, key)?;
        if text.len() <= WORDS_BYTES_MAX {
            return Some(text);
        }
        let message = format!("`{key}` is {} bytes long; at most {WORDS_BYTES_MAX} are allowed", text.len());
        self.error(node.span, key, message, Some("say it in a sentence or two".to_owned()))
    }

    fn read_expires(&mut self, node: &Node<'_>, options: &LoadOptions) -> Option<Timestamp> {
        let text = self.text(node, "expires")?;
        let Ok(expires) = text.parse::<Timestamp>() else {
            let help = Some("write it as 2027-01-01T00:00:00Z".to_owned());
            return self.error(node.span, "expires", format!("`{text}` is no time"), help);
        };
        if expires <= options.now {
            let help = Some("the rule is not asked any more: move the time, or remove the rule".to_owned());
            self.report(Severity::Warning, node.span, "expires", "the rule has expired".into(), help);
        }
        Some(expires)
    }

    fn read_tags(&mut self, node: &Node<'_>) -> Vec<String> {
        let Value::Seq(items) = &node.value else {
            self.error::<()>(
                node.span,
                "tags",
                format!("`tags` is a list of words, not {}", node.kind()),
                None,
            );
            return Vec::new();
        };
        items.iter().enumerate().filter_map(|(at, item)| self.text(item, &format!("tags[{at}]"))).collect()
    }

    fn read_examples(&mut self, node: &Node<'d>, key: &str) -> Vec<Node<'d>> {
        match node.get(key) {
            None => Vec::new(),
            Some(Node { value: Value::Seq(examples), .. }) => examples.clone(),
            Some(other) => {
                let message = format!("`{key}` is a list of examples, not {}", other.kind());
                self.error::<()>(other.span, key, message, None);
                Vec::new()
            }
        }
    }
}
