//! Defects of weir's own: a panic is told of by its place, once in a window, and never with what it was about.
//!
//! The message of a panic may hold anything, so only one that stands in the program's text is told along. The hook runs
//! wherever the panic happens, whatever that place holds: it waits for nothing and only hands on.

use std::collections::HashMap;
use std::panic::PanicHookInfo;
use std::time::Duration;

use jiff::Timestamp;
use tokio::sync::mpsc::Sender;
use weir_core::clock::SharedClock;

use crate::log::DEFECT;

/// How many defects wait to be told; beyond it they are only counted and logged.
pub(crate) const WAITING_MAX: usize = 64;

/// How many places are told apart at a time.
const PLACES_MAX: usize = 256;

/// A panic.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Defect {
    /// File, line and column of the program's text.
    pub(crate) place: String,
    /// The message, if it is one of the program's text.
    pub(crate) said: Option<&'static str>,
    pub(crate) at: Timestamp,
}

impl Defect {
    fn of(info: &PanicHookInfo<'_>, at: Timestamp) -> Self {
        let place = info.location().map_or_else(|| "an unknown place".to_owned(), ToString::to_string);
        Self { place, said: info.payload().downcast_ref::<&'static str>().copied(), at }
    }

    /// In words, for people.
    pub(crate) fn message(&self) -> String {
        match self.said {
            Some(said) => format!("weir panicked at {}: {said}", self.place),
            None => format!("weir panicked at {}", self.place),
        }
    }
}

/// The hook: logs, counts and hands on.
pub(crate) fn hook(
    waiting: Sender<Defect>,
    clock: SharedClock,
) -> impl Fn(&PanicHookInfo<'_>) + Send + Sync + 'static {
    move |info| {
        let defect = Defect::of(info, clock.now());
        let thread = std::thread::current();
        tracing::error!(
            target: DEFECT,
            place = defect.place,
            thread = thread.name().unwrap_or_default(),
            "{}; this is a defect of weir's own, please report it",
            defect.message()
        );
        metrics::counter!("weir_panics_total").increment(1);
        // Full: the same place has most likely been told of.
        let _ = waiting.try_send(defect);
    }
}

/// When which place was told last.
#[derive(Debug, Default)]
pub(crate) struct Places(HashMap<String, Timestamp>);

impl Places {
    /// Whether the place has not been told of in this window; it is now.
    pub(crate) fn is_news(&mut self, defect: &Defect, window: Duration) -> bool {
        let at = defect.at;
        let open = |since: &Timestamp| {
            Duration::try_from(at.duration_since(*since)).is_ok_and(|passed| passed < window)
        };
        if self.0.len() >= PLACES_MAX {
            self.0.retain(|_, since| open(since));
        }
        let known = self.0.get(&defect.place).is_some_and(open);
        if known || self.0.len() >= PLACES_MAX {
            return false;
        }
        self.0.insert(defect.place.clone(), at);
        true
    }
}
