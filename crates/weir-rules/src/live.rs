//! The rules in force, swapped as a whole, and which of them the stop-loss has taken back to shadow.

use std::sync::{Arc, Mutex, PoisonError};

use arc_swap::{ArcSwap, Guard};
use weir_core::Decision;

use crate::facts::Facts;
use crate::set::{DecideContext, RuleSet};

/// A rule set, its number, and which of its rules are stopped.
#[derive(Debug)]
pub struct ActiveRules {
    /// The rules, as they were written.
    pub rules: Arc<RuleSet>,
    /// Counts rule changes; carried by every decision.
    pub epoch: u64,
    stops: Stops,
}

impl ActiveRules {
    /// Rules of which none is stopped.
    #[must_use]
    pub fn new(rules: RuleSet, epoch: u64) -> Self {
        Self { rules: Arc::new(rules), epoch, stops: Stops::default() }
    }

    /// Decides on a request; a stopped rule counts as one in shadow.
    #[must_use]
    pub fn decide_request(&self, facts: &Facts<'_>, context: &DecideContext<'_>) -> Decision {
        self.rules.decide_request_without(&self.stops.stopped, facts, context)
    }

    /// Whether the rule is in shadow because it was stopped.
    #[must_use]
    pub fn is_stopped(&self, rule: &str) -> bool {
        self.rules.position(rule).is_some_and(|at| self.stops.stopped.holds(at))
    }

    /// Whether the rule was stopped and an operator has lifted that: the same version is not stopped again.
    #[must_use]
    pub fn is_resumed(&self, rule: &str) -> bool {
        self.rules.position(rule).is_some_and(|at| self.stops.resumed.holds(at))
    }
}

/// Positions in a rule set.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Positions(Box<[usize]>);

impl Positions {
    /// Whether a position is among them.
    #[must_use]
    pub fn holds(&self, at: usize) -> bool {
        self.0.binary_search(&at).is_ok()
    }
}

/// Which rules of a set are stopped, and which were.
#[derive(Clone, Debug, Default)]
struct Stops {
    stopped: Positions,
    resumed: Positions,
}

/// A version of a rule that was stopped.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Stopped {
    /// The rule's id.
    pub rule: Box<str>,
    /// The version of its text.
    pub version: Box<str>,
    /// Whether an operator has lifted it.
    pub resumed: bool,
}

impl Stopped {
    /// A stop that is in force.
    #[must_use]
    pub fn new(rule: &str, version: &str) -> Self {
        Self { rule: rule.into(), version: version.into(), resumed: false }
    }

    fn is_same(&self, other: &Self) -> bool {
        self.rule == other.rule && self.version == other.version
    }
}

impl Stops {
    fn of(rules: &RuleSet, known: &[Stopped]) -> Self {
        let positions = |resumed: bool| {
            let of_set = known.iter().filter(|stop| stop.resumed == resumed).filter_map(|stop| {
                rules.get(&stop.rule).filter(|rule| rule.version == stop.version)?;
                rules.position(&stop.rule)
            });
            let mut all: Vec<usize> = of_set.collect();
            all.sort_unstable();
            Positions(all.into())
        };
        Self { stopped: positions(false), resumed: positions(true) }
    }
}

/// What is known of stops: the store's, and this node's own that the store may not have yet.
#[derive(Debug, Default)]
struct Known {
    stored: Vec<Stopped>,
    own: Vec<Stopped>,
}

impl Known {
    /// The store's word counts where it has one.
    fn all(&self) -> Vec<Stopped> {
        let own = self.own.iter().filter(|own| !self.stored.iter().any(|stored| stored.is_same(own)));
        self.stored.iter().chain(own).cloned().collect()
    }
}

/// The cell that holds the rules in force. Readers are never blocked and see one whole set; a swap is atomic.
#[derive(Debug)]
pub struct LiveRules {
    active: ArcSwap<ActiveRules>,
    /// Held while the rules are swapped.
    known: Mutex<Known>,
}

impl LiveRules {
    /// Begins with these rules.
    #[must_use]
    pub fn new(rules: RuleSet, epoch: u64) -> Self {
        Self { active: ArcSwap::from_pointee(ActiveRules::new(rules, epoch)), known: Mutex::default() }
    }

    /// The rules in force, to keep for as long as one likes.
    #[must_use]
    pub fn load(&self) -> Arc<ActiveRules> {
        self.active.load_full()
    }

    /// The rules in force, to read now: cheaper than [`Self::load`], but must not be held across an await.
    #[must_use]
    pub fn peek(&self) -> Guard<Arc<ActiveRules>> {
        self.active.load()
    }

    /// Puts other rules in force. A version of a rule that is stopped stays stopped.
    pub fn swap(&self, rules: RuleSet, epoch: u64) {
        self.change(|_| (Arc::new(rules), epoch));
    }

    /// Takes versions of rules back to shadow, at once and on this node; the store tells the others.
    pub fn stop(&self, stops: impl IntoIterator<Item = Stopped>) -> Arc<ActiveRules> {
        {
            let mut known = self.known.lock().unwrap_or_else(PoisonError::into_inner);
            for stop in stops {
                if !known.own.iter().any(|own| own.is_same(&stop)) {
                    known.own.push(stop);
                }
            }
        }
        self.again();
        self.load()
    }

    /// Takes over the stops that the store knows.
    pub fn set_stops(&self, stored: Vec<Stopped>) {
        {
            let mut known = self.known.lock().unwrap_or_else(PoisonError::into_inner);
            if known.stored == stored {
                return;
            }
            // What the store has told of is its own from now on.
            known.own.retain(|own| !stored.iter().any(|stop| stop.is_same(own)));
            known.stored = stored;
        }
        self.again();
    }

    /// The same rules with the stops that are known now.
    fn again(&self) {
        self.change(|before| (Arc::clone(&before.rules), before.epoch));
    }

    fn change(&self, next: impl FnOnce(&ActiveRules) -> (Arc<RuleSet>, u64)) {
        let known = self.known.lock().unwrap_or_else(PoisonError::into_inner);
        let (rules, epoch) = next(&self.active.load());
        let stops = Stops::of(&rules, &known.all());
        self.active.store(Arc::new(ActiveRules { rules, epoch, stops }));
    }
}

#[cfg(test)]
mod tests {
    use jiff::Timestamp;

    use super::*;
    use crate::load::{LoadOptions, SourceFile, load};

    fn rules(text: &str) -> RuleSet {
        let file = SourceFile { name: "a.yaml".to_owned(), text: text.to_owned() };
        load(&[file], &LoadOptions { now: Timestamp::UNIX_EPOCH }).expect("good rules").rules
    }

    const TWO: &str = "rules: [{id: a, on: request, when: 'true', then: block}, {id: b, on: request, when: 'true', then: log}]";

    #[test]
    fn a_swap_is_seen_by_the_next_reader_and_not_by_an_earlier_one() {
        let live = LiveRules::new(RuleSet::default(), 1);
        let before = live.load();
        live.swap(RuleSet::default(), 2);
        assert_eq!((before.epoch, live.load().epoch, live.peek().epoch), (1, 2, 2));
    }

    #[test]
    fn a_stop_holds_for_its_version_until_the_store_says_that_it_is_lifted() {
        let live = LiveRules::new(rules(TWO), 1);
        let version = live.load().rules.get("a").expect("it is there").version.clone();
        let stop = Stopped::new("a", &version);
        let stopped = |live: &LiveRules| {
            let active = live.load();
            (active.is_stopped("a"), active.is_resumed("a"), active.is_stopped("b"), active.epoch)
        };
        live.stop([stop.clone()]);
        assert_eq!(stopped(&live), (true, false, false, 1));
        live.set_stops(vec![Stopped::new("z", "other")]);
        assert_eq!(stopped(&live), (true, false, false, 1), "the store has not heard of it yet");
        live.swap(rules(&TWO.replace("id: b", "id: c")), 2);
        assert_eq!(stopped(&live), (true, false, false, 2), "the same version");
        live.swap(rules(&TWO.replace("'true', then: block", "'1 == 1', then: block")), 3);
        assert_eq!(stopped(&live), (false, false, false, 3), "another version");
        live.swap(rules(TWO), 4);
        live.set_stops(vec![stop.clone()]);
        assert_eq!(stopped(&live), (true, false, false, 4));
        live.set_stops(vec![Stopped { resumed: true, ..stop.clone() }]);
        assert_eq!(stopped(&live), (false, true, false, 4));
        live.stop([stop]);
        assert_eq!(stopped(&live), (false, true, false, 4), "once for a version");
    }
}
