//! Names as labels and tags: so many different ones, and no more.

use std::collections::HashSet;
use std::sync::{Mutex, PoisonError};

/// What stands for the names that came when there was no room for more.
pub(crate) const OTHER: &str = "other";

/// The first names that came. A label or a tag may take few values: providers are configured, but a model's name may
/// be the caller's.
pub(crate) struct Names {
    max: usize,
    seen: Mutex<HashSet<Box<str>>>,
}

impl Names {
    pub(crate) fn at_most(max: usize) -> Self {
        Self { max, seen: Mutex::default() }
    }

    /// The name itself, or [`OTHER`].
    pub(crate) fn known<'n>(&self, name: &'n str) -> &'n str {
        let mut seen = self.seen.lock().unwrap_or_else(PoisonError::into_inner);
        if seen.contains(name) {
            return name;
        }
        if seen.len() >= self.max {
            return OTHER;
        }
        seen.insert(name.into());
        name
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_first_names_keep_their_place() {
        let names = Names::at_most(2);
        let shown: Vec<_> = ["a", "b", "c", "a"].into_iter().map(|name| names.known(name)).collect();
        assert_eq!(shown, ["a", "b", OTHER, "a"]);
    }
}
