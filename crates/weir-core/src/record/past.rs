//! A record as it is replayed: borrowed, and only what a decision depended on or is compared by.
//!
//! Replaying reads millions of records, of each but a part. Who keeps records makes these from its own form without
//! copying a text; whoever has a [`Record`] borrows one from it.

use std::borrow::Cow;

use jiff::Timestamp;

use super::{FailedAttempt, IdentityFacts, Record, RecordedFacts, RequestFacts, Stats, ToolRecord};
use crate::decision::{Boundary, Source};
use crate::ids::DecisionId;

/// A recorded decision.
#[derive(Clone, Debug)]
pub struct Past<'a> {
    /// Its id.
    pub id: DecisionId,
    /// Where it was made.
    pub boundary: Boundary,
    /// Whom it concerns.
    pub subject: &'a str,
    /// When.
    pub at: Timestamp,
    /// What was decided.
    pub outcome: &'a str,
    /// The rule that decided.
    pub rule: Option<&'a str>,
    /// The reason.
    pub because: Option<&'a str>,
    /// Where it comes from.
    pub source: Source,
    /// Whether something else than weir's own rules matched: a remote classifier's have no version.
    pub foreign: bool,
    /// The stage at which the request ended.
    pub ended_at: Option<&'a str>,
    /// The limit that refused it.
    pub limit: Option<&'a str>,
    /// Its failed attempts.
    pub failures: Cow<'a, [FailedAttempt]>,
    /// The tool call, when it is the record of one.
    pub tool: Option<Cow<'a, ToolRecord>>,
    /// The facts.
    pub facts: PastFacts<'a>,
    /// The API key that a provider was called for.
    pub key_id: Option<&'a str>,
}

/// The facts of a recorded decision.
#[derive(Clone, Copy, Debug, Default)]
pub struct PastFacts<'a> {
    /// `request.*`.
    pub request: PastRequest<'a>,
    /// `identity.*`.
    pub identity: PastIdentity<'a>,
    /// `stats.*`.
    pub stats: Stats,
    /// Whether the counters were looked up.
    pub stats_known: bool,
    /// Whether something was taken out of the texts that a caller chose.
    pub redacted: bool,
}

/// The recorded facts of a request, borrowed.
#[derive(Clone, Copy, Debug, Default)]
#[expect(missing_docs, reason = "the names are those of the facts in the rule reference")]
pub struct PastRequest<'a> {
    pub api: &'a str,
    pub path: &'a str,
    pub model: &'a str,
    pub provider: &'a str,
    pub free: bool,
    pub stream: bool,
    pub max_tokens: i64,
    pub has_tools: bool,
    pub byok: bool,
    pub feature: &'a str,
    pub editor: &'a str,
    pub user_agent: &'a str,
    pub ip: &'a str,
    pub ja4: &'a str,
    pub country: &'a str,
    pub city: &'a str,
    pub body_bytes: i64,
}

/// The recorded facts of an identity, borrowed.
#[derive(Clone, Copy, Debug, Default)]
#[expect(missing_docs, reason = "the names are those of the facts in the rule reference")]
pub struct PastIdentity<'a> {
    pub key: &'a str,
    pub kind: &'a str,
    pub user_id: &'a str,
    pub org_id: &'a str,
    pub project_id: &'a str,
    pub plan: &'a str,
    pub verified: bool,
    pub blocked: bool,
    pub age_days: i64,
    pub tags: &'a [String],
}

impl<'a> From<&'a RequestFacts> for PastRequest<'a> {
    fn from(facts: &'a RequestFacts) -> Self {
        Self {
            api: &facts.api,
            path: &facts.path,
            model: &facts.model,
            provider: &facts.provider,
            free: facts.free,
            stream: facts.stream,
            max_tokens: facts.max_tokens,
            has_tools: facts.has_tools,
            byok: facts.byok,
            feature: &facts.feature,
            editor: &facts.editor,
            user_agent: &facts.user_agent,
            ip: &facts.ip,
            ja4: &facts.ja4,
            country: &facts.country,
            city: &facts.city,
            body_bytes: facts.body_bytes,
        }
    }
}

impl<'a> From<&'a IdentityFacts> for PastIdentity<'a> {
    fn from(facts: &'a IdentityFacts) -> Self {
        Self {
            key: &facts.key,
            kind: &facts.kind,
            user_id: &facts.user_id,
            org_id: &facts.org_id,
            project_id: &facts.project_id,
            plan: &facts.plan,
            verified: facts.verified,
            blocked: facts.blocked,
            age_days: facts.age_days,
            tags: &facts.tags,
        }
    }
}

impl<'a> From<&'a RecordedFacts> for PastFacts<'a> {
    fn from(facts: &'a RecordedFacts) -> Self {
        Self {
            request: (&facts.request).into(),
            identity: (&facts.identity).into(),
            stats: facts.stats,
            stats_known: facts.stats_known,
            redacted: facts.redacted,
        }
    }
}

impl<'a> From<&'a Record> for Past<'a> {
    fn from(record: &'a Record) -> Self {
        let (decision, result) = (&record.decision, &record.result);
        Self {
            id: decision.id,
            boundary: decision.boundary,
            subject: &decision.subject,
            at: decision.at,
            outcome: decision.outcome.as_str(),
            rule: decision.rule.as_deref(),
            because: decision.because.as_deref(),
            source: decision.source,
            foreign: decision.matched.iter().any(|matched| matched.version.is_empty()),
            ended_at: result.ended_at.as_deref(),
            limit: result.limit.as_deref(),
            failures: Cow::Borrowed(&result.failures),
            tool: result.tool.as_deref().map(Cow::Borrowed),
            facts: (&record.facts).into(),
            key_id: record.call.as_ref().and_then(|call| call.key_id.as_deref()),
        }
    }
}
