//! What the code under test has logged.

use std::collections::BTreeMap;
use std::fmt::{self, Write as _};
use std::sync::{Arc, Mutex, OnceLock};

use serde_json::Value;
use tokio::sync::Notify;
use tracing::field::{Field, Visit};
use tracing::subscriber::DefaultGuard;
use tracing::{Event, Level, Subscriber};
use tracing_subscriber::layer::{Context, Layer, SubscriberExt};

use crate::deadline::until;

/// One event that was logged.
#[derive(Clone, Debug)]
pub struct LoggedEvent {
    /// Its level.
    pub level: Level,
    /// The module that logged it.
    pub target: String,
    /// Its message.
    pub message: String,
    /// Its other fields; what was recorded with `?` or `%` is a string.
    pub fields: BTreeMap<String, Value>,
}

impl LoggedEvent {
    /// A field; null when it is not there.
    #[must_use]
    pub fn field(&self, name: &str) -> &Value {
        self.fields.get(name).unwrap_or(&Value::Null)
    }
}

impl fmt::Display for LoggedEvent {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} {}: {}", self.level, self.target, self.message)?;
        self.fields.iter().try_for_each(|(name, value)| write!(f, " {name}={value}"))
    }
}

/// Captures events, of all levels, from the moment it was made.
pub struct LogCapture {
    events: Arc<Events>,
    /// Where this capture begins in what several share.
    start: usize,
    _guard: Option<DefaultGuard>,
}

#[derive(Default)]
struct Events {
    list: Mutex<Vec<LoggedEvent>>,
    changed: Notify,
}

impl LogCapture {
    /// Captures what this thread logs, while the capture lives. A `#[tokio::test]` runs all its tasks on one
    /// thread, so this is the one to use there: tests that run beside it are not heard.
    #[must_use]
    pub fn thread() -> Self {
        let events = Arc::new(Events::default());
        let subscriber = tracing_subscriber::registry().with(Capturing(Arc::clone(&events)));
        let guard = tracing::subscriber::set_default(subscriber);
        Self { events, start: 0, _guard: Some(guard) }
    }

    /// Captures what the whole process logs, from now on: for runtimes with several threads. Tests that run
    /// beside it in the same process are heard too, so look for fields that only this test has.
    ///
    /// # Panics
    /// Something else has set the process's subscriber.
    #[must_use]
    pub fn global() -> Self {
        static EVENTS: OnceLock<Arc<Events>> = OnceLock::new();
        let events = EVENTS.get_or_init(|| {
            let events = Arc::new(Events::default());
            let subscriber = tracing_subscriber::registry().with(Capturing(Arc::clone(&events)));
            tracing::subscriber::set_global_default(subscriber).expect("no other subscriber is set");
            events
        });
        let start = events.list.lock().expect("no panic while the lock is held").len();
        Self { events: Arc::clone(events), start, _guard: None }
    }

    /// The events so far, in order.
    #[must_use]
    pub fn events(&self) -> Vec<LoggedEvent> {
        self.events.list.lock().expect("no panic while the lock is held")[self.start..].to_vec()
    }

    /// The events at this level whose message begins so.
    #[must_use]
    pub fn matching(&self, level: Level, message_prefix: &str) -> Vec<LoggedEvent> {
        let fits = |event: &LoggedEvent| event.level == level && event.message.starts_with(message_prefix);
        self.events().into_iter().filter(fits).collect()
    }

    /// Waits until an event of this kind was logged, and gives the first.
    pub async fn wait_for(&self, what: &str, fits: impl Fn(&LoggedEvent) -> bool) -> LoggedEvent {
        let what = format!("a log line: {what}");
        until(&self.events.changed, &what, || self.events().into_iter().find(|event| fits(event))).await
    }

    /// Everything as text, one event a line: to look for what must never be logged.
    #[must_use]
    pub fn text(&self) -> String {
        self.events().iter().fold(String::new(), |mut text, event| {
            let _ = writeln!(text, "{event}");
            text
        })
    }
}

struct Capturing(Arc<Events>);

impl<S: Subscriber> Layer<S> for Capturing {
    fn on_event(&self, event: &Event<'_>, _context: Context<'_, S>) {
        let mut fields = Fields::default();
        event.record(&mut fields);
        let message = fields.0.remove("message");
        self.0.list.lock().expect("no panic while the lock is held").push(LoggedEvent {
            level: *event.metadata().level(),
            target: event.metadata().target().to_owned(),
            message: message.and_then(|text| text.as_str().map(ToOwned::to_owned)).unwrap_or_default(),
            fields: fields.0,
        });
        self.0.changed.notify_waiters();
    }
}

#[derive(Default)]
struct Fields(BTreeMap<String, Value>);

impl Fields {
    fn put(&mut self, field: &Field, value: impl Into<Value>) {
        self.0.insert(field.name().to_owned(), value.into());
    }
}

impl Visit for Fields {
    fn record_debug(&mut self, field: &Field, value: &dyn fmt::Debug) {
        self.put(field, format!("{value:?}"));
    }

    fn record_str(&mut self, field: &Field, value: &str) {
        self.put(field, value);
    }

    fn record_i64(&mut self, field: &Field, value: i64) {
        self.put(field, value);
    }

    fn record_u64(&mut self, field: &Field, value: u64) {
        self.put(field, value);
    }

    fn record_bool(&mut self, field: &Field, value: bool) {
        self.put(field, value);
    }

    fn record_f64(&mut self, field: &Field, value: f64) {
        self.put(field, value);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn events_of_this_thread_are_captured_with_their_fields() {
        let logs = LogCapture::thread();
        tokio::spawn(async {
            tracing::warn!(user = "u1", ms = 2000_u64, list = ?["a"], "SECURITY: delayed")
        });
        let event = logs.wait_for("delayed", |event| event.message.contains("delayed")).await;
        assert_eq!(event.level, Level::WARN);
        assert_eq!((event.field("user"), event.field("ms")), (&Value::from("u1"), &Value::from(2000)));
        assert_eq!(event.field("list"), &Value::from("[\"a\"]"));
        assert_eq!(event.field("absent"), &Value::Null);
        assert_eq!(logs.matching(Level::WARN, "SECURITY:").len(), 1);
        assert!(logs.matching(Level::INFO, "SECURITY:").is_empty());
        assert!(logs.text().contains("ms=2000"));
        std::thread::spawn(|| tracing::warn!("another thread")).join().unwrap();
        assert_eq!(logs.events().len(), 1);
    }

    #[test]
    fn the_whole_process_is_heard_from_now_on() {
        let first = LogCapture::global();
        std::thread::spawn(|| tracing::info!(marker = "from another thread")).join().unwrap();
        let second = LogCapture::global();
        let heard = |logs: &LogCapture| {
            logs.events().iter().filter(|event| event.field("marker") == "from another thread").count()
        };
        assert_eq!((heard(&first), heard(&second)), (1, 0));
    }
}
