//! Sentry, by its SDK's client: events from whitelisted fields, a last guard before they leave, a transport of our own.
//!
//! No hub, no scope and no integration is used: nothing that the process holds can get into an event by itself.

mod event;
pub mod guard;
mod limits;
mod transport;

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use sentry::types::Dsn;
use sentry::{Client, ClientOptions, Envelope};
use weir_core::clock::SharedClock;

use crate::names::Names;
use crate::notice::Notice;
use transport::{Http, Sending};

/// How many models are told apart by a tag.
const MODELS_MAX: usize = 200;

/// Where events go.
pub(crate) struct Sentry {
    client: Client,
    sending: Sending,
    models: Names,
    /// How many events the guard has dropped since Sentry was told of it.
    dropped: Arc<AtomicU64>,
}

impl Sentry {
    /// Makes ready to send; must be called within the runtime, which does the sending.
    pub(crate) fn new(dsn: Dsn, release: &str, environment: Option<&str>, clock: SharedClock) -> Self {
        let (transport, sending) = Http::new(clock);
        let dropped = Arc::new(AtomicU64::new(0));
        let counted = dropped.clone();
        let mut options = ClientOptions::new()
            .default_integrations(false)
            .send_default_pii(false)
            .release(release.to_owned())
            .transport(transport)
            .before_send(move |event| {
                let passed = guard::pass(event);
                if passed.is_none() {
                    counted.fetch_add(1, Ordering::Relaxed);
                }
                passed
            });
        if let Some(environment) = environment {
            options = options.environment(environment.to_owned());
        }
        options.dsn = Some(dsn);
        Self { client: Client::with_options(options), sending, models: Names::at_most(MODELS_MAX), dropped }
    }

    /// Sends one event, and gives its id; none when the guard dropped it.
    pub(crate) fn tell(&self, notice: &Notice) -> Option<String> {
        let event = event::of(notice, |model| self.models.known(model).to_owned());
        let id = self.client.capture_event(event, None);
        (!id.is_nil()).then(|| id.simple().to_string())
    }

    /// Tells Sentry of what the guard has dropped, if no event has taken it along.
    pub(crate) fn tell_dropped(&self) {
        if self.dropped.swap(0, Ordering::Relaxed) > 0 {
            // The client adds what it lost to whatever it sends; an envelope with nothing in it is not sent.
            self.client.send_envelope(Envelope::new());
        }
    }

    /// Waits until everything was sent, but no longer than that.
    pub(crate) async fn flush(&self, deadline: Duration) -> bool {
        self.tell_dropped();
        self.sending.flush(deadline).await
    }
}
