//! Bytes on their way from the threads that serve to the one that sends: each thread has a buffer of its own, so that none
//! waits for another, and each buffer has a bound.

use std::cell::Cell;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Mutex, PoisonError};

use tokio::sync::Notify;

/// Buffers; threads beyond so many share.
const SHARDS: usize = 16;

/// The buffers, bounded one by one.
pub(crate) struct Shards {
    shards: Vec<Mutex<Shard>>,
    bytes_max: usize,
    wake_at: usize,
    wake: Notify,
}

/// What one buffer holds.
#[derive(Default)]
pub(crate) struct Shard {
    pub(crate) bytes: Vec<u8>,
    /// How many things are written in it.
    pub(crate) count: u64,
    /// How many found no room.
    pub(crate) dropped: u64,
}

fn number() -> usize {
    static THREADS: AtomicUsize = AtomicUsize::new(0);
    thread_local! {
        static NUMBER: Cell<Option<usize>> = const { Cell::new(None) };
    }
    NUMBER.with(|number| {
        let known = number.get().unwrap_or_else(|| THREADS.fetch_add(1, Ordering::Relaxed) % SHARDS);
        number.set(Some(known));
        known
    })
}

impl Shards {
    /// Buffers that hold at most `bytes_max` each, but for the last thing written, and wake the sender at `wake_at`.
    pub(crate) fn new(bytes_max: usize, wake_at: usize) -> Self {
        let shards = std::iter::repeat_with(Mutex::default).take(SHARDS).collect();
        Self { shards, bytes_max, wake_at, wake: Notify::new() }
    }

    /// Writes things, if there is room. `write` says how many there are.
    pub(crate) fn write(&self, expected: u64, write: impl FnOnce(&mut Vec<u8>) -> u64) {
        let Some(shard) = self.shards.get(number()) else { return };
        let mut shard = shard.lock().unwrap_or_else(PoisonError::into_inner);
        let before = shard.bytes.len();
        if before >= self.bytes_max {
            shard.dropped += expected;
            return;
        }
        let written = write(&mut shard.bytes);
        shard.count += written;
        let after = shard.bytes.len();
        drop(shard);
        if before < self.wake_at && after >= self.wake_at {
            self.wake.notify_one();
        }
    }

    /// Takes what is there, buffer by buffer.
    pub(crate) fn take(&self) -> impl Iterator<Item = Shard> + '_ {
        self.shards.iter().filter_map(|shard| {
            let mut shard = shard.lock().unwrap_or_else(PoisonError::into_inner);
            if shard.count == 0 && shard.dropped == 0 {
                return None;
            }
            // As much will come again: growing step by step would copy it several times.
            let next = Shard { bytes: Vec::with_capacity(shard.bytes.len()), ..Shard::default() };
            Some(std::mem::replace(&mut *shard, next))
        })
    }

    /// Waits until a buffer has enough for being sent.
    pub(crate) async fn filled(&self) {
        self.wake.notified().await;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_finds_no_room_is_counted_and_what_was_taken_makes_room() {
        let shards = Shards::new(10, 5);
        for _ in 0..4 {
            shards.write(2, |out| {
                out.extend_from_slice(b"123456");
                2
            });
        }
        let taken: Vec<_> =
            shards.take().map(|shard| (shard.bytes.len(), shard.count, shard.dropped)).collect();
        assert_eq!(taken, [(12, 4, 4)]);
        assert_eq!(shards.take().count(), 0);
        shards.write(1, |out| {
            out.push(b'x');
            1
        });
        assert_eq!(shards.take().map(|shard| shard.bytes).collect::<Vec<_>>(), [b"x"]);
    }

    #[tokio::test]
    async fn the_sender_is_woken_when_there_is_enough() {
        let shards = Shards::new(10, 5);
        shards.write(1, |out| {
            out.extend_from_slice(b"123456");
            1
        });
        shards.filled().await;
    }
}
