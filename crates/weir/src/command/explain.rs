//! `weir explain`: one recorded decision for a person. It reads the store, also while `weir serve` runs.

use std::time::Duration;

use weir_config::Config;
use weir_core::clock::Clock as _;
use weir_core::record::Record;
use weir_core::{DecisionId, Timestamp};
use weir_rules::{LoadOptions, RuleSet, SourceFile};
use weir_store::Database;
use weir_store::clock::SystemClock;

use super::load_settings;
use crate::cli::ExplainArgs;
use crate::exit::{Failure, Verdict};
use crate::{output, rule_files, store};

mod text;

use text::{RuleNow, Ways};

/// Within this time of its answer a decision can be explained; so long a young one is waited for.
const RECORDED_WITHIN: Duration = Duration::from_secs(1);
/// How often a young decision is looked for.
const LOOK_EVERY: Duration = Duration::from_millis(100);

/// Runs the command.
///
/// # Errors
/// The id is not known; the store fails.
pub fn run(args: &ExplainArgs) -> Result<Verdict, Failure> {
    let id = parse(&args.id)?;
    let settings = load_settings(args.config.config.as_deref())?;
    store::run(async {
        let database = store::existing(&settings.config).await?;
        let record = find(&database, &id).await?;
        if args.json.json {
            output::json(&record)?;
        } else {
            let rule = rule_now(&record, &database, &settings.config).await;
            output::text(&text::render(&record, &rule, &ways(&settings.config)))?;
        }
        Ok(Verdict::Good)
    })
}

/// As answers carry it, or the UUID alone.
fn parse(text: &str) -> Result<DecisionId, Failure> {
    let text = text.trim();
    let whole = if text.starts_with("dec_") { text.to_owned() } else { format!("dec_{text}") };
    whole.parse().map_err(|_| Failure::No(format!("`{text}` is no decision id: expected `dec_` and a UUID")))
}

async fn find(database: &Database, id: &DecisionId) -> Result<Record, Failure> {
    loop {
        let found = database.decision(id).await.map_err(|e| Failure::dependency("the store", e))?;
        if let Some(record) = found {
            return Ok(record);
        }
        if !is_young(id.at(), SystemClock.now()) {
            let said =
                format!("no decision `{id}` in this store: is it the store of the weir that answered?");
            return Err(Failure::No(said));
        }
        SystemClock.sleep(LOOK_EVERY).await;
    }
}

fn is_young(made: Timestamp, now: Timestamp) -> bool {
    let age = now.duration_since(made);
    age.unsigned_abs() <= RECORDED_WITHIN
}

/// What is in force now of the rule that decided. What cannot be found out is not worth a failure.
async fn rule_now(record: &Record, database: &Database, config: &Config) -> RuleNow {
    let Some(id) = &record.decision.rule else { return RuleNow::Unknown };
    let Some(rules) = rules_now(database, config).await else { return RuleNow::Unknown };
    let then = record.decision.matched.iter().find(|m| m.rule == *id).map(|m| m.version.as_str());
    match rules.get(id) {
        None => RuleNow::Gone,
        Some(rule) if then.is_some_and(|version| version != &*rule.version) => RuleNow::Changed,
        Some(rule) => RuleNow::Same { expires: rule.expires },
    }
}

async fn rules_now(database: &Database, config: &Config) -> Option<RuleSet> {
    let now = SystemClock.now();
    let files = match &config.rules {
        Some(paths) => {
            return rule_files::load_of_config(paths, now, &mut Vec::new()).map(|(_, rules)| rules);
        }
        None => {
            let stored = database.rules_current().await.ok()?;
            // Before the first rules the store holds no text at all.
            let file = SourceFile { name: "stored rules".to_owned(), text: stored.text };
            Vec::from_iter(Some(file).filter(|file| !file.text.is_empty()))
        }
    };
    weir_rules::load(&files, &LoadOptions { now }).ok().map(|loaded| loaded.rules)
}

fn ways(config: &Config) -> Ways {
    let names = |paths: &Vec<std::path::PathBuf>| paths.iter().map(|p| p.display().to_string()).collect();
    Ways { admin: format!("http://{}", config.listen.admin), rule_files: config.rules.as_ref().map(names) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_id_is_read_with_and_without_its_prefix() {
        let id = "dec_019aa0f5-2a00-7707-8707-070707070707";
        for text in
            [id, " dec_019aa0f5-2a00-7707-8707-070707070707\n", "019aa0f5-2a00-7707-8707-070707070707"]
        {
            assert_eq!(parse(text).unwrap().to_string(), id);
        }
        for text in ["", "dec_", "dec_1", "x", "dec_dec_019aa0f5-2a00-7707-8707-070707070707"] {
            assert!(matches!(parse(text), Err(Failure::No(_))), "{text}");
        }
    }

    #[test]
    fn only_what_was_made_just_now_is_waited_for() {
        let now: Timestamp = "2026-11-20T10:00:00Z".parse().unwrap();
        for (ms, young) in [(0, true), (1000, true), (1001, false), (-1001, false), (-500, true)] {
            let made = now - jiff::SignedDuration::from_millis(ms);
            assert_eq!(is_young(made, now), young, "{ms}");
        }
    }
}
