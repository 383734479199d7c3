//! The command line as written: what clap reads, nothing decided. A command appears here when it is built.

use std::path::PathBuf;

use clap::{Args, Parser, Subcommand, ValueEnum};

/// weir decides, enforces, explains and records: an LLM gateway with one rule language.
#[derive(Parser, Debug)]
#[command(
    name = "weir",
    version,
    about = "An LLM gateway that decides, enforces, explains and records, by rules you write",
    after_help = "Without --config: ./weir.yaml if it is there, else the defaults.\n\
                  Exit codes: 0 good, 1 the answer is no, 2 usage or unreadable input, 3 a dependency failed.",
    disable_help_subcommand = true,
    max_term_width = 100
)]
pub struct Cli {
    /// What to do; without one the help is printed.
    #[command(subcommand)]
    pub command: Option<Command>,
}

/// What weir can do.
#[derive(Subcommand, Debug)]
pub enum Command {
    /// Run the gateway and the admin API in one process
    Serve(ServeArgs),
    /// Check the configuration and its rules, or single rule files
    Check(CheckArgs),
    /// Decide facts from stdin, a JSON object a line, without a server or a store
    Decide(DecideArgs),
    /// Explain one recorded decision
    Explain(ExplainArgs),
    /// Replay recorded decisions through candidate rules
    Backtest(BacktestArgs),
    /// Read and change the stored rules
    Rules(RulesArgs),
    /// Make, list and revoke API keys
    Keys(KeysArgs),
    /// List and answer the tool calls that wait for a person
    Approvals(ApprovalsArgs),
    /// Answer the pre-tool hook of another agent, on stdin and stdout
    Hook(HookArgs),
    /// Serve the tools of an MCP server over stdio, each call through the gate
    Mcp(McpArgs),
    /// Let a model work on a prompt with tools, each call through the gate
    Agent(AgentArgs),
    /// Turn the configuration of another product into weir's
    Import(ImportArgs),
}

/// Options that many commands have are listed after a command's own.
const LAST: usize = 900;

/// Where the configuration lies.
#[derive(Args, Debug, Clone, Default)]
pub struct ConfigArg {
    /// Configuration file [default: ./weir.yaml if it is there]
    #[arg(long, value_name = "FILE", global = true, display_order = LAST)]
    pub config: Option<PathBuf>,
}

/// Whether a program reads the output.
#[derive(Args, Debug, Clone, Copy, Default)]
pub struct JsonArg {
    /// Print JSON
    #[arg(long, global = true, display_order = LAST)]
    pub json: bool,
}

/// Arguments of `weir serve`.
#[derive(Args, Debug)]
pub struct ServeArgs {
    /// Where the configuration lies.
    #[command(flatten)]
    pub config: ConfigArg,
}

/// Arguments of `weir check`.
#[derive(Args, Debug)]
pub struct CheckArgs {
    /// Where the configuration lies.
    #[command(flatten)]
    pub config: ConfigArg,
    /// Whether a program reads the output.
    #[command(flatten)]
    pub json: JsonArg,
    /// Print the JSON Schema of the configuration
    #[arg(long, conflicts_with_all = ["files", "config"])]
    pub schema: bool,
    /// Rule files and folders; without any: what `weir serve` would load
    #[arg(value_name = "FILES", conflicts_with = "config")]
    pub files: Vec<PathBuf>,
}

/// The boundary whose facts are decided.
#[derive(ValueEnum, Debug, Clone, Copy, PartialEq, Eq)]
pub enum On {
    // Not a doc comment: clap would print it as help of the value, on lines of its own.
    Request,
    Failure,
    Tool,
}

/// Arguments of `weir decide`.
#[derive(Args, Debug)]
pub struct DecideArgs {
    /// Boundary whose facts the lines hold
    #[arg(long, value_enum)]
    pub on: On,
    /// Rule file or folder, more than once if need be [default: the configuration's]
    #[arg(long, value_name = "FILE")]
    pub rules: Vec<PathBuf>,
    /// Where the configuration lies.
    #[command(flatten)]
    pub config: ConfigArg,
}

/// Arguments of `weir explain`.
#[derive(Args, Debug)]
pub struct ExplainArgs {
    /// Id of the decision (`x-weir-decision` of the answer), with or without `dec_`
    pub id: String,
    /// Where the configuration lies.
    #[command(flatten)]
    pub config: ConfigArg,
    /// Whether a program reads the output.
    #[command(flatten)]
    pub json: JsonArg,
}

/// Arguments of `weir backtest`.
#[derive(Args, Debug)]
pub struct BacktestArgs {
    /// Rule files and folders: the candidate set
    #[arg(required = true, value_name = "RULES")]
    pub files: Vec<PathBuf>,
    /// From when on: a time, or how long ago, such as 24h or 7d
    #[arg(long, value_name = "TIME", default_value = "24h")]
    pub since: String,
    /// Up to when: a time, or how long ago [default: now]
    #[arg(long, value_name = "TIME")]
    pub until: Option<String>,
    /// Replay the decisions of this boundary alone
    #[arg(long, value_enum)]
    pub boundary: Option<On>,
    /// Where the configuration lies.
    #[command(flatten)]
    pub config: ConfigArg,
    /// Whether a program reads the output.
    #[command(flatten)]
    pub json: JsonArg,
}

/// Arguments of `weir import`.
#[derive(Args, Debug)]
pub struct ImportArgs {
    /// Whose configuration it is.
    #[command(subcommand)]
    pub command: ImportCommand,
}

/// The products whose configuration can be turned into weir's.
#[derive(Debug, Subcommand)]
pub enum ImportCommand {
    /// A LiteLLM proxy's; what was not carried over is told on stderr, with its line
    Litellm(ImportLitellmArgs),
}

/// Arguments of `weir import litellm`.
#[derive(Args, Debug)]
pub struct ImportLitellmArgs {
    /// LiteLLM's configuration file; the files that it includes are read too
    pub file: PathBuf,
    /// New file for the result [default: stdout]
    #[arg(long, value_name = "FILE")]
    pub output: Option<PathBuf>,
}

/// Arguments of `weir mcp`.
#[derive(Args, Debug)]
pub struct McpArgs {
    /// Where the configuration lies.
    #[command(flatten)]
    pub config: ConfigArg,
    /// Channel of the calls, whose ceiling holds [default: mcp]
    #[arg(long, value_name = "CHANNEL")]
    pub channel: Option<String>,
    /// User who calls [default: the login name]
    #[arg(long, value_name = "USER")]
    pub user: Option<String>,
    /// Name of the server in rules and records [default: that of the program or the package that it runs]
    #[arg(long, value_name = "NAME")]
    pub name: Option<String>,
    /// The MCP server's program and its arguments, after `--`
    #[arg(last = true, required = true, value_name = "COMMAND")]
    pub command: Vec<std::ffi::OsString>,
}

/// Arguments of `weir agent`.
#[derive(Args, Debug)]
pub struct AgentArgs {
    /// What the model is asked to do [default, with --resume: to go on]
    #[arg(value_name = "PROMPT", required_unless_present = "resume")]
    pub prompt: Option<String>,
    /// Session that is gone on with, by its id
    #[arg(long, value_name = "SESSION")]
    pub resume: Option<String>,
    /// Model that is asked [default: the first by name, else sim/tool]
    #[arg(long, value_name = "MODEL")]
    pub model: Option<String>,
    /// Channel of the calls, whose ceiling holds [default: cli]
    #[arg(long, value_name = "CHANNEL")]
    pub channel: Option<String>,
    /// User who calls [default: the login name]
    #[arg(long, value_name = "USER")]
    pub user: Option<String>,
    /// Where the configuration lies.
    #[command(flatten)]
    pub config: ConfigArg,
    /// Print what happens as lines of JSON, the result the last
    #[arg(long)]
    pub json: bool,
}

/// Arguments of `weir rules`.
#[derive(Args, Debug)]
#[command(disable_help_subcommand = true)]
pub struct RulesArgs {
    /// What to do with the rules.
    #[command(subcommand)]
    pub command: RulesCommand,
    /// Where the configuration lies.
    #[command(flatten)]
    pub config: ConfigArg,
    /// Whether a program reads the output.
    #[command(flatten)]
    pub json: JsonArg,
}

/// What can be done with the stored rules.
#[derive(Subcommand, Debug)]
pub enum RulesCommand {
    /// Replace the stored rules with those of the files
    Apply {
        /// Rule files and folders
        #[arg(required = true, value_name = "FILES")]
        files: Vec<PathBuf>,
        /// Refuse unless this is the current epoch
        #[arg(long, value_name = "EPOCH")]
        expect_epoch: Option<u64>,
    },
    /// Show what apply would change, of the rules and of recorded decisions
    Diff {
        /// Rule files and folders
        #[arg(required = true, value_name = "FILES")]
        files: Vec<PathBuf>,
        /// Replay the decisions from when on: a time, or how long ago
        #[arg(long, value_name = "TIME", default_value = "24h")]
        since: String,
    },
    /// Print the rules in force as YAML
    Export,
    /// List the versions of the rules, the newest first
    History,
    /// Put the rules of an earlier epoch in force again, as a new epoch
    Rollback {
        /// Epoch to go back to
        epoch: u64,
    },
}

/// Arguments of `weir keys`.
#[derive(Args, Debug)]
#[command(disable_help_subcommand = true)]
pub struct KeysArgs {
    /// What to do with the keys.
    #[command(subcommand)]
    pub command: KeysCommand,
    /// Where the configuration lies.
    #[command(flatten)]
    pub config: ConfigArg,
    /// Whether a program reads the output.
    #[command(flatten)]
    pub json: JsonArg,
}

/// What can be done with API keys.
#[derive(Subcommand, Debug)]
pub enum KeysCommand {
    /// Make a key and print it; it is stored as a hash and cannot be shown again
    Create(KeyOwnerArgs),
    /// List the keys, never their text
    List,
    /// Revoke a key; running nodes refuse it within a second
    Revoke {
        /// Id of the key, as `weir keys list` shows it
        id: String,
    },
}

/// Whose key it is.
#[derive(Args, Debug, Clone)]
pub struct KeyOwnerArgs {
    /// User the key belongs to
    #[arg(long)]
    pub user: String,
    /// Organisation
    #[arg(long)]
    pub org: Option<String>,
    /// Project
    #[arg(long)]
    pub project: Option<String>,
    /// Plan, for rules to read
    #[arg(long)]
    pub plan: Option<String>,
    /// Tag, for rules to read; more than once if need be
    #[arg(long = "tag", value_name = "TAG")]
    pub tags: Vec<String>,
    /// What the key may spend, in US dollars [default: no limit]
    #[arg(long, value_name = "USD")]
    pub budget_usd: Option<f64>,
    /// Channel of the key's tool calls
    #[arg(long)]
    pub channel: Option<String>,
}

/// Arguments of `weir approvals`.
#[derive(Args, Debug)]
#[command(disable_help_subcommand = true)]
pub struct ApprovalsArgs {
    /// What to do with the approvals.
    #[command(subcommand)]
    pub command: ApprovalsCommand,
    /// Where the configuration lies.
    #[command(flatten)]
    pub config: ConfigArg,
    /// Whether a program reads the output.
    #[command(flatten)]
    pub json: JsonArg,
}

/// A state of an approval.
#[derive(ValueEnum, Debug, Clone, Copy, PartialEq, Eq)]
pub enum StateWord {
    // Not doc comments: clap would print them as help of the values.
    Pending,
    Approved,
    Denied,
    Expired,
}

/// For what a yes holds.
#[derive(ValueEnum, Debug, Clone, Copy, PartialEq, Eq)]
pub enum ScopeWord {
    // Not doc comments: clap would print them as help of the values.
    Once,
    Session,
}

/// What can be done with approvals.
#[derive(Subcommand, Debug)]
pub enum ApprovalsCommand {
    /// List the approvals, the newest first
    List {
        /// Only those in this state
        #[arg(long, value_enum)]
        state: Option<StateWord>,
    },
    /// Show one approval
    Show {
        /// Id of the approval, as the denial gives it
        id: String,
    },
    /// Let the call through
    Approve {
        /// Id of the approval, as the denial gives it
        id: String,
        /// Who answers [default: the login name]
        #[arg(long = "as", value_name = "NAME")]
        by: Option<String>,
        /// For one run, or for every run in the same session [default: once]
        #[arg(long, value_enum)]
        scope: Option<ScopeWord>,
        /// Until when the yes holds; without --scope for every run of the same call
        #[arg(long, value_name = "TIME")]
        until: Option<weir_core::Timestamp>,
    },
    /// Refuse the call
    Deny {
        /// Id of the approval, as the denial gives it
        id: String,
        /// Who answers [default: the login name]
        #[arg(long = "as", value_name = "NAME")]
        by: Option<String>,
    },
    /// Take back a yes that is not used up
    Withdraw {
        /// Id of the approval
        id: String,
        /// Who withdraws it [default: the login name]
        #[arg(long = "as", value_name = "NAME")]
        by: Option<String>,
    },
}

/// An agent whose hook is answered.
#[derive(ValueEnum, Debug, Clone, Copy, PartialEq, Eq)]
pub enum HookAgent {
    // Not doc comments: clap would print them as help of the values.
    ClaudeCode,
    Codex,
}

impl HookAgent {
    /// The agent's name.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::ClaudeCode => "claude-code",
            Self::Codex => "codex",
        }
    }
}

/// Arguments of `weir hook`.
#[derive(Args, Debug)]
pub struct HookArgs {
    /// Agent that asks
    #[arg(value_enum)]
    pub agent: HookAgent,
    /// Where the configuration lies.
    #[command(flatten)]
    pub config: ConfigArg,
    /// Channel of the calls, whose ceiling holds [default: cli]
    #[arg(long, value_name = "CHANNEL")]
    pub channel: Option<String>,
    /// User who calls [default: the login name]
    #[arg(long, value_name = "USER")]
    pub user: Option<String>,
}
