//! From a call to its settled decision: facts, rules, policies, approval.

use std::time::Duration;

use weir_config::config::Tools;
use weir_core::action::QuarantineDelays;
use weir_core::tool::PermissionLevel;
use weir_core::{Boundary, DecisionId};
use weir_rules::tool::{Grant, OtherTool, Outside, Scene, Standing, ToolDecision};
use weir_rules::{DecideContext, Fact, Facts};
use weir_store::StoreError;
use weir_store::database::{
    Answer, Approval, ApprovalScope, ApprovalState, Asked, NewApproval, PENDING_PER_CALLER_MAX, Question,
};

use super::catalogue::Entry;
use super::{Inner, Unlisted, tool_level};
use crate::approval::{self, approval_id, digest_of};
use crate::call::{Caller, ToolCall};
use crate::level;
use crate::outcome::{Denied, PendingApproval, UsedApproval};
use crate::policy::PolicyRequest;

/// How often an open approval is looked at while somebody waits for it.
const LOOK_EVERY: Duration = Duration::from_millis(200);

/// Times that a call looks again because somebody else has just used the same grant.
const LOOKS_MAX: usize = 4;

/// A decision to which nothing will be added.
pub(super) struct Settled {
    pub(super) made: ToolDecision,
    pub(super) pending: Option<PendingApproval>,
    /// The approval that let the call through.
    pub(super) approval: Option<String>,
    /// As above, if it was for one run.
    pub(super) used: Option<UsedApproval>,
    pub(super) digest: String,
}

impl Settled {
    pub(super) fn denied(&self) -> Option<Denied> {
        self.made.denial().map(|denial| Denied::new(denial.clone(), self.pending.clone()))
    }
}

/// The facts that follow from the caller alone.
pub(super) fn facts_of(caller: &Caller, ceiling: PermissionLevel) -> Facts<'_> {
    let mut facts = Facts::new(Boundary::Tool);
    facts.set_identity(&caller.identity);
    facts.set_stats(&caller.stats);
    facts.set_str(Fact::AgentId, &caller.agent);
    facts.set_str(Fact::SessionId, &caller.session);
    facts.set_str(Fact::CallSource, caller.source.as_str());
    facts.set_str(Fact::ChannelName, &caller.channel);
    facts.set_str(Fact::ChannelCeiling, ceiling.token());
    facts
}

pub(super) fn set_tool<'f>(facts: &mut Facts<'f>, entry: &'f Entry, level: PermissionLevel) {
    facts.set_str(Fact::ToolName, &entry.definition.name);
    facts.set_str(Fact::ToolServer, &entry.definition.server);
    facts.set_str(Fact::ToolLevel, level.token());
    facts.set_dynamic(Fact::ToolAnnotations, entry.annotations());
}

impl Inner {
    /// Decides by the rules. `unlisted` is given by programs that run their tools themselves: a tool is known then, and has
    /// the level that they say if nobody else says one.
    pub(super) async fn decide(&self, call: &ToolCall, unlisted: Option<Unlisted<'_>>) -> ToolDecision {
        let entry = self.catalogue.find(&self.database, &call.server, &call.tool).await;
        let made = self.decide_among(call, entry.as_deref(), unlisted, false);
        // Finding what else may be called costs more than deciding, so it is done for denials only.
        if made.denial().is_some_and(|denial| wants_alternatives(denial.kind)) {
            return self.decide_among(call, entry.as_deref(), unlisted, true);
        }
        made
    }

    fn decide_among(
        &self,
        call: &ToolCall,
        entry: Option<&Entry>,
        unlisted: Option<Unlisted<'_>>,
        with_others: bool,
    ) -> ToolDecision {
        let settings = self.settings();
        let tools = &settings.tools;
        let rules = self.rules.load();
        let entries = if with_others { self.catalogue.entries(None) } else { Vec::new() };
        let mut others: Vec<OtherTool<'_>> = entries
            .iter()
            .filter(|other| call.caller.sees(&other.definition.name))
            .map(|other| OtherTool {
                name: &other.definition.name,
                server: &other.definition.server,
                level: other.level(tools),
                annotations: other.annotations(),
            })
            .collect();
        if let Some(unlisted) = unlisted.filter(|_| with_others) {
            // Of programs that list no tools here, those that the configuration names are known.
            let configured = || tools.levels.iter().map(|(name, level)| (name.as_str(), *level));
            let named: Vec<(&str, PermissionLevel)> = match unlisted.others {
                Some(own) => own
                    .iter()
                    .map(|(name, level)| (*name, unlisted_level(tools, name, Some(*level))))
                    .collect(),
                None => configured().collect(),
            };
            let seen = named.into_iter().filter(|(name, _)| call.caller.sees(name));
            others.extend(seen.map(|(name, level)| OtherTool {
                name,
                server: "",
                level,
                annotations: &super::catalogue::NO_ANNOTATIONS,
            }));
        }
        let mut facts = facts_of(&call.caller, settings.ceiling(&call.caller.channel));
        facts.set_str(Fact::ToolName, &call.tool);
        facts.set_str(Fact::ToolServer, &call.server);
        match entry {
            Some(entry) => set_tool(&mut facts, entry, entry.level(tools)),
            None => {
                let level = unlisted_level(tools, &call.tool, unlisted.and_then(|unlisted| unlisted.level));
                facts.set_str(Fact::ToolLevel, level.token());
                facts.set_dynamic(Fact::ToolAnnotations, &super::catalogue::NO_ANNOTATIONS);
            }
        }
        let floor = level::of_call(&call.tool, &call.args, &settings.roots);
        facts.set_str(Fact::CallLevel, floor.token());
        facts.set_dynamic(Fact::CallArgs, call.args.as_value());
        facts.set_int(Fact::CallIteration, i64::from(call.iteration));
        let known = entry.is_some() || unlisted.is_some();
        // As above: told in denials only.
        let outside =
            if with_others { level::outside(&call.tool, &call.args, &settings.roots) } else { None };
        // weir's own tools for files look for themselves, and do not leave the roots.
        let closed = entry.is_some_and(|entry| entry.built_in.is_some()) && call.tool != "run_command";
        let scene = Scene {
            changed: entry.is_some_and(|entry| entry.drifted.load(std::sync::atomic::Ordering::Relaxed)),
            outside: outside.as_ref().map(|outside| Outside {
                path: &outside.path,
                opened: outside.opened,
                closed,
            }),
            known,
            visible: call.caller.sees(&call.tool),
            others: &others,
            ceiling_is_set: settings.is_ceiling_set(&call.caller.channel),
        };
        let at = self.clock.now();
        let context = DecideContext {
            id: DecisionId::new(at, rand::random()),
            subject: &call.caller.identity.key,
            epoch: rules.epoch,
            at,
            delays: QuarantineDelays::default(),
        };
        rules.rules.decide_tool(&mut facts, &scene, &context)
    }

    /// Asks policies and people.
    pub(super) async fn settle(
        &self,
        made: ToolDecision,
        call: &ToolCall,
        call_id: &str,
        leg: Option<&UsedApproval>,
    ) -> Settled {
        let made = self.ask_policies(made, call, call_id).await;
        let digest = digest_of(&call.args);
        let mut settled = Settled { made, pending: None, approval: None, used: None, digest };
        if settled.made.needs_approval() {
            settled = self.ask_person(settled, call, leg).await;
        }
        settled
    }

    /// Asks the policies once, if they can still change something.
    async fn ask_policies(&self, mut made: ToolDecision, call: &ToolCall, call_id: &str) -> ToolDecision {
        if !made.asks_policies() {
            return made;
        }
        let request = PolicyRequest {
            call_id,
            tool: &call.tool,
            server: &call.server,
            args: &call.args,
            level: made.level(),
            iteration: call.iteration,
            caller: &call.caller,
        };
        for (name, verdict) in self.policies.ask(&request).await {
            made = made.with_policy(&name, &verdict);
        }
        made
    }

    /// Finds the approval of this call, or opens one.
    async fn ask_person(&self, settled: Settled, call: &ToolCall, leg: Option<&UsedApproval>) -> Settled {
        let Settled { made, digest, .. } = settled;
        let standing = self.standing(&made, call, &digest, leg).await;
        let (standing, approval) = standing.unwrap_or_else(|error| {
            tracing::error!(%error, "an approval could not be stored: the call is denied");
            (Standing::Unavailable("approvals cannot be kept at this time".to_owned()), None)
        });
        let pending = approval.as_ref().filter(|approval| approval.state == ApprovalState::Pending);
        let pending = pending.map(|approval| PendingApproval {
            id: approval.id.clone(),
            question: approval::question_text(approval),
            expires_at: approval.expires_at,
        });
        let made = made.with_approval(&digest, &standing);
        let granted = approval.filter(|_| made.denial().is_none());
        let once = granted.as_ref().filter(|approval| approval.scope == Some(ApprovalScope::Once));
        let used = once.and_then(|once| Some(UsedApproval { id: once.id.clone(), at: once.used_at? }));
        Settled { made, pending, approval: granted.map(|approval| approval.id), used, digest }
    }

    async fn standing(
        &self,
        made: &ToolDecision,
        call: &ToolCall,
        digest: &str,
        leg: Option<&UsedApproval>,
    ) -> Result<(Standing, Option<Approval>), StoreError> {
        if let Some(leg) = leg
            && let Some(approval) = self.database.approval_continue(&leg.id, leg.at, self.clock.now()).await?
        {
            // Whether it is this call's is seen from what it is bound to.
            return Ok((Standing::Granted(grant(made, &approval)), Some(approval)));
        }
        let mut new = self.new_approval(made, call, digest);
        for _ in 0..LOOKS_MAX {
            let now = self.clock.now();
            let mut approval = match self.database.approval_ask(&new, now).await? {
                Asked::TooMany => {
                    let why = format!("{PENDING_PER_CALLER_MAX} approvals of this caller wait already");
                    return Ok((Standing::Unavailable(why), None));
                }
                Asked::New(approval) => {
                    let url = self.settings.load().tools.approvals.webhook.clone();
                    self.webhook.created(url, &approval);
                    metrics::counter!("weir_approvals_total", "state" => "pending").increment(1);
                    approval
                }
                Asked::Known(approval) => approval,
            };
            let id = approval.id.clone();
            match approval.state {
                ApprovalState::Pending => return Ok((Standing::Pending { id }, Some(approval))),
                ApprovalState::Expired => return Ok((Standing::Expired { id }, Some(approval))),
                ApprovalState::Denied => {
                    let by = approval.answered_by.clone().unwrap_or_default();
                    return Ok((Standing::Denied { id, by }, Some(approval)));
                }
                // A yes for another session: this one asks for itself.
                ApprovalState::Approved
                    if approval.scope == Some(ApprovalScope::Session)
                        && approval.question.session != call.caller.session
                        && !new.of_session =>
                {
                    new.of_session = true;
                }
                ApprovalState::Approved => {
                    if self.database.approval_use(&approval, now).await? {
                        approval.used_at = Some(now);
                        return Ok((Standing::Granted(grant(made, &approval)), Some(approval)));
                    }
                }
            }
        }
        Ok((Standing::Unavailable("others use the same approval at this moment".to_owned()), None))
    }

    fn new_approval(&self, made: &ToolDecision, call: &ToolCall, digest: &str) -> NewApproval {
        let now = self.clock.now();
        let binding = made.binding(digest);
        let denial = made.denial();
        let ttl = self.settings.load().tools.approvals.ttl;
        NewApproval {
            id: approval_id(now),
            caller: binding.caller,
            question: Question {
                tool: binding.tool,
                server: binding.server,
                digest: binding.digest,
                args: call.args.names(),
                asked_by: binding.asked_by,
                rule: denial.and_then(|denial| denial.rule.clone()),
                policy: denial.and_then(|denial| denial.policy.clone()),
                reason: denial.map(|denial| denial.reason.clone()).unwrap_or_default(),
                level: Some(made.level()),
                channel: call.caller.channel.clone(),
                agent: call.caller.agent.clone(),
                session: call.caller.session.clone(),
                decision: made.decision().id.to_string(),
            },
            expires_at: now.saturating_add(ttl).unwrap_or(now),
            of_session: false,
        }
    }

    /// Waits until an approval is answered or out of time, `patience` at most. When the waiting itself is given up, whoever
    /// called has left: the approval is denied, so that nobody approves what nobody waits for.
    pub(super) async fn wait_for_answer(&self, id: &str, patience: Duration) {
        let mut left = Left::new(self, id);
        let until = self.clock.now().saturating_add(patience);
        loop {
            let now = self.clock.now();
            let waits = match self.database.approval(id, now).await {
                Ok(approval) => approval.is_some_and(|approval| approval.state == ApprovalState::Pending),
                // What cannot be read now may be read soon.
                Err(_) => true,
            };
            if !waits || until.as_ref().is_ok_and(|until| now >= *until) {
                break;
            }
            self.clock.sleep(LOOK_EVERY.min(patience)).await;
        }
        left.stayed();
    }
}

fn grant(made: &ToolDecision, approval: &Approval) -> Grant {
    let question = &approval.question;
    let mut binding = made.binding(&question.digest);
    binding.caller.clone_from(&approval.caller);
    binding.tool.clone_from(&question.tool);
    binding.server.clone_from(&question.server);
    binding.asked_by.clone_from(&question.asked_by);
    binding.channel.clone_from(&question.channel);
    binding.agent.clone_from(&question.agent);
    Grant {
        id: approval.id.clone(),
        binding,
        until: approval.grant_until.unwrap_or_default(),
        by: approval.answered_by.clone().unwrap_or_default(),
    }
}

fn unlisted_level(tools: &Tools, tool: &str, said: Option<PermissionLevel>) -> PermissionLevel {
    match (tools.levels.get(tool), said) {
        (Some(level), Some(said)) => said.max(*level),
        (None, Some(said)) => said,
        (_, None) => tool_level(tools, tool, &serde_json::Value::Null),
    }
}

const fn wants_alternatives(kind: weir_core::tool::DenialKind) -> bool {
    use weir_core::tool::DenialKind::{NotVisible, PermissionTooLow, SessionForbidden, UnknownTool};
    matches!(kind, UnknownTool | NotVisible | SessionForbidden | PermissionTooLow)
}

/// Denies an approval for which nobody waits any more.
struct Left {
    open: Option<(weir_store::Database, weir_core::clock::SharedClock, String)>,
}

/// Who answers for a caller that has left.
const NOBODY: &str = "weir: the caller left";

impl Left {
    fn new(inner: &Inner, id: &str) -> Self {
        Self { open: Some((inner.database.clone(), inner.clock.clone(), id.to_owned())) }
    }

    fn stayed(&mut self) {
        self.open = None;
    }
}

impl Drop for Left {
    fn drop(&mut self) {
        let Some((database, clock, id)) = self.open.take() else { return };
        let Ok(runtime) = tokio::runtime::Handle::try_current() else { return };
        runtime.spawn(async move {
            if let Err(error) = database.approval_answer(&id, &Answer::Deny, NOBODY, clock.now()).await {
                tracing::warn!(%error, "an approval whose caller left stays open until it expires");
            }
        });
    }
}
