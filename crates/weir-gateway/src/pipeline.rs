//! The life of a request: the stages of ARCHITECTURE.md in their order. A stage ends the request with a refusal or
//! hands on what the next one needs.

use std::net::IpAddr;
use std::panic::AssertUnwindSafe;
use std::sync::Arc;
use std::time::Duration;

use futures_util::FutureExt as _;
use http::request::Parts;
use http::{Request, Response};
use hyper::body::Incoming;
use weir_config::Resolved;
use weir_core::ApiKind;
use weir_core::clock::whole_seconds;
use weir_core::record::{RecordedFacts, RequestFacts, Stats};
use weir_dialect::refusal::{RETRY_AFTER_BARE_S, RateLimit};
use weir_dialect::{Refusal, RequestBody};
use weir_rules::enforce::{Enforcement, Permit, enforce, exempted};
use weir_store::{LimitCharge, LimitOutcome};

use crate::answer;
use crate::attempts::{self, Unanswered};
use crate::begin::Answered;
use crate::body::ResponseBody;
use crate::callers::{Caller, check_own_key};
use crate::decide::{self, Asked};
use crate::exchange::{Exchange, Stage};
use crate::failed::{self, Failed, Tried};
use crate::gateway::Inner;
use crate::guest;
use crate::identify::{self, Origin};
use crate::read;
use crate::resolve::{Target, resolve};
use crate::route::{Route, dialect_of, route};
use crate::server::Connection;
use crate::stop_loss;

/// Where and why a request ended.
enum Ended {
    /// weir refuses it.
    Refused(Stage, Refusal),
    /// No provider has answered it: what only classifying gives.
    Failed(Box<Failed>),
}

trait At<T> {
    fn at(self, stage: Stage) -> Result<T, Ended>;
}

impl<T> At<T> for Result<T, Refusal> {
    fn at(self, stage: Stage) -> Result<T, Ended> {
        self.map_err(|refusal| Ended::Refused(stage, refusal))
    }
}

/// What a request came to.
enum Outcome {
    /// The list of models.
    Models,
    /// A provider answers.
    Answer(Box<Answered>, Tried),
}

/// A request and who sent it.
pub(crate) struct Arrived {
    pub(crate) head: Parts,
    pub(crate) origin: Origin,
    pub(crate) caller: Caller,
}

/// Serves one request.
pub(crate) async fn handle(
    inner: Arc<Inner>,
    request: Request<Incoming>,
    connection: &Connection,
) -> Response<ResponseBody> {
    let (head, body) = request.into_parts();
    let settings = inner.settings();
    let origin = Origin::read(&head.headers, &connection.peer, &settings);
    let caller = Caller::read(&head.headers, &inner.directory);
    let identity = origin.identity(&caller);
    let facts = first_facts(&head, &origin);
    let dialect = dialect_of(head.uri.path());
    let mut exchange =
        Exchange::begin(&inner, settings, connection.alarm.clone(), dialect, &head, identity, facts);
    let mut arrived = Arrived { head, origin, caller };
    if let Some(guest) = inner.guest.as_deref().filter(|guest| guest.serves(arrived.head.uri.path())) {
        return Box::pin(guest::serve(exchange, arrived, body, guest)).await;
    }
    // Apart from this future, which hyper keeps for as long as the connection lives: what the stages need is given back
    // before a stream begins.
    let served = AssertUnwindSafe(Box::pin(serve(&mut exchange, &mut arrived, body))).catch_unwind().await;
    match served {
        Ok(Ok(Outcome::Models)) => answer::models(exchange),
        Ok(Ok(Outcome::Answer(answered, tried))) => {
            answer::pass(exchange, *answered, tried, &arrived.head.headers)
        }
        Ok(Err(Ended::Refused(stage, refusal))) => answer::refuse(exchange, stage, &refusal),
        Ok(Err(Ended::Failed(failed))) => answer::failed(exchange, &failed),
        // A defect of weir's own: the hook has told of it. It ends this request alone, and in the caller's dialect.
        Err(_) => {
            let stage = exchange.stage();
            answer::refuse(exchange, stage, &defect())
        }
    }
}

async fn serve(exchange: &mut Exchange, arrived: &mut Arrived, body: Incoming) -> Result<Outcome, Ended> {
    let route = route(&arrived.head.method, arrived.head.uri.path()).at(Stage::Route)?;
    exchange.at_endpoint();
    exchange.enter(Stage::Admit);
    admit(exchange, &arrived.caller, arrived.origin.address).await.at(Stage::Admit)?;
    let Route::Operation(kind) = route else { return models(exchange, &arrived.caller) };
    exchange.reached(kind);
    exchange.enter(Stage::Read);
    let bytes_max = exchange.settings.body_bytes_max;
    let mut waited = Duration::ZERO;
    let read = read::read(&arrived.head.headers, body, bytes_max, &mut waited).await;
    exchange.leave_out(waited);
    let bytes = read.map_err(|unread| {
        exchange.draft.result.client_gone = unread.client_gone;
        Ended::Refused(Stage::Read, unread.refusal)
    })?;
    let mut body = RequestBody::read(kind, bytes).at(Stage::Read)?;
    exchange.enter(Stage::Identify);
    let resolved = identify(exchange, arrived, &body).await.at(Stage::Identify)?;
    exchange.enter(Stage::Resolve);
    let target = resolve_target(exchange, resolved, &arrived.caller, kind).at(Stage::Resolve)?;
    let started = decide::start(exchange, &arrived.head.headers, &body, &arrived.origin).await;
    exchange.enter(Stage::Precheck);
    precheck(&target, &body).at(Stage::Precheck)?;
    let asked = Asked { headers: &arrived.head.headers, body: &body, started };
    exchange.enter(Stage::Decide);
    decide(exchange, asked).await;
    exchange.enter(Stage::Limit);
    limit(exchange).await.at(Stage::Limit)?;
    exchange.enter(Stage::Enforce);
    let permit = permit(exchange).at(Stage::Enforce)?;
    let wait = hold(exchange, &permit).at(Stage::Hold)?;
    let prepared = prepare(exchange, &permit, target, &arrived.caller, kind);
    if wait.is_due() {
        read::leave_buffer(&mut arrived.head);
        body.leave_buffer();
    }
    // The delay once, before the upstream call and before every refusal that follows the decision.
    wait.over(exchange).await;
    let target = prepared.at(Stage::Enforce)?;
    exchange.enter(Stage::Send);
    match attempts::send(exchange, permit, target, arrived, &body).await {
        Ok((mut answered, tried)) => {
            answered.prompts = failed::prompts_read(exchange, &body);
            Ok(Outcome::Answer(answered, tried))
        }
        Err(Unanswered::Failed(failed)) => Err(Ended::Failed(failed)),
        Err(Unanswered::Refused(refusal)) => Err(Ended::Refused(Stage::Send, refusal)),
    }
}

/// The facts that the head alone tells.
fn first_facts(head: &Parts, origin: &Origin) -> RecordedFacts {
    let request = RequestFacts {
        path: head.uri.path().to_owned(),
        ip: origin.address_text.clone(),
        user_agent: origin.user_agent.clone(),
        ja4: origin.ja4.clone(),
        country: origin.country.clone(),
        city: origin.city.clone(),
        feature: origin.feature.clone(),
        editor: origin.editor.clone(),
        ..RequestFacts::default()
    };
    RecordedFacts { request, ..RecordedFacts::default() }
}

/// Stage *admit*: before anything is read, an address without a valid key is held to its limit on this node.
pub(crate) async fn admit(exchange: &mut Exchange, caller: &Caller, address: IpAddr) -> Result<(), Refusal> {
    exchange.draft.key = caller.key().cloned();
    if caller.key().is_some() {
        return Ok(());
    }
    let rate = exchange.settings.config.limits.unauthenticated;
    let charge = LimitCharge::new(&limited_network(address), "address", rate.requests, rate.per);
    let outcome = exchange.inner.node_limits.consume(&[charge]).await;
    exceeded(outcome, |_| RateLimit::Address)
}

/// What one limit covers: an IPv4 address, or the /64 network that one IPv6 client can choose its addresses from.
fn limited_network(address: IpAddr) -> String {
    match address {
        IpAddr::V4(v4) => v4.to_string(),
        IpAddr::V6(v6) => {
            let [a, b, c, d, ..] = v6.segments();
            format!("{a:x}:{b:x}:{c:x}:{d:x}::/64")
        }
    }
}

fn exceeded(outcome: LimitOutcome, which: impl FnOnce(usize) -> RateLimit) -> Result<(), Refusal> {
    match outcome.exceeded {
        None => Ok(()),
        Some(over) => Err(Refusal::RateLimitExceeded {
            limit: which(over.index),
            retry_after_s: Some(whole_seconds(over.retry_after)),
        }),
    }
}

/// The list of models: for every caller but one whose key is wrong.
fn models(exchange: &mut Exchange, caller: &Caller) -> Result<Outcome, Ended> {
    if matches!(caller, Caller::Invalid) {
        return Err(Ended::Refused(Stage::Identify, Refusal::InvalidApiKey));
    }
    exchange.ended_with_models();
    Ok(Outcome::Models)
}

/// Stage *identify*: the effective model, the free-model limit, authentication, and who the caller is judged as.
async fn identify(
    exchange: &mut Exchange,
    arrived: &Arrived,
    body: &RequestBody,
) -> Result<Resolved, Refusal> {
    body_facts(&mut exchange.draft.facts.request, body);
    exchange.draft.tokens_read_estimate = body.tokens_read_estimate();
    let caller = &arrived.caller;
    if matches!(caller, Caller::Invalid) {
        return Err(Refusal::InvalidApiKey);
    }
    let found = exchange.settings.config.models.find(body.model());
    if found.as_ref().is_some_and(|resolved| resolved.model.free) {
        free_limit(exchange, caller, arrived.origin.address).await?;
    }
    let resolved = found.ok_or_else(|| Refusal::ModelNotFound { model: Some(body.model().to_owned()) })?;
    if caller.key().is_none() && !resolved.model.free {
        return Err(Refusal::PaidModelAuthRequired { model: body.model().to_owned() });
    }
    check_own_key(&arrived.head.headers)?;
    if let Some(refusal) = body.unsupported_field() {
        return Err(refusal);
    }
    identity_facts(exchange, arrived).await;
    Ok(resolved)
}

fn body_facts(facts: &mut RequestFacts, body: &RequestBody) {
    facts.model = body.model().to_ascii_lowercase();
    facts.stream = body.stream();
    facts.max_tokens = body.max_tokens_int();
    facts.has_tools = body.has_tools();
    facts.body_bytes = i64::try_from(body.body_len()).unwrap_or(i64::MAX);
}

pub(crate) async fn identity_facts(exchange: &mut Exchange, arrived: &Arrived) {
    let inner = Arc::clone(&exchange.inner);
    let row = inner.directory.identity(&exchange.draft.identity, exchange.at).await;
    let identity = &exchange.draft.identity;
    exchange.draft.facts.identity =
        identify::facts(identity, &arrived.caller, &arrived.origin, &row, exchange.at);
    exchange.exempt = row.exempt_until.is_some_and(|until| until > exchange.at);
    let reads_stats = decide::reads_stats(&inner.rules.peek());
    if decide::reads_cache_with_facts(&exchange.settings) {
        Box::pin(recall(exchange, reads_stats)).await;
    } else if reads_stats {
        exchange.draft.facts.stats = inner.cache.stats_read(&exchange.draft.identity, exchange.at).await;
        exchange.draft.facts.stats_known = true;
    }
}

/// Reads what the cache holds of the identity, with one wait for all of it.
async fn recall(exchange: &mut Exchange, reads_stats: bool) {
    let (inner, identity, at) = (&exchange.inner, &exchange.draft.identity, exchange.at);
    let stats =
        async { if reads_stats { inner.cache.stats_read(identity, at).await } else { Stats::default() } };
    let (stats, action) = tokio::join!(stats, decide::read_cache(inner, identity));
    exchange.draft.facts.stats = stats;
    exchange.draft.facts.stats_known = reads_stats;
    exchange.cached_action = Some(action);
}

/// The limit of a user, or of an anonymous address, over all free models.
pub(crate) async fn free_limit(exchange: &Exchange, caller: &Caller, address: IpAddr) -> Result<(), Refusal> {
    let rate = exchange.settings.config.free_models;
    let subject = match caller.key() {
        Some(key) => format!("user:{}", key.owner.user),
        None => limited_network(address),
    };
    let charge = LimitCharge::new(&subject, "free-model", rate.requests, rate.per);
    exceeded(exchange.inner.cache.consume(&[charge]).await, |_| RateLimit::FreeModel)
}

fn resolve_target(
    exchange: &mut Exchange,
    resolved: Resolved,
    caller: &Caller,
    kind: ApiKind,
) -> Result<Arc<Target>, Refusal> {
    let target = resolve(&exchange.inner, &exchange.settings, resolved, caller)?;
    target.check_kind(kind)?;
    target.tell(&mut exchange.draft.facts.request);
    Ok(target)
}

/// Stage *precheck*: what precedes enforcement, so that a blocked caller may still see it.
fn precheck(target: &Target, body: &RequestBody) -> Result<(), Refusal> {
    if let Some(refusal) = body.too_many_max_tokens() {
        tracing::warn!(model = %target.id, "SECURITY: the request asks for more tokens than any model writes");
        return Err(refusal);
    }
    target.check_served()
}

/// Stage *decide*.
async fn decide(exchange: &mut Exchange, asked: Asked<'_>) {
    let mut decision = decide::decide(exchange, asked).await;
    if exchange.exempt {
        decision = exempted(decision);
    }
    exchange.draft.decision = Some(decision);
}

/// Stage *limit*: counts the request against every limit that a rule puts on the identity.
async fn limit(exchange: &mut Exchange) -> Result<(), Refusal> {
    loop {
        let Some(decision) = &exchange.draft.decision else { return Ok(()) };
        let charges: Vec<LimitCharge> =
            decision.limits().map(|limit| LimitCharge::of_rule(&exchange.draft.identity, limit)).collect();
        if charges.is_empty() {
            return Ok(());
        }
        let outcome = exchange.inner.cache.consume(&charges).await;
        let Some(over) = &outcome.exceeded else { return Ok(()) };
        let rule = decision.limits().nth(over.index).map(|limit| limit.rule.clone()).unwrap_or_default();
        if exchange.exempt || !stop_loss::exceeded(exchange, &rule) {
            return exceeded(outcome, |_| RateLimit::Rule(rule));
        }
        // One limit less each time.
        let active = exchange.inner.rules.load();
        if let Some(decision) = &mut exchange.draft.decision {
            stop_loss::without_limit(decision, &rule, &active);
        }
    }
}

/// Stage *enforce*, its first half: what the decision refuses.
fn permit(exchange: &mut Exchange) -> Result<Permit, Refusal> {
    let decision = exchange.draft.decision.as_ref().ok_or_else(undecided)?;
    exchange.log_enforcement(decision);
    match enforce(decision) {
        Enforcement::Block => {
            Err(Refusal::AbuseBlocked { rule: decision.rule.clone(), instead: decision.instead.clone() })
        }
        Enforcement::RateLimit => Err(Refusal::RateLimitExceeded {
            limit: RateLimit::Abuse,
            retry_after_s: Some(RETRY_AFTER_BARE_S),
        }),
        Enforcement::Proceed(permit) => Ok(permit),
    }
}

/// No stage before this one can leave the decision out; if one ever did, nothing would be sent.
pub(crate) fn undecided() -> Refusal {
    Refusal::TemporarilyUnavailable { reason: weir_dialect::refusal::Unavailable::Busy, retry_after_s: None }
}

/// weir itself has failed.
pub(crate) const fn defect() -> Refusal {
    Refusal::TemporarilyUnavailable {
        reason: weir_dialect::refusal::Unavailable::Defect,
        retry_after_s: None,
    }
}

/// A delay that is due.
pub(crate) struct Wait {
    delay: Duration,
    _slot: Option<crate::hold::HoldSlot>,
}

/// Stage *hold*, its first half: takes a place to wait in.
pub(crate) fn hold(exchange: &Exchange, permit: &Permit) -> Result<Wait, Refusal> {
    if permit.delay().is_zero() {
        return Ok(Wait { delay: Duration::ZERO, _slot: None });
    }
    match exchange.inner.holds.take(&exchange.draft.identity, exchange.settings.hold_bounds) {
        Some(slot) => Ok(Wait { delay: permit.delay(), _slot: Some(slot) }),
        None => Err(Refusal::RateLimitExceeded {
            limit: RateLimit::HoldFull,
            retry_after_s: Some(whole_seconds(permit.delay())),
        }),
    }
}

impl Wait {
    /// Whether there is anything to wait for.
    const fn is_due(&self) -> bool {
        !self.delay.is_zero()
    }

    /// Stage *hold*, its second half. Dropping the request, as happens when its client goes away, ends the wait.
    pub(crate) async fn over(self, exchange: &mut Exchange) {
        if !self.is_due() {
            return;
        }
        let delay_ms = u64::try_from(self.delay.as_millis()).unwrap_or(u64::MAX);
        exchange.draft.result.abuse_delay = Some(delay_ms);
        tracing::warn!(
            delay_ms,
            identity_key = %exchange.draft.identity,
            decision = %exchange.id,
            "SECURITY: the request is delayed"
        );
        let within = exchange.stage();
        let since = exchange.enter(Stage::Hold);
        exchange.inner.clock.sleep(self.delay).await;
        exchange.exclude(since);
        exchange.enter(within);
    }
}

/// Stage *enforce*, its second half: the downgrade with all checks of the new model, then the budget.
fn prepare(
    exchange: &mut Exchange,
    permit: &Permit,
    target: Arc<Target>,
    caller: &Caller,
    kind: ApiKind,
) -> Result<Arc<Target>, Refusal> {
    let target =
        if permit.downgrade() && !target.byok { downgrade(exchange, target, caller, kind)? } else { target };
    budget(caller, &target)?;
    Ok(target)
}

fn downgrade(
    exchange: &mut Exchange,
    target: Arc<Target>,
    caller: &Caller,
    kind: ApiKind,
) -> Result<Arc<Target>, Refusal> {
    let inner = Arc::clone(&exchange.inner);
    inner.counters.candidate_lookups.add();
    let candidate = match inner.candidates.candidates(&exchange.settings.config.models, kind) {
        Ok(candidates) => candidates.into_iter().next(),
        Err(error) => {
            tracing::warn!(api = %kind, %error, "the candidates for quarantine-3 could not be looked up; latency only");
            return Ok(target);
        }
    };
    let Some(candidate) = candidate else {
        tracing::warn!(api = %kind, "no candidate for quarantine-3; latency only");
        return Ok(target);
    };
    if candidate.eq_ignore_ascii_case(&target.id) {
        return Ok(target);
    }
    let Some(resolved) = exchange.settings.config.models.find(&candidate) else {
        inner.counters.provider_resolutions.add();
        return Err(Refusal::ModelNotFound { model: Some(target.id.clone()) });
    };
    // The caller is told of the model that it asked for: the other one is not its business.
    let free = resolve(&inner, &exchange.settings, resolved, caller).map_err(|r| about(r, &target.id))?;
    exchange.log_override(&target, &free);
    free.check_kind(kind).and_then(|()| free.check_served()).map_err(|r| about(r, &target.id))?;
    exchange.draft.result.abuse_downgraded_from = Some(target.id.clone());
    exchange.draft.result.served_model = Some(free.id.clone());
    Ok(free)
}

/// The same refusal, of another model.
fn about(refusal: Refusal, name: &str) -> Refusal {
    match refusal {
        Refusal::ModelNotFound { .. } => Refusal::ModelNotFound { model: Some(name.to_owned()) },
        Refusal::ApiKindNotSupported { kind, .. } => {
            Refusal::ApiKindNotSupported { kind, model: name.to_owned() }
        }
        Refusal::DiscontinuedFreeModel { .. } => Refusal::DiscontinuedFreeModel { model: name.to_owned() },
        other => other,
    }
}

/// The key's budget: used up is 402, unless the model costs nothing or the caller pays the provider.
pub(crate) fn budget(caller: &Caller, target: &Target) -> Result<(), Refusal> {
    let Some(key) = caller.key() else { return Ok(()) };
    let Some(budget_usd) = key.owner.budget_usd else { return Ok(()) };
    if target.model.free || target.byok {
        return Ok(());
    }
    #[expect(clippy::cast_precision_loss, reason = "spend is far below 2^52 micro-dollars")]
    let spent_usd = key.spent() as f64 / 1e6;
    if spent_usd < budget_usd {
        Ok(())
    } else {
        Err(Refusal::UsageLimitExceeded { budget_usd: Some(budget_usd) })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn size_of_future<A, B, C, F>(_: impl Fn(A, B, C) -> F) -> usize {
        size_of::<F>()
    }

    /// What a connection holds for as long as it lives, and what a request holds besides while its stages run.
    #[test]
    fn a_request_in_flight_is_small() {
        let connection = size_of_future(handle);
        let stages = size_of_future(serve);
        assert!(connection <= 1_500, "{connection} bytes");
        assert!(stages <= 3_400, "{stages} bytes");
    }
}
