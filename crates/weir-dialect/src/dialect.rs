//! The three forms in which weir words an answer of its own.

/// In whose words a refusal is given (design, section 6).
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Dialect {
    /// OpenAI's: `{"error": {"message", "type", "param", "code", …}}`.
    OpenAi,
    /// Anthropic's, for paths below `/v1/messages`: `{"type": "error", "error": {…}, "request_id"}`.
    Anthropic,
    /// That of the seed's prefixes: exactly `error`, `error_type`, `message`.
    Seed,
}

impl Dialect {
    /// All dialects.
    pub const ALL: [Self; 3] = [Self::OpenAi, Self::Anthropic, Self::Seed];
}
