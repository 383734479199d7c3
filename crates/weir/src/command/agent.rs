//! `weir agent PROMPT`: a model works on a prompt with tools. What it is asked goes through weir's own gateway, in this
//! process, and every call of a tool through the gate.

mod gateway;
mod person;
mod session;
mod show;

use std::io::{self, IsTerminal as _};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use tokio::signal::unix::{SignalKind, signal};
use tokio::task::JoinHandle;
use tokio_util::sync::CancellationToken;
use weir_config::Config;
use weir_config::config::ConfiguredKey;
use weir_core::name::check_name;
use weir_core::tool::{CallSource, PermissionLevel, quoted};
use weir_tools::agent::{
    Api, Events, History, McpTools, Nobody, Person, Toolbox, Turn, TurnEnd, TurnResult, builtin,
    system_prompt,
};
use weir_tools::{Caller, Gate};

use super::{account, load_settings};
use crate::cli::AgentArgs;
use crate::exit::{Failure, Verdict, say};
use crate::serve::logging;
use crate::settings::{self, Settings};
use crate::tool_gate::ToolGate;
use gateway::OwnGateway;
use session::Session;

/// The channel of an agent at a terminal, unless another is named.
const CHANNEL: &str = "cli";

/// The user where neither `--user` nor a login name says who it is.
const UNKNOWN: &str = "unknown";

/// The model where none is named and none is configured.
const SIMULATED: &str = "sim/tool";

/// What the agent is called in rules and records.
const AGENT: &str = "weir";

/// What the model is asked where a session is resumed without a prompt.
const GO_ON: &str = "Go on.";

/// The filter of the log that is not asked for: a terminal shows the turn, not weir's own life.
const QUIET_LOG: &str = "warn";

/// How long what is left at the end is given.
const LEFT_OVER: Duration = Duration::from_millis(200);

/// Runs one turn.
///
/// # Errors
/// The configuration or the rules are wrong, the store cannot be opened, the model could not be asked.
pub fn run(args: &AgentArgs) -> Result<Verdict, Failure> {
    let asked = Asked::of(args)?;
    let named = args.config.config.as_deref();
    let mut settings = load_settings(named)?;
    if settings::chosen(named).is_none() {
        greet(&mut settings.config, asked.channel());
    }
    if settings.config.telemetry.log == "info" {
        QUIET_LOG.clone_into(&mut settings.config.telemetry.log);
    }
    logging::start(&settings.config.telemetry).map_err(Failure::No)?;
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build();
    let runtime = runtime.map_err(|e| Failure::dependency("starting the runtime", e))?;
    let turned = runtime.block_on(turn(args, &asked, settings));
    // Reading stdin is a thread that cannot be stopped.
    runtime.shutdown_timeout(LEFT_OVER);
    verdict(args, &turned?)
}

/// Without any configuration tools may look around in the current folder, and no more.
fn greet(config: &mut Config, channel: &str) {
    config.tools.allowed_roots = vec![PathBuf::from(".")];
    config.tools.channel_permissions.insert(channel.to_owned(), PermissionLevel::ReadOnly);
    say(
        "note: there is no configuration (./weir.yaml): the model is a simulated one, and tools may read in this folder",
    );
    say(format_args!(
        "      for more: models, `tools.allowed_roots`, and `tools.channel_permissions.{channel}` in weir.yaml"
    ));
}

/// Who asks, where, and what.
struct Asked {
    user: String,
    /// As given.
    channel: Option<String>,
    prompt: String,
}

impl Asked {
    fn of(args: &AgentArgs) -> Result<Self, Failure> {
        let user = args.user.clone().or_else(account).unwrap_or_else(|| UNKNOWN.to_owned());
        let channel = args.channel.clone();
        for (option, name) in [("--user", Some(&user)), ("--channel", channel.as_ref())] {
            let checked = name.map_or(Ok(()), |name| check_name(name));
            checked.map_err(|why| Failure::Input(format!("{option}: it {why}")))?;
        }
        let prompt = args.prompt.clone().unwrap_or_else(|| GO_ON.to_owned());
        if prompt.trim().is_empty() {
            return Err(Failure::Input("PROMPT: it must not be blank".to_owned()));
        }
        Ok(Self { user, channel, prompt })
    }

    fn channel(&self) -> &str {
        self.channel.as_deref().unwrap_or(CHANNEL)
    }

    /// What the gate knows of the user: what the user's key in the configuration says, if there is one.
    fn caller(&self, key: &ConfiguredKey, session: &str) -> Caller {
        let mut caller = Caller::user(&self.user, &key.channel, CallSource::Session);
        let identity = &mut caller.identity;
        identity.org_id = key.org.clone().unwrap_or_default();
        identity.project_id = key.project.clone().unwrap_or_default();
        identity.plan = key.plan.clone().unwrap_or_default();
        identity.tags.clone_from(&key.tags);
        AGENT.clone_into(&mut caller.agent);
        session.clone_into(&mut caller.session);
        caller
    }
}

/// The session of a turn: a new one, or one that is gone on with.
struct Opened {
    id: String,
    session: Session,
    channel: String,
    model: String,
    api: Api,
    history: History,
}

fn open_session(args: &AgentArgs, asked: &Asked, config: &Config) -> Result<Opened, Failure> {
    let Some(id) = &args.resume else {
        let model = args.model.clone().unwrap_or_else(|| first_model(config));
        let (id, channel) = (session::new_id(), asked.channel().to_owned());
        let session = Session::begin(&config.data_dir, &id, &asked.user, &channel, &model)?;
        let api = gateway::api_of(config, &model);
        return Ok(Opened { id, session, channel, model, api, history: History::default() });
    };
    let (mut session, kept) = Session::resume(&config.data_dir, id, &asked.user)?;
    if let Some(other) = asked.channel.as_ref().filter(|channel| **channel != kept.channel) {
        let said =
            format!("session {} is on channel {}, not {}", quoted(id), quoted(&kept.channel), quoted(other));
        return Err(Failure::No(said));
    }
    let model = args.model.clone().unwrap_or_else(|| kept.model.clone());
    let api = gateway::api_of(config, &model);
    if api != kept.history.api {
        let said = format!(
            "session {} speaks {} and the model {} does not: resume it with `--model {}`",
            quoted(id),
            kept.history.api.path(),
            quoted(&model),
            kept.model
        );
        return Err(Failure::No(said));
    }
    session.set_model(&model);
    Ok(Opened { id: kept.id, session, channel: kept.channel, model, api, history: kept.history })
}

async fn turn(args: &AgentArgs, asked: &Asked, mut settings: Settings) -> Result<TurnResult, Failure> {
    let opened = open_session(args, asked, &settings.config)?;
    let key = gateway::own_key(&settings.config, &asked.user, &opened.channel);
    settings.config.keys.push(key.clone());
    let config = Arc::new(settings.config.clone());
    let tools = ToolGate::told(args.config.config.as_deref(), settings).await?;
    let gateway = OwnGateway::start(&tools, config.clone(), &key).await?;
    tools.gate.report_built_in(builtin::definitions());
    let servers = connect(&tools.gate, &config, args.config.config.as_deref()).await;
    let built_in = Arc::new(builtin::BuiltIn::new(&config.tools));
    let toolbox = servers.iter().fold(Toolbox::new().with("", built_in), |toolbox, (name, server)| {
        toolbox.with(name, server.clone())
    });
    let cancel = CancellationToken::new();
    let interrupted = interrupt(cancel.clone())?;
    let turn = Turn {
        gate: tools.gate.clone(),
        caller: Arc::new(asked.caller(&key, &opened.id)),
        model: gateway.model(),
        api: opened.api,
        model_name: opened.model,
        system: system_prompt(&config.tools, &opened.channel, tools.gate.ceiling(&opened.channel)),
        tools: toolbox,
        loop_guard: config.tools.loop_guard,
        events: events(args.json),
        person: person(args.json),
        asking: tokio::sync::Mutex::default(),
        history: opened.history,
        keeper: Arc::new(opened.session),
    };
    let result = turn.run(&asked.prompt, &cancel).await;
    interrupted.abort();
    futures_util::future::join_all(servers.iter().map(|(_, server)| server.close())).await;
    gateway.end().await;
    tools.close().await;
    Ok(result)
}

/// The first configured model by name that a real provider serves, else the simulated one.
fn first_model(config: &Config) -> String {
    let real = |id: &&String| {
        let provider = config.models.find(id).and_then(|found| config.provider(&found.model.provider));
        provider.is_some_and(|provider| !provider.simulated)
    };
    config.models.listed().iter().find(real).map_or_else(|| SIMULATED.to_owned(), Clone::clone)
}

/// Connects to the tool servers of the configuration, all at once. One that does not answer is told, and the turn goes
/// on without it.
async fn connect(gate: &Gate, config: &Config, named: Option<&Path>) -> Vec<(String, Arc<McpTools>)> {
    let folder = named.and_then(Path::parent).filter(|folder| !folder.as_os_str().is_empty());
    let folder = folder.unwrap_or(Path::new("."));
    let connecting = config.tools.mcp_servers.iter().map(|server| async move {
        match McpTools::connect(gate, server, folder).await {
            Ok(tools) => Some((server.name.clone(), Arc::new(tools))),
            Err(trouble) => {
                say(format_args!("warning: the tools of server `{}` are not there: {trouble}", server.name));
                None
            }
        }
    });
    futures_util::future::join_all(connecting).await.into_iter().flatten().collect()
}

/// Stops the turn at SIGINT and SIGTERM. Listens when this returns.
fn interrupt(cancel: CancellationToken) -> Result<JoinHandle<()>, Failure> {
    let listen = |kind| signal(kind).map_err(|e| Failure::dependency("listening for signals", e));
    let (mut interrupt, mut terminate) = (listen(SignalKind::interrupt())?, listen(SignalKind::terminate())?);
    Ok(tokio::spawn(async move {
        tokio::select! {
            _ = interrupt.recv() => {}
            _ = terminate.recv() => {}
        }
        cancel.cancel();
    }))
}

fn events(json: bool) -> Arc<dyn Events> {
    if json { Arc::new(show::JsonLines) } else { Arc::new(show::Readable::new()) }
}

/// A person is asked where there is one: at a terminal, and not where a program reads.
fn person(json: bool) -> Arc<dyn Person> {
    if json || !io::stdin().is_terminal() || !io::stderr().is_terminal() {
        return Arc::new(Nobody);
    }
    Arc::new(person::AtTerminal::new(tokio::io::BufReader::new(tokio::io::stdin())))
}

fn verdict(args: &AgentArgs, result: &TurnResult) -> Result<Verdict, Failure> {
    if !args.json {
        show::result(result)?;
        say(format_args!("\nsession {0} (weir agent --resume {0} PROMPT goes on with it)", result.session));
    }
    match result.end {
        TurnEnd::Answered => Ok(Verdict::Good),
        TurnEnd::Failed if args.json => Err(Failure::Dependency("the turn failed".to_owned())),
        TurnEnd::Failed => Err(Failure::Dependency(result.text.clone())),
        TurnEnd::Halted | TurnEnd::Exhausted | TurnEnd::Cancelled | TurnEnd::Refused => {
            if !args.json {
                say(format_args!("error: {}", show::clean(&result.text)));
            }
            Ok(Verdict::No)
        }
    }
}
