//! What of a provider's message may be logged, safe by construction: words that are known, and words that nobody said.
//!
//! A provider can repeat any piece of a prompt in its error, with its letters changed, in quotes or in the middle of a
//! sentence. So a word of a message stays if it belongs to a vocabulary of what errors are made of; else if it stands in
//! no quotes and in no case in what was said. Where what was said is not there any more, the vocabulary alone decides.

use std::borrow::Cow;
use std::collections::HashSet;
use std::ops::Range;

use aho_corasick::AhoCorasick;

/// What stands in the place of words.
const LEFT_OUT: &str = "…";

/// Words up to this length say nothing, in bytes: `a`, `is`, `7`.
const SHORT_BYTES: usize = 2;

/// How much of what was said is looked at, in bytes: its end, where the newest words are.
const SAID_BYTES_MAX: usize = 4 * 1024 * 1024;

/// Quotation marks, the opening with the closing ones.
const QUOTES: [(char, &str); 9] = [
    ('"', "\""),
    ('\'', "'"),
    ('`', "`'"),
    ('“', "”\""),
    ('„', "“”"),
    ('‘', "’"),
    ('«', "»"),
    ('「', "」"),
    ('『', "』"),
];

/// A word of a text.
#[derive(Clone, Debug)]
struct Word {
    range: Range<usize>,
    /// Within quotation marks.
    quoted: bool,
}

/// The words of a text in lower case, as [`without_words`] asks for them. A script that does not part its words gives
/// its pairs of letters.
///
/// ```
/// let words: Vec<String> = weir_core::redact::words("Don't use `max_tokens`: 余额不足").collect();
/// assert_eq!(words, ["don", "t", "use", "max_tokens", "余额", "额不", "不足"]);
/// ```
pub fn words(text: &str) -> impl Iterator<Item = String> {
    split(text).into_iter().filter_map(|word| Some(text.get(word.range)?.to_lowercase()))
}

/// The text with only those words that are `known`, and those that stand in no quotes and nowhere in what was `said`.
/// `known` is asked in lower case. Without `said` only known words stay.
///
/// ```
/// use weir_core::redact::without_words;
///
/// let known = |word: &str| ["invalid", "value"].contains(&word);
/// let said = br#"{"content": "my Horse battery"}"#;
/// assert_eq!(without_words("Invalid value: HORSE, not allowed", Some(said), &known), "Invalid value: …, not allowed");
/// assert_eq!(without_words("Invalid value: HORSE, not allowed", None, &known), "Invalid value: …");
/// ```
#[must_use]
pub fn without_words<'t>(text: &'t str, said: Option<&[u8]>, known: &dyn Fn(&str) -> bool) -> Cow<'t, str> {
    let mut doubtful: Vec<(Word, String)> = split(text)
        .into_iter()
        .filter(|word| word.range.len() > SHORT_BYTES)
        .filter_map(|word| Some((word.clone(), text.get(word.range)?.to_lowercase())))
        .filter(|(_, lower)| !known(lower))
        .collect();
    if let Some(said) = said {
        let repeated =
            repeated(doubtful.iter().filter(|(word, _)| !word.quoted).map(|(_, lower)| lower), said);
        doubtful.retain(|(word, lower)| word.quoted || repeated.contains(lower));
    }
    leave_out(text, doubtful.into_iter().map(|(word, _)| word.range))
}

/// The text without these ranges, which stand in their order and may overlap.
fn leave_out(text: &str, ranges: impl Iterator<Item = Range<usize>>) -> Cow<'_, str> {
    let mut out = String::new();
    let mut written = 0;
    for range in ranges {
        let between = text.get(written..range.start).unwrap_or_default();
        // What stands between two words that are left out, and is no word itself, tells nothing.
        if written == 0 || between.chars().any(char::is_alphanumeric) {
            out.push_str(between);
            out.push_str(LEFT_OUT);
        }
        written = written.max(range.end);
    }
    if written == 0 {
        return Cow::Borrowed(text);
    }
    out.push_str(text.get(written..).unwrap_or_default());
    Cow::Owned(out)
}

/// Those of the words that stand somewhere in what was said, in whichever case.
fn repeated<'w>(words: impl Iterator<Item = &'w String>, said: &[u8]) -> HashSet<String> {
    let said = said.get(said.len().saturating_sub(SAID_BYTES_MAX)..).unwrap_or_default();
    let wanted: Vec<&String> = words.collect::<HashSet<_>>().into_iter().collect();
    // Letters beyond ASCII may be written as escapes, which are not read here: such a word counts as said.
    let escapes = memchr_escape(said);
    let mut found: HashSet<usize> =
        wanted.iter().enumerate().filter(|(_, word)| escapes && !word.is_ascii()).map(|(at, _)| at).collect();
    let mut patterns: Vec<(usize, String)> = Vec::new();
    for (at, word) in wanted.iter().enumerate() {
        patterns.push((at, (*word).clone()));
        if !word.is_ascii() {
            patterns.push((at, word.to_uppercase()));
            patterns.push((at, capitalised(word)));
        }
    }
    let search = AhoCorasick::builder().ascii_case_insensitive(true).build(patterns.iter().map(|(_, p)| p));
    let Ok(search) = search else { return wanted.into_iter().cloned().collect() };
    for hit in search.find_overlapping_iter(said) {
        if let Some((at, _)) = patterns.get(hit.pattern().as_usize())
            && found.insert(*at)
            && found.len() == wanted.len()
        {
            break;
        }
    }
    found.into_iter().filter_map(|at| wanted.get(at).map(|word| (*word).clone())).collect()
}

fn memchr_escape(said: &[u8]) -> bool {
    said.windows(2).any(|pair| pair == b"\\u")
}

fn capitalised(word: &str) -> String {
    let mut chars = word.chars();
    chars.next().map_or_else(String::new, |first| first.to_uppercase().chain(chars).collect())
}

/// The words of a text, in order.
fn split(text: &str) -> Vec<Word> {
    let mut words = Vec::new();
    let mut quote: Option<&str> = None;
    let mut begun: Option<usize> = None;
    let mut before = ' ';
    let mut chars = text.char_indices().peekable();
    while let Some((at, c)) = chars.next() {
        let next = chars.peek().map(|(_, next)| *next);
        if is_of_word(c) && !is_dense(c) {
            begun.get_or_insert(at);
        } else if let Some(start) = begun.take() {
            words.push(Word { range: start..at, quoted: quote.is_some() });
        }
        if is_dense(c) && is_of_word(c) {
            let end = match next {
                Some(next) if is_dense(next) && is_of_word(next) => at + c.len_utf8() + next.len_utf8(),
                // The last of them stands in a pair already.
                _ if is_dense(before) => at,
                _ => at + c.len_utf8(),
            };
            if end > at {
                words.push(Word { range: at..end, quoted: quote.is_some() });
            }
        }
        quote = quote_after(quote, before, c, next);
        before = c;
    }
    if let Some(start) = begun {
        words.push(Word { range: start..text.len(), quoted: quote.is_some() });
    }
    words
}

/// Which marks end the quotation that the text stands in after this letter. The end of a text ends none, so that one
/// that was cut tells nothing.
fn quote_after(quote: Option<&str>, before: char, c: char, next: Option<char>) -> Option<&str> {
    let apostrophe = c == '\'' || c == '’';
    match quote {
        Some(closing) if closing.contains(c) => {
            let within_word =
                apostrophe && before.is_alphanumeric() && next.is_some_and(char::is_alphanumeric);
            if within_word { quote } else { None }
        }
        Some(_) => quote,
        None if apostrophe && before.is_alphanumeric() => None,
        None => QUOTES.iter().find(|(opening, _)| *opening == c).map(|(_, closing)| *closing),
    }
}

fn is_of_word(c: char) -> bool {
    c.is_alphanumeric() || c == '_'
}

/// Whether a letter is of a script that does not part its words: Chinese, Japanese, Thai and its neighbours.
fn is_dense(c: char) -> bool {
    matches!(u32::from(c), 0x0e00..=0x0eff | 0x1000..=0x109f | 0x1780..=0x17ff | 0x2e80..=0xa4cf | 0xf900..=0xfaff | 0x20000..=0x3ffff)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn known(word: &str) -> bool {
        "the invalid value for your input was refused model not found 参数 数错 错误 输入 max_tokens"
            .split(' ')
            .any(|w| w == word)
    }

    #[test]
    fn only_what_is_known_or_was_not_said_stays() {
        let said = r#"{"messages": [{"content": "my Horse battery staple: 我的密码是马 Größe 4711"}], "max_tokens": 12}"#;
        let table = [
            ("Invalid value: horse", "Invalid value: …"),
            ("Invalid value: HORSE.", "Invalid value: …."),
            ("a piece: hor, atter", "a piece: …"),
            ("not a word of it", "not a word of it"),
            ("\"unheard of\" was refused", "\"… of\" was refused"),
            ("'unheard', „things“ «there»", "'…»"),
            ("the model's value isn't invalid", "the model's value isn't invalid"),
            ("your input 'the horse's value' was refused", "your input 'the …'s value' was refused"),
            ("cut: 'unheard", "cut: '…"),
            ("max_tokens was 12, not 4711", "max_tokens was 12, not …"),
            ("参数错误: 密码", "参数错误: …"),
            ("GRÖSSE und Größe, größe", "GRÖSSE und …"),
            ("", ""),
        ];
        for (text, expected) in table {
            let seen = without_words(text, Some(said.as_bytes()), &known);
            assert_eq!(seen, expected, "{text}");
        }
    }

    #[test]
    fn without_what_was_said_only_known_words_stay() {
        let table = [
            ("Invalid value: horse", "Invalid value: …"),
            ("the unheard was refused", "the … was refused"),
            ("输入, 参数错误: 密码", "输入, 参数错误: …"),
        ];
        for (text, expected) in table {
            assert_eq!(without_words(text, None, &known), expected);
        }
    }

    #[test]
    fn escapes_hide_nothing() {
        let said = br#"{"content": "Gr\u00f6\u00dfe"}"#;
        assert_eq!(without_words("value: größe", Some(said), &known), "value: …");
    }

    #[test]
    fn a_long_request_is_read_soon() {
        let said = "and again ".repeat(400_000);
        assert_eq!(without_words("and AGAIN and never", Some(said.as_bytes()), &known), "… never");
    }
}
