//! Recorded tool calls.

use serde_json::Value as Json;
use weir_core::Boundary;
use weir_core::record::{Past, ToolRecord};
use weir_core::tool::{DenialKind, PermissionLevel};

use super::report::{Effect, Why};
use super::request::{context, unknown};
use super::tally::Whom;
use super::{Compared, Rehearsal};
use crate::facts::{Fact, Facts};
use crate::rule::ToolThen;
use crate::tool::Scene;

impl Rehearsal {
    pub(super) fn see_tool(&mut self, past: &Past<'_>) {
        let whom = Whom::of(past, &mut self.counts.identities);
        let Some(call) = past.tool.as_deref() else {
            self.counts.not_replayed(Boundary::Tool, Why::NotAsked);
            return;
        };
        let kind = call.denial.as_ref().map(|denial| denial.kind);
        let concealed = kind == Some(DenialKind::UnknownTool) && past.rule.is_some();
        let scene = Scene {
            known: kind != Some(DenialKind::UnknownTool) || concealed,
            visible: kind != Some(DenialKind::NotVisible),
            ..Scene::default()
        };
        // What the arguments were classed at; of a call that no rule raised it is the call's own level.
        let floor = call.floor.unwrap_or(PermissionLevel::None);
        let unknown = unknown(&past.facts).shared(self.sets.whole().all_read_on(Boundary::Tool));
        let rules = self.sets.rules.without(unknown);
        let names = names_of(call);
        let mut facts = facts_of(past, call, floor);
        facts.set_dynamic(Fact::CallArgs, &names);
        let seen = rules.decide_past_tool(&mut facts, &scene, &context(past), floor);
        let (hits, room, samples) = (&mut self.counts.hits, &mut self.counts.room, self.options.samples);
        seen.matched.iter().for_each(|rule| hits.matched(*rule, &whom, samples, room));
        seen.blind.iter().for_each(|rule| hits.undecided(*rule));
        let (from, least) = said(past, call);
        let to = seen.outcome.max(least);
        let why = if call.floor.is_none() || !(seen.settled || least == ToolThen::Deny) {
            Some(Why::NotRecorded)
        } else if concealed && to != ToolThen::Deny {
            Some(Why::Concealed)
        } else {
            None
        };
        if let Some(why) = why {
            self.counts.not_replayed(Boundary::Tool, why);
            return;
        }
        if let Some(decider) = seen.rule {
            self.counts.hits.decided(decider);
        }
        let effect = (from != to.as_str()).then_some(match to {
            ToolThen::Deny => Effect::NewlyDenied,
            ToolThen::RequireApproval => Effect::NewlyAsked,
            ToolThen::Allow => Effect::Freed,
        });
        let new_rule =
            seen.rule.and_then(|at| self.sets.whole().rules().get(at)).map(|rule| rule.id.to_string());
        let rule = if effect == Some(Effect::Freed) { past.rule } else { new_rule.as_deref() };
        let compared = Compared { from, to: to.as_str(), effect, rule };
        self.counts.replayed(Boundary::Tool, &whom, &compared, samples);
    }
}

/// The arguments as far as they are recorded: their names, for `has()`.
fn names_of(call: &ToolRecord) -> Json {
    call.args.iter().map(|name| (name.clone(), Json::Null)).collect()
}

fn facts_of<'p>(past: &Past<'p>, call: &'p ToolRecord, floor: PermissionLevel) -> Facts<'p> {
    let mut facts = Facts::of_past(Boundary::Tool, past.facts);
    facts.set_str(Fact::ToolName, &call.name);
    facts.set_str(Fact::ToolServer, &call.server);
    facts.set_str(Fact::ToolLevel, call.tool_level.map_or("", PermissionLevel::token));
    facts.set_str(Fact::CallLevel, floor.token());
    facts.set_int(Fact::CallIteration, i64::from(call.iteration));
    facts.set_str(Fact::CallSource, &call.source);
    facts.set_str(Fact::ChannelName, &call.channel);
    facts.set_str(Fact::ChannelCeiling, call.ceiling.map_or("", PermissionLevel::token));
    facts.set_str(Fact::AgentId, &call.agent);
    facts.set_str(Fact::SessionId, &call.session);
    facts
}

/// What the rules and policies said of the call before a person was asked, and what policies alone ask for at least:
/// they would say the same of a call that the rules let pass.
fn said<'p>(past: &Past<'p>, call: &ToolRecord) -> (&'p str, ToolThen) {
    let asked = ToolThen::RequireApproval.as_str();
    let by_policy = call.denial.as_ref().is_some_and(|denial| denial.policy.is_some());
    match call.denial.as_ref().map(|denial| denial.kind) {
        Some(DenialKind::PolicyDenied) => (past.outcome, ToolThen::Deny),
        Some(DenialKind::ApprovalDenied | DenialKind::ApprovalRequired | DenialKind::ApprovalExpired) => {
            (asked, if by_policy { ToolThen::RequireApproval } else { ToolThen::Allow })
        }
        // A person agreed. If no rule asked for it, a policy did.
        None if call.approval_id.is_some() => {
            (asked, if past.rule.is_none() { ToolThen::RequireApproval } else { ToolThen::Allow })
        }
        _ => (past.outcome, ToolThen::Allow),
    }
}
