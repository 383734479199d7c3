//! What names an account at a provider: identifiers of organisations, projects and users, keys with their middle masked,
//! cloud accounts, addresses of mail. With the platform's key they are the platform's, and no caller's business.

use std::borrow::Cow;
use std::ops::Range;

use super::PLACEHOLDER;

/// How such identifiers begin, as providers document them.
const PREFIXES: [&str; 16] = [
    "org-", "org_", "proj_", "proj-", "acct_", "acct-", "user-", "user_", "usr_", "team_", "team-",
    "wrkspc_", "tenant-", "cus_", "sub_", "apikey_",
];

/// How much follows a prefix at least, in bytes; `user-defined` is a word.
const REST_BYTES_MIN: usize = 6;

/// Words after which an account is named.
const NOUNS: [&str; 10] = [
    "organization",
    "organisation",
    "org",
    "project",
    "account",
    "tenant",
    "team",
    "workspace",
    "subscription",
    "user",
];

/// Words that only an error about the platform's own account has.
const OF_ACCOUNTS: [&str; 17] = [
    "organization",
    "organisation",
    "your account",
    "your project",
    "your team",
    "your plan",
    "your key",
    "your api key",
    "billing",
    "credit",
    "subscription",
    "workspace",
    "tenant",
    "pricing tier",
    "service tier",
    "your current quota",
    "your rate limit",
];

/// How many words may stand between a noun and the name: `project with number 123`.
const BETWEEN_MAX: usize = 2;

/// The text without what names an account.
///
/// ```
/// use weir_core::redact::without_accounts;
///
/// assert_eq!(without_accounts("Limit of organization org-a1B2c3D4e5 reached"), "Limit of organization [REDACTED] reached");
/// assert_eq!(without_accounts("a user-defined limit"), "a user-defined limit");
/// ```
#[must_use]
pub fn without_accounts(text: &str) -> Cow<'_, str> {
    let mut out = String::new();
    let mut written = 0;
    for found in names(text) {
        out.push_str(text.get(written..found.start).unwrap_or_default());
        out.push_str(PLACEHOLDER);
        written = found.end;
    }
    if written == 0 {
        return Cow::Borrowed(text);
    }
    out.push_str(text.get(written..).unwrap_or_default());
    Cow::Owned(out)
}

/// Whether a text tells of an account at all.
#[must_use]
pub fn tells_of_account(text: &str) -> bool {
    let lower = text.to_lowercase();
    OF_ACCOUNTS.iter().any(|words| lower.contains(words)) || !names(text).is_empty()
}

/// Where accounts are named.
fn names(text: &str) -> Vec<Range<usize>> {
    let mut found = Vec::new();
    // How many words may still come between the noun and its name.
    let mut awaits = 0;
    for range in tokens(text) {
        let token = text.get(range.clone()).unwrap_or_default();
        let named = awaits > 0 && is_identifier(token) && !is_json_number(text, &range);
        if named || is_prefixed(token) || is_masked(token) || is_arn(token) || is_mail(token) {
            found.push(range);
            awaits = 0;
        } else if NOUNS.iter().any(|noun| token.eq_ignore_ascii_case(noun)) {
            awaits = BETWEEN_MAX + 1;
        } else {
            awaits = awaits.saturating_sub(1);
        }
    }
    found
}

/// Runs of what identifiers are made of; a mark at the end of a sentence is none of it.
fn tokens(text: &str) -> impl Iterator<Item = Range<usize>> {
    let is_part = |c: char| c.is_alphanumeric() || "-_*.@:/+…".contains(c);
    let mut at = 0;
    std::iter::from_fn(move || {
        let rest = text.get(at..)?;
        let start = at + rest.find(is_part)?;
        let run = text.get(start..)?;
        let length = run.find(|c| !is_part(c)).unwrap_or(run.len());
        at = start + length;
        let token = run.get(..length)?.trim_end_matches(['.', ':', '/']);
        Some(start..start + token.len())
    })
}

/// An identifier after a noun: it has a digit. `organization limit` has none.
fn is_identifier(token: &str) -> bool {
    token.contains(|c: char| c.is_ascii_digit()) && !token.contains("://")
}

/// Whether it stands where JSON has a number, in the place of which no text may stand.
fn is_json_number(text: &str, range: &Range<usize>) -> bool {
    let bare =
        text.get(range.clone()).is_some_and(|token| token.bytes().all(|b| b.is_ascii_digit() || b == b'.'));
    bare && text.get(..range.start).is_some_and(|before| before.trim_end().ends_with([':', '[', ',']))
}

fn is_prefixed(token: &str) -> bool {
    let lower = token.to_ascii_lowercase();
    PREFIXES.iter().any(|prefix| {
        let rest = lower.strip_prefix(prefix).map_or("", |_| token.get(prefix.len()..).unwrap_or_default());
        let has = |test: fn(&u8) -> bool| rest.bytes().any(|byte| test(&byte));
        let mixed = has(u8::is_ascii_uppercase) && has(u8::is_ascii_lowercase);
        rest.len() >= REST_BYTES_MIN && (has(u8::is_ascii_digit) || mixed)
    })
}

/// A key of which the middle is masked, as in `sk-ab***cd` and `sk-...abcd`.
fn is_masked(token: &str) -> bool {
    ["**", "...", "…"].iter().any(|mask| {
        let Some((before, after)) = token.split_once(mask) else { return false };
        let after = after.trim_start_matches(['*', '.', '…']);
        before.contains(char::is_alphanumeric)
            && after.chars().take(2).filter(|c| c.is_alphanumeric()).count() == 2
    })
}

fn is_arn(token: &str) -> bool {
    token.starts_with("arn:aws")
}

fn is_mail(token: &str) -> bool {
    token
        .split_once('@')
        .is_some_and(|(name, host)| !name.is_empty() && host.contains('.') && !host.contains('@'))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn accounts_are_not_named() {
        let table = [
            (
                "in organization org-a1B2c3D4e5F6 on tokens per min",
                "in organization [REDACTED] on tokens per min",
            ),
            ("in organization `org_01hq3` service tier", "in organization `[REDACTED]` service tier"),
            (
                "API has not been used in project 8134 before",
                "API has not been used in project [REDACTED] before",
            ),
            ("project with number 8134", "project with number [REDACTED]"),
            ("Your team 7f1c-22 has used", "Your team [REDACTED] has used"),
            ("Incorrect API key provided: sk-pro***abcd.", "Incorrect API key provided: [REDACTED]."),
            ("key sk-...wxyz is wrong", "key [REDACTED] is wrong"),
            ("User: arn:aws:iam::123456789012:user/app is not", "User: [REDACTED] is not"),
            ("owned by ops@example.com", "owned by [REDACTED]"),
            ("for user-9aK2mQ7z", "for [REDACTED]"),
            ("a user-defined org-level team-based limit", "a user-defined org-level team-based limit"),
            (
                "{\"project\": 8134, \"text\": \"of project 8134\"}",
                "{\"project\": 8134, \"text\": \"of project [REDACTED]\"}",
            ),
            ("wait... then 2 more ** stars **", "wait... then 2 more ** stars **"),
            ("see https://example.com/v1/models", "see https://example.com/v1/models"),
            ("", ""),
        ];
        for (text, expected) in table {
            assert_eq!(without_accounts(text), expected);
        }
    }

    #[test]
    fn what_tells_of_an_account_is_known() {
        for text in
            ["You exceeded your current quota", "Upgrade at the BILLING page", "limit of org-a1B2c3D4"]
        {
            assert!(tells_of_account(text), "{text}");
        }
        for text in ["The model `x` does not exist", "Rate limit reached.", "Internal error 17"] {
            assert!(!tells_of_account(text), "{text}");
        }
    }
}
