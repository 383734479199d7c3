//! What is reported, and when: decided by what was seen in a window of time. Nothing here does anything.
//!
//! A page opens a window for its class, provider and owner, and is told at once; at the window's end what else came is
//! told in one summary and the next window begins, until one goes by without a page. Expected failures are counted in
//! windows as well; one with many identities is told as a surge, but for what an outage has told already.

mod window;

use std::collections::{BTreeSet, HashMap};
use std::time::Duration;

use jiff::Timestamp;
use weir_core::failure::{AllExhausted, Class, FailureEvent, Owner, Report};

use crate::names::OTHER;
use crate::notice::{Distinct, Exhausted, Notice, Tally, is_at_fault};
use window::{Identities, Window};

/// From how many identities on expected failures of one class, provider and owner in one window are a surge.
pub(crate) const SURGE_IDENTITIES_MIN: usize = 50;

/// How many windows of each kind are open at a time; what comes beyond is counted under one name for all providers.
const WINDOWS_MAX: usize = 1024;

/// What failures are counted by.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
struct Key {
    class: Class,
    owner: Owner,
    provider: Box<str>,
}

/// The windows that are open.
#[derive(Debug)]
pub(crate) struct Ledger {
    length: Duration,
    pages: HashMap<Key, Window>,
    expected: HashMap<Key, Window>,
    /// By the providers at fault.
    outages: HashMap<BTreeSet<Box<str>>, Outage>,
    /// When a provider was last part of a reported outage.
    told_out: HashMap<Box<str>, Timestamp>,
}

/// Requests that ended since providers were at fault.
#[derive(Debug)]
struct Outage {
    since: Timestamp,
    count: u64,
    identities: Identities,
}

/// What becomes of one failure.
#[derive(Clone, Debug, PartialEq)]
pub(crate) enum Verdict {
    /// It is told at once.
    Tell(Box<Notice>),
    /// It would be, had it not been told in this window: the summary has it.
    Folded,
    /// Nobody is called for it; it is counted.
    Expected,
}

impl Ledger {
    pub(crate) fn new(length: Duration) -> Self {
        Self {
            length,
            pages: HashMap::new(),
            expected: HashMap::new(),
            outages: HashMap::new(),
            told_out: HashMap::new(),
        }
    }

    /// Windows that begin from now on are so long.
    pub(crate) fn set_length(&mut self, length: Duration) {
        self.length = length;
    }

    /// Enters one failed attempt.
    pub(crate) fn failed(&mut self, event: &FailureEvent) -> Verdict {
        match event.report {
            Report::Page => self.page(event),
            Report::Log => {
                let key = key_in(&self.expected, event);
                let length = self.length;
                self.expected.entry(key).or_insert_with(|| Window::new(event, length)).add(event);
                Verdict::Expected
            }
            // Its rule says that nobody wants to know.
            Report::None => Verdict::Expected,
        }
    }

    fn page(&mut self, event: &FailureEvent) -> Verdict {
        let key = key_in(&self.pages, event);
        if let Some(window) = self.pages.get_mut(&key) {
            window.add(event);
            return Verdict::Folded;
        }
        let mut window = Window::new(event, self.length);
        window.add(event);
        self.pages.insert(key, window);
        Verdict::Tell(Box::new(Notice::First(event.clone())))
    }

    /// Enters a request whose every attempt failed. What was paged is not told again as an outage; what a provider
    /// is at fault for is, once in a window for these providers or more of them.
    pub(crate) fn all_exhausted(&mut self, request: &AllExhausted) -> Verdict {
        let at_fault =
            request.attempts().iter().filter(|event| is_at_fault(event) && event.report != Report::Page);
        let providers: BTreeSet<Box<str>> = at_fault.map(|event| event.provider.as_str().into()).collect();
        let Some(last) = request.last().filter(|_| !providers.is_empty()) else { return Verdict::Expected };
        for provider in &providers {
            if self.told_out.len() < WINDOWS_MAX {
                self.told_out.insert(provider.clone(), last.at);
            }
        }
        let length = self.length;
        let open = |outage: &Outage| last.at.duration_since(outage.since) < signed(length);
        let told =
            self.outages.iter_mut().find(|(told, outage)| open(outage) && told.is_superset(&providers));
        if let Some((_, outage)) = told {
            outage.add(&last.subject);
            return Verdict::Folded;
        }
        let before =
            self.outages.remove(&providers).map(|outage| (outage.count, outage.identities.distinct()));
        if self.outages.len() >= WINDOWS_MAX {
            return Verdict::Folded;
        }
        let mut outage = Outage { since: last.at, count: 0, identities: Identities::default() };
        outage.add(&last.subject);
        let names = providers.iter().map(|name| name.to_string()).collect();
        self.outages.insert(providers, outage);
        let told = Exhausted { request: request.clone(), providers: names, before };
        Verdict::Tell(Box::new(Notice::Exhausted(told)))
    }

    /// How many windows are open.
    pub(crate) fn windows(&self) -> usize {
        self.pages.len() + self.expected.len() + self.outages.len()
    }

    /// When the next window ends.
    pub(crate) fn next_end(&self) -> Option<Timestamp> {
        let windows = self.pages.values().chain(self.expected.values()).map(|window| window.end());
        windows.chain(self.outages.values().map(|outage| self.forgotten(outage))).min()
    }

    /// Closes the windows that have ended, and gives what is to be told of them.
    pub(crate) fn turn(&mut self, now: Timestamp) -> Vec<Notice> {
        self.close(|window| window.end() <= now, now)
    }

    /// Closes all windows, at the end of the process.
    pub(crate) fn finish(&mut self, now: Timestamp) -> Vec<Notice> {
        let told = self.close(|_| true, now);
        self.pages.clear();
        told
    }

    fn close(&mut self, ended: impl Fn(&Window) -> bool, now: Timestamp) -> Vec<Notice> {
        let mut told = Vec::new();
        let length = self.length;
        self.pages.retain(|_, window| {
            if !ended(window) {
                return true;
            }
            let tally = window.turn(now, length);
            let goes_on = tally.is_some();
            told.extend(tally.map(Notice::Summary));
            // A page after a quiet window is a new one.
            goes_on
        });
        let told_out = &self.told_out;
        self.expected.retain(|_, window| {
            if ended(window) {
                told.extend(surge(window, told_out, now).map(Notice::Surge));
            }
            !ended(window)
        });
        let keep = 2 * signed(length);
        self.outages.retain(|_, outage| now.duration_since(outage.since) < keep);
        self.told_out.retain(|_, at| now.duration_since(*at) < keep);
        told
    }

    /// An outage that has ended is remembered for one window more, so that the next can tell of it.
    fn forgotten(&self, outage: &Outage) -> Timestamp {
        outage.since.saturating_add(2 * signed(self.length)).unwrap_or(Timestamp::MAX)
    }
}

impl Outage {
    fn add(&mut self, subject: &str) {
        self.count += 1;
        self.identities.add(subject);
    }
}

/// What a window of expected failures has to tell.
fn surge(window: &Window, told_out: &HashMap<Box<str>, Timestamp>, now: Timestamp) -> Option<Tally> {
    let tally = window.tally(now)?;
    let of_outage = is_at_fault(&tally.example)
        && told_out.get(tally.example.provider.as_str()).is_some_and(|at| *at >= window.start());
    (tally.identities.number >= SURGE_IDENTITIES_MIN && !of_outage).then_some(tally)
}

/// The key of an event, of no provider where there are too many windows.
fn key_in(windows: &HashMap<Key, Window>, event: &FailureEvent) -> Key {
    let of = |provider: &str| Key { class: event.class, owner: event.owner, provider: provider.into() };
    let own = of(&event.provider);
    if windows.len() >= WINDOWS_MAX && !windows.contains_key(&own) { of(OTHER) } else { own }
}

fn signed(duration: Duration) -> jiff::SignedDuration {
    jiff::SignedDuration::try_from(duration).unwrap_or(jiff::SignedDuration::MAX)
}

#[cfg(test)]
mod tests;
