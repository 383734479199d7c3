//! Blocks of records: what the decision log is written and read in.
//!
//! A block holds records of one boundary whose ids were made within the same ten seconds, so that a list, which goes by
//! the ids, has few blocks to look into; of slow traffic, small ones are merged later to some of minutes. Its header
//! says which ids and, by Bloom filters, whose records it may hold and what of them is notable.
//! Its body is LZ4 over entries one after the other: id (16 bytes), hash of the subject (8), length (4), record
//! (MessagePack, members by position). A reader skips what it does not look for without decoding it.

mod past;

use std::collections::BTreeMap;
use std::time::Duration;

use serde::{Deserialize, Serialize};
use weir_core::decision::{Errored, Matched, Obligation, Source};
use weir_core::record::{ProviderCall, Record, RecordedFacts, RequestResult};
use weir_core::{Action, Boundary, Decision, DecisionId, Outcome, Timestamp};

use crate::error::{ErrorKind, Result, StoreError};

/// The time that the ids of one block may span when it is written.
pub(super) const SPAN: Duration = Duration::from_secs(10);

/// The time that those of a block may span that was merged of smaller ones, and so of any block.
pub(super) const REACH: Duration = Duration::from_secs(600);

/// What a block holds, as its row says.
pub(crate) struct Block {
    pub(super) boundary: Boundary,
    pub(super) first: DecisionId,
    pub(super) last: DecisionId,
    pub(super) records: usize,
    /// Of its records, those whose request went to a provider.
    pub(super) calls: usize,
    /// A filter over the hashes of its subjects, and one over those of its [`Term`]s.
    pub(super) subjects: Vec<u8>,
    pub(super) terms: Vec<u8>,
    pub(super) notable: Vec<Notable>,
    pub(super) body: Vec<u8>,
}

/// A record that one looks for by what was enforced ([`Record::enforced`]), or by the rule behind it.
#[derive(Clone)]
pub(super) struct Notable {
    pub(super) id: DecisionId,
    /// None when it is the one that nearly all have.
    pub(super) outcome: Option<String>,
    pub(super) rule: Option<String>,
    terms: Vec<u64>,
}

/// What a filter of a block is asked for: a notable outcome or rule, alone or together with another condition.
#[derive(Clone, Copy)]
pub(super) enum Term<'a> {
    Outcome(&'a str),
    Rule(&'a str),
    RuleOutcome(&'a str, &'a str),
    SubjectOutcome(&'a str, &'a str),
    SubjectRule(&'a str, &'a str),
}

impl<'a> Term<'a> {
    /// The term that narrows most. Only notable records have terms: what nearly all are is none.
    pub(super) fn of(
        subject: Option<&'a str>,
        outcome: Option<&'a str>,
        rule: Option<&'a str>,
        is_routine: bool,
    ) -> Option<Self> {
        match (subject, outcome, rule) {
            (Some(subject), _, Some(rule)) => Some(Self::SubjectRule(subject, rule)),
            (None, Some(outcome), Some(rule)) => Some(Self::RuleOutcome(rule, outcome)),
            (None, None, Some(rule)) => Some(Self::Rule(rule)),
            (_, Some(_), None) if is_routine => None,
            (Some(subject), Some(outcome), None) => Some(Self::SubjectOutcome(subject, outcome)),
            (None, Some(outcome), None) => Some(Self::Outcome(outcome)),
            (_, None, None) => None,
        }
    }

    /// What stands in the filter; the same in every build.
    pub(super) fn hash(self) -> u64 {
        let (kind, one, other) = match self {
            Self::Outcome(outcome) => (b'o', outcome, ""),
            Self::Rule(rule) => (b'r', rule, ""),
            Self::RuleOutcome(rule, outcome) => (b'b', rule, outcome),
            Self::SubjectOutcome(subject, outcome) => (b'O', subject, outcome),
            Self::SubjectRule(subject, rule) => (b'R', subject, rule),
        };
        let separator = 0xff;
        let octets = one.bytes().chain(std::iter::once(separator)).chain(other.bytes());
        stable_hash(std::iter::once(kind).chain(octets))
    }
}

/// The outcome that nearly all decisions of a boundary have.
pub(super) const fn routine(boundary: Boundary) -> Option<&'static str> {
    match boundary {
        Boundary::Request => Some(Action::Nothing.as_str()),
        Boundary::Tool => Some("allow"),
        Boundary::Failure => None,
    }
}

impl Notable {
    fn of(record: &Record) -> Option<Self> {
        let (outcome, rule) = record.enforced();
        let outcome = (routine(record.decision.boundary) != Some(outcome)).then(|| outcome.to_owned());
        let notable = outcome.is_some() || rule.is_some();
        notable.then(|| Self {
            id: record.decision.id,
            outcome,
            rule: rule.map(str::to_owned),
            terms: Self::terms(record),
        })
    }

    fn terms(record: &Record) -> Vec<u64> {
        let subject = record.decision.subject.as_str();
        let (outcome, rule) = record.enforced();
        let is_routine = routine(record.decision.boundary) == Some(outcome);
        let of_outcome =
            (!is_routine).then_some([Term::Outcome(outcome), Term::SubjectOutcome(subject, outcome)]);
        let of_rule = rule.map(|rule| {
            [Term::Rule(rule), Term::RuleOutcome(rule, outcome), Term::SubjectRule(subject, rule)]
        });
        let terms = of_outcome.into_iter().flatten().chain(of_rule.into_iter().flatten());
        terms.map(Term::hash).collect()
    }
}

/// Members of a record by position; what the entry's head and the block say already is left out.
#[derive(Serialize)]
struct Stored<'a> {
    at_ns: i64,
    subject: &'a str,
    outcome: &'a Outcome,
    rule: &'a Option<String>,
    because: &'a Option<String>,
    instead: &'a Option<String>,
    sus_score: i64,
    matched: &'a [Matched],
    errored: &'a [Errored],
    obligations: &'a [Obligation],
    source: Source,
    epoch: u64,
    result: &'a RequestResult,
    facts: &'a RecordedFacts,
    call: &'a Option<ProviderCall>,
}

/// The same, to be read.
#[derive(Deserialize)]
struct Restored {
    at_ns: i64,
    subject: String,
    outcome: Outcome,
    rule: Option<String>,
    because: Option<String>,
    instead: Option<String>,
    sus_score: i64,
    matched: Vec<Matched>,
    errored: Vec<Errored>,
    obligations: Vec<Obligation>,
    source: Source,
    epoch: u64,
    result: RequestResult,
    facts: RecordedFacts,
    #[serde(default)]
    call: Option<ProviderCall>,
}

/// A record on its way into a block: encoded, so that it is small while it waits.
pub(crate) struct Prepared {
    id: DecisionId,
    boundary: Boundary,
    subject: u64,
    called: bool,
    notable: Option<Notable>,
    record: Vec<u8>,
}

/// Bytes that most records take, encoded.
const RECORD_BYTES_USUAL: usize = 512;

impl Prepared {
    /// Encodes a record.
    ///
    /// # Errors
    /// `Refused` when its time is beyond the year 2262.
    pub(crate) fn of(record: &Record) -> Result<Self> {
        let refused = |what: &str| StoreError::new(ErrorKind::Refused, format!("a record: {what}"));
        let decision = &record.decision;
        let stored = Stored {
            at_ns: i64::try_from(decision.at.as_nanosecond())
                .map_err(|_| refused("its time is beyond 2262"))?,
            subject: &decision.subject,
            outcome: &decision.outcome,
            rule: &decision.rule,
            because: &decision.because,
            instead: &decision.instead,
            sus_score: decision.sus_score,
            matched: &decision.matched,
            errored: &decision.errored,
            obligations: &decision.obligations,
            source: decision.source,
            epoch: decision.epoch,
            result: &record.result,
            facts: &record.facts,
            call: &record.call,
        };
        let mut encoded = Vec::with_capacity(RECORD_BYTES_USUAL);
        rmp_serde::encode::write(&mut encoded, &stored).map_err(|e| refused(&e.to_string()))?;
        Ok(Self {
            id: decision.id,
            boundary: decision.boundary,
            subject: subject_hash(&decision.subject),
            called: record.call.is_some(),
            notable: Notable::of(record),
            record: encoded,
        })
    }
}

/// Puts records into blocks.
pub(crate) fn blocks<'a>(records: impl IntoIterator<Item = &'a Prepared>) -> Result<Vec<Block>> {
    let mut groups: BTreeMap<(&'static str, i64), Vec<&Prepared>> = BTreeMap::new();
    let span_ms = i64::try_from(SPAN.as_millis()).unwrap_or(i64::MAX);
    for record in records {
        let span = record.id.at().as_millisecond() / span_ms;
        groups.entry((record.boundary.as_str(), span)).or_default().push(record);
    }
    groups.into_values().map(block).collect()
}

/// Puts records of one boundary into one block.
pub(super) fn block(mut records: Vec<&Prepared>) -> Result<Block> {
    // One that was written twice, after a timeout, is one.
    records.sort_by_key(|record| record.id);
    records.dedup_by_key(|record| record.id);
    let (Some(first), Some(last)) = (records.first(), records.last()) else {
        return Err(StoreError::new(ErrorKind::Refused, "a block without records"));
    };
    let bytes: usize = records.iter().map(|record| record.record.len() + ENTRY_HEAD_BYTES).sum();
    let mut entries = Vec::with_capacity(bytes);
    for record in &records {
        let length = u32::try_from(record.record.len())
            .map_err(|_| StoreError::new(ErrorKind::Refused, "a record: it is larger than 4 GiB"))?;
        entries.extend_from_slice(&record.id.as_u128().to_be_bytes());
        entries.extend_from_slice(&record.subject.to_be_bytes());
        entries.extend_from_slice(&length.to_be_bytes());
        entries.extend_from_slice(&record.record);
    }
    let notable = || records.iter().filter_map(|record| record.notable.as_ref());
    Ok(Block {
        boundary: last.boundary,
        first: first.id,
        last: last.id,
        records: records.len(),
        calls: records.iter().filter(|record| record.called).count(),
        subjects: filter_of(records.iter().map(|record| record.subject).collect()),
        terms: filter_of(notable().flat_map(|notable| notable.terms.iter().copied()).collect()),
        notable: notable().cloned().collect(),
        body: lz4_flex::block::compress_prepend_size(&entries),
    })
}

/// Bytes before an entry's record: id, hash of the subject, length.
const ENTRY_HEAD_BYTES: usize = 16 + 8 + 4;

/// The body of a block, uncompressed.
pub(super) struct Body {
    boundary: Boundary,
    entries: Vec<u8>,
}

/// One entry of a body, not yet decoded.
pub(super) struct Entry<'a> {
    pub(super) id: DecisionId,
    pub(super) subject: u64,
    boundary: Boundary,
    record: &'a [u8],
}

fn corrupt(what: impl std::fmt::Display) -> StoreError {
    StoreError::corrupt("a block of records", what)
}

impl Body {
    pub(super) fn open(boundary: Boundary, body: &[u8]) -> Result<Self> {
        let entries = lz4_flex::block::decompress_size_prepended(body).map_err(corrupt)?;
        Ok(Self { boundary, entries })
    }

    /// Its size, uncompressed.
    pub(super) const fn bytes(&self) -> u64 {
        self.entries.len() as u64
    }

    /// The entries in the order of their ids.
    pub(super) fn entries(&self) -> impl Iterator<Item = Result<Entry<'_>>> {
        let mut rest = self.entries.as_slice();
        std::iter::from_fn(move || {
            if rest.is_empty() {
                return None;
            }
            let entry = split_entry(&mut rest, self.boundary);
            if entry.is_none() {
                rest = &[];
            }
            Some(entry.ok_or_else(|| corrupt("an entry is cut short")))
        })
    }
}

fn split_entry<'a>(rest: &mut &'a [u8], boundary: Boundary) -> Option<Entry<'a>> {
    let (id, after) = rest.split_first_chunk()?;
    let (subject, after) = after.split_first_chunk()?;
    let (length, after) = after.split_first_chunk()?;
    let (record, after) = after.split_at_checked(u32::from_be_bytes(*length) as usize)?;
    *rest = after;
    let id = DecisionId::from_u128(u128::from_be_bytes(*id));
    Some(Entry { id, subject: u64::from_be_bytes(*subject), boundary, record })
}

impl Entry<'_> {
    /// The record as it is stored: texts stand in it as they are.
    pub(super) const fn stored(&self) -> &[u8] {
        self.record
    }

    /// The same, on its way into another block. What this version does not know of it stays as it is.
    pub(super) fn again(&self) -> Result<Prepared> {
        let record = self.record()?;
        Ok(Prepared {
            id: self.id,
            boundary: self.boundary,
            subject: self.subject,
            called: record.call.is_some(),
            notable: Notable::of(&record),
            record: self.record.to_vec(),
        })
    }

    pub(super) fn record(&self) -> Result<Record> {
        let restored: Restored = rmp_serde::from_slice(self.record).map_err(corrupt)?;
        let at = Timestamp::from_nanosecond(i128::from(restored.at_ns)).map_err(corrupt)?;
        let decision = Decision {
            id: self.id,
            boundary: self.boundary,
            subject: restored.subject,
            outcome: restored.outcome,
            rule: restored.rule,
            because: restored.because,
            instead: restored.instead,
            sus_score: restored.sus_score,
            matched: restored.matched,
            errored: restored.errored,
            obligations: restored.obligations,
            source: restored.source,
            epoch: restored.epoch,
            at,
        };
        Ok(Record { decision, result: restored.result, facts: restored.facts, call: restored.call })
    }
}

/// The hash by which a subject is found.
pub(crate) fn subject_hash(subject: &str) -> u64 {
    stable_hash(subject.bytes())
}

/// FNV-1a of 64 bits with a last mixing, since it must be the same in every build.
fn stable_hash(octets: impl Iterator<Item = u8>) -> u64 {
    let hash = octets.fold(0xcbf2_9ce4_8422_2325_u64, |hash, byte| {
        (hash ^ u64::from(byte)).wrapping_mul(0x0100_0000_01b3)
    });
    let hash = (hash ^ (hash >> 32)).wrapping_mul(0xd6e8_feb8_6659_fd93);
    hash ^ (hash >> 32)
}

/// Bits of a filter for each hash, and how many of them one sets: about three looks in ten thousand are in vain. (Blocks of
/// an earlier version have ten bits, and one look in a hundred is.)
const FILTER_BITS: usize = 20;
const FILTER_PROBES: u64 = 6;

/// A Bloom filter over hashes.
fn filter_of(mut hashes: Vec<u64>) -> Vec<u8> {
    hashes.sort_unstable();
    hashes.dedup();
    let mut filter = vec![0_u8; (hashes.len() * FILTER_BITS).div_ceil(8)];
    for hash in hashes {
        for (byte, bit) in probes(hash, filter.len()) {
            if let Some(byte) = filter.get_mut(byte) {
                *byte |= bit;
            }
        }
    }
    filter
}

/// Whether a block with this filter may hold a record of the subject.
pub(super) fn may_hold(filter: &[u8], subject: u64) -> bool {
    probes(subject, filter.len()).all(|(byte, bit)| filter.get(byte).is_some_and(|b| b & bit != 0))
}

/// The places of a hash in a filter: byte and bit.
fn probes(hash: u64, bytes: usize) -> impl Iterator<Item = (usize, u8)> {
    let bits = (bytes as u64).saturating_mul(8).max(1);
    let step = (hash >> 32) | 1;
    (0..FILTER_PROBES).map(move |n| {
        let bit = hash.wrapping_add(step.wrapping_mul(n)) % bits;
        (usize::try_from(bit / 8).unwrap_or(usize::MAX), 1 << (bit % 8))
    })
}

#[cfg(test)]
mod tests;
