//! Texts: equality by hash, everything else by one automaton that finds all literals in one pass.

use aho_corasick::{AhoCorasick, AhoCorasickKind, MatchKind};

use super::{Candidates, Map, Rules, rules_by};
use crate::expr::TextOp;

/// Up to this many bytes of literals the automaton is the fastest kind, beyond it the smallest.
const DENSE_LITERAL_BYTES_MAX: usize = 2 * 1024;

/// The rules by their tests of one text.
#[derive(Debug, Default)]
pub(super) struct TextIndex {
    equals: Map<Box<str>, Rules>,
    scans: Vec<Scan>,
    /// Rules whose literals are more than an automaton can hold: found whatever the text.
    unscanned: Vec<u32>,
}

/// Where a literal must stand for which rules.
type Places = Box<[(TextOp, u32)]>;

/// An automaton, and for each of its literals where it must stand for which rules.
struct Scan {
    automaton: AhoCorasick,
    wanted: Box<[Places]>,
}

impl std::fmt::Debug for Scan {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Scan").field("literals", &self.wanted.len()).finish_non_exhaustive()
    }
}

#[derive(Default)]
pub(super) struct TextBuilder {
    equals: Map<Box<str>, Vec<u32>>,
    exact: Map<Box<str>, Vec<(TextOp, u32)>>,
    folded: Map<Box<str>, Vec<(TextOp, u32)>>,
}

impl TextBuilder {
    pub(super) fn add(&mut self, fold: bool, op: TextOp, literal: &str, rule: u32) {
        // The empty text is the same in both cases, and nothing that an automaton finds.
        if op == TextOp::Equals && (!fold || literal.is_empty()) {
            self.equals.entry(literal.into()).or_default().push(rule);
        } else {
            let scan = if fold { &mut self.folded } else { &mut self.exact };
            scan.entry(literal.into()).or_default().push((op, rule));
        }
    }

    pub(super) fn finish(self) -> TextIndex {
        let mut index = TextIndex { equals: rules_by(self.equals), ..TextIndex::default() };
        for (wanted, fold) in [(self.exact, false), (self.folded, true)] {
            match Scan::new(&wanted, fold) {
                _ if wanted.is_empty() => {}
                Some(scan) => index.scans.push(scan),
                None => index.unscanned.extend(wanted.values().flatten().map(|(_, rule)| *rule)),
            }
        }
        index
    }
}

impl TextIndex {
    pub(super) fn find(&self, text: &str, found: &mut Candidates) {
        if !self.equals.is_empty()
            && let Some(rules) = self.equals.get(text)
        {
            rules.add_to(found);
        }
        for scan in &self.scans {
            scan.find(text, found);
        }
        self.unscanned.iter().for_each(|rule| found.add(*rule));
    }
}

impl Scan {
    fn new(wanted: &Map<Box<str>, Vec<(TextOp, u32)>>, fold: bool) -> Option<Self> {
        let bytes: usize = wanted.keys().map(|literal| literal.len()).sum();
        let kind = if bytes <= DENSE_LITERAL_BYTES_MAX {
            AhoCorasickKind::DFA
        } else {
            AhoCorasickKind::ContiguousNFA
        };
        let automaton = AhoCorasick::builder()
            .match_kind(MatchKind::Standard)
            .ascii_case_insensitive(fold)
            .kind(Some(kind))
            // All literals are wanted, wherever they stand: looking for where one might begin only costs.
            .prefilter(false)
            .build(wanted.keys().map(|literal| literal.as_bytes()))
            .ok()?;
        Some(Self { automaton, wanted: wanted.values().map(|of| of.as_slice().into()).collect() })
    }

    fn find(&self, text: &str, found: &mut Candidates) {
        let Ok(matches) = self.automaton.try_find_overlapping_iter(text) else { return };
        for hit in matches {
            let Some(wanted) = self.wanted.get(hit.pattern().as_usize()) else { continue };
            let (starts, ends) = (hit.start() == 0, hit.end() == text.len());
            for (op, rule) in wanted {
                let stands = match op {
                    TextOp::Contains => true,
                    TextOp::StartsWith => starts,
                    TextOp::EndsWith => ends,
                    TextOp::Equals => starts && ends,
                };
                if stands {
                    found.add(*rule);
                }
            }
        }
    }
}
