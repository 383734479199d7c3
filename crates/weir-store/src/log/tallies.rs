//! Writes what was counted, now and then.

use std::time::Duration;

use rand::Rng as _;
use tokio::time::Instant;
use weir_core::clock::SharedClock;

use crate::clock::to_ms;
use crate::database::Database;
use crate::keys::hex;
use crate::tally::{Counter, Ledger};

/// Takes the counts of the requests, and writes them as this node's.
pub(super) struct TallyWriter {
    database: Database,
    clock: SharedClock,
    every: Duration,
    next: Instant,
    /// Unlike that of any other node, and of this one before it was started.
    node: String,
    ledger: Ledger,
    warned: bool,
}

impl TallyWriter {
    pub(super) fn new(database: Database, clock: SharedClock, every: Duration) -> Self {
        let mut node = [0; 8];
        rand::rng().fill_bytes(&mut node);
        let next = Instant::now() + every;
        Self { database, clock, every, next, node: hex(&node), ledger: Ledger::default(), warned: false }
    }

    /// Writes what there is, if it is time or must be now. What cannot be written is kept and tried again.
    pub(super) async fn write(&mut self, counter: &Counter, now: bool) {
        if !now && Instant::now() < self.next {
            return;
        }
        self.next = Instant::now() + self.every;
        let now_ms = to_ms(self.clock.now());
        self.ledger.enter(&counter.take(), now_ms);
        let rows = self.ledger.rows();
        if rows.is_empty() {
            return;
        }
        match self.database.tallies_write(&self.node, &rows).await {
            Ok(()) => {
                self.ledger.written(now_ms);
                self.warned = false;
            }
            Err(error) if !self.warned => {
                self.warned = true;
                tracing::warn!(%error, "counts cannot be written: they wait in memory");
            }
            Err(_) => {}
        }
    }
}
