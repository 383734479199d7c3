//! From a failed model to the next: with all checks of the new model, and a decision of its own.

use std::sync::Arc;

use weir_config::Resolved;
use weir_core::Decision;
use weir_core::record::{FallbackDecision, Skipped};
use weir_dialect::Refusal;
use weir_rules::enforce::{Enforcement, Permit, enforce};
use weir_store::LimitCharge;

use super::{Attempts, FALLBACKS_MAX, TooLong, skipped};
use crate::callers::Caller;
use crate::decide;
use crate::exchange::{Exchange, Stage};
use crate::pipeline;
use crate::resolve::{Target, resolve};

impl Attempts<'_> {
    /// Takes the next fallback model that may serve the request.
    pub(super) async fn fall_back(
        &mut self,
        exchange: &mut Exchange,
        too_long: TooLong,
        left_out: &mut Vec<Skipped>,
    ) -> bool {
        while let Some(name) = self.next_name() {
            match self.check(exchange, &name, too_long).await {
                Ok((target, decision)) => {
                    exchange.draft.result.served_model = Some(target.id.clone());
                    taken(exchange, &target.id);
                    self.target = target;
                    self.decision = Some(decision);
                    self.keys.clear();
                    self.tries = 0;
                    return true;
                }
                Err(because) => left_out.push(skipped(&name, because)),
            }
        }
        false
    }

    fn next_name(&mut self) -> Option<String> {
        let name = self.first.model.fallbacks.iter().take(FALLBACKS_MAX).nth(self.looked_at).cloned();
        self.looked_at = self.looked_at.saturating_add(1);
        name
    }

    /// All that a request for this model itself would have to pass, and what falling back asks for besides.
    async fn check(
        &mut self,
        exchange: &mut Exchange,
        name: &str,
        too_long: TooLong,
    ) -> Result<(Arc<Target>, Decision), String> {
        let resolved = exchange.settings.config.models.find(name).ok_or("there is no such model")?;
        if resolved.id == self.first.id || self.models.contains(&resolved.id) {
            return Err("it was tried already".to_owned());
        }
        self.models.push(resolved.id.clone());
        if let TooLong::Yes(window) = too_long {
            self.is_larger(window, resolved.model.context_window)?;
        }
        self.may_use(exchange, &resolved).await?;
        let target = self.resolve(exchange, resolved)?;
        let decision = self.decide(exchange, &target).await?;
        pipeline::budget(&self.arrived.caller, &target).map_err(because)?;
        Ok((target, decision))
    }

    fn is_larger(&mut self, failed: Option<u64>, next: Option<u64>) -> Result<(), String> {
        if matches!((failed, next), (Some(failed), Some(next)) if next > failed) {
            return Ok(());
        }
        self.too_small = self.too_small.saturating_add(1);
        Err("its `context_window` is not known to be larger".to_owned())
    }

    /// Who may ask for the model at all.
    async fn may_use(&self, exchange: &Exchange, resolved: &Resolved) -> Result<(), String> {
        let (caller, free) = (&self.arrived.caller, resolved.model.free);
        if caller.key().is_none() && !free {
            return Err("it is not free, and the caller is anonymous".to_owned());
        }
        // One request counts once, however many free models it goes through.
        if free && !self.first.model.free {
            pipeline::free_limit(exchange, caller, self.arrived.origin.address).await.map_err(because)?;
        }
        Ok(())
    }

    fn resolve(&self, exchange: &Exchange, resolved: Resolved) -> Result<Arc<Target>, String> {
        // A key that was brought along is for the provider of the model that was asked for, and for no other.
        let same_provider = resolved.model.provider == *self.first.provider.name;
        let caller = match &self.arrived.caller {
            Caller::Keyed(key, Some(_)) if !same_provider => Caller::Keyed(Arc::clone(key), None),
            caller => caller.clone(),
        };
        let target = resolve(&exchange.inner, &exchange.settings, resolved, &caller).map_err(because)?;
        target.check_kind(self.body.kind()).map_err(because)?;
        target.check_served().map_err(because)?;
        if self.first.byok && !target.byok {
            return Err("a request with the caller's own key never goes to the platform's".to_owned());
        }
        Ok(target)
    }

    /// A new decision, and what it asks for.
    async fn decide(&self, exchange: &mut Exchange, target: &Target) -> Result<Decision, String> {
        let headers = &self.arrived.head.headers;
        let decision =
            decide::again(exchange, headers, self.body, target).ok_or("there is no decision about it")?;
        let by = |what: &str| format!("{what} by rule `{}`", decision.rule.as_deref().unwrap_or("unknown"));
        note(exchange, FallbackDecision::of(&target.id, &decision, false));
        let permit = match enforce(&decision) {
            Enforcement::Block => return Err(by("blocked")),
            Enforcement::RateLimit => return Err(by("rate-limited")),
            Enforcement::Proceed(permit) => permit,
        };
        if permit.downgrade() && !target.byok && !target.model.free {
            return Err(by("only free models are allowed"));
        }
        limits(exchange, &decision).await?;
        self.hold(exchange, &permit).await?;
        self.prevail(exchange, &decision);
        Ok(decision)
    }

    /// The most severe decision is the record's; the one that it replaces is kept beside it.
    fn prevail(&self, exchange: &mut Exchange, decision: &Decision) {
        let Some(until_now) = &exchange.draft.decision else { return };
        if decision.action() <= until_now.action() {
            return;
        }
        // Of a fallback's it is noted already.
        if self.decision.is_none() {
            note(exchange, FallbackDecision::of(&self.first.id, until_now, true));
        }
        exchange.draft.decision = Some(decision.clone());
    }

    /// The artificial delay, unless the request has had one.
    async fn hold(&self, exchange: &mut Exchange, permit: &Permit) -> Result<(), String> {
        if permit.delay().is_zero() || exchange.draft.result.abuse_delay.is_some() {
            return Ok(());
        }
        let wait = pipeline::hold(exchange, permit).map_err(because)?;
        exchange.enter(Stage::Hold);
        wait.over(exchange).await;
        exchange.enter(Stage::Send);
        Ok(())
    }
}

/// Notes a decision about one of the models.
fn note(exchange: &mut Exchange, decision: FallbackDecision) {
    exchange.draft.result.fallbacks.push(decision);
}

/// Counts the limits that the first decision did not count already.
async fn limits(exchange: &Exchange, decision: &Decision) -> Result<(), String> {
    let counted: Vec<&str> =
        exchange.draft.decision.iter().flat_map(Decision::limits).map(|limit| limit.rule.as_str()).collect();
    let new: Vec<LimitCharge> = decision
        .limits()
        .filter(|limit| !counted.contains(&limit.rule.as_str()))
        .map(|limit| LimitCharge::of_rule(&exchange.draft.identity, limit))
        .collect();
    if new.is_empty() || exchange.inner.cache.consume(&new).await.exceeded.is_none() {
        Ok(())
    } else {
        Err("the limit of a rule is exceeded".to_owned())
    }
}

/// The model takes over: its decision is the latest one about it.
fn taken(exchange: &mut Exchange, model: &str) {
    if let Some(decided) = exchange.draft.result.fallbacks.iter_mut().rev().find(|d| d.model == model) {
        decided.taken = true;
    }
}

fn because(refusal: Refusal) -> String {
    refusal.operator_message()
}
