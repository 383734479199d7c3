//! Words with a fixed meaning: reading one of a few, ids, and lengths of time.

use crate::suggest::did_you_mean;

/// What is wrong, and the way out.
pub(super) type Complaint = (String, Option<String>);

/// One of some words.
pub(super) fn one_of<T: Copy>(
    what: &str,
    text: &str,
    all: impl IntoIterator<Item = T> + Clone,
    word: impl Fn(T) -> &'static str,
) -> Result<T, Complaint> {
    all.clone().into_iter().find(|item| word(*item) == text).ok_or_else(|| {
        let words: Vec<&str> = all.into_iter().map(&word).collect();
        let help = match did_you_mean(text, words.iter().copied()) {
            Some(meant) => format!("did you mean `{meant}`?"),
            None => format!("it is one of {}", words.join(", ")),
        };
        (format!("unknown {what} `{text}`"), Some(help))
    })
}

/// How long an id may be, in bytes.
const ID_BYTES_MAX: usize = 100;

/// Whether a text is kebab-case: words of lower-case letters and digits, joined by single hyphens.
pub(super) fn is_kebab_case(text: &str) -> bool {
    let word =
        |part: &str| !part.is_empty() && part.bytes().all(|b| b.is_ascii_lowercase() || b.is_ascii_digit());
    text.len() <= ID_BYTES_MAX && text.split('-').all(word)
}

/// The longest window of a limit, in seconds: thirty-one days.
pub(super) const PER_SECONDS_MAX: u64 = 31 * 24 * 3600;

/// Reads `30s`, `1m`, `1h`, `1d` as seconds.
pub(super) fn parse_per(text: &str) -> Option<u64> {
    let unit = text.chars().next_back()?;
    let seconds = match unit {
        's' => 1,
        'm' => 60,
        'h' => 3600,
        'd' => 24 * 3600,
        _ => return None,
    };
    let digits = text.strip_suffix(unit)?;
    if digits.is_empty() || !digits.bytes().all(|b| b.is_ascii_digit()) {
        return None;
    }
    let total = digits.parse::<u64>().ok()?.checked_mul(seconds)?;
    (1..=PER_SECONDS_MAX).contains(&total).then_some(total)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ids_are_kebab_case() {
        for good in ["a", "a-b", "a1-2b", "coding-agents-only"] {
            assert!(is_kebab_case(good), "{good}");
        }
        for bad in ["", "-a", "a-", "a--b", "A", "a_b", "a b", "é", &"a".repeat(101)] {
            assert!(!is_kebab_case(bad), "{bad}");
        }
    }

    #[test]
    fn windows_are_a_number_and_a_unit() {
        let table = [
            ("30s", Some(30)),
            ("1m", Some(60)),
            ("2h", Some(7200)),
            ("31d", Some(2_678_400)),
            ("32d", None),
            ("0s", None),
            ("s", None),
            ("1", None),
            ("1w", None),
            ("-1s", None),
            ("1.5h", None),
            ("99999999999999999999d", None),
            ("", None),
        ];
        for (text, expected) in table {
            assert_eq!(parse_per(text), expected, "{text}");
        }
    }
}
