//! Pages of proxies and web servers: their titles and headlines are the error, the rest is decoration.

/// The line of evidence that something is a page at all.
pub(super) const MARK: &str = "<html>";

/// What a page says.
const TELLING_TAGS: &[&str] = &["title", "h1", "h2", "pre", "p"];

/// How many tags of one kind are read.
const TAGS_MAX: usize = 8;

/// How much of a page is read, in bytes.
const PAGE_BYTES_MAX: usize = 64 * 1024;

const STARTS: &[&str] = &["!doctype", "html", "head", "title", "body", "center", "h1", "div", "?xml"];

/// Where a page begins in a text.
pub(super) fn start(text: &str) -> Option<usize> {
    memchr::memchr_iter(b'<', text.as_bytes()).take(256).find(|at| {
        let tag = text.as_bytes().get(at + 1..).unwrap_or_default();
        STARTS.iter().any(|name| {
            let is_tag = tag.get(..name.len()).is_some_and(|tag| tag.eq_ignore_ascii_case(name.as_bytes()));
            is_tag && tag.get(name.len()).is_none_or(|next| !next.is_ascii_alphanumeric())
        })
    })
}

/// The titles and headlines of a page; where it has none, all its words.
pub(super) fn words(page: &str) -> Vec<String> {
    let page = page.get(..page.floor_char_boundary(PAGE_BYTES_MAX)).unwrap_or_default();
    let lower = page.to_ascii_lowercase();
    let mut found = Vec::new();
    for tag in TELLING_TAGS {
        found.extend(contents(page, &lower, tag).into_iter().map(stripped).filter(|words| !words.is_empty()));
    }
    if found.is_empty() {
        let body = without(&without(page, "script"), "style");
        found.extend(Some(stripped(&body)).filter(|words| !words.is_empty()));
    }
    found.dedup();
    found
}

/// What stands within the tags of one kind.
fn contents<'p>(page: &'p str, lower: &str, tag: &str) -> Vec<&'p str> {
    let (open, close) = (format!("<{tag}"), format!("</{tag}"));
    let mut found = Vec::new();
    let mut at = 0;
    while found.len() < TAGS_MAX {
        let Some(begin) = lower.get(at..).and_then(|rest| rest.find(&open)) else { break };
        at += begin + open.len();
        let rest = lower.get(at..).unwrap_or_default();
        if !rest.starts_with(['>', ' ', '\n', '\t', '\r']) {
            continue;
        }
        let Some(inside) = rest.find('>') else { break };
        at += inside + 1;
        let length = lower.get(at..).map_or(0, |rest| rest.find(&close).unwrap_or(rest.len()));
        found.push(page.get(at..at + length).unwrap_or_default());
        at += length;
    }
    found
}

/// A page without the elements of one kind.
fn without(page: &str, tag: &str) -> String {
    let mut out = String::new();
    let lower = page.to_ascii_lowercase();
    let (open, close) = (format!("<{tag}"), format!("</{tag}>"));
    let mut at = 0;
    while let Some(begin) = lower.get(at..).and_then(|rest| rest.find(&open)) {
        out.push_str(page.get(at..at + begin).unwrap_or_default());
        at += begin;
        at += lower.get(at..).map_or(0, |rest| rest.find(&close).map_or(rest.len(), |end| end + close.len()));
    }
    out.push_str(page.get(at..).unwrap_or_default());
    out
}

/// A text without tags and entities.
fn stripped(text: impl AsRef<str>) -> String {
    let mut out = String::new();
    let mut in_tag = false;
    for c in text.as_ref().chars() {
        match c {
            '<' => in_tag = true,
            '>' if in_tag => {
                in_tag = false;
                out.push(' ');
            }
            c if !in_tag => out.push(c),
            _ => {}
        }
    }
    for (entity, read) in
        [("&nbsp;", " "), ("&lt;", "<"), ("&gt;", ">"), ("&quot;", "\""), ("&#39;", "'"), ("&amp;", "&")]
    {
        if out.contains(entity) {
            out = out.replace(entity, read);
        }
    }
    out.split_whitespace().collect::<Vec<_>>().join(" ")
}
