//! `POST /api/classify`: what the rules say of a request that another gateway has in its hands.

use std::time::{Duration, Instant};

use axum::Json;
use axum::extract::State;
use weir_core::clock::whole_seconds;
use weir_core::identity::IdentityKey;
use weir_core::record::{Record, RecordedFacts, RequestResult, Stats, Timings, limit_of_rule};
use weir_core::{Action, Decision, DecisionId, Timestamp};
use weir_rules::enforce::exempted;
use weir_rules::{ActiveRules, DecideContext};
use weir_store::{LimitCharge, StatsEvent};

use super::facts;
use super::protocol::{
    ActionMetadata, ClassifyContext, ClassifyRequest, ClassifyResponse, RulesEngine, risk_score,
};
use crate::console::{Console, Shared};
use crate::extract::Large;

/// What a bare `rate-limit` tells the caller to wait, in seconds (design, section 6).
const RETRY_AFTER_BARE_S: u64 = 60;
/// What a record of a classification says of where its request ended.
const ENDED_AT: &str = "classify";

/// What was decided, and what follows from it beside the decision.
struct Classified {
    decision: Decision,
    /// `rule:<id>` and the rest of its window, when a limit was exceeded.
    exceeded: Option<(String, Duration)>,
}

/// Decides on a request that another gateway asks about. The identity is derived here from the members that say whose
/// it is. Of `ip_address` the last element is what the asking gateway saw itself; while it is a trusted proxy, the
/// next from the right counts.
#[utoipa::path(post, path = "/api/classify", operation_id = "classify", tag = "abuse service", request_body = ClassifyRequest,
    security(("bearer" = []), ("access_client_id" = [], "access_client_secret" = [])),
    responses(
        (status = 200, description = "The verdict", body = ClassifyResponse),
        (status = 400, description = "A member has a wrong type", body = crate::problem::Details),
    ))]
pub(crate) async fn classify(
    State(console): State<Console>,
    Large(asked): Large<ClassifyRequest>,
) -> Json<ClassifyResponse> {
    let now = console.now();
    let (identity, recorded, exempt) = gather(&console, &asked, now).await;
    let active = console.parts.rules.load();
    let since = Instant::now();
    let decision = decide(&console, &active, &asked, &recorded, now);
    let decide_us = since.elapsed().as_secs_f64() * 1e6;
    let decision = if exempt { exempted(decision) } else { decision };
    let classified = count(&console, &active, &identity, decision).await;
    let request_id = console.asked.remember(identity.clone());
    let answer = answer(&active, &identity, &recorded.stats, &classified, request_id);
    note(&console, &identity, &recorded, &classified.decision);
    file(&console, classified, recorded, request_id, decide_us);
    Json(answer)
}

/// Whose request it is, and the facts that may be recorded.
async fn gather(
    console: &Shared,
    asked: &ClassifyRequest,
    now: Timestamp,
) -> (IdentityKey, RecordedFacts, bool) {
    let parts = &console.parts;
    let caller = asked.caller();
    let config = parts.live.config();
    let address = caller.address(&config.trusted_proxies);
    let ip = address.map(|address| address.to_string());
    let free = asked.requested_model.as_deref().is_some_and(|model| config.models.is_free(model.trim()));
    let request = facts::request(asked, ip, free);
    let identity =
        super::protocol::Caller { ja4: Some(&request.ja4), user_agent: Some(&request.user_agent), ..caller }
            .identity(address);
    // The gateway that asks keeps the answer: one that was given without what is known of the identity would stay.
    let row = parts.directory.identity_awaited(&identity, now).await;
    let exempt = row.exempt_until.is_some_and(|until| until > now);
    let user_id = asked.kilo_user_id.as_deref().unwrap_or_default().trim();
    let owners = facts::Owners::of(&parts.directory, user_id, asked.organization_id.as_deref());
    let mut known = facts::identity(&identity, user_id, &owners, Some(&row), now);
    if let Some(org) = &asked.organization_id {
        known.org_id = facts::text(Some(org));
    }
    if let Some(project) = &asked.project_id {
        known.project_id = facts::text(Some(project));
    }
    let stats = parts.cache.stats_read(&identity, now).await;
    let recorded =
        RecordedFacts { request, identity: known, stats, stats_known: true, ..RecordedFacts::default() };
    (identity, recorded, exempt)
}

fn decide(
    console: &Shared,
    active: &ActiveRules,
    asked: &ClassifyRequest,
    recorded: &RecordedFacts,
    now: Timestamp,
) -> Decision {
    let user_prompt = asked.user_prompt.as_ref().map_or("", |prompt| prompt.expose());
    let system_prompt = asked.system_prompt.as_ref().map_or("", |prompt| prompt.expose());
    let context = DecideContext {
        id: DecisionId::new(now, rand::random()),
        subject: &recorded.identity.key,
        epoch: active.epoch,
        at: now,
        delays: console.parts.live.load().config.abuse.quarantine.delays,
    };
    active.decide_request(&facts::facts(recorded, user_prompt, system_prompt), &context)
}

/// Counts the request against the limits that rules put on its identity. One that is exceeded resolves to
/// `rate-limit`, whatever else was asked for.
async fn count(
    console: &Shared,
    active: &ActiveRules,
    identity: &IdentityKey,
    mut decision: Decision,
) -> Classified {
    let charges: Vec<LimitCharge> =
        decision.limits().map(|limit| LimitCharge::of_rule(identity, limit)).collect();
    if charges.is_empty() || decision.action() == Action::Block {
        return Classified { decision, exceeded: None };
    }
    let outcome = console.parts.cache.consume(&charges).await;
    let Some(exceeded) = outcome.exceeded else { return Classified { decision, exceeded: None } };
    let rule = decision.limits().nth(exceeded.index).map(|limit| limit.rule.clone()).unwrap_or_default();
    let words = active.rules.get(&rule);
    decision.outcome = Action::RateLimit.into();
    decision.because = words.and_then(|rule| rule.because.as_deref().map(str::to_owned));
    decision.instead = words.and_then(|rule| rule.instead.as_deref().map(str::to_owned));
    decision.rule = Some(rule.clone());
    Classified { decision, exceeded: Some((limit_of_rule(&rule), exceeded.retry_after)) }
}

fn answer(
    active: &ActiveRules,
    identity: &IdentityKey,
    stats: &Stats,
    classified: &Classified,
    request_id: u64,
) -> ClassifyResponse {
    let decision = &classified.decision;
    let rules_engine = RulesEngine::of(decision, |id| active.rules.get(id).map_or(0, |rule| rule.score));
    let retry_after_seconds = match &classified.exceeded {
        Some((_, rest)) => Some(whole_seconds(*rest)),
        None => (decision.action() == Action::RateLimit).then_some(RETRY_AFTER_BARE_S),
    };
    ClassifyResponse {
        verdict: decision.action().verdict(),
        risk_score: risk_score(decision.sus_score),
        signals: signals(active, &rules_engine.matched_abuse_rule_ids),
        action_metadata: ActionMetadata { retry_after_seconds },
        context: ClassifyContext {
            identity_key: identity.as_str().to_owned(),
            current_spend_1h: stats.spend_1h_usd,
            is_new_user: stats.requests_1h == 0 && stats.first_seen_s == 0,
            requests_per_second: stats.requests_per_second,
        },
        request_id,
        rules_engine,
    }
}

/// The tags of rules, each once.
fn signals(active: &ActiveRules, rules: &[String]) -> Vec<String> {
    let rules = rules.iter().filter_map(|id| active.rules.get(id));
    let mut signals: Vec<String> =
        rules.flat_map(|rule| rule.tags.iter()).map(|tag| tag.to_string()).collect();
    signals.sort_unstable();
    signals.dedup();
    signals
}

/// Adds the request to the stats of its identity, counts it and logs what enforces.
fn note(console: &Shared, identity: &IdentityKey, recorded: &RecordedFacts, decision: &Decision) {
    let action = decision.action();
    let denied = u64::from(matches!(action, Action::RateLimit | Action::Block));
    let ip = Some(recorded.request.ip.clone()).filter(|ip| !ip.is_empty());
    let event = StatsEvent { requests: 1, denied, ip, ..StatsEvent::default() };
    console.parts.cache.stats_add(identity, event, console.now());
    metrics::counter!("weir_classifications_total", "action" => action.as_str()).increment(1);
    if action.enforces() {
        let rule = decision.rule.as_deref().unwrap_or_default();
        tracing::warn!(identity_key = %identity, %action, rule, decision = %decision.id, "SECURITY: classified");
    }
}

fn file(console: &Shared, classified: Classified, facts: RecordedFacts, request_id: u64, decide_us: f64) {
    let result = RequestResult {
        request_id: request_id.to_string(),
        status: 200,
        ended_at: Some(ENDED_AT.to_owned()),
        limit: classified.exceeded.map(|(limit, _)| limit),
        timings: Timings { decide_us, ..Timings::default() },
        ..RequestResult::default()
    };
    console.parts.recorder.file(&Record { decision: classified.decision, result, facts, call: None });
}
