//! The decision on a call as a value, and what pluggable policies add to it.

use weir_core::decision::{Matched, Source};
use weir_core::tool::{Denial, DenialKind, PermissionLevel, QUOTED_CHARS_MAX, cleaned};
use weir_core::{Boundary, Decision, Errored, Mode, Outcome};

use super::judge::{Judge, Judgement, Said};
use super::{Scene, advice};
use crate::facts::{Fact, Facts};
use crate::rule::{Rule, ToolThen};
use crate::set::{DecideContext, RuleSet};

/// The decision on one call. Its members are read through methods: nobody else can make or change one.
#[derive(Clone, Debug)]
pub struct ToolDecision {
    pub(super) decision: Decision,
    pub(super) tool: String,
    pub(super) server: String,
    pub(super) channel: String,
    pub(super) agent: String,
    pub(super) tool_level: PermissionLevel,
    pub(super) level: PermissionLevel,
    pub(super) floor: PermissionLevel,
    pub(super) ceiling: PermissionLevel,
    pub(super) denial: Option<Denial>,
    /// The rules, with their versions, and the policies that ask for an approval; in order.
    pub(super) askers: Vec<String>,
    /// The policy that decided.
    pub(super) policy: Option<String>,
    /// The path outside the allowed roots that the denial names.
    pub(super) outside: Option<String>,
    /// Whether a raised ceiling is advised in the denial.
    pub(super) advises_change: bool,
}

/// What a pluggable policy says (spec C3).
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Verdict {
    /// It does not mind.
    Allow,
    /// The call is denied.
    Deny {
        /// Why, for people.
        reason: String,
    },
    /// A person must agree.
    RequireApproval {
        /// Why, for people.
        reason: String,
    },
}

impl RuleSet {
    /// Decides on a call. The facts hold `tool.level` (absent: dangerous), `channel.ceiling` (absent or no level:
    /// read_only) and, in `call.level`, the least level that the arguments were classed at (absent: none).
    ///
    /// The order is that of spec C4: unknown or concealed, not visible, the tool's level, the call's level, rules that
    /// deny or cannot be evaluated, rules that ask for an approval. Deciding does no I/O and does not panic.
    #[must_use]
    pub fn decide_tool<'f>(
        &self,
        facts: &mut Facts<'f>,
        scene: &Scene<'f>,
        context: &DecideContext<'_>,
    ) -> ToolDecision {
        let judge = Judge::new(self, scene, context);
        let floor = PermissionLevel::parse(facts.str(Fact::CallLevel)).unwrap_or(PermissionLevel::None);
        let judgement = judge.judge(facts, floor);
        let mut made = ToolDecision::of(self.rules(), facts, context, &judgement);
        made.floor = floor;
        if let Some(kind) = judgement.said.denial() {
            let mut denial = made.denial_of(kind);
            let advice = advice::of(&judge, facts, floor, &judgement);
            denial.reason = advice.reason;
            denial.workaround = advice.workaround;
            denial.alternatives = advice.alternatives;
            made.outside = scene.outside.map(|outside| outside.path.to_owned());
            made.advises_change = advice.change.is_some();
            made.denial = Some(denial);
        }
        made
    }
}

impl ToolDecision {
    fn of(rules: &[Rule], facts: &Facts<'_>, context: &DecideContext<'_>, judgement: &Judgement) -> Self {
        let matched: Vec<&Rule> =
            judgement.evaluation.matched.iter().filter_map(|at| rules.get(*at)).collect();
        let decider = judgement.said.rule().and_then(|at| rules.get(at));
        let text = |text: Option<&Box<str>>| text.map(|text| text.to_string());
        let decision = Decision {
            id: context.id,
            boundary: Boundary::Tool,
            subject: context.subject.to_owned(),
            outcome: Outcome::new(judgement.said.outcome().as_str()),
            rule: decider.map(|rule| rule.id.to_string()),
            because: text(decider.and_then(|rule| rule.because.as_ref())),
            instead: text(decider.and_then(|rule| rule.instead.as_ref())),
            sus_score: matched
                .iter()
                .filter(|rule| rule.mode == Mode::Enforce)
                .fold(0, |sum, rule| sum.saturating_add(rule.score)),
            matched: matched.iter().map(|rule| listed(rule)).collect(),
            errored: judgement
                .evaluation
                .errored
                .iter()
                .filter_map(|(at, error)| {
                    Some(Errored { rule: rules.get(*at)?.id.to_string(), error: error.0.clone() })
                })
                .collect(),
            obligations: Vec::new(),
            source: Source::Fresh,
            epoch: context.epoch,
            at: context.at,
        };
        let askers = match &judgement.said {
            Said::Ask(rules_at) => rules_at
                .iter()
                .filter_map(|at| rules.get(*at))
                .map(|rule| format!("rule {} {}", rule.id, rule.version))
                .collect(),
            _ => Vec::new(),
        };
        Self {
            decision,
            tool: facts.str(Fact::ToolName).to_owned(),
            server: facts.str(Fact::ToolServer).to_owned(),
            channel: facts.str(Fact::ChannelName).to_owned(),
            agent: facts.str(Fact::AgentId).to_owned(),
            tool_level: judgement.tool_level,
            level: judgement.level,
            floor: PermissionLevel::None,
            ceiling: judgement.ceiling,
            denial: None,
            askers,
            policy: None,
            outside: None,
            advises_change: false,
        }
    }

    /// A denial of this call, with the members that follow from its kind.
    pub(super) fn denial_of(&self, kind: DenialKind) -> Denial {
        let levels = matches!(kind, DenialKind::SessionForbidden | DenialKind::PermissionTooLow);
        let ruled = !matches!(kind, DenialKind::UnknownTool | DenialKind::NotVisible);
        let required = if kind == DenialKind::SessionForbidden { self.tool_level } else { self.level };
        Denial {
            kind,
            tool: cleaned(&self.tool, QUOTED_CHARS_MAX),
            channel: cleaned(&self.channel, QUOTED_CHARS_MAX),
            required: levels.then_some(required),
            allowed: levels.then_some(self.ceiling),
            rule: self.decision.rule.clone().filter(|_| ruled),
            policy: self.policy.clone(),
            reason: self.decision.because.clone().unwrap_or_default(),
            workaround: String::new(),
            alternatives: Vec::new(),
            approval_id: None,
            permanent: kind.is_permanent(),
            decision: Some(self.decision.id),
        }
    }

    /// The decision as it is recorded and explained.
    #[must_use]
    pub fn decision(&self) -> &Decision {
        &self.decision
    }

    /// The tool's own level.
    #[must_use]
    pub fn tool_level(&self) -> PermissionLevel {
        self.tool_level
    }

    /// The level of this call.
    #[must_use]
    pub fn level(&self) -> PermissionLevel {
        self.level
    }

    /// The level that its arguments were classed at, before rules raised it.
    #[must_use]
    pub fn floor(&self) -> PermissionLevel {
        self.floor
    }

    /// The channel's ceiling.
    #[must_use]
    pub fn ceiling(&self) -> PermissionLevel {
        self.ceiling
    }

    /// Why the call may not run, if it may not.
    #[must_use]
    pub fn denial(&self) -> Option<&Denial> {
        self.denial.as_ref()
    }

    /// As [`Self::denial`], for records, which keep no values of arguments: without the path that it names.
    #[must_use]
    pub fn denial_to_keep(&self) -> Option<Denial> {
        let mut denial = self.denial.clone()?;
        if let Some(path) = &self.outside {
            let named = format!("path {} lies", weir_core::tool::quoted(path));
            denial.reason = denial.reason.replacen(&named, "a path of the call lies", 1);
        }
        Some(denial)
    }

    /// A denial for a decision that is not allowed and has none of its own: fails closed.
    #[must_use]
    pub fn unexplained(&self) -> Denial {
        self.denial_of(DenialKind::EvaluationError)
    }

    /// Whether pluggable policies can still change something: they narrow what is not denied, and an advised change is
    /// only true if they would not deny the call then.
    #[must_use]
    pub fn asks_policies(&self) -> bool {
        self.denial.is_none() || self.needs_approval() || self.advises_change
    }

    /// Narrows the decision by what one policy says of the call. A denied call stays denied for its first reason; if
    /// its denial advises a change that the policy would not let through either, the advice is taken back.
    #[must_use]
    pub fn with_policy(mut self, policy: &str, verdict: &Verdict) -> Self {
        let name = cleaned(policy, QUOTED_CHARS_MAX);
        let name = if name.is_empty() { "unknown".to_owned() } else { name };
        let denied = self.denial.is_some() && !self.needs_approval();
        match verdict {
            Verdict::Allow => self,
            Verdict::Deny { reason } if denied => {
                self.take_back_advice(&name, reason);
                self
            }
            Verdict::RequireApproval { .. } if denied => {
                self.add_to_advice(&name);
                self
            }
            Verdict::Deny { reason } => {
                self.decision.outcome = Outcome::new(ToolThen::Deny.as_str());
                self.decision.rule = None;
                self.say(DenialKind::PolicyDenied, name, reason);
                self
            }
            Verdict::RequireApproval { reason } => {
                self.askers.push(format!("policy {name}"));
                if !self.needs_approval() {
                    self.decision.outcome = Outcome::new(ToolThen::RequireApproval.as_str());
                    self.decision.rule = None;
                    self.say(DenialKind::ApprovalRequired, name, reason);
                }
                self
            }
        }
    }

    fn say(&mut self, kind: DenialKind, policy: String, reason: &str) {
        self.policy = Some(policy);
        let reason = cleaned(reason, QUOTED_CHARS_MAX);
        self.decision.because = Some(reason.clone()).filter(|reason| !reason.is_empty());
        self.decision.instead = None;
        let mut denial = self.denial_of(kind);
        denial.reason = reason;
        denial.workaround = match kind {
            DenialKind::PolicyDenied => {
                "address the reason, use a permitted alternative, or ask the user to adjust \
                                         the policy"
                    .to_owned()
            }
            _ => {
                "ask the user to approve this action, then retry exactly the same call, or use an alternative"
                    .to_owned()
            }
        };
        self.denial = Some(denial);
    }

    fn take_back_advice(&mut self, policy: &str, reason: &str) {
        if let Some(denial) = self.denial.as_mut().filter(|_| self.advises_change) {
            denial.workaround = format!(
                "none by a setting: with a higher ceiling policy {} would deny the call ({})",
                weir_core::tool::quoted(policy),
                cleaned(reason, QUOTED_CHARS_MAX)
            );
            self.advises_change = false;
        }
    }

    fn add_to_advice(&mut self, policy: &str) {
        if let Some(denial) = self.denial.as_mut().filter(|_| self.advises_change) {
            denial.workaround.push_str(&format!(
                "; the call then still needs an approval under policy {}",
                weir_core::tool::quoted(policy)
            ));
        }
    }
}

fn listed(rule: &Rule) -> Matched {
    Matched {
        rule: rule.id.to_string(),
        version: rule.version.to_string(),
        action: rule.then.word().to_owned(),
        mode: rule.mode,
    }
}
