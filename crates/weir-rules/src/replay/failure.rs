//! Recorded failures: the failed attempts of a request.

use std::sync::Arc;

use weir_core::Boundary;
use weir_core::record::{FailedAttempt, Past, RecordedEvidence};

use super::report::{Effect, Why};
use super::request::unknown;
use super::sets::Variants;
use super::tally::Whom;
use super::{Compared, Rehearsal};
use crate::facts::{Fact, FactSet, Facts};
use crate::failure::{Classification, classify_past, pack};
use crate::set::EvaluateContext;

impl Rehearsal {
    pub(super) fn see_failures(&mut self, past: &Past<'_>, whom: &Whom<'_>) {
        for attempt in past.failures.iter() {
            // A key that is known to be dead was not tried: nothing failed anew.
            if attempt.number == 0 {
                self.counts.ended_before(Boundary::Failure);
            } else {
                self.see_failure(past, attempt, whom);
            }
        }
    }

    fn see_failure(&mut self, past: &Past<'_>, attempt: &FailedAttempt, whom: &Whom<'_>) {
        let unknown = unknown_of(past, &attempt.evidence);
        let pack =
            self.sets.pack.get_or_insert_with(|| Variants::new(Arc::new(pack().without(FactSet::default()))));
        let pack_reads = pack.without(FactSet::default()).all_read_on(Boundary::Failure);
        let own_reads = self.sets.rules.without(FactSet::default()).all_read_on(Boundary::Failure);
        let own = self.sets.rules.without(unknown.shared(own_reads));
        let pack = pack.without(unknown.shared(pack_reads));
        let facts = facts_of(past, attempt);
        let context = EvaluateContext { subject: past.subject, at: past.at };
        let seen = classify_past(&[own, pack], &facts, &context);
        let whole = self.sets.rules.without(FactSet::default());
        let position = |id: &str| whole.position(id);
        let (hits, room, samples) = (&mut self.counts.hits, &mut self.counts.room, self.options.samples);
        let matched = seen.found.matched.iter().filter_map(|matched| position(&matched.rule));
        matched.for_each(|rule| hits.matched(rule, whom, samples, room));
        seen.blind.iter().filter_map(|id| position(id)).for_each(|rule| hits.undecided(rule));
        if !seen.settled {
            self.counts.not_replayed(Boundary::Failure, Why::NotRecorded);
            return;
        }
        if let Some(decider) = seen.found.rule.as_deref().and_then(position) {
            hits.decided(decider);
        }
        let (from, to) = words(attempt, &seen.found);
        let effect = (from != to).then_some(Effect::Reclassified);
        let compared = Compared { from: &from, to: &to, effect, rule: seen.found.rule.as_deref() };
        self.counts.replayed(Boundary::Failure, whom, &compared, samples);
    }
}

/// The facts of a failure that its record does not tell. Of some it tells that there was nothing.
fn unknown_of(past: &Past<'_>, evidence: &RecordedEvidence) -> FactSet {
    let found = |fact: Fact| evidence.read.iter().any(|read| *read == fact.path());
    let mut lost = FactSet::of(
        [Fact::FailureMessage, Fact::FailureText, Fact::FailureHeaders]
            .into_iter()
            .filter(|fact| found(*fact)),
    );
    if evidence.code.is_none() && found(Fact::FailureCode) {
        lost.add(Fact::FailureCode);
    }
    if evidence.kind.is_none() && found(Fact::FailureType) {
        lost.add(Fact::FailureType);
    }
    let texts = FactSet::of([Fact::FailureMessage, Fact::FailureText, Fact::FailureHeaders]);
    unknown(&past.facts).minus(texts).with(lost)
}

fn facts_of<'p>(past: &Past<'p>, attempt: &'p FailedAttempt) -> Facts<'p> {
    let evidence = &attempt.evidence;
    let mut facts = Facts::of_past(Boundary::Failure, past.facts);
    facts.set_str(Fact::FailureProvider, &attempt.provider);
    facts.set_str(Fact::FailureOperation, past.facts.request.api);
    facts.set_str(Fact::FailurePhase, &evidence.phase);
    facts.set_str(Fact::FailureTransport, &evidence.transport);
    facts.set_str(Fact::FailureCode, evidence.code.as_deref().unwrap_or_default());
    facts.set_str(Fact::FailureType, evidence.kind.as_deref().unwrap_or_default());
    facts.set_int(Fact::FailureStatus, i64::from(evidence.status));
    facts.set_int(Fact::FailureHttpStatus, i64::from(evidence.http_status));
    facts.set_double(Fact::FailureRetryAfterS, evidence.retry_after_s.unwrap_or(0.0));
    facts.set_bool(Fact::FailureHouse, evidence.read.iter().any(|read| *read == Fact::FailureHouse.path()));
    facts.set_str(Fact::CredentialOwner, attempt.credential.as_str());
    facts.set_int(Fact::AttemptNumber, i64::from(attempt.number));
    facts
}

/// Both classes; where these are the same and something else is not, all of it.
fn words(was: &FailedAttempt, is: &Classification) -> (String, String) {
    if was.class != is.class || (was.owner, was.retry, was.report) == (is.owner, is.retry, is.report) {
        return (was.class.as_str().to_owned(), is.class.as_str().to_owned());
    }
    let all = |class: &str, owner: &str, retry: &str, report: &str| {
        format!("{class} (owner {owner}, retry {retry}, report {report})")
    };
    (
        all(was.class.as_str(), was.owner.as_str(), was.retry.as_str(), was.report.as_str()),
        all(is.class.as_str(), is.owner.as_str(), is.retry.as_str(), is.report.as_str()),
    )
}
