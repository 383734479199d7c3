//! Which classification was about whom, for the cost callback that comes later.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use quick_cache::sync::Cache;
use weir_core::IdentityKey;

/// Classifications that are remembered at most; the least recently used leave first. A callback about a forgotten
/// one, or about one that another node answered, is counted by the members that say whose it is.
const REMEMBERED_MAX: usize = 65_536;

/// The classifications of late.
pub(crate) struct Asked(Cache<u64, Arc<Remembered>>);

/// One classification.
pub(crate) struct Remembered {
    pub(crate) identity: IdentityKey,
    counted: AtomicBool,
}

impl Remembered {
    /// True for the first caller only.
    pub(crate) fn count_once(&self) -> bool {
        !self.counted.swap(true, Ordering::Relaxed)
    }
}

impl Default for Asked {
    fn default() -> Self {
        Self(Cache::new(REMEMBERED_MAX))
    }
}

impl Asked {
    /// Remembers a classification under a new number, above 0 and at most 2^52, which every program can read.
    pub(crate) fn remember(&self, identity: IdentityKey) -> u64 {
        let id = (rand::random::<u64>() >> 12) + 1;
        self.0.insert(id, Arc::new(Remembered { identity, counted: AtomicBool::new(false) }));
        id
    }

    /// The classification with this number.
    pub(crate) fn find(&self, id: u64) -> Option<Arc<Remembered>> {
        self.0.get(&id)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_are_readable_everywhere_and_count_once() {
        let asked = Asked::default();
        for _ in 0..1000 {
            let id = asked.remember(IdentityKey::from_stored("user:a"));
            assert!(id > 0 && id < 1 << 53);
            let found = asked.find(id).unwrap();
            assert!(found.count_once() && !found.count_once());
        }
        assert!(asked.find(0).is_none());
    }
}
