//! Stage *send*: the attempts of one request, until one is answered or none may follow.
//!
//! After a failure the same model is tried again, or the next key of its provider's pool, or a fallback model, as the
//! classification says. Each attempt takes a permit of its own; a fallback model passes all checks and a decision anew.

mod fallback;
pub(crate) mod plan;

use std::sync::Arc;
use std::time::{Duration, Instant};

use jiff::SignedDuration;
use rand::RngExt as _;
use weir_core::failure::{Class, CredentialOwner, Retry};
use weir_core::record::{NextStep, Skipped};
use weir_core::{Decision, Timestamp};
use weir_dialect::{Refusal, RequestBody};
use weir_rules::enforce::{Enforcement, Permit, enforce};
use weir_rules::failure::of_credential;

use crate::begin::{Answered, begin};
use crate::exchange::Exchange;
use crate::failed::{self, Failed, Tried};
use crate::known_dead::Life;
use crate::pipeline::Arrived;
use crate::resolve::Target;
use crate::trouble::Trouble;
use crate::upstream::Call;
use plan::{Plan, Standing, plan};

/// How many models one request may fall back to.
const FALLBACKS_MAX: usize = 8;

/// Why a request that was sent is not answered by a provider.
pub(crate) enum Unanswered {
    /// The last attempt has failed; the most informative failure is kept.
    Failed(Box<Failed>),
    /// An attempt was not permitted.
    Refused(Refusal),
}

/// Sends a request until a provider answers it.
///
/// # Errors
/// No attempt was answered.
pub(crate) async fn send(
    exchange: &mut Exchange,
    permit: Permit,
    target: Arc<Target>,
    arrived: &Arrived,
    body: &RequestBody,
) -> Result<(Box<Answered>, Tried), Unanswered> {
    let mut attempts = Attempts::new(exchange, target, arrived, body);
    let mut permit = Some(permit);
    loop {
        let (failed, tried) = match attempts.attempt(exchange, permit.take()).await {
            Ok(answered) => return Ok(answered),
            Err(Attempted::Failed(failed, tried)) => (failed, tried),
            Err(Attempted::Refused(refusal)) => return Err(Unanswered::Refused(refusal)),
        };
        if !attempts.go_on(exchange, *failed, &tried).await {
            return Err(attempts.end(exchange));
        }
    }
}

/// What became of one attempt without an answer.
enum Attempted {
    Failed(Box<Failed>, Tried),
    Refused(Refusal),
}

impl From<Refusal> for Attempted {
    fn from(refusal: Refusal) -> Self {
        Self::Refused(refusal)
    }
}

/// The attempts of one request.
struct Attempts<'a> {
    arrived: &'a Arrived,
    body: &'a RequestBody,
    asked_model: Arc<str>,
    /// The model that was resolved first: a key that the caller brought along is for its provider.
    first: Arc<Target>,
    /// The model that is tried now, and the decision that it was permitted by.
    target: Arc<Target>,
    /// Of a fallback model; the first one's is the exchange's.
    decision: Option<Decision>,
    /// How many of the first model's fallbacks were looked at.
    looked_at: usize,
    /// The models besides the first that were tried or left out.
    models: Vec<String>,
    /// The keys of the pool that have failed in this round.
    keys: Vec<usize>,
    /// How often the present model was tried.
    tries: u32,
    calls: u32,
    of: u32,
    paused: Duration,
    /// Fallback models whose window is not larger.
    too_small: usize,
    best: Option<Box<Failed>>,
}

impl<'a> Attempts<'a> {
    fn new(exchange: &Exchange, target: Arc<Target>, arrived: &'a Arrived, body: &'a RequestBody) -> Self {
        let fallbacks = target.model.fallbacks.len().min(FALLBACKS_MAX);
        let models = u32::try_from(fallbacks).unwrap_or(u32::MAX).saturating_add(1);
        let of = exchange.settings.config.failures.retries.attempts.saturating_mul(models);
        Self {
            arrived,
            body,
            asked_model: body.model().into(),
            first: Arc::clone(&target),
            target,
            decision: None,
            looked_at: 0,
            models: Vec::new(),
            keys: Vec::new(),
            tries: 0,
            calls: 0,
            of: of.min(plan::CALLS_MAX),
            paused: Duration::ZERO,
            too_small: 0,
            best: None,
        }
    }

    /// One call of the provider.
    async fn attempt(
        &mut self,
        exchange: &mut Exchange,
        permit: Option<Permit>,
    ) -> Result<(Box<Answered>, Tried), Attempted> {
        exchange.draft.target = Some(Arc::clone(&self.target));
        self.tries = self.tries.saturating_add(1);
        let key = match self.choose_key(exchange) {
            Ok(key) => key,
            Err((failed, tried)) => return Err(Attempted::Failed(failed, tried)),
        };
        self.calls = self.calls.saturating_add(1);
        let tried = self.tried(exchange, key, self.calls);
        let permit = match permit {
            Some(permit) => permit,
            None => self.permit(exchange)?,
        };
        match self.call(exchange, permit, key).await {
            Ok(answered) => {
                if !self.target.byok {
                    let provider = &self.target.provider;
                    exchange.settings.known_dead.served(&provider.name, key, &self.target.upstream_name);
                }
                Ok((answered, tried))
            }
            Err(trouble) => {
                let request = failed::Request {
                    headers: Some(&self.arrived.head.headers),
                    prompts: &failed::prompts_read(exchange, self.body),
                    said: Some(self.body.body()),
                };
                let mut failed = failed::classify(exchange, trouble, &tried, &request);
                failed.too_long = self.too_long(&failed);
                self.learn(exchange, &failed, key);
                Err(Attempted::Failed(Box::new(failed), tried))
            }
        }
    }

    async fn call(
        &self,
        exchange: &mut Exchange,
        permit: Permit,
        key: usize,
    ) -> Result<Box<Answered>, Trouble> {
        let target = &self.target;
        let since = Instant::now();
        let trace = exchange.draft.watched.attempt_begins(target, self.calls, since);
        let call = Call {
            kind: self.body.kind(),
            target,
            credential: if target.byok { target.own.as_ref() } else { target.provider.keys.get(key) },
            body: self.body.upstream_body(Some(&target.upstream_name)),
            headers: &self.arrived.head.headers,
            asked_model: self.body.model(),
            first_byte: exchange.settings.config.limits.upstream.first_byte,
            alarm: &exchange.alarm,
            // As a provider would see it: neither the time nor the number tells how long the request was held before.
            simulated: target.provider.simulated.then(|| {
                let now = exchange.inner.clock.now();
                (now, exchange.inner.new_decision_id(now).as_u128())
            }),
            trace,
        };
        let inner = Arc::clone(&exchange.inner);
        let mut answered = inner.upstream.send(permit, call).await;
        let head_ms = since.elapsed().as_secs_f64() * 1000.0;
        let begun = match answered {
            Ok(response) => {
                begin(exchange, response, self.body.kind(), &self.asked_model, self.body.stream()).await
            }
            Err(ref mut trouble) => Err(std::mem::take(trouble)),
        };
        exchange.exclude(since);
        exchange.draft.result.timings.upstream_head_ms = head_ms;
        begun
    }

    /// Whether a bare 500 of the house's is explained by a request that cannot fit (spec A10).
    fn too_long(&self, failed: &Failed) -> Option<(u64, u64)> {
        let trouble = &failed.trouble;
        let bare = trouble.is_an_answer() && trouble.status == 500 && trouble.body.trim_ascii().is_empty();
        let window = self.target.model.context_window.filter(|_| bare && self.target.provider.house)?;
        Some((self.body.tokens_estimate(), window)).filter(|(estimated, window)| estimated >= window)
    }

    /// Another permit from the decision that the model was permitted by: each attempt consumes one.
    fn permit(&self, exchange: &Exchange) -> Result<Permit, Refusal> {
        match self.decision.as_ref().or(exchange.draft.decision.as_ref()).map(enforce) {
            Some(Enforcement::Proceed(permit)) => Ok(permit),
            Some(Enforcement::Block | Enforcement::RateLimit) | None => Err(crate::pipeline::undecided()),
        }
    }

    fn tried(&self, exchange: &Exchange, key: usize, number: u32) -> Tried {
        let credential = if self.target.byok {
            CredentialOwner::User
        } else if self.comes_back(exchange, key) {
            CredentialOwner::Pooled
        } else {
            // The last one of a pool is not pooled any more: there is none to take its place.
            CredentialOwner::Platform
        };
        Tried { target: Arc::clone(&self.target), credential, key, number, of: self.of.max(number) }
    }

    fn life(&self, exchange: &Exchange, key: usize) -> Life {
        let (provider, model) = (&self.target.provider.name, &self.target.upstream_name);
        exchange.settings.known_dead.life(provider, key, model, exchange.inner.clock.now())
    }

    /// The key to call with: the first of the pool that lives and was not tried in this round; where none does, the one
    /// that was refused longest ago or is the first to be throttled no more, if that is soon, or if this request has
    /// waited for it. A caller's own key is always tried.
    ///
    /// # Errors
    /// All keys are dead or throttled until a time that the provider has named.
    fn choose_key(&self, exchange: &mut Exchange) -> Result<usize, (Box<Failed>, Tried)> {
        let pool = self.target.provider.keys.len();
        let all_is_well = self.keys.is_empty() && exchange.settings.known_dead.is_empty();
        if self.target.byok || pool == 0 || all_is_well {
            return Ok(0);
        }
        let lives: Vec<(usize, Life)> = (0..pool).map(|key| (key, self.life(exchange, key))).collect();
        let untried = |key: &usize| !self.keys.contains(key);
        let living = lives.iter().filter(|(_, life)| life.lives()).map(|(key, _)| *key);
        if let Some(key) = living.clone().find(untried).or_else(|| living.clone().next()) {
            return Ok(key);
        }
        let now = exchange.inner.clock.now();
        let waited = self.tries > 1;
        let is_far = |until: Timestamp| {
            plan::is_far(Some(seconds_until(until, now)), &exchange.settings.config.failures.retries)
        };
        let may_be_tried = lives.iter().filter_map(|(key, life)| match life {
            Life::Refused(until) => Some((*until, *key)),
            Life::Throttled(until, _) if waited || !is_far(*until) => Some((*until, *key)),
            Life::Lives | Life::Throttled(..) | Life::DeadUntil(..) => None,
        });
        if let Some((_, key)) = may_be_tried.min() {
            return Ok(key);
        }
        let first_back = lives.into_iter().filter_map(|(key, life)| match life {
            Life::DeadUntil(until, failure) | Life::Throttled(until, failure) => Some((until, key, failure)),
            Life::Lives | Life::Refused(_) => None,
        });
        let Some((until, key, failure)) = first_back.min_by_key(|(until, ..)| *until) else { return Ok(0) };
        let tried = self.tried(exchange, key, 0);
        let failed = failed::remembered(exchange, &failure, seconds_until(until, now), &tried);
        Err((Box::new(failed), tried))
    }

    /// Whether the pool has another key that lives and was not tried in this round.
    fn other_key(&self, exchange: &Exchange, key: usize) -> bool {
        let pool = self.target.provider.keys.len();
        !self.target.byok
            && (0..pool).any(|other| {
                other != key && !self.keys.contains(&other) && self.life(exchange, other).lives()
            })
    }

    /// Whether the pool has another key that lives, or that is throttled and no worse: then it is not empty.
    fn comes_back(&self, exchange: &Exchange, key: usize) -> bool {
        let pool = self.target.provider.keys.len();
        let is_throttled = |other| matches!(self.life(exchange, other), Life::Throttled(..));
        self.other_key(exchange, key) || (0..pool).any(|other| other != key && is_throttled(other))
    }

    /// When the first key of the pool comes back, in seconds, as far as the provider has said so.
    fn back_in_s(&self, exchange: &Exchange) -> Option<f64> {
        if self.target.byok || exchange.settings.known_dead.is_empty() {
            return None;
        }
        let now = exchange.inner.clock.now();
        let known = (0..self.target.provider.keys.len()).filter_map(|key| match self.life(exchange, key) {
            Life::DeadUntil(until, _) | Life::Throttled(until, _) => Some(until),
            Life::Lives | Life::Refused(_) => None,
        });
        known.min().map(|until| seconds_until(until, now))
    }

    fn learn(&mut self, exchange: &Exchange, failed: &Failed, key: usize) {
        self.keys.push(key);
        let now = exchange.inner.clock.now();
        let (provider, model) = (&self.target.provider.name, &self.target.upstream_name);
        exchange.settings.known_dead.learn(provider, key, model, &failed.failure, now);
    }

    /// Does what the failure asks for, and says whether another attempt may follow.
    async fn go_on(&mut self, exchange: &mut Exchange, failed: Failed, tried: &Tried) -> bool {
        let standing = self.standing(exchange, &failed, tried);
        let retries = exchange.settings.config.failures.retries;
        let failed = self.keep(exchange, failed);
        match plan(&standing, &retries) {
            Plan::End => false,
            Plan::NextKey => {
                failed::followed_by(exchange, NextStep::NextKey, 0, Vec::new());
                self.tries = self.tries.saturating_sub(1);
                true
            }
            Plan::Again(pause) => {
                let wait_ms = u64::try_from(pause.as_millis()).unwrap_or(u64::MAX);
                failed::followed_by(exchange, NextStep::Again, wait_ms, Vec::new());
                self.keys.clear();
                self.pause(exchange, pause).await;
                true
            }
            Plan::Fallback => {
                let mut skipped = Vec::new();
                // Apart, because it is large and seldom: what every request waits in stays small.
                let found = Box::pin(self.fall_back(exchange, failed, &mut skipped)).await;
                let next = if found { NextStep::Fallback } else { NextStep::End };
                failed::followed_by(exchange, next, 0, skipped);
                found
            }
        }
    }

    fn standing(&self, exchange: &Exchange, failed: &Failed, tried: &Tried) -> Standing {
        let failure = &failed.failure;
        Standing {
            class: failure.class(),
            // A key that is known to be dead is not tried again, whatever its failure was.
            retry: if tried.number == 0 { Retry::Failover } else { failure.retry() },
            hint_s: failure.classification().retry_after_s,
            other_key: tried.number != 0 && self.other_key(exchange, tried.key),
            other_model: self.looked_at < self.first.model.fallbacks.len().min(FALLBACKS_MAX),
            tries: self.tries,
            calls: self.calls,
            paused: self.paused,
            random: rand::rng().random(),
        }
    }

    /// Keeps the most informative failure; of two that tell as much, the earlier. What a fallback needs of this one is
    /// given back.
    fn keep(&mut self, exchange: &Exchange, mut failed: Failed) -> TooLong {
        let class = failed.failure.class();
        if of_credential(class) && failed.failure.classification().retry_after_s.is_none() {
            // Of a pool the caller is told when the first key comes back, whichever was asked last.
            failed.back_in_s = self.back_in_s(exchange);
        }
        if self.best.as_ref().is_none_or(|best| class.informs() > best.failure.class().informs()) {
            self.best = Some(Box::new(failed));
        }
        if class == Class::ContextLengthExceeded {
            TooLong::Yes(self.target.model.context_window)
        } else {
            TooLong::No
        }
    }

    async fn pause(&mut self, exchange: &mut Exchange, pause: Duration) {
        let since = Instant::now();
        exchange.inner.clock.sleep(pause).await;
        exchange.exclude(since);
        self.paused = self.paused.saturating_add(pause);
    }

    fn end(self, exchange: &mut Exchange) -> Unanswered {
        let Some(mut best) = self.best else { return Unanswered::Refused(crate::pipeline::undecided()) };
        best.skipped = self.too_small;
        // No fallback has served it; a free model in its place was what the decision asked for.
        let downgraded = exchange.draft.result.abuse_downgraded_from.is_some();
        exchange.draft.result.served_model = downgraded.then(|| self.first.id.clone());
        failed::ended(exchange, best.failure.class());
        Unanswered::Failed(best)
    }
}

/// Whether the request was too long for the model, whose window is known perhaps: then only a larger one may serve.
#[derive(Clone, Copy, Debug)]
enum TooLong {
    No,
    Yes(Option<u64>),
}

/// How long it is until then, in seconds; 0 when it was.
fn seconds_until(until: Timestamp, now: Timestamp) -> f64 {
    until.duration_since(now).max(SignedDuration::ZERO).as_secs_f64()
}

/// Why a fallback model cannot take over.
fn skipped(model: &str, because: impl Into<String>) -> Skipped {
    Skipped { model: model.to_owned(), because: because.into() }
}
