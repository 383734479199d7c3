//! What is kept of a request: its decision, what came of it, and the facts it was decided on.
//!
//! A record has named members only. There is no member for a prompt, a completion, a header map, an argument or a
//! key, so none can be recorded by accident (design, section 2).
//!
//! The store keeps the members of these structs by their position. So a new member goes to the end of its struct, has a
//! default, and none is ever taken away, skipped when empty or given another type.

mod attempt;
mod limit;
mod past;
mod stages;
mod tool;

use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use crate::Action;
use crate::decision::Decision;
use crate::ids::DecisionId;

pub use attempt::{FailedAttempt, FallbackDecision, NextStep, RecordedEvidence, Skipped};
pub use limit::{limit_of_rule, rule_of_limit};
pub use past::{Past, PastFacts, PastIdentity, PastRequest};
pub use stages::{Stage, StageTimes};
pub use tool::ToolRecord;

/// The record of one request that reached an endpoint. Exactly one is made, also when the client goes away.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Record {
    /// The decision.
    #[serde(flatten)]
    pub decision: Decision,
    /// What came of it.
    pub result: RequestResult,
    /// The facts it was decided on, so that it can be replayed.
    pub facts: RecordedFacts,
    /// The provider that it went to; none when it ended before one was called.
    #[serde(default)]
    pub call: Option<ProviderCall>,
}

impl Record {
    /// What was enforced: the outcome and the rule behind it. A rule's limit that is exceeded refuses without deciding
    /// anew, so then it is `rate-limit` by that rule, whatever else was decided; else it is what was decided.
    #[must_use]
    pub fn enforced(&self) -> (&str, Option<&str>) {
        match self.result.limiting_rule() {
            Some(rule) => (Action::RateLimit.as_str(), Some(rule)),
            None => (self.decision.outcome.as_str(), self.decision.rule.as_deref()),
        }
    }

    /// Whether weir refused the request by itself, although nothing was enforced: it could not be read, its key is not
    /// valid, its budget is used up, its model is unknown.
    #[must_use]
    pub fn is_refused_without_rule(&self) -> bool {
        let result = &self.result;
        let refused =
            result.ended_at.is_some() && result.error_type.is_some() && result.failure_class.is_none();
        refused && matches!(self.enforced().0.parse(), Ok(Action::Nothing | Action::Log))
    }

    /// What it came to, in one word: what was enforced, or [`REFUSED`]. Counts and lists for people say this, so that
    /// a request that weir refused by itself does not look as if it had passed.
    #[must_use]
    pub fn came_to(&self) -> &str {
        if self.is_refused_without_rule() { REFUSED } else { self.enforced().0 }
    }

    /// What was used, and at what cost: none when no provider was called.
    #[must_use]
    pub fn usage(&self) -> Option<UsageRecord> {
        let call = self.call.as_ref()?;
        let (identity, request) = (&self.facts.identity, &self.facts.request);
        Some(UsageRecord {
            decision: self.decision.id,
            at: self.decision.at,
            subject: self.decision.subject.clone(),
            user_id: identity.user_id.clone(),
            org_id: identity.org_id.clone(),
            project_id: identity.project_id.clone(),
            key_id: call.key_id.clone(),
            api: request.api.clone(),
            requested_model: call.requested_model.clone(),
            upstream_model: call.upstream_model.clone(),
            provider: call.provider.clone(),
            user_byok: call.user_byok,
            stream: request.stream,
            status: self.result.status,
            message_id: call.message_id.clone(),
            abuse_delay: self.result.abuse_delay,
            abuse_downgraded_from: self.result.abuse_downgraded_from.clone(),
            usage: self.result.usage.unwrap_or_default(),
        })
    }
}

/// What a request came to that weir refused although no rule did. It is no outcome of a decision.
pub const REFUSED: &str = "refused";

/// The provider that a request went to, with what its usage is told by.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct ProviderCall {
    /// The id of the API key.
    pub key_id: Option<String>,
    /// The effective model, which is the free one after a downgrade.
    pub requested_model: String,
    /// The name that the provider was sent.
    pub upstream_model: String,
    /// The provider.
    pub provider: String,
    /// Whether the caller's own key was used.
    pub user_byok: bool,
    /// The id of the provider's answer, for the cost call-back.
    pub message_id: Option<String>,
}

/// What came of a request.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct RequestResult {
    /// `x-request-id`, taken over or made.
    pub request_id: String,
    /// The HTTP status that the client was given; 0 when it left before one was.
    pub status: u16,
    /// The `error_type` of a refusal or a failure.
    pub error_type: Option<String>,
    /// The stage at which the request ended before its upstream call, in the words of ARCHITECTURE.md.
    pub ended_at: Option<String>,
    /// `abuse`, `free-model`, `address` or `rule:<id>` when a limit ended it.
    pub limit: Option<String>,
    /// Whether the client went away before the answer was complete.
    pub client_gone: bool,
    /// The artificial delay that was applied, in milliseconds.
    pub abuse_delay: Option<u64>,
    /// The model that was asked for when another was sent.
    pub abuse_downgraded_from: Option<String>,
    /// The model that was sent instead.
    pub served_model: Option<String>,
    /// The class of a failed provider call.
    pub failure_class: Option<String>,
    /// How long each part took.
    pub timings: Timings,
    /// Tokens and cost; present when a provider answered.
    pub usage: Option<Usage>,
    /// The attempts that failed, in order: also where a later one succeeded.
    pub failures: Vec<FailedAttempt>,
    /// The tool call, when this is the record of one: there was no request then.
    pub tool: Option<Box<ToolRecord>>,
    /// How long the caller was told to wait, in seconds: of a limit, what was left of its window.
    pub retry_after_s: Option<u64>,
    /// The decisions about fallback models, in order, also about those that did not take over. Where one of them was
    /// more severe and became the record's, the one about the model that was asked for stands among them.
    pub fallbacks: Vec<FallbackDecision>,
}

impl RequestResult {
    /// The rule whose limit refused the request.
    #[must_use]
    pub fn limiting_rule(&self) -> Option<&str> {
        rule_of_limit(self.limit.as_deref()?)
    }
}

/// How long the parts of a request took, in milliseconds.
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct Timings {
    /// From the head of the request to the end of the answer.
    pub total_ms: f64,
    /// weir's own share up to the answer's head, without artificial delay and the upstream's time.
    pub overhead_ms: f64,
    /// From the upstream call to the head of its answer.
    pub upstream_head_ms: f64,
    /// Spent in the decision itself, in microseconds.
    pub decide_us: f64,
    /// The stages, one by one.
    pub stages_us: StageTimes,
}

/// Tokens and cost of one answer, from the provider's own usage member; what it did not count of an answer that had
/// begun is estimated.
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct Usage {
    /// Tokens read, those from a cache included.
    pub input_tokens: u64,
    /// Tokens written.
    pub output_tokens: u64,
    /// Of the tokens read, those that came from the provider's cache.
    pub cache_read_tokens: u64,
    /// Tokens written to the provider's cache.
    pub cache_write_tokens: u64,
    /// Cost by the model's price, in millionths of a US dollar; 0 with the caller's own key.
    pub cost_microusd: u64,
    /// Whether tokens read or written, or some of them, are weir's estimate, because the provider has not counted them.
    pub estimated: bool,
}

/// The facts of design section 3 that may be recorded.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct RecordedFacts {
    /// `request.*` but for headers and prompts.
    pub request: RequestFacts,
    /// `identity.*`.
    pub identity: IdentityFacts,
    /// `stats.*` as they were at the decision.
    pub stats: Stats,
    /// Whether the counters were looked up: where no rule reads them they are not, and `stats` is zero for unknown.
    pub stats_known: bool,
    /// Whether something that looked like a secret was taken out of a text that a caller chose: then those texts are not
    /// what rules saw.
    pub redacted: bool,
}

/// The recordable facts of a request (design, section 3).
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
#[expect(missing_docs, reason = "the names are those of the facts in the rule reference")]
pub struct RequestFacts {
    pub api: String,
    pub path: String,
    pub model: String,
    pub provider: String,
    pub free: bool,
    pub stream: bool,
    pub max_tokens: i64,
    pub has_tools: bool,
    pub byok: bool,
    pub feature: String,
    pub editor: String,
    pub user_agent: String,
    pub ip: String,
    pub ja4: String,
    pub country: String,
    pub city: String,
    pub body_bytes: i64,
}

/// The facts of an identity (design, section 3).
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
#[expect(missing_docs, reason = "the names are those of the facts in the rule reference")]
pub struct IdentityFacts {
    pub key: String,
    pub kind: String,
    pub user_id: String,
    pub org_id: String,
    pub project_id: String,
    pub plan: String,
    pub verified: bool,
    pub blocked: bool,
    pub age_days: i64,
    pub tags: Vec<String>,
}

/// Counters over an identity's earlier requests (design, section 3).
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
#[expect(missing_docs, reason = "the names are those of the facts in the rule reference")]
pub struct Stats {
    pub requests_per_second: f64,
    pub requests_1h: i64,
    pub tokens_1h: i64,
    pub spend_1h_usd: f64,
    pub denied_1h: i64,
    pub ips_1h: i64,
    pub first_seen_s: i64,
}

/// Usage as it is listed: who used which model, how much of it, and at what cost.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct UsageRecord {
    /// The decision it belongs to.
    pub decision: DecisionId,
    /// When the request came.
    pub at: Timestamp,
    /// The identity's key.
    pub subject: String,
    /// The user, `anon:` and the address for anonymous callers.
    pub user_id: String,
    /// The key's organisation.
    pub org_id: String,
    /// The key's project.
    pub project_id: String,
    /// The id of the API key.
    pub key_id: Option<String>,
    /// The operation.
    pub api: String,
    /// The effective model, which is the free one after a downgrade.
    pub requested_model: String,
    /// The name that the provider was sent.
    pub upstream_model: String,
    /// The provider.
    pub provider: String,
    /// Whether the caller's own key was used.
    pub user_byok: bool,
    /// Whether the answer was streamed.
    pub stream: bool,
    /// The HTTP status that the client was given.
    pub status: u16,
    /// The id of the provider's answer, for the cost call-back.
    pub message_id: Option<String>,
    /// The artificial delay in milliseconds, null when there was none.
    pub abuse_delay: Option<u64>,
    /// The model that was asked for when another was sent.
    pub abuse_downgraded_from: Option<String>,
    /// Tokens and cost.
    #[serde(flatten)]
    pub usage: Usage,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_weir_refuses_by_itself_comes_to_refused_and_what_a_rule_or_a_provider_does_not() {
        let id = DecisionId::new(Timestamp::UNIX_EPOCH, [0; 10]);
        let refused = RequestResult {
            status: 401,
            ended_at: Some("identify".to_owned()),
            error_type: Some("invalid_api_key".to_owned()),
            ..RequestResult::default()
        };
        let failed = RequestResult { failure_class: Some("timeout".to_owned()), ..refused.clone() };
        let limited = RequestResult { limit: Some(limit_of_rule("r")), ..refused.clone() };
        let passed = RequestResult { status: 200, ..RequestResult::default() };
        let table = [
            (Action::Nothing, &refused, REFUSED),
            (Action::Log, &refused, REFUSED),
            (Action::Block, &refused, "block"),
            (Action::Nothing, &limited, "rate-limit"),
            (Action::Nothing, &failed, "nothing"),
            (Action::Log, &passed, "log"),
        ];
        for (outcome, result, expected) in table {
            let decision = Decision::unasked(id, "user:a".to_owned(), 1, Timestamp::UNIX_EPOCH);
            let record = Record {
                decision: Decision { outcome: outcome.into(), ..decision },
                result: result.clone(),
                facts: RecordedFacts::default(),
                call: None,
            };
            assert_eq!(record.came_to(), expected, "{outcome} {result:?}");
        }
    }
}
