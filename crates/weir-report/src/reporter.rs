//! The reporter: told by the gateway, it enters what failed, tells what is to be told, logs and counts the rest.

use std::panic::PanicHookInfo;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, Weak};
use std::time::Duration;

use arc_swap::{ArcSwap, ArcSwapOption};
use sentry::types::Dsn;
use tokio::sync::Notify;
use tokio::sync::mpsc::{Receiver, Sender, channel};
use tokio_util::task::AbortOnDropHandle;
use weir_core::Timestamp;
use weir_core::clock::SharedClock;
use weir_core::failure::{AllExhausted, FailureEvent, FailureObserver};
use weir_core::secret::{Secret, expose};
use weir_core::stop::RuleStop;

use crate::defects::{self, Defect, Places, WAITING_MAX};
use crate::ledger::{Ledger, Verdict};
use crate::log::{self, DemotionLevel};
use crate::meters::{Meters, Outcome};
use crate::notice::Notice;
use crate::sent::Sent;
use crate::sentry::Sentry;

/// How a reporter reports.
#[derive(Clone, Debug)]
pub struct ReportOptions {
    /// Where events go; without it they are lines of the log only.
    pub sentry_dsn: Option<Secret>,
    /// Which version of the program this is, such as `weir@1.2.3`.
    pub release: String,
    /// Where it runs, in the operator's word.
    pub environment: Option<String>,
    /// One event for each class, provider and owner in this time, but for the first.
    pub window: Duration,
    /// The level of the log's lines of failures that are not reported.
    pub level: DemotionLevel,
}

/// The reporter cannot be made.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum ReportError {
    /// The DSN cannot be read.
    #[error("this is no DSN of Sentry: {0}; it looks like `https://KEY@HOST/PROJECT`")]
    Dsn(String),
}

/// Tells of failures. Clones are the same reporter.
#[derive(Clone)]
pub struct Reporter {
    inner: Arc<Inner>,
    _windows: Arc<AbortOnDropHandle<()>>,
    _defects: Arc<AbortOnDropHandle<()>>,
}

struct Inner {
    clock: SharedClock,
    ledger: Mutex<Ledger>,
    /// A window was opened.
    opened: Notify,
    sentry: ArcSwapOption<Sentry>,
    options: ArcSwap<ReportOptions>,
    meters: Meters,
    sent: Sent,
    /// Where the hook leaves what it has met.
    defects: Sender<Defect>,
}

impl Reporter {
    /// Begins to report; must be called within the runtime, which turns the windows and sends.
    ///
    /// # Errors
    /// The DSN cannot be read.
    pub fn start(options: ReportOptions, clock: SharedClock) -> Result<Self, ReportError> {
        let sentry = sentry(&options, &clock)?;
        let (defects, coming) = channel(WAITING_MAX);
        let inner = Arc::new(Inner {
            defects,
            ledger: Mutex::new(Ledger::new(options.window)),
            opened: Notify::new(),
            sentry: ArcSwapOption::new(sentry.map(Arc::new)),
            options: ArcSwap::from_pointee(options),
            meters: Meters::new(),
            sent: Sent::default(),
            clock,
        });
        let windows = AbortOnDropHandle::new(tokio::spawn(turn_windows(inner.clone())));
        let told = AbortOnDropHandle::new(tokio::spawn(tell_defects(Arc::downgrade(&inner), coming)));
        Ok(Self { inner, _windows: Arc::new(windows), _defects: Arc::new(told) })
    }

    /// What [`std::panic::set_hook`] is given, so that a defect of weir's own is reported: one event for each place in a
    /// window, and one line of the log for each panic. What a panic was about is told nowhere.
    pub fn panic_hook(&self) -> impl Fn(&PanicHookInfo<'_>) + Send + Sync + 'static {
        defects::hook(self.inner.defects.clone(), self.inner.clock.clone())
    }

    /// When a report of failures of this class, provider and owner was last handed to Sentry by this process.
    #[must_use]
    pub fn sent_at(&self, class: &str, provider: &str, owner: &str) -> Option<Timestamp> {
        self.inner.sent.at(class, provider, owner)
    }

    /// Reports by other options from now on. What is under way to the old place still gets there.
    ///
    /// # Errors
    /// The DSN cannot be read; the old options stay.
    pub fn reload(&self, options: ReportOptions) -> Result<(), ReportError> {
        let inner = &self.inner;
        let running = inner.options.load();
        if target(&running) != target(&options) {
            let next = sentry(&options, &inner.clock)?;
            if let Some(old) = inner.sentry.swap(next.map(Arc::new)) {
                tokio::spawn(async move { old.flush(LEAVE_MAX).await });
            }
        }
        inner.ledger().set_length(options.window);
        inner.options.store(Arc::new(options));
        Ok(())
    }

    /// Tells what the open windows hold, and waits until it was sent, but no longer than that. False when time ran out.
    pub async fn shutdown(&self, deadline: Duration) -> bool {
        let told = self.inner.ledger().finish(self.inner.clock.now());
        self.inner.tell_all(told);
        match self.inner.sentry.load_full() {
            Some(sentry) => sentry.flush(deadline).await,
            None => true,
        }
    }
}

/// How long a Sentry that was replaced has to send what it holds.
const LEAVE_MAX: Duration = Duration::from_secs(30);

/// What a client of Sentry is made of.
fn target(options: &ReportOptions) -> (Option<&str>, &str, Option<&str>) {
    (options.sentry_dsn.as_ref().map(expose), &options.release, options.environment.as_deref())
}

fn sentry(options: &ReportOptions, clock: &SharedClock) -> Result<Option<Sentry>, ReportError> {
    let Some(dsn) = &options.sentry_dsn else { return Ok(None) };
    let dsn: Dsn = expose(dsn)
        .parse()
        .map_err(|error: sentry::types::ParseDsnError| ReportError::Dsn(error.to_string()))?;
    Ok(Some(Sentry::new(dsn, &options.release, options.environment.as_deref(), clock.clone())))
}

impl Inner {
    fn ledger(&self) -> MutexGuard<'_, Ledger> {
        self.ledger.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Enters something, and tells whether a window was opened.
    fn enter(&self, entry: impl FnOnce(&mut Ledger) -> Verdict) -> (Verdict, bool) {
        let mut ledger = self.ledger();
        let windows = ledger.windows();
        let verdict = entry(&mut ledger);
        (verdict, ledger.windows() != windows)
    }

    /// Tells one notice; false when the guard dropped it.
    fn tell(&self, notice: &Notice) -> bool {
        let mut id = None;
        if let Some(sentry) = self.sentry.load().as_ref() {
            id = sentry.tell(notice);
            if id.is_none() {
                return false;
            }
        }
        if let (Some(_), Some(event), Some(at)) = (&id, notice.example(), notice.at()) {
            self.sent.note(event, at);
        }
        self.meters.told(notice.kind());
        log::reported(notice, id.as_deref());
        true
    }

    fn tell_all(&self, notices: Vec<Notice>) {
        for notice in notices {
            if !self.tell(&notice)
                && let Some(event) = notice.example()
            {
                log::demoted(self.options.load().level, event, "the guard before Sentry dropped it");
            }
        }
    }

    /// Closes the windows that have ended.
    fn turn(&self) {
        let told = self.ledger().turn(self.clock.now());
        self.tell_all(told);
        if let Some(sentry) = self.sentry.load().as_ref() {
            sentry.tell_dropped();
        }
    }
}

/// Tells of each place once in a window.
async fn tell_defects(inner: Weak<Inner>, mut coming: Receiver<Defect>) {
    let mut places = Places::default();
    while let Some(defect) = coming.recv().await {
        let Some(inner) = inner.upgrade() else { return };
        let window = inner.options.load().window;
        if places.is_news(&defect, window) {
            inner.tell(&Notice::Defect(defect));
        }
    }
}

/// Waits for the ends of windows.
async fn turn_windows(inner: Arc<Inner>) {
    loop {
        let next = inner.ledger().next_end();
        let Some(next) = next else {
            inner.opened.notified().await;
            continue;
        };
        let wait = Duration::try_from(next.duration_since(inner.clock.now())).unwrap_or_default();
        tokio::select! {
            () = inner.clock.sleep(wait) => inner.turn(),
            () = inner.opened.notified() => {}
        }
    }
}

impl FailureObserver for Reporter {
    fn failed(&self, event: &FailureEvent) {
        let inner = &self.inner;
        let (verdict, opened) = inner.enter(|ledger| ledger.failed(event));
        let (outcome, why) = match verdict {
            Verdict::Tell(notice) if inner.tell(&notice) => (Outcome::Reported, ""),
            Verdict::Tell(_) => (Outcome::Suppressed, "the guard before Sentry dropped it"),
            Verdict::Folded => (Outcome::Suppressed, "it was, and its window's summary will count this one"),
            Verdict::Expected => (Outcome::Expected, "nobody is called for it"),
        };
        if outcome != Outcome::Reported {
            log::demoted(inner.options.load().level, event, why);
        }
        inner.meters.failed(event, outcome);
        if opened {
            inner.opened.notify_one();
        }
    }

    fn all_exhausted(&self, request: &AllExhausted) {
        let inner = &self.inner;
        let (verdict, opened) = inner.enter(|ledger| ledger.all_exhausted(request));
        let outcome = match verdict {
            Verdict::Tell(notice) if inner.tell(&notice) => Outcome::Reported,
            Verdict::Tell(_) | Verdict::Folded => Outcome::Suppressed,
            Verdict::Expected => Outcome::Expected,
        };
        inner.meters.all_exhausted(request, outcome);
        if opened {
            inner.opened.notify_one();
        }
    }

    fn rule_stopped(&self, stop: &RuleStop) {
        // The gateway has written the line of the log.
        self.inner.tell(&Notice::Stopped(stop.clone()));
    }
}
