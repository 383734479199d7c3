//! Who can lift what a decision put in force: a command, an endpoint, the place of a rule.

use percent_encoding::{AsciiSet, NON_ALPHANUMERIC, utf8_percent_encode};
use weir_core::Source;
use weir_core::failure::Owner;
use weir_core::record::Record;
use weir_core::tool::DenialKind;

use super::{InForce, Standing, approval_id};
use crate::explanation::{Lift, Sources};

/// What is encoded in a segment of a path: also what a shell would read.
const SEGMENT: &AsciiSet = &NON_ALPHANUMERIC.remove(b':').remove(b'-').remove(b'_').remove(b'.').remove(b'@');

pub(super) fn ways(record: &Record, sources: &Sources, standing: &Standing, what: InForce) -> Vec<Lift> {
    match what {
        InForce::Action => of_action(record, sources),
        InForce::Limit => of_limit(record, sources),
        InForce::Budget => vec![of_budget(record)],
        InForce::Denial(kind) => of_denial(record, sources, standing, kind),
        InForce::Grant => withdrawal(record).into_iter().collect(),
        InForce::Failure => of_failure(record),
        InForce::Refusal => of_refusal(record.result.error_type.as_deref().unwrap_or_default()),
    }
}

impl Lift {
    fn new(who: &'static str, what: impl Into<String>) -> Self {
        Self { who, what: what.into(), command: None, endpoint: None, place: None }
    }

    fn by(self, command: String) -> Self {
        Self { command: Some(command), ..self }
    }

    /// An endpoint, and the call of it as a command.
    fn at(self, sources: &Sources, method: &str, path: &str, body: &str) -> Self {
        let data = if body.is_empty() { String::new() } else { format!(" -d '{body}'") };
        let admin = &sources.admin;
        let command =
            format!("curl -X {method} {admin}{path} -H \"authorization: Bearer $ADMIN_TOKEN\"{data}");
        Self { endpoint: Some(format!("{method} {path}")), command: Some(command), ..self }
    }
}

fn of_action(record: &Record, sources: &Sources) -> Vec<Lift> {
    let mut ways: Vec<Lift> = record.decision.rule.iter().map(|rule| change(rule, sources)).collect();
    ways.push(exemption(record, sources));
    if record.decision.source == Source::Cache {
        let path = format!("/api/identities/{}/action", segment(&record.decision.subject));
        ways.push(Lift::new("operator", "clear its cached action").at(sources, "DELETE", &path, ""));
    }
    ways
}

fn exemption(record: &Record, sources: &Sources) -> Lift {
    let path = format!("/api/identities/{}/exemption", segment(&record.decision.subject));
    Lift::new("operator", "exempt the identity").at(sources, "PUT", &path, "{\"until\": \"TIME\"}")
}

/// Changing a rule: in its file where files are the master, else in the store.
fn change(id: &str, sources: &Sources) -> Lift {
    let rule = sources.rules.as_ref().and_then(|rules| rules.rules.get(id));
    let what = format!("change `{id}`");
    match rule {
        Some(rule) if sources.files_are_master => {
            let place = format!("{}:{}", rule.file, rule.line);
            Lift { place: Some(place.clone()), ..Lift::new("operator", format!("{what} in {place}")) }
        }
        None if sources.remote => Lift::new("operator", format!("{what} in the abuse service")),
        _ if sources.files_are_master => Lift::new("operator", format!("{what} in the rule files")),
        _ => {
            Lift { endpoint: Some(format!("PUT /api/rules/{}", segment(id))), ..Lift::new("operator", what) }
                .by("weir rules export > rules.yaml, edit, weir rules apply rules.yaml".to_owned())
        }
    }
}

fn of_limit(record: &Record, sources: &Sources) -> Vec<Lift> {
    match record.result.limit.as_deref().unwrap_or_default() {
        "free-model" => vec![
            Lift::new("caller", "ask for a model that is not free, with an API key"),
            Lift::new("operator", "raise `free_models` in the configuration"),
        ],
        "address" => vec![
            Lift::new("caller", "send an API key"),
            Lift::new("operator", "raise `limits.unauthenticated` in the configuration"),
        ],
        _ => match record.result.limiting_rule() {
            Some(rule) => vec![change(rule, sources), exemption(record, sources)],
            None => Vec::new(),
        },
    }
}

fn of_budget(record: &Record) -> Lift {
    let user = &record.facts.identity.user_id;
    Lift::new("operator", "make another key").by(format!("weir keys create --user {user} --budget-usd USD"))
}

fn of_denial(record: &Record, sources: &Sources, standing: &Standing, kind: DenialKind) -> Vec<Lift> {
    match kind {
        DenialKind::ApprovalRequired => {
            let Some(id) = record.result.tool.as_deref().and_then(approval_id) else { return Vec::new() };
            let answered = standing.approval.as_ref().is_some_and(|approval| approval.answered_at.is_some());
            if answered {
                return vec![Lift::new("caller", "make the same call again: it was answered")];
            }
            let path = format!("/api/approvals/{}", segment(id));
            let command = format!("weir approvals approve {id}");
            vec![
                Lift { endpoint: Some(format!("POST {path}")), ..Lift::new("approver", "approve the call") }
                    .by(command),
            ]
        }
        DenialKind::ApprovalDenied => withdrawal(record).into_iter().collect(),
        DenialKind::ApprovalExpired => vec![Lift::new("caller", "make the same call again: it asks anew")],
        DenialKind::RuleDenied => record.decision.rule.iter().map(|rule| change(rule, sources)).collect(),
        DenialKind::EvaluationError => {
            record.decision.errored.iter().map(|errored| change(&errored.rule, sources)).collect()
        }
        DenialKind::PolicyDenied => vec![Lift::new("operator", "adjust the policy")],
        DenialKind::SessionForbidden | DenialKind::PermissionTooLow => {
            vec![Lift::new(
                "operator",
                "raise the channel's ceiling (`tools.channels`) or lower the tool's level (`tools.levels`)",
            )]
        }
        DenialKind::UnknownTool | DenialKind::NotVisible => {
            vec![Lift::new(
                "operator",
                "offer the tool to this caller: a rule hides it, or no server lists it",
            )]
        }
    }
}

/// Taking an answer back.
fn withdrawal(record: &Record) -> Option<Lift> {
    let id = record.result.tool.as_deref().and_then(approval_id)?;
    let endpoint = Some(format!("DELETE /api/approvals/{}", segment(id)));
    Some(Lift { endpoint, ..Lift::new("approver", "take the answer back") })
}

/// Who must act is in the classification.
fn of_failure(record: &Record) -> Vec<Lift> {
    let Some(last) = record
        .result
        .failures
        .iter()
        .rev()
        .find(|attempt| record.result.failure_class.as_deref() == Some(attempt.class.as_str()))
    else {
        return Vec::new();
    };
    let because = last.because.as_ref().map(|because| format!(": {because}")).unwrap_or_default();
    let what = format!("the class `{}` is theirs to mend{because}", last.class.as_str());
    let who = match last.owner {
        Owner::Operator => "operator",
        Owner::Provider => "provider",
        Owner::User => "user",
        Owner::Caller => "caller",
    };
    vec![Lift::new(who, what)]
}

/// What mends a refusal that no rule is behind.
fn of_refusal(error_type: &str) -> Vec<Lift> {
    let (who, what) = match error_type {
        "invalid_api_key" => ("caller", "send a key that is valid now"),
        "paid_model_auth_required" => ("caller", "send an API key, or ask for a free model"),
        "model_not_found" | "discontinued_free_model" => {
            ("caller", "ask for a model that GET /v1/models lists")
        }
        "api_kind_not_supported" => ("caller", "ask for a model whose provider serves this API"),
        "payload_too_large" => ("caller", "send less; the operator can raise `limits.body_bytes_max`"),
        "temporarily_unavailable" => (
            "operator",
            "see `/readyz` and the log: something that weir needs does not answer, or a provider has no key",
        ),
        _ => ("caller", "mend the request as the answer says"),
    };
    vec![Lift::new(who, what)]
}

fn segment(text: &str) -> String {
    utf8_percent_encode(text, SEGMENT).to_string()
}
