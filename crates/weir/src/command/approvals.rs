//! `weir approvals`: calls that wait for a person, answered in the store. Running nodes find the answer at once.

use serde::Serialize;
use weir_config::config::{Config, Role};
use weir_core::Timestamp;
use weir_core::clock::Clock as _;
use weir_core::name::check_name;
use weir_store::clock::SystemClock;
use weir_store::database::{
    Answer, Answered, Approval, ApprovalFilter, ApprovalScope, ApprovalState, PAGE_LIMIT_MAX,
};
use weir_store::{Database, StoreError};
use weir_tools::approval::question_text;

use super::{account, load_settings};
use crate::cli::{ApprovalsArgs, ApprovalsCommand, ScopeWord, StateWord};
use crate::exit::{Failure, Verdict, say};
use crate::{output, store};

/// Runs the command.
///
/// # Errors
/// The store fails; there is no such approval, or it cannot be answered so.
pub fn run(args: &ApprovalsArgs) -> Result<Verdict, Failure> {
    let settings = load_settings(args.config.config.as_deref())?;
    let json = args.json.json;
    store::run(async {
        let database = store::existing(&settings.config).await?;
        match &args.command {
            ApprovalsCommand::List { state } => list(&database, state.map(state_of), json).await,
            ApprovalsCommand::Show { id } => shown(&find(&database, id).await?, json),
            ApprovalsCommand::Approve { id, by, scope, until } => {
                let by = approver(by.as_deref())?;
                let answer = yes(*scope, *until)?;
                may_approve(&settings.config, &find(&database, id).await?, &by)?;
                answered(&database, id, &answer, &by, json).await
            }
            ApprovalsCommand::Deny { id, by } => {
                answered(&database, id, &Answer::Deny, &approver(by.as_deref())?, json).await
            }
            ApprovalsCommand::Withdraw { id, by } => {
                withdraw(&database, id, &approver(by.as_deref())?, json).await
            }
        }
    })
}

fn failed(error: StoreError) -> Failure {
    Failure::dependency("the store", error)
}

/// Who answers: `--as`, else the login name.
fn approver(named: Option<&str>) -> Result<String, Failure> {
    let name = named.map(|name| name.trim().to_owned()).or_else(account);
    let name = name.ok_or_else(|| Failure::Input("nobody knows who answers: give --as NAME".to_owned()))?;
    check_name(&name).map_err(|why| Failure::Input(format!("--as: it {why}")))?;
    Ok(name)
}

fn yes(scope: Option<ScopeWord>, until: Option<Timestamp>) -> Result<Answer, Failure> {
    if until.is_some_and(|until| until <= SystemClock.now()) {
        return Err(Failure::Input("--until: it must be a time to come".to_owned()));
    }
    let scope = match (scope, until) {
        (Some(ScopeWord::Once), _) | (None, None) => ApprovalScope::Once,
        (Some(ScopeWord::Session), _) => ApprovalScope::Session,
        (None, Some(_)) => ApprovalScope::Until,
    };
    Ok(Answer::Approve { scope, until })
}

/// Whoever can open the store has an operator's power over it; whose call it is still counts.
fn may_approve(config: &Config, approval: &Approval, by: &str) -> Result<(), Failure> {
    config.tools.approvals.approver.admits(&approval.caller, by, Role::Operator).map_err(Failure::No)
}

async fn find(database: &Database, id: &str) -> Result<Approval, Failure> {
    let found = database.approval(id, SystemClock.now()).await.map_err(failed)?;
    found.ok_or_else(|| unknown(id))
}

fn unknown(id: &str) -> Failure {
    Failure::No(format!("no approval `{}` in this store", weir_core::tool::cleaned(id, 100)))
}

async fn answered(
    database: &Database,
    id: &str,
    answer: &Answer,
    by: &str,
    json: bool,
) -> Result<Verdict, Failure> {
    match database.approval_answer(id, answer, by, SystemClock.now()).await.map_err(failed)? {
        Answered::Taken(approval) => shown(&approval, json),
        Answered::Unknown => Err(unknown(id)),
        Answered::TooLate(approval) => {
            let wanted =
                if *answer == Answer::Deny { ApprovalState::Denied } else { ApprovalState::Approved };
            if approval.state == wanted {
                return shown(&approval, json);
            }
            let by = approval.answered_by.map(|by| format!(" by {by}")).unwrap_or_default();
            Err(Failure::No(format!("the approval is {}{by} already", approval.state.as_str())))
        }
    }
}

async fn withdraw(database: &Database, id: &str, by: &str, json: bool) -> Result<Verdict, Failure> {
    if database.approval_withdraw(id, by, SystemClock.now()).await.map_err(failed)? {
        return shown(&find(database, id).await?, json);
    }
    let state = find(database, id).await?.state;
    Err(Failure::No(format!(
        "the approval is {}, and lets no call through that could be stopped",
        state.as_str()
    )))
}

/// What `list` answers to programs: a page, as the admin API's.
#[derive(Serialize)]
struct Listed {
    items: Vec<Approval>,
    next: Option<String>,
}

async fn list(database: &Database, state: Option<ApprovalState>, json: bool) -> Result<Verdict, Failure> {
    let filter = ApprovalFilter { state, limit: PAGE_LIMIT_MAX, ..ApprovalFilter::default() };
    let page = database.approvals(&filter, SystemClock.now()).await.map_err(failed)?;
    if json {
        output::json(&Listed { items: page.items, next: page.next })?;
        return Ok(Verdict::Good);
    }
    let rows: Vec<[String; 6]> = page.items.iter().map(row).collect();
    output::text(&output::table(["id", "state", "caller", "tool", "channel", "expires"], &rows))?;
    if page.next.is_some() {
        say(format_args!("only the newest {PAGE_LIMIT_MAX} are shown"));
    }
    Ok(Verdict::Good)
}

fn row(approval: &Approval) -> [String; 6] {
    let clean = |text: &str| weir_core::tool::cleaned(text, 60);
    [
        approval.id.clone(),
        approval.state.as_str().to_owned(),
        clean(&approval.caller),
        clean(&approval.question.tool),
        clean(&approval.question.channel),
        approval.expires_at.strftime("%Y-%m-%d %H:%M:%S").to_string(),
    ]
}

fn shown(approval: &Approval, json: bool) -> Result<Verdict, Failure> {
    if json {
        output::json(approval)?;
        return Ok(Verdict::Good);
    }
    let mut text = format!("{}  {}\n{}\n", approval.id, approval.state.as_str(), question_text(approval));
    if let Some(by) = &approval.answered_by {
        text.push_str(&format!("{} by {by}", approval.state.as_str()));
        if let (Some(scope), Some(until)) = (approval.scope, approval.grant_until) {
            text.push_str(&format!(", {}, until {until}", scope.as_str()));
        }
        text.push('\n');
    }
    if let Some(by) = &approval.withdrawn_by {
        text.push_str(&format!("withdrawn by {by}: it lets no call through any more\n"));
    }
    output::text(&text)?;
    Ok(Verdict::Good)
}

const fn state_of(word: StateWord) -> ApprovalState {
    match word {
        StateWord::Pending => ApprovalState::Pending,
        StateWord::Approved => ApprovalState::Approved,
        StateWord::Denied => ApprovalState::Denied,
        StateWord::Expired => ApprovalState::Expired,
    }
}
