//! A JSON answer, chunk by chunk.

use weir_core::ApiKind;

use super::text::TextMeter;
use super::{Counts, FinishReasons, Observed, ProviderError, Uncounted, error_of_choices};
use crate::json;
use crate::walk::{Path, Step, Walker};

/// A member that is longer is not kept.
const MEMBER_BYTES_MAX: usize = 64 << 10;

/// The members that are sought: the fifth is one that every answer of the API has, and no error; the last two tell why it
/// ended.
const fn names(kind: ApiKind) -> &'static [&'static str; 7] {
    match kind {
        ApiKind::ChatCompletions => &["usage", "id", "model", "error", "choices", "", ""],
        ApiKind::Responses => &["usage", "id", "model", "error", "output", "status", "incomplete_details"],
        ApiKind::Messages => &["usage", "id", "model", "error", "content", "stop_reason", ""],
        ApiKind::Embeddings => &["usage", "id", "model", "error", "data", "", ""],
        ApiKind::CountTokens => &["usage", "id", "model", "error", "input_tokens", "", ""],
    }
}

const USAGE: usize = 0;
const ID: usize = 1;
const MODEL: usize = 2;
const ERROR: usize = 3;
const ANSWER: usize = 4;
const ENDED: usize = 5;
const DETAILS: usize = 6;

pub(super) struct BodyReader {
    kind: ApiKind,
    walker: Walker,
    /// The member being read.
    open: Option<Vec<u8>>,
    kept: Kept,
    /// Measures what is generated, where its tokens are not known yet.
    text: TextMeter,
    /// Whether that is being read.
    answering: bool,
    begun: bool,
    /// The first chunk was the whole answer.
    whole: bool,
}

#[derive(Default)]
struct Kept {
    counts: Option<Counts>,
    id: Option<String>,
    model: Option<String>,
    finish_reasons: FinishReasons,
    error: Option<ProviderError>,
    answer: bool,
    /// What a choice says of an error.
    of_choice: Option<ProviderError>,
}

impl BodyReader {
    pub(super) fn new(kind: ApiKind) -> Self {
        Self {
            kind,
            walker: Walker::new(names(kind)),
            open: None,
            kept: Kept::default(),
            text: TextMeter::new(kind),
            answering: false,
            begun: false,
            whole: false,
        }
    }

    pub(super) fn push(&mut self, chunk: &[u8]) {
        if self.whole || (!std::mem::replace(&mut self.begun, true) && self.push_whole(chunk)) {
            return;
        }
        self.push_part(chunk);
    }

    /// Most answers come in one chunk, and are read faster than chunk by chunk. Says whether this is one.
    fn push_whole(&mut self, chunk: &[u8]) -> bool {
        let members =
            std::str::from_utf8(chunk).ok().and_then(|text| json::pick_of_object(text, *names(self.kind)));
        let Some(members) = members else { return false };
        self.kept.answer = members.get(ANSWER).copied().flatten().is_some_and(|value| value != "null");
        for (member, value) in members.into_iter().enumerate() {
            if let Some(value) = value.filter(|value| value.len() <= MEMBER_BYTES_MAX) {
                self.kept.take(self.kind, member, value);
            }
        }
        if let Some(answer) = members.get(ANSWER).copied().flatten().filter(|_| !self.kept.is_counted()) {
            self.text.feed(answer.as_bytes());
        }
        self.whole = true;
        true
    }

    fn push_part(&mut self, chunk: &[u8]) {
        let (open, kept, kind) = (&mut self.open, &mut self.kept, self.kind);
        let (text, answering) = (&mut self.text, &mut self.answering);
        let mut from = 0;
        let mut answer_from = 0;
        self.walker.feed(chunk, &mut |path: Path, step| {
            if path.inner.is_some() {
                return;
            }
            match step {
                Step::Start { at, .. } => {
                    // A null is none. Only a chat's may hold an error; of the others, which are long, nothing is kept.
                    if path.outer == ANSWER {
                        *answering = !kept.is_counted();
                        answer_from = at;
                        kept.answer |= chunk.get(at).is_some_and(|first| *first != b'n');
                        if !matches!(kind, ApiKind::ChatCompletions) {
                            return;
                        }
                    }
                    *open = Some(Vec::new());
                    from = at;
                }
                Step::End { at } => {
                    if path.outer == ANSWER && std::mem::take(answering) {
                        text.feed(chunk.get(answer_from..at).unwrap_or_default());
                    }
                    if let Some(mut value) = open.take() {
                        keep(&mut value, chunk.get(from..at).unwrap_or_default());
                        if let Ok(value) = std::str::from_utf8(&value) {
                            kept.take(kind, path.outer, value);
                        }
                    }
                }
            }
        });
        if *answering {
            text.feed(chunk.get(answer_from..).unwrap_or_default());
        }
        if let Some(value) = open {
            keep(value, chunk.get(from..).unwrap_or_default());
        }
    }

    pub(super) fn has_error(&self) -> bool {
        self.kept.error.is_some() || self.kept.of_choice.is_some()
    }

    pub(super) fn is_error_of_choice(&self) -> bool {
        self.kept.error.is_none() && self.kept.of_choice.is_some()
    }

    /// Whether it has what every answer of its API has.
    pub(super) fn is_answer(&self) -> bool {
        self.kept.answer
    }

    /// Whether a whole object or array has been read.
    pub(super) fn is_finished(&self) -> bool {
        self.whole || self.walker.is_done()
    }

    pub(super) fn observed(&self) -> Observed {
        let text_bytes = if self.kept.is_counted() { 0 } else { self.text.bytes() };
        Observed {
            usage: self.kept.counts.map(|counts| counts.usage(self.kind)),
            uncounted: Uncounted::of(self.kind, self.kept.answer, self.kept.counts, text_bytes),
            message_id: self.kept.id.clone(),
            model: self.kept.model.clone(),
            finish_reasons: self.kept.finish_reasons,
            finished: self.is_finished(),
            error: self.kept.error.clone().or_else(|| self.kept.of_choice.clone()),
            events: 0,
            mid_event: false,
        }
    }
}

/// Appends within the limit. What is over it is cut off, and then is no JSON, so nothing wrong is read of it.
fn keep(value: &mut Vec<u8>, part: &[u8]) {
    let room = MEMBER_BYTES_MAX.saturating_sub(value.len());
    value.extend_from_slice(part.get(..room.min(part.len())).unwrap_or_default());
}

impl Kept {
    /// Whether it is known how many tokens were written.
    fn is_counted(&self) -> bool {
        self.counts.is_some_and(Counts::tells_output)
    }

    fn take(&mut self, kind: ApiKind, member: usize, raw: &str) {
        let text = || json::string(raw).map(std::borrow::Cow::into_owned);
        match member {
            USAGE => self.counts = Counts::read(kind, raw),
            ID => self.id = text(),
            MODEL => self.model = text(),
            ERROR => self.error = ProviderError::read(raw),
            ANSWER if matches!(kind, ApiKind::ChatCompletions) => {
                self.finish_reasons.of_choices(raw.as_bytes());
                if raw.contains("\"error\"") {
                    self.of_choice = error_of_choices(raw);
                }
            }
            ENDED if matches!(kind, ApiKind::Messages) => self.finish_reasons.of_message(Some(raw)),
            // The more precise word wins, whichever comes first.
            ENDED if matches!(kind, ApiKind::Responses) && self.finish_reasons.is_empty() => {
                self.finish_reasons.of_response(Some(raw), None);
            }
            DETAILS if matches!(kind, ApiKind::Responses) => {
                self.finish_reasons.of_response(None, Some(raw));
            }
            _ => {}
        }
    }
}
