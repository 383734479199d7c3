//! Where a call originates, for programs that embed weir and name an origin (spec C8, C0).

/// Where a call originates.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Origin {
    /// A person in a web chat.
    WebChat,
    /// A person in another program's channel.
    ExternalChannel,
    /// A schedule.
    Cron,
    /// The agent's own background work, on clean input.
    Subconscious {
        /// Whether it has read what others wrote.
        tainted: bool,
    },
    /// A person at a terminal.
    Cli,
    /// A declared workflow.
    Workflow {
        /// Whether it was declared to need approvals.
        require_approval: bool,
    },
    /// The agent goes on with a goal by itself.
    GoalContinuation,
    /// Nobody said.
    Unknown,
}

/// What an origin says of a call with an external effect that no rule and no policy asked an approval for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum OriginAnswer {
    /// It runs.
    Allow,
    /// It waits for a person.
    Park,
    /// It does not run.
    Deny,
}

impl Origin {
    /// Decides for a call with an external effect. `always` is whether the person said "always" of this tool before: some
    /// origins do not listen to that.
    #[must_use]
    pub const fn decide(self, always: bool) -> OriginAnswer {
        match self {
            Self::Workflow { require_approval: true } | Self::GoalContinuation => OriginAnswer::Park,
            Self::Subconscious { tainted: true } | Self::Unknown => OriginAnswer::Deny,
            Self::WebChat | Self::ExternalChannel if !always => OriginAnswer::Park,
            Self::WebChat
            | Self::ExternalChannel
            | Self::Cron
            | Self::Cli
            | Self::Subconscious { tainted: false }
            | Self::Workflow { require_approval: false } => OriginAnswer::Allow,
        }
    }
}
