//! One running weir: its parts, how they are wired, and what moves them until the end.

use std::sync::Arc;
use std::time::Duration;

use tokio::signal::unix::{Signal, SignalKind, signal};
use tokio::sync::watch::Receiver;
use tokio::task::JoinHandle;
use tokio_util::sync::CancellationToken;
use weir_config::Config;
use weir_console::rulebook::{ApplyError, Rulebook};
use weir_console::{DependencyProbe, Live};
use weir_core::clock::{Clock as _, SharedClock};
use weir_core::failure::Observers;
use weir_gateway::{Gateway, Guest};
use weir_report::Reporter;
use weir_rules::{LiveRules, RuleSet, SourceFile};
use weir_store::clock::SystemClock;
use weir_store::directory::{Directory, DirectoryOptions};
use weir_store::{Cache, Database, Dependency, DependencyState, Recorder, RecorderOptions, StoreError};
use weir_telemetry::{RenderMetrics, Telemetry};
use weir_tools::observe::Unobserved;
use weir_tools::{Gate, Policies};

use super::admin_token;
use super::data_plane::DataPlane;
use super::greeting::Greeting;
use super::logging::Log;
use super::point::GatePoint;
use super::reload::Reloader;
use super::telemetry::Telling;
use super::tools::Tools;
use super::{Start, listen, metrics, report};

use crate::command::refuse;
use crate::command::rules::master;
use crate::diagnostics::Problem;
use crate::exit::Failure;
use crate::store;

/// How often files are looked at. A change comes into force at the second look that sees it.
const WATCH_EVERY: Duration = Duration::from_millis(400);

/// How long the last reports may take to be sent, once everything else has ended.
const REPORTS_MAX: Duration = Duration::from_secs(5);

/// Who stored a rule set that was written in files, for the history.
pub const FILES_AUTHOR: &str = "files";

/// A weir that listens.
pub struct Node {
    tools: Tools,
    reloader: Reloader,
    rules_changed: Receiver<u64>,
    signals: Signals,
    data_plane: DataPlane,
    admin_plane: JoinHandle<()>,
    stop: CancellationToken,
    recorder: Recorder,
    directory: Directory,
    reporter: Reporter,
    telling: Telling,
}

/// The signals that mean something.
struct Signals {
    terminate: Signal,
    interrupt: Signal,
    hang_up: Signal,
}

/// What a signal asks for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Asked {
    End,
    Reload,
}

impl Signals {
    fn listen() -> Result<Self, Failure> {
        let of = |kind| signal(kind).map_err(|e| Failure::dependency("listening for signals", e));
        Ok(Self {
            terminate: of(SignalKind::terminate())?,
            interrupt: of(SignalKind::interrupt())?,
            hang_up: of(SignalKind::hangup())?,
        })
    }

    async fn next(&mut self) -> Asked {
        tokio::select! {
            _ = self.terminate.recv() => Asked::End,
            _ = self.interrupt.recv() => Asked::End,
            _ = self.hang_up.recv() => Asked::Reload,
        }
    }

    async fn end(&mut self) {
        while self.next().await != Asked::End {}
    }
}

/// What the two planes stand on.
struct Base {
    clock: SharedClock,
    database: Database,
    cache: Cache,
    directory: Directory,
    recorder: Recorder,
    rules: Arc<LiveRules>,
    rulebook: Rulebook,
    reporter: Reporter,
}

impl Base {
    /// Opens the stores and puts the rules in force. Redis may be gone; the database must answer.
    async fn open(config: &Config, rule_files: Option<&[SourceFile]>) -> Result<Self, Failure> {
        let clock = SystemClock::shared();
        let database = store::database(config).await?;
        let cache = Cache::open(store::cache_options(config), clock.clone()).await;
        let options = DirectoryOptions { configured: store::configured_keys(config) };
        let directory = Directory::start(database.clone(), options).await.map_err(of_store)?;
        let recorder = Recorder::start(database.clone(), RecorderOptions::default(), clock.clone());
        let rules = Arc::new(LiveRules::new(RuleSet::default(), 0));
        let rulebook = Rulebook::new(database.clone(), Some(rules.clone()), master(config), clock.clone());
        match rule_files {
            Some(files) => rulebook.install_from_files(files, FILES_AUTHOR).await.map(drop),
            None => rulebook.reload_from_store().await.map(drop),
        }
        .map_err(of_rules)?;
        let reporter = Reporter::start(report::options(config), clock.clone());
        let reporter = reporter.map_err(|e| Failure::No(format!("failures.sentry_dsn: {e}")))?;
        std::panic::set_hook(Box::new(reporter.panic_hook()));
        Ok(Self { clock, database, cache, directory, recorder, rules, rulebook, reporter })
    }
}

impl Base {
    /// The gate before tools.
    fn gate(&self, config: &Config, telemetry: Telemetry) -> Gate {
        let parts = weir_tools::Parts {
            tools: config.tools.clone(),
            rules: self.rules.clone(),
            database: self.database.clone(),
            recorder: self.recorder.clone(),
            clock: self.clock.clone(),
            policies: Policies::new(),
        };
        let gate = Gate::told(parts, Arc::new(Unobserved), telemetry);
        gate.follow_overrides(self.directory.overrides());
        gate
    }
}

fn of_store(error: StoreError) -> Failure {
    Failure::dependency("the store", error)
}

fn of_rules(error: ApplyError) -> Failure {
    match error {
        ApplyError::Diagnostics(found) => refuse(&found.into_iter().map(Problem::from).collect::<Vec<_>>()),
        other => Failure::dependency("the stored rules", other),
    }
}

impl Node {
    /// Listens, opens, wires and says that it is ready.
    ///
    /// # Errors
    /// A port is taken, the database cannot be opened, the stored rules cannot be loaded.
    pub async fn start(start: Start, log: Log) -> Result<Self, Failure> {
        let metrics = metrics::start().map_err(|e| Failure::dependency("collecting metrics", e))?;
        let signals = Signals::listen()?;
        let config = Arc::new(start.settings.config);
        let data = listen::at("data", config.listen.data)?;
        let admin = listen::at("admin", config.listen.admin)?;
        std::fs::create_dir_all(&config.data_dir)
            .map_err(|e| Failure::dependency(format_args!("data_dir `{}`", config.data_dir.display()), e))?;
        let token = admin_token::obtain(config.admin.token.as_ref(), &config.data_dir)
            .map_err(|e| Failure::dependency("the admin token", e))?;
        let base = Base::open(&config, start.rule_files.as_deref()).await?;
        // Subscribed before the rules of the store could change once more.
        let rules_changed = base.directory.rules_changed();
        let metrics = metrics::render(metrics, base.rules.clone());
        let telling = Telling::start(&config.telemetry, metrics.clone(), base.clock.clone())?;
        let tools = Tools::new(base.gate(&config, telling.telemetry()), &config, start.named.as_deref());
        let gateway = gateway(&base, config.clone(), tools.guest(), telling.telemetry()).await?;
        let live = Live::new(config.clone(), &token.token);
        let point = Arc::new(GatePoint::new(tools.gate.clone(), base.directory.clone(), base.clock.clone()));
        let console = console(&base, &config, live.clone(), (metrics, telling.collector()), &gateway, point);

        let in_force = base.rules.load();
        let greeting = Greeting {
            data: listen::address(&data)?,
            admin: listen::address(&admin)?,
            token: &token,
            rules: in_force.rules.rules().len(),
            epoch: in_force.epoch,
        };
        let stop = CancellationToken::new();
        let data_plane = DataPlane::start(&gateway, data, &stop)?;
        let admin_plane = tokio::spawn(weir_console::serve(console, admin, stop.clone()));
        greeting.say(&config.telemetry);

        let (directory, recorder, reporter) = (base.directory, base.recorder, base.reporter);
        let reloader = Reloader {
            named: start.named,
            watch: start.watch,
            running: config,
            gateway,
            live,
            rulebook: base.rulebook,
            directory: directory.clone(),
            clock: base.clock,
            log,
            reporter: reporter.clone(),
            tools: tools.clone(),
        };
        Ok(Self {
            tools,
            reloader,
            rules_changed,
            signals,
            data_plane,
            admin_plane,
            stop,
            recorder,
            directory,
            reporter,
            telling,
        })
    }

    /// Runs until SIGTERM or SIGINT, then ends in order: no new connections, open requests for a while, what is
    /// still to be written.
    ///
    /// # Errors
    /// Never yet: what fails on the way out is logged.
    pub async fn run(mut self) -> Result<(), Failure> {
        let mut look = tokio::time::interval(WATCH_EVERY);
        look.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
        loop {
            tokio::select! {
                asked = self.signals.next() => match asked {
                    Asked::End => break,
                    Asked::Reload => self.reloader.reload("SIGHUP").await,
                },
                _ = look.tick() => self.reloader.look().await,
                Ok(()) = self.rules_changed.changed() => self.reloader.follow_store().await,
            }
        }
        self.end().await;
        Ok(())
    }

    async fn end(mut self) {
        tracing::info!("ending: no new connections are taken");
        self.stop.cancel();
        self.tools.mcp.end_streams();
        let drained = async {
            self.data_plane.drained().await;
            if let Err(error) = self.admin_plane.await {
                tracing::error!(%error, "the admin plane ended badly");
            }
        };
        tokio::select! {
            () = drained => {}
            () = self.signals.end() => tracing::warn!("a second signal: open requests are not waited for"),
        }
        self.tools.mcp.shutdown().await;
        if let Err(error) = self.recorder.flush().await {
            tracing::error!(%error, "the last records could not be written");
        }
        self.directory.shutdown().await;
        if !self.reporter.shutdown(REPORTS_MAX).await {
            tracing::error!("the last reports could not be sent to Sentry");
        }
        drop(self.data_plane);
        self.telling.end().await;
        tracing::info!("ended");
    }
}

async fn gateway(
    base: &Base,
    config: Arc<Config>,
    guest: Arc<dyn Guest>,
    telemetry: Telemetry,
) -> Result<Gateway, Failure> {
    let parts = weir_gateway::Parts {
        config,
        rules: base.rules.clone(),
        cache: base.cache.clone(),
        directory: base.directory.clone(),
        recorder: base.recorder.clone(),
        clock: base.clock.clone(),
        candidates: None,
        observers: Observers::new(vec![Arc::new(base.reporter.clone())]),
        guest: Some(guest),
    };
    Gateway::told(parts, telemetry).await.map_err(|e| Failure::No(e.to_string()))
}

fn console(
    base: &Base,
    config: &Config,
    live: Live,
    (metrics, telemetry): (RenderMetrics, Option<DependencyProbe>),
    gateway: &Gateway,
    point: Arc<GatePoint>,
) -> axum::Router {
    let probe = config.abuse.service_url.is_some().then(|| abuse_service(gateway.clone()));
    let parts = weir_console::Parts {
        live,
        rules: base.rules.clone(),
        rulebook: base.rulebook.clone(),
        database: base.database.clone(),
        cache: base.cache.clone(),
        directory: base.directory.clone(),
        recorder: base.recorder.clone(),
        clock: base.clock.clone(),
        metrics,
        abuse_service: probe,
        reported_at: Some(Arc::new({
            let reporter = base.reporter.clone();
            move |class, provider, owner| reporter.sent_at(class, provider, owner)
        })),
        telemetry,
    };
    weir_console::router_with(parts, Some(point))
}

/// How the remote classifier is doing, by what the data plane sees of it.
fn abuse_service(gateway: Gateway) -> DependencyProbe {
    let since = SystemClock.now();
    let quiet = Dependency { state: DependencyState::Up, since, error: None };
    Arc::new(move || gateway.abuse_service().unwrap_or_else(|| quiet.clone()))
}
