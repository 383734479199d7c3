//! The rules that lookups found, each once, in order, without an allocation while they are few.

/// How many rules are kept in place.
const FEW: usize = 64;

/// A set of rule numbers.
pub(crate) struct Candidates {
    few: [u32; FEW],
    len: usize,
    /// One bit for each rule, once there are more than a few.
    many: Vec<u64>,
    /// How many rules there are at all.
    rules: usize,
}

impl Candidates {
    /// None yet, of so many rules.
    pub(crate) fn new(rules: usize) -> Self {
        Self { few: [0; FEW], len: 0, many: Vec::new(), rules }
    }

    #[inline]
    pub(crate) fn add(&mut self, rule: u32) {
        if !self.many.is_empty() {
            self.mark(rule);
            return;
        }
        match self.few.get_mut(self.len) {
            Some(place) => {
                *place = rule;
                self.len += 1;
            }
            None => self.spill(rule),
        }
    }

    /// One rule is often found many times over: a literal occurs again and again.
    #[cold]
    fn spill(&mut self, rule: u32) {
        self.sort();
        if self.len <= FEW / 2 {
            return self.add(rule);
        }
        self.many = vec![0; self.rules / 64 + 1];
        for at in 0..self.len {
            if let Some(known) = self.few.get(at).copied() {
                self.mark(known);
            }
        }
        self.mark(rule);
    }

    #[inline]
    fn mark(&mut self, rule: u32) {
        if let Some(word) = usize::try_from(rule).ok().and_then(|at| self.many.get_mut(at / 64)) {
            *word |= 1 << (rule % 64);
        }
    }

    fn sort(&mut self) {
        let Some(few) = self.few.get_mut(..self.len) else { return };
        few.sort_unstable();
        let mut kept = 0;
        for at in 0..few.len() {
            let next = few.get(at).copied();
            if kept == 0 || few.get(kept - 1).copied() != next {
                if let (Some(place), Some(next)) = (few.get_mut(kept), next) {
                    *place = next;
                }
                kept += 1;
            }
        }
        self.len = kept;
    }

    /// Visits the rules in order.
    pub(crate) fn for_each(mut self, mut visit: impl FnMut(u32)) {
        if self.many.is_empty() {
            self.sort();
            self.few.iter().take(self.len).for_each(|rule| visit(*rule));
            return;
        }
        let mut base = 0;
        for word in self.many {
            let mut left = word;
            while left != 0 {
                visit(base + left.trailing_zeros());
                left &= left - 1;
            }
            base += 64;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_rule_comes_once_and_in_order_whether_few_or_many() {
        let table: [(&[u32], usize); 4] = [
            (&[], 10),
            (&[5, 3, 5, 3, 9], 10),
            (&[7; 500], 10),
            (&(0..200).rev().chain(0..200).collect::<Vec<u32>>(), 200),
        ];
        for (added, rules) in table {
            let mut found = Candidates::new(rules);
            added.iter().for_each(|rule| found.add(*rule));
            let mut seen = Vec::new();
            found.for_each(|rule| seen.push(rule));
            let mut expected = added.to_vec();
            expected.sort_unstable();
            expected.dedup();
            assert_eq!(seen, expected);
        }
    }
}
