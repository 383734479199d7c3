//! The turn loop: a model is asked, the tools that it calls go through the gate, their results go back, until it answers
//! without a call.
//!
//! The loop knows neither the gateway nor a terminal: a [`Model`] sends one request and gets one answer, [`Events`] are
//! told what happens, a [`Person`] is asked where a call waits for a yes. Every call goes through [`Gate::call`](crate::Gate::call);
//! a denied one comes back to the model as a failed result, and is in the turn's [`notices`](TurnResult::notices) whether
//! or not the model says so.

mod api;
pub mod builtin;
mod calls;
mod event;
mod guide;
mod history;
mod mcp;
mod model;
mod offer;
mod person;
mod result;
mod stream;
mod turn;

pub use event::{Event, Events};
pub use guide::system_prompt;
pub use history::{History, Keeper, NotKept, Waiting};
pub use mcp::McpTools;
pub use model::{Api, Model, ModelError, Said};
pub use offer::{Executor, Toolbox};
pub use person::{Nobody, Person};
pub use result::{Notice, TurnEnd, TurnResult};
pub use stream::Assembler;
pub use turn::{ITERATIONS_MAX, Turn};
