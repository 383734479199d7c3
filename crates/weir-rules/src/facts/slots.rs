//! The facts of one decision, borrowed from whoever knows them.

use std::borrow::Cow;
use std::sync::OnceLock;

use jiff::Timestamp;
use serde_json::Value as Json;
use weir_core::Boundary;

use super::{Fact, FactType, StringMap};

/// How many bytes from the beginning of a prompt rules can see.
pub const PROMPT_HEAD_BYTES: usize = 16 * 1024;

/// How many bytes from the end of a prompt rules can see.
pub const PROMPT_TAIL_BYTES: usize = 16 * 1024;

/// The part of a prompt that rules see: all of it up to 32 KiB; of a longer one its first and its last 16 KiB (cut at
/// characters) with a line break between. The cost of a rule that searches prompts is bounded by it, whatever the
/// size of the body.
#[must_use]
pub fn prompt_window(prompt: &str) -> Cow<'_, str> {
    if prompt.len() <= PROMPT_HEAD_BYTES + PROMPT_TAIL_BYTES {
        return Cow::Borrowed(prompt);
    }
    let head = prompt.get(..prompt.floor_char_boundary(PROMPT_HEAD_BYTES)).unwrap_or_default();
    let tail = prompt.get(prompt.ceil_char_boundary(prompt.len() - PROMPT_TAIL_BYTES)..).unwrap_or_default();
    Cow::Owned([head, "\n", tail].concat())
}

/// One slot. Its variant is that of the fact's type, always.
#[derive(Clone, Copy)]
pub(crate) enum Slot<'a> {
    Bool(bool),
    Int(i64),
    Double(f64),
    Str(&'a str),
    Time(Timestamp),
    List(&'a [String]),
    Map(&'a dyn StringMap),
    Json(&'a Json),
}

struct NoMap;

impl StringMap for NoMap {
    fn get(&self, _: &str) -> Option<&str> {
        None
    }

    fn for_each(&self, _: &mut dyn FnMut(&str, &str)) {}
}

static NO_MAP: NoMap = NoMap;
static NO_JSON: Json = Json::Null;

const fn empty(ty: FactType) -> Slot<'static> {
    match ty {
        FactType::Bool => Slot::Bool(false),
        FactType::Int => Slot::Int(0),
        FactType::Double => Slot::Double(0.0),
        FactType::String => Slot::Str(""),
        FactType::Timestamp => Slot::Time(Timestamp::UNIX_EPOCH),
        FactType::StringList => Slot::List(&[]),
        FactType::StringMap => Slot::Map(&NO_MAP),
        FactType::Dynamic => Slot::Json(&NO_JSON),
    }
}

/// All slots, empty. `Fact` numbers its variants as `Fact::ALL` lists them.
#[expect(clippy::indexing_slicing, reason = "evaluated at compile time, where a bad index does not compile")]
static EMPTY: [Slot<'static>; Fact::COUNT] = {
    let mut slots = [Slot::Bool(false); Fact::COUNT];
    let mut at = 0;
    while at < Fact::COUNT {
        slots[at] = empty(Fact::ALL[at].ty());
        at += 1;
    }
    slots
};

/// The facts of one decision. Everything is present: what was not set is empty or zero.
///
/// Building one costs a fixed array and no allocation. A setter whose type is not the fact's own changes nothing (and
/// fails a debug build), so that a slot always holds what the compiler of rules was told.
///
/// ```
/// use weir_core::Boundary;
/// use weir_rules::{Fact, Facts};
///
/// let mut facts = Facts::new(Boundary::Request);
/// facts.set_str(Fact::RequestModel, "openai/gpt-4o");
/// facts.set_bool(Fact::RequestFree, true);
/// assert_eq!(facts.str(Fact::RequestModel), "openai/gpt-4o");
/// assert_eq!(facts.int(Fact::RequestMaxTokens), 0);
/// ```
pub struct Facts<'a> {
    boundary: Boundary,
    slots: [Slot<'a>; Fact::COUNT],
    now_is_set: bool,
    /// The windows of prompts that are longer than one, made when a rule first reads them.
    windows: [OnceLock<Box<str>>; 2],
}

impl<'a> Facts<'a> {
    /// Facts of a boundary, all empty.
    #[must_use]
    pub fn new(boundary: Boundary) -> Self {
        Self { boundary, slots: EMPTY, now_is_set: false, windows: [const { OnceLock::new() }; 2] }
    }

    /// The boundary that these facts are of.
    #[must_use]
    pub fn boundary(&self) -> Boundary {
        self.boundary
    }

    /// Sets a string.
    pub fn set_str(&mut self, fact: Fact, value: &'a str) {
        self.set(fact, FactType::String, Slot::Str(value));
        if let Some(window) = self.windows.get_mut(window_of(fact)).filter(|_| fact.is_prompt()) {
            *window = OnceLock::new();
        }
    }

    /// Sets an integer.
    pub fn set_int(&mut self, fact: Fact, value: i64) {
        self.set(fact, FactType::Int, Slot::Int(value));
    }

    /// Sets a boolean.
    pub fn set_bool(&mut self, fact: Fact, value: bool) {
        self.set(fact, FactType::Bool, Slot::Bool(value));
    }

    /// Sets a floating-point number.
    pub fn set_double(&mut self, fact: Fact, value: f64) {
        self.set(fact, FactType::Double, Slot::Double(value));
    }

    /// Sets a list of strings.
    pub fn set_list(&mut self, fact: Fact, value: &'a [String]) {
        self.set(fact, FactType::StringList, Slot::List(value));
    }

    /// Sets a map of strings, whose names must be in lower case.
    pub fn set_map(&mut self, fact: Fact, value: &'a dyn StringMap) {
        self.set(fact, FactType::StringMap, Slot::Map(value));
    }

    /// Sets a dynamic fact.
    pub fn set_dynamic(&mut self, fact: Fact, value: &'a Json) {
        self.set(fact, FactType::Dynamic, Slot::Json(value));
    }

    /// Sets a point in time. Without `now` a decision takes the time it is made at.
    pub fn set_timestamp(&mut self, fact: Fact, value: Timestamp) {
        self.set(fact, FactType::Timestamp, Slot::Time(value));
        self.now_is_set |= fact == Fact::Now;
    }

    fn set(&mut self, fact: Fact, ty: FactType, slot: Slot<'a>) {
        debug_assert_eq!(fact.ty(), ty, "{} is set as another type", fact.path());
        if fact.ty() == ty
            && let Some(place) = self.slots.get_mut(fact as usize)
        {
            *place = slot;
        }
    }

    /// The slot of a fact, of a prompt the window that rules see.
    #[inline]
    pub(crate) fn slot(&self, fact: Fact) -> Slot<'_> {
        if fact.is_prompt() {
            return Slot::Str(self.window(fact));
        }
        self.raw(fact)
    }

    #[inline]
    fn raw(&self, fact: Fact) -> Slot<'a> {
        self.slots.get(fact as usize).copied().unwrap_or(Slot::Bool(false))
    }

    fn window(&self, fact: Fact) -> &str {
        let Slot::Str(text) = self.raw(fact) else { return "" };
        if text.len() <= PROMPT_HEAD_BYTES + PROMPT_TAIL_BYTES {
            return text;
        }
        match self.windows.get(window_of(fact)) {
            Some(window) => window.get_or_init(|| prompt_window(text).into()),
            None => text,
        }
    }

    /// A string fact for as long as what it was set from; whole, also of a prompt.
    pub(crate) fn borrowed_str(&self, fact: Fact) -> &'a str {
        if let Slot::Str(value) = self.raw(fact) { value } else { "" }
    }

    /// A dynamic fact for as long as what it was set from.
    pub(crate) fn borrowed_json(&self, fact: Fact) -> &'a Json {
        if let Slot::Json(value) = self.raw(fact) { value } else { &NO_JSON }
    }

    /// A string fact as rules see it; empty for a fact of another type.
    #[must_use]
    #[inline]
    pub fn str(&self, fact: Fact) -> &str {
        if let Slot::Str(value) = self.slot(fact) { value } else { "" }
    }

    /// An integer fact; zero for a fact of another type.
    #[must_use]
    #[inline]
    pub fn int(&self, fact: Fact) -> i64 {
        if let Slot::Int(value) = self.raw(fact) { value } else { 0 }
    }

    /// A boolean fact; false for a fact of another type.
    #[must_use]
    #[inline]
    pub fn bool(&self, fact: Fact) -> bool {
        matches!(self.raw(fact), Slot::Bool(true))
    }

    /// A floating-point fact; zero for a fact of another type.
    #[must_use]
    #[inline]
    pub fn double(&self, fact: Fact) -> f64 {
        if let Slot::Double(value) = self.raw(fact) { value } else { 0.0 }
    }

    /// A list; empty for a fact of another type.
    #[must_use]
    #[inline]
    pub fn list(&self, fact: Fact) -> &'a [String] {
        if let Slot::List(value) = self.raw(fact) { value } else { &[] }
    }

    /// A map; empty for a fact of another type.
    #[must_use]
    #[inline]
    pub fn map(&self, fact: Fact) -> &'a dyn StringMap {
        if let Slot::Map(value) = self.raw(fact) { value } else { &NO_MAP }
    }

    /// The time that was set as `now`, if one was.
    #[must_use]
    pub fn now(&self) -> Option<Timestamp> {
        match self.raw(Fact::Now) {
            Slot::Time(now) if self.now_is_set => Some(now),
            _ => None,
        }
    }
}

const fn window_of(fact: Fact) -> usize {
    (fact as usize == Fact::RequestSystemPrompt as usize) as usize
}
