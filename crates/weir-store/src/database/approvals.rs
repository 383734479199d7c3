//! Approvals: calls that wait for a person, what the person said, and how often that may be used (spec C8).
//!
//! Every step is one transaction, and what it returned survives a restart. An approval is pending, approved, denied or
//! expired, and never changes from one of the last three to another.

mod answers;
mod row;

use serde::{Deserialize, Serialize};
use weir_core::Timestamp;
use weir_core::tool::PermissionLevel;

use super::records::Page;
use super::{Database, read, to_i64, transact};
use crate::clock::to_ms;
use crate::error::{ErrorKind, Result, StoreError};
use row::{COLUMNS, Row, approval};

pub use answers::{Answer, Answered, SESSION_GRANT_MAX};

/// Approvals of one caller that may wait at once.
pub const PENDING_PER_CALLER_MAX: u64 = 100;

/// How long an approval is kept after it was made.
pub const APPROVALS_KEPT: std::time::Duration = std::time::Duration::from_secs(90 * 24 * 3600);

/// How an approval stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum ApprovalState {
    /// Nobody has answered yet, and an answer would count.
    Pending,
    /// A person said yes.
    Approved,
    /// A person said no.
    Denied,
    /// Nobody answered in time.
    Expired,
}

impl ApprovalState {
    /// All states.
    pub const ALL: [Self; 4] = [Self::Pending, Self::Approved, Self::Denied, Self::Expired];

    /// The word in the table and the API.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Pending => "pending",
            Self::Approved => "approved",
            Self::Denied => "denied",
            Self::Expired => "expired",
        }
    }
}

/// For what a yes holds.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum ApprovalScope {
    /// For one run of the call.
    Once,
    /// For every run of the same call in the same session, until a time.
    Session,
    /// For every run of the same call, until a time.
    Until,
}

impl ApprovalScope {
    /// All scopes.
    pub const ALL: [Self; 3] = [Self::Once, Self::Session, Self::Until];

    /// The word in the table and the API.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Once => "once",
            Self::Session => "session",
            Self::Until => "until",
        }
    }
}

/// What a person is asked: the call, without the values of its arguments.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct Question {
    /// The tool.
    pub tool: String,
    /// Its server.
    pub server: String,
    /// The digest of the canonical arguments.
    pub digest: String,
    /// The names of the arguments.
    pub args: Vec<String>,
    /// A digest of the rules and policies that ask, with their versions.
    pub asked_by: String,
    /// The rule that asks, if it is one.
    pub rule: Option<String>,
    /// The policy that asks, if it is one.
    pub policy: Option<String>,
    /// Why a person must agree.
    pub reason: String,
    /// The level of the call.
    pub level: Option<PermissionLevel>,
    /// The channel.
    pub channel: String,
    /// The agent.
    pub agent: String,
    /// The session.
    pub session: String,
    /// The decision that asked first.
    pub decision: String,
}

/// A question to be asked.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct NewApproval {
    /// Its id, if it is new: `apr_…`.
    pub id: String,
    /// Whose call it is: the identity's key.
    pub caller: String,
    /// What is asked.
    pub question: Question,
    /// Until when an answer counts.
    pub expires_at: Timestamp,
    /// Whether the question is this session's own, apart from the same one of other sessions.
    pub of_session: bool,
}

/// An approval as it stands.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Approval {
    /// Its id.
    pub id: String,
    /// How it stands.
    pub state: ApprovalState,
    /// Whose call it is: the identity's key.
    pub caller: String,
    /// What is asked.
    #[serde(flatten)]
    pub question: Question,
    /// When it was asked first.
    pub created_at: Timestamp,
    /// Until when an answer counts.
    pub expires_at: Timestamp,
    /// When it was answered.
    pub answered_at: Option<Timestamp>,
    /// Who answered.
    pub answered_by: Option<String>,
    /// For what a yes holds.
    pub scope: Option<ApprovalScope>,
    /// Until when a yes holds.
    pub grant_until: Option<Timestamp>,
    /// When a yes for one run was used.
    pub used_at: Option<Timestamp>,
    /// When a yes was withdrawn.
    pub withdrawn_at: Option<Timestamp>,
    /// Who withdrew it.
    pub withdrawn_by: Option<String>,
}

impl Approval {
    /// Whether a yes still lets its call through.
    #[must_use]
    pub fn is_grant(&self, now: Timestamp) -> bool {
        self.state == ApprovalState::Approved
            && self.used_at.is_none()
            && self.withdrawn_at.is_none()
            && self.grant_until.is_some_and(|until| now < until)
    }
}

/// What came of asking.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Asked {
    /// The question was new; it waits now.
    New(Approval),
    /// The same question was there already.
    Known(Approval),
    /// Too many questions of this caller wait already.
    TooMany,
}

/// Which approvals to list.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct ApprovalFilter {
    /// In this state.
    pub state: Option<ApprovalState>,
    /// Of this caller.
    pub caller: Option<String>,
    /// Items of a page.
    pub limit: u32,
    /// Where the page before ended.
    pub cursor: Option<String>,
}

/// The name of a question: the same call of the same caller, on the same channel and through the same agent, under the
/// same rules has the same one.
fn live_key(new: &NewApproval) -> String {
    use sha2::{Digest as _, Sha256};
    let question = &new.question;
    let session = if new.of_session { question.session.as_str() } else { "" };
    let mut hasher = Sha256::new();
    for part in [
        new.caller.as_str(),
        &question.tool,
        &question.server,
        &question.digest,
        &question.asked_by,
        &question.channel,
        &question.agent,
        session,
    ] {
        hasher.update(part.len().to_be_bytes());
        hasher.update(part);
    }
    crate::keys::hex(&hasher.finalize())
}

impl Database {
    /// Asks a question, or finds the same one that was asked before and whose answer still counts: that waits, that was
    /// granted and is not used up, or that was denied or ran out within its time. One that ran out is told of once; then
    /// the same call opens a new question.
    ///
    /// # Errors
    /// See [`ErrorKind`]; whoever asks denies then.
    pub async fn approval_ask(&self, new: &NewApproval, now: Timestamp) -> Result<Asked> {
        const FORGET: &str = "DELETE FROM approvals WHERE created_at < $1";
        const COUNT: &str =
            "SELECT COUNT(*) FROM approvals WHERE caller = $1 AND state = 'pending' AND expires_at > $2";
        const ADD: &str = "INSERT INTO approvals (id, live_key, state, created_at, expires_at, caller, question) \
                           VALUES ($1, $2, 'pending', $3, $4, $5, $6) ON CONFLICT (live_key) DO NOTHING";
        const CLOSE: &str = "UPDATE approvals SET live_key = NULL WHERE id = $1";
        let find = format!("SELECT {COLUMNS} FROM approvals WHERE live_key = $1");
        let key = live_key(new);
        let question = serde_json::to_string(&new.question)
            .map_err(|e| StoreError::new(ErrorKind::Refused, format!("a question: {e}")))?;
        let forgotten = to_ms(now.saturating_sub(APPROVALS_KEPT).unwrap_or(Timestamp::MIN));
        let at = to_ms(now);
        transact!(self, tx => {
            let known: Option<Row> =
                sqlx::query_as(sqlx::AssertSqlSafe(find.as_str())).bind(&key).fetch_optional(&mut *tx).await?;
            let mut found = None;
            if let Some(row) = known {
                let known = approval(row, now)?;
                let stands = match known.state {
                    ApprovalState::Pending => true,
                    ApprovalState::Approved => known.is_grant(now),
                    ApprovalState::Denied => now < known.expires_at,
                    ApprovalState::Expired => true,
                };
                // Told of once: the next one asks anew.
                if !stands || known.state == ApprovalState::Expired {
                    sqlx::query(CLOSE).bind(&known.id).execute(&mut *tx).await?;
                }
                found = stands.then_some(known);
            }
            match found {
                Some(known) => Asked::Known(known),
                None => {
                    let (waiting,): (i64,) =
                        sqlx::query_as(COUNT).bind(&new.caller).bind(at).fetch_one(&mut *tx).await?;
                    if waiting >= to_i64(PENDING_PER_CALLER_MAX) {
                        Asked::TooMany
                    } else {
                        sqlx::query(FORGET).bind(forgotten).execute(&mut *tx).await?;
                        let added = sqlx::query(ADD).bind(&new.id).bind(&key).bind(at).bind(to_ms(new.expires_at))
                            .bind(&new.caller).bind(&question).execute(&mut *tx).await?.rows_affected();
                        let row: Row = sqlx::query_as(sqlx::AssertSqlSafe(find.as_str())).bind(&key)
                            .fetch_one(&mut *tx).await?;
                        let there = approval(row, now)?;
                        if added == 0 { Asked::Known(there) } else { Asked::New(there) }
                    }
                }
            }
        })
    }

    /// One approval.
    ///
    /// # Errors
    /// `Corrupt` when it cannot be read.
    pub async fn approval(&self, id: &str, now: Timestamp) -> Result<Option<Approval>> {
        let sql = format!("SELECT {COLUMNS} FROM approvals WHERE id = $1");
        let row: Option<Row> = read!(self, pool =>
            sqlx::query_as(sqlx::AssertSqlSafe(sql.as_str())).bind(id).fetch_optional(pool).await?)?;
        row.map(|row| approval(row, now)).transpose()
    }

    /// Approvals, newest first.
    ///
    /// # Errors
    /// `Corrupt` when one cannot be read.
    pub async fn approvals(&self, filter: &ApprovalFilter, now: Timestamp) -> Result<Page<Approval>> {
        let limit = filter.limit.clamp(1, super::PAGE_LIMIT_MAX);
        let before = filter.cursor.clone().unwrap_or_else(|| "apr_g".to_owned());
        let at = to_ms(now);
        let rows: Vec<Row> = read!(self, pool => {
            let mut select = sqlx::QueryBuilder::new(format!("SELECT {COLUMNS} FROM approvals WHERE id < "));
            select.push_bind(&before);
            match filter.state {
                None => {}
                Some(ApprovalState::Pending) => {
                    select.push(" AND state = 'pending' AND expires_at > ").push_bind(at);
                }
                Some(ApprovalState::Expired) => {
                    select.push(" AND state = 'pending' AND expires_at <= ").push_bind(at);
                }
                Some(state) => {
                    select.push(" AND state = ").push_bind(state.as_str());
                }
            }
            if let Some(caller) = &filter.caller {
                select.push(" AND caller = ").push_bind(caller);
            }
            select.push(" ORDER BY id DESC LIMIT ").push_bind(i64::from(limit) + 1);
            select.build_query_as().fetch_all(pool).await?
        })?;
        let more = rows.len() > limit as usize;
        let items: Vec<Approval> =
            rows.into_iter().take(limit as usize).map(|row| approval(row, now)).collect::<Result<_>>()?;
        let next = items.last().filter(|_| more).map(|last| last.id.clone());
        Ok(Page { items, next, searched_to: None })
    }
}
