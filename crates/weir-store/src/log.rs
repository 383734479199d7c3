//! The background log: records on their way to the database.
//!
//! Filing never waits and never does I/O: it encodes a record and puts it into a bounded queue. A task of its own makes
//! blocks and writes them. When the queue is full, decisions of `nothing` are dropped first; an enforced one waits for room
//! in a second, equally bounded queue, at most the store's deadline. Whatever is dropped is counted in
//! `weir_records_dropped_total`.

mod tallies;

use std::collections::VecDeque;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use tokio::sync::{Notify, oneshot};
use tokio::time::Instant;
use weir_core::Action;
use weir_core::clock::SharedClock;
use weir_core::record::Record;
use weir_core::words::counted;

use crate::database::block::{Prepared, blocks};
use crate::database::{Database, Merging, Retention};
use crate::error::{ErrorKind, Result, StoreError};
use crate::tally::Counter;
use tallies::TallyWriter;

/// How the background log works.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct RecorderOptions {
    /// Records that may wait for being written; enforced ones that wait for room come on top, as many again.
    pub queue_max: usize,
    /// How long a record waits for company.
    pub flush_every: Duration,
    /// Records of one transaction.
    pub batch_max: usize,
    /// How long an enforced decision waits for room.
    pub deadline: Duration,
    /// How long [`Recorder::flush`] waits for the database.
    pub flush_deadline: Duration,
    /// How long records are kept.
    pub retention: Retention,
    /// How often the pruning runs.
    pub prune_every: Duration,
    /// How often what was counted is written ([`crate::tally`]).
    pub tally_every: Duration,
}

impl Default for RecorderOptions {
    /// 20,000 records (about 15 MB), written every 100 ms by up to 1,000, pruned every ten minutes; counts each second.
    fn default() -> Self {
        Self {
            queue_max: 20_000,
            flush_every: Duration::from_millis(100),
            batch_max: 1_000,
            deadline: Duration::from_secs(2),
            flush_deadline: Duration::from_secs(5),
            retention: Retention::default(),
            prune_every: Duration::from_secs(600),
            tally_every: Duration::from_secs(1),
        }
    }
}

/// Files records in the background. Cheap to clone; the task ends, having written what it can, with the last clone.
#[derive(Clone)]
pub struct Recorder {
    handle: Arc<Handle>,
}

/// Tells the task when nobody can file any more.
struct Handle {
    shared: Arc<Shared>,
}

impl Drop for Handle {
    fn drop(&mut self) {
        self.shared.queue().closed = true;
        self.shared.wake.notify_one();
    }
}

struct Shared {
    options: RecorderOptions,
    queue: Mutex<Queue>,
    wake: Notify,
    dropped: AtomicU64,
    counter: Counter,
}

/// Whether this decision did something to somebody, or tried to; a rule's limit that was exceeded did.
fn is_enforced(record: &Record) -> bool {
    const ROUTINE: [&str; 3] = [Action::Nothing.as_str(), Action::Log.as_str(), "allow"];
    !ROUTINE.contains(&record.enforced().0)
}

#[derive(Default)]
struct Queue {
    // Behind a pointer: a queue that grows moves what it holds, while requests wait for the lock.
    enforced: VecDeque<Arc<Prepared>>,
    routine: VecDeque<Arc<Prepared>>,
    /// Enforced ones that wait for room, with the time at which they have waited long enough.
    waiting: VecDeque<(Instant, Arc<Prepared>)>,
    /// Taken by the task and not yet written.
    writing: usize,
    flushers: Vec<oneshot::Sender<()>>,
    closed: bool,
}

impl Queue {
    fn len(&self) -> usize {
        self.enforced.len() + self.routine.len() + self.writing
    }
}

impl Shared {
    fn queue(&self) -> MutexGuard<'_, Queue> {
        self.queue.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Recorder {
    /// Starts the background task on the current runtime. `clock` is the time by which records grow old.
    #[must_use]
    pub fn start(database: Database, options: RecorderOptions, clock: SharedClock) -> Self {
        let shared = Arc::new(Shared {
            options,
            queue: Mutex::default(),
            wake: Notify::new(),
            dropped: AtomicU64::new(0),
            counter: Counter::default(),
        });
        let tallies = TallyWriter::new(database.clone(), clock.clone(), options.tally_every);
        let shared_with = Arc::clone(&shared);
        let writer = Writer { database: database.clone(), shared: shared_with, warned: false, tallies };
        tokio::spawn(writer.run());
        tokio::spawn(merge(database.clone(), Arc::clone(&shared), clock.clone()));
        tokio::spawn(prune(database, Arc::clone(&shared), clock));
        Self { handle: Arc::new(Handle { shared }) }
    }

    /// Files a record. Never blocks and never fails: what cannot be kept is counted.
    ///
    /// It is encoded here and now: it is small while it waits, and its texts are given back by the thread that made them.
    pub fn file(&self, record: &Record) {
        let shared = &self.handle.shared;
        // Before anything can drop it: the counts are complete.
        shared.counter.note(record);
        let prepared = match Prepared::of(record) {
            Ok(prepared) => Arc::new(prepared),
            Err(error) => {
                tracing::error!(%error, "a record cannot be kept");
                return shared.drop_some("refused", 1);
            }
        };
        let wake = {
            let mut queue = shared.queue();
            shared.admit(&mut queue, prepared, is_enforced(record));
            queue.enforced.len() + queue.routine.len() >= shared.options.batch_max
        };
        if wake {
            shared.wake.notify_one();
        }
    }

    /// Records that are not yet written.
    #[must_use]
    pub fn pending(&self) -> usize {
        let queue = self.handle.shared.queue();
        queue.len() + queue.waiting.len()
    }

    /// Records that were dropped since the start, for want of room or because the database refused them.
    #[must_use]
    pub fn dropped(&self) -> u64 {
        self.handle.shared.dropped.load(Ordering::Relaxed)
    }

    /// Waits until everything that was filed before is written.
    ///
    /// # Errors
    /// `Timeout` when the database does not take it within the flush deadline.
    pub async fn flush(&self) -> Result<()> {
        let (done, written) = oneshot::channel();
        self.handle.shared.queue().flushers.push(done);
        self.handle.shared.wake.notify_one();
        match tokio::time::timeout(self.handle.shared.options.flush_deadline, written).await {
            Ok(Ok(())) => Ok(()),
            Ok(Err(_)) | Err(_) => {
                let message = format!("{} could not be written in time", counted(self.pending(), "record"));
                Err(StoreError::new(ErrorKind::Timeout, message))
            }
        }
    }
}

impl Shared {
    /// Finds room for a record, if need be that of a `nothing`; drops and counts what finds none.
    fn admit(&self, queue: &mut Queue, record: Arc<Prepared>, enforced: bool) {
        let full = queue.len() >= self.options.queue_max;
        match (full, enforced) {
            (false, true) => queue.enforced.push_back(record),
            (false, false) => queue.routine.push_back(record),
            (true, false) => self.drop_some("routine", 1),
            (true, true) if queue.routine.pop_front().is_some() => {
                self.drop_some("routine", 1);
                queue.enforced.push_back(record);
            }
            (true, true) if queue.waiting.len() < self.options.queue_max => {
                queue.waiting.push_back((Instant::now() + self.options.deadline, record));
            }
            (true, true) => self.drop_some("enforced", 1),
        }
    }

    fn drop_some(&self, kind: &'static str, count: usize) {
        if count > 0 {
            self.dropped.fetch_add(count as u64, Ordering::Relaxed);
            metrics::counter!("weir_records_dropped_total", "kind" => kind).increment(count as u64);
        }
    }

    /// Moves those that wait into the room that there is, and lets go of those that have waited long enough.
    fn settle(&self, queue: &mut Queue) {
        while queue.len() < self.options.queue_max {
            let Some((_, record)) = queue.waiting.pop_front() else { break };
            queue.enforced.push_back(record);
        }
        let now = Instant::now();
        while queue.waiting.front().is_some_and(|(until, _)| *until <= now) {
            queue.waiting.pop_front();
            self.drop_some("enforced", 1);
        }
    }
}

/// How long the writer waits before it tries a batch again, at first and at most.
const RETRY_FIRST: Duration = Duration::from_millis(100);
const RETRY_MAX: Duration = Duration::from_secs(2);

/// What became of records.
enum Persisted {
    /// They are on the disk.
    Yes,
    /// The database will not have them.
    Refused,
    /// The database is away, and nobody can file any more.
    Away,
}

/// Records that are written in one transaction.
type Batch = Arc<Vec<Arc<Prepared>>>;

struct Writer {
    database: Database,
    shared: Arc<Shared>,
    warned: bool,
    tallies: TallyWriter,
}

impl Writer {
    async fn run(mut self) {
        loop {
            let every = self.shared.options.flush_every;
            // Either is a reason to look.
            let _ = tokio::time::timeout(every, self.shared.wake.notified()).await;
            let flushers = std::mem::take(&mut self.shared.queue().flushers);
            let written = self.write_all(!flushers.is_empty()).await;
            let closed = self.shared.queue().closed;
            self.tallies.write(&self.shared.counter, closed || !flushers.is_empty()).await;
            for flusher in flushers {
                // Whoever asked may have stopped waiting.
                let _ = flusher.send(());
            }
            let queue = self.shared.queue();
            if queue.closed && (!written || queue.len() == 0) {
                return;
            }
        }
    }

    /// Writes what is queued now, batch by batch; when it is for a flush, until nothing is left.
    async fn write_all(&mut self, flush: bool) -> bool {
        loop {
            let batch = self.take();
            let full = batch.len() >= self.shared.options.batch_max;
            if batch.is_empty() {
                return true;
            }
            let count = batch.len();
            let written = self.write(batch).await;
            self.shared.queue().writing -= count;
            if !written || !(flush || full) {
                return written;
            }
        }
    }

    fn take(&self) -> Batch {
        let mut queue = self.shared.queue();
        self.shared.settle(&mut queue);
        let mut batch = Vec::new();
        while batch.len() < self.shared.options.batch_max {
            let Some(record) = queue.enforced.pop_front().or_else(|| queue.routine.pop_front()) else {
                break;
            };
            batch.push(record);
        }
        queue.writing = batch.len();
        metrics::gauge!("weir_records_queued").set(queue.len() as f64);
        Arc::new(batch)
    }

    /// Writes a batch however long the database is away. Of one that it refuses, only the records that it refuses by
    /// themselves are lost. Says no when nobody can file any more and the database is still away.
    async fn write(&mut self, batch: Batch) -> bool {
        match self.persist(Arc::clone(&batch)).await {
            Persisted::Yes => return true,
            Persisted::Away => return false,
            Persisted::Refused => {}
        }
        for record in batch.iter() {
            match self.persist(Arc::new(vec![Arc::clone(record)])).await {
                Persisted::Yes => {}
                Persisted::Away => return false,
                Persisted::Refused => self.shared.drop_some("refused", 1),
            }
        }
        true
    }

    async fn persist(&mut self, batch: Batch) -> Persisted {
        let records = batch.len();
        // On a thread of its own: a large batch would keep requests waiting for milliseconds.
        let made = tokio::task::spawn_blocking(move || blocks(batch.iter().map(AsRef::as_ref))).await;
        let refused = |error: &dyn std::fmt::Display| {
            tracing::error!(%error, records, "the database refused records");
            Persisted::Refused
        };
        let blocks = match made {
            Ok(Ok(blocks)) => blocks,
            Ok(Err(error)) => return refused(&error),
            Err(error) => return refused(&error),
        };
        let mut pause = RETRY_FIRST;
        loop {
            match self.database.write_blocks(&blocks).await {
                Ok(()) => {
                    self.recovered();
                    metrics::counter!("weir_records_written_total").increment(records as u64);
                    return Persisted::Yes;
                }
                Err(error) if error.kind().is_outage() => self.warn(&error),
                Err(error) => return refused(&error),
            }
            if self.is_over() {
                return Persisted::Away;
            }
            tokio::time::sleep(pause).await;
            pause = (pause * 2).min(RETRY_MAX);
        }
    }

    /// Lets go of those that have waited long enough; of everything when nobody can file any more.
    fn is_over(&self) -> bool {
        let mut queue = self.shared.queue();
        self.shared.settle(&mut queue);
        if queue.closed {
            self.shared.drop_some("unwritten", queue.len() + queue.waiting.len());
        }
        queue.closed
    }

    fn warn(&mut self, error: &StoreError) {
        if !self.warned {
            tracing::warn!(error = %error, "records cannot be written: they wait in memory");
            self.warned = true;
        }
    }

    fn recovered(&mut self) {
        if self.warned {
            tracing::info!("records are written again");
            self.warned = false;
        }
    }
}

/// How often small blocks are merged.
const MERGE_EVERY: Duration = Duration::from_secs(60);

/// Merges small blocks now and then until nobody can file any more.
async fn merge(database: Database, shared: Arc<Shared>, clock: SharedClock) {
    let mut merging = Merging::default();
    loop {
        tokio::time::sleep(MERGE_EVERY).await;
        if shared.queue().closed {
            return;
        }
        match database.merge_blocks(&mut merging, clock.now()).await {
            Ok(fewer) => tracing::debug!(fewer, "small blocks of records were merged"),
            Err(error) => tracing::warn!(%error, "small blocks of records could not be merged"),
        }
    }
}

/// Prunes now and then until nobody can file any more.
async fn prune(database: Database, shared: Arc<Shared>, clock: SharedClock) {
    loop {
        tokio::time::sleep(shared.options.prune_every).await;
        if shared.queue().closed {
            return;
        }
        match database.prune(&shared.options.retention, clock.now()).await {
            Ok(pruned) => tracing::debug!(?pruned, "old records were deleted"),
            Err(error) => tracing::warn!(error = %error, "old records could not be deleted"),
        }
        if let Err(error) = database.tallies_prune(clock.now()).await {
            tracing::warn!(%error, "old counts could not be deleted");
        }
    }
}
