//! Answers to approvals from the one who asked, for ways in that can show a person a question.

use std::time::Duration;

use weir_config::config::Approver;
use weir_core::secret::{Secret, expose};
use weir_store::database::{Answer, Answered, ApprovalScope, ApprovalState};
use weir_store::keys::Sealed;

use super::Gate;
use crate::call::Caller;

/// How often an open approval is looked at.
const LOOK_EVERY: Duration = Duration::from_millis(200);

/// What sealed texts of this purpose are bound to besides their caller.
const PURPOSE: &str = "mcp-request-state";

impl Gate {
    /// Whether who asks may say yes, too: `tools.approvals.approver` is `self`. Everybody may say no to their own calls.
    #[must_use]
    pub fn lets_askers_approve(&self) -> bool {
        self.inner.settings().tools.approvals.approver == Approver::Requester
    }

    /// How an approval of this caller stands; `None`: there is none of theirs, it is used up,
    /// or it cannot be read now.
    pub(crate) async fn approval_state(&self, id: &str, caller: &Caller) -> Option<ApprovalState> {
        let inner = &self.inner;
        let now = inner.clock.now();
        let own = inner.database.approval(id, now).await.ok().flatten()?;
        if own.caller != caller.identity.key {
            return None;
        }
        // A yes that was used, withdrawn or ran out is nothing to wait for.
        let over = own.state == ApprovalState::Approved && !own.is_grant(now);
        (!over).then_some(own.state)
    }

    /// Takes the answer of who asked. False when it does not count: the approval is another's, it was answered before, it
    /// is over, or a yes is not theirs to say.
    pub async fn answer_own(&self, id: &str, yes: bool, caller: &Caller) -> bool {
        let inner = &self.inner;
        let now = inner.clock.now();
        let own = inner.database.approval(id, now).await.ok().flatten();
        if own.is_none_or(|own| own.caller != caller.identity.key) || (yes && !self.lets_askers_approve()) {
            return false;
        }
        let answer =
            if yes { Answer::Approve { scope: ApprovalScope::Once, until: None } } else { Answer::Deny };
        let answered = inner.database.approval_answer(id, &answer, &caller.identity.key, now).await;
        matches!(answered, Ok(Answered::Taken(_)))
    }

    /// Waits until an approval does not wait any more: answered, by whomever, or over.
    pub(crate) async fn settled(&self, id: &str) {
        let inner = &self.inner;
        loop {
            match inner.database.approval(id, inner.clock.now()).await {
                Ok(Some(approval)) if approval.state == ApprovalState::Pending => {}
                // What cannot be read now may be read soon.
                Err(_) => {}
                Ok(_) => return,
            }
            inner.clock.sleep(LOOK_EVERY).await;
        }
    }

    /// Seals a text for a caller, so that no other can use it and nobody can change it.
    pub(crate) fn seal(&self, caller: &Caller, text: String) -> Option<String> {
        let sealer = self.inner.database.sealer();
        let sealed = sealer.seal(PURPOSE, &caller.identity.key, &Secret::from(text)).ok()?;
        // Base64, which is all that it is made of.
        serde_json::to_value(sealed).ok()?.as_str().map(ToOwned::to_owned)
    }

    /// Opens what was sealed for the same caller, on any node over the same store.
    pub(crate) fn open(&self, caller: &Caller, sealed: &str) -> Option<String> {
        let sealed: Sealed = serde_json::from_value(sealed.into()).ok()?;
        let opened = self.inner.database.sealer().open(PURPOSE, &caller.identity.key, &sealed).ok()?;
        Some(expose(&opened).to_owned())
    }
}
