//! What a person's yes is bound to, and what it lets through (spec C8; issue: approvals).

use sha2::{Digest, Sha256};
use weir_core::tool::DenialKind;
use weir_core::{Outcome, Timestamp};

use super::ToolDecision;
use crate::rule::ToolThen;

/// What an approval is bound to: a yes lets exactly this through.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Binding {
    /// The identity's key of the caller.
    pub caller: String,
    /// The tool.
    pub tool: String,
    /// The tool's server.
    pub server: String,
    /// The digest of the canonical arguments.
    pub digest: String,
    /// A digest of the rules, with their versions, and the policies that ask for the approval.
    pub asked_by: String,
    /// The channel: what was asked on one is not thereby allowed on another.
    pub channel: String,
    /// The agent that calls for the caller.
    pub agent: String,
}

/// A person's yes.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Grant {
    /// The approval's id.
    pub id: String,
    /// What it was given for.
    pub binding: Binding,
    /// Until when it holds.
    pub until: Timestamp,
    /// Who gave it.
    pub by: String,
}

/// How the approval of a call stands.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Standing {
    /// A person has been asked.
    Pending {
        /// The approval's id.
        id: String,
    },
    /// A person agreed.
    Granted(Grant),
    /// A person refused.
    Denied {
        /// The approval's id.
        id: String,
        /// Who refused.
        by: String,
    },
    /// Nobody answered in time.
    Expired {
        /// The approval's id.
        id: String,
    },
    /// Nobody could be asked: the reason, for people.
    Unavailable(String),
}

impl ToolDecision {
    /// Whether a person must agree first.
    #[must_use]
    pub fn needs_approval(&self) -> bool {
        self.decision.outcome.as_str() == ToolThen::RequireApproval.as_str()
    }

    /// What an approval of this call is bound to.
    #[must_use]
    pub fn binding(&self, digest: &str) -> Binding {
        Binding {
            caller: self.decision.subject.clone(),
            tool: self.tool.clone(),
            server: self.server.clone(),
            digest: digest.to_owned(),
            asked_by: self.asked_by(),
            channel: self.channel.clone(),
            agent: self.agent.clone(),
        }
    }

    /// A digest of who asks for the approval: another version of a rule is another question.
    fn asked_by(&self) -> String {
        let mut hasher = Sha256::new();
        for asker in &self.askers {
            hasher.update(asker);
            hasher.update([0]);
        }
        hasher.finalize().iter().take(16).map(|byte| format!("{byte:02x}")).collect()
    }

    /// Settles what asked for approval, and nothing else: a grant that is bound to this call, and holds at the time of
    /// the decision, allows it; anything else is a denial that says how the approval stands.
    #[must_use]
    pub fn with_approval(mut self, digest: &str, standing: &Standing) -> Self {
        if !self.needs_approval() {
            return self;
        }
        match standing {
            Standing::Granted(grant)
                if grant.binding == self.binding(digest) && self.decision.at < grant.until =>
            {
                self.decision.outcome = Outcome::new(ToolThen::Allow.as_str());
                self.denial = None;
                self
            }
            Standing::Granted(grant) => self.held(DenialKind::ApprovalExpired, Some(&grant.id), None),
            Standing::Pending { id } => self.held(DenialKind::ApprovalRequired, Some(id), None),
            Standing::Denied { id, by } => {
                let reason = format!("{} said no", weir_core::tool::quoted(by));
                self.denied_by_person(id, reason)
            }
            Standing::Expired { id } => self.held(DenialKind::ApprovalExpired, Some(id), None),
            Standing::Unavailable(why) => self.held(DenialKind::ApprovalRequired, None, Some(why)),
        }
    }

    fn denied_by_person(mut self, id: &str, reason: String) -> Self {
        self.decision.outcome = Outcome::new(ToolThen::Deny.as_str());
        let mut denial = self.denial_of(DenialKind::ApprovalDenied);
        denial.reason = reason;
        denial.workaround = "do it another way, or ask them why and what they would agree to".to_owned();
        denial.approval_id = Some(id.to_owned());
        self.denial = Some(denial);
        self
    }

    /// The call is held or was held for too long. It is not allowed; the outcome stays what the rules said.
    fn held(mut self, kind: DenialKind, id: Option<&str>, why: Option<&str>) -> Self {
        let mut denial = self.denial_of(kind);
        denial.approval_id = id.map(str::to_owned);
        denial.workaround = match (kind, id, why) {
            (_, _, Some(why)) => format!("{why}; ask again once that is mended"),
            (DenialKind::ApprovalExpired, ..) => {
                "ask again: the same call opens a new approval, and passes once it is approved".to_owned()
            }
            (_, Some(id), _) => format!(
                "ask the user to have someone approve this action (approval `{id}`), then retry exactly the same \
                 call, or use an alternative"
            ),
            (_, None, None) => {
                "ask the user to have someone approve this action, then retry exactly the same call, \
                                or use an alternative"
                    .to_owned()
            }
        };
        self.denial = Some(denial);
        self
    }
}
