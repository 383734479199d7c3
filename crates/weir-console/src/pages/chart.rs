//! Charts as SVG of our own: geometry in attributes, colour from the style sheet, and the same numbers as a table.

use jiff::Timestamp;
use maud::{Markup, html};
use weir_core::words::grouped;

use super::parts::table;

/// What is counted, step by step.
#[derive(Clone, Debug)]
pub(super) struct Series {
    pub(super) name: String,
    /// Which of the colours it has, 0 to 7.
    pub(super) colour: usize,
    pub(super) values: Vec<u64>,
}

impl Series {
    pub(super) fn total(&self) -> u64 {
        self.values.iter().fold(0, |sum, value| sum.saturating_add(*value))
    }

    fn at(&self, step: usize) -> u64 {
        self.values.get(step).copied().unwrap_or(0)
    }
}

/// The steps of a chart.
#[derive(Clone, Copy, Debug)]
pub(super) struct Steps {
    pub(super) begin: Timestamp,
    pub(super) seconds: i64,
    pub(super) count: usize,
}

impl Steps {
    /// The step that a time lies in.
    pub(super) fn of(&self, at: Timestamp) -> Option<usize> {
        let step = at.as_second().saturating_sub(self.begin.as_second()).div_euclid(self.seconds);
        usize::try_from(step).ok().filter(|step| *step < self.count)
    }

    fn at(&self, step: usize) -> Timestamp {
        let seconds = i64::try_from(step).unwrap_or(0).saturating_mul(self.seconds);
        Timestamp::from_second(self.begin.as_second().saturating_add(seconds)).unwrap_or(self.begin)
    }

    fn label(&self, step: usize) -> String {
        let form = if self.seconds >= 3600 { "%b %d %H:%M" } else { "%H:%M" };
        self.at(step).strftime(form).to_string()
    }
}

/// Units of the drawing.
const WIDTH: u64 = 720;
const HEIGHT: u64 = 190;
const LEFT: u64 = 46;
const RIGHT: u64 = 6;
const TOP: u64 = 8;
const BOTTOM: u64 = 24;
/// Lines across the drawing.
const LINES: u64 = 4;
/// Times below it.
const LABELS: usize = 5;

/// The least number of the form 1, 2 or 5 times a power of ten, four times which is not below `n`.
fn line_step(n: u64) -> u64 {
    let mut unit: u64 = 1;
    loop {
        for factor in [1, 2, 5] {
            let step = unit.saturating_mul(factor);
            if step.saturating_mul(LINES) >= n {
                return step;
            }
        }
        unit = unit.saturating_mul(10);
    }
}

/// Bars, one above the other. `of` says what is counted: `requests`.
pub(super) fn stacked(title: &str, of: &str, steps: Steps, series: &[Series]) -> Markup {
    let sums =
        (0..steps.count).map(|step| series.iter().fold(0_u64, |sum, s| sum.saturating_add(s.at(step))));
    let line = line_step(sums.max().unwrap_or(0).max(1));
    let top = line.saturating_mul(LINES);
    let total = series.iter().fold(0_u64, |sum, series| sum.saturating_add(series.total()));
    let label = format!(
        "{title}: {} {of} from {} to {} UTC",
        grouped(total),
        steps.label(0),
        steps.label(steps.count)
    );
    let (width, height) = (WIDTH - LEFT - RIGHT, HEIGHT - TOP - BOTTOM);
    let y = |value: u64| TOP + height - scaled(value, height, top);
    html! {
        figure {
            svg .chart viewBox={ "0 0 " (WIDTH) " " (HEIGHT) } role="img" aria-label=(label) {
                @for n in 0..=LINES {
                    @let value = line.saturating_mul(n);
                    line .grid[n > 0] .axis[n == 0] x1=(LEFT) x2=(WIDTH - RIGHT) y1=(y(value)) y2=(y(value)) {}
                    text x=(LEFT - 6) y=(y(value) + 4) text-anchor="end" { (short(value)) }
                }
                @for step in 0..steps.count { (bar(steps, step, series, of, &y, width)) }
                @for n in 0..LABELS {
                    @let step = n * steps.count / LABELS;
                    text x=(x(steps, step, width)) y=(HEIGHT - 7) { (steps.label(step)) }
                }
            }
            ul .legend aria-hidden="true" {
                @for series in series {
                    li { span class={ "key s" (series.colour % 8) } {} (series.name) " " span .quiet { (grouped(series.total())) } }
                }
            }
            (as_table(title, steps, series))
        }
    }
}

/// A value as a length; the drawing is far smaller than what a number can hold.
fn scaled(value: u64, length: u64, top: u64) -> u64 {
    let scaled = u128::from(value) * u128::from(length) / u128::from(top.max(1));
    u64::try_from(scaled).unwrap_or(length)
}

fn x(steps: Steps, step: usize, width: u64) -> u64 {
    LEFT + scaled(step as u64, width, steps.count as u64)
}

fn bar(
    steps: Steps,
    step: usize,
    series: &[Series],
    of: &str,
    y: &impl Fn(u64) -> u64,
    width: u64,
) -> Markup {
    let (from, to) = (x(steps, step, width), x(steps, step + 1, width));
    let mut below = 0_u64;
    let mut parts = Vec::new();
    for series in series.iter().filter(|series| series.at(step) > 0) {
        let upper = below.saturating_add(series.at(step));
        // What was counted can be seen, be it one of a million.
        let height = (y(below).saturating_sub(y(upper))).max(1);
        parts.push((series, y(below).saturating_sub(height), height));
        below = upper;
    }
    let words: Vec<String> = series
        .iter()
        .filter(|s| s.at(step) > 0)
        .map(|s| format!("{} {}", grouped(s.at(step)), s.name))
        .collect();
    html! {
        @if !parts.is_empty() {
            g {
                title { (steps.label(step)) " UTC, " (of) ": " (words.join(", ")) }
                @for (series, top, height) in parts {
                    rect class={ "s" (series.colour % 8) } x=(from) y=(top) height=(height)
                        width=(to.saturating_sub(from).saturating_sub(1).max(1)) {}
                }
            }
        }
    }
}

/// The same numbers, for those who cannot see the drawing or want to copy them; steps with nothing are left out.
fn as_table(title: &str, steps: Steps, series: &[Series]) -> Markup {
    let mut columns = vec!["Begin (UTC)"];
    columns.extend(series.iter().map(|series| series.name.as_str()));
    let rows = (0..steps.count).filter(|step| series.iter().any(|series| series.at(*step) > 0)).map(|step| {
        let mut row = vec![html! { (steps.label(step)) }];
        row.extend(series.iter().map(|series| html! { (grouped(series.at(step))) }));
        row
    });
    let id = format!("numbers-{}", title.to_lowercase().replace(' ', "-"));
    html! { details id=(id) { summary { "As numbers" } (table(title, &columns, rows)) } }
}

/// A number on an axis: `1.5k`.
fn short(n: u64) -> String {
    match n {
        0..10_000 => grouped(n),
        10_000..10_000_000 => format!("{}k", grouped(n / 1_000)),
        _ => format!("{}M", grouped(n / 1_000_000)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lines_are_at_round_numbers() {
        for (n, expected) in [
            (0, 1),
            (1, 1),
            (4, 1),
            (5, 2),
            (9, 5),
            (21, 10),
            (1_000, 500),
            (u64::MAX, 5_000_000_000_000_000_000),
        ] {
            assert_eq!(line_step(n), expected, "{n}");
        }
    }

    #[test]
    fn bars_lie_in_the_drawing_and_tell_their_numbers() {
        let begin = Timestamp::from_second(1_800_000_000).unwrap();
        let steps = Steps { begin, seconds: 60, count: 3 };
        assert_eq!(
            (steps.of(begin), steps.of(Timestamp::from_second(1_800_000_180).unwrap())),
            (Some(0), None)
        );
        let series = [
            Series { name: "nothing".to_owned(), colour: 0, values: vec![u64::MAX, 1, 0] },
            Series { name: "<b>".to_owned(), colour: 5, values: vec![2, 0, 0] },
        ];
        let drawn = stacked("Requests", "requests", steps, &series).into_string();
        assert!(!drawn.contains("<b>") && drawn.contains("&lt;b&gt;"), "{drawn}");
        assert!(drawn.contains("requests: 18,446,744,073,709,551,615 nothing, 2 &lt;b&gt;"), "{drawn}");
        assert!(!drawn.contains("style="));
        assert_eq!(drawn.matches("<rect").count(), 3);
    }
}
