//! `weir serve`: builds the parts, wires them, runs until a signal says otherwise.
//!
//! A start checks everything that can be wrong before it makes anything: configuration, rules, ports. After that it
//! opens the stores, and says that it is ready when both planes listen.

mod admin_token;
mod data_plane;
mod greeting;
mod listen;
pub mod logging;
mod metrics;
mod node;
mod open_files;
mod point;
mod reload;
pub mod report;
pub mod telemetry;
mod tools;
pub mod watch;

use std::path::PathBuf;
use std::time::Duration;

use weir_config::Config;
use weir_core::clock::Clock as _;
use weir_rules::SourceFile;
use weir_store::clock::SystemClock;

use crate::cli::ServeArgs;
use crate::command::{refuse, refuse_unloaded};
use crate::diagnostics::{self, Problem};
use crate::exit::{Failure, Verdict, say};
use crate::rule_files;
use crate::settings::{self, Settings};

pub use node::FILES_AUTHOR;
use node::Node;
use watch::{Watch, Watched};

/// How long tasks that are left over at the end are given.
const LEFT_OVER: Duration = Duration::from_secs(1);

/// What is known before anything is opened.
struct Start {
    /// The configuration's file, as it was named.
    named: Option<PathBuf>,
    settings: Settings,
    /// The rule files, when they are the master; they compile.
    rule_files: Option<Vec<SourceFile>>,
    watch: Watch,
}

/// Runs the command.
///
/// # Errors
/// Something is wrong with the configuration or the rules, a port is taken, the database cannot be opened.
pub fn run(args: &ServeArgs) -> Result<Verdict, Failure> {
    let start = Start::check(args.config.config.clone())?;
    let log = logging::start(&start.settings.config.telemetry).map_err(Failure::No)?;
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build();
    let runtime = runtime.map_err(|e| Failure::dependency("starting the runtime", e))?;
    let served = runtime.block_on(async { Node::start(start, log).await?.run().await });
    runtime.shutdown_timeout(LEFT_OVER);
    served.map(|()| Verdict::Good)
}

impl Start {
    /// Loads and checks what lies on the disk. Watching begins before anything is read.
    fn check(named: Option<PathBuf>) -> Result<Self, Failure> {
        let mut watch = Watch::default();
        watch.set(Watched { files: vec![settings::watched(named.as_deref())], rules: Vec::new() });
        let now = SystemClock.now();
        let settings = settings::load(settings::chosen(named.as_deref()).as_deref());
        let mut settings = settings.map_err(|unloaded| refuse_unloaded(unloaded.with_rules(now)))?;
        watch.set(watched(named.as_deref(), &settings));
        fit_connections(&mut settings);
        let mut problems: Vec<Problem> = settings.warnings.drain(..).map(Problem::from).collect();
        let load = |listed: &[PathBuf]| rule_files::load_of_config(listed, now, &mut problems);
        let rule_files = match settings.config.rules.as_deref().map(load) {
            Some(None) => return Err(refuse(&problems)),
            loaded => loaded.flatten().map(|(files, _)| files),
        };
        diagnostics::print(&problems);
        Ok(Self { named, settings, rule_files, watch })
    }
}

/// Everything whose change is a reason to load again.
pub fn watched(named: Option<&std::path::Path>, settings: &Settings) -> Watched {
    let mut files = settings.read.clone();
    let own = settings::watched(named);
    if !files.contains(&own) {
        files.push(own);
    }
    Watched { files, rules: settings.config.rules.clone().unwrap_or_default() }
}

/// Lowers the number of connections to what the limit of open files allows, and says so.
fn fit_connections(settings: &mut Settings) {
    let limit = open_files::raise();
    let fitting = fitted_connections(&settings.config, limit);
    let limits = &mut settings.config.limits;
    if fitting < limits.connections_max {
        say(format_args!(
            "warning: limits.connections_max is lowered from {} to {fitting}, which the limit of open files ({}) allows",
            limits.connections_max,
            limit.unwrap_or_default(),
        ));
        limits.connections_max = fitting;
    }
}

fn fitted_connections(config: &Config, limit: Option<u64>) -> usize {
    open_files::connections(config.limits.connections_max, limit)
}
