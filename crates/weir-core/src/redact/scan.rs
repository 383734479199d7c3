//! Finding secrets: an automaton finds the words they begin with or stand behind, and what follows is judged.
//!
//! A run of bytes of one set is measured once, however many candidates lie in it, and what is judged of a run is
//! bounded; so the whole stays linear.

use std::ops::Range;
use std::sync::LazyLock;

use aho_corasick::{AhoCorasick, AhoCorasickKind, Input, MatchKind};

use super::formats::{
    AUTHORIZATION, JWT, LABELS, NOT_SECRET, PEM, PEM_END, PREFIXES, Prefix, QUERY, QUERY_MARKS, SCHEMES, Set,
    URL,
};

/// How much of a run is looked at to judge whether it is random, in bytes.
const JUDGED_BYTES: usize = 128;

/// How long a JSON web token is at least, in bytes; without a dot in it, it may be any JSON in base 64.
const JWT_BYTES_MIN: usize = 20;
const JWT_UNDOTTED_BYTES_MIN: usize = 64;

/// How long a PEM block's label may be, in bytes.
const PEM_LABEL_BYTES_MAX: usize = 64;

/// How much stands between a label and its value at most, in bytes: quotes that were escaped four times fit.
const SEPARATOR_BYTES_MAX: usize = 48;

/// How long a sequence is that colours a terminal, in bytes.
const ANSI_BYTES_MAX: usize = 12;

/// How long a secret is at least that only its surroundings give away, in bytes.
const ASSIGNED_BYTES_MIN: usize = 4;
const LABELLED_BYTES_MIN: usize = 8;

/// From this length on, in bytes, a labelled value is a secret whatever it is made of.
const LONG_BYTES: usize = 20;

/// From this length on, in bytes, what follows a prefix may lie in the middle of a word, if it looks random.
const INNER_BYTES_MIN: usize = 24;

/// What a match of the automaton is the beginning of.
#[derive(Clone, Copy)]
enum Sign {
    Prefix(&'static Prefix),
    Label,
    Authorization,
    Scheme,
    Query,
    Jwt,
    Pem,
    Url,
}

struct Signs {
    automaton: Option<AhoCorasick>,
    signs: Vec<Sign>,
}

static SIGNS: LazyLock<Signs> = LazyLock::new(|| {
    let mut patterns: Vec<(String, Sign)> = vec![
        (AUTHORIZATION.to_owned(), Sign::Authorization),
        (JWT.to_owned(), Sign::Jwt),
        (PEM.to_owned(), Sign::Pem),
        (URL.to_owned(), Sign::Url),
    ];
    patterns.extend(PREFIXES.iter().map(|prefix| (prefix.text.to_owned(), Sign::Prefix(prefix))));
    patterns.extend(LABELS.iter().map(|label| ((*label).to_owned(), Sign::Label)));
    patterns.extend(SCHEMES.iter().map(|scheme| (format!("{scheme} "), Sign::Scheme)));
    for name in QUERY {
        patterns.extend(QUERY_MARKS.iter().map(|mark| (format!("{mark}{name}="), Sign::Query)));
    }
    let automaton = AhoCorasick::builder()
        .match_kind(MatchKind::LeftmostLongest)
        // Every record and every line of the log is read by it: half again as fast, for memory that a test bounds.
        .kind(Some(AhoCorasickKind::DFA))
        .ascii_case_insensitive(true)
        .build(patterns.iter().map(|(text, _)| text));
    // The patterns are constants, and a test finds every one of them: with an error here no release is built.
    Signs { automaton: automaton.ok(), signs: patterns.into_iter().map(|(_, sign)| sign).collect() }
});

/// The places of a text that hold secrets, from front to back, none within another.
pub(super) struct Secrets<'t> {
    text: &'t [u8],
    at: usize,
    /// Of each set the run that was measured last.
    runs: [Range<usize>; Set::COUNT],
    /// How many bytes were looked at.
    #[cfg(test)]
    pub(super) steps: usize,
}

impl<'t> Secrets<'t> {
    pub(super) fn of(text: &'t [u8]) -> Self {
        Self {
            text,
            at: 0,
            runs: Default::default(),
            #[cfg(test)]
            steps: 0,
        }
    }

    fn judge(&mut self, sign: Sign, found: Range<usize>) -> Option<Range<usize>> {
        match sign {
            Sign::Prefix(prefix) => self.prefixed(prefix, found),
            Sign::Label => self.labelled(found),
            Sign::Authorization => self.authorization(found.end),
            Sign::Scheme => self.scheme(found),
            Sign::Query => self.query(found.end),
            Sign::Jwt => self.jwt(found),
            Sign::Pem => self.pem(found),
            Sign::Url => self.authority(found.end),
        }
    }

    fn prefixed(&mut self, prefix: &Prefix, found: Range<usize>) -> Option<Range<usize>> {
        if prefix.exact && self.bytes(found.clone()) != prefix.text.as_bytes() {
            return None;
        }
        let mut rest = self.run(prefix.of, found.end);
        while rest.end > rest.start && matches!(self.byte(rest.end - 1), b'.' | b':') {
            rest.end -= 1;
        }
        let inner_ok = rest.len() >= INNER_BYTES_MIN && looks_made(self.bytes(rest.clone()));
        let begins = self.begins_word(found.start) || inner_ok;
        (begins && rest.len() >= prefix.bytes_min).then_some(found.start..rest.end)
    }

    /// `api_key=…`, `"api_key": "…"`, `x-api-key: …`.
    fn labelled(&mut self, found: Range<usize>) -> Option<Range<usize>> {
        let (value, tight) = self.separated(found.end)?;
        let value = self.credential(Set::Value, value);
        let text = self.bytes(value.clone());
        let is_one_of = |words: &[&str]| words.iter().any(|word| text.eq_ignore_ascii_case(word.as_bytes()));
        if is_one_of(LABELS) {
            // The secret is what this one names.
            return None;
        }
        let secret = if tight {
            value.len() >= ASSIGNED_BYTES_MIN && !is_one_of(NOT_SECRET)
        } else {
            looks_secret(text)
        };
        secret.then_some(value)
    }

    /// `Authorization: Basic …`, with or without a scheme.
    fn authorization(&mut self, end: usize) -> Option<Range<usize>> {
        let (start, _) = self.separated(end)?;
        let first = self.run(Set::Credential, start);
        let next = self.skip_spaces(first.end);
        let is_scheme = !first.is_empty() && self.bytes(first.clone()).iter().all(u8::is_ascii_alphabetic);
        if is_scheme && next > first.end {
            let credential = self.credential(Set::Credential, next);
            let known = SCHEMES.iter().any(|s| self.bytes(first.clone()).eq_ignore_ascii_case(s.as_bytes()));
            if !credential.is_empty() && (known || looks_secret(self.bytes(credential.clone()))) {
                return Some(start..credential.end);
            }
        }
        let first = self.trimmed(first);
        looks_secret(self.bytes(first.clone())).then_some(first)
    }

    /// `Bearer …` anywhere. A word of prose may follow it, too.
    fn scheme(&mut self, found: Range<usize>) -> Option<Range<usize>> {
        if !self.begins_word(found.start) {
            return None;
        }
        let start = self.skip_spaces(found.end);
        let credential = self.credential(Set::Credential, start);
        looks_secret(self.bytes(credential.clone())).then_some(found.start..credential.end)
    }

    fn query(&mut self, end: usize) -> Option<Range<usize>> {
        let mut value = self.run(Set::Value, end);
        if let Some(fragment) = self.bytes(value.clone()).iter().position(|byte| *byte == b'#') {
            value.end = value.start + fragment;
        }
        let value = self.trimmed(value);
        (!value.is_empty()).then_some(value)
    }

    fn jwt(&mut self, found: Range<usize>) -> Option<Range<usize>> {
        if self.bytes(found.clone()) != JWT.as_bytes() || !self.begins_word(found.start) {
            return None;
        }
        let token = self.credential(Set::Credential, found.start);
        let head = self.run(Set::Token, found.start);
        let dotted = self.byte(head.end) == b'.';
        let enough = if dotted { JWT_BYTES_MIN } else { JWT_UNDOTTED_BYTES_MIN };
        (token.len() >= enough).then_some(token)
    }

    /// A private key, to its end or, where that was cut off, as far as the quotes around it.
    fn pem(&mut self, found: Range<usize>) -> Option<Range<usize>> {
        let label_end = self.text.len().min(found.end + PEM_LABEL_BYTES_MAX);
        let label = self.bytes(found.end..label_end);
        let label = label.split(|byte| *byte == b'-').next().unwrap_or_default();
        if !label.windows(3).any(|three| three.eq_ignore_ascii_case(b"key"))
            || label.windows(6).any(|six| six.eq_ignore_ascii_case(b"public"))
        {
            return None;
        }
        let rest = self.bytes(found.end..self.text.len());
        let ends =
            rest.iter().position(|byte| matches!(byte, b'"' | b'\'' | b'<' | b'`')).unwrap_or(rest.len());
        let body = rest.get(..ends).unwrap_or_default();
        let marker = body.windows(PEM_END.len()).position(|w| w.eq_ignore_ascii_case(PEM_END.as_bytes()));
        let end = marker.map_or(ends, |at| {
            let tail = body.get(at + PEM_END.len()..).unwrap_or_default();
            let dashes = tail.windows(5).take(PEM_LABEL_BYTES_MAX).position(|five| five == b"-----");
            at + PEM_END.len() + dashes.map_or(0, |at| at + 5)
        });
        #[cfg(test)]
        {
            self.steps += ends;
        }
        Some(found.start..found.end + end)
    }

    /// `user:password@` of a URL, or the key alone that a DSN has in its place.
    fn authority(&mut self, start: usize) -> Option<Range<usize>> {
        let authority = self.run(Set::Authority, start);
        let bytes = self.bytes(authority);
        let user_info = bytes.get(..bytes.iter().rposition(|byte| *byte == b'@')?)?;
        let secret = user_info.contains(&b':') || looks_secret(user_info);
        (secret && !user_info.is_empty()).then(|| start..start + user_info.len())
    }

    /// Where the value behind a label begins, and whether only `=` stands between.
    fn separated(&self, end: usize) -> Option<(usize, bool)> {
        let limit = self.text.len().min(end + SEPARATOR_BYTES_MAX);
        let quoting = |byte: u8| matches!(byte, b'"' | b'\'' | b'\\' | b'`');
        let skip = |mut at: usize, what: &dyn Fn(u8) -> bool| {
            while at < limit && (what(self.byte(at)) || self.ansi(at) > 0) {
                at += self.ansi(at).max(1);
            }
            at
        };
        let sign = skip(end, &|byte| quoting(byte) || byte == b' ');
        let signed = skip(sign, &|byte| matches!(byte, b'=' | b':' | b'>'));
        if signed == sign {
            return None;
        }
        let tight = sign == skip(end, &|_| false) && self.byte(sign) == b'=';
        let labelled_in_quotes = sign > end && quoting(self.byte(end));
        let at = skip(signed, &|byte| quoting(byte) || matches!(byte, b' ' | b'\t'));
        // A bare value behind a quoted name is a number, and stays one.
        let bare = !self.bytes(signed..at).iter().any(|byte| quoting(*byte));
        if labelled_in_quotes && bare && self.byte(at).is_ascii_digit() {
            return None;
        }
        Some((at, tight))
    }

    /// How long the sequence is that colours a terminal and begins here; 0 for none.
    fn ansi(&self, at: usize) -> usize {
        if self.byte(at) != 0x1b || self.byte(at + 1) != b'[' {
            return 0;
        }
        let ends = (2..ANSI_BYTES_MAX).find(|n| !matches!(self.byte(at + n), b'0'..=b'9' | b';'));
        ends.filter(|n| self.byte(at + n) == b'm').map_or(0, |n| n + 1)
    }

    /// Whether a word begins here. Before it there may be an escape, which ends in a letter or a digit as well.
    fn begins_word(&self, at: usize) -> bool {
        let back = |n: usize| at.checked_sub(n).map_or(0, |at| self.byte(at));
        if !back(1).is_ascii_alphanumeric() {
            return true;
        }
        let control = back(2) == b'\\' && matches!(back(1), b'n' | b'r' | b't' | b'b' | b'f');
        let unicode = back(6) == b'\\' && back(5) == b'u';
        let colour = back(1) == b'm' && (2..=ANSI_BYTES_MAX).any(|n| self.ansi(at.saturating_sub(n)) == n);
        let percent = back(3) == b'%' && back(2).is_ascii_hexdigit() && back(1).is_ascii_hexdigit();
        control || unicode || percent || colour
    }

    /// The run of bytes of a set that goes on at `at`.
    fn run(&mut self, of: Set, at: usize) -> Range<usize> {
        let Some(known) = self.runs.get_mut(of as usize) else { return at..at };
        if !known.contains(&at) {
            let rest = self.text.get(at..).unwrap_or_default();
            let length = rest.iter().position(|byte| !of.holds(*byte)).unwrap_or(rest.len());
            *known = at..at + length;
            #[cfg(test)]
            {
                self.steps += length;
            }
        }
        at..self.runs.get(of as usize).map_or(at, |known| known.end.max(at))
    }

    /// The run at `at` without the punctuation of the sentence around it.
    fn credential(&mut self, of: Set, at: usize) -> Range<usize> {
        let run = self.run(of, at);
        self.trimmed(run)
    }

    /// Without the punctuation of the sentence around it.
    fn trimmed(&self, mut range: Range<usize>) -> Range<usize> {
        while range.end > range.start && matches!(self.byte(range.end - 1), b'.' | b':' | b'!' | b'?') {
            range.end -= 1;
        }
        range
    }

    fn skip_spaces(&self, at: usize) -> usize {
        let limit = self.text.len().min(at + SEPARATOR_BYTES_MAX);
        (at..limit).find(|at| self.byte(*at) != b' ').unwrap_or(limit)
    }

    fn byte(&self, at: usize) -> u8 {
        self.text.get(at).copied().unwrap_or(0)
    }

    fn bytes(&self, range: Range<usize>) -> &'t [u8] {
        self.text.get(range).unwrap_or_default()
    }
}

impl Iterator for Secrets<'_> {
    type Item = Range<usize>;

    fn next(&mut self) -> Option<Range<usize>> {
        let signs = &*SIGNS;
        let automaton = signs.automaton.as_ref()?;
        while self.at < self.text.len() {
            let found = automaton.find(Input::new(self.text).range(self.at..))?;
            let sign = signs.signs.get(found.pattern().as_usize()).copied()?;
            #[cfg(test)]
            {
                self.steps += found.end() - self.at;
            }
            match self.judge(sign, found.range()) {
                Some(secret) => {
                    self.at = secret.end.max(found.end());
                    return Some(secret);
                }
                None => self.at = found.start() + 1,
            }
        }
        None
    }
}

/// How much memory the automaton takes.
#[cfg(test)]
pub(super) fn automaton_bytes() -> usize {
    SIGNS.automaton.as_ref().map_or(0, AhoCorasick::memory_usage)
}

/// Whether this is a secret, given that it stands where one would: not a word or two of prose.
fn looks_secret(text: &[u8]) -> bool {
    text.len() >= LONG_BYTES || (text.len() >= LABELLED_BYTES_MIN && (has_digit(text) || is_mixed(text)))
}

/// Whether a machine made this: it has digits and letters in both cases.
fn looks_made(text: &[u8]) -> bool {
    has_digit(text) && is_mixed(text)
}

fn has_digit(text: &[u8]) -> bool {
    text.iter().take(JUDGED_BYTES).any(u8::is_ascii_digit)
}

/// Whether a capital follows a small letter somewhere: `Authentication` is not, `eyJhbGci` is.
fn is_mixed(text: &[u8]) -> bool {
    let judged = text.get(..text.len().min(JUDGED_BYTES)).unwrap_or_default();
    judged.windows(2).any(|two| matches!(two, [a, b] if a.is_ascii_lowercase() && b.is_ascii_uppercase()))
}
