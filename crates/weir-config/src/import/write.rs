//! Writing YAML that people read: texts are quoted where they must be.

/// A text as a scalar, plain where that is safe. What looks like a variable of weir's is none.
pub(super) fn scalar(text: &str) -> String {
    quoted(&text.replace("${", "$${"))
}

/// A text that may hold variables of weir's.
pub(super) fn quoted(text: &str) -> String {
    let plain = |c: char| c.is_ascii_alphanumeric() || matches!(c, '.' | '_' | '-' | '/' | ':');
    let first = text.chars().next();
    let is_plain = first.is_some_and(|c| c.is_ascii_alphabetic())
        && text.chars().all(plain)
        && !text.ends_with(':')
        && !matches!(
            text.to_ascii_lowercase().as_str(),
            "true" | "false" | "null" | "yes" | "no" | "on" | "off"
        );
    if is_plain { text.to_owned() } else { serde_json::Value::from(text).to_string() }
}

/// A comment on one line, without what ends one.
pub(super) fn comment(text: &str) -> String {
    let line: String = text.chars().map(|c| if c.is_control() { ' ' } else { c }).collect();
    format!("# {line}")
}
