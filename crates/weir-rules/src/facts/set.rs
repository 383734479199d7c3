//! Sets of facts.

use super::Fact;

/// Some of the facts: one bit for each.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub(crate) struct FactSet(u128);

const _: () = assert!(Fact::COUNT <= 128, "a set of facts is kept as bits");

impl FactSet {
    pub(crate) fn of(facts: impl IntoIterator<Item = Fact>) -> Self {
        let mut set = Self::default();
        facts.into_iter().for_each(|fact| set.add(fact));
        set
    }

    /// What the record of a request or of a tool call does not tell. `stats_known` and `redacted` are its members.
    pub(crate) fn unrecorded(stats_known: bool, redacted: bool) -> Self {
        let mut unknown = Self::of([
            Fact::RequestHeaders,
            Fact::RequestUserPrompt,
            Fact::RequestSystemPrompt,
            Fact::CallArgs,
            Fact::ToolAnnotations,
            Fact::FailureModel,
            Fact::FailureMessage,
            Fact::FailureText,
            Fact::FailureHeaders,
            Fact::AttemptOf,
        ]);
        if !stats_known {
            unknown = unknown.with(Self::of(Fact::STATS));
        }
        if redacted {
            unknown = unknown.with(Self::of([
                Fact::RequestModel,
                Fact::RequestPath,
                Fact::RequestFeature,
                Fact::RequestEditor,
                Fact::RequestUserAgent,
                Fact::RequestJa4,
            ]));
        }
        unknown
    }

    pub(crate) const fn add(&mut self, fact: Fact) {
        self.0 |= 1 << (fact as u32);
    }

    pub(crate) const fn has(self, fact: Fact) -> bool {
        self.0 & (1 << (fact as u32)) != 0
    }

    pub(crate) const fn is_empty(self) -> bool {
        self.0 == 0
    }

    pub(crate) const fn with(self, other: Self) -> Self {
        Self(self.0 | other.0)
    }

    /// Those that both have.
    pub(crate) const fn shared(self, other: Self) -> Self {
        Self(self.0 & other.0)
    }

    /// Those that the other has not.
    pub(crate) const fn minus(self, other: Self) -> Self {
        Self(self.0 & !other.0)
    }

    pub(crate) fn iter(self) -> impl Iterator<Item = Fact> {
        Fact::ALL.iter().copied().filter(move |fact| self.has(*fact))
    }
}
