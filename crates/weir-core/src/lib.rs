//! The nouns of weir: identity, action, decision, classification, permission level, ids.
//!
//! Everything here is a value. This crate knows no HTTP, no SQL, no async runtime, no clock and no
//! randomness: what it needs of them it takes as a parameter. All other crates speak its words.

pub mod action;
pub mod address;
pub mod api;
pub mod clock;
pub mod decision;
pub mod failure;
pub mod identity;
pub mod ids;
pub mod money;
pub mod name;
pub mod record;
pub mod redact;
pub mod secret;
pub mod stop;
pub mod tool;
pub mod words;

pub use action::Action;
pub use api::ApiKind;
pub use decision::{Boundary, Decision, Errored, Limit, Matched, Mode, Obligation, Outcome, Source};
pub use identity::{IdentityKey, IdentityKind};
pub use ids::DecisionId;
pub use jiff::Timestamp;
