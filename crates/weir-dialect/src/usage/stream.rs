//! A stream of events.

use std::borrow::Cow;
use std::ops::Range;
use std::sync::LazyLock;

use memchr::memchr2;
use memchr::memmem::Finder;
use weir_core::ApiKind;

use super::text::{DELTA, TextMeter};
use super::{Counts, EVENT_BYTES_MAX, Observed, ProviderError, Uncounted, error_of_choices};
use crate::json;
use crate::sse::{Event, Scanner};

/// A chat's chunks are looked at for its id and model no longer than this.
const NAMING_EVENTS_MAX: u64 = 4;

/// The longest event of which is remembered that it only adds a text, in bytes and without that text.
const PLAIN_BYTES_MAX: usize = 1 << 10;

/// How much of an error in prose is kept, in bytes.
const PROSE_BYTES_MAX: usize = 4 << 10;

/// The events of responses that are parsed.
const RESPONSE_EVENTS: [&str; 6] = [
    "response.created",
    "response.in_progress",
    "response.completed",
    "response.failed",
    "response.incomplete",
    "error",
];

/// Of those, the ones that end the answer.
const TERMINAL_EVENTS: [&str; 3] = ["response.completed", "response.failed", "response.incomplete"];

static USAGE: LazyLock<Finder<'static>> = LazyLock::new(|| Finder::new(b"\"usage\""));
static ERROR: LazyLock<Finder<'static>> = LazyLock::new(|| Finder::new(b"\"error\""));
static CHOICES: LazyLock<Finder<'static>> = LazyLock::new(|| Finder::new(b"\"choices\""));
/// How the name of an event ends that adds to the answer.
static OF_DELTA: LazyLock<Finder<'static>> = LazyLock::new(|| Finder::new(b".delta\""));
static TYPE: LazyLock<Finder<'static>> = LazyLock::new(|| Finder::new(b"\"type\""));
static RESPONSE: LazyLock<Finder<'static>> = LazyLock::new(|| Finder::new(b"\"response\""));

pub(super) struct EventReader {
    scanner: Scanner,
    state: State,
}

struct State {
    kind: ApiKind,
    counts: Option<Counts>,
    seen: Observed,
    /// Whether an earlier event has ended the answer: nothing after it makes it a failure.
    over: bool,
    /// The error is a text where an object should be.
    prose: bool,
    /// The error stands within a choice.
    of_choice: bool,
    /// Measures the text that came since the provider last counted what it has written.
    text: TextMeter,
    /// The last event that did nothing but add a text.
    plain: Option<Plain>,
}

/// An event that does nothing but add a text, without that text. A stream is made of such events: one that differs in its
/// text alone has nothing else to read.
struct Plain {
    name: String,
    /// What comes before the text, with the quote that begins it.
    before: Vec<u8>,
    /// What comes after it, from the quote that ends it.
    after: Vec<u8>,
}

impl Plain {
    /// The length of the text of an event that is the same but for that, in bytes. One with an escape is read as a whole.
    fn text_of(&self, event: Event<'_>) -> Option<usize> {
        let rest = event.data.strip_prefix(self.before.as_slice())?;
        let length = memchr2(b'"', b'\\', rest)?;
        (rest.get(length..)? == self.after.as_slice() && event.name == self.name).then_some(length)
    }

    /// The event whose text is there.
    fn of(event: Event<'_>, text: Range<usize>) -> Option<Self> {
        let (before, after) = (event.data.get(..text.start)?, event.data.get(text.end..)?);
        let length = before.len().saturating_add(after.len());
        (length <= PLAIN_BYTES_MAX).then(|| Self {
            name: event.name.to_owned(),
            before: before.to_vec(),
            after: after.to_vec(),
        })
    }
}

impl EventReader {
    pub(super) fn new(kind: ApiKind) -> Self {
        let state = State {
            kind,
            counts: None,
            seen: Observed::default(),
            over: false,
            prose: false,
            of_choice: false,
            text: TextMeter::new(kind),
            plain: None,
        };
        let limit = match kind {
            ApiKind::Responses => EVENT_BYTES_MAX,
            ApiKind::ChatCompletions | ApiKind::Embeddings | ApiKind::Messages | ApiKind::CountTokens => {
                EVENT_BYTES_MAX / 4
            }
        };
        Self { scanner: Scanner::new(limit), state }
    }

    pub(super) fn push(&mut self, chunk: &[u8]) {
        let state = &mut self.state;
        let skipped = self.scanner.skipped();
        self.scanner.push(chunk, &mut |event| state.event(event));
        if self.scanner.skipped() > skipped {
            state.skipped(self.scanner.skipped_name());
        }
    }

    pub(super) fn end(&mut self) {
        let state = &mut self.state;
        self.scanner.finish(&mut |event| state.event(event));
    }

    pub(super) fn event(&mut self, event: Event<'_>) {
        self.state.event(event);
    }

    pub(super) fn has_error(&self) -> bool {
        self.state.seen.error.is_some()
    }

    pub(super) fn is_finished(&self) -> bool {
        self.state.seen.finished
    }

    pub(super) fn is_error_in_prose(&self) -> bool {
        self.state.prose
    }

    pub(super) fn is_error_of_choice(&self) -> bool {
        self.state.of_choice
    }

    pub(super) fn mid_event(&self) -> bool {
        self.scanner.mid_event()
    }

    pub(super) fn observed(&self) -> Observed {
        let State { kind, counts, seen, text, .. } = &self.state;
        let usage = counts.map(|counts| counts.usage(*kind));
        let uncounted = Uncounted::of(*kind, seen.events > 0, *counts, text.bytes());
        Observed { usage, uncounted, mid_event: self.scanner.mid_event(), ..seen.clone() }
    }
}

impl State {
    /// An event that was too long to be read. Its name may still say that the answer is complete.
    fn skipped(&mut self, name: &str) {
        self.seen.events = self.seen.events.saturating_add(1);
        if matches!(self.kind, ApiKind::Responses) && TERMINAL_EVENTS.contains(&name) {
            self.seen.finished = true;
        }
    }

    fn event(&mut self, event: Event<'_>) {
        self.seen.events = self.seen.events.saturating_add(1);
        self.over = self.seen.finished;
        if let Some(length) = self.plain.as_ref().and_then(|plain| plain.text_of(event)) {
            return self.text.add(length);
        }
        if is_prose(event) {
            return self.told_in_prose(event.data);
        }
        match self.kind {
            ApiKind::ChatCompletions | ApiKind::Embeddings => self.chat(event),
            ApiKind::Responses => self.responses(event),
            ApiKind::Messages | ApiKind::CountTokens => self.messages(event),
        }
    }

    /// Chunks have no names. The first tells id and model; after it a chunk is parsed only if it can hold usage or an
    /// error: many providers send `"usage":null` in each.
    fn chat(&mut self, event: Event<'_>) {
        let data = event.data;
        if data.trim_ascii() == b"[DONE]" {
            self.seen.finished = true;
            return;
        }
        let choices = CHOICES.find(data).and_then(|at| Some((at, data.get(at..)?)));
        let mut plain = None;
        if let Some((at, choices)) = choices {
            let reasons = self.seen.finish_reasons;
            self.seen.finish_reasons.of_choices(choices);
            let text = self.text.read(choices).filter(|_| reasons == self.seen.finish_reasons);
            plain = text.map(|text| at.saturating_add(text.start)..at.saturating_add(text.end));
        }
        let nameless = self.seen.message_id.is_none() || self.seen.model.is_none();
        let names = nameless && self.seen.events <= NAMING_EVENTS_MAX;
        let is_chunk = matches!(event.name, "" | "message" | "error");
        let strange = is_chunk && choices.is_none() && !data.trim_ascii().is_empty();
        if !(names || strange || holds(data, &USAGE) || holds(data, &ERROR) || is_value(data, &ERROR)) {
            self.plain = plain.and_then(|text| Plain::of(event, text));
            return;
        }
        let Ok(text) = std::str::from_utf8(data) else { return };
        let members = ["id", "model", "usage", "error", "object", "choices"];
        let Some([id, model, usage, error, object, choices]) = json::pick_of_object(text, members) else {
            return;
        };
        if names {
            self.name(id, model);
        }
        self.usage(usage);
        self.failed(error);
        if self.seen.error.is_none()
            && let Some(error) = choices.and_then(error_of_choices).filter(|_| !self.over)
        {
            self.seen.error = Some(error);
            self.of_choice = true;
        }
        if strange && [id, usage, error, object, choices].iter().all(Option::is_none) {
            self.failed(trouble(text));
        }
    }

    /// Measures what an event adds to the answer; gives the place of a text that is all that it adds.
    fn delta(&mut self, data: &[u8]) -> Option<Range<usize>> {
        let at = DELTA.find(data)?;
        let text = self.text.read(data.get(at..)?)?;
        Some(at.saturating_add(text.start)..at.saturating_add(text.end))
    }

    /// Events are named, by most senders twice. Only the first ones and the terminal ones hold a response.
    fn responses(&mut self, event: Event<'_>) {
        if adds_to_response(event) {
            self.delta(event.data);
        }
        let sought = match event.name {
            "" => holds(event.data, &RESPONSE) || ERROR.find(event.data).is_some(),
            name => RESPONSE_EVENTS.contains(&name),
        };
        let Ok(text) = std::str::from_utf8(event.data) else { return };
        if event.name.is_empty() && TYPE.find(event.data).is_none() {
            return self.failed(trouble(text));
        }
        if !sought {
            return;
        }
        let [kind, response, error] = json::pick(text, ["type", "response", "error"]);
        let kind = kind.and_then(json::string).unwrap_or(Cow::Borrowed(event.name));
        match &*kind {
            kind if TERMINAL_EVENTS.contains(&kind) => self.seen.finished = true,
            // This event is itself the error, or holds it.
            "error" => return self.failed(error.filter(|raw| raw.starts_with('{')).or(Some(text))),
            _ => {}
        }
        let members = ["id", "model", "usage", "error", "status", "incomplete_details"];
        let [id, model, usage, error, status, details] =
            response.map_or([None; 6], |response| json::pick(response, members));
        self.seen.finish_reasons.of_response(status, details);
        self.name(id, model);
        self.usage(usage);
        self.failed(error);
    }

    /// The start tells id, model and tokens read, a delta the tokens written.
    fn messages(&mut self, event: Event<'_>) {
        match event.name {
            "content_block_delta" => {
                self.plain = self.delta(event.data).and_then(|text| Plain::of(event, text));
                return;
            }
            "content_block_start" | "content_block_stop" | "ping" => return,
            "message_stop" => {
                self.seen.finished = true;
                return;
            }
            _ => {}
        }
        let Ok(text) = std::str::from_utf8(event.data) else { return };
        let [kind, message, usage, error, delta] =
            json::pick(text, ["type", "message", "usage", "error", "delta"]);
        let kind = kind.and_then(json::string).unwrap_or_default();
        match &*kind {
            "message_start" => {
                let [id, model, usage] =
                    message.map_or([None; 3], |message| json::pick(message, ["id", "model", "usage"]));
                self.name(id, model);
                self.usage(usage);
            }
            "message_delta" => {
                self.usage(usage);
                let [reason] = delta.map_or([None], |delta| json::pick(delta, ["stop_reason"]));
                self.seen.finish_reasons.of_message(reason);
            }
            "message_stop" => self.seen.finished = true,
            "content_block_delta" => {
                self.delta(event.data);
            }
            "error" => self.failed(error.filter(|raw| raw.starts_with('{')).or(Some(text))),
            "" => self.failed(trouble(text)),
            _ => {}
        }
    }

    /// A text in the place of an event.
    fn told_in_prose(&mut self, data: &[u8]) {
        let text = String::from_utf8_lossy(data.get(..PROSE_BYTES_MAX.min(data.len())).unwrap_or_default());
        if !self.over {
            let message = Some(text.trim().to_owned());
            self.prose |= self.seen.error.is_none();
            self.seen.error = Some(ProviderError { message, ..ProviderError::default() });
        }
    }

    fn name(&mut self, id: Option<&str>, model: Option<&str>) {
        let text = |raw: Option<&str>| raw.and_then(json::string).map(std::borrow::Cow::into_owned);
        if self.seen.message_id.is_none() {
            self.seen.message_id = text(id);
        }
        if self.seen.model.is_none() {
            self.seen.model = text(model);
        }
    }

    fn usage(&mut self, raw: Option<&str>) {
        if let Some(later) = raw.and_then(|raw| Counts::read(self.kind, raw)) {
            if later.tells_output() {
                self.text.clear();
            }
            self.counts = Some(self.counts.map_or(later, |counts| counts.updated_by(later)));
        }
    }

    fn failed(&mut self, raw: Option<&str>) {
        if let Some(error) = raw.and_then(ProviderError::read).filter(|_| !self.over) {
            self.seen.error = Some(error);
        }
    }
}

/// An object that is no event of the protocol, if it tells of trouble in a form of its own: others, such as a sign of
/// life, must not end a good answer.
fn trouble(text: &str) -> Option<&str> {
    let told = json::pick_of_object(
        text,
        ["error", "errors", "code", "status_code", "base_resp", "message", "msg", "error_msg", "detail"],
    )?;
    told.iter().any(Option::is_some).then_some(text)
}

/// Whether an event of a response adds text to the answer. A sound comes in base64, beside its transcript.
fn adds_to_response(event: Event<'_>) -> bool {
    const SOUND: &str = "response.audio";
    if event.name.is_empty() {
        let name_to = OF_DELTA.find(event.data).and_then(|at| event.data.get(..at));
        return name_to.is_some_and(|name_to| !name_to.ends_with(SOUND.as_bytes()));
    }
    event.name.strip_suffix(".delta").is_some_and(|name| name != SOUND)
}

/// Whether an event holds a text where all three protocols send objects: some providers tell their errors so.
fn is_prose(event: Event<'_>) -> bool {
    let data = event.data.trim_ascii();
    !matches!(data, b"" | b"[DONE]" | b"null") && !data.starts_with(b"{")
}

/// Whether `data` has the quoted `name` as a member whose value may be an object or a text. Within a string its quotes
/// would be escaped.
fn holds(data: &[u8], name: &Finder<'_>) -> bool {
    name.find_iter(data).any(|at| {
        let after = data.get(at.saturating_add(name.needle().len())..).unwrap_or_default().trim_ascii_start();
        let value = after.strip_prefix(b":").unwrap_or_default().trim_ascii_start();
        matches!(value.first(), Some(b'{' | b'"'))
    })
}

/// Whether `data` has the quoted `name` where it is no member's name.
fn is_value(data: &[u8], name: &Finder<'_>) -> bool {
    name.find_iter(data).any(|at| {
        let after = data.get(at.saturating_add(name.needle().len())..).unwrap_or_default().trim_ascii_start();
        matches!(after.first(), Some(b',' | b'}'))
    })
}

#[cfg(test)]
mod tests;
