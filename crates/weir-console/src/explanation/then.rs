//! The rules as they were when a decision was made, and what they came to on its recorded facts.

use std::sync::Arc;

use weir_core::record::Record;
use weir_core::{Boundary, Source};
use weir_rules::explain::{self, ExplainedRule, Past, TextFrom};
use weir_rules::{ActiveRules, LoadOptions, RuleSet, SourceFile, failure};

use super::{AttemptExplained, Sources};
use crate::rulebook::{STORED_NAME, blocking};

/// The rules of a decision's epoch, and those in force now.
pub(super) struct Rules {
    /// None when they are no longer kept.
    then: Option<Arc<ActiveRules>>,
    now: Option<Arc<ActiveRules>>,
    remote: bool,
    notes: Vec<String>,
}

/// What the rules came to.
#[derive(Default)]
pub(super) struct Read {
    pub(super) matched: Vec<ExplainedRule>,
    pub(super) errored: Vec<ExplainedRule>,
    pub(super) near_misses: Vec<ExplainedRule>,
    pub(super) near_misses_more: usize,
    pub(super) attempts: Vec<AttemptExplained>,
    pub(super) notes: Vec<String>,
}

/// Finds the rules of the decision's epoch: those in force, or the store's history.
pub(super) async fn rules_of(record: &Record, sources: &Sources) -> Rules {
    let mut rules =
        Rules { then: None, now: sources.rules.clone(), remote: sources.remote, notes: Vec::new() };
    let epoch = record.decision.epoch;
    rules.then = rules.now.clone().filter(|now| now.epoch == epoch);
    if rules.then.is_some() || epoch == 0 {
        return rules;
    }
    let text = match sources.database.rules_version(epoch).await {
        Ok(version) => version.and_then(|version| version.text),
        Err(error) => {
            tracing::warn!(%error, epoch, "the rules of a decision could not be read");
            rules.notes.push(format!("the rules of epoch {epoch} could not be read from the store"));
            return rules;
        }
    };
    let options = LoadOptions { now: sources.now };
    let loaded = match text {
        None => None,
        Some(text) if text.is_empty() => Some(RuleSet::default()),
        Some(text) => {
            let file = SourceFile { name: STORED_NAME.to_owned(), text };
            blocking(move || weir_rules::load(&[file], &options).ok().map(|loaded| loaded.rules)).await
        }
    };
    rules.then = loaded.map(|rules| Arc::new(ActiveRules::new(rules, epoch)));
    if rules.then.is_none() {
        rules.notes.push(format!(
            "the rules of epoch {epoch} are no longer kept: the conditions of rules that have changed since are not \
             shown, and near misses are not known"
        ));
    }
    rules
}

/// Reads all rules of a record.
pub(super) fn read(record: &Record, rules: &Rules) -> Read {
    let sets: Vec<&RuleSet> =
        [&rules.then, &rules.now].into_iter().flatten().map(|active| &*active.rules).collect();
    let mut read = Read { notes: rules.notes.clone(), ..Read::default() };
    let decision = &record.decision;
    let past = match record.result.tool.as_deref() {
        Some(tool) => Past::of_call(record, tool),
        None => Past::of_request(record),
    };
    read.matched = explain::matched(&decision.matched, &sets, &past);
    read.errored = explain::errored(&decision.errored, &sets, &past);
    if were_asked(record, rules)
        && let Some(then) = &rules.then
    {
        let (near_misses, more) = explain::near_misses(&then.rules, decision.boundary, &past);
        (read.near_misses, read.near_misses_more) = (near_misses, more);
    }
    let packed: Vec<&RuleSet> = sets.iter().copied().chain([failure::pack()]).collect();
    read.attempts = record
        .result
        .failures
        .iter()
        .map(|attempt| {
            let past = Past::of_attempt(record, attempt);
            AttemptExplained {
                number: attempt.number,
                class: attempt.class.as_str().to_owned(),
                rule: attempt.rule.clone(),
                matched: explain::matched(&attempt.matched, &packed, &past),
                errored: explain::errored(&attempt.errored, &packed, &past),
            }
        })
        .collect();
    let gone = read.matched.iter().filter(|rule| rule.text == TextFrom::NotKept).count();
    if gone > 0 && rules.remote && decision.boundary == Boundary::Request {
        read.notes.push("rules of the remote classifier are known there alone".to_owned());
    } else if gone > 0 && rules.then.is_some() {
        read.notes.push(format!("the text of {gone} of the rules that matched is not kept"));
    }
    read
}

/// Whether these rules were asked for this very decision.
fn were_asked(record: &Record, rules: &Rules) -> bool {
    let decision = &record.decision;
    let asked = decision.source == Source::Fresh || !decision.matched.is_empty();
    asked && !(rules.remote && decision.boundary == Boundary::Request)
}
