//! Why a model has stopped.

use std::sync::LazyLock;

use memchr::memmem::Finder;

use crate::json;

/// How many answers to one request have their reasons told apart.
const REASONS_MAX: usize = 8;

/// The words of the three protocols. A provider's own could say anything: they are all the last one.
const WORDS: [&str; 20] = [
    "stop",
    "length",
    "tool_calls",
    "function_call",
    "content_filter",
    "error",
    "end_turn",
    "max_tokens",
    "stop_sequence",
    "tool_use",
    "pause_turn",
    "refusal",
    "compaction",
    "model_context_window_exceeded",
    "completed",
    "incomplete",
    "failed",
    "cancelled",
    "max_output_tokens",
    "_OTHER",
];

static FINISH_REASON: LazyLock<Finder<'static>> = LazyLock::new(|| Finder::new(b"\"finish_reason\""));

/// Why a model has stopped: one word for each answer, in the order in which they ended.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct FinishReasons {
    /// Places in [`WORDS`].
    words: [u8; REASONS_MAX],
    count: u8,
}

impl FinishReasons {
    /// The words.
    pub fn words(&self) -> impl Iterator<Item = &'static str> {
        let count = usize::from(self.count);
        self.words.into_iter().take(count).filter_map(|word| WORDS.get(usize::from(word)).copied())
    }

    /// Whether none was told.
    #[must_use]
    pub const fn is_empty(&self) -> bool {
        self.count == 0
    }

    /// Adds those of a chat's choices, whole or streamed. Nothing is parsed for it: within a text the quotes about the name
    /// would be escaped.
    pub(super) fn of_choices(&mut self, data: &[u8]) {
        for at in FINISH_REASON.find_iter(data) {
            let after = data.get(at.saturating_add(FINISH_REASON.needle().len())..).unwrap_or_default();
            let value = after.trim_ascii_start().strip_prefix(b":").unwrap_or_default().trim_ascii_start();
            let Some(word) = value.strip_prefix(b"\"") else { continue };
            self.add(word.split(|byte| *byte == b'"').next().unwrap_or_default());
        }
    }

    /// Takes the one of an answer to messages; a null is none yet.
    pub(super) fn of_message(&mut self, raw: Option<&str>) {
        if let Some(word) = raw.and_then(json::string) {
            *self = Self::default();
            self.add(word.as_bytes());
        }
    }

    /// Takes the one of a response: how it ended, or why it is not complete.
    pub(super) fn of_response(&mut self, status: Option<&str>, details: Option<&str>) {
        self.of_message(status.filter(|status| !matches!(*status, "\"in_progress\"" | "\"queued\"")));
        let [reason] = details.map_or([None], |details| json::pick(details, ["reason"]));
        self.of_message(reason);
    }

    fn add(&mut self, word: &[u8]) {
        let place = WORDS.iter().position(|known| known.as_bytes() == word).unwrap_or(WORDS.len() - 1);
        if let (Some(free), Ok(place)) = (self.words.get_mut(usize::from(self.count)), u8::try_from(place)) {
            *free = place;
            self.count += 1;
        }
    }
}
