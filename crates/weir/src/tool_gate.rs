//! The gate before tools, for commands that are no `weir serve`: the same store, the same rules, followed as they
//! change.

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use tokio_util::task::AbortOnDropHandle;
use weir_config::Config;
use weir_console::rulebook::Rulebook;
use weir_core::Timestamp;
use weir_core::clock::SharedClock;
use weir_rules::{LiveRules, RuleSet};
use weir_store::clock::SystemClock;
use weir_store::directory::{Directory, DirectoryOptions};
use weir_store::{Database, Recorder, RecorderOptions};
use weir_telemetry::Telemetry;
use weir_tools::observe::Unobserved;
use weir_tools::{Gate, Policies};

use crate::command::refuse;
use crate::command::rules::{failed, master};
use crate::diagnostics;
use crate::exit::{Failure, say};
use crate::rule_files;
use crate::serve::FILES_AUTHOR;
use crate::serve::telemetry::Telling;
use crate::serve::watch::Watch;
use crate::serve::watched;
use crate::settings::{self, Settings};

/// How often rule files are read again. A change comes into force at the next look.
const LOOK_EVERY: Duration = Duration::from_secs(1);

/// A gate and what it stands on.
pub struct ToolGate {
    /// The gate.
    pub gate: Gate,
    /// Where calls are recorded.
    pub recorder: Recorder,
    /// The keys that are valid, followed as they change.
    pub directory: Directory,
    /// The rules in force.
    pub rules: Arc<LiveRules>,
    telling: Telling,
    _following: AbortOnDropHandle<()>,
}

impl ToolGate {
    /// Opens the store, loads the rules and follows them from then on.
    ///
    /// # Errors
    /// The rules are wrong, the store cannot be opened.
    pub async fn open(named: Option<&Path>, settings: Settings) -> Result<Self, Failure> {
        Self::with(named, settings, Telling::default()).await
    }

    /// As [`Self::open`], for a command that runs for long: calls are told of as spans, where traces are sent somewhere.
    ///
    /// # Errors
    /// As [`Self::open`]; the endpoint cannot be used.
    pub async fn told(named: Option<&Path>, settings: Settings) -> Result<Self, Failure> {
        let telling = Telling::of_command(&settings.config.telemetry, SystemClock::shared())?;
        Self::with(named, settings, telling).await
    }

    async fn with(named: Option<&Path>, settings: Settings, telling: Telling) -> Result<Self, Failure> {
        let mut watch = Watch::default();
        watch.set(watched(named, &settings));
        let config = settings.config;
        std::fs::create_dir_all(&config.data_dir)
            .map_err(|e| Failure::dependency(format_args!("data_dir `{}`", config.data_dir.display()), e))?;
        let clock = SystemClock::shared();
        let database = crate::store::database(&config).await?;
        let base = Base::load(&config, database, clock.clone()).await?;
        let recorder = Recorder::start(base.database.clone(), RecorderOptions::default(), clock.clone());
        if config.tools.channel_permissions.is_empty() {
            say("note: `tools.channel_permissions` is empty: no channel has a ceiling");
        }
        let parts = weir_tools::Parts {
            tools: config.tools.clone(),
            rules: base.rules.clone(),
            database: base.database.clone(),
            recorder: recorder.clone(),
            clock,
            policies: Policies::new(),
        };
        let gate = Gate::told(parts, Arc::new(Unobserved), telling.telemetry());
        gate.follow_overrides(base.directory.overrides());
        let (directory, rules) = (base.directory.clone(), base.rules.clone());
        let following = tokio::spawn(follow(base, gate.clone(), named.map(Path::to_owned), watch));
        Ok(Self { gate, recorder, directory, rules, telling, _following: AbortOnDropHandle::new(following) })
    }

    /// What requests of the command's own are told of by.
    pub fn telemetry(&self) -> Telemetry {
        self.telling.telemetry()
    }

    /// Writes what is still to be written.
    pub async fn close(self) {
        if let Err(error) = self.recorder.flush().await {
            tracing::error!(%error, "the last records could not be written");
        }
        self.directory.shutdown().await;
        self.telling.end().await;
    }
}

/// The rules and the store that they come from.
struct Base {
    database: Database,
    directory: Directory,
    rules: Arc<LiveRules>,
    rulebook: Rulebook,
    clock: SharedClock,
}

impl Base {
    async fn load(config: &Config, database: Database, clock: SharedClock) -> Result<Self, Failure> {
        let options = DirectoryOptions { configured: crate::store::configured_keys(config) };
        let directory = Directory::start(database.clone(), options).await;
        let directory = directory.map_err(|e| Failure::dependency("the store", e))?;
        let rules = Arc::new(LiveRules::new(RuleSet::default(), 0));
        let rulebook = Rulebook::new(database.clone(), Some(rules.clone()), master(config), clock.clone());
        let base = Self { database, directory, rules, rulebook, clock };
        match &config.rules {
            Some(paths) => base.load_files(paths).await?,
            None => base.rulebook.reload_from_store().await.map(drop).map_err(failed)?,
        }
        Ok(base)
    }

    async fn load_files(&self, paths: &[PathBuf]) -> Result<(), Failure> {
        let mut problems = Vec::new();
        let loaded = rule_files::load_of_config(paths, self.clock.now(), &mut problems);
        let Some((files, _)) = loaded else { return Err(refuse(&problems)) };
        diagnostics::print(&problems);
        let installed = self.rulebook.install_from_files(&files, FILES_AUTHOR).await;
        installed.map(drop).map_err(failed)
    }
}

/// Puts changed rules and a changed `tools` section in force; what is wrong is told, and the old stays.
async fn follow(base: Base, gate: Gate, named: Option<PathBuf>, mut watch: Watch) {
    let mut rules_changed = base.directory.rules_changed();
    let mut look = tokio::time::interval(LOOK_EVERY);
    look.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
    loop {
        tokio::select! {
            _ = look.tick() => match looked(watch, base.clock.now()).await {
                (Some(again), changed) => {
                    watch = again;
                    if changed {
                        watch.loading();
                        reload(&base, &gate, named.as_deref()).await;
                    }
                }
                (None, _) => return,
            },
            Ok(()) = rules_changed.changed() => {
                if let Err(error) = base.rulebook.reload_from_store().await {
                    tracing::error!(%error, "the stored rules were not put in force");
                }
            }
        }
    }
}

async fn looked(mut watch: Watch, now: Timestamp) -> (Option<Watch>, bool) {
    let looked = tokio::task::spawn_blocking(move || {
        let changed = watch.changed(now);
        (Some(watch), changed)
    });
    looked.await.unwrap_or((None, false))
}

async fn reload(base: &Base, gate: &Gate, named: Option<&Path>) {
    let Ok(settings) = settings::load(settings::chosen(named).as_deref()) else {
        tracing::error!("the changed configuration is wrong; the old one stays: `weir check` says why");
        return;
    };
    if let Some(paths) = &settings.config.rules {
        let mut problems = Vec::new();
        let Some((files, _)) = rule_files::load_of_config(paths, base.clock.now(), &mut problems) else {
            for problem in problems.iter().filter(|problem| problem.is_error()) {
                tracing::error!("{}", problem.in_one_line());
            }
            return;
        };
        if let Err(error) = base.rulebook.install_from_files(&files, FILES_AUTHOR).await {
            tracing::error!(%error, "the changed rules were not put in force");
            return;
        }
    }
    gate.reload(settings.config.tools);
    tracing::info!("reloaded");
}
