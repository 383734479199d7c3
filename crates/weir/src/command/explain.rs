//! `weir explain`: one recorded decision for a person. It reads the store, also while `weir serve` runs.

use std::sync::Arc;
use std::time::Duration;

use serde::Serialize;
use weir_config::Config;
use weir_config::config::CacheUrl;
use weir_console::explanation::{Explanation, Sources, explain};
use weir_core::clock::Clock as _;
use weir_core::record::Record;
use weir_core::{DecisionId, Source, Timestamp};
use weir_rules::{ActiveRules, LoadOptions, RuleSet, SourceFile};
use weir_store::clock::SystemClock;
use weir_store::{Cache, Database};

use super::load_settings;
use crate::cli::ExplainArgs;
use crate::exit::{Failure, Verdict};
use crate::{output, rule_files, store};

mod text;

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
        let explanation = explain(&record, &sources(&record, database, &settings.config).await).await;
        if args.json.json {
            output::json(&Told { record: &record, explanation: &explanation })?;
        } else {
            output::text(&text::render(&record, &explanation))?;
        }
        Ok(Verdict::Good)
    })
}

/// The record with what follows from it.
#[derive(Serialize)]
struct Told<'a> {
    #[serde(flatten)]
    record: &'a Record,
    explanation: &'a Explanation,
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

/// What it is explained from. What cannot be found out is not worth a failure.
async fn sources(record: &Record, database: Database, config: &Config) -> Sources {
    let rules = rules_now(&database, config).await.map(Arc::new);
    // An action that is cached in the process of `weir serve` is seen there alone.
    let cache = match &config.cache {
        CacheUrl::Memory => None,
        _ if record.decision.source != Source::Cache => None,
        _ => Some(Cache::open(store::cache_options(config), Arc::new(SystemClock)).await),
    };
    Sources {
        database,
        cache,
        rules,
        files_are_master: config.rules.is_some(),
        remote: config.abuse.service_url.is_some(),
        admin: format!("http://{}", config.listen.admin),
        now: SystemClock.now(),
    }
}

async fn rules_now(database: &Database, config: &Config) -> Option<ActiveRules> {
    let now = SystemClock.now();
    if let Some(paths) = &config.rules {
        let (_, rules) = rule_files::load_of_config(paths, now, &mut Vec::new())?;
        // The files may have changed since they were put in force: they have no number of their own.
        return Some(ActiveRules::new(rules, NO_EPOCH));
    }
    let stored = database.rules_current().await.ok()?;
    let epoch = stored.epoch;
    // Before the first rules the store holds no text at all.
    if stored.text.is_empty() {
        return Some(ActiveRules::new(RuleSet::default(), epoch));
    }
    let file = SourceFile { name: "stored rules".to_owned(), text: stored.text };
    let loaded = weir_rules::load(&[file], &LoadOptions { now }).ok()?;
    Some(ActiveRules::new(loaded.rules, epoch))
}

/// No set of rules has this number.
const NO_EPOCH: u64 = u64::MAX;

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
