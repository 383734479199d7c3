//! The windows of limits over the recorded sequence: a window begins with the first counted request and lasts `per`, and
//! a request that exceeds it is counted too, as the stores do it.

use std::collections::HashMap;

use foldhash::fast::RandomState;
use weir_core::Timestamp;

use crate::rule::{Rule, Then};

/// Windows that are kept at most, about 50 bytes each: as many as a node keeps.
const WINDOWS_MAX: usize = 1 << 20;

#[derive(Clone, Copy)]
struct Window {
    counted: u64,
    ends_ms: i64,
}

/// The windows that are open.
#[derive(Default)]
pub(super) struct Windows {
    /// By identity and rule.
    open: HashMap<(u64, usize), Window, RandomState>,
    sweep_at: usize,
}

impl Windows {
    /// Counts a request against the limits of these rules; whether one of them is exceeded, and by which rule.
    pub(super) fn count(
        &mut self,
        rules: &[Rule],
        limits: &[usize],
        identity: u64,
        at: Timestamp,
    ) -> Option<usize> {
        let now = at.as_millisecond();
        let mut exceeded: Option<(usize, i64)> = None;
        for position in limits {
            let Some(Then::Limit(limit)) = rules.get(*position).map(|rule| &rule.then) else { continue };
            let per_ms = i64::try_from(limit.per_s.saturating_mul(1000)).unwrap_or(i64::MAX).max(1);
            self.make_room(now);
            let fresh = Window { counted: 0, ends_ms: now.saturating_add(per_ms) };
            let window = self.open.entry((identity, *position)).or_insert(fresh);
            if window.ends_ms <= now {
                *window = fresh;
            }
            window.counted = window.counted.saturating_add(1);
            // Of several the one that must be waited for longest is named.
            if window.counted > limit.requests && exceeded.is_none_or(|(_, ends)| window.ends_ms > ends) {
                exceeded = Some((*position, window.ends_ms));
            }
        }
        exceeded.map(|(position, _)| position)
    }

    fn make_room(&mut self, now: i64) {
        if self.open.len() < self.sweep_at.max(1024) {
            return;
        }
        self.open.retain(|_, window| window.ends_ms > now);
        if self.open.len() >= WINDOWS_MAX {
            self.open.clear();
        }
        self.sweep_at = self.open.len().saturating_mul(2);
    }
}
