//! The recorded facts of one evaluation, and which of the facts are not among them.

use std::borrow::Cow;

use jiff::Timestamp;
use weir_core::record::{FailedAttempt, Record, ToolRecord};
use weir_core::tool::PermissionLevel;
use weir_core::{Boundary, Mode};

use super::Truth;
use crate::expr::{Env, Expr, Fault, Scratch};
use crate::facts::{Fact, FactSet, Facts};
use crate::rule::Rule;
use crate::set::{EvaluateContext, RuleSet, applies};

/// The facts of one evaluation, as far as they were recorded.
pub struct Past<'a> {
    facts: Facts<'a>,
    missing: FactSet,
    at: Timestamp,
    subject: &'a str,
}

/// What is not told of a failure besides: what only the attempt knew. That it was a provider's own words is in its evidence.
const NOT_OF_FAILURES: [Fact; 2] = [Fact::FailureProvider, Fact::Now];

fn unrecorded(record: &Record) -> FactSet {
    FactSet::unrecorded(record.facts.stats_known, record.facts.redacted)
}

impl<'a> Past<'a> {
    /// Of a request.
    #[must_use]
    pub fn of_request(record: &'a Record) -> Self {
        Self::new(Facts::of_request(&record.facts), unrecorded(record), record)
    }

    /// Of a tool call.
    #[must_use]
    pub fn of_call(record: &'a Record, tool: &'a ToolRecord) -> Self {
        let mut facts = Facts::new(Boundary::Tool);
        facts.set_identity(&record.facts.identity);
        facts.set_stats(&record.facts.stats);
        let level = |level: Option<PermissionLevel>| level.map_or("", PermissionLevel::token);
        for (fact, text) in [
            (Fact::ToolName, tool.name.as_str()),
            (Fact::ToolServer, &tool.server),
            (Fact::ToolLevel, level(tool.tool_level)),
            (Fact::CallLevel, level(tool.level)),
            (Fact::CallSource, &tool.source),
            (Fact::ChannelName, &tool.channel),
            (Fact::ChannelCeiling, level(tool.ceiling)),
            (Fact::AgentId, &tool.agent),
            (Fact::SessionId, &tool.session),
        ] {
            facts.set_str(fact, text);
        }
        facts.set_int(Fact::CallIteration, i64::from(tool.iteration));
        Self::new(facts, unrecorded(record), record)
    }

    /// Of a failed attempt.
    #[must_use]
    pub fn of_attempt(record: &'a Record, attempt: &'a FailedAttempt) -> Self {
        let mut facts = Facts::of_request(&record.facts);
        let evidence = &attempt.evidence;
        let texts = FactSet::of([Fact::FailureMessage, Fact::FailureText, Fact::FailureHeaders]);
        let mut missing = unrecorded(record).minus(texts).with(FactSet::of(NOT_OF_FAILURES));
        for (fact, text) in [
            (Fact::FailureOperation, record.facts.request.api.as_str()),
            (Fact::FailurePhase, &evidence.phase),
            (Fact::FailureTransport, &evidence.transport),
            (Fact::FailureCode, evidence.code.as_deref().unwrap_or_default()),
            (Fact::FailureType, evidence.kind.as_deref().unwrap_or_default()),
            (Fact::CredentialOwner, attempt.credential.as_str()),
        ] {
            facts.set_str(fact, text);
        }
        facts.set_int(Fact::FailureStatus, i64::from(evidence.status));
        facts.set_int(Fact::FailureHttpStatus, i64::from(evidence.http_status));
        facts.set_int(Fact::AttemptNumber, i64::from(attempt.number));
        facts.set_double(Fact::FailureRetryAfterS, evidence.retry_after_s.unwrap_or(0.0));
        let found = |fact: Fact| evidence.read.contains(&fact.path());
        facts.set_bool(Fact::FailureHouse, found(Fact::FailureHouse));
        // A word that no rule knows is not kept; one that was not found is the empty one.
        for fact in [
            Fact::FailureCode,
            Fact::FailureType,
            Fact::FailureMessage,
            Fact::FailureText,
            Fact::FailureHeaders,
        ] {
            let kept = match fact {
                Fact::FailureCode => evidence.code.is_some(),
                Fact::FailureType => evidence.kind.is_some(),
                _ => false,
            };
            if found(fact) && !kept {
                missing.add(fact);
            }
        }
        Self::new(facts, missing, record)
    }

    fn new(facts: Facts<'a>, missing: FactSet, record: &'a Record) -> Self {
        Self { facts, missing, at: record.decision.at, subject: &record.decision.subject }
    }

    /// Reads with everything that evaluating needs.
    pub(super) fn read<T>(&self, read: impl FnOnce(&Env<'_>) -> T) -> T {
        let scratch = Scratch::default();
        read(&Env::new(&self.facts, self.at, &scratch))
    }

    /// What an expression is where what was not recorded cannot be read: what a backtest evaluates.
    pub(super) fn known<'e>(&self, expr: &'e Expr) -> Cow<'e, Expr> {
        let mut has = true;
        expr.facts(&mut |fact| has &= !self.missing.has(fact));
        if has { Cow::Borrowed(expr) } else { Cow::Owned(expr.without(self.missing)) }
    }

    /// What a condition comes to on what was recorded.
    pub(super) fn truth(&self, expr: &Expr, env: &Env<'_>) -> (Truth, Option<Fault>) {
        match self.known(expr).holds(env) {
            Ok(true) => (Truth::True, None),
            Ok(false) => (Truth::False, None),
            Err(fault) if fault.is_of_unrecorded() => (Truth::NotRecorded, None),
            Err(fault) => (Truth::Error, Some(fault)),
        }
    }

    /// The enforced rules that were asked and of whose conjunction exactly one part was false.
    pub(super) fn near_misses<'r>(
        &self,
        rules: &'r RuleSet,
        boundary: Boundary,
    ) -> impl Iterator<Item = &'r Rule> {
        let context = EvaluateContext { subject: self.subject, at: self.at };
        rules.with_conditions().filter_map(move |(rule, condition)| {
            let asked = rule.on == boundary && rule.mode == Mode::Enforce && applies(rule, &context);
            (asked && self.read(|env| self.is_near_miss(condition, env))).then_some(rule)
        })
    }

    fn is_near_miss(&self, condition: &Expr, env: &Env<'_>) -> bool {
        let Expr::And(parts) = condition else { return false };
        let mut missed = 0;
        for part in parts {
            match self.truth(part, env) {
                (Truth::True, _) => {}
                (Truth::False, _) if missed == 0 => missed = 1,
                _ => return false,
            }
        }
        missed == 1
    }
}
