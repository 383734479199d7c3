//! Reading the text that `/metrics` shows, so that what a collector is sent and what Prometheus reads are the same.

use std::collections::HashMap;

/// What kind of series a metric has.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum SeriesKind {
    /// It only grows.
    Counter,
    /// It goes up and down.
    Gauge,
    /// How many values were below which bounds.
    Histogram,
}

/// One metric with its series.
#[derive(Clone, Debug, PartialEq)]
pub struct Family<'a> {
    /// Its name.
    pub name: &'a str,
    /// What kind it is.
    pub kind: SeriesKind,
    /// Its series, in their order.
    pub series: Vec<Series<'a>>,
}

/// One series: a set of labels and a value.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Series<'a> {
    /// The labels, without `le`.
    pub labels: Vec<(&'a str, String)>,
    /// The value; of a histogram the sum.
    pub value: f64,
    /// Of a histogram: how many values there were.
    pub count: u64,
    /// Of a histogram: the upper bounds, and how many values were at most as large. Without the last, which is all.
    pub buckets: Vec<(f64, u64)>,
}

/// Reads the text; lines of another form are left aside.
#[must_use]
pub fn families(text: &str) -> Vec<Family<'_>> {
    let mut families: Vec<Family<'_>> = Vec::new();
    // Which series of the present family has these labels.
    let mut places: HashMap<Vec<(&str, String)>, usize> = HashMap::new();
    for line in text.lines() {
        if let Some(rest) = line.strip_prefix("# TYPE ") {
            let Some((name, kind)) = rest.split_once(' ') else { continue };
            let kind = match kind {
                "counter" => SeriesKind::Counter,
                "gauge" => SeriesKind::Gauge,
                "histogram" => SeriesKind::Histogram,
                _ => continue,
            };
            families.push(Family { name, kind, series: Vec::new() });
            places.clear();
        } else if !line.starts_with('#')
            && let (Some(family), Some(sample)) = (families.last_mut(), sample(line))
        {
            add(family, &mut places, sample);
        }
    }
    families
}

struct Sample<'a> {
    name: &'a str,
    labels: Vec<(&'a str, String)>,
    value: f64,
}

fn add<'a>(
    family: &mut Family<'a>,
    places: &mut HashMap<Vec<(&'a str, String)>, usize>,
    mut sample: Sample<'a>,
) {
    let Some(part) = sample.name.strip_prefix(family.name) else { return };
    let bound = sample.labels.iter().position(|(name, _)| *name == "le").filter(|_| part == "_bucket");
    let bound = bound.map(|at| sample.labels.remove(at).1);
    let at = match places.get(&sample.labels) {
        Some(at) => *at,
        None => {
            family.series.push(Series { labels: sample.labels.clone(), ..Series::default() });
            places.insert(sample.labels, family.series.len() - 1);
            family.series.len() - 1
        }
    };
    let Some(series) = family.series.get_mut(at) else { return };
    match (part, bound.and_then(|bound| bound.parse::<f64>().ok())) {
        ("" | "_sum", _) => series.value = sample.value,
        ("_count", _) => series.count = whole(sample.value),
        ("_bucket", Some(bound)) if bound.is_finite() => series.buckets.push((bound, whole(sample.value))),
        _ => {}
    }
}

#[expect(
    clippy::cast_possible_truncation,
    clippy::cast_sign_loss,
    reason = "counts are whole and not negative"
)]
fn whole(value: f64) -> u64 {
    value as u64
}

/// One line: a name, labels in braces perhaps, a value.
fn sample(line: &str) -> Option<Sample<'_>> {
    let end = line.find(['{', ' '])?;
    let (name, rest) = line.split_at(end);
    let (labels, rest) = match rest.strip_prefix('{') {
        Some(rest) => labels(rest)?,
        None => (Vec::new(), rest),
    };
    let value = rest.split_whitespace().next()?.parse().ok()?;
    Some(Sample { name, labels, value })
}

type Labels<'a> = Vec<(&'a str, String)>;

/// Labels up to the closing brace, and what follows it.
fn labels(mut rest: &str) -> Option<(Labels<'_>, &str)> {
    let mut labels = Vec::new();
    loop {
        rest = rest.trim_start_matches(',');
        if let Some(after) = rest.strip_prefix('}') {
            return Some((labels, after));
        }
        let (name, quoted) = rest.split_once("=\"")?;
        let mut value = String::new();
        let mut letters = quoted.char_indices();
        let end = loop {
            match letters.next()? {
                (at, '"') => break at,
                (_, '\\') => value.push(match letters.next()?.1 {
                    'n' => '\n',
                    other => other,
                }),
                (_, letter) => value.push(letter),
            }
        };
        labels.push((name, value));
        rest = quoted.get(end + 1..)?;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_kind_is_read_with_its_labels() {
        let text = "# HELP a_total what\n# TYPE a_total counter\na_total{x=\"1\",y=\"q\\\"\\\\}\\n\"} 3\na_total 4\n\n\
                    # TYPE g gauge\ng -1.5\n\
                    # TYPE h histogram\nh_bucket{k=\"v\",le=\"0.5\"} 1\nh_bucket{k=\"v\",le=\"1\"} 2\nh_bucket{k=\"v\",le=\"+Inf\"} 3\n\
                    h_sum{k=\"v\"} 9.25\nh_count{k=\"v\"} 3\n";
        let families = families(text);
        let kinds: Vec<_> = families.iter().map(|family| (family.name, family.kind)).collect();
        assert_eq!(
            kinds,
            [("a_total", SeriesKind::Counter), ("g", SeriesKind::Gauge), ("h", SeriesKind::Histogram)]
        );
        assert_eq!(families[0].series[0].labels, [("x", "1".to_owned()), ("y", "q\"\\}\n".to_owned())]);
        assert_eq!((families[0].series[0].value, families[0].series[1].value), (3.0, 4.0));
        assert_eq!(families[1].series[0].value, -1.5);
        let [histogram] = families[2].series.as_slice() else { panic!("{families:?}") };
        assert_eq!((histogram.value, histogram.count), (9.25, 3));
        assert_eq!(histogram.buckets, [(0.5, 1), (1.0, 2)]);
    }

    #[test]
    fn lines_of_another_form_are_left_aside() {
        let text =
            "x 1\n# TYPE s summary\n# TYPE c counter\nc{open=\"\nc{a=\"b\"}\nc nothing\nother 5\nc 1\n";
        let families = families(text);
        assert_eq!(families.len(), 1, "{families:?}");
        assert_eq!(families[0].series, [Series { value: 1.0, ..Series::default() }]);
    }
}
