//! Lets `${NAME}` stand unquoted everywhere. Within `{…}` and `[…]` YAML takes a brace for its own, so that the braces
//! of variables are hidden from the parser behind two characters of the private use area. One character stands for
//! one, so that lines and columns stay true.

use std::borrow::Cow;

use crate::substitute::variable_at;

const OPEN: char = '\u{e000}';
const CLOSE: char = '\u{e001}';

/// The text with the braces of its variables hidden. A text that has the hiding characters itself stays as it is.
pub fn shielded(text: &str) -> Cow<'_, str> {
    if !text.contains("${") || text.contains([OPEN, CLOSE]) {
        return Cow::Borrowed(text);
    }
    let mut out = String::with_capacity(text.len() + 64);
    let mut rest = text;
    while let Some(at) = rest.find("${") {
        let (before, variable) = rest.split_at(at);
        out.push_str(before);
        match variable_at(variable)
            .filter(|length| !variable.get(..*length).unwrap_or_default().contains('\n'))
        {
            Some(length) => {
                out.push('$');
                out.push(OPEN);
                out.push_str(variable.get(2..length - 1).unwrap_or_default());
                out.push(CLOSE);
                rest = variable.get(length..).unwrap_or_default();
            }
            None => {
                out.push_str("${");
                rest = variable.get(2..).unwrap_or_default();
            }
        }
    }
    out.push_str(rest);
    Cow::Owned(out)
}

/// The text as it was.
pub fn unshielded(text: &str) -> String {
    text.replace(OPEN, "{").replace(CLOSE, "}")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn braces_of_variables_are_hidden_and_come_back() {
        for text in
            ["a", "{a: ${B}, c: ${D:-}}", "$${A}", "${A", "${}", "${1}", "é${A}é", "${A\n}", "\u{e000}${A}"]
        {
            let shielded = shielded(text);
            assert_eq!(shielded.chars().count(), text.chars().count(), "{text}");
            if !text.contains(OPEN) {
                assert_eq!(unshielded(&shielded), text);
            }
        }
        assert!(!shielded("{a: ${B}, c: ${D:-}}").contains("${"));
        assert_eq!(shielded("${A\n}"), "${A\n}");
        assert_eq!(shielded("\u{e000}${A}"), "\u{e000}${A}");
    }
}
