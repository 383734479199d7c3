//! Until when a decision holds, and who can lift it: the record, and how things stand now.

mod lift;

use std::time::Duration;

use jiff::Timestamp;
use weir_core::action::parse_cached;
use weir_core::record::{Record, ToolRecord};
use weir_core::tool::DenialKind;
use weir_core::{Action, IdentityKey, Source};
use weir_rules::Rule;
use weir_store::database::{Approval, ApprovalState};

use super::{Lift, Sources, Until};

/// How things stand now with what a decision put in force.
#[derive(Default)]
pub(super) struct Standing {
    exempt_until: Option<Timestamp>,
    /// The action that is cached now, and until when: never by weir's own doing.
    cached: Option<(Action, Option<Timestamp>)>,
    approval: Option<Approval>,
    pub(super) notes: Vec<String>,
}

impl Standing {
    /// Looks up what the record needs.
    pub(super) async fn find(record: &Record, sources: &Sources) -> Self {
        let mut standing = Self::default();
        if in_force(record) == Some(InForce::Action) {
            standing.find_identity(record, sources).await;
        }
        let id = record.result.tool.as_deref().and_then(approval_id);
        if let Some(id) = id {
            match sources.database.approval(id, sources.now).await {
                Ok(found) => standing.approval = found,
                Err(error) => standing.note("the approval could not be looked up", &error),
            }
        }
        standing
    }

    async fn find_identity(&mut self, record: &Record, sources: &Sources) {
        let key = IdentityKey::from_stored(record.decision.subject.clone());
        match sources.database.identity(&key).await {
            Ok(row) => {
                let until = row.and_then(|row| row.exempt_until);
                self.exempt_until = until.filter(|until| *until > sources.now);
            }
            Err(error) => self.note("the identity could not be looked up", &error),
        }
        let Some(cache) = sources.cache.as_ref().filter(|_| record.decision.source == Source::Cache) else {
            return;
        };
        match cache.action_with_ttl(&key).await {
            Ok(found) => {
                self.cached = found
                    .and_then(|(word, left)| Some((parse_cached(&word).ok()?, left)))
                    .map(|(action, left)| (action, left.and_then(|left| after(sources.now, left))));
            }
            Err(error) => self.note("the action cache could not be read", &error),
        }
    }

    fn note(&mut self, what: &str, error: &weir_store::StoreError) {
        tracing::warn!(%error, "{what}, for an explanation");
        self.notes.push(format!("{what} now"));
    }
}

fn after(at: Timestamp, duration: Duration) -> Option<Timestamp> {
    at.checked_add(duration).ok()
}

fn approval_id(tool: &ToolRecord) -> Option<&str> {
    let asked = tool.denial.as_ref().and_then(|denial| denial.approval_id.as_deref());
    asked.or(tool.approval_id.as_deref())
}

/// What a decision put in force.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum InForce {
    /// An action on an identity.
    Action,
    /// The limit of a rule, of free models, of an address.
    Limit,
    /// A key's budget.
    Budget,
    /// The denial of a tool call.
    Denial(DenialKind),
    /// An approval let a call through.
    Grant,
    /// A provider's failure.
    Failure,
    /// Another refusal.
    Refusal,
}

fn in_force(record: &Record) -> Option<InForce> {
    let result = &record.result;
    if let Some(tool) = result.tool.as_deref() {
        let denied = tool.denial.as_ref().map(|denial| InForce::Denial(denial.kind));
        return denied.or(tool.approval_id.as_ref().map(|_| InForce::Grant));
    }
    match (result.limit.as_deref(), result.error_type.as_deref()) {
        // The 429 of a rule's action, and of a hold that is full.
        (Some("abuse"), _) => Some(InForce::Action),
        (Some(_), _) => Some(InForce::Limit),
        (None, Some("usage_limit_exceeded")) => Some(InForce::Budget),
        _ if result.failure_class.is_some() => Some(InForce::Failure),
        _ if record.decision.action() > Action::Log => Some(InForce::Action),
        (None, Some(_)) => Some(InForce::Refusal),
        (None, None) => None,
    }
}

/// Until when it holds, and who can lift it.
pub(super) fn told(record: &Record, sources: &Sources, standing: &Standing) -> (Vec<Until>, Vec<Lift>) {
    let Some(what) = in_force(record) else { return (Vec::new(), Vec::new()) };
    (until(record, sources, standing, what), lift::ways(record, sources, standing, what))
}

fn until(record: &Record, sources: &Sources, standing: &Standing, what: InForce) -> Vec<Until> {
    match what {
        InForce::Action => of_action(record, sources, standing),
        InForce::Limit => vec![of_limit(record)],
        InForce::Budget => vec![Until::words("the caller has a key with a budget that is not spent")],
        InForce::Denial(kind) => of_denial(record, sources, standing, kind),
        InForce::Grant => standing.approval.as_ref().map(granted).into_iter().collect(),
        InForce::Failure => of_failure(record),
        InForce::Refusal => record.result.retry_after_s.map(|_| of_limit(record)).into_iter().collect(),
    }
}

impl Until {
    fn words(what: impl Into<String>) -> Self {
        Self { what: what.into(), at: None }
    }

    fn at(what: impl Into<String>, at: Option<Timestamp>) -> Self {
        Self { what: what.into(), at }
    }
}

fn of_action(record: &Record, sources: &Sources, standing: &Standing) -> Vec<Until> {
    let mut until = Vec::new();
    if let Some(at) = standing.exempt_until {
        until.push(Until::at("lifted: the identity is exempt until", Some(at)));
    }
    match record.decision.source {
        Source::Cache => until.push(match (&standing.cached, &sources.cache) {
            (Some((action, at)), _) => Until::at(
                format!("the cached action, now `{action}`, runs out, is cleared, or is replaced by the next classification"),
                *at,
            ),
            (None, Some(_)) => Until::words("lifted: no action is cached for the identity now"),
            (None, None) => {
                Until::words("the cached action runs out, is cleared, or is replaced by the next classification")
            }
        }),
        Source::Fresh | Source::Static => until.push(of_rule(record, sources)),
    }
    until
}

/// How the rule that decided stands now.
fn of_rule(record: &Record, sources: &Sources) -> Until {
    let Some(id) = &record.decision.rule else {
        return Until::words("the classifier answers otherwise");
    };
    let then = record.decision.matched.iter().find(|matched| matched.rule == *id);
    let Some(rules) = &sources.rules else {
        return Until::words("the rule expires or is changed");
    };
    match rules.rules.get(id) {
        None if sources.remote => Until::words("the classifier's rule is changed"),
        None => Until::words("the rule is gone: the next request is decided without it"),
        Some(rule) if then.is_some_and(|then| *then.version != *rule.version) => {
            Until::words("the rule has changed since: the next request is decided by its new text")
        }
        Some(Rule { expires: Some(at), .. }) => {
            Until::at(format!("the rule expires at {at}, or is changed before"), Some(*at))
        }
        Some(_) => Until::words("the rule, which does not expire, is changed"),
    }
}

fn of_limit(record: &Record) -> Until {
    let hit = record.result.limit.as_deref().unwrap_or_default();
    let rule = record.result.limiting_rule();
    let window = record.decision.limits().find(|limit| rule == Some(limit.rule.as_str()));
    let at = record.result.retry_after_s.and_then(|s| after(record.decision.at, Duration::from_secs(s)));
    match window {
        Some(limit) => {
            Until::at(format!("the window of {} s that the limit counts in is over", limit.per_s), at)
        }
        None if hit.is_empty() => Until::at("the caller may try again", at),
        None => Until::at(format!("the window that the limit `{hit}` counts in is over"), at),
    }
}

fn of_denial(record: &Record, sources: &Sources, standing: &Standing, kind: DenialKind) -> Vec<Until> {
    match kind {
        DenialKind::ApprovalRequired | DenialKind::ApprovalDenied | DenialKind::ApprovalExpired => {
            vec![standing.approval.as_ref().map_or_else(
                || Until::words("a person answers; the approval is no longer kept"),
                |approval| asked(approval, sources.now),
            )]
        }
        DenialKind::RuleDenied if record.decision.rule.is_some() => vec![of_rule(record, sources)],
        DenialKind::PolicyDenied => vec![Until::words("the policy answers otherwise")],
        DenialKind::SessionForbidden | DenialKind::PermissionTooLow => {
            vec![Until::words("the channel's ceiling or the tool's level is changed")]
        }
        DenialKind::UnknownTool | DenialKind::NotVisible => {
            vec![Until::words("the tool is offered to this caller")]
        }
        DenialKind::RuleDenied | DenialKind::EvaluationError => {
            vec![Until::words("the rule that could not be evaluated is mended")]
        }
    }
}

fn asked(approval: &Approval, now: Timestamp) -> Until {
    match approval.state {
        ApprovalState::Pending if approval.expires_at > now => {
            Until::at("somebody answers the approval, which waits until", Some(approval.expires_at))
        }
        ApprovalState::Pending | ApprovalState::Expired => {
            Until::at("nobody answered in time: the same call asks anew", Some(approval.expires_at))
        }
        ApprovalState::Denied => Until::at("the answer no counts until", Some(approval.expires_at)),
        ApprovalState::Approved => granted(approval),
    }
}

fn granted(approval: &Approval) -> Until {
    let by = approval.answered_by.as_deref().unwrap_or("somebody");
    match approval.grant_until {
        Some(until) => Until::at(format!("{by} has approved it until"), Some(until)),
        None => Until::words(format!("{by} has approved it: the same call runs when it is made again")),
    }
}

fn of_failure(record: &Record) -> Vec<Until> {
    let asks = record.result.failures.last().and_then(|attempt| attempt.evidence.retry_after_s);
    let seconds = record.result.retry_after_s;
    let at = seconds.and_then(|s| after(record.decision.at, Duration::from_secs(s)));
    match (asks, seconds) {
        (Some(asks), _) => vec![Until::at(format!("the provider asked to wait {asks} s"), at)],
        (None, Some(s)) => vec![Until::at(format!("the caller was told to wait {s} s"), at)],
        (None, None) => Vec::new(),
    }
}
