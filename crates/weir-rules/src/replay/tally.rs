//! Counting while records go by: bounded, whatever they hold.

use std::collections::{HashMap, VecDeque};
use std::hash::BuildHasher;

use foldhash::fast::RandomState;
use weir_core::DecisionId;
use weir_core::record::Past;

use super::report::{Change, Effect, Share, Transition};

/// Identities that are told apart, 16 bytes each. Beyond, counts of identities are "at least".
const IDENTITIES_MAX: usize = 1 << 22;

/// Pages of identities of all counts together, about 90 bytes each. Beyond, likewise.
const PAGES_MAX: usize = 1 << 20;

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
    /// None beyond [`IDENTITIES_MAX`].
    number: Option<u32>,
    pub(super) plan: &'p str,
    pub(super) key_id: &'p str,
    pub(super) own_key: bool,
    pub(super) id: DecisionId,
}

impl<'p> Whom<'p> {
    pub(super) fn of(past: &Past<'p>, identities: &mut Identities) -> Self {
        let hash = identities.hash(past.subject);
        Self {
            subject: past.subject,
            hash,
            number: identities.number(hash),
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

/// All identities, numbered as they come: one look-up a record, whatever it is counted in.
#[derive(Default)]
pub(super) struct Identities {
    numbers: HashMap<u64, u32, RandomState>,
    hasher: RandomState,
}

impl Identities {
    pub(super) fn hash(&self, subject: &str) -> u64 {
        self.hasher.hash_one(subject)
    }

    fn number(&mut self, hash: u64) -> Option<u32> {
        let next = self.numbers.len();
        if next >= IDENTITIES_MAX {
            return self.numbers.get(&hash).copied();
        }
        let next = u32::try_from(next).ok()?;
        Some(*self.numbers.entry(hash).or_insert(next))
    }
}

/// What is left of [`PAGES_MAX`].
pub(super) struct Room {
    left: usize,
    pub(super) exact: bool,
}

impl Default for Room {
    fn default() -> Self {
        Self { left: PAGES_MAX, exact: true }
    }
}

/// 512 identities that follow each other: a bit each.
type Page = [u64; 8];
const PAGE_BITS: u32 = 512;

/// Different identities.
#[derive(Default)]
pub(super) struct Distinct {
    pages: HashMap<u32, Page, RandomState>,
    count: u64,
}

impl Distinct {
    pub(super) fn add(&mut self, whom: &Whom<'_>, room: &mut Room) {
        let Some(number) = whom.number else {
            room.exact = false;
            return;
        };
        let at = number / PAGE_BITS;
        let page = match self.pages.get_mut(&at) {
            Some(page) => page,
            None if room.left == 0 => {
                room.exact = false;
                return;
            }
            None => {
                room.left -= 1;
                self.pages.entry(at).or_default()
            }
        };
        let (word, bit) = (number % PAGE_BITS / u64::BITS, 1 << (number % u64::BITS));
        if let Some(word) = page.get_mut(word as usize) {
            self.count += u64::from(*word & bit == 0);
            *word |= bit;
        }
    }

    pub(super) const fn count(&self) -> u64 {
        self.count
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
    fn add(&mut self, name: &str, whom: &Whom<'_>, room: &mut Room) {
        let full = self.0.len() >= NAMES_MAX;
        let name = if full && !self.0.contains_key(name) { OTHERS } else { name };
        if !self.0.contains_key(name) {
            self.0.insert(name.into(), Default::default());
        }
        if let Some((decisions, identities)) = self.0.get_mut(name) {
            *decisions += 1;
            identities.add(whom, room);
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
        self.identities.add(whom, room);
        if whom.pays() {
            self.paying_decisions += 1;
            self.paying_identities.add(whom, room);
        }
        self.own_key_decisions += u64::from(whom.own_key);
        self.by_plan.add(whom.plan, whom, room);
        self.by_key.add(whom.key_id, whom, room);
        self.by_identity.add(whom.subject, whom, room);
        self.by_rule.add(rule, whom, room);
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
        cell.identities.add(whom, room);
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
