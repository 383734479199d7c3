//! What a person says, and what becomes of it.

use std::time::Duration;

use weir_core::Timestamp;

use super::row::{COLUMNS, Row, approval};
use super::{Approval, ApprovalScope, ApprovalState, Database};
use crate::clock::to_ms;
use crate::database::audit::add_audit;
use crate::database::transact;
use crate::error::Result;

/// How long a yes for a session holds at most.
pub const SESSION_GRANT_MAX: Duration = Duration::from_secs(24 * 3600);

/// A person's answer.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Answer {
    /// Yes.
    Approve {
        /// For what.
        scope: ApprovalScope,
        /// Until when; `None`: as long again as the question was open, for a session a day.
        until: Option<Timestamp>,
    },
    /// No.
    Deny,
}

/// What came of an answer.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Answered {
    /// It counts.
    Taken(Approval),
    /// Somebody answered before, or it was too late: it stands as it stood.
    TooLate(Approval),
    /// There is no such approval.
    Unknown,
}

impl Database {
    /// Answers an approval that waits. Of two answers the first counts; the audit log gets an entry in the same
    /// transaction.
    ///
    /// # Errors
    /// See [`crate::ErrorKind`].
    pub async fn approval_answer(
        &self,
        id: &str,
        answer: &Answer,
        by: &str,
        now: Timestamp,
    ) -> Result<Answered> {
        const ANSWER: &str = "UPDATE approvals SET state = $1, scope = $2, grant_until = $3, answered_at = $4, \
                              answered_by = $5 WHERE id = $6 AND state = 'pending' AND expires_at > $4";
        let find = format!("SELECT {COLUMNS} FROM approvals WHERE id = $1");
        let find = || sqlx::AssertSqlSafe(find.as_str());
        let answered = transact!(self, tx => {
            let row: Option<Row> = sqlx::query_as(find()).bind(id).fetch_optional(&mut *tx).await?;
            match row.map(|row| approval(row, now)).transpose()? {
                None => Answered::Unknown,
                Some(before) => {
                    let (state, scope, until) = match answer {
                        Answer::Deny => (ApprovalState::Denied, None, None),
                        Answer::Approve { scope, until } => {
                            let until = until.unwrap_or_else(|| usual_end(&before, *scope, now));
                            (ApprovalState::Approved, Some(scope.as_str()), Some(to_ms(until)))
                        }
                    };
                    let taken = sqlx::query(ANSWER).bind(state.as_str()).bind(scope).bind(until).bind(to_ms(now))
                        .bind(by).bind(id).execute(&mut *tx).await?.rows_affected();
                    let row: Row = sqlx::query_as(find()).bind(id).fetch_one(&mut *tx).await?;
                    let after = approval(row, now)?;
                    if taken == 0 {
                        Answered::TooLate(after)
                    } else {
                        let detail = serde_json::json!({
                            "caller": after.caller, "tool": after.question.tool, "scope": scope,
                        }).to_string();
                        let action = format!("approval.{}", if state == ApprovalState::Denied { "deny" } else { "approve" });
                        add_audit!(tx, by, action.as_str(), id, &detail, now);
                        Answered::Taken(after)
                    }
                }
            }
        })?;
        if let Answered::Taken(approval) = &answered {
            came_into(approval.state.as_str());
        }
        Ok(answered)
    }

    /// Uses a yes: one for a single run is used up, by one caller only. Says whether it let the call through.
    ///
    /// # Errors
    /// See [`crate::ErrorKind`]; whoever asks denies then.
    pub async fn approval_use(&self, grant: &Approval, now: Timestamp) -> Result<bool> {
        const ONCE: &str = "UPDATE approvals SET used_at = $1, live_key = NULL WHERE id = $2 AND state = 'approved' \
                            AND used_at IS NULL AND withdrawn_at IS NULL AND grant_until > $1";
        const OFTEN: &str = "UPDATE approvals SET state = state WHERE id = $2 AND state = 'approved' \
                             AND withdrawn_at IS NULL AND grant_until > $1";
        let sql = if grant.scope == Some(ApprovalScope::Once) { ONCE } else { OFTEN };
        let at = to_ms(now);
        let used = transact!(self, tx => {
            sqlx::query(sql).bind(at).bind(&grant.id).execute(&mut *tx).await?.rows_affected()
        })?;
        Ok(used == 1)
    }

    /// Goes on with a call of several legs, of which one yes for a single run let the one before through at `used_at`. Each
    /// leg is gone on with once: the time moves, and is what the next leg must name.
    ///
    /// # Errors
    /// See [`crate::ErrorKind`]; whoever asks denies then.
    pub async fn approval_continue(
        &self,
        id: &str,
        used_at: Timestamp,
        now: Timestamp,
    ) -> Result<Option<Approval>> {
        const SQL: &str = "UPDATE approvals SET used_at = $1 WHERE id = $2 AND used_at = $3 AND state = 'approved' \
                           AND withdrawn_at IS NULL AND grant_until > $4";
        let (used, at) = (to_ms(used_at), to_ms(now));
        let next = at.max(used.saturating_add(1));
        let done = transact!(self, tx => {
            sqlx::query(SQL).bind(next).bind(id).bind(used).bind(at).execute(&mut *tx).await?.rows_affected()
        })?;
        if done == 1 { self.approval(id, now).await } else { Ok(None) }
    }

    /// Withdraws a yes that is not used up. Says whether there was one.
    ///
    /// # Errors
    /// See [`crate::ErrorKind`].
    pub async fn approval_withdraw(&self, id: &str, by: &str, now: Timestamp) -> Result<bool> {
        const SQL: &str = "UPDATE approvals SET withdrawn_at = $1, withdrawn_by = $2, live_key = NULL WHERE id = $3 \
                           AND state = 'approved' AND used_at IS NULL AND withdrawn_at IS NULL AND grant_until > $1";
        let at = to_ms(now);
        let done = transact!(self, tx => {
            let done = sqlx::query(SQL).bind(at).bind(by).bind(id).execute(&mut *tx).await?.rows_affected() == 1;
            if done {
                add_audit!(tx, by, "approval.withdraw", id, "{}", now);
            }
            done
        })?;
        if done {
            came_into("withdrawn");
        }
        Ok(done)
    }
}

fn came_into(state: &'static str) {
    metrics::counter!("weir_approvals_total", "state" => state).increment(1);
}

/// Until when a yes holds of which nobody said until when: as long again as the question could wait, so that one given in
/// its last second is of use.
fn usual_end(asked: &Approval, scope: ApprovalScope, now: Timestamp) -> Timestamp {
    let open = asked.expires_at.duration_since(asked.created_at);
    let open = Duration::try_from(open).unwrap_or_default();
    let hold = if scope == ApprovalScope::Session { SESSION_GRANT_MAX } else { open };
    now.saturating_add(hold).unwrap_or(Timestamp::MAX)
}
