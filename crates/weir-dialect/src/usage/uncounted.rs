//! What a provider has not counted of its answer, and the estimate that stands for it.

use weir_core::ApiKind;
use weir_core::record::Usage;

use super::{Counts, Observed};
use crate::request::tokens_of;

/// What a provider has not counted of an answer. Of one that has not begun nothing is known to have been used.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Uncounted {
    /// Whether it has not said how many tokens it has read. No request is read for nothing, so a zero says nothing.
    pub input: bool,
    /// Bytes of the text that came since it last said how many tokens it has written.
    pub text_bytes: u64,
}

impl Uncounted {
    /// What is missing of an answer that has `begun`, by what the provider has counted until now and the text that came
    /// since.
    pub(super) fn of(kind: ApiKind, begun: bool, counts: Option<Counts>, text_bytes: u64) -> Self {
        // Counting tokens generates nothing, and nothing is asked for it.
        if !begun || matches!(kind, ApiKind::CountTokens) {
            return Self::default();
        }
        let read = counts.map_or(0, |counts| counts.usage(kind).input_tokens);
        Self { input: read == 0, text_bytes }
    }

    /// The same of an answer that cannot be read: its bytes stand for its text.
    pub(super) fn of_unreadable(kind: ApiKind, bytes: u64) -> Self {
        let text_bytes = if matches!(kind, ApiKind::Embeddings) { 0 } else { bytes };
        Self::of(kind, bytes > 0, None, text_bytes)
    }
}

impl Observed {
    /// Tokens, of which an estimate stands for what the provider has not counted: for those read `read_estimate`, for
    /// those written a token for [`crate::request::BYTES_PER_TOKEN`] bytes of text. Where the answer `failed` before there
    /// was any text of it, nothing is estimated.
    #[must_use]
    pub fn usage_or_estimate(&self, read_estimate: u64, failed: bool) -> Option<Usage> {
        let Uncounted { input, text_bytes } = self.uncounted;
        let failed = failed || self.error.is_some();
        if text_bytes == 0 && (!input || failed) {
            return self.usage;
        }
        let mut usage = Usage { estimated: true, ..self.usage.unwrap_or_default() };
        if input {
            usage.input_tokens = read_estimate;
        }
        usage.output_tokens = usage.output_tokens.saturating_add(tokens_of(text_bytes));
        Some(usage)
    }
}

#[cfg(test)]
mod tests;
