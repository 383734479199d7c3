//! "Did you mean".

/// The word that was probably meant: near in spelling, or the same but for case, `-` and `_`.
#[must_use]
pub fn nearest<'a>(written: &str, known: impl Iterator<Item = &'a str>) -> Option<&'a str> {
    let plain = plain(written);
    let allowed = plain.chars().count() / 3;
    known
        .map(|word| (strsim::damerau_levenshtein(&plain, &self::plain(word)), word))
        .filter(|(distance, _)| *distance <= allowed)
        .min_by_key(|(distance, _)| *distance)
        .map(|(_, word)| word)
}

fn plain(word: &str) -> String {
    word.to_lowercase().replace(['-', '_'], "")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn near_words_are_suggested_and_far_ones_are_not() {
        let known = ["api_key", "api_keys", "apis", "base_url", "x-api-key", "inline"];
        let table = [
            ("api_kay", Some("api_key")),
            ("baseUrl", Some("base_url")),
            ("base-url", Some("base_url")),
            ("INLINE", Some("inline")),
            ("x_api_key", Some("x-api-key")),
            ("inlnie", Some("inline")),
            ("timeout", None),
            ("z", None),
            ("ap", None),
        ];
        for (written, expected) in table {
            assert_eq!(nearest(written, known.iter().copied()), expected, "{written}");
        }
    }
}
