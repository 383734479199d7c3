//! Places in a document: lines, columns, and where a character of a scalar's value stands in the text.

use std::sync::Arc;

use crate::diagnostic::{Diagnostic, Severity};

/// A range of bytes of the text.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Span {
    pub(crate) start: usize,
    pub(crate) end: usize,
}

impl Span {
    pub(super) fn of(span: &granit_parser::Span) -> Self {
        let start = span.start.byte_offset().unwrap_or(0);
        Self { start, end: span.end.byte_offset().unwrap_or(start).max(start) }
    }
}

/// A file's text, with what is needed to find places in it.
pub(crate) struct Document<'s> {
    pub(crate) name: Arc<str>,
    pub(crate) text: &'s str,
    line_starts: Vec<usize>,
}

impl<'s> Document<'s> {
    pub(crate) fn new(name: &str, text: &'s str) -> Self {
        let breaks = memchr::memchr_iter(b'\n', text.as_bytes()).map(|at| at + 1);
        Self { name: name.into(), text, line_starts: std::iter::once(0).chain(breaks).collect() }
    }

    /// The line of a byte, from 1.
    pub(crate) fn line(&self, at: usize) -> usize {
        self.line_starts.partition_point(|start| *start <= at)
    }

    fn line_start(&self, line: usize) -> usize {
        line.checked_sub(1).and_then(|at| self.line_starts.get(at)).copied().unwrap_or(0)
    }

    fn line_text(&self, line: usize) -> &'s str {
        let rest = self.text.get(self.line_start(line)..).unwrap_or_default();
        rest.lines().next().unwrap_or_default().trim_start_matches('\u{feff}')
    }

    /// A diagnostic whose caret stands below the part of `span` on its first line.
    pub(crate) fn diagnostic(
        &self,
        severity: Severity,
        span: Span,
        path: String,
        message: String,
    ) -> Diagnostic {
        let line = self.line(span.start);
        let before = self.text.get(self.line_start(line)..span.start).unwrap_or_default();
        let meant = self.text.get(span.start..span.end).unwrap_or_default();
        let column = before.trim_start_matches('\u{feff}').chars().count() + 1;
        let span_len = meant.lines().next().unwrap_or_default().trim_end().chars().count().max(1);
        Diagnostic {
            severity,
            file: self.name.to_string(),
            line,
            column,
            rule: None,
            path,
            message,
            help: None,
            source_line: Some(self.line_text(line).trim_end().to_owned()),
            span_len,
        }
    }

    /// Where a range of a scalar's value stands in the text, given the scalar's place and its whole value.
    ///
    /// Text and value are walked side by side. Whatever the style, folding, indentation and line breaks differ in white
    /// space only; everything else stands in both in the same order, but for the escapes of quoted styles.
    pub(crate) fn locate(&self, scalar: Span, value: &str, range: Span) -> Span {
        let Some(text) = self.text.get(scalar.start..scalar.end) else { return scalar };
        let mut walk = Walk::new(text);
        let mut found = Span { start: text.len(), end: text.len() };
        let mut started = false;
        for (at, character) in value.char_indices() {
            let here = if character.is_whitespace() { walk.at } else { walk.find(character) };
            if at >= range.end {
                break;
            }
            if at >= range.start && !started {
                started = true;
                found.start = here;
            }
            found.end = walk.at;
        }
        if !started {
            found.start = walk.at;
            found.end = walk.at;
        }
        Span { start: scalar.start + found.start, end: scalar.start + found.end.max(found.start) }
    }
}

/// A position in the text of a scalar.
struct Walk<'t> {
    text: &'t str,
    quote: Option<char>,
    at: usize,
}

impl<'t> Walk<'t> {
    fn new(text: &'t str) -> Self {
        let mut walk = Self { text, quote: None, at: 0 };
        match text.chars().next() {
            Some(quote @ ('"' | '\'')) => {
                walk.quote = Some(quote);
                walk.at = 1;
            }
            // The header of a block scalar: its indicators end with the line.
            Some('|' | '>') => walk.at = text.find('\n').map_or(text.len(), |at| at + 1),
            _ => {}
        }
        walk
    }

    /// Moves behind the next occurrence of a character of the value, and says where it stands.
    fn find(&mut self, wanted: char) -> usize {
        while let Some((here, found)) = self.next() {
            if found == wanted {
                return here;
            }
        }
        self.text.len()
    }

    /// The next character that the text stands for, white space left out.
    fn next(&mut self) -> Option<(usize, char)> {
        loop {
            let here = self.at;
            let rest = self.text.get(here..)?;
            let first = rest.chars().next()?;
            self.at += first.len_utf8();
            match (self.quote, first) {
                (Some('"'), '\\') => match self.escape() {
                    Some(meant) if !meant.is_whitespace() => return Some((here, meant)),
                    _ => {}
                },
                (Some('\''), '\'') => {
                    self.at += 1;
                    return Some((here, first));
                }
                (_, white) if white.is_whitespace() => {}
                _ => return Some((here, first)),
            }
        }
    }

    /// Reads what follows a backslash; nothing for what stands for white space or no character at all.
    fn escape(&mut self) -> Option<char> {
        let rest = self.text.get(self.at..)?;
        let kind = rest.chars().next()?;
        self.at += kind.len_utf8();
        let digits = match kind {
            'x' => 2,
            'u' => 4,
            'U' => 8,
            '0' => return Some('\0'),
            'a' => return Some('\u{7}'),
            'b' => return Some('\u{8}'),
            'e' => return Some('\u{1b}'),
            'n' | 't' | 'r' | 'v' | 'f' | 'N' | '_' | 'L' | 'P' | '\n' => return None,
            other => return Some(other),
        };
        let hex = self.text.get(self.at..self.at + digits)?;
        self.at += digits;
        u32::from_str_radix(hex, 16).ok().and_then(char::from_u32)
    }
}
