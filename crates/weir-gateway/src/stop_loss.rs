//! The stop-loss: a rule that hits too many identities, or one that is protected, falls back to shadow by itself.
//!
//! It is asked after the rules were and before anything is enforced. The request at which a rule is stopped is decided
//! anew without it. Each node judges its own traffic; what one has stopped is stopped on all within a second, by the
//! store's feed of changes. Without `stop_loss` in the configuration nothing is looked at.
//!
//! Watched are enforced rules on requests that do something to somebody: rate-limit, the quarantines, block, and a limit
//! when it was exceeded. `nothing`, `log` and `skip` harm nobody; who is exempt, or lifted by a `skip`, is not hit.

mod window;

use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use weir_config::config::{Protected, StopLoss as Options};
use weir_core::decision::Obligation;
use weir_core::failure::FailureObserver as _;
use weir_core::stop::{RuleStop, StopWhy};
use weir_core::{Action, Decision, Mode, Timestamp};
use weir_rules::{ActiveRules, Rule, Stopped, Then};

use crate::exchange::Exchange;
use crate::gateway::Inner;
use window::Watch;

/// How long a store that could not take a stop is left alone before it is asked again.
const STORE_AGAIN: Duration = Duration::from_secs(1);

/// What the stop-loss has seen.
#[derive(Default)]
pub(crate) struct StopLoss {
    watch: Mutex<Watch>,
}

/// Whom a request is of.
struct Who<'a> {
    subject: &'a str,
    protected: Option<StopWhy>,
}

impl<'a> Who<'a> {
    fn of(exchange: &'a Exchange, options: &Options) -> Self {
        let facts = &exchange.draft.facts;
        let paying = !matches!(facts.identity.plan.as_str(), "" | "free");
        let is = |who: &Protected| match who {
            Protected::Paying => paying.then_some(StopWhy::Paying),
            Protected::Byok => facts.request.byok.then_some(StopWhy::Byok),
        };
        Self { subject: exchange.draft.identity.as_str(), protected: options.protect.iter().find_map(is) }
    }
}

/// Notes whom the decision hits. The rules without the stopped ones, when some were stopped: decide again with those.
pub(crate) fn judge(
    exchange: &Exchange,
    active: &ActiveRules,
    decision: &Decision,
) -> Option<Arc<ActiveRules>> {
    let settings = &exchange.settings;
    let options = settings.config.stop_loss.as_ref()?;
    let enforced = !exchange.exempt && decision.action().enforces();
    let hits: Vec<&Rule> = if enforced { harmful(active, decision).collect() } else { Vec::new() };
    stop(exchange, options, active, &hits)
}

/// Notes that a rule's limit was exceeded. True when that has stopped the rule: then this request is not held to it.
pub(crate) fn exceeded(exchange: &Exchange, rule: &str) -> bool {
    let Some(options) = &exchange.settings.config.stop_loss else { return false };
    let active = exchange.inner.rules.load();
    let Some(rule) = active.rules.get(rule).filter(|rule| is_watched(&active, rule)) else { return false };
    stop(exchange, options, &active, &[rule]).is_some_and(|active| active.is_stopped(&rule.id))
}

/// The decision without a limit that was stopped.
pub(crate) fn without_limit(decision: &mut Decision, rule: &str, active: &ActiveRules) {
    let is_its = |o: &Obligation| matches!(o, Obligation::RateLimit(limit) if limit.rule == rule);
    decision.obligations.retain(|obligation| !is_its(obligation));
    for matched in decision.matched.iter_mut().filter(|matched| matched.rule == rule) {
        matched.mode = Mode::Shadow;
    }
    let score = active.rules.get(rule).map_or(0, |rule| rule.score);
    decision.sus_score = decision.sus_score.saturating_sub(score);
}

/// The enforced rules of a decision that do something by matching.
fn harmful<'a>(active: &'a ActiveRules, decision: &'a Decision) -> impl Iterator<Item = &'a Rule> {
    let enforced = decision.matched.iter().filter(|matched| matched.mode == Mode::Enforce);
    enforced
        .filter_map(|matched| {
            active.rules.get(&matched.rule).filter(|rule| *rule.version == *matched.version)
        })
        .filter(|rule| matches!(rule.then, Then::Action(action) if Action::enforces(action)))
        .filter(|rule| is_watched(active, rule))
}

/// Once for a version: neither what is stopped nor what an operator has lifted.
fn is_watched(active: &ActiveRules, rule: &Rule) -> bool {
    !active.is_stopped(&rule.id) && !active.is_resumed(&rule.id)
}

fn stop(
    exchange: &Exchange,
    options: &Options,
    active: &ActiveRules,
    hits: &[&Rule],
) -> Option<Arc<ActiveRules>> {
    let who = Who::of(exchange, options);
    let stops = {
        let mut watch = exchange.inner.stop_loss.watch.lock().unwrap_or_else(PoisonError::into_inner);
        watch.turn(options.window, exchange.at);
        watch.see(who.subject);
        let judged = hits.iter().filter_map(|rule| judge_one(&mut watch, options, &who, rule, exchange));
        judged.collect::<Vec<_>>()
    };
    if stops.is_empty() {
        return None;
    }
    let inner = &exchange.inner;
    let stopped = inner.rules.stop(stops.iter().map(|stop| Stopped::new(&stop.rule, &stop.version)));
    tracing::debug!(epoch = active.epoch, stops = stops.len(), "rules are stopped on this node");
    for stop in stops {
        tell(inner, stop);
    }
    Some(stopped)
}

fn judge_one(
    watch: &mut Watch,
    options: &Options,
    who: &Who<'_>,
    rule: &Rule,
    exchange: &Exchange,
) -> Option<RuleStop> {
    let (hit, seen) = watch.hit(&rule.id, &rule.version, who.subject);
    let why = who.protected.or_else(|| too_many(options, hit, seen).then_some(StopWhy::Share))?;
    watch.forget(&rule.id, &rule.version);
    Some(RuleStop {
        rule: rule.id.to_string(),
        version: rule.version.to_string(),
        at: exchange.at,
        why,
        hit,
        seen,
        decision: exchange.id,
    })
}

#[expect(clippy::cast_precision_loss, reason = "numbers of identities are far below 2^52")]
fn too_many(options: &Options, hit: u64, seen: u64) -> bool {
    seen >= options.identities_min && hit as f64 * 100.0 > options.share_percent * seen as f64
}

/// Tells the log at once, and then, in the background, the store and with it the other nodes, and who reports. However
/// long the store is away, the rule is stopped here.
fn tell(inner: &Arc<Inner>, stop: RuleStop) {
    tracing::error!(
        rule = %stop.rule,
        version = %stop.version,
        why = stop.why.as_str(),
        hit = stop.hit,
        seen = stop.seen,
        decision = %stop.decision,
        "the stop-loss has taken a rule back to shadow: {}; mend it, or lift this with POST /api/rules/{{id}}/resume",
        stop.why.in_words()
    );
    metrics::counter!("weir_rules_stopped_total", "why" => stop.why.as_str()).increment(1);
    let told = Arc::clone(inner);
    inner.spawn(async move {
        let mut told_of = false;
        loop {
            match told.directory.database().rule_stop(&stop).await {
                // Another node was faster, and has told of it.
                Ok(false) => return,
                Ok(true) if told_of => return,
                Ok(true) => return told.observers.rule_stopped(&stop),
                Err(error) if !told_of => {
                    told_of = true;
                    told.observers.rule_stopped(&stop);
                    tracing::error!(%error, rule = %stop.rule, "the store could not be told of a stopped rule; tried again");
                }
                Err(_) => {}
            }
            told.clock.sleep(STORE_AGAIN).await;
        }
    });
}

/// Where a window of this length begins at this time, as a number of slots.
fn slot_of(at: Timestamp, slot_ms: i64) -> i64 {
    at.as_millisecond().div_euclid(slot_ms.max(1))
}

#[cfg(test)]
mod tests;
