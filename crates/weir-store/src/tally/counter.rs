//! What requests add to: counts since the writer took them last.
//!
//! A thread mostly has a part of its own, so that threads do not wait for each other, and a key that is known already
//! costs no allocation. Which minute it was is said by the writer, who takes everything each second.

use std::collections::HashMap;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Mutex, PoisonError};

use foldhash::fast::RandomState;
use weir_core::record::{FailedAttempt, Record, RequestResult};
use weir_core::{Boundary, DecisionId, Errored, Matched};

use super::key::{self, OTHER, TallyKind};
use super::{KEYS_MAX, SAMPLES_MAX, Sketch, Sums};
use crate::database::block::subject_hash;

/// Parts that threads count in.
const PARTS: usize = 16;

/// Keys that one part holds between two visits of the writer.
const PART_KEYS_MAX: usize = 2 * KEYS_MAX;

/// What was counted of one key.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Cell {
    pub(crate) count: u64,
    /// The times of the first and the last decision, in milliseconds since 1970.
    pub(crate) first_ms: i64,
    pub(crate) last_ms: i64,
    pub(crate) sums: Sums,
    pub(crate) identities: Sketch,
    /// The newest decisions; in ascending order once they are united with others.
    pub(crate) samples: Vec<u128>,
}

impl Default for Cell {
    fn default() -> Self {
        Self {
            count: 0,
            first_ms: i64::MAX,
            last_ms: i64::MIN,
            sums: Sums::default(),
            identities: Sketch::default(),
            samples: Vec::new(),
        }
    }
}

impl Cell {
    fn add(&mut self, seen: &Seen, sums: Option<&Sums>) {
        self.count = self.count.saturating_add(1);
        self.first_ms = self.first_ms.min(seen.at_ms);
        self.last_ms = self.last_ms.max(seen.at_ms);
        self.identities.add(seen.subject);
        if self.samples.len() >= SAMPLES_MAX {
            self.samples.remove(0);
        }
        self.samples.push(seen.id.as_u128());
        if let Some(sums) = sums {
            self.sums.add(sums);
        }
    }

    /// Adds what was counted elsewhere.
    pub(crate) fn unite(&mut self, other: &Self) {
        self.count = self.count.saturating_add(other.count);
        self.first_ms = self.first_ms.min(other.first_ms);
        self.last_ms = self.last_ms.max(other.last_ms);
        self.sums.add(&other.sums);
        self.identities.unite(&other.identities);
        self.samples.extend_from_slice(&other.samples);
        self.samples.sort_unstable();
        self.samples.dedup();
        let surplus = self.samples.len().saturating_sub(SAMPLES_MAX);
        self.samples.drain(..surplus);
    }
}

/// Counts by written key.
pub(crate) type Cells = HashMap<Box<str>, Cell, RandomState>;

/// Of which decision something is counted.
struct Seen {
    id: DecisionId,
    at_ms: i64,
    subject: u64,
}

#[derive(Default)]
struct Part {
    buffer: String,
    cells: Cells,
}

/// Counts since they were taken last.
#[derive(Default)]
pub(crate) struct Counter {
    parts: [Mutex<Part>; PARTS],
}

/// The part that this thread counts in.
fn my_part() -> usize {
    static NEXT: AtomicUsize = AtomicUsize::new(0);
    thread_local! {
        static MINE: usize = NEXT.fetch_add(1, Ordering::Relaxed) % PARTS;
    }
    MINE.with(|part| *part)
}

impl Counter {
    /// Counts a record.
    pub(crate) fn note(&self, record: &Record) {
        let decision = &record.decision;
        let seen = Seen {
            id: decision.id,
            at_ms: decision.at.as_millisecond(),
            subject: subject_hash(&decision.subject),
        };
        let Some(part) = self.parts.get(my_part()) else { return };
        let mut part = part.lock().unwrap_or_else(PoisonError::into_inner);
        part.outcome(&seen, record);
        part.rules(&seen, decision.boundary, &decision.matched, &decision.errored);
        if let Some(error_type) = &record.result.error_type {
            part.refusal(&seen, error_type, &record.result);
        }
        record.result.failures.iter().for_each(|attempt| part.failure(&seen, attempt));
    }

    /// Takes everything that was counted since the last time.
    pub(crate) fn take(&self) -> Cells {
        let mut all = Cells::default();
        for part in &self.parts {
            let cells = std::mem::take(&mut part.lock().unwrap_or_else(PoisonError::into_inner).cells);
            for (key, cell) in cells {
                all.entry(key).or_default().unite(&cell);
            }
        }
        all
    }
}

impl Part {
    fn add(&mut self, kind: TallyKind, words: &[&str], seen: &Seen, sums: Option<&Sums>) {
        key::write(&mut self.buffer, kind, words);
        if let Some(cell) = self.cells.get_mut(self.buffer.as_str()) {
            return cell.add(seen, sums);
        }
        if self.cells.len() >= PART_KEYS_MAX {
            key::write(&mut self.buffer, kind, &[OTHER]);
        }
        self.cells.entry(self.buffer.as_str().into()).or_default().add(seen, sums);
    }

    fn outcome(&mut self, seen: &Seen, record: &Record) {
        match &record.result.tool {
            Some(tool) => {
                let outcome = record.decision.outcome.as_str();
                let denial = tool.denial.as_ref().map_or("", |denial| denial.kind.as_str());
                let sums = Sums { total_us: us(tool.duration_ms), ..Sums::default() };
                self.add(TallyKind::Tool, &[outcome, &tool.ended, denial], seen, Some(&sums));
            }
            None => {
                self.add(TallyKind::Request, &[record.came_to()], seen, Some(&sums_of(&record.result)));
            }
        }
    }

    fn rules(&mut self, seen: &Seen, on: Boundary, matched: &[Matched], errored: &[Errored]) {
        for rule in matched {
            let words = [&rule.rule, &rule.version, rule.mode.as_str(), &rule.action, on.as_str()];
            self.add(TallyKind::Rule, &words, seen, None);
        }
        for rule in errored {
            self.add(TallyKind::RuleError, &[&rule.rule, on.as_str()], seen, None);
        }
    }

    fn refusal(&mut self, seen: &Seen, error_type: &str, result: &RequestResult) {
        let stage = result.ended_at.as_deref().unwrap_or_default();
        let limit = result.limit.as_deref().unwrap_or_default();
        // `rule:<id>`: which one it was is told by the rule's own count.
        let limit = limit.split_once(':').map_or(limit, |(kind, _)| kind);
        self.add(TallyKind::Refusal, &[error_type, stage, limit], seen, None);
    }

    fn failure(&mut self, seen: &Seen, attempt: &FailedAttempt) {
        let words = [
            attempt.class.as_str(),
            &attempt.provider,
            attempt.owner.as_str(),
            attempt.report.as_str(),
            attempt.credential.as_str(),
            attempt.rule.as_deref().unwrap_or_default(),
        ];
        self.add(TallyKind::Failure, &words, seen, None);
        self.rules(seen, Boundary::Failure, &attempt.matched, &attempt.errored);
    }
}

/// Microseconds of milliseconds.
#[expect(
    clippy::cast_possible_truncation,
    clippy::cast_sign_loss,
    reason = "a duration; a cast of what does not fit stays at its end"
)]
fn us(ms: f64) -> u64 {
    (ms * 1000.0) as u64
}

fn sums_of(result: &RequestResult) -> Sums {
    let usage = result.usage.unwrap_or_default();
    Sums {
        overhead_us: us(result.timings.overhead_ms),
        delay_us: result.abuse_delay.unwrap_or(0).saturating_mul(1000),
        upstream_us: us(result.timings.upstream_head_ms),
        total_us: us(result.timings.total_ms),
        input_tokens: usage.input_tokens,
        output_tokens: usage.output_tokens,
        cost_microusd: usage.cost_microusd,
    }
}
