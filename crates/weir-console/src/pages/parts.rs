//! The small parts that pages are made of: times, numbers, badges, tables, and what stands where there is nothing.

use jiff::Timestamp;
use maud::{Markup, html};
use weir_core::record::Record;
use weir_core::words::{counted, grouped};

use super::form::segment;

/// How a thing is to be taken. Each differs in colour, in its sign and in the words beside it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Tone {
    /// It is as it should be.
    Good,
    /// Worth knowing.
    Info,
    /// Something was slowed or limited, or needs a look.
    Warn,
    /// Something was refused or failed.
    Bad,
    /// Of no weight.
    Quiet,
}

impl Tone {
    pub(crate) const fn class(self) -> &'static str {
        match self {
            Self::Good => "good",
            Self::Info => "info",
            Self::Warn => "warn",
            Self::Bad => "bad",
            Self::Quiet => "dim",
        }
    }

    const fn sign(self) -> &'static str {
        match self {
            Self::Good => "✓",
            Self::Info => "◆",
            Self::Warn => "▲",
            Self::Bad => "■",
            Self::Quiet => "○",
        }
    }

    /// How the outcome of a decision, at any boundary, is to be taken.
    pub(crate) fn of_outcome(outcome: &str) -> Self {
        match outcome {
            "allow" | "approved" => Self::Good,
            "nothing" => Self::Quiet,
            "log" | "skip" => Self::Info,
            "block" | "deny" | "denied" => Self::Bad,
            "rate-limit" | "quarantine-1" | "quarantine-2" | "quarantine-3" | "require-approval" => {
                Self::Warn
            }
            // A class of failure.
            _ => Self::Bad,
        }
    }
}

/// Characters of a fingerprint's key that are shown in a list: the word and twelve digits.
const FINGERPRINT_SHOWN: usize = 24;

/// A word with its sign.
pub(crate) fn badge(tone: Tone, word: &str) -> Markup {
    html! { span .badge .(tone.class()) { span .sign aria-hidden="true" { (tone.sign()) } (word) } }
}

/// The outcome of a decision.
pub(crate) fn outcome(word: &str) -> Markup {
    badge(Tone::of_outcome(word), word)
}

/// A time: how long ago or in how long, with the exact one on hover.
pub(crate) fn time(at: Timestamp, now: Timestamp) -> Markup {
    let exact = exact(at);
    html! { time datetime=(at) title=(exact) data-relative { (relative(at, now)) } }
}

/// A time for people, to the second, in UTC.
pub(crate) fn exact(at: Timestamp) -> String {
    at.strftime("%Y-%m-%d %H:%M:%S UTC").to_string()
}

/// `3 minutes ago`, `in 2 hours`; `console.js` says the same.
pub(crate) fn relative(at: Timestamp, now: Timestamp) -> String {
    let seconds = now.as_second().saturating_sub(at.as_second());
    let span = span(seconds.unsigned_abs());
    match seconds {
        -4..=4 => "now".to_owned(),
        5.. => format!("{span} ago"),
        _ => format!("in {span}"),
    }
}

/// A duration in its largest unit: `45 seconds`, `3 minutes`.
pub(crate) fn span(seconds: u64) -> String {
    const UNITS: [(u64, &str); 4] = [(86_400, "day"), (3_600, "hour"), (60, "minute"), (1, "second")];
    let (size, unit) = UNITS.into_iter().find(|(size, _)| seconds >= *size).unwrap_or((1, "second"));
    counted(seconds / size, unit)
}

/// A number of different ones, which is an estimate once it is large: `≈ 1,200`.
pub(crate) fn about(n: u64) -> String {
    let exact = usize::try_from(n).is_ok_and(|n| n <= weir_store::tally::FEW_MAX);
    format!("{}{}", if exact { "" } else { "≈ " }, grouped(n))
}

/// The same for a number that could be negative.
pub(crate) fn signed(n: i64) -> String {
    format!("{}{}", if n < 0 { "-" } else { "" }, grouped(n.unsigned_abs()))
}

/// US dollars; small sums to the hundredth of a cent.
pub(crate) fn usd(amount: f64) -> String {
    if amount != 0.0 && amount.abs() < 1.0 {
        return format!("${amount:.4}");
    }
    let cents = (amount * 100.0).round();
    #[expect(clippy::cast_possible_truncation, reason = "sums of money are far below 2^53 cents")]
    let (whole, rest) = ((cents / 100.0).trunc() as i64, (cents % 100.0).abs());
    format!("${}.{rest:02.0}", signed(whole))
}

/// Milliseconds in a unit that fits: `340 µs`, `12.3 ms`, `1.20 s`.
pub(crate) fn milliseconds(ms: f64) -> String {
    match ms {
        ms if ms < 1.0 => format!("{:.0} µs", ms * 1_000.0),
        ms if ms < 1_000.0 => format!("{ms:.1} ms"),
        _ => format!("{:.2} s", ms / 1_000.0),
    }
}

/// A table that becomes a list of cards on a narrow screen. Each row has as many cells as there are columns.
pub(crate) fn table(caption: &str, columns: &[&str], rows: impl IntoIterator<Item = Vec<Markup>>) -> Markup {
    html! {
        div .scroll tabindex="0" role="region" aria-label=(caption) {
            table {
                caption .hidden { (caption) }
                thead { tr { @for column in columns { th scope="col" { (column) } } } }
                tbody {
                    @for row in rows {
                        tr { @for (column, cell) in columns.iter().zip(row) { td data-label=(column) { div .cell { (cell) } } } }
                    }
                }
            }
        }
    }
}

/// A link to an identity; the long key of an anonymous client is shown by its beginning, and as a whole on hover.
pub(crate) fn identity(key: &str) -> Markup {
    let is_long = key.starts_with("fingerprint:");
    html! {
        a href={ "/identities/" (segment(key)) } title=[is_long.then_some(key)] {
            @if is_long { (short(key)) } @else { (key) }
        }
    }
}

/// Whose decision it is, by what people know: the user, or of an anonymous client its address; the fingerprint stands
/// below and, as a whole, on hover.
pub(crate) fn who(record: &Record) -> Markup {
    let (key, ip) = (record.decision.subject.as_str(), record.facts.request.ip.as_str());
    if !key.starts_with("fingerprint:") || ip.is_empty() {
        return identity(key);
    }
    html! {
        a href={ "/identities/" (segment(key)) } title=(key) { (ip) }
        br; span .quiet title=(key) { "anonymous, " (short(key)) }
    }
}

/// The begin of a long key.
fn short(key: &str) -> String {
    key.chars().take(FINGERPRINT_SHOWN).chain(['…']).collect()
}

/// A text with a button that copies it; `id` names it within the page.
pub(crate) fn copied(id: &str, text: &str) -> Markup {
    html! {
        code #(id) { (text) } " "
        button .small data-copy=(id) hidden type="button" aria-label={ "Copy " (text) } { "Copy" }
    }
}

/// A sentence in which words of code stand between backticks.
pub(crate) fn ticked(text: &str) -> Markup {
    let parts: Vec<&str> = text.split('`').collect();
    if parts.len().is_multiple_of(2) {
        return html! { (text) };
    }
    html! {
        @for (at, part) in parts.iter().enumerate() {
            @if at.is_multiple_of(2) { (part) } @else { code { (part) } }
        }
    }
}

/// Pairs of a name and what it stands for; pairs without a value are left out.
pub(crate) fn facts(pairs: impl IntoIterator<Item = (&'static str, Option<Markup>)>) -> Markup {
    html! {
        dl .facts {
            @for (name, value) in pairs {
                @if let Some(value) = value { div { dt { (name) } dd { (value) } } }
            }
        }
    }
}

/// What stands where there is nothing: that, and what to do next.
pub(crate) fn empty(what: &str, next: &Markup) -> Markup {
    html! { div .empty { p { strong { (what) } } (next) } }
}

/// A part of a page that a script brings up to date: every so many seconds it takes the part with the same id of a fresh
/// copy of the page. Its words are not read out while they change.
pub(crate) fn live(id: &str, every_s: u32, content: &Markup) -> Markup {
    html! { div id=(id) data-live=(every_s) aria-live="off" { (content) } }
}

/// A part of a page with a heading of its own.
pub(crate) fn panel(title: &str, content: &Markup) -> Markup {
    html! { section .panel { h2 { (title) } (content) } }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_have_separators_and_units() {
        assert_eq!(signed(-1234), "-1,234");
        assert_eq!((about(64).as_str(), about(1_200).as_str()), ("64", "≈ 1,200"));
        for (amount, expected) in
            [(0.0, "$0.00"), (0.0123, "$0.0123"), (1.5, "$1.50"), (1234.567, "$1,234.57"), (1.999, "$2.00")]
        {
            assert_eq!(usd(amount), expected);
        }
        for (ms, expected) in [(0.34, "340 µs"), (12.34, "12.3 ms"), (1200.0, "1.20 s")] {
            assert_eq!(milliseconds(ms), expected);
        }
    }

    #[test]
    fn words_between_backticks_are_code_and_markup_stays_text() {
        assert_eq!(ticked("use `<b>` or `c`").into_string(), "use <code>&lt;b&gt;</code> or <code>c</code>");
        assert_eq!(ticked("one ` alone").into_string(), "one ` alone");
    }

    #[test]
    fn times_are_told_from_now() {
        let now: Timestamp = "2026-11-20T10:00:00Z".parse().unwrap();
        let table = [
            ("2026-11-20T10:00:00Z", "now"),
            ("2026-11-20T09:59:15Z", "45 seconds ago"),
            ("2026-11-20T09:59:00Z", "1 minute ago"),
            ("2026-11-20T08:00:00Z", "2 hours ago"),
            ("2026-11-10T10:00:00Z", "10 days ago"),
            ("2026-11-20T12:00:00Z", "in 2 hours"),
        ];
        for (at, expected) in table {
            assert_eq!(relative(at.parse().unwrap(), now), expected);
        }
    }
}
