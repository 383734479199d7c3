//! Which rules a request could match, found without looking at the others.
//!
//! For each rule one *necessary condition* is chosen that a lookup can decide: some test that must hold for the condition
//! to be anything but false. The lookups of a decision cost what the facts are long, not what the rules are many; the
//! rules whose lookup hits are evaluated whole. A rule without such a condition is evaluated always.
//!
//! INVARIANT (necessity): a rule that is not found evaluates to false, not to an error. `&&` is false when one side is,
//! whatever the other side does, so any conjunct will do; of `||` every branch is needed. Only tests that cannot fail are
//! looked up.

mod candidates;
mod networks;
mod numbers;
mod plan;
mod text;

use std::collections::HashMap;

use foldhash::fast::RandomState;
use ipnet::IpNet;

use crate::expr::{CompareOp, Env, Expr, Number, TextOp, TextSource, numeric};
use crate::facts::{Fact, Facts};

pub(crate) use candidates::Candidates;
use networks::Networks;
use numbers::Numbers;
use text::{TextBuilder, TextIndex};

/// A test that a lookup decides.
#[derive(Clone, Copy, Debug)]
enum Key<'x> {
    Text {
        source: &'x TextSource,
        fold: bool,
        op: TextOp,
        literal: &'x str,
    },
    /// A map of strings has a name.
    Name(Fact, &'x str),
    /// A list of strings has an element.
    Item(Fact, &'x str),
    Number(Fact, CompareOp, Number),
    Flag(Fact, bool),
    /// The client's address is in a network.
    Network(&'x IpNet),
}

/// The rules of one key: mostly one.
#[derive(Debug)]
enum Rules {
    One(u32),
    Many(Box<[u32]>),
}

impl Rules {
    fn of(rules: Vec<u32>) -> Self {
        match rules.as_slice() {
            [only] => Self::One(*only),
            _ => Self::Many(rules.into()),
        }
    }

    #[inline]
    fn add_to(&self, found: &mut Candidates) {
        match self {
            Self::One(rule) => found.add(*rule),
            Self::Many(rules) => rules.iter().for_each(|rule| found.add(*rule)),
        }
    }
}

type Map<K, V> = HashMap<K, V, RandomState>;

fn rules_by<K: std::hash::Hash + Eq, L: Into<K>>(by: Map<L, Vec<u32>>) -> Map<K, Rules> {
    let mut map: Map<K, Rules> = by.into_iter().map(|(key, rules)| (key.into(), Rules::of(rules))).collect();
    map.shrink_to_fit();
    map
}

/// What is looked up in one header, or one other member of a map of strings.
#[derive(Debug, Default)]
struct NamedIndex {
    present: Vec<u32>,
    text: TextIndex,
}

/// The index of one boundary's rules.
#[derive(Debug, Default)]
pub(crate) struct Index {
    texts: Vec<(Fact, TextIndex)>,
    names: Vec<(Fact, Map<Box<str>, NamedIndex>)>,
    items: Vec<(Fact, Map<Box<str>, Rules>)>,
    numbers: Vec<(Fact, Numbers)>,
    flags: Vec<(Fact, bool, Vec<u32>)>,
    networks: Networks,
    /// Rules that no lookup decides.
    always: Vec<u32>,
}

/// How many names of a map are asked for one by one; of more, the map's own names are asked for.
const NAMES_ASKED_MAX: usize = 8;

impl Index {
    /// Indexes conditions, each with the number of its rule.
    pub(crate) fn new<'x>(conditions: impl Iterator<Item = (u32, &'x Expr)> + Clone) -> Self {
        let census = plan::Census::new(conditions.clone().map(|(_, condition)| condition));
        let mut builder = Builder::default();
        for (rule, condition) in conditions {
            match census.plan(condition) {
                Some(keys) => keys.into_iter().for_each(|key| builder.add(key, rule)),
                None => builder.index.always.push(rule),
            }
        }
        builder.finish()
    }

    /// The rules that must be evaluated whatever the facts are.
    pub(crate) fn always(&self) -> &[u32] {
        &self.always
    }

    /// Finds the rules whose looked-up test holds.
    pub(crate) fn find(&self, env: &Env<'_>, found: &mut Candidates) {
        let facts = env.facts;
        for (fact, index) in &self.texts {
            index.find(facts.str(*fact), found);
        }
        for (fact, names) in &self.names {
            find_names(facts, *fact, names, found);
        }
        for (fact, items) in &self.items {
            for item in facts.list(*fact) {
                if let Some(rules) = items.get(item.as_str()) {
                    rules.add_to(found);
                }
            }
        }
        for (fact, numbers) in &self.numbers {
            numbers.find(numeric(facts, *fact), found);
        }
        for (fact, wanted, rules) in &self.flags {
            if facts.bool(*fact) == *wanted {
                rules.iter().for_each(|rule| found.add(*rule));
            }
        }
        self.find_networks(env, found);
    }

    /// A text that is no address makes the test fail instead of being false, so that those rules are all evaluated.
    fn find_networks(&self, env: &Env<'_>, found: &mut Candidates) {
        if self.networks.is_empty() {
            return;
        }
        match env.address() {
            Some(address) => self.networks.find(address, found),
            None if env.facts.str(Fact::RequestIp).is_empty() => {}
            None => self.networks.all(found),
        }
    }
}

fn find_names(facts: &Facts<'_>, fact: Fact, names: &Map<Box<str>, NamedIndex>, found: &mut Candidates) {
    let map = facts.map(fact);
    let mut see = |index: &NamedIndex, value: &str| {
        index.present.iter().for_each(|rule| found.add(*rule));
        index.text.find(value, found);
    };
    if names.len() <= NAMES_ASKED_MAX {
        for (name, index) in names {
            if let Some(value) = map.get(name) {
                see(index, value);
            }
        }
    } else {
        map.for_each(&mut |name, value| {
            if let Some(index) = names.get(name) {
                see(index, value);
            }
        });
    }
}

#[derive(Default)]
struct NamedBuilder {
    present: Vec<u32>,
    text: TextBuilder,
}

#[derive(Default)]
struct Builder {
    index: Index,
    texts: Map<Fact, TextBuilder>,
    names: Map<Fact, Map<Box<str>, NamedBuilder>>,
    items: Map<Fact, Map<Box<str>, Vec<u32>>>,
    numbers: Map<Fact, numbers::NumbersBuilder>,
    flags: Map<(Fact, bool), Vec<u32>>,
}

impl Builder {
    fn add(&mut self, key: Key<'_>, rule: u32) {
        match key {
            Key::Text { source: TextSource::Fact(fact), fold, op, literal } => {
                self.texts.entry(*fact).or_default().add(fold, op, literal, rule);
            }
            Key::Text { source: TextSource::Header(fact, name), fold, op, literal } => {
                self.named(*fact, name).text.add(fold, op, literal, rule);
            }
            Key::Name(fact, name) => self.named(fact, name).present.push(rule),
            Key::Item(fact, item) => {
                self.items.entry(fact).or_default().entry(item.into()).or_default().push(rule);
            }
            Key::Number(fact, op, literal) => self.numbers.entry(fact).or_default().add(op, literal, rule),
            Key::Flag(fact, wanted) => self.flags.entry((fact, wanted)).or_default().push(rule),
            Key::Network(network) => self.index.networks.add(network, rule),
        }
    }

    fn named(&mut self, fact: Fact, name: &str) -> &mut NamedBuilder {
        self.names.entry(fact).or_default().entry(name.into()).or_default()
    }

    fn finish(self) -> Index {
        let mut index = self.index;
        index.texts = in_order(self.texts, TextBuilder::finish);
        index.names = in_order(self.names, |names| {
            let finish = |(name, builder): (Box<str>, NamedBuilder)| {
                (name, NamedIndex { present: builder.present, text: builder.text.finish() })
            };
            names.into_iter().map(finish).collect()
        });
        index.items = in_order(self.items, rules_by);
        index.numbers = in_order(self.numbers, numbers::NumbersBuilder::finish);
        index.flags = self.flags.into_iter().map(|((fact, wanted), rules)| (fact, wanted, rules)).collect();
        index.always.shrink_to_fit();
        index
    }
}

fn in_order<B, I>(by_fact: Map<Fact, B>, finish: impl Fn(B) -> I) -> Vec<(Fact, I)> {
    let mut all: Vec<(Fact, I)> =
        by_fact.into_iter().map(|(fact, builder)| (fact, finish(builder))).collect();
    all.sort_by_key(|(fact, _)| *fact);
    all
}
