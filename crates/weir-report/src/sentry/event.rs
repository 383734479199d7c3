//! A notice as an event: from fields that are named here, and from no others.

use std::borrow::Cow;
use std::collections::BTreeMap;
use std::time::SystemTime;

use sentry::Level;
use sentry::protocol::{Event, Map, Value};
use weir_core::failure::FailureEvent;
use weir_core::stop::RuleStop;

use crate::log::{DOMAIN, failure};
use crate::notice::{Notice, Tally};

/// The domain of defects of weir's own.
const OWN_DOMAIN: &str = "weir";
/// The tag of who must act; an event that has it was classed.
pub(crate) const OWNER: &str = "weir.owner";
/// The tag of the class.
pub(crate) const CLASS: &str = "weir.class";
/// The tag of whose credential was used.
pub(crate) const CREDENTIAL: &str = "weir.credential";
/// The tag of the kind of report.
pub(crate) const REPORT: &str = "weir.report";

/// The domain of what is told of weir's own rules.
const RULES: &str = "rules";

/// The event of a notice. `model` gives the tag of a model's name.
pub(crate) fn of(notice: &Notice, model: impl Fn(&str) -> String) -> Event<'static> {
    let mut event = Event {
        level: Level::Error,
        message: Some(notice.message()),
        logger: Some("weir".to_owned()),
        fingerprint: Cow::Owned(notice.fingerprint().into_iter().map(Cow::Owned).collect()),
        ..Event::default()
    };
    let domain = if matches!(notice, Notice::Stopped(_)) { RULES } else { DOMAIN };
    event.tags.insert("domain".to_owned(), domain.to_owned());
    event.tags.insert(REPORT.to_owned(), notice.kind().to_owned());
    if let Some(at) = notice.at() {
        event.timestamp = SystemTime::from(at);
    }
    if let Some(example) = notice.example() {
        event.tags.extend(tags(example, &model));
        event.extra = extra(example);
    }
    match notice {
        Notice::First(_) => {}
        Notice::Defect(_) => {
            event.tags.insert("domain".to_owned(), OWN_DOMAIN.to_owned());
        }
        Notice::Summary(tally) | Notice::Surge(tally) => event.extra.extend(counted(tally)),
        Notice::Exhausted(exhausted) => {
            event.tags.insert("failure".to_owned(), "all_exhausted".to_owned());
            event.tags.insert("attempts".to_owned(), exhausted.request.attempts().len().to_string());
            event.tags.insert(CLASS.to_owned(), exhausted.request.class().to_string());
            event.tags.insert("weir.providers".to_owned(), exhausted.providers.join(","));
            event.extra.insert("model_asked".to_owned(), exhausted.request.model().into());
        }
        Notice::Stopped(stop) => {
            event.tags.insert("rule".to_owned(), stop.rule.clone());
            event.tags.insert("why".to_owned(), stop.why.as_str().to_owned());
            event.extra.extend(stopped(stop));
        }
    }
    event
}

fn tags(event: &FailureEvent, model: impl Fn(&str) -> String) -> BTreeMap<String, String> {
    let status = if event.status == 0 { String::new() } else { event.status.to_string() };
    let all = [
        ("operation", event.operation.clone()),
        ("provider", event.provider.clone()),
        ("model", if event.model.is_empty() { String::new() } else { model(&event.model) }),
        ("status", status),
        ("failure", failure(event).to_owned()),
        (CLASS, event.class.to_string()),
        (OWNER, event.owner.as_str().to_owned()),
        ("weir.provider", event.provider.clone()),
        ("weir.phase", event.phase.to_owned()),
        (CREDENTIAL, event.credential.as_str().to_owned()),
    ];
    all.into_iter()
        .filter(|(_, value)| !value.is_empty())
        .map(|(name, value)| (name.to_owned(), value))
        .collect()
}

fn extra(event: &FailureEvent) -> Map<String, Value> {
    let text = |text: &Option<String>| text.as_deref().unwrap_or_default().to_owned();
    let all = [
        ("decision", event.decision.to_string()),
        ("request_id", event.request_id.clone()),
        ("rule", text(&event.rule)),
        ("because", text(&event.because)),
        ("code", event.code.clone()),
        ("type", event.kind.clone()),
        ("transport", event.transport.to_owned()),
        ("retry", event.retry.as_str().to_owned()),
        ("attempt", format!("{}/{}", event.attempt, event.attempts)),
    ];
    let all = all.into_iter().filter(|(_, value)| !value.is_empty());
    all.map(|(name, value)| (name.to_owned(), value.into())).collect()
}

fn counted(tally: &Tally) -> [(String, Value); 4] {
    [
        ("count".to_owned(), tally.count.into()),
        ("identities".to_owned(), tally.identities.number.into()),
        ("identities_more".to_owned(), tally.identities.more.into()),
        ("window_seconds".to_owned(), tally.window.as_secs_f64().into()),
    ]
}

fn stopped(stop: &RuleStop) -> [(String, Value); 4] {
    [
        ("version".to_owned(), stop.version.clone().into()),
        ("identities_hit".to_owned(), stop.hit.into()),
        ("identities_seen".to_owned(), stop.seen.into()),
        ("decision".to_owned(), stop.decision.to_string().into()),
    ]
}
