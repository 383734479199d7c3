//! What rules have done of late, enforced and in shadow, and which of them the stop-loss has stopped. Apart from the rules
//! themselves, so that what `/api/rules` gives can be sent back.

use std::collections::HashMap;

use axum::Json;
use axum::extract::{RawQuery, State};
use serde::Serialize;
use weir_core::stop::StopWhy;
use weir_core::{Boundary, DecisionId, Mode, Timestamp};
use weir_rules::{ActiveRules, Rule};
use weir_store::database::StoredStop;
use weir_store::tally::{SAMPLES_MAX, Sketch};
use weir_store::{Tally, TallyKey, TallyQuery};

use crate::console::{Console, Shared};
use crate::extract::Segment;
use crate::problem::Problem;
use crate::query::Parameters;
use crate::rulebook::ApplyError;
use crate::tallies;

/// What the rules in force have done in a range.
#[derive(Clone, Debug, Serialize)]
pub(crate) struct Stats {
    /// From when on.
    pub(crate) since: Timestamp,
    /// Until when.
    pub(crate) until: Timestamp,
    /// The number of the set in force.
    pub(crate) epoch: u64,
    /// In the order of the set.
    pub(crate) items: Vec<RuleStats>,
}

/// What one rule has done in a range, all its versions together.
#[derive(Clone, Debug, Serialize)]
pub(crate) struct RuleStats {
    /// Its id.
    pub(crate) id: String,
    /// The version in force.
    pub(crate) version: String,
    /// What it is about.
    pub(crate) on: Boundary,
    /// Its mode as it is written.
    pub(crate) mode: Mode,
    /// The mode that it is in: `shadow` when it was stopped.
    pub(crate) in_force: Mode,
    /// Why it was stopped; null when it is not.
    pub(crate) stopped: Option<Stopped>,
    /// Where it was enforced.
    pub(crate) enforced: Hits,
    /// Where it would have been.
    pub(crate) shadow: Hits,
    /// How often it could not be evaluated.
    pub(crate) errors: u64,
    /// When it matched last, enforced or in shadow.
    pub(crate) last_hit: Option<Timestamp>,
    /// The same by version, newest first; only when one rule is asked for.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub(crate) versions: Vec<VersionHits>,
}

/// How often a rule matched.
#[derive(Clone, Debug, Default, Serialize)]
pub(crate) struct Hits {
    /// How often.
    pub(crate) count: u64,
    /// How many identities, estimated.
    pub(crate) identities: u64,
    /// The newest decisions, newest first.
    pub(crate) samples: Vec<DecisionId>,
    #[serde(skip)]
    who: Sketch,
}

/// The hits of one version.
#[derive(Clone, Debug, Serialize)]
pub(crate) struct VersionHits {
    /// The version.
    pub(crate) version: String,
    /// `enforce` or `shadow`.
    pub(crate) mode: String,
    /// What it asked for.
    pub(crate) action: String,
    /// How often.
    pub(crate) count: u64,
    /// How many identities, estimated.
    pub(crate) identities: u64,
    /// The first of the range.
    pub(crate) first_seen: Timestamp,
    /// The last.
    pub(crate) last_seen: Timestamp,
    /// The newest decisions, newest first.
    pub(crate) samples: Vec<DecisionId>,
}

/// A stop that is in force.
#[derive(Clone, Debug, Serialize)]
pub(crate) struct Stopped {
    /// Since when.
    pub(crate) at: Timestamp,
    /// Why: `share`, `paying`, `byok`.
    pub(crate) why: StopWhy,
    /// The same in words.
    pub(crate) because: &'static str,
    /// The share of the identities that it hit, in per cent.
    pub(crate) share: f64,
    /// How many identities it hit.
    pub(crate) identities: u64,
    /// How many were seen.
    pub(crate) seen: u64,
    /// The request at which it was stopped.
    pub(crate) decision: DecisionId,
}

impl Stopped {
    fn of(stored: &StoredStop) -> Self {
        let stop = &stored.stop;
        Self {
            at: stop.at,
            why: stop.why,
            because: stop.why.in_words(),
            share: stop.share_percent(),
            identities: stop.hit,
            seen: stop.seen,
            decision: stop.decision,
        }
    }
}

impl Hits {
    fn add(&mut self, tally: &Tally) {
        self.count = self.count.saturating_add(tally.count);
        if let Some(who) = &tally.who {
            self.who.unite(who);
        }
        self.identities = self.who.count_among(self.count);
        self.samples.extend_from_slice(&tally.samples);
        self.samples.sort_unstable_by(|a, b| b.cmp(a));
        self.samples.truncate(SAMPLES_MAX);
    }
}

impl RuleStats {
    fn new(rule: &Rule, active: &ActiveRules, stops: &[StoredStop]) -> Self {
        let is_its = |stored: &&StoredStop| {
            stored.in_force() && *stored.stop.rule == *rule.id && *stored.stop.version == *rule.version
        };
        let stopped = stops.iter().find(is_its).map(Stopped::of);
        let shadowed = rule.mode == Mode::Enforce && (stopped.is_some() || active.is_stopped(&rule.id));
        Self {
            id: rule.id.to_string(),
            version: rule.version.to_string(),
            on: rule.on,
            mode: rule.mode,
            in_force: if shadowed { Mode::Shadow } else { rule.mode },
            stopped,
            enforced: Hits::default(),
            shadow: Hits::default(),
            errors: 0,
            last_hit: None,
            versions: Vec::new(),
        }
    }

    fn add(&mut self, tally: &Tally) {
        match &tally.key {
            TallyKey::RuleError { .. } => self.errors = self.errors.saturating_add(tally.count),
            TallyKey::Rule { version, mode, action, .. } => {
                let hits = if mode == Mode::Shadow.as_str() { &mut self.shadow } else { &mut self.enforced };
                hits.add(tally);
                self.last_hit = self.last_hit.max(Some(tally.last_seen));
                self.versions.push(VersionHits {
                    version: version.clone(),
                    mode: mode.clone(),
                    action: action.clone(),
                    count: tally.count,
                    identities: tally.identities.unwrap_or_default(),
                    first_seen: tally.first_seen,
                    last_seen: tally.last_seen,
                    samples: tally.samples.clone(),
                });
            }
            _ => {}
        }
    }
}

/// What the rules in force have done; of one rule with its versions.
pub(crate) async fn stats(
    console: &Shared,
    since: Timestamp,
    until: Timestamp,
    rule: Option<&str>,
) -> Result<Stats, Problem> {
    let active = console.parts.rulebook.current().await?;
    if let Some(id) = rule.filter(|id| active.rules.get(id).is_none()) {
        return Err(ApplyError::UnknownRule(id.to_owned()).into());
    }
    let stops = console.parts.rulebook.stops().await?;
    let wanted = active.rules.rules().iter().filter(|found| rule.is_none_or(|id| id == &*found.id));
    let mut items: Vec<RuleStats> = wanted.map(|rule| RuleStats::new(rule, &active, &stops)).collect();
    let places: HashMap<String, usize> =
        items.iter().enumerate().map(|(at, rule)| (rule.id.clone(), at)).collect();
    let query = TallyQuery { rule: rule.map(str::to_owned), ..TallyQuery::totals(since, until) };
    let tallies = tallies::read(console, &query).await?;
    for tally in &tallies.items {
        let (TallyKey::Rule { rule: id, .. } | TallyKey::RuleError { rule: id, .. }) = &tally.key else {
            continue;
        };
        if let Some(stats) = places.get(id).and_then(|at| items.get_mut(*at)) {
            stats.add(tally);
        }
    }
    for stats in &mut items {
        if rule.is_none() {
            stats.versions.clear();
        }
        stats.versions.sort_by_key(|version| std::cmp::Reverse(version.last_seen));
    }
    Ok(Stats { since: tallies.since, until, epoch: active.epoch, items })
}

/// What each rule has done lately: hits enforced and in shadow, identities, last hit, samples.
#[utoipa::path(get, path = "/api/rule-stats", operation_id = "listRuleStats", tag = "rules",
    params(
        ("since" = Option<String>, Query, description = "A time, or a duration before now such as 24h, which is the default"),
        ("until" = Option<String>, Query, description = "The same; the default is now"),
    ),
    responses((status = 200, description = "`{since, until, epoch, items}`: hits of each rule, enforced and in shadow, its mode in force, and why it was stopped", body = Object)))]
pub(crate) async fn list(
    State(console): State<Console>,
    RawQuery(query): RawQuery,
) -> Result<Json<Stats>, Problem> {
    let (since, until) = range(&console, query.as_deref())?;
    Ok(Json(stats(&console, since, until, None).await?))
}

/// What one rule has done lately, by version.
#[utoipa::path(get, path = "/api/rule-stats/{id}", operation_id = "getRuleStats", tag = "rules",
    params(
        ("id" = String, Path, description = "The rule's id"),
        ("since" = Option<String>, Query, description = "A time, or a duration before now such as 24h, which is the default"),
        ("until" = Option<String>, Query, description = "The same; the default is now"),
    ),
    responses(
        (status = 200, description = "The hits of the rule, by version too", body = Object),
        (status = 404, description = "There is no such rule", body = crate::problem::Details),
    ))]
pub(crate) async fn get(
    State(console): State<Console>,
    Segment(id): Segment,
    RawQuery(query): RawQuery,
) -> Result<Json<RuleStats>, Problem> {
    let (since, until) = range(&console, query.as_deref())?;
    let found = stats(&console, since, until, Some(&id)).await?;
    let found = found.items.into_iter().next().ok_or(ApplyError::UnknownRule(id))?;
    Ok(Json(found))
}

fn range(console: &Shared, query: Option<&str>) -> Result<(Timestamp, Timestamp), Problem> {
    let mut parameters = Parameters::read(query, &["since", "until"]);
    let range = tallies::range(&mut parameters, console.now());
    parameters.finish()?;
    Ok(range)
}
