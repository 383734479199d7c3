//! Forms: what was typed, what is wrong with it and where, and the message that the next page shows.

use std::collections::HashSet;
use std::fmt::Write as _;

use axum::extract::{FromRequest, Request};
use axum::response::Response;
use http::{HeaderMap, HeaderValue, StatusCode};
use jiff::Timestamp;
use jiff::civil::DateTime;
use jiff::tz::TimeZone;
use maud::{Markup, html};
use percent_encoding::{AsciiSet, NON_ALPHANUMERIC, percent_decode, percent_decode_str, utf8_percent_encode};
use weir_core::words::size;

use super::Visit;
use super::parts::ticked;
use crate::problem::{Fault, Problem};
use crate::session::cookie_of;
use crate::{extract, query};

/// The field in which every form sends the session's token.
pub(crate) const CSRF_FIELD: &str = "csrf";
/// How large a form may be: a rule set of some thousand rules, encoded.
pub(crate) const FORM_BYTES_MAX: usize = 4 << 20;
/// How large a form may be that is not taken but shown again, so that it can be shortened; more is not read.
pub(crate) const KEPT_BYTES_MAX: usize = 16 << 20;
/// How many fields a form may have: ours have some ten.
const FIELDS_MAX: usize = 100;
/// How much of a message a cookie carries, in characters.
const FLASH_CHARS_MAX: usize = 600;
const FLASH_COOKIE: &str = "weir-flash";

/// A form as it was sent.
#[derive(Clone, Debug, Default)]
pub(crate) struct Form {
    pairs: Vec<(String, String)>,
}

impl Form {
    pub(crate) fn parse(body: &[u8]) -> Self {
        let body = String::from_utf8_lossy(body);
        Self { pairs: query::each(&body).filter(|(name, _)| name != CSRF_FIELD).take(FIELDS_MAX).collect() }
    }

    /// Why a form is not taken as it was sent: it is too large, its text is none, or a field has two values, of which one
    /// would be passed over. A browser sends our own pages' forms otherwise.
    pub(crate) fn refused(body: &[u8]) -> Option<Problem> {
        if body.len() > FORM_BYTES_MAX {
            return Some(too_large());
        }
        let mut faults = Vec::new();
        let mut names = HashSet::new();
        for pair in body.split(|byte| *byte == b'&').filter(|pair| !pair.is_empty()) {
            if names.len() >= FIELDS_MAX || faults.len() >= FIELDS_MAX {
                let message = format!("there are more than {FIELDS_MAX} fields");
                faults.push(Fault { message, ..Fault::default() });
                break;
            }
            let name = query::each(&String::from_utf8_lossy(pair)).next().unwrap_or_default().0;
            if percent_decode(pair).decode_utf8().is_err() {
                let help = Some("send it encoded as UTF-8".to_owned());
                faults.push(Fault { help, ..Fault::member(&name, "what is in it is no UTF-8") });
            }
            if !names.insert(name.clone()) {
                let help = Some("send one of them".to_owned());
                faults.push(Fault { help, ..Fault::member(name, "the field is given twice") });
            }
        }
        let detail = "the form cannot be taken as it was sent";
        (!faults.is_empty()).then(|| Problem::bad_request(detail, faults))
    }

    /// What was typed into a field, without blanks around it; nothing when that is nothing.
    pub(crate) fn get(&self, name: &str) -> Option<String> {
        let value = self.typed(name).trim();
        (!value.is_empty()).then(|| value.to_owned())
    }

    /// A field exactly as it was typed.
    pub(crate) fn typed(&self, name: &str) -> &str {
        self.pairs.iter().find(|(n, _)| n == name).map_or("", |(_, value)| value)
    }

    /// A field of words with commas or blanks between them.
    pub(crate) fn words(&self, name: &str) -> Vec<String> {
        let words = self.typed(name).split(|c: char| c == ',' || c.is_whitespace());
        words.filter(|word| !word.is_empty()).map(str::to_owned).collect()
    }

    pub(crate) fn pairs(&self) -> &[(String, String)] {
        &self.pairs
    }
}

impl<S: Send + Sync> FromRequest<S> for Form {
    type Rejection = Problem;

    async fn from_request(request: Request, _: &S) -> Result<Self, Problem> {
        let body = extract::read(request, FORM_BYTES_MAX).await?;
        Self::refused(&body).map_or_else(|| Ok(Self::parse(&body)), Err)
    }
}

/// What is said of a form over [`FORM_BYTES_MAX`].
pub(super) fn too_large() -> Problem {
    let most = size(FORM_BYTES_MAX);
    let detail = format!(
        "the form is larger than {most} as it is sent, the most that is taken: shorten what is in it, or apply a file \
         with `weir rules apply`"
    );
    Problem::new(StatusCode::PAYLOAD_TOO_LARGE, detail)
}

/// Encodes pairs as a query or a form's body does.
pub(crate) fn encode<'a>(pairs: impl IntoIterator<Item = (&'a str, &'a str)>) -> String {
    let mut text = String::new();
    for (name, value) in pairs {
        let separator = if text.is_empty() { "" } else { "&" };
        let (name, value) = (segment(name), segment(value));
        let _ = write!(text, "{separator}{name}={value}");
    }
    text
}

/// What is written as it is (RFC 3986, unreserved) is not encoded.
const ENCODED: &AsciiSet = &NON_ALPHANUMERIC.remove(b'-').remove(b'.').remove(b'_').remove(b'~');

/// A text as one segment of a path, or one value of a query.
pub(crate) fn segment(text: &str) -> String {
    utf8_percent_encode(text, ENCODED).to_string()
}

/// A message that the next page shows once.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Flash {
    pub(super) is_good: bool,
    pub(super) text: String,
}

impl Flash {
    /// Something was done.
    pub(crate) fn done(text: impl Into<String>) -> Self {
        Self { is_good: true, text: text.into() }
    }

    /// Something was not done.
    pub(crate) fn failed(text: impl Into<String>) -> Self {
        Self { is_good: false, text: text.into() }
    }

    pub(super) fn of(headers: &HeaderMap) -> Option<Self> {
        let (kind, text) = cookie_of(headers, FLASH_COOKIE)?.split_once('.')?;
        let text = percent_decode_str(text).decode_utf8().ok()?.chars().take(FLASH_CHARS_MAX).collect();
        Some(Self { is_good: kind == "done", text })
    }

    pub(super) fn cookie(&self) -> HeaderValue {
        let kind = if self.is_good { "done" } else { "failed" };
        let text: String = self.text.chars().take(FLASH_CHARS_MAX).collect();
        let cookie = format!(
            "{FLASH_COOKIE}={kind}.{}; Path=/; HttpOnly; SameSite=Strict; Max-Age=60",
            segment(&text)
        );
        HeaderValue::from_str(&cookie).unwrap_or(HeaderValue::from_static(""))
    }
}

/// The cookie that ends a message.
pub(super) fn forget_flash() -> HeaderValue {
    HeaderValue::from_static("weir-flash=; Path=/; HttpOnly; SameSite=Strict; Max-Age=0")
}

/// The answer to a form that did its work: the page `to`, which shows the message.
pub(crate) fn done(to: &str, text: impl Into<String>) -> Response {
    super::guard::see_other(to, Some(&Flash::done(text)))
}

/// The answer to a button that could not do its work: the page `to` says why. For what has no fields to correct.
pub(crate) fn failed(to: &str, problem: &Problem) -> Response {
    let mut text = problem.details().detail.clone();
    for fault in problem.errors() {
        let _ = write!(text, "; {}: {}", fault.path.as_deref().unwrap_or_default(), fault.message);
    }
    super::guard::see_other(to, Some(&Flash::failed(text)))
}

/// A form that changes something. `content` are its fields and buttons.
pub(crate) fn form(visit: &Visit, action: &str, content: &Markup) -> Markup {
    html! {
        form method="post" action=(action) {
            input type="hidden" name=(CSRF_FIELD) value=(visit.csrf);
            (content)
        }
    }
}

/// A form that is a button alone. With `confirm`, a script asks first; without scripts the button acts at once.
pub(crate) fn action(visit: &Visit, path: &str, button: &str, class: &str, confirm: Option<&str>) -> Markup {
    form(visit, path, &html! { button class=(class) data-confirm=[confirm] { (button) } })
}

/// A time as a field for a date and a time gives it (without a zone: it is read as UTC), or as the API writes times.
pub(crate) fn utc(text: &str) -> Result<Timestamp, String> {
    let local = || text.parse::<DateTime>().ok()?.to_zoned(TimeZone::UTC).ok().map(|zoned| zoned.timestamp());
    text.parse::<Timestamp>()
        .ok()
        .or_else(local)
        .ok_or_else(|| "it must be a time such as 2026-11-20T18:30".to_owned())
}

/// What kind of field it is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Kind<'a> {
    /// One line; the word is the `type` of the input: `text`, `number`, `datetime-local`, `password`, `search`.
    Line(&'static str),
    /// One of these: value and label.
    Choice(&'a [(&'a str, &'a str)]),
    /// A line of text that offers these, and keeps what else was typed.
    Word(&'a [&'a str]),
}

/// One field of a form: with its label, what was typed, and what is wrong with that.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Field<'a> {
    pub(crate) name: &'a str,
    pub(crate) label: &'a str,
    pub(crate) kind: Kind<'a>,
    pub(crate) value: &'a str,
    /// What belongs into it, in a line below.
    pub(crate) help: &'a str,
    pub(crate) is_required: bool,
    /// All faults of the form; those of this field are shown at it.
    pub(crate) faults: &'a [Fault],
}

impl<'a> Field<'a> {
    /// A line of text that may be left empty.
    pub(crate) const fn new(name: &'a str, label: &'a str) -> Self {
        let kind = Kind::Line("text");
        Self { name, label, kind, value: "", help: "", is_required: false, faults: &[] }
    }

    pub(crate) const fn kind(self, kind: Kind<'a>) -> Self {
        Self { kind, ..self }
    }

    pub(crate) const fn help(self, help: &'a str) -> Self {
        Self { help, ..self }
    }

    pub(crate) const fn value(self, value: &'a str) -> Self {
        Self { value, ..self }
    }

    pub(crate) const fn required(self) -> Self {
        Self { is_required: true, ..self }
    }

    pub(crate) const fn faults(self, faults: &'a [Fault]) -> Self {
        Self { faults, ..self }
    }

    pub(crate) fn render(&self) -> Markup {
        self.render_in("f")
    }

    /// The same on a page that has several forms with such a field: `form` keeps their ids apart.
    pub(crate) fn render_in(&self, form: &str) -> Markup {
        let id = format!("{form}-{}", self.name);
        let (help, wrong) = (format!("{id}-help"), format!("{id}-wrong"));
        let faults: Vec<&Fault> =
            self.faults.iter().filter(|fault| fault.path.as_deref() == Some(self.name)).collect();
        let mut described = Vec::new();
        if !self.help.is_empty() {
            described.push(help.as_str());
        }
        if !faults.is_empty() {
            described.push(wrong.as_str());
        }
        let described = (!described.is_empty()).then(|| described.join(" "));
        let invalid = (!faults.is_empty()).then_some("true");
        html! {
            div .field .wrong[invalid.is_some()] {
                label for=(id) { (self.label) @if self.is_required { span .needed { " (needed)" } } }
                @match self.kind {
                    Kind::Line(kind) => input id=(id) name=(self.name) type=(kind) value=(self.value)
                        autocomplete="off" step=[(kind == "number").then_some("any")] required[self.is_required]
                        aria-describedby=[described] aria-invalid=[invalid];,
                    Kind::Word(words) => {
                        input id=(id) name=(self.name) type="text" value=(self.value) list={ (id) "-words" }
                            autocomplete="off" aria-describedby=[described] aria-invalid=[invalid];
                        datalist id={ (id) "-words" } { @for word in words { option value=(word) {} } }
                    },
                    Kind::Choice(choices) => select id=(id) name=(self.name) aria-describedby=[described]
                        aria-invalid=[invalid] {
                        @for (value, label) in choices {
                            option value=(value) selected[*value == self.value] { (label) }
                        }
                    },
                }
                @if !faults.is_empty() {
                    p .fault id=(wrong) role="alert" {
                        @for fault in &faults {
                            span { (ticked(&fault.message)) @if let Some(help) = &fault.help { "; " (ticked(help)) } }
                        }
                    }
                }
                @if !self.help.is_empty() { p .help id=(help) { (self.help) } }
            }
        }
    }
}

/// What is wrong with a form as a whole, above it: the problem's own words, and the faults of no field that is shown.
pub(crate) fn faults(problem: Option<&Problem>, fields: &[&str]) -> Markup {
    faults_as("Not done: ", problem, fields)
}

/// The same of a form that only asks for something to be shown.
pub(crate) fn faults_as(lead: &str, problem: Option<&Problem>, fields: &[&str]) -> Markup {
    let Some(problem) = problem else { return html! {} };
    let is_shown = |fault: &&Fault| !fault.path.as_deref().is_some_and(|path| fields.contains(&path));
    html! {
        div .flash .bad role="alert" {
            p { strong { (lead) } (ticked(&problem.details().detail)) }
            @for fault in problem.errors().iter().filter(is_shown) {
                p { @if let Some(path) = &fault.path { code { (path) } ": " } (ticked(&fault.message))
                    @if let Some(help) = &fault.help { "; " (ticked(help)) } }
            }
        }
    }
}
