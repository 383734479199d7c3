//! Tokens, id and end of a provider's answer, read on the way.
//!
//! The answer is forwarded by somebody else. Of a stream only the few events that can hold what is sought are parsed;
//! of a JSON answer only the members sought are kept, so that neither needs memory for its length.

mod body;
mod reasons;
mod stream;
mod text;
mod uncounted;

use weir_core::ApiKind;
use weir_core::record::Usage;

use crate::json;
use crate::request::MAX_TOKENS_MAX;
use crate::sse::Event;
use body::BodyReader;
pub use reasons::FinishReasons;
use stream::EventReader;
pub use uncounted::Uncounted;

/// Events of more bytes are not read, so that no line can take more memory. The terminal event of responses repeats
/// the whole answer, so it may be as long as this; events of the other APIs a quarter of it.
pub const EVENT_BYTES_MAX: usize = 4 << 20;

/// What was read of an answer.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Observed {
    /// Tokens as the provider has counted them; the cost is not known here and is zero.
    pub usage: Option<Usage>,
    /// What it has not counted.
    pub uncounted: Uncounted,
    /// The provider's id of the answer.
    pub message_id: Option<String>,
    /// The model as the provider names it.
    pub model: Option<String>,
    /// Why the model has stopped.
    pub finish_reasons: FinishReasons,
    /// Whether the answer is complete: the protocol's terminal event, or the end of the JSON object. An event that is
    /// an error ends a stream too; it is in `error`.
    pub finished: bool,
    /// An error inside a stream that began well, or the error of a JSON answer.
    pub error: Option<ProviderError>,
    /// How many events were read.
    pub events: u64,
    /// Whether the last event has not ended yet.
    pub mid_event: bool,
}

/// A provider's error, as far as it could be read. The message may repeat the caller's text: it is for classifying,
/// and not for logs.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct ProviderError {
    /// Its code; a number as text.
    pub code: Option<String>,
    /// Its type.
    pub kind: Option<String>,
    /// Its message.
    pub message: Option<String>,
}

/// Reads one answer.
pub struct UsageReader(Mode);

enum Mode {
    Stream(EventReader),
    Body(BodyReader),
    /// Of an answer that is compressed in a way that is not opened, nothing is read but its length.
    Unreadable(ApiKind, u64),
}

impl UsageReader {
    /// A reader of an answer of this API; `stream` says whether the answer *is* a stream of events, whatever was
    /// asked for.
    #[must_use]
    pub fn new(kind: ApiKind, stream: bool) -> Self {
        Self(if stream { Mode::Stream(EventReader::new(kind)) } else { Mode::Body(BodyReader::new(kind)) })
    }

    /// A reader of an answer that cannot be read, because it is compressed in a way that is not opened.
    #[must_use]
    pub const fn unreadable(kind: ApiKind) -> Self {
        Self(Mode::Unreadable(kind, 0))
    }

    /// Reads the next chunk of the answer.
    pub fn push(&mut self, chunk: &[u8]) {
        match &mut self.0 {
            Mode::Stream(reader) => reader.push(chunk),
            Mode::Body(reader) => reader.push(chunk),
            Mode::Unreadable(_, bytes) => *bytes = bytes.saturating_add(chunk.len() as u64),
        }
    }

    /// Reads an event that another scanner found. Of no use for a JSON answer.
    pub fn push_event(&mut self, event: Event<'_>) {
        if let Mode::Stream(reader) = &mut self.0 {
            reader.event(event);
        }
    }

    /// Reads a whole JSON answer.
    #[must_use]
    pub fn read_body(kind: ApiKind, body: &[u8]) -> Observed {
        let mut reader = BodyReader::new(kind);
        reader.push(body);
        reader.observed()
    }

    /// What was read so far.
    #[must_use]
    pub fn observed(&self) -> Observed {
        match &self.0 {
            Mode::Stream(reader) => reader.observed(),
            Mode::Body(reader) => reader.observed(),
            Mode::Unreadable(kind, bytes) => {
                Observed { uncounted: Uncounted::of_unreadable(*kind, *bytes), ..Observed::default() }
            }
        }
    }

    /// Whether an error was read, in a stream or in a JSON answer: what a success pays for failures.
    #[must_use]
    pub fn has_error(&self) -> bool {
        match &self.0 {
            Mode::Stream(reader) => reader.has_error(),
            Mode::Body(reader) => reader.has_error(),
            Mode::Unreadable(..) => false,
        }
    }

    /// Whether the answer is complete ([`Observed::finished`]).
    #[must_use]
    pub fn is_finished(&self) -> bool {
        match &self.0 {
            Mode::Stream(reader) => reader.is_finished(),
            Mode::Body(reader) => reader.is_finished(),
            Mode::Unreadable(..) => false,
        }
    }

    /// Whether the error that was read is a text where the protocol has objects, so that no client could read it.
    #[must_use]
    pub fn is_error_in_prose(&self) -> bool {
        match &self.0 {
            Mode::Stream(reader) => reader.is_error_in_prose(),
            Mode::Body(_) | Mode::Unreadable(..) => false,
        }
    }

    /// Whether the error stands within a choice, beside what was generated.
    #[must_use]
    pub fn is_error_of_choice(&self) -> bool {
        match &self.0 {
            Mode::Stream(reader) => reader.is_error_of_choice(),
            Mode::Body(reader) => reader.is_error_of_choice(),
            Mode::Unreadable(..) => false,
        }
    }

    /// Whether a JSON answer has what every answer of its API has, be it empty. Of a stream nothing is known before its
    /// end.
    #[must_use]
    pub fn is_answer(&self) -> bool {
        match &self.0 {
            Mode::Stream(_) | Mode::Unreadable(..) => true,
            Mode::Body(reader) => reader.is_answer(),
        }
    }

    /// Whether a stream's last event has not ended yet.
    #[must_use]
    pub fn mid_event(&self) -> bool {
        match &self.0 {
            Mode::Stream(reader) => reader.mid_event(),
            Mode::Body(_) | Mode::Unreadable(..) => false,
        }
    }

    /// Says that no more will come: an event whose blank line never came counts too.
    pub fn end(&mut self) {
        if let Mode::Stream(reader) = &mut self.0 {
            reader.end();
        }
    }

    /// What was read, once the answer has ended.
    #[must_use]
    pub fn finish(mut self) -> Observed {
        self.end();
        self.observed()
    }
}

/// The error within a choice of a chat, whole or streamed: the first one, else the choice that ends with one.
fn error_of_choices(raw: &str) -> Option<ProviderError> {
    let mut found = None;
    let _ = json::elements(raw, |choice| {
        let [error, reason] = json::pick(choice, ["error", "finish_reason"]);
        let ended = || {
            let kind = reason.and_then(json::string).filter(|reason| reason == "error")?;
            Some(ProviderError { kind: Some(kind.into_owned()), ..ProviderError::default() })
        };
        if found.is_none() {
            found = error.and_then(ProviderError::read).or_else(ended);
        }
    });
    found
}

/// The counts of a usage member as far as they were sent. Those of Anthropic's come in two events, of which the later
/// one wins.
#[derive(Clone, Copy, Debug, Default)]
struct Counts {
    input: Option<u64>,
    output: Option<u64>,
    cache_read: Option<u64>,
    cache_write: Option<u64>,
}

/// A number of tokens. One that no answer can have, as a provider writes where it has counted below zero, is none.
fn tokens(raw: &str) -> Option<u64> {
    json::count(raw).filter(|tokens| *tokens <= MAX_TOKENS_MAX)
}

impl Counts {
    /// Reads a usage member; `None` if it is no object.
    fn read(kind: ApiKind, raw: &str) -> Option<Self> {
        if !raw.starts_with('{') {
            return None;
        }
        let read = match kind {
            ApiKind::ChatCompletions | ApiKind::Embeddings => {
                Self::openai(raw, ["prompt_tokens", "completion_tokens", "prompt_tokens_details"])
            }
            ApiKind::Responses => {
                Self::openai(raw, ["input_tokens", "output_tokens", "input_tokens_details"])
            }
            ApiKind::Messages | ApiKind::CountTokens => Self::anthropic(raw),
        };
        Some(read)
    }

    fn openai(raw: &str, names: [&str; 3]) -> Self {
        let [input, output, details] = json::pick(raw, names);
        let [cached, written] =
            details.map_or([None; 2], |details| json::pick(details, ["cached_tokens", "cache_write_tokens"]));
        Self {
            input: input.and_then(tokens),
            output: output.and_then(tokens),
            cache_read: cached.and_then(tokens),
            cache_write: written.and_then(tokens),
        }
    }

    fn anthropic(raw: &str) -> Self {
        let [input, output, read, written] = json::pick(
            raw,
            ["input_tokens", "output_tokens", "cache_read_input_tokens", "cache_creation_input_tokens"],
        );
        Self {
            input: input.and_then(tokens),
            output: output.and_then(tokens),
            cache_read: read.and_then(tokens),
            cache_write: written.and_then(tokens),
        }
    }

    /// Whether it says how many tokens were written. Where there was text, a zero is no count of it.
    fn tells_output(self) -> bool {
        self.output.is_some_and(|tokens| tokens > 0)
    }

    fn updated_by(self, later: Self) -> Self {
        Self {
            input: later.input.or(self.input),
            output: later.output.or(self.output),
            cache_read: later.cache_read.or(self.cache_read),
            cache_write: later.cache_write.or(self.cache_write),
        }
    }

    /// As it is recorded: tokens read include those from a cache, which Anthropic counts apart.
    fn usage(self, kind: ApiKind) -> Usage {
        let [input, cache_read_tokens, cache_write_tokens] =
            [self.input, self.cache_read, self.cache_write].map(Option::unwrap_or_default);
        let input_tokens = match kind {
            ApiKind::Messages | ApiKind::CountTokens => {
                input.saturating_add(cache_read_tokens).saturating_add(cache_write_tokens)
            }
            ApiKind::ChatCompletions | ApiKind::Responses | ApiKind::Embeddings => input,
        };
        let output_tokens = self.output.unwrap_or_default();
        Usage { input_tokens, output_tokens, cache_read_tokens, cache_write_tokens, ..Usage::default() }
    }
}

impl ProviderError {
    /// Reads an `error` member: an object, or a text.
    fn read(raw: &str) -> Option<Self> {
        if let Some(message) = json::string(raw) {
            // Some send an empty text along with every success.
            return (!message.is_empty())
                .then(|| Self { message: Some(message.into_owned()), ..Self::default() });
        }
        if !raw.starts_with('{') {
            return None;
        }
        let text = |raw: &str| {
            json::string(raw)
                .map(std::borrow::Cow::into_owned)
                .or_else(|| json::count(raw).map(|n| n.to_string()))
        };
        let [code, kind, message] =
            json::pick(raw, ["code", "type", "message"]).map(|raw| raw.and_then(text));
        // An object without members is as good as null.
        let says = raw.bytes().any(|byte| byte == b':');
        says.then_some(Self { code, kind, message })
    }
}

#[cfg(test)]
mod tests;
