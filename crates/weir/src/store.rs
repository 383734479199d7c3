//! Opening what the configuration names, for `weir serve` and for the commands that work on the same store.

use std::future::Future;

use weir_config::Config;
use weir_config::config::{CacheUrl, DatabaseUrl};
use weir_core::clock::Clock as _;
use weir_store::cache::SentinelLocation;
use weir_store::clock::SystemClock;
use weir_store::database::KeyOwner;
use weir_store::directory::{ConfiguredKey, FEED_PERIOD};
use weir_store::{CacheLocation, CacheOptions, Database, DatabaseLocation, DatabaseOptions};

use crate::exit::Failure;

/// Opens the database of the configuration.
///
/// # Errors
/// It cannot be reached or used.
pub async fn database(config: &Config) -> Result<Database, Failure> {
    let (options, named) = options(config);
    Database::open(options).await.map_err(|e| Failure::dependency(named, e))
}

/// Where the database of the configuration is, and how a message names it.
fn options(config: &Config) -> (DatabaseOptions, String) {
    let (url, named) = match &config.store {
        DatabaseUrl::Sqlite(path) => {
            (DatabaseLocation::Sqlite(path.clone()), format!("store `{}`", path.display()))
        }
        // The URL may hold a password.
        DatabaseUrl::Postgres(url) => {
            (DatabaseLocation::Postgres(url.clone()), "store (PostgreSQL)".to_owned())
        }
    };
    (DatabaseOptions::new(url), named)
}

/// Opens the database of the configuration for a command that makes nothing: it must be there, with its tables.
///
/// # Errors
/// There is none yet, or it cannot be reached or used.
pub async fn existing(config: &Config) -> Result<Database, Failure> {
    if let DatabaseUrl::Sqlite(path) = &config.store
        && matches!(path.try_exists(), Ok(false))
    {
        return Err(Failure::Dependency(format!(
            "there is no store at `{}` yet: start `weir serve`, which makes it, or name with --config the \
             configuration whose store is meant",
            path.display()
        )));
    }
    let (options, named) = options(config);
    Database::open_existing(options).await.map_err(|e| Failure::dependency(named, e))
}

/// Where the cache of the configuration is.
pub fn cache_options(config: &Config) -> CacheOptions {
    let location = match &config.cache {
        CacheUrl::Memory => CacheLocation::Memory,
        CacheUrl::Redis(url) => CacheLocation::Redis(url.clone()),
        CacheUrl::RedisCluster(urls) => CacheLocation::RedisCluster(urls.clone()),
        CacheUrl::RedisSentinel(s) => CacheLocation::RedisSentinel(SentinelLocation {
            sentinels: s.sentinels.clone(),
            service: s.service.clone(),
            database: s.database,
            tls: s.tls,
            username: s.username.clone(),
            password: s.password.clone(),
        }),
    };
    CacheOptions { deadline: config.limits.cache_timeout, ..CacheOptions::new(location) }
}

/// The keys that the configuration itself holds.
pub fn configured_keys(config: &Config) -> Vec<ConfiguredKey> {
    config.keys.iter().map(configured_key).collect()
}

fn configured_key(key: &weir_config::config::ConfiguredKey) -> ConfiguredKey {
    let owner = KeyOwner {
        user: key.user.clone(),
        org: key.org.clone(),
        project: key.project.clone(),
        plan: key.plan.clone(),
        tags: key.tags.clone(),
        budget_usd: key.budget_usd,
        channel: Some(key.channel.clone()),
    };
    ConfiguredKey { key: key.key.clone(), owner, byok: key.byok.clone() }
}

/// Waits until nodes that run on the same store have read the change that was just written to it, so that a script
/// that goes on at once finds it in force.
pub async fn followed() {
    SystemClock.sleep(FEED_PERIOD + FEED_PERIOD / 2).await;
}

/// Runs a command that waits for a store, on this thread.
///
/// # Errors
/// Those of the command; no runtime can be made.
pub fn run<T>(command: impl Future<Output = Result<T, Failure>>) -> Result<T, Failure> {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
    runtime.map_err(|e| Failure::dependency("starting the runtime", e))?.block_on(command)
}
