//! What a person's words in a chat mean (spec C8).

/// A person's answer in a chat.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Reply {
    /// Yes, this once.
    ApproveOnce,
    /// Yes, and for the same call from now on.
    ApproveAlways,
    /// No.
    Deny,
}

/// Reads an answer; anything else is a new message of the person's.
///
/// ```
/// use weir_tools::approval::{Reply, reply_of};
///
/// assert_eq!(reply_of("OKAY"), Some(Reply::ApproveOnce));
/// assert_eq!(reply_of(" n "), Some(Reply::Deny));
/// assert_eq!(reply_of("yes please"), None);
/// ```
#[must_use]
pub fn reply_of(text: &str) -> Option<Reply> {
    match text.trim().to_lowercase().as_str() {
        "yes" | "y" | "ok" | "okay" | "approve" | "approved" | "allow" => Some(Reply::ApproveOnce),
        "no" | "n" | "deny" | "denied" => Some(Reply::Deny),
        _ => None,
    }
}

impl Reply {
    /// All answers.
    pub const ALL: [Self; 3] = [Self::ApproveOnce, Self::ApproveAlways, Self::Deny];

    /// The word in programs.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::ApproveOnce => "approve_once",
            Self::ApproveAlways => "approve_always_for_tool",
            Self::Deny => "deny",
        }
    }

    /// Reads the word of a program; another one is none.
    #[must_use]
    pub fn parse(word: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|reply| reply.as_str() == word)
    }
}
