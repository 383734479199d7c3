//! A rule as it was written and checked. Serialized, it can be loaded again.

use std::sync::Arc;

use jiff::Timestamp;
use serde::ser::{Error as _, SerializeMap};
use serde::{Serialize, Serializer};
use serde_json::Value as Json;
pub use weir_core::failure::Report;
use weir_core::failure::{Class, Owner, Retry};
use weir_core::tool::PermissionLevel;
use weir_core::{Action, Boundary, Mode};

/// One rule.
///
/// `Serialize` writes the keys that a rule file has, leaving out what is left to its default, so that the result can
/// be loaded again; `version`, `file` and `line` are not among them.
#[derive(Clone, Debug)]
pub struct Rule {
    /// Unique over all files, kebab-case.
    pub id: Box<str>,
    /// The boundary that the rule is about.
    pub on: Boundary,
    /// The condition, in CEL.
    pub when: Box<str>,
    /// What is asked for when it holds.
    pub then: Then,
    /// The reason, for people.
    pub because: Option<Box<str>>,
    /// What to do instead.
    pub instead: Option<Box<str>>,
    /// Whether a match changes anything.
    pub mode: Mode,
    /// The share of identities that the rule is asked for, in per cent.
    pub rollout: u8,
    /// What a match adds to `sus_score`.
    pub score: i64,
    /// From when on the rule is not asked any more.
    pub expires: Option<Timestamp>,
    /// Words to group rules by.
    pub tags: Box<[Box<str>]>,
    /// Whether a denied tool is hidden (`on: tool`, `then: deny`).
    pub conceal: bool,
    /// Facts that must match.
    pub examples_match: Examples,
    /// Facts that must not match.
    pub examples_no_match: Examples,
    /// An opaque string that changes with the rule's text.
    pub version: Box<str>,
    /// The file that the rule came from.
    pub file: Arc<str>,
    /// The line of its `id`.
    pub line: u32,
}

/// Examples, kept as JSON text: they are read again only when rules are written out.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Examples(pub(crate) Box<[Box<str>]>);

impl Examples {
    /// Whether there are none.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// The examples as they were written.
    pub fn iter(&self) -> impl Iterator<Item = Json> + '_ {
        self.0.iter().filter_map(|text| serde_json::from_str(text).ok())
    }
}

impl Serialize for Examples {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_seq(self.iter())
    }
}

/// What a rule asks for, in the words of its boundary.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Then {
    /// `on: request`: one of the seven actions.
    Action(Action),
    /// `on: request`: lifts enforcement.
    Skip,
    /// `on: request`: a limit of its own.
    Limit(LimitThen),
    /// `on: failure`: the class and what differs from the class's own row.
    Class(ClassThen),
    /// `on: tool`: an answer.
    Tool(ToolThen),
    /// `on: tool`: the level that the call needs at least.
    Level(LevelThen),
}

/// `{rate-limit: {requests, per}}`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct LimitThen {
    /// How many requests may pass in one window.
    pub requests: u64,
    /// The window as it was written, such as `1m`.
    pub per: Box<str>,
    /// The window in seconds.
    #[serde(skip)]
    pub per_s: u64,
}

/// `{class, owner?, retry?, report?}`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
pub struct ClassThen {
    /// What the failure is.
    pub class: Class,
    /// Who must act, when it is not the class's own.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub owner: Option<Owner>,
    /// Whether another try can help, when it is not the class's own.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub retry: Option<Retry>,
    /// Whether to report, when it does not follow from the owner.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub report: Option<Report>,
}

/// The answer of a tool rule.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum ToolThen {
    /// Answers approvals that only an origin asked for; lifts nothing.
    Allow,
    /// A person must agree.
    RequireApproval,
    /// The call is denied.
    Deny,
}

impl ToolThen {
    /// All of them, from the mildest.
    pub const ALL: [Self; 3] = [Self::Allow, Self::RequireApproval, Self::Deny];

    /// The word in rules.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Allow => "allow",
            Self::RequireApproval => "require-approval",
            Self::Deny => "deny",
        }
    }
}

/// `{level: execute}`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
pub struct LevelThen {
    /// The level that the call needs at least.
    pub level: PermissionLevel,
}

impl Then {
    /// The word for it in a decision's `matched`.
    #[must_use]
    pub fn word(&self) -> &'static str {
        match self {
            Self::Action(action) => action.as_str(),
            Self::Skip => "skip",
            Self::Limit(_) => Action::RateLimit.as_str(),
            Self::Class(then) => then.class.as_str(),
            Self::Tool(then) => then.as_str(),
            Self::Level(then) => then.level.token(),
        }
    }
}

impl Serialize for Then {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        match self {
            Self::Action(_) | Self::Skip | Self::Tool(_) => serializer.serialize_str(self.word()),
            Self::Limit(limit) => {
                let mut map = serializer.serialize_map(Some(1))?;
                map.serialize_entry("rate-limit", limit)?;
                map.end()
            }
            Self::Class(then) => then.serialize(serializer),
            Self::Level(then) => then.serialize(serializer),
        }
    }
}

impl Serialize for Rule {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let mut map = serializer.serialize_map(None)?;
        map.serialize_entry("id", &self.id)?;
        map.serialize_entry("on", self.on.as_str())?;
        map.serialize_entry("when", &self.when)?;
        map.serialize_entry("then", &self.then)?;
        if self.conceal {
            map.serialize_entry("conceal", &true)?;
        }
        if let Some(because) = &self.because {
            map.serialize_entry("because", because)?;
        }
        if let Some(instead) = &self.instead {
            map.serialize_entry("instead", instead)?;
        }
        if self.mode != Mode::Enforce {
            map.serialize_entry("mode", self.mode.as_str())?;
        }
        if self.rollout != 100 {
            map.serialize_entry("rollout", &self.rollout)?;
        }
        if self.score != 0 {
            map.serialize_entry("score", &self.score)?;
        }
        if let Some(expires) = &self.expires {
            map.serialize_entry("expires", &expires.to_string())?;
        }
        if !self.tags.is_empty() {
            map.serialize_entry("tags", &self.tags)?;
        }
        if !self.examples_match.is_empty() {
            map.serialize_entry("match", &self.examples_match)?;
        }
        if !self.examples_no_match.is_empty() {
            map.serialize_entry("no_match", &self.examples_no_match)?;
        }
        map.end()
    }
}

impl Rule {
    /// The rule's keys and values as JSON, as [`Serialize`] writes them.
    ///
    /// # Errors
    /// Never for a rule that was loaded; the signature is serde's.
    pub fn to_json(&self) -> Result<Json, serde_json::Error> {
        match serde_json::to_value(self)? {
            object @ Json::Object(_) => Ok(object),
            other => Err(serde_json::Error::custom(format!("a rule is an object, not {other}"))),
        }
    }
}

/// The keys and values of a rule file, right or wrong, as the loader reads its YAML; nothing if it is none.
#[must_use]
pub fn keys_and_values(text: &str) -> Option<Json> {
    crate::yaml::parse(text).ok().map(|(node, _)| node.to_json())
}
