//! Layer by layer into what a provider sent, keeping what the innermost layers say.

use std::borrow::Cow;

use jiff::Timestamp;

use super::fields::{self, Role};
use super::lenient::{self, Node};
use super::{frames, hints, html, prose, status};

/// How many layers are taken off: texts in objects in texts.
const LAYERS_MAX: u32 = 12;

/// How much text is looked at in all layers together, in bytes.
const WORK_BYTES_MAX: usize = 3 * 1024 * 1024;

/// How many objects a text is searched for; fewer in a long one.
const OBJECTS_MAX: usize = 48;
const OBJECTS_OF_LONG_MAX: usize = 6;
const LONG_BYTES: usize = 64 * 1024;

/// How many elements of a list are read.
const ITEMS_MAX: usize = 32;

/// How long the evidence may become, in bytes.
const TEXT_BYTES_MAX: usize = 32 * 1024;

/// How long a code may be, in bytes; anything longer is words.
const CODE_BYTES_MAX: usize = 128;

/// The message's length, in bytes.
const MESSAGE_BYTES_MAX: usize = 4 * 1024;

/// Something found, and how far in: the innermost wins, of two the first.
#[derive(Debug)]
struct Innermost<T>(Option<(u32, T)>);

impl<T> Default for Innermost<T> {
    fn default() -> Self {
        Self(None)
    }
}

impl<T> Innermost<T> {
    fn offer(&mut self, rank: u32, found: T) {
        if self.0.as_ref().is_none_or(|(best, _)| rank > *best) {
            self.0 = Some((rank, found));
        }
    }

    fn take(self) -> Option<T> {
        self.0.map(|(_, found)| found)
    }
}

/// What was found in the end.
pub(super) struct Found {
    pub(super) status: Option<u16>,
    pub(super) code: String,
    pub(super) kind: String,
    pub(super) message: String,
    pub(super) text: String,
    pub(super) named_provider: Option<String>,
}

/// A reading in progress.
#[derive(Debug, Default)]
pub(super) struct Reading {
    now: Option<Timestamp>,
    lines: Vec<String>,
    line_bytes: usize,
    work: usize,
    status: Innermost<u16>,
    code: Innermost<String>,
    kind: Innermost<String>,
    message: Innermost<String>,
    /// The name of an exception in words around the rest: weaker than any type.
    class: Innermost<String>,
    hint: Innermost<f64>,
    named_provider: Option<String>,
    /// Strings that are neither evidence nor certainly not: used where there is nothing else.
    others: Vec<String>,
}

impl Reading {
    pub(super) fn new(now: Option<Timestamp>) -> Self {
        Self { now, ..Self::default() }
    }

    /// Reads a whole body.
    pub(super) fn body(&mut self, body: &str) {
        let body = body.trim_matches(|c: char| c.is_whitespace() || c == '\u{feff}');
        self.named_provider =
            prose::named_provider(body.get(..body.floor_char_boundary(1024)).unwrap_or_default())
                .map(ToOwned::to_owned);
        self.text(body, 0, false);
        if self.lines.is_empty() {
            for other in std::mem::take(&mut self.others) {
                let clean = prose::clean(&other, false);
                self.line(&clean.text);
                self.message.offer(0, clean.text);
            }
        }
    }

    pub(super) fn code(&self) -> &str {
        self.code.0.as_ref().map_or("", |(_, code)| code)
    }

    pub(super) fn hint(&self) -> Option<f64> {
        self.hint.0.map(|(_, seconds)| seconds)
    }

    /// A code that only the head tells.
    pub(super) fn outer_code(&mut self, code: &str) {
        self.offer_code(code, 0, false);
    }

    pub(super) fn finish(self) -> Found {
        let mut message = self.message.take().unwrap_or_default();
        message.truncate(message.floor_char_boundary(MESSAGE_BYTES_MAX));
        Found {
            status: self.status.take(),
            code: self.code.take().unwrap_or_default(),
            kind: self.kind.take().or(self.class.take()).unwrap_or_default(),
            message,
            text: self.lines.join("\n"),
            named_provider: self.named_provider,
        }
    }

    /// Adds a line of evidence, once.
    pub(super) fn line(&mut self, line: &str) {
        let room = TEXT_BYTES_MAX.saturating_sub(self.line_bytes);
        let line = line.get(..line.floor_char_boundary(room)).unwrap_or_default();
        let lower = line.to_lowercase();
        if !lower.is_empty() && !self.lines.contains(&lower) {
            self.line_bytes += lower.len() + 1;
            self.lines.push(lower);
        }
    }

    /// Reads a text; whether an object in it told of an error.
    fn text(&mut self, text: &str, depth: u32, beside: bool) -> bool {
        self.work = self.work.saturating_add(text.len());
        if depth >= LAYERS_MAX || self.work > WORK_BYTES_MAX {
            return false;
        }
        if frames::is_stream(text) {
            let mut found = false;
            for payload in frames::payloads(text).iter().take(ITEMS_MAX) {
                found |= self.text(payload, depth + 1, beside);
            }
            return found;
        }
        let (text, page) = match html::start(text) {
            Some(at) => text.split_at_checked(at).unwrap_or((text, "")),
            None => (text, ""),
        };
        let (found, around) = self.objects(text, depth, beside);
        self.words(&around, depth, beside, found);
        if !page.is_empty() {
            self.page(page, depth, beside);
        }
        found
    }

    /// Reads the objects within a text; whether one told of an error, and the words around them.
    fn objects<'t>(&mut self, text: &'t str, depth: u32, beside: bool) -> (bool, Cow<'t, str>) {
        let (mut found, mut from, mut at) = (false, 0, 0);
        let mut around = String::new();
        let tries = if text.len() > LONG_BYTES { OBJECTS_OF_LONG_MAX } else { OBJECTS_MAX };
        for _ in 0..tries {
            let rest = text.as_bytes().get(at..).unwrap_or_default();
            let Some(open) = memchr::memchr(b'{', rest).map(|open| at + open) else { break };
            if let Some((node, end)) = lenient::object_at(text, open, fields::is_never) {
                push_line(&mut around, text.get(from..open));
                found |= self.node(&node, depth + 1, beside);
                (from, at) = (end, end);
            } else if let Some((inner, end)) = escaped(text, open) {
                push_line(&mut around, text.get(from..open));
                found |= self.text(&inner, depth + 1, beside);
                (from, at) = (end, end);
            } else {
                at = open + 1;
            }
        }
        if from == 0 {
            return (found, Cow::Borrowed(text));
        }
        push_line(&mut around, text.get(from..));
        (found, Cow::Owned(around))
    }

    /// Words that people read, around or instead of objects.
    fn words(&mut self, text: &str, depth: u32, beside: bool, wraps: bool) {
        let clean = prose::clean(text, wraps);
        if let Some(class) = clean.class {
            self.class.offer(depth, class);
        }
        if clean.text.chars().all(|c| !c.is_alphanumeric()) {
            return;
        }
        let lower = clean.text.to_lowercase();
        if let Some(status) = status::in_prose(&lower) {
            self.status.offer(rank(depth, beside), status);
        }
        if let Some(seconds) = hints::of_text(&lower) {
            self.hint.offer(depth, seconds);
        }
        if let Some(code) = code_in_words(&clean.text) {
            self.offer_code(code, depth, beside);
        }
        self.line(&lower);
        self.message.offer(rank(depth, beside || wraps), clean.text);
    }

    fn page(&mut self, page: &str, depth: u32, beside: bool) {
        self.line(html::MARK);
        for words in html::words(page) {
            let clean = prose::clean(&words, false);
            let lower = clean.text.to_lowercase();
            if let Some(status) = status::in_prose(&lower).or_else(|| status::in_headline(&lower)) {
                self.status.offer(rank(depth, beside), status);
            }
            self.line(&lower);
            self.message.offer(rank(depth, beside), clean.text);
        }
    }

    /// Reads a value; whether it told of an error.
    fn node(&mut self, node: &Node, depth: u32, beside: bool) -> bool {
        if depth >= LAYERS_MAX {
            return false;
        }
        match node {
            Node::Map(members) => {
                let mut found = false;
                for (name, value) in members {
                    found |= self.member(&fields::normal(name), value, depth, beside);
                }
                found
            }
            Node::List(items) => {
                let mut found = false;
                for item in items.iter().take(ITEMS_MAX) {
                    found |= self.node(item, depth, beside);
                }
                found
            }
            Node::Text(text) => self.message_text(text, depth, beside),
            Node::Null | Node::Number(_) => false,
        }
    }

    fn member(&mut self, name: &str, value: &Node, depth: u32, beside: bool) -> bool {
        match (fields::role(name), value) {
            (_, Node::Null) => false,
            (Role::Hint, _) => {
                if let Some(seconds) = hints::of_member(name, value, self.now) {
                    self.hint.offer(depth, seconds);
                }
                false
            }
            (Role::Never, Node::Map(headers)) if name == "headers" => {
                for (name, value) in headers {
                    let name = fields::normal(name);
                    if fields::role(&name) == Role::Hint
                        && let Some(seconds) = hints::of_member(&name, value, self.now)
                    {
                        self.hint.offer(depth, seconds);
                    }
                }
                false
            }
            (Role::Never, _) => false,
            (Role::Message | Role::Inner, Node::Text(text)) => self.message_text(text, depth, beside),
            (Role::Beside, Node::Text(text)) => self.message_text(text, depth, true),
            (Role::Beside, _) => self.node(value, depth + 1, true),
            (Role::Code, Node::Text(text) | Node::Number(text)) => self.offer_code(text, depth, beside),
            (Role::Status, Node::Text(text) | Node::Number(text)) => self.offer_status(text, depth, beside),
            (Role::Kind, Node::Text(text)) => self.offer_kind(text, depth, beside),
            (Role::Word, Node::Text(text)) => {
                self.line(&prose::clean(text, false).text);
                false
            }
            (Role::Answer, Node::Text(text)) => text.contains('{') && self.text(text, depth + 1, beside),
            (Role::Other, Node::Text(text)) => {
                if self.others.len() < ITEMS_MAX {
                    self.others.push(text.clone());
                }
                false
            }
            (_, Node::Number(_)) => false,
            (_, container) => self.node(container, depth + 1, beside),
        }
    }

    fn message_text(&mut self, text: &str, depth: u32, beside: bool) -> bool {
        let text = text.trim();
        if !text.is_empty() {
            self.text(text, depth, beside);
        }
        !text.is_empty()
    }

    fn offer_code(&mut self, code: &str, depth: u32, beside: bool) -> bool {
        let code = joined(code);
        if code.is_empty() {
            return false;
        }
        if code.len() > CODE_BYTES_MAX || code.matches(' ').count() > 2 {
            return self.message_text(&code, depth, beside);
        }
        match http_status(&code) {
            // A status in place of a code says less than any word.
            Some(status) => {
                self.status.offer(rank(depth, beside), status);
                self.code.offer(depth * 2, code.into_owned());
            }
            None => {
                self.line(&code);
                self.code.offer(depth * 2 + 1, code.into_owned());
            }
        }
        true
    }

    fn offer_status(&mut self, text: &str, depth: u32, beside: bool) -> bool {
        match http_status(text.trim()) {
            Some(status) => self.status.offer(rank(depth, beside), status),
            None if text.trim().parse::<f64>().is_ok_and(|number| number < 400.0) => return false,
            None => return self.offer_code(text, depth, beside),
        }
        true
    }

    fn offer_kind(&mut self, kind: &str, depth: u32, beside: bool) -> bool {
        let kind = joined(kind);
        if kind.is_empty() || kind == "error" || kind.len() > CODE_BYTES_MAX {
            return false;
        }
        self.line(&kind);
        self.kind.offer(rank(depth, beside), kind.into_owned());
        true
    }
}

/// Further in is stronger; what only stands beside the error is weaker than the error around it.
fn rank(depth: u32, beside: bool) -> u32 {
    if beside { depth / 4 } else { (depth + 1) * 4 }
}

fn push_line(around: &mut String, part: Option<&str>) {
    if let Some(part) = part.filter(|part| !part.trim().is_empty()) {
        if !around.is_empty() {
            around.push('\n');
        }
        around.push_str(part);
    }
}

/// The text of an object whose quotes are escaped, and where it ends.
fn escaped(text: &str, open: usize) -> Option<(String, usize)> {
    let rest = text.get(open..)?;
    let first = rest.get(1..)?.trim_start();
    if !first.starts_with('\\') {
        return None;
    }
    let (inner, length) = lenient::unescaped(rest);
    (length > 2).then_some((inner, open + length))
}

fn http_status(text: &str) -> Option<u16> {
    text.parse().ok().filter(|status| (400..600).contains(status))
}

/// A code that a terminal may have broken into lines.
fn joined(code: &str) -> Cow<'_, str> {
    let code = code.trim();
    if code.contains(['\n', '\r']) {
        Cow::Owned(code.split_whitespace().collect())
    } else {
        Cow::Borrowed(code)
    }
}

/// The code that AWS's clients put into words: `An error occurred (ThrottlingException) when calling …`.
fn code_in_words(text: &str) -> Option<&str> {
    let (_, rest) = text.split_once("An error occurred (")?;
    let (code, _) = rest.split_once(')')?;
    (code.len() <= CODE_BYTES_MAX && code.chars().all(char::is_alphanumeric)).then_some(code)
}
