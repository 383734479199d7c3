//! Looking for decisions by any member of their records: `model=sim/free status>=400 user_agent~python`.
//!
//! What the store finds by an index narrows first; the rest is looked at record by record, as many as a page may take time
//! for, and those in which a wanted text does not stand are not even decoded.

mod fields;
mod parse;

use serde_json::Value;
use weir_core::record::Record;
use weir_store::database::{DecisionFilter, Look, Page};

use crate::console::Shared;
use crate::decisions::page_problem;
use crate::problem::Problem;

pub(crate) use fields::all as names;
pub(crate) use parse::parse;

/// The member with the rules that matched.
const MATCHED: &str = "matched";

/// How a value is compared.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Operator {
    Is,
    IsNot,
    Contains,
    AtLeast,
    AtMost,
    More,
    Less,
}

impl Operator {
    /// Longer ones first.
    const ALL: [(&'static str, Self); 7] = [
        ("!=", Self::IsNot),
        (">=", Self::AtLeast),
        ("<=", Self::AtMost),
        ("=", Self::Is),
        ("~", Self::Contains),
        (">", Self::More),
        ("<", Self::Less),
    ];
}

/// One condition on one member.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Term {
    /// The member's place in a record.
    path: &'static str,
    operator: Operator,
    value: String,
}

impl Term {
    fn holds(&self, record: &Value) -> bool {
        if self.path == MATCHED {
            return self.holds_of_rules(record);
        }
        match member(record, self.path) {
            Value::Array(items) if self.operator == Operator::IsNot => {
                items.iter().all(|item| self.compares(item))
            }
            Value::Array(items) => items.iter().any(|item| self.compares(item)),
            found => self.compares(found),
        }
    }

    /// The text that stands in every record for which it holds, if there is one.
    fn stored(&self) -> Option<String> {
        let finds = match self.operator {
            Operator::Is => true,
            // Letters beyond ASCII have cases of their own.
            Operator::Contains => self.value.is_ascii(),
            _ => false,
        };
        let is_text = self.path == MATCHED || fields::is_text(self.path);
        (finds && is_text && !self.value.is_empty()).then(|| self.value.clone())
    }

    /// Of the rules that matched, of the request's, the tool call's and the failures' alike, the id is compared; those
    /// in shadow are among them.
    fn holds_of_rules(&self, record: &Value) -> bool {
        let attempts = member(record, "result.failures").as_array().into_iter().flatten();
        let lists = std::iter::once(record).chain(attempts).filter_map(|of| of.get(MATCHED)?.as_array());
        let mut ids = lists.flatten().map(|matched| matched.get("rule").unwrap_or(&Value::Null));
        match self.operator {
            Operator::IsNot => ids.all(|id| self.compares(id)),
            _ => ids.any(|id| self.compares(id)),
        }
    }

    fn compares(&self, found: &Value) -> bool {
        let text = text(found);
        match self.operator {
            Operator::Is => text == self.value,
            Operator::IsNot => text != self.value,
            Operator::Contains => contains(&text, &self.value),
            ordered => {
                let (Some(found), Ok(wanted)) = (found.as_f64(), self.value.parse::<f64>()) else {
                    return false;
                };
                match ordered {
                    Operator::AtLeast => found >= wanted,
                    Operator::AtMost => found <= wanted,
                    Operator::More => found > wanted,
                    _ => found < wanted,
                }
            }
        }
    }
}

/// A record as it is searched: its outcome and rule are those that were enforced, as in the lists.
fn as_searched(record: &Record) -> Value {
    let mut value = serde_json::to_value(record).unwrap_or_default();
    if let (Some(members), (outcome, rule)) = (value.as_object_mut(), record.enforced()) {
        members.insert("outcome".to_owned(), outcome.into());
        members.insert("rule".to_owned(), rule.into());
    }
    value
}

/// In upper or lower case.
fn contains(text: &str, wanted: &str) -> bool {
    if wanted.is_ascii() {
        return text.to_ascii_lowercase().contains(&wanted.to_ascii_lowercase());
    }
    text.to_lowercase().contains(&wanted.to_lowercase())
}

fn text(value: &Value) -> String {
    match value {
        Value::Null => String::new(),
        Value::String(text) => text.clone(),
        other => other.to_string(),
    }
}

fn member<'v>(record: &'v Value, path: &str) -> &'v Value {
    path.split('.').fold(record, |value, name| value.get(name).unwrap_or(&Value::Null))
}

/// One page of the decisions for which the filter and all terms hold.
pub(crate) async fn find(
    console: &Shared,
    filter: &DecisionFilter,
    terms: &[Term],
) -> Result<Page<Record>, Problem> {
    let database = &console.parts.database;
    let holds = |record: &Record| {
        let value = as_searched(record);
        terms.iter().all(|term| term.holds(&value))
    };
    let texts: Vec<String> = terms.iter().filter_map(Term::stored).collect();
    let page = match terms {
        [] => database.decisions(filter).await,
        _ => database.search(filter, &Look { texts: &texts, condition: Some(&holds) }).await,
    };
    page.map_err(|error| page_problem(&error, filter.cursor.as_deref()))
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn terms_compare_texts_numbers_and_lists() {
        let record = json!({
            "result": {"status": 429, "error_type": null, "failures": [{"matched": [{"rule": "retry"}]}]},
            "matched": [{"rule": "slow", "mode": "enforce"}, {"rule": "spam", "mode": "shadow"}],
            "facts": {"request": {"model": "sim/free", "user_agent": "Python-requests/2", "free": true},
                      "identity": {"tags": ["a", "b"]}},
        });
        let table = [
            ("status=429", true),
            ("status>=400 status<500", true),
            ("status>429", false),
            ("model=sim/free", true),
            ("model!=sim/free", false),
            ("user_agent~python", true),
            ("free=true", true),
            ("error_type=\"\"", true),
            ("tags=b", true),
            ("tags=c", false),
            ("tags!=a", false),
            ("tags!=c", true),
            ("model>3", false),
            ("matched=slow", true),
            ("matched=spam", true),
            ("matched=retry", true),
            ("matched=other", false),
            ("matched!=spam", false),
            ("matched!=other", true),
            ("matched~spa", true),
            ("status=429 model=other", false),
        ];
        for (text, expected) in table {
            let terms = parse(text).unwrap();
            assert_eq!(terms.iter().all(|term| term.holds(&record)), expected, "{text}");
        }
    }
}
