//! Traffic over time, from the tallies alone: the log is never read for it.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use jiff::Timestamp;
use maud::{Markup, html};
use weir_core::record::{REFUSED, Stage};
use weir_core::words::{grouped, noun};
use weir_store::tally::{Sums, Tally, TallyKey, TallyKind, TallyQuery};

use super::super::chart::{Series, Steps, stacked};
use super::super::form::encode;
use super::super::parts::{empty, milliseconds, panel, usd};
use crate::console::Shared;
use crate::problem::Problem;

/// How far back is looked.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) enum Range {
    #[default]
    Hour,
    SixHours,
    Day,
    Week,
}

impl Range {
    pub(super) const ALL: [Self; 4] = [Self::Hour, Self::SixHours, Self::Day, Self::Week];

    pub(super) const fn as_str(self) -> &'static str {
        match self {
            Self::Hour => "1h",
            Self::SixHours => "6h",
            Self::Day => "24h",
            Self::Week => "7d",
        }
    }

    pub(super) fn read(word: &str) -> Result<Self, String> {
        let known = Self::ALL.into_iter().find(|range| range.as_str() == word);
        known.ok_or_else(|| "it must be 1h, 6h, 24h or 7d".to_owned())
    }

    /// Its steps: their length in seconds and their number.
    const fn steps(self) -> (i64, usize) {
        match self {
            Self::Hour => (60, 60),
            Self::SixHours => (300, 72),
            Self::Day => (900, 96),
            Self::Week => (7_200, 84),
        }
    }

    /// The steps up to the one that `now` lies in.
    fn until(self, now: Timestamp) -> Steps {
        let (seconds, count) = self.steps();
        let last = now.as_second().div_euclid(seconds) * seconds;
        let begin = last - seconds * (i64::try_from(count).unwrap_or(0) - 1);
        Steps { begin: Timestamp::from_second(begin).unwrap_or(now), seconds, count }
    }
}

/// Classes of failures that are told apart; the rarer ones are one.
const CLASSES_MAX: usize = 6;

/// The outcomes of requests with their colours, from the mildest.
const ACTIONS: [(&str, usize); 8] = [
    ("nothing", 0),
    ("log", 6),
    (REFUSED, 1),
    ("rate-limit", 2),
    ("quarantine-1", 3),
    ("quarantine-2", 7),
    ("quarantine-3", 4),
    ("block", 5),
];
/// The outcomes of tool calls.
const TOOL_OUTCOMES: [(&str, usize); 3] = [("allow", 6), ("require-approval", 2), ("deny", 5)];

pub(super) async fn show(console: &Shared, range: Range, now: Timestamp) -> Result<Markup, Problem> {
    let steps = range.until(now);
    let requests = read(console, TallyKind::Request, steps, now).await?;
    let tools = read(console, TallyKind::Tool, steps, now).await?;
    let failures = read(console, TallyKind::Failure, steps, now).await?;
    let mut refusals = read(console, TallyKind::Refusal, steps, now).await?;
    // What a provider's failure ended has a chart of its own.
    let by_weir = |stage: &str| !stage.is_empty() && stage != Stage::Send.as_str();
    refusals.retain(|tally| matches!(&tally.key, TallyKey::Refusal { stage, .. } if by_weir(stage)));
    let by_action = series(&requests, steps, &ACTIONS);
    let by_outcome = series(&tools, steps, &TOOL_OUTCOMES);
    let by_class = rarest_together(series(&failures, steps, &[]));
    let by_type = rarest_together(series(&refusals, steps, &[]));
    Ok(html! {
        (numbers(&requests, &tools, &failures))
        @if requests.is_empty() && tools.is_empty() && failures.is_empty() {
            (empty("There was no traffic in this time.", &html! {
                p { "Point a client at the data plane, or send one request to the simulated provider:" }
                pre { "curl http://127.0.0.1:8080/v1/chat/completions -H 'content-type: application/json' \\\n  "
                    "-d '{\"model\": \"sim/free\", \"messages\": [{\"role\": \"user\", \"content\": \"hello\"}]}'" }
            }))
        } @else {
            div .charts {
                (panel("Requests by action", &stacked("Requests by action", "requests", steps, &by_action)))
                @if !by_type.is_empty() {
                    (panel("Refusals by type", &html! {
                        (stacked("Refusals by type", "refused requests", steps, &by_type))
                        (types(&refusals, range))
                    }))
                }
                @if !by_class.is_empty() {
                    (panel("Failures by class", &stacked("Failures by class", "failed calls", steps, &by_class)))
                }
                @if !by_outcome.is_empty() {
                    (panel("Tool calls", &stacked("Tool calls", "tool calls", steps, &by_outcome)))
                }
            }
        }
    })
}

async fn read(
    console: &Shared,
    kind: TallyKind,
    steps: Steps,
    now: Timestamp,
) -> Result<Vec<Tally>, Problem> {
    let length = Duration::from_secs(steps.seconds.unsigned_abs());
    let until = now.saturating_add(Duration::from_secs(1)).unwrap_or(now);
    let query = TallyQuery::totals(steps.begin, until).of(kind).in_steps(length);
    console.parts.database.tallies(&query).await.map_err(|error| Problem::store_unavailable(&error))
}

fn word(key: &TallyKey) -> &str {
    match key {
        TallyKey::Request { outcome } | TallyKey::Tool { outcome, .. } => outcome,
        TallyKey::Failure { class, .. } => class,
        TallyKey::Refusal { error_type, .. } => error_type,
        _ => "other",
    }
}

/// One series for each word: known ones in their order, then others by their names.
fn series(tallies: &[Tally], steps: Steps, known: &[(&str, usize)]) -> Vec<Series> {
    let mut found: BTreeMap<(usize, &str), Vec<u64>> = BTreeMap::new();
    for tally in tallies {
        let word = word(&tally.key);
        let order = known.iter().position(|(name, _)| *name == word).unwrap_or(known.len());
        let values = found.entry((order, word)).or_insert_with(|| vec![0; steps.count]);
        if let Some(value) = steps.of(tally.at).and_then(|step| values.get_mut(step)) {
            *value = value.saturating_add(tally.count);
        }
    }
    found
        .into_iter()
        .enumerate()
        .map(|(at, ((order, word), values))| {
            let colour = known.get(order).map_or((at + 1) % 8, |(_, colour)| *colour);
            Series { name: word.to_owned(), colour, values }
        })
        .collect()
}

/// The most frequent first, the rarest as one.
fn rarest_together(mut all: Vec<Series>) -> Vec<Series> {
    all.sort_by_key(|series| std::cmp::Reverse(series.total()));
    if all.len() > CLASSES_MAX {
        let rest = all.split_off(CLASSES_MAX);
        let steps = rest.first().map_or(0, |series| series.values.len());
        let sum = |step| rest.iter().filter_map(|series| series.values.get(step)).sum();
        all.push(Series { name: "others".to_owned(), colour: 0, values: (0..steps).map(sum).collect() });
    }
    for (at, series) in all.iter_mut().enumerate().filter(|(_, series)| series.name != "others") {
        // The most frequent class has the colour of what is bad.
        series.colour = [5, 3, 2, 4, 1, 7].get(at).copied().unwrap_or(0);
    }
    all
}

/// The decisions behind each type of refusal.
fn types(refusals: &[Tally], range: Range) -> Markup {
    let types: BTreeSet<&str> = refusals.iter().map(|tally| word(&tally.key)).collect();
    html! {
        p .quiet { "Decisions with: " @for (at, kind) in types.into_iter().enumerate() {
            @if at > 0 { ", " }
            @let terms = format!("error_type={kind}");
            a href={ "/decisions?" (encode([("since", range.as_str()), ("where", terms.as_str())])) } { (kind) }
        } }
    }
}

/// The sums of the time, each with its unit.
fn numbers(requests: &[Tally], tools: &[Tally], failures: &[Tally]) -> Markup {
    let count = |tallies: &[Tally], is: &dyn Fn(&str) -> bool| -> u64 {
        tallies.iter().filter(|tally| is(word(&tally.key))).map(|tally| tally.count).sum()
    };
    let (asked, called) = (count(requests, &|_| true), count(tools, &|_| true));
    let enforced = count(requests, &|word| !matches!(word, "nothing" | "log" | REFUSED));
    let refused = count(requests, &|word| word == REFUSED);
    let stopped = count(tools, &|word| word != "allow");
    let mut sums = Sums::default();
    for tally in requests {
        sums.overhead_us = sums.overhead_us.saturating_add(tally.sums.overhead_us);
        sums.delay_us = sums.delay_us.saturating_add(tally.sums.delay_us);
        sums.input_tokens = sums.input_tokens.saturating_add(tally.sums.input_tokens);
        sums.output_tokens = sums.output_tokens.saturating_add(tally.sums.output_tokens);
        sums.cost_microusd = sums.cost_microusd.saturating_add(tally.sums.cost_microusd);
    }
    let one = |value: String, words: &str| html! { li { strong { (value) } span { (words) } } };
    let many = |count: u64, singular: &str, more: &str| {
        one(grouped(count), &format!("{}{more}", noun(count, singular)))
    };
    html! {
        ul .numbers {
            (many(asked, "request", ""))
            (one(grouped(enforced), "limited, slowed or blocked"))
            (one(grouped(refused), "refused without a rule"))
            (many(count(failures, &|_| true), "failed provider call", ""))
            (many(called, "tool call", ""))
            (many(stopped, "tool call", " denied or held"))
            (many(sums.input_tokens.saturating_add(sums.output_tokens), "token", ""))
            (one(usd(thousandths(sums.cost_microusd) / 1_000.0), "cost"))
            (one(milliseconds(thousandths(sums.overhead_us.checked_div(asked).unwrap_or(0))), "weir's own time per request"))
        }
    }
}

/// A number divided by a thousand.
fn thousandths(n: u64) -> f64 {
    #[expect(clippy::cast_precision_loss, reason = "it is shown with few digits")]
    let n = n as f64;
    n / 1_000.0
}
