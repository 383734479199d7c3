//! Stage *decide*: asks the rules, or the action cache and the classifier, for one decision.
//!
//! This module gathers facts and waits; what follows from them is said by `weir-rules` alone.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Instant;

use http::HeaderMap;
use tokio::sync::{oneshot, watch};
use weir_config::config::AbuseMode;
use weir_core::action::{cached_value, parse_cached};
use weir_core::{Action, Boundary, Decision, IdentityKey};
use weir_dialect::{Prompts, RequestBody};
use weir_rules::enforce::{Classification, decide_cached, exempted};
use weir_rules::{ActiveRules, DecideContext, Fact, Facts, StringMap};
use weir_store::StoreError;

use crate::classifier::{
    Classified, Classifiers, ClassifyRequest, CostIdentity, CostReport, UnderWay, Verdict,
};
use crate::exchange::Exchange;
use crate::gateway::Inner;
use crate::identify::Origin;
use crate::resolve::Target;
use crate::settings::Settings;
use crate::stop_loss;

/// What a decision is made on.
pub(crate) struct Asked<'a> {
    pub(crate) headers: &'a HeaderMap,
    pub(crate) body: &'a RequestBody,
    /// The action that the cache holds, read before in `cached` mode.
    pub(crate) started: Started,
}

/// What was begun before the checks that precede enforcement (spec A3 steps 14 and 15).
pub(crate) struct Started {
    pub(crate) cached: Option<Action>,
    under_way: Option<UnderWay>,
    remote: bool,
    /// Set once the decision is made: a verdict that comes after it is logged as late.
    decided: Arc<AtomicBool>,
}

/// Starts the classification, without waiting for it, and reads the action cache.
pub(crate) async fn start(
    exchange: &mut Exchange,
    headers: &HeaderMap,
    body: &RequestBody,
    origin: &Origin,
) -> Started {
    if exchange.settings.mode != AbuseMode::Cached {
        return Started { cached: None, under_way: None, remote: false, decided: Arc::default() };
    }
    let decided = Arc::default();
    let remote = exchange.settings.service.is_some();
    // The cache is read before it can learn from this very request: the first request of a new abuser always passes.
    let (read_done, cache_read) = oneshot::channel();
    let mut under_way =
        remote.then(|| start_remote(exchange, body, origin, cache_read, Arc::clone(&decided)));
    let cached = match exchange.cached_action {
        Some(cached) => cached,
        None => read_cache(&exchange.inner, &exchange.draft.identity).await,
    };
    // The receiver is gone when the classifier failed already.
    let _ = read_done.send(());
    if !remote {
        under_way = start_local(exchange, headers, body);
    }
    Started { cached, under_way, remote, decided }
}

/// Whether the action cache is read together with the facts of the identity. A remote classifier is started before that, so
/// that no wait for the cache delays it.
pub(crate) fn reads_cache_with_facts(settings: &Settings) -> bool {
    settings.mode == AbuseMode::Cached && settings.service.is_none()
}

pub(crate) async fn read_cache(inner: &Inner, identity: &IdentityKey) -> Option<Action> {
    let cached = inner.cache.action_get(identity).await;
    inner.meters.action_cache(&cached);
    inner.cache_troubles.reads.note(&cached, |error| {
        tracing::warn!(identity_key = %identity, %error, "the action cache could not be read; treated as a miss");
    });
    match parse_cached(&cached.ok()??) {
        Ok(action) => Some(action),
        Err(error) => {
            tracing::warn!(%error, "the action cache holds a value that is no action; treated as a miss");
            None
        }
    }
}

/// The local rules answer at once, but the answer is the cache's to enforce, one request late, as the seed's was.
fn start_local(exchange: &mut Exchange, headers: &HeaderMap, body: &RequestBody) -> Option<UnderWay> {
    let active = exchange.inner.rules.load();
    if !active.rules.has_enabled(Boundary::Request) {
        return None;
    }
    let decision = ask_rules(exchange, &active, headers, body);
    let action = Some(decision.action());
    let verdict = Verdict { action, cacheable: true, decision };
    let rps = exchange.draft.facts.stats.requests_per_second;
    let classified = Arc::new(Classified { request_id: 0, verdict: Some(verdict), rps });
    let (_, under_way) = watch::channel(Some(Arc::clone(&classified)));
    let (inner, identity) = (Arc::clone(&exchange.inner), exchange.draft.identity.clone());
    exchange.inner.spawn(async move { learn(&inner, &identity, &classified).await });
    Some(under_way)
}

fn start_remote(
    exchange: &mut Exchange,
    body: &RequestBody,
    origin: &Origin,
    cache_read: oneshot::Receiver<()>,
    decided: Arc<AtomicBool>,
) -> UnderWay {
    let request = classify_request(exchange, body, origin);
    let identity = exchange.draft.identity.clone();
    let (inner, settings) = (Arc::clone(&exchange.inner), Arc::clone(&exchange.settings));
    let unasked = unasked(exchange, inner.rules.load().epoch);
    let (sender, under_way) = watch::channel(None);
    exchange.draft.cost_report = Some(CostReport {
        under_way: under_way.clone(),
        settings: Arc::clone(&settings),
        request: CostIdentity {
            kilo_user_id: request.kilo_user_id.clone(),
            organization_id: request.organization_id.clone(),
            project_id: request.project_id.clone(),
            ip_address: request.ip_address.clone(),
            ja4_digest: request.ja4_digest.clone(),
            user_agent: request.user_agent.clone(),
        },
    });
    let facts = LogFacts::of(exchange);
    // Detached from the request: whatever becomes of it, the answer is cached and logged (spec A3, steps that skip
    // learning).
    exchange.inner.spawn(async move {
        let Some(service) = &settings.service else { return };
        let answer = Classifiers::classify(&inner, service, &request, &unasked, settings.delays).await;
        drop(request);
        if let Some(classified) = answer.map(Arc::new) {
            // An error only says that the request went away before the cache was read.
            let _ = cache_read.await;
            learn(&inner, &identity, &classified).await;
            // Here and not where it is waited for: most verdicts are never waited for (spec A8).
            facts.log(&classified, decided.load(Ordering::Relaxed));
            sender.send_replace(Some(classified));
        }
    });
    under_way
}

/// Writes the action cache, always under the local key; an answer without a verdict teaches nothing.
async fn learn(inner: &Inner, identity: &IdentityKey, classified: &Classified) {
    let Some(verdict) = classified.verdict.as_ref().filter(|verdict| verdict.cacheable) else { return };
    let written = inner.cache.action_set(identity, cached_value(verdict.action)).await;
    inner.cache_troubles.writes.note(&written, |error| {
        tracing::warn!(identity_key = %identity, %error, "the action cache could not be written");
    });
}

/// Troubles with the action cache. One that is gone concerns every request, and is told once (spec D), not for each.
#[derive(Debug, Default)]
pub(crate) struct CacheTroubles {
    reads: Trouble,
    writes: Trouble,
}

/// A trouble that is told when it begins, and again only after it was over.
#[derive(Debug, Default)]
struct Trouble(AtomicBool);

impl Trouble {
    fn note<T>(&self, result: &Result<T, StoreError>, tell: impl FnOnce(&StoreError)) {
        match result {
            Ok(_) if self.0.load(Ordering::Relaxed) => self.0.store(false, Ordering::Relaxed),
            Ok(_) => {}
            Err(error) => {
                if !self.0.swap(true, Ordering::Relaxed) {
                    tell(error);
                }
            }
        }
    }
}

/// Makes the decision. In `cached` mode this may wait, within `abuse.classify_timeout`, if the cached action enforces.
pub(crate) async fn decide(exchange: &mut Exchange, asked: Asked<'_>) -> Decision {
    match exchange.settings.mode {
        AbuseMode::Off => unasked(exchange, exchange.inner.rules.load().epoch),
        AbuseMode::Inline => {
            let active = exchange.inner.rules.load();
            ask_rules(exchange, &active, asked.headers, asked.body)
        }
        AbuseMode::Cached => decide_with_cache(exchange, asked.started).await,
    }
}

async fn decide_with_cache(exchange: &mut Exchange, started: Started) -> Decision {
    let must_wait = started.cached.is_some_and(Action::enforces);
    let classified = match started.under_way {
        None => None,
        // The local rules have answered already; waiting costs nothing.
        Some(under_way) if !started.remote => under_way.borrow().clone(),
        Some(under_way) if must_wait => wait(exchange, under_way).await,
        Some(_) => None,
    };
    started.decided.store(true, Ordering::Relaxed);
    if let Some(classified) = classified.as_ref().filter(|_| !started.remote) {
        LogFacts::of(exchange).log(classified, false);
    }
    let request_id = classified.as_ref().map(|c| c.request_id).filter(|id| *id != 0);
    exchange.abuse_request_id = request_id;
    let classification = match classified.and_then(|c| c.verdict.as_ref().map(|v| v.decision.clone())) {
        Some(decision) => Classification::Given(decision),
        None if must_wait => Classification::Missing,
        None => Classification::NotAwaited,
    };
    let unasked = unasked(exchange, exchange.inner.rules.load().epoch);
    decide_cached(unasked, started.cached, classification, exchange.settings.delays)
}

async fn wait(exchange: &mut Exchange, mut under_way: UnderWay) -> Option<Arc<Classified>> {
    let since = Instant::now();
    let bound = exchange.inner.clock.sleep(exchange.settings.classify_timeout);
    let classified = tokio::select! {
        biased;
        answered = under_way.wait_for(Option::is_some) => answered.ok().and_then(|seen| seen.clone()),
        () = bound => None,
    };
    exchange.exclude(since);
    classified
}

/// The decision about a fallback model: the rules are asked anew, with the facts of that model; in `cached` mode the
/// identity's action holds for whichever model.
pub(crate) fn again(
    exchange: &mut Exchange,
    headers: &HeaderMap,
    body: &RequestBody,
    target: &Target,
) -> Option<Decision> {
    if exchange.settings.mode != AbuseMode::Inline {
        return exchange.draft.decision.clone();
    }
    let asked = exchange.draft.facts.request.clone();
    target.tell(&mut exchange.draft.facts.request);
    let decide_us = exchange.draft.result.timings.decide_us;
    let active = exchange.inner.rules.load();
    let decision = ask_rules(exchange, &active, headers, body);
    exchange.draft.result.timings.decide_us += decide_us;
    exchange.draft.facts.request = asked;
    Some(if exchange.exempt { exempted(decision) } else { decision })
}

fn unasked(exchange: &Exchange, epoch: u64) -> Decision {
    Decision::unasked(exchange.id, exchange.draft.identity.as_str().to_owned(), epoch, exchange.at)
}

/// How often one request is decided anew because a rule that hit it was stopped.
const STOPS_MAX: usize = 8;

fn ask_rules(
    exchange: &mut Exchange,
    active: &ActiveRules,
    headers: &HeaderMap,
    body: &RequestBody,
) -> Decision {
    let since = Instant::now();
    let headers = VisibleHeaders(headers);
    let prompts = prompts(active, body);
    let user = prompts.user.as_ref().map_or("", |p| p.expose());
    let system = prompts.system.as_ref().map_or("", |p| p.expose());
    let mut facts = Facts::of_request(&exchange.draft.facts);
    facts.set_map(Fact::RequestHeaders, &headers);
    facts.set_str(Fact::RequestUserPrompt, user);
    facts.set_str(Fact::RequestSystemPrompt, system);
    let context = DecideContext {
        id: exchange.id,
        subject: exchange.draft.identity.as_str(),
        epoch: active.epoch,
        at: exchange.at,
        delays: exchange.settings.delays,
    };
    let mut decision = active.decide_request(&facts, &context);
    let mut without = stop_loss::judge(exchange, active, &decision);
    // A rule is stopped once, so this ends; the bound is for rules that change all the while.
    for _ in 0..STOPS_MAX {
        let Some(active) = without else { break };
        decision = active.decide_request(&facts, &DecideContext { epoch: active.epoch, ..context });
        without = stop_loss::judge(exchange, &active, &decision);
    }
    exchange.draft.result.timings.decide_us = since.elapsed().as_secs_f64() * 1e6;
    decision
}

/// Prompts are only looked for when a rule reads them.
fn prompts(active: &ActiveRules, body: &RequestBody) -> Prompts {
    if active.rules.reads(Fact::RequestUserPrompt) || active.rules.reads(Fact::RequestSystemPrompt) {
        body.prompts()
    } else {
        Prompts::default()
    }
}

/// Whether any rule in force reads the counters, which may lie in a shared store.
pub(crate) fn reads_stats(active: &ActiveRules) -> bool {
    Fact::STATS.iter().any(|fact| active.rules.reads(*fact))
}

/// The request's headers as rules see them: without those that hold keys.
pub(crate) struct VisibleHeaders<'a>(pub(crate) &'a HeaderMap);

const SECRET_HEADERS: [&str; 5] =
    ["authorization", "x-api-key", crate::callers::BYOK_HEADER, "cookie", "proxy-authorization"];

impl StringMap for VisibleHeaders<'_> {
    fn get(&self, name: &str) -> Option<&str> {
        if SECRET_HEADERS.contains(&name) {
            return None;
        }
        std::str::from_utf8(self.0.get(name)?.as_bytes()).ok()
    }

    fn contains(&self, name: &str) -> bool {
        !SECRET_HEADERS.contains(&name) && self.0.contains_key(name)
    }

    fn for_each(&self, visit: &mut dyn FnMut(&str, &str)) {
        for name in self.0.keys() {
            if let Some(value) = self.get(name.as_str()) {
                visit(name.as_str(), value);
            }
        }
    }
}

fn some(text: &str) -> Option<String> {
    Some(text).filter(|t| !t.is_empty()).map(str::to_owned)
}

fn classify_request(exchange: &Exchange, body: &RequestBody, origin: &Origin) -> ClassifyRequest {
    let facts = &exchange.draft.facts;
    let prompts = body.prompts();
    ClassifyRequest {
        kilo_user_id: some(&facts.identity.user_id),
        organization_id: some(&facts.identity.org_id),
        project_id: some(&facts.identity.project_id),
        ip_address: some(&facts.request.ip),
        geo_city: some(&facts.request.city),
        geo_country: some(&facts.request.country),
        geo_latitude: origin.latitude,
        geo_longitude: origin.longitude,
        ja4_digest: some(&facts.request.ja4),
        user_agent: some(&facts.request.user_agent),
        provider: some(&facts.request.provider),
        requested_model: some(&facts.request.model),
        user_prompt: prompts.user.map(|p| p.expose().to_owned()),
        system_prompt: prompts.system.map(|p| p.expose().to_owned()),
        max_tokens: body.max_tokens(),
        has_middle_out_transform: body.has_middle_out_transform(),
        has_tools: facts.request.has_tools,
        streamed: body.stream_is_true(),
        is_user_byok: facts.request.byok,
        editor_name: some(&facts.request.editor),
        feature: some(&facts.request.feature),
    }
}

/// What the log says of a classification (spec A8).
struct LogFacts {
    identity: IdentityKey,
    user_id: String,
    model: String,
}

impl LogFacts {
    fn of(exchange: &Exchange) -> Self {
        let facts = &exchange.draft.facts;
        Self {
            identity: exchange.draft.identity.clone(),
            user_id: facts.identity.user_id.clone(),
            model: facts.request.model.clone(),
        }
    }

    fn log(&self, classified: &Classified, late: bool) {
        let Some(verdict) = &classified.verdict else { return };
        let rules: Vec<&str> = verdict.decision.matched.iter().map(|m| m.rule.as_str()).collect();
        tracing::info!(
            rules_engine_resolved_action = verdict.action.map(Action::as_str),
            rules_engine_sus_score = verdict.decision.sus_score,
            rules_engine_matched_abuse_rule_ids = ?rules,
            identity_key = %self.identity,
            kilo_user_id = %self.user_id,
            requested_model = %self.model,
            rps = classified.rps,
            request_id = classified.request_id,
            late,
            "abuse classification"
        );
    }
}
