//! Rehearsal: what a set of rules would have decided on recorded decisions.
//!
//! [`Rehearsal`] is fed records in the order in which they were decided and counts what would be new. It decides with
//! the very functions that decide while a request waits. Facts that were not recorded read as errors, which `&&` and
//! `||` absorb; a decision is *replayed* when no rule that failed so could have changed its outcome, and only then
//! compared with what was decided. Rollout and expiry are those of the record's time.
//!
//! Pure, and bounded whatever it is fed: identities, names and windows have limits, and what does not fit is counted
//! together.

mod failure;
mod limits;
mod report;
mod request;
mod rules;
mod sets;
mod tally;
mod tool;

use std::collections::BTreeMap;
use std::sync::Arc;

use weir_core::record::Past;
use weir_core::{Boundary, Timestamp};

pub use report::{BoundaryReport, Change, Effect, NotReplayed, Report, RuleReport, Share, Transition, Why};

use crate::set::RuleSet;
use limits::Windows;
use rules::Hits;
use sets::Sets;
use tally::{Changes, Identities, Matrix, Room, Whom};

/// Decisions that are kept as samples of one transition or one rule unless told otherwise.
pub const SAMPLES: usize = 10;

/// What a rehearsal looks at.
#[derive(Clone, Copy, Debug)]
pub struct Options {
    /// This boundary alone; none: all of them.
    pub boundary: Option<Boundary>,
    /// Records before this time only open the windows of limits, and count nothing else.
    pub counted_from: Option<Timestamp>,
    /// Decisions that are kept as samples of one transition or one rule.
    pub samples: usize,
}

impl Default for Options {
    fn default() -> Self {
        Self { boundary: None, counted_from: None, samples: SAMPLES }
    }
}

/// A set of rules on its way through recorded decisions.
///
/// ```
/// use std::sync::Arc;
/// use weir_core::record::{Past, Record, RecordedFacts, RequestFacts, RequestResult};
/// use weir_core::{Decision, DecisionId, Timestamp};
/// use weir_rules::replay::{Effect, Options, Rehearsal};
/// use weir_rules::{LoadOptions, SourceFile, load};
///
/// let text = "rules: [{id: no-curl, on: request, when: 'request.user_agent.contains(\"curl/\")', then: block}]";
/// let file = SourceFile { name: "a.yaml".into(), text: text.into() };
/// let rules = load(&[file], &LoadOptions { now: Timestamp::UNIX_EPOCH }).unwrap().rules;
///
/// let id = DecisionId::new(Timestamp::UNIX_EPOCH, [0; 10]);
/// let mut decision = Decision::unasked(id, "user:a".into(), 1, Timestamp::UNIX_EPOCH);
/// decision.source = weir_core::Source::Fresh;
/// let request = RequestFacts { user_agent: "curl/8.5".into(), ..RequestFacts::default() };
/// let facts = RecordedFacts { request, ..RecordedFacts::default() };
/// let record = Record { decision, result: RequestResult::default(), facts, call: None };
///
/// let mut rehearsal = Rehearsal::new(Arc::new(rules), Options::default());
/// rehearsal.see(&Past::from(&record));
/// assert_eq!(rehearsal.report(true).decisions(Effect::NewlyBlocked), 1);
/// ```
pub struct Rehearsal {
    sets: Sets,
    options: Options,
    windows: Windows,
    counts: Counts,
}

impl Rehearsal {
    /// Nothing seen yet.
    #[must_use]
    pub fn new(rules: Arc<RuleSet>, options: Options) -> Self {
        let hits = Hits::new(rules.rules().len());
        let counts = Counts { hits, ..Counts::default() };
        Self { sets: Sets::new(rules), options, windows: Windows::default(), counts }
    }

    /// The rules.
    #[must_use]
    pub fn rules(&self) -> &RuleSet {
        self.sets.whole()
    }

    /// How long before the time of interest records should begin, in seconds: as long as the longest window of a limit.
    /// Zero where no rule limits.
    #[must_use]
    pub fn warm_up_s(&self) -> u64 {
        let windows = self.sets.whole().rules().iter().filter_map(|rule| match &rule.then {
            crate::rule::Then::Limit(limit) => Some(limit.per_s),
            _ => None,
        });
        windows.max().unwrap_or(0)
    }

    /// Takes in one record. They should come in the order in which they were decided, for the windows of limits.
    pub fn see(&mut self, past: &Past<'_>) {
        let only = self.options.boundary;
        let wants = move |boundary| only.is_none_or(|only| only == boundary);
        let warms = self.options.counted_from.is_some_and(|from| past.at < from);
        if warms {
            if past.boundary == Boundary::Request && wants(Boundary::Request) {
                self.warm(past);
            }
            return;
        }
        self.counts.seen(past.at);
        match past.boundary {
            Boundary::Request => {
                let whom = Whom::of(past, &mut self.counts.identities);
                if wants(Boundary::Request) {
                    self.see_request(past, &whom);
                }
                if wants(Boundary::Failure) && !past.failures.is_empty() {
                    self.see_failures(past, &whom);
                }
            }
            Boundary::Tool if wants(Boundary::Tool) => self.see_tool(past),
            Boundary::Tool | Boundary::Failure => {}
        }
    }

    /// What was found so far. `complete` says whether these are all records of the time.
    #[must_use]
    pub fn report(&self, complete: bool) -> Report {
        let counts = &self.counts;
        Report {
            from: counts.from,
            until: counts.until,
            records: counts.records,
            complete,
            identities_exact: counts.room.exact,
            boundaries: counts.sides.values().map(Side::report).collect(),
            rules: counts.hits.report(self.sets.whole(), self.options.boundary),
        }
    }
}

/// Everything that is counted.
#[derive(Default)]
struct Counts {
    from: Option<Timestamp>,
    until: Option<Timestamp>,
    records: u64,
    sides: BTreeMap<usize, Side>,
    hits: Hits,
    room: Room,
    identities: Identities,
}

impl Counts {
    fn seen(&mut self, at: Timestamp) {
        self.records += 1;
        self.from = Some(self.from.map_or(at, |from| from.min(at)));
        self.until = Some(self.until.map_or(at, |until| until.max(at)));
    }

    fn side(&mut self, boundary: Boundary) -> &mut Side {
        self.sides.entry(boundary as usize).or_insert_with(|| Side::new(boundary))
    }

    fn ended_before(&mut self, boundary: Boundary) {
        self.side(boundary).ended_before += 1;
    }

    fn not_replayed(&mut self, boundary: Boundary, why: Why) {
        let side = self.side(boundary);
        side.decisions += 1;
        *side.not_replayed.entry(why).or_default() += 1;
    }

    fn replayed(&mut self, boundary: Boundary, whom: &Whom<'_>, compared: &Compared<'_>, samples: usize) {
        let Compared { from, to, effect, rule } = *compared;
        let side = self.sides.entry(boundary as usize).or_insert_with(|| Side::new(boundary));
        side.decisions += 1;
        side.replayed += 1;
        side.unchanged += u64::from(effect.is_none());
        side.matrix.add((from, to), effect, whom, samples, &mut self.room);
        if let Some(effect) = effect {
            side.changes.entry(effect).or_default().add(whom, rule.unwrap_or_default(), &mut self.room);
        }
    }
}

/// What was decided, and what would be.
#[derive(Clone, Copy)]
struct Compared<'c> {
    from: &'c str,
    to: &'c str,
    effect: Option<Effect>,
    /// The rule that would decide, or that did.
    rule: Option<&'c str>,
}

/// What is counted at one boundary.
struct Side {
    boundary: Boundary,
    decisions: u64,
    ended_before: u64,
    replayed: u64,
    unchanged: u64,
    not_replayed: BTreeMap<Why, u64>,
    changes: BTreeMap<Effect, Changes>,
    matrix: Matrix,
}

impl Side {
    fn new(boundary: Boundary) -> Self {
        Self {
            boundary,
            decisions: 0,
            ended_before: 0,
            replayed: 0,
            unchanged: 0,
            not_replayed: BTreeMap::new(),
            changes: BTreeMap::new(),
            matrix: Matrix::default(),
        }
    }

    fn report(&self) -> BoundaryReport {
        let reason = |(why, decisions): (&Why, &u64)| NotReplayed {
            why: *why,
            reason: why.in_words().to_owned(),
            decisions: *decisions,
        };
        #[expect(clippy::cast_precision_loss, reason = "a share for people; counts are far below 2^52")]
        let share = if self.decisions == 0 { 1.0 } else { self.replayed as f64 / self.decisions as f64 };
        BoundaryReport {
            boundary: self.boundary,
            decisions: self.decisions,
            ended_before: self.ended_before,
            replayed: self.replayed,
            share,
            unchanged: self.unchanged,
            not_replayed: self.not_replayed.iter().map(reason).collect(),
            changes: self.changes.iter().filter_map(|(effect, changes)| changes.list(*effect)).collect(),
            transitions: self.matrix.list(),
        }
    }
}
