//! A request's body: read once, checked, and forwarded byte for byte but for the members that weir changes.
//!
//! Reading keeps the place of the members that weir knows and skips all others. A member that is read may stand only
//! once: of two `model` members the rules would see one and a provider perhaps the other.

mod prompts;
mod upstream;

use std::fmt;
use std::ops::Range;

use bytes::Bytes;
use weir_core::ApiKind;

use crate::Refusal;
use crate::json;
pub use prompts::Prompts;
pub(crate) use prompts::{all_texts, text_of};
use upstream::Cuts;

/// How long the name of a model may be, in bytes: it is recorded, and shown in lists, whether there is such a model or not.
const MODEL_BYTES_MAX: usize = 512;

/// How many bytes of text stand for a token where nobody has counted.
pub const BYTES_PER_TOKEN: u64 = 4;

/// The tokens of a text of so many bytes, by an estimate.
pub(crate) const fn tokens_of(bytes: u64) -> u64 {
    bytes.div_ceil(BYTES_PER_TOKEN)
}

/// More output tokens than this are refused before any rule is asked (spec A3, step 16).
pub const MAX_TOKENS_MAX: u64 = 99_999_999_999;

/// The body of a request that passed the checks of spec A3, steps 2 and 3.
pub struct RequestBody {
    kind: ApiKind,
    body: Bytes,
    model: String,
    spans: Spans,
    cuts: Cuts,
    /// How many bytes the members have that a model reads, but for escapes and most of images and files.
    read_bytes: usize,
    stream: Truth,
    max_tokens: Option<(&'static str, f64)>,
    has_tools: bool,
    middle_out: bool,
    store: bool,
    previous_response_id: bool,
}

/// A switch as JavaScript reads it, and whether it was exactly `true`.
#[derive(Clone, Copy)]
struct Truth {
    truthy: bool,
    strict: bool,
}

/// Where the values of the members that weir reads lie in the body.
#[derive(Default)]
struct Spans {
    model: Span,
    messages: Span,
    input: Span,
    system: Span,
    instructions: Span,
    stream: Span,
    stream_options: Span,
    max_tokens: Span,
    max_completion_tokens: Span,
    max_output_tokens: Span,
    tools: Span,
    transforms: Span,
    store: Span,
    previous_response_id: Span,
}

type Span = Option<Range<usize>>;

impl Spans {
    fn slot(&mut self, name: &str) -> Option<&mut Span> {
        Some(match name {
            "model" => &mut self.model,
            "messages" => &mut self.messages,
            "input" => &mut self.input,
            "system" => &mut self.system,
            "instructions" => &mut self.instructions,
            "stream" => &mut self.stream,
            "stream_options" => &mut self.stream_options,
            "max_tokens" => &mut self.max_tokens,
            "max_completion_tokens" => &mut self.max_completion_tokens,
            "max_output_tokens" => &mut self.max_output_tokens,
            "tools" => &mut self.tools,
            "transforms" => &mut self.transforms,
            "store" => &mut self.store,
            "previous_response_id" => &mut self.previous_response_id,
            _ => return None,
        })
    }
}

impl RequestBody {
    /// Reads and checks a body. The body is kept, not copied.
    ///
    /// # Errors
    /// `invalid_request`: no UTF-8, no JSON, no object, a member that weir reads twice, or `messages` or `input` of
    /// another type than the API's. `model_not_found`: `model` is no string, or blank.
    pub fn read(kind: ApiKind, body: Bytes) -> Result<Self, Refusal> {
        let text = std::str::from_utf8(&body).map_err(|error| {
            Refusal::malformed(&format!("it is not UTF-8 from byte {} on", error.valid_up_to()))
        })?;
        let Scanned { spans, cuts, read_bytes } = scan(text)?;
        let raw = |span: &Span| span.clone().and_then(|range| text.get(range));
        let model = model_of(raw(&spans.model))?;
        check_content(kind, raw(&spans.messages), raw(&spans.input))?;
        let truthy = |span: &Span| raw(span).is_some_and(json::truthy);
        Ok(Self {
            kind,
            model,
            stream: Truth { truthy: truthy(&spans.stream), strict: raw(&spans.stream) == Some("true") },
            max_tokens: max_tokens_of(kind, &spans, raw),
            has_tools: raw(&spans.tools).is_some_and(is_filled_array),
            middle_out: raw(&spans.transforms).is_some_and(has_middle_out),
            store: truthy(&spans.store),
            previous_response_id: truthy(&spans.previous_response_id),
            spans,
            cuts,
            read_bytes,
            body,
        })
    }

    /// The API that the request is for.
    #[must_use]
    pub fn kind(&self) -> ApiKind {
        self.kind
    }

    /// The body as it came.
    #[must_use]
    pub fn body(&self) -> &Bytes {
        &self.body
    }

    /// Copies the body, so that the larger buffer which it may be a part of can be given back.
    pub fn leave_buffer(&mut self) {
        self.body = Bytes::copy_from_slice(&self.body);
    }

    /// The body's length in bytes.
    #[must_use]
    pub fn body_len(&self) -> usize {
        self.body.len()
    }

    /// The model as sent; never blank.
    #[must_use]
    pub fn model(&self) -> &str {
        &self.model
    }

    /// Whether the answer is to be streamed: `stream` is anything that counts as true.
    #[must_use]
    pub fn stream(&self) -> bool {
        self.stream.truthy
    }

    /// Whether `stream` is exactly `true`, which is what the abuse service is told (spec A9).
    #[must_use]
    pub fn stream_is_true(&self) -> bool {
        self.stream.strict
    }

    /// The most tokens that may be written, as the API names it. Fractions and numbers beyond all bounds are kept: the
    /// value is infinite rather than wrong.
    #[must_use]
    pub fn max_tokens(&self) -> Option<f64> {
        self.max_tokens.map(|(_, number)| number)
    }

    /// [`Self::max_tokens`] as a rule's fact: zero when absent, its fraction cut off, at most `i64::MAX`.
    #[must_use]
    pub fn max_tokens_int(&self) -> i64 {
        #[expect(clippy::cast_possible_truncation, reason = "the cast saturates")]
        self.max_tokens.map_or(0, |(_, number)| number as i64)
    }

    /// How many tokens the request needs, by a careful estimate (spec A10): a quarter of its characters, and what may be
    /// written.
    #[must_use]
    pub fn tokens_estimate(&self) -> u64 {
        const CHARS_PER_TOKEN: u64 = 4;
        let chars: u64 = all_texts(self).iter().map(|text| text.chars().count() as u64).sum();
        let written = u64::try_from(self.max_tokens_int()).unwrap_or(0);
        (chars / CHARS_PER_TOKEN).saturating_add(written)
    }

    /// How many tokens a provider reads of it, by an estimate: a token for [`BYTES_PER_TOKEN`] bytes of the members that
    /// the model reads, of which an image, a sound or a file in base64 counts as 1,600 tokens at most. Their JSON counts too, about as much as
    /// what a provider puts between messages.
    #[must_use]
    pub fn tokens_read_estimate(&self) -> u64 {
        tokens_of(self.read_bytes as u64)
    }

    /// The refusal of a request for more than [`MAX_TOKENS_MAX`] tokens.
    #[must_use]
    pub fn too_many_max_tokens(&self) -> Option<Refusal> {
        let (member, number) = self.max_tokens?;
        #[expect(clippy::cast_precision_loss, reason = "the limit is below 2^53")]
        let over = number > MAX_TOKENS_MAX as f64;
        over.then_some(Refusal::TooManyMaxTokens { member, limit: MAX_TOKENS_MAX })
    }

    /// The refusal of a request that asks for stored conversations (spec A3, step 10).
    #[must_use]
    pub fn unsupported_field(&self) -> Option<Refusal> {
        let field = match self.kind {
            ApiKind::Responses if self.store => "store",
            ApiKind::Responses if self.previous_response_id => "previous_response_id",
            _ => return None,
        };
        Some(Refusal::UnsupportedField { field })
    }

    /// Whether `tools` is an array that is not empty.
    #[must_use]
    pub fn has_tools(&self) -> bool {
        self.has_tools
    }

    /// Whether `transforms` lists `middle-out`.
    #[must_use]
    pub fn has_middle_out_transform(&self) -> bool {
        self.middle_out
    }

    /// The prompts (spec A9), read when asked for: only some rules and the abuse service want them. Whatever the
    /// members hold, this never fails.
    #[must_use]
    pub fn prompts(&self) -> Prompts {
        prompts::prompts(self)
    }

    /// The body to send upstream, with another model's name if one is given.
    ///
    /// Byte for byte the body that came, but for: the value of `model`, all top-level `models` members, which are
    /// dropped, and `stream_options.include_usage` of a streamed chat, which becomes `true`. When nothing of that
    /// changes anything these are the same bytes, not a copy.
    #[must_use]
    pub fn upstream_body(&self, model: Option<&str>) -> Bytes {
        upstream::body(self, model)
    }

    fn raw(&self, span: &Span) -> Option<&str> {
        std::str::from_utf8(self.body.get(span.clone()?)?).ok()
    }
}

impl fmt::Debug for RequestBody {
    /// The body holds prompts, so it is not shown.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("RequestBody")
            .field("kind", &self.kind)
            .field("model", &self.model)
            .field("body_len", &self.body.len())
            .finish_non_exhaustive()
    }
}

/// What one pass over the body finds.
#[derive(Default)]
struct Scanned {
    spans: Spans,
    cuts: Cuts,
    read_bytes: usize,
}

/// The members that a model reads, in any of the protocols: what is said, and the tools and schemas that are put before it.
const READ: [&str; 12] = [
    "messages",
    "input",
    "system",
    "instructions",
    "tools",
    "functions",
    "response_format",
    "prediction",
    // The Responses API's `response_format`, and its prompt with variables.
    "text",
    "prompt",
    // Anthropic's `response_format`, by its two names.
    "output_config",
    "output_format",
];

/// One pass over the body: where the members lie, what is to be cut out, and how much the model reads.
fn scan(text: &str) -> Result<Scanned, Refusal> {
    if !text.trim_start_matches([' ', '\t', '\n', '\r']).starts_with('{') {
        // Told apart, because the parser's words for a value of a wrong type would repeat the value.
        return Err(match json::validate(text) {
            Err(error) => Refusal::malformed(&error.to_string()),
            Ok(()) => Refusal::invalid(None, "The body must be a JSON object with the members of this API."),
        });
    }
    let Scanned { mut spans, mut cuts, mut read_bytes } = Scanned::default();
    let mut twice = None;
    json::members(text, |member| {
        let key = json::span(text, member.key_raw);
        let value = json::span(text, member.value);
        cuts.member(&member.key, key.start, value.end);
        if READ.contains(&&*member.key) {
            read_bytes = read_bytes.saturating_add(member.text_bytes());
        }
        if let Some(slot) = spans.slot(&member.key)
            && slot.replace(value).is_some()
        {
            twice.get_or_insert_with(|| member.key.into_owned());
        }
    })
    .map_err(|error| Refusal::malformed(&error.to_string()))?;
    match twice {
        Some(name) => Err(Refusal::invalid(None, format!("The member `{name}` stands twice. Send it once."))),
        None => Ok(Scanned { spans, cuts, read_bytes }),
    }
}

fn model_of(raw: Option<&str>) -> Result<String, Refusal> {
    let model = raw.and_then(json::string).filter(|model| !model.trim().is_empty());
    let model = model.ok_or(Refusal::ModelNotFound { model: None })?;
    if model.len() > MODEL_BYTES_MAX {
        let length = model.len();
        let message =
            format!("`model` is {length} bytes long; the name of a model has at most {MODEL_BYTES_MAX}.");
        return Err(Refusal::invalid(Some("model"), message));
    }
    Ok(model.into_owned())
}

fn check_content(kind: ApiKind, messages: Option<&str>, input: Option<&str>) -> Result<(), Refusal> {
    let starts = |raw: Option<&str>, with: &[char]| raw.is_some_and(|raw| raw.starts_with(with));
    let (good, param, message) = match kind {
        ApiKind::ChatCompletions | ApiKind::Messages | ApiKind::CountTokens => {
            (starts(messages, &['[']), "messages", "`messages` must be an array of messages.")
        }
        ApiKind::Responses => (
            input.is_none_or(|raw| raw == "null") || starts(input, &['"', '[']),
            "input",
            "`input` must be a string or an array of items, or be left out.",
        ),
        ApiKind::Embeddings => (
            starts(input, &['"', '[']),
            "input",
            "`input` must be a string or an array of strings or of tokens.",
        ),
    };
    if good { Ok(()) } else { Err(Refusal::invalid(Some(param), message)) }
}

fn max_tokens_of<'a>(
    kind: ApiKind,
    spans: &Spans,
    raw: impl Fn(&Span) -> Option<&'a str>,
) -> Option<(&'static str, f64)> {
    let number = |name, span| raw(span).and_then(json::number).map(|n| (name, n));
    match kind {
        ApiKind::ChatCompletions => number("max_completion_tokens", &spans.max_completion_tokens)
            .or_else(|| number("max_tokens", &spans.max_tokens)),
        ApiKind::Responses => number("max_output_tokens", &spans.max_output_tokens),
        ApiKind::Messages => number("max_tokens", &spans.max_tokens),
        ApiKind::Embeddings | ApiKind::CountTokens => None,
    }
}

fn is_filled_array(raw: &str) -> bool {
    raw.strip_prefix('[').is_some_and(|rest| !rest.trim_start().starts_with(']'))
}

fn has_middle_out(raw: &str) -> bool {
    let mut found = false;
    let read = json::elements(raw, |element| {
        found |= json::string(element).is_some_and(|text| text == "middle-out");
    });
    read.is_ok() && found
}

#[cfg(test)]
mod tests;
