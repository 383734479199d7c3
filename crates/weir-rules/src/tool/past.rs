//! Recorded calls: judged as calls that wait are, without the words of a denial.

use super::Scene;
use super::judge::{Assumed, Judge};
use crate::facts::Facts;
use crate::rule::ToolThen;
use crate::set::{DecideContext, RuleSet};
use weir_core::tool::PermissionLevel;

/// A judgement on a record.
pub(crate) struct SeenCall {
    /// What is said if no blind rule matches.
    pub(crate) outcome: ToolThen,
    /// The rule that says so.
    pub(crate) rule: Option<usize>,
    /// Positions of the rules that matched.
    pub(crate) matched: Vec<usize>,
    /// Positions of the rules of which is not known whether they match.
    pub(crate) blind: Vec<usize>,
    /// Whether that is what is said whichever of them match.
    pub(crate) settled: bool,
}

impl RuleSet {
    /// Judges a recorded call as [`Self::decide_tool`] does.
    ///
    /// A rule that matches only ever narrows, and so does one that cannot be evaluated. So what is said if no blind rule
    /// matches, if all do and if all fail is said for any choice of them, unless one sets the level, which other
    /// conditions may read.
    pub(crate) fn decide_past_tool<'f>(
        &self,
        facts: &mut Facts<'f>,
        scene: &Scene<'f>,
        context: &DecideContext<'_>,
        floor: PermissionLevel,
    ) -> SeenCall {
        let judge = Judge::new(self, scene, context);
        let mut none = judge.assuming(Assumed::Absent).judge(facts, floor);
        let blind = std::mem::take(&mut none.blind);
        let settled = blind.is_empty() || {
            [Assumed::Match, Assumed::Fail].into_iter().all(|assumed| {
                let all = judge.assuming(assumed).judge(facts, floor);
                all.said.outcome() == none.said.outcome() && all.level == none.level
            })
        };
        SeenCall {
            outcome: none.said.outcome(),
            rule: none.said.rule(),
            matched: none.evaluation.matched,
            blind,
            settled,
        }
    }
}
