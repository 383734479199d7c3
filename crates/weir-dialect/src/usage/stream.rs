//! A stream of events.

use memchr::memmem;
use weir_core::ApiKind;

use super::{Counts, EVENT_BYTES_MAX, Observed, ProviderError};
use crate::json;
use crate::sse::{Event, Scanner};

pub(super) struct EventReader {
    scanner: Scanner,
    state: State,
}

struct State {
    kind: ApiKind,
    counts: Option<Counts>,
    seen: Observed,
}

impl EventReader {
    pub(super) fn new(kind: ApiKind) -> Self {
        let state = State { kind, counts: None, seen: Observed::default() };
        Self { scanner: Scanner::new(EVENT_BYTES_MAX), state }
    }

    pub(super) fn push(&mut self, chunk: &[u8]) {
        let state = &mut self.state;
        self.scanner.push(chunk, &mut |event| state.event(event));
    }

    pub(super) fn end(&mut self) {
        let state = &mut self.state;
        self.scanner.finish(&mut |event| state.event(event));
    }

    pub(super) fn event(&mut self, event: Event<'_>) {
        self.state.event(event);
    }

    pub(super) fn observed(&self) -> Observed {
        let usage = self.state.counts.map(|counts| counts.usage(self.state.kind));
        Observed { usage, mid_event: self.scanner.mid_event(), ..self.state.seen.clone() }
    }
}

impl State {
    fn event(&mut self, event: Event<'_>) {
        self.seen.events = self.seen.events.saturating_add(1);
        match self.kind {
            ApiKind::ChatCompletions | ApiKind::Embeddings => self.chat(event.data),
            ApiKind::Responses => self.responses(event),
            ApiKind::Messages | ApiKind::CountTokens => self.messages(event),
        }
    }

    /// Chunks have no names. The first tells id and model; after it a chunk is parsed only if it can hold usage or an
    /// error: many providers send `"usage":null` in each.
    fn chat(&mut self, data: &[u8]) {
        if data.trim_ascii() == b"[DONE]" {
            self.seen.finished = true;
            return;
        }
        let nameless = self.seen.message_id.is_none() || self.seen.model.is_none();
        if !(nameless || holds(data, b"\"usage\"") || holds(data, b"\"error\"")) {
            return;
        }
        let Ok(text) = std::str::from_utf8(data) else { return };
        let [id, model, usage, error] = json::pick(text, ["id", "model", "usage", "error"]);
        self.name(id, model);
        self.usage(usage);
        self.error(error);
    }

    /// Every event has a name, also as its `type`. Only the first and the terminal ones hold a response.
    fn responses(&mut self, event: Event<'_>) {
        let terminal = match event.name {
            "response.completed" | "response.failed" | "response.incomplete" => true,
            "response.created" | "response.in_progress" | "error" => false,
            "" => memmem::find(event.data, b"\"response\"").is_some() || holds(event.data, b"\"type\""),
            _ => return,
        };
        let Ok(text) = std::str::from_utf8(event.data) else { return };
        let [kind, response] = json::pick(text, ["type", "response"]);
        let kind = kind.and_then(json::string).unwrap_or_default();
        match &*kind {
            "response.completed" | "response.failed" | "response.incomplete" => self.seen.finished = true,
            "response.created" | "response.in_progress" => {}
            // This event is itself the error, or holds it.
            "error" => {
                let [error] = json::pick(text, ["error"]);
                self.error(error.filter(|raw| raw.starts_with('{')).or(Some(text)));
                self.seen.finished = true;
                return;
            }
            _ if terminal && !event.name.is_empty() => self.seen.finished = true,
            _ => return,
        }
        let [id, model, usage, error] =
            response.map_or([None; 4], |response| json::pick(response, ["id", "model", "usage", "error"]));
        self.name(id, model);
        self.usage(usage);
        self.error(error);
    }

    /// The start tells id, model and tokens read, a delta the tokens written.
    fn messages(&mut self, event: Event<'_>) {
        match event.name {
            "content_block_delta" | "content_block_start" | "content_block_stop" | "ping" => return,
            "message_stop" => {
                self.seen.finished = true;
                return;
            }
            _ => {}
        }
        let Ok(text) = std::str::from_utf8(event.data) else { return };
        let [kind, message, usage, error] = json::pick(text, ["type", "message", "usage", "error"]);
        let kind = kind.and_then(json::string).unwrap_or_default();
        match &*kind {
            "message_start" => {
                let [id, model, usage] =
                    message.map_or([None; 3], |message| json::pick(message, ["id", "model", "usage"]));
                self.name(id, model);
                self.usage(usage);
            }
            "message_delta" => self.usage(usage),
            "message_stop" => self.seen.finished = true,
            "error" => self.error(error),
            _ => {}
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
            self.counts = Some(self.counts.map_or(later, |counts| counts.updated_by(later)));
        }
    }

    fn error(&mut self, raw: Option<&str>) {
        if let Some(error) = raw.and_then(ProviderError::read) {
            self.seen.error = Some(error);
        }
    }
}

/// Whether `data` has the quoted `name` as a member whose value may be an object or a text. Within a string its quotes
/// would be escaped.
fn holds(data: &[u8], name: &[u8]) -> bool {
    memmem::find_iter(data, name).any(|at| {
        let after = data.get(at.saturating_add(name.len())..).unwrap_or_default().trim_ascii_start();
        let value = after.strip_prefix(b":").unwrap_or_default().trim_ascii_start();
        matches!(value.first(), Some(b'{' | b'"'))
    })
}
