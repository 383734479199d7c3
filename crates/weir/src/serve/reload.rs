//! A changed configuration and changed rules, put in force while requests go on. What is bad is refused as a whole,
//! and the old stays.

use std::path::PathBuf;
use std::sync::Arc;

use weir_config::Config;
use weir_config::config::{CacheUrl, DatabaseUrl};
use weir_console::Live;
use weir_console::rulebook::{ApplyError, Rulebook};
use weir_core::clock::SharedClock;
use weir_core::secret::{Secret, expose};
use weir_gateway::Gateway;
use weir_report::Reporter;
use weir_rules::SourceFile;
use weir_store::directory::Directory;

use super::admin_token::{self, AdminToken};
use super::logging::Log;
use super::node::FILES_AUTHOR;
use super::report;
use super::tools::Tools;
use super::watch::Watch;
use super::{fitted_connections, open_files, watched};
use crate::diagnostics::Problem;
use crate::rule_files::{self, Texts};
use crate::settings::{self, Settings, Unloaded};
use crate::store;

/// Counts reloads by their result.
const RELOADS: &str = "weir_reloads_total";

/// What a reload reaches.
pub struct Reloader {
    /// The tool servers and the gate before them.
    pub tools: Tools,
    /// The configuration's file, as it was named.
    pub named: Option<PathBuf>,
    /// The files that it was made of.
    pub watch: Watch,
    /// The configuration in force.
    pub running: Arc<Config>,
    /// The data plane.
    pub gateway: Gateway,
    /// What the admin plane works by.
    pub live: Live,
    /// The rules.
    pub rulebook: Rulebook,
    /// The keys.
    pub directory: Directory,
    /// The time of day.
    pub clock: SharedClock,
    /// The log.
    pub log: Log,
    /// Reports of failures.
    pub reporter: Reporter,
}

/// Why nothing was changed: lines for the log.
struct Refused(Vec<String>);

impl From<Vec<Problem>> for Refused {
    fn from(problems: Vec<Problem>) -> Self {
        Self(problems.iter().filter(|p| p.is_error()).map(Problem::in_one_line).collect())
    }
}

impl Reloader {
    /// Looks at the files, and loads them again when their content has changed.
    pub async fn look(&mut self) {
        let mut watch = std::mem::take(&mut self.watch);
        let now = self.clock.now();
        let looked = tokio::task::spawn_blocking(move || {
            let changed = watch.changed(now);
            (watch, changed)
        });
        let Ok((watch, changed)) = looked.await else { return };
        self.watch = watch;
        if changed {
            self.reload("changed files").await;
        }
    }

    /// Loads configuration and rule files again.
    pub async fn reload(&mut self, why: &str) {
        match self.try_reload().await {
            Ok(()) => {
                metrics::counter!(RELOADS, "result" => "ok").increment(1);
                tracing::info!(why, "reloaded");
            }
            Err(Refused(reasons)) => {
                metrics::counter!(RELOADS, "result" => "refused").increment(1);
                for reason in &reasons {
                    tracing::error!(why, "{reason}");
                }
                tracing::error!(
                    why,
                    errors = reasons.len(),
                    "reload refused; the old configuration and rules stay in force"
                );
            }
        }
    }

    async fn try_reload(&mut self) -> Result<(), Refused> {
        self.watch.loading();
        let mut settings = self.load()?;
        self.watch.set(watched(self.named.as_deref(), &settings));
        // The rules are checked first: nothing of a bad version may come into force.
        let files = self.rule_files(&settings.config).await?;
        keep_what_cannot_change(&self.running, &mut settings.config);
        settings.config.limits.connections_max = fitted_connections(&settings.config, open_files::raise());
        let config = Arc::new(settings.config);
        let token = self.admin_token(&config)?;
        self.gateway.reload(config.clone()).map_err(|e| Refused(vec![e.to_string()]))?;
        self.live.replace(config.clone(), &token);
        self.put_in_force(&config, &files).await
    }

    /// The administrator's token of a configuration. One that names none any more falls back to the one in the data
    /// folder, which is made if there is none; it is not shown here, since a log is no place for it.
    fn admin_token(&self, config: &Config) -> Result<Secret, Refused> {
        let AdminToken { token, file, made } =
            admin_token::obtain(config.admin.token.as_ref(), &config.data_dir)
                .map_err(|e| Refused(vec![format!("the admin token: {e}")]))?;
        if let Some(file) = file.filter(|_| made) {
            tracing::info!(file = %file.display(), "an admin token was made, and lies in this file");
        }
        Ok(token)
    }

    fn load(&self) -> Result<Settings, Refused> {
        let settings = settings::load(settings::chosen(self.named.as_deref()).as_deref());
        let all = |unloaded: Unloaded| tokio::task::block_in_place(|| unloaded.with_rules(self.clock.now()));
        let settings = settings.map_err(|unloaded| match all(unloaded) {
            Unloaded::Unreadable(said) => Refused(vec![said]),
            Unloaded::Wrong { problems, .. } => problems.into(),
        })?;
        for warning in &settings.warnings {
            tracing::warn!("{}", Problem::from(warning.clone()).in_one_line());
        }
        Ok(settings)
    }

    /// The rule files that a configuration lists, if all of them are good.
    async fn rule_files(&self, config: &Config) -> Result<Vec<SourceFile>, Refused> {
        let Some(paths) = &config.rules else { return Ok(Vec::new()) };
        let Texts { files, mut problems } = rule_files::of_config(paths);
        for warning in problems.iter().filter(|problem| !problem.is_error()) {
            tracing::warn!("{}", warning.in_one_line());
        }
        problems.extend(self.rulebook.check(&files).await.into_iter().map(Problem::from));
        if problems.iter().any(Problem::is_error) { Err(problems.into()) } else { Ok(files) }
    }

    async fn put_in_force(&mut self, config: &Arc<Config>, files: &[SourceFile]) -> Result<(), Refused> {
        self.running = config.clone();
        self.tools.reload(config);
        if let Err(error) = self.reporter.reload(report::options(config)) {
            tracing::error!(%error, "failures are reported as before");
        }
        if let Err(error) = self.log.change(&config.telemetry.log) {
            tracing::warn!("{error}");
        }
        if let Err(error) = self.directory.set_configured(store::configured_keys(config)).await {
            tracing::error!(%error, "the keys of the configuration could not be put in force; the old ones stay");
        }
        if config.rules.is_some() {
            self.install(files).await?;
        }
        Ok(())
    }

    async fn install(&self, files: &[SourceFile]) -> Result<(), Refused> {
        match self.rulebook.install_from_files(files, FILES_AUTHOR).await {
            Ok(applied) => {
                for warning in applied.warnings {
                    tracing::warn!("{}", Problem::from(warning).in_one_line());
                }
                if !applied.changes.is_empty() {
                    tracing::info!(epoch = applied.epoch, changed = applied.changes.len(), "rules in force");
                }
                Ok(())
            }
            Err(error) => Err(refused(error)),
        }
    }

    /// Puts in force what the store holds now.
    pub async fn follow_store(&self) {
        if let Err(error) = self.rulebook.reload_from_store().await {
            for reason in refused(error).0 {
                tracing::error!("the stored rules were not put in force: {reason}");
            }
        }
    }
}

fn refused(error: ApplyError) -> Refused {
    match error {
        ApplyError::Diagnostics(found) => found.into_iter().map(Problem::from).collect::<Vec<_>>().into(),
        other => Refused(vec![other.to_string()]),
    }
}

/// Keeps the values of members that are fixed for the life of the process, and names those that were changed.
fn keep_what_cannot_change(running: &Config, next: &mut Config) {
    for (name, differs) in fixed(running, next) {
        if differs {
            tracing::warn!(member = name, "`{name}` has changed; the change takes effect at the next start");
        }
    }
    next.listen = running.listen;
    next.data_dir.clone_from(&running.data_dir);
    next.store = running.store.clone();
    next.cache = running.cache.clone();
    next.limits.cache_timeout = running.limits.cache_timeout;
    next.telemetry.otlp_endpoint.clone_from(&running.telemetry.otlp_endpoint);
    next.telemetry.log_format = running.telemetry.log_format;
    if next.rules.is_some() != running.rules.is_some() {
        next.rules.clone_from(&running.rules);
    }
}

/// The members that are fixed, and whether they differ.
fn fixed(running: &Config, next: &Config) -> [(&'static str, bool); 8] {
    [
        ("listen", running.listen != next.listen),
        ("data_dir", running.data_dir != next.data_dir),
        ("store", store_text(&running.store) != store_text(&next.store)),
        ("cache", cache_text(&running.cache) != cache_text(&next.cache)),
        ("limits.cache_timeout", running.limits.cache_timeout != next.limits.cache_timeout),
        ("telemetry.otlp_endpoint", running.telemetry.otlp_endpoint != next.telemetry.otlp_endpoint),
        ("telemetry.log_format", running.telemetry.log_format != next.telemetry.log_format),
        ("rules", running.rules.is_some() != next.rules.is_some()),
    ]
}

fn store_text(url: &DatabaseUrl) -> Vec<String> {
    match url {
        DatabaseUrl::Sqlite(path) => vec![path.display().to_string()],
        DatabaseUrl::Postgres(url) => vec![expose(url).to_owned()],
    }
}

fn cache_text(url: &CacheUrl) -> Vec<String> {
    let texts = |secrets: &[Secret]| secrets.iter().map(|s| expose(s).to_owned()).collect();
    match url {
        CacheUrl::Memory => Vec::new(),
        CacheUrl::Redis(url) => vec![expose(url).to_owned()],
        CacheUrl::RedisCluster(urls) => texts(urls),
        CacheUrl::RedisSentinel(s) => {
            let mut all: Vec<String> = texts(&s.sentinels);
            all.extend([s.service.clone(), s.database.to_string(), s.tls.to_string()]);
            all.extend(s.username.clone());
            all.extend(s.password.as_ref().map(|p| expose(p).to_owned()));
            all
        }
    }
}
