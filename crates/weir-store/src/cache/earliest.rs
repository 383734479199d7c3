//! Which entries of a full map leave: the earliest ones, in one pass and without sorting.

/// Takes so many entries of a map, those with the least times; among equal times whichever come first.
pub(super) struct Earliest {
    last: i64,
    ties: usize,
}

impl Earliest {
    /// The `count` least of these times.
    pub(super) fn of(mut times: Vec<i64>, count: usize) -> Self {
        if count == 0 || times.is_empty() {
            return Self { last: i64::MIN, ties: 0 };
        }
        let count = count.min(times.len());
        let (before, last, _) = times.select_nth_unstable(count.saturating_sub(1));
        let less = before.iter().filter(|time| **time < *last).count();
        Self { last: *last, ties: count.saturating_sub(less) }
    }

    /// Whether an entry with this time is among them; to be asked once for each entry.
    pub(super) fn takes(&mut self, time: i64) -> bool {
        if time < self.last {
            return true;
        }
        let taken = time == self.last && self.ties > 0;
        self.ties -= usize::from(taken);
        taken
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_least_are_taken_and_so_many_of_them() {
        let table: &[(&[i64], usize, &[i64])] = &[
            (&[5, 1, 4, 2, 3], 2, &[1, 2]),
            (&[7, 7, 7, 1], 2, &[7, 1]),
            (&[7, 7, 7], 0, &[]),
            (&[], 3, &[]),
            (&[2, 1], 9, &[2, 1]),
            (&[i64::MIN, 0], 1, &[i64::MIN]),
        ];
        for (times, count, expected) in table {
            let mut earliest = Earliest::of(times.to_vec(), *count);
            let taken: Vec<_> = times.iter().copied().filter(|time| earliest.takes(*time)).collect();
            assert_eq!(taken, *expected, "{times:?} {count}");
        }
    }
}
