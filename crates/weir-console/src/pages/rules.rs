//! The rules: all of them with their hits, one of them with an editor, and the sets that were in force before.

pub(crate) mod draft;
mod editor;
mod history;
mod list;
mod one;

pub(super) use editor::{create, save};
pub(super) use history::{rollback, set, sets};
pub(super) use list::show as list;
pub(super) use one::{delete, new, show, switch};

use std::collections::BTreeMap;
use std::time::Duration;

use jiff::Timestamp;
use maud::{Markup, html};
use weir_core::{DecisionId, Mode};
use weir_store::tally::{Tally, TallyKey, TallyKind, TallyQuery};

use super::parts::{Tone, badge};
use crate::console::Console;
use crate::problem::Problem;
use crate::rulebook::Master;

/// Over how long hits are counted on these pages.
const COUNTED: Duration = Duration::from_secs(24 * 3600);

/// What was counted of one rule.
#[derive(Clone, Debug, Default)]
struct Hits {
    enforced: u64,
    shadow: u64,
    errors: u64,
    identities: u64,
    last: Option<Timestamp>,
    samples: Vec<DecisionId>,
}

impl Hits {
    fn add(&mut self, tally: &Tally) {
        match &tally.key {
            TallyKey::RuleError { .. } => {
                self.errors = self.errors.saturating_add(tally.count);
                return;
            }
            key if key.is_enforced_hit() => self.enforced = self.enforced.saturating_add(tally.count),
            _ => self.shadow = self.shadow.saturating_add(tally.count),
        }
        self.last = self.last.max(Some(tally.last_seen));
        self.identities = self.identities.max(tally.identities.unwrap_or_default());
        self.samples.extend(&tally.samples);
        self.samples.sort_unstable_by(|a, b| b.cmp(a));
        self.samples.truncate(weir_store::tally::SAMPLES_MAX);
    }
}

/// The hits of all rules, or of one, by the rule's id.
async fn hits(
    console: &Console,
    now: Timestamp,
    rule: Option<&str>,
) -> Result<BTreeMap<String, Hits>, Problem> {
    let since = now.checked_sub(COUNTED).unwrap_or(Timestamp::MIN);
    let until = now.checked_add(Duration::from_secs(60)).unwrap_or(now);
    let mut hits: BTreeMap<String, Hits> = BTreeMap::new();
    for kind in [TallyKind::Rule, TallyKind::RuleError] {
        let query = TallyQuery::totals(since, until).of(kind);
        let query = match rule {
            Some(rule) => query.of_rule(rule),
            None => query,
        };
        let tallies = console.parts.database.tallies(&query).await;
        for tally in tallies.map_err(|error| Problem::store_unavailable(&error))? {
            if let TallyKey::Rule { rule, .. } | TallyKey::RuleError { rule, .. } = &tally.key {
                hits.entry(rule.clone()).or_default().add(&tally);
            }
        }
    }
    Ok(hits)
}

/// How a rule is in force.
fn mode(mode: Mode) -> Markup {
    match mode {
        Mode::Enforce => badge(Tone::Good, "enforced"),
        Mode::Shadow => badge(Tone::Info, "shadow"),
        Mode::Off => badge(Tone::Quiet, "off"),
    }
}

/// What is said where rules are written in files.
fn files_note(master: &Master) -> Markup {
    let Master::Files(files) = master else { return html! {} };
    html! {
        div .flash role="note" {
            p { strong { "These rules are written in files. " }
                "Change them there; they come into force when they are saved. Here they can be checked and backtested." }
            ul { @for file in files { li { code { (file.display()) } } } }
        }
    }
}

/// Links to decisions.
fn samples(ids: &[DecisionId]) -> Markup {
    html! {
        @for (at, id) in ids.iter().enumerate() {
            @if at > 0 { ", " }
            a .id href={ "/decisions/" (id) } title=(id) { (super::failures::short(&id.to_string())) }
        }
    }
}
