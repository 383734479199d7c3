//! Names of spans' attributes and of metrics' dimensions. The GenAI conventions have moved to a repository of their own,
//! and the constants of the OpenTelemetry crates are deprecated, so the few that are used stand here.

/// `chat`, `embeddings`, `execute_tool`, …
pub const GEN_AI_OPERATION_NAME: &str = "gen_ai.operation.name";
/// The provider, as it is configured.
pub const GEN_AI_PROVIDER_NAME: &str = "gen_ai.provider.name";
/// The model that the provider was asked for.
pub const GEN_AI_REQUEST_MODEL: &str = "gen_ai.request.model";
/// The model that the provider says has answered.
pub const GEN_AI_RESPONSE_MODEL: &str = "gen_ai.response.model";
/// Why the model has stopped, one word of the protocols for each answer.
pub const GEN_AI_RESPONSE_FINISH_REASONS: &str = "gen_ai.response.finish_reasons";
/// Whether a stream was asked for.
pub const GEN_AI_REQUEST_STREAM: &str = "gen_ai.request.stream";
/// Seconds from the call to the first piece of the answer.
pub const GEN_AI_TIME_TO_FIRST_CHUNK: &str = "gen_ai.response.time_to_first_chunk";
/// Tokens that the model has read.
pub const GEN_AI_INPUT_TOKENS: &str = "gen_ai.usage.input_tokens";
/// Tokens that it has written.
pub const GEN_AI_OUTPUT_TOKENS: &str = "gen_ai.usage.output_tokens";
/// Of the tokens read, those from the provider's cache.
pub const GEN_AI_CACHE_READ_TOKENS: &str = "gen_ai.usage.cache_read.input_tokens";
/// Tokens written to the provider's cache.
pub const GEN_AI_CACHE_CREATION_TOKENS: &str = "gen_ai.usage.cache_creation.input_tokens";
/// `input` or `output`.
pub const GEN_AI_TOKEN_TYPE: &str = "gen_ai.token.type";
/// The tool.
pub const GEN_AI_TOOL_NAME: &str = "gen_ai.tool.name";
/// The call of a tool.
pub const GEN_AI_TOOL_CALL_ID: &str = "gen_ai.tool.call.id";
/// The operation of MCP: `tools/call`, …
pub const MCP_METHOD_NAME: &str = "mcp.method.name";
/// The tool's server, as it is configured.
pub const WEIR_TOOL_SERVER: &str = "weir.tool.server";
/// What kind of error it was: a class of failures, a refusal's type, `tool_error`.
pub const ERROR_TYPE: &str = "error.type";
/// The method of the request.
pub const HTTP_METHOD: &str = "http.request.method";
/// The operation's path, never the one that was asked for.
pub const HTTP_ROUTE: &str = "http.route";
/// The status of the answer.
pub const HTTP_STATUS: &str = "http.response.status_code";
/// The decision.
pub const WEIR_DECISION_ID: &str = "weir.decision.id";
/// What was decided: an action, or what became of a tool's call.
pub const WEIR_DECISION_ACTION: &str = "weir.decision.action";
/// The rule that decided.
pub const WEIR_DECISION_RULE: &str = "weir.decision.rule";
/// The number of the rule set that was asked.
pub const WEIR_POLICY_EPOCH: &str = "weir.policy.epoch";
/// The stage at which a request ended.
pub const WEIR_ENDED_AT: &str = "weir.ended_at";
/// weir's own share of the time in milliseconds.
pub const WEIR_OVERHEAD_MS: &str = "weir.overhead_ms";
/// The artificial delay in milliseconds.
pub const WEIR_DELAY_MS: &str = "weir.delay_ms";
/// Whether the caller left before the answer was complete.
pub const WEIR_CLIENT_GONE: &str = "weir.client_gone";
/// The number of an attempt, from 1.
pub const WEIR_ATTEMPT: &str = "weir.attempt";
/// Whether a free model took the place of the one that was asked for.
pub const WEIR_DOWNGRADED: &str = "weir.downgraded";
/// Who must act on a failure.
pub const WEIR_ERROR_OWNER: &str = "weir.error.owner";
/// The kind of a tool call's denial.
pub const WEIR_DENIAL_KIND: &str = "weir.denial.kind";
/// How a tool's call ended: `ran`, `failed`, `denied`, `timed_out`, `gone`, `decided`.
pub const WEIR_TOOL_ENDED: &str = "weir.tool.ended";
/// The level of a tool's call.
pub const WEIR_TOOL_LEVEL: &str = "weir.tool.level";
/// The channel of a tool's call.
pub const WEIR_TOOL_CHANNEL: &str = "weir.tool.channel";
