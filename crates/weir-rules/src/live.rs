//! The rules in force, swapped as a whole.

use std::sync::Arc;

use arc_swap::{ArcSwap, Guard};

use crate::set::RuleSet;

/// A rule set and its number.
#[derive(Debug)]
pub struct ActiveRules {
    /// The rules.
    pub rules: RuleSet,
    /// Counts rule changes; carried by every decision.
    pub epoch: u64,
}

/// The cell that holds the rules in force. Readers are never blocked and see one whole set; a swap is atomic.
#[derive(Debug)]
pub struct LiveRules(ArcSwap<ActiveRules>);

impl LiveRules {
    /// Begins with these rules.
    #[must_use]
    pub fn new(rules: RuleSet, epoch: u64) -> Self {
        Self(ArcSwap::from_pointee(ActiveRules { rules, epoch }))
    }

    /// The rules in force, to keep for as long as one likes.
    #[must_use]
    pub fn load(&self) -> Arc<ActiveRules> {
        self.0.load_full()
    }

    /// The rules in force, to read now: cheaper than [`Self::load`], but must not be held across an await.
    #[must_use]
    pub fn peek(&self) -> Guard<Arc<ActiveRules>> {
        self.0.load()
    }

    /// Puts other rules in force.
    pub fn swap(&self, rules: RuleSet, epoch: u64) {
        self.0.store(Arc::new(ActiveRules { rules, epoch }));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_swap_is_seen_by_the_next_reader_and_not_by_an_earlier_one() {
        let live = LiveRules::new(RuleSet::default(), 1);
        let before = live.load();
        live.swap(RuleSet::default(), 2);
        assert_eq!((before.epoch, live.load().epoch, live.peek().epoch), (1, 2, 2));
    }
}
