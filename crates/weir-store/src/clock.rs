//! The clock that ticks: the system's time of day and the runtime's timer.

use std::sync::Arc;
use std::time::Duration;

use weir_core::Timestamp;
use weir_core::clock::{Clock, SharedClock, Sleep};

/// The system's clock. The only place of weir that reads it.
#[derive(Clone, Copy, Debug, Default)]
pub struct SystemClock;

impl SystemClock {
    /// The system's clock as the parts of weir take it.
    #[must_use]
    pub fn shared() -> SharedClock {
        Arc::new(Self)
    }
}

impl Clock for SystemClock {
    #[expect(
        clippy::disallowed_methods,
        reason = "this is the one place that everything else takes its time from"
    )]
    fn now(&self) -> Timestamp {
        Timestamp::now()
    }

    fn sleep(&self, duration: Duration) -> Sleep {
        Box::pin(tokio::time::sleep(duration))
    }
}

/// Milliseconds since 1970, as times are stored.
pub(crate) fn to_ms(at: Timestamp) -> i64 {
    at.as_millisecond()
}

/// The time of so many milliseconds since 1970; 1970 itself for what is out of range.
pub(crate) fn from_ms(ms: i64) -> Timestamp {
    Timestamp::from_millisecond(ms).unwrap_or_default()
}
