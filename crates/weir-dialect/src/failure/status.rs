//! HTTP statuses that a text names. A number is one only where the words around it say so.

/// The reason phrases that servers send behind a status, in lower case.
const REASONS: &[(u16, &[&str])] = &[
    (400, &["bad request"]),
    (401, &["unauthorized", "unauthorised", "authorization required"]),
    (402, &["payment required"]),
    (403, &["forbidden"]),
    (404, &["not found", "page not found"]),
    (405, &["method not allowed"]),
    (408, &["request timeout", "request time-out"]),
    (409, &["conflict"]),
    (413, &["payload too large", "request entity too large", "content too large", "request too large"]),
    (415, &["unsupported media"]),
    (422, &["unprocessable"]),
    (429, &["too many requests", "rate limit"]),
    (500, &["internal server error", "internal error"]),
    (502, &["bad gateway", "proxy error"]),
    (503, &["service unavailable", "service temporarily unavailable", "backend fetch failed"]),
    (504, &["gateway timeout", "gateway time-out"]),
    (520, &["web server returned", "web server is returning", "unknown error"]),
    (521, &["web server is down"]),
    (522, &["connection timed out"]),
    (523, &["origin is unreachable"]),
    (524, &["a timeout occurred"]),
    (525, &["ssl handshake failed"]),
    (529, &["overloaded", "site is overloaded"]),
];

/// What stands right before a status.
const ANCHORS: &[&str] = &[
    "status",
    "code",
    "http",
    "error",
    "returned",
    "rejected",
    "http/1.1",
    "http/1.0",
    "http/2",
    "http/2.0",
    "http/3",
    "exception",
    "response",
    "failed",
    "got",
    "received",
    "statuscode",
    "status_code",
    "fehler",
    "erreur",
    "código",
    "状态码",
    "错误码",
    "错误",
    "エラー",
    "ошибка",
    "статус",
    "오류",
];

/// What is counted rather than a status.
const UNITS: &[&str] = &[
    "token", "char", "request", "second", "ms", "byte", "mb", "kb", "item", "message", "image", "time", "%",
];

/// The last status that a text names, which is in lower case.
pub(super) fn in_prose(lower: &str) -> Option<u16> {
    numbers(lower).filter(|(at, status)| is_named(lower, *at, *status)).map(|(_, status)| status).last()
}

/// The first status in a title or headline of a page, where no other number is expected.
pub(super) fn in_headline(lower: &str) -> Option<u16> {
    numbers(lower).map(|(_, status)| status).next()
}

/// Numbers of three digits from 400 to 599 that stand alone, with their places.
fn numbers(lower: &str) -> impl Iterator<Item = (usize, u16)> {
    let bytes = lower.as_bytes();
    let joins = |b: &u8| b.is_ascii_alphanumeric() || b"_.,-/".contains(b);
    memchr::memchr2_iter(b'4', b'5', bytes).filter_map(move |at| {
        let number = bytes.get(at..at + 3).filter(|digits| digits.iter().all(u8::is_ascii_digit))?;
        let before = at.checked_sub(1).and_then(|before| bytes.get(before));
        if before.is_some_and(joins) {
            return None;
        }
        let (next, after) = (bytes.get(at + 3), bytes.get(at + 4));
        let ends = match next {
            None => true,
            Some(b'.' | b',' | b'-' | b'/') => after.is_none_or(|after| !after.is_ascii_alphanumeric()),
            Some(next) => !(next.is_ascii_alphanumeric() || *next == b'_'),
        };
        let status = std::str::from_utf8(number).ok()?.parse().ok()?;
        ends.then_some((at, status))
    })
}

fn is_named(lower: &str, at: usize, status: u16) -> bool {
    let before = lower.get(..at).unwrap_or_default();
    let after = lower.get(at + 3..).unwrap_or_default();
    let next = after.trim_start_matches([' ', ':', '-', '|', ',', '"', '\'', ')']);
    let reasons =
        REASONS.iter().find(|(of, _)| *of == status).map_or(&[] as &[&str], |(_, reasons)| *reasons);
    if reasons.iter().any(|reason| next.starts_with(reason)) {
        return true;
    }
    if UNITS.iter().any(|unit| next.starts_with(unit)) {
        return false;
    }
    is_beginning(before) || is_anchored(before)
}

/// Whether nothing but signs, or a name in brackets, stands before.
fn is_beginning(before: &str) -> bool {
    let before = before.trim_start_matches(|c: char| !c.is_alphanumeric() && c != '[');
    let rest = match before.strip_prefix('[').and_then(|tag| tag.split_once(']')) {
        Some((tag, rest)) if tag.len() <= 64 => rest,
        _ => before,
    };
    rest.trim_matches(|c: char| !c.is_alphanumeric()).is_empty()
}

fn is_anchored(before: &str) -> bool {
    let word =
        before.trim_end_matches([' ', ':', '=', '(', '[', '<', '{', '\'', '"', '`', '#', '：', '（', '-']);
    let gap = before.len() - word.len();
    gap > 0 && gap <= 6 && ANCHORS.iter().any(|anchor| ends_with_word(word, anchor))
}

fn ends_with_word(text: &str, word: &str) -> bool {
    text.strip_suffix(word).is_some_and(|rest| {
        !word.is_ascii() || rest.chars().next_back().is_none_or(|c| !c.is_ascii_lowercase())
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_are_statuses_where_the_words_say_so() {
        let table: &[(&str, Option<u16>)] = &[
            ("openai api error (403 forbidden): x", Some(403)),
            ("api error (403): x", Some(403)),
            ("error code: 429 - ", Some(429)),
            ("529 overloaded", Some(529)),
            ("429 ", Some(429)),
            ("[openai] 403 kimi", Some(403)),
            ("oai compatible api error: [403] forbidden", Some(403)),
            ("请求失败，状态码: 400,内容: ", Some(400)),
            ("request rejected (429) - usage", Some(429)),
            ("failed with status 500", Some(500)),
            ("unexpected status 413 payload too large:", Some(413)),
            ("api.dify.ai | 524: a timeout occurred", Some(524)),
            ("client error '404 not found' for", Some(404)),
            ("first http 502 then http 429", Some(429)),
            ("http error: 5023", None),
            ("see runbook for 504 handling at <url>", None),
            ("request 14290 failed to generate", None),
            ("exit status 2", None),
            ("error: 500 tokens requested", None),
            ("model gpt-429 is gone", None),
            ("limit 429, used 3", None),
            ("error 4.429s", None),
            ("in 5000 ms", None),
        ];
        for (text, expected) in table {
            assert_eq!(in_prose(text), *expected, "{text}");
        }
    }
}
