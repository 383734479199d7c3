//! Counting while records go by: bounded, whatever they hold.

use std::collections::{HashMap, HashSet, VecDeque};
use std::hash::BuildHasher;

use foldhash::fast::RandomState;
use weir_core::DecisionId;
use weir_core::record::Past;

use super::report::{Change, Effect, Share, Transition};

/// Identities that are told apart in all counts together, 16 bytes each. Beyond, counts of identities are "at least".
pub(super) const IDENTITIES_MAX: usize = 1 << 22;

/// Names that one breakdown tells apart; those that come later are counted together.
const NAMES_MAX: usize = 10_000;

/// Names of a breakdown that a report lists.
const NAMES_LISTED: usize = 20;

/// Transitions that are told apart: pairs of outcomes, of which weir has few.
const TRANSITIONS_MAX: usize = 1_000;

/// What those are counted as that came too late for a name of their own.
const OTHERS: &str = "(others)";

/// Who a record is about.
#[derive(Clone, Copy)]
pub(super) struct Whom<'p> {
    pub(super) subject: &'p str,
    pub(super) hash: u64,
    pub(super) plan: &'p str,
    pub(super) key_id: &'p str,
    pub(super) own_key: bool,
    pub(super) id: DecisionId,
}

impl<'p> Whom<'p> {
    pub(super) fn of(past: &Past<'p>, hasher: &RandomState) -> Self {
        Self {
            subject: past.subject,
            hash: hasher.hash_one(past.subject),
            plan: past.facts.identity.plan,
            key_id: past.key_id.unwrap_or_default(),
            own_key: past.facts.request.byok,
            id: past.id,
        }
    }

    fn pays(&self) -> bool {
        !matches!(self.plan, "" | "free")
    }
}

/// What is left of [`IDENTITIES_MAX`].
pub(super) struct Room {
    left: usize,
    pub(super) exact: bool,
}

impl Default for Room {
    fn default() -> Self {
        Self { left: IDENTITIES_MAX, exact: true }
    }
}

/// Different identities.
#[derive(Default)]
pub(super) struct Distinct(HashSet<u64, RandomState>);

impl Distinct {
    pub(super) fn add(&mut self, hash: u64, room: &mut Room) {
        if room.left == 0 {
            room.exact &= self.0.contains(&hash);
        } else if self.0.insert(hash) {
            room.left -= 1;
        }
    }

    pub(super) fn count(&self) -> u64 {
        self.0.len() as u64
    }
}

/// The latest of the decisions that were seen.
#[derive(Default)]
pub(super) struct Samples(VecDeque<DecisionId>);

impl Samples {
    pub(super) fn add(&mut self, id: DecisionId, kept: usize) {
        if kept == 0 {
            return;
        }
        if self.0.len() >= kept {
            self.0.pop_front();
        }
        self.0.push_back(id);
    }

    pub(super) fn list(&self) -> Vec<DecisionId> {
        self.0.iter().copied().collect()
    }
}

/// Decisions and identities by name.
#[derive(Default)]
struct Names(HashMap<Box<str>, (u64, Distinct), RandomState>);

impl Names {
    fn add(&mut self, name: &str, hash: u64, room: &mut Room) {
        let full = self.0.len() >= NAMES_MAX;
        let name = if full && !self.0.contains_key(name) { OTHERS } else { name };
        if !self.0.contains_key(name) {
            self.0.insert(name.into(), Default::default());
        }
        if let Some((decisions, identities)) = self.0.get_mut(name) {
            *decisions += 1;
            identities.add(hash, room);
        }
    }

    fn list(&self) -> Vec<Share> {
        let listed = self.0.iter().map(|(name, (decisions, identities))| Share {
            name: name.to_string(),
            decisions: *decisions,
            identities: identities.count(),
        });
        let mut shares: Vec<Share> = listed.collect();
        shares.sort_unstable_by(|a, b| b.decisions.cmp(&a.decisions).then_with(|| a.name.cmp(&b.name)));
        shares.truncate(NAMES_LISTED);
        shares
    }
}

/// Everything that is new in one way.
#[derive(Default)]
pub(super) struct Changes {
    decisions: u64,
    identities: Distinct,
    paying_decisions: u64,
    paying_identities: Distinct,
    own_key_decisions: u64,
    by_plan: Names,
    by_key: Names,
    by_identity: Names,
    by_rule: Names,
}

impl Changes {
    pub(super) fn add(&mut self, whom: &Whom<'_>, rule: &str, room: &mut Room) {
        self.decisions += 1;
        self.identities.add(whom.hash, room);
        if whom.pays() {
            self.paying_decisions += 1;
            self.paying_identities.add(whom.hash, room);
        }
        self.own_key_decisions += u64::from(whom.own_key);
        self.by_plan.add(whom.plan, whom.hash, room);
        self.by_key.add(whom.key_id, whom.hash, room);
        self.by_identity.add(whom.subject, whom.hash, room);
        self.by_rule.add(rule, whom.hash, room);
    }

    pub(super) fn list(&self, effect: Effect) -> Option<Change> {
        (self.decisions > 0).then(|| Change {
            effect,
            decisions: self.decisions,
            identities: self.identities.count(),
            paying_decisions: self.paying_decisions,
            paying_identities: self.paying_identities.count(),
            own_key_decisions: self.own_key_decisions,
            by_plan: self.by_plan.list(),
            by_key: self.by_key.list(),
            by_identity: self.by_identity.list(),
            by_rule: self.by_rule.list(),
        })
    }
}

/// One cell of the matrix of outcomes.
struct Cell {
    from: Box<str>,
    to: Box<str>,
    effect: Option<Effect>,
    decisions: u64,
    identities: Distinct,
    samples: Samples,
}

/// The matrix of outcomes: few cells, so that looking through them is as fast as anything.
#[derive(Default)]
pub(super) struct Matrix(Vec<Cell>);

impl Matrix {
    pub(super) fn add(
        &mut self,
        (from, to): (&str, &str),
        effect: Option<Effect>,
        whom: &Whom<'_>,
        kept: usize,
        room: &mut Room,
    ) {
        let known = self.0.iter().position(|cell| *cell.from == *from && *cell.to == *to);
        let at = match known {
            Some(at) => at,
            None if self.0.len() < TRANSITIONS_MAX => {
                let (from, to) = (from.into(), to.into());
                let (identities, samples) = Default::default();
                self.0.push(Cell { from, to, effect, decisions: 0, identities, samples });
                self.0.len() - 1
            }
            None => return,
        };
        let Some(cell) = self.0.get_mut(at) else { return };
        cell.decisions += 1;
        cell.identities.add(whom.hash, room);
        cell.samples.add(whom.id, kept);
        // What is frequent is found soon.
        if at > 0
            && self
                .0
                .get(at - 1)
                .is_some_and(|before| before.decisions < self.0.get(at).map_or(0, |c| c.decisions))
        {
            self.0.swap(at - 1, at);
        }
    }

    pub(super) fn list(&self) -> Vec<Transition> {
        let transition = |cell: &Cell| Transition {
            from: cell.from.to_string(),
            to: cell.to.to_string(),
            effect: cell.effect,
            decisions: cell.decisions,
            identities: cell.identities.count(),
            samples: cell.samples.list(),
        };
        let mut list: Vec<Transition> = self.0.iter().map(transition).collect();
        list.sort_by(|a, b| {
            b.decisions.cmp(&a.decisions).then_with(|| (&a.from, &a.to).cmp(&(&b.from, &b.to)))
        });
        list
    }
}
