//! Callers' API keys: made, shown once, revoked; what each has spent of its budget.

use std::sync::Arc;

use axum::Extension;
use axum::extract::{RawQuery, State};
use axum::response::{IntoResponse, Response};
use http::{Method, StatusCode};
use maud::{Markup, html};
use weir_config::config::Role;
use weir_core::secret::expose;

use super::form::{Field, Form, Kind, action, done, encode, failed, faults, form, segment};
use super::guard::see_other;
use super::parts::{Tone, badge, empty, table, time, usd};
use super::{Page, Section, Visit};
use crate::auth::Principal;
use crate::console::{Console, Shared};
use crate::extract::Segment;
use crate::keys::{self, CreatedKey, ListedKey, NewKeyRequest};
use crate::problem::{Fault, Problem};
use crate::shown_once;

/// The fields of the form, so that faults of others are shown above it.
const FIELDS: [&str; 7] = ["user", "org", "project", "plan", "tags", "budget_usd", "channel"];

/// The longest address, in bytes, that what was typed is put into; what is longer is answered at once.
const ADDRESS_BYTES_MAX: usize = 4 * 1024;

/// The keys. With fields in the address the form is filled with them, and says what is wrong with them.
pub(super) async fn show(
    State(console): State<Console>,
    visit: Visit,
    RawQuery(query): RawQuery,
) -> Result<Page, Problem> {
    let typed = Form::parse(query.unwrap_or_default().as_bytes());
    let is_filled = typed.pairs().iter().any(|(name, _)| FIELDS.contains(&name.as_str()));
    if !is_filled || !visit.may(Role::Operator) {
        return page(&console, &visit, &Form::default(), None).await;
    }
    let problem = read(&typed).and_then(|request| keys::check(&console, request)).err();
    let status = if problem.is_some() { StatusCode::BAD_REQUEST } else { StatusCode::OK };
    Ok(page(&console, &visit, &typed, problem.as_ref()).await?.status(status))
}

/// Makes a key. It is shown by the page that this answer leads to, once; a program without a session gets it at once.
pub(super) async fn create(
    State(console): State<Console>,
    visit: Visit,
    Extension(who): Extension<Principal>,
    form: Form,
) -> Result<Response, Problem> {
    let made = match read(&form) {
        Ok(request) => keys::make(&console, &who, request).await,
        Err(problem) => Err(problem),
    };
    match made {
        Ok(created) if visit.csrf.is_empty() => {
            Ok(made_page(&visit, &created.id, Some(&created.key)).into_response())
        }
        Ok(created) => {
            let CreatedKey { id, key } = created;
            console.shown_once.keep(&visit.csrf, &id, key.into(), visit.now);
            let (waiting, forgotten) = (Arc::downgrade(&console), id.clone());
            tokio::spawn(async move {
                tokio::time::sleep(shown_once::KEPT).await;
                if let Some(console) = waiting.upgrade() {
                    console.shown_once.forget(&forgotten);
                }
            });
            Ok(see_other(&format!("/keys/{}/made", segment(&id)), None))
        }
        Err(problem) if problem.status() == 400 => {
            let typed = FIELDS.map(|name| (name, form.typed(name)));
            let address = format!("/keys?{}", encode(typed));
            // Not as the answer to the form: to come back to that page, a browser would have to send the form again.
            if !visit.csrf.is_empty() && address.len() <= ADDRESS_BYTES_MAX {
                return Ok(see_other(&address, None));
            }
            let page = page(&console, &visit, &form, Some(&problem)).await?;
            Ok(page.status(StatusCode::BAD_REQUEST).into_response())
        }
        Err(problem) => Err(problem),
    }
}

/// The key that was just made, once; loading the page again says that it was shown.
pub(super) async fn made(
    State(console): State<Console>,
    method: Method,
    visit: Visit,
    Segment(id): Segment,
) -> Result<Response, Problem> {
    let known = keys::all(&console).await?;
    if !known.iter().any(|key| key.id == id) {
        return Err(Problem::not_found("there is no such key"));
    }
    // Whoever asks for the head alone sees nothing.
    let key = (method == Method::GET).then(|| console.shown_once.take(&visit.csrf, &id, visit.now)).flatten();
    let status = if key.is_some() { StatusCode::OK } else { StatusCode::GONE };
    Ok(made_page(&visit, &id, key.as_ref().map(expose)).status(status).into_response())
}

pub(super) async fn revoke(
    State(console): State<Console>,
    Extension(who): Extension<Principal>,
    Segment(id): Segment,
) -> Response {
    let revoked = keys::revoke(State(console), Extension(who), Segment(id.clone())).await;
    match revoked {
        Ok(_) => done("/keys", format!("The key {id} is revoked; it is not valid any more.")),
        Err(problem) => failed("/keys", &problem),
    }
}

fn read(form: &Form) -> Result<NewKeyRequest, Problem> {
    let budget_usd = form.get("budget_usd").map(|text| {
        let fault = || {
            let fault = Fault::member("budget_usd", "it must be a number of US dollars such as 12.50");
            Problem::bad_request("a field is not as it should be", vec![fault])
        };
        text.parse::<f64>().map_err(|_| fault())
    });
    Ok(NewKeyRequest {
        user: form.get("user").unwrap_or_default(),
        org: form.get("org"),
        project: form.get("project"),
        plan: form.get("plan"),
        tags: form.words("tags"),
        budget_usd: budget_usd.transpose()?,
        channel: form.get("channel"),
        ..NewKeyRequest::default()
    })
}

fn made_page(visit: &Visit, id: &str, key: Option<&str>) -> Page {
    let revoke = format!("Revoke the key {id}? Whoever uses it is refused from then on.");
    let content = html! {
        div .panel {
            @if let Some(key) = key {
                p .lead { "Copy the key now: it is shown this once. What is kept is its hash." }
                p .secret-once {
                    code #made-key { (key) }
                    button .main data-copy="made-key" hidden type="button" { "Copy" }
                }
                p .quiet { "Its id is " code { (id) } ". Send it as " code { "Authorization: Bearer KEY" } "." }
                p { a .button href="/keys" { "I have copied it" } }
            } @else {
                p .lead { "The key " code { (id) } " is not shown again." }
                p { "A key is shown once, within a minute, to the session that made it and by the node that made it; what is kept \
                    is its hash. If nobody has copied it, revoke it and make another." }
                div .buttons {
                    a .button href="/keys" { "All keys" }
                    @if visit.may(Role::Operator) {
                        (action(visit, &format!("/keys/{}/revoke", segment(id)), "Revoke it", "danger", Some(&revoke)))
                    }
                }
            }
        }
    };
    Page::new(visit, Section::Keys, if key.is_some() { "A new key" } else { "A key that was made" }, &content)
}

async fn page(
    console: &Shared,
    visit: &Visit,
    typed: &Form,
    problem: Option<&Problem>,
) -> Result<Page, Problem> {
    let keys = keys::all(console).await?;
    let content = html! {
        @if visit.may(Role::Operator) { (new_key(visit, typed, problem)) }
        @let (valid, revoked): (Vec<_>, Vec<_>) = keys.iter().partition(|key| key.revoked_at.is_none());
        @if valid.is_empty() {
            (empty("There is no valid key.", &html! {
                p { @if visit.may(Role::Operator) { "Make one above: callers send it to use the models that are not free." }
                    @else { "An operator can make one here, or with " code { "weir keys create --user NAME" } "." } }
            }))
        } @else { (list(visit, "Valid keys", &valid)) }
        @if !revoked.is_empty() {
            details { summary { "Revoked keys (" (revoked.len()) ")" } (list(visit, "Revoked keys", &revoked)) }
        }
    };
    Ok(Page::new(visit, Section::Keys, "Keys", &content))
}

fn new_key(visit: &Visit, typed: &Form, problem: Option<&Problem>) -> Markup {
    let wrong = problem.map(Problem::errors).unwrap_or_default();
    let field = |name, label, help| Field::new(name, label).help(help).value(typed.typed(name)).faults(wrong);
    let fields = html! {
        div .filters {
            (field("user", "User", "Whose key it is.").required().render())
            (field("org", "Organisation", "").render())
            (field("project", "Project", "").render())
            (field("plan", "Plan", "Empty and “free” count as not paying.").render())
            (field("budget_usd", "Budget in US dollars", "Empty: no limit.").kind(Kind::Line("text")).render())
            (field("tags", "Tags", "With commas between them; rules read them.").render())
            (field("channel", "Channel", "Of its tool calls.").render())
        }
        p .buttons { button .main { "Make the key" } }
    };
    html! {
        details .panel open[!typed.pairs().is_empty()] {
            summary { "Make a key" }
            (faults(problem, &FIELDS))
            (form(visit, "/keys", &fields))
        }
    }
}

fn list(visit: &Visit, caption: &str, keys: &[&ListedKey]) -> Markup {
    let columns = ["Key", "User", "Organisation, project", "Plan", "Tags", "Spent", "Made", "Actions"];
    table(caption, &columns, keys.iter().map(|key| row(visit, key)))
}

fn row(visit: &Visit, key: &ListedKey) -> Vec<Markup> {
    let belongs: Vec<&str> = [&key.org, &key.project].into_iter().flatten().map(String::as_str).collect();
    vec![
        html! { code { (key.id) } @if let Some(prefix) = &key.prefix { br; span .quiet { "begins with " code { (prefix) } } } },
        html! { a href={ "/identities/" (segment(&format!("user:{}", key.user))) } { (key.user) } },
        html! { (belongs.join(", ")) },
        html! { (key.plan.as_deref().unwrap_or("")) },
        tags(&key.tags),
        spent(key),
        html! {
            @if let Some(at) = key.created_at { (time(at, visit.now)) } @else { "in the configuration" }
            @if let Some(at) = key.revoked_at { br; (badge(Tone::Quiet, "revoked")) " " (time(at, visit.now)) }
        },
        revoke_button(visit, key),
    ]
}

fn revoke_button(visit: &Visit, key: &ListedKey) -> Markup {
    let may = visit.may(Role::Operator) && key.revoked_at.is_none() && key.origin == "runtime";
    let words =
        format!("Revoke the key {} of {}? Whoever uses it is refused from then on.", key.id, key.user);
    let path = format!("/keys/{}/revoke", segment(&key.id));
    html! { @if may { (action(visit, &path, "Revoke", "danger", Some(&words))) } }
}

fn spent(key: &ListedKey) -> Markup {
    html! {
        (usd(key.spent_usd))
        @if let Some(budget) = key.budget_usd {
            " of " (usd(budget))
            @if key.spent_usd >= budget { br; (badge(Tone::Bad, "used up")) }
            @else if key.spent_usd >= budget * 0.8 { br; (badge(Tone::Warn, "over 80 %")) }
        } @else { br; span .quiet { "no budget" } }
    }
}

/// Tags, each by itself.
pub(super) fn tags(tags: &[String]) -> Markup {
    html! { @if !tags.is_empty() { span .tags { @for tag in tags { span .tag { (tag) } } } } }
}
