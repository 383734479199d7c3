//! The abuse service (spec A9): one weir, or the seed's own gateway, can use another weir as its classifier.

pub(crate) mod asked;
pub(crate) mod classify;
pub(crate) mod cost;
pub mod events;
pub(crate) mod facts;
pub mod protocol;
