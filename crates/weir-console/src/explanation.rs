//! A recorded decision explained: each rule that matched with the parts of its condition, the near misses, what was
//! enforced, how long each stage took, until when it holds, who can lift it.
//!
//! One function for the command line, the API and the console. What is told of rules is read from the recorded facts and
//! from the text that the rules had then; the outcome is the recorded one.

mod standing;
mod then;
mod words;

use std::sync::Arc;

use axum::Json;
use axum::extract::State;
use jiff::Timestamp;
use serde::Serialize;
use serde_json::Value;
use weir_core::record::Record;
use weir_core::{Boundary, DecisionId, Source};
use weir_rules::ActiveRules;
use weir_rules::explain::ExplainedRule;
use weir_store::{Cache, Database};

use crate::console::{Console, Shared};
use crate::decisions;
use crate::extract::Segment;
use crate::problem::Problem;
use crate::rulebook::{Master, blocking};

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
    /// Who may: `operator`, `approver`, `caller`, `user` or `provider`.
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
#[derive(Clone)]
pub struct Sources {
    /// The store, for the rules as they were.
    pub database: Database,
    /// The shared short memory, where it can be reached.
    pub cache: Option<Cache>,
    /// The rules in force now, where they are known.
    pub rules: Option<Arc<ActiveRules>>,
    /// Whether files are the master of the rules.
    pub files_are_master: bool,
    /// Whether a remote classifier decides on requests, and not these rules.
    pub remote: bool,
    /// The URL of the admin plane, for commands.
    pub admin: String,
    /// The time.
    pub now: Timestamp,
}

/// Explains a recorded decision. What the store or the cache cannot tell is a note, not a failure.
pub async fn explain(record: &Record, sources: &Sources) -> Explanation {
    let rules = then::rules_of(record, sources).await;
    let standing = standing::Standing::find(record, sources).await;
    let owned = record.clone();
    // Conditions are parsed and walked: off the threads that serve.
    let read = blocking(move || then::read(&owned, &rules)).await;
    let decision = &record.decision;
    let (until, lifted_by) = standing::told(record, sources, &standing);
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
        source_in_words: words::source(record),
        epoch: decision.epoch,
        matched: read.matched,
        errored: read.errored,
        near_misses: read.near_misses,
        near_misses_more: read.near_misses_more,
        enforced: words::enforced(record),
        attempts: read.attempts,
        stages: stages(record),
        until,
        lifted_by,
        notes: read.notes.into_iter().chain(standing.notes).collect(),
    }
}

fn stages(record: &Record) -> Vec<StageTime> {
    let measured = record.result.timings.stages_us.measured();
    measured.map(|(stage, us)| StageTime { stage: stage.as_str(), about: stage.about(), us }).collect()
}

/// An explanation as the API gives it.
#[utoipa::path(get, path = "/api/decisions/{id}/explanation", operation_id = "explainDecision", tag = "decisions",
    params(("id" = String, Path, description = "`dec_…`, as `x-weir-decision` gives it")),
    responses(
        (status = 200, description = "The parts of each rule's condition with the values they saw, near misses, what was enforced, the time of each stage, until when it holds, who can lift it", body = Object),
        (status = 404, description = "There is no such decision", body = crate::problem::Details),
    ))]
pub(crate) async fn get(
    State(console): State<Console>,
    Segment(id): Segment,
) -> Result<Json<Value>, Problem> {
    let record = decisions::find_by_text(&console, &id).await?;
    let explanation = explain(&record, &console.sources()).await;
    decisions::answer(&explanation)
}

impl Shared {
    /// What decisions are explained from on this node.
    pub(crate) fn sources(&self) -> Sources {
        let parts = &self.parts;
        let config = parts.live.config();
        Sources {
            database: parts.database.clone(),
            cache: Some(parts.cache.clone()),
            rules: Some(parts.rules.load()),
            files_are_master: matches!(parts.rulebook.master(), Master::Files(_)),
            remote: config.abuse.service_url.is_some(),
            admin: format!("http://{}", config.listen.admin),
            now: self.now(),
        }
    }
}
