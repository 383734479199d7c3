//! What weir must read or write of OpenAI chat completions, responses and embeddings, Anthropic messages, and SSE.
//!
//! Everything here is a pure function of its arguments: no clock, no randomness, no sockets, no logging. Bodies of
//! requests are read once and forwarded byte for byte but for the members that weir changes; streams are read on
//! the way and never rebuilt.
//!
//! | module | holds |
//! |---|---|
//! | [`request`] | a request's body: its checks, facts, prompts, and the body that goes upstream |
//! | [`refusal`] | every answer of weir's own on the data plane, in one exhaustive table |
//! | [`sse`] | an incremental, bounded scanner of server-sent events |
//! | [`usage`] | tokens, id and end of a provider's answer, streamed or not |
//! | [`rename`] | the model's name in a downgraded answer |
//! | [`simulate`] | the simulated provider's answers as data |
//! | [`models`] | the list of models |
//! | [`failure`] | what went wrong at a provider, read from whatever it sent |
//! | [`seed_error`] | what the seed's prefixes do to a provider's errors |

mod json;
mod walk;

pub mod dialect;
pub mod failure;
pub mod models;
pub mod refusal;
pub mod rename;
pub mod request;
pub mod seed_error;
pub mod simulate;
pub mod sse;
pub mod usage;

pub use dialect::Dialect;
pub use models::models_list;
pub use refusal::{Answer, FailedCall, Refusal, RefusalKind};
pub use request::{Prompts, RequestBody};
pub use usage::{FinishReasons, Observed, UsageReader};
