//! "Did you mean": the nearest of the known words.

/// The word that is most like `given`, if one is like enough that offering it helps.
pub fn did_you_mean<'w>(given: &str, known: impl IntoIterator<Item = &'w str>) -> Option<&'w str> {
    let plain = |text: &str| text.to_lowercase().replace(['-', ' '], "_");
    let wanted = plain(given);
    known
        .into_iter()
        .map(|word| (strsim::jaro_winkler(&wanted, &plain(word)), word))
        .filter(|(likeness, _)| *likeness >= 0.8)
        .max_by(|a, b| a.0.total_cmp(&b.0))
        .map(|(_, word)| word)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn near_words_are_offered_and_far_ones_are_not() {
        let known = ["model", "user_agent", "country", "rate-limit"];
        let table = [
            ("modle", Some("model")),
            ("User-Agent", Some("user_agent")),
            ("contry", Some("country")),
            ("ratelimit", Some("rate-limit")),
            ("xyz", None),
            ("", None),
        ];
        for (given, expected) in table {
            assert_eq!(did_you_mean(given, known), expected, "{given}");
        }
    }
}
