//! The stages of a decision on a call, each of which may only narrow.

use weir_core::tool::{DenialKind, PermissionLevel};
use weir_core::{Boundary, Mode};

use super::Scene;
use crate::facts::{Fact, Facts};
use crate::rule::{Rule, Then, ToolThen};
use crate::set::{DecideContext, EvaluateContext, Evaluation, RuleSet};

/// What the stages come to. Positions are those of rules.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Said {
    /// There is no such tool, or a rule hides it.
    Unknown(Option<usize>),
    NotVisible,
    /// The tool's own level is above the ceiling.
    Forbidden,
    /// The call's level is above the ceiling; the rule that raised it, if one did.
    TooLow(Option<usize>),
    /// A rule denies.
    Denied(usize),
    /// A rule could not be evaluated.
    Errored(usize),
    /// These rules ask for an approval.
    Ask(Vec<usize>),
    /// Nothing is against it; the rule that says so, if one does.
    Allow(Option<usize>),
}

impl Said {
    pub(super) fn denial(&self) -> Option<DenialKind> {
        Some(match self {
            Self::Unknown(_) => DenialKind::UnknownTool,
            Self::NotVisible => DenialKind::NotVisible,
            Self::Forbidden => DenialKind::SessionForbidden,
            Self::TooLow(_) => DenialKind::PermissionTooLow,
            Self::Denied(_) => DenialKind::RuleDenied,
            Self::Errored(_) => DenialKind::EvaluationError,
            Self::Ask(_) => DenialKind::ApprovalRequired,
            Self::Allow(_) => return None,
        })
    }

    pub(super) fn outcome(&self) -> ToolThen {
        match self {
            Self::Allow(_) => ToolThen::Allow,
            Self::Ask(_) => ToolThen::RequireApproval,
            _ => ToolThen::Deny,
        }
    }

    /// The first in order among the rules that decided.
    pub(super) fn rule(&self) -> Option<usize> {
        match self {
            Self::Unknown(at) | Self::TooLow(at) | Self::Allow(at) => *at,
            Self::Denied(at) | Self::Errored(at) => Some(*at),
            Self::Ask(rules) => rules.first().copied(),
            Self::NotVisible | Self::Forbidden => None,
        }
    }
}

/// What was found on the way.
#[derive(Clone, Debug)]
pub(super) struct Judgement {
    pub(super) said: Said,
    pub(super) tool_level: PermissionLevel,
    pub(super) level: PermissionLevel,
    pub(super) ceiling: PermissionLevel,
    /// All rules on tools, in order.
    pub(super) evaluation: Evaluation,
    /// Of a record that lacks facts, the rules of which is not known whether they match.
    pub(super) blind: Vec<usize>,
}

/// Judges calls by one set of rules.
pub(super) struct Judge<'j, 'f> {
    pub(super) rules: &'j RuleSet,
    pub(super) scene: &'j Scene<'f>,
    context: EvaluateContext<'j>,
    /// What is assumed of rules that a record lacks facts for.
    assumed: Assumed,
}

/// What is assumed of the rules that a record lacks facts for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Assumed {
    /// Their condition does not hold.
    Absent,
    /// It holds.
    Match,
    /// It could not be evaluated.
    Fail,
}

impl<'j, 'f> Judge<'j, 'f> {
    pub(super) fn new(rules: &'j RuleSet, scene: &'j Scene<'f>, context: &DecideContext<'j>) -> Self {
        let context = EvaluateContext { subject: context.subject, at: context.at };
        Self { rules, scene, context, assumed: Assumed::Absent }
    }

    /// The same, where this is assumed of rules that a record lacks facts for.
    pub(super) const fn assuming(&self, assumed: Assumed) -> Self {
        Self { rules: self.rules, scene: self.scene, context: self.context, assumed }
    }

    /// Takes the rules that a record lacks facts for as assumed.
    fn assume(&self, evaluation: &mut Evaluation) -> Vec<usize> {
        if self.assumed == Assumed::Fail {
            return Vec::new();
        }
        let blind = self.rules.take_blind(evaluation);
        if self.assumed == Assumed::Match && !blind.is_empty() {
            evaluation.matched.extend(&blind);
            evaluation.matched.sort_unstable();
        }
        blind
    }

    /// Judges the call of the facts, as a tool of this scene. `floor` is the level of its arguments.
    pub(super) fn judge(&self, facts: &mut Facts<'f>, floor: PermissionLevel) -> Judgement {
        self.judge_tool(facts, floor, self.scene.known, self.scene.visible)
    }

    /// As [`Self::judge`], of any tool. Afterwards the facts hold the levels that were found.
    pub(super) fn judge_tool(
        &self,
        facts: &mut Facts<'f>,
        floor: PermissionLevel,
        known: bool,
        visible: bool,
    ) -> Judgement {
        let read = |facts: &Facts<'_>, fact| PermissionLevel::parse(facts.str(fact));
        let tool_level = read(facts, Fact::ToolLevel).unwrap_or(PermissionLevel::Dangerous);
        let ceiling = read(facts, Fact::ChannelCeiling).unwrap_or(PermissionLevel::ReadOnly);
        facts.set_str(Fact::ToolLevel, tool_level.token());
        facts.set_str(Fact::ChannelCeiling, ceiling.token());
        let mut levels = self.rules.evaluate_levels(facts, &self.context);
        let mut blind = self.assume(&mut levels);
        let own = tool_level.max(floor);
        let (level, raised_by) = self.raised(own, &levels);
        facts.set_str(Fact::CallLevel, level.token());
        let mut answers = self.rules.evaluate_answers(facts, &self.context);
        blind.extend(self.assume(&mut answers));
        let said = self.said(&Stages {
            known,
            visible,
            forbidden: tool_level > ceiling,
            too_low: level > ceiling,
            raised_by,
            levels: &levels,
            answers: &answers,
        });
        Judgement { said, tool_level, level, ceiling, evaluation: merged(levels, answers), blind }
    }

    fn rule(&self, at: usize) -> Option<&'j Rule> {
        self.rules.rules().get(at)
    }

    fn is_enforced(&self, at: usize) -> bool {
        self.rule(at).is_some_and(|rule| rule.mode == Mode::Enforce)
    }

    /// The highest level wins, never below the call's own; and the first rule that asked for it.
    fn raised(&self, own: PermissionLevel, levels: &Evaluation) -> (PermissionLevel, Option<usize>) {
        let mut highest = (own, None);
        for at in &levels.matched {
            if let Some(Rule { then: Then::Level(then), mode: Mode::Enforce, .. }) = self.rule(*at)
                && then.level > highest.0
            {
                highest = (then.level, Some(*at));
            }
        }
        highest
    }

    fn said(&self, stages: &Stages<'_>) -> Said {
        let answers = stages.answers;
        let concealed = |at: usize| self.is_enforced(at) && self.rule(at).is_some_and(|rule| rule.conceal);
        let hides = answers
            .matched
            .iter()
            .copied()
            .chain(answers.errored.iter().map(|(at, _)| *at))
            .find(|at| concealed(*at));
        if !stages.known || hides.is_some() {
            return Said::Unknown(hides.filter(|_| stages.known));
        }
        if !stages.visible {
            return Said::NotVisible;
        }
        if stages.forbidden {
            return Said::Forbidden;
        }
        if let Some(at) = self.first_error(stages.levels) {
            return Said::Errored(at);
        }
        if stages.too_low {
            return Said::TooLow(stages.raised_by);
        }
        if let Some(at) = self.first(answers, ToolThen::Deny) {
            return Said::Denied(at);
        }
        if let Some(at) = self.first_error(answers) {
            return Said::Errored(at);
        }
        let asks: Vec<usize> = self.all(answers, ToolThen::RequireApproval).collect();
        if asks.is_empty() { Said::Allow(self.first(answers, ToolThen::Allow)) } else { Said::Ask(asks) }
    }

    fn all(&self, answers: &Evaluation, then: ToolThen) -> impl Iterator<Item = usize> {
        answers.matched.iter().copied().filter(move |at| {
            self.rule(*at).is_some_and(|rule| rule.mode == Mode::Enforce && rule.then == Then::Tool(then))
        })
    }

    fn first(&self, answers: &Evaluation, then: ToolThen) -> Option<usize> {
        self.all(answers, then).next()
    }

    fn first_error(&self, evaluation: &Evaluation) -> Option<usize> {
        evaluation.errored.iter().map(|(at, _)| *at).find(|at| self.is_enforced(*at))
    }
}

struct Stages<'s> {
    known: bool,
    visible: bool,
    forbidden: bool,
    too_low: bool,
    raised_by: Option<usize>,
    levels: &'s Evaluation,
    answers: &'s Evaluation,
}

fn merged(mut levels: Evaluation, answers: Evaluation) -> Evaluation {
    levels.matched.extend(answers.matched);
    levels.matched.sort_unstable();
    levels.errored.extend(answers.errored);
    levels.errored.sort_unstable_by_key(|(at, _)| *at);
    levels
}

/// Whether a rule with `conceal` hides the tool of the facts, whose call is empty.
pub(super) fn conceals(rules: &RuleSet, facts: &mut Facts<'_>, context: &EvaluateContext<'_>) -> bool {
    if !rules.rules().iter().any(|rule| rule.conceal && rule.on == Boundary::Tool) {
        return false;
    }
    let decide = DecideContext {
        id: weir_core::DecisionId::new(context.at, [0; 10]),
        subject: context.subject,
        epoch: 0,
        at: context.at,
        delays: weir_core::action::QuarantineDelays::default(),
    };
    let scene = Scene::default();
    let judge = Judge::new(rules, &scene, &decide);
    matches!(judge.judge(facts, PermissionLevel::None).said, Said::Unknown(_))
}
