//! The simulated provider's answers as data (design, section 7): which bytes come, when, and how the answer ends.
//!
//! The answers are those of the real protocols, whole enough for the official SDKs, and count usage in words. The
//! caller of [`simulate`] plays them; nothing here waits or sends.

mod chat;
mod embeddings;
mod error;
mod messages;
mod responses;
mod scene;

use std::time::Duration;

use bytes::Bytes;
use serde_json::{Value, json};
use weir_core::{ApiKind, Timestamp};

use crate::refusal::to_bytes;
use scene::Scene;

/// One simulated answer.
#[derive(Clone, Debug, PartialEq)]
pub struct Simulated {
    /// The HTTP status.
    pub status: u16,
    /// The headers; names are lower-case.
    pub headers: Vec<(String, String)>,
    /// The body's parts, each with the time to wait before it.
    pub parts: Vec<Part>,
    /// How it ends.
    pub end: End,
}

/// A part of a body.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Part {
    /// How long after the part before it, or after the request.
    pub after: Duration,
    /// Its bytes.
    pub bytes: Bytes,
}

/// How an answer ends.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum End {
    /// As it should.
    Complete,
    /// The connection breaks after the last part.
    Cut,
    /// Nothing more ever comes; with no part, not even the head.
    Hang,
}

/// How many content chunks `slow` sends.
pub const SLOW_CHUNKS: usize = 10;

/// How far they are apart.
pub const SLOW_GAP: Duration = Duration::from_millis(200);

/// The answer of the simulated model `model_word` (with or without `sim/`) to the request `body`.
///
/// `model_as_sent` is the name in the answer; `id_seed` makes its ids, so that the same arguments give the same answer.
#[must_use]
pub fn simulate(
    kind: ApiKind,
    model_word: &str,
    model_as_sent: &str,
    body: &[u8],
    id_seed: u128,
    created: Timestamp,
) -> Simulated {
    let head = Head { kind, model: model_as_sent, seed: id_seed, created };
    let Some(model) = Model::parse(model_word) else { return error::unknown_model(&head) };
    let scene = match Scene::read(kind, body) {
        Ok(scene) => scene,
        Err(refusal) => return error::bad_request(&head, &refusal),
    };
    match model {
        Model::Error(status) => error::status(&head, status),
        Model::Hang => Simulated { end: End::Hang, ..head.answer("application/json", Vec::new()) },
        Model::Garbage => garbage(&head, &scene),
        Model::Echo => head.play(&scene, &Said::text(&scene.user), Duration::ZERO),
        Model::Slow => head.play(&scene, &Said::ten_words(), SLOW_GAP),
        Model::Cut => cut(head.play(&scene, &Said::text(&scene.user), Duration::ZERO)),
        Model::Tool => head.play(&scene, &scene.tool_turn(), Duration::ZERO),
    }
}

#[derive(Clone, Copy)]
enum Model {
    Echo,
    Slow,
    Error(u16),
    Cut,
    Garbage,
    Hang,
    Tool,
}

impl Model {
    fn parse(name: &str) -> Option<Self> {
        Some(match name.strip_prefix("sim/").unwrap_or(name) {
            "echo" | "free" => Self::Echo,
            "slow" => Self::Slow,
            "cut" => Self::Cut,
            "garbage" => Self::Garbage,
            "hang" => Self::Hang,
            "tool" => Self::Tool,
            other => {
                let status = other.strip_prefix("error-")?.parse().ok()?;
                (400..600).contains(&status).then_some(Self::Error(status))?
            }
        })
    }
}

/// What every answer carries.
struct Head<'a> {
    kind: ApiKind,
    model: &'a str,
    seed: u128,
    created: Timestamp,
}

/// What the model says.
enum Said {
    /// A text, in the pieces that a stream sends.
    Text(Vec<String>),
    /// A call of a tool.
    Call { name: String, arguments: String },
}

/// At most so many pieces make up a streamed text.
const PIECES_MAX: usize = 64;

impl Said {
    fn text(text: &str) -> Self {
        let words: Vec<&str> = text.split_inclusive(char::is_whitespace).collect();
        let in_each = words.len().div_ceil(PIECES_MAX).max(1);
        Self::Text(words.chunks(in_each).map(|words| words.concat()).collect())
    }

    fn ten_words() -> Self {
        const WORDS: [&str; SLOW_CHUNKS] =
            ["one ", "two ", "three ", "four ", "five ", "six ", "seven ", "eight ", "nine ", "ten"];
        Self::Text(WORDS.map(str::to_owned).to_vec())
    }

    /// How long it takes to say all of it.
    fn takes(&self, gap: Duration) -> Duration {
        let gaps = match self {
            Self::Text(pieces) => pieces.len().saturating_sub(1),
            Self::Call { .. } => 0,
        };
        gap.saturating_mul(u32::try_from(gaps).unwrap_or(u32::MAX))
    }

    fn words(&self) -> usize {
        match self {
            Self::Text(pieces) => words(&pieces.concat()),
            Self::Call { arguments, .. } => words(arguments).max(1),
        }
    }
}

fn words(text: &str) -> usize {
    text.split_whitespace().count()
}

/// An event of a stream; `content` marks those that hold a piece of the text, which `slow` sends apart.
struct Sent {
    bytes: String,
    content: bool,
}

impl Sent {
    /// An event without a name.
    fn data(data: &Value, content: bool) -> Self {
        Self { bytes: format!("data: {data}\n\n"), content }
    }

    /// An event whose name is the data's `type`.
    fn named(data: &Value, content: bool) -> Self {
        let name = data.get("type").and_then(Value::as_str).unwrap_or_default();
        Self { bytes: format!("event: {name}\ndata: {data}\n\n"), content }
    }
}

impl Head<'_> {
    fn id(&self, prefix: &str) -> String {
        format!("{prefix}{:032x}", self.seed)
    }

    fn answer(&self, content_type: &str, parts: Vec<Part>) -> Simulated {
        let id_header = match self.kind {
            ApiKind::Messages | ApiKind::CountTokens => "request-id",
            ApiKind::ChatCompletions | ApiKind::Responses | ApiKind::Embeddings => "x-request-id",
        };
        let headers = vec![
            ("content-type".to_owned(), content_type.to_owned()),
            (id_header.to_owned(), self.id("req_")),
        ];
        Simulated { status: 200, headers, parts, end: End::Complete }
    }

    /// The whole answer; `gap` is the time between the pieces of its text.
    fn play(&self, scene: &Scene, said: &Said, gap: Duration) -> Simulated {
        let events = match self.kind {
            ApiKind::ChatCompletions if scene.stream => chat::stream(self, scene, said),
            ApiKind::Responses if scene.stream => responses::stream(self, scene, said),
            ApiKind::Messages if scene.stream => messages::stream(self, scene, said),
            ApiKind::ChatCompletions => return self.json(&chat::whole(self, scene, said), said.takes(gap)),
            ApiKind::Responses => return self.json(&responses::whole(self, scene, said), said.takes(gap)),
            ApiKind::Messages => return self.json(&messages::whole(self, scene, said), said.takes(gap)),
            ApiKind::Embeddings => return self.json(&embeddings::whole(self, scene), said.takes(gap)),
            ApiKind::CountTokens => {
                return self.json(&json!({"input_tokens": scene.input_words}), said.takes(gap));
            }
        };
        let mut first = true;
        let parts = events.into_iter().map(|event| {
            let waits = event.content && !std::mem::take(&mut first);
            Part { after: if waits { gap } else { Duration::ZERO }, bytes: event.bytes.into() }
        });
        self.answer("text/event-stream; charset=utf-8", parts.collect())
    }

    fn json(&self, body: &Value, after: Duration) -> Simulated {
        self.answer("application/json", vec![Part { after, bytes: to_bytes(body) }])
    }
}

/// Half of an answer, at an event's end if it is streamed.
fn cut(mut answer: Simulated) -> Simulated {
    let parts = answer.parts.len();
    answer.parts.truncate(parts.div_ceil(2));
    if parts == 1 {
        for part in &mut answer.parts {
            part.bytes.truncate(part.bytes.len() / 2);
        }
    }
    Simulated { end: End::Cut, ..answer }
}

/// A status and a type that promise an answer, and bytes that are none: neither events nor JSON nor UTF-8.
fn garbage(head: &Head<'_>, scene: &Scene) -> Simulated {
    const BYTES: &[u8] = b"<html><body>\xff\xfe it works! </body></html>\ndata: {\"choices\": [\n\n{{{";
    let content_type = if scene.stream { "text/event-stream; charset=utf-8" } else { "application/json" };
    head.answer(content_type, vec![Part { after: Duration::ZERO, bytes: Bytes::from_static(BYTES) }])
}

#[cfg(test)]
mod tests;
