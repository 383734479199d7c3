//! Failed calls of providers in groups: what, whose, how often, of how many, and whether anybody was told.

use std::collections::BTreeMap;

use axum::Json;
use axum::extract::{RawQuery, State};
use serde::Serialize;
use weir_core::{DecisionId, Timestamp};
use weir_store::tally::{SAMPLES_MAX, Sketch};
use weir_store::{Tally, TallyKey, TallyKind, TallyQuery};

use crate::console::{Console, Shared};
use crate::problem::Problem;
use crate::query::Parameters;
use crate::tallies;

/// The groups of a range.
#[derive(Clone, Debug, Serialize)]
pub(crate) struct Groups {
    /// From when on.
    pub(crate) since: Timestamp,
    /// Until when.
    pub(crate) until: Timestamp,
    /// Where reports go: `sentry`; null when no DSN is configured, so that none is sent.
    pub(crate) reports_to: Option<&'static str>,
    /// The most frequent first.
    pub(crate) items: Vec<Group>,
}

/// Failures of one class, provider and owner that are reported in the same way.
#[derive(Clone, Debug, Serialize)]
pub(crate) struct Group {
    /// What they are.
    pub(crate) class: String,
    /// Where.
    pub(crate) provider: String,
    /// Who must act.
    pub(crate) owner: String,
    /// Whose credential was used: `platform`, `user`, `pooled`.
    pub(crate) credential: String,
    /// What the rule says: `page`, `log` or `none`.
    pub(crate) report: String,
    /// Whether this node has sent a report of such a failure in the range.
    pub(crate) reported: bool,
    /// When it sent the last one.
    pub(crate) reported_at: Option<Timestamp>,
    /// Why the rule says so.
    pub(crate) why: &'static str,
    /// How many attempts failed so.
    pub(crate) count: u64,
    /// How many identities were concerned, estimated.
    pub(crate) identities: u64,
    /// The first of them in the range.
    pub(crate) first_seen: Timestamp,
    /// The last of them.
    pub(crate) last_seen: Timestamp,
    /// The rules that classed them.
    pub(crate) rules: Vec<String>,
    /// The newest decisions, newest first.
    pub(crate) samples: Vec<DecisionId>,
    #[serde(skip)]
    who: Sketch,
}

/// The groups of a range.
pub(crate) async fn groups(console: &Shared, since: Timestamp, until: Timestamp) -> Result<Groups, Problem> {
    let query = TallyQuery::totals(since, until).of(TallyKind::Failure);
    let tallies = tallies::read(console, &query).await?;
    let mut items = grouped(&tallies.items);
    if let Some(sent_at) = &console.parts.reported_at {
        for group in &mut items {
            group.reported_at =
                sent_at(&group.class, &group.provider, &group.owner).filter(|at| *at >= tallies.since);
            group.reported = group.reported_at.is_some();
        }
    }
    let reports_to = console.parts.live.config().failures.sentry_dsn.as_ref().map(|_| "sentry");
    Ok(Groups { since: tallies.since, until, reports_to, items })
}

fn grouped(tallies: &[Tally]) -> Vec<Group> {
    let mut groups: BTreeMap<[&str; 5], Group> = BTreeMap::new();
    for tally in tallies {
        let TallyKey::Failure { class, provider, owner, report, credential, rule } = &tally.key else {
            continue;
        };
        let key = [class.as_str(), provider, owner, report, credential];
        let group = groups.entry(key).or_insert_with(|| Group::new(key, tally));
        group.add(tally, rule);
    }
    let mut groups: Vec<Group> = groups.into_values().map(Group::finish).collect();
    groups.sort_by(|a, b| b.count.cmp(&a.count).then_with(|| a.class.cmp(&b.class)));
    groups
}

impl Group {
    fn new([class, provider, owner, report, credential]: [&str; 5], first: &Tally) -> Self {
        Self {
            class: class.to_owned(),
            provider: provider.to_owned(),
            owner: owner.to_owned(),
            credential: credential.to_owned(),
            report: report.to_owned(),
            reported: false,
            reported_at: None,
            why: why(report, owner, credential),
            count: 0,
            identities: 0,
            first_seen: first.first_seen,
            last_seen: first.last_seen,
            rules: Vec::new(),
            samples: Vec::new(),
            who: Sketch::default(),
        }
    }

    fn add(&mut self, tally: &Tally, rule: &str) {
        self.count = self.count.saturating_add(tally.count);
        self.first_seen = self.first_seen.min(tally.first_seen);
        self.last_seen = self.last_seen.max(tally.last_seen);
        self.samples.extend_from_slice(&tally.samples);
        if let Some(who) = &tally.who {
            self.who.unite(who);
        }
        if !rule.is_empty() {
            self.rules.push(rule.to_owned());
        }
    }

    fn finish(mut self) -> Self {
        self.identities = self.who.count_among(self.count);
        self.samples.sort_unstable_by(|a, b| b.cmp(a));
        self.samples.truncate(SAMPLES_MAX);
        self.rules.sort_unstable();
        self.rules.dedup();
        self
    }
}

/// Why somebody is to be told, or nobody (design, section 4).
fn why(report: &str, owner: &str, credential: &str) -> &'static str {
    match (report, owner, credential) {
        ("page", _, "pooled") => "the last key of the pool has failed, and only the operator can mend that",
        ("page", "operator", _) => {
            "only the operator can mend it: the first is reported at once, those that follow in the summary of their window"
        }
        ("page", ..) => "a rule says that somebody is told",
        ("none", ..) => "a rule says that nobody is told",
        (_, "operator", "pooled") => {
            "the next key of the pool is taken; somebody is told when the pool is empty"
        }
        (_, "operator", _) => "a rule says that it is logged only",
        (_, "user", "user") => "the caller's own key was used, so the account is the caller's",
        (_, "user", _) => "it is a matter of the user's account, plan or content",
        (_, "caller", _) => "the request is wrong, and only the calling program can mend it",
        (_, "provider", _) => {
            "it is the provider's trouble; when no attempt is left for a request, that is reported"
        }
        _ => "it is logged",
    }
}

/// Failures of providers in groups of class, provider and owner.
#[utoipa::path(get, path = "/api/failures", operation_id = "listFailures", tag = "service",
    params(
        ("since" = Option<String>, Query, description = "A time, or a duration before now such as 24h, which is the default"),
        ("until" = Option<String>, Query, description = "The same; the default is now"),
    ),
    responses(
        (status = 200, description = "`{since, until, reports_to, items}`: failed calls of providers by class, provider, owner, credential and report, the most frequent first; `report` is what the rule says, `reported` whether this node has sent a report", body = Object),
        (status = 400, description = "A parameter is not as it should be", body = crate::problem::Details),
    ))]
pub(crate) async fn list(
    State(console): State<Console>,
    RawQuery(query): RawQuery,
) -> Result<Json<Groups>, Problem> {
    let mut parameters = Parameters::read(query.as_deref(), &["since", "until"]);
    let (since, until) = tallies::range(&mut parameters, console.now());
    parameters.finish()?;
    Ok(Json(groups(&console, since, until).await?))
}
