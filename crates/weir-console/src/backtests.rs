//! Backtests: what candidate rules would have decided on the recorded decisions.
//!
//! [`run`] is what the command line, the API and the console share. Over HTTP a backtest is a job: it is started, asked
//! after and stopped. Jobs are kept in this process, a bounded number of them, and end with it.

pub(crate) mod http;
pub(crate) mod jobs;
mod run;
mod since;

pub use self::run::{Asked, Progress, run};
pub use self::since::{SinceError, parse_time};

pub(crate) use self::jobs::{Job, JobState, Jobs};
