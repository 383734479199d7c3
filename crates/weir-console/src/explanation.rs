//! A recorded decision explained: each rule that matched with the parts of its condition, the near misses, what was
//! enforced, how long each stage took, until when it holds, who can lift it.
//!
//! One function for the command line, the API and the console. What is told of rules is read from the recorded facts and
//! from the text that the rules had then; the outcome is the recorded one.

use jiff::Timestamp;
use serde::Serialize;
use weir_core::record::Record;
use weir_core::{Boundary, DecisionId, Source};
use weir_rules::RuleSet;
use weir_rules::explain::ExplainedRule;
use weir_store::{Cache, Database};

/// A decision explained.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Explanation {
    /// The decision's id.
    pub id: DecisionId,
    /// Where it was made.
    pub boundary: Boundary,
    /// When.
    pub at: Timestamp,
    /// Whom it concerns: the identity's key.
    pub subject: String,
    /// What was decided, as recorded.
    pub outcome: String,
    /// The first in order among the rules that decided.
    pub rule: Option<String>,
    /// That rule's reason.
    pub because: Option<String>,
    /// That rule's advice.
    pub instead: Option<String>,
    /// Where the decision comes from.
    pub source: Source,
    /// The same in words.
    pub source_in_words: String,
    /// The number of the rule set that decided.
    pub epoch: u64,
    /// The rules that matched, in order, those in shadow too.
    pub matched: Vec<ExplainedRule>,
    /// The rules that could not be evaluated, in order.
    pub errored: Vec<ExplainedRule>,
    /// Enforced rules of which exactly one part was false.
    pub near_misses: Vec<ExplainedRule>,
    /// How many more near misses there are.
    pub near_misses_more: usize,
    /// What was done, in words, in order.
    pub enforced: Vec<String>,
    /// The attempts that failed, in order.
    pub attempts: Vec<AttemptExplained>,
    /// How long each stage took that took a measurable time.
    pub stages: Vec<StageTime>,
    /// Until when it holds, in words; empty when nothing is in force.
    pub until: Vec<Until>,
    /// Who can lift it, and how; empty when nothing is in force.
    pub lifted_by: Vec<Lift>,
    /// What cannot be told, and why.
    pub notes: Vec<String>,
}

/// How long a stage took.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct StageTime {
    /// The stage, in the words of ARCHITECTURE.md.
    pub stage: &'static str,
    /// What happens in it.
    pub about: &'static str,
    /// Its time in microseconds.
    pub us: u64,
}

/// One end of what a decision put in force.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Until {
    /// What ends it, in words.
    pub what: String,
    /// When, where that is known.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub at: Option<Timestamp>,
}

/// One way to lift what a decision put in force.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Lift {
    /// The role that may: `operator`, `approver`, or `caller`.
    pub who: &'static str,
    /// What to do, in words.
    pub what: String,
    /// A command that does it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub command: Option<String>,
    /// The endpoint that does it, such as `DELETE /api/identities/user:me/action`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub endpoint: Option<String>,
    /// The file and the line of the rule, where files are the master.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub place: Option<String>,
}

/// A failed attempt and the rules that classed it.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct AttemptExplained {
    /// Which attempt it was, from 1; 0 when no call was made.
    pub number: u32,
    /// The class that was recorded.
    pub class: String,
    /// The rule that decided.
    pub rule: Option<String>,
    /// The rules that matched up to it, in order, those in shadow too.
    pub matched: Vec<ExplainedRule>,
    /// The rules that could not be evaluated.
    pub errored: Vec<ExplainedRule>,
}

/// What an explanation is made from, besides the record.
#[derive(Clone, Copy)]
pub struct Sources<'a> {
    /// The store, for the rules as they were.
    pub database: &'a Database,
    /// The shared short memory, where it can be reached.
    pub cache: Option<&'a Cache>,
    /// The rules in force now.
    pub rules: Option<&'a RuleSet>,
    /// Whether files are the master of the rules.
    pub files_are_master: bool,
    /// The URL of the admin plane, for commands.
    pub admin: &'a str,
    /// The time.
    pub now: Timestamp,
}

/// Explains a recorded decision.
pub async fn explain(record: &Record, sources: &Sources<'_>) -> Explanation {
    let _ = (
        sources.database,
        sources.cache,
        sources.rules,
        sources.files_are_master,
        sources.admin,
        sources.now,
    );
    let decision = &record.decision;
    let stages = record.result.timings.stages_us.measured();
    Explanation {
        id: decision.id,
        boundary: decision.boundary,
        at: decision.at,
        subject: decision.subject.clone(),
        outcome: decision.outcome.as_str().to_owned(),
        rule: decision.rule.clone(),
        because: decision.because.clone(),
        instead: decision.instead.clone(),
        source: decision.source,
        source_in_words: String::new(),
        epoch: decision.epoch,
        matched: Vec::new(),
        errored: Vec::new(),
        near_misses: Vec::new(),
        near_misses_more: 0,
        enforced: Vec::new(),
        attempts: Vec::new(),
        stages: stages
            .map(|(stage, us)| StageTime { stage: stage.as_str(), about: stage.about(), us })
            .collect(),
        until: Vec::new(),
        lifted_by: Vec::new(),
        notes: Vec::new(),
    }
}
