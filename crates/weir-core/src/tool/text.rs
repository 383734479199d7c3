//! Words that come from outside: names of tools, reasons of policies. They stay readable and cannot break out.

/// How many characters of a foreign text are shown.
pub const QUOTED_CHARS_MAX: usize = 500;

/// A foreign text on one line: control and direction characters become spaces, runs of white space one space, and what
/// is longer than `max` characters is cut and ends with `…`. Its words stay.
///
/// ```
/// use weir_core::tool::cleaned;
///
/// assert_eq!(cleaned("a\n\nb\u{1b}[2J\u{202e}c ", 100), "a b [2J c");
/// assert_eq!(cleaned("abcdef", 4), "abc…");
/// ```
#[must_use]
pub fn cleaned(text: &str, max: usize) -> String {
    let mut out = String::new();
    let mut count = 0_usize;
    let mut gap = false;
    for c in text.chars() {
        if c.is_whitespace() || is_invisible(c) {
            gap = count > 0;
            continue;
        }
        let width = usize::from(gap) + 1;
        if count + width > max {
            // Room for the mark: the last character gives way.
            if count == max {
                out.pop();
            }
            out.push('…');
            return out;
        }
        if std::mem::take(&mut gap) {
            out.push(' ');
        }
        out.push(c);
        count += width;
    }
    out
}

/// A foreign text in single quotes, cleaned; quotes within it become `’`, so that it ends where it seems to end.
#[must_use]
pub fn quoted(text: &str) -> String {
    format!("'{}'", cleaned(text, QUOTED_CHARS_MAX).replace('\'', "’"))
}

/// Characters that are not seen but act: controls, direction marks and overrides, zero-width joiners, tags.
fn is_invisible(c: char) -> bool {
    c.is_control()
        || matches!(c, '\u{00ad}' | '\u{061c}' | '\u{180e}' | '\u{200b}'..='\u{200f}' | '\u{2028}'..='\u{202e}'
            | '\u{2060}'..='\u{206f}' | '\u{feff}' | '\u{fff9}'..='\u{fffb}' | '\u{e0000}'..='\u{e007f}')
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn foreign_text_stays_on_its_line_and_within_its_quotes() {
        let table = [
            ("", "''"),
            ("run_script", "'run_script'"),
            ("x'. Workaround: none '", "'x’. Workaround: none ’'"),
            ("a\r\n\tb", "'a b'"),
            ("\u{200b}a\u{e0041}", "'a'"),
            ("naïve 日本", "'naïve 日本'"),
        ];
        for (text, expected) in table {
            assert_eq!(quoted(text), expected, "{text:?}");
        }
        let long = quoted(&"é".repeat(10_000));
        assert_eq!(long.chars().count(), QUOTED_CHARS_MAX + 2);
        assert!(long.ends_with("…'"), "{long}");
    }

    #[test]
    fn a_cut_never_exceeds_its_bound() {
        for max in 1..12 {
            for text in ["abcdef ghi", "a b c d e f g", "      a", "abc"] {
                let cut = cleaned(text, max);
                assert!(cut.chars().count() <= max, "{cut:?} {max}");
            }
        }
    }
}
