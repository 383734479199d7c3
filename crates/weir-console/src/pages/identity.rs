//! One identity: how it stands, what it did, and what an operator can do about it.

use std::time::Duration;

use axum::Extension;
use axum::extract::State;
use axum::response::{IntoResponse, Response};
use http::StatusCode;
use jiff::Timestamp;
use maud::{Markup, html};
use weir_config::config::Role;
use weir_core::record::Record;
use weir_core::words::noun;
use weir_store::database::DecisionFilter;

use super::form::{Field, Form, Kind, action, done, encode, failed, faults, form, segment, utc};
use super::parts::{Tone, badge, copied, facts, live, outcome, panel, signed, span, time, usd};
use super::{Page, Section, Visit, decisions, identities as identities_page, keys};
use crate::auth::Principal;
use crate::console::Console;
use crate::extract::{Json, Segment};
use crate::identities::{self, Exemption, IdentityView, Tags, identity_key};
use crate::problem::{Fault, Problem};

/// Decisions that are shown.
const SHOWN: u32 = 20;

/// How long an exemption may be chosen to last: hours, and words.
const SPANS: [(&str, &str); 6] = [
    ("1", "an hour"),
    ("24", "a day"),
    ("168", "a week"),
    ("720", "30 days"),
    ("2160", "90 days"),
    ("until", "until a time"),
];

pub(super) async fn show(
    State(console): State<Console>,
    visit: Visit,
    Segment(key): Segment,
) -> Result<Page, Problem> {
    page(&console, &visit, key, &Form::default(), None).await
}

async fn page(
    console: &Console,
    visit: &Visit,
    key: String,
    typed: &Form,
    problem: Option<&Problem>,
) -> Result<Page, Problem> {
    let Json(view) = as_ours(identities::get(State(console.clone()), Segment(key)).await)?;
    let filter =
        DecisionFilter { subject: Some(view.key.clone()), limit: SHOWN, ..DecisionFilter::default() };
    let recent = console.parts.database.decisions(&filter).await;
    let recent = recent.map_err(|error| Problem::store_unavailable(&error))?;
    let content = html! {
        (faults(problem, &["until", "tags"]))
        div .columns {
            (live("standing", 5, &panel("How it stands", &standing(visit, &view, &recent.items))))
            (live("counters", 5, &panel("Counters", &counters(&view))))
        }
        @if visit.may(Role::Operator) { (buttons(visit, &view, typed, problem)) }
        (live("recent", 5, &panel("Recent decisions", &html! {
            @if recent.items.is_empty() { p .quiet { "Nothing was decided of it, or it is kept no longer." } }
            @else {
                (decisions::rows(visit, &recent.items))
                p { a href={ "/decisions?" (encode([("subject", view.key.as_str())])) } { "All its decisions" } }
            }
        })))
    };
    let address = recent.items.first().map(|latest| latest.facts.request.ip.as_str()).unwrap_or_default();
    let title = match view.key.strip_prefix("fingerprint:") {
        Some(_) if !address.is_empty() => format!("Anonymous, {address}"),
        Some(digits) => format!("Anonymous, {}…", digits.get(..12).unwrap_or(digits)),
        None => view.key.clone(),
    };
    Ok(Page::new(visit, Section::Identities, &title, &content))
}

/// The handler answers with the response type of the API.
fn as_ours(answer: Result<axum::Json<IdentityView>, Problem>) -> Result<Json<IdentityView>, Problem> {
    answer.map(|axum::Json(view)| Json(view))
}

fn text(text: &str) -> Option<Markup> {
    (!text.is_empty()).then(|| html! { (text) })
}

fn standing(visit: &Visit, view: &IdentityView, recent: &[Record]) -> Markup {
    let latest = recent.first();
    // A request that ended early does not tell which key it came with.
    let telling = recent.iter().find(|record| record.call.is_some()).or(latest);
    let known = &view.facts;
    let is_anonymous = view.key.starts_with("fingerprint:");
    let exempt = view.exempt_until.filter(|until| *until > visit.now);
    html! {
        p {
            @if let Some(until) = exempt { (badge(Tone::Info, "exempt")) " ends " (time(until, visit.now)) " " }
            @if known.blocked { (badge(Tone::Bad, "blocked elsewhere")) " " }
            @match &view.action {
                Some(action) => { "Its action is " (outcome(action)) },
                None => { span .quiet { "No action is kept for it: rules decide of each request." } },
            }
        }
        (facts([
            ("Key", Some(copied("identity-key", &view.key))),
            ("Kind", text(&known.kind)),
            ("Address", latest.filter(|_| is_anonymous).and_then(|latest| text(&latest.facts.request.ip))),
            ("Last seen as", telling.map(identities_page::known_as)),
            ("User", text(&known.user_id)),
            ("Organisation", text(&known.org_id)),
            ("Project", text(&known.project_id)),
            ("Plan", text(&known.plan)),
            ("Verified", Some(html! { (if known.verified { "yes" } else { "no" }) })),
            ("Age", (known.age_days > 0).then(|| html! { (signed(known.age_days)) " " (noun(known.age_days.unsigned_abs(), "day")) })),
            ("Tags", (!known.tags.is_empty()).then(|| keys::tags(&known.tags))),
        ]))
    }
}

fn counters(view: &IdentityView) -> Markup {
    let stats = &view.stats;
    facts([
        ("Requests", Some(html! { (signed(stats.requests_1h)) " in the last hour" })),
        ("Rate", Some(html! { (format!("{:.2}", stats.requests_per_second)) " per second" })),
        ("Tokens", Some(html! { (signed(stats.tokens_1h)) " in the last hour" })),
        ("Spent", Some(html! { (usd(stats.spend_1h_usd)) " in the last hour" })),
        ("Denied", Some(html! { (signed(stats.denied_1h)) " in the last hour" })),
        ("Addresses", Some(html! { (signed(stats.ips_1h)) " in the last hour" })),
        (
            "First seen",
            (stats.first_seen_s > 0).then(|| html! { (span(stats.first_seen_s.unsigned_abs())) " ago" }),
        ),
    ])
}

fn buttons(visit: &Visit, view: &IdentityView, typed: &Form, problem: Option<&Problem>) -> Markup {
    let wrong: &[Fault] = problem.map(Problem::errors).unwrap_or_default();
    let path = |what: &str| format!("/identities/{}/{what}", segment(&view.key));
    let tags = if problem.is_some() && !typed.typed("tags").is_empty() {
        typed.typed("tags").to_owned()
    } else {
        view.own_tags.join(", ")
    };
    let chosen = typed.get("for").unwrap_or_else(|| "24".to_owned());
    let exempt = html! {
        div .filters {
            (Field::new("for", "Exempt it for").kind(Kind::Choice(&SPANS)).value(&chosen).render())
            div data-when="for=until" {
                (Field::new("until", "Until (UTC)").kind(Kind::Line("datetime-local")).value(typed.typed("until"))
                    .help("Needed for the last choice only.").faults(wrong).render())
            }
        }
        p .buttons { button .main { "Exempt" } span .quiet { "No rule is enforced on it meanwhile; all are recorded." } }
    };
    let retag = html! {
        (Field::new("tags", "Tags of this identity").value(&tags).faults(wrong).help("With commas between them; rules read them.").render())
        @if !view.key_tags.is_empty() {
            p .quiet { "Besides, its keys bring " (keys::tags(&view.key_tags)) "; what a key brings is chosen when the key is made." }
        }
        p .buttons { button { "Set the tags" } }
    };
    let clear = format!("Clear the action of {}? Rules decide of its next request anew.", view.key);
    let end = format!("End the exemption of {}?", view.key);
    html! {
        div .columns {
            (panel("Exempt", &html! {
                (form(visit, &path("exempt"), &exempt))
                @if view.exempt_until.is_some_and(|until| until > visit.now) {
                    (action(visit, &path("unexempt"), "End the exemption", "danger", Some(&end)))
                }
            }))
            (panel("Tags and action", &html! {
                (form(visit, &path("tags"), &retag))
                @if view.action.is_some() { (action(visit, &path("clear"), "Clear the action", "danger", Some(&clear))) }
                @else { p .quiet { "There is no action to clear." } }
            }))
        }
    }
}

fn back(key: &str) -> String {
    format!("/identities/{}", segment(key))
}

pub(super) async fn clear(
    State(console): State<Console>,
    Extension(who): Extension<Principal>,
    Segment(key): Segment,
) -> Response {
    match identities::clear_action(State(console), Extension(who), Segment(key.clone())).await {
        Ok(_) => done(&back(&key), "Its action is cleared."),
        Err(problem) => failed(&back(&key), &problem),
    }
}

pub(super) async fn unexempt(
    State(console): State<Console>,
    Extension(who): Extension<Principal>,
    Segment(key): Segment,
) -> Response {
    match identities::end_exemption(State(console), Extension(who), Segment(key.clone())).await {
        Ok(_) => done(&back(&key), "It is exempt no longer."),
        Err(problem) => failed(&back(&key), &problem),
    }
}

pub(super) async fn exempt(
    State(console): State<Console>,
    visit: Visit,
    Extension(who): Extension<Principal>,
    Segment(key): Segment,
    form: Form,
) -> Result<Response, Problem> {
    let until = match until(&form, visit.now) {
        Ok(until) => until,
        Err(why) => {
            let problem =
                Problem::bad_request("a field is not as it should be", vec![Fault::member("until", why)]);
            return again(&console, &visit, key, &form, &problem).await;
        }
    };
    let body = Json(Exemption { until });
    match identities::exempt(State(console.clone()), Extension(who), Segment(key.clone()), body).await {
        Ok(_) => Ok(done(&back(&key), format!("It is exempt until {}.", super::parts::exact(until)))),
        Err(problem) => again(&console, &visit, key, &form, &problem).await,
    }
}

fn until(form: &Form, now: Timestamp) -> Result<Timestamp, String> {
    match form.typed("for") {
        "until" | "" => utc(form.typed("until").trim()),
        hours => {
            let hours: u64 = hours.parse().map_err(|_| "choose how long".to_owned())?;
            now.checked_add(Duration::from_secs(hours.saturating_mul(3600)))
                .map_err(|_| "it is too long".to_owned())
        }
    }
}

pub(super) async fn tags(
    State(console): State<Console>,
    visit: Visit,
    Extension(who): Extension<Principal>,
    Segment(key): Segment,
    form: Form,
) -> Result<Response, Problem> {
    let tags = form
        .typed("tags")
        .split(',')
        .map(str::trim)
        .filter(|tag| !tag.is_empty())
        .map(str::to_owned)
        .collect();
    let set = identities::set_tags(
        State(console.clone()),
        Extension(who),
        Segment(key.clone()),
        Json(Tags { tags }),
    );
    match set.await {
        Ok(_) => Ok(done(&back(&key), "Its tags are set.")),
        Err(problem) => again(&console, &visit, key, &form, &problem).await,
    }
}

/// The page again, with what was typed and what is wrong with it.
async fn again(
    console: &Console,
    visit: &Visit,
    key: String,
    form: &Form,
    problem: &Problem,
) -> Result<Response, Problem> {
    if problem.status() != 400 || identity_key(key.clone()).is_err() {
        return Err(problem.clone());
    }
    let page = page(console, visit, key, form, Some(problem)).await?;
    Ok(page.status(StatusCode::BAD_REQUEST).into_response())
}
