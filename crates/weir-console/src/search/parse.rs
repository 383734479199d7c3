//! Reading what somebody looks for. Every fault says at which character it is, and what to type instead.

use super::fields::{check, near, path_of};
use super::{Operator, Term};

/// Conditions of one search.
const TERMS_MAX: usize = 20;
/// Characters of a name or a value that a message repeats.
const SHOWN_CHARS_MAX: usize = 40;
/// Characters of one search.
const CHARS_MAX: usize = 2_000;

/// Reads `name=value name>=value …`; a value with blanks stands in double quotes.
pub(crate) fn parse(text: &str) -> Result<Vec<Term>, String> {
    if text.chars().count() > CHARS_MAX {
        return Err(format!("it has more than {CHARS_MAX} characters"));
    }
    let mut terms = Vec::new();
    let mut rest = text.trim_start();
    while !rest.is_empty() {
        let column = text.chars().count() - rest.chars().count() + 1;
        let (term, after) = term(rest).map_err(|why| format!("at character {column}: {why}"))?;
        terms.push(term);
        if terms.len() > TERMS_MAX {
            return Err(format!("there may be {TERMS_MAX} conditions at most"));
        }
        rest = after.trim_start();
    }
    Ok(terms)
}

fn term(text: &str) -> Result<(Term, &str), String> {
    let end = text.find(|c: char| !(c.is_ascii_alphanumeric() || c == '_' || c == '.')).unwrap_or(text.len());
    let (name, rest) = text.split_at_checked(end).unwrap_or((text, ""));
    let shown = clipped(name);
    if name.is_empty() {
        return Err("the name of a field belongs here, as in model=sim/free".to_owned());
    }
    let found =
        Operator::ALL.into_iter().find_map(|(sign, operator)| Some((operator, rest.strip_prefix(sign)?)));
    let Some((operator, rest)) = found else {
        return Err(format!(
            "`{shown}` must be followed by one of = != ~ > >= < <= and a value, without blanks between"
        ));
    };
    let Some(path) = path_of(name) else {
        return Err(format!("there is no field `{shown}`; near are: {}", near(name).join(", ")));
    };
    let (value, rest) = value(rest)?;
    if matches!(operator, Operator::Is | Operator::IsNot) {
        check(path, &value).map_err(|why| format!("`{shown}` is never `{}`: {why}", clipped(&value)))?;
    }
    let is_ordered =
        matches!(operator, Operator::AtLeast | Operator::AtMost | Operator::More | Operator::Less);
    if is_ordered && value.parse::<f64>().is_err() {
        return Err(format!("`{shown}` is compared with a number here, and the value is none"));
    }
    Ok((Term { path, operator, value }, rest))
}

/// The begin of what was typed, for a message.
fn clipped(text: &str) -> String {
    text.chars().take(SHOWN_CHARS_MAX).collect()
}

fn value(text: &str) -> Result<(String, &str), String> {
    if let Some(quoted) = text.strip_prefix('"') {
        let (value, rest) = quoted.split_once('"').ok_or("the closing quote is missing")?;
        return Ok((value.to_owned(), rest));
    }
    let end = text.find(char::is_whitespace).unwrap_or(text.len());
    let (value, rest) = text.split_at_checked(end).unwrap_or((text, ""));
    if value.is_empty() {
        return Err("the value is missing; nothing at all is written as \"\"".to_owned());
    }
    Ok((value.to_owned(), rest))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_cannot_be_read_says_where_and_what_to_type() {
        let table = [
            ("status>=400 model=\"a b\" ip=1.2.3.4", Ok(3)),
            ("", Ok(0)),
            ("   ", Ok(0)),
            ("status>=high", Err("at character 1: `status` is compared with a number")),
            ("model=a statis=3", Err("at character 9: there is no field `statis`; near are: status")),
            ("model", Err("at character 1: `model` must be followed by one of")),
            ("model = a", Err("at character 1: `model` must be followed by one of")),
            ("=a", Err("at character 1: the name of a field belongs here")),
            ("model=\"a", Err("at character 1: the closing quote is missing")),
            ("model=", Err("at character 1: the value is missing")),
            (
                "outcome=blok",
                Err("at character 1: `outcome` is never `blok`: did you mean `block`? it must be one of"),
            ),
            ("outcome!=rate-limit boundary=tool source=fresh kind=user free=false", Ok(5)),
            ("free=ture", Err("at character 1: `free` is never `ture`: did you mean `true`?")),
            ("status=ok", Err("at character 1: `status` is never `ok`: it is a number")),
            ("status!=\"\" error_type=\"\"", Ok(2)),
            ("<script>", Err("at character 1: the name of a field")),
        ];
        for (text, expected) in table {
            match (parse(text), expected) {
                (Ok(terms), Ok(count)) => assert_eq!(terms.len(), count, "{text}"),
                (Err(why), Err(begin)) => assert!(why.starts_with(begin), "{text}: {why}"),
                (other, expected) => panic!("{text}: {other:?} and not {expected:?}"),
            }
        }
        assert!(parse(&"a".repeat(3000)).is_err());
        assert!(parse(&"status=1 ".repeat(21)).is_err());
    }
}
