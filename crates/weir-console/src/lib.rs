//! The admin plane: the API (rules, keys, decisions, identities, health), the console and the abuse service.
//!
//! [`router`] makes it of its [`Parts`], [`serve()`] puts it on a listener. [`rulebook`] is also what
//! `weir rules …` writes through.

pub mod abuse;
pub mod access;
mod approvals;
mod assets;
mod audit;
pub mod auth;
pub mod backtests;
mod console;
mod decisions;
pub mod explanation;
mod extract;
mod failures;
mod health;
mod identities;
mod keys;
mod layers;
mod live;
mod openapi;
mod overrides;
mod pages;
pub mod problem;
mod query;
mod routes;
mod rule_stats;
pub mod rulebook;
mod rules;
mod search;
mod serve;
mod session;
mod shown_once;
mod tallies;

pub use access::{AskedCall, PointAnswer, ToolPoint};
pub use console::{DependencyProbe, Parts, RenderMetrics, ReportedAt, router, router_with};
pub use live::Live;
pub use openapi::openapi;
pub use routes::changing as changing_routes;
pub use rulebook::{Applied, ApplyError, Master, Rulebook};
pub use serve::serve;
