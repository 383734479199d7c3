//! Approvals as rows.

use weir_core::Timestamp;

use super::{Approval, ApprovalScope, ApprovalState};
use crate::clock::from_ms;
use crate::error::{Result, StoreError};

pub(super) const COLUMNS: &str = "id, state, created_at, expires_at, answered_at, answered_by, scope, grant_until, \
                                  used_at, withdrawn_at, withdrawn_by, caller, question";

pub(super) type Row = (
    String,
    String,
    i64,
    i64,
    Option<i64>,
    Option<String>,
    Option<String>,
    Option<i64>,
    Option<i64>,
    Option<i64>,
    Option<String>,
    String,
    String,
);

/// Reads a row. One that waited too long has expired: nobody needs to write that down.
pub(super) fn approval(row: Row, now: Timestamp) -> Result<Approval> {
    let (
        id,
        state,
        created_at,
        expires_at,
        answered_at,
        answered_by,
        scope,
        grant_until,
        used_at,
        withdrawn_at,
        withdrawn_by,
        caller,
        question,
    ) = row;
    let unknown = |what: &str, word: &str| StoreError::corrupt(what, format_args!("unknown word `{word}`"));
    let expires_at = from_ms(expires_at);
    let written = ApprovalState::ALL.into_iter().find(|known| known.as_str() == state);
    let state = match written.ok_or_else(|| unknown("an approval's state", &state))? {
        ApprovalState::Pending if expires_at <= now => ApprovalState::Expired,
        state => state,
    };
    let scope = scope
        .map(|scope| {
            let known = ApprovalScope::ALL.into_iter().find(|known| known.as_str() == scope);
            known.ok_or_else(|| unknown("an approval's scope", &scope))
        })
        .transpose()?;
    Ok(Approval {
        id,
        state,
        caller,
        question: serde_json::from_str(&question).map_err(|e| StoreError::corrupt("a question", e))?,
        created_at: from_ms(created_at),
        expires_at,
        answered_at: answered_at.map(from_ms),
        answered_by,
        scope,
        grant_until: grant_until.map(from_ms),
        used_at: used_at.map(from_ms),
        withdrawn_at: withdrawn_at.map(from_ms),
        withdrawn_by,
    })
}
