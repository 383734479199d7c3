//! Texts that must never be printed: keys of callers and providers, prompts.

use secrecy::{ExposeSecret, SecretString};

/// A key of a caller, a provider or an administrator. It cannot be formatted, and is wiped when dropped.
pub type Secret = SecretString;

/// Reads a secret where it is used, and nowhere else.
#[must_use]
pub fn expose(secret: &Secret) -> &str {
    secret.expose_secret()
}

/// Text of a prompt. It has neither `Debug` nor `Display` nor `Serialize`: rules may read it, records cannot.
#[derive(Clone, Default, PartialEq, Eq)]
pub struct Prompt(String);

impl Prompt {
    /// Wraps the text of a prompt.
    #[must_use]
    pub fn new(text: String) -> Self {
        Self(text)
    }

    /// The text, for a rule's condition or the abuse service.
    #[must_use]
    pub fn expose(&self) -> &str {
        &self.0
    }
}
