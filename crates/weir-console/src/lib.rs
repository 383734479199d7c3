//! The admin plane: rules, keys, decisions, identities, and the abuse service.

pub mod auth;
mod extract;
pub mod problem;
mod serve;

pub use serve::serve;
