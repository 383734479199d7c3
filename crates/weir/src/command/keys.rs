//! `weir keys`: API keys made, listed and revoked in the store. Running nodes follow within a second.

use std::collections::BTreeMap;

use serde::Serialize;
use weir_core::Timestamp;
use weir_core::clock::Clock as _;
use weir_core::secret::expose;
use weir_store::clock::SystemClock;
use weir_store::database::{KeyOrigin, KeyOwner, NewKey, StoredKey};
use weir_store::{Database, StoreError};

use super::load_settings;
use crate::cli::{KeyOwnerArgs, KeysArgs, KeysCommand};
use crate::exit::{Failure, Verdict, say};
use crate::{output, store};

/// Runs the command.
///
/// # Errors
/// The store fails; there is no such key.
pub fn run(args: &KeysArgs) -> Result<Verdict, Failure> {
    let owner = match &args.command {
        KeysCommand::Create(owner) => Some(checked(owner)?),
        KeysCommand::List | KeysCommand::Revoke { .. } => None,
    };
    let settings = load_settings(args.config.config.as_deref())?;
    store::run(async {
        let database = store::database(&settings.config).await?;
        match (&args.command, owner) {
            (KeysCommand::Create(_), Some(owner)) => create(&database, owner, args.json.json).await,
            (KeysCommand::Create(_) | KeysCommand::List, _) => list(&database, args.json.json).await,
            (KeysCommand::Revoke { id }, _) => revoke(&database, id, args.json.json).await,
        }
    })
}

fn failed(error: StoreError) -> Failure {
    Failure::dependency("the store", error)
}

/// A key for nobody, or for less than nothing, is a typing error.
fn checked(args: &KeyOwnerArgs) -> Result<KeyOwner, Failure> {
    let user = args.user.trim();
    if user.is_empty() || user.starts_with("anon:") {
        return Err(Failure::Input(format!("--user: `{}` names no user", args.user)));
    }
    if let Some(budget) = args.budget_usd.filter(|b| !b.is_finite() || *b < 0.0) {
        return Err(Failure::Input(format!("--budget-usd: {budget} is no amount of money")));
    }
    Ok(KeyOwner {
        user: user.to_owned(),
        org: args.org.clone(),
        project: args.project.clone(),
        plan: args.plan.clone(),
        tags: args.tags.clone(),
        budget_usd: args.budget_usd,
        channel: args.channel.clone(),
    })
}

/// What the admin API answers too.
#[derive(Serialize)]
struct Created<'k> {
    id: &'k str,
    key: &'k str,
}

async fn create(database: &Database, owner: KeyOwner, json: bool) -> Result<Verdict, Failure> {
    let made = database.hasher().generate(&mut rand::rng());
    let user = owner.user.clone();
    let key = NewKey {
        id: made.id.clone(),
        hash: made.hash,
        prefix: made.prefix,
        owner,
        byok: BTreeMap::new(),
        created_at: SystemClock.now(),
        origin: KeyOrigin::Runtime,
    };
    database.key_insert(&key).await.map_err(failed)?;
    if json {
        output::json(&Created { id: &made.id, key: expose(&made.plain) })?;
    } else {
        say(format_args!("{} for user {user}; this is the only time that the key is shown:", made.id));
        output::text(expose(&made.plain))?;
    }
    Ok(Verdict::Good)
}

/// A key as it may be shown.
#[derive(Serialize)]
struct Shown<'k> {
    id: &'k str,
    prefix: &'k str,
    #[serde(flatten)]
    owner: &'k KeyOwner,
    byok: Vec<&'k str>,
    created_at: Timestamp,
    revoked_at: Option<Timestamp>,
    spent_usd: f64,
}

impl<'k> Shown<'k> {
    fn new(key: &'k StoredKey) -> Self {
        Self {
            id: &key.id,
            prefix: &key.prefix,
            owner: &key.owner,
            byok: key.byok.keys().map(String::as_str).collect(),
            created_at: key.created_at,
            revoked_at: key.revoked_at,
            spent_usd: key.spent_microusd as f64 / 1e6,
        }
    }

    fn row(&self) -> [String; 7] {
        let budget = self.owner.budget_usd.map_or_else(|| "no limit".to_owned(), |b| format!("{b:.2}"));
        [
            self.id.to_owned(),
            format!("{}…", self.prefix),
            self.owner.user.clone(),
            self.owner.plan.clone().unwrap_or_default(),
            format!("{:.2}", self.spent_usd),
            budget,
            self.created_at.strftime("%Y-%m-%d %H:%M").to_string(),
        ]
    }
}

/// Those of the configuration are in the configuration; here are the ones that were made.
async fn list(database: &Database, json: bool) -> Result<Verdict, Failure> {
    let keys = database.keys_all(false).await.map_err(failed)?;
    let shown: Vec<Shown<'_>> = keys.iter().map(Shown::new).collect();
    if json {
        output::json(&shown)?;
    } else if shown.is_empty() {
        say("no keys; make one with `weir keys create --user NAME`");
    } else {
        let headings = ["ID", "KEY", "USER", "PLAN", "SPENT $", "BUDGET $", "CREATED (UTC)"];
        output::text(&output::table(headings, &shown.iter().map(Shown::row).collect::<Vec<_>>()))?;
    }
    Ok(Verdict::Good)
}

async fn revoke(database: &Database, id: &str, json: bool) -> Result<Verdict, Failure> {
    if !database.key_revoke(id, SystemClock.now()).await.map_err(failed)? {
        return Err(Failure::No(format!("no key `{id}` is in force; `weir keys list` shows them")));
    }
    if json {
        output::json(&serde_json::json!({"id": id, "revoked": true}))?;
    } else {
        output::text(&format!("revoked {id}"))?;
    }
    Ok(Verdict::Good)
}
