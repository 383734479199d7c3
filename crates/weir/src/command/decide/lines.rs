//! Lines of bounded length from a stream of any length.

use std::io::{self, BufRead};

/// How long a line may be, in bytes: twice the largest request body, whose prompt may be among the facts.
pub const LINE_BYTES_MAX: usize = 64 * 1024 * 1024;

/// One line, without its line break.
#[derive(Debug, PartialEq, Eq)]
pub enum Line {
    /// It is all there.
    Whole(Vec<u8>),
    /// It was longer than the limit, and has been read past.
    TooLong,
}

/// The lines of a stream.
pub struct Lines<R> {
    input: R,
    max: usize,
}

impl<R: BufRead> Lines<R> {
    /// The lines of `input`.
    pub fn new(input: R) -> Self {
        Self { input, max: LINE_BYTES_MAX }
    }

    /// The next line; a last one without a line break counts.
    ///
    /// # Errors
    /// The stream cannot be read.
    pub fn next(&mut self) -> io::Result<Option<Line>> {
        let mut bytes = Vec::new();
        let mut begun = false;
        let mut too_long = false;
        loop {
            let available = match self.input.fill_buf() {
                Ok(available) => available,
                Err(error) if error.kind() == io::ErrorKind::Interrupted => continue,
                Err(error) => return Err(error),
            };
            if available.is_empty() {
                break;
            }
            begun = true;
            let end = available.iter().position(|byte| *byte == b'\n');
            let piece = available.get(..end.unwrap_or(available.len())).unwrap_or(available);
            too_long = too_long || bytes.len() + piece.len() > self.max;
            if !too_long {
                bytes.extend_from_slice(piece);
            }
            let used = piece.len() + usize::from(end.is_some());
            self.input.consume(used);
            if end.is_some() {
                break;
            }
        }
        Ok(begun.then_some(if too_long { Line::TooLong } else { Line::Whole(bytes) }))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn lines(text: &[u8], buffer: usize) -> Vec<Line> {
        let mut lines = Lines { input: io::BufReader::with_capacity(buffer, text), max: 5 };
        std::iter::from_fn(|| lines.next().unwrap()).collect()
    }

    fn whole(text: &str) -> Line {
        Line::Whole(text.into())
    }

    #[test]
    fn lines_are_the_same_however_they_arrive() {
        let table: [(&[u8], Vec<Line>); 6] = [
            (b"", vec![]),
            (b"a\nb", vec![whole("a"), whole("b")]),
            (b"a\n\nb\n", vec![whole("a"), whole(""), whole("b")]),
            (b"12345\n123456\nc\n", vec![whole("12345"), Line::TooLong, whole("c")]),
            (b"1234567890123", vec![Line::TooLong]),
            (b"\xff\n", vec![Line::Whole(vec![255])]),
        ];
        for (text, expected) in table {
            for buffer in 1..8 {
                assert_eq!(lines(text, buffer), expected, "{text:?} {buffer}");
            }
        }
    }
}
