//! Parameters of lists. All that are wrong are named at once; one that is unknown is wrong too, since a filter that
//! was misspelt and ignored would show what was not asked for.

use jiff::{SignedDuration, Timestamp};
use utoipa::IntoParams;
use weir_rules::did_you_mean;

use crate::problem::{Fault, Problem};

/// Items of a page unless told otherwise.
const LIMIT: u32 = 100;
/// Items of a page at most.
const LIMIT_MAX: u32 = weir_store::database::PAGE_LIMIT_MAX;

/// The parameters of a query, read one by one.
pub(crate) struct Parameters {
    pairs: Vec<(String, String)>,
    faults: Vec<Fault>,
}

impl Parameters {
    /// Reads a query. What is not in `known` or is given twice is a fault.
    pub(crate) fn read(query: Option<&str>, known: &[&str]) -> Self {
        let pairs: Vec<(String, String)> = pairs(query.unwrap_or_default());
        let mut faults = Vec::new();
        for (at, (name, _)) in pairs.iter().enumerate() {
            if !known.contains(&name.as_str()) {
                let meant = meant(name, known);
                faults.push(Fault {
                    help: Some(format!("{meant}known are: {}", known.join(", "))),
                    ..Fault::member(name, "the parameter is unknown")
                });
            } else if pairs.iter().take(at).any(|(earlier, _)| earlier == name) {
                faults.push(Fault::member(name, "the parameter is given twice"));
            }
        }
        Self { pairs, faults }
    }

    /// A parameter as it was given; one that is empty counts as left out.
    pub(crate) fn take(&self, name: &str) -> Option<String> {
        self.pairs.iter().find(|(n, value)| n == name && !value.is_empty()).map(|(_, value)| value.clone())
    }

    /// A parameter as `read` understands it.
    pub(crate) fn take_with<T>(&mut self, name: &str, read: impl Fn(&str) -> Result<T, String>) -> Option<T> {
        match read(&self.take(name)?) {
            Ok(value) => Some(value),
            Err(why) => {
                self.faults.push(Fault::member(name, why));
                None
            }
        }
    }

    /// Done, unless something was wrong.
    pub(crate) fn finish(self) -> Result<(), Problem> {
        if self.faults.is_empty() {
            return Ok(());
        }
        Err(Problem::bad_request("a parameter of the query is not as it should be", self.faults))
    }
}

/// The word, if it is one of these; else which there are, and which was probably meant.
pub(crate) fn one_of<'w>(word: &str, known: &[&'w str]) -> Result<&'w str, String> {
    let found = known.iter().find(|known| **known == word);
    found.copied().ok_or_else(|| format!("{}it must be one of: {}", meant(word, known), known.join(", ")))
}

fn meant(word: &str, known: &[&str]) -> String {
    let nearest = did_you_mean(word, known.iter().copied());
    nearest.map(|nearest| format!("did you mean `{nearest}`? ")).unwrap_or_default()
}

/// The pairs of a query or of a form's body, decoded.
pub(crate) fn pairs(query: &str) -> Vec<(String, String)> {
    each(query).collect()
}

/// The same one by one: there may be very many.
pub(crate) fn each(query: &str) -> impl Iterator<Item = (String, String)> {
    let decode = |text: &str| {
        let spaced = text.replace('+', " ");
        percent_encoding::percent_decode_str(&spaced).decode_utf8_lossy().into_owned()
    };
    query
        .split('&')
        .filter(|pair| !pair.is_empty())
        .map(|pair| pair.split_once('=').unwrap_or((pair, "")))
        .map(move |(name, value)| (decode(name), decode(value)))
}

/// Which part of a list of records is asked for: what all of those lists have in common.
#[derive(Debug, Default)]
pub(crate) struct Paging {
    pub(crate) since: Option<Timestamp>,
    pub(crate) limit: u32,
    pub(crate) cursor: Option<String>,
}

impl Paging {
    /// The names of its parameters.
    pub(crate) const NAMES: [&str; 3] = ["since", "limit", "cursor"];

    pub(crate) fn read(parameters: &mut Parameters, now: Timestamp) -> Self {
        Self { since: since(parameters, now), limit: limit(parameters), cursor: parameters.take("cursor") }
    }
}

/// How [`Paging`] is described.
#[derive(IntoParams)]
#[into_params(parameter_in = Query)]
#[expect(dead_code, reason = "it is read by the description of the API alone")]
pub(crate) struct PagingParameters {
    /// A time, or a duration before now such as 24h
    since: Option<String>,
    /// Items of a page, 1 to 1000
    #[param(value_type = Option<u32>)]
    limit: Option<u32>,
    /// `next` of the page before
    cursor: Option<String>,
}

/// `limit`: 1 to 1000.
pub(crate) fn limit(parameters: &mut Parameters) -> u32 {
    let read = |text: &str| match text.parse::<u32>() {
        Ok(limit) if (1..=LIMIT_MAX).contains(&limit) => Ok(limit),
        _ => Err(format!("it must be a number from 1 to {LIMIT_MAX}")),
    };
    parameters.take_with("limit", read).unwrap_or(LIMIT)
}

/// `since`: a time, or a duration before now such as `24h`.
pub(crate) fn since(parameters: &mut Parameters, now: Timestamp) -> Option<Timestamp> {
    time(parameters, "since", now)
}

/// A time, or a duration before now such as `24h`.
pub(crate) fn time(parameters: &mut Parameters, name: &str, now: Timestamp) -> Option<Timestamp> {
    parameters.take_with(name, |text| {
        let by_time = text.parse::<Timestamp>().ok();
        let before_now = || now.checked_sub(text.parse::<SignedDuration>().ok()?).ok();
        by_time.or_else(before_now).ok_or_else(|| {
            "it must be a time such as 2026-11-20T10:00:00Z or a duration such as 24h".to_owned()
        })
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_unknown_word_is_answered_with_the_known_ones() {
        let known = ["block", "rate-limit"];
        assert_eq!(one_of("block", &known), Ok("block"));
        for (word, expected) in [
            ("blok", "did you mean `block`? it must be one of: block, rate-limit"),
            ("Block", "did you mean `block`? it must be one of: block, rate-limit"),
            ("xyz", "it must be one of: block, rate-limit"),
        ] {
            assert_eq!(one_of(word, &known), Err(expected.to_owned()));
        }
        let problem = Parameters::read(Some("outcme=block"), &["outcome", "rule"]).finish().unwrap_err();
        assert_eq!(
            problem.errors()[0].help.as_deref(),
            Some("did you mean `outcome`? known are: outcome, rule")
        );
    }

    #[test]
    fn parameters_are_decoded_and_their_faults_are_named() {
        let now: Timestamp = "2026-11-20T10:00:00Z".parse().unwrap();
        let known = ["subject", "since", "limit"];
        let table: &[(&str, &[&str])] = &[
            ("", &[]),
            ("subject=user%3Aa&since=24h&limit=7", &[]),
            ("since=2026-11-01T00:00:00Z", &[]),
            ("since=2026-11-01T00:00:00%2B01:00", &[]),
            ("since=yesterday", &["since"]),
            ("limit=0", &["limit"]),
            ("limit=1001&since=x", &["since", "limit"]),
            ("subjet=a", &["subjet"]),
            ("subject=a&subject=b", &["subject"]),
        ];
        for (query, expected) in table {
            let mut parameters = Parameters::read(Some(query), &known);
            let since = since(&mut parameters, now);
            let limit = limit(&mut parameters);
            let faults =
                parameters.finish().err().map(|problem| problem.errors().to_vec()).unwrap_or_default();
            let named: Vec<_> = faults.iter().filter_map(|fault| fault.path.as_deref()).collect();
            assert_eq!(named, *expected, "{query}");
            if query.contains("24h") {
                assert_eq!((since.unwrap().to_string().as_str(), limit), ("2026-11-19T10:00:00Z", 7));
            }
        }
        let parameters = Parameters::read(Some("subject=user%3Aa+b"), &known);
        assert_eq!(parameters.take("subject").as_deref(), Some("user:a b"));
    }
}
