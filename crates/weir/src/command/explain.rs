//! `weir explain`: one recorded decision for a person. It reads the store, also while `weir serve` runs.

use std::sync::Arc;
use std::time::Duration;

use serde::Serialize;
use tokio::time::Instant;
use weir_config::Config;
use weir_config::config::CacheUrl;
use weir_console::explanation::{Explanation, Sources, explain};
use weir_core::clock::Clock as _;
use weir_core::record::Record;
use weir_core::{DecisionId, Source};
use weir_rules::{ActiveRules, LoadOptions, RuleSet, SourceFile};
use weir_store::clock::SystemClock;
use weir_store::{Cache, Database};

use super::load_settings;
use crate::cli::ExplainArgs;
use crate::exit::{Failure, Verdict};
use crate::{output, rule_files, store};

mod text;

/// Within this time of its request's end a decision can be explained; so long one that is not found is waited for.
const RECORDED_WITHIN: Duration = Duration::from_secs(1);
/// How often it is looked for meanwhile.
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
    let is_recent = id.is_recent(SystemClock.now());
    let wait = if is_recent { RECORDED_WITHIN } else { Duration::ZERO };
    let look = async || database.decision(id).await.map_err(|e| Failure::dependency("the store", e));
    waited_for(wait, look).await?.ok_or_else(|| Failure::No(unknown(id, is_recent)))
}

/// What is found within this time.
async fn waited_for<T>(
    wait: Duration,
    mut look: impl AsyncFnMut() -> Result<Option<T>, Failure>,
) -> Result<Option<T>, Failure> {
    let until = Instant::now() + wait;
    loop {
        let found = look().await?;
        if found.is_some() || Instant::now() >= until {
            return Ok(found);
        }
        tokio::time::sleep(LOOK_EVERY).await;
    }
}

fn unknown(id: &DecisionId, is_recent: bool) -> String {
    if is_recent {
        format!(
            "no decision `{id}` in this store yet: it is written a moment after its request has ended, so try again \
             then; or is this another store than that of the weir that answered?"
        )
    } else {
        format!(
            "no decision `{id}` in this store: is it kept no longer, or is this another store than that of the weir that \
             answered?"
        )
    }
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

    /// The id is as old as the request: a record is new however old the id is.
    #[tokio::test]
    async fn what_is_written_a_moment_later_is_waited_for() {
        for (written_after, wait, found) in
            [(0, 0, true), (1, 0, false), (2, 30_000, true), (usize::MAX, 150, false)]
        {
            let mut looks = 0;
            let look = async || {
                looks += 1;
                Ok((looks > written_after).then_some(()))
            };
            let got = waited_for(Duration::from_millis(wait), look).await;
            assert_eq!(got.unwrap().is_some(), found, "{written_after} {wait}");
        }
        let failing = async || Err::<Option<()>, _>(Failure::No(String::new()));
        assert!(waited_for(RECORDED_WITHIN, failing).await.is_err());
    }
}
