//! `weir keys`: API keys made, listed and revoked in the store. Running nodes follow within a second.

use std::collections::BTreeMap;

use serde::Serialize;
use serde_json::{Value, json};
use weir_config::Config;
use weir_core::Timestamp;
use weir_core::clock::Clock as _;
use weir_core::secret::expose;
use weir_store::clock::SystemClock;
use weir_store::database::{KeyOrigin, KeyOwner, NewKey, StoredKey};
use weir_store::directory::ConfiguredKey;
use weir_store::{Database, StoreError};

use super::{author, load_settings};
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
    let config = &settings.config;
    store::run(async {
        let database = match &args.command {
            KeysCommand::Create(_) => store::database(config).await?,
            KeysCommand::List | KeysCommand::Revoke { .. } => store::existing(config).await?,
        };
        match (&args.command, owner) {
            (KeysCommand::Create(_), Some(owner)) => create(&database, owner, args.json.json).await,
            (KeysCommand::Create(_) | KeysCommand::List, _) => list(&database, config, args.json.json).await,
            (KeysCommand::Revoke { id }, _) => revoke(&database, config, id, args.json.json).await,
        }
    })
}

fn failed(error: StoreError) -> Failure {
    Failure::dependency("the store", error)
}

/// A key for nobody, or for less than nothing, is a typing error. The value is not repeated: it may hold what a
/// terminal acts on.
fn checked(args: &KeyOwnerArgs) -> Result<KeyOwner, Failure> {
    let owner = KeyOwner {
        user: args.user.clone(),
        org: args.org.clone(),
        project: args.project.clone(),
        plan: args.plan.clone(),
        tags: args.tags.clone(),
        budget_usd: args.budget_usd,
        channel: args.channel.clone(),
    };
    owner.checked().map_err(|faults| {
        let option = |member: &str| match member {
            "tags" => "tag".to_owned(),
            other => other.replace('_', "-"),
        };
        let said: Vec<String> =
            faults.iter().map(|fault| format!("--{}: it {}", option(fault.member), fault.message)).collect();
        Failure::Input(said.join("\nerror: "))
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
    audit(database, "key.create", &key.id, json!({"user": user})).await;
    store::followed().await;
    if json {
        output::json(&Created { id: &made.id, key: expose(&made.plain) })?;
    } else {
        say(format_args!("{} for user {user}; this is the only time that the key is shown:", made.id));
        output::text(expose(&made.plain))?;
    }
    Ok(Verdict::Good)
}

/// A key as it may be shown, in the form of the admin API.
#[derive(Serialize)]
struct Shown {
    id: String,
    /// How it begins; nothing for a key of the configuration.
    prefix: Option<String>,
    #[serde(flatten)]
    owner: KeyOwner,
    spent_usd: f64,
    byok: Vec<String>,
    origin: &'static str,
    created_at: Option<Timestamp>,
}

impl From<StoredKey> for Shown {
    fn from(key: StoredKey) -> Self {
        Self {
            id: key.id,
            prefix: Some(key.prefix),
            owner: key.owner,
            spent_usd: usd(key.spent_microusd),
            byok: key.byok.into_keys().collect(),
            origin: key.origin.as_str(),
            created_at: Some(key.created_at),
        }
    }
}

fn usd(microusd: u64) -> f64 {
    #[expect(clippy::cast_precision_loss, reason = "dollars are shown; 2^53 millionths are nine billion")]
    let usd = microusd as f64 / 1e6;
    usd
}

impl Shown {
    fn row(&self) -> [String; 7] {
        let budget = self.owner.budget_usd.map_or_else(|| "no limit".to_owned(), |b| format!("{b:.2}"));
        let created = self.created_at.map(|at| at.strftime("%Y-%m-%d %H:%M").to_string());
        [
            self.id.clone(),
            self.prefix.as_ref().map_or_else(|| "configured".to_owned(), |prefix| format!("{prefix}…")),
            self.owner.user.clone(),
            self.owner.plan.clone().unwrap_or_default(),
            format!("{:.2}", self.spent_usd),
            budget,
            created.unwrap_or_default(),
        ]
    }
}

/// What `list` answers to programs: a page, as the admin API's.
#[derive(Serialize)]
struct Listed {
    items: Vec<Shown>,
    next: Option<String>,
}

/// The keys in force: those of the configuration and those that were made.
async fn list(database: &Database, config: &Config, json: bool) -> Result<Verdict, Failure> {
    let spent = database.key_spend_all().await.map_err(failed)?;
    let mut items = Vec::new();
    for key in store::configured_keys(config) {
        let id = database.hasher().hash(expose(&key.key)).key_id();
        items.push(Shown {
            spent_usd: usd(spent.get(&id).copied().unwrap_or_default()),
            id,
            prefix: None,
            owner: key.owner,
            byok: key.byok.into_keys().collect(),
            origin: KeyOrigin::Configured.as_str(),
            created_at: None,
        });
    }
    items.extend(database.keys_all(false).await.map_err(failed)?.into_iter().map(Shown::from));
    if json {
        output::json(&Listed { items, next: None })?;
    } else if items.is_empty() {
        say("no keys; make one with `weir keys create --user NAME`");
    } else {
        let headings = ["ID", "KEY", "USER", "PLAN", "SPENT $", "BUDGET $", "CREATED (UTC)"];
        output::text(&output::table(headings, &items.iter().map(Shown::row).collect::<Vec<_>>()))?;
    }
    Ok(Verdict::Good)
}

async fn revoke(database: &Database, config: &Config, id: &str, json: bool) -> Result<Verdict, Failure> {
    if !database.key_revoke(id, SystemClock.now()).await.map_err(failed)? {
        let configured = |key: &ConfiguredKey| database.hasher().hash(expose(&key.key)).key_id() == id;
        return Err(Failure::No(if store::configured_keys(config).iter().any(configured) {
            format!("`{id}` is a key of the configuration; take it out there")
        } else {
            format!("no key `{id}` is in force; `weir keys list` shows them")
        }));
    }
    audit(database, "key.revoke", id, json!({})).await;
    store::followed().await;
    if json {
        output::json(&json!({"id": id, "revoked": true}))?;
    } else {
        output::text(&format!("revoked {id}"))?;
    }
    Ok(Verdict::Good)
}

/// What was done stays done when the audit list cannot take it.
async fn audit(database: &Database, action: &str, subject: &str, detail: Value) {
    let noted = database.audit(&author(), action, subject, &detail, SystemClock.now()).await;
    if let Err(error) = noted {
        say(format_args!("warning: the audit list could not take an entry: {error}"));
    }
}
