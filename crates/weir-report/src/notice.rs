//! What operators are told: one notice is one event.

use std::time::Duration;

use jiff::Timestamp;
use weir_core::failure::{AllExhausted, Class, FailureEvent, Owner};
use weir_core::stop::RuleStop;
use weir_core::words::noun;

use crate::defects::Defect;

/// Something to report.
#[derive(Clone, Debug, PartialEq)]
pub(crate) enum Notice {
    /// The first page of its class, provider and owner.
    First(FailureEvent),
    /// What followed it in a window.
    Summary(Tally),
    /// What nobody is called for, but for so many identities at once.
    Surge(Tally),
    /// A request whose every attempt failed, by a provider's fault.
    Exhausted(Exhausted),
    /// A rule that the stop-loss has taken back to shadow.
    Stopped(RuleStop),
    /// weir itself has failed.
    Defect(Defect),
}

/// What a window has counted.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Tally {
    /// The first of the failures.
    pub(crate) example: FailureEvent,
    pub(crate) count: u64,
    pub(crate) identities: Distinct,
    pub(crate) window: Duration,
    /// When its window ended.
    pub(crate) until: Timestamp,
}

/// How many different ones were counted.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Distinct {
    pub(crate) number: usize,
    /// There were more than were counted.
    pub(crate) more: bool,
}

/// An outage.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Exhausted {
    pub(crate) request: AllExhausted,
    /// The providers at fault, by name.
    pub(crate) providers: Vec<String>,
    /// How many requests, of how many identities, ended so in the window before this one.
    pub(crate) before: Option<(u64, Distinct)>,
}

impl Notice {
    /// The word for its kind.
    pub(crate) const fn kind(&self) -> &'static str {
        match self {
            Self::First(_) => "first",
            Self::Summary(_) => "summary",
            Self::Surge(_) => "surge",
            Self::Exhausted(_) => "all_exhausted",
            Self::Stopped(_) => "rule_stopped",
            Self::Defect(_) => "defect",
        }
    }

    /// The failure that it is about, or the first of them.
    pub(crate) fn example(&self) -> Option<&FailureEvent> {
        match self {
            Self::First(event) => Some(event),
            Self::Summary(tally) | Self::Surge(tally) => Some(&tally.example),
            Self::Exhausted(exhausted) => exhausted.request.last(),
            Self::Stopped(_) => None,
            Self::Defect(_) => None,
        }
    }

    /// When it is told.
    pub(crate) fn at(&self) -> Option<Timestamp> {
        match self {
            Self::Summary(tally) | Self::Surge(tally) => Some(tally.until),
            Self::First(_) | Self::Exhausted(_) => self.example().map(|event| event.at),
            Self::Stopped(stop) => Some(stop.at),
            Self::Defect(defect) => Some(defect.at),
        }
    }

    /// What people read, with the whole chain of causes.
    pub(crate) fn message(&self) -> String {
        match self {
            Self::First(event) => event.chain(),
            Self::Summary(tally) => {
                let Tally { count, identities, .. } = tally;
                let times = noun(*count, "time");
                let (window, chain) = (seconds(tally.window), tally.example.chain());
                format!("{count} {times} for {identities} in {window}: {chain}")
            }
            Self::Defect(defect) => defect.message(),
            Self::Surge(tally) => {
                let (window, chain) = (seconds(tally.window), tally.example.chain());
                format!("{} for {} in {window}: {chain}", what(&tally.example), tally.identities)
            }
            Self::Exhausted(exhausted) => exhausted.message(),
            Self::Stopped(stop) => stop.to_string(),
        }
    }

    /// What makes Sentry put events together.
    pub(crate) fn fingerprint(&self) -> Vec<String> {
        let of = |words: &[&str]| words.iter().map(|word| (*word).to_owned()).collect();
        match self {
            Self::First(event) | Self::Summary(Tally { example: event, .. }) => {
                of(&["weir", &event.provider, event.class.as_str(), event.owner.as_str()])
            }
            Self::Surge(Tally { example: event, .. }) => {
                of(&["weir", "surge", &event.provider, event.class.as_str(), event.owner.as_str()])
            }
            Self::Defect(defect) => of(&["weir", "defect", &defect.place]),
            Self::Exhausted(exhausted) => of(&["weir", "all_exhausted", &exhausted.providers.join("+")]),
            Self::Stopped(stop) => of(&["weir", "rule_stopped", &stop.rule]),
        }
    }
}

impl Exhausted {
    /// A heading, then one line for each attempt (spec B11).
    fn message(&self) -> String {
        let mut message = format!("all providers/models failed: {}", self.providers.join(", "));
        if let Some((count, identities)) = self.before {
            message.push_str(&format!(
                " (in the window before: {count} {} of {identities})",
                noun(count, "request")
            ));
        }
        for event in self.request.attempts() {
            message.push_str(&format!(
                "\n{} {} attempt {}/{} {}: {}",
                event.provider,
                event.model,
                event.attempt,
                event.attempts,
                event.class,
                event.chain()
            ));
        }
        message
    }
}

impl std::fmt::Display for Distinct {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let least = if self.more { "more than " } else { "" };
        write!(f, "{least}{} {}", self.number, noun(self.number, "identity"))
    }
}

/// A status where there is one, else the class.
fn what(event: &FailureEvent) -> String {
    match (event.status, event.class) {
        (0, class) => class.to_string(),
        (status, class) => format!("{status} ({class})"),
    }
}

fn seconds(duration: Duration) -> String {
    format!("{} s", duration.as_secs_f64())
}

/// Whether a provider is at fault, and somebody should know.
pub(crate) fn is_at_fault(event: &FailureEvent) -> bool {
    event.owner == Owner::Provider && event.class != Class::RateLimited
}
