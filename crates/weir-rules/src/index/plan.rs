//! Which necessary condition of a rule to look up: the one that is least likely to hold.

use foldhash::fast::FixedState;
use std::hash::{BuildHasher, Hash, Hasher};

use super::{Key, Map};
use crate::expr::{CompareOp, Const, Expr, Number, Pattern, TextOp, TextSource};
use crate::facts::{Fact, FactType};

/// How often each key occurs in all rules: what many rules ask for is probably common in requests too.
pub(super) struct Census(Map<u64, u32>);

/// Keys of which one must hit, and how likely that seems, in arbitrary units.
struct Plan<'x> {
    keys: Vec<Key<'x>>,
    cost: f64,
}

impl Census {
    pub(super) fn new<'x>(conditions: impl Iterator<Item = &'x Expr>) -> Self {
        let mut counts = Map::default();
        for condition in conditions {
            count(condition, &mut counts);
        }
        Self(counts)
    }

    /// The keys of which one must hit for the condition to be anything but false; nothing if there are none.
    pub(super) fn plan<'x>(&self, condition: &'x Expr) -> Option<Vec<Key<'x>>> {
        self.best(condition).map(|plan| plan.keys)
    }

    fn best<'x>(&self, expr: &'x Expr) -> Option<Plan<'x>> {
        match expr {
            Expr::And(parts) => {
                parts.iter().filter_map(|part| self.best(part)).min_by(|a, b| a.cost.total_cmp(&b.cost))
            }
            Expr::Or(parts) => {
                let mut all = Plan { keys: Vec::new(), cost: 0.0 };
                for part in parts {
                    let plan = self.best(part)?;
                    all.keys.extend(plan.keys);
                    all.cost += plan.cost;
                }
                Some(all)
            }
            leaf => {
                let keys = keys_of(leaf)?;
                let cost = keys.iter().map(|key| self.cost(key)).sum();
                Some(Plan { keys, cost })
            }
        }
    }

    fn cost(&self, key: &Key<'_>) -> f64 {
        let occurrences = self.0.get(&fingerprint(key)).copied().unwrap_or(1);
        likelihood(key) * f64::from(occurrences).sqrt() + price(key)
    }
}

fn count(expr: &Expr, counts: &mut Map<u64, u32>) {
    match expr {
        Expr::And(parts) | Expr::Or(parts) => parts.iter().for_each(|part| count(part, counts)),
        leaf => {
            for key in keys_of(leaf).into_iter().flatten() {
                let known = counts.entry(fingerprint(&key)).or_insert(0);
                *known = known.saturating_add(1);
            }
        }
    }
}

fn fingerprint(key: &Key<'_>) -> u64 {
    let mut hasher = FixedState::with_seed(0).build_hasher();
    match key {
        Key::Text { source, fold, op, literal } => (0, source, fold, op, literal).hash(&mut hasher),
        Key::Name(fact, name) => (1, fact, name).hash(&mut hasher),
        Key::Item(fact, item) => (2, fact, item).hash(&mut hasher),
        Key::Number(fact, op, literal) => {
            let bits = match literal {
                Number::Int(value) => (0, value.cast_unsigned()),
                Number::Double(value) => (1, value.to_bits()),
            };
            (3, fact, op, bits).hash(&mut hasher);
        }
        Key::Flag(fact, wanted) => (4, fact, wanted).hash(&mut hasher),
        Key::Network(network) => (5, network).hash(&mut hasher),
    }
    hasher.finish()
}

/// How likely a test holds for some request: guesses, of which only the order matters.
fn likelihood(key: &Key<'_>) -> f64 {
    match key {
        Key::Text { literal: "", .. } => 0.5,
        Key::Text { source: TextSource::Fact(fact), op: TextOp::Equals, .. } if !fact.words().is_empty() => {
            0.3
        }
        Key::Text { op: TextOp::Equals, .. } => 0.01,
        Key::Text { literal, .. } if literal.len() < 4 => 0.3,
        Key::Text { .. } => 0.05,
        Key::Name(..) => 0.2,
        Key::Item(..) | Key::Number(_, CompareOp::Equal, _) => 0.04,
        Key::Number(fact, CompareOp::Greater | CompareOp::AtLeast, literal) => {
            let positive = literal.compare(Number::Int(0)).is_some_and(std::cmp::Ordering::is_gt);
            match (positive, fact.root()) {
                // Most identities are far below what a rule finds too much.
                (true, "stats") => 0.05,
                (true, _) => 0.4,
                (false, _) => 0.8,
            }
        }
        Key::Number(..) => 0.6,
        Key::Flag(..) => 0.5,
        Key::Network(_) => 0.01,
    }
}

/// What the lookup itself costs beyond others: texts of any length are searched only where nothing else will do.
fn price(key: &Key<'_>) -> f64 {
    match key {
        Key::Text { source, .. } if source.fact().is_prompt() || source.fact() == Fact::FailureText => 100.0,
        Key::Text { source: TextSource::Header(..), .. } | Key::Name(..) => 0.02,
        _ => 0.0,
    }
}

/// The keys of a test that lookups decide. None for one that they do not, or that can fail.
fn keys_of(expr: &Expr) -> Option<Vec<Key<'_>>> {
    match expr {
        Expr::Const(Const::Bool(false)) => Some(Vec::new()),
        Expr::Fact(fact) if fact.ty() == FactType::Bool => Some(vec![Key::Flag(*fact, true)]),
        Expr::Not(of) => match &**of {
            Expr::Fact(fact) if fact.ty() == FactType::Bool => Some(vec![Key::Flag(*fact, false)]),
            _ => None,
        },
        Expr::Text(test) => {
            let key = text_key(&test.text.source, test.text.fold, test.op, &test.literal)?;
            Some(vec![key])
        }
        Expr::OneOf(of) => {
            let keys = of.1.iter().map(|literal| text_key(&of.0.source, of.0.fold, TextOp::Equals, literal));
            keys.collect()
        }
        Expr::Number(_, CompareOp::NotEqual, _) => None,
        Expr::Number(fact, op, literal) => Some(vec![Key::Number(*fact, *op, *literal)]),
        Expr::ListHas(fact, item) => Some(vec![Key::Item(*fact, item)]),
        Expr::HasName(fact, name) => match &**name {
            Expr::Const(Const::Str(name)) => Some(vec![Key::Name(*fact, name)]),
            _ => None,
        },
        Expr::Within(network, of) if matches!(**of, Expr::Fact(Fact::RequestIp)) => {
            Some(vec![Key::Network(network)])
        }
        Expr::Matches(of, pattern) => pattern_keys(of, pattern),
        _ => None,
    }
}

/// An absent header reads as the empty text, but is not there to be looked up.
fn text_key<'x>(source: &'x TextSource, fold: bool, op: TextOp, literal: &'x str) -> Option<Key<'x>> {
    let holds_when_absent = literal.is_empty() && matches!(source, TextSource::Header(..));
    (!holds_when_absent).then_some(Key::Text { source, fold, op, literal })
}

/// A regular expression holds only where one of its required literals stands.
fn pattern_keys<'x>(of: &'x Expr, pattern: &'x Pattern) -> Option<Vec<Key<'x>>> {
    let required = pattern.required.as_ref()?;
    let Expr::Fact(fact) = of else { return None };
    let source = fact_source(*fact)?;
    let keys =
        required.literals.iter().map(|literal| text_key(source, required.fold, TextOp::Contains, literal));
    keys.collect()
}

/// Sources that live as long as the program, for keys that have none of their own.
fn fact_source(fact: Fact) -> Option<&'static TextSource> {
    static SOURCES: std::sync::LazyLock<Vec<TextSource>> =
        std::sync::LazyLock::new(|| Fact::ALL.iter().map(|fact| TextSource::Fact(*fact)).collect());
    SOURCES.get(fact as usize)
}
