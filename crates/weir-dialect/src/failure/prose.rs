//! Words around and within errors: what in them is no evidence is replaced by what it was.
//!
//! An address becomes `<url>`, one of a private network `<private-url>`, a file `<path>`, an identifier `<id>`. Stack
//! frames are dropped.

use std::net::IpAddr;

/// What stands for an address of a private network.
pub(super) const PRIVATE_URL: &str = "<private-url>";

/// How much of a text is read, in bytes: of a longer one the beginning and the end.
const HEAD_BYTES_MAX: usize = 16 * 1024;
const TAIL_BYTES_MAX: usize = 4 * 1024;

/// How long an exception's name may be, in bytes; anything longer was made up.
const CLASS_BYTES_MAX: usize = 128;

/// Words without what is no evidence.
#[derive(Debug, Default, PartialEq)]
pub(super) struct Clean {
    /// The words, one blank between them.
    pub(super) text: String,
    /// The name of the last exception in them.
    pub(super) class: Option<String>,
}

/// Cleans words. The names of exceptions are dropped where they only wrap what was read already.
pub(super) fn clean(text: &str, drop_classes: bool) -> Clean {
    let mut clean = Clean::default();
    let (head, tail) = window(text);
    for part in [head, tail] {
        let mut after_frame = false;
        for line in part.lines() {
            let trimmed = line.trim();
            let frame = is_frame(trimmed);
            // Python shows the frame's source below it.
            if !frame && !after_frame {
                words(&mut clean, trimmed, drop_classes);
            }
            after_frame = frame && trimmed.starts_with("File \"");
        }
    }
    clean
}

fn window(text: &str) -> (&str, &str) {
    if text.len() <= HEAD_BYTES_MAX + TAIL_BYTES_MAX {
        return (text, "");
    }
    let head = text.get(..text.floor_char_boundary(HEAD_BYTES_MAX)).unwrap_or_default();
    let tail = text.get(text.ceil_char_boundary(text.len() - TAIL_BYTES_MAX)..).unwrap_or_default();
    (head, tail)
}

/// Whether a line is a frame of a stack.
fn is_frame(line: &str) -> bool {
    let js = line.starts_with("at ")
        && ((line.ends_with(')') && line.contains(" (")) || line.contains(".js:") || line.contains(".ts:"));
    let python = line.starts_with("File \"") && line.contains(", line ");
    let other = line.starts_with("Traceback (most recent") || line.starts_with("goroutine ");
    js || python || other
}

fn words(clean: &mut Clean, line: &str, drop_classes: bool) {
    let mut id_follows = 0_u8;
    let mut last = "";
    for word in line.split_whitespace() {
        let bare = word.trim_matches(|c: char| c.is_ascii_punctuation() && c != '/' && c != '<' && c != '>');
        let names_id = bare.eq_ignore_ascii_case("id")
            && ["request", "trace", "correlation", "req"].contains(&&*lower(last));
        let class = class_of(bare);
        if let Some(class) = class {
            clean.class = Some(class.to_owned());
        }
        if class.is_some() && drop_classes {
            last = bare;
            continue;
        }
        if !clean.text.is_empty() {
            clean.text.push(' ');
        }
        match replaced(bare, word, id_follows > 0) {
            Some((before, what, after)) => {
                plain(&mut clean.text, before);
                clean.text.push_str(what);
                plain(&mut clean.text, after);
            }
            None => plain(&mut clean.text, word),
        }
        id_follows = if names_id || is_id_name(bare) { 1 } else { id_follows.saturating_sub(1) };
        last = bare;
    }
}

fn lower(word: &str) -> String {
    word.trim_start_matches('(').to_ascii_lowercase()
}

fn is_id_name(bare: &str) -> bool {
    if bare.len() < 6 || !bare.as_bytes().ends_with(b"d") && !bare.as_bytes().ends_with(b"D") {
        return false;
    }
    ["request_id", "requestid", "request-id", "x-request-id", "trace_id", "traceid", "req_id"]
        .iter()
        .any(|name| bare.eq_ignore_ascii_case(name))
}

/// A word without typographic quotes.
fn plain(out: &mut String, word: &str) {
    if word.is_ascii() && !word.contains('\0') {
        return out.push_str(word);
    }
    out.extend(word.chars().map(|c| match c {
        '\u{2018}' | '\u{2019}' => '\'',
        '\u{201c}' | '\u{201d}' => '"',
        '\u{2011}' => '-',
        '\0' => ' ',
        other => other,
    }));
}

/// What a word is replaced by, with what stands before and behind it.
fn replaced<'w>(bare: &'w str, word: &'w str, is_id: bool) -> Option<(&'w str, &'static str, &'w str)> {
    if let Some(at) = word.find("://").filter(|at| *at > 0) {
        let begin =
            word.get(..at)?.rfind(|c: char| !c.is_ascii_alphanumeric() && c != '-').map_or(0, |at| at + 1);
        let rest = word.get(begin..)?;
        let end = rest.find(['"', '\'', '`', ')', ']', '>', '}', ',', ' ']).unwrap_or(rest.len());
        let url = rest.get(..end)?;
        let what = if is_private_url(url) { PRIVATE_URL } else { "<url>" };
        return Some((word.get(..begin)?, what, rest.get(end..)?));
    }
    if let Some(host) = private_host_in(word) {
        let at = word.find(host)?;
        return Some((word.get(..at)?, PRIVATE_URL, word.get(at + host.len()..)?));
    }
    let at = word.find(bare)?;
    let (before, after) = (word.get(..at)?, word.get(at + bare.len()..)?);
    if is_path(bare) {
        return Some((before, "<path>", after));
    }
    ((is_id && bare.len() >= 4) || looks_like_id(bare)).then_some((before, "<id>", after))
}

/// Whether a URL leads into one's own network.
pub(super) fn is_private_url(url: &str) -> bool {
    url.split_once("://").is_some_and(|(_, rest)| {
        let authority = rest.split(['/', '?', '#']).next().unwrap_or_default();
        let host = authority.rsplit('@').next().unwrap_or_default();
        // A name without a dot is of a container's or a company's own network.
        let name = host.split(':').next().unwrap_or_default();
        is_private_host(host)
            || (!name.is_empty()
                && !name.contains(['.', '['])
                && name.chars().all(|c| c.is_alphanumeric() || c == '-'))
    })
}

/// A host of a private network within a word, such as `127.0.0.1:8080:` or `pool(host='localhost',`.
fn private_host_in(word: &str) -> Option<&str> {
    if !word.contains([':', '.']) && !word.contains("localhost") {
        return None;
    }
    let parts = word.split(|c: char| !c.is_ascii_alphanumeric() && !".:-[]".contains(c));
    let hosts = parts.map(|part| part.trim_matches(['.', '-', '[', ']']).trim_end_matches(':'));
    hosts.filter(|host| host.contains(['.', ':']) || *host == "localhost").find(|host| is_private_host(host))
}

/// Whether a host, with or without a port, is of one's own network: loopback, private, link-local, or a name that no
/// public server has.
fn is_private_host(host: &str) -> bool {
    let name = match host.strip_prefix('[') {
        Some(rest) => rest.split(']').next().unwrap_or_default(),
        None if host.matches(':').count() > 1 => host,
        None => host.split(':').next().unwrap_or_default(),
    };
    // Node writes a port behind an IPv6 address without brackets.
    if name == "::1" || name.starts_with("::1:") {
        return true;
    }
    match name.parse() {
        Ok(IpAddr::V4(v4)) => {
            v4.is_loopback() || v4.is_private() || v4.is_link_local() || v4.is_unspecified()
        }
        Ok(IpAddr::V6(v6)) => v6.is_loopback() || v6.is_unique_local() || v6.is_unicast_link_local(),
        Err(_) => {
            let name = name.to_ascii_lowercase();
            name == "localhost"
                || [".local", ".internal", ".localhost", ".lan", ".home.arpa", ".svc"]
                    .iter()
                    .any(|end| name.ends_with(end))
        }
    }
}

fn is_path(word: &str) -> bool {
    let unix = word.starts_with('/') && word.matches('/').count() >= 2;
    let home = word.starts_with("~/");
    let windows =
        word.as_bytes().get(1..3) == Some(b":\\") && word.starts_with(|c: char| c.is_ascii_alphabetic());
    unix || home || windows
}

const ID_PREFIXES: &[&str] = &[
    "req_",
    "request_",
    "chatcmpl-",
    "resp_",
    "msg_",
    "org-",
    "proj_",
    "user_",
    "call_",
    "toolu_",
    "sess_",
    "sk-",
    "rs_",
];

/// Whether a word is an identifier: it begins as one, is a UUID, or a long row of digits or of digits and letters.
fn looks_like_id(word: &str) -> bool {
    if word.len() < 12 {
        return false;
    }
    let all = |is: fn(&u8) -> bool| word.as_bytes().iter().all(is);
    let digits = word.bytes().filter(u8::is_ascii_digit).count();
    let prefixed =
        word.len() >= 12 && digits > 0 && ID_PREFIXES.iter().any(|prefix| word.starts_with(prefix));
    let uuid = word.len() == 36
        && word.bytes().filter(|b| *b == b'-').count() == 4
        && all(|b| b.is_ascii_hexdigit() || *b == b'-');
    let hex = word.len() >= 16 && digits > 0 && all(u8::is_ascii_hexdigit);
    let number = word.len() >= 12 && all(u8::is_ascii_digit);
    let mixed = word.len() >= 24 && digits > 2 && digits < word.len() && all(u8::is_ascii_alphanumeric);
    prefixed || uuid || hex || number || mixed
}

/// The name of an exception, without its module.
fn class_of(word: &str) -> Option<&str> {
    if !word.ends_with("Error") && !word.ends_with("Exception") {
        return None;
    }
    let name = word.rsplit('.').next().unwrap_or(word);
    let is_class = name.len() > "Exception".len()
        && name.len() <= CLASS_BYTES_MAX
        && name.starts_with(|c: char| c.is_ascii_uppercase())
        && name.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'_');
    is_class.then_some(name)
}

/// The provider that a text names in front of `API error`: `acme API error (401 …)`.
pub(super) fn named_provider(text: &str) -> Option<&str> {
    let at = text.find(" API error")?;
    let before = text.get(..at)?;
    let before =
        before.strip_suffix(" streaming").or_else(|| before.strip_suffix(" Responses")).unwrap_or(before);
    let name = before.split([' ', '\n', '"', '\'']).next_back()?;
    (!name.is_empty() && name.len() <= 64 && name.chars().all(|c| c.is_alphanumeric() || "_-.".contains(c)))
        .then_some(name)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_no_evidence_is_replaced() {
        let table = [
            ("see https://a.example/429?x=1 for 429", "see <url> for 429"),
            ("for url (http://172.30.30.50:11434/api/chat)", "for url (<private-url>)"),
            ("connect ECONNREFUSED ::1:11434", "connect ECONNREFUSED <private-url>"),
            ("Pool(host='localhost', port=1)", "Pool(host='<private-url>', port=1)"),
            ("http://ollama:11434/api", "<private-url>"),
            ("host.docker.internal:11434", "<private-url>"),
            ("ratio 10.5:1 and 1.2.3", "ratio 10.5:1 and 1.2.3"),
            ("dial tcp 127.0.0.1:8080: connect", "dial tcp <private-url>: connect"),
            ("at [https://a.example/x](vscode-file://y/z)", "at [<url>](vscode-file://y/z)"),
            ("file not found at /tmp/x.json", "file not found at <path>"),
            ("the model `/data/Qwen1.5` does not exist", "the model `<path>` does not exist"),
            ("(request id: 2024082422180041399148142260998)", "(request id: <id>)"),
            ("ID e5c949c8ec2c86be225544e5eefcbe4d in", "ID <id> in"),
            ("isn\u{2019}t  \n supported", "isn't supported"),
            ("claude-3-7-sonnet-20250219-v1:0 n/a", "claude-3-7-sonnet-20250219-v1:0 n/a"),
            ("boom\n    at nt (/home/x/cli.js:429:11)\nend", "boom end"),
            (
                "Traceback (most recent call last):\n  File \"/x.py\", line 429, in f\n    raise RateLimit()\nend",
                "end",
            ),
        ];
        for (text, expected) in table {
            assert_eq!(clean(text, false).text, expected, "{text}");
        }
    }

    #[test]
    fn exceptions_are_named_and_dropped() {
        let text = "openai.PermissionDeniedError: Error code: 403";
        assert_eq!(clean(text, false).text, text);
        let dropped = clean(text, true);
        assert_eq!(
            (dropped.text.as_str(), dropped.class.as_deref()),
            ("Error code: 403", Some("PermissionDeniedError"))
        );
    }

    #[test]
    fn the_provider_of_a_wrapped_text_is_found() {
        let table = [
            ("OpenHuman API error (401 Unauthorized): x", Some("OpenHuman")),
            ("agent turn failed: acme streaming API error (500): x", Some("acme")),
            ("acme Responses API error: x", Some("acme")),
            ("API error: x", None),
        ];
        for (text, expected) in table {
            assert_eq!(named_provider(text), expected, "{text}");
        }
    }
}
