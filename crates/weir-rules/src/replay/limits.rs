//! The windows of limits over the recorded sequence: a window begins with the first counted request and lasts `per`, and
//! a request that exceeds it is counted too, as the stores do it.

use std::collections::HashMap;

use foldhash::fast::RandomState;
use weir_core::{Decision, Timestamp};

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
    /// By identity, limit and its length.
    open: HashMap<(u64, Box<str>, u64), Window, RandomState>,
    sweep_at: usize,
}

impl Windows {
    /// Counts a request against the limits of its decision; whether one of them is exceeded, and by which rule.
    pub(super) fn count<'d>(
        &mut self,
        decision: &'d Decision,
        identity: u64,
        at: Timestamp,
    ) -> Option<&'d str> {
        let now = at.as_millisecond();
        let mut exceeded: Option<(&str, i64)> = None;
        for limit in decision.limits() {
            let per_ms = i64::try_from(limit.per_s.saturating_mul(1000)).unwrap_or(i64::MAX).max(1);
            self.make_room(now);
            let window = self
                .open
                .entry((identity, limit.rule.as_str().into(), limit.per_s))
                .and_modify(|window| {
                    if window.ends_ms <= now {
                        *window = Window { counted: 0, ends_ms: now.saturating_add(per_ms) };
                    }
                })
                .or_insert(Window { counted: 0, ends_ms: now.saturating_add(per_ms) });
            window.counted = window.counted.saturating_add(1);
            // Of several the one that must be waited for longest is named.
            if window.counted > limit.requests && exceeded.is_none_or(|(_, ends)| window.ends_ms > ends) {
                exceeded = Some((&limit.rule, window.ends_ms));
            }
        }
        exceeded.map(|(rule, _)| rule)
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
