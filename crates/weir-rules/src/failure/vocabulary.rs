//! The words that errors are made of: those of the built-in pack with its examples, and the names of parameters. A word
//! of theirs tells nothing of a prompt that it may stand in as well.

use std::collections::HashSet;
use std::sync::LazyLock;

use super::PACK_TEXT;

/// Names in requests of the three protocols, which errors point at.
const NAMES: &str = "model models messages message role content text type input output system instructions prompt \
    user assistant tool tools tool_choice tool_calls tool_call_id tool_use tool_result function functions name \
    parameters arguments properties required description schema json_schema response_format strict temperature top_p \
    top_k stop stop_sequences seed max_tokens max_completion_tokens max_output_tokens stream stream_options \
    include_usage reasoning reasoning_effort thinking budget_tokens metadata store previous_response_id \
    parallel_tool_calls logprobs top_logprobs logit_bias frequency_penalty presence_penalty image image_url media_type \
    source data file file_id audio embedding embeddings dimensions encoding_format cache_control ephemeral header body \
    the and for with not was are is has have been this that your you from must should cannot";

static WORDS: LazyLock<HashSet<String>> = LazyLock::new(|| {
    weir_core::redact::words(PACK_TEXT).chain(NAMES.split_whitespace().map(str::to_owned)).collect()
});

/// Whether a word, in lower case, is one that errors are made of. Of a script that does not part its words a pair of
/// letters is asked for ([`weir_core::redact::words`]).
///
/// ```
/// assert!(weir_rules::failure::is_of_errors("context"));
/// assert!(!weir_rules::failure::is_of_errors("hunter"));
/// ```
#[must_use]
pub fn is_of_errors(word: &str) -> bool {
    WORDS.contains(word)
}
