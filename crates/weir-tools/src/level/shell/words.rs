//! Words of a command as far as they are known before it runs.

use tree_sitter::Node;

/// A word's text; `None` when it depends on a variable, a substitution or a pattern.
pub(super) type Word = Option<String>;

/// The text of a word, without its quotes.
pub(super) fn word_of(node: Node<'_>, text: &str) -> Word {
    let raw = node.utf8_text(text.as_bytes()).ok()?;
    match node.kind() {
        "word" | "number" | "test_operator" | "file_descriptor" | "variable_name" | "extglob_pattern" => {
            plain(raw)
        }
        "raw_string" => Some(raw.strip_prefix('\'')?.strip_suffix('\'')?.to_owned()),
        "string" => double_quoted(node, raw),
        "concatenation" => {
            let mut cursor = node.walk();
            let mut end = node.start_byte();
            let mut whole = String::new();
            for part in node.named_children(&mut cursor) {
                // What stands between the named parts, such as a brace, is no part of a plain word.
                (part.start_byte() == end).then_some(())?;
                end = part.end_byte();
                whole.push_str(&word_of(part, text)?);
            }
            (end == node.end_byte()).then_some(whole)
        }
        _ => None,
    }
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
                None => return None,
            },
            '*' | '?' | '[' | '$' | '`' => return None,
            '{' if raw.contains(',') || raw.contains("..") => return None,
            c => out.push(c),
        }
    }
    Some(out)
}

fn double_quoted(node: Node<'_>, raw: &str) -> Word {
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
