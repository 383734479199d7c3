//! Loading rules, off the threads that serve.

use weir_rules::{LoadFailure, LoadOptions, Loaded, RuleSet, SourceFile};

use super::{ApplyError, STORED_NAME};

/// The text of the store as a rule file.
pub(crate) fn stored_file(text: String) -> SourceFile {
    SourceFile { name: STORED_NAME.to_owned(), text }
}

/// Loads rules of the store; an empty text, which one has that was never written, is the empty set.
pub(crate) fn load_stored(files: &[SourceFile], options: &LoadOptions) -> Result<Loaded, ApplyError> {
    if files.iter().all(|file| file.name == STORED_NAME && file.text.is_empty()) {
        return Ok(Loaded { rules: RuleSet::default(), warnings: Vec::new() });
    }
    weir_rules::load(files, options).map_err(diagnostics)
}

/// What is wrong with rules that were refused.
pub(super) fn diagnostics(failure: LoadFailure) -> ApplyError {
    ApplyError::Diagnostics(failure.diagnostics)
}

/// Runs what takes long by computing, such as the loading of ten thousand rules, off the threads that serve.
pub(crate) async fn blocking<T: Send + 'static>(work: impl FnOnce() -> T + Send + 'static) -> T {
    match tokio::task::spawn_blocking(work).await {
        Ok(done) => done,
        Err(error) => std::panic::resume_unwind(error.into_panic()),
    }
}
