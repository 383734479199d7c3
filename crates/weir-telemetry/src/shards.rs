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

    /// Goes from buffer to buffer and takes what is there; `spare` is put in the place of what is taken, so that who gives
    /// back there what it has read makes the same buffers go round.
    pub(crate) fn take_next(&self, at: &mut usize, spare: &mut Vec<u8>) -> Option<Shard> {
        loop {
            let shard = self.shards.get(*at)?;
            *at += 1;
            let mut shard = shard.lock().unwrap_or_else(PoisonError::into_inner);
            if shard.count > 0 || shard.dropped > 0 {
                spare.clear();
                let next = Shard { bytes: std::mem::take(spare), ..Shard::default() };
                return Some(std::mem::replace(&mut *shard, next));
            }
        }
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
        let taken = shards.take_next(&mut 0, &mut Vec::from(*b"old")).unwrap();
        assert_eq!((taken.bytes.len(), taken.count, taken.dropped), (12, 4, 4));
        assert!(shards.take_next(&mut 0, &mut Vec::new()).is_none());
        shards.write(1, |out| {
            out.push(b'x');
            1
        });
        let mut at = 0;
        assert_eq!(shards.take_next(&mut at, &mut Vec::new()).unwrap().bytes, b"x");
        assert!(shards.take_next(&mut at, &mut Vec::new()).is_none());
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
