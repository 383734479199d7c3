//! Messages over pipes: one a line. A line is gathered up to a limit; what is longer is read past and told by its id,
//! so that whoever waits for it hears at once and not at the deadline.

use bytes::{Bytes, BytesMut};
use tokio::io::{AsyncBufRead, AsyncBufReadExt as _, AsyncWrite, AsyncWriteExt as _};

use crate::mcp::skim::Skim;

/// What came over a pipe.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Line {
    /// A line, without its end.
    Whole(Bytes),
    /// A line over the limit, which is gone.
    TooLong {
        /// The id of the message, as written, where one was found.
        id: Option<String>,
        /// Whether the message has a method: it is then no answer.
        method: bool,
    },
}

/// Reads lines with a limit.
pub(crate) struct Lines<R> {
    reader: R,
    bytes_max: usize,
}

impl<R: AsyncBufRead + Unpin> Lines<R> {
    pub(crate) fn new(reader: R, bytes_max: usize) -> Self {
        Self { reader, bytes_max }
    }

    /// The next line that is not empty; `None` at the end.
    ///
    /// # Errors
    /// The pipe broke.
    pub(crate) async fn next(&mut self) -> std::io::Result<Option<Line>> {
        loop {
            match self.line().await? {
                Some(Line::Whole(line)) if line.iter().all(u8::is_ascii_whitespace) => {}
                other => return Ok(other),
            }
        }
    }

    async fn line(&mut self) -> std::io::Result<Option<Line>> {
        let mut line = BytesMut::new();
        let mut skim: Option<Skim> = None;
        loop {
            let chunk = self.reader.fill_buf().await?;
            if chunk.is_empty() {
                return Ok(finish(line, skim));
            }
            let end = memchr::memchr(b'\n', chunk);
            let part = chunk.get(..end.unwrap_or(chunk.len())).unwrap_or_default();
            match &mut skim {
                Some(skim) => skim.push(part),
                None if line.len() + part.len() > self.bytes_max => {
                    let begun = skim.insert(Skim::default());
                    begun.push(&line);
                    begun.push(part);
                    line = BytesMut::new();
                }
                None => line.extend_from_slice(part),
            }
            let used = part.len() + usize::from(end.is_some());
            self.reader.consume(used);
            if end.is_some() {
                return Ok(finish(line, skim).or(Some(Line::Whole(Bytes::new()))));
            }
        }
    }
}

fn finish(mut line: BytesMut, skim: Option<Skim>) -> Option<Line> {
    if let Some(skim) = skim {
        return Some(Line::TooLong { method: skim.method(), id: skim.id() });
    }
    if line.last() == Some(&b'\r') {
        line.truncate(line.len() - 1);
    }
    (!line.is_empty()).then(|| Line::Whole(line.freeze()))
}

/// Writes one message. Line breaks within it can only stand between its parts, where a space is as good.
///
/// # Errors
/// The pipe broke.
pub(crate) async fn write<W: AsyncWrite + Unpin>(writer: &mut W, message: &Bytes) -> std::io::Result<()> {
    let breaks = |b: &u8| matches!(b, b'\n' | b'\r');
    let mut line = BytesMut::with_capacity(message.len() + 1);
    line.extend_from_slice(message);
    if message.iter().any(breaks) {
        line.iter_mut().filter(|b| breaks(b)).for_each(|b| *b = b' ');
    }
    line.extend_from_slice(b"\n");
    writer.write_all(&line).await?;
    writer.flush().await
}

#[cfg(test)]
mod tests;
