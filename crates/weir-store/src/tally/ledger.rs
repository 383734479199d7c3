//! The writer's side: what this node has counted in the running minute, hour and day, and in those that are not yet written.

use std::collections::{BTreeMap, BTreeSet, HashMap};

use super::counter::Cells;
use super::key::{self, OTHER, SEPARATOR, TallyKind};
use super::{Cell, KEYS_MAX, Resolution};

/// Steps that are kept while the database is away; the oldest goes first.
const STEPS_KEPT: usize = 90;

/// One row to be written.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Row {
    pub(crate) resolution: Resolution,
    pub(crate) begin_ms: i64,
    /// The kind and the words.
    pub(crate) key: Box<str>,
    pub(crate) cell: Cell,
}

impl Row {
    /// The word of the kind, and the text of the key.
    pub(crate) fn parts(&self) -> (&str, &str) {
        key::split(&self.key)
    }
}

/// The counts of one step.
#[derive(Default)]
struct Step {
    cells: Cells,
    kinds: HashMap<TallyKind, usize>,
    /// The keys that are not yet written as they are.
    changed: BTreeSet<Box<str>>,
}

/// The steps that are not over or not written. What is written is the whole count of this node, so that writing it again
/// adds nothing.
#[derive(Default)]
pub(crate) struct Ledger {
    steps: BTreeMap<(Resolution, i64), Step>,
}

impl Ledger {
    /// Enters what was counted up to now.
    pub(crate) fn enter(&mut self, counted: &Cells, now_ms: i64) {
        for resolution in Resolution::ALL {
            if !counted.is_empty() {
                let step = self.steps.entry((resolution, resolution.begin_ms(now_ms))).or_default();
                counted.iter().for_each(|(key, cell)| step.enter(key, cell));
            }
        }
        self.forget(now_ms);
    }

    /// What must be written.
    pub(crate) fn rows(&self) -> Vec<Row> {
        let mut rows = Vec::new();
        for (&(resolution, begin_ms), step) in &self.steps {
            let changed = step.changed.iter().filter_map(|key| step.cells.get_key_value(key));
            rows.extend(changed.map(|(key, cell)| Row {
                resolution,
                begin_ms,
                key: key.clone(),
                cell: cell.clone(),
            }));
        }
        rows
    }

    /// Notes that everything is written.
    pub(crate) fn written(&mut self, now_ms: i64) {
        self.steps.values_mut().for_each(|step| step.changed.clear());
        self.forget(now_ms);
    }

    /// Lets go of steps that are over and written and, when there are too many, of the oldest.
    fn forget(&mut self, now_ms: i64) {
        self.steps.retain(|(resolution, begin), step| {
            !step.changed.is_empty() || *begin >= resolution.begin_ms(now_ms)
        });
        while self.steps.len() > STEPS_KEPT {
            if self.steps.pop_first().is_some() {
                tracing::warn!("the counts of a minute are lost: the database was away for too long");
            }
        }
    }
}

impl Step {
    fn enter(&mut self, key: &str, cell: &Cell) {
        let key = self.admitted(key);
        self.cells.entry(key.clone()).or_default().unite(cell);
        self.changed.insert(key);
    }

    /// The key, or `other` when there are as many of its kind as may be.
    fn admitted(&mut self, key: &str) -> Box<str> {
        if self.cells.contains_key(key) {
            return key.into();
        }
        let (word, _) = key::split(key);
        let Some(kind) = TallyKind::of_word(word) else { return key.into() };
        let number = self.kinds.entry(kind).or_default();
        if *number >= KEYS_MAX {
            return format!("{word}{SEPARATOR}{OTHER}").into();
        }
        *number += 1;
        key.into()
    }
}
