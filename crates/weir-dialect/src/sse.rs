//! An incremental scanner of server-sent events.
//!
//! It reads a stream that somebody else forwards. Lines end in `\n`, `\r\n` or `\r`, wherever the chunks are cut; a
//! byte order mark, comments and several `data:` lines of one event are understood. Memory is bounded: a line, or an
//! event, that is longer than the limit is skipped, never gathered. An event that lies within one chunk is handed out
//! without a copy.

mod sieve;

use memchr::memchr2;

pub use sieve::{Sieve, Sifted};

/// One event.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Event<'a> {
    /// The value of `event:`, empty when there was none or it was not UTF-8.
    pub name: &'a str,
    /// The values of the `data:` lines, joined by newlines.
    pub data: &'a [u8],
}

/// Reads events from chunks.
#[derive(Clone, Debug)]
pub struct Scanner {
    limit: usize,
    /// The part of a line that earlier chunks held.
    line: Vec<u8>,
    /// The line is over the limit: what is left of it is skipped.
    line_too_long: bool,
    /// The last byte was `\r`: a `\n` that follows belongs to it.
    after_cr: bool,
    /// The next line is the stream's first, which may begin with a byte order mark.
    first_line: bool,
    name: Vec<u8>,
    data: Vec<u8>,
    has_data: bool,
    /// A line of the event was too long: the event is not handed out.
    spoiled: bool,
    skipped: u64,
    skipped_name: String,
}

/// The event being read, as far as it can borrow from the present chunk.
#[derive(Default)]
struct Open<'c> {
    name: Option<&'c [u8]>,
    data: Option<&'c [u8]>,
}

const BOM: &[u8] = b"\xef\xbb\xbf";

impl Scanner {
    /// A scanner that skips events with a line, or with data, of more than `line_bytes_max` bytes.
    #[must_use]
    pub fn new(line_bytes_max: usize) -> Self {
        Self {
            limit: line_bytes_max,
            line: Vec::new(),
            line_too_long: false,
            after_cr: false,
            first_line: true,
            name: Vec::new(),
            data: Vec::new(),
            has_data: false,
            spoiled: false,
            skipped: 0,
            skipped_name: String::new(),
        }
    }

    /// How many events were skipped because they were too long.
    #[must_use]
    pub fn skipped(&self) -> u64 {
        self.skipped
    }

    /// The name of the event that was skipped last.
    #[must_use]
    pub fn skipped_name(&self) -> &str {
        &self.skipped_name
    }

    /// Whether bytes were read that no blank line has ended yet.
    #[must_use]
    pub fn mid_event(&self) -> bool {
        self.has_data || self.spoiled || self.line_too_long || !self.line.is_empty() || !self.name.is_empty()
    }

    /// Reads a chunk and calls `on_event` for each event that ends in it.
    pub fn push(&mut self, chunk: &[u8], on_event: &mut dyn FnMut(Event<'_>)) {
        let mut rest = chunk;
        if self.after_cr && !rest.is_empty() {
            self.after_cr = false;
            rest = rest.strip_prefix(b"\n").unwrap_or(rest);
        }
        let mut open = Open::default();
        while let Some(end) = memchr2(b'\n', b'\r', rest) {
            let (line, tail) = rest.split_at(end);
            rest = self.after_line_end(tail);
            if self.line.is_empty() && !self.line_too_long {
                self.read_line(line, &mut open, on_event);
            } else {
                self.read_split_line(line, &mut open, on_event);
            }
        }
        self.keep_line(rest);
        self.keep_open(open);
    }

    /// Reads what is left when the stream has ended: an event whose blank line never came.
    pub fn finish(&mut self, on_event: &mut dyn FnMut(Event<'_>)) {
        self.push(b"\n\n", on_event);
    }

    /// `tail` begins with the first byte of a line's end.
    fn after_line_end<'c>(&mut self, tail: &'c [u8]) -> &'c [u8] {
        match tail {
            [b'\r', b'\n', rest @ ..] => rest,
            [b'\r'] => {
                self.after_cr = true;
                &[]
            }
            [_, rest @ ..] => rest,
            [] => &[],
        }
    }

    fn keep_line(&mut self, part: &[u8]) {
        if self.line_too_long || part.is_empty() {
            return;
        }
        if self.line.len().saturating_add(part.len()) > self.limit {
            self.line_too_long = true;
            self.line = Vec::new();
        } else {
            self.line.extend_from_slice(part);
        }
    }

    fn keep_open(&mut self, open: Open<'_>) {
        if let Some(name) = open.name {
            self.name.clear();
            self.name.extend_from_slice(name);
        }
        if let Some(data) = open.data {
            self.append_data(data);
        }
    }

    /// A line that began in an earlier chunk.
    fn read_split_line(&mut self, end: &[u8], open: &mut Open<'_>, on_event: &mut dyn FnMut(Event<'_>)) {
        self.keep_line(end);
        if self.line_too_long {
            self.line_too_long = false;
            self.first_line = false;
            self.spoiled = true;
            return;
        }
        self.keep_open(std::mem::take(open));
        let mut line = std::mem::take(&mut self.line);
        let mut borrowed = Open::default();
        self.read_line(&line, &mut borrowed, on_event);
        self.keep_open(borrowed);
        line.clear();
        self.line = line;
    }

    /// A whole line, without its end.
    fn read_line<'c>(&mut self, line: &'c [u8], open: &mut Open<'c>, on_event: &mut dyn FnMut(Event<'_>)) {
        let line =
            if std::mem::take(&mut self.first_line) { line.strip_prefix(BOM).unwrap_or(line) } else { line };
        if line.is_empty() {
            self.end_event(std::mem::take(open), on_event);
        } else if line.len() > self.limit {
            self.spoiled = true;
        } else if let Some(data) = field(line, b"data") {
            if let Some(before) = open.data.replace(data) {
                self.append_data(before);
            }
        } else if let Some(name) = field(line, b"event") {
            open.name = Some(name);
        }
    }

    fn append_data(&mut self, data: &[u8]) {
        if self.data.len().saturating_add(data.len()) > self.limit {
            self.spoiled = true;
        }
        if !self.spoiled {
            if self.has_data {
                self.data.push(b'\n');
            }
            self.data.extend_from_slice(data);
        }
        self.has_data = true;
    }

    fn end_event(&mut self, open: Open<'_>, on_event: &mut dyn FnMut(Event<'_>)) {
        let Open { name, data } = open;
        let borrowed = if self.has_data { None } else { data };
        if let (None, Some(data)) = (borrowed, data) {
            self.append_data(data);
        }
        let name = std::str::from_utf8(name.unwrap_or(&self.name)).unwrap_or_default();
        if self.spoiled {
            self.skipped = self.skipped.saturating_add(1);
            name.clone_into(&mut self.skipped_name);
        } else if self.has_data || borrowed.is_some() {
            on_event(Event { name, data: borrowed.unwrap_or(&self.data) });
        }
        self.name.clear();
        self.data.clear();
        self.has_data = false;
        self.spoiled = false;
    }
}

/// The value of a line `name: value`, `name:value` or `name`.
fn field<'l>(line: &'l [u8], name: &[u8]) -> Option<&'l [u8]> {
    match line.strip_prefix(name)? {
        [] => Some(&[]),
        [b':', b' ', value @ ..] | [b':', value @ ..] => Some(value),
        _ => None,
    }
}

#[cfg(test)]
mod tests;
