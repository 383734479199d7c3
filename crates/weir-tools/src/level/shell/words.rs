//! Words of a command as far as they are known before it runs.

use tree_sitter::Node;

/// A word of a command.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Word {
    /// It stands there as it is, apart from its quotes.
    Literal(String),
    /// A variable or a substitution gives all or some of it: it can be anything.
    Value,
    /// A pattern or braces: it becomes the names of files, or other words.
    Pattern,
}

impl Word {
    /// The text, if it is known.
    pub(super) fn text(&self) -> Option<&str> {
        match self {
            Self::Literal(text) => Some(text),
            Self::Value | Self::Pattern => None,
        }
    }
}

/// The word at a node.
pub(super) fn word_of(node: Node<'_>, text: &str) -> Word {
    let Ok(raw) = node.utf8_text(text.as_bytes()) else { return Word::Value };
    match node.kind() {
        // What `find` and `xargs` put in place of it; no braces to a shell.
        _ if raw == "{}" => Word::Literal(raw.to_owned()),
        "word" | "number" | "test_operator" | "file_descriptor" | "variable_name" => plain(raw),
        "extglob_pattern" | "brace_expression" => Word::Pattern,
        "raw_string" => match raw.strip_prefix('\'').and_then(|raw| raw.strip_suffix('\'')) {
            Some(inner) => Word::Literal(inner.to_owned()),
            None => Word::Value,
        },
        "string" => double_quoted(node, raw).map_or(Word::Value, Word::Literal),
        "concatenation" => concatenated(node, text),
        _ => Word::Value,
    }
}

fn concatenated(node: Node<'_>, text: &str) -> Word {
    let mut cursor = node.walk();
    let mut end = node.start_byte();
    let mut whole = Word::Literal(String::new());
    for part in node.named_children(&mut cursor) {
        // What stands between the named parts, such as a brace, is no part of a plain word.
        let gap = part.start_byte() != end;
        end = part.end_byte();
        whole = match (whole, word_of(part, text)) {
            (Word::Pattern, _) | (_, Word::Pattern) => Word::Pattern,
            _ if gap => Word::Pattern,
            (Word::Literal(mut whole), Word::Literal(part)) => {
                whole.push_str(&part);
                Word::Literal(whole)
            }
            _ => Word::Value,
        };
    }
    if end == node.end_byte() { whole } else { Word::Pattern }
}

/// An unquoted word: a backslash takes the meaning off what follows; a pattern or a brace is not known.
fn plain(raw: &str) -> Word {
    let mut out = String::with_capacity(raw.len());
    let mut chars = raw.chars();
    while let Some(c) = chars.next() {
        match c {
            '\\' => match chars.next() {
                Some('\n') => {}
                Some(escaped) => out.push(escaped),
                None => return Word::Value,
            },
            '$' | '`' => return Word::Value,
            '*' | '?' | '[' => return Word::Pattern,
            '{' | '}' => return Word::Pattern,
            c => out.push(c),
        }
    }
    Word::Literal(out)
}

fn double_quoted(node: Node<'_>, raw: &str) -> Option<String> {
    let mut cursor = node.walk();
    if node.named_children(&mut cursor).any(|part| part.kind() != "string_content") {
        return None;
    }
    let inner = raw.strip_prefix('"')?.strip_suffix('"')?;
    let mut out = String::with_capacity(inner.len());
    let mut chars = inner.chars().peekable();
    while let Some(c) = chars.next() {
        match c {
            '\\' => match chars.peek() {
                Some('$' | '`' | '"' | '\\') => out.extend(chars.next()),
                Some('\n') => drop(chars.next()),
                _ => out.push('\\'),
            },
            '$' | '`' => return None,
            c => out.push(c),
        }
    }
    Some(out)
}
