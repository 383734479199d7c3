//! What a caller is told of JSON that cannot be read: the member, what belongs there, and what to do.
//!
//! The parser's own words name Rust's types and repeat the value, which may be a prompt or a key. Here they are read
//! and said again; of what is found only its kind is told.

use serde_json::Error;

use crate::problem::Fault;

/// What the parser says, in words for the caller. `path` is the member that it was at.
pub(crate) fn fault(path: Option<String>, error: &Error) -> Fault {
    let told = error.to_string();
    let told = told.rsplit_once(" at line ").map_or(told.as_str(), |(words, _)| words);
    let told = if error.is_data() { data(told) } else { syntax(told) };
    // The parser puts `?` where it had not read a name yet.
    let path = path.filter(|path| !path.split('.').any(|name| name == "?"));
    let path = match told.member {
        Some(member) => Some(below(path, member)),
        None => path,
    };
    Fault { path, message: told.message, help: told.help, ..Fault::default() }
}

/// The parts of a fault.
struct Told<'t> {
    message: String,
    help: Option<String>,
    /// The member that it is about, where that lies below the one that the parser was at.
    member: Option<&'t str>,
}

fn told<'t>(message: impl Into<String>, help: impl Into<String>) -> Told<'t> {
    Told { message: message.into(), help: Some(help.into()), member: None }
}

fn below(path: Option<String>, member: &str) -> String {
    path.map_or_else(|| member.to_owned(), |path| format!("{path}.{member}"))
}

/// JSON whose members are not as they should be.
fn data(words: &str) -> Told<'_> {
    if let Some(member) = words.strip_prefix("missing field ").and_then(quoted) {
        let help = "give it: the description at /api/openapi.json says what belongs there";
        return Told { member: Some(member), ..told("this member is missing", help) };
    }
    if let Some(rest) = words.strip_prefix("unknown field ") {
        return told("there is no such member", known("known members", rest));
    }
    if let Some(member) = words.strip_prefix("duplicate field ").and_then(quoted) {
        return Told { member: Some(member), ..told("this member is given twice", "keep one of them") };
    }
    if words.starts_with("invalid length ") {
        return told("this list has not as many items as belong here", "perhaps an object is meant: `{…}`");
    }
    if let Some(rest) = words.strip_prefix("unknown variant ") {
        return told("this is none of the words that are known here", known("write one of", rest));
    }
    if let Some((found, expected)) = words.strip_prefix("invalid type: ").and_then(found_and_expected) {
        return told(format!("expected {expected}, found {}", kind(found)), format!("send {expected}"));
    }
    if let Some((_, expected)) = words.strip_prefix("invalid value: ").and_then(found_and_expected) {
        return told(
            format!("the value is out of its range: expected {expected}"),
            format!("send {expected}"),
        );
    }
    told("this value cannot be read", "the description at /api/openapi.json says what belongs here")
}

/// What is no JSON.
fn syntax(words: &str) -> Told<'_> {
    let help = "mend the JSON at this line and column";
    if words.starts_with("EOF while parsing") {
        return told("the JSON ends too early", "send it whole: a bracket, a brace or a quote is still open");
    }
    match words {
        "trailing comma" => told("a comma stands before the end of a list or an object", "remove it"),
        "trailing characters" => told("something follows the end of the JSON", "send one value only"),
        "key must be a string" => told("a member's name is no text in quotes", "put it in double quotes"),
        "expected value" => told("a value is missing, or is none that may stand here", help),
        "recursion limit exceeded" => {
            told("lists and objects lie too deep in one another", "send less depth")
        }
        "number out of range" => told("a number is too large", help),
        _ if words.starts_with("control character") => {
            told("a text holds a control character as it is", "write it as an escape, such as `\\n`")
        }
        _ if words.starts_with("expected ") => told(format!("{words} here"), help),
        _ => told("this is no JSON", help),
    }
}

/// What stands between the first pair of backticks.
fn quoted(words: &str) -> Option<&str> {
    words.strip_prefix('`')?.split_once('`').map(|(quoted, _)| quoted)
}

/// The words that the parser lists after `expected`, without its own.
fn known(introduction: &str, words: &str) -> String {
    let (_, listed) = words.rsplit_once(", expected ").unwrap_or(("", ""));
    let listed = listed.strip_prefix("one of ").unwrap_or(listed);
    if listed.is_empty() {
        "remove it: none is known here".to_owned()
    } else {
        format!("{introduction}: {listed}")
    }
}

fn found_and_expected(words: &str) -> Option<(&str, String)> {
    let (found, expected) = words.rsplit_once(", expected ")?;
    Some((found, in_words(expected)))
}

/// What the parser expected, without the names of Rust's types.
fn in_words(expected: &str) -> String {
    match expected {
        "a string" => "a text",
        "a boolean" => "`true` or `false`",
        "a sequence" => "a list",
        "u8" | "u16" | "u32" | "u64" | "usize" => "a whole number, 0 or above",
        "i8" | "i16" | "i32" | "i64" | "isize" => "a whole number",
        "f32" | "f64" => "a number",
        "a map" => "an object",
        "unit" => "null",
        "a timestamp string" => "a time such as `2026-11-20T10:00:00Z`",
        named if named.starts_with("struct ") || named.starts_with("internally tagged enum ") => "an object",
        named if named.starts_with("string or ") => "a text",
        other => other,
    }
    .to_owned()
}

/// What kind of value was found; the value itself is not repeated.
fn kind(found: &str) -> &'static str {
    const KINDS: [(&str, &str); 8] = [
        ("string", "a text"),
        ("integer", "a whole number"),
        ("floating point", "a number"),
        ("number", "a number"),
        ("boolean", "a boolean"),
        ("sequence", "a list"),
        ("map", "an object"),
        ("null", "null"),
    ];
    KINDS.into_iter().find(|(word, _)| found.starts_with(word)).map_or("something else", |(_, kind)| kind)
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use serde::Deserialize;

    use crate::extract::parse_json;

    #[derive(Debug, Deserialize)]
    #[serde(deny_unknown_fields)]
    #[allow(dead_code, reason = "only reading it is under test")]
    struct Probe {
        count: u8,
        share: Option<f64>,
        word: Option<Word>,
        at: Option<jiff::Timestamp>,
        flags: Option<Vec<bool>>,
        inner: Option<Inner>,
        names: Option<BTreeMap<String, String>>,
    }

    #[derive(Debug, Deserialize)]
    #[allow(dead_code, reason = "only reading it is under test")]
    struct Inner {
        user: String,
    }

    #[derive(Debug, Deserialize)]
    #[serde(rename_all = "lowercase")]
    enum Word {
        One,
        Two,
    }

    /// What each text is told: path, message, help. No Rust type, and never the value.
    #[test]
    fn what_cannot_be_read_names_the_member_what_belongs_there_and_the_way_out() {
        let seen: Vec<String> = [
            "{}",
            "{\"count\": 1, \"inner\": {}}",
            "{\"count\": 1, \"conut\": 2}",
            "{\"count\": 1, \"count\": 2}",
            "{\"count\": \"s3cret, expected nothing\"}",
            "{\"count\": 300}",
            "{\"count\": -1}",
            "{\"count\": 1.5}",
            "{\"count\": null}",
            "{\"count\": 1, \"share\": true}",
            "{\"count\": 1, \"word\": \"s3cret\"}",
            "{\"count\": 1, \"word\": 7}",
            "{\"count\": 1, \"at\": \"s3cret\"}",
            "{\"count\": 1, \"at\": 5}",
            "{\"count\": 1, \"flags\": [true, \"s3cret\"]}",
            "{\"count\": 1, \"flags\": {}}",
            "{\"count\": 1, \"inner\": 7}",
            "{\"count\": 1, \"inner\": \"s3cret\"}",
            "{\"count\": 1, \"names\": {\"a\": 1}}",
            "[]",
            "s3cret",
            "",
            "{\"count\": 1",
            "{\"count\": 1,}",
            "{\"count\": 1} x",
            "{count: 1}",
            "{\"count\" 1}",
            "{\"count\": 1 \"share\": 2}",
            "{\"names\": {\"a\": \"\n\"}}",
            "{\"names\": {\"a\": \"\\x\"}}",
            "{\"share\": 1e999}",
        ]
        .iter()
        .map(|text| {
            let problem = parse_json::<Probe>(text.as_bytes()).map(|_| ()).unwrap_err();
            let fault = &problem.errors()[0];
            let (path, help) = (fault.path.as_deref().unwrap_or("-"), fault.help.as_deref().unwrap_or("-"));
            format!("{text:?}\n  {path}: {}\n  = {help}\n", fault.message)
        })
        .collect();
        let seen = seen.join("\n");
        let told: String = seen.lines().filter(|line| line.starts_with("  ")).collect();
        for word in ["s3cret", "u8", "f64", "struct", "variant", "field", "sequence"] {
            assert!(!told.contains(word), "`{word}` is told: {seen}");
        }
        insta::assert_snapshot!(seen);
    }
}
