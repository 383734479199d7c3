//! Tells operators of provider failures: of what they can act on at once, of the rest in counts, of nothing twice.
//!
//! [`Reporter`] is the gateway's [`FailureObserver`](weir_core::failure::FailureObserver). What it is told goes into a
//! ledger, which decides by windows of time: the first page of a class, provider and owner is reported at once, what
//! follows it in one summary at the end of each window; what is expected is counted, and becomes one event where it
//! surges over many identities; a request whose every attempt failed is reported once for the providers at fault.
//! What is reported goes to Sentry, if there is a DSN, and as one error line to the log; everything else is one line at
//! the level of demotions. Nothing here waits for anything while a request does.

mod defects;
mod ledger;
mod log;
mod meters;
mod names;
mod notice;
mod reporter;
mod sent;
mod sentry;

pub use log::DemotionLevel;
pub use reporter::{ReportError, ReportOptions, Reporter};
pub use sentry::guard;
